package audit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is said of every transition of a rule over SMTP: rows are "before known
// now = mark". A star at known: one run alone has said so, against what was
// said before. Whatever has no row is not marked, and the test goes through
// all of them.
const marks = `
-       -     pass = seen once
-       -     fail = seen once
-       pass  fail = seen once
-       pass* fail = seen once
-       pass* pass = confirmed
-       fail  pass = seen once
-       fail* pass = seen once
-       fail* fail = confirmed
n/a     -     pass = seen once
n/a     -     fail = seen once
n/a     pass  fail = seen once
n/a     pass* fail = seen once
n/a     pass* pass = confirmed
n/a     fail  pass = seen once
n/a     fail* pass = seen once
n/a     fail* fail = confirmed
unknown -     pass = seen once
unknown -     fail = seen once
unknown pass  fail = seen once
unknown pass* fail = seen once
unknown pass* pass = confirmed
unknown fail  pass = seen once
unknown fail* pass = seen once
unknown fail* fail = confirmed
unknown fail  n/a  = seen once
unknown fail* n/a  = seen once
pass    pass  fail = seen once
pass    pass* fail = seen once
pass    pass* pass = confirmed
fail    fail  pass = seen once
fail    fail* pass = seen once
fail    fail* fail = confirmed
fail    fail  n/a  = seen once
fail    fail* n/a  = seen once
`

// mark is what is said of one transition: of a rule that judges subject
// "host", by runs 4 and 6.
func mark(t *testing.T, rule RuleID, before, known, now Status, turned bool, last *Run) (string, *Delta) {
	t.Helper()
	f := facts("mx1.example.org")
	var old, cur []Finding
	if before != "" {
		old = []Finding{finding(rule, "host", before)}
	}
	if now != "" {
		cur = []Finding{finding(rule, "host", now)}
	}
	base := run(4, f, old...)
	p := Prior{Base: base, Verdicts: map[Key]Verdict{}, Last: last}
	if known != "" {
		p.Verdicts[Key{rule, "host"}] = Verdict{Status: known, Severity: Medium, Run: 4, Since: base.Started, Turned: turned}
	}
	d := Compare(p, run(6, f, cur...), catalogue(rule))
	var out []string
	for _, c := range d.Changes {
		if c.SeenOnce {
			out = append(out, "seen once")
		}
		if c.Confirmed {
			out = append(out, "confirmed")
		}
	}
	return strings.Join(out, ", "), d
}

// everyTransition calls f for all of them.
func everyTransition(f func(before, known, now Status, turned bool)) {
	for _, before := range []Status{"", NAStatus, UnknownStatus, Pass, Fail} {
		for _, known := range []Status{"", Pass, Fail} {
			for _, turned := range []bool{false, true} {
				if before.Known() && before != known || known == "" && turned {
					continue
				}
				for _, now := range []Status{"", NAStatus, UnknownStatus, Pass, Fail} {
					f(before, known, now, turned)
				}
			}
		}
	}
}

func TestSeenOnce(t *testing.T) {
	want := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSpace(marks), "\n") {
		row, mark, _ := strings.Cut(line, "=")
		want[strings.Join(strings.Fields(row), " ")] = strings.TrimSpace(mark)
	}
	word := func(s Status, turned bool) string {
		text := string(s)
		if s == "" {
			text = "-"
		}
		if turned {
			text += "*"
		}
		return text
	}
	used := 0
	everyTransition(func(before, known, now Status, turned bool) {
		row := fmt.Sprintf("%s %s %s", word(before, false), word(known, turned), word(now, false))
		for _, area := range Areas() {
			got, d := mark(t, RuleID(area)+".rule", before, known, now, turned, nil)
			expected := want[row]
			if !area.Connects() {
				expected = ""
			}
			if got != expected {
				t.Errorf("%s: %s: %q, want %q: %+v", area, row, got, expected, d.Changes)
			}
		}
		if want[row] != "" {
			used++
		}
	})
	if used != len(want) {
		t.Errorf("%d of %d rows are transitions", used, len(want))
	}
}

