package collect

import (
	"context"
	"sync"

	"mailaudit/internal/audit"
	"mailaudit/internal/dnscheck"
)

// senders starts all that is asked about those who send as the domain. None
// of it depends on anything else, so it runs beside the rest.
func (c *Collector) senders(ctx context.Context, wg *sync.WaitGroup) {
	d, scope, f := c.plan.Domain, c.plan.Scope, &c.result.Facts
	if scope.Has(audit.AreaSPF) {
		wg.Go(func() {
			spf := dnscheck.SPF(ctx, c.cfg.DNS, dnscheck.SPFSubject{
				Domain: d, Senders: scope.SendingIPs, Hellos: scope.SendingHELOs, Former: c.plan.FormerSPF,
			})
			c.tell(d.String(), "SPF", spf.Records.State)
			c.keep(func() { f.SPF = spf })
		})
	}
	if scope.Has(audit.AreaDMARC) {
		wg.Go(func() {
			dmarc := dnscheck.DMARC(ctx, c.cfg.DNS, d)
			c.tell(d.String(), "DMARC", dmarc.Walk[0].Records.State)
			c.keep(func() { f.DMARC = dmarc })
		})
	}
	if scope.Has(audit.AreaDKIM) {
		for _, selector := range scope.Selectors {
			wg.Go(func() {
				k := dnscheck.DKIM(ctx, c.cfg.DNS, d, selector)
				c.tell(k.Name.String(), "DKIM", k.Records.State)
				c.keep(func() { f.DKIM = append(f.DKIM, k) })
			})
		}
	}
	if !c.wantsLists() {
		return
	}
	for _, l := range c.cfg.BlockLists {
		wg.Go(func() {
			list := c.cfg.Lists.Health(ctx, l)
			c.tell(list.Zone.String(), "list", list.Health.State)
			c.keep(func() { f.Lists = append(f.Lists, list) })
		})
	}
	wg.Go(func() { c.addListings(c.cfg.Lists.Domain(ctx, d)) })
}

func (c *Collector) wantsLists() bool {
	return c.cfg.Lists != nil && c.plan.Scope.Has(audit.AreaDNSBL)
}

func (c *Collector) addListings(listings []audit.Listing) {
	for _, l := range listings {
		c.tell(l.Subject+" @ "+l.Zone.String(), "listed", l.Codes.State)
	}
	c.keep(func() { c.result.Facts.Listings = append(c.result.Facts.Listings, listings...) })
}

// keep changes the result; many goroutines do.
func (c *Collector) keep(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}
