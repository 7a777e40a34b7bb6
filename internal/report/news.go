package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// The columns of News: the domain, and what became of it.
const (
	colNews   = 26
	colChange = 16
)

// News writes what changed in a run, a line for each change, for the mail of a
// nightly job: the domain, what became of it, what it is. A line is as long as
// it needs to be. A run that had nothing to be compared with has a line that
// says so.
func News(w io.Writer, m Model, color bool) error {
	p := &page{w: w, color: color}
	name := pad(Screen(m.Target)+"  ", colNews)
	if m.Since == nil {
		p.line(name + pad("first run", colChange) + Screen(m.Result))
		return p.err
	}
	if m.Since.OtherVantage {
		p.line(name + pad("compared", colChange) + Screen(fmt.Sprintf("with run %d, seen from %s", m.Since.Base.ID, m.Since.Base.Vantage)))
	}
	for _, l := range m.Since.Lines {
		text := l.Text
		for _, list := range []struct {
			sign  string
			words []string
		}{{"-", l.Gone}, {"+", l.Come}, {"~", l.Moved}} {
			for _, word := range list.words {
				text += " " + list.sign + word
			}
		}
		lead := pad(l.word(), colChange)
		switch l.Class {
		case audit.Broken, audit.Appeared:
			lead = p.paint(red, lead)
		case audit.Fixed:
			lead = p.paint(green, lead)
		}
		p.line(name + lead + Screen(text))
	}
	return p.err
}

// Tally sums up the runs of one call. The zero value is none.
type Tally struct {
	Runs      int
	Changed   int // differ from the run before
	Unchanged int
	First     int // had nothing to be compared with
	Blind     int // showed nothing at all
	Stopped   int // were stopped before their end; they count nowhere else
	Faulty    int // have a fail that counts
	from, to  int64
}

// Add counts a run.
func (t *Tally) Add(e Entry) {
	t.Runs++
	if e.Run.ID > 0 {
		if t.from == 0 {
			t.from = e.Run.ID
		}
		t.from, t.to = min(t.from, e.Run.ID), max(t.to, e.Run.ID)
	}
	if e.Run.State != audit.Complete {
		t.Stopped++
		return
	}
	seen, faulty := false, false
	for _, f := range e.Run.Findings {
		seen = seen || f.Status.Known() && !f.OurSide()
		faulty = faulty || f.Status == audit.Fail && f.Severity != audit.Info
	}
	if !seen {
		t.Blind++
	}
	if faulty {
		t.Faulty++
	}
	switch {
	case e.Delta == nil || e.Delta.Base == nil:
		t.First++
	case e.Delta.Quiet():
		t.Unchanged++
	default:
		t.Changed++
	}
}

// Loud is how many runs have something to tell to somebody who wants to hear
// of changes alone.
func (t *Tally) Loud() int { return t.Changed + t.First }

// Line is the sum in one line. Of is how many runs were to be made.
func (t *Tally) Line(of int, took time.Duration) string {
	head := plural(t.Runs, "domain")
	if t.Runs < of {
		head = fmt.Sprintf("%d of %s", t.Runs, plural(of, "domain"))
	}
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{t.Changed, "changed"}, {t.Unchanged, "unchanged"}, {t.First, "for the first time"}, {t.Stopped, "stopped"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	parts = append(parts, fmt.Sprintf("%d with faults", t.Faulty), fmt.Sprintf("%d blind", t.Blind))
	line := head + ": " + strings.Join(parts, ", ")
	if t.to > 0 {
		line += fmt.Sprintf(" · runs %d-%d", t.from, t.to)
	}
	return line + " · " + took.Round(100*time.Millisecond).String()
}
