package audit

import (
	"net/netip"
	"slices"
	"testing"
)

func TestEgressOf(t *testing.T) {
	f := Facts{Egress: []Egress{
		{Family: IPv6, Port: 25, Controls: []DNSName{"b", "a"}}, {Family: IPv4, Port: 587}, {Family: IPv4, Port: 25, Out: See(Nothing{}, "")},
	}}
	f.Canonical()
	for i, want := range []Egress{{Family: IPv4, Port: 25}, {Family: IPv4, Port: 587}, {Family: IPv6, Port: 25}} {
		if f.Egress[i].Family != want.Family || f.Egress[i].Port != want.Port {
			t.Errorf("%d: %+v", i, f.Egress[i])
		}
	}
	if !slices.Equal(f.Egress[2].Controls, []DNSName{"a", "b"}) {
		t.Errorf("%v", f.Egress[2].Controls)
	}
	for addr, want := range map[string]State{"192.0.2.1": Seen, "::ffff:192.0.2.1": Seen, "2001:db8::1": NotTried} {
		if got := f.EgressOf(Endpoint{Addr: netip.MustParseAddr(addr), Port: 25}).Out.State; got != want {
			t.Errorf("%s: %q", addr, got)
		}
	}
	if got := f.EgressOf(Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 465}); got.Port != 0 {
		t.Errorf("%+v", got)
	}
	parts, err := f.Parts()
	if err != nil {
		t.Fatal(err)
	}
	back, err := FactsFromParts(parts)
	if err != nil || len(back.Egress) != 3 {
		t.Errorf("%+v, %v", back.Egress, err)
	}
	parts = slices.DeleteFunc(parts, func(p Part) bool { return p.Name == "egress" })
	old, err := FactsFromParts(parts) // as stored before there was egress
	if err != nil || old.Egress != nil {
		t.Errorf("%+v, %v", old.Egress, err)
	}
}

// TestVantageIsNoScope: our own side is looked at wherever mail servers are,
// and is compared with no other run's.
func TestVantageIsNoScope(t *testing.T) {
	if !(Scope{Areas: []Area{AreaTLS}}).Has(AreaVantage) || (Scope{Areas: []Area{AreaMX}}).Has(AreaVantage) || (Scope{Areas: Areas(), Passive: true}).Has(AreaVantage) {
		t.Error("the scope does not go by whether servers are connected to")
	}
	run := func(id int64, status Status) *Run {
		return &Run{ID: id, Snapshot: Snapshot{Scope: Scope{Areas: Areas()}}, Findings: []Finding{
			{Rule: "vantage.port-25-blocked", Subject: "port 25 over IPv4", Status: status, Severity: Info},
		}}
	}
	for _, was := range []Status{Pass, Fail, UnknownStatus, NAStatus} {
		for _, is := range []Status{Pass, Fail, UnknownStatus, NAStatus} {
			d := Compare(Prior{Base: run(1, was)}, run(2, is), Catalogue{Version: "1", Since: map[RuleID]string{"vantage.port-25-blocked": "1"}})
			if len(d.Changes)+len(d.Facts) > 0 {
				t.Errorf("%s to %s: %+v", was, is, d)
			}
		}
	}
}

func TestMasked(t *testing.T) {
	for text, want := range map[string]bool{
		"****": true, "*****2***0**": true, "mx.example.org ESMTP": false, "": false, "***": false, "mx.example.org **** ESMTP ready": false,
	} {
		if got := (Greeting{Lines: []Raw{Raw(text)}}).Masked(); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	h := Hello{Keywords: []Keyword{{Name: "XXXXXXXA"}, {Name: "SIZE"}, {Name: "XXX"}, {Name: "XCLIENT"}, {Name: "XXXX"}}}
	if got := h.Masked(); !slices.Equal(got, []string{"XXXXXXXA", "XXXX"}) {
		t.Errorf("%v", got)
	}
}
