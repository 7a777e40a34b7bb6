package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// openFull opens the device on which there is never any space left.
func openFull(t *testing.T) *os.File {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("/dev/full is a thing of Linux")
	}
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // nothing was written
	return f
}

// Ensure no command takes standard output for granted.
func TestFullStandardOutput(t *testing.T) {
	full := openFull(t)
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		mustAudit(t, w, db, "example.org")
		for i, args := range []string{
			"audit example.org", "audit example.org -f json", "audit example.org --dry-run", "audit example.org --no-save",
			"runs", "runs -f json", "show 1", "show 1 -f json", "diff", "diff -f json", "explain mx.implicit", "rules", "rules -f json",
			"db path", "db check", "version", "--version", "", "help", "audit --help", "help db check",
			"help formats", "completion bash", "completion zsh", "completion fish", "note 1 text", "note 1", "spf example.org", "spf example.org -f json", "spf example.org --ip 192.0.2.1", "spf example.org --ip 192.0.2.1 -f json", "db backup BACKUP", "db prune --keep-last 1 --dry-run", "db prune --keep-last 1", "db migrate",
		} {
			got := attempt{args: strings.Fields(strings.ReplaceAll(args, "BACKUP", db+".copy")), db: db, out: full}.in(w)
			if got.code != exitBroken || got.err != "mailaudit: cannot write standard output: no space left on device\n" {
				t.Errorf("%s: exit %d, stderr %q", args, got.code, got.err)
			}
			if i == 1 { // the audits are stored all the same
				if run := newest(t, db); run.ID != 3 || run.State != audit.Complete {
					t.Errorf("the newest run is %d, %s", run.ID, run.State)
				}
			}
		}
	})
}

// Ensure a report that cannot be written where it should is printed instead,
// and that the exit code says so; files that can be written are.
func TestOutputThatFails(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		dir := t.TempDir()
		mustWrite(t, filepath.Join(dir, "file"), []byte("old"))
		cases := []struct{ output, problem string }{
			{"DIR/missing/report.txt", "cannot write DIR/missing/report.txt: no such file or directory"},
			{"json=DIR/missing/report", "cannot write DIR/missing/report: no such file or directory"},
			{"DIR/file/report.txt", "cannot write DIR/file/report.txt: not a directory"},
			{"text=DIR", "cannot write DIR: is a directory"},
		}
		if runtime.GOOS == "linux" {
			cases = append(cases,
				struct{ output, problem string }{"/dev/full", "cannot write /dev/full: no space left on device"},
				struct{ output, problem string }{"/proc/report.json", "cannot write /proc/report.json: no such file or directory"})
		}
		for _, c := range cases {
			good := filepath.Join(dir, "good.json")
			output := strings.ReplaceAll(c.output, "DIR", dir)
			got := attempt{args: []string{"audit", "example.org", "-o", output, "-o", good}, db: filepath.Join(dir, "history.db")}.in(w)
			if want := "mailaudit: " + strings.ReplaceAll(c.problem, "DIR", dir) + "\n"; got.code != exitBroken || got.err != want {
				t.Errorf("%s: exit %d, stderr %q, want %q", c.output, got.code, got.err, want)
			}
			if !strings.HasPrefix(got.out, "example.org ") {
				t.Errorf("%s: the report is not on standard output: %q", c.output, got.out)
			}
			if !json.Valid(mustRead(t, good)) {
				t.Errorf("%s: the other file holds %q", c.output, mustRead(t, good))
			}
			err := os.Remove(good)
			if err != nil {
				t.Fatal(err)
			}
		}
		checkFiles(t, dir, "file", "history.db")
	})
}

// Ensure a file that can be written is, even where another file and standard
// output in its place both fail, and that nothing half-written is left.
func TestOneFileThatCanBeWritten(t *testing.T) {
	full := openFull(t)
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		dir := t.TempDir()
		good, page := filepath.Join(dir, "good.json"), filepath.Join(dir, "good.html")
		got := attempt{args: []string{"audit", "example.org", "-o", filepath.Join(dir, "missing/report"), "-o", good, "-o", page}, db: filepath.Join(dir, "history.db"), out: full}.in(w)
		if got.code != exitBroken || strings.Count(got.err, "\n") != 1 {
			t.Errorf("exit %d, stderr %q", got.code, got.err)
		}
		checkFiles(t, dir, "good.json", "good.html", "history.db")
		if !json.Valid(mustRead(t, good)) {
			t.Errorf("the other file holds %q", mustRead(t, good))
		}
	})
}

