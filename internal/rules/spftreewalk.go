package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file puts the tree of an SPF policy before the rules that judge it
// (audit.SPFPolicy): all that evaluation can come to, in its order, and what of
// it is not known. A rule looks for its fault in what is known, and asks whole,
// or settled for the names that it is about, before it passes.

// spfTree is the policy of a snapshot, put together once for all rules of an
// evaluation.
type spfTree struct {
	ready  bool
	root   audit.DNSName
	facts  *audit.SPF
	policy audit.SPFPolicy
	places []spfPlace
	// doubts are the records that are not known, those that were asked for in
	// vain before those that were not asked for.
	doubts []spfDoubt
	// rough are the records of others that take out again what they pass: with
	// -, ~ or ? before a last all.
	rough map[audit.DNSName]bool
}

// spfPlace is a term that evaluation comes to when nothing in front of it
// matches.
type spfPlace struct {
	in   *audit.SPFBranch // the record that it stands in
	term audit.SPFPolicyTerm
	spec audit.SPFTerm // the same, taken apart
	// passes: a client that it matches passes as the domain. That is not so
	// behind -, ~ or ?, nor below an include that has one of them.
	passes bool
	path   []audit.DNSName // the records that lead to it, its own last
	own    bool            // it stands in the record of the domain itself
}

// spfDoubt is a record of which nobody can tell what it says.
type spfDoubt struct {
	state audit.State
	why   audit.Reason
	via   string
}

// spfPolicy is the policy of the domain for a rule. Where there is no single
// record, or facts that are older than the tree, it has said for the rule what
// is to be said.
func spfPolicy(s *audit.Snapshot, r *Report) (*spfTree, bool) {
	_, ok := spfSound(s, r)
	if !ok {
		return nil, false
	}
	t := r.policyTree(s)
	if len(t.facts.Below)+len(t.facts.Found) == 0 && t.policy.NotAsked > 0 {
		r.Unknown(s.Domain.String(), audit.Reason{Code: audit.NotAsked, Text: "what the SPF record leads to was not noted by this run"})
		return nil, false
	}
	return t, true
}

// policyTree is the tree of the evaluation, put together by the first rule that
// wants it.
func (r *Report) policyTree(s *audit.Snapshot) *spfTree {
	if r.tree == nil {
		r.tree = &spfTree{}
	}
	r.tree.grow(s)
	return r.tree
}

// grow puts the tree together.
func (t *spfTree) grow(s *audit.Snapshot) {
	if t.ready {
		return
	}
	*t = spfTree{ready: true, root: s.Domain.Name(), facts: &s.Facts.SPF, policy: s.Facts.SPF.Policy(s.Domain), rough: map[audit.DNSName]bool{}}
	t.walk(t.policy.Tree, true, nil)
	slices.SortStableFunc(t.doubts, func(a, b spfDoubt) int { return doubtRank(a) - doubtRank(b) })
}

func doubtRank(d spfDoubt) int {
	if d.state == audit.Unknown && d.why.Code != audit.NotLearned {
		return 0
	}
	return 1
}

// walk lists the terms of a record and of all below it. A record that the tree
// has already, with its terms, is not gone through again.
func (t *spfTree) walk(b *audit.SPFBranch, passes bool, path []audit.DNSName) {
	t.doubt(b)
	if b.Loop || b.Repeat || len(b.Records) != 1 || len(b.Faults) > 0 {
		return
	}
	path = append(slices.Clip(path), b.Domain)
	specs := map[int]audit.SPFTerm{}
	for _, spec := range audit.ParseSPF(b.Records[0]).Terms {
		specs[spec.At] = spec
	}
	for _, term := range b.Terms {
		if term.Dead {
			continue
		}
		spec := specs[term.At]
		p := spfPlace{in: b, term: term, spec: spec, path: path, own: b == t.policy.Tree}
		p.passes = passes && (spec.Modifier || spec.Qualifier == '+')
		t.places = append(t.places, p)
		if !p.own && !spec.Modifier && !spec.IsAll() && spec.Qualifier != '+' {
			t.rough[b.Domain] = true
		}
		switch {
		case term.Branch != nil:
			t.walk(term.Branch, p.passes, path)
		case term.Varies && p.leads():
			t.doubts = append(t.doubts, spfDoubt{audit.Unknown, audit.Reason{
				Code: audit.NotLearned, Text: "what " + p.String() + " leads to depends on who sends",
			}, ""})
		}
	}
}

// doubt notes a record that is not known.
func (t *spfTree) doubt(b *audit.SPFBranch) {
	if b.State != audit.Seen && b.State != audit.Absent {
		t.doubts = append(t.doubts, spfDoubt{b.State, b.Answer, b.Via})
	}
}

