package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
	"mailaudit/internal/smtp"
)

// zone is a fake Asker: "name TYPE" to answers in zone file form. What is not
// there is NODATA; "!" is a question that is never answered.
type zone map[string][]string

func (z zone) Ask(ctx context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	a := &resolve.Answer{Name: name, Type: qtype}
	key := fmt.Sprintf("%s %s", name, dns.TypeToString[qtype])
	lines, found := z[key]
	switch {
	case found && lines[0] == "!":
		<-ctx.Done()
		a.State, a.Why = audit.Unknown, audit.Reason{Code: audit.Deadline, Text: "the time ran out"}
	case found:
		a.State = audit.Seen
		for _, l := range lines {
			rr, err := dns.NewRR(fmt.Sprintf("%s. 300 IN %s %s", name, dns.TypeToString[qtype], l))
			if err != nil {
				panic(err)
			}
			a.Records = append(a.Records, rr)
		}
	default:
		a.State, a.Why = audit.Absent, audit.Reason{Code: audit.NoData}
	}
	return a
}

// prober is a fake that answers after a second and notes who was asked, and
// how many at once.
type prober struct {
	mu       sync.Mutex
	targets  []string
	now, top map[audit.DNSName]int
	helo     string
	tls      bool     // there is TLS
	looks    []string // in their order, with "old" before those at old versions
}

func (p *prober) Probe(ctx context.Context, t smtp.Target) (audit.Endpoint, []audit.Session) {
	defer t.Turn(ctx)()
	p.mu.Lock()
	p.targets = append(p.targets, audit.EndpointSubject(t.Host, t.Addr, t.Port))
	p.looks = append(p.looks, t.Addr.String())
	p.now[t.Host]++
	p.top[t.Host] = max(p.top[t.Host], p.now[t.Host])
	p.mu.Unlock()
	time.Sleep(time.Second)
	p.mu.Lock()
	p.now[t.Host]--
	p.mu.Unlock()
	e := audit.Endpoint{Host: t.Host, Addr: t.Addr, Port: t.Port, Connect: audit.See(audit.Nothing{}, "")}
	if p.tls {
		e.TLS = audit.See(audit.TLS{Version: "TLS 1.3"}, "")
	}
	return e, []audit.Session{{Endpoint: e.Subject(), N: 1, Attempted: true, Started: time.Now()}}
}

func (p *prober) Floor(ctx context.Context, t smtp.Target, n int) (smtp.Floor, []audit.Session) {
	p.mu.Lock()
	p.looks = append(p.looks, "old "+t.Addr.String())
	p.mu.Unlock()
	time.Sleep(time.Second)
	f := smtp.Floor{Old: audit.None[audit.OldTLS](audit.OldRefused, "refused", ""), Steady: audit.See(audit.Nothing{}, "")}
	return f, []audit.Session{{Endpoint: audit.EndpointSubject(t.Host, t.Addr, t.Port), N: n, Attempted: true, Started: time.Now()}}
}

// Old versions are tried where there is TLS and somebody asks, behind what is
// to be seen at the other addresses of the host.
func TestOldVersions(t *testing.T) {
	for _, c := range []struct {
		name string
		tls  bool
		skip bool
		want string
	}{
		{"TLS", true, false, "192.0.2.25 192.0.2.26 old 192.0.2.25 old 192.0.2.26"},
		{"no TLS", false, false, "192.0.2.25 192.0.2.26"},
		{"--skip tls", true, true, "192.0.2.25 192.0.2.26"},
	} {
		synctest.Test(t, func(t *testing.T) {
			z := zone{"example.org MX": {"10 mx.example.org."}, "mx.example.org A": {"192.0.2.25", "192.0.2.26"}}
			res, p := collectFacts(t, context.Background(), z, func(cfg *Config, plan *Plan) {
				open := cfg.Prober
				cfg.Prober = func(helo string) Prober { open(helo).(*prober).tls = c.tls; return open(helo) }
				if c.skip {
					plan.Scope.Areas = slices.DeleteFunc(audit.Areas(), func(a audit.Area) bool { return a == audit.AreaTLS })
				}
			})
			sort := slices.Sorted(slices.Values(p.looks)) // which address comes first is nobody's business
			if got := strings.Join(sort, " "); got != c.want {
				t.Errorf("%s: looked at %s, want %s", c.name, got, c.want)
			}
			if len(p.looks) > 2 && strings.HasPrefix(p.looks[1], "old") {
				t.Errorf("%s: the second address waited: %v", c.name, p.looks)
			}
			for _, e := range res.Facts.SMTP {
				if tried := e.OldTLS.State == audit.Absent; tried != (c.tls && !c.skip) {
					t.Errorf("%s: %+v", c.name, e.OldTLS)
				}
			}
			if res.Connections != len(p.looks) || len(res.Sessions) != len(p.looks) {
				t.Errorf("%s: %d connections and %d sessions for %v", c.name, res.Connections, len(res.Sessions), p.looks)
			}
		})
	}
}

