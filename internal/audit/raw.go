package audit

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Raw is bytes that a stranger sent. Its printable form is ASCII and
// reversible: a backslash is written "\\", any byte outside 0x20-0x7E is
// "\xNN". JSON would silently replace invalid UTF-8, and a terminal would obey
// escape sequences; the printable form survives both.
type Raw string

// String returns the printable form. Nothing else of a Raw may reach an
// output.
func (r Raw) String() string {
	var b strings.Builder
	for i := 0; i < len(r); i++ {
		switch c := r[i]; {
		case c == '\\':
			b.WriteString(`\\`)
		case c < 0x20 || c > 0x7e:
			fmt.Fprintf(&b, `\x%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// ParseRaw reverses String. It refuses text that String cannot have written.
func ParseRaw(s string) (Raw, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x20 || c > 0x7e {
			return "", fmt.Errorf("raw text holds the unescaped byte 0x%02X at %d", c, i)
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		switch {
		case strings.HasPrefix(s[i+1:], `\`):
			b.WriteByte('\\')
			i++
		case len(s) >= i+4 && s[i+1] == 'x':
			hi, lo := unhex(s[i+2]), unhex(s[i+3])
			if hi < 0 || lo < 0 {
				return "", fmt.Errorf("raw text has a bad escape at %d", i)
			}
			b.WriteByte(byte(hi<<4 | lo))
			i += 3
		default:
			return "", fmt.Errorf("raw text has a bad escape at %d", i)
		}
	}
	return Raw(b.String()), nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// MarshalJSON writes the printable form.
func (r Raw) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// UnmarshalJSON reads the printable form.
func (r *Raw) UnmarshalJSON(b []byte) error {
	var s string
	err := json.Unmarshal(b, &s)
	if err != nil {
		return err
	}
	*r, err = ParseRaw(s)
	return err
}

// Clip returns r cut to at most n bytes.
func (r Raw) Clip(n int) Raw {
	if len(r) > n {
		return r[:n]
	}
	return r
}
