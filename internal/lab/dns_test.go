package lab_test

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/lab"
)

// question is one DNS question and how it is sent.
type question struct {
	name, typ string
	net       string // "": udp
	server    string // "": 192.0.2.53
	edns, do  bool
	ad        bool
}

func (q question) message() *dns.Msg {
	m := new(dns.Msg).SetQuestion(q.name, dns.StringToType[q.typ])
	m.Id = 4711
	m.AuthenticatedData = q.ad
	if q.edns || q.do {
		m.SetEdns0(1232, q.do)
	}
	return m
}

// exchange sends a question and reads the first answer within a minute.
func exchange(t *testing.T, n *lab.Network, q question) ([]byte, error) {
	t.Helper()
	network, server := cmp.Or(q.net, "udp"), cmp.Or(q.server, "192.0.2.53")
	c := dial(t, n, network, server+":53")
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	data, err := q.message().Pack()
	if err != nil {
		t.Fatal(err)
	}
	return transfer(c, network, data)
}

func transfer(c net.Conn, network string, data []byte) ([]byte, error) {
	buf := make([]byte, 1<<16)
	if network == "tcp" {
		data = append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
	}
	_, err := c.Write(data)
	if err != nil {
		return nil, err
	}
	if network == "udp" {
		k, err := c.Read(buf)
		return buf[:k], err
	}
	_, err = io.ReadFull(c, buf[:2])
	if err != nil {
		return nil, err
	}
	k := binary.BigEndian.Uint16(buf)
	_, err = io.ReadFull(c, buf[:k])
	return buf[:k], err
}