func collectFacts(t *testing.T, ctx context.Context, z zone, edit func(*Config, *Plan)) (Result, *prober) {
	t.Helper()
	d, _, err := audit.ParseDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	p := &prober{now: map[audit.DNSName]int{}, top: map[audit.DNSName]int{}}
	cfg := Config{
		DNS:      z,
		Prober:   func(helo string) Prober { p.helo = helo; return p },
		Local:    func(context.Context, bool) netip.Addr { return netip.Addr{} },
		HostName: "probe.example.net",
	}
	plan := Plan{Domain: d, Scope: audit.Scope{Areas: audit.Areas(), AllowPrivate: true}}
	if edit != nil {
		edit(&cfg, &plan)
	}
	return New(cfg, plan).Collect(ctx), p
}

func TestManyHostsAndAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone{}
		for i := range 25 {
			host := fmt.Sprintf("mx%02d.example.org", i)
			z["example.org MX"] = append(z["example.org MX"], fmt.Sprintf("%d %s.", i, host))
			for j := range 6 {
				z[host+" A"] = append(z[host+" A"], fmt.Sprintf("192.0.%d.%d", i, j))
			}
		}
		res, p := collectFacts(t, context.Background(), z, nil)
		if len(res.Facts.Hosts) != 25 || len(res.Facts.SMTP) != 20*6 {
			t.Fatalf("%d hosts, %d endpoints", len(res.Facts.Hosts), len(res.Facts.SMTP))
		}
		if len(p.targets) > MaxAddresses {
			t.Errorf("%d addresses were probed", len(p.targets))
		}
		skipped := 0
		for _, h := range res.Facts.Hosts {
			if h.A.State == audit.NotTried {
				skipped++
				if h.A.Why.Code != audit.NotAsked || h.Name < "mx20" {
					t.Errorf("%s was left out: %+v", h.Name, h.A.Why)
				}
			}
		}
		if skipped != 5 {
			t.Errorf("%d hosts were left out", skipped)
		}
		for _, e := range res.Facts.SMTP {
			probed := slices.Contains(p.targets, e.Subject())
			if probed != (e.Connect.State == audit.Seen) || !probed && e.TLS.Why.Code != audit.NotAsked {
				t.Errorf("%s: probed %t, %+v", e.Subject(), probed, e.Connect)
			}
		}
	})
}

