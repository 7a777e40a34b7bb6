package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// items makes one item of the findings of each rule and severity, in the order
// of the findings.
func items(run *audit.Run, findings []audit.Finding, history History) []Item {
	type kind struct {
		rule     audit.RuleID
		severity audit.Severity
	}
	var order []kind
	groups := map[kind][]audit.Finding{}
	for _, f := range findings {
		k := kind{f.Rule, f.Severity}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], f)
	}
	var out []Item
	for _, k := range order {
		out = append(out, item(run, groups[k], history))
	}
	return out
}

// item makes one item of findings of one rule and one severity.
func item(run *audit.Run, findings []audit.Finding, history History) Item {
	id := findings[0].Rule
	rule, ok := rules.Lookup(id)
	if !ok { // a rule of another version of the program
		rule = rules.Rule{ID: id, Title: string(id)}
	}
	it := Item{
		Rule: id, Severity: findings[0].Severity, Title: rule.Title, Means: rule.Why,
		Said: sayings(findings, run.Target), Fix: mergeFixes(findings),
	}
	for _, r := range rule.Refs {
		it.Refs = append(it.Refs, RefLine{r.String(), r.URL()})
	}
	seen := map[string]bool{}
	for _, f := range findings {
		for _, e := range f.Evidence {
			if !seen[e] {
				it.Evidence = append(it.Evidence, e)
			}
			seen[e] = true
		}
		v := history[f.Key()]
		older := v.Status == f.Status && v.Since.Before(run.Started)
		if older && (it.Since.IsZero() || v.Since.Before(it.Since)) {
			it.Since = v.Since.UTC()
		}
	}
	return it
}

// part is a piece of a subject that may occur in a sentence about it.
type part int

const (
	partFQDN     part = iota // host, or the whole subject, with the final dot
	partWhole                // host[address]:port, or the whole subject
	partAddrPort             // address:port
	partHost
	partAddr
)

// subjectParts are the pieces of a subject. They are looked for in the order of
// the constants: what holds another piece comes before it.
func subjectParts(subject string) map[part]string {
	out := map[part]string{partWhole: subject, partFQDN: subject + "."}
	open, shut := strings.LastIndexByte(subject, '['), strings.LastIndex(subject, "]:")
	if open <= 0 || shut < open {
		return out
	}
	out[partHost], out[partFQDN], out[partAddr] = subject[:open], subject[:open]+".", subject[open+1:shut]
	out[partAddrPort] = out[partAddr] + subject[shut+1:]
	addr, err := netip.ParseAddr(out[partAddr])
	if err == nil && addr.Is6() {
		out[partAddrPort] = subject[open:]
	}
	return out
}

// blanked is a sentence with the pieces of its subject taken out, so that
// sentences that differ in nothing else can be told from others.
type blanked struct {
	pattern string
	values  map[part]string // the pieces that occur
}

// hole stands for a piece in a pattern. No printable text holds it.
func hole(p part) string { return fmt.Sprintf("\x00%d", p) }

func blank(text, subject string) blanked {
	out := blanked{text, map[part]string{}}
	parts := subjectParts(subject)
	for p := partFQDN; p <= partAddr; p++ {
		if parts[p] == "" || parts[p] == "." {
			continue
		}
		replaced := replaceWord(out.pattern, parts[p], hole(p))
		if replaced != out.pattern {
			out.pattern, out.values[p] = replaced, parts[p]
		}
	}
	return out
}

// replaceWord is strings.ReplaceAll for names and addresses: "example.org" is
// not replaced inside "mx.example.org", and "192.0.2.2" not in "192.0.2.25".
func replaceWord(text, old, replacement string) string {
	var b strings.Builder
	done := 0 // text[:done] is written already
	for {
		i := strings.Index(text[done:], old)
		if i < 0 {
			return b.String() + text[done:]
		}
		start, end := done+i, done+i+len(old)
		if (start == 0 || !nameByte(text[start-1])) && !continues(text[end:]) {
			b.WriteString(text[done:start] + replacement)
		} else {
			b.WriteString(text[done:end])
		}
		done = end
	}
}

func nameByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte(".-_:", c) >= 0
}

// continues reports whether rest goes on with the name before it; a dot or a
// colon alone ends a sentence or a clause.
func continues(rest string) bool {
	if rest == "" || !nameByte(rest[0]) {
		return false
	}
	if rest[0] != '.' && rest[0] != ':' {
		return true
	}
	return len(rest) > 1 && nameByte(rest[1])
}

// sayings says once what is the same for several subjects.
func sayings(findings []audit.Finding, target string) []Said {
	type group struct {
		said  Said
		blank blanked
		many  bool // sentences that differ in the pieces of their subjects
	}
	var order []*group
	byPattern := map[string]*group{}
	for _, f := range findings {
		b := blank(f.Detail, f.Subject)
		g := byPattern[b.pattern]
		if g == nil {
			g = &group{blank: b, said: Said{Text: f.Detail, Named: f.Subject == target}}
			byPattern[b.pattern] = g
			order = append(order, g)
		}
		g.said.Subjects = append(g.said.Subjects, f.Subject)
		g.many = g.many || f.Detail != g.said.Text
	}
	var out []Said
	for _, g := range order {
		v := g.blank.values
		switch {
		case v[partWhole] != "" || v[partAddrPort] != "" || v[partAddr] != "":
			g.said.Named = true
		case g.many: // a host has more addresses than one: the name says too little
			g.said.Text += " (" + likewise + ")"
		}
		out = append(out, g.said)
	}
	return out
}

// likewise is said where one sentence stands for several.
const likewise = "and so for the others"

// several is "a", "a and b", "a, b and c", "a, b, c and 5 more".
func several(words []string) string {
	const most = 3
	if len(words) > most+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return enumerated(words)
}

// enumerated is "a", "a and b", "a, b and c", however many.
func enumerated(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// mergeFixes makes one fix of the fixes of several subjects.
func mergeFixes(findings []audit.Finding) audit.Fix {
	var summaries, steps merger
	var out audit.Fix
	seen := map[audit.FixRecord]bool{}
	for _, f := range findings {
		if f.Fix.Summary != "" {
			summaries.add(f.Fix.Summary, f.Subject)
		}
		for _, s := range f.Fix.Steps {
			steps.add(s, f.Subject)
		}
		for _, r := range f.Fix.Records {
			if !seen[r] {
				out.Records = append(out.Records, r)
			}
			seen[r] = true
		}
	}
	out.Summary, out.Steps = strings.Join(summaries.texts(), "; "), steps.texts()
	return out
}

// merger collects sentences of which several differ in their subject alone.
type merger struct {
	order []string
	by    map[string]*merged
}

type merged struct {
	first  string
	blank  blanked
	values []string // of the one piece that the sentence names
	more   bool     // the others differ in more than one piece
}

func (m *merger) add(text, subject string) {
	b := blank(text, subject)
	if m.by == nil {
		m.by = map[string]*merged{}
	}
	have := m.by[b.pattern]
	if have == nil {
		have = &merged{first: text, blank: b}
		m.by[b.pattern] = have
		m.order = append(m.order, b.pattern)
	}
	have.more = have.more || text != have.first
	for _, v := range b.values {
		if !slices.Contains(have.values, v) {
			have.values = append(have.values, v)
		}
	}
}

func (m *merger) texts() []string {
	var out []string
	for _, pattern := range m.order {
		have := m.by[pattern]
		text := have.first
		switch {
		case len(have.blank.values) == 1 && have.more:
			for p := range have.blank.values {
				text = strings.ReplaceAll(pattern, hole(p), several(have.values))
			}
		case have.more:
			text += " (" + likewise + ")"
		}
		out = append(out, text)
	}
	return out
}
