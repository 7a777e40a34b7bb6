package dial

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
)

// proxyNet is a network in which nothing but a proxy exists.
type proxyNet struct {
	err   error               // of reaching it
	serve func(conn net.Conn) // as the proxy
	asked []netip.AddrPort    // who was connected to
}

var proxyAddr = netip.MustParseAddrPort("127.0.0.1:1080")

func (n *proxyNet) Dial(ctx context.Context, network string, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	n.asked = append(n.asked, remote)
	if n.err != nil {
		return nil, n.err
	}
	ours, theirs := net.Pipe()
	go n.serve(theirs)
	return ours, nil
}

// expect reads exactly these octets.
func expect(t *testing.T, conn net.Conn, want ...byte) bool {
	got := make([]byte, len(want))
	_, err := io.ReadFull(conn, got)
	if err == nil && !bytes.Equal(got, want) {
		t.Errorf("the proxy got % x, want % x", got, want)
	}
	return err == nil
}

// agreed plays a proxy up to the request to connect to host1, and answers it.
func agreed(t *testing.T, answer ...byte) func(net.Conn) {
	return func(conn net.Conn) {
		defer conn.Close()
		if !expect(t, conn, 5, 1, 0) {
			return
		}
		_, _ = conn.Write([]byte{5, 0})
		if expect(t, conn, 5, 1, 0, 1, 192, 0, 2, 25, 0, 25) {
			_, _ = conn.Write(answer)
		}
	}
}

func throughTest(n *proxyNet) *Dialer {
	return New(Config{Network: n, Guard: open, Proxy: proxyAddr, Spacing: -1})
}

// Ensure that a connection through the proxy carries what either side says,
// from the first octet on, and has the ends that the target sees.
func TestProxy(t *testing.T) {
	for _, c := range []struct {
		name   string
		to     string
		want   []byte // of the request, behind 05 01 00
		answer []byte
		local  string
	}{
		{"IPv4", "192.0.2.25:25", []byte{1, 192, 0, 2, 25, 0, 25}, []byte{5, 0, 0, 1, 203, 0, 113, 9, 0xa3, 0x0c}, "203.0.113.9:41740"},
		{"IPv6", "[2001:db8::25]:587", []byte{4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 2, 0x4b},
			[]byte{5, 0, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}, "[2001:db8::1]:1"},
		{"mapped is IPv4", "[::ffff:192.0.2.25]:25", []byte{1, 192, 0, 2, 25, 0, 25}, []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}, ":0"},
		{"a name", "192.0.2.25:25", []byte{1, 192, 0, 2, 25, 0, 25}, []byte{5, 0, 0, 3, 3, 'a', '.', 'b', 0, 1}, ":0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &proxyNet{serve: func(conn net.Conn) {
				defer conn.Close()
				if !expect(t, conn, 5, 1, 0) {
					return
				}
				_, _ = conn.Write([]byte{5, 0})
				if !expect(t, conn, append([]byte{5, 1, 0}, c.want...)...) {
					return
				}
				_, _ = conn.Write(append(c.answer, "220 hello\r\n"...)) // in one piece
				expect(t, conn, []byte("EHLO x")...)
			}}
			d := throughTest(n)
			conn := mustDial(t, d, netip.MustParseAddrPort(c.to))
			greeting := make([]byte, len("220 hello\r\n"))
			_, err := io.ReadFull(conn, greeting)
			if err != nil || string(greeting) != "220 hello\r\n" {
				t.Errorf("%q, %v", greeting, err)
			}
			_, err = conn.Write([]byte("EHLO x"))
			if err != nil {
				t.Error(err)
			}
			want := netip.MustParseAddrPort(c.to)
			if got := conn.RemoteAddr().String(); got != netip.AddrPortFrom(want.Addr().Unmap(), want.Port()).String() || conn.LocalAddr().String() != c.local {
				t.Errorf("from %s to %s", conn.LocalAddr(), got)
			}
			conn.Close()
			if len(n.asked) != 1 || n.asked[0] != proxyAddr {
				t.Errorf("connected to %v", n.asked)
			}
		})
	}
}

