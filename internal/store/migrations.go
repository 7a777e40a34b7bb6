package store

import (
	"context"
	"database/sql"
	_ "embed" // the steps are files of SQL
	"fmt"
	"slices"

	"mailaudit"
)

// schemaVersion is the user_version that schema.sql sets. Raising it takes a
// migration below, a dump of the old form in testdata/frozen (go test -run
// TestFrozen -freeze), and the same change in schema.sql: a test compares the
// two ends.
const schemaVersion = 2

// oldestReadable is the version from which OpenRead reads a file as it is.
// Version 1 lacks the notes of runs and knows no pruned ones.
const oldestReadable = 1

// migration is one step up. It runs in one transaction together with the move
// of user_version, so a file is never between two versions.
type migration struct {
	from int    // the version that it finds; it leaves from+1
	sql  string // statements
}

//go:embed migrations/v2.sql
var toVersion2 string

// migrations lists every step, oldest first. A step that has been released is
// never edited.
func migrations() []migration { return []migration{{1, toVersion2}} }

func current() options {
	return options{schema: mailaudit.Schema, version: schemaVersion, migrations: migrations(), busy: busyTimeout}
}

// migrate brings a file of an older version up and reports whether it took a
// step itself: of several processes that try at once, one does each step.
func migrate(ctx context.Context, path string, pool *sql.DB, opts options) (bool, error) {
	moved := false
	for {
		// Reading first: an up-to-date file is opened without a write lock,
		// and nothing is written to a newer one. The header that inspect saw
		// may be older than the write-ahead log.
		have, err := userVersion(ctx, pool)
		switch {
		case err != nil:
			return moved, err
		case have > opts.version:
			return moved, tooNew(path, have, opts.version)
		case have == opts.version:
			return moved, nil
		}
		took := false
		err = transact(ctx, pool, func(tx *sql.Tx) error {
			var err error
			took, err = step(ctx, path, tx, opts)
			return err
		})
		if err != nil {
			return moved, err
		}
		moved = moved || took
	}
}

// step applies the one migration that the file needs next, unless another
// process has just done so.
func step(ctx context.Context, path string, tx *sql.Tx, opts options) (bool, error) {
	have, err := userVersion(ctx, tx)
	if err != nil || have >= opts.version {
		return false, err
	}
	m, err := nextStep(path, have, opts)
	if err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, m.sql)
	if err != nil {
		return false, fmt.Errorf("migrate from version %d: %w", have, err)
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", have+1))
	return true, err
}

// nextStep is the migration that leads away from a version.
func nextStep(path string, have int, opts options) (migration, error) {
	i := slices.IndexFunc(opts.migrations, func(m migration) bool { return m.from == have })
	if i < 0 {
		return migration{}, &Error{
			Problem: fmt.Sprintf("%s has version %d, which this program cannot bring up to %d", path, have, opts.version),
			Hint:    "name another file with --db FILE",
		}
	}
	return opts.migrations[i], nil
}

// Outdated reports whether the file is of an older version than this program
// writes: [Open] would change it.
func (db *DB) Outdated(ctx context.Context) (bool, error) {
	have := 0
	err := db.read(ctx, func(tx *sql.Tx) error {
		var err error
		have, err = userVersion(ctx, tx)
		return err
	})
	return have < db.opts.version, err
}

// querier is what a pool and a transaction have in common.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func userVersion(ctx context.Context, q querier) (int, error) {
	var v int
	err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v)
	return v, err
}

// readableVersion is the check of a reader, which cannot migrate.
func (db *DB) readableVersion(ctx context.Context) error {
	return db.read(ctx, func(tx *sql.Tx) error {
		have, err := userVersion(ctx, tx)
		switch {
		case err != nil:
			return err
		case have > db.opts.version:
			return tooNew(db.path, have, db.opts.version)
		case have < oldestReadable:
			return &Error{
				Problem: fmt.Sprintf("%s was written by an older mailaudit (version %d; this program reads %d to %d)", db.path, have, oldestReadable, db.opts.version),
				Hint:    "mailaudit db migrate brings it up to date",
			}
		}
		return nil
	})
}
