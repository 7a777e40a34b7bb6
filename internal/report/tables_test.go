package report

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// rowsOf writes a table as lines "kind: a, b | c".
func rowsOf(t Table) []string {
	line := func(c Cell) string {
		out := strings.Join(c.Lines, ", ")
		if c.Kind != CellWords {
			out = string(c.Kind) + ": " + out
		}
		return out
	}
	var out []string
	if len(t.Note.Lines) > 0 {
		out = append(out, line(t.Note))
	}
	for _, r := range t.Rows {
		var cells []string
		for _, c := range r {
			cells = append(cells, line(c))
		}
		out = append(out, strings.Join(cells, " | "))
	}
	return out
}

func checkTable(t *testing.T, name string, table Table, want ...string) {
	t.Helper()
	if got := rowsOf(table); !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", name, got, want)
	}
	for _, r := range table.Rows {
		if len(r) != len(table.Head) {
			t.Errorf("%s: a row of %d cells under %d headings", name, len(r), len(table.Head))
		}
	}
}

// TestTableMX: none, unknown and not asked are three things.
func TestTableMX(t *testing.T) {
	dark := audit.Reason{Code: audit.ServFail, Text: "192.0.2.53 answered SERVFAIL"}
	records := audit.See([]audit.MXRecord{{Preference: 10, Host: "mx.example.org"}, {Preference: 20, Host: audit.DNSName("a|\\.b")}}, "")
	exists := audit.See(audit.Nothing{}, "")
	for _, c := range []struct {
		name string
		mx   audit.MX
		want []string
	}{
		{"seen", audit.MX{Exists: exists, Records: records}, []string{"10 | code: mx.example.org", `20 | code: a|\.b`}},
		{"null", audit.MX{Exists: exists, Records: audit.See([]audit.MXRecord{{Host: "."}}, "")}, []string{"0 | none: none: the domain takes no mail (null MX)"}},
		{"alias", audit.MX{Exists: exists, Records: records, Alias: audit.See([]audit.DNSName{"b.example", "c.example"}, "")},
			[]string{"example.org is an alias of b.example, then of c.example", "10 | code: mx.example.org", `20 | code: a|\.b`}},
		{"none", audit.MX{Exists: exists, Records: audit.None[[]audit.MXRecord](audit.NoData, "no MX", "")}, []string{"none: none: mail goes to the address of the domain itself"}},
		{"unknown", audit.MX{Records: audit.Dark[[]audit.MXRecord](dark, "")}, []string{"dark: not known: 192.0.2.53 answered SERVFAIL"}},
		{"no domain", audit.MX{Exists: audit.None[audit.Nothing](audit.NXDomain, "", "")}, []string{"none: example.org does not exist"}},
		{"not asked", audit.MX{Exists: exists, Records: audit.Skipped[[]audit.MXRecord]("out of scope")}, []string{"none: not asked: out of scope"}},
		{"forgotten", audit.MX{}, []string{"none: not asked"}},
	} {
		checkTable(t, c.name, mxTable("example.org", c.mx), c.want...)
	}
}

func TestTableReverse(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	dark := audit.Reason{Code: audit.Timeout, Text: "no answer"}
	checkTable(t, "reverse", reverseTable([]audit.Reverse{
		{Addr: a, Role: audit.RoleSender, PTR: audit.See([]audit.DNSName{"x.example", "y.example", "z.example"}, ""), Forward: []audit.Forward{
			{Name: "x.example", Addrs: audit.See([]netip.Addr{a, b}, "")}, {Name: "y.example", Addrs: audit.Dark[[]netip.Addr](dark, "")}}},
		{Addr: b, PTR: audit.None[[]audit.DNSName](audit.NXDomain, "", "")},
		{Addr: b, PTR: audit.Dark[[]audit.DNSName](dark, "")},
	}),
		"192.0.2.1 (named as sending) | code: x.example | code: 192.0.2.1, 192.0.2.2",
		"192.0.2.1 (named as sending) | code: y.example | dark: not known: no answer",
		"192.0.2.1 (named as sending) | code: z.example | none: not asked",
		"code: 192.0.2.2 | none: none | none: ",
		"code: 192.0.2.2 | dark: not known: no answer | none: ")
}

