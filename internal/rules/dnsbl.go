package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"mailaudit/internal/audit"
)

// dnsblRules judge what block lists say of addresses and of the domain (RFC
// 5782). Receivers look up the address that connects to them, so a listing
// costs an address that sends, and is a note for one that only receives. Only
// a list that has passed its own test in this run counts, either way.
func dnsblRules() []Rule {
	return []Rule{{
		ID: "dnsbl.listed-blocking", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.High},
		Title: "No address that sends mail is on a block list that large receivers refuse by",
		Refs:  []Ref{{"RFC 5782", "2.1"}, {"Spamhaus blocklists", "https://www.spamhaus.org/blocklists/"}},
		Why: "Large receivers ask these lists about every address that connects to them and refuse all mail from those that are listed. " +
			"An address that only receives mail loses nothing, but something is or was wrong with the machine or its network.",
		Fix: "Stop the cause first (a compromised account, an infected machine, a bulk mailing to old addresses), then ask for removal " +
			"on the list's own page. At an address that many customers share, the provider has to do both. Never pay for a removal.",
		Judge: judgeBlocking,
	}, {
		ID: "dnsbl.listed-pbl", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.High},
		Title: "No server sends directly from an address whose owner says that no mail is sent from there",
		Refs:  []Ref{{"Spamhaus PBL", "https://www.spamhaus.org/blocklists/policy-blocklist/"}, {"RFC 5782", "2.1"}},
		Why: "This is no accusation: the owner of the address range (mostly an access provider) has said that its customers send mail " +
			"through other servers. Receivers refuse mail that comes from there directly.",
		Fix: "Send through the provider's mail server or another relay, or move to an address meant for servers. A fixed address " +
			"that runs a mail server can be taken off on the list's page, where its provider allows that.",
		Judge: judgePolicy,
	}, {
		ID: "dnsbl.listed-some", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.Low},
		Title: "No address that sends mail is on a block list that smaller receivers use",
		Refs:  []Ref{{"RFC 5782", "2.1"}, {"PSBL", "https://psbl.org/"}, {"Mailspike", "https://mailspike.org/"}},
		Why: "Small and middle-sized receivers refuse by these lists or count them against a message. Such a listing is often the " +
			"first sign of what the larger lists notice a few days later.",
		Fix:   "Look for the cause as with any listing. Most of these lists forget an address by themselves once it has been quiet for some days or weeks.",
		Judge: judgeSome,
	}, {
		ID: "dnsbl.domain-listed", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "The domain is on no block list of domains",
		Refs:  []Ref{{"RFC 5782", "3"}, {"Spamhaus DBL", "https://www.spamhaus.org/blocklists/domain-blocklist/"}},
		Why: "Receivers look for listed domains in the sender's address and in every link of a message, and refuse or junk the mail, " +
			"whichever server it comes from. Mail of others that mentions the domain is hit as well.",
		Fix: "Find out what the listing is about: mail sent as the domain, pages that were broken into, or a link shortener or form that " +
			"spammers use. Put an end to that, then ask for removal on the list's own page.",
		Judge: judgeDomainListed,
	}}
}

// listingSubject is the stable name of a listing.
func listingSubject(l audit.Listing) string {
	return fmt.Sprintf("%s @ %s", audit.Raw(l.Subject), l.Zone)
}

// listOf finds the list that a listing is about. One that is not among the
// facts has the zero Health, which is unknown.
func listOf(s *audit.Snapshot, zone audit.DNSName) audit.BlockList {
	for _, list := range s.Facts.Lists {
		if list.Zone == zone {
			return list
		}
	}
	return audit.BlockList{Zone: zone, Name: zone.String()}
}

// asked reports whether the run asked any list; if not, it has said so.
func asked(s *audit.Snapshot, r *Report) bool {
	if len(s.Facts.Lists) > 0 {
		return true
	}
	r.Unknown(s.Domain.String(), audit.Reason{Code: audit.NotAsked, Text: "this run asked no block list"})
	return false
}

// addressListings calls judge for every address at every list of a tier, and
// says "unknown" for hosts of which some address is not known. sender is how
// bad a listing is for an address that sends; for others it is a fact to know.
func addressListings(s *audit.Snapshot, r *Report, tier audit.ListTier, sender audit.Severity, judge func(l audit.Listing, list audit.BlockList)) {
	if !asked(s, r) {
		return
	}
	judged := 0
	for _, l := range s.Facts.Listings {
		_, err := netip.ParseAddr(l.Subject)
		list := listOf(s, l.Zone)
		if err == nil && list.Tier == tier {
			judged++
			r.AtWorst(listingSubject(l), forRole(l.Role, sender))
			judge(l, list)
		}
	}
	onlyReceivers(s, r)
	_, _, ok := Need(r, s.Domain.String(), s.Facts.MX.Records)
	if ok && addressesKnown(s, r) && judged == 0 {
		r.NA(s.Domain.String(), "there is no address to ask these lists about")
	}
}

// codesOf opens a listing. Only a healthy list can list or clear anybody
// (RFC 5782 section 5); when ok is false, codesOf has said why.
func codesOf(r *Report, l audit.Listing, list audit.BlockList) (codes []audit.ListCode, ok bool) {
	subject := listingSubject(l)
	codes, _, ok = Need(r, subject, l.Codes)
	if !ok {
		return nil, false
	}
	_, healthy, ok := Need(r, subject, list.Health)
	if ok && !healthy {
		r.Unknown(subject, audit.Reason{Code: audit.ListUnhealthy, Text: list.Name + " fails its own test, so its answer says nothing"},
			Seen(list.Health.Via, string(list.Health.Why.Code)))
		return nil, false
	}
	return codes, ok
}

