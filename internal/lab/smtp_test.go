package lab_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailaudit/internal/lab"
)

func TestScriptDelaysAndRemarks(t *testing.T) {
	w := world(t, "smtp")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "tcp", "192.0.2.1:25")
		start := time.Now()
		reply(t, c)
		elapsed(t, "greeting", start, rtt)
		send(t, c, "ehlo probe.example.net")
		got := reply(t, c)
		// The delay began with the greeting, half an rtt after connect.
		elapsed(t, "EHLO", start, rtt+20*time.Second)
		if got != "250-one ; blank and semicolon|250 two" {
			t.Errorf("reply %q", got)
		}
		_, err := c.Read(make([]byte, 1))
		if err != io.EOF {
			t.Errorf("after !close: %v", err)
		}
		c.Close()
		clean(t, n)
	})
}

func TestDripRepeatRaw(t *testing.T) {
	w := world(t, "smtp")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "tcp", "192.0.2.5:25")
		start := time.Now()
		if got := reply(t, c); got != "220 hi" {
			t.Errorf("drip: %q", got)
		}
		elapsed(t, "eight bytes, one a second", start, rtt+7*time.Second)
		c.Close()

		c = dial(t, n, "tcp", "192.0.2.6:25")
		if got := readLine(t, c); got != "220 \x00\xff" {
			t.Errorf("raw: %q", got)
		}
		lines := 0
		for range 20000 {
			if readLine(t, c) == "220-more and more and more" {
				lines++
			}
		}
		if lines != 20000 {
			t.Errorf("%d lines", lines)
		}
		c.Close()
		c = dial(t, n, "tcp", "192.0.2.6:25") // a client that gives up in the middle
		readLine(t, c)
		c.Close()
		clean(t, n)
	})
}

func TestNumberedScriptsAndTokens(t *testing.T) {
	w := world(t, "smtp")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "tcp", "192.0.2.11:25")
		words := strings.Fields(reply(t, c))
		c.Close()
		if len(words) != 10 || words[2] == words[3] || len(words[2]) != 14 {
			t.Fatalf("greeting %q", words)
		}
		at, err := time.Parse(time.RFC1123Z, strings.Join(words[4:], " "))
		if err != nil || at.UTC() != time.Now().UTC().Truncate(time.Second) {
			t.Errorf("$DATE: %v, %v", at, err)
		}
		err = tryDial(t.Context(), n, "tcp", "192.0.2.11:25")
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("#2: %v", err)
		}
		for range 2 {
			c = dial(t, n, "tcp", "192.0.2.11:25")
			if got := reply(t, c); got != "220 third" {
				t.Errorf("#3 and later: %q", got)
			}
			c.Close()
		}
		clean(t, n)
		// Another network counts anew; tokens go on.
		m := w.Network()
		c = dial(t, m, "tcp", "192.0.2.11:25")
		again := strings.Fields(reply(t, c))
		c.Close()
		clean(t, m)
		if again[1] != "first" || again[2] == words[2] {
			t.Errorf("greeting %q after %q", again, words)
		}
	})
}

func TestPoliteEnding(t *testing.T) {
	w := world(t, "sample")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "tcp", "192.0.2.25:25")
		reply(t, c)
		send(t, c, "EHLO probe.example.net")
		reply(t, c)
		send(t, c, "NOOP")
		if got := reply(t, c); !strings.HasPrefix(got, "500 ") {
			t.Errorf("NOOP: %q", got)
		}
		send(t, c, "quit")
		if got := reply(t, c); !strings.HasPrefix(got, "221 ") {
			t.Errorf("QUIT: %q", got)
		}
		_, err := c.Read(make([]byte, 1))
		if err != io.EOF {
			t.Errorf("after QUIT: %v", err)
		}
		c.Close()
		clean(t, n)
		got := n.Connections()
		if len(got) != 1 || got[0].N != 1 || got[0].Remote.String() != "192.0.2.25:25" ||
			!slices.Equal(got[0].Commands, []string{"EHLO probe.example.net", "NOOP", "quit"}) {
			t.Errorf("connections = %+v", got)
		}
	})
}

// TestClientMistakes is what the lab finds wrong with a client.
func TestClientMistakes(t *testing.T) {
	for _, tc := range []struct {
		name, world, addr string
		talk              func(t *testing.T, c net.Conn)
		want              string
	}{
		{"another command", "sample", "192.0.2.25:25", func(t *testing.T, c net.Conn) {
			reply(t, c)
			send(t, c, "HELO x\x01")
			if got := reply(t, c); !strings.HasPrefix(got, "500 ") {
				t.Errorf("got %q", got)
			}
		}, `sample.txtar: line 9: 192.0.2.25:25 connection #1: the script expects "C: EHLO *" and the client sent "HELO x\x01"`},
		{"speaking first", "smtp", "192.0.2.13:25", func(t *testing.T, c net.Conn) {
			send(t, c, "EHLO x")
			reply(t, c)
		}, "smtp.txtar: 192.0.2.13:25 connection #1: the client spoke before the greeting was complete"},
		{"an endless line", "sample", "192.0.2.25:25", func(t *testing.T, c net.Conn) {
			reply(t, c)
			send(t, c, strings.Repeat("x", 5000))
			_, _ = io.Copy(io.Discard, c)
		}, "sample.txtar: 192.0.2.25:25 connection #1: the client sent a line of more than 4096 bytes"},
		{"more after STARTTLS", "tls", "192.0.2.1:25", func(t *testing.T, c net.Conn) {
			reply(t, c)
			send(t, c, "STARTTLS\r\nEHLO x")
			reply(t, c)
		}, "tls.txtar: 192.0.2.1:25 connection #1: the client sent more after STARTTLS without waiting for the reply"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := world(t, tc.world)
			bubble(t, w, func(t *testing.T, n *lab.Network) {
				c := dial(t, n, "tcp", tc.addr)
				tc.talk(t, c)
				c.Close()
				n.Wait()
				if got := n.Problems(); !slices.Equal(got, []string{tc.want}) {
					t.Errorf("problems = %q\nwant %q", got, tc.want)
				}
			})
		})
	}
}

