package report

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// policyRun is a run over a policy: of the domain itself, and of others.
func policyRun(t *testing.T, own audit.Raw, below map[audit.DNSName]audit.Raw) *audit.Run {
	t.Helper()
	d, _, err := audit.ParseDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	run := &audit.Run{Kind: audit.KindAudit, Target: "example.org", State: audit.Complete}
	run.Snapshot.Domain = d
	f := &run.Snapshot.Facts.SPF
	f.Records, f.Alias = audit.See([]audit.Raw{own}, ""), audit.None[[]audit.DNSName](audit.NoData, "no alias", "")
	for name, text := range below {
		f.Below = append(f.Below, audit.SPFBelow{Name: name, Records: audit.See([]audit.Raw{text}, "")})
	}
	run.Snapshot.Facts.Canonical()
	return run
}

// Ensure the inventory says of each term what it costs and whom it lets send,
// and of nothing more than is known.
func TestPolicyTerms(t *testing.T) {
	below := map[audit.DNSName]audit.Raw{
		"_spf.google.com": "v=spf1 ip4:198.51.100.0/24 ~all", "r.example": "v=spf1 exists:%{i}.x.example ?all", "loop.example": "v=spf1 include:example.org -all",
		"bad.example": "v=spf1 foo -all", "all.example": "v=spf1 +all",
	}
	for _, c := range []struct{ record, want string }{
		{"v=spf1 -all", "-all 0 - - everyone else: fail | 0 of 10, 0 of 2, - -"},
		{"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -ip4:192.0.2.1 all mx", "ip4:192.0.2.0/24 0 256 -; ip6:2001:db8::/32 0 - 2^96; -ip4:192.0.2.1 0 - -; all 0 everyone everyone everyone else: pass; mx  - - never reached | 0 of 10, 0 of 2, everyone everyone"},
		{"v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.7 ip4:198.51.100.1 -ip4:203.0.113.1 ip6:2001:db8::1 ~all", "ip4:192.0.2.0/24 ... (5 networks) 0 257 1; ~all 0 - - everyone else: softfail | 0 of 10, 0 of 2, 257 1"},
		{"v=spf1 include:_spf.google.com ?include:_spf.google.com redirect=r.example", "include:_spf.google.com 1 256 - Google Workspace; .ip4:198.51.100.0/24 0 256 -; .~all 0 - -; " +
			"?include:_spf.google.com 1 - - Google Workspace; .ip4:198.51.100.0/24 0 - -; .~all 0 - -; redirect=r.example 2 others others; .exists:%{i}.x.example 1 others others a name that depends on who sends; .?all 0 - - everyone else: neutral | 4 of 10, 0 of 2, 256+others others"},
		{"v=spf1 include:loop.example include:bad.example include:all.example include:far.example ~all",
			"include:loop.example 2 - -; .include:example.org 1 - - leads back to itself: permerror for who comes here; .-all 0 - -; include:bad.example 1 - - " +
				"\"foo\" is no term of SPF (octet 8): permerror; include:all.example 1 everyone everyone; .+all 0 everyone everyone; " +
				"include:far.example 1 ? ? not known: the policy has more records than are followed; ~all 0 - - everyone else: softfail | at least 5 of 10, 0 of 2, everyone everyone"},
		{"v=spf1 a:far.example exists:far.example ptr include:%{i}.x.example ~all", "a:far.example 1 ? ? not asked for: the policy has more terms than are followed; exists:far.example 1 ? ? not asked for: the policy has more terms than are followed; " +
			"ptr 1 others others; include:%{i}.x.example 1 others others a name that depends on who sends; ~all 0 - - everyone else: softfail | at least 4 of 10, 0 of 2, ? ?"},
	} {
		p := spfInventory(policyRun(t, audit.Raw(c.record), below))
		var lines []string
		for _, row := range p.Terms {
			line := fmt.Sprintf("%s%s %s %s %s %s %s", strings.Repeat(".", row.Depth), row.Term, row.Lookups, row.IP4, row.IP6, row.About, strings.Join(row.Notes, ", "))
			lines = append(lines, strings.TrimSpace(strings.ReplaceAll(line, "  ", " ")))
		}
		got := fmt.Sprintf("%s | %s, %s, %s %s", strings.Join(lines, "; "), p.Lookups, p.Voids, p.IP4, p.IP6)
		if got != strings.ReplaceAll(c.want, "  ", " ") {
			t.Errorf("%s:\n%s\nwant\n%s", c.record, got, c.want)
		}
	}
}

