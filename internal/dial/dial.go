// Package dial is the one door out: every byte that mailaudit sends leaves
// through a [Dialer]. It connects to a netip.AddrPort, never to a name, so
// that no lookup hides in it; it refuses special-purpose addresses (the
// address guard, RFC 6890) unless the user opened them; and it is polite: one
// connection at a time to one address, spaced, and only so many of them.
package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"mailaudit/internal/audit"
)

// Network is the seam under the Dialer: the operating system's network, or
// the lab's. network is "tcp" or "udp"; an invalid local address lets the
// system choose. Errors are those of the net package, errnos included.
type Network interface {
	Dial(ctx context.Context, network string, local netip.Addr, remote netip.AddrPort) (net.Conn, error)
}

// Config says where connections may go and from where they come. The zero
// Config uses the system's network, guards every special-purpose address and
// has the default limits.
type Config struct {
	Network  Network                      // nil: the system's
	Guard    func(addr netip.Addr) string // names the kind of a forbidden address, "" lets it pass; nil: audit.Special
	Source4  netip.Addr                   // --source for IPv4; invalid: the system chooses
	Source6  netip.Addr                   // --source for IPv6
	PerAddr  int                          // connections to one address in one run; 0: DefaultPerAddr
	Spacing  time.Duration                // from the end of one connection to an address to the next; 0: DefaultSpacing
	Connect  time.Duration                // TCP connect timeout; 0: DefaultConnect
	MaxConns int                          // host connections open at once; 0: DefaultMaxConns
}

// Default limits. The budget per address and the spacing are our own manners
// (rate limits of large receivers begin around ten a minute); ten seconds is
// longer than any handshake that delivers mail.
const (
	DefaultPerAddr  = 6
	DefaultSpacing  = time.Second
	DefaultConnect  = 10 * time.Second
	DefaultMaxConns = 64
)

// Errors that are our own decision, not the world's.
var (
	ErrBlocked = errors.New("address guard") // a special-purpose address
	ErrBudget  = errors.New("connection budget of the address is used up")
)

// Dialer opens connections. It is safe for concurrent use.
type Dialer struct{ cfg Config }

// New makes a Dialer.
func New(cfg Config) *Dialer { return &Dialer{cfg: cfg} }

// Host opens a TCP connection to a stranger's server: guarded, budgeted,
// spaced, one at a time per address (further callers wait their turn). Close
// of the connection frees the turn. The error is ErrBlocked or ErrBudget,
// ctx's, or the network's: Reason explains it.
func (d *Dialer) Host(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	return nil, errors.New("not yet")
}

// Resolver opens a connection ("udp" or "tcp") to a configured DNS server:
// exempt from the guard and from politeness.
func (d *Dialer) Resolver(ctx context.Context, network string, remote netip.AddrPort) (net.Conn, error) {
	return nil, errors.New("not yet")
}

// Count is how many host connections were opened, to how many addresses.
func (d *Dialer) Count() (connections, addresses int) { return 0, 0 }

// Reason turns an error of Host, or of reading or writing on its connection,
// into a reason code and one sentence. It looks at error values and errnos,
// never at text.
func Reason(err error) audit.Reason { return audit.Reason{} }
