// Package report turns a run, and what changed since another one, into
// output.
//
// It works in two steps. [Build] is pure and decides everything: the order,
// the grouping, the counts, the words. Renderers only lay out the [Model] it
// returns. Every text that reaches a renderer is printable already (audit.Raw
// and audit.DNSName see to that); renderers escape it once more for their own
// format, because a banner, a TXT record or a PTR name is written by a stranger
// who may know which program will show it.
package report

import (
	"time"

	"mailaudit/internal/audit"
)

// Model is a report before layout.
type Model struct {
	Target  string
	Unicode string // the target in U-labels; empty when that adds nothing
	Run     int64  // 0: not stored
	State   audit.RunState
	Started time.Time
	Vantage string
	Tag     string
	// Headline is the answer in two or three sentences.
	Headline []string
	Axes     []AxisLine
	Coverage int
	Since    *Since // nil: there was nothing to compare with
	Fails    []Item // worst first; info apart
	Notes    []Item // fails of severity info
	Unknown  []Dark
	Passes   []Item
	Passed   int // findings, not items
	NA       int
	Traffic  audit.Traffic
	Passive  bool
	// TrafficKept: the sidecar of this run is still there, so Traffic is known.
	TrafficKept bool
	Limits      []string // what this result does not prove
	Next        []string // commands worth running now
}

// AxisLine is the state of one axis.
type AxisLine struct {
	Name     audit.Axis
	Counts   []Count // of fails, worst first
	Coverage int
	Unknown  int
	// Provisional: a rule of high severity is unknown.
	Provisional bool
}

// Count is how many fails of a severity there are.
type Count struct {
	Severity audit.Severity
	N        int
}

// Since is what changed.
type Since struct {
	Base         audit.RunRef
	OtherVantage bool
	OtherRules   bool // the base was judged by another version of the catalogue
	Changes      []ChangeLine
	Facts        []FactLine
	Still        int       // fails that go on
	StillSince   time.Time // when the oldest of them began; zero: not known
}

// ChangeLine is one or more changes of one class and rule.
type ChangeLine struct {
	Class    audit.Class
	Severity audit.Severity
	Rule     audit.RuleID
	Title    string
	Subjects []string
	Was      audit.Severity // where only the severity moved
	Now      audit.Status
}

// FactLine is one changed fact.
type FactLine struct {
	Subject string
	What    string
	Before  []string
	After   []string
}

// Item is one rule that says the same about one or more subjects.
type Item struct {
	Rule     audit.RuleID
	Severity audit.Severity
	Title    string
	Details  []string // one per subject, without repetition
	Evidence []string
	Means    string
	Fix      audit.Fix
	Refs     []RefLine
	Since    time.Time // first seen, zero: not known
}

// RefLine is a reference for people.
type RefLine struct {
	Text string
	URL  string
}

// Dark is what could not be seen about one subject, and why.
type Dark struct {
	Subject string
	Detail  string
	Cause   audit.Code
	Rules   []audit.RuleID // that wait for it
	Advice  string         // what to try; empty: nothing to do
}
