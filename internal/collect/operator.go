package collect

import (
	"net/netip"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/dnscheck"
	"mailaudit/internal/smtp"
)

// operator is somebody who runs mail servers, as far as that can be told from
// outside without asking anybody: a registrable domain ("outlook.com"), or a
// network ("192.0.2.0/24"). Servers with one of the two in common are taken to
// be his. Names alone would miss the customers' names of one provider, networks
// alone the provider with data centres everywhere.
type operator string

// The networks that are taken to be one operator's. A /24 is the smallest that
// is routed on its own, and a /48 what a site gets (RFC 6177).
const (
	bitsIPv4 = 24
	bitsIPv6 = 48
)

// operatorsOf are those of a server that was looked at.
func operatorsOf(e audit.Endpoint) []operator {
	return operators(smtp.Target{Host: e.Host, Addr: e.Addr})
}

// operators are those of a server: its name's, where that is one, then its
// network's.
func operators(t smtp.Target) []operator {
	var out []operator
	if name := registrable(t.Host); name != "" {
		out = append(out, operator(name))
	}
	addr, bits := t.Addr.Unmap(), bitsIPv4
	if addr.Is6() {
		bits = bitsIPv6
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		network = netip.PrefixFrom(addr, addr.BitLen()) // no address: nothing will be connected to
	}
	return append(out, operator(network.String()))
}

// registrable is the registrable domain of a host name; the name itself where
// it has none, and empty for an address. It never looks like a network, whatever
// octets the name has: nobody may wait for himself.
func registrable(host audit.DNSName) string {
	name := strings.ToLower(strings.TrimSuffix(string(host), "."))
	_, err := netip.ParseAddr(name)
	domain, ok := dnscheck.Registrable(host)
	switch {
	case ok:
		name = string(domain)
	case err == nil || strings.HasPrefix(name, "["):
		return ""
	}
	return strings.ReplaceAll(name, "/", "_")
}
