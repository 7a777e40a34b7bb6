package dnscheck

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
)

// terms are the terms of a record of a policy, by their text.
func terms(b *audit.SPFBranch) map[string]audit.SPFPolicyTerm {
	out := map[string]audit.SPFPolicyTerm{}
	for _, t := range b.Terms {
		out[string(t.Term)] = t
	}
	return out
}

// Ensure everything that a policy leads to is asked for, once, and found where
// it stands in the tree.
func TestSPFPolicy(t *testing.T) {
	z := &slow{answer: zone{
		"d.example TXT":            {"v=spf1 a mx a:six.example exists:%{i}.x.example exists:%{d}.list.example include:i.example include:alias.example include:dark.example include:gone.example include:many.example include:i.example ptr -all exp=why.example", "other"},
		"d.example A":              {"192.0.2.2", "192.0.2.1"},
		"d.example AAAA":           {"64:ff9b::1", "2001:db8::1"},
		"d.example MX":             {"10 b.example.", "5 a.example."},
		"a.example A":              {"192.0.2.10"},
		"b.example AAAA":           {"2001:db8::10"},
		"b.example A":              {"!servfail"},
		"six.example AAAA":         {"64:ff9b::1"}, // made up by our own resolver
		"i.example TXT":            {"v=spf1 mx:d.example redirect=r.example"},
		"r.example TXT":            {"v=spf1 ip4:198.51.100.0/24 -all"},
		"alias.example TXT":        {"->real.example", "v=spf1 -all"},
		"dark.example TXT":         {"!servfail"},
		"gone.example TXT":         {"!nxdomain"},
		"many.example TXT":         {"v=spf1 mx -all"},
		"many.example MX":          elevenHosts(),
		"why.example TXT":          {"never asked for"},
		"d.example.list.example A": {"127.0.0.2"},
	}}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := SPFPolicy(t.Context(), z, "d.example")
		top := terms(p.Tree)
		for term, want := range map[string]string{
			"a":                        "seen [192.0.2.1 192.0.2.2] [2001:db8::1] false false []",
			"mx":                       "seen [192.0.2.10] [2001:db8::10] false false [a.example b.example] servfail",
			"a:six.example":            "absent [] [] true true []",
			"exists:%{d}.list.example": "seen [] [] false false []",
		} {
			f := top[term].Found
			got := fmt.Sprintf("%s %v %v %t %t %v %s", f.State, f.IP4, f.IP6, f.Void4, f.Void6, f.Hosts, f.Doubt.Code)
			if strings.TrimSpace(got) != want {
				t.Errorf("%s: %s, want %s", term, got, want)
			}
		}
		many := terms(top["include:many.example"].Branch)["mx"].Found
		if len(many.Hosts) != 10 || many.HostsLeftOut != 1 || many.IP4 != nil {
			t.Errorf("%+v", many)
		}
		i := top["include:i.example"].Branch
		if i.Terms == nil && !i.Repeat || top["include:dark.example"].Branch.State != audit.Unknown || top["include:gone.example"].Branch.Answer.Code != audit.NXDomain ||
			fmt.Sprint(top["include:alias.example"].Branch.Alias) != "[real.example]" || !top["exists:%{i}.x.example"].Varies {
			t.Errorf("%+v", p.Tree)
		}
		if p.Tree.Domain != "d.example" || p.Tree.TTL != 0 || p.Exact || p.Lookups != 17 || p.Authorised.IP4 != 2+1+256 || !p.Authorised.Everyone {
			t.Errorf("%d lookups, exact %t, %+v, TTL %d", p.Lookups, p.Exact, p.Authorised, p.Tree.TTL)
		}
		if z.total() != p.Questions || p.Questions != 18 {
			t.Errorf("%d questions, and the policy says %d: %v", z.total(), p.Questions, z.asked)
		}
		for q, n := range z.asked {
			if n != 1 || strings.HasPrefix(q, "why.") || strings.HasPrefix(q, "h00.") {
				t.Errorf("%s was asked %d times", q, n)
			}
		}
		// d.example, then its includes beside its MX records, then r.example and what
		// i.example wants beside the addresses of the mail servers.
		if trips := int(time.Since(start) / oneTrip); trips != 3 {
			t.Errorf("%d round trips", trips)
		}
	})
}

func elevenHosts() []string {
	var out []string
	for i := range 11 {
		out = append(out, fmt.Sprintf("%d h%02d.many.example.", i, i))
	}
	return out
}

// wide answers every question for a policy that branches without end.
type wide struct{ zone }

func (w wide) text(name string) string {
	out := "v=spf1"
	for i := range 10 {
		out += fmt.Sprintf(" include:%d.%s a:a%d.%s mx:m%d.%s", i, name, i, name, i, name)
	}
	return out + " -all"
}

