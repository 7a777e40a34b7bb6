package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"mailaudit/internal/audit"
)

// rdnsRules judge the reverse DNS of the addresses of the domain's mail. What
// is serious for an address that sends is mere hygiene for one that only
// receives: receivers look up the address that connects to them.
func rdnsRules() []Rule {
	return []Rule{{
		ID: "rdns.ptr-missing", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.High},
		Title: "Every address that sends mail has a PTR record",
		Refs:  []Ref{{"RFC 1912", "2.1"}, {"Google email sender guidelines", "https://support.google.com/a/answer/81126"}},
		Why: "Gmail defers and then refuses mail from addresses without PTR (421 4.7.23, 550 5.7.25), and so do many others. " +
			"An address that only receives loses nothing.",
		Fix:   "Ask whoever the address block belongs to (the hosting provider, mostly in its control panel) for a PTR record with the host's name.",
		Judge: judgePTR,
	}, {
		ID: "rdns.not-confirmed", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.High},
		Title: "One of the PTR names of every sending address leads back to it",
		Refs:  []Ref{{"RFC 8601", "2.7.3"}, {"Google email sender guidelines", "https://support.google.com/a/answer/81126"}},
		Why: "Anyone may write any name into the reverse zone of his own addresses. Only a name whose A or AAAA record leads back " +
			"(forward-confirmed reverse DNS) says something, and large receivers demand it of senders.",
		Fix:   "Publish the address at the name that its PTR gives, or have the PTR changed to a name that has the address.",
		After: []audit.RuleID{"rdns.ptr-missing"},
		Judge: judgeConfirmed,
	}, {
		ID: "rdns.generic-name", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.Medium},
		Title: "The PTR name of a sending address does not look like a dial-up pool",
		Refs: []Ref{
			{"M3AAWG Sender Best Common Practices", "https://www.m3aawg.org/sites/default/files/document/M3AAWG_Senders_BCP_Ver3-2015-02.pdf"},
			{"Spamhaus PBL", "https://www.spamhaus.org/blocklists/policy-blocklist/"},
		},
		Why: "A name made of the address itself, or with a word such as dyn, pool or dsl, is what access providers give to home " +
			"connections, from which spam of infected machines comes. Many filters count it against the mail or refuse it.",
		Fix:   "Have the PTR record changed to a name of your own for the mail server, and publish the address at that name.",
		After: []audit.RuleID{"rdns.ptr-missing"},
		Judge: judgeGeneric,
	}, {
		ID: "rdns.many-names", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.Low},
		Title: "An address has a handful of PTR names at most",
		Refs:  []Ref{{"RFC 2181", "10.2"}, {"RFC 7208", "4.6.4"}},
		Why: "Several names are legal. But receivers look at some of them only, in an order that changes, and with many the answer " +
			"does not fit into one packet any more; then the name that leads back to the address may be the one nobody looks at.",
		Fix:   "Keep the one name by which the server goes. The domains that it serves need no PTR record.",
		After: []audit.RuleID{"rdns.ptr-missing"},
		Judge: judgeManyNames,
	}}
}

// forRole is a severity for an address known to send, and info for others.
func forRole(role audit.Role, sender audit.Severity) audit.Severity {
	if role == audit.RoleSender {
		return sender
	}
	return audit.Info
}

func judgePTR(s *audit.Snapshot, r *Report) {
	reverses(s, r, audit.High, func(rv audit.Reverse) {
		subject := rv.Addr.String()
		if what := s.Scope.Special(rv.Addr); what != "" {
			r.NA(subject, "no address of the public internet: "+what)
			return
		}
		names, present, ok := Need(r, subject, rv.PTR)
		switch {
		case !ok:
		case present:
			r.Pass(subject, "PTR "+list(names), Seen(rv.PTR.Via, texts(names)...))
		default:
			r.Fail(subject, Fault{
				Severity: forRole(rv.Role, audit.High),
				Detail:   subject + " has no PTR record",
				Evidence: []string{Seen(rv.PTR.Via, string(rv.PTR.Why.Code))},
				Fix:      ptrFix(s, rv),
			})
		}
	})
}

// ptrFix is a record where one host alone has the address, so that there is
// no doubt which name belongs there.
func ptrFix(s *audit.Snapshot, rv audit.Reverse) audit.Fix {
	name := audit.ReverseName(rv.Addr).FQDN()
	fix := audit.Fix{Summary: "have the owner of the address block publish a PTR record"}
	hosts, all := hostsWith(s, rv.Addr)
	switch {
	case !all || len(hosts) != 1 || !hosts[0].IsHostname():
		fix.Steps = []string{
			fmt.Sprintf("decide by which name the server at %s is known (the one it gives in EHLO)", rv.Addr),
			fmt.Sprintf("ask for %s PTR with that name, and publish %s at it", name, rv.Addr),
		}
	case rv.Alias.State != audit.Absent: // nothing can stand beside a CNAME (RFC 1034 3.6.2)
		fix.Steps = []string{
			fmt.Sprintf("publish PTR %s at the name that %s leads to (RFC 2317)", hosts[0].FQDN(), name),
		}
	default:
		fix.Records = []audit.FixRecord{{Action: audit.Add, Name: name, Type: "PTR", Value: hosts[0].FQDN()}}
	}
	return fix
}

func judgeConfirmed(s *audit.Snapshot, r *Report) {
	reverses(s, r, audit.High, func(rv audit.Reverse) {
		subject := rv.Addr.String()
		if what := s.Scope.Special(rv.Addr); what != "" {
			r.NA(subject, "no address of the public internet: "+what)
			return
		}
		names, present, ok := Need(r, subject, rv.PTR)
		switch {
		case !ok:
			return
		case !present:
			r.NA(subject, "there is no PTR record to confirm")
			return
		}
		var obs []audit.Obs[[]netip.Addr]
		for _, f := range rv.Forward {
			obs = append(obs, f.Addrs)
		}
		g := Gather(obs...)
		for i, set := range g.Values {
			if slices.Contains(set, rv.Addr) {
				r.Pass(subject, "its PTR leads back to it", Seen(rv.PTR.Via, texts(names)...), Seen(g.Vias[i], texts(set)...))
				return
			}
		}
		if !g.Complete(r, subject) {
			return
		}
		if len(names) > len(rv.Forward) {
			r.Unknown(subject, audit.Reason{Code: audit.Oversized, Text: fmt.Sprintf(
				"%d PTR names, of which the first %d were followed; none of these leads back", len(names), len(rv.Forward))})
			return
		}
		evidence := []string{Seen(rv.PTR.Via, texts(names)...)}
		for i, set := range g.Values {
			evidence = append(evidence, Seen(g.Vias[i], texts(set)...))
		}
		r.Fail(subject, Fault{
			Severity: forRole(rv.Role, audit.High),
			Detail:   fmt.Sprintf("the PTR of %s says %s, which does not lead back to it", subject, list(names)),
			Evidence: evidence,
			Fix: audit.Fix{Summary: "make name and address agree", Steps: []string{
				fmt.Sprintf("publish %s at %s, if that name is yours", subject, names[0].FQDN()),
				fmt.Sprintf("or have %s changed to a name that has the address", audit.ReverseName(rv.Addr).FQDN()),
			}},
		})
	})
}
