package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

// execFile runs statements on a file as another program would.
func execFile(t testing.TB, path string, statements ...string) {
	t.Helper()
	pool, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(1)
	for _, s := range statements {
		_, err = pool.Exec(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	err = pool.Close()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	err := os.WriteFile(path, data, 0o600)
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unusable makes files that cannot be a history; each says what is told about
// it, with PATH for the path.
func unusable() map[string]struct {
	make           func(t *testing.T, path string)
	problem, hint  string
	readProblem    string // when OpenRead says something else
	brokenByReader bool   // only reading on finds out
} {
	type c = struct {
		make           func(t *testing.T, path string)
		problem, hint  string
		readProblem    string
		brokenByReader bool
	}
	return map[string]c{
		"a directory": {make: func(t *testing.T, path string) {
			err := os.Mkdir(path, 0o700)
			if err != nil {
				t.Fatal(err)
			}
		}, problem: "PATH is a directory, not a history file", hint: "name a file in it: --db PATH/history.db"},
		"no database": {make: func(t *testing.T, path string) { writeFile(t, path, []byte(strings.Repeat("text\n", 2000))) },
			problem: "PATH is not an SQLite database", hint: hintElsewhere},
		"a short file": {make: func(t *testing.T, path string) { writeFile(t, path, []byte("SQLite format 3\x00")) },
			problem: "PATH is not an SQLite database", hint: hintElsewhere},
		"zeros": {make: func(t *testing.T, path string) { writeFile(t, path, make([]byte, 8192)) },
			problem: "PATH is not an SQLite database", hint: hintElsewhere},
		"of another program": {make: func(t *testing.T, path string) { execFile(t, path, "CREATE TABLE t (x)") },
			problem: "PATH is an SQLite database of another program", hint: hintElsewhere},
		"of another program, with an id": {make: func(t *testing.T, path string) {
			execFile(t, path, "PRAGMA application_id = 252006674", "CREATE TABLE runs (x)")
		}, problem: "PATH is an SQLite database of another program", hint: hintElsewhere},
		"newer": {make: func(t *testing.T, path string) {
			storeNights(t, path, night{})
			execFile(t, path, "PRAGMA user_version = 99")
		}, problem: "PATH was written by a newer mailaudit (version 99; this program knows 2); it was left untouched", hint: "upgrade mailaudit, or name another file with --db FILE"},
		"newer, and not in WAL mode": {make: func(t *testing.T, path string) {
			storeNights(t, path, night{})
			execFile(t, path, "PRAGMA journal_mode = DELETE", "PRAGMA user_version = 3")
		}, problem: "PATH was written by a newer mailaudit (version 3; this program knows 2); it was left untouched", hint: "upgrade mailaudit, or name another file with --db FILE"},
		"older than anything": {make: func(t *testing.T, path string) {
			storeNights(t, path, night{})
			execFile(t, path, "PRAGMA user_version = 0")
		}, problem: "PATH has version 0, which this program cannot bring up to 2", hint: "name another file with --db FILE",
			readProblem: "PATH was written by an older mailaudit (version 0; this program reads 1 to 2)"},
		"the first page is damaged": {make: func(t *testing.T, path string) {
			storeNights(t, path, night{})
			data := readFile(t, path)
			for i := 100; i < 4096; i++ {
				data[i] = 0xa5
			}
			writeFile(t, path, data)
		}, problem: "PATH is damaged", hint: hintDamaged},
		"the tables are gone": {make: func(t *testing.T, path string) {
			storeNights(t, path, night{})
			execFile(t, path, "DROP VIEW run_list")
		}, problem: "PATH is damaged: SQL logic error: no such table: run_list (1)", hint: hintDamaged, brokenByReader: true},
	}
}

// Every unusable file gives one clear line and a hint, and is left as it was.
func TestUnusable(t *testing.T) {
	ctx := context.Background()
	for name, c := range unusable() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "h.db")
			c.make(t, path)
			var before []byte
			if name != "a directory" {
				before = readFile(t, path)
			}
			check := func(what string, problem string, open func(context.Context, string) (*DB, error)) {
				db, err := open(ctx, path)
				if err == nil {
					_, err = db.Runs(ctx, Filter{})
					if !c.brokenByReader {
						t.Errorf("%s works", what)
					}
					mustClose(t, db)
				}
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("%s gives %v", what, err)
				}
				if want := strings.ReplaceAll(problem, "PATH", path); e.Problem != want {
					t.Errorf("%s says %q, want %q", what, e.Problem, want)
				}
				if want := strings.ReplaceAll(c.hint, "PATH", path); e.Hint != want && problem == c.problem {
					t.Errorf("%s hints %q, want %q", what, e.Hint, want)
				}
			}
			read := c.problem
			if c.readProblem != "" {
				read = c.readProblem
			}
			check("OpenRead", read, OpenRead)
			check("Open", c.problem, Open)
			if before != nil && string(readFile(t, path)) != string(before) {
				t.Error("the file was changed")
			}
			for _, suffix := range []string{"-journal", "-wal", "-shm"} {
				if exists(path + suffix) {
					t.Errorf("%s was left behind", suffix)
				}
			}
		})
	}
}

