package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// roundTrip is what every answer takes in the worlds of this file: a DNS
// answer, a TCP handshake, an SMTP reply, a TLS flight and its answer.
const roundTrip = 100 * time.Millisecond

// MX records, hosts and servers that the worlds are made of. mx4 is reached
// over IPv4 alone, mx6 over IPv6 alone, mx46 over both.
const (
	zoneMX4 = `
example.org.             MX 10 mx4.example.org.
mx4.example.org.         A  192.0.2.25
25.2.0.192.in-addr.arpa. PTR mx4.example.org.
`
	zoneMX6 = `
example.org.             MX 20 mx6.example.org.
mx6.example.org.         AAAA 2001:db8::25
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx6.example.org.
`
	zoneMX46 = `
example.org.             MX 10 mx46.example.org.
mx46.example.org.        A    192.0.2.25
mx46.example.org.        AAAA 2001:db8::25
25.2.0.192.in-addr.arpa. PTR  mx46.example.org.
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx46.example.org.
`
	server4 = "-- server 192.0.2.25:25 mx4.example.org --\n"
	server6 = "-- server [2001:db8::25]:25 mx6.example.org --\n"

	oldTLS = `-- smtp 192.0.2.25:25 --
S: 220 mx4.example.org ESMTP
C: EHLO *
S: 250-mx4.example.org
S: 250 STARTTLS
C: STARTTLS
S: 220 go ahead
!starttls cert=good tls=1.2
C: EHLO *
S: 250 mx4.example.org
`
	noTLS = `-- smtp 192.0.2.25:25 --
S: 220 mx4.example.org ESMTP
C: EHLO *
S: 250-mx4.example.org
S: 250 SIZE 1000
`
)

// cost is how long an audit takes: round trips one after another, those behind
// them of the connection that tries old versions of TLS, and beside both the
// pauses that are manners and wait for nobody's answer.
type cost struct {
	trips int
	old   int
	pause time.Duration
}

// Control hosts of the worlds of this file.
const (
	zoneControls = "control1.example.net. A 203.0.113.1\ncontrol2.example.com. A 198.51.100.2\ncontrol3.example.edu. A 9.9.9.3\n"
	argsControls = "--control control1.example.net --control control2.example.com --control control3.example.edu"
)

// controlAddrs are their addresses, in three networks.
func controlAddrs() []string { return []string{"203.0.113.1", "198.51.100.2", "9.9.9.3"} }

// controls are the three of them, well or silent.
func controls(well bool) string {
	var b strings.Builder
	for i, addr := range controlAddrs() {
		if !well {
			fmt.Fprintf(&b, "-- smtp %s:25 --\n!timeout\n", addr)
			continue
		}
		fmt.Fprintf(&b, "-- server %s:25 mx.control%d.example.net --\n", addr, i+1)
	}
	return b.String()
}

// total is all of it.
func (c cost) total() time.Duration { return time.Duration(c.trips+c.old)*roundTrip + c.pause }

// withOld is the cost of a chain behind which old versions are refused: the
// reply to the QUIT of the main session, the second of spacing, and then
//
//	connect, greeting, EHLO, STARTTLS, ClientHello
func withOld(trips int) cost { return cost{trips: trips, old: 6, pause: time.Second} }