// ask is exchange for answers that are DNS messages.
func ask(t *testing.T, n *lab.Network, q question) *dns.Msg {
	t.Helper()
	data, err := exchange(t, n, q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	var m dns.Msg
	err = m.Unpack(data)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	if m.Id != 4711 || !m.Response || len(m.Question) != 1 || m.Question[0].Name != q.name {
		t.Errorf("%+v: the answer does not belong to the question: %v", q, &m)
	}
	return &m
}

func rcode(m *dns.Msg) string {
	if m.Rcode == dns.RcodeBadVers {
		return "BADVERS" // the library's table has BADSIG for the same number
	}
	return dns.RcodeToString[m.Rcode]
}

// sum writes an answer in one line: RCODE, records, the SOA's owner.
func sum(m *dns.Msg) string {
	out := []string{rcode(m)}
	if m.Truncated {
		out = append(out, "TC")
	}
	for _, rr := range m.Answer {
		out = append(out, strings.ReplaceAll(strings.Join(strings.Fields(rr.String()), " "), " IN ", " "))
	}
	for _, rr := range m.Ns {
		out = append(out, dns.Type(rr.Header().Rrtype).String()+"="+rr.Header().Name)
	}
	return strings.Join(out, "; ")
}

func TestAnswers(t *testing.T) {
	w := world(t, "zone")
	const soa = "; SOA=example.org."
	for _, tc := range []struct {
		q    question
		want string
	}{
		{question{name: "plain.example.org.", typ: "A"}, "NOERROR; plain.example.org. 300 A 192.0.2.1; plain.example.org. 60 A 192.0.2.2"},
		{question{name: "PLAIN.example.ORG.", typ: "A"}, "NOERROR; PLAIN.example.ORG. 300 A 192.0.2.1; PLAIN.example.ORG. 60 A 192.0.2.2"},
		{question{name: "plain.example.org.", typ: "AAAA"}, "NOERROR" + soa},
		{question{name: "no.example.org.", typ: "A"}, "NXDOMAIN" + soa},
		{question{name: "example.org.", typ: "MX"}, "NOERROR" + soa},
		{question{name: "example.org.", typ: "SOA"}, "NOERROR; example.org. 300 SOA ns.example.org. hostmaster.example.org. 1 86400 7200 3600000 300"},
		// RFC 4592: an existing name has no wildcard, nor has what is below it.
		{question{name: "x.wild.example.org.", typ: "TXT"}, `NOERROR; x.wild.example.org. 300 TXT "any"`},
		{question{name: "y.x.wild.example.org.", typ: "TXT"}, `NOERROR; y.x.wild.example.org. 300 TXT "any"`},
		{question{name: "x.wild.example.org.", typ: "A"}, "NOERROR" + soa},
		// Type 99, which has gone out of use (RFC 7208 section 3.1).
		{question{name: "old.example.org.", typ: "SPF"}, `NOERROR; old.example.org. 300 SPF "v=spf1 " "-all"`},
		{question{name: "old.example.org.", typ: "TXT"}, "NOERROR" + soa},
		{question{name: "a.wild.example.org.", typ: "TXT"}, "NOERROR" + soa},
		{question{name: "b.a.wild.example.org.", typ: "TXT"}, "NXDOMAIN" + soa},
		{question{name: "x.alias.example.org.", typ: "A"}, "NOERROR; x.alias.example.org. 300 CNAME host.example.org.; host.example.org. 300 A 192.0.2.5"},
		// RFC 8020: an empty non-terminal exists.
		{question{name: "ent.example.org.", typ: "A"}, "NOERROR" + soa},
		{question{name: "x.ent.example.org.", typ: "A"}, "NXDOMAIN" + soa},
		{question{name: "www.example.org.", typ: "A"}, "NOERROR; www.example.org. 300 CNAME host.example.org.; host.example.org. 300 A 192.0.2.5"},
		{question{name: "www.example.org.", typ: "CNAME"}, "NOERROR; www.example.org. 300 CNAME host.example.org."},
		{question{name: "dangling.example.org.", typ: "A"}, "NXDOMAIN; dangling.example.org. 300 CNAME nothing.example.org." + soa},
		{question{name: "nodata.example.org.", typ: "MX"}, "NOERROR; nodata.example.org. 300 CNAME deep.ent.example.org." + soa},
		{question{name: "loop1.example.org.", typ: "A"}, "NOERROR; loop1.example.org. 300 CNAME loop2.example.org.; loop2.example.org. 300 CNAME loop1.example.org."},
		{question{name: "todead.example.org.", typ: "A"}, "SERVFAIL"},
		{question{name: "servfail.example.org.", typ: "TXT"}, "SERVFAIL"},
		{question{name: "refused.example.org.", typ: "A"}, "REFUSED"},
		{question{name: "formerr.example.org.", typ: "A"}, "FORMERR"},
		{question{name: "notimp.example.org.", typ: "A"}, "NOTIMP"},
		{question{name: "badvers.example.org.", typ: "A"}, "NOERROR; badvers.example.org. 300 A 192.0.2.6"},
		{question{name: "badvers.example.org.", typ: "A", edns: true}, "BADVERS"},
		{question{name: "noedns.example.org.", typ: "A"}, "NOERROR; noedns.example.org. 300 A 192.0.2.7"},
		{question{name: "noedns.example.org.", typ: "A", edns: true}, "FORMERR"},
		{question{name: "nx.example.org.", typ: "A"}, "NXDOMAIN" + soa},
		{question{name: "nx2.example.org.", typ: "A"}, "NXDOMAIN" + soa},
		{question{name: "nx2.example.org.", typ: "TXT"}, `NOERROR; nx2.example.org. 300 TXT "here"`},
		{question{name: "empty.example.org.", typ: "A"}, "NOERROR"},
		{question{name: "lame.example.org.", typ: "A"}, "NOERROR; NS=example.org."},
		{question{name: "trunc.example.org.", typ: "TXT"}, "NOERROR; TC"},
		{question{name: "trunc.example.org.", typ: "TXT", net: "tcp"}, `NOERROR; trunc.example.org. 300 TXT "short"`},
		{question{name: "side.example.org.", typ: "A"}, "NOERROR; side.example.org. 300 A 192.0.2.15"},
		{question{name: "side.example.org.", typ: "A", server: "192.0.2.54"}, "REFUSED"},
		{question{name: "x.sub.example.org.", typ: "A"}, "NXDOMAIN; SOA=sub.example.org."},
		{question{name: "sub.example.org.", typ: "SOA"}, "NOERROR; sub.example.org. 300 SOA ns.sub.example.org. root.sub.example.org. 9 1 1 1 77"},
		{question{name: "25.2.0.192.in-addr.arpa.", typ: "PTR"}, "NOERROR; 25.2.0.192.in-addr.arpa. 300 PTR plain.example.org."},
		{question{name: "26.2.0.192.in-addr.arpa.", typ: "PTR"}, "NXDOMAIN; SOA=2.0.192.in-addr.arpa."},
		{question{name: "25.2.0.192.in-addr.arpa.", typ: "A"}, "NOERROR; SOA=2.0.192.in-addr.arpa."},
		{question{name: "qwertz.invalid.", typ: "A"}, "NXDOMAIN; SOA=invalid."},
		{question{name: "nx2.example.org.", typ: "ANY"}, `NOERROR; nx2.example.org. 300 TXT "here"`},
		{question{name: "big.example.org.", typ: "MX"}, "NOERROR" + soa},
	} {
		bubble(t, w, func(t *testing.T, n *lab.Network) {
			if got := sum(ask(t, n, tc.q)); got != tc.want {
				t.Errorf("%+v:\n got %s\nwant %s", tc.q, got, tc.want)
			}
			clean(t, n)
		})
	}
}

func TestUnanswered(t *testing.T) {
	w := world(t, "zone")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		for _, q := range []question{
			{name: "example.net.", typ: "MX"}, {name: "example.net.", typ: "MX"},
			{name: "27.2.0.192.in-addr.arpa.", typ: "PTR"}, {name: "org.", typ: "SOA"}, {name: ".", typ: "NS"},
			{name: "away.example.org.", typ: "A"}, // an alias that leads out of the world
		} {
			if m := ask(t, n, q); m.Rcode != dns.RcodeRefused || len(m.Answer) > 0 {
				t.Errorf("%+v: %s", q, sum(m))
			}
		}
		want := []string{"example.net. MX", "27.2.0.192.in-addr.arpa. PTR", "org. SOA", ". NS", "elsewhere.example.com. A"}
		if got := n.Unanswered(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := w.Unanswered(); !slices.Equal(got, want) {
			t.Errorf("world: got %q, want %q", got, want)
		}
		if got := len(n.Questions()); got != 6 {
			t.Errorf("%d questions noted", got)
		}
	})
}

