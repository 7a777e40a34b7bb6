package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
	"mailaudit/internal/rules"
)

// scoring.md is prose around tables and examples that are computed here.

//go:embed scoring.md.tmpl
var scoringTemplate string

// scoring is what the template lays out.
type scoring struct {
	Version, Enough int
	Axes            []axis
	Costs           []cost
	HighGrade       audit.Grade
	Limits          []limit
	Areas           []area
	Totals          []int
	ServerAreas     string
	First, Second   example
}

type axis struct{ Name, Question string }

type cost struct {
	rules.Cost
	Best string
}

type limit struct {
	Grade audit.Grade
	Range string
}

// area is how much the rules of an area weigh on each axis.
type area struct {
	Name    string
	Weights []int
}

func scoringDoc() ([]byte, error) {
	d := scoring{Version: rules.RubricVersion, Enough: rules.EnoughSeen}
	for _, a := range audit.Axes() {
		d.Axes = append(d.Axes, axis{string(a), report.Question(a)})
	}
	for _, c := range rules.Costs() {
		points, grade := rules.BestWith(c.Severity)
		d.Costs = append(d.Costs, cost{c, fmt.Sprintf("%d, %s", points, grade)})
	}
	_, d.HighGrade = rules.BestWith(audit.High)
	top := 100
	for _, l := range rules.Limits() {
		d.Limits = append(d.Limits, limit{l.Grade, fmt.Sprintf("%d to %d", l.Points, top)})
		top = l.Points - 1
	}
	d.Areas, d.Totals = weights()
	d.ServerAreas = serverAreas()
	var err error
	d.First, err = play(first())
	if err != nil {
		return nil, err
	}
	d.Second, err = play(second())
	if err != nil {
		return nil, err
	}
	t, err := template.New("scoring").Parse(scoringTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, d)
	return append(bytes.TrimSpace(b.Bytes()), '\n'), err
}

// weights adds up what an area weighs that was not asked, and all of them.
func weights() ([]area, []int) {
	all := rules.NotAskedWeights()
	totals := make([]int, len(audit.Axes()))
	var out []area
	for _, name := range audit.Areas() {
		row := area{Name: string(name)}
		for i, a := range audit.Axes() {
			w := all[name][a]
			row.Weights = append(row.Weights, w)
			totals[i] += w
		}
		out = append(out, row)
	}
	return out, totals
}

// serverAreas names the areas of a server test.
func serverAreas() string {
	var words []string
	for _, a := range audit.Areas() {
		if a.Connects() {
			words = append(words, "`"+string(a)+"`")
		}
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// example is a run that is made up, and what it comes to.
type example struct {
	Story  string
	Faults []fault
	Sums   []string
	Lines  string // as the program shows them
	run    audit.Run
}

type fault struct {
	Rule     audit.RuleID
	Where    string
	Severity audit.Severity
	Axis     audit.Axis
}

// play scores an example and does the sums once more for the reader.
func play(e example) (example, error) {
	run := e.run
	run.Score = rules.Score(run.Kind, run.Snapshot.Scope, run.Findings)
	e.run = run
	for _, axis := range audit.Axes() {
		e.Sums = append(e.Sums, sum(axis, run.Score.Axes[axis], e.Faults))
	}
	var b bytes.Buffer
	err := report.Text(&b, report.Build(&run, nil, nil), report.TextOptions{})
	if err != nil {
		return e, err
	}
	_, rest, found := strings.Cut(b.String(), "\n  Delivery")
	lines, _, ended := strings.Cut("  Delivery"+rest, "\n\n")
	if !found || !ended {
		return e, fmt.Errorf("the report of an example has no lines about its axes")
	}
	e.Lines, e.Story = lines, wrapped(e.Story)
	return e, nil
}

// wrapped breaks a paragraph into lines as the rest of the page has them.
func wrapped(text string) string {
	const width = 80
	out, used := "", 0
	for _, word := range strings.Fields(text) {
		switch {
		case used == 0:
		case used+1+len(word) > width:
			out, used = out+"\n", 0
		default:
			out, used = out+" ", used+1
		}
		out, used = out+word, used+len(word)
	}
	return out
}

// sum is how the points of an axis come about: "Delivery: 100 - 41 - 8 = 51".
func sum(axis audit.Axis, a audit.AxisScore, faults []fault) string {
	costs := map[audit.Severity]rules.Cost{}
	for _, c := range rules.Costs() {
		costs[c.Severity] = c
	}
	var mine []audit.Severity
	for _, f := range faults {
		if f.Axis == axis {
			mine = append(mine, f.Severity)
		}
	}
	slices.SortFunc(mine, func(a, b audit.Severity) int { return b.Rank() - a.Rank() })
	text := strings.ToUpper(string(axis[:1])) + string(axis[1:]) + ": 100"
	for i, s := range mine {
		if i == 0 {
			text += fmt.Sprintf(" - %d", costs[s].Worst)
		} else {
			text += fmt.Sprintf(" - %d", costs[s].Further)
		}
	}
	switch {
	case a.Points == nil:
		return text + fmt.Sprintf(", but only %d %% of what counts was seen: no grade", a.Coverage)
	case len(mine) > 0:
		text += fmt.Sprintf(" = %d", *a.Points)
	}
	text += ", grade " + string(a.Grade)
	if a.Provisional {
		text += ", provisional"
	}
	return text
}