// Ensure -o writes files as a whole, in the form that was asked for, and
// leaves standard output empty.
func TestOutputFiles(t *testing.T) {
	isText := func(b []byte) bool { return strings.HasPrefix(string(b), "example.org ") }
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		dir := t.TempDir()
		path := func(name string) string { return filepath.Join(dir, name) }
		mustWrite(t, path("a"), make([]byte, 1<<20)) // to be replaced by something shorter
		args := []string{"audit", "example.org", "-o", path("a"), "--output", path("b.json"), "-o=" + path("c.txt"), "-o", "json=" + path("d"), "-o", "text=" + path("e.json")}
		got := attempt{args: args, db: path("history.db")}.in(w)
		if got.code != exitOK || got.out != "" || got.err != "" {
			t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
		}
		for name, valid := range map[string]func([]byte) bool{"a": isText, "b.json": json.Valid, "c.txt": isText, "d": json.Valid, "e.json": isText} {
			if data := mustRead(t, path(name)); !valid(data) {
				t.Errorf("%s holds %.200q", name, data)
			}
		}
		checkFiles(t, dir, "a", "b.json", "c.txt", "d", "e.json", "history.db")

		got = attempt{args: []string{"show", "1", "-f", "json", "-o", path("f"), "-o", path("g.txt")}, db: path("history.db")}.in(w)
		if got.code != exitOK || got.out != "" || !json.Valid(mustRead(t, path("f"))) || !isText(mustRead(t, path("g.txt"))) {
			t.Errorf("show: exit %d\n%s%s", got.code, got.out, got.err)
		}
	})
}

// Ensure flags may stand before and behind the arguments, in all their forms,
// and that "--" ends them.
func TestFlagsAnywhere(t *testing.T) {
	for _, args := range []string{
		"audit --only mx,rdns --tag x example.org",
		"audit example.org --only mx,rdns --tag x",
		"audit --only=mx,rdns example.org --tag=x",
		"audit --only rdns --only mx --tag x -- example.org",
		"audit --tag wrong --only=rdns example.org -tag x --only mx", // the last one wins where one is taken
		"audit --skip smtp --tag x example.org --skip tls",
		"audit --passive --tag x --passive example.org",
		"audit --passive=true --tag x --quiet=false example.org",
	} {
		t.Run(args, func(t *testing.T) {
			inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
				db := filepath.Join(t.TempDir(), "history.db")
				got := attempt{args: strings.Fields(args), db: db}.in(w)
				if got.code != exitOK || got.err != "" {
					t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
				}
				run := newest(t, db)
				if run.Target != "example.org" || run.Tag != "x" || !slices.Equal(run.Snapshot.Scope.Areas, []audit.Area{audit.AreaMX, audit.AreaRDNS}) {
					t.Errorf("%s, tag %q, areas %v", run.Target, run.Tag, run.Snapshot.Scope.Areas)
				}
			})
		})
	}
}

// Ensure the value of a flag may look like a flag.
func TestValueLikeAFlag(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		dir := t.TempDir()
		db := filepath.Join(dir, "history.db")
		got := attempt{args: []string{"audit", "example.org", "--tag", "--db"}, db: db}.in(w)
		if got.code != exitOK {
			t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
		}
		if run := newest(t, db); run.Tag != "--db" { // and MAILAUDIT_DB was obeyed
			t.Errorf("tag %q", run.Tag)
		}
	})
}