// Ensure that what the proxy says of the target is told as that, and whatever
// is the proxy's own fault as ours.
func TestProxyFailures(t *testing.T) {
	reply := func(code byte) func(net.Conn) { return agreed(t, 5, code, 0, 1, 0, 0, 0, 0, 0, 0) }
	first := func(answer ...byte) func(net.Conn) {
		return func(conn net.Conn) {
			defer conn.Close()
			expect(t, conn, 5, 1, 0)
			_, _ = conn.Write(answer)
		}
	}
	for _, c := range []struct {
		name      string
		net       proxyNet
		code      audit.Code
		text      string
		attempted bool
	}{
		{"it refuses us", proxyNet{err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, audit.ProxyFailed, "the proxy cannot be reached: the connection was refused", false},
		{"it wants a login", proxyNet{serve: first(5, 0xff)}, audit.ProxyFailed, "the proxy wants a login, which mailaudit has not", false},
		{"it speaks SOCKS4", proxyNet{serve: first(0, 0x5b)}, audit.ProxyFailed, "the proxy does not speak SOCKS5", false},
		{"it is a web server", proxyNet{serve: first([]byte("HTTP/1.1 400 Bad Request\r\n")...)}, audit.ProxyFailed, "the proxy does not speak SOCKS5", false},
		{"it hangs up at once", proxyNet{serve: func(c net.Conn) { c.Close() }}, audit.ProxyFailed, "the proxy does not answer: our own system could not make or keep the connection", false},
		{"it hangs up instead of answering", proxyNet{serve: agreed(t)}, audit.ProxyFailed, "the proxy gave up on the connection: the other side closed the connection", true},
		{"it hangs up in the answer", proxyNet{serve: agreed(t, 5, 0, 0, 1, 203)}, audit.ProxyFailed, "the proxy does not speak SOCKS5", true},
		{"an address of no kind", proxyNet{serve: agreed(t, 5, 0, 0, 9, 1, 2, 3, 4, 5, 6)}, audit.ProxyFailed, "the proxy does not speak SOCKS5", true},
		{"general failure", proxyNet{serve: reply(1)}, audit.ProxyFailed, "the proxy could not connect, and does not say why", true},
		{"not allowed", proxyNet{serve: reply(2)}, audit.ProxyFailed, "the proxy does not allow this connection", false},
		{"network unreachable", proxyNet{serve: reply(3)}, audit.NoRoute, "the proxy reports that it has no way to this address (no IPv6, for example)", true},
		{"host unreachable", proxyNet{serve: reply(4)}, audit.Unreachable, "the proxy reports that the host is unreachable", true},
		{"refused", proxyNet{serve: reply(5)}, audit.ConnRefused, "the proxy reports that the connection was refused", true},
		{"TTL expired", proxyNet{serve: reply(6)}, audit.Unreachable, "the proxy reports that the way to the host is too long (TTL expired)", true},
		{"no such command", proxyNet{serve: reply(7)}, audit.ProxyFailed, "the proxy does not know the command CONNECT", false},
		{"no such family", proxyNet{serve: reply(8)}, audit.ProxyFailed, "the proxy cannot connect to addresses of this family", false},
		{"a code of no meaning", proxyNet{serve: reply(200)}, audit.ProxyFailed, "the proxy answers with a code that SOCKS does not have", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := throughTest(&c.net)
			conn, err := d.Host(t.Context(), host1)
			if err == nil {
				conn.Close()
				t.Fatal("connected")
			}
			why := Reason(err)
			if why.Code != c.code || why.Text != c.text || Attempted(err) != c.attempted {
				t.Errorf("%+v, attempted %t", why, Attempted(err))
			}
			_, err = d.Host(t.Context(), host1) // the turn is free again
			if err == nil {
				t.Error("connected")
			}
		})
	}
}

// Ensure that a proxy that says nothing costs the time of a connect at each
// step and no more, and that the end of ctx is the end.
func TestProxySilence(t *testing.T) {
	silent := func(step int) func(net.Conn) {
		return func(conn net.Conn) {
			defer conn.Close()
			if step > 0 {
				expect(t, conn, 5, 1, 0)
				_, _ = conn.Write([]byte{5, 0})
			}
			_, _ = io.Copy(io.Discard, conn) // until we give up
		}
	}
	for _, c := range []struct {
		name string
		step int
		give time.Duration // 0: all the time it wants
		code audit.Code
		took time.Duration
	}{
		{"from the beginning", 0, 0, audit.ProxyFailed, DefaultConnect},
		{"about the target", 1, 0, audit.Timeout, DefaultConnect},
		{"the audit ends first", 1, 3 * time.Second, audit.Deadline, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, ctx, start := throughTest(&proxyNet{serve: silent(c.step)}), t.Context(), time.Now()
				if c.give > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.give)
					defer cancel()
				}
				_, err := d.Host(ctx, host1)
				if why := Reason(err); why.Code != c.code || time.Since(start) != c.took {
					t.Errorf("%+v after %v", why, time.Since(start))
				}
			})
		})
	}
}

// Ensure the address guard looks at the target, however it is connected to,
// and lets the user's own proxy and resolvers alone.
func TestProxyAndGuard(t *testing.T) {
	n := &proxyNet{serve: func(c net.Conn) { c.Close() }}
	d := New(Config{Network: n, Proxy: proxyAddr})
	_, err := d.Host(t.Context(), netip.MustParseAddrPort("127.0.0.1:25"))
	if !errors.Is(err, ErrBlocked) || len(n.asked) != 0 {
		t.Errorf("%v, connected to %v", err, n.asked)
	}
	conn, err := d.Resolver(t.Context(), "tcp", netip.MustParseAddrPort("192.0.2.53:53"))
	if err != nil || len(n.asked) != 1 || n.asked[0].Port() != 53 {
		t.Errorf("%v, connected to %v", err, n.asked)
	}
	conn.Close()
	if a := d.Local(t.Context(), false); a.IsValid() || len(n.asked) != 1 {
		t.Errorf("our address is %s, connected to %v", a, n.asked)
	}
}
