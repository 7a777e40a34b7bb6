package audit

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Class says what became of one (rule, subject) between two runs.
type Class string

// The classes. Broken is about them, LostSight is about us: they never share
// a list.
const (
	Same          Class = "" // nothing to tell
	Broken        Class = "broken"
	Fixed         Class = "fixed"
	StillFailing  Class = "still failing"
	Appeared      Class = "appeared"       // a subject, or a question, that was not there before
	Gone          Class = "gone"           // the subject vanished, or the failing question lost its meaning
	LostSight     Class = "lost sight"     // known before, unknown now
	RegainedSight Class = "regained sight" // unknown before, known now
	NewCheck      Class = "new check"      // the rule is younger than the old run's catalogue
	Retired       Class = "retired"        // the rule is no longer in the catalogue
	StillPassing  Class = "still passing"  // told only where it confirms what was seen once
)

// Transition is what Classify needs to know of one (rule, subject).
type Transition struct {
	Before  Status // in the base run; "" when it had no such finding
	Known   Status // the last verdict before now: Pass, Fail, or "" when there never was one
	Now     Status // in this run; "" when it has no such finding
	Fresh   bool   // the rule is younger than the catalogue of the base run
	Retired bool   // the rule is not in today's catalogue
	Blind   bool   // Now is "" because we could not see whether the subject still exists
}

// Classify names the transition. It goes by the last known verdict, so that
// pass, unknown, fail is "broken" and nothing gets lost in the dark.
func Classify(t Transition) Class {
	if t.Now == "" {
		switch {
		case t.Before == "":
			return Same
		case t.Retired:
			return Retired
		case t.Known == "" && !t.Before.Known():
			return Same // we never knew anything about it
		case t.Blind:
			return LostSight
		}
		return Gone
	}
	if t.Fresh && t.Before == "" && t.Known == "" {
		if t.Now == NAStatus {
			return Same
		}
		return NewCheck
	}
	switch t.Now {
	case Fail:
		return classifyFail(t)
	case Pass:
		return classifyPass(t)
	case UnknownStatus:
		return classifyUnknown(t)
	}
	if t.Before == Fail || t.Before == UnknownStatus && t.Known == Fail {
		return Gone
	}
	return Same
}

func classifyFail(t Transition) Class {
	switch {
	case t.Known == Pass:
		return Broken
	case t.Known == Fail && t.Before == "":
		return Appeared
	case t.Known == Fail:
		return StillFailing
	case t.Before == UnknownStatus:
		return RegainedSight
	}
	return Appeared
}

func classifyPass(t Transition) Class {
	switch {
	case t.Known == Fail:
		return Fixed
	case t.Before == UnknownStatus:
		return RegainedSight
	case t.Before == "", t.Known == "":
		return Appeared
	}
	return Same
}

func classifyUnknown(t Transition) Class {
	switch {
	case t.Before == UnknownStatus:
		return Same
	case t.Known != "":
		return LostSight
	case t.Before == "":
		return Appeared
	}
	return Same
}

// Verdict is the last known judgement of a (rule, subject) before a run.
type Verdict struct {
	Status   Status // Pass or Fail
	Severity Severity
	Run      int64     // the last run that said so
	Since    time.Time // start of the first run of the unbroken series that said so
	// Turned: Run is the first that said so, and one before it had said the
	// opposite. No second run has confirmed it.
	Turned bool
}

// Prior is what the past holds against which a run is compared.
type Prior struct {
	// Base is the run compared with, nil when there is none.
	Base *Run
	// OtherVantage: no complete run from the same vantage exists, so Base is
	// the last one from another.
	OtherVantage bool
	// Verdicts are the last known verdicts up to and including Base.
	Verdicts map[Key]Verdict
	// Last is the run before the one that is compared, where Base is an earlier
	// one: what Last saw already is not seen for the first time. Else nil.
	Last *Run
}

// Catalogue is what Compare needs to know of the rules.
type Catalogue struct {
	Version string
	Since   map[RuleID]string // the catalogue version that brought each rule
}

// Change is one transition worth telling.
type Change struct {
	Class    Class    `json:"class"`
	Rule     RuleID   `json:"rule"`
	Subject  string   `json:"subject"`
	Before   Status   `json:"before,omitempty"`
	Known    Status   `json:"known,omitempty"`
	KnownRun int64    `json:"known_run,omitempty"`
	Now      Status   `json:"now,omitempty"`
	Severity Severity `json:"severity"`
	// Was is the severity before, where it moved.
	Was Severity `json:"was,omitempty"`
	// SeenOnce: a server showed it, in this run alone. See once.go.
	SeenOnce bool `json:"seen_once,omitempty"`
	// Confirmed: the run that saw it first was alone until now.
	Confirmed bool `json:"confirmed,omitempty"`
}

// Delta is what changed between two runs of a domain.
type Delta struct {
	// Base is nil when there was nothing to compare with.
	Base         *RunRef `json:"base,omitempty"`
	OtherVantage bool    `json:"other_vantage,omitempty"`
	// OtherRules: the base was judged by another version of the catalogue.
	OtherRules bool   `json:"other_rules,omitempty"`
	Areas      []Area `json:"areas,omitempty"` // looked at by both runs
	// Score is that of the base; nil when it has no grades.
	Score   *Score       `json:"score,omitempty"`
	Changes []Change     `json:"changes"`
	Facts   []FactChange `json:"facts"`
}

