package resolve

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"mailaudit/internal/audit"
)

// Scheme is the transport by which a server is asked.
type Scheme string

// The transports. Plain DNS goes over UDP, and over TCP where that is not
// enough.
const (
	Plain Scheme = ""
	TLS   Scheme = "tls"   // RFC 7858
	HTTPS Scheme = "https" // RFC 8484
)

// Server is a recursive resolver. It is always contacted at Addr: its own name
// is never looked up, as that would need another resolver to trust.
type Server struct {
	Addr   netip.AddrPort
	Scheme Scheme
	// Name is what the certificate of an encrypted server must be valid for,
	// a host name in lower case; "" is for the address itself (RFC 8310 8.1).
	Name string
	// Path is the path of the URL, with the query if there is one, for HTTPS.
	Path string
}

// Fixed points of configuration.
const (
	portDNS   = 53  // RFC 1035 4.2
	portTLS   = 853 // RFC 7858 3.1
	portHTTPS = 443 // RFC 9110 4.2.2

	// defaultPath is that of the examples in RFC 8484, which nearly all servers
	// have adopted.
	defaultPath = "/dns-query"
	// pathVariable ends the URL templates in which operators publish their
	// servers. With POST it stands for nothing (RFC 8484 4.1).
	pathVariable = "{?dns}"
	// inPath are the characters of a path or query besides letters and digits
	// (RFC 3986 3.3 and 3.4).
	inPath = "/?:@-._~!$&'()*+,;=%"
)

const (
	resolverHint  = "name a resolver: --resolver 192.0.2.53 (repeat it for a second one)"
	encryptedHint = "write tls://ADDRESS#NAME or https://ADDRESS/PATH#NAME, for example tls://192.0.2.53#dns.example.net"
)

// String is the server as ParseServer reads it, without the parts that go
// without saying.
func (s Server) String() string {
	switch s.Scheme {
	case TLS, HTTPS:
		return s.text(s.Path)
	}
	return host(s.Addr, portDNS, false)
}

// label is String for reports. The path of a URL is left out unless it is the
// usual one: with some operators it names the customer.
func (s Server) label() string {
	if s.Scheme == HTTPS && s.Path != defaultPath {
		return s.text("/...")
	}
	return s.String()
}

func (s Server) text(path string) string {
	out := string(s.Scheme) + "://" + host(s.Addr, s.Scheme.port(), true) + path
	if s.Name != "" {
		out += "#" + s.Name
	}
	return out
}

// host is an address with the port when it is not the usual one.
func host(at netip.AddrPort, usual uint16, brackets bool) string {
	switch {
	case at.Port() != usual:
		return at.String()
	case brackets && at.Addr().Is6():
		return "[" + at.Addr().String() + "]"
	}
	return at.Addr().String()
}

func (s Scheme) port() uint16 {
	switch s {
	case TLS:
		return portTLS
	case HTTPS:
		return portHTTPS
	}
	return portDNS
}

func (s Server) encrypted() bool { return s.Scheme != Plain }

// network is the transport of the first question, as in audit.Try.
func (s Server) network() string {
	if s.encrypted() {
		return string(s.Scheme)
	}
	return "udp"
}

// identity is what the certificate must be valid for: the name, or the address
// without its zone.
func (s Server) identity() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Addr.Addr().WithZone("").String()
}

// url is where questions are posted, with the identity for the host.
func (s Server) url() string {
	authority := s.identity()
	if s.Name == "" {
		authority = host(netip.AddrPortFrom(s.Addr.Addr().WithZone(""), portHTTPS), portHTTPS, true)
	}
	if s.Addr.Port() != portHTTPS {
		authority += ":" + strconv.Itoa(int(s.Addr.Port()))
	}
	return "https://" + authority + s.Path
}

// ParseServer reads what a user typed for a resolver:
//
//	ADDRESS[:PORT]                        plain DNS, port 53
//	tls://ADDRESS[:PORT][#NAME]           DNS over TLS, port 853
//	https://ADDRESS[:PORT][/PATH][#NAME]  DNS over HTTPS, port 443, path /dns-query
//
// for example "192.0.2.53", "[2001:db8::53]:5353", "fe80::1%eth0",
// "tls://192.0.2.53#dns.example.net". The address comes first in all of them,
// as there is nobody to ask for it. NAME is the name that the certificate must
// be valid for; without it, the certificate must be valid for the address. As
// the fragment of a URL it is never sent in one. Errors are *audit.InputError.
func ParseServer(s string) (Server, error) {
	shown := audit.Raw(s).Clip(100)
	scheme, rest, found := strings.Cut(s, "://")
	if found && !strings.ContainsRune(scheme, ':') { // which is in an address before a zone like "eth://"
		switch Scheme(strings.ToLower(scheme)) {
		case TLS:
			return parseEncrypted(TLS, rest, shown)
		case HTTPS:
			return parseEncrypted(HTTPS, rest, shown)
		}
		// The rest is not repeated: it may hold a password.
		return Server{}, &audit.InputError{Problem: fmt.Sprintf("a resolver can be asked over tls:// and https://, not over %s://", audit.Raw(scheme).Clip(100)), Hint: encryptedHint}
	}
	addr, ok := parseAddr(s, portDNS)
	switch {
	case !ok:
		return Server{}, &audit.InputError{
			Problem: fmt.Sprintf("the resolver %s is not an IP address", shown),
			Hint:    "write ADDRESS or ADDRESS:PORT, IPv6 as ::1 or [::1]:53; for encryption " + strings.TrimPrefix(encryptedHint, "write "),
		}
	case addr.Port() == 0:
		return Server{}, portZero(shown, Plain)
	}
	return Server{Addr: addr}, nil
}

