//go:build unix

package store

import (
	"os"
	"syscall"
)

// ownedByUs reports whether a file belongs to this user or to the system.
func ownedByUs(st os.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return !ok || sys.Uid == 0 || int(sys.Uid) == os.Geteuid()
}
