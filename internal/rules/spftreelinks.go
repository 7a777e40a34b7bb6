package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// The rules of this file are about the names that a policy leads to for
// records; each of them is a subject of its own.

// spfLink is such a name, and the terms that lead there.
type spfLink struct {
	name   audit.DNSName
	branch *audit.SPFBranch
	from   []spfPlace // one at least
}

// links are the names that terms of a kind lead to, where these are the same
// whoever sends, in the order of evaluation. What is no name that the DNS can
// have is the empty one.
func (t *spfTree) links(terms ...string) []spfLink {
	var out []spfLink
	at := map[audit.DNSName]int{}
	for _, p := range t.find(func(p spfPlace) bool { return slices.Contains(terms, p.spec.Name) && p.leads() && !p.term.Varies }) {
		i, had := at[p.term.Target]
		if !had {
			i = len(out)
			at[p.term.Target] = i
			out = append(out, spfLink{name: p.term.Target, branch: p.term.Branch})
		}
		out[i].from = append(out[i].from, p)
	}
	return out
}

// eachLink calls judge for each name that is known to have a record or none.
// For the others, and where there are none, it says what is to be said. Names
// that were not asked for, because there is more than a survey follows, are one
// unknown of the domain.
func (t *spfTree) eachLink(s *audit.Snapshot, r *Report, links []spfLink, none string, judge func(l spfLink)) {
	domain := s.Domain.String()
	for _, l := range links {
		switch {
		case l.branch == nil || l.branch.State == audit.Seen || l.branch.State == audit.Absent:
			judge(l)
		case l.branch.State == audit.Unknown:
			open(r, l.subject(s), l.branch.State, l.branch.Answer, l.branch.Via)
		}
	}
	switch {
	case r.said(domain):
	case slices.ContainsFunc(links, func(l spfLink) bool { return l.branch != nil && l.branch.State == audit.NotTried }):
		r.Unknown(domain, audit.Reason{Code: audit.NotAsked, Text: "the policy has more records than are followed"})
	case len(links) == 0 && t.whole(s, r):
		r.NA(domain, none)
	}
}

// subject is the name, or the domain whose policy it is where there is none.
func (l spfLink) subject(s *audit.Snapshot) string {
	if l.name == "" {
		return s.Domain.String()
	}
	return l.name.String()
}

// fault says what is wrong with the record that a link leads to: the end of a
// sentence that begins with the name. It is empty when all is well.
func (l spfLink) fault() string {
	b := l.branch
	switch {
	case b == nil:
		return "is no name that the DNS can have"
	case b.State == audit.Absent && b.Answer.Code == audit.NXDomain:
		return "does not exist"
	case b.State == audit.Absent:
		return "has no TXT record"
	case len(b.Records) == 0:
		return "has TXT records, and none of them is an SPF record"
	case len(b.Records) > 1:
		return fmt.Sprintf("has %d SPF records, of which receivers use none", len(b.Records))
	}
	faults := audit.ParseSPF(b.Records[0]).Faults
	if len(faults) > 0 {
		return "has an SPF record that cannot be read: " + faults[0].String()
	}
	return ""
}

// leads says which terms lead there, and in whose records they stand.
func (l spfLink) leads() string {
	var words []string
	for _, p := range l.from[:min(len(l.from), spfShown)] {
		words = append(words, p.full())
	}
	out := strings.Join(words, ", ")
	if more := len(l.from) - spfShown; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}

// out is how to do without terms of the domain's own.
func (l spfLink) out() string {
	for _, p := range l.from {
		if p.spec.Is("redirect") {
			return "put ~all in the place of the redirect"
		}
	}
	return "take the term out"
}

// title is the name as a sentence has it.
func (l spfLink) title() string {
	if l.name == "" {
		return "what it names"
	}
	title := namedVendor(l.name, l.branch.Vendor)
	if n := len(l.branch.Alias); n > 0 {
		title += ", an alias of " + l.branch.Alias[n-1].String() + ","
	}
	return title
}

// evidence is the question for the record, and the records that lead there.
func (l spfLink) evidence(t *spfTree) []string {
	if l.branch == nil {
		return t.evidence(l.from...)
	}
	return append([]string{branchEvidence(l.branch)}, t.evidence(l.from...)...)
}

func judgeSPFIncludes(s *audit.Snapshot, r *Report) {
	judgeSPFLinks(s, r, "include", "the policy has no include whose name is the same whoever sends")
}

func judgeSPFRedirects(s *audit.Snapshot, r *Report) {
	judgeSPFLinks(s, r, "redirect", "the policy has no redirect whose name is the same whoever sends")
}

func judgeSPFLinks(s *audit.Snapshot, r *Report, term, none string) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	t.eachLink(s, r, t.links(term), none, func(l spfLink) {
		fault := l.fault()
		if fault == "" {
			r.Pass(l.subject(s), l.name.String()+" has one SPF record that can be read", branchEvidence(l.branch))
			return
		}
		r.Fail(l.subject(s), Fault{
			Detail:   l.leads() + ": " + l.title() + " " + fault + "; receivers that come to it answer permerror",
			Evidence: l.evidence(t), Fix: t.linkFix(l),
		})
	})
}

