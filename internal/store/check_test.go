package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Each kind of damage that SQLite itself would not notice is found and named.
func TestCheckFinds(t *testing.T) {
	ctx := context.Background()
	cases := map[string]struct{ damage, want string }{
		"a part":              {"UPDATE blobs SET data = x'28b52ffd0400010000' WHERE id = (SELECT blob FROM fact_parts WHERE name = 'smtp')", ": it does not decompress: "},
		"a changed part":      {"UPDATE blobs SET data = CAST('{}' AS BLOB), size = 2, zstd = 0 WHERE id = (SELECT blob FROM fact_parts WHERE name = 'smtp')", "its content does not match its hash"},
		"a short part":        {"UPDATE blobs SET size = size + 1 WHERE id = 1", "blob 1: it has "},
		"a lost part":         {"DELETE FROM fact_parts WHERE name = 'rdns'", "facts 1: the parts do not match the hash"},
		"a body":              {"UPDATE bodies SET detail = 'all is well' WHERE id = 3", "finding body 3: its content does not match its hash"},
		"a lost span":         {"DELETE FROM spans WHERE question = 7", "run 1 has 58 findings instead of 59"},
		"a moved span":        {"UPDATE spans SET question = 999 WHERE question = 7", "a row of spans (0) refers to a row of questions that is not there"},
		"an overlap":          {"INSERT INTO spans SELECT stream, question, 2, NULL, status, severity, body FROM spans WHERE question = 5 AND first_run = 1", "the span of stream 1, question 5, run 2 overlaps the one before it"},
		"a strange end":       {"UPDATE spans SET last_run = 4 WHERE question = 5", "question 5, run 1 does not begin and end with finished runs of its stream"},
		"a status":            {"UPDATE spans SET status = 'fail' WHERE question = 5", "its counts are not those of its findings"},
		"counts":              {"UPDATE scores SET high = high + 1", "run 1: its counts are not those of its findings"},
		"a time":              {"UPDATE runs SET started = 'yesterday' WHERE id = 2", `run 2: the time "yesterday" is not in the stored form`},
		"a flag":              {"UPDATE runs SET changed = 1 WHERE id = 2", "run 2: it is marked as having changed something"},
		"a sidecar":           {"UPDATE sidecars SET data = x'00' WHERE run = 3", "sidecar of run 3: "},
		"a domain":            {"UPDATE streams SET target = 'Example.ORG' WHERE id = 1", "domain is not in its stored form"},
		"a missing blob":      {"DELETE FROM blobs WHERE id = 2", "a row of fact_parts (0) refers to a row of blobs that is not there"},
		"facts of tomorrow":   {"UPDATE facts SET format = 9", "holds facts of a newer mailaudit (format 9; this program reads 1)"},
		"a score":             {`UPDATE scores SET axes = replace(axes, '"pass":', '"pass":9')`, "run 1: its counts are not those of its findings"},
		"another axis":        {`UPDATE scores SET axes = '{"delivery":{"pass":1,"fail":0,"unknown":0,"coverage":100}}'`, "run 1: its counts are not those of its findings"},
		"a coverage":          {"UPDATE scores SET coverage = 101", "run 1: its counts are not those of its findings"},
		"a trigger":           {"CREATE TRIGGER busy AFTER INSERT ON runs BEGIN DELETE FROM sidecars; END", "there is a foreign trigger busy on runs"},
		"a trigger on a view": {"CREATE TRIGGER busy INSTEAD OF INSERT ON run_list BEGIN DELETE FROM sidecars; END", "there is a foreign trigger busy on run_list"},
		"an index":            {"CREATE UNIQUE INDEX one_each ON bodies (detail, evidence, cause, fix)", "there is a foreign index one_each on bodies"},
		"a lost index":        {"DROP INDEX runs_of_stream", "the index runs_of_stream is missing"},
		"a column":            {"ALTER TABLE runs ADD COLUMN mood TEXT", "the table runs was changed"},
		"a lost check":        {"PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (changed IN (0, 1))', '') WHERE name = 'runs'; PRAGMA writable_schema = RESET", "the table runs was changed"},
		"a view":              {"DROP VIEW verdicts; CREATE VIEW verdicts AS SELECT 'pass' AS status", "the view verdicts was changed"},
		"a table as a view":   {"ALTER TABLE sidecars RENAME TO mine; CREATE VIEW sidecars AS SELECT * FROM mine", "the table sidecars was changed"},
		"a lost view":         {"DROP VIEW history", "the view history is missing"},
		"a lost table":        {"DROP TABLE sidecars", "the table sidecars is missing"},
		"an unknown part":     {"UPDATE fact_parts SET name = 'nonsense' WHERE name = 'rdns'", "decode facts nonsense: this program knows no such part"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := tempFile(t)
			storeNights(t, path, night{}, night{day: 1}, night{day: 2, drift: 1}, night{day: 3, vantage: "there"})
			clean := mustOpen(t, path)
			mustClean(t, clean)
			execFile(t, path, "PRAGMA foreign_keys = 0", c.damage)
			problems, err := clean.Check(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, c.want) }) {
				t.Errorf("want %q, got %q", c.want, problems)
			}
		})
	}
}

