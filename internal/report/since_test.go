package report

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

// told is what a delta says: "class: text", or the text alone of a fact, with
// what is listed below it.
func told(s *Since) []string {
	var out []string
	for _, l := range s.Lines {
		line := l.marked()
		if l.Class != audit.Same {
			line = l.word() + ": " + line
		}
		for _, g := range l.Gone {
			line += " -" + g
		}
		for _, c := range l.Come {
			line += " +" + c
		}
		for _, m := range l.Moved {
			line += " ~" + m
		}
		out = append(out, line)
	}
	return out
}

func TestSinceClasses(t *testing.T) {
	run := &audit.Run{Target: "example.org", Findings: []audit.Finding{
		{Rule: "tls.cert-expired", Subject: one, Status: audit.Fail, Severity: audit.Medium, Detail: "it expired on 1 May"},
		{Rule: "tls.cert-expired", Subject: two, Status: audit.Fail, Severity: audit.Medium, Detail: "it expired on 1 May"},
		{Rule: "tls.starttls-missing", Subject: one, Status: audit.Fail, Severity: audit.Medium, Detail: one + " offers none"},
		{Rule: "tls.starttls-missing", Subject: two, Status: audit.Fail, Severity: audit.Medium, Detail: two + " offers none"},
		{Rule: "tls.cert-name", Subject: one, Status: audit.NAStatus, Detail: "moot while smtp.unreachable fails"},
		{Rule: "tls.cert-chain-incomplete", Subject: one, Status: audit.NAStatus, Detail: "STARTTLS is not offered"},
		{Rule: "dnsbl.listed-blocking", Subject: "192.0.2.9 @ bl.x", Status: audit.Fail, Severity: audit.High, Detail: "List lists 192.0.2.9: spam"},
		{Rule: "smtp.unreachable", Subject: six, Status: audit.UnknownStatus, Cause: audit.Timeout, Detail: "no answer in time"},
		{Rule: "smtp.ehlo-refused", Subject: six, Status: audit.UnknownStatus, Cause: audit.NotLearned, Detail: "this depends"},
		{Rule: "mx.target-unresolvable", Subject: "mx.example.org", Status: audit.Fail, Severity: audit.Critical, Detail: "mx.example.org has no address"},
	}}
	run.Snapshot.Facts.SMTP = []audit.Endpoint{end(t, "mx1.example.org", "2001:db8::25", 25, audit.Unknown, audit.Timeout)}
	run.Snapshot.Facts.SMTP[0].Connect.Why.Text = "no answer in time"
	c := func(class audit.Class, rule audit.RuleID, subject string, now audit.Status, sev audit.Severity) audit.Change {
		return audit.Change{Class: class, Rule: rule, Subject: subject, Now: now, Severity: sev}
	}
	gone := func(rule audit.RuleID, subject string, now audit.Status) audit.Change {
		return audit.Change{Class: audit.Gone, Rule: rule, Subject: subject, Before: audit.Fail, Now: now}
	}
	for _, tc := range []struct {
		name    string
		changes []audit.Change
		want    []string
	}{
		{"broken twice, in the same words", []audit.Change{c(audit.Broken, "tls.cert-expired", one, audit.Fail, audit.Medium), c(audit.Broken, "tls.cert-expired", two, audit.Fail, audit.Medium)},
			[]string{"broken: it expired on 1 May: " + one + " and " + two + " (medium, tls.cert-expired)"}},
		{"broken, naming the subject", []audit.Change{c(audit.Broken, "tls.starttls-missing", one, audit.Fail, audit.Medium), c(audit.Broken, "tls.starttls-missing", two, audit.Fail, audit.Medium)},
			[]string{"broken: " + one + " offers none; also " + two + " (medium, tls.starttls-missing)"}},
		{"broken, finding lost", []audit.Change{c(audit.Broken, "tls.cert-name", two, audit.Fail, audit.Info)}, []string{"broken: fails: " + two + " (info, tls.cert-name)"}},
		{"worse", []audit.Change{{Class: audit.StillFailing, Rule: "mx.target-unresolvable", Subject: "mx.example.org", Now: audit.Fail, Severity: audit.Critical, Was: audit.Low}},
			[]string{"still failing: mx.example.org has no address (critical, was low, mx.target-unresolvable)"}},
		{"seen once, and before", []audit.Change{
			{Class: audit.Broken, Rule: "tls.starttls-missing", Subject: one, Now: audit.Fail, Severity: audit.Medium, SeenOnce: true},
			{Class: audit.Broken, Rule: "tls.starttls-missing", Subject: two, Now: audit.Fail, Severity: audit.Medium},
		}, []string{"broken: " + one + " offers none (medium, tls.starttls-missing), seen once", "broken: " + two + " offers none (medium, tls.starttls-missing)"}},
		{"a fault is confirmed", []audit.Change{{Class: audit.StillFailing, Rule: "tls.starttls-missing", Subject: one, Now: audit.Fail, Severity: audit.Medium, Confirmed: true}},
			[]string{"confirmed: " + one + " offers none (medium, tls.starttls-missing), seen twice now"}},
		{"a note is confirmed", []audit.Change{{Class: audit.StillFailing, Rule: "tls.cert-name", Subject: two, Now: audit.Fail, Severity: audit.Info, Confirmed: true}}, nil},
		{"a repair is confirmed", []audit.Change{{Class: audit.StillPassing, Rule: "tls.starttls-missing", Subject: one, Now: audit.Pass, Severity: audit.Medium, Confirmed: true}},
			[]string{"confirmed: STARTTLS is offered: " + one + " (tls.starttls-missing), seen twice now"}},
		{"seen again, after the dark", []audit.Change{{Class: audit.RegainedSight, Rule: "tls.starttls-missing", Subject: one, Now: audit.Pass, Severity: audit.Medium, Confirmed: true}},
			[]string{"regained sight: 1 check of " + one + " passes, seen twice now"}},
		{"fixed", []audit.Change{c(audit.Fixed, "tls.starttls-missing", one, audit.Pass, audit.Medium)}, []string{"fixed: STARTTLS is offered: " + one + " (tls.starttls-missing)"}},
		{"a subject is gone", []audit.Change{gone("tls.cert-name", "x", ""), gone("tls.cert-expired", "x", "")},
			[]string{"gone: x is no longer there; it had failed tls.cert-name and tls.cert-expired"}},
		{"the question is gone", []audit.Change{gone("tls.cert-chain-incomplete", one, audit.NAStatus)},
			[]string{"gone: tls.cert-chain-incomplete no longer applies to " + one + ": STARTTLS is not offered"}},
		{"a fault took the question away, and is told", []audit.Change{gone("tls.cert-name", one, audit.NAStatus)}, nil},
		{"one listing", []audit.Change{c(audit.Broken, "dnsbl.listed-blocking", "192.0.2.9 @ bl.x", audit.Fail, audit.High)},
			[]string{"broken: List lists 192.0.2.9: spam (high, dnsbl.listed-blocking)"}},
		{"a pass that is gone", []audit.Change{{Class: audit.Gone, Rule: "tls.cert-name", Subject: "x", Before: audit.Pass}}, nil},
		{"a fail that went in the dark", []audit.Change{{Class: audit.Gone, Rule: "tls.cert-name", Subject: "x", Before: audit.UnknownStatus, Known: audit.Fail}},
			[]string{"gone: x is no longer there; it had failed tls.cert-name"}},
		{"lost sight, one cause", []audit.Change{c(audit.LostSight, "smtp.unreachable", six, audit.UnknownStatus, audit.High), c(audit.LostSight, "smtp.ehlo-refused", six, audit.UnknownStatus, audit.High)},
			[]string{"lost sight: 2 checks of " + six + ": no answer in time"}},
		{"lost sight of the subject", []audit.Change{c(audit.LostSight, "smtp.unreachable", two, "", audit.High)},
			[]string{"lost sight: 1 check of " + two + ": whether it is still there is not known"}},
		{"regained sight", []audit.Change{c(audit.RegainedSight, "smtp.unreachable", two, audit.Pass, audit.High), c(audit.RegainedSight, "tls.cert-expired", one, audit.Fail, audit.Medium)},
			[]string{"regained sight: 1 check of " + two + " passes", "regained sight: it expired on 1 May: " + one + " (medium, tls.cert-expired)"}},
		{"appeared and in order", []audit.Change{c(audit.Appeared, "tls.cert-name", one, audit.Pass, audit.Info), c(audit.Appeared, "tls.cert-name", two, audit.UnknownStatus, audit.Info)}, nil},
		{"new check", []audit.Change{c(audit.NewCheck, "tls.cert-name", one, audit.Pass, audit.Info), c(audit.NewCheck, "tls.cert-name", two, audit.UnknownStatus, audit.Info),
			c(audit.NewCheck, "tls.cert-expired", one, audit.Fail, audit.Medium)},
			[]string{"new check: The certificate names the host: passed by " + one + " (tls.cert-name)",
				"new check: The certificate names the host: not known for " + two + " (tls.cert-name)",
				"new check: it expired on 1 May: " + one + " (medium, tls.cert-expired)"}},
		{"many new checks", []audit.Change{c(audit.NewCheck, "tls.cert-name", one, audit.Pass, audit.Info), c(audit.NewCheck, "tls.starttls-missing", one, audit.Pass, audit.Medium),
			c(audit.NewCheck, "tls.cert-name", two, audit.Pass, audit.Info), c(audit.NewCheck, "mx.implicit", two, audit.UnknownStatus, audit.Low), c(audit.NewCheck, "mx.no-route", two, audit.UnknownStatus, audit.Low),
			c(audit.NewCheck, "tls.cert-expired", one, audit.Fail, audit.Medium)},
			[]string{"new check: passed: 2 rules, tls.cert-name and tls.starttls-missing",
				"new check: not known: 2 rules, mx.implicit and mx.no-route",
				"new check: it expired on 1 May: " + one + " (medium, tls.cert-expired)"}},
		{"retired", []audit.Change{c(audit.Retired, "mx.old", "example.org", "", audit.Low)},
			[]string{"retired: 1 check of example.org by a rule that is no longer in the catalogue (mx.old)"}},
	} {
		delta := &audit.Delta{Base: &audit.RunRef{ID: 1}, Changes: tc.changes}
		diff := cmp.Diff(tc.want, told(since(run, delta, nil)))
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestSinceFacts(t *testing.T) {
	run := &audit.Run{Target: "example.org"}
	f := func(what, subject string, before, after []string) audit.FactChange {
		return audit.FactChange{Subject: subject, What: what, Before: before, After: after}
	}
	l := func(words ...string) []string { return words }
	list := func(changes ...audit.FactChange) []audit.FactChange { return changes }
	cert := func(cn, from, to, sum string) string {
		return "CN=" + cn + ", valid " + from + " to " + to + ", SHA-256 " + sum
	}
	was := cert("mx1", "2026-08-23", "2026-11-21", "aa")
	for _, tc := range []struct {
		name string
		in   []audit.FactChange
		want string
	}{
		{"MX", list(f("MX", "domain", l("20 b", "30 c"), l("15 b", "40 d"))), "MX of example.org -30 c +40 d ~b: preference 20 -> 15"},
		{"MX gone", list(f("MX", "domain", l("20 b"), l())), "MX of example.org -20 b"},
		{"one for another", list(f("A", "mx1", l("192.0.2.1"), l("192.0.2.2"))), "A of mx1: 192.0.2.1 -> 192.0.2.2"},
		{"one more", list(f("A", "mx1", l(), l("192.0.2.2"))), "A of mx1 +192.0.2.2"},
		{"existence ends", list(f("existence", "domain", l("exists"), l())), "example.org no longer exists in DNS"},
		{"existence begins", list(f("existence", "domain", l(), l("exists"))), "example.org exists in DNS now"},
		{"alias now", list(f("alias", "mx1", l(), l("a", "b"))), "mx1 is an alias now, of a, b"},
		{"alias no more", list(f("alias", "mx1", l("a"), l())), "mx1 is no alias any more; it was one of a"},
		{"greeting", list(f("greeting", "mx1", l("220 a"), l("220 b"))), "greeting of mx1 -220 a +220 b"},
		{"renewed", list(f("certificate", "mx1", l(was), l(cert("mx1", "2026-11-20", "2027-02-19", "bb")))),
			"certificate of mx1: renewed, valid until 2027-02-19 (before: until 2026-11-21)"},
		{"renewed at two", list(f("certificate", "mx1", l(was), l(cert("mx1", "2026-11-20", "2027-02-19", "bb"))), f("certificate", "mx2", l(was), l(cert("mx1", "2026-11-20", "2027-02-19", "bb")))),
			"certificate of mx1 and mx2: renewed, valid until 2027-02-19 (before: until 2026-11-21)"},
		{"issued anew", list(f("certificate", "mx1", l(was), l(cert("mx1", "2026-08-24", "2026-11-21", "bb")))), "certificate of mx1: issued anew, valid until 2026-11-21 as before"},
		{"ends earlier", list(f("certificate", "mx1", l(was), l(cert("mx1", "2026-08-24", "2026-09-21", "bb")))),
			"certificate of mx1: replaced by one that ends earlier, valid until 2026-09-21 (before: until 2026-11-21)"},
		{"another name", list(f("certificate", "mx1", l(was), l(cert("web", "2026-08-24", "2027-09-21", "bb")))),
			"certificate of mx1: another one, for CN=web and valid until 2027-09-21; the one before was for CN=mx1"},
		{"a name that looks like the rest", list(f("certificate", "mx1", l(was), l(cert("x, valid 1 to 2, SHA-256 3", "2026-08-24", "2027-09-21", "bb")))),
			"certificate of mx1: another one, for CN=x, valid 1 to 2, SHA-256 3 and valid until 2027-09-21; the one before was for CN=mx1"},
		{"no form that we know", list(f("certificate", "mx1", l("x"), l("y"))), "certificate of mx1: x -> y"},
		{"another DKIM key", list(f("DKIM key", "s1", l("v=DKIM1; k=rsa; p=MIGfMA0GCSqG"+strings.Repeat("x", 200)+"aaaaaaaaaaaaawIDAQAB; t=s"), l("v=DKIM1; p=MIGfMA0GCSqG"+strings.Repeat("x", 200)+"bbbbbbbbbbbbbwIDAQAB"))),
			"DKIM key of s1 -v=DKIM1; k=rsa; p=MIGfMA0GCSqG...aaaaaaaaaaaaawIDAQAB; t=s +v=DKIM1; p=MIGfMA0GCSqG...bbbbbbbbbbbbbwIDAQAB"},
		{"DKIM keys that differ in the middle", list(f("DKIM key", "s1", l("p="+strings.Repeat("x", 40)), l("p="+strings.Repeat("x", 41)))),
			"DKIM key of s1: p=" + strings.Repeat("x", 40) + " -> p=" + strings.Repeat("x", 41)},
		{"DKIM keys that are none", list(f("DKIM key", "s1", l("p="+strings.Repeat("ä", 40)), l("p="))), "DKIM key of s1 -p=" + strings.Repeat("ä", 40) + " +p="},
		{"TLS now", list(f("TLS version", "mx1", l(), l("TLS 1.3")), f("certificate", "mx1", l(), l("x"))), "TLS now with mx1: TLS 1.3 / certificate of mx1 +x"},
		{"no TLS any more", list(f("TLS version", "mx1", l("TLS 1.3"), l()), f("certificate", "mx1", l("x"), l())), "no TLS any more with mx1, where it was TLS 1.3"},
		{"newer TLS", list(f("TLS version", "mx1", l("TLS 1.2"), l("TLS 1.3"))), "TLS version of mx1: TLS 1.2 -> TLS 1.3"},
	} {
		delta := &audit.Delta{Base: &audit.RunRef{ID: 1}, Facts: tc.in}
		got := strings.Join(told(since(run, delta, nil)), " / ")
		if got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

// TestSinceLayout is what stands around the lines.
func TestSinceLayout(t *testing.T) {
	day := time.Date(2026, 11, 16, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	still := func(sev audit.Severity, was audit.Severity) audit.Change {
		return audit.Change{Class: audit.StillFailing, Rule: "mx.implicit", Subject: "example.org", Now: audit.Fail, Severity: sev, Was: was}
	}
	history := History{{Rule: "mx.implicit", Subject: "example.org"}: {Status: audit.Fail, Since: day.AddDate(0, -1, 0)}}
	base := &audit.RunRef{ID: 7, Started: day, Vantage: "home"}
	for _, c := range []struct {
		name    string
		delta   *audit.Delta
		history History
		want    string
	}{
		{"nothing to compare with", &audit.Delta{}, nil, ""},
		{"nothing changed", &audit.Delta{Base: base, Areas: audit.Areas()}, nil, "\nSINCE run 7 (16 Nov 2026 11:00, same vantage, same rules)\n  nothing changed\n"},
		{"elsewhere", &audit.Delta{Base: base, Areas: audit.Areas(), OtherVantage: true, OtherRules: true}, nil,
			"\nSINCE run 7 (16 Nov 2026 11:00, seen from home, other rules)\n  nothing changed\n"},
		{"part of it", &audit.Delta{Base: base, Areas: []audit.Area{"mx", "rdns"}}, nil,
			"\nSINCE run 7 (16 Nov 2026 11:00, same vantage, same rules, only mx, rdns)\n  nothing changed\n"},
		{"nothing in common", &audit.Delta{Base: base}, nil,
			"\nSINCE run 7 (16 Nov 2026 11:00, same vantage, same rules)\n  nothing can be compared: the two runs looked at different areas\n"},
		{"still", &audit.Delta{Base: base, Areas: audit.Areas(), Changes: []audit.Change{still(audit.Low, ""), still(audit.Info, "")}}, history,
			"\nSINCE run 7 (16 Nov 2026 11:00, same vantage, same rules)\n  nothing changed\n  still           1 fault, the oldest since 16 Oct 2026\n"},
		{"still, since when nobody knows", &audit.Delta{Base: base, Areas: audit.Areas(), Changes: []audit.Change{still(audit.Low, "")}}, nil,
			"\nSINCE run 7 (16 Nov 2026 11:00, same vantage, same rules)\n  nothing changed\n  still           1 fault\n"},
	} {
		run := &audit.Run{Target: "example.org"}
		run.Snapshot.Scope.Areas = audit.Areas()
		var b strings.Builder
		p := &page{w: &b}
		p.since(since(run, c.delta, c.history))
		if b.String() != c.want {
			t.Errorf("%s:\n%q\n%q", c.name, b.String(), c.want)
		}
	}
	if since(&audit.Run{}, nil, nil) != nil {
		t.Error("no delta is nothing to compare with")
	}
}
