package dnscheck

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// term evaluates a mechanism, or redirect. A verdict without a result is that
// it does not match.
func (e *spfEval) term(step *audit.SPFStep, t audit.SPFTerm, domain string, in audit.DNSName) spfVerdict {
	match := spfVerdict{
		result: spfQualified(t.Qualifier), why: t.Quoted() + " in the record of " + in.String() + " matches",
		matched: []audit.SPFMatch{{Domain: in, Term: t.Text, At: t.At}},
	}
	switch {
	case t.Name == "all", t.Network.IsValid() && t.Network.Contains(e.macros.IP):
		return match
	case !t.Looks():
		return spfVerdict{}
	}
	target, v := e.begin(t, domain, in)
	switch {
	case v.result != "":
		return v
	case e.unmatchable(t) && t.Is("redirect"):
		return e.noRecord(in, t, "the sender cannot be part of a name")
	case e.unmatchable(t):
		return spfVerdict{}
	}
	matches := false
	switch t.Name {
	case "include":
		return e.include(step, t, target, match)
	case "redirect":
		return e.redirect(step, t, target, in)
	case "a":
		matches, v = e.a(step, t, target)
	case "mx":
		matches, v = e.mx(step, t, target)
	case "ptr":
		matches, v = e.ptr(step, target)
	case "exists":
		matches, v = e.exists(step, target)
	}
	if v.result != "" {
		if v.flaw != "" {
			v.flawAt = in
		}
		v.why = t.Quoted() + " in the record of " + in.String() + " " + v.why
		return v
	}
	if matches {
		return match
	}
	return spfVerdict{}
}

// spfQualified is the result of a match (RFC 7208 section 4.6.2).
func spfQualified(qualifier byte) audit.SPFResult {
	switch qualifier {
	case '-':
		return audit.SPFFail
	case '~':
		return audit.SPFSoftFail
	case '?':
		return audit.SPFNeutral
	}
	return audit.SPFPass
}

// begin counts a term that looks something up, and expands its target: the
// domain whose record it stands in where it names none (RFC 7208 sections
// 4.6.4 and 4.8).
func (e *spfEval) begin(t audit.SPFTerm, domain string, in audit.DNSName) (string, spfVerdict) {
	// A PTR lookup for %{p} counts like a term (section 4.6.4).
	spent := 1
	if t.Domain.Uses("p") {
		spent = 2
	}
	if e.lookups+spent > audit.SPFMaxLookups {
		return "", spfVerdict{result: audit.SPFPermError, flaw: audit.SPFLookups, flawAt: in,
			why: t.Quoted() + " in the record of " + in.String() + " would be more than ten lookups" + e.loop()}
	}
	e.lookups += spent
	if t.Domain.IsZero() {
		return domain, spfVerdict{}
	}
	m := e.macros
	m.Domain = domain
	if t.Domain.Uses("p") {
		m.Valid = e.validName(domain)
	}
	return t.Domain.Target(m), spfVerdict{}
}

// unmatchable reports whether a term wants the sender in a name that it cannot
// be in: a local part that is not ASCII (RFC 8616 section 4).
func (e *spfEval) unmatchable(t audit.SPFTerm) bool { return e.foreign && t.Domain.Uses("sl") }

// loop says which domain on the way includes itself, where one does.
func (e *spfEval) loop() string {
	for i, name := range e.path {
		if slices.Contains(e.path[:i], name) {
			return ", for " + name.String() + " leads back to itself"
		}
	}
	return ""
}

// void counts a term that found nothing: no such name, or no records of the
// kind. The limit is on terms (RFC 7208 section 4.6.4), so that each counts
// once, whatever it asked.
func (e *spfEval) void() spfVerdict {
	e.voids++
	if e.voids > audit.SPFMaxVoids {
		return spfVerdict{result: audit.SPFPermError, flaw: audit.SPFVoids, why: "is the third term that finds nothing"}
	}
	return spfVerdict{}
}

// look asks the question of a term. A target that cannot be a name is treated
// as one that does not exist; the RFC leaves it open (section 4.8).
func (e *spfEval) look(step *audit.SPFStep, target string, qtype uint16) (*resolve.Answer, spfVerdict) {
	name, ok := audit.WireName(target)
	if !ok {
		return nil, e.void()
	}
	answer := e.ask.need(name, qtype)
	step.Target, step.Via, step.State, step.Answer = name, answer.Via(), answer.State, answer.Why
	switch answer.State {
	case audit.Unknown: // section 5
		return answer, spfVerdict{result: audit.SPFTempError, why: "is not known: " + answer.Why.Text, trouble: answer.Why}
	case audit.Absent:
		return answer, e.void()
	}
	return answer, spfVerdict{}
}

