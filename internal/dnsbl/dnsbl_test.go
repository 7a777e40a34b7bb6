package dnsbl

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
)

func subject() netip.Addr { return netip.MustParseAddr("192.0.2.25") }

func TestNew(t *testing.T) {
	f := healthy()
	for name, cfg := range map[string]Config{
		"nothing":  {},
		"no Again": {DNS: f},
		"no DNS":   {Again: f},
	} {
		_, err := New(cfg)
		if !errors.Is(err, ErrNoAsker) {
			t.Errorf("%s: %v, want ErrNoAsker", name, err)
		}
	}
	_, err := New(Config{DNS: f, Again: f})
	if err != nil {
		t.Errorf("the lists of our own: %v", err)
	}
	broken := []struct {
		name  string
		spoil func(*List)
		want  string
	}{
		{"no zone", func(l *List) { l.Zone = "" }, "missing"},
		{"no page", func(l *List) { l.Page = "" }, "missing"},
		{"no listed entry: it would always pass", func(l *List) { l.TestListed = nil }, "test entry is missing"},
		{"no clean entry: it would always pass", func(l *List) { l.TestClean = nil }, "test entry is missing"},
		{"a test entry of another kind", func(l *List) { l.TestListed = []string{"dbltest.com"} }, "nothing that it lists"},
		{"an IPv6 test entry of a list without IPv6", func(l *List) { l.TestClean = []string{"::ffff:7f00:1"} }, "nothing that it lists"},
		{"no codes", func(l *List) { l.Codes = nil }, "no codes"},
		{"a code outside 127.0.0.0/8", func(l *List) { l.Codes[0].Addr = netip.MustParseAddr("128.0.0.2") }, "128.0.0.2"},
		{"127.0.0.1 as a code, as hostkarma", func(l *List) { l.Codes[0].Addr = netip.MustParseAddr("127.0.0.1") }, "127.0.0.1"},
		{"an error as a code", func(l *List) { l.Codes[0].Addr = netip.MustParseAddr("127.255.255.254") }, "127.255.255.254"},
		{"a code that is an error too", func(l *List) { l.Errors = []ErrorCode{{l.Codes[0].Addr, "no"}} }, "127.0.0.2"},
		{"a code without a meaning", func(l *List) { l.Codes[0].Meaning = "" }, "without a meaning"},
		{"an error outside 127.0.0.0/8", func(l *List) { l.Errors = []ErrorCode{{netip.MustParseAddr("10.0.0.1"), "no"}} }, "10.0.0.1"},
		{"an error that says nothing", func(l *List) { l.Errors = []ErrorCode{{at(0, 0, 9), ""}} }, "says nothing"},
	}
	for _, tt := range broken {
		l := spamcop()
		tt.spoil(&l)
		_, err := New(Config{DNS: f, Again: f, Lists: []List{l}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		synctest.Test(t, func(t *testing.T) { // nor can it be smuggled in afterwards
			h := checker(t, healthy(), healthy()).Health(t.Context(), l).Health
			if h.State != audit.Unknown || h.Why.Code != audit.Bug {
				t.Errorf("%s: health %s %v, want unknown, bug", tt.name, h.State, h.Why)
			}
		})
	}
	_, err = New(Config{DNS: f, Again: f, Lists: []List{spamcop(), spamcop()}})
	if err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a list twice: %v", err)
	}
}

func TestQuery(t *testing.T) {
	long := strings.Repeat("a.", 117) + "aa" // with .dbl.spamhaus.org 253 octets
	v6 := spamcop()
	v6.IP6 = true
	tests := []struct {
		list    List
		subject string
		want    string // "": not to be asked
	}{
		{spamcop(), "192.0.2.25", "25.2.0.192.bl.spamcop.net"},
		{spamcop(), "127.0.0.2", "2.0.0.127.bl.spamcop.net"},
		{zen(), "2001:db8::25", "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.spamhaus.org"},
		{v6, "::FFFF:7F00:2", "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.spamcop.net"},
		{dbl(), "Example.org.", "example.org.dbl.spamhaus.org"},
		{dbl(), "invalid", "invalid.dbl.spamhaus.org"},
		{dbl(), long, long + ".dbl.spamhaus.org"},

		{dbl(), long + "a", ""},             // too long
		{dbl(), "192.0.2.25", ""},           // 70: an address asked of a list of domains
		{spamcop(), "example.org", ""},      // and a domain asked of a list of addresses
		{spamcop(), "2001:db8::25", ""},     // a list without IPv6 says NXDOMAIN to all of it
		{spamcop(), "::ffff:192.0.2.1", ""}, // IPv6, too
		{zen(), "fe80::1%eth0", ""},
		{dbl(), "", ""},
		{dbl(), "a b", ""},
		{dbl(), "a..b", ""},
	}
	for _, tt := range tests {
		name, ok := Query(tt.list, tt.subject)
		if ok != (tt.want != "") || ok && string(name) != tt.want {
			t.Errorf("Query(%s, %q) = %s, %t; want %q", tt.list.Zone, tt.subject, name, ok, tt.want)
		}
		if ok && len(name) > 253 {
			t.Errorf("%d octets", len(name))
		}
	}
}

// TestAddress also pins who is asked about what: all lists of the family, and
// no other one.
func TestAddress(t *testing.T) {
	ip4 := []string{"bl.mailspike.net", "bl.spamcop.net", "psbl.surriel.com", "zen.spamhaus.org"}
	tests := []struct {
		addr, subject string
		zones         []string
		state         audit.State
	}{
		{"192.0.2.25", "192.0.2.25", ip4, audit.Absent},
		{"::ffff:192.0.2.25", "192.0.2.25", ip4, audit.Absent},
		{"2001:db8::25", "2001:db8::25", []string{"zen.spamhaus.org"}, audit.Absent},
		{"127.0.0.2", "127.0.0.2", ip4, audit.NotTried}, // on every list
		{"10.0.0.1", "10.0.0.1", ip4, audit.NotTried},
		{"0.0.0.0", "0.0.0.0", ip4, audit.NotTried},
		{"169.254.1.1", "169.254.1.1", ip4, audit.NotTried},
		{"fe80::1%eth0", "fe80::1", []string{"zen.spamhaus.org"}, audit.NotTried},
		{"::1", "::1", []string{"zen.spamhaus.org"}, audit.NotTried},
		{"fd00::1", "fd00::1", []string{"zen.spamhaus.org"}, audit.NotTried},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			f := healthy()
			got := checker(t, f, &fake{}).Address(t.Context(), netip.MustParseAddr(tt.addr), audit.RoleSender)
			var zones []string
			for _, l := range got {
				zones = append(zones, string(l.Zone))
				if l.Subject != tt.subject || l.Role != audit.RoleSender || l.Codes.State != tt.state {
					t.Errorf("%s: %+v, want state %s", tt.addr, l, tt.state)
				}
			}
			if !slices.Equal(zones, tt.zones) {
				t.Errorf("%s: lists %v, want %v", tt.addr, zones, tt.zones)
			}
			if tt.state == audit.NotTried && len(f.asked) > 0 {
				t.Errorf("%s: asked for %v", tt.addr, f.asked)
			}
		})
	}
	got := checker(t, healthy(), healthy()).Address(t.Context(), netip.Addr{}, audit.RoleMX)
	if len(got) != 0 {
		t.Errorf("no address: %v", got)
	}
}

func TestDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy("example.org.dbl.spamhaus.org", "127.0.1.2")
		got := checker(t, f, f).Domain(t.Context(), domain(t, "example.org"))
		if len(got) != 1 || got[0].Zone != "dbl.spamhaus.org" || got[0].Subject != "example.org" || got[0].Role != "" {
			t.Fatalf("%+v", got)
		}
		want := audit.ListCode{Addr: netip.MustParseAddr("127.0.1.2"), Meaning: "a domain of low reputation"}
		if !slices.Equal(got[0].Codes.Value, []audit.ListCode{want}) {
			t.Errorf("%+v", got[0].Codes)
		}
		long := domain(t, strings.Repeat("a.", 117)+"aaa")
		before := len(f.asked)
		o := checker(t, f, f).Domain(t.Context(), long)[0].Codes
		if o.State != audit.NotTried || o.Why.Code != audit.NotAsked || len(f.asked) != before {
			t.Errorf("a domain that is too long: %+v, %d questions", o, len(f.asked)-before)
		}
	})
}

// TestPolicy: being on the PBL is no abuse, and must be told apart.
func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy("25.2.0.192.zen.spamhaus.org", "127.0.0.11 127.0.0.10 127.0.0.4")
		got := checker(t, f, f, zen()).Address(t.Context(), subject(), audit.RoleMX)[0].Codes.Value
		for _, c := range got {
			if c.Policy != strings.HasPrefix(c.Meaning, "PBL") || c.Policy != (c.Addr != at(0, 0, 4)) {
				t.Errorf("%+v", c)
			}
		}
		if len(got) != 3 {
			t.Errorf("%d codes, want 3", len(got))
		}
	})
}

