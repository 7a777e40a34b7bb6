package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
)

// portSOCKS is where SOCKS proxies listen unless they say otherwise (RFC 1928
// section 3).
const portSOCKS = 1080

// flagTryMail is the one flag that has us send more than usual.
const flagTryMail = "try-mail"

// readProxy reads --proxy; invalid: there is none. No name: to look one up
// would be a question before all others. No login: what stands on a command
// line is read by others.
func readProxy(value string) (netip.AddrPort, error) {
	if value == "" {
		return netip.AddrPort{}, nil
	}
	bad := func(hint string) (netip.AddrPort, error) {
		if mayHoldPassword(value) {
			value = "..."
		}
		return netip.AddrPort{}, badValue("proxy", value, hint)
	}
	const form = "give a SOCKS5 proxy, for example --proxy socks5h://127.0.0.1:1080"
	rest, ok := strings.CutPrefix(value, "socks5h://")
	if !ok {
		rest, ok = strings.CutPrefix(value, "socks5://")
	}
	rest = strings.TrimSuffix(rest, "/")
	switch {
	case !ok:
		return bad(form)
	case strings.Contains(rest, "@"):
		return bad("a proxy that wants a login is not supported: let it trust this machine, or put ssh -D in between")
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		host, port = strings.Trim(rest, "[]"), fmt.Sprint(portSOCKS)
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	proxy, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || proxy.Port() == 0 {
		return bad(form + ": an address, not a name")
	}
	return netip.AddrPortFrom(proxy.Addr().Unmap(), proxy.Port()), nil
}

// mayHoldPassword reports whether a value is more than SCHEME://HOST:PORT. Lists of
// proxies write logins in front of the host, or behind the port.
func mayHoldPassword(value string) bool {
	_, rest, _ := strings.Cut(value, "//")
	if rest == "" {
		rest = value
	}
	_, port, more := strings.Cut(rest[strings.LastIndexByte(rest, ']')+1:], ":")
	return strings.ContainsAny(value, "@%?") || more && strings.Trim(port, "0123456789/") != ""
}

// readFamily reads -4 and -6.
func readFamily(c *cli.Context) (audit.Family, error) {
	four, six := c.Bool("ipv4"), c.Bool("ipv6")
	switch {
	case four && six:
		return "", &flagError{[]string{"ipv4", "ipv6"}, &audit.InputError{Problem: "--ipv4 and --ipv6 together leave nothing to connect to", Hint: "without either, both families are connected to"}}
	case four:
		return audit.IPv4, nil
	case six:
		return audit.IPv6, nil
	}
	return "", nil
}

// wrongFamily is the error for an address that -4 or -6 leaves out.
func wrongFamily(addr netip.Addr) error {
	is, flag := "IPv4", "ipv6"
	if addr.Is6() {
		is, flag = "IPv6", "ipv4"
	}
	return &flagError{[]string{flag}, &audit.InputError{Problem: fmt.Sprintf("%s is an %s address, and --%s leaves those out", addr, is, flag), Hint: "leave one of the two out"}}
}

// ownVantage is the name of the place that is looked from, where nobody gives
// one. Through a proxy another place is seen from, with a history of its own.
func (p *program) ownVantage(proxy netip.AddrPort) string {
	name := p.hostName
	if proxy.IsValid() {
		name += " via " + proxy.String()
	}
	return audit.Raw(name).Clip(maxWord).String()
}
