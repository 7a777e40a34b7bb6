package dnscheck

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

// observe is SPF as an audit keeps it: in canonical form, through its JSON.
func observe(t *testing.T, a Asker, q SPFSubject) audit.SPF {
	t.Helper()
	f := audit.Facts{SPF: SPF(t.Context(), a, q)}
	f.Canonical()
	data, err := json.Marshal(f.SPF)
	if err != nil {
		t.Fatal(err)
	}
	var out audit.SPF
	err = json.Unmarshal(data, &out)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sameTree holds the policy that is put together from facts against the survey's
// own: the same, but for what no facts have.
func sameTree(t *testing.T, a Asker, d audit.Domain) {
	t.Helper()
	want := SPFPolicy(t.Context(), a, d.Name()).WithoutTTLs()
	got := observe(t, a, SPFSubject{Domain: d}).Policy(d)
	want.Questions = 0
	if diff := cmp.Diff(strings.Split(mustJSON(t, want), "\n"), strings.Split(mustJSON(t, got), "\n")); diff != "" { // as lines: cmp takes for ever over deep trees
		t.Errorf("%s: -survey +facts\n%s", d, diff)
	}
}

// Ensure facts hold all that a policy is made of, in worlds of all kinds.
func TestSPFFactsHoldThePolicy(t *testing.T) {
	for name, z := range map[string]zone{
		"everything": {
			"d.example TXT":            {"v=spf1 a mx a:six.example exists:%{i}.x.example exists:%{d}.list.example include:i.example include:alias.example include:dark.example include:gone.example include:many.example include:i.example ptr -all exp=why.example", "other"},
			"d.example A":              {"192.0.2.2", "192.0.2.1"},
			"d.example AAAA":           {"64:ff9b::1", "2001:db8::1"},
			"d.example MX":             {"10 b.example.", "5 a.example."},
			"a.example A":              {"192.0.2.10"},
			"b.example AAAA":           {"2001:db8::10"},
			"b.example A":              {"!servfail"},
			"six.example AAAA":         {"64:ff9b::1"},
			"i.example TXT":            {"v=spf1 mx:d.example redirect=r.example"},
			"r.example TXT":            {"v=spf1 ip4:198.51.100.0/24 -all"},
			"alias.example TXT":        {"->real.example", "v=spf1 -all"},
			"dark.example TXT":         {"!servfail"},
			"gone.example TXT":         {"!nxdomain"},
			"many.example TXT":         {"v=spf1 mx -all"},
			"many.example MX":          elevenHosts(),
			"d.example.list.example A": {"127.0.0.2"},
		},
		"no record":           {"d.example TXT": {"other"}},
		"no records":          {},
		"no domain":           {"d.example TXT": {"!nxdomain"}},
		"an alias":            {"d.example TXT": {"->real.example", "v=spf1 mx -all"}},
		"not known":           {"d.example TXT": {"!servfail"}},
		"several":             {"d.example TXT": {"v=spf1 mx -all", "V=SPF1 a -all", "other"}},
		"broken":              {"d.example TXT": {"v=spf1 include:i.example foo -all"}},
		"a loop":              {"d.example TXT": {"v=spf1 include:i.example a -all"}, "i.example TXT": {"v=spf1 mx include:d.example include:i.example -all"}},
		"names that vary":     {"d.example TXT": {"v=spf1 include:%{i}._spf.%{d2} exists:%{l}.x.example a:%{d}.y.example redirect=%{h}.example"}},
		"names that are none": {"d.example TXT": {"v=spf1 include:a..example a:" + strings.Repeat("x", 64) + ".example include:%{d1} include:1.2.3.4.%{d} -all"}},
		"others":              {"d.example TXT": {"v=spf1 include:i.example -all"}, "i.example TXT": {"other"}},
		"dark hosts":          {"d.example TXT": {"v=spf1 mx mx:e.example a:f.example exists:g.example -all"}, "d.example MX": {"!servfail"}, "e.example MX": {"0 ."}, "f.example A": {"!servfail"}, "g.example A": {"!servfail"}},
		"half dark":           {"d.example TXT": {"v=spf1 a a:f.example a:h.example -all"}, "d.example A": {"192.0.2.1"}, "d.example AAAA": {"!servfail"}, "f.example A": {"!servfail"}, "f.example AAAA": {"2001:db8::1"}, "h.example AAAA": {"!servfail"}},
		"many addresses":      {"d.example TXT": {"v=spf1 a mx -all"}, "d.example A": manyAddresses(50), "d.example MX": {"0 d.example."}},
	} {
		t.Run(name, func(t *testing.T) { sameTree(t, z, domain(t, "d.example")) })
	}
	t.Run("more than is followed", func(t *testing.T) {
		z := zone{}
		for i := range 60 {
			z[fmt.Sprintf("c%d.example TXT", i)] = []string{fmt.Sprintf("v=spf1 mx a:a%d.example include:c%d.example -all", i, i+1)}
			z[fmt.Sprintf("c%d.example MX", i)] = []string{fmt.Sprintf("0 a.m%d.example.", i), fmt.Sprintf("0 b.m%d.example.", i), fmt.Sprintf("0 c.m%d.example.", i)}
		}
		sameTree(t, z, domain(t, "c0.example"))
		p := observe(t, z, SPFSubject{Domain: domain(t, "c0.example")}).Policy(domain(t, "c0.example"))
		if p.NotAsked < 10 || p.Exact {
			t.Errorf("%d terms were not asked for, exact %t", p.NotAsked, p.Exact)
		}
	})
}

func manyAddresses(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("192.0.2.%d", i))
	}
	return out
}

