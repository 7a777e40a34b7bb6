package report

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// ourSGR are the colour codes that we write, and no others.
var ourSGR = regexp.MustCompile("\x1b\\[(1;31|33|36|32|1|0)m")

// unsafeText says what is wrong with text for a terminal, or "". It knows
// nothing of Screen: bytes, categories and widths are looked at anew.
func unsafeText(text string, color bool) string {
	if !strings.HasSuffix(text, "\n") || !utf8.ValidString(text) {
		return "no newline at the end, or no UTF-8"
	}
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if color {
			codes := ourSGR.FindAllString(line, -1)
			for i, c := range codes {
				if (c == "\x1b[0m") != (i%2 == 1) {
					return "line " + line + ": colours that do not alternate with resets"
				}
			}
			if len(codes)%2 != 0 {
				return "line " + line + ": a colour that runs on"
			}
			line = ourSGR.ReplaceAllString(line, "")
		}
		if strings.HasSuffix(line, " ") && strings.TrimSpace(line) == "" {
			return "blanks on an empty line"
		}
		wide := 0
		for _, r := range line {
			switch {
			case r < 0x20, r == 0x7f, unicode.Is(unicode.C, r):
				return "line " + strings.ToValidUTF8(line, "?") + ": control or format character"
			case unicode.Is(unicode.Z, r) && r != ' ':
				return "line " + line + ": a blank that is none"
			case unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
				return "line " + line + ": a letter that cannot be seen"
			case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul), r >= 0xFF01 && r <= 0xFF60, r >= 0x1F300 && r <= 0x1FAFF:
				wide += 2
			default:
				wide++
			}
		}
		if wide > 80 {
			return "a line is wider than 80 columns: " + line + " (line " + string(rune('0'+n%10)) + ")"
		}
	}
	return ""
}

func checkText(t testing.TB, text string, color bool) {
	t.Helper()
	problem := unsafeText(text, color)
	if problem != "" {
		t.Errorf("%.300s", problem)
	}
}

// TestUnsafeTextCanFail shows the property what it must report.
func TestUnsafeTextCanFail(t *testing.T) {
	for _, bad := range []string{
		"no newline", "\xff\n", "a\x1b[31mb\n", "tab\t\n", "a\rb\n", "csi \u009b1m\n", "del \x7f\n", "bidi \u202e\n", "soft\u00adhyphen\n",
		"nbsp\u00a0\n", "ls\u2028\n", "filler \u3164\n", strings.Repeat("x", 81) + "\n", strings.Repeat("日", 41) + "\n", "   \n",
	} {
		if unsafeText(bad, false) == "" {
			t.Errorf("%q passes", bad)
		}
	}
	for _, bad := range []string{"\x1b[31mx\x1b[0m\n", "\x1b[1;31mx\n", "\x1b[0m\x1b[1m\n", "\x1b]52;c;x\x07\n", "\x1b[1mx\x1b[1m\n"} {
		if unsafeText(bad, true) == "" {
			t.Errorf("in colour, %q passes", bad)
		}
	}
	for _, good := range []string{strings.Repeat("x", 80) + "\n", strings.Repeat("日", 40) + "\n", "a · b\n\n"} {
		problem := unsafeText(good, false)
		if problem != "" {
			t.Errorf("%q: %s", good, problem)
		}
	}
	if problem := unsafeText("\x1b[1;31mHIGH\x1b[0m x\n", true); problem != "" {
		t.Error(problem)
	}
}
