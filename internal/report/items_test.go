package report

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

func netipAddr(t testing.TB, s string) netip.Addr {
	t.Helper()
	a, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The subjects of most cases.
const (
	one = "mx1.example.org[192.0.2.25]:25"
	six = "mx1.example.org[2001:db8::25]:25"
	two = "mx2.example.org[192.0.2.26]:25"
)

func TestBlank(t *testing.T) {
	for _, c := range []struct{ text, subject, want string }{
		{one + " offers no STARTTLS", one, "<1> offers no STARTTLS"},
		{"192.0.2.25:25 refuses", one, "<2> refuses"},
		{"[2001:db8::25]:25 refuses", six, "<2> refuses"},
		{"remove it from mx1.example.org.", one, "remove it from <0>"},
		{"mx1.example.org.: no", one, "<0>: no"},
		{"name mx1.example.org", one, "name <3>"},
		{"(at mx1.example.org, 192.0.2.25)", one, "(at <3>, <4>)"},
		{"mx1.example.org: no", one, "<3>: no"},
		{"2001:db8::25 has none", six, "<4> has none"},
		{"2001:db8::25 has none", "2001:db8::25", "<1> has none"},
		{"MX records of example.org.", "example.org", "MX records of <0>"},
		// What only looks like the subject stays.
		{"192.0.2.250 and 1192.0.2.25 and 192.0.2.25.example", one, "192.0.2.250 and 1192.0.2.25 and 192.0.2.25.example"},
		{"smx1.example.org, mx1.example.organic, mx1.example.org.uk", one, "smx1.example.org, mx1.example.organic, mx1.example.org.uk"},
		{"a.example.org of example.org", "example.org", "a.example.org of <1>"},
		{"nothing", "", "nothing"},
		{"a.b", "]:[", "a.b"},
	} {
		got := blank(c.text, c.subject).pattern
		for p := partFQDN; p <= partAddr; p++ {
			got = replaceWord(got, hole(p), "<"+string(rune('0'+p))+">")
		}
		if got != c.want {
			t.Errorf("%q of %q: %q, want %q", c.subject, c.text, got, c.want)
		}
	}
}

func TestSayings(t *testing.T) {
	f := func(subject, detail string) audit.Finding { return audit.Finding{Subject: subject, Detail: detail} }
	for _, c := range []struct {
		name string
		in   []audit.Finding
		want []Said
	}{
		{"one that is named", []audit.Finding{f(one, one+" offers no STARTTLS")}, []Said{{one + " offers no STARTTLS", []string{one}, true}}},
		{"one that is not", []audit.Finding{f(one, "it expired")}, []Said{{"it expired", []string{one}, false}}},
		{"the domain", []audit.Finding{f("example.org", "there is no null MX")}, []Said{{"there is no null MX", []string{"example.org"}, true}}},
		{"the same of two", []audit.Finding{f(one, one+" offers none"), f(two, two+" offers none")},
			[]Said{{one + " offers none", []string{one, two}, true}}},
		{"by address", []audit.Finding{f(one, "192.0.2.25:25 refuses"), f(six, "[2001:db8::25]:25 refuses")},
			[]Said{{"192.0.2.25:25 refuses", []string{one, six}, true}}},
		{"two dates", []audit.Finding{f(one, "it expired on 1 May"), f(two, "it expired on 2 May"), f(six, "it expired on 1 May")},
			[]Said{{"it expired on 1 May", []string{one, six}, false}, {"it expired on 2 May", []string{two}, false}}},
		{"by host, one host", []audit.Finding{f(one, "does not name mx1.example.org"), f(six, "does not name mx1.example.org")},
			[]Said{{"does not name mx1.example.org", []string{one, six}, false}}},
		{"by host, two hosts", []audit.Finding{f(one, "does not name mx1.example.org"), f(two, "does not name mx2.example.org")},
			[]Said{{"does not name mx1.example.org (and so for the others)", []string{one, two}, false}}},
		{"nearly the same", []audit.Finding{f("192.0.2.2", "the PTR of 192.0.2.2 says a.example"), f("192.0.2.25", "the PTR of 192.0.2.25 says b.example")},
			[]Said{{"the PTR of 192.0.2.2 says a.example", []string{"192.0.2.2"}, true}, {"the PTR of 192.0.2.25 says b.example", []string{"192.0.2.25"}, true}}},
	} {
		diff := cmp.Diff(c.want, sayings(c.in, "example.org"))
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestMergeFixes(t *testing.T) {
	rec := func(n string) audit.FixRecord {
		return audit.FixRecord{Action: audit.Add, Name: n, Type: "PTR", Value: "mx.example.org."}
	}
	f := func(subject string, fix audit.Fix) audit.Finding { return audit.Finding{Subject: subject, Fix: fix} }
	got := mergeFixes([]audit.Finding{
		f(one, audit.Fix{Summary: "switch TLS on", Records: []audit.FixRecord{rec("a."), rec("b.")}, Steps: []string{
			"get a certificate for mx1.example.org", "reload", "take mx1.example.org. out", "look at 192.0.2.25 as mx1.example.org"}}),
		f(two, audit.Fix{Summary: "switch TLS on", Records: []audit.FixRecord{rec("b."), rec("c.")}, Steps: []string{
			"get a certificate for mx2.example.org", "reload", "take mx2.example.org. out", "look at 192.0.2.26 as mx2.example.org", "only here"}}),
		f(six, audit.Fix{Summary: "renew it", Steps: []string{"get a certificate for mx1.example.org"}}),
	})
	want := audit.Fix{
		Summary: "switch TLS on; renew it",
		Records: []audit.FixRecord{rec("a."), rec("b."), rec("c.")},
		Steps: []string{
			"get a certificate for mx1.example.org and mx2.example.org", "reload", "take mx1.example.org. and mx2.example.org. out",
			"look at 192.0.2.25 as mx1.example.org (and so for the others)", "only here",
		},
	}
	diff := cmp.Diff(want, got)
	if diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestItems: rules stay in the order of the findings; severities of one rule
// are apart; what goes on is dated by the oldest.
func TestItems(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	run := &audit.Run{Target: "example.org", Started: now}
	f := func(rule audit.RuleID, subject string, sev audit.Severity) audit.Finding {
		return audit.Finding{Rule: rule, Subject: subject, Status: audit.Fail, Severity: sev, Detail: "bad", Evidence: []string{"same", subject}}
	}
	findings := []audit.Finding{
		f("tls.cert-expired", one, audit.Medium), f("mx.of-the-future", "example.org", audit.Low), f("tls.cert-expired", two, audit.Medium), f("tls.cert-expired", six, audit.High),
	}
	history := History{
		findings[0].Key(): {Status: audit.Fail, Since: now.AddDate(0, 0, -2)},
		findings[1].Key(): {Status: audit.Fail, Since: now}, // began with this run
		findings[2].Key(): {Status: audit.Fail, Since: now.AddDate(0, 0, -9)},
		findings[3].Key(): {Status: audit.Pass, Since: now.AddDate(0, 0, -9)}, // not the series of this fail
	}
	got := items(run, findings, history)
	if len(got) != 3 || got[0].Rule != "tls.cert-expired" || got[1].Rule != "mx.of-the-future" || got[2].Severity != audit.High {
		t.Fatalf("%+v", got)
	}
	if !slices.Equal(got[0].Evidence, []string{"same", one, two}) {
		t.Errorf("evidence %q", got[0].Evidence)
	}
	if got[0].Means == "" || len(got[0].Refs) == 0 || got[1].Title != "mx.of-the-future" {
		t.Errorf("the words of the catalogue: %+v", got)
	}
	if !got[0].Since.Equal(now.AddDate(0, 0, -9)) || !got[1].Since.IsZero() || !got[2].Since.IsZero() {
		t.Errorf("since %v, %v, %v", got[0].Since, got[1].Since, got[2].Since)
	}
}