// byPolicy are the codes that have, or have not, the mark of a policy.
func byPolicy(codes []audit.ListCode, policy bool) []audit.ListCode {
	var out []audit.ListCode
	for _, c := range codes {
		if c.Policy == policy {
			out = append(out, c)
		}
	}
	return out
}

// meanings are what codes say, in the words of the list's documentation.
func meanings(codes []audit.ListCode) string {
	var out []string
	for _, c := range codes {
		out = append(out, c.Meaning)
	}
	return strings.Join(out, "; ")
}

// listingEvidence is the whole answer of a list.
func listingEvidence(l audit.Listing, codes []audit.ListCode) string {
	if len(codes) == 0 {
		return Seen(l.Codes.Via, string(l.Codes.Why.Code))
	}
	var words []string
	for _, c := range codes {
		words = append(words, fmt.Sprintf("%s (%s)", c.Addr, c.Meaning))
	}
	return Seen(l.Codes.Via, words...)
}

func judgeBlocking(s *audit.Snapshot, r *Report) {
	addressListings(s, r, audit.TierBlocking, audit.High, func(l audit.Listing, list audit.BlockList) {
		codes, ok := codesOf(r, l, list)
		if !ok {
			return
		}
		abuse := byPolicy(codes, false)
		if len(abuse) == 0 {
			r.Pass(listingSubject(l), "not listed for abuse by "+list.Name, listingEvidence(l, codes))
			return
		}
		failListed(r, l, list, abuse, forRole(l.Role, audit.High))
	})
}

func judgeSome(s *audit.Snapshot, r *Report) {
	addressListings(s, r, audit.TierSome, audit.Low, func(l audit.Listing, list audit.BlockList) {
		codes, ok := codesOf(r, l, list)
		switch {
		case !ok:
		case len(codes) == 0:
			r.Pass(listingSubject(l), "not listed by "+list.Name, listingEvidence(l, codes))
		default:
			failListed(r, l, list, codes, forRole(l.Role, audit.Low))
		}
	})
}

// failListed fails a listing of an address for what is sent from it.
func failListed(r *Report, l audit.Listing, list audit.BlockList, codes []audit.ListCode, severity audit.Severity) {
	r.Fail(listingSubject(l), Fault{
		Severity: severity,
		Detail:   fmt.Sprintf("%s lists %s: %s", list.Name, audit.Raw(l.Subject), meanings(codes)),
		Evidence: []string{listingEvidence(l, codes)},
		Fix: audit.Fix{Summary: "stop the cause, then ask the list to remove the address", Steps: []string{
			"read why it is listed: " + list.Page,
			fmt.Sprintf("look in the mail log of %s for mail that nobody here meant to send, and stop its source", audit.Raw(l.Subject)),
			"only then ask for removal on that page; it costs nothing",
			"if the address is shared with other customers of a provider: ask the provider, who alone can do this",
		}},
	})
}

func judgePolicy(s *audit.Snapshot, r *Report) {
	addressListings(s, r, audit.TierBlocking, audit.High, func(l audit.Listing, list audit.BlockList) {
		codes, ok := codesOf(r, l, list)
		if !ok {
			return
		}
		policy := byPolicy(codes, true)
		if len(policy) == 0 {
			r.Pass(listingSubject(l), "no policy of "+list.Name+" speaks against mail from there", listingEvidence(l, codes))
			return
		}
		r.Fail(listingSubject(l), Fault{
			Severity: forRole(l.Role, audit.High),
			Detail:   fmt.Sprintf("%s is in a range from which no mail is to come directly, says %s: %s", audit.Raw(l.Subject), list.Name, meanings(policy)),
			Evidence: []string{listingEvidence(l, codes)},
			Fix: audit.Fix{Summary: "send through a relay, or have the address taken off", Steps: []string{
				"send through the mail server of the provider, or of another relay",
				"if the address is fixed and meant for a mail server: ask for its removal at " + list.Page + ", where the provider may have to agree",
			}},
		})
	})
}

func judgeDomainListed(s *audit.Snapshot, r *Report) {
	if !asked(s, r) {
		return
	}
	judged := 0
	for _, l := range s.Facts.Listings {
		_, err := netip.ParseAddr(l.Subject)
		if err == nil {
			continue
		}
		judged++
		list := listOf(s, l.Zone)
		codes, ok := codesOf(r, l, list)
		switch {
		case !ok:
		case len(codes) == 0:
			r.Pass(listingSubject(l), "not listed by "+list.Name, listingEvidence(l, codes))
		default:
			r.Fail(listingSubject(l), Fault{
				Detail:   fmt.Sprintf("%s lists %s: %s", list.Name, audit.Raw(l.Subject), meanings(codes)),
				Evidence: []string{listingEvidence(l, codes)},
				Fix: audit.Fix{Summary: "stop the cause, then ask the list to remove the domain", Steps: []string{
					"read why it is listed: " + list.Page,
					"look for mail sent as the domain that nobody here meant to send",
					"look for pages, redirects and forms at the web site that strangers put there or use",
					"only then ask for removal on that page; it costs nothing",
				}},
			})
		}
	}
	if judged == 0 {
		r.Unknown(s.Domain.String(), audit.Reason{Code: audit.NotAsked, Text: "this run asked no list about the domain"})
	}
}
