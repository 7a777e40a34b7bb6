package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file turns facts into the subjects that rules judge, and says for them
// what must be said where the facts end: a host whose addresses are unknown is
// an unknown, not nothing.

// portMX is where mail servers talk to each other (RFC 5321 section 4.5.4.2).
const portMX = 25

// submission reports whether an endpoint is judged as one to which people's
// own programs hand in mail (RFC 6409, RFC 8314). That is every port but 25:
// other mail servers come to 25 alone, so whoever connects to 587, 465 or a
// port without a number of its own (2525, 10587) was told to, with a program
// that has a password to lose and checks the certificate. The port decides and
// nothing that was seen: what an endpoint is must not change with the night.
func submission(e audit.Endpoint) bool { return e.Port != portMX }

// byPort is the severity of a fault that has two: on port 25, and where mail
// is handed in.
func byPort(e audit.Endpoint, mx, handedIn audit.Severity) audit.Severity {
	if submission(e) {
		return handedIn
	}
	return mx
}

// atPort25 is AtWorst for a subject that other mail servers come to.
func (r *Report) atPort25(subject string) {
	if r.rule.AtPort25 != "" {
		r.AtWorst(subject, r.rule.AtPort25)
	}
}

// oneServer reports whether a single server was named, and no domain.
func oneServer(s *audit.Snapshot) bool {
	return slices.ContainsFunc(s.Facts.Hosts, func(h audit.Host) bool { return h.Role == audit.RoleNamed })
}

// mailHosts calls judge for every host that takes mail for the domain. When
// the MX records are not known, or there is nothing to judge, it says so under
// the name of the domain.
func mailHosts(s *audit.Snapshot, r *Report, judge func(h audit.Host)) {
	domain := s.Domain.String()
	any := false
	for _, h := range s.Facts.Hosts {
		if h.Role == audit.RoleNamed { // one server was named: no MX record is involved
			any = true
			judge(h)
		}
	}
	if any {
		return
	}
	r.atPort25(domain)
	_, _, ok := Need(r, domain, s.Facts.MX.Records)
	if !ok {
		return
	}
	for _, h := range s.Facts.Hosts {
		if h.Role == audit.RoleMX || h.Role == audit.RoleImplicit {
			any = true
			judge(h)
		}
	}
	if !any {
		r.NA(domain, "no host takes mail for the domain")
	}
}

// endpoints calls judge for every SMTP endpoint of the domain, those of its
// submission servers included, and says "unknown" for hosts of which some
// address is not known. What an endpoint kept from us by a refusal has the cause
// of the refusal as its reason.
func endpoints(s *audit.Snapshot, r *Report, judge func(e audit.Endpoint)) {
	all := func(h audit.Host) {
		if h.Role != audit.RoleNamed && h.Role != audit.RoleSubmission {
			r.atPort25(h.Name.String())
		}
		mine := endpointsOf(s, h)
		for _, e := range mine {
			if !submission(e) {
				r.atPort25(e.Subject())
			}
			judge(r.explained(e))
		}
		if r.said(h.Name.String()) { // of the domain, which hands its mail in to itself
			return
		}
		complete := Gather(addrsOf(h)...).Complete(r, h.Name.String())
		if complete && len(mine) == 0 {
			r.NA(h.Name.String(), "the host has no address")
		}
	}
	mailHosts(s, r, all)
	for _, h := range s.Facts.Hosts {
		if h.Role == audit.RoleSubmission {
			all(h)
		}
	}
}

// reverses calls judge for every address whose reverse DNS matters, and says
// "unknown" for hosts of which some address is not known. sender is how bad a
// fail is for an address that sends, where it matters for no other; empty where
// it is the same for all.
func reverses(s *audit.Snapshot, r *Report, sender audit.Severity, judge func(rv audit.Reverse)) {
	for _, rv := range s.Facts.RDNS {
		if sender != "" {
			r.AtWorst(rv.Addr.String(), forRole(rv.Role, sender))
		}
		judge(rv)
	}
	if sender != "" {
		onlyReceivers(s, r)
	}
	domain := s.Domain.String()
	_, _, ok := Need(r, domain, s.Facts.MX.Records)
	if !ok {
		return
	}
	if addressesKnown(s, r) && len(s.Facts.RDNS) == 0 {
		r.NA(domain, "no address is involved")
	}
}

// onlyReceivers says that a rule about addresses that send loses nothing by not
// knowing which mail hosts there are, or their addresses: those that send are
// named by the user and not found by way of MX records.
func onlyReceivers(s *audit.Snapshot, r *Report) {
	r.AtWorst(s.Domain.String(), audit.Info)
	for _, h := range s.Facts.Hosts {
		r.AtWorst(h.Name.String(), audit.Info)
	}
}

// addressesKnown reports whether all addresses of all hosts are known, and
// says "unknown" for the hosts of which some are not.
func addressesKnown(s *audit.Snapshot, r *Report) bool {
	complete := true
	for _, h := range s.Facts.Hosts {
		if h.Role == audit.RoleSubmission {
			continue // its addresses send and take no mail of other servers
		}
		if isAddress(string(h.Name)) {
			continue // an MX record with an address in place of a name: not a host that could have others
		}
		complete = Gather(addrsOf(h)...).Complete(r, h.Name.String()) && complete
	}
	return complete
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// hostsWith names the hosts that have an address. Of a host with more
// addresses than were followed that cannot be told: then all is false.
func hostsWith(s *audit.Snapshot, addr netip.Addr) ([]audit.DNSName, bool) {
	var out []audit.DNSName
	all := true
	for _, h := range s.Facts.Hosts {
		if h.Role == audit.RoleSubmission {
			continue
		}
		all = all && h.ALeftOut+h.AAAALeftOut == 0
		for _, set := range Gather(addrsOf(h)...).Values {
			if slices.Contains(set, addr) {
				out = append(out, h.Name)
			}
		}
	}
	return slices.Compact(out), all
}

// list joins words for a sentence: "a", "a and b", "a, b and c".
func list[T fmt.Stringer](items []T) string {
	var words []string
	for _, it := range items {
		words = append(words, it.String())
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// texts are the printable forms of items.
func texts[T fmt.Stringer](items []T) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.String())
	}
	return out
}

// endpointsOf are the endpoints of one host.
func endpointsOf(s *audit.Snapshot, h audit.Host) []audit.Endpoint {
	var out []audit.Endpoint
	for _, e := range s.Facts.SMTP {
		if e.Host == h.Name {
			out = append(out, e)
		}
	}
	return out
}
