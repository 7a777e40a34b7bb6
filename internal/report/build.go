package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// maxEvidence is how many lines of evidence an item shows; the rest is in the
// JSON.
const maxEvidence = 4

// Build makes the model of a report. delta may be nil.
func Build(run *audit.Run, delta *audit.Delta, history History) Model {
	s := run.Snapshot
	m := Model{
		Target: run.Target, Unicode: s.Domain.Unicode(), Run: run.ID, State: run.State, Started: run.Started,
		Vantage: s.Vantage.Name, Tag: run.Tag, Coverage: run.Score.Coverage,
		Traffic: run.Sidecar.Traffic, TrafficKept: run.Sidecar.Traffic != audit.Traffic{}, Passive: s.Scope.Passive,
	}
	var fails, notes, passes []audit.Finding
	for _, f := range run.Findings {
		switch {
		case f.Status == audit.Fail && f.Severity == audit.Info:
			notes = append(notes, f)
		case f.Status == audit.Fail:
			fails = append(fails, f)
		case f.Status == audit.Pass:
			passes = append(passes, f)
			m.Passed++
		case f.Status == audit.NAStatus:
			m.NA++
		}
	}
	m.Fails, m.Notes, m.Passes = items(fails, history, run.Started), items(notes, history, run.Started), items(passes, history, run.Started)
	slices.SortStableFunc(m.Fails, func(a, b Item) int { return b.Severity.Rank() - a.Severity.Rank() })
	m.Unknown = darkness(run.Findings)
	m.Axes = axisLines(run)
	m.Since = since(run, delta, history)
	m.Headline = headline(run, m)
	m.Limits = limits(run)
	m.Next = next(run, m)
	return m
}

// History is when each failing (rule, subject) was first seen failing without
// a pass in between. It may be nil.
type History map[audit.Key]audit.Verdict

// items groups findings of one rule and one severity.
func items(findings []audit.Finding, history History, started time.Time) []Item {
	var out []Item
	for _, f := range findings {
		rule, ok := rules.Lookup(f.Rule)
		if !ok { // a rule of another version of the program
			rule = rules.Rule{ID: f.Rule, Title: string(f.Rule)}
		}
		i := slices.IndexFunc(out, func(it Item) bool { return it.Rule == f.Rule && it.Severity == f.Severity })
		if i < 0 {
			out = append(out, Item{Rule: f.Rule, Severity: f.Severity, Title: rule.Title, Means: rule.Why, Refs: refs(rule)})
			i = len(out) - 1
		}
		it := &out[i]
		it.Details = appendNew(it.Details, f.Detail)
		for _, e := range f.Evidence {
			it.Evidence = appendNew(it.Evidence, e)
		}
		mergeFix(&it.Fix, f.Fix)
		v := history[f.Key()]
		older := v.Status == f.Status && v.Since.Before(started)
		if older && (it.Since.IsZero() || v.Since.Before(it.Since)) {
			it.Since = v.Since
		}
	}
	return out
}

