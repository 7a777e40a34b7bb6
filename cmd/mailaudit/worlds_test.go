package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
	"mailaudit/internal/rules"
	"mailaudit/internal/store"
)

// TestWorlds runs every story of testdata: worlds open the documentation
// ranges, bogus worlds are about the address guard and open nothing.
func TestWorlds(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d worlds, %v", len(files), err)
	}
	files = append(files, demoFile)
	keys := lab.NewKeyCache()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { playStory(t, parseWorld(t, file, data, keys), envOf(file)) })
		})
	}
}

// parseWorld reads a world. The word <64 kB> in it is as much text, so that
// such a line can be told without being there.
func parseWorld(t *testing.T, file string, data []byte, keys *lab.KeyCache) *lab.World {
	t.Helper()
	data = bytes.ReplaceAll(data, []byte("<64 kB>"), bytes.Repeat([]byte("x"), 64<<10))
	w, err := lab.ParseWorld(file, data)
	if err != nil {
		t.Fatal(err)
	}
	w.Keys = keys
	return w
}

// envOf is the environment in which the runs of a world take place.
func envOf(file string) map[string]string {
	if filepath.Base(filepath.Dir(file)) == "bogus" {
		return nil
	}
	return map[string]string{"MAILAUDIT_ALLOW_NET": documentation}
}

// playStory plays all runs of a world against one history.
func playStory(t *testing.T, w *lab.World, env map[string]string) {
	t.Helper()
	time.Sleep(time.Until(w.At)) // a bubble begins in the year 2000
	db := filepath.Join(t.TempDir(), "history.db")
	judged := int64(0) // the newest run that was held to the laws
	for i, r := range w.Runs {
		for _, c := range r.Before {
			err := w.Change(c)
			if err != nil {
				t.Fatalf("%s:%d: %v", w.Name, c.Line, err)
			}
		}
		time.Sleep(time.Until(r.At))
		got := play(t, w, db, env, r.Args)
		if got.code != r.Exit {
			t.Errorf("%s:%d: run %d: exit %d, want %d\n%s%s", w.Name, r.Line, i+1, got.code, r.Exit, got.out, got.err)
		}
		checkPrintable(t, w, r, got.out+got.err)
		for _, x := range r.Expects {
			stream := map[string]string{"stdout": got.out, "stderr": got.err}[x.Stream]
			// Wrapped text is compared as the words that it is.
			if strings.Contains(squeeze(stream), squeeze(x.Text)) == x.Lacks {
				t.Errorf("%s:%d: %s lacks=%t %q:\n%s", w.Name, x.Line, x.Stream, x.Lacks, x.Text, stream)
			}
		}
		if r.Listed {
			checkFindings(t, w, r, db)
		}
		judged = checkLaws(t, w, r, db, judged)
	}
	for _, p := range append(w.Problems(), w.Unanswered()...) {
		t.Errorf("problem of the world: %s", p)
	}
}

// checkLaws holds the runs that were stored since one to what holds for all
// runs: judging and scoring the stored snapshot again says the same, darkening
// any observation of it turns no verdict round, and the score keeps its laws. It
// returns the newest run.
func checkLaws(t *testing.T, w *lab.World, r lab.Run, path string, since int64) int64 {
	t.Helper()
	newer := since
	for _, run := range storedRuns(t, path) {
		if run.ID <= since {
			continue
		}
		newer = max(newer, run.ID)
		if d := cmp.Diff(run.Findings, rules.Evaluate(&run.Snapshot)); d != "" {
			t.Errorf("%s:%d: judging run %d again says something else (-stored +again):\n%s", w.Name, r.Line, run.ID, d)
		}
		broken, err := lab.CheckDarkening(&run.Snapshot, rules.Evaluate)
		if err != nil {
			t.Fatal(err)
		}
		score := func(f []audit.Finding) audit.Score { return rules.Score(run.Kind, run.Snapshot.Scope, f) }
		if d := cmp.Diff(run.Score, score(run.Findings)); d != "" {
			t.Errorf("%s:%d: scoring run %d again says something else (-stored +again):\n%s", w.Name, r.Line, run.ID, d)
		}
		unlawful, err := lab.CheckScore(&run.Snapshot, rules.Evaluate, score)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range append(broken, unlawful...) {
			t.Errorf("%s:%d: run %d: %s", w.Name, r.Line, run.ID, b)
		}
	}
	return newer
}

// checkPrintable holds output to what a terminal may see: whatever strangers
// wrote, it has no control characters and nothing that turns the direction of
// writing.
func checkPrintable(t *testing.T, w *lab.World, r lab.Run, output string) {
	t.Helper()
	for i, c := range output {
		_, size := utf8.DecodeRuneInString(output[i:])
		if c != '\n' && !unicode.IsPrint(c) || c == utf8.RuneError && size == 1 {
			t.Errorf("%s:%d: the output holds %q", w.Name, r.Line, output[max(0, i-20):min(len(output), i+20)])
			return
		}
	}
}

// squeeze makes every run of white space one blank.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// played is what a run of the program left.
type played struct {
	code     int
	out, err string
	net      *lab.Network
}

