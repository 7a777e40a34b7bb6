package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

// end is an endpoint whose connection ended in a way.
func end(t testing.TB, host, addr string, port uint16, state audit.State, code audit.Code) audit.Endpoint {
	t.Helper()
	e := audit.Endpoint{Host: audit.DNSName(host), Addr: netipAddr(t, addr), Port: port}
	e.Connect = audit.Obs[audit.Nothing]{State: state, Why: audit.Reason{Code: code, Text: string(code)}}
	return e
}

func TestOwnSide(t *testing.T) {
	silent := func(a string) audit.Endpoint {
		return end(t, "mx.example.org", a, 25, audit.Unknown, audit.Timeout)
	}
	with := func(code audit.Code) audit.Endpoint {
		return end(t, "mx.example.org", "192.0.2.99", 25, audit.Unknown, code)
	}
	for _, c := range []struct {
		name string
		in   []audit.Endpoint
		want string // the title; "" for nil
		text string
	}{
		{"no endpoints", nil, "", ""},
		{"two silent", []audit.Endpoint{silent("192.0.2.1"), silent("192.0.2.2")}, "It is probably your network, not them", "none of the 2 addresses"},
		{"shut for certain", []audit.Endpoint{with(audit.EgressBlock)}, "It is your network, not them", "Port 25 is blocked where mailaudit runs. Home"},
		{"shut, and one silent", []audit.Endpoint{with(audit.EgressBlock), silent("192.0.2.1")}, "It is probably your network, not them", "none of the 2 addresses"},
		{"one silent", []audit.Endpoint{silent("192.0.2.1")}, "It may be your network, not them", "Either it is silent to everybody"},
		{"one address under two names", []audit.Endpoint{silent("192.0.2.1"), end(t, "other.example.org", "192.0.2.1", 25, audit.Unknown, audit.Timeout)},
			"It may be your network, not them", "The only address"},
		{"silent, and one answers", []audit.Endpoint{silent("192.0.2.1"), silent("192.0.2.2"), end(t, "b", "192.0.2.3", 25, audit.Seen, "")}, "", ""},
		{"silent, and one refuses", []audit.Endpoint{silent("192.0.2.1"), silent("192.0.2.2"), end(t, "b", "192.0.2.3", 25, audit.Absent, audit.ConnRefused)}, "", ""},
		{"refused once alone", []audit.Endpoint{silent("192.0.2.1"), with(audit.Once)}, "", ""},
		{"silent and without a route", []audit.Endpoint{silent("192.0.2.1"), with(audit.NoRoute)}, "It is probably your network, not them", "to 1 there is no way"},
		{"routers say no", []audit.Endpoint{with(audit.Unreachable), silent("192.0.2.1")}, "It is probably your network, not them", "Port 25 is probably blocked where mailaudit runs"},
		{"no route alone", []audit.Endpoint{with(audit.NoRoute)}, "It is your network, not them", "There is no way from here to 1 address"},
		{"our firewall", []audit.Endpoint{with(audit.LocalPolicy)}, "It is this machine, not them", "does not permit"},
		{"only what we did not try", []audit.Endpoint{with(audit.Blocked), with(audit.Deadline)}, "", ""},
		{"what we did not try says nothing", []audit.Endpoint{silent("192.0.2.1"), silent("192.0.2.2"), with(audit.Blocked)}, "It is probably your network, not them", "the 2 addresses"},
		{"a sample", []audit.Endpoint{silent("192.0.2.1"), silent("192.0.2.2"), end(t, "b", "192.0.2.3", 25, audit.NotTried, audit.NotAsked)},
			"It is probably your network, not them", "the 2 addresses"},
		{"another port answers", []audit.Endpoint{silent("192.0.2.1"), silent("192.0.2.2"), end(t, "b", "192.0.2.3", 587, audit.Seen, "")},
			"It is probably your network, not them", "the 2 addresses"},
		{"another port is silent", []audit.Endpoint{end(t, "b", "192.0.2.3", 587, audit.Unknown, audit.Timeout)}, "", ""},
		{"our own failure", []audit.Endpoint{silent("192.0.2.1"), with(audit.LocalError)}, "", ""},
	} {
		run := &audit.Run{Target: "example.org"}
		run.Snapshot.Facts.SMTP = c.in
		got := ownSide(run)
		switch {
		case (got == nil) != (c.want == ""):
			t.Errorf("%s: %+v", c.name, got)
		case got != nil && (got.Title != c.want || !strings.Contains(got.Text, c.text)):
			t.Errorf("%s: %q, %q", c.name, got.Title, got.Text)
		case got != nil && got.Steps[len(got.Steps)-1].Command != "mailaudit audit --passive example.org":
			t.Errorf("%s: steps %+v", c.name, got.Steps)
		}
	}
}

