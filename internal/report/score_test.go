package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

func graded(points int, grade audit.Grade) audit.AxisScore {
	return audit.AxisScore{Points: &points, Grade: grade, Pass: 1, Coverage: 100}
}

// TestAxisLine pins what a line says in every state that an axis can be in.
func TestAxisLine(t *testing.T) {
	spf := []audit.Area{audit.AreaSPF, audit.AreaDMARC}
	for _, c := range []struct {
		name string
		line AxisLine
		want string // mark | worth | faults | share | note | unseen
	}{
		{"all seen", AxisLine{Grade: audit.GradeA, Points: 100, Seen: true, Applies: true, Coverage: 100}, "A | 100 points | no faults | 100 % | | "},
		{"one point", AxisLine{Grade: audit.GradeF, Points: 1, Seen: true, Applies: true, Coverage: 100, Counts: []Count{{audit.Critical, 2}, {audit.Low, 1}}},
			"F | 1 point | 2 critical, 1 low | 100 % | | "},
		{"unknown, of little weight", AxisLine{Grade: audit.GradeA, Points: 100, Seen: true, Applies: true, Coverage: 96, Unknown: 2},
			"A | 100 points | no faults | 96 % | 2 unknown | 2 checks not known"},
		{"provisional", AxisLine{Grade: audit.GradeB, Points: 78, Seen: true, Applies: true, Coverage: 71, Unknown: 3, Provisional: true, Counts: []Count{{audit.Medium, 1}}},
			"B* | 78 points, provisional | 1 medium | 71 % | * provisional: 3 unknown | 3 checks not known"},
		{"provisional, not asked", AxisLine{Grade: audit.GradeB, Points: 78, Seen: true, Applies: true, Coverage: 71, Unknown: 1, NotAsked: spf, Provisional: true},
			"B* | 78 points, provisional | no faults | 71 % | * provisional: 1 unknown; spf, dmarc not asked | 1 check not known; spf, dmarc not asked"},
		{"too little", AxisLine{Grade: audit.NoGrade, Seen: true, Applies: true, Coverage: 30, NotAsked: spf, Provisional: true},
			"- | no grade | no faults | 30 % | too little for a grade: spf, dmarc not asked | spf, dmarc not asked"},
		{"too little, with a fault", AxisLine{Grade: audit.NoGrade, Seen: true, Applies: true, Coverage: 30, Unknown: 9, Counts: []Count{{audit.Medium, 1}}},
			"- | no grade | 1 medium | 30 % | too little for a grade: 9 unknown | 9 checks not known"},
		{"nothing seen", AxisLine{Grade: audit.NoGrade, Applies: true, Unknown: 4, Provisional: true},
			"- | no grade | nothing seen | 0 % | 4 unknown | 4 checks not known"},
		{"not asked", AxisLine{Grade: audit.NoGrade, Applies: true, NotAsked: spf, Provisional: true},
			"- | no grade | not asked | 0 % | | spf, dmarc not asked"},
		{"nothing applies", AxisLine{Grade: audit.NoGrade, Coverage: 100}, "- | no grade | nothing applies | - | | "},
		{"before there were grades", AxisLine{Seen: true, Applies: true, Coverage: 89, Unknown: 5, Provisional: true, Counts: []Count{{audit.High, 3}}},
			" | no grade | 3 high | 89 % | 5 unknown | 5 checks not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := c.line
			got := strings.Join([]string{l.mark(), l.worth(), l.faults(), l.share(), l.note()}, " | ")
			got = strings.ReplaceAll(got+" | "+l.unseen(), "|  |", "| |")
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestFaultsCountRules: a fault is a rule, by its worst subject, as it is for
// the points.
func TestFaultsCountRules(t *testing.T) {
	fail := func(rule audit.RuleID, subject string, s audit.Severity) audit.Finding {
		return audit.Finding{Rule: rule, Subject: subject, Status: audit.Fail, Severity: s}
	}
	got := faultsByAxis([]audit.Finding{
		fail("mx.target-unresolvable", "a", audit.Low), fail("mx.target-unresolvable", "b", audit.High), fail("mx.target-unresolvable", "c", audit.Low),
		fail("tls.cert-expired", "a", audit.Medium), fail("tls.cert-expired", "b", audit.Medium), fail("mx.no-ipv6", "a", audit.Info),
		{Rule: "dmarc.missing", Subject: "a", Status: audit.UnknownStatus, Severity: audit.High},
	})
	want := map[audit.Axis]map[audit.Severity]int{
		audit.Delivery: {audit.High: 1, audit.Info: 1},
		audit.Privacy:  {audit.Medium: 1},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestGradeChanges: grades are compared where they answer the same question by
// the same rubric, and nowhere else.
func TestGradeChanges(t *testing.T) {
	score := func(rubric int, delivery, privacy audit.AxisScore) audit.Score {
		return audit.Score{Rubric: rubric, Axes: map[audit.Axis]audit.AxisScore{audit.Delivery: delivery, audit.Privacy: privacy}}
	}
	none := audit.AxisScore{Grade: audit.NoGrade, Unknown: 3}
	narrow := graded(59, audit.GradeD)
	narrow.NotAsked = []audit.Area{audit.AreaSPF}
	provisional := graded(78, audit.GradeB)
	provisional.Provisional = true
	was := score(1, graded(78, audit.GradeB), none)
	for _, c := range []struct {
		name string
		was  *audit.Score
		now  audit.Score
		want string
	}{
		{"no score before", nil, was, ""},
		{"the same", &was, score(1, graded(78, audit.GradeB), none), ""},
		{"worse, and seen again", &was, score(1, graded(59, audit.GradeD), graded(100, audit.GradeA)), "delivery D 59, was B 78; privacy A 100, was no grade"},
		{"points alone", &was, score(1, graded(76, audit.GradeB), none), "delivery B 76, was B 78"},
		{"the mark alone", &was, score(1, provisional, none), "delivery B 78 (provisional), was B 78"},
		{"other areas", &was, score(1, narrow, none), ""},
		{"another rubric", &was, score(2, graded(59, audit.GradeD), none), ""},
		{"no grades at all", &audit.Score{}, audit.Score{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := (&Since{Grades: gradeChanges(c.was, c.now)}).graded()
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestAxisLines: which axes are shown.
func TestAxisLines(t *testing.T) {
	some := []audit.Finding{{Rule: "mx.no-route", Subject: "example.org", Status: audit.Pass, Severity: audit.High}}
	nothing := audit.AxisScore{Grade: audit.NoGrade, Coverage: 100}
	axes := map[audit.Axis]audit.AxisScore{audit.Delivery: graded(100, audit.GradeA), audit.Protection: nothing, audit.Privacy: nothing}
	for _, c := range []struct {
		name string
		run  audit.Run
		want []audit.Axis
	}{
		{"a domain", audit.Run{Kind: audit.KindAudit, Findings: some, Score: audit.Score{Rubric: 1, Axes: axes}}, audit.Axes()},
		{"a server", audit.Run{Kind: audit.KindSMTP, Findings: some, Score: audit.Score{Rubric: 1, Axes: axes}}, []audit.Axis{audit.Delivery}},
		{"before there were grades", audit.Run{Kind: audit.KindAudit, Findings: some, Score: audit.Score{Axes: axes}}, []audit.Axis{audit.Delivery}},
		{"not finished", audit.Run{Kind: audit.KindAudit}, nil},
	} {
		var got []audit.Axis
		for _, l := range axisLines(&c.run) {
			got = append(got, l.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestAxesFit: however much there is to say, it is said within the page.
func TestAxesFit(t *testing.T) {
	full := []Count{{audit.Critical, 10}, {audit.High, 12}, {audit.Medium, 13}, {audit.Low, 14}}
	var lines []AxisLine
	for _, axis := range audit.Axes() {
		lines = append(lines, AxisLine{Name: axis, Grade: audit.GradeF, Counts: full, Seen: true, Applies: true, Coverage: 100, Unknown: 1234, NotAsked: audit.Areas(), Provisional: true})
	}
	lines = append(lines, AxisLine{Name: audit.Privacy, Grade: audit.GradeA, Points: 100, Seen: true, Applies: true, Coverage: 100})
	var b strings.Builder
	p := &page{w: &b, color: false}
	p.axes(Model{Axes: lines})
	checkText(t, b.String(), false)
	for _, want := range []string{"Delivery F* 0 10 critical, 12 high, 13 medium, 14 low seen 100 %", "* provisional: 1234 unknown; mx, spf, dkim, dmarc, rdns, helo, dnsbl, smtp, tls, auth"} {
		if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
