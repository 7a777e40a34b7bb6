package smtp

import (
	"net/netip"
	"strconv"

	"mailaudit/internal/audit"
)

// step is one step of the dialogue, in its order.
type step int

const (
	stepConnect step = iota
	stepGreeting
	stepHello
	stepStartTLS // is it offered
	stepTLS      // the command and the handshake
	stepHelloTLS
	stepDone
)

// String names the question of a step within a sentence.
func (s step) String() string {
	switch s {
	case stepConnect:
		return "whether the port answers"
	case stepGreeting:
		return "the greeting"
	case stepHello:
		return "the reply to EHLO"
	case stepStartTLS:
		return "whether STARTTLS is offered"
	case stepTLS:
		return "whether TLS comes up"
	case stepHelloTLS:
		return "the reply to EHLO inside TLS"
	}
	return "nothing"
}

// manner is in which way a look ended.
type manner int

const (
	dark     manner = iota // the step could not be observed; later ones hang on it
	shut                   // the reason holds for every later step as well
	moot                   // this step and all later ones have no meaning
	negative               // the server said no: Absent, once a second look agrees
)

// look is what one connection showed. The dialogue is a line: every step
// before end was seen, end is where it stopped and how says in which way.
type look struct {
	greeting audit.Greeting
	hello    audit.Hello
	helo     audit.Obs[audit.Hello] // made only where EHLO was refused
	tls      audit.TLS
	helloTLS audit.Hello

	end   step // stepDone: everything was seen
	how   manner
	why   audit.Reason
	again bool // a second look may see more, or is needed to believe this one
	shook bool // the TLS handshake was tried
}

// merge makes one look of two at the same endpoint.
//
// The one that came further is right about the steps that only it saw: a
// positive observation needs no second. Where it ended in a negative it needs
// the other to agree, and the other, having ended before, does not.
func merge(a, b look) look {
	switch {
	// "Declined" and "broken" at the same step are two answers, not one.
	case a.end == b.end && a.how == negative && b.how == negative && a.why.Code == b.why.Code:
		a.helo = agree(a.helo, b.helo)
		return a
	case b.end > a.end, b.end == a.end && a.how != negative && b.how == negative:
		a, b = b, a
	}
	if a.end == stepDone || a.how != negative {
		return a
	}
	if b.how == negative {
		return a.doubt(audit.Disagree)
	}
	return a.doubt(audit.Once)
}

// doubt turns a negative that nobody confirmed into an unknown.
func (l look) doubt(code audit.Code) look {
	text := "seen once and not confirmed: "
	if code == audit.Disagree {
		text = "two connections gave two answers, one of them being: "
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
	plain := "nc " + t.Addr.String() + " " + strconv.Itoa(int(t.Port))
	secure := "openssl s_client -starttls smtp -connect " +
		audit.ShellQuote(netip.AddrPortFrom(t.Addr, t.Port).String())
	if name := serverName(t.Host); name != "" {
		secure += " -servername " + audit.ShellQuote(name)
	}
	e := audit.Endpoint{
		Host: t.Host, Addr: t.Addr, Port: t.Port,
		Connect:  observe(l, stepConnect, audit.Nothing{}, plain),
		Greeting: observe(l, stepGreeting, l.greeting, plain),
		Hello:    observe(l, stepHello, l.hello, plain),
		StartTLS: observe(l, stepStartTLS, audit.Nothing{}, plain),
		TLS:      observe(l, stepTLS, l.tls, secure),
		HelloTLS: observe(l, stepHelloTLS, l.helloTLS, secure),
	}
	switch {
	case l.helo.State != audit.NotTried:
		e.Helo = l.helo
		e.Helo.Via = plain
	case l.end > stepHello:
		e.Helo = audit.NA[audit.Hello]("EHLO was accepted")
	default:
		e.Helo = after[audit.Hello](l, plain)
	}
	return e
}

// observe is the observation of one step: v where it was seen.
func observe[T any](l look, s step, v T, via string) audit.Obs[T] {
	switch {
	case s < l.end:
		return audit.See(v, via)
	case s > l.end:
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
		return audit.NA[T](mootAfter(l.end))
	}
	return audit.Dark[T](audit.Reason{Code: audit.NotLearned,
		Text: "this depends on an earlier step that is not known: " + l.end.String()}, via)
}

// mootAfter says why nothing can be asked behind a step that said no.
func mootAfter(s step) string {
	switch s {
	case stepConnect:
		return "nothing listens on the port"
	case stepHello:
		return "without EHLO there is no STARTTLS"
	case stepStartTLS:
		return "STARTTLS is not offered"
	}
	return "TLS does not come up"
}
