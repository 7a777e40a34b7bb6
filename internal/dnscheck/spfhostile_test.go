package dnscheck

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// Ensure names that can have no record count against the records that are
// followed: they cost a line of the facts each, and a record has room for
// thousands of them. The grammar wants a dot in a name, but takes one that ends in
// a macro.
func TestSPFPolicyBoundsNamesOfOneLabel(t *testing.T) {
	text := "v=spf1"
	for i := range 60 {
		text += fmt.Sprintf(" include:one%d%%{d1}", i)
	}
	for i := range 500 {
		text += fmt.Sprintf(" include:c%d.example", i)
	}
	z := zone{"d.example TXT": {text + " -all"}}
	synctest.Test(t, func(t *testing.T) {
		s := &slow{answer: z}
		p := SPFPolicy(t.Context(), s, "d.example")
		if len(s.asked) > SPFMaxQuestions || p.NotAsked < 500 {
			t.Errorf("%d questions, %d not asked", len(s.asked), p.NotAsked)
		}
		got := observe(t, s, SPFSubject{Domain: domain(t, "d.example")})
		if len(got.Below) >= spfMaxRecords {
			t.Errorf("%d records below", len(got.Below))
		}
	})
}

// Ensure more questions than evaluations may ask give the same facts every
// night, whichever evaluation comes first: what rests on the questions of the
// survey is known, and nothing else.
func TestSPFSendersBeyondTheRation(t *testing.T) {
	z := zone{"d.example TXT": {"v=spf1 ip4:192.0.2.0/28 a:h.example exists:%{i}.x.example exists:%{i}.y.example exists:%{i}.z.example -all"}, "h.example A": {"192.0.2.16"}}
	var ips []netip.Addr
	for i := range 80 {
		ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		ips = append(ips, ip)
		z[ip.String()+".x.example A"] = []string{"198.51.100.1"}
	}
	var first string
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{answer: z}
			got := observe(t, s, SPFSubject{Domain: domain(t, "d.example"), Senders: ips, Hellos: []audit.DNSName{"d.example", "h.example"}})
			text := mustJSON(t, got)
			if first == "" {
				first = text
			}
			if text != first {
				t.Fatalf("another time, other facts")
			}
		})
	}
	// Enough senders use the ration up; fewer do not.
	for _, c := range []struct {
		senders int
		known   bool
	}{{80, true}, {200, false}} {
		many := zone{"d.example TXT": {"v=spf1 ip4:10.0.0.0/32 exists:%{i}.x.example -all"}}
		ips = nil
		for i := range c.senders {
			ips = append(ips, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
		}
		synctest.Test(t, func(t *testing.T) {
			s := &slow{answer: many}
			got := observe(t, s, SPFSubject{Domain: domain(t, "d.example"), Senders: ips})
			first, last := got.Senders[0].Verdict, got.Senders[c.senders-1].Verdict
			if first.Value.Result != audit.SPFPass || (last.State == audit.Seen) != c.known || !c.known && last.Why.Code != audit.Budget {
				t.Errorf("%d senders: %+v, %+v", c.senders, first, last)
			}
			if len(s.asked) > SPFMaxQuestions+spfCheckQuestions+spfCheckAhead {
				t.Errorf("%d questions", len(s.asked))
			}
		})
	}
}

