package report

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

func TestScreen(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain text, 100 % ~ \\ {}", "plain text, 100 % ~ \\ {}"},
		{"a\x1b[31mb", `a\u{001B}[31mb`},
		{"a\nb\rc\td\x00", `a\u{000A}b\u{000D}c\u{0009}d\u{0000}`},
		{"\x7f\u0080\u009b", `\u{007F}\u{0080}\u{009B}`},
		{"\xff\x9b", `\xFF\x9B`},
		{"\xed\xa0\x80", `\xED\xA0\x80`}, // a surrogate is no UTF-8
		{"\ufffd", "\ufffd"},             // a replacement character that was sent as one
		{"\u202e\u2066\u200f\u200b\u00ad\ufeff", `\u{202E}\u{2066}\u{200F}\u{200B}\u{00AD}\u{FEFF}`},
		{"\u2028\u00a0\u3000", `\u{2028}\u{00A0}\u{3000}`},
		{"\u3164\u115f\U000e0041", `\u{3164}\u{115F}\u{E0041}`},
		{"bücher.例え.😀", "bücher.例え.😀"},
	} {
		got := Screen(c.in)
		if got != c.want {
			t.Errorf("Screen(%q) = %q, want %q", c.in, got, c.want)
		}
		if Screen(got) != got {
			t.Errorf("Screen changes %q again", got)
		}
	}
}