// TestIPv6Entries: a list that documents them is tested by the IPv6 entries of
// RFC 5782 section 5 too, in the form of IPv6.
func TestIPv6Entries(t *testing.T) {
	l := spamcop()
	l.IP6 = true
	l.TestListed = append(l.TestListed, "::FFFF:7F00:2")
	l.TestClean = append(l.TestClean, "::FFFF:7F00:1")
	const nibbles = ".0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.spamcop.net"
	for listed, want := range map[string]audit.State{"127.0.0.2": audit.Seen, "nxdomain": audit.Absent} {
		synctest.Test(t, func(t *testing.T) {
			f := healthy("2"+nibbles, listed)
			h := checker(t, f, f, l).Health(t.Context(), l).Health
			if h.State != want {
				t.Errorf("%s: health %s, want %s: %v", listed, h.State, want, h.Why)
			}
			if f.count("1"+nibbles) == 0 || f.count("2"+nibbles) == 0 {
				t.Errorf("asked for %v", f.asked)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		got := checker(t, f, &fake{}).Health(t.Context(), zen())
		want := audit.BlockList{Zone: "zen.spamhaus.org", Name: "Spamhaus ZEN", Tier: audit.TierBlocking, Page: "https://check.spamhaus.org/",
			Health: audit.See(audit.Nothing{}, "dig -t A -q 2.0.0.127.zen.spamhaus.org")}
		if got != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
}

// TestTime: the test and the question go out together, a clean answer takes
// one round trip, a listing two and the pause.
func TestTime(t *testing.T) {
	const entry = "25.2.0.192.bl.spamcop.net"
	tests := []struct {
		name  string
		table []string
		want  time.Duration
	}{
		{"clean", nil, rtt},
		{"listed", []string{entry, "127.0.0.2"}, rtt + DefaultConfirm + rtt},
		{"error code", []string{entry, "127.255.255.254"}, rtt},
		{"not well", []string{"2.0.0.127.bl.spamcop.net", "nxdomain"}, rtt + DefaultConfirm + rtt},
		{"not well and listed: one pause, not two", []string{"2.0.0.127.bl.spamcop.net", "nxdomain", entry, "127.0.0.2"}, rtt + DefaultConfirm + rtt},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			f := healthy(tt.table...)
			checker(t, f, f).Address(t.Context(), subject(), audit.RoleMX)
			took := time.Since(start)
			if took != tt.want {
				t.Errorf("%s: %v, want %v", tt.name, took, tt.want)
			}
		})
	}
}

// TestOnce: each list is tested once in a run, however many ask at once, and
// again in the next run.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		c := checker(t, f, f)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
				for _, l := range c.Address(t.Context(), addr, audit.RoleMX) {
					if l.Codes.State != audit.Absent {
						t.Errorf("%+v", l)
					}
				}
			})
		}
		wg.Wait()
		for _, l := range Lists() {
			c.Health(t.Context(), l)
			for _, point := range slices.Concat(l.TestListed, l.TestClean) {
				name, _ := Query(l, point)
				if f.count(string(name)) != 1 {
					t.Errorf("%s was asked %d times", name, f.count(string(name)))
				}
			}
		}
		checker(t, f, f).Health(t.Context(), spamcop())
		if f.count("2.0.0.127.bl.spamcop.net") != 2 {
			t.Error("the health of the last run was taken for the one of this run")
		}
	})
}

