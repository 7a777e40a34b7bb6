package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// The header of an SQLite file (https://www.sqlite.org/fileformat2.html
// section 1.3): the first hundred octets of it.
const (
	headerLen       = 100
	headerMagic     = "SQLite format 3\x00"
	headerVersionAt = 60         // user_version, four octets, big-endian
	headerAppAt     = 68         // application_id, likewise
	applicationID   = 0x6d61696c // "mail", as in schema.sql
)

// Modes of what we create: history shows who was audited, and when.
const (
	dirMode  = 0o700
	fileMode = 0o600
)

// prepare makes sure that there is a file of ours to open, before SQLite
// could create one with a wider mode.
func prepare(path string) ([]string, error) {
	err := ownedLink(path)
	if err != nil {
		return nil, err
	}
	err = os.MkdirAll(filepath.Dir(path), dirMode)
	if err != nil {
		return nil, explain(path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return nil, readOnly(path, err)
	case err != nil:
		return nil, explain(path, err)
	}
	st, err := f.Stat()
	err = errors.Join(err, f.Close())
	if err != nil {
		return nil, explain(path, err)
	}
	if st.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return []string{fmt.Sprintf("%s is open to other users (mode %04o); close it with: chmod 600 %s", path, st.Mode().Perm(), path)}, nil
	}
	return nil, nil
}

// ownedLink refuses a path that is somebody else's symbolic link: in a
// directory that others may write to, it would lead us to any file of ours.
func ownedLink(path string) error {
	st, err := os.Lstat(path)
	if err != nil || st.Mode()&fs.ModeSymlink == 0 || ownedByUs(st) {
		return nil // what cannot be seen, opening will explain
	}
	return &Error{Problem: path + " is a symbolic link that belongs to another user", Hint: "name another file with --db FILE"}
}

// realFile is the file that a symbolic link leads to. SQLite puts its -wal and
// -shm beside that one, not beside the link.
func realFile(path string) string {
	st, err := os.Lstat(path)
	if err != nil || st.Mode()&fs.ModeSymlink == 0 {
		return path
	}
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path // what is wrong with it, opening will explain
	}
	return file
}

// inspect reads the header before SQLite may touch the file. It reports
// whether the file is empty, and refuses what is not ours, and what is ours
// and newer than version. A file without a usable header but with a rollback
// journal counts as empty: it was cut off while it was created.
func inspect(path string, version int) (bool, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return false, explain(path, err)
	case st.IsDir():
		return false, &Error{Problem: path + " is a directory, not a history file", Hint: "name a file in it: --db " + filepath.Join(path, "history.db")}
	case !st.Mode().IsRegular():
		return false, &Error{Problem: path + " is not a regular file", Hint: "name another file with --db FILE"}
	case st.Size() == 0:
		return true, nil
	}
	head, err := readHeader(path)
	if err != nil {
		return false, explain(path, err)
	}
	if len(bytes.Trim(head, "\x00")) == 0 && exists(realFile(path)+"-journal") {
		return true, nil
	}
	if len(head) < headerLen || !bytes.HasPrefix(head, []byte(headerMagic)) {
		return false, notSQLite(path, nil)
	}
	if binary.BigEndian.Uint32(head[headerAppAt:]) != applicationID {
		return false, notOurs(path)
	}
	if have := headerVersion(head); have > version {
		return false, tooNew(path, have, version)
	}
	// A journal beside a file of ours was left by a kill in the middle of
	// create, after the pages were written: SQLite will roll it back to nothing.
	return exists(realFile(path) + "-journal"), nil
}

func headerVersion(head []byte) int { return int(binary.BigEndian.Uint32(head[headerVersionAt:])) }

func readHeader(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	head := make([]byte, headerLen)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], errors.Join(err, f.Close())
}

func exists(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Size() > 0
}

// create runs the schema on an empty file, in one transaction and still in
// rollback-journal mode: so the header either is not there or says whose file
// it is. Of several processes that create at once, the first does.
func create(ctx context.Context, path string, opts options) error {
	pool, err := connect(ctx, dsn(path, opts.busy, "mode=rw", lockNow), opts.busy)
	if err != nil {
		return err
	}
	err = transact(ctx, pool, func(tx *sql.Tx) error {
		var tables int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
		if err != nil || tables > 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, opts.schema)
		return err
	})
	return errors.Join(err, pool.Close())
}

// connectPause is how long to wait before asking a locked file again. The
// switch to WAL needs the file alone and does not wait by itself.
const connectPause = 20 * time.Millisecond

// connect opens a pool and proves that it works, waiting up to patience for
// others.
func connect(ctx context.Context, dsn string, patience time.Duration) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	for began := time.Now(); ; {
		var tables int // unlike Ping, this reads the file
		err = pool.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
		if !isBusy(err) || time.Since(began) >= patience {
			break
		}
		select {
		case <-time.After(connectPause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), pool.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

// lockNow makes every writing transaction take the write lock when it begins,
// so that it cannot lose it to another in the middle.
const lockNow = "_txlock=immediate"

// writeDSN has the pragmas where they reach every connection of the pool.
func writeDSN(path string, opts options, more ...string) string {
	params := append([]string{"mode=rw", lockNow, "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)"}, more...)
	if opts.maxPages > 0 {
		params = append(params, "_pragma=max_page_count("+strconv.Itoa(opts.maxPages)+")")
	}
	return dsn(path, opts.busy, params...)
}

func readDSN(path string, opts options, immutable bool) string {
	params := []string{"mode=ro", "_pragma=query_only(1)"}
	if immutable {
		params = append(params, "immutable=1")
	}
	return dsn(path, opts.busy, params...)
}

// dsn is the connection string. trusted_schema(0) keeps a prepared file from
// running functions with side effects through its views and triggers.
func dsn(path string, busy time.Duration, params ...string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	abs = filepath.ToSlash(abs)
	if !strings.HasPrefix(abs, "/") { // C:/ on Windows
		abs = "/" + abs
	}
	params = append([]string{
		"_pragma=busy_timeout(" + strconv.FormatInt(busy.Milliseconds(), 10) + ")", "_pragma=foreign_keys(1)",
		"_pragma=trusted_schema(0)", "_dqs=0",
	}, params...)
	return "file://" + (&url.URL{Path: abs}).EscapedPath() + "?" + strings.Join(params, "&")
}
