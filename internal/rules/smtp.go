package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// The codes that say more than "yes" or "no" in a greeting.
const (
	codeReady      = 220 // RFC 5321 4.2.3
	codeNoMailHost = 521 // RFC 7504 3: this host never takes mail
)

// smtpRules judge how the mail servers answer, before and beside TLS.
func smtpRules() []Rule {
	return []Rule{{
		ID: "smtp.unreachable", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High, Range: []audit.Severity{audit.Critical, audit.Medium, audit.Low},
		Title: "Every address of a mail server answers on its port",
		Refs:  []Ref{{"RFC 5321", "4.5.4.1"}, {"RFC 5321", "5.1"}},
		Why: "Senders that come to an address where nothing listens try the next one, and when none answers they keep the mail " +
			"in their queue for some days and then bounce it. So a single address counts for little while another one of the host answers; on every port but 25 for more, " +
			"because not every mail program tries the next one. A refusal or silence is a fail only where another server was reached the same way: " +
			"else it may be our own network, and is unknown.",
		Fix:   "Start the mail server there or open its firewall; if the address is not meant to take mail, take it out of the name's records.",
		Judge: judgeReachable,
	}, {
		ID: "smtp.host-takes-no-mail", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "The server takes mail: it does not greet with 521",
		Refs:  []Ref{{"RFC 7504", "3"}},
		Why: "A greeting with code 521 says that this host never accepts mail. Senders bounce what they were to deliver there. " +
			"(Other refusals in the greeting are for smtp.greeting-refused and smtp.busy, or about the address that asks, and then unknown.)",
		Fix:   "Point the MX record, or the mail programs, to the host that takes the mail; replace the record by a null MX when no host does.",
		After: []audit.RuleID{"smtp.unreachable"},
		Judge: judgeTakesMail,
	}, greetingRefused(), busy(), tarpit(), {
		ID: "smtp.greeting-late", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.Medium},
		Title: "The greeting comes before senders lose patience",
		Refs:  []Ref{{"RFC 5321", "4.5.3.2.1"}},
		Why: "Senders should wait five minutes for the greeting; many wait one or two. A pause of some seconds is a common " +
			"and deliberate defence against bulk senders. A long one costs mail.",
		Fix:   "Keep deliberate pauses below 30 seconds; if the pause is not deliberate, look for slow DNS lookups of the connecting address.",
		After: welcomed(),
		Judge: judgeGreetingDelay,
	}, {
		ID: "smtp.banner-not-fqdn", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Low,
		Title: "The greeting begins with the qualified name of the host, or its address literal",
		Refs:  []Ref{{"RFC 5321", "4.2"}, {"RFC 5321", "2.3.5"}},
		Why: "The first word of the greeting is the name by which the server goes. Some senders log or compare it; " +
			"a server that does not know its own name mostly introduces itself wrongly when it sends as well.",
		Fix:   "Set the host name of the mail server to its qualified name (Postfix: myhostname; Exim: primary_hostname).",
		After: welcomed(),
		Judge: judgeBannerName,
	}, {
		ID: "smtp.ehlo-refused", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Medium, Range: []audit.Severity{audit.High}, AtPort25: audit.Medium,
		Title: "The server speaks ESMTP",
		Refs:  []Ref{{"RFC 5321", "2.2.1"}, {"RFC 5321", "4.1.1.1"}},
		Why: "Without EHLO there is no STARTTLS, no size limit announced in advance and no internationalised mail, " +
			"and no login, without which nobody can hand in mail on any port but 25. " +
			"A firewall that \"inspects\" SMTP is the usual cause.",
		Fix:   "Switch SMTP inspection off in the firewall in front of the server (Cisco: no inspect esmtp), or upgrade the server.",
		After: welcomed(),
		Judge: judgeEHLO,
	}, {
		ID: "smtp.ehlo-mangled", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.High},
		Title: "Nothing on the way rewrites what the server says",
		Refs:  []Ref{{"RFC 5321", "4.2"}, {"RFC 3207", "6"}},
		Why: "Some firewalls overwrite the greeting with asterisks and the services that they do not know with the letter X. " +
			"Where STARTTLS is among them (XXXXXXXA), all mail to the server travels in clear text, without anybody having decided that.",
		Fix:   "Switch SMTP inspection off in the firewall in front of the server (Cisco: no inspect esmtp).",
		After: welcomed(),
		Judge: judgeMangled,
	}, {
		ID: "smtp.xclient-offered", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Medium,
		Title: "XCLIENT and XFORWARD are not offered to strangers",
		Refs:  []Ref{{"Postfix XCLIENT howto", "https://www.postfix.org/XCLIENT_README.html"}},
		Why: "With XCLIENT a proxy tells the server from which address a connection really comes. Whoever may use it can claim any address, " +
			"also one that is trusted to relay. Postfix offers it to the clients it is configured for only, so we may have come by such a way.",
		Fix:   "Restrict both to the addresses of your own proxies (Postfix: smtpd_authorized_xclient_hosts, smtpd_authorized_xforward_hosts).",
		After: append(welcomed(), "smtp.ehlo-refused"),
		Judge: judgeXCLIENT,
	}, {
		ID: "smtp.version-disclosed", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Info,
		Title: "The greeting keeps the version of the software to itself",
		Refs:  []Ref{{"RFC 5321", "7.5"}},
		Why: "The version tells attackers which known holes to try first, and helps those who look for faults of delivery. " +
			"The standard leaves the choice to the site; hiding it does not replace updates.",
		Fix:   "Take the version out of the greeting, if you prefer so (Postfix: smtpd_banner = $myhostname ESMTP).",
		After: welcomed(),
		Judge: judgeVersionDisclosed,
	}}
}

