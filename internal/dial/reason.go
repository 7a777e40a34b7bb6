package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"mailaudit/internal/audit"
)

// errConnect is our own connect timeout. The net package reports it as a
// context.DeadlineExceeded, which would read as the end of the run.
var errConnect = errors.New("connect timeout")

// errEnded marks the end of the caller's ctx, apart from the timeouts of the
// net package, which claim to be context.DeadlineExceeded as well.
var errEnded = errors.New("gave up")

// errWaiting marks an attempt that ended while it still waited for its turn.
var errWaiting = errors.New("waiting for a turn")

// Attempted reports whether a call of Host that returned err has sent the host
// anything: with no error it has, and with one unless that was ours.
func Attempted(err error) bool {
	var proxy *proxyError
	if errors.As(err, &proxy) {
		return proxy.sent
	}
	return !errors.Is(err, ErrBlocked) && !errors.Is(err, ErrBudget) && !errors.Is(err, errWaiting)
}

// ended is the error for a ctx that is done: context.DeadlineExceeded or
// context.Canceled, wrapped. A cause that is one of these two wins over
// ctx.Err: a run that is canceled because its time is over was not
// interrupted by anybody.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	for _, kind := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(cause, kind) {
			err = kind
			break
		}
	}
	return fmt.Errorf("%w: %w", errEnded, err)
}

// GaveUp is the reason for a ctx that has ended: the time was over, or somebody
// stopped the run. It is undefined before.
func GaveUp(ctx context.Context) audit.Reason { return Reason(ended(ctx)) }

// blockedError is ErrBlocked with the kind of the address.
type blockedError struct {
	addr netip.Addr
	what string
}

func (e *blockedError) Error() string { return fmt.Sprintf("%s: %s is %s", ErrBlocked, e.addr, e.what) }
func (e *blockedError) Unwrap() error { return ErrBlocked }

// Reason turns an error of Host, or of reading or writing on its connection,
// into a reason code and one sentence. It looks at error values and errnos,
// never at text. An error that it does not know is LocalError: ours until
// shown to be theirs. No error gives no reason.
func Reason(err error) audit.Reason {
	if err == nil {
		return audit.Reason{}
	}
	var blocked *blockedError
	if errors.As(err, &blocked) {
		return audit.Reason{Code: audit.Blocked, Text: sentence(audit.Blocked) + ": " + blocked.what}
	}
	var proxy *proxyError
	if errors.As(err, &proxy) {
		return proxy.why
	}
	code := classify(err)
	return audit.Reason{Code: code, Text: sentence(code)}
}

// classify goes from our own decisions to the system's errors to the generic
// ones: errors of the net package match several.
func classify(err error) audit.Code {
	switch {
	case errors.Is(err, ErrBlocked):
		return audit.Blocked
	case errors.Is(err, ErrBudget):
		return audit.Budget
	case errors.Is(err, errConnect):
		return audit.Timeout
	case errors.Is(err, errEnded):
		return endCode(err)
	}
	code := errnoCode(err)
	if code != "" {
		return code
	}
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // a deadline set on the connection
		return audit.Timeout
	case errors.As(err, &op) && op.Timeout():
		return audit.Timeout
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return endCode(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return audit.Closed
	}
	var other net.Error
	if errors.As(err, &other) && other.Timeout() {
		return audit.Timeout
	}
	return audit.LocalError
}

func endCode(err error) audit.Code {
	if errors.Is(err, context.DeadlineExceeded) {
		return audit.Deadline
	}
	return audit.Interrupted
}

// sentence is what people read. It names no address and no time: reasons are
// part of the canonical facts.
func sentence(code audit.Code) string {
	switch code {
	case audit.ConnRefused:
		return "the connection was refused"
	case audit.Timeout:
		return "there was no answer in time"
	case audit.Reset:
		return "the connection was reset"
	case audit.Closed:
		return "the other side closed the connection"
	case audit.Unreachable:
		return "a router on the way reports that the host is unreachable"
	case audit.NoRoute:
		return "there is no way to this address from here (no IPv6, for example)"
	case audit.LocalPolicy:
		return "our own system does not permit the connection (a local firewall, for example)"
	case audit.Blocked:
		return "not contacted, because the address is special-purpose"
	case audit.Budget:
		return "not contacted again, because the connection budget of the address is used up"
	case audit.Deadline:
		return "the time of this audit ran out"
	case audit.Interrupted:
		return "the run was interrupted"
	}
	return "our own system could not make or keep the connection"
}
