package main

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
)

// presenter writes runs where they are wanted, as they come: to the files that
// were named, or else to standard output. A file that cannot be written loses
// nothing: what was to go there goes to standard output, and the exit code says
// that something went wrong.
type presenter struct {
	p      *program
	o      output
	many   bool // several runs may come
	quiet  bool // only what changed
	sinks  []*sink
	failed error
}

func (p *program) presenter(o output, many, quiet bool) *presenter {
	x := &presenter{p: p, o: o, many: many, quiet: quiet}
	for _, f := range o.files {
		x.sinks = append(x.sinks, &sink{x: x, format: f.format, path: f.path})
	}
	if len(x.sinks) == 0 {
		x.sinks = append(x.sinks, &sink{x: x, format: o.format, color: o.color})
	}
	return x
}

// shows reports whether something goes out in a format.
func (x *presenter) shows(format string) bool {
	return slices.ContainsFunc(x.sinks, func(s *sink) bool { return s.format == format })
}

// print shows one run that is there already.
func (p *program) print(o output, e report.Entry) error {
	x := p.presenter(o, false, false)
	return firstError(x.add(0, e), x.close(""))
}

// add writes a run, the i-th that was asked for. The error is that standard
// output cannot be written; what goes to files is there all the same.
func (x *presenter) add(i int, e report.Entry) error {
	if x.quiet && !noisy(e) {
		return nil
	}
	var errs []error
	for _, s := range x.sinks {
		if s.mute {
			continue
		}
		err := s.add(page{i, e})
		s.mute = err != nil
		errs = append(errs, err)
	}
	return firstError(errs...)
}

// noisy reports whether something changed, or there was nothing to be compared
// with.
func noisy(e report.Entry) bool {
	return e.Delta == nil || e.Delta.Base == nil || !e.Delta.Quiet()
}

// close writes what comes last, and a line below runs that are text. The error
// is the first of any output.
func (x *presenter) close(line string) error {
	var errs []error
	for _, s := range x.sinks {
		if s.mute || s.runs == 0 && (line == "" || s.format != "text") {
			continue // of nothing there is no file
		}
		errs = append(errs, s.close(line))
	}
	return firstError(append(errs, x.failed)...)
}

// sink is one place to write to.
type sink struct {
	x      *presenter
	format string
	color  bool
	path   string       // "": standard output
	file   *replacement // open from the first octet on
	good   int64        // octets of the stream that are written
	runs   int
	json   report.JSONDocument
	pages  []page // of a document that is laid out when all runs are there
	mute   bool   // it failed, and standard output is taken
}

// page is a run of a document: the i-th that was asked for.
type page struct {
	i     int
	entry report.Entry
}

// add writes a run. The error is that of standard output: what happens to
// files is seen to.
func (s *sink) add(p page) error {
	e := p.entry
	if s.x.many && s.format == "text" && e.Run.State != audit.Complete {
		return nil // whoever stops a batch wants no dozens of reports of little; the last line counts them
	}
	s.runs++
	var b bytes.Buffer // so that a run is written as a whole or not at all
	var err error
	switch s.format {
	case "json":
		err = s.json.Add(&b, e)
	case "jsonl":
		err = report.JSONLines(&b, e)
	case "md", "html":
		s.pages = append(s.pages, p)
		return nil
	default:
		err = s.text(&b, s.x.o.build(e))
	}
	if err != nil {
		return err
	}
	err = s.write(b.Bytes())
	if err == nil || s.path == "" {
		return err
	}
	return s.divert(err, b.Bytes(), []page{p})
}

func (s *sink) text(w io.Writer, m report.Model) error {
	if s.x.many && s.x.quiet {
		return report.News(w, m, s.color)
	}
	if s.runs > 1 {
		_, err := io.WriteString(w, ruler())
		if err != nil {
			return err
		}
	}
	return report.Text(w, m, report.TextOptions{Color: s.color, Verbose: s.x.o.verbose})
}

// build makes the model of a run. The commands that it proposes find the
// history where this one did.
func (o output) build(e report.Entry) report.Model {
	m := report.Build(e.Run, e.Delta, e.History)
	for i, n := range m.Next {
		if o.db != "" && strings.HasPrefix(n.Command, "mailaudit show ") {
			m.Next[i].Command += " --db " + audit.ShellQuote(o.db)
		}
	}
	return m
}

