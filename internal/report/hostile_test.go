package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// hostileTexts are what strangers may write who know what will show it.
func hostileTexts() []string {
	return []string{
		`<script>alert("x")</script>`, `[click](javascript:alert(1)) | a | b |`, "`id` $(id) ; rm -rf / #", `=HYPERLINK("http://evil.example") +1 -1 @SUM(A1)`,
		"\x1b[2J\x1b[31;5mred", "\x1b]0;title\x07\x1b]52;c;ZWNobyBvd25lZA==\x07", "\x9b31m\xc2\x9b31m", "\x90q#0;2;0;0;0~-\x9c",
		"\u202egro.elpmaxe\u202c", "\u2066\u2067\u2068\u2069\u200e\u200f\u061c", "\u200b\ufeff\u00ad\u3164\u115f\U000e0041", "\u2028\u2029\u0085\u00a0\u3000",
		"nul\x00 bell\x07 bs\x08 del\x7f", "line\nfeed\rreturn\ttab\vvt\fff\r\n", "\xff\xfe\xc0\x80\xed\xa0\x80 \xf4\x90\x80\x80", "日本語ドメイン例え \u0301\u0301\u0301 🙂👩‍👩‍👧 ﷽",
		strings.Repeat("A", 8<<10), strings.Repeat("\x00", 1000), strings.Repeat("漢", 500), strings.Repeat("word ", 2000), strings.Repeat("\u0301", 300),
		`mx.example.org[192.0.2.25]:25`, `mx.example.org[2001:db8::25]:25`, `[[[]:]:]:`, `]:[`, "", " ", "\x00\x001\x002", `%s %d %!n(MISSING)`,
		"question  ->  answer  ->  other, and, more", "dig A x  ->  ", "  ->  ", ", valid  to , SHA-256 ", "CN=x, valid 2026-01-01 to 2026-02-01, SHA-256 00",
	}
}

// filler fills every string that it can reach in a value.
type filler struct {
	texts []string
	// enums: fields with a fixed set of values get values of that set, so that
	// the value is believable; otherwise they are as hostile as the rest.
	enums bool
	many  int // elements of slices of findings and changes; others have two
	n     int // strings so far
	size  int // their bytes
	known map[reflect.Type][]string
}

func (f *filler) pick(list ...string) string {
	f.n++
	if f.enums && len(list) > 0 {
		return list[f.n%len(list)]
	}
	s := f.texts[f.n%len(f.texts)]
	f.size += len(s)
	return s
}

// knownValues are the values of fields with a fixed set of them.
func knownValues() map[reflect.Type][]string {
	var ids []string
	for _, r := range rules.Catalogue() {
		ids = append(ids, string(r.ID))
	}
	return map[reflect.Type][]string{
		reflect.TypeFor[audit.State]():    {"seen", "absent", "unknown", "", "unknown"},
		reflect.TypeFor[audit.Status]():   {"pass", "fail", "unknown", "n/a", "fail"},
		reflect.TypeFor[audit.Severity](): {"critical", "high", "medium", "low", "info"},
		reflect.TypeFor[audit.Class](): {"broken", "fixed", "still failing", "appeared", "gone", "lost sight",
			"regained sight", "new check", "retired", ""},
		reflect.TypeFor[audit.Axis]():      {"delivery", "protection", "privacy"},
		reflect.TypeFor[audit.Area]():      {"mx", "rdns", "smtp", "tls"},
		reflect.TypeFor[audit.Code]():      {"timeout", "no-route", "servfail", "not-learned", "blocked-address", "deadline", "local-policy", "bug"},
		reflect.TypeFor[audit.Kind]():      {"audit", "smtp"},
		reflect.TypeFor[audit.Bucket]():    {"prompt", "over-5s", "over-30s", "over-2min"},
		reflect.TypeFor[audit.Mode]():      {"", "starttls", "tls", "plain"},
		reflect.TypeFor[audit.Family]():    {"ipv4", "ipv6"},
		reflect.TypeFor[audit.RunState]():  {"complete", "aborted", "running", "complete", "complete"},
		reflect.TypeFor[audit.Action]():    {"add", "replace", "remove"},
		reflect.TypeFor[audit.SPFResult](): {"pass", "fail", "softfail", "neutral", "none", "permerror"},
		reflect.TypeFor[audit.RuleID]():    append(ids, "mx.of-another-version"),
	}
}

func (f *filler) fill(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 1+f.n%28, 12, 0, 0, 0, time.UTC)))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf([]netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")}[f.n%2]))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.0/24")))
		return
	case audit.Domain:
		d, _, err := audit.ParseDomain("bücher.example")
		if err != nil {
			panic(err)
		}
		v.Set(reflect.ValueOf(d))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.pick(f.known[v.Type()]...))
	case reflect.Int, reflect.Int64:
		f.n++
		v.SetInt(int64(f.n % 300))
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(25)
	case reflect.Bool:
		f.n++
		v.SetBool(f.n%2 == 0)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		n := 2
		switch v.Interface().(type) {
		case []audit.Finding, []audit.Change, []audit.FactChange:
			n = f.many
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(value)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	default:
		panic(fmt.Sprintf("the filler does not know %s", v.Type()))
	}
}

