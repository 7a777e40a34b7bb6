package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Domain is a mail domain as a user named it: validated by IDNA (RFC 5890),
// kept as A-labels in lower case without the trailing dot. The zero Domain is
// no domain.
type Domain struct{ ascii string }

// InputError is bad user input: what is wrong and what to do about it.
type InputError struct {
	Problem string // "the label ... has 64 octets; 63 are allowed"
	Hint    string // what to type instead; may be empty
}

// Error is the problem alone: the hint is shown apart.
func (e *InputError) Error() string { return e.Problem }

// Limits of RFC 1035 section 2.3.4, in octets.
const (
	maxLabel = 63
	maxName  = 253 // 255 on the wire, less the first length and the root
)

// ParseDomain reads what a user typed as a domain. A mail address and a URL
// are understood for what they probably mean: the second result is then a
// sentence that says which domain was taken. Errors are always *InputError.
func ParseDomain(s string) (Domain, string, error) {
	text, note := strings.TrimSpace(s), ""
	if text == "" {
		return Domain{}, "", &InputError{"the domain is empty", "name one, for example: mailaudit audit example.org"}
	}
	if i := strings.Index(text, "://"); i >= 0 {
		return Domain{}, "", urlError(text, text[i+3:])
	}
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		note = fmt.Sprintf("%s is a mail address: auditing its domain, %s", Raw(text).Clip(200), Raw(text[i+1:]).Clip(200))
		text = text[i+1:]
		if text == "" {
			return Domain{}, "", &InputError{"the mail address has no domain after the @", ""}
		}
	}
	_, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err == nil {
		return Domain{}, "", &InputError{fmt.Sprintf("%s is an IP address, not a domain", Raw(text)), "name the domain whose mail it handles"}
	}
	ascii, err := toASCII(strings.TrimSuffix(text, "."))
	if err != nil {
		return Domain{}, "", err
	}
	return Domain{ascii}, note, nil
}

func urlError(text, rest string) error {
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	hint := "name the mail domain alone"
	d, _, err := ParseDomain(strings.Split(rest, ":")[0])
	if err == nil {
		hint = "did you mean: mailaudit audit " + d.String()
	}
	return &InputError{fmt.Sprintf("%s is a URL, not a domain", Raw(text).Clip(200)), hint}
}

// toASCII converts to A-labels and checks the limits label by label, so that
// the message can name the label that breaks one.
func toASCII(text string) (string, error) {
	shown := Raw(text).Clip(200)
	if !utf8.ValidString(text) {
		return "", &InputError{fmt.Sprintf("%s is not valid UTF-8", shown), "check the character set of your terminal or file"}
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" {
			return "", &InputError{fmt.Sprintf("%s has an empty label (two dots in a row, or a dot at the start)", shown), ""}
		}
		if len(label) > maxLabel && isASCII(label) {
			return "", &InputError{fmt.Sprintf("a label of %s has %d octets; 63 are allowed (RFC 1035 2.3.4)", shown, len(label)), ""}
		}
		if strings.ContainsRune(label, '_') {
			return "", &InputError{fmt.Sprintf("%s has an underscore, which no mail domain has", shown), "name the mail domain itself; mailaudit adds _dmarc and the like"}
		}
	}
	ascii, err := idna.Lookup.ToASCII(text)
	if err != nil {
		return "", &InputError{fmt.Sprintf("%s is not a domain name: %s", shown, idnaProblem(err)), ""}
	}
	if len(ascii) > maxName {
		return "", &InputError{fmt.Sprintf("%s... has %d octets; a name has 253 at most (RFC 1035 2.3.4)", shown, len(ascii)), ""}
	}
	// What IDNA maps (wide dots, characters without width) can leave another
	// trailing dot or an empty label behind, and it does not count octets.
	ascii = strings.TrimSuffix(ascii, ".")
	for label := range strings.SplitSeq(ascii, ".") {
		if len(label) > maxLabel {
			return "", &InputError{fmt.Sprintf("a label of %s has %d octets as %s...; 63 are allowed (RFC 1035 2.3.4)", shown, len(label), label[:20]), ""}
		}
	}
	again, err := idna.Lookup.ToASCII(ascii)
	if err != nil || again != ascii || !DNSName(ascii).IsHostname() {
		return "", &InputError{fmt.Sprintf("%s is not a domain name", shown), ""}
	}
	return ascii, nil
}

