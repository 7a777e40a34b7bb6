package audit

import "net/netip"

// specialRange is a row of the IANA special-purpose address registries
// (RFC 6890; https://www.iana.org/assignments/iana-ipv4-special-registry and
// iana-ipv6-special-registry) or of the multicast registries: addresses that
// are not hosts on the public internet.
type specialRange struct {
	prefix string
	what   string
}

// specialRanges is read in order; the first match names the address.
func specialRanges() []specialRange {
	return []specialRange{
		{"0.0.0.0/8", "this network (RFC 791)"},
		{"10.0.0.0/8", "private (RFC 1918)"},
		{"100.64.0.0/10", "shared address space of carriers (RFC 6598)"},
		{"127.0.0.0/8", "loopback (RFC 1122)"},
		{"169.254.169.254/32", "cloud metadata service"},
		{"169.254.0.0/16", "link local (RFC 3927)"},
		{"172.16.0.0/12", "private (RFC 1918)"},
		{"192.0.0.0/24", "IETF protocol assignments (RFC 6890)"},
		{"192.0.2.0/24", "documentation (RFC 5737)"},
		{"192.88.99.0/24", "6to4 relay anycast, withdrawn (RFC 7526)"},
		{"192.168.0.0/16", "private (RFC 1918)"},
		{"198.18.0.0/15", "benchmarking (RFC 2544)"},
		{"198.51.100.0/24", "documentation (RFC 5737)"},
		{"203.0.113.0/24", "documentation (RFC 5737)"},
		{"224.0.0.0/4", "multicast (RFC 5771)"},
		{"240.0.0.0/4", "reserved (RFC 1112)"},
		{"::/128", "unspecified (RFC 4291)"},
		{"::1/128", "loopback (RFC 4291)"},
		{"::ffff:0:0/96", "IPv4-mapped (RFC 4291)"},
		{"::/96", "IPv4-compatible, withdrawn (RFC 4291)"},
		{"64:ff9b::/96", "NAT64 (RFC 6052)"},
		{"64:ff9b:1::/48", "local NAT64 (RFC 8215)"},
		{"100::/64", "discard only (RFC 6666)"},
		{"100:0:0:1::/64", "dummy prefix (RFC 9780)"},
		{"2001::/32", "Teredo (RFC 4380)"},
		{"2001:2::/48", "benchmarking (RFC 5180)"},
		{"2001:db8::/32", "documentation (RFC 3849)"},
		{"2001::/23", "IETF protocol assignments (RFC 2928)"},
		{"2002::/16", "6to4 (RFC 3056)"},
		{"3fff::/20", "documentation (RFC 9637)"},
		{"5f00::/16", "segment routing (RFC 9602)"},
		{"fc00::/7", "private, unique local (RFC 4193)"},
		{"fe80::/10", "link local (RFC 4291)"},
		{"fec0::/10", "site local, withdrawn (RFC 3879)"},
		{"ff00::/8", "multicast (RFC 4291)"},
	}
}

// Special says what kind of special-purpose address addr is, or "" when it
// can be a host on the public internet. IPv6 outside 2000::/3 is special:
// nothing else has been allocated (RFC 4291 2.4).
func Special(addr netip.Addr) string {
	for _, row := range specialRanges() {
		if netip.MustParsePrefix(row.prefix).Contains(addr.WithZone("")) {
			return row.what
		}
	}
	if !addr.IsValid() {
		return "no address"
	}
	if addr.Is6() && !netip.MustParsePrefix("2000::/3").Contains(addr) {
		return "not allocated (RFC 4291)"
	}
	return ""
}
