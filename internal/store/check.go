package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"modernc.org/sqlite"

	"mailaudit/internal/audit"
)

// maxProblems bounds what Check reports of one kind: a file with more is
// damaged beyond reading about it.
const maxProblems = 100

// Check reads the whole history and returns what is wrong with it, in words;
// nothing means that it is clean. It proves that SQLite's pages, indexes and
// references agree, that every run reads back, that everything stored under a
// hash has that hash, that the schema is the one that mailaudit makes, that the
// spans of a stream do not overlap and begin and end with complete runs of it,
// and that the counts of a run are those of its findings. A run that was interrupted is no problem. The error is for what
// kept Check from looking, such as the end of the context.
func (db *DB) Check(ctx context.Context) ([]string, error) {
	var problems []string
	err := db.read(ctx, func(tx *sql.Tx) error {
		problems = nil
		c := checker{db: db, tx: tx}
		for _, look := range []func(context.Context) error{c.pages, c.schema, c.blobs, c.facts, c.bodies, c.spans, c.runs, c.sidecars} {
			err := c.absorb(look(ctx))
			if err != nil {
				return err
			}
		}
		problems = c.problems
		return nil
	})
	if err != nil {
		return nil, err
	}
	return problems, nil
}

type checker struct {
	db       *DB
	tx       *sql.Tx
	problems []string
}

func (c *checker) report(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// absorb turns an error that says something about the file into a problem and
// passes on any other.
func (c *checker) absorb(err error) error {
	if err == nil {
		return nil
	}
	var lite *sqlite.Error
	var ours *Error
	err = explain(c.db.path, err)
	if !errors.As(err, &ours) {
		return err
	}
	if errors.As(err, &lite) {
		c.report("%s (%v)", ours.Problem, lite)
	} else {
		c.report("%s", ours.Problem)
	}
	return nil
}

// each runs a query and scan for each row of it.
func (c *checker) each(ctx context.Context, scan func(rows *sql.Rows) error, query string, args ...any) error {
	rows, err := c.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		err = scan(rows)
		if err != nil {
			return err
		}
	}
	return rows.Err()
}

// pages asks SQLite about its own structures.
func (c *checker) pages(ctx context.Context) error {
	err := c.each(ctx, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		if err == nil && text != "ok" {
			c.report("SQLite: %s", strings.Join(strings.Fields(text), " "))
		}
		return err
	}, fmt.Sprintf("PRAGMA integrity_check(%d)", maxProblems))
	if err != nil {
		return err
	}
	return c.references(ctx)
}

// references asks SQLite whether every row refers to one that is there.
func (c *checker) references(ctx context.Context) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		var table, parent string
		var row sql.NullInt64 // NULL in a table without row ids
		var key int
		err := rows.Scan(&table, &row, &parent, &key)
		if err == nil && len(c.problems) < maxProblems {
			c.report("a row of %s (%d) refers to a row of %s that is not there", table, row.Int64, parent)
		}
		return err
	}, "PRAGMA foreign_key_check")
}

func (c *checker) blobs(ctx context.Context) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		var id int64
		var b blob
		err := rows.Scan(&id, &b.sum, &b.size, &b.packed, &b.data)
		if err != nil {
			return err
		}
		_, err = c.db.open(b)
		if err != nil {
			c.report("blob %d: %v", id, err)
		}
		return nil
	}, "SELECT id, sha256, size, zstd, data FROM blobs")
}

// facts checks the hash of each set of parts against its parts. Their content
// is checked where runs are read.
func (c *checker) facts(ctx context.Context) error {
	sums := map[int64][]byte{}
	err := c.each(ctx, func(rows *sql.Rows) error {
		var id int64
		var sum []byte
		err := rows.Scan(&id, &sum)
		sums[id] = sum
		return err
	}, "SELECT id, sha256 FROM facts")
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(sums)) {
		parts, format, err := c.db.loadParts(ctx, c.tx, id)
		if err == nil && !sameSum(factsSum(format, parts), sums[id]) {
			c.report("facts %d: the parts do not match the hash", id)
		}
		err = c.absorb(err)
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) bodies(ctx context.Context) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		var id int64
		var sum []byte
		var b body
		err := rows.Scan(&id, &sum, &b.detail, &b.cause, &b.evidence, &b.fix)
		if err == nil && !sameSum(b.sum(), sum) {
			c.report("finding body %d: its content does not match its hash", id)
		}
		return err
	}, "SELECT id, sha256, detail, cause, evidence, fix FROM bodies")
}

// spans checks what the reading of runs takes for granted.
func (c *checker) spans(ctx context.Context) error {
	err := c.each(ctx, c.span("overlaps the one before it"), `SELECT stream, question, first_run FROM (
			SELECT stream, question, first_run, lag(coalesce(last_run, 9e18)) OVER (PARTITION BY stream, question ORDER BY first_run) AS before FROM spans)
		WHERE before >= first_run`)
	if err != nil {
		return err
	}
	return c.each(ctx, c.span("does not begin and end with finished runs of its stream"), `SELECT s.stream, s.question, s.first_run FROM spans s
		WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = s.first_run AND r.stream = s.stream AND r.state <> 'running')
		OR s.last_run IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = s.last_run AND r.stream = s.stream AND r.state <> 'running')`)
}

func (c *checker) span(what string) func(rows *sql.Rows) error {
	return func(rows *sql.Rows) error {
		var stream, question, first int64
		err := rows.Scan(&stream, &question, &first)
		if err == nil {
			c.report("the span of stream %d, question %d, run %d %s", stream, question, first, what)
		}
		return err
	}
}

// sidecars checks that every sidecar that was kept reads back.
func (c *checker) sidecars(ctx context.Context) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		var run audit.Run
		b := blob{packed: true}
		err := rows.Scan(&run.ID, &b.size, &b.data)
		if err != nil {
			return err
		}
		return c.absorb(c.db.decodeSidecar(b, &run))
	}, "SELECT run, size, data FROM sidecars")
}
