package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// spfRules judge who may send as the domain, as published in SPF (RFC 7208).
// They read the domain's own record only, not those that it includes.
func spfRules() []Rule {
	moot := []audit.RuleID{"spf.missing", "spf.several"}
	return []Rule{{
		ID: "spf.missing", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High, Range: []audit.Severity{audit.Medium},
		Title: "The domain publishes SPF",
		Refs:  []Ref{{"RFC 7208", "3"}, {"Google email sender guidelines", "https://support.google.com/a/answer/81126"}},
		Why: "The SPF record says which servers send mail as the domain. Gmail, Outlook.com and Yahoo refuse mail without " +
			"authentication, from bulk senders mail without SPF even when it is signed; and nothing tells forged mail from yours. " +
			"A domain that takes no mail is worth a record as well: forgers like such domains.",
		Fix: "List everything that sends mail as the domain (your servers, your mail provider, newsletters, billing, the web site) " +
			"and publish one TXT record that names it all and ends in ~all. A domain that sends no mail publishes \"v=spf1 -all\".",
		After: []audit.RuleID{"mx.domain-nxdomain"},
		Judge: judgeSPFMissing,
	}, {
		ID: "spf.several", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "There is one SPF record",
		Refs:  []Ref{{"RFC 7208", "4.5"}},
		Why: "Two SPF records do not add up. A receiver that finds more than one must report an error (permerror) and uses none of them, " +
			"so no mail of the domain passes SPF.",
		Fix:   "Merge the records into one: \"v=spf1\" once, then the terms of all of them, then a single ~all or -all.",
		Judge: judgeSPFSeveral,
	}, {
		ID: "spf.syntax", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "The SPF record is well-formed",
		Refs:  []Ref{{"RFC 7208", "4.6"}, {"RFC 7208", "5"}, {"RFC 7208", "12"}},
		Why: "One term that cannot be read makes the whole record an error (permerror), wherever it stands: " +
			"no mail of the domain passes SPF, that of the servers named correctly included.",
		Fix:   "Correct the term that the finding names, or take it away. Networks are written ip4:192.0.2.0/24 and ip6:2001:db8::/32.",
		After: moot,
		Judge: judgeSPFSyntax,
	}, {
		ID: "spf.plus-all", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Critical,
		Title: "The SPF record does not pass the whole world",
		Refs:  []Ref{{"RFC 7208", "5.1"}, {"RFC 7208", "5.6"}},
		Why: "With +all, or with ranges that hold every address, anyone's mail as this domain passes SPF, and through SPF also DMARC. " +
			"It is worse than no record, and spam filters take it for a sign of a spammer's domain.",
		Fix:   "Name the servers that send and end the record in ~all, or in -all for a domain that sends nothing.",
		After: moot,
		Judge: judgeSPFOpen,
	}, {
		ID: "spf.no-verdict", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Medium,
		Title: "The SPF record says what to think of everyone else: ~all, -all or redirect",
		Refs:  []Ref{{"RFC 7208", "4.7"}, {"RFC 7208", "8.2"}},
		Why: "A record that ends in ?all, or in nothing, says \"neutral\" of all servers that it does not name. " +
			"Receivers must treat that as if there were no record: it tells nobody that a forgery is one.",
		Fix:   "When the record names everything that sends, end it in ~all.",
		After: append([]audit.RuleID{"spf.plus-all"}, moot...),
		Judge: judgeSPFVerdict,
	}, {
		ID: "spf.ptr-used", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Low,
		Title: "The SPF record does not use ptr",
		Refs:  []Ref{{"RFC 7208", "5.5"}},
		Why: "The ptr mechanism costs every receiver many lookups in the sender's reverse zone. It is slow, fails whenever " +
			"that zone does, and the standard says that it should not be published; some receivers skip it.",
		Fix:   "Name the servers that it is meant for by ip4, ip6, a or include, and take ptr away.",
		After: moot,
		Judge: judgeSPFPtr,
	}, {
		ID: "spf.dead-terms", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Low,
		Title: "Every term of the SPF record counts",
		Refs:  []Ref{{"RFC 7208", "5.1"}, {"RFC 7208", "6.1"}, {"RFC 7208", "6"}},
		Why: "Receivers stop at all: what stands behind it is never looked at, and neither is a redirect beside it. " +
			"A mechanism written with \"=\" in place of \":\" is taken for an unknown modifier and ignored. " +
			"When such a term was to allow a server, the mail of that server fails SPF.",
		Fix:   "Move the terms that are meant to count in front of all and write them with a colon; delete the others.",
		After: moot,
		Judge: judgeSPFDead,
	}}
}

