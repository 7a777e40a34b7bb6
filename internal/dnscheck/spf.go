package dnscheck

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// SPFSubject is what an audit looks at of SPF.
type SPFSubject struct {
	Domain  audit.Domain
	Senders []netip.Addr    // addresses that send for it
	Hellos  []audit.DNSName // names that these give in EHLO
	Former  []audit.DNSName // that the policy included once
}

// SPF observes the SPF of a domain: its records, all that they lead to, and what
// they say of those who send. All of it runs at once, and takes as many round
// trips as the includes are deep, and one more; two more below an mx. It asks
// SPFMaxQuestions questions and a hundred others for the survey, spfCheckQuestions and
// spfCheckAhead for the evaluations, and one for each name in EHLO, whatever is published.
func SPF(ctx context.Context, a Asker, q SPFSubject) audit.SPF {
	s, end := newSPFSurvey(ctx, a, q.Domain.Name())
	defer end()
	s.whole = true
	var wg sync.WaitGroup
	var left audit.SPFLeftovers
	wg.Go(func() { left = ObserveSPFLeftovers(ctx, a, q.Domain) })
	identities := []spfIdentity{mailFromOf(q.Domain.Name())}
	hellos := make([]audit.SPFHello, len(q.Hellos))
	for i, name := range q.Hellos {
		identities = append(identities, helloOf(name))
		hellos[i].Name = name
		wg.Go(func() {
			hellos[i].Records = texts(a.Ask(ctx, name, dns.TypeTXT), audit.IsSPF, "no TXT record is an SPF record")
		})
	}
	checks := newSPFChecks(q.Senders, identities)
	checks.start(ctx, &wg, a)
	s.follow(s.root)
	f := s.facts()
	for i := range f.Below {
		s.registrable(&f.Below[i])
	}
	f.Explained = s.explained()
	own := s.ask.need(q.Domain.Name(), dns.TypeTXT)
	f.Misses = texts(own, audit.LooksLikeSPF, "no TXT record looks like an SPF record that is none")
	f.Strings = stringsOf(own)
	f.Former = s.former(q.Former)
	wg.Wait()
	f.Type99, f.SenderID, f.Alias = left.Type99, left.SenderID, left.Alias
	checks.settle(ctx, s.ask.answers())
	f.Senders, f.Hellos = checks.out[0], hellos
	for i := range hellos {
		hellos[i].Senders = checks.out[i+1]
	}
	return f
}

// answerSize is how many octets the answer with the records takes: made anew
// from the records, so that it depends neither on what the resolver adds nor on
// how it writes names. Aliases are in the answer (RFC 1034 section 3.6.2), and
// EDNS takes 11 octets (RFC 6891 section 6.1.2).
func answerSize(answer *resolve.Answer) audit.Obs[audit.SPFAnswer] {
	switch answer.State {
	case audit.Unknown:
		return audit.Dark[audit.SPFAnswer](answer.Why, answer.Via())
	case audit.Absent:
		return audit.NA[audit.SPFAnswer]("there are no TXT records")
	}
	m := new(dns.Msg).SetQuestion(answer.Name.FQDN(), answer.Type)
	m.Response, m.Compress = true, true
	owner := answer.Name
	for _, target := range answer.Chain {
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: owner.FQDN(), Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: target.FQDN()})
		owner = target
	}
	others := 0
	for _, rr := range answer.Records {
		txt, ok := rr.(*dns.TXT)
		if !ok {
			continue
		}
		if !audit.IsSPF(resolve.TXT(txt)) {
			others++
		}
		m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: owner.FQDN(), Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: txt.Txt})
	}
	m.SetEdns0(dns.DefaultMsgSize, false)
	wire, err := m.Pack()
	if err != nil || len(wire) > dns.MaxMsgSize { // together with its aliases it is more than a message holds
		return audit.Dark[audit.SPFAnswer](audit.Reason{Code: audit.Oversized, Text: "the aliases and records do not fit into one answer"}, answer.Via())
	}
	return audit.See(audit.SPFAnswer{Octets: len(wire), Others: others}, answer.Via())
}

// stringsOf are the strings of those SPF records that have several.
func stringsOf(answer *resolve.Answer) audit.Obs[[]audit.SPFStrings] {
	o := resolve.Observe(answer, func(rrs []dns.RR) []audit.SPFStrings {
		var out []audit.SPFStrings
		for _, rr := range rrs {
			txt, ok := rr.(*dns.TXT)
			if !ok || len(txt.Txt) < 2 || !audit.IsSPF(resolve.TXT(txt)) {
				continue
			}
			var parts audit.SPFStrings
			for _, s := range txt.Txt {
				parts.Strings = append(parts.Strings, resolve.TXT(&dns.TXT{Txt: []string{s}}))
			}
			out = append(out, parts)
		}
		return out
	})
	switch {
	case o.State == audit.Absent || o.State == audit.Seen && len(spfRecords(answer)) == 0:
		return audit.NA[[]audit.SPFStrings]("there is no SPF record")
	case o.State == audit.Seen && len(o.Value) == 0:
		return audit.None[[]audit.SPFStrings](audit.NoData, "each record is one string", o.Via)
	}
	return o
}

