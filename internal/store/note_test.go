package store

import (
	"context"
	"errors"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

func mustNote(t testing.TB, db *DB, run int64, text string) {
	t.Helper()
	err := db.SetNote(context.Background(), run, text)
	if err != nil {
		t.Fatalf("note: %v", err)
	}
}

// noteOf is the note of a run, which Run and Runs must agree on.
func noteOf(t testing.TB, db *DB, id int64) string {
	t.Helper()
	run, err := db.Run(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := db.Runs(context.Background(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if i.ID == id && i.Note != run.Note {
			t.Errorf("Runs says %q and Run %q", i.Note, run.Note)
		}
	}
	return run.Note
}

// A note is kept octet for octet, replaced and taken away, on a run of any
// state, and outlives the end of the run.
func TestNote(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	mustStore(t, db, night{}.run(t))
	mustStore(t, db, night{day: 1, state: audit.Aborted}.run(t))
	running := night{day: 2}.run(t)
	mustBegin(t, db, running)
	for id := int64(1); id <= 3; id++ {
		for _, text := range []string{"für alle Fälle", "a\nb\t\x1b[31m\u202e \\xFF '; DROP TABLE runs", strings.Repeat("é", MaxNote/2), "", "last"} {
			mustNote(t, db, id, text)
			if got := noteOf(t, db, id); got != text {
				t.Errorf("run %d: %q came back as %q", id, text, got)
			}
		}
	}
	mustFinish(t, db, running)
	if got := noteOf(t, db, 3); got != "last" {
		t.Errorf("Finish made %q of the note", got)
	}
	mustClean(t, db)
}

func TestNoteRefuses(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	for day := range 3 {
		mustStore(t, db, night{day: day}.run(t))
	}
	mustNote(t, db, 3, "before")
	mustPrune(t, db, Prune{KeepLast: 1}) // run 1 leaves a bare row
	cases := []struct {
		why  string
		run  int64
		text string
		want string
	}{
		{"too long", 3, strings.Repeat("é", 501), "a note has at most 1000 bytes; this one has 1002"},
		{"no text", 3, "\xff", "a note is text in UTF-8 without zero bytes"},
		{"cut off", 3, "a\x00b", "a note is text in UTF-8 without zero bytes"},
		{"no such run", 4, "x", "there is no run 4; the newest is 3"},
		{"a pruned run", 1, "x", "there is no run 1; the newest is 3"},
	}
	for _, c := range cases {
		err := db.SetNote(ctx, c.run, c.text)
		var input *audit.InputError
		if !errors.As(err, &input) || input.Problem != c.want || input.Hint == "" {
			t.Errorf("%s: %v", c.why, err)
		}
	}
	if got := noteOf(t, db, 3); got != "before" {
		t.Errorf("the note is %q", got)
	}
	run := night{day: 9}.run(t)
	run.Note = "\xff"
	err := db.Begin(ctx, run)
	var input *audit.InputError
	if !errors.As(err, &input) {
		t.Errorf("Begin with such a note: %v", err)
	}
}