// play runs the program once inside a world.
func play(t *testing.T, w *lab.World, db string, env map[string]string, args []string) played {
	t.Helper()
	n := w.Network()
	var out, errs bytes.Buffer
	resolvers := ""
	for _, r := range w.Resolvers {
		resolvers += r.String() + ","
	}
	p := &program{
		env: func(name string) string {
			switch {
			case env[name] != "":
				return env[name]
			case name == "MAILAUDIT_DB":
				return db
			case name == "MAILAUDIT_RESOLVER":
				return resolvers
			case name == "MAILAUDIT_ONLY":
				return areasOf(w)
			case name == "MAILAUDIT_CONTROL": // no test goes to hosts outside of its world
				return noControl
			}
			return ""
		},
		out: &out, err: &errs, hostName: "probe.example.net", network: n, trust: w.Roots(),
	}
	code := p.run(context.Background(), append([]string{"mailaudit"}, args...))
	n.Wait()
	return played{code, out.String(), errs.String(), n}
}

// areasOf is what runs in a world look at unless they say: the areas of its
// header, so that a world need not answer questions that it is not about.
func areasOf(w *lab.World) string {
	if len(w.Areas) == 0 {
		return "mx,rdns,smtp,tls"
	}
	var words []string
	for _, a := range w.Areas {
		if a != audit.AreaVantage { // is looked at wherever servers are
			words = append(words, string(a))
		}
	}
	return strings.Join(words, ",")
}

// checkFindings compares the fails and unknowns of the newest run with those
// that the world lists.
func checkFindings(t *testing.T, w *lab.World, r lab.Run, db string) {
	t.Helper()
	run := newest(t, db)
	var got, want []string
	for _, f := range run.Findings {
		if (f.Status == audit.Fail || f.Status == audit.UnknownStatus) && slices.Contains(w.Areas, f.Rule.Area()) {
			got = append(got, fmt.Sprintf("%s %s %s %s", f.Rule, f.Subject, f.Status, severityOf(f)))
		}
	}
	for _, f := range r.Findings {
		if area, all := strings.CutSuffix(string(f.Rule), ".*"); all {
			got = withoutAll(t, w, f, area, got)
			continue
		}
		line := fmt.Sprintf("%s %s %s %s", f.Rule, f.Subject, f.Status, f.Severity)
		if f.Severity == "" { // not said
			i := slices.IndexFunc(got, func(g string) bool { return strings.HasPrefix(g, line) })
			if i >= 0 {
				line = got[i]
			}
		}
		if f.Status == audit.Pass || f.Status == audit.NAStatus {
			checkOne(t, w, run, f)
			continue
		}
		want = append(want, line)
	}
	slices.Sort(got)
	slices.Sort(want)
	for _, g := range got {
		// Facts worth knowing may be listed and need not: every rule of that kind
		// would change every world.
		if !slices.Contains(want, g) && !strings.HasSuffix(g, " fail info") {
			t.Errorf("%s:%d: not listed: %s", w.Name, r.Line, g)
		}
	}
	for _, x := range want {
		if !slices.Contains(got, x) {
			t.Errorf("%s:%d: missing: %s", w.Name, r.Line, x)
		}
	}
}

// withoutAll takes out what a line "area.* subject status" covers: whatever
// the rules of the area are, so that a new rule changes no world.
func withoutAll(t *testing.T, w *lab.World, f lab.Finding, area string, got []string) []string {
	t.Helper()
	tail := fmt.Sprintf(" %s %s ", f.Subject, f.Status)
	rest := slices.DeleteFunc(slices.Clone(got), func(g string) bool {
		return strings.HasPrefix(g, area+".") && strings.HasSuffix(g, tail)
	})
	if len(rest) == len(got) {
		t.Errorf("%s:%d: missing: any %s.*%s", w.Name, f.Line, area, tail)
	}
	return rest
}

// severityOf is the severity of a fail; that of an unknown is no statement.
func severityOf(f audit.Finding) audit.Severity {
	if f.Status == audit.Fail {
		return f.Severity
	}
	return ""
}

func checkOne(t *testing.T, w *lab.World, run *audit.Run, want lab.Finding) {
	t.Helper()
	for _, f := range run.Findings {
		if f.Rule == want.Rule && f.Subject == want.Subject && f.Status == want.Status {
			return
		}
	}
	t.Errorf("%s:%d: no %s of %s for %s", w.Name, want.Line, want.Status, want.Rule, want.Subject)
}

// newest reads the newest run of a history, whatever its state.
func newest(t *testing.T, path string) *audit.Run {
	t.Helper()
	runs := storedRuns(t, path)
	if len(runs) == 0 {
		t.Fatal("no run was stored")
	}
	return runs[0]
}

// storedRuns reads all runs of a history, newest first; none where there is no
// history yet.
func storedRuns(t *testing.T, path string) []*audit.Run {
	t.Helper()
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	ctx := context.Background()
	db, err := store.OpenRead(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	infos, err := db.Runs(ctx, store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var runs []*audit.Run
	for _, info := range infos {
		run, err := db.Run(ctx, info.ID)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	return runs
}
