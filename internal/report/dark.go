package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// darkReasons is why each unknown finding is unknown. A check that waits for
// another one of its subject has that one's reason, and so has one that says
// the same in other words.
func darkReasons(run *audit.Run) map[audit.Key]audit.Reason {
	out := map[audit.Key]audit.Reason{}
	roots := map[string]audit.Reason{} // the first reason of each subject
	for _, f := range run.Findings {
		if f.Status != audit.UnknownStatus {
			continue
		}
		why := audit.Reason{Code: f.Cause, Text: f.Detail}
		root, rooted := roots[f.Subject]
		switch {
		case rooted && (f.Cause == audit.NotLearned || f.Cause == root.Code):
			why = root
		case f.Cause == audit.NotLearned:
			why = rootCause(run, f.Subject, why)
		}
		if !rooted {
			roots[f.Subject] = why
		}
		out[f.Key()] = why
	}
	return out
}

// darkness makes one entry of everything that is unknown for one reason.
func darkness(run *audit.Run, ours bool) []Dark {
	var order []audit.Reason
	by := map[audit.Reason]*Dark{}
	reasons := darkReasons(run)
	for _, f := range run.Findings {
		if f.Status != audit.UnknownStatus {
			continue
		}
		why := reasons[f.Key()]
		d := by[why]
		if d == nil {
			d = &Dark{Text: why.Text, Cause: why.Code, Advice: advice(why.Code, ofDNS(f), strings.HasSuffix(f.Subject, "]:25"))}
			if ours && ofConnect(run, f.Subject, why) {
				d.Advice = "see above: it may well be your network"
			}
			by[why] = d
			order = append(order, why)
		}
		d.add(f)
	}
	var out []Dark
	for _, why := range order {
		out = append(out, *by[why])
	}
	return out
}

func (d *Dark) add(f audit.Finding) {
	d.Checks++
	// Findings come by rule and then by subject: what was added last is near.
	if !slices.Contains(d.Subjects, f.Subject) {
		d.Subjects = append(d.Subjects, f.Subject)
	}
	if len(d.Rules) == 0 || d.Rules[len(d.Rules)-1] != f.Rule {
		d.Rules = append(d.Rules, f.Rule)
	}
	for _, e := range f.Evidence {
		// What was not even tried, because of the cause told here, was not seen.
		if !slices.Contains(d.Evidence, e) && !strings.HasSuffix(e, rules.Seen("", string(audit.NotLearned))) {
			d.Evidence = append(d.Evidence, e)
		}
	}
}

// ofDNS reports whether an unknown is about an answer of DNS: its evidence
// begins with the question, or its subject is no endpoint.
func ofDNS(f audit.Finding) bool {
	if len(f.Evidence) > 0 {
		return strings.HasPrefix(f.Evidence[0], "dig ")
	}
	return !strings.Contains(f.Subject, "[")
}

// rootCause finds in the facts why an endpoint is dark, for runs in which no
// rule judges the step that failed.
func rootCause(run *audit.Run, subject string, otherwise audit.Reason) audit.Reason {
	for _, e := range run.Snapshot.Facts.SMTP {
		if e.Subject() != subject {
			continue
		}
		for _, step := range []audit.Reason{
			darkWhy(e.Connect), darkWhy(e.Greeting), darkWhy(e.Hello), darkWhy(e.StartTLS), darkWhy(e.TLS), darkWhy(e.HelloTLS),
		} {
			if step.Code != "" && step.Code != audit.NotLearned {
				return step
			}
		}
	}
	return otherwise
}

func darkWhy[T any](o audit.Obs[T]) audit.Reason {
	if o.State == audit.Unknown {
		return o.Why
	}
	return audit.Reason{}
}

// ofConnect reports whether the reason is that the endpoint could not be
// connected to, and not that we did not want to or that our proxy failed.
func ofConnect(run *audit.Run, subject string, why audit.Reason) bool {
	if why.Code == audit.Blocked || why.Code == audit.Budget || why.Code == audit.ProxyFailed {
		return false
	}
	return slices.ContainsFunc(run.Snapshot.Facts.SMTP, func(e audit.Endpoint) bool {
		return e.Connect.State == audit.Unknown && e.Connect.Why == why && e.Subject() == subject
	})
}

// advice is what helps against a kind of blindness. mx: of port 25, which
// providers like to shut.
func advice(cause audit.Code, dns, mx bool) string {
	if dns {
		return adviceDNS(cause)
	}
	switch cause {
	case audit.Timeout, audit.Unreachable, audit.EgressBlock:
		if !mx {
			return "try again; if it stays so, from another network"
		}
	}
	switch cause {
	case audit.Timeout, audit.Unreachable:
		return "try again; if it stays so, from another network: port 25 is often blocked where one works"
	case audit.NoRoute:
		return "try from a network that has a way there; this is our side, not theirs"
	case audit.EgressBlock:
		return "try from a network that lets port 25 out; this is our side, not theirs"
	case audit.TempFail, audit.Once, audit.Disagree, audit.Reset, audit.Closed, audit.TLSStall, audit.Budget:
		return "try again later"
	case audit.RefusedUs:
		return "try from an address that may send mail, or ask the operator"
	}
	return adviceOurs(cause)
}