// Quiet reports whether nothing changed that anybody should be told: fails
// that go on are not news, and neither are new subjects that do not fail. A
// fault that is confirmed is news once; that a repair lasts is none.
func (d *Delta) Quiet() bool {
	for _, c := range d.Changes {
		confirmed := c.Confirmed && c.Severity != Info
		old := c.Class == StillFailing && c.Was == "" && !confirmed || c.Class == StillPassing
		harmless := c.Class == Appeared && c.Now != Fail
		if !old && !harmless {
			return false
		}
	}
	return len(d.Facts) == 0
}

// Compare says what changed from prior.Base to now. It is pure; findings
// outside the intersection of the two scopes are left out.
func Compare(prior Prior, now *Run, cat Catalogue) *Delta {
	d := &Delta{Changes: []Change{}, Facts: []FactChange{}}
	if prior.Base == nil {
		return d
	}
	ref := prior.Base.Ref()
	d.Base, d.OtherVantage = &ref, prior.OtherVantage
	if prior.Base.Score.Rubric > 0 {
		d.Score = &prior.Base.Score
	}
	d.OtherRules = prior.Base.Tool.Catalogue != now.Tool.Catalogue
	old, cur := prior.Base.Snapshot.Scope, now.Snapshot.Scope
	for _, a := range Areas() {
		if old.Has(a) && cur.Has(a) {
			d.Areas = append(d.Areas, a)
		}
	}
	before, after, w := byKey(prior.Base.Findings), byKey(now.Findings), newWitness(prior, now)
	for key := range union(before, after) {
		if !slices.Contains(d.Areas, key.Rule.Area()) || onlyOneAsked(key, old, cur) || onlyOneReached(key, old, cur) || onlyOneLooked(key, prior.Base.Snapshot, now.Snapshot) {
			continue
		}
		c := change(key, before[key], after[key], prior, now.Snapshot.Facts, cat)
		w.weigh(&c, prior.Verdicts[key])
		if c.Class != Same {
			d.Changes = append(d.Changes, c)
		}
	}
	slices.SortFunc(d.Changes, compareChanges)
	d.Facts = ChangedFacts(prior.Base.Snapshot.Facts, now.Snapshot.Facts, d.Areas)
	w.weighFacts(d.Facts)
	return d
}

func change(key Key, before, after Finding, prior Prior, now Facts, cat Catalogue) Change {
	v := prior.Verdicts[key]
	since, listed := cat.Since[key.Rule]
	t := Transition{
		Before: before.Status, Known: v.Status, Now: after.Status,
		Fresh:   listed && newerVersion(since, prior.Base.Tool.Catalogue),
		Retired: !listed,
		Blind:   !now.enumerates(key),
	}
	if t.Before == "" && t.Known != "" && !prior.Base.Snapshot.Facts.enumerates(key) {
		t.Before = UnknownStatus // the base run could not see whether the subject was there
	}
	c := Change{
		Class: Classify(t), Rule: key.Rule, Subject: key.Subject,
		Before: before.Status, Known: v.Status, KnownRun: v.Run, Now: after.Status,
		Severity: after.Severity,
	}
	if after.Status == "" {
		c.Severity = before.Severity
	}
	if c.Class == StillFailing && v.Severity != "" && v.Severity != after.Severity {
		c.Was = v.Severity
	}
	return c
}

// classOrder is the order in which changes are told.
func classOrder() []Class {
	return []Class{Broken, Appeared, Fixed, Gone, LostSight, RegainedSight, NewCheck, Retired, StillFailing, StillPassing}
}

func compareChanges(a, b Change) int {
	order := classOrder()
	return cmp.Or(
		cmp.Compare(slices.Index(order, a.Class), slices.Index(order, b.Class)),
		cmp.Compare(b.Severity.Rank(), a.Severity.Rank()),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Subject, b.Subject))
}

// onlyOneAsked is true for what only one of the two runs was told about: an
// address (--sending-ip), the SPF of a name in EHLO (--sending-helo) or a DKIM
// selector. Its coming or going is ours, not the domain's.
func onlyOneAsked(key Key, a, b Scope) bool {
	if key.Rule.Area() == AreaDKIM {
		// The domain as a subject sums up all selectors.
		selector, _, named := strings.Cut(key.Subject, "._domainkey.")
		if !named {
			return !slices.Equal(a.Selectors, b.Selectors)
		}
		return slices.Contains(a.Selectors, selector) != slices.Contains(b.Selectors, selector)
	}
	text, _, _ := strings.Cut(key.Subject, " @ ")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		name := DNSName(text)
		return key.Rule.Area() == AreaSPF && slices.Contains(a.SendingHELOs, name) != slices.Contains(b.SendingHELOs, name)
	}
	return slices.Contains(a.SendingIPs, addr) != slices.Contains(b.SendingIPs, addr)
}

func byKey(fs []Finding) map[Key]Finding {
	m := make(map[Key]Finding, len(fs))
	for _, f := range fs {
		m[f.Key()] = f
	}
	return m
}

func union(a, b map[Key]Finding) map[Key]bool {
	keys := make(map[Key]bool, len(a)+len(b))
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}

// newerVersion compares dotted numbers: is a newer than b? Text that is no
// number counts as zero.
func newerVersion(a, b string) bool { return slices.Compare(versionParts(a), versionParts(b)) > 0 }

func versionParts(v string) []int {
	parts := []int{0}
	for _, c := range v {
		last := len(parts) - 1
		switch {
		case c == '.':
			parts = append(parts, 0)
		case '0' <= c && c <= '9' && parts[last] < 1<<20:
			parts[last] = parts[last]*10 + int(c-'0')
		}
	}
	for len(parts) > 1 && parts[len(parts)-1] == 0 { // 1.0 is 1
		parts = parts[:len(parts)-1]
	}
	return parts
}
