package report

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// since tells what changed: first what became worse, then what is published or
// observed otherwise, then the rest.
func since(run *audit.Run, delta *audit.Delta, history History) *Since {
	if delta == nil || delta.Base == nil {
		return nil
	}
	out := &Since{Base: *delta.Base, OtherVantage: delta.OtherVantage, OtherRules: delta.OtherRules, Nothing: len(delta.Areas) == 0}
	out.Base.Started = out.Base.Started.UTC()
	if len(delta.Areas) < len(run.Snapshot.Scope.Areas) {
		out.Only = delta.Areas
	}
	out.Grades = gradeChanges(delta.Score, run.Score)
	t := teller{run: run, now: map[audit.Key]audit.Finding{}, dark: darkReasons(run)}
	for _, f := range run.Findings {
		t.now[f.Key()] = f
	}
	var worse, rest []audit.Change
	for _, c := range delta.Changes {
		switch {
		case c.Class == audit.StillFailing && c.Was == "":
			if c.Severity == audit.Info {
				continue
			}
			out.Still++
			if c.Confirmed {
				worse = append(worse, c)
			}
			v := history[audit.Key{Rule: c.Rule, Subject: c.Subject}]
			if !v.Since.IsZero() && (out.StillSince.IsZero() || v.Since.Before(out.StillSince)) {
				out.StillSince = v.Since.UTC()
			}
		case c.Class == audit.Appeared && c.Now != audit.Fail:
			// A new subject that is in order is told by the facts.
		case c.Class == audit.Gone && c.Before != audit.Fail && c.Known != audit.Fail:
		case c.Class == audit.Gone && rules.IsMoot(t.now[audit.Key{Rule: c.Rule, Subject: c.Subject}]):
			// The fault that took the question away is told.
		case c.Class == audit.Broken || c.Class == audit.Appeared || c.Class == audit.StillFailing:
			worse = append(worse, c)
		default:
			rest = append(rest, c)
		}
	}
	out.Lines = append(t.tell(worse), factLines(run, delta.Facts)...)
	out.Lines = append(out.Lines, t.tell(rest)...)
	return out
}

// teller turns changes into sentences.
type teller struct {
	run  *audit.Run
	now  map[audit.Key]audit.Finding
	dark map[audit.Key]audit.Reason // of what is unknown now
}

// bucket is changes that are told together.
type bucket struct {
	kind    string
	changes []audit.Change
}

func (t teller) tell(changes []audit.Change) []SinceLine {
	var order []*bucket
	by := map[string]*bucket{}
	for _, c := range changes {
		kind := t.together(c)
		b := by[kind]
		if b == nil {
			b = &bucket{kind: kind}
			by[kind] = b
			order = append(order, b)
		}
		b.changes = append(b.changes, c)
	}
	var out []SinceLine
	for _, b := range order {
		for _, text := range t.texts(b.changes) {
			c := b.changes[0]
			out = append(out, SinceLine{Class: c.Class, Text: text, Once: c.SeenOnce, Confirmed: c.Confirmed})
		}
	}
	return out
}

// together is the same for changes that make one line: of one rule, or, where
// whole subjects come and go, of one subject or one reason.
func (t teller) together(c audit.Change) string {
	by := []string{string(c.Class), string(c.Now), fmt.Sprint(c.SeenOnce, c.Confirmed)}
	switch {
	case c.Class == audit.LostSight:
		by = append(by, t.reason(c).Text)
	case c.Class == audit.RegainedSight && c.Now != audit.Fail:
	case c.Class == audit.NewCheck && c.Now != audit.Fail: // a new catalogue can have dozens
	case c.Class == audit.Gone && c.Now == "":
		by = append(by, c.Subject)
	default:
		by = append(by, string(c.Rule), string(c.Severity), string(c.Was))
	}
	return strings.Join(by, "\x00")
}

// reason is why a finding of now is unknown.
func (t teller) reason(c audit.Change) audit.Reason {
	why, dark := t.dark[audit.Key{Rule: c.Rule, Subject: c.Subject}]
	if !dark {
		return audit.Reason{Text: "whether it is still there is not known"}
	}
	return why
}

