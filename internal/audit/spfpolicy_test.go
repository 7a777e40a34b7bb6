package audit

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// knownPolicy reads lines "NAME record" (TXT), "NAME a ADDRESS..." and "NAME mx
// ADDRESS..." (what a and mx find there), "NAME !unknown" and "NAME !absent".
func knownPolicy(t *testing.T, lines ...string) SPFKnown {
	t.Helper()
	k := SPFKnown{Records: map[DNSName]SPFSource{}, Found: map[SPFAsk]SPFFound{}}
	for _, l := range lines {
		owner, text, ok := strings.Cut(l, " ")
		if !ok {
			t.Fatal(l)
		}
		name := DNSName(owner)
		kind, rest, _ := strings.Cut(text, " ")
		switch kind {
		case "!unknown":
			k.Records[name] = SPFSource{State: Unknown, Answer: Reason{ServFail, "SERVFAIL"}}
		case "!absent":
			k.Records[name] = SPFSource{State: Absent, Answer: Reason{NXDomain, ""}}
		case "a", "mx", "exists":
			f := SPFFound{State: Seen, TTL: 60}
			for word := range strings.FieldsSeq(rest) {
				a := netip.MustParseAddr(word)
				if a.Is4() {
					f.IP4 = append(f.IP4, a)
				} else {
					f.IP6 = append(f.IP6, a)
				}
			}
			if kind == "a" || rest == "" {
				f.Void4, f.Void6 = len(f.IP4) == 0, len(f.IP6) == 0
			}
			if rest == "" {
				f.State, f.Answer = Absent, Reason{NoData, ""}
			}
			k.Found[SPFAsk{kind, name}] = f
		default:
			s := k.Records[name]
			s.State, s.TTL = Seen, 300
			s.Records = append(s.Records, Raw(text))
			k.Records[name] = s
		}
	}
	return k
}

// policyOutline is a policy in a few words.
func policyOutline(p SPFPolicy) string {
	out := fmt.Sprintf("%d/%d", p.Lookups, p.VoidLookups)
	if !p.Exact {
		out += " inexact"
	}
	for name, m := range map[string]*SPFMatch{" over": p.Over, " voids": p.OverVoids} {
		if m != nil {
			out += fmt.Sprintf("%s=%s@%s", name, m.Term, m.Domain)
		}
	}
	for _, l := range p.Loops {
		out += fmt.Sprintf(" loop=%s@%s", l.Term, l.Domain)
	}
	if p.NotAsked > 0 {
		out += fmt.Sprintf(" unasked=%d", p.NotAsked)
	}
	r := p.Authorised
	out += fmt.Sprintf(" ip4=%d ip6=%s nets=%d", r.IP4, r.IP6, r.Networks)
	if r.Everyone {
		out += " everyone"
	}
	if r.Others {
		out += " others"
	}
	for _, h := range p.Huge {
		out += " huge=" + h.Network.String()
	}
	for _, o := range p.Overlaps {
		out += fmt.Sprintf(" %s<%s", o.Network, o.By.Network)
	}
	return out
}

