package dnscheck

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.yaml.in/yaml/v3"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// query is a sender user@d.example at 192.0.2.1, changed by words such as
// "ip=2001:db8::1".
func query(t *testing.T, words ...string) SPFQuery {
	t.Helper()
	q := SPFQuery{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "user@d.example", Helo: "mail.d.example", Receiver: "mx.receiver.example", At: time.Unix(1700000000, 0)}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "ip":
			q.IP = netip.MustParseAddr(v)
		case "from":
			q.MailFrom = v
		case "helo":
			q.Helo = v
		default:
			t.Fatalf("what is %q?", w)
		}
	}
	return q
}

// outline is a check in a few words: result, counters, flaw, trouble, doubt.
func outline(c audit.SPFCheck) string {
	out := fmt.Sprintf("%s %d/%d", c.Result, c.Lookups, c.VoidLookups)
	if c.Flaw != "" {
		out += " " + string(c.Flaw) + "@" + c.FlawAt.String()
	}
	if c.Trouble.Code != "" {
		out += " trouble=" + string(c.Trouble.Code)
	}
	if c.Doubt.Code != "" {
		out += " doubt=" + string(c.Doubt.Code)
	}
	return out
}

// client192 is the reverse name of 192.0.2.1.
const client192 = "1.2.0.192.in-addr.arpa PTR"

func tenHosts(z zone, owner string, n int) zone {
	for i := range n {
		host := fmt.Sprintf("h%02d.%s", i, owner)
		z[owner+" MX"] = append(z[owner+" MX"], fmt.Sprintf("%d %s.", i, host))
		z[host+" A"] = []string{fmt.Sprintf("198.51.100.%d", i)}
	}
	z[fmt.Sprintf("h%02d.%s A", n-1, owner)] = []string{"192.0.2.1"} // the last one is the client
	return z
}

