package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

// TestMain lets the test binary be its own child, see childModes.
func TestMain(m *testing.M) {
	mode := os.Getenv("STORE_TEST_CHILD")
	if mode == "" {
		os.Exit(m.Run())
	}
	err := childModes()[mode](os.Getenv("STORE_TEST_FILE"))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// childModes are what a child can do with the file it is given.
func childModes() map[string]func(path string) error {
	return map[string]func(path string) error{
		"write":    childWrites,
		"create":   childCreates,
		"readonly": childReads,
		"upgrade":  childUpgrades,
		"prune":    childPrunes,
		"lock":     childLocks,
		"noroom":   childWithoutRoom,
	}
}

func child(t testing.TB, binary, mode, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), "STORE_TEST_CHILD="+mode, "STORE_TEST_FILE="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func modeOf(t testing.TB, path string) os.FileMode {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode().Perm()
}

// The directory is 0700 and all three files are 0600, whatever the umask.
func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	path := filepath.Join(t.TempDir(), "a", "b", "history.db")
	db := mustOpen(t, path)
	mustBegin(t, db, night{}.run(t))
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if m := modeOf(t, dir); m != 0o700 {
			t.Errorf("%s has mode %04o", dir, m)
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if m := modeOf(t, path+suffix); m != 0o600 {
			t.Errorf("%s has mode %04o", path+suffix, m)
		}
	}
	if len(db.Notes()) != 0 {
		t.Errorf("notes: %q", db.Notes())
	}
	if db.Path() != path {
		t.Errorf("path %q", db.Path())
	}
	size, err := db.Size()
	if err != nil || size < 50<<10 { // all of it is still in the log
		t.Errorf("size %d, %v", size, err)
	}
}

func TestNoteOnWideMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	path := tempFile(t)
	storeNights(t, path, night{})
	err := os.Chmod(path, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	db := mustOpen(t, path)
	if want := []string{path + " is open to other users (mode 0644); close it with: chmod 600 " + path}; !slices.Equal(db.Notes(), want) {
		t.Errorf("notes: %q", db.Notes())
	}
	if m := modeOf(t, path); m != 0o644 {
		t.Errorf("the mode was changed to %04o", m)
	}
}

// Pragmas must hold on every connection of the pool, not on the first alone.
func TestPragmas(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	for n := range maxConns {
		conn, err := db.sql.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for pragma, want := range map[string]string{
			"foreign_keys": "1", "busy_timeout": "5000", "journal_mode": "wal", "synchronous": "2", "trusted_schema": "0",
			"application_id": fmt.Sprint(applicationID), "user_version": fmt.Sprint(schemaVersion),
		} {
			var got string
			err = conn.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got)
			if err != nil || got != want {
				t.Errorf("connection %d: %s is %q, want %q (%v)", n, pragma, got, want, err)
			}
		}
	}
}

// Paths are file names, not URLs and not SQLite's special names.
func TestOddPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"with space.db", "a?mode=memory.db", "a#b.db", "50%41.db", "é\u202e.db", ":memory:", "file:x.db", "a&b=c;d'e\"f.db"} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, `?:"`) {
			continue
		}
		path := filepath.Join(dir, name)
		storeNights(t, path, night{})
		if fileSize(t, path) == 0 {
			t.Errorf("%q is empty", name)
		}
		db, err := OpenRead(context.Background(), path)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		mustClose(t, db)
	}
	t.Chdir(dir)
	storeNights(t, "relative.db", night{})
	if fileSize(t, filepath.Join(dir, "relative.db")) == 0 {
		t.Error("a relative path went elsewhere")
	}
}

// An empty file is a history that has not begun.
func TestEmptyFile(t *testing.T) {
	path := tempFile(t)
	writeFile(t, path, nil)
	var e *Error
	_, err := OpenRead(context.Background(), path)
	if !errors.As(err, &e) || e.Problem != "there is no history yet at "+path || e.Hint == "" {
		t.Errorf("OpenRead of an empty file: %v", err)
	}
	_, err = OpenRead(context.Background(), path+".none")
	if !errors.As(err, &e) || e.Problem != "there is no history yet at "+path+".none" || e.Hint == "" {
		t.Errorf("OpenRead of a missing file: %v", err)
	}
	if exists(path+".none") || len(list(t, filepath.Dir(path))) != 1 {
		t.Errorf("OpenRead made %v", list(t, filepath.Dir(path)))
	}
	storeNights(t, path, night{})
}

