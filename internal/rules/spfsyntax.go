package rules

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mailaudit/internal/audit"
)

// This file is the grammar of SPF records (RFC 7208 section 12), as far as it
// takes no lookup: a record that breaks it is a permerror for everyone.

// spfTerm is a term with the text that it was written as.
type spfTerm struct {
	audit.SPFTerm
	text audit.Raw
}

// spfTermShown is how much of a term a sentence quotes, in octets.
const spfTermShown = 80

func spfTerms(record audit.Raw) []spfTerm {
	var out []spfTerm
	words := strings.Fields(string(record))[1:] // as audit.SPFTerms splits it
	for i, t := range audit.SPFTerms(record) {
		out = append(out, spfTerm{t, audit.Raw(words[i])})
	}
	return out
}

func (t spfTerm) quoted() string { return `"` + t.text.Clip(spfTermShown).String() + `"` }

func (t spfTerm) isRedirect() bool { return t.Modifier && t.Name == "redirect" }

// qualified reports whether a qualifier is written in front of the term.
func (t spfTerm) qualified() bool { return strings.IndexByte("+-~?", t.text[0]) >= 0 }

// separator is what stands behind the name: ':', '=', '/', or 0 at the end.
func (t spfTerm) separator() byte {
	rest := t.rest()
	if rest == "" {
		return 0
	}
	return rest[0]
}

// value is what the separator leads to. A slash is part of it: it begins a
// prefix length.
func (t spfTerm) value() string {
	rest := t.rest()
	if t.separator() == ':' || t.separator() == '=' {
		return rest[1:]
	}
	return rest
}

// rest is the term without its qualifier and its name.
func (t spfTerm) rest() string {
	word := string(t.text)
	if t.qualified() {
		word = word[1:]
	}
	return word[min(len(word), len(t.Name)):]
}

// network is the network of a well-formed ip4 or ip6 mechanism.
func (t spfTerm) network() (netip.Prefix, bool) {
	if t.Modifier || t.Name != "ip4" && t.Name != "ip6" {
		return netip.Prefix{}, false
	}
	address, length, found := strings.Cut(t.value(), "/")
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() != (t.Name == "ip4") || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	bits := a.BitLen()
	if found {
		n, ok := spfPrefixLength(length, bits)
		if !ok {
			return netip.Prefix{}, false
		}
		bits = n
	}
	return netip.PrefixFrom(a, bits).Masked(), true
}

// spfAll is the place of the first all, at which evaluation ends, or -1.
func spfAll(terms []spfTerm) int {
	return slices.IndexFunc(terms, func(t spfTerm) bool { return t.Name == "all" && !t.Modifier && t.value() == "" })
}

func spfHasRedirect(terms []spfTerm) bool { return slices.ContainsFunc(terms, spfTerm.isRedirect) }