func TestCheckHost(t *testing.T) {
	cases := []struct {
		name  string
		zone  zone
		query string // words
		want  string // outline
		why   string // part of Why
	}{
		{"ip4", zone{"d.example TXT": {"v=spf1 ip4:192.0.2.0/24 -all", "other"}}, "", "pass 0/0", `"ip4:192.0.2.0/24" in the record of d.example matches`},
		{"no record", zone{"d.example TXT": {"other"}}, "", "none 0/0", "d.example has no SPF record"},
		{"no domain", zone{"d.example TXT": {"!nxdomain"}}, "", "none 0/0", "d.example does not exist"},
		{"not known", zone{"d.example TXT": {"!servfail"}}, "", "temperror 0/0 trouble=servfail", "the record of d.example is not known: SERVFAIL"},
		{"two records", zone{"d.example TXT": {"v=spf1 -all", "V=spf1 +all"}}, "", "permerror 0/0 several@d.example", "d.example has 2 SPF records"},
		{"an alias", zone{"d.example TXT": {"->real.example", "v=spf1 +all"}}, "", "pass 0/0", ""},
		{"an alias to nowhere", zone{"d.example TXT": {"->gone.example", "!nxdomain"}}, "", "none 0/0", "d.example has no SPF record"},
		{"Sender ID is no SPF", zone{"d.example TXT": {"spf2.0/pra +all"}}, "", "none 0/0", ""},
		{"one label", zone{"example TXT": {"v=spf1 +all"}}, "from=user@example", "none 0/0", `"example" is no domain that can have a record`},
		{"an address literal", zone{}, "from=user@[192.0.2.1]", "none 0/0", ""},
		{"an empty label", zone{}, "from=user@a..example", "none 0/0", ""},
		{"an address for HELO", zone{}, "from= helo=192.0.2.1", "none 0/0", ""},

		// Section 2.4 and 4.3.
		{"the null sender", zone{"mail.d.example TXT": {"v=spf1 exists:%{l}.%{o}.x.example -all"}, "postmaster.mail.d.example.x.example A": {"127.0.0.2"}}, "from=", "pass 1/0", ""},
		{"no local part", zone{"d.example TXT": {"v=spf1 exists:%{l}.x.example -all"}, "postmaster.x.example A": {"127.0.0.2"}}, "from=@d.example", "pass 1/0", ""},
		{"a quoted @", zone{"d.example TXT": {"v=spf1 +all"}}, `from="a@b"@d.example`, "pass 0/0", ""},
		{"an IPv4-mapped client", zone{"d.example TXT": {"v=spf1 ip6:::/0 ip4:192.0.2.1 -all"}}, "ip=::ffff:192.0.2.1", "pass 0/0", "ip4:192.0.2.1"},
		{"U-labels", zone{"xn--bcher-kva.example TXT": {"v=spf1 exists:%{o}.x.example -all"}, "xn--bcher-kva.example.x.example A": {"127.0.0.2"}}, "from=user@Bücher.example.", "pass 1/0", ""},
		// RFC 8616 section 4.
		{"a local part that is not ASCII", zone{"d.example TXT": {"v=spf1 exists:%{l}.x.example ?include:%{s}.x.example a:%{d} -all"}}, "from=é@d.example", "fail 3/1", `"-all"`},
		{"which redirect cannot use", zone{"d.example TXT": {"v=spf1 redirect=%{l}.example"}}, "from=é@d.example", "permerror 1/0 no-record@d.example", ""},

		// Pitfalls 21 and 25: a void lookup counts once, by the term.
		{"two void lookups are allowed", zone{"d.example TXT": {"v=spf1 a mx -all"}}, "", "fail 2/2", ""},
		{"three are not", zone{"d.example TXT": {"v=spf1 a mx exists:x.example -all"}}, "", "permerror 3/3 voids@d.example", `"exists:x.example" in the record of d.example is the third term that finds nothing`},
		{"void through an include", zone{"d.example TXT": {"v=spf1 a include:i.example -all"}, "i.example TXT": {"v=spf1 mx a:x.example ~all"}}, "", "permerror 4/3 voids@i.example", ""},
		{"void by family: A alone", zone{"d.example TXT": {"v=spf1 a a a -all"}, "d.example A": {"192.0.2.9"}}, "ip=2001:db8::1", "permerror 3/3 voids@d.example", ""},
		{"not the hosts of mx", tenHosts(zone{"d.example TXT": {"v=spf1 mx -all"}}, "d.example", 9), "ip=2001:db8::1", "fail 1/0", ""},
		{"not exp", zone{"d.example TXT": {"v=spf1 a mx -all exp=gone.example"}}, "", "fail 2/2", ""},
		{"a TXT record that is no SPF is not void", zone{"d.example TXT": {"v=spf1 include:i.example -all"}, "i.example TXT": {"other"}}, "", "permerror 1/0 no-record@d.example", "i.example has no SPF record"},
		{"DNS64", zone{"d.example TXT": {"v=spf1 a a a -all"}, "d.example AAAA": {"64:ff9b::1"}}, "ip=2001:db8::1", "permerror 3/3 voids@d.example", ""},

		// Pitfall 22: the hosts of mx have a limit of their own.
		{"mx with ten hosts", tenHosts(zone{"d.example TXT": {"v=spf1 mx -all"}}, "d.example", 10), "", "pass 1/0", ""},
		{"mx with eleven hosts", tenHosts(zone{"d.example TXT": {"v=spf1 mx -all"}}, "d.example", 11), "", "permerror 1/0 names@d.example", "leads to 11 mail servers"},
		{"a null MX", zone{"d.example TXT": {"v=spf1 mx -all"}, "d.example MX": {"0 ."}}, "", "fail 1/0", ""},
		{"no implicit MX", zone{"d.example TXT": {"v=spf1 mx -all"}, "d.example A": {"192.0.2.1"}}, "", "fail 1/1", ""},
		{"a host that is not known", zone{"d.example TXT": {"v=spf1 mx -all"}, "d.example MX": {"10 a.example.", "20 b.example."}, "a.example A": {"!servfail"}, "b.example A": {"192.0.2.1"}}, "", "temperror 1/0 trouble=servfail", "the addresses of a.example"},
		{"a host that is not known, too late", zone{"d.example TXT": {"v=spf1 mx -all"}, "d.example MX": {"10 b.example.", "20 a.example."}, "a.example A": {"!servfail"}, "b.example A": {"192.0.2.1"}}, "", "pass 1/0", ""},

		// Pitfalls 23 and 24.
		{"include and redirect are one lookup each", zone{"d.example TXT": {"v=spf1 include:i.example redirect=r.example"}, "i.example TXT": {"v=spf1 -all"}, "r.example TXT": {"v=spf1 ip4:192.0.2.1 -all"}}, "", "pass 2/0", `"ip4:192.0.2.1" in the record of r.example`},
		{"a domain that is gone, two includes down", zone{"d.example TXT": {"v=spf1 include:i.example -all"}, "i.example TXT": {"v=spf1 include:gone.example -all"}, "gone.example TXT": {"!nxdomain"}}, "", "permerror 2/1 no-record@i.example", `"include:gone.example" in the record of i.example leads nowhere: gone.example does not exist`},
		{"redirect to nowhere", zone{"d.example TXT": {"v=spf1 redirect=gone.example"}, "gone.example TXT": {"!nxdomain"}}, "", "permerror 1/1 no-record@d.example", "gone.example does not exist"},

		// Pitfall 37 of the features: never "no SPF".
		{"an include that is not known", zone{"d.example TXT": {"v=spf1 include:i.example +all"}, "i.example TXT": {"!servfail"}}, "", "temperror 1/0 trouble=servfail", "the record of i.example is not known"},
		{"a term of an include that is not known", zone{"d.example TXT": {"v=spf1 include:i.example +all"}, "i.example TXT": {"v=spf1 a:x.example -all"}, "x.example A": {"!servfail"}}, "", "temperror 2/0 trouble=servfail", ""},
		{"one that is not reached", zone{"d.example TXT": {"v=spf1 ip4:192.0.2.1 include:i.example -all"}, "i.example TXT": {"!servfail"}}, "", "pass 0/0", ""},

		// Pitfalls 27 to 30. Strings are joined in TestCheckHostJoinsStrings.
		{"quotes", zone{"d.example TXT": {`"v=spf1 -all"`}}, "", "none 0/0", ""},
		{"v=spf10", zone{"d.example TXT": {"v=spf10 -all"}}, "", "none 0/0", ""},
		{"a leading blank", zone{"d.example TXT": {" v=spf1 -all"}}, "", "none 0/0", ""},
		{"all that is glued to something", zone{"d.example TXT": {"v=spf1 ip4:192.0.2.1-all"}}, "", "permerror 0/0 syntax@d.example", `"ip4:192.0.2.1-all" holds no IPv4 network (octet 12)`},
		{"a fault behind all", zone{"d.example TXT": {"v=spf1 +all foo"}}, "", "permerror 0/0 syntax@d.example", ""},
		{"all inside other words", zone{"d.example TXT": {"v=spf1 include:send-all.example a:x-all.example"}, "send-all.example TXT": {"v=spf1 ?all"}, "x-all.example A": {"192.0.2.9"}}, "", "neutral 2/0", "no mechanism"},
		{"the first all counts", zone{"d.example TXT": {"v=spf1 ~all -all"}}, "", "softfail 0/0", ""},
		{"redirect beside all", zone{"d.example TXT": {"v=spf1 redirect=r.example ?all"}}, "", "neutral 0/0", "?all"},
		{"redirect in front of mechanisms", zone{"d.example TXT": {"v=spf1 redirect=r.example ip4:192.0.2.1"}}, "", "pass 0/0", ""},

		// Pitfalls 31, 32 and 35.
		{"macros are not names", zone{"d.example TXT": {"v=spf1 a:%{d} exists:%{S}.x.example -all"}, "d.example A": {"192.0.2.9"}, "user%40d.example.x.example A": {"127.0.0.2"}}, "", "pass 2/0", ""},
		{"exists with the client, not with us", zone{"d.example TXT": {"v=spf1 exists:%{i}.x.example -all"}, "192.0.2.1.x.example A": {"127.0.0.2"}}, "ip=192.0.2.2", "fail 1/1", ""},
		{"exists asks for A over IPv6 as well", zone{"d.example TXT": {"v=spf1 exists:x.example -all"}, "x.example A": {"127.0.0.2"}}, "ip=2001:db8::1", "pass 1/0", ""},
		{"a negative qualifier that does not match", zone{"d.example TXT": {"v=spf1 -ip4:198.51.100.1 -a ?mx ~include:i.example +all"}, "d.example A": {"198.51.100.2"}, "d.example MX": {"0 ."}, "i.example TXT": {"v=spf1 -all"}}, "", "pass 3/0", ""},
		{"fail inside an include is no match", zone{"d.example TXT": {"v=spf1 include:i.example ~all"}, "i.example TXT": {"v=spf1 -ip4:192.0.2.1 +all"}}, "", "softfail 1/0", ""},
		{"a prefix length", zone{"d.example TXT": {"v=spf1 a:x.example/31//64 -all"}, "x.example A": {"192.0.2.0"}}, "", "pass 1/0", ""},
		{"a prefix length, IPv6", zone{"d.example TXT": {"v=spf1 a:x.example/31//64 -all"}, "x.example AAAA": {"2001:db8::ffff"}}, "ip=2001:db8::1", "pass 1/0", ""},

		// Section 5.5.
		{"ptr", zone{"d.example TXT": {"v=spf1 ptr -all"}, client192: {"x.D.example."}, "x.d.example A": {"192.0.2.1"}}, "", "pass 1/0", ""},
		{"ptr that does not lead back", zone{"d.example TXT": {"v=spf1 ptr -all"}, client192: {"x.d.example."}, "x.d.example A": {"192.0.2.2"}}, "", "fail 1/0", ""},
		{"ptr whose names only end alike", zone{"d.example TXT": {"v=spf1 ptr -all"}, client192: {"xd.example."}, "xd.example A": {"192.0.2.1"}}, "", "fail 1/0", ""},
		{"ptr that is not known is passed over", zone{"d.example TXT": {"v=spf1 ptr -all"}, client192: {"!servfail"}}, "", "fail 1/0 doubt=servfail", ""},
		{"a name that is not known is passed over", zone{"d.example TXT": {"v=spf1 ptr -all"}, client192: {"x.d.example.", "y.d.example."}, "x.d.example A": {"!servfail"}}, "", "fail 1/0 doubt=servfail", ""},
		{"no doubt where another name matches", zone{"d.example TXT": {"v=spf1 ptr -all"}, client192: {"x.d.example.", "y.d.example."}, "x.d.example A": {"!servfail"}, "y.d.example A": {"192.0.2.1"}}, "", "pass 1/0", ""},
		{"every ptr that finds nothing counts", zone{"d.example TXT": {"v=spf1 ptr ptr ptr -all"}}, "", "permerror 3/3 voids@d.example", ""},
		{"%{p} counts as a lookup", zone{"d.example TXT": {"v=spf1 exists:%{p}.x.example -all"}, client192: {"a.example.", "x.d.example."}, "a.example A": {"192.0.2.1"}, "x.d.example A": {"192.0.2.1"}, "x.d.example.x.example A": {"127.0.0.2"}}, "", "pass 2/0", ""},
		{"%{p} is unknown", zone{"d.example TXT": {"v=spf1 exists:%{p}.x.example -all"}, client192: {"!servfail"}, "unknown.x.example A": {"127.0.0.2"}}, "", "pass 2/0 doubt=servfail", ""},

		// Pitfall 34, and the limit of section 4.6.4.
		{"ten lookups", zone{"d.example TXT": {"v=spf1 a a a a a a a a a a -all"}, "d.example A": {"192.0.2.9"}}, "", "fail 10/0", ""},
		{"eleven, and -all does not help", zone{"d.example TXT": {"v=spf1 a a a a a a a a a a a -all"}, "d.example A": {"192.0.2.9"}}, "", "permerror 10/0 lookups@d.example", `"a" in the record of d.example would be more than ten lookups`},
		{"an eleventh that is not reached", zone{"d.example TXT": {"v=spf1 a a a a a a a a a a ip4:192.0.2.1 a -all"}, "d.example A": {"192.0.2.9"}}, "", "pass 10/0", ""},
		{"%{p} as the eleventh", zone{"d.example TXT": {"v=spf1 a a a a a a a a a exists:%{p}.example -all"}, "d.example A": {"192.0.2.9"}}, "", "permerror 9/0 lookups@d.example", ""},
		{"an include loop", zone{"d.example TXT": {"v=spf1 include:i.example -all"}, "i.example TXT": {"v=spf1 include:d.example -all"}}, "", "permerror 10/0 lookups@d.example", "more than ten lookups, for d.example leads back to itself"},
		{"a redirect loop", zone{"d.example TXT": {"v=spf1 redirect=d.example"}}, "", "permerror 10/0 lookups@d.example", "d.example leads back to itself"},
		{"names that are none are names that do not exist", zone{"d.example TXT": {"v=spf1 a:a..example a:" + strings.Repeat("x", 64) + ".example -all"}}, "", "fail 2/2", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := CheckHost(t.Context(), c.zone, query(t, strings.Fields(c.query)...))
			checkShape(t, got)
			if outline(got) != c.want || !strings.Contains(got.Why, c.why) {
				t.Errorf("got  %s: %s\nwant %s: %s", outline(got), got.Why, c.want, c.why)
			}
		})
	}
}

