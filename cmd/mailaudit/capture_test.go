package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// temptation is the dialogue of a server that offers all there is to try, after
// a greeting that comes in pieces.
const temptation = `%[2]sS: 220-%[1]s ESMTP
!delay 2s
S: 220-please wait
!delay 4s
S: 220 go ahead
C: EHLO *
S: 250-%[1]s Hello [198.51.100.200]
S: 250-PIPELINING
S: 250-SIZE 52428800
S: 250-VRFY
S: 250-EXPN
S: 250-ETRN
S: 250-HELP
S: 250-XCLIENT NAME ADDR
S: 250-AUTH PLAIN LOGIN CRAM-MD5
S: 250-CHUNKING
%[3]s`

const temptingTLS = `S: 250 STARTTLS
C: STARTTLS
S: 220 go ahead
!starttls cert=good
C: EHLO *
S: 250-%[1]s
S: 250-PIPELINING
S: 250-VRFY
S: 250-AUTH PLAIN LOGIN
S: 250 DSN
`

// temptingWorld is a domain with mail hosts and submission servers that offer
// everything, and with some that leave their clients wanting.
func temptingWorld() string {
	server := func(name, at, first, end string) string {
		return "-- smtp " + at + " --\n" + fmt.Sprintf(temptation, name, first, strings.ReplaceAll(end, "%[1]s", name))
	}
	return `# All that a server can offer is on offer.
at 2026-11-23T12:00:00Z  areas mx helo smtp tls auth  rtt 20ms
-- zone --
example.org.                    MX 10 mx1.example.org.
example.org.                    MX 20 mx2.example.org.
mx1.example.org.                A 192.0.2.25
mx1.example.org.                AAAA 2001:db8::25
mx2.example.org.                A 192.0.2.26
_submission._tcp.example.org.   SRV 0 1 587 mail.example.org.
_submissions._tcp.example.org.  SRV 0 1 465 mail.example.org.
mail.example.org.               A 192.0.2.27
` + server("mx1.example.org", "192.0.2.25:25", "", temptingTLS) +
		server("mx1.example.org", "[2001:db8::25]:25", "", temptingTLS) +
		server("mx2.example.org", "192.0.2.26:25", "", "S: 250 DSN\n") + // no STARTTLS: looked at twice
		server("mail.example.org", "192.0.2.27:587", "", temptingTLS) +
		server("mail.example.org", "192.0.2.27:465", "!starttls cert=good\n", "S: 250 DSN\n")
}

// Ensure that a default run of each command that connects says EHLO, STARTTLS
// and QUIT and nothing else, whatever it is offered: no MAIL, RCPT, VRFY, AUTH or
// DATA; that every dialogue ends with QUIT, but for one that ends with the alert
// to a ClientHello of old versions; and that no octet is sent before the
// greeting is whole, which the world itself complains about.
func TestCapture(t *testing.T) {
	for _, c := range []struct {
		args        []string
		connections int // all of them
		old         int // of these, those that try old versions of TLS
	}{
		{[]string{"audit", "example.org"}, 6 + 4, 4},
		{[]string{"audit", "example.org", "--submission", "mail.example.org"}, 6 + 4, 4},
		{[]string{"smtp", "mx1.example.org"}, 2 + 2, 2},
		{[]string{"smtp", "mail.example.org:587"}, 1 + 1, 1},
		{[]string{"smtp", "mail.example.org:465"}, 1 + 1, 1},
		{[]string{"smtp", "mx1.example.org", "--mode", "plain"}, 2, 0},
		{[]string{"smtp", "--mx", "example.org"}, 4 + 2, 2},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			inWorld(t, temptingWorld(), func(t *testing.T, w *lab.World) {
				got := attempt{args: c.args, db: filepath.Join(t.TempDir(), "history.db")}.in(w)
				if got.code != exitOK && got.code != exitFindings || got.err != "" {
					t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
				}
				all := got.net.Connections()
				if len(all) != c.connections {
					t.Errorf("%d connections, want %d", len(all), c.connections)
				}
				old := 0
				for _, conn := range all {
					if endsInTLS(conn) {
						old++
						continue
					}
					checkDialogue(t, conn)
				}
				if old != c.old {
					t.Errorf("%d connections end in the handshake, want %d", old, c.old)
				}
			})
		})
	}
}

// endsInTLS reports whether the dialogue is that of a connection which tries
// old versions of TLS at a server that refuses them.
func endsInTLS(c lab.Connection) bool {
	if c.Remote.Port() == audit.PortSubmissions {
		return len(c.Commands) == 0
	}
	return slices.Equal(c.Commands, []string{"EHLO probe.example.net", "STARTTLS"})
}

// checkDialogue holds one connection to what a default run may say.
func checkDialogue(t *testing.T, c lab.Connection) {
	t.Helper()
	for i, command := range c.Commands {
		verb, _, _ := strings.Cut(command, " ")
		if !slices.Contains([]string{"EHLO", "STARTTLS", "QUIT"}, verb) {
			t.Errorf("%s: %q was sent", c.Remote, command)
		}
		if (verb == "QUIT") != (i == len(c.Commands)-1) {
			t.Errorf("%s: the dialogue does not end in QUIT: %q", c.Remote, c.Commands)
		}
	}
	if len(c.Commands) < 2 {
		t.Errorf("%s: only %q was said", c.Remote, c.Commands)
	}
}

// Ensure the check of a capture sees what it is there for.
func TestCaptureCanFail(t *testing.T) {
	for _, commands := range [][]string{
		{}, {"EHLO x"}, {"EHLO x", "MAIL FROM:<>", "QUIT"}, {"EHLO x", "QUIT", "EHLO x"}, {"EHLO x", "AUTH PLAIN", "QUIT"}, {"EHLO x", "VRFY root", "QUIT"},
	} {
		probe := &testing.T{}
		checkDialogue(probe, lab.Connection{Commands: commands})
		if !probe.Failed() {
			t.Errorf("%q passes", commands)
		}
	}
}