// texts are the sentences for changes that are told together.
func (t teller) texts(changes []audit.Change) []string {
	c := changes[0]
	what, about := plural(len(changes), "check"), several(subjectsOf(changes))
	switch {
	case c.Class == audit.LostSight:
		return []string{fmt.Sprintf("%s of %s: %s", what, about, t.reason(c).Text)}
	case c.Class == audit.RegainedSight && c.Now != audit.Fail:
		verb := "pass"
		if len(changes) == 1 {
			verb = "passes"
		}
		return []string{fmt.Sprintf("%s of %s %s", what, about, verb)}
	case c.Class == audit.Gone && c.Now == "":
		return []string{fmt.Sprintf("%s is no longer there; it had failed %s", c.Subject, several(rulesOf(changes)))}
	case c.Class == audit.Gone:
		return []string{fmt.Sprintf("%s no longer applies to %s: %s", c.Rule, about, t.now[audit.Key{Rule: c.Rule, Subject: c.Subject}].Detail)}
	case c.Class == audit.Retired:
		return []string{fmt.Sprintf("%s of %s by a rule that is no longer in the catalogue (%s)", what, about, c.Rule)}
	case c.Class == audit.NewCheck && c.Now != audit.Fail && len(rulesOf(changes)) > 1:
		verdict := "passed"
		if c.Now != audit.Pass {
			verdict = "not known"
		}
		return []string{fmt.Sprintf("%s: %s, %s", verdict, plural(len(rulesOf(changes)), "rule"), several(rulesOf(changes)))}
	case c.Class == audit.NewCheck && c.Now == audit.Pass:
		return []string{fmt.Sprintf("%s: passed by %s (%s)", title(c.Rule), about, c.Rule)}
	case c.Class == audit.Fixed, c.Now == audit.Pass:
		return []string{fmt.Sprintf("%s: %s (%s)", title(c.Rule), about, c.Rule)}
	case c.Now == audit.Fail:
		return t.faults(changes)
	}
	return []string{fmt.Sprintf("%s: not known for %s (%s)", title(c.Rule), about, c.Rule)}
}

// faults says what is wrong now, in the words of the findings.
func (t teller) faults(changes []audit.Change) []string {
	var findings []audit.Finding
	for _, c := range changes {
		f, there := t.now[audit.Key{Rule: c.Rule, Subject: c.Subject}]
		if !there {
			f = audit.Finding{Rule: c.Rule, Subject: c.Subject, Detail: "fails"}
		}
		findings = append(findings, f)
	}
	c := changes[0]
	how := string(c.Severity)
	if c.Was != "" {
		how += ", was " + string(c.Was)
	}
	var out []string
	for _, s := range sayings(findings, t.run.Target) {
		text := s.Text
		switch {
		case s.Named && len(s.Subjects) > 1:
			text += "; also " + several(s.Subjects[1:])
		case !s.Named && !namesListing(s):
			text += ": " + several(s.Subjects)
		}
		out = append(out, fmt.Sprintf("%s (%s, %s)", text, how, c.Rule))
	}
	return out
}

// namesListing reports whether the sentence is about one listing, "ADDRESS @
// ZONE", and says so: in it the list goes by its name.
func namesListing(s Said) bool {
	about, _, listing := strings.Cut(s.Subjects[0], " @ ")
	return listing && len(s.Subjects) == 1 && strings.Contains(s.Text, about)
}

func title(id audit.RuleID) string {
	rule, ok := rules.Lookup(id)
	if !ok {
		return string(id)
	}
	return rule.Title
}

func subjectsOf(changes []audit.Change) []string {
	var out []string
	for _, c := range changes {
		if !slices.Contains(out, c.Subject) {
			out = append(out, c.Subject)
		}
	}
	return out
}

func rulesOf(changes []audit.Change) []string {
	var out []string
	for _, c := range changes {
		if !slices.Contains(out, string(c.Rule)) {
			out = append(out, string(c.Rule))
		}
	}
	return out
}
