package report

import (
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// refusing is a server that turns us away with its greeting.
func refusing(t testing.TB, code int, text audit.Raw) audit.Endpoint {
	t.Helper()
	e := server(t, 25)
	e.Greeting.Value.Code, e.Greeting.Value.Lines = code, []audit.Raw{text}
	why := audit.Reason{Code: audit.TempFail, Text: "turned away"}
	if code/100 == 5 {
		why.Code = audit.RefusedUs
	}
	e.Hello, e.StartTLS = audit.Dark[audit.Hello](why, "nc"), audit.Dark[audit.Nothing](why, "nc")
	e.TLS, e.HelloTLS = audit.Dark[audit.TLS](why, "nc"), audit.Dark[audit.Hello](why, "nc")
	return e
}

// refusals has a reply of each class that a run meets: the verdict, what the
// step says, and the sentence about whose side it is on.
func refusals() []struct {
	code           int
	text           audit.Raw
	verdict, named string
	about          string
} {
	return []struct {
		code           int
		text           audit.Raw
		verdict, named string
		about          string
	}{
		{421, "4.3.2 shutting down", "busy", "busy", "it has no room"},
		{421, "4.7.0 too many connections from <our address>", "limited us", "rate limit", "about how often your address (203.0.113.9) came"},
		{450, "4.7.1 Greylisted", "greylisted us", "greylisting", "from the same address"},
		{554, "5.7.1 Client host [<our address>] blocked using xbl.spamhaus.org", "refused for us", "reputation (Spamhaus XBL)", "That is your address (203.0.113.9), not theirs: it is on a block list (Spamhaus XBL)."},
		{554, "5.7.1 Client host [<our address>] blocked using pbl.spamhaus.org", "refused for us", "blocked network (Spamhaus PBL)", "it is on Spamhaus PBL, the list of addresses that do not send mail themselves. Servers that turn"},
		{554, "no mail from dynamic addresses", "refused for us", "blocked network", "taken for one that sends no mail itself"},
		{554, "IP=<our address> - A problem occurred. (Ask tosa@rx.t-online.de) (BL)", "refused for us", "allow list (T-Online)", "your address (203.0.113.9) is not on its list"},
		{450, "4.7.1 cannot find your hostname, [<our address>]", "refused for us", "reverse DNS", "the PTR record of your address (203.0.113.9)"},
		{550, "<<our name>>: Helo command rejected: Host not found", "refused for us", "EHLO name", "the name that was given in EHLO (probe.example.net)"},
		{554, "5.7.1 Access denied", "turned us away by policy", "policy", "mostly means the address that asks, which is your address"},
		{554, "TLS required", "turned us away", "TLS required", "come with TLS"},
		{554, "https://www.spamhaus.org/returnc/pub/", "turned us away", "block list misread (Spamhaus)", "seen once"},
		{450, "later", "turned us away for now", "temporary, no cause told", "tells no cause"},
		{554, "no service", "turned us away", "no cause told", "mostly means the address that asks"},
	}
}

// TestRefusalViews: each class is shown on the greeting step, in all views,
// with whose side it is on, and is no fault.
func TestRefusalViews(t *testing.T) {
	for _, c := range refusals() {
		e := refusing(t, c.code, c.text)
		run := &audit.Run{Kind: audit.KindSMTP, State: audit.Complete, Target: "mx.example.org:25"}
		run.Snapshot.Vantage.HELO = "probe.example.net"
		run.Snapshot.Facts.SMTP = []audit.Endpoint{e}
		said := audit.Raw(strings.ReplaceAll(string(c.text), "<our address>", "203.0.113.9"))
		run.Sidecar.Sessions = []audit.Session{{Endpoint: e.Subject(), Lines: []audit.Line{{From: "S", Text: "554 " + said}}}}
		list := tests(run)
		var text strings.Builder
		p := &page{w: &text}
		p.tests(list)
		if list[0].Verdict != c.verdict {
			t.Errorf("%s: verdict %q, want %q", c.text, list[0].Verdict, c.verdict)
		}
		for _, want := range []string{"read as: " + c.named, c.about, "after the greeting is unknown, and nothing is held against the server"} {
			if !strings.Contains(collapse(text.String()), want) {
				t.Errorf("%s: lacks %q:\n%s", c.text, want, text.String())
			}
		}
		if strings.Contains(text.String(), "STARTTLS not") || strings.Contains(text.String(), "FAIL") {
			t.Errorf("%s: told as a fault:\n%s", c.text, text.String())
		}
		var html, md strings.Builder
		err := HTML(&html, []Model{Build(run, nil, nil)}, HTMLOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = Markdown(&md, []Model{Build(run, nil, nil)}, MarkdownOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for view, out := range map[string]string{"HTML": html.String(), "Markdown": md.String()} {
			if !strings.Contains(out, "read as: "+c.named) {
				t.Errorf("%s: the %s does not say %q", c.text, view, c.named)
			}
		}
	}
}

// TestRefusalSteps: the words stand at the step that was refused.
func TestRefusalSteps(t *testing.T) {
	why := audit.Reason{Code: audit.TempFail, Text: "refused (4xx)"}
	said := func(command string) audit.Obs[audit.Refusal] {
		return audit.See(audit.Refusal{Command: command, Code: 421, Lines: []audit.Raw{"4.3.2 too busy"}}, "nc")
	}
	for _, c := range []struct {
		name   string
		change func(e *audit.Endpoint)
		want   string
	}{
		{"EHLO", func(e *audit.Endpoint) { e.Refusal, e.Hello = said("EHLO"), audit.Dark[audit.Hello](why, "") }, "EHLO refused 421 4.3.2 too busy read as: busy family"},
		{"STARTTLS", func(e *audit.Endpoint) { e.Refusal, e.TLS = said("STARTTLS"), audit.Dark[audit.TLS](why, "") }, "STARTTLS refused offered 421 4.3.2 too busy read as: busy"},
		{"EHLO inside TLS", func(e *audit.Endpoint) {
			e.Refusal, e.HelloTLS = said("EHLO inside TLS"), audit.Dark[audit.Hello](why, "")
		}, "STARTTLS ok TLS 1.3, X25519, TLS_AES_128_GCM_SHA256 EHLO inside TLS: 421 4.3.2 too busy read as: busy"},
		{"EHLO in mode tls", func(e *audit.Endpoint) {
			e.Mode, e.Refusal, e.HelloTLS = audit.ModeTLS, said("EHLO inside TLS"), audit.Dark[audit.Hello](why, "")
		}, "EHLO refused 421 4.3.2 too busy read as: busy"},
		{"in place of TLS", func(e *audit.Endpoint) {
			e.Mode, e.Refusal, e.TLS, e.Greeting = audit.ModeTLS, said(""), audit.Dark[audit.TLS](why, ""), audit.Dark[audit.Greeting](why, "")
			e.HelloTLS = audit.Dark[audit.Hello](why, "")
		}, "TLS refused 421 4.3.2 too busy read as: busy"},
		{"declined, which keeps nothing from us", func(e *audit.Endpoint) {
			e.Refusal, e.TLS = said("STARTTLS"), audit.None[audit.TLS](audit.Declined, "declined", "")
			e.HelloTLS = audit.NA[audit.Hello]("no TLS")
		}, "STARTTLS no offered declined twice cert"},
	} {
		e := server(t, 25)
		c.change(&e)
		_, text := shownTest(t, e, nil)
		if !strings.Contains(collapse(text), c.want) {
			t.Errorf("%s: lacks %q:\n%s", c.name, c.want, text)
		}
	}
}

// TestRefusedForEverybody: where it is a fault, it is about nobody else.
func TestRefusedForEverybody(t *testing.T) {
	e := refusing(t, 554, "no service")
	e.Greeting.Value.Twice = true
	test, text := shownTest(t, e, []audit.Finding{failOn(e, "smtp.greeting-refused", audit.High)})
	if test.Verdict != "turns everybody away, with 1 fault" || test.About != "" {
		t.Errorf("verdict %q, about %q", test.Verdict, test.About)
	}
	if !strings.Contains(collapse(text), "greeting FAIL 554 no service read as: no cause told smtp.greeting-refused (high)") {
		t.Errorf("shown as\n%s", text)
	}
}

// TestBusyAgain: what is held against a server is not denied.
func TestBusyAgain(t *testing.T) {
	e := refusing(t, 421, "4.3.2 shutting down")
	test, _ := shownTest(t, e, []audit.Finding{failOn(e, rules.BusyID, audit.Medium)})
	if test.Verdict != "busy, with 1 fault" || strings.Contains(test.About, "held") || !strings.HasSuffix(test.About, "is unknown.") {
		t.Errorf("verdict %q, about %q", test.Verdict, test.About)
	}
}

// TestRefusalAdvice: every class has some, and what the reply names is named.
func TestRefusalAdvice(t *testing.T) {
	seen := map[string]audit.Code{}
	for _, class := range rules.RefusalClasses() {
		words := refusalAdvice(rules.Refusal{Class: class})
		if other := seen[words]; words == "" || other != "" {
			t.Errorf("%s: advice %q, which is that of %q", class, words, other)
		}
		seen[words] = class
		if got := refusalAdvice(rules.Refusal{Class: class, Page: "https://example.net/"}); got != words+" (https://example.net/)" {
			t.Errorf("%s: %q", class, got)
		}
	}
	e := refusing(t, 554, "5.7.1 [<our address>] blocked using zen.spamhaus.org")
	run := &audit.Run{Findings: []audit.Finding{{Rule: "smtp.busy", Subject: e.Subject(), Status: audit.UnknownStatus, Cause: audit.Reputation, Detail: "x", Evidence: []string{"nc  ->  x"}}}}
	run.Snapshot.Facts.SMTP = []audit.Endpoint{e}
	if got := darkness(run, false); len(got) != 1 || !strings.Contains(got[0].Advice, "taken off") || !strings.Contains(got[0].Advice, "https://check.spamhaus.org/") {
		t.Errorf("%+v", got)
	}
}

// TestRefusedSide: where all servers mean our address, that stands on top.
func TestRefusedSide(t *testing.T) {
	listed := refusing(t, 554, "5.7.1 [<our address>] blocked using zen.spamhaus.org")
	another := refusing(t, 554, "no reverse DNS")
	for name, c := range map[string]struct {
		kind audit.Kind
		list []audit.Endpoint
		want string
	}{
		"nothing was connected to": {audit.KindAudit, nil, ""},
		"listed":                   {audit.KindAudit, []audit.Endpoint{listed}, "on 1 address, and all turned away the address that mailaudit came from: reputation (Spamhaus)."},
		"for two causes":           {audit.KindAudit, []audit.Endpoint{listed, another, listed}, "on 3 addresses, and all turned away the address that mailaudit came from: reputation (Spamhaus) and reverse DNS."},
		"one welcomes us":          {audit.KindAudit, []audit.Endpoint{listed, server(t, 25)}, ""},
		"one tells no cause":       {audit.KindAudit, []audit.Endpoint{listed, refusing(t, 554, "no")}, ""},
		"one is busy":              {audit.KindAudit, []audit.Endpoint{listed, refusing(t, 421, "busy")}, ""},
		"a rate limit":             {audit.KindAudit, []audit.Endpoint{refusing(t, 421, "too many connections from <our address>")}, ""},
		"one is silent":            {audit.KindAudit, []audit.Endpoint{listed, end(t, "b", "192.0.2.3", 25, audit.Unknown, audit.Timeout)}, "on 1 address, and all"},
		"the test of one server":   {audit.KindSMTP, []audit.Endpoint{listed}, ""},
	} {
		run := &audit.Run{Kind: c.kind, Target: "example.org"}
		run.Snapshot.Facts.SMTP = c.list
		got := refusedSide(run)
		if (got != nil) != (c.want != "") || got != nil && (!strings.Contains(got.Text, c.want) || len(got.Steps) < 2) {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

// TestOurAddress: found in the dialogue where the facts have a placeholder.
func TestOurAddress(t *testing.T) {
	for _, c := range []struct {
		fact, said audit.Raw
		want       string
	}{
		{"5.7.1 Client host [<our address>] blocked", "554 5.7.1 Client host [203.0.113.9] blocked", "203.0.113.9"},
		{"<our name>[<our address>]: rejected", "554 vps.example.net[2001:db8::9]: rejected", "2001:db8::9"},
		{"[<our address>]", "554 [IPv6:2001:db8::9]", "2001:db8::9"},
		{"from <our address>.", "554 from 203.0.113.9.", "203.0.113.9"},
		{"from <our address>", "554 from nowhere", ""},
		{"from <our address>", "554 other words", ""},
		{"no address", "554 no address", ""},
		{"<our address>", "554 203.0.113.9", ""}, // nothing to find it by
	} {
		e := refusing(t, 554, c.fact)
		v := view{e: e, sessions: []audit.Session{{Lines: []audit.Line{{From: "C", Text: c.said}, {From: "S", Text: c.said}}}}}
		if got := v.ourAddress(); got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.fact, c.said, got, c.want)
		}
	}
}
