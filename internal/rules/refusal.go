package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file reads refusals: what a server that turns us away with 4xx or 5xx
// says of the cause. A code alone says little. 4xx is "later" and 5xx is
// "never" (RFC 5321 section 4.2.1), but block lists are told with both; and the
// enhanced codes of RFC 3463, registered as they are, mean what each provider
// likes: X.7.30 is REQUIRETLS in the registry, DKIM at Google, and a way to log
// in at Microsoft. So the order is
//
//  1. who speaks: by the name of the host, the greeting, and words that nobody
//     else uses; then only that provider's own patterns are tried,
//  2. enhanced codes that say one thing, from those who have none of their own,
//  3. words that servers of all kinds use,
//  4. enhanced codes that say something vague, and our own address in the text,
//  5. the class of the reply.
//
// A cause that lies with us, or may, makes nothing of the server a fault.

// maxRefusal is how much of a reply is read, in octets. Real ones have 500 at
// most; matching takes time in proportion.
const maxRefusal = 4 << 10

// maxQuote is how much of a reply stands in a sentence, in octets.
const maxQuote = 400

// Reply is a reply that refuses, and who sent it.
type Reply struct {
	Host   audit.DNSName // the name that led to the server
	Banner []audit.Raw   // its greeting, where the refusal came later
	Code   int           // 400 to 599
	Lines  []audit.Raw   // without codes, in stable form
}

// Refusal is what a reply was read as.
type Refusal struct {
	Class    audit.Code // the cause; TempFail and RefusedUs where none is told
	Pattern  string     // what told it, for instance "google.rate"
	Provider string     // who speaks; empty: not recognised
	List     string     // the block list that is named
	Page     string     // where the provider, or else the list, explains itself
	Step     string     // what was refused: "greeting", or a command
	Text     string     // the reply in one line, printable, clipped

	code  int  // of the reply
	twice bool // said on two connections
}

// Classifier reads refusals. Patterns are compiled when a reply may match
// them: most runs see no refusal, and the others few kinds. It is not safe for
// concurrent use.
type Classifier struct {
	providers []RefusalProvider
	patterns  []RefusalPattern
	compiled  map[string]*regexp.Regexp // by pattern id
}

// NewClassifier makes one.
func NewClassifier() *Classifier {
	return &Classifier{RefusalProviders(), RefusalPatterns(), map[string]*regexp.Regexp{}}
}

// RefusalPattern is one way in which a cause is told.
type RefusalPattern struct {
	ID    string
	From  string // the provider or family of providers; empty: anybody
	Codes string // the reply code, or its first digit; empty: all
	Hint  string // what must be in the reply, in lower case; Match is compiled only where it is. Empty: nothing
	Match string // RE2, over the reply in lower case, its code in front; empty: the hint decides
	Class audit.Code
	List  string // the block list that it is about
}

// Classify reads a reply. It always says something.
func (c *Classifier) Classify(r Reply) Refusal {
	out := Refusal{Text: quote(r.Code, r.Lines), code: r.Code}
	text := lower(r)
	who, known := c.provider(r, text)
	out.Provider, out.Page = who.Name, who.Page
	for _, p := range c.patterns {
		mine := p.From != "" && known && (p.From == who.ID || strings.HasPrefix(who.ID, p.From+"-"))
		// Whoever has codes of his own does not mean those of the registry.
		foreign := p.From != "" && !mine || known && strings.HasPrefix(p.ID, "code.")
		if foreign || !c.matches(p, r.Code, text) {
			continue
		}
		out.Class, out.Pattern, out.List = p.Class, p.ID, p.List
		if p.List != "" {
			out.Page = cmp.Or(listPage(p.List), out.Page)
		}
		return out
	}
	out.Class, out.Pattern = audit.TempFail, "reply.4xx"
	if r.Code/100 == 5 {
		out.Class, out.Pattern = audit.RefusedUs, "reply.5xx"
	}
	return out
}

// provider recognises who speaks: by the name of the host, then by the
// greeting, then by the words.
func (c *Classifier) provider(r Reply, text string) (RefusalProvider, bool) {
	names := []string{strings.TrimSuffix(strings.ToLower(string(r.Host)), ".")}
	for _, line := range append(slices.Clone(r.Banner), r.Lines...) {
		word, _, _ := strings.Cut(strings.ToLower(string(line)), " ")
		names = append(names, word)
	}
	for _, name := range names {
		for _, p := range c.providers {
			if slices.ContainsFunc(p.Hosts, func(host string) bool { return name == host || strings.HasSuffix(name, "."+host) }) {
				return p, true
			}
		}
	}
	banner := lower(Reply{Lines: r.Banner})
	for _, where := range []string{banner, text} {
		for _, p := range c.providers {
			if slices.ContainsFunc(p.Marks, func(mark string) bool { return strings.Contains(where, mark) }) {
				return p, true
			}
		}
	}
	return RefusalProvider{}, false
}

func (c *Classifier) matches(p RefusalPattern, code int, text string) bool {
	if !strings.HasPrefix(fmt.Sprint(code), p.Codes) || !strings.Contains(text, p.Hint) {
		return false
	}
	if p.Match == "" {
		return true
	}
	re := c.compiled[p.ID]
	if re == nil {
		re = regexp.MustCompile(p.Match)
		c.compiled[p.ID] = re
	}
	return re.MatchString(text)
}

// lower is a reply as patterns see it: one line, in lower case, bounded.
func lower(r Reply) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", r.Code)
	for _, l := range r.Lines {
		if b.Len()+len(l) >= maxRefusal {
			l = l.Clip(max(0, maxRefusal-1-b.Len()))
		}
		b.WriteString(" " + string(l))
		if b.Len() >= maxRefusal {
			break
		}
	}
	// strings.ToLower would make three octets of one that is no UTF-8.
	text := []byte(b.String()[:min(b.Len(), maxRefusal)])
	for i, octet := range text {
		if 'A' <= octet && octet <= 'Z' {
			text[i] = octet | 0x20
		}
	}
	return string(text)
}