// costs lists worlds with what an audit of them costs, and why. The longest
// chain of ARCHITECTURE.md has eight links:
//
//	MX, address, connect, greeting, EHLO, STARTTLS, TLS, EHLO
func costs() []struct {
	name   string
	header string // further settings of the world
	zone   string
	server string
	args   string // beside the domain
	want   cost
} {
	type c = struct {
		name, header, zone, server, args string
		want                             cost
	}
	return []c{
		// The chain as it is. The PTR question leaves when the address is known
		// and its forward question after that: 2 + 2, beside the 2 + 6 of SMTP.
		{name: "one MX, one address, TLS 1.3", zone: zoneMX4, server: server4, want: withOld(8)},
		// TLS 1.2 has two flights each way before the client may speak
		// (RFC 5246 section 7.3), TLS 1.3 one (RFC 8446 section 2): 8 + 1.
		{name: "TLS 1.2", zone: zoneMX4, server: oldTLS, want: withOld(9)},
		// Hosts of two operators do not wait for each other: 8 beside 8.
		{name: "two MX hosts of two operators", zone: zoneMX4 + strings.ReplaceAll(zoneMX6, "mx6.example.org", "mx6.example.net"),
			server: server4 + strings.ReplaceAll(server6, "mx6.example.org", "mx6.example.net"), want: withOld(8)},
		// Those of one operator do, from connect to EHLO inside TLS and the reply to
		// QUIT: 2 + 6 + 1 + 6. Old versions of the first are tried during the second
		// that the other waits for.
		{name: "two MX hosts", zone: zoneMX4 + zoneMX6, server: server4 + server6, want: withOld(15)},
		// The same where the names differ and the network is one (192.0.2.0/24).
		{name: "two MX hosts of one network", zone: zoneMX4 + "example.org. MX 20 mx.example.net.\nmx.example.net. A 192.0.2.26\n26.2.0.192.in-addr.arpa. PTR mx.example.net.\n",
			server: server4 + "-- server 192.0.2.26:25 mx.example.net --\n", want: withOld(15)},
		// A submission server is found beside the MX, by its SRV record: SRV,
		// address, connect, TLS, greeting, EHLO are 6 beside 8.
		{name: "a submission server of another operator", header: "areas mx rdns smtp tls auth",
			zone:   zoneMX4 + "_submissions._tcp.example.org. SRV 0 1 465 mail.example.net.\nmail.example.net. A 198.51.100.25\n",
			server: server4 + "-- smtp 198.51.100.25:465 --\n!starttls cert=good\nS: 220 mail.example.net ESMTP\nC: EHLO *\nS: 250 mail.example.net\n", want: withOld(8)},
		// Of the same operator it waits. Its address comes one round trip later, so
		// the MX is first: 2 + 6, then 4 in the second that old versions wait for.
		// Its own old versions come behind those of the MX: connect, ClientHello.
		{name: "a submission server of the same operator", header: "areas mx rdns smtp tls auth",
			zone:   zoneMX4 + "_submissions._tcp.example.org. SRV 0 1 465 mail.example.org.\nmail.example.org. A 198.51.100.25\nmail.example.org. A !delay 100ms\n",
			server: server4 + "-- smtp 198.51.100.25:465 --\n!starttls cert=good\nS: 220 mail.example.org ESMTP\nC: EHLO *\nS: 250 mail.example.org\n",
			want:   cost{trips: 8, old: 6 + 2, pause: time.Second}},
		// 2 to the addresses, then the two addresses of one host one after
		// another, from connect to EHLO inside TLS, with the reply to the first QUIT
		// between them: 2 + 6 + 1 + 6. The spacing is per address. Old versions come
		// behind both: the reply to the QUIT and the spacing of the second address
		// end after all that has to do with the first (1, and a second), 5.
		{name: "one MX, dual stack", zone: zoneMX46, server: server4 + server6, want: withOld(15)},
		// Two names of one address: 2 + 6, then the reply to QUIT ends the first
		// connection (1), a second of spacing, and 6 for the other name. Old versions
		// are tried once for the address, behind both.
		{name: "two MX hosts at one address", zone: zoneMX4 + "example.org. MX 20 alias.example.org.\nalias.example.org. A 192.0.2.25\n",
			server: server4, want: cost{trips: 15, old: 6, pause: 2 * time.Second}},
		// The addresses of the domain itself are asked together with its MX
		// records, so they are known when "no MX" is: 1 + 6.
		{name: "implicit MX", zone: "example.org. A 192.0.2.25\n25.2.0.192.in-addr.arpa. PTR example.org.\n",
			server: "-- server 192.0.2.25:25 example.org --\n", want: withOld(7)},
		// An alias at an MX target costs nothing where the resolver follows it.
		{name: "MX target is an alias", zone: "example.org. MX 10 mail.example.org.\nmail.example.org. CNAME mx4.example.org.\nmx4.example.org. A 192.0.2.25\n25.2.0.192.in-addr.arpa. PTR mx4.example.org.\n",
			server: server4, want: withOld(8)},
		// Where the name of the greeting leads is asked when it is heard, beside
		// EHLO, STARTTLS, TLS and EHLO: 4 + 1 beside 8.
		{name: "a name of its own in the greeting", zone: zoneMX4 + "gw.example.net. A 192.0.2.99\n", server: "-- server 192.0.2.25:25 gw.example.net --\n", want: withOld(8)},
		{name: "another name in EHLO", zone: zoneMX4 + "gw.example.net. A 192.0.2.99\n",
			server: strings.ReplaceAll(oldTLS, "250-mx4.example.org", "250-gw.example.net"), want: withOld(9)},
		// Where the dialogue ends with that name, its question is on its way during
		// the pause of the second look.
		{name: "no STARTTLS, and another name in EHLO", zone: zoneMX4 + "gw.example.net. A 192.0.2.99\n",
			server: strings.ReplaceAll(noTLS, "250-mx4.example.org", "250-gw.example.net"), want: cost{trips: 10, pause: 5 * time.Second}},
		// One answer says it all, and nobody waits for the addresses that were
		// asked ahead.
		{name: "null MX", zone: "example.org. MX 0 .\nexample.org. A 192.0.2.80\n", want: cost{trips: 1}},
		{name: "no such domain", zone: "other.org. A 192.0.2.80\nexample.org. !nxdomain\n", want: cost{trips: 1}},
		{name: "slow addresses of a domain with null MX", zone: "example.org. MX 0 .\nexample.org. A !delay 2s\n", want: cost{trips: 1}},
		// MX, address, PTR. The forward question of a PTR that names the host is
		// the one that has led to the address, and its answer is remembered.
		{name: "passive", zone: zoneMX4, args: "--passive", want: cost{trips: 3}},
		// MX, address, PTR, forward address of the other name.
		{name: "passive, PTR of another name", zone: "example.org. MX 10 mx4.example.org.\nmx4.example.org. A 192.0.2.25\n" +
			"25.2.0.192.in-addr.arpa. PTR other.example.org.\nother.example.org. A 192.0.2.25\n", args: "--passive", want: cost{trips: 4}},
		// An SPF record and includes within includes are a chain of their own: two
		// deep it is as long as that of the addresses, three deep one longer. Below
		// an mx come its MX records and the addresses of its hosts. Senders and names
		// in EHLO are evaluated beside it, whatever comes of them.
		{name: "passive, SPF includes two deep", zone: zoneMX4 + zoneSPF + "b.example.net. TXT \"v=spf1 ip4:198.51.100.1 -all\"\n", args: "--passive --only mx,rdns,spf", want: cost{trips: 3}},
		{name: "passive, three deep", zone: zoneMX4 + zoneSPF + "b.example.net. TXT \"v=spf1 include:c.example.net -all\"\nc.example.net. TXT \"v=spf1 ip4:198.51.100.1 -all\"\n",
			args: "--passive --only mx,rdns,spf", want: cost{trips: 4}},
		{name: "passive, an mx two deep", zone: zoneMX4 + zoneSPF + "b.example.net. TXT \"v=spf1 mx -all\"\nb.example.net. MX 0 h.example.net.\nh.example.net. A 198.51.100.2\n",
			args: "--passive --only mx,spf --sending-ip 192.0.2.1 --sending-ip 198.51.100.2 --sending-helo h.example.net", want: cost{trips: 5}},
		// Who has the domain of an include that is gone is asked when that is known.
		{name: "passive, SPF includes what is gone", zone: zoneMX4 + zoneSPF + "b.example.net. !nxdomain\n", args: "--passive --only mx,rdns,spf", want: cost{trips: 4}},
		// Seven deep it is as long as the chain of an audit.
		{name: "SPF includes seven deep", zone: zoneMX4 + zoneSPF + deepSPF(), server: server4, args: "--only mx,spf,smtp,tls --sending-ip 198.51.100.1", want: withOld(8)},
		// MX, address.
		{name: "only mx", zone: zoneMX4, args: "--only mx", want: cost{trips: 2}},
		// PTR and forward address of the sending address need no other answer:
		// 2 beside the 3 of the mail hosts, or beside the 8 of the chain.
		{name: "passive, a sending address", zone: zoneMX4 + "99.2.0.192.in-addr.arpa. PTR out.example.org.\nout.example.org. A 192.0.2.99\n",
			args: "--passive --sending-ip 192.0.2.99", want: cost{trips: 3}},
		{name: "a sending address", zone: zoneMX4 + "99.2.0.192.in-addr.arpa. PTR out.example.org.\nout.example.org. A 192.0.2.99\n",
			server: server4, args: "--sending-ip 192.0.2.99", want: withOld(8)},
		// A truncated MX answer is asked for again over TCP: handshake, question.
		// 1 + 2 instead of 1.
		{name: "MX over TCP", zone: zoneMX4 + "example.org. MX !truncate\n", server: server4, want: withOld(10)},
		// MX, address, the refused connect, the pause before it may count, and
		// the connect once more: 3 + 1.
		{name: "port 25 refused", zone: zoneMX4, server: "-- smtp 192.0.2.25:25 --\n!refuse\n", want: cost{trips: 4, pause: 5 * time.Second}},
		// MX, address, connect, greeting, EHLO, QUIT; the pause; connect, greeting,
		// EHLO, QUIT: a negative is believed when the reply to QUIT shows that
		// nothing was out of step. The spacing passes during the pause.
		{name: "no STARTTLS", zone: zoneMX4, server: noTLS, want: cost{trips: 10, pause: 5 * time.Second}},
		// Both addresses of a host refuse: 2, then the two connects one after the
		// other, the pause, which both are in at once, and the second connect of
		// either: the one that went first is a connect ahead. 2 + 2 + 1.
		{name: "port 25 refused, dual stack", zone: zoneMX46, server: "-- smtp 192.0.2.25:25 --\n!refuse\n-- smtp [2001:db8::25]:25 --\n!refuse\n",
			want: cost{trips: 5, pause: 5 * time.Second}},
		// Is it me? Twice ten seconds of silence, with five between them. Control
		// hosts are asked when the first ten are over: their address and their
		// greeting come beside the rest. They answer, so that is all.
		{name: "server down", zone: zoneMX4 + zoneControls, server: "-- smtp 192.0.2.25:25 --\n!timeout\n" + controls(true),
			args: argsControls, want: cost{trips: 2, pause: 25 * time.Second}},
		// They are silent too, for ten seconds beside the second look. Then 465 of
		// the server: a second of spacing, connect, TLS, greeting, EHLO.
		{name: "port 25 is shut here", zone: zoneMX4 + zoneControls, server: "-- smtp 192.0.2.25:25 --\n!timeout\n" + controls(false) +
			"-- smtp 192.0.2.25:465 --\n!starttls cert=good\nS: 220 mx4.example.org\nC: EHLO *\nS: 250 mx4.example.org\n",
			args: argsControls, want: cost{trips: 6, pause: 26 * time.Second}},
		// Nothing answers at all: 465 and 587 cost a second and ten each. It is the
		// longest that the question takes.
		{name: "nothing answers here", zone: zoneMX4 + zoneControls, server: "-- smtp 192.0.2.25:25 --\n!timeout\n" + controls(false) +
			"-- smtp 192.0.2.25:465 --\n!timeout\n-- smtp 192.0.2.25:587 --\n!timeout\n",
			args: argsControls, want: cost{trips: 2, pause: 47 * time.Second}},
		// A server without STARTTLS: 10 and the pause as above, then the address of
		// the control hosts, and connect, greeting, EHLO of one: 1 + 3.
		{name: "no STARTTLS, and is it us", zone: zoneMX4 + zoneControls, server: noTLS + controls(true),
			args: argsControls, want: cost{trips: 14, pause: 5 * time.Second}},
		// Behind NAT our own address is asked nothing about. A public one is: PTR
		// and forward address, 2 beside MX and address.
		{name: "our own name is found", header: "local 9.9.9.10", zone: zoneMX4 + "10.9.9.9.in-addr.arpa. PTR probe.example.net.\nprobe.example.net. A 9.9.9.10\n",
			server: server4, want: withOld(8)},
		// Both our addresses are public: their names are looked for at once.
		{name: "our own name leads back over IPv6 only", header: "local 9.9.9.10 2620:fe::10",
			zone: zoneMX4 + "10.9.9.9.in-addr.arpa. PTR probe.example.net.\nprobe.example.net. A 9.9.9.11\nprobe.example.net. AAAA 2620:fe::10\n" +
				"0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.f.0.0.0.2.6.2.ip6.arpa. PTR probe.example.net.\n",
			server: server4, want: withOld(8)},
		{name: "our own addresses have no names", header: "local 9.9.9.10 2620:fe::10",
			zone:   zoneMX4 + "10.9.9.9.in-addr.arpa. !nxdomain\n0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.f.0.0.0.2.6.2.ip6.arpa. !nxdomain\n",
			server: server4, want: withOld(8)},
	}
}

