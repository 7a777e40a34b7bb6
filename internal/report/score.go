package report

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// This file says what a score says, for all renderers. The three axes are
// always shown side by side; no renderer shows the one number of all of them.

// axisLines are the axes on which something could be said. Of the audit of a
// domain these are all three, so that nobody wonders where one is.
func axisLines(run *audit.Run) []AxisLine {
	faults := faultsByAxis(run.Findings)
	var out []AxisLine
	for _, axis := range audit.Axes() {
		a, scored := run.Score.Axes[axis]
		if !scored || !a.Counts() && (run.Score.Rubric == 0 || run.Kind == audit.KindSMTP || len(run.Findings) == 0) {
			continue
		}
		line := AxisLine{
			Name: axis, Question: Question(axis), Grade: a.Grade, Coverage: a.Coverage, Unknown: a.Unknown, NotAsked: a.NotAsked,
			Provisional: a.Provisional, Seen: a.Pass+a.Fail > 0, Applies: a.Counts(),
		}
		if run.Kind == audit.KindSMTP {
			line.Question = serverQuestion(axis)
		}
		if a.Points != nil {
			line.Points = *a.Points
		}
		for _, s := range audit.Severities() {
			if faults[axis][s] > 0 && s != audit.Info {
				line.Counts = append(line.Counts, Count{s, faults[axis][s]})
			}
		}
		out = append(out, line)
	}
	return out
}

// faultsByAxis counts the rules that fail, each once, by its worst subject:
// what costs points.
func faultsByAxis(findings []audit.Finding) map[audit.Axis]map[audit.Severity]int {
	worst := map[audit.RuleID]audit.Severity{}
	for _, f := range findings {
		if f.Status == audit.Fail && (worst[f.Rule] == "" || f.Severity.AtLeast(worst[f.Rule])) {
			worst[f.Rule] = f.Severity
		}
	}
	out := map[audit.Axis]map[audit.Severity]int{}
	for _, r := range rules.Catalogue() {
		if worst[r.ID] == "" {
			continue
		}
		if out[r.Axis] == nil {
			out[r.Axis] = map[audit.Severity]int{}
		}
		out[r.Axis][worst[r.ID]]++
	}
	return out
}

// Question is what an axis answers about a domain.
func Question(a audit.Axis) string {
	switch a {
	case audit.Delivery:
		return "does mail arrive, both ways?"
	case audit.Protection:
		return "can strangers send as this domain?"
	case audit.Privacy:
		return "is mail protected on the way?"
	}
	return ""
}

// serverQuestion is what an axis answers about one server.
func serverQuestion(a audit.Axis) string {
	switch a {
	case audit.Delivery:
		return "does the server take mail?"
	case audit.Protection:
		return "does it give strangers no rights?"
	}
	return Question(a)
}

// title is the name of the axis as a heading.
func (a AxisLine) title() string { return capital(string(a.Name)) }

// mark is the grade as it is shown: "B", "B*" where it is provisional, "-".
func (a AxisLine) mark() string { return gradeMark(a.Grade, a.Provisional) }

func gradeMark(g audit.Grade, provisional bool) string {
	if g.Given() && provisional {
		return string(g) + "*"
	}
	return string(g)
}

// worth is what a grade is worth, in words: "78 points, provisional".
func (a AxisLine) worth() string {
	switch {
	case !a.Grade.Given():
		return "no grade"
	case a.Provisional:
		return plural(a.Points, "point") + ", provisional"
	}
	return plural(a.Points, "point")
}

// share is how much of what counts was seen.
func (a AxisLine) share() string {
	if !a.Applies {
		return "-"
	}
	return fmt.Sprintf("%d %%", a.Coverage)
}

// faults is "3 high, 1 low", "no faults", or why there are none.
func (a AxisLine) faults() string {
	var words []string
	for _, c := range a.Counts {
		words = append(words, fmt.Sprintf("%d %s", c.N, c.Severity))
	}
	switch {
	case len(words) > 0:
		return strings.Join(words, ", ")
	case !a.Applies:
		return "nothing applies"
	case !a.Seen && a.Unknown == 0:
		return "not asked"
	case !a.Seen:
		return "nothing seen"
	}
	return "no faults"
}

