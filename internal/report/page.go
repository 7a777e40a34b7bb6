package report

import (
	"fmt"
	"io"
	"strings"

	"mailaudit/internal/audit"
)

// Width is the width of text output, in columns.
const Width = 80

// Limits of text that is laid out for people; nothing is cut in JSON.
const (
	// minIndent is the indentation below which nothing goes to keep a long
	// word in one piece.
	minIndent = 2
	// minRoom is the room that wrapped text has at least, however long what
	// stands before it.
	minRoom = 20
	// maxRows is how many lines one piece of text takes, unless all of it is
	// wanted: the longest of ours takes six.
	maxRows = 8
)

// page writes lines of text and remembers the first error.
type page struct {
	w     io.Writer
	color bool
	rows  int // lines that one piece of text may take; 0: any number
	err   error
}

// line writes one line, without trailing blanks. What strangers or users wrote
// has gone through Screen by then.
func (p *page) line(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, strings.TrimRight(s, " ")+"\n")
	}
}

// hang writes text wrapped to the width: first is put before the first line,
// the same number of blanks before the others.
func (p *page) hang(first, text string) {
	p.hangColored(first, columns(first), text)
}

// hangColored is hang for a first part that holds colour codes; wide is how
// wide it looks.
func (p *page) hangColored(first string, wide int, text string) {
	p.block(first, wide, wrap(text, Width-wide))
}

// block writes lines, the first one behind first, the others below it. A line
// that is too long for that, because it is one word, begins further left.
func (p *page) block(first string, wide int, lines []string) {
	if p.rows > 0 && len(lines) > p.rows {
		left := 0
		for _, l := range lines[p.rows-1:] {
			left += len(l)
		}
		lines = append(lines[:p.rows-1:p.rows-1], fmt.Sprintf("... and %d characters more (-f json has all)", left))
	}
	for i, l := range lines {
		room := Width - columns(l)
		if i > 0 || room < wide {
			if i == 0 && strings.TrimSpace(first) != "" {
				p.line(first)
			}
			first = strings.Repeat(" ", min(wide, room))
		}
		p.line(first + l)
	}
}

// wrap breaks text at blanks into lines of at most width columns.
func wrap(text string, width int) []string {
	var words []string
	for word := range strings.FieldsSeq(Screen(text)) {
		if word == "%" && len(words) > 0 { // stays with its number
			words[len(words)-1] += " %"
			continue
		}
		words = append(words, word)
	}
	return fill(words, "", width)
}

// phrases is wrap for a list with commas, which breaks between its entries
// where they are short enough.
func phrases(text string, width int) []string {
	var words []string
	entries := strings.Split(text, ", ")
	for i, e := range entries {
		e = strings.Join(strings.Fields(Screen(e)), " ")
		if i < len(entries)-1 {
			e += ","
		}
		if columns(e) > width {
			words = append(words, strings.Fields(e)...)
			continue
		}
		words = append(words, e)
	}
	return fill(words, "", width)
}

// fill sets words into lines of at most width columns. Between two of them
// stand sep and a blank, and a line ends after sep. A word that is longer is
// broken: a stranger's banner must not break the layout. Only a name has a line
// of its own if it fits on the page, because it is to be copied in one piece.
// There is always a line.
func fill(words []string, sep string, width int) []string {
	width = max(width, minRoom)
	var lines []string
	var line strings.Builder
	used := 0
	flush := func() {
		lines = append(lines, line.String())
		line.Reset()
		used = 0
	}
	for i, word := range words {
		if i < len(words)-1 {
			word += sep
		}
		n := columns(word)
		if used > 0 && used+1+n > width {
			flush()
		}
		if n > width && (n > Width-minIndent || !isName(word)) {
			pieces := cut(word, width)
			last := len(pieces) - 1
			lines = append(lines, pieces[:last]...)
			word, n = pieces[last], columns(pieces[last])
		}
		if used > 0 {
			line.WriteByte(' ')
			used++
		}
		line.WriteString(word)
		used += n
	}
	if used > 0 || len(lines) == 0 {
		flush()
	}
	return lines
}