// TestGivingUp: who gives up learns so, and spoils nothing for the others.
func TestGivingUp(t *testing.T) {
	const entry = "25.2.0.192.bl.spamcop.net"
	t.Run("the caller that runs the test", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := healthy()
			c := checker(t, f, f, spamcop())
			ctx, cancel := context.WithCancel(t.Context())
			var first, second audit.BlockList
			var wg sync.WaitGroup
			wg.Go(func() { first = c.Health(ctx, spamcop()) })
			synctest.Wait()
			wg.Go(func() { second = c.Health(t.Context(), spamcop()) })
			synctest.Wait()
			cancel()
			wg.Wait()
			if first.Health.State != audit.Unknown || first.Health.Why.Code != audit.Interrupted {
				t.Errorf("who gave up: %+v", first.Health)
			}
			if second.Health.State != audit.Seen {
				t.Errorf("who did not: %+v", second.Health)
			}
		})
	})
	t.Run("a caller that waits for the test of another", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := healthy()
			c := checker(t, f, f, spamcop())
			ctx, cancel := context.WithTimeout(t.Context(), rtt/2)
			defer cancel()
			var first, second audit.BlockList
			var wg sync.WaitGroup
			wg.Go(func() { first = c.Health(t.Context(), spamcop()) })
			synctest.Wait()
			wg.Go(func() { second = c.Health(ctx, spamcop()) })
			wg.Wait()
			if first.Health.State != audit.Seen {
				t.Errorf("who did not give up: %+v", first.Health)
			}
			if second.Health.State != audit.Unknown || second.Health.Why.Code != audit.Deadline {
				t.Errorf("who did: %+v", second.Health)
			}
			again := c.Health(ctx, spamcop()) // what is known is told
			if again.Health.State != audit.Seen {
				t.Errorf("with a context that has ended: %+v", again.Health)
			}
		})
	})
	t.Run("in the pause, by a deadline with a cause of its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := healthy(entry, "127.0.0.2")
			ctx, cancel := context.WithTimeoutCause(t.Context(), rtt+time.Second, errors.New("enough"))
			defer cancel()
			o := checker(t, f, f, spamcop()).Address(ctx, subject(), audit.RoleMX)[0].Codes
			if o.State != audit.Unknown || o.Why.Code != audit.Deadline {
				t.Errorf("%+v, want unknown, deadline", o)
			}
		})
	})
	pauses := []struct {
		name  string
		table []string
		cause error
		want  audit.Code
	}{
		{"in the pause of a listing", []string{entry, "127.0.0.2"}, nil, audit.Interrupted},
		{"in the pause of a listing, the time is over", []string{entry, "127.0.0.2"}, context.DeadlineExceeded, audit.Deadline},
		{"in the pause of a failed test", []string{"2.0.0.127.bl.spamcop.net", "nxdomain"}, nil, audit.Interrupted},
		{"for a reason of its own", []string{entry, "127.0.0.2"}, errors.New("why not"), audit.Interrupted},
	}
	for _, tt := range pauses {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := healthy(tt.table...)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(rtt+time.Second, func() { cancel(tt.cause) })
				start := time.Now()
				o := checker(t, f, f, spamcop()).Address(ctx, subject(), audit.RoleMX)[0].Codes
				if o.State != audit.Unknown || o.Why.Code != tt.want {
					t.Errorf("%+v, want unknown, %s", o, tt.want)
				}
				if time.Since(start) != rtt+time.Second {
					t.Errorf("it took %v to notice", time.Since(start))
				}
			})
		})
	}
}

// TestSecondQuestions go to Again alone, which has no memory of the first.
func TestSecondQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const entry, point = "25.2.0.192.bl.spamcop.net", "2.0.0.127.psbl.surriel.com"
		first := healthy(entry, "127.0.0.2", point, "nxdomain")
		again := healthy(entry, "127.0.0.2", point, "nxdomain")
		checker(t, first, again).Address(t.Context(), subject(), audit.RoleMX)
		slices.Sort(again.asked)
		want := []string{"1.0.0.127.psbl.surriel.com", point, entry}
		slices.Sort(want)
		if !slices.Equal(again.asked, want) {
			t.Errorf("Again was asked for %v, want %v", again.asked, want)
		}
		if first.count(entry) != 1 || first.count(point) != 1 {
			t.Errorf("DNS was asked again: %v", first.asked)
		}
	})
}

// TestCanonical: the order of records and the order in which answers come
// change nothing.
func TestCanonical(t *testing.T) {
	look := func(t *testing.T, table ...string) string {
		var out []byte
		synctest.Test(t, func(t *testing.T) {
			f := healthy(table...)
			lists := Lists()
			if len(table[1])%2 == 0 {
				slices.Reverse(lists)
			}
			var err error
			out, err = json.Marshal(checker(t, f, f, lists...).Address(t.Context(), subject(), audit.RoleMX))
			if err != nil {
				t.Error(err)
			}
		})
		return string(out)
	}
	const entry = "25.2.0.192.zen.spamhaus.org"
	a := look(t, entry, "127.0.0.2 127.0.0.10 127.0.0.3")
	b := look(t, entry, "127.0.0.10 127.0.0.3 127.0.0.2 ")
	c := look(t, entry, "127.0.0.3 127.0.0.10 127.0.0.2 127.0.0.3")
	if a != b || a != c {
		t.Errorf("not the same:\n%s\n%s\n%s", a, b, c)
	}
	if !strings.Contains(a, `"127.0.0.2"`) || strings.Contains(a, "60") {
		t.Errorf("no code, or a TTL: %s", a)
	}
}
