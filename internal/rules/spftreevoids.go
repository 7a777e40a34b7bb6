package rules

import (
	"fmt"
	"slices"

	"mailaudit/internal/audit"
)

// A lookup is void where the question of the term itself finds no name or no
// record (RFC 7208 section 4.6.4): of a the address of the client's family, of mx
// the MX records and not the addresses of the hosts, of exists the A record, of
// include and redirect the TXT records, whatever they say.

// spfVoid is a term that looks something up in vain.
type spfVoid struct {
	spfPlace
	four, six bool // for clients of which family
	what      string
}

// String names the term and what it does not find.
func (v spfVoid) String() string { return v.spfPlace.String() + " (" + v.what + ")" }

// void is what a term does not find; ok is false where it finds something, or
// where that is not known.
func (t *spfTree) void(p spfPlace) (v spfVoid, ok bool) {
	v.spfPlace = p
	switch {
	case p.term.Varies || p.spec.Is("ptr") || !p.spec.Looks():
		return v, false
	case p.term.Target == "":
		v.four, v.six, v.what = true, true, "no name that the DNS can have"
	case p.term.Branch != nil && p.term.Branch.State == audit.Absent:
		v.four, v.six, v.what = true, true, noSuch(p.term.Branch.Answer.Code, "no TXT record")
	case p.term.Found != nil:
		f := p.term.Found
		v.four, v.six = f.Void4, f.Void6
		switch {
		case !f.Void4:
			v.what = "no IPv6 address"
		case !f.Void6:
			v.what = "no IPv4 address"
		case p.spec.Is("mx"):
			v.what = noSuch(f.Answer.Code, "no MX record")
		case p.spec.Is("exists"):
			v.what = noSuch(f.Answer.Code, "no A record")
		default:
			v.what = noSuch(f.Answer.Code, "no address")
		}
	}
	return v, v.four || v.six
}

func noSuch(code audit.Code, nodata string) string {
	if code == audit.NXDomain {
		return "no such name"
	}
	return nodata
}

func judgeSPFVoids(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain, p := s.Domain.String(), t.policy
	varying := t.varying()
	switch {
	case p.VoidLookups > audit.SPFMaxVoids:
		t.failVoids(s, r)
	case len(p.Loops) > 0:
		r.NA(domain, "the policy leads back to itself: see spf.loop")
	case !t.whole(s, r):
	case !t.targetsKnown(domain, r):
	case p.VoidLookups+varying > audit.SPFMaxVoids:
		r.Unknown(domain, audit.Reason{Code: audit.NotLearned, Text: "whether some of the terms find anything depends on who sends"},
			Seen(t.command(), fmt.Sprintf("%d void lookups, and %d terms with the client or the sender in their names", p.VoidLookups, varying)))
	default:
		r.Pass(domain, fmt.Sprintf("%d of the DNS lookups of SPF find nothing", p.VoidLookups), Seen(t.command(), fmt.Sprintf("%d void lookups", p.VoidLookups)))
	}
}

// targetsKnown reports whether it is known of all terms whether they find
// something; if not, it has said so for the rule.
func (t *spfTree) targetsKnown(domain string, r *Report) bool {
	for _, p := range t.places {
		if !p.asks() || p.term.Target == "" {
			continue
		}
		f, _ := t.target(p)
		ok := true
		switch p.spec.Name {
		case "mx":
			ok = Gather(f.Hosts).Complete(r, domain)
		case "exists":
			ok = Gather(f.A).Complete(r, domain)
		default:
			ok = Gather(f.A, f.AAAA).Complete(r, domain)
		}
		if !ok {
			return false
		}
	}
	return true
}

// varying is how many lookups are void for some clients and not for others: of
// ptr, and of terms with the client or the sender in their names. A record that
// is in the tree twice counts twice.
func (t *spfTree) varying() int {
	own := map[audit.DNSName]int{} // of a record and all below it
	const most = audit.SPFMaxVoids + 1
	var count func(b *audit.SPFBranch) int
	count = func(b *audit.SPFBranch) int {
		if b.Repeat || b.Loop {
			return own[b.Domain]
		}
		n := 0
		for _, p := range t.places {
			if p.in != b {
				continue
			}
			switch {
			case p.term.Branch != nil:
				n += count(p.term.Branch)
			case p.term.Varies && !p.leads() || p.spec.Is("ptr"):
				n++
			}
			n = min(n, most)
		}
		own[b.Domain] = n
		return n
	}
	return count(t.policy.Tree)
}