func TestTableEndpoint(t *testing.T) {
	e := end(t, "mx.example.org", "192.0.2.1", 25, audit.Absent, audit.ConnRefused)
	checkTable(t, "refused", endpointTable(e), "Connection | none: refused, twice")

	clear := audit.Hello{Name: "mx", Text: "at your service", Keywords: []audit.Keyword{{Name: "SIZE", Params: "10"}, {Name: "STARTTLS"}}}
	e.Connect, e.Greeting = audit.See(audit.Nothing{}, ""), audit.See(audit.Greeting{Code: 220, Lines: []audit.Raw{"mx ESMTP", "\x1bsecond"}}, "")
	e.Hello, e.StartTLS = audit.See(clear, ""), audit.See(audit.Nothing{}, "")
	e.TLS = audit.See(audit.TLS{Version: "TLS 1.3", Cipher: "C"}, "")
	e.HelloTLS = audit.See(audit.Hello{Name: "mx", Keywords: clear.Keywords[:1]}, "")
	checkTable(t, "without a certificate", endpointTable(e), "Connection | accepted", `Greeting | code: 220 mx ESMTP, 220 \x1Bsecond`,
		"Family | none: not known: nothing here recognises it", "EHLO | code: mx at your service",
		"Extensions | code: SIZE 10, STARTTLS", "STARTTLS | offered", "TLS | code: TLS 1.3, C", "Extensions inside TLS | the same, without STARTTLS", "Certificate | none: none was sent")

	e.HelloTLS = audit.See(clear, "") // STARTTLS again is not the same
	chain := []audit.Certificate{{Subject: "CN=mx", Issuer: "CN=ca", Names: []audit.Raw{"mx"}, NameCount: 3, KeyType: "RSA", KeyBits: 2048, Signature: "SHA256-RSA", SHA256: "ab"}}
	e.TLS = audit.See(audit.TLS{Version: "TLS 1.2", Cipher: "C", Group: "G", Chain: chain, ChainLen: 2,
		Trust: audit.None[audit.Nothing](audit.UnknownRoot, "the root is not known here", ""), NameMatch: audit.Dark[audit.Nothing](audit.Reason{Text: "odd"}, "")}, "")
	rows := rowsOf(endpointTable(e))
	want := []string{"TLS | code: TLS 1.2, C, G", "Extensions inside TLS | code: SIZE 10, STARTTLS", "Certificate of | code: CN=mx", "Names in it | code: mx, and 2 more", "Issued by | code: CN=ca",
		"Valid | from 0001-01-01 00:00 UTC, until 0001-01-01 00:00 UTC", "Key | code: RSA, 2048 bits, signed with SHA256-RSA", "SHA-256 | code: ab", "Names the host | dark: not known: odd",
		"Sent with it | code: and 1 more", "Leads to a trusted root | none: the root is not known here"}
	if got := rows[len(rows)-len(want):]; !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}

	// What another connection showed, and what came along with the certificate.
	e.OldTLS = audit.See(audit.OldTLS{Version: "TLS 1.1", Cipher: "\x1bC"}, "")
	e.LargeHello = audit.None[audit.Nothing](audit.BrokenOffer, "a large one fails", "")
	e.StartTLSSteady = audit.None[audit.Nothing](audit.Varies, "one was and another was not", "")
	e.TLS.Value.Chain = append(e.TLS.Value.Chain, audit.Certificate{Subject: "CN=ca\xff"})
	e.TLS.Value.SCTs, e.TLS.Value.Stapled = audit.See(audit.Nothing{}, ""), audit.None[audit.Nothing](audit.NotOffered, "none", "")
	e.TLS.Value.Tickets, e.TLS.Value.MasterSecret = audit.Dark[audit.Nothing](audit.Reason{Text: "odd"}, ""), audit.NA[audit.Nothing]("built in")
	rows = rowsOf(endpointTable(e))
	for _, want := range []string{"TLS 1.1 and 1.0 | code: TLS 1.1 accepted, \\x1BC", "Post-quantum ClientHello | none: a large one fails", "STARTTLS every time | none: one was and another was not",
		"Sent with it | code: CN=ca\\xFF", "In certificate logs | yes (SCT)", "OCSP response | none: no", "Resumption | dark: not known: odd", "Extended master secret | none: does not apply: built in"} {
		if !slices.Contains(rows, want) {
			t.Errorf("lacks %q: %q", want, rows)
		}
	}

	e.StartTLSSteady = audit.Obs[audit.Nothing]{}
	e.Hello, e.Helo = audit.None[audit.Hello](audit.Declined, "EHLO was refused, twice", ""), audit.See(audit.Hello{}, "")
	e.StartTLS, e.TLS, e.HelloTLS = audit.NA[audit.Nothing]("no EHLO"), audit.NA[audit.TLS]("no EHLO"), audit.NA[audit.Hello]("no EHLO")
	checkTable(t, "HELO", endpointTable(e), "Connection | accepted", `Greeting | code: 220 mx ESMTP, 220 \x1Bsecond`,
		"Family | none: not known: nothing here recognises it", "EHLO | none: EHLO was refused, twice", "HELO | accepted",
		"STARTTLS | none: does not apply: no EHLO", "TLS | none: does not apply: no EHLO")
}