// A file that was cut off while it was created, with the journal that undoes
// it, begins anew.
func TestCutOffCreation(t *testing.T) {
	path := tempFile(t)
	writeFile(t, path, make([]byte, 8192))
	writeFile(t, path+"-journal", make([]byte, 512)) // an unfinished journal is all zeros, too
	link := filepath.Join(t.TempDir(), "link.db")
	err := os.Symlink(path, link)
	if err != nil {
		t.Skip("no symbolic links here:", err)
	}
	for _, name := range []string{path, link} {
		_, err = inspect(name, schemaVersion)
		if err != nil {
			t.Errorf("inspect: %v", err)
		}
	}
}

func list(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestSymlinks(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.db"), filepath.Join(dir, "link.db")
	err := os.Symlink(real, link)
	if err != nil {
		t.Skip("no symbolic links here:", err)
	}
	storeNights(t, link, night{}) // our own link is followed
	if fileSize(t, real) == 0 {
		t.Error("the link was not followed")
	}
	readThroughLink(t, link)
	if os.Geteuid() != 0 {
		t.Skip("only root can make a link of somebody else's")
	}
	err = os.Lchown(link, 12345, 12345)
	if errors.Is(err, syscall.EINVAL) {
		t.Skip("this user namespace has no other users (unshare -r)")
	}
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	_, err = Open(context.Background(), link)
	if !errors.As(err, &e) || e.Problem != link+" is a symbolic link that belongs to another user" {
		t.Errorf("got %v", err)
	}
}

// What lies beside the file, such as the log with the newest runs, lies beside
// the file and not beside a link to it.
func readThroughLink(t *testing.T, link string) {
	t.Helper()
	ctx := context.Background()
	before, err := OpenRead(ctx, link)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, before)
	writer := mustOpen(t, link)
	mustStore(t, writer, night{day: 1}.run(t))
	after, err := OpenRead(ctx, link)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, after)
	for what, db := range map[string]*DB{"before": before, "after": after} {
		infos, err := db.Runs(ctx, Filter{})
		if err != nil || len(infos) != 2 {
			t.Errorf("a reader that came %s the writer finds %d runs, want 2 (%v)", what, len(infos), err)
		}
	}
	size, err := writer.Size()
	if st := fileInfo(t, link); err != nil || size <= st.Size() {
		t.Errorf("size %d without the log (%v)", size, err)
	}
}

