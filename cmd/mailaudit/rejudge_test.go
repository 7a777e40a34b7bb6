package main

import (
	"path/filepath"
	"strings"
	"testing"

	"mailaudit/internal/lab"
)

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
