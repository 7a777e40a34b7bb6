package dnscheck

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"mailaudit/internal/audit"
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
