package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// MarkdownOptions are choices of the Markdown form.
type MarkdownOptions struct {
	Client string // whom it is prepared for; empty: nobody in particular
}

// Markdown writes reports as one document in GitHub-flavoured Markdown, which
// reads well as it is and rendered. It holds no HTML, and no links but those of
// the catalogue. Only what is longer than any text of ours is cut, and says so.
// Several reports have an index before them. The
// error is the writer's.
func Markdown(w io.Writer, models []Model, o MarkdownOptions) error {
	d := &mdPage{}
	if len(models) == 1 {
		d.report(printable(models[0]), o.Client)
	} else {
		d.index(models, o.Client)
		for _, m := range models {
			d.shift = 1
			d.report(printable(m), "")
		}
	}
	_, err := w.Write(d.b.Bytes())
	return err
}

// mdPage collects blocks. Each ends with a blank line, but for the last one.
type mdPage struct {
	b     bytes.Buffer
	shift int // how much deeper all headings are
}

// block writes lines that belong together. Two blanks at the end of one would
// mean something (a hard break), and cannot be seen.
func (d *mdPage) block(lines ...string) {
	if len(lines) == 0 {
		return
	}
	if d.b.Len() > 0 {
		d.b.WriteByte('\n')
	}
	for _, l := range lines {
		d.b.WriteString(strings.TrimRight(l, " ") + "\n")
	}
}

// heading writes a heading; its text is Markdown.
func (d *mdPage) heading(level int, text string) {
	d.block(strings.Repeat("#", level+d.shift) + " " + text)
}

// fence writes a fenced code block (GFM section 4.5), its fence longer than any
// run of backticks in it.
func (d *mdPage) fence(language string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fence := "```"
	for _, l := range lines {
		fence = strings.Repeat("`", max(len(fence), longestRun(l)+1))
	}
	block := []string{fence + language}
	for _, l := range lines {
		block = append(block, Screen(l))
	}
	d.block(append(block, fence)...)
}

// table writes a table; the cells are Markdown.
func (d *mdPage) table(head []string, rows [][]string) {
	line := func(cells []string) string {
		var out []string
		for _, c := range cells {
			out = append(out, mdCellText(c))
		}
		return "| " + strings.Join(out, " | ") + " |"
	}
	lines := []string{line(head), "|" + strings.Repeat(" --- |", len(head))}
	for _, r := range rows {
		lines = append(lines, line(r))
	}
	d.block(lines...)
}

// index lists several reports, a line each.
func (d *mdPage) index(models []Model, client string) {
	d.heading(1, plural(len(models), "mail report"))
	d.client(client)
	var lines []string
	for i, m := range models {
		m = printable(m)
		name := mdCode(m.Target)
		if m.Unicode != "" {
			name += " (" + mdWords(m.Unicode) + ")"
		}
		lines = append(lines, fmt.Sprintf("%d. %s: %s", i+1, name, mdWords(m.indexLine())))
	}
	d.block(lines...)
}

func (d *mdPage) client(name string) {
	if name != "" {
		d.block("Prepared for " + mdWords(name))
	}
}

func (d *mdPage) report(m Model, client string) {
	d.heading(1, mdTitle(m))
	d.client(client)
	var about []string
	for _, f := range m.about() {
		about = append(about, "- "+mdWords(f.Name)+": "+mdCell(f.Cell))
	}
	d.block(about...)
	d.summary(m)
	d.tests(m.Tests)
	d.since(m.Since)
	if len(m.Fails) > 0 {
		d.heading(2, "What fails, worst first")
		for i, it := range m.Fails {
			d.item(fmt.Sprintf("%d. %s", i+1, mdWords(capital(string(it.Severity)))), it)
		}
	}
	if len(m.Notes) > 0 {
		d.heading(2, "Notes, nothing to repair")
		for _, it := range m.Notes {
			d.item(mdWords(capital(string(it.Severity))), it)
		}
	}
	d.unknown(m)
	d.passes(m)
	d.facts(m.Facts)
	d.proof(m)
}

func (d *mdPage) summary(m Model) {
	d.block(mdWords(strings.Join(m.Headline, " ")))
	if m.Kind == audit.KindSMTP {
		d.block("Result: " + mdWords(m.Result) + ".")
	}
	if m.OwnSide != nil {
		d.heading(2, mdWords(m.OwnSide.Title))
		d.block(mdWords(m.OwnSide.Text))
		var lines []string
		for i, s := range m.OwnSide.Steps {
			line := fmt.Sprintf("%d. %s", i+1, mdWords(capital(s.Why)))
			if s.Command != "" {
				line += ": " + mdCode(s.Command)
			}
			lines = append(lines, line)
		}
		d.block(lines...)
	}
	if len(m.Axes) == 0 {
		return
	}
	var rows [][]string
	for _, a := range m.Axes {
		row := []string{mdWords(a.title() + ": " + a.Question)}
		if m.Rubric > 0 {
			row = append(row, gradeCell(a))
		}
		rows = append(rows, append(row, mdWords(a.faults()), a.share(), mdWords(cmp.Or(a.unseen(), "-"))))
	}
	head := []string{"Question", "Faults", "Seen of what counts", "Not seen"}
	if m.Rubric > 0 {
		head = slices.Insert(head, 1, "Grade")
	}
	d.table(head, rows)
	var lines []string
	for _, l := range m.legend() {
		lines = append(lines, "- "+mdWords(l))
	}
	d.block(lines...)
}

