package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"mailaudit/internal/audit"
)

// connectTimeout is when a kernel gives up a connect of which nobody hears:
// Linux after six retransmissions of the SYN.
const connectTimeout = 127 * time.Second

// firstPort is where the ports of our side begin, as on Linux.
const firstPort = 32768

// portDNS is the port of the resolvers (RFC 1035 section 4.2).
const portDNS = 53

// Network is a world as one run sees it: the numbers of connections to a
// server begin anew with each Network, what was changed in the zone stays. It
// is safe for concurrent use, by goroutines of one synctest bubble.
type Network struct {
	w       *World
	servers sync.WaitGroup

	mu          sync.Mutex
	ports       uint16
	problems    []string
	unanswered  []string
	questions   []Question
	connections []*Connection
}

// Question is a DNS question that a resolver of the world was asked.
type Question struct {
	Name     audit.DNSName
	Type     string
	Net      string // "udp" or "tcp"
	Resolver netip.Addr
	At       time.Time // when it was sent (UDP) or arrived (TCP)
}

// Connection is a TCP connection that was tried to anything but a resolver or
// a proxy; Local is that of the proxy where one made it.
type Connection struct {
	Remote, Local netip.AddrPort
	N             int       // 1 for the first to this address and port
	At            time.Time // when it was tried
	Refused       string    // the connect directive that met it, or ""
	Commands      []string  // what the client sent, a line each
}

// Questions returns what was asked, in order.
func (n *Network) Questions() []Question {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.questions)
}

// Connections returns the connections that were tried, in order.
func (n *Network) Connections() []Connection {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []Connection
	for _, c := range n.connections {
		one := *c
		one.Commands = slices.Clone(c.Commands)
		all = append(all, one)
	}
	return all
}

// Problems returns what went wrong with the world itself: commands that a
// script did not expect, connections to addresses that the world does not
// have. Call Wait first.
func (n *Network) Problems() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.problems)
}

// Unanswered returns the questions that no line of the zone answers, each
// once, as the beginning of the line that is missing: "mx.example.net. A".
func (n *Network) Unanswered() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.unanswered)
}

// Wait returns when every server has ended its last conversation, which takes
// until the client has closed every connection.
func (n *Network) Wait() { n.servers.Wait() }

func (n *Network) problem(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.problems = append(n.problems, n.w.Name+": "+fmt.Sprintf(format, args...))
}

// Dial connects to an address of the world. network is "tcp" or "udp"; an
// invalid local address becomes the world's own (198.51.100.200 and
// 2001:db8:ffff::200 unless the header has others). Errors are *net.OpError
// around an errno, or around the error of ctx.
func (n *Network) Dial(ctx context.Context, network string, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	from, err := n.source(local, remote)
	if err != nil {
		return nil, dialError(network, netip.AddrPort{}, remote, err)
	}
	if ctx.Err() != nil {
		return nil, dialError(network, from, remote, ctx.Err())
	}
	switch network {
	case "udp":
		return n.dialUDP(from, remote), nil
	case "tcp":
		c, err := n.dialTCP(ctx, from, remote)
		if err != nil {
			return nil, dialError(network, from, remote, err)
		}
		return c, nil
	}
	return nil, dialError(network, from, remote, net.UnknownNetworkError(network))
}

func dialError(network string, from, remote netip.AddrPort, err error) error {
	op := &net.OpError{Op: "dial", Net: network, Err: err}
	if network == "udp" {
		op.Addr = net.UDPAddrFromAddrPort(remote)
		return op
	}
	op.Addr = net.TCPAddrFromAddrPort(remote)
	if from.IsValid() {
		op.Source = net.TCPAddrFromAddrPort(from)
	}
	return op
}

