package smtp

import (
	"slices"

	"mailaudit/internal/audit"
)

// step is one question of the dialogue.
type step int

const (
	stepConnect step = iota
	stepGreeting
	stepHello
	stepStartTLS // is it offered
	stepMail     // is a message begun without it; asked only where that is wanted
	stepTLS      // the handshake, and the command before it where there is one
	stepHelloTLS
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
	case stepMail:
		return "the reply to MAIL"
	case stepTLS:
		return "whether TLS comes up"
	}
	return "the reply to EHLO inside TLS"
}

// act is how a step is taken. It relies on all acts before it, and returns
// false where the dialogue ends.
type act struct {
	step step
	play func(*session) bool
}

// acts is the dialogue with a target in its mode, in its order.
func acts(t Target) []act {
	switch t.Mode {
	case audit.ModePlain:
		return []act{
			{stepConnect, (*session).connect},
			{stepGreeting, (*session).greet},
			{stepHello, (*session).ehlo},
			{stepStartTLS, (*session).offered},
		}
	case audit.ModeTLS:
		return []act{
			{stepConnect, (*session).connect},
			{stepTLS, (*session).handshake},
			{stepGreeting, (*session).greet},
			{stepHelloTLS, (*session).ehloInside},
		}
	}
	line := []act{
		{stepConnect, (*session).connect},
		{stepGreeting, (*session).greet},
		{stepHello, (*session).ehlo},
		{stepStartTLS, (*session).offered},
		{stepTLS, (*session).upgrade},
		{stepHelloTLS, (*session).ehloAgain},
	}
	if t.TryMail {
		line = slices.Insert(line, place(line, stepTLS), act{stepMail, (*session).tryMail})
	}
	return line
}

// place is the index of a step in a dialogue; negative: it is not part of it.
func place(line []act, s step) int {
	return slices.IndexFunc(line, func(a act) bool { return a.step == s })
}

// leftOut is the observation of a step that the mode does not have. Without
// TLS it was our choice not to ask; with TLS from the first byte there is
// nothing in clear to ask about.
func leftOut[T any](s step) audit.Obs[T] {
	if s == stepTLS || s == stepHelloTLS {
		return audit.Skipped[T]("mode plain: TLS was not tried")
	}
	return audit.NA[T]("the connection is TLS from the first byte")
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
