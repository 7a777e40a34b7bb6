package smtp

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
)

// TestGreetingTwice: a 5xx greeting is looked at twice, because it may be about
// the server; nothing else that turns us away is.
func TestGreetingTwice(t *testing.T) {
	const away = "S S refused-us refused-us refused-us refused-us refused-us"
	const later = "S S temporary temporary temporary temporary temporary"
	good := complete(leaf(t, nil, nil))
	for _, c := range []struct {
		dialogue
		twice bool
	}{
		{dialogue{"the same twice", []any{greets("554 mx.example.org no service")}, away, "QQ"}, true},
		{dialogue{"by another member of a pool", []any{greets("554-mx1.example.org", "554 no service"), greets("554-mx2.example.org", "554 no service")}, away, "QQ"}, true},
		{dialogue{"with another code", []any{greets("554 no service"), greets("550 no service")}, away, "QQ"}, false},
		{dialogue{"in other words", []any{greets("554 no service"), greets("554 5.7.1 you are listed")}, away, "QQ"}, false},
		{dialogue{"the first word counts where it is no name", []any{greets("554 no_service"), greets("554 blocked! service")}, away, "QQ"}, false},
		{dialogue{"then busy", []any{greets("554 no service"), greets("421 busy")}, away, "QQ"}, false},
		{dialogue{"then a welcome", []any{greets("554 no service"), good}, "S S S n S S S", "QQ"}, false},
		{dialogue{"then silence", []any{greets("554 no service"), script(mute)}, away, "Q-"}, false},
		{dialogue{"then refused", []any{greets("554 no service"), refused()}, away, "Q"}, false},
		{dialogue{"then 521", []any{greets("554 no service"), greets("521 no mail")}, away, "QQ"}, false},
		{dialogue{"busy is asked once", []any{greets("421 busy"), good}, later, "Q"}, false},
		{dialogue{"521 says it otherwise", []any{greets("521 no mail")}, "S S n n n n n", "QQ"}, false},
	} {
		c.run(t, func(e audit.Endpoint, _ []audit.Session) {
			if e.Greeting.Value.Twice != c.twice {
				t.Errorf("twice %t: %+v", e.Greeting.Value.Twice, e.Greeting.Value)
			}
			if e.Refusal.State != audit.NotTried {
				t.Errorf("a greeting is no refusal of a command: %+v", e.Refusal)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{greets("554 no service")}}
		p := New(Config{Dialer: w, HELO: testHELO})
		_, sessions := p.Probe(t.Context(), testTarget())
		w.check(p)
		if apart := sessions[1].Started.Sub(sessions[0].Started); apart < DefaultConfirmAfter {
			t.Errorf("the looks are %s apart", apart)
		}
	})
}

// TestRefusalFacts: the words of a refusal are kept, whichever command it is
// of, in stable form; what is no refusal is not.
func TestRefusalFacts(t *testing.T) {
	cert := leaf(t, nil, nil)
	refusing := func(code string) []string {
		return []string{code + "-5.7.1 " + testHELO + "[203.0.113.9] is blocked", code + " 5.7.1 come back in 287 seconds, id 4X0000001D2E3F"}
	}
	want := []audit.Raw{"5.7.1 <our name>[<our address>] is blocked", "5.7.1 come back in <time>, id <id>"}
	const plain, secure = "nc 192.0.2.25 25", "openssl s_client -starttls smtp -connect 192.0.2.25:25 -servername mx.example.org"
	for _, c := range []struct {
		dialogue
		refusal audit.Refusal
		via     string
	}{
		{dialogue{"EHLO", []any{script(func(s *peer) {
			s.greet("220 mx")
			s.answer(ehlo, refusing("550")...)
			s.answer(helo, "550 5.7.1 no")
			s.bye()
		})}, "S S refused-us refused-us not-learned not-learned not-learned", "Q"}, audit.Refusal{Command: "EHLO", Code: 550, Lines: want}, plain},
		{dialogue{"EHLO for now", []any{ehloAnswers(refusing("421")...)}, "S S temporary not-learned not-learned not-learned not-learned", "Q"},
			audit.Refusal{Command: "EHLO", Code: 421, Lines: want}, plain},
		{dialogue{"STARTTLS", []any{afterEHLO(func(s *peer) { s.answer("STARTTLS", refusing("454")...); s.bye() })}, "S S S n S temporary not-learned", "QQ"},
			audit.Refusal{Command: "STARTTLS", Code: 454, Lines: want}, plain},
		{dialogue{"EHLO inside TLS", []any{inTLS(func(s *peer) { s.tls(serve(cert)); s.answer(ehlo, refusing("554")...); s.bye() })}, "S S S n S S refused-us", "Q"},
			audit.Refusal{Command: "EHLO inside TLS", Code: 554, Lines: want}, secure},
		{dialogue{"not known, twice", []any{afterEHLO(func(s *peer) { s.answer("STARTTLS", "502 5.5.1 what"); s.bye() })}, "S S S n S !declined n", "QQ"},
			audit.Refusal{Command: "STARTTLS", Code: 502, Lines: []audit.Raw{"5.5.1 what"}}, plain},
		{dialogue{"nothing", []any{complete(cert)}, "S S S n S S S", "Q"}, audit.Refusal{}, ""},
		{dialogue{"a code of another kind", []any{ehloAnswers("354 go on")}, "S S out-of-step not-learned not-learned not-learned not-learned", "-"}, audit.Refusal{}, ""},
		{dialogue{"half a reply", []any{script(func(s *peer) { s.greet("220 mx"); s.want(ehlo); s.send("421-bye\r\n") })}, "S S closed not-learned not-learned not-learned not-learned", "-"}, audit.Refusal{}, ""},
	} {
		c.run(t, func(e audit.Endpoint, _ []audit.Session) {
			if !reflect.DeepEqual(e.Refusal.Value, c.refusal) || e.Refusal.Via != c.via || (e.Refusal.State == audit.Seen) != (c.via != "") {
				t.Errorf("refusal %+v", e.Refusal)
			}
		})
	}
	dialogue{"in place of TLS", []any{greetsAnyway("554-5.7.1 no\r\n554 you are " + testHELO + "\r\n")}, "S refused-us n n n refused-us refused-us", "-"}.runIn(t, audit.ModeTLS,
		func(e audit.Endpoint, _ []audit.Session) {
			want := audit.Refusal{Code: 554, Lines: []audit.Raw{"5.7.1 no", "you are <our name>"}}
			if !reflect.DeepEqual(e.Refusal.Value, want) {
				t.Errorf("refusal %+v", e.Refusal)
			}
		})
	long := strings.Split(strings.Repeat("421-"+strings.Repeat("x", 900)+"\n", 40)+"421 end", "\n")
	dialogue{"long", []any{ehloAnswers(long...)}, "S S temporary not-learned not-learned not-learned not-learned", "Q"}.run(t,
		func(e audit.Endpoint, _ []audit.Session) {
			lines := e.Refusal.Value.Lines
			if len(lines) != audit.MaxRefusalLines || len(lines[0]) != audit.MaxRefusalText {
				t.Errorf("%d lines, the first of %d octets", len(lines), len(lines[0]))
			}
		})
}

// natDialer is a network in which our end of a connection has another address
// than the server sees.
type natDialer struct {
	*world
	local net.Addr
}

type natConn struct {
	net.Conn
	local net.Addr
}

func (c natConn) LocalAddr() net.Addr { return c.local }

func (d natDialer) Host(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	conn, err := d.world.Host(ctx, remote)
	if err != nil {
		return nil, err
	}
	return natConn{conn, d.local}, nil
}

// TestBehindNAT: the address that a server refuses is ours, also where we do
// not know it.
func TestBehindNAT(t *testing.T) {
	for local, want := range map[string]audit.Raw{
		"10.0.0.5:40000":      "Client host [<our address>] blocked by 192.0.2.25, answer 127.0.0.2",
		"100.64.3.4:40000":    "Client host [<our address>] blocked by 192.0.2.25, answer 127.0.0.2",
		"[fd00::5]:40000":     "Client host [<our address>] blocked by 192.0.2.25, answer 127.0.0.2",
		"8.8.4.4:40000":       "Client host [<our address>] blocked by 192.0.2.25, answer 127.0.0.2",
		"203.0.113.9:40000":   "Client host [8.8.4.4] blocked by 192.0.2.25, answer 127.0.0.2",
		"[2001:db8::9]:40000": "Client host [8.8.4.4] blocked by 192.0.2.25, answer 127.0.0.2",
		// A proxy may keep to itself from which address it connects.
		"": "Client host [<our address>] blocked by 192.0.2.25, answer 127.0.0.2",
	} {
		synctest.Test(t, func(t *testing.T) {
			from, _ := netip.ParseAddrPort(local)
			w := &world{t: t, scripts: []any{greets("554 Client host [8.8.4.4] blocked by 192.0.2.25, answer 127.0.0.2")}}
			p := New(Config{Dialer: natDialer{w, net.TCPAddrFromAddrPort(from)}, HELO: testHELO})
			e, _ := p.Probe(t.Context(), testTarget())
			w.check(p)
			if got := e.Greeting.Value.Lines[0]; got != want {
				t.Errorf("from %s: %q, want %q", local, got, want)
			}
		})
	}
}

// TestPace: replies to commands are timed, the greeting and QUIT are not.
func TestPace(t *testing.T) {
	cert := leaf(t, nil, nil)
	slowly := func(ehloAfter, starttlsAfter, insideAfter time.Duration) script {
		return func(s *peer) {
			time.Sleep(40 * time.Second)
			s.greet("220 mx.example.org ESMTP")
			s.want(ehlo)
			time.Sleep(ehloAfter)
			s.say("250-mx.example.org", "250 STARTTLS")
			s.want("STARTTLS")
			time.Sleep(starttlsAfter)
			s.say("220 go ahead")
			s.tls(serve(cert))
			s.want(ehlo)
			time.Sleep(insideAfter)
			s.say("250 mx.example.org")
			s.bye()
		}
	}
	const whole, depends = "S S S n S S S", "not-learned"
	for _, c := range []struct {
		dialogue
		want audit.Obs[audit.Pace]
	}{
		{dialogue{"prompt", []any{slowly(0, 0, 0)}, whole, "Q"}, audit.See(audit.Pace{Replies: 3, Quickest: audit.Prompt, Slowest: audit.Prompt}, "")},
		{dialogue{"one is slow", []any{slowly(0, 6*time.Second, 0)}, whole, "Q"}, audit.See(audit.Pace{Replies: 3, Quickest: audit.Prompt, Slowest: audit.Paused}, "")},
		{dialogue{"a tarpit", []any{slowly(8*time.Second, 7*time.Second, 9*time.Second)}, whole, "Q"}, audit.See(audit.Pace{Replies: 3, Quickest: audit.Paused, Slowest: audit.Paused}, "")},
		{dialogue{"the next is too slow", []any{slowly(8*time.Second, time.Minute, 0)}, "S S S n S timeout not-learned", "-"}, audit.See(audit.Pace{Replies: 1, Quickest: audit.Paused, Slowest: audit.Paused}, "")},
		{dialogue{"EHLO and HELO", []any{ehloThenHelo("550 no", "550 no")}, "S S refused-us refused-us not-learned not-learned not-learned", "Q"}, audit.See(audit.Pace{Replies: 2, Quickest: audit.Prompt, Slowest: audit.Prompt}, "")},
		{dialogue{"the first is too slow", []any{slowly(time.Minute, 0, 0)}, "S S timeout " + depends + " " + depends + " " + depends + " " + depends, "-"}, audit.Obs[audit.Pace]{State: audit.Unknown, Why: audit.Reason{Code: audit.Timeout}}},
		{dialogue{"turned away", []any{greets("421 busy")}, "S S temporary temporary temporary temporary temporary", "Q"}, audit.Obs[audit.Pace]{State: audit.Unknown, Why: audit.Reason{Code: audit.TempFail}}},
		{dialogue{"no mail host", []any{greets("521 no mail")}, "S S n n n n n", "QQ"}, audit.NA[audit.Pace]("")},
		{dialogue{"refused", []any{refused()}, "!conn-refused n n n n n n", ""}, audit.NA[audit.Pace]("")},
	} {
		c.run(t, func(e audit.Endpoint, _ []audit.Session) {
			got := e.Pace
			if got.State != c.want.State || got.Value != c.want.Value || got.Why.Code != c.want.Why.Code {
				t.Errorf("pace %+v, want %+v", got, c.want)
			}
		})
	}
	inside := script(func(s *peer) {
		s.tls(serve(cert))
		s.greet("220 mx")
		s.want(ehlo)
		time.Sleep(6 * time.Second)
		s.say("250 mx")
		s.bye()
	})
	dialogue{"TLS from the first byte", []any{inside}, "S S n n n S S", "Q"}.runIn(t, audit.ModeTLS, func(e audit.Endpoint, _ []audit.Session) {
		if want := (audit.Pace{Replies: 1, Quickest: audit.Paused, Slowest: audit.Paused}); e.Pace.Value != want {
			t.Errorf("pace %+v", e.Pace)
		}
	})
}
