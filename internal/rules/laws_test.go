package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// The laws hold for every rule, those not yet written included.

func clone(t *testing.T, s *audit.Snapshot) *audit.Snapshot {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out audit.Snapshot
	err = json.Unmarshal(data, &out)
	if err != nil {
		t.Fatal(err)
	}
	return &out
}

// checkDarkening holds one world to the darkening law, see
// lab.CheckDarkening.
func checkDarkening(t *testing.T, world *audit.Snapshot, judge func(*audit.Snapshot) []audit.Finding) {
	t.Helper()
	broken, err := lab.CheckDarkening(world, judge)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Error(b)
	}
}

// with judges by a rule and those that it comes after: a case is about them.
// The good world and the lab's are judged by the whole catalogue.
func with(rule Rule) func(*audit.Snapshot) []audit.Finding {
	wanted := map[audit.RuleID]bool{rule.ID: true}
	all := Catalogue()
	for _, r := range slices.Backward(all) {
		for _, first := range r.After {
			wanted[first] = wanted[first] || wanted[r.ID]
		}
	}
	some := slices.DeleteFunc(all, func(r Rule) bool { return !wanted[r.ID] })
	return func(s *audit.Snapshot) []audit.Finding { return EvaluateWith(s, some) }
}

func TestDarkeningGoodWorld(t *testing.T) {
	world := good(t)
	for _, f := range Evaluate(world) {
		if f.Status != audit.Pass && f.Status != audit.NAStatus {
			t.Errorf("the good world is not good: %s of %s is %s: %s", f.Rule, f.Subject, f.Status, f.Detail)
		}
	}
	checkDarkening(t, world, Evaluate)
}

func TestDarkeningCases(t *testing.T) {
	eachCase(t, func(t *testing.T, rule Rule, _ ruleCase, world *audit.Snapshot) { checkDarkening(t, world, with(rule)) })
}

// TestLeavingOut: addresses that were not followed are addresses that nobody
// knows. They turn no verdict round, and what rests on all addresses of a host
// is not passed without them.
func TestLeavingOut(t *testing.T) {
	lost := map[audit.RuleID]bool{}
	eachCase(t, func(t *testing.T, rule Rule, _ ruleCase, world *audit.Snapshot) {
		judge := with(rule)
		before := map[audit.Key]audit.Status{}
		for _, f := range judge(world) {
			before[f.Key()] = f.Status
		}
		for i := range world.Facts.Hosts {
			for _, six := range []bool{false, true} {
				less := clone(t, world)
				if six {
					less.Facts.Hosts[i].AAAALeftOut = 1968
				} else {
					less.Facts.Hosts[i].ALeftOut = 1968
				}
				for _, f := range judge(less) {
					was := before[f.Key()]
					if was.Known() && f.Status.Known() && f.Status != was {
						t.Errorf("host %d: %s of %s was %s and is %s", i, f.Rule, f.Subject, was, f.Status)
					}
					if f.Status == audit.UnknownStatus && was != audit.UnknownStatus {
						lost[f.Rule] = true
					}
				}
			}
		}
	})
	for _, id := range []audit.RuleID{"mx.target-not-public", "mx.duplicate", "mx.no-ipv6", "rdns.ptr-missing", "dnsbl.listed-blocking", "smtp.unreachable", "tls.cert-name", "auth.on-mx-port"} {
		if !lost[id] {
			t.Errorf("%s does not mind that addresses were left out", id)
		}
	}
}

// TestReadersGoDark: for every observation of the good world, every rule that
// passes by reading it must lose that pass when it is dark. What a rule reads
// is found by replacing the observation with another kind of ignorance and
// seeing which findings quote it.
func TestReadersGoDark(t *testing.T) {
	world := good(t)
	readers := 0
	for i := range lab.Observations(&world.Facts) {
		dark := clone(t, world)
		o := lab.Observations(&dark.Facts)[i]
		why := audit.Reason{Code: audit.Timeout, Text: "marked " + o.Path}
		o.Darken(why)
		for _, f := range Evaluate(dark) {
			if f.Status == audit.UnknownStatus && f.Detail == why.Text {
				readers++
			}
		}
	}
	if readers < len(Catalogue()) {
		t.Errorf("only %d readings of observations were noticed for %d rules", readers, len(Catalogue()))
	}
}

func TestAllUnknown(t *testing.T) {
	worlds := map[string]*audit.Snapshot{"good": good(t), "empty": {Domain: good(t).Domain, Scope: good(t).Scope}}
	for name, world := range worlds {
		if name == "good" {
			for _, o := range lab.Observations(&world.Facts) {
				o.Darken(audit.Reason{Code: audit.Timeout, Text: "dark"})
			}
		}
		said := map[audit.RuleID]bool{}
		for _, f := range Evaluate(world) {
			said[f.Rule] = true
			if f.Status.Known() || f.Cause == audit.Bug {
				t.Errorf("%s world: %s of %s is %s: %s", name, f.Rule, f.Subject, f.Status, f.Detail)
			}
		}
		for _, r := range Catalogue() {
			if !said[r.ID] {
				t.Errorf("%s world: %s says nothing", name, r.ID)
			}
		}
	}
}

