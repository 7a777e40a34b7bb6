package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// spfSource is an answer with one record.
func spfSource(records ...audit.Raw) audit.SPFSource {
	return audit.SPFSource{State: audit.Seen, TTL: 3600, Records: records}
}

// samplePolicy has something of everything that a policy can have.
func samplePolicy() audit.SPFPolicy {
	addr := netip.MustParseAddr
	return audit.NewSPFPolicy("example.org", audit.SPFKnown{
		Questions: 23,
		Records: map[audit.DNSName]audit.SPFSource{
			"example.org":           spfSource("v=spf1 ip4:192.0.2.25 a mx include:_spf.google.com include:crm.example.net include:gone.example.net include:dark.example.net include:loop.example.net exists:%{i}.x.example -all ip4:192.0.2.99"),
			"_spf.google.com":       spfSource("v=spf1 include:_netblocks.google.com ip4:198.51.100.0/24 ip4:198.51.101.0/24 ip4:198.51.102.0/24 ip4:198.51.103.0/24 ip6:2001:db8:4000::/36 ~all"),
			"_netblocks.google.com": spfSource("v=spf1 ip4:198.51.100.7 ip4:203.0.0.0/8 ~all"),
			"crm.example.net":       spfSource("v=spf1 include:a-name-that-is-so-long-that-it-does-not-fit.into-one-line.of-eighty-columns.crm.example.net a:h1.example.net a:h2.example.net include:_spf.google.com ~all"),
			"a-name-that-is-so-long-that-it-does-not-fit.into-one-line.of-eighty-columns.crm.example.net": {
				State: audit.Seen, TTL: 60, Alias: []audit.DNSName{"real.example.net"}, Records: []audit.Raw{"v=spf1 a:h1.example.net -all"}},
			"gone.example.net": {State: audit.Absent, Answer: audit.Reason{Code: audit.NXDomain}},
			"dark.example.net": {State: audit.Unknown, Answer: audit.Reason{Code: audit.ServFail, Text: "192.0.2.53 answered SERVFAIL"}},
			"loop.example.net": spfSource("v=spf1 include:two.example.net redirect=loop.example.net"),
			"two.example.net":  spfSource("v=spf1 -all", "v=spf1 +all"),
		},
		Found: map[audit.SPFAsk]audit.SPFFound{
			{Term: "a", Target: "example.org"}:    {State: audit.Seen, IP4: []netip.Addr{addr("192.0.2.25")}, Void6: true},
			{Term: "mx", Target: "example.org"}:   {State: audit.Seen, Hosts: []audit.DNSName{"mx1.example.org", "mx2.example.org"}, IP4: []netip.Addr{addr("192.0.2.26")}, Doubt: audit.Reason{Code: audit.ServFail, Text: "192.0.2.53 answered SERVFAIL"}},
			{Term: "a", Target: "h1.example.net"}: {State: audit.Absent, Answer: audit.Reason{Code: audit.NoData}, Void4: true, Void6: true},
		},
	})
}

// sampleCheck is a check that failed.
func sampleCheck() audit.SPFCheck {
	return audit.SPFCheck{
		Result: audit.SPFFail, Explanation: "go away", Lookups: 2, VoidLookups: 1, IP: netip.MustParseAddr("2001:db8::25"),
		Identity: "helo", Sender: "postmaster@mx.example.org", Helo: "mx.example.org", Domain: "mx.example.org",
		Why:     `"-all" in the record of mx.example.org matches`,
		Matched: []audit.SPFMatch{{Domain: "mx.example.org", Term: "-all", At: 60}},
		Doubt:   audit.Reason{Code: audit.Timeout, Text: "192.0.2.53 did not answer"},
		Tree: &audit.SPFNode{Domain: "mx.example.org", State: audit.Seen, Records: []audit.Raw{"v=spf1 ..."}, Result: audit.SPFFail, Lookups: 2, VoidLookups: 1, Steps: []audit.SPFStep{
			{Term: "ip4:192.0.2.1", At: 8, Outcome: audit.SPFNoMatch}, {Term: "ip4:192.0.2.2", Outcome: audit.SPFNoMatch},
			{Term: "a:%{d}", Outcome: audit.SPFNoMatch, Target: "mx.example.org", State: audit.Absent, Answer: audit.Reason{Code: audit.NoData}, Lookups: 1, VoidLookups: 1, LookupsThen: 1, VoidsThen: 1},
			{Term: "include:_spf.google.com", Outcome: audit.SPFNoMatch, Target: "_spf.google.com", Lookups: 1, LookupsThen: 2, VoidsThen: 1, Node: &audit.SPFNode{
				Domain: "_spf.google.com", State: audit.Seen, Records: []audit.Raw{"v=spf1 ..."}, Result: audit.SPFSoftFail, Steps: []audit.SPFStep{
					{Term: "ip4:198.51.100.0/24", Outcome: audit.SPFNoMatch, LookupsThen: 2}, {Term: "ip4:198.51.101.0/24", Outcome: audit.SPFNoMatch, LookupsThen: 2},
					{Term: "ip4:198.51.102.0/24", Outcome: audit.SPFNoMatch, LookupsThen: 2}, {Term: "ip6:2001:db8:4000::/36", Outcome: audit.SPFNoMatch, LookupsThen: 2},
					{Term: "~all", Outcome: audit.SPFMatched, LookupsThen: 2},
				}}},
			{Term: "-all", Outcome: audit.SPFMatched, LookupsThen: 2, VoidsThen: 1},
			{Term: "mx", Outcome: audit.SPFNotReached},
		}},
	}
}

