package rules

import (
	"fmt"
	"slices"

	"mailaudit/internal/audit"
)

// helloSPFRules are about the SPF of the names that sending servers give in
// EHLO. Which they are is known from the user alone.
func helloSPFRules() []Rule {
	return []Rule{{
		ID: "spf.helo-none", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "The names that sending servers give in EHLO have SPF records",
		Refs:  []Ref{{"RFC 7208", "2.3"}, {"RFC 7208", "10.1.3"}},
		Why: "Bounces and other mail of the system have no sender, so receivers judge it by the name in EHLO (RFC 7208 2.4), and some look at that name first for all mail. " +
			"Without a record there such mail can pass no SPF. Name the names with --sending-helo.",
		Fix:   "Publish at the name a record that passes its own addresses and nobody else: \"v=spf1 a -all\".",
		Judge: judgeHelloSPF,
	}, {
		ID: "spf.helo-fails", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Medium, Range: []audit.Severity{audit.Low, audit.Info},
		Title: "The SPF record of the EHLO name passes a server that sends",
		Refs:  []Ref{{"RFC 7208", "2.3"}, {"RFC 7208", "8.4"}},
		Why: "Receivers that check the name in EHLO refuse all mail of a server whose own name says that it may not send: common policy services for Postfix do so out of the box. " +
			"The large providers look at it for bounces.",
		Fix:   "Have the record at the EHLO name pass the addresses of the server: \"v=spf1 a -all\", when the name has them.",
		After: []audit.RuleID{"spf.helo-none"},
		Judge: judgeHelloFails,
	}}
}

// sendingHellos calls judge for every name that the user says is given in EHLO.
func sendingHellos(s *audit.Snapshot, r *Report, judge func(h audit.SPFHello)) {
	switch {
	case oneServer(s):
		r.NA(s.Facts.Hosts[0].Name.String(), "one server is tested, and no domain that sends")
		return
	case len(s.Scope.SendingHELOs) == 0:
		r.NA(s.Domain.String(), "no name is known that sending servers give in EHLO: name it with --sending-helo")
		return
	}
	for _, name := range s.Scope.SendingHELOs {
		at := slices.IndexFunc(s.Facts.SPF.Hellos, func(h audit.SPFHello) bool { return h.Name == name })
		if at < 0 {
			judge(audit.SPFHello{Name: name})
			continue
		}
		judge(s.Facts.SPF.Hellos[at])
	}
}

func judgeHelloSPF(s *audit.Snapshot, r *Report) {
	sendingHellos(s, r, func(h audit.SPFHello) {
		name := h.Name.String()
		records, _, ok := Need(r, name, h.Records)
		if !ok {
			return
		}
		if len(records) > 0 {
			r.Pass(name, "the name has an SPF record", txtEvidence(h.Records)...)
			return
		}
		r.Fail(name, Fault{
			Detail: name + ", which is given in EHLO, has no SPF record", Evidence: txtEvidence(h.Records),
			Fix: audit.Fix{Summary: "let the name say who may give it", Steps: []string{
				"check that nobody sends mail as anything@" + name + " from elsewhere",
				"publish at " + h.Name.FQDN() + " TXT \"v=spf1 a -all\" if the servers that give the name send from the addresses that it has; else name these by ip4 and ip6 in place of a",
			}},
		})
	})
}

// judgeHelloFails asks for one address that passes: which of several servers
// gives which of several names is not known.
func judgeHelloFails(s *audit.Snapshot, r *Report) {
	sendingHellos(s, r, func(h audit.SPFHello) {
		name := h.Name.String()
		records, _, ok := Need(r, name, h.Records)
		switch {
		case !ok:
			return
		case len(records) == 0:
			r.NA(name, "the name has no SPF record")
			return
		case len(s.Scope.SendingIPs) == 0:
			r.NA(name, "no address is known to send: name those that do with --sending-ip")
			return
		}
		var all []audit.Obs[audit.SPFVerdict]
		var mildest *audit.SPFVerdict
		detail := ""
		for _, addr := range s.Scope.SendingIPs {
			o := senderVerdict(h.Senders, addr)
			all = append(all, o)
			v, ok := seen(o)
			switch {
			case !ok:
			case v.Result == audit.SPFPass:
				r.Pass(name, fmt.Sprintf("the record passes %s: %s", addr, v.Why), Seen(o.Via, string(v.Result)))
				return
			case mildest == nil || helloSeverity(mildest.Result).AtLeast(helloSeverity(v.Result)):
				mildest = &v
				detail = fmt.Sprintf("the SPF record of %s says %s of %s, which sends: %s", name, v.Result, addr, v.Why)
			}
		}
		if !Gather(all...).Complete(r, name) {
			return
		}
		if mildest == nil {
			r.NA(name, "there is nothing to check")
			return
		}
		r.Fail(name, Fault{
			Severity: helloSeverity(mildest.Result), Detail: detail, Evidence: txtEvidence(h.Records),
			Fix: audit.Fix{Summary: "have the record pass the server that gives the name", Steps: []string{
				"check that " + name + " is what the server says in EHLO",
				"write its SPF record so that it passes the server's addresses: \"v=spf1 a -all\" if the name has them, else with ip4 and ip6",
			}},
		})
	})
}

// helloSeverity is how bad a result for the name in EHLO is: fail is refused by
// receivers that look at it at all; neutral is no worse than having no record
// (RFC 7208 section 8.2).
func helloSeverity(result audit.SPFResult) audit.Severity {
	switch result {
	case audit.SPFFail:
		return audit.Medium
	case audit.SPFNeutral, audit.SPFNone:
		return audit.Info
	}
	return audit.Low
}