// parked reports whether the domain is known to take no mail: a null MX alone
// (RFC 7505 section 3).
func parked(s *audit.Snapshot) bool {
	for _, records := range Gather(s.Facts.MX.Records).Values {
		return len(records) == 1 && records[0].IsNull()
	}
	return false
}

// txtEvidence is what a question for TXT records brought.
func txtEvidence(o audit.Obs[[]audit.Raw]) []string {
	if o.State == audit.Absent {
		return []string{Seen(o.Via, string(o.Why.Code))}
	}
	var words []string
	for _, set := range Gather(o).Values {
		for _, txt := range set {
			words = append(words, `"`+txt.String()+`"`)
		}
	}
	return []string{Seen(o.Via, words...)}
}

func judgeSPFMissing(s *audit.Snapshot, r *Report) {
	domain, o := s.Domain.String(), s.Facts.SPF.Records
	_, present, ok := Need(r, domain, o)
	switch {
	case !ok:
	case present:
		r.Pass(domain, "the domain publishes SPF", txtEvidence(o)...)
	case parked(s):
		r.Fail(domain, Fault{
			Severity: audit.Medium,
			Detail:   domain + " takes no mail and does not say that it sends none",
			Evidence: append(txtEvidence(o), mxEvidence(s)...),
			Fix:      spfNeverFix(s),
		})
	default:
		r.Fail(domain, Fault{
			Detail:   domain + " publishes no SPF record",
			Evidence: txtEvidence(o),
			Fix: audit.Fix{Summary: "publish who sends as the domain", Steps: []string{
				"list everything that sends mail as " + domain + ": mail servers, mail provider, newsletters, billing, the web site",
				"publish one TXT record at " + s.Domain.Name().FQDN() + " with a term for each, for example \"v=spf1 mx include:PROVIDER ~all\"; " +
					"providers tell the include that they want",
				"if the domain sends no mail at all: publish \"v=spf1 -all\"",
			}},
		})
	}
}

// spfNeverFix is the record of a domain that sends nothing (RFC 7208 section
// 10.1.2). Nothing can stand beside a CNAME (RFC 1034 3.6.2), so where the
// domain may be an alias there is no record to propose.
func spfNeverFix(s *audit.Snapshot) audit.Fix {
	domain := s.Domain.Name().FQDN()
	if s.Facts.MX.Alias.State != audit.Absent {
		return audit.Fix{Summary: "say that the domain sends no mail", Steps: []string{
			"publish TXT \"v=spf1 -all\" at the name that " + domain + " is an alias of, unless that name sends mail itself",
		}}
	}
	return audit.Fix{Summary: "say that the domain sends no mail", Records: []audit.FixRecord{
		{Action: audit.Add, Name: domain, Type: "TXT", Value: `"v=spf1 -all"`},
	}}
}

func judgeSPFSeveral(s *audit.Snapshot, r *Report) {
	domain, o := s.Domain.String(), s.Facts.SPF.Records
	records, present, ok := Need(r, domain, o)
	switch {
	case !ok:
	case !present:
		r.NA(domain, "the domain publishes no SPF record")
	case len(records) == 1:
		r.Pass(domain, "one SPF record", txtEvidence(o)...)
	default:
		r.Fail(domain, Fault{
			Detail:   fmt.Sprintf("%s has %d SPF records; receivers use none of them", domain, len(records)),
			Evidence: txtEvidence(o),
			Fix: audit.Fix{Summary: "merge the records into one", Steps: []string{
				"write one record with the terms of all of them, in front of a single ~all or -all",
				"publish it and remove the others in the same change",
			}},
		})
	}
}

