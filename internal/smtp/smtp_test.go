package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

func errno(n syscall.Errno) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", n)}
}

const (
	ehlo = "EHLO " + testHELO
	helo = "HELO " + testHELO
)

// These are scripts, or makers of scripts, of servers met below.

func complete(cert tls.Certificate) script {
	return func(s *peer) {
		s.greet("220 mx.example.org ESMTP")
		s.answer(ehlo, "250-mx.example.org", "250-SIZE 1000", "250 STARTTLS")
		s.answer("STARTTLS", "220 go ahead")
		s.tls(serve(cert))
		s.answer(ehlo, "250-mx.example.org", "250 SIZE 2000")
		s.bye()
	}
}

func plainOnly(s *peer) {
	s.greet("220 mx.example.org ESMTP")
	s.answer(ehlo, "250-mx.example.org", "250 SIZE 1000")
	s.bye()
}

func greets(lines ...string) script {
	return func(s *peer) { s.greet(lines...); s.bye() }
}

// afterEHLO greets, answers EHLO with STARTTLS listed, and hands over.
func afterEHLO(then script) script {
	return func(s *peer) {
		s.greet("220 mx.example.org ESMTP")
		s.answer(ehlo, "250-mx.example.org", "250 STARTTLS")
		then(s)
	}
}

// inTLS goes on behind the STARTTLS reply.
func inTLS(then script) script {
	return afterEHLO(func(s *peer) { s.answer("STARTTLS", "220 go ahead"); then(s) })
}

func reset(s *peer) { s.raw.reset() }
func closes(*peer)  {}
func mute(s *peer)  { s.wait() }

func rawAnswer(text string) script {
	return func(s *peer) { s.send(text); s.wait() }
}

func ehloAnswers(lines ...string) script {
	return func(s *peer) {
		s.greet("220 mx.example.org ESMTP")
		s.answer(ehlo, lines...)
		s.bye()
	}
}

// ehloThenHelo refuses EHLO and answers HELO.
func ehloThenHelo(first, second string) script {
	return func(s *peer) {
		s.greet("220 mx.example.org")
		s.answer(ehlo, first)
		s.answer(helo, second)
		s.bye()
	}
}

type dialogue struct {
	name    string
	scripts []any
	want    string // summary: connect greeting hello helo starttls tls hellotls
	ends    string // Q or - per connection
}

func (d dialogue) run(t *testing.T, check func(audit.Endpoint, []audit.Session)) {
	d.runIn(t, "", check)
}

func (d dialogue) runIn(t *testing.T, mode audit.Mode, check func(audit.Endpoint, []audit.Session)) {
	t.Run(d.name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, scripts: d.scripts}
			p := New(Config{Dialer: w, HELO: testHELO})
			e, sessions := p.Probe(t.Context(), testTarget().in(mode))
			ends := w.check(p)
			if got := summary(e); got != d.want {
				t.Errorf("got  %s\nwant %s", got, d.want)
			}
			if e.Mode != mode {
				t.Errorf("mode %q, want %q", e.Mode, mode)
			}
			if ends != d.ends {
				t.Errorf("connections ended %q, want %q", ends, d.ends)
			}
			if len(sessions) != len(w.dialed) {
				t.Errorf("%d sessions for %d connections", len(sessions), len(w.dialed))
			}
			for i, s := range sessions {
				if s.N != i+1 || s.Outcome == "" || s.Endpoint != "mx.example.org[192.0.2.25]:25" {
					t.Errorf("session %d: N %d, outcome %q, endpoint %q", i, s.N, s.Outcome, s.Endpoint)
				}
			}
			if check != nil {
				check(e, sessions)
			}
		})
	})
}

