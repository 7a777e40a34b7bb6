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
	var all *spfReach
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
		if all == nil {
			all = reachOf(s)
		}
		judgeSPFCopied(r, f, networks, copied, all)
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

func judgeSPFCopied(r *Report, f audit.SPFFormer, networks, copied []netip.Prefix, all *spfReach) {
	subject := f.Name.String()
	var missing []netip.Prefix
	for _, n := range networks {
		if !coveredBy(n, all.networks) {
			missing = append(missing, n)
		}
	}
	evidence := []string{Seen(f.Networks.Via, fmt.Sprintf("%d networks", len(networks)+f.LeftOut))}
	switch {
	case all.everyone || len(missing) == 0 && f.LeftOut == 0:
		r.Pass(subject, "the policy passes all networks that "+subject+" authorises today", evidence...)
		return
	case all.doubt.Code != "":
		r.Unknown(subject, all.doubt, evidence...)
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

// spfReach is whom the policy passes, as networks.
type spfReach struct {
	networks []netip.Prefix
	everyone bool
	doubt    audit.Reason // why there may be more; empty when there are not
}

func reachOf(s *audit.Snapshot) *spfReach {
	p := s.Facts.SPF.Policy(s.Domain)
	w := &spfReach{everyone: p.Authorised.Everyone}
	if p.Authorised.Others {
		w.unsure(audit.Reason{Code: audit.NotLearned, Text: "the policy also passes senders by exists, ptr or macros, which nobody can list"})
	}
	w.branch(p.Tree)
	return w
}

func (w *spfReach) unsure(why audit.Reason) {
	if w.doubt.Code == "" {
		w.doubt = why
	}
}

// branch adds a record and those below it. One that the tree has already was
// added there.
func (w *spfReach) branch(b *audit.SPFBranch) {
	if b.State != audit.Seen && b.State != audit.Absent {
		why := b.Answer
		if why.Code == "" {
			why = audit.Reason{Code: audit.NotAsked, Text: "this run did not ask for the record of " + b.Domain.String()}
		}
		w.unsure(why)
	}
	if len(b.Records) != 1 {
		return
	}
	terms := map[int]audit.SPFTerm{}
	for _, t := range audit.ParseSPF(b.Records[0]).Terms {
		terms[t.At] = t
	}
	for _, out := range b.Terms {
		t := terms[out.At]
		if out.Dead || t.Qualifier != '+' && !t.Modifier {
			continue
		}
		switch {
		case t.Network.IsValid():
			w.networks = append(w.networks, t.Network)
		case out.Branch != nil:
			w.branch(out.Branch)
		case out.Found != nil:
			w.found(t, out.Found)
		case t.Looks() && !out.Varies && t.Name != "ptr":
			w.unsure(audit.Reason{Code: audit.NotAsked, Text: "this run did not ask for " + t.Quoted()})
		}
	}
}

// found adds the networks around the addresses that an a or mx finds.
func (w *spfReach) found(t audit.SPFTerm, f *audit.SPFFound) {
	for _, a := range f.IP4 {
		w.networks = append(w.networks, netip.PrefixFrom(a, t.Bits4).Masked())
	}
	for _, a := range f.IP6 {
		w.networks = append(w.networks, netip.PrefixFrom(a, t.Bits6).Masked())
	}
	switch {
	case f.State == audit.Unknown:
		w.unsure(f.Answer)
	case f.Doubt.Code != "":
		w.unsure(f.Doubt)
	case f.LeftOut+f.HostsLeftOut > 0:
		w.unsure(audit.Reason{Code: audit.NotAsked, Text: t.Quoted() + " has more addresses than were followed"})
	}
}
