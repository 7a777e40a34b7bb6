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
	}}
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
	host := audit.NewDNSName(string(name))
	return host.IsHostname() && strings.Contains(string(host), ".")
}