// TestDialogue is every way in which a conversation can end, in the order of
// the steps. In the summaries S is seen, n not applicable, ! absent.
func TestDialogue(t *testing.T) {
	cert := leaf(t, nil, nil)
	good := complete(cert)
	const (
		whole    = "S S S n S S S"
		noTLS    = "S S S n !not-offered n n"
		atTLS    = "S S S n S %s"
		depends  = "not-learned"
		fourNL   = depends + " " + depends + " " + depends + " " + depends
		insideNL = "S S S n S S %s"
	)
	hung := func(s *peer) { s.answer("STARTTLS", "454 TLS not available due to temporary reason"); s.bye() }
	declines := afterEHLO(func(s *peer) { s.answer("STARTTLS", "502 5.5.1 no"); s.bye() })
	ehloInside := func(line string) script {
		return inTLS(func(s *peer) { s.tls(serve(cert)); s.answer(ehlo, line); s.bye() })
	}
	for _, d := range []dialogue{
		{"complete", []any{good}, whole, "Q"},

		// Connect.
		{"refused twice", []any{refused()}, "!conn-refused n n n n n n", ""},
		{"refused once", []any{refused(), good}, whole, "Q"},
		{"refused, then no STARTTLS", []any{refused(), script(plainOnly)}, "S S S n disagree not-learned not-learned", "Q"},
		{"refused, then timeout", []any{refused(), errno(syscall.ETIMEDOUT)}, "seen-once " + fourNL + " not-learned not-learned", ""},
		{"timeout twice", []any{errno(syscall.ETIMEDOUT)}, "no-answer " + fourNL + " not-learned not-learned", ""},
		{"timeout once", []any{errno(syscall.ETIMEDOUT), good}, whole, "Q"},
		{"reset twice", []any{errno(syscall.ECONNRESET)}, "reset " + fourNL + " not-learned not-learned", ""},
		{"timeout, then refused", []any{errno(syscall.ETIMEDOUT), errno(syscall.ECONNREFUSED)}, "seen-once " + fourNL + " not-learned not-learned", ""},
		{"timeout, then reset", []any{errno(syscall.ETIMEDOUT), errno(syscall.ECONNRESET)}, "timeout " + fourNL + " not-learned not-learned", ""},
		{"timeout, then unreachable", []any{errno(syscall.ETIMEDOUT), errno(syscall.EHOSTUNREACH)}, "no-answer " + fourNL + " not-learned not-learned", ""},
		{"timeout, then no way", []any{errno(syscall.ETIMEDOUT), errno(syscall.ENETUNREACH)}, "timeout " + fourNL + " not-learned not-learned", ""},
		{"unreachable twice", []any{errno(syscall.EHOSTUNREACH)}, "no-answer " + fourNL + " not-learned not-learned", ""},
		{"unreachable once", []any{errno(syscall.EHOSTUNREACH), good}, whole, "Q"},
		{"no route", []any{errno(syscall.ENETUNREACH)}, "no-route " + fourNL + " not-learned not-learned", ""},
		{"our firewall", []any{errno(syscall.EPERM)}, "local-policy " + fourNL + " not-learned not-learned", ""},
		{"address guard", []any{fmt.Errorf("x: %w", dial.ErrBlocked)}, "blocked-address " + fourNL + " not-learned not-learned", ""},
		{"budget", []any{dial.ErrBudget}, "budget " + fourNL + " not-learned not-learned", ""},
		{"unheard-of error", []any{errors.New("odd")}, "local-error " + fourNL + " not-learned not-learned", ""},

		// Greeting.
		{"closes before greeting", []any{script(closes)}, "S closed " + fourNL + " not-learned", "-"},
		{"resets before greeting", []any{script(reset)}, "S reset " + fourNL + " not-learned", "-"},
		{"resets within greeting", []any{script(func(s *peer) { s.send("220-mx"); time.Sleep(time.Second); reset(s) })}, "S reset " + fourNL + " not-learned", "-"},
		{"closes within greeting", []any{script(func(s *peer) { s.send("220-mx\r\n220-") })}, "S closed " + fourNL + " not-learned", "-"},
		{"never greets", []any{script(mute)}, "S timeout " + fourNL + " not-learned", "-"},
		{"HTTP", []any{rawAnswer("HTTP/1.1 400 Bad Request\r\n\r\n")}, "S not-smtp " + fourNL + " not-learned", "-"},
		{"SSH without a line end", []any{rawAnswer("SSH-2.0-OpenSSH_9.2")}, "S not-smtp " + fourNL + " not-learned", "-"},
		{"TLS alert", []any{rawAnswer("\x15\x03\x01\x00\x02\x02\x46")}, "S tls-only " + fourNL + " not-learned", "-"},
		{"empty line", []any{rawAnswer("\r\n")}, "S not-smtp " + fourNL + " not-learned", "-"},
		{"garbage in line two", []any{rawAnswer("220-mx\r\nhello\r\n")}, "S not-smtp " + fourNL + " not-learned", "-"},
		{"421 greeting", []any{greets("421 too busy")}, "S S temporary temporary temporary temporary temporary", "Q"},
		{"450 greeting", []any{greets("450-a", "450 b")}, "S S temporary temporary temporary temporary temporary", "Q"},
		{"554 greeting", []any{greets("554-listed", "554 go away")}, "S S refused-us refused-us refused-us refused-us refused-us", "QQ"},
		{"521 greeting", []any{greets("521 no mail here")}, "S S n n n n n", "QQ"},
		{"521 greeting once", []any{greets("521 no mail here"), good}, whole, "QQ"},
		{"354 greeting", []any{script(func(s *peer) { s.greet("354 what"); s.wait() })}, "S S out-of-step out-of-step out-of-step out-of-step out-of-step", "-"},
		{"out of step after greeting", []any{rawAnswer("220 mx\r\n250 unasked\r\n")}, "S S out-of-step not-learned not-learned not-learned not-learned", "-"},

		// EHLO and HELO.
		{"EHLO unknown, HELO known", []any{ehloThenHelo("502 what", "250 mx")}, "S S !declined S n n n", "QQ"},
		{"EHLO 550, HELO known", []any{ehloThenHelo("550 what", "250 mx")}, "S S !declined S n n n", "QQ"},
		{"EHLO and HELO unknown", []any{ehloThenHelo("500 what", "502 what")}, "S S !declined !declined n n n", "QQ"},
		{"EHLO unknown, HELO refuses us", []any{ehloThenHelo("502 what", "550 not you")}, "S S !declined refused-us n n n", "QQ"},
		{"EHLO unknown, HELO temporary", []any{ehloThenHelo("502 what", "450 later")}, "S S !declined temporary n n n", "QQ"},
		{"EHLO unknown, HELO known the second time", []any{ehloThenHelo("500 what", "500 what"), ehloThenHelo("500 what", "250 mx")}, "S S !declined S n n n", "QQ"},
		{"EHLO unknown, HELO unknown once", []any{ehloThenHelo("500 what", "500 what"), ehloThenHelo("500 what", "450 later")}, "S S !declined seen-once n n n", "QQ"},
		{"our name refused", []any{ehloThenHelo("550 5.7.1 Host not found", "550 5.7.1 Host not found")}, "S S refused-us refused-us not-learned not-learned not-learned", "Q"},
		{"EHLO unknown once", []any{ehloThenHelo("502 what", "250 mx"), good}, whole, "QQ"},
		{"EHLO unknown, then turned away", []any{ehloThenHelo("502 what", "250 mx"), greets("421 busy")}, "S S seen-once S not-learned not-learned not-learned", "QQ"},
		{"EHLO and HELO unknown, then turned away", []any{ehloThenHelo("502 what", "502 what"), greets("421 busy")}, "S S seen-once seen-once not-learned not-learned not-learned", "QQ"},
		{"EHLO unknown, closes at HELO", []any{script(func(s *peer) { s.greet("220 mx"); s.answer(ehlo, "500 what"); s.want(helo) })}, "S S !declined closed n n n", "--"},
		{"EHLO temporary", []any{ehloAnswers("421 shutting down")}, "S S temporary not-learned not-learned not-learned not-learned", "Q"},
		{"421 before EHLO can be sent", []any{script(func(s *peer) {
			s.raw.in.update(func() { s.raw.in.err = os.NewSyscallError("write", syscall.EPIPE) })
			s.say("220 mx")
			time.Sleep(time.Millisecond)
			s.say("421 too many connections")
		})}, "S S temporary not-learned not-learned not-learned not-learned", "-"},
		{"hangs up before EHLO can be sent", []any{script(func(s *peer) {
			s.raw.in.update(func() { s.raw.in.err = os.NewSyscallError("write", syscall.EPIPE) })
			s.say("220 mx")
		})}, "S S reset not-learned not-learned not-learned not-learned", "--"},
		{"EHLO answered 354", []any{script(func(s *peer) { s.greet("220 mx"); s.answer(ehlo, "354 what"); s.wait() })}, "S S out-of-step not-learned not-learned not-learned not-learned", "-"},
		{"EHLO answered by a late greeting", []any{script(func(s *peer) { s.greet("220 mx"); s.answer(ehlo, "220 mx"); s.wait() })}, "S S out-of-step not-learned not-learned not-learned not-learned", "-"},
		{"EHLO stalls", []any{script(func(s *peer) { s.greet("220 mx"); s.want(ehlo); s.wait() })}, "S S timeout not-learned not-learned not-learned not-learned", "-"},
		{"closes at EHLO", []any{script(func(s *peer) { s.greet("220 mx"); s.want(ehlo) })}, "S S closed not-learned not-learned not-learned not-learned", "-"},
		{"resets at EHLO, twice", []any{script(func(s *peer) { s.greet("220 mx"); s.want(ehlo); reset(s) })}, "S S reset not-learned not-learned not-learned not-learned", "--"},
		{"resets at EHLO, once", []any{script(func(s *peer) { s.greet("220 mx"); s.want(ehlo); reset(s) }), good}, whole, "-Q"},
		{"garbage at EHLO", []any{script(func(s *peer) { s.greet("220 mx"); s.want(ehlo); s.say("hello"); s.wait() })}, "S S malformed not-learned not-learned not-learned not-learned", "-"},

		// STARTTLS offered.
		{"not offered twice", []any{script(plainOnly)}, noTLS, "QQ"},
		{"not offered once", []any{script(plainOnly), good}, whole, "QQ"},
		{"not offered, then declined", []any{script(plainOnly), declines}, "S S S n S disagree not-learned", "QQ"},
		{"not offered, then turned away", []any{script(plainOnly), greets("421 busy")}, "S S S n seen-once not-learned not-learned", "QQ"},
		{"not offered, then budget", []any{script(plainOnly), dial.ErrBudget}, "S S S n seen-once not-learned not-learned", "Q"},
		{"not offered, then refused", []any{script(plainOnly), refused()}, "S S S n disagree not-learned not-learned", "Q"},
		{"masked by a firewall", []any{ehloAnswers("250-mx", "250-XXXXXXXA", "250 XSTARTTLS")}, noTLS, "QQ"},
		{"STARTTLS as a parameter", []any{ehloAnswers("250-mx STARTTLS", "250 X STARTTLS")}, noTLS, "QQ"},
		{"every EHLO line with a space", []any{script(func(s *peer) { s.greet("220 mx"); s.answer(ehlo, "250 mx", "250 STARTTLS"); s.wait() })}, "S S S n out-of-step not-learned not-learned", "-"},
		{"every EHLO line with a space, each in its packet", []any{script(func(s *peer) {
			s.greet("220 mx")
			s.answer(ehlo, "250 mx")
			time.Sleep(time.Millisecond)
			s.say("250 STARTTLS")
			s.bye()
		})}, "S S S n out-of-step not-learned not-learned", "Q"},
		{"an unasked reply late behind the greeting", []any{script(func(s *peer) {
			s.greet("220 mx")
			time.Sleep(time.Millisecond)
			s.say("250 ready")
			time.Sleep(time.Millisecond)
			s.answer(ehlo, "250-mx", "250 STARTTLS")
			s.bye()
		})}, "S S S n out-of-step not-learned not-learned", "Q"},
		{"not offered, and 250 to QUIT", []any{script(func(s *peer) {
			s.greet("220 mx")
			s.answer(ehlo, "250 mx")
			s.answer("QUIT", "250 bye")
		})}, noTLS, "QQ"},
		{"not offered, and closes at QUIT", []any{script(func(s *peer) { s.greet("220 mx"); s.answer(ehlo, "250 mx"); s.want("QUIT") })}, noTLS, "QQ"},

		// STARTTLS asked for.
		{"declined twice", []any{declines}, fmt.Sprintf(atTLS, "!declined n"), "QQ"},
		{"declined once", []any{declines, good}, whole, "QQ"},
		{"declined for us", []any{afterEHLO(func(s *peer) { s.answer("STARTTLS", "554 5.7.1 Your address is blocked"); s.bye() })}, fmt.Sprintf(atTLS, "refused-us not-learned"), "Q"},
		{"declined, then broken", []any{declines, inTLS(closes)}, fmt.Sprintf(atTLS, "disagree not-learned"), "Q-"},
		{"454", []any{afterEHLO(hung)}, fmt.Sprintf(atTLS, "temporary not-learned"), "QQ"},
		{"421 at STARTTLS", []any{afterEHLO(func(s *peer) { s.answer("STARTTLS", "421 bye"); s.bye() })}, fmt.Sprintf(atTLS, "temporary not-learned"), "Q"},
		{"250 at STARTTLS", []any{afterEHLO(func(s *peer) { s.answer("STARTTLS", "250 ok"); s.wait() })}, fmt.Sprintf(atTLS, "out-of-step not-learned"), "-"},
		{"closes at STARTTLS", []any{afterEHLO(func(s *peer) { s.want("STARTTLS") })}, fmt.Sprintf(atTLS, "closed not-learned"), "-"},
		{"stalls at STARTTLS", []any{afterEHLO(func(s *peer) { s.want("STARTTLS"); s.wait() })}, fmt.Sprintf(atTLS, "timeout not-learned"), "-"},
		{"injection behind the 220", []any{afterEHLO(func(s *peer) { s.answer("STARTTLS", "220 go ahead", "250 STARTTLS"); s.wait() })}, fmt.Sprintf(atTLS, "out-of-step not-learned"), "-"},

		// Handshake.
		{"stalls twice", []any{inTLS(silence)}, fmt.Sprintf(atTLS, "tls-stall not-learned"), "--"},
		{"stalls once", []any{inTLS(silence), good}, whole, "-Q"},
		{"stalls, then broken", []any{inTLS(silence), inTLS(closes)}, fmt.Sprintf(atTLS, "seen-once not-learned"), "--"},
		{"alert twice", []any{inTLS(clientHello(rawAlert))}, fmt.Sprintf(atTLS, "!broken n"), "--"},
		{"garbage twice", []any{inTLS(clientHello(rawAnswer("500 what is this\r\n")))}, fmt.Sprintf(atTLS, "!broken n"), "--"},
		{"closes in the handshake twice", []any{inTLS(closes)}, fmt.Sprintf(atTLS, "!broken n"), "--"},
		{"closes after the ClientHello twice", []any{inTLS(clientHello(closes))}, fmt.Sprintf(atTLS, "!broken n"), "--"},
		{"resets in the handshake twice", []any{inTLS(clientHello(reset))}, fmt.Sprintf(atTLS, "!broken n"), "--"},
		{"resets in the handshake once", []any{inTLS(clientHello(reset)), good}, whole, "-QQ"}, // the third: was it the size?
		{"broken, then not offered", []any{inTLS(closes), script(plainOnly)}, fmt.Sprintf(atTLS, "disagree not-learned"), "-Q"},
		{"broken, then turned away", []any{inTLS(closes), greets("421 busy")}, fmt.Sprintf(atTLS, "seen-once not-learned"), "-Q"},

		// EHLO inside TLS.
		{"EHLO inside unknown twice", []any{ehloInside("503 out of sequence")}, fmt.Sprintf(insideNL, "!declined"), "QQ"},
		{"EHLO inside refuses us", []any{ehloInside("554 not you")}, fmt.Sprintf(insideNL, "refused-us"), "Q"},
		{"EHLO inside temporary", []any{ehloInside("421 later")}, fmt.Sprintf(insideNL, "temporary"), "Q"},
		{"closes inside TLS", []any{inTLS(func(s *peer) { s.tls(serve(cert)); s.want(ehlo) })}, fmt.Sprintf(insideNL, "closed"), "-"},
		{"stalls inside TLS", []any{inTLS(func(s *peer) { s.tls(serve(cert)); s.want(ehlo); s.wait() })}, fmt.Sprintf(insideNL, "timeout"), "-"},
		{"garbage under TLS", []any{inTLS(func(s *peer) { s.tls(serve(cert)); s.want(ehlo); s.conn = s.raw; s.send("garbage garbage"); drain(s) })}, fmt.Sprintf(insideNL, "tls-protocol"), "-"},
		{"needs a client certificate", []any{inTLS(func(s *peer) {
			s.tls(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert})
		})}, fmt.Sprintf(insideNL, "tls-protocol"), "-"},
		{"out of step after EHLO inside", []any{inTLS(func(s *peer) { s.tls(serve(cert)); s.answer(ehlo, "250 mx", "250 STARTTLS"); s.wait() })}, fmt.Sprintf(insideNL, "out-of-step"), "-"},

		// QUIT.
		{"mute at QUIT", []any{script(func(s *peer) {
			s.greet("220 mx.example.org ESMTP")
			s.answer(ehlo, "421 later")
			s.want("QUIT")
			s.wait()
		})}, "S S temporary not-learned not-learned not-learned not-learned", "Q"},
	} {
		d.run(t, nil)
	}
}

