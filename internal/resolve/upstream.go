package resolve

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
)

// Sockets are shared, because one for each question costs 2.7 times as much
// (design.md, section 5), and replaced, because a port that stays the same
// makes an answer easier to forge (RFC 5452 9.2). A connection over TLS needs
// neither a second one beside it nor an end: nobody can forge anything there.
const (
	maxSockets   = 4   // open to one server over UDP or HTTP/1.1, retired ones not counted
	crowd        = 16  // questions that wait on a socket before another one is opened
	maxQuestions = 200 // sent from one socket before it is retired
)

// upstream is a server and the connections to it.
type upstream struct {
	server Server
	label  string // the server as people read it
	https  *https // nil for other schemes

	// lock holds a token while somebody looks for a connection. It is a channel
	// and not a mutex because dialing happens under it, so that a burst of
	// questions does not open a burst of connections.
	lock chan struct{}
	live []*socket // guarded by lock

	mu       sync.Mutex // guards what follows, never held while waiting
	failures int        // connections that could not be made
	failure  error      // the last of them
}

func newUpstream(c *Client, s Server) *upstream {
	u := &upstream{server: s, label: s.label(), lock: make(chan struct{}, 1)}
	if s.Scheme == HTTPS {
		u.https = newHTTPS(c, u)
	}
	return u
}

// enter waits for the turn to look for a connection. When one could not be
// made meanwhile, that failure is the answer for all who waited: to try again
// for each of them, one after the other, would make a timeout of what is a
// refusal or a bad certificate.
func (u *upstream) enter(ctx context.Context) error {
	before, _ := u.failed()
	select {
	case u.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := u.failed()
	if after != before {
		u.leave()
		return err
	}
	return nil
}

func (u *upstream) leave() { <-u.lock }

func (u *upstream) failed() (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failures, u.failure
}

// fail notes that a connection could not be made.
func (u *upstream) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failures++
	u.failure = err
}

// lease finds a socket for a question and registers the question there.
func (u *upstream) lease(ctx context.Context, c *Client, q *question) (*socket, *waiter, error) {
	err := u.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer u.leave()
	u.live = slices.DeleteFunc(u.live, (*socket).spent)
	slices.SortStableFunc(u.live, func(a, b *socket) int { return a.load() - b.load() })
	for _, s := range u.live {
		if !s.framed && s.load() >= crowd && len(u.live) < maxSockets {
			break
		}
		w := s.register(q)
		if w != nil {
			return s, w, nil
		}
	}
	s := &socket{framed: u.server.Scheme == TLS, waiting: map[uint16]*waiter{}, dead: make(chan struct{})}
	s.conn, err = u.open(ctx, c)
	if err != nil {
		if ctx.Err() == nil {
			u.fail(err)
		}
		return nil, nil, err
	}
	w := s.register(q)
	u.live = append(u.live, s)
	c.readers.Go(s.read)
	return s, w, nil
}

// open opens what a socket needs.
func (u *upstream) open(ctx context.Context, c *Client) (net.Conn, error) {
	if u.server.Scheme != TLS {
		return c.cfg.Dialer.Resolver(ctx, "udp", u.server.Addr)
	}
	raw, err := c.cfg.Dialer.Resolver(ctx, "tcp", u.server.Addr)
	if err != nil {
		return nil, err
	}
	return c.secure(ctx, u.server, raw)
}

// secure makes a connection one over TLS in which the server has proven who
// it is (RFC 8310 5, the strict profile), or closes it: there is no other way
// to go on, not even without the certificate. protocols are for ALPN; DNS over
// TLS offers none, as RFC 7858 knows none.
func (c *Client) secure(ctx context.Context, s Server, raw net.Conn, protocols ...string) (*tls.Conn, error) {
	conn := tls.Client(raw, &tls.Config{
		ServerName: s.identity(),
		RootCAs:    c.cfg.Roots,
		NextProtos: protocols,
		MinVersion: tls.VersionTLS12, // RFC 8310 9, RFC 9325 3.1.1
	})
	err := conn.HandshakeContext(ctx)
	if err != nil {
		raw.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, c.handshakeFailure(s, err)
	}
	return conn, nil
}

// close closes the connections. No question may be under way.
func (u *upstream) close() {
	u.lock <- struct{}{}
	defer u.leave()
	for _, s := range u.live {
		s.conn.Close()
	}
	u.live = nil
	if u.https != nil {
		u.https.close()
	}
}
