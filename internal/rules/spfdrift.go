package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

func judgeSPFDrift(s *audit.Snapshot, r *Report) {
	record, ok := spfSound(s, r)
	if !ok {
		return
	}
	if len(s.Facts.SPF.Former) == 0 {
		r.NA(s.Domain.String(), "no include that earlier runs saw is gone")
		return
	}
	var own []netip.Prefix
	for _, t := range record.Reached() {
		if t.Network.IsValid() && t.Qualifier == '+' {
			own = append(own, t.Network)
		}
	}
	t := r.policyTree(s)
	for _, f := range s.Facts.SPF.Former {
		subject := f.Name.String()
		networks, _, ok := Need(r, subject, f.Networks)
		if !ok {
			continue
		}
		copied := spfCopied(networks, own)
		if len(copied) == 0 {
			r.Pass(subject, "the record names no network of "+subject)
			continue
		}
		judgeSPFCopied(r, f, networks, copied, t)
	}
}

// spfCopied are the networks of a former include that stand in the record as
// they are. A single host that both name is no copy: it may be one server that
// both parties know of.
func spfCopied(networks, own []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range networks {
		if slices.Contains(own, n) {
			out = append(out, n)
		}
	}
	if len(out) == 1 && out[0].IsSingleIP() {
		return nil
	}
	return out
}

func judgeSPFCopied(r *Report, f audit.SPFFormer, networks, copied []netip.Prefix, t *spfTree) {
	subject := f.Name.String()
	reached, doubt := t.reach()
	var missing []netip.Prefix
	for _, n := range networks {
		if !coveredBy(n, reached) {
			missing = append(missing, n)
		}
	}
	evidence := []string{Seen(f.Networks.Via, fmt.Sprintf("%d networks", len(networks)+f.LeftOut))}
	switch {
	case t.policy.Authorised.Everyone || len(missing) == 0 && f.LeftOut == 0:
		r.Pass(subject, "the policy passes all networks that "+subject+" authorises today", evidence...)
		return
	case doubt.Code != "":
		r.Unknown(subject, doubt, evidence...)
		return
	case len(missing) == 0:
		r.Unknown(subject, audit.Reason{Code: audit.NotAsked, Text: "it authorises more networks than are kept"}, evidence...)
		return
	}
	r.Fail(subject, Fault{
		Detail: fmt.Sprintf("networks of %s stand in the SPF record in place of the include (%s), and others that it authorises today do not pass: %s",
			subject, fewNetworks(copied), fewNetworks(missing)),
		Evidence: evidence,
		Fix: audit.Fix{Summary: "put the include back", Steps: []string{
			"if mail is still sent through it: write include:" + subject + " in place of the copied networks",
			"count the lookups (mailaudit spf shows them): where they become too many, let it send as a name of its own below the domain",
			"if nothing is sent through it any more: take the copied networks away, after a look at the DMARC reports",
		}},
	})
}

// fewNetworks writes some networks for a sentence.
func fewNetworks(networks []netip.Prefix) string {
	const shown = 3
	out := strings.Join(texts(networks[:min(len(networks), shown)]), ", ")
	if n := len(networks) - shown; n > 0 {
		out += fmt.Sprintf(" and %d more", n)
	}
	return out
}

// reach are the networks that the policy passes, as far as they are known, and
// why there may be others; empty when there are not.
func (t *spfTree) reach() (networks []netip.Prefix, doubt audit.Reason) {
	for _, n := range t.passing() {
		networks = append(networks, n.net)
	}
	doubt = t.policy.Tree.Doubt()
	if doubt.Code != "" {
		return networks, doubt
	}
	if t.policy.Authorised.Others {
		return networks, audit.Reason{Code: audit.NotLearned, Text: "the policy also passes senders by exists, ptr or macros, which nobody can list"}
	}
	for _, p := range t.places {
		if f := p.term.Found; f != nil && f.LeftOut+f.HostsLeftOut > 0 {
			return networks, audit.Reason{Code: audit.NotAsked, Text: p.spec.Quoted() + " has more addresses than were followed"}
		}
	}
	return networks, audit.Reason{}
}