// startExplained asks for the explanation of the domain's own record, where its
// name is the same whoever sends (RFC 7208 section 6.2).
func (s *spfSurvey) startExplained(record audit.SPFRecord) {
	none := audit.NA[[]audit.Raw]("the record has no exp=")
	s.exp = &none
	t, ok := record.Find("exp")
	if !ok {
		return
	}
	target, same := t.StaticTarget(s.root, s.root)
	name, is := audit.WireName(target)
	switch {
	case !same:
		none = audit.NA[[]audit.Raw]("the name behind exp= depends on who sends")
	case !is:
		none = audit.None[[]audit.Raw](audit.Malformed, "the name behind exp= can be none in the DNS", "")
	default:
		s.expName = name
		s.ask.start(spfQuestion{name, dns.TypeTXT}, false)
	}
}

// explained is the explanation.
func (s *spfSurvey) explained() audit.Obs[[]audit.Raw] {
	root, _ := audit.WireName(s.root)
	own := s.below[root].Records
	switch {
	case s.expName != "":
		return texts(s.ask.need(s.expName, dns.TypeTXT), func(audit.Raw) bool { return true }, "")
	case s.exp != nil:
		return *s.exp
	case own.State == audit.Unknown:
		return audit.Dark[[]audit.Raw](own.Why, own.Via)
	}
	return audit.NA[[]audit.Raw]("there is no one record that can be read")
}

// former surveys the networks of names that the policy included once and leads
// to no more. They are looked at where the domain may have copied them: where a
// record of its own holds networks.
func (s *spfSurvey) former(names []audit.DNSName) []audit.SPFFormer {
	dark, varies, copied := s.dark, s.varies, s.copied
	names = slices.DeleteFunc(slices.Clone(names), func(name audit.DNSName) bool {
		_, reached := s.below[name]
		return reached
	})
	if !copied || len(names) == 0 {
		return nil
	}
	slices.SortFunc(names, compareFormer)
	names = names[:min(len(names), audit.MaxSPFFormer)]
	out := make([]audit.SPFFormer, len(names))
	var ask []string
	for i, name := range names {
		out[i].Name = name
		switch {
		case dark:
			out[i].Networks = audit.Dark[[]netip.Prefix](audit.Reason{Code: audit.NotLearned, Text: "the policy is not known whole, and may lead to " + name.String() + " as before"}, "")
		case varies:
			out[i].Networks = audit.NA[[]netip.Prefix]("the policy leads where the sender leads, which may be to " + name.String() + " as before")
		default:
			ask = append(ask, string(name))
		}
	}
	if len(ask) == 0 {
		return out
	}
	s.whole = false
	s.follow(ask...)
	known := s.facts().Known(audit.DNSName(s.root))
	for i := range out {
		s.networks(&out[i], known)
	}
	return out
}

// compareFormer has those first that vendors tell their customers to include:
// what is below them is among their networks.
func compareFormer(a, b audit.DNSName) int {
	rank := func(name audit.DNSName) int {
		v, ok := audit.VendorOf(name)
		switch {
		case slices.Index(v.Includes, name) == 0:
			return 0
		case ok:
			return 1
		}
		return 2
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return strings.Compare(string(a), string(b))
}

// networks are those that a name authorises today.
func (s *spfSurvey) networks(f *audit.SPFFormer, known audit.SPFKnown) {
	own, asked := s.below[f.Name]
	nets, doubt := audit.SPFNetworks(f.Name, s.root, known)
	switch {
	case !asked, doubt.Code == audit.NotAsked:
		f.Networks = audit.Skipped[[]netip.Prefix]("there are more records than are followed")
	case doubt.Code != "":
		f.Networks = audit.Dark[[]netip.Prefix](doubt, own.Records.Via)
	case own.Records.State == audit.Absent:
		f.Networks = audit.None[[]netip.Prefix](own.Records.Why.Code, own.Records.Why.Text, own.Records.Via)
	case len(nets) == 0:
		f.Networks = audit.None[[]netip.Prefix](audit.NoData, "it authorises no networks", own.Records.Via)
	default:
		f.LeftOut = max(0, len(nets)-audit.MaxSPFNetworks)
		f.Networks = audit.See(nets[:len(nets)-f.LeftOut], own.Records.Via)
	}
}
