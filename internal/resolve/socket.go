package resolve

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"slices"
	"sync"

	"github.com/miekg/dns"
)

// Sockets are shared, because one for each question costs 2.7 times as much
// (design.md, section 5), and replaced, because a port that stays the same
// makes an answer easier to forge (RFC 5452 9.2).
const (
	maxSockets   = 4   // open to one server, retired ones not counted
	crowd        = 16  // questions that wait on a socket before another one is opened
	maxQuestions = 200 // sent from one socket before it is retired
)

// upstream is a server and the sockets to it.
type upstream struct {
	server Server
	label  string // the server as people read it

	// lock holds a token while live is being changed. It is a channel and not
	// a mutex because dialing happens under it, so that a burst of questions
	// does not open a burst of sockets.
	lock chan struct{}
	live []*socket
}

func newUpstream(s Server) *upstream {
	return &upstream{server: s, label: s.String(), lock: make(chan struct{}, 1)}
}

// lease finds a socket for a question and registers the question there.
func (u *upstream) lease(ctx context.Context, c *Client, q *question) (*socket, *waiter, error) {
	select {
	case u.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() { <-u.lock }()
	u.live = slices.DeleteFunc(u.live, (*socket).spent)
	slices.SortStableFunc(u.live, func(a, b *socket) int { return a.load() - b.load() })
	for _, s := range u.live {
		if s.load() >= crowd && len(u.live) < maxSockets {
			break
		}
		w := s.register(q)
		if w != nil {
			return s, w, nil
		}
	}
	conn, err := c.cfg.Dialer.Resolver(ctx, "udp", u.server.Addr)
	if err != nil {
		return nil, nil, err
	}
	s := &socket{conn: conn, waiting: map[uint16]*waiter{}, dead: make(chan struct{})}
	w := s.register(q)
	u.live = append(u.live, s)
	c.readers.Go(s.read)
	return s, w, nil
}

// close closes the sockets. No question may be under way.
func (u *upstream) close() {
	u.lock <- struct{}{}
	defer func() { <-u.lock }()
	for _, s := range u.live {
		s.conn.Close()
	}
	u.live = nil
}

// socket is a connected UDP socket on which many questions wait.
type socket struct {
	conn net.Conn
	dead chan struct{} // closed when the socket failed
	err  error         // why; set before dead is closed

	mu      sync.Mutex // guards what follows, never held while waiting
	failed  bool
	sent    int
	waiting map[uint16]*waiter
}

// waiter is a question that waits for its answer.
type waiter struct {
	id     uint16
	q      *question
	packet chan []byte // room for one
}

// register gives the question an id that no other on this socket has. It
// returns nil when the socket takes no more questions.
func (s *socket) register(q *question) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed || s.sent >= maxQuestions {
		return nil
	}
	w := &waiter{id: randomID(), q: q, packet: make(chan []byte, 1)}
	for s.waiting[w.id] != nil {
		w.id = randomID()
	}
	s.waiting[w.id] = w
	s.sent++
	return w
}

// leave ends the waiting. The last one of a retired socket closes it.
func (s *socket) leave(w *waiter) {
	s.mu.Lock()
	delete(s.waiting, w.id)
	over := s.sent >= maxQuestions && len(s.waiting) == 0
	s.mu.Unlock()
	if over {
		s.conn.Close()
	}
}

func (s *socket) load() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// spent reports whether the socket takes no more questions.
func (s *socket) spent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed || s.sent >= maxQuestions
}

// fail gives the socket up: everyone who waits on it learns err, because the
// system does not say whose packet an ICMP error was about. That costs each of
// them one try.
func (s *socket) fail(err error) {
	s.mu.Lock()
	first := !s.failed
	if first {
		s.failed = true
		s.err = err
		close(s.dead)
	}
	s.mu.Unlock()
	if first {
		s.conn.Close()
	}
}

// read hands datagrams to those who wait for them until the socket is closed.
// What answers nobody's question is dropped: a late answer, or a forged one.
func (s *socket) read() {
	buf := make([]byte, dns.MaxMsgSize)
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			s.fail(err)
			return
		}
		s.deliver(buf[:n])
	}
}

func (s *socket) deliver(packet []byte) {
	if len(packet) < headerLen {
		return
	}
	s.mu.Lock()
	w := s.waiting[binary.BigEndian.Uint16(packet)]
	s.mu.Unlock()
	if w == nil || !w.q.matches(packet) {
		return
	}
	select {
	case w.packet <- bytes.Clone(packet):
	default: // a second answer; the first one counts
	}
}

// randomID is an id that cannot be guessed (RFC 5452 9.2).
func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint16(b[:])
}