// Ensure the questions of evaluations are bounded, whatever the policy.
func TestSPFQuestionsOfAll(t *testing.T) {
	z := zone{}
	text := "v=spf1"
	for i := range 10 {
		text += fmt.Sprintf(" mx:%%{i}.m%d.d.example", i)
	}
	z["d.example TXT"] = []string{text + " -all"}
	var ips []netip.Addr
	for i := range 50 {
		ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		ips = append(ips, ip)
		for j := range 10 {
			name := fmt.Sprintf("%s.m%d.d.example", ip, j)
			for k := range 10 {
				z[name+" MX"] = append(z[name+" MX"], fmt.Sprintf("0 h%d.%s.", k, name))
			}
		}
	}
	var hellos []audit.DNSName
	for i := range 20 {
		name := fmt.Sprintf("helo%d.example", i)
		hellos = append(hellos, audit.DNSName(name))
		z[name+" TXT"] = []string{strings.ReplaceAll(text, "%{i}", name+".%{i}")}
	}
	synctest.Test(t, func(t *testing.T) {
		s := &slow{answer: z}
		got := observe(t, s, SPFSubject{Domain: domain(t, "d.example"), Senders: ips, Hellos: hellos})
		t.Logf("%d questions", len(s.asked))
		if len(s.asked) > 4+spfCheckQuestions+spfCheckAhead+len(hellos) {
			t.Errorf("%d questions", len(s.asked))
		}
		for _, sender := range got.Senders {
			if sender.Verdict.State != audit.Unknown || sender.Verdict.Why.Code != audit.Budget {
				t.Fatalf("%+v", sender)
			}
		}
	})
}

// Ensure records of thousands of terms do not make a tree of millions, and that
// it is said that there are more.
func TestSPFPolicyBoundsOctets(t *testing.T) {
	z := zone{"d.example TXT": {"v=spf1"}}
	for i := range 30 {
		z["d.example TXT"][0] += fmt.Sprintf(" include:c%d.example", i)
		z[fmt.Sprintf("c%d.example TXT", i)] = []string{fmt.Sprintf("v=spf1 include:e%d.example", i) + strings.Repeat(" a", 20_000)}
	}
	synctest.Test(t, func(t *testing.T) {
		s := &slow{answer: z}
		d := domain(t, "d.example")
		f := observe(t, s, SPFSubject{Domain: d})
		p := f.Policy(d)
		octets, records := 0, 0
		for _, b := range f.Below {
			for _, r := range b.Records.Value {
				octets += len(r)
			}
		}
		for q := range s.asked {
			if strings.HasSuffix(q, " TXT") {
				records++
			}
		}
		if octets > spfMaxOctets || len(f.Below) != 3 || records > spfMaxRecords || p.NotAsked < 27 || p.Exact {
			t.Errorf("%d octets in %d records, %d asked for, %d terms not, exact %t", octets, len(f.Below), records, p.NotAsked, p.Exact)
		}
	})
}

// shuffled answers in another order each time, with other TTLs.
type shuffled struct {
	Asker
	r *rand.Rand
}

func (s *shuffled) Ask(ctx context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	a := *s.Asker.Ask(ctx, name, qtype)
	time.Sleep(time.Duration(s.r.IntN(50)) * time.Millisecond)
	a.Records = slices.Clone(a.Records)
	s.r.Shuffle(len(a.Records), func(i, j int) { a.Records[i], a.Records[j] = a.Records[j], a.Records[i] })
	a.TTL = uint32(s.r.IntN(300))
	return &a
}

// locked is a source that many goroutines draw from.
type locked struct {
	mu sync.Mutex
	r  *rand.PCG
}

func (l *locked) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Uint64()
}

