package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

// finding is what a rule says of a subject in a world with an SPF policy.
func spfFinding(t *testing.T, id audit.RuleID, subject string, lines ...string) audit.Finding {
	t.Helper()
	world := apply(t, good(t), lines)
	for _, f := range Evaluate(world) {
		if f.Rule == id && f.Subject == subject {
			return f
		}
	}
	t.Fatalf("%s says nothing of %s", id, subject)
	return audit.Finding{}
}

// TestSPFTreeTells: a finding names the term, the record that it stands in, who
// runs that, and how much it costs.
func TestSPFTreeTells(t *testing.T) {
	for _, c := range []struct {
		name    string
		id      audit.RuleID
		subject string
		lines   []string
		want    []string // in the detail
		steps   []string // somewhere in the fix
		lacks   []string // in either
	}{
		{
			"the costly branches, the most first, and the eleventh lookup", "spf.too-many-lookups", "example.org",
			[]string{
				"spf.senders = []",
				"spf example.org TXT v=spf1 mx include:_spf.example.org include:sendgrid.net ~all",
				"spf _spf.example.org TXT v=spf1 include:spf.protection.outlook.com include:a.example.net ~all",
				"spf spf.protection.outlook.com TXT v=spf1 a:1.example.net a:2.example.net -all",
				"spf a.example.net TXT v=spf1 include:b.example.net -all",
				"spf b.example.net TXT v=spf1 -all",
				"spf sendgrid.net TXT v=spf1 a:1.example.net a:2.example.net a:3.example.net -all",
			},
			[]string{"takes 11 DNS lookups", `the eleventh is for "a:3.example.net" in the record of sendgrid.net (Twilio SendGrid)`,
				`what takes most is "include:sendgrid.net" (Twilio SendGrid) with 4, "include:spf.protection.outlook.com" (Microsoft 365) with 3, "include:a.example.net" with 2`},
			[]string{"DMARC aggregate reports", "sub-domain of its own", "ip4 and ip6, of both families", "mailaudit spf example.org"},
			[]string{"include:_spf.example.org", "at least"},
		},
		{
			"a lone redirect is seen through", "spf.too-many-lookups", "example.org",
			[]string{
				"spf.senders = []",
				"spf example.org TXT v=spf1 redirect=_spf.agency.example",
				"spf _spf.agency.example TXT v=spf1 include:a.example.net include:b.example.net -all",
				"spf a.example.net TXT v=spf1 a:1.example.net a:2.example.net a:3.example.net a:4.example.net -all",
				"spf b.example.net TXT v=spf1 a:1.example.net a:2.example.net a:3.example.net a:4.example.net include:dark.example.net -all",
				"spf dark.example.net TXT !servfail",
			},
			[]string{"takes at least 12 DNS lookups", `"include:b.example.net" with 6, "include:a.example.net" with 5`},
			nil, nil,
		},
		{
			"which terms are in vain, for whom", "spf.too-many-voids", "example.org",
			[]string{
				"spf example.org TXT v=spf1 a:www.example.org include:gone.example.net a:old.example.org mx ~all",
				"spf gone.example.net TXT !nxdomain",
				"spf a www.example.org A 192.0.2.1",
				"spf a old.example.org A !nxdomain",
				"spf a old.example.org AAAA !nxdomain",
			},
			[]string{"3 of the DNS lookups of SPF find nothing for clients with an IPv6 address",
				`"a:www.example.org" (no IPv6 address), "include:gone.example.net" (no such name) and "a:old.example.org" (no such name)`},
			[]string{`"a:www.example.org" by ip4`, `correct the name in "a:old.example.org"`}, []string{"the third is"},
		},
		{
			"the record that includes, and not the domain", "spf.include-broken", "gone.example.net",
			[]string{
				"spf example.org TXT v=spf1 mx include:_spf.google.com ~all",
				"spf _spf.google.com TXT v=spf1 include:gone.example.net ~all",
				"spf gone.example.net TXT !nxdomain",
			},
			[]string{`"include:gone.example.net" in the record of _spf.google.com (Google Workspace): gone.example.net does not exist`},
			[]string{"tell whoever runs the record of _spf.google.com (Google Workspace)", "stand last in front of all"},
			[]string{"example.org does not exist", "take the term out"},
		},
		{
			"TXT records without SPF are not a name that does not exist", "spf.include-broken", "www.example.net",
			[]string{"spf example.org TXT v=spf1 include:www.example.net ~all", "spf www.example.net TXT !other"},
			[]string{"has TXT records, and none of them is an SPF record"}, nil, []string{"does not exist"},
		},
		{
			"a redirect is not simply taken out", "spf.redirect-broken", "gone.example.net",
			[]string{"spf example.org TXT v=spf1 mx redirect=gone.example.net", "spf gone.example.net TXT !nodata"},
			[]string{"has no TXT record"}, []string{"put ~all in the place of the redirect"}, nil,
		},
		{
			"what anyone can register comes first", "spf.include-broken", "gone.example.net",
			[]string{"spf example.org TXT v=spf1 include:gone.example.net ~all", "spf gone.example.net TXT !nxdomain", "spf gone.example.net REGISTERED !nxdomain"},
			nil, []string{"do first what spf.include-takeover says"}, nil,
		},
		{
			"the circle", "spf.loop", "example.org",
			[]string{
				"spf example.org TXT v=spf1 include:a.example.org ~all",
				"spf a.example.org TXT v=spf1 include:b.example.net ~all",
				"spf b.example.net TXT v=spf1 include:a.example.org ~all",
			},
			[]string{"a.example.org -> b.example.net -> a.example.org"}, []string{"tell whoever runs the record of b.example.net"}, []string{"example.org -> a.example.org ->"},
		},
		{
			"which networks together", "spf.include-open", "example.org",
			[]string{
				"spf example.org TXT v=spf1 ip4:0.0.0.0/1 include:a.example.net -all",
				"spf a.example.net TXT v=spf1 ip4:192.0.2.1 ip4:128.0.0.0/1 -all",
			},
			[]string{"every IPv4 address", `"ip4:0.0.0.0/1"`, `"ip4:128.0.0.0/1" in the record of a.example.net`}, nil, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := spfFinding(t, c.id, c.subject, c.lines...)
			steps := strings.Join(f.Fix.Steps, "\n")
			if f.Status != audit.Fail || len(f.Fix.Records) > 0 {
				t.Errorf("%s, with the records %v", f.Status, f.Fix.Records)
			}
			for _, w := range c.want {
				if !strings.Contains(f.Detail, w) {
					t.Errorf("%q is not in: %s", w, f.Detail)
				}
			}
			for _, w := range c.steps {
				if !strings.Contains(steps, w) {
					t.Errorf("%q is not in: %s", w, steps)
				}
			}
			for _, w := range c.lacks {
				if strings.Contains(f.Detail+steps, w) {
					t.Errorf("%q is in: %s\n%s", w, f.Detail, steps)
				}
			}
		})
	}
}

