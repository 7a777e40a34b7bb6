package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// ending is a dialogue of one of the other modes, with the sentence that the
// audit gives for its end: the first reason that is no consequence of another.
type ending struct {
	dialogue
	text string // "": no step has a reason of its own
}

func (d ending) runIn(t *testing.T, mode audit.Mode) {
	d.dialogue.runIn(t, mode, func(e audit.Endpoint, _ []audit.Session) {
		if got := rootCause(e); got != d.text {
			t.Errorf("reason %q\nwant   %q", got, d.text)
		}
	})
}

func rootCause(e audit.Endpoint) string {
	for _, why := range []audit.Reason{e.Connect.Why, e.TLS.Why, e.Greeting.Why, e.Hello.Why, e.StartTLS.Why, e.HelloTLS.Why} {
		switch why.Code {
		case "", audit.NotApplicable, audit.NotAsked, audit.NotLearned:
			continue
		}
		return why.Text
	}
	return ""
}

// atOnce goes on inside TLS that was there from the first byte.
func atOnce(cert tls.Certificate, then script) script {
	return func(s *peer) { s.tls(serve(cert)); then(s) }
}

// completeAtOnce lists STARTTLS inside TLS, which some do and which is noted.
func completeAtOnce(cert tls.Certificate) script {
	return atOnce(cert, func(s *peer) {
		s.greet("220 mx.example.org ESMTP")
		s.answer(ehlo, "250-mx.example.org", "250-AUTH PLAIN", "250 STARTTLS")
		s.bye()
	})
}

// begun is the beginning of a ServerHello, and no more of it.
const begun = "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"

// greetsAnyway greets in clear and takes the ClientHello for what it likes.
func greetsAnyway(text string) script {
	return func(s *peer) { s.send(text); drain(s) }
}

// The sentences of modes that do not fit.
const (
	tryTLS      = "what answers speaks TLS from the first byte: try mode tls"
	trySTARTTLS = "the server greets in clear text: try mode starttls"
	noSMTP      = "what answers does not speak SMTP: it does not begin with a reply code"
	noTLSThere  = "what answers does not speak TLS"
	noWord      = "the connection was closed or reset before the server had sent anything"
	once        = "seen once and not confirmed: "
	twoAnswers  = "two connections gave two answers, one of them being: "
	alerted     = `the server ends the TLS handshake with the alert "internal error"`
)

