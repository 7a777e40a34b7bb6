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
	slices.SortFunc(f.SMTP, compareEndpoints)
	for i := range f.SMTP {
		e := &f.SMTP[i]
		sortKeywords(e.Hello.Value.Keywords)
		sortKeywords(e.Helo.Value.Keywords)
		sortKeywords(e.HelloTLS.Value.Keywords)
		for j := range e.TLS.Value.Chain {
			slices.Sort(e.TLS.Value.Chain[j].Names)
		}
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
	Name string // "mx", "hosts", "rdns", "smtp"
	JSON []byte
}

// Parts splits canonical facts into their stored parts, always the same ones
// in the same order.
func (f *Facts) Parts() ([]Part, error) {
	var out []Part
	add := func(name string, data []byte, err error) error {
		if err != nil {
			return fmt.Errorf("encode facts %s: %w", name, err)
		}
		out = append(out, Part{name, data})
		return nil
	}
	mx, err := json.Marshal(f.MX)
	err = add("mx", mx, err)
	if err != nil {
		return nil, err
	}
	hosts, err := json.Marshal(f.Hosts)
	err = add("hosts", hosts, err)
	if err != nil {
		return nil, err
	}
	rdns, err := json.Marshal(f.RDNS)
	err = add("rdns", rdns, err)
	if err != nil {
		return nil, err
	}
	smtp, err := json.Marshal(f.SMTP)
	err = add("smtp", smtp, err)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// FactsFromParts reverses Parts. A part that is not there stays empty, so that
// facts of a later format lose nothing but what is new; a part of an unknown
// name is an error.
func FactsFromParts(parts []Part) (Facts, error) {
	var f Facts
	for _, p := range parts {
		var err error
		switch p.Name {
		case "mx":
			err = json.Unmarshal(p.JSON, &f.MX)
		case "hosts":
			err = json.Unmarshal(p.JSON, &f.Hosts)
		case "rdns":
			err = json.Unmarshal(p.JSON, &f.RDNS)
		case "smtp":
			err = json.Unmarshal(p.JSON, &f.SMTP)
		default:
			err = fmt.Errorf("this program knows no such part")
		}
		if err != nil {
			return Facts{}, fmt.Errorf("decode facts %s: %w", Raw(p.Name), err)
		}
	}
	return f, nil
}