// source chooses our end of a connection.
func (n *Network) source(local netip.Addr, remote netip.AddrPort) (netip.AddrPort, error) {
	if !remote.Addr().IsValid() {
		return netip.AddrPort{}, errors.New("missing address")
	}
	own := n.w.Local4
	if remote.Addr().Is6() {
		own = n.w.Local6
	}
	if local = local.Unmap(); local.IsValid() {
		if local.Is4() != remote.Addr().Is4() {
			return netip.AddrPort{}, &net.AddrError{Err: "mismatched local address type", Addr: local.String()}
		}
		own = local
	}
	if !own.IsValid() { // as a kernel without a route
		return netip.AddrPort{}, os.NewSyscallError("connect", syscall.ENETUNREACH)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	port := firstPort + n.ports%(1<<15)
	n.ports++
	return netip.AddrPortFrom(own, port), nil
}

func (n *Network) isResolver(remote netip.AddrPort) bool {
	return remote.Port() == portDNS && slices.Contains(n.w.Resolvers, remote.Addr())
}

func (n *Network) dialUDP(from, remote netip.AddrPort) net.Conn {
	c := &packetConn{
		in:    newStream(0, true),
		local: net.UDPAddrFromAddrPort(from), remote: net.UDPAddrFromAddrPort(remote),
	}
	if n.isResolver(remote) {
		c.send = func(p []byte) { n.resolveUDP(c.in, remote.Addr(), p) }
		return c
	}
	// Connecting a UDP socket sends nothing: only sending is a problem.
	c.send = func([]byte) {
		n.problem("a UDP datagram would go to %s, where the world has nothing", remote)
		c.in.deliver(chunk{at: time.Now().Add(n.w.RTT), rst: true})
	}
	return c
}

func (n *Network) dialTCP(ctx context.Context, from, remote netip.AddrPort) (*conn, error) {
	n.w.mu.Lock()
	server := n.w.Servers[remote]
	n.w.mu.Unlock()
	if server == nil && n.isResolver(remote) {
		err := pause(ctx, n.w.RTT)
		if err != nil {
			return nil, err
		}
		client, peer := pair(n.w.RTT/2, from, remote)
		n.servers.Go(func() { n.resolveTCP(peer, remote.Addr()) })
		return client, nil
	}
	if proxy := n.w.Proxies[remote]; proxy != nil && server == nil {
		err := pause(ctx, n.w.RTT)
		if err != nil {
			return nil, err
		}
		client, peer := pair(n.w.RTT/2, from, remote)
		n.servers.Go(func() { n.serveProxy(peer, proxy) })
		return client, nil
	}
	if server == nil {
		n.problem("a connection was tried to %s, which the world does not have: write \"-- smtp %s --\" with a script or !refuse", remote, remote)
		return nil, n.connectFailure(ctx, Refuse)
	}
	log := &Connection{Remote: remote, Local: from, At: time.Now()}
	n.mu.Lock()
	for _, c := range n.connections {
		if c.Remote == remote {
			log.N++
		}
	}
	log.N++
	n.connections = append(n.connections, log)
	script := server.script(log.N)
	if len(script.Steps) > 0 && script.Steps[0].Op.isConnect() {
		log.Refused = string(script.Steps[0].Op)
	}
	n.mu.Unlock()
	if log.Refused != "" {
		return nil, n.connectFailure(ctx, Op(log.Refused))
	}
	err := pause(ctx, n.w.RTT)
	if err != nil {
		return nil, err
	}
	client, peer := pair(n.w.RTT/2, from, remote)
	n.servers.Go(func() { n.serve(peer, script, log) })
	return client, nil
}

// connectFailure waits as long as the failure takes to be known and returns
// it. A router's or a host's "no" takes a round trip, our own kernel's none.
func (n *Network) connectFailure(ctx context.Context, op Op) error {
	errno, after := syscall.ECONNREFUSED, n.w.RTT
	switch op {
	case Unreachable:
		errno = syscall.EHOSTUNREACH
	case NoRoute:
		errno, after = syscall.ENETUNREACH, 0
	case Forbidden:
		errno, after = syscall.EPERM, 0
	case Timeout:
		errno, after = syscall.ETIMEDOUT, connectTimeout
	}
	err := pause(ctx, after)
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect", errno)
}

// pause waits for d or until ctx is done, and then returns its error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
