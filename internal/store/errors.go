package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"mailaudit/internal/audit"
)

// Error is a database that cannot be used: what is wrong, in one line, and
// what to do about it. The program exits with 4.
type Error struct {
	Problem string
	Hint    string // may be empty
	Err     error  // what the system or SQLite said; nil when we found out ourselves
}

// Error is the problem alone: the hint is shown apart.
func (e *Error) Error() string { return e.Problem }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hints that several problems share. That an audit can do without a history,
// only the command that makes audits knows.
const (
	hintElsewhere = "name another file with --db FILE"
	hintDamaged   = "restore a backup, or move the file away and a new history begins; mailaudit db check lists what is wrong"
)

func notSQLite(path string, err error) error {
	return &Error{Problem: path + " is not an SQLite database", Hint: hintElsewhere, Err: err}
}

func notOurs(path string) error {
	return &Error{Problem: path + " is an SQLite database of another program", Hint: hintElsewhere}
}

func tooNew(path string, have, want int) error {
	return &Error{
		Problem: fmt.Sprintf("%s was written by a newer mailaudit (version %d; this program knows %d); it was left untouched", path, have, want),
		Hint:    "upgrade mailaudit, or name another file with --db FILE",
	}
}

func keepsChanging(path string) error {
	return &Error{Problem: path + " keeps changing while it is read", Hint: "try again when the writing program has finished"}
}

func noHistory(path string) error {
	return &Error{Problem: "there is no history yet at " + path, Hint: "mailaudit audit DOMAIN begins one; --db FILE names another"}
}

// damaged is content that contradicts itself although SQLite can read it.
func damaged(path, format string, args ...any) error {
	return &Error{Problem: fmt.Sprintf("%s is damaged: %s", path, fmt.Sprintf(format, args...)), Hint: hintDamaged}
}

// explain turns what the system or SQLite said about a database into an
// *Error. The end of a context, bad input, and what is an *Error already pass
// through; so does what can only be a mistake in this program.
func explain(path string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	var input *audit.InputError
	var lite *sqlite.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &input):
		return err
	case errors.As(err, &known):
		return known
	case errors.As(err, &lite):
		return explainSQLite(path, lite, err)
	}
	return explainSystem(path, err)
}

// primary is the result code without its extension, see
// https://www.sqlite.org/rescode.html.
func primary(e *sqlite.Error) int { return e.Code() & 0xff }

func isBusy(err error) bool {
	var lite *sqlite.Error
	return errors.As(err, &lite) && (primary(lite) == sqlite3.SQLITE_BUSY || primary(lite) == sqlite3.SQLITE_LOCKED)
}

func explainSQLite(path string, lite *sqlite.Error, err error) error {
	switch primary(lite) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return &Error{Problem: fmt.Sprintf("%s has been locked by another program for more than %.0f s", path, busyTimeout.Seconds()),
			Hint: "try again when it has finished", Err: err}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return readOnly(path, err)
	case sqlite3.SQLITE_FULL:
		return diskFull(path, err)
	case sqlite3.SQLITE_NOTADB:
		return notSQLite(path, err)
	case sqlite3.SQLITE_CORRUPT:
		return &Error{Problem: path + " is damaged", Hint: hintDamaged, Err: err}
	case sqlite3.SQLITE_ERROR: // our statements are fixed, so the tables are not what they should be
		return &Error{Problem: fmt.Sprintf("%s is damaged: %v", path, lite), Hint: hintDamaged, Err: err}
	case sqlite3.SQLITE_CANTOPEN:
		return &Error{Problem: path + " cannot be opened, or its -wal or -shm file cannot", Hint: hintElsewhere, Err: err}
	case sqlite3.SQLITE_IOERR:
		return &Error{Problem: fmt.Sprintf("the system cannot read or write %s: %v", path, lite),
			Hint: "look for a full or failing disk", Err: err}
	}
	return fmt.Errorf("history %s: %w", path, err)
}

func readOnly(path string, err error) error {
	return &Error{Problem: path + " or its directory cannot be written", Hint: hintElsewhere, Err: err}
}

func diskFull(path string, err error) error {
	return &Error{Problem: fmt.Sprintf("no space left for %s: nothing of this run was stored, what was stored before is intact", path),
		Hint: "make room, or name another file with --db FILE", Err: err}
}

func explainSystem(path string, err error) error {
	var at *os.PathError
	if !errors.As(err, &at) {
		return fmt.Errorf("history %s: %w", path, err)
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return diskFull(path, err)
	case errors.Is(err, syscall.EISDIR):
		return &Error{Problem: path + " is a directory, not a history file", Hint: "name a file in it: --db " + filepath.Join(path, "history.db"), Err: err}
	case errors.Is(err, fs.ErrPermission):
		return &Error{Problem: "no permission for " + at.Path, Hint: hintElsewhere, Err: err}
	}
	return &Error{Problem: fmt.Sprintf("%s cannot be used: %v", path, at), Hint: hintElsewhere, Err: err}
}