// TestTLSMode is every way in which a conversation can end that is TLS from
// the first byte. Hello, HELO and STARTTLS never apply.
func TestTLSMode(t *testing.T) {
	cert := leaf(t, nil, nil)
	good := completeAtOnce(cert)
	in := func(then script) script { return atOnce(cert, then) }
	const (
		whole = "S S n n n S S"
		atTLS = "S %s n n n %s %s"
	)
	unseen := func(code string) string { return fmt.Sprintf(atTLS, "not-learned", code, "not-learned") }
	turned := func(code string) string { return fmt.Sprintf(atTLS, code, code, code) }
	broken := fmt.Sprintf(atTLS, "n", "!broken", "n")
	for _, d := range []ending{
		{dialogue{"complete", []any{good}, whole, "Q"}, ""},

		// Connect.
		{dialogue{"refused twice", []any{refused()}, "!conn-refused n n n n n n", ""}, "the connection was refused"},
		{dialogue{"refused once", []any{refused(), good}, whole, "Q"}, ""},
		{dialogue{"refused, then broken", []any{refused(), clientHello(rawAlert)}, unseen("disagree"), "-"}, twoAnswers + alerted},
		{dialogue{"refused, then timeout", []any{refused(), errno(syscall.ETIMEDOUT)}, "seen-once not-learned n n n not-learned not-learned", ""}, once + "the connection was refused"},
		{dialogue{"timeout once", []any{errno(syscall.ETIMEDOUT), good}, whole, "Q"}, ""},
		{dialogue{"no route", []any{errno(syscall.ENETUNREACH)}, "no-route not-learned n n n not-learned not-learned", ""}, "there is no way to this address from here (no IPv6, for example)"},
		{dialogue{"budget", []any{dial.ErrBudget}, "budget not-learned n n n not-learned not-learned", ""}, "not contacted again, because the connection budget of the address is used up"},

		// Handshake: broken after something of TLS has come.
		{dialogue{"alert twice", []any{clientHello(rawAlert)}, broken, "--"}, alerted},
		{dialogue{"alert once", []any{clientHello(rawAlert), good}, whole, "-QQ"}, ""},
		{dialogue{"alert, then silence", []any{clientHello(rawAlert), script(silence)}, unseen("seen-once"), "--"}, once + alerted},
		{dialogue{"alert, then budget", []any{clientHello(rawAlert), dial.ErrBudget}, unseen("seen-once"), "-"}, once + alerted},
		{dialogue{"alert, then refused", []any{clientHello(rawAlert), refused()}, unseen("disagree"), "-"}, twoAnswers + alerted},
		{dialogue{"closes within TLS twice", []any{clientHello(func(s *peer) { s.send(begun) })}, broken, "--"}, "the server closes the connection during the TLS handshake"},
		{dialogue{"resets within TLS twice", []any{clientHello(func(s *peer) { s.send(begun); time.Sleep(time.Millisecond); reset(s) })}, broken, "--"}, "the connection is reset during the TLS handshake"},
		{dialogue{"nonsense in a record twice", []any{clientHello(rawAnswer("\x16\x03\x03\x00\x04\xff\x00\x00\x00"))}, broken, "--"}, "the server breaks the TLS protocol in the handshake"},
		{dialogue{"text behind a record twice", []any{clientHello(rawAnswer("\x16\x03\x03\x00\x04\x02\x00\x00\x76220 mx.example.org\r\n"))}, broken, "--"}, "the server breaks the TLS protocol in the handshake"},

		// Handshake: nothing of TLS came, so nothing is broken.
		{dialogue{"stalls twice", []any{script(silence)}, unseen("tls-stall"), "--"}, "the TLS handshake did not finish in time"},
		{dialogue{"stalls once", []any{script(silence), good}, whole, "-Q"}, ""},
		{dialogue{"stalls within TLS twice", []any{clientHello(rawAnswer(begun))}, unseen("tls-stall"), "--"}, "the TLS handshake did not finish in time"},
		{dialogue{"closes at once, twice", []any{script(closes)}, unseen("closed"), "--"}, noWord},
		{dialogue{"closes after the ClientHello twice", []any{clientHello(closes)}, unseen("closed"), "--"}, noWord},
		{dialogue{"closes at once, once", []any{script(closes), good}, whole, "-QQ"}, ""},
		{dialogue{"closes, then broken", []any{clientHello(closes), clientHello(rawAlert)}, unseen("seen-once"), "--"}, once + alerted},
		{dialogue{"resets after the ClientHello twice", []any{clientHello(reset)}, unseen("closed"), "--"}, noWord},
		{dialogue{"resets after the ClientHello once", []any{clientHello(reset), good}, whole, "-QQ"}, ""},

		// Handshake: something else answers.
		{dialogue{"greets in clear twice", []any{greetsAnyway("220 mx.example.org ESMTP\r\n")}, unseen("clear-text"), "--"}, trySTARTTLS},
		{dialogue{"greets in clear, many lines", []any{greetsAnyway("220-mx.example.org ESMTP\r\n220 hello\r\n")}, unseen("clear-text"), "--"}, trySTARTTLS},
		{dialogue{"greets in clear late", []any{script(func(s *peer) { time.Sleep(6 * time.Second); greetsAnyway("220 mx\r\n")(s) })}, unseen("clear-text"), "--"}, trySTARTTLS},
		{dialogue{"greets in clear by octets", []any{script(func(s *peer) {
			for _, c := range "220 mx.example.org ESMTP\r\n" {
				s.send(string(c))
				time.Sleep(time.Millisecond)
			}
			drain(s)
		})}, unseen("clear-text"), "--"}, trySTARTTLS},
		{dialogue{"greets in clear once", []any{greetsAnyway("220 mx\r\n"), good}, whole, "-Q"}, ""},
		{dialogue{"greets in clear, then broken", []any{greetsAnyway("220 mx\r\n"), clientHello(rawAlert)}, unseen("seen-once"), "--"}, once + alerted},
		{dialogue{"broken, then greets in clear", []any{clientHello(rawAlert), greetsAnyway("220 mx\r\n")}, unseen("seen-once"), "--"}, once + alerted},
		{dialogue{"421 in clear", []any{greetsAnyway("421 too many connections\r\n")}, turned("temporary"), "-"}, "the server turned this connection away in clear text for the time being (4xx)"},
		{dialogue{"554 in clear", []any{greetsAnyway("554 go away\r\n")}, turned("refused-us"), "-"}, "the server refused this connection in clear text (5xx), which may be about our address"},
		{dialogue{"354 in clear", []any{greetsAnyway("354 what\r\n")}, unseen("not-smtp"), "-"}, noTLSThere},
		{dialogue{"a number in clear", []any{greetsAnyway("22050 mx\r\n")}, unseen("not-smtp"), "-"}, noTLSThere},
		{dialogue{"a code in clear, then the end", []any{clientHello(func(s *peer) { s.send("220") })}, unseen("not-smtp"), "-"}, noTLSThere},
		{dialogue{"a code and a space in clear, then the end", []any{clientHello(func(s *peer) { s.send("220 ") })}, unseen("clear-text"), "--"}, trySTARTTLS},
		{dialogue{"SSH", []any{greetsAnyway("SSH-2.0-OpenSSH_9.2\r\n")}, unseen("not-smtp"), "-"}, noTLSThere},
		{dialogue{"HTTP", []any{clientHello(rawAnswer("HTTP/1.1 400 Bad Request\r\n\r\n"))}, unseen("not-smtp"), "-"}, noTLSThere},
		{dialogue{"hardly an alert", []any{clientHello(rawAnswer("\x15\x02\x02\x00\x00\x00"))}, unseen("not-smtp"), "-"}, noTLSThere},
		{dialogue{"hardly a handshake", []any{clientHello(func(s *peer) { s.send("\x16.") })}, unseen("not-smtp"), "-"}, noTLSThere},

		// Greeting, inside TLS.
		{dialogue{"closes before greeting", []any{in(closes)}, "S closed n n n S not-learned", "-"}, "the server closed the connection before the greeting was complete"},
		{dialogue{"resets within greeting", []any{in(func(s *peer) { s.send("220-mx"); time.Sleep(time.Second); reset(s) })}, "S reset n n n S not-learned", "-"}, "the connection was reset before the greeting was complete"},
		{dialogue{"never greets", []any{in(mute)}, "S timeout n n n S not-learned", "-"}, "the greeting did not come in time"},
		{dialogue{"IMAP", []any{in(rawAnswer("* OK ready\r\n"))}, "S not-smtp n n n S not-learned", "-"}, noSMTP},
		{dialogue{"TLS inside TLS", []any{in(rawAnswer("\x15\x03\x01\x00\x02\x02\x46"))}, "S not-smtp n n n S not-learned", "-"}, noSMTP},
		{dialogue{"needs a client certificate", []any{script(func(s *peer) {
			s.tls(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert})
		})}, "S tls-protocol n n n S not-learned", "-"}, "TLS broke down before the greeting was complete"},
		{dialogue{"421 greeting", []any{in(greets("421 too busy"))}, "S S n n n S temporary", "Q"}, "the greeting turned this connection away for the time being (4xx)"},
		{dialogue{"554 greeting", []any{in(greets("554 go away"))}, "S S n n n S refused-us", "QQ"}, "the greeting refused this connection (5xx), which may be about our address"},
		{dialogue{"521 greeting", []any{in(greets("521 no mail here"))}, "S S n n n S n", "QQ"}, ""},
		{dialogue{"521 greeting once", []any{in(greets("521 no mail here")), good}, whole, "QQ"}, ""},
		{dialogue{"354 greeting", []any{in(func(s *peer) { s.greet("354 what"); s.wait() })}, "S S n n n S out-of-step", "-"}, "the greeting has a code that no greeting has"},
		{dialogue{"out of step after greeting", []any{in(rawAnswer("220 mx\r\n250 unasked\r\n"))}, "S S n n n S out-of-step", "-"}, "the server sent replies that belong to no command"},

		// EHLO and HELO, inside TLS.
		{dialogue{"EHLO unknown, HELO known", []any{in(ehloThenHelo("502 what", "250 mx"))}, "S S n n n S !declined", "QQ"}, "the server refuses EHLO inside TLS (5xx)"},
		{dialogue{"EHLO 550, HELO known", []any{in(ehloThenHelo("550 what", "250 mx"))}, "S S n n n S !declined", "QQ"}, "the server refuses EHLO inside TLS (5xx)"},
		{dialogue{"EHLO and HELO unknown", []any{in(ehloThenHelo("500 what", "502 what"))}, "S S n n n S !declined", "QQ"}, "the server refuses EHLO inside TLS (5xx)"},
		{dialogue{"EHLO 503, HELO 503", []any{in(ehloThenHelo("503 what", "503 what"))}, "S S n n n S refused-us", "Q"}, "EHLO inside TLS was refused (5xx), which may be about our name or address"},
		{dialogue{"our name refused", []any{in(ehloThenHelo("550 5.7.1 Host not found", "550 5.7.1 Host not found"))}, "S S n n n S refused-us", "Q"}, "EHLO inside TLS was refused (5xx), which may be about our name or address"},
		{dialogue{"EHLO unknown once", []any{in(ehloThenHelo("502 what", "250 mx")), good}, whole, "QQ"}, ""},
		{dialogue{"EHLO unknown, then turned away", []any{in(ehloThenHelo("502 what", "250 mx")), in(greets("421 busy"))}, "S S n n n S seen-once", "QQ"}, once + "the server refuses EHLO inside TLS (5xx)"},
		{dialogue{"EHLO unknown, then broken", []any{in(ehloThenHelo("502 what", "250 mx")), clientHello(rawAlert)}, "S S n n n S disagree", "Q-"}, twoAnswers + "the server refuses EHLO inside TLS (5xx)"},
		{dialogue{"EHLO unknown, closes at HELO", []any{in(func(s *peer) { s.greet("220 mx"); s.answer(ehlo, "500 what"); s.want(helo) })}, "S S n n n S !declined", "--"}, "the server refuses EHLO inside TLS (5xx)"},
		{dialogue{"EHLO temporary", []any{in(ehloAnswers("421 shutting down"))}, "S S n n n S temporary", "Q"}, "EHLO inside TLS was refused for the time being (4xx)"},
		{dialogue{"EHLO answered 354", []any{in(func(s *peer) { s.greet("220 mx"); s.answer(ehlo, "354 what"); s.wait() })}, "S S n n n S out-of-step", "-"}, "the reply to EHLO inside TLS has a code that does not belong to the command"},
		{dialogue{"EHLO stalls", []any{in(func(s *peer) { s.greet("220 mx"); s.want(ehlo); s.wait() })}, "S S n n n S timeout", "-"}, "the reply to EHLO inside TLS did not come in time"},
		{dialogue{"closes at EHLO", []any{in(func(s *peer) { s.greet("220 mx"); s.want(ehlo) })}, "S S n n n S closed", "-"}, "the server closed the connection before the reply to EHLO inside TLS was complete"},
		{dialogue{"resets at EHLO, twice", []any{in(func(s *peer) { s.greet("220 mx"); s.want(ehlo); reset(s) })}, "S S n n n S reset", "--"}, "the connection was reset before the reply to EHLO inside TLS was complete"},
		{dialogue{"resets at EHLO, once", []any{in(func(s *peer) { s.greet("220 mx"); s.want(ehlo); reset(s) }), good}, whole, "-Q"}, ""},
		{dialogue{"garbage at EHLO", []any{in(func(s *peer) { s.greet("220 mx"); s.want(ehlo); s.say("hello"); s.wait() })}, "S S n n n S malformed", "-"}, "the reply to EHLO inside TLS is not an SMTP reply"},
		{dialogue{"garbage under TLS", []any{in(func(s *peer) { s.greet("220 mx"); s.want(ehlo); s.conn = s.raw; s.send("garbage garbage"); drain(s) })}, "S S n n n S tls-protocol", "-"}, "TLS broke down before the reply to EHLO inside TLS was complete"},
		{dialogue{"out of step after EHLO", []any{in(func(s *peer) { s.greet("220 mx"); s.answer(ehlo, "250 mx", "250 AUTH PLAIN"); s.wait() })}, "S S n n n S out-of-step", "-"}, "the server sent replies that belong to no command"},
	} {
		d.runIn(t, audit.ModeTLS)
	}
}