func TestDNSTimes(t *testing.T) {
	w := world(t, "zone")
	for _, tc := range []struct {
		q    question
		want time.Duration
	}{
		{question{name: "plain.example.org.", typ: "A"}, rtt},
		{question{name: "plain.example.org.", typ: "A", net: "tcp"}, 2 * rtt}, // connect first
		{question{name: "delay.example.org.", typ: "A"}, rtt + 3*time.Second},
		{question{name: "delay.example.org.", typ: "A", net: "tcp"}, 2*rtt + 3*time.Second},
		{question{name: "delay.example.org.", typ: "MX"}, rtt},
	} {
		bubble(t, w, func(t *testing.T, n *lab.Network) {
			start := time.Now()
			ask(t, n, tc.q)
			elapsed(t, fmt.Sprintf("%+v", tc.q), start, tc.want)
			clean(t, n)
		})
	}
}

func TestSilence(t *testing.T) {
	w := world(t, "zone")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		for _, q := range []question{
			{name: "timeout.example.org.", typ: "A"},
			{name: "timeout.example.org.", typ: "A", net: "tcp"},
			{name: "notcp.example.org.", typ: "TXT", net: "tcp"},
		} {
			_, err := exchange(t, n, q)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%+v: %v", q, err)
			}
		}
		if m := ask(t, n, question{name: "notcp.example.org.", typ: "TXT"}); !m.Truncated {
			t.Error("not truncated over UDP")
		}
		data, err := exchange(t, n, question{name: "garbage.example.org.", typ: "A"})
		if err != nil || new(dns.Msg).Unpack(data) == nil || binary.BigEndian.Uint16(data) != 4711 {
			t.Errorf("garbage: %x, %v", data, err)
		}
		clean(t, n)
	})
}

