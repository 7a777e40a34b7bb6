package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file judges our own side. What it finds is no fault of the domain: it
// never counts, and it suspends what cannot be judged from here (see suspend).

// vantageRules judge whether connections leave the network that mailaudit runs
// in, and arrive unchanged.
func vantageRules() []Rule {
	const leave = "Run mailaudit where the port is open: on the mail server itself, or on a server of yours; or ask the provider of this network to open it."
	return []Rule{{
		ID: "vantage.port-25-blocked", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info,
		Title: "Connections to port 25 leave the network that mailaudit runs in",
		Refs: []Ref{
			{"RFC 5068", "4"},
			{"M3AAWG best practices", "https://www.m3aawg.org/published-documents"},
		},
		Why: "Most homes, offices and clouds shut port 25 outwards, so that machines that were broken into cannot send spam. Seen from there " +
			"every mail server looks dead. So when one does not answer, and no other one does either, a few control hosts of large operators are asked, " +
			"and the server itself on ports 465 and 587. Where nothing comes back from port 25 at all, nothing is held against anybody: what is seen over SMTP is unknown.",
		Fix:   leave,
		Judge: func(s *audit.Snapshot, r *Report) { judgeWayOut(s, r, true) },
	}, {
		ID: "vantage.submission-blocked", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info,
		Title: "Connections to ports other than 25 leave the network that mailaudit runs in",
		Refs:  []Ref{{"RFC 5068", "4.1"}},
		Why: "Networks should leave the ports open to which people's programs hand in mail (587, 465); some offices and hotels do not. " +
			"Then every such server looks dead from there. For other ports no control host is known, unless --control names one.",
		Fix:   leave,
		Judge: func(s *audit.Snapshot, r *Report) { judgeWayOut(s, r, false) },
	}, {
		ID: "vantage.no-ipv6", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info,
		Title: "The network that mailaudit runs in has IPv6",
		Refs:  []Ref{{"RFC 6540", "2"}},
		Why: "Without IPv6 here nothing is known of what servers do at their IPv6 addresses: they are neither up nor down. " +
			"Senders that have IPv6 try those addresses first.",
		Fix:   "Run mailaudit from a network with IPv6 to see them.",
		Judge: judgeIPv6Here,
	}, {
		ID: "vantage.intercepted", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Info,
		Title: "Nothing on our side answers in place of mail servers, or rewrites what they say",
		Refs:  []Ref{{"RFC 3207", "6"}, {"RFC 5321", "4.2"}},
		Why: "Some networks lead all connections to port 25 to a server of their own, and some firewalls overwrite greetings and take STARTTLS away. " +
			"Then all mail servers of the world look alike from there: the same greeting, no STARTTLS, asterisks. So where servers look like that, control hosts are asked, " +
			"and if they do too, nothing is held against anybody.",
		Fix:   "Run mailaudit from another network, or switch SMTP inspection off in the firewall of this one (Cisco: no inspect esmtp).",
		Judge: judgeIntercepted,
	}}
}

// wayID is what is judged here: one family, one port.
type wayID struct {
	family audit.Family
	port   uint16
}

func (w wayID) subject() string { return fmt.Sprintf("port %d over %s", w.port, w.family) }

// ways are those on which the run connected, or was to, with the endpoints on
// each, in the order of the facts.
func ways(s *audit.Snapshot) (order []wayID, on map[wayID][]audit.Endpoint) {
	on = map[wayID][]audit.Endpoint{}
	for _, e := range s.Facts.SMTP {
		if e.Connect.State == audit.NotTried {
			continue
		}
		w := wayID{audit.FamilyOf(e.Addr), e.Port}
		if on[w] == nil {
			order = append(order, w)
		}
		on[w] = append(on[w], e)
	}
	return order, on
}

// judgeWayOut judges the ways to port 25, or all others.
func judgeWayOut(s *audit.Snapshot, r *Report, mx bool) {
	order, on := ways(s)
	some := false
	for _, w := range order {
		if (w.port == portMX) != mx {
			continue
		}
		some = true
		g := s.Facts.EgressOf(on[w][0])
		way := proof(s, on[w][0])
		if !way.Known() && way.Why.Code == "" { // nobody was asked
			way = on[w][0].Connect
			if way.State == audit.Seen {
				r.Unknown(w.subject(), notGreeted())
				continue
			}
		}
		_, out, ok := Need(r, w.subject(), way)
		switch {
		case !ok:
		case out:
			r.Pass(w.subject(), "connections leave this network", Seen(way.Via, "a server answers"))
		case g.Out.State != audit.Absent: // refused, which a firewall here may have done
			r.Unknown(w.subject(), audit.Reason{Code: audit.NotAsked, Text: "connections are refused, and no control host was asked"}, Seen(way.Via, way.Why.Text))
		default:
			r.Fail(w.subject(), Fault{
				Detail:   shutDetail(s, w, g),
				Evidence: append([]string{Seen(way.Via, way.Why.Text)}, besideEvidence(g)...),
				Fix: audit.Fix{Summary: "see from another network", Steps: []string{
					fmt.Sprintf("run mailaudit where port %d is open: on the mail server itself, or on a server of yours; or take a proxy there (--proxy)", w.port),
					fmt.Sprintf("ask the provider of the network %s to open port %d outwards", here(s), w.port),
				}},
			})
		}
	}
	if !some {
		r.NA(s.Domain.String(), "nothing was connected to on such a port")
	}
}

