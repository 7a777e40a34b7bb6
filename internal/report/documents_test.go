package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// checkDocuments holds the documents of an entry, alone and twice in one, to
// what is promised of them.
func checkDocuments(t testing.TB, e Entry) {
	t.Helper()
	m := Build(e.Run, e.Delta, e.History)
	client := e.Run.Tag
	checkHTML(t, renderHTML(t, HTMLOptions{Client: client}, m), []Model{m})
	checkHTML(t, renderHTML(t, HTMLOptions{Client: client}, m, m), []Model{m, m})
	checkMarkdown(t, renderMarkdown(t, MarkdownOptions{Client: client}, m), []Model{m})
	checkMarkdown(t, renderMarkdown(t, MarkdownOptions{Client: client}, m, m), []Model{m, m})
}

// TestHostileDocuments puts every hostile text into every string of a run.
func TestHostileDocuments(t *testing.T) {
	texts := hostileTexts()
	for _, enums := range []bool{true, false} {
		for shift := 0; shift < len(texts); shift += 9 {
			f := &filler{texts: texts, enums: enums, many: 12, n: shift}
			checkDocuments(t, f.entry())
			if t.Failed() {
				t.Fatalf("enums %t, shift %d", enums, shift)
			}
		}
	}
}

// TestHostileDocumentsAlone does the same with one text at a time.
func TestHostileDocumentsAlone(t *testing.T) {
	for _, text := range hostileTexts() {
		f := &filler{texts: []string{text}, enums: true, many: 6}
		checkDocuments(t, f.entry())
		if t.Failed() {
			t.Fatalf("%.60q", text)
		}
	}
}

// TestHostileModel fills the fields of a model that Build would not fill that
// way.
func TestHostileModel(t *testing.T) {
	for _, text := range hostileTexts() {
		said := []Said{{Text: text, Subjects: []string{text, text}}, {Text: text, Named: true, Subjects: []string{text, text}}}
		fix := audit.Fix{Summary: text, Steps: []string{text}, Records: []audit.FixRecord{{Action: audit.Action(text), Name: text, Type: text, Value: text}}}
		it := Item{Rule: audit.RuleID(text), Severity: audit.Severity(text), Title: text, Said: said, Means: text, Fix: fix,
			Evidence: []string{text}, Refs: []RefLine{{text, text}, {text, "javascript:" + text}, {text, "https://" + text}}}
		it.Refs = append(it.Refs[:0], it.Refs[0], it.Refs[1]) // any https page is the catalogue's
		cell := Cell{CellKind(text), []string{text, text}}
		m := Model{
			Target: text, Unicode: text, Vantage: text, HELO: text, Tag: text, Result: text, Traffic: text, State: audit.RunState(text),
			Scope: []Field{{text, cell}}, Headline: []string{text}, Proves: []string{text}, Limits: []string{text}, Rubric: 1, OwnSide: &OwnSide{text, text, []Next{{text, text}}},
			Axes:  []AxisLine{{Name: audit.Axis(text), Question: text, Grade: audit.Grade(text), Applies: true, Counts: []Count{{audit.Severity(text), 3}}, Coverage: 7, NotAsked: []audit.Area{audit.Area(text)}}},
			Since: &Since{Grades: []GradeChange{{audit.Axis(text), text, text}}, Base: audit.RunRef{Vantage: text}, OtherVantage: true, Only: []audit.Area{audit.Area(text)}, Lines: []SinceLine{{Class: audit.Class(text), Text: text, Gone: []string{text}, Come: []string{text}, Moved: []string{text}}}},
			Fails: []Item{it}, Notes: []Item{it}, Passes: []Item{it}, Passed: 1,
			Unknown: []Dark{{Text: text, Subjects: []string{text}, Rules: []audit.RuleID{audit.RuleID(text)}, Checks: 1, Evidence: []string{text}, Advice: text}},
			Facts:   []Table{{Title: text, Head: []string{text, text}, Rows: [][]Cell{{cell, cell}}, Note: cell}, {Title: text, Head: []string{text}, Server: true}},
			Repeat:  []Repeat{{text, []string{text}}}, Next: []Next{{text, text}},
			Means: text, Passwords: text, Tests: []Test{{text, text, text, text, []Step{{text, StepStatus(text), text, []Cell{cell}, []StepFault{{audit.RuleID(text), audit.Severity(text)}}}}, text, []Talk{{text, []TalkLine{{text, text, text}}}}}},
		}
		if len(text)%2 == 0 {
			m.Kind = audit.KindSMTP
		}
		checkHTML(t, renderHTML(t, HTMLOptions{Client: text}, m), []Model{m})
		md := renderMarkdown(t, MarkdownOptions{Client: text}, m)
		for _, problem := range readMarkdown(t, md).problems {
			t.Error(problem)
		}
		if t.Failed() {
			t.Fatalf("%.60q", text)
		}
	}
}

// fuzzEntry makes an entry of three texts.
func fuzzEntry(t *testing.T, a, b, c string, choice uint8) Entry {
	if len(a)+len(b)+len(c) > 200 {
		t.Skip("each text is in a hundred places")
	}
	fill := &filler{texts: []string{a, b, c, a + b, b + " " + c}, enums: choice%2 == 0, many: 1 + int(choice%4), n: int(choice)}
	return fill.entry()
}

func addSeeds(f *testing.F) {
	for i, text := range hostileTexts() {
		if len(text) < 150 {
			f.Add(text, "mx.example.org[192.0.2.25]:25", "a, b  ->  c", uint8(i))
		}
	}
}

func FuzzHTML(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, a, b, c string, choice uint8) {
		e := fuzzEntry(t, a, b, c, choice)
		m := Build(e.Run, e.Delta, e.History)
		checkHTML(t, renderHTML(t, HTMLOptions{Client: a}, m), []Model{m})
	})
}

func FuzzMarkdown(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, a, b, c string, choice uint8) {
		checkMarkdownText(t, a)
		e := fuzzEntry(t, a, b, c, choice)
		m := Build(e.Run, e.Delta, e.History)
		checkMarkdown(t, renderMarkdown(t, MarkdownOptions{Client: a}, m), []Model{m})
	})
}

// TestJSONLines: a line is the element of the document, for every input.
func TestJSONLines(t *testing.T) {
	s := compileSchemaAt(t, "schema.json#/$defs/run")
	for _, file := range inputs(t) {
		e := load(t, file)
		var line, doc bytes.Buffer
		err := JSONLines(&line, e)
		if err != nil {
			t.Fatal(err)
		}
		err = JSON(&doc, []Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(line.String(), "\n") != 1 || !strings.HasSuffix(line.String(), "}\n") {
			t.Errorf("%s: %d lines", file, strings.Count(line.String(), "\n"))
		}
		for _, r := range line.String() {
			if r != '\n' && !visible(r) {
				t.Fatalf("%s: a line holds %U", file, r)
			}
		}
		var whole struct{ Runs []json.RawMessage }
		err = json.Unmarshal(doc.Bytes(), &whole)
		if err != nil {
			t.Fatal(err)
		}
		var compact bytes.Buffer
		err = json.Compact(&compact, whole.Runs[0])
		if err != nil {
			t.Fatal(err)
		}
		if compact.String()+"\n" != line.String() {
			t.Errorf("%s: the line is not the element of the document", file)
		}
		if strings.Contains(file, "hostile") {
			continue // its enums are of no schema
		}
		err = validate(t, s, line.Bytes())
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
