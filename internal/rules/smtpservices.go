package rules

import (
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file judges what servers tell about themselves: the services in their
// EHLO replies, and their greetings.

// hellos are the EHLO replies that have a meaning at an endpoint: where there
// is no TLS there is none inside it.
func hellos(e audit.Endpoint) []audit.Obs[audit.Hello] {
	return slices.DeleteFunc([]audit.Obs[audit.Hello]{e.Hello, e.HelloTLS}, func(o audit.Obs[audit.Hello]) bool {
		return o.State == audit.NotTried && o.Why.Code == audit.NotApplicable
	})
}

// neverOffered passes an endpoint whose EHLO replies, before TLS and inside
// it, have none of some keywords, and fails it with fault otherwise.
func neverOffered(r *Report, e audit.Endpoint, fault Fault, keywords ...string) {
	g := Gather(hellos(e)...)
	for i, h := range g.Values {
		var found []string
		for _, k := range h.Keywords {
			if slices.Contains(keywords, k.Name) {
				found = append(found, strings.TrimSpace(k.Name+" "+k.Params.String()))
			}
		}
		if len(found) > 0 {
			fault.Evidence = append(fault.Evidence, Seen(g.Vias[i], found...))
		}
	}
	switch {
	case len(fault.Evidence) > 0:
		r.Fail(e.Subject(), fault)
	case !g.Complete(r, e.Subject()):
	case len(g.Values) == 0:
		r.NA(e.Subject(), "EHLO is not answered")
	default:
		var evidence []string
		for i, h := range g.Values {
			evidence = append(evidence, Seen(g.Vias[i], keywordNames(h)...))
		}
		r.Pass(e.Subject(), "offers no "+strings.Join(keywords, " or "), evidence...)
	}
}

func judgeXCLIENT(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		neverOffered(r, e, Fault{
			Detail: "the server lets us claim to be somebody else (XCLIENT or XFORWARD)",
			Fix: audit.Fix{Summary: "offer them to your own proxies alone", Steps: []string{
				"Postfix: look at smtpd_authorized_xclient_hosts and smtpd_authorized_xforward_hosts, which are empty by default",
				"if this audit ran from inside your own network, the server may do so on purpose: run it from outside as well",
			}},
		}, "XCLIENT", "XFORWARD")
	})
}

func judgeVersionDisclosed(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		g, welcome := greeted(r, e)
		if !welcome {
			return
		}
		evidence := Seen(e.Greeting.Via, greetingText(g))
		for i, line := range g.Lines {
			words := string(line)
			if i == 0 {
				words = strings.TrimPrefix(words, string(g.Name))
			}
			version := versionIn(words)
			if version != "" {
				r.Fail(e.Subject(), Fault{
					Detail:   "the greeting tells the version of the software: " + version,
					Evidence: []string{evidence},
					Fix: audit.Fix{Summary: "leave the version out of the greeting", Steps: []string{
						"Postfix: smtpd_banner = $myhostname ESMTP",
						"Exim: smtp_banner = $smtp_active_hostname ESMTP",
						"Sendmail: O SmtpGreetingMessage=$j",
					}},
				})
				return
			}
		}
		r.Pass(e.Subject(), "the greeting keeps the version to itself", evidence)
	})
}

// maxVersionTail is how many letters and digits may follow the dotted number
// of a version: "rc2", "p1", "beta3".
const maxVersionTail = 5

// versionIn finds the first version number that follows a word: "4.97.1",
// "v2.8", "8.18.1p2". An address is none.
func versionIn(text string) string {
	product := false
	for _, tok := range strings.FieldsFunc(text, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.'
	}) {
		tok = strings.Trim(tok, ".")
		if product && isVersion(tok) {
			return tok
		}
		product = product || strings.ContainsAny(tok, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	}
	return ""
}

func isVersion(tok string) bool {
	if len(tok) > 1 && (tok[0] == 'v' || tok[0] == 'V') {
		tok = tok[1:]
	}
	tail := strings.TrimLeft(tok, "0123456789.")
	number := strings.TrimSuffix(tok, tail)
	if strings.Contains(tail, ".") || len(tail) > maxVersionTail || !strings.Contains(strings.TrimRight(number, "."), ".") {
		return false
	}
	return !isAddress(tok) && tok[0] != '.'
}

func judgeMangled(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		if e.Mode == audit.ModeTLS {
			r.NA(e.Subject(), "nobody on the way can rewrite what is inside TLS")
			return
		}
		fault := Fault{Fix: audit.Fix{Summary: "switch the rewriting of SMTP off", Steps: []string{
			"look for a firewall with SMTP inspection in front of the server, and switch that off (Cisco: no inspect esmtp, or no fixup protocol smtp 25)",
			"if there is none: ask your provider",
		}}}
		for _, g := range Gather(e.Greeting).Values {
			if g.Masked() {
				fault.Detail = "the greeting is masked with asterisks"
				fault.Evidence = append(fault.Evidence, Seen(e.Greeting.Via, greetingText(g)))
			}
		}
		for _, h := range Gather(e.Hello).Values {
			masked := h.Masked()
			if len(masked) == 0 {
				continue
			}
			fault.Evidence = append(fault.Evidence, Seen(e.Hello.Via, keywordNames(h)...))
			fault.Detail = "services in the reply to EHLO are masked: " + strings.Join(masked, ", ")
			_, offered := h.Keyword("STARTTLS")
			sized := func(name string) bool { return len(name) == len("STARTTLS") }
			if !offered && slices.ContainsFunc(masked, sized) {
				fault.Severity = audit.High
				fault.Detail += "; one of them has the length of STARTTLS, which is missing"
			}
		}
		// Whether a masked greeting is harmless, the reply to EHLO says.
		open := fault.Severity == "" && e.Hello.State == audit.Unknown
		if fault.Detail != "" && !open {
			r.Fail(e.Subject(), fault)
			return
		}
		g, welcome := greeted(r, e)
		if !welcome {
			return
		}
		h, answered, ok := Need(r, e.Subject(), e.Hello)
		switch {
		case !ok:
		case !answered:
			r.NA(e.Subject(), "EHLO is not answered")
		default:
			r.Pass(e.Subject(), "nothing looks rewritten", Seen(e.Greeting.Via, greetingText(g)), Seen(e.Hello.Via, keywordNames(h)...))
		}
	})
}