// TestCheckHostJoinsStrings: with nothing between them (RFC 7208 section 3.3,
// pitfall 27).
func TestCheckHostJoinsStrings(t *testing.T) {
	for want, strs := range map[audit.SPFResult][]string{
		audit.SPFPass:      {"v=spf1 ip4:192.0.", "2.1 -all"},
		audit.SPFNone:      {"v=spf1", "ip4:192.0.2.1 -all"},
		audit.SPFPermError: {"v=spf1 ip4:192.0.2.1", "-all"},
		audit.SPFFail:      {"", "v=s", "pf1 -", "all", ""},
	} {
		got := CheckHost(t.Context(), strung(strs), query(t))
		if got.Result != want {
			t.Errorf("%q: %s: %s", strs, got.Result, got.Why)
		}
	}
}

// TestCheckHostExplains: the words of the domain, and when there are none (RFC
// 7208 section 6.2).
func TestCheckHostExplains(t *testing.T) {
	cases := []struct {
		name  string
		zone  zone
		query string
		want  string
	}{
		{"all macros", zone{"d.example TXT": {"v=spf1 -all exp=%{d}.x.example"}, "d.example.x.example TXT": {"%{i} %{c} %{s} %{h} %{r} %{t} %{p}, see http://%{d}/?%{S}"}}, "ip=2001:db8::1",
			"2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1 2001:db8::1 user@d.example mail.d.example mx.receiver.example 1700000000 unknown, see http://d.example/?user%40d.example"},
		{"that of the record that decides", zone{"d.example TXT": {"v=spf1 include:i.example exp=no.example redirect=r.example"}, "i.example TXT": {"v=spf1 -all exp=no.example"},
			"r.example TXT": {"v=spf1 -all exp=yes.example"}, "yes.example TXT": {"%{d} says no"}, "no.example TXT": {"wrong"}}, "", "r.example says no"},
		{"not that of the domain in front of redirect", zone{"d.example TXT": {"v=spf1 exp=no.example redirect=r.example"}, "r.example TXT": {"v=spf1 -all"}, "no.example TXT": {"wrong"}}, "", ""},
		{"not for other results", zone{"d.example TXT": {"v=spf1 ~all exp=no.example"}, "no.example TXT": {"wrong"}}, "", ""},
		{"the sender is a stranger", zone{"d.example TXT": {"v=spf1 -all exp=x.example"}, "x.example TXT": {"%{l}"}}, "from=\x1b[31mé@d.example", "?[31m?"},
		{"bounded", zone{"d.example TXT": {"v=spf1 -all exp=x.example"}, "x.example TXT": {strings.Repeat("x", 2000)}}, "", strings.Repeat("x", 500)},
		{"not ASCII", zone{"d.example TXT": {"v=spf1 -all exp=x.example"}, "x.example TXT": {"caf\xc3\xa9"}}, "", ""},
		{"a macro that does not exist", zone{"d.example TXT": {"v=spf1 -all exp=x.example"}, "x.example TXT": {"%{x}"}}, "", ""},
		{"two records", zone{"d.example TXT": {"v=spf1 -all exp=x.example"}, "x.example TXT": {"a", "b"}}, "", ""},
		{"none", zone{"d.example TXT": {"v=spf1 -all exp=x.example"}}, "", ""},
		{"not known", zone{"d.example TXT": {"v=spf1 -all exp=x.example"}, "x.example TXT": {"!servfail"}}, "", ""},
		{"no name", zone{"d.example TXT": {"v=spf1 -all exp=x..example"}}, "", ""},
	}
	for _, c := range cases {
		got := CheckHost(t.Context(), c.zone, query(t, strings.Fields(c.query)...))
		if string(got.Explanation) != c.want {
			t.Errorf("%s: %s with %q, want %q", c.name, got.Result, got.Explanation, c.want)
		}
	}
}

