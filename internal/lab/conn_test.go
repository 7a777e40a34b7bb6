package lab_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailaudit/internal/lab"
)

// readLine reads up to CRLF a byte at a time, so that nothing more is taken.
func readLine(t *testing.T, c net.Conn) string {
	t.Helper()
	var line []byte
	b := make([]byte, 1)
	for {
		_, err := c.Read(b)
		if err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		line = append(line, b[0])
		if bytes.HasSuffix(line, []byte("\r\n")) {
			return string(line[:len(line)-2])
		}
	}
}

// reply reads a whole SMTP reply.
func reply(t *testing.T, c net.Conn) string {
	t.Helper()
	var all []string
	for {
		l := readLine(t, c)
		all = append(all, l)
		if len(l) < 4 || l[3] != '-' {
			return strings.Join(all, "|")
		}
	}
}

func send(t *testing.T, c net.Conn, line string) {
	t.Helper()
	_, err := io.WriteString(c, line+"\r\n")
	if err != nil {
		t.Fatalf("sending %q: %v", line, err)
	}
}

// TestSixRoundTrips is the arithmetic that all counting of round trips stands
// on: connect, greeting, EHLO, STARTTLS, the TLS 1.3 handshake and EHLO again
// are six.
func TestSixRoundTrips(t *testing.T) {
	w := world(t, "tls")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		roots := w.Roots()
		start := time.Now()
		c := dial(t, n, "tcp", "192.0.2.1:25")
		elapsed(t, "connect", start, rtt)
		reply(t, c)
		elapsed(t, "greeting", start, 2*rtt)
		send(t, c, "EHLO probe.example.net")
		if got := reply(t, c); !strings.Contains(got, "250-STARTTLS|250-ENHANCEDSTATUSCODES") {
			t.Errorf("EHLO: %s", got)
		}
		elapsed(t, "EHLO", start, 3*rtt)
		send(t, c, "STARTTLS")
		reply(t, c)
		elapsed(t, "STARTTLS", start, 4*rtt)
		s := tls.Client(c, &tls.Config{ServerName: "mx.example.org", RootCAs: roots})
		err := s.Handshake()
		if err != nil {
			t.Fatal(err)
		}
		if v := s.ConnectionState().Version; v != tls.VersionTLS13 {
			t.Errorf("version %x", v)
		}
		elapsed(t, "handshake", start, 5*rtt)
		send(t, s, "EHLO probe.example.net")
		if got := reply(t, s); strings.Contains(got, "STARTTLS") || !strings.HasSuffix(got, "|250 CHUNKING") {
			t.Errorf("EHLO in TLS: %s", got)
		}
		elapsed(t, "EHLO in TLS", start, 6*rtt)
		send(t, s, "QUIT")
		if got := reply(t, s); got != "221 2.0.0 Bye" {
			t.Errorf("QUIT: %s", got)
		}
		_, err = s.Read(make([]byte, 1))
		if err != io.EOF { // close_notify came
			t.Errorf("after QUIT: %v", err)
		}
		elapsed(t, "QUIT", start, 7*rtt)
		s.Close()
		clean(t, n)
	})
}

func TestNoLatency(t *testing.T) {
	w := world(t, "sample")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		start := time.Now()
		c := dial(t, n, "tcp", "192.0.2.25:25")
		reply(t, c)
		send(t, c, "EHLO x")
		reply(t, c)
		elapsed(t, "a world without rtt", start, 0)
		c.Close()
		clean(t, n)
	})
}

func TestOutsideOfABubble(t *testing.T) {
	w := world(t, "sample")
	n := w.Network()
	c := dial(t, n, "tcp", "192.0.2.25:25")
	if got := reply(t, c); got != "220 mx.example.org ESMTP" {
		t.Error(got)
	}
	c.Close()
	clean(t, n)
}

func TestConnectFailures(t *testing.T) {
	w := world(t, "smtp")
	for _, tc := range []struct {
		addr  string
		want  error
		after time.Duration
	}{
		{"192.0.2.7:25", syscall.ECONNREFUSED, rtt},
		{"192.0.2.8:25", syscall.ETIMEDOUT, 127 * time.Second},
		{"192.0.2.9:25", syscall.EHOSTUNREACH, rtt},
		{"192.0.2.10:25", syscall.ENETUNREACH, 0},
		{"192.0.2.53:53", syscall.ECONNREFUSED, rtt},
	} {
		bubble(t, w, func(t *testing.T, n *lab.Network) {
			start := time.Now()
			err := tryDial(t.Context(), n, "tcp", tc.addr)
			elapsed(t, tc.addr, start, tc.after)
			var op *net.OpError
			if !errors.Is(err, tc.want) || !errors.As(err, &op) || op.Op != "dial" || op.Addr.String() != tc.addr {
				t.Errorf("%s: %v (%T), want %v", tc.addr, err, err, tc.want)
			}
			clean(t, n)
			if c := n.Connections(); len(c) != 1 || c[0].Refused == "" {
				t.Errorf("connections = %+v", c)
			}
		})
	}
}

func TestDialContext(t *testing.T) {
	w := world(t, "smtp")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := tryDial(ctx, n, "tcp", "192.0.2.8:25")
		elapsed(t, "a connect that nobody answers", start, 10*time.Second)
		var ne net.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("err = %v", err)
		}
		gone, stop := context.WithCancel(t.Context())
		stop()
		err = tryDial(gone, n, "tcp", "192.0.2.1:25")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
		clean(t, n)
	})
}

