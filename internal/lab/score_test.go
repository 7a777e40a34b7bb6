package lab_test

import (
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// fairScore is a lawful way to score, small enough to be broken in one place:
// one axis, on which each rule that fails takes ten points for each step of
// its severity.
func fairScore(findings []audit.Finding) audit.Score {
	a := audit.AxisScore{Coverage: 100, Grade: audit.NoGrade}
	costs := map[audit.RuleID]int{}
	for _, f := range findings {
		if f.Severity == audit.Info || f.Status == audit.NAStatus {
			continue
		}
		switch f.Status {
		case audit.Pass:
			a.Pass++
		case audit.Fail:
			a.Fail++
			costs[f.Rule] = max(costs[f.Rule], 10*f.Severity.Rank())
		default:
			a.Unknown++
			a.Provisional = a.Provisional || f.Severity.AtLeast(audit.High)
		}
	}
	known, all := a.Pass+a.Fail, a.Pass+a.Fail+a.Unknown
	if all > 0 {
		a.Coverage = 100 * known / all
	}
	if known > 0 && a.Coverage >= 50 {
		points := 100
		for _, cost := range costs {
			points -= cost
		}
		give(&a, max(0, points))
	}
	return audit.Score{Points: a.Points, Grade: a.Grade, Coverage: a.Coverage, Axes: map[audit.Axis]audit.AxisScore{audit.Delivery: a}}
}

// give grades an axis by its points.
func give(a *audit.AxisScore, points int) {
	a.Points, a.Grade = &points, audit.Grades()[min(4, (100-points)/20)]
}

// changed is fairScore with its axis changed.
func changed(change func(findings []audit.Finding, a *audit.AxisScore)) lab.Scorer {
	return func(findings []audit.Finding) audit.Score {
		s := fairScore(findings)
		a := s.Axes[audit.Delivery]
		change(findings, &a)
		s.Points, s.Grade = a.Points, a.Grade
		s.Axes[audit.Delivery] = a
		return s
	}
}

// judgeTwo is two rules that pass or fail by what is seen, and one note.
func judgeTwo(s *audit.Snapshot) []audit.Finding {
	verdict := func(rule audit.RuleID, severity audit.Severity, known, good bool) audit.Finding {
		f := audit.Finding{Rule: rule, Subject: "s", Status: audit.UnknownStatus, Severity: severity}
		switch {
		case known && good:
			f.Status = audit.Pass
		case known:
			f.Status = audit.Fail
		}
		return f
	}
	trust := s.Facts.SMTP[0].TLS.Value.Trust
	return []audit.Finding{
		verdict("x.exists", audit.Medium, s.Facts.MX.Exists.Known(), s.Facts.MX.Exists.State == audit.Seen),
		verdict("x.trust", audit.High, trust.Known(), trust.State == audit.Seen),
		{Rule: "x.note", Subject: "s", Status: audit.Fail, Severity: audit.Info},
		{Rule: "x.moot", Subject: "s", Status: audit.NAStatus, Severity: audit.High},
	}
}

// TestCheckScoreFindsOffenders: each way to score breaks one law.
func TestCheckScoreFindsOffenders(t *testing.T) {
	for _, c := range []struct {
		name  string
		score lab.Scorer
		want  string // in one of the violations; "": there are none
	}{
		{"lawful", fairScore, ""},
		{"a fault pays", changed(func(f []audit.Finding, a *audit.AxisScore) {
			if a.Points != nil && a.Fail > 0 {
				give(a, 100+a.Fail)
			}
		}), "x.exists of s, delivery: passing it has 101 points (A), failing it 102 (A)"},
		{"graver is better", changed(func(f []audit.Finding, a *audit.AxisScore) {
			if a.Points != nil && slices.ContainsFunc(f, func(f audit.Finding) bool { return f.Severity == audit.Critical && f.Status == audit.Fail }) {
				give(a, 95)
			}
		}), "a graver fault has 95 points, not"},
		{"a fault is free", changed(func(f []audit.Finding, a *audit.AxisScore) {
			if a.Points != nil {
				give(a, 100)
			}
		}), "the fault takes 0 points"},
		{"a mean over what is known", changed(func(f []audit.Finding, a *audit.AxisScore) {
			if a.Points != nil {
				give(a, 100*(a.Pass+1)/(a.Pass+a.Fail+1))
			}
		}), "not knowing the pass has"},
		{"the dark costs", changed(func(f []audit.Finding, a *audit.AxisScore) {
			if a.Points != nil && a.Unknown > 0 {
				give(a, max(0, *a.Points-60))
			}
		}), "not knowing the fail has"},
		{"the dark is light", changed(func(f []audit.Finding, a *audit.AxisScore) { a.Coverage = min(100, 50+50*a.Unknown) }),
			"are seen and not 50 %"},
		{"grades are lost for nothing", changed(func(f []audit.Finding, a *audit.AxisScore) {
			a.Coverage = 100
			if a.Unknown > 0 {
				a.Points, a.Grade = nil, audit.NoGrade
			}
		}), "not knowing it, 100 % are seen and not 100 %"},
		{"nothing is provisional", changed(func(f []audit.Finding, a *audit.AxisScore) { a.Provisional = false }), "not knowing it makes nothing provisional"},
		{"every host counts", changed(func(f []audit.Finding, a *audit.AxisScore) {
			if a.Points != nil {
				give(a, max(0, 100-10*a.Fail))
			}
		}), "a second subject has"},
		{"notes count", changed(func(f []audit.Finding, a *audit.AxisScore) {
			notes := slices.ContainsFunc(f, func(f audit.Finding) bool { return f.Severity == audit.Info && f.Status == audit.Fail })
			if a.Points != nil && notes {
				give(a, max(0, *a.Points-1))
			}
		}), "it counts for nothing, and without it the score is another"},
		{"the order counts", changed(func(f []audit.Finding, a *audit.AxisScore) {
			if a.Points != nil && len(f) > 1 && f[0].Rule == "x.exists" {
				give(a, max(0, *a.Points-1))
			}
		}), "the score hangs on the order of the findings"},
		{"a grade for nothing seen", changed(func(f []audit.Finding, a *audit.AxisScore) {
			if a.Points == nil {
				a.Grade = audit.GradeA
			}
		}), `grade "A", -1 points, 0 findings known`},
		{"the whole is the best", func(f []audit.Finding) audit.Score {
			s := fairScore(f)
			s.Grade = audit.GradeA
			return s
		}, "the whole is graded A, delivery is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []string
			for _, dark := range []bool{false, true} {
				s := seenSnapshot(t)
				if dark {
					s.Facts.MX.Exists, s.Facts.SMTP[0].TLS = audit.Obs[audit.Nothing]{}, audit.Obs[audit.TLS]{}
				}
				got, err := lab.CheckScore(s, judgeTwo, c.score)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, got...)
			}
			found := slices.ContainsFunc(all, func(v string) bool { return strings.Contains(v, c.want) })
			if c.want == "" && len(all) > 0 || c.want != "" && !found {
				t.Errorf("violations: %q, want %q", all, c.want)
			}
		})
	}
}

