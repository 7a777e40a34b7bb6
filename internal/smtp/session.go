package smtp

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// session is one connection while it is open.
type session struct {
	p     *Prober
	ctx   context.Context
	t     Target
	offer offer  // of TLS
	over  func() // gives our turn back, when the connection is closed

	raw       net.Conn    // the TCP connection; nil before there is one
	stop      func() bool // lets the end of ctx be; false when it has broken raw
	secure    *watched    // raw as TLS sees it; nil before the handshake
	tickets   tickets     // that came in it
	conn      net.Conn    // raw, or TLS over it
	in        *reader
	stable    *audit.Stabilizer
	connected time.Time
	fit       bool // the last reply was whole and in step: another command may be sent

	log  transcript
	rec  audit.Session
	look look
}

// look has one conversation with the target, the acts of line, when it is our
// turn, and takes it down.
func (p *Prober) look(ctx context.Context, t Target, n int, line []act, o offer) (look, audit.Session) {
	over := func() {}
	if t.Turn != nil {
		over = t.Turn(ctx) // when ctx ends first, there will be no connection
	}
	now := time.Now()
	s := &session{p: p, ctx: ctx, t: t, offer: o, over: over, log: transcript{start: now}}
	s.rec = audit.Session{
		Endpoint: audit.EndpointSubject(t.Host, t.Addr, t.Port), N: n, Started: now.UTC(),
	}
	s.look.line = line
	s.run()
	s.look.offers = s.look.told(s.secure != nil)
	s.rec.Outcome = s.look.why.Text
	if s.look.complete() {
		s.rec.Outcome = "complete"
	}
	s.rec.Lines = s.log.lines
	return s.look, s.rec
}

// run plays the acts of the mode until one of them ends the dialogue.
func (s *session) run() {
	for !s.look.complete() && s.look.line[s.look.end].play(s) {
		s.look.end++
	}
	s.resumable()
	s.leave()
}

// fail ends the look at the present step. It returns false, for the acts to
// return.
func (s *session) fail(how manner, code audit.Code, text string) bool {
	s.look.how, s.look.why = how, audit.Reason{Code: code, Text: text}
	s.look.again = how == negative
	return false
}

// turnedAway ends the look at the step behind the present one, which was seen
// and says that there is no going on.
func (s *session) turnedAway(how manner, code audit.Code, text string) bool {
	s.look.end++
	return s.fail(how, code, text)
}

// lap notes how long a step took.
func lap(d *time.Duration) func() {
	start := time.Now()
	return func() { *d = time.Since(start) }
}

func (s *session) connect() bool {
	took := lap(&s.rec.Connect)
	conn, err := s.p.cfg.Dialer.Host(s.ctx, netip.AddrPortFrom(s.t.Addr, s.t.Port))
	took()
	s.rec.Attempted = dial.Attempted(err)
	if err != nil {
		why := s.reason(err)
		how := dark
		if why.Code == audit.ConnRefused {
			how = negative
		}
		s.fail(how, why.Code, why.Text)
		// A lost SYN, a full queue or a router that restarts may be luck; what we
		// ourselves decided and what our own system says will be the same in five
		// seconds.
		luck := []audit.Code{audit.Timeout, audit.Unreachable, audit.Reset}
		s.look.again = how == negative || slices.Contains(luck, why.Code)
		return false
	}
	s.raw, s.conn, s.in, s.connected = conn, conn, &reader{src: conn}, time.Now()
	// The end of ctx breaks whatever read or write is going on.
	s.stop = context.AfterFunc(s.ctx, func() { conn.Close() })
	s.stable = s.p.cfg.Stable
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err == nil {
		s.stable = s.stable.With(local.Addr())
	}
	return true
}

// deadline sets the one deadline of a step. No progress moves it.
func (s *session) deadline(limit time.Duration) {
	at := time.Now().Add(limit)
	if end := s.connected.Add(s.p.cfg.Limits.Session); end.Before(at) {
		at = end
	}
	// It fails only on a closed connection; the next read or write says so.
	_ = s.conn.SetDeadline(at)
}

// portMX is where servers greet in clear, always (RFC 5321 section 4.5.4.2).
const portMX = 25

