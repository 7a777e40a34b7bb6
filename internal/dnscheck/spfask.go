package dnscheck

import (
	"context"
	"sync"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// An evaluation asks no more than spfQuestions questions, aliases and the
// addresses of mx hosts and PTR names not counted. Of these it needs spfOwn at
// most: for the record, ten terms, the names of the client and the explanation.
// The rest is there to ask ahead.
const (
	spfQuestions = 40
	spfOwn       = 1 + audit.SPFMaxLookups + 1 + 1
)

// spfQuestion is what a question goes by.
type spfQuestion struct {
	name  audit.DNSName
	qtype uint16
}

// spfAnswer is a question under way until done is closed.
type spfAnswer struct {
	done   chan struct{}
	answer *resolve.Answer
}

// spfAsker asks each question of an evaluation once, whoever wants to know.
type spfAsker struct {
	ctx context.Context
	a   Asker
	wg  sync.WaitGroup // everything that is under way
	// ration is what this evaluation shares with others; nil: it is alone.
	ration *spfRation

	mu    sync.Mutex // guards what follows, never held while waiting
	known map[spfQuestion]*spfAnswer
	early int // questions that were asked ahead
}

// start has a question asked, if it is not yet. early: nobody needs the answer
// yet; there is none, and nil, when enough has been asked in this way, or one
// that is needed is beyond the ration.
func (s *spfAsker) start(q spfQuestion, early bool) *spfAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !early && !s.ration.needs(q) { // also where the answer is there already, which is chance
		return nil
	}
	f := s.known[q]
	if f != nil {
		return f
	}
	if early {
		if s.early == spfQuestions-spfOwn || !s.ration.ahead(q) {
			return nil
		}
		s.early++
	}
	f = &spfAnswer{done: make(chan struct{})}
	s.known[q] = f
	s.wg.Go(func() {
		f.answer = s.a.Ask(s.ctx, q.name, q.qtype)
		close(f.done)
	})
	return f
}

// need is the answer to a question.
func (s *spfAsker) need(name audit.DNSName, qtype uint16) *resolve.Answer {
	f := s.start(spfQuestion{name, qtype}, false)
	if f == nil {
		return beyondRation(name, qtype)
	}
	<-f.done
	return f.answer
}

// answers are those that are there.
func (s *spfAsker) answers() spfKnown {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := spfKnown{}
	for q, f := range s.known {
		select {
		case <-f.done:
			out[q] = f.answer
		default:
		}
	}
	return out
}

// all has several questions asked at once, all of which are needed.
func (s *spfAsker) all(names []audit.DNSName, qtype uint16) {
	for _, name := range names {
		s.start(spfQuestion{name, qtype}, false)
	}
}

// later asks ahead, and goes on with the answer when it is there.
func (s *spfAsker) later(name audit.DNSName, qtype uint16, then func(*resolve.Answer)) {
	f := s.start(spfQuestion{name, qtype}, true)
	if f == nil {
		return
	}
	s.wg.Go(func() {
		<-f.done
		if s.ctx.Err() == nil {
			then(f.answer)
		}
	})
}

// spfAhead asks ahead: as soon as a record is there, it asks for all that
// evaluation may want of it, and goes on into its includes, while the terms in
// front of them are still being evaluated. So the time that an evaluation takes
// is that of its longest chain, whatever the number of its terms; and since it
// does nothing but ask, the result and its counters cannot depend on it.
type spfAhead struct {
	ask     *spfAsker
	macros  audit.SPFMacros
	foreign bool

	mu    sync.Mutex
	least map[string]int // domains that it went into: with how few lookups spent
}

// record asks for what the terms of a record want. used is how many lookups
// are spent at least when evaluation comes to it: a term that is the eleventh at
// best is never evaluated.
func (p *spfAhead) record(domain string, record audit.SPFRecord, used int) {
	if !p.deeper(domain, used) {
		return
	}
	for _, t := range record.Terms {
		if t.IsAll() || t.Network.IsValid() && t.Network.Contains(p.macros.IP) {
			return // evaluation ends here, if it comes so far
		}
		if t.Looks() && !t.Modifier {
			used = p.term(t, domain, used)
		}
	}
	redirect, ok := record.Find("redirect")
	if ok {
		p.term(redirect, domain, used)
	}
}

// deeper reports whether there is more to ask for in the record of a domain
// than there was the last time.
func (p *spfAhead) deeper(domain string, used int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	least, been := p.least[domain]
	if been && least <= used {
		return false
	}
	p.least[domain] = used
	return true
}

// term asks for what one term wants, and returns how many lookups are spent
// behind it at least.
func (p *spfAhead) term(t audit.SPFTerm, domain string, used int) int {
	used++
	if used > audit.SPFMaxLookups || p.foreign && t.Domain.Uses("sl") {
		return used
	}
	if t.Domain.Uses("p") || t.Name == "ptr" {
		p.reverse()
	}
	if t.Domain.Uses("p") { // the target is not known before the names are
		return used + 1
	}
	target := domain
	if !t.Domain.IsZero() {
		m := p.macros
		m.Domain = domain
		target = t.Domain.Target(m)
	}
	name, ok := audit.WireName(target)
	if !ok {
		return used
	}
	switch t.Name {
	case "include", "redirect":
		p.into(target, used)
	case "a":
		p.ask.later(name, spfFamily(p.macros.IP), func(*resolve.Answer) {})
	case "exists":
		p.ask.later(name, dns.TypeA, func(*resolve.Answer) {})
	case "mx":
		p.ask.later(name, dns.TypeMX, func(a *resolve.Answer) { p.hosts(spfHosts(a.Records)) })
	}
	return used
}

// into goes on into the record of an include or redirect.
func (p *spfAhead) into(target string, used int) {
	name, ok := recordName(target)
	if !ok {
		return
	}
	p.ask.later(name, dns.TypeTXT, func(a *resolve.Answer) {
		records := spfRecords(a)
		if len(records) != 1 {
			return
		}
		record := audit.ParseSPF(records[0])
		if len(record.Faults) == 0 {
			p.record(target, record, used)
		}
	})
}

// reverse asks for the names of the client, and where they lead.
func (p *spfAhead) reverse() {
	p.ask.later(audit.ReverseName(p.macros.IP), dns.TypePTR, func(a *resolve.Answer) {
		names := pointers(a.Records)
		p.hosts(names[:min(len(names), audit.SPFMaxNames)])
	})
}

// hosts asks for the addresses of hosts, unless there are too many of them.
func (p *spfAhead) hosts(names []audit.DNSName) {
	if len(names) > audit.SPFMaxNames {
		return
	}
	for _, name := range names {
		p.ask.later(name, spfFamily(p.macros.IP), func(*resolve.Answer) {})
	}
}
