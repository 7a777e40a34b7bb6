package lab

import (
	"crypto/tls"
	"fmt"
	"strings"
)

// Healthy is a server as Postfix is out of the box, on a system that has done
// with old TLS: it greets at once, knows the usual extensions, does STARTTLS and
// relays for nobody. A server section makes one, so that large worlds stay
// readable.
type Healthy struct {
	Name   string // for itself
	Banner string // after "220 "
	Cert   string // of STARTTLS; "": not offered
}

// healthy serves commands in any order until the client goes.
func (s *session) healthy(h Healthy) {
	err := s.say("220 " + h.Banner)
	secure := false
	for err == nil {
		var got string
		got, err = s.command()
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(got, " ")
		switch verb = strings.ToUpper(verb); {
		case verb == "QUIT":
			err = s.bye()
		case verb == "EHLO":
			err = s.send(h.hello(secure))
		case verb == "STARTTLS" && h.Cert != "" && !secure:
			err = s.say("220 2.0.0 Ready to start TLS")
			if err == nil {
				err = s.startTLS(Step{Cert: h.Cert, Min: tls.VersionTLS12})
				secure = true
			}
		default:
			err = s.say(h.reply(verb, secure))
		}
	}
}

// hello is the reply to EHLO (RFC 5321 section 4.1.1.1).
func (h Healthy) hello(secure bool) string {
	words := []string{h.Name, "PIPELINING", "SIZE 10240000", "ETRN"}
	if h.Cert != "" && !secure {
		words = append(words, "STARTTLS")
	}
	words = append(words, "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING")
	var b strings.Builder
	for i, word := range words {
		mark := '-'
		if i == len(words)-1 {
			mark = ' '
		}
		fmt.Fprintf(&b, "250%c%s\r\n", mark, word)
	}
	return b.String()
}

// reply is the answer to the other commands.
func (h Healthy) reply(verb string, secure bool) string {
	switch verb {
	case "HELO":
		return "250 " + h.Name
	case "NOOP", "RSET":
		return "250 2.0.0 Ok"
	case "MAIL":
		return "250 2.1.0 Ok"
	case "RCPT":
		return "454 4.7.1 Relay access denied"
	case "DATA", "BDAT":
		return "554 5.5.1 Error: no valid recipients"
	case "VRFY":
		return "252 2.0.0 Ok"
	case "STARTTLS":
		if secure {
			return "554 5.5.1 Error: TLS already active"
		}
	}
	return "502 5.5.2 Error: command not recognized"
}
