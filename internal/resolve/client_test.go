package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

func TestAliasesThatTheServerDoesNotFollow(t *testing.T) {
	chain := func(n int, last ...string) behaviour { return zone(append(links(n), last...)...) }
	for _, tt := range []struct {
		name    string
		server  behaviour
		state   audit.State
		code    audit.Code
		text    string
		chain   string
		ttl     uint32
		queries int
	}{
		{name: "one link", server: chain(1, "l1. 30 IN MX 10 mx."), state: audit.Seen, chain: "l1", ttl: 30, queries: 2},
		{name: "three links", server: chain(3, "l3. 300 IN MX 10 mx."), state: audit.Seen, chain: "l1 l2 l3", ttl: 60, queries: 4},
		{name: "ten links", server: chain(10, "l10. 300 IN MX 10 mx."), state: audit.Seen, chain: "l1 l2 l3 l4 l5 l6 l7 l8 l9 l10", ttl: 60, queries: 11},
		{name: "eleven links", server: chain(11, "l11. 300 IN MX 10 mx."), state: audit.Unknown, code: audit.CNAMELoop,
			text: "the aliases of example.org go round in a circle or are more than ten", chain: "l1 l2 l3 l4 l5 l6 l7 l8 l9 l10 l11", ttl: 60, queries: 11},
		{name: "a circle", server: zone("example.org. 60 IN CNAME a.", "a. 60 IN CNAME b.", "b. 60 IN CNAME a."), state: audit.Unknown, code: audit.CNAMELoop,
			text: "the aliases of example.org go round in a circle or are more than ten", chain: "a b a", ttl: 60, queries: 3},
		{name: "a circle through the start", server: zone("example.org. 60 IN CNAME a.", "a. 60 IN CNAME example.org."), state: audit.Unknown, code: audit.CNAMELoop,
			text: "the aliases of example.org go round in a circle or are more than ten", chain: "a example.org", ttl: 60, queries: 2},
		{name: "the end has no such record", server: chain(2, "l2. 300 IN A 192.0.2.1"), state: audit.Absent, code: audit.NoData,
			text: "example.org is an alias of l2, which has no MX record", chain: "l1 l2", queries: 3},
		{name: "the end does not exist", server: chain(2), state: audit.Absent, code: audit.NXDomain,
			text: "example.org is an alias of l2, which does not exist", chain: "l1 l2", queries: 3},
		{name: "the end is not to be had", server: func(r *received) {
			if r.msg.Question[0].Name == "l1." {
				says(2, "ra")(r)
				return
			}
			chain(1)(r)
		}, state: audit.Unknown, code: audit.ServFail,
			text: "asked about the alias target l1, 192.0.2.53 answered SERVFAIL", chain: "l1", queries: 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeNet(map[string]behaviour{a53: tt.server})
				c := client(t, f, nil, a53)
				a := c.Ask(t.Context(), "example.org", dns.TypeMX)
				if a.State != tt.state || a.Why.Code != tt.code || a.Why.Text != tt.text {
					t.Errorf("answer %q %q %q, want %q %q %q", a.State, a.Why.Code, a.Why.Text, tt.state, tt.code, tt.text)
				}
				if (a.State == audit.Seen) != (len(a.Records) > 0) {
					t.Errorf("%s with the records %v", a.State, a.Records)
				}
				var chain []string
				for _, n := range a.Chain {
					chain = append(chain, string(n))
				}
				if got := strings.Join(chain, " "); got != tt.chain {
					t.Errorf("chain %q, want %q", got, tt.chain)
				}
				if a.State != audit.Unknown && a.TTL != tt.ttl {
					t.Errorf("TTL %d, want %d", a.TTL, tt.ttl)
				}
				if f.count() != tt.queries {
					t.Errorf("%d queries, want %d: %q", f.count(), tt.queries, f.order())
				}
				// All of it is remembered, link by link.
				again := c.Ask(t.Context(), "example.org", dns.TypeMX)
				if f.count() != tt.queries {
					t.Errorf("asked again after %q", f.order())
				}
				if diff := cmp.Diff(a.Why, again.Why); diff != "" {
					t.Errorf("the second answer differs: %s", diff)
				}
			})
		})
	}
}

