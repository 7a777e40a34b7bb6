package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/lab"
)

// nights makes a run a day, the last one now. In a world time is a fake.
func nights(t *testing.T, w *lab.World, db string, n int, args ...string) {
	t.Helper()
	for i := range n {
		if i > 0 {
			time.Sleep(24 * time.Hour)
		}
		mustAudit(t, w, db, append([]string{"example.org", "--only", "mx"}, args...)...)
	}
}

// dbCommand runs a command that must go well and says something of one line
// or more.
func (a attempt) must(t *testing.T, w *lab.World) string {
	t.Helper()
	got := a.in(w)
	if got.code != exitOK || got.err != "" {
		t.Fatalf("%v: exit %d\n%s%s", a.args, got.code, got.out, got.err)
	}
	checkSilence(t, got.net)
	return got.out
}

// Ensure a backup is a history like the one it is of, that it is private, and
// that it overwrites nothing.
func TestBackup(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		dir := t.TempDir()
		db, to := filepath.Join(dir, "history.db"), filepath.Join(dir, "copy \x1b[31m.db")
		nights(t, w, db, 3)
		out := attempt{args: []string{"db", "backup", to}, db: db}.must(t, w)
		st, err := os.Stat(to)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%s/copy \\u{001B}[31m.db is a copy of %s (%d bytes)\n", dir, db, st.Size())
		if out != want || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %q, want %q", st.Mode(), out, want)
		}
		for _, args := range []string{"runs", "show 3", "diff"} {
			is := attempt{args: strings.Fields(args), db: to}.must(t, w)
			if was := (attempt{args: strings.Fields(args), db: db}).must(t, w); is != was {
				t.Errorf("%s of the copy:\n%s\nof the original:\n%s", args, is, was)
			}
		}
		for _, c := range []struct {
			to, want string
			code     int
		}{
			{to, `copy .* exists already, and a backup overwrites nothing\n`, exitUsage},
			{db, `history\.db exists already`, exitUsage},
			{dir, `exists already`, exitUsage},
			{filepath.Join(dir, "missing", "copy.db"), `the backup .*copy\.db cannot be written: no such file or directory\n  name a file elsewhere\n$`, exitBroken},
			{filepath.Join(db, "copy.db"), `the backup .* cannot be written: not a directory\n`, exitBroken},
		} {
			before := mustRead(t, to)
			got := attempt{args: []string{"db", "backup", c.to}, db: db}.in(w)
			if got.code != c.code || got.out != "" || !regexp.MustCompile(c.want).MatchString(got.err) {
				t.Errorf("to %s: exit %d\n%s%s", c.to, got.code, got.out, got.err)
			}
			checkError(t, got.err)
			if !bytes.Equal(before, mustRead(t, to)) {
				t.Errorf("to %s: the first copy has changed", c.to)
			}
		}
		checkFiles(t, dir, "history.db", filepath.Base(to))
	})
}

// Ensure prune removes what it says and nothing in a dry run, which says the
// same, and that what stays reads as before.
func TestPrune(t *testing.T) {
	for _, c := range []struct {
		args, removed string // the runs, as they are told
		left          []string
	}{
		{"--keep-last 3", "runs 1-7", []string{"8", "9", "10"}},
		{"--keep-last 9", "run 1", []string{"2", "10"}},
		{"--keep-last 99", "", []string{"1", "10"}},
		{"--older-than 5d", "runs 1-4", []string{"5", "10"}}, // five days old to the second: not older
		{"--older-than 36h", "runs 1-8", []string{"9", "10"}},
		{"--older-than 1w --keep-last 8", "runs 1-2", []string{"3", "10"}},
		{"--older-than 90d", "", []string{"1", "10"}},
		{"--before 2026-11-25", "runs 1-2", []string{"3", "10"}},
		{"--before 2026-11-25T12:00:00Z", "runs 1-2", []string{"3", "10"}},
		{"--before 2026-11-25T14:00:00+01:00", "runs 1-3", []string{"4", "10"}},
		{"--keep-last 1 --target example.org", "runs 1-9", []string{"10"}},
		{"--keep-last 1 --target EXAMPLE.org.", "runs 1-9", []string{"10"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
				db := filepath.Join(t.TempDir(), "history.db")
				nights(t, w, db, 10, "--vantage", "here")
				lists := attempt{args: []string{"runs"}, db: db}.must(t, w)
				last := attempt{args: []string{"show", "10"}, db: db}.must(t, w)
				would := attempt{args: append([]string{"db", "prune", "--dry-run"}, strings.Fields(c.args)...), db: db}.must(t, w)
				if again := (attempt{args: []string{"runs"}, db: db}).must(t, w); again != lists {
					t.Errorf("a dry run leaves\n%s", again)
				}
				did := attempt{args: append([]string{"db", "prune"}, strings.Fields(c.args)...), db: db}.must(t, w)
				wantWould, wantDid := "PATH: nothing to remove\n", "PATH: nothing to remove\n"
				if c.removed != "" {
					from := fmt.Sprintf("%-40s%s\n", "example.org from here", c.removed)
					wantWould = from + `PATH: would remove N, and free B bytes; nothing was removed` + "\n"
					wantDid = from + `PATH: removed N; (B bytes of the file are free for new ones|the file is B bytes smaller)` + "\n"
				}
				for got, want := range map[string]string{would: wantWould, did: wantDid} {
					want = strings.NewReplacer("PATH", regexp.QuoteMeta(db), "N", `\d+ runs?`, "B", `\d+`).Replace(want)
					if !regexp.MustCompile(`^` + want + `$`).MatchString(got) {
						t.Errorf("%q, want %s", got, want)
					}
				}
				left := attempt{args: []string{"runs"}, db: db}.must(t, w)
				for _, id := range c.left {
					if !regexp.MustCompile(`(?m)^` + id + ` `).MatchString(left) {
						t.Errorf("run %s is gone:\n%s", id, left)
					}
				}
				if n := strings.Count(left, "example.org"); c.removed != "" && regexp.MustCompile(`(?m)^1 `).MatchString(left) || n == 0 {
					t.Errorf("%d runs are left:\n%s", n, left)
				}
				again := attempt{args: []string{"show", "10"}, db: db}.must(t, w)
				if c.left[0] == "10" { // there is nothing left to compare it with; its verdicts keep their age
					last = strings.Replace(last, "SINCE run 9 (1 Dec 2026 12:00, same vantage, same rules)\n  nothing changed\n\n", "", 1)
				}
				if again != last || strings.Count(last, ", since 23 Nov 2026") != 2 {
					t.Errorf("run 10 reads otherwise:\n%s\nbefore:\n%s", again, last)
				}
				attempt{args: []string{"db", "check"}, db: db}.must(t, w)
			})
		})
	}
}

