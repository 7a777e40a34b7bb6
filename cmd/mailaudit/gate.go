package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
)

// gate decides on the exit code of a run.
type gate struct {
	failOn    audit.Severity // "" for never
	onlyNew   bool
	onUnknown bool
}

func readGate(c *cli.Context) (gate, error) {
	failOn, onUnknown := c.String("fail-on"), c.String("on-unknown")
	err := oneOf("fail-on", failOn, "critical", "high", "medium", "low", "never") // info never gates
	if err != nil {
		return gate{}, err
	}
	err = oneOf("on-unknown", onUnknown, "ignore", "fail")
	if err != nil {
		return gate{}, err
	}
	if failOn == "never" {
		failOn = ""
	}
	return gate{audit.Severity(failOn), c.Bool("fail-on-new"), onUnknown == "fail"}, nil
}

// code is the exit code that a run deserves.
func (g gate) code(run *audit.Run, delta *audit.Delta) int {
	isNew := map[audit.Key]bool{}
	for _, ch := range delta.Changes {
		isNew[audit.Key{Rule: ch.Rule, Subject: ch.Subject}] = g.isNews(ch)
	}
	first := isFirst(run, delta)
	known, dark, out := false, false, exitOK
	for _, f := range run.Findings {
		if f.OurSide() && f.Cause != audit.Bug {
			continue // our own side is neither a fault nor a result
		}
		known = known || f.Status == audit.Fail || f.Status == audit.Pass && !empty(run, f)
		dark = dark || f.Status == audit.UnknownStatus
		gates := g.failOn != "" && f.Status == audit.Fail && f.Severity.AtLeast(g.failOn)
		switch {
		case f.Cause == audit.Bug:
			out = worse(out, exitBroken)
		case gates && (!g.onlyNew || first || isNew[f.Key()]):
			out = worse(out, exitFindings)
		}
	}
	if dark && g.onUnknown || !known && (dark || run.Kind == audit.KindSMTP) {
		out = worse(out, exitUnknown)
	}
	return out
}

// empty reports whether a pass says nothing of a server that was to be tested:
// that its port answers, and with "not you" where nothing else is known.
func empty(run *audit.Run, f audit.Finding) bool {
	return run.Kind == audit.KindSMTP && f.Rule == "smtp.unreachable"
}

// isFirst reports whether a run had nothing to be compared with. Then all of
// it is new: a gate that let everything pass for want of a history would let it
// pass for ever where the history is lost every night.
func isFirst(run *audit.Run, delta *audit.Delta) bool {
	return run.State == audit.Complete && delta.Base == nil
}

// note says why a gate that is for news alone lets nothing pass.
func (g gate) note(run *audit.Run, delta *audit.Delta) []string {
	if !g.onlyNew || !isFirst(run, delta) || g.code(run, delta) != exitFindings {
		return nil
	}
	return []string{run.Target + " has no earlier run to compare with: all its faults are new to --fail-on-new"}
}

// isNews reports whether a change makes a fail new: what was fine broke, what
// was not there is there and fails, or a fault grew beyond the threshold.
func (g gate) isNews(ch audit.Change) bool {
	switch ch.Class {
	case audit.Broken:
		return true
	case audit.Appeared:
		return ch.Now == audit.Fail
	case audit.StillFailing:
		return ch.Was != "" && !ch.Was.AtLeast(g.failOn)
	}
	return false
}

// worse is the exit code that wins.
func worse(a, b int) int {
	for _, code := range []int{exitInterrupted, exitTerminated, exitUsage, exitBroken, exitFindings, exitUnknown} {
		if a == code || b == code {
			return code
		}
	}
	return exitOK
}

// fewNotes sums up what would be said of too many domains.
func fewNotes(notes []string) []string {
	const few = 3
	if len(notes) <= few {
		return notes
	}
	return []string{fmt.Sprintf("%d domains have no earlier run to compare with: all their faults are new to --fail-on-new", len(notes))}
}
