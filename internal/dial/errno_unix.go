//go:build unix

package dial

import (
	"errors"
	"syscall"

	"mailaudit/internal/audit"
)

// errnoCode is the class of the errno in err, or "" when it holds none that
// we know (connect(2), tcp(7), ip(7)).
func errnoCode(err error) audit.Code {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return ""
	}
	switch no {
	case syscall.ECONNREFUSED:
		return audit.ConnRefused
	case syscall.ETIMEDOUT:
		return audit.Timeout
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
		return audit.Reset
	case syscall.EHOSTUNREACH, syscall.EHOSTDOWN:
		return audit.Unreachable
	case syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT:
		return audit.NoRoute
	case syscall.EPERM, syscall.EACCES:
		return audit.LocalPolicy
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
		return audit.LocalError
	}
	return ""
}
