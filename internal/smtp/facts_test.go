package smtp

import (
	"slices"
	"testing"
	"testing/synctest"

	"mailaudit/internal/audit"
)

// TestMixedReplies: replies whose lines differ in their code are named, on
// whichever connection they came, and the last line goes on deciding.
func TestMixedReplies(t *testing.T) {
	const mixedHello, mixedGreeting = "a line of the reply to EHLO", "a line of the greeting"
	talk := func(greeting, hello []string) script {
		return func(s *peer) {
			s.greet(greeting...)
			s.answer(ehlo, hello...)
			s.bye()
		}
	}
	plain, twoGreetings := []string{"250 mx.example.org"}, []string{"554-mx.example.org", "220 welcome"}
	for _, c := range []struct {
		name    string
		scripts []any
		want    []string
	}{
		{"none", []any{talk([]string{"220 mx"}, plain), talk([]string{"220 mx"}, plain)}, nil},
		{mixedGreeting, []any{talk(twoGreetings, plain), talk(twoGreetings, plain)}, []string{"the greeting"}},
		{mixedHello, []any{talk([]string{"220 mx"}, []string{"250-mx.example.org", "550-no", "250 SIZE 1"}), talk([]string{"220 mx"}, plain)}, []string{"the reply to EHLO"}},
		{"broken off with a 421", []any{talk([]string{"220 mx"}, []string{"250-mx.example.org", "421 shutting down"}), talk([]string{"220 mx"}, plain)}, nil},
		{"on the second connection", []any{talk([]string{"220 mx"}, plain), talk(twoGreetings, plain)}, []string{"the greeting"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: c.scripts}
				p := New(Config{Dialer: w, HELO: testHELO})
				e, _ := p.Probe(t.Context(), testTarget())
				w.check(p)
				if e.Replies.State != audit.Seen || !slices.Equal(e.Replies.Value.Mixed, c.want) {
					t.Errorf("%+v, want %q", e.Replies, c.want)
				}
			})
		})
	}
	t.Run("nothing was said", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, scripts: []any{script(closes), script(closes)}}
			p := New(Config{Dialer: w, HELO: testHELO})
			e, _ := p.Probe(t.Context(), testTarget())
			w.check(p)
			if e.Replies.State != audit.Unknown || e.Replies.Why != e.Greeting.Why {
				t.Errorf("%+v", e.Replies)
			}
		})
	})
}

// TestHeard: the names that a server gives for itself are told as they come,
// before the dialogue goes on.
func TestHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []audit.DNSName
		w := &world{t: t}
		w.scripts = []any{script(func(s *peer) {
			s.greet("220 MX.example.org ESMTP")
			s.answer(ehlo, "250-gw.example.net hello", "250 SIZE 1")
			s.bye()
		}), script(func(s *peer) {
			s.greet("220 ****")
			s.answer(ehlo, "250 [192.0.2.25]")
			s.bye()
		})}
		p := New(Config{Dialer: w, HELO: testHELO})
		target := testTarget()
		target.Heard = func(name audit.DNSName) { names = append(names, name) }
		e, _ := p.Probe(t.Context(), target)
		w.check(p)
		want := []audit.DNSName{"mx.example.org", "gw.example.net"}
		if !slices.Equal(names, want) || !slices.Equal(e.GivenNames(), want) {
			t.Errorf("heard %v, given %v", names, e.GivenNames())
		}
	})
}