// TestSecondLookOffersEverything: only a handshake that failed is a reason to
// offer less the second time.
func TestSecondLookOffersEverything(t *testing.T) {
	declines := afterEHLO(func(s *peer) { s.answer("STARTTLS", "502 no"); s.bye() })
	dialogue{"declined once", []any{declines, complete(leaf(t, nil, nil))}, "S S S n S S S", "QQ"}.run(t,
		func(e audit.Endpoint, sessions []audit.Session) {
			if e.TLS.Value.Group != "X25519MLKEM768" || strings.Contains(transcriptText(sessions[1]), "post-quantum") {
				t.Errorf("group %q\n%s", e.TLS.Value.Group, transcriptText(sessions[1]))
			}
		})
}

// TestStrangerInTranscript: what does not speak SMTP is still taken down.
func TestStrangerInTranscript(t *testing.T) {
	dialogue{"SSH", []any{rawAnswer("SSH-2.0-x\x1b")}, "S not-smtp not-learned not-learned not-learned not-learned not-learned", "-"}.run(t,
		func(_ audit.Endpoint, sessions []audit.Session) {
			if text := transcriptText(sessions[0]); !strings.HasPrefix(text, `S: SSH-2.0-x\x1B`+"\n*: ") {
				t.Errorf("transcript:\n%s", text)
			}
		})
}

