package audit

import "slices"

// Grade is a verdict on one axis in one letter.
type Grade string

// The grades. docs/scoring.md says what each is worth.
const (
	GradeA  Grade = "A"
	GradeB  Grade = "B"
	GradeC  Grade = "C"
	GradeD  Grade = "D"
	GradeF  Grade = "F"
	NoGrade Grade = "-" // too little was seen, or nothing of the kind applies
)

// Grades lists the letters, best first.
func Grades() []Grade { return []Grade{GradeA, GradeB, GradeC, GradeD, GradeF} }

// Given reports whether the grade is a letter. It is not where there is no
// grade, and in runs that were scored before there were grades.
func (g Grade) Given() bool { return slices.Contains(Grades(), g) }

// Rank orders the letters: 4 for A down to 0 for F, -1 for anything else.
func (g Grade) Rank() int {
	for i, have := range Grades() {
		if g == have {
			return len(Grades()) - 1 - i
		}
	}
	return -1
}

// Score is what the findings of a run amount to, on three axes that answer
// three questions. rules.Score makes it.
type Score struct {
	// Rubric is the version of the rules by which points are given: only scores
	// of one version can be compared. It is 0 in runs that were scored before
	// there were grades; these have neither points nor grades.
	Rubric int `json:"rubric,omitempty"`
	// Points and Grade are those of the worst axis, never a mean: a domain that
	// anyone can forge is not made better by good certificates. Unless it is a D
	// or an F, there is one only if every axis on which something counts has one.
	Points *int  `json:"points,omitempty"` // 0 to 100; nil where Grade is no letter
	Grade  Grade `json:"grade,omitempty"`
	// Provisional: an axis is, or has no grade.
	Provisional bool `json:"provisional,omitempty"`
	// Coverage is the share of what counts that was seen, in percent.
	Coverage int                `json:"coverage"`
	Axes     map[Axis]AxisScore `json:"axes"`
}

// AxisScore is the result of one axis. Rules of severity info never count.
type AxisScore struct {
	Points   *int  `json:"points,omitempty"` // 0 to 100; nil where Grade is no letter
	Grade    Grade `json:"grade,omitempty"`
	Pass     int   `json:"pass"` // findings, as the next two
	Fail     int   `json:"fail"`
	Unknown  int   `json:"unknown"`
	Coverage int   `json:"coverage"` // percent; 100 when nothing counts
	// Provisional: a rule of high severity or worse is unknown, or a question of
	// the axis was not asked. The grade may be another when it is known.
	Provisional bool `json:"provisional,omitempty"`
	// NotAsked are the areas that the run left out although they hold rules of
	// this axis.
	NotAsked []Area `json:"not_asked,omitempty"`
}

// Counts reports whether anything counts on the axis in this run: known, not
// known, or not asked.
func (a AxisScore) Counts() bool { return a.Pass+a.Fail+a.Unknown > 0 || len(a.NotAsked) > 0 }
