package smtp

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

// stream is one direction of an in-memory connection: a bounded buffer whose
// waits count as idle in a synctest bubble.
type stream struct {
	mu      sync.Mutex
	change  *sync.Cond
	data    []byte
	room    int   // how much fits
	written int64 // ever
	fin     bool  // the writer closed: EOF after the data
	err     error // reset: at once, for both ends
}

func newStream() *stream {
	s := &stream{room: 32 << 10}
	s.change = sync.NewCond(&s.mu)
	return s
}

func (s *stream) update(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.change.Broadcast()
}

// memConn is one end of a connection. Unlike net.Pipe it buffers, resets
// with an errno, and keeps what was written before a close.
type memConn struct {
	in, out *stream
	local   net.Addr

	mu       sync.Mutex
	deadline time.Time
	timer    *time.Timer
	closed   bool
}

func memPipe() (client, server *memConn) {
	up, down := newStream(), newStream()
	client = &memConn{in: down, out: up, local: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("203.0.113.9:40000"))}
	server = &memConn{in: up, out: down, local: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.25:25"))}
	return client, server
}

func (c *memConn) state() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return net.ErrClosed
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *memConn) Read(b []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		err := c.state()
		switch {
		case err != nil:
			return 0, &net.OpError{Op: "read", Net: "tcp", Err: err}
		case s.err != nil:
			return 0, &net.OpError{Op: "read", Net: "tcp", Err: s.err}
		case len(s.data) > 0:
			n := copy(b, s.data)
			s.data = s.data[n:]
			s.change.Broadcast()
			return n, nil
		case s.fin:
			return 0, io.EOF
		}
		s.change.Wait()
	}
}

func (c *memConn) Write(b []byte) (int, error) {
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := 0; ; {
		err := c.state()
		switch {
		case err != nil:
			return n, &net.OpError{Op: "write", Net: "tcp", Err: err}
		case s.err != nil:
			return n, &net.OpError{Op: "write", Net: "tcp", Err: s.err}
		}
		k := min(len(b)-n, s.room-len(s.data))
		s.data = append(s.data, b[n:n+k]...)
		s.written += int64(k)
		s.change.Broadcast()
		n += k
		if n == len(b) {
			return n, nil
		}
		s.change.Wait()
	}
}

func (c *memConn) Close() error {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.mu.Unlock()
	if was {
		return net.ErrClosed
	}
	c.out.update(func() { c.out.fin = true })
	// Nobody reads the other direction any more: its writer gets EPIPE.
	c.in.update(func() {
		if !c.in.fin && c.in.err == nil {
			c.in.err = os.NewSyscallError("write", syscall.EPIPE)
		}
	})
	return nil
}

// reset is a RST: both ends fail at once and unread data is lost.
func (c *memConn) reset() {
	for _, s := range []*stream{c.in, c.out} {
		s.update(func() { s.err, s.data = os.NewSyscallError("read", syscall.ECONNRESET), nil })
	}
}

func (c *memConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.deadline = t
	if c.timer != nil {
		c.timer.Stop()
	}
	wake := func() {
		c.in.update(func() {})
		c.out.update(func() {})
	}
	if !t.IsZero() {
		c.timer = time.AfterFunc(time.Until(t), wake)
	}
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error  { return c.SetDeadline(t) }
func (c *memConn) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }
func (c *memConn) LocalAddr() net.Addr                { return c.local }
func (c *memConn) RemoteAddr() net.Addr               { return c.local }

// peer is the far end of one connection, in the hands of a script.
type peer struct {
	t        testing.TB
	raw      *memConn
	conn     net.Conn // raw or TLS
	shaken   int64    // octets that came until TLS was up
	heard    []string // every line that came from the client
	quit     bool     // the last one was QUIT
	dangling string   // unread bytes of a line
}

// hangUp ends a script whose connection is gone.
type hangUp struct{}

// script plays a server on one connection.
type script func(s *peer)

// say sends lines, each with CRLF.
func (s *peer) say(lines ...string) { s.send(strings.Join(lines, "\r\n") + "\r\n") }

func (s *peer) send(text string) {
	_, err := io.WriteString(s.conn, text)
	if err != nil {
		panic(hangUp{})
	}
}

// greetTook is how long greet pauses within the greeting.
const greetTook = 10 * time.Millisecond

// greet sends a greeting in two pieces and checks that the client is silent
// until it is complete.
func (s *peer) greet(lines ...string) {
	text := strings.Join(lines, "\r\n") + "\r\n"
	s.send(text[:len(text)-1])
	time.Sleep(greetTook)
	s.raw.in.update(func() {
		if n := s.raw.in.written - s.shaken; n != 0 {
			s.t.Errorf("the client wrote %d octets before the greeting was complete", n)
		}
	})
	s.send(text[len(text)-1:])
}

// hear reads one line from the client.
func (s *peer) hear() string {
	b := make([]byte, 1)
	for !strings.HasSuffix(s.dangling, "\r\n") {
		_, err := io.ReadFull(s.conn, b)
		if err != nil {
			panic(hangUp{})
		}
		s.dangling += string(b)
	}
	line := strings.TrimSuffix(s.dangling, "\r\n")
	s.dangling = ""
	s.heard = append(s.heard, line)
	s.quit = line == "QUIT"
	return line
}