func TestDarkness(t *testing.T) {
	f := func(rule audit.RuleID, subject string, cause audit.Code, detail string, evidence ...string) audit.Finding {
		return audit.Finding{Rule: rule, Subject: subject, Status: audit.UnknownStatus, Cause: cause, Detail: detail, Evidence: evidence}
	}
	run := &audit.Run{Target: "example.org"}
	run.Snapshot.Facts.SMTP = []audit.Endpoint{end(t, "lone.example.org", "192.0.2.30", 25, audit.Unknown, audit.Timeout)}
	run.Findings = []audit.Finding{
		f("mx.implicit", "example.org", audit.ServFail, "192.0.2.53 answered SERVFAIL", "dig -t MX -q example.org  ->  servfail"),
		{Rule: "mx.no-route", Subject: "example.org", Status: audit.Pass},
		f("smtp.unreachable", one, audit.Timeout, "there was no answer in time", "nc 192.0.2.25 25  ->  timeout"),
		f("smtp.unreachable", six, audit.Timeout, "there was no answer in time", "nc 2001:db8::25 25  ->  timeout"),
		f("smtp.unreachable", two, audit.TempFail, "busy: 421 too many"),
		f("smtp.ehlo-refused", one, audit.NotLearned, "this depends on the connection"),
		f("smtp.ehlo-refused", six, audit.NotLearned, "this depends on the connection"),
		f("smtp.ehlo-refused", two, audit.TempFail, "the greeting turned us away"),
		f("spf.softfail", "example.org", audit.NotAsked, "this run did not ask for DMARC records"),
		f("spf.loop", "example.org", audit.NotLearned, "what it leads to depends on who sends"),
		f("spf.ptr-below", "example.org", audit.NotLearned, "what it leads to depends on who sends"),
		f("tls.cert-name", "lone.example.org[192.0.2.30]:25", audit.NotLearned, "this depends on the connection"),
		f("tls.cert-name", "nobody.example.org[192.0.2.31]:25", audit.NotLearned, "this depends on the connection"),
	}
	got := darkness(run, false)
	want := []Dark{
		{"192.0.2.53 answered SERVFAIL", audit.ServFail, []string{"example.org"}, []audit.RuleID{"mx.implicit"}, 1,
			[]string{"dig -t MX -q example.org  ->  servfail"}, "try again, or ask another resolver: --resolver ADDRESS"},
		{"there was no answer in time", audit.Timeout, []string{one, six}, []audit.RuleID{"smtp.unreachable", "smtp.ehlo-refused"}, 4,
			[]string{"nc 192.0.2.25 25  ->  timeout", "nc 2001:db8::25 25  ->  timeout"},
			"try again; if it stays so, from another network: port 25 is often blocked where one works"},
		{"busy: 421 too many", audit.TempFail, []string{two}, []audit.RuleID{"smtp.unreachable", "smtp.ehlo-refused"}, 2, nil, "try again later"},
		{"this run did not ask for DMARC records", audit.NotAsked, []string{"example.org"}, []audit.RuleID{"spf.softfail"}, 1, nil, ""},
		{"what it leads to depends on who sends", audit.NotLearned, []string{"example.org"}, []audit.RuleID{"spf.loop", "spf.ptr-below"}, 2, nil, ""},
		{"timeout", audit.Timeout, []string{"lone.example.org[192.0.2.30]:25"}, []audit.RuleID{"tls.cert-name"}, 1, nil,
			"try again; if it stays so, from another network: port 25 is often blocked where one works"},
		{"this depends on the connection", audit.NotLearned, []string{"nobody.example.org[192.0.2.31]:25"}, []audit.RuleID{"tls.cert-name"}, 1, nil, ""},
	}
	diff := cmp.Diff(want, got)
	if diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	ours := darkness(run, true)
	if i := slices.IndexFunc(ours, func(d Dark) bool { return strings.HasPrefix(d.Advice, "see above") }); i != 5 {
		t.Errorf("only the connection that the facts know as silent is told above: %d", i)
	}
}

