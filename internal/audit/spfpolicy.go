package audit

import "net/netip"

// SPFPolicy is all that a domain says with SPF, whoever sends: the tree of its
// records, and what follows from it. It is what an evaluation in which nothing
// matches before the end would come to; unlike one it goes on past the limits,
// so that it is seen which branch costs so much.
type SPFPolicy struct {
	Domain DNSName `json:"domain"`
	// Lookups is how many lookups a client takes that no term matches before
	// the last all: the worst case, which decides (RFC 7208 section 4.6.4).
	// It is the least that it can be where Exact is false: records are not known,
	// were left out, lie where the sender leads, or lead back to themselves.
	Lookups int  `json:"lookups"`
	Exact   bool `json:"exact"`
	// VoidLookups is how many of them find nothing, for clients of the family
	// that has more; those of ptr, and of terms with the sender in their names,
	// are known of no policy.
	VoidLookups int `json:"void_lookups"`
	// Over is the term at which the eleventh lookup falls, OverVoids that of
	// the third that is in vain.
	Over      *SPFMatch `json:"over,omitempty"`
	OverVoids *SPFMatch `json:"over_voids,omitempty"`
	// Loops are the terms that lead back to a record that they are reached from.
	Loops []SPFMatch `json:"loops,omitempty"`

	Authorised SPFRanges `json:"authorised"`
	// Huge are the networks that are larger than any sender's, Overlaps those
	// that lie in another one of the policy; MaxFollowed of each at most, and
	// how many more there are.
	Huge            []SPFNetwork `json:"huge,omitempty"`
	HugeLeftOut     int          `json:"huge_left_out,omitempty"`
	Overlaps        []SPFOverlap `json:"overlaps,omitempty"`
	OverlapsLeftOut int          `json:"overlaps_left_out,omitempty"`

	Questions int `json:"questions"` // that were asked for it, aliases not counted
	// NotAsked is how many terms lead to what was not asked for, because there
	// is more than a survey follows.
	NotAsked int        `json:"not_asked,omitempty"`
	Tree     *SPFBranch `json:"tree"`
}

// SPFBranch is a record in the tree, with all below it.
type SPFBranch struct {
	Domain DNSName `json:"domain"`
	Vendor string  `json:"vendor,omitempty"` // who runs it, as far as Vendors knows
	SPFSource
	Faults []SPFFault `json:"faults,omitempty"`
	// Loop: the record is one of those that lead here. Repeat: it is in the
	// tree already, and only its counters are told again.
	Loop   bool            `json:"loop,omitempty"`
	Repeat bool            `json:"repeat,omitempty"`
	Terms  []SPFPolicyTerm `json:"terms,omitempty"`

	SPFCost
	Authorised SPFRanges `json:"authorised"`
}

// SPFCost is what a record or a term takes, with all that is below it. Numbers
// beyond maxSPFCost are that.
type SPFCost struct {
	Lookups int `json:"lookups"`
	Voids4  int `json:"void_lookups_ip4"` // in vain for clients with an IPv4 address
	Voids6  int `json:"void_lookups_ip6"`
}

// maxSPFCost bounds counters: records that include one another twice and twice
// again double them with each level.
const maxSPFCost = 1_000_000

func (c *SPFCost) add(d SPFCost) {
	c.Lookups = min(c.Lookups+d.Lookups, maxSPFCost)
	c.Voids4 = min(c.Voids4+d.Voids4, maxSPFCost)
	c.Voids6 = min(c.Voids6+d.Voids6, maxSPFCost)
}

func (c SPFCost) less(d SPFCost) SPFCost {
	return SPFCost{c.Lookups - d.Lookups, c.Voids4 - d.Voids4, c.Voids6 - d.Voids6}
}

// SPFPolicyTerm is a term of a record in the tree: all mechanisms in order,
// and last the redirect.
type SPFPolicyTerm struct {
	Term Raw `json:"term"`
	At   int `json:"at"` // its place in the record, octets from 1
	// Dead: evaluation never comes to it, for it stands behind an all, or is a
	// redirect beside one.
	Dead bool `json:"dead,omitempty"`
	// Varies: the name that it asks for depends on the client or the sender.
	Varies bool      `json:"varies,omitempty"`
	Target DNSName   `json:"target,omitempty"` // that it asks for; empty where there is none
	Found  *SPFFound `json:"found,omitempty"`  // of a, mx and exists, where it was asked for
	// Crosses: the eleventh lookup falls here.
	Crosses bool       `json:"crosses,omitempty"`
	Branch  *SPFBranch `json:"branch,omitempty"` // of include and redirect

	SPFCost
	LookupsThen int       `json:"lookups_then"` // the counter when the term is done
	Authorised  SPFRanges `json:"authorised"`
}

// SPFKnown is what the DNS said of all that a policy leads to. What is in
// neither of the maps was not asked for.
type SPFKnown struct {
	Records   map[DNSName]SPFSource
	Found     map[SPFAsk]SPFFound
	Questions int
}

// SPFSource is the answer to a question for a record.
type SPFSource struct {
	Via    string    `json:"via,omitempty"`
	State  State     `json:"state,omitempty"`
	Answer Reason    `json:"answer,omitzero"`
	TTL    uint32    `json:"ttl,omitempty"` // seconds, as the resolver has it; not canonical
	Alias  []DNSName `json:"alias,omitempty"`
	// Records are the SPF records: one, if all is well.
	Records []Raw `json:"records,omitempty"`
}

// SPFAsk is what an a, mx or exists asks for.
type SPFAsk struct {
	Term   string // the name of the mechanism
	Target DNSName
}

// SPFFound is what it finds.
type SPFFound struct {
	Via    string `json:"via,omitempty"`
	State  State  `json:"state,omitempty"`
	Answer Reason `json:"answer,omitzero"`
	TTL    uint32 `json:"ttl,omitempty"` // the same as in SPFSource
	// Hosts are the mail servers of mx, SPFMaxNames at most: with more of them
	// the term is a permerror.
	Hosts        []DNSName `json:"hosts,omitempty"`
	HostsLeftOut int       `json:"hosts_left_out,omitempty"`
	// Addresses are the lowest, MaxFollowed of each family at most.
	IP4     []netip.Addr `json:"ip4,omitempty"`
	IP6     []netip.Addr `json:"ip6,omitempty"`
	LeftOut int          `json:"left_out,omitempty"`
	// Void4 and Void6 say that clients of a family find nothing.
	Void4 bool `json:"void_ip4,omitempty"`
	Void6 bool `json:"void_ip6,omitempty"`
	// Doubt is why not all addresses are known; empty when they are.
	Doubt Reason `json:"doubt,omitzero"`
}

// WithoutTTLs is the policy as canonical facts have it: TTLs fall by the second
// in a resolver's cache.
func (p SPFPolicy) WithoutTTLs() SPFPolicy {
	p.Tree = p.Tree.withoutTTLs()
	return p
}

func (b *SPFBranch) withoutTTLs() *SPFBranch {
	if b == nil {
		return nil
	}
	out := *b
	out.TTL, out.Terms = 0, nil
	for _, t := range b.Terms {
		if t.Found != nil {
			found := *t.Found
			found.TTL = 0
			t.Found = &found
		}
		t.Branch = t.Branch.withoutTTLs()
		out.Terms = append(out.Terms, t)
	}
	return &out
}
