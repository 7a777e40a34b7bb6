package collect

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/smtp"
)

// server is a fake prober with one server, at every address.
type server struct {
	mu    sync.Mutex
	looks []string // "HOST ADDR"
	takes time.Duration
	show  func(*audit.Endpoint)
}

func (s *server) Probe(ctx context.Context, t smtp.Target) (audit.Endpoint, []audit.Session) {
	defer t.Turn(ctx)()
	s.mu.Lock()
	s.looks = append(s.looks, fmt.Sprintf("%s %s", t.Host, t.Addr))
	s.mu.Unlock()
	timer := time.NewTimer(s.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return smtp.Unobserved(t, audit.Reason{Code: audit.Interrupted, Text: "the run was interrupted"}), []audit.Session{{Attempted: true}}
	}
	e := audit.Endpoint{Host: t.Host, Addr: t.Addr, Port: t.Port, Connect: audit.See(audit.Nothing{}, "nc "+t.Addr.String())}
	if s.show != nil {
		s.show(&e)
	}
	return e, []audit.Session{{Endpoint: e.Subject(), Attempted: true}}
}

func (s *server) Floor(ctx context.Context, t smtp.Target, n int) (smtp.Floor, []audit.Session) {
	_, sessions := s.Probe(ctx, t)
	if ctx.Err() != nil {
		return smtp.NoFloor(t, audit.Reason{Code: audit.Interrupted, Text: "the run was interrupted"}), sessions
	}
	return smtp.Floor{Old: audit.None[audit.OldTLS](audit.OldRefused, "refused", "")}, sessions
}

// Old versions are tried once for all names of an address, and not in place of
// a look at the server.
func TestOneFloorForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, shared := &server{takes: time.Second}, NewShared()
		stopped, stop := context.WithTimeout(t.Context(), time.Second/2)
		defer stop()
		var wg sync.WaitGroup
		wg.Go(func() {
			f, _, ours := shared.floor(stopped, s, at("mx.example.org", "192.0.2.25"), 2, time.Second)
			if f.Old.State != audit.Unknown || !ours {
				t.Errorf("the one who is stopped: %+v, %t", f, ours)
			}
		})
		synctest.Wait()
		mine := 0
		var mu sync.Mutex
		for i := range 20 {
			wg.Go(func() {
				target := at(fmt.Sprintf("mx%d.example.org", i), "192.0.2.25")
				f, sessions, ours := shared.floor(t.Context(), s, target, 2, time.Second)
				if f.Old.State != audit.Absent || len(sessions) != 1 || sessions[0].Endpoint != audit.EndpointSubject(target.Host, target.Addr, target.Port) {
					t.Errorf("%d: %+v, %+v", i, f, sessions)
				}
				mu.Lock()
				defer mu.Unlock()
				if ours {
					mine++
				}
			})
		}
		wg.Wait()
		if len(s.looks) != 2 || mine != 1 {
			t.Errorf("%d looks, %d of them for one of those who came: %v", len(s.looks), mine, s.looks)
		}
		shared.probe(t.Context(), s, at("mx.example.org", "192.0.2.25"))
		if len(s.looks) != 3 {
			t.Errorf("a floor served as a look at the server")
		}
		ended, cancel := context.WithCancel(t.Context())
		s.takes = 10 * time.Second
		wg.Go(func() { shared.floor(t.Context(), s, at("mx.example.org", "192.0.2.26"), 2, time.Second) })
		synctest.Wait()
		cancel()
		f, sessions, ours := shared.floor(ended, s, at("mx.example.org", "192.0.2.26"), 2, time.Second)
		if f.Old.State != audit.Unknown || f.Old.Why.Code != audit.Interrupted || sessions != nil || ours {
			t.Errorf("the one who waited and was stopped: %+v, %v, %t", f, sessions, ours)
		}
		wg.Wait()
	})
}

// Where several names need a dialogue of their own at one address, those come
// before the old versions.
func TestFloorComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, shared := &server{takes: time.Second, show: certified("a.example.org")}, NewShared()
		var wg sync.WaitGroup
		for i, host := range []string{"a.example.org", "b.example.org", "c.example.org"} {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Nanosecond) // who comes first is not in question
				shared.probe(t.Context(), s, at(host, "192.0.2.25"))
				shared.floor(t.Context(), s, at("old."+host, "192.0.2.25"), 2, time.Second)
			})
		}
		wg.Wait()
		if len(s.looks) != 4 || s.looks[3] != "old.a.example.org 192.0.2.25" || len(shared.mains) > 0 {
			t.Errorf("%v, %v", s.looks, shared.mains)
		}
	})
}