// silence swallows whatever comes, TLS records included.
func silence(s *peer) { drain(s) }

func drain(s *peer) {
	b := make([]byte, 4096)
	for {
		_, err := s.raw.Read(b)
		if err != nil {
			panic(hangUp{})
		}
	}
}

// clientHello waits for the ClientHello before it goes on.
func clientHello(then script) script {
	return func(s *peer) {
		_, err := s.raw.Read(make([]byte, 4096))
		if err != nil {
			panic(hangUp{})
		}
		then(s)
	}
}

// rawAlert answers the ClientHello with a fatal internal_error, as OpenSMTPD
// 6.8 does with OpenSSL 3.
func rawAlert(s *peer) {
	s.send("\x15\x03\x03\x00\x02\x02\x50")
	drain(s)
}

// TestFacts pins what a complete conversation puts into the facts and the
// transcript.
func TestFacts(t *testing.T) {
	root := authority(t, "Root", nil, nil)
	cert := leaf(t, root, nil)
	play := func(s *peer) {
		s.greet("220-mx.example.org ESMTP ready at Sat, 1 Jan 2000 00:00:00 +0000", "220 second line to [203.0.113.9]")
		s.answer(ehlo, "250-MX.example.org Hello probe [203.0.113.9]", "250-size 1000", "250-AUTH=PLAIN LOGIN", "250-AUTH PLAIN LOGIN", "250-X\x1bY", "250 StartTLS")
		s.answer("STARTTLS", "220 go ahead")
		s.tls(serve(cert))
		s.answer(ehlo, "250-mx.example.org", "250 SIZE 2000")
		s.bye()
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{script(play)}}
		p := New(Config{Dialer: w, HELO: testHELO, Roots: pool(root)})
		e, sessions := p.Probe(t.Context(), testTarget())
		if ends := w.check(p); ends != "Q" {
			t.Errorf("ended %q", ends)
		}
		wantGreeting := audit.Greeting{Code: 220, Name: "mx.example.org", Delay: audit.Prompt,
			Lines: []audit.Raw{"mx.example.org ESMTP ready at <date>", "second line to [<our address>]"}}
		if !reflect.DeepEqual(e.Greeting.Value, wantGreeting) {
			t.Errorf("greeting %+v", e.Greeting.Value)
		}
		wantHello := audit.Hello{Name: "MX.example.org", Text: "Hello probe [<our address>]",
			Keywords: []audit.Keyword{{Name: "SIZE", Params: "1000"}, {Name: "AUTH", Params: "PLAIN LOGIN"}, {Name: "STARTTLS"}}, Order: []string{"SIZE", "AUTH", "STARTTLS"}}
		if !reflect.DeepEqual(e.Hello.Value, wantHello) {
			t.Errorf("hello %+v", e.Hello.Value)
		}
		wantInside := audit.Hello{Name: "mx.example.org", Keywords: []audit.Keyword{{Name: "SIZE", Params: "2000"}}, Order: []string{"SIZE"}}
		if !reflect.DeepEqual(e.HelloTLS.Value, wantInside) {
			t.Errorf("hello inside TLS %+v", e.HelloTLS.Value)
		}
		got := e.TLS.Value
		if got.Version != "TLS 1.3" || !strings.HasPrefix(got.Cipher, "TLS_") || got.Group != "X25519MLKEM768" ||
			got.ChainLen != 1 || brief(got.Trust) != "S" || brief(got.NameMatch) != "S" {
			t.Errorf("TLS %+v", got)
		}
		want := []string{
			"S: 220-mx.example.org ESMTP ready at Sat, 1 Jan 2000 00:00:00 +0000", "S: 220 second line to [203.0.113.9]",
			"C: " + ehlo, `S: 250-X\x1BY`, "C: STARTTLS", "S: 220 go ahead", "*: TLS 1.3, " + got.Cipher, "S: 250 SIZE 2000", "C: QUIT",
		}
		rest := transcriptText(sessions[0])
		for _, line := range want {
			_, after, ok := strings.Cut(rest, line)
			if !ok {
				t.Fatalf("transcript lacks %q in order:\n%s", line, transcriptText(sessions[0]))
			}
			rest = after
		}
		if sessions[0].Outcome != "complete" || sessions[0].Greeting != 10*time.Millisecond {
			t.Errorf("outcome %q, greeting after %s", sessions[0].Outcome, sessions[0].Greeting)
		}
		if e.TLS.Via != "openssl s_client -starttls smtp -connect 192.0.2.25:25 -servername mx.example.org" || e.Greeting.Via != "nc 192.0.2.25 25" {
			t.Errorf("via %q, %q", e.TLS.Via, e.Greeting.Via)
		}
	})
}