// Ensure variables stand in for flags, and that the command line wins.
func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		args string
		want audit.Scope // of the stored run, the allowed networks left out
		tag  string
	}{
		{env: map[string]string{"MAILAUDIT_PASSIVE": "1", "MAILAUDIT_TAG": "e"}, want: audit.Scope{Areas: []audit.Area{"mx", "rdns"}, Passive: true}, tag: "e"},
		{env: map[string]string{"MAILAUDIT_PASSIVE": "true"}, args: "--passive=false --only mx", want: audit.Scope{Areas: []audit.Area{"mx"}}},
		{env: map[string]string{"MAILAUDIT_TAG": "e"}, args: "--tag c --only mx", want: audit.Scope{Areas: []audit.Area{"mx"}}, tag: "c"},
		{env: map[string]string{"MAILAUDIT_TAG": "two words, and a comma"}, args: "--only mx", want: audit.Scope{Areas: []audit.Area{"mx"}}, tag: "two words, and a comma"},
		{env: map[string]string{"MAILAUDIT_ONLY": "rdns,mx"}, want: audit.Scope{Areas: []audit.Area{"mx", "rdns"}}},
		{env: map[string]string{"MAILAUDIT_ONLY": " rdns , mx ,"}, want: audit.Scope{Areas: []audit.Area{"mx", "rdns"}}},
		{env: map[string]string{"MAILAUDIT_ONLY": "rdns"}, args: "--only mx", want: audit.Scope{Areas: []audit.Area{"mx"}}},
		{env: map[string]string{"MAILAUDIT_ONLY": "mx,rdns,smtp,tls"}, args: "--skip smtp,tls", want: audit.Scope{Areas: []audit.Area{"mx", "rdns"}}},
		// Variables of other commands, and what is no flag, do not matter.
		{env: map[string]string{"MAILAUDIT_LIMIT": "many", "MAILAUDIT_VERSION": "0.1.0", "MAILAUDIT_HELP": "x", "MAILAUDIT_X": "y"}, args: "--only mx",
			want: audit.Scope{Areas: []audit.Area{"mx"}}},
	} {
		t.Run(fmt.Sprint(c.env, " ", c.args), func(t *testing.T) {
			inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
				db := filepath.Join(t.TempDir(), "history.db")
				got := attempt{args: append([]string{"audit", "example.org"}, strings.Fields(c.args)...), env: c.env, db: db}.in(w)
				if got.code != exitOK || got.err != "" {
					t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
				}
				run := newest(t, db)
				run.Snapshot.Scope.AllowNets = nil
				if s := run.Snapshot.Scope; !slices.Equal(s.Areas, c.want.Areas) || s.Passive != c.want.Passive || run.Tag != c.tag {
					t.Errorf("scope %+v, tag %q", s, run.Tag)
				}
			})
		})
	}
}

// Ensure --db beats MAILAUDIT_DB, and that beats XDG_DATA_HOME.
func TestWhereTheHistoryIs(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		args string
		want string
	}{
		{map[string]string{"MAILAUDIT_DB": "/e.db", "HOME": "/h"}, "--db /c.db", "/c.db"},
		{map[string]string{"MAILAUDIT_DB": "/e.db", "XDG_DATA_HOME": "/x"}, "", "/e.db"},
		{map[string]string{"MAILAUDIT_DB": "", "XDG_DATA_HOME": "/x", "HOME": "/h"}, "", filepath.FromSlash("/x/mailaudit/history.db")},
	} {
		inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
			got := attempt{args: append([]string{"db", "path"}, strings.Fields(c.args)...), env: c.env}.in(w)
			if got.code != exitOK || got.out != c.want+"\n" || got.err != "" {
				t.Errorf("%v %s: exit %d, %q%q", c.env, c.args, got.code, got.out, got.err)
			}
		})
	}
}

// Ensure colour appears where it is wanted and nowhere else.
func TestColor(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		mustAudit(t, w, db, "example.org")
		for _, c := range []struct {
			args    string
			env     string // NO_COLOR
			colored bool
		}{
			{"show 1", "", false}, // a buffer is no terminal
			{"show 1 --color auto", "", false},
			{"show 1 --color always", "", true},
			{"show 1 --color always", "1", true},
			{"show 1 --color never", "", false},
			{"show 1 --color always -f json", "", false},
			{"runs --color always", "1", true},
			{"diff 1 1 --color always", "", true},
			{"rules --color always", "", true},
			{"explain mx.implicit --color always", "", true},
			{"audit example.org --color always", "1", true},
		} {
			got := attempt{args: strings.Fields(c.args), env: map[string]string{"NO_COLOR": c.env}, db: db}.in(w)
			if got.code != exitOK || strings.Contains(got.out, "\x1b[") != c.colored {
				t.Errorf("%s, NO_COLOR=%s: exit %d, colour should be %t\n%s%s", c.args, c.env, got.code, c.colored, got.out, got.err)
			}
		}
		file := filepath.Join(t.TempDir(), "report")
		got := attempt{args: []string{"show", "1", "--color", "always", "-o", file}, db: db}.in(w)
		if got.code != exitOK || strings.Contains(string(mustRead(t, file)), "\x1b") {
			t.Errorf("a file has colour: exit %d, %q", got.code, mustRead(t, file))
		}
	})
}

