package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// received is one query that a fake server got. send puts a message on the
// way back; breakOff makes the client's next Read fail.
type received struct {
	net      string
	n        int // how many this server has got, this one included
	wire     []byte
	msg      *dns.Msg
	send     func(packet []byte)
	breakOff func(err error)
}

// behaviour is what a server does with a query. Doing nothing is a lost packet.
type behaviour func(r *received)

// fakeNet is a Dialer to servers in memory. An address without a server
// behaves like one where nothing listens.
type fakeNet struct {
	servers map[string]behaviour // by address, or by "address tcp"
	refuse  map[string]error     // dial errors, by network
	tight   bool                 // streams have no buffers: nothing is written that nobody reads
	strict  bool                 // writing to a stream that was closed fails at once; else it goes unnoticed, as mostly
	streams map[string]stream    // what listens over TCP instead of a server, by address and port

	mu      sync.Mutex
	queries map[string]int // by address
	asked   []string       // "NAME TYPE net" in order of arrival
	dials   map[string]int // by network
	open    int
	senders sync.WaitGroup
}

// errSwallowed stands for a connection attempt that nobody answers.
var errSwallowed = errors.New("swallowed")

func newFakeNet(servers map[string]behaviour) *fakeNet {
	return &fakeNet{servers: servers, queries: map[string]int{}, dials: map[string]int{}, refuse: map[string]error{}, streams: map[string]stream{}}
}

func (f *fakeNet) Resolver(ctx context.Context, network string, remote netip.AddrPort) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials[network]++
	err := f.refuse[network]
	if err == errSwallowed {
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Err: err}
	}
	f.open++
	serve := f.streams[remote.String()]
	if network == "tcp" && serve != nil {
		ours, theirs := pipe(f.strict)
		if f.tight {
			ours, theirs = net.Pipe()
		}
		f.senders.Go(func() { serve(theirs) })
		return &countedConn{Conn: ours, f: f}, nil
	}
	return &fakeConn{f: f, network: network, addr: remote.Addr().String(), in: make(chan any, 4096), done: make(chan struct{})}, nil
}

// count is how many queries 192.0.2.53 got, sockets how many UDP sockets were
// opened, streamed how many over TCP, opened how many are open, order all queries in order.
func (f *fakeNet) count() int      { return locked(f, func() int { return f.queries["192.0.2.53"] }) }
func (f *fakeNet) sockets() int    { return locked(f, func() int { return f.dials["udp"] }) }
func (f *fakeNet) streamed() int   { return locked(f, func() int { return f.dials["tcp"] }) }
func (f *fakeNet) opened() int     { return locked(f, func() int { return f.open }) }
func (f *fakeNet) order() []string { return locked(f, func() []string { return f.asked }) }

func locked[T any](f *fakeNet, get func() T) T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return get()
}

// fakeConn carries datagrams ("udp") or a stream ("tcp"). in holds []byte or
// an error.
type fakeConn struct {
	net.Conn
	f       *fakeNet
	network string
	addr    string
	in      chan any
	done    chan struct{}
	once    sync.Once
	rest    []byte
}

func (c *fakeConn) Close() error {
	c.once.Do(func() {
		close(c.done)
		c.f.mu.Lock()
		c.f.open--
		c.f.mu.Unlock()
	})
	return nil
}

func (c *fakeConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		select {
		case x := <-c.in:
			err, ok := x.(error)
			if ok {
				return 0, err
			}
			c.rest = x.([]byte)
		case <-c.done:
			return 0, net.ErrClosed
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	if c.network == "udp" {
		c.rest = nil // the rest of a datagram is lost
	}
	return n, nil
}

func (c *fakeConn) Write(b []byte) (int, error) {
	wire := b
	if c.network == "tcp" {
		if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
			panic("the client did not write one framed message")
		}
		wire = b[2:]
	}
	r := &received{net: c.network, wire: append([]byte{}, wire...), msg: new(dns.Msg)}
	err := r.msg.Unpack(r.wire)
	if err != nil {
		panic(err)
	}
	put := func(x any) {
		select {
		case c.in <- x:
		case <-c.done:
		}
	}
	r.send = func(packet []byte) {
		if c.network == "tcp" {
			packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
		}
		put(packet)
	}
	r.breakOff = func(err error) { put(err) }
	c.f.mu.Lock()
	c.f.queries[c.addr]++
	r.n = c.f.queries[c.addr]
	q := r.msg.Question[0]
	c.f.asked = append(c.f.asked, fmt.Sprintf("%s %s %s", strings.ToLower(q.Name), dns.Type(q.Qtype), c.network))
	serve := c.f.servers[c.addr+" "+c.network]
	if serve == nil {
		serve = c.f.servers[c.addr]
	}
	c.f.mu.Unlock()
	if serve == nil {
		serve = unreachable(syscall.ECONNREFUSED)
	}
	c.f.senders.Go(func() { serve(r) })
	return len(b), nil
}