// spfRecord is the one SPF record of the domain. Where there is no such record
// it has said for the rule what is to be said.
func spfRecord(s *audit.Snapshot, r *Report) (record audit.SPFRecord, ok bool) {
	domain := s.Domain.String()
	records, present, ok := Need(r, domain, s.Facts.SPF.Records)
	switch {
	case !ok:
		return audit.SPFRecord{}, false
	case !present:
		r.NA(domain, "the domain publishes no SPF record")
		return audit.SPFRecord{}, false
	case len(records) != 1:
		r.NA(domain, "receivers use none of several SPF records")
		return audit.SPFRecord{}, false
	}
	return audit.ParseSPF(records[0]), true
}

func judgeSPFSyntax(s *audit.Snapshot, r *Report) {
	record, ok := spfRecord(s, r)
	if !ok {
		return
	}
	domain, evidence := s.Domain.String(), txtEvidence(s.Facts.SPF.Records)
	faults := record.Faults
	if len(faults) == 0 {
		r.Pass(domain, "every term of the record can be read", evidence...)
		return
	}
	detail := "in the SPF record, " + faults[0].String()
	if len(faults) > 1 {
		detail += fmt.Sprintf(" (and %d more)", len(faults)-1)
	}
	fix := audit.Fix{Summary: "correct the record"}
	for _, f := range faults {
		fix.Steps = append(fix.Steps, "correct or remove the term: "+f.String())
	}
	r.Fail(domain, Fault{Detail: detail, Evidence: evidence, Fix: fix})
}

func judgeSPFOpen(s *audit.Snapshot, r *Report) {
	record, ok := spfRecord(s, r)
	if !ok {
		return
	}
	domain, evidence := s.Domain.String(), txtEvidence(s.Facts.SPF.Records)
	how := spfPassesAll(record)
	if how == "" {
		r.Pass(domain, "no term of the record itself passes every address", evidence...)
		return
	}
	steps := []string{
		"list everything that sends mail as " + domain,
		"name it in the record by ip4, ip6, a, mx or include, in place of the terms that pass everyone, and end the record in ~all",
	}
	if parked(s) {
		steps = []string{"the domain takes no mail: if it sends none either, replace the record by \"v=spf1 -all\""}
	}
	r.Fail(domain, Fault{
		Detail: how + ": anyone can send as " + domain, Evidence: evidence,
		Fix: audit.Fix{Summary: "name those who send", Steps: steps},
	})
}

// spfPassesAll says how the record passes the whole world, or "". What stands
// behind all does not count.
func spfPassesAll(record audit.SPFRecord) string {
	var ranges []netip.Prefix
	end := record.All()
	for i, t := range record.Terms {
		if end >= 0 && i > end || t.Qualifier != '+' {
			continue
		}
		if i == end {
			return "the term " + t.Quoted() + " passes every address"
		}
		if t.Network.IsValid() {
			ranges = append(ranges, t.Network)
		}
	}
	// All unicast addresses: the classes A to C of IPv4, and all of IPv6 that
	// is assigned to anyone (RFC 4291 section 2.4; 2000::/3 is the only block in
	// use). A range of /0 holds them, and so may several together.
	switch {
	case covered("0.0.0.0/1", ranges) && covered("128.0.0.0/2", ranges) && covered("192.0.0.0/3", ranges):
		return "the ip4 terms pass every IPv4 address"
	case covered("2000::/3", ranges):
		return "the ip6 terms pass every IPv6 address"
	}
	return ""
}

