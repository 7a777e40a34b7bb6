package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// session is one connection while it is open.
type session struct {
	p       *Prober
	ctx     context.Context
	t       Target
	classic bool // offer only key exchange groups from before post-quantum

	raw       net.Conn // the TCP connection
	secure    *watched // raw as TLS sees it; nil before the handshake
	conn      net.Conn // raw, or TLS over it
	in        *reader
	stable    *audit.Stabilizer
	connected time.Time
	fit       bool // the last reply was whole and in step: another command may be sent

	log  transcript
	rec  audit.Session
	look look
}

// look has one conversation with the target and takes it down.
func (p *Prober) look(ctx context.Context, t Target, n int, classic bool) (look, audit.Session) {
	now := time.Now()
	s := &session{p: p, ctx: ctx, t: t, classic: classic, log: transcript{start: now}}
	s.rec = audit.Session{
		Endpoint: audit.EndpointSubject(t.Host, t.Addr, t.Port), N: n, Started: now.UTC(),
	}
	s.run()
	s.rec.Outcome = s.look.why.Text
	if s.look.end == stepDone {
		s.rec.Outcome = "complete"
	}
	s.rec.Lines = s.log.lines
	return s.look, s.rec
}

func (s *session) run() {
	if !s.connect() {
		return
	}
	// The end of ctx breaks whatever read or write is going on.
	stop := context.AfterFunc(s.ctx, func() { s.raw.Close() })
	if s.greet() && s.ehlo() && s.offered() && s.startTLS() && s.handshake() && s.ehloTLS() {
		s.look.end = stepDone
	}
	s.leave(stop)
}

// fail ends the look at a step. It returns false, for the steps to return.
func (s *session) fail(end step, how manner, code audit.Code, text string) bool {
	s.look.end, s.look.how, s.look.why = end, how, audit.Reason{Code: code, Text: text}
	s.look.again = how == negative
	return false
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
	if err != nil {
		why := s.reason(err)
		how := dark
		if why.Code == audit.ConnRefused {
			how = negative
		}
		s.fail(stepConnect, how, why.Code, why.Text)
		// A lost SYN or a full queue may be luck; what we ourselves decided
		// and what our own network says will be the same in five seconds.
		s.look.again = how == negative || why.Code == audit.Timeout || why.Code == audit.Reset
		return false
	}
	s.raw, s.conn, s.connected = conn, conn, time.Now()
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

// greet reads the whole greeting (RFC 5321 section 3.1). Nothing has been
// written yet.
func (s *session) greet() bool {
	took := lap(&s.rec.Greeting)
	s.in = &reader{src: s.conn}
	s.deadline(s.p.cfg.Limits.Greeting)
	rp, why, ok := s.read("the greeting")
	took()
	if !ok {
		if why.Code == audit.Malformed {
			why = audit.Reason{Code: audit.NotSMTP, Text: "what answers does not speak SMTP: it does not begin with a reply code"}
		}
		return s.fail(stepGreeting, dark, why.Code, why.Text)
	}
	s.look.greeting = newGreeting(rp, time.Since(s.connected), s.stable)
	switch {
	case rp.class() == 2:
		return true
	case rp.class() == 4:
		return s.fail(stepHello, shut, audit.TempFail, "the greeting turned this connection away for the time being (4xx)")
	case rp.code == 521:
		s.fail(stepHello, moot, audit.NotApplicable, "the host takes no mail (a 521 greeting, RFC 7504)")
		s.look.again = true // said of the host for good, so worth asking twice
		return false
	case rp.class() == 5:
		return s.fail(stepHello, shut, audit.RefusedUs, "the greeting refused this connection (5xx), which may be about our address")
	}
	s.fit = false
	return s.fail(stepHello, shut, audit.OutOfStep, "the greeting has a code that no greeting has")
}

// ehlo names us and learns the service extensions (RFC 5321 section 3.2).
func (s *session) ehlo() bool {
	took := lap(&s.rec.EHLO)
	rp, why, ok := s.ask("EHLO "+s.p.cfg.HELO, "the reply to EHLO")
	took()
	switch {
	case !ok:
		s.fail(stepHello, dark, why.Code, why.Text)
		// Some front ends cut the first connection of a stranger.
		s.look.again = why.Code == audit.Reset
		return false
	case rp.code == 250:
		s.look.hello = newHello(rp, s.p.cfg.HELO, s.stable)
		return true
	case rp.class() == 5:
		return s.helo(rp.code)
	}
	why = s.misfit(rp, "EHLO")
	return s.fail(stepHello, dark, why.Code, why.Text)
}

// helo tries the older command after a 5xx to EHLO. 500 and 502 say that EHLO
// is not known; any other code may be about our name or address, unless HELO
// with the same name is welcome.
func (s *session) helo(code int) bool {
	rp, why, ok := s.ask("HELO "+s.p.cfg.HELO, "the reply to HELO")
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
		s.look.helo = audit.Dark[audit.Hello](s.misfit(rp, "HELO"), "")
	}
	if s.look.helo.State == audit.Seen || unknownCommand(code) {
		return s.fail(stepHello, negative, audit.Declined, "the server refuses EHLO (5xx)")
	}
	return s.fail(stepHello, dark, audit.RefusedUs, "EHLO was refused (5xx), which may be about our name or address")
}

