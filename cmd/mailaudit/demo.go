package main

import (
	"bytes"
	"context"
	_ "embed" // the story of the demo
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
	"mailaudit/internal/report"
)

// The demo shows the whole product to somebody who has neither a domain at
// hand nor an open port 25. It adds nothing of its own: it plays a world of
// internal/lab, as tests do, and in it the very commands that everybody types.
// What its text and its reports say is what a real audit would have said.

// demoFile is the world of the demo; docs/lab.md says how to read it.
const demoFile = "demo/bakery.txtar"

//go:embed demo/bakery.txtar
var demoStory []byte

// demoDir is where the demo goes unless the user says.
const demoDir = "mailaudit-demo"

// documentation is what worlds are made of: the ranges of RFC 5737 and
// RFC 3849.
const documentation = "192.0.2.0/24,198.51.100.0/24,203.0.113.0/24,2001:db8::/32"

// The files of the demo.
const (
	demoHistory  = "history.db"
	demoHTML     = "report.html"
	demoMarkdown = "report.md"
	demoJSON     = "report.json"
)

func (p *program) demoCommand() *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "show it all: an invented domain, two runs, no network", ArgsUsage: "[DIRECTORY]",
		Description: `mailaudit demo             # into mailaudit-demo
mailaudit demo elsewhere`,
		Flags:  []cli.Flag{colorFlag()},
		Action: p.demo,
	}
}

// demo writes into a directory that is new or empty. What it cannot finish it
// takes away again.
func (p *program) demo(c *cli.Context) error {
	color, err := p.wantsColor(c.String("color"), p.out)
	if err != nil {
		return err
	}
	err = atMost(c, 1)
	if err != nil {
		return err
	}
	d := demo{dir: demoDir, color: "never", err: p.err}
	if c.Args().First() != "" {
		d.dir = c.Args().First()
	}
	if color {
		d.color = "always"
	}
	err = d.makeRoom()
	if err != nil {
		return err
	}
	w, err := demoWorld(time.Now())
	if err != nil {
		d.clear()
		return err
	}
	text, err := d.play(c.Context, w)
	if err == nil {
		err = c.Context.Err()
	}
	if err != nil {
		d.clear()
		return err
	}
	return p.wrote(d.tell(p.out, text))
}

// demoWorld is the world of the demo, moved in time so that its last run is
// now.
func demoWorld(now time.Time) (*lab.World, error) {
	w, err := lab.ParseWorld(demoFile, demoStory)
	if err != nil {
		return nil, fmt.Errorf("the world of the demo: %w", err)
	}
	last := w.Runs[len(w.Runs)-1].At
	w.Rebase(w.At.Add(now.Sub(last).Truncate(time.Second))) // certificates have whole seconds
	return w, nil
}

// demo is one demonstration.
type demo struct {
	dir   string
	made  bool   // dir was not there
	color string // always or never
	err   io.Writer
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// makeRoom makes the directory, or sees that it is empty.
func (d *demo) makeRoom() error {
	err := os.Mkdir(d.dir, 0o700)
	if err == nil {
		d.made = true
		return nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return &outputError{d.dir, err}
	}
	refused := &audit.InputError{Hint: "name another directory: mailaudit demo DIRECTORY"}
	info, err := os.Stat(d.dir)
	if err == nil && !info.IsDir() {
		refused.Problem = d.dir + " is there already, and is no directory"
		return refused
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return &outputError{d.dir, err}
	}
	if len(entries) > 0 {
		refused.Problem = d.dir + " is there already, and is not empty"
		return refused
	}
	probe, err := os.CreateTemp(d.dir, ".mailaudit-*") // before the history says it with hints that do not fit
	if err != nil {
		return &outputError{d.dir, err}
	}
	err = firstError(probe.Close(), os.Remove(probe.Name()))
	if err != nil {
		return &outputError{d.dir, err}
	}
	return nil
}

// clear takes away what a demo that came to nothing has written. Only what it
// has made itself goes, so errors mean that there is nothing to do.
func (d *demo) clear() {
	for _, name := range []string{demoHistory, demoHistory + "-wal", demoHistory + "-shm", demoHTML, demoMarkdown, demoJSON} {
		_ = os.Remove(d.path(name))
	}
	if d.made {
		_ = os.Remove(d.dir)
	}
}

// play lets the story happen and writes the reports of its last run. It
// returns what that run has printed.
func (d *demo) play(ctx context.Context, w *lab.World) ([]byte, error) {
	now := w.Runs[len(w.Runs)-1].At
	var text []byte
	for _, r := range w.Runs {
		for _, c := range r.Before {
			err := w.Change(c)
			if err != nil {
				return nil, fmt.Errorf("the world of the demo: %w", err)
			}
		}
		var err error
		text, err = d.command(ctx, w, r.At.Sub(now), append(r.Args, "--color", d.color))
		if err != nil {
			return nil, err
		}
	}
	_, err := d.command(ctx, w, 0, []string{"report", "-o", d.path(demoHTML), "-o", d.path(demoMarkdown), "-o", d.path(demoJSON)})
	return text, err
}

// command runs the program in the world, at another time than now, and
// returns what it has printed. That it finds faults is no error.
func (d *demo) command(ctx context.Context, w *lab.World, at time.Duration, args []string) ([]byte, error) {
	var resolvers []string
	for _, r := range w.Resolvers {
		resolvers = append(resolvers, r.String())
	}
	env := map[string]string{
		"MAILAUDIT_RESOLVER":  strings.Join(resolvers, ","),
		"MAILAUDIT_ALLOW_NET": documentation,
		"MAILAUDIT_CONTROL":   noControl,
		"MAILAUDIT_VANTAGE":   "demo",
	}
	var out, errs bytes.Buffer
	inner := &program{
		env: func(name string) string { return env[name] },
		out: &out, err: &errs, hostName: "demo.example",
		network: w.Network(), trust: w.Roots(), pace: hurry(),
		now: func() time.Time { return time.Now().Add(at) },
	}
	code := inner.run(ctx, append(append([]string{"mailaudit"}, args...), "--db", d.path(demoHistory)))
	switch code {
	case exitOK, exitFindings:
		return out.Bytes(), nil
	}
	_, err := d.err.Write(errs.Bytes())
	if err != nil {
		return nil, &outputError{"standard error", err}
	}
	return nil, exit(code)
}

// tell says what this is, shows what the last run has printed, and names the
// files and what can be done with them.
func (d *demo) tell(w io.Writer, text []byte) error {
	db := audit.ShellQuote(d.path(demoHistory))
	var b bytes.Buffer
	b.WriteString("This is an invented domain in a simulated network: nothing was contacted.\n\n")
	b.Write(text)
	fmt.Fprintf(&b, "\nThis demo is in %s:\n", report.Screen(d.dir))
	for _, f := range [][2]string{
		{demoHTML, "the report above, for a browser"},
		{demoMarkdown, "the same for a wiki or a ticket"},
		{demoJSON, "the same for programs"},
		{demoHistory, "the history, with both runs"},
	} {
		fmt.Fprintf(&b, "  %-12s  %s\n", f[0], f[1])
	}
	b.WriteString("\nWhat else can be asked of a history:\n")
	for _, command := range []string{
		"runs", "show 1", "diff", "report 1 -o " + audit.ShellQuote(d.path("first.html")),
	} {
		fmt.Fprintf(&b, "  mailaudit %s --db %s\n", report.Screen(command), report.Screen(db))
	}
	b.WriteString("\nAnd a domain of your own:\n  mailaudit audit DOMAIN\n")
	_, err := w.Write(b.Bytes())
	return err
}
