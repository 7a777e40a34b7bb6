package auditor

import (
	"slices"
	"strings"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// busyBefore are the servers that had no room for us when they were last seen
// from here, each since the first run that met it so. A run that did not see
// them leaves that as it was.
func busyBefore(prior audit.Prior) []audit.BusySpell {
	if prior.Base == nil || prior.OtherVantage {
		return nil
	}
	spells := map[string]time.Time{}
	for _, b := range prior.Base.Snapshot.Past.Busy {
		spells[b.Endpoint] = b.Since
	}
	for _, f := range prior.Base.Findings {
		_, already := spells[f.Subject]
		switch {
		case f.Rule != rules.BusyID:
		case f.Status == audit.Pass:
			delete(spells, f.Subject)
		case f.Cause == audit.Busy && !already:
			spells[f.Subject] = prior.Base.Started
		}
	}
	var out []audit.BusySpell
	for endpoint, since := range spells {
		out = append(out, audit.BusySpell{Endpoint: endpoint, Since: since})
	}
	slices.SortFunc(out, func(a, b audit.BusySpell) int { return strings.Compare(a.Endpoint, b.Endpoint) })
	return out[:min(len(out), audit.PastHosts)]
}
