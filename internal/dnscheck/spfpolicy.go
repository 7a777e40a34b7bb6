package dnscheck

import (
	"context"

	"mailaudit/internal/audit"
)

// Limits of a survey. It goes on past the ten lookups of RFC 7208 section 4.6.4,
// so that it is seen what is behind them; the largest policies that people
// publish have some thirty records.
const (
	spfMaxRecords = 40 // records of includes and redirects, level by level
	spfMaxTargets = 40 // names of a, mx and exists
	spfMaxHosts   = 40 // mail servers of all mx together
	// spfMaxOctets bounds what these records hold together: one message of DNS has
	// room for 32,000 terms, and forty such records would be gigabytes of tree. The
	// largest records that work for receivers have some 4,000 octets.
	spfMaxOctets = 128 << 10
)

// SPFMaxQuestions is how many questions a survey asks at most, aliases not
// counted: for each record one, for each target and each host one of each
// family.
const SPFMaxQuestions = spfMaxRecords + 2*spfMaxTargets + 2*spfMaxHosts

// SPFPolicy surveys the whole policy of a domain, whoever sends. It takes 20
// seconds and SPFMaxQuestions questions at most, whatever is published, and
// never fails: what was not answered or not asked is marked so in the tree.
func SPFPolicy(ctx context.Context, a Asker, domain audit.DNSName) audit.SPFPolicy {
	s, end := newSPFSurvey(ctx, a, domain)
	defer end()
	s.follow(s.root)
	known := s.facts().Known(domain)
	for name, source := range known.Records {
		if answer := s.answers[name]; answer != nil {
			source.TTL = answer.TTL
			known.Records[name] = source
		}
	}
	for ask, found := range known.Found {
		found.TTL = s.ttls[ask]
		known.Found[ask] = found
	}
	known.Questions = len(s.ask.known)
	return audit.NewSPFPolicy(s.root, known)
}
