package audit

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// canonical sorts the facts of a policy. Hosts of mx come in the order of
// their preference, which the domain says.
func (s *SPF) canonical() {
	slices.Sort(s.Records.Value)
	slices.SortFunc(s.Strings.Value, func(a, b SPFStrings) int { return slices.Compare(a.Strings, b.Strings) })
	slices.Sort(s.Misses.Value)
	slices.Sort(s.Type99.Value)
	slices.Sort(s.SenderID.Value)
	slices.Sort(s.Explained.Value)
	slices.SortFunc(s.Below, func(a, b SPFBelow) int { return cmp.Compare(a.Name, b.Name) })
	for i := range s.Below {
		slices.Sort(s.Below[i].Records.Value)
	}
	slices.SortFunc(s.Found, func(a, b SPFTarget) int { return cmp.Or(cmp.Compare(a.Term, b.Term), cmp.Compare(a.Name, b.Name)) })
	for i := range s.Found {
		sortAddrs(&s.Found[i].A)
		sortAddrs(&s.Found[i].AAAA)
		slices.SortFunc(s.Found[i].SomeA, netip.Addr.Compare)
		slices.SortFunc(s.Found[i].SomeAAAA, netip.Addr.Compare)
	}
	slices.SortFunc(s.Senders, bySender)
	slices.SortFunc(s.Hellos, func(a, b SPFHello) int { return cmp.Compare(a.Name, b.Name) })
	for i := range s.Hellos {
		slices.Sort(s.Hellos[i].Records.Value)
		slices.SortFunc(s.Hellos[i].Senders, bySender)
	}
	slices.SortFunc(s.Former, func(a, b SPFFormer) int { return cmp.Compare(a.Name, b.Name) })
}

func bySender(a, b SPFSender) int { return a.Addr.Compare(b.Addr) }

// Joined is the text of a record, as receivers read it.
func (s SPFStrings) Joined() Raw {
	var b strings.Builder
	for _, part := range s.Strings {
		b.WriteString(string(part))
	}
	return Raw(b.String())
}

// Policy is the whole policy of the domain, put together from the facts.
func (s SPF) Policy(domain Domain) SPFPolicy {
	return NewSPFPolicy(string(domain.Name()), s.Known(domain.Name()))
}

// Known is what the facts say of all that the policy of a domain leads to.
func (s SPF) Known(domain DNSName) SPFKnown {
	known := SPFKnown{Records: map[DNSName]SPFSource{}, Found: map[SPFAsk]SPFFound{}}
	for _, b := range s.Below {
		known.Records[b.Name] = b.source()
	}
	own := SPFBelow{Name: domain, Records: s.Records, Alias: s.Alias}
	if s.Records.State == Absent && s.Answer.State == Seen && s.Answer.Value.Others > 0 {
		own.Records = See[[]Raw](nil, s.Records.Via) // as in SPFBelow: it has others
	}
	known.Records[domain] = own.source()
	for _, t := range s.Found {
		known.Found[SPFAsk{t.Term, t.Name}] = t.found()
	}
	return known
}

func (b SPFBelow) source() SPFSource {
	return SPFSource{Via: b.Records.Via, State: b.Records.State, Answer: b.Records.Why, Records: b.Records.Value, Alias: b.Alias.Value}
}

// found is a target as the policy counts it. A mechanism that finds no name, or
// nothing of the client's family, is a void lookup; mx is one only where there
// are no MX records (RFC 7208 section 4.6.4).
func (t SPFTarget) found() SPFFound {
	f := SPFFound{
		Via: t.A.Via, State: t.A.State, Answer: t.A.Why, Hosts: t.Hosts.Value, HostsLeftOut: t.HostsLeftOut,
		IP4: t.A.Value, IP6: t.AAAA.Value, LeftOut: t.ALeftOut + t.AAAALeftOut,
		Void4: t.A.State == Absent, Void6: t.AAAA.State == Absent,
	}
	switch {
	case t.Term == "mx":
		f.Via, f.State, f.Answer = t.Hosts.Via, t.Hosts.State, t.Hosts.Why
		f.Void4, f.Void6 = f.State == Absent, f.State == Absent
		if f.State == Seen {
			f.Doubt = t.doubt()
		}
		if t.A.State != Seen {
			f.IP4 = t.SomeA
		}
		if t.AAAA.State != Seen {
			f.IP6 = t.SomeAAAA
		}
	case t.Term == "exists": // which addresses it finds does not matter
		f.IP4, f.LeftOut, f.Void6 = nil, 0, f.Void4
	case t.A.State == Seen:
		f.Doubt = t.doubt()
	case t.AAAA.State == Seen:
		f.Via, f.State, f.Answer, f.Doubt = t.AAAA.Via, Seen, t.AAAA.Why, t.doubt()
	case t.AAAA.State == Unknown && t.A.State != Unknown:
		f.State, f.Answer, f.Doubt = Unknown, t.AAAA.Why, t.doubt()
	default:
		f.Doubt = t.doubt()
	}
	return f
}

// doubt is why not all addresses are known.
func (t SPFTarget) doubt() Reason {
	for _, o := range []Obs[[]netip.Addr]{t.A, t.AAAA} {
		if o.State == Unknown || o.State == NotTried && o.Why.Code == NotAsked {
			return o.Why
		}
	}
	return Reason{}
}

// SPFNetworks are the networks that a record authorises, with all that it leads
// to, when it belongs to the policy of the domain root: sorted, none of which
// lies in another one. Where not all of that is known, doubt says why; who
// passes by exists, ptr or the names of senders is in no network.
func SPFNetworks(name DNSName, root string, known SPFKnown) (nets []netip.Prefix, doubt Reason) {
	g := &spfGrower{known: known, root: root, done: map[spfSeen]spfGrown{}, vendors: map[DNSName]string{}}
	branch, set := g.record(name, string(name), true)
	return spfOutermost(set.nets), branch.Doubt()
}

// Doubt is why not all is known of whom a record authorises, with all that it
// leads to; empty when it is. Of those whom exists, ptr or the names of senders
// lead to, nothing is known in any case.
func (b *SPFBranch) Doubt() Reason {
	switch {
	case b.State == NotTried && b.Answer.Code == "":
		return Reason{NotAsked, "the record of " + b.Domain.String() + " was not asked for"}
	case b.State == Unknown || b.State == NotTried:
		return b.Answer
	}
	for _, t := range b.Terms {
		why := t.Doubt()
		if why.Code != "" {
			return why
		}
	}
	return Reason{}
}

// Doubt is the same of a term.
func (t SPFPolicyTerm) Doubt() Reason {
	name := strings.TrimLeft(strings.ToLower(string(t.Term)), "+-~?")
	switch {
	case t.Branch != nil:
		return t.Branch.Doubt()
	case t.Found != nil && t.Found.State == Unknown:
		return t.Found.Answer
	case t.Found != nil:
		return t.Found.Doubt
	case !t.Dead && t.Target != "" && !strings.HasPrefix(name, "ptr"):
		return Reason{NotAsked, "the policy has more terms than are followed"}
	}
	return Reason{}
}
