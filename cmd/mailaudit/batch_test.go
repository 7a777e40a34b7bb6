package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/lab"
	"mailaudit/internal/store"
)

// sharedWorld is domains that have a provider in common, whose host has two
// addresses, and some with a host of their own. own2 is refused, dark is dark,
// named points with a name of its own to the provider.
const sharedWorld = `# Customers of one provider, and others.
at 2026-11-23T12:00:00Z  rtt 20ms
-- zone --
d0.example.  MX 10 mx.provider.example.
d1.example.  MX 10 mx.provider.example.
d2.example.  MX 10 mx.provider.example.
d3.example.  MX 10 mx.provider.example.
d4.example.  MX 10 mx.provider.example.
d5.example.  MX 10 mx.provider.example.
d6.example.  MX 10 mx.provider.example.
d7.example.  MX 10 mx.provider.example.
own1.example.     MX 10 mx.own1.example.
mx.own1.example.  A 192.0.2.31
own2.example.     MX 10 mx.own2.example.
mx.own2.example.  A 192.0.2.32
named.example.    MX 10 mx.named.example.
mx.named.example. A 192.0.2.25
dark.example.     !servfail
d0.example.  TXT "v=spf1 include:_spf.provider.example mx -all"
d1.example.  TXT "v=spf1 include:_spf.provider.example a:mx.provider.example ~all"
d2.example.  TXT "v=spf1 mx include:_spf.provider.example include:gone.provider.example include:dark.example -all"
d3.example.  TXT "v=spf1 redirect=_spf.provider.example"
d4.example.  TXT "v=spf1 include:gone.provider.example exists:%{i}.provider.example -all"
_spf.provider.example.  TXT "v=spf1 include:_a.provider.example mx:provider.example ~all"
_a.provider.example.    TXT "v=spf1 ip4:192.0.2.0/25 ~all"
provider.example.       MX 10 mx.provider.example.
mx.provider.example. A 192.0.2.25
mx.provider.example. AAAA 2001:db8::25
25.2.0.192.in-addr.arpa. PTR mx.provider.example.
31.2.0.192.in-addr.arpa. PTR mx.own1.example.
32.2.0.192.in-addr.arpa. PTR mx.own2.example.
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx.provider.example.
-- server 192.0.2.25:25 mx.provider.example --
-- server [2001:db8::25]:25 mx.provider.example --
-- server 192.0.2.31:25 mx.own1.example --
-- smtp 192.0.2.32:25 --
!refuse
`

const sharedList = `d0.example
d1.example selector=s1
d2.example ip=192.0.2.25
d3.example
d4.example
d5.example
d6.example
d7.example
own1.example
own2.example
named.example
dark.example
`

// factsOf are the facts of the last run of each target, as they are compared,
// without what a domain was told to look at.
func factsOf(t *testing.T, jsonl string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(jsonl) {
		var run struct {
			Target   string
			Facts    json.RawMessage
			Findings json.RawMessage
		}
		err := json.Unmarshal([]byte(line), &run)
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		var b bytes.Buffer
		for _, part := range []json.RawMessage{run.Facts, run.Findings} {
			err = json.Indent(&b, part, "", " ")
			if err != nil {
				t.Fatal(err)
			}
		}
		out[run.Target] = b.String()
	}
	return out
}

