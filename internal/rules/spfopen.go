package rules

import (
	"net/netip"

	"mailaudit/internal/audit"
)

func judgeSPFOpen(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
	if !ok {
		return
	}
	domain, evidence := s.Domain.String(), txtEvidence(s.Facts.SPF.Records)
	how := spfPassesAll(record)
	if how == "" {
		r.Pass(domain, "no term of the record itself passes every address")
		return
	}
	steps := []string{
		"list everything that sends mail as " + domain,
		"name it in the record by ip4, ip6, a, mx or include, in place of the terms that pass everyone, and end the record in ~all",
	}
	if parked(s) {
		steps = []string{"the domain takes no mail: if it sends none either, replace the record by \"v=spf1 -all\""}
	}
	r.Fail(domain, Fault{
		Detail: how + ": anyone can send as " + domain, Evidence: evidence,
		Fix: audit.Fix{Summary: "name those who send", Steps: steps},
	})
}

// spfPassesAll says how the record passes the whole world, or "". What stands
// behind all does not count.
func spfPassesAll(record audit.SPFRecord) string {
	var ranges []netip.Prefix
	end := record.All()
	for i, t := range record.Terms {
		if end >= 0 && i > end || t.Qualifier != '+' {
			continue
		}
		if i == end {
			return "the term " + t.Quoted() + " passes every address"
		}
		if t.Network.IsValid() {
			ranges = append(ranges, t.Network)
		}
	}
	switch everyAddress(ranges) {
	case audit.IPv4:
		return "the ip4 terms pass every IPv4 address"
	case audit.IPv6:
		return "the ip6 terms pass every IPv6 address"
	}
	return ""
}

// everyAddress is the family that networks hold whole, or empty. That is all
// unicast addresses: the classes A to C of IPv4, and all of IPv6 that is assigned
// to anyone (RFC 4291 section 2.4; 2000::/3 is the only block in use). A range of
// /0 holds them, and so may several together.
func everyAddress(nets []netip.Prefix) audit.Family {
	switch {
	case covered("0.0.0.0/1", nets) && covered("128.0.0.0/2", nets) && covered("192.0.0.0/3", nets):
		return audit.IPv4
	case covered("2000::/3", nets):
		return audit.IPv6
	}
	return ""
}

// covered reports whether the ranges together hold all of a prefix.
func covered(prefix string, ranges []netip.Prefix) bool {
	return coveredBy(netip.MustParsePrefix(prefix), ranges)
}

// coveredBy halves the prefix where a range lies inside it, so it goes no
// deeper than the narrowest range. Each half looks only at the ranges that reach
// into it: a record can have thousands.
func coveredBy(p netip.Prefix, ranges []netip.Prefix) bool {
	var inside []netip.Prefix
	for _, q := range ranges {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
		if p.Overlaps(q) {
			inside = append(inside, q)
		}
	}
	if len(inside) == 0 {
		return false
	}
	upper := p.Addr().AsSlice()
	upper[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	a, _ := netip.AddrFromSlice(upper)
	return coveredBy(netip.PrefixFrom(p.Addr(), p.Bits()+1), inside) && coveredBy(netip.PrefixFrom(a, p.Bits()+1), inside)
}
