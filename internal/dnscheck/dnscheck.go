// Package dnscheck observes what a domain and its hosts publish in DNS.
//
// Mail is routed by one question (RFC 5321 section 5.1): the MX records of the
// domain. If there are any, mail goes to the hosts they name, the lowest
// preference first; a single record "MX 0 ." says that the domain takes no
// mail (RFC 7505); if there are none, the domain's own address is used as if it
// were an MX of preference 0 (the implicit MX). Each host is a name with A and
// AAAA records. The other way round, the PTR record of an address names a
// host, and means something only when that name leads back to the address
// (forward-confirmed reverse DNS, RFC 8601 section 2.7.3).
//
// Who may send as the domain is a policy in a TXT record of its own name (SPF,
// RFC 7208): terms from left to right, each of which matches the address of a
// client or does not. Some hold networks; others name hosts to look up, or
// another domain whose policy is to be asked in turn. The first that matches
// decides. A receiver may look up ten terms, and two of them in vain; beyond
// that, or when a record breaks the grammar, the policy is an error and nobody
// passes. CheckHost does what a receiver does, and writes down every step; the
// grammar is in package audit.
//
// The functions here ask and record; they never judge. Every outcome of a
// question stays what it was: no such name, no such record, or not known.
package dnscheck

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// Asker answers DNS questions; *resolve.Client does.
type Asker interface {
	Ask(ctx context.Context, name audit.DNSName, qtype uint16) *resolve.Answer
}

// MX observes the existence of the domain and its MX records with one
// question.
func MX(ctx context.Context, a Asker, d audit.Domain) audit.MX {
	answer := a.Ask(ctx, d.Name(), dns.TypeMX)
	mx := audit.MX{
		Alias: resolve.Alias(answer),
		Records: resolve.Observe(answer, func(rrs []dns.RR) []audit.MXRecord {
			var out []audit.MXRecord
			for _, rr := range rrs {
				if m, ok := rr.(*dns.MX); ok {
					out = append(out, audit.MXRecord{Preference: m.Preference, Host: audit.NewDNSName(m.Mx)})
				}
			}
			return out
		}),
	}
	switch {
	case answer.State == audit.Unknown:
		mx.Exists = audit.Dark[audit.Nothing](answer.Why, answer.Via())
	case answer.State == audit.Absent && answer.Why.Code == audit.NXDomain && len(answer.Chain) == 0:
		mx.Exists = audit.None[audit.Nothing](audit.NXDomain, answer.Why.Text, answer.Via())
	default: // records, no records, or an alias to nowhere: the name itself exists
		mx.Exists = audit.See(audit.Nothing{}, answer.Via())
	}
	return mx
}

// Addresses observes the addresses of a name in one family ("ip4" is an A,
// "ip6" an AAAA question), and the aliases on the way.
func Addresses(ctx context.Context, a Asker, name audit.DNSName, ip6 bool) (audit.Obs[[]netip.Addr], audit.Obs[[]audit.DNSName]) {
	qtype := dns.TypeA
	if ip6 {
		qtype = dns.TypeAAAA
	}
	answer := a.Ask(ctx, name, qtype)
	return addressesIn(answer), resolve.Alias(answer)
}

// addressesIn is the observation of the addresses in an answer.
func addressesIn(answer *resolve.Answer) audit.Obs[[]netip.Addr] {
	o := resolve.Observe(answer, addresses)
	if o.State == audit.Seen && len(o.Value) == 0 {
		return audit.None[[]netip.Addr](audit.NoData, "only addresses that our own resolver made up for IPv4 hosts (DNS64, RFC 6147)", o.Via)
	}
	return o
}

func addresses(rrs []dns.RR) []netip.Addr {
	var out []netip.Addr
	for _, rr := range rrs {
		var addr netip.Addr
		ok := false
		switch r := rr.(type) {
		case *dns.A:
			addr, ok = netip.AddrFromSlice(r.A.To4())
		case *dns.AAAA:
			// An IPv4-mapped AAAA stays what it is: that is worth a finding.
			addr, ok = netip.AddrFromSlice(r.AAAA.To16())
		}
		if ok && !dns64().Contains(addr) {
			out = append(out, addr)
		}
	}
	return out
}

