package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"mailaudit/internal/audit"
)

func TestReason(t *testing.T) {
	op := func(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }
	sys := func(no syscall.Errno) error { return op(os.NewSyscallError("connect", no)) }
	const (
		refused     = "the connection was refused"
		timeout     = "there was no answer in time"
		reset       = "the connection was reset"
		closed      = "the other side closed the connection"
		unreachable = "a router on the way reports that the host is unreachable"
		noRoute     = "there is no way to this address from here (no IPv6, for example)"
		policy      = "our own system does not permit the connection (a local firewall, for example)"
		blocked     = "not contacted, because the address is special-purpose"
		budget      = "not contacted again, because the connection budget of the address is used up"
		deadline    = "the time of this audit ran out"
		interrupted = "the run was interrupted"
		local       = "our own system could not make or keep the connection"
	)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		err  error
		code audit.Code
		text string
	}{
		{"nothing", nil, "", ""},
		{"ECONNREFUSED", sys(syscall.ECONNREFUSED), audit.ConnRefused, refused},
		{"bare errno", syscall.ECONNREFUSED, audit.ConnRefused, refused},
		{"ETIMEDOUT", sys(syscall.ETIMEDOUT), audit.Timeout, timeout},
		{"connection deadline", op(os.ErrDeadlineExceeded), audit.Timeout, timeout},
		{"bare connection deadline", os.ErrDeadlineExceeded, audit.Timeout, timeout},
		{"a dial that ran out of time by itself", op(context.DeadlineExceeded), audit.Timeout, timeout},
		{"our connect timeout", fmt.Errorf("x: %w", errConnect), audit.Timeout, timeout},
		{"another timeout", &net.DNSError{IsTimeout: true}, audit.Timeout, timeout},
		{"ECONNRESET", sys(syscall.ECONNRESET), audit.Reset, reset},
		{"EPIPE", sys(syscall.EPIPE), audit.Reset, reset},
		{"ECONNABORTED", sys(syscall.ECONNABORTED), audit.Reset, reset},
		{"EHOSTUNREACH", sys(syscall.EHOSTUNREACH), audit.Unreachable, unreachable},
		{"ENETUNREACH", sys(syscall.ENETUNREACH), audit.NoRoute, noRoute},
		{"EADDRNOTAVAIL", sys(syscall.EADDRNOTAVAIL), audit.NoRoute, noRoute},
		{"EAFNOSUPPORT", sys(syscall.EAFNOSUPPORT), audit.NoRoute, noRoute},
		{"EPERM", sys(syscall.EPERM), audit.LocalPolicy, policy},
		{"EACCES", sys(syscall.EACCES), audit.LocalPolicy, policy},
		{"EMFILE", sys(syscall.EMFILE), audit.LocalError, local},
		{"ENFILE", sys(syscall.ENFILE), audit.LocalError, local},
		{"ENOBUFS", sys(syscall.ENOBUFS), audit.LocalError, local},
		{"an errno that nobody expects", sys(syscall.EINVAL), audit.LocalError, local},
		{"EOF", io.EOF, audit.Closed, closed},
		{"EOF in the middle", fmt.Errorf("tls: %w", io.ErrUnexpectedEOF), audit.Closed, closed},
		{"guard", fmt.Errorf("x: %w", ErrBlocked), audit.Blocked, blocked},
		{"budget", fmt.Errorf("x: %w", ErrBudget), audit.Budget, budget},
		{"deadline of the run", context.DeadlineExceeded, audit.Deadline, deadline},
		{"interrupted", fmt.Errorf("x: %w", context.Canceled), audit.Interrupted, interrupted},
		{"a wait that ended", ended(done), audit.Interrupted, interrupted},
		{"our own Close", op(net.ErrClosed), audit.LocalError, local},
		{"text is never looked at", errors.New("connection refused"), audit.LocalError, local},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Reason(tt.err)
			if got.Code != tt.code || got.Text != tt.text {
				t.Errorf("Reason(%v) = %q %q, want %q %q", tt.err, got.Code, got.Text, tt.code, tt.text)
			}
		})
	}
}
