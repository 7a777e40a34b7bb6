package audit

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSPFParts is where the number of a macro is cut off. A name has 127
// labels at most (RFC 7208 section 7.3), and nothing has more parts than
// octets.
const maxSPFParts = 1 << 20

// SPFText is a macro-string of RFC 7208 section 7.1: text in which macros
// stand for the sender, the client and so on. The zero SPFText is no text at
// all.
type SPFText struct {
	parts []spfPart
}

// spfPart is literal text, or a macro.
type spfPart struct {
	text    string // a literal, or what "%%", "%_" and "%-" stand for
	expand  bool   // it is a macro-expand of the grammar, and not a literal
	letter  byte   // in lower case; 0 for text
	escape  bool   // the letter was a capital: escape the value as in a URL
	reverse bool   // "r"
	most    int    // how many parts to use, from the right; 0: all
	split   string // the delimiters; "." where none are written
}

// SPFMacros are what the macros of RFC 7208 section 7.2 stand for.
type SPFMacros struct {
	Local    string     // l: the local part of the sender
	Origin   string     // o: the domain of the sender
	Domain   string     // d: the domain whose record is evaluated
	IP       netip.Addr // i, v, c: of the client, IPv4-mapped addresses as IPv4
	Valid    string     // p: the validated name of the client; "unknown" when empty
	Helo     string     // h; "unknown" when empty
	Receiver string     // r: the name of the receiver; "unknown" when empty
	At       time.Time  // t: in seconds since 1970
}

// macroFault is what is wrong with a macro-string, and where in it.
type macroFault struct {
	at   int // octets from its start
	text string
}

// parseSPFText reads a macro-string. explain allows what only explanations may
// hold: blanks and the letters c, r and t (RFC 7208 sections 6.2 and 7.2).
// The caller has made sure that all of s is printable ASCII.
func parseSPFText(s string, explain bool) (SPFText, *macroFault) {
	var t SPFText
	literal := 0
	for i := 0; i < len(s); {
		if s[i] != '%' {
			i++
			continue
		}
		if literal < i {
			t.parts = append(t.parts, spfPart{text: s[literal:i]})
		}
		part, length, wrong := parseSPFMacro(s[i:], explain)
		if wrong != "" {
			return SPFText{}, &macroFault{i, wrong}
		}
		t.parts = append(t.parts, part)
		i += length
		literal = i
	}
	if literal < len(s) {
		t.parts = append(t.parts, spfPart{text: s[literal:]})
	}
	return t, nil
}

// ParseSPFExplanation reads the text that exp leads to (explain-string of RFC
// 7208 section 12). ok is false when receivers are to ignore it (section 6.2).
func ParseSPFExplanation(txt Raw) (text SPFText, ok bool) {
	for i := range len(txt) {
		if txt[i] < ' ' || txt[i] > '~' {
			return SPFText{}, false
		}
	}
	text, fault := parseSPFText(string(txt), true)
	return text, fault == nil
}

// parseSPFMacro reads the macro-expand that s begins with.
func parseSPFMacro(s string, explain bool) (part spfPart, length int, wrong string) {
	if len(s) < 2 {
		return spfPart{}, 0, `ends in a "%", which begins a macro (the sign itself is written "%%")`
	}
	switch s[1] {
	case '%':
		return spfPart{text: "%", expand: true}, 2, ""
	case '_':
		return spfPart{text: " ", expand: true}, 2, ""
	case '-':
		return spfPart{text: "%20", expand: true}, 2, ""
	case '{':
	default:
		return spfPart{}, 0, `holds a "%" that begins no macro (the sign itself is written "%%")`
	}
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return spfPart{}, 0, "holds a macro that does not end"
	}
	body := s[2:end]
	if body == "" {
		return spfPart{}, 0, "holds a macro without a letter"
	}
	part = spfPart{expand: true, letter: body[0] | 0x20, escape: body[0]&0x20 == 0, split: "."}
	switch {
	case strings.IndexByte("slodipvhcrt", part.letter) < 0 || !isLetter(body[0]):
		return spfPart{}, 0, "holds a macro that does not exist"
	case strings.IndexByte("crt", part.letter) >= 0 && !explain:
		return spfPart{}, 0, "holds a macro that only explanations may use"
	}
	rest := strings.TrimLeft(body[1:], "0123456789")
	digits := body[1 : len(body)-len(rest)]
	if digits != "" {
		part.most = spfParts(digits)
		if part.most == 0 {
			return spfPart{}, 0, "holds a macro that uses no parts of its value"
		}
	}
	if rest != "" && rest[0]|0x20 == 'r' {
		part.reverse, rest = true, rest[1:]
	}
	if strings.Trim(rest, ".-+,/_=") != "" {
		return spfPart{}, 0, "holds a macro with something in it that does not belong there"
	}
	if rest != "" {
		part.split = rest
	}
	return part, end + 1, ""
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// spfParts reads the number of a macro, 0 for none but zeros.
func spfParts(digits string) int {
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return 0
	}
	n, err := strconv.Atoi(digits)
	if err != nil { // more digits than a number takes here
		return maxSPFParts
	}
	return min(n, maxSPFParts)
}

