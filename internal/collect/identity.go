package collect

import (
	"context"
	"net/netip"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/dnscheck"
)

// lastResort introduces us when this machine has no usable name at all. It is
// a legal EHLO argument that claims nothing (RFC 2606 section 2).
const lastResort = "mailaudit.invalid"

// identity is the name that we give in EHLO. RFC 5321 section 4.1.4 wants a
// name that resolves to the client, else an address literal; servers grow
// suspicious of anything else:
//
//  1. what the user said (--helo);
//  2. a name that our public address has in reverse DNS and that leads back;
//  3. our public address as a literal;
//  4. behind NAT our own address says nothing and is nobody's business: the
//     name of this machine, qualified if it has such a name.
func (c *Collector) identity(ctx context.Context) string {
	if c.plan.HELO != "" {
		return c.plan.HELO
	}
	var public []netip.Addr
	for _, ip6 := range []bool{false, true} {
		if c.plan.Scope.Family != "" && ip6 != (c.plan.Scope.Family == audit.IPv6) {
			continue // servers will not see an address of this family
		}
		a := c.cfg.Local(ctx, ip6)
		if a.IsValid() && audit.Special(a.Unmap()) == "" {
			public = append(public, a.Unmap().WithZone(""))
		}
	}
	name := c.selfName(ctx, public)
	if name != "" {
		return string(name)
	}
	if len(public) > 0 {
		return Literal(public[0])
	}
	name = audit.NewDNSName(c.cfg.HostName)
	if name.IsHostname() && !strings.HasPrefix(string(name), "localhost") {
		return string(name)
	}
	return lastResort
}

// selfName is the name of the first of our addresses that has one. All are
// asked about at once, because everybody waits for our name before the first
// connection; a later one is waited for only where the ones before have none.
func (c *Collector) selfName(ctx context.Context, addrs []netip.Addr) audit.DNSName {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	names := make([]chan audit.DNSName, len(addrs))
	for i, a := range addrs {
		names[i] = make(chan audit.DNSName, 1) // nobody may be waiting any more
		go func() { names[i] <- dnscheck.SelfName(ctx, c.cfg.DNS, a) }()
	}
	for _, found := range names {
		name := <-found
		if name != "" {
			return name
		}
	}
	return ""
}

// Literal is an address as RFC 5321 section 4.1.3 writes it in place of a
// name.
func Literal(a netip.Addr) string {
	if a.Is4() {
		return "[" + a.String() + "]"
	}
	return "[IPv6:" + a.String() + "]"
}
