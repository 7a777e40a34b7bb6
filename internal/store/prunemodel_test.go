package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

// doomed says, run by run, what a prune removes.
func (m *model) doomed(want Prune) []int64 {
	alive := m.left(slices.Concat(m.runs, m.open, m.lost))
	var out []int64
	for _, r := range alive {
		newer, live := 0, slices.Contains(m.open, r)
		for _, o := range alive {
			if o.State == audit.Complete && !slices.Contains(m.open, o) && !slices.Contains(m.lost, o) && o.ID > r.ID && sameLine(o, r) {
				newer++
			}
			sameGroup := o.Target == r.Target && o.Snapshot.Vantage.Name == r.Snapshot.Vantage.Name
			live = live || slices.Contains(m.open, o) && o.ID < r.ID && sameGroup
		}
		needed := want.KeepLast
		if r.State == audit.Complete && !slices.Contains(m.lost, r) {
			needed = max(1, needed)
		}
		if !live && newer >= needed && (want.Target == "" || want.Target == r.Target) && (want.Before.IsZero() || r.Started.Before(want.Before)) {
			out = append(out, r.ID)
		}
	}
	slices.Sort(out)
	return out
}

// changed says which of the runs that are left differ from the one before
// them.
func (m *model) changed(run *audit.Run) bool {
	if run.State != audit.Complete || m.late[run.ID] {
		return false
	}
	var before *audit.Run
	for _, r := range m.left(m.runs) {
		if r.State == audit.Complete && !m.late[r.ID] && sameLine(r, run) && r.ID < run.ID && (before == nil || r.ID > before.ID) {
			before = r
		}
	}
	if before == nil {
		return true
	}
	byKey := func(r *audit.Run) map[audit.Key]audit.Finding {
		out := map[audit.Key]audit.Finding{}
		for _, f := range r.Findings {
			out[f.Key()] = f
		}
		return out
	}
	return !reflect.DeepEqual(before.Snapshot.Facts, run.Snapshot.Facts) || !reflect.DeepEqual(byKey(before), byKey(run))
}

