package store

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

// Whatever goes in comes out, in the same order and with nil still nil.
func TestRoundTrip(t *testing.T) {
	const hostile = "<script>\x1b[31m](javascript: =cmd|' \u202e \\xFF \U0001F4A9 % _ ' \" ; -- \t"
	cases := map[string]func(r *audit.Run){
		"as it is":    func(*audit.Run) {},
		"aborted":     func(r *audit.Run) { r.State = audit.Aborted },
		"tagged":      func(r *audit.Run) { r.Tag = hostile },
		"noted":       func(r *audit.Run) { r.Note = hostile },
		"no findings": func(r *audit.Run) { r.Findings, r.Score = nil, scoreOf(nil) },
		"empty list":  func(r *audit.Run) { r.Findings, r.Score = []audit.Finding{}, scoreOf(nil) },
		"no score":    func(r *audit.Run) { r.Score = audit.Score{} },
		"empty axes":  func(r *audit.Run) { r.Score.Axes = map[audit.Axis]audit.AxisScore{} },
		"no points": func(r *audit.Run) {
			none := 0
			a := r.Score.Axes[audit.Delivery]
			a.Points, a.Grade = &none, audit.GradeF
			r.Score.Axes[audit.Delivery] = a
		},
		"before grades": func(r *audit.Run) {
			r.Score = audit.Score{Coverage: 50, Axes: scoreOf(r.Findings).Axes}
		},
		"no facts":     func(r *audit.Run) { r.Snapshot.Facts = audit.Facts{} },
		"no sidecar":   func(r *audit.Run) { r.Sidecar = audit.Sidecar{} },
		"other domain": func(r *audit.Run) { r.Target = "mail.example.net:25" },
		"no domain":    func(r *audit.Run) { r.Target, r.Snapshot.Domain = "192.0.2.1", audit.Domain{} },
		"other start":  func(r *audit.Run) { r.Snapshot.At = r.Started.Add(-time.Hour) },
		"backwards":    func(r *audit.Run) { r.Finished = r.Started.Add(-time.Hour) },
		"past": func(r *audit.Run) {
			r.Snapshot.Past = audit.Past{First: r.Started.AddDate(-1, 0, 0), MXHosts: []audit.DNSName{"a.example", `b\.c.example`},
				Busy: []audit.BusySpell{{Endpoint: "a.example[192.0.2.1]:25", Since: r.Started.Add(-time.Hour)}}}
		},
		"scope": func(r *audit.Run) {
			r.Snapshot.Scope = audit.Scope{Areas: []audit.Area{audit.AreaTLS, audit.AreaMX}, Passive: true, AllowPrivate: true,
				SendingIPs: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}, AllowNets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		},
		"turned round": func(r *audit.Run) { slices.Reverse(r.Findings) },
		"hostile": func(r *audit.Run) {
			r.Findings = []audit.Finding{
				{Rule: "z.z", Subject: hostile, Status: audit.Fail, Severity: audit.High, Detail: hostile + strings.Repeat("x", 64<<10),
					Evidence: []string{hostile, ""}, Fix: audit.Fix{Summary: hostile, Records: []audit.FixRecord{{Value: hostile}}, Steps: []string{hostile}}},
				{Rule: "z.z", Subject: "", Status: audit.NAStatus, Evidence: []string{}, Fix: audit.Fix{Records: []audit.FixRecord{}, Steps: []string{}}},
			}
			r.Score = scoreOf(r.Findings)
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			db := mustOpen(t, tempFile(t))
			run := night{}.run(t)
			change(run)
			mustStore(t, db, run)
			got, err := db.Run(context.Background(), run.ID)
			if err != nil {
				t.Fatal(err)
			}
			if d := diffRuns(run, got, true); d != "" {
				t.Errorf("it came back changed (-want +got):\n%s", d)
			}
			mustClean(t, db)
		})
	}
}

