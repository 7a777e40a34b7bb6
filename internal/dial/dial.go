// Package dial is the one door out: every byte that mailaudit sends leaves
// through a [Dialer]. It connects to a netip.AddrPort, never to a name, so
// that no lookup hides in it; it refuses special-purpose addresses (the
// address guard, RFC 6890) unless the user opened them; and it is polite: one
// connection at a time to one address, spaced, and only so many of them.
package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
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
	Network Network                      // nil: the system's
	Guard   func(addr netip.Addr) string // names the kind of a forbidden address, "" lets it pass; nil: audit.Special
	Source4 netip.Addr                   // --source for IPv4; invalid: the system chooses
	Source6 netip.Addr                   // --source for IPv6
	// Proxy is a SOCKS5 proxy through which hosts are connected to (--proxy);
	// invalid: none. Resolvers are connected to directly.
	Proxy    netip.AddrPort
	PerAddr  int           // connections to one address in one run; 0: DefaultPerAddr
	Spacing  time.Duration // from the end of one connection to an address to the next; 0: DefaultSpacing, negative: none
	Connect  time.Duration // TCP connect timeout; 0: DefaultConnect
	MaxConns int           // host connections open at once; 0: DefaultMaxConns
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
type Dialer struct {
	cfg   Config
	slots chan struct{} // holds a token for each open host connection

	mu          sync.Mutex // guards what follows, never held while waiting
	addrs       map[netip.Addr]*address
	connections int
}

// New makes a Dialer.
func New(cfg Config) *Dialer {
	if cfg.Network == nil {
		cfg.Network = system{}
	}
	if cfg.Guard == nil {
		cfg.Guard = audit.Special
	}
	if cfg.PerAddr == 0 {
		cfg.PerAddr = DefaultPerAddr
	}
	if cfg.Spacing == 0 {
		cfg.Spacing = DefaultSpacing
	}
	if cfg.Connect == 0 {
		cfg.Connect = DefaultConnect
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	return &Dialer{
		cfg:   cfg,
		slots: make(chan struct{}, cfg.MaxConns),
		addrs: map[netip.Addr]*address{},
	}
}

// Host opens a TCP connection to a stranger's server: guarded, budgeted,
// spaced, one at a time per address (further callers wait their turn, whatever
// the port). Close of the connection frees the turn, so a caller that does not
// close stops everybody else at that address. An attempt that fails counts
// against the budget like one that succeeds. The error is ErrBlocked or
// ErrBudget, ctx's, the proxy's, or the network's: Reason explains it.
func (d *Dialer) Host(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	addr := remote.Addr().Unmap()
	what := d.special(addr)
	if what != "" {
		return nil, &blockedError{addr, what}
	}
	remote = netip.AddrPortFrom(addr, remote.Port())
	a := d.address(addr)
	if d.spent(a) {
		return nil, fmt.Errorf("%s: %w", addr, ErrBudget)
	}
	leave, err := d.enter(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWaiting, err)
	}
	err = d.charge(a)
	if err != nil {
		leave(false)
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	conn, err := d.reach(ctx, remote)
	if err != nil {
		leave(true)
		return nil, err
	}
	return &hostConn{Conn: conn, leave: func() { leave(true) }}, nil
}

// special is the guard's word on an address that is unmapped already. An
// address with a zone is link-local by nature and means something else on
// every machine: no stranger's server has one.
func (d *Dialer) special(addr netip.Addr) string {
	if !addr.IsValid() { // whatever ranges are open
		return "no address"
	}
	if addr.Zone() != "" {
		return "scoped to a zone of this machine (RFC 4007)"
	}
	return d.cfg.Guard(addr)
}

// Resolver opens a connection ("udp" or "tcp") to a configured DNS server:
// exempt from the guard and from politeness, because the user, not a
// stranger, named the address. Zones are kept. The connect timeout holds.
func (d *Dialer) Resolver(ctx context.Context, network string, remote netip.AddrPort) (net.Conn, error) {
	if network != "udp" && network != "tcp" {
		return nil, fmt.Errorf("a resolver is asked over udp or tcp, not %q", network)
	}
	addr := remote.Addr().Unmap()
	local := d.source(addr)
	if addr.IsLoopback() {
		// --source is how strangers shall see us. A stub on this machine
		// refuses questions that do not come from a loopback address.
		local = netip.Addr{}
	}
	return d.connect(ctx, network, local, netip.AddrPortFrom(addr, remote.Port()))
}

// Count is how many host connections were attempted, to how many addresses:
// what a run did to others.
func (d *Dialer) Count() (connections, addresses int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.addrs {
		if a.used > 0 {
			addresses++
		}
	}
	return d.connections, addresses
}

// source is the configured source address of the family of addr.
func (d *Dialer) source(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return d.cfg.Source4
	}
	return d.cfg.Source6
}

// reach connects to a host, directly or through the proxy.
func (d *Dialer) reach(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	if d.cfg.Proxy.IsValid() {
		return d.throughProxy(ctx, remote)
	}
	return d.connect(ctx, "tcp", d.source(remote.Addr()), remote)
}

// connect dials within the connect timeout. It keeps apart whose clock ran
// out: the caller's ctx (errEnded) or our own connect timeout (errConnect).
func (d *Dialer) connect(ctx context.Context, network string, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, d.cfg.Connect)
	defer cancel()
	conn, err := d.cfg.Network.Dial(limited, network, local, remote)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ended(ctx)
	case limited.Err() != nil:
		return nil, fmt.Errorf("%w: %s", errConnect, remote)
	}
	return nil, err
}

// hostConn is a connection to a host that gives its turn back, once.
type hostConn struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close closes the connection and frees the turn of the address. Only the
// first call frees it.
func (c *hostConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}

// system is the operating system's network.
type system struct{}

// Dial connects by address, so no name is ever looked up.
func (system) Dial(ctx context.Context, network string, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if local.IsValid() {
		from := netip.AddrPortFrom(local, 0)
		if network == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(from)
		} else {
			d.LocalAddr = net.TCPAddrFromAddrPort(from)
		}
	}
	return d.DialContext(ctx, network, remote.String())
}
