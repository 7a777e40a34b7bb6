package rules

import (
	"mailaudit/internal/audit"
)

// spfEnd is the record that says what to think of everyone whom no term names:
// the domain's own, or the one in which a chain of redirects ends (RFC 7208
// sections 4.7 and 6.1).
type spfEnd struct {
	at       audit.DNSName
	record   audit.SPFRecord
	named    []audit.SPFTerm // the mechanisms of the whole chain in front of that, in the order of evaluation
	evidence []string
}

// qualifier is that of the all that ends the record, 0 where there is none.
func (e spfEnd) qualifier() byte {
	i := e.record.All()
	if i < 0 {
		return 0
	}
	return e.record.Terms[i].Qualifier
}

// who is that record as the beginning of a sentence.
func (e spfEnd) who(s *audit.Snapshot) string {
	if e.at == s.Domain.Name() {
		return "the SPF record"
	}
	return "the SPF record of " + e.at.String() + ", in which the redirect ends,"
}

// names reports whether a mechanism of the chain can pass somebody.
func (e spfEnd) names() bool { return e.holds('+') }

// holds reports whether a mechanism of the chain, all apart, has the qualifier.
func (e spfEnd) holds(qualifier byte) bool {
	for _, t := range e.named {
		if t.Qualifier == qualifier {
			return true
		}
	}
	return false
}

// spfLast follows the redirects from the record of the domain. ok is false
// where they lead to nothing that decides, or to what is not known; then it has
// said for the rule what is to be said.
func spfLast(s *audit.Snapshot, r *Report, own audit.SPFRecord) (end spfEnd, ok bool) {
	domain, root := s.Domain.String(), string(s.Domain.Name())
	end = spfEnd{at: s.Domain.Name(), record: own, evidence: txtEvidence(s.Facts.SPF.Records)}
	came := map[audit.DNSName]bool{}
	for {
		if came[end.at] {
			r.NA(domain, "the redirects lead in a circle")
			return end, false
		}
		came[end.at] = true
		var redirect audit.SPFTerm
		for _, t := range end.record.Reached() {
			switch {
			case t.Modifier:
				redirect = t
			case !t.IsAll():
				end.named = append(end.named, t)
			}
		}
		if !redirect.Modifier {
			return end, true
		}
		target, fixed := redirect.StaticTarget(string(end.at), root)
		name, isName := audit.WireName(target)
		switch {
		case !fixed:
			r.NA(domain, "the record that the redirect leads to depends on who sends")
			return end, false
		case !isName:
			r.NA(domain, "the redirect leads to no name that can exist")
			return end, false
		}
		o := spfBelow(s, name).Records
		records, _, ok := Need(r, domain, o)
		if !ok {
			return end, false
		}
		if len(records) != 1 {
			r.NA(domain, "the redirect leads to no record that receivers can use, at "+name.String())
			return end, false
		}
		end.at, end.record, end.evidence = name, audit.ParseSPF(records[0]), append(end.evidence, txtEvidence(o)...)
		if len(end.record.Faults) > 0 {
			r.NA(domain, "the redirect leads to a record with a term that cannot be read, at "+name.String())
			return end, false
		}
	}
}

// spfBelow is what is known of a name that the policy leads to; of one that was
// not asked for, that.
func spfBelow(s *audit.Snapshot, name audit.DNSName) audit.SPFBelow {
	if name == s.Domain.Name() { // a redirect that leads back
		return audit.SPFBelow{Name: name, Records: s.Facts.SPF.Records}
	}
	for _, b := range s.Facts.SPF.Below {
		if b.Name == name {
			return b
		}
	}
	return audit.SPFBelow{Name: name}
}
