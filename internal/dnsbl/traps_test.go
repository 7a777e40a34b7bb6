package dnsbl

import (
	"strings"
	"testing"
	"testing/synctest"

	"mailaudit/internal/audit"
)

// The traps of reference/pitfalls.md 63 to 70: answers by which other tools
// have called clean senders listed, or listed ones clean. (71 is a wish for
// history, which the store has.) In each, subject is 192.0.2.25 or, for a list
// of domains, example.org; entry is the name that is asked about it. again is
// what a second question finds; without it, the same as the first.
func TestTraps(t *testing.T) {
	const (
		spamcopTest  = "2.0.0.127.bl.spamcop.net"
		spamcopClean = "1.0.0.127.bl.spamcop.net"
		spamcopEntry = "25.2.0.192.bl.spamcop.net"
		zenEntry     = "25.2.0.192.zen.spamhaus.org"
		dblEntry     = "example.org.dbl.spamhaus.org"
	)
	tests := []struct {
		name        string
		list        List
		first       []string
		again       []string // laid over first
		health      audit.State
		state       audit.State
		code        audit.Code // of the listing
		codes, text string
	}{
		// What is no trap.
		{name: "clean", list: spamcop(), health: audit.Seen, state: audit.Absent, code: audit.NXDomain, text: "not listed"},
		{name: "clean, NODATA", list: spamcop(), first: []string{spamcopEntry, "nodata"}, health: audit.Seen, state: audit.Absent, code: audit.NoData},
		{name: "listed", list: spamcop(), first: []string{spamcopEntry, "127.0.0.2"}, health: audit.Seen, state: audit.Seen, codes: "0.0.2"},
		{name: "listed for three reasons", list: zen(), first: []string{zenEntry, "127.0.0.10 127.0.0.4 127.0.0.2"}, health: audit.Seen, state: audit.Seen, codes: "0.0.2 0.0.4 0.0.10"},
		{name: "listed domain", list: dbl(), first: []string{dblEntry, "127.0.1.104"}, health: audit.Seen, state: audit.Seen, codes: "0.1.104"},

		// 63, 64: error codes.
		{name: "zone mistyped", list: zen(), first: []string{zenEntry, "127.255.255.252"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError, text: "mistyped"},
		{name: "error code without documentation", list: zen(), first: []string{zenEntry, "127.255.255.253"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError, text: "127.255.255.253"},
		{name: "public resolver", list: zen(), first: []string{zenEntry, "127.255.255.254"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError, text: "public resolver"},
		{name: "too many questions", list: zen(), first: []string{zenEntry, "127.255.255.255"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError, text: "too often"},
		{name: "an error code beside a listing", list: zen(), first: []string{zenEntry, "127.0.0.2 127.255.255.254"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError},
		{name: "Spamhaus codes at another list", list: spamcop(), first: []string{spamcopEntry, "127.255.255.254"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError},
		{name: "public resolver, test entries too", list: zen(), first: []string{"*", "127.255.255.254", "2.0.0.127.zen.spamhaus.org", "127.255.255.254"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListError, text: "public resolver"},
		{name: "error code for the clean entry alone", list: zen(), first: []string{"1.0.0.127.zen.spamhaus.org", "127.255.255.255"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListError},
		{name: "address asked of the DBL", list: dbl(), first: []string{dblEntry, "127.0.1.255"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError, text: "lists domains only"},
		{name: "the same as the answer to its tests", list: dbl(), first: []string{"dbltest.com.dbl.spamhaus.org", "127.0.1.255"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListError},

		// 65: refusals inside 127.0.0.0/8 that are no 127.255.255.x.
		{name: "127.0.0.1, as URIBL", list: dbl(), first: []string{dblEntry, "127.0.0.1"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError, text: "refuses"},
		{name: "127.0.0.1 beside a listing", list: spamcop(), first: []string{spamcopEntry, "127.0.0.1 127.0.0.2"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError},
		{name: "127.0.0.1 for everything", list: spamcop(), first: []string{"*", "127.0.0.1", spamcopTest, "127.0.0.1"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListError},
		{name: "127.0.0.255, as dnswl", list: spamcop(), first: []string{spamcopEntry, "127.0.0.255"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer, text: "127.0.0.255"},

		// 66: not registered, over quota, by the way each list says it.
		{name: "unregistered, as Validity", list: spamcop(), first: []string{"*", "127.255.255.255", spamcopTest, "127.255.255.255"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListError},
		{name: "score 127 out of 100", list: spamcop(), first: []string{spamcopEntry, "127.0.4.127"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer, text: "127.0.4.127"},
		{name: "REFUSED", list: spamcop(), first: []string{spamcopEntry, "refused"}, health: audit.Seen, state: audit.Unknown, code: audit.DNSRefused, text: "does not serve"},
		{name: "REFUSED to the test", list: spamcop(), first: []string{spamcopTest, "refused", spamcopClean, "refused"}, health: audit.Unknown, state: audit.Unknown, code: audit.DNSRefused, text: "does not serve"},
		{name: "silence, as Barracuda", list: spamcop(), first: []string{"*", "timeout", spamcopTest, "timeout"}, health: audit.Unknown, state: audit.Unknown, code: audit.Timeout, text: "does not serve"},
		{name: "silence about the clean entry alone", list: spamcop(), first: []string{spamcopClean, "timeout"}, health: audit.Unknown, state: audit.Unknown, code: audit.Timeout},

		// 67: resolvers that answer in place of the list.
		{name: "everything rewritten", list: spamcop(), first: []string{"*", "203.0.113.80", spamcopTest, "203.0.113.80"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListAnswer, text: "no list gives"},
		{name: "NXDOMAIN rewritten", list: spamcop(), first: []string{"*", "203.0.113.80"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListAnswer},
		{name: "the subject rewritten", list: spamcop(), first: []string{spamcopEntry, "203.0.113.80"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer, text: "no list gives"},
		{name: "a rewritten address beside a code", list: spamcop(), first: []string{spamcopEntry, "127.0.0.2 203.0.113.80"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer},
		{name: "Pi-hole", list: spamcop(), first: []string{"*", "0.0.0.0", spamcopTest, "0.0.0.0"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListAnswer},
		{name: "captive portal", list: spamcop(), first: []string{"*", "10.0.0.1", spamcopTest, "10.0.0.1"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListAnswer},
		{name: "beside 127.0.0.0/8", list: spamcop(), first: []string{spamcopEntry, "128.0.0.2"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer},
		{name: "blocked and declared", list: spamcop(), first: []string{spamcopEntry, "nxdomain ede 15"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer, text: "in place of the list"},
		{name: "forged listing, declared", list: spamcop(), first: []string{spamcopEntry, "127.0.0.2 ede 15"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer},
		{name: "an extended error of no meaning here", list: spamcop(), first: []string{spamcopEntry, "nxdomain ede 22"}, health: audit.Seen, state: audit.Absent, code: audit.NXDomain},

		// 68: dead lists.
		{name: "emptied, as SORBS", list: spamcop(), first: []string{spamcopTest, "nxdomain"}, health: audit.Absent, state: audit.Unknown, code: audit.ListUnhealthy, text: "does not list its test entry 127.0.0.2"},
		{name: "emptied, NODATA", list: spamcop(), first: []string{spamcopTest, "nodata"}, health: audit.Absent, state: audit.Unknown, code: audit.ListUnhealthy},
		{name: "emptied, and the subject still there", list: spamcop(), first: []string{spamcopTest, "nxdomain", spamcopEntry, "127.0.0.2"}, health: audit.Absent, state: audit.Unknown, code: audit.ListUnhealthy},
		{name: "lists the world", list: spamcop(), first: []string{"*", "127.0.0.2"}, health: audit.Absent, state: audit.Unknown, code: audit.ListUnhealthy, text: "127.0.0.1, which no list may list"},
		{name: "lists the world, domains", list: dbl(), first: []string{"*", "127.0.1.2"}, health: audit.Absent, state: audit.Unknown, code: audit.ListUnhealthy, text: "invalid"},
		{name: "parked", list: spamcop(), first: []string{"*", "198.51.100.9", spamcopTest, "198.51.100.9"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListAnswer},
		{name: "dead servers", list: spamcop(), first: []string{"*", "servfail", spamcopTest, "servfail"}, health: audit.Unknown, state: audit.Unknown, code: audit.ServFail},
		{name: "dead servers, old answers", list: spamcop(), first: []string{spamcopTest, "127.0.0.2 ede 3"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListAnswer, text: "old answer"},
		{name: "test entry with an undocumented code", list: spamcop(), first: []string{spamcopTest, "127.0.0.99"}, health: audit.Unknown, state: audit.Unknown, code: audit.ListAnswer, text: "127.0.0.99"},

		// 69: a list that fails once need not be dead; nor is it well.
		{name: "failed once", list: spamcop(), first: []string{spamcopTest, "nxdomain"}, again: []string{spamcopTest, "127.0.0.2"}, health: audit.Unknown, state: audit.Unknown, code: audit.Disagree},
		{name: "failed in two ways", list: spamcop(), first: []string{spamcopTest, "nxdomain"}, again: []string{spamcopTest, "127.0.0.2", spamcopClean, "127.0.0.2"}, health: audit.Unknown, state: audit.Unknown, code: audit.Disagree},
		{name: "failed, then silent", list: spamcop(), first: []string{spamcopTest, "nxdomain"}, again: []string{spamcopTest, "timeout"}, health: audit.Unknown, state: audit.Unknown, code: audit.Timeout},

		// Codes of other lists, and reputations that are good.
		{name: "undocumented", list: spamcop(), first: []string{spamcopEntry, "127.0.0.3"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer, text: "127.0.0.3"},
		{name: "undocumented beside documented", list: zen(), first: []string{zenEntry, "127.0.0.5 127.0.0.2"}, health: audit.Seen, state: audit.Seen, codes: "0.0.2"},
		{name: "excellent reputation", list: mailspike(), first: []string{"25.2.0.192.bl.mailspike.net", "127.0.0.20"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer},
		{name: "many undocumented", list: spamcop(), first: []string{spamcopEntry, "127.0.9.6 127.0.9.1 127.0.9.2 127.0.9.3 127.0.9.4 127.0.9.5"}, health: audit.Seen, state: audit.Unknown, code: audit.ListAnswer, text: "127.0.9.4, and more"},

		// One answer is none.
		{name: "listed once", list: spamcop(), first: []string{spamcopEntry, "127.0.0.2"}, again: []string{spamcopEntry, "nxdomain"}, health: audit.Seen, state: audit.Unknown, code: audit.Disagree, text: "not listed some seconds later"},
		{name: "listed, then an error code", list: spamcop(), first: []string{spamcopEntry, "127.0.0.2"}, again: []string{spamcopEntry, "127.255.255.255"}, health: audit.Seen, state: audit.Unknown, code: audit.ListError, text: "listed in one answer"},
		{name: "listed, then silence", list: spamcop(), first: []string{spamcopEntry, "127.0.0.2"}, again: []string{spamcopEntry, "timeout"}, health: audit.Seen, state: audit.Unknown, code: audit.Timeout, text: "listed in one answer"},
		{name: "listed for different reasons", list: zen(), first: []string{zenEntry, "127.0.0.2"}, again: []string{zenEntry, "127.0.0.10"}, health: audit.Seen, state: audit.Unknown, code: audit.Disagree, text: "different reasons"},
		{name: "one reason of two confirmed", list: zen(), first: []string{zenEntry, "127.0.0.2 127.0.0.10"}, again: []string{zenEntry, "127.0.0.10 127.0.0.4"}, health: audit.Seen, state: audit.Seen, codes: "0.0.10"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := checker(t, healthy(tt.first...), healthy(append(tt.first, tt.again...)...), tt.list)
				var listings []audit.Listing
				if tt.list.Domain {
					listings = c.Domain(t.Context(), domain(t, "example.org"))
				} else {
					listings = c.Address(t.Context(), subject(), audit.RoleMX)
				}
				if len(listings) != 1 {
					t.Fatalf("%d listings, want 1", len(listings))
				}
				health, got := c.Health(t.Context(), tt.list).Health, listings[0].Codes
				if health.State != tt.health {
					t.Errorf("health %s (%v), want %s", health.State, health.Why, tt.health)
				}
				if got.State != tt.state || got.Why.Code != tt.code || codes(got) != tt.codes || !strings.Contains(got.Why.Text, tt.text) {
					t.Errorf("got %s %q %v\nwant %s %q %s %q", got.State, codes(got), got.Why, tt.state, tt.codes, tt.code, tt.text)
				}
				if got.State == audit.Unknown && (got.Why.Text == "" || strings.ContainsAny(got.Why.Text, "\n\x00")) {
					t.Errorf("reason without a sentence: %q", got.Why.Text)
				}
				if strings.Contains(got.Why.Text, "203.0.113.80") || strings.Contains(got.Why.Text, "198.51.100.9") {
					t.Errorf("the reason names an address that varies: %q", got.Why.Text)
				}
				if !strings.HasPrefix(got.Via, "dig -t A -q ") || !strings.HasSuffix(got.Via, "."+string(tt.list.Zone)) {
					t.Errorf("via %q", got.Via)
				}
			})
		})
	}
}
