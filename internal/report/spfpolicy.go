package report

import (
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"strings"

	"mailaudit/internal/audit"
)

// jsonSPFPolicy is the document about a policy.
type jsonSPFPolicy struct {
	Schema string          `json:"schema"`
	Policy audit.SPFPolicy `json:"policy"`
}

// SPFPolicyJSON writes a policy as one document. The error is the writer's.
func SPFPolicyJSON(w io.Writer, policy audit.SPFPolicy) error {
	return spfJSON(w, jsonSPFPolicy{SPFSchema, policy})
}

// SPFPolicy writes a policy and its tree: what each record costs, who is behind
// it and what it allows. The error is the writer's.
func SPFPolicy(w io.Writer, policy audit.SPFPolicy, color bool) error {
	p := &page{w: w, color: color, rows: maxRows}
	p.spread("", 0, policy.Domain.String(), bold, []string{"SPF policy, whoever sends"}, "")
	p.line("")
	if len(policy.Tree.Records) == 1 && len(policy.Tree.Faults) == 0 {
		p.spfSums(policy)
		p.line("")
	}
	p.spfHead()
	p.hang("", policy.Domain.String())
	p.spfBranch(policy.Tree, "")
	return p.err
}

// spfSums are the lines above the tree.
func (p *page) spfSums(s audit.SPFPolicy) {
	least := ""
	if !s.Exact {
		least = "at least "
	}
	p.spfSaid("lookups", fmt.Sprintf("%s%d of %d allowed, when nothing matches before the end", least, s.Lookups, audit.SPFMaxLookups))
	if s.Over != nil {
		p.spfSaid("", "the eleventh: "+spfMatch(*s.Over)+"; who comes so far gets permerror")
	}
	p.spfSaid("in vain", fmt.Sprintf("%d for clients over IPv4, %d over IPv6, of %d allowed", s.Tree.Voids4, s.Tree.Voids6, audit.SPFMaxVoids))
	if s.OverVoids != nil {
		p.spfSaid("", "the third: "+spfMatch(*s.OverVoids))
	}
	for i, l := range s.Loops[:min(len(s.Loops), maxSPFListed)] {
		name := ""
		if i == 0 {
			name = "loops"
		}
		p.spfSaid(name, spfMatch(l)+" leads back to where it came from")
	}
	p.spfSaid("authorises", spfRanges(s.Authorised))
	for i, h := range s.Huge[:min(len(s.Huge), maxSPFListed)] {
		name := ""
		if i == 0 {
			name = "huge"
		}
		p.spfSaid(name, h.Network.String()+" by "+spfMatch(h.SPFMatch))
	}
	p.spfOverlaps(s)
	asked := plural(s.Questions, "question")
	if s.NotAsked > 0 {
		asked += "; " + plural(s.NotAsked, "term") + " not followed, for there are too many"
	}
	p.spfSaid("asked", asked)
}

// maxSPFOverlaps is how many of them text lists: each takes two lines or three.
const maxSPFOverlaps = 4

// spfOverlaps says which networks are authorised twice.
func (p *page) spfOverlaps(s audit.SPFPolicy) {
	shown := s.Overlaps[:min(len(s.Overlaps), maxSPFOverlaps)]
	for i, o := range shown {
		name := ""
		if i == 0 {
			name = "twice"
		}
		p.spfSaid(name, fmt.Sprintf("%s by %s lies in %s by %s", o.Network, spfMatch(o.SPFMatch), o.By.Network, spfMatch(o.By.SPFMatch)))
	}
	if more := len(s.Overlaps) - len(shown) + s.OverlapsLeftOut; more > 0 {
		p.spfSaid("", fmt.Sprintf("and %d more", more))
	}
}

func spfMatch(m audit.SPFMatch) string {
	return m.Term.Clip(maxSPFTerm).String() + " in the record of " + m.Domain.String()
}

// spfRanges is how many a record authorises.
func spfRanges(r audit.SPFRanges) string {
	var words []string
	if r.IP4 > 0 {
		words = append(words, plural(int(r.IP4), "IPv4 address"))
	}
	switch r.IP6 {
	case "0":
	case "1":
		words = append(words, "1 IPv6 address")
	default:
		words = append(words, spfMany(r.IP6)+" IPv6 addresses")
	}
	if len(words) > 0 {
		words[len(words)-1] += " in " + plural(r.Networks, "network")
	}
	if r.Others {
		words = append(words, "whoever an exists, ptr or macro says")
	}
	text := strings.Join(words, ", ")
	switch {
	case r.Everyone && text == "":
		return "everyone"
	case r.Everyone:
		return "everyone; besides, " + text
	case text == "":
		return "nobody"
	}
	return text
}

// spfMany is a decimal number, or the power of two that it is about, where it
// is large.
func spfMany(decimal string) string {
	n, ok := new(big.Int).SetString(decimal, 10)
	if !ok || n.BitLen() <= 20 {
		return decimal
	}
	bits := n.BitLen() - 1
	if n.TrailingZeroBits() == uint(bits) {
		return fmt.Sprintf("2^%d", bits)
	}
	return fmt.Sprintf("about 2^%d", bits)
}

