package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// spfSenderRules are about what SPF says of those who are known to send, or were
// once.
func spfSenderRules() []Rule {
	return []Rule{{
		ID: "spf.sender-fails", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.High,
		Title: "Every address known to send passes SPF",
		Refs: []Ref{{"RFC 7208", "2.6"}, {"RFC 7208", "10.1.2"},
			{"Google email sender guidelines", "https://support.google.com/a/answer/81126"}},
		Why: "Mail from an address that the record does not pass arrives like forged mail. Gmail, Outlook.com and Yahoo refuse it unless it is signed with DKIM, and from bulk senders even then. " +
			"Which addresses send can only be said by you: name them with --sending-ip. Those that only take mail need not pass, and are not judged.",
		Fix:   "Name the address in the record in front of all: by ip4 or ip6 where it is yours, by the include of the provider where it is a provider's.",
		After: append([]audit.RuleID{"spf.strings-glued"}, spfSoundFirst()...),
		Judge: judgeSPFSenders,
	}, {
		ID: "spf.flattened-drift", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Medium,
		Title: "Networks copied from an include are those that it authorises today",
		Refs:  []Ref{{"RFC 7208", "5.2"}, {"RFC 7208", "10.1.1"}},
		Why: "A record that was flattened names the networks of a provider in place of its include. Providers change their networks and tell nobody, because the include does: " +
			"from then on part of the mail sent through them fails SPF. Earlier runs saw the include, so the two can be compared.",
		Fix:   "Put the include back in place of the copied networks. Where that is too many lookups, let the provider send as a name below the domain that has a record of its own.",
		After: append([]audit.RuleID{"spf.plus-all"}, spfSoundFirst()...),
		Judge: judgeSPFDrift,
	}}
}

func judgeSPFSenders(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	if len(s.Scope.SendingIPs) == 0 {
		r.NA(domain, "no address is known to send: name those that do with --sending-ip")
		return
	}
	fix := spfSendersFix(s)
	for _, addr := range s.Scope.SendingIPs {
		subject := addr.String()
		o := senderVerdict(s.Facts.SPF.Senders, addr)
		if s.Facts.SPF.Records.State == audit.Absent {
			r.NA(subject, "the domain publishes no SPF record")
			continue
		}
		v, present, ok := Need(r, subject, o)
		switch {
		case !ok:
			continue
		case !present:
			r.NA(subject, "there is nothing to check")
			continue
		}
		evidence := []string{Seen(o.Via, string(v.Result))}
		if v.Result == audit.SPFPass {
			r.Pass(subject, "mail from this address passes SPF: "+v.Why, evidence...)
			continue
		}
		f := Fault{Detail: fmt.Sprintf("SPF says %s of mail from %s: %s", v.Result, addr, v.Why), Evidence: evidence}
		f.Fix.Summary = "name the address in the SPF record"
		switch {
		case v.Result == audit.SPFPermError:
			f.Fix = audit.Fix{Summary: "have the policy evaluated to its end first", Steps: []string{
				"repair what ends the evaluation: mailaudit spf " + domain + " --ip " + subject + " shows where it ends",
				"then look whether " + subject + " passes",
			}}
		case slices.Contains(fix.cured, addr):
			f.Fix.Records = fix.records
			f.Fix.Steps = []string{"if " + subject + " is your provider's and not yours: use the include that the provider names instead, for its addresses change"}
		default:
			f.Fix.Steps = []string{
				"find out whose address " + subject + " is: your own server's, or a provider's",
				"name it in the SPF record in front of the term that decides now: by ip4 or ip6 where it is yours, by the include that the provider names where it is not",
			}
		}
		r.Fail(subject, f)
	}
}

func senderVerdict(senders []audit.SPFSender, addr netip.Addr) audit.Obs[audit.SPFVerdict] {
	for _, sender := range senders {
		if sender.Addr == addr {
			return sender.Verdict
		}
	}
	return audit.Obs[audit.SPFVerdict]{}
}

// sendersFix is one record for all senders that fail, so that what is proposed
// for one does not undo what is proposed for another.
type sendersFix struct {
	records []audit.FixRecord
	cured   []netip.Addr
}

// spfSendersFix adds the addresses that nothing but the end of the domain's own
// record decides about, in front of it. They came to the end, so neither a limit
// nor a fault is in the way; and all stays as it is.
func spfSendersFix(s *audit.Snapshot) sendersFix {
	var fix sendersFix
	records, _ := seen(s.Facts.SPF.Records)
	if len(records) != 1 {
		return fix
	}
	record := audit.ParseSPF(records[0])
	if len(record.Faults) > 0 {
		return fix
	}
	var add []string
	for _, addr := range s.Scope.SendingIPs {
		v, ok := seen(senderVerdict(s.Facts.SPF.Senders, addr))
		weak := v.Result == audit.SPFFail || v.Result == audit.SPFSoftFail || v.Result == audit.SPFNeutral
		if !ok || !weak || s.Scope.Special(addr) != "" || !spfEndDecides(s, record, v) {
			continue
		}
		name := "ip6:"
		if addr.Is4() {
			name = "ip4:"
		}
		add = append(add, name+addr.String())
		fix.cured = append(fix.cured, addr)
	}
	if len(add) == 0 {
		return fix
	}
	fix.records = spfInstead(s, records[0], spfInsert(record, add))
	if fix.records == nil {
		fix.cured = nil
	}
	return fix
}

// spfEndDecides reports whether a verdict comes from the first all of the
// record, from a redirect in its place, or from nothing at all.
func spfEndDecides(s *audit.Snapshot, record audit.SPFRecord, v audit.SPFVerdict) bool {
	end := record.All()
	if end < 0 {
		_, redirects := record.Find("redirect")
		return v.Term == "" || redirects && v.In != s.Domain.Name()
	}
	return v.In == s.Domain.Name() && v.Term == record.Terms[end].Text
}

// spfInsert writes terms into a record in front of its first all, or of the
// modifiers at its end where it has none.
func spfInsert(record audit.SPFRecord, add []string) string {
	text, at := string(record.Text), len(record.Text)
	if end := record.All(); end >= 0 {
		at = record.Terms[end].At - 1
	} else {
		for _, t := range slices.Backward(record.Terms) {
			if !t.Modifier {
				break
			}
			at = t.At - 1
		}
	}
	front := strings.TrimRight(text[:at], " ") + " " + strings.Join(add, " ")
	return strings.TrimRight(front+" "+text[at:], " ")
}