// TestPlainMode is every way in which a conversation in clear can end. Whatever
// happens, TLS was not asked about; bye checks that STARTTLS is never sent.
func TestPlainMode(t *testing.T) {
	offers := afterEHLO(func(s *peer) { s.bye() })
	notOffered := "STARTTLS is not in the reply to EHLO"
	const whole = "S S S n S - -"
	for _, d := range []ending{
		{dialogue{"complete", []any{offers}, whole, "Q"}, ""},

		// Connect and greeting.
		{dialogue{"refused twice", []any{refused()}, "!conn-refused n n n n - -", ""}, "the connection was refused"},
		{dialogue{"refused once", []any{refused(), offers}, whole, "Q"}, ""},
		{dialogue{"no route", []any{errno(syscall.ENETUNREACH)}, "no-route not-learned not-learned not-learned not-learned - -", ""}, "there is no way to this address from here (no IPv6, for example)"},
		{dialogue{"closes before greeting", []any{script(closes)}, "S closed not-learned not-learned not-learned - -", "-"}, "the server closed the connection before the greeting was complete"},
		{dialogue{"never greets", []any{script(mute)}, "S timeout not-learned not-learned not-learned - -", "-"}, "the greeting did not come in time"},
		{dialogue{"421 greeting", []any{greets("421 too busy")}, "S S temporary temporary temporary - -", "Q"}, "the greeting turned this connection away for the time being (4xx)"},
		{dialogue{"554 greeting", []any{greets("554 go away")}, "S S refused-us refused-us refused-us - -", "QQ"}, "the greeting refused this connection (5xx), which may be about our address"},
		{dialogue{"521 greeting", []any{greets("521 no mail here")}, "S S n n n - -", "QQ"}, ""},
		{dialogue{"521 greeting once", []any{greets("521 no mail here"), offers}, whole, "QQ"}, ""},

		// EHLO and HELO.
		{dialogue{"EHLO unknown, HELO known", []any{ehloThenHelo("502 what", "250 mx")}, "S S !declined S n - -", "QQ"}, "the server refuses EHLO (5xx)"},
		{dialogue{"our name refused", []any{ehloThenHelo("550 who", "550 who")}, "S S refused-us refused-us not-learned - -", "Q"}, "EHLO was refused (5xx), which may be about our name or address"},
		{dialogue{"EHLO temporary", []any{ehloAnswers("421 shutting down")}, "S S temporary not-learned not-learned - -", "Q"}, "EHLO was refused for the time being (4xx)"},
		{dialogue{"resets at EHLO, once", []any{script(func(s *peer) { s.greet("220 mx"); s.want(ehlo); reset(s) }), offers}, whole, "-Q"}, ""},

		// STARTTLS offered.
		{dialogue{"not offered twice", []any{script(plainOnly)}, "S S S n !not-offered - -", "QQ"}, notOffered},
		{dialogue{"not offered once", []any{script(plainOnly), offers}, whole, "QQ"}, ""},
		{dialogue{"not offered, then turned away", []any{script(plainOnly), greets("421 busy")}, "S S S n seen-once - -", "QQ"}, once + notOffered},
		{dialogue{"not offered, then refused", []any{script(plainOnly), refused()}, "S S S n disagree - -", "Q"}, twoAnswers + notOffered},
		{dialogue{"not offered, then budget", []any{script(plainOnly), dial.ErrBudget}, "S S S n seen-once - -", "Q"}, once + notOffered},
		{dialogue{"every EHLO line with a space", []any{script(func(s *peer) { s.greet("220 mx"); s.answer(ehlo, "250 mx", "250 STARTTLS"); s.wait() })}, "S S S n out-of-step - -", "-"}, "the server sent replies that belong to no command"},
	} {
		d.runIn(t, audit.ModePlain)
	}
}

