package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// maxTXTString is what a character-string of a TXT record can hold, in octets
// (RFC 1035 section 3.3).
const maxTXTString = 255

// spfInstead are the records that put an SPF record in the place of a TXT record
// of the domain. "Replace" is not the word for it: that would take all TXT
// records of the name away, those of other services included. There are none
// where it is not known how the old record is written, and where the domain may
// be an alias: nothing can stand beside a CNAME (RFC 1034 section 3.6.2).
func spfInstead(s *audit.Snapshot, old audit.Raw, text string) []audit.FixRecord {
	written, ok := spfWritten(s, old)
	if !ok || !spfOwnName(s) {
		return nil
	}
	name := s.Domain.Name().FQDN()
	var out []audit.FixRecord
	return append(out,
		audit.FixRecord{Action: audit.Remove, Name: name, Type: "TXT", Value: txtValue(written)},
		audit.FixRecord{Action: audit.Add, Name: name, Type: "TXT", Value: txtValue(txtStrings(text))},
	)
}

// spfOwnName reports whether the domain is known to be no alias.
func spfOwnName(s *audit.Snapshot) bool {
	// A name with a CNAME has it whatever is asked for.
	mx, spf := s.Facts.MX.Alias.State, s.Facts.SPF.Alias.State
	return spf == audit.Absent || mx == audit.Absent && spf != audit.Seen
}

// spfWritten are the strings that a TXT record of the domain consists of. Those
// of SPF records are noted, where there are several. Others are taken to be one
// string where they fit into one.
func spfWritten(s *audit.Snapshot, txt audit.Raw) ([]audit.Raw, bool) {
	sets, _ := seen(s.Facts.SPF.Strings)
	for _, set := range sets {
		if joinStrings(set.Strings) == txt {
			return set.Strings, true
		}
	}
	o := s.Facts.SPF.Strings
	noted := o.Known() || o.Why.Code == audit.NotApplicable // there is no SPF record
	return []audit.Raw{txt}, noted && len(txt) <= maxTXTString
}

// joinStrings joins character-strings as receivers do: with nothing between
// them (RFC 7208 section 3.3).
func joinStrings(parts []audit.Raw) audit.Raw {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(string(p))
	}
	return audit.Raw(b.String())
}

// txtStrings cuts text into strings that fit into a TXT record. It never cuts
// beside a blank: panels trim strings, and the blank is lost.
func txtStrings(text string) []audit.Raw {
	var out []audit.Raw
	for len(text) > maxTXTString {
		n := maxTXTString
		for n > 1 && (text[n-1] == ' ' || text[n] == ' ') {
			n--
		}
		if n == 1 { // nothing but blanks
			n = maxTXTString
		}
		out, text = append(out, audit.Raw(text[:n])), text[n:]
	}
	return append(out, audit.Raw(text))
}

// txtValue writes character-strings as a zone file has them (RFC 1035 section
// 5.1).
func txtValue(parts []audit.Raw) string {
	var words []string
	for _, p := range parts {
		var b strings.Builder
		for i := range len(p) {
			switch c := p[i]; {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, `\%03d`, c)
			default:
				b.WriteByte(c)
			}
		}
		words = append(words, `"`+b.String()+`"`)
	}
	return strings.Join(words, " ")
}

// spfNames quotes terms for a sentence, a few of them.
func spfNames(terms []audit.SPFTerm) string {
	const shown = 3
	var words []string
	for _, t := range terms[:min(len(terms), shown)] {
		words = append(words, t.Quoted())
	}
	out := strings.Join(words, ", ")
	if n := len(terms) - shown; n > 0 {
		out += fmt.Sprintf(" and %d more", n)
	}
	return out
}

// spfCount are the terms that count for somebody, and the exp that goes with
// them.
func spfCount(record audit.SPFRecord) []audit.SPFTerm {
	terms := slices.Clone(record.Reached())
	if exp, ok := record.Find("exp"); ok {
		terms = append(terms, exp)
	}
	return terms
}
