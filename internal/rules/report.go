package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// Report collects what one rule says about its subjects, at most one thing
// about each.
type Report struct {
	rule     *Rule
	findings []audit.Finding
}

// Fault is the content of a fail.
type Fault struct {
	Severity audit.Severity // zero: the base severity of the rule
	// Detail is one sentence with the facts of this case. It holds no elapsed
	// or remaining time, so that it stays the same from night to night.
	Detail   string
	Evidence []string // see Seen
	Fix      audit.Fix
}

// Pass says that the proposition holds.
func (r *Report) Pass(subject, detail string, evidence ...string) {
	r.add(audit.Finding{Subject: subject, Status: audit.Pass, Detail: detail, Evidence: evidence})
}

// Fail says that it does not.
func (r *Report) Fail(subject string, f Fault) {
	severity := f.Severity
	if severity == "" {
		severity = r.rule.Severity
	}
	if severity != r.rule.Severity && !slices.Contains(r.rule.Range, severity) {
		panic(fmt.Sprintf("severity %s is outside the range of %s", severity, r.rule.ID))
	}
	r.add(audit.Finding{
		Subject: subject, Status: audit.Fail, Severity: severity,
		Detail: f.Detail, Evidence: f.Evidence, Fix: f.Fix,
	})
}

// Unknown says that nobody can tell from here.
func (r *Report) Unknown(subject string, why audit.Reason, evidence ...string) {
	r.add(audit.Finding{Subject: subject, Status: audit.UnknownStatus, Detail: why.Text, Cause: why.Code, Evidence: evidence})
}

// NA says that the question has no meaning here.
func (r *Report) NA(subject, why string) {
	r.add(audit.Finding{Subject: subject, Status: audit.NAStatus, Detail: why})
}

// said reports whether there is a verdict on a subject already.
func (r *Report) said(subject string) bool {
	return slices.ContainsFunc(r.findings, func(f audit.Finding) bool { return f.Subject == subject })
}

// add keeps a finding. Two verdicts on one subject are a bug of the rule: the
// key of a finding must be unique.
func (r *Report) add(f audit.Finding) {
	for _, have := range r.findings {
		if have.Subject == f.Subject {
			panic(fmt.Sprintf("%s judged %s twice", r.rule.ID, f.Subject))
		}
	}
	f.Rule = r.rule.ID
	if f.Severity == "" {
		f.Severity = r.rule.Severity
	}
	r.findings = append(r.findings, f)
}

// Seen is a line of evidence: the question, replayable by hand, and what came
// back.
func Seen(via string, answer ...string) string {
	return via + "  ->  " + strings.Join(answer, ", ")
}

func cut(s, prefix string) (string, string, bool) {
	rest, ok := strings.CutPrefix(s, prefix)
	return prefix, rest, ok
}