// gradeCell is "**B**, 78 points, provisional", or "no grade".
func gradeCell(a AxisLine) string {
	if !a.Grade.Given() {
		return mdWords(a.worth())
	}
	return mdBold(string(a.Grade)) + ", " + mdWords(a.worth())
}

func (d *mdPage) since(s *Since) {
	if s == nil {
		return
	}
	d.heading(2, fmt.Sprintf("What changed since run %d", s.Base.ID))
	d.block("Compared with " + mdWords(strings.Join(s.notes(), ", ")) + ".")
	if s.silence() != "" {
		d.block(capital(s.silence()) + ".")
	}
	var lines []string
	if s.graded() != "" {
		lines = append(lines, "- **grades**: "+mdWords(s.graded()))
	}
	for _, l := range s.Lines {
		lines = append(lines, "- "+mdBold(l.word())+": "+mdWords(l.marked()))
		for _, w := range l.Gone {
			lines = append(lines, "  - gone: "+mdCode(w))
		}
		for _, w := range l.Come {
			lines = append(lines, "  - new: "+mdCode(w))
		}
		for _, w := range l.Moved {
			lines = append(lines, "  - moved: "+mdWords(w))
		}
	}
	if s.goesOn() != "" {
		lines = append(lines, "- **still**: "+s.goesOn())
	}
	d.block(lines...)
}

// item writes one rule and everything that it says.
func (d *mdPage) item(lead string, it Item) {
	for i, s := range it.Said {
		if i == 0 {
			d.heading(3, lead+": "+mdWords(capital(s.Text)))
		} else {
			d.block(mdBold(s.Text))
		}
		d.others(s)
	}
	if len(it.Evidence) > 0 {
		d.block("**Seen**")
		d.fence("text", it.Evidence)
	}
	if it.Means != "" {
		d.block("**Means:** " + mdWords(it.Means))
	}
	d.fix(it.Fix)
	line := "Rule " + mdCode(string(it.Rule))
	if !it.Since.IsZero() {
		line += ", first seen " + it.Since.Format("2 Jan 2006")
	}
	for _, r := range it.Refs {
		line += " · " + mdLink(r)
	}
	d.block(line)
}

// others lists the subjects that a sentence does not name.
func (d *mdPage) others(s Said) {
	how, subjects := s.others()
	var lines []string
	for _, subject := range subjects {
		lines = append(lines, "- "+mdCode(subject))
	}
	if len(lines) > 0 {
		d.block(how + ":")
		d.block(lines...)
	}
}

func (d *mdPage) fix(f audit.Fix) {
	if f.Summary != "" {
		d.block("**Do:** " + mdWords(capital(f.Summary)))
	} else if len(f.Records)+len(f.Steps) > 0 {
		d.block("**Do:**")
	}
	d.fence("dns-zone", zone(f.Records))
	var lines []string
	for i, s := range f.Steps {
		lines = append(lines, fmt.Sprintf("%d. %s", i+1, mdWords(capital(s))))
	}
	d.block(lines...)
}

func (d *mdPage) unknown(m Model) {
	if len(m.Unknown) == 0 {
		return
	}
	d.heading(2, "Not known ("+m.darkTitle()+")")
	d.block("None of it is counted as a fault.")
	for _, k := range m.Unknown {
		lines := []string{"- " + mdBold(capital(k.Text))}
		for _, part := range []struct {
			name string
			list []string
		}{{"at", k.Subjects}, {plural(k.Checks, "check"), ruleNames(k.Rules)}, {"seen", k.Evidence}} {
			if len(part.list) > 0 {
				lines = append(lines, "  - "+part.name+": "+mdSpans(part.list))
			}
		}
		if k.Advice != "" {
			lines = append(lines, "  - what helps: "+mdWords(k.Advice))
		}
		d.block(lines...)
	}
}

func ruleNames(ids []audit.RuleID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, string(id))
	}
	return out
}

func (d *mdPage) passes(m Model) {
	d.heading(2, "What passed")
	d.block(capital(m.good("")) + ".")
	var lines []string
	for _, it := range m.Passes {
		lines = append(lines, "- "+mdWords(it.Title)+" ("+mdCode(string(it.Rule))+")")
		for _, s := range it.Said {
			line := "  - " + mdWords(s.Text)
			_, subjects := s.others()
			if len(subjects) > 0 {
				line += ": " + mdSpans(subjects)
			}
			lines = append(lines, line)
		}
	}
	d.block(lines...)
}