// TestTLSOnlyPort: where a greeting is waited for and a TLS server loses
// patience, what it sends gives it away. What only looks like a record at its
// first octet does not.
func TestTLSOnlyPort(t *testing.T) {
	for sent, text := range map[string]string{
		"\x15\x03\x01\x00\x02\x02\x46": tryTLS,
		"\x15\x03\x03\x00\x02\x02\x0a": tryTLS, // unexpected_message is a line end
		"\x15\x03\x03\x00\x02\x01\x00": tryTLS, // close_notify
		begun:                          tryTLS,
		"\x15":                         tryTLS,
		"\x15\x02\x00":                 noSMTP,
		"\x16 hello":                   noSMTP,
		"\x17\x03\x03\x00\x02":         noSMTP,
		"220-mx\r\n\x15\x03\x01":       noSMTP,
		"\r\n":                         noSMTP,
	} {
		for mode, rest := range map[audit.Mode]string{
			"":                 "not-learned not-learned not-learned not-learned not-learned",
			audit.ModeSTARTTLS: "not-learned not-learned not-learned not-learned not-learned",
			audit.ModePlain:    "not-learned not-learned not-learned - -",
		} {
			code := map[bool]string{true: "tls-only ", false: "not-smtp "}[text == tryTLS]
			d := dialogue{fmt.Sprintf("%q in mode %q", sent, mode), []any{rawAnswer(sent)}, "S " + code + rest, "-"}
			ending{d, text}.runIn(t, mode)
		}
	}
}

