package lab

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// parser reads the sections of a world in order.
type parser struct {
	w       *World
	zoned   bool     // a zone section was read
	changes []Change // for the next run
	open    bool     // the last run may still get its findings
}

// errorf is an error at a line of the file.
func (p *parser) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", p.w.Name, line, fmt.Errorf(format, args...))
}

func (p *parser) section(s section) error {
	words, err := splitWords(s.name)
	if err != nil {
		return p.errorf(s.line, "%w", err)
	}
	kind, rest := words[0], words[1:]
	if slices.Contains([]string{"zone", "run", "findings"}, kind) && len(rest) > 0 {
		return p.errorf(s.line, "%q is too much after %s", rest[0], kind)
	}
	switch kind {
	case "zone":
		return p.zone(s)
	case "smtp", "server":
		return p.server(s, kind, rest)
	case "proxy":
		return p.proxy(s, rest)
	case "cert":
		return p.cert(s, rest)
	case "run":
		return p.run(s)
	case "findings":
		return p.findings(s)
	case "change":
		return p.change(s, rest)
	}
	return p.errorf(s.line, "%q is no section: zone, smtp, server, proxy, cert, run, findings, change", kind)
}

// story refuses sections about how the world begins once a run was read.
func (p *parser) story(line int, what string) error {
	if len(p.w.Runs) > 0 || len(p.changes) > 0 {
		return p.errorf(line, "%s after a run: what changes later goes into \"-- change ... --\"", what)
	}
	return nil
}

func (p *parser) zone(s section) error {
	err := p.story(s.line, "a zone")
	if err != nil {
		return err
	}
	if p.zoned {
		return p.errorf(s.line, "there is a zone section already")
	}
	p.zoned = true
	p.w.Zone, err = ParseZone(p.w.Name, s.line+1, s.text)
	return err
}

func (p *parser) server(s section, kind string, words []string) error {
	err := p.story(s.line, "a server")
	if err != nil {
		return err
	}
	addr, script, err := parseServerScript(p.w.Name, s, kind, words)
	if err != nil {
		return err
	}
	server := p.w.Servers[addr]
	if server == nil {
		server = &Server{Addr: addr}
		p.w.Servers[addr] = server
	}
	err = server.add(script)
	if err != nil {
		return p.errorf(s.line, "%w", err)
	}
	return nil
}

func (p *parser) cert(s section, words []string) error {
	if len(words) != 1 {
		return p.errorf(s.line, "cert takes one name")
	}
	if have, ok := p.w.Certs[words[0]]; ok && have.Line > 0 {
		return p.errorf(s.line, "there is a certificate %s already", words[0])
	}
	c, err := parseCert(p.w.Name, s.line, words[0], s.text)
	if err != nil {
		return err
	}
	p.w.Certs[c.Name] = c
	return nil
}

// change reads a change section. Sections about one address that follow each
// other make up one Server together.
func (p *parser) change(s section, words []string) error {
	if len(p.w.Runs) == 0 {
		return p.errorf(s.line, "a change before the first run")
	}
	p.open = false
	if len(words) == 0 {
		edits, err := parseEdits(p.w.Name, s.line+1, s.text, true)
		if err != nil {
			return err
		}
		p.changes = append(p.changes, Change{Line: s.line, Edits: edits})
		return nil
	}
	if words[0] != "smtp" && words[0] != "server" {
		return p.errorf(s.line, "change is followed by smtp, server or nothing, not by %q", words[0])
	}
	addr, script, err := parseServerScript(p.w.Name, s, words[0], words[1:])
	if err != nil {
		return err
	}
	at := slices.IndexFunc(p.changes, func(c Change) bool { return c.Server != nil && c.Server.Addr == addr })
	if at < 0 {
		at = len(p.changes)
		p.changes = append(p.changes, Change{Line: s.line, Server: &Server{Addr: addr}})
	}
	err = p.changes[at].Server.add(script)
	if err != nil {
		return p.errorf(s.line, "%w", err)
	}
	return nil
}

// run reads a run section. A run that says no time is a day after the one
// before.
func (p *parser) run(s section) error {
	r := Run{Line: s.line, Before: p.changes, At: p.w.At, Exit: -1}
	if n := len(p.w.Runs); n > 0 {
		r.At = p.w.Runs[n-1].At.Add(day)
	}
	for _, l := range lines(s.text, s.line+1) {
		if l.text == "" || l.text[0] == '#' {
			continue
		}
		err := r.take(l)
		if err != nil {
			return p.errorf(l.number, "%w", err)
		}
	}
	if r.Args == nil {
		return p.errorf(s.line, "the run has no line \"mailaudit ...\"")
	}
	if r.Exit < 0 {
		return p.errorf(s.line, "the run has no line \"exit N\"")
	}
	p.w.Runs = append(p.w.Runs, r)
	p.changes, p.open = nil, true
	return nil
}