// TestTableSenders: a list that fails its own test says nothing, and no record
// is another thing than no answer.
func TestTableSenders(t *testing.T) {
	dark := audit.Reason{Code: audit.Timeout, Text: "no answer"}
	f := audit.Facts{
		SPF: audit.SPF{Records: audit.See([]audit.Raw{"v=spf1 -all", "v=spf1 \xff"}, "")},
		DKIM: []audit.DKIM{
			{Name: "a._domainkey.x", Alias: audit.See([]audit.DNSName{"b.y"}, ""), Records: audit.See([]audit.Raw{"p=x"}, ""), Key: audit.See(audit.PublicKey{Type: "rsa", Bits: 1024}, "")},
			{Name: "c._domainkey.x", Records: audit.None[[]audit.Raw](audit.NXDomain, "", ""), Key: audit.NA[audit.PublicKey]("there is no record")},
		},
		DMARC:    audit.DMARC{Walk: []audit.DMARCStep{{Domain: "x", Records: audit.Dark[[]audit.Raw](dark, "")}}},
		Lists:    []audit.BlockList{{Name: "Good", Zone: "good.x", Health: audit.See(audit.Nothing{}, "")}, {Name: "Odd", Zone: "odd.x", Health: audit.None[audit.Nothing](audit.ListUnhealthy, "it lists all the world", "")}},
		Listings: []audit.Listing{{Subject: "192.0.2.1", Zone: "good.x", Codes: audit.See([]audit.ListCode{{Addr: netip.MustParseAddr("127.0.0.2"), Meaning: "spam"}}, "")}, {Subject: "192.0.2.1", Zone: "odd.x", Codes: audit.Dark[[]audit.ListCode](dark, "")}, {Subject: "192.0.2.2", Zone: "good.x", Codes: audit.None[[]audit.ListCode](audit.NXDomain, "", "")}},
	}
	tables := append(senderTables("example.org", f, nil), listTables(f)...)
	if len(tables) != 5 {
		t.Fatalf("%d tables", len(tables))
	}
	checkTable(t, "SPF", tables[0], `code: example.org | code: v=spf1 -all, v=spf1 \xFF`)
	checkTable(t, "DKIM", tables[1], "code: a._domainkey.x, CNAME b.y | code: p=x | code: rsa, 1024 bits", "code: c._domainkey.x | none: none | none: does not apply: there is no record")
	checkTable(t, "DMARC", tables[2], "code: _dmarc.x | dark: not known: no answer")
	checkTable(t, "lists", tables[3], "Good | code: good.x | passed", "Odd | code: odd.x | none: it lists all the world")
	checkTable(t, "listings", tables[4], "code: 192.0.2.1 | code: good.x | 127.0.0.2: spam", "code: 192.0.2.1 | code: odd.x | dark: not known: no answer", "code: 192.0.2.2 | code: good.x | none: not listed")
	if got := append(senderTables("example.org", audit.Facts{}, nil), listTables(audit.Facts{})...); len(got) != 0 {
		t.Errorf("tables of nothing: %+v", got)
	}
}
