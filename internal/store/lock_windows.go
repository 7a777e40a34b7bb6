package store

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// Of the Windows API (minwinbase.h, winerror.h).
const (
	lockfileFailImmediately = 0x1
	lockfileExclusiveLock   = 0x2
	errorLockViolation      = syscall.Errno(33)
	// lockedAt is the offset of the octet that is locked. Locks bind readers,
	// too, so it lies far behind what there is to read.
	lockedAt = 1 << 30
)

// lockFile takes the lock or reports errHeld. The system gives it back when
// the file is closed or the process ends (LockFileEx).
func lockFile(f *os.File) error {
	at := syscall.Overlapped{Offset: lockedAt}
	ok, _, err := syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx").Call(
		f.Fd(), lockfileExclusiveLock|lockfileFailImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	switch {
	case ok != 0:
		return nil
	case errors.Is(err, errorLockViolation), errors.Is(err, syscall.ERROR_IO_PENDING):
		return errHeld
	}
	return err
}