// Ensure a terminal gets colour unless NO_COLOR or TERM=dumb is set. The
// master side of a pseudo terminal is a terminal.
func TestColorOnTerminals(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil || !isTerminal(tty) {
		t.Skip("there is no pseudo terminal here")
	}
	defer tty.Close()
	for _, c := range []struct {
		when string
		env  map[string]string
		want bool
	}{
		{"auto", nil, true},
		{"auto", map[string]string{"NO_COLOR": "1"}, false},
		{"auto", map[string]string{"NO_COLOR": ""}, true}, // https://no-color.org: when not empty
		{"auto", map[string]string{"TERM": "dumb"}, false},
		{"always", map[string]string{"NO_COLOR": "1", "TERM": "dumb"}, true},
		{"never", nil, false},
	} {
		p := &program{env: func(name string) string { return c.env[name] }}
		got, err := p.wantsColor(c.when, tty)
		if err != nil || got != c.want {
			t.Errorf("--color %s with %v: %t, %v", c.when, c.env, got, err)
		}
	}
}

// brokenWorld is plainWorld with another server.
func brokenWorld(server string) string {
	text, _, _ := strings.Cut(plainWorld, "-- server")
	return text + server
}

// Ensure --fail-on and its relatives decide on the exit code and on nothing
// else.
func TestGate(t *testing.T) {
	// An MX without STARTTLS; which severity that has is the catalogue's
	// business, so it is looked up.
	noStartTLS := brokenWorld("-- server 192.0.2.25:25 mx.example.org starttls=no --\n")
	dark := brokenWorld("-- smtp 192.0.2.25:25 --\n!stall\n")
	inWorld(t, noStartTLS, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		attempt{args: []string{"audit", "example.org"}, db: db}.in(w)
		worst := audit.Info
		for _, f := range newest(t, db).Findings {
			if f.Status == audit.Fail && f.Severity.AtLeast(worst) {
				worst = f.Severity
			}
		}
		if worst.Rank() < 1 || worst == audit.Critical {
			t.Fatalf("the worst fault is %s: not fit for this test", worst)
		}
		for _, s := range []audit.Severity{audit.Critical, audit.High, audit.Medium, audit.Low, "never"} {
			want := exitOK
			if s != "never" && worst.AtLeast(s) {
				want = exitFindings
			}
			got := attempt{args: []string{"audit", "example.org", "--fail-on", string(s)}, db: db}.in(w)
			if got.code != want {
				t.Errorf("--fail-on %s with a %s fault: exit %d, want %d", s, worst, got.code, want)
			}
			got = attempt{args: []string{"audit", "example.org", "--fail-on", string(s), "--fail-on-new"}, db: db}.in(w)
			if got.code != exitOK {
				t.Errorf("--fail-on %s --fail-on-new with an old fault: exit %d", s, got.code)
			}
		}
	})
	inWorld(t, dark, func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		for args, want := range map[string]int{
			"": exitOK, "--on-unknown ignore": exitOK, "--on-unknown fail": exitUnknown, "--on-unknown fail --fail-on never": exitUnknown,
			"--only smtp": exitOK, // that the port answers is known
			"--only tls":  exitUnknown,
		} {
			got := attempt{args: append([]string{"audit", "example.org"}, strings.Fields(args)...), db: db}.in(w)
			if got.code != want || got.err != "" {
				t.Errorf("%s: exit %d, want %d\n%s%s", args, got.code, want, got.out, got.err)
			}
		}
	})
	// Nothing to be known is not the same as nothing known.
	inWorld(t, "# Takes no mail.\nat 2026-11-23T12:00:00Z\n-- zone --\nexample.org. MX 0 .\n", func(t *testing.T, w *lab.World) {
		got := attempt{args: []string{"audit", "example.org", "--only", "tls", "--on-unknown", "fail", "--no-save"}}.in(w)
		if got.code != exitOK {
			t.Errorf("null MX, only tls: exit %d\n%s", got.code, got.out)
		}
	})
}

