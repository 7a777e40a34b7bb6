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
	worst    map[string]audit.Severity // by subject, see AtWorst
	refusals *refusals                 // shared by the rules of an evaluation
	tree     *spfTree                  // shared as well
	held     map[string]audit.Reason   // endpoints of which nothing can be judged from here, see suspended
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

// AtWorst says how bad a fail of the subject could be, where that hangs on what
// the subject is: an address that only receives needs no PTR record, so not
// knowing whether it has one loses nothing. It is said before anything else of
// the subject. By default it is the worst severity of the rule.
func (r *Report) AtWorst(subject string, s audit.Severity) {
	if r.worst == nil {
		r.worst = map[string]audit.Severity{}
	}
	r.worst[subject] = s
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

// add keeps a finding; one that does not fail has the worst severity with which
// it could. Two verdicts on one subject are a bug of the rule: the
// key of a finding must be unique.
func (r *Report) add(f audit.Finding) {
	for _, have := range r.findings {
		if have.Subject == f.Subject {
			panic(fmt.Sprintf("%s judged %s twice", r.rule.ID, f.Subject))
		}
	}
	f.Rule = r.rule.ID
	if f.Severity == "" {
		f.Severity = r.rule.Worst()
		if s, ok := r.worst[f.Subject]; ok {
			f.Severity = s
		}
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
