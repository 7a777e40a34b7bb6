package rules

import (
	"slices"

	"mailaudit/internal/audit"
)

// RubricVersion is the version of the rubric, kept with every score. It is
// raised whenever a number in this file changes: points of two versions cannot
// be compared. A test holds the numbers of each version.
const RubricVersion = 1

// EnoughSeen is how much of what counts on an axis must have been seen for a
// good grade, in percent. An A for less than half of it would say more about
// what was not looked at. Bad grades need no such sight: points only sink with
// what comes to light.
const EnoughSeen = 50

// settled reports whether an axis with these points gets its grade however
// little of it was seen: a D or an F.
func settled(points int) bool { return gradeOf(points).Rank() <= audit.GradeD.Rank() }

// Cost is what a rule that fails takes from the 100 points of its axis, by the
// severity of its worst subject.
//
// The worst fault of an axis takes so much that the grade cannot be better
// than it deserves, as the caps of other rubrics do: whoever is refused by
// Gmail does not have a B because all else is well. What fails besides takes
// less, so that two causes for refusal are worse than one, and thirty
// trifles do not outweigh it.
type Cost struct {
	Severity audit.Severity
	Worst    int // points, of the worst fault of the axis
	Further  int // points, of each other rule that fails
	Weight   int // of the rule in what counts as seen, whatever comes of it
}

// Costs lists them, worst first. Info costs nothing and weighs nothing.
func Costs() []Cost {
	return []Cost{
		{audit.Critical, 80, 10, 12},
		{audit.High, 41, 8, 6},
		{audit.Medium, 22, 6, 3},
		{audit.Low, 4, 1, 1},
		{audit.Info, 0, 0, 0},
	}
}

// Limit is the fewest points of a grade.
type Limit struct {
	Grade  audit.Grade
	Points int
}

// Limits lists them, best first.
func Limits() []Limit {
	return []Limit{{audit.GradeA, 90}, {audit.GradeB, 75}, {audit.GradeC, 60}, {audit.GradeD, 40}, {audit.GradeF, 0}}
}

// BestWith is the best that an axis can have on which a rule of this severity
// fails.
func BestWith(s audit.Severity) (points int, grade audit.Grade) {
	points = pointsOf([]audit.Severity{s})
	return points, gradeOf(points)
}

// NotAskedWeights is what an area weighs on each axis for a run that left it
// out: its rules, each by the worst that it could have found.
func NotAskedWeights() map[audit.Area]map[audit.Axis]int {
	out := map[audit.Area]map[audit.Axis]int{}
	for _, r := range Catalogue() {
		if out[r.Area()] == nil {
			out[r.Area()] = map[audit.Axis]int{}
		}
		out[r.Area()][r.Axis] += costOf(r.Worst()).Weight
	}
	return out
}

func costOf(s audit.Severity) Cost {
	for _, c := range Costs() {
		if c.Severity == s {
			return c
		}
	}
	return Cost{Severity: s}
}

// pointsOf is what is left of an axis, given the severity of each rule that
// fails: 0 to 100.
func pointsOf(fails []audit.Severity) int {
	if len(fails) == 0 {
		return 100
	}
	worst := slices.MaxFunc(fails, func(a, b audit.Severity) int { return a.Rank() - b.Rank() })
	points := 100 - costOf(worst).Worst + costOf(worst).Further // it stands among the rest
	for _, s := range fails {
		points -= costOf(s).Further
	}
	return max(0, points)
}

func gradeOf(points int) audit.Grade {
	for _, l := range Limits() {
		if points >= l.Points {
			return l.Grade
		}
	}
	return audit.NoGrade
}
