package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// A case file holds the cases of one rule. Each case starts from the good
// world, changes some facts, and says what the rule must say:
//
//	# Why this rule has these cases.
//	case the domain is gone
//	mx.exists = absent nxdomain
//	want example.org fail critical
//
// A path leads through the JSON of the facts ("hosts.0.a"; "scope.", "at",
// "past" and "vantage." lead to the rest of the snapshot). The right side is JSON, or the short form
// of an observation: "absent CODE", "unknown CODE", "n/a", "seen JSON".
// A line that begins with "spf " says what the SPF policy leads to (applySPF).
// "want" lines list every finding of the rule that is not a pass, and any
// passes one likes; "want pass" alone says that there are only passes.
type ruleCase struct {
	name  string
	set   []string
	wants []string
}

func parseCases(t *testing.T, path string) []ruleCase {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(data), "# ") {
		t.Fatalf("%s: the first line must say why the cases exist", path)
	}
	var cases []ruleCase
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "case "):
			cases = append(cases, ruleCase{name: line[5:]})
		case len(cases) == 0:
			t.Fatalf("%s:%d: %q before the first case", path, i+1, line)
		case strings.HasPrefix(line, "want "):
			c := &cases[len(cases)-1]
			c.wants = append(c.wants, line[5:])
		default:
			c := &cases[len(cases)-1]
			c.set = append(c.set, line)
		}
	}
	return cases
}

// apply changes a snapshot by the lines of a case, through its JSON.
func apply(t *testing.T, s *audit.Snapshot, lines []string) *audit.Snapshot {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	err = json.Unmarshal(data, &tree)
	if err != nil {
		t.Fatal(err)
	}
	var policy []string
	for _, line := range lines {
		if strings.HasPrefix(line, "spf ") {
			policy = append(policy, line)
			continue
		}
		path, value, ok := strings.Cut(line, " = ")
		if !ok {
			t.Fatalf("%q is no PATH = VALUE", line)
		}
		steps := strings.Split(path, ".")
		if !slices.Contains([]string{"scope", "at", "past", "vantage"}, steps[0]) {
			steps = append([]string{"facts"}, steps...)
		}
		err := set(tree, steps, value)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	data, err = json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var out audit.Snapshot
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields() // a misspelt path must not make a case that tests nothing
	err = dec.Decode(&out)
	if err != nil {
		t.Fatal(err)
	}
	if len(policy) > 0 {
		applySPF(t, &out, policy)
	}
	return &out
}

func set(node any, steps []string, value string) error {
	last := len(steps) == 1
	switch n := node.(type) {
	case map[string]any:
		if last {
			v, err := caseValue(n[steps[0]], value)
			n[steps[0]] = v
			return err
		}
		if n[steps[0]] == nil {
			return fmt.Errorf("no %s here", steps[0])
		}
		return set(n[steps[0]], steps[1:], value)
	case []any:
		i, err := strconv.Atoi(steps[0])
		if err != nil || i >= len(n) {
			return fmt.Errorf("no element %s here", steps[0])
		}
		if last {
			n[i], err = caseValue(n[i], value)
			return err
		}
		return set(n[i], steps[1:], value)
	}
	return fmt.Errorf("%s leads nowhere", steps[0])
}

// caseValue reads the right side of a line. Short forms keep the question.
func caseValue(old any, text string) (any, error) {
	word, rest, _ := strings.Cut(text, " ")
	o, _ := old.(map[string]any)
	via, _ := o["via"].(string)
	obs := func(state audit.State, code string) (any, error) {
		return map[string]any{"state": state, "via": via, "why": map[string]any{"code": code, "text": "case: " + code}}, nil
	}
	switch word {
	case "absent":
		return obs(audit.Absent, rest)
	case "unknown":
		return obs(audit.Unknown, rest)
	case "n/a":
		return obs(audit.NotTried, string(audit.NotApplicable))
	case "seen":
		var v any
		err := json.Unmarshal([]byte(rest), &v)
		return map[string]any{"state": audit.Seen, "via": via, "value": v}, err
	}
	var v any
	err := json.Unmarshal([]byte(text), &v)
	return v, err
}

// eachCase calls f with the world of every case of every rule.
func eachCase(t *testing.T, f func(t *testing.T, rule Rule, c ruleCase, world *audit.Snapshot)) {
	t.Helper()
	for _, rule := range Catalogue() {
		_, name, _ := strings.Cut(string(rule.ID), ".")
		path := filepath.Join("testdata", string(rule.Area()), name+".txt")
		for _, c := range parseCases(t, path) {
			t.Run(string(rule.ID)+"/"+c.name, func(t *testing.T) {
				f(t, rule, c, apply(t, good(t), c.set))
			})
		}
	}
}

func TestCases(t *testing.T) {
	statuses := map[audit.RuleID]map[audit.Status]bool{}
	for _, r := range Catalogue() {
		statuses[r.ID] = map[audit.Status]bool{}
	}
	eachCase(t, func(t *testing.T, rule Rule, c ruleCase, world *audit.Snapshot) {
		if len(c.wants) == 0 {
			t.Fatal("the case wants nothing")
		}
		var got []audit.Finding
		for _, f := range Evaluate(world) {
			if f.Rule == rule.ID {
				got = append(got, f)
				statuses[rule.ID][f.Status] = true
			}
		}
		checkWants(t, c.wants, got)
	})
	for id, have := range statuses {
		for _, s := range []audit.Status{audit.Pass, audit.Fail, audit.UnknownStatus} {
			if !have[s] {
				t.Errorf("%s has no case that ends in %s", id, s)
			}
		}
	}
}

func checkWants(t *testing.T, wants []string, got []audit.Finding) {
	t.Helper()
	if len(got) == 0 {
		t.Error("the rule says nothing")
	}
	for _, f := range got {
		line := fmt.Sprintf("%s %s", f.Subject, f.Status)
		if f.Status == audit.Fail {
			line += " " + string(f.Severity)
		}
		wanted := slices.Contains(wants, line) || f.Status == audit.Pass
		if !wanted {
			t.Errorf("not wanted: %s (%s)", line, f.Detail)
		}
		wants = slices.DeleteFunc(slices.Clone(wants), func(w string) bool { return w == line })
	}
	for _, w := range wants {
		if w != "pass" {
			t.Errorf("missing: %s", w)
		}
	}
}

// TestNoStrayCases holds every file in testdata to be the cases of a rule.
func TestNoStrayCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		id := filepath.Base(filepath.Dir(f)) + "." + strings.TrimSuffix(filepath.Base(f), ".txt")
		if _, ok := Lookup(audit.RuleID(id)); !ok {
			t.Errorf("%s belongs to no rule", f)
		}
	}
	if len(files) != len(Catalogue()) {
		t.Errorf("%d case files for %d rules", len(files), len(Catalogue()))
	}
}