// Ensure --fail-on-new sees every way in which a fault can be new.
func TestFailOnNew(t *testing.T) {
	const world = `# A domain that gets worse.
at 2026-11-23T12:00:00Z
-- zone --
example.org.             MX 10 mx.example.org.
mx.example.org.          A 192.0.2.25
25.2.0.192.in-addr.arpa. PTR mx.example.org.
26.2.0.192.in-addr.arpa. PTR mx2.example.org.
-- server 192.0.2.25:25 mx.example.org --
-- server 192.0.2.26:25 mx2.example.org starttls=no --
-- run --
mailaudit audit example.org
exit 0
-- run --
mailaudit audit example.org
exit 0
-- change server 192.0.2.25:25 mx.example.org starttls=no --
-- run --
mailaudit audit example.org
exit 1
-- run --
mailaudit audit example.org
exit 0
-- change --
example.org. MX 20 mx2.example.org.
mx2.example.org. A 192.0.2.26
-- run --
mailaudit audit example.org
exit 1
-- run --
mailaudit audit example.org
exit 0
-- change server 192.0.2.25:25 mx.example.org --
-- change server 192.0.2.26:25 mx2.example.org --
-- run --
mailaudit audit example.org
exit 0
`
	inWorld(t, world, func(t *testing.T, w *lab.World) {
		playStory(t, w, map[string]string{"MAILAUDIT_ALLOW_NET": documentation, "MAILAUDIT_FAIL_ON": "low", "MAILAUDIT_FAIL_ON_NEW": "true"})
	})
}

// Ensure a fault that grows beyond the threshold is new, and one that was
// beyond it already is not.
func TestFaultThatGrows(t *testing.T) {
	key := audit.Key{Rule: "tls.cert-dates", Subject: "x"}
	run := &audit.Run{Findings: []audit.Finding{{Rule: key.Rule, Subject: key.Subject, Status: audit.Fail, Severity: audit.High}}}
	for _, c := range []struct {
		change audit.Change
		want   int
	}{
		{audit.Change{Class: audit.StillFailing, Was: audit.Medium}, exitFindings},
		{audit.Change{Class: audit.StillFailing, Was: audit.Critical}, exitOK},
		{audit.Change{Class: audit.StillFailing}, exitOK},
		{audit.Change{Class: audit.StillFailing, Confirmed: true}, exitOK}, // it gated when it was seen once
		{audit.Change{Class: audit.Broken}, exitFindings},
		{audit.Change{Class: audit.Broken, SeenOnce: true}, exitFindings},
		{audit.Change{Class: audit.Appeared, Now: audit.Fail}, exitFindings},
		{audit.Change{Class: audit.NewCheck, Now: audit.Fail}, exitOK},      // our rules are new, not the fault
		{audit.Change{Class: audit.RegainedSight, Now: audit.Fail}, exitOK}, // nobody knows since when
	} {
		c.change.Rule, c.change.Subject = key.Rule, key.Subject
		got := gate{failOn: audit.High, onlyNew: true}.code(run, &audit.Delta{Base: &audit.RunRef{ID: 1}, Changes: []audit.Change{c.change}})
		if got != c.want {
			t.Errorf("%+v: exit %d, want %d", c.change, got, c.want)
		}
	}
}

// Ensure a server of which no more is known than that its port answers was not
// tested, and that a fault is always an answer.
func TestNothingTested(t *testing.T) {
	connected := audit.Finding{Rule: "smtp.unreachable", Subject: "x", Status: audit.Pass}
	dark := audit.Finding{Rule: "smtp.ehlo-refused", Subject: "x", Status: audit.UnknownStatus}
	na := audit.Finding{Rule: "smtp.ehlo-refused", Subject: "x", Status: audit.NAStatus}
	pass := audit.Finding{Rule: "smtp.ehlo-refused", Subject: "x", Status: audit.Pass}
	low := audit.Finding{Rule: "smtp.unreachable", Subject: "x", Status: audit.Fail, Severity: audit.Low}
	for _, c := range []struct {
		kind     audit.Kind
		findings []audit.Finding
		want     int
	}{
		{audit.KindSMTP, []audit.Finding{connected, dark}, exitUnknown},
		{audit.KindSMTP, []audit.Finding{dark}, exitUnknown},
		{audit.KindSMTP, []audit.Finding{na}, exitUnknown}, // a name without address
		{audit.KindSMTP, []audit.Finding{connected, pass}, exitOK},
		{audit.KindSMTP, []audit.Finding{connected, dark, pass}, exitOK},
		{audit.KindSMTP, []audit.Finding{low, dark}, exitOK},
		{audit.KindAudit, []audit.Finding{connected, dark}, exitOK},
		{audit.KindAudit, []audit.Finding{na}, exitOK},
		{audit.KindAudit, []audit.Finding{dark}, exitUnknown},
	} {
		got := gate{failOn: audit.High}.code(&audit.Run{Kind: c.kind, Findings: c.findings}, &audit.Delta{})
		if got != c.want {
			t.Errorf("%s %+v: exit %d, want %d", c.kind, c.findings, got, c.want)
		}
	}
}

