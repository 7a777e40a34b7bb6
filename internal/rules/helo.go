package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"mailaudit/internal/audit"
)

// heloRules judge the names that servers go by. What a server calls itself
// when others connect to it is a hint at what it says in EHLO when it sends,
// and no more than that: hence a note.
func heloRules() []Rule {
	return []Rule{{
		ID: "helo.names-differ", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info,
		Title: "The server gives the same name in its greeting and in its reply to EHLO",
		Refs:  []Ref{{"RFC 5321", "4.2"}, {"RFC 5321", "4.1.1.1"}},
		Why: "Both replies begin with the server's name for itself. No mail is lost when they differ, but it shows that the name is set in " +
			"two places, or that a proxy answers before the server does; a server that also sends may then give a wrong name there.",
		Fix:   "Set the name of the server in one place (Postfix: myhostname, with smtpd_banner beginning with $myhostname; Exim: primary_hostname).",
		Judge: judgeNames,
	}, {
		ID: "helo.unresolvable", Axis: audit.Delivery, Since: "0.2.0", Severity: audit.Info,
		Title: "The names that the server gives for itself have addresses",
		Refs:  []Ref{{"RFC 5321", "2.3.5"}, {"RFC 5321", "4.1.4"}},
		Why: "In SMTP only names that DNS leads somewhere are used (RFC 5321 2.3.5). Nobody refuses to deliver to a server for its greeting; " +
			"but one that says a made-up name here mostly says it in EHLO too when it sends, and there receivers look the name up and refuse what has no address.",
		Fix:   "Set the server's name to one that has an A or AAAA record, or publish one for it.",
		Judge: judgeGivenNames,
	}}
}

// judgeGivenNames looks the names up among what was asked: most are hosts of
// the run, the others have an entry of their own.
func judgeGivenNames(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		_, connected, ok := Need(r, e.Subject(), e.Connect)
		switch {
		case !ok:
			return
		case !connected:
			r.NA(e.Subject(), "nothing listens there")
			return
		}
		_, welcome := greeted(r, e)
		if !welcome {
			return
		}
		hello := Gather(firstHello(e))
		var dead, fine, evidence []string
		var open []audit.Obs[audit.Nothing]
		for _, name := range e.GivenNames() {
			obs := addressesOf(s, name)
			g := Gather(obs...)
			switch {
			case len(g.Values) > 0:
				fine = append(fine, name.String())
				evidence = append(evidence, Seen(g.Vias[0], "has an address"))
			case g.dark != nil:
				open = append(open, obs...)
			default:
				dead = append(dead, name.String())
				for _, o := range obs {
					evidence = append(evidence, Seen(o.Via, string(o.Why.Code)))
				}
			}
		}
		switch {
		case len(dead) > 0:
			r.Fail(e.Subject(), Fault{
				Detail:   "the server gives a name for itself that has no address: " + strings.Join(dead, ", "),
				Evidence: evidence,
				Fix: audit.Fix{Summary: "give the server a name that DNS knows", Steps: []string{
					"set its host name to a name with an A or AAAA record (Postfix: myhostname = " + e.Host.String() + ")",
					"or publish an address for the name that it gives",
				}},
			})
		case !Gather(open...).Complete(r, e.Subject()) || !hello.Complete(r, e.Subject()):
		case len(fine) == 0:
			r.NA(e.Subject(), "the server gives no qualified name")
		default:
			r.Pass(e.Subject(), strings.Join(fine, " and ")+" in DNS: has an address", evidence...)
		}
	})
}

// addressesOf is whether a name has addresses, as far as this run asked.
func addressesOf(s *audit.Snapshot, name audit.DNSName) []audit.Obs[audit.Nothing] {
	for _, h := range s.Facts.Hosts {
		if h.Name == name && h.A.State != audit.NotTried {
			return []audit.Obs[audit.Nothing]{existence(h.A), existence(h.AAAA)}
		}
	}
	for _, n := range s.Facts.Names {
		if n.Name == name {
			return []audit.Obs[audit.Nothing]{n.A, n.AAAA}
		}
	}
	why := "this run did not ask for the addresses of " + name.String()
	return []audit.Obs[audit.Nothing]{audit.Skipped[audit.Nothing](why)}
}

// existence is an observation without its value.
func existence[T any](o audit.Obs[T]) audit.Obs[audit.Nothing] {
	return audit.Obs[audit.Nothing]{State: o.State, Why: o.Why, Via: o.Via}
}

func judgeNames(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		if looksDead(e) && wayOut(s, e) {
			r.NA(e.Subject(), "nothing answers there")
			return
		}
		_, connected, ok := Need(r, e.Subject(), e.Connect)
		switch {
		case !ok:
			return
		case !connected:
			r.NA(e.Subject(), "nothing listens there")
			return
		}
		g, welcome := greeted(r, e)
		if !welcome {
			return
		}
		o := firstHello(e)
		h, answered, ok := Need(r, e.Subject(), o)
		switch {
		case !ok:
		case !answered:
			r.NA(e.Subject(), "EHLO is not answered")
		case !qualified(g.Name) || h.Name == "":
			r.NA(e.Subject(), "the server gives no qualified name to compare")
		case sameName(g.Name, h.Name):
			r.Pass(e.Subject(), "goes by "+g.Name.String(), Seen(e.Greeting.Via, greetingText(g)), Seen(o.Via, h.Name.String()))
		default:
			r.Fail(e.Subject(), Fault{
				Detail:   fmt.Sprintf("the greeting gives the name %s, the reply to EHLO %s", g.Name.Clip(100), h.Name.Clip(100)),
				Evidence: []string{Seen(e.Greeting.Via, greetingText(g)), Seen(o.Via, h.Name.String())},
				Fix: audit.Fix{Summary: "give the server one name", Steps: []string{
					"set its qualified host name in one place (Postfix: myhostname, smtpd_banner = $myhostname ESMTP)",
					"if a proxy or filter stands in front of the server: give both the same name",
				}},
			})
		}
	})
}

// firstHello is the reply to the first EHLO that an endpoint is sent.
func firstHello(e audit.Endpoint) audit.Obs[audit.Hello] {
	if e.Mode == audit.ModeTLS {
		return e.HelloTLS
	}
	return e.Hello
}

// sameName compares host names as DNS does: without regard to letter case or
// a trailing dot (RFC 4343).
func sameName(a, b audit.Raw) bool {
	return strings.EqualFold(strings.TrimSuffix(string(a), "."), strings.TrimSuffix(string(b), "."))
}

// qualified reports whether a server names itself as RFC 5321 section 4.2
// wants it: a host name with a dot, or an address literal.
func qualified(name audit.Raw) bool {
	_, err := netip.ParseAddr(strings.TrimPrefix(strings.Trim(string(name), "[]"), "IPv6:"))
	if err == nil && strings.HasPrefix(string(name), "[") {
		return true
	}
	_, ok := audit.Qualified(name)
	return ok
}
