package report

import (
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
		if f.Status != audit.UnknownStatus || f.OurSide() {
			continue
		}
		why := audit.Reason{Code: f.Cause, Text: f.Detail}
		if ofItself(f) {
			out[f.Key()] = why
			continue
		}
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

// ofItself reports whether the reason of a check is its own, whatever else is
// unknown of its subject. At an endpoint one step comes after another; a domain
// has several policies, of which one does not wait for another.
func ofItself(f audit.Finding) bool {
	endpoint := strings.Contains(f.Subject, "[")
	return !endpoint && (f.Cause == audit.NotLearned || f.Cause == audit.NotAsked)
}

// darkness makes one entry of everything that is unknown for one reason.
func darkness(run *audit.Run, ours bool) []Dark {
	var order []audit.Reason
	by := map[audit.Reason]*Dark{}
	reasons := darkReasons(run)
	for _, f := range run.Findings {
		if f.Status != audit.UnknownStatus || f.OurSide() {
			continue
		}
		why := reasons[f.Key()]
		d := by[why]
		if d == nil {
			d = &Dark{Text: why.Text, Cause: why.Code, Advice: advice(why.Code, ofDNS(f), strings.HasSuffix(f.Subject, "]:25"))}
			said, refused := refusalOf(run, f.Subject)
			if refused && said.Class == why.Code {
				d.Advice = refusalAdvice(said)
			}
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
	switch why.Code {
	case audit.Blocked, audit.Budget, audit.ProxyFailed:
		return false
	case audit.EgressBlock, audit.Intercepted: // the rules say so of all that is there
		return true
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
	case audit.Timeout, audit.NoAnswer, audit.Unreachable, audit.EgressBlock:
		if !mx {
			return "try again; if it stays so, from another network"
		}
	}
	if words := adviceRefused(cause); words != "" {
		return words
	}
	switch cause {
	case audit.Timeout, audit.NoAnswer, audit.Unreachable:
		return "try again; if it stays so, from another network: port 25 is often blocked where one works"
	case audit.NoRoute:
		return "try from a network that has a way there; this is our side, not theirs"
	case audit.EgressBlock:
		return "try from a network that lets port 25 out; this is our side, not theirs"
	case audit.Intercepted:
		return "try from a network without such a proxy or firewall; this is our side, not theirs"
	case audit.Reset, audit.Closed:
		return "try again later; if it stays so, from another network: servers cut off addresses that they do not want"
	case audit.TempFail, audit.Once, audit.Disagree, audit.TLSStall, audit.Budget:
		return "try again later"
	case audit.TLSOnly:
		return "try --mode tls, which is how one speaks to this port"
	case audit.ClearText:
		return "try --mode starttls, which is how one speaks to this port"
	case audit.NoGreeting:
		return "try --mode tls; if nothing is said there either, from another network"
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
