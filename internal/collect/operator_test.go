package collect

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/smtp"
)

func TestOperators(t *testing.T) {
	for _, c := range []struct {
		host, addr string
		want       []operator
	}{
		{"mx1.example.org", "192.0.2.25", []operator{"example.org", "192.0.2.0/24"}},
		{"MX2.Example.ORG.", "192.0.2.200", []operator{"example.org", "192.0.2.0/24"}},
		{"example-org.mail.protection.outlook.com", "192.0.3.25", []operator{"outlook.com", "192.0.3.0/24"}},
		{"mx.example.co.uk", "2001:db8:1:2::25", []operator{"example.co.uk", "2001:db8:1::/48"}},
		{"mx.example.org", "::ffff:192.0.2.25", []operator{"example.org", "192.0.2.0/24"}},
		{"localhost", "127.0.0.1", []operator{"localhost", "127.0.0.0/24"}},
		{"192.0.2.25", "192.0.2.25", []operator{"192.0.2.0/24"}},
		{"[192.0.2.25]", "192.0.2.25", []operator{"192.0.2.0/24"}},
		// A name that looks like a network is none, or it would wait for itself.
		{"2001:db8:1::/48", "2001:db8:1::25", []operator{"2001:db8:1::_48", "2001:db8:1::/48"}},
	} {
		got := operators(at(c.host, c.addr))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s at %s: %v", c.host, c.addr, got)
		}
	}
}

// However names and networks are mixed, everybody gets his turn, and nobody
// waits for somebody who waits for him.
func TestTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared()
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				list := operators(at(fmt.Sprintf("mx.example%d.org", i%7), fmt.Sprintf("192.0.%d.%d", i%5, i)))
				leave := shared.enter(t.Context(), list)
				time.Sleep(time.Second)
				leave()
			})
		}
		wg.Wait()
		if len(shared.turns) > 0 {
			t.Errorf("turns are left: %v", shared.turns)
		}
	})
}

// Who gives up gives back the turn that he has, and had not the other one.
func TestTurnsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared()
		mine := operators(at("mx.example.org", "192.0.2.25"))
		leave := shared.enter(t.Context(), mine[1:])
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		shared.enter(impatient, mine)()
		shared.enter(t.Context(), mine[:1])() // the name is free, the network is not
		leave()
		if len(shared.turns) > 0 {
			t.Errorf("turns are left: %v", shared.turns)
		}
	})
}

// queue is a prober whose connections take a while, and which watches that
// operators are connected to one at a time.
type queue struct {
	mu     sync.Mutex
	silent []string // "ADDR:PORT"
	busy   map[operator]int
	tried  map[string]int
	floors int
	clash  []operator
}

func (q *queue) connect(ctx context.Context, t smtp.Target, lasts time.Duration) {
	leave := t.Turn(ctx)
	defer leave()
	count := func(n int) {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, o := range operators(t) {
			q.busy[o] += n
			if q.busy[o] > 1 {
				q.clash = append(q.clash, o)
			}
		}
	}
	count(1)
	time.Sleep(lasts)
	count(-1)
}

func (q *queue) Probe(ctx context.Context, t smtp.Target) (audit.Endpoint, []audit.Session) {
	at := netip.AddrPortFrom(t.Addr, t.Port).String()
	q.mu.Lock()
	q.tried[at]++
	q.mu.Unlock()
	e := audit.Endpoint{Host: t.Host, Addr: t.Addr, Port: t.Port, Mode: t.Mode}
	sessions := []audit.Session{{Endpoint: e.Subject(), N: 1, Started: time.Now(), Attempted: true}}
	if !slices.Contains(q.silent, at) {
		q.connect(ctx, t, time.Second)
		welcomes(t.Host.String())(&e)
		e.TLS = audit.See(audit.TLS{}, "")
		return e, sessions
	}
	e.Connect = audit.Dark[audit.Nothing](audit.Reason{Code: audit.Timeout, Text: "no answer"}, "")
	q.connect(ctx, t, 10*time.Second)
	if !t.Once {
		t.Doubt(e)
		time.Sleep(5 * time.Second)
		q.connect(ctx, t, 10*time.Second)
		e.Connect.Why.Code = audit.NoAnswer
	}
	return e, sessions
}

func (q *queue) Floor(ctx context.Context, t smtp.Target, _ int) (smtp.Floor, []audit.Session) {
	q.mu.Lock()
	q.floors++
	q.mu.Unlock()
	q.connect(ctx, t, time.Second)
	return smtp.Floor{}, []audit.Session{{Attempted: true}}
}

// TestOneAtATime: main looks, old versions of TLS, control hosts and other ports
// of a server wait for their operators, and nobody waits for ever.
func TestOneAtATime(t *testing.T) {
	z := zone{
		"example.org MX": {"10 mx1.example.org.", "20 mx2.example.org.", "30 mx3.example.net."},
		// By name the first two are one operator's, by network the last two.
		"mx1.example.org A": {"192.0.2.25"}, "mx2.example.org A": {"198.51.100.25"}, "mx3.example.net A": {"198.51.100.26"},
		"c1.example.net A": {"203.0.113.1"}, "c2.example.com A": {"203.0.113.2"}, "c3.example.edu A": {"203.0.113.3"},
	}
	all := []string{"192.0.2.25:25", "198.51.100.25:25", "198.51.100.26:25"}
	for _, c := range []struct {
		name     string
		silent   []string
		controls int
		floors   int
	}{
		{"all answer", nil, 0, 3},
		{"one is silent: whenever its turn is, another one answers", all[:1], 0, 2},
		{"another one is", all[1:2], 0, 2},
		{"two are", all[:2], 0, 1},
		{"all are", all, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &queue{silent: c.silent, busy: map[operator]int{}, tried: map[string]int{}}
				res, _ := collectFacts(t, t.Context(), z, func(cfg *Config, p *Plan) {
					cfg.Controls, cfg.Prober = threeControls(), func(string) Prober { return q }
					p.Scope.Areas = append(p.Scope.Areas, audit.AreaTLS)
				})
				controls := 0
				for at, n := range q.tried {
					if strings.HasPrefix(at, "203.0.113.") {
						controls += n
					}
				}
				if len(q.clash) > 0 || controls != c.controls || q.floors != c.floors || len(res.Facts.SMTP) != len(all) {
					t.Errorf("two connections at once to %v; %d controls, want %d; %d for old TLS, want %d; %d endpoints", q.clash, controls, c.controls, q.floors, c.floors, len(res.Facts.SMTP))
				}
			})
		})
	}
}