// unknownCommand reports whether a code says "no such command" rather than
// "not you" (RFC 5321 section 4.2.4).
func unknownCommand(code int) bool { return code == 500 || code == 502 }

// offered looks for STARTTLS in the EHLO reply. A reply that goes on behind
// its last line might list it there, so nothing is concluded from one.
func (s *session) offered() bool {
	if why, ok := s.inStep(); !ok {
		return s.fail(stepStartTLS, dark, why.Code, why.Text)
	}
	_, ok := s.look.hello.Keyword("STARTTLS")
	if !ok {
		return s.fail(stepStartTLS, negative, audit.NotOffered, "STARTTLS is not in the reply to EHLO")
	}
	return true
}

// startTLS asks for TLS (RFC 3207 section 4).
func (s *session) startTLS() bool {
	took := lap(&s.rec.StartTLS)
	rp, why, ok := s.ask("STARTTLS", "the reply to STARTTLS")
	took()
	switch {
	case !ok:
		return s.fail(stepTLS, dark, why.Code, why.Text)
	case rp.code == 220:
		// What came in clear behind the 220 was put there to be read as if it
		// had come inside TLS (CVE-2011-0411).
		why, ok = s.inStep()
		if !ok {
			return s.fail(stepTLS, dark, why.Code, "somebody put text in clear behind the reply to STARTTLS")
		}
		return true
	case rp.class() == 5:
		return s.fail(stepTLS, negative, audit.Declined, "the server lists STARTTLS and declines it (5xx)")
	}
	why = s.misfit(rp, "STARTTLS")
	return s.fail(stepTLS, dark, why.Code, why.Text)
}

// ehloTLS says EHLO again: what was said in clear is forgotten (RFC 3207
// section 4.2).
func (s *session) ehloTLS() bool {
	took := lap(&s.rec.EHLOTLS)
	rp, why, ok := s.ask("EHLO "+s.p.cfg.HELO, "the reply to EHLO inside TLS")
	took()
	switch {
	case !ok:
		return s.fail(stepHelloTLS, dark, why.Code, why.Text)
	case rp.code == 250:
		s.look.helloTLS = newHello(rp, s.p.cfg.HELO, s.stable)
		return true
	case unknownCommand(rp.code) || rp.code == 503: // 503: it has not forgotten the first EHLO
		return s.fail(stepHelloTLS, negative, audit.Declined, "the server refuses EHLO inside TLS (5xx)")
	case rp.class() == 5:
		return s.fail(stepHelloTLS, dark, audit.RefusedUs, "EHLO inside TLS was refused (5xx), which may be about our name or address")
	}
	why = s.misfit(rp, "EHLO inside TLS")
	return s.fail(stepHelloTLS, dark, why.Code, why.Text)
}

// misfit is the reason for a reply that is neither a success nor a 5xx.
func (s *session) misfit(rp reply, command string) audit.Reason {
	if rp.class() == 4 {
		return audit.Reason{Code: audit.TempFail, Text: command + " was refused for the time being (4xx)"}
	}
	s.fit = false
	return audit.Reason{Code: audit.OutOfStep, Text: "the reply to " + command + " has a code that does not belong to the command"}
}

// inStep reports whether all that has come was read as part of a reply. It
// sees what the last read brought along; what is still on its way shows as a
// wrong code of the next reply.
func (s *session) inStep() (audit.Reason, bool) {
	n := s.in.pending()
	if n == 0 {
		return audit.Reason{}, true
	}
	s.log.add(server, audit.Raw(s.in.buf[s.in.off:s.in.end]).Clip(maxLine))
	s.log.add(remark, "this was sent behind the reply, unasked")
	s.fit = false
	s.in.off = s.in.end
	return audit.Reason{Code: audit.OutOfStep, Text: "the server sent replies that belong to no command"}, false
}