// Ensure the same in worlds that nobody thought of.
func TestSPFFactsHoldThePolicyAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7208))
	d := domain(t, "n0.example")
	for range 300 {
		z := zone{}
		name := func() string { return fmt.Sprintf("n%d.example", r.IntN(8)) }
		for i := range 8 {
			text := "v=spf1"
			for range r.IntN(5) {
				text += " " + []string{"", "-", "?"}[r.IntN(3)] + []string{"a:" + name(), "mx:" + name(), "exists:" + name(), "include:" + name(), "include:%{i}." + name(), "ip4:192.0.2.0/24", "ptr", "a", "mx/24"}[r.IntN(9)]
			}
			if r.IntN(4) == 0 {
				text += " redirect=" + name()
			}
			for qtype, answers := range map[string][]string{
				"TXT": {text, text, text, text, "other", "->" + name()}, "A": {"192.0.2.7", "198.51.100.1"}, "AAAA": {"2001:db8::7", "64:ff9b::1"}, "MX": {"0 " + name() + ".", "5 ."},
			} {
				switch key := fmt.Sprintf("n%d.example %s", i, qtype); r.IntN(8) {
				case 0:
					z[key] = []string{"!servfail"}
				case 1:
					z[key] = []string{"!nxdomain"}
				case 2:
				default:
					z[key] = []string{answers[r.IntN(len(answers))]}
				}
			}
		}
		sameTree(t, z, d)
		if t.Failed() {
			t.Fatalf("%v", z)
		}
	}
}

