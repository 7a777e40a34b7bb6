package audit

import (
	"net/netip"
	"strconv"
	"strings"
)

// The methods here read what stands behind the name of a term; at is its place
// in the term, for the faults.

// parseValue reads the value of a modifier (RFC 7208 section 6). Modifiers
// that nobody knows are ignored, but their macros must be well-formed.
func (t *SPFTerm) parseValue(value string, at int) *macroFault {
	if t.Name == "redirect" || t.Name == "exp" {
		return t.parseDomain(value, at)
	}
	text, fault := parseSPFText(value, false)
	if fault != nil {
		return &macroFault{at + fault.at, fault.text}
	}
	t.Domain = text
	return nil
}

// parseMechanism reads what stands behind the name of a mechanism: nothing, or
// something that begins with ":" or "/".
func (t *SPFTerm) parseMechanism(rest string, at int) *macroFault {
	value, colon := strings.CutPrefix(rest, ":")
	switch t.Name {
	case "all":
		if rest != "" {
			return &macroFault{at, "gives all a value, which it does not take"}
		}
	case "include", "exists":
		if !colon {
			return &macroFault{at, "names no domain"}
		}
		return t.parseDomain(value, at+1)
	case "ip4", "ip6":
		if !colon {
			return &macroFault{at, "holds no " + t.family() + " network"}
		}
		return t.parseNetwork(value, at+1)
	case "a", "mx":
		return t.parseHosts(rest, at)
	case "ptr":
		if colon {
			return t.parseDomain(value, at+1)
		}
		if rest != "" {
			return &macroFault{at, "gives ptr a prefix length, which it does not take"}
		}
	}
	return nil
}

// family is the family of an ip4 or ip6 term, in words.
func (t *SPFTerm) family() string { return "IPv" + t.Name[2:] }

// parseNetwork reads an address and perhaps a prefix length (section 5.6).
func (t *SPFTerm) parseNetwork(value string, at int) *macroFault {
	address, length, found := strings.Cut(value, "/")
	// As netip reads them, dotted quads have four numbers without leading
	// zeros (qnum), and what has colons is as in RFC 4291 section 2.2, but for
	// the zone.
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() != (t.Name == "ip4") || a.Zone() != "" {
		text := "holds no " + t.family() + " network"
		if err == nil && a.Is4() {
			text += "; IPv4 addresses are written ip4:" + a.String()
		}
		if err == nil && a.Is6() && a.Zone() == "" {
			text += "; IPv6 addresses are written ip6:" + a.String()
		}
		return &macroFault{at, text}
	}
	bits := a.BitLen()
	if found {
		n, ok := spfLength(length, bits)
		if !ok {
			return &macroFault{at + len(address) + 1, "has a prefix length that does not exist for " + t.family()}
		}
		bits = n
	}
	t.Network = netip.PrefixFrom(a, bits).Masked()
	return nil
}

// spfLength reads a prefix length: no sign, no leading zero.
func spfLength(s string, most int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= most && strconv.Itoa(n) == s
}

// parseHosts reads what follows a and mx (section 5.3): a domain or none, then
// prefix lengths or none, as in a, a/24, a//64, a:example.org/24//64. Where a
// domain ends is not in doubt: the label or macro at its end holds no slash.
func (t *SPFTerm) parseHosts(rest string, at int) *macroFault {
	rest, six, found6 := cutLength(rest, "//")
	rest, four, found4 := cutLength(rest, "/")
	var ok4, ok6 bool
	t.Bits4, ok4 = spfLength(four, 32)
	t.Bits6, ok6 = spfLength(six, 128)
	domain, colon := strings.CutPrefix(rest, ":")
	switch {
	case found4 && !ok4:
		return &macroFault{at + len(rest) + 1, "has a prefix length that does not exist for IPv4"}
	case found6 && !ok6:
		return &macroFault{at + len(rest) + 2, "has a prefix length that does not exist for IPv6"}
	case !colon && rest != "":
		return &macroFault{at, "has a prefix length that is no number"}
	}
	if !found4 {
		t.Bits4 = 32
	}
	if !found6 {
		t.Bits6 = 128
	}
	if !colon {
		return nil
	}
	return t.parseDomain(domain, at+1)
}

// cutLength cuts a mark and the digits behind it off the end.
func cutLength(s, mark string) (before, digits string, found bool) {
	before = strings.TrimRight(s, "0123456789")
	if len(before) == len(s) || !strings.HasSuffix(before, mark) {
		return s, "", false
	}
	return strings.TrimSuffix(before, mark), s[len(before):], true
}

// parseDomain reads a domain-spec (section 7.1): a macro-string that ends in a
// macro, or in a dot and a label that can be a top-level domain.
func (t *SPFTerm) parseDomain(spec string, at int) *macroFault {
	if spec == "" {
		return &macroFault{at, "names no domain"}
	}
	text, fault := parseSPFText(spec, false)
	if fault != nil {
		return &macroFault{at + fault.at, fault.text}
	}
	end := text.parts[len(text.parts)-1]
	if end.expand {
		t.Domain = text
		return nil
	}
	name := strings.TrimSuffix(end.text, ".")
	dot := strings.LastIndexByte(name, '.')
	top := name[dot+1:]
	if dot >= 0 && isTopLabel(top) {
		t.Domain = text
		return nil
	}
	return &macroFault{at + len(spec) - len(end.text) + dot + 1, t.notDomain(spec, top)}
}

// isTopLabel reports whether a label is a toplabel of section 12: letters,
// digits and hyphens, hyphens inside only, not all digits.
func isTopLabel(s string) bool {
	digits := true
	for i := range len(s) {
		c := s[i]
		hyphen := c == '-' && i > 0 && i < len(s)-1
		if !isLetter(c) && (c < '0' || c > '9') && !hyphen {
			return false
		}
		digits = digits && '0' <= c && c <= '9'
	}
	return !digits
}

// notDomain says why a domain-spec with such an end is none.
func (t *SPFTerm) notDomain(spec, top string) string {
	a, err := netip.ParseAddr(spec)
	_, tail, slash := strings.Cut(top, "/")
	switch {
	case err == nil && a.Is4() && !t.Modifier:
		return "names an address where a domain belongs; addresses are written ip4:" + a.String()
	case slash && (t.Name == "a" || t.Name == "mx") && strings.Trim(tail, "/") == "":
		return "has a slash and no prefix length"
	case slash && (t.Name == "a" || t.Name == "mx"):
		return "has a prefix length that does not exist"
	case slash:
		return "has a prefix length, which " + t.Name + " does not take"
	case strings.Contains(top, ":"):
		return "has a port, which no term takes"
	}
	return "names no fully qualified domain"
}
