package rules

import (
	"slices"

	"mailaudit/internal/audit"
)

// Score says what findings amount to, by the rubric of [RubricVersion]
// (rubric.go; docs/scoring.md is its published form). kind and scope say what
// the run could have asked: what was left out is as unknown as what did not
// answer.
//
// Points are taken for faults and for nothing else, once for each rule that
// fails, by its worst subject. So a finding that goes dark changes nothing in
// what the others are worth, the twentieth host with the same fault costs
// nothing that the first did not, and new rules that pass change no points.
func Score(kind audit.Kind, scope audit.Scope, findings []audit.Finding) audit.Score {
	return scoreWith(kind, scope, findings, Catalogue())
}

func scoreWith(kind audit.Kind, scope audit.Scope, findings []audit.Finding, catalogue []Rule) audit.Score {
	tallies := tallyRules(findings)
	out := audit.Score{Rubric: RubricVersion, Axes: map[audit.Axis]audit.AxisScore{}}
	var all sight
	for _, axis := range audit.Axes() {
		var mine []Rule
		for _, r := range catalogue {
			if r.Axis == axis {
				mine = append(mine, r)
			}
		}
		a, s := scoreAxis(mine, kind, scope, tallies)
		all.known, all.whole = all.known+s.known, all.whole+s.whole
		out.Axes[axis] = a
	}
	out.Coverage = all.percent()
	whole(&out)
	return out
}

// sight is how much of what counts was seen, in millionths of a weight, so that
// a rule with many subjects can be known in part.
type sight struct{ known, whole int64 }

const millionths = 1_000_000

// percent rounds down, so that 100 means all of it.
func (s sight) percent() int {
	if s.whole == 0 {
		return 100
	}
	return int(s.known * 100 / s.whole)
}

// tally is what the findings of one rule come to.
type tally struct {
	pass, fail, unknown int            // findings that count
	worst               audit.Severity // of the fails; "" when none counts
	provisional         bool
	weight              int // of the rule: of its heaviest finding
	known, whole        int // weights of findings
}

func tallyRules(findings []audit.Finding) map[audit.RuleID]tally {
	out := map[audit.RuleID]tally{}
	for _, f := range findings {
		w := costOf(f.Severity).Weight
		if w == 0 || f.Status == audit.NAStatus {
			continue
		}
		t := out[f.Rule]
		t.weight, t.whole = max(t.weight, w), t.whole+w
		switch f.Status {
		case audit.Pass:
			t.pass++
		case audit.Fail:
			t.fail++
			if t.worst == "" || f.Severity.AtLeast(t.worst) {
				t.worst = f.Severity
			}
		default:
			t.unknown++
			t.provisional = t.provisional || f.Severity.AtLeast(audit.High) || f.Cause == audit.NotAsked
		}
		if f.Status.Known() {
			t.known += w
		}
		out[f.Rule] = t
	}
	return out
}

// scoreAxis puts the rules of one axis together.
func scoreAxis(rules []Rule, kind audit.Kind, scope audit.Scope, tallies map[audit.RuleID]tally) (audit.AxisScore, sight) {
	var out audit.AxisScore
	var s sight
	var fails []audit.Severity
	for _, r := range rules {
		t, judged := tallies[r.ID]
		leftOut := belongs(kind, r.Area()) && !scope.Has(r.Area()) && costOf(r.Worst()).Weight > 0
		switch {
		case judged:
			out.Pass, out.Fail, out.Unknown = out.Pass+t.pass, out.Fail+t.fail, out.Unknown+t.unknown
			out.Provisional = out.Provisional || t.provisional
			weight := int64(t.weight) * millionths
			s.known += weight * int64(t.known) / int64(t.whole)
			s.whole += weight
			if t.worst != "" {
				fails = append(fails, t.worst)
			}
		case leftOut:
			out.Provisional = true
			s.whole += int64(costOf(r.Worst()).Weight) * millionths
			if !slices.Contains(out.NotAsked, r.Area()) {
				out.NotAsked = append(out.NotAsked, r.Area())
			}
		}
	}
	out.Coverage = s.percent()
	out.Grade = audit.NoGrade
	points := pointsOf(fails)
	if s.whole > 0 && (out.Coverage >= EnoughSeen || settled(points)) {
		out.Points, out.Grade = &points, gradeOf(points)
	}
	return out, s
}

// belongs reports whether a run of a kind is about an area. The test of one
// server asks everything there is to ask when it asks what takes a connection.
func belongs(kind audit.Kind, area audit.Area) bool {
	return kind != audit.KindSMTP || area.Connects()
}

// whole is the result of the worst axis. Where one that counts has no grade,
// nobody knows which is the worst, unless what is known is bad enough.
func whole(s *audit.Score) {
	least, graded, missing := 0, false, false
	for _, axis := range audit.Axes() {
		a := s.Axes[axis]
		s.Provisional = s.Provisional || a.Provisional
		switch {
		case a.Points == nil:
			missing = missing || a.Counts()
		case !graded || *a.Points < least:
			least, graded = *a.Points, true
		}
	}
	s.Grade = audit.NoGrade
	s.Provisional = s.Provisional || missing
	if graded && (!missing || settled(least)) {
		s.Points, s.Grade = &least, gradeOf(least)
	}
}