func TestAdvice(t *testing.T) {
	for _, c := range []struct {
		cause audit.Code
		dns   bool
		part  string
	}{
		{audit.Timeout, false, "port 25"}, {audit.Timeout, true, "--resolver"}, {audit.ResolverDown, true, "--resolver"},
		{audit.Malformed, true, "--resolver"}, {audit.NoRoute, false, "our side"}, {audit.LocalError, false, "our side"}, {audit.LocalPolicy, true, "our side"},
		{audit.RefusedUs, false, "ask the operator"}, {audit.Blocked, false, "--allow-net"}, {audit.Deadline, true, "--timeout"},
		{audit.Interrupted, true, "to the end"}, {audit.Bug, false, "report it"}, {audit.TLSStall, false, "later"}, {audit.EgressBlock, false, "lets port 25 out"},
		{audit.NoAnswer, false, "port 25"}, {audit.Intercepted, false, "our side"}, {audit.TLSOnly, false, "--mode tls,"}, {audit.ClearText, false, "--mode starttls,"},
		{audit.NoGreeting, false, "--mode tls;"}, {audit.Reset, false, "another network"}, {audit.Closed, false, "another network"},
	} {
		got := advice(c.cause, c.dns, true)
		if !strings.Contains(got, c.part) {
			t.Errorf("%s, DNS %t: %q lacks %q", c.cause, c.dns, got, c.part)
		}
	}
	if got := advice(audit.NotAsked, false, true); got != "" {
		t.Errorf("nothing helps against what was not asked, and yet: %q", got)
	}
	for _, cause := range []audit.Code{audit.Timeout, audit.Unreachable, audit.EgressBlock} {
		if got := advice(cause, false, false); !strings.Contains(got, "another network") || strings.Contains(got, "25") {
			t.Errorf("%s on another port than 25: %q", cause, got)
		}
	}
}