// So it is on all ports of the address, which has one budget of connections.
func TestFloorComesAfterOtherPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, shared := &server{takes: time.Second, show: certified("a.example.org")}, NewShared()
		var wg sync.WaitGroup
		wg.Go(func() {
			shared.probe(t.Context(), s, at("a.example.org", "192.0.2.25"))
			shared.floor(t.Context(), s, at("old.example.org", "192.0.2.25"), 2, time.Second)
		})
		for i, host := range []string{"b.example.org", "c.example.org", "d.example.org"} {
			wg.Go(func() {
				time.Sleep(time.Duration(i+1) * time.Nanosecond)
				target := at(host, "192.0.2.25")
				target.Port = audit.PortSubmission
				shared.probe(t.Context(), s, target)
			})
		}
		wg.Wait()
		if len(s.looks) != 5 || s.looks[4] != "old.example.org 192.0.2.25" || len(shared.mains) > 0 {
			t.Errorf("%v, %v", s.looks, shared.mains)
		}
	})
}

func at(host, addr string) smtp.Target {
	return smtp.Target{Host: audit.NewDNSName(host), Addr: netip.MustParseAddr(addr), Port: PortSMTP}
}

// certified lets a server show a certificate for some names.
func certified(names ...audit.Raw) func(*audit.Endpoint) {
	return func(e *audit.Endpoint) {
		e.StartTLS = audit.See(audit.Nothing{}, "")
		e.TLS = audit.See(audit.TLS{Chain: []audit.Certificate{{Names: names, NameCount: len(names)}}, NameMatch: audit.None[audit.Nothing](audit.OtherName, "", "")}, "")
	}
}

// A thousand names of one server cost it one connection, as long as what it
// shows does not hang on the name.
func TestOneLookForAll(t *testing.T) {
	for _, c := range []struct {
		name  string
		show  func(*audit.Endpoint)
		hosts []string
		looks int
	}{
		{"the same name", certified("mx.example.org"), []string{"mx.example.org", "mx.example.org", "mx.example.org"}, 1},
		{"names that the certificate has", certified("*.mail.example.org"), []string{"a.mail.example.org", "b.mail.example.org", "c.mail.example.org"}, 1},
		// The second name may be shown a certificate of its own.
		{"a name that it has not", certified("a.example.org"), []string{"a.example.org", "b.example.org", "b.example.org"}, 2},
		{"no TLS", nil, []string{"a.example.org", "b.example.org"}, 1},
		{"refused", func(e *audit.Endpoint) { e.Connect = audit.None[audit.Nothing](audit.ConnRefused, "refused", "") },
			[]string{"a.example.org", "b.example.org"}, 1},
		{"TLS that failed", func(e *audit.Endpoint) {
			e.StartTLS = audit.See(audit.Nothing{}, "")
			e.TLS = audit.None[audit.TLS](audit.TLSProtocol, "", "")
		}, []string{"a.example.org", "b.example.org"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, shared := &server{takes: time.Second, show: c.show}, NewShared()
				shared.probe(t.Context(), s, at(c.hosts[0], "192.0.2.25"))
				var wg sync.WaitGroup
				for range 20 {
					for _, host := range c.hosts {
						wg.Go(func() {
							target := at(host, "192.0.2.25")
							e, sessions, _ := shared.probe(t.Context(), s, target)
							if e.Host != target.Host || len(sessions) != 1 || sessions[0].Endpoint != e.Subject() {
								t.Errorf("%s: %+v %+v", host, e, sessions)
							}
						})
					}
				}
				wg.Wait()
				if len(s.looks) != c.looks {
					t.Errorf("%d looks: %v", len(s.looks), s.looks)
				}
				if len(shared.turns) > 0 {
					t.Errorf("turns are left: %v", shared.turns)
				}
			})
		})
	}
}

// The run that looks is stopped: it learns so, and the other one looks itself.
func TestTheOneWhoLooksIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, shared := &server{takes: 10 * time.Second}, NewShared()
		stopped, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		var wg sync.WaitGroup
		wg.Go(func() {
			e, _, ours := shared.probe(stopped, s, at("mx.example.org", "192.0.2.25"))
			if e.Connect.State != audit.Unknown || !ours {
				t.Errorf("the one who looked: %+v, %t", e.Connect, ours)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			e, _, ours := shared.probe(t.Context(), s, at("mx.example.org", "192.0.2.25"))
			if e.Connect.State != audit.Seen || !ours {
				t.Errorf("the one who waited: %+v, %t", e.Connect, ours)
			}
		})
		wg.Wait()
		if len(s.looks) != 2 {
			t.Errorf("%v", s.looks)
		}
	})
}

// The run that waits is stopped: it knows nothing, and claims nothing.
func TestTheOneWhoWaitsIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, shared := &server{takes: 10 * time.Second}, NewShared()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { shared.probe(t.Context(), s, at("mx.example.org", "192.0.2.25")) })
		synctest.Wait()
		e, sessions, ours := shared.probe(impatient, s, at("mx.example.org", "192.0.2.25"))
		if e.Connect.State != audit.Unknown || e.Connect.Why.Code != audit.Deadline || e.TLS.State == audit.Absent || ours || sessions != nil {
			t.Errorf("%+v %v %t", e, sessions, ours)
		}
		wg.Wait()
	})
}

