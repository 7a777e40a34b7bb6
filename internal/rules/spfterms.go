package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// spfOwnTermRules are about single terms of the domain's own record.
func spfOwnTermRules() []Rule {
	after := spfSoundFirst()
	return []Rule{{
		ID: "spf.special-range", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Low,
		Title: "The SPF record names public addresses only",
		Refs:  []Ref{{"RFC 7208", "5.6"}, {"RFC 6890", "2.2"}},
		Why: "No mail comes to anybody from a private or reserved address: what receivers see is the public one behind it. So the term passes nobody, " +
			"and where it was to name a server of yours, that server fails SPF.",
		Fix:   "Name the address that the server's mail leaves your network with. Take the term away when nothing inside your own network judges by it.",
		After: after, Judge: judgeSPFSpecial,
	}, {
		ID: "spf.host-bits", Axis: audit.Protection, Since: "0.3.0", Severity: audit.Info,
		Title: "Networks in the SPF record are written by their first address",
		Refs:  []Ref{{"RFC 7208", "5.6"}},
		Why: "ip4:192.0.2.5/24 is the same to receivers as ip4:192.0.2.0/24: all 256 addresses. Whoever writes it often means one host, " +
			"and lets its neighbours send as the domain.",
		Fix:   "Write one host without a prefix length, and a network by its first address.",
		After: after, Judge: judgeSPFHostBits,
	}, {
		ID: "spf.mx-without-mx", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Low,
		Title: "Every mx term names a domain that has mail servers",
		Refs:  []Ref{{"RFC 7208", "5.4"}, {"RFC 7208", "4.6.4"}},
		Why: "mx stands for the hosts of MX records alone: it does not fall back on the address of the domain, as mail does. Where there is no MX record the term passes nobody, " +
			"costs a lookup, and counts as one in vain, of which receivers allow two.",
		Fix:   "Name the servers that were meant by a, ip4, ip6 or include. A term that finds nothing can go without harm.",
		After: after, Judge: judgeSPFNoMX,
	}, {
		ID: "spf.macro-p", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Low,
		Title: "The SPF record does without the macro %{p}",
		Refs:  []Ref{{"RFC 7208", "7.3"}, {"RFC 7208", "5.5"}},
		Why: "%{p} is the name of the client as its reverse DNS has it. Like ptr it costs every receiver lookups in the zone of the sender, fails whenever that zone does, " +
			"and the standard says that it should not be published.",
		Fix:   "Use %{i}, the address, in place of the name, or name the servers by ip4, ip6, a or include.",
		After: after, Judge: judgeSPFMacroP,
	}, {
		ID: "spf.exp-broken", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "The explanation that exp= leads to can be read",
		Refs:  []Ref{{"RFC 7208", "6.2"}},
		Why: "exp= names a TXT record with words for those whose mail is refused by SPF. Where it is missing, there are several, or it holds what an explanation may not hold, " +
			"receivers leave it out. No mail is lost, but nobody is told what to do.",
		Fix:   "Publish one TXT record of printable ASCII at the name, or take exp= away.",
		After: after, Judge: judgeSPFExp,
	}, {
		ID: "spf.unknown-modifier", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "Every modifier of the SPF record is one that receivers know",
		Refs:  []Ref{{"RFC 7208", "6"}, {"RFC 6652", "3"}},
		Why: "Receivers ignore a word with an equals sign whose name they do not know. That is how the language was to grow, and it did not: " +
			"today such a word is a typing error as a rule, or the token of a service that looks for it in the wrong record.",
		Fix:   "Correct the name (redirect and exp are written with an equals sign, mechanisms with a colon), or move the word into a TXT record of its own.",
		After: after, Judge: judgeSPFModifier,
	}}
}

