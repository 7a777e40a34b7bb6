package resolve

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

func TestObserve(t *testing.T) {
	why := audit.Reason{Code: audit.ServFail, Text: "192.0.2.53 answered SERVFAIL"}
	hosts := func(rrs []dns.RR) []string {
		var out []string
		for _, rr := range rrs {
			out = append(out, rr.(*dns.MX).Mx)
		}
		rrs[0] = nil // a callback may do what it wants with its slice
		return out
	}
	records := []dns.RR{record("example.org. 5 IN MX 10 a."), record("example.org. 5 IN MX 10 b.")}
	const via = "dig -t MX -q example.org"
	for _, tt := range []struct {
		a     Answer
		obs   audit.Obs[[]string]
		alias audit.Obs[[]audit.DNSName]
	}{
		{Answer{State: audit.Seen, Records: records}, audit.See([]string{"a.", "b."}, via), audit.None[[]audit.DNSName](audit.NoData, "no alias", via)},
		{Answer{State: audit.Seen, Records: records, Chain: []audit.DNSName{"x", "y"}}, audit.See([]string{"a.", "b."}, via), audit.See([]audit.DNSName{"x", "y"}, via)},
		{Answer{State: audit.Absent, Why: audit.Reason{Code: audit.NXDomain, Text: "no"}, Chain: []audit.DNSName{"x"}}, audit.None[[]string](audit.NXDomain, "no", via), audit.See([]audit.DNSName{"x"}, via)},
		{Answer{State: audit.Absent, Why: audit.Reason{Code: audit.NoData, Text: "no"}}, audit.None[[]string](audit.NoData, "no", via), audit.None[[]audit.DNSName](audit.NoData, "no alias", via)},
		{Answer{State: audit.Unknown, Why: why}, audit.Dark[[]string](why, via), audit.Dark[[]audit.DNSName](why, via)},
		{Answer{State: audit.Unknown, Why: why, Chain: []audit.DNSName{"x"}}, audit.Dark[[]string](why, via), audit.Dark[[]audit.DNSName](why, via)},
	} {
		tt.a.Name, tt.a.Type = "example.org", dns.TypeMX
		if diff := cmp.Diff(tt.obs, Observe(&tt.a, hosts)); diff != "" {
			t.Errorf("Observe(%+v) (-want +got):\n%s", tt.a, diff)
		}
		if diff := cmp.Diff(tt.alias, Alias(&tt.a)); diff != "" {
			t.Errorf("Alias(%+v) (-want +got):\n%s", tt.a, diff)
		}
		if tt.a.State == audit.Seen && tt.a.Records[0] == nil {
			t.Error("the callback changed the shared records")
		}
	}
}

// TestTXT sends every octet over the wire and back.
func TestTXT(t *testing.T) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	for _, want := range [][]byte{all, []byte(`v=spf1 "quoted" \ \065 \\ end\`), []byte("9\\9\x009"), {}, bytes.Repeat([]byte{0xff, '\\', '5'}, 300)} {
		msg := []byte{0, 0, 0x80, 0x80, 0, 0, 0, 1, 0, 0, 0, 0}
		rdata := []byte{}
		for chunk := range slices.Chunk(want, 100) {
			rdata = append(append(rdata, byte(len(chunk))), chunk...)
		}
		if len(want) == 0 {
			rdata = []byte{0}
		}
		msg = append(msg, 0, 0, 16, 0, 1, 0, 0, 0, 0, byte(len(rdata)>>8), byte(len(rdata)))
		m := new(dns.Msg)
		err := m.Unpack(append(msg, rdata...))
		if err != nil {
			t.Fatal(err)
		}
		got := TXT(m.Answer[0].(*dns.TXT))
		if string(got) != string(want) {
			t.Errorf("TXT = %q, want %q", string(got), want)
		}
	}
	for in, want := range map[string]string{`\`: `\`, `a\`: `a\`, `\12`: "12", `\999`: "999", `\12x`: "12x", `\+12`: "+12"} {
		if got := TXT(&dns.TXT{Txt: []string{in}}); string(got) != want {
			t.Errorf("TXT(%q) = %q, want %q", in, string(got), want)
		}
	}
}

func TestName(t *testing.T) {
	if got := Name(`MX\.x.Example.ORG.`); got != `mx\.x.example.org` {
		t.Errorf("Name = %q", got)
	}
}
