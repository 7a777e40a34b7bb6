package report

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// headline answers the questions of a domain owner in plain sentences, and
// claims nothing that was not seen.
func headline(run *audit.Run, m Model) []string {
	serious := 0
	for _, it := range m.Fails {
		if it.Severity.AtLeast(audit.High) {
			serious++
		}
	}
	if run.State != audit.Complete {
		out := []string{stopped(run.State)}
		switch {
		case serious > 0:
			out = append(out, fmt.Sprintf("%s to repair now had been found.", plural(serious, "serious fault")))
		case len(m.Fails) > 0:
			out = append(out, "Nothing serious had been found; the rest is below, worst first.")
		}
		return out
	}
	if len(run.Findings) == 0 {
		return []string{"Nothing was judged."}
	}
	out := append(notEmpty(routeSentence(run), submissionSentence(run)), shutSentences(run)...)
	if m.Passed+len(m.Fails)+len(m.Notes) == 0 && m.Unseen > 0 {
		return append(out, "Nothing could be seen, so nothing is judged: this is neither good nor bad.")
	}
	switch {
	case untested(run, m):
		return append(out, "Nothing more could be seen, so nothing is judged: this is neither good nor bad.")
	case serious > 0:
		out = append(out, fmt.Sprintf("%s to repair now.", plural(serious, "serious fault")))
	case len(m.Fails) > 0:
		out = append(out, "Nothing serious was found; the rest is below, worst first.")
	case m.Unseen == 0:
		out = append(out, "No fault was found.")
	default:
		out = append(out, "No fault was found in what could be seen.")
	}
	if slices.ContainsFunc(mailHosts(run.Snapshot.Facts), func(h audit.Host) bool {
		return h.A.State == audit.Unknown || h.AAAA.State == audit.Unknown
	}) {
		out = append(out, "Not all addresses of its mail hosts are known.")
	}
	leftOut := 0
	for _, h := range mailHosts(run.Snapshot.Facts) {
		leftOut += h.ALeftOut + h.AAAALeftOut
	}
	if leftOut > 0 {
		out = append(out, fmt.Sprintf("Its mail hosts have more addresses than a run follows: %d were left out.", leftOut))
	}
	if m.Coverage < 100 && run.Kind != audit.KindSMTP { // no share of one server means anything
		out = append(out, fmt.Sprintf("%d %% of what counts was seen; the rest %s, which is neither good nor bad.", m.Coverage, unseen(run.Score)))
	}
	return out
}

// unseen says why the rest was not seen.
func unseen(s audit.Score) string {
	unknown, notAsked := false, false
	for _, a := range s.Axes {
		unknown, notAsked = unknown || a.Unknown > 0, notAsked || len(a.NotAsked) > 0
	}
	switch {
	case unknown && notAsked:
		return "is unknown or was not asked"
	case notAsked:
		return "was not asked"
	}
	return "is unknown"
}

// stopped says what a run is worth that did not come to its end.
func stopped(state audit.RunState) string {
	const rest = "what it had not seen by then is unknown."
	switch state {
	case audit.Aborted:
		return "This run was stopped before its end: " + rest
	case audit.Running:
		return "This run has not come to its end yet: " + rest
	}
	return fmt.Sprintf("This run did not come to its end (%s): %s", state, rest)
}

// routeSentence says where the mail goes.
func routeSentence(run *audit.Run) string {
	switch domain, all := mxTarget(run); {
	case all:
		of := *run
		of.Target, run = domain, &of
	case run.Kind == audit.KindSMTP:
		return testSentence(run)
	}
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
	return serverSentence(run)
}

// serverSentence says how the mail servers received us.
func serverSentence(run *audit.Run) string {
	t, scope := tallyOf(mailEndpoints(run)), run.Snapshot.Scope
	hosts := plural(len(mailHosts(run.Snapshot.Facts)), "host")
	switch {
	case t.tried == 0 && !scope.Passive && scope.Has(audit.AreaSMTP):
		return fmt.Sprintf("Mail for %s goes to %s; there was nothing to connect to.", run.Target, hosts)
	case t.tried == 0:
		return fmt.Sprintf("Mail for %s goes to %s.", run.Target, hosts)
	case t.up == t.tried:
		return fmt.Sprintf("The mail servers of %s answer, on %s.", run.Target, plural(t.tried, "address"))
	case t.tried == 1:
		return fmt.Sprintf("The mail server of %s, on 1 address, %s.", run.Target, strings.TrimPrefix(t.rest(), "1 "))
	case t.silent == t.tried:
		return fmt.Sprintf("No mail server of %s answered, on %s.", run.Target, plural(t.tried, "address"))
	case t.up == 0:
		return fmt.Sprintf("No mail server of %s welcomed us; of %s %s.", run.Target, plural(t.tried, "address"), t.rest())
	}
	return fmt.Sprintf("The mail servers of %s answer on %d of %s; %s.", run.Target, t.up, plural(t.tried, "address"), t.rest())
}

// tally counts addresses by how they received us.
type tally struct{ tried, up, refusing, unwelcome, mute, silent, spared int }

func tallyOf(endpoints []audit.Endpoint) tally {
	var t tally
	for _, e := range endpoints {
		if e.Connect.State == audit.NotTried {
			continue
		}
		t.tried++
		switch {
		case e.Connect.State == audit.Absent:
			t.refusing++
		case e.Greeting.State == audit.Seen && e.Greeting.Value.Code == 220:
			t.up++
		case e.Greeting.State == audit.Seen:
			t.unwelcome++
		case e.Connect.State == audit.Seen:
			t.mute++
		case e.Connect.Why.Code == audit.Timeout, e.Connect.Why.Code == audit.NoAnswer:
			t.silent++
		default:
			t.spared++
		}
	}
	return t
}

// rest tells the addresses that did not welcome us.
func (t tally) rest() string {
	var out []string
	for _, kind := range []struct {
		n         int
		one, many string
	}{
		{t.refusing, "refuses connections", "refuse connections"},
		{t.unwelcome, "turned us away", "turned us away"},
		{t.mute, "gave no greeting", "gave no greeting"},
		{t.silent, "did not answer", "did not answer"},
		{t.spared, "could not be contacted", "could not be contacted"},
	} {
		switch {
		case kind.n == 1:
			out = append(out, "1 "+kind.one)
		case kind.n > 1:
			out = append(out, fmt.Sprintf("%d %s", kind.n, kind.many))
		}
	}
	return strings.Join(out, ", ")
}

// plural is "1 check", "2 checks".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	if strings.HasSuffix(word, "ss") {
		word += "e"
	}
	return fmt.Sprintf("%d %ss", n, word)
}
