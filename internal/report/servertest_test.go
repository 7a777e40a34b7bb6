package report

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

// server is an endpoint on which all was seen, in mode starttls.
func server(t testing.TB, port uint16) audit.Endpoint {
	t.Helper()
	hello := func(words ...string) audit.Obs[audit.Hello] {
		h := audit.Hello{Name: "mx.example.org"}
		for _, w := range words {
			name, params, _ := strings.Cut(w, " ")
			h.Keywords = append(h.Keywords, audit.Keyword{Name: name, Params: audit.Raw(params)})
		}
		return audit.See(h, "nc")
	}
	e := end(t, "mx.example.org", "192.0.2.1", port, audit.Seen, "")
	e.Greeting = audit.See(audit.Greeting{Code: 220, Name: "mx.example.org", Lines: []audit.Raw{"mx.example.org ESMTP"}, Delay: audit.Prompt}, "nc")
	e.Hello = hello("SIZE 1000", "STARTTLS", "AUTH PLAIN", "DSN")
	e.StartTLS = audit.See(audit.Nothing{}, "nc")
	e.TLS = audit.See(audit.TLS{Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519"}, "openssl")
	e.HelloTLS = hello("SIZE 2000", "AUTH PLAIN LOGIN", "AUTH SCRAM-SHA-256", "DSN")
	return e
}

// shownTest lays one endpoint out as text.
func shownTest(t testing.TB, e audit.Endpoint, fails []audit.Finding, sessions ...audit.Session) (Test, string) {
	t.Helper()
	run := &audit.Run{Kind: audit.KindSMTP, State: audit.Complete, Target: "mx.example.org:25", Findings: fails}
	run.Snapshot.Facts.SMTP = []audit.Endpoint{e}
	for i := range sessions {
		sessions[i].Endpoint = e.Subject()
	}
	run.Sidecar.Sessions = sessions
	list := tests(run)
	if len(list) != 1 {
		t.Fatalf("%d addresses", len(list))
	}
	var b strings.Builder
	p := &page{w: &b}
	p.tests(list)
	return list[0], b.String()
}

func failOn(e audit.Endpoint, rule audit.RuleID, s audit.Severity) audit.Finding {
	return audit.Finding{Rule: rule, Subject: e.Subject(), Status: audit.Fail, Severity: s}
}

// TestSteps: what each way of ending a dialogue looks like. A line of want is
// a step, its status and what it says.
func TestSteps(t *testing.T) {
	dark := audit.Reason{Code: audit.Timeout, Text: "no answer in time"}
	after := audit.Reason{Code: audit.NotLearned, Text: "depends on an earlier step"}
	unknown := func(e *audit.Endpoint, why audit.Reason) {
		e.Hello, e.StartTLS, e.TLS, e.HelloTLS = audit.Dark[audit.Hello](why, ""), audit.Dark[audit.Nothing](why, ""), audit.Dark[audit.TLS](why, ""), audit.Dark[audit.Hello](why, "")
	}
	for _, c := range []struct {
		name    string
		change  func(e *audit.Endpoint)
		fails   []audit.RuleID
		verdict string
		want    []string
		lacks   []string
	}{
		{"all is seen", func(*audit.Endpoint) {}, nil, "works", []string{
			"connect ok", "greeting ok 220 mx.example.org ESMTP", "EHLO ok mx.example.org", "STARTTLS ok TLS 1.3, X25519, TLS_AES_128_GCM_SHA256", "cert ok none was sent",
			"versions ok TLS 1.3 chosen; 1.2, 1.1, 1.0 and SSL 3 not tried", "AUTH ok before TLS: PLAIN inside TLS: PLAIN LOGIN SCRAM-SHA-256 a login was not tried",
			"extensions ok DSN only before TLS: SIZE 1000 only inside TLS: SIZE 2000"}, []string{"closed", "the rest"}},
		{"nothing listens", func(e *audit.Endpoint) { e.Connect = audit.None[audit.Nothing](audit.ConnRefused, "", "") },
			[]audit.RuleID{"smtp.unreachable"}, "refused", []string{"connect FAIL connection refused, twice smtp.unreachable (low)"}, []string{"greeting"}},
		{"silence", func(e *audit.Endpoint) { e.Connect = audit.Dark[audit.Nothing](dark, "") }, nil, "unknown", []string{"connect unknown no answer in time"}, []string{"greeting", "FAIL"}},
		{"not probed", func(e *audit.Endpoint) { e.Connect = audit.Skipped[audit.Nothing]("a sample") }, nil, "not tried", []string{"connect not tried a sample"}, []string{"greeting"}},
		{"our address is on a list", func(e *audit.Endpoint) {
			e.Greeting.Value.Code, e.Greeting.Value.Lines = 554, []audit.Raw{"5.7.1 [<our address>] blocked by a DNSBL"}
			unknown(e, audit.Reason{Code: audit.RefusedUs, Text: "refused"})
		}, nil, "refused for us", []string{"greeting refused 554 5.7.1 [<our address>] blocked", "the rest unknown EHLO, STARTTLS, cert, versions, AUTH and extensions",
			"read as: reputation", "That is your address, not theirs: it is on a block list"}, []string{"FAIL"}},
		{"refused without a reason", func(e *audit.Endpoint) {
			e.Greeting.Value.Code, e.Greeting.Value.Lines = 554, []audit.Raw{"no"}
			unknown(e, audit.Reason{Code: audit.RefusedUs, Text: "refused"})
		}, nil, "turned us away", []string{"greeting refused 554 no", "mostly means the address that asks"}, []string{"FAIL", "names the address"}},
		{"EHLO is refused for our name", func(e *audit.Endpoint) { unknown(e, audit.Reason{Code: audit.RefusedUs, Text: "EHLO was refused"}) }, nil, "turned us away",
			[]string{"greeting ok", "EHLO refused EHLO was refused", "the rest unknown STARTTLS, cert, versions, AUTH and extensions"}, []string{"FAIL"}},
		{"busy", func(e *audit.Endpoint) {
			e.Greeting.Value.Code = 421
			unknown(e, audit.Reason{Code: audit.TempFail, Text: "busy"})
		}, nil, "turned us away for now", []string{"greeting refused 421"}, []string{"FAIL", "your address"}},
		{"521", func(e *audit.Endpoint) {
			e.Greeting.Value.Code = 521
			e.Hello, e.StartTLS, e.TLS, e.HelloTLS = audit.NA[audit.Hello]("no mail"), audit.NA[audit.Nothing]("no mail"), audit.NA[audit.TLS]("no mail"), audit.NA[audit.Hello]("no mail")
		}, []audit.RuleID{"smtp.host-takes-no-mail"}, "answers, with 1 fault", []string{"greeting FAIL 521", "EHLO not tried no mail", "the rest not tried STARTTLS"}, []string{"unknown"}},
		{"no STARTTLS", func(e *audit.Endpoint) {
			e.StartTLS, e.TLS, e.HelloTLS = audit.None[audit.Nothing](audit.NotOffered, "", ""), audit.NA[audit.TLS]("not offered"), audit.NA[audit.Hello]("not offered")
		}, []audit.RuleID{"tls.starttls-missing"}, "works, with 1 fault", []string{"STARTTLS FAIL not offered, twice tls.starttls-missing (low)", "cert not tried not offered", "AUTH ok before TLS: PLAIN",
			"extensions ok SIZE 1000, DSN", "the rest not tried versions"}, []string{"inside TLS", "unknown"}},
		{"TLS breaks", func(e *audit.Endpoint) {
			e.TLS, e.HelloTLS = audit.None[audit.TLS](audit.BrokenOffer, "the connection is reset", ""), audit.NA[audit.Hello]("no TLS")
		}, []audit.RuleID{"tls.starttls-broken"}, "answers, with 1 fault", []string{"STARTTLS FAIL offered the connection is reset twice", "cert not tried TLS does not come up"}, []string{"unknown"}},
		{"the handshake stalls", func(e *audit.Endpoint) {
			e.TLS, e.HelloTLS = audit.Dark[audit.TLS](audit.Reason{Code: audit.TLSStall, Text: "stalled"}, ""), audit.Dark[audit.Hello](after, "")
		}, nil, "partly unknown", []string{"STARTTLS unknown offered stalled", "AUTH ok before TLS: PLAIN inside TLS: not known", "the rest unknown cert and versions"}, []string{"FAIL"}},
		{"EHLO is not known", func(e *audit.Endpoint) {
			e.Hello, e.Helo = audit.None[audit.Hello](audit.Declined, "the server refuses EHLO", ""), audit.See(audit.Hello{Name: "mx"}, "")
			e.StartTLS, e.TLS, e.HelloTLS = audit.NA[audit.Nothing]("without EHLO"), audit.NA[audit.TLS]("without EHLO"), audit.NA[audit.Hello]("without EHLO")
		}, []audit.RuleID{"smtp.ehlo-refused"}, "answers, with 1 fault", []string{"EHLO FAIL the server refuses EHLO HELO is answered", "STARTTLS not tried without EHLO"}, []string{"unknown"}},
		{"plain", func(e *audit.Endpoint) {
			e.Mode, e.TLS, e.HelloTLS = audit.ModePlain, audit.Skipped[audit.TLS]("mode plain"), audit.Skipped[audit.Hello]("mode plain")
		}, nil, "works", []string{"STARTTLS ok offered, and not used in this mode", "cert not tried mode plain"}, []string{"inside TLS", "unknown"}},
		{"TLS from the first byte", func(e *audit.Endpoint) {
			e.Mode, e.Hello, e.StartTLS = audit.ModeTLS, audit.NA[audit.Hello]("TLS"), audit.NA[audit.Nothing]("TLS")
		}, []audit.RuleID{"tls.weak-cipher-chosen"}, "works, with 1 fault", []string{"TLS FAIL TLS 1.3", "greeting ok", "AUTH ok inside TLS: PLAIN LOGIN", "extensions ok SIZE 2000, DSN"}, []string{"STARTTLS", "before TLS"}},
		{"old versions are refused", func(e *audit.Endpoint) { e.OldTLS = audit.None[audit.OldTLS](audit.OldRefused, "refused", "") }, nil, "works",
			[]string{"versions ok TLS 1.3 chosen; 1.1 and 1.0 refused; 1.2 and SSL 3 not tried"}, nil},
		{"1.1 is accepted", func(e *audit.Endpoint) { e.OldTLS = audit.See(audit.OldTLS{Version: "TLS 1.1"}, "") }, []audit.RuleID{"tls.old-version-accepted"}, "works, with 1 fault",
			[]string{"versions FAIL TLS 1.3 chosen; 1.1 accepted; 1.2, 1.0 and SSL 3 not tried"}, nil},
		{"1.0 is accepted, under 1.2", func(e *audit.Endpoint) {
			e.TLS.Value.Version, e.OldTLS = "TLS 1.2", audit.See(audit.OldTLS{Version: "TLS 1.0"}, "")
		}, nil, "works", []string{"versions ok TLS 1.2 chosen; 1.0 accepted; SSL 3 not tried"}, nil},
		{"nothing but 1.1", func(e *audit.Endpoint) {
			e.TLS.Value.Version, e.OldTLS = "TLS 1.1", audit.See(audit.OldTLS{Version: "TLS 1.1"}, "")
		}, []audit.RuleID{"tls.no-modern-version"}, "works, with 1 fault", []string{"versions FAIL TLS 1.1 chosen; 1.0 and SSL 3 not tried"}, nil},
		{"old versions are not known", func(e *audit.Endpoint) { e.OldTLS = audit.Dark[audit.OldTLS](dark, "") }, nil, "works",
			[]string{"versions ok TLS 1.3 chosen; 1.1 and 1.0 not known, no answer in time; 1.2 and SSL 3 not tried"}, nil},
		{"a large ClientHello fails", func(e *audit.Endpoint) {
			e.LargeHello = audit.None[audit.Nothing](audit.BrokenOffer, "a large one fails", "")
		},
			[]audit.RuleID{"tls.large-hello-fails"}, "works, with 1 fault", []string{"STARTTLS FAIL TLS 1.3, X25519, TLS_AES_128_GCM_SHA256 a large one fails tls.large-hello-fails (low)"}, nil},
		{"offered to some", func(e *audit.Endpoint) {
			e.StartTLSSteady = audit.None[audit.Nothing](audit.Varies, "one was and another was not", "")
		}, nil, "works", []string{"TLS_AES_128_GCM_SHA256 one was and another was not"}, nil},
		{"a slow greeting", func(e *audit.Endpoint) { e.Greeting.Value.Delay = audit.Slow }, nil, "works", []string{"greeting ok 220 mx.example.org ESMTP after more than 30 s"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := server(t, 25)
			c.change(&e)
			var fails []audit.Finding
			for _, id := range c.fails {
				fails = append(fails, failOn(e, id, audit.Low))
			}
			test, text := shownTest(t, e, fails)
			if test.Verdict != c.verdict {
				t.Errorf("verdict %q, want %q", test.Verdict, c.verdict)
			}
			for _, w := range c.want {
				if !strings.Contains(collapse(text), w) {
					t.Errorf("lacks %q:\n%s", w, text)
				}
			}
			for _, w := range c.lacks {
				if strings.Contains(text, w) {
					t.Errorf("has %q:\n%s", w, text)
				}
			}
			checkText(t, text, false)
		})
	}
}

// TestStepNotes: a fact worth knowing is no fault, and a fault beside it is one.
func TestStepNotes(t *testing.T) {
	e := server(t, 25)
	note, fault := failOn(e, "smtp.greeting-late", audit.Info), failOn(e, "smtp.banner-not-fqdn", audit.Low)
	test, text := shownTest(t, e, []audit.Finding{note})
	if test.Verdict != "works" || !strings.Contains(collapse(text), "greeting note 220") {
		t.Errorf("%s\n%s", test.Verdict, text)
	}
	for _, list := range [][]audit.Finding{{note, fault}, {fault, note}} {
		test, text = shownTest(t, e, list)
		if test.Verdict != "works, with 1 fault" || !strings.Contains(collapse(text), "greeting FAIL 220") {
			t.Errorf("%s\n%s", test.Verdict, text)
		}
	}
}

// TestStepsOfSidecar: times and the end are told where the run still has them.
func TestStepsOfSidecar(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	first := audit.Session{N: 1, Started: start, Connect: 21 * time.Millisecond, Greeting: 64 * time.Millisecond, EHLO: 1200 * time.Millisecond, Outcome: "STARTTLS is not in the reply"}
	second := audit.Session{N: 2, Started: start.Add(6 * time.Second), Connect: time.Microsecond, StartTLS: 20 * time.Millisecond, TLS: 30 * time.Millisecond, Outcome: "complete",
		Lines: []audit.Line{{At: time.Second, From: "C", Text: "QUIT"}}}
	test, text := shownTest(t, server(t, 25), nil, second, first) // as they come
	for _, want := range []string{"connect ok 21 ms", "greeting ok 64 ms", "EHLO ok 1.2 s", "STARTTLS ok 50 ms", "closed ok with QUIT, 2 connections, 7.0 s"} {
		if !strings.Contains(collapse(text), want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if len(test.Talks) != 2 || test.Talks[0].Lines[0].Text != "the end: STARTTLS is not in the reply" || len(test.Talks[1].Lines) != 1 {
		t.Errorf("%+v", test.Talks)
	}
	aside := audit.Session{N: 3, Purpose: audit.PurposeOldTLS, Started: start.Add(9 * time.Second), Connect: time.Hour, Lines: []audit.Line{{At: time.Second, From: "*", Text: "TLS: no"}}, Outcome: "refused"}
	test, text = shownTest(t, server(t, 25), nil, aside, second, first)
	for _, want := range []string{"connect ok 21 ms", "closed ok with QUIT, 3 connections (1 for old TLS), 10 s"} {
		if !strings.Contains(collapse(text), want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if len(test.Talks) != 3 || test.Talks[2].Title != "192.0.2.1, connection 3 of 3, for old TLS" {
		t.Errorf("%+v", test.Talks)
	}
	refused := end(t, "mx.example.org", "192.0.2.1", 25, audit.Absent, audit.ConnRefused)
	_, text = shownTest(t, refused, nil, first, second)
	if !strings.Contains(text, "connection refused, twice, 6 s apart") {
		t.Errorf("%s", text)
	}
}

func TestLasted(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Microsecond: "<1 ms", 21 * time.Millisecond: "21 ms", 1900 * time.Millisecond: "1.9 s", 31 * time.Second: "31 s",
	} {
		if got := lasted(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestValidity(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, c := range []struct {
		from, until time.Duration
		want        string
	}{
		{-90 * day, -3 * day, "expired on 2026-11-20 12:00 UTC (3 days before)"},
		{-90 * day, -time.Second, "expired on 2026-11-23 11:59 UTC (less than a day before)"},
		{-90 * day, 0, "valid until 2026-11-23 12:00 UTC (less than a day more)"}, // inclusive, RFC 5280 4.1.2.5
		{-90 * day, day, "valid until 2026-11-24 12:00 UTC (1 day more)"},
		{2 * day, 90 * day, "not valid before 2026-11-25 12:00 UTC (2 days after)"},
	} {
		got := validity(audit.Certificate{NotBefore: at.Add(c.from), NotAfter: at.Add(c.until)}, at).Lines[0]
		if got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestMeans(t *testing.T) {
	for _, c := range []struct {
		port uint16
		mode audit.Mode
		want string
	}{
		{25, "", "mode starttls (usual for port 25)"}, {587, audit.ModeSTARTTLS, "mode starttls (usual for port 587)"}, {465, audit.ModeTLS, "mode tls (usual for port 465)"},
		{2525, audit.ModeSTARTTLS, "mode starttls (usual for port 2525)"}, {465, audit.ModeSTARTTLS, "mode starttls (asked for; usual for port 465 is tls)"},
		{587, audit.ModePlain, "mode plain (asked for; usual for port 587 is starttls)"},
	} {
		run := &audit.Run{Kind: audit.KindSMTP}
		run.Snapshot.Facts.SMTP = []audit.Endpoint{{Port: c.port, Mode: c.mode}}
		if got := means(run); got != c.want {
			t.Errorf("%d %s: %q, want %q", c.port, c.mode, got, c.want)
		}
	}
}

// TestStepOf: every rule about a server belongs to a step, and the steps of
// the rules that there are are the right ones.
func TestStepOf(t *testing.T) {
	for id, want := range map[audit.RuleID]string{
		"smtp.unreachable": "connect", "smtp.greeting-late": "greeting", "helo.names-differ": "greeting", "smtp.ehlo-mangled": "EHLO", "tls.starttls-again": "STARTTLS",
		"tls.weak-cipher-chosen": "STARTTLS", "tls.cert-name": "cert", "tls.no-modern-version": "versions", "tls.old-version-accepted": "versions", "tls.large-hello-fails": "STARTTLS", "tls.cert-root-sent": "cert", "auth.on-mx-port": "AUTH", "smtp.xclient-offered": "extensions",
		"smtp.of-another-version": "greeting", "tls.of-another-version": "STARTTLS",
	} {
		if got := stepOf(id); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}

// TestSwaks: the command is one that a shell takes as it is meant, and no name
// in it is an option.
func TestSwaks(t *testing.T) {
	e := server(t, 587)
	for _, c := range []struct {
		mode audit.Mode
		host audit.DNSName
		helo string
		want string
	}{
		{audit.ModeSTARTTLS, "mx.example.org", "probe.example.net", "swaks --server 192.0.2.1:587 --ehlo probe.example.net -tls --tls-sni mx.example.org --quit-after HELO"},
		{audit.ModeTLS, "192.0.2.1", "[192.0.2.9]", "swaks --server 192.0.2.1:587 --ehlo '[192.0.2.9]' --tls-on-connect --quit-after HELO"},
		{audit.ModePlain, "mx.example.org", "", "swaks --server 192.0.2.1:587 --quit-after HELO"},
		{audit.ModePlain, "mx.example.org", "--data", ""}, {audit.ModePlain, "mx.example.org", "@/etc/passwd", ""},
		{audit.ModeTLS, "-tls", "probe.example.net", ""}, {audit.ModeTLS, "mx\x1b", "x\n", ""},
	} {
		e.Mode, e.Host = c.mode, c.host
		if got := strings.Join(swaks(e, c.helo), ""); got != c.want {
			t.Errorf("%s %s %q: %q, want %q", c.mode, c.host, c.helo, got, c.want)
		}
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell here")
	}
	for _, text := range hostileTexts() {
		helo := audit.Raw(text).Clip(200).String()
		for _, command := range swaks(server(t, 25), helo) {
			out, err := exec.Command(sh, "-c", "swaks() { printf '%s\\n' \"$@\"; }\n"+command).Output()
			if err != nil {
				t.Errorf("%s: %v", command, err)
			}
			if words := strings.Split(string(out), "\n"); helo != "" && !slices.Contains(words, helo) {
				t.Errorf("%s: the shell sees %q", command, words)
			}
		}
	}
}

func TestTestSentence(t *testing.T) {
	up, refusing := server(t, 25), end(t, "mx.example.org", "192.0.2.2", 25, audit.Absent, audit.ConnRefused)
	silent := end(t, "mx.example.org", "192.0.2.3", 25, audit.Unknown, audit.Timeout)
	for _, c := range []struct {
		name string
		in   []audit.Endpoint
		want string
	}{
		{"up", []audit.Endpoint{up}, "mx:25 answers, on 1 address."},
		{"refusing", []audit.Endpoint{refusing}, "mx:25 refuses connections."},
		{"both", []audit.Endpoint{up, refusing}, "mx:25 answers on 1 of 2 addresses; 1 refuses connections."},
		{"neither", []audit.Endpoint{silent, refusing}, "mx:25 welcomed us on none of its 2 addresses: 1 refuses connections, 1 did not answer."},
		{"nothing", nil, "mx:25 was not connected to."},
	} {
		run := &audit.Run{Kind: audit.KindSMTP, Target: "mx:25"}
		run.Snapshot.Facts.SMTP = c.in
		if got := testSentence(run); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	absent := audit.None[[]netip.Addr](audit.NoData, "none", "")
	dark := audit.Dark[[]netip.Addr](audit.Reason{Code: audit.ServFail, Text: "SERVFAIL."}, "")
	for want, h := range map[string]audit.Host{
		"mx has no address in DNS: there was nothing to connect to.": {Name: "mx", A: absent, AAAA: absent},
		"The addresses of mx are not known: SERVFAIL.":               {Name: "mx", A: absent, AAAA: dark},
	} {
		run := &audit.Run{Kind: audit.KindSMTP, Target: "mx:25"}
		run.Snapshot.Facts.Hosts = []audit.Host{h}
		if got := testSentence(run); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestNextServers: the other port of a submission server, IPv6 in brackets.
func TestNextServers(t *testing.T) {
	for target, want := range map[string]string{
		"mx.example.org:25": "mailaudit audit DOMAIN", "mx.example.org:587": "mailaudit smtp mx.example.org:465", "[2001:db8::1]:465": "mailaudit smtp '[2001:db8::1]:587'",
	} {
		got := nextServers(&audit.Run{Target: target})
		if got[0].Command != want {
			t.Errorf("%s: %q, want %q", target, got[0].Command, want)
		}
	}
	if got := nextServers(&audit.Run{Target: "x"}); got != nil {
		t.Errorf("%v", got)
	}
}