func TestAddresses(t *testing.T) {
	w := parse(t, "-- server 192.0.2.1:25 a.example.org --\n-- server [2001:db8::1]:25 a.example.org --\n")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		for _, tc := range []struct{ local, remote, want string }{
			{"", "192.0.2.1:25", "198.51.100.200"},
			{"", "[2001:db8::1]:25", "2001:db8:ffff::200"},
			{"198.51.100.9", "192.0.2.1:25", "198.51.100.9"},
		} {
			local := netip.Addr{}
			if tc.local != "" {
				local = netip.MustParseAddr(tc.local)
			}
			c, err := n.Dial(t.Context(), "tcp", local, netip.MustParseAddrPort(tc.remote))
			if err != nil {
				t.Fatal(err)
			}
			a := c.LocalAddr().(*net.TCPAddr)
			if a.IP.String() != tc.want || a.Port == 0 || c.RemoteAddr().(*net.TCPAddr).String() != tc.remote {
				t.Errorf("%v -> %v", c.LocalAddr(), c.RemoteAddr())
			}
			c.Close()
		}
		_, err := n.Dial(t.Context(), "tcp", netip.MustParseAddr("::1"), netip.MustParseAddrPort("192.0.2.1:25"))
		var ae *net.AddrError
		if !errors.As(err, &ae) {
			t.Errorf("mixed families: %v", err)
		}
		_, err = n.Dial(t.Context(), "unix", netip.Addr{}, netip.MustParseAddrPort("192.0.2.1:25"))
		if !errors.As(err, new(net.UnknownNetworkError)) {
			t.Errorf("unix: %v", err)
		}
		u := dial(t, n, "udp", "192.0.2.53:53")
		if u.LocalAddr().(*net.UDPAddr).IP.String() != "198.51.100.200" || u.RemoteAddr().(*net.UDPAddr).Port != 53 {
			t.Errorf("%v -> %v", u.LocalAddr(), u.RemoteAddr())
		}
		u.Close()
		clean(t, n)
	})
}

func TestUndeclaredAddress(t *testing.T) {
	w := world(t, "sample")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		err := tryDial(t.Context(), n, "tcp", "192.0.2.77:25")
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("err = %v", err)
		}
		u := dial(t, n, "udp", "192.0.2.78:53")
		defer u.Close()
		_, err = u.Write([]byte("x"))
		if err != nil {
			t.Error(err)
		}
		_, err = u.Read(make([]byte, 10))
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("err = %v", err)
		}
		p := w.Problems()
		if len(p) != 2 || !strings.HasPrefix(p[0], "sample.txtar: a connection was tried to 192.0.2.77:25") || !strings.Contains(p[1], "192.0.2.78:53") {
			t.Errorf("problems = %q", p)
		}
	})
}

func TestDeadlines(t *testing.T) {
	w := world(t, "smtp")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "tcp", "192.0.2.3:25") // greets, then stalls
		defer c.Close()
		reply(t, c)
		send(t, c, "EHLO x")
		start := time.Now()
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err := c.Read(make([]byte, 1))
		elapsed(t, "read", start, 20*time.Second)
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("read: %v", err)
		}
		// A deadline that is moved wakes who waits.
		c.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { c.SetDeadline(time.Now()) })
		_, err = c.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		_, err = c.Write([]byte("x"))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
		// A stalled peer reads nothing: the window fills.
		c.SetDeadline(time.Time{})
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		sent, err := c.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || sent != 256<<10 {
			t.Errorf("write of 1 MiB: %d, %v", sent, err)
		}
	})
}

func TestCloseAndReset(t *testing.T) {
	w := world(t, "smtp")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "tcp", "192.0.2.2:25")
		reply(t, c)
		send(t, c, "EHLO x")
		start := time.Now()
		_, err := c.Read(make([]byte, 1))
		elapsed(t, "reset", start, rtt)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v", err)
		}
		_, err = c.Write([]byte("x"))
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write: %v", err)
		}
		c.Close()

		c = dial(t, n, "tcp", "192.0.2.4:25")
		data, err := io.ReadAll(c)
		if err != nil || !bytes.HasPrefix(data, []byte("\x00\xff")) {
			t.Errorf("garbage: %q, %v", data, err)
		}
		_, err = c.Write([]byte("lost"))
		if err != nil {
			t.Errorf("the first write after FIN: %v", err)
		}
		time.Sleep(rtt)
		_, err = c.Write([]byte("x"))
		if !errors.Is(err, syscall.EPIPE) {
			t.Errorf("the second write after FIN: %v", err)
		}
		c.Close()
		_, err = c.Read(make([]byte, 1))
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		_, err = c.Write([]byte("x"))
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
		if !errors.Is(c.Close(), net.ErrClosed) {
			t.Error("a second Close succeeded")
		}
		clean(t, n)
	})
}

func TestCloseWakesReader(t *testing.T) {
	w := world(t, "smtp")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		for _, c := range []net.Conn{dial(t, n, "tcp", "192.0.2.3:25"), dial(t, n, "udp", "192.0.2.53:53")} {
			got := make(chan error)
			go func() {
				_, err := io.Copy(io.Discard, c)
				got <- err
			}()
			time.Sleep(time.Minute)
			c.Close()
			if err := <-got; !errors.Is(err, net.ErrClosed) {
				t.Errorf("read: %v", err)
			}
		}
		clean(t, n)
	})
}