// TestTwoNamesThatPointAtEachOther is a deadlock when one question waits for
// another.
func TestTwoNamesThatPointAtEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: zone("a. 60 IN CNAME b.", "b. 60 IN CNAME a.")})
		c := client(t, f, nil, a53)
		var wg sync.WaitGroup
		for _, name := range []audit.DNSName{"a", "b"} {
			wg.Go(func() {
				got := c.Ask(t.Context(), name, dns.TypeA)
				if got.Why.Code != audit.CNAMELoop {
					t.Errorf("%s: %+v, want a loop", name, got.Why)
				}
			})
		}
		wg.Wait()
		if f.count() != 2 {
			t.Errorf("%d queries, want 2", f.count())
		}
	})
}

func TestJoinedAnswersKeepWhatBothSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, flags := range [][2]string{{"ra", "ra"}, {"ra", "ra ad"}, {"ra ad", "ra"}, {"ra ad", "ra ad"}} {
			f := newFakeNet(map[string]behaviour{a53: func(r *received) {
				if r.msg.Question[0].Name == "a." {
					says(0, flags[1], "a. 60 IN A 192.0.2.1")(r)
					return
				}
				says(0, flags[0], "example.org. 60 IN CNAME a.")(r)
			}})
			a := client(t, f, nil, a53).Ask(t.Context(), "example.org", dns.TypeA)
			if want := flags == [2]string{"ra ad", "ra ad"}; a.AD != want {
				t.Errorf("AD = %v when alias and target have %q", a.AD, flags)
			}
			if got := tries(a.Tries); got != servOK+", "+servOK {
				t.Errorf("tries %q", got)
			}
		}
	})
}

func TestMemoAndSingleflight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(r *received) { time.Sleep(time.Second); says(0, "ra", mx10)(r) }
		f := newFakeNet(map[string]behaviour{a53: slow})
		c := client(t, f, nil, a53)
		start := time.Now()
		var wg sync.WaitGroup
		answers := make([]*Answer, 50)
		for i := range answers {
			wg.Go(func() {
				// However the name is written, it is the same question.
				name := audit.DNSName([]string{"example.org", "EXAMPLE.org", "example.org.", `ex\097mple.org`}[i%4])
				answers[i] = c.Ask(t.Context(), name, dns.TypeMX)
			})
		}
		wg.Wait()
		for _, a := range answers {
			if a != answers[0] || a.State != audit.Seen || a.Name != "example.org" {
				t.Fatalf("answer %+v", a)
			}
		}
		if f.count() != 1 || time.Since(start) != time.Second {
			t.Errorf("%d queries in %v, want 1 in 1 s", f.count(), time.Since(start))
		}
		c.Ask(t.Context(), "example.org", dns.TypeMX)
		if f.count() != 1 || time.Since(start) != time.Second {
			t.Error("a remembered answer was asked for again")
		}
		c.Ask(t.Context(), "example.org", dns.TypeA)
		c.Ask(t.Context(), "www.example.org", dns.TypeMX)
		if f.count() < 3 {
			t.Error("another type or name was answered from memory")
		}
	})
}

func TestUnknownIsRememberedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: silent})
		c := client(t, f, nil, a53)
		first := c.Ask(t.Context(), "example.org", dns.TypeMX)
		start := time.Now()
		second := c.Ask(t.Context(), "example.org", dns.TypeMX)
		if first != second || time.Since(start) != 0 || f.count() != 3 {
			t.Errorf("asked %d times, second answer after %v", f.count(), time.Since(start))
		}
	})
}