// idnaProblem is idna's message without its package prefix, made printable:
// it quotes the input.
func idnaProblem(err error) string {
	return Raw(strings.TrimPrefix(err.Error(), "idna: ")).Clip(200).String()
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7e }) < 0
}

// String is the domain in A-labels: what is asked and what is stored.
func (d Domain) String() string { return d.ascii }

// Name is the domain as a DNS name.
func (d Domain) Name() DNSName { return DNSName(d.ascii) }

// IsZero reports whether no domain was named.
func (d Domain) IsZero() bool { return d.ascii == "" }

// Unicode is the domain in U-labels, or "" when that adds nothing to String.
func (d Domain) Unicode() string {
	u, err := idna.Display.ToUnicode(d.ascii)
	if err != nil || u == d.ascii {
		return ""
	}
	return u
}

// MarshalJSON writes the A-labels.
func (d Domain) MarshalJSON() ([]byte, error) { return json.Marshal(d.ascii) }

// UnmarshalJSON reads A-labels that ParseDomain has once accepted.
func (d *Domain) UnmarshalJSON(b []byte) error {
	var s string
	err := json.Unmarshal(b, &s)
	if err != nil {
		return err
	}
	if s == "" {
		*d = Domain{}
		return nil
	}
	got, _, err := ParseDomain(s)
	if err != nil {
		return err
	}
	if got.ascii != s {
		return errors.New("domain is not in its stored form: " + Raw(s).String())
	}
	*d = got
	return nil
}

// DNSName is any name from the wire in the presentation form of RFC 1035
// section 5.1 (with its \. and \DDD escapes), in lower case, without the
// trailing dot. The root is ".". Underscores and odd bytes are kept: this is
// what somebody published, not what somebody should have.
type DNSName string

// NewDNSName brings a presentation-form name into the form of DNSName.
// Letter case is folded for ASCII only, as in RFC 4343.
func NewDNSName(presentation string) DNSName {
	s := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, presentation)
	if s == "." || s == "" {
		return "."
	}
	rest, dot := strings.CutSuffix(s, ".")
	escapes := len(rest) - len(strings.TrimRight(rest, `\`))
	if dot && escapes%2 == 0 { // an odd number escapes the dot itself
		s = rest
	}
	return DNSName(s)
}

// String is the name in printable form.
func (n DNSName) String() string { return Raw(n).printableName() }

// printableName is String for names: their backslash escapes are part of the
// presentation form already and must not be doubled.
func (r Raw) printableName() string {
	return strings.ReplaceAll(r.String(), `\\`, `\`)
}

// FQDN is the name with the trailing dot, as zone files write it.
func (n DNSName) FQDN() string {
	if n == "." {
		return "."
	}
	return string(n) + "."
}

// IsHostname reports whether the name consists of LDH labels (RFC 952, 1123)
// and is no bare root.
func (n DNSName) IsHostname() bool {
	if n == "." || n == "" || len(n) > maxName {
		return false
	}
	for label := range strings.SplitSeq(string(n), ".") {
		if len(label) == 0 || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

// Dig is the command that asks for the records of a type at a name, quoted
// so that it can be pasted into a shell. The name stands behind -q: alone, dig
// would take one like @192.0.2.1, -f or +trace for a server or an option, and
// one like axfr for a type.
func Dig(rrtype string, n DNSName) string {
	return "dig -t " + rrtype + " -q " + ShellQuote(n.String())
}

// ShellQuote quotes a word for a POSIX shell when it needs quoting.
func ShellQuote(s string) string {
	plain := s != "" && s[0] != '-' && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-:/@[]+=,", r)
	}) < 0
	if plain && !strings.ContainsAny(s, "[]") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
