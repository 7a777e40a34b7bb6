package dnscheck

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

const oneTrip = 100 * time.Millisecond

// slow is an Asker whose every answer takes one round trip, and that counts.
type slow struct {
	answer Asker

	mu    sync.Mutex
	asked map[string]int // "name TYPE"
}

func (s *slow) Ask(ctx context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	s.mu.Lock()
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	s.asked[fmt.Sprintf("%s %s", name, dns.TypeToString[qtype])]++
	s.mu.Unlock()
	select {
	case <-time.After(oneTrip):
		return s.answer.Ask(ctx, name, qtype)
	case <-ctx.Done():
		code := audit.Interrupted
		if ctx.Err() == context.DeadlineExceeded {
			code = audit.Deadline
		}
		return &resolve.Answer{Name: name, Type: qtype, State: audit.Unknown, Why: audit.Reason{Code: code, Text: "not waited for"}}
	}
}

func (s *slow) total() int {
	n := 0
	for _, k := range s.asked {
		n += k
	}
	return n
}

// TestCheckHostRoundTrips counts them: as many as the longest chain has links,
// whatever the number of terms.
func TestCheckHostRoundTrips(t *testing.T) {
	ten := zone{
		"d.example TXT":  {"v=spf1 a mx include:i1.example include:i2.example exists:%{i}.x.example -all"},
		"i1.example TXT": {"v=spf1 include:i3.example a:h1.example ~all"},
		"i2.example TXT": {"v=spf1 mx:m2.example ptr ~all"},
		"i3.example TXT": {"v=spf1 mx:m3.example -all"},
		"d.example A":    {"198.51.100.1"}, "h1.example A": {"198.51.100.1"},
		"d.example MX": {"0 a.example."}, "m2.example MX": {"0 a.example."}, "m3.example MX": {"0 b.example.", "1 c.example."},
		"a.example A": {"198.51.100.1"}, "b.example A": {"198.51.100.1"}, "c.example A": {"198.51.100.1"},
		client192: {"client.example."}, "client.example A": {"192.0.2.1"},
		"192.0.2.1.x.example A": {"127.0.0.2"},
	}
	chain := zone{}
	for i := range 10 {
		chain[fmt.Sprintf("d%d.example TXT", i)] = []string{fmt.Sprintf("v=spf1 include:d%d.example -all", i+1)}
	}
	chain["d10.example TXT"] = []string{"v=spf1 ip4:192.0.2.1 -all"}
	cases := []struct {
		name  string
		zone  zone
		from  string
		want  string
		trips int // and why
		asked int
	}{
		// record, i1, i3, MX, addresses
		{"ten lookups", ten, "u@d.example", "pass 10/0", 5, 15},
		// each record names the next
		{"a chain of ten includes", chain, "u@d0.example", "pass 10/0", 11, 11},
		// record, all terms at once
		{"ten a terms", zone{
			"d.example TXT": {"v=spf1 a:0.example a:1.example a:2.example a:3.example a:4.example a:5.example a:6.example a:7.example a:8.example a:9.example -all"},
			"0.example A":   {"198.51.100.1"}, "1.example A": {"198.51.100.1"}, "2.example A": {"198.51.100.1"}, "3.example A": {"198.51.100.1"}, "4.example A": {"198.51.100.1"},
			"5.example A": {"198.51.100.1"}, "6.example A": {"198.51.100.1"}, "7.example A": {"198.51.100.1"}, "8.example A": {"198.51.100.1"}, "9.example A": {"198.51.100.1"},
		}, "u@d.example", "fail 10/0", 2, 11},
		// the record; nothing behind a term that matches is asked for
		{"an address that matches", zone{"d.example TXT": {"v=spf1 ip4:192.0.2.1 a mx include:i.example"}}, "u@d.example", "pass 0/0", 1, 1},
		// the record, and the first term: nobody waits for the others
		{"a first term that matches", zone{"d.example TXT": {"v=spf1 a include:i.example -all"}, "d.example A": {"192.0.2.1"}, "i.example TXT": {"v=spf1 -all"}}, "u@d.example", "pass 1/0", 2, 3},
		// the record, PTR, its name, the target with %{p} in it
		{"a target that depends on the names of the client", zone{"d.example TXT": {"v=spf1 a:x.example exists:%{p}.x.example -all"}, "x.example A": {"198.51.100.1"}, client192: {"client.example."},
			"client.example A": {"192.0.2.1"}, "client.example.x.example A": {"127.0.0.2"}}, "u@d.example", "pass 3/0", 4, 5},
		// the record, the explanation only when it is a fail
		{"an explanation", zone{"d.example TXT": {"v=spf1 a -all exp=e.example"}, "d.example A": {"198.51.100.1"}, "e.example TXT": {"no"}}, "u@d.example", "fail 1/0", 3, 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, start := &slow{answer: c.zone}, time.Now()
				got := CheckHost(t.Context(), s, query(t, "from="+c.from))
				trips := time.Since(start)
				if outline(got) != c.want || trips != time.Duration(c.trips)*oneTrip || s.total() != c.asked {
					t.Errorf("%s in %v with %d questions: %s\nwant %s in %d trips with %d\n%v", outline(got), trips, s.total(), got.Why, c.want, c.trips, c.asked, s.asked)
				}
			})
		})
	}
}