func judgeReachable(s *audit.Snapshot, r *Report) {
	var dead []audit.Endpoint
	endpoints(s, r, func(e audit.Endpoint) {
		if looksDead(e) {
			dead = append(dead, e)
			return
		}
		_, _, ok := Need(r, e.Subject(), e.Connect)
		if ok {
			r.Pass(e.Subject(), "answers", Seen(e.Connect.Via, "connected"))
		}
	})
	proven := slices.DeleteFunc(slices.Clone(dead), func(e audit.Endpoint) bool { return !wayOut(s, e) })
	for _, e := range dead {
		switch {
		case otherDoor(s, r, e):
		case wayOut(s, e):
			r.Fail(e.Subject(), deadFault(s, e, proven))
		case e.Connect.State == audit.Absent:
			r.Unknown(e.Subject(), refusedByWhom(), Seen(e.Connect.Via, "connection refused, twice"))
		default:
			Need(r, e.Subject(), e.Connect)
		}
	}
}

// looksDead reports whether an endpoint refused two connections, or took none
// of two. Whether that is its own doing, wayOut tells.
func looksDead(e audit.Endpoint) bool {
	return e.Connect.State == audit.Absent || e.Connect.State == audit.Unknown && e.Connect.Why.Code == audit.NoAnswer
}

// deadFault is about an endpoint of which it is proven that it is dead. all are
// those.
func deadFault(s *audit.Snapshot, e audit.Endpoint, all []audit.Endpoint) Fault {
	detail := fmt.Sprintf("%s refuses connections on port %d", netip.AddrPortFrom(e.Addr, e.Port), e.Port)
	evidence := []string{Seen(e.Connect.Via, "connection refused, twice")}
	check := fmt.Sprintf("check that a mail server runs on %s and listens on port %d, and that no firewall rejects the connection", e.Addr, e.Port)
	if e.Connect.State != audit.Absent {
		detail = fmt.Sprintf("%s does not answer, while port %d of other servers does from here", netip.AddrPortFrom(e.Addr, e.Port), e.Port)
		evidence = []string{Seen(e.Connect.Via, e.Connect.Why.Text)}
		check = fmt.Sprintf("check that a mail server runs on %s and listens on port %d, and that no firewall drops the connection: all of them, or those from some countries and networks", e.Addr, e.Port)
	}
	port, way := e.Port, proof(s, e)
	if way.State == audit.NotTried && submission(e) {
		port, way = portMX, port25Out(s, e)
	}
	if way.State == audit.Seen {
		evidence = append(evidence, Seen(way.Via, fmt.Sprintf("another server answers, so connections to port %d leave our network", port)))
	}
	return Fault{
		Severity: deadSeverity(s, e, all), Detail: detail, Evidence: evidence,
		Fix: audit.Fix{Summary: "let the server listen there, or stop naming the address", Steps: []string{
			check, fmt.Sprintf("if %s is not meant to take mail: remove it from the records of %s", e.Addr, e.Host.FQDN()),
		}},
	}
}

