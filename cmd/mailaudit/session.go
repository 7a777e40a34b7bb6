package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
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

// transport is how an audit reaches the world.
type transport struct {
	resolvers        []resolve.Server
	source4, source6 netip.Addr
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
	return t, nil
}

// open wires what one audit works with.
func (p *program) open(o auditOptions) auditor.Session {
	dialer := dial.New(dial.Config{
		Network: p.network, Guard: o.scope.Special,
		Source4: o.transport.source4, Source6: o.transport.source6,
	})
	config := resolve.Config{Servers: o.transport.resolvers, Dialer: dialer, Roots: p.trust}
	client, again := resolve.New(config), resolve.New(config)
	lists := dnsbl.Lists()
	checker, err := dnsbl.New(dnsbl.Config{DNS: client, Again: again, Lists: lists})
	if err != nil {
		panic(err) // the table of lists is ours, and a test reads it
	}
	return auditor.Session{
		Config: collect.Config{
			DNS: client, Lists: checker, BlockLists: lists,
			Prober: func(helo string) collect.Prober {
				return smtp.New(smtp.Config{Dialer: dialer, HELO: helo, Roots: p.trust})
			},
			Local: func(ctx context.Context, ip6 bool) netip.Addr {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				return dialer.Local(ctx, ip6)
			},
			HostName: p.hostName,
			Events:   p.events(o),
		},
		Queries: func() []audit.Query { return append(client.Queries(), again.Queries()...) },
		Count:   dialer.Count,
		Close:   func() { client.Close(); again.Close() },
	}
}