// entry is a run, a delta and a history full of the texts.
func (f *filler) entry() Entry {
	f.known = knownValues()
	e := Entry{Run: &audit.Run{}, Delta: &audit.Delta{}, History: History{}}
	f.fill(reflect.ValueOf(e.Run).Elem())
	f.fill(reflect.ValueOf(e.Delta).Elem())
	f.policy(&e.Run.Snapshot.Facts.SPF)
	for i := range e.Run.Sidecar.Sessions { // of endpoints that there are
		e.Run.Sidecar.Sessions[i].Endpoint = e.Run.Snapshot.Facts.SMTP[i%2].Subject()
	}
	for i := range e.Run.Findings {
		if i%3 == 0 {
			e.Run.Findings[i].Subject = e.Run.Snapshot.Facts.SMTP[i%2].Subject()
		}
	}
	var worded audit.AxisScore // a grade and areas that are no words of ours
	f.fill(reflect.ValueOf(&worded).Elem())
	e.Run.Score.Axes = map[audit.Axis]audit.AxisScore{
		"delivery": {Pass: 1, Fail: 1, Unknown: 1}, "protection": worded, "privacy": {Unknown: 1, Grade: audit.NoGrade},
	}
	for i := range e.Delta.Facts {
		whats := []string{"MX", "A", "alias", "existence", "greeting", "certificate", "TLS version"}
		if i%8 < len(whats) {
			e.Delta.Facts[i].What = whats[i%8]
		}
		e.Delta.Facts[i].Before = e.Delta.Facts[i].Before[:i%3]
		e.Delta.Facts[i].After = e.Delta.Facts[i].After[:(i/3)%3]
	}
	for i := range e.Delta.Changes { // some of them about findings that there are
		if i%2 == 0 && len(e.Run.Findings) > 0 {
			of := e.Run.Findings[i%len(e.Run.Findings)]
			e.Delta.Changes[i].Rule, e.Delta.Changes[i].Subject = of.Rule, of.Subject
		}
	}
	for _, of := range e.Run.Findings {
		e.History[of.Key()] = audit.Verdict{Status: of.Status, Since: e.Run.Started.Add(-time.Hour)}
	}
	return e
}

// policy makes facts of SPF a policy of one record, which crosses all limits and
// leads to records that strangers wrote.
func (f *filler) policy(s *audit.SPF) {
	below := s.Below[0]
	below.Name, below.Records = "_spf.google.com", audit.See([]audit.Raw{audit.Raw("v=spf1 ip4:" + f.pick()), audit.Raw(f.pick())}, "")
	other := s.Below[1]
	other.Name, other.Records = "b.example", audit.See([]audit.Raw{audit.Raw("v=spf1 ip4:192.0.2.1 " + f.pick())}, "")
	dark := other
	dark.Name, dark.Records = "dark.example", audit.Dark[[]audit.Raw](audit.Reason{Code: audit.Timeout, Text: f.pick()}, f.pick())
	s.Below = []audit.SPFBelow{below, other, dark}
	s.Records = audit.See([]audit.Raw{"v=spf1 a:a..x a:b..x mx:c..x include:_spf.google.com include:b.example include:dark.example a:d.example exists:%{i}.x ptr " +
		"ip4:192.0.2.0/24 ip4:198.51.100.0/24 ip6:2001:db8::/32 ip4:203.0.113.0/24 a:e.example mx +all -all"}, "")
	s.Answer, s.Alias.State = audit.See(audit.SPFAnswer{Octets: 1, Others: 1}, ""), audit.Seen
}

// checkEntry holds every output of an entry to what is promised of all.
func checkEntry(t *testing.T, e Entry, size int) {
	t.Helper()
	m := Build(e.Run, e.Delta, e.History)
	// The catalogue's own words are in the output once per item; the rest grows
	// with the input: eight bytes for a control character, and the indentation.
	most := 16*size + 3000*(len(e.Run.Findings)+len(e.Delta.Changes)+len(e.Delta.Facts)) + 10_000
	for _, o := range []TextOptions{{}, {Color: true}, {Verbose: true}, {Color: true, Verbose: true}} {
		var b bytes.Buffer
		err := Text(&b, m, o)
		if err != nil {
			t.Fatal(err)
		}
		checkText(t, b.String(), o.Color)
		if b.Len() > most {
			t.Errorf("%+v: %d bytes of text from %d bytes in", o, b.Len(), size)
		}
	}
	for _, color := range []bool{false, true} {
		var b bytes.Buffer
		err := Diff(&b, m, color)
		if err != nil {
			t.Fatal(err)
		}
		checkText(t, b.String(), color)
	}
	checkJSON(t, e)
}

