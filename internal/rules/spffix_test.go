package rules

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// zoneStrings reads what txtValue writes.
func zoneStrings(t *testing.T, value string) []audit.Raw {
	t.Helper()
	var out []audit.Raw
	var b strings.Builder
	inside := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			if inside {
				out = append(out, audit.Raw(b.String()))
				b.Reset()
			}
			inside = !inside
		case c == '\\' && '0' <= value[i+1] && value[i+1] <= '9':
			b.WriteByte((value[i+1]-'0')*100 + (value[i+2]-'0')*10 + value[i+3] - '0')
			i += 3
		case c == '\\':
			i++
			b.WriteByte(value[i])
		case inside:
			b.WriteByte(c)
		case c != ' ':
			t.Fatalf("%q stands outside of quotation marks in %s", c, value)
		}
	}
	if inside {
		t.Fatalf("%s does not end", value)
	}
	for _, s := range out {
		if len(s) > maxTXTString {
			t.Errorf("a string of %d octets", len(s))
		}
	}
	return out
}

// applySPFFix publishes the TXT records of a fix in the facts: what was an SPF
// record, or meant as one, goes, the new one comes, and the senders are checked
// again.
func applySPFFix(t *testing.T, s *audit.Snapshot, records []audit.FixRecord) {
	t.Helper()
	f := &s.Facts.SPF
	for _, r := range records {
		if r.Type != "TXT" || r.Name != s.Domain.Name().FQDN() {
			t.Fatalf("%+v is no TXT record of the domain", r)
		}
		parts := zoneStrings(t, r.Value)
		text := joinStrings(parts)
		switch r.Action {
		case audit.Remove:
			there := slices.Contains(f.Records.Value, text) || slices.Contains(f.Misses.Value, text)
			if !there {
				t.Errorf("there is no %q to take away", text)
			}
			drop(&f.Records, text)
			drop(&f.Misses, text)
		case audit.Add:
			if !audit.IsSPF(text) {
				t.Errorf("%q is no SPF record", text)
			}
			f.Records = audit.See(append(f.Records.Value, text), f.Records.Via)
			f.Strings = audit.See([]audit.SPFStrings{{Strings: parts}}, f.Strings.Via)
			if len(parts) == 1 {
				f.Strings = audit.None[[]audit.SPFStrings](audit.NoData, "one string", f.Strings.Via)
			}
		default:
			t.Errorf("%s would take the TXT records of other services away", r.Action)
		}
	}
	for i := range f.Senders {
		f.Senders[i].Verdict = checkAgain(s, f.Senders[i])
	}
}

func drop(o *audit.Obs[[]audit.Raw], text audit.Raw) {
	o.Value = slices.DeleteFunc(o.Value, func(r audit.Raw) bool { return r == text })
	if o.State == audit.Seen && len(o.Value) == 0 {
		*o = audit.None[[]audit.Raw](audit.NoData, "there is none", o.Via)
	}
}

// checkAgain is check_host for what fixes add: networks in front of the term
// that decided.
func checkAgain(s *audit.Snapshot, sender audit.SPFSender) audit.Obs[audit.SPFVerdict] {
	if len(s.Facts.SPF.Records.Value) != 1 {
		return sender.Verdict
	}
	for _, term := range audit.ParseSPF(s.Facts.SPF.Records.Value[0]).Reached() {
		if term.Text == sender.Verdict.Value.Term && term.Text != "" {
			break
		}
		if term.Network.Contains(sender.Addr) && term.Qualifier == '+' {
			return audit.See(audit.SPFVerdict{Result: audit.SPFPass, In: s.Domain.Name(), Term: term.Text}, "")
		}
	}
	return sender.Verdict
}

// TestSPFFixes: a record that a rule about SPF proposes, published as it stands,
// makes the finding go away, and no other rule about SPF fails for it.
func TestSPFFixes(t *testing.T) {
	tried := map[audit.RuleID]int{}
	eachCase(t, func(t *testing.T, rule Rule, _ ruleCase, world *audit.Snapshot) {
		if rule.Area() != audit.AreaSPF && rule.Area() != audit.AreaHELO {
			return
		}
		before := map[audit.Key]audit.Finding{}
		for _, f := range Evaluate(world) {
			before[f.Key()] = f
		}
		for key, f := range before {
			if len(f.Fix.Records) == 0 || key.Rule != rule.ID {
				continue
			}
			tried[rule.ID]++
			fixed := clone(t, world)
			applySPFFix(t, fixed, f.Fix.Records)
			for _, g := range Evaluate(fixed) {
				was := before[g.Key()].Status
				cured := g.Status == audit.Pass || g.Status == audit.NAStatus || g.Status == audit.UnknownStatus && hasDark(fixed)
				if g.Key() == key && !cured {
					t.Errorf("with %v it is %s: %s", f.Fix.Records, g.Status, g.Detail)
				}
				if g.Rule.Area() == audit.AreaSPF && g.Status == audit.Fail && was != audit.Fail {
					t.Errorf("%v broke %s of %s, which was %q: %s", f.Fix.Records, g.Rule, g.Subject, was, g.Detail)
				}
			}
		}
	})
	for _, id := range []audit.RuleID{"spf.missing", "spf.near-miss", "spf.strings-glued", "spf.never-sends", "spf.sender-fails"} {
		if tried[id] == 0 {
			t.Errorf("no case of %s has a record to publish", id)
		}
	}
}

