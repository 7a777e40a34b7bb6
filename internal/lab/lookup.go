package lab

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"
)

// maxChain is how many CNAME records one answer follows: BIND 9 restarts a
// query sixteen times.
const maxChain = 16

// index finds the records and directives of a name and knows which names the
// zone covers and which exist.
type index struct {
	sets   map[string]map[uint16][]dns.RR
	dirs   map[string][]*Directive
	exists map[string]bool // owners and the names above them
	below  map[string]bool // these names and all below them are covered
	exact  map[string]bool // these names alone are covered
	soas   map[string]dns.RR
}

// lookups returns the index, made anew after a change.
func (z *Zone) lookups() *index {
	if z.index != nil {
		return z.index
	}
	x := &index{
		sets: map[string]map[uint16][]dns.RR{}, dirs: map[string][]*Directive{},
		exists: map[string]bool{}, below: map[string]bool{}, exact: map[string]bool{},
		soas: map[string]dns.RR{},
	}
	for _, rr := range z.Records {
		h := rr.Header()
		if x.sets[h.Name] == nil {
			x.sets[h.Name] = map[uint16][]dns.RR{}
		}
		x.sets[h.Name][h.Rrtype] = append(x.sets[h.Name][h.Rrtype], rr)
		x.cover(h.Name)
		if h.Rrtype == dns.TypeSOA {
			x.below[h.Name], x.soas[h.Name] = true, rr
		}
	}
	for _, d := range z.Directives {
		x.dirs[d.Name] = append(x.dirs[d.Name], d)
		if d.Name != "*" {
			x.cover(d.Name)
		}
	}
	// Existence needs all of the coverage: it ends at the top of a zone.
	for name := range x.sets {
		x.exist(name)
	}
	for name, dirs := range x.dirs {
		denied := slices.ContainsFunc(dirs, func(d *Directive) bool { return d.Kind == NXDomain && d.Type == 0 })
		if name != "*" && !denied {
			x.exist(name)
		}
	}
	z.index = x
	return x
}

// cover notes what a line for the owner name covers; see the package comment.
func (x *index) cover(owner string) {
	name, wild := strings.CutPrefix(owner, "*.")
	if name == "" {
		name = "."
	}
	registrable, err := publicsuffix.EffectiveTLDPlusOne(strings.TrimSuffix(name, "."))
	switch {
	case isReverse(name):
		x.below[name] = true
	case err == nil:
		x.below[registrable+"."] = true
	case wild:
		x.below[name] = true
	default: // a public suffix, or the root
		x.exact[name] = true
	}
}

func isReverse(name string) bool {
	return strings.HasSuffix(name, ".in-addr.arpa.") || strings.HasSuffix(name, ".ip6.arpa.")
}

// exist notes that a name exists, and with it the names between it and the
// top of its zone (empty non-terminals, RFC 4592 section 2.2.2).
func (x *index) exist(name string) {
	for x.covers(name) && !x.exists[name] {
		x.exists[name] = true
		name = above(name)
	}
}

// above is the name without its first label; the root is above itself.
func above(name string) string {
	at, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[at:]
}

// covers reports whether the zone knows what to say about a name.
func (x *index) covers(name string) bool {
	return x.exact[name] || x.apex(name) != ""
}

// apex is the nearest covering name at or above name, or "".
func (x *index) apex(name string) string {
	for {
		if x.below[name] {
			return name
		}
		if name == "." {
			return ""
		}
		name = above(name)
	}
}

// source is the owner whose lines speak for a name: the name itself, or the
// wildcard that stands for it (RFC 4592 section 3.3.1), or "".
func (x *index) source(name string) string {
	if x.exists[name] || x.dirs[name] != nil {
		return name
	}
	for at := name; at != "."; {
		at = above(at)
		wild := "*." + strings.TrimPrefix(at, ".")
		if x.sets[wild] != nil || x.dirs[wild] != nil {
			return wild
		}
		if x.exists[at] { // the closest encloser has no wildcard
			return ""
		}
	}
	return ""
}

// soa is the SOA record for negative answers about name: the nearest one of
// the zone file, else one made up at the top of what is covered. A name that
// does not exist cannot own it, and neither can one that a line says does not
// exist.
func (x *index) soa(name string, denied bool) dns.RR {
	at := x.apex(name)
	if at == "" || at == name && (denied || isReverse(name)) {
		at = above(name)
	}
	for slices.ContainsFunc(x.dirs[at], func(d *Directive) bool { return d.Kind == NXDomain && d.Type == 0 }) {
		at = above(at)
	}
	for up := at; ; up = above(up) {
		if rr := x.soas[up]; rr != nil {
			return rr
		}
		if up == "." || !isReverse(name) {
			return madeUpSOA(at)
		}
	}
}