// take reads one line of a run section.
func (r *Run) take(l numbered) error {
	first, rest, _ := strings.Cut(l.text, " ")
	rest = strings.TrimSpace(rest)
	var err error
	switch first {
	case "mailaudit":
		if r.Args != nil {
			return errors.New("a run has one command line")
		}
		r.Args, err = splitWords(rest)
		if r.Args == nil {
			r.Args = []string{}
		}
		return err
	case "exit":
		r.Exit, err = strconv.Atoi(rest)
		if err != nil || r.Exit < 0 || r.Exit > 255 {
			return fmt.Errorf("%q is no exit code", rest)
		}
		return nil
	case "at":
		r.At, err = time.Parse(time.RFC3339, rest)
		return err
	case "stdout", "stderr":
		verb, text, _ := strings.Cut(rest, " ")
		if verb != "contains" && verb != "lacks" || text == "" {
			return fmt.Errorf("%s is followed by contains TEXT or lacks TEXT", first)
		}
		r.Expects = append(r.Expects, Expectation{Line: l.number, Stream: first, Lacks: verb == "lacks", Text: text})
		return nil
	}
	return fmt.Errorf("%q begins no line of a run: mailaudit, exit, at, stdout, stderr", first)
}

// findings reads a findings section, which belongs to the run before it.
func (p *parser) findings(s section) error {
	if !p.open {
		return p.errorf(s.line, "findings belong right after a run")
	}
	p.open = false
	r := &p.w.Runs[len(p.w.Runs)-1]
	r.Listed = true
	for _, l := range lines(s.text, s.line+1) {
		bare := cutRemark(l.text)
		if bare == "" || bare[0] == '#' || bare[0] == ';' {
			continue
		}
		f, err := parseFinding(bare)
		if err == nil && !slices.Contains(p.w.Areas, f.Rule.Area()) {
			err = fmt.Errorf("%s is in none of the areas of the header", f.Rule)
		}
		if err != nil {
			return p.errorf(l.number, "%w", err)
		}
		f.Line = l.number
		r.Findings = append(r.Findings, f)
	}
	return nil
}

// parseFinding reads "rule subject status [severity]"; subjects may hold
// blanks.
func parseFinding(text string) (Finding, error) {
	words := strings.Fields(text)
	var f Finding
	if last := audit.Severity(words[len(words)-1]); last.Rank() >= 0 {
		f.Severity = last
		words = words[:len(words)-1]
	}
	if len(words) < 3 {
		return f, fmt.Errorf("%q is not: rule subject status [severity]", text)
	}
	f.Rule, f.Status = audit.RuleID(words[0]), audit.Status(words[len(words)-1])
	f.Subject = strings.Join(words[1:len(words)-1], " ")
	if !slices.Contains([]audit.Status{audit.Pass, audit.Fail, audit.UnknownStatus, audit.NAStatus}, f.Status) {
		return f, fmt.Errorf("%q is no status: pass, fail, unknown, n/a", f.Status)
	}
	return f, nil
}

// finish checks what only the whole file shows: that certificates exist and
// that the changes can be made.
func (p *parser) finish() error {
	if len(p.changes) > 0 {
		return p.errorf(p.changes[0].Line, "a change with no run after it")
	}
	for _, addr := range slices.SortedFunc(maps.Keys(p.w.Servers), netip.AddrPort.Compare) {
		err := p.certs(p.w.Servers[addr])
		if err != nil {
			return err
		}
	}
	trial := p.w.clone()
	for _, r := range p.w.Runs {
		for _, c := range r.Before {
			if c.Server != nil {
				err := p.certs(c.Server)
				if err != nil {
					return err
				}
			}
			err := trial.Change(c)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// certs checks that the certificates of a server's scripts exist.
func (p *parser) certs(s *Server) error {
	for _, script := range s.Scripts {
		used := map[string]int{}
		if script.Healthy != nil {
			used[script.Healthy.Cert] = script.Line
		}
		for _, step := range script.Steps {
			used[step.Cert] = step.Line
		}
		for name, line := range used {
			_, ok := p.w.Certs[name]
			if name != "" && !ok {
				return p.errorf(line, "there is no certificate %q", name)
			}
		}
	}
	return nil
}
