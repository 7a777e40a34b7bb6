package report

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

func TestTraffic(t *testing.T) {
	for _, c := range []struct {
		traffic audit.Traffic
		want    string
	}{
		{audit.Traffic{Questions: 9, Connections: 2, Hosts: 1, Addresses: 1}, "This run asked 9 DNS questions and opened 2 connections to 1 address. It sent no mail, named no recipient and tried no password."},
		{audit.Traffic{Questions: 1}, "This run asked 1 DNS question and connected to no mail server."},
		{audit.Traffic{Questions: 3, Hosts: 1, Shared: 1}, "This run asked 3 DNS questions and opened 0 connections to 0 addresses. 1 more server was looked at for another domain of the same call, once for both. It sent no mail, named no recipient and tried no password."},
		{audit.Traffic{}, ""}, // an old run
	} {
		if got := traffic(&audit.Run{Sidecar: audit.Sidecar{Traffic: c.traffic}}); got != c.want {
			t.Errorf("%+v: %q, want %q", c.traffic, got, c.want)
		}
	}
}

// TestProves: a clause counts what was seen, and nothing that was not.
func TestProves(t *testing.T) {
	up := end(t, "mx.example.org", "192.0.2.1", 25, audit.Seen, "")
	up.Greeting = audit.See(audit.Greeting{Code: 220}, "")
	secure := up
	secure.StartTLS, secure.TLS = audit.See(audit.Nothing{}, ""), audit.See(audit.TLS{Version: "TLS 1.3"}, "")
	away := up
	away.Greeting = audit.See(audit.Greeting{Code: 554}, "")
	silent := end(t, "mx.example.org", "192.0.2.2", 25, audit.Unknown, audit.Timeout)
	refusing := end(t, "mx.example.org", "192.0.2.3", 25, audit.Absent, audit.ConnRefused)
	dark := audit.Reason{Code: audit.Timeout, Text: "no answer"}
	answered := audit.Facts{MX: audit.MX{Records: audit.See([]audit.MXRecord{{Preference: 1, Host: "mx.example.org"}}, "")},
		Hosts: []audit.Host{{Name: "mx.example.org", A: audit.None[[]netip.Addr](audit.NoData, "", "")}, {Name: "mx2.example.org", A: audit.Dark[[]netip.Addr](dark, "")}},
		RDNS:  []audit.Reverse{{PTR: audit.None[[]audit.DNSName](audit.NXDomain, "", "")}, {PTR: audit.Dark[[]audit.DNSName](dark, "")}}}
	for _, c := range []struct {
		name  string
		facts audit.Facts
		want  []string
	}{
		{"nothing", audit.Facts{}, []string{"nothing: no question was answered"}},
		{"all dark", audit.Facts{MX: audit.MX{Records: audit.Dark[[]audit.MXRecord](dark, "")}, SMTP: []audit.Endpoint{silent}}, []string{"nothing: no question was answered"}},
		{"no such domain", audit.Facts{MX: audit.MX{Exists: audit.None[audit.Nothing](audit.NXDomain, "", "")}}, []string{"what DNS answered about the domain"}},
		{"DNS", answered, []string{"what DNS answered about the MX records, the addresses of 1 host and the PTR records of 1 address"}},
		{"one up", audit.Facts{SMTP: []audit.Endpoint{up, silent}}, []string{"that 1 address welcomes a mail connection with 220"}},
		{"all kinds", audit.Facts{SMTP: []audit.Endpoint{up, secure, away, refusing, silent}}, []string{"that 2 addresses welcome a mail connection with 220",
			"that 1 address turned us away", "that 1 address refused connections from here, twice", "that TLS can be spoken with 1 address"}},
	} {
		got := proves(&audit.Run{Snapshot: audit.Snapshot{Facts: c.facts}})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	plain := end(t, "mx.example.org", "192.0.2.1", 25, audit.Seen, "")
	offered := plain
	offered.StartTLS = audit.See(audit.Nothing{}, "")
	for _, c := range []struct {
		name       string
		passive    bool
		smtp       []audit.Endpoint
		unseen     int
		has, lacks []string
	}{
		{"connected", false, []audit.Endpoint{plain}, 0, []string{"reaches an inbox", "other networks"}, []string{"STARTTLS", "--passive", "checks"}},
		{"offered", false, []audit.Endpoint{offered}, 2, []string{"reaches an inbox", "STARTTLS", "the 2 checks"}, nil},
		{"passive", true, nil, 0, []string{"--passive", "other networks"}, []string{"inbox", "STARTTLS"}},
		{"only DNS", false, nil, 1, []string{"other networks", "the 1 check "}, []string{"inbox", "--passive"}},
	} {
		run := &audit.Run{}
		run.Snapshot.Scope.Passive, run.Snapshot.Facts.SMTP = c.passive, c.smtp
		got := strings.Join(limits(run, Model{Unseen: c.unseen}), "; ")
		for _, part := range c.has {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q lacks %q", c.name, got, part)
			}
		}
		for _, part := range c.lacks {
			if strings.Contains(got, part) {
				t.Errorf("%s: %q has %q", c.name, got, part)
			}
		}
	}
}