// Whatever a host publishes, what is done about it is bounded, and is the same
// in whatever order the answer comes.
func TestThousandsOfAddresses(t *testing.T) {
	for hosts, want := range map[int]limits{0: {4, 32}, 1: {4, 32}, 5: {4, 32}, 6: {3, 26}, 10: {2, 16}, 20: {1, 8}, 900: {1, 8}} {
		if got := limitsFor(hosts); got != want {
			t.Errorf("%d hosts: %+v", hosts, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var first string
		for try := range 2 {
			z := zone{"example.org MX": {"10 mx.example.org."}}
			for i := range 2000 {
				if try == 1 {
					i = 1999 - i
				}
				z["mx.example.org A"] = append(z["mx.example.org A"], fmt.Sprintf("10.0.%d.%d", i/200, i%200))
				z["mx.example.org AAAA"] = append(z["mx.example.org AAAA"], fmt.Sprintf("2001:db8::%x", i+1))
			}
			res, p := collectFacts(t, context.Background(), z, nil)
			h := res.Facts.Hosts[0]
			if len(h.A.Value) != 32 || h.ALeftOut != 1968 || len(h.AAAA.Value) != 32 || h.AAAALeftOut != 1968 {
				t.Fatalf("%d and %d, %d and %d", len(h.A.Value), h.ALeftOut, len(h.AAAA.Value), h.AAAALeftOut)
			}
			if len(res.Facts.RDNS) != 64 || len(res.Facts.SMTP) != 64 || len(p.targets) != 8 {
				t.Errorf("%d reverse names, %d endpoints, %d probed", len(res.Facts.RDNS), len(res.Facts.SMTP), len(p.targets))
			}
			text, err := json.Marshal(res.Facts)
			if err != nil {
				t.Fatal(err)
			}
			if try == 0 {
				first = string(text)
			} else if string(text) != first {
				t.Error("another order, other facts")
			}
			t.Logf("%d bytes of facts", len(text))
			if len(text) > 100<<10 {
				t.Errorf("%d bytes of facts", len(text))
			}
		}
	})
}

func TestOneConnectionAtATimeToOneOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone{
			"example.org MX":  {"10 a.example.org.", "10 b.example.org.", "20 c.example.net."},
			"a.example.org A": {"192.0.2.1", "192.0.2.2"}, "a.example.org AAAA": {"2001:db8::1"},
			"b.example.org A": {"198.51.100.3"}, "c.example.net A": {"203.0.113.1", "203.0.113.2"},
		}
		begin := time.Now()
		_, p := collectFacts(t, context.Background(), z, nil)
		for host, n := range p.top {
			if n != 1 {
				t.Errorf("%d connections at once to %s", n, host)
			}
		}
		if took := time.Since(begin); took != 4*time.Second {
			t.Errorf("took %s: operators must run beside each other, addresses of one operator one after another", took)
		}
	})
}

func TestNullAndMixedMX(t *testing.T) {
	cases := []struct {
		mx    []string
		hosts int
	}{{[]string{"0 ."}, 0}, {[]string{"0 .", "10 a.example.org."}, 1}, {[]string{"10 a.example.org.", "20 a.example.org."}, 1}}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			res, _ := collectFacts(t, context.Background(), zone{"example.org MX": c.mx}, nil)
			if len(res.Facts.Hosts) != c.hosts {
				t.Errorf("%v: hosts %+v", c.mx, res.Facts.Hosts)
			}
		})
	}
}

func TestImplicitMX(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res, p := collectFacts(t, context.Background(), zone{"example.org A": {"192.0.2.80"}}, nil)
		if len(res.Facts.Hosts) != 1 || res.Facts.Hosts[0].Role != audit.RoleImplicit || len(p.targets) != 1 {
			t.Errorf("%+v, probed %v", res.Facts.Hosts, p.targets)
		}
	})
}

func TestPassiveConnectsToNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone{"example.org MX": {"10 a.example.org."}, "a.example.org A": {"192.0.2.1"}}
		res, p := collectFacts(t, context.Background(), z, func(_ *Config, plan *Plan) {
			plan.Scope.Passive, plan.Scope.Areas = true, []audit.Area{audit.AreaMX, audit.AreaRDNS}
		})
		if len(p.targets) != 0 || p.helo != "" || len(res.Facts.SMTP) != 0 || len(res.Facts.RDNS) != 1 {
			t.Errorf("probed %v as %q, %d endpoints, %d addresses", p.targets, p.helo, len(res.Facts.SMTP), len(res.Facts.RDNS))
		}
	})
}

func TestSendersAreLookedUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone{"example.org MX": {"10 a.example.org."}, "a.example.org A": {"192.0.2.1"}}
		res, _ := collectFacts(t, context.Background(), z, func(_ *Config, plan *Plan) {
			plan.Scope.SendingIPs = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9")}
		})
		if len(res.Facts.RDNS) != 2 || res.Facts.RDNS[0].Role != audit.RoleSender || res.Facts.RDNS[1].Role != audit.RoleSender {
			t.Errorf("%+v", res.Facts.RDNS)
		}
	})
}

