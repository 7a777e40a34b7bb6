package audit

import (
	"strings"
	"time"
)

// RuleID names a rule: "area.kebab-case". IDs are never renamed or reused.
type RuleID string

// Area is the part of the id before the dot.
func (id RuleID) Area() Area {
	area, _, _ := strings.Cut(string(id), ".")
	return Area(area)
}

// Status is the judgement of a rule about a subject. There is no fifth one:
// a "warning" is how a report shows a fail of low or medium severity.
type Status string

// The statuses.
const (
	Pass          Status = "pass"
	Fail          Status = "fail"
	UnknownStatus Status = "unknown"
	NAStatus      Status = "n/a"
)

// Known reports whether the status is a verdict.
func (s Status) Known() bool { return s == Pass || s == Fail }

// Severity is the effect of a fail on real mail today.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // mail is lost now, or strangers pass as the domain
	High     Severity = "high"     // a large receiver rejects or defers because of it
	Medium   Severity = "medium"   // some receivers do; protection is partial
	Low      Severity = "low"      // hygiene, worth an hour this year
	Info     Severity = "info"     // a fact with a reason to know it; never gates
)

// Severities lists them, worst first.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low, Info} }

// Rank orders severities: 4 for critical down to 0 for info, -1 for anything
// else.
func (s Severity) Rank() int {
	for i, have := range Severities() {
		if s == have {
			return len(Severities()) - 1 - i
		}
	}
	return -1
}

// AtLeast reports whether s is as bad as t or worse.
func (s Severity) AtLeast(t Severity) bool { return s.Rank() >= t.Rank() }

// Axis is one of the three questions that an audit answers.
type Axis string

// The axes.
const (
	Delivery   Axis = "delivery"   // will mail arrive, both ways
	Protection Axis = "protection" // can strangers send as this domain
	Privacy    Axis = "privacy"    // is mail protected on the way
)

// Axes lists them in report order.
func Axes() []Axis { return []Axis{Delivery, Protection, Privacy} }

// Finding is what one rule says about one subject. (Rule, Subject) is its
// key. Every text in it is printable: strangers' bytes enter only through
// Raw.String and DNSName.String. Title and references are not here: they are
// the catalogue's, looked up by Rule when a report is built.
type Finding struct {
	Rule     RuleID   `json:"rule"`
	Subject  string   `json:"subject"`
	Status   Status   `json:"status"`
	Severity Severity `json:"severity"` // of a fail; for other statuses the worst that a fail could have
	Detail   string   `json:"detail,omitempty"`
	// Cause is why an unknown is unknown, or empty.
	Cause    Code     `json:"cause,omitempty"`
	Evidence []string `json:"evidence,omitempty"` // what was asked and what came back, a line each
	Fix      Fix      `json:"fix,omitzero"`
}

// OurSide reports whether the finding is about the network that mailaudit runs
// in and not about the domain: such findings never count (see AreaVantage).
func (f Finding) OurSide() bool { return f.Rule.Area() == AreaVantage }

// Key is the identity of a finding across runs.
type Key struct {
	Rule    RuleID
	Subject string
}

// Key returns the identity of the finding.
func (f Finding) Key() Key { return Key{f.Rule, f.Subject} }

// Fix is what to do about a fail.
type Fix struct {
	Summary string      `json:"summary,omitempty"`
	Records []FixRecord `json:"records,omitempty"` // applied verbatim, they cure the finding and break nothing else
	Steps   []string    `json:"steps,omitempty"`   // for what needs knowledge that nobody has from outside
}

// Action is what to do with a record.
type Action string

// The actions.
const (
	Add     Action = "add"
	Replace Action = "replace" // all records of this name and type
	Remove  Action = "remove"
)

// FixRecord is one DNS record to publish or to take away.
type FixRecord struct {
	Action Action `json:"action"`
	Name   string `json:"name"` // fully qualified, with the trailing dot
	Type   string `json:"type"`
	Value  string `json:"value"` // in zone file form
}

// Kind says which command made a run.
type Kind string

// The kinds.
const (
	KindAudit Kind = "audit"
	KindSMTP  Kind = "smtp" // one server, named by the user; the target is HOST:PORT
)

// RunState is how far a run came.
type RunState string

// The run states. A run found in state Running whose process is gone was
// killed: it is shown as such and never compared.
const (
	Running  RunState = "running"
	Complete RunState = "complete"
	Aborted  RunState = "aborted" // the user stopped it
)

// Tool is what made a run.
type Tool struct {
	Version   string `json:"version"`
	Catalogue string `json:"catalogue"` // version of the rule catalogue
}

// Run is one audit of one domain.
type Run struct {
	ID       int64     `json:"id"`  // small, local to the database; 0 when not stored
	UID      string    `json:"uid"` // UUIDv7, unique everywhere
	Kind     Kind      `json:"kind"`
	State    RunState  `json:"state"`
	Target   string    `json:"target"`
	Tag      string    `json:"tag,omitempty"`
	Note     string    `json:"note,omitempty"` // a remark of the user, as it was typed
	Started  time.Time `json:"started"`        // UTC, whole milliseconds
	Finished time.Time `json:"finished,omitzero"`
	Tool     Tool      `json:"tool"`
	Snapshot Snapshot  `json:"snapshot"`
	Findings []Finding `json:"findings"` // by rule in catalogue order, then subject
	Score    Score     `json:"score"`
	Sidecar  Sidecar   `json:"-"`
}

// RunRef names a run without carrying it.
type RunRef struct {
	ID      int64     `json:"id"`
	UID     string    `json:"uid"`
	Started time.Time `json:"started"`
	Vantage string    `json:"vantage"`
}

// Ref is the short form of the run.
func (r *Run) Ref() RunRef {
	return RunRef{r.ID, r.UID, r.Started, r.Snapshot.Vantage.Name}
}
