package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

var freeze = flag.Bool("freeze", false, "write a dump of today's schema with some runs to testdata/frozen")

// dump writes a file as statements that make it again.
func dump(t testing.TB, pool *sql.DB) string {
	t.Helper()
	var b strings.Builder
	for _, pragma := range []string{"application_id", "user_version"} {
		fmt.Fprintf(&b, "PRAGMA %s = %s;\n", pragma, column(t, pool, "PRAGMA "+pragma)[0])
	}
	const ours = " FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
	tables := column(t, pool, "SELECT name"+ours+"AND type = 'table' ORDER BY rowid")
	for _, statement := range column(t, pool, "SELECT sql"+ours+"ORDER BY rowid") {
		fmt.Fprintf(&b, "%s;\n", statement)
	}
	for _, table := range append(tables, "sqlite_sequence") {
		columns := column(t, pool, "SELECT 'quote(' || name || ')' FROM pragma_table_info('"+table+"')")
		for _, row := range column(t, pool, "SELECT "+strings.Join(columns, " || ', ' || ")+" FROM "+table) {
			fmt.Fprintf(&b, "INSERT INTO %s VALUES (%s);\n", table, row)
		}
	}
	return b.String()
}

func column(t testing.TB, pool *sql.DB, query string) []string {
	t.Helper()
	rows, err := pool.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		err = rows.Scan(&s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return out
}

// schemaOf is every table, index and view, without what does not matter:
// comments, and how the text was broken into lines.
func schemaOf(t testing.TB, pool *sql.DB) []string {
	t.Helper()
	comment, space := regexp.MustCompile(`--[^\n]*`), regexp.MustCompile(`\s+`)
	var out []string
	for _, text := range column(t, pool, "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema") {
		out = append(out, space.ReplaceAllString(comment.ReplaceAllString(text, ""), " "))
	}
	slices.Sort(out)
	return out
}

func load(t testing.TB, name string) string {
	t.Helper()
	path := tempFile(t)
	execFile(t, path, "BEGIN", string(readFile(t, name)), "COMMIT")
	return path
}

// Every file that an older program has written becomes, migrated, what a fresh
// one is, and reads back.
func TestFrozen(t *testing.T) {
	if *freeze {
		writeFrozen(t)
	}
	fresh := mustOpen(t, tempFile(t))
	names, err := filepath.Glob("testdata/frozen/*.sql")
	if err != nil || len(names) != schemaVersion {
		t.Fatalf("%d dumps for %d versions: write one with -freeze (%v)", len(names), schemaVersion, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			db := mustOpen(t, load(t, name))
			if d := cmp.Diff(schemaOf(t, fresh.sql), schemaOf(t, db.sql)); d != "" {
				t.Errorf("its schema is not that of a fresh file (-fresh +migrated):\n%s", d)
			}
			if v := column(t, db.sql, "PRAGMA user_version")[0]; v != fmt.Sprint(schemaVersion) {
				t.Errorf("version %s", v)
			}
			mustClean(t, db)
			var want []frozenRun
			err := json.Unmarshal(readFile(t, strings.TrimSuffix(name, ".sql")+".json"), &want)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, readFrozen(t, db), domains(), addresses()); d != "" {
				t.Errorf("it reads back differently (-want +got):\n%s", d)
			}
			mustStore(t, db, night{day: 99}.run(t)) // and it goes on
			mustClean(t, db)
		})
	}
}

// frozenRun is a run with what its JSON leaves out.
type frozenRun struct {
	Run     *audit.Run
	Sidecar audit.Sidecar
}

