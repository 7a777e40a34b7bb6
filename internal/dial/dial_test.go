package dial

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
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
)

// call is one Dial that a fake network saw.
type call struct {
	at      time.Duration // since the start of the bubble
	network string
	local   netip.Addr
	remote  netip.AddrPort
}

// fake is a network in memory: every Dial is recorded and answered by answer,
// nil meaning success.
type fake struct {
	start  time.Time
	answer func(ctx context.Context, n int, remote netip.AddrPort) error

	mu    sync.Mutex
	calls []call
	open  int
	most  int
}

func newFake() *fake { return &fake{start: time.Now()} }

func (f *fake) Dial(ctx context.Context, network string, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	f.mu.Lock()
	f.calls = append(f.calls, call{time.Since(f.start), network, local, remote})
	n := len(f.calls)
	f.mu.Unlock()
	if f.answer != nil {
		err := f.answer(ctx, n, remote)
		if err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open++
	f.most = max(f.most, f.open)
	return &fakeConn{fake: f}, nil
}

type fakeConn struct {
	net.Conn
	fake   *fake
	closed int
}

func (c *fakeConn) Close() error {
	c.fake.mu.Lock()
	defer c.fake.mu.Unlock()
	c.fake.open--
	c.closed++
	if c.closed > 1 {
		return net.ErrClosed
	}
	return nil
}

func (f *fake) times() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []time.Duration
	for _, c := range f.calls {
		out = append(out, c.at)
	}
	return out
}

func open(netip.Addr) string { return "" }

var (
	host1 = netip.MustParseAddrPort("192.0.2.25:25")
	host2 = netip.MustParseAddrPort("192.0.2.26:25")
)

func mustDial(t *testing.T, d *Dialer, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := d.Host(t.Context(), to)
	if err != nil {
		t.Fatalf("Host(%s): %v", to, err)
	}
	return c
}

func TestGuard(t *testing.T) {
	tests := []struct {
		name  string
		guard func(netip.Addr) string
		to    string
		kind  string // "" when let through
	}{
		{"default guard lets a public address through", nil, "193.0.0.1:25", ""},
		{"public IPv6", nil, "[2001:67c:2e8::1]:25", ""},
		{"loopback", nil, "127.0.0.1:25", "loopback (RFC 1122)"},
		{"metadata", nil, "169.254.169.254:80", "cloud metadata service"},
		{"documentation", nil, "192.0.2.25:25", "documentation (RFC 5737)"},
		{"mapped loopback is loopback", nil, "[::ffff:127.0.0.1]:25", "loopback (RFC 1122)"},
		{"mapped public address is public", nil, "[::ffff:193.0.0.1]:25", ""},
		{"zone with an open guard", open, "[fe80::1%eth0]:25", "scoped to a zone of this machine (RFC 4007)"},
		{"zone on a public address", open, "[2001:67c:2e8::1%eth0]:25", "scoped to a zone of this machine (RFC 4007)"},
		{"the guard that a lab opened", open, "192.0.2.25:25", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			d := New(Config{Network: f, Guard: tt.guard})
			to := netip.MustParseAddrPort(tt.to)
			_, err := d.Host(t.Context(), to)
			if tt.kind == "" {
				if err != nil {
					t.Fatalf("err = %v, want a connection", err)
				}
				if f.calls[0].remote.Addr() != to.Addr().Unmap() {
					t.Errorf("dialed %s, want it unmapped", f.calls[0].remote)
				}
				return
			}
			if !errors.Is(err, ErrBlocked) {
				t.Fatalf("err = %v, want ErrBlocked", err)
			}
			want := audit.Reason{Code: audit.Blocked, Text: "not contacted, because the address is special-purpose: " + tt.kind}
			if got := Reason(err); got != want {
				t.Errorf("Reason = %+v, want %+v", got, want)
			}
			if len(f.calls) != 0 {
				t.Errorf("the network was used: %v", f.calls)
			}
			conns, addrs := d.Count()
			if conns != 0 || addrs != 0 {
				t.Errorf("Count = %d, %d after a blocked call", conns, addrs)
			}
		})
	}
	_, err := New(Config{Network: newFake(), Guard: open}).Host(t.Context(), netip.AddrPort{})
	if !errors.Is(err, ErrBlocked) {
		t.Errorf("no address: err = %v, want ErrBlocked", err)
	}
}

func TestOneAtATimePerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := New(Config{Network: f, Guard: open})
		var wg sync.WaitGroup
		var order []int
		for i := range 4 {
			wg.Go(func() {
				// Other ports of the same address, mapped or not, share its turn.
				to := netip.AddrPortFrom(host1.Addr(), uint16(25+i))
				if i%2 == 1 {
					to = netip.AddrPortFrom(netip.AddrFrom16(host1.Addr().As16()), to.Port())
				}
				c, err := d.Host(t.Context(), to)
				if err != nil {
					t.Errorf("Host: %v", err)
					return
				}
				order = append(order, i) // safe: one at a time
				time.Sleep(5 * time.Second)
				c.Close()
			})
			synctest.Wait() // so that they queue in this order
		}
		wg.Wait()
		want := []time.Duration{0, 6 * time.Second, 12 * time.Second, 18 * time.Second}
		if got := f.times(); !slices.Equal(got, want) {
			t.Errorf("dialed at %v, want %v: 5 s each and 1 s between them", got, want)
		}
		if f.most != 1 {
			t.Errorf("%d connections to one address at once", f.most)
		}
		if !slices.Equal(order, []int{0, 1, 2, 3}) {
			t.Errorf("order %v, want first come, first served", order)
		}
		conns, addrs := d.Count()
		if conns != 4 || addrs != 1 {
			t.Errorf("Count = %d, %d, want 4, 1", conns, addrs)
		}
	})
}

func TestAddressesDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := New(Config{Network: f, Guard: open})
		mustDial(t, d, host1)
		mustDial(t, d, host2)
		if got := f.times(); !slices.Equal(got, []time.Duration{0, 0}) {
			t.Errorf("dialed at %v, want both at once", got)
		}
	})
}

func TestSpacingCountsFromTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.answer = func(ctx context.Context, n int, _ netip.AddrPort) error {
			if n == 2 {
				time.Sleep(2 * time.Second)
				return syscall.ECONNREFUSED
			}
			return nil
		}
		d := New(Config{Network: f, Guard: open, Spacing: 3 * time.Second})
		c := mustDial(t, d, host1)
		time.Sleep(10 * time.Second)
		c.Close()
		_, err := d.Host(t.Context(), host1) // at 13 s, refused at 15 s
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("err = %v, want ECONNREFUSED", err)
		}
		c = mustDial(t, d, host1) // at 18 s: a failed attempt is spaced like any other
		c.Close()
		time.Sleep(time.Minute)
		mustDial(t, d, host1) // long after: at once
		want := []time.Duration{0, 13 * time.Second, 18 * time.Second, 78 * time.Second}
		if got := f.times(); !slices.Equal(got, want) {
			t.Errorf("dialed at %v, want %v", got, want)
		}
	})
}

func TestNoSpacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := New(Config{Network: f, Guard: open, Spacing: -1})
		mustDial(t, d, host1).Close()
		mustDial(t, d, host1).Close()
		if got := f.times(); !slices.Equal(got, []time.Duration{0, 0}) {
			t.Errorf("dialed at %v, want both at once", got)
		}
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.answer = func(_ context.Context, n int, _ netip.AddrPort) error {
			if n == 1 {
				return syscall.ECONNREFUSED // counts too
			}
			return nil
		}
		d := New(Config{Network: f, Guard: open, PerAddr: 2})
		_, err := d.Host(t.Context(), host1)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("err = %v", err)
		}
		// Of two that wait for the turn, the second finds the budget used up
		// and does not wait for the spacing.
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i := range 2 {
			wg.Go(func() {
				var c net.Conn
				c, errs[i] = d.Host(t.Context(), host1)
				if errs[i] == nil {
					time.Sleep(time.Second)
					c.Close()
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if errs[0] != nil || !errors.Is(errs[1], ErrBudget) {
			t.Errorf("errors %v, want a connection and ErrBudget", errs)
		}
		if got := time.Since(f.start); got != 2*time.Second {
			t.Errorf("all was over after %v, want 2 s", got)
		}
		_, err = d.Host(t.Context(), host1)
		if !errors.Is(err, ErrBudget) {
			t.Errorf("err = %v, want ErrBudget at once", err)
		}
		if time.Since(f.start) != 2*time.Second {
			t.Error("a used-up budget made the caller wait")
		}
		mustDial(t, d, host2)
		conns, addrs := d.Count()
		if conns != 3 || addrs != 2 {
			t.Errorf("Count = %d, %d, want 3, 2", conns, addrs)
		}
	})
}

func TestNothingIsChargedForWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{Network: newFake(), Guard: open, PerAddr: 2})
		c := mustDial(t, d, host1)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := d.Host(ctx, host1)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want the deadline", err)
			}
			cancel()
		}
		c.Close()
		// The ones that gave up took nothing from the budget.
		mustDial(t, d, host1)
		conns, _ := d.Count()
		if conns != 2 {
			t.Errorf("Count = %d, want 2", conns)
		}
	})
}

func TestMaxConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := New(Config{Network: f, Guard: open, MaxConns: 3})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 25)
				c := mustDial(t, d, to)
				time.Sleep(time.Second)
				c.Close()
			})
		}
		wg.Wait()
		if f.most != 3 {
			t.Errorf("%d connections were open at once, want 3", f.most)
		}
		if got := time.Since(f.start); got != 4*time.Second {
			t.Errorf("took %v, want 4 s", got)
		}
		// Waiting for a slot obeys ctx and gives the turn back.
		for i := range 3 {
			mustDial(t, d, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 25))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := d.Host(ctx, host1)
		if Reason(err).Code != audit.Deadline {
			t.Errorf("Reason(%v) = %+v, want Deadline", err, Reason(err))
		}
		if len(d.address(host1.Addr()).turn) != 0 {
			t.Error("the turn of the address was not given back")
		}
	})
}

func TestCloseFreesTheTurnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := New(Config{Network: f, Guard: open})
		first := mustDial(t, d, host1)
		if err := first.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		second := mustDial(t, d, host1)
		var wg sync.WaitGroup
		for range 3 { // a second Close must not free the turn of the second connection
			wg.Go(func() {
				if err := first.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("second Close: %v", err)
				}
			})
		}
		wg.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := d.Host(ctx, host1)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v: the turn was free while a connection was open", err)
		}
		second.Close()
		mustDial(t, d, host1)
	})
}

func TestContextEndsEveryWait(t *testing.T) {
	over := errors.New("the whole run is over")
	tests := []struct {
		name string
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want audit.Code
	}{
		{"deadline", func(p context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(p, 500*time.Millisecond)
		}, audit.Deadline},
		{"deadline with a cause of its own", func(p context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(p, 500*time.Millisecond, over)
		}, audit.Deadline},
		{"cancel", func(p context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(p)
			time.AfterFunc(500*time.Millisecond, cancel)
			return ctx, cancel
		}, audit.Interrupted},
		{"cancel with a cause of its own", func(p context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(p)
			time.AfterFunc(500*time.Millisecond, func() { cancel(over) })
			return ctx, func() { cancel(nil) }
		}, audit.Interrupted},
		{"cancel because the time is over", func(p context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(p)
			time.AfterFunc(500*time.Millisecond, func() { cancel(context.DeadlineExceeded) })
			return ctx, func() { cancel(nil) }
		}, audit.Deadline},
	}
	stages := map[string]func(t *testing.T, d *Dialer, f *fake){
		"turn":    func(t *testing.T, d *Dialer, _ *fake) { mustDial(t, d, host1) },
		"spacing": func(t *testing.T, d *Dialer, _ *fake) { mustDial(t, d, host1).Close() },
		"connect": func(_ *testing.T, _ *Dialer, f *fake) {
			f.answer = func(ctx context.Context, _ int, _ netip.AddrPort) error {
				<-ctx.Done()
				return &net.OpError{Op: "dial", Err: ctx.Err()}
			}
		},
	}
	for stage, prepare := range stages {
		for _, tt := range tests {
			t.Run(stage+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake()
					d := New(Config{Network: f, Guard: open})
					prepare(t, d, f)
					ctx, cancel := tt.ctx(t.Context())
					defer cancel()
					_, err := d.Host(ctx, host1)
					if got := Reason(err).Code; got != tt.want {
						t.Errorf("Reason(%v) = %q, want %q", err, got, tt.want)
					}
					if got := time.Since(f.start); got != 500*time.Millisecond {
						t.Errorf("gave up after %v, want 500 ms", got)
					}
					_, err = d.Host(ctx, host2)
					if got := Reason(err).Code; got != tt.want {
						t.Errorf("a ctx that has ended before: Reason = %q, want %q", got, tt.want)
					}
				})
			})
		}
	}
}

func TestOurConnectTimeoutIsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.answer = func(ctx context.Context, _ int, _ netip.AddrPort) error {
			<-ctx.Done()
			return &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
		}
		d := New(Config{Network: f, Guard: open})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := d.Host(ctx, host1)
		if got := Reason(err).Code; got != audit.Timeout {
			t.Errorf("Reason(%v) = %q, want %q", err, got, audit.Timeout)
		}
		if got := time.Since(f.start); got != DefaultConnect {
			t.Errorf("gave up after %v, want %v", got, DefaultConnect)
		}
		_, err = d.Resolver(ctx, "tcp", host2)
		if got := Reason(err).Code; got != audit.Timeout {
			t.Errorf("Resolver: Reason(%v) = %q, want %q", err, got, audit.Timeout)
		}
	})
}

func TestSourceAddress(t *testing.T) {
	src4, src6 := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1")
	f := newFake()
	d := New(Config{Network: f, Guard: open, Source4: src4, Source6: src6})
	mustDial(t, d, host1)
	mustDial(t, d, netip.MustParseAddrPort("[2001:db8::25]:25"))
	mustDial(t, d, netip.MustParseAddrPort("[::ffff:192.0.2.99]:25"))
	for _, r := range []struct{ network, to string }{
		{"udp", "192.0.2.53:53"}, {"tcp", "[2001:db8::53]:53"}, {"udp", "127.0.0.53:53"}, {"udp", "[::1]:53"}, {"udp", "[fe80::1%eth0]:53"},
	} {
		_, err := d.Resolver(t.Context(), r.network, netip.MustParseAddrPort(r.to))
		if err != nil {
			t.Fatalf("Resolver(%s): %v", r.to, err)
		}
	}
	var got []string
	for _, c := range f.calls {
		got = append(got, fmt.Sprintf("%s %s %s", c.network, c.local, c.remote))
	}
	want := []string{
		"tcp 198.51.100.1 192.0.2.25:25",
		"tcp 2001:db8::1 [2001:db8::25]:25",
		"tcp 198.51.100.1 192.0.2.99:25",
		"udp 198.51.100.1 192.0.2.53:53",
		"tcp 2001:db8::1 [2001:db8::53]:53",
		"udp invalid IP 127.0.0.53:53", // a local stub wants a loopback source
		"udp invalid IP [::1]:53",
		"udp 2001:db8::1 [fe80::1%eth0]:53",
	}
	if !slices.Equal(got, want) {
		t.Errorf("dialed\n%q, want\n%q", got, want)
	}
	conns, addrs := d.Count()
	if conns != 3 || addrs != 3 {
		t.Errorf("Count = %d, %d, want 3, 3: resolvers do not count", conns, addrs)
	}
}

func TestResolverIsImpolite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := New(Config{Network: f, PerAddr: 1, MaxConns: 1}) // with the guard on
		for range 20 {
			_, err := d.Resolver(t.Context(), "udp", netip.MustParseAddrPort("127.0.0.53:53"))
			if err != nil {
				t.Fatalf("Resolver: %v", err)
			}
		}
		if time.Since(f.start) != 0 {
			t.Error("Resolver waited")
		}
		_, err := d.Resolver(t.Context(), "unix", host1)
		if err == nil {
			t.Error("Resolver took the network unix")
		}
	})
}

// TestSystemNetwork uses the real loopback: a connection that says which
// address it comes from, one that is refused, and one to a listener that
// closes at once.
func TestSystemNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP)
			c.Close()
		}
	}()
	to := l.Addr().(*net.TCPAddr).AddrPort()
	d := New(Config{Guard: open, Source4: netip.MustParseAddr("127.0.0.1"), Spacing: -1})
	c := mustDial(t, d, to)
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != "127.0.0.1" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	_, err = c.Read(buf)
	if got := Reason(err).Code; got != audit.Closed {
		t.Errorf("after the end: Reason(%v) = %q, want closed", err, got)
	}
	c.Close()

	c = mustDial(t, d, to)
	c.SetReadDeadline(time.Unix(1, 0))
	_, err = c.Read(buf)
	if got := Reason(err).Code; got != audit.Timeout {
		t.Errorf("read deadline: Reason(%v) = %q, want timeout", err, got)
	}
	c.Close()

	l.Close()
	_, err = d.Host(t.Context(), to)
	if got := Reason(err).Code; got != audit.ConnRefused {
		t.Errorf("closed port: Reason(%v) = %q, want conn-refused", err, got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = system{}.Dial(ctx, "tcp", netip.Addr{}, to)
	if got := Reason(err).Code; got != audit.Interrupted {
		t.Errorf("canceled: Reason(%v) = %q, want interrupted", err, got)
	}
	udp, err := d.Resolver(t.Context(), "udp", to)
	if err != nil {
		t.Fatalf("udp: %v", err)
	}
	udp.Close()
}
