package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// rubrics are the numbers of every version that there was. A change of rubric.go
// adds one here and never edits one: points that were given are not given anew.
func rubrics() map[int]string {
	return map[int]string{
		1: "critical -80 -10 weight 12, high -41 -8 weight 6, medium -22 -6 weight 3, low -4 -1 weight 1, info -0 -0 weight 0; " +
			"A 90, B 75, C 60, D 40, F 0; seen 50",
	}
}

func TestRubricVersion(t *testing.T) {
	var costs, limits []string
	for _, c := range Costs() {
		costs = append(costs, fmt.Sprintf("%s -%d -%d weight %d", c.Severity, c.Worst, c.Further, c.Weight))
	}
	for _, l := range Limits() {
		limits = append(limits, fmt.Sprintf("%s %d", l.Grade, l.Points))
	}
	got := fmt.Sprintf("%s; %s; seen %d", strings.Join(costs, ", "), strings.Join(limits, ", "), EnoughSeen)
	if got != rubrics()[RubricVersion] {
		t.Errorf("the numbers of rubric %d have changed: raise RubricVersion\n%s", RubricVersion, got)
	}
	if len(rubrics()) != RubricVersion {
		t.Errorf("%d rubrics, and the version is %d", len(rubrics()), RubricVersion)
	}
}

// TestRubricIsSane: what makes the laws hold for any rubric, this one included.
func TestRubricIsSane(t *testing.T) {
	costs := Costs()
	for i, c := range costs {
		if c.Severity != audit.Severities()[i] {
			t.Fatalf("%s stands in place %d", c.Severity, i)
		}
		if i > 0 && (c.Worst >= costs[i-1].Worst || c.Further >= costs[i-1].Further || c.Weight >= costs[i-1].Weight) {
			t.Errorf("%s costs as much as %s", c.Severity, costs[i-1].Severity)
		}
		if c.Further > c.Worst {
			t.Errorf("a further %s costs more than the first", c.Severity)
		}
	}
	if info := costs[len(costs)-1]; info != (Cost{Severity: audit.Info}) {
		t.Errorf("info counts: %+v", info)
	}
	for i, l := range Limits() {
		if l.Grade != audit.Grades()[i] || i > 0 && l.Points >= Limits()[i-1].Points {
			t.Errorf("grade %s from %d", l.Grade, l.Points)
		}
	}
	if last := Limits()[len(Limits())-1].Points; last != 0 {
		t.Errorf("nothing below %d has a grade", last)
	}
	for severity, want := range map[audit.Severity]audit.Grade{
		audit.Critical: audit.GradeF, audit.High: audit.GradeD, audit.Medium: audit.GradeB, audit.Low: audit.GradeA, audit.Info: audit.GradeA,
	} {
		_, got := BestWith(severity)
		if got != want {
			t.Errorf("with a fault of severity %s the best grade is %s, want %s", severity, got, want)
		}
	}
}

// TestTriflesDoNotAddUp: all rules of low severity together do not make of an
// axis what one high fault makes of it, as docs/scoring.md says.
func TestTriflesDoNotAddUp(t *testing.T) {
	high, _ := BestWith(audit.High)
	trifles := map[audit.Axis][]audit.Severity{}
	for _, r := range Catalogue() {
		if r.Severity == audit.Low {
			trifles[r.Axis] = append(trifles[r.Axis], audit.Low)
		}
	}
	for axis, fails := range trifles {
		if points := pointsOf(fails); points <= high {
			t.Errorf("%s: %d low faults leave %d points, one high fault %d", axis, len(fails), points, high)
		}
	}
}

// said is findings in short: "RULE STATUS [SEVERITY]" of as many subjects as
// there are lines.
func said(t *testing.T, lines ...string) []audit.Finding {
	t.Helper()
	var out []audit.Finding
	for i, line := range lines {
		words := strings.Fields(line)
		rule, ok := Lookup(audit.RuleID(words[0]))
		if !ok {
			t.Fatalf("no rule %s", words[0])
		}
		f := audit.Finding{Rule: rule.ID, Subject: fmt.Sprintf("host%d.example", i), Status: audit.Status(words[1]), Severity: rule.Worst()}
		if len(words) > 2 {
			f.Severity = audit.Severity(words[2])
		}
		out = append(out, f)
	}
	return out
}

