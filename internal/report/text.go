package report

import (
	"fmt"
	"io"
	"strings"

	"mailaudit/internal/audit"
)

// TextOptions are choices of the text form.
type TextOptions struct {
	Color   bool
	Verbose bool // list the passes as well
}

// Columns of an item: number, severity, text.
const (
	colText  = 9
	colLabel = 9 // "Evidence " inside the text column
)

// Text writes a report for a terminal, 80 columns wide. The error is the
// writer's.
func Text(w io.Writer, m Model, o TextOptions) error {
	p := &page{w: w, color: o.Color}
	p.head(m)
	p.axes(m)
	p.since(m.Since)
	if len(m.Fails) > 0 {
		p.title("FAILS, worst first")
		for i, it := range m.Fails {
			p.item(i+1, it, o.Verbose)
		}
	}
	if len(m.Notes) > 0 {
		p.title("NOTES, nothing to repair")
		for _, it := range m.Notes {
			for _, d := range it.Details {
				p.hang("  ", d)
			}
			p.line("      " + string(it.Rule))
		}
	}
	p.unknown(m.Unknown)
	p.good(m, o.Verbose)
	p.foot(m)
	return p.err
}

func (p *page) head(m Model) {
	right := []string{}
	if m.Run > 0 {
		right = append(right, fmt.Sprintf("run %d", m.Run))
	}
	right = append(right, m.Started.Format("2006-01-02 15:04 MST"))
	if m.Vantage != "" {
		right = append(right, m.Vantage)
	}
	if m.Tag != "" {
		right = append(right, "tag "+m.Tag)
	}
	r, left := Screen(strings.Join(right, " · ")), Screen(m.Target)
	room := Width - len([]rune(r)) - 1
	if len([]rune(left)) > room {
		p.hang("", m.Target)
		p.line(pad("", room+1) + r)
	} else {
		p.line(p.paint(bold, left) + strings.Repeat(" ", Width-len([]rune(left))-len([]rune(r))) + r)
	}
	if m.Unicode != "" {
		p.line(Screen(m.Unicode))
	}
	p.line("")
	p.hang("  ", strings.Join(m.Headline, " "))
}

func (p *page) axes(m Model) {
	if len(m.Axes) == 0 {
		return
	}
	p.line("")
	for _, a := range m.Axes {
		var words []string
		for _, c := range a.Counts {
			words = append(words, fmt.Sprintf("%d %s", c.N, c.Severity))
		}
		if len(words) == 0 && a.Coverage == 0 {
			words = append(words, "nothing seen")
		} else if len(words) == 0 {
			words = append(words, "no faults")
		}
		name := string(a.Name)
		l := "  " + pad(strings.ToUpper(name[:1])+name[1:], 13) + pad(strings.Join(words, ", "), 32) +
			fmt.Sprintf("seen %3d %%", a.Coverage)
		if a.Unknown > 0 {
			l += fmt.Sprintf("  %d unknown", a.Unknown)
		}
		p.line(l)
	}
}

func (p *page) title(s string) {
	p.line("")
	p.line(p.paint(bold, s))
}

func (p *page) since(s *Since) {
	if s == nil {
		return
	}
	notes := []string{s.Base.Started.Format("2 Jan 2006 15:04"), "same vantage"}
	if s.OtherVantage {
		notes[1] = "seen from " + s.Base.Vantage
	}
	notes = append(notes, "same rules")
	if s.OtherRules {
		notes[2] = "other rules"
	}
	p.title(fmt.Sprintf("SINCE run %d (%s)", s.Base.ID, Screen(strings.Join(notes, ", "))))
	for _, f := range s.Facts {
		p.fact(f)
	}
	for _, c := range s.Changes {
		p.change(c)
	}
	switch {
	case s.Still > 0 && !s.StillSince.IsZero():
		p.hang("  still        ", fmt.Sprintf("%s, the oldest since %s", plural(s.Still, "fault"), s.StillSince.Format("2 Jan 2006")))
	case s.Still > 0:
		p.line("  still        " + plural(s.Still, "fault"))
	}
	if len(s.Facts)+len(s.Changes) == 0 {
		p.line("  nothing changed")
	}
}

func (p *page) fact(f FactLine) {
	const label = "  changed      "
	before, after := strings.Join(f.Before, ", "), strings.Join(f.After, ", ")
	switch {
	case before == "":
		p.hang(label, fmt.Sprintf("%s of %s: new: %s", f.What, f.Subject, after))
	case after == "":
		p.hang(label, fmt.Sprintf("%s of %s: gone: %s", f.What, f.Subject, before))
	default:
		p.hang(label, fmt.Sprintf("%s of %s: %s -> %s", f.What, f.Subject, before, after))
	}
}