// TestOnlyFirst is the transient failure: two bad tries, then the truth.
func TestOnlyFirst(t *testing.T) {
	w := world(t, "zone")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		q := question{name: "one.example.org.", typ: "A"}
		if m := ask(t, n, q); m.Rcode != dns.RcodeServerFailure {
			t.Errorf("first: %s", sum(m))
		}
		_, err := exchange(t, n, q)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("second: %v", err)
		}
		if m := ask(t, n, q); len(m.Answer) != 1 {
			t.Errorf("third: %s", sum(m))
		}
	})
}

func TestRotateAndTTLFall(t *testing.T) {
	w := world(t, "zone")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		var got []string
		for range 4 {
			m := ask(t, n, question{name: "rot.example.org.", typ: "A"})
			if len(m.Answer) != 3 {
				t.Fatal(sum(m))
			}
			got = append(got, fmt.Sprint(m.Answer[0].(*dns.A).A, " ", m.Answer[0].Header().Ttl))
		}
		want := []string{"192.0.2.11 300", "192.0.2.12 299", "192.0.2.13 298", "192.0.2.11 297"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestEDNS(t *testing.T) {
	w := world(t, "zone")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		m := ask(t, n, question{name: "servfail.example.org.", typ: "A", edns: true})
		opt := m.IsEdns0()
		if opt == nil || len(opt.Option) != 1 || opt.Option[0].(*dns.EDNS0_EDE).InfoCode != 9 {
			t.Errorf("EDE: %v", m)
		}
		if m := ask(t, n, question{name: "servfail.example.org.", typ: "A"}); m.IsEdns0() != nil {
			t.Error("EDNS in the answer to a question without it")
		}
		// The size of the question decides what fits.
		if m := ask(t, n, question{name: "big.example.org.", typ: "TXT", edns: true}); !m.Truncated || m.Len() > 1232 {
			t.Errorf("big over UDP: TC %v, %d bytes", m.Truncated, m.Len())
		}
		if m := ask(t, n, question{name: "big.example.org.", typ: "TXT", edns: true, net: "tcp"}); m.Truncated || len(m.Answer) != 20 {
			t.Errorf("big over TCP: TC %v, %d records", m.Truncated, len(m.Answer))
		}
		if m := ask(t, n, question{name: "plain.example.org.", typ: "A"}); !m.RecursionAvailable || m.Authoritative {
			t.Error("flags are not those of a recursive resolver")
		}
		if m := ask(t, n, question{name: "lame.example.org.", typ: "A"}); m.RecursionAvailable {
			t.Error("a referral with RA")
		}
	})
}

func TestForgeriesAndAD(t *testing.T) {
	w := world(t, "zone")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "udp", "192.0.2.53:53")
		defer c.Close()
		start := time.Now()
		data, _ := question{name: "forge.example.org.", typ: "A", do: true}.message().Pack()
		_, err := c.Write(data)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for range 3 {
			buf := make([]byte, 1500)
			k, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			var m dns.Msg
			err = m.Unpack(buf[:k])
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(time.Since(start), " ", m.Id == 4711, " ", m.Question[0].Name, " ", len(m.Answer), " AD=", m.AuthenticatedData))
		}
		want := []string{
			"50ms false forge.example.org. 1 AD=true",
			"50ms true forged.invalid. 0 AD=true",
			"100ms true forge.example.org. 1 AD=true",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
		for _, tc := range []struct {
			q    question
			want bool
		}{
			{question{name: "forge.example.org.", typ: "A", net: "tcp"}, false},
			{question{name: "forge.example.org.", typ: "A", net: "tcp", edns: true}, false},
			{question{name: "forge.example.org.", typ: "A", net: "tcp", ad: true}, true},
			{question{name: "plain.example.org.", typ: "A", net: "tcp", ad: true}, false},
		} {
			if m := ask(t, n, tc.q); m.AuthenticatedData != tc.want {
				t.Errorf("%+v: AD %v", tc.q, m.AuthenticatedData)
			}
		}
	})
}

