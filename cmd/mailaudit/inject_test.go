package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// These tests break every answer that a run depends on, one at a time and in
// every way, and hold the program to its promise: what is not seen is unknown.
// A world is run once as it is; then once per DNS question and way of failing,
// and once per line that a mail server says and way of failing.

// longest is more than any run takes: --timeout is five minutes.
const longest = 6 * time.Minute

// verdicts is what a run said, by rule and subject.
type verdicts map[audit.Key]audit.Finding

// auditOnce runs a world's first audit, without history, in a bubble of its
// own. prepare may change the world before.
func auditOnce(t *testing.T, file, text string, keys *lab.KeyCache, prepare func(*lab.World) error) (verdicts, *lab.Network) {
	t.Helper()
	out, net := verdicts{}, (*lab.Network)(nil)
	synctest.Test(t, func(t *testing.T) {
		w := parseWorld(t, file, []byte(text), keys)
		err := prepare(w)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(w.At))
		got := play(t, w, "", envOf(file), append(slices.Clone(w.Runs[0].Args), "--no-save", "--format", "json"))
		if took := time.Since(w.At); took > longest {
			t.Errorf("the run took %v", took)
		}
		for _, p := range append(w.Problems(), w.Unanswered()...) {
			t.Errorf("problem of the world: %s", p)
		}
		for _, f := range findingsOf(t, got) {
			out[f.Key()] = f
		}
		net = got.net
	})
	return out, net
}

func asItIs(*lab.World) error { return nil }

// findingsOf reads the JSON output of an audit of one domain.
func findingsOf(t *testing.T, got played) []audit.Finding {
	t.Helper()
	var doc struct {
		Runs []struct{ Findings []audit.Finding }
	}
	err := json.Unmarshal([]byte(got.out), &doc)
	if err != nil || len(doc.Runs) != 1 {
		t.Fatalf("exit %d, %d runs, %v\n%s%s", got.code, len(doc.Runs), err, got.out, got.err)
	}
	return doc.Runs[0].Findings
}

// checkInjection compares a run with a failure in it with the run without.
// darker: something that was known must be unknown now.
func checkInjection(t *testing.T, what string, before, after verdicts, darker bool) {
	t.Helper()
	lost := 0
	for key, f := range after {
		was := before[key].Status
		switch {
		case f.Cause == audit.Bug:
			t.Errorf("%s: %s of %s broke down: %s", what, f.Rule, f.Subject, f.Detail)
		case was.Known() && f.Status.Known() && was != f.Status:
			t.Errorf("%s turned %s of %s from %s into %s: %s", what, f.Rule, f.Subject, was, f.Status, f.Detail)
		case f.Status == audit.Fail && was == "":
			t.Errorf("%s made a fail of %s about %s: %s", what, f.Rule, f.Subject, f.Detail)
		case f.Status == audit.UnknownStatus && was != audit.UnknownStatus:
			lost++
		}
	}
	if len(after) == 0 {
		t.Errorf("%s: the run says nothing", what)
	}
	if darker && lost == 0 {
		t.Errorf("%s: nothing became unknown", what)
	}
}

// injectedWorlds are the worlds of which every answer is broken: one in which
// all is well, three in which little is, and those whose verdict hangs on a
// negative answer.
func injectedWorlds() []string {
	return []string{
		"inject-healthy", "inject-names", "inject-servers", "inject-tls", "mx-nxdomain", "mx-no-route", "mx-null", "mx-domain-alias-dangling",
		"mx-implicit-refused", "rdns-sending-ips",
	}
}

func readWorld(t *testing.T, name string) (file, text string) {
	t.Helper()
	file = filepath.Join("testdata", "worlds", name+".txtar")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, string(data)
}

// dnsFailures are zone directives, of which each keeps every answer away.
func dnsFailures() []string {
	return []string{"!timeout", "!servfail", "!refused", "!formerr", "!notimp", "!lame", "!garbage", "!truncate", "!truncate !timeout+tcp"}
}