// spfBranch writes a record of a policy; lead is what stands before its terms.
func (p *page) spfBranch(b *audit.SPFBranch, lead string) {
	for _, n := range spfBranchNotes(b) {
		p.spfNote(lead, n)
	}
	for i := 0; i < len(b.Terms); i++ {
		t := b.Terms[i]
		r := spfRow{term: t.Term.Clip(maxSPFTerm).String(), spent: t.Lookups, then: t.LookupsThen, voids: max(t.Voids4, t.Voids6), dark: t.Dead}
		if run := spfNetworks(b.Terms[i:]); run > maxSPFRun {
			i += run - 1
			r.term = fmt.Sprintf("%s ... %s (%d terms)", t.Term.Clip(maxSPFTerm), b.Terms[i].Term.Clip(maxSPFTerm), run)
		}
		switch {
		case t.Dead:
			r.mark = "never reached"
		case t.Crosses:
			r.mark = "<- limit"
		}
		r.last = i == len(b.Terms)-1
		r.notes = spfTermNotes(t)
		below := p.spfRow(lead, r)
		if t.Branch != nil {
			p.spfBranch(t.Branch, below)
		}
	}
}

// spfNetworks is how many networks the terms begin with that share a line.
func spfNetworks(terms []audit.SPFPolicyTerm) int {
	for i, t := range terms {
		if !isSPFNetwork(t.Term) || t.Dead != terms[0].Dead {
			return i
		}
	}
	return len(terms)
}

// spfBranchNotes are the lines below the name of a record.
func spfBranchNotes(b *audit.SPFBranch) []string {
	var out []string
	about := []string{}
	if b.Vendor != "" {
		about = append(about, b.Vendor)
	}
	if b.State == audit.Seen && !b.Loop {
		about = append(about, fmt.Sprintf("TTL %d s", b.TTL))
	}
	if len(b.Alias) > 0 {
		about = append(about, "an alias for "+b.Alias[len(b.Alias)-1].String())
	}
	switch {
	case b.Loop:
		about = append(about, "leads back to itself: permerror for who comes here")
	case b.Repeat:
		about = append(about, "as above")
	case len(b.Records) == 1:
		about = append(about, "authorises "+spfRanges(b.Authorised))
	}
	if len(about) > 0 {
		out = append(out, strings.Join(about, "; "))
	}
	if b.Loop || b.Repeat {
		return out
	}
	trouble := spfBranchTrouble(b)
	out = append(out, trouble[:len(trouble)-len(b.Faults)]...)
	for _, r := range b.Records {
		out = append(out, `"`+r.String()+`"`)
	}
	return append(out, trouble[len(trouble)-len(b.Faults):]...)
}

// spfBranchTrouble is why a record has no terms, its faults last.
func spfBranchTrouble(b *audit.SPFBranch) []string {
	var out []string
	switch {
	case b.State == audit.Unknown, b.State == audit.NotTried:
		out = append(out, "not known: "+b.Answer.Text)
	case b.State == audit.Absent && b.Answer.Code == audit.NXDomain:
		out = append(out, "does not exist")
	case len(b.Records) == 0:
		out = append(out, "has no SPF record")
	case len(b.Records) > 1:
		out = append(out, fmt.Sprintf("has %d SPF records: permerror", len(b.Records)))
	}
	for _, f := range b.Faults {
		out = append(out, f.String()+": permerror")
	}
	return out
}

// isSPFPointer reports whether a term is a ptr, of which a policy can tell
// nothing.
func isSPFPointer(term audit.Raw) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimLeft(string(term), "+-~?")), "ptr")
}

// spfTermNotes are the lines below a term: what it asks for and finds.
func spfTermNotes(t audit.SPFPolicyTerm) []string {
	var out []string
	if t.Varies {
		out = append(out, "asks for a name that depends on who sends")
	}
	f := t.Found
	if f == nil {
		if t.Branch == nil && t.Target != "" && !isSPFPointer(t.Term) {
			out = append(out, "not asked for: the policy has more terms than are followed")
		}
		return out
	}
	out = append(out, spfAnswer(f.State, f.Answer)...)
	switch {
	case f.HostsLeftOut > 0:
		out = append(out, fmt.Sprintf("leads to %d mail servers: permerror, for %d are the limit", len(f.Hosts)+f.HostsLeftOut, audit.SPFMaxNames))
	case len(f.Hosts) > 0:
		out = append(out, "names: "+spfNames(f.Hosts))
	}
	addrs := append(append([]netip.Addr{}, f.IP4...), f.IP6...)
	if len(addrs) > 0 {
		out = append(out, "addresses: "+spfAddresses(addrs, f.LeftOut))
	}
	switch {
	case f.State != audit.Seen:
	case f.Void4 && f.Void6: // it has no address but what our own resolver made up
		out = append(out, "in vain for everyone")
	case f.Void4:
		out = append(out, "in vain for clients over IPv4")
	case f.Void6:
		out = append(out, "in vain for clients over IPv6")
	}
	if f.Doubt.Code != "" {
		out = append(out, "not all is known: "+f.Doubt.Text)
	}
	return out
}
