package dnscheck

import (
	"context"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// Limits of a survey. It goes on past the ten lookups of RFC 7208 section 4.6.4,
// so that it is seen what is behind them; the largest policies that people
// publish have some thirty records.
const (
	spfMaxRecords = 40 // records of includes and redirects, level by level
	spfMaxTargets = 40 // names of a, mx and exists
	spfMaxHosts   = 40 // mail servers of all mx together
)

// SPFMaxQuestions is how many questions a survey asks at most, aliases not
// counted: for each record one, for each target and each host one of each
// family.
const SPFMaxQuestions = spfMaxRecords + 2*spfMaxTargets + 2*spfMaxHosts

// SPFPolicy surveys the whole policy of a domain, whoever sends. It takes 20
// seconds and SPFMaxQuestions questions at most, whatever is published, and
// never fails: what was not answered or not asked is marked so in the tree.
func SPFPolicy(ctx context.Context, a Asker, domain audit.DNSName) audit.SPFPolicy {
	ctx, cancel := context.WithTimeout(ctx, spfTime)
	ask := &spfAsker{ctx: ctx, a: a, known: map[spfQuestion]*spfAnswer{}}
	defer ask.wg.Wait()
	defer cancel()
	s := &spfSurvey{ask: ask, root: string(domain), known: audit.SPFKnown{
		Records: map[audit.DNSName]audit.SPFSource{}, Found: map[audit.SPFAsk]audit.SPFFound{},
	}}
	for level := []string{s.root}; len(level) > 0; {
		level = s.level(level)
	}
	for _, t := range s.targets {
		if t.Term == "mx" {
			s.startHosts(t)
		}
	}
	for _, t := range s.targets {
		s.known.Found[t] = s.found(t)
	}
	s.known.Questions = len(ask.known)
	return audit.NewSPFPolicy(s.root, s.known)
}

// spfSurvey is a survey under way.
type spfSurvey struct {
	ask     *spfAsker
	root    string
	known   audit.SPFKnown
	targets []audit.SPFAsk // in the order in which they were come upon
	hosts   map[audit.DNSName]bool
}

// level asks for the records of some domains, all at once, and returns those
// that they lead to.
func (s *spfSurvey) level(domains []string) []string {
	asked := map[audit.DNSName]string{}
	var order []audit.DNSName
	for _, d := range domains {
		name, ok := recordName(d)
		if !ok && name != "" { // one label, or an address
			s.known.Records[name] = audit.SPFSource{State: audit.Absent, Answer: audit.Reason{Code: audit.NoData, Text: name.String() + " can have no SPF record"}}
		}
		_, known := s.known.Records[name]
		_, twice := asked[name]
		if !ok || known || twice || len(s.known.Records)+len(order) == spfMaxRecords {
			continue
		}
		asked[name] = d
		order = append(order, name)
		s.ask.start(spfQuestion{name, dns.TypeTXT}, false)
	}
	var next []string
	for _, name := range order {
		answer := s.ask.need(name, dns.TypeTXT)
		source := audit.SPFSource{Via: answer.Via(), State: answer.State, Answer: answer.Why, TTL: answer.TTL, Alias: slices.Clone(answer.Chain)}
		if answer.State != audit.Unknown {
			source.Records = spfRecords(answer)
		}
		s.known.Records[name] = source
		if len(source.Records) == 1 {
			next = append(next, s.terms(source.Records[0], asked[name])...)
		}
	}
	return next
}

// terms asks for what the terms of a record want, and returns the domains of
// its includes and redirect.
func (s *spfSurvey) terms(txt audit.Raw, domain string) []string {
	record := audit.ParseSPF(txt)
	if len(record.Faults) > 0 {
		return nil
	}
	var next []string
	for _, t := range record.Reached() {
		target, ok := t.StaticTarget(domain, s.root)
		if !ok || !t.Looks() {
			continue
		}
		if t.Name == "include" || t.Name == "redirect" {
			next = append(next, target)
			continue
		}
		name, ok := audit.WireName(target)
		ask := audit.SPFAsk{Term: t.Name, Target: name}
		if !ok || t.Name == "ptr" || slices.Contains(s.targets, ask) || len(s.targets) == spfMaxTargets {
			continue
		}
		s.targets = append(s.targets, ask)
		for _, qtype := range spfTypes(t.Name) {
			s.ask.start(spfQuestion{name, qtype}, false)
		}
	}
	return next
}

// spfTypes are the types of record that a term asks for.
func spfTypes(term string) []uint16 {
	switch term {
	case "mx":
		return []uint16{dns.TypeMX}
	case "exists": // RFC 7208 section 5.7
		return []uint16{dns.TypeA}
	}
	return []uint16{dns.TypeA, dns.TypeAAAA}
}

// startHosts asks for the addresses of the mail servers of an mx.
func (s *spfSurvey) startHosts(t audit.SPFAsk) {
	if s.hosts == nil {
		s.hosts = map[audit.DNSName]bool{}
	}
	hosts := spfHosts(s.ask.need(t.Target, dns.TypeMX).Records)
	if len(hosts) > audit.SPFMaxNames {
		return // a permerror, whatever their addresses
	}
	for _, h := range hosts {
		if len(s.hosts) == spfMaxHosts && !s.hosts[h] {
			return
		}
		s.hosts[h] = true
		s.ask.start(spfQuestion{h, dns.TypeA}, false)
		s.ask.start(spfQuestion{h, dns.TypeAAAA}, false)
	}
}

// found is what a term finds.
func (s *spfSurvey) found(t audit.SPFAsk) audit.SPFFound {
	first := s.ask.need(t.Target, spfTypes(t.Term)[0])
	f := audit.SPFFound{Via: first.Via(), State: first.State, Answer: first.Why, TTL: first.TTL}
	none := first.State == audit.Absent
	var four, six []netip.Addr
	switch t.Term {
	case "exists":
		f.Void4, f.Void6 = none, none
		return f
	case "mx":
		f.Void4, f.Void6 = none, none
		hosts := spfHosts(first.Records)
		f.Hosts = hosts[:min(len(hosts), audit.SPFMaxNames)]
		f.HostsLeftOut = len(hosts) - len(f.Hosts)
		for _, h := range f.Hosts {
			if f.HostsLeftOut > 0 {
				break
			}
			if !s.hosts[h] {
				f.Doubt = audit.Reason{Code: audit.NotAsked, Text: "the policy has more mail servers than are looked at"}
				continue
			}
			four = append(four, s.addresses(&f, h, dns.TypeA)...)
			six = append(six, s.addresses(&f, h, dns.TypeAAAA)...)
		}
	default:
		second := s.ask.need(t.Target, dns.TypeAAAA)
		four, six = s.addresses(&f, t.Target, dns.TypeA), s.addresses(&f, t.Target, dns.TypeAAAA)
		f.Void4 = none || first.State == audit.Seen && len(four) == 0
		f.Void6 = second.State == audit.Absent || second.State == audit.Seen && len(six) == 0
		f.State, f.Answer = spfEither(first, second)
		if second.State == audit.Seen && first.State != audit.Seen {
			f.Via, f.TTL = second.Via(), second.TTL
		}
	}
	f.IP4, f.LeftOut = lowest(four)
	var left int
	f.IP6, left = lowest(six)
	f.LeftOut += left
	return f
}

// spfEither is the state of two questions about one name, for which something
// of one family is enough.
func spfEither(a, aaaa *resolve.Answer) (audit.State, audit.Reason) {
	for _, want := range []audit.State{audit.Seen, audit.Unknown} {
		for _, answer := range []*resolve.Answer{a, aaaa} {
			if answer.State == want {
				return answer.State, answer.Why
			}
		}
	}
	return a.State, a.Why
}

// addresses are those of a host in one family. Where they are not known, the
// doubt is noted.
func (s *spfSurvey) addresses(f *audit.SPFFound, host audit.DNSName, qtype uint16) []netip.Addr {
	answer := s.ask.need(host, qtype)
	if answer.State == audit.Unknown && f.Doubt.Code == "" {
		f.Doubt = answer.Why
	}
	return addresses(answer.Records)
}

// lowest are the lowest addresses, and how many others there are.
func lowest(addrs []netip.Addr) (kept []netip.Addr, leftOut int) {
	o := audit.See(slices.Compact(slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare)), "")
	leftOut = Bound(&o, audit.MaxFollowed, netip.Addr{})
	return o.Value, leftOut
}
