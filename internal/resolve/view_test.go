package resolve

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// Two runs of one batch: the second is answered from what the first has
// asked, and each has the whole record.
func TestViewsShareAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: zone("example.org. 300 IN MX 10 mx.", "mx. 300 IN A 192.0.2.1")})
		c := client(t, f, nil, a53)
		one, two := c.View(), c.View()
		if a := one.Ask(t.Context(), "example.org", dns.TypeMX); a.State != audit.Seen {
			t.Fatalf("%+v", a)
		}
		for _, q := range []uint16{dns.TypeMX, dns.TypeTXT} {
			two.Ask(t.Context(), "example.org", q)
		}
		if n := f.queries[a53]; n != 2 {
			t.Errorf("%d queries for two questions", n)
		}
		if len(one.Queries()) != 1 || one.Sent() != 1 {
			t.Errorf("the first view: %v, sent %d", one.Queries(), one.Sent())
		}
		if len(two.Queries()) != 2 || two.Sent() != 1 {
			t.Errorf("the second view: %v, sent %d", two.Queries(), two.Sent())
		}
	})
}

// Within one run a question has one answer, however long that takes; other
// runs ask again when it is old.
func TestViewsAndTime(t *testing.T) {
	for _, tt := range []struct {
		name   string
		server behaviour
		wait   time.Duration
		again  bool
	}{
		{"a minute whatever the TTL", zone("example.org. 1 IN MX 10 mx."), minAge, false},
		{"the TTL over", zone("example.org. 90 IN MX 10 mx."), 91 * time.Second, true},
		{"a long TTL", zone("example.org. 86400 IN MX 10 mx."), maxAge, false},
		{"a long TTL does not keep yesterday's news", zone("example.org. 86400 IN MX 10 mx."), maxAge + time.Nanosecond, true},
		{"failures are left alone for a while", says(dns.RcodeServerFailure, "ra"), darkAge, false},
		{"failures are tried again", says(dns.RcodeServerFailure, "ra"), darkAge + time.Nanosecond, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeNet(map[string]behaviour{a53: tt.server})
				c := client(t, f, nil, a53)
				one, two := c.View(), c.View()
				first := one.Ask(t.Context(), "example.org", dns.TypeMX)
				asked := f.queries[a53]
				time.Sleep(tt.wait)
				if one.Ask(t.Context(), "example.org", dns.TypeMX).State != first.State || f.queries[a53] != asked {
					t.Error("a run has asked the same question twice")
				}
				two.Ask(t.Context(), "example.org", dns.TypeMX)
				if again := f.queries[a53] > asked; again != tt.again {
					t.Errorf("asked again: %v, want %v", again, tt.again)
				}
			})
		})
	}
}

// The budget is each run's own, and what others have asked counts in it: the
// result of a run does not depend on its company.
func TestViewBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: zone("example.org. 300 IN MX 10 mx.")})
		c := client(t, f, func(cfg *Config) { cfg.MaxQueries = 3 }, a53)
		for range 3 {
			v := c.View()
			for i := range 4 {
				a := v.Ask(t.Context(), audit.NewDNSName(fmt.Sprintf("n%d.example.org", i)), dns.TypeMX)
				if over := a.Why.Code == audit.Budget; over != (i == 3) {
					t.Errorf("question %d: %+v", i, a.Why)
				}
			}
		}
		if n := f.queries[a53]; n != 3 {
			t.Errorf("%d queries", n)
		}
	})
}

// Memory is bounded, and keeps what is used.
func TestMemoryIsBounded(t *testing.T) {
	m := newMemory()
	now := time.Now()
	flown := func(name string) *flight {
		f := &flight{question: &question{key: key{audit.NewDNSName(name), dns.TypeA}}, done: make(chan struct{}), at: now}
		f.step = &step{answer: Answer{State: audit.Seen, TTL: 300}}
		close(f.done)
		return f
	}
	popular := flown("popular")
	m.Put(popular.question.key, popular)
	for i := range 3 * maxMemory {
		f := flown(fmt.Sprintf("n%d", i))
		m.Put(f.question.key, f)
		if m.current(popular.question.key, now) == nil {
			t.Fatalf("forgotten after %d", i)
		}
	}
	if m.Len() != maxMemory {
		t.Errorf("%d are kept", m.Len())
	}
	if m.current(key{"n0", dns.TypeA}, now) != nil {
		t.Error("the oldest is still there")
	}
}