// ask sends one command and reads its reply, within one deadline.
func (s *session) ask(command, noun string) (reply, audit.Reason, bool) {
	if why, ok := s.inStep(); !ok {
		return reply{}, why, false
	}
	s.deadline(s.p.cfg.Limits.Reply)
	s.log.add(client, audit.Raw(command))
	_, err := io.WriteString(s.conn, command+"\r\n")
	if err == nil {
		return s.read(noun)
	}
	// Who hangs up on us may have said why before.
	rp, why, ok := s.read(noun)
	if ok && rp.class() >= 4 || why.Code == audit.TLSProtocol {
		return rp, why, ok
	}
	s.fit = false
	return reply{}, s.broken(err, noun), false
}

// read reads one reply into the transcript.
func (s *session) read(noun string) (reply, audit.Reason, bool) {
	rp, err := s.in.reply()
	for _, line := range rp.lines {
		s.log.add(server, line)
	}
	if rp.mixed {
		s.log.add(remark, "the lines of this reply differ in their code; that of the last line counts")
	}
	if rp.bare {
		s.log.add(remark, "a line of this reply ends in LF without CR")
	}
	if rp.cut {
		s.log.add(remark, "a line of this reply is longer than what is kept of it")
	}
	s.fit = err == nil
	if err != nil {
		why := s.broken(err, noun)
		s.log.add(remark, audit.Raw(why.Text))
		return rp, why, false
	}
	return rp, audit.Reason{}, true
}

// broken is the reason for a conversation that broke off at a reply.
func (s *session) broken(err error, noun string) audit.Reason {
	why := s.reason(err)
	switch {
	case errors.Is(err, errNotReply):
		return audit.Reason{Code: audit.Malformed, Text: noun + " is not an SMTP reply"}
	case errors.Is(err, errOversized):
		return audit.Reason{Code: audit.Oversized, Text: noun + " is longer than what is read of a stranger"}
	case why.Code == audit.LocalError && s.secure != nil && !errors.Is(err, s.secure.err):
		// The network did not say it, so it is an alert or garbage.
		return audit.Reason{Code: audit.TLSProtocol, Text: "TLS broke down before " + noun + " was complete"}
	case why.Code == audit.Timeout:
		why.Text = noun + " did not come in time"
	case why.Code == audit.Closed:
		why.Text = "the server closed the connection before " + noun + " was complete"
	case why.Code == audit.Reset:
		why.Text = "the connection was reset before " + noun + " was complete"
	}
	return why
}

// reason explains an error of the connection. When ctx has ended that is the
// reason, whatever the connection says.
func (s *session) reason(err error) audit.Reason {
	switch {
	case s.ctx.Err() != nil && errors.Is(context.Cause(s.ctx), context.DeadlineExceeded):
		return audit.Reason{Code: audit.Deadline, Text: "the time of this audit ran out"}
	case s.ctx.Err() != nil:
		return audit.Reason{Code: audit.Interrupted, Text: "the run was interrupted"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return audit.Reason{Code: audit.Timeout, Text: "no answer in time"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return audit.Reason{Code: audit.Closed, Text: "the server closed the connection"}
	}
	why := dial.Reason(err)
	if why.Code == "" {
		why = audit.Reason{Code: audit.LocalError, Text: "the connection failed in a way that is not known"}
	}
	return why
}

// leave ends the connection: with QUIT when the conversation is in step, at
// once when it is not. The reply to QUIT decides nothing, so it is waited for
// in the background (RFC 5321 section 4.1.1.10 has clients wait for it).
func (s *session) leave(stop func() bool) {
	alive := stop()
	if !alive || !s.fit || s.in.pending() > 0 {
		s.raw.Close()
		return
	}
	conn, raw, in := s.conn, s.raw, s.in
	late := time.AfterFunc(goodbyeLimit, func() { raw.Close() })
	_ = conn.SetDeadline(time.Time{}) // late is the deadline now
	s.log.add(client, "QUIT")
	_, err := io.WriteString(conn, "QUIT\r\n")
	if err != nil {
		late.Stop()
		raw.Close()
		return
	}
	s.p.goodbyes.Go(func() {
		_, _ = in.reply()
		conn.Close()
		late.Stop()
	})
}
