package collect

import (
	"context"
	"errors"
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

// theirWorld is a fake prober: what each server does, by "ADDR:PORT".
type theirWorld struct {
	mu    sync.Mutex
	shows map[string]func(*audit.Endpoint)
	tried map[string]int
	takes time.Duration
}

func (w *theirWorld) Probe(ctx context.Context, t smtp.Target) (audit.Endpoint, []audit.Session) {
	at, began := netip.AddrPortFrom(t.Addr, t.Port).String(), time.Now()
	w.mu.Lock()
	w.tried[at]++
	show := w.shows[at]
	w.mu.Unlock()
	e := audit.Endpoint{Host: t.Host, Addr: t.Addr, Port: t.Port, Mode: t.Mode}
	e.Connect = audit.Dark[audit.Nothing](audit.Reason{Code: audit.Timeout, Text: "no answer"}, "nc "+t.Addr.String())
	if show != nil {
		show(&e)
	}
	if t.Doubt != nil && e.Connect.State != audit.Seen {
		time.Sleep(2 * w.takes) // who is silent is waited for longer, and looked at twice
		t.Doubt(e)
	}
	select {
	case <-time.After(w.takes):
	case <-ctx.Done():
		e = smtp.Unobserved(t, audit.Reason{Code: audit.Interrupted, Text: "stopped"})
	}
	if !t.Once && e.Connect.Why.Code == audit.Timeout {
		e.Connect.Why.Code = audit.NoAnswer
	}
	return e, []audit.Session{{Endpoint: e.Subject(), N: 1, Started: began, Attempted: true}}
}

func welcomes(name string) func(*audit.Endpoint) {
	return func(e *audit.Endpoint) {
		e.Connect = audit.See(audit.Nothing{}, "")
		e.Greeting = audit.See(audit.Greeting{Code: 220, Name: audit.Raw(name), Lines: []audit.Raw{audit.Raw(name + " ESMTP")}}, "")
		e.Hello = audit.See(audit.Hello{Name: audit.Raw(name)}, "")
		e.StartTLS = audit.See(audit.Nothing{}, "")
	}
}

func lacksSTARTTLS(name string) func(*audit.Endpoint) {
	return func(e *audit.Endpoint) {
		welcomes(name)(e)
		e.StartTLS = audit.None[audit.Nothing](audit.NotOffered, "not offered", "")
	}
}

func refuses(e *audit.Endpoint) {
	e.Connect = audit.Dark[audit.Nothing](audit.Reason{Code: audit.Once, Text: "refused once"}, "")
}

func threeControls() []Control {
	return []Control{{Host: "c1.example.net", Port: 25}, {Host: "c2.example.com", Port: 25}, {Host: "c3.example.edu", Port: 25}}
}

// controlZone is a domain with one server and three controls over IPv4, the
// first of them over IPv6 as well.
func controlZone() zone {
	return zone{
		"example.org MX": {"10 mx.example.org."}, "mx.example.org A": {"192.0.2.25"},
		"c1.example.net A": {"203.0.113.1"}, "c2.example.com A": {"203.0.113.2"}, "c3.example.edu A": {"203.0.113.9", "203.0.113.3"},
		"c1.example.net AAAA": {"2001:db8:1::1"},
	}
}

// TestEgress is what comes of every kind of doubt.
func TestEgress(t *testing.T) {
	const mx = "192.0.2.25:25"
	type shows = map[string]func(*audit.Endpoint)
	all := func(show func(*audit.Endpoint)) shows {
		return shows{"203.0.113.1:25": show, "203.0.113.2:25": show, "203.0.113.3:25": show}
	}
	with := func(s shows, at string, show func(*audit.Endpoint)) shows {
		s[at] = show
		return s
	}
	mute := func(e *audit.Endpoint) { e.Connect = audit.See(audit.Nothing{}, "") }
	ours := func(e *audit.Endpoint) {
		e.Connect = audit.Dark[audit.Nothing](audit.Reason{Code: audit.LocalPolicy, Text: "not permitted"}, "")
	}
	for _, c := range []struct {
		name     string
		shows    shows
		controls []Control
		zone     func(zone)
		want     string // out beside alike masked starttls; "" for no facts
		tried    int    // connections to controls
		others   int    // to other ports of the server
	}{
		{"the server answers", with(all(nil), mx, welcomes("mx.example.org")), threeControls(), nil, "", 0, 0},
		{"controls answer", all(welcomes("c.example.net")), threeControls(), nil, "seen - - - -", 3, 0},
		{"one control answers", shows{"203.0.113.2:25": welcomes("c.example.net")}, threeControls(), nil, "seen - - - -", 3, 0},
		{"one turns us away", shows{"203.0.113.2:25": func(e *audit.Endpoint) { welcomes("c")(e); e.Greeting.Value.Code = 554 }}, threeControls(), nil, "seen - - - -", 3, 0},
		{"nobody answers", shows{}, threeControls(), nil, "absent unknown - - -", 3, 2},
		{"465 answers", shows{"192.0.2.25:465": mute}, threeControls(), nil, "absent seen - - -", 3, 1},
		{"587 answers", shows{"192.0.2.25:587": mute}, threeControls(), nil, "absent seen - - -", 3, 2},
		{"the server refuses both", shows{"192.0.2.25:465": refuses, "192.0.2.25:587": refuses}, threeControls(), nil, "absent absent - - -", 3, 2},
		{"the server refuses one", shows{"192.0.2.25:465": refuses}, threeControls(), nil, "absent unknown - - -", 3, 2},
		{"controls refuse", all(refuses), threeControls(), nil, "absent unknown - - -", 3, 2},
		{"controls accept and are mute", all(mute), threeControls(), nil, "unknown unknown - - -", 3, 2},
		{"our firewall holds controls back", all(ours), threeControls(), nil, "unknown unknown - - -", 3, 2},
		{"our firewall holds the server back", shows{mx: ours}, threeControls(), nil, "", 0, 0},
		{"one control alone", shows{}, threeControls()[:1], nil, "unknown unknown - - -", 1, 2},
		{"two controls", shows{}, threeControls()[1:], nil, "absent unknown - - -", 2, 2},
		{"five controls, of which three are used", shows{}, append(threeControls(), Control{Host: "c4", Addr: netip.MustParseAddr("203.0.113.4"), Port: 25}), nil, "absent unknown - - -", 3, 2},
		{"one has no address, so the next is used", shows{}, append(threeControls(), Control{Host: "c4", Addr: netip.MustParseAddr("203.0.113.4")}),
			func(z zone) { delete(z, "c1.example.net A") }, "absent unknown - - -", 3, 2},
		{"none has an address", shows{}, threeControls(), func(z zone) {
			delete(z, "c1.example.net A")
			delete(z, "c2.example.com A")
			delete(z, "c3.example.edu A")
		}, "unknown unknown - - -", 0, 2},
		{"none for this port", shows{}, []Control{{Host: "c1.example.net", Port: 587}}, nil, "not-asked unknown - - -", 0, 2},
		{"none at all", shows{}, nil, nil, "", 0, 0},
		{"a control is the server itself", with(all(nil), "192.0.2.25:25", nil), []Control{{Host: "c1.example.net", Port: 25}, {Host: "mx.example.org", Port: 25}, {Host: "c2.example.com", Port: 25}},
			nil, "absent unknown - - -", 2, 2},
		{"no STARTTLS, and controls have it", with(all(welcomes("c.example.net")), mx, lacksSTARTTLS("mx.example.org")), threeControls()[:1], nil, "seen - absent absent seen", 1, 0},
		{"no STARTTLS anywhere", with(shows{"203.0.113.1:25": lacksSTARTTLS("a.example"), "203.0.113.2:25": lacksSTARTTLS("b.example")}, mx, lacksSTARTTLS("mx.example.org")), threeControls(), nil, "seen - absent absent absent", 3, 0},
		{"no STARTTLS, and one control without", with(shows{"203.0.113.1:25": lacksSTARTTLS("a.example")}, mx, lacksSTARTTLS("mx.example.org")), threeControls(), nil, "seen - absent absent unknown", 3, 0},
		{"no STARTTLS, and the same greeting", with(shows{"203.0.113.1:25": welcomes("mx.example.org")}, mx, lacksSTARTTLS("mx.example.org")), threeControls(), nil, "seen - seen absent seen", 3, 0},
		{"two controls greet alike", with(all(welcomes("proxy.isp.example")), mx, lacksSTARTTLS("mx.example.org")), threeControls(), nil, "seen - seen absent seen", 3, 0},
		{"nobody names himself", with(all(welcomes("localhost")), mx, lacksSTARTTLS("localhost")), threeControls(), nil, "seen - unknown absent seen", 3, 0},
		{"no STARTTLS, and no control answers", with(shows{}, mx, lacksSTARTTLS("mx.example.org")), threeControls(), nil, "unknown - unknown unknown unknown", 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, z := &theirWorld{shows: c.shows, tried: map[string]int{}, takes: time.Second}, controlZone()
				if c.zone != nil {
					c.zone(z)
				}
				res, _ := collectFacts(t, t.Context(), z, func(cfg *Config, _ *Plan) {
					cfg.Controls, cfg.Prober = c.controls, func(string) Prober { return w }
				})
				got := ""
				if len(res.Facts.Egress) > 0 {
					g := res.Facts.Egress[0]
					got = strings.Join([]string{state(g.Out), state(g.Beside), state(g.Alike), state(g.Masked), state(g.StartTLS)}, " ")
				}
				controls, others := 0, 0
				for at, n := range w.tried {
					switch {
					case strings.HasPrefix(at, "203.0.113."):
						controls += n
					case at != mx:
						others += n
					}
				}
				if got != c.want || controls != c.tried || others != c.others {
					t.Errorf("%q, %d controls, %d other ports; want %q, %d, %d: %+v", got, controls, others, c.want, c.tried, c.others, res.Facts.Egress)
				}
				if want := c.tried + c.others + 1; res.Connections != want && c.name != "a control is the server itself" {
					t.Errorf("%d connections are told of %d", res.Connections, want)
				}
			})
		})
	}
}