func adviceDNS(cause audit.Code) string {
	switch cause {
	case audit.Timeout, audit.ResolverDown, audit.NoRoute, audit.Unreachable:
		return "check the resolver, or name another one: --resolver ADDRESS"
	case audit.ServFail, audit.DNSRefused, audit.FormErr, audit.DNSError, audit.Truncated, audit.Malformed:
		return "try again, or ask another resolver: --resolver ADDRESS"
	}
	return adviceOurs(cause)
}

// adviceOurs is what helps against causes of our own.
func adviceOurs(cause audit.Code) string {
	switch cause {
	case audit.LocalPolicy, audit.LocalError:
		return "look at the firewall and the limits of this machine; this is our side, not theirs"
	case audit.ProxyFailed:
		return "look at the proxy, or try without it; this is our side, not theirs"
	case audit.Blocked:
		return "if it is your own network: --allow-net PREFIX or --allow-private"
	case audit.Deadline:
		return "give it more time: --timeout DURATION"
	case audit.Interrupted:
		return "let it run to the end"
	case audit.Bug:
		return "this is a bug of mailaudit: please report it"
	}
	return ""
}

// portSMTP is where mail servers take mail from one another (RFC 5321 section
// 4.5.4.2), and the one port that providers like to shut.
const portSMTP = 25

// connects counts how the connections of a run ended that came to nothing.
type connects struct {
	silent, shut, cut, local, proxy int
	addrs                           map[netip.Addr]bool
}

// ownSide says that the cause is probably ours, where every connection to
// port 25 came to nothing. Silence on one address is an ordinary fault of a
// server; silence everywhere mostly is a provider that keeps port 25 shut.
func ownSide(run *audit.Run) *OwnSide {
	c := connects{addrs: map[netip.Addr]bool{}}
	for _, e := range run.Snapshot.Facts.SMTP {
		switch {
		case e.Port != portSMTP || e.Connect.State == audit.NotTried:
			continue
		case e.Connect.Known():
			return nil // somebody answered
		}
		switch e.Connect.Why.Code {
		case audit.EgressBlock:
			c.shut++
			c.silent++
		case audit.Timeout, audit.Unreachable:
			c.silent++
		case audit.NoRoute:
			c.cut++
		case audit.LocalPolicy:
			c.local++
		case audit.ProxyFailed:
			c.proxy++
		case audit.Blocked, audit.Budget, audit.Deadline, audit.Interrupted:
			continue // not connected to
		default:
			return nil
		}
		c.addrs[e.Addr] = true
	}
	if len(c.addrs) == 0 {
		return nil
	}
	out := c.words()
	steps := []Next{
		{Why: "run mailaudit where port 25 is open: on the mail server itself, or on a server of yours"},
		{Why: "ask the provider of this network to open port 25 outwards"},
		{Why: "does any mail server answer from here? Try one of somebody else", Command: "nc -w 10 HOST 25"},
		{Why: "without SMTP, from here", Command: "mailaudit audit --passive " + audit.ShellQuote(run.Target)},
	}
	switch {
	case c.onlyProxy():
		steps = []Next{{Why: "check that the proxy runs, and that it lets you connect to port 25"}, steps[3]}
	case c.silent+c.local == 0:
		steps = []Next{{Why: "run mailaudit on a network that has a way there (with IPv6, if that is what is missing)"}, steps[3]}
	}
	if run.Kind == audit.KindSMTP { // which was asked for SMTP, and knows no domain
		steps = steps[:len(steps)-1]
	}
	out.Steps = steps
	return out
}

// onlyProxy reports whether the proxy is to blame for all of it.
func (c connects) onlyProxy() bool { return c.proxy > 0 && c.silent+c.cut+c.local == 0 }

func (c connects) words() *OwnSide {
	const common = "Home providers and most clouds do that. Nothing is known about the mail servers themselves."
	n := plural(len(c.addrs), "address")
	switch {
	case c.onlyProxy():
		return &OwnSide{Title: "It is your proxy, not them",
			Text: "The proxy let no connection through. Nothing is known about the mail servers themselves."}
	case c.local > 0 && c.silent == 0:
		return &OwnSide{Title: "It is this machine, not them",
			Text: "This system does not permit connections to port 25 (a local firewall, for example). Nothing is known about the mail servers themselves."}
	case c.silent == 0:
		return &OwnSide{Title: "It is your network, not them",
			Text: fmt.Sprintf("There is no way from here to %s of the mail servers (no IPv6 here, for example). Nothing is known about the mail servers themselves.", n)}
	case c.shut == c.silent:
		return &OwnSide{Title: "It is your network, not them", Text: "Port 25 is blocked where mailaudit runs. " + common}
	case len(c.addrs) == 1:
		return &OwnSide{Title: "It may be your network, not them",
			Text: "The only address does not answer on port 25. Either it is silent to everybody, or port 25 is blocked where mailaudit runs. " + common}
	}
	text := fmt.Sprintf("Port 25 is probably blocked where mailaudit runs: none of the %s of the mail servers answers on it", n)
	if c.cut > 0 {
		text += fmt.Sprintf(", and to %d there is no way from here at all", c.cut)
	}
	return &OwnSide{Title: "It is probably your network, not them", Text: text + ". " + common}
}
