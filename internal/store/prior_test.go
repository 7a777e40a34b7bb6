package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

// story stores a run for each word of a line: the status of tls.version at
// "host", where "-" is no such finding. A suffix names what is different:
// "@mx" a run of the MX area alone, "@tls" of TLS alone, "@there" another
// vantage, "@x" an aborted run, "@low" another severity.
func story(t *testing.T, db *DB, line string) []*audit.Run {
	t.Helper()
	var runs []*audit.Run
	for day, word := range strings.Fields(line) {
		status, how, _ := strings.Cut(word, "@")
		n := night{day: day, few: true}
		severity := audit.High
		switch how {
		case "mx":
			n.areas = []audit.Area{audit.AreaMX}
		case "tls":
			n.areas = []audit.Area{audit.AreaTLS}
		case "there":
			n.vantage = "there"
		case "x":
			n.state = audit.Aborted
		case "low":
			severity = audit.Low
		}
		run := n.run(t)
		run.Findings = nil
		if status != "-" {
			run.Findings = []audit.Finding{{Rule: "tls.version", Subject: "host", Status: audit.Status(status), Severity: severity, Detail: how}}
		}
		run.Score = scoreOf(run.Findings)
		runs = append(runs, mustStore(t, db, run))
	}
	return runs
}

// The last known verdict, the run that said so, and the first of the unbroken
// series that did.
func TestVerdicts(t *testing.T) {
	cases := []struct {
		why, runs  string
		status     audit.Status // "" is no verdict
		run, since int64
		severity   audit.Severity
		turned     bool
	}{
		{"one run", "pass", audit.Pass, 1, 1, audit.High, false},
		{"an unbroken series", "fail fail fail", audit.Fail, 3, 1, audit.High, false},
		{"only the last series counts", "fail pass fail fail", audit.Fail, 4, 3, audit.High, false},
		{"unknown in between breaks nothing", "fail unknown fail unknown", audit.Fail, 3, 1, audit.High, false},
		{"neither does absence", "fail - n/a fail", audit.Fail, 4, 1, audit.High, false},
		{"pass, unknown: it is still the pass", "pass unknown unknown", audit.Pass, 1, 1, audit.High, false},
		{"a moved severity breaks nothing", "fail fail@low", audit.Fail, 2, 1, audit.Low, false},
		{"never known", "unknown n/a -", "", 0, 0, "", false},
		{"a narrower run that does not ask", "fail -@mx fail", audit.Fail, 3, 1, audit.High, false},
		{"a narrower run that asks and agrees", "fail fail@tls fail", audit.Fail, 3, 1, audit.High, false},
		{"a narrower run that saw the opposite breaks the series", "fail fail pass@tls fail", audit.Fail, 4, 4, audit.High, true},
		{"the first that says the opposite", "pass pass fail", audit.Fail, 3, 3, audit.High, true},
		{"unknown since", "pass fail unknown n/a -", audit.Fail, 2, 2, audit.High, true},
		{"a second one confirms it", "pass fail unknown fail", audit.Fail, 4, 2, audit.High, false},
		{"in other words too", "pass fail fail@low", audit.Fail, 3, 2, audit.Low, false},
		{"so does a narrower one", "pass fail fail@tls", audit.Fail, 3, 2, audit.High, false},
		{"other eyes and aborted runs do not", "pass fail fail@there fail@x", audit.Fail, 2, 2, audit.High, true},
		{"a server that flaps", "pass fail pass fail pass", audit.Pass, 5, 5, audit.High, true},
		{"the narrower run has the last word", "fail pass@tls -", audit.Pass, 2, 2, audit.High, true},
		{"other eyes do not count", "fail pass@there fail", audit.Fail, 3, 1, audit.High, false},
		{"aborted runs do not count", "fail pass@x fail", audit.Fail, 3, 1, audit.High, false},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			db := mustOpen(t, tempFile(t))
			runs := story(t, db, c.runs)
			prior, err := db.Prior(context.Background(), "example.org", audit.KindAudit, "here", nil)
			if err != nil {
				t.Fatal(err)
			}
			want := map[audit.Key]audit.Verdict{}
			if c.status != "" {
				want[audit.Key{Rule: "tls.version", Subject: "host"}] = audit.Verdict{Status: c.status, Severity: c.severity, Run: c.run, Since: runs[c.since-1].Started, Turned: c.turned}
			}
			if d := gocmp.Diff(want, prior.Verdicts); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestBase(t *testing.T) {
	cases := []struct {
		why, runs string
		base      int64
		other     bool
		last      int64 // the newest run behind the base; 0 when that is it
	}{
		{"the last run", "pass pass", 2, false, 0},
		{"aborted runs are no base", "pass pass@x", 1, false, 0},
		{"our own eyes before newer ones", "pass pass@there", 1, false, 0},
		{"other eyes for want of ours", "pass@there pass@there pass@x", 2, true, 0},
		{"a narrower run is no base for a full one", "pass pass@mx", 1, false, 2},
		{"nor are several", "pass pass@mx pass@tls pass@there pass@x", 1, false, 3},
		{"a narrower run before it", "pass@mx pass", 2, false, 0},
		{"unless there is none other", "pass@mx", 1, false, 0},
		{"our own eyes before a wider view", "pass@mx pass@there", 1, false, 0},
		{"nothing", "", 0, false, 0},
		{"nothing complete", "pass@x", 0, false, 0},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			db := mustOpen(t, tempFile(t))
			story(t, db, c.runs)
			prior, err := db.Prior(context.Background(), "example.org", audit.KindAudit, "here", audit.Areas())
			if err != nil {
				t.Fatal(err)
			}
			base := int64(0)
			if prior.Base != nil {
				base = prior.Base.ID
			}
			last := int64(0)
			if prior.Last != nil {
				last = prior.Last.ID
			}
			if base != c.base || prior.OtherVantage != c.other || last != c.last {
				t.Errorf("base %d, other vantage %v, last %d; want %d, %v, %d", base, prior.OtherVantage, last, c.base, c.other, c.last)
			}
			none, err := db.Prior(context.Background(), "example.org", "smtp", "here", nil)
			if err != nil || none.Base != nil {
				t.Errorf("another kind has the base %v (%v)", none.Base, err)
			}
		})
	}
}