// judgeSPFTerms fails on the terms that count and for which find says something,
// a remark for the sentence.
func judgeSPFTerms(s *audit.Snapshot, r *Report, pass string, find func(t audit.SPFTerm) string, fault func(bad []audit.SPFTerm, remark string) Fault) {
	record, ok := spfSound(s, r)
	if !ok {
		return
	}
	domain, evidence := s.Domain.String(), txtEvidence(s.Facts.SPF.Records)
	var bad []audit.SPFTerm
	remark := ""
	for _, t := range spfCount(record) {
		if what := find(t); what != "" {
			if remark == "" {
				remark = what
			}
			bad = append(bad, t)
		}
	}
	if len(bad) == 0 {
		r.Pass(domain, pass)
		return
	}
	f := fault(bad, remark)
	f.Evidence = evidence
	r.Fail(domain, f)
}

func judgeSPFSpecial(s *audit.Snapshot, r *Report) {
	judgeSPFTerms(s, r, "all addresses in the record can be those of hosts on the internet", func(t audit.SPFTerm) string {
		if !t.Network.IsValid() || t.Qualifier != '+' {
			return ""
		}
		return specialNetwork(s.Scope, t.Network)
	}, func(bad []audit.SPFTerm, what string) Fault {
		return Fault{
			Detail: "the SPF record names addresses from which no mail comes: " + spfNames(bad) + ", " + what,
			Fix: audit.Fix{Summary: "name the public addresses", Steps: []string{
				"find out which servers " + spfNames(bad) + " was meant for, and with which address their mail leaves your network",
				"name that address in the record if no other term passes it",
				"then take " + spfNames(bad) + " away, unless servers of your own judge mail by it",
			}},
		}
	})
}

// specialNetwork says what kind of special-purpose addresses a network consists
// of, or "" where some of them can be hosts on the internet. The rows of the
// registries are networks, so one that begins and ends in the same row lies in
// it.
func specialNetwork(scope audit.Scope, n netip.Prefix) string {
	last := n.Addr().AsSlice()
	for i := n.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	what := scope.Special(n.Addr())
	if what == "" || scope.Special(end) != what {
		return ""
	}
	return what
}

func judgeSPFHostBits(s *audit.Snapshot, r *Report) {
	judgeSPFTerms(s, r, "every network is written by its first address", func(t audit.SPFTerm) string {
		if !t.Network.IsValid() {
			return ""
		}
		_, value, _ := strings.Cut(string(t.Text), ":")
		written, err := netip.ParsePrefix(value)
		if err != nil || written.Addr() == t.Network.Addr() {
			return ""
		}
		return fmt.Sprintf("%s:%s for the host, %s:%s for the network", t.Name, written.Addr(), t.Name, t.Network)
	}, func(bad []audit.SPFTerm, remark string) Fault {
		return Fault{
			Detail: "the SPF record names a network by an address in the middle of it: " + spfNames(bad),
			Fix: audit.Fix{Summary: "write what is meant", Steps: []string{
				"decide for " + bad[0].Quoted() + " whether one host is meant or all of the network",
				"write " + remark,
			}},
		}
	})
}

func judgeSPFMacroP(s *audit.Snapshot, r *Report) {
	judgeSPFTerms(s, r, "no term uses %{p}", func(t audit.SPFTerm) string {
		if t.Domain.Uses("p") {
			return "%{p}"
		}
		return ""
	}, func(bad []audit.SPFTerm, _ string) Fault {
		return Fault{
			Detail: "the SPF record uses %{p}: " + spfNames(bad),
			Fix: audit.Fix{Summary: "do without the name of the client", Steps: []string{
				"find out which servers " + spfNames(bad) + " is meant for",
				"name them by ip4, ip6, a or include, or use %{i} and names made of addresses",
			}},
		}
	})
}

func judgeSPFModifier(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
	if !ok {
		return
	}
	domain, evidence := s.Domain.String(), txtEvidence(s.Facts.SPF.Records)
	var strange []audit.SPFTerm
	for _, t := range record.Terms {
		// A mechanism written with "=" is for spf.dead-terms.
		if t.Modifier && !knownModifier(t.Name) && !audit.IsSPFMechanism(t.Name) {
			strange = append(strange, t)
		}
	}
	if len(strange) == 0 {
		r.Pass(domain, "no modifier is strange to receivers")
		return
	}
	r.Fail(domain, Fault{
		Detail:   "receivers ignore a word of the SPF record that they do not know: " + spfNames(strange),
		Evidence: evidence,
		Fix: audit.Fix{Summary: "correct the word or move it", Steps: []string{
			"if a term of SPF is meant: correct its name; redirect and exp have an equals sign, all others a colon",
			"if it is the token of a service: publish it as a TXT record of its own, and take it out of this one",
		}},
	})
}