func TestIsRecord(t *testing.T) {
	for b, want := range map[string]bool{
		"\x15": true, "\x16": true, "\x15\x03": true, "\x16\x03\x03": true,
		"": false, "\x14": false, "\x14\x03": false, "\x17\x03": false, "\x15\x02": false, "\x16\x04": false, "220 mx": false, "\x03\x16": false,
	} {
		if got := isRecord([]byte(b)); got != want {
			t.Errorf("isRecord(%q) = %t", b, got)
		}
	}
}

// TestClearTextInTranscript: what came in clear in place of TLS is taken down,
// its first line at least, before the remark on what became of the handshake.
func TestClearTextInTranscript(t *testing.T) {
	for name, tt := range map[string]struct {
		text, want string
		ends       string
	}{
		"greeting":   {"220-mx.example.org\x1b ESMTP\r\n220 hi\r\n", `S: 220-mx.example.org\x1B ESMTP`, "--"},
		"not a line": {"SSH-2.0-x", "S: SSH-2.0-x", "-"},
		"long":       {"220 " + strings.Repeat("x", 3*maxLine) + "\r\n", "S: 220 xxx", "--"},
	} {
		states := map[bool]string{true: "not-smtp", false: "clear-text"}[tt.ends == "-"]
		d := dialogue{name, []any{greetsAnyway(tt.text)}, "S not-learned n n n " + states + " not-learned", tt.ends}
		d.runIn(t, audit.ModeTLS, func(_ audit.Endpoint, sessions []audit.Session) {
			for _, s := range sessions {
				text := transcriptText(s)
				if !strings.HasPrefix(text, tt.want) || !strings.HasSuffix(text, "\n*: TLS: tls: first record does not look like a TLS handshake\n") || len(s.Lines) != 2 {
					t.Errorf("transcript:\n%s", text)
				}
				if len(s.Lines[0].Text) > maxLine {
					t.Errorf("a line of %d octets", len(s.Lines[0].Text))
				}
			}
		})
	}
}

// deafDialer is a world whose connections cannot be written to.
type deafDialer struct {
	*world
	errno syscall.Errno
}

func (d deafDialer) Host(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	c, err := d.world.Host(ctx, remote)
	if err == nil {
		out := c.(*memConn).out
		out.update(func() { out.err = os.NewSyscallError("write", d.errno) })
	}
	return c, err
}

// TestHangsUpBeforeClientHello: a server that turns a client away and closes
// may be gone before the ClientHello is written. Its words are still read.
func TestHangsUpBeforeClientHello(t *testing.T) {
	for name, tt := range map[string]struct {
		play       script
		want, text string
		errno      syscall.Errno
	}{
		"554": {func(s *peer) { s.say("554 go away") }, "S refused-us n n n refused-us refused-us",
			"the server refused this connection in clear text (5xx), which may be about our address", syscall.EPIPE},
		"alert":   {func(s *peer) { s.send("\x15\x03\x03\x00\x02\x02\x50") }, "S n n n n !broken n", "the connection is reset during the TLS handshake", syscall.EPIPE},
		"no word": {closes, "S not-learned n n n closed not-learned", noWord, syscall.EPIPE},
		"the way broke": {func(*peer) { time.Sleep(DefaultHandshake) }, "S not-learned n n n unreachable not-learned",
			"a router on the way reports that the host is unreachable", syscall.EHOSTUNREACH},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{tt.play}}
				p := New(Config{Dialer: deafDialer{w, tt.errno}, HELO: testHELO})
				start := time.Now()
				e, _ := p.Probe(t.Context(), testTarget().in(audit.ModeTLS))
				if got := summary(e); got != tt.want || rootCause(e) != tt.text {
					t.Errorf("got %s (%s)\nwant %s (%s)", got, rootCause(e), tt.want, tt.text)
				}
				if took := time.Since(start); took > DefaultConfirmAfter {
					t.Errorf("took %s", took)
				}
				w.check(p)
			})
		})
	}
}