// linkFix hangs on whose the record is that leads astray: the one included
// authorises nobody as it is, so what is to be found out is what was meant.
func (t *spfTree) linkFix(l spfLink) audit.Fix {
	fix := audit.Fix{Summary: "lead to a record that is there"}
	known, _ := t.below(l.name)
	if known.Registered.State == audit.Absent {
		fix.Steps = append(fix.Steps, "anyone can have this name: do first what spf.include-takeover says")
	}
	mine := t.mine(l.from)
	switch {
	case len(mine) > 0 && t.ours(l.name):
		fix.Steps = append(fix.Steps, "publish one SPF record at "+l.name.FQDN()+" that can be read, or correct the one that is there",
			"if that name is no longer meant to have one, "+l.out()+": it authorises nobody as it is")
	case len(mine) > 0:
		fix.Steps = append(fix.Steps, "compare the name in "+some(mine, spfShown)+" with what the provider tells its customers to publish, and correct it",
			"if the name is right, tell the provider that its record is not",
			"if the service is not used any more, "+l.out()+": it authorises nobody as it is")
	}
	fix.Steps = append(fix.Steps, t.notOurs(l.from, "what is wrong with "+l.title())...)
	if len(mine) == 0 && t.mayMove() {
		fix.Steps = append(fix.Steps, "until that is mended, let the term of your own record that leads there stand last in front of all: senders that others match pass before receivers come to it")
	}
	return fix
}

// mine are the terms that the owner of the domain can change.
func (t *spfTree) mine(places []spfPlace) []spfPlace {
	return slices.DeleteFunc(slices.Clone(places), func(p spfPlace) bool { return !t.ours(p.in.Domain) })
}

// mayMove reports whether the terms of the domain's own record may change
// places without a change of meaning: all but the last all have one qualifier,
// and there is no redirect.
func (t *spfTree) mayMove() bool {
	for _, p := range t.places {
		if p.own && !p.spec.IsAll() && p.spec.Qualifier != '+' {
			return false
		}
	}
	return true
}

// judgeSPFTakeover: who registers the domain above a name that does not exist
// publishes what he likes at that name. A name under a domain that exists
// cannot be had that way, whatever it lacks.
func judgeSPFTakeover(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	links := slices.DeleteFunc(t.links("include", "redirect"), func(l spfLink) bool { return l.name == "" })
	t.eachLink(s, r, links, "the policy leads to no other name that is the same whoever sends", func(l spfLink) {
		if l.branch.State != audit.Absent || l.branch.Answer.Code != audit.NXDomain {
			r.Pass(l.subject(s), l.name.String()+" exists")
			return
		}
		known, _ := t.below(l.name)
		_, present, ok := Need(r, l.subject(s), known.Registered)
		evidence := l.evidence(t)
		switch {
		case !ok:
		case present:
			r.Pass(l.subject(s), fmt.Sprintf("%s does not exist, and %s is somebody's", l.name, registrable(known)), append(evidence, Seen(known.Registered.Via, "exists"))...)
		default:
			r.Fail(l.subject(s), Fault{
				Detail: fmt.Sprintf("%s: %s does not exist, nor does %s; who registers that can send as %s",
					l.leads(), l.title(), registrable(known), s.Domain),
				Evidence: append(evidence, Seen(known.Registered.Via, string(known.Registered.Why.Code))),
				Fix:      t.takeoverFix(l),
			})
		}
	})
}

// registrable is the domain above a name that does not exist.
func registrable(b audit.SPFBelow) string {
	if b.Registrable == "" {
		return "the domain that it would belong to"
	}
	return b.Registrable.String()
}

func (t *spfTree) takeoverFix(l spfLink) audit.Fix {
	fix := audit.Fix{Summary: "lead to no domain that anyone can register"}
	mine := t.mine(l.from)
	if len(mine) > 0 {
		fix.Steps = append(fix.Steps, "correct the name in "+some(mine, spfShown)+" today, if it is misspelt or the provider has another one now; else "+l.out()+": nobody can pass by it but who registers the domain")
	}
	fix.Steps = append(fix.Steps, t.notOurs(l.from, "that anyone can register the domain of "+l.name.String())...)
	if len(mine) == 0 {
		fix.Steps = append(fix.Steps, "if they do not mend it at once, find out whether you still use that provider, and whether it has another record")
	}
	return fix
}

func judgeSPFVaries(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	varies := t.find(func(p spfPlace) bool { return p.leads() && p.term.Varies })
	if len(varies) == 0 {
		if t.whole(s, r) {
			r.Pass(domain, "the policy leads everyone to the same records")
		}
		return
	}
	r.Fail(domain, Fault{
		Detail:   "what these lead to depends on who sends, and cannot be checked in advance: " + some(varies, spfShown),
		Evidence: t.evidence(varies...),
		Fix: audit.Fix{Summary: "know that these records are not checked", Steps: append([]string{
			"try the addresses that send with: " + t.command() + " --ip ADDRESS",
			"if a provider asked for it, there is nothing to change; if nobody did, name the record itself",
		}, t.notOurs(varies, "if it was not meant to be so")...)},
	})
}