func TestClientMayLeave(t *testing.T) {
	w := world(t, "sample")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "tcp", "192.0.2.25:25") // closes without a word
		c.Close()
		c = dial(t, n, "tcp", "192.0.2.25:25") // QUIT instead of EHLO
		reply(t, c)
		send(t, c, "QUIT")
		if got := reply(t, c); !strings.HasPrefix(got, "221 ") {
			t.Errorf("QUIT: %q", got)
		}
		c.Close()
		clean(t, n)
	})
}

func TestHealthyServer(t *testing.T) {
	w := world(t, "tls")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "tcp", "192.0.2.10:25") // starttls=no
		defer c.Close()
		for _, tc := range []struct{ send, want string }{
			{"", "220 mx.example.org ESMTP Postfix"},
			{"EHLO x", "250-mx.example.org|250-PIPELINING|250-SIZE 10240000|250-ETRN|250-ENHANCEDSTATUSCODES|250-8BITMIME|250-DSN|250-SMTPUTF8|250 CHUNKING"},
			{"HELO x", "250 mx.example.org"},
			{"STARTTLS", "502 5.5.2 Error: command not recognized"},
			{"NOOP", "250 2.0.0 Ok"},
			{"MAIL FROM:<>", "250 2.1.0 Ok"},
			{"RCPT TO:<x@example.com>", "454 4.7.1 Relay access denied"},
			{"DATA", "554 5.5.1 Error: no valid recipients"},
			{"VRFY x", "252 2.0.0 Ok"},
			{"XYZZY", "502 5.5.2 Error: command not recognized"},
			{"QUIT", "221 2.0.0 Bye"},
		} {
			if tc.send != "" {
				send(t, c, tc.send)
			}
			if got := reply(t, c); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.send, got, tc.want)
			}
		}
	})
}

func TestImplicitTLS(t *testing.T) {
	w := world(t, "smtp")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		roots := w.Roots()
		c := tls.Client(dial(t, n, "tcp", "192.0.2.12:465"), &tls.Config{ServerName: "submit.example.org", RootCAs: roots})
		if got := reply(t, c); got != "220 inside" {
			t.Errorf("got %q", got)
		}
		c.Close()
		clean(t, n)
	})
}

// TestLeavingAnEndlessServer ends at once although the script has a million
// million lines left.
func TestLeavingAnEndlessServer(t *testing.T) {
	w := parse(t, "-- smtp 192.0.2.1:25 --\n!repeat 1000000000000 220-endless\n")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		c := dial(t, n, "tcp", "192.0.2.1:25")
		readLine(t, c)
		time.Sleep(time.Hour)
		c.Close()
		clean(t, n)
	})
}

func TestPatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern, command string
		want             bool
	}{
		{"EHLO *", "EHLO x", true}, {"EHLO *", "ehlo x y", true}, {"EHLO *", "EHLO", false}, {"EHLO *", "HELO x", false},
		{"QUIT", "quit", true}, {"NOOP", "NOOP x", false}, {"*", "anything", true},
		{"MAIL FROM:<*> SIZE=*", "MAIL FROM:<a@b> SIZE=3", true}, {"MAIL FROM:<*> SIZE=*", "MAIL FROM:<a@b>", false},
		{"RCPT TO:<*@x>", "RCPT TO:<a@x>", true}, {"RCPT TO:<*@x>", "RCPT TO:<a@y>", false},
		{"A*A", "A", false}, {"A*B*C", "A-B-C", true}, {"A*B*C", "A-C-B-", false},
	} {
		w := parse(t, "-- smtp 192.0.2.1:25 --\nC: "+tc.pattern+"\nS: 250 yes\n")
		bubble(t, w, func(t *testing.T, n *lab.Network) {
			c := dial(t, n, "tcp", "192.0.2.1:25")
			send(t, c, tc.command)
			got := reply(t, c) == "250 yes"
			c.Close()
			n.Wait()
			if got != tc.want || (len(n.Problems()) == 0) != tc.want {
				t.Errorf("%q and %q: %v, problems %q", tc.pattern, tc.command, got, n.Problems())
			}
		})
	}
}