// What is somebody's own and touches nothing of ours is no problem, and neither
// is a schema in other words than schema.sql has.
func TestCheckLeavesInPeace(t *testing.T) {
	path := tempFile(t)
	storeNights(t, path, night{}, night{day: 1})
	execFile(t, path, "CREATE TABLE mine (run INTEGER, word TEXT); CREATE INDEX mine_by_word ON mine (word)",
		"CREATE VIEW nights AS SELECT target, started FROM run_list", "ANALYZE")
	mustClean(t, mustOpen(t, path))
}

// A file of an older version has another schema, of which a trigger is no part
// either.
func TestCheckOlder(t *testing.T) {
	path := load(t, "testdata/frozen/v1.sql")
	for _, c := range []struct {
		damage string
		want   []string
	}{
		{"SELECT 1", nil},
		{"CREATE TRIGGER busy AFTER INSERT ON runs BEGIN DELETE FROM sidecars; END", []string{"there is a foreign trigger busy on runs: it may change or refuse what is to be stored"}},
	} {
		execFile(t, path, c.damage)
		db, err := OpenRead(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := db.Check(context.Background())
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", c.damage, got, err)
		}
		mustClose(t, db)
	}
}

func TestPlainSQL(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"CREATE  TABLE\n\tx (\r\n  y )\n": "CREATE TABLE x ( y )",
		"a -- b\nc":                       "a c",
		"a -- b":                          "a",
		"-- it's\nx":                      "x",
		"a 'b  -- c\n' d":                 "a 'b  -- c\n' d",
		"'it''s  --' -- 'x'\n,  'y'":      "'it''s  --' , 'y'",
		"a-b":                             "a-b",
	} {
		if got := plainSQL(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// The bare rows that pruning leaves are looked at as well.
func TestCheckFindsPruned(t *testing.T) {
	cases := map[string]struct{ damage, want string }{
		"a flag after a gap": {"UPDATE runs SET changed = 0 WHERE id = 4", "run 4: it is marked as having changed something, or not"},
		"a time":             {"UPDATE runs SET started = 'yesterday' WHERE id = 1", `run 1: the time "yesterday" is not in the stored form`},
		"a missing row":      {"DELETE FROM runs WHERE id = 1", "a row of spans (0) refers to a row of runs that is not there"},
		"in another stream":  {"UPDATE runs SET stream = 2 WHERE id = 1", "run 1 does not begin and end with finished runs of its stream"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := tempFile(t)
			storeNights(t, path, night{}, night{day: 1}, night{day: 2, drift: 1}, night{day: 3, drift: 1}, night{day: 4, vantage: "there"})
			db := mustOpen(t, path)
			mustPrune(t, db, Prune{KeepLast: 1})
			mustClean(t, db)
			execFile(t, path, "PRAGMA foreign_keys = 0", c.damage)
			problems, err := db.Check(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, c.want) }) {
				t.Errorf("want %q, got %q", c.want, problems)
			}
		})
	}
}

// A page that was overwritten is told by SQLite, and Check still says what
// else it finds.
func TestCheckDamagedPages(t *testing.T) {
	path := tempFile(t)
	storeNights(t, path, night{}, night{day: 1, drift: 1}, night{day: 2, drift: 2})
	data := readFile(t, path)
	const page = 4096
	tried, broken := 0, 0
	for n := 2; n < len(data)/page; n += 3 {
		tried++
		damaged := slices.Clone(data)
		for i := n * page; i < (n+1)*page; i++ {
			damaged[i] ^= 0x5a
		}
		one := tempFile(t)
		writeFile(t, one, damaged)
		db, err := Open(context.Background(), one)
		var e *Error
		if errors.As(err, &e) && e.Problem == one+" is damaged" {
			broken++ // a page of the schema
			continue
		}
		if err != nil {
			t.Fatalf("page %d: %v", n+1, err)
		}
		problems, err := db.Check(context.Background())
		if err != nil {
			t.Fatalf("page %d: %v", n+1, err)
		}
		if len(problems) > 0 {
			broken++
		} else {
			t.Errorf("page %d is garbage and nobody noticed", n+1)
		}
		mustClose(t, db)
	}
	t.Logf("%d damaged pages, %d noticed", tried, broken)
}

// A quiet history is clean, and so is one with an interrupted run.
func TestCheckQuiet(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	for day := range 30 {
		mustStore(t, db, night{day: day}.run(t))
	}
	mustBegin(t, db, night{day: 30}.run(t))
	mustClean(t, db)
}

// So is one in which a finding comes and goes, and nothing else happens.
func TestCheckComeAndGo(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	story(t, db, "- fail - - fail fail -")
	mustClean(t, db)
}

func BenchmarkCheck(b *testing.B) {
	db := mustOpen(b, tempFile(b))
	for day := range 365 {
		mustStore(b, db, night{day: day, drift: day / 30}.run(b))
	}
	for b.Loop() {
		mustClean(b, db)
	}
}