func readFrozen(t testing.TB, db *DB) []frozenRun {
	t.Helper()
	ctx := context.Background()
	infos, err := db.Runs(ctx, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var out []frozenRun
	for _, i := range infos {
		run, err := db.Run(ctx, i.ID)
		if err != nil {
			t.Fatal(err)
		}
		side := run.Sidecar
		run.Sidecar = audit.Sidecar{}
		out = append(out, frozenRun{run, side})
	}
	return out
}

// writeFrozen makes the dump of this version: a few runs of every state.
func writeFrozen(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	mx := []audit.Area{audit.AreaMX}
	for _, n := range []night{{}, {day: 1}, {day: 2, drift: 9}, {day: 3, areas: mx}, {day: 4, state: audit.Aborted, areas: mx}} {
		n.few = true
		mustStore(t, db, n.run(t))
	}
	mustBegin(t, db, night{day: 5, few: true}.run(t))
	mustExec(t, db, "UPDATE runs SET pid = 1, host = 'elsewhere' WHERE state = 'running'")
	mustNote(t, db, 2, "the certificate was renewed, für alle Fälle")
	mustPrune(t, db, Prune{KeepLast: 2})
	base := fmt.Sprintf("testdata/frozen/v%d", schemaVersion)
	text, err := json.Marshal(readFrozen(t, db))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{base + ".sql": []byte(dump(t, db.sql)), base + ".json": append(text, '\n')} {
		err = os.WriteFile(name, data, 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// testOptions are a history of three versions, of which testdata/v0.sql is the
// oldest: the machinery, tried on something that changes.
func testOptions() options {
	opts := current()
	opts.version = 2
	opts.schema = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, born TEXT, town TEXT) STRICT;" +
		"CREATE INDEX people_by_town ON people (town);" +
		"PRAGMA application_id = 0x6d61696c; PRAGMA user_version = 2;"
	opts.migrations = []migration{
		{0, `CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT NOT NULL, born TEXT) STRICT;
			INSERT INTO p SELECT id, first || ' ' || last, NULL FROM people;
			DROP TABLE people;
			ALTER TABLE p RENAME TO people;`},
		{1, "ALTER TABLE people ADD COLUMN town TEXT; CREATE INDEX people_by_town ON people (town);"},
	}
	return opts
}

// columnsOf is a schema by meaning: ALTER TABLE leaves other words than CREATE.
func columnsOf(t testing.TB, pool *sql.DB) []string {
	t.Helper()
	return column(t, pool, `SELECT m.name || '.' || c.name || ' ' || c.type || c."notnull" || c.pk
		FROM sqlite_schema m JOIN pragma_table_info(m.name) c ORDER BY 1`)
}

func TestMigrate(t *testing.T) {
	ctx := context.Background()
	path := load(t, "testdata/v0.sql")
	db, err := open(ctx, path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, db)
	fresh, err := open(ctx, tempFile(t), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, fresh)
	if d := cmp.Diff(columnsOf(t, fresh.sql), columnsOf(t, db.sql)); d != "" {
		t.Errorf("(-fresh +migrated)\n%s", d)
	}
	if got := column(t, db.sql, "SELECT name FROM people ORDER BY id"); !slices.Equal(got, []string{"Ada Lovelace", "Jon Postel"}) {
		t.Errorf("the rows are %q", got)
	}
	if v := column(t, db.sql, "PRAGMA user_version")[0]; v != "2" {
		t.Errorf("version %s", v)
	}
}

// A migration that fails leaves its file at the version before it, whole; the
// steps before it stay.
func TestMigrateFails(t *testing.T) {
	ctx := context.Background()
	path := load(t, "testdata/v0.sql")
	opts := testOptions()
	opts.migrations[1].sql = "ALTER TABLE people ADD COLUMN town TEXT; INSERT INTO nowhere VALUES (1)"
	_, err := open(ctx, path, opts)
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Problem, "no such table: nowhere") {
		t.Fatalf("got %v", err)
	}
	opts.version = 1
	db, err := open(ctx, path, opts)
	if err != nil {
		t.Fatal(err)
	}
	if got := columnsOf(t, db.sql); slices.ContainsFunc(got, func(c string) bool { return strings.Contains(c, "town") }) {
		t.Errorf("half a step: %q", got)
	}
	mustClose(t, db)
	db, err = open(ctx, path, testOptions()) // a program without the mistake goes on from there
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
}

// A step that is missing is said, and nothing is written.
func TestMigrateMissing(t *testing.T) {
	path := load(t, "testdata/v0.sql")
	before := readFile(t, path)
	opts := testOptions()
	opts.migrations = opts.migrations[1:]
	_, err := open(context.Background(), path, opts)
	var e *Error
	if !errors.As(err, &e) || e.Problem != path+" has version 0, which this program cannot bring up to 2" {
		t.Fatalf("got %v", err)
	}
	if names := list(t, filepath.Dir(path)); len(names) != 1 {
		t.Errorf("there are %v", names)
	}
	// The switch to WAL is all that may have happened: octets 18 and 19 of the header.
	after := readFile(t, path)
	if len(after) != len(before) || string(after[headerLen:4096]) != string(before[headerLen:4096]) {
		t.Error("the file was changed")
	}
}

// The list of migrations leads from every version to the next without a gap.
func TestMigrationsAreComplete(t *testing.T) {
	var steps []int
	for _, m := range migrations() {
		steps = append(steps, m.from)
	}
	var want []int
	for v := 1; v < schemaVersion; v++ {
		want = append(want, v)
	}
	if !slices.Equal(steps, want) {
		t.Errorf("migrations from %v, want %v", steps, want)
	}
}

// Runs of files from before there were grades read back without one, in lists
// as well.
func TestFrozenWithoutGrades(t *testing.T) {
	db := mustOpen(t, load(t, "testdata/frozen/v1.sql"))
	infos, err := db.Runs(context.Background(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	scored := 0
	for _, i := range infos {
		run, err := db.Run(context.Background(), i.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []audit.Score{i.Score, run.Score} {
			if s.Rubric != 0 || s.Points != nil || s.Grade != "" {
				t.Errorf("run %d: rubric %d, grade %q", i.ID, s.Rubric, s.Grade)
			}
			for axis, a := range s.Axes {
				scored++
				if a.Points != nil || a.Grade != "" {
					t.Errorf("run %d, %s: grade %q", i.ID, axis, a.Grade)
				}
			}
		}
	}
	if scored == 0 {
		t.Error("no run has a score")
	}
}
