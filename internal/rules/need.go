package rules

import "mailaudit/internal/audit"

// This file is the only one in the package that touches Obs.Value; a test at
// the root of the repository holds it to that.

// Need opens an observation for a rule. When it settles its question, ok is
// true, and present tells "seen" (with v) from "absent". Otherwise Need has
// said for the rule what is to be said (unknown, or n/a), ok is false, and the
// rule is done with the subject.
func Need[T any](r *Report, subject string, o audit.Obs[T]) (v T, present, ok bool) {
	switch o.State {
	case audit.Seen:
		return o.Value, true, true
	case audit.Absent:
		return v, false, true
	}
	open(r, subject, o.State, o.Why, o.Via)
	return v, false, false
}

// seen opens an observation that is only of use where it was seen: for finding
// out what else to say, not for a verdict.
func seen[T any](o audit.Obs[T]) (v T, ok bool) {
	if o.State != audit.Seen {
		return v, false
	}
	return o.Value, true
}

// AnyOf opens several observations of which one is enough. present: at least
// one was seen, values are theirs. Not present: all are absent. When none was
// seen and one is unknown, AnyOf reports that and ok is false.
func AnyOf[T any](r *Report, subject string, obs ...audit.Obs[T]) (values []T, present, ok bool) {
	g := Gather(obs...)
	if len(g.Values) > 0 {
		return g.Values, true, true
	}
	if !g.Complete(r, subject) {
		return nil, false, false
	}
	return nil, false, true
}

// Gathered is what is known of several observations.
type Gathered[T any] struct {
	Values []T                       // of those that were seen
	Vias   []string                  // their questions
	dark   *audit.Obs[audit.Nothing] // the first that settles nothing
}

// Gather opens several observations for a rule that can fail on any one of
// them, but pass only on all: look for the fault in Values first, then ask
// Complete before passing.
func Gather[T any](obs ...audit.Obs[T]) Gathered[T] {
	var g Gathered[T]
	for _, o := range obs {
		switch {
		case o.State == audit.Seen:
			g.Values = append(g.Values, o.Value)
			g.Vias = append(g.Vias, o.Via)
		case o.State != audit.Absent && (g.dark == nil || o.State == audit.Unknown && g.dark.State != audit.Unknown):
			g.dark = &audit.Obs[audit.Nothing]{State: o.State, Why: o.Why, Via: o.Via}
		}
	}
	return g
}

// Complete reports whether every observation settled its question; if not, it
// has said so for the rule.
func (g Gathered[T]) Complete(r *Report, subject string) bool {
	if g.dark == nil {
		return true
	}
	open(r, subject, g.dark.State, g.dark.Why, g.dark.Via)
	return false
}

// open says what an observation that settles nothing means: a question
// without meaning is n/a, everything else is unknown.
func open(r *Report, subject string, state audit.State, why audit.Reason, via string) {
	if state == audit.NotTried && why.Code == audit.NotApplicable {
		r.NA(subject, why.Text)
		return
	}
	if state == audit.NotTried && why.Code == "" {
		why = audit.Reason{Code: audit.NotAsked, Text: "this run did not ask"}
	}
	var evidence []string
	if via != "" {
		evidence = append(evidence, Seen(via, string(why.Code)))
	}
	r.Unknown(subject, why, evidence...)
}