// Ensure a first run gates as plain --fail-on does and says why; afterwards
// only news does.
func TestFailOnNewFirst(t *testing.T) {
	const world = `# A mail server without STARTTLS.
at 2026-11-23T12:00:00Z
-- zone --
example.org.             MX 10 mx.example.org.
mx.example.org.          A 192.0.2.25
25.2.0.192.in-addr.arpa. PTR mx.example.org.
-- server 192.0.2.25:25 mx.example.org starttls=no --
-- run --
mailaudit audit --fail-on-new example.org
exit 0
stderr lacks earlier
-- run --
mailaudit audit --fail-on-new -q --fail-on low --vantage elsewhere --db other.db example.org
exit 1
stderr contains mailaudit: example.org has no earlier run to compare with: all its faults are new to --fail-on-new
-- run --
mailaudit audit --fail-on-new -q --fail-on low --db other.db example.org
exit 0
stderr lacks earlier
-- run --
mailaudit audit --fail-on-new --fail-on low example.org
exit 0
stderr lacks earlier
`
	t.Chdir(t.TempDir())
	inWorld(t, world, func(t *testing.T, w *lab.World) {
		playStory(t, w, map[string]string{"MAILAUDIT_ALLOW_NET": documentation})
	})
	fault := []audit.Finding{{Rule: "tls.cert-name", Subject: "x", Status: audit.Fail, Severity: audit.High}}
	g := gate{failOn: audit.High, onlyNew: true}
	for state, want := range map[audit.RunState]int{audit.Complete: exitFindings, audit.Aborted: exitOK} {
		run, delta := &audit.Run{State: state, Findings: fault}, &audit.Delta{}
		if got := g.code(run, delta); got != want || len(g.note(run, delta)) != want {
			t.Errorf("%s: exit %d, want %d", state, got, want)
		}
	}
}

// Ensure -q is silent when nothing changed, and only then.
func TestQuiet(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		dir := t.TempDir()
		file := filepath.Join(dir, "report.txt")
		for i, c := range []struct {
			args   string
			before string // zone lines
			loud   bool
		}{
			{args: "-q", loud: true}, // there is nothing to compare with
			{args: "-q"},
			{args: "--quiet -f json"},
			{args: "-q -o " + file},
			{args: "-q=false", loud: true},
			{args: "-q", before: "mx.example.org. AAAA 2001:db8::25\n5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. !nxdomain", loud: true},
			{args: "-q"},
			{args: "-q --no-save", loud: true},
		} {
			if c.before != "" {
				err := w.Change(lab.Change{Edits: mustEdits(t, c.before)})
				if err != nil {
					t.Fatal(err)
				}
			}
			args := append([]string{"audit", "example.org", "--skip", "smtp,tls", "--fail-on", "never"}, strings.Fields(c.args)...)
			got := attempt{args: args, db: filepath.Join(dir, "history.db")}.in(w)
			if got.code != exitOK || got.err != "" || (got.out != "") != c.loud {
				t.Errorf("run %d, %s: exit %d, loud should be %t\n%s%s", i+1, c.args, got.code, c.loud, got.out, got.err)
			}
		}
		checkFiles(t, dir, "history.db", "history.db.lock") // a quiet run writes no report either
	})
}

// Ensure each combination of --only, --skip and --passive asks what it needs
// and nothing else: the second connection is for old versions of TLS.
func TestScope(t *testing.T) {
	for _, c := range []struct {
		args        string
		ptr         bool
		connections int
	}{
		{"", true, 2},
		{"--only mx", false, 0},
		{"--only rdns", true, 0},
		{"--only smtp", false, 1},
		{"--only tls", false, 2},
		{"--only mx,tls --skip tls", false, 0},
		{"--skip rdns", false, 2},
		{"--skip smtp", true, 2},
		{"--skip smtp,tls", true, 0},
		{"--passive", true, 0},
		{"--passive --only mx,smtp", false, 0},
		{"--passive --skip rdns", false, 0},
	} {
		t.Run(c.args, func(t *testing.T) {
			inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
				got := attempt{args: append([]string{"audit", "example.org", "--no-save"}, strings.Fields(c.args)...)}.in(w)
				if got.code != exitOK || got.err != "" {
					t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
				}
				isPTR := func(q lab.Question) bool { return q.Type == "PTR" }
				if ptr := slices.ContainsFunc(got.net.Questions(), isPTR); ptr != c.ptr {
					t.Errorf("PTR asked: %t, want %t", ptr, c.ptr)
				}
				if n := len(got.net.Connections()); n != c.connections {
					t.Errorf("%d connections, want %d", n, c.connections)
				}
			})
		})
	}
}

