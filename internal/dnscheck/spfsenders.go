package dnscheck

import (
	"context"
	"net/netip"
	"sync"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// spfRation is an Asker for the evaluations of one audit. It has each question
// asked once, whoever evaluates, and no more than spfCheckQuestions of them, so
// that a policy that leads every sender elsewhere leaves the rest of the audit
// its questions.
type spfRation struct {
	a Asker

	mu    sync.Mutex // guards what follows, never held while waiting
	asked map[spfQuestion]bool
}

// Ask is Asker's.
func (r *spfRation) Ask(ctx context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	if !r.allows(spfQuestion{name, qtype}) {
		return &resolve.Answer{Name: name, Type: qtype, State: audit.Unknown, Why: audit.Reason{
			Code: audit.Budget, Text: "not asked, because the SPF evaluations of this run have used up their DNS questions"}}
	}
	return r.a.Ask(ctx, name, qtype)
}

func (r *spfRation) allows(q spfQuestion) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.asked[q] && len(r.asked) == spfCheckQuestions {
		return false
	}
	r.asked[q] = true
	return true
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

// startSPFChecks evaluates a policy for some addresses, all at once. The result
// is complete when wg is.
func startSPFChecks(ctx context.Context, wg *sync.WaitGroup, a Asker, ips []netip.Addr, who spfIdentity) []audit.SPFSender {
	out := make([]audit.SPFSender, len(ips))
	for i, ip := range ips {
		out[i].Addr = ip
		wg.Go(func() {
			q := who.query
			q.IP = ip
			out[i].Verdict = spfVerdictOf(CheckHost(ctx, a, q), who.command(ip))
		})
	}
	return out
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