// One connection at a time to one operator, whatever the run.
func TestTurnsOfAnOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, shared := &server{takes: time.Second}, NewShared()
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() { shared.probe(t.Context(), s, at("mx.example.org", fmt.Sprintf("192.0.2.%d", i))) })
		}
		wg.Go(func() { shared.probe(t.Context(), s, at("other.example.org", "198.51.100.99")) })     // the name is his
		wg.Go(func() { shared.probe(t.Context(), s, at("mx.customer.example", "192.0.2.98")) })      // the network is
		wg.Go(func() { shared.probe(t.Context(), s, at("mx.elsewhere.example", "203.0.113.98")) })   // neither
		wg.Go(func() { shared.probe(t.Context(), s, at("mx.elsewhere.example", "2001:db8:1::98")) }) // the name again
		wg.Wait()
		// The two that have one thing in common with the five may go at once.
		if took := time.Since(start); took != 6*time.Second && took != 7*time.Second {
			t.Errorf("took %v", took)
		}
		if len(shared.turns) > 0 {
			t.Errorf("turns are left: %v", shared.turns)
		}
	})
}

// What was seen does not serve for ever, and not everything is kept.
func TestSharedForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, shared := &server{}, NewShared()
		look := func(addr string) { shared.probe(t.Context(), s, at("mx.example.org", addr)) }
		look("192.0.2.25")
		time.Sleep(probeAge)
		look("192.0.2.25")
		if len(s.looks) != 1 {
			t.Errorf("%d looks", len(s.looks))
		}
		time.Sleep(time.Nanosecond)
		look("192.0.2.25")
		if len(s.looks) != 2 {
			t.Errorf("%d looks after a quarter of an hour", len(s.looks))
		}
		for i := range maxProbes + 10 {
			look(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}).String())
		}
		if shared.probes.Len() != maxProbes {
			t.Errorf("%d are kept", shared.probes.Len())
		}
	})
}

// Servers that say very much are not kept: two thousand of them would take a
// gigabyte. Whoever waits for the look has it all the same.
func TestSharedIsBounded(t *testing.T) {
	long := audit.Raw(strings.Repeat("x", maxKept+1))
	for name, show := range map[string]func(*audit.Endpoint){
		"a long greeting": func(e *audit.Endpoint) { e.Greeting = audit.See(audit.Greeting{Lines: []audit.Raw{long}}, "") },
		"long extensions": func(e *audit.Endpoint) {
			e.HelloTLS = audit.See(audit.Hello{Keywords: []audit.Keyword{{Name: "X", Params: long}}}, "")
		},
		"a certificate with many names": func(e *audit.Endpoint) {
			e.TLS = audit.See(audit.TLS{Chain: []audit.Certificate{{Names: []audit.Raw{"mx.example.org", long}}}}, "")
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, shared := &server{takes: time.Second, show: show}, NewShared()
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					e, _, _ := shared.probe(t.Context(), s, at("mx.example.org", "192.0.2.25"))
					if e.Connect.State != audit.Seen {
						t.Errorf("%s: %+v", name, e.Connect)
					}
				})
			}
			wg.Wait()
			if len(s.looks) != 1 || shared.probes.Len() != 0 {
				t.Errorf("%s: %d looks, %d are kept", name, len(s.looks), shared.probes.Len())
			}
		})
	}
	p := &probe{sessions: []audit.Session{{Lines: []audit.Line{{Text: long[:maxKept/2+1]}}}, {Lines: []audit.Line{{Text: long[:maxKept/2+1]}}}}}
	if !p.large() {
		t.Error("two long dialogues are not seen to be long")
	}
}

// What runs share they bring into canonical form at the same time: the race
// detector sees whoever writes then, and the others see what he writes.
func TestSharedIsCanonical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, shared := &server{show: func(e *audit.Endpoint) {
			var unsorted []audit.Keyword
			for i := range 60 {
				unsorted = append(unsorted, audit.Keyword{Name: fmt.Sprintf("X%02d", (i*37)%60)})
			}
			e.Hello = audit.See(audit.Hello{Keywords: unsorted}, "")
		}}, NewShared()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				e, _, _ := shared.probe(t.Context(), s, at("mx.example.org", "192.0.2.25"))
				f := audit.Facts{SMTP: []audit.Endpoint{e}}
				f.Canonical()
				for i, k := range f.SMTP[0].Hello.Value.Keywords {
					if k.Name != fmt.Sprintf("X%02d", i) {
						t.Errorf("keyword %d is %s", i, k.Name)
					}
				}
			})
		}
		wg.Wait()
	})
}
