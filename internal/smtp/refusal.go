package smtp

import (
	"bytes"
	"net/netip"
	"slices"

	"mailaudit/internal/audit"
)

// This file keeps the words of servers that turn us away. What they mean is
// for the rules to say: the dialogue goes by the first digit of the code.

// greeting is the greeting as it goes into the facts. One that turns us away
// likes to talk about us.
func (s *session) greeting(rp reply) audit.Greeting {
	g := newGreeting(rp, s.rec.Greeting, s.stable)
	if rp.class() == 4 || rp.class() == 5 {
		words := s.words(rp)
		for i := range g.Lines {
			g.Lines[i] = words(rp.text(i)).Clip(maxGreetingText)
		}
	}
	return g
}

// refused notes the reply with which a command was refused; others it leaves
// alone. The first of a connection is the one that counts: what follows (HELO)
// was asked because of it.
func (s *session) refused(command string, rp reply) {
	if rp.class() != 4 && rp.class() != 5 || s.look.said.Code != 0 {
		return
	}
	s.look.said = audit.Refusal{Command: command, Code: rp.code}
	words := s.words(rp)
	for i := range rp.lines[:min(len(rp.lines), audit.MaxRefusalLines)] {
		s.look.said.Lines = append(s.look.said.Lines, words(rp.text(i)).Clip(audit.MaxRefusalText))
	}
}

// words makes the lines of a refusal stable.
func (s *session) words(rp reply) func(audit.Raw) audit.Raw {
	stable := s.stable
	if s.natted() {
		for i := range rp.lines {
			stable = stable.With(stable.OurAddresses(rp.text(i), s.t.Addr)...)
		}
	}
	return func(text audit.Raw) audit.Raw { return stable.Refusal(text, s.p.cfg.HELO) }
}

// natted reports whether the server sees another address of ours than we do:
// our end of the connection has a private one (RFC 1918, RFC 4193) or one that
// providers share out (RFC 6598), or is a proxy that does not tell it, and the
// server's has a public one.
func (s *session) natted() bool {
	local, err := netip.ParseAddrPort(s.raw.LocalAddr().String())
	return (err != nil || behindNAT(local.Addr())) && !behindNAT(s.t.Addr)
}

func behindNAT(a netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)
	return a.Unmap().IsPrivate() || shared.Contains(a.Unmap())
}

// replyIn is the reply that octets begin with, as far as it is one. It is for
// what was read as something else.
func replyIn(said []byte) reply {
	rp, _ := (&reader{src: bytes.NewReader(said)}).reply()
	return rp
}

// sentAway reports whether the look ended at a greeting that refused us with
// 5xx. 521 is not among them: it says what it means.
func (l look) sentAway() bool { return l.how == shut && l.greeting.Code/100 == 5 }

// sameWords reports whether two greetings say the same. The servers behind one
// address may go by different names.
func sameWords(a, b audit.Greeting) bool {
	rest := func(g audit.Greeting) []audit.Raw {
		lines := slices.Clone(g.Lines)
		for i, l := range lines {
			word, after := cutWord(l)
			if word == g.Name && audit.NewDNSName(string(word)).IsHostname() {
				lines[i] = after
			}
		}
		return lines
	}
	return a.Code == b.Code && slices.Equal(rest(a), rest(b))
}

// refused is the observation of a refusal, left out where there was none.
func (l look) refused(plain, secure string) audit.Obs[audit.Refusal] {
	switch {
	case l.said.Code == 0:
		return audit.Obs[audit.Refusal]{}
	case l.said.Command == "EHLO" || l.said.Command == "STARTTLS":
		return audit.See(l.said, plain)
	}
	return audit.See(l.said, secure)
}

// replies is the observation of the pace, which is known from the first reply
// to a command on.
func (l look) replies(via string) audit.Obs[audit.Pace] {
	if l.pace.Replies > 0 {
		return audit.See(l.pace, via)
	}
	first := stepHello
	if place(l.line, first) < 0 {
		first = stepHelloTLS
	}
	return observe(l, first, l.pace, via)
}
