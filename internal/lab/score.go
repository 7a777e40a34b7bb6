package lab

import (
	"fmt"
	"reflect"
	"slices"

	"mailaudit/internal/audit"
)

// Scorer says what the findings of one run amount to.
type Scorer func([]audit.Finding) audit.Score

// CheckScore proves the laws of the score for one snapshot, and returns a
// sentence for each violation. For the findings, one by one:
//
//   - Repairing a fault takes away no points and no coverage, and makes no grade
//     worse; no grade is better than a D.
//   - A fault that is graver makes none better.
//   - A pass that goes dark changes no points; its axis may lose its grade where
//     less is seen than before. A fail that goes dark takes no points away.
//     Neither raises the coverage, and a dark finding of high severity or worse
//     makes the axis provisional.
//   - The same fault at a further subject takes no points.
//   - What is n/a or info counts for nothing, and so does the order.
//
// And with any single observation made unknown: fewer points there are only
// where a fault shows that another one had hidden, or one that the observation
// had excused is taken at its worst; and an axis that looks better says that
// something was not seen, and is provisional where what it no longer counts was
// high or worse.
//
// The error is that of copying the snapshot; it is not changed.
func CheckScore(s *audit.Snapshot, judge func(*audit.Snapshot) []audit.Finding, score Scorer) ([]string, error) {
	findings := judge(s)
	c := scoreCheck{findings: findings, base: score(findings), score: score}
	for i := range findings {
		c.finding(i)
	}
	c.whole()
	err := eachDark(s, func(dark *audit.Snapshot, why audit.Reason) { c.inTheDark(why.Text, judge(dark)) })
	return c.broken, err
}

type scoreCheck struct {
	findings []audit.Finding
	base     audit.Score
	score    Scorer
	broken   []string
}

func (c *scoreCheck) report(f audit.Finding, axis audit.Axis, format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf("%s of %s, %s: %s", f.Rule, f.Subject, axis, fmt.Sprintf(format, args...)))
}

// with is the score with one finding changed.
func (c *scoreCheck) with(i int, change func(*audit.Finding)) audit.Score {
	changed := slices.Clone(c.findings)
	change(&changed[i])
	return c.score(changed)
}

// axis is the one on which a rule counts, empty where it counts on none.
func (c *scoreCheck) axis(f audit.Finding) audit.Axis {
	f.Status = audit.Fail
	for axis, a := range c.score([]audit.Finding{f}).Axes {
		if a.Fail > 0 {
			return axis
		}
	}
	return ""
}

// worth orders grades, with no grade above a D: that one was seen, and may still
// be there.
func worth(g audit.Grade) int {
	if !g.Given() {
		return 2*audit.GradeD.Rank() + 1
	}
	return 2 * g.Rank()
}

// both reports whether two results can be compared by their points.
func both(a, b audit.AxisScore) bool { return a.Grade.Given() && b.Grade.Given() }

// points is what an axis has, or -1.
func points(a audit.AxisScore) int {
	if a.Points == nil {
		return -1
	}
	return *a.Points
}

// finding holds one finding to the laws.
func (c *scoreCheck) finding(i int) {
	f := c.findings[i]
	if !f.Status.Known() {
		return
	}
	axis := c.axis(f)
	before := c.base.Axes[axis]
	if axis == "" {
		other := c.with(i, func(f *audit.Finding) { f.Status = audit.NAStatus })
		if !reflect.DeepEqual(other, c.base) {
			c.report(f, axis, "it counts for nothing, and without it the score is another")
		}
		return
	}
	passing := c.with(i, func(f *audit.Finding) { f.Status = audit.Pass })
	failing := c.with(i, func(f *audit.Finding) { f.Status = audit.Fail })
	graver := c.with(i, func(f *audit.Finding) { f.Status, f.Severity = audit.Fail, worse(f.Severity) })
	good, bad, worst := passing.Axes[axis], failing.Axes[axis], graver.Axes[axis]
	switch {
	case worth(good.Grade) < worth(bad.Grade) || both(good, bad) && points(good) < points(bad) || good.Coverage < bad.Coverage:
		c.report(f, axis, "passing it has %d points (%s), failing it %d (%s)", points(good), good.Grade, points(bad), bad.Grade)
	case both(bad, worst) && points(worst) > points(bad) || worth(worst.Grade) > worth(bad.Grade) && worst.Coverage == bad.Coverage:
		c.report(f, axis, "a graver fault has %d points, not %d", points(worst), points(bad))
	case both(good, bad) && (points(good) == points(bad)) != (points(good) == 0 || c.failsElsewhere(i)):
		c.report(f, axis, "the fault takes %d points", points(good)-points(bad))
	}
	if worth(passing.Grade) < worth(failing.Grade) {
		c.report(f, axis, "the whole is graded %s with the pass and %s with the fail", passing.Grade, failing.Grade)
	}
	dark := c.with(i, func(f *audit.Finding) { f.Status = audit.UnknownStatus }).Axes[axis]
	lost := !dark.Grade.Given() && before.Grade.Given()
	switch {
	case dark.Coverage > before.Coverage || lost && dark.Coverage == before.Coverage && f.Status == audit.Pass:
		c.report(f, axis, "not knowing it, %d %% are seen and not %d %%", dark.Coverage, before.Coverage)
	case f.Severity.AtLeast(audit.High) && !dark.Provisional:
		c.report(f, axis, "not knowing it makes nothing provisional")
	case !lost && f.Status == audit.Pass && points(dark) != points(before):
		c.report(f, axis, "not knowing the pass has %d points, not %d", points(dark), points(before))
	case !lost && points(dark) < points(before):
		c.report(f, axis, "not knowing the fail has %d points, not %d", points(dark), points(before))
	}
	if f.Status == audit.Fail {
		f.Subject = "another.example"
		again := c.score(append(slices.Clone(c.findings), f)).Axes[axis]
		if before.Grade.Given() && points(again) != points(before) {
			c.report(f, axis, "a second subject has %d points, not %d", points(again), points(before))
		}
	}
}