// Bound keeps the lowest addresses of an answer, at most so many, and returns
// how many it left out. When keep is one of them, it stays.
func Bound(o *audit.Obs[[]netip.Addr], most int, keep netip.Addr) int {
	sorted := slices.Compact(slices.SortedFunc(slices.Values(o.Value), netip.Addr.Compare))
	if len(sorted) <= most {
		return 0
	}
	left := len(sorted) - most
	if slices.Index(sorted, keep) >= most {
		sorted[most-1] = keep
	}
	o.Value = slices.Clone(sorted[:most])
	return left
}

// dns64 is the prefix of addresses that a resolver on an IPv6-only network
// makes up for IPv4 hosts (RFC 6052 section 2.1): they say where we are, not
// what the domain publishes.
func dns64() netip.Prefix { return netip.MustParsePrefix("64:ff9b::/96") }

// Alias joins what the A and the AAAA question said about aliases: either one
// settles it, since both follow the same CNAME records (RFC 1034 section 3.6.2).
func Alias(a, aaaa audit.Obs[[]audit.DNSName]) audit.Obs[[]audit.DNSName] {
	for _, o := range []audit.Obs[[]audit.DNSName]{a, aaaa} {
		if o.State == audit.Seen {
			return o
		}
	}
	if a.Known() {
		return a
	}
	return aaaa
}

// Answers reports whether the resolver answers at all: it is asked for what
// every resolver knows, who serves the root. It tells a name whose servers fail
// from a resolver that does.
func Answers(ctx context.Context, a Asker) bool {
	return a.Ask(ctx, ".", dns.TypeNS).State != audit.Unknown
}

// Reverse observes the PTR names of an address and where they lead. All names
// are followed at once, at most audit.MaxForward of them.
func Reverse(ctx context.Context, a Asker, addr netip.Addr, role audit.Role) audit.Reverse {
	answer := a.Ask(ctx, audit.ReverseName(addr), dns.TypePTR)
	rv := audit.Reverse{Addr: addr, Role: role, Alias: resolve.Alias(answer), PTR: resolve.Observe(answer, pointers)}
	var wg sync.WaitGroup
	rv.Forward = make([]audit.Forward, min(len(rv.PTR.Value), audit.MaxForward))
	for i := range rv.Forward {
		wg.Go(func() {
			name := rv.PTR.Value[i]
			addrs, _ := Addresses(ctx, a, name, addr.Is6())
			more := Bound(&addrs, audit.MaxFollowed, addr)
			rv.Forward[i] = audit.Forward{Name: name, Addrs: addrs, LeftOut: more}
		})
	}
	wg.Wait()
	return rv
}

func pointers(rrs []dns.RR) []audit.DNSName {
	var out []audit.DNSName
	for _, rr := range rrs {
		if p, ok := rr.(*dns.PTR); ok {
			out = append(out, audit.NewDNSName(p.Ptr))
		}
	}
	return sortedNames(out)
}

// SelfName finds a name by which addr may introduce itself in EHLO: a PTR name
// that leads back to it (RFC 5321 section 4.1.4). Empty when there is none, or
// when that is not known.
func SelfName(ctx context.Context, a Asker, addr netip.Addr) audit.DNSName {
	rv := Reverse(ctx, a, addr, audit.RoleSender)
	for _, f := range rv.Forward {
		for _, back := range f.Addrs.Value {
			if back == addr && f.Name.IsHostname() && strings.Contains(string(f.Name), ".") {
				return f.Name
			}
		}
	}
	return ""
}

// sortedNames sorts and removes what is there twice, so that which names are
// followed does not depend on the order of an answer.
func sortedNames(names []audit.DNSName) []audit.DNSName {
	slices.Sort(names)
	return slices.Compact(names)
}