// inShort is a score in short: "delivery B* 78, seen 71".
func inShort(s audit.Score) string {
	mark := func(g audit.Grade, points *int, provisional bool) string {
		text := string(g)
		if provisional {
			text += "*"
		}
		if points != nil {
			text += fmt.Sprintf(" %d", *points)
		}
		return text
	}
	out := []string{mark(s.Grade, s.Points, s.Provisional) + fmt.Sprintf(", seen %d", s.Coverage)}
	for _, axis := range audit.Axes() {
		a := s.Axes[axis]
		if a.Counts() {
			text := fmt.Sprintf("%s %s, seen %d", axis, mark(a.Grade, a.Points, a.Provisional), a.Coverage)
			for _, area := range a.NotAsked {
				text += " -" + string(area)
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, "; ")
}

func repeat(line string, n int) []string { return slices.Repeat([]string{line}, n) }

func TestScore(t *testing.T) {
	everything := audit.Scope{Areas: audit.Areas()}
	only := func(areas ...audit.Area) audit.Scope { return audit.Scope{Areas: areas} }
	server := only(audit.AreaHELO, audit.AreaSMTP, audit.AreaTLS, audit.AreaAUTH)
	for _, c := range []struct {
		name     string
		kind     audit.Kind
		scope    audit.Scope
		findings []audit.Finding
		want     string
	}{
		{"nothing applies", audit.KindAudit, everything, nil, "-, seen 100"},
		{"one pass", audit.KindAudit, everything, said(t, "mx.no-route pass"), "A 100, seen 100; delivery A 100, seen 100"},
		{"one low", audit.KindAudit, everything, said(t, "mx.implicit fail low"), "A 96, seen 100; delivery A 96, seen 100"},
		{"one medium", audit.KindAudit, everything, said(t, "tls.cert-expired fail medium"), "B 78, seen 100; privacy B 78, seen 100"},
		{"one high", audit.KindAudit, everything, said(t, "mx.no-route fail"), "D 59, seen 100; delivery D 59, seen 100"},
		{"three high", audit.KindAudit, everything, said(t, "mx.no-route fail", "spf.several fail", "spf.syntax fail"), "D 43, seen 100; delivery D 43, seen 100"},
		{"one critical", audit.KindAudit, everything, said(t, "spf.plus-all fail"), "F 20, seen 100; protection F 20, seen 100"},
		{"the worst first, whatever the order", audit.KindAudit, everything, said(t, "mx.implicit fail low", "mx.domain-nxdomain fail", "dkim.none fail medium"),
			"F 13, seen 100; delivery F 13, seen 100"},
		{"never below nothing", audit.KindAudit, everything,
			said(t, "mx.domain-nxdomain fail", "mx.target-not-public fail", "mx.target-unresolvable fail", "mx.no-route fail"),
			"F 0, seen 100; delivery F 0, seen 100"},
		{"twenty hosts with one fault", audit.KindAudit, everything, said(t, repeat("smtp.banner-not-fqdn fail", 20)...),
			"A 96, seen 100; delivery A 96, seen 100"},
		{"one bad host among twenty", audit.KindAudit, everything, said(t, append(repeat("smtp.unreachable pass high", 19), "smtp.unreachable fail high")...),
			"D 59, seen 100; delivery D 59, seen 100"},
		{"the worst subject counts", audit.KindAudit, everything, said(t, "mx.target-unresolvable fail low", "mx.target-unresolvable fail high"),
			"D 59, seen 100; delivery D 59, seen 100"},
		{"info counts for nothing", audit.KindAudit, everything, said(t, "mx.no-ipv6 fail", "rdns.ptr-missing fail info", "rdns.ptr-missing unknown info"),
			"-, seen 100"},
		{"n/a counts for nothing", audit.KindAudit, everything, said(t, "mx.no-route n/a", "mx.implicit pass"), "A 100, seen 100; delivery A 100, seen 100"},
		{"a rule that is no more", audit.KindAudit, everything, []audit.Finding{{Rule: "mx.retired", Status: audit.Fail, Severity: audit.Critical}}, "-, seen 100"},
		{"low unknown", audit.KindAudit, everything, said(t, "mx.no-route pass", "mx.implicit unknown"), "A 100, seen 85; delivery A 100, seen 85"},
		{"high unknown", audit.KindAudit, everything, said(t, "mx.domain-nxdomain pass", "mx.no-route unknown"), "A* 100, seen 66; delivery A* 100, seen 66"},
		{"half seen", audit.KindAudit, everything, said(t, "mx.no-route pass", "spf.several unknown"), "A* 100, seen 50; delivery A* 100, seen 50"},
		{"less than half seen", audit.KindAudit, everything, said(t, "mx.no-route pass", "spf.several unknown", "mx.implicit unknown"),
			"-*, seen 46; delivery -*, seen 46"},
		{"less than half seen, with faults that leave it a C", audit.KindAudit, everything, said(t, "dkim.none fail medium", "dkim.key-broken fail", "spf.several unknown", "mx.implicit unknown"),
			"-*, seen 46; delivery -*, seen 46"},
		{"less than half seen, and that is bad enough", audit.KindAudit, everything, said(t, "mx.no-route fail", "spf.several unknown", "mx.implicit unknown"),
			"D* 59, seen 46; delivery D* 59, seen 46"},
		{"nothing seen", audit.KindAudit, everything, said(t, "mx.no-route unknown"), "-*, seen 0; delivery -*, seen 0"},
		{"one of four hosts is dark", audit.KindAudit, everything, said(t, append(repeat("smtp.ehlo-refused pass medium", 3), "smtp.ehlo-refused unknown medium")...),
			"A 100, seen 75; delivery A 100, seen 75"},
		{"many hosts outweigh no other rule", audit.KindAudit, everything, said(t, append(repeat("smtp.unreachable unknown high", 30), "spf.several pass")...),
			"A* 100, seen 50; delivery A* 100, seen 50"},
		{"the whole is its weakest axis", audit.KindAudit, everything, said(t, "mx.no-route pass", "dmarc.p-none fail", "tls.starttls-again fail"),
			"B 78, seen 100; delivery A 100, seen 100; protection B 78, seen 100; privacy A 96, seen 100"},
		{"no whole where an axis is dark", audit.KindAudit, everything, said(t, "mx.no-route pass", "tls.starttls-missing unknown medium"),
			"-*, seen 66; delivery A 100, seen 100; privacy -, seen 0"},
		{"the whole is bad enough where an axis is dark", audit.KindAudit, everything, said(t, "mx.no-route fail", "tls.starttls-missing unknown medium"),
			"D* 59, seen 66; delivery D 59, seen 100; privacy -, seen 0"},
		{"a server, all that can be asked of it", audit.KindSMTP, server, said(t, "smtp.unreachable pass", "tls.starttls-missing fail medium", "auth.on-mx-port pass"),
			"B 78, seen 100; delivery A 100, seen 100; protection A 100, seen 100; privacy B 78, seen 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := inShort(Score(c.kind, c.scope, c.findings)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestScoreNotAsked: a run that left areas out does not look like one that
// found them in order.
func TestScoreNotAsked(t *testing.T) {
	world := good(t)
	dns := []audit.Area{audit.AreaMX, audit.AreaSPF, audit.AreaDKIM, audit.AreaDMARC, audit.AreaRDNS, audit.AreaDNSBL}
	for _, c := range []struct {
		only []audit.Area
		want string // grades by axis
	}{
		{[]audit.Area{audit.AreaMX}, "- - -"},
		{[]audit.Area{audit.AreaHELO}, "- - -"},
		{[]audit.Area{audit.AreaDMARC}, "- - -"},
		{[]audit.Area{audit.AreaSPF, audit.AreaDMARC}, "- A* -"},
		{dns, "A* A* -"},
		{audit.Areas(), "A A A"},
	} {
		world.Scope.Areas = c.only
		s := Score(audit.KindAudit, world.Scope, Evaluate(world))
		var grades []string
		for _, axis := range audit.Axes() {
			a := s.Axes[axis]
			grade := string(a.Grade)
			if a.Provisional && a.Grade.Given() {
				grade += "*"
			}
			grades = append(grades, grade)
			missing := map[audit.Area]bool{}
			for _, r := range Catalogue() {
				if r.Axis == axis && r.Worst() != audit.Info && !slices.Contains(c.only, r.Area()) {
					missing[r.Area()] = true
				}
			}
			if len(a.NotAsked) != len(missing) || slices.ContainsFunc(a.NotAsked, func(area audit.Area) bool { return !missing[area] }) {
				t.Errorf("only %v: %s says that it lacks %v, want %v", c.only, axis, a.NotAsked, missing)
			}
			if a.Provisional != (len(missing) > 0) || (a.Coverage < 100) != (len(missing) > 0) {
				t.Errorf("only %v: %s is seen %d %% and provisional %t", c.only, axis, a.Coverage, a.Provisional)
			}
		}
		if got := strings.Join(grades, " "); got != c.want {
			t.Errorf("only %v: %s, want %s", c.only, got, c.want)
		}
		if s.Grade.Given() != (len(c.only) == len(audit.Areas())) {
			t.Errorf("only %v: the whole is graded %s", c.only, s.Grade)
		}
	}
}

// TestScoreNotAskedByObservation: what a run that asked for an area did not ask
// in it makes the grade provisional as well, whatever its severity.
func TestScoreNotAskedByObservation(t *testing.T) {
	f := said(t, "mx.no-route pass", "mx.implicit unknown")
	f[1].Cause = audit.NotAsked
	if a := Score(audit.KindAudit, audit.Scope{Areas: audit.Areas()}, f).Axes[audit.Delivery]; !a.Provisional || a.NotAsked != nil {
		t.Errorf("%+v", a)
	}
}
