package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// allowedHTML are the elements of our template with their attributes, and
// nothing else.
func allowedHTML() map[string][]string {
	none := []string{}
	return map[string][]string{
		"html": {"lang"}, "head": none, "body": none, "title": none, "style": none, "meta": {"charset", "name", "content", "http-equiv"},
		"a": {"href", "class"}, "header": {"class"}, "nav": {"class", "aria-label"}, "main": {"id", "tabindex"}, "footer": {"class"},
		"section": {"class"}, "article": {"class", "id"}, "div": {"class"}, "p": {"class"}, "span": {"class"}, "bdi": none, "strong": none, "br": none, "wbr": none,
		"h1": {"id"}, "h2": {"id"}, "h3": {"id"}, "h4": {"id"},
		"ul": {"class"}, "ol": none, "li": none, "dl": {"class"}, "dt": none, "dd": none, "pre": {"class"}, "code": {"class"},
		"details": none, "summary": none,
		"table": {"class"}, "caption": none, "thead": none, "tbody": none, "tr": none, "th": {"scope"}, "td": {"class"},
		"svg":  {"class", "viewBox", "preserveAspectRatio", "aria-hidden", "focusable"},
		"rect": {"class", "width", "height"},
	}
}

// catalogueURLs are the only pages that a document may link to.
func catalogueURLs() map[string]bool {
	out := map[string]bool{}
	for _, r := range rules.Catalogue() {
		for _, ref := range r.Refs {
			out[ref.URL()] = true
		}
	}
	return out
}

// htmlPage is what a test looks at of a document.
type htmlPage struct {
	text     string // of the body, blanks collapsed
	title    string
	style    string
	policy   string
	headings []string // "h2 Summary"
	ids      map[string]bool
	hrefs    []string
	problems []string
}

func (p *htmlPage) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

// readHTML parses a document and notes everything in it that may not be there.
func readHTML(doc string, allowed map[string][]string) *htmlPage {
	p := &htmlPage{ids: map[string]bool{}}
	for _, r := range doc {
		if r != '\n' && !visible(r) {
			p.problem("the document holds %U", r)
			break
		}
	}
	root, err := html.Parse(strings.NewReader(doc))
	if err != nil {
		p.problem("%v", err)
		return p
	}
	var text strings.Builder
	for n := range root.Descendants() {
		switch n.Type {
		case html.CommentNode:
			p.problem("a comment: %.100q", n.Data)
		case html.TextNode:
			if !slices.Contains([]string{"style", "title"}, n.Parent.Data) {
				text.WriteString(n.Data)
			}
		case html.ElementNode:
			p.element(n, allowed)
		}
	}
	p.text = collapse(text.String())
	for _, h := range p.hrefs {
		if strings.HasPrefix(h, "#") && !p.ids[h[1:]] {
			p.problem("%s leads nowhere", h)
		}
	}
	return p
}

