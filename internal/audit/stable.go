package audit

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Stabilizer takes out of a server's text what changes by itself, so that
// two nights in which nothing happened give the same facts. What it takes out
// is replaced by a word in angle brackets; the raw text is in the transcript.
type Stabilizer struct {
	date, clock, id *regexp.Regexp
	refused         refusalPatterns
	ours            []string
}

// maxIDToken is the shortest token of mixed letters and digits that is taken
// for a queue or session id. Host names have dots and are never taken.
const maxIDToken = 10

// NewStabilizer makes a Stabilizer that also hides our own addresses, which
// servers like to repeat and which belong to the vantage, not to the domain.
func NewStabilizer(ours ...netip.Addr) *Stabilizer {
	s := &Stabilizer{
		// RFC 5322 dates ("Mon, 23 Nov 2026 12:00:00 +0000 (UTC)"), the same
		// without the weekday, asctime dates, and ISO 8601.
		date: regexp.MustCompile(`(?i)(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?(?:` +
			`\d{1,2}[ -](?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[ -]\d{2,4}` +
			`|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\s+\d{1,2}(?:\s+\d\d:\d\d(?::\d\d)?)?,?\s+\d{4}` +
			`|\d{4}-\d\d-\d\d)` +
			`(?:[T ,]+\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?)?` +
			`(?:\s*(?:[AP]M|[+-]\d{2}:?\d{2}|Z|UTC|GMT|[A-Z]{3,4})\b)*(?:\s*\([A-Z]{2,5}\))?`),
		clock: regexp.MustCompile(`\b\d{1,2}:\d\d:\d\d(?:\.\d+)?\b`),
		id:    regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9_.:=-]*[A-Za-z0-9]`),

		refused: newRefusalPatterns(),
	}
	return s.With(ours...)
}

// With is a copy of the Stabilizer that hides further addresses of ours.
func (s *Stabilizer) With(ours ...netip.Addr) *Stabilizer {
	out := *s
	out.ours = slices.Clone(s.ours)
	for _, a := range ours {
		if a.IsValid() {
			out.ours = append(out.ours, a.Unmap().WithZone("").String())
		}
	}
	return &out
}

// Text is the stable form of one line of text.
func (s *Stabilizer) Text(r Raw) Raw {
	t := string(r)
	for _, a := range s.ours {
		t = replaceWord(t, a, "<our address>")
	}
	t = s.date.ReplaceAllString(t, "<date>")
	t = s.clock.ReplaceAllString(t, "<time>")
	t = s.id.ReplaceAllStringFunc(t, func(tok string) string {
		if looksLikeID(tok) {
			return "<id>"
		}
		return tok
	})
	return Raw(t)
}

// looksLikeID is true for long tokens without host-name shape in which
// letters and digits alternate, such as "a640c23a62f3a-a9e2b1c3d4e5si123.89"
// or "4X0000001D2E3F".
func looksLikeID(tok string) bool {
	if len(tok) < maxIDToken || strings.Contains(tok, "::") {
		return false
	}
	letters, digits, switches := 0, 0, 0
	last := byte(0)
	for i := 0; i < len(tok); i++ {
		kind := byte(0)
		switch c := tok[i]; {
		case '0' <= c && c <= '9':
			kind = 'd'
			digits++
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			kind = 'l'
			letters++
		}
		if kind != 0 && last != 0 && kind != last {
			switches++
		}
		if kind != 0 {
			last = kind
		}
	}
	if isDotted(tok) {
		// A name such as mx-12-ab34.example.net; its last label is all letters.
		return false
	}
	return digits >= 3 && letters >= 1 && switches >= 3
}

// isDotted reports whether the token ends in a label of letters, like a host
// name.
func isDotted(tok string) bool {
	i := strings.LastIndexByte(tok, '.')
	if i < 0 {
		return false
	}
	for _, c := range tok[i+1:] {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// replaceWord replaces word where it does not touch a character that could
// belong to a longer address.
func replaceWord(text, word, with string) string {
	var b strings.Builder
	for {
		i := strings.Index(text, word)
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		end := i + len(word)
		// "IPv6:" is how RFC 5321 section 4.1.3 begins a literal.
		literal := i >= 5 && strings.EqualFold(text[i-5:i], "IPv6:")
		before := i > 0 && isAddrByte(text[i-1]) && !literal
		after := end < len(text) && isAddrByte(text[end])
		b.WriteString(text[:i])
		if before || after {
			b.WriteString(word)
		} else {
			b.WriteString(with)
		}
		text = text[end:]
	}
}

func isAddrByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' || c == ':'
}