func TestContextEndsOneCallerOnly(t *testing.T) {
	over := errors.New("the whole run is over")
	for _, tt := range []struct {
		name string
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want audit.Reason
	}{
		{"deadline", func(p context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(p, time.Second)
		}, audit.Reason{Code: audit.Deadline, Text: "the time of this audit ran out"}},
		{"deadline with a cause of its own", func(p context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(p, time.Second, over)
		}, audit.Reason{Code: audit.Deadline, Text: "the time of this audit ran out"}},
		{"cancel", func(p context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(p)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, audit.Reason{Code: audit.Interrupted, Text: "the run was interrupted"}},
		{"cancel because the time is over", func(p context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(p)
			time.AfterFunc(time.Second, func() { cancel(fmt.Errorf("domain: %w", context.DeadlineExceeded)) })
			return ctx, func() { cancel(nil) }
		}, audit.Reason{Code: audit.Deadline, Text: "the time of this audit ran out"}},
		{"cancel with a cause of its own", func(p context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(p)
			time.AfterFunc(time.Second, func() { cancel(over) })
			return ctx, func() { cancel(nil) }
		}, audit.Reason{Code: audit.Interrupted, Text: "the run was interrupted"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeNet(map[string]behaviour{a53: func(r *received) { time.Sleep(2 * time.Second); says(0, "ra", mx10)(r) }})
				c := client(t, f, nil, a53)
				start := time.Now()
				var patient *Answer
				var wg sync.WaitGroup
				ctx, cancel := tt.ctx(t.Context())
				defer cancel()
				wg.Go(func() {
					time.Sleep(500 * time.Millisecond) // joins the question that the other one gives up
					patient = c.Ask(t.Context(), "example.org", dns.TypeMX)
				})
				a := c.Ask(ctx, "example.org", dns.TypeMX)
				if a.State != audit.Unknown || a.Why != tt.want || a.Name != "example.org" || a.Type != dns.TypeMX {
					t.Errorf("answer %+v, want %+v", a, tt.want)
				}
				if time.Since(start) != time.Second {
					t.Errorf("gave up after %v, want 1 s", time.Since(start))
				}
				b := c.Ask(ctx, "other.example", dns.TypeMX)
				if b.Why != tt.want || f.count() != 1 {
					t.Errorf("after the end of ctx: %+v, %d queries", b.Why, f.count())
				}
				wg.Wait()
				if patient.State != audit.Seen {
					t.Errorf("the patient caller got %+v", patient)
				}
				// What is known is told even to one whose time is over.
				for range 20 {
					if got := c.Ask(ctx, "example.org", dns.TypeMX); got != patient {
						t.Errorf("from memory: %+v", got)
					}
				}
				if f.count() != 1 {
					t.Errorf("%d queries, want 1", f.count())
				}
			})
		})
	}
}

func TestQuestionBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: zone("a. 60 IN A 192.0.2.1", "b. 60 IN A 192.0.2.2", "c. 60 IN CNAME d.")})
		c := client(t, f, func(cfg *Config) { cfg.MaxQueries = 3 }, a53)
		for _, name := range []audit.DNSName{"a", "b", "a", "b"} {
			if got := c.Ask(t.Context(), name, dns.TypeA); got.State != audit.Seen {
				t.Errorf("%s: %+v", name, got.Why)
			}
		}
		want := audit.Reason{Code: audit.Budget, Text: "not asked, because this run has used up its DNS questions"}
		// The third question is an alias whose target is the fourth.
		for _, name := range []audit.DNSName{"c", "e", "c"} {
			got := c.Ask(t.Context(), name, dns.TypeA)
			if got.State != audit.Unknown || got.Why != want {
				t.Errorf("%s: %q %+v", name, got.State, got.Why)
			}
		}
		if got := c.Ask(t.Context(), "a", dns.TypeA); got.State != audit.Seen {
			t.Errorf("what is known is not told any more: %+v", got.Why)
		}
		if f.count() != 3 || len(c.Queries()) != 3 {
			t.Errorf("%d queries sent and %d listed, want 3", f.count(), len(c.Queries()))
		}
	})
}

func TestThousandQuestionsOnFewSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: func(r *received) {
			time.Sleep(100 * time.Millisecond)
			q := r.msg.Question[0]
			var n int
			fmt.Sscanf(q.Name, "n%d.", &n)
			says(0, "ra", fmt.Sprintf("%s 60 IN A 10.0.%d.%d", q.Name, n/256, n%256))(r)
		}})
		c := client(t, f, nil, a53)
		start := time.Now()
		var wg sync.WaitGroup
		for n := range 600 {
			wg.Go(func() {
				a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", n)), dns.TypeA)
				want := netip.AddrFrom4([4]byte{10, 0, byte(n / 256), byte(n % 256)}).String()
				if a.State != audit.Seen || a.Records[0].(*dns.A).A.String() != want {
					t.Errorf("n%d: %+v", n, a)
				}
			})
		}
		wg.Wait()
		// 64 at a time and 100 ms each: ten rounds.
		if got := time.Since(start); got != time.Second {
			t.Errorf("took %v, want 1 s", got)
		}
		if f.count() != 600 {
			t.Errorf("%d queries", f.count())
		}
		if f.sockets() > 8 || f.sockets() < 3 {
			t.Errorf("%d sockets for 600 questions, want a few, and none for more than 200", f.sockets())
		}
	})
	synctest.Test(t, func(t *testing.T) { // a thousand at once, no limit in the way
		f := newFakeNet(map[string]behaviour{a53: func(r *received) {
			time.Sleep(100 * time.Millisecond)
			says(3, "ra")(r)
		}})
		c := client(t, f, func(cfg *Config) { cfg.MaxQueries, cfg.InFlight = 1000, 1000 }, a53)
		start := time.Now()
		var wg sync.WaitGroup
		for n := range 1000 {
			wg.Go(func() {
				a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", n)), dns.TypeA)
				if a.Why.Code != audit.NXDomain {
					t.Errorf("n%d: %+v", n, a.Why)
				}
			})
		}
		wg.Wait()
		if got := time.Since(start); got != 100*time.Millisecond || f.count() != 1000 {
			t.Errorf("%d queries in %v", f.count(), got)
		}
		if f.sockets() > 8 {
			t.Errorf("%d sockets for 1,000 questions", f.sockets())
		}
	})
}

func TestSocketsAreRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: zone()})
		c := client(t, f, func(cfg *Config) { cfg.MaxQueries = 1000 }, a53)
		for n := range 2*maxQuestions + 1 {
			c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", n)), dns.TypeA)
		}
		synctest.Wait()
		if f.sockets() != 3 || f.opened() != 1 {
			t.Errorf("%d sockets opened and %d still open, want 3 and 1", f.sockets(), f.opened())
		}
	})
}

func TestBrokenSocketIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: inTurn(unreachable(syscall.ECONNREFUSED), zone())})
		c := client(t, f, nil, a53)
		a := c.Ask(t.Context(), "example.org", dns.TypeA)
		if a.Why.Code != audit.NXDomain || f.sockets() != 2 {
			t.Errorf("%+v over %d sockets", a.Why, f.sockets())
		}
		synctest.Wait()
		if f.opened() != 1 {
			t.Errorf("%d sockets open, want 1", f.opened())
		}
	})
}

func TestNoSocketToBeHad(t *testing.T) {
	for no, want := range map[syscall.Errno]audit.Reason{
		syscall.EMFILE:      {Code: audit.LocalError, Text: "192.0.2.53 could not be asked because our own system failed"},
		syscall.EACCES:      {Code: audit.LocalPolicy, Text: "192.0.2.53 may not be contacted (a local firewall, for example)"},
		syscall.ENETUNREACH: {Code: audit.ResolverDown, Text: "192.0.2.53 cannot be reached from here"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeNet(nil)
			f.refuse["udp"] = no
			a := client(t, f, nil, a53).Ask(t.Context(), "example.org", dns.TypeA)
			if a.State != audit.Unknown || a.Why != want || f.sockets() != 3 {
				t.Errorf("%v: %q %+v after %d dials", no, a.State, a.Why, f.sockets())
			}
		})
	}
}

func TestCloseInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: silent, a54: says(0, "tc"), a54 + " tcp": silent})
		var wg sync.WaitGroup
		c := New(Config{Servers: servers(a53), Dialer: f, InFlight: 2})
		d := New(Config{Servers: servers(a54), Dialer: f})
		e := New(Config{Servers: servers(a53), Dialer: newFakeNet(map[string]behaviour{a53: says(2, "ra")})})
		start := time.Now()
		want := audit.Reason{Code: audit.Interrupted, Text: "the run was interrupted"}
		for i := range 5 { // two under way, three waiting; one over TCP; one in a pause
			for _, c := range []*Client{c, d, e} {
				wg.Go(func() {
					a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", i)), dns.TypeA)
					if a.State != audit.Unknown || a.Why != want {
						t.Errorf("n%d: %q %+v", i, a.State, a.Why)
					}
				})
			}
		}
		time.Sleep(100 * time.Millisecond)
		c.Close()
		d.Close()
		e.Close()
		wg.Wait()
		if time.Since(start) != 100*time.Millisecond {
			t.Errorf("Close took %v", time.Since(start)-100*time.Millisecond)
		}
		a := c.Ask(t.Context(), "later", dns.TypeA)
		if a.Why != want {
			t.Errorf("after Close: %+v", a.Why)
		}
		c.Close() // twice does no harm
		if c.memo.Len() != 0 {
			t.Errorf("%d interrupted questions are remembered", c.memo.Len())
		}
		f.senders.Wait()
		if f.opened() != 0 {
			t.Errorf("%d sockets open after Close", f.opened())
		}
		// The bubble ends only when all goroutines are gone.
	})
}

func TestWhatCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: zone()})
		c := client(t, f, nil, a53)
		long := audit.DNSName(strings.Repeat("a", 64) + ".org")
		longer := audit.DNSName(strings.Repeat("a.", 140) + "org")
		for _, name := range []audit.DNSName{long, longer, "a..b", ".a"} {
			a := c.Ask(t.Context(), name, dns.TypeA)
			want := audit.Reason{Code: audit.Malformed, Text: string(name) + " cannot be a name in the DNS (RFC 1035 2.3.4)"}
			if a == nil || a.State != audit.Unknown || a.Why != want {
				t.Errorf("%s: %+v", name, a)
			}
		}
		for _, name := range []audit.DNSName{"", ".", `a\.b.example`, `\000\255.example`, "_dmarc.example.org", audit.DNSName(strings.Repeat("a.", 125) + "org")} {
			a := c.Ask(t.Context(), name, dns.TypeA)
			if a.Why.Code != audit.NXDomain {
				t.Errorf("%s: %+v", name, a.Why)
			}
		}
		none := New(Config{Dialer: f})
		defer none.Close()
		a := none.Ask(t.Context(), "example.org", dns.TypeA)
		if a.State != audit.Unknown || a.Why != (audit.Reason{Code: audit.ResolverDown, Text: "no resolver is configured"}) {
			t.Errorf("without servers: %+v", a)
		}
	})
}

func TestConfiguredTwiceIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, newFakeNet(map[string]behaviour{a53: silent}), func(cfg *Config) { cfg.Tries, cfg.Timeout = 1, time.Minute }, a53, a53+":53", a53)
		start := time.Now()
		a := c.Ask(t.Context(), "example.org", dns.TypeA)
		if a.Why.Text != "192.0.2.53 did not answer" {
			t.Errorf("text %q", a.Why.Text)
		}
		if time.Since(start) != 2*time.Minute {
			t.Errorf("took %v: one lost packet must not decide, so two tries of a minute", time.Since(start))
		}
	})
}