// Ensure only runs of the target go that is named, and that it must be known.
func TestPruneTarget(t *testing.T) {
	inWorld(t, examplesWorld, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		for range 3 {
			mustAudit(t, w, db, "example.org", "example.net", "--only", "mx", "--parallel", "1")
			time.Sleep(24 * time.Hour)
		}
		got := attempt{args: strings.Fields("db prune --keep-last 1 --target example.com"), db: db}.in(w)
		if got.code != exitUsage || !strings.Contains(got.err, "there is no run of example.com in the history\n") {
			t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
		}
		out := attempt{args: strings.Fields("db prune --keep-last 1 --target example.net"), db: db}.must(t, w)
		if !strings.HasPrefix(out, fmt.Sprintf("%-40sruns 2, 4\n", "example.net from probe.example.net")) || !strings.Contains(out, ": removed 2 runs; ") {
			t.Errorf("%s", out)
		}
	})
}

// oldHistory is a history of version 1.
func oldHistory(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.db")
	execSQL(t, path, string(mustRead(t, "../../internal/store/testdata/frozen/v1.sql")))
	err := os.Chmod(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Ensure a history of an older version is read as it is, brought up by what
// writes and by migrate, with a copy kept, and by no dry run.
func TestOldHistory(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		path := oldHistory(t)
		before := mustRead(t, path)
		for _, args := range []string{"runs", "show 2", "note 2", "db check", "db backup " + path + ".copy"} {
			attempt{args: strings.Fields(args), db: path}.must(t, w)
			if !bytes.Equal(before, mustRead(t, path)) {
				t.Fatalf("%s changes the file", args)
			}
		}
		checkBroken(t, attempt{args: strings.Fields("db prune --keep-last 1 --dry-run"), db: path}.in(w),
			`history\.db is of an older version, and a dry run does not bring it up to date\n  mailaudit db migrate does`)
		if !bytes.Equal(before, mustRead(t, path)) {
			t.Fatal("a dry run changes the file")
		}
		checkFiles(t, filepath.Dir(path), "history.db", "history.db.copy")

		copied := path + ".v1.bak"
		for _, want := range []string{path + " was brought from version 1 to 2; as it was before, it is kept in " + copied + "\n", path + " is up to date (version 2)\n"} {
			if out := (attempt{args: []string{"db", "migrate"}, db: path}).must(t, w); out != want {
				t.Errorf("%q, want %q", out, want)
			}
		}
		checkFiles(t, filepath.Dir(path), "history.db", "history.db.copy", "history.db.v1.bak")
		attempt{args: []string{"db", "check"}, db: copied}.must(t, w)
		attempt{args: []string{"note", "2", "new"}, db: path}.must(t, w)
	})
	for _, args := range []string{"note 2 text", "db prune --keep-last 1"} {
		inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
			path := oldHistory(t)
			got := attempt{args: strings.Fields(args), db: path}.in(w)
			want := "mailaudit: " + path + " was brought from version 1 to 2; as it was before, it is kept in " + path + ".v1.bak\n"
			if got.code != exitOK || got.err != want || got.out == "" {
				t.Errorf("%s: exit %d\n%s%s", args, got.code, got.out, got.err)
			}
		})
	}
}