// TestControlsOfTheSameOperator: what is audited and a control that belong
// together are one witness and not two. That the control greets shows the way
// out all the same.
func TestControlsOfTheSameOperator(t *testing.T) {
	type shows = map[string]func(*audit.Endpoint)
	const mx, kin, c1, c2, c3 = "192.0.2.25:25", "192.0.2.26:25", "203.0.113.1:25", "203.0.113.2:25", "203.0.113.3:25"
	cover := func(e *audit.Endpoint) {
		welcomes("mx.example.org")(e)
		e.Greeting.Value.Lines = []audit.Raw{"********************"}
	}
	mute := func(e *audit.Endpoint) { e.Connect = audit.See(audit.Nothing{}, "") }
	for _, c := range []struct {
		name     string
		shows    shows
		controls []Control
		want     string // out alike masked starttls
	}{
		{"large operators greet with one name everywhere", shows{mx: cover, kin: welcomes("mx.example.net"), c1: welcomes("mx.example.net"), c2: welcomes("c2.example.com")}, threeControls(), "seen absent absent seen"},
		{"two controls of one operator do", shows{mx: lacksSTARTTLS("mx.example.org"), c1: welcomes("mx.example.com"), c2: welcomes("mx.example.com")},
			[]Control{{Host: "c1.example.com", Addr: netip.MustParseAddr("203.0.113.1")}, {Host: "c2.example.com"}}, "seen absent absent seen"},
		{"they lack STARTTLS both", shows{mx: lacksSTARTTLS("mx.example.org"), c1: lacksSTARTTLS("a.example.net"), c2: lacksSTARTTLS("b.example.net")},
			[]Control{{Host: "c1.example.com", Addr: netip.MustParseAddr("203.0.113.1")}, {Host: "c2.example.com"}}, "seen absent absent unknown"},
		{"they are silent both", shows{}, []Control{{Host: "c1.example.com", Addr: netip.MustParseAddr("203.0.113.1")}, {Host: "c2.example.com"}}, "unknown - - -"},
		{"the one who is audited is silent, and his other host", shows{c3: mute}, threeControls()[:2], "unknown - - -"},
		{"his other host greets", shows{c1: welcomes("c1.example.net")}, threeControls(), "seen - - -"},
		{"his lack STARTTLS, and one other", shows{mx: lacksSTARTTLS("mx.example.org"), kin: lacksSTARTTLS("a.example.net"), c1: lacksSTARTTLS("b.example.net"), c2: lacksSTARTTLS("c.example.com")},
			threeControls()[:2], "seen absent absent unknown"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, z := &theirWorld{shows: c.shows, tried: map[string]int{}, takes: time.Second}, controlZone()
			z["example.org MX"] = append(z["example.org MX"], "20 mx2.example.net.")
			z["mx2.example.net A"] = []string{"192.0.2.26"}
			res, _ := collectFacts(t, t.Context(), z, func(cfg *Config, _ *Plan) {
				cfg.Controls, cfg.Prober = c.controls, func(string) Prober { return w }
			})
			got := ""
			for _, g := range res.Facts.Egress {
				got += strings.Join([]string{state(g.Out), state(g.Alike), state(g.Masked), state(g.StartTLS)}, " ")
			}
			if got != c.want {
				t.Errorf("%s: %q, want %q: %+v", c.name, got, c.want, res.Facts.Egress)
			}
		})
	}
}

