package rules

import (
	"fmt"

	"mailaudit/internal/audit"
)

// The sizes of answers that matter: what fits a UDP packet without EDNS (RFC
// 1035 section 4.2.1), and what fits one that no network splits (the buffer size
// that DNS software agreed on for the flag day of 2020).
const (
	plainUDP = 512
	safeUDP  = 1232
)

// spfLeftoverRules are about what stands around the record.
func spfLeftoverRules() []Rule {
	return []Rule{{
		ID: "spf.answer-large", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Low, Range: []audit.Severity{audit.Info},
		Title: "The DNS answer with the SPF record fits a UDP packet",
		Refs:  []Ref{{"RFC 7208", "3.4"}, {"RFC 1035", "4.2.1"}, {"DNS flag day 2020", "https://www.dnsflagday.net/2020/"}},
		Why: "Receivers get all TXT records of the domain in one answer. Above 1232 octets most resolvers have to ask again over TCP, which firewalls like to block; then SPF ends in a temporary error. " +
			"Above 512 octets it takes EDNS, which nearly everybody has.",
		Fix:   "Take TXT records away that nobody reads any more: most are tokens that a service wanted to see once. Keep the SPF record short.",
		After: []audit.RuleID{"spf.missing"},
		Judge: judgeSPFAnswer,
	}, {
		ID: "spf.alias", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "The SPF record is the domain's own, and not that of a name that it is an alias of",
		Refs:  []Ref{{"RFC 1034", "3.6.2"}, {"RFC 7208", "4.4"}},
		Why: "A name with a CNAME has no records of its own: receivers get the SPF record of the name behind it. Whoever runs that name says who sends as this domain, " +
			"and no other record can be published while the CNAME is there.",
		Fix:   "Leave it where the name behind it is yours and sends the same mail. Else replace the CNAME by address records, and publish an SPF record beside them.",
		After: []audit.RuleID{"spf.missing"},
		Judge: judgeSPFAlias,
	}, {
		ID: "spf.type99", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "No record of the old type SPF is left over",
		Refs:  []Ref{{"RFC 7208", "3.1"}, {"RFC 6686", "6"}},
		Why:   "SPF once had a record type of its own, number 99. Nobody asks for it any more, and whoever changes the one record and not the other is misled by what he sees.",
		Fix:   "Take the records of type SPF away; the TXT record is what counts.",
		Judge: func(s *audit.Snapshot, r *Report) {
			judgeSPFLeftover(s, r, s.Facts.SPF.Type99, leftover{
				none: "no record of type SPF", some: "a record of type SPF (99), which nobody asks for", what: "the record of type SPF",
			})
		},
	}, {
		ID: "spf.sender-id", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "No record of Sender ID is left over",
		Refs:  []Ref{{"RFC 6686", "6"}, {"RFC 4406", "3.1"}},
		Why:   "Sender ID (spf2.0/...) was an experiment that ended long ago. Nobody reads its records; they make the DNS answer longer, and people who look at them think that they do something.",
		Fix:   "Take the record away. What it names must stand in the SPF record, as far as it still sends.",
		Judge: func(s *audit.Snapshot, r *Report) {
			judgeSPFLeftover(s, r, s.Facts.SPF.SenderID, leftover{
				none: "no record of Sender ID", some: "a record of Sender ID, which nobody reads", what: "the TXT record that begins with spf2.0",
			})
		},
	}}
}

func judgeSPFAnswer(s *audit.Snapshot, r *Report) {
	domain, o := s.Domain.String(), s.Facts.SPF.Answer
	_, published, ok := Need(r, domain, s.Facts.SPF.Records)
	if !ok {
		return
	}
	if !published {
		r.NA(domain, "the domain publishes no SPF record")
		return
	}
	a, present, ok := Need(r, domain, o)
	switch {
	case !ok:
		return
	case !present:
		r.NA(domain, "there is no answer to measure")
		return
	}
	size := fmt.Sprintf("the answer with the TXT records of %s has %d octets", domain, a.Octets)
	evidence := []string{Seen(o.Via, fmt.Sprintf("%d octets; TXT records beside SPF: %d", a.Octets, a.Others))}
	if a.Octets <= plainUDP {
		r.Pass(domain, size, evidence...)
		return
	}
	f := Fault{
		Severity: audit.Info, Evidence: evidence,
		Detail: fmt.Sprintf("%s, more than the %d that fit a UDP packet without EDNS", size, plainUDP),
		Fix: audit.Fix{Summary: "shorten the answer", Steps: []string{
			"take TXT records away whose service is no longer used, or that it needed only once",
			"move records of other services to names of their own where these services allow it",
		}},
	}
	if a.Octets > safeUDP {
		f.Severity = audit.Low
		f.Detail = fmt.Sprintf("%s, more than the %d that resolvers take over UDP", size, safeUDP)
	}
	switch a.Others {
	case 0:
		f.Fix.Steps = []string{"shorten the SPF record: take senders out that send no longer, and let others send with names of their own below " + domain}
	case 1:
		f.Detail += "; one TXT record stands beside the SPF record"
	default:
		f.Detail += fmt.Sprintf("; %d TXT records stand beside the SPF record", a.Others)
	}
	r.Fail(domain, f)
}

func judgeSPFAlias(s *audit.Snapshot, r *Report) {
	domain, o := s.Domain.String(), s.Facts.SPF.Alias
	_, published, ok := Need(r, domain, s.Facts.SPF.Records)
	if !ok {
		return
	}
	if !published {
		r.NA(domain, "the domain publishes no SPF record")
		return
	}
	targets, present, ok := Need(r, domain, o)
	if !ok {
		return
	}
	if !present || len(targets) == 0 {
		r.Pass(domain, "the domain is no alias")
		return
	}
	last := targets[len(targets)-1]
	r.Fail(domain, Fault{
		Detail:   fmt.Sprintf("%s is an alias, so its SPF record is that of %s", domain, last),
		Evidence: []string{Seen(o.Via, texts(targets)...)},
		Fix: audit.Fix{Summary: "know whose record it is", Steps: []string{
			"if " + last.String() + " is yours and the same servers send for both: nothing",
			"else replace the CNAME at " + s.Domain.Name().FQDN() + " by A and AAAA records, and publish an SPF record beside them",
		}},
	})
}

// leftover is what to say of records that nobody reads.
type leftover struct {
	none, some, what string
}

func judgeSPFLeftover(s *audit.Snapshot, r *Report, o audit.Obs[[]audit.Raw], say leftover) {
	domain := s.Domain.String()
	records, present, ok := Need(r, domain, o)
	if !ok {
		return
	}
	if !present || len(records) == 0 {
		r.Pass(domain, say.none, txtEvidence(o)...)
		return
	}
	r.Fail(domain, Fault{
		Detail: domain + " has " + say.some, Evidence: txtEvidence(o),
		Fix: audit.Fix{Summary: "take it away", Steps: []string{
			"check that the SPF record, of type TXT, names what still sends",
			"take " + say.what + " away",
		}},
	})
}
