package audit

import (
	"net/netip"
	"slices"
)

// spfVaries are the macro letters that stand for the client or the sender.
// %{d} is the domain whose record it is, and %{o} the one that is checked: both
// are the same whoever sends.
const spfVaries = "slipvhcrt"

// StaticTarget is the name that a term in the record of domain asks for, when
// root is the domain that is checked: in the octets that go on the wire, as
// SPFText.Target has it. ok is false where it depends on who sends.
func (t SPFTerm) StaticTarget(domain, root string) (target string, ok bool) {
	if t.Domain.IsZero() {
		return domain, true
	}
	if t.Domain.Uses(spfVaries) {
		return "", false
	}
	return t.Domain.Target(SPFMacros{Domain: domain, Origin: root}), true
}

// Reached are the terms that evaluation can come to, in its order: the
// mechanisms up to the first all, and without one the redirect (RFC 7208
// sections 4.7 and 6.1).
func (r SPFRecord) Reached() []SPFTerm {
	var out []SPFTerm
	for _, t := range r.Terms {
		if !t.Modifier {
			out = append(out, t)
		}
		if t.IsAll() {
			return out
		}
	}
	redirect, ok := r.Find("redirect")
	if ok {
		out = append(out, redirect)
	}
	return out
}

// NewSPFPolicy puts the tree of a domain together from what is known. It is
// deterministic, and its tree has each record at most twice with its terms.
func NewSPFPolicy(domain string, known SPFKnown) SPFPolicy {
	name, _ := WireName(domain)
	g := &spfGrower{known: known, root: domain, done: map[spfSeen]spfGrown{}, vendors: map[DNSName]string{}}
	g.policy = SPFPolicy{Domain: name, Exact: true, Questions: known.Questions}
	tree, set := g.record(name, domain, true)
	p := &g.policy
	p.Tree, p.Lookups, p.VoidLookups = tree, g.spent.Lookups, max(g.spent.Voids4, g.spent.Voids6)
	p.Authorised = set.ranges()
	for _, n := range g.nets {
		if isHuge(n.Network) {
			p.Huge = append(p.Huge, n)
		}
	}
	p.HugeLeftOut, p.Huge = cutOff(p.Huge)
	p.Overlaps = spfOverlaps(g.nets)
	p.OverlapsLeftOut, p.Overlaps = cutOff(p.Overlaps)
	return *p
}

// cutOff keeps the first MaxFollowed.
func cutOff[T any](list []T) (leftOut int, kept []T) {
	n := min(len(list), MaxFollowed)
	return len(list) - n, list[:n:n]
}

// spfGrower is a tree that grows, in the order in which evaluation goes.
type spfGrower struct {
	policy SPFPolicy
	known  SPFKnown
	root   string
	path   []DNSName // the records that lead to the one at hand
	done   map[spfSeen]spfGrown
	spent  SPFCost
	nets   []SPFNetwork // that are authorised

	vendors map[DNSName]string // by record; "" is nobody that is known
}

// spfSeen is a record, and whether those that it passes pass the domain: an
// include that is not "+" has them pass for nothing.
type spfSeen struct {
	name   DNSName
	passes bool
}

// spfGrown is what has come of a record.
type spfGrown struct {
	cost   SPFCost
	set    spfSet
	ranges SPFRanges
}

// record grows the branch of a record.
func (g *spfGrower) record(name DNSName, domain string, passes bool) (*SPFBranch, spfSet) {
	b := &SPFBranch{Domain: name, Vendor: g.vendor(name)}
	var ok bool
	b.SPFSource, ok = g.known.Records[name]
	if !ok {
		b.Answer = Reason{NotAsked, "the policy has more records than are followed"}
		g.policy.NotAsked++
	}
	if !ok || b.State == Unknown {
		g.policy.Exact = false
	}
	before := g.spent
	seen := spfSeen{name, passes}
	grown, repeat := g.done[seen]
	switch {
	case slices.Contains(g.path, name):
		b.Loop = true
	case repeat:
		b.Repeat = true
		g.spent.add(grown.cost)
	case len(b.Records) == 1:
		g.path = append(g.path, name)
		set := g.terms(b, domain, passes)
		g.path = g.path[:len(g.path)-1]
		grown = spfGrown{g.spent.less(before), set, set.ranges()}
		g.done[seen] = grown
	}
	if b.Loop || grown.ranges.IP6 == "" { // nothing was grown
		grown.set, grown.ranges = spfSet{}, spfSet{}.ranges()
	}
	b.SPFCost, b.Authorised = g.spent.less(before), grown.ranges
	return b, grown.set
}

// vendor is who runs a record, looked up once: a record can be included a
// thousand times.
func (g *spfGrower) vendor(name DNSName) string {
	known, ok := g.vendors[name]
	if !ok {
		v, _ := VendorOf(name)
		known = v.Name
		g.vendors[name] = known
	}
	return known
}

