package collect

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
	"mailaudit/internal/dnscheck"
	"mailaudit/internal/smtp"
)

// This file answers "is it me?". A server that does not answer may be down, or
// our network may not let us out: most homes and clouds shut port 25. Three
// things tell the two apart, the cheapest first, and each only where the one
// before did not settle it:
//
//  1. another server of this run answers on the same port over the same family;
//  2. control hosts do, which have nothing to do with the domain;
//  3. the server answers on another port, so that it and the network are there.
//
// Control hosts are asked as well where all servers of a run lack STARTTLS, or
// talk as if something rewrote them: then that something may stand on our side.

// way is where connections go: one family, one port.
type way struct {
	family audit.Family
	port   uint16
}

func wayTo(addr netip.Addr, port uint16) way { return way{audit.FamilyOf(addr), port} }

// await notes that a first look on a way is to come. The returned function is
// called when it is over, and again when the second one is, and told what was
// seen.
//
// When all first looks on a way are over, one of them came to nothing, and no
// server answered, it begins to ask the controls, so that they answer beside the
// second looks. Not earlier: servers of one operator wait for each other, and
// with one that answers there is nothing to ask.
func (c *Collector) await(ctx context.Context, w way) func(e audit.Endpoint) {
	over, began := false, time.Now()
	c.keep(func() { c.waiting[w]++ })
	return func(e audit.Endpoint) {
		ask := false
		c.keep(func() {
			c.reached[w] = c.reached[w] || c.answers(e)
			if over {
				return
			}
			over = true
			c.waiting[w]--
			c.doubted[w] = c.doubted[w] || failed(e)
			ask = c.waiting[w] == 0 && c.doubted[w] && !c.reached[w]
		})
		if ask {
			c.background.Go(func() { c.askControls(ctx, w, began) })
		}
	}
}

// failed reports whether a connection came to nothing in a way that both sides
// may have caused. What our own system said is no riddle.
func failed(e audit.Endpoint) bool {
	if e.Connect.State == audit.Absent {
		return true
	}
	puzzling := []audit.Code{audit.Timeout, audit.NoAnswer, audit.Unreachable, audit.Reset, audit.Once, audit.Disagree}
	return e.Connect.State == audit.Unknown && slices.Contains(puzzling, e.Connect.Why.Code)
}

// answers reports whether an endpoint shows that connections to it get out.
func (c *Collector) answers(e audit.Endpoint) bool { return e.Answers(c.cfg.Proxied) }

// askControls connects to the control hosts of a way, once in a batch: what they
// showed serves for a quarter of an hour. That they greeted proves nothing,
// though, of a look that failed later, which began at since, unless some server
// answered meanwhile. false: there is none, or the time was over first.
func (c *Collector) askControls(ctx context.Context, w way, since time.Time) ([]glance, bool) {
	var known []Control
	for _, control := range c.cfg.Controls {
		if control.Port == w.port || control.Port == 0 {
			known = append(known, control)
		}
	}
	if len(known) == 0 {
		return nil, false
	}
	name := "control " + netip.AddrPortFrom(anyOf(w.family), w.port).String()
	good := func(one *errand) bool {
		return one.recently() && (!one.greeted() || !one.began.Before(since) || c.cfg.Shared.open(w, since))
	}
	return c.errand(ctx, name, good, func(ctx context.Context) []glance {
		return c.cfg.Shared.glances(ctx, c.prober, c.controlTargets(ctx, known, w))
	})
}

