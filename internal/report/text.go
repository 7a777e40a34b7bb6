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
	Verbose bool // list the passes as well, and cut nothing
}

// Columns of an item: number, severity, text; and "Evidence " inside the text.
const (
	colText  = 9
	colLabel = 9
)

// Limits of lists in text that is not verbose.
const (
	maxEvidence = 4
	maxListed   = 8 // subjects, records, steps
)

// Text writes a report for a terminal, 80 columns wide. The error is the
// writer's.
func Text(w io.Writer, m Model, o TextOptions) error {
	p := &page{w: w, color: o.Color, rows: maxRows}
	if o.Verbose {
		p.rows = 0
	}
	p.head(m)
	p.tests(m.Tests)
	p.ownSide(m.OwnSide)
	p.axes(m)
	p.since(m.Since)
	if len(m.Fails) > 0 {
		p.title("FAILS, worst first")
		for i, it := range m.Fails {
			if len(m.Tests) > 0 && !o.Verbose {
				it.Evidence = nil // it stands above, address by address
			}
			p.item(fmt.Sprintf("%2d ", i+1), it, o.Verbose)
		}
	}
	if len(m.Notes) > 0 {
		p.title("NOTES, nothing to repair")
		for _, it := range m.Notes {
			p.item("   ", it, o.Verbose)
		}
	}
	p.unknown(m, o.Verbose)
	p.policy(m.Policy, o.Verbose)
	p.good(m, o.Verbose)
	if o.Verbose {
		p.services(m.Services)
		p.talks(m.Tests)
	}
	p.foot(m, o.Verbose)
	return p.err
}

func (p *page) head(m Model) {
	var right []string
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
	p.spread("", 0, m.title(), bold, right, " ·")
	if m.Unicode != "" {
		p.hang("", m.Unicode)
	}
	if m.Kind == audit.KindSMTP {
		p.meansOf(m)
	}
	if m.Remark != "" {
		p.hang("note: ", m.Remark)
	}
	p.line("")
	p.hang("  ", strings.Join(m.Headline, " "))
	if m.Kind == audit.KindSMTP {
		p.hang("  ", "Result: "+m.Result+".")
	}
}

func (p *page) ownSide(o *OwnSide) {
	if o == nil {
		return
	}
	p.title(strings.ToUpper(o.Title))
	p.hang("  ", o.Text)
	for i, s := range o.Steps {
		lead := fmt.Sprintf("  %d  ", i+1)
		if s.Command == "" {
			p.hang(lead, s.Why)
			continue
		}
		p.hang(lead, s.Why+":")
		p.hang(pad("", columns(lead)+2), s.Command)
	}
}

func (p *page) title(s string) {
	p.line("")
	p.line(p.paint(bold, s))
}

// item writes one rule and everything that it says.
func (p *page) item(number string, it Item, verbose bool) {
	p.line("")
	lead := number + p.severity(it.Severity) + "  "
	for _, s := range it.Said {
		p.said(lead, s, verbose)
		lead = pad("", colText)
	}
	note := it.Severity == audit.Info
	if !note || verbose {
		p.evidence(it.Evidence, limit(maxEvidence, verbose))
		p.hang(label("Means"), it.Means)
		p.fix(it.Fix, limit(maxListed, verbose))
	}
	var refs []string
	for _, r := range it.Refs {
		refs = append(refs, r.Text)
	}
	rule := string(it.Rule)
	if !it.Since.IsZero() {
		rule += ", since " + it.Since.Format("2 Jan 2006")
	}
	p.spread(pad("", colText), colText, rule, "", refs, " ·")
}

// said writes a sentence and the subjects that it does not name.
func (p *page) said(lead string, s Said, verbose bool) {
	p.hangColored(lead, colText, s.Text)
	how, others := s.others()
	p.listed(how, others, limit(maxListed, verbose))
}

// label is the beginning of a line inside an item.
func label(s string) string { return pad("", colText) + pad(s, colLabel) }

// limit is how many entries of a list are shown.
func limit(n int, verbose bool) int {
	if verbose {
		return 0
	}
	return n
}

// listed writes a list, an entry a line, behind one label. A most of 0 shows
// all.
func (p *page) listed(name string, list []string, most int) {
	shown := list
	if most > 0 && len(list) > most {
		shown = list[:most-1] // the last line is for the rest
	}
	for i, s := range shown {
		if i > 0 {
			name = ""
		}
		p.hang(label(name), s)
	}
	if len(shown) < len(list) {
		p.line(label("") + fmt.Sprintf("and %d more (-v shows them)", len(list)-len(shown)))
	}
}