// zoneSPF is a record that includes a.example.net, which includes b.
const zoneSPF = "example.org. TXT \"v=spf1 include:a.example.net -all\"\na.example.net. TXT \"v=spf1 include:b.example.net -all\"\n"

// deepSPF goes on from b to g, which is seven deep.
func deepSPF() string {
	out := ""
	for c := 'b'; c < 'g'; c++ {
		out += fmt.Sprintf("%c.example.net. TXT \"v=spf1 include:%c.example.net -all\"\n", c, c+1)
	}
	return out + "g.example.net. TXT \"v=spf1 ip4:198.51.100.1 -all\"\n"
}

// Ensure an audit takes exactly the round trips that its longest chain has.
// In a bubble time passes only while somebody waits, so the difference of
// two clock readings is a count.
func TestRoundTrips(t *testing.T) {
	for _, c := range costs() {
		t.Run(c.name, func(t *testing.T) {
			text := fmt.Sprintf("# %s\nat 2026-11-23T12:00:00Z rtt %s %s\n-- zone --\n%s%s", c.name, roundTrip, c.header, c.zone, c.server)
			args := append([]string{"audit", "example.org"}, strings.Fields(c.args)...)
			inWorld(t, text, func(t *testing.T, w *lab.World) {
				db := filepath.Join(t.TempDir(), "history.db")
				got := play(t, w, db, labEnv(), args)
				if got.code == exitUsage || got.code == exitBroken {
					t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
				}
				run := newest(t, db)
				took := run.Finished.Sub(run.Started)
				if took != c.want.total() {
					t.Errorf("it took %v: %.1f round trips and %v of pause, want %d", took, float64(took-c.want.pause)/float64(roundTrip), c.want.pause, c.want.trips+c.want.old)
				}
				if main := mainSession(run); c.want == withOld(8) && main != 8*roundTrip {
					t.Errorf("the main session was over after %v, want eight round trips", main)
				}
			})
		})
	}
}

