package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"mailaudit/internal/lab"
	"mailaudit/internal/store"
)

func mustWrite(t testing.TB, path string, data []byte) {
	t.Helper()
	err := os.WriteFile(path, data, 0o600)
	if err != nil {
		t.Fatal(err)
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// execSQL changes a file as another program would.
func execSQL(t testing.TB, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file://"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		_, err = db.Exec(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	err = db.Close()
	if err != nil {
		t.Fatal(err)
	}
}

// mustAudit makes a run that succeeds.
func mustAudit(t testing.TB, w *lab.World, db string, args ...string) {
	t.Helper()
	got := attempt{args: append([]string{"audit"}, args...), db: db}.in(w)
	if got.code != exitOK || got.err != "" {
		t.Fatalf("audit %v: exit %d\n%s%s", args, got.code, got.out, got.err)
	}
}

// Ensure a history that cannot be used is noticed before the first packet, is
// exit code 4, and is left as it was, octet for octet.
func TestUnusableHistory(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, w *lab.World, path string)
		want string
	}{
		{"no SQLite", func(t *testing.T, _ *lab.World, path string) {
			mustWrite(t, path, bytes.Repeat([]byte("words\n"), 1000))
		}, `history\.db is not an SQLite database\n.*--db FILE`},
		{"one octet", func(t *testing.T, _ *lab.World, path string) { mustWrite(t, path, []byte("x")) }, `is not an SQLite database`},
		{"of another program", func(t *testing.T, _ *lab.World, path string) {
			execSQL(t, path, "CREATE TABLE bookmarks (url)", "INSERT INTO bookmarks VALUES ('x')")
		}, `is an SQLite database of another program\n.*--db FILE`},
		{"newer", func(t *testing.T, w *lab.World, path string) {
			mustAudit(t, w, path, "example.org")
			execSQL(t, path, "PRAGMA user_version = 99")
		}, `written by a newer mailaudit .*left untouched\n.*upgrade`},
		{"damaged", func(t *testing.T, w *lab.World, path string) {
			mustAudit(t, w, path, "example.org")
			data := mustRead(t, path)
			copy(data[100:4000], bytes.Repeat([]byte{0xa5}, 3900))
			mustWrite(t, path, data)
		}, `is damaged\n.*backup`},
	} {
		for _, args := range [][]string{
			{"audit", "example.org"}, {"runs"}, {"show", "example.org"}, {"show", "1"}, {"diff"}, {"db", "check"},
			{"note", "1"}, {"note", "1", "text"}, {"db", "backup", "BESIDE/copy.db"}, {"db", "prune", "--keep-last", "1"}, {"db", "migrate"},
		} {
			t.Run(c.name+"/"+strings.Join(args, " "), func(t *testing.T) {
				inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
					path := filepath.Join(t.TempDir(), "history.db")
					c.make(t, w, path)
					before := mustRead(t, path)
					args := slices.Clone(args)
					for i := range args {
						args[i] = strings.ReplaceAll(args[i], "BESIDE", filepath.Dir(path))
					}
					got := attempt{args: args, db: path}.in(w)
					checkBroken(t, got, c.want)
					if audits := args[0] == "audit"; strings.Contains(got.err, "--no-save") != audits {
						t.Errorf("only audits can do without a history: %s", got.err)
					}
					if !bytes.Equal(before, mustRead(t, path)) {
						t.Error("the file has changed")
					}
					checkFiles(t, filepath.Dir(path), "history.db")
				})
			})
		}
	}
}

// checkBroken proves exit code 4 with one error, and that nothing was sent.
func checkBroken(t *testing.T, got outcome, want string) {
	t.Helper()
	if got.code != exitBroken || got.out != "" {
		t.Errorf("exit %d, stdout %q", got.code, got.out)
	}
	checkError(t, got.err)
	checkSilence(t, got.net)
	if !regexp.MustCompile(want).MatchString(got.err) {
		t.Errorf("stderr does not match %s:\n%s", want, got.err)
	}
}

// Ensure what is no file at all is refused likewise.
func TestHistoryThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "file"), nil)
	type c struct{ path, want string }
	cases := []c{
		{dir, `is a directory, not a history file\n.*history\.db`},
		{filepath.Join(dir, "file", "history.db"), `cannot be used|not a directory|no permission`},
	}
	if runtime.GOOS != "windows" {
		cases = append(cases, c{"/dev/null", `is not a regular file`})
	}
	if runtime.GOOS == "linux" { // a file system that nobody can write to, root included
		cases = append(cases, c{"/proc/mailaudit/history.db", `/proc`}, c{"/sys/mailaudit.db", `/sys`})
	}
	for _, x := range cases {
		t.Run(x.path, func(t *testing.T) {
			inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
				checkBroken(t, attempt{args: []string{"audit", "example.org", "--db", x.path}}.in(w), x.want)
				got := attempt{args: []string{"audit", "example.org", "--db", x.path, "--no-save"}}.in(w)
				if got.code != exitOK || got.err != "" {
					t.Errorf("with --no-save: exit %d\n%s", got.code, got.err)
				}
			})
		})
	}
}