// covered reports whether the ranges together hold all of a prefix.
func covered(prefix string, ranges []netip.Prefix) bool {
	return coveredBy(netip.MustParsePrefix(prefix), ranges)
}

// coveredBy halves the prefix where a range lies inside it, so it goes no
// deeper than the narrowest range.
func coveredBy(p netip.Prefix, ranges []netip.Prefix) bool {
	inside := false
	for _, q := range ranges {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
		inside = inside || p.Overlaps(q)
	}
	if !inside {
		return false
	}
	upper := p.Addr().AsSlice()
	upper[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	a, _ := netip.AddrFromSlice(upper)
	return coveredBy(netip.PrefixFrom(p.Addr(), p.Bits()+1), ranges) && coveredBy(netip.PrefixFrom(a, p.Bits()+1), ranges)
}

func judgeSPFVerdict(s *audit.Snapshot, r *Report) {
	record, ok := spfRecord(s, r)
	if !ok {
		return
	}
	domain, evidence := s.Domain.String(), txtEvidence(s.Facts.SPF.Records)
	end, detail := record.All(), ""
	redirects := slices.ContainsFunc(record.Terms, func(t audit.SPFTerm) bool { return t.Is("redirect") })
	switch {
	case end >= 0 && record.Terms[end].Qualifier == '+':
		r.NA(domain, "the record passes everyone: see spf.plus-all")
		return
	case end >= 0 && record.Terms[end].Qualifier == '?':
		detail = "the SPF record ends in ?all, which says nothing of other senders"
	case end < 0 && !redirects:
		detail = "the SPF record has neither all nor redirect, so it says nothing of other senders"
	default:
		r.Pass(domain, "the record says what to think of other senders", evidence...)
		return
	}
	steps := []string{
		"check that the record names everything that sends mail as " + domain,
		"then end it in ~all",
	}
	if parked(s) {
		steps = []string{"the domain takes no mail: if it sends none either, replace the record by \"v=spf1 -all\""}
	}
	r.Fail(domain, Fault{Detail: detail, Evidence: evidence, Fix: audit.Fix{Summary: "end the record in ~all", Steps: steps}})
}

func judgeSPFPtr(s *audit.Snapshot, r *Report) {
	record, ok := spfRecord(s, r)
	if !ok {
		return
	}
	domain, evidence := s.Domain.String(), txtEvidence(s.Facts.SPF.Records)
	for _, t := range record.Terms {
		if t.Is("ptr") {
			r.Fail(domain, Fault{
				Detail: "the SPF record uses " + t.Quoted(), Evidence: evidence,
				Fix: audit.Fix{Summary: "name the servers in another way", Steps: []string{
					"find out which servers " + t.Quoted() + " is meant for, and name them by ip4, ip6, a or include",
					"then take " + t.Quoted() + " away",
				}},
			})
			return
		}
	}
	r.Pass(domain, "the record does without ptr", evidence...)
}

func judgeSPFDead(s *audit.Snapshot, r *Report) {
	record, ok := spfRecord(s, r)
	if !ok {
		return
	}
	domain, evidence := s.Domain.String(), txtEvidence(s.Facts.SPF.Records)
	end := record.All()
	var dead []string
	for i, t := range record.Terms {
		afterAll := end >= 0 && (i > end && !t.Modifier || t.Is("redirect"))
		if afterAll || t.Modifier && audit.IsSPFMechanism(t.Name) {
			dead = append(dead, t.Quoted())
		}
	}
	if len(dead) == 0 {
		r.Pass(domain, "no term of the record is ignored", evidence...)
		return
	}
	r.Fail(domain, Fault{
		Detail:   "receivers ignore this part of the SPF record: " + strings.Join(dead, " "),
		Evidence: evidence,
		Fix: audit.Fix{Summary: "move the ignored terms or delete them", Steps: []string{
			"if such a term allows a server that sends for you: write it with a colon (ip4:, include:) and in front of all",
			"else delete it",
		}},
	})
}
