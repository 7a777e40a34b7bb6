package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"mailaudit/internal/audit"
)

// Limits.
const (
	// busyTimeout is how long a writer waits for another process: longer than
	// storing any run takes, short enough for a person to wait.
	busyTimeout = 5 * time.Second
	// maxConns bounds the connections of one DB: one writer and some readers.
	maxConns = 4
	// maxBlob bounds what one compressed value may become in memory. Nothing
	// that we store comes near; a damaged or hostile file might.
	maxBlob = 64 << 20
)

// DB is an open history. It is safe for concurrent use.
type DB struct {
	path    string // as it was given
	file    string // the file itself, behind a symbolic link: what lies beside it is named after it
	reader  bool   // OpenRead has opened it
	from    int    // the version of the schema that Open found
	opts    options
	now     func() time.Time
	notes   []string
	enc     *zstd.Encoder
	dec     *zstd.Decoder
	writing chan struct{} // holds a token while a goroutine writes
	hook    func(stage string)

	mu     sync.RWMutex // guards sql and frozen against reopening
	sql    *sql.DB
	frozen *stamp // set when SQLite was told that the file does not change
}

// options are the seams that tests need.
type options struct {
	schema     string
	version    int
	migrations []migration
	busy       time.Duration
	maxPages   int // 0: no limit
}

// Open opens the history at path for reading and writing. It creates the
// directory (0700) and the file (0600, before SQLite sees it, so that -wal and
// -shm inherit the mode). An older file it brings up to date, after it has made
// a copy of it as it was, see [CopyName]; without room for that it refuses.
// Every unusable database is an *Error; nothing is written to a file that is
// not ours or that a newer program has made.
func Open(ctx context.Context, path string) (*DB, error) {
	return open(ctx, path, current())
}

func open(ctx context.Context, path string, opts options) (*DB, error) {
	notes, err := prepare(path)
	if err != nil {
		return nil, err
	}
	fresh, err := inspect(path, opts.version)
	if err != nil {
		return nil, err
	}
	if fresh {
		err = create(ctx, path, opts)
		if err != nil {
			return nil, explain(path, err)
		}
	}
	db, err := newDB(path, opts)
	if err != nil {
		return nil, err
	}
	db.notes = notes
	db.sql, err = connect(ctx, writeDSN(path, opts), opts.busy)
	if err == nil {
		err = db.upgrade(ctx)
	}
	if err != nil {
		return nil, explain(path, errors.Join(err, db.Close()))
	}
	return db, nil
}

// OpenRead opens the history at path for reading. It never writes and never
// creates, and works on a read-only file in a read-only directory. A file that
// is not there, or holds nothing yet, is an *Error that says so. An older file
// is read as it is, when it is not too old for that.
func OpenRead(ctx context.Context, path string) (*DB, error) {
	opts := current()
	fresh, err := inspect(path, opts.version)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && fresh:
		return nil, noHistory(path)
	case err != nil:
		return nil, err
	}
	db, err := newDB(path, opts)
	if err != nil {
		return nil, err
	}
	db.reader = true
	err = db.openRead(ctx)
	if err == nil {
		err = db.readableVersion(ctx)
	}
	if err != nil {
		return nil, explain(path, errors.Join(err, db.Close()))
	}
	return db, nil
}

func newDB(path string, opts options) (*DB, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("prepare compression: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlob))
	if err != nil {
		return nil, fmt.Errorf("prepare decompression: %w", err)
	}
	return &DB{path: path, file: realFile(path), opts: opts, now: time.Now, enc: enc, dec: dec, writing: make(chan struct{}, 1)}, nil
}

// Path is the file that was opened.
func (db *DB) Path() string { return db.path }

// Notes are sentences about the file that its owner should know and that stop
// nobody, such as a mode that lets others read it.
func (db *DB) Notes() []string { return db.notes }

// Size is what the history takes on the disk, in octets, the write-ahead log
// included.
func (db *DB) Size() (int64, error) {
	var total int64
	for _, suffix := range []string{"", "-wal"} {
		st, err := os.Stat(db.file + suffix)
		switch {
		case err == nil:
			total += st.Size()
		case suffix == "" || !errors.Is(err, fs.ErrNotExist):
			return 0, explain(db.path, err)
		}
	}
	return total, nil
}

// Close closes the file. The last one to close it also empties the write-ahead
// log into it.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.dec.Close()
	err := db.enc.Close()
	if db.sql != nil {
		err = errors.Join(err, db.sql.Close())
	}
	return explain(db.path, err)
}

// write runs f in one transaction that holds the write lock from its first
// statement (BEGIN IMMEDIATE). Goroutines of this process queue without limit,
// other processes for busyTimeout.
func (db *DB) write(ctx context.Context, f func(tx *sql.Tx) error) error {
	return db.exclusive(ctx, func() error { return transact(ctx, db.sql, f) })
}

// exclusive runs f when no other goroutine writes.
func (db *DB) exclusive(ctx context.Context, f func() error) error {
	select {
	case db.writing <- struct{}{}:
		defer func() { <-db.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return explain(db.path, f())
}

// read runs f over one unchanging view of the file. f may be run again from
// the start, see frozen.go.
func (db *DB) read(ctx context.Context, f func(tx *sql.Tx) error) error {
	for range maxReopen {
		again, err := db.readOnce(ctx, f)
		if !again {
			return explain(db.path, err)
		}
		err = db.reopen(ctx)
		if err != nil {
			return explain(db.path, err)
		}
	}
	return keepsChanging(db.path)
}

func (db *DB) readOnce(ctx context.Context, f func(tx *sql.Tx) error) (bool, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.sql == nil {
		return false, errors.New("it is closed")
	}
	err := glance(ctx, db.sql, f)
	if db.frozen != nil && !db.frozen.same(takeStamp(db.file)) {
		return true, nil // whatever came out may be torn
	}
	return false, err
}

// glance runs f in a transaction that only reads. There is nothing to commit,
// and on a damaged page the end of it fails for what f has already been told.
func glance(ctx context.Context, pool *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	return f(tx)
}

// transact runs f in a transaction and commits it when f succeeds.
func transact(ctx context.Context, pool *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = f(tx)
	if err == nil {
		return tx.Commit()
	}
	rollback := tx.Rollback()
	if errors.Is(rollback, sql.ErrTxDone) {
		rollback = nil // the context ended, and took the transaction with it
	}
	return errors.Join(err, rollback)
}

// timeForm is RFC 3339 in UTC with milliseconds: of fixed width, so that text
// order is time order.
const timeForm = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeForm) }

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeForm, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("the time %q is not in the stored form", audit.Raw(s).Clip(40))
	}
	return t, nil
}