// TestSPFTwins: the record without the later of equal terms, and only where
// that is all there is to say, and known.
func TestSPFTwins(t *testing.T) {
	const own = `spf example.org TXT v=SPF1  include:a.example.net mx:example.org ip4:8.8.4.4 ip4:8.8.4.4/32 x="1\2" include:A.example.net -all`
	lines := []string{own, "spf a.example.net TXT v=spf1 -all"}
	f := spfFinding(t, "spf.redundant-terms", "example.org", lines...)
	want := []audit.FixRecord{
		{Action: audit.Remove, Name: "example.org.", Type: "TXT", Value: `"v=SPF1 include:a.example.net mx:example.org ip4:8.8.4.4 ip4:8.8.4.4/32 x=\"1\\2\" include:A.example.net -all"`},
		{Action: audit.Add, Name: "example.org.", Type: "TXT", Value: `"v=spf1 include:a.example.net mx:example.org ip4:8.8.4.4 x=\"1\\2\" -all"`},
	}
	if !slices.Equal(f.Fix.Records, want) || len(f.Fix.Steps) > 0 {
		t.Errorf("%+v", f.Fix)
	}
	for name, more := range map[string][]string{
		"a sender that fails":  {`spf.senders.0.verdict.value.result = "fail"`},
		"an alias":             {`spf.alias = seen ["example.com"]`},
		"several strings":      {`spf.strings = seen [{"strings":["v=spf1 ","-all"]}]`},
		"strings not known":    {`spf.strings = {}`},
		"the include is dark":  {"spf a.example.net TXT !servfail"},
		"a network in another": {"spf a.example.net TXT v=spf1 ip4:8.8.4.0/24 -all"},
	} {
		f := spfFinding(t, "spf.redundant-terms", "example.org", append(slices.Clone(more), lines[:1+strings.Count(more[0], " = ")]...)...)
		if f.Status != audit.Fail || len(f.Fix.Records) > 0 || len(f.Fix.Steps) == 0 {
			t.Errorf("%s: %s %+v", name, f.Status, f.Fix)
		}
	}
}

