package dnscheck

import (
	"context"
	"net/netip"
	"sync"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// What the evaluations of one audit ask at most, those of the survey among them:
// spfCheckQuestions that they need, which is what one evaluation may, for those
// of several senders share most of theirs; and spfCheckAhead others, to have
// answers sooner.
const (
	spfCheckQuestions = 150
	spfCheckAhead     = 100
)

// spfChecksAtOnce bounds what evaluations take of memory: ten records of 64 KB
// make one of twenty megabytes.
const spfChecksAtOnce = 10

// spfRation is what the evaluations of one audit share, so that a policy that
// leads every sender elsewhere leaves the rest of the audit its questions. When
// it is used up is the same every night: what was asked ahead does not count,
// which hangs on who is first. For whom it sufficed does hang on that; see
// spfChecks.
type spfRation struct {
	mu     sync.Mutex // guards what follows, never held while waiting
	needed map[spfQuestion]bool
	early  map[spfQuestion]bool
	short  bool // a question was needed, and not asked
}

func newSPFRation() *spfRation {
	return &spfRation{needed: map[spfQuestion]bool{}, early: map[spfQuestion]bool{}}
}

// needs takes a question out of the ration. Without a ration all may be asked.
func (r *spfRation) needs(q spfQuestion) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.needed[q] && len(r.needed) == spfCheckQuestions {
		r.short = true
		return false
	}
	r.needed[q] = true
	return true
}

// ahead is the same for a question that nobody needs yet.
func (r *spfRation) ahead(q spfQuestion) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.needed[q] && !r.early[q] && len(r.early) == spfCheckAhead {
		return false
	}
	r.early[q] = true
	return true
}

// beyondRation is the answer to a question that was not asked.
func beyondRation(name audit.DNSName, qtype uint16) *resolve.Answer {
	return &resolve.Answer{Name: name, Type: qtype, State: audit.Unknown, Why: audit.Reason{
		Code: audit.Budget, Text: "not asked, because the SPF evaluations of this run have used up their DNS questions"}}
}

// spfKnown is an Asker that knows what a survey has learnt, and asks nobody.
type spfKnown map[spfQuestion]*resolve.Answer

// Ask is Asker's.
func (k spfKnown) Ask(_ context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	answer := k[spfQuestion{name, qtype}]
	if answer == nil {
		return beyondRation(name, qtype)
	}
	return answer
}

// spfIdentity is who is said to send, and the command that checks the same.
type spfIdentity struct {
	query   SPFQuery // without an address
	command func(netip.Addr) string
}

// mailFromOf is a sender of the domain. The local part matters to macros alone,
// and postmaster is one that every domain has (RFC 5321 section 4.5.1). HELO
// matters to %{h} alone, which hardly anybody uses: the domain is the name that
// says nothing else.
func mailFromOf(domain audit.DNSName) spfIdentity {
	return spfIdentity{
		SPFQuery{MailFrom: "postmaster@" + string(domain), Helo: string(domain), Unexplained: true},
		func(ip netip.Addr) string {
			return "mailaudit spf " + audit.ShellQuote(domain.String()) + " --ip " + ip.String()
		},
	}
}

// helloOf is the null sender of a client that gives such a name in EHLO (RFC
// 7208 section 2.4).
func helloOf(name audit.DNSName) spfIdentity {
	return spfIdentity{
		SPFQuery{Helo: string(name), Unexplained: true},
		func(ip netip.Addr) string {
			return "mailaudit spf " + audit.ShellQuote(name.String()) + " --mail-from '' --ip " + ip.String()
		},
	}
}

// spfChecks are the evaluations of one audit: each of some identities for each of
// some addresses.
type spfChecks struct {
	ips    []netip.Addr
	who    []spfIdentity
	ration *spfRation
	out    [][]audit.SPFSender // by identity, by address
}

func newSPFChecks(ips []netip.Addr, who []spfIdentity) *spfChecks {
	return &spfChecks{ips: ips, who: who, ration: newSPFRation(), out: make([][]audit.SPFSender, len(who))}
}

// start evaluates some at once. The results are there when wg is through.
func (c *spfChecks) start(ctx context.Context, wg *sync.WaitGroup, a Asker) {
	room := make(chan struct{}, spfChecksAtOnce)
	for i, who := range c.who {
		c.out[i] = make([]audit.SPFSender, len(c.ips))
		for j, ip := range c.ips {
			c.out[i][j].Addr = ip
			wg.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				q := who.query
				q.IP = ip
				c.out[i][j].Verdict = spfVerdictOf(checkHost(ctx, a, c.ration, q), who.command(ip))
			})
		}
	}
}

// settle sees to it that the verdicts do not hang on who was first: where the
// ration did not suffice for all, those are known that the answers of the survey
// are enough for, and no others.
func (c *spfChecks) settle(ctx context.Context, known spfKnown) {
	if !c.ration.short {
		return
	}
	for i, who := range c.who {
		for j, ip := range c.ips {
			q := who.query
			q.IP = ip
			c.out[i][j].Verdict = spfVerdictOf(checkHost(ctx, known, nil, q), who.command(ip))
		}
	}
}

// spfVerdictOf is what is kept of a check. Where receivers pass over a lookup
// that failed, the result is not known: with an answer it could be another one.
func spfVerdictOf(c audit.SPFCheck, via string) audit.Obs[audit.SPFVerdict] {
	switch {
	case c.Result == audit.SPFTempError:
		return audit.Dark[audit.SPFVerdict](c.Trouble, via)
	case c.Doubt.Code != "":
		return audit.Dark[audit.SPFVerdict](c.Doubt, via)
	}
	v := audit.SPFVerdict{Result: c.Result, Why: c.Why, Lookups: c.Lookups, Voids: c.VoidLookups}
	if n := len(c.Matched); n > 0 {
		v.In, v.Term = c.Matched[n-1].Domain, c.Matched[n-1].Term
	}
	return audit.See(v, via)
}
