package dnsbl

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// documented is what the operators document, written down a second time so
// that a slip in Lists shows.
func documented() map[audit.DNSName]string {
	return map[audit.DNSName]string{
		"zen.spamhaus.org": "127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.9 127.0.0.10 127.0.0.11 127.0.0.30",
		"bl.spamcop.net":   "127.0.0.2",
		"psbl.surriel.com": "127.0.0.2",
		"bl.mailspike.net": "127.0.0.2 127.0.0.10 127.0.0.11 127.0.0.12",
		"dbl.spamhaus.org": "127.0.1.2 127.0.1.4 127.0.1.5 127.0.1.6 127.0.1.102 127.0.1.103 127.0.1.104 127.0.1.105 127.0.1.106",
	}
}

// TestEveryCode asks for each possible last octet in the ranges where codes
// and errors are, and in ranges around them: nothing lists but what is
// documented, and nothing is clean.
func TestEveryCode(t *testing.T) {
	lists := Lists()
	if len(lists) != len(documented()) {
		t.Fatalf("%d lists, %d documented", len(lists), len(documented()))
	}
	for _, l := range lists {
		want := strings.Fields(documented()[l.Zone])
		for _, prefix := range []string{"127.0.0.", "127.0.1.", "127.0.2.", "127.0.255.", "127.1.0.", "127.255.0.", "127.255.254.", "127.255.255.", "126.0.0.", "128.0.0.", "0.0.0.", "10.0.0."} {
			base := netip.MustParseAddr(prefix + "0").As4()
			for octet := range 256 {
				base[3] = byte(octet)
				addr := netip.AddrFrom4(base)
				r := classify(l, answer("x."+l.Zone, addr.String()))
				isListed := slices.Contains(want, addr.String())
				if (r.state == audit.Seen) != isListed || r.state == audit.Absent {
					t.Errorf("%s answers %s: %s, documented %t", l.Zone, addr, r.state, isListed)
				}
				wantCode := audit.ListAnswer
				if prefix == "127.255.255." || addr.String() == "127.0.0.1" || l.Domain && addr.String() == "127.0.1.255" {
					wantCode = audit.ListError
				}
				if !isListed && r.why.Code != wantCode {
					t.Errorf("%s answers %s: %s, want %s", l.Zone, addr, r.why.Code, wantCode)
				}
				// Beside a documented code it must not add one.
				both := classify(l, answer("x."+l.Zone, addr.String()+" "+want[0]))
				for _, c := range both.codes {
					if !slices.Contains(want, c.Addr.String()) {
						t.Errorf("%s: %s became a code beside %s", l.Zone, c.Addr, want[0])
					}
				}
				if wantCode == audit.ListError && both.state != audit.Unknown {
					t.Errorf("%s: an error code beside a listing: %s", l.Zone, both.state)
				}
			}
		}
	}
}

// TestOddRecords are answers that no client of ours gives, and that must not
// count if one does.
func TestOddRecords(t *testing.T) {
	hdr := dns.RR_Header{Name: "x.bl.spamcop.net.", Class: dns.ClassINET, Rrtype: dns.TypeA}
	listed := &dns.A{Hdr: hdr, A: net.ParseIP("127.0.0.2")}
	for name, rrs := range map[string][]dns.RR{
		"no records":          nil,
		"an empty record":     {&dns.A{Hdr: hdr}},
		"an address too long": {&dns.A{Hdr: hdr, A: net.ParseIP("2001:db8::2")}},
		"text":                {&dns.TXT{Hdr: hdr, Txt: []string{"127.0.0.2"}}},
		"text beside a code":  {listed, &dns.TXT{Hdr: hdr, Txt: []string{"127.0.0.2"}}},
		"nothing at all":      {nil},
	} {
		r := classify(spamcop(), &resolve.Answer{Name: "x.bl.spamcop.net", Type: dns.TypeA, State: audit.Seen, Records: rrs})
		if r.state != audit.Unknown || r.why.Code != audit.ListAnswer || !strings.Contains(r.why.Text, "no list gives") {
			t.Errorf("%s: %s %v, want unknown", name, r.state, r.why)
		}
	}
	r := classify(spamcop(), &resolve.Answer{Name: "x.bl.spamcop.net", Type: dns.TypeA, State: audit.Seen, Records: []dns.RR{listed}})
	if r.state != audit.Seen {
		t.Errorf("and the record alone: %s %v", r.state, r.why)
	}
	r = classify(spamcop(), &resolve.Answer{Name: "x.bl.spamcop.net", Type: dns.TypeA})
	if r.state != audit.Unknown {
		t.Errorf("an answer without a state: %s", r.state)
	}
}

// FuzzClassify: whatever an answer holds, only documented codes are listed, a
// foreign address or an error code in it ends that, and "not listed" comes
// from a negative answer alone.
func FuzzClassify(f *testing.F) {
	f.Add(byte(0), byte(0), []byte{127, 0, 0, 2}, uint16(0))
	f.Add(byte(0), byte(0), []byte{127, 0, 0, 2, 127, 255, 255, 254}, uint16(0))
	f.Add(byte(1), byte(0), []byte{127, 0, 0, 1, 203, 0, 113, 80}, uint16(0))
	f.Add(byte(4), byte(0), []byte{127, 0, 1, 255, 127, 0, 1, 2}, uint16(15))
	f.Add(byte(3), byte(1), []byte{}, uint16(0))
	f.Add(byte(2), byte(2), []byte{127}, uint16(3))
	f.Fuzz(func(t *testing.T, which, state byte, octets []byte, ede uint16) {
		l := Lists()[int(which)%len(Lists())]
		want := strings.Fields(documented()[l.Zone])
		a := &resolve.Answer{Name: "x." + l.Zone, Type: dns.TypeA, State: []audit.State{audit.Seen, audit.Absent, audit.Unknown, ""}[state%4]}
		if ede != 0 {
			a.EDE = []uint16{ede}
		}
		poisoned := false
		if a.State == audit.Seen {
			for chunk := range slices.Chunk(octets, 4) {
				a.Records = append(a.Records, &dns.A{A: net.IP(chunk)})
				foreign := len(chunk) != 4 || chunk[0] != 127
				poisoned = poisoned || foreign || chunk[1] == 255 && chunk[2] == 255 || string(chunk) == "\x7f\x00\x00\x01"
			}
		}
		r := classify(l, a)
		switch r.state {
		case audit.Seen:
			if a.State != audit.Seen || poisoned || len(r.codes) == 0 {
				t.Fatalf("listed by %v: %v", a.Records, r.codes)
			}
			for i, c := range r.codes {
				if !slices.Contains(want, c.Addr.String()) || c.Meaning == "" {
					t.Fatalf("%s is not documented for %s", c.Addr, l.Zone)
				}
				if i > 0 && !r.codes[i-1].Addr.Less(c.Addr) {
					t.Fatalf("not sorted, or twice: %v", r.codes)
				}
			}
		case audit.Absent:
			if a.State != audit.Absent {
				t.Fatalf("clean by %v", a.Records)
			}
		case audit.Unknown:
			if len(r.codes) > 0 || a.State == audit.Seen && (r.why.Code == "" || r.why.Text == "" || len(r.why.Text) > 300) {
				t.Fatalf("%v %v", r.codes, r.why)
			}
		default:
			t.Fatalf("state %q", r.state)
		}
	})
}
