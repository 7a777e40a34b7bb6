package rules

import (
	"fmt"
	"strings"

	"mailaudit/internal/audit"
)

// RSA key sizes, in bits (RFC 8301 section 3.2).
const (
	dkimLeastBits = 1024 // verifiers must not count signatures of shorter keys
	dkimGoodBits  = 2048 // signers should use at least this
)

// dkimRules judge the DKIM keys of the selectors that the user named (RFC 6376).
func dkimRules() []Rule {
	return []Rule{{
		ID: "dkim.none", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Medium,
		Title: "A domain that sends mail publishes a DKIM key",
		Refs:  []Ref{{"RFC 6376", "3.6.2"}, {"RFC 9989", "7.4"}, {"Google email sender guidelines", "https://support.google.com/a/answer/81126"}},
		Why: "A DKIM signature survives forwarding, which SPF does not, so with DMARC forwarded mail stands on DKIM alone. " +
			"Large receivers demand it of bulk senders. The key is published under a selector, and selectors cannot be listed: " +
			"only those that you name are looked at.",
		Fix: "Switch DKIM signing on in the mail system and publish the key record that it shows. " +
			"The selector in use is the s= value of a DKIM-Signature header in any mail that you sent.",
		After: []audit.RuleID{"mx.domain-nxdomain"},
		Judge: judgeDKIMNone,
	}, {
		ID: "dkim.several-records", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Medium,
		Title: "A DKIM selector holds one record",
		Refs:  []Ref{{"RFC 6376", "3.6.2.2"}},
		Why: "Which of several TXT records at a selector is the key is undefined. Receivers take any of them, or none, " +
			"so signatures fail now and then.",
		Fix:   "Keep the record of the key that signs. A new key gets a new selector.",
		After: []audit.RuleID{"dkim.none"},
		Judge: judgeDKIMSeveral,
	}, {
		ID: "dkim.key-broken", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Medium,
		Title: "The DKIM key can be read",
		Refs:  []Ref{{"RFC 6376", "3.6.1"}},
		Why: "A key record that does not decode is as good as none: every signature made with the selector fails. " +
			"The usual causes are a key cut off while pasting, and quotes or line breaks inside it.",
		Fix:   "Publish the record again exactly as the mail system shows it. It may be split into strings of 255 octets; they are joined without blanks.",
		After: []audit.RuleID{"dkim.none", "dkim.several-records"},
		Judge: judgeDKIMBroken,
	}, {
		ID: "dkim.key-short", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "RSA keys of DKIM have 1024 bits or more",
		Refs:  []Ref{{"RFC 8301", "3.2"}},
		Why: "Keys below 1024 bits have been broken with rented computers for a few dollars. Receivers must not accept their " +
			"signatures, so the mail counts as unsigned.",
		Fix:   "Make an RSA key of 2048 bits under a new selector, publish it, and sign with it.",
		After: []audit.RuleID{"dkim.none", "dkim.several-records", "dkim.key-broken"},
		Judge: judgeDKIMShort,
	}, {
		ID: "dkim.key-1024", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Low,
		Title: "RSA keys of DKIM have 2048 bits or more",
		Refs:  []Ref{{"RFC 8301", "3.2"}},
		Why: "All receivers accept 1024 bits today, but the standard asks signers for 2048: a shorter key will be within " +
			"reach of an attacker with money first.",
		Fix:   "At the next change of keys make an RSA key of 2048 bits under a new selector.",
		After: []audit.RuleID{"dkim.none", "dkim.several-records", "dkim.key-broken", "dkim.key-short"},
		Judge: judgeDKIM1024,
	}}
}

