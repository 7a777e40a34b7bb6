//go:build unix

package store

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock or reports errHeld. It belongs to the open file, not
// to the process as the locks of fcntl do: closing the file elsewhere in this
// process does not drop it (flock(2)).
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errHeld
		}
		return err
	}
}
