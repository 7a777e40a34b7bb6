package audit

import (
	"cmp"
	"math/big"
	"net/netip"
	"slices"
)

// SPFRanges is whom a record or a term authorises: who passes because of it,
// as far as that is written in addresses. Terms that take some of them out
// again (-ip4) are not taken off.
type SPFRanges struct {
	Networks int    `json:"networks"`           // none of which lies in another one
	IP4      uint64 `json:"ip4"`                // addresses, each counted once
	IP6      string `json:"ip6"`                // the same; a decimal number that can have 39 digits
	Everyone bool   `json:"everyone,omitempty"` // +all
	// Others: others as well, whom exists, ptr or a name with the client in it
	// lead to.
	Others bool `json:"others,omitempty"`
}

// SPFNetwork is a network and the term that authorises it.
type SPFNetwork struct {
	Network netip.Prefix `json:"network"`
	SPFMatch
}

// SPFOverlap is a network that lies in another one.
type SPFOverlap struct {
	SPFNetwork
	By SPFNetwork `json:"by"`
}

// The largest networks that are not called huge. No mail provider publishes
// more than a /14 in one piece (Microsoft does), and a /32 is what a registry
// gives a whole internet provider (RFC 6177, ripe-738 section 5.1).
const (
	spfHuge4 = 14
	spfHuge6 = 32
)

// spfSet are networks, and who passes besides them.
type spfSet struct {
	nets             []netip.Prefix
	everyone, others bool
}

// join adds another set.
func (s *spfSet) join(o spfSet) {
	s.everyone, s.others = s.everyone || o.everyone, s.others || o.others
	s.nets = append(s.nets, o.nets...)
}

// ranges counts a set.
func (s spfSet) ranges() SPFRanges {
	r := SPFRanges{Everyone: s.everyone, Others: s.others}
	six := new(big.Int)
	for _, n := range spfOutermost(s.nets) {
		r.Networks++
		size := uint(n.Addr().BitLen() - n.Bits())
		if n.Addr().Is4() {
			r.IP4 += 1 << size
			continue
		}
		six.Add(six, new(big.Int).Lsh(big.NewInt(1), size))
	}
	r.IP6 = six.String()
	return r
}

// spfOutermost are the networks that lie in no other one, sorted. Two networks
// either have nothing in common, or one lies in the other.
func spfOutermost(nets []netip.Prefix) []netip.Prefix {
	sorted := slices.SortedFunc(slices.Values(nets), comparePrefix)
	var out []netip.Prefix
	for _, n := range sorted {
		if len(out) == 0 || !covers(out[len(out)-1], n) {
			out = append(out, n)
		}
	}
	return out
}

// comparePrefix sorts networks so that those within one come right behind it.
func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// covers reports whether b lies in a, or is a.
func covers(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }

// spfOverlaps finds the networks that lie in one of another term: each with the
// smallest that holds it.
func spfOverlaps(nets []SPFNetwork) []SPFOverlap {
	sorted := slices.SortedStableFunc(slices.Values(nets), func(a, b SPFNetwork) int { return comparePrefix(a.Network, b.Network) })
	var out []SPFOverlap
	var around []SPFNetwork // those that the next one may lie in, the smallest last
	for _, n := range sorted {
		for len(around) > 0 && !covers(around[len(around)-1].Network, n.Network) {
			around = around[:len(around)-1]
		}
		for i := len(around) - 1; i >= 0; i-- {
			if around[i].SPFMatch != n.SPFMatch {
				out = append(out, SPFOverlap{n, around[i]})
				break
			}
		}
		around = append(around, n)
	}
	return out
}

func isHuge(n netip.Prefix) bool {
	if n.Addr().Is4() {
		return n.Bits() < spfHuge4
	}
	return n.Bits() < spfHuge6
}

// SPFRangesOf counts what some networks hold together.
func SPFRangesOf(nets []netip.Prefix) SPFRanges { return spfSet{nets: nets}.ranges() }
