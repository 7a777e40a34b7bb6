package audit

import (
	"slices"
	"strings"
)

// place is where a sign of a family is found.
type place string

// The places, in the words of the evidence.
const (
	inBanner   place = "banner"
	inName     place = "its name"
	inHello    place = "EHLO text"
	inKeywords place = "EHLO keywords"
	inOrder    place = "EHLO order"
)

// weight is what a sign is worth.
type weight int

const (
	supports weight = iota + 1 // speaks for a family that something else speaks for
	guessed                    // others may have it as well
	probable                   // hardly anybody else has it
	certain                    // nobody else has it
)

// sign is one thing by which a family is recognised: words of its greeting or
// of its reply to EHLO, the end of the names by which it goes, or a keyword.
// All are in lower case, and words begin and end where words do.
type sign struct {
	in     place
	text   string
	worth  weight
	number bool // a version follows the words
}

// kind is a family and how to recognise it.
type kind struct {
	name  string
	signs []sign
	// orders are the ways in which it lists its keywords (see inOrder). must are
	// the keywords that it always lists. An order is worth a guess, or support
	// where it is shared.
	orders [][]string
	must   []string
	shared bool
	// bare: the order counts only behind a greeting that says nothing at all,
	// because it has too few keywords to speak for themselves.
	bare bool
}

// judge weighs the signs of a family. A rank of zero is no match; places that
// agree with each other make one another surer.
func (k kind) judge(t traits) (Software, int) {
	f := Software{Name: k.name}
	best := weight(0)
	found := map[place]weight{}
	note := func(p place, w weight) {
		found[p] = max(found[p], w)
		best = max(best, w)
	}
	for _, s := range k.signs {
		rest, ok := s.found(t)
		if !ok {
			continue
		}
		note(s.in, s.worth)
		if s.number && f.Version == "" {
			f.Version = leadingVersion(rest)
		}
	}
	if (!k.bare || t.bare) && k.inOrder(t.order) {
		if k.shared {
			note(inOrder, supports)
		} else {
			note(inOrder, guessed)
		}
	}
	if best <= supports {
		return Software{}, 0
	}
	degrees := []Confidence{guessed: Guess, probable: Likely, certain: Sure}
	sure := best
	if len(found) > 1 {
		sure = min(certain, best+1)
	}
	f.Confidence = degrees[sure]
	for _, w := range []weight{certain, probable, guessed, supports} {
		for _, p := range []place{inBanner, inName, inHello, inKeywords, inOrder} {
			if found[p] == w {
				f.Evidence = append(f.Evidence, string(p))
			}
		}
	}
	return f, int(sure)
}

// found reports whether the sign is there, and what follows it. A single word
// does not count in the name of the host: anybody may call one "zimbra".
func (s sign) found(t traits) (string, bool) {
	switch s.in {
	case inBanner:
		if strings.Contains(s.text, " ") {
			return afterWords(t.greeting, s.text)
		}
		return afterWords(t.said, s.text)
	case inHello:
		return afterWords(t.hello, s.text)
	case inName:
		return "", slices.ContainsFunc(t.names, func(n string) bool { return n == s.text || strings.HasSuffix(n, "."+s.text) })
	}
	return "", slices.Contains(t.keywords, strings.ToUpper(s.text))
}

// afterWords is what follows words in a text in which they stand for
// themselves: "esmtp exim" is not in "esmtp eximious".
func afterWords(text, words string) (string, bool) {
	for from := 0; ; {
		i := strings.Index(text[from:], words)
		if i < 0 {
			return "", false
		}
		begin, end := from+i, from+i+len(words)
		if (begin == 0 || !inWord(text[begin-1]) || !inWord(words[0])) &&
			(end == len(text) || !inWord(text[end]) || !inWord(words[len(words)-1])) {
			return text[end:], true
		}
		from = begin + 1
	}
}

func inWord(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' }

// inOrder reports whether keywords are listed as the family does: all that it
// must list are there, no other than it lists at all, in its order. STARTTLS
// and AUTH come and go with TLS, and options of the operator take others away.
func (k kind) inOrder(listed []string) bool {
	if len(k.must) == 0 {
		return false
	}
	for _, m := range k.must {
		if !slices.Contains(listed, m) {
			return false
		}
	}
	return slices.ContainsFunc(k.orders, func(order []string) bool {
		last := -1
		for _, name := range listed {
			at := slices.Index(order, name)
			if at < last || at < 0 {
				return false
			}
			last = at
		}
		return true
	})
}

// words splits a list of keywords.
func words(list string) []string { return strings.Fields(list) }