// TestWatched: the first octets are kept in whatever pieces they come, and no
// more than a line of them.
func TestWatched(t *testing.T) {
	text := strings.Repeat("0123456789", maxLine/10+20)
	c := &watched{Conn: onlyReader{iotest.OneByteReader(strings.NewReader(text))}}
	for range text {
		_, err := c.Read(make([]byte, 16))
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(c.first, []byte(text[:maxLine])) {
		t.Errorf("%d octets kept, want the first %d", len(c.first), maxLine)
	}
}

type onlyReader struct {
	src interface{ Read([]byte) (int, error) }
}

func (r onlyReader) Read(b []byte) (int, error)       { return r.src.Read(b) }
func (onlyReader) Write([]byte) (int, error)          { return 0, net.ErrClosed }
func (onlyReader) Close() error                       { return nil }
func (onlyReader) LocalAddr() net.Addr                { return nil }
func (onlyReader) RemoteAddr() net.Addr               { return nil }
func (onlyReader) SetDeadline(time.Time) error        { return nil }
func (onlyReader) SetReadDeadline(t time.Time) error  { return nil }
func (onlyReader) SetWriteDeadline(t time.Time) error { return nil }

// TestModeSecondHandshake: a second handshake offers less where the first may
// have been too large, and all of it where the first was met in clear. See
// TestLargeClientHello for the third.
func TestModeSecondHandshake(t *testing.T) {
	good := completeAtOnce(leaf(t, nil, nil))
	const remarked = "*: the first handshake offered post-quantum groups"
	for name, tt := range map[string]struct {
		first script
		group string
	}{
		"stall":    {silence, "X25519"},
		"in clear": {greetsAnyway("220 mx\r\n"), "X25519MLKEM768"},
		"no EHLO":  {atOnce(leaf(t, nil, nil), ehloThenHelo("502 what", "250 mx")), "X25519MLKEM768"},
	} {
		ends := map[bool]string{true: "QQ", false: "-Q"}[name == "no EHLO"]
		dialogue{name, []any{tt.first, good}, "S S n n n S S", ends}.runIn(t, audit.ModeTLS, func(e audit.Endpoint, sessions []audit.Session) {
			if got := e.TLS.Value.Group; got != tt.group {
				t.Errorf("group %s, want %s", got, tt.group)
			}
			if got := strings.Contains(transcriptText(sessions[1]), remarked); got != (tt.group == "X25519") {
				t.Errorf("a remark on the groups: %t", got)
			}
		})
	}
}

// TestModeOwnLimit: what Go's TLS refuses is no fault of a server in this mode
// either, and ends the look at once.
func TestModeOwnLimit(t *testing.T) {
	cert := leaf(t, nil, nil)
	cert.Certificate = [][]byte{[]byte("garbage")}
	dialogue{"certificate", []any{atOnce(cert, closes)}, "S not-learned n n n certificate-form not-learned", "-"}.runIn(t, audit.ModeTLS, nil)
}

// TestModeFacts pins what a complete conversation of each mode puts into the
// facts, the commands to repeat it, the times and the transcript.
func TestModeFacts(t *testing.T) {
	root := authority(t, "Root", nil, nil)
	cert := leaf(t, root, nil)
	const nc, direct = "nc 192.0.2.25 465", "openssl s_client -connect 192.0.2.25:465 -servername mx.example.org"
	probe := func(t *testing.T, mode audit.Mode, play script) (audit.Endpoint, audit.Session) {
		w := &world{t: t, scripts: []any{play}}
		p := New(Config{Dialer: w, HELO: testHELO, Roots: pool(root)})
		target := testTarget().in(mode)
		target.Port = 465
		e, sessions := p.Probe(t.Context(), target)
		if ends := w.check(p); ends != "Q" || len(sessions) != 1 {
			t.Fatalf("ended %q in %d sessions", ends, len(sessions))
		}
		return e, sessions[0]
	}
	synctest.Test(t, func(t *testing.T) {
		e, s := probe(t, audit.ModeTLS, completeAtOnce(cert))
		got := e.TLS.Value
		if got.Version != "TLS 1.3" || got.Group != "X25519MLKEM768" || got.ChainLen != 1 || brief(got.Trust) != "S" || brief(got.NameMatch) != "S" {
			t.Errorf("TLS %+v", got)
		}
		params, listed := e.HelloTLS.Value.Keyword("STARTTLS")
		if e.Greeting.Value.Name != "mx.example.org" || e.Greeting.Value.Code != 220 || len(e.HelloTLS.Value.Keywords) != 2 || !listed || params != "" {
			t.Errorf("greeting %+v, hello %+v", e.Greeting.Value, e.HelloTLS.Value)
		}
		for _, why := range []audit.Reason{e.Hello.Why, e.Helo.Why, e.StartTLS.Why} {
			if why != (audit.Reason{Code: audit.NotApplicable, Text: "the connection is TLS from the first byte"}) {
				t.Errorf("not applicable: %+v", why)
			}
		}
		if e.Connect.Via != nc || e.TLS.Via != direct || e.Greeting.Via != direct || e.HelloTLS.Via != direct || e.Hello.Via+e.Helo.Via+e.StartTLS.Via != "" {
			t.Errorf("via %q, %q, %q, %q", e.Connect.Via, e.TLS.Via, e.Greeting.Via, e.HelloTLS.Via)
		}
		want := fmt.Sprintf("*: TLS 1.3, %s, X25519MLKEM768, 1 certificates\nS: 220 mx.example.org ESMTP\nC: %s\n"+
			"S: 250-mx.example.org\nS: 250-AUTH PLAIN\nS: 250 STARTTLS\nC: QUIT\n", got.Cipher, ehlo)
		if text := transcriptText(s); text != want || s.Outcome != "complete" {
			t.Errorf("outcome %q, transcript:\n%s", s.Outcome, text)
		}
		if s.Greeting != 10*time.Millisecond || s.EHLO != 0 || s.StartTLS != 0 {
			t.Errorf("greeting after %s, EHLO %s, STARTTLS %s", s.Greeting, s.EHLO, s.StartTLS)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		e, s := probe(t, audit.ModePlain, afterEHLO(func(s *peer) { s.bye() }))
		if e.Connect.Via != nc || e.Greeting.Via != nc || e.Hello.Via != nc || e.StartTLS.Via != nc || e.TLS.Via+e.HelloTLS.Via != "" {
			t.Errorf("via %+v", e)
		}
		want := "S: 220 mx.example.org ESMTP\nC: " + ehlo + "\nS: 250-mx.example.org\nS: 250 STARTTLS\nC: QUIT\n"
		if text := transcriptText(s); text != want || s.Outcome != "complete" {
			t.Errorf("outcome %q, transcript:\n%s", s.Outcome, text)
		}
	})
}

// TestModeFailureVia: the command that repeats what was not seen is the one of
// the mode.
func TestModeFailureVia(t *testing.T) {
	dialogue{"broken", []any{clientHello(rawAlert)}, "S n n n n !broken n", "--"}.runIn(t, audit.ModeTLS, func(e audit.Endpoint, _ []audit.Session) {
		if e.TLS.Via != "openssl s_client -connect 192.0.2.25:25 -servername mx.example.org" {
			t.Errorf("via %q", e.TLS.Via)
		}
	})
}

// TestModeRoundTrips counts them: every answer takes 100 ms.
func TestModeRoundTrips(t *testing.T) {
	const answer = 100 * time.Millisecond
	config := serve(leaf(t, nil, nil))
	config.SessionTicketsDisabled = true // a second, unasked flight
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		time.Sleep(answer)
		return nil, nil
	}
	talk := func(s *peer) {
		time.Sleep(answer)
		s.say("220 mx.example.org ESMTP")
		s.want(ehlo)
		time.Sleep(answer)
		s.say("250-mx.example.org", "250 STARTTLS")
		s.want("QUIT")
		time.Sleep(answer)
		s.say("221 bye")
		s.wait()
	}
	for mode, tt := range map[audit.Mode]struct {
		play  script
		trips time.Duration
		want  string
		times [6]time.Duration // connect, TLS, greeting, EHLO, EHLO inside TLS, STARTTLS
	}{
		audit.ModeTLS: {func(s *peer) { s.tls(config); talk(s) }, 4, "S S n n n S S",
			[6]time.Duration{answer, answer, answer, 0, answer, 0}},
		audit.ModePlain: {talk, 3, "S S S n S - -",
			[6]time.Duration{answer, 0, answer, answer, 0, 0}},
	} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{tt.play}}
				p := New(Config{Dialer: slowDialer{w, answer}, HELO: testHELO})
				start := time.Now()
				e, sessions := p.Probe(t.Context(), testTarget().in(mode))
				if got := time.Since(start); got != tt.trips*answer {
					t.Errorf("a complete probe took %s, want %d answers", got, tt.trips)
				}
				if got := summary(e); got != tt.want {
					t.Errorf("got %s", got)
				}
				s := sessions[0]
				if got := [6]time.Duration{s.Connect, s.TLS, s.Greeting, s.EHLO, s.EHLOTLS, s.StartTLS}; got != tt.times {
					t.Errorf("the steps took %s, want %s", got, tt.times)
				}
				w.check(p)
				if got := time.Since(start); got != (tt.trips+1)*answer {
					t.Errorf("with the goodbye it took %s, want %d answers", got, tt.trips+1)
				}
			})
		})
	}
}

