package rules

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// The rules of this file are about how many others pass, besides those who send
// for the domain.

// spfNet is a network that passes, and the term because of which it does.
type spfNet struct {
	spfPlace
	net netip.Prefix
}

// String is the network with the term, where that is not the network itself.
func (n spfNet) String() string {
	if n.spec.Network.IsValid() {
		return n.spfPlace.String()
	}
	return n.net.String() + " of " + n.spfPlace.String()
}

// passing are all networks that pass, as far as they are known.
func (t *spfTree) passing() []spfNet {
	var out []spfNet
	for _, p := range t.find(func(p spfPlace) bool { return p.passes }) {
		for _, n := range networksOf(p) {
			out = append(out, spfNet{p, n})
		}
	}
	return out
}

// networksOf are the networks that a term stands for: its own, or those around
// the addresses that it finds.
func networksOf(p spfPlace) []netip.Prefix {
	if p.spec.Network.IsValid() {
		return []netip.Prefix{p.spec.Network}
	}
	if p.term.Found == nil || !p.spec.Is("a") && !p.spec.Is("mx") {
		return nil
	}
	var out []netip.Prefix
	for _, a := range p.term.Found.IP4 {
		out = append(out, netip.PrefixFrom(a, p.spec.Bits4).Masked())
	}
	for _, a := range p.term.Found.IP6 {
		out = append(out, netip.PrefixFrom(a, p.spec.Bits6).Masked())
	}
	return out
}

// Addresses that are not known, or were left out, can make a policy open only
// where little is missing: those of one term are some thousands at most, as an
// answer has 64 KB, and with networks of these sizes around each they do not
// fill the blocks.
const (
	spfSmall4, spfBlock4 = 24, 8
	spfSmall6, spfBlock6 = 48, 16
)

// nearlyOpen reports whether the networks leave no whole block free.
func nearlyOpen(nets []netip.Prefix) bool {
	var wide []netip.Prefix
	for _, n := range nets {
		block := spfBlock6
		if n.Addr().Is4() {
			block = spfBlock4
		}
		wide = append(wide, netip.PrefixFrom(n.Addr(), min(n.Bits(), block)).Masked())
	}
	return everyAddress(wide) != ""
}

// opens says how a term passes everyone, or "". The domain's own all is
// spf.plus-all's.
func (t *spfTree) opens(p spfPlace) string {
	switch {
	case p.spec.IsAll() && !p.own:
		return p.String() + " passes every address"
	case p.spec.Is("exists") && p.asks() && p.term.Found != nil && p.term.Found.State == audit.Seen:
		return p.String() + " finds an address whoever sends, and passes everyone"
	case p.spec.Looks() && p.term.Varies && chosen(p.spec):
		return p.String() + " looks at whatever name the sender gives, and passes whoever gives one of his own"
	}
	return ""
}

// chosen reports whether the whole name that a term asks for is what the sender
// gives: the name in EHLO, the local part, or the name of the client, which is
// only compared with addresses that its owner publishes.
func chosen(spec audit.SPFTerm) bool {
	i := strings.IndexAny(string(spec.Text), ":=")
	value, _, _ := strings.Cut(strings.ToLower(string(spec.Text[i+1:])), "/")
	return value == "%{h}" || value == "%{l}" || value == "%{p}"
}

func judgeSPFOpenBelow(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	var how []string
	var open []spfPlace
	for _, p := range t.find(func(p spfPlace) bool { return p.passes && t.opens(p) != "" }) {
		how, open = append(how, t.opens(p)), append(open, p)
	}
	known := t.passing()
	var nets []netip.Prefix
	for _, n := range known {
		nets = append(nets, n.net)
	}
	family := everyAddress(nets)
	if len(open) == 0 && family != "" {
		slices.SortStableFunc(known, func(a, b spfNet) int { return cmp.Compare(a.net.Bits(), b.net.Bits()) })
		known = slices.DeleteFunc(known, func(n spfNet) bool { return n.net.Addr().Is4() != (family == audit.IPv4) })
		how = []string{"the networks of the policy together are every " + family.String() + " address, the widest being " + some(known, spfShown)}
		for _, n := range known[:min(len(known), spfShown)] {
			open = append(open, n.spfPlace)
		}
	}
	switch {
	case len(open) > 0:
		fix := audit.Fix{Summary: "lead to no record that passes everyone"}
		for _, p := range open {
			if t.ours(p.in.Domain) && len(fix.Steps) < spfShown {
				fix.Steps = append(fix.Steps, "find out whom "+p.String()+" is meant for, and name those in its place by ip4, ip6, a, mx or include")
			}
		}
		foreign := t.notOurs(open, "that it passes everyone")
		if len(foreign) > 0 {
			foreign = append(foreign, "until it is mended, name the servers that send for you by ip4 and ip6 in place of the term that leads there, as far as you know them")
		}
		fix.Steps = append(fix.Steps, foreign...)
		r.Fail(domain, Fault{
			Detail:   strings.Join(how[:min(len(how), spfShown)], "; ") + ": anyone can send as " + domain,
			Evidence: append(t.evidence(open...), t.foundEvidence(open[:min(len(open), 2*spfShown)])...), Fix: fix,
		})
	case t.leadsNowhere() && !nearlyOpen(nets):
		r.NA(domain, "the SPF record leads to no other, and its own networks are for spf.plus-all")
	case !t.whole(s, r):
	case t.opennessKnown(domain, r, nearlyOpen(nets)):
		r.Pass(domain, "no record of the policy passes everyone")
	}
}