// dkimSelectors calls judge for every selector that was looked at, and says
// "unknown" for those that were named and were not.
func dkimSelectors(s *audit.Snapshot, r *Report, judge func(subject string, k audit.DKIM)) {
	done := map[string]bool{}
	for _, k := range s.Facts.DKIM {
		if name := k.Name.String(); !done[name] {
			done[name] = true
			judge(name, k)
		}
	}
	for _, selector := range s.Scope.Selectors {
		if name := audit.NewDNSName(selector + "._domainkey." + s.Domain.String()).String(); !done[name] {
			done[name] = true
			r.Unknown(name, audit.Reason{Code: audit.NotAsked, Text: "this run did not look at the selector"})
		}
	}
	if len(done) == 0 {
		r.NA(s.Domain.String(), "no DKIM selector was named")
	}
}

func judgeDKIMNone(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	switch {
	case parked(s):
		r.NA(domain, "the domain takes no mail, and is taken to send none")
		return
	case len(s.Scope.Selectors) == 0 && len(s.Facts.DKIM) == 0:
		r.Unknown(domain, audit.Reason{Code: audit.NotAsked, Text: "selectors cannot be listed: name those in use with --selector"})
		return
	case len(s.Facts.DKIM) < len(s.Scope.Selectors):
		r.Unknown(domain, audit.Reason{Code: audit.NotAsked, Text: "this run did not look at all selectors"})
		return
	}
	var held []audit.Obs[[]audit.Raw]
	var names, evidence []string
	for _, k := range s.Facts.DKIM {
		held = append(held, dkimHeld(k))
		names = append(names, audit.Raw(k.Selector).String())
		evidence = append(evidence, dkimEvidence(k)...)
	}
	_, present, ok := AnyOf(r, domain, held...)
	switch {
	case !ok:
		return
	case present:
		r.Pass(domain, "a selector that was named has a key record", evidence...)
		return
	}
	_, _, ok = Need(r, domain, s.Facts.MX.Records)
	if !ok {
		return // a domain that takes no mail needs no key
	}
	r.Fail(domain, Fault{
		Detail:   "no key at the selectors that were named: " + strings.Join(names, ", "),
		Evidence: evidence,
		Fix: audit.Fix{Summary: "publish the key that signs the mail", Steps: []string{
			"send a mail to an address elsewhere and look for DKIM-Signature in its header: s= is the selector, d= the domain",
			"if there is one for " + domain + ": audit again with that --selector",
			"else switch DKIM signing on in the mail system and publish the key record that it shows",
		}},
	})
}

// dkimHeld is the records of a selector, with a revoked key counted as none
// (RFC 6376 section 3.6.1). A key that is broken is there: dkim.key-broken has
// the say about it.
func dkimHeld(k audit.DKIM) audit.Obs[[]audit.Raw] {
	switch {
	case k.Key.State == audit.Absent && k.Key.Why.Code == audit.Revoked:
		return audit.None[[]audit.Raw](audit.Revoked, k.Key.Why.Text, k.Key.Via)
	case k.Records.State == audit.Seen && k.Key.State == audit.Unknown:
		return audit.Dark[[]audit.Raw](k.Key.Why, k.Key.Via) // it may be a revoked one
	}
	return k.Records
}

// dkimEvidence is what was seen at a selector, without the key itself.
func dkimEvidence(k audit.DKIM) []string {
	if !k.Records.Known() {
		return nil
	}
	if k.Records.State == audit.Absent {
		return []string{Seen(k.Records.Via, string(k.Records.Why.Code))}
	}
	for _, key := range Gather(k.Key).Values {
		return []string{Seen(k.Records.Via, fmt.Sprintf("%s key, %d bits", audit.Raw(key.Type), key.Bits))}
	}
	for _, records := range Gather(k.Records).Values {
		if len(records) > 1 {
			return []string{Seen(k.Records.Via, fmt.Sprintf("%d records", len(records)))}
		}
	}
	return txtEvidence(k.Records)
}

