package audit

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// This file is the grammar of SPF records (RFC 7208 section 12), term by term
// and never by substring. It takes no lookup: a record that breaks it is a
// permerror for everyone, whoever sends (section 4.6).

// SPFRecord is an SPF record taken apart.
type SPFRecord struct {
	Text  Raw
	Terms []SPFTerm
	// Faults are all breaches of the grammar, by their places. With one of
	// them the whole record is a permerror.
	Faults []SPFFault
}

// SPFTerm is a directive or a modifier.
type SPFTerm struct {
	At        int    // the place of its first octet in the record, from 1
	Text      Raw    // as written
	Qualifier byte   // one of + - ~ ?; '+' where none is written; 0 for modifiers
	Modifier  bool   // name=value
	Name      string // in lower case: "all", "include", "ip4", "redirect", or of an unknown modifier
	Faulty    bool   // the grammar does not allow it; what follows may be missing

	Domain  SPFText      // the domain-spec, or the value of an unknown modifier; may be zero
	Network netip.Prefix // of ip4 and ip6, without host bits
	Bits4   int          // of a and mx: the prefix length for IPv4, 32 where none is written
	Bits6   int          // the same for IPv6, 128
}

// SPFFault is a breach of the grammar.
type SPFFault struct {
	At   int    `json:"at"`   // the place in the record where the grammar is left, octets from 1
	Term Raw    `json:"term"` // the term; empty when it is about the whole record
	Text string `json:"text"` // what is wrong with the term: the end of a sentence that begins with it
}

// spfTermShown is how much of a term a sentence quotes, in octets.
const spfTermShown = 80

// String is a sentence without its full stop: which term, where, and what is
// wrong.
func (f SPFFault) String() string {
	who := "the record"
	if f.Term != "" {
		who = quoteTerm(f.Term)
	}
	return who + " " + f.Text + " (octet " + strconv.Itoa(f.At) + ")"
}

// Quoted is the term in quotes, cut where it is very long.
func (t SPFTerm) Quoted() string { return quoteTerm(t.Text) }

func quoteTerm(text Raw) string { return `"` + text.Clip(spfTermShown).String() + `"` }

// IsAll reports whether the term is a mechanism all.
func (t SPFTerm) IsAll() bool { return t.Name == "all" && !t.Modifier && !t.Faulty }

// Is reports whether the term is the mechanism, or the modifier, of that name.
func (t SPFTerm) Is(name string) bool {
	return t.Name == name && t.Modifier == (name == "redirect" || name == "exp")
}

// Looks reports whether the term counts against the ten lookups of RFC 7208
// section 4.6.4.
func (t SPFTerm) Looks() bool {
	switch t.Name {
	case "include", "a", "mx", "ptr", "exists":
		return !t.Modifier
	case "redirect":
		return t.Modifier
	}
	return false
}