func state[T any](o audit.Obs[T]) string {
	switch {
	case o.State != audit.NotTried:
		return string(o.State)
	case o.Why.Code != "":
		return string(o.Why.Code)
	}
	return "-"
}

// TestOneOtherPort: of a server on a port of submission there is one other port
// to try. A refusal there is one refusal, and is not "there is no other port".
func TestOneOtherPort(t *testing.T) {
	for show, want := range map[string]string{"refuses": "unknown seen-once", "answers": "seen ", "silent": "unknown timeout"} {
		synctest.Test(t, func(t *testing.T) {
			w := &theirWorld{shows: map[string]func(*audit.Endpoint){"192.0.2.25:587": map[string]func(*audit.Endpoint){
				"refuses": refuses, "answers": welcomes("mx.example.org")}[show]}, tried: map[string]int{}}
			res, _ := collectFacts(t, t.Context(), controlZone(), func(cfg *Config, p *Plan) {
				cfg.Controls, cfg.Prober = []Control{{Host: "c1.example.net"}, {Host: "c2.example.com"}}, func(string) Prober { return w }
				p.Named = &Named{Host: "mx.example.org", Port: audit.PortSubmissions, Mode: audit.ModeTLS}
			})
			if len(res.Facts.Egress) != 1 {
				t.Fatalf("%s: %+v", show, res.Facts.Egress)
			}
			got := res.Facts.Egress[0].Beside
			if string(got.State)+" "+string(got.Why.Code) != want {
				t.Errorf("%s: %+v, want %s", show, got, want)
			}
		})
	}
}