// Ensure a survey is bounded, whatever is published, and says what it left out.
func TestSPFPolicyBounds(t *testing.T) {
	z := zone{}
	w := wide{z}
	var grow func(name string, depth int)
	grow = func(name string, depth int) {
		z[name+" TXT"] = []string{w.text(name)}
		for i := range 10 {
			m := fmt.Sprintf("m%d.%s", i, name)
			for j := range 10 {
				z[m+" MX"] = append(z[m+" MX"], fmt.Sprintf("%d h%d.%s.", j, j, m))
			}
			if depth > 0 {
				grow(fmt.Sprintf("%d.%s", i, name), depth-1)
			}
		}
	}
	grow("d.example", 2)
	chain := zone{}
	for i := range 60 {
		chain[fmt.Sprintf("c%d.example TXT", i)] = []string{fmt.Sprintf("v=spf1 include:c%d.example -all", i+1)}
	}
	for _, c := range []struct {
		name, domain           string
		zone                   zone
		records, most, unasked int
	}{
		{"ten includes, each with ten", "d.example", z, 40, SPFMaxQuestions, 2000},
		{"a chain of sixty", "c0.example", chain, 40, 40, 1},
		{"itself", "l.example", zone{"l.example TXT": {"v=spf1 include:l.example include:m.example -all"}, "m.example TXT": {"v=spf1 include:l.example redirect=m.example"}}, 2, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{answer: c.zone}
				p := SPFPolicy(t.Context(), s, audit.DNSName(c.domain))
				records := 0
				for q := range s.asked {
					if strings.HasSuffix(q, " TXT") {
						records++
					}
				}
				if records != c.records || s.total() > c.most || s.total() != p.Questions || p.NotAsked == 0 != (c.unasked == 0) || p.NotAsked > c.unasked {
					t.Errorf("%d records, %d questions, %d not asked", records, s.total(), p.NotAsked)
				}
				if c.unasked > 0 && (p.Exact || p.Over == nil) {
					t.Errorf("exact %t, over %v", p.Exact, p.Over)
				}
				t.Logf("%d questions, %d lookups, %d terms not followed", p.Questions, p.Lookups, p.NotAsked)
			})
		})
	}
}

// Ensure the counters of a policy are those of an evaluation in which nothing
// matches before the last all.
func TestSPFPolicyAgreesWithCheckHost(t *testing.T) {
	for _, texts := range [][]string{
		{"v=spf1 a mx include:i.example -all", "v=spf1 a:h.example exists:gone.example ~all"},
		{"v=spf1 include:i.example redirect=i.example", "v=spf1 a:h.example ?all"},
		{"v=spf1 a:gone.example mx:gone.example include:i.example -all", "v=spf1 a:h.example a:%{d}.gone.example"},
		{"v=spf1 include:i.example include:i.example include:i.example include:i.example a a a -all", "v=spf1 mx:d.example a:h.example -all"},
		{"v=spf1 a:h.example include:i.example -all", "v=spf1 a:h.example include:i.example -all"},
	} {
		z := zone{
			"d.example TXT": {texts[0]}, "i.example TXT": {texts[1]}, "d.example A": {"198.51.100.1"}, "d.example MX": {"0 h.example."},
			"h.example A": {"198.51.100.2"}, "h.example AAAA": {"2001:db8::2"}, "d.example AAAA": {"2001:db8::1"},
		}
		p, c := SPFPolicy(t.Context(), z, "d.example"), CheckHost(t.Context(), z, query(t))
		broken := p.Over != nil || p.OverVoids != nil || len(p.Loops) > 0
		if broken != (c.Result == audit.SPFPermError) || !broken && (p.Lookups != c.Lookups || p.Tree.Voids4 != c.VoidLookups) {
			t.Errorf("%q: %d/%d, broken %t; evaluated %s", texts, p.Lookups, p.Tree.Voids4, broken, outline(c))
		}
	}
}

// Ensure the same of policies that nobody thought of.
func TestSPFPolicyAgreesAtRandom(t *testing.T) {
	const seed, policies = 7208, 3000
	r := rand.New(rand.NewPCG(seed, seed))
	hosts := []string{"four.example", "both.example", "gone.example"}
	names := []string{"d.example", "i.example", "j.example", "k.example"}
	sound := 0
	for range policies {
		z := zone{
			"four.example A": {"198.51.100.2"}, "both.example A": {"198.51.100.3"}, "both.example AAAA": {"2001:db8::2"},
			"four.example MX": {"0 four.example.", "1 gone.example."}, "both.example MX": {"0 ."}, "gone.example A": {"!nxdomain"},
		}
		for i, name := range names {
			text := "v=spf1"
			for range r.IntN(4) {
				pick := hosts[r.IntN(len(hosts))]
				below := names[min(len(names)-1, i+1+r.IntN(2))]
				if r.IntN(20) == 0 {
					below = names[r.IntN(len(names))] // perhaps a loop
				}
				text += " " + []string{"", "-", "~", "?"}[r.IntN(4)] + []string{"a:" + pick, "mx:" + pick, "exists:" + pick + ".%{d}", "ip4:203.0.113.9", "include:" + below, "exists:" + pick + ".%{o}"}[r.IntN(6)]
			}
			if r.IntN(4) == 0 { // not +all, for that would match for an include
				text += " -all a:four.example"
			}
			if r.IntN(3) == 0 && i < len(names)-1 {
				text += " redirect=" + names[i+1]
			}
			z[name+" TXT"] = []string{text}
		}
		p := SPFPolicy(t.Context(), z, "d.example")
		c := CheckHost(t.Context(), z, query(t))
		broken := p.Over != nil || p.Tree.Voids4 > audit.SPFMaxVoids || len(p.Loops) > 0
		if broken != (c.Result == audit.SPFPermError) || !broken && (p.Lookups != c.Lookups || p.Tree.Voids4 != c.VoidLookups || !p.Exact) {
			t.Fatalf("%v: %d/%d, broken %t; evaluated %s", z, p.Lookups, p.Tree.Voids4, broken, outline(c))
		}
		if !broken {
			sound++
		}
	}
	t.Logf("%d of %d policies are sound", sound, policies)
	if sound < policies/10 || sound > policies*95/100 {
		t.Error("that is no mixture")
	}
}

// Ensure a survey of what can have no record asks nothing.
func TestSPFPolicyOfNoDomain(t *testing.T) {
	for _, name := range []audit.DNSName{"example", "."} {
		s := &slow{answer: zone{}}
		p := SPFPolicy(t.Context(), s, name)
		if s.total() != 0 || p.Tree.State == audit.Seen || p.Lookups != 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
