package resolve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"mailaudit/internal/audit"
)

// Server is a recursive resolver, asked by plain DNS over UDP and TCP. DNS
// over TLS (RFC 7858) and over HTTPS (RFC 8484) would be further fields here,
// further schemes in ParseServer and another Client.exchange.
type Server struct {
	Addr netip.AddrPort
}

// Limits and fixed points of configuration.
const (
	portDNS       = 53                 // RFC 1035 4.2
	maxResolvConf = 64 << 10           // octets; a real one has some 200
	maxNameserver = 3                  // MAXNS of resolv.conf(5)
	resolvConf    = "/etc/resolv.conf" // resolv.conf(5)
)

const resolverHint = "name a resolver: --resolver 192.0.2.53 (repeat it for a second one)"

// String is the address, with the port when it is not 53.
func (s Server) String() string {
	if s.Addr.Port() == portDNS {
		return s.Addr.Addr().String()
	}
	return s.Addr.String()
}

// ParseServer reads an address with an optional port: "192.0.2.53",
// "192.0.2.53:5353", "::1", "[::1]:53", "fe80::1%eth0". Errors are
// *audit.InputError.
func ParseServer(s string) (Server, error) {
	shown := audit.Raw(s).Clip(100)
	scheme, _, found := strings.Cut(s, "://")
	if found {
		switch strings.ToLower(scheme) {
		case "tls", "https":
			return Server{}, &audit.InputError{
				Problem: fmt.Sprintf("the resolver %s: DNS over %s is not supported yet", shown, strings.ToUpper(scheme)),
				Hint:    "give the address of a resolver that speaks plain DNS, for example 192.0.2.53",
			}
		}
		return Server{}, badServer(shown)
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err == nil && strings.HasPrefix(s, "[") == strings.HasSuffix(s, "]") && (addr.Is6() || s[0] != '[') {
		return Server{netip.AddrPortFrom(addr.Unmap(), portDNS)}, nil
	}
	at, err := netip.ParseAddrPort(s)
	if err != nil {
		return Server{}, badServer(shown)
	}
	if at.Port() == 0 {
		return Server{}, &audit.InputError{Problem: fmt.Sprintf("the resolver %s has port 0", shown), Hint: "leave the port out for " + strconv.Itoa(portDNS)}
	}
	return Server{netip.AddrPortFrom(at.Addr().Unmap(), at.Port())}, nil
}

func badServer(shown audit.Raw) error {
	return &audit.InputError{
		Problem: fmt.Sprintf("the resolver %s is not an IP address", shown),
		Hint:    "write ADDRESS or ADDRESS:PORT, IPv6 as ::1 or [::1]:53",
	}
}

// ParseResolvConf reads the nameserver lines of a resolv.conf(5), the first
// three like the C library, zones kept. Lines that it does not understand are
// passed over, also like the C library. It reads at most 64 KiB; a line cut
// there does not count. The error is r's.
func ParseResolvConf(r io.Reader) ([]Server, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxResolvConf+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxResolvConf {
		data = data[:bytes.LastIndexByte(data[:maxResolvConf], '\n')+1]
	}
	var out []Server
	for line := range strings.SplitSeq(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(out) == maxNameserver {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		if err == nil {
			out = append(out, Server{netip.AddrPortFrom(addr.Unmap(), portDNS)})
		}
	}
	return out, nil
}

// SystemServers are the resolvers of this machine. Where there is no list of
// them (Windows keeps none in a file, a container may have none), the error is
// an *audit.InputError that asks for --resolver.
func SystemServers() ([]Server, error) {
	if runtime.GOOS == "windows" {
		return nil, &audit.InputError{Problem: "the resolvers of this system cannot be read on Windows", Hint: resolverHint}
	}
	return serversFrom(resolvConf)
}

func serversFrom(path string) ([]Server, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &audit.InputError{Problem: fmt.Sprintf("no resolver is configured: %s", fileProblem(path, err)), Hint: resolverHint}
	}
	defer f.Close()
	servers, err := ParseResolvConf(f)
	if err != nil {
		return nil, &audit.InputError{Problem: fmt.Sprintf("no resolver is configured: %s", fileProblem(path, err)), Hint: resolverHint}
	}
	if len(servers) == 0 {
		return nil, &audit.InputError{Problem: fmt.Sprintf("no resolver is configured: %s has no nameserver line with an address", path), Hint: resolverHint}
	}
	return slices.Clip(servers), nil
}

func fileProblem(path string, err error) string {
	if errors.Is(err, os.ErrNotExist) {
		return path + " does not exist"
	}
	return path + " cannot be read"
}