func (p *page) change(c ChangeLine) {
	class := string(c.Class)
	word := pad(class, 13)
	switch c.Class {
	case audit.Broken:
		word = p.paint(red, word)
	case audit.Fixed:
		word = p.paint(green, word)
	}
	text := fmt.Sprintf("%s: %s", c.Rule, strings.Join(c.Subjects, ", "))
	if c.Was != "" {
		text += fmt.Sprintf(" (%s, was %s)", c.Severity, c.Was)
	}
	p.hangColored("  "+word, 15, text)
}

func (p *page) item(n int, it Item, verbose bool) {
	p.line("")
	lead := fmt.Sprintf("%2d ", n) + p.severity(it.Severity) + "  "
	for i, d := range it.Details {
		if i > 0 {
			lead = pad("", colText)
		}
		p.hangColored(lead, colText, d)
	}
	indent := pad("", colText)
	for i, e := range it.Evidence {
		if i == maxEvidence && !verbose {
			p.line(indent + pad("", colLabel) + fmt.Sprintf("and %d more", len(it.Evidence)-i))
			break
		}
		label := ""
		if i == 0 {
			label = "Seen"
		}
		p.hang(indent+pad(label, colLabel), e)
	}
	p.hang(indent+pad("Means", colLabel), it.Means)
	p.fix(indent, it.Fix)
	tail := string(it.Rule)
	for _, r := range it.Refs {
		tail += "   " + r.Text
	}
	if !it.Since.IsZero() {
		tail += "   since " + it.Since.Format("2 Jan 2006")
	}
	p.hang(indent, tail)
}

func (p *page) fix(indent string, f audit.Fix) {
	if f.Summary != "" {
		p.hang(indent+pad("Do", colLabel), f.Summary)
	}
	for _, r := range f.Records {
		sign := map[audit.Action]string{audit.Add: "+", audit.Replace: "=", audit.Remove: "-"}[r.Action]
		p.hang(indent+pad("", colLabel)+sign+" ", fmt.Sprintf("%s %s %s", r.Name, r.Type, r.Value))
	}
	for i, s := range f.Steps {
		p.hang(indent+pad("", colLabel)+fmt.Sprintf("%d ", i+1), s)
	}
}

func (p *page) unknown(list []Dark) {
	if len(list) == 0 {
		return
	}
	p.title(fmt.Sprintf("NOT KNOWN (%d), none of it counted against you", len(list)))
	for _, d := range list {
		p.hang("  ", d.Subject)
		p.hang("      ", fmt.Sprintf("%s (%s)", d.Detail, waiting(d.Rules)))
		if d.Advice != "" {
			p.hang("      ", d.Advice)
		}
	}
}

// waiting names the checks that wait for an unknown.
func waiting(ids []audit.RuleID) string {
	if len(ids) == 1 {
		return string(ids[0])
	}
	return fmt.Sprintf("%s and %s", ids[0], plural(len(ids)-1, "more check"))
}

func (p *page) good(m Model, verbose bool) {
	hint := " (-v shows them)"
	if verbose || m.Passed == 0 {
		hint = ""
	}
	p.line("")
	p.line(p.paint(bold, "GOOD") + fmt.Sprintf("  %s passed%s   n/a %d   notes %d", plural(m.Passed, "check"), hint, m.NA, len(m.Notes)))
	if !verbose {
		return
	}
	for _, it := range m.Passes {
		p.hang("  "+p.paint(green, "ok")+"  ", fmt.Sprintf("%s (%s)", it.Title, it.Rule))
		for _, d := range it.Details {
			p.hang("        ", d)
		}
	}
}

func (p *page) foot(m Model) {
	p.line("")
	text := strings.Join(m.Limits, " ")
	if m.TrafficKept {
		t := m.Traffic
		text = fmt.Sprintf("This run asked %s and opened %s to %s. ",
			plural(t.Questions, "DNS question"), plural(t.Connections, "connection"), plural(t.Addresses, "address")) + text
	}
	p.hang("", text)
	if len(m.Next) == 0 {
		return
	}
	p.line("")
	for i, n := range m.Next {
		label := "next  "
		if i > 0 {
			label = "      "
		}
		p.line(label + n)
	}
}