// terms grows the terms of a record. One with a fault has none that is
// evaluated (RFC 7208 section 4.6).
func (g *spfGrower) terms(b *SPFBranch, domain string, passes bool) spfSet {
	record := ParseSPF(b.Records[0])
	b.Faults = record.Faults
	var all spfSet
	if len(b.Faults) > 0 {
		return all
	}
	var list []SPFTerm
	for _, t := range record.Terms {
		if !t.Modifier {
			list = append(list, t)
		}
	}
	redirect, ok := record.Find("redirect")
	if ok {
		list = append(list, redirect)
	}
	reached := len(record.Reached())
	joined := map[spfSeen]bool{} // an include that is there a thousand times adds nothing
	for i, t := range list {
		out := SPFPolicyTerm{Term: t.Text, At: t.At, Dead: i >= reached, Authorised: spfSet{}.ranges()}
		if !out.Dead {
			set := g.term(&out, t, b.Domain, domain, passes)
			key := spfSeen{out.Target, passes && t.passes()}
			if out.Branch == nil {
				out.Authorised = set.ranges()
			} else {
				out.Authorised = out.Branch.Authorised
			}
			if out.Branch == nil || !joined[key] {
				all.join(set)
			}
			joined[key] = joined[key] || out.Branch != nil
		}
		out.LookupsThen = g.spent.Lookups
		b.Terms = append(b.Terms, out)
	}
	all.nets = spfOutermost(all.nets)
	return all
}

// term grows one term that evaluation comes to.
func (g *spfGrower) term(out *SPFPolicyTerm, t SPFTerm, in DNSName, domain string, passes bool) spfSet {
	before := g.spent
	at := SPFMatch{Domain: in, Term: t.Text, At: t.At}
	passes = passes && t.passes()
	var set spfSet
	switch {
	case t.Name == "all":
		set.everyone = passes
	case t.Network.IsValid():
		set = g.allow(at, passes, t.Network)
	case t.Looks():
		g.spend(t)
		set = g.follow(out, t, at, domain, passes)
	}
	out.SPFCost = g.spent.less(before)
	if before.Lookups <= SPFMaxLookups && g.spent.Lookups > SPFMaxLookups && g.policy.Over == nil {
		out.Crosses, g.policy.Over = true, &at
	}
	if g.policy.OverVoids == nil && max(g.spent.Voids4, g.spent.Voids6) > SPFMaxVoids {
		g.policy.OverVoids = &at
	}
	return set
}

// passes reports whether a client that the term matches passes.
func (t SPFTerm) passes() bool { return t.Qualifier == '+' || t.Modifier }

// spend counts the lookup of a term, and the one for %{p} (RFC 7208 section
// 4.6.4).
func (g *spfGrower) spend(t SPFTerm) {
	cost := SPFCost{Lookups: 1}
	if t.Domain.Uses("p") {
		cost.Lookups++
	}
	g.spent.add(cost)
}

// follow goes where a term leads.
func (g *spfGrower) follow(out *SPFPolicyTerm, t SPFTerm, at SPFMatch, domain string, passes bool) spfSet {
	others := spfSet{others: passes}
	target, ok := t.StaticTarget(domain, g.root)
	out.Varies = !ok
	leads := t.Name == "include" || t.Name == "redirect"
	if out.Varies && leads {
		g.policy.Exact = false
	}
	if out.Varies {
		return others
	}
	out.Target, ok = WireName(target)
	switch {
	case t.Name == "ptr":
		return others
	case !ok: // as if it did not exist
		g.spent.add(SPFCost{Voids4: 1, Voids6: 1})
		return spfSet{}
	case leads:
		branch, set := g.record(out.Target, target, passes)
		out.Branch = branch
		if branch.State == Absent {
			g.spent.add(SPFCost{Voids4: 1, Voids6: 1})
		}
		if branch.Loop {
			g.policy.Loops = append(g.policy.Loops, at)
			g.policy.Exact = false // an evaluation goes round until its lookups are used up
		}
		return set
	}
	found, ok := g.known.Found[SPFAsk{t.Name, out.Target}]
	if !ok {
		g.policy.NotAsked++
		return spfSet{}
	}
	out.Found = &found
	g.spent.add(SPFCost{Voids4: one(found.Void4), Voids6: one(found.Void6)})
	if t.Name == "exists" { // the same for everyone, as the name is
		return spfSet{everyone: passes && found.State == Seen}
	}
	return g.allow(at, passes, found.networks(t)...)
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// networks are those around the addresses that an a or mx finds.
func (f SPFFound) networks(t SPFTerm) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range f.IP4 {
		out = append(out, netip.PrefixFrom(a, t.Bits4).Masked())
	}
	for _, a := range f.IP6 {
		out = append(out, netip.PrefixFrom(a, t.Bits6).Masked())
	}
	return spfOutermost(out)
}

// allow has networks pass because of a term.
func (g *spfGrower) allow(at SPFMatch, passes bool, nets ...netip.Prefix) spfSet {
	if !passes {
		return spfSet{}
	}
	for _, n := range nets {
		g.nets = append(g.nets, SPFNetwork{n, at})
	}
	return spfSet{nets: nets}
}
