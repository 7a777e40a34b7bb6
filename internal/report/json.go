package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// Schema names the JSON contract. Within mailaudit/1 it only grows.
const Schema = "mailaudit/1"

// jsonRun is one run. docs/json.md says what each field means and when it is
// empty.
type jsonRun struct {
	ID       int64          `json:"id"`
	UID      string         `json:"uid"`
	Kind     audit.Kind     `json:"kind"`
	State    audit.RunState `json:"state"`
	Target   string         `json:"target"`
	Domain   string         `json:"domain,omitempty"`
	Unicode  string         `json:"unicode,omitempty"`
	Tag      string         `json:"tag,omitempty"`
	Note     string         `json:"note,omitempty"`
	Scope    audit.Scope    `json:"scope"`
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished,omitzero"`
	Vantage  audit.Vantage  `json:"vantage"`
	Tool     audit.Tool     `json:"tool"`
	Score    audit.Score    `json:"score"`
	Facts    jsonFacts      `json:"facts"`
	Policy   *jsonPolicy    `json:"spf_policy,omitempty"`
	Findings []jsonFinding  `json:"findings"`
	Changes  *audit.Delta   `json:"changes,omitempty"`
	Traffic  *audit.Traffic `json:"traffic,omitempty"`
	SeenAs   []audit.SeenAs `json:"seen_as,omitempty"`
}

type jsonFacts struct {
	Format int `json:"format"`
	audit.Facts
}

type jsonFinding struct {
	Rule       audit.RuleID   `json:"rule"`
	Area       audit.Area     `json:"area"`
	Subject    string         `json:"subject"`
	Status     audit.Status   `json:"status"`
	Severity   audit.Severity `json:"severity"`
	Title      string         `json:"title"`
	Detail     string         `json:"detail,omitempty"`
	Cause      audit.Code     `json:"cause,omitempty"`
	Fix        *jsonFix       `json:"fix,omitempty"`
	Evidence   []string       `json:"evidence"`
	References []jsonRef      `json:"references"`
	FirstSeen  *time.Time     `json:"first_seen,omitempty"` // of a fail: start of the unbroken series
}

type jsonFix struct {
	Summary string            `json:"summary,omitempty"`
	Records []audit.FixRecord `json:"records"`
	Steps   []string          `json:"steps"`
}

type jsonRef struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// Entry is a run with what is needed to tell it.
type Entry struct {
	Run     *audit.Run
	Delta   *audit.Delta // nil: not compared
	History History
}

// JSON writes runs as one JSON document, indented. What a terminal would not
// show as it is stands in it as \u escapes, so that the document can be looked
// at as well as read. The error is the writer's.
func JSON(w io.Writer, entries []Entry) error {
	d := JSONDocument{}
	for _, e := range entries {
		err := d.Add(w, e)
		if err != nil {
			return err
		}
	}
	return d.End(w)
}

// JSONDocument is the document of JSON, run by run. The zero value is one to
// begin.
type JSONDocument struct{ runs int }

// jsonHead and jsonTail are around the runs.
const (
	jsonHead = "{\n  \"schema\": \"" + Schema + "\",\n  \"runs\": ["
	jsonTail = "\n  ]\n}\n"
)

// Add writes the next run, and before the first one what the document begins
// with. The error is the writer's.
func (d *JSONDocument) Add(w io.Writer, e Entry) error {
	lead := ","
	if d.runs == 0 {
		lead = jsonHead
	}
	run, err := json.MarshalIndent(toJSON(e), "    ", "  ")
	if err != nil {
		return err
	}
	d.runs++
	_, err = w.Write(escapeUnseen([]byte(lead + "\n    " + string(run))))
	return err
}

// End writes the end of the document. The error is the writer's.
func (d *JSONDocument) End(w io.Writer) error {
	text := jsonTail
	if d.runs == 0 {
		text = jsonHead + "]\n}\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// JSONLines writes one run as one line of JSON: the element of "runs" in the
// document that JSON writes, with the same escapes. Lines can be written as the
// runs end, and read one by one. The error is the writer's.
func JSONLines(w io.Writer, e Entry) error {
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(toJSON(e))
	if err != nil {
		return err
	}
	_, err = w.Write(escapeUnseen(b.Bytes()))
	return err
}

// escapeUnseen writes the characters that Screen would not let through as JSON
// escapes. encoding/json itself escapes only those below 0x20: DEL, the C1
// controls and what turns the direction of writing pass it. All of them can
// stand in strings alone, where an escape means the same.
func escapeUnseen(doc []byte) []byte {
	plain := func(b byte) bool { return b == '\n' || b >= 0x20 && b < 0x7f }
	if !slices.ContainsFunc(doc, func(b byte) bool { return !plain(b) }) {
		return doc // as mostly
	}
	out := make([]byte, 0, len(doc))
	for _, r := range string(doc) {
		switch {
		case r == '\n' || visible(r):
			out = utf8.AppendRune(out, r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

func toJSON(e Entry) jsonRun {
	r, s := e.Run, e.Run.Snapshot
	out := jsonRun{
		ID: r.ID, UID: r.UID, Kind: r.Kind, State: r.State, Target: r.Target,
		Domain: s.Domain.String(), Unicode: s.Domain.Unicode(), Tag: r.Tag, Note: r.Note, Scope: s.Scope,
		Started: r.Started, Finished: r.Finished, Vantage: s.Vantage, Tool: r.Tool, Score: r.Score,
		Facts: jsonFacts{audit.FactsFormat, s.Facts}, Policy: policyJSON(r), Findings: []jsonFinding{},
	}
	if e.Delta != nil && e.Delta.Base != nil {
		out.Changes = e.Delta
	}
	out.SeenAs = r.Sidecar.SeenAs
	if r.Sidecar.Traffic != (audit.Traffic{}) {
		out.Traffic = &r.Sidecar.Traffic
	}
	catalogue := map[audit.RuleID]rules.Rule{}
	for _, rule := range rules.Catalogue() {
		catalogue[rule.ID] = rule
	}
	for _, f := range r.Findings {
		rule, ok := catalogue[f.Rule]
		out.Findings = append(out.Findings, findingJSON(f, rule, ok, e.History))
	}
	return out
}

// findingJSON is a finding, with what the catalogue says of its rule unless it is
// one that this catalogue does not know.
func findingJSON(f audit.Finding, rule rules.Rule, known bool, history History) jsonFinding {
	out := jsonFinding{
		Rule: f.Rule, Area: f.Rule.Area(), Subject: f.Subject, Status: f.Status, Severity: f.Severity,
		Title: string(f.Rule), Detail: f.Detail, Cause: f.Cause, Evidence: f.Evidence, References: []jsonRef{},
	}
	if out.Evidence == nil {
		out.Evidence = []string{}
	}
	if known {
		out.Title = rule.Title
		for _, r := range rule.Refs {
			out.References = append(out.References, jsonRef{r.String(), r.URL()})
		}
	}
	if f.Status == audit.Fail {
		out.Fix = &jsonFix{f.Fix.Summary, f.Fix.Records, f.Fix.Steps}
		if out.Fix.Records == nil {
			out.Fix.Records = []audit.FixRecord{}
		}
		if out.Fix.Steps == nil {
			out.Fix.Steps = []string{}
		}
		v, ok := history[f.Key()]
		if ok && v.Status == audit.Fail {
			out.FirstSeen = &v.Since
		}
	}
	return out
}