// TestSPFGolden renders a check and a policy in every form.
func TestSPFGolden(t *testing.T) {
	for name, render := range map[string]func(*bytes.Buffer) error{
		"check.txt":       func(b *bytes.Buffer) error { return SPFChecks(b, []audit.SPFCheck{sampleCheck()}, false) },
		"check.color.txt": func(b *bytes.Buffer) error { return SPFChecks(b, []audit.SPFCheck{sampleCheck()}, true) },
		"checks.txt": func(b *bytes.Buffer) error {
			return SPFChecks(b, []audit.SPFCheck{sampleCheck(), {Result: audit.SPFNone, Why: "there is none", Domain: "[192.0.2.1]", Identity: "mailfrom"}}, false)
		},
		"check.json":       func(b *bytes.Buffer) error { return SPFChecksJSON(b, []audit.SPFCheck{sampleCheck()}) },
		"checks.json":      func(b *bytes.Buffer) error { return SPFChecksJSON(b, []audit.SPFCheck{sampleCheck(), sampleCheck()}) },
		"policy.txt":       func(b *bytes.Buffer) error { return SPFPolicy(b, samplePolicy(), false) },
		"policy.color.txt": func(b *bytes.Buffer) error { return SPFPolicy(b, samplePolicy(), true) },
		"policy.json":      func(b *bytes.Buffer) error { return SPFPolicyJSON(b, samplePolicy()) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			err := render(&b)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, ".txt") {
				checkText(t, b.String(), strings.Contains(name, "color"))
			}
			compare(t, filepath.Join("testdata/spf", name), b.String())
		})
	}
}

// Ensure what strangers publish and say reaches neither a terminal nor JSON
// unescaped, and that no line is wider than a terminal, however deep records
// are nested.
func TestSPFHostile(t *testing.T) {
	for _, text := range hostileTexts() {
		name, raw, why := audit.DNSName(text), audit.Raw(text), audit.Reason{Code: audit.ServFail, Text: text}
		step := audit.SPFStep{Term: raw, Outcome: audit.SPFMatched, Target: name, State: audit.Unknown, Answer: why, Hosts: []audit.DNSName{name, name}, Valid: []audit.DNSName{name}, HostVoids: 2}
		node := &audit.SPFNode{Domain: "example.org", Records: []audit.Raw{raw, raw}, Alias: []audit.DNSName{name}, Why: text, Steps: []audit.SPFStep{step, step}}
		branch := &audit.SPFBranch{Domain: name, Vendor: text, SPFSource: audit.SPFSource{State: audit.Unknown, Answer: why, Records: []audit.Raw{raw}, Alias: []audit.DNSName{name}}, Faults: []audit.SPFFault{{At: 1, Term: raw, Text: text}}}
		term := audit.SPFPolicyTerm{Term: raw, Target: name, Found: &audit.SPFFound{State: audit.Unknown, Answer: why, Hosts: []audit.DNSName{name}, Doubt: why}}
		branch.Terms = []audit.SPFPolicyTerm{term, term}
		for range 16 { // deeper than indentation goes
			above, over := step, term
			above.Node, over.Branch = node, branch
			node = &audit.SPFNode{Domain: "example.org", Steps: []audit.SPFStep{above, step}}
			branch = &audit.SPFBranch{Domain: name, Terms: []audit.SPFPolicyTerm{over, term}}
		}
		match := audit.SPFMatch{Domain: name, Term: raw}
		net := audit.SPFNetwork{Network: netip.MustParsePrefix("0.0.0.0/0"), SPFMatch: match}
		branch.Records = []audit.Raw{raw} // has sums
		check := audit.SPFCheck{Result: audit.SPFFail, Explanation: raw, Sender: raw, Helo: raw, Domain: raw, Why: text, Matched: []audit.SPFMatch{match}, Trouble: why, Doubt: why, Tree: node}
		policy := audit.SPFPolicy{Domain: name, Over: &match, OverVoids: &match, Loops: []audit.SPFMatch{match}, Huge: []audit.SPFNetwork{net}, Overlaps: []audit.SPFOverlap{{SPFNetwork: net, By: net}}, Tree: branch}
		for _, color := range []bool{false, true} {
			var b bytes.Buffer
			err := SPFChecks(&b, []audit.SPFCheck{check, check}, color)
			if err != nil {
				t.Fatal(err)
			}
			checkText(t, b.String(), color)
			b.Reset()
			err = SPFPolicy(&b, policy, color)
			if err != nil {
				t.Fatal(err)
			}
			checkText(t, b.String(), color)
		}
		var b bytes.Buffer
		err := SPFChecksJSON(&b, []audit.SPFCheck{check})
		if err != nil {
			t.Fatal(err)
		}
		err = SPFPolicyJSON(&b, policy)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range b.String() {
			if r != '\n' && !visible(r) {
				t.Fatalf("%q holds %U", text, r)
			}
		}
	}
}

// Ensure JSON holds all that a program may want back.
func TestSPFRoundTrip(t *testing.T) {
	var b bytes.Buffer
	err := SPFPolicyJSON(&b, samplePolicy())
	if err != nil {
		t.Fatal(err)
	}
	var back jsonSPFPolicy
	dec := json.NewDecoder(&b)
	dec.DisallowUnknownFields()
	err = dec.Decode(&back)
	if err != nil || back.Schema != SPFSchema || fmt.Sprint(back.Policy.Tree.Terms[2].Found.Hosts) != "[mx1.example.org mx2.example.org]" || back.Policy.Lookups != samplePolicy().Lookups {
		t.Errorf("%v: %+v", err, back)
	}
}

func TestSPFMany(t *testing.T) {
	for in, want := range map[string]string{"0": "0", "1048575": "1048575", "2097152": "2^21", "2097153": "about 2^21", "79228162514264337593543950336": "2^96", "x": "x"} {
		if got := spfMany(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