// family is the type of record in which an address of the client's family
// stands (RFC 7208 section 5).
func (e *spfEval) family() uint16 { return spfFamily(e.macros.IP) }

func spfFamily(ip netip.Addr) uint16 {
	if ip.Is4() {
		return dns.TypeA
	}
	return dns.TypeAAAA
}

// matches reports whether the client is in the network of that length around
// one of the addresses.
func (e *spfEval) matches(t audit.SPFTerm, addrs []netip.Addr) bool {
	bits := t.Bits6
	if e.macros.IP.Is4() {
		bits = t.Bits4
	}
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool {
		return netip.PrefixFrom(a, bits).Masked().Contains(e.macros.IP)
	})
}

// keep writes addresses down: so many of the lowest, and how many others.
func keep(step *audit.SPFStep, addrs []netip.Addr) {
	o := audit.See(slices.Compact(slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare)), "")
	step.LeftOut = Bound(&o, audit.MaxFollowed, netip.Addr{})
	step.Addresses = o.Value
}

// a matches when the target has such an address (RFC 7208 section 5.3).
func (e *spfEval) a(step *audit.SPFStep, t audit.SPFTerm, target string) (bool, spfVerdict) {
	answer, v := e.look(step, target, e.family())
	if v.result != "" || answer == nil || answer.State != audit.Seen {
		return false, v
	}
	addrs := addresses(answer.Records)
	if len(addrs) == 0 { // but for what our own resolver made up
		return false, e.void()
	}
	keep(step, addrs)
	return e.matches(t, addrs), spfVerdict{}
}

// exists matches when the target has an A record, whatever the family of the
// client (RFC 7208 section 5.7).
func (e *spfEval) exists(step *audit.SPFStep, target string) (bool, spfVerdict) {
	answer, v := e.look(step, target, dns.TypeA)
	if v.result != "" || answer == nil || answer.State != audit.Seen {
		return false, v
	}
	keep(step, addresses(answer.Records))
	return true, spfVerdict{}
}

// mx matches when one of the mail servers of the target has such an address
// (RFC 7208 section 5.4). Their addresses are looked at in order of preference,
// and asked for at once.
func (e *spfEval) mx(step *audit.SPFStep, t audit.SPFTerm, target string) (bool, spfVerdict) {
	answer, v := e.look(step, target, dns.TypeMX)
	if v.result != "" || answer == nil || answer.State != audit.Seen {
		return false, v
	}
	hosts := spfHosts(answer.Records)
	step.Hosts = hosts[:min(len(hosts), audit.SPFMaxNames)]
	if len(hosts) > audit.SPFMaxNames { // section 4.6.4
		return false, spfVerdict{result: audit.SPFPermError, flaw: audit.SPFNames,
			why: fmt.Sprintf("leads to %d mail servers, and ten are the limit", len(hosts))}
	}
	e.ask.all(hosts, e.family())
	var all []netip.Addr
	defer func() { keep(step, all) }()
	for _, host := range hosts {
		found := e.ask.need(host, e.family())
		if found.State == audit.Unknown {
			return false, spfVerdict{result: audit.SPFTempError, trouble: found.Why,
				why: "is not known: the addresses of " + host.String() + " are not: " + found.Why.Text}
		}
		addrs := addresses(found.Records)
		if len(addrs) == 0 {
			step.HostVoids++
		}
		all = append(all, addrs...)
		if e.matches(t, addrs) {
			return true, spfVerdict{}
		}
	}
	return false, spfVerdict{}
}

// spfHosts are the hosts of MX records, the lowest preference first, each as
// often as it is there. The root of a null MX (RFC 7505) is no host.
func spfHosts(rrs []dns.RR) []audit.DNSName {
	var records []audit.MXRecord
	for _, rr := range rrs {
		m, ok := rr.(*dns.MX)
		if ok && m.Mx != "." {
			records = append(records, audit.MXRecord{Preference: m.Preference, Host: audit.NewDNSName(m.Mx)})
		}
	}
	slices.SortFunc(records, func(a, b audit.MXRecord) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(a.Host, b.Host))
	})
	var out []audit.DNSName
	for _, r := range records {
		out = append(out, r.Host)
	}
	return out
}

