package dnscheck

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// spfSurvey is a survey under way: of all that a policy leads to, whoever sends.
// It writes facts; the tree is put together from them.
type spfSurvey struct {
	ask  *spfAsker
	root string // the domain that is checked
	// whole: what only an audit wants to know is asked for as well: who has the
	// names that do not exist, and the explanation.
	whole bool

	below   map[audit.DNSName]audit.SPFBelow // the domain itself among them
	answers map[audit.DNSName]*resolve.Answer
	targets []audit.SPFAsk // in the order in which they were come upon
	octets  int            // of the records
	full    bool           // no more records are followed, for they would hold too much
	found   map[audit.SPFAsk]audit.SPFTarget
	ttls    map[audit.SPFAsk]uint32 // of what was found
	mx      chan audit.SPFAsk
	hosts   map[audit.DNSName]bool
	exp     *audit.Obs[[]audit.Raw] // why there is no explanation to ask for; nil: no record was read
	expName audit.DNSName           // where it is; empty: nowhere

	// What the names that were included once are worth asking about depends on.
	dark   bool // a record is not known, or was not asked for
	varies bool // an include leads where the sender leads
	copied bool // a record of the domain's own holds networks
}

// newSPFSurvey makes a survey; the caller calls the function when it is over.
func newSPFSurvey(ctx context.Context, a Asker, root audit.DNSName) (*spfSurvey, func()) {
	ctx, cancel := context.WithTimeout(ctx, spfTime)
	ask := &spfAsker{ctx: ctx, a: a, known: map[spfQuestion]*spfAnswer{}}
	s := &spfSurvey{
		ask: ask, root: string(root), below: map[audit.DNSName]audit.SPFBelow{}, answers: map[audit.DNSName]*resolve.Answer{},
		found: map[audit.SPFAsk]audit.SPFTarget{}, ttls: map[audit.SPFAsk]uint32{}, hosts: map[audit.DNSName]bool{},
	}
	return s, func() { cancel(); ask.wg.Wait() }
}

// follow surveys some domains and all that they lead to. The mail servers of mx
// are asked for while the levels below are: one after another in the order of
// the terms, so that the limit takes the same ones every night.
func (s *spfSurvey) follow(domains ...string) {
	s.mx = make(chan audit.SPFAsk, spfMaxTargets)
	var wg sync.WaitGroup
	wg.Go(func() {
		for t := range s.mx {
			s.startHosts(t)
		}
	})
	for level := domains; len(level) > 0; {
		level = s.level(level)
	}
	close(s.mx)
	wg.Wait()
	for _, t := range s.targets {
		_, known := s.found[t]
		if !known {
			s.found[t] = s.find(t)
		}
	}
}

// level asks for the records of some domains, all at once, and returns those
// that they lead to.
func (s *spfSurvey) level(domains []string) []string {
	asked := map[audit.DNSName]string{}
	var order []audit.DNSName
	for _, d := range domains {
		name, ok := recordName(d)
		_, known := s.below[name]
		_, twice := asked[name]
		if name == "" || known || twice {
			continue
		}
		if s.full || len(s.below)+len(order) >= spfMaxRecords {
			s.dark = true
			continue
		}
		if !ok { // one label, or an address
			s.below[name] = audit.SPFBelow{Name: name, Records: audit.None[[]audit.Raw](audit.NoData, name.String()+" can have no SPF record", "")}
			continue
		}
		asked[name] = d
		order = append(order, name)
		s.ask.start(spfQuestion{name, dns.TypeTXT}, false)
	}
	var next []string
	for _, name := range order {
		answer := s.ask.need(name, dns.TypeTXT)
		b := audit.SPFBelow{Name: name, Records: resolve.Observe(answer, func([]dns.RR) []audit.Raw { return spfRecords(answer) }), Alias: resolve.Alias(answer)}
		for _, r := range b.Records.Value {
			s.octets += len(r)
		}
		s.full = s.full || s.octets > spfMaxOctets
		if s.full { // as if it had not been asked for
			s.dark = true
			continue
		}
		s.below[name], s.answers[name] = b, answer
		s.dark = s.dark || b.Records.State == audit.Unknown
		if s.whole {
			s.startRegistrable(name, answer)
		}
		if len(b.Records.Value) == 1 {
			next = append(next, s.terms(b.Records.Value[0], name, asked[name])...)
		}
	}
	return next
}