// quote is a reply for a sentence.
func quote(code int, lines []audit.Raw) string {
	text := strings.Join(texts(lines), " / ")
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, audit.Raw(text).Clip(maxQuote)))
}

// Ours reports whether the cause is certain to lie on our side.
func (r Refusal) Ours() bool {
	return slices.Contains([]audit.Code{
		audit.RateLimited, audit.Reputation, audit.OurNetwork, audit.NeedsAllowList, audit.OurReverse, audit.OurHELO,
	}, r.Class)
}

// Theirs reports whether a 5xx is about the server rather than about us: it
// names no cause on our side, or one on theirs.
func (r Refusal) Theirs() bool { return r.Class == audit.RefusedUs || r.Class == audit.ListMisread }

// everybody reports whether it is what every sender gets: said twice by the
// greeting, and about the server.
func (r Refusal) everybody() bool { return r.Step == StepGreeting && r.twice && r.Theirs() }

// Reason says what the refusal makes of everything that it kept us from
// seeing.
func (r Refusal) Reason() audit.Reason {
	at := ""
	if r.Step != StepGreeting && r.Step != "" {
		at = ", at " + r.Step
	}
	return audit.Reason{Code: r.Class, Text: refusalWords(r.Class) + at + ": " + r.Text}
}

// Named is the class with what is known beside it: "reputation (Spamhaus XBL;
// Google)".
func (r Refusal) Named() string {
	var more []string
	for _, m := range []string{r.List, r.Provider} {
		if m != "" && !slices.Contains(more, m) {
			more = append(more, m)
		}
	}
	if len(more) == 0 {
		return RefusalName(r.Class)
	}
	return RefusalName(r.Class) + " (" + strings.Join(more, "; ") + ")"
}

// refusals reads the refusals of one snapshot, each once for all rules.
type refusals struct {
	classifier *Classifier // nil before the first refusal
	of         map[string]Refusal
}

// read reads the refusal of an endpoint, if there is one.
func (rs *refusals) read(e audit.Endpoint) (Refusal, bool) {
	reply, step, twice, ok := refusalReply(e)
	if !ok {
		return Refusal{}, false
	}
	if rs.classifier == nil {
		rs.classifier, rs.of = NewClassifier(), map[string]Refusal{}
	}
	known, again := rs.of[e.Subject()]
	if again {
		return known, true
	}
	out := rs.classifier.Classify(reply)
	out.Step, out.twice = step, twice
	// 521 is "no mail here" (RFC 7504), and has a rule of its own; but postscreen
	// drops with it whom a block list names, and says so.
	if step == StepGreeting && reply.Code == codeNoMailHost && !out.Ours() {
		return Refusal{}, false
	}
	rs.of[e.Subject()] = out
	return out, true
}

// ReadRefusal reads the refusal that an endpoint met us with, if it did.
func ReadRefusal(e audit.Endpoint) (Refusal, bool) { return (&refusals{}).read(e) }

// StepGreeting is the step of a refusal that came before any command.
const StepGreeting = "greeting"

// refusalReply finds the reply that turned us away.
func refusalReply(e audit.Endpoint) (r Reply, step string, twice, ok bool) {
	r.Host = e.Host
	g, greeted := seen(e.Greeting)
	if greeted && (g.Code/100 == 4 || g.Code/100 == 5) {
		r.Code, r.Lines = g.Code, g.Lines
		return r, StepGreeting, g.Twice, true
	}
	r.Banner = g.Lines
	said, refused := seen(e.Refusal)
	if refused && (said.Code/100 == 4 || said.Code/100 == 5) {
		r.Code, r.Lines = said.Code, said.Lines
		return r, cmp.Or(said.Command, StepGreeting), false, true
	}
	return r, "", false, false
}

// explained is an endpoint in which what is unknown because of a refusal has
// the cause that the refusal tells.
func (r *Report) explained(e audit.Endpoint) audit.Endpoint {
	said, ok := r.refusal(e)
	if !ok {
		return e
	}
	why, dropped := said.Reason(), said.code == codeNoMailHost && said.Step == StepGreeting
	explain(&e.Greeting, why, false)
	explain(&e.StartTLS, why, dropped)
	explain(&e.TLS, why, dropped)
	explain(&e.HelloTLS, why, dropped)
	explain(&e.OldTLS, why, dropped)
	explain(&e.StartTLSSteady, why, dropped)
	explain(&e.Pace, why, dropped)
	if e.Hello.State != audit.Absent { // else HELO was refused for reasons of its own
		explain(&e.Hello, why, dropped)
		explain(&e.Helo, why, dropped)
	}
	return e
}

// explain gives an observation that is unknown for want of a welcome a better
// reason. What would be moot behind a greeting with 521 is unknown where that
// was meant for us.
func explain[T any](o *audit.Obs[T], why audit.Reason, dropped bool) {
	unwelcome := o.State == audit.Unknown && (o.Why.Code == audit.TempFail || o.Why.Code == audit.RefusedUs)
	if unwelcome || dropped && o.State == audit.NotTried && o.Why.Code == audit.NotApplicable {
		o.State, o.Why = audit.Unknown, why
	}
}

// refusal reads the refusal of an endpoint.
func (r *Report) refusal(e audit.Endpoint) (Refusal, bool) {
	if r.refusals == nil {
		r.refusals = &refusals{}
	}
	return r.refusals.read(e)
}
