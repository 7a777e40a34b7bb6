package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"mailaudit/internal/audit"
)

// This file judges the hosts that MX records name.

func judgePublic(s *audit.Snapshot, r *Report) {
	type bad struct{ subject, what string }
	var faults []bad
	judged := 0
	mailHosts(s, r, func(h audit.Host) {
		judged++
		subject := h.Name.String()
		g := Gather(addrsOf(h)...)
		what := notPublic(s, h.Name, g.Values)
		if what != "" {
			faults = append(faults, bad{subject, what})
			return
		}
		if !g.Complete(r, subject) {
			return
		}
		if opened(g.Values) {
			r.NA(subject, "it has a special-purpose address that --allow-net or --allow-private opened")
			return
		}
		r.Pass(subject, "a public host")
	})
	for _, f := range faults {
		severity := audit.High
		if len(faults) == judged {
			severity = audit.Critical
		}
		r.Fail(f.subject, Fault{
			Severity: severity,
			Detail:   fmt.Sprintf("the MX target %s is %s", f.subject, f.what),
			Evidence: mxEvidence(s),
			Fix: audit.Fix{Summary: "name a public host", Steps: []string{
				"give the host that takes the mail a name with public A and AAAA records, and put that name into the MX record",
			}},
		})
	}
}

// opened reports whether an address is special, so that only the flags of
// the user let it pass.
func opened(sets [][]netip.Addr) bool {
	for _, set := range sets {
		for _, a := range set {
			if audit.Special(a) != "" {
				return true
			}
		}
	}
	return false
}

// notPublic says why a mail host is not reachable for the world, or "".
func notPublic(s *audit.Snapshot, name audit.DNSName, sets [][]netip.Addr) string {
	_, err := netip.ParseAddr(strings.Trim(string(name), "[]"))
	if err == nil {
		return "an IP address where the name of a host belongs"
	}
	if name == "localhost" || strings.HasSuffix(string(name), ".localhost") {
		return "the sender's own machine"
	}
	for _, set := range sets {
		for _, a := range set {
			if what := s.Scope.Special(a); what != "" {
				return fmt.Sprintf("at %s: %s", a, what)
			}
		}
	}
	return ""
}

func judgeResolvable(s *audit.Snapshot, r *Report) {
	var without []audit.Host
	judged := 0
	mailHosts(s, r, func(h audit.Host) {
		judged++
		_, present, ok := AnyOf(r, h.Name.String(), h.A, h.AAAA)
		switch {
		case !ok:
		case present:
			r.Pass(h.Name.String(), "has an address")
		default:
			without = append(without, h)
		}
	})
	for _, h := range without {
		severity := audit.High
		switch {
		case len(without) == judged:
			severity = audit.Critical
		case onlyLast(s, h.Name):
			severity = audit.Low
		}
		r.Fail(h.Name.String(), Fault{
			Severity: severity,
			Detail:   fmt.Sprintf("the MX target %s has no address", h.Name),
			Evidence: []string{Seen(h.A.Via, string(h.A.Why.Code)), Seen(h.AAAA.Via, string(h.AAAA.Why.Code))},
			Fix: audit.Fix{Summary: "publish its address, or take it out of the MX set", Steps: []string{
				"if the host exists: publish A and AAAA records at " + h.Name.FQDN(),
				"if it does not: remove it from the MX records of " + s.Domain.Name().FQDN(),
			}},
		})
	}
}

// onlyLast reports whether a host is the least preferred MX and shares that
// place with no other.
func onlyLast(s *audit.Snapshot, name audit.DNSName) bool {
	g := Gather(s.Facts.MX.Records)
	if len(g.Values) == 0 {
		return false
	}
	records := g.Values[0]
	last := records[len(records)-1]
	return len(records) > 1 && last.Host == name && records[len(records)-2].Preference < last.Preference
}

func judgeAlias(s *audit.Snapshot, r *Report) {
	mailHosts(s, r, func(h audit.Host) {
		subject := h.Name.String()
		if h.Role == audit.RoleImplicit {
			r.NA(subject, "the domain itself may be an alias")
			return
		}
		chain, present, ok := Need(r, subject, h.Alias)
		switch {
		case !ok:
		case !present:
			r.Pass(subject, "the target is no alias")
		default:
			end := chain[len(chain)-1]
			r.Fail(subject, Fault{
				Detail:   fmt.Sprintf("the MX target %s is an alias of %s", subject, end),
				Evidence: []string{Seen(h.Alias.Via, texts(chain)...)},
				Fix: audit.Fix{Summary: "name the host itself", Steps: []string{
					fmt.Sprintf("put %s in place of %s into the MX records, if the certificate of the host covers that name", end.FQDN(), h.Name.FQDN()),
					fmt.Sprintf("or replace the CNAME at %s by A and AAAA records", h.Name.FQDN()),
				}},
			})
		}
	})
}
