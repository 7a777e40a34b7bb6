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
	"strings"

	"mailaudit/internal/audit"
)

// Limits and fixed points of the system's configuration.
const (
	maxResolvConf = 64 << 10           // octets; a real one has some 200
	maxNameserver = 3                  // MAXNS of resolv.conf(5)
	resolvConf    = "/etc/resolv.conf" // resolv.conf(5)
)

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
			out = append(out, Server{Addr: netip.AddrPortFrom(addr.Unmap(), portDNS)})
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
