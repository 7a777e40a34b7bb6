// Package resolve is the only DNS client: one question in, one observation
// out, and nothing that a resolver says gets lost on the way.
//
// A stub resolver (RFC 1034 section 5.3.1) sends a question, a name and a
// type, in one UDP packet to a recursive resolver and gets one packet back.
// What can be in it are more cases than "found" and "not found":
//
//   - NOERROR with records: the answer, perhaps behind aliases (CNAME, RFC
//     1034 section 3.6.2), each of which is in the answer section too;
//   - NOERROR without records: the name exists and has none of this type
//     (NODATA, RFC 2308 section 2.2), or the server knows nothing and refers
//     us elsewhere, which is no answer at all;
//   - NXDOMAIN: the name at the end of the aliases does not exist (RFC 2308
//     section 2.1, RFC 6604);
//   - SERVFAIL, REFUSED and the rest: the server could not, or would not;
//     extended errors (RFC 8914) may say why;
//   - TC: the answer did not fit, ask again over TCP (RFC 7766);
//   - nothing: the packet was lost, or somebody drops it.
//
// Only the first three settle anything ([audit.Seen], [audit.Absent]). All
// others end in [audit.Unknown], after every configured server had its chance
// and with what each of them did in Why. Anyone can send a UDP packet in
// another's name, so an answer counts only when it comes to the right socket
// with the right id and repeats the question (RFC 5452 section 9.1).
//
// All of this travels in the clear. A server can be asked over TLS instead
// (RFC 7858: the framing of TCP inside one connection that all questions share,
// answers in any order) or over HTTPS (RFC 8484: each question the body of a
// POST). Then the server proves by a certificate that it is the one that the
// user named, or it is asked nothing (RFC 8310 section 5, the strict profile):
// never once more without encryption, never in spite of the certificate. What
// fails there, from the handshake to an HTTP status, is about the way to the
// server and never about the name in the question. Queries are padded (RFC
// 8467), as their length would tell what the encryption hides.
//
// Whoever asks the same twice within one run has the same answer: however many
// collectors want the addresses of a host, the question is sent once. Runs that
// are made together share a [Client] and have a [View] of it each: what one of
// them has just asked, the others need not ask again.
package resolve

import (
	"cmp"
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// Dialer opens connections to resolvers; *dial.Dialer is one. network is
// "udp" or "tcp". A UDP connection reads and writes whole datagrams. Close
// must end a Read that waits.
type Dialer interface {
	Resolver(ctx context.Context, network string, remote netip.AddrPort) (net.Conn, error)
}

// Config says whom to ask and how patiently.
type Config struct {
	Servers    []Server // in order of preference; repeated ones are left out
	Dialer     Dialer
	Roots      *x509.CertPool // trusted for encrypted servers; nil: the system's
	Timeout    time.Duration  // of one exchange, connecting included; 0: DefaultTimeout
	Tries      int            // for one question, over all servers; 0: DefaultTries, never fewer than two
	MaxQueries int            // questions of one View; 0: DefaultMaxQueries
	InFlight   int            // questions under way at once, of all Views; 0: DefaultInFlight
}

// Default limits. Three seconds outlast every recursive resolution that mail
// would wait for (glibc waits five, Windows one); three tries survive two lost
// packets. 1000 questions are several times what an audit of one domain needs
// and stop one that is led astray. 64 in flight are our own manners.
const (
	DefaultTimeout    = 3 * time.Second
	DefaultTries      = 3
	DefaultMaxQueries = 1000
	DefaultInFlight   = 64

	minTries = 2 // one lost packet must not decide anything
)

// MaxLinks is how many aliases are followed from one question. RFC 1034 sets
// no limit; resolvers give up after 8 to 16 links, by make and version.
const MaxLinks = 10

// Client asks questions. It is safe for concurrent use.
type Client struct {
	cfg     Config
	servers []*upstream
	slots   chan struct{} // holds a token for each question in flight

	// Questions live on the client's own context: a caller that gives up does
	// not spoil the answer for the others.
	ctx     context.Context
	cancel  context.CancelFunc
	flights sync.WaitGroup // questions under way
	readers sync.WaitGroup // goroutines that read from sockets

	mu     sync.Mutex // guards what follows, never held while waiting
	closed bool
	memo   memory

	own *View // of a Client that is used alone
}

// flight is one question, under way until done is closed, remembered from
// then on.
type flight struct {
	question *question // of the one who started it
	done     chan struct{}
	step     *step     // set before done is closed, never changed after
	at       time.Time // when it ended, the same
}

// step is the answer to one question on the wire. When it is an alias about
// whose target the server said nothing, next is that target, to be asked for
// in turn.
type step struct {
	answer Answer
	next   audit.DNSName
}

// New makes a Client. Close it.
func New(cfg Config) *Client {
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultTimeout)
	cfg.Tries = max(cmp.Or(cfg.Tries, DefaultTries), minTries)
	cfg.MaxQueries = cmp.Or(cfg.MaxQueries, DefaultMaxQueries)
	cfg.InFlight = cmp.Or(cfg.InFlight, DefaultInFlight)
	c := &Client{
		cfg:   cfg,
		slots: make(chan struct{}, cfg.InFlight),
		memo:  newMemory(),
	}
	c.own = c.View()
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for _, s := range cfg.Servers {
		known := func(u *upstream) bool { return u.server == s }
		if !slices.ContainsFunc(c.servers, known) {
			c.servers = append(c.servers, newUpstream(c, s))
		}
	}
	return c
}

// Close ends every question under way as interrupted, closes all connections
// and waits until all goroutines of the Client are gone. Questions asked later are interrupted at
// once, unless their answers are remembered.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.flights.Wait()
	for _, u := range c.servers {
		u.close()
	}
	c.readers.Wait()
}

// Ask asks as the one View of a Client that is used alone: see [View.Ask].
func (c *Client) Ask(ctx context.Context, name audit.DNSName, qtype uint16) *Answer {
	return c.own.Ask(ctx, name, qtype)
}

// Queries are those of Ask: see [View.Queries].
func (c *Client) Queries() []audit.Query { return c.own.Queries() }

// board finds the flight of a question or starts it, and says which: true for the
// caller that started it. Without a flight the reason says why there is none.
func (c *Client) board(ctx context.Context, q *question) (*flight, bool, audit.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.memo.current(q.key, time.Now())
	switch {
	case f != nil:
		return f, false, audit.Reason{}
	case ctx.Err() != nil:
		return nil, false, dial.GaveUp(ctx)
	case c.closed:
		return nil, false, dial.Reason(context.Canceled)
	}
	f = &flight{question: q, done: make(chan struct{})}
	c.memo.Put(q.key, f)
	c.flights.Go(func() { c.fly(f) })
	return f, true, audit.Reason{}
}

// fly has a question answered and keeps the answer, unless it was the end of
// the Client that ended the question.
func (c *Client) fly(f *flight) {
	q := f.question
	select {
	case c.slots <- struct{}{}:
		f.step = c.ask(c.ctx, q)
		<-c.slots
	case <-c.ctx.Done():
		f.step = &step{answer: *unasked(q.name, q.qtype, dial.Reason(context.Canceled))}
	}
	f.at = time.Now()
	if f.step.answer.Why.Code == audit.Interrupted {
		c.mu.Lock()
		c.memo.Drop(q.key, f)
		c.mu.Unlock()
	}
	close(f.done)
}
