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
	Kind    audit.Kind
	Target  string
	Unicode string // the target in U-labels; empty when that adds nothing
	Run     int64  // 0: not stored
	State   audit.RunState
	Started time.Time // UTC
	Vantage string
	Proxy   string // that servers were connected to through; empty: none
	HELO    string // the name given in EHLO; empty when nothing was connected to
	Tag     string
	Remark  string  // the note of the run, as the user typed it; empty: none
	Scope   []Field // what was looked at
	Tool    audit.Tool
	// Result is the report in a few words, for a list of reports.
	Result string
	// Means is how a server was connected to, and why so; runs of kind smtp alone.
	Means string
	// Headline is the answer in two or three sentences.
	Headline []string
	OwnSide  *OwnSide   // nil: nothing speaks for a cause on our own side
	Tests    []Test     // address by address; runs of kind smtp alone
	Axes     []AxisLine // none in runs of kind smtp: one server is no grade of a domain
	Rubric   int        // by which it was graded; 0: not
	Coverage int
	Since    *Since // nil: there was nothing to compare with
	Fails    []Item // worst first; info apart
	Notes    []Item // fails of severity info
	Unknown  []Dark
	Unseen   int // findings that are unknown, not causes
	Passes   []Item
	Passed   int // findings, not items
	NA       int
	Traffic  string   // what the run did to others; empty: not known
	Proves   []string // what the result proves; clauses
	Limits   []string // what it does not prove; clauses
	// Passwords is what there is to know of logins; runs of kind smtp alone.
	Passwords string
	Services  []Service // that servers offer, by name
	Policy    *Policy   // SPF; nil: there is none that can be read
	Facts     []Table   // what was observed, for looking up
	Repeat    []Repeat  // the same by hand
	Next      []Next    // worth typing now
}

// Field is a line of a title block.
type Field struct {
	Name string
	Cell Cell
}

// Table is facts of one kind. The first cell of a row is its heading.
type Table struct {
	Title string
	Head  []string
	Rows  [][]Cell
	// Note is what there is to say instead of rows, or before them.
	Note Cell
	// Server: one of several alike, the title is its endpoint.
	Server bool
}

// Service is an extension that some servers list (RFC 5321 section 2.2.2).
type Service struct {
	Name  string // with its parameters, as listed
	Means string
	Ref   string // who defines it; what it is where nobody does
	// Where are the endpoints that offer it, and NotAt those that do not, both
	// in the order of the facts.
	Where, NotAt []string
}

// Cell is a fact, a line for each of its parts.
type Cell struct {
	Kind  CellKind
	Lines []string
}

// CellKind says whose words a cell holds, because renderers quote those of
// others.
type CellKind string

// The kinds of cells.
const (
	CellWords CellKind = ""     // ours
	CellCode  CellKind = "code" // names, addresses, and what servers said
	CellNone  CellKind = "none" // ours: there is none, or it was not asked
	CellDark  CellKind = "dark" // ours: why it is not known
)

// Repeat is commands that repeat observations of one kind, each a line that
// can be pasted into a shell.
type Repeat struct {
	What     string
	Commands []string
}

// OwnSide says that what went dark did so, probably, where mailaudit runs.
type OwnSide struct {
	Title string
	Text  string
	Steps []Next // what to do about it; a step without a command is a sentence
}

// Next is a command and what it is good for.
type Next struct {
	Why     string
	Command string
}

// AxisLine is the state of one axis.
type AxisLine struct {
	Name     audit.Axis
	Question string      // what it answers
	Grade    audit.Grade // "" in runs from before there were grades
	Points   int         // 0 to 100; only with a letter
	Counts   []Count     // of rules that fail, by their worst subject, worst first
	Seen     bool        // anything was
	Applies  bool        // anything could have been
	Coverage int         // of what counts, in percent
	Unknown  int
	NotAsked []audit.Area // left out by this run, with questions of this axis
	// Provisional: with more light the grade may be another.
	Provisional bool
}

// Count is how many faults of a severity there are.
type Count struct {
	Severity audit.Severity
	N        int
}

// Since is what changed.
type Since struct {
	Base         audit.RunRef
	OtherVantage bool
	OtherRules   bool         // the base was judged by another version of the catalogue
	Only         []audit.Area // what both runs looked at, where that is less than this run did
	Nothing      bool         // the two runs have no area in common
	Grades       []GradeChange
	Lines        []SinceLine
	Still        int       // fails that go on
	StillSince   time.Time // when the oldest of them began; zero: not known
}

// GradeChange is an axis that is graded otherwise than before. Texts are as in
// "B 78 (provisional)", or "no grade".
type GradeChange struct {
	Axis     audit.Axis
	Was, Now string
}

// SinceLine is one thing that changed: a verdict, or something published or
// observed.
type SinceLine struct {
	Class audit.Class // audit.Same: a fact and no verdict
	Text  string
	// Once: a server showed it, in this run alone. Confirmed: it was seen once
	// before, and now a second time.
	Once, Confirmed bool
	// Gone and Come are what is no longer there and what is new, where Text is
	// only their heading.
	Gone  []string
	Come  []string
	Moved []string // what stays, and is different
}

// Item is one rule that says the same about one or more subjects.
type Item struct {
	Rule     audit.RuleID
	Severity audit.Severity
	Title    string
	Said     []Said
	Evidence []string
	Means    string
	Fix      audit.Fix
	Refs     []RefLine
	Since    time.Time // first seen, zero: not known
}

// Said is one sentence, and the subjects of which it is true.
type Said struct {
	Text     string
	Subjects []string
	// Named: Text names the first subject by itself.
	Named bool
}

// RefLine is a reference for people.
type RefLine struct {
	Text string
	URL  string
}

// Dark is one reason for not knowing, and everything that waits for it.
type Dark struct {
	Text     string
	Cause    audit.Code
	Subjects []string
	Rules    []audit.RuleID // in catalogue order
	Checks   int            // findings
	Evidence []string
	Advice   string // what to try; empty: nothing to do
}
