package report

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// RunLine is a run in a list.
type RunLine struct {
	ID       int64
	State    audit.RunState
	Target   string
	Vantage  string
	Started  time.Time
	Tag      string
	Note     string // as the user typed it
	Changed  bool
	Fails    map[audit.Severity]int
	Unknown  int
	Coverage int
	Judged   int         // passes and fails that count: not those of severity info
	Score    audit.Score // zero: it was given none
}

// Columns of a list of runs: of what a run is about, of the results, and of
// what they are behind the grades.
const (
	colTarget = 24
	colResult = 50
	colCounts = colResult + len("A*/A*/A* ")
)

// maxListedNote is how many lines a note takes in a list.
const maxListedNote = 2

// Runs writes a list of runs as a table.
func Runs(w io.Writer, runs []RunLine, color bool) error {
	p := &page{w: w, color: color}
	if len(runs) == 0 {
		p.line("no runs")
		return p.err
	}
	graded := slices.ContainsFunc(runs, func(r RunLine) bool { return gradesInShort(r.Score) != "" })
	head, column := pad(pad(pad("RUN", 6)+"STARTED (UTC)", colTarget)+"DOMAIN", colResult), colResult
	if graded {
		head, column = pad(head+"GRADES", colCounts), colCounts
	}
	p.line(p.paint(bold, head+"RESULT"))
	for _, r := range runs {
		p.runLine(r, column)
		if r.Note != "" {
			p.rows = maxListedNote
			p.hang(pad("", colTarget)+"note: ", r.Note)
			p.rows = 0
		}
	}
	if graded {
		p.line("")
		p.line("grades: delivery/protection/privacy; * provisional, - none")
	}
	return p.err
}

// runLine writes one run; column is where the words about it begin.
func (p *page) runLine(r RunLine, column int) {
	result := string(r.State)
	if r.State == audit.Complete {
		result = counts(r)
	}
	if r.Changed {
		result += ", changed"
	}
	if r.Tag != "" {
		result += ", tag " + r.Tag
	}
	lead := pad(fmt.Sprintf("%d ", r.ID), 6) + pad(r.Started.UTC().Format("2006-01-02 15:04"), 18)
	target := Screen(r.Target)
	if columns(target) > colResult-len(lead)-1 { // has lines of its own
		p.hang(lead, target)
		lead, target = "", ""
	}
	p.hang(pad(pad(lead+target, colResult)+gradesInShort(r.Score), column), result)
}

// counts is "2 high, 1 low, 3 unknown", or "no faults". What is said of faults
// is said of what was seen: where nothing was, that is all there is to say.
func counts(r RunLine) string {
	var words []string
	for _, s := range audit.Severities() {
		if r.Fails[s] > 0 && s != audit.Info {
			words = append(words, fmt.Sprintf("%d %s", r.Fails[s], s))
		}
	}
	switch {
	case len(words) > 0:
	case r.Unknown > 0 && r.Judged == 0:
		words = append(words, "nothing that counts was seen")
	case r.Coverage < 100 && r.Unknown > 0:
		words = append(words, "no faults seen")
	default:
		words = append(words, "no faults")
	}
	switch {
	case r.Unknown > 0 && r.Coverage == 100: // all of it is of severity info
		words = append(words, plural(r.Unknown, "note")+" unknown")
	case r.Unknown > 0:
		words = append(words, fmt.Sprintf("%d unknown", r.Unknown))
	}
	return strings.Join(words, ", ")
}

// Diff writes what changed, and nothing else.
func Diff(w io.Writer, m Model, color bool) error {
	p := &page{w: w, color: color, rows: maxRows}
	p.spread("", 0, m.Target, bold, []string{fmt.Sprintf("run %d", m.Run), m.Started.Format("2006-01-02 15:04 MST")}, " ·")
	if m.Since == nil {
		p.line("")
		p.line("  there is nothing to compare it with")
	}
	p.since(m.Since)
	return p.err
}

// Asked is whom an audit puts its DNS questions to, and which block lists some
// of these questions are for.
type Asked struct {
	Resolvers []string
	Addresses []string // lists of addresses
	Domains   []string // lists of domains
}

// DryRun writes what an audit of a domain would contact. facts are what DNS
// said of its MX records and addresses.
func DryRun(w io.Writer, d audit.Domain, scope audit.Scope, facts audit.Facts, asked Asked) error {
	p := &page{w: w}
	p.hang("", d.String())
	if facts.MX.Records.State == audit.Unknown {
		p.hang("  ", "where its mail goes is not known: "+facts.MX.Records.Why.Text)
	}
	connects := scope.Connects()
	for _, h := range facts.Hosts {
		ports := dryPorts(d, h, scope, facts)
		for _, o := range []audit.Obs[[]netip.Addr]{h.A, h.AAAA} {
			if o.State == audit.Unknown {
				p.hang("  ", fmt.Sprintf("%s: %s", o.Via, o.Why.Text))
			}
			for _, a := range o.Value {
				for _, port := range ports {
					p.hang("  ", dryLine(audit.EndpointSubject(h.Name, a, port), a, scope, connects))
				}
			}
		}
		if h.ALeftOut+h.AAAALeftOut > 0 {
			p.hang("  ", fmt.Sprintf("%s: %d more addresses would not be contacted: a run follows the first ones", h.Name, h.ALeftOut+h.AAAALeftOut))
		}
	}
	if !connects {
		p.line("  no connections: DNS only")
	}
	p.hang("  ", "DNS questions go to the resolvers alone: "+strings.Join(asked.Resolvers, ", "))
	if scope.Has(audit.AreaDNSBL) {
		p.hang("  ", fmt.Sprintf("through these, block lists are asked about every public address: %s; and about %s: %s; and about their own test entries",
			strings.Join(asked.Addresses, ", "), d, strings.Join(asked.Domains, ", ")))
	} else {
		p.line("  no block lists")
	}
	p.line("  nothing was connected to now")
	return p.err
}

// DryRunControls writes which control hosts an audit may connect to, besides
// what it is about: at most so many of them in each family.
func DryRunControls(w io.Writer, hosts []string, most int) error {
	p := &page{w: w}
	if len(hosts) == 0 {
		p.hang("", "no control host would be contacted: what does not answer stays unknown")
		return p.err
	}
	p.hang("", fmt.Sprintf("only if a server does not answer, or talks as if something rewrote its words: up to %d of these in each family, one connection each, to see whether it is our own network (--control none: nobody)", most))
	for _, h := range hosts {
		p.hang("  ", h)
	}
	return p.err
}

// dryPorts are those that a host would be connected to on.
func dryPorts(d audit.Domain, h audit.Host, scope audit.Scope, facts audit.Facts) []uint16 {
	var out []uint16
	if h.Role != audit.RoleSubmission {
		out = append(out, portSMTP)
	}
	var ports []uint16
	for _, s := range facts.Submission.Servers(d) {
		if s.Host == h.Name {
			ports = s.Ports
		}
	}
	if slices.Contains(scope.Submission, h.Name) {
		ports = []uint16{portSubmission, portSubmissions}
	}
	slices.Sort(ports)
	return append(out, ports...)
}

func dryLine(subject string, a netip.Addr, scope audit.Scope, connects bool) string {
	what := scope.Special(a)
	switch {
	case !connects, !scope.Reaches(a):
		return fmt.Sprintf("%s: would not be contacted", subject)
	case what != "":
		return fmt.Sprintf("%s: would not be contacted: %s", subject, what)
	}
	return fmt.Sprintf("%s: one connection, or two when something is to be confirmed", subject)
}