// TestHeadline: the sentences claim nothing that was not seen.
func TestHeadline(t *testing.T) {
	up := func(a string) audit.Endpoint {
		e := end(t, "mx.example.org", a, 25, audit.Seen, "")
		e.Greeting = audit.See(audit.Greeting{Code: 220}, "")
		return e
	}
	turned := up("192.0.2.8")
	turned.Greeting.Value.Code = 554
	mute := end(t, "mx.example.org", "192.0.2.9", 25, audit.Seen, "")
	refusing := end(t, "mx.example.org", "192.0.2.7", 25, audit.Absent, audit.ConnRefused)
	silent := end(t, "mx.example.org", "192.0.2.6", 25, audit.Unknown, audit.Timeout)
	spared := end(t, "mx.example.org", "10.0.0.1", 25, audit.Unknown, audit.Blocked)
	skipped := end(t, "mx.example.org", "192.0.2.5", 25, audit.NotTried, audit.NotAsked)
	mx := audit.MX{Exists: audit.See(audit.Nothing{}, ""), Records: audit.See([]audit.MXRecord{{Preference: 10, Host: "mx.example.org"}}, "")}
	good := audit.Finding{Rule: "mx.no-route", Subject: "example.org", Status: audit.Pass}
	dark := audit.Finding{Rule: "mx.no-route", Subject: "example.org", Status: audit.UnknownStatus}
	bad := func(s audit.Severity) audit.Finding {
		return audit.Finding{Rule: "mx.implicit", Subject: "example.org", Status: audit.Fail, Severity: s}
	}
	servfail := audit.Reason{Code: audit.ServFail, Text: "192.0.2.53 answered SERVFAIL."}
	everything := audit.Scope{Areas: audit.Areas()}
	for _, c := range []struct {
		name     string
		mx       audit.MX
		smtp     []audit.Endpoint
		findings []audit.Finding
		scope    audit.Scope
		state    audit.RunState
		coverage int
		want     string
	}{
		{"all up", mx, []audit.Endpoint{up("192.0.2.1"), up("192.0.2.2"), skipped}, []audit.Finding{good}, everything, audit.Complete, 100,
			"The mail servers of example.org answer, on 2 addresses. No fault was found."},
		{"some up", mx, []audit.Endpoint{up("192.0.2.1"), refusing, silent, mute, turned, spared}, []audit.Finding{good, dark}, everything, audit.Complete, 50,
			"The mail servers of example.org answer on 1 of 6 addresses; 1 refuses connections, 1 turned us away, 1 gave no greeting, 1 did not answer, 1 could not be contacted. " +
				"No fault was found in what could be seen. 50 % of what counts was seen; the rest is unknown, which is neither good nor bad."},
		{"none up", mx, []audit.Endpoint{refusing, silent, silent}, []audit.Finding{good}, everything, audit.Complete, 100,
			"No mail server of example.org welcomed us; of 3 addresses 1 refuses connections, 2 did not answer. No fault was found."},
		{"all silent", mx, []audit.Endpoint{silent, silent}, []audit.Finding{good}, everything, audit.Complete, 100,
			"No mail server of example.org answered, on 2 addresses. No fault was found."},
		{"the only one refuses", mx, []audit.Endpoint{refusing}, []audit.Finding{bad(audit.Critical), bad(audit.High)}, everything, audit.Complete, 100,
			"The mail server of example.org, on 1 address, refuses connections. 2 serious faults to repair now."},
		{"nothing to connect to", mx, nil, []audit.Finding{bad(audit.Medium)}, everything, audit.Complete, 100,
			"Mail for example.org goes to 1 host; there was nothing to connect to. Nothing serious was found; the rest is below, worst first."},
		{"passive", mx, nil, []audit.Finding{good, bad(audit.Info)}, audit.Scope{Areas: audit.Areas(), Passive: true}, audit.Complete, 100,
			"Mail for example.org goes to 1 host. No fault was found."},
		{"MX dark", audit.MX{Records: audit.Dark[[]audit.MXRecord](servfail, "")}, nil, []audit.Finding{dark}, everything, audit.Complete, 0,
			"Where mail for example.org goes is not known: 192.0.2.53 answered SERVFAIL. Nothing could be seen, so nothing is judged: this is neither good nor bad."},
		{"NXDOMAIN", audit.MX{Exists: audit.None[audit.Nothing](audit.NXDomain, "", "")}, nil, []audit.Finding{bad(audit.Critical)}, everything, audit.Complete, 100,
			"example.org does not exist in DNS. 1 serious fault to repair now."},
		{"implicit", audit.MX{Records: audit.None[[]audit.MXRecord](audit.NoData, "", "")}, nil, []audit.Finding{good}, everything, audit.Complete, 100,
			"example.org has no MX records; mail goes to its own address. No fault was found."},
		{"null MX", audit.MX{Records: audit.See([]audit.MXRecord{{Host: "."}}, "")}, nil, []audit.Finding{good}, everything, audit.Complete, 100,
			"example.org takes no mail (null MX). No fault was found."},
		{"nothing judged", mx, nil, nil, everything, audit.Complete, 100, "Nothing was judged."},
		{"aborted", mx, nil, []audit.Finding{dark}, everything, audit.Aborted, 0, "This run was stopped before its end: what it had not seen by then is unknown."},
		{"aborted with a fault", mx, nil, []audit.Finding{bad(audit.High)}, everything, audit.Aborted, 0,
			"This run was stopped before its end: what it had not seen by then is unknown. 1 serious fault to repair now had been found."},
		{"running", mx, nil, nil, everything, audit.Running, 0, "This run has not come to its end yet: what it had not seen by then is unknown."},
		{"killed", mx, nil, nil, everything, "interrupted", 0, "This run did not come to its end (interrupted): what it had not seen by then is unknown."},
	} {
		run := &audit.Run{Target: "example.org", State: c.state, Findings: c.findings, Score: audit.Score{Coverage: c.coverage}}
		run.Snapshot.Scope = c.scope
		run.Snapshot.Facts = audit.Facts{MX: c.mx, SMTP: c.smtp, Hosts: []audit.Host{{Name: "mx.example.org"}}}
		got := strings.Join(Build(run, nil, nil).Headline, " ")
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}