// Ensure an audit among others finds what it finds alone, down to the last
// octet of facts and findings, and that the provider is met once.
func TestBatchFindsWhatEachFindsAlone(t *testing.T) {
	inWorld(t, sharedWorld, func(t *testing.T, w *lab.World) {
		got := attempt{args: []string{"audit", "--file", "-", "-f", "jsonl", "--no-save"}, stdin: sharedList}.in(w)
		if got.code != exitUnknown || got.err != "" {
			t.Errorf("exit %d\n%s", got.code, got.err)
		}
		met := map[string]int{}
		for _, c := range got.net.Connections() {
			met[c.Remote.String()]++
		}
		// The own name of named.example is not in the certificate, so it is
		// looked at by itself; a refusal is looked at twice. Where there is TLS, one
		// more connection tries its old versions, for all names together.
		want := map[string]int{"192.0.2.25:25": 3, "[2001:db8::25]:25": 2, "192.0.2.31:25": 2, "192.0.2.32:25": 2}
		if diff := cmp.Diff(want, met); diff != "" {
			t.Errorf("connections: %s", diff)
		}
		together := factsOf(t, got.out)
		for line := range strings.Lines(sharedList) {
			words := strings.Fields(line)
			args := []string{"audit", words[0], "-f", "jsonl", "--no-save"}
			for _, known := range words[1:] {
				args = append(args, "--"+strings.NewReplacer("ip=", "sending-ip=").Replace(known))
			}
			got := attempt{args: args}.in(w)
			alone := factsOf(t, got.out)
			if alone[words[0]] == "" {
				t.Fatalf("%v: exit %d\n%s", args, got.code, got.err)
			}
			if diff := cmp.Diff(alone[words[0]], together[words[0]]); diff != "" {
				t.Errorf("%s (-alone +together):\n%s", words[0], diff)
			}
		}
	})
}

// Ensure a batch says of each run what that one did, and all of it together is
// what was done.
func TestBatchTraffic(t *testing.T) {
	inWorld(t, sharedWorld, func(t *testing.T, w *lab.World) {
		got := attempt{args: []string{"audit", "--file", "-", "-f", "jsonl", "--no-save"}, stdin: sharedList}.in(w)
		questions, connections, shared := 0, 0, 0
		for line := range strings.Lines(got.out) {
			var run struct {
				Traffic struct{ Questions, Connections, Shared int }
			}
			err := json.Unmarshal([]byte(line), &run)
			if err != nil {
				t.Fatal(err)
			}
			questions += run.Traffic.Questions
			connections += run.Traffic.Connections
			shared += run.Traffic.Shared
		}
		if n := len(got.net.Questions()); questions != n {
			t.Errorf("%d questions are told of, %d were asked", questions, n)
		}
		if n := len(got.net.Connections()); connections != n {
			t.Errorf("%d connections are told of, %d were made", connections, n)
		}
		if shared != 14 { // seven domains did not have to look at two addresses
			t.Errorf("%d were shared", shared)
		}
	})
}

// Ensure a nightly batch is silent while nothing changes, and then tells it in
// a line for each change and one about all.
func TestBatchQuiet(t *testing.T) {
	db := filepath.Join(t.TempDir(), "history.db")
	inWorld(t, sharedWorld, func(t *testing.T, w *lab.World) {
		night := func() outcome {
			return attempt{args: []string{"audit", "--file", "-", "-q", "--fail-on-new"}, stdin: sharedList, db: db}.in(w)
		}
		first := night()
		if n := strings.Count(first.out, "first run"); n != 12 || !strings.Contains(first.out, "\n12 domains: 12 for the first time, ") {
			t.Errorf("the first night:\n%s", first.out)
		}
		time.Sleep(24 * time.Hour)
		second := night()
		if second.out != "" || second.err != "" {
			t.Errorf("nothing changed:\n%s%s", second.out, second.err)
		}
		err := w.Change(lab.Change{Edits: mustEdits(t, "=own1.example. MX 10 mx.gone.example.\nmx.gone.example. !nxdomain")})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		third := night()
		lines := strings.Split(strings.TrimSuffix(third.out, "\n"), "\n")
		for i, line := range lines {
			if i < len(lines)-1 && !strings.HasPrefix(line, "own1.example  ") {
				t.Errorf("line %d: %s", i+1, line)
			}
		}
		if third.code != exitFindings || !strings.Contains(third.out, "mx.target-unresolvable") ||
			!strings.HasPrefix(lines[len(lines)-1], "12 domains: 1 changed, 11 unchanged, ") {
			t.Errorf("exit %d\n%s%s", third.code, third.out, third.err)
		}
		time.Sleep(24 * time.Hour)
		if fourth := night(); fourth.out != "" || fourth.code == exitFindings {
			t.Errorf("a fault that goes on: exit %d\n%s", fourth.code, fourth.out)
		}
	})
}