// TestDeadlineLeavesUnknown: a resolver that never answers ends with the
// audit's time, and an address that nobody needs holds nothing up.
func TestDeadlineLeavesUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		begin := time.Now()
		res, _ := collectFacts(t, ctx, zone{"example.org MX": {"!"}}, nil)
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("took %s", took)
		}
		if mx := res.Facts.MX; mx.Records.State != audit.Unknown || mx.Exists.State != audit.Unknown || len(res.Facts.Hosts) != 0 {
			t.Errorf("%+v", mx)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		z := zone{"example.org MX": {"10 a.example.org."}, "a.example.org A": {"192.0.2.1"}, "example.org A": {"!"}, "example.org AAAA": {"!"}}
		begin := time.Now()
		collectFacts(t, context.Background(), z, nil)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("an address of the domain that is not needed held the audit up for %s", took)
		}
	})
}

func TestIdentity(t *testing.T) {
	public, private := "8.8.4.4", "10.0.0.5"
	cases := []struct {
		name, local, hostName, given string
		z                            zone
		want                         string
	}{
		{"the user's word", public, "x", "mail.example.net", zone{}, "mail.example.net"},
		{"a name that leads back", public, "x", "", zone{"4.4.8.8.in-addr.arpa PTR": {"out.example.net."}, "out.example.net A": {public}}, "out.example.net"},
		{"a name that leads elsewhere", public, "x", "", zone{"4.4.8.8.in-addr.arpa PTR": {"out.example.net."}, "out.example.net A": {"8.8.4.5"}}, "[8.8.4.4]"},
		{"no name", public, "x.example", "", zone{}, "[8.8.4.4]"},
		{"IPv6 alone", "2600::1", "x.example", "", zone{}, "[IPv6:2600::1]"},
		{"behind NAT: never the private literal", private, "Laptop.Example", "", zone{}, "laptop.example"},
		{"behind NAT, bare name", private, "laptop", "", zone{}, "laptop"},
		{"no usable name", private, "my_laptop", "", zone{}, lastResort},
		{"localhost is no name", private, "localhost.localdomain", "", zone{}, lastResort},
		{"no way out", "", "laptop.example", "", zone{}, "laptop.example"},
	}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			c.z["example.org MX"] = []string{"10 a.example.org."}
			c.z["a.example.org A"] = []string{"192.0.2.1"}
			res, p := collectFacts(t, context.Background(), c.z, func(cfg *Config, plan *Plan) {
				cfg.HostName, plan.HELO = c.hostName, c.given
				cfg.Local = func(_ context.Context, ip6 bool) netip.Addr {
					a, err := netip.ParseAddr(c.local)
					if err != nil || a.Is6() != ip6 {
						return netip.Addr{}
					}
					return a
				}
			})
			if p.helo != c.want || res.HELO != c.want {
				t.Errorf("%s: introduced as %q, recorded as %q, want %q", c.name, p.helo, res.HELO, c.want)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		z := zone{"example.org MX": {"10 a.example.org."}, "a.example.org A": {"192.0.2.1"}}
		collectFacts(t, context.Background(), z, func(cfg *Config, _ *Plan) {
			cfg.Events = func(e Event) { lines = append(lines, fmt.Sprintf("%s %s %s %t", e.What, e.Subject, e.State, e.Begin)) }
		})
		all := strings.Join(lines, "\n")
		for _, want := range []string{
			"MX example.org seen false", "A a.example.org seen false", "AAAA a.example.org absent false",
			"PTR 192.0.2.1 absent false", "SMTP a.example.org[192.0.2.1]:25  true", "SMTP a.example.org[192.0.2.1]:25 seen false",
		} {
			if !strings.Contains(all, want) {
				t.Errorf("no event %q in:\n%s", want, all)
			}
		}
	})
}

func TestLiteral(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.1": "[192.0.2.1]", "2001:db8::1": "[IPv6:2001:db8::1]"} {
		if got := Literal(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}
