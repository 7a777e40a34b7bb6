package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/auditor"
	"mailaudit/internal/collect"
	"mailaudit/internal/dial"
	"mailaudit/internal/dnsbl"
	"mailaudit/internal/resolve"
	"mailaudit/internal/smtp"
)

// trust is the roots that tests add; nil: the system's.
type trust = *x509.CertPool

// pace is how long an audit waits out of politeness, and for those who do not
// answer. Zero fields are the defaults of the packages that wait.
type pace struct {
	spacing      time.Duration // between two connections to one address
	connect      time.Duration // for a connection
	tries        int           // of one DNS question; there is a pause before each
	confirmSMTP  time.Duration // before the second look at a server
	confirmLists time.Duration // before the second look at a listing
}

// hurry is the pace of a network in memory: nobody there needs to be spared,
// and what does not answer at once never will.
func hurry() pace {
	const blink = 10 * time.Millisecond
	return pace{spacing: -1, connect: 20 * blink, tries: 2, confirmSMTP: blink, confirmLists: blink}
}

// transport is how an audit reaches the world.
type transport struct {
	resolvers        []resolve.Server
	source4, source6 netip.Addr
	proxy            netip.AddrPort // invalid: none
}

func readTransport(c *cli.Context) (transport, error) {
	var t transport
	for _, word := range c.StringSlice("resolver") {
		s, err := resolve.ParseServer(word)
		var input *audit.InputError
		if errors.As(err, &input) {
			return t, &flagError{[]string{"resolver"}, input}
		}
		if err != nil {
			return t, err
		}
		t.resolvers = append(t.resolvers, s)
	}
	if len(t.resolvers) == 0 {
		var err error
		t.resolvers, err = resolve.SystemServers()
		if err != nil {
			return t, err
		}
	}
	var err error
	t.proxy, err = readProxy(c.String("proxy"))
	if err != nil {
		return t, err
	}
	sources, err := addresses("source", c.StringSlice("source"))
	if err != nil {
		return t, err
	}
	for _, a := range sources {
		field := &t.source4
		if a.Is6() {
			field = &t.source6
		}
		if field.IsValid() {
			return t, &flagError{[]string{"source"}, &audit.InputError{
				Problem: fmt.Sprintf("--source names two addresses of one family: %s and %s", *field, a),
				Hint:    "name one for IPv4 and one for IPv6",
			}}
		}
		*field = a
	}
	if t.proxy.IsValid() && len(sources) > 0 {
		return t, &flagError{[]string{"source", "proxy"}, &audit.InputError{
			Problem: "--source and --proxy do not go together: servers see the address of the proxy",
			Hint:    "leave one of the two out",
		}}
	}
	return t, nil
}

// manyQueries is how many DNS questions are under way at once when many
// domains are audited at once: four audits' worth.
const manyQueries = 4 * resolve.DefaultInFlight

// manyConnections is how many connections one address gets in one batch. All
// domains of a provider share one look at each of its servers; this is for
// servers that have a certificate of its own for each name, whose owners' name
// leads to all of them.
const manyConnections = 10 * dial.DefaultPerAddr

// open wires what the audits of one batch work with.
func (p *program) open(o auditOptions, watch *progress) auditor.Session {
	reach, questions := dial.Config{
		Network: p.network, Guard: o.scope.Special,
		Source4: o.transport.source4, Source6: o.transport.source6, Proxy: o.transport.proxy,
		Spacing: p.pace.spacing, Connect: p.pace.connect,
	}, resolve.Config{Servers: o.transport.resolvers, Roots: p.trust, Tries: p.pace.tries}
	if watch.of > 1 {
		reach.PerAddr, questions.InFlight = manyConnections, manyQueries
	}
	dialer := dial.New(reach)
	questions.Dialer = dialer
	s := &session{
		p: p, dialer: dialer, shared: collect.NewShared(), controls: o.controls, events: watch.events,
		client: resolve.New(questions), again: resolve.New(questions),
		probers: map[string]*smtp.Prober{},
	}
	return auditor.Session{
		Work: s.work, Drain: s.drain,
		Close: func() { s.client.Close(); s.again.Close() },
	}
}

// session is what the audits of one batch share.
type session struct {
	p             *program
	dialer        *dial.Dialer
	client, again *resolve.Client // again is for second looks: it remembers nothing of the first
	shared        *collect.Shared
	controls      []collect.Control
	events        func(audit.Domain) func(collect.Event)

	mu      sync.Mutex              // guards what follows, never held while waiting
	probers map[string]*smtp.Prober // by the name for EHLO
}

func (s *session) work(req auditor.Request) auditor.Work {
	client, again := s.client.View(), s.again.View()
	lists := dnsbl.Lists()
	checker, err := dnsbl.New(dnsbl.Config{DNS: client, Again: again, Lists: lists, Confirm: s.p.pace.confirmLists})
	if err != nil {
		panic(err) // the table of lists is ours, and a test reads it
	}
	return auditor.Work{
		Config: collect.Config{
			DNS: client, Lists: checker, BlockLists: lists,
			Prober: s.prober, Shared: s.shared, Controls: s.controls, Proxied: req.Proxy.IsValid(), Local: s.local, HostName: s.p.hostName,
			FloorAfter: s.p.pace.spacing, Events: s.events(req.Plan.Domain),
		},
		Queries: func() []audit.Query { return append(client.Queries(), again.Queries()...) },
		Sent:    func() int { return client.Sent() + again.Sent() },
	}
}

// local is the address that packets to the internet leave with.
func (s *session) local(ctx context.Context, ip6 bool) netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return s.dialer.Local(ctx, ip6)
}

// prober is one for all audits that have found the same name for us.
func (s *session) prober(helo string) collect.Prober {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probers[helo] == nil {
		s.probers[helo] = smtp.New(smtp.Config{Dialer: s.dialer, HELO: helo, Roots: s.p.trust, Limits: smtp.Limits{ConfirmAfter: s.p.pace.confirmSMTP}})
	}
	return s.probers[helo]
}

func (s *session) drain(ctx context.Context) {
	s.shared.Drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.probers {
		p.Drain(ctx)
	}
}
