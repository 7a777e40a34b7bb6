package report

import (
	"fmt"
	"strings"

	"mailaudit/internal/audit"
)

// This file has the phrases that all renderers use, so that a terminal and a
// document say the same.

// capital writes the first letter of a sentence in upper case, unless it
// begins with a name or the like.
func capital(s string) string {
	word, _, _ := strings.Cut(s, " ")
	word = strings.TrimRight(word, ",;:")
	if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// notes says what a comparison is worth: with what, and how like it.
func (s *Since) notes() []string {
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
	return notes
}

// silence is what there is to say where no change is told.
func (s *Since) silence() string {
	switch {
	case s.Nothing:
		return "nothing can be compared: the two runs looked at different areas"
	case len(s.Lines) == 0:
		return "nothing changed"
	}
	return ""
}

// goesOn counts the fails that go on.
func (s *Since) goesOn() string {
	switch {
	case s.Still > 0 && !s.StillSince.IsZero():
		return fmt.Sprintf("%s, the oldest since %s", plural(s.Still, "fault"), s.StillSince.Format("2 Jan 2006"))
	case s.Still > 0:
		return plural(s.Still, "fault")
	}
	return ""
}

// word is what kind of change it is.
func (l SinceLine) word() string {
	switch {
	case l.Class == audit.Same:
		return "changed"
	case l.Class == audit.StillPassing || l.Class == audit.StillFailing && l.Confirmed:
		return "confirmed"
	}
	return string(l.Class)
}

// mark says how often it was seen, where that matters.
func (l SinceLine) mark() string {
	switch {
	case l.Once:
		return "seen once"
	case l.Confirmed:
		return "seen twice now"
	}
	return ""
}

// marked is the text with its mark.
func (l SinceLine) marked() string {
	if l.mark() == "" {
		return l.Text
	}
	return l.Text + ", " + l.mark()
}

// others is the subjects that the sentence does not name, and how they belong
// to it.
func (s Said) others() (how string, subjects []string) {
	switch {
	case s.Named && len(s.Subjects) > 1:
		return "Also", s.Subjects[1:]
	case !s.Named:
		return "At", s.Subjects
	}
	return "", nil
}

// darkTitle counts what is not known.
func (m Model) darkTitle() string {
	return fmt.Sprintf("%s, %s", plural(m.Unseen, "check"), plural(len(m.Unknown), "cause"))
}

// good counts what passed; more is said behind it where something did.
func (m Model) good(more string) string {
	text := plural(m.Passed, "check") + " passed" + more
	if m.Passed == 0 {
		text = "no check passed"
	}
	switch {
	case m.NA == 1:
		text += ", 1 does not apply"
	case m.NA > 1:
		text += fmt.Sprintf(", %d do not apply", m.NA)
	}
	return text
}

// indexLine is the report in a line, behind the name of its domain.
func (m Model) indexLine() string {
	out := m.Result
	switch {
	case m.Kind == audit.KindSMTP:
		out += "; SMTP test"
	case len(m.Axes) > 0: // something counts
		out += fmt.Sprintf("; %d %% of what counts was seen", m.Coverage)
	}
	out += ", " + m.Started.Format("2 Jan 2006 15:04 MST")
	if m.grades() != "" {
		out = m.grades() + "; " + out
	}
	if m.Run > 0 {
		out += fmt.Sprintf(", run %d", m.Run)
	}
	return out
}

// linkable reports whether a document may make a link of a reference: only
// pages of the web, in characters that mean nothing in any of our formats.
func linkable(url string) bool {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?#=%+"
	return strings.HasPrefix(url, "https://") && strings.Trim(url, safe) == ""
}

// kind is what the report reports on.
func (m Model) kind() string {
	if m.Kind == audit.KindSMTP {
		return "SMTP test"
	}
	return "Mail audit"
}

// title is the heading of the report.
func (m Model) title() string {
	if m.Kind == audit.KindSMTP {
		return "SMTP test results for " + m.Target
	}
	return m.Target
}

// about is the title block of a document: what was audited, when, from where
// and by what.
func (m Model) about() []Field {
	fields := []Field{{"Domain", theirs(m.Target)}}
	if m.Kind == audit.KindSMTP {
		fields[0].Name = "Server"
	}
	add := func(name string, c Cell) { fields = append(fields, Field{name, c}) }
	if m.Unicode != "" {
		add("In Unicode", ours(m.Unicode))
	}
	if m.Run > 0 {
		add("Run", ours(fmt.Sprint(m.Run)))
	}
	when := m.Started.Format("2 January 2006, 15:04 MST")
	if m.State != audit.Complete {
		when += " (" + string(m.State) + ")"
	}
	add("Date", ours(when))
	if m.Vantage != "" {
		add("Seen from", ours(m.Vantage))
	}
	if m.Proxy != "" {
		add("Through the proxy", ours(m.Proxy))
	}
	if m.Means != "" {
		add("Connected", ours(m.Means))
	}
	if m.HELO != "" {
		add("Introduced as", theirs(m.HELO))
	}
	if m.Tag != "" {
		add("Tag", ours(m.Tag))
	}
	if m.Remark != "" {
		add("Note", ours(m.Remark))
	}
	fields = append(fields, m.Scope...)
	add("Made with", ours(fmt.Sprintf("mailaudit %s, rules %s", m.Tool.Version, m.Tool.Catalogue)))
	return fields
}

// zone writes records to publish as lines of a zone file (RFC 1035 section 5).
// Lines that are no record to be there are comments, so that the whole can be
// copied.
func zone(records []audit.FixRecord) []string {
	var out []string
	for _, r := range records {
		record := fmt.Sprintf("%s IN %s %s", r.Name, r.Type, r.Value)
		switch r.Action {
		case audit.Remove:
			out = append(out, "; remove: "+record)
			continue
		case audit.Replace:
			out = append(out, fmt.Sprintf("; in place of all %s records of this name:", r.Type))
		}
		out = append(out, record)
	}
	return out
}