// unseen counts what is not known of the axis, and names what was not asked:
// "5 checks not known; spf not asked". It is empty where there is nothing.
func (a AxisLine) unseen() string {
	var words []string
	if a.Unknown > 0 {
		words = append(words, plural(a.Unknown, "check")+" not known")
	}
	if len(a.NotAsked) > 0 {
		words = append(words, a.notAsked())
	}
	return strings.Join(words, "; ")
}

// notAsked is "spf, dkim not asked".
func (a AxisLine) notAsked() string {
	var words []string
	for _, area := range a.NotAsked {
		words = append(words, string(area))
	}
	return strings.Join(words, ", ") + " not asked"
}

// note says what the grade is worth: "* provisional: 3 unknown".
func (a AxisLine) note() string {
	var why []string
	if a.Unknown > 0 {
		why = append(why, fmt.Sprintf("%d unknown", a.Unknown))
	}
	if len(a.NotAsked) > 0 {
		why = append(why, a.notAsked())
	}
	reasons := strings.Join(why, "; ")
	switch {
	case reasons == "" || !a.Seen && a.Unknown == 0: // all of it not asked, which is said already
		return ""
	case a.Grade.Given() && a.Provisional:
		return "* provisional: " + reasons
	case a.Grade == audit.NoGrade && a.Seen:
		return "too little for a grade: " + reasons
	}
	return reasons
}

// legend explains the marks that are there.
func (m Model) legend() []string {
	if m.Rubric == 0 {
		return nil
	}
	var out []string
	if slices.ContainsFunc(m.Axes, func(a AxisLine) bool { return a.Grade.Given() && a.Provisional }) {
		out = append(out, "Provisional: something of high severity or worse is not known, or part of the question was not asked; when it is known, the grade may be another.")
	}
	if slices.ContainsFunc(m.Axes, func(a AxisLine) bool { return a.Grade == audit.NoGrade && a.Applies }) {
		out = append(out, fmt.Sprintf("No grade: less than %d %% of what counts was seen, and in that no fault grave enough for a D or an F.", rules.EnoughSeen))
	}
	if slices.ContainsFunc(m.Axes, func(a AxisLine) bool { return a.Grade.Given() }) {
		out = append(out, fmt.Sprintf("Grades run from A to F and points from 100 to 0, by rubric %d of mailaudit (docs/scoring.md). The three are not mixed into one.", m.Rubric))
	}
	return out
}

// grades is "delivery D, privacy B (provisional)", empty where there are none.
func (m Model) grades() string {
	var words []string
	for _, a := range m.Axes {
		if a.Grade.Given() {
			words = append(words, string(a.Name)+" "+string(a.Grade)+inBrackets(a.Provisional))
		}
	}
	return strings.Join(words, ", ")
}

// gradesInShort is "D/-/B*", in the order of the axes; empty where there are
// none.
func gradesInShort(s audit.Score) string {
	if s.Rubric == 0 {
		return ""
	}
	var words []string
	for _, axis := range audit.Axes() {
		a := s.Axes[axis]
		words = append(words, gradeMark(a.Grade, a.Provisional))
	}
	return strings.Join(words, "/")
}

// gradeChanges compares two scores. Scores of two rubrics say nothing about
// one another, and neither do axes that were not asked the same.
func gradeChanges(was *audit.Score, now audit.Score) []GradeChange {
	if was == nil || was.Rubric != now.Rubric || now.Rubric == 0 {
		return nil
	}
	var out []GradeChange
	for _, axis := range audit.Axes() {
		a, b := was.Axes[axis], now.Axes[axis]
		if slices.Equal(a.NotAsked, b.NotAsked) && axisResult(a) != axisResult(b) {
			out = append(out, GradeChange{axis, axisResult(a), axisResult(b)})
		}
	}
	return out
}

// inBrackets says in a sentence what the star says in a table.
func inBrackets(provisional bool) string {
	if provisional {
		return " (provisional)"
	}
	return ""
}

// axisResult is grade and points of an axis: "B 78 (provisional)", or "no
// grade".
func axisResult(a audit.AxisScore) string {
	if a.Points == nil {
		return "no grade"
	}
	return fmt.Sprintf("%s %d", a.Grade, *a.Points) + inBrackets(a.Provisional)
}

// graded tells the changes of grades in a line, empty where there are none.
func (s *Since) graded() string {
	var words []string
	for _, g := range s.Grades {
		words = append(words, fmt.Sprintf("%s %s, was %s", g.Axis, g.Now, g.Was))
	}
	return strings.Join(words, "; ")
}
