package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const frozenV1 = "testdata/frozen/v1"

// loadV1 makes the file of version 1, in WAL mode as it was.
func loadV1(t testing.TB) string {
	t.Helper()
	path := load(t, frozenV1+".sql")
	execFile(t, path, "PRAGMA journal_mode = WAL")
	err := os.Chmod(path, fileMode)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func wantV1(t testing.TB) []frozenRun {
	t.Helper()
	var want []frozenRun
	err := json.Unmarshal(readFile(t, frozenV1+".json"), &want)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// Open brings an older file up, and keeps it as it was beside it.
func TestUpgradeKeepsCopy(t *testing.T) {
	path := loadV1(t)
	before := loadV1(t)
	writeFile(t, CopyName(path, 1), []byte("of an earlier time"))
	db := mustOpen(t, path)
	bak := path + ".v1.bak"
	want := path + " was brought from version 1 to 2; as it was before, it is kept in " + bak
	if !slices.Equal(db.Notes(), []string{want}) {
		t.Errorf("notes: %q", db.Notes())
	}
	if m := modeOf(t, bak); m != fileMode && runtime.GOOS != "windows" {
		t.Errorf("the copy has mode %04o", m)
	}
	mustClose(t, db)
	if names := list(t, filepath.Dir(path)); !slices.Equal(names, []string{"history.db", "history.db.v1.bak"}) {
		t.Errorf("there are %v", names)
	}
	older := fileContents(t, bak)
	if !slices.Equal(older, fileContents(t, before)) || !slices.Contains(older, "PRAGMA user_version = 1;") {
		t.Error("the copy is not the file as it was")
	}
	db = mustOpen(t, path) // the second time there is nothing to say
	if len(db.Notes()) != 0 {
		t.Errorf("notes: %q", db.Notes())
	}
}

// contents is a dump whose order says nothing: a copy has its tables first.
func contents(t testing.TB, pool *sql.DB) []string {
	t.Helper()
	lines := strings.Split(dump(t, pool), "\n")
	slices.Sort(lines)
	return lines
}

// fileContents looks at a copy, because looking leaves files beside a file.
func fileContents(t testing.TB, path string) []string {
	t.Helper()
	copied := tempFile(t)
	writeFile(t, copied, readFile(t, path))
	pool, err := sql.Open("sqlite", copied)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	return contents(t, pool)
}

// A reader takes an older file as it is, and leaves it so.
func TestOpenReadOlder(t *testing.T) {
	ctx := context.Background()
	path := loadV1(t)
	before := readFile(t, path)
	db, err := OpenRead(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantV1(t), readFrozen(t, db), domains(), addresses()); d != "" {
		t.Errorf("it reads back differently (-want +got):\n%s", d)
	}
	mustClean(t, db)
	if old, err := db.Outdated(ctx); !old || err != nil {
		t.Errorf("version 1 is outdated: %v (%v)", old, err)
	}
	prior, err := db.PriorOf(ctx, 3)
	if err != nil || len(prior.Verdicts) == 0 {
		t.Errorf("%d verdicts (%v)", len(prior.Verdicts), err)
	}
	past, err := db.Past(ctx, "example.org", "audit", "here")
	if err != nil || len(past.MXHosts) == 0 {
		t.Errorf("past %+v (%v)", past, err)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	mustBackup(t, db, to)
	if !slices.Equal(fileContents(t, to), fileContents(t, path)) {
		t.Error("the backup is something else")
	}
	err = db.SetNote(ctx, 1, "x")
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("SetNote: %v", err)
	}
	mustClose(t, db)
	if names := list(t, filepath.Dir(path)); len(names) != 1 || string(readFile(t, path)) != string(before) {
		t.Errorf("the file was changed, or there are others: %v", names)
	}
}

// A reader of an older file goes on when another process brings it up.
func TestOpenReadDuringUpgrade(t *testing.T) {
	path := loadV1(t)
	reader, err := OpenRead(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, reader)
	before := readFrozen(t, reader)
	writer := mustOpen(t, path)
	mustNote(t, writer, 2, "new")
	after := readFrozen(t, reader)
	before[len(before)-2].Run.Note = "new"
	if d := cmp.Diff(before, after, domains(), addresses()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestMigrateExplicitly(t *testing.T) {
	ctx := context.Background()
	path := loadV1(t)
	for i, want := range []string{"1 2 <nil>", "2 2 <nil>"} {
		before := readFile(t, path)
		from, to, err := Migrate(ctx, path)
		if got := fmt.Sprint(from, to, err); got != want {
			t.Errorf("time %d: %s, want %s", i+1, got, want)
		}
		if same := string(readFile(t, path)) == string(before); same != (i == 1) {
			t.Errorf("time %d: the file is the same: %v", i+1, same)
		}
	}
	db, err := OpenExisting(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if old, err := db.Outdated(ctx); old || err != nil {
		t.Errorf("version 2 is outdated: %v (%v)", old, err)
	}
	mustNote(t, db, 2, "writable")
	mustClose(t, db)
	none := tempFile(t)
	_, _, err = Migrate(ctx, none)
	var e *Error
	if !errors.As(err, &e) || e.Problem != "there is no history yet at "+none || len(list(t, filepath.Dir(none))) != 0 {
		t.Errorf("of nothing: %v", err)
	}
	writeFile(t, none, []byte(strings.Repeat("text", 100)))
	_, _, err = Migrate(ctx, none)
	if !errors.As(err, &e) || e.Problem != none+" is not an SQLite database" {
		t.Errorf("of a text: %v", err)
	}
}

// childUpgrades opens a file that may be old.
func childUpgrades(path string) error {
	fmt.Println("ready")
	db, err := Open(context.Background(), path)
	if err != nil {
		return err
	}
	fmt.Println("notes", len(db.Notes()))
	return db.Close()
}

// Of eight processes that open an older file at once, each can use it, one has
// brought it up, and the copy is of the older file.
func TestUpgradeAtOnce(t *testing.T) {
	for range 3 {
		path := loadV1(t)
		original := fileContents(t, path)
		var group sync.WaitGroup
		var mu sync.Mutex
		said := map[string]int{}
		binary := self(t)
		for range 8 {
			group.Go(func() {
				out, err := child(t, binary, "upgrade", path).Output()
				if err != nil {
					t.Errorf("%v: %s", err, out)
				}
				mu.Lock()
				defer mu.Unlock()
				said[string(out)]++
			})
		}
		group.Wait()
		if said["ready\nnotes 1\n"] != 1 || said["ready\nnotes 0\n"] != 7 {
			t.Errorf("they said %v", said)
		}
		if !slices.Equal(fileContents(t, CopyName(path, 1)), original) {
			t.Error("the copy is not the file as it was")
		}
		for _, name := range list(t, filepath.Dir(path)) {
			if strings.HasSuffix(name, ".tmp") { // of two that close at once, each may leave -wal and -shm to the other
				t.Errorf("%s was left behind", name)
			}
		}
		verifyUpgraded(t, path)
	}
}

// A copy that comes too late, when another process has brought the file up, is
// no copy of the older file.
func TestUpgradeCopyTooLate(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	err := db.keepOld(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list(t, filepath.Dir(db.Path())) {
		if strings.HasSuffix(name, ".bak") || strings.HasSuffix(name, ".tmp") {
			t.Errorf("there is %s", name)
		}
	}
}

func verifyUpgraded(t *testing.T, path string) {
	t.Helper()
	db := mustOpen(t, path)
	mustClean(t, db)
	if d := cmp.Diff(wantV1(t), readFrozen(t, db), domains(), addresses()); d != "" {
		t.Errorf("it reads back differently (-want +got):\n%s", d)
	}
}

// Killed at any moment, the file is of one version or the other, and the next
// to open it goes on.
func TestUpgradeKill(t *testing.T) {
	if testing.Short() {
		t.Skip("twenty kills take some seconds")
	}
	if runtime.GOOS == "windows" {
		t.Skip("a killed process is not the same thing on Windows")
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	outcomes := map[string]int{}
	c := startChild(t, "upgrade", loadV1(t))
	c.waitFor(t, "ready")
	start := time.Now()
	c.end(t)
	window := time.Since(start)
	const kills, most = 20, 100
	kill := 0
	for ; kill < kills || len(outcomes) < 2 && kill < most; kill++ {
		path := loadV1(t)
		c = startChild(t, "upgrade", path)
		c.waitFor(t, "ready")
		time.Sleep(time.Duration(rng.Int64N(int64(window))))
		c.kill(t)
		db, err := OpenRead(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		v := column(t, db.sql, "PRAGMA user_version")[0]
		mustClean(t, db)
		mustClose(t, db)
		outcomes["version "+v]++
		verifyUpgraded(t, path)
		if !slices.Contains(fileContents(t, CopyName(path, 1)), "PRAGMA user_version = 1;") {
			t.Error("the copy is not of the older version")
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("killed within %v: %v (seed %d)", window, outcomes, seed)
	if len(outcomes) < 2 {
		t.Errorf("all kills came to the same: %v", outcomes)
	}
}