// Ensure what stands beside the policy is observed as it is.
func TestSPFRecords(t *testing.T) {
	d := domain(t, "example.org")
	got := observe(t, zone{
		"example.org TXT": {"v=spf1 a \x00mx -all", "v=spf1 -all", " v=spf1 mx -all", "spf2.0/pra -all", "v=DMARC1; p=none", "v=spf1 ?all\x00"},
		"example.org SPF": {`"v=spf1 " "-all"`},
	}, SPFSubject{Domain: d})
	for what, both := range map[string][2]string{
		"records":   {fmt.Sprint(got.Records.Value), "[v=spf1 -all v=spf1 ?all v=spf1 a mx -all]"},
		"strings":   {fmt.Sprintf("%q", got.Strings.Value), `[{["v=spf1 ?all" ""]} {["v=spf1 a " "mx -all"]}]`},
		"joined":    {string(got.Strings.Value[1].Joined()), "v=spf1 a mx -all"},
		"misses":    {fmt.Sprintf("%q", got.Misses.Value), `[" v=spf1 mx -all"]`},
		"sender id": {fmt.Sprint(got.SenderID.Value), "[spf2.0/pra -all]"},
		"type 99":   {fmt.Sprint(got.Type99.Value), "[v=spf1 -all]"},
		"others":    {fmt.Sprint(got.Answer.Value.Others), "3"},
		"alias":     {string(got.Alias.State), "absent"},
		"explained": {string(got.Explained.Why.Code), "not-applicable"},
	} {
		if both[0] != both[1] {
			t.Errorf("%s: %s, want %s", what, both[0], both[1])
		}
	}
	for _, c := range []struct {
		txt                              []string
		records, strings, misses, answer audit.State
	}{
		{[]string{"v=spf1 -all"}, audit.Seen, audit.Absent, audit.Absent, audit.Seen},
		{[]string{"other"}, audit.Absent, audit.NotTried, audit.Absent, audit.Seen},
		{[]string{"v=spf 1"}, audit.Absent, audit.NotTried, audit.Seen, audit.Seen},
		{nil, audit.Absent, audit.NotTried, audit.Absent, audit.NotTried},
		{[]string{"!nxdomain"}, audit.Absent, audit.NotTried, audit.Absent, audit.NotTried},
		{[]string{"!servfail"}, audit.Unknown, audit.Unknown, audit.Unknown, audit.Unknown},
	} {
		got := observe(t, zone{"example.org TXT": c.txt}, SPFSubject{Domain: d})
		if got.Records.State != c.records || got.Strings.State != c.strings || got.Misses.State != c.misses || got.Answer.State != c.answer {
			t.Errorf("%q: %+v", c.txt, got)
		}
	}
}

// Ensure the size of an answer is that on the wire: held against messages that
// are made in another way.
func TestSPFAnswerSize(t *testing.T) {
	long := "v=spf1 " + strings.Repeat("ip4:192.0.2.1 ", 17) + "-all"
	cases := []struct {
		txt  []string
		want int
	}{
		// Header, question (13 + 4), one record (pointer, 10, length and text), OPT.
		{[]string{"v=spf1 -all"}, 12 + 17 + 2 + 10 + 12 + 11},
		{[]string{"v=spf1 -all", "x"}, 12 + 17 + 2 + 10 + 12 + 2 + 10 + 2 + 11},
		{[]string{long[:200] + "\x00" + long[200:]}, 12 + 17 + 2 + 10 + 2 + len(long) + 11},
		// An alias: pointer, 10, and a name whose end is another pointer: "real" and
		// ".example.org" of the question is "example.org" itself.
		{[]string{"->real.example.org", "v=spf1 -all"}, 12 + 17 + 2 + 10 + 7 + 2 + 10 + 12 + 11},
		{[]string{"->a.example.net", "->b.example.net", "v=spf1 -all"}, 12 + 17 + (2 + 10 + 15 + 2) - 2 + (2 + 10 + 4) + 2 + 10 + 12 + 11},
		{[]string{`v=spf1 \\ \200 -all`}, 12 + 17 + 2 + 10 + 1 + len("v=spf1 \\ \xc8 -all") + 11},
	}
	for _, c := range cases {
		got := observe(t, zone{"example.org TXT": c.txt}, SPFSubject{Domain: domain(t, "example.org")})
		if got.Answer.Value.Octets != c.want {
			t.Errorf("%q: %d octets, want %d", c.txt, got.Answer.Value.Octets, c.want)
		}
	}
	var huge []string
	for i := range 300 {
		huge = append(huge, fmt.Sprintf("%d%s", i, strings.Repeat("x", 250)))
	}
	got := observe(t, zone{"example.org TXT": huge}, SPFSubject{Domain: domain(t, "example.org")})
	if got.Answer.State != audit.Unknown || got.Answer.Why.Code != audit.Oversized {
		t.Errorf("%+v", got.Answer)
	}
}