// failsElsewhere reports whether the rule of a finding fails at another
// subject as badly, so that this one makes no difference.
func (c *scoreCheck) failsElsewhere(i int) bool {
	mine := c.findings[i]
	for j, f := range c.findings {
		if j != i && f.Rule == mine.Rule && f.Status == audit.Fail && f.Severity.AtLeast(mine.Severity) {
			return true
		}
	}
	return false
}

// worse is the next severity, or the worst.
func worse(s audit.Severity) audit.Severity {
	all := audit.Severities()
	return all[max(0, slices.Index(all, s)-1)]
}

// whole holds all findings together to the laws.
func (c *scoreCheck) whole() {
	back := slices.Clone(c.findings)
	slices.Reverse(back)
	if !reflect.DeepEqual(c.score(back), c.base) {
		c.broken = append(c.broken, "the score hangs on the order of the findings")
	}
	for axis, a := range c.base.Axes {
		if a.Grade.Given() != (a.Points != nil) || a.Grade.Given() && a.Pass+a.Fail == 0 {
			c.broken = append(c.broken, fmt.Sprintf("%s: grade %q, %d points, %d findings known", axis, a.Grade, points(a), a.Pass+a.Fail))
		}
		if worth(c.base.Grade) > worth(a.Grade) && a.Counts() {
			c.broken = append(c.broken, fmt.Sprintf("the whole is graded %s, %s is %s", c.base.Grade, axis, a.Grade))
		}
	}
}

// inTheDark compares the score with that of the same world, one observation of
// which is unknown.
func (c *scoreCheck) inTheDark(what string, findings []audit.Finding) {
	dark := c.score(findings)
	now := map[audit.Key]audit.Finding{}
	for _, f := range findings {
		now[f.Key()] = f
	}
	lost, come := map[audit.Axis]bool{}, map[audit.Axis]bool{} // grave faults that are not seen now; those that are new, or graver
	was := map[audit.Key]audit.Severity{}
	for _, f := range c.findings {
		if f.Status != audit.Fail {
			continue
		}
		was[f.Key()] = f.Severity
		n := now[f.Key()]
		if f.Severity.AtLeast(audit.High) && (n.Status != audit.Fail || !n.Severity.AtLeast(audit.High)) {
			lost[c.axis(f)] = true
		}
	}
	for _, f := range findings {
		if f.Status == audit.Fail && !was[f.Key()].AtLeast(f.Severity) {
			come[c.axis(f)] = true
		}
	}
	for axis, after := range dark.Axes {
		before := c.base.Axes[axis]
		if !before.Grade.Given() || !after.Grade.Given() {
			continue
		}
		switch {
		case points(after) < points(before) && !come[axis]:
			c.broken = append(c.broken, fmt.Sprintf("%s: %s has %d points, not %d, without a new fault", what, axis, points(after), points(before)))
		case points(after) > points(before) && after.Coverage == 100:
			c.broken = append(c.broken, fmt.Sprintf("%s: %s has %d points, not %d, and all is seen", what, axis, points(after), points(before)))
		case points(after) > points(before) && lost[axis] && !after.Provisional:
			c.broken = append(c.broken, fmt.Sprintf("%s: %s has %d points, not %d, and nothing is provisional", what, axis, points(after), points(before)))
		}
	}
}