// TestRoundTrips counts them: every answer takes 100 ms.
func TestRoundTrips(t *testing.T) {
	cert := leaf(t, nil, nil)
	const answer = 100 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		play := func(s *peer) {
			time.Sleep(answer)
			s.say("220 mx.example.org ESMTP")
			s.want(ehlo)
			time.Sleep(answer)
			s.say("250-mx.example.org", "250 STARTTLS")
			s.want("STARTTLS")
			time.Sleep(answer)
			s.say("220 go ahead")
			// One sleep before the first flight; session tickets would be a
			// second, unasked flight.
			config := serve(cert)
			config.SessionTicketsDisabled = true
			config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				time.Sleep(answer)
				return nil, nil
			}
			s.tls(config)
			s.want(ehlo)
			time.Sleep(answer)
			s.say("250 mx.example.org")
			s.want("QUIT")
			time.Sleep(answer)
			s.say("221 bye")
			s.wait()
		}
		w := &world{t: t, scripts: []any{script(play)}}
		p := New(Config{Dialer: slowDialer{w, answer}, HELO: testHELO})
		start := time.Now()
		e, sessions := p.Probe(t.Context(), testTarget())
		if got := time.Since(start); got != 6*answer {
			t.Errorf("a complete probe took %s, want six answers", got)
		}
		if got := summary(e); got != "S S S n S S S" {
			t.Errorf("got %s", got)
		}
		s := sessions[0]
		for i, d := range []time.Duration{s.Connect, s.Greeting, s.EHLO, s.StartTLS, s.TLS, s.EHLOTLS} {
			if d != answer {
				t.Errorf("step %d took %s, want %s", i, d, answer)
			}
		}
		w.check(p)
		if got := time.Since(start); got != 7*answer {
			t.Errorf("with the goodbye it took %s, want seven answers", got)
		}
	})
}

