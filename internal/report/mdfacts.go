package report

import "strings"

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

// proof ends a report with what it is worth, how to see for oneself, and what
// to do next.
func (d *mdPage) proof(m Model) {
	d.heading(2, "What this proves, and what it does not")
	d.block(mdWords("As seen " + stand(m) + ", this result proves"))
	d.clauses(m.Proves)
	d.block("It does not prove")
	d.clauses(m.Limits)
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