// shutDetail says of a way that is shut what else was seen. It names no
// control host: they may be others the next time.
func shutDetail(s *audit.Snapshot, w wayID, g audit.Egress) string {
	detail := fmt.Sprintf("port %d over %s is shut %s: no server answers on it, and none of the control hosts", w.port, w.family, here(s))
	for _, p := range Gather(g.Beside).Values {
		return detail + fmt.Sprintf(", while port %d of %s does", p.Port, p.Host)
	}
	if g.Beside.State == audit.Absent {
		return detail + ", while the host refuses other ports, so it is there"
	}
	return detail + "; nor does any other port that was tried, so it may be that nothing gets out"
}

func besideEvidence(g audit.Egress) []string {
	if g.Beside.State != audit.Seen {
		return nil
	}
	return []string{Seen(g.Beside.Via, "connected")}
}

// proof is what is known of the way to an endpoint: Seen where another
// endpoint of the same family and port was reached, or a control host was;
// Absent where no control host answers; a zero observation where nobody was asked.
// Control hosts that were asked although another endpoint had answered were so
// because that was before our own network may have gone down.
func proof(s *audit.Snapshot, to audit.Endpoint) audit.Obs[audit.Nothing] {
	out := s.Facts.EgressOf(to).Out
	beside := []audit.Code{audit.Disagree, audit.Deadline, audit.Interrupted} // asked for another reason
	if out.State == audit.Absent || out.State == audit.Unknown && !slices.Contains(beside, out.Why.Code) {
		return out
	}
	for _, e := range s.Facts.SMTP {
		if e.Answers(proxied(s)) && e.Port == to.Port && audit.FamilyOf(e.Addr) == audit.FamilyOf(to.Addr) {
			return e.Connect
		}
	}
	return out
}

// proxied reports whether the run connected through a proxy: then our own side
// is the network that the proxy is in.
func proxied(s *audit.Snapshot) bool { return s.Vantage.Proxy != "" }

// here says where our own side is, within a sentence.
func here(s *audit.Snapshot) string {
	if proxied(s) {
		return "where the proxy is"
	}
	return "where mailaudit runs"
}

// notGreeted is why a connection through a proxy may show nothing.
func notGreeted() audit.Reason {
	return audit.Reason{Code: audit.NotLearned, Text: "the proxy says that connections are made, and no server greets: it may say so before it knows"}
}

func judgeIPv6Here(s *audit.Snapshot, r *Report) {
	const subject = "IPv6"
	var six []audit.Endpoint
	for _, e := range s.Facts.SMTP {
		if e.Addr.Is6() && e.Connect.State != audit.NotTried {
			six = append(six, e)
		}
	}
	if len(six) == 0 {
		r.NA(subject, "no IPv6 address was to be connected to")
		return
	}
	var barred *audit.Endpoint
	for i, e := range six {
		if e.Answers(proxied(s)) || e.Connect.State == audit.Absent { // packets went there and came back
			r.Pass(subject, "servers are reached over IPv6", Seen(e.Connect.Via, "an answer"))
			return
		}
		route := s.Facts.EgressOf(e).Route
		if route.State == audit.Absent && barred == nil {
			barred = &six[i]
		}
	}
	if barred == nil {
		_, _, ok := Need(r, subject, six[0].Connect)
		if ok {
			r.Unknown(subject, notGreeted())
		}
		return
	}
	route := s.Facts.EgressOf(*barred).Route
	r.Fail(subject, Fault{
		Detail:   "there is no IPv6 where mailaudit runs; nothing is known of what servers do at their IPv6 addresses",
		Evidence: []string{Seen(route.Via, route.Why.Text)},
		Fix:      audit.Fix{Summary: "see from a network with IPv6", Steps: []string{"run mailaudit from a network that has IPv6; until then pay no heed to IPv6 addresses here"}},
	})
}

