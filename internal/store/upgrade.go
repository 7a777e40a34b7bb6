package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Migrate brings the history at path up to date and returns the versions of
// its schema before and after. When they are the same there was nothing to do,
// and nothing was written. The file as it was is kept in [CopyName]. Migrate
// creates no history: when there is none the error is an *Error.
func Migrate(ctx context.Context, path string) (int, int, error) {
	db, err := OpenExisting(ctx, path)
	if err != nil {
		return 0, 0, err
	}
	return db.from, db.opts.version, db.Close()
}

// OpenExisting is [Open] for a history that there is already: when there is
// none the error is an *Error, and none is created.
func OpenExisting(ctx context.Context, path string) (*DB, error) {
	opts := current()
	fresh, err := inspect(path, opts.version)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && fresh:
		return nil, noHistory(path)
	case err != nil:
		return nil, err
	}
	return open(ctx, path, opts)
}

// CopyName is where the history at path is kept as it was, when it is brought
// up from an older version.
func CopyName(path string, version int) string {
	return fmt.Sprintf("%s.v%d.bak", realFile(path), version)
}

// upgrade brings the file up to date, once a copy of it is made. An older
// program may go on with the copy, and whoever mistrusts the newer one.
func (db *DB) upgrade(ctx context.Context) error {
	have, err := userVersion(ctx, db.sql)
	if err != nil {
		return err
	}
	db.from = have
	if have > db.opts.version {
		return tooNew(db.path, have, db.opts.version)
	}
	for v := have; v < db.opts.version; v++ { // before anything is written
		_, err = nextStep(db.path, v, db.opts)
		if err != nil {
			return err
		}
	}
	if have == db.opts.version {
		return nil
	}
	err = db.keepOld(ctx, have)
	if err != nil {
		return err
	}
	moved, err := migrate(ctx, db.path, db.sql, db.opts)
	if err != nil {
		return err
	}
	if moved {
		db.notes = append(db.notes, fmt.Sprintf("%s was brought from version %d to %d; as it was before, it is kept in %s",
			db.path, have, db.opts.version, CopyName(db.path, have)))
	}
	return nil
}

// keepOld makes the copy. One of the same name is replaced: it is of the same
// history at an earlier time, as when somebody went back to it.
func (db *DB) keepOld(ctx context.Context, version int) error {
	name := CopyName(db.path, version)
	tmp, err := db.copyBeside(ctx, name)
	if err != nil {
		return db.noCopy(err)
	}
	head, err := readHeader(tmp)
	if err == nil && (len(head) < headerLen || headerVersion(head) != version) {
		return os.Remove(tmp) // another process was quicker, and has made the copy
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// noCopy explains why the file stays as old as it is.
func (db *DB) noCopy(err error) error {
	if !isFull(err) {
		return err
	}
	room := ""
	size, sizeErr := db.Size()
	if sizeErr == nil { // it is only a hint
		room = fmt.Sprintf("; that takes up to %d KB", size/1024+1)
	}
	return &Error{
		Problem: fmt.Sprintf("there is no room beside %s for a copy of it, which is made before it is brought up to date%s; it was left untouched", db.path, room),
		Hint:    "make room, then: mailaudit db migrate",
		Err:     err,
	}
}

// isFull reports whether an error says that the disk is full, or the user's
// share of it.
func isFull(err error) bool {
	var lite *sqlite.Error
	return errors.Is(err, syscall.ENOSPC) || errors.As(err, &lite) && primary(lite) == sqlite3.SQLITE_FULL
}
