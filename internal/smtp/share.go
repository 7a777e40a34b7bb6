package smtp

import (
	"crypto/x509"

	"mailaudit/internal/audit"
)

// Unobserved is the Endpoint of a target that was not connected to, for a
// reason that holds for every step.
func Unobserved(t Target, why audit.Reason) audit.Endpoint {
	return look{line: acts(t), how: shut, why: why}.endpoint(t)
}

// As tells what an endpoint that was observed under one name is under
// another: many names lead to one server. Two things depend on the name, and
// both come with TLS: the certificate that a server chooses by the name that it
// is asked for (SNI, RFC 6066 section 3), and whether it is valid for the name.
// A certificate that was shown for another name and is valid for this one as
// well settles both. Where it is not, where TLS failed, or where the target is
// another address, port or mode, As reports false: then only another look
// tells. What is known of the offer of STARTTLS, of large ClientHellos and of old
// versions belongs to the address (see Floor) and comes along.
func As(e audit.Endpoint, t Target) (audit.Endpoint, bool) {
	if e.Addr != t.Addr || e.Port != t.Port || e.Mode != t.Mode {
		return audit.Endpoint{}, false
	}
	if e.Host == t.Host {
		return e, true
	}
	switch {
	case e.TLS.State == audit.Seen:
		if !covers(e.TLS.Value, t.Host) {
			return audit.Endpoint{}, false
		}
		e.TLS.Value.NameMatch = audit.See(audit.Nothing{}, e.TLS.Value.NameMatch.Via)
	case handshaken(e):
		return audit.Endpoint{}, false
	}
	before, after := Target{Host: e.Host, Addr: e.Addr, Port: e.Port, Mode: e.Mode}, t
	_, was := commands(before)
	_, is := commands(after)
	e.Host = t.Host
	for _, via := range []*string{
		&e.Connect.Via, &e.Greeting.Via, &e.Hello.Via, &e.Helo.Via, &e.Mail.Via, &e.StartTLS.Via, &e.TLS.Via, &e.HelloTLS.Via, &e.Replies.Via, &e.Refusal.Via, &e.Pace.Via,
		&e.StartTLSSteady.Via, &e.LargeHello.Via,
	} {
		if *via == was {
			*via = is
		}
	}
	if e.OldTLS.Via == oldCommand(before) {
		e.OldTLS.Via = oldCommand(after)
	}
	return e, true
}

// handshaken reports whether a handshake was tried, or may have been.
func handshaken(e audit.Endpoint) bool {
	if e.Mode == audit.ModeTLS {
		return e.Connect.State == audit.Seen
	}
	return e.StartTLS.State == audit.Seen && e.TLS.State != audit.NotTried
}

// covers reports whether the certificate is valid for a host, as far as its
// names were kept.
func covers(t audit.TLS, host audit.DNSName) bool {
	if len(t.Chain) == 0 || serverName(host) == "" {
		return false
	}
	var names []string
	for _, n := range t.Chain[0].Names {
		names = append(names, string(n))
	}
	return nameMatch(&x509.Certificate{DNSNames: names}, host).State == audit.Seen
}