// strung answers every TXT question with one record of these strings.
type strung []string

func (s strung) Ask(_ context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	rr := &dns.TXT{Hdr: dns.RR_Header{Name: name.FQDN(), Rrtype: qtype, Class: dns.ClassINET}, Txt: s}
	return &resolve.Answer{Name: name, Type: qtype, State: audit.Seen, Records: []dns.RR{rr}}
}

// TestCheckHostTree holds the form of the tree, which is printed as JSON.
func TestCheckHostTree(t *testing.T) {
	z := zone{
		"d.example TXT": {"v=spf1 a:gone.example ?mx include:i.example exp=x.example -all ip4:192.0.2.7"},
		"d.example MX":  {"20 b.example.", "10 a.example."},
		"a.example A":   {"198.51.100.1", "198.51.100.0"},
		"i.example TXT": {"->real.example", "v=spf1 ip4:192.0.2.0/24 ~all"},
	}
	const want = `{"result":"pass","explanation":"","lookups":3,"void_lookups":1,
"ip":"192.0.2.1","identity":"mailfrom","sender":"user@d.example","helo":"mail.d.example","domain":"d.example",
"why":"\"include:i.example\" in the record of d.example matches: \"ip4:192.0.2.0/24\" in the record of i.example matches",
"matched":[{"domain":"d.example","term":"include:i.example","at":27},{"domain":"i.example","term":"ip4:192.0.2.0/24","at":8}],
"tree":{"domain":"d.example","via":"dig -t TXT -q d.example","state":"seen",
 "records":["v=spf1 a:gone.example ?mx include:i.example exp=x.example -all ip4:192.0.2.7"],
 "steps":[
 {"term":"a:gone.example","at":8,"outcome":"no-match","target":"gone.example","via":"dig -t A -q gone.example","state":"absent","answer":{"code":"nodata"},
  "lookups":1,"void_lookups":1,"lookups_then":1,"void_lookups_then":1},
 {"term":"?mx","at":23,"outcome":"no-match","target":"d.example","via":"dig -t MX -q d.example","state":"seen",
  "hosts":["a.example","b.example"],"addresses":["198.51.100.0","198.51.100.1"],"host_voids":1,
  "lookups":1,"lookups_then":2,"void_lookups_then":1},
 {"term":"include:i.example","at":27,"outcome":"match","target":"i.example","via":"dig -t TXT -q i.example","state":"seen",
  "node":{"domain":"i.example","via":"dig -t TXT -q i.example","state":"seen","alias":["real.example"],"records":["v=spf1 ip4:192.0.2.0/24 ~all"],
   "steps":[{"term":"ip4:192.0.2.0/24","at":8,"outcome":"match","lookups_then":3,"void_lookups_then":1},{"term":"~all","at":25}],
   "result":"pass","why":"\"ip4:192.0.2.0/24\" in the record of i.example matches","lookups":0,"void_lookups":0},
  "lookups":1,"lookups_then":3,"void_lookups_then":1},
 {"term":"-all","at":59},
 {"term":"ip4:192.0.2.7","at":64}],
 "result":"pass","why":"\"include:i.example\" in the record of d.example matches: \"ip4:192.0.2.0/24\" in the record of i.example matches",
 "lookups":3,"void_lookups":1}}`
	got, err := json.Marshal(CheckHost(t.Context(), z, query(t)))
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, []byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != compact.String() {
		t.Errorf("got  %s\nwant %s", got, compact.String())
	}
	var back audit.SPFCheck
	err = json.Unmarshal(got, &back)
	again, _ := json.Marshal(back)
	if err != nil || string(again) != string(got) {
		t.Errorf("read back: %v\n%s", err, again)
	}
}

