package main

import (
	"fmt"

	"mailaudit/internal/dnsbl"
	"mailaudit/internal/report"
)

// asked is whom an audit with these options puts its DNS questions to, for
// --dry-run: open works with the same resolvers and lists.
func (o auditOptions) asked() report.Asked {
	var out report.Asked
	for _, s := range o.transport.resolvers {
		out.Resolvers = append(out.Resolvers, s.String())
	}
	for _, l := range dnsbl.Lists() {
		name := fmt.Sprintf("%s (%s)", l.Name, l.Zone)
		if l.IP4 || l.IP6 {
			out.Addresses = append(out.Addresses, name)
		}
		if l.Domain {
			out.Domains = append(out.Domains, name)
		}
	}
	return out
}
