package dial

import (
	"errors"
	"syscall"

	"mailaudit/internal/audit"
)

// Winsock errors that package syscall does not name; its own ECONNREFUSED and
// friends are invented numbers that Windows never returns
// (https://learn.microsoft.com/windows/win32/winsock/windows-sockets-error-codes-2).
const (
	wsaEMFILE        = syscall.Errno(10024)
	wsaEAFNOSUPPORT  = syscall.Errno(10047)
	wsaEADDRNOTAVAIL = syscall.Errno(10049)
	wsaENETDOWN      = syscall.Errno(10050)
	wsaENETUNREACH   = syscall.Errno(10051)
	wsaENOBUFS       = syscall.Errno(10055)
	wsaESHUTDOWN     = syscall.Errno(10058)
	wsaETIMEDOUT     = syscall.Errno(10060)
	wsaECONNREFUSED  = syscall.Errno(10061)
	wsaEHOSTDOWN     = syscall.Errno(10064)
	wsaEHOSTUNREACH  = syscall.Errno(10065)
)

// errnoCode is the class of the errno in err, or "" when it holds none that
// we know. The invented numbers count too: in-memory networks return them.
func errnoCode(err error) audit.Code {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return ""
	}
	switch no {
	case wsaECONNREFUSED, syscall.ECONNREFUSED:
		return audit.ConnRefused
	case wsaETIMEDOUT, syscall.ETIMEDOUT:
		return audit.Timeout
	case syscall.WSAECONNRESET, syscall.WSAECONNABORTED, wsaESHUTDOWN,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE:
		return audit.Reset
	case wsaEHOSTUNREACH, wsaEHOSTDOWN, syscall.EHOSTUNREACH, syscall.EHOSTDOWN:
		return audit.Unreachable
	case wsaENETUNREACH, wsaENETDOWN, wsaEADDRNOTAVAIL, wsaEAFNOSUPPORT,
		syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT:
		return audit.NoRoute
	case syscall.WSAEACCES, syscall.ERROR_ACCESS_DENIED, syscall.EACCES, syscall.EPERM:
		return audit.LocalPolicy
	case wsaEMFILE, wsaENOBUFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
		return audit.LocalError
	}
	return ""
}
