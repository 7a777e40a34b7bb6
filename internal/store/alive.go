package store

import (
	"errors"
	"os"
	"syscall"
	"time"

	"mailaudit/internal/audit"
)

// Interrupted is how a run reads that is stored as running and whose process
// is gone: it was killed, or the machine went down. It is never stored.
const Interrupted audit.RunState = "interrupted"

// maxRunning is the age from which a running run is taken for interrupted
// whatever its process id says, because ids are used again. No audit takes
// anywhere near a day.
const maxRunning = 24 * time.Hour

// process says who is running a run.
type process struct {
	pid  int
	host string // "" when it is not known
}

// stateOf reads the stored state. A running run is alive while its process id
// exists on this host; of another host only the age is known.
func (db *DB) stateOf(stored audit.RunState, started time.Time, p process) audit.RunState {
	if stored != audit.Running {
		return stored
	}
	if db.now().Sub(started) > maxRunning {
		return Interrupted
	}
	here, err := os.Hostname()
	if err == nil && here == p.host && !alive(p.pid) {
		return Interrupted
	}
	return audit.Running
}

// alive reports whether there is such a process, as far as the system tells:
// when in doubt it is.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false // Windows: it cannot be opened because it is not there
	}
	defer func() { _ = p.Release() }() // nothing depends on it
	err = p.Signal(syscall.Signal(0))
	return !errors.Is(err, os.ErrProcessDone)
}