// TestCheckScoreInTheDark: what only shows when an observation is unknown.
func TestCheckScoreInTheDark(t *testing.T) {
	fails := func(s *audit.Snapshot) []audit.Finding {
		f := judgeTwo(s)
		for i := range f {
			if f[i].Status == audit.Pass {
				f[i].Status = audit.Fail
			}
		}
		return f
	}
	hides := func(s *audit.Snapshot) []audit.Finding { // forgets what it cannot see
		return slices.DeleteFunc(fails(s), func(f audit.Finding) bool { return f.Status == audit.UnknownStatus })
	}
	belittles := func(s *audit.Snapshot) []audit.Finding { // calls it harmless
		f := fails(s)
		for i := range f {
			if f[i].Status == audit.UnknownStatus {
				f[i].Severity = audit.Low
			}
		}
		return f
	}
	deducts := changed(func(f []audit.Finding, a *audit.AxisScore) {
		if a.Points != nil && len(f) < 4 {
			give(a, 0)
		}
	})
	for _, c := range []struct {
		name  string
		judge func(*audit.Snapshot) []audit.Finding
		score lab.Scorer
		want  string
	}{
		{"forgets", hides, fairScore, "darkened Facts.MX.Exists: delivery has 70 points, not 50, and all is seen"},
		{"belittles", belittles, fairScore, "darkened Facts.SMTP.0.TLS.Value.Trust: delivery has 80 points, not 50, and nothing is provisional"},
		{"deducts", hides, deducts, "darkened Facts.MX.Exists: delivery has 0 points, not 50, without a new fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := lab.CheckScore(seenSnapshot(t), c.judge, c.score)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(got, c.want) {
				t.Errorf("violations: %q, want %q", got, c.want)
			}
		})
	}
}
