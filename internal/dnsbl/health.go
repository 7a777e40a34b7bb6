package dnsbl

import (
	"context"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// Health tests a list, the first time that it is asked for, and describes it.
// The test takes one round trip; one that the list fails is made a second time
// after the pause, as a "no" must be.
func (c *Checker) Health(ctx context.Context, l List) audit.BlockList {
	return audit.BlockList{Zone: l.Zone, Name: l.Name, Tier: l.Tier, Page: l.Page, Health: c.health(ctx, l)}
}

// health is the outcome of the test, which concurrent callers share. One whose
// caller gave up is made again by the next.
func (c *Checker) health(ctx context.Context, l List) audit.Obs[audit.Nothing] {
	for {
		t, ours := c.join(l.Zone)
		if ours {
			c.run(ctx, l, t)
			return t.health
		}
		select {
		case <-t.done: // what is known is told even when ctx has ended
		default:
			select {
			case <-t.done:
			case <-ctx.Done():
				return audit.Dark[audit.Nothing](dial.GaveUp(ctx), "")
			}
		}
		if !t.void {
			return t.health
		}
	}
}

// join finds the test of a zone, or begins it: then it is for the caller to
// run.
func (c *Checker) join(zone audit.DNSName) (*test, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tests[zone]
	if t != nil {
		return t, false
	}
	t = &test{done: make(chan struct{})}
	c.tests[zone] = t
	return t, true
}

func (c *Checker) run(ctx context.Context, l List, t *test) {
	t.health = c.test(ctx, l)
	t.void = t.health.State == audit.Unknown && ctx.Err() != nil
	if t.void {
		c.mu.Lock()
		delete(c.tests, l.Zone)
		c.mu.Unlock()
	}
	close(t.done)
}

func (c *Checker) test(ctx context.Context, l List) audit.Obs[audit.Nothing] {
	err := l.check()
	if err != nil { // of a list that New has not seen
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.Bug, Text: err.Error()}, "")
	}
	first := l.tested(c.points(ctx, c.cfg.DNS, l))
	if first.State != audit.Absent {
		return first
	}
	if !pause(ctx, c.cfg.Confirm) {
		return audit.Dark[audit.Nothing](dial.GaveUp(ctx), first.Via)
	}
	second := l.tested(c.points(ctx, c.cfg.Again, l))
	switch {
	case second.State == audit.Unknown:
		return second
	case second.Why != first.Why:
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.Disagree, Text: l.Name + " gave two different answers about its test entries, some seconds apart"}, first.Via)
	}
	return first
}

// points asks for all test entries at once. The readings come in the order of
// TestListed and TestClean.
func (c *Checker) points(ctx context.Context, asker Asker, l List) []reading {
	subjects := slices.Concat(l.TestListed, l.TestClean)
	out := make([]reading, len(subjects))
	var wg sync.WaitGroup
	for i, subject := range subjects {
		wg.Go(func() {
			name, _ := Query(l, subject) // check has asked whether there is one
			out[i] = classify(l, asker.Ask(ctx, name, dns.TypeA))
		})
	}
	wg.Wait()
	return out
}

// tested sums up the readings of the test entries. While one of them is not
// known, nothing is: a list that answers with error codes has neither failed
// nor passed.
func (l List) tested(points []reading) audit.Obs[audit.Nothing] {
	for _, p := range points {
		if p.state == audit.Unknown {
			return audit.Dark[audit.Nothing](p.why, p.via)
		}
	}
	listed, clean := points[:len(l.TestListed)], points[len(l.TestListed):]
	for i, p := range clean {
		if p.state == audit.Seen {
			return audit.None[audit.Nothing](audit.ListUnhealthy,
				l.Name+" lists "+l.TestClean[i]+", which no list may list (RFC 5782 5): it may list the whole world", p.via)
		}
	}
	for i, p := range listed {
		if p.state != audit.Seen {
			return audit.None[audit.Nothing](audit.ListUnhealthy,
				l.Name+" does not list its test entry "+l.TestListed[i]+" (RFC 5782 5): it is empty, or hides its entries from the resolver that asked", p.via)
		}
	}
	return audit.See(audit.Nothing{}, points[0].via)
}
