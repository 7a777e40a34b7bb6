package report

import (
	"fmt"
	"io"
	"net/netip"
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
	Changed  bool
	Fails    map[audit.Severity]int
	Unknown  int
	Coverage int
}

// Runs writes a list of runs as a table.
func Runs(w io.Writer, runs []RunLine, color bool) error {
	p := &page{w: w, color: color}
	if len(runs) == 0 {
		p.line("no runs")
		return p.err
	}
	p.line(p.paint(bold, pad("RUN", 6)+pad("STARTED (UTC)", 18)+pad("DOMAIN", 26)+"RESULT"))
	for _, r := range runs {
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
		lead := pad(fmt.Sprint(r.ID), 6) + pad(r.Started.UTC().Format("2006-01-02 15:04"), 18) + pad(Screen(r.Target), 25) + " "
		p.hangColored(lead, len([]rune(lead)), result)
	}
	return p.err
}

// counts is "2 high, 1 low, 3 unknown", or "no faults".
func counts(r RunLine) string {
	var words []string
	for _, s := range audit.Severities() {
		if r.Fails[s] > 0 && s != audit.Info {
			words = append(words, fmt.Sprintf("%d %s", r.Fails[s], s))
		}
	}
	if len(words) == 0 {
		words = append(words, "no faults")
	}
	if r.Unknown > 0 {
		words = append(words, fmt.Sprintf("%d unknown", r.Unknown))
	}
	return strings.Join(words, ", ")
}

// Diff writes what changed, and nothing else.
func Diff(w io.Writer, m Model, color bool) error {
	p := &page{w: w, color: color}
	p.line(p.paint(bold, Screen(m.Target)) + fmt.Sprintf("  run %d, %s", m.Run, m.Started.Format("2006-01-02 15:04 MST")))
	p.since(m.Since)
	return p.err
}

// DryRun writes what an audit of a domain would contact. facts are what DNS
// said of its MX records and addresses.
func DryRun(w io.Writer, d audit.Domain, scope audit.Scope, facts audit.Facts) error {
	p := &page{w: w}
	p.line(Screen(d.String()))
	if facts.MX.Records.State == audit.Unknown {
		p.hang("  ", "where its mail goes is not known: "+facts.MX.Records.Why.Text)
	}
	connects := !scope.Passive && (scope.Has(audit.AreaSMTP) || scope.Has(audit.AreaTLS))
	for _, h := range facts.Hosts {
		for _, o := range []audit.Obs[[]netip.Addr]{h.A, h.AAAA} {
			if o.State == audit.Unknown {
				p.hang("  ", fmt.Sprintf("%s: %s", o.Via, o.Why.Text))
			}
			for _, a := range o.Value {
				p.hang("  ", dryLine(h.Name, a, scope, connects))
			}
		}
	}
	if !connects {
		p.line("  no connections: DNS only")
	}
	p.line("  DNS questions go to the resolvers alone; nothing was connected to now")
	return p.err
}

func dryLine(host audit.DNSName, a netip.Addr, scope audit.Scope, connects bool) string {
	subject := audit.EndpointSubject(host, a, 25)
	what := scope.Special(a)
	switch {
	case !connects:
		return fmt.Sprintf("%s: would not be contacted", subject)
	case what != "":
		return fmt.Sprintf("%s: would not be contacted: %s", subject, what)
	}
	return fmt.Sprintf("%s: one connection, or two when something is to be confirmed", subject)
}
