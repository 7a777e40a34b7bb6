package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// Ensure a mail host with thousands of addresses costs no more than one with
// dozens: in questions, in connections, in the history and in what is to be
// read. What was not looked at is neither good nor bad.
func TestThousandsOfAddresses(t *testing.T) {
	const many = 2000
	var zone, servers strings.Builder
	for i := range many {
		fmt.Fprintf(&zone, "mx.example.org. A 10.0.%d.%d\n", i/200, i%200+1)
		fmt.Fprintf(&zone, "mx.example.org. AAAA 2001:db8::%x\n", i+1)
	}
	for i := range 4 {
		fmt.Fprintf(&servers, "-- server 10.0.0.%d:25 mx.example.org --\n-- server [2001:db8::%x]:25 mx.example.org --\n", i+1, i+1)
	}
	world := "# One mail host, on thousands of addresses.\nat 2026-11-23T12:00:00Z  areas mx rdns smtp tls\n-- zone --\n" +
		"example.org. MX 10 mx.example.org.\n*.10.in-addr.arpa. PTR mx.example.org.\n*.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx.example.org.\n" + zone.String() + servers.String()
	inWorld(t, world, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		got := attempt{args: []string{"audit", "example.org", "--allow-private"}, db: db}.in(w)
		if got.code != exitOK {
			t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
		}
		for _, want := range []string{
			"Its mail hosts have more addresses than a run follows: 3936 were left out.",
			"the name has more addresses than a run follows", "a run probes a sample of the addresses of large mail hosts",
		} {
			if !strings.Contains(squeeze(got.out), want) {
				t.Errorf("the report lacks %q", want)
			}
		}
		run := newest(t, db)
		for _, f := range run.Findings {
			if f.Status == audit.Fail && f.Severity != audit.Info || f.Status == audit.Pass && f.Rule == "mx.target-not-public" {
				t.Errorf("%s of %s: %s: %s", f.Rule, f.Subject, f.Status, f.Detail)
			}
		}
		facts, err := json.Marshal(run.Snapshot.Facts)
		if err != nil {
			t.Fatal(err)
		}
		questions, connections := len(got.net.Questions()), len(got.net.Connections())
		lines := strings.Count(got.out, "\n")
		t.Logf("%d questions, %d connections, %d bytes of facts, %d findings, %d lines", questions, connections, len(facts), len(run.Findings), lines)
		if questions > 100 || len(facts) > 150<<10 || lines > 120 {
			t.Error("that is too much")
		}
		again := attempt{args: []string{"audit", "example.org", "--allow-private", "-q"}, db: db}.in(w)
		if again.code != exitOK || again.out != "" {
			t.Errorf("a quiet night: exit %d\n%s", again.code, again.out)
		}
		dry := attempt{args: []string{"audit", "example.org", "--allow-private", "--dry-run"}}.in(w)
		if !strings.Contains(dry.out, "mx.example.org: 3936 more addresses would not be contacted") || strings.Count(dry.out, "\n") > 140 {
			t.Errorf("dry run:\n%s", dry.out)
		}
	})
}
