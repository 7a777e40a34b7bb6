package report

import (
	"fmt"
	"strings"
)

// Columns of a step: name, status, time, text.
const (
	colStatus = 13
	colTook   = 21
	colSeen   = 29
)

// meansOf tells how we came: the mode, and the name that we gave.
func (p *page) meansOf(m Model) {
	var right []string
	if m.HELO != "" {
		right = append(right, "asked by EHLO "+m.HELO)
	}
	if m.Means != "" || len(right) > 0 {
		p.spread("", 0, m.Means, "", right, "")
	}
}

// tests lays the addresses of a server out, a step a line.
func (p *page) tests(list []Test) {
	for _, t := range list {
		p.line("")
		p.spread("", 0, fmt.Sprintf("%s  (%s)", t.Address, t.Family), bold, []string{t.Verdict}, "")
		for _, s := range t.Steps {
			p.step(s)
		}
		if t.About != "" {
			p.hang("  ", t.About)
		}
	}
}

func (p *page) step(s Step) {
	lead := pad("  "+s.Name, colStatus) + p.status(s.Status) + strings.Repeat(" ", max(0, colTook-colStatus-len(s.Status)))
	wide := max(colTook, colStatus+len(s.Status))
	lead, wide = lead+pad(s.Took, colSeen-wide), colSeen
	none := true
	for _, c := range s.Seen {
		for _, l := range c.Lines {
			none = false
			if c.Kind == CellCode {
				p.block(lead, wide, phrases(l, Width-wide))
			} else {
				p.hangColored(lead, wide, l)
			}
			lead = strings.Repeat(" ", wide)
		}
	}
	var faults []string
	for _, f := range s.Faults {
		faults = append(faults, f.String())
	}
	if len(faults) > 0 {
		none = false
		p.block(lead, wide, phrases(strings.Join(faults, ", "), Width-wide))
	}
	if none {
		p.line(lead)
	}
}

// status is a status in its colour.
func (p *page) status(s StepStatus) string {
	switch s {
	case StepOK:
		return p.paint(green, string(s))
	case StepFail:
		return p.paint(red, string(s))
	case StepNote:
		return p.paint(cyan, string(s))
	}
	return string(s)
}

// Columns of a dialogue: seconds, speaker, text.
const colSaid = 14

// talks shows what was said, connection by connection.
func (p *page) talks(list []Test) {
	for _, t := range list {
		for _, talk := range t.Talks {
			p.title("DIALOGUE with " + Screen(talk.Title))
			for _, l := range talk.Lines {
				p.hang(pad(fmt.Sprintf("%9s  %s", clip(l.At, 9), clip(l.From, 1)), colSaid), l.Text)
			}
		}
	}
}