// compareList holds the list of runs against the model.
func (m *model) compareList(t *testing.T, db *DB) {
	t.Helper()
	infos, err := db.Runs(context.Background(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[int64]*audit.Run{}
	for _, r := range m.left(slices.Concat(m.runs, m.open, m.lost)) {
		all[r.ID] = r
	}
	if len(infos) != len(all) {
		t.Fatalf("%d runs are listed, want %d", len(infos), len(all))
	}
	for _, i := range infos {
		if slices.Contains(m.open, all[i.ID]) || slices.Contains(m.lost, all[i.ID]) {
			continue
		}
		if want := m.changed(all[i.ID]); i.Changed != want {
			t.Fatalf("run %d: changed %v, want %v", i.ID, i.Changed, want)
		}
	}
}

// viewRow is a row of the views verdicts and history.
type viewRow struct {
	view                  string
	stream                int64
	rule, subject, status string
	first, last           int64
	firstSeen, lastSeen   string
	now                   bool
	target, kind, vantage string
	more                  string // days, or words
}

func viewRows(t *testing.T, db *DB) map[viewRow]bool {
	t.Helper()
	out := map[viewRow]bool{}
	const columns = "stream, rule, subject, status, first_run, last_run, first_seen, last_seen, now, target, kind, vantage, "
	rows, err := db.sql.Query("SELECT 'verdicts', " + columns + "days FROM verdicts UNION ALL SELECT 'history', " + columns + "severity || detail FROM history")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r viewRow
		err = rows.Scan(&r.view, &r.stream, &r.rule, &r.subject, &r.status, &r.first, &r.last, &r.firstSeen, &r.lastSeen, &r.now,
			&r.target, &r.kind, &r.vantage, &r.more)
		if err != nil {
			t.Fatal(err)
		}
		out[r] = true
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return out
}

// compareViews fails when a row is new or changed, or when one is missing that
// a run which is left belongs to.
func (m *model) compareViews(t *testing.T, db *DB, streams map[int64]int64, before, after map[viewRow]bool) int {
	t.Helper()
	for r := range after {
		if !before[r] {
			t.Fatalf("this row is new: %+v", r)
		}
	}
	lost := 0
	for r := range before {
		if after[r] {
			continue
		}
		lost++
		for _, run := range m.left(m.runs) {
			if streams[run.ID] != r.stream || run.ID < r.first || run.ID > r.last {
				continue
			}
			for _, f := range run.Findings {
				if string(f.Rule) == r.rule && f.Subject == r.subject && string(f.Status) == r.status {
					t.Fatalf("run %d belongs to this row, which is missing: %+v", run.ID, r)
				}
			}
		}
	}
	return lost
}

func streamsOf(t *testing.T, db *DB) map[int64]int64 {
	t.Helper()
	out := map[int64]int64{}
	rows, err := db.sql.Query("SELECT id, stream FROM runs")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var run, stream int64
		err = rows.Scan(&run, &stream)
		if err != nil {
			t.Fatal(err)
		}
		out[run] = stream
	}
	return out
}

func anyPrune(rng *rand.Rand, serial int) Prune {
	want := Prune{KeepLast: rng.IntN(6)}
	if want.KeepLast == 0 || rng.IntN(2) == 0 {
		want.Before = time.Date(2026, 1, 1, rng.IntN(serial+1), 0, 0, 0, time.UTC)
	}
	if rng.IntN(3) == 0 {
		want.Target = "example.org"
	}
	return want
}

// Ensure that whatever is pruned, whenever, all that is left reads as if
// nothing had been: runs, verdicts with their dates, past, lists and views.
func TestPruneAgainstModel(t *testing.T) {
	ctx := context.Background()
	runs, rows, prunes, tombstones, skipped := 0, 0, 0, 0, 0
	for _, seed := range []uint64{0, 1, 25, 43} { // the last two once found that a run which runs will be a base
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			db := mustOpen(t, tempFile(t))
			db.now = func() time.Time { return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) } // before all: what runs is alive
			m := newModel()
			for serial := range 80 {
				run := tiny(rng, serial)
				mustBegin(t, db, run)
				if rng.IntN(12) == 0 {
					mustExec(t, db, fmt.Sprint("UPDATE runs SET pid = 2147483646 WHERE id = ", run.ID))
					m.lost = append(m.lost, run)
					continue
				}
				m.open = append(m.open, run)
				for len(m.open) > rng.IntN(4) {
					m.finish(t, db, rng.IntN(len(m.open)))
				}
				if rng.IntN(10) > 0 {
					continue
				}
				want := anyPrune(rng, serial)
				doomed := m.doomed(want)
				before, streams := viewRows(t, db), streamsOf(t, db)
				got := mustPrune(t, db, want)
				for _, id := range doomed {
					m.gone[id] = true
				}
				if got.Runs != len(doomed) {
					t.Fatalf("%+v removed %d runs, want %v", want, got.Runs, doomed)
				}
				prunes++
				runs += got.Runs
				if len(m.open) > 0 {
					skipped++
				}
				rows += m.compareViews(t, db, streams, before, viewRows(t, db))
				m.compare(t, db)
				m.compareList(t, db)
				mustClean(t, db)
			}
			m.compare(t, db) // and after more runs
			mustClean(t, db)
			var n int
			err := db.sql.QueryRowContext(ctx, "SELECT count(*) FROM runs WHERE state = 'pruned'").Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			tombstones += n
		})
	}
	t.Logf("%d prunes (%d while something ran) removed %d runs and %d rows of the views; %d bare rows are left", prunes, skipped, runs, rows, tombstones)
	if runs < 100 || rows < 100 || tombstones == 0 {
		t.Error("too little was removed to prove anything")
	}
}