// Ensure the explanation is asked for where its name is the same for everyone.
func TestSPFExplained(t *testing.T) {
	for record, want := range map[string]string{
		"v=spf1 -all exp=why.%{d}":     "seen [no entry]",
		"v=spf1 -all exp=gone.%{d}":    "absent []",
		"v=spf1 -all exp=dark.%{d}":    "unknown []",
		"v=spf1 -all exp=%{i}.%{d}":    "not-applicable []",
		"v=spf1 -all exp=a..%{d}":      "absent []",
		"v=spf1 -all":                  "not-applicable []",
		"v=spf1 foo -all exp=why.%{d}": "not-applicable []",
		"other":                        "not-applicable []",
		"!servfail":                    "unknown []",
	} {
		got := observe(t, zone{
			"example.org TXT": {record}, "why.example.org TXT": {"no entry"}, "dark.example.org TXT": {"!servfail"},
		}, SPFSubject{Domain: domain(t, "example.org")}).Explained
		state := string(got.State)
		if got.State == audit.NotTried {
			state = string(got.Why.Code)
		}
		if text := fmt.Sprint(state, " ", got.Value); text != want {
			t.Errorf("%q: %s, want %s", record, text, want)
		}
	}
}

// Ensure a name that does not exist is followed up to whoever may have it.
func TestSPFRegistrable(t *testing.T) {
	const (
		gone = "!nxdomain"
		dark = "!servfail"
	)
	for _, c := range []struct {
		name string
		zone zone
		want string // state, code of why, domain
		most int    // questions about owners
	}{
		{"_spf.example.com", zone{"_spf.example.com TXT": {gone}, "example.com NS": {"ns.example.com."}}, "seen  example.com", 1},
		{"_spf.example.com", zone{"_spf.example.com TXT": {gone}, "example.com NS": {gone}}, "absent nxdomain example.com", 1},
		{"_spf.example.com", zone{"_spf.example.com TXT": {gone}, "example.com NS": {dark}}, "unknown servfail example.com", 1},
		{"_spf.example.com", zone{"_spf.example.com TXT": {gone}}, "seen  example.com", 1}, // no such records, but the name
		{"_spf.example.com", zone{"_spf.example.com TXT": {gone}, "example.com NS": {"->elsewhere.net", gone}}, "seen  example.com", 1},
		{"_spf.example.com", zone{"_spf.example.com TXT": {gone}, "example.com NS": {gone + " of com"}}, "absent nxdomain example.com", 1},
		// A zone says that there is no such name, and is there to say so.
		{"_spf.example.com", zone{"_spf.example.com TXT": {gone + " of com"}, "example.com NS": {gone + " of example.com"}}, "seen  example.com", 1},
		{"_spf.example.com", zone{"_spf.example.com TXT": {gone + " of example.com"}, "example.com NS": {gone}}, "seen  example.com", 1},
		// One answer alone settles nothing.
		{"example.com", zone{"example.com TXT": {gone}, "example.com NS": {gone}}, "absent nxdomain example.com", 1},
		{"example.com", zone{"example.com TXT": {gone}}, "seen  example.com", 1},
		{"example.com", zone{"example.com TXT": {gone}, "example.com NS": {dark}}, "unknown servfail example.com", 1},
		// Whose names are given away, and what is in them, is for their owner to say.
		{"x.github.io", zone{"x.github.io TXT": {gone}, "x.github.io NS": {gone}}, "unknown not-learned x.github.io", 2},
		{"x.github.io", zone{"x.github.io TXT": {gone}, "x.github.io NS": {gone}, "github.io NS": {gone}}, "absent nxdomain github.io", 2},
		{"x.github.io", zone{"x.github.io TXT": {gone}, "x.github.io NS": {gone}, "github.io NS": {dark}}, "unknown servfail x.github.io", 2},
		{"a.b.s3.dualstack.eu-west-1.amazonaws.com", zone{"a.b.s3.dualstack.eu-west-1.amazonaws.com TXT": {gone}, "b.s3.dualstack.eu-west-1.amazonaws.com NS": {gone}, "amazonaws.com NS": {gone}}, "absent nxdomain amazonaws.com", 2},
		{"github.io", zone{"github.io TXT": {gone}}, " not-applicable ", 0},
		{"a.b.example.co.uk", zone{"a.b.example.co.uk TXT": {gone}, "example.co.uk NS": {gone}}, "absent nxdomain example.co.uk", 1},
		{"co.uk", zone{"co.uk TXT": {gone}}, " not-applicable ", 0},
		{"_spf.example.comm", zone{"_spf.example.comm TXT": {gone}, "example.comm NS": {gone}, "comm NS": {gone}}, " not-applicable ", 2},
		{"_spf.example.comm", zone{"_spf.example.comm TXT": {gone}, "example.comm NS": {gone}, "comm NS": {"ns.comm."}}, "unknown not-learned example.comm", 2}, // a new one, or our own resolver's
		{"_spf.example.comm", zone{"_spf.example.comm TXT": {gone}, "example.comm NS": {gone}, "comm NS": {dark}}, "unknown servfail example.comm", 2},
		{"_spf.example.comm", zone{"_spf.example.comm TXT": {gone}, "example.comm NS": {"ns.example.comm."}, "comm NS": {dark}}, "seen  example.comm", 2},
		// An alias that leads to nowhere: its target is what somebody may have.
		{"spf.example.com", zone{"spf.example.com TXT": {"->x.dead.net", gone}, "dead.net NS": {gone}}, "absent nxdomain dead.net", 1},
		{"spf.example.com", zone{"spf.example.com TXT": {"->y.example.com", "->dead.net", gone}, "dead.net NS": {gone}}, "absent nxdomain dead.net", 1},
		{"spf.example.com", zone{"spf.example.com TXT": {`->a\.dead.net`, gone}, "dead.net NS": {gone}}, " not-applicable ", 0}, // the dot is in a label
		{"spf.example.com", zone{"spf.example.com TXT": {"->x.dead.net"}}, "  ", 0},
		{"_spf.example.com", zone{"_spf.example.com TXT": {"v=spf1 -all"}}, "  ", 0},
		{"_spf.example.com", zone{"_spf.example.com TXT": {"other"}}, "  ", 0},
		{"_spf.example.com", zone{"_spf.example.com TXT": {dark}}, "  ", 0},
	} {
		c.zone["example.org TXT"] = []string{"v=spf1 include:" + c.name + " -all"}
		synctest.Test(t, func(t *testing.T) {
			z := &slow{answer: c.zone}
			b := observe(t, z, SPFSubject{Domain: domain(t, "example.org")}).Below[0]
			if got := fmt.Sprintf("%s %s %s", b.Registered.State, b.Registered.Why.Code, b.Registrable); got != c.want {
				t.Errorf("%v: %s, want %s", c.zone, got, c.want)
			}
			ns := 0
			for q := range z.asked {
				if strings.HasSuffix(q, " NS") {
					ns++
				}
			}
			if ns != c.most {
				t.Errorf("%v: %d questions, want %d", z.asked, ns, c.most)
			}
		})
	}
}