// leadsNowhere reports whether nobody else has a say in who passes, and no
// network is drawn around addresses that would make it a wide one.
func (t *spfTree) leadsNowhere() bool {
	return !slices.ContainsFunc(t.places, func(p spfPlace) bool {
		wide := p.asks() && (p.spec.Is("exists") || p.spec.Bits4 < spfSmall4 || p.spec.Bits6 < spfSmall6)
		return p.leads() || p.passes && (wide || p.spec.Looks() && p.term.Varies)
	})
}

// opennessKnown reports whether what is not known of a, mx and exists makes no
// difference; if it may, it has said so for the rule.
func (t *spfTree) opennessKnown(domain string, r *Report, near bool) bool {
	for _, p := range t.places {
		if !p.passes || !p.asks() || p.term.Target == "" {
			continue
		}
		f, _ := t.target(p)
		small := p.spec.Bits4 >= spfSmall4 && p.spec.Bits6 >= spfSmall6
		switch {
		case p.spec.Is("exists"):
			if !Gather(f.A).Complete(r, domain) {
				return false
			}
		case p.spec.Is("mx") && (f.Hosts.State == audit.Absent || f.HostsLeftOut > 0): // none, or a permerror
		case near || !small:
			if p.spec.Is("mx") && !Gather(f.Hosts).Complete(r, domain) || !Gather(f.A, f.AAAA).Complete(r, domain) {
				return false
			}
			if f.ALeftOut+f.AAAALeftOut > 0 {
				r.Unknown(domain, audit.Reason{Code: audit.NotAsked, Text: "a term has more addresses than are noted"})
				return false
			}
		}
	}
	return true
}

func judgeSPFExists(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	// RFC 7208 section 7.3 names s, l, o and h; o is the domain itself here.
	all := t.find(func(p spfPlace) bool { return p.spec.Is("exists") && p.spec.Domain.Uses("slh") })
	if len(all) == 0 {
		if t.whole(s, r) {
			r.Pass(domain, "no exists asks for a name that the sender chooses")
		}
		return
	}
	// With the address of the client in the name, or its confirmed name, whoever
	// sends from elsewhere does not get there by choosing words.
	free := slices.DeleteFunc(slices.Clone(all), func(p spfPlace) bool { return !p.passes || p.spec.Domain.Uses("ip") })
	f := Fault{
		Severity: audit.Info, Evidence: t.evidence(all...),
		Detail: "answers about SPF hang on what the sender says of himself, so that they cannot be kept: " + some(all, spfShown),
		Fix: audit.Fix{Summary: "know who is told of each message", Steps: []string{
			"if a provider asked for it, there is nothing to change: nobody passes from elsewhere by choosing his words",
			"if nobody did, find out whom the term is meant for, and name those hosts by ip4, ip6, a or include",
		}},
	}
	if len(free) == 0 {
		r.Fail(domain, f)
		return
	}
	mine := t.mine(free)
	f.Severity = audit.Medium
	f.Detail = "whoever gives the right local part or EHLO name passes, wherever he sends from: " + some(free, spfShown)
	f.Fix = audit.Fix{Summary: "ask for no name that the sender chooses"}
	for _, p := range mine[:min(len(mine), spfShown)] {
		f.Fix.Steps = append(f.Fix.Steps, "find out whom "+p.String()+" is meant for, and name their hosts by ip4, ip6, a or include, "+
			"or put the address of the client (%{ir}) into the names that it asks for")
	}
	f.Fix.Steps = append(f.Fix.Steps, t.notOurs(free, "that its exists asks for what the sender says")...)
	r.Fail(domain, f)
}

