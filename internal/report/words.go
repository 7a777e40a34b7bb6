package report

import (
	"fmt"
	"strings"

	"mailaudit/internal/audit"
)

// headline answers the questions of a domain owner in plain sentences, and
// claims nothing that was not seen.
func headline(run *audit.Run, m Model) []string {
	if run.State != audit.Complete {
		return []string{fmt.Sprintf("This run was %s: what it had not seen by then is unknown.", run.State)}
	}
	if len(run.Findings) == 0 {
		return []string{"Nothing was judged."}
	}
	out := []string{routeSentence(run)}
	critical, high := 0, 0
	for _, f := range run.Findings {
		switch {
		case f.Status != audit.Fail:
		case f.Severity == audit.Critical:
			critical++
		case f.Severity == audit.High:
			high++
		}
	}
	switch {
	case critical+high > 0:
		out = append(out, fmt.Sprintf("%s to repair now.", plural(critical+high, "serious fault")))
	case len(m.Fails) > 0:
		out = append(out, "Nothing serious was found; the rest is below, worst first.")
	case len(m.Unknown) == 0:
		out = append(out, "No fault was found.")
	default:
		out = append(out, "No fault was found in what could be seen.")
	}
	if m.Coverage < 100 {
		out = append(out, fmt.Sprintf("%d %% of what counts was seen; the rest is unknown, which is neither good nor bad.", m.Coverage))
	}
	return out
}

// routeSentence says where the mail goes.
func routeSentence(run *audit.Run) string {
	mx := run.Snapshot.Facts.MX
	switch {
	case mx.Exists.State == audit.Absent:
		return fmt.Sprintf("%s does not exist in DNS.", run.Target)
	case mx.Records.State == audit.Unknown:
		return fmt.Sprintf("Where mail for %s goes is not known: %s.", run.Target, strings.TrimSuffix(mx.Records.Why.Text, "."))
	case mx.Records.State == audit.Absent:
		return fmt.Sprintf("%s has no MX records; mail goes to its own address.", run.Target)
	case len(mx.Records.Value) == 1 && mx.Records.Value[0].IsNull():
		return fmt.Sprintf("%s takes no mail (null MX).", run.Target)
	}
	up, all := 0, 0
	for _, e := range run.Snapshot.Facts.SMTP {
		all++
		if e.Greeting.State == audit.Seen && e.Greeting.Value.Code == 220 {
			up++
		}
	}
	switch {
	case all == 0:
		return fmt.Sprintf("Mail for %s goes to %s.", run.Target, plural(len(run.Snapshot.Facts.Hosts), "host"))
	case up == all:
		return fmt.Sprintf("The mail servers of %s answer, on %s.", run.Target, plural(all, "address"))
	}
	return fmt.Sprintf("Of %s of the mail servers of %s, %d answered us.", plural(all, "address"), run.Target, up)
}

// limits says what a result like this one does not prove.
func limits(run *audit.Run) []string {
	out := []string{"It was seen from one network, at one time: servers treat networks differently (reputation, rate, allow lists)."}
	if run.Snapshot.Scope.Passive {
		return append(out, "Only DNS was asked (--passive): nothing is known about the servers themselves.")
	}
	if len(run.Snapshot.Facts.SMTP) > 0 {
		out = append(out,
			"A connection that works proves neither that mail is accepted, nor that it is delivered, nor that a login works: no mail, no recipient and no password was tried.",
			"STARTTLS on offer protects against listeners, not against someone who can remove the offer.")
	}
	return out
}