// checkJSON holds the JSON of an entry to being valid, printable, and the same
// again after it was read.
func checkJSON(t *testing.T, e Entry) {
	t.Helper()
	var b bytes.Buffer
	err := JSON(&b, []Entry{e})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range b.String() {
		if r != '\n' && !visible(r) || r == 0x9b {
			t.Fatalf("JSON holds %U", r)
		}
	}
	var back struct {
		Schema string    `json:"schema"`
		Runs   []jsonRun `json:"runs"`
	}
	dec := json.NewDecoder(bytes.NewReader(b.Bytes()))
	dec.DisallowUnknownFields()
	err = dec.Decode(&back)
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	enc := json.NewEncoder(&again)
	enc.SetIndent("", "  ")
	err = enc.Encode(back)
	if err != nil {
		t.Fatal(err)
	}
	// encoding/json writes U+FFFD as an escape where it stands for a broken byte.
	if string(escapeUnseen(again.Bytes())) != strings.ReplaceAll(b.String(), `\ufffd`, "\ufffd") {
		t.Error("JSON is another one after it was read")
	}
	// JSON carries no invalid UTF-8: a broken byte comes back as U+FFFD.
	same := func(what, got, want string) {
		if got != string([]rune(want)) {
			t.Errorf("%s: %.100q comes back as %.100q", what, want, got)
		}
	}
	r := back.Runs[0]
	same("target", r.Target, e.Run.Target)
	same("tag", r.Tag, e.Run.Tag)
	same("note", r.Note, e.Run.Note)
	same("vantage", r.Vantage.Name, e.Run.Snapshot.Vantage.Name)
	for i, f := range r.Findings {
		want := e.Run.Findings[i]
		same("subject", f.Subject, want.Subject)
		same("detail", f.Detail, want.Detail)
		for j := range f.Evidence {
			same("evidence", f.Evidence[j], want.Evidence[j])
		}
		if f.Fix != nil {
			same("step", strings.Join(f.Fix.Steps, ""), strings.Join(want.Fix.Steps, ""))
		}
	}
	for i, s := range r.Facts.SMTP {
		want := e.Run.Snapshot.Facts.SMTP[i].Greeting.Value
		if s.Greeting.Value.Name != want.Name { // Raw survives byte for byte
			t.Errorf("greeting %q comes back as %q", want.Name, s.Greeting.Value.Name)
		}
	}
}

// TestHostile puts every hostile text into every string of a run.
func TestHostile(t *testing.T) {
	texts := hostileTexts()
	for _, enums := range []bool{true, false} {
		for shift := 0; shift < len(texts); shift += 9 { // so that other texts come to a field
			f := &filler{texts: texts, enums: enums, many: 12, n: shift}
			e := f.entry()
			checkEntry(t, e, f.size)
			if t.Failed() {
				t.Fatalf("enums %t, shift %d", enums, shift)
			}
		}
	}
}

// TestHostileAlone does the same with one text at a time.
func TestHostileAlone(t *testing.T) {
	for _, text := range hostileTexts() {
		if len(text) > 2_000 {
			text = text[:2_000] // it is in a thousand places
		}
		f := &filler{texts: []string{text}, enums: true, many: 6}
		checkEntry(t, f.entry(), f.size)
		if t.Failed() {
			t.Fatalf("%.60q", text)
		}
	}
}

// TestHostileInput is the file of testdata that holds such texts.
func TestHostileInput(t *testing.T) {
	e := load(t, "testdata/hostile.json")
	checkEntry(t, e, 250_000)
}

// TestInputsAreSafe holds the ordinary inputs to the same.
func TestInputsAreSafe(t *testing.T) {
	for _, file := range inputs(t) {
		checkEntry(t, load(t, file), 250_000)
	}
}

// TestLongWord is a quarter of a megabyte without a blank in one field: the
// time it takes must not be the square of that, or this test would not end.
func TestLongWord(t *testing.T) {
	long := strings.Repeat("\x00", 1<<18)
	run := &audit.Run{State: audit.Complete, Target: "example.org", Findings: []audit.Finding{
		{Rule: "mx.implicit", Subject: "example.org", Status: audit.Fail, Severity: audit.Low, Detail: long},
	}}
	var b bytes.Buffer
	err := Text(&b, Build(run, nil, nil), TextOptions{Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	checkText(t, b.String(), false)
	if strings.Count(b.String(), "0") < len(long) {
		t.Error("something is missing")
	}
}

func FuzzText(f *testing.F) {
	for i, text := range hostileTexts() {
		if len(text) < 300 {
			f.Add(text, "mx.example.org[192.0.2.25]:25", "a, b  ->  c", uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, a, b, c string, choice uint8) {
		if len(a)+len(b)+len(c) > 400 {
			t.Skip("each text is in a hundred places")
		}
		fill := &filler{texts: []string{a, b, c, a + b, b + " " + c}, enums: choice%2 == 0, many: 1 + int(choice%4), n: int(choice)}
		e := fill.entry()
		checkEntry(t, e, fill.size)
	})
}
