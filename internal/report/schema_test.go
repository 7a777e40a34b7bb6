package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mailaudit/internal/audit"
)

const schemaFile = "../../docs/schema.json"

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	return compileSchemaAt(t, "schema.json")
}

// compileSchemaAt compiles one definition of the schema.
func compileSchemaAt(t *testing.T, where string) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	err = c.AddResource("schema.json", doc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(where)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, doc []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// TestSchemaGolden validates every golden document.
func TestSchemaGolden(t *testing.T) {
	s := compileSchema(t)
	files, err := filepath.Glob("testdata/*.out.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		doc, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		err = validate(t, s, doc)
		if err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestSchemaInputs validates what is written of every input, and of none.
func TestSchemaInputs(t *testing.T) {
	s := compileSchema(t)
	var all []Entry
	for _, f := range inputs(t) {
		e := load(t, f)
		all = append(all, e, Entry{Run: e.Run})
	}
	for n := range len(all) + 1 {
		entries := all[max(0, n-1):n] // none, and then one at a time
		var b bytes.Buffer
		err := JSON(&b, entries)
		if err != nil {
			t.Fatal(err)
		}
		err = validate(t, s, b.Bytes())
		if err != nil {
			t.Errorf("entry %d: %v", n, err)
		}
	}
}

// everyField is a document in which every field of every one of our objects
// is filled: a field that the schema does not know fails the test, whether a
// golden document has it or not.
func everyField(t *testing.T) []byte {
	t.Helper()
	f := &filler{texts: []string{"abc"}, enums: true, many: 60}
	e := f.entry()
	r := e.Run
	r.ID, r.State, r.Kind = 7, audit.Complete, audit.KindAudit
	points := 50
	e.Delta.Score = &audit.Score{Rubric: 1, Points: &points, Grade: audit.GradeD, Provisional: true, Coverage: 50, Axes: map[audit.Axis]audit.AxisScore{
		audit.Delivery: {Points: &points, Grade: audit.GradeD, Pass: 1, Fail: 1, Unknown: 1, Coverage: 50, Provisional: true, NotAsked: []audit.Area{audit.AreaSPF}},
	}}
	r.Score = *e.Delta.Score
	s := &r.Snapshot
	s.Scope.Areas = s.Scope.Areas[:1]
	for i := range r.Findings {
		if r.Findings[i].Status != audit.UnknownStatus {
			r.Findings[i].Cause = ""
		}
	}
	for i := range s.Facts.Hosts {
		s.Facts.Hosts[i].Role = audit.RoleMX
	}
	for i := range s.Facts.RDNS {
		s.Facts.RDNS[i].Role = audit.RoleSender
	}
	for i := range s.Facts.Listings {
		s.Facts.Listings[i].Role = audit.RoleMX
	}
	for i := range s.Facts.Lists {
		s.Facts.Lists[i].Tier = audit.TierSome
	}
	for i := range s.Facts.DKIM {
		s.Facts.DKIM[i].Key.Value.Type = "rsa"
	}
	for i := range s.Facts.SMTP {
		s.Facts.SMTP[i].Mode, s.Facts.SMTP[i].Greeting.Value.Delay = audit.ModeTLS, audit.Prompt
	}
	for i := range e.Delta.Changes {
		c := &e.Delta.Changes[i]
		if !c.Known.Known() {
			c.Known = audit.Pass
		}
		if c.Class == audit.Same {
			c.Class = audit.Broken
		}
		c.KnownRun++
	}
	var b bytes.Buffer
	err := JSON(&b, []Entry{e})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSchemaEveryField finds undocumented fields. Observations that were not
// seen hold no value: those are filled in a way that no run can be, so what is
// said of them is left out of the comparison.
func TestSchemaEveryField(t *testing.T) {
	var doc any
	err := json.Unmarshal(everyField(t), &doc)
	if err != nil {
		t.Fatal(err)
	}
	seenAll(doc)
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	s := compileSchema(t)
	err = validate(t, s, data)
	if err != nil {
		t.Errorf("%v", err)
	}
	// And it must be able to fail: a field more, anywhere, is refused.
	objects := 0
	more(doc, func(path string) {
		objects++
		data, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		err = validate(t, s, data)
		if err == nil {
			t.Errorf("a field more in %s passes", path)
		}
	}, "", map[string]bool{})
	if objects < 25 {
		t.Errorf("only %d kinds of objects", objects)
	}
}

// seenAll makes every observation a seen one.
func seenAll(doc any) {
	switch v := doc.(type) {
	case map[string]any:
		_, observed := v["via"]
		if observed {
			v["state"] = "seen"
			if value, ok := v["value"].(map[string]any); ok && len(value) == 0 {
				delete(v, "value") // audit.Nothing
			}
		}
		for _, child := range v {
			seenAll(child)
		}
	case []any:
		for _, child := range v {
			seenAll(child)
		}
	}
}

// more adds a field to each kind of object in turn, and takes it away again.
func more(doc any, try func(path string), path string, done map[string]bool) {
	switch v := doc.(type) {
	case map[string]any:
		if done[path] {
			return
		}
		done[path] = true
		v["undocumented"] = 1
		try(path)
		delete(v, "undocumented")
		for key, child := range v {
			more(child, try, path+"/"+key, done)
		}
	case []any:
		for _, child := range v {
			more(child, try, path, done)
		}
	}
}

// TestSchemaDescribes: every object and every field has its description.
func TestSchemaDescribes(t *testing.T) {
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Defs map[string]struct {
			Description string
			Type        any
			Additional  any `json:"additionalProperties"`
			Properties  map[string]json.RawMessage
		} `json:"$defs"`
	}
	err = json.Unmarshal(data, &doc)
	if err != nil {
		t.Fatal(err)
	}
	for name, def := range doc.Defs {
		if def.Description == "" {
			t.Errorf("%s has no description", name)
		}
		if def.Type == "object" && def.Additional != false && name != "obs" {
			t.Errorf("%s takes any field", name)
		}
		for field, text := range def.Properties {
			var f struct {
				Description string
				Ref         string `json:"$ref"`
			}
			if !strings.HasPrefix(string(text), "{") {
				continue
			}
			err := json.Unmarshal(text, &f)
			if err != nil {
				t.Fatal(err)
			}
			if f.Description == "" && f.Ref == "" && !strings.HasPrefix(name, "obs") {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
}
