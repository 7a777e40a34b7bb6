package rules

import (
	"fmt"

	"mailaudit/internal/audit"
)

// dmarcRules judge what receivers are asked to do with mail that fails (RFC 9989).
func dmarcRules() []Rule {
	moot := []audit.RuleID{"dmarc.several", "dmarc.invalid", "dmarc.missing"}
	return []Rule{{
		ID: "dmarc.several", Axis: audit.Protection, Since: "0.1.0", Severity: audit.High,
		Title: "There is one DMARC record at a name",
		Refs:  []Ref{{"RFC 9989", "4.10"}},
		Why: "Receivers that find several DMARC records at a name use none of them. The policy that the owner believes to have " +
			"does not exist.",
		Fix:   "Keep one record. Several report addresses go into one rua tag, separated by commas.",
		After: []audit.RuleID{"mx.domain-nxdomain"},
		Judge: judgeDMARCSeveral,
	}, {
		ID: "dmarc.invalid", Axis: audit.Protection, Since: "0.1.0", Severity: audit.High,
		Title: "The DMARC record counts: its policy is none, quarantine or reject",
		Refs:  []Ref{{"RFC 9989", "4.7"}, {"RFC 9989", "4.10.1"}},
		Why: "A record without a policy that receivers know, and without a report address, is treated as if it were not there. " +
			"The usual causes are a misspelt word and commas in place of semicolons.",
		Fix:   "Write the record as v=DMARC1; p=none; rua=mailto:ADDRESS (p is none, quarantine or reject).",
		After: []audit.RuleID{"mx.domain-nxdomain", "dmarc.several"},
		Judge: judgeDMARCInvalid,
	}, {
		ID: "dmarc.missing", Axis: audit.Protection, Since: "0.1.0", Severity: audit.High,
		Title: "A DMARC policy applies to the domain",
		Refs:  []Ref{{"RFC 9989", "4.10.1"}, {"Google email sender guidelines", "https://support.google.com/a/answer/81126"}},
		Why: "Without DMARC anyone can write the domain into the From line that readers see, whatever SPF and DKIM say. " +
			"Gmail, Yahoo and Outlook.com also demand a DMARC record of everyone who sends in bulk. " +
			"The record of a parent domain counts as well.",
		Fix:   "Publish a DMARC record that only watches, v=DMARC1; p=none with a rua address, and read the reports before asking for more.",
		After: []audit.RuleID{"mx.domain-nxdomain", "dmarc.several", "dmarc.invalid"},
		Judge: judgeDMARCMissing,
	}, {
		ID: "dmarc.p-none", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Medium,
		Title: "Receivers are asked to quarantine or reject mail that fails DMARC",
		Refs:  []Ref{{"RFC 9989", "4.7"}, {"RFC 9989", "7.4"}},
		Why: "p=none only watches: forged mail is delivered as before. It is the right first step, not a fault; what costs protection " +
			"is to stop there. A policy raised too early loses mail of your own, so the reports come first.",
		Fix: "Read the aggregate reports for about four weeks until every sender that you know passes, then ask for quarantine, " +
			"and after as long again for reject. Domains whose people post to mailing lists are best left at quarantine.",
		After: append([]audit.RuleID{"mx.domain-nxdomain"}, moot...),
		Judge: judgeDMARCNone,
	}, {
		ID: "dmarc.no-rua", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Low, Range: []audit.Severity{audit.Medium},
		Title: "Somebody receives the DMARC aggregate reports",
		Refs:  []Ref{{"RFC 9989", "4.7"}, {"RFC 9990", "3"}},
		Why: "The reports are the only way to see who sends as the domain and whose mail fails. Without them p=none watches " +
			"with closed eyes, and under a stricter policy nobody notices that mail of your own is refused.",
		Fix:   "Add rua=mailto: with an address whose mail is read or fed into a report reader.",
		After: append([]audit.RuleID{"mx.domain-nxdomain"}, moot...),
		Judge: judgeDMARCReports,
	}, {
		ID: "dmarc.subdomains-weaker", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Medium,
		Title: "Subdomains are protected as well as the domain itself",
		Refs:  []Ref{{"RFC 9989", "4.7"}},
		Why: "sp is the policy for subdomains, np that for subdomains that do not exist. Where they ask for less than p, " +
			"forgers write mail.DOMAIN or invoice.DOMAIN in place of DOMAIN, and readers see no difference.",
		Fix:   "When the reports show no failing mail of your own from subdomains, take sp and np away: p then holds for all.",
		After: append([]audit.RuleID{"mx.domain-nxdomain"}, moot...),
		Judge: judgeDMARCSubdomains,
	}}
}

