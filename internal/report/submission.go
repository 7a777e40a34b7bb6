package report

import (
	"fmt"
	"slices"

	"mailaudit/internal/audit"
)

// This file tells of the servers that a domain's own people hand in mail to,
// apart from those that take it from others.

// mailEndpoints are the servers that take mail for the domain; all that were
// named, where no domain was.
func mailEndpoints(run *audit.Run) []audit.Endpoint {
	return slices.DeleteFunc(slices.Clone(run.Snapshot.Facts.SMTP), func(e audit.Endpoint) bool {
		return run.Kind == audit.KindAudit && submits(e)
	})
}

// submissionEndpoints are those of an audit that mail is handed in to.
func submissionEndpoints(run *audit.Run) []audit.Endpoint {
	return slices.DeleteFunc(slices.Clone(run.Snapshot.Facts.SMTP), func(e audit.Endpoint) bool {
		return run.Kind != audit.KindAudit || !submits(e)
	})
}

func submits(e audit.Endpoint) bool {
	_, is := audit.SubmissionMode(e.Port)
	return is
}

// mailHosts are the hosts that take mail for the domain.
func mailHosts(f audit.Facts) []audit.Host {
	return slices.DeleteFunc(slices.Clone(f.Hosts), func(h audit.Host) bool { return h.Role == audit.RoleSubmission })
}

// submissionSentence says how the submission servers received us; empty: there
// was none.
func submissionSentence(run *audit.Run) string {
	t := tallyOf(submissionEndpoints(run))
	switch {
	case t.tried == 0:
		return ""
	case t.up == t.tried:
		return fmt.Sprintf("Its submission servers answer, on %s.", plural(t.tried, "port"))
	}
	return fmt.Sprintf("Its submission servers answer on %d of %s; %s.", t.up, plural(t.tried, "port"), t.rest())
}

// submissionTable is what DNS says of submission servers; ok is false where it
// was not asked.
func submissionTable(run *audit.Run) (t Table, ok bool) {
	t = Table{Title: "Submission servers (SRV)", Head: []string{"Name", "Priority, weight, port, host"}}
	for _, s := range run.Snapshot.Facts.Submission.Services(run.Snapshot.Domain) {
		ok = ok || s.Records.State != audit.NotTried
		t.Rows = append(t.Rows, []Cell{theirs(s.Name.String()), cell(s.Records, "none", srvCell)})
	}
	return t, ok
}

func srvCell(records []audit.SRVRecord) Cell {
	c := theirs()
	for _, r := range records {
		line := fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, r.Target)
		if r.IsNone() {
			line = "not offered (.)"
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}
