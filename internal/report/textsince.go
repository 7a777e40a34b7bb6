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
	p.line("")
	lead := fmt.Sprintf("SINCE run %d", s.Base.ID)
	p.hangColored(p.paint(bold, lead)+" ", columns(lead)+1, "("+strings.Join(s.notes(), ", ")+")")
	if s.silence() != "" {
		p.line("  " + s.silence())
	}
	if s.graded() != "" {
		p.hang(sinceLabel("grades"), s.graded())
	}
	for _, l := range s.Lines {
		p.sinceLine(l)
	}
	if s.goesOn() != "" {
		p.hang(sinceLabel("still"), s.goesOn())
	}
}

func sinceLabel(word string) string { return "  " + pad(word, colSince-2) }

func (p *page) sinceLine(l SinceLine) {
	lead := pad(clip(l.word(), colSince-3), colSince-2)
	switch {
	case l.Class == audit.Broken, l.Class == audit.StillFailing && l.Confirmed:
		lead = p.paint(red, lead)
	case l.Class == audit.Fixed, l.Class == audit.StillPassing:
		lead = p.paint(green, lead)
	}
	// One kind of change alone mostly fits into the line.
	short := ""
	switch {
	case len(l.Moved) > 0:
	case len(l.Come) == 0 && len(l.Gone) > 0:
		short = fmt.Sprintf("%s: gone: %s", l.marked(), strings.Join(l.Gone, ", "))
	case len(l.Gone) == 0 && len(l.Come) > 0:
		short = fmt.Sprintf("%s: new: %s", l.marked(), strings.Join(l.Come, ", "))
	}
	if short != "" && columns(Screen(short)) <= Width-colSince {
		p.hangColored("  "+lead, colSince, short)
		return
	}
	p.hangColored("  "+lead, colSince, l.marked())
	for _, list := range []struct {
		sign  string
		words []string
	}{{"- ", l.Gone}, {"+ ", l.Come}, {"~ ", l.Moved}} {
		for _, w := range list.words {
			p.hang(pad("", colSince)+list.sign, w)
		}
	}
}