// TestEgressRoute: no way over IPv6 is settled by the routing table, and asks
// nobody.
func TestEgressRoute(t *testing.T) {
	barred := func(e *audit.Endpoint) {
		e.Connect = audit.Dark[audit.Nothing](audit.Reason{Code: audit.NoRoute, Text: "no way"}, "nc 2001:db8::25 25")
	}
	for _, c := range []struct {
		local string
		want  audit.State
	}{{"", audit.Absent}, {"2001:db8:ffff::200", audit.Seen}} {
		synctest.Test(t, func(t *testing.T) {
			w := &theirWorld{shows: map[string]func(*audit.Endpoint){"[2001:db8::25]:25": barred, "192.0.2.25:25": welcomes("mx.example.org")}, tried: map[string]int{}}
			z := controlZone()
			z["mx.example.org AAAA"] = []string{"2001:db8::25"}
			res, _ := collectFacts(t, t.Context(), z, func(cfg *Config, _ *Plan) {
				cfg.Controls, cfg.Prober = threeControls(), func(string) Prober { return w }
				cfg.Local = func(_ context.Context, ip6 bool) netip.Addr {
					a, _ := netip.ParseAddr(c.local)
					if !ip6 {
						a = netip.Addr{}
					}
					return a
				}
			})
			if len(res.Facts.Egress) != 1 || res.Facts.Egress[0].Family != audit.IPv6 || res.Facts.Egress[0].Route.State != c.want || len(w.tried) != 2 {
				t.Errorf("%+v, tried %v", res.Facts.Egress, w.tried)
			}
		})
	}
}

