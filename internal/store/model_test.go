package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

// model is the history as a plain list of runs. What the store answers from
// spans, the model answers by looking at every run. It forgets nothing: pruned
// runs are in it for good, and marked as gone.
type model struct {
	runs []*audit.Run
	open []*audit.Run   // that still run
	lost []*audit.Run   // that were interrupted
	late map[int64]bool // finished after a younger run of their stream
	gone map[int64]bool // pruned
}

func newModel() *model { return &model{late: map[int64]bool{}, gone: map[int64]bool{}} }

// left leaves out what is gone.
func (m *model) left(runs []*audit.Run) []*audit.Run {
	return slices.DeleteFunc(slices.Clone(runs), func(r *audit.Run) bool { return m.gone[r.ID] })
}

// finish ends one of the runs that still run.
func (m *model) finish(t *testing.T, db *DB, i int) {
	t.Helper()
	run := m.open[i]
	mustFinish(t, db, run)
	m.late[run.ID] = slices.ContainsFunc(m.runs, func(r *audit.Run) bool {
		return r.State == audit.Complete && r.ID > run.ID && sameLine(r, run)
	})
	m.runs = append(m.runs, run)
	m.open = slices.Delete(m.open, i, i+1)
}

// sameLine is what schema.sql calls a stream, those apart that have one to
// themselves.
func sameLine(a, b *audit.Run) bool {
	return a.Target == b.Target && a.Snapshot.Vantage.Name == b.Snapshot.Vantage.Name && len(a.Snapshot.Scope.Areas) == len(b.Snapshot.Scope.Areas)
}

// finished lists the complete runs of one target, kind and vantage up to an
// id, oldest first; an empty vantage is any.
func (m *model) finished(target, vantage string, upTo int64) []*audit.Run {
	var out []*audit.Run
	for _, r := range m.runs {
		if r.State == audit.Complete && r.Target == target && (vantage == "" || r.Snapshot.Vantage.Name == vantage) && r.ID <= upTo {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *audit.Run) int { return int(a.ID - b.ID) })
	return out
}

func (m *model) verdicts(target, vantage string, upTo int64) map[audit.Key]audit.Verdict {
	out := map[audit.Key]audit.Verdict{}
	for _, r := range m.finished(target, vantage, upTo) {
		for _, f := range r.Findings {
			if !f.Status.Known() {
				continue
			}
			since := r.Started
			was, known := out[f.Key()]
			if was.Status == f.Status {
				since = was.Since
			}
			out[f.Key()] = audit.Verdict{
				Status: f.Status, Severity: f.Severity, Run: r.ID, Since: since, Turned: known && was.Status != f.Status,
			}
		}
	}
	return out
}

func (m *model) past(target, vantage string) audit.Past {
	var p audit.Past
	for i, r := range m.finished(target, vantage, 1<<62) {
		if i == 0 {
			p.First = r.Started
		}
		for _, mx := range r.Snapshot.Facts.MX.Records.Value {
			if !slices.Contains(p.MXHosts, mx.Host) {
				p.MXHosts = append(p.MXHosts, mx.Host)
			}
		}
	}
	slices.Sort(p.MXHosts)
	return p
}

// tiny is a run with a few findings that come, go and change at random.
func tiny(rng *rand.Rand, serial int) *audit.Run {
	pickOne := func(words ...string) string { return words[rng.IntN(len(words))] }
	target, _, err := audit.ParseDomain(pickOne("example.org", "example.net"))
	if err != nil {
		panic(err)
	}
	start := time.Date(2026, 1, 1, 0, 0, serial*3600, 0, time.UTC)
	if rng.IntN(10) == 0 {
		start = start.AddDate(-1, 0, 0) // the clock jumped
	}
	areas := audit.Areas()
	if rng.IntN(4) == 0 {
		areas = areas[:1]
	}
	run := &audit.Run{
		UID: fmt.Sprintf("uid-%d", serial), Kind: audit.KindAudit, State: audit.Complete, Target: target.String(),
		Started: start, Finished: start.Add(time.Minute), Findings: []audit.Finding{},
		Snapshot: audit.Snapshot{Domain: target, At: start, Scope: audit.Scope{Areas: areas}, Vantage: audit.Vantage{Name: pickOne("here", "here", "there")}},
	}
	if rng.IntN(8) == 0 {
		run.State = audit.Aborted
	}
	run.Snapshot.Facts.MX.Records = audit.See([]audit.MXRecord{{Preference: 10, Host: audit.DNSName(pickOne("a", "b", "c", ".") + ".example")}}, "")
	for _, area := range areas {
		for _, subject := range []string{"one", "two"} {
			if rng.IntN(6) == 0 {
				continue
			}
			run.Findings = append(run.Findings, audit.Finding{
				Rule: audit.RuleID(string(area) + ".rule"), Subject: subject, Status: audit.Status(pickOne("pass", "pass", "fail", "unknown", "n/a")),
				Severity: audit.Severity(pickOne("high", "high", "high", "low")), Detail: pickOne("", "", "words"),
			})
		}
	}
	if rng.IntN(5) == 0 {
		rng.Shuffle(len(run.Findings), func(i, j int) { run.Findings[i], run.Findings[j] = run.Findings[j], run.Findings[i] })
	}
	run.Score = scoreOf(run.Findings)
	return run
}

