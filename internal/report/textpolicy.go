package report

import (
	"fmt"
	"strings"
)

// Columns of the inventory of an SPF policy.
const (
	colPolicyCounts = 45 // where lookups begin
	colPolicyAmount = 14 // how wide the numbers of addresses are
)

// maxPolicyText is how many terms of the domain's own record text lists, unless
// all is wanted.
const maxPolicyText = 16

// policy writes what SPF allows: of the domain's own record, a line for each
// term; all records that these lead to as well, with their texts, when verbose.
func (p *page) policy(q *Policy, verbose bool) {
	if q == nil {
		return
	}
	p.title(fmt.Sprintf("WHO MAY SEND, BY SPF (%s lookups, %s in vain)", q.Lookups, q.Voids))
	p.policyLine("  ", "TERM", "LOOKUPS", "IPv4", "IPv6")
	shown, left := 0, 0
	for _, t := range q.Terms {
		switch {
		case t.Depth > 0 && !verbose:
			continue
		case !verbose && shown == maxPolicyText:
			left++
			continue
		}
		shown++
		p.policyTerm(t, verbose)
	}
	if left > 0 {
		p.line("  " + fmt.Sprintf("and %s (-v shows them)", plural(left, "more term")))
	}
	p.policyLine("  ", "together", "", q.IP4, q.IP6)
	for _, s := range q.Senders {
		said := s.Why
		if s.Result != "" {
			said = s.Result + ", " + s.Why
		}
		p.hang("  ", fmt.Sprintf("%s as %s: %s", s.Addr, s.As, said))
	}
}

func (p *page) policyTerm(t PolicyTerm, verbose bool) {
	lead := strings.Repeat("  ", min(t.Depth, maxSPFLead/2)+1)
	text := t.Term
	if t.About != "" {
		text += " (" + t.About + ")"
	}
	p.policyLine(lead, text, t.Lookups, t.IP4, t.IP6)
	for _, n := range t.Notes {
		p.hang(lead+"  ", n)
	}
	if !verbose {
		return
	}
	for _, r := range t.Records {
		p.hang(lead+"  ", r)
	}
}

// policyLine is a line of the inventory. What does not fit into its column has
// lines of its own, before the numbers.
func (p *page) policyLine(lead, text, lookups, ip4, ip6 string) {
	numbers := fmt.Sprintf("%7s %*s %*s", lookups, colPolicyAmount-1, ip4, colPolicyAmount-1, ip6)
	lines := wrap(text, colPolicyCounts-1-columns(lead))
	for i, l := range lines {
		first := lead + l
		switch {
		case i < len(lines)-1:
			p.line(first)
		case columns(first) >= colPolicyCounts:
			p.line(first)
			p.line(pad("", colPolicyCounts) + numbers)
		default:
			p.line(pad(first, colPolicyCounts) + numbers)
		}
	}
}
