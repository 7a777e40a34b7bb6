package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// FactChange is one published or observed thing that is different now, by
// meaning: order, TTL and letter case do not count, and neither does
// anything that one of the two runs could not see.
type FactChange struct {
	Area    Area     `json:"area"`
	Subject string   `json:"subject"`
	What    string   `json:"what"`
	Before  []string `json:"before"` // what is no longer there; printable
	After   []string `json:"after"`  // what is new
	// SeenOnce: a server said so, in this run alone. Set by Compare.
	SeenOnce bool `json:"seen_once,omitempty"`
}

// facet is one comparable thing about one subject, as a set of words.
type facet struct {
	area          Area
	subject, what string
	words         []string
}

// facetID is what a facet is about.
type facetID struct {
	area          Area
	subject, what string
}

func (f facet) id() facetID { return facetID{f.area, f.subject, f.what} }

// facetWords are the facets of facts by what they are about.
func facetWords(f Facts) map[facetID][]string {
	out := map[facetID][]string{}
	for _, each := range facets(f) {
		out[each.id()] = each.words
	}
	return out
}

// ChangedFacts compares the facts of two runs in the given areas.
func ChangedFacts(old, now Facts, areas []Area) []FactChange {
	before := facetWords(old)
	out := []FactChange{}
	for _, f := range facets(now) {
		was, both := before[f.id()]
		if !both || !slices.Contains(areas, f.area) {
			continue
		}
		gone, come := minus(was, f.words), minus(f.words, was)
		if len(gone)+len(come) > 0 {
			out = append(out, FactChange{Area: f.area, Subject: f.subject, What: f.what, Before: gone, After: come})
		}
	}
	return out
}

// minus is the words of a that are not in b; never nil.
func minus(a, b []string) []string {
	out := []string{}
	for _, w := range a {
		if !slices.Contains(b, w) {
			out = append(out, w)
		}
	}
	return out
}

// facets lists everything comparable that was seen, in a fixed order.
func facets(f Facts) []facet {
	var out []facet
	out = append(out, mxFacets(f.MX)...)
	for _, h := range f.Hosts {
		out = append(out, hostFacets(h)...)
	}
	out = append(out, senderFacets(f)...)
	for _, r := range f.RDNS {
		out = appendKnown(out, r.Alias, facet{area: AreaRDNS, subject: r.Addr.String(), what: "alias"}, names)
		out = appendKnown(out, r.PTR, facet{area: AreaRDNS, subject: r.Addr.String(), what: "PTR"}, names)
	}
	for _, e := range f.SMTP {
		out = append(out, endpointFacets(e)...)
	}
	out = appendKnown(out, f.Submission.STARTTLS, facet{area: AreaMX, subject: "domain", what: "SRV of _submission._tcp"}, srvWords)
	out = appendKnown(out, f.Submission.TLS, facet{area: AreaMX, subject: "domain", what: "SRV of _submissions._tcp"}, srvWords)
	return out
}

// appendKnown adds a facet for an observation that settles its question.
func appendKnown[T any](out []facet, o Obs[T], f facet, words func(T) []string) []facet {
	switch o.State {
	case Seen:
		f.words = words(o.Value)
	case Absent:
		f.words = nil
	default:
		return out
	}
	return append(out, f)
}

func mxFacets(mx MX) []facet {
	const subject = "domain"
	out := appendKnown(nil, mx.Exists, facet{area: AreaMX, subject: subject, what: "existence"}, func(Nothing) []string { return []string{"exists"} })
	out = appendKnown(out, mx.Alias, facet{area: AreaMX, subject: subject, what: "alias"}, names)
	return appendKnown(out, mx.Records, facet{area: AreaMX, subject: subject, what: "MX"}, func(rs []MXRecord) []string {
		var w []string
		for _, r := range rs {
			w = append(w, fmt.Sprintf("%d %s", r.Preference, r.Host))
		}
		return w
	})
}