func judgeDKIMSeveral(s *audit.Snapshot, r *Report) {
	dkimSelectors(s, r, func(subject string, k audit.DKIM) {
		records, present, ok := Need(r, subject, k.Records)
		switch {
		case !ok:
		case !present:
			r.NA(subject, "there is no key record")
		case len(records) == 1:
			r.Pass(subject, "the selector holds one record", dkimEvidence(k)...)
		default:
			r.Fail(subject, Fault{
				Detail:   fmt.Sprintf("%s holds %d TXT records; which of them is the key is undefined", subject, len(records)),
				Evidence: txtEvidence(k.Records),
				Fix: audit.Fix{Summary: "keep one record", Steps: []string{
					"find out which key the mail system signs with, and remove the other TXT records at " + subject,
					"give each further key a selector of its own",
				}},
			})
		}
	})
}

func judgeDKIMBroken(s *audit.Snapshot, r *Report) {
	dkimSelectors(s, r, func(subject string, k audit.DKIM) {
		_, present, ok := Need(r, subject, k.Key)
		switch {
		case !ok:
		case present:
			r.Pass(subject, "the key can be read", dkimEvidence(k)...)
		case k.Key.Why.Code == audit.Revoked:
			r.NA(subject, "the key was revoked on purpose: its p tag is empty")
		default:
			r.Fail(subject, Fault{
				Detail:   "the DKIM key of " + subject + " cannot be read: " + audit.Raw(k.Key.Why.Text).String(),
				Evidence: dkimEvidence(k),
				Fix: audit.Fix{Summary: "publish the key again", Steps: []string{
					"copy the record from the mail system again and replace the TXT record at " + subject + " by it",
					"if the selector is no longer in use: remove the record, or leave \"v=DKIM1; p=\" there",
				}},
			})
		}
	})
}

// dkimRSA calls judge for the selectors with an RSA key; of others it says
// what is to be said.
func dkimRSA(s *audit.Snapshot, r *Report, judge func(subject string, k audit.DKIM, bits int)) {
	dkimSelectors(s, r, func(subject string, k audit.DKIM) {
		key, present, ok := Need(r, subject, k.Key)
		switch {
		case !ok:
		case !present:
			r.NA(subject, "there is no key to measure")
		case key.Type != "rsa":
			r.Pass(subject, "the key is no RSA key", dkimEvidence(k)...)
		default:
			judge(subject, k, key.Bits)
		}
	})
}

func judgeDKIMShort(s *audit.Snapshot, r *Report) {
	dkimRSA(s, r, func(subject string, k audit.DKIM, bits int) {
		if bits >= dkimLeastBits {
			r.Pass(subject, fmt.Sprintf("an RSA key of %d bits", bits), dkimEvidence(k)...)
			return
		}
		r.Fail(subject, Fault{
			Detail:   fmt.Sprintf("the RSA key has %d bits; receivers must not accept fewer than %d", bits, dkimLeastBits),
			Evidence: dkimEvidence(k), Fix: dkimNewKey(subject),
		})
	})
}

func judgeDKIM1024(s *audit.Snapshot, r *Report) {
	dkimRSA(s, r, func(subject string, k audit.DKIM, bits int) {
		if bits >= dkimGoodBits {
			r.Pass(subject, fmt.Sprintf("an RSA key of %d bits", bits), dkimEvidence(k)...)
			return
		}
		r.Fail(subject, Fault{
			Detail:   fmt.Sprintf("the RSA key has %d bits; %d are asked for", bits, dkimGoodBits),
			Evidence: dkimEvidence(k), Fix: dkimNewKey(subject),
		})
	})
}

// dkimNewKey is how a key is exchanged without a gap.
func dkimNewKey(subject string) audit.Fix {
	return audit.Fix{Summary: "sign with a key of 2048 bits", Steps: []string{
		"make an RSA key of 2048 bits in the mail system, under a new selector, and publish its record",
		"when the record is visible, sign with the new selector",
		"leave " + subject + " in place for a week, until mail signed with it has arrived, and then remove it",
	}}
}
