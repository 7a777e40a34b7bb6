package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"mailaudit/internal/audit"
)

// maxLockText bounds what is read of a lock file, which anybody may have
// written who may write to its directory.
const maxLockText = 1024

// errHeld is what the system says of a lock that somebody has.
var errHeld = errors.New("the lock is held")

// Lock takes the one lock that a history has for unattended runs, so that the
// nightly audit does not begin while the last one still goes on. It is not
// what keeps the file whole: SQLite does that, and whoever does not ask for the
// lock is not kept from anything. It is a lock of the system (flock,
// LockFileEx) on history.db.lock beside the history, which goes away with the
// process, however that ends: no lock outlives a crash. The file stays; it says
// who holds the lock: process id, host and since when, a line each.
//
// The function that Lock returns gives the lock back. When another has it, the
// error is an *Error that names the holder. Lock does not wait.
func Lock(path string) (func() error, error) { return lockAt(path, time.Now) }

func lockAt(path string, now func() time.Time) (func() error, error) {
	err := os.MkdirAll(filepath.Dir(path), dirMode)
	if err != nil {
		return nil, explain(path, err)
	}
	name := realFile(path) + ".lock"
	err = ownedLink(name)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, explain(path, err)
	}
	err = lockFile(f)
	if err == nil {
		err = writeHolder(f, now())
		if err == nil {
			return sync.OnceValue(func() error { return unlock(f) }), nil
		}
	}
	if errors.Is(err, errHeld) {
		err = held(f)
	} else {
		err = &Error{Problem: fmt.Sprintf("%s cannot be locked: %v", name, err), Hint: hintElsewhere, Err: err}
	}
	_ = f.Close() // nothing was written, or nothing that matters
	return nil, explain(path, err)
}

// unlock empties the file first: what it says must not be taken for the holder
// after this one.
func unlock(f *os.File) error { return errors.Join(f.Truncate(0), f.Close()) }

func writeHolder(f *os.File, now time.Time) error {
	host, err := os.Hostname()
	if err != nil {
		host = "" // the process id will have to do
	}
	err = f.Truncate(0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(fmt.Sprintf("%d\n%s\n%s\n", os.Getpid(), host, formatTime(now))), 0)
	return err
}

// held says who has the lock. The holder may not have written its name yet,
// and the name of a holder that was killed may still be there: then the lock is
// just held.
func held(f *os.File) error {
	e := &Error{Problem: "another audit uses this history", Hint: "try again when it has finished, or name another file with --db FILE", Err: errHeld}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxLockText))
	if err != nil {
		return e
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 4 { // the last one is empty
		return e
	}
	pid, pidErr := strconv.Atoi(lines[0])
	since, timeErr := parseTime(lines[2])
	here, hostErr := os.Hostname()
	if pidErr != nil || timeErr != nil || hostErr == nil && here == lines[1] && !alive(pid) {
		return e
	}
	host := ""
	if lines[1] != "" {
		host = " on " + audit.Raw(lines[1]).Clip(100).String()
	}
	e.Problem = fmt.Sprintf("another audit (pid %d%s, since %s) uses this history", pid, host, since.Format("2006-01-02 15:04 MST"))
	return e
}