// spfMechanism reports whether SPF has a mechanism of that name (section 5).
func spfMechanism(name string) bool {
	return slices.Contains([]string{"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}, name)
}

// spfFaults lists what is wrong with a record, as ends of a sentence that name
// the term.
func spfFaults(record audit.Raw, terms []spfTerm) []string {
	var out []string
	seen := map[string]bool{}
	for _, t := range terms {
		fault := t.fault()
		if t.Modifier && (t.Name == "redirect" || t.Name == "exp") {
			if seen[t.Name] && fault == "" {
				fault = "repeats " + t.Name + ", which may stand only once" // section 6
			}
			seen[t.Name] = true
		}
		if fault != "" {
			out = append(out, t.quoted()+" "+fault)
		}
	}
	// Only blanks separate terms (section 4.6.1); splitting took away others.
	if len(out) == 0 && !spfPrintable(string(record)) {
		out = append(out, "there is a tab, or another character that is no printable ASCII")
	}
	return out
}

func spfPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func (t spfTerm) fault() string {
	switch {
	case !spfPrintable(string(t.text)):
		return "holds a character that is no printable ASCII"
	case t.Modifier && t.qualified():
		return "has a qualifier, which modifiers do not take"
	case t.Modifier:
		return t.modifierFault()
	}
	switch t.Name {
	case "all":
		if t.separator() != 0 {
			return "gives all a value, which it does not take"
		}
	case "include", "exists":
		if t.separator() != ':' || t.value() == "" {
			return "names no domain"
		}
		return spfDomainFault(t.value())
	case "ip4", "ip6":
		_, ok := t.network()
		if !ok || t.separator() != ':' {
			return "holds no " + strings.Replace(t.Name, "ip", "IPv", 1) + " network"
		}
	case "a", "mx":
		return t.hostFault()
	case "ptr":
		if t.separator() == ':' {
			return spfDomainFault(t.value())
		}
		if t.separator() != 0 {
			return "gives ptr a prefix length, which it does not take"
		}
	default:
		return "is no term of SPF"
	}
	return ""
}

// modifierFault judges a name=value term. Modifiers that nobody knows are
// ignored when they are well-formed (section 6).
func (t spfTerm) modifierFault() string {
	for i := range len(t.Name) {
		c := t.Name[i]
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || strings.IndexByte("0123456789-_.", c) < 0) {
			return "is no term of SPF"
		}
	}
	switch {
	case t.Name == "":
		return "is no term of SPF"
	case t.Name != "redirect" && t.Name != "exp":
		if !spfMacrosOK(t.value()) {
			return "holds a macro that does not exist"
		}
		return ""
	case t.value() == "":
		return "names no domain"
	}
	return spfDomainFault(t.value())
}

// hostFault judges a and mx: a domain or none, then prefix lengths or none
// (section 5.3): a, a/24, a//64, a:example.org/24//64.
func (t spfTerm) hostFault() string {
	domain, lengths := t.value(), true
	for _, kind := range []struct {
		mark string
		bits int
	}{{"//", 128}, {"/", 32}} {
		i := strings.LastIndex(domain, kind.mark)
		if i < 0 || strings.Trim(domain[i+len(kind.mark):], "0123456789") != "" {
			continue // a slash elsewhere is part of a macro, or found below to be none of a domain
		}
		_, ok := spfPrefixLength(domain[i+len(kind.mark):], kind.bits)
		domain, lengths = domain[:i], lengths && ok
	}
	switch {
	case !lengths:
		return "has a prefix length that does not exist"
	case t.separator() == ':' && domain == "":
		return "names no domain"
	case t.separator() == ':':
		return spfDomainFault(domain)
	case domain != "":
		return "has a prefix length that is no number"
	}
	return ""
}

// spfPrefixLength reads a prefix length: no sign, no leading zero.
func spfPrefixLength(s string, most int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= most && strconv.Itoa(n) == s
}

// spfDomainFault judges a domain-spec (section 7.1): text with macros that ends
// in a macro, or in a dot and a label that can be a top-level domain.
func spfDomainFault(spec string) string {
	if spec == "" {
		return "names no domain"
	}
	if !spfMacrosOK(spec) {
		return "holds a macro that does not exist"
	}
	if strings.HasSuffix(spec, "}") && strings.Contains(spec, "%{") {
		return ""
	}
	name := strings.TrimSuffix(spec, ".")
	dot := strings.LastIndexByte(name, '.')
	top := strings.ToLower(name[dot+1:])
	if dot < 0 || !audit.DNSName(top).IsHostname() || strings.Trim(top, "0123456789") == "" {
		return "names no fully qualified domain"
	}
	return ""
}

// spfMacrosOK checks the macros of a text: %%, %_, %-, and %{...}.
func spfMacrosOK(s string) bool {
	for {
		_, rest, found := strings.Cut(s, "%")
		switch {
		case !found:
			return true
		case rest == "":
			return false
		case strings.IndexByte("%_-", rest[0]) >= 0:
			s = rest[1:]
			continue
		}
		body, after, closed := strings.Cut(rest, "}")
		if !closed || !spfMacro(body) {
			return false
		}
		s = after
	}
}

// spfMacro checks "{" and what follows it: a letter, a number of labels other
// than zero, "r", delimiters. The letters c, r and t are for the text that exp
// leads to (section 7.2).
func spfMacro(body string) bool {
	if len(body) < 2 || body[0] != '{' || !strings.Contains("slodiphv", strings.ToLower(body[1:2])) {
		return false
	}
	rest := strings.TrimLeft(body[2:], "0123456789")
	number := body[2 : len(body)-len(rest)]
	if number != "" && strings.Trim(number, "0") == "" {
		return false
	}
	if rest != "" && rest[0]|0x20 == 'r' {
		rest = rest[1:]
	}
	return strings.Trim(rest, ".-+,/_=") == ""
}