// TestEgressThroughProxy: a proxy that says "connected" before it knows proves
// no way out, and the addresses of this machine are no matter there.
func TestEgressThroughProxy(t *testing.T) {
	mute := func(e *audit.Endpoint) {
		e.Connect = audit.See(audit.Nothing{}, "")
		e.Greeting = audit.Dark[audit.Greeting](audit.Reason{Code: audit.Closed, Text: "closed"}, "")
	}
	barred := func(e *audit.Endpoint) {
		e.Connect = audit.Dark[audit.Nothing](audit.Reason{Code: audit.NoRoute, Text: "the proxy has no way"}, "")
	}
	late := func(*audit.Endpoint) { time.Sleep(10 * time.Second) }
	failed := func(e *audit.Endpoint) {
		e.Connect = audit.Dark[audit.Nothing](audit.Reason{Code: audit.ProxyFailed, Text: "the proxy does not answer"}, "")
	}
	for _, c := range []struct {
		name          string
		proxied       bool
		first, second func(*audit.Endpoint)
		others        func(*audit.Endpoint) // control hosts
		want          string
		tried         int
	}{
		{"no proxy: a connection shows the way", false, late, mute, mute, "", 2},
		{"a connection shows nothing", true, late, mute, mute, "unknown unknown", 7},
		{"a greeting does", true, late, welcomes("mx2.example.org"), nil, "", 2},
		{"control hosts greet", true, late, mute, welcomes("c.example.net"), "seen -", 5},
		{"control hosts are silent", true, late, nil, nil, "absent unknown", 7},
		{"the proxy has no way", true, barred, barred, nil, "", 2},
		{"it has none, and we neither", false, barred, barred, nil, "- -", 2},
		{"the proxy fails", true, failed, failed, nil, "", 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &theirWorld{shows: map[string]func(*audit.Endpoint){"192.0.2.25:25": c.first, "192.0.2.26:25": c.second,
				"203.0.113.1:25": c.others, "203.0.113.2:25": c.others, "203.0.113.3:25": c.others}, tried: map[string]int{}}
			z := controlZone()
			z["example.org MX"] = append(z["example.org MX"], "20 mx2.example.org.")
			z["mx2.example.org A"] = []string{"192.0.2.26"}
			res, _ := collectFacts(t, t.Context(), z, func(cfg *Config, _ *Plan) {
				cfg.Controls, cfg.Proxied, cfg.Prober = threeControls(), c.proxied, func(string) Prober { return w }
				cfg.Local = func(context.Context, bool) netip.Addr { return netip.Addr{} }
			})
			got := ""
			for _, g := range res.Facts.Egress {
				got += state(g.Out) + " " + state(g.Beside)
			}
			tried := 0
			for _, n := range w.tried {
				tried += n
			}
			if got != c.want || tried != c.tried {
				t.Errorf("%s: %q, %d connections; want %q, %d: %v", c.name, got, tried, c.want, c.tried, w.tried)
			}
		})
	}
}