func appendNew(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func mergeFix(into *audit.Fix, f audit.Fix) {
	if into.Summary == "" {
		into.Summary = f.Summary
	}
	for _, r := range f.Records {
		if !slices.Contains(into.Records, r) {
			into.Records = append(into.Records, r)
		}
	}
	for _, s := range f.Steps {
		into.Steps = appendNew(into.Steps, s)
	}
}

func refs(rule rules.Rule) []RefLine {
	var out []RefLine
	for _, r := range rule.Refs {
		out = append(out, RefLine{r.String(), r.URL()})
	}
	return out
}

// darkness groups unknowns by subject: the first one in catalogue order is
// the root, the others wait for it.
func darkness(findings []audit.Finding) []Dark {
	var out []Dark
	for _, f := range findings {
		if f.Status != audit.UnknownStatus {
			continue
		}
		i := slices.IndexFunc(out, func(d Dark) bool {
			return d.Subject == f.Subject && (d.Detail == f.Detail || f.Cause == audit.NotLearned)
		})
		if i < 0 {
			out = append(out, Dark{Subject: f.Subject, Detail: f.Detail, Cause: f.Cause, Advice: advice(f.Cause)})
			i = len(out) - 1
		}
		out[i].Rules = append(out[i].Rules, f.Rule)
	}
	return out
}

// advice is what helps against a kind of blindness.
func advice(cause audit.Code) string {
	switch cause {
	case audit.Timeout:
		return "try again, from another network if it stays: port 25 is often blocked where one works"
	case audit.ServFail, audit.DNSRefused, audit.FormErr, audit.DNSError, audit.Truncated, audit.Malformed:
		return "try again, or ask another resolver: --resolver ADDRESS"
	case audit.ResolverDown:
		return "check the resolver, or name another: --resolver ADDRESS"
	case audit.NoRoute:
		return "this is ours: try from a network that has it"
	case audit.LocalPolicy, audit.LocalError:
		return "this is ours: look at the firewall and the limits of this machine"
	case audit.TempFail, audit.Once, audit.Disagree, audit.Reset, audit.Closed:
		return "try again later"
	case audit.RefusedUs:
		return "ask the operator, or try from an address that may send mail"
	case audit.Blocked:
		return "if it is your own network: --allow-net PREFIX or --allow-private"
	case audit.Deadline:
		return "give it more time: --timeout DURATION"
	case audit.Bug:
		return "this is a bug of mailaudit: please report it"
	}
	return ""
}

func axisLines(run *audit.Run) []AxisLine {
	axisOf := map[audit.RuleID]audit.Axis{}
	for _, r := range rules.Catalogue() {
		axisOf[r.ID] = r.Axis
	}
	var out []AxisLine
	for _, axis := range audit.Axes() {
		a, counted := run.Score.Axes[axis]
		if !counted || a.Pass+a.Fail+a.Unknown == 0 {
			continue
		}
		line := AxisLine{Name: axis, Coverage: a.Coverage, Unknown: a.Unknown, Provisional: a.Provisional}
		for _, sev := range audit.Severities() {
			n := 0
			for _, f := range run.Findings {
				if f.Status == audit.Fail && f.Severity == sev && axisOf[f.Rule] == axis {
					n++
				}
			}
			if n > 0 && sev != audit.Info {
				line.Counts = append(line.Counts, Count{sev, n})
			}
		}
		out = append(out, line)
	}
	return out
}

func since(run *audit.Run, delta *audit.Delta, history History) *Since {
	if delta == nil || delta.Base == nil {
		return nil
	}
	out := &Since{Base: *delta.Base, OtherVantage: delta.OtherVantage, OtherRules: delta.OtherRules}
	for _, c := range delta.Changes {
		switch {
		case c.Class == audit.StillFailing && c.Was == "":
			if c.Severity == audit.Info {
				continue
			}
			out.Still++
			v := history[audit.Key{Rule: c.Rule, Subject: c.Subject}]
			if !v.Since.IsZero() && (out.StillSince.IsZero() || v.Since.Before(out.StillSince)) {
				out.StillSince = v.Since
			}
			continue
		case c.Class == audit.Appeared && c.Now != audit.Fail:
			continue // a new subject that is in order is told by the facts
		case c.Class == audit.Gone && c.Before != audit.Fail:
			continue
		}
		out.Changes = addChange(out.Changes, c)
	}
	for _, f := range delta.Facts {
		subject := f.Subject
		if subject == "domain" {
			subject = run.Target
		}
		out.Facts = append(out.Facts, FactLine{subject, f.What, f.Before, f.After})
	}
	return out
}

func addChange(lines []ChangeLine, c audit.Change) []ChangeLine {
	i := slices.IndexFunc(lines, func(l ChangeLine) bool {
		return l.Class == c.Class && l.Rule == c.Rule && l.Severity == c.Severity && l.Was == c.Was
	})
	if i < 0 {
		title := string(c.Rule)
		rule, ok := rules.Lookup(c.Rule)
		if ok {
			title = rule.Title
		}
		lines = append(lines, ChangeLine{Class: c.Class, Severity: c.Severity, Rule: c.Rule, Title: title, Was: c.Was, Now: c.Now})
		i = len(lines) - 1
	}
	lines[i].Subjects = append(lines[i].Subjects, c.Subject)
	return lines
}

// next names the commands that help with what this report shows.
func next(run *audit.Run, m Model) []string {
	var out []string
	if len(m.Fails) > 0 {
		out = append(out, "mailaudit explain "+string(m.Fails[0].Rule))
	}
	if run.ID > 0 {
		out = append(out, fmt.Sprintf("mailaudit show %d --format json", run.ID))
	}
	if run.ID > 0 && m.Since != nil {
		out = append(out, fmt.Sprintf("mailaudit diff %d %d", m.Since.Base.ID, run.ID))
	}
	return out
}

// plural is "1 check", "2 checks".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	if strings.HasSuffix(word, "ss") {
		word += "e"
	}
	return fmt.Sprintf("%d %ss", n, word)
}
