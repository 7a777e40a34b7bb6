package dnscheck

import (
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// TestSPFPitfalls are mistakes that other tools made, each as it was reported of
// them: audit tools and libraries that count, join, or match otherwise than the
// RFC does.
func TestSPFPitfalls(t *testing.T) {
	cases := []struct {
		name  string
		zone  zone
		query string
		want  string // outline
		why   string // part of Why
	}{
		{"a void lookup is counted once, and not as a lookup more", zone{"d.example TXT": {"v=spf1 a:gone.example -all"}}, "", "fail 1/1", ""},
		{"the hosts of mx are no lookups", tenHosts(zone{"d.example TXT": {"v=spf1 mx a a a a a a a a ip4:203.0.113.1 -all"}, "d.example A": {"203.0.113.9"}}, "d.example", 10), "ip=203.0.113.1", "pass 9/0", ""},
		{"an include is one lookup, and so is a redirect", zone{"d.example TXT": {"v=spf1 include:i.example redirect=r.example"}, "i.example TXT": {"v=spf1 ?all"}, "r.example TXT": {"v=spf1 ~all"}}, "", "softfail 2/0",
			"in the record of r.example"},
		{"what is missing is the domain of the nested include", zone{"d.example TXT": {"v=spf1 include:i.example -all"}, "i.example TXT": {"v=spf1 include:gone.example -all"}, "gone.example TXT": {"!nxdomain"}}, "",
			"permerror 2/1 no-record@i.example", "gone.example does not exist"},
		{"the term of the void lookup is named", zone{"d.example TXT": {"v=spf1 a:one.example mx:two.example exists:three.example -all"}}, "", "permerror 3/3 voids@d.example", `"exists:three.example"`},
		{"quotes are no part of a record", zone{"d.example TXT": {`"v=spf1 -all"`}}, "", "none 0/0", ""},
		{"a version that only begins like one", zone{"d.example TXT": {"v=spf10 +all"}}, "", "none 0/0", ""},
		{"a blank in front", zone{"d.example TXT": {" v=spf1 +all"}}, "", "none 0/0", ""},
		{"-all glued to the term before", zone{"d.example TXT": {"v=spf1 ip4:192.0.2.1-all"}}, "", "permerror 0/0 syntax@d.example", "ip4:192.0.2.1-all"},
		{"all as a part of a name", zone{"d.example TXT": {"v=spf1 include:send-all.example a:host.all.example ~all"}, "send-all.example TXT": {"v=spf1 ip4:203.0.113.1 -all"}}, "", "softfail 2/1", `"~all"`},
		{"all as a part of a word", zone{"d.example TXT": {"v=spf1 -allow"}}, "", "permerror 0/0 syntax@d.example", "-allow"},
		{"the first all is the last term", zone{"d.example TXT": {"v=spf1 ~all -all +all"}}, "", "softfail 0/0", ""},
		{"redirect is no fault", zone{"d.example TXT": {"v=spf1 redirect=r.example"}, "r.example TXT": {"v=spf1 ip4:192.0.2.1 -all"}}, "", "pass 1/0", ""},
		{"%{d} is expanded", zone{"d.example TXT": {"v=spf1 include:%{d}.i.example -all"}, "d.example.i.example TXT": {"v=spf1 ip4:192.0.2.1 -all"}}, "", "pass 1/0", ""},
		// An upper-case letter escapes what it stands for as URLs do (RFC 7208 section 7.3).
		{"%{S} is a macro", zone{"d.example TXT": {"v=spf1 exists:%{S}.x.example -all"}, "user%40d.example.x.example A": {"127.0.0.2"}}, "", "pass 1/0", ""},
		{"a brace outside a macro", zone{"d.example TXT": {"v=spf1 exists:a}.%{i}.x.example -all"}, "a}.192.0.2.1.x.example A": {"127.0.0.2"}}, "", "pass 1/0", ""},
		{"%{i} is the client and nobody else", zone{"d.example TXT": {"v=spf1 exists:%{i}.x.example -all"}, "203.0.113.77.x.example A": {"127.0.0.2"}}, "", "fail 1/1", ""},
		{"a qualifier counts only where its term matches", zone{"d.example TXT": {"v=spf1 -ip4:203.0.113.1 ~a:host.example ?mx ip4:192.0.2.1 -all"}, "host.example A": {"203.0.113.2"}, "d.example MX": {"0 ."}}, "", "pass 2/0", ""},
		{"a fail within an include does not fail", zone{"d.example TXT": {"v=spf1 include:i.example ip4:192.0.2.1 -all"}, "i.example TXT": {"v=spf1 -all"}}, "", "pass 1/0", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := CheckHost(t.Context(), c.zone, query(t, strings.Fields(c.query)...))
			if outline(got) != c.want || !strings.Contains(got.Why, c.why) {
				t.Errorf("got  %s: %s\nwant %s: %s", outline(got), got.Why, c.want, c.why)
			}
		})
	}
}

// TestSPFPolicyGoesOn: counting does not stop at the limit, so that it is seen
// which branch costs so much.
func TestSPFPolicyGoesOn(t *testing.T) {
	z := zone{"d.example TXT": {"v=spf1 include:light.example include:heavy.example -all"}, "light.example TXT": {"v=spf1 a:h.example -all"}, "h.example A": {"192.0.2.1"},
		"heavy.example TXT": {"v=spf1" + strings.Repeat(" a:h.example", 12) + " include:below.example -all"}, "below.example TXT": {"v=spf1 a:h.example a:h.example -all"}}
	p := SPFPolicy(t.Context(), z, "d.example")
	top := terms(p.Tree)
	if p.Lookups != 18 || top["include:light.example"].Lookups != 2 || top["include:heavy.example"].Lookups != 16 || p.Over == nil || p.Over.Domain != audit.DNSName("heavy.example") {
		t.Errorf("%d lookups, over at %+v", p.Lookups, p.Over)
	}
}
