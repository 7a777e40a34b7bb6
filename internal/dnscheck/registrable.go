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
	if err != nil || strings.Contains(registered, `\`) {
		return "", false
	}
	labels := dns.SplitDomainName(plain) // at the dots that are not escaped
	same := strings.Join(labels[max(0, len(labels)-1-strings.Count(registered, ".")):], ".") == registered
	return audit.DNSName(registered), same
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

// spfOwner is what has to be known to say whether anybody can have a name that
// does not exist.
type spfOwner struct {
	domain audit.DNSName // that would be registered
	// above is what decides besides it: the top-level domain where the list of
	// public suffixes does not know it, or the domain that is registered where the
	// suffix is one whose owner gives names away (github.io). Empty: the suffix is
	// a registry's.
	above   audit.DNSName
	private bool // above is such an owner's
}

// ownerOf is empty for a name that nobody can register.
func ownerOf(name audit.DNSName) spfOwner {
	domain, ok := Registrable(name)
	if !ok {
		return spfOwner{}
	}
	suffix, managed := publicsuffix.PublicSuffix(string(domain))
	o := spfOwner{domain: domain}
	switch {
	case managed:
	case !strings.Contains(suffix, "."):
		o.above = audit.DNSName(suffix)
	default:
		o.above, o.private = audit.DNSName(suffix), true
		for up := suffix; strings.Contains(up, "."); {
			o.above = audit.DNSName(up)
			_, up, _ = strings.Cut(up, ".")
			public, managed := publicsuffix.PublicSuffix(up)
			if managed && public == up {
				break
			}
		}
	}
	return o
}

// questions are those that tell whether somebody has the domain. It is asked for
// even where it is the name that does not exist: what counts for so much is not
// said after one answer.
func (o spfOwner) questions() []spfQuestion {
	var out []spfQuestion
	for _, name := range []audit.DNSName{o.domain, o.above} {
		if name != "" {
			out = append(out, spfQuestion{name, dns.TypeNS})
		}
	}
	return out
}

// startRegistrable asks who has the domain of a name that does not exist.
func (s *spfSurvey) startRegistrable(name audit.DNSName, answer *resolve.Answer) {
	gone, ok := missing(name, answer)
	if !ok {
		return
	}
	for _, q := range ownerOf(gone).questions() {
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
	o := ownerOf(gone)
	if o.domain == "" {
		b.Registered = audit.NA[audit.Nothing]("nobody can register " + gone.String())
		return
	}
	b.Registrable = o.domain
	own := s.ask.need(o.domain, dns.TypeNS)
	switch {
	case own.State == audit.Unknown:
		b.Registered = audit.Dark[audit.Nothing](own.Why, own.Via())
	case !nowhere(own, o.domain), isZone(answer, o.domain):
		b.Registered = audit.See(audit.Nothing{}, own.Via())
	case o.above == "":
		b.Registered = audit.None[audit.Nothing](audit.NXDomain, o.domain.String()+" does not exist", own.Via())
	default:
		s.registrableAbove(b, o)
	}
}

// registrableAbove is the same where it is not the registry alone that decides.
func (s *spfSurvey) registrableAbove(b *audit.SPFBelow, o spfOwner) {
	above := s.ask.need(o.above, dns.TypeNS)
	gone := nowhere(above, o.above)
	switch {
	case above.State == audit.Unknown:
		b.Registered = audit.Dark[audit.Nothing](above.Why, above.Via())
	case gone && o.private:
		b.Registrable = o.above
		b.Registered = audit.None[audit.Nothing](audit.NXDomain, o.above.String()+" does not exist", above.Via())
	case gone:
		b.Registered, b.Registrable = audit.NA[audit.Nothing]("there is no top-level domain "+o.above.String()), ""
	case o.private: // of some, customers get a zone; of most, an address
		b.Registered = audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: "who can publish records below " + o.above.String() + " is for its owner to say"}, above.Via())
	default: // a new one, or one that our own resolver alone knows (RFC 6303, RFC 6761)
		b.Registered = audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: "the top-level domain " + o.above.String() + " is in no list of public suffixes: it may be nobody's to register in"}, above.Via())
	}
}

// nowhere reports whether an answer says that a domain does not exist. One that
// comes from a zone of the domain's own contradicts itself.
func nowhere(a *resolve.Answer, domain audit.DNSName) bool {
	return a.State == audit.Absent && a.Why.Code == audit.NXDomain && len(a.Chain) == 0 && !isZone(a, domain)
}

// isZone reports whether an answer comes from a zone at a domain or below it,
// which then exists, whatever its servers say of names.
func isZone(a *resolve.Answer, domain audit.DNSName) bool {
	return a.Zone != "" && within(a.Zone, domain)
}