// Ensure a dry run asks for MX and addresses alone, connects to nothing,
// stores nothing, and names every address that an audit would contact.
func TestDryRun(t *testing.T) {
	const world = `# Three hosts, one of them in a network that is not public.
at 2026-11-23T12:00:00Z
-- zone --
example.org.      MX 10 mx1.example.org.
example.org.      MX 20 mx2.example.org.
example.org.      MX 30 mx3.example.org.
mx1.example.org.  A 192.0.2.25
mx1.example.org.  AAAA 2001:db8::25
mx2.example.org.  A 10.0.0.25
mx3.example.org.  !servfail
null.example.org. MX 0 .
dark.example.org. !servfail
-- server 192.0.2.25:25 mx1.example.org --
-- server [2001:db8::25]:25 mx1.example.org --
-- server 10.0.0.25:25 mx2.example.org --
`
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{"example.org", exitOK, []string{`mx1\.example\.org\[192\.0\.2\.25\]:25: one connection`, `mx1\.example\.org\[2001:db8::25\]:25: one connection`,
			`mx2\.example\.org\[10\.0\.0\.25\]:25: would not be contacted: private`, `dig -t A -q mx3\.example\.org: `, `nothing was connected to now\n`, `\nno control host would be contacted`}},
		{"example.org --control control.example.net", exitOK, []string{`\nonly if a server does not answer(?s:.*)\n control\.example\.net\n$`}},
		{"example.org --passive", exitOK, []string{`mx1\.example\.org\[192\.0\.2\.25\]:25: would not be contacted`, `no connections: DNS only`}},
		{"example.org --only mx,rdns", exitOK, []string{`no connections: DNS only`, `questions go to the resolvers alone: 192\.0\.2\.53\n no block lists\n`}},
		{"example.org --passive --only mx,dnsbl", exitOK, []string{`(?s)block lists are asked about every public address: Spamhaus ZEN\s+\(zen\.spamhaus\.org\), SpamCop .*about\s+example\.org: Spamhaus\s+DBL\s+\(dbl\.spamhaus\.org\);`}},
		{"example.org --only tls", exitOK, []string{`\[192\.0\.2\.25\]:25: one connection`}},
		{"example.org --allow-private", exitOK, []string{`mx2\.example\.org\[10\.0\.0\.25\]:25: one connection`}},
		{"example.org --sending-ip 192.0.2.99", exitOK, []string{`one connection`}},
		{"null.example.org", exitOK, []string{`^null\.example\.org\n`}},
		{"dark.example.org", exitUnknown, []string{`where its mail goes is not known: `}},
		{"dark.example.org example.org", exitUnknown, []string{`not known`, `one connection`}},
	} {
		t.Run(c.args, func(t *testing.T) {
			inWorld(t, world, func(t *testing.T, w *lab.World) {
				dir := t.TempDir()
				got := attempt{args: append([]string{"audit", "--dry-run"}, strings.Fields(c.args)...), db: filepath.Join(dir, "history.db")}.in(w)
				if got.code != c.code || got.err != "" {
					t.Errorf("exit %d, want %d\n%s%s", got.code, c.code, got.out, got.err)
				}
				for _, want := range c.want {
					if !regexp.MustCompile(want).MatchString(strings.Join(strings.FieldsFunc(got.out, func(r rune) bool { return r == ' ' }), " ")) {
						t.Errorf("no %s in\n%s", want, got.out)
					}
				}
				if n := got.net.Connections(); len(n) > 0 {
					t.Errorf("connections: %v", n)
				}
				for _, q := range got.net.Questions() {
					if !slices.Contains([]string{"MX", "A", "AAAA"}, q.Type) {
						t.Errorf("asked %s %s", q.Type, q.Name)
					}
				}
				checkFiles(t, dir)
			})
		})
	}
}