type slowDialer struct {
	*world
	delay time.Duration
}

func (d slowDialer) Host(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	time.Sleep(d.delay)
	return d.world.Host(ctx, remote)
}

// TestWaits pins how long each kind of silence is borne, in fake time.
func TestWaits(t *testing.T) {
	cert := leaf(t, nil, nil)
	slowly := func(text string) script { // an octet a second
		return func(s *peer) {
			for i := range text {
				s.send(text[i : i+1])
				time.Sleep(time.Second)
			}
		}
	}
	dripping := func(code string) script { return slowly(strings.Repeat(code+"-drip\r\n", 100)) }
	for _, tt := range []struct {
		name    string
		scripts []any
		took    time.Duration
		want    string
	}{
		{"no greeting", []any{script(mute)}, DefaultGreeting, "S timeout"},
		{"one octet a second", []any{dripping("220")}, DefaultGreeting, "S timeout"},
		{"one octet a second at EHLO", []any{script(func(s *peer) { s.say("220 mx"); s.want(ehlo); dripping("250")(s) })}, DefaultReply, "S S timeout"},
		{"one octet a second at STARTTLS", []any{afterEHLO(func(s *peer) { s.want("STARTTLS"); dripping("220")(s) })}, greetTook + DefaultReply, "S S S n S timeout"},
		{"one octet a second in the handshake", []any{inTLS(clientHello(slowly("\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + strings.Repeat("\x03", 200))))},
			2*(greetTook+DefaultHandshake) + DefaultConfirmAfter, "S S S n S tls-stall"},
		{"one octet a second inside TLS", []any{inTLS(func(s *peer) { s.tls(serve(cert)); s.want(ehlo); dripping("250")(s) })}, greetTook + DefaultReply, "S S S n S S timeout"},
		{"one octet a second at QUIT", []any{script(func(s *peer) { s.say("220 mx"); s.answer(ehlo, "250 mx"); s.want("QUIT"); dripping("221")(s) })},
			2*goodbyeLimit + DefaultConfirmAfter, "S S S n !not-offered"},
		{"no reply to EHLO", []any{script(func(s *peer) { s.say("220 mx"); s.wait() })}, DefaultReply, "S S timeout"},
		{"not offered", []any{script(func(s *peer) { s.say("220 mx"); s.answer(ehlo, "250 mx"); s.bye() })}, DefaultConfirmAfter, "S S S n !not-offered"},
		{"not offered, mute at QUIT", []any{script(func(s *peer) { s.say("220 mx"); s.answer(ehlo, "250 mx"); s.wait() })}, DefaultConfirmAfter + 2*goodbyeLimit, "S S S n !not-offered"},
		{"refused", []any{refused()}, DefaultConfirmAfter, "!conn-refused"},
		{"TLS stall", []any{script(func(s *peer) {
			s.say("220 mx")
			s.answer(ehlo, "250-mx", "250 STARTTLS")
			s.answer("STARTTLS", "220 go")
			drain(s)
		})}, 2*DefaultHandshake + DefaultConfirmAfter, "S S S n S tls-stall"},
		{"slow at every step", []any{script(func(s *peer) {
			time.Sleep(59 * time.Second)
			s.say("220 mx")
			s.want(ehlo)
			time.Sleep(19 * time.Second)
			s.say("250-mx", "250 STARTTLS")
			s.want("STARTTLS")
			time.Sleep(19 * time.Second)
			s.say("220 go")
			s.tls(serve(cert))
			s.want(ehlo)
			time.Sleep(19 * time.Second)
			s.say("250 mx")
			s.bye()
		})}, 116 * time.Second, "S S S n S S S"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: tt.scripts}
				p := New(Config{Dialer: w, HELO: testHELO})
				start := time.Now()
				e, _ := p.Probe(t.Context(), testTarget())
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if got := summary(e); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got %s, want %s ...", got, tt.want)
				}
				w.check(p)
			})
		})
	}
}