// TestInjectDNS breaks every DNS question that a run asks.
func TestInjectDNS(t *testing.T) {
	keys := lab.NewKeyCache()
	for _, name := range injectedWorlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, text := readWorld(t, name)
			before, net := auditOnce(t, file, text, keys, asItIs)
			for _, q := range questions(net) {
				for _, failure := range dnsFailures() {
					after, _ := auditOnce(t, file, withDNS(text, q, failure), keys, asItIs)
					checkInjection(t, q+" "+failure, before, after, needed(name, q))
				}
				// A failure that is over when it is asked again changes nothing.
				for _, failure := range []string{"!timeout#1", "!servfail#1", "!refused#1", "!lame#1"} {
					after, _ := auditOnce(t, file, withDNS(text, q, failure), keys, asItIs)
					for key, f := range after {
						if before[key].Status != f.Status {
							t.Errorf("%s %s: %s of %s is %s, was %s", q, failure, f.Rule, f.Subject, f.Status, before[key].Status)
						}
					}
				}
			}
		})
	}
}

// needed reports whether some verdict of a world hangs on a question. Those of
// the domain's own address do only where there is no MX record: it is asked
// for in advance. One of several PTR names that leads back is enough.
func needed(world, question string) bool {
	switch world {
	case "inject-healthy", "inject-names", "inject-servers", "inject-tls", "mx-null", "rdns-sending-ips", "mx-nxdomain":
		ahead := question == "example.org. A" || question == "example.org. AAAA"
		spare := question == "a.example.net. A" || question == "c.example.net. A"
		return !ahead && !spare
	}
	return true
}

// questions lists what was asked, as beginnings of zone lines.
func questions(net *lab.Network) []string {
	asked := map[string]bool{}
	for _, q := range net.Questions() {
		asked[q.Name.FQDN()+" "+q.Type] = true
	}
	return slices.Sorted(maps.Keys(asked))
}

// withDNS is a world in which a question fails. The line comes first, so that
// no other directive is before it; TCP to the resolver is refused.
func withDNS(text, question, failure string) string {
	text = strings.Replace(text, "-- zone --\n", "-- zone --\n"+question+" "+failure+"\n", 1)
	return strings.Replace(text, "-- run --\n", "-- smtp 192.0.2.53:53 --\n!refuse\n-- run --\n", 1)
}

// smtpFailure is what a server does in place of a line of its script. What
// follows in the script is left out.
type smtpFailure struct {
	name  string
	steps []lab.Step
}

func smtpFailures() []smtpFailure {
	hangUp := lab.Step{Op: lab.Close}
	say := func(text string) lab.Step { return lab.Step{Op: lab.Say, Text: text} }
	return []smtpFailure{
		{"close", []lab.Step{hangUp}},
		{"reset", []lab.Step{{Op: lab.Reset}}},
		{"stall", []lab.Step{{Op: lab.Stall}}},
		{"garbage", []lab.Step{{Op: lab.Junk}, hangUp}},
		{"half a line", []lab.Step{{Op: lab.Bytes, Text: "25"}, hangUp}},
		{"half a reply", []lab.Step{say("250-more to come"), {Op: lab.Stall}}},
		{"421", []lab.Step{say("421 4.3.2 shutting down"), hangUp}},
		{"451", []lab.Step{say("451 4.7.1 try again later")}},
	}
}

// connectFailures are those of the connection itself.
func connectFailures() []smtpFailure {
	var out []smtpFailure
	for _, op := range []lab.Op{lab.Timeout, lab.Unreachable, lab.NoRoute} {
		out = append(out, smtpFailure{"connect " + string(op), []lab.Step{{Op: op}}})
	}
	return out
}

// broken is a script whose steps end before the one at and go on with a
// failure.
func (f smtpFailure) broken(s lab.Script, at int) lab.Script {
	s.Steps = append(slices.Clone(s.Steps[:at]), f.steps...)
	return s
}

// TestInjectSMTP breaks every connection, every reply line and every handshake
// of every mail server, on each connection that a run makes to it and on all
// of them.
func TestInjectSMTP(t *testing.T) {
	keys := lab.NewKeyCache()
	for _, name := range injectedWorlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, text := readWorld(t, name)
			before, net := auditOnce(t, file, text, keys, asItIs)
			made := map[netip.AddrPort]int{} // connections
			for _, c := range net.Connections() {
				made[c.Remote]++
			}
			for addr, n := range made {
				t.Run(addr.String(), func(t *testing.T) {
					injectServer(t, injection{file, text, keys, before}, addr, n)
				})
			}
		})
	}
}