// mainSession is when the main dialogues of a run were over: at the last word of
// the last of them.
func mainSession(run *audit.Run) time.Duration {
	var end time.Duration
	for _, s := range run.Sidecar.Sessions {
		for _, l := range s.Lines {
			if s.Purpose == "" {
				end = max(end, s.Started.Add(l.At).Sub(run.Started))
			}
		}
	}
	return end
}

// Ensure ARCHITECTURE.md draws the chain that is measured.
func TestRoundTripsAsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	measured := costs()[0]
	words := map[int]string{7: "seven", 8: "eight", 9: "nine", 10: "ten"}
	for line := range strings.Lines(string(text)) {
		chain, isChain := strings.CutPrefix(strings.TrimSpace(line), "MX ─►")
		if !isChain {
			continue
		}
		links := 2 + strings.Count(chain, "─►") // "MX ─►" is one arrow between two links
		if links != measured.want.trips || !strings.HasSuffix(chain, words[links]) {
			t.Errorf("the chain of ARCHITECTURE.md has %d links, measured are %d: %s", links, measured.want.trips, line)
		}
		return
	}
	t.Error("ARCHITECTURE.md draws no chain")
}

// Ensure that wherever the time of an audit runs out, or a signal stops it, it
// ends at that moment, and nothing becomes a fault because it was not seen: a
// fault of the server without STARTTLS is told only when both looks are over.
func TestCutOff(t *testing.T) {
	const step = roundTrip / 2
	for _, c := range []struct {
		name, server string
		whole        time.Duration // what an audit takes, see costs
		faults       bool          // when it was over
	}{
		{"healthy", server4, withOld(8).total(), false},
		{"no STARTTLS", noTLS, 10*roundTrip + 5*time.Second, true},
	} {
		text := fmt.Sprintf("# %s\nat 2026-11-23T12:00:00Z rtt %s\n-- zone --\n%s%s", c.name, roundTrip, zoneMX4, c.server)
		for _, how := range []string{"timeout", "signal"} {
			for at := step / 2; at < c.whole+2*step; at += step {
				if at > 10*roundTrip && at < c.whole-6*roundTrip {
					at += time.Second - 3*step // in the middle of the pause nothing happens
				}
				inWorld(t, text, func(t *testing.T, w *lab.World) {
					db := filepath.Join(t.TempDir(), "history.db")
					a := attempt{args: []string{"audit", "example.org", "--fail-on", "low"}, db: db}
					if how == "timeout" {
						a.args = append(a.args, "--timeout", at.String())
					} else {
						ctx, cancel := context.WithCancelCause(context.Background())
						defer cancel(nil)
						stop := time.AfterFunc(at, func() { cancel(interrupted{os.Interrupt}) })
						defer stop.Stop()
						a.ctx = ctx
					}
					checkCutOff(t, a.in(w), newest(t, db), how, at, c.whole, c.faults)
				})
				if t.Failed() {
					t.Fatalf("%s, %s at %v", c.name, how, at)
				}
			}
		}
	}
}

