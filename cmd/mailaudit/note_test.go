package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// Ensure a note is kept as it was typed, shown wherever its run is, and
// replaced and taken away; and that nothing else of the run changes.
func TestNote(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		mustAudit(t, w, db, "example.org")
		mustAudit(t, w, db, "example.org", "--note", "before the <b>move</b> & after")
		say := func(args ...string) string {
			t.Helper()
			return attempt{args: args, db: db}.must(t, w)
		}
		for _, c := range []struct{ words, want string }{
			{"runs", "note: before the <b>move</b> & after\n"},
			{"show 2", "\nnote: before the <b>move</b> & after\n"},
			{"show 2 -f md", "- Note: before the `<b>move</b>` & after\n"},
			{"show 2 -f html", "<dt>Note</dt><dd><bdi>before the &lt;b&gt;move&lt;/b&gt; &amp; after</bdi></dd>"},
			{"note 2", "before the <b>move</b> & after\n"},
		} {
			if out := say(strings.Fields(c.words)...); !strings.Contains(out, c.want) {
				t.Errorf("%s: no %q in\n%s", c.words, c.want, out)
			}
		}
		for _, words := range []string{"runs -f json", "show 2 -f json", "show 2 -f jsonl"} {
			if got := notesIn(t, say(strings.Fields(words)...)); len(got) == 0 || got[0] != "before the <b>move</b> & after" {
				t.Errorf("%s: %q", words, got)
			}
		}
		if out := say("note", "1"); out != "" {
			t.Errorf("a run without a note: %q", out)
		}
		before := newest(t, db)
		for _, c := range []struct {
			args []string
			out  string
			note string
		}{
			{[]string{"note", "2", "two\nlines \x1b[31m ü"}, `run 2 of example.org: note: two\u{000A}lines \u{001B}[31m ü` + "\n", "two\nlines \x1b[31m ü"},
			{[]string{"note", "example.org", "several", "words", "--db", db}, "run 2 of example.org: note: several words\n", "several words"},
			{[]string{"note", "2", "--", "--limit", "-1"}, "run 2 of example.org: note: --limit -1\n", "--limit -1"},
			{[]string{"note", "2", strings.Repeat("n", 1000)}, "run 2 of example.org: note: " + strings.Repeat("n", 1000) + "\n", strings.Repeat("n", 1000)},
			{[]string{"note", "2", ""}, "run 2 of example.org: the note is gone; it was: " + strings.Repeat("n", 1000) + "\n", ""},
			{[]string{"note", "2", ""}, "run 2 of example.org: there was no note\n", ""},
		} {
			if out := say(c.args...); out != c.out {
				t.Errorf("%q: %q, want %q", c.args, out, c.out)
			}
			if run := newest(t, db); run.Note != c.note {
				t.Errorf("%q: the note is %q", c.args, run.Note)
			}
		}
		after := newest(t, db)
		after.Note = before.Note
		is, was := mustJSON(t, after), mustJSON(t, before)
		if is != was {
			t.Errorf("the run is another one:\n%s\n%s", is, was)
		}
		got := attempt{args: []string{"note", "7", "x"}, db: db}.in(w)
		if got.code != exitUsage || !strings.Contains(got.err, "there is no run 7; the newest is 2\n") {
			t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
		}
	})
}

func mustJSON(t *testing.T, run *audit.Run) string {
	t.Helper()
	data, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// notesIn reads the notes of a list or of reports.
func notesIn(t *testing.T, doc string) []string {
	t.Helper()
	type noted struct{ Note string }
	var one struct {
		noted
		Runs []noted
	}
	err := json.Unmarshal([]byte(doc), &one)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range append(one.Runs, one.noted) {
		if r.Note != "" {
			out = append(out, r.Note)
		}
	}
	return out
}

// Ensure smtp has notes, too, and that one with --no-save is shown at least.
func TestNoteOfServer(t *testing.T) {
	inWorld(t, examplesWorld, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		got := attempt{args: []string{"smtp", "mail.example.org:587", "--note", "a server", "--fail-on", "never"}, db: db}.in(w)
		if got.code != exitOK || !strings.Contains(got.out, "\nnote: a server\n") || newest(t, db).Note != "a server" {
			t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
		}
		got = attempt{args: []string{"audit", "example.org", "--only", "mx", "--note", "unsaved", "--no-save"}}.in(w)
		if got.code != exitOK || !strings.Contains(got.out, "\nnote: unsaved\n") {
			t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
		}
	})
}

// Ensure that where no run of a domain is complete, the error names the newest
// one and what to do.
func TestNoCompleteRun(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		mustAudit(t, w, db, "example.org", "--only", "mx")
		mustAudit(t, w, db, "example.org", "--only", "mx")
		execSQL(t, db, "UPDATE runs SET state = 'aborted' WHERE id = 1",
			"UPDATE runs SET state = 'running', finished = NULL, facts = NULL, past = NULL, layout = NULL, score = NULL, at = NULL WHERE id = 2")
		for _, c := range []struct{ sql, want string }{
			{"UPDATE runs SET started = '2026-11-01T00:00:00.000Z' WHERE id = 2", "run 2, the newest, was interrupted\n  mailaudit show 2 shows what there is of it; mailaudit audit example.org makes another\n"},
			{"UPDATE runs SET started = '2026-11-23T11:59:00.000Z', host = 'elsewhere' WHERE id = 2", "run 2, the newest, is still going on\n"},
			{"DELETE FROM runs WHERE id = 2", "run 1, the newest, was stopped before its end\n  mailaudit show 1 "},
		} {
			execSQL(t, db, c.sql)
			for _, args := range []string{"show example.org", "report example.org", "rejudge example.org", "note example.org", "diff example.org"} {
				got := attempt{args: strings.Fields(args), db: db}.in(w)
				if got.code != exitUsage || got.out != "" || !strings.Contains(got.err, "mailaudit: there is no complete run of example.org in the history; "+c.want) {
					t.Errorf("%s: exit %d\n%s%s", args, got.code, got.out, got.err)
				}
				checkError(t, got.err)
			}
			attempt{args: []string{"show", c.want[4:5]}, db: db}.must(t, w) // what the hint says
		}
		for target, want := range map[string]string{"example.net": "mailaudit audit example.net makes one", "[2001:db8::1]:25": "mailaudit smtp '[2001:db8::1]:25' makes one"} {
			got := attempt{args: []string{"show", target}, db: db}.in(w)
			if got.code != exitUsage || !strings.Contains(got.err, want) {
				t.Errorf("%s: exit %d\n%s%s", target, got.code, got.out, got.err)
			}
		}
	})
}