func hostFacets(h Host) []facet {
	subject := h.Name.String()
	out := appendKnown(nil, h.Alias, facet{area: AreaMX, subject: subject, what: "alias"}, names)
	// Of more addresses than are kept, those that are missing need not be gone.
	if h.ALeftOut == 0 {
		out = appendKnown(out, h.A, facet{area: AreaMX, subject: subject, what: "A"}, addrs)
	}
	if h.AAAALeftOut == 0 {
		out = appendKnown(out, h.AAAA, facet{area: AreaMX, subject: subject, what: "AAAA"}, addrs)
	}
	return out
}

func endpointFacets(e Endpoint) []facet {
	at := func(area Area, what string) facet { return facet{area: area, subject: e.Subject(), what: what} }
	greeting := e.Greeting
	if greeting.Value.Code/100 == 4 {
		greeting.State = Unknown // "not now" says nothing about the server
	}
	out := appendKnown(nil, greeting, at(AreaSMTP, "greeting"), func(g Greeting) []string {
		var w []string
		for _, l := range g.Lines {
			w = append(w, strings.TrimSpace(fmt.Sprintf("%d %s", g.Code, l)))
		}
		return w
	})
	out = appendKnown(out, e.Hello, at(AreaSMTP, "extensions"), keywords)
	out = appendKnown(out, e.HelloTLS, at(AreaSMTP, "extensions inside TLS"), keywords)
	out = appendKnown(out, e.TLS, at(AreaTLS, "TLS version"), func(t TLS) []string { return []string{t.Version} })
	out = appendKnown(out, e.OldTLS, at(AreaTLS, "old TLS versions"), func(t OldTLS) []string { return []string{t.Version} })
	return appendKnown(out, e.TLS, at(AreaTLS, "certificate"), func(t TLS) []string {
		if len(t.Chain) == 0 {
			return nil
		}
		c := t.Chain[0]
		return []string{fmt.Sprintf("%s, valid %s to %s, SHA-256 %.16s", c.Subject,
			c.NotBefore.Format("2006-01-02"), c.NotAfter.Format("2006-01-02"), c.SHA256)}
	})
}

// senderFacets are what is published, and listed, about senders.
func senderFacets(f Facts) []facet {
	out := appendKnown(nil, f.SPF.Records, facet{area: AreaSPF, subject: "domain", what: "SPF"}, spfWords)
	// What a vendor changes is told as such: by the name of its own record.
	for _, b := range f.SPF.Below {
		out = appendKnown(out, b.Records, facet{area: AreaSPF, subject: b.Name.String(), what: "SPF record"}, spfWords)
	}
	for _, k := range f.DKIM {
		out = appendKnown(out, k.Records, facet{area: AreaDKIM, subject: k.Name.String(), what: "DKIM key"}, raws)
	}
	for _, s := range f.DMARC.Walk {
		out = appendKnown(out, s.Records, facet{area: AreaDMARC, subject: s.Domain.String(), what: "DMARC"}, raws)
	}
	for _, l := range f.Listings {
		out = appendKnown(out, l.Codes, facet{area: AreaDNSBL, subject: l.Subject, what: "listing at " + l.Zone.String()}, meanings)
	}
	return out
}

func meanings(codes []ListCode) []string {
	var w []string
	for _, c := range codes {
		w = append(w, c.Meaning)
	}
	return w
}

// spfWords are the terms of the records: a term that came or went is the news.
func spfWords(records []Raw) []string {
	var w []string
	for _, r := range records {
		w = append(w, strings.Fields(r.String())...)
	}
	return w
}

func raws(rs []Raw) []string {
	var w []string
	for _, r := range rs {
		w = append(w, r.String())
	}
	return w
}

func srvWords(rs []SRVRecord) []string {
	var w []string
	for _, r := range rs {
		w = append(w, fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, r.Target))
	}
	return w
}

func names(ns []DNSName) []string {
	var w []string
	for _, n := range ns {
		w = append(w, n.String())
	}
	return w
}

func addrs(as []netip.Addr) []string {
	var w []string
	for _, a := range as {
		w = append(w, a.String())
	}
	return w
}

func keywords(h Hello) []string {
	var w []string
	for _, k := range h.Keywords {
		w = append(w, strings.TrimSpace(k.Name+" "+k.Params.String()))
	}
	return w
}
