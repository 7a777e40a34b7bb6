package audit

import "strings"

// LooksLikeSPF reports whether a TXT record was meant to be an SPF record, by
// the looks of it, and is none: receivers look for "v=spf1" at its very
// beginning, followed by a blank or nothing (RFC 7208 section 4.5), and for
// them such a record is any other text. Records of Sender ID are what they are
// meant to be.
//
// What says "v=spf" needs no further sign. What says it in another way, or not at
// all, must consist of terms of SPF, or be followed by some that nothing else
// has: a word like "a" or "all" proves nothing.
func LooksLikeSPF(txt Raw) bool {
	if IsSPF(txt) || IsSenderID(txt) {
		return false
	}
	// Blanks, quotes of all kinds and byte order marks in front.
	text := strings.ToLower(strings.TrimLeftFunc(string(txt), func(r rune) bool { return !isASCIIWord(r) }))
	if saysSPF(text) {
		return true
	}
	_, rest, inside := strings.Cut(text, spfVersion+" ")
	words := strings.Fields(text)
	switch {
	case inside && hasSPFTerm(strings.Fields(rest)): // two records in one, or a whole line of a zone file
		return true
	case len(words) == 0:
		return false
	case strings.HasPrefix(words[0], "spf") && hasSPFTerm(words[1:]):
		return true
	case !isSPFWord(words[0]) && words[0][0] == 'v': // a version with a slip in it
		words = words[1:]
	case strings.IndexByte("+-~?", txt[0]) >= 0: // which is part of the first term
		words = strings.Fields(strings.ToLower(string(txt)))
	}
	return isSPFPolicy(words)
}

func isASCIIWord(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// saysSPF reports whether a text in lower case begins with something like
// "v=spf": "v = spf1", "v:spf1", `v="spf1`, "v=spf 1", "v=spf10".
func saysSPF(text string) bool {
	rest, ok := strings.CutPrefix(text, "v")
	name := strings.TrimLeft(rest, " \t=:\"'")
	sign := rest[:len(rest)-len(name)]
	after, is := strings.CutPrefix(name, "spf")
	return ok && is && strings.ContainsAny(sign, "=:") && (after == "" || after[0] < 'a' || after[0] > 'z')
}

// isSPFWord reports whether a word is a term of SPF; what is like a modifier
// that nobody knows is none here.
func isSPFWord(word string) bool {
	t, fault := parseSPFTerm(word)
	return fault == nil && (!t.Modifier || t.Name == "redirect" || t.Name == "exp")
}

// hasSPFTerm reports whether one of some words is a term that no other text
// has.
func hasSPFTerm(words []string) bool {
	for _, word := range words {
		t, _ := parseSPFTerm(word)
		switch {
		case !isSPFWord(word):
		case t.IsAll() && word[0] != 'a', t.Network.IsValid(), t.Name == "include", t.Name == "redirect":
			return true
		}
	}
	return false
}

// isSPFPolicy reports whether words are terms of SPF, all of them, and the last
// is an all with a qualifier or a redirect.
func isSPFPolicy(words []string) bool {
	for _, word := range words {
		if !isSPFWord(word) {
			return false
		}
	}
	if len(words) == 0 {
		return false
	}
	last, _ := parseSPFTerm(words[len(words)-1])
	return last.Is("redirect") || last.IsAll() && words[len(words)-1][0] != 'a'
}