func (p *htmlPage) element(n *html.Node, allowed map[string][]string) {
	attributes, ok := allowed[n.Data]
	if !ok {
		p.problem("an element <%s>", n.Data)
	}
	attr := map[string]string{}
	for _, a := range n.Attr {
		attr[a.Key] = a.Val
		if !slices.Contains(attributes, a.Key) {
			p.problem("an attribute %s=%.100q of <%s>", a.Key, a.Val, n.Data)
		}
	}
	if id := attr["id"]; id != "" {
		if p.ids[id] {
			p.problem("two elements have the id %s", id)
		}
		p.ids[id] = true
	}
	switch n.Data {
	case "a":
		p.hrefs = append(p.hrefs, attr["href"])
		if !strings.HasPrefix(attr["href"], "#") && !catalogueURLs()[attr["href"]] {
			p.problem("a link to %.100q", attr["href"])
		}
	case "style":
		p.style = textOf(n)
	case "title":
		p.title = textOf(n)
	case "meta":
		if attr["http-equiv"] == "Content-Security-Policy" {
			p.policy = attr["content"]
		} else if attr["http-equiv"] != "" {
			p.problem("http-equiv=%q", attr["http-equiv"])
		}
	case "h1", "h2", "h3", "h4":
		p.headings = append(p.headings, n.Data+" "+collapse(textOf(n)))
	}
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// collapse makes one blank of every run of blanks.
func collapse(s string) string { return strings.Join(strings.Fields(s), " ") }

// squeeze takes out all blanks.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// checkHTML holds a document to what is promised of all.
func checkHTML(t testing.TB, doc string, models []Model) {
	t.Helper()
	p := readHTML(doc, allowedHTML())
	for i, problem := range p.problems {
		if i == 10 {
			break
		}
		t.Error(problem)
	}
	lower := strings.ToLower(doc)
	for _, bad := range []string{"<script", "href=\"javascript:", "zgotmplz", "<iframe", "<img", "url(", "@import"} {
		if strings.Contains(lower, bad) {
			t.Errorf("the document holds %s", bad)
		}
	}
	sum := sha256.Sum256([]byte(p.style))
	if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(p.policy, want) || !strings.HasPrefix(p.policy, "default-src 'none'; ") {
		t.Errorf("policy %q does not fit the style sheet, %s", p.policy, want)
	}
	checkHeadings(t, p.headings)
	text := squeeze(p.text)
	for _, m := range models {
		for _, piece := range shown(printable(m)) {
			if !strings.Contains(text, squeeze(piece)) {
				t.Errorf("the document lacks %.200q", piece)
			}
		}
	}
}

// checkHeadings: one of the first level, and none skipped on the way down.
func checkHeadings(t testing.TB, headings []string) {
	t.Helper()
	last, first := 0, 0
	for _, h := range headings {
		level := int(h[1] - '0')
		if level > last+1 {
			t.Errorf("the heading %.80q is %d levels below the one before", h, level-last)
		}
		if level == 1 {
			first++
		}
		last = level
	}
	if first != 1 {
		t.Errorf("%d headings of the first level", first)
	}
}

// shown are the pieces of a model that every document shows as they are.
func shown(m Model) []string {
	out := []string{m.Target, m.Unicode, m.Vantage, m.HELO, m.Tag, m.Tool.Version, m.Tool.Catalogue, m.Traffic, m.Means, capital(m.Passwords)}
	out = append(out, m.Headline...)
	out = append(append(out, m.Proves...), m.Limits...)
	for _, list := range [][]Item{m.Fails, m.Notes} {
		for _, it := range list {
			out = append(out, string(it.Rule), it.Means)
			out = append(out, splitEvidence(it.Evidence)...)
			out = append(out, zone(it.Fix.Records)...)
			for i, s := range it.Said {
				_, subjects := s.others()
				out = append(out, subjects...)
				if i > 0 {
					out = append(out, s.Text)
				} else {
					out = append(out, capital(s.Text))
				}
			}
			for _, r := range it.Refs {
				out = append(out, r.Text)
			}
			for _, s := range it.Fix.Steps {
				out = append(out, capital(s))
			}
		}
	}
	for _, d := range m.Unknown {
		out = append(append(append(out, capital(d.Text)), d.Subjects...), splitEvidence(d.Evidence)...)
	}
	for _, it := range m.Passes {
		out = append(out, it.Title, string(it.Rule))
		for _, s := range it.Said {
			_, subjects := s.others()
			out = append(append(out, s.Text), subjects...)
		}
	}
	for _, t := range m.Tests {
		out = append(out, t.Verdict, t.About)
		for _, s := range t.Steps {
			out = append(out, s.Name, string(s.Status), s.Took)
			for _, f := range s.Faults {
				out = append(out, string(f.Rule), string(f.Severity))
			}
			for _, c := range s.Seen {
				out = append(out, c.Lines...)
			}
		}
	}
	for _, t := range m.Facts {
		out = append(append(out, t.Title), t.Note.Lines...)
		for _, row := range t.Rows {
			for _, c := range row {
				out = append(out, c.Lines...)
			}
		}
	}
	for _, r := range m.Repeat {
		out = append(out, r.Commands...)
	}
	for _, n := range m.Next {
		out = append(out, n.Command)
	}
	if m.Since != nil {
		for _, l := range m.Since.Lines {
			out = append(append(append(append(out, l.Text), l.Gone...), l.Come...), l.Moved...)
		}
	}
	return out
}

// splitEvidence takes the arrows out of evidence, which renderers draw.
func splitEvidence(list []string) []string {
	var out []string
	for _, e := range list {
		out = append(out, strings.SplitN(e, "  ->  ", 2)...)
	}
	return out
}

func renderHTML(t testing.TB, o HTMLOptions, models ...Model) string {
	t.Helper()
	var b bytes.Buffer
	err := HTML(&b, models, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestHTMLCheckCanFail shows the check what it must report.
func TestHTMLCheckCanFail(t *testing.T) {
	const good = `<!doctype html><html lang="en"><head><title>x</title></head><body><main id="main"><h1 id="t">x</h1> <p class="a">a &lt;script&gt;</p></main></body></html>`
	if p := readHTML(good, allowedHTML()); len(p.problems) > 0 || p.text != "x a <script>" {
		t.Errorf("%q: %q", p.problems, p.text)
	}
	for _, bad := range []string{
		`<script>alert(1)</script>`, `<p onclick="x">x</p>`, `<p style="color:red">x</p>`, `<img src="http://evil.example/x.png">`, `<a href="javascript:alert(1)">x</a>`,
		`<a href="https://evil.example/">x</a>`, `<a href="#nowhere">x</a>`, `<p id="t">x</p>`, `<h2 id="t">two</h2>`, `<!-- x -->`, "<p>\x1b[31m</p>", "<p>\u202e</p>",
		`<meta http-equiv="refresh" content="0; url=http://evil.example/">`, `<svg onload="x"></svg>`, `<form action="/x"></form>`, `<base href="http://evil.example/">`, `<link rel="stylesheet" href="x">`,
	} {
		doc := strings.Replace(good, "</main>", bad+"</main>", 1)
		if p := readHTML(doc, allowedHTML()); len(p.problems) == 0 {
			t.Errorf("%s passes", bad)
		}
	}
}

// TestHTMLInputs holds the documents of all inputs to the promises, alone and
// together.
func TestHTMLInputs(t *testing.T) {
	var all []Model
	for _, file := range inputs(t) {
		e := load(t, file)
		m := Build(e.Run, e.Delta, e.History)
		all = append(all, m)
		checkHTML(t, renderHTML(t, HTMLOptions{Client: `<b>ACME</b> & Sons`}, m), []Model{m})
		if t.Failed() {
			t.Fatal(file)
		}
	}
	doc := renderHTML(t, HTMLOptions{Client: "ACME"}, all...)
	checkHTML(t, doc, all)
	p := readHTML(doc, allowedHTML())
	for i := range all {
		if !slices.Contains(p.hrefs, fmt.Sprintf("#r%d-report", i+1)) {
			t.Errorf("the index has no link to report %d", i+1)
		}
	}
	if p.headings[0] != fmt.Sprintf("h1 %d mail reports", len(all)) {
		t.Errorf("the first heading is %q", p.headings[0])
	}
	checkHTML(t, renderHTML(t, HTMLOptions{}), nil) // none at all
}

// TestHTMLHead is what a client sees first.
func TestHTMLHead(t *testing.T) {
	e := load(t, "testdata/nullmx.json")
	m := Build(e.Run, e.Delta, e.History)
	doc := renderHTML(t, HTMLOptions{Client: "Müller & <Söhne>\x1b\u202e"}, m)
	p := readHTML(doc, allowedHTML())
	for _, part := range []string{
		"xn--bcher-kva.example", "bücher.example", `Prepared for Müller & <Söhne>\u{001B}\u{202E}`, "vps-fra", "23 November 2026, 12:00 UTC",
		"mailaudit " + e.Run.Tool.Version + ", rules " + e.Run.Tool.Catalogue,
	} {
		if !strings.Contains(p.text, part) {
			t.Errorf("the head lacks %q:\n%.600s", part, p.text)
		}
	}
	if want := "Mail audit of xn--bcher-kva.example, 23 Nov 2026"; p.title != want {
		t.Errorf("title %q, want %q", p.title, want)
	}
	if strings.Contains(readHTML(renderHTML(t, HTMLOptions{}, m), allowedHTML()).text, "Prepared for") {
		t.Error("prepared for nobody")
	}
}

// TestHTMLUnknownApart: what is not known stands apart from what fails, and in
// no colour of a severity.
func TestHTMLUnknownApart(t *testing.T) {
	e := load(t, "testdata/drift.json")
	doc := renderHTML(t, HTMLOptions{}, Build(e.Run, e.Delta, e.History))
	root, err := html.Parse(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "section" || n.Attr[0].Val != "unknown" {
			continue
		}
		found++
		for d := range n.Descendants() {
			for _, a := range d.Attr {
				for _, s := range audit.Severities() {
					if a.Key == "class" && slices.Contains(strings.Fields(a.Val), string(s)) {
						t.Errorf("an unknown has the class %s", a.Val)
					}
				}
			}
		}
		if !strings.Contains(textOf(n), "mx1.example.org[2001:db8::25]:25") || !strings.Contains(textOf(n), "None of it is counted as a fault") {
			t.Errorf("%s", textOf(n))
		}
	}
	if found != 1 {
		t.Errorf("%d sections of unknowns", found)
	}
}

// TestHTMLRecords: records to publish can be copied as they are.
func TestHTMLRecords(t *testing.T) {
	fix := audit.Fix{Summary: "say so", Records: []audit.FixRecord{
		{Action: audit.Add, Name: "a.example.org.", Type: "TXT", Value: `"v=spf1 <&> -all"`},
		{Action: audit.Replace, Name: "b.example.org.", Type: "MX", Value: "0 ."},
		{Action: audit.Remove, Name: "c.example.org.", Type: "A", Value: "192.0.2.1"},
	}}
	m := Model{Target: "example.org", Fails: []Item{{Rule: "mx.implicit", Severity: audit.Low, Said: []Said{{Text: "x", Named: true, Subjects: []string{"x"}}}, Fix: fix}}}
	want := "a.example.org. IN TXT \"v=spf1 <&> -all\"\n; in place of all MX records of this name:\nb.example.org. IN MX 0 .\n; remove: c.example.org. IN A 192.0.2.1\n"
	root, err := html.Parse(strings.NewReader(renderHTML(t, HTMLOptions{}, m)))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "pre" {
			got += textOf(n)
		}
	}
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if md := renderMarkdown(t, MarkdownOptions{}, m); !strings.Contains(md, "\n```dns-zone\n"+want+"```\n") {
		t.Errorf("Markdown lacks the records:\n%s", md)
	}
}

// TestPrintable: everything is copied, and nothing of the original changes.
func TestPrintable(t *testing.T) {
	f := &filler{texts: hostileTexts(), enums: false, many: 6}
	e := f.entry()
	m := Build(e.Run, e.Delta, e.History)
	before := fmt.Sprintf("%#v", m)
	p := printable(m)
	if fmt.Sprintf("%#v", m) != before {
		t.Error("the original changed")
	}
	for _, s := range shown(p) {
		if Screen(s) != s {
			t.Errorf("%.80q is not printable", s)
		}
		if len(s) > maxText+200 {
			t.Errorf("%d bytes of %.20q", len(s), s)
		}
	}
	if got := clipped(strings.Repeat("ä", maxText)); got != strings.Repeat("ä", maxText/2)+fmt.Sprintf(" ... and %d characters more (-f json has all)", maxText/2) {
		t.Errorf("%.20q, %d bytes", got, len(got))
	}
	for _, lead := range []string{"", "a", "ab"} {
		if got := clipped(lead + strings.Repeat("漢", maxText)); !utf8.ValidString(got) || len(got) > maxText+100 {
			t.Errorf("%q", got[maxText-10:])
		}
	}
}
