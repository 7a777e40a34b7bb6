package audit

import (
	"fmt"
	"slices"
	"strings"
)

// Software is the kind of software or service that a server seems to be, by what
// it says of itself and by its habits. It is a hint: a server may say what it
// likes, and distributions repair holes without a new version number, so
// nothing about holes follows from a family or a version.
type Software struct {
	Name       string     // "Postfix"; empty: not recognised
	Version    Raw        // as the server gives it; empty: it does not, or nobody would know
	Confidence Confidence // empty: not recognised
	// Evidence is what speaks for it, the strongest first: "banner", "its name",
	// "EHLO text", "EHLO keywords", "EHLO order".
	Evidence []string
	Against  string // what does not fit; empty: nothing
	// Hidden is how far the greeting keeps the family to itself.
	Hidden Hidden
}

// Confidence is how sure a family is.
type Confidence string

// The degrees of confidence.
const (
	Sure   Confidence = "sure"   // the server says it in words that nothing else uses
	Likely Confidence = "likely" // it goes by a name of that service, or by several habits
	Guess  Confidence = "guess"  // one habit, which others may have as well
)

// Hidden is what a greeting does about the name of its software.
type Hidden string

// The ways of hiding.
const (
	Open     Hidden = ""       // it says something, whether or not that is understood here
	Silent   Hidden = "silent" // it says no more than it must: a name, and ESMTP
	Disguise Hidden = "masked" // asterisks, as firewalls write
)

// String is the family in words: "Exim 4.96 (sure: banner, EHLO order)".
func (f Software) String() string {
	if f.Name == "" {
		switch f.Hidden {
		case Disguise:
			return "not known: the greeting is masked (220 ****)"
		case Silent:
			return "not known: hides itself, the greeting names no software"
		}
		return "not known: nothing here recognises it"
	}
	name := f.Name
	if f.Version != "" {
		name += " " + f.Version.String()
	}
	text := fmt.Sprintf("%s (%s: %s)", name, f.Confidence, strings.Join(f.Evidence, ", "))
	if f.Against != "" {
		text += ", but " + f.Against
	}
	named := slices.Contains(f.Evidence, string(inBanner)) || slices.Contains(f.Evidence, string(inName))
	if f.Hidden != Open && !named {
		text += "; hides itself in the greeting"
	}
	return text
}

// SoftwareOf recognises the family of an endpoint by its greeting and its
// replies to EHLO, as far as they were seen. Of several families it is the one
// with the best evidence, and of equals the first of the table.
func SoftwareOf(e Endpoint) Software {
	t := traitsOf(e)
	best := Software{Hidden: t.hidden}
	rank := 0
	for _, k := range kinds() {
		f, r := k.judge(t)
		if r > rank {
			f.Hidden = t.hidden
			best, rank = f, r
		}
	}
	if len(best.Evidence) > 0 && best.Evidence[0] == string(inBanner) && !slices.Contains(best.Evidence, string(inOrder)) {
		best = doubted(best, t)
	}
	return best
}

// doubted lowers the confidence in a family by the banner alone whose habits
// are those of another one: something stands in front, or the banner lies.
// Families without an order of their own have no habits to break.
func doubted(f Software, t traits) Software {
	var own bool
	var others []string
	for _, k := range kinds() {
		own = own || k.name == f.Name && len(k.orders) > 0
		if k.name != f.Name && k.inOrder(t.order) {
			others = append(others, k.name)
		}
	}
	if own && len(others) == 1 && f.Confidence == Sure {
		f.Confidence, f.Against = Likely, "EHLO is answered in the order of "+others[0]
	}
	return f
}

// traits is what families are recognised by.
type traits struct {
	greeting string   // its text, all lines, in lower case
	said     string   // the same without the name that it begins with
	names    []string // by which the server goes, in lower case
	hello    string   // the text of the reply to EHLO behind the name, lower case
	keywords []string // in whatever order
	order    []string // keywords as listed; empty where that is not known
	bare     bool     // the greeting is a name and "ESMTP", and no more
	hidden   Hidden
}

func traitsOf(e Endpoint) traits {
	var t traits
	g := e.Greeting.Value
	for _, l := range g.Lines {
		t.greeting += " " + strings.ToLower(string(l))
	}
	t.said = strings.TrimPrefix(strings.TrimLeft(t.greeting, " "), strings.ToLower(string(g.Name)))
	first := e.Hello.Value
	if e.Hello.State != Seen {
		first = e.HelloTLS.Value
	}
	t.hello = strings.ToLower(string(first.Name) + " " + string(first.Text))
	t.order = first.Order
	for _, k := range first.Keywords {
		t.keywords = append(t.keywords, k.Name)
	}
	for _, n := range []Raw{g.Name, first.Name} {
		t.names = append(t.names, strings.ToLower(string(n)))
	}
	t.hidden = g.hidden()
	words := strings.Fields(t.greeting)
	t.bare = len(words) == 2 && words[1] == "esmtp"
	return t
}

// hidden reports how far a greeting keeps its software to itself.
func (g Greeting) hidden() Hidden {
	if g.Masked() {
		return Disguise
	}
	if g.Code/100 != 2 || len(g.Lines) == 0 {
		return Open // a refusal has other things to say
	}
	name := strings.ToLower(string(g.Name))
	for i, l := range g.Lines {
		text := strings.ToLower(string(l))
		if i == 0 {
			text = strings.TrimPrefix(text, name)
		}
		for _, w := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" \t.,;:!-()[]", c) }) {
			if !slices.Contains(smallTalk(), w) && !strings.Contains(name, w) {
				return Open
			}
		}
	}
	return Silent
}

// smallTalk is words of greetings that tell nothing. Those in angle brackets
// stand for what changes by itself (see Stabilizer).
func smallTalk() []string {
	return []string{"esmtp", "smtp", "mail", "server", "service", "ready", "at", "is", "welcome", "hello", "<date>", "<time>", "<id>", "<our", "address>", "<our address>"}
}

// leadingVersion is the version number that a text begins with, perhaps behind
// a bracket, a slash or a "v". Empty: it begins with none.
func leadingVersion(text string) Raw {
	text = strings.TrimLeft(text, " (/:,v")
	end := 0
	for end < min(len(text), maxVersion) && (inWord(text[end]) || text[end] == '.') {
		end++
	}
	if end == 0 || text[0] < '0' || text[0] > '9' {
		return ""
	}
	return Raw(strings.TrimRight(text[:end], "."))
}

// maxVersion is how much of a version is kept: "10.0.17763.1697" has 15.
const maxVersion = 20
