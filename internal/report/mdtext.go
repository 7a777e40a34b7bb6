package report

import (
	"strings"
)

// This file escapes text for GitHub-flavoured Markdown
// (https://github.github.com/gfm/). Backslashes alone do not do: GitHub looks
// for mail addresses, URLs and @names in what is left after they were taken
// away. So a word that is more than letters, such as a host name, stands in a
// code span, where nothing means anything; that is also how it reads best.

// empty stands for a text without letters: a list item, a heading or a span
// without text would join what stands around it.
const empty = "(empty)"

// mdWords escapes a sentence. Runs of blanks become one.
func mdWords(s string) string {
	var out []string
	for i, w := range strings.Fields(Screen(s)) {
		out = append(out, mdWord(w, i == 0))
	}
	if len(out) == 0 {
		return empty
	}
	return strings.Join(out, " ")
}

// mdWord escapes a word; first, if a block may begin with it.
func mdWord(w string, first bool) string {
	core := strings.TrimRight(strings.TrimLeft(w, `("'`), `.,;:)?!'"%`)
	if !strings.ContainsFunc(core, func(r rune) bool { return r >= 0x80 || nameByte(byte(r)) && r != '-' && r != '.' && r != ':' }) {
		return mdSigns(w, first)
	}
	at := strings.Index(w, core)
	before, after := w[:at], w[at+len(core):]
	if mdPlain(core) {
		if first && before == "" && strings.Trim(core, "0123456789") == "" && (after[:min(1, len(after))] == "." || after[:min(1, len(after))] == ")") {
			after = `\` + after // "1." would be a list
		}
		return before + core + after
	}
	if strings.Contains(core, ".") && strings.HasPrefix(after, ".") { // of a name (RFC 1034 section 3.1), probably
		core, after = core+".", after[1:]
	}
	return before + mdCode(core) + after
}

// mdPlain reports whether a word is letters, digits and what joins them in
// ordinary words, or a number such as 1.3 or 12:00. Whatever is no ASCII has no
// meaning in Markdown.
func mdPlain(core string) bool {
	number := strings.Trim(core, "0123456789")
	if number == "." || number == ":" {
		return true
	}
	for i := 0; i < len(core); i++ {
		c := core[i]
		letter := c >= 0x80 || nameByte(c) && strings.IndexByte(".-_:", c) < 0
		joint := (c == '-' || c == '/' || c == '\'') && i > 0 && i < len(core)-1
		if !letter && !joint {
			return false
		}
	}
	return true
}

// mdSigns escapes a word that has no letters.
func mdSigns(w string, first bool) string {
	special := "`*_[]<#~\\!$@{}^"
	if first {
		special += "+-=.:)(>"
	}
	var b strings.Builder
	for i := 0; i < len(w); i++ {
		if strings.IndexByte(special, w[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(w[i])
	}
	return b.String()
}

// mdCode is a code span (GFM section 6.3), its fence longer than any run of
// backticks in it. It can stand in a table as well: there a bar is escaped, and
// one behind a backslash, about which implementations differ, is written as
// Screen writes what cannot be shown.
func mdCode(s string) string {
	s = Screen(s)
	if strings.Trim(s, " ") == "" {
		return empty
	}
	fence := strings.Repeat("`", longestRun(s)+1)
	if s[0] == '`' || s[len(s)-1] == '`' || s[0] == ' ' && s[len(s)-1] == ' ' {
		s = " " + s + " "
	}
	return fence + s + fence
}

// mdCellText makes Markdown fit for a cell of a table (GFM section 4.10), where
// a bar ends the cell, in a code span too.
func mdCellText(md string) string {
	md = strings.ReplaceAll(md, `\|`, `\u{007C}`)
	return strings.ReplaceAll(md, "|", `\|`)
}

// longestRun is the length of the longest run of backticks.
func longestRun(s string) int {
	longest, run := 0, 0
	for i := 0; i < len(s); i++ {
		run++
		if s[i] != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// mdBold is a sentence in bold.
func mdBold(s string) string { return "**" + mdWords(s) + "**" }

// mdList is a list of sentences.
func mdList(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, mdWords(s))
	}
	return out
}

// mdSpans is a list of code spans.
func mdSpans(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, mdCode(s))
	}
	return strings.Join(out, ", ")
}

// mdCell is a fact as Markdown.
func mdCell(c Cell) string {
	if c.Kind == CellCode {
		return mdSpans(c.Lines)
	}
	if len(c.Lines) == 0 {
		return ""
	}
	return mdWords(strings.Join(c.Lines, ", "))
}

// mdLink is a reference of the catalogue, the only links that there are.
func mdLink(r RefLine) string {
	if !linkable(r.URL) {
		return mdWords(r.Text)
	}
	var text strings.Builder
	for _, c := range r.Text {
		if c < 0x80 && strings.ContainsRune("!\"#$%&'()*+,-/:;<=>?@[\\]^_`{|}~", c) {
			text.WriteByte('\\')
		}
		text.WriteRune(c)
	}
	return "[" + text.String() + "](" + r.URL + ")"
}
