package rules

import (
	"fmt"

	"mailaudit/internal/audit"
)

// spfNeverRules are about domains that take no mail. They stand in front of
// those about the end of the record: one fault is one finding.
func spfNeverRules() []Rule {
	return []Rule{{
		ID: "spf.never-sends", Axis: audit.Protection, Since: "0.3.0", Severity: audit.Medium,
		Title: "A domain that takes no mail, and names nobody who sends, says \"v=spf1 -all\"",
		Refs:  []Ref{{"RFC 7208", "10.1.2"}, {"RFC 7505", "4.2"}},
		Why: "A domain with a null MX can take neither answers nor bounces, and a record that names no sender says that nobody is known to send. Together they mean a domain without mail, " +
			"which forgers like best of all. \"v=spf1 -all\" says so in the words that every receiver obeys; ~all, ?all and nothing leave it open.",
		Fix:   "If the domain sends no mail, publish \"v=spf1 -all\" and nothing else. If it does, name those who send, and take mail as well.",
		After: append([]audit.RuleID{"spf.plus-all"}, spfSoundFirst()...),
		Judge: judgeSPFNeverSends,
	}}
}

// spfFitRules are about how SPF and DMARC go together.
func spfFitRules() []Rule {
	return []Rule{{
		ID: "spf.softfail", Axis: audit.Protection, Since: "0.3.0", Severity: audit.Low, Range: []audit.Severity{audit.Medium, audit.Info},
		Title: "The end of the SPF record, ~all or -all, fits the DMARC policy",
		Refs:  []Ref{{"RFC 9989", "7.1"}, {"RFC 7208", "8.4"}, {"RFC 7208", "G.2"}},
		Why: "What becomes of mail that SPF does not pass is for DMARC to say, which also looks at the signature. ~all leaves it to DMARC, and says little where no DMARC policy asks for more. " +
			"-all makes some receivers refuse at once: a message that was forwarded and is signed is lost before its signature is looked at, and no report tells of it.",
		Fix: "End the record in ~all, sign with DKIM, and let the DMARC policy ask to quarantine or reject once its reports show only senders that you know. " +
			"A domain that sends nothing ends in -all.",
		After: append([]audit.RuleID{"spf.plus-all", "spf.never-sends", "spf.no-verdict"}, spfSoundFirst()...),
		Judge: judgeSPFSoftFail,
	}, {
		ID: "spf.subdomains-exposed", Axis: audit.Protection, Since: "0.3.0", Severity: audit.Info,
		Title: "Subdomains that do not exist are covered by the DMARC policy",
		Refs:  []Ref{{"RFC 7208", "3.5"}, {"RFC 9989", "4.7"}},
		Why: "SPF is not inherited: mail as anything@invoice.DOMAIN is judged by the record of invoice.DOMAIN, and a name that does not exist has none. " +
			"A wildcard record is no remedy: it does not answer for names that have other records or names below them, and it answers for _dmarc and DKIM selectors, where it does not belong. " +
			"What covers such names is the np tag of DMARC (or sp, or p, where it has no np).",
		Fix:   "Add np=reject to the DMARC record of the organisation. Nothing sends from a name that does not exist, unless by mistake.",
		After: []audit.RuleID{"mx.domain-nxdomain"},
		Judge: judgeSPFSubdomains,
	}}
}

func judgeSPFNeverSends(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	_, _, ok = Need(r, domain, s.Facts.MX.Records)
	switch {
	case !ok:
		return
	case !parked(s):
		r.NA(domain, "the domain does not say that it takes no mail")
		return
	case len(s.Scope.SendingIPs) > 0:
		r.NA(domain, "an address is named that sends for the domain")
		return
	}
	end, ok := spfLast(s, r, record)
	if !ok {
		return
	}
	evidence := append(end.evidence, mxEvidence(s)...)
	switch {
	case end.names() || end.qualifier() == '+':
		r.NA(domain, "the record names somebody who sends")
		return
	case end.qualifier() == '-' && !end.holds('~') && !end.holds('?'):
		r.Pass(domain, "the record says that nobody sends as the domain", evidence...)
		return
	}
	const never = "v=spf1 -all"
	fix := audit.Fix{Summary: "if the domain sends no mail, say so", Records: spfInstead(s, record.Text, never)}
	if fix.Records == nil {
		fix.Steps = []string{"if the domain sends no mail: publish TXT \"" + never + "\" in place of its SPF record"}
	}
	r.Fail(domain, Fault{
		Detail:   domain + " takes no mail and its SPF record names no sender, but does not say that nobody sends",
		Evidence: evidence, Fix: fix,
	})
}