// greet reads the whole greeting (RFC 5321 section 3.1). No command has been
// written yet. A server that waits for a ClientHello says nothing at all, and
// an alert or a record of its own at most: to write first, in the hope of
// finding that out, would be to speak before a greeting.
func (s *session) greet() bool {
	took := lap(&s.rec.Greeting)
	s.deadline(s.p.cfg.Limits.Greeting)
	rp, why, ok := s.read("the greeting")
	took()
	if !ok {
		switch {
		case why.Code == audit.Malformed && s.secure == nil && len(rp.lines) == 1 && isRecord([]byte(rp.lines[0])):
			why = audit.Reason{Code: audit.TLSOnly, Text: "what answers speaks TLS from the first byte: try mode tls"}
		case why.Code == audit.Timeout && s.secure == nil && s.t.Port != portMX && len(rp.lines) == 0:
			why = audit.Reason{Code: audit.NoGreeting, Text: "the connection was accepted and not a word came in time; a server that is TLS from the first byte waits like that (mode tls)"}
		case why.Code == audit.Malformed:
			why = audit.Reason{Code: audit.NotSMTP, Text: "what answers does not speak SMTP: it does not begin with a reply code"}
		}
		return s.fail(dark, why.Code, why.Text)
	}
	s.look.greeting = s.greeting(rp)
	switch {
	case rp.class() == 2:
		s.heard(s.look.greeting.Name)
		return true
	case rp.class() == 4:
		return s.turnedAway(shut, audit.TempFail, "the greeting turned this connection away for the time being (4xx)")
	case rp.code == 521:
		s.turnedAway(moot, audit.NotApplicable, "the host takes no mail (a 521 greeting, RFC 7504)")
		s.look.again = true // said of the host for good, so worth asking twice
		return false
	case rp.class() == 5:
		s.turnedAway(shut, audit.RefusedUs, "the greeting refused this connection (5xx), which may be about our address")
		s.look.again = true // it may be about them as well, if it is said again
		return false
	}
	s.fit = false
	return s.turnedAway(shut, audit.OutOfStep, "the greeting has a code that no greeting has")
}

// ehlo names us and learns the service extensions, in clear.
func (s *session) ehlo() bool { return s.introduce("EHLO", "HELO", &s.rec.EHLO, &s.look.hello) }

// ehloInside is the same where TLS was there from the first byte.
func (s *session) ehloInside() bool {
	return s.introduce("EHLO inside TLS", "HELO inside TLS", &s.rec.EHLOTLS, &s.look.helloTLS) && s.listed()
}

// listed reports whether a reply to EHLO inside TLS ended with its last line.
// Where it goes on, what it does not list may be listed there.
func (s *session) listed() bool {
	why, ok := s.inStep()
	if !ok {
		return s.fail(dark, why.Code, why.Text)
	}
	return true
}

// introduce says the first EHLO of a connection (RFC 5321 section 3.2). The
// commands are given as sentences call them; what is learnt goes into hello.
func (s *session) introduce(ehlo, helo string, lasted *time.Duration, hello *audit.Hello) bool {
	took := lap(lasted)
	rp, why, ok := s.ask("EHLO "+s.p.cfg.HELO, "the reply to "+ehlo)
	took()
	if ok {
		s.refused(ehlo, rp)
	}
	switch {
	case !ok:
		s.fail(dark, why.Code, why.Text)
		// Some front ends cut the first connection of a stranger.
		s.look.again = why.Code == audit.Reset
		return false
	case rp.code == 250:
		*hello = s.hello(rp)
		s.heard(hello.Name)
		return true
	case rp.class() == 5:
		return s.helo(rp.code, ehlo, helo)
	}
	why = s.misfit(rp, ehlo)
	return s.fail(dark, why.Code, why.Text)
}

// hello reads a reply to EHLO or HELO, and in it where we are seen from.
func (s *session) hello(rp reply) audit.Hello {
	seen := seenAs(rp, s.p.cfg.HELO, s.t.Addr)
	if seen.IsValid() {
		s.rec.SeenAs = seen
	}
	return newHello(rp, s.p.cfg.HELO, s.stable.With(seen))
}