func fileInfo(t testing.TB, path string) os.FileInfo {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// OpenRead leaves no trace beside the file, whether it was closed well or
// killed, and reads everything either way.
func TestOpenReadLeavesNoTrace(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	storeNights(t, path, night{}, night{day: 1, drift: 1})
	before, data := list(t, filepath.Dir(path)), readFile(t, path)
	db, err := OpenRead(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	want := night{day: 1, drift: 1}.run(t)
	want.ID = 2
	got, err := db.Run(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	want.Snapshot.Past = got.Snapshot.Past
	if d := diffRuns(want, got, true); d != "" {
		t.Error(d)
	}
	mustClean(t, db)
	err = db.Begin(ctx, night{day: 2}.run(t))
	var e *Error
	if !errors.As(err, &e) || e.Problem != path+" or its directory cannot be written" {
		t.Errorf("writing through OpenRead: %v", err)
	}
	if after := list(t, filepath.Dir(path)); !slices.Equal(before, after) {
		t.Errorf("while it is open there are %v, before there were %v", after, before)
	}
	mustClose(t, db)
	if after := list(t, filepath.Dir(path)); !slices.Equal(before, after) || string(readFile(t, path)) != string(data) {
		t.Errorf("afterwards there are %v, before there were %v", after, before)
	}
}

// A reader that was told that the file does not change notices when it does.
func TestReaderWhileWriterComes(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	storeNights(t, path, night{})
	reader, err := OpenRead(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, reader)
	newest := func() int64 {
		t.Helper()
		infos, err := reader.Runs(ctx, Filter{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		return infos[0].ID
	}
	if reader.frozen == nil {
		t.Error("a file without a log was not opened as unchanging")
	}
	run(t, self(t), "create", path) // a whole writer, in another process
	if got := newest(); got != 2 {
		t.Errorf("after a writer came and went the newest run is %d", got)
	}
	writer := startChild(t, "create", path, "STORE_TEST_HOLD=1")
	writer.waitFor(t, "stored")
	if got := newest(); got != 3 {
		t.Errorf("while a writer holds the file open the newest run is %d", got)
	}
	if reader.frozen != nil {
		t.Error("a file with a log was opened as unchanging")
	}
	mustClean(t, reader)
	writer.end(t)
	if got := newest(); got != 3 {
		t.Errorf("at the end the newest run is %d", got)
	}
}

// Readers that come and go while a writer does the same see whole runs.
func TestReadersAmongWriters(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	storeNights(t, path, night{})
	writer := startChild(t, "write", path, "STORE_TEST_REOPEN=1")
	reads := 0
	for start := time.Now(); time.Since(start) < time.Second || reads < 20; {
		db, err := OpenRead(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		infos, err := db.Runs(ctx, Filter{Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range infos {
			got, err := db.Run(ctx, i.ID)
			if err != nil {
				t.Fatal(err)
			}
			if i.State == audit.Complete && len(got.Findings) == 0 {
				t.Fatalf("run %d has no findings", i.ID)
			}
			reads++
		}
		mustClose(t, db)
	}
	writer.kill(t)
	t.Logf("%d reads while another process opened, wrote and closed", reads)
}

// Eight processes and eight goroutines make the same new file at once.
func TestCreateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "history.db")
	var group sync.WaitGroup
	binary := self(t)
	const children = 8
	for range children {
		group.Go(func() {
			out, err := child(t, binary, "create", path).Output()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	group.Wait()
	db := mustOpen(t, path)
	infos, err := db.Runs(context.Background(), Filter{})
	if err != nil || len(infos) != children {
		t.Errorf("%d runs, want %d (%v)", len(infos), children, err)
	}
	for _, i := range infos {
		if i.State != audit.Complete {
			t.Errorf("run %d is %s", i.ID, i.State)
		}
	}
	mustClean(t, db)
}

// Many goroutines finish runs at once, in one stream and in many.
func TestFinishAtOnce(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	var group sync.WaitGroup
	runs := make([]*audit.Run, 40)
	for i := range runs {
		n := night{day: i, drift: i}
		if i%2 == 0 {
			n.target = fmt.Sprintf("d%d.example.org", i)
		}
		runs[i] = n.run(t)
		group.Go(func() {
			err := db.Begin(ctx, runs[i])
			if err == nil {
				err = db.Finish(ctx, runs[i])
			}
			if err != nil {
				t.Errorf("run %d: %v", i, err)
			}
		})
	}
	group.Wait()
	for _, run := range runs {
		got, err := db.Run(ctx, run.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := diffRuns(run, got, false); d != "" {
			t.Errorf("run %d:\n%s", run.ID, d)
		}
	}
	mustClean(t, db)
}

// childCreates opens a file that may not be there and stores one run.
func childCreates(path string) error {
	ctx := context.Background()
	db, err := Open(ctx, path)
	if err != nil {
		return err
	}
	run := night{target: "child.example.org", day: os.Getpid() % 100000}.run(quiet{})
	run.UID = fmt.Sprintf("pid-%d-%d", os.Getpid(), time.Now().UnixNano())
	err = db.Begin(ctx, run)
	if err != nil {
		return err
	}
	err = db.Finish(ctx, run)
	if err != nil {
		return err
	}
	fmt.Println("stored")
	if os.Getenv("STORE_TEST_HOLD") != "" {
		_, err = fmt.Scanln() // until the parent closes our input
		_ = err
	}
	return db.Close()
}

// childReads tries what a user may do who may only read; PATH2 not even that.
func childReads(path string) error {
	ctx := context.Background()
	db, err := OpenRead(ctx, path)
	if err != nil {
		return err
	}
	infos, err := db.Runs(ctx, Filter{})
	if err != nil {
		return err
	}
	problems, err := db.Check(ctx)
	if err != nil {
		return err
	}
	err = db.Close()
	if err != nil {
		return err
	}
	fmt.Printf("runs %d, problems %v\n", len(infos), problems)
	var e *Error
	_, err = Open(ctx, path)
	if !errors.As(err, &e) {
		return fmt.Errorf("Open: %w", err)
	}
	fmt.Println("Open:", e)
	_, err = Open(ctx, filepath.Join(filepath.Dir(path), "sub", "history.db"))
	if !errors.As(err, &e) {
		return fmt.Errorf("Open elsewhere: %w", err)
	}
	fmt.Println("Open elsewhere:", e)
	_, err = OpenRead(ctx, path+"2")
	if !errors.As(err, &e) {
		return fmt.Errorf("OpenRead of a closed file: %w", err)
	}
	fmt.Println("OpenRead of a closed file:", e)
	return nil
}

// quiet is the testing.TB of a child: it has nobody to tell.
type quiet struct{ testing.TB }

func (quiet) Helper() {}

func (quiet) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// run waits for a child that does its work and ends.
func run(t testing.TB, binary, mode, path string) {
	t.Helper()
	out, err := child(t, binary, mode, path).Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", mode, err, out)
	}
}
