package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"mailaudit/internal/audit"
)

// output is where results go and in which form.
type output struct {
	format  string
	files   []outputFile
	color   bool // on standard output
	verbose bool
	live    bool // progress on standard error
	client  string
	db      string // --db, where only the command line has it
}

// outputFile is one -o flag.
type outputFile struct{ format, path string }

func (p *program) readOutput(c *cli.Context) (output, error) {
	o := output{format: c.String("format"), verbose: c.Bool("verbose"), client: c.String("client")}
	if c.String("db") != p.env(envName("db")) {
		o.db = c.String("db")
	}
	err := oneOf("format", o.format, runFormats()...)
	if err == nil {
		err = word("client", o.client)
	}
	if err != nil {
		return o, err
	}
	for _, word := range c.StringSlice("output") {
		f := outputFile{format: formatOf(word, o.format), path: word}
		format, path, named := strings.Cut(word, "=")
		if named {
			f = outputFile{format, path}
		}
		if named && !slices.Contains(runFormats(), format) {
			return o, unknownOutput(word, format, path, formatOf(word, o.format))
		}
		if f.path == "" {
			return o, &flagError{[]string{"output"}, &audit.InputError{Problem: "--output names no file", Hint: "for example: -o json=run.json"}}
		}
		o.files = append(o.files, f)
	}
	o.color, err = p.wantsColor(c.String("color"), p.out)
	o.live = o.verbose || isTerminal(p.err) && p.env("TERM") != "dumb"
	if err == nil {
		err = p.spareHistory(c, o.files)
	}
	return o, err
}

// unknownOutput refuses "-o what=path", which means a format, or a file that
// has "=" in its name.
func unknownOutput(word, what, path, format string) error {
	near := nearest(what, runFormats())
	if near != "" {
		return badValue("output", what, "did you mean: -o "+near+"="+audit.ShellQuote(clip(path)))
	}
	return badValue("output", what, fmt.Sprintf("before = stands one of: %s; a file with = in its name is written as -o %s=%s",
		strings.Join(runFormats(), ", "), format, audit.ShellQuote(clip(word))))
}

// spareHistory refuses to write a report over the history.
func (p *program) spareHistory(c *cli.Context, files []outputFile) error {
	db, err := p.dbPath(c)
	if err != nil {
		return nil // whoever needs the history says so
	}
	for _, f := range files {
		target, err := os.Stat(f.path)
		if err != nil {
			continue // a file that does not exist is nobody's history
		}
		for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
			own, err := os.Stat(db + suffix)
			if err == nil && os.SameFile(target, own) {
				return &flagError{[]string{"output"}, &audit.InputError{Problem: f.path + " is the history: a report would destroy it", Hint: "write the report to another file"}}
			}
		}
	}
	return nil
}

// wantsColor decides for one stream. https://no-color.org: a NO_COLOR that is
// not empty switches colour off where nobody asked for it.
func (p *program) wantsColor(when string, w io.Writer) (bool, error) {
	err := oneOf("color", when, "auto", "always", "never")
	if err != nil {
		return false, err
	}
	auto := isTerminal(w) && p.env("NO_COLOR") == "" && p.env("TERM") != "dumb"
	return when == "always" || when == "auto" && auto, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
