package dnsbl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
	"mailaudit/internal/resolve"
)

// DefaultConfirm is the pause before the second question about a listing or a
// failed test. Two seconds outlast a lost packet and a zone being reloaded; a
// resolver may still answer from its cache, which no pause that people would
// wait for outlasts.
const DefaultConfirm = 2 * time.Second

// ErrNoAsker is a Config that lacks one of its two askers.
var ErrNoAsker = errors.New("dnsbl: DNS and Again are both needed")

// Asker answers DNS questions; *resolve.Client does.
type Asker interface {
	Ask(ctx context.Context, name audit.DNSName, qtype uint16) *resolve.Answer
}

// Config says whom to ask about which lists.
type Config struct {
	DNS Asker // for first questions
	// Again is for the questions that confirm. It must not remember the answers
	// of DNS, as the same *resolve.Client would.
	Again   Asker
	Lists   []List        // nil: Lists()
	Confirm time.Duration // the pause before Again is asked; 0: DefaultConfirm
}

// Checker asks block lists, and tests each of them once. It lives as long as a
// run and is safe for concurrent use.
type Checker struct {
	cfg   Config
	mu    sync.Mutex // guards tests, never held while waiting
	tests map[audit.DNSName]*test
}

// test is the test of one list, under way until done is closed.
type test struct {
	done   chan struct{}
	health audit.Obs[audit.Nothing] // set before done is closed, like void
	void   bool                     // it was not finished, because its caller gave up
}

// New makes a Checker. The error is ErrNoAsker, or about a list whose
// description cannot be used.
func New(cfg Config) (*Checker, error) {
	if cfg.DNS == nil || cfg.Again == nil {
		return nil, ErrNoAsker
	}
	cfg.Confirm = cmp.Or(cfg.Confirm, DefaultConfirm)
	if cfg.Lists == nil {
		cfg.Lists = Lists()
	}
	known := map[audit.DNSName]bool{}
	for _, l := range cfg.Lists {
		err := l.check()
		if err != nil {
			return nil, err
		}
		if known[l.Zone] { // tests are remembered by zone
			return nil, fmt.Errorf("block list %s is there twice", l.Zone)
		}
		known[l.Zone] = true
	}
	return &Checker{cfg: cfg, tests: map[audit.DNSName]*test{}}, nil
}

// Address observes what all lists of its family say about an address, sorted
// by zone. An address that is not on the public internet is asked about
// nowhere. It takes one round trip when the address is not listed.
func (c *Checker) Address(ctx context.Context, addr netip.Addr, role audit.Role) []audit.Listing {
	addr = addr.Unmap().WithZone("")
	public := addr.IsGlobalUnicast() && !addr.IsPrivate()
	return c.each(role, addr.String(), func(l List) bool { return addr.Is4() && l.IP4 || addr.Is6() && l.IP6 },
		func(l List) audit.Obs[[]audit.ListCode] {
			if !public { // 127.0.0.2 would be found on every list: it is their test entry
				return audit.NA[[]audit.ListCode]("lists say nothing about an address that is not on the public internet")
			}
			return c.look(ctx, l, addr.String())
		})
}

// Domain observes what all lists of domains say about a domain, sorted by
// zone. The role of these listings is empty.
func (c *Checker) Domain(ctx context.Context, d audit.Domain) []audit.Listing {
	return c.each("", d.String(), func(l List) bool { return l.Domain },
		func(l List) audit.Obs[[]audit.ListCode] { return c.look(ctx, l, d.String()) })
}

// each looks into all lists that fit at once.
func (c *Checker) each(role audit.Role, subject string, fits func(List) bool, look func(List) audit.Obs[[]audit.ListCode]) []audit.Listing {
	var lists []List
	for _, l := range c.cfg.Lists {
		if fits(l) {
			lists = append(lists, l)
		}
	}
	out := make([]audit.Listing, len(lists))
	var wg sync.WaitGroup
	for i, l := range lists {
		wg.Go(func() {
			out[i] = audit.Listing{Subject: subject, Role: role, Zone: l.Zone, Codes: look(l)}
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b audit.Listing) int { return cmp.Compare(a.Zone, b.Zone) })
	return out
}

// look asks one list about one subject, and tests the list meanwhile.
func (c *Checker) look(ctx context.Context, l List, subject string) audit.Obs[[]audit.ListCode] {
	name, ok := Query(l, subject)
	if !ok {
		return audit.Skipped[[]audit.ListCode]("the name to ask " + l.Name + " for would be longer than a name can be (RFC 1035 2.3.4)")
	}
	var health audit.Obs[audit.Nothing]
	var wg sync.WaitGroup
	wg.Go(func() { health = c.health(ctx, l) })
	first := classify(l, c.cfg.DNS.Ask(ctx, name, dns.TypeA))
	wg.Wait()
	switch {
	case health.State != audit.Seen:
		return audit.Dark[[]audit.ListCode](unfit(l, health), first.via)
	case first.state == audit.Absent:
		return audit.None[[]audit.ListCode](first.why.Code, "not listed: "+first.why.Text, first.via)
	case first.state != audit.Seen:
		return audit.Dark[[]audit.ListCode](first.why, first.via)
	case !pause(ctx, c.cfg.Confirm):
		return audit.Dark[[]audit.ListCode](dial.GaveUp(ctx), first.via)
	}
	return confirm(first, classify(l, c.cfg.Again.Ask(ctx, name, dns.TypeA)))
}

// unfit is why a list that did not pass its test is not believed, whatever it
// answered.
func unfit(l List, health audit.Obs[audit.Nothing]) audit.Reason {
	if health.State == audit.Absent {
		return audit.Reason{Code: audit.ListUnhealthy, Text: health.Why.Text}
	}
	return audit.Reason{Code: health.Why.Code, Text: "whether " + l.Name + " can be believed is not known: " + health.Why.Text}
}

// confirm holds a second reading against one that lists. What both say is
// seen.
func confirm(first, second reading) audit.Obs[[]audit.ListCode] {
	both := slices.DeleteFunc(slices.Clone(first.codes), func(code audit.ListCode) bool {
		return !slices.Contains(second.codes, code)
	})
	var why audit.Reason
	switch {
	case len(both) > 0:
		return audit.See(both, first.via)
	case second.state == audit.Seen:
		why = audit.Reason{Code: audit.Disagree, Text: "listed twice, some seconds apart, and for different reasons"}
	case second.state == audit.Absent:
		why = audit.Reason{Code: audit.Disagree, Text: "listed, and not listed some seconds later"}
	default:
		why = audit.Reason{Code: second.why.Code, Text: "listed in one answer, and the second, which should confirm it, settles nothing: " + second.why.Text}
	}
	return audit.Dark[[]audit.ListCode](why, first.via)
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
