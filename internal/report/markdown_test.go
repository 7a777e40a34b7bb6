package report

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"golang.org/x/net/html"

	"mailaudit/internal/audit"
)

// gfm is a Markdown reader with all that GitHub adds, so that it finds every
// link, table and box that GitHub would.
func gfm() goldmark.Markdown {
	return goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote))
}

// allowedMarkdown are the elements that our Markdown makes.
func allowedMarkdown() map[string][]string {
	none := []string{}
	out := map[string][]string{"html": none, "head": none, "body": none, "a": {"href"}, "pre": none, "code": {"class"}}
	for _, name := range strings.Fields("p h1 h2 h3 h4 ul ol li strong table thead tbody tr th td") {
		out[name] = none
	}
	return out
}

// readMarkdown renders Markdown and notes everything in it that may not be
// there.
func readMarkdown(t testing.TB, md string) *htmlPage {
	t.Helper()
	var b bytes.Buffer
	err := gfm().Convert([]byte(md), &b)
	if err != nil {
		t.Fatal(err)
	}
	p := readHTML(b.String(), allowedMarkdown()) // HTML that was written is left out by goldmark, with a comment
	root := gfm().Parser().Parse(text.NewReader([]byte(md)))
	err = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n.Kind() {
		case ast.KindRawHTML, ast.KindHTMLBlock, ast.KindImage, ast.KindAutoLink, ast.KindThematicBreak, ast.KindBlockquote, ast.KindCodeBlock,
			extast.KindStrikethrough, extast.KindTaskCheckBox, extast.KindFootnote, extast.KindFootnoteLink:
			p.problem("a %s", n.Kind())
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(md, "\n") {
		if strings.HasSuffix(l, " ") {
			p.problem("blanks at the end of %.80q", l)
		}
	}
	return p
}

// checkMarkdown holds a document to what is promised of all.
func checkMarkdown(t testing.TB, md string, models []Model) {
	t.Helper()
	p := readMarkdown(t, md)
	for i, problem := range p.problems {
		if i == 10 {
			break
		}
		t.Error(problem)
	}
	checkHeadings(t, p.headings)
	want := wantedHeadings(models)
	var got []string
	for _, h := range p.headings {
		got = append(got, squeeze(h))
	}
	if !slices.Equal(got, want) {
		t.Errorf("headings\n%.2000q\nwant\n%.2000q", got, want)
	}
	text := squeeze(p.text)
	for _, m := range models {
		for _, piece := range shown(printable(m)) {
			// Bars are written otherwise in tables, behind a backslash.
			piece = squeeze(piece)
			if !strings.Contains(text, piece) && !strings.Contains(text, strings.ReplaceAll(piece, `\|`, `\u{007C}`)) {
				t.Errorf("the document lacks %.200q", piece)
			}
		}
	}
}

// wantedHeadings are all headings of a document, made of the model alone: no
// text may add one.
func wantedHeadings(models []Model) []string {
	var out []string
	shift := 0
	add := func(level int, text string) { out = append(out, fmt.Sprintf("h%d%s", level+shift, squeeze(text))) }
	if len(models) != 1 {
		add(1, plural(len(models), "mail report"))
		shift = 1
	}
	for _, m := range models {
		m = printable(m)
		if m.Kind == audit.KindSMTP {
			add(1, "SMTP test results for "+orEmpty(m.Target))
		} else {
			add(1, m.kind()+" of "+orEmpty(m.Target))
		}
		if m.OwnSide != nil {
			add(2, m.OwnSide.Title)
		}
		if len(m.Tests) > 0 {
			add(2, "Address by address")
		}
		for _, t := range m.Tests {
			add(3, orEmpty(t.Address)+"("+t.Family+"):"+t.Verdict)
		}
		if m.Since != nil {
			add(2, fmt.Sprintf("What changed since run %d", m.Since.Base.ID))
		}
		if len(m.Fails) > 0 {
			add(2, "What fails, worst first")
		}
		for i, it := range m.Fails {
			add(3, fmt.Sprintf("%d. %s: %s", i+1, orEmpty(capital(string(it.Severity))), orEmpty(capital(it.Said[0].Text))))
		}
		if len(m.Notes) > 0 {
			add(2, "Notes, nothing to repair")
		}
		for _, it := range m.Notes {
			add(3, orEmpty(capital(string(it.Severity)))+": "+orEmpty(capital(it.Said[0].Text)))
		}
		if len(m.Unknown) > 0 {
			add(2, fmt.Sprintf("Not known (%s, %s)", plural(m.Unseen, "check"), plural(len(m.Unknown), "cause")))
		}
		add(2, "What passed")
		if len(m.Facts) > 0 {
			add(2, "What was observed")
		}
		for _, t := range m.Facts {
			add(3, orEmpty(t.Title))
		}
		add(2, "What this proves, and what it does not")
		if len(m.Repeat) > 0 {
			add(2, "The same by hand")
		}
		if len(m.Next) > 0 {
			add(2, "What to do next")
		}
	}
	return out
}

func orEmpty(s string) string {
	if squeeze(s) == "" {
		return empty
	}
	return s
}

func renderMarkdown(t testing.TB, o MarkdownOptions, models ...Model) string {
	t.Helper()
	var b bytes.Buffer
	err := Markdown(&b, models, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestMarkdownCheckCanFail shows the check what it must report.
func TestMarkdownCheckCanFail(t *testing.T) {
	if p := readMarkdown(t, "# x\n\n- a `<b>` | \\<b\\>\n\n| a |\n| --- |\n| `x\\|y` |\n"); len(p.problems) > 0 || p.text != "x a <b> | <b> a x|y" {
		t.Errorf("%q: %q", p.problems, p.text)
	}
	for _, bad := range []string{
		"<b>x</b>", "<script>alert(1)</script>", "[x](https://evil.example)", "[x](javascript:alert(1))", "![x](http://evil.example/x.png)", "<https://evil.example>",
		"https://evil.example/", "www.evil.example", "user@evil.example", "[x]\n\n[x]: https://evil.example", "~~x~~", "- [ ] x", "---", "> x", "    x", "*x*", "[^1]\n\n[^1]: x",
		"x\x1b", "x\u202e", "x ",
	} {
		if p := readMarkdown(t, bad+"\n"); len(p.problems) == 0 {
			t.Errorf("%q passes", bad)
		}
	}
}

// TestMarkdownInputs holds the documents of all inputs to the promises, alone
// and together.
func TestMarkdownInputs(t *testing.T) {
	var all []Model
	for _, file := range inputs(t) {
		e := load(t, file)
		m := Build(e.Run, e.Delta, e.History)
		all = append(all, m)
		checkMarkdown(t, renderMarkdown(t, MarkdownOptions{Client: `<b>ACME</b> & [Sons](http://x)`}, m), []Model{m})
		if t.Failed() {
			t.Fatal(file)
		}
	}
	checkMarkdown(t, renderMarkdown(t, MarkdownOptions{Client: "ACME"}, all...), all)
	checkMarkdown(t, renderMarkdown(t, MarkdownOptions{}), nil) // none at all
}

func TestMarkdownWords(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "(empty)"},
		{"plain words, and more; (some) \"quoted\" don't well-known A/AAAA 100 % 1.3 at 12:00 on 2026-11-23.", "plain words, and more; (some) \"quoted\" don't well-known A/AAAA 100 % 1.3 at 12:00 on 2026-11-23."},
		{"mx.example.org has (192.0.2.1), 2001:db8::1!", "`mx.example.org` has (`192.0.2.1`), `2001:db8::1`!"},
		{"changed at out.example.org. and at x.", "changed at `out.example.org.` and at x."},
		{"mx.example.org[192.0.2.1]:25 a -> b", "`mx.example.org[192.0.2.1]:25` a -> b"},
		{"1. not a list", `1\. not a list`},
		{"1) not a list", `1\) not a list`},
		{"1, 2", "1, 2"},
		{"- not a list", `\- not a list`},
		{"# no heading #", `\# no heading \#`},
		{"=== --- *** ___", "\\=\\=\\= --- \\*\\*\\* `___`"},
		{"> no quote", `\> no quote`},
		{"*no emphasis* _no_ **no** ~~no~~", "`*no` `emphasis*` `_no_` `**no**` `~~no~~`"},
		{"a `code` b", "a `` `code` `` b"},
		{"``` fence", "\\`\\`\\` fence"},
		{"a`b``c", "```a`b``c```"},
		{"[x](javascript:alert(1))", "`[x](javascript:alert(1`))"},
		{"<script>alert(1)</script>", "`<script>alert(1)</script>`"},
		{"user@evil.example www.evil.example http://evil.example/?x", "`user@evil.example` `www.evil.example` `http://evil.example/?x`"},
		{"AT&T &lt; & &amp;", "`AT&T` `&lt`; & `&amp`;"},
		{"bücher.example Müller 漢字", "`bücher.example` Müller 漢字"},
		{"a\x1b[31mb\n# c", "`a\\u{001B}[31mb\\u{000A}#` c"},
		{"$x$ :smile: @name #1 GH-1", "`$x$` `:smile`: `@name` `#1` GH-1"},
	} {
		got := mdWords(c.in)
		if got != c.want {
			t.Errorf("mdWords(%q) = %s, want %s", c.in, got, c.want)
		}
	}
	for in, want := range map[string]string{
		"x": "`x`", "": "(empty)", "   ": "(empty)", "`": "`` ` ``", "a``b": "```a``b```", " x ": "`  x  `", " x": "` x`", "\n": "`\\u{000A}`", `x\`: "`x\\`",
	} {
		if got := mdCode(in); got != want {
			t.Errorf("mdCode(%q) = %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{"a": "a", "a|b": `a\|b`, `a\|b`: `a\u{007C}b`, "||": `\|\|`} {
		if got := mdCellText(in); got != want {
			t.Errorf("mdCellText(%q) = %s, want %s", in, got, want)
		}
	}
}

// checkMarkdownText puts one text into every context and reads it back.
func checkMarkdownText(t testing.TB, s string) {
	t.Helper()
	d := &mdPage{}
	d.heading(1, mdWords("H "+s))
	d.heading(2, mdWords(s)+" H")
	d.block(mdWords(s))
	d.block("- "+mdWords(s), "- "+mdBold(s)+": "+mdCode(s), "  - "+mdCode(s)+", "+mdWords(s))
	d.block("1. " + mdWords(s))
	d.fence("text", []string{s, "x"})
	d.table([]string{"a", mdWords(s)}, [][]string{{mdCode(s), mdWords(s)}, {mdCell(ours(s, s)), mdCell(theirs(s, s))}})
	md := d.b.String()
	p := readMarkdown(t, md)
	for _, problem := range p.problems {
		t.Errorf("%q: %s", s, problem)
	}
	if len(p.headings) != 2 {
		t.Errorf("%q: headings %q", s, p.headings)
	}
	var b bytes.Buffer
	err := gfm().Convert([]byte(md), &b)
	if err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		want := map[string]string{"h1": "H" + Screen(s), "h2": orEmpty(Screen(s)) + "H", "pre": Screen(s) + "x"}[n.Data]
		if want != "" && squeeze(textOf(n)) != squeeze(want) {
			t.Errorf("%q: <%s> holds %q", s, n.Data, textOf(n))
		}
		if n.Data == "td" && strings.Trim(Screen(s), " ") != "" {
			bars := func(s string) string { // as bars in tables may be written, less all backslashes
				return strings.ReplaceAll(strings.ReplaceAll(squeeze(s), `\u{007C}`, "|"), `\`, "")
			}
			one, cell := bars(Screen(s)), bars(textOf(n))
			if cell != one && cell != one+","+one {
				t.Errorf("%q: a cell holds %q", s, textOf(n))
			}
		}
	}
	for name, want := range map[string]int{"h1": 1, "h2": 1, "ul": 2, "ol": 1, "li": 4, "pre": 1, "table": 1, "tr": 3, "td": 4, "th": 2, "strong": 1} {
		if count[name] != want {
			t.Errorf("%q: %d <%s>, want %d:\n%s", s, count[name], name, want, md)
		}
	}
}

func TestMarkdownContexts(t *testing.T) {
	for _, s := range hostileTexts() {
		checkMarkdownText(t, s)
	}
	for _, s := range []string{
		"1.", "1)", "-", "+", "*", "#", "=", "---", "|", "| |", `\`, `\|`, `a\`, "`", "``", "a ` b", "~~~", "```", "[x]: http://evil.example", "[ ] task", "!", "![x](y)",
		"&#64;", "x@y.example", "a  \n  b", "<!--", "<?x", "<a@b.c>", "http:x", "ftp://x.example", "xmpp:a@b.c", "[^1]", "[^1]: x", "**", "__init__", "a*b*c", "$`x`$",
		"1.\u00a0x", "()", "(1)", "10.", ".1", "\\*x\\*", "|---|", ":--", "--:", "a|b\\|c",
	} {
		checkMarkdownText(t, s)
	}
}

// TestMarkdownRandom does the same with texts of what means something in
// Markdown, and a little else. The seed is fixed.
func TestMarkdownRandom(t *testing.T) {
	pieces := strings.Split("` `` ``` * ** _ ~ ~~ ~~~ [ ] ( ) < > ! # ## + - -- --- = == | \\ & ; : :: . , ' \" / ? @ $ ^ % { } 1 1. 2) a B x. http:// https://e.x www. www.e.x a@b.c mailto: &lt; &#64; <b> </b> <!-- --> ]( ![ [^ [x] é 漢 \u00a0 \t \n", " ")
	random := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		var b strings.Builder
		for range 1 + random.IntN(9) {
			b.WriteString(pieces[random.IntN(len(pieces))])
			if random.IntN(3) == 0 {
				b.WriteByte(' ')
			}
		}
		checkMarkdownText(t, b.String())
		if t.Failed() {
			return
		}
	}
}
