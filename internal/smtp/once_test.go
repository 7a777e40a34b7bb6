package smtp

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
)

// sixNL are the steps behind a connect that came to nothing.
const sixNL = "not-learned not-learned not-learned not-learned not-learned not-learned"

// TestOnce: a target that gets one connection is never believed in a "no", and
// nobody is told of a second look that does not come.
func TestOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script any
		want   string
	}{
		{"refused", errno(syscall.ECONNREFUSED), "seen-once " + sixNL},
		{"silent", errno(syscall.ETIMEDOUT), "timeout " + sixNL},
		{"no STARTTLS", ehloAnswers("250 mx.example.org"), "S S S n seen-once not-learned not-learned"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{tt.script}}
				p := New(Config{Dialer: w, HELO: testHELO})
				target := testTarget()
				target.Once = true
				target.Doubt = func(audit.Endpoint) { t.Error("doubt was told") }
				e, sessions := p.Probe(t.Context(), target)
				w.check(p)
				if got := summary(e); got != tt.want || len(sessions) != 1 || len(w.dialed) != 1 {
					t.Errorf("got %s, %d sessions, %d connections", got, len(sessions), len(w.dialed))
				}
			})
		})
	}
}

// TestDoubt: whoever wants to know is told before the pause for the second
// look, and of nothing as if it were confirmed.
func TestDoubt(t *testing.T) {
	good := complete(leaf(t, nil, nil))
	for _, tt := range []struct {
		name    string
		scripts []any
		told    string // "": nothing
		after   time.Duration
	}{
		{"silent", []any{errno(syscall.ETIMEDOUT)}, "timeout", 0},
		{"refused", []any{errno(syscall.ECONNREFUSED)}, "seen-once", 0},
		{"unreachable, then there", []any{errno(syscall.EHOSTUNREACH), good}, "unreachable", 0},
		{"no way", []any{errno(syscall.ENETUNREACH)}, "", 0},
		{"healthy", []any{good}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: tt.scripts}
				p := New(Config{Dialer: w, HELO: testHELO})
				var told string
				began, when := time.Now(), time.Duration(0)
				target := testTarget()
				target.Doubt = func(e audit.Endpoint) {
					told, when = string(e.Connect.Why.Code), time.Since(began)
					if e.Connect.Known() {
						t.Errorf("told as if it were known: %+v", e.Connect)
					}
				}
				p.Probe(t.Context(), target)
				w.check(p)
				if told != tt.told || when != tt.after {
					t.Errorf("told %q after %v, want %q after %v", told, when, tt.told, tt.after)
				}
			})
		})
	}
}

// TestTurnLastsUntilTheEnd: a turn is given back when the connection is closed,
// once, and not while the goodbye is waited for. Probe does not wait for it.
func TestTurnLastsUntilTheEnd(t *testing.T) {
	const slow = 3 * time.Second
	lateBye := script(func(s *peer) {
		s.greet("220 mx.example.org ESMTP")
		s.answer("EHLO "+testHELO, "250-mx.example.org", "250 STARTTLS")
		s.want("QUIT")
		time.Sleep(slow)
		s.say("221 bye")
		s.wait()
	})
	noBye := script(func(s *peer) {
		s.greet("220 mx.example.org ESMTP")
		s.answer("EHLO "+testHELO, "250-mx.example.org", "250 STARTTLS")
		s.wait()
	})
	for _, tt := range []struct {
		name   string
		script any
		held   time.Duration
	}{
		{"the goodbye is slow", lateBye, greetTook + slow},
		{"there is none", noBye, greetTook + goodbyeLimit},
		{"out of step", script(func(s *peer) { s.say("no SMTP"); s.wait() }), 0},
		{"refused", errno(syscall.ENETUNREACH), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{tt.script}}
				p := New(Config{Dialer: w, HELO: testHELO})
				target, began := testTarget().in(audit.ModePlain), time.Now()
				var held time.Duration
				left := 0
				target.Turn = func(context.Context) func() {
					return func() {
						held = time.Since(began)
						left++
						for _, c := range w.clients {
							if !errors.Is(c.state(), net.ErrClosed) {
								t.Error("the turn was given back while the connection was open")
							}
						}
					}
				}
				p.Probe(t.Context(), target)
				if took := time.Since(began); took > greetTook {
					t.Errorf("Probe took %v", took)
				}
				w.check(p)
				if left != 1 || held != tt.held {
					t.Errorf("given back %d times, after %v, want %v", left, held, tt.held)
				}
			})
		})
	}
}

// TestMuteServer: one that accepts and says nothing may wait for TLS; only
// port 25 never does.
func TestMuteServer(t *testing.T) {
	for port, want := range map[uint16]audit.Code{25: audit.Timeout, 465: audit.NoGreeting, 587: audit.NoGreeting, 2525: audit.NoGreeting} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, scripts: []any{script(mute)}}
			p := New(Config{Dialer: w, HELO: testHELO})
			target := testTarget().in(audit.ModePlain)
			target.Port = port
			e, _ := p.Probe(t.Context(), target)
			w.check(p)
			if e.Greeting.State != audit.Unknown || e.Greeting.Why.Code != want {
				t.Errorf("port %d: %+v", port, e.Greeting)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{script(func(s *peer) { s.send("220-mx"); s.wait() })}}
		p := New(Config{Dialer: w, HELO: testHELO})
		target := testTarget().in(audit.ModePlain)
		target.Port = 587
		e, _ := p.Probe(t.Context(), target)
		w.check(p)
		if e.Greeting.Why.Code != audit.Timeout {
			t.Errorf("half a greeting: %+v", e.Greeting)
		}
	})
}
