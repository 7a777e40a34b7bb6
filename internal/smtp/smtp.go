package smtp

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"mailaudit/internal/audit"
)

// Dialer opens the connections; *dial.Dialer is one. Errors are those that
// dial.Reason explains. Close of a connection frees the turn at its address.
type Dialer interface {
	Host(ctx context.Context, remote netip.AddrPort) (net.Conn, error)
}

// Limits are how long a server may take. A zero field means its default.
type Limits struct {
	Greeting  time.Duration // from the connection, or from the handshake of mode tls, to the end of the greeting
	Reply     time.Duration // from a command to the end of its reply
	Handshake time.Duration // TLS
	Session   time.Duration // one whole connection, the goodbye not counted
	// ConfirmAfter is the pause before the second connection that a negative
	// observation needs.
	ConfirmAfter time.Duration
}

// Default limits. RFC 5321 section 4.5.3.2 has senders wait five minutes for
// the greeting and as long for most replies; they have a queue to wait with,
// an audit has a user. Deliberate pauses before greetings stay well under a
// minute (postscreen 6 s, tarpits 30 s), and whoever is slower is "unknown"
// here, never "down".
const (
	DefaultGreeting     = 60 * time.Second  // RFC 5321 4.5.3.2.1: 5 min
	DefaultReply        = 20 * time.Second  // RFC 5321 4.5.3.2.2 (MAIL): 5 min; EHLO has no limit of its own
	DefaultHandshake    = 15 * time.Second  // our own: three round trips of a very bad line
	DefaultSession      = 150 * time.Second // our own: above the sum of the steps, which is 135 s
	DefaultConfirmAfter = 5 * time.Second   // our own: long enough to meet another server of a pool
)

// goodbyeLimit is how long the reply to QUIT is waited for, in the
// background. It decides nothing; two minutes would be usual.
const goodbyeLimit = 5 * time.Second

// Config says how a Prober meets servers. Dialer is required.
type Config struct {
	Dialer Dialer
	// HELO is the name for EHLO and HELO: a host name or an address literal
	// (RFC 5321 sections 2.3.5 and 4.1.3). With anything else nothing is asked.
	HELO  string
	Roots *x509.CertPool // trusted roots; nil: the system's
	// Stable makes servers' words fit for facts; the local address of each
	// connection is added to what it hides. nil: a new one.
	Stable *audit.Stabilizer
	Limits Limits
}

// Prober observes SMTP endpoints. It is safe for concurrent use.
type Prober struct {
	cfg      Config
	roots    *x509.CertPool // nil: this system has none that can be read
	goodbyes sync.WaitGroup
}

// New makes a Prober.
func New(cfg Config) *Prober {
	if cfg.Stable == nil {
		cfg.Stable = audit.NewStabilizer()
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&cfg.Limits.Greeting, DefaultGreeting)
	def(&cfg.Limits.Reply, DefaultReply)
	def(&cfg.Limits.Handshake, DefaultHandshake)
	def(&cfg.Limits.Session, DefaultSession)
	def(&cfg.Limits.ConfirmAfter, DefaultConfirmAfter)
	return &Prober{cfg: cfg, roots: loadRoots(cfg.Roots)}
}

// Target is one address of one mail host.
type Target struct {
	Host audit.DNSName // for SNI and for the certificate; may be an address literal
	Addr netip.Addr
	Port uint16
	// Mode is how TLS is to come in. Empty: ModeSTARTTLS, and left empty in the
	// Endpoint. With a mode that audit does not have nothing is asked.
	Mode audit.Mode
	// TryMail sends MAIL FROM:<> before STARTTLS, and RSET where it was taken: by
	// that a submission server shows whether it insists on TLS. Only in mode
	// starttls, and only to servers whose owner is known to want it.
	TryMail bool
	// Turn waits until a connection may be made, or until ctx ends, and returns
	// what gives the turn back once the connection is closed, which is after the
	// reply to QUIT (5 s at most) and may be after Probe has returned. It is asked
	// before each connection: no turn is held between two. nil: at any time.
	Turn func(ctx context.Context) (leave func())
	// Once: one connection, whatever it shows. A "no" that it brings is then
	// unknown (seen-once).
	Once bool
	// Doubt, when set, is told what the first connection showed before the pause
	// for a second one, with every "no" still unknown. Probe waits for it.
	Doubt func(first audit.Endpoint)
	// Heard, when set, is told of each name that the server gives for itself as
	// soon as it has done so, so that something can be asked about the name
	// while the dialogue goes on. It must not block.
	Heard func(name audit.DNSName)
}

// Probe observes an endpoint over one connection, or over two when the first
// ends in a negative or in something that a second look may well see better,
// or over three when of two handshakes only the one with the smaller
// ClientHello succeeded. It does not try old versions of TLS: see Floor.
// It returns an observation for every step, whatever happened, and one
// Session per connection tried. When ctx ends, what is not yet observed is
// unknown. The replies to QUIT are not waited for: see Drain.
func (p *Prober) Probe(ctx context.Context, t Target) (audit.Endpoint, []audit.Session) {
	if text := p.objection(t); text != "" {
		l := look{line: acts(t), how: shut, why: audit.Reason{Code: audit.LocalError, Text: text}}
		return l.endpoint(t), nil
	}
	l, s := p.look(ctx, t, 1, acts(t), offerAll)
	sessions := []audit.Session{s}
	if !l.again || t.Once {
		return l.unconfirmed().endpoint(t), sessions
	}
	if t.Doubt != nil {
		t.Doubt(l.unconfirmed().endpoint(t))
	}
	if !pause(ctx, p.cfg.Limits.ConfirmAfter) {
		return l.unconfirmed().endpoint(t), sessions
	}
	o := offerAll
	if l.shrink {
		o = offerClassic
	}
	second, s := p.look(ctx, t, 2, acts(t), o)
	sessions = append(sessions, s)
	out := merge(l, second)
	out.mixed = union(l.mixed, second.mixed) // what was said needs no second look
	if l.shrink && second.secured() {
		var more []audit.Session
		out, more = p.enlarge(ctx, t, l, out)
		sessions = append(sessions, more...)
	}
	out.mail = l.mail // asked on the first connection alone
	return out.endpoint(t), sessions
}

// Drain waits until the connections of all probes that have returned are
// closed, or until ctx ends: at most five seconds. Call it when no Probe is
// running any more.
func (p *Prober) Drain(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		p.goodbyes.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// pause waits, and reports false when ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// objection says why nothing can be asked of the target, or "".
func (p *Prober) objection(t Target) string {
	modes := []audit.Mode{"", audit.ModeSTARTTLS, audit.ModePlain, audit.ModeTLS}
	switch {
	case !validHELO(p.cfg.HELO):
		return "not asked: our own name for EHLO is neither a host name nor an address literal"
	case !slices.Contains(modes, t.Mode):
		return "not asked: there is no such mode of connection"
	}
	return ""
}

// validHELO accepts what RFC 5321 section 4.1.1.1 lets a client call itself.
// It is also what keeps line ends out of the command.
func validHELO(name string) bool {
	literal, ok := strings.CutPrefix(name, "[")
	if !ok {
		return audit.NewDNSName(name).IsHostname() && !strings.HasSuffix(name, ".")
	}
	literal, ok = strings.CutSuffix(literal, "]")
	if !ok {
		return false
	}
	six, tagged := strings.CutPrefix(literal, "IPv6:")
	addr, err := netip.ParseAddr(six)
	return err == nil && addr.Zone() == "" && addr.Is4() == !tagged
}
