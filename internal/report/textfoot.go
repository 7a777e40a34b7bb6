package report

import (
	"fmt"
	"slices"
	"strings"
)

// colFoot is where the text of the last part of a report begins, behind "WHAT
// THIS PROVES".
const colFoot = 18

// foot ends a report with what it is worth, how to see for oneself, and what
// to do next.
func (p *page) foot(m Model, verbose bool) {
	p.line("")
	if m.Traffic != "" {
		p.hang("", m.Traffic)
		p.line("")
	}
	p.clauses("WHAT THIS PROVES", stand(m)+": "+strings.Join(m.Proves, "; "))
	p.clauses("WHAT IT DOES NOT", strings.Join(m.Limits, "; "))
	if m.Passwords != "" {
		p.clauses("PASSWORDS", m.Passwords)
	}
	p.repeat(m.Repeat, verbose)
	if len(m.Next) > 0 {
		p.line("")
	}
	column := 0
	for _, n := range m.Next {
		column = max(column, min(columns(n.Command)+9, 50))
	}
	lead := "next  "
	for _, n := range m.Next {
		p.beside(lead+n.Command, column, n.Why)
		lead = "      "
	}
}

func (p *page) clauses(name, text string) {
	lead := pad(name, colFoot)
	p.hangColored(p.paint(bold, lead), colFoot, text+".")
}

// repeat shows one command of each kind; all of them, if all is wanted.
func (p *page) repeat(list []Repeat, verbose bool) {
	lead := pad("REPEAT BY HAND", colFoot)
	all, shown := 0, 0
	for _, r := range list {
		all += len(r.Commands)
		for i, c := range r.Commands {
			if i > 0 && !verbose {
				break
			}
			p.block(p.paint(bold, lead), colFoot, continued(c, wrap(c, Width-colFoot-len(`   \`))))
			lead = pad("", colFoot)
			shown++
		}
	}
	if shown < all {
		p.line(pad("", colFoot) + fmt.Sprintf("and %d more (-v shows them)", all-shown))
	}
}

// continued ends all lines of a command but the last with a backslash, so that
// a shell takes them for one. Where a word or a quotation was broken that would
// change it: such lines stay as they are.
func continued(command string, lines []string) []string {
	if strings.Join(lines, " ") != command {
		return lines
	}
	out := slices.Clone(lines)
	for i, l := range out[:len(out)-1] {
		if strings.Count(l, "'")%2 != 0 || columns(l) > Width-len(`   \`) {
			return lines
		}
		out[i] += ` \`
		out[i+1] = "  " + out[i+1]
	}
	return out
}
