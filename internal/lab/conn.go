package lab

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes may be under way or unread in one direction before
// a writer has to wait: a usual TCP receive window. It keeps an endless banner
// from filling our memory.
const window = 256 << 10

// chunk is bytes under way: readable from a moment on. A chunk with fin or rst
// set holds no bytes and is the last one.
type chunk struct {
	at       time.Time
	data     []byte
	fin, rst bool
}

// stream is one direction of a connection. Whoever waits on it waits on a
// channel and a timer, never on the mutex: that is what a synctest bubble calls
// durably blocked.
type stream struct {
	delay  time.Duration // from writer to reader
	packet bool          // chunks are datagrams: read one at a time, never merged
	// hasten makes all that is under way arrive when the writer closes. The
	// client's direction does that: a client that has closed cannot see when its
	// bytes arrive, and a synctest bubble has no time left once its test is over.
	hasten bool

	mu       sync.Mutex
	changed  chan struct{} // closed and renewed at every change of state
	chunks   []chunk       // by time of arrival
	size     int           // bytes in chunks
	readBy   time.Time     // deadlines; zero: none
	writeBy  time.Time
	gone     time.Time // when the reading side closed; zero: it is open
	lost     time.Time // when the writer first wrote to a closed reader
	finished bool      // the writing side closed
	resetAt  time.Time // when the writer learns of a reset by the reader
}

func newStream(delay time.Duration, packet bool) *stream {
	return &stream{delay: delay, packet: packet, changed: make(chan struct{})}
}

// signal wakes all who wait; mu is held.
func (s *stream) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait releases mu until the state changes or the earliest of the moments is
// reached (zero moments do not count), and takes it again.
func (s *stream) wait(moments ...time.Time) {
	var until time.Time
	for _, m := range moments {
		if !m.IsZero() && (until.IsZero() || m.Before(until)) {
			until = m
		}
	}
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	if until.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}

// passed reports whether the moment is set and not in the future.
func passed(moment time.Time) bool { return !moment.IsZero() && !moment.After(time.Now()) }

// read copies what has arrived, waiting for the first byte. What arrived
// before a reset can still be read, as on Linux.
func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case !s.gone.IsZero():
			return 0, net.ErrClosed
		case passed(s.readBy): // even when there is something to read, as in package net
			return 0, os.ErrDeadlineExceeded
		case len(s.chunks) == 0:
			if len(p) == 0 {
				return 0, nil
			}
			s.wait(s.readBy)
		case !passed(s.chunks[0].at):
			s.wait(s.readBy, s.chunks[0].at)
		case s.chunks[0].rst && s.packet:
			s.chunks = s.chunks[1:] // an ICMP error is told once
			return 0, os.NewSyscallError("read", syscall.ECONNREFUSED)
		case s.chunks[0].rst:
			return 0, os.NewSyscallError("read", syscall.ECONNRESET)
		case s.chunks[0].fin:
			return 0, io.EOF
		case s.packet:
			n := copy(p, s.chunks[0].data) // the rest of a datagram is lost
			s.size -= len(s.chunks[0].data)
			s.chunks = s.chunks[1:]
			return n, nil
		default:
			return s.take(p), nil
		}
	}
}

// take copies what has arrived into p; mu is held.
func (s *stream) take(p []byte) int {
	n := 0
	for n < len(p) && len(s.chunks) > 0 {
		c := &s.chunks[0]
		if !passed(c.at) || c.fin || c.rst {
			break
		}
		m := copy(p[n:], c.data)
		n += m
		c.data = c.data[m:]
		if len(c.data) == 0 {
			s.chunks = s.chunks[1:]
		}
	}
	s.size -= n
	s.signal()
	return n
}

// write puts p under way, waiting while the window is full.
func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for {
		now := time.Now()
		switch {
		case s.finished:
			return done, net.ErrClosed
		case passed(s.writeBy):
			return done, os.ErrDeadlineExceeded
		case passed(s.resetAt):
			return done, os.NewSyscallError("write", syscall.ECONNRESET)
		case !s.lost.IsZero() && !s.lost.Add(2*s.delay).After(now):
			// The reset that answered the first lost write is here.
			return done, os.NewSyscallError("write", syscall.EPIPE)
		case len(p) == done:
			return done, nil
		case !s.gone.IsZero():
			// Nobody is there any more; the writer cannot know it before the reset
			// that answers these bytes (RFC 9293 section 3.10.7.1).
			if s.lost.IsZero() {
				s.lost = now
			}
			return len(p), nil
		case s.size >= window:
			s.wait(s.writeBy, s.resetAt)
		default:
			n := min(len(p)-done, window-s.size)
			s.push(chunk{at: now.Add(s.delay), data: append([]byte(nil), p[done:done+n]...)})
			done += n
		}
	}
}