func TestNewSPFPolicy(t *testing.T) {
	eleven := []string{"d.example v=spf1" + strings.Repeat(" ?a:h.example", 10) + " include:i.example -all", "h.example a 192.0.2.1 2001:db8::1", "i.example v=spf1 ?a:h.example ~a:h.example -all"}
	cases := []struct {
		name  string
		known []string
		want  string
	}{
		{"nobody", []string{"d.example v=spf1 -all"}, "0/0 ip4=0 ip6=0 nets=0"},
		{"everyone", []string{"d.example v=spf1 +all"}, "0/0 ip4=0 ip6=0 nets=0 everyone"},
		{"no record", []string{"d.example !absent"}, "0/0 ip4=0 ip6=0 nets=0"},
		{"not known", []string{"d.example !unknown"}, "0/0 inexact ip4=0 ip6=0 nets=0"},
		{"two records", []string{"d.example v=spf1 a -all", "d.example v=spf1 mx -all"}, "0/0 ip4=0 ip6=0 nets=0"},
		{"a fault: nothing is evaluated", []string{"d.example v=spf1 a ip4:1.2.3 -all", "d.example a 192.0.2.1"}, "0/0 ip4=0 ip6=0 nets=0"},
		{"networks", []string{"d.example v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1 ip6:2001:db8::/32 -all"}, "0/0 ip4=257 ip6=79228162514264337593543950336 nets=3"},
		{"each address once", []string{"d.example v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.7 ip4:192.0.2.128/25 -all"}, "0/0 ip4=256 ip6=0 nets=1 192.0.2.7/32<192.0.2.0/24 192.0.2.128/25<192.0.2.0/24"},
		{"the smallest around", []string{"d.example v=spf1 ip4:192.0.0.0/16 ip4:192.0.2.7 ip4:192.0.2.0/24 -all"}, "0/0 ip4=65536 ip6=0 nets=1 192.0.2.0/24<192.0.0.0/16 192.0.2.7/32<192.0.2.0/24"},
		{"huge", []string{"d.example v=spf1 ip4:0.0.0.0/0 ip4:10.0.0.0/14 ip6:2001::/31 ip6:2001:db8::/32 -all"}, "0/0 ip4=4294967296 ip6=237684487542793012780631851008 nets=3 huge=0.0.0.0/0 huge=2001::/31 10.0.0.0/14<0.0.0.0/0"},
		{"who fails is not authorised", []string{"d.example v=spf1 -ip4:192.0.2.1 ~ip4:192.0.2.2 ?ip4:192.0.2.3 ?include:i.example -all", "i.example v=spf1 ip4:192.0.2.4 +all"}, "1/0 ip4=0 ip6=0 nets=0"},
		{"once for nothing, once for pass", []string{"d.example v=spf1 ?include:i.example include:i.example -all", "i.example v=spf1 ip4:192.0.2.4 -all"}, "2/0 ip4=1 ip6=0 nets=1"},
		{"behind all", []string{"d.example v=spf1 a -all mx ip4:192.0.2.9 redirect=r.example", "d.example a 192.0.2.1 2001:db8::1"}, "1/0 ip4=1 ip6=1 nets=2"},
		{"all of an include ends only that", []string{"d.example v=spf1 include:i.example a -all", "i.example v=spf1 -all", "d.example a 192.0.2.1 2001:db8::1"}, "2/0 ip4=1 ip6=1 nets=2"},
		{"redirect", []string{"d.example v=spf1 a redirect=r.example", "d.example a 192.0.2.1 2001:db8::1", "r.example v=spf1 ip4:192.0.2.2 -all"}, "2/0 ip4=2 ip6=1 nets=3"},
		{"prefix lengths", []string{"d.example v=spf1 a/24//64 mx/25 -all", "d.example a 192.0.2.1 2001:db8::1", "d.example mx 198.51.100.1"}, "2/0 ip4=384 ip6=18446744073709551616 nets=3"},
		{"hosts of one term do not overlap", []string{"d.example v=spf1 mx/24 -all", "d.example mx 198.51.100.1 198.51.100.2"}, "1/0 ip4=256 ip6=0 nets=1"},
		{"void by family", []string{"d.example v=spf1 a mx a:six.example -all", "d.example a 192.0.2.1", "d.example mx", "six.example a 2001:db8::1"}, "3/2 ip4=1 ip6=1 nets=2"},
		{"three in vain", []string{"d.example v=spf1 a mx exists:x.example -all", "d.example a", "d.example mx", "x.example exists"}, "3/3 voids=exists:x.example@d.example ip4=0 ip6=0 nets=0"},
		{"an include in vain", []string{"d.example v=spf1 include:gone.example -all", "gone.example !absent"}, "1/1 ip4=0 ip6=0 nets=0"},
		{"the eleventh", eleven, "13/0 over=include:i.example@d.example ip4=0 ip6=0 nets=0"},
		{"a loop", []string{"d.example v=spf1 include:i.example ip4:192.0.2.1 -all", "i.example v=spf1 include:d.example -all"}, "2/0 inexact loop=include:d.example@i.example ip4=1 ip6=0 nets=1"},
		{"itself", []string{"d.example v=spf1 include:%{d} -all"}, "1/0 inexact loop=include:%{d}@d.example ip4=0 ip6=0 nets=0"},
		{"macros that do not vary", []string{"d.example v=spf1 include:_x.%{o} -all", "_x.d.example v=spf1 a:%{d1r}.h.example -all", "_x.h.example a 192.0.2.1 2001:db8::1"}, "2/0 ip4=1 ip6=1 nets=2"},
		{"and that do", []string{"d.example v=spf1 exists:%{i}.x.example -all"}, "1/0 ip4=0 ip6=0 nets=0 others"},
		{"an include that does", []string{"d.example v=spf1 include:%{i}.x.example a:%{p}.x.example -all"}, "3/0 inexact ip4=0 ip6=0 nets=0 others"},
		{"ptr", []string{"d.example v=spf1 ptr -ptr:x.example -all"}, "2/0 ip4=0 ip6=0 nets=0 others"},
		{"a name that always exists", []string{"d.example v=spf1 exists:%{d} -all", "d.example exists 127.0.0.2"}, "1/0 ip4=0 ip6=0 nets=0 everyone"},
		{"not asked for", []string{"d.example v=spf1 include:far.example a:far.example -all"}, "2/0 inexact unasked=2 ip4=0 ip6=0 nets=0"},
		{"no name", []string{"d.example v=spf1 a:a..%{d} -all"}, "1/1 ip4=0 ip6=0 nets=0"},
	}
	for _, c := range cases {
		p := NewSPFPolicy("d.example", knownPolicy(t, c.known...))
		if got := policyOutline(p); !sameWords(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if p.Tree.SPFCost.Lookups != p.Lookups || max(p.Tree.Voids4, p.Tree.Voids6) != p.VoidLookups || p.Tree.Authorised != p.Authorised {
			t.Errorf("%s: the tree says something else: %+v", c.name, p.Tree)
		}
	}
}

// sameWords compares outlines, whose limits come in any order.
func sameWords(a, b string) bool {
	count := map[string]int{}
	for w := range strings.FieldsSeq(a) {
		count[w]++
	}
	for w := range strings.FieldsSeq(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// Ensure counting goes on past the limit, says at which term it is crossed, and
// adds up in each branch.
func TestSPFPolicyTree(t *testing.T) {
	p := NewSPFPolicy("d.example", knownPolicy(t,
		"d.example v=spf1 include:a.example include:b.example include:a.example -all",
		"a.example v=spf1"+strings.Repeat(" a:h.example", 5)+" -all",
		"b.example v=spf1"+strings.Repeat(" a:h.example", 7)+" -all",
		"h.example a 192.0.2.1 2001:db8::1"))
	terms := p.Tree.Terms
	var got []string
	for _, x := range terms {
		got = append(got, fmt.Sprintf("%s %d %d %t", x.Term, x.Lookups, x.LookupsThen, x.Crosses))
	}
	want := []string{"include:a.example 6 6 false", "include:b.example 8 14 false", "include:a.example 6 20 false", "-all 0 20 false"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	b := terms[1].Branch
	if !b.Terms[3].Crosses || b.Terms[3].LookupsThen != 11 || p.Over == nil || p.Over.At != b.Terms[3].At {
		t.Errorf("%+v, over %+v", b.Terms[3], p.Over)
	}
	if again := terms[2].Branch; !again.Repeat || len(again.Terms) != 0 || again.Lookups != 5 || again.Authorised != terms[0].Branch.Authorised {
		t.Errorf("%+v", again)
	}
}

// Ensure records that double with each level neither take for ever nor count
// beyond what a number holds.
func TestSPFPolicyDoubles(t *testing.T) {
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("d%d.example v=spf1 include:d%d.example include:d%d.example ip4:192.0.2.%d -all", i, i+1, i+1, i))
	}
	lines = append(lines, "d40.example v=spf1 ip4:198.51.100.0/24 -all")
	p := NewSPFPolicy("d0.example", knownPolicy(t, lines...))
	if p.Lookups != maxSPFCost || p.Over == nil || p.Authorised.IP4 != 40+256 || p.Authorised.Networks != 41 {
		t.Errorf("%s", policyOutline(p))
	}
}

// Ensure TTLs can be taken off, and that the policy itself keeps them.
func TestSPFPolicyWithoutTTLs(t *testing.T) {
	p := NewSPFPolicy("d.example", knownPolicy(t, "d.example v=spf1 a include:i.example -all", "i.example v=spf1 -all", "d.example a 192.0.2.1"))
	bare := p.WithoutTTLs()
	if bare.Tree.TTL != 0 || bare.Tree.Terms[0].Found.TTL != 0 || bare.Tree.Terms[1].Branch.TTL != 0 {
		t.Errorf("%+v", bare.Tree)
	}
	if p.Tree.TTL != 300 || p.Tree.Terms[0].Found.TTL != 60 || p.Tree.Terms[1].Branch.TTL != 300 {
		t.Errorf("%+v", p.Tree)
	}
	if policyOutline(bare) != policyOutline(p) {
		t.Error("something else has changed")
	}
}