func TestEvaluateIsPure(t *testing.T) {
	eachCase(t, func(t *testing.T, _ Rule, _ ruleCase, world *audit.Snapshot) {
		before := clone(t, world)
		first := Evaluate(world)
		if d := cmp.Diff(first, Evaluate(world)); d != "" {
			t.Errorf("a second evaluation differs: %s", d)
		}
		if d := cmp.Diff(first, Evaluate(clone(t, world))); d != "" {
			t.Errorf("evaluation over a JSON round trip differs: %s", d)
		}
		opts := cmp.AllowUnexported(audit.Domain{})
		if d := cmp.Diff(clone(t, before).Facts, clone(t, world).Facts, opts, cmp.Comparer(func(a, b fmt.Stringer) bool { return a.String() == b.String() })); d != "" {
			t.Errorf("evaluation changed the facts: %s", d)
		}
	})
}

func TestCatalogue(t *testing.T) {
	seen := map[audit.RuleID]bool{}
	for _, r := range Catalogue() {
		if seen[r.ID] {
			t.Errorf("%s is listed twice", r.ID)
		}
		for _, first := range r.After {
			if !seen[first] {
				t.Errorf("%s comes after %s, which does not stand before it", r.ID, first)
			}
		}
		seen[r.ID] = true
		if !slices.Contains(append(audit.Areas(), audit.AreaVantage), r.Area()) || !slices.Contains(audit.Axes(), r.Axis) {
			t.Errorf("%s has no known area or axis", r.ID)
		}
		if r.Title == "" || r.Why == "" || r.Fix == "" || r.Judge == nil || len(r.Refs) == 0 || r.Since == "" || r.Severity.Rank() < 0 {
			t.Errorf("%s is incomplete", r.ID)
		}
		for _, ref := range r.Refs {
			if !strings.HasPrefix(ref.URL(), "https://") {
				t.Errorf("%s: reference %v has no address", r.ID, ref)
			}
		}
	}
}

// TestScoreLaws holds the score of every case to its laws, see lab.CheckScore:
// by the rules that the case is about, as a run that asked for all areas, and a
// third of them as one that asked for a few.
func TestScoreLaws(t *testing.T) {
	all := Catalogue()
	check := func(t *testing.T, world *audit.Snapshot, scope audit.Scope, judge func(*audit.Snapshot) []audit.Finding) {
		t.Helper()
		broken, err := lab.CheckScore(world, judge, func(f []audit.Finding) audit.Score { return scoreWith(audit.KindAudit, scope, f, all) })
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range broken {
			t.Error(b)
		}
	}
	check(t, good(t), good(t).Scope, Evaluate)
	cases := 0
	eachCase(t, func(t *testing.T, rule Rule, _ ruleCase, world *audit.Snapshot) {
		check(t, world, good(t).Scope, with(rule))
		cases++
		if cases%3 > 0 { // each takes a while
			return
		}
		check(t, world, audit.Scope{Areas: []audit.Area{audit.AreaMX, audit.AreaTLS, rule.Area()}}, with(rule))
	})
}

// TestWorstSeverity: whoever does not fail has a severity at least as bad as he
// could fail with, so that what is not known is taken as seriously as it may be.
func TestWorstSeverity(t *testing.T) {
	could := map[audit.RuleID]map[audit.Severity]bool{}
	eachCase(t, func(t *testing.T, rule Rule, _ ruleCase, world *audit.Snapshot) {
		all := map[audit.Key]audit.Severity{}
		for _, f := range Evaluate(good(t)) {
			all[f.Key()] = f.Severity
		}
		for _, f := range Evaluate(world) {
			calm, there := all[f.Key()]
			if f.Status == audit.Fail && there && !calm.AtLeast(f.Severity) {
				t.Errorf("%s of %s fails with %s, and passes with %s", f.Rule, f.Subject, f.Severity, calm)
			}
			if f.Status != audit.Fail && f.Rule == rule.ID {
				if could[rule.ID] == nil {
					could[rule.ID] = map[audit.Severity]bool{}
				}
				could[rule.ID][f.Severity] = true
			}
		}
	})
	for id, want := range map[audit.RuleID][]audit.Severity{
		"rdns.ptr-missing":      {audit.High, audit.Info},
		"rdns.not-confirmed":    {audit.High, audit.Info},
		"rdns.generic-name":     {audit.Medium, audit.Info},
		"rdns.many-names":       {audit.Low},
		"dnsbl.listed-blocking": {audit.High, audit.Info},
		"dnsbl.listed-some":     {audit.Low, audit.Info},
		"smtp.ehlo-mangled":     {audit.High},
		"mx.target-not-public":  {audit.Critical},
	} {
		for _, s := range audit.Severities() {
			if could[id][s] != slices.Contains(want, s) {
				t.Errorf("%s: what does not fail has severity %s: %t", id, s, could[id][s])
			}
		}
	}
}

func TestBugIsUnknown(t *testing.T) {
	broken := Rule{ID: "mx.broken", Severity: audit.High, Judge: func(s *audit.Snapshot, r *Report) {
		r.Pass("one", "")
		panic("\x1b[31mboom")
	}}
	got := EvaluateWith(good(t), []Rule{broken})
	if len(got) != 1 || got[0].Status != audit.UnknownStatus || got[0].Cause != audit.Bug {
		t.Fatalf("got %+v", got)
	}
	if strings.Contains(got[0].Detail, "\x1b") {
		t.Error("the message is not printable")
	}
}

func TestAfterMakesMoot(t *testing.T) {
	world := apply(t, good(t), []string{"smtp.0.connect = absent conn-refused"})
	for _, f := range Evaluate(world) {
		if f.Subject != world.Facts.SMTP[0].Subject() || f.Rule == "smtp.unreachable" {
			continue
		}
		if f.Status != audit.NAStatus {
			t.Errorf("%s is %s although the host is dead", f.Rule, f.Status)
		}
	}
}