// push puts a chunk under way; mu is held. Datagrams may overtake each other,
// the bytes of a stream may not.
func (s *stream) push(c chunk) {
	i := len(s.chunks)
	for s.packet && i > 0 && s.chunks[i-1].at.After(c.at) {
		i--
	}
	s.chunks = append(s.chunks, chunk{})
	copy(s.chunks[i+1:], s.chunks[i:])
	s.chunks[i] = c
	s.size += len(c.data)
	s.signal()
}

// finish closes the writing side: the reader will see the end, or a reset.
func (s *stream) finish(reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return
	}
	s.finished = true
	last := chunk{at: time.Now().Add(s.delay), fin: !reset, rst: reset}
	if s.hasten {
		last.at = time.Now()
		for i := range s.chunks {
			s.chunks[i].at = last.at
		}
	}
	s.push(last)
}

// leave closes the reading side.
func (s *stream) leave(reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone.IsZero() {
		return
	}
	s.gone = time.Now()
	if reset {
		s.resetAt = s.gone.Add(s.delay)
	}
	s.chunks, s.size = nil, 0
	s.signal()
}

// over reports whether the writer has closed and the reader can know it.
func (s *stream) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return passed(s.end())
}

// end is when the end of the stream arrives, or zero; mu is held.
func (s *stream) end() time.Time {
	n := len(s.chunks)
	if n > 0 && (s.chunks[n-1].fin || s.chunks[n-1].rst) {
		return s.chunks[n-1].at
	}
	return time.Time{}
}

// idle waits for d (negative: for ever) or until the writer has closed.
func (s *stream) idle(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var until time.Time
	if d >= 0 {
		until = time.Now().Add(d)
	}
	for !passed(until) && s.gone.IsZero() {
		if passed(s.end()) {
			return
		}
		s.wait(until, s.end())
	}
}

// spoken reports whether words have come that nobody has read: a ClientHello
// (a handshake record, RFC 8446 section 5.1) is none.
func (s *stream) spoken() bool {
	const handshake = 0x16
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.chunks) > 0 && passed(s.chunks[0].at) && len(s.chunks[0].data) > 0 && s.chunks[0].data[0] != handshake
}

func (s *stream) setDeadline(which *time.Time, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*which = t
	s.signal()
}

// conn is one end of a TCP connection.
type conn struct {
	in, out       *stream
	local, remote net.Addr
}

// pair makes the two ends of a TCP connection in which each direction takes
// delay.
func pair(delay time.Duration, client, server netip.AddrPort) (*conn, *conn) {
	up, down := newStream(delay, false), newStream(delay, false)
	up.hasten = true
	ca, sa := net.TCPAddrFromAddrPort(client), net.TCPAddrFromAddrPort(server)
	return &conn{down, up, ca, sa}, &conn{up, down, sa, ca}
}

// wrap gives err the shape of the net package's errors. io.EOF stays bare.
func wrap(op string, local, remote net.Addr, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: remote.Network(), Source: local, Addr: remote, Err: err}
}

// Read reads what has arrived. Errors are those of a socket: io.EOF,
// ECONNRESET, os.ErrDeadlineExceeded, net.ErrClosed.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, wrap("read", c.local, c.remote, err)
}

// Write sends p, waiting while the window is full. The first write to a peer
// that has closed succeeds, as on a socket; later ones are EPIPE.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, wrap("write", c.local, c.remote, err)
}

// Close ends both directions. A second Close is net.ErrClosed.
func (c *conn) Close() error {
	c.out.mu.Lock()
	again := c.out.finished
	c.out.mu.Unlock()
	if again {
		return wrap("close", c.local, c.remote, net.ErrClosed)
	}
	c.out.finish(false)
	c.in.leave(false)
	return nil
}

// reset ends both directions with a RST.
func (c *conn) reset() {
	c.out.finish(true)
	c.in.leave(true)
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	err := c.SetReadDeadline(t)
	if err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}
