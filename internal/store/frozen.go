package store

import (
	"context"
	"errors"
	"os"
	"time"
)

// A WAL-mode file can be read without writing anything next to it only when
// SQLite is told that it does not change (immutable=1,
// https://www.sqlite.org/wal.html#read_only_databases). That is true while no
// -wal file with content exists, and stops being true when a writer comes
// along. So the reader notes what the file looked like before it opened it,
// looks again after every read, and reads again when that differs: then
// usually beside the writer's -wal, under its locks.

// maxReopen bounds how often a read starts over. A writer that comes and goes
// between two looks, this many times in a row, is not a nightly audit.
const maxReopen = 5

// stamp is what shows that nobody has written.
type stamp struct {
	file os.FileInfo // nil when there is no such file
	wal  int64       // octets in the -wal file
}

func takeStamp(path string) stamp {
	var s stamp
	file, err := os.Stat(path)
	if err == nil {
		s.file = file
	}
	wal, err := os.Stat(path + "-wal")
	if err == nil {
		s.wal = wal.Size()
	}
	return s
}

func (s stamp) same(t stamp) bool {
	if s.file == nil || t.file == nil {
		return false
	}
	return s.wal == t.wal && s.file.Size() == t.file.Size() &&
		s.modified().Equal(t.modified()) && os.SameFile(s.file, t.file)
}

func (s stamp) modified() time.Time { return s.file.ModTime() }

// openRead connects for reading, as frozen as the file is right now.
func (db *DB) openRead(ctx context.Context) error {
	s := takeStamp(db.file)
	db.frozen = nil
	if s.wal == 0 {
		db.frozen = &s
	}
	var err error
	db.sql, err = connect(ctx, readDSN(db.path, db.opts, db.frozen != nil), db.opts.busy)
	return err
}

// reopen is openRead for a file that has changed under us.
func (db *DB) reopen(ctx context.Context) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	old := db.sql
	db.sql = nil
	return errors.Join(old.Close(), db.openRead(ctx))
}
