package collect

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"mailaudit/internal/audit"
	"mailaudit/internal/dnscheck"
	"mailaudit/internal/smtp"
)

// Limits of what SRV records may make us connect to, and of the addresses of
// one submission server: a sample of what large providers have.
const (
	MaxSubmission          = 4 // hosts of a domain, beside those of --submission
	maxSubmissionPerFamily = 2 // addresses probed
	maxSubmissionFollowed  = 8 // addresses named in the facts; no more than those of any MX host
)

// submission follows the servers that the domain's people hand in mail to:
// those that its SRV records name, each on the port that is named, and those
// that the user named, on both.
func (c *Collector) submission(ctx context.Context, wg *sync.WaitGroup) {
	for _, name := range c.plan.Scope.Submission {
		wg.Go(func() { c.submissionHost(ctx, name, audit.PortSubmission, audit.PortSubmissions) })
	}
	if !c.plan.SRV {
		return
	}
	wg.Go(func() {
		found := dnscheck.Submission(ctx, c.cfg.DNS, c.plan.Domain)
		c.tell(string(audit.SubmissionName(c.plan.Domain, audit.PortSubmission)), "SRV", found.STARTTLS.State)
		c.tell(string(audit.SubmissionName(c.plan.Domain, audit.PortSubmissions)), "SRV", found.TLS.State)
		c.keep(func() { c.result.Facts.Submission = found })
		var hosts sync.WaitGroup
		for i, s := range found.Servers(c.plan.Domain) {
			if i >= MaxSubmission && !slices.Contains(c.plan.Scope.Submission, s.Host) {
				const why = "a run looks at the 4 first of the submission servers that SRV records name"
				c.addHost(audit.Host{
					Name: s.Host, Role: audit.RoleSubmission, Alias: audit.Skipped[[]audit.DNSName](why),
					A: audit.Skipped[[]netip.Addr](why), AAAA: audit.Skipped[[]netip.Addr](why),
				})
				continue
			}
			hosts.Go(func() { c.submissionHost(ctx, s.Host, s.Ports...) })
		}
		hosts.Wait()
	})
}

// submissionHost follows one submission server: its addresses, and what answers
// there on the ports.
func (c *Collector) submissionHost(ctx context.Context, name audit.DNSName, ports ...uint16) {
	h := audit.Host{Name: name, Role: audit.RoleSubmission}
	var alias [2]audit.Obs[[]audit.DNSName]
	var wg sync.WaitGroup
	family := func(ip6 bool, into *audit.Obs[[]netip.Addr], leftOut *int, i int, what string) {
		*into, alias[i] = dnscheck.Addresses(ctx, c.cfg.DNS, name, ip6)
		*leftOut = dnscheck.Bound(into, maxSubmissionFollowed, netip.Addr{})
		c.tell(name.String(), what, into.State)
		addrs := slices.Compact(slices.SortedFunc(slices.Values(into.Value), netip.Addr.Compare))
		for j, a := range addrs {
			for _, port := range ports {
				t := c.submissionTarget(name, a, port)
				if c.plan.Scope.Connects() && c.offer(t) {
					wg.Go(func() { c.endpoint(ctx, t, j < maxSubmissionPerFamily) })
				}
			}
		}
	}
	wg.Go(func() { family(false, &h.A, &h.ALeftOut, 0, "A") })
	wg.Go(func() { family(true, &h.AAAA, &h.AAAALeftOut, 1, "AAAA") })
	wg.Wait()
	h.Alias = dnscheck.Alias(alias[0], alias[1])
	c.addHost(h)
}

// submissionTarget is one port of one address of a submission server.
func (c *Collector) submissionTarget(host audit.DNSName, a netip.Addr, port uint16) smtp.Target {
	mode, _ := audit.SubmissionMode(port)
	// What SRV records name, nobody has said of whom it is.
	try := c.plan.Scope.TryMail && mode == audit.ModeSTARTTLS && slices.Contains(c.plan.Scope.Submission, host)
	return smtp.Target{Host: host, Addr: a, Port: port, Mode: mode, TryMail: try}
}

// offer claims an endpoint for one goroutine: the user may name a server that
// SRV records name as well.
func (c *Collector) offer(t smtp.Target) bool {
	subject := audit.EndpointSubject(t.Host, t.Addr, t.Port)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.offered[subject] {
		return false
	}
	c.offered[subject] = true
	return true
}