// Ensure -v tells each observation on standard error, a printable line each,
// and what passed on standard output.
func TestVerbose(t *testing.T) {
	hostile := brokenWorld("-- smtp 192.0.2.25:25 --\n!raw \"220 \\x1b[2J\\x00\\xff ESMTP\\r\\n\"\nC: EHLO *\nS: 250 mx.example.org\n")
	inWorld(t, hostile, func(t *testing.T, w *lab.World) {
		got := attempt{args: []string{"audit", "example.org", "--no-save", "-v", "--fail-on", "never"}}.in(w)
		if got.code != exitOK || !strings.Contains(got.out, "  ok  ") || strings.Contains(got.out+got.err, "\x1b") {
			t.Errorf("exit %d\n%s", got.code, got.out)
		}
		lines := strings.Split(strings.TrimSuffix(got.err, "\n"), "\n")
		slices.Sort(lines)
		want := []string{
			"absent     AAAA   mx.example.org", "seen       A      mx.example.org", "seen       MX     example.org",
			"seen       PTR    192.0.2.25", "seen       SMTP   mx.example.org[192.0.2.25]:25",
		}
		if !slices.Equal(lines, want) {
			t.Errorf("stderr:\n%s", strings.Join(lines, "\n"))
		}
	})
}

// Ensure several domains are audited in one go, each for itself, and that the
// worst of them decides on the exit code.
func TestSeveralDomains(t *testing.T) {
	const world = `# A healthy domain, one that does not exist, one that is dark.
at 2026-11-23T12:00:00Z  rtt 10ms
-- zone --
good.example.            MX 10 mx.good.example.
mx.good.example.         A 192.0.2.25
25.2.0.192.in-addr.arpa. PTR mx.good.example.
gone.example.            !nxdomain
dark.example.            !servfail
-- server 192.0.2.25:25 mx.good.example --
`
	for args, want := range map[string]int{"good.example gone.example": exitFindings, "gone.example good.example": exitFindings,
		"good.example dark.example": exitUnknown, "dark.example gone.example good.example": exitFindings,
		"gone.example dark.example --fail-on never": exitUnknown, "good.example --sending-ip 192.0.2.25": exitOK,
	} {
		inWorld(t, world, func(t *testing.T, w *lab.World) {
			got := attempt{args: append([]string{"audit", "-f", "json"}, strings.Fields(args)...), db: filepath.Join(t.TempDir(), "history.db")}.in(w)
			var doc struct {
				Runs []struct {
					ID     int64
					Target string
				}
			}
			err := json.Unmarshal([]byte(got.out), &doc)
			if got.code != want || got.err != "" || err != nil {
				t.Errorf("%s: exit %d, want %d; %v\n%s", args, got.code, want, err, got.err)
			}
			ids, targets := map[int64]bool{}, map[string]bool{} // they come as they end
			for _, r := range doc.Runs {
				ids[r.ID], targets[r.Target] = true, true
			}
			n := 0
			for _, word := range strings.Fields(args) {
				if strings.HasSuffix(word, ".example") {
					n++
					if !targets[word] || !ids[int64(n)] {
						t.Errorf("%s: runs %+v", args, doc.Runs)
					}
				}
			}
			if len(doc.Runs) != n || len(ids) != n {
				t.Errorf("%s: runs %+v", args, doc.Runs)
			}
		})
	}
}

// Ensure of several exit codes the one with precedence is taken.
func TestPrecedence(t *testing.T) {
	order := []int{exitInterrupted, exitTerminated, exitUsage, exitBroken, exitFindings, exitUnknown, exitOK}
	for i, a := range order {
		for j, b := range order {
			if got, want := worse(a, b), order[min(i, j)]; got != want {
				t.Errorf("%d and %d: %d, want %d", a, b, got, want)
			}
		}
	}
}

// Ensure everything that the results of a run hold on standard output is the
// same whatever is asked for beside.
func TestResultsAreTheSame(t *testing.T) {
	// With time on the way, which questions are asked is no matter of luck.
	slow := strings.Replace(plainWorld, "12:00:00Z", "12:00:00Z rtt 10ms", 1)
	inWorld(t, slow, func(t *testing.T, w *lab.World) {
		outputs := map[string]string{}
		for _, args := range []string{"", "--color never", "-f text", "--fail-on low", "--fail-on-new --no-save=false", "--on-unknown fail"} {
			db := filepath.Join(t.TempDir(), "history.db")
			outputs[attempt{args: append([]string{"audit", "example.org"}, strings.Fields(args)...), db: db}.in(w).out] = args
		}
		if len(outputs) != 1 {
			t.Errorf("%d different outputs: %q", len(outputs), slices.Collect(maps.Values(outputs)))
		}
	})
}
