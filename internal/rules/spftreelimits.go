package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// spfNear is from how many lookups on the limit is near. Providers change how
// many their records take: by one when they split a record.
const spfNear = audit.SPFMaxLookups - 1

// judgeSPFLookups: what is counted is the least that it can be where not all is
// known, so that a fail is one whatever is behind the rest.
func judgeSPFLookups(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain, p := s.Domain.String(), t.policy
	switch {
	case p.Lookups > audit.SPFMaxLookups:
		t.failLookups(s, r)
	case len(p.Loops) > 0:
		r.NA(domain, "the policy leads back to itself: see spf.loop")
	case t.whole(s, r):
		r.Pass(domain, fmt.Sprintf("SPF takes %d DNS lookups at most", p.Lookups), Seen(t.command(), lookups(p.Lookups)))
	}
}

func lookups(n int) string {
	if n == 1 {
		return "1 lookup"
	}
	return fmt.Sprintf("%d lookups", n)
}

func (t *spfTree) failLookups(s *audit.Snapshot, r *Report) {
	domain, n := s.Domain.String(), fmt.Sprint(t.policy.Lookups)
	if len(t.doubts)+len(t.policy.Loops) > 0 {
		n = "at least " + n
	}
	detail := fmt.Sprintf("SPF takes %s DNS lookups, and receivers stop at %d", n, audit.SPFMaxLookups)
	if t.policy.Over != nil {
		detail += ": the eleventh is for " + t.match(*t.policy.Over)
	}
	costly := t.costliest()
	if len(costly) > 0 {
		detail += "; what takes most is " + t.costs(costly)
	}
	f := Fault{Detail: detail, Evidence: append(t.evidence(costly...), Seen(t.command(), n+" lookups")), Fix: t.lookupsFix(domain, costly)}
	if sendersPass(s) {
		f.Severity = audit.Medium
		f.Detail += "; the addresses known to send pass before it comes to that"
	}
	r.Fail(domain, f)
}

// sendersPass reports whether all addresses that are known to send pass: their
// evaluation ends before an eleventh lookup, which would be a permerror.
func sendersPass(s *audit.Snapshot) bool {
	senders := s.Facts.SPF.Senders
	for _, sender := range senders {
		v, ok := seen(sender.Verdict)
		if !ok || v.Result != audit.SPFPass {
			return false
		}
	}
	return len(senders) > 0 && len(senders) >= len(s.Scope.SendingIPs)
}

// match says which term of whose record it is.
func (t *spfTree) match(m audit.SPFMatch) string {
	i := slices.IndexFunc(t.places, func(p spfPlace) bool { return p.in.Domain == m.Domain && p.term.At == m.At })
	if i >= 0 {
		return t.places[i].String()
	}
	return audit.SPFTerm{Text: m.Term}.Quoted() + " in the record of " + m.Domain.String()
}

// costliest are the terms that take most lookups, two at least, the most first.
// Records of the domain itself are seen through, and so is a record that is the
// only one with a cost: what helps is to know which of its terms it is.
func (t *spfTree) costliest() []spfPlace {
	out := t.costsIn(t.policy.Tree)
	for len(out) == 1 && out[0].term.Branch != nil {
		deeper := t.costsIn(out[0].term.Branch)
		if len(deeper) == 0 {
			break
		}
		out = deeper
	}
	out = slices.DeleteFunc(out, func(p spfPlace) bool { return p.term.Lookups < 2 })
	slices.SortStableFunc(out, func(a, b spfPlace) int { return cmp.Compare(b.term.Lookups, a.term.Lookups) })
	return out[:min(len(out), spfShown)]
}

// costsIn are the terms of a record that look something up.
func (t *spfTree) costsIn(b *audit.SPFBranch) []spfPlace {
	var out []spfPlace
	for _, p := range t.places {
		if p.in != b || p.term.Lookups == 0 {
			continue
		}
		below := p.term.Branch
		if below != nil && !below.Repeat && !below.Loop && t.ours(below.Domain) {
			out = append(out, t.costsIn(below)...)
			continue
		}
		out = append(out, p)
	}
	return out
}

// costs says of terms what they take.
func (t *spfTree) costs(places []spfPlace) string {
	var words []string
	for _, p := range places {
		words = append(words, costly(p)+" with "+fmt.Sprint(p.term.Lookups))
	}
	return strings.Join(words, ", ")
}

// costly is a term, with who runs what it leads to.
func costly(p spfPlace) string {
	if p.term.Branch == nil || p.term.Branch.Vendor == "" {
		return p.spec.Quoted()
	}
	return p.spec.Quoted() + " (" + p.term.Branch.Vendor + ")"
}