// IsZero reports whether there is no text.
func (t SPFText) IsZero() bool { return len(t.parts) == 0 }

// Uses reports whether one of the macro letters (in lower case) is in the text.
func (t SPFText) Uses(letters string) bool {
	return slices.ContainsFunc(t.parts, func(p spfPart) bool {
		return p.letter != 0 && strings.IndexByte(letters, p.letter) >= 0
	})
}

// Target is the text as a name to ask for, in the octets that go on the wire,
// without a trailing dot: the target-name of RFC 7208 section 4.8. A name that
// is too long loses labels from the left (section 7.3). Nothing says that what
// comes out can be a name: see WireName.
func (t SPFText) Target(m SPFMacros) string {
	// From the right, because no more than the right end is kept: a record of
	// 64 KB can ask for megabytes.
	var pieces []string
	length := 0
	for i := len(t.parts) - 1; i >= 0 && length < 2*maxName; i-- {
		pieces = append(pieces, t.parts[i].value(m))
		length += len(pieces[len(pieces)-1])
	}
	slices.Reverse(pieces)
	name := strings.TrimSuffix(strings.Join(pieces, ""), ".")
	for len(name) > maxName {
		_, name, _ = strings.Cut(name, ".")
	}
	return name
}

// Words is the text as text, at most so many octets of it.
func (t SPFText) Words(m SPFMacros, most int) string {
	var b strings.Builder
	for _, p := range t.parts {
		if b.Len() >= most {
			break
		}
		b.WriteString(p.value(m))
	}
	return b.String()[:min(b.Len(), most)]
}

// value is what a part stands for: the value of its letter, split, reversed,
// cut to its right-hand parts and joined by dots (RFC 7208 section 7.3). Empty
// parts count like others.
func (p spfPart) value(m SPFMacros) string {
	if p.letter == 0 {
		return p.text
	}
	v := m.letter(p.letter)
	if p.reverse || p.most > 0 || p.split != "." {
		parts := splitAny(v, p.split)
		if p.reverse {
			slices.Reverse(parts)
		}
		if p.most > 0 && p.most < len(parts) {
			parts = parts[len(parts)-p.most:]
		}
		v = strings.Join(parts, ".")
	}
	if p.escape {
		v = urlEscape(v)
	}
	return v
}

func splitAny(s, delimiters string) []string {
	var out []string
	for {
		i := strings.IndexAny(s, delimiters)
		if i < 0 {
			return append(out, s)
		}
		out = append(out, s[:i])
		s = s[i+1:]
	}
}

// urlEscape escapes all but the unreserved characters of RFC 3986 section 2.3.
func urlEscape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if isLetter(c) || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + hex[c>>4:c>>4+1] + hex[c&15:c&15+1])
	}
	return b.String()
}

// letter is the value of a macro letter (RFC 7208 section 7.2).
func (m SPFMacros) letter(c byte) string {
	switch c {
	case 's':
		return m.Local + "@" + m.Origin
	case 'l':
		return m.Local
	case 'o':
		return m.Origin
	case 'd':
		return m.Domain
	case 'i':
		return dotted(m.IP)
	case 'p':
		return orUnknown(m.Valid)
	case 'v':
		if m.IP.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'h':
		return orUnknown(m.Helo)
	case 'c':
		return m.IP.String()
	case 'r':
		return orUnknown(m.Receiver)
	}
	return strconv.FormatInt(m.At.Unix(), 10) // t
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// dotted is an address as %{i} has it: an IPv6 address in nibbles.
func dotted(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	const hex = "0123456789abcdef"
	var b []byte
	for _, octet := range a.As16() {
		b = append(b, hex[octet>>4], '.', hex[octet&15], '.')
	}
	return string(b[:len(b)-1])
}

// WireName is the name whose labels are the octets between the dots of s, as
// an expanded macro has them. ok is false for what cannot be a name in the
// DNS: empty and overlong labels, more than 253 octets, the root (RFC 1035
// section 2.3.4).
func WireName(s string) (name DNSName, ok bool) {
	s = strings.TrimSuffix(s, ".")
	if len(s) > maxName {
		return "", false
	}
	var b strings.Builder
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel {
			return "", false
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		for i := range len(label) {
			writeNameOctet(&b, label[i])
		}
	}
	return NewDNSName(b.String()), true
}

// writeNameOctet writes an octet of a label in presentation form, with the
// escapes that names from the wire have here.
func writeNameOctet(b *strings.Builder, c byte) {
	switch {
	case c < ' ' || c > '~':
		b.WriteByte('\\')
		b.WriteByte('0' + c/100)
		b.WriteByte('0' + c/10%10)
		b.WriteByte('0' + c%10)
	case strings.IndexByte(` '@;()"\`, c) >= 0:
		b.WriteByte('\\')
		b.WriteByte(c)
	default:
		b.WriteByte(c)
	}
}