func checkCutOff(t *testing.T, got outcome, run *audit.Run, how string, at, whole time.Duration, faults bool) {
	t.Helper()
	cut := at < whole
	state, code := audit.Complete, map[bool]int{true: exitFindings, false: exitOK}[faults && !cut]
	if how == "signal" && cut {
		state = audit.Aborted
	}
	if how == "signal" && !got.at.Before(run.Started.Add(at)) { // it may come during the goodbyes, too
		code = exitInterrupted
	}
	dark, ours := 0, 0
	for _, f := range run.Findings {
		switch {
		case f.OurSide():
			ours++
		case f.Status == audit.Fail && f.Severity != audit.Info && cut:
			t.Errorf("%s of %s fails: %s", f.Rule, f.Subject, f.Detail)
		case f.Status == audit.UnknownStatus:
			dark++
			if f.Cause != audit.Deadline && f.Cause != audit.Interrupted && f.Cause != audit.NotLearned && f.Cause != audit.Once {
				t.Errorf("%s is unknown because of %s", f.Rule, f.Cause)
			}
		}
	}
	if code == exitOK && dark == len(run.Findings)-ours {
		code = exitUnknown
	}
	if got.code != code || got.err != "" || run.State != state || (dark > 0) != cut {
		t.Errorf("exit %d, want %d; %s, want %s; %d unknown\n%s%s", got.code, code, run.State, state, dark, got.out, got.err)
	}
	if took, want := run.Finished.Sub(run.Started), min(at, whole); took != want {
		t.Errorf("it took %v, want %v", took, want)
	}
}

// labEnv opens the documentation ranges that worlds are made of.
func labEnv() map[string]string { return map[string]string{"MAILAUDIT_ALLOW_NET": documentation} }

// inWorld runs a test in a bubble at the time of a world, and then reports
// whatever the world has to complain about.
func inWorld(t *testing.T, text string, test func(t *testing.T, w *lab.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, err := lab.ParseWorld(t.Name(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(w.At))
		test(t, w)
		time.Sleep(time.Minute) // goodbyes that a signal left to themselves
		for _, p := range append(w.Problems(), w.Unanswered()...) {
			t.Errorf("problem of the world: %s", p)
		}
	})
}
