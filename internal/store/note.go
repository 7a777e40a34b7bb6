package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"unicode/utf8"

	"mailaudit/internal/audit"
)

// MaxNote bounds the note of a run, in octets: a remark, not a document.
const MaxNote = 1000

// SetNote replaces the remark of the user on a run, of whatever state; an
// empty one takes it away. It is kept octet for octet, as it was typed: to
// print it is to print an audit.Raw. A note that is longer than MaxNote or no
// text, and a run that does not exist, are an *audit.InputError.
func (db *DB) SetNote(ctx context.Context, run int64, text string) error {
	err := CheckNote(text)
	if err != nil {
		return err
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "UPDATE runs SET note = ? WHERE id = ? AND state <> 'pruned'", text, run)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			err = noRun(ctx, tx, run)
		}
		return err
	})
}

// CheckNote refuses what no run can have as its note: what is longer than
// MaxNote, and what would not come back as it went in. SQLite and JSON hold
// text, and text of SQLite ends at a zero octet for many a reader of it. The
// error is an *audit.InputError.
func CheckNote(text string) error {
	switch {
	case len(text) > MaxNote:
		return &audit.InputError{Problem: fmt.Sprintf("a note has at most %d bytes; this one has %d", MaxNote, len(text)), Hint: "shorten it"}
	case !utf8.ValidString(text) || strings.Contains(text, "\x00"):
		return &audit.InputError{Problem: "a note is text in UTF-8 without zero bytes", Hint: "leave out what is no text"}
	}
	return nil
}

// noteColumn is the note of the run r in a query. OpenRead reads files of
// version 1 as they are, and those have none.
func (db *DB) noteColumn(ctx context.Context, tx *sql.Tx) (string, error) {
	if !db.reader {
		return "r.note", nil
	}
	var columns int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM pragma_table_info('runs') WHERE name = 'note'").Scan(&columns)
	if err != nil || columns == 0 {
		return "''", err
	}
	return "r.note", nil
}
