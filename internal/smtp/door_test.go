package smtp

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// names are targets of several hosts at one address.
func names(n int, mode audit.Mode) []Target {
	var out []Target
	for i := range n {
		t := testTarget().in(mode)
		t.Host = audit.DNSName(fmt.Sprintf("mx%d.example.org", i+1))
		out = append(out, t)
	}
	return out
}

// probeAll probes all targets at once.
func probeAll(ctx context.Context, p *Prober, targets []Target) ([]audit.Endpoint, int) {
	endpoints, sessions := make([]audit.Endpoint, len(targets)), make([]int, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() {
			e, s := p.Probe(ctx, t)
			endpoints[i], sessions[i] = e, len(s)
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range sessions {
		sum += n
	}
	return endpoints, sum
}

// TestNamesAtOneAddress: what does not depend on the name is looked at once,
// whatever the order in which the probes begin; what does is looked at for each.
func TestNamesAtOneAddress(t *testing.T) {
	cert := leaf(t, nil, nil)
	again := func(s script) []any { return []any{s} }
	for _, tt := range []struct {
		name    string
		mode    audit.Mode
		scripts []any
		dialed  int
		want    string // of each of five names
	}{
		{"nothing listens", "", []any{refused()}, 2, "!conn-refused n n n n n n"},
		{"no answer", "", []any{errno(syscall.ETIMEDOUT)}, 2, "timeout not-learned not-learned not-learned not-learned not-learned not-learned"},
		{"no way there", "", []any{errno(syscall.ENETUNREACH)}, 1, "no-route not-learned not-learned not-learned not-learned not-learned not-learned"},
		{"refused, and then silent", "", []any{refused(), errno(syscall.ETIMEDOUT)}, 2, "seen-once not-learned not-learned not-learned not-learned not-learned not-learned"},
		{"takes no mail", "", again(greets("521 no mail here")), 2, "S S n n n n n"},
		{"no STARTTLS", "", again(plainOnly), 2, "S S S n !not-offered n n"},
		{"no EHLO", "", again(ehloThenHelo("502 what", "250 mx")), 2, "S S !declined S n n n"},
		{"plain, refused", audit.ModePlain, []any{refused()}, 2, "!conn-refused n n n n - -"},
		{"TLS at once, refused", audit.ModeTLS, []any{refused()}, 2, "!conn-refused n n n n n n"},
		{"busy: that may be luck", "", again(greets("421 later")), 5, "S S temporary temporary temporary temporary temporary"},
		{"all is well", "", again(complete(cert)), 5, "S S S n S S S"},
		{"declined", "", again(afterEHLO(func(s *peer) { s.answer("STARTTLS", "502 no"); s.bye() })), 10, "S S S n S !declined n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: tt.scripts}
				p := New(Config{Dialer: w, HELO: testHELO})
				endpoints, sessions := probeAll(t.Context(), p, names(5, tt.mode))
				w.check(p)
				if len(w.dialed) != tt.dialed || sessions != tt.dialed {
					t.Errorf("%d connections and %d sessions, want %d", len(w.dialed), sessions, tt.dialed)
				}
				for i, e := range endpoints {
					if got := summary(e); got != tt.want || e.Host != names(5, "")[i].Host {
						t.Errorf("%s: got %s\nwant %s", e.Host, got, tt.want)
					}
				}
			})
		})
	}
}

// TestNamesHaveOneCertificateEach: the name goes into the ClientHello, and what
// the certificate says of it is said of it alone.
func TestNamesHaveOneCertificateEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{complete(leaf(t, nil, func(c *x509.Certificate) { c.DNSNames = []string{"mx2.example.org"} }))}}
		p := New(Config{Dialer: w, HELO: testHELO})
		endpoints, _ := probeAll(t.Context(), p, names(3, ""))
		w.check(p)
		var match []audit.State
		for _, e := range endpoints {
			match = append(match, e.TLS.Value.NameMatch.State)
		}
		if want := []audit.State{audit.Absent, audit.Seen, audit.Absent}; !slices.Equal(match, want) {
			t.Errorf("got %v, want %v", match, want)
		}
	})
}

// TestDoors: another port is another door, and what an audit did not have the
// time to see is not said for others.
func TestDoors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{refused()}}
		p := New(Config{Dialer: w, HELO: testHELO})
		hurried, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		first, _ := p.Probe(hurried, testTarget())
		second, _ := p.Probe(t.Context(), testTarget())
		mapped := testTarget()
		mapped.Addr = netip.AddrFrom16(mapped.Addr.As16())
		third, sessions := p.Probe(t.Context(), mapped)
		other := testTarget()
		other.Port = 587
		fourth, _ := p.Probe(t.Context(), other)
		got := fmt.Sprint(brief(first.Connect), " ", brief(second.Connect), " ", brief(third.Connect), " ", brief(fourth.Connect), " ", len(sessions), " ", len(w.dialed))
		if got != "seen-once !conn-refused !conn-refused !conn-refused 0 5" {
			t.Error(got)
		}
	})
	synctest.Test(t, func(t *testing.T) { // one waits behind a slow one until its time is over
		w := &world{t: t, scripts: []any{script(mute)}}
		p := New(Config{Dialer: w, HELO: testHELO})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		endpoints, _ := probeAll(ctx, p, names(2, ""))
		w.check(p)
		for _, e := range endpoints {
			if e.Greeting.State != audit.Unknown || e.Greeting.Why.Code == audit.Once {
				t.Errorf("%s: %s", e.Host, summary(e))
			}
		}
	})
}

// refusing is a network in which nothing listens.
type refusing struct{}

func (refusing) Dial(context.Context, string, netip.Addr, netip.AddrPort) (net.Conn, error) {
	time.Sleep(100 * time.Millisecond)
	return nil, refused()
}

// TestManyNamesStayWithinTheBudget: with the real dialer, ten names at one
// address that refuses are all told so, night for night.
func TestManyNamesStayWithinTheBudget(t *testing.T) {
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			d := dial.New(dial.Config{Network: refusing{}, Guard: func(netip.Addr) string { return "" }})
			p := New(Config{Dialer: d, HELO: testHELO})
			endpoints, _ := probeAll(t.Context(), p, names(10, ""))
			for _, e := range endpoints {
				if brief(e.Connect) != "!conn-refused" {
					t.Errorf("%s: %s", e.Host, brief(e.Connect))
				}
			}
			connections, _ := d.Count()
			if connections != 2 {
				t.Errorf("%d connections", connections)
			}
		})
	}
}