func judgeSPFPtrBelow(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	all := t.find(func(p spfPlace) bool { return p.spec.Is("ptr") && !p.own })
	if len(all) == 0 {
		if t.whole(s, r) {
			r.Pass(domain, "no record that the policy leads to uses ptr")
		}
		return
	}
	fix := audit.Fix{Summary: "have the record name its servers in another way"}
	for _, p := range all {
		if t.ours(p.in.Domain) && len(fix.Steps) < spfShown {
			fix.Steps = append(fix.Steps, "name the servers that "+p.String()+" is meant for by ip4, ip6, a or include, and take it away")
		}
	}
	fix.Steps = append(fix.Steps, t.notOurs(all, "that the standard advises against ptr")...)
	r.Fail(domain, Fault{Detail: "records that the policy leads to use ptr: " + some(all, spfShown), Evidence: t.evidence(all...), Fix: fix})
}

// From here on a network is wider than a sender's need: a /16 is what large
// universities and companies have whole, a /32 what a registry gives an internet
// provider.
const (
	spfWide4 = 16
	spfWide6 = 32
)

// wide reports whether a term passes such a network, whatever it finds. From
// private and reserved ones nobody sends: see spf.special-range.
func wide(scope audit.Scope, spec audit.SPFTerm) bool {
	n := spec.Network
	switch {
	case n.IsValid() && specialNetwork(scope, n) != "":
		return false
	case n.IsValid() && n.Addr().Is4():
		return n.Bits() < spfWide4
	case n.IsValid():
		return n.Bits() < spfWide6
	}
	return (spec.Is("a") || spec.Is("mx")) && (spec.Bits4 < spfWide4 || spec.Bits6 < spfWide6)
}

func judgeSPFHuge(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	every := t.find(func(p spfPlace) bool { return p.passes && wide(s.Scope, p.spec) })
	all := slices.DeleteFunc(slices.Clone(every), spfPlace.shared)
	mine := slices.DeleteFunc(slices.Clone(all), func(p spfPlace) bool { return !p.own })
	switch {
	case len(mine) > 0:
		fix := audit.Fix{Summary: "name the addresses that send"}
		for _, p := range mine[:min(len(mine), spfShown)] {
			fix.Steps = append(fix.Steps, "find out which addresses within "+p.spec.Quoted()+" send mail as "+domain+", from DMARC aggregate reports and by asking, and name those in its place")
		}
		r.Fail(domain, Fault{Detail: "the SPF record passes networks that are wider than a sender needs: " + some(mine, spfShown), Evidence: t.evidence(), Fix: fix})
	case len(all) > 0:
		r.Fail(domain, Fault{
			Severity: audit.Info, Evidence: t.evidence(all...),
			Detail: fmt.Sprintf("records that the policy leads to pass networks wider than a /%d, or a /%d of IPv6: ", spfWide4, spfWide6) + some(all, spfShown),
			Fix: audit.Fix{Summary: "sign with DKIM as well", Steps: []string{
				"nothing is to be changed in the record for this: whoever runs those networks says what is in them; a DKIM signature tells your mail from that of everyone else there",
			}},
		})
	case len(t.doubts) > 0:
		r.AtWorst(domain, audit.Info) // the record of the domain itself is known, and has none
		t.whole(s, r)
	case len(every) > 0:
		r.NA(domain, "the wide networks are those of providers whose customers share them: see spf.shared-pool")
	default:
		r.Pass(domain, "no network of the policy is wider than a sender needs")
	}
}

// shared reports whether a term belongs to the policy because of a provider of
// whom spf.shared-pool says that all customers send from the same addresses.
func (p spfPlace) shared() bool {
	return slices.ContainsFunc(p.path, func(name audit.DNSName) bool {
		v, _ := audit.VendorOf(name)
		return v.Shared
	})
}

// judgeSPFShared goes by the table of vendors: that others send from the same
// addresses is known of them, and seen nowhere in the DNS.
func judgeSPFShared(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	var names []string
	shared := t.find(func(p spfPlace) bool {
		if !p.passes || p.term.Branch == nil {
			return false
		}
		v, _ := audit.VendorOf(p.term.Branch.Domain)
		if !v.Shared || slices.Contains(names, v.Name) {
			return false
		}
		names = append(names, v.Name)
		return true
	})
	if len(shared) == 0 {
		if t.whole(s, r) {
			r.Pass(domain, "the policy leads to no provider of whom it is known that all customers send from the same addresses")
		}
		return
	}
	r.Fail(domain, Fault{
		Detail:   "customers of these send from the same addresses, and pass SPF as far as the provider lets them use your name: " + strings.Join(names, ", "),
		Evidence: t.evidence(shared...),
		Fix: audit.Fix{Summary: "sign with DKIM", Steps: []string{
			"have each of them sign with DKIM as " + domain + ": only a signature tells your mail from that of other customers",
			"leave SPF as it is: the include is needed for mail to pass",
		}},
	})
}