func TestColumnWidth(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "abc": 3, "ü": 1, "·": 1, "日本": 4, "ｱ": 2, "ＡＢ": 4, "한": 2, "😀": 2, "e\u0301": 2, "\U00020000": 2,
	} {
		if got := columns(s); got != want {
			t.Errorf("columns(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("a", 45)
	for _, c := range []struct {
		name, text string
		width      int
		want       []string
	}{
		{"nothing", "", 30, []string{""}},
		{"blanks alone", " \t \n ", 30, []string{`\u{0009} \u{000A}`}},
		{"one line", "to be or not to be", 30, []string{"to be or not to be"}},
		{"fits exactly", "to be or not to be", 18, []string{"to be or not to be"}},
		{"a column short", strings.Repeat("12345 ", 5), 28, []string{"12345 12345 12345 12345", "12345"}},
		{"a long name has a line of its own", "x " + long + " y", 30, []string{"x", long, "y"}},
		{"a long word is broken", "x <" + long + "> y", 30, []string{"x", "<" + long[:29], long[29:] + "> y"}},
		{"wide letters", strings.Repeat("漢", 25), 21, []string{strings.Repeat("漢", 10), strings.Repeat("漢", 10), strings.Repeat("漢", 5)}},
		{"no room at all", "to be or not to be, that is", -5, []string{"to be or not to be,", "that is"}},
		{"a percentage", "the share of it is 100 % here", 22, []string{"the share of it is", "100 % here"}},
		{"escapes", "a\x1bb", 30, []string{`a\u{001B}b`}},
	} {
		got := wrap(c.text, c.width)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFillKeepsPieces(t *testing.T) {
	got := fill([]string{"RFC 3207 4.1", "RFC 8461 5", "a page of rules"}, " ·", 24)
	want := []string{"RFC 3207 4.1 ·", "RFC 8461 5 ·", "a page of rules"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	got = fill([]string{"RFC 3207 4.1", "RFC 8461 5"}, " ·", 25)
	want = []string{"RFC 3207 4.1 · RFC 8461 5"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPhrases(t *testing.T) {
	got := phrases("10 mx1.example.org., 20 mx2.example.org., 30 a host with a long name and more, end", 30)
	want := []string{"10 mx1.example.org.,", "20 mx2.example.org., 30 a host", "with a long name and more, end"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		word string
		n    int
		want []string
	}{
		{"short", 20, []string{"short"}},
		{"abcdefghijklmnopqrst", 20, []string{"abcdefghijklmnopqrst"}},
		{"abcdefghijklmnopqrstu", 20, []string{"abcdefghijklmnopqrst", "u"}},
		{"mail.department.university.example", 20, []string{"mail.department.", "university.example"}},
		{"a.bcdefghijklmnopqrstuvwxyz", 20, []string{"a.bcdefghijklmnopqrs", "tuvwxyz"}}, // the dot is too far back
		{"host.example.org[192.0.2.25]:25", 20, []string{"host.example.org", "[192.0.2.25]:25"}},
		{"host.example.org.[192.0.2.25]:25", 22, []string{"host.example.org.", "[192.0.2.25]:25"}},
		{"", 20, []string{""}},
	} {
		got := cut(c.word, c.n)
		if !slices.Equal(got, c.want) {
			t.Errorf("cut(%q): %q, want %q", c.word, got, c.want)
		}
		if strings.Join(got, "") != c.word {
			t.Errorf("cut(%q) loses something: %q", c.word, got)
		}
	}
}

func TestColumnsBeside(t *testing.T) {
	for _, c := range []struct {
		name, left string
		right      string
		want       string
	}{
		{"beside", "  -v", "more words", "  -v      more words\n"},
		{"wrapped", "  -v", strings.Repeat("word ", 16), "  -v      " + strings.TrimSpace(strings.Repeat("word ", 14)) + "\n          word word\n"},
		{"long left", "  --a-long-flag", "words", "  --a-long-flag\n          words\n"},
		{"left as long as the column", "  12345678", "words", "  12345678\n          words\n"},
		{"longer than a line", "  " + strings.Repeat("x", 100), "words", "  " + strings.Repeat("x", 78) + "\n  " + strings.Repeat("x", 22) + "\n          words\n"},
		{"escape", "  \x1b[1m", "w\x07", "  \\u{001B}[1m\n          w\\u{0007}\n"},
	} {
		got := Columns(c.left, 10, c.right)
		if got != c.want {
			t.Errorf("%s:\n%s(%q)\nwant\n%s", c.name, got, got, c.want)
		}
	}
}

// TestBlock: a name that fits on the page stays in one piece, further left.
func TestBlock(t *testing.T) {
	name := audit.ReverseName(netipAddr(t, "2001:db8::25")).FQDN()
	for _, c := range []struct{ first, text, want string }{
		{"         Seen     ", "dig PTR " + name, "         Seen     dig PTR\n       " + name + "\n"},
		{"         Seen     ", name, "         Seen\n       " + name + "\n"},
		{"                  ", name, "       " + name + "\n"},
		{"  ", name, "  " + name + "\n"},
	} {
		var b strings.Builder
		p := &page{w: &b}
		p.hang(c.first, c.text)
		if b.String() != c.want {
			t.Errorf("got\n%swant\n%s", b.String(), c.want)
		}
	}
}

func TestRowsAreLimited(t *testing.T) {
	text := strings.Repeat("word ", 400)
	var b strings.Builder
	p := &page{w: &b, rows: 3}
	p.hang("", text)
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	// 400 words of four letters with blanks between them are 1999 characters,
	// 16 words (79) a line; the blanks at the ends of lines do not count.
	if len(lines) != 3 || lines[2] != "... and 1817 characters more (-f json has all)" {
		t.Errorf("%q", lines)
	}
	b.Reset()
	p = &page{w: &b}
	p.hang("", text)
	if strings.Count(b.String(), "word") != 400 {
		t.Error("without a limit something is missing")
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		left  string
		right []string
		want  string
	}{
		{"left", nil, "left\n"},
		{"left", []string{"right"}, "left" + strings.Repeat(" ", 71) + "right\n"},
		{"left", []string{"a", "b c"}, "left" + strings.Repeat(" ", 69) + "a · b c\n"},
		{strings.Repeat("l", 74), []string{"right"}, strings.Repeat("l", 74) + "\n" + strings.Repeat(" ", 75) + "right\n"},
		{"left", []string{strings.Repeat("x", 40), strings.Repeat("y", 50)},
			"left\n" + strings.Repeat(" ", 30) + strings.Repeat("x", 40) + " ·\n" + strings.Repeat(" ", 30) + strings.Repeat("y", 50) + "\n"},
	} {
		var b strings.Builder
		p := &page{w: &b}
		p.spread("", 0, c.left, bold, c.right, " ·")
		if b.String() != c.want {
			t.Errorf("got\n%swant\n%s", b.String(), c.want)
		}
	}
}

func TestPaint(t *testing.T) {
	p := &page{color: true}
	if got := p.paint(red, "x"); got != "\x1b[1;31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := p.paint("", "x"); got != "x" {
		t.Errorf("%q", got)
	}
	p.color = false
	if got := p.paint(red, "x"); got != "x" {
		t.Errorf("%q", got)
	}
}

// limitedWriter fails after some bytes.
type limitedWriter struct{ left int }

var errFull = errors.New("no space left on device")

func (w *limitedWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// TestWriterFails: whatever cannot be written is the caller's to know.
func TestWriterFails(t *testing.T) {
	e := load(t, "testdata/drift.json")
	m := Build(e.Run, e.Delta, e.History)
	for room := 0; room < 3000; room += 300 {
		for name, err := range map[string]error{
			"Text":      Text(&limitedWriter{room}, m, TextOptions{}),
			"JSON":      JSON(&limitedWriter{room}, []Entry{e}),
			"JSONLines": JSONLines(&limitedWriter{room}, e),
			"Markdown":  Markdown(&limitedWriter{room}, []Model{m}, MarkdownOptions{}),
			"HTML":      HTML(&limitedWriter{room}, []Model{m}, HTMLOptions{}),
			"Runs":      Runs(&limitedWriter{room / 30}, []RunLine{{Target: strings.Repeat("x", 200)}}, false),
		} {
			if !errors.Is(err, errFull) {
				t.Errorf("%s with room for %d bytes: %v", name, room, err)
			}
		}
	}
	err := Diff(&limitedWriter{10}, m, false)
	if !errors.Is(err, errFull) {
		t.Errorf("Diff: %v", err)
	}
}

func TestPlural(t *testing.T) {
	for _, c := range []struct {
		n    int
		word string
		want string
	}{{0, "check", "0 checks"}, {1, "check", "1 check"}, {2, "check", "2 checks"}, {1, "address", "1 address"}, {12, "address", "12 addresses"}} {
		if got := plural(c.n, c.word); got != c.want {
			t.Errorf("plural(%d, %q) = %q, want %q", c.n, c.word, got, c.want)
		}
	}
}

func TestSeveral(t *testing.T) {
	for want, words := range map[string][]string{
		"": nil, "a": {"a"}, "a and b": {"a", "b"}, "a, b and c": {"a", "b", "c"}, "a, b, c and d": {"a", "b", "c", "d"},
		"a, b, c and 2 more": {"a", "b", "c", "d", "e"},
	} {
		if got := several(words); got != want {
			t.Errorf("several(%q) = %q, want %q", words, got, want)
		}
	}
}

// TestListsAreLimited: long lists end in a count, and -v shows all of them.
func TestListsAreLimited(t *testing.T) {
	it := Item{Rule: "tls.cert-expired", Severity: audit.Medium, Said: []Said{{Text: "expired"}}}
	for i := range 12 {
		letter := string(rune('a' + i))
		it.Said[0].Subjects = append(it.Said[0].Subjects, "subject-"+letter)
		it.Evidence = append(it.Evidence, "dig A "+letter+"  ->  evidence-"+letter)
		it.Fix.Steps = append(it.Fix.Steps, "step-"+letter)
		it.Fix.Records = append(it.Fix.Records, audit.FixRecord{Action: audit.Remove, Name: "record-" + letter, Type: "A", Value: "x"})
	}
	m := Model{Fails: []Item{it}, Unknown: []Dark{{Text: "dark", Subjects: it.Said[0].Subjects, Rules: []audit.RuleID{"mx.implicit"}, Checks: 12}}}
	for _, c := range []struct {
		verbose           bool
		subjects, records int // shown: subjects of the item and of the unknown
		steps, evidence   int
		more              []string
	}{
		{false, 14, 7, 7, 3, []string{"and 5 more (-v shows them)", "and 9 more (-v shows them)", "and 5 more records (-v shows them)", "and 5 more steps (-v shows them)"}},
		{true, 24, 12, 12, 12, nil},
	} {
		var b strings.Builder
		err := Text(&b, m, TextOptions{Verbose: c.verbose})
		if err != nil {
			t.Fatal(err)
		}
		out := b.String()
		for word, want := range map[string]int{"subject-": c.subjects, "- record-": c.records, "step-": c.steps, "evidence-": c.evidence, "12: mx.implicit": 1} {
			if got := strings.Count(out, word); got != want {
				t.Errorf("verbose %t: %d times %q, want %d:\n%s", c.verbose, got, word, want, out)
			}
		}
		for _, line := range c.more {
			if !strings.Contains(out, line) {
				t.Errorf("verbose %t lacks %q:\n%s", c.verbose, line, out)
			}
		}
		if c.verbose && strings.Contains(out, "shows them") {
			t.Errorf("verbose output says that -v shows more:\n%s", out)
		}
	}
}
