package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

func mustBackup(t testing.TB, db *DB, path string) {
	t.Helper()
	err := db.Backup(context.Background(), path)
	if err != nil {
		t.Fatalf("backup: %v", err)
	}
}

// A backup is a history: whole, sound, of mode 0600, and one can go on with it.
// It does not matter how the original was opened, nor what the copy is called.
func TestBackup(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	storeNights(t, path, night{}, night{day: 1}, night{day: 2, drift: 1}, night{day: 3, state: audit.Aborted})
	writer := mustOpen(t, path)
	mustBegin(t, writer, night{day: 4}.run(t))
	mustNote(t, writer, 1, "a note")
	late, err := OpenRead(ctx, path) // beside the log
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, late)
	want := contents(t, writer.sql)
	for name, db := range map[string]*DB{"copy.db": writer, "file:x?mode=memory.db": writer, "it's.db": late} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, "?:") {
			continue
		}
		to := filepath.Join(t.TempDir(), name)
		mustBackup(t, db, to)
		if m := modeOf(t, to); m != fileMode && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %04o", name, m)
		}
		if names := list(t, filepath.Dir(to)); len(names) != 1 {
			t.Errorf("%s came with %v", name, names)
		}
		copied := mustOpen(t, to)
		if got := contents(t, copied.sql); !slices.Equal(got, want) {
			t.Errorf("%s holds something else than the original", name)
		}
		mustClean(t, copied)
		mustStore(t, copied, night{day: 5}.run(t))
		mustClean(t, copied)
	}
}

// A relative path is a file, whatever SQLite makes of such names.
func TestBackupRelative(t *testing.T) {
	path := tempFile(t)
	storeNights(t, path, night{})
	db := mustOpen(t, path)
	dir := t.TempDir()
	t.Chdir(dir)
	names := []string{"copy.db", "file:x.db", ":memory:"}
	if runtime.GOOS == "windows" {
		names = names[:1]
	}
	for _, name := range names {
		mustBackup(t, db, name)
	}
	slices.Sort(names)
	if got := list(t, dir); !slices.Equal(got, names) {
		t.Errorf("there are %q", got)
	}
	for _, name := range names {
		mustClean(t, mustOpen(t, filepath.Join(dir, name)))
	}
}

// A reader that was told that the file does not change copies all the same
// what a writer has brought meanwhile.
func TestBackupOfFrozen(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	storeNights(t, path, night{})
	reader, err := OpenRead(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, reader)
	if reader.frozen == nil {
		t.Fatal("it was not opened as unchanging")
	}
	writer := mustOpen(t, path)
	mustStore(t, writer, night{day: 1}.run(t)) // is in the log alone
	to := filepath.Join(t.TempDir(), "copy.db")
	mustBackup(t, reader, to)
	copied := mustOpen(t, to)
	infos, err := copied.Runs(ctx, Filter{})
	if err != nil || len(infos) != 2 {
		t.Errorf("%d runs, want 2 (%v)", len(infos), err)
	}
}

func TestBackupRefuses(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	dir := t.TempDir()
	taken, dangling := filepath.Join(dir, "taken"), filepath.Join(dir, "dangling")
	writeFile(t, taken, []byte("precious"))
	err := os.Symlink(filepath.Join(dir, "nowhere"), dangling)
	if err != nil {
		t.Skip("no symbolic links here:", err)
	}
	for _, path := range []string{taken, dangling, db.Path()} {
		err := db.Backup(ctx, path)
		var input *audit.InputError
		if !errors.As(err, &input) || input.Problem != path+" exists already, and a backup overwrites nothing" {
			t.Errorf("%s: %v", path, err)
		}
	}
	err = db.Backup(ctx, filepath.Join(dir, "no", "copy.db"))
	var e *Error
	if !errors.As(err, &e) || e.Problem != "the backup "+filepath.Join(dir, "no", "copy.db")+" cannot be written: no such file or directory" {
		t.Errorf("into no directory: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	err = db.Backup(canceled, filepath.Join(dir, "canceled"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if names := list(t, dir); len(names) != 2 || string(readFile(t, taken)) != "precious" {
		t.Errorf("there are %v", names)
	}
}

// Of two backups that want one name, one gets it, whole.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	a, b, name := filepath.Join(dir, "a.tmp"), filepath.Join(dir, "b.tmp"), filepath.Join(dir, "copy.db")
	writeFile(t, a, []byte("a"))
	writeFile(t, b, []byte("b"))
	err := publish(a, name)
	if err != nil {
		t.Fatal(err)
	}
	err = publish(b, name)
	if !errors.Is(err, os.ErrExist) {
		t.Errorf("the second: %v", err)
	}
	if names := list(t, dir); len(names) != 1 || string(readFile(t, name)) != "a" {
		t.Errorf("there are %v", names)
	}
}

// While another process opens, writes and closes the file all the time, every
// backup is sound, and holds what was there before it began.
func TestBackupWhileOthersWrite(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	storeNights(t, path, night{})
	writer := startChild(t, "write", path, "STORE_TEST_REOPEN=1")
	dir := t.TempDir()
	backups, runs := 0, 0
	for start := time.Now(); time.Since(start) < time.Second || backups < 10 || runs < 5; backups++ {
		open := Open
		if backups%2 == 1 {
			open = OpenRead
		}
		db, err := open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		before, err := db.Runs(ctx, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, "copy.db")
		mustBackup(t, db, to)
		mustClose(t, db)
		copied := mustOpen(t, to)
		mustClean(t, copied)
		after, err := copied.Runs(ctx, Filter{})
		if err != nil || len(after) < len(before) {
			t.Fatalf("%d runs in the copy of %d (%v)", len(after), len(before), err)
		}
		runs = len(after)
		err = os.Remove(to)
		if err != nil {
			t.Fatal(err)
		}
	}
	writer.kill(t)
	t.Logf("%d backups; the last has %d runs", backups, runs)
}