// include matches when the record of its target passes the client (RFC 7208
// section 5.2).
func (e *spfEval) include(step *audit.SPFStep, t audit.SPFTerm, target string, match spfVerdict) spfVerdict {
	v := e.enter(step, target)
	switch v.result {
	case audit.SPFPass:
		match.matched = append(match.matched, v.matched...)
		match.why += ": " + v.why
		return match
	case audit.SPFNone:
		return e.noRecord(match.matched[0].Domain, t, v.why)
	case audit.SPFTempError, audit.SPFPermError:
		return v
	}
	return spfVerdict{}
}

// redirect has the record of its target decide, as if it were that domain's
// sender (RFC 7208 section 6.1).
func (e *spfEval) redirect(step *audit.SPFStep, t audit.SPFTerm, target string, in audit.DNSName) spfVerdict {
	v := e.enter(step, target)
	if v.result == audit.SPFNone {
		return e.noRecord(in, t, v.why)
	}
	return v
}

func (e *spfEval) noRecord(in audit.DNSName, t audit.SPFTerm, why string) spfVerdict {
	return spfVerdict{result: audit.SPFPermError, flaw: audit.SPFNoRecord, flawAt: in,
		why: t.Quoted() + " in the record of " + in.String() + " leads nowhere: " + why}
}

// enter checks the target of an include or a redirect.
func (e *spfEval) enter(step *audit.SPFStep, target string) spfVerdict {
	node, v := e.check(target)
	step.Node, step.Target, step.Via, step.State, step.Answer = node, node.Domain, node.Via, node.State, node.Answer
	if node.State == audit.Absent {
		e.voids++ // a permerror anyway, whatever the limit
	}
	return v
}

// spfNames are the names of the client.
type spfNames struct {
	answer  *resolve.Answer
	asked   []audit.DNSName // ten at most
	valid   []audit.DNSName // of them, those that lead back to the client
	failure audit.Reason    // of a lookup that was passed over
}

// clientNames finds them: once, for they are the same for every term (RFC 7208
// section 5.5). Sorted first, so that which ten are followed does not depend
// on the order of the answer.
func (e *spfEval) clientNames() *spfNames {
	if e.names != nil {
		return e.names
	}
	n := &spfNames{answer: e.ask.need(audit.ReverseName(e.macros.IP), dns.TypePTR)}
	e.names = n
	if n.answer.State == audit.Unknown {
		n.failure = n.answer.Why
		return n
	}
	names := pointers(n.answer.Records)
	n.asked = names[:min(len(names), audit.SPFMaxNames)]
	e.ask.all(n.asked, e.family())
	for _, name := range n.asked {
		found := e.ask.need(name, e.family())
		if found.State == audit.Unknown {
			n.failure = found.Why
		}
		if slices.Contains(addresses(found.Records), e.macros.IP) {
			n.valid = append(n.valid, name)
		}
	}
	return n
}

// ptr matches when the client has a name that leads back to it and lies in the
// target (RFC 7208 section 5.5). Lookups that fail are passed over there: it is
// not the domain's fault.
func (e *spfEval) ptr(step *audit.SPFStep, target string) (bool, spfVerdict) {
	n := e.clientNames()
	step.Via, step.State, step.Answer = n.answer.Via(), n.answer.State, n.answer.Why
	step.Hosts, step.Valid = n.asked, n.valid
	if n.answer.State == audit.Absent {
		return false, e.void()
	}
	name, ok := audit.WireName(target)
	if ok {
		step.Target = name
		if slices.ContainsFunc(n.valid, func(v audit.DNSName) bool { return within(v, name) }) {
			return true, spfVerdict{}
		}
	}
	if n.failure.Code != "" {
		e.doubt = n.failure
	}
	return false, spfVerdict{}
}

// within reports whether a name is a domain or lies below it.
func within(name, domain audit.DNSName) bool {
	return dns.IsSubDomain(domain.FQDN(), name.FQDN())
}

// validName is %{p}: the domain itself if it is a name of the client, else a
// name below it, else any (RFC 7208 section 7.3).
func (e *spfEval) validName(domain string) string {
	n := e.clientNames()
	if n.failure.Code != "" {
		e.doubt = n.failure
	}
	own, _ := audit.WireName(domain)
	if slices.Contains(n.valid, own) {
		return string(own)
	}
	for _, v := range n.valid {
		if own != "" && within(v, own) {
			return string(v)
		}
	}
	if len(n.valid) > 0 {
		return string(n.valid[0])
	}
	return ""
}