func TestExtendedErrors(t *testing.T) {
	ede := func(rcode int, codes ...uint16) behaviour {
		return func(r *received) {
			m := message(r, rcode, "ra")
			m.SetEdns0(1232, false)
			opt := m.IsEdns0()
			for _, code := range codes {
				opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: code, ExtraText: "<b>\x1b" + strings.Repeat("x", 300)})
			}
			r.send(pack(m))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c := client(t, newFakeNet(map[string]behaviour{a53: inTurn(ede(2, 9, 7), ede(2, 22), ede(2, 7))}), nil, a53)
		a := c.Ask(t.Context(), "example.org", dns.TypeA)
		if !slices.Equal(a.EDE, []uint16{7, 9, 22}) {
			t.Errorf("EDE %v, want those of all tries", a.EDE)
		}
		text := a.Tries[1].Text
		want := "EDE 22 (No Reachable Authority): <b>\x1b" + strings.Repeat("x", maxEDEText-4)
		if string(text) != want {
			t.Errorf("text %q, want %q", text, want)
		}
		if a.Why.Text != "192.0.2.53 answered SERVFAIL" {
			t.Errorf("a stranger's text is in Why: %q", a.Why.Text)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		many := make([]uint16, 50)
		for i := range many {
			many[i] = uint16(100 + i) // no code that says the answer is the resolver's own
		}
		c := client(t, newFakeNet(map[string]behaviour{a53: inTurn(ede(2, 9), ede(3, many...))}), nil, a53)
		a := c.Ask(t.Context(), "example.org", dns.TypeA)
		if len(a.EDE) != maxEDE || a.State != audit.Absent {
			t.Errorf("%q with EDE %v, want %d of the answer that decided", a.State, a.EDE, maxEDE)
		}
	})
}

// What a resolver declares to be its own answer says nothing about the domain
// (RFC 8914), whether it looks like records or like NXDOMAIN.
func TestAnswersInPlace(t *testing.T) {
	for _, rcode := range []int{0, 3} {
		for _, code := range []uint16{4, 15, 16, 17} {
			synctest.Test(t, func(t *testing.T) {
				own := func(r *received) {
					m := message(r, rcode, "ra")
					m.SetEdns0(1232, false)
					m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: code})
					r.send(pack(m))
				}
				c := client(t, newFakeNet(map[string]behaviour{a53: own}), nil, a53)
				a := c.Ask(t.Context(), "example.org", dns.TypeA)
				if a.State != audit.Unknown || a.Why.Code != audit.Filtered {
					t.Errorf("rcode %d, EDE %d: %s %+v", rcode, code, a.State, a.Why)
				}
			})
		}
	}
}

func TestQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: func(r *received) {
			time.Sleep(50 * time.Millisecond)
			zone("b. 60 IN A 192.0.2.1", "b. 70 IN TXT x", "a. 80 IN CNAME b.")(r)
		}})
		c := client(t, f, nil, a53)
		for _, q := range []key{{"b", dns.TypeTXT}, {"c", dns.TypeA}, {"a", dns.TypeA}, {"b", dns.TypeA}, {"b", dns.TypeTXT}} {
			c.Ask(t.Context(), q.name, q.qtype)
		}
		try := func(outcome string) []audit.Try {
			return []audit.Try{{Server: a53, Net: "udp", Outcome: outcome, Elapsed: 50 * time.Millisecond}}
		}
		want := []audit.Query{
			{Name: "a", Type: "A", Tries: try("NOERROR"), TTL: 80},
			{Name: "b", Type: "A", Tries: try("NOERROR"), TTL: 60},
			{Name: "b", Type: "TXT", Tries: try("NOERROR"), TTL: 70},
			{Name: "c", Type: "A", Tries: try("NXDOMAIN")},
		}
		if diff := cmp.Diff(want, c.Queries()); diff != "" {
			t.Errorf("Queries (-want +got):\n%s", diff)
		}
	})
}