// TestAllNames is a resolver that is dead altogether.
func TestAllNames(t *testing.T) {
	w := parse(t, "resolvers 192.0.2.53 192.0.2.54\n-- zone --\n* !timeout+udp@192.0.2.54\nexample.org. MX 0 .\n")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		for _, name := range []string{"example.org.", "nowhere.example.net."} {
			_, err := exchange(t, n, question{name: name, typ: "MX", server: "192.0.2.54"})
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if m := ask(t, n, question{name: "example.org.", typ: "MX"}); len(m.Answer) != 1 {
			t.Error(sum(m))
		}
		if m := ask(t, n, question{name: "example.org.", typ: "MX", server: "192.0.2.54", net: "tcp"}); len(m.Answer) != 1 {
			t.Error(sum(m))
		}
		clean(t, n)
		if q := n.Questions()[0]; q.Name != "example.org" || q.Type != "MX" || q.Net != "udp" || q.Resolver.String() != "192.0.2.54" {
			t.Errorf("question = %+v", q)
		}
	})
}

// TestManyOnOneSocket is what a shared socket sees: answers out of order, over
// UDP and over TCP.
func TestManyOnOneSocket(t *testing.T) {
	w := world(t, "zone")
	for _, network := range []string{"udp", "tcp"} {
		bubble(t, w, func(t *testing.T, n *lab.Network) {
			c := dial(t, n, network, "192.0.2.53:53")
			for i, name := range []string{"delay.example.org.", "timeout.example.org.", "plain.example.org."} {
				m := question{name: name, typ: "A"}.message()
				m.Id = uint16(i + 1)
				data, err := m.Pack()
				if err != nil {
					t.Fatal(err)
				}
				if network == "tcp" {
					data = append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
				}
				_, err = c.Write(data)
				if err != nil {
					t.Fatal(err)
				}
			}
			var ids []uint16
			for range 2 {
				data, err := receive(c, network)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, binary.BigEndian.Uint16(data))
			}
			if !slices.Equal(ids, []uint16{3, 1}) {
				t.Errorf("%s: order %v", network, ids)
			}
			c.Close()
			clean(t, n)
		})
	}
}

func receive(c net.Conn, network string) ([]byte, error) {
	buf := make([]byte, 1<<16)
	if network == "udp" {
		k, err := c.Read(buf)
		return buf[:k], err
	}
	_, err := io.ReadFull(c, buf[:2])
	if err != nil {
		return nil, err
	}
	k := binary.BigEndian.Uint16(buf)
	_, err = io.ReadFull(c, buf[:k])
	return buf[:k], err
}

// TestMiekgClient shows that the library takes our sockets for what they are.
func TestMiekgClient(t *testing.T) {
	w := world(t, "zone")
	for _, network := range []string{"udp", "tcp"} {
		bubble(t, w, func(t *testing.T, n *lab.Network) {
			c := dial(t, n, network, "192.0.2.53:53")
			defer c.Close()
			m, _, err := new(dns.Client).ExchangeWithConn(question{name: "plain.example.org.", typ: "A"}.message(), &dns.Conn{Conn: c})
			if err != nil || len(m.Answer) != 2 {
				t.Errorf("%s: %v %v", network, m, err)
			}
		})
	}
}

func TestNotAQuestion(t *testing.T) {
	w := world(t, "zone")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "udp", "192.0.2.53:53")
		defer c.Close()
		_, err := c.Write([]byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if p := n.Problems(); len(p) != 1 || !strings.Contains(p[0], "no DNS question") {
			t.Errorf("problems = %q", p)
		}
		m := question{name: "version.bind.", typ: "TXT"}.message()
		m.Question[0].Qclass = dns.ClassCHAOS
		data, _ := m.Pack()
		answer, err := transfer(c, "udp", data)
		if err != nil || m.Unpack(answer) != nil || m.Rcode != dns.RcodeNotImplemented {
			t.Errorf("class CH: %v, %v", m, err)
		}
	})
}
