package report

import (
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// TestOwnSideByControls: what control hosts have shown is told before what
// silence suggests.
func TestOwnSideByControls(t *testing.T) {
	dead := func(addr string) audit.Endpoint {
		return end(t, "mx.example.org", addr, 25, audit.Unknown, audit.NoAnswer)
	}
	obs := func(state audit.State) audit.Obs[audit.Nothing] {
		return audit.Obs[audit.Nothing]{State: state, Why: audit.Reason{Code: audit.EgressBlock, Text: "no control host tells"}}
	}
	place := audit.See(audit.Place{Host: "mx.example.org", Addr: netipAddr(t, "192.0.2.1"), Port: 587}, "")
	way := func(family audit.Family, out audit.State, beside audit.Obs[audit.Place]) audit.Egress {
		return audit.Egress{Family: family, Port: 25, Controls: []audit.DNSName{"a.example.net", "b.example.com"}, Out: obs(out), Beside: beside}
	}
	none := audit.Obs[audit.Place]{}
	for _, c := range []struct {
		name  string
		smtp  []audit.Endpoint
		ways  []audit.Egress
		title string
		text  []string
	}{
		{"shut, and another port answers", []audit.Endpoint{dead("192.0.2.1")}, []audit.Egress{way(audit.IPv4, audit.Absent, place)}, "It is probably you, not them",
			[]string{"Over IPv4 mx.example.org and 2 control hosts that have nothing to do with it (a.example.net and b.example.com) do not answer on port 25, while port 587 of mx.example.org does: that port is shut"}},
		{"shut, and other ports are refused", []audit.Endpoint{dead("192.0.2.1")}, []audit.Egress{way(audit.IPv4, audit.Absent, audit.None[audit.Place](audit.ConnRefused, "refused", ""))},
			"It is probably you, not them", []string{"while mx.example.org refuses other ports"}},
		{"shut, and nothing answers", []audit.Endpoint{dead("192.0.2.1")}, []audit.Egress{way(audit.IPv4, audit.Absent, none)}, "It is probably you, not them", []string{"lets nothing out at all"}},
		{"shut over IPv6 alone", []audit.Endpoint{end(t, "mx.example.org", "192.0.2.1", 25, audit.Seen, ""), dead("2001:db8::1")}, []audit.Egress{way(audit.IPv6, audit.Absent, none)},
			"It is probably you, not them", []string{"Over IPv6 mx.example.org"}},
		{"shut over both", []audit.Endpoint{dead("192.0.2.1"), dead("2001:db8::1")}, []audit.Egress{way(audit.IPv4, audit.Absent, none), way(audit.IPv6, audit.Absent, none)},
			"It is probably you, not them", []string{"Over IPv4", "Over IPv6"}},
		{"two hosts", []audit.Endpoint{dead("192.0.2.1"), end(t, "other.example.org", "192.0.2.2", 25, audit.Unknown, audit.NoAnswer)}, []audit.Egress{way(audit.IPv4, audit.Absent, none)},
			"It is probably you, not them", []string{"mx.example.org and other.example.org and 2 control hosts that have nothing to do with them"}},
		{"control hosts answer", []audit.Endpoint{dead("192.0.2.1")}, []audit.Egress{way(audit.IPv4, audit.Seen, none)}, "", nil},
		{"control hosts do not settle it", []audit.Endpoint{dead("192.0.2.1")}, []audit.Egress{way(audit.IPv4, audit.Unknown, place)}, "It may be your network, not them",
			[]string{"Control hosts do not tell which, over IPv4: no control host tells.", "Port 587 of mx.example.org answers, so the server is there."}},
	} {
		run := &audit.Run{Target: "example.org"}
		run.Snapshot.Facts.SMTP, run.Snapshot.Facts.Egress = c.smtp, c.ways
		got := ownSide(run)
		if (got == nil) != (c.title == "") {
			t.Errorf("%s: %+v", c.name, got)
		}
		if got == nil {
			continue
		}
		if got.Title != c.title {
			t.Errorf("%s: %q", c.name, got.Title)
		}
		for _, text := range c.text {
			if !strings.Contains(got.Text, text) {
				t.Errorf("%s: %q lacks %q", c.name, got.Text, text)
			}
		}
		if len(got.Steps) != 4 || !strings.HasPrefix(got.Steps[0].Command, "ssh SERVER mailaudit audit") || got.Steps[1].Command != "mailaudit audit example.org --proxy socks5h://127.0.0.1:1080" || got.Steps[3].Command != "mailaudit audit --passive example.org" {
			t.Errorf("%s: %+v", c.name, got.Steps)
		}
	}
}

// TestOwnSideThroughProxy: through a proxy our side is where the proxy is.
func TestOwnSideThroughProxy(t *testing.T) {
	obs := audit.None[audit.Nothing](audit.EgressBlock, "no control host answers", "")
	for _, c := range []struct {
		code        audit.Code
		ways        []audit.Egress
		title, text string
		steps       int
	}{
		{audit.NoAnswer, []audit.Egress{{Family: audit.IPv4, Port: 25, Controls: []audit.DNSName{"a.example.net"}, Out: obs}}, "It is probably the network of your proxy, not them", "where the proxy is", 4},
		{audit.NoAnswer, nil, "It may be your network, not them", "port 25 is blocked where the proxy is", 4},
		{audit.ProxyFailed, nil, "It is your proxy, not them", "The proxy let no connection through.", 2},
	} {
		run := &audit.Run{Target: "example.org"}
		run.Snapshot.Vantage.Proxy = "127.0.0.1:1080"
		run.Snapshot.Facts.SMTP, run.Snapshot.Facts.Egress = []audit.Endpoint{end(t, "mx.example.org", "192.0.2.1", 25, audit.Unknown, c.code)}, c.ways
		got := ownSide(run)
		if got == nil || got.Title != c.title || !strings.Contains(got.Text, c.text) || strings.Contains(got.Text, "where mailaudit runs") || len(got.Steps) != c.steps {
			t.Errorf("%s: %+v", c.code, got)
		}
	}
}

// TestOurSideNeverCounts: what is found of our own side is in no list and no
// number of a report.
func TestOurSideNeverCounts(t *testing.T) {
	e := load(t, "testdata/good.json")
	before := Build(e.Run, e.Delta, e.History)
	for _, status := range []audit.Status{audit.Pass, audit.Fail, audit.UnknownStatus, audit.NAStatus} {
		for _, rule := range []audit.RuleID{"vantage.port-25-blocked", "vantage.no-ipv6"} {
			e.Run.Findings = append(e.Run.Findings, audit.Finding{Rule: rule, Subject: string(status), Status: status, Severity: audit.Info, Detail: "ours"})
		}
	}
	after := Build(e.Run, e.Delta, e.History)
	if after.Passed != before.Passed || after.Unseen != before.Unseen || after.NA != before.NA || len(after.Notes) != len(before.Notes) ||
		len(after.Fails) != len(before.Fails) || len(after.Unknown) != len(before.Unknown) || strings.Join(after.Headline, " ") != strings.Join(before.Headline, " ") {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
}
