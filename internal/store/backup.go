package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mailaudit/internal/audit"
)

// Backup writes a copy of the whole history to path: a new file of mode 0600,
// compact, consistent, and a history by itself. Others may write meanwhile;
// what they commit after the copy has begun is not in it. The file appears
// under its name when it is complete. A path that exists already is an
// *audit.InputError: a backup overwrites nothing.
func (db *DB) Backup(ctx context.Context, path string) error {
	_, err := os.Lstat(path)
	if err == nil {
		return wouldOverwrite(path)
	}
	tmp := ""
	for range maxReopen {
		var again bool
		tmp, again, err = db.copyOnce(ctx, path)
		if err != nil {
			return explain(db.path, backupFailed(path, err))
		}
		if !again {
			break
		}
		err = db.reopen(ctx)
		if err != nil {
			return explain(db.path, err)
		}
	}
	if tmp == "" {
		return keepsChanging(db.path)
	}
	err = publish(tmp, path)
	if errors.Is(err, fs.ErrExist) {
		return wouldOverwrite(path)
	}
	return explain(db.path, backupFailed(path, err))
}

func wouldOverwrite(path string) error {
	return &audit.InputError{Problem: path + " exists already, and a backup overwrites nothing", Hint: "name a file that does not exist yet"}
}

// backupFailed says of what concerns the new file that it does, and leaves
// alone what the history has.
func backupFailed(path string, err error) error {
	const hint = "name a file elsewhere"
	var file *os.PathError
	var link *os.LinkError
	switch {
	case isFull(err):
		return &Error{Problem: "no space left for the backup " + path + ": nothing of it was kept", Hint: "make room, or " + hint, Err: err}
	case errors.As(err, &file):
		return &Error{Problem: fmt.Sprintf("the backup %s cannot be written: %v", path, file.Err), Hint: hint, Err: err}
	case errors.As(err, &link):
		return &Error{Problem: fmt.Sprintf("the backup %s cannot be written: %v", path, link.Err), Hint: hint, Err: err}
	}
	return err
}

// copyOnce makes a copy, and reports instead that the file changed meanwhile
// although SQLite had been told that it would not.
func (db *DB) copyOnce(ctx context.Context, path string) (string, bool, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.sql == nil {
		return "", false, errors.New("it is closed")
	}
	tmp, err := db.copyBeside(ctx, path)
	if db.frozen == nil || db.frozen.same(takeStamp(db.file)) {
		return tmp, false, err
	}
	if err == nil {
		err = os.Remove(tmp)
	} else {
		err = nil // whatever it was, it may come of a torn view
	}
	return "", true, err
}

// copyBeside copies the history to a new temporary file in the directory of
// path and returns its name, when all of it is on the disk. The copy is of one
// state of the file, see https://www.sqlite.org/lang_vacuum.html#vacuuminto.
func (db *DB) copyBeside(ctx context.Context, path string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // 0600, and new
	if err != nil {
		return "", err
	}
	err = f.Close()
	if err == nil {
		err = db.vacuumInto(ctx, f.Name())
	}
	if err == nil {
		err = syncFile(f.Name())
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// vacuumInto fills an empty file, whose name has a directory: SQLite would take
// a bare file:x for a URI. It takes a connection of its own: that of a
// reader has been told never to write, to any file.
func (db *DB) vacuumInto(ctx context.Context, name string) error {
	params := []string{"mode=ro"}
	if db.frozen != nil {
		params = append(params, "immutable=1")
	}
	pool, err := connect(ctx, dsn(db.path, db.opts.busy, params...), db.opts.busy)
	if err != nil {
		return err
	}
	_, err = pool.ExecContext(ctx, "VACUUM INTO ?", name)
	return errors.Join(err, pool.Close())
}

// syncFile waits until the content of a file is on the disk.
func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// publish gives a file its name unless another has it: a link cannot
// overwrite. Where there are no links, as on FAT, the name is taken first.
func publish(tmp, path string) error {
	err := os.Link(tmp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return errors.Join(err, os.Remove(tmp))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, fileMode)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}
