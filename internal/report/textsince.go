package report

import (
	"fmt"
	"strings"

	"mailaudit/internal/audit"
)

// colSince is where the text of a change begins: behind "regained sight".
const colSince = 18

func (p *page) since(s *Since) {
	if s == nil {
		return
	}
	notes := []string{s.Base.Started.Format("2 Jan 2006 15:04"), "same vantage", "same rules"}
	if s.OtherVantage {
		notes[1] = "seen from " + s.Base.Vantage
	}
	if s.OtherRules {
		notes[2] = "other rules"
	}
	if len(s.Only) > 0 {
		var areas []string
		for _, a := range s.Only {
			areas = append(areas, string(a))
		}
		notes = append(notes, "only "+strings.Join(areas, ", "))
	}
	p.line("")
	lead := fmt.Sprintf("SINCE run %d", s.Base.ID)
	p.hangColored(p.paint(bold, lead)+" ", columns(lead)+1, "("+strings.Join(notes, ", ")+")")
	switch {
	case s.Nothing:
		p.line("  nothing can be compared: the two runs looked at different areas")
	case len(s.Lines) == 0:
		p.line("  nothing changed")
	}
	for _, l := range s.Lines {
		p.sinceLine(l)
	}
	switch {
	case s.Still > 0 && !s.StillSince.IsZero():
		p.hang(sinceLabel("still"), fmt.Sprintf("%s, the oldest since %s", plural(s.Still, "fault"), s.StillSince.Format("2 Jan 2006")))
	case s.Still > 0:
		p.line(sinceLabel("still") + plural(s.Still, "fault"))
	}
}

func sinceLabel(word string) string { return "  " + pad(word, colSince-2) }

func (p *page) sinceLine(l SinceLine) {
	word := string(l.Class)
	if l.Class == audit.Same {
		word = "changed"
	}
	lead := pad(clip(word, colSince-3), colSince-2)
	switch l.Class {
	case audit.Broken:
		lead = p.paint(red, lead)
	case audit.Fixed:
		lead = p.paint(green, lead)
	}
	// One kind of change alone mostly fits into the line.
	short := ""
	switch {
	case len(l.Moved) > 0:
	case len(l.Come) == 0 && len(l.Gone) > 0:
		short = fmt.Sprintf("%s: gone: %s", l.Text, strings.Join(l.Gone, ", "))
	case len(l.Gone) == 0 && len(l.Come) > 0:
		short = fmt.Sprintf("%s: new: %s", l.Text, strings.Join(l.Come, ", "))
	}
	if short != "" && columns(Screen(short)) <= Width-colSince {
		p.hangColored("  "+lead, colSince, short)
		return
	}
	p.hangColored("  "+lead, colSince, l.Text)
	for _, list := range []struct {
		sign  string
		words []string
	}{{"- ", l.Gone}, {"+ ", l.Come}, {"~ ", l.Moved}} {
		for _, w := range list.words {
			p.hang(pad("", colSince)+list.sign, w)
		}
	}
}