// Ensure unattended runs of one history keep apart, and nobody else is kept
// from it.
func TestLockOfQuietRuns(t *testing.T) {
	db := filepath.Join(t.TempDir(), "history.db")
	unlock, err := store.Lock(db)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		got := attempt{args: []string{"audit", "example.org", "-q"}, db: db}.in(w)
		if got.code != exitBroken || !strings.Contains(got.err, fmt.Sprintf("another audit (pid %d on ", os.Getpid())) {
			t.Errorf("exit %d\n%s", got.code, got.err)
		}
		checkError(t, got.err)
		checkSilence(t, got.net)
		for _, args := range []string{"audit example.org", "audit example.org -q --no-save", "runs", "db check"} {
			got := attempt{args: strings.Fields(args), db: db}.in(w)
			if got.code != exitOK {
				t.Errorf("%s: exit %d\n%s", args, got.code, got.err)
			}
		}
		err = unlock()
		if err != nil {
			t.Fatal(err)
		}
		if got := (attempt{args: []string{"audit", "example.org", "-q"}, db: db}).in(w); got.code != exitOK || got.err != "" {
			t.Errorf("when it is free: exit %d\n%s", got.code, got.err)
		}
	})
}

// Ensure documents come in the order in which the domains were named, and a
// stream is complete.
func TestBatchFormats(t *testing.T) {
	dir := t.TempDir()
	inWorld(t, sharedWorld, func(t *testing.T, w *lab.World) {
		args := []string{"audit", "own2.example", "d1.example", "own1.example", "d0.example", "--no-save"}
		for _, f := range []string{"md", "html", "text", "json", "jsonl"} {
			args = append(args, "-o", f+"="+filepath.Join(dir, f))
		}
		got := attempt{args: args}.in(w)
		if got.out != "" || got.err != "" {
			t.Errorf("%s%s", got.out, got.err)
		}
	})
	for _, f := range []string{"md", "html"} {
		text, last := string(mustRead(t, filepath.Join(dir, f))), -1
		for _, name := range []string{"own2.example", "d1.example", "own1.example", "d0.example"} {
			at := strings.Index(text, name)
			if at <= last {
				t.Errorf("%s: %s is not where it should be", f, name)
			}
			last = at
		}
	}
	var doc struct {
		Schema string
		Runs   []struct{ Target string }
	}
	err := json.Unmarshal(mustRead(t, filepath.Join(dir, "json")), &doc)
	if err != nil || len(doc.Runs) != 4 || doc.Schema != "mailaudit/1" {
		t.Errorf("%v: %+v", err, doc)
	}
	if n := bytes.Count(mustRead(t, filepath.Join(dir, "jsonl")), []byte("\n")); n != 4 {
		t.Errorf("%d lines of JSON", n)
	}
	if text := string(mustRead(t, filepath.Join(dir, "text"))); strings.Count(text, strings.Repeat("=", 80)) != 4 || !strings.Contains(text, "\n4 domains: 4 for the first time") {
		t.Errorf("text:\n%s", text)
	}
}

// Ensure a file that fails in the middle of a batch loses nothing: standard
// output gets what it had, and the rest.
func TestFileThatFailsOnTheWay(t *testing.T) {
	var out bytes.Buffer
	p := &program{out: &out}
	path := filepath.Join(t.TempDir(), "report")
	x := p.presenter(output{format: "text", files: []outputFile{{"jsonl", path}}}, true, false)
	s := x.sinks[0]
	err := s.write([]byte("one\n"))
	if err != nil {
		t.Fatal(err)
	}
	_ = s.file.Close() // as when the disk is full
	err = s.write([]byte("two\n"))
	if err == nil {
		t.Fatal("a closed file takes more")
	}
	err = s.divert(err, []byte("two\n"), nil)
	if err == nil {
		err = s.write([]byte("three\n"))
	}
	if err != nil || out.String() != "one\ntwo\nthree\n" {
		t.Errorf("%v: %q", err, out.String())
	}
	if x.failed == nil || !strings.Contains(x.failed.Error(), "cannot write "+path) {
		t.Errorf("%v", x.failed)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