// terms asks for what the terms of a record want, and returns the domains of
// its includes and redirect.
func (s *spfSurvey) terms(txt audit.Raw, in audit.DNSName, domain string) []string {
	record := audit.ParseSPF(txt)
	if len(record.Faults) > 0 {
		return nil
	}
	if s.whole && domain == s.root {
		s.startExplained(record)
	}
	var next []string
	for _, t := range record.Reached() {
		s.copied = s.copied || t.Network.IsValid() && within(in, audit.DNSName(s.root))
		target, ok := t.StaticTarget(domain, s.root)
		leads := t.Is("include") || t.Is("redirect")
		s.varies = s.varies || leads && !ok
		if !ok || !t.Looks() {
			continue
		}
		if leads {
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
		if t.Name == "mx" {
			s.mx <- ask
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

// find is what a term finds.
func (s *spfSurvey) find(ask audit.SPFAsk) audit.SPFTarget {
	first := s.ask.need(ask.Target, spfTypes(ask.Term)[0])
	t := audit.SPFTarget{Term: ask.Term, Name: ask.Target}
	s.ttls[ask] = first.TTL
	switch ask.Term {
	case "mx":
		s.findHosts(&t, first)
		return t
	case "exists":
		t.A, t.AAAA = addressesIn(first), audit.NA[[]netip.Addr]("exists asks for A alone")
	default:
		second := s.ask.need(ask.Target, dns.TypeAAAA)
		t.A, t.AAAA = addressesIn(first), addressesIn(second)
		if first.State != audit.Seen && second.State == audit.Seen {
			s.ttls[ask] = second.TTL
		}
	}
	t.ALeftOut, t.AAAALeftOut = lowest(&t.A), lowest(&t.AAAA)
	return t
}

// findHosts is what an mx finds.
func (s *spfSurvey) findHosts(t *audit.SPFTarget, answer *resolve.Answer) {
	t.Hosts = resolve.Observe(answer, spfHosts)
	t.HostsLeftOut = max(0, len(t.Hosts.Value)-audit.SPFMaxNames)
	t.Hosts.Value = t.Hosts.Value[:len(t.Hosts.Value)-t.HostsLeftOut]
	var none audit.Obs[[]netip.Addr]
	switch {
	case t.Hosts.State == audit.Absent:
		none = audit.NA[[]netip.Addr]("there are no mail servers")
	case t.Hosts.State == audit.Unknown:
		none = audit.Dark[[]netip.Addr](audit.Reason{Code: audit.NotLearned, Text: "the mail servers are not known"}, "")
	case t.HostsLeftOut > 0:
		none = audit.NA[[]netip.Addr]("more than ten mail servers make the term a permerror")
	default:
		t.A, t.SomeA, t.ALeftOut = s.together(t.Hosts.Value, dns.TypeA)
		t.AAAA, t.SomeAAAA, t.AAAALeftOut = s.together(t.Hosts.Value, dns.TypeAAAA)
		return
	}
	t.A, t.AAAA = none, none
}

// together are the addresses of mail servers in one family, or some of them where
// others are not known, and how many more there are.
func (s *spfSurvey) together(hosts []audit.DNSName, qtype uint16) (o audit.Obs[[]netip.Addr], some []netip.Addr, leftOut int) {
	var all []netip.Addr
	var dark audit.Reason
	skipped := false
	for _, h := range hosts {
		if !s.hosts[h] {
			skipped = true
			continue
		}
		answer := s.ask.need(h, qtype)
		if answer.State == audit.Unknown && dark.Code == "" {
			dark = answer.Why
		}
		all = append(all, addresses(answer.Records)...)
	}
	seen := audit.See(all, "")
	leftOut = lowest(&seen)
	switch {
	case dark.Code != "":
		return audit.Dark[[]netip.Addr](dark, ""), seen.Value, leftOut
	case skipped:
		return audit.Skipped[[]netip.Addr]("the policy has more mail servers than are looked at"), seen.Value, leftOut
	case len(all) == 0:
		return audit.None[[]netip.Addr](audit.NoData, "no mail server has an address of this family", ""), nil, 0
	}
	return seen, nil, leftOut
}

// lowest keeps the lowest addresses, sorted, and returns how many others there
// are.
func lowest(o *audit.Obs[[]netip.Addr]) (leftOut int) {
	slices.SortFunc(o.Value, netip.Addr.Compare)
	o.Value = slices.Compact(o.Value)
	return Bound(o, audit.MaxFollowed, netip.Addr{})
}

// facts are what the survey knows of the domain and all below it, as far as it
// has come: that is part of the facts of an audit.
func (s *spfSurvey) facts() audit.SPF {
	var f audit.SPF
	root, _ := audit.WireName(s.root)
	for name, b := range s.below {
		if name != root {
			f.Below = append(f.Below, b)
		}
	}
	for _, t := range s.targets {
		f.Found = append(f.Found, s.found[t])
	}
	own, answer := s.below[root], s.answers[root]
	f.Records, f.Alias = own.Records, own.Alias
	if own.Records.State == audit.Seen && len(own.Records.Value) == 0 {
		f.Records = audit.None[[]audit.Raw](audit.NoData, "no TXT record is an SPF record", own.Records.Via)
	}
	if answer != nil { // nil: it can have no record, or is no name
		f.Answer = answerSize(answer)
	}
	return f
}