// knownModifier reports whether a modifier is one of RFC 7208, or of the reports
// of RFC 6652.
func knownModifier(name string) bool {
	switch name {
	case "redirect", "exp", "ra", "rp", "rr":
		return true
	}
	return false
}

func judgeSPFExp(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
	if !ok {
		return
	}
	domain, o := s.Domain.String(), s.Facts.SPF.Explained
	exp, has := record.Find("exp")
	if !has {
		r.NA(domain, "the record has no exp=")
		return
	}
	texts, _, ok := Need(r, domain, o)
	if !ok {
		return
	}
	fault := ""
	switch {
	case len(texts) == 0:
		fault = "leads to no TXT record"
	case len(texts) > 1:
		fault = fmt.Sprintf("leads to %d TXT records, of which receivers use none", len(texts))
	default:
		if _, readable := audit.ParseSPFExplanation(texts[0]); readable {
			r.Pass(domain, exp.Quoted()+" leads to an explanation", txtEvidence(o)...)
			return
		}
		fault = "leads to a text that is no explanation: it holds a macro that does not exist, or characters outside ASCII"
	}
	r.Fail(domain, Fault{
		Detail: exp.Quoted() + " in the SPF record " + fault, Evidence: txtEvidence(o),
		Fix: audit.Fix{Summary: "publish one text that can be read", Steps: []string{
			"publish one TXT record of printable ASCII at the name in " + exp.Quoted() + "; a percent sign is written %%",
			"or take " + exp.Quoted() + " out of the record",
		}},
	})
}

func judgeSPFNoMX(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
	if !ok {
		return
	}
	domain, fixed := s.Domain.String(), false
	var empty []audit.SPFTerm
	var evidence []string
	var all []audit.Obs[[]audit.DNSName]
	for _, t := range record.Reached() {
		target, same := t.StaticTarget(string(s.Domain.Name()), string(s.Domain.Name()))
		if !t.Is("mx") || !same {
			continue
		}
		fixed = true
		name, _ := audit.WireName(target)
		o := spfHosts(s, name)
		all = append(all, o)
		if noHosts(o) {
			empty = append(empty, t)
			evidence = append(evidence, Seen(o.Via, "no mail server"))
		}
	}
	switch {
	case len(empty) > 0:
		r.Fail(domain, Fault{
			Detail: "the SPF record has an mx term that finds no mail server: " + spfNames(empty), Evidence: evidence,
			Fix: audit.Fix{Summary: "name the servers that are meant", Steps: []string{
				"if the address of the domain itself is meant: write a in place of mx",
				"if other servers are meant: name them by ip4, ip6, a or include",
				"if none is: take the term away, which changes nothing for any sender",
			}},
		})
	case !Gather(all...).Complete(r, domain):
	case !fixed:
		r.NA(domain, "the record has no mx term whose name is the same whoever sends")
	default:
		r.Pass(domain, "every mx term finds mail servers", Gather(all...).Vias...)
	}
}

// noHosts reports whether a name is known to have no mail servers. A null MX
// names none either.
func noHosts(o audit.Obs[[]audit.DNSName]) bool {
	return o.Known() && len(slices.Concat(Gather(o).Values...)) == 0
}

// spfHosts are the mail servers that an mx term finds at a name.
func spfHosts(s *audit.Snapshot, name audit.DNSName) audit.Obs[[]audit.DNSName] {
	for _, t := range s.Facts.SPF.Found {
		if t.Term == "mx" && t.Name == name {
			return t.Hosts
		}
	}
	return audit.Obs[[]audit.DNSName]{}
}
