package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/collect"
	"mailaudit/internal/lab"
)

// blockedBatch is forty customers of two providers, seen from where port 25 is
// shut.
func blockedBatch() (world, list string) {
	var zone, domains strings.Builder
	for i := range 40 {
		fmt.Fprintf(&zone, "d%d.example. MX 10 mx.provider%d.example.\n", i, i%2+1)
		fmt.Fprintf(&domains, "d%d.example\n", i)
	}
	return "# Port 25 is shut here.\nat 2026-11-23T12:00:00Z\n-- zone --\n" + zone.String() + zoneControls +
		"mx.provider1.example. A 192.0.2.25\nmx.provider2.example. A 192.0.2.26\n*.2.0.192.in-addr.arpa. !nxdomain\n" +
		"-- smtp 192.0.2.25:25 --\n!timeout\n-- smtp 192.0.2.26:25 --\n!timeout\n-- smtp 192.0.2.25:465 --\n!refuse\n-- smtp 192.0.2.25:587 --\n!timeout\n" +
		"-- smtp 192.0.2.26:465 --\n!timeout\n-- smtp 192.0.2.26:587 --\n!refuse\n" + controls(false), domains.String()
}

// Ensure a batch asks each control host once, whatever the number of domains,
// and each server about its other ports once; also where the time of every
// domain is over before the control hosts have answered.
func TestControlsOncePerBatch(t *testing.T) {
	world, list := blockedBatch()
	for _, timeout := range []string{"5m", "12s", "21s"} {
		t.Run(timeout, func(t *testing.T) {
			inWorld(t, world, func(t *testing.T, w *lab.World) {
				got := attempt{stdin: list, args: append([]string{"audit", "--file", "-", "--parallel", "4", "--timeout", timeout, "-f", "jsonl", "--no-save"}, strings.Fields(argsControls)...)}.in(w)
				if got.code != exitOK {
					t.Fatalf("exit %d\n%s", got.code, got.err)
				}
				got.net.Wait()
				tried := map[string]int{}
				for _, c := range got.net.Connections() {
					tried[c.Remote.String()]++
				}
				if len(controlAddrs()) != collect.MaxControls {
					t.Fatal("the world has another number of control hosts")
				}
				for _, addr := range controlAddrs() {
					if n := tried[addr+":25"]; n != 1 {
						t.Errorf("%d connections to control host %s", n, addr)
					}
				}
				for remote, n := range tried {
					if strings.HasSuffix(remote, "5:465") && n > 1 || strings.HasSuffix(remote, "7:587") && n > 1 {
						t.Errorf("%d connections to %s", n, remote)
					}
				}
			})
		})
	}
}

// Ensure that what is stored of our own side is the same every night, whichever
// of the control hosts is slow, refuses, or is down.
func TestControlsAreStable(t *testing.T) {
	inWorld(t, "# One server is down.\nat 2026-11-23T12:00:00Z\n-- zone --\n"+zoneMX4+zoneControls+"-- smtp 192.0.2.25:25 --\n!timeout\n"+controls(true),
		func(t *testing.T, w *lab.World) {
			var first map[string]string
			for _, night := range []string{"", "!timeout", "!refuse", "!delay 9s\nS: 220 mx.control1.example.net", "S: 554 no", "!close"} {
				if night != "" {
					world, err := lab.ParseWorld("night", []byte("# x\nat 2026-11-23T12:00:00Z\n-- smtp 9.9.9.3:25 --\n"+night+"\n"))
					if err != nil {
						t.Fatal(err)
					}
					err = w.Change(lab.Change{Server: world.Servers[netip.MustParseAddrPort("9.9.9.3:25")]})
					if err != nil {
						t.Fatal(err)
					}
				}
				got := attempt{args: append([]string{"audit", "example.org", "-f", "jsonl", "--no-save"}, strings.Fields(argsControls)...)}.in(w)
				facts := factsOf(t, got.out)
				if first == nil {
					first = facts
				}
				if d := cmp.Diff(first, facts); d != "" || got.code != exitFindings {
					t.Errorf("%q: exit %d, other facts:\n%s", night, got.code, d)
				}
			}
		})
}

// Ensure what is said to control hosts, and to other ports of a server, is what
// is said to every server: EHLO and QUIT.
func TestControlDialogue(t *testing.T) {
	inWorld(t, "# One server is down.\nat 2026-11-23T12:00:00Z\n-- zone --\n"+zoneMX4+zoneControls+"-- smtp 192.0.2.25:25 --\n!timeout\n"+controls(true),
		func(t *testing.T, w *lab.World) {
			got := attempt{args: append([]string{"audit", "example.org", "--no-save"}, strings.Fields(argsControls)...)}.in(w)
			got.net.Wait()
			for _, c := range got.net.Connections() {
				if c.Remote.Port() == 25 && c.Refused == "" && strings.Join(c.Commands, ", ") != "EHLO probe.example.net, QUIT" {
					t.Errorf("to %s: %q", c.Remote, c.Commands)
				}
			}
		})
}

// Ensure a signal ends a control check at once.
func TestControlsInterrupted(t *testing.T) {
	world, list := blockedBatch()
	for _, after := range []time.Duration{11 * time.Second, 15 * time.Second, 27 * time.Second} {
		inWorld(t, world, func(t *testing.T, w *lab.World) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			start := time.Now()
			stop := time.AfterFunc(after, func() { cancel(interrupted{os.Interrupt}) })
			defer stop.Stop()
			got := attempt{ctx: ctx, db: filepath.Join(t.TempDir(), "history.db"), stdin: list, args: append([]string{"audit", "--file", "-", "-q"}, strings.Fields(argsControls)...)}.in(w)
			if took := got.at.Sub(start); got.code != exitInterrupted || took != after {
				t.Errorf("exit %d after %v, want %v", got.code, took, after)
			}
		})
	}
}

// Ensure the documentation names the default control hosts, and says in how
// many connections the question ends.
func TestControlsAsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/smtp.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range collect.DefaultControls() {
		if !strings.Contains(string(text), fmt.Sprintf("| `%s` |", c.Host)) {
			t.Errorf("docs/smtp.md does not name %s", c.Host)
		}
	}
	if !strings.Contains(string(text), fmt.Sprintf("at most %d control hosts", collect.MaxControls)) {
		t.Error("docs/smtp.md does not say how many control hosts are asked")
	}
}
