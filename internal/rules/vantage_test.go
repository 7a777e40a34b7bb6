package rules

import (
	"github.com/google/go-cmp/cmp"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// TestDarkEgress: without what is known of our own side no server is dead, and
// none is well either: its fails become unknown, whatever else is known.
func TestDarkEgress(t *testing.T) {
	dead := []string{"smtp.0.connect = absent conn-refused", "smtp.1.connect = unknown no-answer", "smtp.2.connect = absent conn-refused",
		`egress = [{"family": "ipv4", "port": 25, "out": {"state": "seen", "via": "nc a 25"}}, {"family": "ipv6", "port": 25, "out": {"state": "seen", "via": "nc a 25"}}]`}
	world := apply(t, good(t), dead)
	of := func(s *audit.Snapshot) map[string]audit.Finding {
		out := map[string]audit.Finding{}
		for _, f := range Evaluate(s) {
			if f.Rule == "smtp.unreachable" {
				out[f.Subject] = f
			}
		}
		return out
	}
	for subject, f := range of(world) {
		if f.Status != audit.Fail || f.Severity != audit.Critical {
			t.Errorf("%s: %s %s", subject, f.Status, f.Severity)
		}
	}
	darkened := 0
	for _, o := range lab.Observations(&world.Facts) {
		if !strings.HasPrefix(o.Path, "Facts.Egress.") || !strings.HasSuffix(o.Path, ".Out") {
			continue
		}
		darkened++
		o.Darken(audit.Reason{Code: audit.NotLearned, Text: "no control host was found"})
	}
	if darkened != 2 {
		t.Fatalf("%d ways were darkened", darkened)
	}
	for subject, f := range of(world) {
		if f.Status != audit.UnknownStatus {
			t.Errorf("%s: %s", subject, f.Status)
		}
	}
}

// TestSuspension: where a way is shut or rewritten on our side, every rule is
// unknown for that reason at every server on it, and at no other.
func TestSuspension(t *testing.T) {
	shut := `{"family": "ipv4", "port": 25, "out": {"state": "absent", "why": {"code": "egress-blocked", "text": "none answers"}}}`
	proxy := `{"family": "ipv4", "port": 25, "out": {"state": "seen"}, "alike": {"state": "seen"}, "masked": {"state": "absent", "why": {"code": "not-offered", "text": "clear"}}, "starttls": {"state": "seen"}}`
	for _, c := range []struct {
		name string
		set  []string
		code audit.Code
	}{
		{"shut, and silent", []string{"smtp.0.connect = unknown no-answer", "smtp.2.connect = unknown no-answer", "egress = [" + shut + "]"}, audit.EgressBlock},
		{"shut, and refused", []string{"smtp.0.connect = absent conn-refused", "smtp.2.connect = absent conn-refused", "egress = [" + shut + "]"}, audit.EgressBlock},
		{"rewritten", []string{"egress = [" + proxy + "]"}, audit.Intercepted},
	} {
		world := apply(t, good(t), c.set)
		held := 0
		for _, f := range Evaluate(world) {
			over4 := strings.Contains(f.Subject, "[8.8.8.")
			switch {
			case f.OurSide():
			case over4 && f.Rule.Area().Connects():
				held++
				if f.Status != audit.UnknownStatus || f.Cause != c.code {
					t.Errorf("%s: %s of %s is %s, %s", c.name, f.Rule, f.Subject, f.Status, f.Cause)
				}
			case f.Rule == "smtp.endpoints-differ": // compares all of them
				if f.Status != audit.UnknownStatus || f.Cause != c.code {
					t.Errorf("%s: %s is %s, %s", c.name, f.Rule, f.Status, f.Cause)
				}
			case f.Cause == c.code, f.Status == audit.Fail:
				t.Errorf("%s: %s of %s is %s, %s", c.name, f.Rule, f.Subject, f.Status, f.Cause)
			}
		}
		if held < 20 {
			t.Errorf("%s: only %d findings were held", c.name, held)
		}
	}
}

// TestOurSideScores: what is found of our own side changes no score.
func TestOurSideScores(t *testing.T) {
	world := good(t)
	var without []audit.Finding
	with := Evaluate(world)
	for _, f := range with {
		if !f.OurSide() {
			without = append(without, f)
		}
	}
	if len(with)-len(without) < 4 {
		t.Fatalf("%d findings of our own side", len(with)-len(without))
	}
	scope := audit.Scope{Areas: audit.Areas()}
	a, b := Score(audit.KindAudit, scope, with), Score(audit.KindAudit, scope, without)
	if a.Coverage != b.Coverage {
		t.Errorf("coverage %d and %d", a.Coverage, b.Coverage)
	}
	for _, axis := range audit.Axes() {
		if diff := cmp.Diff(a.Axes[axis], b.Axes[axis]); diff != "" {
			t.Errorf("%s: %s", axis, diff)
		}
	}
}
