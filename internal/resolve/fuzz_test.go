package resolve

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// FuzzAnswer feeds packets to the classifier: whatever comes, it does not
// panic, nothing is Seen or Absent in an answer to another question, and the
// reply keeps the promises of Answer.
func FuzzAnswer(f *testing.F) {
	const name = "example.org"
	q, err := newQuestion(name, dns.TypeMX)
	if err != nil {
		f.Fatal(err)
	}
	r := &received{msg: new(dns.Msg)}
	err = r.msg.Unpack(q.edns)
	if err != nil {
		f.Fatal(err)
	}
	for _, records := range [][]string{
		{mx10}, {soa}, links(11), {"example.org. 60 IN CNAME a.", "a. 5 IN MX 1 b."}, {"org. 7 IN DNAME net.", "example.org. 60 IN CNAME example.net."},
	} {
		for _, rcode := range []int{0, 2, 3} {
			m := message(r, rcode, "ra ad", records...)
			m.Compress = true
			f.Add(pack(m))
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: 7, ExtraText: "x"})
			f.Add(pack(m))
			m.Question[0].Name = "example.com."
			f.Add(pack(m))
		}
	}
	f.Add(q.edns)
	f.Add([]byte{0, 0, 0x80, 5, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, packet []byte) {
		before := bytes.Clone(packet)
		got, ours := q.read(packet)
		if !bytes.Equal(packet, before) {
			t.Fatal("the packet was changed")
		}
		if !ours {
			if got.state != "" {
				t.Fatalf("a reply to nothing: %+v", got)
			}
			return
		}
		settled := got.state == audit.Seen || got.state == audit.Absent
		if settled && !asks(packet, name) {
			t.Fatalf("%q from an answer to another question", got.state)
		}
		if settled && (packet[2]&bitTC != 0 || got.rcode != "NOERROR" && got.rcode != "NXDOMAIN") {
			t.Fatalf("%q from a truncated or failed answer %q", got.state, got.rcode)
		}
		if (got.state == audit.Seen) != (len(got.records) > 0) {
			t.Fatalf("%q with %d records", got.state, len(got.records))
		}
		for _, rr := range got.records {
			mx, ok := rr.(*dns.MX)
			if !ok || mx.Mx == "" {
				t.Fatalf("the record %v", rr)
			}
		}
		if got.outcome == "" || len(got.chain) > MaxLinks || len(got.ede) > maxEDE || len(got.text) > maxEDE*(maxEDEText+100) {
			t.Fatalf("reply %+v", got)
		}
		if (got.state != audit.Seen) != (got.code != "") || got.next != "" && got.state != audit.Unknown {
			t.Fatalf("state %q, code %q, next %q", got.state, got.code, got.next)
		}
		if got.state == audit.Unknown && got.next == "" && got.code != audit.CNAMELoop && weight(got.code) == 0 {
			t.Fatalf("the code %q has no weight", got.code)
		}
		if !strings.Contains(did(got), " ") {
			t.Fatalf("no words for %+v", got)
		}
	})
}

// asks reads the question of a packet without any of our own code.
func asks(packet []byte, name string) bool {
	m := new(dns.Msg)
	m.Unpack(packet)
	return m.Response && m.Opcode == dns.OpcodeQuery && len(m.Question) == 1 && strings.EqualFold(m.Question[0].Name, name+".") &&
		m.Question[0].Qtype == dns.TypeMX && m.Question[0].Qclass == dns.ClassINET
}

func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.53\nnameserver fe80::1%eth0\n")
	f.Add("#\n;\noptions ndots:1\nnameserver ::ffff:192.0.2.1 x\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseResolvConf(strings.NewReader(text))
		if err != nil || len(got) > maxNameserver {
			t.Fatalf("%v, %v", got, err)
		}
		for _, s := range got {
			again, err := ParseServer(s.String())
			if err != nil || again != s {
				t.Fatalf("%v became %v, %v", s, again, err)
			}
			if !strings.Contains(text, "nameserver") {
				t.Fatalf("a server out of nothing: %v", s)
			}
		}
	})
}

func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"192.0.2.53", "192.0.2.53:5353", "::1", "[::1]:53", "fe80::1%eth0", "tls://x", "[", "]", ":", "::ffff:1.2.3.4",
		"tls://192.0.2.53:853#dns.example.net", "https://[2001:db8::53%25eth0]:443/dns-query{?dns}#dns.example.net", "https://dns.example.net/a?b", "fe80::1%a://b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseServer(text)
		if err != nil {
			input, ok := err.(*audit.InputError)
			if !ok || input.Hint == "" {
				t.Fatalf("error %#v", err)
			}
			for _, c := range []byte(input.Problem + input.Hint) {
				if c < 0x20 || c > 0x7e {
					t.Fatalf("unprintable problem %q", input)
				}
			}
			return
		}
		if !s.Addr.IsValid() || s.Addr.Port() == 0 || s.Addr.Addr().Is4In6() {
			t.Fatalf("server %v", s)
		}
		again, err := ParseServer(s.String())
		if err != nil || again != s {
			t.Fatalf("%q became %v, %v", s.String(), again, err)
		}
		if (s.Scheme == HTTPS) != (s.Path != "") || s.Scheme == Plain && s.Name != "" || s.Name != "" && !audit.DNSName(s.Name).IsHostname() {
			t.Fatalf("server %#v", s)
		}
		if s.Scheme != HTTPS {
			return
		}
		// The URL leads to the server and nowhere else, with the path as typed.
		u, err := url.Parse(s.url())
		if err != nil || u.User != nil || u.Fragment != "" || u.Hostname() != s.identity() || u.RequestURI() != s.Path {
			t.Fatalf("%q has the URL %q, %v", s, s.url(), err)
		}
	})
}
