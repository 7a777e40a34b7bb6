package main

import (
	"fmt"
	"io"
	"sync"

	"mailaudit/internal/audit"
	"mailaudit/internal/collect"
	"mailaudit/internal/report"
)

// progress tells a person at a terminal what is going on: one line that is
// rewritten, or with -v a line for each observation.
type progress struct {
	w       io.Writer
	live    bool
	verbose bool
	of      int // audits of this call

	mu   sync.Mutex // guards what follows and w
	done int
}

func (p *program) progress(o output, of int) *progress {
	return &progress{w: p.err, live: o.live, verbose: o.verbose, of: of}
}

// events is what tells of one audit; nil: nobody is told.
func (g *progress) events(d audit.Domain) func(collect.Event) {
	if !g.live {
		return nil
	}
	return func(e collect.Event) {
		text := report.Screen(fmt.Sprintf("%-6s %s", e.What, e.Subject))
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.of > 1 && g.verbose {
			text = report.Screen(d.String()) + "  " + text
		} else if g.of > 1 {
			text = fmt.Sprintf("%d of %d  %s  %s", g.done, g.of, report.Screen(d.String()), text)
		}
		switch {
		case g.verbose && !e.Begin:
			fmt.Fprintf(g.w, "%-10s %s\n", stateWord(e.State), text)
		case !g.verbose:
			fmt.Fprintf(g.w, "\r\x1b[K%.*s", report.Width-1, text)
		}
	}
}

// beside runs f while the line is gone, so that both can write to one terminal.
func (g *progress) beside(f func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done++
	if g.live && !g.verbose {
		fmt.Fprint(g.w, "\r\x1b[K")
	}
	return f()
}

// stateWord is a state for people.
func stateWord(s audit.State) string {
	if s == audit.NotTried {
		return "not asked"
	}
	return string(s)
}