// endless answers every question with the most that it can ask for.
type endless struct{ record string }

func (e endless) Ask(_ context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	head := dns.RR_Header{Name: name.FQDN(), Rrtype: qtype, Class: dns.ClassINET}
	a := &resolve.Answer{Name: name, Type: qtype, State: audit.Seen}
	switch qtype {
	case dns.TypeTXT:
		a.Records = append(a.Records, &dns.TXT{Hdr: head, Txt: []string{e.record}})
	case dns.TypeMX:
		for i := range 10 {
			a.Records = append(a.Records, &dns.MX{Hdr: head, Preference: uint16(i), Mx: fmt.Sprintf("h%d.%s", i, name.FQDN())})
		}
	case dns.TypePTR:
		for i := range 50 {
			a.Records = append(a.Records, &dns.PTR{Hdr: head, Ptr: fmt.Sprintf("p%d.example.", i)})
		}
	case dns.TypeA:
		a.Records = append(a.Records, &dns.A{Hdr: head, A: netip.MustParseAddr("198.51.100.1").AsSlice()})
	}
	return a
}

// TestCheckHostIsBounded: whatever is published, evaluation ends in the right
// result, and no question is asked twice.
func TestCheckHostIsBounded(t *testing.T) {
	ten := func(term string) string {
		out := "v=spf1"
		for i := range 10 {
			out += " " + strings.ReplaceAll(term, "#", string(rune('a'+i)))
		}
		return out + " -all"
	}
	cases := []struct {
		name, record string
		want         string
		most         int // questions
	}{
		{"ten includes, each with ten more", ten("include:#.%{d}"), "permerror 10/0 lookups@a.a.a.a.a.a.a.a.a.a.d.example", spfQuestions},
		{"a redirect to ever new names", "v=spf1 redirect=x.%{d}", "permerror 10/0 lookups@x.x.x.x.x.x.x.x.x.x.d.example", 11},
		{"macros that multiply", ten("include:#.%{d}.%{d}.%{l}"), "permerror 10/0 lookups@", spfQuestions},
		{"includes of itself", ten("include:%{d}"), "permerror 10/0 lookups@d.example", 1},
		{"includes of itself, and something else each", "v=spf1 include:%{d} exists:#.%{d} include:%{d} a:%{i}.%{d} -all", "permerror 10/0 lookups@d.example", 3},
		{"ten mx with ten hosts each", ten("mx:#.%{d}"), "fail 10/0", 1 + 10 + 100},
		{"nine mx and ptr", "v=spf1 ptr" + strings.TrimSuffix(strings.TrimPrefix(ten("mx:#.%{d}"), "v=spf1"), " mx:j.%{d} -all") + " -all exp=%{p}.x.%{d}", "fail 10/0", 1 + 9 + 90 + 1 + 10 + 1},
		{"mx, and includes with more of them", "v=spf1 mx:a.%{d} mx:b.%{d} mx:c.%{d} include:x.%{d} mx:e.%{d} mx:f.%{d} ptr ptr -all", "permerror 10/0 lookups@x.x.d.example", 150},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{answer: endless{c.record}}
				got := CheckHost(t.Context(), s, query(t))
				checkShape(t, got)
				if !strings.HasPrefix(outline(got), c.want) {
					t.Errorf("%s: %s", outline(got), got.Why)
				}
				t.Logf("%d questions", s.total())
				if s.total() > c.most {
					t.Errorf("%d questions, want %d at most", s.total(), c.most)
				}
				for q, n := range s.asked {
					if n > 1 {
						t.Errorf("%s was asked %d times", q, n)
					}
				}
			})
		})
	}
}

// silent never answers.
type silent struct{}

func (silent) Ask(ctx context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	<-ctx.Done()
	return (&slow{}).Ask(ctx, name, qtype)
}

// TestCheckHostEndsInTime: after 20 s (RFC 7208 section 4.6.4), or when the
// caller does not want to wait any longer.
func TestCheckHostEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got := CheckHost(t.Context(), silent{}, query(t))
		if outline(got) != "temperror 0/0 trouble=deadline" || time.Since(start) != spfTime {
			t.Errorf("%s after %v", outline(got), time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start = time.Now()
		got = CheckHost(ctx, silent{}, query(t))
		if outline(got) != "temperror 0/0 trouble=interrupted" || time.Since(start) != time.Second {
			t.Errorf("%s after %v", outline(got), time.Since(start))
		}
	})
}
