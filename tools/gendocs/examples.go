package main

import (
	"fmt"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// servers is how many mail servers the domain of the examples has.
const servers = 20

// first is a domain with a fault or two of every kind, all of it seen.
func first() example {
	e := example{Story: fmt.Sprintf("A domain with %d mail servers and one address that sends. All areas were asked and everything answered. "+
		"The address that sends is on a block list and has no PTR record, and the SPF record does not parse; DMARC only watches, and nobody reads the "+
		"reports; one server has an expired certificate, and three offer STARTTLS a second time.", servers)}
	e.run = run(map[audit.RuleID]verdicts{
		"dnsbl.listed-blocking": {fails: 1, severity: audit.High},
		"rdns.ptr-missing":      {fails: 1, severity: audit.High},
		"spf.syntax":            {fails: 1, severity: audit.High},
		"dmarc.p-none":          {fails: 1, severity: audit.Medium},
		"dmarc.no-rua":          {fails: 1, severity: audit.Medium},
		"tls.cert-expired":      {fails: 1, severity: audit.Medium},
		"tls.starttls-again":    {fails: 3, severity: audit.Low},
	}, audit.Areas(), 0)
	e.Faults = faults(e.run)
	return e
}

// second is the same kind of domain, seen in part.
func second() example {
	var asked []audit.Area
	for _, a := range audit.Areas() {
		if a != audit.AreaSPF && a != audit.AreaDMARC {
			asked = append(asked, a)
		}
	}
	e := example{Story: fmt.Sprintf("The same domain with most of it repaired, on a bad night: four of the %d servers do not answer, and the run was told "+
		"to leave SPF and DMARC out (`--skip spf,dmarc`). One server offers no STARTTLS.", servers)}
	e.run = run(map[audit.RuleID]verdicts{"tls.starttls-missing": {fails: 1, severity: audit.Medium}}, asked, 4)
	e.Faults = faults(e.run)
	return e
}

// verdicts is how many subjects of a rule fail, and how badly.
type verdicts struct {
	fails    int
	severity audit.Severity
}

// run makes a run in which every rule of the areas passes but for the verdicts,
// and nothing is known of the first servers, as many as are silent.
func run(not map[audit.RuleID]verdicts, areas []audit.Area, silent int) audit.Run {
	out := audit.Run{Kind: audit.KindAudit, State: audit.Complete, Target: "example.org"}
	out.Snapshot.Scope.Areas = areas
	for _, r := range rules.Catalogue() {
		if !out.Snapshot.Scope.Has(r.Area()) {
			continue
		}
		subjects, dark := 1, 0
		if r.Area().Connects() {
			subjects, dark = servers, silent
		}
		for i := range subjects {
			f := audit.Finding{Rule: r.ID, Subject: fmt.Sprintf("subject %d", i+1), Status: audit.Pass, Severity: r.Worst()}
			switch bad := not[r.ID]; {
			case i < dark:
				f.Status, f.Cause = audit.UnknownStatus, audit.Timeout
			case i-dark < bad.fails:
				f.Status, f.Severity = audit.Fail, bad.severity
			}
			out.Findings = append(out.Findings, f)
		}
	}
	return out
}

// faults lists the rules that fail.
func faults(run audit.Run) []fault {
	var out []fault
	for _, f := range run.Findings {
		if f.Status != audit.Fail {
			continue
		}
		rule, _ := rules.Lookup(f.Rule)
		if len(out) > 0 && out[len(out)-1].Rule == f.Rule {
			continue
		}
		out = append(out, fault{f.Rule, where(run, f.Rule), f.Severity, rule.Axis})
	}
	return out
}

// where says at how many of the servers a rule fails.
func where(run audit.Run, id audit.RuleID) string {
	all, fails := 0, 0
	for _, f := range run.Findings {
		if f.Rule == id {
			all++
		}
		if f.Rule == id && f.Status == audit.Fail {
			fails++
		}
	}
	if all == 1 {
		return ""
	}
	return fmt.Sprintf(", %d of %d servers", fails, all)
}
