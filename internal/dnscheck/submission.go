package dnscheck

import (
	"context"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// Submission observes the SRV records by which mail programs find the servers
// that they hand mail in to (RFC 6186 section 3.1, RFC 8314 section 5.1), with
// two questions at once. At most audit.MaxSRV records of each are kept, those
// that clients try first.
func Submission(ctx context.Context, a Asker, d audit.Domain) audit.Submission {
	var s audit.Submission
	var wg sync.WaitGroup
	wg.Go(func() { s.STARTTLS = servers(a.Ask(ctx, audit.SubmissionName(d, audit.PortSubmission), dns.TypeSRV)) })
	wg.Go(func() { s.TLS = servers(a.Ask(ctx, audit.SubmissionName(d, audit.PortSubmissions), dns.TypeSRV)) })
	wg.Wait()
	return s
}

func servers(answer *resolve.Answer) audit.Obs[[]audit.SRVRecord] {
	return resolve.Observe(answer, func(rrs []dns.RR) []audit.SRVRecord {
		var out []audit.SRVRecord
		for _, rr := range rrs {
			srv, ok := rr.(*dns.SRV)
			if ok {
				out = append(out, audit.SRVRecord{Priority: srv.Priority, Weight: srv.Weight, Port: srv.Port, Target: audit.NewDNSName(srv.Target)})
			}
		}
		out = slices.Compact(slices.SortedFunc(slices.Values(out), audit.CompareSRV))
		return out[:min(len(out), audit.MaxSRV)]
	})
}