// Ensure there is no inventory of what is no policy, or was not looked at.
func TestPolicyOfNothing(t *testing.T) {
	run := policyRun(t, "v=spf1 foo -all", nil)
	if spfInventory(run) != nil || policyJSON(run) != nil {
		t.Error("of a record that is broken")
	}
	run = policyRun(t, "v=spf1 mx -all", nil)
	run.Snapshot.Facts.SPF.Alias = audit.Obs[[]audit.DNSName]{}
	if spfInventory(run) != nil {
		t.Error("of a run that saw the record alone")
	}
	run.Snapshot.Facts.SPF = audit.SPF{Records: audit.None[[]audit.Raw](audit.NoData, "", ""), Alias: audit.None[[]audit.DNSName](audit.NoData, "", "")}
	if spfInventory(run) != nil {
		t.Error("of no record")
	}
}

// Ensure a policy of a great many terms is told in part, and says so.
func TestPolicyIsCut(t *testing.T) {
	record := "v=spf1"
	for i := range 300 {
		record += fmt.Sprintf(" a:h%d.example ip4:192.0.2.%d", i, i%250)
	}
	run := policyRun(t, audit.Raw(record+" -all"), nil)
	m := Build(run, nil, nil)
	for verbose, want := range map[bool]string{false: "and 585 more terms (-v shows them)", true: "h299.example"} {
		var b bytes.Buffer
		err := Text(&b, m, TextOptions{Verbose: verbose})
		if err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("verbose %t: %v, no %q", verbose, err, want)
		}
	}
	rows := 0
	for _, table := range m.Facts {
		if table.Title == "What SPF leads to" {
			rows = len(table.Rows)
			if !strings.Contains(strings.Join(table.Note.Lines, " "), "401 more terms are in the JSON.") {
				t.Errorf("%v", table.Note)
			}
		}
	}
	if rows != maxPolicyRows {
		t.Errorf("%d rows", rows)
	}
}

// Ensure what is beside the policy is told, and what is below a name that nobody
// has.
func TestPolicyTables(t *testing.T) {
	see := func(s ...audit.Raw) audit.Obs[[]audit.Raw] { return audit.See(s, "") }
	dark := audit.Reason{Code: audit.ServFail, Text: "SERVFAIL"}
	f := audit.SPF{
		Answer: audit.See(audit.SPFAnswer{Octets: 700, Others: 1}, ""), Misses: see(" v=spf1 \x1b"), Type99: see("v=spf1 -all"),
		SenderID: audit.Dark[[]audit.Raw](dark, ""), Explained: audit.None[[]audit.Raw](audit.NoData, "", ""),
		Strings: audit.See([]audit.SPFStrings{{Strings: []audit.Raw{"v=spf1 ", "-all"}}}, ""),
		Hellos:  []audit.SPFHello{{Name: "out.example.org", Records: audit.None[[]audit.Raw](audit.NoData, "", "")}},
		Former: []audit.SPFFormer{
			{Name: "_spf.example.net", Networks: audit.See([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, ""), LeftOut: 3},
			{Name: "gone.example.net", Networks: audit.None[[]netip.Prefix](audit.NXDomain, "no such name", "")},
		},
	}
	checkTable(t, "beside", policyTables(f, nil)[0], "Size of the answer | 700 octets, with 1 other TXT record", `Meant as SPF | code:  v=spf1 \x1B`, "Of type SPF | code: v=spf1 -all",
		"Sender ID | dark: not known: SERVFAIL", `Strings of a record | code: "v=spf1 ", "-all"`, "Record of out.example.org | none: none",
		"Included before: _spf.example.net | 4 networks today", "Included before: gone.example.net | none: no such name")
	rows := belowRows([]audit.SPFBelow{
		{Name: "a.example", Records: see("v=spf1 -all"), Alias: audit.See([]audit.DNSName{"b.example"}, "")},
		{Name: "gone.net", Records: audit.None[[]audit.Raw](audit.NXDomain, "", ""), Registered: audit.None[audit.Nothing](audit.NXDomain, "", ""), Registrable: "gone.net"},
		{Name: "other.example", Records: see()},
	})
	checkTable(t, "below", Table{Head: []string{"Name", "Record"}, Rows: rows}, "code: a.example, CNAME b.example | code: v=spf1 -all", "code: gone.net | none: none, gone.net does not exist",
		"code: other.example | none: none: its TXT records are others")
	if got := policyTables(audit.SPF{}, nil); len(got) != 0 {
		t.Errorf("tables of nothing: %+v", got)
	}
}