// TestCheckHostKeepsFewAddresses: the tree is for people.
func TestCheckHostKeepsFewAddresses(t *testing.T) {
	z := zone{"d.example TXT": {"v=spf1 a -all"}}
	for i := range 200 {
		z["d.example A"] = append(z["d.example A"], fmt.Sprintf("198.51.100.%d", i))
	}
	z["d.example A"] = append(z["d.example A"], "192.0.2.1", "192.0.2.1")
	got := CheckHost(t.Context(), z, query(t))
	step := got.Tree.Steps[0]
	if got.Result != audit.SPFPass || len(step.Addresses) != audit.MaxFollowed || step.LeftOut != 201-audit.MaxFollowed {
		t.Errorf("%s with %d addresses and %d left out", got.Result, len(step.Addresses), step.LeftOut)
	}
}

// TestCheckHostOverTCP: a record that fits in no UDP packet, with the includes
// of a large organisation (pitfall 33).
func TestCheckHostOverTCP(t *testing.T) {
	var long strings.Builder
	for i := range 120 {
		fmt.Fprintf(&long, " ip4:198.51.%d.0/24", i)
	}
	data := map[string][]yaml.Node{}
	for name, record := range map[string]string{
		"d.example": "v=spf1 include:_spf1.d.example -all", "_spf1.d.example": "v=spf1 include:a.example include:b.example include:c.example -all",
		"a.example": "v=spf1" + long.String() + " include:a2.example -all", "a2.example": "v=spf1 ip4:203.0.113.0/24 -all", "b.example": "v=spf1 ?all", "c.example": "V=SPF1 +IP4:192.0.2.0/24 -ALL",
	} {
		data[name] = []yaml.Node{{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "TXT"}, {Kind: yaml.ScalarNode, Value: record}}}}
	}
	got := CheckHost(t.Context(), newSuiteZone(t, data).loopback(t), query(t))
	if outline(got) != "pass 5/0" || !strings.Contains(got.Why, "in the record of c.example") {
		t.Errorf("%s: %s", outline(got), got.Why)
	}
}

