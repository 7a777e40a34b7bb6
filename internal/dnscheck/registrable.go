package dnscheck

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// Registrable is the domain that somebody has registered of a name: a label
// below the public suffix (https://publicsuffix.org/). ok is false for what has
// none: a public suffix itself, an address, or a name whose labels hold what no
// registry lets in.
func Registrable(name audit.DNSName) (domain audit.DNSName, ok bool) {
	plain := strings.ToLower(strings.TrimSuffix(string(name), "."))
	_, err := netip.ParseAddr(plain)
	if err == nil || strings.HasPrefix(plain, "[") {
		return "", false
	}
	registered, err := publicsuffix.EffectiveTLDPlusOne(plain)
	return audit.DNSName(registered), err == nil && !strings.Contains(registered, `\`)
}

// missing is the name that does not exist, where an answer says so: the one
// that was asked for, or the last target of its aliases (RFC 6604).
func missing(name audit.DNSName, answer *resolve.Answer) (audit.DNSName, bool) {
	if answer == nil || answer.State != audit.Absent || answer.Why.Code != audit.NXDomain {
		return "", false
	}
	if n := len(answer.Chain); n > 0 {
		return answer.Chain[n-1], true
	}
	return name, true
}

// spfOwnership are the questions that tell whether somebody has the domain of a
// name that does not exist.
func spfOwnership(name audit.DNSName) (domain audit.DNSName, questions []spfQuestion) {
	domain, ok := Registrable(name)
	if !ok {
		return "", nil
	}
	if domain != name { // else its own answer has said it
		questions = append(questions, spfQuestion{domain, dns.TypeNS})
	}
	top, listed := topLevel(domain)
	if !listed {
		questions = append(questions, spfQuestion{top, dns.TypeNS})
	}
	return domain, questions
}

// topLevel is the top-level domain of a name, and whether it is in the list of
// public suffixes. Nobody can register anything below one that does not exist.
func topLevel(name audit.DNSName) (top audit.DNSName, listed bool) {
	suffix, managed := publicsuffix.PublicSuffix(string(name))
	return name[strings.LastIndexByte(string(name), '.')+1:], managed || strings.Contains(suffix, ".")
}

// startRegistrable asks who has the domain of a name that does not exist.
func (s *spfSurvey) startRegistrable(name audit.DNSName, answer *resolve.Answer) {
	gone, ok := missing(name, answer)
	if !ok {
		return
	}
	_, questions := spfOwnership(gone)
	for _, q := range questions {
		s.ask.start(q, false)
	}
}

// registrable says whether somebody has the domain of a name that does not
// exist.
func (s *spfSurvey) registrable(b *audit.SPFBelow) {
	answer := s.answers[b.Name]
	gone, ok := missing(b.Name, answer)
	if !ok {
		return
	}
	domain, questions := spfOwnership(gone)
	if domain == "" {
		b.Registered = audit.NA[audit.Nothing]("nobody can register " + gone.String())
		return
	}
	b.Registrable = domain
	via := answer.Via()
	for _, q := range questions {
		a := s.ask.need(q.name, q.qtype)
		nowhere := a.State == audit.Absent && a.Why.Code == audit.NXDomain && len(a.Chain) == 0
		switch {
		case a.State == audit.Unknown:
			b.Registered = audit.Dark[audit.Nothing](a.Why, a.Via())
			return
		case q.name == domain && !nowhere:
			b.Registered = audit.See(audit.Nothing{}, a.Via())
			return
		case q.name == domain:
			via = a.Via()
		case nowhere:
			b.Registered, b.Registrable = audit.NA[audit.Nothing]("there is no top-level domain "+q.name.String()), ""
			return
		}
	}
	b.Registered = audit.None[audit.Nothing](audit.NXDomain, domain.String()+" does not exist", via)
}
