package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// spfWorld is the world of the command spf.
func spfWorld(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/worlds/spf-command.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Ensure one address is a document with the result in it, as the issue has it,
// and several are a document with a list.
func TestSPFDocuments(t *testing.T) {
	inWorld(t, spfWorld(t), func(t *testing.T, w *lab.World) {
		var one struct {
			Schema, Result, Explanation string
			Lookups                     int
			VoidLookups                 int `json:"void_lookups"`
			Tree                        *audit.SPFNode
		}
		got := attempt{args: []string{"spf", "example.org", "-f", "json", "--ip", "203.0.113.99"}}.in(w)
		err := json.Unmarshal([]byte(got.out), &one)
		if err != nil || one.Schema != "mailaudit-spf/1" || one.Result != "fail" || one.Explanation != "203.0.113.99 does not send for example.org" ||
			one.Lookups != 6 || one.VoidLookups != 2 || one.Tree == nil || len(one.Tree.Steps) != 5 {
			t.Errorf("%v: %+v", err, one)
		}
		for _, field := range []string{"schema", "result", "explanation", "lookups", "void_lookups", "tree"} {
			if !strings.Contains(got.out, "\n  \""+field+"\": ") {
				t.Errorf("no field %s", field)
			}
		}
		var several struct {
			Schema string
			Checks []audit.SPFCheck
		}
		got = attempt{args: []string{"spf", "example.org", "-f", "json", "--ip", "203.0.113.99", "--ip", "192.0.2.5", "--ip", "203.0.113.99"}}.in(w)
		err = json.Unmarshal([]byte(got.out), &several)
		if err != nil || several.Schema != "mailaudit-spf/1" || len(several.Checks) != 2 || several.Checks[0].Result != audit.SPFPass || several.Checks[1].Result != audit.SPFFail {
			t.Errorf("%v: %+v", err, several)
		}
	})
}

// Ensure what is checked is the domain of the sender, or for the null sender
// the HELO name, and that DOMAIN may be left out.
func TestSPFIdentity(t *testing.T) {
	inWorld(t, spfWorld(t), func(t *testing.T, w *lab.World) {
		for _, c := range []struct{ args, identity, sender, helo string }{
			{"example.org", "mailfrom", "postmaster@example.org", ""},
			{"EXAMPLE.org.", "mailfrom", "postmaster@example.org", ""},
			{"example.org --mail-from <User@Example.ORG>", "mailfrom", "User@Example.ORG", ""},
			{"--mail-from user@example.org", "mailfrom", "user@example.org", ""},
			{"--mail-from example.org", "mailfrom", "postmaster@example.org", ""},
			{"--mail-from user@example.org --helo mx.example.org", "mailfrom", "user@example.org", "mx.example.org"},
			{"example.org --helo mx.example.org", "mailfrom", "postmaster@example.org", "mx.example.org"},
			{"--helo mx.example.org", "helo", "postmaster@mx.example.org", "mx.example.org"},
			{"--helo mx.example.org --mail-from=", "helo", "postmaster@mx.example.org", "mx.example.org"},
			{"--helo mx.example.org --mail-from <>", "helo", "postmaster@mx.example.org", "mx.example.org"},
			{"mx.example.org --mail-from=", "helo", "postmaster@mx.example.org", "mx.example.org"},
			{"_spf.google.com", "mailfrom", "postmaster@_spf.google.com", ""},
			{"--helo [192.0.2.5]", "helo", "postmaster@[192.0.2.5]", "[192.0.2.5]"}, // no domain: the result is none
		} {
			args := append([]string{"spf", "-f", "json", "--ip", "192.0.2.5"}, strings.Fields(c.args)...)
			got := attempt{args: args}.in(w)
			var check audit.SPFCheck
			err := json.Unmarshal([]byte(got.out), &check)
			if err != nil || got.code != exitOK || check.Identity != c.identity || string(check.Sender) != c.sender || string(check.Helo) != c.helo {
				t.Errorf("%s: exit %d, %v, %s %s %s\n%s", c.args, got.code, err, check.Identity, check.Sender, check.Helo, got.err)
			}
		}
	})
}

// Ensure the exit code says what was expected, and says nothing of it where it
// is our resolver that failed.
func TestSPFExit(t *testing.T) {
	const down = "# The resolver is no help.\nat 2026-11-23T12:00:00Z\n-- zone --\n* "
	for _, c := range []struct {
		world, args string
		code        int
	}{
		{spfWorld(t), "example.org --ip 192.0.2.5", exitOK},
		{spfWorld(t), "example.org --ip 192.0.2.5 --expect pass", exitOK},
		{spfWorld(t), "example.org --ip 192.0.2.5 --expect fail", exitFindings},
		{spfWorld(t), "example.org --ip 203.0.113.99", exitOK},
		{spfWorld(t), "example.org --ip 203.0.113.99 --expect fail", exitOK},
		{spfWorld(t), "example.org --ip 203.0.113.99 --ip 192.0.2.5 --expect fail", exitFindings},
		{spfWorld(t), "dark.example.net --ip 192.0.2.5", exitOK},
		{spfWorld(t), "dark.example.net --ip 192.0.2.5 --expect temperror", exitOK},
		{spfWorld(t), "dark.example.net --ip 192.0.2.5 --expect pass", exitFindings},
		{down + "!timeout", "example.org --ip 192.0.2.5", exitUnknown},
		{down + "!timeout", "example.org --ip 192.0.2.5 --expect pass", exitUnknown},
		{down + "!refused", "example.org --ip 192.0.2.5 --expect pass", exitUnknown},
		// Of a policy.
		{spfWorld(t), "example.org", exitOK},
		{spfWorld(t), "broken.example.net -f json", exitOK},
		{spfWorld(t), "dark.example.net", exitOK},
		{down + "!servfail", "example.org", exitUnknown},
	} {
		t.Run(c.args, func(t *testing.T) {
			inWorld(t, c.world, func(t *testing.T, w *lab.World) {
				db := filepath.Join(t.TempDir(), "sub", "history.db")
				got := attempt{args: append([]string{"spf"}, strings.Fields(c.args)...), db: db}.in(w)
				if got.code != c.code || got.err != "" || len(got.net.Connections()) > 0 {
					t.Errorf("exit %d, want %d\n%s%s", got.code, c.code, got.out, got.err)
				}
				checkFiles(t, filepath.Dir(db)) // nothing is stored
			})
		})
	}
}

// Ensure the words of --expect are the results that there are.
func TestSPFResults(t *testing.T) {
	if got := spfResults(); len(got) != 7 || !slices.Contains(got, string(audit.SPFNone)) {
		t.Errorf("%v", got)
	}
}
