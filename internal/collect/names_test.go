package collect

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
	"mailaudit/internal/smtp"
)

// counting notes when each question was asked.
type counting struct {
	zone
	mu    sync.Mutex
	asked map[string][]time.Duration
	start time.Time
}

func (c *counting) Ask(ctx context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	c.mu.Lock()
	c.asked[string(name)] = append(c.asked[string(name)], time.Since(c.start))
	c.mu.Unlock()
	return c.zone.Ask(ctx, name, qtype)
}

// talkative greets after a second with one name, and answers EHLO after two
// with another.
type talkative struct{ greeting, hello audit.Raw }

func (p talkative) Probe(_ context.Context, t smtp.Target) (audit.Endpoint, []audit.Session) {
	hear := func(word audit.Raw) {
		name, ok := audit.Qualified(word)
		if ok && t.Heard != nil {
			t.Heard(name)
		}
	}
	time.Sleep(time.Second)
	hear(p.greeting)
	time.Sleep(time.Second)
	hear(p.hello)
	time.Sleep(time.Second)
	return audit.Endpoint{Host: t.Host, Addr: t.Addr, Port: t.Port, Connect: audit.See(audit.Nothing{}, ""),
		Greeting: audit.See(audit.Greeting{Code: 220, Name: p.greeting}, ""), Hello: audit.See(audit.Hello{Name: p.hello}, "")}, nil
}

// TestServerNames: the names that servers give are asked for as soon as they
// are heard, those that are hosts leave no second trace, and without the area
// helo nothing is asked.
func TestServerNames(t *testing.T) {
	z := zone{"example.org MX": {"10 mx.example.org."}, "mx.example.org A": {"192.0.2.25"}, "gw.example.net AAAA": {"2001:db8::1"}, "stuck.example.net A": {"!"}}
	run := func(t *testing.T, greeting, hello audit.Raw, areas []audit.Area, limit time.Duration) ([]audit.ServerName, *counting) {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		dns := &counting{zone: z, asked: map[string][]time.Duration{}, start: time.Now()}
		res, _ := collectFacts(t, ctx, z, func(c *Config, p *Plan) {
			c.DNS, p.Scope.Areas = dns, areas
			c.Prober = func(string) Prober { return talkative{greeting, hello} }
		})
		return res.Facts.Names, dns
	}
	smtpOnly := slices.DeleteFunc(audit.Areas(), func(a audit.Area) bool { return a == audit.AreaHELO })
	for _, c := range []struct {
		name            string
		greeting, hello audit.Raw
		areas           []audit.Area
		want            string // the states of A and AAAA
		asked           []time.Duration
	}{
		{"a name of its own", "gw.example.net", "gw.example.net", audit.Areas(), "absent seen", []time.Duration{1, 1}},
		{"another one in EHLO", "mx.example.org", "GW.example.net.", audit.Areas(), "absent seen", []time.Duration{2, 2}},
		{"the host", "mx.example.org", "mx.example.org", audit.Areas(), "", nil},
		{"no name", "****", "[192.0.2.25]", audit.Areas(), "", nil},
		{"not in scope", "gw.example.net", "gw.example.net", smtpOnly, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				names, dns := run(t, c.greeting, c.hello, c.areas, time.Minute)
				got := ""
				for _, n := range names {
					got += string(n.A.State) + " " + string(n.AAAA.State)
				}
				if got != c.want {
					t.Errorf("names %+v", names)
				}
				// The resolver of a run answers the later ones from memory.
				var first []time.Duration
				for _, at := range dns.asked["gw.example.net"] {
					if len(first) < 2 {
						first = append(first, at/time.Second)
					}
				}
				if !slices.Equal(first, c.asked) {
					t.Errorf("asked at %v, want %v", first, c.asked)
				}
			})
		})
	}
	t.Run("no answer in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			names, _ := run(t, "stuck.example.net", "mx.example.org", audit.Areas(), 20*time.Second)
			if len(names) != 1 || names[0].A.State != audit.Unknown || time.Since(start) != 20*time.Second {
				t.Errorf("after %v: %+v", time.Since(start), names)
			}
		})
	})
}

func (talkative) Floor(_ context.Context, t smtp.Target, _ int) (smtp.Floor, []audit.Session) {
	return smtp.NoFloor(t, audit.Reason{Code: audit.NotAsked, Text: "not in this world"}), nil
}
