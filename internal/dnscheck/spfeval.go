package dnscheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// spfTime is how long an evaluation may take (RFC 7208 section 4.6.4: "at least
// 20 seconds"); what is not known by then is a temperror.
const spfTime = 20 * time.Second

// maxExplanation is what is kept of the words of a domain, in octets: a reply
// line of SMTP has 512, code and line end included (RFC 5321 section 4.5.3.1.5).
const maxExplanation = 500

// maxShown is how much of what cannot be a name a sentence quotes, in octets.
const maxShown = 80

// SPFQuery is who sends what, as a receiver sees it.
type SPFQuery struct {
	IP netip.Addr // of the client
	// MailFrom is the reverse-path without brackets. Empty is the null sender:
	// the HELO identity is checked then (RFC 7208 section 2.4). Without an @ it
	// is a domain.
	MailFrom string
	Helo     string // the name in HELO or EHLO; may be empty when MailFrom is not
	Receiver string // our own name, for %{r}; may be empty
	// At is the time for %{t}.
	At time.Time
	// Unexplained: nobody wants to know the explanation, and it is not asked for.
	Unexplained bool
}

// spfEval is one evaluation under way. Terms are evaluated one after another,
// as the RFC has it; spfAhead sees to it that their answers are there by then.
type spfEval struct {
	ask    *spfAsker
	ahead  *spfAhead
	macros audit.SPFMacros // without Domain and Valid, which depend on the record
	// foreign: the local part is not ASCII, so no term with %{s} or %{l} matches
	// (RFC 8616 section 4).
	foreign bool

	lookups, voids int
	doubt          audit.Reason
	names          *spfNames // of the client; nil until they are wanted
	path           []audit.DNSName
}

// spfVerdict is what evaluation of a record or a term came to. The zero
// verdict is that of a term that does not match.
type spfVerdict struct {
	result  audit.SPFResult
	why     string // a sentence
	flaw    audit.SPFFlaw
	flawAt  audit.DNSName
	trouble audit.Reason
	matched []audit.SPFMatch
	record  audit.SPFRecord // that decided, and whose it is: for exp
	domain  string
}

// CheckHost evaluates check_host (RFC 7208 section 4): may the client send as
// that sender? It asks 40 questions at most, and besides them for the
// addresses of ten hosts for each mx term, and of ten PTR names: 150 in all,
// whatever is published. It never fails: what could not be found out is a
// temperror with its Trouble.
func CheckHost(ctx context.Context, a Asker, q SPFQuery) audit.SPFCheck {
	return checkHost(ctx, a, nil, q)
}

// checkHost is CheckHost within a ration, where there is one.
func checkHost(ctx context.Context, a Asker, ration *spfRation, q SPFQuery) audit.SPFCheck {
	ctx, cancel := context.WithTimeout(ctx, spfTime)
	ask := &spfAsker{ctx: ctx, a: a, ration: ration, known: map[spfQuestion]*spfAnswer{}}
	defer ask.wg.Wait()
	defer cancel()
	check, macros := q.identity()
	e := &spfEval{ask: ask, macros: macros, foreign: !printable(macros.Local)}
	e.ahead = &spfAhead{ask: ask, macros: macros, foreign: e.foreign, least: map[string]int{}}
	if !q.IP.IsValid() {
		check.Result, check.Why = audit.SPFNone, "there is no client address"
		check.Tree = &audit.SPFNode{Result: check.Result, Why: check.Why}
		return check
	}
	node, v := e.check(string(check.Domain))
	check.Tree, check.Result, check.Why = node, v.result, v.why
	check.Flaw, check.FlawAt, check.Trouble, check.Matched = v.flaw, v.flawAt, v.trouble, v.matched
	check.Lookups, check.VoidLookups = e.lookups, e.voids
	if v.result == audit.SPFFail && !q.Unexplained {
		check.Explanation = e.explain(v)
	}
	check.Doubt = e.doubt
	return check
}

// identity is the identity to check and the macros that stand for it (RFC 7208
// sections 2.4 and 4.3). An IPv4-mapped client is an IPv4 one (section 5).
func (q SPFQuery) identity() (audit.SPFCheck, audit.SPFMacros) {
	ip := q.IP.Unmap().WithZone("")
	helo := asciiDomain(strings.TrimSuffix(q.Helo, "."))
	identity, sender := "mailfrom", q.MailFrom
	if sender == "" {
		identity, sender = "helo", helo
	}
	at := strings.LastIndexByte(sender, '@')
	local, domain := sender[:max(at, 0)], asciiDomain(strings.TrimSuffix(sender[at+1:], "."))
	if local == "" {
		local = "postmaster"
	}
	m := audit.SPFMacros{Local: local, Origin: domain, IP: ip, Helo: helo, Receiver: q.Receiver, At: q.At}
	return audit.SPFCheck{
		IP: ip, Identity: identity, Sender: audit.Raw(local + "@" + domain), Helo: audit.Raw(helo), Domain: audit.Raw(domain),
	}, m
}