// TestSPFTreeIsBounded: whatever is published, what the rules say is a few lines
// for each record that a survey follows.
func TestSPFTreeIsBounded(t *testing.T) {
	var includes, hosts, ranges, bad []string
	for i := range 3000 {
		includes = append(includes, fmt.Sprintf("include:i%d.example.net", i))
		hosts = append(hosts, fmt.Sprintf("a:h%d..example.net", i))
		ranges = append(ranges, fmt.Sprintf("ip4:10.%d.%d.0/7 ip4:10.0.0.0/7", i/250, i%250))
		bad = append(bad, fmt.Sprintf("include:x%d..example.net exists:%%{l}.e%d.example.net ptr", i, i))
	}
	for name, terms := range map[string][]string{
		"includes": includes, "hosts": hosts, "networks": ranges, "names": bad, "the same": slices.Repeat([]string{"a"}, 9000),
	} {
		world := good(t)
		applySPF(t, world, []string{"spf example.org TXT v=spf1 " + strings.Join(terms, " ") + " include:i0.example.net -all", "spf i0.example.net TXT v=spf1 -all"})
		start := time.Now()
		findings := Evaluate(world)
		took := time.Since(start)
		n, octets := 0, 0
		for _, f := range findings {
			if f.Rule.Area() != audit.AreaSPF {
				continue
			}
			if f.Cause == audit.Bug {
				t.Errorf("%s: %s: %s", name, f.Rule, f.Detail)
			}
			n++
			if slices.ContainsFunc(spfTreeRules(), func(r Rule) bool { return r.ID == f.Rule }) {
				octets += len(f.Detail) + len(strings.Join(f.Evidence, "")) + len(strings.Join(f.Fix.Steps, ""))
			}
		}
		t.Logf("%s: %d findings, %d octets, %s", name, n, octets, took)
		if n > 60 || octets > 20_000 {
			t.Errorf("%s: %d findings of %d octets", name, n, octets)
		}
	}
}

// TestSPFTenByTen: ten includes with ten more each. A survey follows 40 records;
// what is known of them suffices to say that the limit is crossed, and where.
func TestSPFTenByTen(t *testing.T) {
	var own []string
	lines := []string{"spf.senders = []"}
	for i := range 10 {
		own = append(own, fmt.Sprintf("include:%d.example.net", i))
		var more []string
		for j := range 10 {
			more = append(more, fmt.Sprintf("include:%d.%d.example.net", j, i))
			if i < 3 {
				lines = append(lines, fmt.Sprintf("spf %d.%d.example.net TXT v=spf1 -all", j, i))
			}
		}
		lines = append(lines, fmt.Sprintf("spf %d.example.net TXT v=spf1 %s -all", i, strings.Join(more, " ")))
	}
	lines = append(lines, "spf example.org TXT v=spf1 "+strings.Join(own, " ")+" -all")
	f := spfFinding(t, "spf.too-many-lookups", "example.org", lines...)
	for _, w := range []string{"at least 110 DNS lookups", `the eleventh is for "include:9.0.example.net" in the record of 0.example.net`, `"include:0.example.net" with 11`} {
		if f.Status != audit.Fail || !strings.Contains(f.Detail, w) {
			t.Errorf("%s: %q is not in: %s", f.Status, w, f.Detail)
		}
	}
	if f := spfFinding(t, "spf.include-broken", "example.org", lines...); f.Status != audit.UnknownStatus || f.Cause != audit.NotAsked {
		t.Errorf("of those that were not followed it is said: %s %s", f.Status, f.Cause)
	}
}