// A version that is newer only in the write-ahead log, because the program
// that migrated was killed, is refused as well.
func TestNewerInLog(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	storeNights(t, path, night{})
	newer, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer newer.Close()
	_, err = newer.Exec("PRAGMA user_version = 3")
	if err != nil {
		t.Fatal(err)
	}
	copied := tempFile(t) // as a kill leaves it: the file, and the log beside it
	writeFile(t, copied, readFile(t, path))
	writeFile(t, copied+"-wal", readFile(t, path+"-wal"))
	for what, open := range map[string]func(context.Context, string) (*DB, error){"Open": Open, "OpenRead": OpenRead} {
		_, err = open(ctx, copied)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Problem, "newer mailaudit (version 3;") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A log that cannot be opened, here because it is a directory.
func TestLogCannotBeOpened(t *testing.T) {
	path := tempFile(t)
	storeNights(t, path, night{})
	err := os.Mkdir(path+"-wal", 0o700)
	if err != nil {
		t.Fatal(err)
	}
	for what, open := range map[string]func(context.Context, string) (*DB, error){"Open": Open, "OpenRead": OpenRead} {
		_, err = open(context.Background(), path)
		var e *Error
		if !errors.As(err, &e) || e.Problem != path+" cannot be opened, or its -wal or -shm file cannot" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestLocked(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	opts := current()
	opts.busy = 50 * time.Millisecond
	db, err := open(ctx, path, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, db)
	run := mustStore(t, db, night{}.run(t))
	other, err := db.sql.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.ExecContext(ctx, "BEGIN IMMEDIATE")
	if err != nil {
		t.Fatal(err)
	}
	err = db.Begin(ctx, night{day: 1}.run(t))
	var e *Error
	if !errors.As(err, &e) || e.Problem != path+" has been locked by another program for more than 5 s" || e.Hint != "try again when it has finished" {
		t.Errorf("while another writes: %v", err)
	}
	got, err := db.Run(ctx, run.ID) // readers do not wait
	if err != nil || diffRuns(run, got, true) != "" {
		t.Errorf("reading while another writes: %v", err)
	}
	_, err = other.ExecContext(ctx, "ROLLBACK")
	if err != nil {
		t.Fatal(err)
	}
	err = other.Close()
	if err != nil {
		t.Fatal(err)
	}
	mustStore(t, db, night{day: 1}.run(t))
	mustClean(t, db)
}

// A file that another program holds for itself.
func TestLockedWhole(t *testing.T) {
	path := tempFile(t)
	storeNights(t, path, night{})
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	for _, s := range []string{"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA user_version = 2"} {
		_, err = other.Exec(s)
		if err != nil {
			t.Fatal(err)
		}
	}
	opts := current()
	opts.busy = 50 * time.Millisecond
	_, err = open(context.Background(), path, opts)
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Problem, "has been locked by another program") {
		t.Errorf("got %v", err)
	}
}

// A full disk fails the run that is being stored and nothing else.
func TestDiskFull(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	storeNights(t, path, night{}, night{day: 1}, night{day: 2})
	opts := current()
	opts.maxPages = int(fileSize(t, path)/4096) + 2
	db, err := open(ctx, path, opts)
	if err != nil {
		t.Fatal(err)
	}
	run := night{day: 3, target: "example.net"}.run(t) // new words need new pages
	mustBegin(t, db, run)
	err = db.Finish(ctx, run)
	var e *Error
	if !errors.As(err, &e) || e.Problem != "no space left for "+path+": nothing of this run was stored, what was stored before is intact" {
		t.Fatalf("got %v", err)
	}
	if e.Hint == "" || e.Unwrap() == nil {
		t.Errorf("hint %q, cause %v", e.Hint, e.Unwrap())
	}
	mustClean(t, db)
	mustClose(t, db)

	db = mustOpen(t, path)
	for day := range 3 {
		got, err := db.Run(ctx, int64(day+1))
		if err != nil {
			t.Fatal(err)
		}
		want := night{day: day}.run(t)
		want.ID = int64(day + 1)
		want.Snapshot.Past = got.Snapshot.Past
		if d := diffRuns(want, got, false); d != "" {
			t.Errorf("run %d:\n%s", day+1, d)
		}
	}
	mustFinish(t, db, run) // there is room again
	mustClean(t, db)
}

// A canceled context ends a write without a trace, and is told as it is.
func TestCanceled(t *testing.T) {
	path := tempFile(t)
	db := mustOpen(t, path)
	run := night{}.run(t)
	mustBegin(t, db, run)
	ctx, cancel := context.WithCancel(context.Background())
	db.hook = func(stage string) {
		if stage == "writing" {
			cancel()
		}
	}
	err := db.Finish(ctx, run)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	db.hook = nil
	err = db.Begin(ctx, night{day: 1}.run(t))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Begin: %v", err)
	}
	_, err = db.Runs(ctx, Filter{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Runs: %v", err)
	}
	mustFinish(t, db, run)
	mustClean(t, db)
}

func TestClosed(t *testing.T) {
	ctx := context.Background()
	db, err := Open(ctx, tempFile(t))
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
	_, err = db.Runs(ctx, Filter{})
	if err == nil {
		t.Error("Runs works on a closed history")
	}
	err = db.Begin(ctx, night{}.run(t))
	if err == nil {
		t.Error("Begin works on a closed history")
	}
}

// What passes through explain unchanged, and what the system's errors become.
func TestExplain(t *testing.T) {
	input := &audit.InputError{Problem: "p"}
	known := &Error{Problem: "k"}
	at := func(err error) error { return &fs.PathError{Op: "open", Path: "/x/h.db", Err: err} }
	cases := []struct {
		in   error
		want string
	}{
		{nil, "<nil>"},
		{context.Canceled, "context canceled"},
		{input, "p"},
		{fmt.Errorf("wrapped: %w", known), "k"},
		{errors.New("what"), "history /x/h.db: what"},
		{at(syscall.ENOSPC), "no space left for /x/h.db: nothing of this run was stored, what was stored before is intact"},
		{at(syscall.EISDIR), "/x/h.db is a directory, not a history file"},
		{at(syscall.EACCES), "no permission for /x/h.db"},
		{at(syscall.ENOTDIR), "/x/h.db cannot be used: open /x/h.db: not a directory"},
	}
	for _, c := range cases {
		if got := fmt.Sprint(explain("/x/h.db", c.in)); got != c.want {
			t.Errorf("%v: %q, want %q", c.in, got, c.want)
		}
	}
}
