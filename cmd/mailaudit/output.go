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
	client  string
}

// outputFile is one -o flag.
type outputFile struct{ format, path string }

// formats are those of lists; a run can be shown in more of them.
func formats() []string { return []string{"text", "json"} }

func runFormats() []string { return []string{"text", "json", "jsonl", "md", "html"} }

// formatOf is the format that the name of a file speaks of, or otherwise.
func formatOf(path, otherwise string) string {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		return "json"
	case ".jsonl", ".ndjson":
		return "jsonl"
	case ".txt":
		return "text"
	case ".md", ".markdown":
		return "md"
	case ".html", ".htm":
		return "html"
	}
	return otherwise
}

func (p *program) readOutput(c *cli.Context) (output, error) {
	o := output{format: c.String("format"), verbose: c.Bool("verbose"), client: c.String("client")}
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
		err := oneOf("output", f.format, runFormats()...)
		if err != nil {
			return o, err
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
		for _, suffix := range []string{"", "-wal", "-shm"} {
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
		err := writeFile(f.path, func(w io.Writer) error { return o.render(w, f.format, entries, false) })
		if err != nil {
			failed = &outputError{f.path, err}
		}
	}
	if len(o.files) > 0 && failed == nil {
		return nil
	}
	err := o.render(p.out, o.format, entries, o.color)
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

// render writes runs in one format.
func (o output) render(w io.Writer, format string, entries []report.Entry, color bool) error {
	var models []report.Model
	for _, e := range entries {
		models = append(models, report.Build(e.Run, e.Delta, e.History))
	}
	switch format {
	case "json":
		return report.JSON(w, entries)
	case "jsonl":
		for _, e := range entries {
			err := report.JSONLines(w, e)
			if err != nil {
				return err
			}
		}
		return nil
	case "md":
		return report.Markdown(w, models, report.MarkdownOptions{Client: o.client})
	case "html":
		return report.HTML(w, models, report.HTMLOptions{Client: o.client})
	}
	for i, m := range models {
		if i > 0 {
			_, err := fmt.Fprint(w, "\n"+strings.Repeat("=", report.Width)+"\n\n")
			if err != nil {
				return err
			}
		}
		err := report.Text(w, m, report.TextOptions{Color: color, Verbose: o.verbose})
		if err != nil {
			return err
		}
	}
	return nil
}

// writeFile replaces a file as a whole or not at all, keeping its mode; a link
// is followed. What is no regular file (a device, a pipe) is written to as it
// is.
func writeFile(path string, write func(io.Writer) error) error {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		path = real
	}
	mode := os.FileMode(0o600) // a report says what is wrong with somebody's mail
	info, err := os.Stat(path)
	if err == nil {
		mode = info.Mode().Perm()
	}
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
	err = firstError(write(f), f.Chmod(mode), f.Close())
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
