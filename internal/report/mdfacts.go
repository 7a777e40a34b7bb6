package report

import (
	"strings"

	"mailaudit/internal/audit"
)

// This file writes the second half of a Markdown report: what was observed,
// and what the result is worth.

func (d *mdPage) facts(tables []Table) {
	if len(tables) > 0 {
		d.heading(2, "What was observed")
	}
	for _, t := range tables {
		if t.Server {
			d.heading(3, mdCode(t.Title))
		} else {
			d.heading(3, mdWords(t.Title))
		}
		if len(t.Note.Lines) > 0 {
			d.block(mdCell(t.Note))
		}
		var rows [][]string
		for _, r := range t.Rows {
			var cells []string
			for _, c := range r {
				cells = append(cells, mdCell(c))
			}
			rows = append(rows, cells)
		}
		if len(rows) > 0 {
			d.table(mdList(t.Head), rows)
		}
	}
}

// mdTitle is the heading of a report. A server that is letters, digits, dots
// and a port means nothing in Markdown, and stands there as it is.
func mdTitle(m Model) string {
	if m.Kind != audit.KindSMTP {
		return m.kind() + " of " + mdCode(m.Target)
	}
	plain := strings.Trim(m.Target, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-") == ""
	name, _, _ := strings.Cut(m.Target, ":")
	if plain && name != "" && !strings.HasPrefix(strings.ToLower(name), "www.") && strings.Count(m.Target, ":") == 1 && !strings.HasSuffix(m.Target, ":") {
		return strings.TrimSuffix(m.title(), m.Target) + m.Target
	}
	return strings.TrimSuffix(m.title(), m.Target) + mdCode(m.Target)
}

// tests writes the addresses of a server, a step a row.
func (d *mdPage) tests(list []Test) {
	if len(list) > 0 {
		d.heading(2, "Address by address")
	}
	for _, t := range list {
		d.heading(3, mdCode(t.Address)+" "+mdWords("("+t.Family+"): "+t.Verdict))
		var rows [][]string
		for _, s := range t.Steps {
			var seen []string
			for _, c := range s.Seen {
				if len(c.Lines) > 0 {
					seen = append(seen, mdCell(c))
				}
			}
			for _, f := range s.Faults {
				seen = append(seen, mdCode(string(f.Rule))+" "+mdWords("("+string(f.Severity)+")"))
			}
			took := ""
			if s.Took != "" {
				took = mdWords(s.Took)
			}
			rows = append(rows, []string{mdWords(s.Name), mdWords(string(s.Status)), took, strings.Join(seen, "; ")})
		}
		d.table(mdList(stepHead()), rows)
		if t.About != "" {
			d.block(mdWords(t.About))
		}
	}
}

// proof ends a report with what it is worth, how to see for oneself, and what
// to do next.
func (d *mdPage) proof(m Model) {
	d.heading(2, "What this proves, and what it does not")
	d.block(mdWords("As seen " + stand(m) + ", this result proves"))
	d.clauses(m.Proves)
	d.block("It does not prove")
	d.clauses(m.Limits)
	if m.Passwords != "" {
		d.block("**Passwords:** " + mdWords(capital(m.Passwords)) + ".")
	}
	if m.Traffic != "" {
		d.block(mdWords(m.Traffic))
	}
	if len(m.Repeat) > 0 {
		d.heading(2, "The same by hand")
		var lines []string
		for _, r := range m.Repeat {
			lines = append(append(lines, "# "+r.What), r.Commands...)
		}
		d.fence("sh", lines)
	}
	if len(m.Next) > 0 {
		d.heading(2, "What to do next")
		var lines []string
		for _, n := range m.Next {
			lines = append(lines, "- "+mdCode(n.Command)+": "+mdWords(n.Why))
		}
		d.block(lines...)
	}
}

func (d *mdPage) clauses(list []string) {
	var lines []string
	for i, c := range list {
		end := ";"
		if i == len(list)-1 {
			end = "."
		}
		lines = append(lines, "- "+strings.TrimSuffix(mdWords(c), ".")+end)
	}
	d.block(lines...)
}