func judgeDMARCSeveral(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	if len(s.Facts.DMARC.Walk) == 0 {
		r.Unknown(domain, dmarcNotAsked())
		return
	}
	var seen []string
	for i, step := range s.Facts.DMARC.Walk { // as in dmarcRecords
		records, _, ok := Need(r, domain, step.Records)
		if !ok {
			return
		}
		if len(records) > 1 {
			r.Fail(domain, Fault{
				Detail:   fmt.Sprintf("_dmarc.%s holds %d DMARC records; receivers use none of them", step.Domain, len(records)),
				Evidence: txtEvidence(step.Records),
				Fix: audit.Fix{Summary: "keep one record", Steps: []string{
					"decide which of the records of _dmarc." + step.Domain.String() + " is meant to apply, and remove the others",
					"put the report addresses of all of them into its rua tag, separated by commas",
				}},
			})
			return
		}
		if len(records) == 1 {
			seen = append(seen, txtEvidence(step.Records)...)
			if i == 0 || audit.ParseDMARC(records[0]).PSD != "u" {
				break
			}
		}
	}
	if len(seen) == 0 {
		r.NA(domain, "no DMARC record applies to the domain")
		return
	}
	r.Pass(domain, "no name holds more than one DMARC record", seen...)
}

func judgeDMARCInvalid(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	p, present, ok := dmarcApplies(s, r)
	switch {
	case !ok:
		return
	case !present:
		r.NA(domain, "no DMARC record applies to the domain")
		return
	case p.Usable:
		r.Pass(domain, "the record of "+p.name()+" counts", p.evidence()...)
		return
	}
	why := "has no p tag with a policy"
	if p.Written != "" {
		why = "has an sp or np tag that is no policy"
	}
	r.Fail(domain, Fault{
		Detail:   "the record of " + p.name() + " " + why + ", and no report address, so receivers treat it as if it were not there",
		Evidence: p.evidence(),
		Fix: audit.Fix{Summary: "write the policy correctly", Steps: []string{
			"look for misspelt words and for commas in place of semicolons in the TXT record of " + p.name(),
			"publish it as v=DMARC1; p=none; rua=mailto:ADDRESS, with quarantine or reject in place of none where that was meant",
		}},
	})
}

func judgeDMARCMissing(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	p, present, ok := dmarcApplies(s, r)
	switch {
	case !ok:
		return
	case present && !p.Usable:
		r.NA(domain, "the DMARC record does not count: see dmarc.invalid")
		return
	case present:
		r.Pass(domain, "the record of "+p.name()+" applies", p.evidence()...)
		return
	}
	var evidence []string
	for _, step := range s.Facts.DMARC.Walk {
		evidence = append(evidence, txtEvidence(step.Records)...)
	}
	// No record is proposed: the best first one needs an address that nobody
	// knows from outside, and one without it would be the next finding.
	steps := []string{
		"choose an address that is to receive the reports (they come daily, as XML: a report reader helps)",
		"publish at _dmarc." + s.Domain.Name().FQDN() + " TXT \"v=DMARC1; p=none; rua=mailto:ADDRESS\"; it changes nothing for mail that is delivered today",
		"raise p when the reports show only senders that you know",
	}
	if parked(s) {
		steps[2] = "the domain takes no mail: if it sends none either, p=reject is right from the start"
	}
	r.Fail(domain, Fault{
		Detail: "no DMARC policy applies to " + domain, Evidence: evidence,
		Fix: audit.Fix{Summary: "publish a DMARC record that watches", Steps: steps},
	})
}

func judgeDMARCNone(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	p, ok := dmarcUsable(s, r)
	if !ok {
		return
	}
	if !p.own && p.SP != p.NP {
		_, _, ok = Need(r, domain, s.Facts.MX.Exists) // which of the two applies
		if !ok {
			return
		}
	}
	if policy := p.asked(s); policy != audit.PolicyNone {
		r.Pass(domain, fmt.Sprintf("receivers are asked to %s mail that fails", policy), p.evidence()...)
		return
	}
	written, tag := p.written(s)
	detail := "the policy for " + domain + " is none: failing mail is delivered as before"
	switch {
	case p.Written == "":
		detail = "the record has no p tag with a policy, so receivers take it for p=none"
	case p.Written != p.P:
		detail = fmt.Sprintf("the record has p=%s, but an sp or np tag that is no policy, so receivers take it for p=none", p.Written)
	case written != audit.PolicyNone:
		detail = "with t=y the policy is only tested, and counts as none"
	case !p.own:
		detail = fmt.Sprintf("the policy that %s has for subdomains (%s) is none: failing mail is delivered as before", p.at, tag)
	}
	r.Fail(domain, Fault{Detail: detail, Evidence: p.evidence(), Fix: dmarcRaise(s, p)})
}

