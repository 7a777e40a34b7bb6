package collect

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"mailaudit/internal/audit"
	"mailaudit/internal/dnscheck"
)

// names asks whether the names lead anywhere that a server gives for itself:
// two at most, of each of the addresses that are probed.
func (c *Collector) names(ctx context.Context, e audit.Endpoint) {
	if !c.plan.Scope.Has(audit.AreaHELO) {
		return
	}
	var wg sync.WaitGroup
	for _, name := range e.GivenNames() {
		wg.Go(func() {
			n := c.serverName(ctx, name)
			c.keep(func() { c.result.Facts.Names = append(c.result.Facts.Names, n) })
		})
	}
	wg.Wait()
}

// serverName asks for the addresses of a name, both families at once.
func (c *Collector) serverName(ctx context.Context, name audit.DNSName) audit.ServerName {
	n := audit.ServerName{Name: name}
	var wg sync.WaitGroup
	ask := func(ip6 bool, into *audit.Obs[audit.Nothing]) {
		o, _ := dnscheck.Addresses(ctx, c.cfg.DNS, name, ip6)
		*into = audit.Obs[audit.Nothing]{State: o.State, Why: o.Why, Via: o.Via}
	}
	wg.Go(func() { ask(false, &n.A) })
	wg.Go(func() { ask(true, &n.AAAA) })
	wg.Wait()
	return n
}

// namesBesideHosts are the names that are no hosts whose addresses were asked
// for anyway.
func namesBesideHosts(f audit.Facts) []audit.ServerName {
	return slices.DeleteFunc(f.Names, func(n audit.ServerName) bool {
		return slices.ContainsFunc(f.Hosts, func(h audit.Host) bool {
			return h.Name == n.Name && asked(h.A) && asked(h.AAAA)
		})
	})
}

func asked(o audit.Obs[[]netip.Addr]) bool { return o.State != audit.NotTried }
