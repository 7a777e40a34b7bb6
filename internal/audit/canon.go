package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Canonical sorts f in place so that the same world always gives the same
// bytes: servers rotate their records, and goroutines finish in any order.
func (f *Facts) Canonical() {
	f.MX.Records.Value = slices.Clone(f.MX.Records.Value)
	slices.SortFunc(f.MX.Records.Value, compareMX)
	f.MX.Records.Value = slices.Compact(f.MX.Records.Value)
	slices.SortFunc(f.Hosts, func(a, b Host) int { return cmp.Compare(a.Name, b.Name) })
	for i := range f.Hosts {
		sortAddrs(&f.Hosts[i].A)
		sortAddrs(&f.Hosts[i].AAAA)
	}
	slices.SortFunc(f.RDNS, func(a, b Reverse) int { return a.Addr.Compare(b.Addr) })
	for i := range f.RDNS {
		r := &f.RDNS[i]
		slices.Sort(r.PTR.Value)
		r.PTR.Value = slices.Compact(r.PTR.Value)
		slices.SortFunc(r.Forward, func(a, b Forward) int { return cmp.Compare(a.Name, b.Name) })
		for j := range r.Forward {
			sortAddrs(&r.Forward[j].Addrs)
		}
	}
	f.canonicalMailAuth()
	sortSRV(&f.Submission.STARTTLS)
	sortSRV(&f.Submission.TLS)
	f.canonicalEgress()
	f.canonicalNames()
	slices.SortFunc(f.SMTP, compareEndpoints)
	for i := range f.SMTP {
		f.SMTP[i].canonical()
	}
}

// canonical sorts copies: runs of a batch share what one of them saw of a
// server, and bring it into order at the same time.
func (e *Endpoint) canonical() {
	for _, h := range []*Hello{&e.Hello.Value, &e.Helo.Value, &e.HelloTLS.Value} {
		h.Keywords = slices.Clone(h.Keywords)
		sortKeywords(h.Keywords)
	}
	e.Replies.Value.Mixed = slices.Clone(e.Replies.Value.Mixed)
	slices.Sort(e.Replies.Value.Mixed)
	e.TLS.Value.Chain = slices.Clone(e.TLS.Value.Chain)
	for i := range e.TLS.Value.Chain {
		c := &e.TLS.Value.Chain[i]
		c.Names, c.Services = slices.Clone(c.Names), slices.Clone(c.Services)
		slices.Sort(c.Names)
		slices.Sort(c.Services)
	}
}

// canonicalMailAuth sorts what is published about senders, and the lists.
func (f *Facts) canonicalMailAuth() {
	f.SPF.canonical()
	slices.SortFunc(f.DKIM, func(a, b DKIM) int { return cmp.Compare(a.Selector, b.Selector) })
	for i := range f.DKIM {
		slices.Sort(f.DKIM[i].Records.Value)
	}
	for i := range f.DMARC.Walk {
		slices.Sort(f.DMARC.Walk[i].Records.Value)
	}
	slices.SortFunc(f.Lists, func(a, b BlockList) int { return cmp.Compare(a.Zone, b.Zone) })
	slices.SortFunc(f.Listings, func(a, b Listing) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Zone, b.Zone))
	})
	for i := range f.Listings {
		slices.SortFunc(f.Listings[i].Codes.Value, func(a, b ListCode) int { return a.Addr.Compare(b.Addr) })
	}
}

func compareMX(a, b MXRecord) int {
	return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(a.Host, b.Host))
}

func compareEndpoints(a, b Endpoint) int {
	return cmp.Or(cmp.Compare(a.Host, b.Host), a.Addr.Compare(b.Addr), cmp.Compare(a.Port, b.Port))
}

func sortAddrs(o *Obs[[]netip.Addr]) {
	slices.SortFunc(o.Value, netip.Addr.Compare)
	o.Value = slices.Compact(o.Value)
}

func sortKeywords(ks []Keyword) {
	slices.SortFunc(ks, func(a, b Keyword) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), strings.Compare(string(a.Params), string(b.Params)))
	})
}

// Part is one area of the facts in its stored form. The store keeps each
// distinct part once.
type Part struct {
	Name string // "mx", "hosts", "spf", "dkim", "dmarc", "rdns", "lists", "listings", "smtp", "submission", "egress", "names"
	JSON []byte
}

// slot ties the name of a part to its place in the facts.
type slot struct {
	name   string
	encode func() ([]byte, error)
	decode func([]byte) error
}

// slotOf makes a slot of a field.
func slotOf[T any](name string, field *T) slot {
	return slot{
		name:   name,
		encode: func() ([]byte, error) { return json.Marshal(field) },
		decode: func(data []byte) error { return json.Unmarshal(data, field) },
	}
}

func (f *Facts) slots() []slot {
	return []slot{
		slotOf("mx", &f.MX), slotOf("hosts", &f.Hosts), slotOf("spf", &f.SPF), slotOf("dkim", &f.DKIM), slotOf("dmarc", &f.DMARC),
		slotOf("rdns", &f.RDNS), slotOf("lists", &f.Lists), slotOf("listings", &f.Listings), slotOf("smtp", &f.SMTP),
		slotOf("submission", &f.Submission), slotOf("egress", &f.Egress), slotOf("names", &f.Names),
	}
}

// Parts splits canonical facts into their stored parts, always the same ones
// in the same order.
func (f *Facts) Parts() ([]Part, error) {
	var out []Part
	for _, s := range f.slots() {
		data, err := s.encode()
		if err != nil {
			return nil, fmt.Errorf("encode facts %s: %w", s.name, err)
		}
		out = append(out, Part{s.name, data})
	}
	return out, nil
}

// FactsFromParts reverses Parts. A part that is not there stays empty, so that
// facts of an earlier format are read; a part of an unknown name is an error.
func FactsFromParts(parts []Part) (Facts, error) {
	var f Facts
	slots := f.slots()
	for _, p := range parts {
		i := slices.IndexFunc(slots, func(s slot) bool { return s.name == p.Name })
		if i < 0 {
			return Facts{}, fmt.Errorf("decode facts %s: this program knows no such part", Raw(p.Name))
		}
		err := slots[i].decode(p.JSON)
		if err != nil {
			return Facts{}, fmt.Errorf("decode facts %s: %w", Raw(p.Name), err)
		}
	}
	return f, nil
}