// silent is a server that never answers.
func silent(*received) {}

func unreachable(no syscall.Errno) behaviour {
	return func(r *received) { r.breakOff(&net.OpError{Op: "read", Err: no}) }
}

// record parses a record in zone file form.
func record(s string) dns.RR {
	rr, err := dns.NewRR(s)
	if err != nil || rr == nil {
		panic(fmt.Sprint(s, err))
	}
	return rr
}

// message is a response to r: flags are some of "ra aa ad tc", records that
// begin with "ns " go into the authority section.
func message(r *received, rcode int, flags string, records ...string) *dns.Msg {
	m := new(dns.Msg).SetReply(r.msg)
	m.Rcode = rcode
	m.RecursionAvailable = strings.Contains(flags, "ra")
	m.Authoritative = strings.Contains(flags, "aa")
	m.AuthenticatedData = strings.Contains(flags, "ad")
	m.Truncated = strings.Contains(flags, "tc")
	for _, s := range records {
		s, ns := strings.CutPrefix(s, "ns ")
		if ns {
			m.Ns = append(m.Ns, record(s))
		} else {
			m.Answer = append(m.Answer, record(s))
		}
	}
	return m
}

func pack(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// says always gives the same response.
func says(rcode int, flags string, records ...string) behaviour {
	return func(r *received) { r.send(pack(message(r, rcode, flags, records...))) }
}

// zone answers like a resolver that knows these records, and NXDOMAIN
// for other names. It does not follow aliases.
func zone(records ...string) behaviour {
	return func(r *received) {
		q := r.msg.Question[0]
		m := message(r, dns.RcodeSuccess, "ra")
		exists := false
		for _, s := range records {
			rr := record(s)
			if !strings.EqualFold(rr.Header().Name, q.Name) {
				continue
			}
			exists = true
			if rr.Header().Rrtype == q.Qtype || rr.Header().Rrtype == dns.TypeCNAME {
				m.Answer = append(m.Answer, rr)
			}
		}
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
		r.send(pack(m))
	}
}

// inTurn does one thing after the other, and the last one from then on.
func inTurn(bs ...behaviour) behaviour {
	return func(r *received) { bs[min(r.n, len(bs))-1](r) }
}

// forge sends what edit makes of a right answer.
func forge(edit func(m *dns.Msg)) behaviour {
	return func(r *received) {
		m := message(r, dns.RcodeSuccess, "ra", "example.org. 60 IN MX 66 forged.example.")
		edit(m)
		r.send(pack(m))
	}
}

func both(bs ...behaviour) behaviour {
	return func(r *received) {
		for _, b := range bs {
			b(r)
		}
	}
}

// raw sends octets made of the query.
func raw(f func(query []byte) []byte) behaviour {
	return func(r *received) { r.send(f(r.wire)) }
}

func hangUp(r *received) { r.breakOff(io.EOF) }

func servers(addrs ...string) []Server {
	var out []Server
	for _, a := range addrs {
		s, err := ParseServer(a)
		if err != nil {
			panic(err)
		}
		out = append(out, s)
	}
	return out
}

// client makes a Client of the servers that f has for 192.0.2.53 and .54,
// closed at the end of the test, when everything must be gone.
func client(t *testing.T, f *fakeNet, edit func(*Config), addrs ...string) *Client {
	cfg := Config{Servers: servers(addrs...), Dialer: f}
	if edit != nil {
		edit(&cfg)
	}
	c := New(cfg)
	t.Cleanup(func() {
		c.Close()
		f.senders.Wait()
		if f.opened() != 0 {
			t.Errorf("%d sockets are open after Close", f.opened())
		}
	})
	return c
}

// tries shows the tries of an answer, one word group each.
func tries(ts []audit.Try) string {
	var out []string
	for _, t := range ts {
		out = append(out, t.Server+" "+t.Net+" "+t.Outcome)
	}
	return strings.Join(out, ", ")
}