// hasDark reports whether something is not known: then what is cured may be
// unknown from there on.
func hasDark(s *audit.Snapshot) bool {
	return slices.ContainsFunc(lab.Observations(&s.Facts), func(o lab.Observation) bool { return o.State() == audit.Unknown })
}

// TestSPFInstead: no record is proposed where it is not known how the old one is
// written, or that one can be written there at all.
func TestSPFInstead(t *testing.T) {
	long := audit.Raw("v=spf1 " + strings.Repeat("ip4:192.0.2.1 ", 20) + "-all")
	for _, tc := range []struct {
		name   string
		change func(s *audit.Snapshot)
		old    audit.Raw
		want   int
	}{
		{"one string", func(*audit.Snapshot) {}, "v=spf1 ~all", 2},
		{"strings not noted", func(s *audit.Snapshot) { s.Facts.SPF.Strings = audit.Obs[[]audit.SPFStrings]{} }, "v=spf1 ~all", 0},
		{"strings not known", func(s *audit.Snapshot) {
			s.Facts.SPF.Strings = audit.Dark[[]audit.SPFStrings](audit.Reason{Code: audit.Timeout}, "")
		}, "v=spf1 ~all", 0},
		{"too long for one", func(*audit.Snapshot) {}, long, 0},
		{"long, and noted", func(s *audit.Snapshot) {
			s.Facts.SPF.Strings = audit.See([]audit.SPFStrings{{Strings: []audit.Raw{long[:200], long[200:]}}}, "")
		}, long, 2},
		{"an alias", func(s *audit.Snapshot) { s.Facts.SPF.Alias = audit.See([]audit.DNSName{"a.example.net"}, "") }, "v=spf1 ~all", 0},
		{"perhaps an alias", func(s *audit.Snapshot) {
			s.Facts.SPF.Alias, s.Facts.MX.Alias = audit.Obs[[]audit.DNSName]{}, audit.Obs[[]audit.DNSName]{}
		}, "v=spf1 ~all", 0},
		{"MX knows that it is none", func(s *audit.Snapshot) { s.Facts.SPF.Alias = audit.Obs[[]audit.DNSName]{} }, "v=spf1 ~all", 2},
	} {
		s := good(t)
		tc.change(s)
		if got := spfInstead(s, tc.old, "v=spf1 -all"); len(got) != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestTXTStrings(t *testing.T) {
	for _, text := range []string{
		"", "v=spf1 -all",
		strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("x", 254) + " y", strings.Repeat("x", 255) + " y",
		strings.Repeat("ip4:192.0.2.1 ", 100), strings.Repeat(" ", 600),
	} {
		parts := txtStrings(text)
		if joinStrings(parts) != audit.Raw(text) {
			t.Errorf("%q is cut into %q", text, parts)
		}
		for i, p := range parts {
			if len(p) > maxTXTString {
				t.Errorf("a string of %d octets", len(p))
			}
			beside := i+1 < len(parts) && (p[len(p)-1] == ' ' || parts[i+1][0] == ' ')
			if beside && strings.Trim(text, " ") != "" {
				t.Errorf("cut beside a blank: %q, %q", p, parts[i+1])
			}
		}
		if got := zoneStrings(t, txtValue(parts)); !slices.Equal(got, parts) {
			t.Errorf("%q comes back as %q", parts, got)
		}
	}
	if got := txtValue([]audit.Raw{"a\"b\\\x01", "\xff"}); got != `"a\"b\\\001" "\255"` {
		t.Errorf("%s", got)
	}
}

func TestSPFInsert(t *testing.T) {
	for record, want := range map[string]string{
		"v=spf1 mx ~all":                         "v=spf1 mx ADD ~all",
		"v=spf1":                                 "v=spf1 ADD",
		"v=spf1  -all":                           "v=spf1 ADD -all",
		"v=spf1 a redirect=b.example":            "v=spf1 a ADD redirect=b.example",
		"v=spf1 exp=e.example a ?all -all":       "v=spf1 exp=e.example a ADD ?all -all",
		"v=spf1 a exp=e.example redirect=b.test": "v=spf1 a ADD exp=e.example redirect=b.test",
		"v=spf1 redirect=b.example a ":           "v=spf1 redirect=b.example a ADD",
	} {
		got := spfInsert(audit.ParseSPF(audit.Raw(record)), []string{"ip4:192.0.2.1"})
		if got = strings.ReplaceAll(got, "ip4:192.0.2.1", "ADD"); got != want {
			t.Errorf("%s: %s, want %s", record, got, want)
		}
	}
}

func TestCoveredBy(t *testing.T) {
	for _, tc := range []struct {
		network, ranges string
		want            bool
	}{
		{"192.0.2.0/24", "192.0.2.0/25 192.0.2.128/25", true},
		{"192.0.2.0/24", "192.0.2.0/25 192.0.2.128/26 192.0.2.192/27", false},
		{"192.0.2.0/24", "192.0.0.0/16", true},
		{"192.0.2.1/32", "", false},
		{"2001:db8::/32", "2001:db8::/33 2001:db8:8000::/33", true},
		{"2001:db8::/32", "192.0.2.0/24 ::/0", true},
	} {
		var ranges []netip.Prefix
		for _, r := range strings.Fields(tc.ranges) {
			ranges = append(ranges, netip.MustParsePrefix(r))
		}
		if got := covered(tc.network, ranges); got != tc.want {
			t.Errorf("%s in %s: %t", tc.network, tc.ranges, got)
		}
	}
}
