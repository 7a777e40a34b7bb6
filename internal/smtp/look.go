package smtp

import (
	"net/netip"
	"slices"
	"strconv"

	"mailaudit/internal/audit"
)

// manner is in which way a look ended.
type manner int

const (
	dark     manner = iota // the step could not be observed; later ones hang on it
	shut                   // the reason holds for every later step as well
	moot                   // this step and all later ones have no meaning: the greeting says that there is no mail host (521)
	negative               // the server said no: Absent, once a second look agrees
)

// look is what one connection showed. The dialogue is a line: every step
// before end was seen, end is where it stopped and how says in which way.
type look struct {
	line []act // of the mode

	greeting audit.Greeting
	hello    audit.Hello
	helo     audit.Obs[audit.Hello]   // made only where EHLO was refused
	mail     audit.Obs[audit.Nothing] // made only where it was wanted
	tls      audit.TLS
	helloTLS audit.Hello
	mixed    []string      // replies whose lines differ in their code
	said     audit.Refusal // zero: no command was refused
	pace     audit.Pace    // zero: no command was replied to

	end    int // index in line; behind its end: everything was seen
	how    manner
	why    audit.Reason
	again  bool // a second look may see more, or is needed to believe this one
	shrink bool // the handshake failed, and a smaller ClientHello may not

	offers []bool                   // of STARTTLS: what each connection was told
	large  audit.Obs[audit.Nothing] // of a large ClientHello, where that is in question
}

// complete reports whether every step was seen.
func (l look) complete() bool { return l.end == len(l.line) }

// refusal reports whether the server said no for good, which needs a second
// look that agrees.
func (l look) refusal() bool { return l.how == negative || l.how == moot }

// merge makes one look of two at the same endpoint, and remembers what both
// were offered.
//
// The one that came further is right about the steps that only it saw: a
// positive observation needs no second. Where it ended in a negative it needs
// the other to agree, and the other, having ended before, does not.
func merge(a, b look) look {
	offers := slices.Concat(a.offers, b.offers)
	a.offers, b.offers = offers, offers
	switch {
	case a.unheard() && b.unheard():
		return a.silence(b)
	// "Declined" and "broken" at the same step are two answers, not one.
	case a.end == b.end && a.refusal() && a.how == b.how && a.why.Code == b.why.Code:
		a.helo = agree(a.helo, b.helo)
		return a
	case a.sentAway() && b.sentAway() && sameWords(a.greeting, b.greeting):
		a.greeting.Twice = true
		return a
	case b.end > a.end, b.end == a.end && a.how != negative && b.how == negative:
		a, b = b, a
	}
	if a.complete() || !a.refusal() {
		return a
	}
	if b.refusal() {
		return a.doubt(audit.Disagree)
	}
	return a.doubt(audit.Once)
}

// unheard reports whether nobody took the connection: silence, or a router
// that reports the host as unreachable.
func (l look) unheard() bool {
	return l.end == 0 && l.how == dark && (l.why.Code == audit.Timeout || l.why.Code == audit.Unreachable)
}

// silence is what two connections come to that nobody took. It stays unknown:
// whether the server is silent or the way to it is shut, it cannot tell.
func (l look) silence(second look) look {
	text := "there was no answer, twice"
	switch silent := l.why.Code; {
	case silent == audit.Unreachable && second.why.Code == audit.Unreachable:
		text = "a router on the way reports, twice, that the host is unreachable"
	case silent != second.why.Code:
		text = "once there was no answer, and once a router reports that the host is unreachable"
	}
	l.why = audit.Reason{Code: audit.NoAnswer, Text: text}
	return l
}

// unconfirmed is a look without a second one: a negative is then an unknown.
func (l look) unconfirmed() look {
	if l.refusal() {
		return l.doubt(audit.Once)
	}
	return l
}

// doubt turns a negative that nobody confirmed into an unknown.
func (l look) doubt(code audit.Code) look {
	text := "seen once and not confirmed: "
	if code == audit.Disagree {
		text = "two connections gave two answers, one of them being: "
	}
	if l.how == moot {
		l.end-- // the greeting itself is what was said
	}
	l.how, l.why = dark, audit.Reason{Code: code, Text: text + l.why.Text}
	if l.helo.State == audit.Absent {
		l.helo = audit.Dark[audit.Hello](audit.Reason{Code: code, Text: text + l.helo.Why.Text}, "")
	}
	return l
}