// dmarcRaise is the way from watching to protection. It never names a policy
// to publish at once, except to those who send nothing.
func dmarcRaise(s *audit.Snapshot, p dmarcPolicy) audit.Fix {
	fix := audit.Fix{Summary: "raise the policy when the reports allow it"}
	if parked(s) {
		fix.Steps = append(fix.Steps, "the domain takes no mail: if it sends none either, publish p=reject; the other steps are then not needed")
	}
	if len(p.RUA) == 0 {
		fix.Steps = append(fix.Steps, "add rua=mailto:ADDRESS to the record of "+p.name()+", so that reports come")
	}
	fix.Steps = append(fix.Steps,
		"read the reports for about four weeks, until every sender that you know passes SPF or DKIM under your domain",
		"then ask for p=quarantine, and after as long again for p=reject, unless people of the domain post to mailing lists",
	)
	if p.Testing {
		fix.Steps = append(fix.Steps, "take t=y away")
	}
	if !p.own {
		fix.Steps = append(fix.Steps, "set it as sp at "+p.name()+", or for this domain alone as p in a record at _dmarc."+s.Domain.Name().FQDN())
	}
	return fix
}

func judgeDMARCReports(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	p, ok := dmarcUsable(s, r)
	if !ok {
		return
	}
	if len(p.RUA) > 0 {
		var addresses []audit.Raw
		for _, a := range p.RUA {
			addresses = append(addresses, audit.Raw(a))
		}
		r.Pass(domain, "reports go to "+list(addresses), p.evidence()...)
		return
	}
	severity := audit.Low
	if p.asked(s) == audit.PolicyNone {
		severity = audit.Medium // it watches, and nobody looks
	}
	r.Fail(domain, Fault{
		Severity: severity,
		Detail:   "the record of " + p.name() + " names no address for reports",
		Evidence: p.evidence(),
		Fix: audit.Fix{Summary: "have the reports sent to you", Steps: []string{
			"choose an address that is to receive the reports (they come daily, as XML: a report reader helps)",
			"add rua=mailto:ADDRESS to the record of " + p.name(),
			"if the address lies in another organisation's domain, that domain must consent (RFC 9990 4); report services do so by themselves",
		}},
	})
}

func judgeDMARCSubdomains(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	p, ok := dmarcUsable(s, r)
	if !ok {
		return
	}
	weaker := func(q audit.DMARCPolicy) bool { return q.Rank() < p.P.Rank() }
	switch {
	case !p.own:
		r.NA(domain, "the policy is that of "+p.at.String()+", and for its owner to judge")
		return
	case p.P == audit.PolicyNone:
		r.NA(domain, "no policy is weaker than p=none")
		return
	case !weaker(p.SP) && !weaker(p.NP):
		r.Pass(domain, "subdomains have the policy of the domain, or a stricter one", p.evidence()...)
		return
	}
	if p.PSD == "u" { // else the walk ends here, and the tags count
		above, ok := dmarcRecords(s, r, 1)
		if !ok {
			return
		}
		if organisation := dmarcOrganisation(s, above); organisation != s.Domain.Name() {
			r.NA(domain, "sp and np count only in the record of the organisational domain, "+organisation.String())
			return
		}
	}
	detail := fmt.Sprintf("subdomains have the policy %s (sp), the domain itself has %s", p.SP, p.P)
	if !weaker(p.SP) {
		detail = fmt.Sprintf("subdomains that do not exist have the policy %s (np), the domain itself has %s", p.NP, p.P)
	}
	r.Fail(domain, Fault{
		Detail: detail, Evidence: p.evidence(),
		Fix: audit.Fix{Summary: "protect the subdomains", Steps: []string{
			"look in the reports for failing mail of your own from subdomains, and repair it or give that subdomain a record of its own",
			"then take sp and np out of the record of " + p.name() + ": p holds for subdomains as well",
		}},
	})
}
