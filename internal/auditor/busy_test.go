package auditor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

func TestBusyBefore(t *testing.T) {
	const mx = "mx.example.org[192.0.2.25]:25"
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	spell := func(hours int) []audit.BusySpell {
		return []audit.BusySpell{{Endpoint: mx, Since: noon.Add(time.Duration(hours) * time.Hour)}}
	}
	busy := audit.Finding{Rule: rules.BusyID, Subject: mx, Status: audit.UnknownStatus, Cause: audit.Busy}
	again := audit.Finding{Rule: rules.BusyID, Subject: mx, Status: audit.Fail}
	dark := audit.Finding{Rule: rules.BusyID, Subject: mx, Status: audit.UnknownStatus, Cause: audit.Timeout}
	free := audit.Finding{Rule: rules.BusyID, Subject: mx, Status: audit.Pass}
	other := audit.Finding{Rule: "smtp.unreachable", Subject: mx, Status: audit.UnknownStatus, Cause: audit.Busy}
	for name, c := range map[string]struct {
		before   []audit.BusySpell
		findings []audit.Finding
		want     []audit.BusySpell
	}{
		"the first time":           {nil, []audit.Finding{busy}, spell(0)},
		"it goes on":               {spell(-3), []audit.Finding{busy}, spell(-3)},
		"it was a fault":           {spell(-3), []audit.Finding{again}, spell(-3)},
		"not seen":                 {spell(-3), []audit.Finding{dark}, spell(-3)},
		"not looked at":            {spell(-3), nil, spell(-3)},
		"it had room":              {spell(-3), []audit.Finding{free}, nil},
		"another rule is not this": {nil, []audit.Finding{other}, nil},
		"never":                    {nil, []audit.Finding{free}, nil},
	} {
		prior := audit.Prior{Base: &audit.Run{Started: noon, Findings: c.findings}}
		prior.Base.Snapshot.Past.Busy = c.before
		if got := busyBefore(prior); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		prior.OtherVantage = true
		if got := busyBefore(prior); got != nil {
			t.Errorf("%s: from elsewhere: %v", name, got)
		}
	}
	if got := busyBefore(audit.Prior{}); got != nil {
		t.Errorf("without a past: %v", got)
	}
	many := audit.Prior{Base: &audit.Run{}}
	for i := range 2 * audit.PastHosts {
		f := busy
		f.Subject = fmt.Sprint(i)
		many.Base.Findings = append(many.Base.Findings, f)
	}
	if got := busyBefore(many); len(got) != audit.PastHosts {
		t.Errorf("%d servers are remembered", len(got))
	}
}