// isName reports whether a word can be a name, an address or an endpoint.
func isName(word string) bool {
	for i := 0; i < len(word); i++ {
		if !nameByte(word[i]) && word[i] != '[' && word[i] != ']' {
			return false
		}
	}
	return true
}

// cut breaks a word into pieces of at most width columns, after a dot or the
// like, or before a bracket, where there is one not too far back.
func cut(word string, width int) []string {
	var out []string
	start, used := 0, 0
	good, usedGood := 0, 0 // where a break would be good, and the columns up to there
	inside := false        // brackets, with an address in them
	for i, r := range word {
		n := runeColumns(r)
		if r == '[' {
			good, usedGood, inside = i, used, true
		}
		if used+n > width {
			end := i
			if good > start && usedGood*2 > width {
				end = good
				used -= usedGood
			} else {
				used = 0
			}
			out = append(out, word[start:end])
			start = end
		}
		used += n
		inside = inside && r != ']'
		if !inside && strings.ContainsRune("./,;:=&?@", r) {
			good, usedGood = i+len(string(r)), used
		}
	}
	return append(out, word[start:])
}

// Columns lays out two columns: left, and right wrapped beside it from the
// given column on. A left part that is too long has lines of its own.
func Columns(left string, column int, right string) string {
	var b strings.Builder
	p := &page{w: &b}
	p.beside(left, column, right)
	return b.String()
}

// Paragraph is text wrapped to the width.
func Paragraph(text string) string {
	var b strings.Builder
	p := &page{w: &b}
	p.hang("", text)
	return b.String()
}

// beside is Columns on a page.
func (p *page) beside(left string, column int, right string) {
	body := strings.TrimLeft(left, " ")
	indent := left[:len(left)-len(body)]
	if columns(Screen(left)) >= column {
		p.hang(indent, body)
		left = ""
	}
	p.hang(pad(Screen(left), column), right)
}

// clip is s, screened, in at most n columns.
func clip(s string, n int) string { return cut(Screen(s), n)[0] }

// pad fills s with blanks up to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-columns(s)))
}

// spread writes left and right at the two ends of a line, or below one another
// where there is no room for both. The entries of right are parted by sep, and
// each stays in one piece. lead stands before all of it and looks wide columns
// wide.
func (p *page) spread(lead string, wide int, left, color string, right []string, sep string) {
	var words []string
	for _, w := range right {
		words = append(words, Screen(w))
	}
	l, r := Screen(left), strings.Join(words, sep+" ")
	room := Width - wide - columns(l) - columns(r)
	if room >= 2 || r == "" && room >= 0 {
		p.line(lead + p.paint(color, l) + strings.Repeat(" ", room) + r)
		return
	}
	p.hangColored(lead, wide, left)
	lines := fill(words, sep, Width-wide)
	widest := 0
	for _, line := range lines {
		widest = max(widest, columns(line))
	}
	p.block(strings.Repeat(" ", Width-widest), Width-widest, lines)
}

// paint colours text for a terminal (ECMA-48 SGR), if colour is wanted.
func (p *page) paint(code, s string) string {
	if !p.color || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Colours: bold red, yellow, cyan, green, bold. Meaning never hangs on them
// alone: the word is always there.
const (
	red    = "1;31"
	yellow = "33"
	cyan   = "36"
	green  = "32"
	bold   = "1"
)

// severity is the short word of a severity, in its colour and padded.
func (p *page) severity(s audit.Severity) string {
	switch s {
	case audit.Critical:
		return p.paint(red, "CRIT")
	case audit.High:
		return p.paint(red, "HIGH")
	case audit.Medium:
		return p.paint(yellow, "MED ")
	case audit.Low:
		return p.paint(cyan, "LOW ")
	}
	return "info"
}
