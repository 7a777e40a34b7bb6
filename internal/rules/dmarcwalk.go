package rules

import (
	"strings"

	"mailaudit/internal/audit"
)

// This file finds the DMARC record that applies to the domain in what the tree
// walk brought (RFC 9989 section 4.10). The facts hold every name of the walk;
// where a receiver's walk would have stopped is decided here.

// dmarcPolicy is a record of the walk, and where it stands.
type dmarcPolicy struct {
	audit.DMARCRecord
	at  audit.DNSName // without the _dmarc label
	own bool          // it stands at the domain itself
	via audit.Obs[[]audit.Raw]
}

func (p dmarcPolicy) name() string       { return "_dmarc." + p.at.FQDN() }
func (p dmarcPolicy) evidence() []string { return txtEvidence(p.via) }

// dmarcRecords are the records that the walk collects from the step number
// from on: names with one record; it ends at one that says psd=y or psd=n
// (RFC 9989 section 4.10). ok is false when a step that the walk comes by is
// unknown, which has then been said for the rule.
func dmarcRecords(s *audit.Snapshot, r *Report, from int) (found []dmarcPolicy, ok bool) {
	for i, step := range s.Facts.DMARC.Walk {
		if i < from {
			continue
		}
		records, _, ok := Need(r, s.Domain.String(), step.Records)
		if !ok {
			return nil, false
		}
		if len(records) != 1 {
			continue // none, or several, which count as none
		}
		p := dmarcPolicy{audit.ParseDMARC(records[0]), step.Domain, i == 0, step.Records}
		found = append(found, p)
		if i == 0 || p.PSD != "u" {
			break // a record of the domain's own wins, whatever stands above
		}
	}
	return found, true
}

func dmarcNotAsked() audit.Reason {
	return audit.Reason{Code: audit.NotAsked, Text: "this run did not ask for DMARC records"}
}

// dmarcOrganisation is the organisational domain (RFC 9989 section 4.10.2):
// the name that says psd=n; the one below a name that says psd=y; else that of
// the record nearest to the root. found is what lies above the domain.
func dmarcOrganisation(s *audit.Snapshot, found []dmarcPolicy) audit.DNSName {
	if len(found) == 0 {
		return s.Domain.Name()
	}
	top := found[len(found)-1]
	if top.PSD != "y" {
		return top.at
	}
	labels := strings.Split(s.Domain.String(), ".")
	below := len(labels) - strings.Count(string(top.at), ".") - 2
	return audit.DNSName(strings.Join(labels[max(0, below):], "."))
}

// dmarcApplies finds the record that applies to the domain (RFC 9989 section
// 4.10.1): its own, else that of its organisational domain, else that of the
// public suffix above. ok is false when that is not known, which has then been
// said for the rule.
func dmarcApplies(s *audit.Snapshot, r *Report) (p dmarcPolicy, present, ok bool) {
	if len(s.Facts.DMARC.Walk) == 0 {
		r.Unknown(s.Domain.String(), dmarcNotAsked())
		return p, false, false
	}
	found, ok := dmarcRecords(s, r, 0)
	if !ok || len(found) == 0 {
		return p, false, ok
	}
	organisation := dmarcOrganisation(s, found)
	for _, f := range found {
		if f.own || f.at == organisation {
			return f, true, true
		}
	}
	top := found[len(found)-1]
	return top, top.PSD == "y", true
}

// dmarcUsable is dmarcApplies for rules that judge what a record says.
func dmarcUsable(s *audit.Snapshot, r *Report) (dmarcPolicy, bool) {
	p, present, ok := dmarcApplies(s, r)
	switch {
	case !ok:
		return p, false
	case !present:
		r.NA(s.Domain.String(), "no DMARC record applies to the domain")
	case !p.Usable:
		r.NA(s.Domain.String(), "the DMARC record does not count: see dmarc.invalid")
	}
	return p, present && p.Usable
}

// written is the policy that the record has for failing mail of the domain,
// and the tag that it comes from: p in a record of its own, sp in one further
// up, np there for a domain that does not exist (RFC 9989 section 4.7).
func (p dmarcPolicy) written(s *audit.Snapshot) (policy audit.DMARCPolicy, tag string) {
	switch {
	case p.own:
		return p.P, "p"
	case s.Facts.MX.Exists.State == audit.Absent:
		return p.NP, "np"
	}
	return p.SP, "sp"
}

// asked is what receivers are asked to do: a policy that is only tested (t=y)
// counts one level lower than it is written (RFC 9989 section 4.7).
func (p dmarcPolicy) asked(s *audit.Snapshot) audit.DMARCPolicy {
	policy, _ := p.written(s)
	switch {
	case !p.Testing:
		return policy
	case policy == audit.PolicyReject:
		return audit.PolicyQuarantine
	}
	return audit.PolicyNone
}