// Ensure the same world gives the same octets, in whatever order answers and
// their records come: with more mail servers, records and addresses than are
// followed, and with former includes and senders.
func TestSPFIsCanonical(t *testing.T) {
	z := zone{
		"d.example TXT": {"v=spf1 ip4:192.0.2.0/24 mx a exists:%{i}.x.example exists:%{d}.x.example ptr:p.example include:several.example include:deep.example include:_spf.gone.com -all exp=why.example", "other", " v=spf1 mx", "V=SPF1x", "spf2.0/pra ?all", "spf2.0/mfrom ?all"},
		"d.example SPF": {`"v=spf1 a"`, `"v=spf1 mx"`}, "d.example A": manyAddresses(60), "d.example AAAA": {"2001:db8::2", "2001:db8::1"},
		"several.example TXT": {"v=spf1 a -all", "v=spf1 mx -all"}, "_spf.gone.com TXT": {"!nxdomain"}, "gone.com NS": {"!nxdomain"},
		"why.example TXT": {"b", "a"}, "f.example TXT": {"v=spf1 ip4:192.0.2.0/24 a:d.example ~all"}, "helo.example TXT": {"v=spf1 mx:d.example -all", "x"},
	}
	for i := range 10 {
		z["d.example MX"] = append(z["d.example MX"], fmt.Sprintf("10 h%d.d.example.", i))
		z[fmt.Sprintf("h%d.d.example A", i)] = []string{fmt.Sprintf("198.51.100.%d", i), fmt.Sprintf("198.51.100.%d", i+100)}
	}
	z["h3.d.example A"], z["h7.d.example AAAA"] = []string{"!servfail"}, []string{"!servfail"}
	deep := "v=spf1"
	for i := range 50 {
		deep += fmt.Sprintf(" include:r%d.example mx:m%d.example a:a%d.example", i, i, i)
		for j := range 4 {
			z[fmt.Sprintf("m%d.example MX", i)] = append(z[fmt.Sprintf("m%d.example MX", i)], fmt.Sprintf("%d h%d.m%d.example.", j/2, j, i))
		}
		z[fmt.Sprintf("r%d.example TXT", i)] = []string{fmt.Sprintf("v=spf1 include:s%d.example -all", i), "x", "y"}
	}
	z["deep.example TXT"] = []string{deep + " -all"}
	ips := []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("198.51.100.3"), netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")}
	z[audit.ReverseName(ips[2]).String()+" PTR"] = []string{"a.p.example.", "b.p.example.", "c.q.example."}
	z["b.p.example A"] = []string{"203.0.113.1"}
	var first string
	for i := range 30 {
		synctest.Test(t, func(t *testing.T) {
			a := &shuffled{z, rand.New(&locked{r: rand.NewPCG(uint64(i), 7)})}
			text := mustJSON(t, observe(t, a, SPFSubject{Domain: domain(t, "d.example"), Senders: ips, Hellos: []audit.DNSName{"d.example", "helo.example"}, Former: []audit.DNSName{"f.example", "g.example"}}))
			if first == "" {
				first = text
			}
			if diff := cmp.Diff(strings.Split(first, "\n"), strings.Split(text, "\n")); diff != "" {
				t.Fatalf("time %d: -before +now\n%s", i, diff)
			}
		})
	}
}

// Ensure a run that is interrupted ends at once, with goroutines and all, and
// says of nothing that it is not there.
func TestSPFIsInterrupted(t *testing.T) {
	z := zone{"d.example TXT": {"v=spf1 mx include:i.example include:gone.com exists:%{i}.x.example -all exp=why.example"}, "gone.com TXT": {"!nxdomain"}, "i.example TXT": {"v=spf1 a -all"}}
	light := map[string]bool{}
	for trips := range 6 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(trips)*oneTrip+oneTrip/2)
			defer cancel()
			start := time.Now()
			f := SPF(ctx, &slow{answer: z}, SPFSubject{Domain: domain(t, "d.example"), Senders: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Hellos: []audit.DNSName{"h.example"}, Former: []audit.DNSName{"f.example"}})
			if took := time.Since(start); took > time.Duration(trips)*oneTrip+oneTrip/2 {
				t.Errorf("%d: it took %v", trips, took)
			}
			absent := 0
			for _, o := range f.Below {
				if o.Records.State == audit.Absent {
					absent++
				}
				if o.Registered.State == audit.Absent && trips < 3 {
					t.Errorf("%d: %+v", trips, o)
				}
			}
			if trips == 0 && (f.Records.State != audit.Unknown || f.Type99.State != audit.Unknown || f.Alias.State != audit.Unknown || f.Hellos[0].Records.State != audit.Unknown || f.Senders[0].Verdict.State != audit.Unknown || f.Explained.State != audit.Unknown || f.Misses.State != audit.Unknown) {
				t.Errorf("%+v", f)
			}
			if trips == 1 && (absent > 0 || f.Senders[0].Verdict.State != audit.Unknown) {
				t.Errorf("%+v", f)
			}
			light[string(f.Senders[0].Verdict.State)] = true
		})
	}
	if len(light) != 2 {
		t.Errorf("%v", light)
	}
}