// deadSeverity is what one address costs where nothing listens: little while
// another address of the same host is seen to answer (RFC 5321 section 5.1 has
// senders try them all), and all mail where it is proven of every address of
// every mail host.
func deadSeverity(s *audit.Snapshot, dead audit.Endpoint, all []audit.Endpoint) audit.Severity {
	alive := false
	for _, e := range s.Facts.SMTP {
		if e.Host == dead.Host && e.Port == dead.Port && e.Answers(proxied(s)) {
			return byPort(dead, audit.Low, audit.Medium)
		}
		proven := slices.ContainsFunc(all, func(d audit.Endpoint) bool { return d.Subject() == e.Subject() })
		alive = alive || e.Port == portMX && !proven
	}
	if dead.Port == portMX && !alive && !oneServer(s) && everyHostSeen(s) {
		return audit.Critical
	}
	return audit.High
}

// everyHostSeen reports whether all addresses of all mail hosts are known.
func everyHostSeen(s *audit.Snapshot) bool {
	for _, h := range s.Facts.Hosts {
		if h.Role == audit.RoleSubmission { // takes no mail for the domain
			continue
		}
		if h.ALeftOut+h.AAAALeftOut > 0 || !h.A.Known() || !h.AAAA.Known() {
			return false
		}
	}
	return true
}

// wayOut reports whether it is proven that connections like this one leave our
// network: another one of the same family and port was made, by this run or to
// a control host. A refusal, or silence, without that may come from a firewall
// on our side.
//
// Where nobody was asked, a refusal will do in two cases: of the one server that
// was named, as whoever named it asked about the way to it as well; and on the
// ports of submission, where port 25 gets out: that is the one that networks
// like to shut.
func wayOut(s *audit.Snapshot, dead audit.Endpoint) bool {
	way := proof(s, dead)
	if way.State != audit.NotTried || dead.Connect.State != audit.Absent {
		return way.State == audit.Seen
	}
	return oneServer(s) || submission(dead) && port25Out(s, dead).State == audit.Seen
}

// port25Out is what is known of the way to port 25 in the family of an endpoint.
func port25Out(s *audit.Snapshot, e audit.Endpoint) audit.Obs[audit.Nothing] {
	e.Port = portMX
	return proof(s, e)
}

// greeted opens the greeting of an endpoint when it is a welcome; anything
// else it has said for the rule.
func greeted(r *Report, e audit.Endpoint) (audit.Greeting, bool) {
	g, present, ok := Need(r, e.Subject(), e.Greeting)
	switch {
	case !ok:
		return g, false
	case !present:
		r.NA(e.Subject(), e.Greeting.Why.Text)
		return g, false
	}
	evidence := Seen(e.Greeting.Via, greetingText(g))
	said, refused := r.refusal(e)
	switch {
	case g.Code == codeReady:
		return g, true
	case g.Code == codeNoMailHost && !refused:
		r.NA(e.Subject(), "the host says that it takes no mail")
	case !refused:
		r.Unknown(e.Subject(), audit.Reason{Code: audit.RefusedUs,
			Text: "the server does not talk to us, which may be about our address: " + greetingText(g)}, evidence)
	case said.everybody():
		r.NA(e.Subject(), "the server turns connections away")
	default:
		r.Unknown(e.Subject(), said.Reason(), evidence)
	}
	return g, false
}

// greetingText is the greeting as one line.
func greetingText(g audit.Greeting) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", g.Code, strings.Join(texts(g.Lines), " / ")))
}