// injection is a world and what it says without a failure.
type injection struct {
	file, text string
	keys       *lab.KeyCache
	before     verdicts
}

func injectServer(t *testing.T, in injection, addr netip.AddrPort, connections int) {
	t.Helper()
	server := parseWorld(t, in.file, []byte(in.text), in.keys).Servers[addr]
	if server == nil || len(server.Scripts) != 1 || server.Scripts[0].Healthy != nil {
		t.Fatalf("%s: %s must have one script, of which lines can be broken", in.file, addr)
	}
	good := server.Scripts[0]
	for _, f := range connectFailures() {
		// Silence that is met every time is a fault of the server, where another
		// one shows that it is not ours (smtp.unreachable).
		silence := f.steps[0].Op != lab.NoRoute
		in.try(t, f.name, addr, good, f.broken(good, 0), connections, !silence)
		if silence {
			in.silent(t, f.name+", always", addr, numbered(f.broken(good, 0), 1))
		}
	}
	for at, step := range good.Steps {
		if step.Op != lab.Say && step.Op != lab.StartTLS {
			continue
		}
		for _, f := range smtpFailures() {
			// A handshake that breaks on every connection is no failure to see
			// but a fault of the server (tls.starttls-broken). Silence is none.
			// No verdict hangs on the reply to HELO.
			lasting := step.Op != lab.StartTLS || f.name == "stall"
			lasting = lasting && (at == 0 || !strings.HasPrefix(good.Steps[at-1].Text, "HELO"))
			what := fmt.Sprintf("%s in place of line %d (%s %s)", f.name, step.Line, step.Op, step.Text)
			in.try(t, what, addr, good, f.broken(good, at), connections, lasting)
		}
	}
}

// try breaks one connection after the other, and then all of them, which must
// leave something unknown; not when nothing of that kind lasts. Where a run
// makes two connections, it needs both: one of them alone proves no fault. The
// last one of a server with TLS is for its old versions and a thing by itself.
func (in injection) try(t *testing.T, what string, addr netip.AddrPort, good, bad lab.Script, connections int, lasting bool) {
	t.Helper()
	main := connections
	if slices.ContainsFunc(good.Steps, func(s lab.Step) bool { return s.Op == lab.StartTLS }) {
		main--
	}
	for n := 1; n <= connections; n++ {
		var scripts []lab.Script
		if n > 1 {
			scripts = append(scripts, numbered(good, 1))
		}
		scripts = append(scripts, numbered(bad, n), numbered(good, n+1))
		in.run(t, fmt.Sprintf("%s, connection %d", what, n), addr, scripts, lasting && main > 1)
	}
	if lasting {
		in.run(t, what+", always", addr, []lab.Script{numbered(bad, 1)}, true)
	}
}

// silent makes a server silent for good. That may turn one verdict about it, and
// no other.
func (in injection) silent(t *testing.T, what string, addr netip.AddrPort, bad lab.Script) {
	t.Helper()
	after, _ := auditOnce(t, in.file, in.text, in.keys, func(w *lab.World) error {
		return w.Change(lab.Change{Server: &lab.Server{Addr: addr, Scripts: []lab.Script{bad}}})
	})
	before, dead := maps.Clone(in.before), false
	for key, f := range after {
		if key.Rule == "smtp.unreachable" && strings.Contains(key.Subject, "["+addr.Addr().String()+"]") && f.Status == audit.Fail {
			dead = true
			delete(before, key)
			delete(after, key)
		}
	}
	checkInjection(t, what, before, after, !dead)
}

func numbered(s lab.Script, n int) lab.Script {
	s.N = n
	return s
}

func (in injection) run(t *testing.T, what string, addr netip.AddrPort, scripts []lab.Script, darker bool) {
	t.Helper()
	after, _ := auditOnce(t, in.file, in.text, in.keys, func(w *lab.World) error {
		return w.Change(lab.Change{Server: &lab.Server{Addr: addr, Scripts: scripts}})
	})
	checkInjection(t, what, in.before, after, darker)
}
