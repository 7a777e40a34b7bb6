package report

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"mailaudit/internal/audit"
)

// SPFSchema names the JSON of the command spf; within it, fields are added,
// never renamed or removed.
const SPFSchema = "mailaudit-spf/1"

// jsonSPFCheck is the document about one address.
type jsonSPFCheck struct {
	Schema string `json:"schema"`
	audit.SPFCheck
}

// jsonSPFChecks is the document about several.
type jsonSPFChecks struct {
	Schema string           `json:"schema"`
	Checks []audit.SPFCheck `json:"checks"`
}

// SPFChecksJSON writes checks as one document: the check itself where there is
// one, "checks" where there are several. The error is the writer's.
func SPFChecksJSON(w io.Writer, checks []audit.SPFCheck) error {
	if len(checks) == 1 {
		return spfJSON(w, jsonSPFCheck{SPFSchema, checks[0]})
	}
	return spfJSON(w, jsonSPFChecks{SPFSchema, checks})
}

// spfJSON writes one of the documents above.
func spfJSON[T any](w io.Writer, doc T) error {
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(escapeUnseen(append(text, '\n')))
	return err
}

// colSPF is where the values of the lines above a tree begin.
const colSPF = 15

// SPFChecks writes what came of checks, each with the tree of how. The error is
// the writer's.
func SPFChecks(w io.Writer, checks []audit.SPFCheck, color bool) error {
	p := &page{w: w, color: color, rows: maxRows}
	for i, c := range checks {
		if i > 0 {
			p.line("")
		}
		p.spfCheck(c)
	}
	return p.err
}

func (p *page) spfCheck(c audit.SPFCheck) {
	p.spread("", 0, c.Domain.Clip(maxSPFName).String(), bold, []string{"SPF for " + c.IP.String()}, "")
	p.line("")
	result := pad("  result", colSPF)
	p.line(result + p.paint(spfColor(c.Result), string(c.Result)))
	p.spfSaid("why", c.Why)
	identity := "MAIL FROM " + c.Sender.String()
	if c.Identity == "helo" {
		identity = "HELO " + c.Helo.String() + " (the sender is null)"
	}
	p.spfSaid("identity", identity)
	p.spfSaid("lookups", fmt.Sprintf("%d of %d allowed, %d of them in vain of %d allowed", c.Lookups, audit.SPFMaxLookups, c.VoidLookups, audit.SPFMaxVoids))
	if c.Explanation != "" {
		p.spfSaid("explanation", `the domain says: "`+c.Explanation.String()+`"`)
	}
	if c.Trouble.Code != "" {
		p.spfSaid("failed", c.Trouble.Text+"; "+adviceDNS(c.Trouble.Code))
	}
	if c.Doubt.Code != "" {
		p.spfSaid("doubt", "receivers pass over a lookup that failed, and with an answer the result could be another one: "+c.Doubt.Text)
	}
	for i, m := range c.Matched {
		name := ""
		if i == 0 {
			name = "matched"
		}
		p.spfSaid(name, m.Term.Clip(maxSPFTerm).String()+" in the record of "+m.Domain.String())
	}
	if c.Tree == nil || c.Tree.Domain == "" {
		return
	}
	p.line("")
	p.spfHead()
	p.spfNode(c.Tree, "")
}

// maxSPFName and maxSPFTerm are how much of a name and of a term one line of
// text quotes, in octets.
const (
	maxSPFName = 253
	maxSPFTerm = 300
)

// spfSaid is one line above the tree.
func (p *page) spfSaid(name, text string) { p.hang(pad("  "+name, colSPF), text) }

func spfColor(r audit.SPFResult) string {
	switch r {
	case audit.SPFPass:
		return green
	case audit.SPFFail, audit.SPFPermError:
		return red
	}
	return yellow
}