// helo tries the older command after a 5xx to EHLO. 500 and 502 say that EHLO
// is not known; any other code may be about our name or address, unless HELO
// with the same name is welcome.
func (s *session) helo(code int, ehlo, helo string) bool {
	rp, why, ok := s.ask("HELO "+s.p.cfg.HELO, "the reply to "+helo)
	switch {
	case !ok:
		s.look.helo = audit.Dark[audit.Hello](why, "")
	case rp.code == 250:
		s.look.helo = audit.See(newHello(reply{lines: rp.lines[:1]}, s.p.cfg.HELO, s.stable), "")
	case unknownCommand(rp.code):
		s.look.helo = audit.None[audit.Hello](audit.Declined, "the server does not know HELO", "")
	case rp.class() == 5:
		s.look.helo = audit.Dark[audit.Hello](audit.Reason{Code: audit.RefusedUs,
			Text: "HELO was refused (5xx), which may be about our name or address"}, "")
	default:
		s.look.helo = audit.Dark[audit.Hello](s.misfit(rp, helo), "")
	}
	if s.look.helo.State == audit.Seen || unknownCommand(code) {
		s.fail(negative, audit.Declined, "the server refuses "+ehlo+" (5xx)")
		s.look.again = rp.code != codeClosing // who says so is left alone
		return false
	}
	return s.fail(dark, audit.RefusedUs, ehlo+" was refused (5xx), which may be about our name or address")
}

// unknownCommand reports whether a code says "no such command" rather than
// "not you" (RFC 5321 section 4.2.4).
func unknownCommand(code int) bool { return code == 500 || code == 502 }

// offered looks for STARTTLS in the EHLO reply. A reply that goes on behind
// its last line might list it there, and one that belongs to no command lists
// nothing, so nothing is concluded from either.
func (s *session) offered() bool {
	if why, ok := s.inStep(); !ok {
		return s.fail(dark, why.Code, why.Text)
	}
	_, ok := s.look.hello.Keyword("STARTTLS")
	switch {
	case ok:
		return true
	case !s.parted():
		return s.fail(dark, audit.OutOfStep, "the server sent replies that belong to no command")
	case s.ctx.Err() != nil: // what would have come is not known
		why := s.reason(s.ctx.Err())
		return s.fail(dark, why.Code, why.Text)
	}
	return s.fail(negative, audit.NotOffered, "STARTTLS is not in the reply to EHLO")
}

// upgrade asks for TLS and turns the connection into it.
func (s *session) upgrade() bool { return s.startTLS() && s.handshake() }

// startTLS asks for TLS (RFC 3207 section 4).
func (s *session) startTLS() bool {
	took := lap(&s.rec.StartTLS)
	rp, why, ok := s.ask("STARTTLS", "the reply to STARTTLS")
	took()
	if ok {
		s.refused("STARTTLS", rp)
	}
	switch {
	case !ok:
		return s.fail(dark, why.Code, why.Text)
	case rp.code == 220:
		// What came in clear behind the 220 was put there to be read as if it
		// had come inside TLS (CVE-2011-0411).
		why, ok = s.inStep()
		if !ok {
			return s.fail(dark, why.Code, "somebody put text in clear behind the reply to STARTTLS")
		}
		return true
	case rp.class() == 5 && !unknownCommand(rp.code) && rp.code != 501 && rp.code != 503:
		return s.fail(dark, audit.RefusedUs, "STARTTLS was refused (5xx), which may be about our address")
	case rp.class() == 5:
		return s.fail(negative, audit.Declined, "the server lists STARTTLS and declines it (5xx)")
	}
	why = s.misfit(rp, "STARTTLS")
	s.fail(dark, why.Code, why.Text)
	// "TLS not available due to temporary reason" (RFC 3207 section 4) may be
	// one server of a pool. Any other 4xx asks to be left alone.
	s.look.again = rp.code == codeNotNow
	return false
}

// codeNotNow is how servers decline STARTTLS for a reason of their own.
const codeNotNow = 454

// ehloAgain says EHLO again: what was said in clear is forgotten (RFC 3207
// section 4.2).
func (s *session) ehloAgain() bool {
	took := lap(&s.rec.EHLOTLS)
	rp, why, ok := s.ask("EHLO "+s.p.cfg.HELO, "the reply to EHLO inside TLS")
	took()
	if ok {
		s.refused("EHLO inside TLS", rp)
	}
	switch {
	case !ok:
		return s.fail(dark, why.Code, why.Text)
	case rp.code == 250:
		s.look.helloTLS = s.hello(rp)
		return s.listed()
	case unknownCommand(rp.code) || rp.code == 503: // 503: it has not forgotten the first EHLO
		return s.fail(negative, audit.Declined, "the server refuses EHLO inside TLS (5xx)")
	case rp.class() == 5:
		return s.fail(dark, audit.RefusedUs, "EHLO inside TLS was refused (5xx), which may be about our name or address")
	}
	why = s.misfit(rp, "EHLO inside TLS")
	return s.fail(dark, why.Code, why.Text)
}