// madeUpSOA has the timers that RIPE-203 recommends and a negative TTL like
// that of the records.
func madeUpSOA(name string) dns.RR {
	under := strings.TrimPrefix(name, ".")
	return &dns.SOA{
		Hdr:     dns.RR_Header{Name: name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: defaultTTL},
		Ns:      "ns." + under,
		Mbox:    "hostmaster." + under,
		Serial:  1,
		Refresh: 86400, Retry: 7200, Expire: 3600000, Minttl: defaultTTL,
	}
}

// result is what the resolvers know about a question.
type result struct {
	effect
	rcode     int
	records   []dns.RR // the chain and what it leads to
	authority []dns.RR
	missing   string // the name that the zone does not cover, or ""
}

// resolve answers a question as a recursive resolver does.
func (z *Zone) resolve(q query) result {
	x := z.lookups()
	var r result
	seen := map[string]bool{}
	for range maxChain + 1 {
		seen[q.name] = true
		source := x.source(q.name)
		var here effect
		here.add(x.dirs["*"], q)
		if source != "" {
			here.add(x.dirs[source], q)
		}
		r.merge(here)
		if r.settled != "" {
			return z.settle(r, x, q)
		}
		if !x.covers(q.name) {
			r.missing, r.rcode, r.records = q.name, dns.RcodeRefused, nil
			return r
		}
		found := z.sets(x, source, q, here)
		r.records = append(r.records, found...)
		target := aliasOf(found, q.qtype)
		if target == "" {
			if len(found) == 0 {
				r.deny(x, q.name, !x.exists[q.name] && (source == "" || source == q.name))
			}
			return r
		}
		if seen[target] {
			return r // a loop: the chain as far as it goes
		}
		q.name = target
	}
	return r
}

// merge takes in the effect of one link of the chain.
func (r *result) merge(e effect) {
	r.settled = e.settled
	r.truncate = r.truncate || e.truncate
	r.ad = r.ad || e.ad
	r.noSOA = r.noSOA || e.noSOA
	r.forge = r.forge || e.forge
	r.wait += e.wait
	r.errors = append(r.errors, e.errors...)
}

// settle is the answer that a directive decides.
func (z *Zone) settle(r result, x *index, q query) result {
	switch r.settled {
	case NXDomain, NoData:
		r.deny(x, q.name, r.settled == NXDomain)
		return r
	case Lame:
		at := x.apex(q.name)
		if at == "" {
			at = q.name
		}
		ns := &dns.NS{Hdr: dns.RR_Header{Name: at, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: defaultTTL}}
		ns.Ns = "ns." + strings.TrimPrefix(at, ".")
		r.authority = []dns.RR{ns}
	case ServFail:
		r.rcode = dns.RcodeServerFailure
	case Refused:
		r.rcode = dns.RcodeRefused
	case FormErr:
		r.rcode = dns.RcodeFormatError
	case NotImp:
		r.rcode = dns.RcodeNotImplemented
	case BadVers:
		r.rcode = dns.RcodeBadVers
	}
	r.records = nil
	return r
}

func (r *result) deny(x *index, name string, nxdomain bool) {
	if nxdomain {
		r.rcode = dns.RcodeNameError
	}
	r.authority = []dns.RR{x.soa(name, nxdomain)}
}

// sets returns copies of the records that answer q at one name: those of the
// type asked, else its CNAME. source owns them; q.name is what was asked.
func (z *Zone) sets(x *index, source string, q query, e effect) []dns.RR {
	sets := x.sets[source]
	var found []dns.RR
	switch {
	case q.qtype == dns.TypeANY:
		for _, rr := range z.Records {
			if rr.Header().Name == source {
				found = append(found, rr)
			}
		}
	case len(sets[q.qtype]) > 0:
		found = sets[q.qtype]
	case len(sets[dns.TypeCNAME]) > 0:
		found = sets[dns.TypeCNAME]
	case q.qtype == dns.TypeSOA && x.below[q.name] && x.exists[q.name] && !isReverse(q.name):
		found = []dns.RR{madeUpSOA(q.name)}
	}
	return z.serve(found, q, e)
}

// serve copies an RRset for an answer: rotated and aged as e says.
func (z *Zone) serve(set []dns.RR, q query, e effect) []dns.RR {
	if len(set) == 0 {
		return nil
	}
	key := describe(q.name, q.qtype)
	if z.served == nil {
		z.served = map[string]int{}
	}
	n := z.served[key]
	z.served[key]++
	out := make([]dns.RR, len(set))
	for i := range set {
		from := i
		if e.rotate {
			from = (i + n) % len(set)
		}
		out[i] = dns.Copy(set[from])
		h := out[i].Header()
		h.Name = q.name
		if e.ttlFall && h.Ttl > 0 {
			h.Ttl -= uint32(n) % h.Ttl // a cache asks again before the TTL is 0
		}
	}
	return out
}

// aliasOf is the name to go on with, or "".
func aliasOf(found []dns.RR, qtype uint16) string {
	if len(found) == 0 || qtype == dns.TypeCNAME || qtype == dns.TypeANY {
		return ""
	}
	alias, ok := found[0].(*dns.CNAME)
	if !ok {
		return ""
	}
	return strings.ToLower(alias.Target)
}