// anyOf is the unspecified address of a family: a name for all of it.
func anyOf(f audit.Family) netip.Addr {
	if f == audit.IPv4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// errand runs one, and notes what it cost if it was ours.
func (c *Collector) errand(ctx context.Context, name string, good func(*errand) bool, look func(context.Context) []glance) ([]glance, bool) {
	out, ours, ok := c.cfg.Shared.errands.run(ctx, name, good, look)
	if !ours || !ok {
		return out, ok
	}
	for _, g := range out {
		c.tell(g.endpoint.Subject(), "control", g.endpoint.Connect.State)
		c.keep(func() {
			c.result.HELO = c.helo
			if g.session.Attempted {
				c.result.Connections++
				c.met[g.endpoint.Addr] = true
			}
			if g.session.Endpoint != "" {
				c.result.Sessions = append(c.result.Sessions, g.session)
			}
		})
	}
	return out, true
}

// controlTargets looks the control hosts up and takes the first that have an
// address in the family.
func (c *Collector) controlTargets(ctx context.Context, known []Control, w way) []smtp.Target {
	found := make([][]netip.Addr, len(known))
	var wg sync.WaitGroup
	for i, control := range known {
		if control.Addr.IsValid() {
			found[i] = []netip.Addr{control.Addr}
			continue
		}
		wg.Go(func() {
			o, _ := dnscheck.Addresses(ctx, c.cfg.DNS, control.Host, w.family == audit.IPv6)
			found[i] = slices.SortedFunc(slices.Values(o.Value), netip.Addr.Compare)
		})
	}
	wg.Wait()
	var out []smtp.Target
	for i, addrs := range found {
		if len(addrs) > 0 && audit.FamilyOf(addrs[0]) == w.family && len(out) < MaxControls {
			out = append(out, smtp.Target{Host: known[i].Host, Addr: addrs[0], Port: w.port, Mode: modeOf(w.port)})
		}
	}
	return out
}

// egress finds out what the endpoints of the run leave open about our own
// side. It comes after all of them, so that what it asks, and what it says, does
// not depend on which of them was first.
func (c *Collector) egress(ctx context.Context) {
	c.background.Wait()
	ways := map[way][]audit.Endpoint{}
	for _, e := range c.result.Facts.SMTP {
		if e.Connect.State != audit.NotTried {
			ways[wayTo(e.Addr, e.Port)] = append(ways[wayTo(e.Addr, e.Port)], e)
		}
	}
	began := c.firstLooks()
	var wg sync.WaitGroup
	for w, endpoints := range ways {
		slices.SortFunc(endpoints, func(a, b audit.Endpoint) int {
			return cmp.Or(cmp.Compare(a.Host, b.Host), a.Addr.Compare(b.Addr))
		})
		wg.Go(func() {
			g := c.wayOut(ctx, w, endpoints, began)
			if g.Route.State == audit.NotTried && g.Out.State == audit.NotTried && g.Out.Why.Code == "" && g.Alike.State == audit.NotTried {
				return // nothing was in doubt
			}
			c.keep(func() { c.result.Facts.Egress = append(c.result.Facts.Egress, g) })
		})
	}
	wg.Wait()
}

// firstLooks is when the first look at each endpoint began, by subject.
func (c *Collector) firstLooks() map[string]time.Time {
	out := map[string]time.Time{}
	for _, s := range c.result.Sessions {
		if s.N == 1 && s.Purpose == "" {
			out[s.Endpoint] = s.Started
		}
	}
	return out
}

// wayOut is what can be known of one way. endpoints are those that were
// connected to on it, sorted; began is when each was, by subject.
func (c *Collector) wayOut(ctx context.Context, w way, endpoints []audit.Endpoint, began map[string]time.Time) audit.Egress {
	g := audit.Egress{Family: w.family, Port: w.port}
	var since time.Time // when the last look began that failed
	for _, e := range endpoints {
		if failed(e) && began[e.Subject()].After(since) {
			since = began[e.Subject()]
		}
	}
	answered := slices.ContainsFunc(endpoints, c.answers)
	up := answered && (c.cfg.Shared.open(w, since) || slices.ContainsFunc(endpoints, func(e audit.Endpoint) bool {
		return c.answers(e) && !began[e.Subject()].Before(c.began)
	}))
	first := slices.IndexFunc(endpoints, failed)
	barred := slices.IndexFunc(endpoints, func(e audit.Endpoint) bool {
		return e.Connect.State == audit.Unknown && e.Connect.Why.Code == audit.NoRoute
	})
	if !up && barred >= 0 && !c.cfg.Proxied {
		g.Route = c.route(ctx, w.family, endpoints[barred])
	}
	suspect := suspicious(endpoints)
	stale := answered && !up && first >= 0
	if stale {
		g.Out = audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: "another server was seen to answer before, and none since: something may have happened to our own network"}, "")
	}
	if len(c.cfg.Controls) == 0 || !suspect && (up || first < 0) {
		return g
	}
	seen, asked := c.askControls(ctx, w, since)
	seen = slices.DeleteFunc(slices.Clone(seen), func(control glance) bool { return related(control, endpoints) })
	for _, control := range seen {
		if control.session.Attempted {
			g.Controls = append(g.Controls, control.endpoint.Host)
		}
	}
	switch {
	case stale && (ctx.Err() != nil || !asked):
	case ctx.Err() != nil:
		g.Out = audit.Dark[audit.Nothing](dial.GaveUp(ctx), "")
	case !asked:
		g.Out = audit.Skipped[audit.Nothing]("no control host is known for this port")
	default:
		g.Out = gotOut(seen, endpoints, up, controlVia(g))
	}
	if suspect {
		strangers := apart(seen, endpoints)
		g.Alike, g.Masked, g.StartTLS = alike(strangers, endpoints, controlVia(g)), masked(strangers, controlVia(g)), offersStartTLS(strangers, controlVia(g))
	}
	if !up && first >= 0 && g.Out.State != audit.Seen && ctx.Err() == nil {
		g.Beside = c.beside(ctx, endpoints[first])
	}
	return g
}

