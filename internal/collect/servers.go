package collect

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"mailaudit/internal/audit"
	"mailaudit/internal/smtp"
)

func (c *Collector) endpoint(ctx context.Context, t smtp.Target, probe bool) {
	switch {
	case !c.plan.Scope.Reaches(t.Addr):
		c.addEndpoint(notProbed(t, "servers were connected to over one family alone (-4 or -6)"), nil)
		return
	case !probe:
		c.addEndpoint(notProbed(t, "a run probes a sample of the addresses of large mail hosts"), nil)
		return
	}
	<-c.ready
	subject := audit.EndpointSubject(t.Host, t.Addr, t.Port)
	ahead, enough := context.WithCancel(ctx)
	defer enough()
	if c.plan.Scope.Has(audit.AreaHELO) {
		// The resolver remembers the answer: it is there when the dialogue ends.
		t.Heard = func(name audit.DNSName) { go c.serverName(ahead, name) }
	}
	c.emit(Event{Subject: subject, What: "SMTP", Begin: true})
	seen := c.await(ctx, wayTo(t.Addr, t.Port))
	t.Doubt = seen
	e, sessions, ours := c.cfg.Shared.probe(ctx, c.prober, t)
	seen(e)
	if c.answers(e) && len(sessions) > 0 {
		c.cfg.Shared.answer(wayTo(t.Addr, t.Port), sessions[0].Started)
	}
	c.tell(subject, "SMTP", e.Connect.State)
	c.keep(func() {
		c.result.HELO = c.helo
		c.count(t, sessions, ours)
	})
	if e.TLS.State == audit.Seen && c.plan.Scope.Has(audit.AreaTLS) {
		f, more := c.floor(ctx, t, e, len(sessions)+1)
		e, sessions = f.Onto(e), slices.Concat(sessions, more)
	}
	c.addEndpoint(e, sessions)
	c.names(ctx, e)
}

// floor tries the old versions of TLS where there is TLS, unless the server has
// turned us away: then it is left alone. The pause that two connections to one
// address have between them passes before it, so the host's other addresses
// come first.
func (c *Collector) floor(ctx context.Context, t smtp.Target, e audit.Endpoint, n int) (smtp.Floor, []audit.Session) {
	if e.Refusal.State == audit.Seen && e.HelloTLS.State == audit.Unknown {
		why := audit.Reason{Code: audit.TempFail, Text: "not tried: the server turned us away for the time being (4xx), and is not connected to again"}
		if e.Refusal.Value.Code/100 == 5 {
			why = audit.Reason{Code: audit.RefusedUs, Text: "not tried: the server turned us away (5xx), and is not connected to again"}
		}
		return smtp.NoFloor(t, why), nil
	}
	subject := audit.EndpointSubject(t.Host, t.Addr, t.Port)
	c.emit(Event{Subject: subject, What: "oldTLS", Begin: true})
	f, sessions, ours := c.cfg.Shared.floor(ctx, c.prober, t, n, c.cfg.FloorAfter)
	c.tell(subject, "oldTLS", f.Old.State)
	c.keep(func() { c.count(t, sessions, ours) })
	return f, sessions
}

// count notes what a look has cost the server, and whom it was for.
func (c *Collector) count(t smtp.Target, sessions []audit.Session, ours bool) {
	server := netip.AddrPortFrom(t.Addr, t.Port)
	if !ours {
		if len(sessions) > 0 && !c.met[t.Addr] {
			c.theirs[server] = true
		}
		return
	}
	for _, s := range sessions {
		if s.Attempted {
			c.result.Connections++
			c.met[t.Addr] = true
			delete(c.theirs, server)
		}
	}
}

// notProbed is an address beyond the limits, or outside of what was asked for:
// named, and nothing claimed.
func notProbed(t smtp.Target, why string) audit.Endpoint {
	return audit.Endpoint{
		Host: t.Host, Addr: t.Addr, Port: t.Port, Mode: t.Mode,
		Connect:  audit.Skipped[audit.Nothing](why),
		Greeting: audit.Skipped[audit.Greeting](why),
		Hello:    audit.Skipped[audit.Hello](why),
		Helo:     audit.Skipped[audit.Hello](why),
		StartTLS: audit.Skipped[audit.Nothing](why),
		TLS:      audit.Skipped[audit.TLS](why),
		HelloTLS: audit.Skipped[audit.Hello](why),
		Replies:  audit.Skipped[audit.Replies](why),

		StartTLSSteady: audit.Skipped[audit.Nothing](why),
		LargeHello:     audit.Skipped[audit.Nothing](why),
		OldTLS:         audit.Skipped[audit.OldTLS](why),
	}
}

// noSubmission says that submission servers are no question of this run.
func (c *Collector) noSubmission() {
	const why = "servers were named, and not a domain"
	c.result.Facts.Submission = audit.Submission{STARTTLS: audit.NA[[]audit.SRVRecord](why), TLS: audit.NA[[]audit.SRVRecord](why)}
}

// target is where an address of a host is connected to.
func (c *Collector) target(host audit.DNSName, a netip.Addr) smtp.Target {
	if n := c.plan.Named; n != nil {
		return smtp.Target{Host: host, Addr: a, Port: n.Port, Mode: n.Mode, TryMail: c.plan.Scope.TryMail}
	}
	return smtp.Target{Host: host, Addr: a, Port: PortSMTP}
}

// named follows the one server that the user named.
func (c *Collector) named(ctx context.Context, wg *sync.WaitGroup) {
	const why = "one server was named, not a domain"
	c.noSubmission()
	c.result.Facts.MX = audit.MX{
		Exists: audit.NA[audit.Nothing](why), Alias: audit.NA[[]audit.DNSName](why), Records: audit.NA[[]audit.MXRecord](why),
	}
	n := c.plan.Named
	if !n.Addr.IsValid() {
		wg.Go(func() { c.host(ctx, n.Host, audit.RoleNamed, limitsFor(1)) })
		return
	}
	const literal = "an address was named, not a host"
	h := audit.Host{
		Name: n.Host, Role: audit.RoleNamed, Alias: audit.NA[[]audit.DNSName](literal),
		A: audit.NA[[]netip.Addr](literal), AAAA: audit.NA[[]netip.Addr](literal),
	}
	if n.Addr.Is4() {
		h.A = audit.See([]netip.Addr{n.Addr}, "")
	} else {
		h.AAAA = audit.See([]netip.Addr{n.Addr}, "")
	}
	c.addHost(h)
	wg.Go(func() { c.address(ctx, n.Host, n.Addr, true) })
}
