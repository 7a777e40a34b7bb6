package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
	"mailaudit/internal/auditor"
	"mailaudit/internal/lab"
	"mailaudit/internal/report"
	"mailaudit/internal/rules"
)

// Ensure a run from before there were grades is shown without one, and that
// judging it again grades it.
func TestRejudgeGrades(t *testing.T) {
	inWorld(t, examplesWorld, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		mustAudit(t, w, db, "example.org")
		run := newest(t, db)
		want := run.Score
		if want.Rubric != rules.RubricVersion || !want.Axes[audit.Privacy].Grade.Given() {
			t.Fatalf("the run is not graded: %+v", want)
		}
		run.Score = audit.Score{Coverage: 90, Axes: map[audit.Axis]audit.AxisScore{audit.Privacy: {Pass: 10, Unknown: 1, Coverage: 90}}}
		var b strings.Builder
		err := report.Text(&b, report.Build(run, nil, nil), report.TextOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if text := squeeze(b.String()); !strings.Contains(text, "Privacy no faults seen 90 % of what counts 1 unknown") {
			t.Errorf("an old run reads %s", b.String())
		}
		again := auditor.Rejudge(run, "9.9.9")
		if d := cmp.Diff(want, again.Run.Score); d != "" || again.Delta.Score != nil {
			t.Errorf("it is graded otherwise (-when it was made +now): %s\nbefore: %v", d, again.Delta.Score)
		}
	})
}

// Ensure the list of runs has the score of each that finished.
func TestRunsScore(t *testing.T) {
	inWorld(t, examplesWorld, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		mustAudit(t, w, db, "example.org")
		got := attempt{args: []string{"runs", "-f", "json"}, db: db}.in(w)
		var list struct {
			Runs []struct{ Score *audit.Score }
		}
		err := json.Unmarshal([]byte(got.out), &list)
		if err != nil || len(list.Runs) != 1 || list.Runs[0].Score == nil {
			t.Fatalf("%v\n%s", err, got.out)
		}
		if d := cmp.Diff(newest(t, db).Score, *list.Runs[0].Score); d != "" {
			t.Errorf("(-run +list) %s", d)
		}
	})
}

// Ensure a stored run judged again by the same rules says the same, asks
// nobody and stores nothing.
func TestRejudge(t *testing.T) {
	inWorld(t, examplesWorld, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		mustAudit(t, w, db, "example.org")
		before := newest(t, db)
		got := attempt{args: []string{"rejudge", "example.org"}, db: db}.in(w)
		if got.code != exitOK || got.err != "" || !strings.Contains(got.out, "nothing changed") {
			t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
		}
		if n := len(got.net.Questions()) + len(got.net.Connections()); n != 0 {
			t.Errorf("%d questions and connections", n)
		}
		if after := newest(t, db); after.ID != before.ID {
			t.Errorf("run %d was stored", after.ID)
		}
		got = attempt{args: []string{"rejudge", "7"}, db: db}.in(w)
		if got.code != exitUsage {
			t.Errorf("a run that is not there: exit %d", got.code)
		}
		checkError(t, got.err)
	})
}