// related reports whether a control is what is audited: then it proves nothing
// about it.
func related(control glance, endpoints []audit.Endpoint) bool {
	return slices.ContainsFunc(endpoints, func(e audit.Endpoint) bool {
		return e.Host == control.endpoint.Host || e.Addr == control.endpoint.Addr
	})
}

// route is whether packets of a family have a way to the internet, where a
// connection has found that there is none to its target.
func (c *Collector) route(ctx context.Context, family audit.Family, barred audit.Endpoint) audit.Obs[audit.Nothing] {
	if c.cfg.Local(ctx, family == audit.IPv6).IsValid() {
		return audit.See(audit.Nothing{}, "")
	}
	return audit.None[audit.Nothing](audit.NoRoute, "this machine has no address of this family that leads to the internet", barred.Connect.Via)
}

// beside tries the other ports of a server on which mail is taken: 465 first
// (RFC 8314 section 3.3), and 587 when nothing answers there.
func (c *Collector) beside(ctx context.Context, e audit.Endpoint) audit.Obs[audit.Place] {
	refused, tried := 0, 0
	out := audit.Skipped[audit.Place]("there is no other port to try")
	for _, port := range []uint16{audit.PortSubmissions, audit.PortSubmission} {
		if port == e.Port {
			continue
		}
		other, ok := c.doorBeside(ctx, e, port)
		if !ok {
			return audit.Dark[audit.Place](dial.GaveUp(ctx), "")
		}
		tried++
		connect := other.Connect
		switch {
		case c.answers(other):
			return audit.See(audit.Place{Host: e.Host, Addr: e.Addr, Port: port}, connect.Via)
		case connect.State == audit.Absent, connect.Why.Code == audit.Once:
			refused++
		case connect.State == audit.Seen: // by a proxy, which says so before it knows
			out = audit.Dark[audit.Place](other.Greeting.Why, connect.Via)
		default:
			out = audit.Dark[audit.Place](connect.Why, connect.Via)
		}
	}
	switch {
	case refused == tried && tried >= agreeing:
		return audit.None[audit.Place](audit.ConnRefused, "the host refuses connections to its other ports for mail, so it is there", "")
	case refused == tried && tried > 0:
		return audit.Dark[audit.Place](audit.Reason{Code: audit.Once, Text: "the other port refused one connection"}, "")
	}
	return out
}

// doorBeside is another port of a server: as the run has seen it, or by one
// connection, once in a batch. false: the time was over first.
func (c *Collector) doorBeside(ctx context.Context, e audit.Endpoint, port uint16) (audit.Endpoint, bool) {
	for _, have := range c.result.Facts.SMTP {
		if have.Addr == e.Addr && have.Port == port && have.Connect.State != audit.NotTried {
			return have, true
		}
	}
	t := smtp.Target{Host: e.Host, Addr: e.Addr, Port: port, Mode: modeOf(port)}
	seen, ok := c.errand(ctx, "beside "+netip.AddrPortFrom(e.Addr, port).String(), (*errand).recently, func(ctx context.Context) []glance {
		return c.cfg.Shared.glances(ctx, c.prober, []smtp.Target{t})
	})
	if !ok {
		return audit.Endpoint{}, false
	}
	return seen[0].endpoint, true
}