func TestResult(t *testing.T) {
	fail := func(s audit.Severity) audit.Finding {
		return audit.Finding{Rule: "mx.implicit", Subject: string(s), Status: audit.Fail, Severity: s}
	}
	pass, unknown := audit.Finding{Rule: "mx.implicit", Status: audit.Pass}, audit.Finding{Rule: "mx.implicit", Subject: "x", Status: audit.UnknownStatus}
	pass.Severity, unknown.Severity = audit.Low, audit.Low
	note := audit.Finding{Rule: "helo.names-differ", Subject: "x", Status: audit.UnknownStatus, Severity: audit.Info}
	noted := audit.Finding{Rule: "helo.names-differ", Subject: "y", Status: audit.Pass, Severity: audit.Info}
	for _, c := range []struct {
		state    audit.RunState
		findings []audit.Finding
		want     string
	}{
		{audit.Complete, nil, "nothing judged"},
		{audit.Complete, []audit.Finding{pass}, "no faults"},
		{audit.Complete, []audit.Finding{unknown}, "nothing seen"},
		{audit.Complete, []audit.Finding{note}, "nothing seen"},
		{audit.Complete, []audit.Finding{noted, note}, "nothing that counts was seen, 1 note unknown"},
		{audit.Complete, []audit.Finding{noted, unknown}, "nothing that counts was seen, 1 unknown"},
		{audit.Complete, []audit.Finding{pass, unknown, note}, "no faults seen, 2 unknown"},
		{audit.Complete, []audit.Finding{pass, note}, "no faults, 1 note unknown"},
		{audit.Complete, []audit.Finding{noted}, "no faults"},
		{audit.Complete, []audit.Finding{pass, fail(audit.Low), note}, "1 low, 1 note unknown"},
		{audit.Complete, []audit.Finding{pass, unknown, fail(audit.Low), fail(audit.High), fail(audit.Info)}, "1 high, 1 low, 1 unknown"},
		{audit.Aborted, []audit.Finding{pass, fail(audit.Low)}, "aborted: 1 low"},
	} {
		got := Build(&audit.Run{State: c.state, Target: "example.org", Findings: c.findings, Score: rules.Score(audit.KindAudit, audit.Scope{Areas: audit.Areas()}, c.findings)}, nil, nil).Result
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.findings, got, c.want)
		}
	}
}

