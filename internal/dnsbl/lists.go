package dnsbl

import (
	"net/netip"

	"mailaudit/internal/audit"
)

// Lists are the block lists that are asked unless the Config has others: those
// that receivers use today, that pass their own test, serve anybody without
// registration, and whose codes are documented. docs/blocklists.md has the
// reasons for each, and for those that are missing.
func Lists() []List {
	return []List{zen(), spamcop(), psbl(), mailspike(), dbl()}
}

// zen is SBL, CSS, XBL and PBL of Spamhaus in one zone
// (https://docs.spamhaus.com/datasets/docs/source/10-data-type-documentation/datasets/040-zones.html).
// It lists IPv6 addresses too, without a documented test entry among them: that
// they are there rests on the test of the zone.
func zen() List {
	return List{
		Zone: "zen.spamhaus.org", Name: "Spamhaus ZEN", Tier: audit.TierBlocking,
		Page: "https://check.spamhaus.org/",
		IP4:  true, IP6: true,
		TestListed: []string{"127.0.0.2"}, TestClean: []string{"127.0.0.1"},
		Codes: []audit.ListCode{
			{Addr: at(0, 0, 2), Meaning: "SBL: a source of spam, or a host that serves spammers"},
			{Addr: at(0, 0, 3), Meaning: "CSS: mail of poor reputation, found automatically"},
			{Addr: at(0, 0, 4), Meaning: "XBL: a compromised or infected machine"},
			{Addr: at(0, 0, 9), Meaning: "DROP: a network that is stolen or run for spam alone"},
			{Addr: at(0, 0, 10), Meaning: "PBL: its provider says that no mail is sent from this address directly", Policy: true},
			{Addr: at(0, 0, 11), Meaning: "PBL: kept by Spamhaus as an address from which no mail is sent directly", Policy: true},
			{Addr: at(0, 0, 30), Meaning: "BCL: a host that controls a botnet"},
		},
		Errors: spamhausErrors(),
	}
}

// dbl lists domains; dbltest.com is its test entry, INVALID the one of RFC
// 5782 section 5.
func dbl() List {
	return List{
		Zone: "dbl.spamhaus.org", Name: "Spamhaus DBL", Tier: audit.TierBlocking,
		Page:       "https://check.spamhaus.org/",
		Domain:     true,
		TestListed: []string{"dbltest.com"}, TestClean: []string{"invalid"},
		Codes: []audit.ListCode{
			{Addr: at(0, 1, 2), Meaning: "a domain of low reputation"},
			{Addr: at(0, 1, 4), Meaning: "a domain used for phishing"},
			{Addr: at(0, 1, 5), Meaning: "a domain used for malware"},
			{Addr: at(0, 1, 6), Meaning: "a domain that controls a botnet"},
			{Addr: at(0, 1, 102), Meaning: "a legitimate domain that spammers abuse"},
			{Addr: at(0, 1, 103), Meaning: "a legitimate redirector that spammers abuse"},
			{Addr: at(0, 1, 104), Meaning: "a legitimate domain that is abused for phishing"},
			{Addr: at(0, 1, 105), Meaning: "a legitimate domain that is abused for malware"},
			{Addr: at(0, 1, 106), Meaning: "a legitimate domain that is abused to control a botnet"},
		},
		Errors: append(spamhausErrors(), ErrorCode{at(0, 1, 255), "it was asked about an address, and it lists domains only"}),
	}
}

// spamhausErrors are the same in all public zones of Spamhaus
// (https://www.spamhaus.org/news/article/807/using-our-public-mirrors-check-your-return-codes-now).
func spamhausErrors() []ErrorCode {
	return []ErrorCode{
		{at(255, 255, 252), "the name of its zone is mistyped"},
		{at(255, 255, 254), "the question came through a public resolver, or from an address whose reverse DNS names nobody"},
		{at(255, 255, 255), "the resolver that asked has asked too often"},
	}
}

func spamcop() List {
	return List{
		Zone: "bl.spamcop.net", Name: "SpamCop", Tier: audit.TierBlocking,
		Page:       "https://www.spamcop.net/bl.shtml",
		IP4:        true,
		TestListed: []string{"127.0.0.2"}, TestClean: []string{"127.0.0.1"},
		Codes: []audit.ListCode{{Addr: at(0, 0, 2), Meaning: "people have reported spam from this address in the last days"}},
	}
}

func psbl() List {
	return List{
		Zone: "psbl.surriel.com", Name: "PSBL", Tier: audit.TierSome,
		Page:       "https://psbl.org/",
		IP4:        true,
		TestListed: []string{"127.0.0.2"}, TestClean: []string{"127.0.0.1"},
		Codes: []audit.ListCode{{Addr: at(0, 0, 2), Meaning: "this address has sent mail to a spam trap"}},
	}
}

// mailspike is the part of Mailspike that lists. Its other zones give good
// marks by the same kind of answer and must never be asked here.
func mailspike() List {
	return List{
		Zone: "bl.mailspike.net", Name: "Mailspike BL", Tier: audit.TierSome,
		Page:       "https://mailspike.org/",
		IP4:        true,
		TestListed: []string{"127.0.0.2"}, TestClean: []string{"127.0.0.1"},
		Codes: []audit.ListCode{
			{Addr: at(0, 0, 2), Meaning: "this address takes part in a wave of spam"},
			{Addr: at(0, 0, 10), Meaning: "the worst reputation"},
			{Addr: at(0, 0, 11), Meaning: "a very bad reputation"},
			{Addr: at(0, 0, 12), Meaning: "a bad reputation"},
		},
	}
}

// at is the code 127.b.c.d.
func at(b, c, d byte) netip.Addr { return netip.AddrFrom4([4]byte{127, b, c, d}) }
