package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"mailaudit/internal/audit"
	"mailaudit/internal/collect"
	"mailaudit/internal/report"
)

// output is where results go and in which form.
type output struct {
	format  string
	files   []outputFile
	color   bool // on standard output
	verbose bool
	live    bool // progress on standard error
}

// outputFile is one -o flag.
type outputFile struct{ format, path string }

func formats() []string { return []string{"text", "json"} }

func (p *program) readOutput(c *cli.Context) (output, error) {
	o := output{format: c.String("format"), verbose: c.Bool("verbose")}
	err := oneOf("format", o.format, formats()...)
	if err != nil {
		return o, err
	}
	for _, word := range c.StringSlice("output") {
		f := outputFile{format: o.format, path: word}
		format, path, named := strings.Cut(word, "=")
		switch {
		case named:
			f = outputFile{format, path}
		case strings.HasSuffix(word, ".json"):
			f.format = "json"
		case strings.HasSuffix(word, ".txt"):
			f.format = "text"
		}
		err := oneOf("output", f.format, formats()...)
		if err != nil {
			return o, err
		}
		if f.path == "" {
			return o, &flagError{[]string{"output"}, &audit.InputError{Problem: "--output names no file", Hint: "for example: -o json=run.json"}}
		}
		o.files = append(o.files, f)
	}
	o.color, err = p.wantsColor(c.String("color"), p.out)
	o.live = o.verbose || isTerminal(p.err)
	return o, err
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

// print writes the results to the files that were named, or else to standard
// output. A file that cannot be written loses nothing: the report then goes to
// standard output, and the exit code says that something went wrong.
func (p *program) print(o output, entries []report.Entry, quiet bool) error {
	if quiet {
		entries = noisy(entries)
	}
	if len(entries) == 0 {
		return nil
	}
	var failed error
	for _, f := range o.files {
		err := writeFile(f.path, func(w io.Writer) error { return render(w, f.format, entries, report.TextOptions{Verbose: o.verbose}) })
		if err != nil {
			failed = &outputError{f.path, err}
		}
	}
	if len(o.files) > 0 && failed == nil {
		return nil
	}
	err := render(p.out, o.format, entries, report.TextOptions{Color: o.color, Verbose: o.verbose})
	if err != nil {
		return &outputError{"standard output", err}
	}
	return failed
}

// noisy keeps the runs in which something changed, and those that had nothing
// to be compared with.
func noisy(entries []report.Entry) []report.Entry {
	var out []report.Entry
	for _, e := range entries {
		if e.Delta == nil || e.Delta.Base == nil || !e.Delta.Quiet() {
			out = append(out, e)
		}
	}
	return out
}

func render(w io.Writer, format string, entries []report.Entry, o report.TextOptions) error {
	if format == "json" {
		return report.JSON(w, entries)
	}
	for i, e := range entries {
		if i > 0 {
			_, err := fmt.Fprint(w, "\n"+strings.Repeat("=", report.Width)+"\n\n")
			if err != nil {
				return err
			}
		}
		err := report.Text(w, report.Build(e.Run, e.Delta, e.History), o)
		if err != nil {
			return err
		}
	}
	return nil
}

// writeFile replaces a file as a whole or not at all. What is no regular file
// (a device, a pipe) is written to as it is.
func writeFile(path string, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return firstError(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".mailaudit-*")
	if err != nil {
		return err
	}
	err = firstError(write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
	}
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// events tells a person at a terminal what is going on: one line that is
// rewritten, or with -v a line for each observation.
func (p *program) events(o auditOptions) func(collect.Event) {
	if !o.output.live {
		return nil
	}
	return func(e collect.Event) {
		text := report.Screen(fmt.Sprintf("%-6s %s", e.What, e.Subject))
		switch {
		case o.output.verbose && !e.Begin:
			fmt.Fprintf(p.err, "%-10s %s\n", stateWord(e.State), text)
		case !o.output.verbose:
			fmt.Fprintf(p.err, "\r\x1b[K%.*s", report.Width-1, text)
		}
	}
}

// stateWord is a state for people.
func stateWord(s audit.State) string {
	if s == audit.NotTried {
		return "not asked"
	}
	return string(s)
}

// progressDone takes the progress line away.
func (p *program) progressDone(o auditOptions) {
	if o.output.live && !o.output.verbose {
		fmt.Fprint(p.err, "\r\x1b[K")
	}
}
