package rules

import "mailaudit/internal/audit"

// weight is what a rule counts for, by its severity. Info never counts.
func weight(s audit.Severity) int {
	switch s {
	case audit.Critical:
		return 12
	case audit.High:
		return 6
	case audit.Medium:
		return 3
	case audit.Low:
		return 1
	}
	return 0
}

// Score counts findings by axis and says how much of what counts was seen.
// Unknown findings lower the coverage and nothing else: not seeing is neither
// good nor bad.
func Score(findings []audit.Finding) audit.Score {
	axes := map[audit.RuleID]audit.Axis{}
	for _, r := range Catalogue() {
		axes[r.ID] = r.Axis
	}
	type sum struct{ known, all int }
	sums := map[audit.Axis]sum{}
	out := audit.Score{Axes: map[audit.Axis]audit.AxisScore{}}
	var total sum
	for _, f := range findings {
		axis, w := axes[f.Rule], weight(f.Severity)
		if w == 0 || axis == "" || f.Status == audit.NAStatus {
			continue
		}
		a, s := out.Axes[axis], sums[axis]
		s.all, total.all = s.all+w, total.all+w
		switch f.Status {
		case audit.Pass:
			a.Pass++
		case audit.Fail:
			a.Fail++
		default:
			a.Unknown++
			a.Provisional = a.Provisional || f.Severity.AtLeast(audit.High)
		}
		if f.Status.Known() {
			s.known, total.known = s.known+w, total.known+w
		}
		out.Axes[axis], sums[axis] = a, s
	}
	for _, axis := range audit.Axes() {
		a := out.Axes[axis]
		a.Coverage = percent(sums[axis].known, sums[axis].all)
		out.Axes[axis] = a
	}
	out.Coverage = percent(total.known, total.all)
	return out
}

// percent rounds down, so that 100 means all of it.
func percent(part, whole int) int {
	if whole == 0 {
		return 100
	}
	return part * 100 / whole
}