// whole reports whether all records of the policy are known; if not, it has
// said so for the rule.
func (t *spfTree) whole(s *audit.Snapshot, r *Report) bool {
	if len(t.doubts) == 0 {
		return true
	}
	d := t.doubts[0]
	open(r, s.Domain.String(), d.state, d.why, d.via)
	return false
}

// target is what was found of a term a, mx or exists, where it was asked for.
func (t *spfTree) target(p spfPlace) (audit.SPFTarget, bool) {
	i := slices.IndexFunc(t.facts.Found, func(f audit.SPFTarget) bool { return f.Term == p.spec.Name && f.Name == p.term.Target })
	if i < 0 {
		return audit.SPFTarget{}, false
	}
	return t.facts.Found[i], true
}

// below is what was noted of a name that the policy leads to.
func (t *spfTree) below(name audit.DNSName) (audit.SPFBelow, bool) {
	i := slices.IndexFunc(t.facts.Below, func(b audit.SPFBelow) bool { return b.Name == name })
	if i < 0 {
		return audit.SPFBelow{}, false
	}
	return t.facts.Below[i], true
}

// ours reports whether a record is the domain's own to change: its own one, or
// that of a name below it. Whoever runs it, the owner of the domain can.
func (t *spfTree) ours(name audit.DNSName) bool {
	return name == t.root || strings.HasSuffix(string(name), "."+string(t.root))
}

// leads reports whether the term leads to another record.
func (p spfPlace) leads() bool { return p.spec.Is("include") || p.spec.Is("redirect") }

// asks reports whether the term asks for a name that is the same whoever
// sends, and for something else than a record.
func (p spfPlace) asks() bool {
	return !p.term.Varies && (p.spec.Is("a") || p.spec.Is("mx") || p.spec.Is("exists"))
}

// String says which term it is, and of whose record if it is not the domain's
// own.
func (p spfPlace) String() string {
	if p.own {
		return p.spec.Quoted()
	}
	return p.full()
}

// full always says whose record it is.
func (p spfPlace) full() string { return p.spec.Quoted() + " in " + recordOf(p.in) }

// recordOf is a record in a sentence.
func recordOf(b *audit.SPFBranch) string { return "the record of " + namedVendor(b.Domain, b.Vendor) }

func namedVendor(name audit.DNSName, vendor string) string {
	if vendor == "" {
		return name.String()
	}
	return name.String() + " (" + vendor + ")"
}

// spfShown is how many terms a sentence names, and spfEvidence how much of a
// record evidence quotes, in octets. Records can have 64 KB, and thousands of
// terms with the same fault.
const (
	spfShown    = 3
	spfEvidence = 500
)

// some names the first few and says how many more there are.
func some[T fmt.Stringer](items []T, most int) string {
	if len(items) <= most {
		return list(items)
	}
	return strings.Join(texts(items[:most]), ", ") + fmt.Sprintf(" and %d more", len(items)-most)
}

// branchEvidence is what the question for a record brought.
func branchEvidence(b *audit.SPFBranch) string {
	if b.State != audit.Seen {
		return Seen(b.Via, string(b.Answer.Code))
	}
	if len(b.Records) == 0 {
		return Seen(b.Via, "no SPF record")
	}
	var words []string
	for _, txt := range b.Records {
		word := `"` + txt.Clip(spfEvidence).String() + `"`
		if len(txt) > spfEvidence {
			word += fmt.Sprintf(" and %d octets more", len(txt)-spfEvidence)
		}
		words = append(words, word)
	}
	return Seen(b.Via, words...)
}

// evidence is the domain's own record, and those that some terms stand in, each
// once.
func (t *spfTree) evidence(places ...spfPlace) []string {
	out := []string{branchEvidence(t.policy.Tree)}
	for _, p := range places {
		if line := branchEvidence(p.in); !p.own && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

// command is the command that shows the whole tree.
func (t *spfTree) command() string { return "mailaudit spf " + audit.ShellQuote(t.root.String()) }

// find lists the places for which want holds, each term of a record once.
func (t *spfTree) find(want func(spfPlace) bool) []spfPlace {
	type where struct {
		name audit.DNSName
		at   int
	}
	had := map[where]bool{}
	var out []spfPlace
	for _, p := range t.places {
		at := where{p.in.Domain, p.term.At}
		if !had[at] && want(p) {
			had[at] = true
			out = append(out, p)
		}
	}
	return out
}

// notOurs asks whoever runs the records of others to mend some terms; it is
// empty where all of them are in records of the domain.
func (t *spfTree) notOurs(places []spfPlace, what string) []string {
	var out []string
	for _, p := range places {
		step := "tell whoever runs " + recordOf(p.in) + " " + what + ": only they can change it"
		if !t.ours(p.in.Domain) && !slices.Contains(out, step) && len(out) < spfShown {
			out = append(out, step)
		}
	}
	return out
}