// spfNode writes a record that was evaluated; lead is what stands before its
// terms.
func (p *page) spfNode(n *audit.SPFNode, lead string) {
	if lead == "" {
		p.hang("", n.Domain.String())
	}
	if n.Result == audit.SPFNone || len(n.Faults) > 0 || len(n.Records) > 1 || n.State == audit.Unknown {
		p.spfNote(lead, n.Why)
	}
	for i := 0; i < len(n.Steps); i++ {
		s := n.Steps[i]
		r := spfRow{term: s.Term.Clip(maxSPFTerm).String(), spent: s.Lookups, then: s.LookupsThen, voids: s.VoidLookups, mark: spfOutcome(s.Outcome), dark: s.Outcome == audit.SPFNotReached}
		if run := spfRun(n.Steps[i:]); run > maxSPFRun {
			i += run - 1
			r.term = fmt.Sprintf("%s ... %s (%d terms)", s.Term, n.Steps[i].Term, run)
			r.then = n.Steps[i].LookupsThen
		}
		r.last = i == len(n.Steps)-1
		r.notes = spfStepNotes(s)
		below := p.spfRow(lead, r)
		if s.Node != nil {
			p.spfNode(s.Node, below)
		}
	}
}

// maxSPFRun is how many networks in a row, all with one outcome, have lines of
// their own.
const maxSPFRun = 3

// spfRun is how many networks with one outcome the steps begin with.
func spfRun(steps []audit.SPFStep) int {
	for i, s := range steps {
		if !isSPFNetwork(s.Term) || s.Outcome == audit.SPFMatched || s.Outcome != steps[0].Outcome {
			return i
		}
	}
	return len(steps)
}

// isSPFNetwork reports whether a term is an ip4 or ip6.
func isSPFNetwork(term audit.Raw) bool {
	t := strings.ToLower(strings.TrimLeft(string(term), "+-~?"))
	return strings.HasPrefix(t, "ip4:") || strings.HasPrefix(t, "ip6:")
}

func spfOutcome(o audit.SPFOutcome) string {
	switch o {
	case audit.SPFMatched:
		return "matches"
	case audit.SPFNoMatch:
		return "no match"
	case audit.SPFBroken:
		return "error"
	}
	return "not reached"
}

// spfStepNotes are the lines below a term: what was found.
func spfStepNotes(s audit.SPFStep) []string {
	var out []string
	if s.Target != "" && !strings.Contains(strings.ToLower(string(s.Term)), string(s.Target)) && strings.Contains(string(s.Term), "%") {
		out = append(out, "asked for "+s.Target.String())
	}
	if s.Node == nil {
		out = append(out, spfAnswer(s.State, s.Answer)...)
	} else if v, ok := audit.VendorOf(s.Target); ok {
		out = append(out, v.Name)
	}
	if len(s.Hosts) > 0 {
		out = append(out, "names: "+spfNames(s.Hosts))
	}
	if len(s.Addresses) > 0 {
		out = append(out, "addresses: "+spfAddresses(s.Addresses, s.LeftOut))
	}
	if len(s.Valid) > 0 {
		out = append(out, "lead back to the client: "+spfNames(s.Valid))
	}
	if s.HostVoids > 0 {
		out = append(out, plural(s.HostVoids, "mail server")+" without an address of this family: some receivers count these as lookups in vain")
	}
	return out
}

// spfAnswer says what came of a question, where that is not an answer.
func spfAnswer(state audit.State, why audit.Reason) []string {
	switch {
	case state == audit.Absent && why.Code == audit.NXDomain:
		return []string{"found nothing: no such name"}
	case state == audit.Absent:
		return []string{"found nothing: no such record"}
	case state == audit.Unknown:
		return []string{"not known: " + why.Text}
	}
	return nil
}

// maxSPFListed is how many names or addresses of a term text lists.
const maxSPFListed = 8

func spfNames(names []audit.DNSName) string {
	var words []string
	for _, n := range names[:min(len(names), maxSPFListed)] {
		words = append(words, n.String())
	}
	return spfMore(words, len(names)-len(words))
}

func spfAddresses(addrs []netip.Addr, leftOut int) string {
	var words []string
	for _, a := range addrs[:min(len(addrs), maxSPFListed)] {
		words = append(words, a.String())
	}
	return spfMore(words, len(addrs)-len(words)+leftOut)
}

func spfMore(words []string, more int) string {
	text := strings.Join(words, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
