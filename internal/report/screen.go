package report

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"mailaudit/internal/audit"
)

// Width is the width of text output, in columns.
const Width = 80

// Screen makes a string safe for a terminal and for one line: control
// characters, escape sequences, invalid UTF-8 and what turns the direction of
// writing (Unicode categories C and Z other than the plain blank) are written
// as escapes. What is already printable stays as it is.
func Screen(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02X`, s[i])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u{%04X}`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// page writes lines of text and remembers the first error.
type page struct {
	w     io.Writer
	color bool
	err   error
}

// line writes one line, without trailing blanks.
func (p *page) line(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, strings.TrimRight(s, " ")+"\n")
	}
}

// hang writes text wrapped to the width: first is put before the first line,
// the same number of blanks before the others.
func (p *page) hang(first, text string) {
	p.hangColored(first, len([]rune(first)), text)
}

// hangColored is hang for a first part that holds colour codes; columns is
// how wide it looks.
func (p *page) hangColored(first string, columns int, text string) {
	for i, l := range wrap(text, Width-columns) {
		if i == 0 {
			p.line(first + l)
			continue
		}
		p.line(strings.Repeat(" ", columns) + l)
	}
}

// wrap breaks text at blanks into lines of at most width columns. A word that
// is longer is broken: a stranger's banner must not break the layout.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(Screen(text)) {
		for len([]rune(word)) > width {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			rs := []rune(word)
			lines = append(lines, string(rs[:width]))
			word = string(rs[width:])
		}
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// Columns lays out two columns: left, and right wrapped beside it from the
// given column on. A left part that is too long has a line of its own.
func Columns(left string, column int, right string) string {
	var b strings.Builder
	p := &page{w: &b}
	if len([]rune(left)) >= column {
		p.line(left)
		left = ""
	}
	p.hang(pad(left, column), right)
	return b.String()
}

// pad fills s with blanks up to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-len([]rune(s))))
}

// paint colours text for a terminal (ECMA-48 SGR), if colour is wanted.
func (p *page) paint(code, s string) string {
	if !p.color {
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
