package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// Evaluate judges a snapshot by the whole catalogue. It is pure: the same
// snapshot gives the same findings, in catalogue order and then by subject.
// Rules of areas outside the scope of the snapshot say nothing.
func Evaluate(s *audit.Snapshot) []audit.Finding { return EvaluateWith(s, Catalogue()) }

// EvaluateWith judges by a catalogue of the caller's, in its order.
func EvaluateWith(s *audit.Snapshot, catalogue []Rule) []audit.Finding {
	out := []audit.Finding{}
	failed := map[audit.RuleID][]string{} // subjects
	held := suspended(s)
	said, tree := &refusals{}, &spfTree{}
	for i := range catalogue {
		rule := &catalogue[i]
		if !s.Scope.Has(rule.Area()) {
			continue
		}
		findings := judge(s, &Report{rule: rule, refusals: said, tree: tree, held: held})
		for j := range findings {
			f := &findings[j]
			suspend(rule, f, held)
			moot(s, rule, f, failed)
			if f.Status == audit.Fail {
				failed[rule.ID] = append(failed[rule.ID], f.Subject)
			}
		}
		slices.SortFunc(findings, func(a, b audit.Finding) int { return strings.Compare(a.Subject, b.Subject) })
		out = append(out, findings...)
	}
	return out
}

// judge runs one rule. A panic is a bug of ours and must not cost the user
// the rest of the audit: it becomes one unknown.
func judge(s *audit.Snapshot, r *Report) (findings []audit.Finding) {
	rule := r.rule
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		findings = []audit.Finding{{
			Rule: rule.ID, Subject: s.Domain.String(), Status: audit.UnknownStatus, Severity: rule.Worst(),
			Cause: audit.Bug, Detail: "this rule failed inside mailaudit: " + audit.Raw(fmt.Sprint(p)).Clip(200).String(),
		}}
	}()
	rule.Judge(s, r)
	return r.findings
}

// moot turns a verdict into n/a where a rule that must come first fails for
// the same subject or for what the subject is part of.
func moot(s *audit.Snapshot, rule *Rule, f *audit.Finding, failed map[audit.RuleID][]string) {
	if f.Status == audit.NAStatus {
		return
	}
	for _, first := range rule.After {
		for _, subject := range failed[first] {
			if covers(s, subject, f.Subject) {
				*f = audit.Finding{
					Rule: f.Rule, Subject: f.Subject, Status: audit.NAStatus, Severity: rule.Worst(),
					Detail: fmt.Sprintf(mootDetail+"%s fails for %s", first, subject),
				}
				return
			}
		}
	}
}

// mootDetail begins what a moot finding says.
const mootDetail = "moot while "

// IsMoot reports whether a finding is n/a only because another rule, which it
// names, fails.
func IsMoot(f audit.Finding) bool {
	return f.Status == audit.NAStatus && strings.HasPrefix(f.Detail, mootDetail)
}

// covers reports whether what is true of subject settles the same for part:
// the domain covers everything, a host its endpoints.
func covers(s *audit.Snapshot, subject, part string) bool {
	return subject == part || subject == s.Domain.String() || strings.HasPrefix(part, subject+"[")
}