// Ensure that spans give the same answers as a list of whole runs, whatever
// the order of targets, scopes, vantages, aborted and overlapping runs.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { // printed, so that it can be repeated
			rng := rand.New(rand.NewPCG(seed, 1))
			db := mustOpen(t, tempFile(t))
			m := newModel()
			solo := 0
			for serial := range 90 {
				run := tiny(rng, serial)
				mustBegin(t, db, run)
				m.open = append(m.open, run)
				for len(m.open) > rng.IntN(4) { // up to three runs overlap, and end in any order
					m.finish(t, db, rng.IntN(len(m.open)))
				}
				if serial%30 == 29 {
					m.compare(t, db)
				}
			}
			err := db.sql.QueryRow("SELECT count(*) FROM streams s JOIN runs r ON r.id = s.solo WHERE r.state = 'complete'").Scan(&solo)
			if err != nil || solo == 0 {
				t.Errorf("no run finished out of order: this test tests less than it says (%v)", err)
			}
			mustClean(t, db)
		})
	}
}

func (m *model) compare(t *testing.T, db *DB) {
	t.Helper()
	ctx := context.Background()
	for _, want := range m.runs {
		got, err := db.Run(ctx, want.ID)
		if m.gone[want.ID] {
			var input *audit.InputError
			if !errors.As(err, &input) {
				t.Fatalf("run %d, which is gone: %v", want.ID, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if d := diffRuns(want, got, false); d != "" {
			t.Fatalf("run %d (-want +got):\n%s", want.ID, d)
		}
		if want.State != audit.Complete {
			continue
		}
		prior, err := db.PriorOf(ctx, want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m.verdicts(want.Target, want.Snapshot.Vantage.Name, want.ID), prior.Verdicts); d != "" {
			t.Fatalf("verdicts up to run %d (-want +got):\n%s", want.ID, d)
		}
	}
	for _, target := range []string{"example.org", "example.net", "example.com"} {
		for _, vantage := range []string{"here", "there", "nowhere"} {
			m.compareAt(t, db, target, vantage)
		}
	}
}

func (m *model) compareAt(t *testing.T, db *DB, target, vantage string) {
	t.Helper()
	ctx := context.Background()
	past, err := db.Past(ctx, target, audit.KindAudit, vantage)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m.past(target, vantage), past); d != "" {
		t.Fatalf("past of %s from %s (-want +got):\n%s", target, vantage, d)
	}
	prior, err := db.Prior(ctx, target, audit.KindAudit, vantage, nil)
	if err != nil {
		t.Fatal(err)
	}
	same, all := m.left(m.finished(target, vantage, 1<<62)), m.left(m.finished(target, "", 1<<62))
	var base *audit.Run
	switch {
	case len(same) > 0:
		base = same[len(same)-1]
	case len(all) > 0:
		base = all[len(all)-1]
	}
	if prior.OtherVantage != (len(same) == 0 && base != nil) {
		t.Fatalf("%s from %s: other vantage %v", target, vantage, prior.OtherVantage)
	}
	if base == nil {
		if prior.Base != nil || prior.Verdicts != nil {
			t.Fatalf("%s from %s: a base out of nothing", target, vantage)
		}
		return
	}
	if d := diffRuns(base, prior.Base, false); d != "" {
		t.Fatalf("base of %s from %s:\n%s", target, vantage, d)
	}
	latest, err := db.Latest(ctx, target)
	if err != nil || latest.ID != all[len(all)-1].ID {
		t.Fatalf("latest of %s: %v", target, err)
	}
}

// The view verdicts says the same as looking at every run of a stream.
func TestVerdictsView(t *testing.T) {
	type row struct {
		Rule, Subject, Status string
		First, Last           int64
		FirstSeen, LastSeen   string
		Now                   bool
	}
	rng := rand.New(rand.NewPCG(7, 7))
	db := mustOpen(t, tempFile(t))
	open := map[audit.Key]int{}
	var want []row
	var last int64
	for serial := 0; serial < 150; serial++ {
		run := tiny(rng, serial)
		if run.Target != "example.org" || len(run.Snapshot.Scope.Areas) == 1 || run.Snapshot.Vantage.Name != "here" {
			continue
		}
		mustStore(t, db, run)
		if run.State == audit.Aborted {
			continue
		}
		last = run.ID
		for _, f := range run.Findings {
			if !f.Status.Known() {
				continue
			}
			i, ok := open[f.Key()]
			if !ok || want[i].Status != string(f.Status) {
				i = len(want)
				want = append(want, row{Rule: string(f.Rule), Subject: f.Subject, Status: string(f.Status), First: run.ID, FirstSeen: formatTime(run.Started)})
				open[f.Key()] = i
			}
			want[i].Last, want[i].LastSeen = run.ID, formatTime(run.Started)
		}
	}
	for i := range want {
		want[i].Now = want[i].Last == last
	}
	rows, err := db.sql.Query(`SELECT rule, subject, status, first_run, last_run, first_seen, last_seen, now FROM verdicts WHERE target = 'example.org' AND vantage = 'here'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []row
	for rows.Next() {
		var r row
		err = rows.Scan(&r.Rule, &r.Subject, &r.Status, &r.First, &r.Last, &r.FirstSeen, &r.LastSeen, &r.Now)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	byAll := func(a, b row) int {
		return slices.Compare([]string{a.Rule, a.Subject, fmt.Sprintf("%06d", a.First)}, []string{b.Rule, b.Subject, fmt.Sprintf("%06d", b.First)})
	}
	slices.SortFunc(want, byAll)
	slices.SortFunc(got, byAll)
	if len(want) < 30 {
		t.Fatalf("only %d series: too few to prove anything", len(want))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
