package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Screen makes a string safe for a terminal and for one line: control
// characters, escape sequences, invalid UTF-8, what turns the direction of
// writing (Unicode categories C and Z other than the plain blank) and letters
// that cannot be seen are written as escapes. What is already printable stays
// as it is.
func Screen(s string) string {
	if plainASCII(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02X`, s[i])
		case !visible(r):
			fmt.Fprintf(&b, `\u{%04X}`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// visible reports whether a terminal shows r, and shows it where it stands.
// The Hangul fillers and their like are letters by category, and blank.
func visible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

func plainASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// columns is how many columns of a terminal s takes, at most: what Unicode
// leaves open counts as wide, and a combining mark as one, so that a line
// never comes out longer than it was meant to be.
func columns(s string) int {
	if plainASCII(s) {
		return len(s)
	}
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// runeColumns follows Unicode Standard Annex 11 (East Asian Width), in whole
// blocks and to the wide side.
func runeColumns(r rune) int {
	if r < 0x1100 {
		return 1
	}
	for _, wide := range [][2]rune{
		{0x1100, 0x115F}, {0x231A, 0x23FF}, {0x25FD, 0x27BF}, {0x2B00, 0x2BFF}, {0x2E80, 0xA4CF}, {0xA960, 0xA97F},
		{0xAC00, 0xD7FF}, {0xF900, 0xFAFF}, {0xFE10, 0xFE6F}, {0xFF00, 0xFFEF}, {0x16FE0, 0x18DFF}, {0x1AFF0, 0x1B2FF},
		{0x1D300, 0x1D37F}, {0x1F000, 0x1FAFF}, {0x20000, 0x3FFFF},
	} {
		if r >= wide[0] && r <= wide[1] {
			return 2
		}
	}
	return 1
}