// TestErrands: an errand is run once, outlives the deadline of the one who
// began it, and ends with an interrupt.
func TestErrands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, runs := NewShared(), 0
		look := func(ctx context.Context) []glance {
			runs++
			select {
			case <-time.After(5 * time.Second):
				return make([]glance, 2)
			case <-ctx.Done():
				return nil
			}
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, ours, ok := s.errands.run(hasty, "x", always, look)
		if !ours || ok {
			t.Errorf("the one whose time is over: ours %t, ok %t", ours, ok)
		}
		got, ours, ok := s.errands.run(t.Context(), "x", always, look)
		if len(got) != 2 || ours || !ok || runs != 1 {
			t.Errorf("the next one: %d glances, ours %t, ok %t, %d runs", len(got), ours, ok, runs)
		}
		stopped, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { stop(errors.New("signal")) })
		begin := time.Now()
		s.errands.run(stopped, "y", always, look)
		s.Drain()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("an interrupted errand ended after %v", took)
		}
	})
}

// TestProofOfTheDay: that control hosts answered a while ago does not prove the
// way out now. They are asked again unless something else has answered since; that
// they do not answer is not asked about again soon.
func TestProofOfTheDay(t *testing.T) {
	type shows = map[string]func(*audit.Endpoint)
	well := func(e *audit.Endpoint) { welcomes("c.example.net")(e) }
	answering := shows{"203.0.113.1:25": well, "203.0.113.2:25": well, "203.0.113.3:25": well}
	for _, c := range []struct {
		name          string
		before, after shows
		pause         time.Duration
		other         bool // a run of the batch meets a server that answers, meanwhile
		want          audit.State
		tried         int // control hosts, in both runs
	}{
		{"our network has gone down", answering, nil, 5 * time.Minute, false, audit.Absent, 6},
		{"it has not", answering, answering, 5 * time.Minute, false, audit.Seen, 6},
		{"another run sees that it has not", answering, nil, 5 * time.Minute, true, audit.Seen, 3},
		{"it was down before", nil, nil, 5 * time.Minute, false, audit.Absent, 3},
		{"it was down, a while ago", nil, answering, probeAge + time.Minute, false, audit.Seen, 6},
		{"another run saw so a while ago", answering, answering, probeAge + time.Minute, true, audit.Seen, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := NewShared()
				w := &theirWorld{shows: c.before, tried: map[string]int{}, takes: time.Second}
				run := func(addr string) audit.State {
					z := controlZone()
					z["mx.example.org A"] = []string{addr}
					res, _ := collectFacts(t, t.Context(), z, func(cfg *Config, _ *Plan) {
						cfg.Shared, cfg.Controls, cfg.Prober = shared, threeControls(), func(string) Prober { return w }
					})
					if len(res.Facts.Egress) == 0 {
						return audit.NotTried
					}
					return res.Facts.Egress[0].Out.State
				}
				run("192.0.2.25")
				time.Sleep(c.pause)
				w.shows = shows{"198.51.100.26:25": welcomes("mx.example.org")}
				for at, show := range c.after {
					w.shows[at] = show
				}
				var meanwhile sync.WaitGroup
				if c.other {
					meanwhile.Go(func() {
						if got := run("198.51.100.26"); got != audit.NotTried {
							t.Errorf("the run whose server answers asked: %s", got)
						}
					})
				}
				if got := run("192.0.2.26"); got != c.want {
					t.Errorf("the way out is %q, want %q", got, c.want)
				}
				meanwhile.Wait()
				tried := 0
				for at, n := range w.tried {
					if strings.HasPrefix(at, "203.0.113.") {
						tried += n
					}
				}
				if tried != c.tried {
					t.Errorf("%d connections to control hosts, want %d", tried, c.tried)
				}
			})
		})
	}
}