// TestModeWaits pins how long each kind of silence is borne, and that a slow
// handshake is not taken for a pause before the greeting.
func TestModeWaits(t *testing.T) {
	cert := leaf(t, nil, nil)
	slow := func(handshake, greeting, reply time.Duration) script {
		return func(s *peer) {
			time.Sleep(handshake)
			s.tls(serve(cert))
			time.Sleep(greeting)
			s.say("220 mx")
			s.want(ehlo)
			time.Sleep(reply)
			s.say("250 mx")
			s.bye()
		}
	}
	const second = time.Second
	for _, tt := range []struct {
		name  string
		mode  audit.Mode
		play  script
		took  time.Duration
		want  string
		delay audit.Bucket
	}{
		{"TLS stall", audit.ModeTLS, silence, 2*DefaultHandshake + DefaultConfirmAfter, "S not-learned n n n tls-stall", ""},
		{"greets in clear", audit.ModeTLS, greetsAnyway("220 mx\r\n"), DefaultConfirmAfter, "S not-learned n n n clear-text", ""},
		{"no greeting", audit.ModeTLS, atOnce(cert, mute), DefaultGreeting, "S timeout n n n S not-learned", ""},
		{"no reply to EHLO", audit.ModeTLS, atOnce(cert, func(s *peer) { s.say("220 mx"); s.wait() }), DefaultReply, "S S n n n S timeout", audit.Prompt},
		{"slow at every step", audit.ModeTLS, slow(14*second, 59*second, 19*second), 92 * second, "S S n n n S S", audit.Slow},
		{"slow handshake", audit.ModeTLS, slow(14*second, 0, 0), 14 * second, "S S n n n S S", audit.Prompt},
		{"pause before the greeting", audit.ModeTLS, slow(0, 6*second, 0), 6 * second, "S S n n n S S", audit.Paused},
		{"no greeting in clear", audit.ModePlain, mute, DefaultGreeting, "S timeout", ""},
		{"not offered", audit.ModePlain, plainOnly, DefaultConfirmAfter + 20*time.Millisecond, "S S S n !not-offered", audit.Prompt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{tt.play}}
				p := New(Config{Dialer: w, HELO: testHELO})
				start := time.Now()
				e, _ := p.Probe(t.Context(), testTarget().in(tt.mode))
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if got := summary(e); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got %s, want %s ...", got, tt.want)
				}
				if got := e.Greeting.Value.Delay; got != tt.delay {
					t.Errorf("delay %q, want %q", got, tt.delay)
				}
				w.check(p)
			})
		})
	}
}

// TestModeContext: the end of ctx is the reason at every step of mode tls.
func TestModeContext(t *testing.T) {
	cert := leaf(t, nil, nil)
	for name, tt := range map[string]struct {
		play script
		want string
	}{
		"in the handshake":       {silence, "S not-learned n n n deadline not-learned"},
		"in the greeting":        {atOnce(cert, mute), "S deadline n n n S not-learned"},
		"at EHLO":                {atOnce(cert, func(s *peer) { s.say("220 mx"); s.wait() }), "S S n n n S deadline"},
		"before the second look": {clientHello(rawAlert), "S not-learned n n n seen-once not-learned"},
		"before it, in clear":    {greetsAnyway("220 mx\r\n"), "S not-learned n n n clear-text not-learned"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				w := &world{t: t, scripts: []any{tt.play}}
				p := New(Config{Dialer: w, HELO: testHELO})
				start := time.Now()
				e, _ := p.Probe(ctx, testTarget().in(audit.ModeTLS))
				if got := summary(e); got != tt.want || time.Since(start) != 3*time.Second {
					t.Errorf("after %s got %s\nwant %s", time.Since(start), got, tt.want)
				}
				w.check(p)
			})
		})
	}
}

