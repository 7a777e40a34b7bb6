package report

import (
	"fmt"
	"slices"

	"mailaudit/internal/audit"
)

// History is when each failing (rule, subject) was first seen failing without
// a pass in between. It may be nil.
type History map[audit.Key]audit.Verdict

// Build makes the model of a report. delta may be nil.
func Build(run *audit.Run, delta *audit.Delta, history History) Model {
	s := run.Snapshot
	m := Model{
		Kind: run.Kind, Target: run.Target, Unicode: s.Domain.Unicode(), Run: run.ID, State: run.State, Started: run.Started.UTC(),
		Vantage: s.Vantage.Name, Proxy: s.Vantage.Proxy, HELO: s.Vantage.HELO, Tag: run.Tag, Remark: run.Note, Coverage: run.Score.Coverage, Rubric: run.Score.Rubric,
		Scope: scopeFields(s.Scope), Tool: run.Tool,
	}
	var fails, notes, passes []audit.Finding
	for _, f := range run.Findings {
		switch {
		case f.OurSide(): // is told by OwnSide
		case f.Status == audit.Fail && f.Severity == audit.Info:
			notes = append(notes, f)
		case f.Status == audit.Fail:
			fails = append(fails, f)
		case f.Status == audit.Pass:
			passes = append(passes, f)
		case f.Status == audit.UnknownStatus:
			m.Unseen++
		case f.Status == audit.NAStatus:
			m.NA++
		}
	}
	m.Passed = len(passes)
	m.Fails, m.Notes, m.Passes = items(run, fails, history), items(run, notes, history), items(run, passes, nil)
	slices.SortStableFunc(m.Fails, func(a, b Item) int { return b.Severity.Rank() - a.Severity.Rank() })
	m.OwnSide = ownSide(run)
	m.Unknown = darkness(run, m.OwnSide != nil)
	if m.OwnSide == nil {
		m.OwnSide = refusedSide(run)
	}
	m.Tests, m.Means = tests(run), means(run)
	if run.Kind != audit.KindSMTP {
		m.Axes = axisLines(run)
	}
	m.Since = since(run, delta, history)
	m.Headline = headline(run, m)
	m.Result = result(run, m)
	m.Traffic = traffic(run)
	m.Proves, m.Limits = proves(run), limits(run, m)
	m.Passwords = passwords(run)
	m.Services = services(run)
	m.Policy = spfInventory(run)
	m.Facts, m.Repeat = tables(run, m.Policy), repeats(run)
	m.Next = next(run, m)
	return m
}

// next names the commands that help with what this report shows.
func next(run *audit.Run, m Model) []Next {
	var out []Next
	if len(m.Fails) > 0 {
		out = append(out, Next{"why, and where it is written", "mailaudit explain " + string(m.Fails[0].Rule)})
	}
	if run.Kind == audit.KindSMTP {
		out = append(out, nextServers(run)...)
	}
	if run.State != audit.Complete && run.Target != "" {
		out = append(out, Next{"once more, to the end", repetition(run)})
	}
	lines := 0
	for _, t := range m.Tests {
		for _, talk := range t.Talks {
			lines += len(talk.Lines)
		}
	}
	switch command := fmt.Sprintf("mailaudit show %d -v", run.ID); {
	case run.ID > 0 && lines > 0:
		out = append(out, Next{"with all that passed, and the dialogue (" + plural(lines, "line") + ")", command})
	case run.ID > 0 && m.Passed > 0:
		out = append(out, Next{"with all that passed", command})
	}
	if run.ID > 0 {
		out = append(out, Next{"all of it, for programs", fmt.Sprintf("mailaudit show %d -f json", run.ID)})
	}
	return out
}
