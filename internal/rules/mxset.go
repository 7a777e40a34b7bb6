package rules

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file judges the set of mail hosts as a whole.

// hostSet is the mail hosts of the domain and what is known of their
// addresses, by family.
type hostSet struct {
	hosts []audit.Host
	all   Gathered[[]netip.Addr] // both families of all hosts
}

// mailHostSet gathers the mail hosts. When there are none, or the MX records
// are not known, it has said so and ok is false.
func mailHostSet(s *audit.Snapshot, r *Report) (set hostSet, ok bool) {
	var obs []audit.Obs[[]netip.Addr]
	mailHosts(s, r, func(h audit.Host) {
		set.hosts = append(set.hosts, h)
		obs = append(obs, addrsOf(h)...)
	})
	set.all = Gather(obs...)
	return set, len(set.hosts) > 0
}

// addrsOf are the addresses of a host. Those that the run did not follow make
// the whole incomplete: nothing is known of them, good or bad.
func addrsOf(h audit.Host) []audit.Obs[[]netip.Addr] {
	return append(withMore(h.A, h.ALeftOut), withMore(h.AAAA, h.AAAALeftOut)...)
}

// withMore is the addresses of one family, and a stand-in for those of it that
// were left out.
func withMore(o audit.Obs[[]netip.Addr], leftOut int) []audit.Obs[[]netip.Addr] {
	out := []audit.Obs[[]netip.Addr]{o}
	if leftOut > 0 {
		out = append(out, audit.Skipped[[]netip.Addr]("the name has more addresses than a run follows"))
	}
	return out
}

// byAddr are the known addresses of the set and the hosts that have them.
func (set hostSet) byAddr() map[netip.Addr][]audit.DNSName {
	out := map[netip.Addr][]audit.DNSName{}
	for _, h := range set.hosts {
		for _, addrs := range Gather(addrsOf(h)...).Values {
			for _, a := range addrs {
				if !slices.Contains(out[a], h.Name) {
					out[a] = append(out[a], h.Name)
				}
			}
		}
	}
	return out
}

// names are the names of the hosts.
func (set hostSet) names() []audit.DNSName {
	var out []audit.DNSName
	for _, h := range set.hosts {
		out = append(out, h.Name)
	}
	return out
}

// addrEvidence is what the questions for addresses brought.
func (set hostSet) addrEvidence() []string {
	var out []string
	for i, addrs := range set.all.Values {
		out = append(out, Seen(set.all.Vias[i], texts(addrs)...))
	}
	return out
}

func judgeDuplicate(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	records, present, ok := Need(r, domain, s.Facts.MX.Records)
	switch {
	case !ok:
		return
	case !present:
		r.NA(domain, "there is no MX record")
		return
	}
	set, ok := mailHostSet(s, r)
	if !ok {
		return
	}
	var twice []string
	count := map[audit.DNSName]int{}
	for _, m := range records {
		count[m.Host]++
		if count[m.Host] == 2 {
			twice = append(twice, m.Host.String()+" is named more than once")
		}
	}
	by := set.byAddr()
	for _, a := range slices.SortedFunc(maps.Keys(by), netip.Addr.Compare) {
		if len(by[a]) > 1 {
			twice = append(twice, fmt.Sprintf("%s share the address %s", list(by[a]), a))
		}
	}
	switch {
	case len(twice) > 0:
		r.Fail(domain, Fault{
			Detail:   "the MX records name the same twice: " + strings.Join(twice, "; "),
			Evidence: append(mxEvidence(s), set.addrEvidence()...),
			Fix: audit.Fix{Summary: "name every server once", Steps: []string{
				"keep one MX record for each server, with the lowest of its preferences",
				"if two names were meant to be two servers: correct the address of one of them",
			}},
		})
	case set.all.Complete(r, domain):
		r.Pass(domain, "every host and address is named once", mxEvidence(s)...)
	}
}

func judgeSinglePoint(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	set, ok := mailHostSet(s, r)
	if !ok {
		return
	}
	by := set.byAddr()
	routed := 0 // hosts with an address
	for _, h := range set.hosts {
		if len(Gather(addrsOf(h)...).Values) > 0 {
			routed++
		}
	}
	v4, v6, shared := 0, 0, false
	for a, hosts := range by {
		if a.Is4() {
			v4++
		} else {
			v6++
		}
		shared = shared || len(hosts) == routed
	}
	switch {
	case max(v4, v6) > 1: // more that is not known yet only adds to this
		r.Pass(domain, fmt.Sprintf("several addresses of one family, at %s", list(set.names())), append(mxEvidence(s), set.addrEvidence()...)...)
	case !set.all.Complete(r, domain):
	case len(by) == 0:
		r.NA(domain, "no mail host has an address")
	case !shared:
		r.Pass(domain, "several hosts", append(mxEvidence(s), set.addrEvidence()...)...)
	default:
		r.Fail(domain, Fault{
			Detail:   "all mail for the domain goes to one machine",
			Evidence: append(mxEvidence(s), set.addrEvidence()...),
			Fix: audit.Fix{Summary: "nothing has to be done: senders try again for days", Steps: []string{
				"know how fast the machine can be replaced; senders keep the mail in their queues for four to five days",
				"a second MX helps only when it rejects spam and unknown recipients as the first one does",
			}},
		})
	}
}

func judgeNoIPv6(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	set, ok := mailHostSet(s, r)
	if !ok {
		return
	}
	for i, addrs := range set.all.Values {
		for _, a := range addrs {
			if !a.Is4() && s.Scope.Special(a) == "" {
				r.Pass(domain, "a mail host has an IPv6 address", Seen(set.all.Vias[i], texts(addrs)...))
				return
			}
		}
	}
	var v6 []audit.Obs[[]netip.Addr]
	for _, h := range set.hosts {
		v6 = append(v6, withMore(h.AAAA, h.AAAALeftOut)...)
	}
	switch {
	case !Gather(v6...).Complete(r, domain):
	case len(set.byAddr()) == 0:
		if set.all.Complete(r, domain) {
			r.NA(domain, "no mail host has an address")
		}
	default:
		var evidence []string
		for _, o := range v6 {
			evidence = append(evidence, Seen(o.Via, string(o.Why.Code)))
		}
		r.Fail(domain, Fault{
			Detail:   "no mail host of the domain has a public IPv6 address",
			Evidence: evidence,
			Fix: audit.Fix{Summary: "give a mail host IPv6 when the network has it", Steps: []string{
				"let the mail server listen on IPv6, and only then publish its AAAA record",
				"if the same server sends mail: publish its PTR record and complete the SPF record first",
			}},
		})
	}
}
