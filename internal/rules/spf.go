package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// spfRules judge who may send as the domain, as published in SPF (RFC 7208).
// Those in this file and in spfrecord.go are about the domain's own record; where
// a redirect hands the domain over to another record, that one decides.
//
// The record is the evidence of spf.missing and of every fail; what passes
// because of what it does not hold needs not repeat it, and says the same of
// every domain, so that the history has it once.
func spfRules() []Rule {
	moot := []audit.RuleID{"spf.missing", "spf.several"}
	sound := spfSoundFirst()
	return slices.Concat([]Rule{{
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
	}}, spfStringRules(), []Rule{{
		ID: "spf.syntax", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "The SPF record is well-formed",
		Refs:  []Ref{{"RFC 7208", "4.6"}, {"RFC 7208", "5"}, {"RFC 7208", "12"}},
		Why: "One term that cannot be read makes the whole record an error (permerror), wherever it stands: " +
			"no mail of the domain passes SPF, that of the servers named correctly included.",
		Fix:   "Correct the term that the finding names, or take it away. Networks are written ip4:192.0.2.0/24 and ip6:2001:db8::/32.",
		After: append([]audit.RuleID{"spf.strings-glued"}, moot...),
		Judge: judgeSPFSyntax,
	}, {
		ID: "spf.plus-all", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Critical,
		Title: "The SPF record does not pass the whole world",
		Refs:  []Ref{{"RFC 7208", "5.1"}, {"RFC 7208", "5.6"}},
		Why: "With +all, or with ranges that hold every address, anyone's mail as this domain passes SPF, and through SPF also DMARC. " +
			"It is worse than no record, and spam filters take it for a sign of a spammer's domain.",
		Fix:   "Name the servers that send and end the record in ~all, or in -all for a domain that sends nothing.",
		After: sound,
		Judge: judgeSPFOpen,
	}}, spfNeverRules(), []Rule{{
		ID: "spf.no-verdict", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Medium,
		Title: "The SPF record says what to think of everyone else: ~all, -all or redirect",
		Refs:  []Ref{{"RFC 7208", "4.7"}, {"RFC 7208", "8.2"}},
		Why: "A record that ends in ?all, or in nothing, says \"neutral\" of all servers that it does not name. " +
			"Receivers must treat that as if there were no record: it tells nobody that a forgery is one.",
		Fix:   "When the record names everything that sends, end it in ~all.",
		After: append([]audit.RuleID{"spf.plus-all", "spf.never-sends"}, sound...),
		Judge: judgeSPFVerdict,
	}, {
		ID: "spf.ptr-used", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Low,
		Title: "The SPF record does not use ptr",
		Refs:  []Ref{{"RFC 7208", "5.5"}},
		Why: "The ptr mechanism costs every receiver many lookups in the sender's reverse zone. It is slow, fails whenever " +
			"that zone does, and the standard says that it should not be published; some receivers skip it.",
		Fix:   "Name the servers that it is meant for by ip4, ip6, a or include, and take ptr away.",
		After: sound,
		Judge: judgeSPFPtr,
	}, {
		ID: "spf.dead-terms", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Low,
		Title: "Every term of the SPF record counts",
		Refs:  []Ref{{"RFC 7208", "5.1"}, {"RFC 7208", "6.1"}, {"RFC 7208", "6"}},
		Why: "Receivers stop at all: what stands behind it is never looked at, and neither is a redirect beside it. " +
			"A mechanism written with \"=\" in place of \":\" is taken for an unknown modifier and ignored. " +
			"When such a term was to allow a server, the mail of that server fails SPF.",
		Fix:   "Move the terms that are meant to count in front of all and write them with a colon; delete the others.",
		After: sound,
		Judge: judgeSPFDead,
	}}, spfFitRules(), spfOwnTermRules(), spfLeftoverRules(), spfSenderRules())
}

// spfSoundFirst are the rules that must hold for the terms of the record to
// count: a receiver that finds no record, several, or a term that it cannot read
// looks at none of them (RFC 7208 sections 4.5 and 4.6).
func spfSoundFirst() []audit.RuleID {
	return []audit.RuleID{"spf.missing", "spf.several", "spf.syntax"}
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
	case s.Facts.SPF.Misses.State == audit.Seen:
		r.NA(domain, "a TXT record is meant as SPF and is none: see spf.near-miss")
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
	if !spfOwnName(s) {
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
		r.Pass(domain, "one SPF record")
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

// spfSound is spfRecord for rules that judge what the terms say: those of a
// record with a fault say nothing to anybody (RFC 7208 section 4.6).
func spfSound(s *audit.Snapshot, r *Report) (record audit.SPFRecord, ok bool) {
	record, ok = spfRecord(s, r)
	if ok && len(record.Faults) > 0 {
		r.NA(s.Domain.String(), "the SPF record holds a term that cannot be read")
		return record, false
	}
	return record, ok
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

func judgeSPFVerdict(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
	if !ok {
		return
	}
	end, ok := spfLast(s, r, record)
	if !ok {
		return
	}
	domain, who, detail := s.Domain.String(), end.who(s), ""
	switch end.qualifier() {
	case '+':
		r.NA(domain, who+" passes everyone")
		return
	case '?':
		detail = who + " ends in ?all, which says nothing of other senders"
	case 0:
		detail = who + " has neither all nor redirect, so it says nothing of other senders"
	default:
		r.Pass(domain, who+" says what to think of other senders", end.evidence...)
		return
	}
	steps := []string{
		"check that the record names everything that sends mail as " + domain,
		"then end it in ~all",
	}
	switch {
	case end.at != s.Domain.Name():
		steps = []string{"ask who runs " + end.at.String() + " to end its record in ~all", "else name your senders in a record of your own that ends in ~all, without the redirect"}
	case parked(s):
		steps = []string{"the domain takes no mail: if it sends none either, replace the record by \"v=spf1 -all\""}
	}
	r.Fail(domain, Fault{Detail: detail, Evidence: end.evidence, Fix: audit.Fix{Summary: "end the record in ~all", Steps: steps}})
}

func judgeSPFPtr(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
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
	r.Pass(domain, "the record does without ptr")
}

func judgeSPFDead(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
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
		r.Pass(domain, "no term of the record is ignored")
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
