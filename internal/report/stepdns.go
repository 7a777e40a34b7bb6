package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// dnsStep is how the address was found: none where it was named. A step is
// there when there is an address, so that it always went well.
func (v view) dnsStep() []Step {
	i := slices.IndexFunc(v.run.Snapshot.Facts.Hosts, func(h audit.Host) bool { return h.Name == v.e.Host })
	if i < 0 {
		return nil
	}
	h, kind := v.run.Snapshot.Facts.Hosts[i], "A"
	found, leftOut := h.A, h.ALeftOut
	if v.e.Addr.Is6() {
		kind, found, leftOut = "AAAA", h.AAAA, h.AAAALeftOut
	}
	if found.State != audit.Seen || found.Via == "" {
		return nil
	}
	text := fmt.Sprintf("%s of %s: this address", kind, h.Name)
	if others := len(found.Value) + leftOut - 1; others > 0 {
		text += fmt.Sprintf(" and %d more", others)
	}
	s := Step{Name: stepDNS, Status: StepOK, Took: v.asked(h.Name, kind), Seen: []Cell{ours(text)}}
	if h.Alias.State == audit.Seen {
		s.Seen = append(s.Seen, ours("an alias of "+chain(h.Alias.Value)))
	}
	return []Step{s}
}

// asked is how long a question took, all its tries together.
func (v view) asked(name audit.DNSName, kind string) string {
	var took time.Duration
	for _, q := range v.run.Sidecar.Queries {
		if q.Name == name && strings.EqualFold(q.Type, kind) {
			for _, t := range q.Tries {
				took += t.Elapsed
			}
		}
	}
	if took == 0 {
		return ""
	}
	return lasted(took)
}