// lookupsFix needs to know who sends, so it is steps and no record.
func (t *spfTree) lookupsFix(domain string, costliest []spfPlace) audit.Fix {
	fix := audit.Fix{Summary: "need fewer lookups"}
	if len(costliest) == 0 {
		fix.Steps = append(fix.Steps, "find out, from some weeks of DMARC aggregate reports and by asking, of which of the terms mail as "+domain+" still comes")
	}
	for _, p := range costliest {
		fix.Steps = append(fix.Steps, fmt.Sprintf(
			"find out, from some weeks of DMARC aggregate reports and by asking, whether mail as %s still comes by way of %s, which takes %s",
			domain, costly(p), lookups(p.term.Lookups)))
	}
	fix.Steps = append(fix.Steps,
		"take out of the record only what you then know that nobody uses any more",
		"have a service that takes many lookups send as a sub-domain of its own, with an SPF record of its own: that one has ten lookups for itself",
	)
	hosts := t.find(func(p spfPlace) bool { return t.ours(p.in.Domain) && (p.spec.Is("a") || p.spec.Is("mx")) })
	if len(hosts) > 0 {
		var words []string
		for _, p := range hosts {
			words = append(words, p.spec.Quoted())
		}
		fix.Steps = append(fix.Steps, "where the hosts are your own and seldom move, write their addresses as ip4 and ip6, of both families, in place of "+
			strings.Join(words[:min(len(words), spfShown)], ", "))
	}
	fix.Steps = append(fix.Steps, "see where each lookup goes: "+t.command())
	return fix
}

func judgeSPFNear(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain, p := s.Domain.String(), t.policy
	switch {
	case p.Lookups > audit.SPFMaxLookups:
		r.NA(domain, "SPF takes too many lookups: see spf.too-many-lookups")
	case len(p.Loops) > 0:
		r.NA(domain, "the policy leads back to itself: see spf.loop")
	case !t.whole(s, r):
	case p.Lookups < spfNear:
		r.Pass(domain, fmt.Sprintf("SPF takes %d of the %d DNS lookups", p.Lookups, audit.SPFMaxLookups), Seen(t.command(), lookups(p.Lookups)))
	default:
		costly := t.costliest()
		detail := fmt.Sprintf("SPF takes %d DNS lookups, and receivers stop at %d", p.Lookups, audit.SPFMaxLookups)
		if len(costly) > 0 {
			detail += "; what takes most is " + t.costs(costly)
		}
		fix := t.lookupsFix(domain, costly)
		fix.Summary = "get some distance to the limit"
		r.Fail(domain, Fault{Detail: detail, Evidence: append(t.evidence(costly...), Seen(t.command(), lookups(p.Lookups))), Fix: fix})
	}
}

func judgeSPFLoop(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	loops := t.find(func(p spfPlace) bool { return p.term.Branch != nil && p.term.Branch.Loop })
	if len(loops) == 0 {
		if t.whole(s, r) {
			r.Pass(domain, "no record of the policy leads back to itself")
		}
		return
	}
	fix := audit.Fix{Summary: "break the circle"}
	var rounds []string
	for _, p := range loops {
		rounds = append(rounds, round(p))
		if t.ours(p.in.Domain) {
			fix.Steps = append(fix.Steps, "take "+p.full()+" out: evaluation comes from the record of "+p.term.Target.String()+
				" already, so nobody passes because of it; if another name was meant, put in that one")
		}
	}
	fix.Steps = append(fix.Steps, t.notOurs(loops, "that it leads back to itself")...)
	r.Fail(domain, Fault{
		Detail:   "SPF goes round in a circle until its lookups are used up: " + strings.Join(rounds[:min(len(rounds), spfShown)], "; "),
		Evidence: t.evidence(loops...), Fix: fix,
	})
}

// round is a circle, from the record that is led back to.
func round(p spfPlace) string {
	var words []string
	for _, name := range p.path[max(0, slices.Index(p.path, p.term.Target)):] {
		words = append(words, name.String())
	}
	return strings.Join(append(words, p.term.Target.String()), " -> ")
}

func judgeSPFHosts(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	all := t.find(func(p spfPlace) bool { return p.spec.Is("mx") && p.asks() })
	var many []spfPlace
	var words []string
	dark := audit.Obs[[]audit.DNSName]{State: audit.Absent}
	for _, p := range all {
		f, _ := t.target(p)
		hosts, ok := seen(f.Hosts)
		switch {
		case ok && f.HostsLeftOut > 0:
			many = append(many, p)
			words = append(words, fmt.Sprintf("%s finds %d", p, len(hosts)+f.HostsLeftOut))
		case !ok && f.Hosts.State != audit.Absent && p.term.Target != "":
			dark = f.Hosts
		}
	}
	switch {
	case len(many) > 0:
		fix := audit.Fix{Summary: "name the hosts that send in another way"}
		for _, p := range many {
			if t.ours(p.in.Domain) {
				fix.Steps = append(fix.Steps, "find out which of the mail servers behind "+p.String()+" send mail as "+domain+
					", and name those by ip4, ip6, a or include in its place: mx is for hosts that take mail and send it as well")
			}
		}
		fix.Steps = append(fix.Steps, t.notOurs(many, "that its mx finds more hosts than receivers look at")...)
		r.Fail(domain, Fault{
			Detail:   fmt.Sprintf("receivers take more than %d mail servers for an error: %s", audit.SPFMaxNames, strings.Join(words[:min(len(words), spfShown)], "; ")),
			Evidence: t.evidence(many...), Fix: fix,
		})
	case !t.whole(s, r):
	case !Gather(dark).Complete(r, domain):
	case len(all) == 0:
		r.NA(domain, "no mx whose name is the same whoever sends is in the policy")
	default:
		r.Pass(domain, fmt.Sprintf("each mx of the policy finds %d mail servers at most", audit.SPFMaxNames))
	}
}