// ruler stands between reports that are text.
func ruler() string { return "\n" + strings.Repeat("=", report.Width) + "\n\n" }

// close writes what comes last.
func (s *sink) close(line string) error {
	b, err := s.ending(line)
	if err != nil {
		return err
	}
	err = s.write(b)
	if err == nil && s.file != nil {
		err = s.file.commit()
	}
	if err == nil || s.path == "" {
		return err
	}
	return s.divert(err, b, s.pages)
}

func (s *sink) ending(line string) ([]byte, error) {
	var b bytes.Buffer
	switch {
	case len(s.pages) > 0:
		slices.SortFunc(s.pages, func(a, b page) int { return cmp.Compare(a.i, b.i) })
		var models []report.Model
		for _, p := range s.pages {
			models = append(models, s.x.o.build(p.entry))
		}
		var err error
		if s.format == "md" {
			err = report.Markdown(&b, models, report.MarkdownOptions{Client: s.x.o.client})
		} else {
			err = report.HTML(&b, models, report.HTMLOptions{Client: s.x.o.client})
		}
		return b.Bytes(), err
	case s.format == "json":
		err := s.json.End(&b)
		return b.Bytes(), err
	case s.format == "text" && line != "":
		if !s.x.quiet && s.runs > 0 {
			b.WriteString(ruler())
		}
		b.WriteString(line + "\n")
	}
	return b.Bytes(), nil
}

// write appends to the stream.
func (s *sink) write(b []byte) error {
	if s.path == "" {
		_, err := s.x.p.out.Write(b)
		if err != nil {
			return &outputError{"standard output", err}
		}
		return nil
	}
	var err error
	if s.file == nil {
		s.file, err = replace(s.path)
	}
	if err == nil {
		_, err = s.file.Write(b)
	}
	if err == nil {
		s.good += int64(len(b))
	}
	return err
}

// divert goes on with standard output, when the file fails: in the form that
// was asked for there, or, when a part of the stream is written, with that part
// and b, which could not be written. The first file that fails goes there, and
// no other one.
func (s *sink) divert(cause error, b []byte, pages []page) error {
	x, file, good, document := s.x, s.file, s.good, len(s.pages) > 0
	first := x.failed == nil
	if first {
		x.failed = &outputError{s.path, cause}
	}
	if file != nil {
		defer file.abandon()
	}
	s.path, s.file = "", nil
	switch {
	case !first:
		s.mute = true
		return nil
	case good == 0 || document:
		*s = sink{x: x, format: x.o.format, color: x.o.color}
		for _, p := range pages {
			err := s.add(p)
			if err != nil {
				return err
			}
		}
		if document {
			return s.close("")
		}
		return nil
	}
	had, err := file.contents(good)
	if err != nil {
		had = nil // what the file had is lost with it
	}
	return s.write(append(had, b...))
}

// replacement takes the place of a file as a whole or not at all, and keeps
// its mode; a link is followed. What is no regular file (a device, a pipe) is
// written to as it is.
type replacement struct {
	*os.File
	path string // where it goes; empty: it is there
}

func replace(path string) (*replacement, error) {
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
			return nil, err
		}
		return &replacement{File: f}, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".mailaudit-*")
	if err != nil {
		return nil, err
	}
	r := &replacement{f, path}
	err = f.Chmod(mode)
	if err != nil {
		r.abandon()
		return nil, err
	}
	return r, nil
}

// commit ends the file and gives it its name. When it cannot, nothing is
// changed.
func (r *replacement) commit() error {
	if r.path == "" {
		return r.Close()
	}
	err := firstError(r.Sync(), r.Close()) // a full disk shows here at the latest
	if err != nil {
		return err
	}
	return os.Rename(r.Name(), r.path)
}

// abandon takes the file away. What it was to replace is as it was.
func (r *replacement) abandon() {
	_ = r.Close() // the first error is the one to tell
	if r.path != "" {
		_ = os.Remove(r.Name())
	}
}

// contents is the first n octets of what was written.
func (r *replacement) contents(n int64) ([]byte, error) {
	if r.path == "" {
		return nil, errors.ErrUnsupported // a pipe has no memory
	}
	f, err := os.Open(r.Name())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}
