package resolve

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// realServer runs a DNS server on loopback, over UDP and TCP on one port.
func realServer(tb testing.TB, handler dns.HandlerFunc) Server {
	tb.Helper()
	var udp net.PacketConn
	var tcp net.Listener
	for range 20 { // the port that UDP got may be taken over TCP
		var err error
		udp, err = net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		tcp, err = net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			break
		}
		udp.Close()
	}
	if tcp == nil {
		tb.Fatal("no port is free over UDP and TCP")
	}
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go s.ActivateAndServe()
		<-ready
		tb.Cleanup(func() { s.Shutdown() })
	}
	at := udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return Server{Addr: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())}
}

func opened() *dial.Dialer {
	return dial.New(dial.Config{Guard: func(netip.Addr) string { return "" }})
}

// TestRealServer goes through the system's network and another implementation
// of the server: UDP, TCP for what does not fit, and a port where nobody is.
func TestRealServer(t *testing.T) {
	var overTCP atomic.Int32
	long := strings.Repeat("x", 250)
	s := realServer(t, func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		m.RecursionAvailable = true
		q := r.Question[0]
		switch {
		case q.Name == "big.example.":
			for i := range 20 {
				m.Answer = append(m.Answer, record(fmt.Sprintf("big.example. 60 IN TXT %d%s", i, long)))
			}
			if w.RemoteAddr().Network() == "tcp" {
				overTCP.Add(1)
			} else {
				m.Truncate(int(r.IsEdns0().UDPSize()))
			}
		case q.Name == "nothing.example.":
			m.Rcode = dns.RcodeNameError
		default:
			m.Answer = []dns.RR{record(q.Name + " 60 IN A 192.0.2.7")}
		}
		w.WriteMsg(m)
	})
	c := New(Config{Servers: []Server{s}, Dialer: opened()})
	defer c.Close()
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d.example", i)), dns.TypeA)
			if a.State != audit.Seen || a.Records[0].Header().Name != fmt.Sprintf("n%d.example.", i) {
				t.Errorf("n%d: %+v", i, a)
			}
		})
	}
	wg.Wait()
	a := c.Ask(t.Context(), "big.example", dns.TypeTXT)
	if a.State != audit.Seen || len(a.Records) != 20 || overTCP.Load() != 1 {
		t.Errorf("big.example: %q %+v, %d records, %d times over TCP", a.State, a.Why, len(a.Records), overTCP.Load())
	}
	for _, rr := range a.Records {
		if !strings.HasSuffix(string(TXT(rr.(*dns.TXT))), long) {
			t.Errorf("record %v", rr)
		}
	}
	a = c.Ask(t.Context(), "nothing.example", dns.TypeA)
	if a.Why.Code != audit.NXDomain {
		t.Errorf("nothing.example: %+v", a.Why)
	}

	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := Server{Addr: l.LocalAddr().(*net.UDPAddr).AddrPort()}
	l.Close() // now nothing listens there
	d := New(Config{Servers: []Server{gone}, Dialer: opened(), Timeout: 10 * time.Second})
	defer d.Close()
	a = d.Ask(t.Context(), "example.org", dns.TypeA)
	if a.State != audit.Unknown || a.Why.Code != audit.ResolverDown {
		t.Errorf("a port where nobody is: %q %+v", a.State, a.Why)
	}
}

func BenchmarkAsk(b *testing.B) {
	answer := record("x.example. 60 IN A 192.0.2.7")
	s := realServer(b, func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		m.RecursionAvailable = true
		rr := dns.Copy(answer)
		rr.Header().Name = r.Question[0].Name
		m.Answer = []dns.RR{rr}
		w.WriteMsg(m)
	})
	c := New(Config{Servers: []Server{s}, Dialer: opened(), MaxQueries: 1 << 30})
	defer c.Close()
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			a := c.Ask(b.Context(), audit.DNSName(fmt.Sprintf("n%d.example", n.Add(1))), dns.TypeA)
			if a.State != audit.Seen {
				b.Errorf("%+v", a.Why)
			}
		}
	})
}