// What a run between the two saw already is neither seen for the first time
// nor confirmed once more.
func TestSeenBefore(t *testing.T) {
	const rule = "tls.rule"
	everyTransition(func(before, known, now Status, turned bool) {
		for _, then := range []Status{"", NAStatus, UnknownStatus, Pass, Fail} {
			alone, _ := mark(t, rule, before, known, now, turned, nil)
			got, _ := mark(t, rule, before, known, now, turned, run(5, facts("mx1.example.org"), finding(rule, "host", then)))
			if then == now {
				alone = ""
			}
			if got != alone {
				t.Errorf("before %q, known %q, in between %q, now %q: %q, want %q", before, known, then, now, got, alone)
			}
		}
	})
}

// Facts judged again by other rules show nothing for the first time.
func TestSeenAgain(t *testing.T) {
	base := run(4, facts("mx1.example.org"), finding("tls.rule", "host", Pass))
	again := run(4, base.Snapshot.Facts, finding("tls.rule", "host", Fail))
	d := Compare(prior(base), again, catalogue("tls.rule"))
	if len(d.Changes) != 1 || d.Changes[0].Class != Broken || d.Changes[0].SeenOnce {
		t.Errorf("%+v", d.Changes)
	}
}

func TestFactsSeenOnce(t *testing.T) {
	greets := func(text Raw, hosts ...DNSName) Facts {
		f := facts(hosts...)
		f.SMTP[0].Greeting = See(Greeting{Code: 220, Lines: []Raw{text}}, "")
		return f
	}
	compare := func(last *Run) []string {
		p := prior(run(1, greets("one", "mx1.example.org")))
		p.Last = last
		var out []string
		for _, c := range Compare(p, run(3, greets("two", "mx1.example.org", "mx2.example.org")), catalogue()).Facts {
			out = append(out, fmt.Sprint(c.What, " ", c.SeenOnce))
		}
		return out
	}
	dark := greets("", "mx1.example.org")
	dark.SMTP[0].Greeting = Dark[Greeting](Reason{Code: Timeout}, "")
	for _, c := range []struct {
		name string
		last *Run
		want []string
	}{
		{"nobody looked in between", nil, []string{"MX false", "greeting true"}},
		{"somebody saw the same", run(2, greets("two", "mx1.example.org")), []string{"MX false", "greeting false"}},
		{"somebody saw what was before", run(2, greets("one", "mx1.example.org")), []string{"MX false", "greeting true"}},
		{"somebody saw nothing", run(2, dark), []string{"MX false", "greeting true"}},
	} {
		if diff := cmp.Diff(c.want, compare(c.last)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestQuietNights is what a nightly run tells: a fault when it comes and once
// more when it is confirmed, a repair when it comes.
func TestQuietNights(t *testing.T) {
	const rule, subject = "smtp.unreachable", "mx1.example.org[8.8.8.1]:25"
	var runs []*Run
	var told []string
	for i, word := range strings.Fields("pass pass fail fail fail pass pass pass fail pass fail unknown fail fail") {
		now := run(int64(i+1), facts("mx1.example.org"), finding(rule, subject, Status(word)))
		p := Prior{Verdicts: map[Key]Verdict{}}
		for _, r := range runs { // what the store knows
			p.Base = r
			f, k := r.Findings[0], Key{rule, subject}
			if f.Status.Known() {
				v := p.Verdicts[k]
				p.Verdicts[k] = Verdict{Status: f.Status, Severity: f.Severity, Run: r.ID, Turned: v.Status.Known() && v.Status != f.Status}
			}
		}
		d := Compare(p, now, catalogue(rule))
		line := word
		for _, c := range d.Changes {
			line += " " + string(c.Class)
			if c.SeenOnce {
				line += ", once"
			}
			if c.Confirmed {
				line += ", confirmed"
			}
		}
		if !d.Quiet() {
			line += " !"
		}
		told = append(told, line)
		runs = append(runs, now)
	}
	want := []string{
		"pass", "pass", "fail broken, once !", "fail still failing, confirmed !", "fail still failing",
		"pass fixed, once !", "pass still passing, confirmed", "pass",
		"fail broken, once !", "pass fixed, once !", "fail broken, once !", // it flaps
		"unknown lost sight !", "fail still failing, confirmed !", "fail still failing",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