func judgeIntercepted(s *audit.Snapshot, r *Report) {
	some := false
	for _, g := range s.Facts.Egress {
		if g.Alike.State == audit.NotTried && g.Masked.State == audit.NotTried && g.StartTLS.State == audit.NotTried {
			continue
		}
		some = true
		subject := wayID{g.Family, g.Port}.subject()
		signs, evidence := interception(g)
		if len(signs) > 0 {
			r.Fail(subject, Fault{
				Detail:   fmt.Sprintf("something on our side stands between us and all servers on port %d over %s: %s", g.Port, g.Family, strings.Join(signs, "; ")),
				Evidence: evidence,
				Fix: audit.Fix{Summary: "see from another network", Steps: []string{
					"run mailaudit from a network without such a proxy or firewall",
					"if the firewall is yours: switch its SMTP inspection off (Cisco: no inspect esmtp, or no fixup protocol smtp 25)",
				}},
			})
			continue
		}
		if Gather(g.Alike, g.Masked, g.StartTLS).Complete(r, subject) {
			r.Pass(subject, "control hosts are heard in their own words, and offer STARTTLS", Seen(g.StartTLS.Via, "STARTTLS"))
		}
	}
	if !some {
		r.NA(s.Domain.String(), "no server gave reason to suspect it")
	}
}

// interception lists the signs that something stands between us and the
// servers of a way, with what shows them.
func interception(g audit.Egress) (signs, evidence []string) {
	if g.Alike.State == audit.Seen {
		signs = append(signs, "hosts that have nothing to do with each other greet with the same words")
		evidence = append(evidence, Seen(g.Alike.Via, "the greeting of another host"))
	}
	if g.Masked.State == audit.Seen {
		signs = append(signs, "what control hosts say is overwritten")
		evidence = append(evidence, Seen(g.Masked.Via, "asterisks, or the letter X"))
	}
	if g.StartTLS.State == audit.Absent {
		signs = append(signs, "no control host offers STARTTLS, and all of them do elsewhere")
		evidence = append(evidence, Seen(g.StartTLS.Via, g.StartTLS.Why.Text))
	}
	return signs, evidence
}

// suspended names the endpoints about which nothing can be judged from here,
// and why: their port is shut on our side, or something there answers in their
// place.
func suspended(s *audit.Snapshot) map[string]audit.Reason {
	out := map[string]audit.Reason{}
	for _, e := range s.Facts.SMTP {
		if e.Connect.State == audit.NotTried {
			continue
		}
		g := s.Facts.EgressOf(e)
		signs, _ := interception(g)
		switch {
		case len(signs) > 0 && e.Mode != audit.ModeTLS:
			out[e.Subject()] = audit.Reason{Code: audit.Intercepted,
				Text: fmt.Sprintf("something on our side answers on port %d in place of the servers, or rewrites what they say", e.Port)}
		case e.Connect.State != audit.Seen && proof(s, e).State == audit.Absent:
			out[e.Subject()] = audit.Reason{Code: audit.EgressBlock,
				Text: fmt.Sprintf("port %d over %s is shut %s", e.Port, g.Family, here(s))}
		}
	}
	return out
}

// heard is an endpoint as it counts for its host and its domain: of one that
// nothing can be judged of from here nothing is known, and neither is it of one
// that refuses where a firewall on our side would look the same.
func (r *Report) heard(s *audit.Snapshot, e audit.Endpoint) audit.Endpoint {
	why, held := r.held[e.Subject()]
	if !held && e.Connect.State == audit.Absent && !wayOut(s, e) {
		why, held = refusedByWhom(), true
	}
	if held {
		e.Connect = audit.Dark[audit.Nothing](why, e.Connect.Via)
		e.StartTLS = audit.Dark[audit.Nothing](why, e.StartTLS.Via)
		e.TLS = audit.Dark[audit.TLS](why, e.TLS.Via)
	}
	return e
}

// refusedByWhom is why a refusal may say nothing of the server.
func refusedByWhom() audit.Reason {
	return audit.Reason{Code: audit.EgressBlock,
		Text: "the connection was refused, and nothing else was reached from here: a firewall on our side would look the same"}
}

// suspend turns what a rule says of an endpoint into unknown where nothing can
// be judged from here. What was seen, if anything, was seen of our own side.
func suspend(rule *Rule, f *audit.Finding, held map[string]audit.Reason) {
	why, ok := held[f.Subject]
	if !ok || !rule.Area().Connects() {
		return
	}
	*f = audit.Finding{
		Rule: f.Rule, Subject: f.Subject, Status: audit.UnknownStatus, Severity: rule.Severity,
		Detail: why.Text, Cause: why.Code, Evidence: f.Evidence,
	}
}