// TestSessionLimit: the whole connection is bounded, not only its steps.
func TestSessionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{script(func(s *peer) { time.Sleep(25 * time.Second); s.say("220 mx"); s.wait() })}}
		p := New(Config{Dialer: w, HELO: testHELO, Limits: Limits{Session: 30 * time.Second}})
		start := time.Now()
		e, _ := p.Probe(t.Context(), testTarget())
		if took := time.Since(start); took != 30*time.Second || brief(e.Hello) != "timeout" {
			t.Errorf("hello %s after %s, want timeout after 30 s", brief(e.Hello), took)
		}
		if e.Greeting.Value.Delay != audit.Paused {
			t.Errorf("delay %q, want %q", e.Greeting.Value.Delay, audit.Paused)
		}
		w.check(p)
	})
}

// TestContext: the end of ctx is the reason, whatever was going on, and never
// a negative.
func TestContext(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script any
		want   string
	}{
		{"in the greeting", script(mute), "S deadline not-learned not-learned not-learned not-learned not-learned"},
		{"at EHLO", script(func(s *peer) { s.greet("220 mx"); s.wait() }), "S S deadline not-learned not-learned not-learned not-learned"},
		{"in the handshake", inTLS(silence), "S S S n S deadline not-learned"},
		{"before the second look", script(plainOnly), "S S S n seen-once not-learned not-learned"},
		{"refused, before the second look", refused(), "seen-once not-learned not-learned not-learned not-learned not-learned not-learned"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				w := &world{t: t, scripts: []any{tt.script}}
				p := New(Config{Dialer: w, HELO: testHELO})
				start := time.Now()
				e, _ := p.Probe(ctx, testTarget())
				if got := summary(e); got != tt.want || time.Since(start) != 3*time.Second {
					t.Errorf("after %s got %s\nwant %s", time.Since(start), got, tt.want)
				}
				w.check(p)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{t: t, scripts: []any{script(mute)}}
		p := New(Config{Dialer: w, HELO: testHELO})
		time.AfterFunc(time.Second, cancel)
		e, _ := p.Probe(ctx, testTarget())
		if brief(e.Greeting) != "interrupted" {
			t.Errorf("greeting %s, want interrupted", brief(e.Greeting))
		}
		w.check(p)
	})
}