// IsSPFMechanism reports whether SPF has a mechanism of that name (RFC 7208
// section 5).
func IsSPFMechanism(name string) bool {
	return slices.Contains([]string{"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}, name)
}

// All is the place among the terms of the first all, at which evaluation ends,
// or -1.
func (r SPFRecord) All() int { return slices.IndexFunc(r.Terms, SPFTerm.IsAll) }

// Find is the first term of that name without a fault.
func (r SPFRecord) Find(name string) (SPFTerm, bool) {
	i := slices.IndexFunc(r.Terms, func(t SPFTerm) bool { return t.Is(name) && !t.Faulty })
	if i < 0 {
		return SPFTerm{}, false
	}
	return r.Terms[i], true
}

// IsSPF reports whether a TXT record is an SPF record: the version token,
// then a blank or the end (RFC 7208 section 4.5). "v=spf10" is none.
func IsSPF(txt Raw) bool {
	version, _, _ := strings.Cut(string(txt), " ")
	return strings.EqualFold(version, spfVersion)
}

const spfVersion = "v=spf1"

// IsSenderID reports whether a TXT record is one of Sender ID, which nobody
// reads any more: "spf2.0/" and scopes (RFC 4406 section 3.1; historic since
// RFC 6686). It is no SPF record, and no fault in one.
func IsSenderID(txt Raw) bool {
	version, _, _ := strings.Cut(string(txt), " ")
	version = strings.ToLower(version)
	minor, scopes, ok := strings.Cut(strings.TrimPrefix(version, "spf2."), "/")
	return ok && strings.HasPrefix(version, "spf2.") && minor != "" && strings.Trim(minor, "0123456789") == "" && scopes != ""
}

// ParseSPF takes a record apart for which IsSPF holds. Faulty terms are among
// the terms, in their places.
func ParseSPF(txt Raw) SPFRecord {
	r := SPFRecord{Text: txt}
	if !IsSPF(txt) {
		r.Faults = []SPFFault{{At: 1, Text: "does not begin with the version, " + spfVersion}}
		return r
	}
	// Only blanks separate terms, any number of them (section 4.6.1).
	for at := len(spfVersion); at < len(txt); {
		if txt[at] == ' ' {
			at++
			continue
		}
		word, _, _ := strings.Cut(string(txt[at:]), " ")
		t, fault := parseSPFTerm(word)
		if fault == nil && t.Modifier && (t.Name == "redirect" || t.Name == "exp") {
			_, twice := r.Find(t.Name)
			if twice { // section 6
				fault = &macroFault{0, "repeats " + t.Name + ", which may stand only once"}
			}
		}
		t.At, t.Text = at+1, Raw(word)
		if fault != nil {
			t.Faulty = true
			r.Faults = append(r.Faults, SPFFault{t.At + fault.at, t.Text, fault.text})
		}
		r.Terms = append(r.Terms, t)
		at += len(word)
	}
	return r
}

// parseSPFTerm reads a term. What is known of a faulty one is returned all the
// same.
func parseSPFTerm(word string) (SPFTerm, *macroFault) {
	t := SPFTerm{Qualifier: '+', Bits4: 32, Bits6: 128}
	name, rest := spfName(word)
	if rest != "" && rest[0] == '=' && name != "" {
		// A name, then "=" before any ":" or "/": a modifier (section 4.6.1).
		t.Qualifier, t.Modifier, t.Name = 0, true, strings.ToLower(name)
		fault := spfPrintable(word)
		if fault == nil {
			fault = t.parseValue(rest[1:], len(name)+1)
		}
		return t, fault
	}
	at := 0
	if strings.IndexByte("+-~?", word[0]) >= 0 {
		t.Qualifier, at = word[0], 1
		name, rest = spfName(word[1:])
	}
	t.Name = strings.ToLower(name)
	t.Modifier = rest != "" && rest[0] == '='
	fault := spfPrintable(word)
	switch {
	case fault != nil:
	case t.Modifier && name != "" && at > 0:
		fault = &macroFault{0, "has a qualifier, which modifiers do not take"}
	case t.Modifier || !IsSPFMechanism(t.Name) || rest != "" && rest[0] != ':' && rest[0] != '/':
		fault = &macroFault{at, spfNoTerm(word[at:])}
	default:
		fault = t.parseMechanism(rest, at+len(name))
	}
	if t.Modifier {
		t.Qualifier = 0
	}
	return t, fault
}

// spfName splits a term behind its name. All names of mechanisms are names
// in the sense of modifiers as well.
func spfName(word string) (name, rest string) {
	i := 0
	for i < len(word) && (isLetter(word[i]) || i > 0 && strings.IndexByte("0123456789-_.", word[i]) >= 0) {
		i++
	}
	return word[:i], word[i:]
}

// spfPrintable finds an octet that no term can hold (section 12: macro-literal
// is visible ASCII).
func spfPrintable(word string) *macroFault {
	i := strings.IndexFunc(word, func(r rune) bool { return r < 0x21 || r > 0x7e })
	if i < 0 {
		return nil
	}
	return &macroFault{i, "holds a character that is no printable ASCII"}
}

// spfNoTerm says that a word is no term, and what was probably meant.
func spfNoTerm(word string) string {
	const no = "is no term of SPF"
	address, _, _ := strings.Cut(word, "/")
	a, err := netip.ParseAddr(address)
	name, _, _ := strings.Cut(strings.ToLower(word), ":")
	switch {
	case err == nil && a.Is4():
		return no + "; IPv4 addresses are written ip4:" + a.String()
	case err == nil && a.Zone() == "":
		return no + "; IPv6 addresses are written ip6:" + a.String()
	case name == "ip" || name == "ipv4":
		return no + "; IPv4 addresses are written ip4:192.0.2.1"
	case name == "ipv6":
		return no + "; IPv6 addresses are written ip6:2001:db8::1"
	case name == "redirect" || name == "exp":
		return no + `; ` + name + ` is written with "="`
	case strings.HasPrefix(name, "all"):
		return no + `; behind "all" stands a blank or nothing`
	}
	return no
}