// TestAnswerOfTheDay: neither does it that a server answered another run, long
// before, and a look that failed is not believed for long.
func TestAnswerOfTheDay(t *testing.T) {
	type shows = map[string]func(*audit.Endpoint)
	well := welcomes("c.example.net")
	all := shows{"203.0.113.1:25": well, "203.0.113.2:25": well, "203.0.113.3:25": well}
	for _, c := range []struct {
		name     string
		pause    time.Duration
		second   string // address of the second server of the second run
		controls []Control
		shows    shows // in the second run
		want     string
		looks    int // at the first server
	}{
		{"our network has gone down", 10 * time.Minute, "192.0.2.26", threeControls(), nil, "absent", 1},
		{"it has not", 10 * time.Minute, "192.0.2.26", threeControls(), all, "seen", 1},
		{"nobody can be asked", 10 * time.Minute, "192.0.2.26", nil, nil, "unknown", 1},
		{"there is no control for the port", 10 * time.Minute, "192.0.2.26", []Control{{Host: "c1.example.net", Port: 587}}, nil, "unknown", 1},
		{"the first server is looked at again", probeAge + time.Minute, "192.0.2.26", threeControls(), shows{"192.0.2.25:25": well}, "", 2},
		{"both answer", 10 * time.Minute, "192.0.2.27", threeControls(), shows{"192.0.2.27:25": well}, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := NewShared()
				w := &theirWorld{shows: shows{"192.0.2.25:25": well}, tried: map[string]int{}, takes: time.Second}
				z := controlZone()
				run := func() Result {
					res, _ := collectFacts(t, t.Context(), z, func(cfg *Config, _ *Plan) {
						cfg.Shared, cfg.Controls, cfg.Prober = shared, c.controls, func(string) Prober { return w }
					})
					return res
				}
				run()
				time.Sleep(c.pause)
				w.shows = c.shows
				z["example.org MX"], z["mx2.example.org A"] = append(z["example.org MX"], "20 mx2.example.org."), []string{c.second}
				res, got := run(), ""
				for _, g := range res.Facts.Egress {
					got += state(g.Out)
				}
				if got != c.want || w.tried["192.0.2.25:25"] != c.looks {
					t.Errorf("the way out is %q, want %q; %d looks at the first server, want %d", got, c.want, w.tried["192.0.2.25:25"], c.looks)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared()
		w := &theirWorld{tried: map[string]int{}}
		for _, pause := range []time.Duration{0, failAge, time.Nanosecond} {
			time.Sleep(pause)
			shared.probe(t.Context(), w, at("mx.example.org", "192.0.2.25"))
		}
		if n := w.tried["192.0.2.25:25"]; n != 2 {
			t.Errorf("%d looks at a server that does not answer", n)
		}
	})
}

// TestErrandsAreBounded: what was asked for servers that are silent does not
// pile up in a batch of many.
func TestErrandsAreBounded(t *testing.T) {
	s := NewShared()
	for i := range 2 * maxErrands {
		s.errands.run(t.Context(), fmt.Sprint(i), always, func(context.Context) []glance { return make([]glance, 1) })
		s.errands.run(t.Context(), "used", always, func(context.Context) []glance {
			if i > 0 {
				t.Errorf("what is used is forgotten after %d", i)
			}
			return nil
		})
	}
	if n := s.errands.by.Len(); n != maxErrands {
		t.Errorf("%d are kept", n)
	}
}

func always(*errand) bool { return true }

// TestDefaultControls: enough for a "no" on each port, no operator twice on
// one, and none on ports that nobody asks about.
func TestDefaultControls(t *testing.T) {
	ports := map[uint16]int{}
	seen := map[Control]bool{}
	for _, c := range DefaultControls() {
		ports[c.Port]++
		if seen[c] || !c.Host.IsHostname() || c.Addr.IsValid() {
			t.Errorf("%+v", c)
		}
		seen[c] = true
	}
	if len(ports) != 3 || ports[25] <= MaxControls || ports[587] < MaxControls || ports[465] < MaxControls {
		t.Errorf("%v", ports)
	}
}

func (w *theirWorld) Floor(_ context.Context, t smtp.Target, _ int) (smtp.Floor, []audit.Session) {
	return smtp.NoFloor(t, audit.Reason{Code: audit.NotAsked, Text: "not in this world"}), nil
}