// agree is the reply to HELO out of two looks that agree about EHLO.
func agree(a, b audit.Obs[audit.Hello]) audit.Obs[audit.Hello] {
	switch {
	case a.State == audit.Seen || b.State == audit.Absent && a.State == audit.Absent:
		return a
	case b.State == audit.Seen:
		return b
	case a.State == audit.Absent:
		return audit.Dark[audit.Hello](audit.Reason{Code: audit.Once, Text: "seen once and not confirmed: " + a.Why.Text}, "")
	}
	return a
}

// endpoint writes a look down as observations.
func (l look) endpoint(t Target) audit.Endpoint {
	plain, secure := commands(t)
	talk := plain // how to see the greeting
	if t.Mode == audit.ModeTLS {
		talk = secure
	}
	return audit.Endpoint{
		Host: t.Host, Addr: t.Addr, Port: t.Port, Mode: t.Mode,
		Connect:  observe(l, stepConnect, audit.Nothing{}, plain),
		Greeting: observe(l, stepGreeting, l.greeting, talk),
		Hello:    observe(l, stepHello, l.hello, plain),
		Helo:     l.replyToHELO(plain),
		Mail:     l.replyToMAIL(plain),
		StartTLS: observe(l, stepStartTLS, audit.Nothing{}, plain),
		TLS:      observe(l, stepTLS, l.tls, secure),
		HelloTLS: observe(l, stepHelloTLS, l.helloTLS, secure),
		Replies:  observe(l, stepGreeting, audit.Replies{Mixed: l.mixed}, talk),
		Refusal:  l.refused(plain, secure),
		Pace:     l.replies(talk),

		StartTLSSteady: l.steadiness(plain),
		LargeHello:     l.largeHello(secure),
		OldTLS:         l.oldTLS(oldCommand(t)),
	}
}

// replyToHELO is the observation of HELO, which is no step of its own. What
// HELO shows inside TLS explains the reply to EHLO and is no fact.
func (l look) replyToHELO(via string) audit.Obs[audit.Hello] {
	at := place(l.line, stepHello)
	switch {
	case at < 0:
		return leftOut[audit.Hello](stepHello)
	case l.helo.State != audit.NotTried:
		out := l.helo
		out.Via = via
		return out
	case at < l.end:
		return audit.NA[audit.Hello]("EHLO was accepted")
	}
	return after[audit.Hello](l, via)
}

// replyToMAIL is the observation of MAIL before STARTTLS; none where nobody
// wanted it.
func (l look) replyToMAIL(via string) audit.Obs[audit.Nothing] {
	at := place(l.line, stepMail)
	switch {
	case at < 0:
		return audit.Obs[audit.Nothing]{}
	case l.mail.State != audit.NotTried:
		out := l.mail
		out.Via = via
		return out
	case at < l.end:
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: "MAIL is tried on the first connection alone, which did not come that far"}, via)
	}
	return observe(l, stepMail, audit.Nothing{}, via)
}

// commands are the ways to repeat by hand what was seen in clear and inside
// TLS.
func commands(t Target) (plain, secure string) {
	plain = "nc " + t.Addr.String() + " " + strconv.Itoa(int(t.Port))
	secure = "openssl s_client"
	if t.Mode != audit.ModeTLS {
		secure += " -starttls smtp"
	}
	secure += " -connect " + audit.ShellQuote(netip.AddrPortFrom(t.Addr, t.Port).String())
	if name := serverName(t.Host); name != "" {
		secure += " -servername " + audit.ShellQuote(name)
	}
	return plain, secure
}

// observe is the observation of one step: v where it was seen.
func observe[T any](l look, s step, v T, via string) audit.Obs[T] {
	switch at := place(l.line, s); {
	case at < 0:
		return leftOut[T](s)
	case at < l.end:
		return audit.See(v, via)
	case at > l.end:
		return after[T](l, via)
	case l.how == negative:
		return audit.None[T](l.why.Code, l.why.Text, via)
	case l.how == moot:
		return audit.NA[T](l.why.Text)
	}
	return audit.Dark[T](l.why, via)
}

// after is the observation of a step behind the one that a look ended at.
func after[T any](l look, via string) audit.Obs[T] {
	switch l.how {
	case shut:
		return audit.Dark[T](l.why, via)
	case moot:
		return audit.NA[T](l.why.Text)
	case negative:
		return audit.NA[T](mootAfter(l.line[l.end].step))
	}
	return audit.Dark[T](audit.Reason{Code: audit.NotLearned,
		Text: "this depends on an earlier step that is not known: " + l.line[l.end].step.String()}, via)
}