func (t *spfTree) failVoids(s *audit.Snapshot, r *Report) {
	domain, p := s.Domain.String(), t.policy
	four, six := p.Tree.Voids4 > audit.SPFMaxVoids, p.Tree.Voids6 > audit.SPFMaxVoids
	whose := map[bool]string{true: "", false: " for clients with an IPv6 address"}[four]
	if !six {
		whose = " for clients with an IPv4 address"
	}
	var voids []spfVoid
	places := t.find(func(p spfPlace) bool {
		v, ok := t.void(p)
		return ok && (v.four && four || v.six && six)
	})
	fix := audit.Fix{Summary: "have fewer terms that find nothing"}
	for _, p := range places {
		v, _ := t.void(p)
		voids = append(voids, v)
		if t.ours(p.in.Domain) && len(fix.Steps) < spfShown {
			fix.Steps = append(fix.Steps, t.voidStep(v))
		}
	}
	fix.Steps = append(fix.Steps, t.notOurs(places, "which of its terms find nothing")...)
	detail := fmt.Sprintf("%d of the DNS lookups of SPF find nothing%s, and receivers stop at the third: %s", p.VoidLookups, whose, some(voids, 2*spfShown))
	if p.OverVoids != nil && p.VoidLookups > len(voids) {
		detail += "; the third is " + t.match(*p.OverVoids)
	}
	r.Fail(domain, Fault{Detail: detail, Evidence: append(t.evidence(places...), Seen(t.command(), fmt.Sprintf("%d void lookups", p.VoidLookups))), Fix: fix})
}

// voidStep is what to do about a term of the domain's own.
func (t *spfTree) voidStep(v spfVoid) string {
	switch {
	case v.four && !v.six:
		return "name the hosts of " + v.spfPlace.String() + " by ip6, if they send: for IPv4 clients the term is in vain"
	case v.six && !v.four:
		return "name the hosts of " + v.spfPlace.String() + " by ip4, if they send and are your own: for IPv6 clients the term is in vain"
	}
	return "correct the name in " + v.spfPlace.String() + "; if what it stood for is no more, take the term out: it authorises nobody"
}

// judgeSPFEmpty is about the domain's own record: terms of others are theirs to
// look after. An mx without MX records is for spf.mx-without-mx.
func judgeSPFEmpty(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	all := t.find(func(p spfPlace) bool { return p.own && p.asks() && !t.withoutMX(p) })
	var empty []spfPlace
	var dark *audit.Obs[audit.Nothing]
	for _, p := range all {
		nothing, doubt := t.findsNothing(p)
		if nothing {
			empty = append(empty, p)
		}
		if dark == nil {
			dark = doubt
		}
	}
	switch {
	case len(empty) > 0:
		fix := audit.Fix{Summary: "correct the names"}
		for _, p := range empty[:min(len(empty), 2*spfShown)] {
			fix.Steps = append(fix.Steps, "correct the name in "+p.spec.Quoted()+", or publish the addresses of the host that it stands for; if there is no such host any more, take the term out: it authorises nobody")
		}
		r.Fail(domain, Fault{
			Detail:   "terms of the SPF record find nothing, and authorise nobody: " + some(empty, 2*spfShown),
			Evidence: append(t.evidence(), t.foundEvidence(empty[:min(len(empty), 2*spfShown)])...), Fix: fix,
		})
	case dark != nil:
		open(r, domain, dark.State, dark.Why, dark.Via)
	case len(all) == 0:
		r.NA(domain, "the SPF record has no a, mx or exists with a name that is the same whoever sends, and that this rule looks at")
	default:
		r.Pass(domain, "every a, mx and exists of the SPF record finds something", append(t.evidence(), t.foundEvidence(all[:min(len(all), 2*spfShown)])...)...)
	}
}

// withoutMX reports whether a term is an mx of a name that is known to have no
// mail servers.
func (t *spfTree) withoutMX(p spfPlace) bool {
	f, _ := t.target(p)
	return p.spec.Is("mx") && noHosts(f.Hosts)
}

// findsNothing reports whether a term matches nobody because there is no
// address; dark is the observation without which that cannot be told.
func (t *spfTree) findsNothing(p spfPlace) (nothing bool, dark *audit.Obs[audit.Nothing]) {
	if p.term.Target == "" {
		return true, nil
	}
	f, _ := t.target(p)
	addrs := Gather(f.A, f.AAAA)
	if p.spec.Is("exists") {
		addrs = Gather(f.A)
	}
	if p.spec.Is("mx") {
		hosts := Gather(f.Hosts)
		switch {
		case hosts.dark != nil:
			return false, hosts.dark
		case len(hosts.Values) == 0:
			return true, nil
		case f.HostsLeftOut > 0: // nobody looks at their addresses: see spf.mx-too-many
			return false, nil
		}
	}
	if len(addrs.Values) > 0 {
		return false, nil
	}
	return addrs.dark == nil, addrs.dark
}

// foundEvidence is what the questions of terms brought.
func (t *spfTree) foundEvidence(places []spfPlace) []string {
	var out []string
	for _, p := range places {
		f, _ := t.target(p)
		out = slices.Concat(out, brought(f.Hosts), brought(f.A), brought(f.AAAA))
	}
	return out
}

// brought is a line of evidence, or none where there is no one command that
// asks.
func brought[T fmt.Stringer](o audit.Obs[[]T]) []string {
	values, ok := seen(o)
	switch {
	case o.Via == "":
		return nil
	case ok:
		return []string{Seen(o.Via, texts(values)...)}
	}
	return []string{Seen(o.Via, string(o.Why.Code))}
}