// Times are kept to the millisecond and come back in UTC.
func TestTimes(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	run := night{}.run(t)
	run.Started = time.Date(2026, 7, 1, 12, 0, 0, 987654321, time.FixedZone("CEST", 7200))
	mustStore(t, db, run)
	got, err := db.Run(context.Background(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 7, 1, 10, 0, 0, 987e6, time.UTC); got.Started != want {
		t.Errorf("started %v, want %v", got.Started, want)
	}
}

func TestRunningRun(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	run := night{}.run(t)
	run.Tag = "tag"
	db.now = func() time.Time { return run.Started.Add(time.Minute) }
	mustBegin(t, db, run)
	if run.ID != 1 {
		t.Errorf("the first run has id %d", run.ID)
	}
	got, err := db.Run(ctx, run.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := *run
	want.State, want.Finished, want.Findings, want.Score, want.Sidecar, want.Snapshot.Facts = audit.Running, time.Time{}, nil, audit.Score{}, audit.Sidecar{}, audit.Facts{}
	if d := diffRuns(&want, got, true); d != "" {
		t.Errorf("while it runs (-want +got):\n%s", d)
	}
	_, err = db.Latest(ctx, run.Target)
	var input *audit.InputError
	if !errors.As(err, &input) {
		t.Errorf("Latest while it runs: %v", err)
	}
	prior, err := db.Prior(ctx, run.Target, run.Kind, "here", nil)
	if err != nil || prior.Base != nil || len(prior.Verdicts) != 0 {
		t.Errorf("Prior while it runs: %v, %v", prior.Base, err)
	}
	mustClean(t, db)
}

// A run in state running reads as interrupted when its process is gone.
func TestInterrupted(t *testing.T) {
	ctx := context.Background()
	cases := []struct {
		name, change string
		later        time.Duration
		want         audit.RunState
	}{
		{"alive", "", 0, audit.Running},
		{"the process is gone", "UPDATE runs SET pid = 2147483646", 0, Interrupted},
		{"on another host nothing is known", "UPDATE runs SET pid = 2147483646, host = 'elsewhere'", 0, audit.Running},
		{"until a day has gone by", "UPDATE runs SET host = 'elsewhere'", 25 * time.Hour, Interrupted},
		{"the id was given to another process", "", 25 * time.Hour, Interrupted},
		{"the clock was put back", "", -48 * time.Hour, audit.Running},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			db := mustOpen(t, tempFile(t))
			run := night{}.run(t)
			db.now = func() time.Time { return run.Started.Add(c.later) }
			mustBegin(t, db, run)
			if c.change != "" {
				mustExec(t, db, c.change)
			}
			infos, err := db.Runs(ctx, Filter{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := db.Run(ctx, run.ID)
			if err != nil {
				t.Fatal(err)
			}
			if infos[0].State != c.want || got.State != c.want {
				t.Errorf("Runs says %q and Run says %q, want %q", infos[0].State, got.State, c.want)
			}
			if got.Findings != nil {
				t.Errorf("it has %d findings", len(got.Findings))
			}
		})
	}
}

func mustExec(t testing.TB, db *DB, statement string) {
	t.Helper()
	_, err := db.sql.Exec(statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestFinishRefuses(t *testing.T) {
	ctx := context.Background()
	cases := map[string]struct {
		change func(r *audit.Run)
		want   string
	}{
		"running":     {func(r *audit.Run) { r.State = audit.Running }, `state "running"`},
		"no end":      {func(r *audit.Run) { r.Finished = time.Time{} }, "finished 0001"},
		"never begun": {func(r *audit.Run) { r.ID = 99 }, "run 99 (019a"},
		"other uid":   {func(r *audit.Run) { r.UID = "x" }, "run 1 (x) is not running"},
		"two answers": {func(r *audit.Run) { r.Findings = append(r.Findings, r.Findings[3]) }, "two findings of rule mx.host-resolves"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			db := mustOpen(t, tempFile(t))
			run := night{}.run(t)
			mustBegin(t, db, run)
			id := run.ID
			c.change(run)
			err := db.Finish(ctx, run)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			again := night{}.run(t) // nothing of it stuck
			again.ID = id
			mustFinish(t, db, again)
			err = db.Finish(ctx, again)
			if err == nil || !strings.Contains(err.Error(), "not running") {
				t.Errorf("finishing twice: %v", err)
			}
			mustClean(t, db)
		})
	}
}

func TestNoSuchRun(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	var input *audit.InputError
	_, err := db.Run(ctx, 7)
	if !errors.As(err, &input) || input.Problem != "there is no run 7: the history is empty" {
		t.Errorf("empty history: %v", err)
	}
	mustStore(t, db, night{}.run(t))
	mustStore(t, db, night{day: 1}.run(t))
	_, err = db.Run(ctx, 7)
	if !errors.As(err, &input) || input.Problem != "there is no run 7; the newest is 2" {
		t.Errorf("two runs: %v", err)
	}
	_, err = db.Latest(ctx, "example.com")
	if !errors.As(err, &input) || input.Problem != "there is no complete run of example.com in the history" {
		t.Errorf("Latest: %v", err)
	}
	_, err = db.PriorOf(ctx, 7)
	if !errors.As(err, &input) {
		t.Errorf("PriorOf: %v", err)
	}
	aborted := mustStore(t, db, night{day: 2, state: audit.Aborted}.run(t))
	_, err = db.PriorOf(ctx, aborted.ID)
	if !errors.As(err, &input) || input.Problem != "run 3 is aborted; only complete runs are compared" {
		t.Errorf("PriorOf an aborted run: %v", err)
	}
}

// The sidecar is kept for the newest run of a stream and for runs that changed
// something.
func TestSidecars(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	nights := []night{
		{day: 0}, {day: 1}, {day: 2}, {day: 3, drift: 1}, {day: 4, drift: 1}, {day: 5, drift: 1},
		{day: 6, drift: 1, vantage: "there"}, {day: 7, drift: 1, state: audit.Aborted}, {day: 8, drift: 1},
	}
	want := []bool{true, false, false, true, false, false, true, true, true}
	for i, n := range nights {
		run := mustStore(t, db, n.run(t))
		got, err := db.Run(context.Background(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := diffRuns(run, got, true); d != "" {
			t.Errorf("run %d, the newest of its stream:\n%s", i+1, d)
		}
	}
	for i, n := range nights {
		got, err := db.Run(context.Background(), int64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if kept := got.Sidecar.Traffic != (audit.Traffic{}); kept != want[i] {
			t.Errorf("run %d (%+v): sidecar kept %v, want %v", i+1, n, kept, want[i])
		}
	}
	infos, err := db.Runs(context.Background(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(infos)
	for i, changed := range []bool{true, false, false, true, false, false, true, false, false} {
		if infos[i].Changed != changed {
			t.Errorf("run %d: changed %v, want %v", i+1, infos[i].Changed, changed)
		}
	}
	mustClean(t, db)
}

// A change that no rule minds is a change all the same.
func TestFactsAloneChange(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	mustStore(t, db, night{}.run(t))
	run := night{day: 1}.run(t)
	run.Snapshot.Facts.SMTP[0].TLS.Value.Cipher = "TLS_CHACHA20_POLY1305_SHA256"
	mustStore(t, db, run)
	mustStore(t, db, night{day: 2}.run(t)) // and back
	mustStore(t, db, night{day: 3}.run(t))
	infos, err := db.Runs(ctx, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, true, true} {
		if infos[i].Changed != want {
			t.Errorf("run %d: changed %v, want %v", infos[i].ID, infos[i].Changed, want)
		}
	}
	if n := column(t, db.sql, "SELECT count(*) FROM blobs JOIN fact_parts ON blob = id WHERE name = 'smtp' GROUP BY name")[0]; n != "2" {
		t.Errorf("%s forms of the smtp part are kept, want 2", n)
	}
	mustClean(t, db)
}

// Runs that cannot be a link of their stream get one of their own, in which
// nothing is open.
func TestSoloStreams(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	late := night{day: 0, drift: 3}.run(t)
	mustBegin(t, db, late)
	mustStore(t, db, night{day: 1}.run(t))
	mustStore(t, db, night{day: 2, state: audit.Aborted}.run(t))
	mustFinish(t, db, late) // after a younger run of its stream
	mustStore(t, db, night{day: 3}.run(t))
	for query, want := range map[string]string{
		"SELECT group_concat(solo) FROM (SELECT solo FROM streams ORDER BY id)":                                "0,3,1",
		"SELECT count(*) FROM spans WHERE last_run IS NULL AND stream <> 1":                                    "0",
		"SELECT count(*) FROM history WHERE now AND stream <> 1":                                               "0",
		"SELECT group_concat(DISTINCT first_run || '-' || last_run) FROM history WHERE stream = 1":             "2-4",
		"SELECT count(*) FROM verdicts WHERE stream = (SELECT id FROM streams WHERE solo = 3)":                 "0",
		"SELECT sum(changed) FROM runs WHERE stream <> 1":                                                      "0",
		"SELECT count(*) > 0 FROM verdicts WHERE NOT now AND stream = (SELECT id FROM streams WHERE solo = 1)": "1",
	} {
		if got := column(t, db.sql, query)[0]; got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	mustClean(t, db)
}

func TestRuns(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	none, err := db.Runs(ctx, Filter{})
	if err != nil || len(none) != 0 {
		t.Fatalf("empty: %v, %v", none, err)
	}
	var stored []*audit.Run
	for i := range 6 {
		run := night{day: i, drift: i, target: []string{"example.org", "example.net"}[i%2]}.run(t)
		run.Tag = []string{"", "nightly", "o'tag"}[i%3]
		stored = append(stored, mustStore(t, db, run))
	}
	ids := func(f Filter) []int64 {
		t.Helper()
		infos, err := db.Runs(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for _, i := range infos {
			ids = append(ids, i.ID)
		}
		return ids
	}
	for _, c := range []struct {
		f    Filter
		want []int64
	}{
		{Filter{}, []int64{6, 5, 4, 3, 2, 1}},
		{Filter{Limit: 2}, []int64{6, 5}},
		{Filter{Target: "example.org"}, []int64{5, 3, 1}},
		{Filter{Target: "example.org", Limit: 1}, []int64{5}},
		{Filter{Tag: "nightly"}, []int64{5, 2}},
		{Filter{Tag: "o'tag", Target: "example.org"}, []int64{3}},
		{Filter{Target: "example.com"}, nil},
	} {
		if got := ids(c.f); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.f, got, c.want)
		}
	}
	infos, err := db.Runs(ctx, Filter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	i, run := infos[0], stored[5]
	if i.UID != run.UID || i.Kind != run.Kind || i.State != run.State || i.Target != run.Target || i.Vantage != "here" || i.Tag != run.Tag ||
		!i.Started.Equal(run.Started) || !i.Finished.Equal(run.Finished) || i.Coverage != run.Score.Coverage || !i.Changed {
		t.Errorf("%+v is not %+v", i, run)
	}
	if d := cmp.Diff(run.Score, i.Score); d != "" || !i.Score.Axes[audit.Delivery].Grade.Given() {
		t.Errorf("its score is another (-run +list):\n%s", d)
	}
	fails, unknown := map[audit.Severity]int{}, 0
	for _, f := range run.Findings {
		switch f.Status {
		case audit.Fail:
			fails[f.Severity]++
		case audit.UnknownStatus:
			unknown++
		}
	}
	if len(fails) < 2 || unknown == 0 {
		t.Fatalf("the world is too dull to test with: %v, %d", fails, unknown)
	}
	if i.Unknown != unknown || len(i.Fails) != len(fails) {
		t.Errorf("counts %v and %d, want %v and %d", i.Fails, i.Unknown, fails, unknown)
	}
	for s, n := range fails {
		if i.Fails[s] != n {
			t.Errorf("%s: %d fails, want %d", s, i.Fails[s], n)
		}
	}
}

// TestSubjectOctets: a subject that is no UTF-8 is found again when what is said
// of it changes. Lists go to SQLite as JSON, which has no such octets.
func TestSubjectOctets(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	defer mustClose(t, db)
	for day, detail := range []string{"first", "second"} {
		run := night{day: day}.run(t)
		f := run.Findings[0]
		f.Subject, f.Detail = "a\xff<b>\u2028", detail
		run.Findings = []audit.Finding{f}
		stored := mustStore(t, db, run)
		got, err := db.Run(t.Context(), stored.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Findings) != 1 || got.Findings[0].Subject != f.Subject || got.Findings[0].Detail != detail {
			t.Errorf("day %d: %+v", day, got.Findings)
		}
	}
}