func judgeTakesMail(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		g, present, ok := Need(r, e.Subject(), e.Greeting)
		_, refused := r.refusal(e)
		if ok && present && g.Code == codeNoMailHost && !refused {
			r.Fail(e.Subject(), Fault{
				Detail:   e.Host.String() + " says that it never takes mail",
				Evidence: []string{Seen(e.Greeting.Via, greetingText(g))},
				Fix:      elsewhere(s, e),
			})
			return
		}
		if !ok {
			return
		}
		g, welcome := greeted(r, e)
		if welcome {
			r.Pass(e.Subject(), "the server welcomes mail", Seen(e.Greeting.Via, greetingText(g)))
		}
	})
}

// elsewhere is the cure for a host that takes no mail: to name another one.
func elsewhere(s *audit.Snapshot, e audit.Endpoint) audit.Fix {
	if oneServer(s) {
		return audit.Fix{Summary: "use the host that takes the mail", Steps: []string{
			"look up which host that is, and set it wherever " + e.Host.String() + " is set",
		}}
	}
	return audit.Fix{Summary: "point the MX to a host that takes mail", Steps: []string{
		"replace " + e.Host.FQDN() + " in the MX records by the host that takes the mail",
		"or publish " + s.Domain.Name().FQDN() + " MX 0 . alone, if the domain takes none",
	}}
}

func judgeGreetingDelay(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		g, welcome := greeted(r, e)
		if !welcome {
			return
		}
		fault := Fault{
			Evidence: []string{Seen(e.Greeting.Via, greetingText(g), "delay "+string(g.Delay))},
			Fix: audit.Fix{Summary: "keep the pause short", Steps: []string{
				"if the pause is deliberate (postscreen, greet pause): keep it below 30 seconds",
				"if not: look for slow lookups of the connecting address (reverse DNS, block lists) in the server's log",
			}},
		}
		switch g.Delay {
		case audit.Prompt:
			r.Pass(e.Subject(), "the greeting comes within 5 seconds", fault.Evidence...)
		case audit.Paused:
			fault.Detail = "the greeting comes after more than 5 seconds: a deliberate pause, or slow lookups"
			r.Fail(e.Subject(), fault)
		case audit.Slow:
			fault.Detail = "the greeting comes after more than 30 seconds; some senders give up earlier"
			r.Fail(e.Subject(), fault)
		default:
			fault.Severity = audit.Medium
			fault.Detail = "the greeting comes after more than two minutes; many senders give up earlier"
			r.Fail(e.Subject(), fault)
		}
	})
}

func judgeBannerName(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		g, welcome := greeted(r, e)
		if !welcome {
			return
		}
		evidence := Seen(e.Greeting.Via, greetingText(g))
		if qualified(g.Name) {
			r.Pass(e.Subject(), "introduces itself as "+g.Name.String(), evidence)
			return
		}
		r.Fail(e.Subject(), Fault{
			Detail:   fmt.Sprintf("the greeting begins with %q, which is no qualified host name", g.Name.Clip(100).String()),
			Evidence: []string{evidence},
			Fix: audit.Fix{Summary: "tell the server its name", Steps: []string{
				"set the qualified name of the host in the mail server (Postfix: myhostname = " + e.Host.String() + ")",
				"if a firewall masks the greeting with asterisks: switch its SMTP inspection off",
			}},
		})
	})
}

func judgeEHLO(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		o := firstHello(e)
		h, present, ok := Need(r, e.Subject(), o)
		switch {
		case !ok:
		case present:
			r.Pass(e.Subject(), fmt.Sprintf("EHLO is answered with %d extensions", len(h.Keywords)), Seen(o.Via, keywordNames(h)...))
		default:
			r.Fail(e.Subject(), Fault{
				Severity: byPort(e, audit.Medium, audit.High),
				Detail:   "the server does not know EHLO",
				Evidence: []string{Seen(o.Via, o.Why.Text)},
				Fix: audit.Fix{Summary: "let ESMTP through", Steps: []string{
					"look for a firewall or proxy in front of the server that rewrites SMTP, and switch that off",
					"else upgrade the mail server",
				}},
			})
		}
	})
}

func keywordNames(h audit.Hello) []string {
	var out []string
	for _, k := range h.Keywords {
		out = append(out, k.Name)
	}
	return out
}