// Ensure senders are judged as receivers judge them, and what is not known stays
// so.
func TestSPFSenders(t *testing.T) {
	d := domain(t, "d.example")
	ips := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	z := zone{
		"d.example TXT":     {"v=spf1 include:i.example ptr:x.example exists:%{l}.%{h}.y.example ~all"},
		"i.example TXT":     {"v=spf1 ip4:192.0.2.0/24 -all"},
		"mail.example TXT":  {"v=spf1 a -all exp=why.example", "other"},
		"mail.example A":    {"192.0.2.1"},
		"mail.example AAAA": {"2001:db8::2"},
		"dark.example TXT":  {"!servfail"},
		audit.ReverseName(ips[1]).String() + " PTR": {"!servfail"},
	}
	got := observe(t, z, SPFSubject{Domain: d, Senders: ips, Hellos: []audit.DNSName{"mail.example", "dark.example", "none.example"}})
	verdict := func(s audit.SPFSender) string {
		v := s.Verdict
		if v.State != audit.Seen {
			return fmt.Sprintf("%s %s %s, %s", s.Addr, v.State, v.Why.Code, v.Via)
		}
		return fmt.Sprintf("%s %s %s@%s %d/%d, %s", s.Addr, v.Value.Result, v.Value.Term, v.Value.In, v.Value.Lookups, v.Value.Voids, v.Via)
	}
	var lines []string
	for _, s := range got.Senders {
		lines = append(lines, verdict(s))
	}
	for _, h := range got.Hellos {
		lines = append(lines, fmt.Sprintf("%s %s %v", h.Name, h.Records.State, h.Records.Value))
		for _, s := range h.Senders {
			lines = append(lines, verdict(s))
		}
	}
	want := []string{
		"192.0.2.1 pass ip4:192.0.2.0/24@i.example 1/0, mailaudit spf d.example --ip 192.0.2.1",
		"2001:db8::1 unknown servfail, mailaudit spf d.example --ip 2001:db8::1", // ptr is passed over, and may have matched
		"dark.example unknown []",
		"192.0.2.1 unknown servfail, mailaudit spf dark.example --mail-from '' --ip 192.0.2.1",
		"2001:db8::1 unknown servfail, mailaudit spf dark.example --mail-from '' --ip 2001:db8::1",
		"mail.example seen [v=spf1 a -all exp=why.example]",
		"192.0.2.1 pass a@mail.example 1/0, mailaudit spf mail.example --mail-from '' --ip 192.0.2.1",
		"2001:db8::1 fail -all@mail.example 1/0, mailaudit spf mail.example --mail-from '' --ip 2001:db8::1",
		"none.example absent []",
		"192.0.2.1 none @ 0/0, mailaudit spf none.example --mail-from '' --ip 192.0.2.1",
		"2001:db8::1 none @ 0/0, mailaudit spf none.example --mail-from '' --ip 2001:db8::1",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// Ensure no policy takes the questions away that the rest of an audit needs, and
// no answer is waited for that is not needed.
func TestSPFIsBounded(t *testing.T) {
	var ips []netip.Addr
	for i := range 200 {
		ips = append(ips, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	record := "v=spf1"
	for i := range 4 {
		record += fmt.Sprintf(" exists:%d.%%{i}.%%{d} include:%d.%%{d} mx:%d.%%{d}", i, i, i)
	}
	synctest.Test(t, func(t *testing.T) {
		z := &slow{answer: endless{record + " -all exp=%{i}.%{d}"}}
		f := observe(t, z, SPFSubject{Domain: domain(t, "d.example"), Senders: ips, Hellos: []audit.DNSName{"h.example"}, Former: []audit.DNSName{"f.example"}})
		if len(z.asked) > SPFMaxQuestions+spfCheckQuestions+spfCheckAhead+2 {
			t.Errorf("%d questions", len(z.asked))
		}
		short := 0
		for _, s := range f.Senders {
			if s.Verdict.Why.Code == audit.Budget {
				short++
			}
		}
		if short == 0 || f.Policy(domain(t, "d.example")).NotAsked == 0 {
			t.Errorf("%d of the senders fell short", short)
		}
		t.Logf("%d questions, %d senders fell short", len(z.asked), short)
	})
}

// TestSPFRoundTrips counts them: senders, HELO names and former includes of no
// consequence take none more than the includes are deep, and one.
func TestSPFRoundTrips(t *testing.T) {
	base := zone{
		"d.example TXT":  {"v=spf1 mx include:i1.example include:i2.example -all exp=why.example"},
		"i1.example TXT": {"v=spf1 include:i3.example -all"},
		"i2.example TXT": {"v=spf1 a:a.example -all"},
		"i3.example TXT": {"v=spf1 ip4:198.51.100.0/24 -all"},
		"d.example MX":   {"0 a.example."}, "a.example A": {"192.0.2.10"}, "why.example TXT": {"no"},
	}
	with := func(name, value string) zone {
		out := zone{name: {value}}
		for k, v := range base {
			if k != name {
				out[k] = v
			}
		}
		return out
	}
	senders := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")}
	for _, c := range []struct {
		name string
		zone zone
		q    SPFSubject
		want int // and why
	}{
		// The record, i1 and i2, i3.
		{"a policy", base, SPFSubject{}, 3},
		{"with senders", base, SPFSubject{Senders: senders, Hellos: []audit.DNSName{"d.example", "a.example"}}, 3},
		// The record, its include, the include of that, its mx, the addresses.
		{"an mx below", with("i3.example TXT", "v=spf1 mx:d.example -all"), SPFSubject{}, 3}, // which is asked for already
		{"another mx below", with("i3.example TXT", "v=spf1 mx:x.example -all"), SPFSubject{}, 4},
		// Who has it is asked when the name is known to be missing.
		{"a name that is gone", with("i3.example TXT", "!nxdomain"), SPFSubject{}, 4},
		// Nothing was copied from it: the domain names no networks.
		{"a former include", base, SPFSubject{Former: []audit.DNSName{"f.example"}}, 3},
		{"an include that is still there", with("d.example TXT", "v=spf1 ip4:192.0.2.0/24 include:i1.example -all"), SPFSubject{Former: []audit.DNSName{"i1.example", "i3.example"}}, 3},
		// It is surveyed when it is known that nothing leads to it: i1 and i3.
		{"a former include of networks", with("d.example TXT", "v=spf1 ip4:192.0.2.0/24 include:i2.example -all"), SPFSubject{Former: []audit.DNSName{"i1.example"}}, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z, start := &slow{answer: c.zone}, time.Now()
				c.q.Domain = domain(t, "d.example")
				SPF(t.Context(), z, c.q)
				if trips := int(time.Since(start) / oneTrip); trips != c.want {
					t.Errorf("%d round trips, want %d: %v", trips, c.want, z.asked)
				}
			})
		})
	}
}

// Ensure the networks of an include that is gone are known, where it is known
// that it is gone.
func TestSPFFormer(t *testing.T) {
	base := func(record string) zone {
		return zone{
			"d.example TXT":       {record},
			"_spf.vendor.net TXT": {"v=spf1 include:_a.vendor.net include:_b.vendor.net ~all"},
			"_a.vendor.net TXT":   {"v=spf1 ip4:198.51.100.0/25 ip4:198.51.100.0/24 ip6:2001:db8::/32 -ip4:203.0.113.1 ~all"},
			"_b.vendor.net TXT":   {"v=spf1 a:h.vendor.net exists:%{o}.x.example ip4:192.0.2.0/24 ~all"},
			"h.vendor.net A":      {"192.0.2.7", "203.0.113.7"},
			"now.example TXT":     {"v=spf1 -all"},
			"dark.example TXT":    {"!servfail"},
			"gone.net TXT":        {"!nxdomain"},
			"bare.net TXT":        {"v=spf1 exists:%{i}.x.example ~all"},
		}
	}
	former := []audit.DNSName{"_spf.vendor.net", "bare.net", "dark.example", "gone.net", "now.example"}
	show := func(f audit.SPF) string {
		var out []string
		for _, x := range f.Former {
			why := ""
			if x.Networks.State != audit.Seen {
				why = string(x.Networks.Why.Code)
			}
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %v %s", x.Name, x.Networks.State, x.Networks.Value, why)))
		}
		return strings.Join(out, "; ")
	}
	for _, c := range []struct{ name, record, want string }{
		{"copied", "v=spf1 ip4:198.51.100.0/24 include:now.example -all",
			"_spf.vendor.net seen [192.0.2.0/24 198.51.100.0/24 203.0.113.7/32 2001:db8::/32]; bare.net absent [] nodata; dark.example unknown [] servfail; gone.net absent [] nxdomain"},
		{"nothing copied", "v=spf1 include:now.example -all", ""},
		{"below the domain", "v=spf1 include:own.d.example include:now.example -all", "_spf.vendor.net seen"},
		{"not known whole", "v=spf1 ip4:198.51.100.0/24 include:dark.example -all", "_spf.vendor.net unknown [] not-learned"},
		{"where the sender leads", "v=spf1 ip4:198.51.100.0/24 include:%{i}.x.example -all", "_spf.vendor.net  [] not-applicable"},
		{"still there", "v=spf1 ip4:198.51.100.0/24 include:_spf.vendor.net include:bare.net include:gone.net -all", "dark.example unknown [] servfail; now.example absent"},
		{"no record", "other", ""},
		{"nothing known", "!servfail", ""},
	} {
		z := base(c.record)
		z["own.d.example TXT"] = []string{"v=spf1 ip4:192.0.2.0/24 -all"}
		f := observe(t, z, SPFSubject{Domain: domain(t, "d.example"), Former: former})
		if got := show(f); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		for _, b := range f.Below {
			if strings.HasSuffix(string(b.Name), "vendor.net") && c.name != "still there" {
				t.Errorf("%s: %s is below", c.name, b.Name)
			}
		}
	}

	// No more than five, those first that vendors want included.
	var many []audit.DNSName
	for i := range 20 {
		many = append(many, audit.DNSName(fmt.Sprintf("f%d.example", i)))
	}
	synctest.Test(t, func(t *testing.T) {
		z := &slow{answer: zone{"d.example TXT": {"v=spf1 ip4:192.0.2.1 -all"}}}
		f := observe(t, z, SPFSubject{Domain: domain(t, "d.example"), Former: append(many, "_netblocks.google.com", "_spf.google.com")})
		if got := show(f); len(f.Former) != audit.MaxSPFFormer || !strings.Contains(got, "_spf.google.com") || !strings.Contains(got, "_netblocks.google.com") || len(z.asked) != 7 {
			t.Errorf("%d questions: %s", len(z.asked), got)
		}
	})

	// A great many networks are kept in part.
	wide := base("v=spf1 ip4:192.0.2.1 -all")
	wide["_spf.vendor.net TXT"] = []string{"v=spf1"}
	for i := range 600 {
		wide["_spf.vendor.net TXT"][0] += fmt.Sprintf(" ip4:10.%d.%d.0/24", i/250, i%250)
	}
	f := observe(t, wide, SPFSubject{Domain: domain(t, "d.example"), Former: former[:1]})
	if len(f.Former[0].Networks.Value) != audit.MaxSPFNetworks || f.Former[0].LeftOut != 100 {
		t.Errorf("%d networks, and %d", len(f.Former[0].Networks.Value), f.Former[0].LeftOut)
	}
}

// Ensure a failure anywhere stays one, with its code, and never becomes "there is
// none".
func TestSPFStaysUnknown(t *testing.T) {
	base := zone{
		"d.example TXT": {"v=spf1 a mx exists:e.example include:i.example -all exp=x.example"}, "d.example A": {"192.0.2.1"}, "d.example AAAA": {"2001:db8::1"}, "d.example MX": {"0 h.example."},
		"h.example A": {"192.0.2.2"}, "h.example AAAA": {"2001:db8::2"}, "e.example A": {"127.0.0.2"}, "i.example TXT": {"v=spf1 -all"}, "x.example TXT": {"no"}, "d.example SPF": {`"v=spf1 -all"`},
	}
	d := domain(t, "d.example")
	light := observe(t, base, SPFSubject{Domain: d, Senders: []netip.Addr{netip.MustParseAddr("192.0.2.9")}})
	for key := range base {
		z := zone{}
		for k, v := range base {
			z[k] = v
		}
		z[key] = []string{"!servfail"}
		dark := observe(t, z, SPFSubject{Domain: d, Senders: []netip.Addr{netip.MustParseAddr("192.0.2.9")}})
		data, err := json.Marshal(dark)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), `"servfail"`) || strings.Contains(string(data), `"absent"`) && strings.Count(string(data), `"absent"`) > strings.Count(mustJSON(t, light), `"absent"`) {
			t.Errorf("%s dark: %s", key, data)
		}
		if v := dark.Senders[0].Verdict; v.State == audit.Seen && v.Value.Result != audit.SPFPass || v.State == audit.Unknown && v.Why.Code != audit.ServFail {
			t.Errorf("%s dark: %+v", key, v)
		}
	}
}

func mustJSON[T any](t *testing.T, v T) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