// TestModes: the empty mode is STARTTLS and stays empty in the facts, so that
// those of older runs are equal to it; a mode that there is not asks nothing.
func TestModes(t *testing.T) {
	cert := leaf(t, nil, nil)
	facts := map[audit.Mode]audit.Endpoint{}
	for _, mode := range []audit.Mode{"", audit.ModeSTARTTLS} {
		dialogue{"mode " + string(mode), []any{complete(cert)}, "S S S n S S S", "Q"}.runIn(t, mode, func(e audit.Endpoint, _ []audit.Session) {
			facts[mode] = e
		})
	}
	named := facts[audit.ModeSTARTTLS]
	named.Mode = ""
	empty, err := json.Marshal(facts[""])
	if err != nil {
		t.Fatal(err)
	}
	same, err := json.Marshal(named)
	if err != nil || !bytes.Equal(empty, same) || bytes.Contains(empty, []byte(`"mode"`)) {
		t.Errorf("%v\n%s\n%s", err, empty, same)
	}
	for _, mode := range []audit.Mode{"ssl", "TLS", "starttls "} {
		w := &world{t: t, scripts: []any{script(mute)}}
		e, sessions := New(Config{Dialer: w, HELO: testHELO}).Probe(t.Context(), testTarget().in(mode))
		if len(w.dialed) != 0 || len(sessions) != 0 {
			t.Errorf("mode %q: %d connections, %d sessions", mode, len(w.dialed), len(sessions))
		}
		if got := summary(e); got != strings.TrimSpace(strings.Repeat("local-error ", 7)) || e.Mode != mode {
			t.Errorf("mode %q: got %s, mode %q", mode, got, e.Mode)
		}
	}
}

// TestUnaskedInMode: an impossible name of ours leaves the steps of the mode
// unknown and the others out.
func TestUnaskedInMode(t *testing.T) {
	for mode, want := range map[audit.Mode]string{
		audit.ModeTLS:   "local-error local-error n n n local-error local-error",
		audit.ModePlain: "local-error local-error local-error local-error local-error - -",
	} {
		w := &world{t: t, scripts: []any{script(mute)}}
		e, _ := New(Config{Dialer: w, HELO: "a b"}).Probe(t.Context(), testTarget().in(mode))
		if got := summary(e); got != want || len(w.dialed) != 0 {
			t.Errorf("%s: got %s after %d connections, want %s", mode, got, len(w.dialed), want)
		}
	}
}

// TestSteps pins the order of each mode and the words for its steps.
func TestSteps(t *testing.T) {
	const connect, greeting, hello, offer, secure, inside = "whether the port answers", "the greeting", "the reply to EHLO",
		"whether STARTTLS is offered", "whether TLS comes up", "the reply to EHLO inside TLS"
	for mode, want := range map[audit.Mode][]string{
		"":                 {connect, greeting, hello, offer, secure, inside},
		audit.ModeSTARTTLS: {connect, greeting, hello, offer, secure, inside},
		audit.ModePlain:    {connect, greeting, hello, offer},
		audit.ModeTLS:      {connect, secure, greeting, inside},
	} {
		var got []string
		for i, a := range acts(Target{Mode: mode}) {
			got = append(got, a.step.String())
			if place(acts(Target{Mode: mode}), a.step) != i {
				t.Errorf("mode %q: %s is not at %d", mode, a.step, i)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("mode %q: %q", mode, got)
		}
	}
}

// TestMoot pins the sentences for what a negative leaves no question of.
func TestMoot(t *testing.T) {
	reasons := func(e audit.Endpoint) map[string]audit.Reason {
		return map[string]audit.Reason{"greeting": e.Greeting.Why, "starttls": e.StartTLS.Why, "tls": e.TLS.Why, "inside": e.HelloTLS.Why}
	}
	for _, tt := range []struct {
		dialogue
		mode  audit.Mode
		field string
		text  string
	}{
		{dialogue{"refused", []any{refused()}, "!conn-refused n n n n n n", ""}, "", "greeting", "nothing listens on the port"},
		{dialogue{"refused, tls", []any{refused()}, "!conn-refused n n n n n n", ""}, audit.ModeTLS, "tls", "nothing listens on the port"},
		{dialogue{"no EHLO", []any{ehloThenHelo("502 what", "250 mx")}, "S S !declined S n n n", "QQ"}, "", "tls", "without EHLO there is no STARTTLS"},
		{dialogue{"no EHLO, plain", []any{ehloThenHelo("502 what", "250 mx")}, "S S !declined S n - -", "QQ"}, audit.ModePlain, "starttls", "without EHLO there is no STARTTLS"},
		{dialogue{"not offered", []any{script(plainOnly)}, "S S S n !not-offered n n", "QQ"}, "", "tls", "STARTTLS is not offered"},
		{dialogue{"broken", []any{inTLS(clientHello(rawAlert))}, "S S S n S !broken n", "--"}, "", "inside", "TLS does not come up"},
		{dialogue{"broken, tls", []any{clientHello(rawAlert)}, "S n n n n !broken n", "--"}, audit.ModeTLS, "greeting", "TLS does not come up"},
	} {
		tt.runIn(t, tt.mode, func(e audit.Endpoint, _ []audit.Session) {
			if got := reasons(e)[tt.field].Text; got != tt.text {
				t.Errorf("%s: %q, want %q", tt.field, got, tt.text)
			}
		})
	}
}