func TestSPFLeftovers(t *testing.T) {
	z := zone{
		"example.org TXT": {"->apex.example.net", "v=spf1 -all", "spf2.0/mfrom,pra -all", "other"},
		"example.org SPF": {`"v=spf1 " "-all"`},
	}
	got := ObserveSPFLeftovers(t.Context(), z, domain(t, "example.org"))
	if fmt.Sprint(got.Alias.Value, got.SenderID.Value, got.Type99.Value) != "[apex.example.net] [spf2.0/mfrom,pra -all] [v=spf1 -all]" {
		t.Errorf("%+v", got)
	}
	got = ObserveSPFLeftovers(t.Context(), zone{"example.org TXT": {"v=spf1 -all"}}, domain(t, "example.org"))
	if got.Alias.State != audit.Absent || got.SenderID.State != audit.Absent || got.Type99.State != audit.Absent {
		t.Errorf("of nothing: %+v", got)
	}
	got = ObserveSPFLeftovers(t.Context(), zone{"example.org TXT": {"!servfail"}, "example.org SPF": {"!servfail"}}, domain(t, "example.org"))
	if got.Alias.State != audit.Unknown || got.SenderID.State != audit.Unknown || got.Type99.State != audit.Unknown {
		t.Errorf("of nothing known: %+v", got)
	}
}