// TestPasteable: what a reader may paste is one of our commands with plain
// words, whoever wrote the names in it.
func TestPasteable(t *testing.T) {
	for _, good := range []string{
		"dig -t MX -q example.org", "dig PTR 1.2.0.192.in-addr.arpa", "nc 192.0.2.1 25", "nc 2001:db8::1 25",
		"openssl s_client -starttls smtp -connect '[2001:db8::1]:25' -servername mx.example.org", audit.Dig("A", "it's.example"), audit.Dig("A", "$(id).example"), audit.Dig("A", `a\;b.example`),
		audit.Dig("A", "-f.example"), audit.Dig("A", "+x.example"), audit.Dig("A", "@192.0.2.1"), audit.Dig("A", "-f x"), audit.Dig("TYPE65", "axfr"),
	} {
		if !pasteable(good) {
			t.Errorf("%s is not pasteable", good)
		}
	}
	for _, bad := range []string{
		"", "dig", "dig A", "dig A ", "dig A ''", "rm -rf /", "dig A x; id", "dig A $(id)", "dig A `id`", "dig A x | sh", "dig A x > y", "dig A x & y", "dig A x\nid", "dig A 'x", "dig A x'y",
		"dig A *", "dig A ~", "dig A x #", "dig A \x1b", "dig A x\u202e", "nc 192.0.2.1 25 < y", `dig A \x`, "dig A !x", "dig A {a,b}",
		"dig A '-f.example'", "dig A +x.example", "dig A @192.0.2.1", "dig -f x", "dig -t A", "dig -t A -q", "dig -t A -q ''", "dig -t A x", "dig -t -f -q x", "dig -t A -f x", "dig -q x",
		"dig -t A -q x; id", "dig -t A -q $(id)", "dig -t A -q x > y",
	} {
		if pasteable(bad) {
			t.Errorf("%q is pasteable", bad)
		}
	}
}

// TestPasteableShell asks a shell what it makes of hostile names.
func TestPasteableShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell here")
	}
	for _, text := range hostileTexts() {
		name := audit.Raw(text).Clip(200).String()
		command := audit.Dig("A", audit.DNSName(name))
		if !pasteable(command) {
			continue
		}
		out, err := exec.Command(sh, "-c", "dig() { printf '%s\\n' \"$@\"; }\n"+command).Output()
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if want := "-t\nA\n-q\n" + audit.DNSName(name).String() + "\n"; string(out) != want {
			t.Errorf("%s: the shell sees %q, want %q", command, out, want)
		}
	}
}

func TestRepeats(t *testing.T) {
	e := load(t, "testdata/drift.json")
	seen := map[string]bool{}
	for _, r := range repeats(e.Run) {
		for _, c := range r.Commands {
			if seen[c] {
				t.Errorf("%s twice", c)
			}
			seen[c] = true
		}
	}
	for _, want := range []string{"dig -t MX -q example.org", "dig -t AAAA -q mx2.example.org", "dig -t PTR -q 9.2.0.192.in-addr.arpa", "dig -t A -q out2.example.org", "nc 2001:db8::25 25",
		"openssl s_client -starttls smtp -connect '[2001:db8::25]:25' -servername mx1.example.org"} {
		if !seen[want] {
			t.Errorf("%s is missing in %v", want, seen)
		}
	}
	if seen["openssl s_client -starttls smtp -connect 192.0.2.28:25 -servername mx4.example.org"] {
		t.Error("a handshake that was not tried is to be repeated")
	}
}

// TestContinued: a command over several lines is one for a shell.
func TestContinued(t *testing.T) {
	long := "openssl s_client -starttls smtp -connect '[2001:db8::25]:25' -servername mx1.example.org"
	m := Model{Target: "example.org", Repeat: []Repeat{{"x", []string{long, "dig -t MX -q example.org", "dig -t A -q " + strings.Repeat("a", 150)}}}}
	var b strings.Builder
	err := Text(&b, m, TextOptions{Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(b.String(), "\\\n", "")
	if !strings.Contains(collapse(got), long+" dig -t MX -q example.org dig -t A -q ") {
		t.Errorf("%s", b.String())
	}
	for _, l := range strings.Split(b.String(), "\n") {
		if strings.Contains(l, "aaa") && strings.Contains(l, `\`) {
			t.Errorf("a broken word with a backslash: %s", l)
		}
	}
	checkText(t, b.String(), false)
}