// A named base sees nothing that came after it.
func TestPriorOf(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	runs := story(t, db, "fail pass pass fail fail")
	for base, want := range []int64{1, 2, 2, 4, 4} {
		prior, err := db.PriorOf(context.Background(), int64(base+1))
		if err != nil {
			t.Fatal(err)
		}
		v := prior.Verdicts[audit.Key{Rule: "tls.version", Subject: "host"}]
		if v.Run != int64(base+1) || v.Status != runs[base].Findings[0].Status || !v.Since.Equal(runs[want-1].Started) {
			t.Errorf("up to run %d: %+v", base+1, v)
		}
		if prior.Base.ID != int64(base+1) || prior.OtherVantage {
			t.Errorf("base %d", prior.Base.ID)
		}
	}
}

// What a run was compared with when it was made can be had again later.
func TestPriorBefore(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	var runs []*audit.Run
	var then []audit.Prior
	for i, n := range []night{{vantage: "there"}, {}, {drift: 1}, {vantage: "there"}, {state: audit.Aborted}, {areas: audit.Areas()[:1]}, {drift: 2}} {
		n.day, n.few = i, true
		prior, err := db.Prior(ctx, "example.org", audit.KindAudit, cmp.Or(n.vantage, "here"), n.run(t).Snapshot.Scope.Areas)
		if err != nil {
			t.Fatal(err)
		}
		then = append(then, prior)
		runs = append(runs, mustStore(t, db, n.run(t)))
	}
	for i, run := range runs {
		got, err := db.PriorBefore(ctx, run)
		if err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(then[i], got, domains(), addresses()); d != "" {
			t.Errorf("before run %d (-then +now):\n%s", run.ID, d)
		}
	}
	if then[1].OtherVantage != true || then[5].Base.ID != 3 || then[6].Base.ID != 3 {
		t.Error("the story does not test what it should")
	}
}

// What rules may know of the past: stable from night to night, and bounded.
func TestPast(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	past := func() audit.Past {
		t.Helper()
		p, err := db.Past(ctx, "example.org", audit.KindAudit, "here")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := past(); !p.First.IsZero() || p.MXHosts != nil {
		t.Errorf("out of nothing: %+v", p)
	}
	day := 0
	store := func(n night, records audit.Obs[[]audit.MXRecord]) {
		t.Helper()
		n.day = day
		run := n.run(t)
		run.Snapshot.Facts.MX.Records = records
		mustStore(t, db, run)
		day++
	}
	see := func(hosts ...audit.DNSName) audit.Obs[[]audit.MXRecord] {
		var records []audit.MXRecord
		for _, h := range hosts {
			records = append(records, audit.MXRecord{Preference: 10, Host: h})
		}
		return audit.See(records, "")
	}
	store(night{vantage: "there"}, see("there.example"))
	store(night{state: audit.Aborted}, see("aborted.example"))
	store(night{target: "example.net"}, see("net.example"))
	store(night{}, audit.Dark[[]audit.MXRecord](audit.Reason{Code: audit.Timeout, Text: "No answer."}, ""))
	if p := past(); !p.First.Equal(night{day: 3}.start()) || p.MXHosts != nil {
		t.Errorf("after a night in the dark: %+v", p)
	}
	store(night{}, see("b.example", "a.example"))
	store(night{areas: []audit.Area{audit.AreaMX}}, see("c.example"))
	store(night{}, see(".")) // no mail, RFC 7505
	want := audit.Past{First: night{day: 3}.start(), MXHosts: []audit.DNSName{"a.example", "b.example", "c.example"}}
	if d := gocmp.Diff(want, past()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	for i := range audit.PastHosts + 20 {
		store(night{}, see(audit.DNSName(fmt.Sprintf("h%02d.example", i))))
	}
	p := past()
	if len(p.MXHosts) != audit.PastHosts || !slices.IsSorted(p.MXHosts) || p.MXHosts[0] != "h20.example" || p.MXHosts[49] != "h69.example" {
		t.Errorf("%d hosts, from %s to %s", len(p.MXHosts), p.MXHosts[0], p.MXHosts[len(p.MXHosts)-1])
	}
	store(night{}, see("h69.example")) // a quiet night
	if d := gocmp.Diff(p, past()); d != "" {
		t.Errorf("a quiet night changes the past (-before +after):\n%s", d)
	}
}