// evidence writes questions and answers; an answer that does not fit beside
// its question stands below it.
func (p *page) evidence(list []string, most int) {
	shown := list
	if most > 0 && len(list) > most {
		shown = list[:most-1]
	}
	name := "Seen"
	for _, e := range shown {
		question, answer, found := strings.Cut(e, "  ->  ")
		one := strings.Join(strings.Fields(Screen(question+" -> "+answer)), " ")
		if !found || columns(one) <= Width-colText-colLabel {
			p.hang(label(name), strings.TrimSuffix(one, " ->"))
		} else {
			p.hang(label(name), question)
			lead := label("") + "-> "
			p.block(lead, columns(lead), phrases(answer, Width-columns(lead)))
		}
		name = ""
	}
	if len(shown) < len(list) {
		p.line(label("") + fmt.Sprintf("and %d more (-v shows them)", len(list)-len(shown)))
	}
}

func (p *page) fix(f audit.Fix, most int) {
	if f.Summary != "" {
		p.hang(label("Do"), f.Summary)
	}
	for i, r := range f.Records {
		if most > 0 && i == most-1 && len(f.Records) > most {
			p.line(label("") + fmt.Sprintf("and %d more records (-v shows them)", len(f.Records)-i))
			break
		}
		p.record(r)
	}
	for i, s := range f.Steps {
		if most > 0 && i == most-1 && len(f.Steps) > most {
			p.line(label("") + fmt.Sprintf("and %d more steps (-v shows them)", len(f.Steps)-i))
			break
		}
		number := ""
		if len(f.Steps) > 1 {
			number = fmt.Sprintf("%d ", i+1)
		}
		p.hang(label("")+number, s)
	}
}

// record writes a record to publish. The names of reverse DNS are long: where
// one does not fit into the text column it begins further to the left, so that
// it can be copied in one piece.
func (p *page) record(r audit.FixRecord) {
	sign := map[audit.Action]string{audit.Add: "+ ", audit.Replace: "= ", audit.Remove: "- "}[r.Action]
	text := fmt.Sprintf("%s %s %s", r.Name, r.Type, r.Value)
	lead := label("") + sign
	longest := columns(Screen(r.Name))
	if longest > Width-columns(lead) {
		lead = pad("", max(2, Width-longest-2-len(" "+sign))) + sign
	}
	p.hang(lead, text)
}

func (p *page) unknown(m Model, verbose bool) {
	if len(m.Unknown) == 0 {
		return
	}
	p.title(fmt.Sprintf("NOT KNOWN (%s), none of it counted against you", m.darkTitle()))
	for _, d := range m.Unknown {
		p.line("")
		p.hang(pad("   ?", colText), d.Text)
		p.listed("At", d.Subjects, limit(maxListed, verbose))
		p.hang(label("Checks"), waiting(d))
		if verbose {
			p.evidence(d.Evidence, 0)
		}
		if d.Advice != "" {
			p.hang(label("Do"), d.Advice)
		}
	}
}

// waiting counts the checks that wait for an unknown.
func waiting(d Dark) string {
	switch {
	case d.Checks == 1:
		return string(d.Rules[0])
	case len(d.Rules) == 1:
		return fmt.Sprintf("%d: %s", d.Checks, d.Rules[0])
	}
	return fmt.Sprintf("%d wait for this: %s and others", d.Checks, d.Rules[0])
}

func (p *page) good(m Model, verbose bool) {
	more := ""
	if !verbose {
		more = " (-v shows them)"
	}
	switch {
	case m.Passed > 0:
		p.line("")
		p.line(p.paint(bold, "GOOD") + "  " + m.good(more))
	case m.NA > 0:
		p.line("")
		p.line(p.paint(bold, "N/A") + "   " + plural(m.NA, "check"))
	}
	if !verbose {
		return
	}
	for _, it := range m.Passes {
		p.line("")
		p.spread("   "+p.paint(green, "ok")+"    ", colText, it.Title, "", []string{string(it.Rule)}, "")
		for _, s := range it.Said {
			p.said(pad("", colText), s, verbose)
		}
	}
}