// Ensure a history that another program keeps locked is waited for, and then
// reported before anything is sent. This takes the five seconds that it takes,
// once for all ways to lock.
func TestLockedHistory(t *testing.T) {
	t.Parallel()
	w, err := lab.ParseWorld(t.Name(), []byte(plainWorld))
	if err != nil {
		t.Fatal(err)
	}
	w.Rebase(time.Now())
	type locked struct {
		path   string
		unlock func()
		got    outcome
	}
	var all []*locked
	for _, statements := range []string{
		"BEGIN IMMEDIATE", // a writer
		"PRAGMA locking_mode=EXCLUSIVE;BEGIN EXCLUSIVE;CREATE TABLE x (y);COMMIT", // for itself alone
		"", // the same while the file is empty still
	} {
		x := &locked{path: filepath.Join(t.TempDir(), "history.db")}
		if statements == "" {
			mustWrite(t, x.path, nil)
			statements = "BEGIN EXCLUSIVE"
		} else {
			mustAudit(t, w, x.path, "example.org")
		}
		x.unlock = lockByOther(t, x.path, statements)
		all = append(all, x)
	}
	var wg sync.WaitGroup
	for _, x := range all {
		wg.Go(func() { x.got = attempt{args: []string{"audit", "example.org"}, db: x.path}.in(w) })
	}
	wg.Wait()
	for _, x := range all {
		checkBroken(t, x.got, `history\.db has been locked by another program for more than 5 s\n.*--no-save`)
		x.unlock()
		mustAudit(t, w, x.path, "example.org") // and now it works
	}
}

// lockByOther has another process run statements on a file and keep what they
// lock until the returned function is called.
func lockByOther(t *testing.T, path, statements string) func() {
	t.Helper()
	lock := child(t, "lock", []string{"MAILAUDIT_TEST_SQL=" + statements}, path)
	stdin, err := lock.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := lock.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = lock.Start()
	if err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if said != "locked\n" {
		t.Fatalf("the other program says %q (%v)", said, err)
	}
	return func() {
		t.Helper()
		_ = stdin.Close() // that ends it
		err := lock.Wait()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Ensure the name of a history may have any characters that a file may have.
func TestOddNamesOfHistories(t *testing.T) {
	names := []string{"with blank.db", "100%41.db", "a#b.db", "ünïcode.db", "-x.db", "a=b,c.db", "file:x.db"}
	if runtime.GOOS != "windows" {
		names = append(names, "what?mode=memory&x=y.db", "back\\slash.db", "quote'\".db", "line\nend.db", "esc\x1b[31m.db", "\xff.db")
	}
	for _, name := range names {
		inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			mustAudit(t, w, path, "example.org")
			for _, args := range []string{"runs", "show 1", "db check", "db path"} {
				got := attempt{args: strings.Fields(args), db: path}.in(w)
				if got.code != exitOK || got.err != "" || got.out == "" || strings.Contains(got.out, "\x1b") || !utf8.ValidString(got.out) {
					t.Errorf("%q, %s: exit %d\n%s%s", name, args, got.code, got.out, got.err)
				}
			}
			checkFiles(t, dir, name)
			execSQL(t, path, "PRAGMA user_version = 99") // and an error about it is readable
			checkBroken(t, attempt{args: []string{"audit", "example.org"}, db: path}.in(w), `newer mailaudit`)
		})
	}
}

