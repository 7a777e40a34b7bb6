package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// spfStringRules are about how the record is written down.
func spfStringRules() []Rule {
	return []Rule{{
		ID: "spf.near-miss", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.High, Range: []audit.Severity{audit.Medium, audit.Info},
		Title: "No TXT record is meant as SPF and is none",
		Refs:  []Ref{{"RFC 7208", "4.5"}, {"RFC 7208", "12"}},
		Why: "Receivers take a TXT record for SPF only when it begins with v=spf1 to the letter, and a blank or nothing behind it. A quotation mark or a blank " +
			"in front, or a missing blank behind, and the domain has no SPF record for anybody, whatever the panel of the DNS provider shows.",
		Fix:   "Write the record so that it begins with v=spf1 and a blank. Quotation marks belong to zone files and not into the text.",
		Judge: judgeSPFNearMiss,
	}, {
		ID: "spf.strings-glued", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.High,
		Title: "The strings of the SPF record join into the terms that were meant",
		Refs:  []Ref{{"RFC 7208", "3.3"}},
		Why: "A TXT record is made of strings of 255 octets at most, and receivers join them with nothing between. Where a blank is lost at a joint, two terms become one: " +
			"most of the time that is no term at all, which spoils the whole record, and else the servers of both terms fail.",
		Fix:   "Write a blank at the end of the string or at the start of the next one. A record of 255 octets or less is best written as one string.",
		After: []audit.RuleID{"spf.missing", "spf.several"},
		Judge: judgeSPFGlued,
	}}
}

func judgeSPFGlued(s *audit.Snapshot, r *Report) {
	record, ok := spfRecord(s, r)
	if !ok {
		return
	}
	domain, o := s.Domain.String(), s.Facts.SPF.Strings
	sets, _, ok := Need(r, domain, o)
	if !ok {
		return
	}
	at := slices.IndexFunc(sets, func(set audit.SPFStrings) bool { return joinStrings(set.Strings) == record.Text })
	if at < 0 {
		r.Pass(domain, "the SPF record is one string")
		return
	}
	parts := sets[at].Strings
	mended, glued := spfUnglue(parts)
	evidence := []string{Seen(o.Via, txtValue(parts))}
	if len(glued) == 0 {
		r.Pass(domain, fmt.Sprintf("the %d strings of the record join into whole terms", len(parts)), evidence...)
		return
	}
	effect := "that is another term than was meant"
	if len(record.Faults) > 0 {
		effect = "receivers cannot read that, and use nothing of the record"
	}
	fix := audit.Fix{Summary: "put the lost blank back", Records: spfInstead(s, record.Text, mended)}
	if len(audit.ParseSPF(audit.Raw(mended)).Faults) > 0 || fix.Records == nil {
		fix.Records = nil
		fix.Steps = []string{"write a blank between the terms in " + glued[0] + ", at the end of the one string or at the start of the next one",
			"write the record as one string if it has 255 octets or less"}
	}
	detail := "a blank is lost where strings of the SPF record are joined, which makes " + glued[0]
	if len(glued) > 1 {
		detail += fmt.Sprintf(" (and %d more)", len(glued)-1)
	}
	r.Fail(domain, Fault{Detail: detail + ": " + effect, Evidence: evidence, Fix: fix})
}

// spfUnglue finds terms that became one because a blank is missing between two
// strings. mended is the record with these blanks; glued are the terms as they
// are now, in quotes.
func spfUnglue(parts []audit.Raw) (mended string, glued []string) {
	text := string(joinStrings(parts))
	joints := map[int]int{} // places at which a string begins, and the number of the string in front
	at := 0
	for i, p := range parts[:max(0, len(parts)-1)] {
		at += len(p)
		joints[at] = i
	}
	var b strings.Builder
	for start := 0; start < len(text); {
		end := start + strings.IndexByte(text[start:]+" ", ' ')
		terms := []string{text[start:end]}
		if start > 0 { // the version
			terms = spfTear(text[start:end], func(i int) (between, counted bool) {
				n, ok := joints[start+i]
				return ok, ok && countedOff(parts, n)
			})
		}
		if len(terms) > 1 {
			glued = append(glued, audit.SPFTerm{Text: audit.Raw(text[start:end])}.Quoted())
		}
		b.WriteString(strings.Join(terms, " "))
		start = end
		for start < len(text) && text[start] == ' ' {
			b.WriteByte(' ')
			start++
		}
	}
	return b.String(), glued
}

// maxSPFJoints bounds the joints within one word that are looked at. A word of
// several lost blanks has as many joints; more are the work of a machine that
// cuts without looking.
const maxSPFJoints = 8

// spfTear takes a word apart at joints of which a blank was lost. joint tells
// whether there is one in front of the octet i of the word, and whether the
// string before it was cut off by counting. What stays whole is one term.
func spfTear(word string, joint func(i int) (between, counted bool)) []string {
	whole := []string{word}
	var at []int
	for i := 1; i < len(word); i++ {
		between, _ := joint(i)
		if between {
			at = append(at, i)
		}
	}
	if len(at) == 0 || len(at) > maxSPFJoints {
		return whole
	}
	fault := !isSPFTerm(word)
	var out []string
	start := 0
	for n, i := range at {
		next := len(word)
		if n+1 < len(at) {
			next = at[n+1]
		}
		_, counted := joint(i)
		left := word[start:i]
		begins, sure := spfBegins(word[i:])
		if !begins {
			begins, sure = spfBegins(word[i:next])
		}
		// A name can end in "mx", an IPv6 address in "a": where the word makes
		// sense as it is, a string that was cut off by counting proves nothing.
		if begins && isSPFTerm(left) && (fault || sure || !counted && !strings.Contains(strings.ToLower(left), "ip6:")) {
			out = append(out, left)
			start = i
		}
	}
	out = append(out, word[start:])
	for _, term := range out {
		if !isSPFTerm(term) {
			return whole // not what was meant either
		}
	}
	return out
}

// isSPFTerm reports whether a word is a term without a fault.
func isSPFTerm(word string) bool { return len(audit.ParseSPF(audit.Raw("v=spf1 "+word)).Faults) == 0 }

// spfBegins reports whether text begins with the name of a term, and whether it
// does so with signs that are in no name and no address.
func spfBegins(text string) (begins, sure bool) {
	bare := strings.TrimLeft(text, "+-~?")
	qualified := len(text)-len(bare) == 1
	if len(text)-len(bare) > 1 {
		return false, false
	}
	end := strings.IndexAny(bare, ":/=")
	name, sign := strings.ToLower(bare), byte(0)
	if end >= 0 {
		name, sign = strings.ToLower(bare[:end]), bare[end]
	}
	if sign == '=' {
		known := !qualified && (name == "redirect" || name == "exp")
		return known, known
	}
	return audit.IsSPFMechanism(name), audit.IsSPFMechanism(name) && (qualified || sign == ':')
}

// countedOff reports whether string number n ends where it does because it is
// full: at 255 octets or little less, or at the length that all but the last
// have.
func countedOff(parts []audit.Raw, n int) bool {
	const nearlyFull = 240 // some panels count quotation marks and blanks as well
	if len(parts[n]) >= nearlyFull {
		return true
	}
	for _, p := range parts[:len(parts)-1] {
		if len(p) != len(parts[0]) {
			return false
		}
	}
	return len(parts) > 2
}