// TestGoodbyeOutlivesProbe: the caller's ctx may end as soon as Probe has
// returned; QUIT is still said in order. And a Drain that may not wait does
// not.
func TestGoodbyeOutlivesProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{script(func(s *peer) {
			s.greet("220 mx")
			s.answer(ehlo, "421 later")
			s.want("QUIT")
			time.Sleep(time.Second)
			s.say("221 bye")
			s.wait()
		})}}
		p := New(Config{Dialer: w, HELO: testHELO})
		ctx, cancel := context.WithCancel(t.Context())
		p.Probe(ctx, testTarget())
		cancel()
		start := time.Now()
		p.Drain(ctx)
		if time.Since(start) != 0 {
			t.Error("Drain waited although its ctx had ended")
		}
		if ends := w.check(p); ends != "Q" || time.Since(start) != time.Second {
			t.Errorf("ended %q after %s", ends, time.Since(start))
		}
	})
}

// TestHELO: nothing is contacted under a name that is none, and no name can
// smuggle a line end.
func TestHELO(t *testing.T) {
	for name, want := range map[string]bool{
		"probe.example.net": true, "Probe.Example.NET": true, "localhost": true, "[192.0.2.1]": true, "[IPv6:2001:db8::1]": true,
		"": false, "a b": false, "x\r\nMAIL FROM:<>": false, "x\n": false, "under_score.example": false, "dot.example.": false,
		"[2001:db8::1]": false, "[IPv6:192.0.2.1]": false, "[IPv6:fe80::1%eth0]": false, "[192.0.2.1": false, "[x\r\n]": false,
	} {
		if got := validHELO(name); got != want {
			t.Errorf("validHELO(%q) = %t", name, got)
		}
	}
	w := &world{t: t, scripts: []any{script(mute)}}
	e, sessions := New(Config{Dialer: w, HELO: "x\r\ny"}).Probe(t.Context(), testTarget())
	if len(w.dialed) != 0 || len(sessions) != 0 {
		t.Errorf("%d connections, %d sessions", len(w.dialed), len(sessions))
	}
	if got := summary(e); got != strings.TrimSpace(strings.Repeat("local-error ", 7)) {
		t.Errorf("got %s", got)
	}
}
