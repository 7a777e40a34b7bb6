package main

import (
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

// A record that mailaudit proposes is published as it stands by people in a
// hurry. So every record of every run of every world is applied to that world,
// and the run made again: the fault must be gone and nothing else broken.

func TestFixes(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	keys := lab.NewKeyCache()
	covered := map[audit.RuleID]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		runs := len(parseWorld(t, file, data, keys).Runs)
		for n := range runs {
			at := moment{file, data, keys, n}
			before, audited := at.audit(t, nil)
			if !audited {
				continue
			}
			for _, f := range before {
				if len(f.Fix.Records) == 0 {
					continue
				}
				covered[f.Rule]++
				t.Run(name+"/"+string(f.Rule)+" "+f.Subject, func(t *testing.T) { checkFix(t, at, before, f) })
			}
		}
	}
	// A rule that proposes records and meets them in no world is found by
	// counting the places in the source where records are made.
	if n := recordSites(t); n != len(covered) {
		t.Errorf("records are made in %d places of internal/rules, and worlds cover %d rules: %v", n, len(covered), covered)
	}
}

// recordSites counts the places in which rules make records, so that one that
// no world has met yet is not overlooked.
func recordSites(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("../../internal/rules/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of rules, %v", len(files), err)
	}
	n := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") {
			n += strings.Count(string(source), "[]audit.FixRecord{") + strings.Count(string(source), "spfInstead(s, ")
		}
	}
	return n
}

// checkFix applies the records of one finding.
func checkFix(t *testing.T, at moment, before verdicts, f audit.Finding) {
	after, _ := at.audit(t, f.Fix.Records)
	cured := after[f.Key()].Status
	if cured != audit.Pass && cured != audit.NAStatus && cured != "" {
		t.Errorf("with %v the finding is %s: %s", f.Fix.Records, cured, after[f.Key()].Detail)
	}
	for key, g := range after {
		was := before[key].Status
		if g.Status == audit.Fail && was != audit.Fail {
			t.Errorf("%v broke %s of %s, which was %q: %s", f.Fix.Records, g.Rule, g.Subject, was, g.Detail)
		}
		if was == audit.Pass && g.Status != audit.Pass && key != f.Key() {
			t.Errorf("%v cost the pass of %s of %s: %s", f.Fix.Records, g.Rule, g.Subject, g.Status)
		}
	}
}

// moment is a world as it is when one of its runs is made.
type moment struct {
	file string
	data []byte
	keys *lab.KeyCache
	run  int
}

// audit makes the run in a fresh copy of the world, without history, with
// records published first. It reports false for a run that audits nothing.
func (m moment) audit(t *testing.T, records []audit.FixRecord) (verdicts, bool) {
	t.Helper()
	out := verdicts{}
	w := parseWorld(t, m.file, m.data, m.keys)
	r := w.Runs[m.run]
	if r.Args[0] != "audit" || slices.Contains(r.Args, "--dry-run") || r.Exit == exitUsage {
		return nil, false
	}
	args := slices.DeleteFunc(slices.Clone(r.Args), func(a string) bool { return a == "--fail-on-new" }) // needs a history
	synctest.Test(t, func(t *testing.T) {
		for _, earlier := range w.Runs[:m.run+1] {
			for _, c := range earlier.Before {
				err := w.Change(c)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(records) > 0 {
			err := w.Apply(records)
			if err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Until(r.At))
		got := play(t, w, "", envOf(m.file), append(args, "--no-save", "--format", "json"))
		for _, f := range findingsOf(t, got) {
			out[f.Key()] = f
		}
	})
	return out, true
}