// asciiDomain has U-labels as A-labels, which is what SPF sees (RFC 8616
// section 4). What is no domain name stays what it is, and is found to be none
// later.
func asciiDomain(s string) string {
	if printable(s) {
		return s
	}
	ascii, err := idna.Lookup.ToASCII(s)
	if err != nil {
		return s
	}
	return ascii
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// check is check_host for a domain, the first or one that a record leads to.
func (e *spfEval) check(domain string) (*audit.SPFNode, spfVerdict) {
	node := &audit.SPFNode{}
	lookups, voids := e.lookups, e.voids
	record, v := e.fetch(node, domain)
	if v.result == "" {
		e.path = append(e.path, node.Domain)
		v = e.record(node, record, domain)
		e.path = e.path[:len(e.path)-1]
	}
	node.Result, node.Why = v.result, v.why
	node.Lookups, node.VoidLookups = e.lookups-lookups, e.voids-voids
	return node, v
}

// fetch finds the record of a domain (RFC 7208 sections 4.3 to 4.6). A verdict
// with a result says why there is none to evaluate.
func (e *spfEval) fetch(node *audit.SPFNode, domain string) (audit.SPFRecord, spfVerdict) {
	name, ok := recordName(domain)
	if !ok {
		return audit.SPFRecord{}, spfVerdict{result: audit.SPFNone, why: `"` + audit.Raw(domain).Clip(maxShown).String() + `" is no domain that can have a record`}
	}
	answer := e.ask.need(name, dns.TypeTXT)
	node.Domain, node.Via = name, answer.Via()
	node.State, node.Answer, node.TTL, node.Alias = answer.State, answer.Why, answer.TTL, slices.Clone(answer.Chain)
	if answer.State == audit.Unknown {
		return audit.SPFRecord{}, spfVerdict{result: audit.SPFTempError, why: "the record of " + name.String() + " is not known: " + answer.Why.Text, trouble: answer.Why}
	}
	node.Records = spfRecords(answer)
	switch {
	case answer.Why.Code == audit.NXDomain && len(answer.Chain) == 0:
		return audit.SPFRecord{}, spfVerdict{result: audit.SPFNone, why: name.String() + " does not exist"}
	case len(node.Records) == 0:
		return audit.SPFRecord{}, spfVerdict{result: audit.SPFNone, why: name.String() + " has no SPF record"}
	case len(node.Records) > 1:
		return audit.SPFRecord{}, spfVerdict{result: audit.SPFPermError, flaw: audit.SPFSeveral, flawAt: name,
			why: fmt.Sprintf("%s has %d SPF records", name, len(node.Records))}
	}
	record := audit.ParseSPF(node.Records[0])
	node.Faults = record.Faults
	for _, t := range record.Terms {
		if !t.Modifier {
			node.Steps = append(node.Steps, audit.SPFStep{Term: t.Text, At: t.At})
		}
	}
	if len(record.Faults) > 0 { // wherever it is (section 4.6)
		return record, spfVerdict{result: audit.SPFPermError, flaw: audit.SPFSyntax, flawAt: name,
			why: "in the record of " + name.String() + ", " + record.Faults[0].String()}
	}
	return record, spfVerdict{}
}

// spfRecords are the SPF records in an answer, sorted.
func spfRecords(answer *resolve.Answer) []audit.Raw {
	o := texts(answer, audit.IsSPF, "")
	slices.Sort(o.Value)
	return o.Value
}

// recordName is the name of a domain that can have a record: one of several
// labels (RFC 7208 section 4.3), and no address, which HELO may bring.
func recordName(domain string) (audit.DNSName, bool) {
	name, ok := audit.WireName(domain)
	_, err := netip.ParseAddr(domain)
	return name, ok && err != nil && strings.Contains(string(name), ".") && domain[0] != '['
}

// record evaluates the terms of a record: mechanisms from left to right, then
// redirect, then the default (RFC 7208 sections 4.6 and 4.7).
func (e *spfEval) record(node *audit.SPFNode, record audit.SPFRecord, domain string) spfVerdict {
	e.ahead.record(domain, record, e.lookups)
	i := 0
	for _, t := range record.Terms {
		if t.Modifier {
			continue
		}
		v := e.step(&node.Steps[i], t, domain, node.Domain)
		if v.result != "" {
			v.record, v.domain = record, domain
			return v
		}
		i++
	}
	redirect, ok := record.Find("redirect")
	if ok {
		node.Steps = append(node.Steps, audit.SPFStep{Term: redirect.Text, At: redirect.At})
		return e.step(&node.Steps[i], redirect, domain, node.Domain)
	}
	return spfVerdict{result: audit.SPFNeutral, why: "no mechanism in the record of " + node.Domain.String() + " matches", record: record, domain: domain}
}

// step evaluates one term and writes down what became of it.
func (e *spfEval) step(step *audit.SPFStep, t audit.SPFTerm, domain string, in audit.DNSName) spfVerdict {
	lookups, voids := e.lookups, e.voids
	v := e.term(step, t, domain, in)
	switch {
	case v.result == audit.SPFTempError || v.result == audit.SPFPermError:
		step.Outcome = audit.SPFBroken
	case v.result != "":
		step.Outcome = audit.SPFMatched
	default:
		step.Outcome = audit.SPFNoMatch
	}
	step.Lookups, step.VoidLookups = e.lookups-lookups, e.voids-voids
	step.LookupsThen, step.VoidsThen = e.lookups, e.voids
	return v
}

// explain is the explanation of the record that decided (RFC 7208 section
// 6.2). Whatever goes wrong on the way means that there is none.
func (e *spfEval) explain(v spfVerdict) audit.Raw {
	t, ok := v.record.Find("exp")
	if !ok || e.unmatchable(t) {
		return ""
	}
	m := e.macros
	m.Domain = v.domain
	if t.Domain.Uses("p") {
		m.Valid = e.validName(v.domain)
	}
	name, ok := audit.WireName(t.Domain.Target(m))
	if !ok {
		return ""
	}
	o := texts(e.ask.need(name, dns.TypeTXT), func(audit.Raw) bool { return true }, "")
	if len(o.Value) != 1 {
		return ""
	}
	text, ok := audit.ParseSPFExplanation(o.Value[0])
	if !ok {
		return ""
	}
	if text.Uses("p") {
		m.Valid = e.validName(v.domain)
	}
	// The sender and HELO are whatever the client said.
	return audit.Raw(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text.Words(m, maxExplanation)))
}
