package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// The HTML form is one file that holds all it needs: no script, no request to
// anywhere, and a policy in its head (CSP) that lets a browser refuse both,
// should a stranger's text ever find a way past html/template.

//go:embed report.tmpl
var htmlTemplate string

//go:embed report.css
var htmlStyle string

// HTMLOptions are choices of the HTML form.
type HTMLOptions struct {
	Client string // whom it is prepared for; empty: nobody in particular
}

// HTML writes reports as one self-contained document, for a browser and for
// paper. Only what
// is longer than any of ours is cut, and says so. Several reports have an index before them. The error
// is the writer's.
func HTML(w io.Writer, models []Model, o HTMLOptions) error {
	doc := htmlDoc{Client: clipped(Screen(o.Client)), Many: len(models) != 1, Policy: policy(htmlStyle), Style: template.CSS(htmlStyle)}
	doc.Title = plural(len(models), "mail report")
	for i, m := range models {
		r := htmlReport{Model: printable(m), Client: doc.Client}
		if doc.Many {
			r.Client, r.prefix, r.shift = "", fmt.Sprintf("r%d-", i+1), 1
		} else {
			doc.Title = r.kind() + " of " + r.Target + ", " + r.Started.Format("2 Jan 2006")
			if r.Kind == audit.KindSMTP {
				doc.Title = r.title()
			}
		}
		doc.Reports = append(doc.Reports, r)
	}
	t, err := template.New("report").Funcs(htmlFuncs()).Parse(htmlTemplate)
	if err != nil {
		return fmt.Errorf("HTML template: %w", err)
	}
	var b bytes.Buffer
	err = t.ExecuteTemplate(&b, "document", doc)
	if err != nil {
		return fmt.Errorf("HTML template: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// policy is the content security policy of the document
// (https://www.w3.org/TR/CSP3/): nothing but the one style sheet, by its hash.
func policy(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

// htmlDoc is what the template lays out.
type htmlDoc struct {
	Title   string
	Client  string
	Policy  string
	Style   template.CSS
	Many    bool
	Reports []htmlReport
}

// htmlReport is one report in a document.
type htmlReport struct {
	Model
	Client string
	prefix string // of its ids
	shift  int    // how much deeper its headings are
}

// htmlHeading is a heading with its level in the document.
type htmlHeading struct {
	Level    int
	ID, Text string
	Severity audit.Severity // empty: none
	Number   int            // 0: none
}

// ID is an id of this report.
func (r htmlReport) ID(name string) string { return r.prefix + name }

// H is a heading.
func (r htmlReport) H(level int, name, text string) htmlHeading {
	return htmlHeading{Level: level + r.shift, ID: r.prefix + name, Text: text}
}

// Finding is the heading of an item.
func (r htmlReport) Finding(number int, kind string, it Item) htmlHeading {
	h := r.H(3, fmt.Sprintf("%s-%d", kind, number), "")
	h.Severity = it.Severity
	if kind == "fail" {
		h.Number = number
	}
	if len(it.Said) > 0 {
		h.Text = it.Said[0].Text
	}
	return h
}

// The rest are the words that the renderers share, for the template.

// About is the title block.
func (r htmlReport) About() []Field { return r.about() }

// What is what the report reports on.
func (r htmlReport) What() string { return r.kind() }

// Title is the heading.
func (r htmlReport) Title() string { return r.title() }

// StepHead is the head of a table of steps.
func (r htmlReport) StepHead() []string { return stepHead() }

// Good counts what passed.
func (r htmlReport) Good() string { return capital(r.good("")) }

// Dark counts what is not known.
func (r htmlReport) Dark() string { return r.darkTitle() }

// Stand is where and when all was seen.
func (r htmlReport) Stand() string { return stand(r.Model) }

// Legend explains the marks of the grades.
func (r htmlReport) Legend() []string { return r.legend() }

// Line is the report in a line.
func (r htmlReport) Line() string { return r.indexLine() }

// Servers are the tables about servers, or those about all else.
func (r htmlReport) Servers(server bool) []Table {
	var out []Table
	for _, t := range r.Facts {
		if t.Server == server {
			out = append(out, t)
		}
	}
	return out
}

// Commands counts the commands to repeat by hand.
func (r htmlReport) Commands() string {
	n := 0
	for _, c := range r.Repeat {
		n += len(c.Commands)
	}
	return plural(n, "command")
}

// maxShort is the longest name, in octets, that no column of a table breaks:
// three of them fit beside each other on paper.
const maxShort = 24

func htmlFuncs() template.FuncMap {
	return template.FuncMap{
		"axis":     func(a AxisLine) string { return a.title() },
		"capital":  capital,
		"date":     func(t time.Time) string { return t.Format("2 Jan 2006") },
		"faults":   func(a AxisLine) string { return a.faults() },
		"goeson":   func(s *Since) string { return s.goesOn() },
		"grade":    func(a AxisLine) string { return a.mark() },
		"graded":   func(s *Since) string { return s.graded() },
		"letter":   gradeClass,
		"share":    func(a AxisLine) string { return a.share() },
		"worth":    func(a AxisLine) string { return a.worth() },
		"inc":      func(i int) int { return i + 1 },
		"short":    func(name string) bool { return len(name) <= maxShort },
		"labels":   func(name string) []string { return strings.SplitAfter(name, ".") }, // where a narrow column may break it
		"linkable": linkable,
		"mark":     func(l SinceLine) string { return l.mark() },
		"notes":    func(s *Since) string { return strings.Join(s.notes(), ", ") },
		"plural":   plural,
		"question": func(evidence string) []string { return strings.SplitN(evidence, "  ->  ", 2) },
		"sentence": func(s string) string { return strings.TrimSuffix(s, ".") + "." },
		"severity": severityClass,
		"silence":  func(s *Since) string { return s.silence() },
		"change":   changeClass,
		"others": func(s Said) []string {
			_, subjects := s.others()
			return subjects
		},
		"how": func(s Said) string {
			how, _ := s.others()
			return how
		},
		"more":   func(list []Said) []Said { return list[min(1, len(list)):] },
		"status": statusClass,
		"unseen": func(a AxisLine) string { return a.unseen() },
		"word":   func(l SinceLine) string { return l.word() },
		"zone":   zone,
	}
}

// severityClass is the class of a severity in the style sheet.
func severityClass(s audit.Severity) string {
	if s.Rank() < 0 {
		return "info"
	}
	return string(s)
}

// gradeClass is the class of a grade in the style sheet.
func gradeClass(g audit.Grade) string {
	switch g {
	case audit.GradeA, audit.GradeB:
		return "good"
	case audit.GradeC:
		return "medium"
	case audit.GradeD, audit.GradeF:
		return "high"
	}
	return "unseen"
}

// statusClass is the class of the status of a step in the style sheet: that
// of its worst fault, where it has one.
func statusClass(s Step) string {
	worst := audit.Info
	for _, f := range s.Faults {
		if f.Severity.AtLeast(worst) {
			worst = f.Severity
		}
	}
	switch s.Status {
	case StepOK:
		return "good"
	case StepFail:
		return severityClass(worst)
	case StepRefused, StepUnknown, StepNotTried:
		return "unseen"
	}
	return "info"
}

// changeClass is the class of a change in the style sheet: worse, better or
// neither. What we lost sight of is not worse.
func changeClass(l SinceLine) string {
	switch {
	case l.Class == audit.Broken, l.Class == audit.StillFailing && l.Confirmed:
		return "high"
	case l.Class == audit.Fixed, l.Class == audit.StillPassing:
		return "good"
	case l.Class == audit.LostSight, l.Class == audit.RegainedSight:
		return "unseen"
	}
	return "info"
}