// want reads a line and checks it.
func (s *peer) want(command string) {
	got := s.hear()
	if got != command {
		s.t.Errorf("client said %q, want %q", got, command)
		panic(hangUp{})
	}
}

// answer is want and say.
func (s *peer) answer(command string, lines ...string) {
	s.want(command)
	s.say(lines...)
}

// tls shakes hands and moves the conversation inside.
func (s *peer) tls(config *tls.Config) {
	c := tls.Server(s.raw, config)
	err := c.Handshake()
	if err != nil {
		panic(hangUp{})
	}
	s.conn = c
	s.raw.in.update(func() { s.shaken = s.raw.in.written })
}

// bye serves QUIT, if it comes, and waits for the close.
func (s *peer) bye() {
	if s.hear() != "QUIT" {
		s.t.Errorf("client said %q at the end, want QUIT", s.heard[len(s.heard)-1])
		return
	}
	s.say("221 bye")
	s.wait()
}

// wait reads until the client closes.
func (s *peer) wait() {
	for {
		s.hear()
	}
}

// world is a Dialer whose n-th connection is played by the n-th script; the
// last one repeats. An entry that is an error is returned by Host instead.
type world struct {
	t       testing.TB
	scripts []any
	may     []string // what may be said beside the usual commands

	mu      sync.Mutex
	opened  []*peer
	clients []*memConn
	dialed  []netip.AddrPort
	done    sync.WaitGroup
}

func (w *world) Host(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.dialed), len(w.scripts)-1)
	w.dialed = append(w.dialed, remote)
	switch play := w.scripts[n].(type) {
	case error:
		return nil, play
	case script:
		c, far := memPipe()
		s := &peer{t: w.t, raw: far, conn: far}
		w.opened, w.clients = append(w.opened, s), append(w.clients, c)
		w.done.Go(func() {
			defer far.Close()
			defer func() {
				r := recover()
				if _, ok := r.(hangUp); !ok && r != nil {
					panic(r)
				}
			}()
			play(s)
		})
		return c, nil
	}
	panic(fmt.Sprintf("script %d is a %T", n, w.scripts[n]))
}

// check ends the world: the goodbyes are drained, every connection is closed
// by the client, and nothing was ever sent but the five commands. It returns
// a letter per connection: Q where the last word was QUIT, - elsewhere.
func (w *world) check(p *Prober) string {
	w.t.Helper()
	start := time.Now()
	p.Drain(context.Background())
	if d := time.Since(start); d > goodbyeLimit {
		w.t.Errorf("Drain took %s, want at most %s", d, goodbyeLimit)
	}
	for i, c := range w.clients {
		c.mu.Lock()
		if !c.closed {
			w.t.Errorf("connection %d is left open", i+1)
		}
		c.mu.Unlock()
	}
	w.done.Wait()
	ends := ""
	for _, s := range w.opened {
		for _, line := range s.heard {
			if !slices.Contains([]string{"EHLO " + testHELO, "HELO " + testHELO, "STARTTLS", "QUIT"}, line) && !slices.Contains(w.may, line) {
				w.t.Errorf("the client sent %q", line)
			}
		}
		ends += map[bool]string{true: "Q", false: "-"}[s.quit]
	}
	return ends
}

const testHELO = "probe.example.net"

func testTarget() Target {
	return Target{Host: "mx.example.org", Addr: netip.MustParseAddr("192.0.2.25"), Port: 25}
}

// in is the target in a mode.
func (t Target) in(m audit.Mode) Target {
	t.Mode = m
	return t
}

// summary is the states of an endpoint in a line: a letter for seen (S), not
// applicable (n) and not asked (-), the code otherwise, with ! before an
// Absent.
func summary(e audit.Endpoint) string {
	return strings.Join([]string{
		brief(e.Connect), brief(e.Greeting), brief(e.Hello), brief(e.Helo),
		brief(e.StartTLS), brief(e.TLS), brief(e.HelloTLS),
	}, " ")
}

func brief[T any](o audit.Obs[T]) string {
	switch {
	case o.State == audit.Seen:
		return "S"
	case o.State == audit.NotTried && o.Why.Code == audit.NotApplicable && o.Why.Text != "":
		return "n"
	case o.State == audit.NotTried && o.Why == (audit.Reason{Code: audit.NotAsked, Text: "mode plain: TLS was not tried"}):
		return "-"
	case o.Why.Text == "" || o.Why.Code == "" || o.State == audit.NotTried:
		return fmt.Sprintf("BAD(%s %+v)", o.State, o.Why)
	case o.State == audit.Absent:
		return "!" + string(o.Why.Code)
	}
	return string(o.Why.Code)
}

// transcriptText is the transcript as text, for searching.
func transcriptText(s audit.Session) string {
	var b strings.Builder
	for _, l := range s.Lines {
		fmt.Fprintf(&b, "%s: %s\n", l.From, l.Text)
	}
	return b.String()
}