// Ensure commands that read say what is there where there is no history, or
// nothing in it, and that they make no file.
func TestNoHistory(t *testing.T) {
	for _, c := range []struct {
		args       []string
		code       int // of a history without runs
		empty, err string
	}{
		{[]string{"runs"}, exitOK, "no runs\n", ""},
		{[]string{"runs", "example.org"}, exitOK, "no runs\n", ""},
		{[]string{"runs", "--tag", "x"}, exitOK, "no runs\n", ""},
		{[]string{"show", "1"}, exitUsage, "", `no run 1: the history is empty\n.*mailaudit audit`},
		{[]string{"show", "example.org"}, exitUsage, "", `no complete run of example\.org`},
		{[]string{"diff"}, exitUsage, "", `no complete run in the history yet\n.*mailaudit audit`},
		{[]string{"diff", "1", "2"}, exitUsage, "", `no run 1`},
		{[]string{"diff", "example.org"}, exitUsage, "", `no complete run of example\.org`},
		{[]string{"db", "check"}, exitOK, "", ""},
		{[]string{"note", "1"}, exitUsage, "", `no run 1: the history is empty`},
		{[]string{"note", "1", "text"}, exitUsage, "", `no run 1: the history is empty`},
		{[]string{"note", "example.org", "text"}, exitUsage, "", `no complete run of example\.org`},
		{[]string{"db", "prune", "--keep-last", "1"}, exitOK, "empty.db: nothing to remove\n", ""},
		{[]string{"db", "prune", "--keep-last", "1", "--dry-run"}, exitOK, "empty.db: nothing to remove\n", ""},
		{[]string{"db", "prune", "--keep-last", "1", "--target", "example.org"}, exitUsage, "", `no run of example\.org in the history\n.*mailaudit runs`},
		{[]string{"db", "migrate"}, exitOK, "empty.db is up to date (version 2)\n", ""},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
				dir := t.TempDir()
				missing := attempt{args: c.args, db: filepath.Join(dir, "sub", "missing.db")}.in(w)
				checkBroken(t, missing, `there is no history yet at .*missing\.db\n.*mailaudit audit DOMAIN begins one`)
				checkFiles(t, dir)

				path := filepath.Join(dir, "empty.db")
				mustWrite(t, path, nil)
				checkBroken(t, attempt{args: c.args, db: path}.in(w), `there is no history yet`)

				db, err := store.Open(context.Background(), path) // a history without runs
				if err == nil {
					err = db.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
				got := attempt{args: c.args, db: path}.in(w)
				if got.code != c.code || !strings.Contains(got.out, c.empty) || c.code != exitOK && got.out != "" {
					t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
				}
				if c.code != exitOK {
					checkError(t, got.err)
				}
				if !regexp.MustCompile(c.err).MatchString(got.err) {
					t.Errorf("stderr does not match %s:\n%s", c.err, got.err)
				}
			})
		})
	}
}

// Ensure runs that are not there, or that cannot be compared, are wrong
// command lines.
func TestUnknownRuns(t *testing.T) {
	inWorld(t, plainWorld+"-- server 192.0.2.26:25 mx.other.example --\n", func(t *testing.T, w *lab.World) {
		err := w.Change(lab.Change{Edits: mustEdits(t, "other.example. MX 10 mx.example.org.")})
		if err != nil {
			t.Fatal(err)
		}
		db := filepath.Join(t.TempDir(), "history.db")
		mustAudit(t, w, db, "example.org")
		mustAudit(t, w, db, "other.example")
		for _, c := range []struct {
			args string
			want string
		}{
			{"show 3", `there is no run 3; the newest is 2\n.*mailaudit runs`},
			{"show 0", `there is no run 0`},
			{"show 99999999999999999999", `.`},
			{"show -- -1", `.`},
			{"show nothing.example", `no complete run of nothing\.example`},
			{"show user@", `no domain after the @`},
			{"diff 1 3", `there is no run 3`},
			{"diff 3 1", `there is no run 3`},
			{"diff 1 2", `runs 1 and 2 are about different domains: example\.org and other\.example\n.*mailaudit runs other\.example`},
			{"diff example.org other.example", `different domains`},
			{"diff 1", `run 1 is the first one of example\.org`},
			{"diff example.org", `run 1 is the first one of example\.org`},
			{"diff", `run 2 is the first one of other\.example`},
		} {
			got := attempt{args: strings.Fields(c.args), db: db}.in(w)
			if got.code != exitUsage || got.out != "" || !regexp.MustCompile(c.want).MatchString(got.err) {
				t.Errorf("%s: exit %d, want stderr to match %s\n%s%s", c.args, got.code, c.want, got.out, got.err)
			}
			checkError(t, got.err)
			checkSilence(t, got.net)
		}
	})
}

// mustEdits parses zone lines as a change section has them.
func mustEdits(t *testing.T, lines string) []lab.Edit {
	t.Helper()
	w, err := lab.ParseWorld("edits", []byte("# Edits.\nat 2026-11-23T12:00:00Z\n-- run --\nmailaudit version\nexit 0\n-- change --\n"+lines+"\n-- run --\nmailaudit version\nexit 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	return w.Runs[1].Before[0].Edits
}