func portZero(shown audit.Raw, scheme Scheme) error {
	return &audit.InputError{Problem: fmt.Sprintf("the resolver %s has port 0", shown), Hint: "leave the port out for " + strconv.Itoa(int(scheme.port()))}
}

// parseAddr reads an address, with a port or without, IPv6 in brackets or,
// without a port, bare.
func parseAddr(s string, port uint16) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err == nil && strings.HasPrefix(s, "[") == strings.HasSuffix(s, "]") && (addr.Is6() || s[0] != '[') {
		return netip.AddrPortFrom(addr.Unmap(), port), true
	}
	at, err := netip.ParseAddrPort(s)
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), err == nil
}

// parseEncrypted reads what follows the scheme.
func parseEncrypted(scheme Scheme, rest string, shown audit.Raw) (Server, error) {
	out := Server{Scheme: scheme}
	where, name, named := strings.Cut(rest, "#")
	if scheme == HTTPS {
		where, out.Path = cutPath(where)
	}
	addr, ok := parseAddr(where, scheme.port())
	out.Addr = addr
	switch {
	case strings.ContainsRune(where, '@'):
		// It is not repeated: what is before the @ may be a password.
		return Server{}, &audit.InputError{Problem: fmt.Sprintf("a resolver %s:// has an @ where its address belongs", scheme), Hint: encryptedHint}
	case !ok:
		return Server{}, noAddress(out, where, shown)
	case addr.Port() == 0:
		return Server{}, portZero(shown, scheme)
	case scheme == HTTPS && !validPath(out.url(), out.Path):
		return Server{}, &audit.InputError{Problem: fmt.Sprintf("the resolver %s has a path that no URL has", shown), Hint: "copy the path from the URL that the operator publishes, such as " + defaultPath}
	case !named:
		return out, nil
	}
	out.Name = strings.ToLower(strings.TrimSuffix(name, "."))
	_, err := netip.ParseAddr(out.Name)
	switch {
	case err == nil:
		return Server{}, &audit.InputError{Problem: fmt.Sprintf("the resolver %s has an address after the #, where a name belongs", shown), Hint: "without a name the certificate must be valid for the address: leave out the # and what follows"}
	case !audit.DNSName(out.Name).IsHostname():
		return Server{}, &audit.InputError{Problem: fmt.Sprintf("the resolver %s has something after the # that is not a host name", shown), Hint: encryptedHint}
	}
	return out, nil
}

// cutPath separates the path of a URL.
func cutPath(s string) (string, string) {
	s = strings.TrimSuffix(s, pathVariable)
	i := strings.IndexByte(s, '/')
	if i < 0 {
		return s, defaultPath
	}
	return s[:i], s[i:]
}

func validPath(whole, path string) bool {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(inPath, r)
	}
	_, err := url.Parse(whole) // percent signs that escape nothing
	return err == nil && strings.IndexFunc(path, odd) < 0
}

// noAddress is the error for an encrypted server without an address. When it
// is a URL as operators publish them, the hint is that URL with an address.
func noAddress(s Server, where string, shown audit.Raw) error {
	name, port, _ := strings.Cut(where, ":")
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	number, err := strconv.ParseUint(port, 10, 16)
	if !audit.DNSName(name).IsHostname() || strings.Trim(name, "0123456789.") == "" || port != "" && err != nil {
		return &audit.InputError{Problem: fmt.Sprintf("the resolver %s has no IP address after %s://", shown, s.Scheme), Hint: encryptedHint}
	}
	if number == 0 {
		number = uint64(s.Scheme.port())
	}
	s.Addr, s.Name = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 53}), uint16(number)), name
	if s.Scheme == HTTPS && !validPath(s.url(), s.Path) {
		s.Path = defaultPath
	}
	return &audit.InputError{
		Problem: fmt.Sprintf("the resolver %s has a name where its address belongs, and looking that up would take another resolver", shown),
		Hint:    fmt.Sprintf("put the address first and the name last: %s, with the address of %s for 192.0.2.53", s, name),
	}
}
