package store

import (
	"context"
	"database/sql"
	"fmt"

	"mailaudit"
)

// schemaVersion is the user_version that schema.sql sets. Raising it takes a
// migration below, a dump of the old form in testdata/frozen (go test -run
// TestFrozen -freeze), and the same change in schema.sql: a test compares the
// two ends.
const schemaVersion = 1

// migration is one step up. It runs in one transaction together with the move
// of user_version, so a file is never between two versions.
type migration struct {
	from int    // the version that it finds; it leaves from+1
	sql  string // statements
}

// migrations lists every step, oldest first. A step that has been released is
// never edited.
func migrations() []migration { return nil }

func current() options {
	return options{schema: mailaudit.Schema, version: schemaVersion, migrations: migrations(), busy: busyTimeout}
}

// migrate brings a file of an older version up. Of several processes that
// try at once, one does each step.
func migrate(ctx context.Context, path string, pool *sql.DB, opts options) error {
	for {
		// Reading first: an up-to-date file is opened without a write lock,
		// and nothing is written to a newer one. The header that inspect saw
		// may be older than the write-ahead log.
		have, err := userVersion(ctx, pool)
		switch {
		case err != nil:
			return err
		case have > opts.version:
			return tooNew(path, have, opts.version)
		case have == opts.version:
			return nil
		}
		err = transact(ctx, pool, func(tx *sql.Tx) error { return step(ctx, path, tx, opts) })
		if err != nil {
			return err
		}
	}
}

// step applies the one migration that the file needs next.
func step(ctx context.Context, path string, tx *sql.Tx, opts options) error {
	have, err := userVersion(ctx, tx)
	if err != nil || have >= opts.version {
		return err
	}
	for _, m := range opts.migrations {
		if m.from != have {
			continue
		}
		_, err = tx.ExecContext(ctx, m.sql)
		if err != nil {
			return fmt.Errorf("migrate from version %d: %w", have, err)
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", have+1))
		return err
	}
	return &Error{
		Problem: fmt.Sprintf("%s has version %d, which this program cannot bring up to %d", path, have, opts.version),
		Hint:    "name another file with --db FILE",
	}
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

// sameVersion is the check of a reader, which cannot migrate.
func (db *DB) sameVersion(ctx context.Context) error {
	return db.read(ctx, func(tx *sql.Tx) error {
		have, err := userVersion(ctx, tx)
		switch {
		case err != nil:
			return err
		case have > db.opts.version:
			return tooNew(db.path, have, db.opts.version)
		case have < db.opts.version:
			return &Error{
				Problem: fmt.Sprintf("%s was written by an older mailaudit (version %d; this program reads %d)", db.path, have, db.opts.version),
				Hint:    "the next mailaudit audit brings it up to date",
			}
		}
		return nil
	})
}