func judgeSPFSoftFail(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
	if !ok {
		return
	}
	end, ok := spfLast(s, r, record)
	if !ok {
		return
	}
	domain, q := s.Domain.String(), end.qualifier()
	switch {
	case q == '+':
		r.NA(domain, "the record passes everyone")
		return
	case q == '?' || q == 0:
		r.NA(domain, "the record says nothing of other senders: see spf.no-verdict")
		return
	case q == '-' && !end.names():
		r.Pass(domain, "the record says that nobody sends as the domain", end.evidence...)
		return
	}
	p, present, ok := dmarcApplies(s, r)
	if !ok {
		return
	}
	evidence, dmarc := end.evidence, "no DMARC policy applies"
	steps := []string{"publish a DMARC record that watches (see dmarc.missing), and raise its policy when its reports allow it"}
	if present {
		evidence = append(evidence, p.evidence()...)
		dmarc = "the DMARC policy does not ask to quarantine or reject"
		steps = []string{"raise the DMARC policy when its reports allow it, as the findings about DMARC say"}
	}
	if present && p.enforced() {
		r.Pass(domain, fmt.Sprintf("%call, and the DMARC policy says what becomes of mail that fails", q), evidence...)
		return
	}
	if q == '-' {
		spfHardFail(s, r, end, evidence)
		return
	}
	f := Fault{
		Detail: end.who(s) + " ends in ~all and " + dmarc + ": nobody is asked to keep mail of strangers out", Evidence: evidence,
		Fix: audit.Fix{Summary: "leave ~all, and raise the DMARC policy", Steps: append(steps, "~all stays as it is")},
	}
	if parked(s) && len(s.Scope.SendingIPs) == 0 {
		f.Severity = audit.Medium
		f.Fix.Steps = append([]string{"the domain takes no mail: if it sends none either, replace the record by \"v=spf1 -all\"; the other steps are then not needed"}, f.Fix.Steps...)
	}
	r.Fail(domain, f)
}

// spfHardFail judges -all of a domain that names senders, where no DMARC policy
// is in force.
func spfHardFail(s *audit.Snapshot, r *Report, end spfEnd, evidence []string) {
	domain := s.Domain.String()
	_, _, ok := Need(r, domain, s.Facts.MX.Records)
	if !ok {
		return
	}
	if parked(s) {
		r.Pass(domain, "-all, and the domain takes no mail", evidence...)
		return
	}
	change := "end the record in ~all"
	if end.at != s.Domain.Name() {
		change = "name your senders in a record of your own that ends in ~all, without the redirect"
	}
	r.Fail(domain, Fault{
		Severity: audit.Info,
		Detail:   end.who(s) + " ends in -all: forwarded mail can be refused before DMARC and its signature are looked at",
		Evidence: evidence,
		Fix: audit.Fix{Summary: "know what -all costs", Steps: []string{
			"nothing is wrong where no mail of yours is forwarded by others, or where that mail may be lost",
			"else " + change + ", sign with DKIM, and let the DMARC policy ask for what -all was to do",
		}},
	})
}

// enforced reports whether receivers are asked to quarantine or reject, and not
// only to try it (t=y). The domain has a record in DNS, so it is sp that counts
// of a record further up (RFC 9989 section 4.7).
func (p dmarcPolicy) enforced() bool {
	policy := p.SP
	if p.own {
		policy = p.P
	}
	return p.Usable && !p.Testing && policy.Rank() > audit.PolicyNone.Rank()
}

func judgeSPFSubdomains(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	p, present, ok := dmarcBelow(s, r)
	if !ok {
		return
	}
	if present && p.Usable && p.forMissing().Rank() > audit.PolicyNone.Rank() {
		r.Pass(domain, fmt.Sprintf("receivers are asked to %s mail from subdomains that do not exist and fails", p.forMissing()), p.evidence()...)
		return
	}
	detail := "no DMARC policy covers subdomains of " + domain + " that do not exist, and SPF covers none of them"
	steps := []string{"publish a DMARC record first: see dmarc.missing", "give it np=reject from the start, and p=none until its reports allow more"}
	var evidence []string
	if present {
		evidence = p.evidence()
		steps = []string{
			"look in the DMARC reports for mail of your own from names that do not exist, and give these names records",
			"then add np=reject to the record of " + p.name() + "; p and sp stay as they are",
		}
		detail = "the DMARC policy asks for nothing against mail from subdomains of " + domain + " that do not exist, and SPF covers none of them"
	}
	r.Fail(domain, Fault{Detail: detail, Evidence: evidence, Fix: audit.Fix{Summary: "cover them by np=reject, and not by a wildcard record", Steps: steps}})
}

// forMissing is the policy for subdomains that do not exist; one that is only
// tested counts one level lower (RFC 9989 section 4.7).
func (p dmarcPolicy) forMissing() audit.DMARCPolicy {
	switch {
	case !p.Testing:
		return p.NP
	case p.NP == audit.PolicyReject:
		return audit.PolicyQuarantine
	}
	return audit.PolicyNone
}

// dmarcBelow finds the record that applies to subdomains of the domain that have
// none of their own: that of their organisational domain, else that of a public
// suffix above (RFC 9989 section 4.10.1). The walk of such a name goes by way of
// the domain, whose record does not end it unless it says psd=y or psd=n.
func dmarcBelow(s *audit.Snapshot, r *Report) (p dmarcPolicy, present, ok bool) {
	domain := s.Domain.String()
	if len(s.Facts.DMARC.Walk) == 0 {
		r.Unknown(domain, dmarcNotAsked())
		return p, false, false
	}
	first := s.Facts.DMARC.Walk[0]
	records, _, ok := Need(r, domain, first.Records)
	if !ok {
		return p, false, false
	}
	var found []dmarcPolicy
	if len(records) == 1 {
		found = []dmarcPolicy{{audit.ParseDMARC(records[0]), first.Domain, true, first.Records}}
	}
	if len(found) == 0 || found[0].PSD == "u" {
		above, ok := dmarcRecords(s, r, 1)
		if !ok {
			return p, false, false
		}
		found = append(found, above...)
	}
	if len(found) == 0 {
		return p, false, true
	}
	top := found[len(found)-1]
	if top.PSD != "y" {
		return top, true, true
	}
	organisation := dmarcOrganisation(s, found)
	for _, f := range found {
		if f.at == organisation {
			return f, true, true
		}
	}
	return top, true, true
}
