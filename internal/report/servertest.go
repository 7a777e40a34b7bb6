package report

import (
	"fmt"
	"slices"
	"time"

	"mailaudit/internal/audit"
)

// This file makes the part of a report that runs of kind smtp have alone: each
// address of the server, step by step as the dialogue went. A step shows what
// was observed; whether that is a fault is for the findings to say.

// Test is one address of a server.
type Test struct {
	Endpoint string // host[address]:port
	Address  string // with the name of the host before it, where there may be several
	Family   string // "IPv4" or "IPv6"
	Verdict  string // in a few words
	Steps    []Step // in the order of the dialogue
	// About says whose side a refusal is on; empty: there was none.
	About string
	// Talks are the connections as they went; empty when the run no longer has
	// them.
	Talks []Talk
}

// Step is one step of the dialogue, or what it showed.
type Step struct {
	Name   string
	Status StepStatus
	Took   string // empty: not known, or no single step
	Seen   []Cell
	Faults []StepFault
}

// StepFault is a rule that fails on a step.
type StepFault struct {
	Rule     audit.RuleID
	Severity audit.Severity
}

// String is "tls.cert-expired (high)".
func (f StepFault) String() string { return fmt.Sprintf("%s (%s)", f.Rule, f.Severity) }

// StepStatus is what came of a step, in a word.
type StepStatus string

// The statuses of steps.
const (
	StepOK       StepStatus = "ok"
	StepFail     StepStatus = "FAIL"      // a rule fails
	StepNote     StepStatus = "note"      // one of severity info does
	StepAbsent   StepStatus = "no"        // it is not there, and no rule minds
	StepRefused  StepStatus = "refused"   // we were turned away, which says nothing of the server
	StepUnknown  StepStatus = "unknown"   // nobody can tell from here
	StepNotTried StepStatus = "not tried" // it has no meaning here, or was not asked
)

// stepHead is the head of a table of steps.
func stepHead() []string { return []string{"Step", "Result", "Time", "What was seen"} }

// Talk is one connection.
type Talk struct {
	Title string
	Lines []TalkLine
}

// TalkLine is a line of a dialogue.
type TalkLine struct {
	At   string // seconds since the beginning
	From string // "C" we, "S" the server, "*" a remark of ours
	Text string
}

// tests is the whole part, an entry for each address.
func tests(run *audit.Run) []Test {
	if run.Kind != audit.KindSMTP {
		return nil
	}
	var out []Test
	for _, e := range run.Snapshot.Facts.SMTP {
		v := view{run: run, e: e}
		for _, f := range run.Findings {
			if f.Subject == e.Subject() && f.Status == audit.Fail {
				v.fails = append(v.fails, f)
			}
		}
		for _, s := range run.Sidecar.Sessions {
			switch {
			case s.Endpoint != e.Subject():
			case s.Purpose == "":
				v.sessions = append(v.sessions, s)
			default:
				v.aside = append(v.aside, s)
			}
		}
		for _, list := range [][]audit.Session{v.sessions, v.aside} {
			slices.SortStableFunc(list, func(a, b audit.Session) int { return a.N - b.N })
		}
		out = append(out, v.test())
	}
	return out
}

// view is what there is to tell about one address.
type view struct {
	run      *audit.Run
	e        audit.Endpoint
	fails    []audit.Finding // of this address
	sessions []audit.Session // in their order; none: no longer kept
	aside    []audit.Session // those beside the main dialogue, for old versions of TLS
}

func (v view) test() Test {
	t := Test{
		Endpoint: v.e.Subject(), Address: v.e.Addr.String(), Family: "IPv4",
		Verdict: v.verdict(), Steps: v.steps(), About: v.about(),
	}
	if v.e.Addr.Is6() {
		t.Family = "IPv6"
	}
	if _, all := mxTarget(v.run); all {
		t.Address = v.e.Host.String() + " at " + t.Address
	}
	all := slices.Concat(v.sessions, v.aside)
	for i, s := range all {
		talk := Talk{Title: fmt.Sprintf("%s, connection %d of %d", v.e.Addr, i+1, len(all))}
		if s.Purpose != "" {
			talk.Title += ", for old TLS"
		}
		for _, l := range s.Lines {
			talk.Lines = append(talk.Lines, TalkLine{fmt.Sprintf("%.3f", l.At.Seconds()), l.From, l.Text.String()})
		}
		if s.Outcome != "" && s.Outcome != outcomeComplete {
			talk.Lines = append(talk.Lines, TalkLine{"", "*", "the end: " + s.Outcome})
		}
		t.Talks = append(t.Talks, talk)
	}
	return t
}

// outcomeComplete is the outcome of a connection on which all was seen
// (smtp.Prober).
const outcomeComplete = "complete"

// verdict is how the address did, in a few words.
func (v view) verdict() string {
	faults := len(slices.DeleteFunc(slices.Clone(v.fails), func(f audit.Finding) bool { return f.Severity == audit.Info }))
	with := ""
	if faults > 0 {
		with = ", with " + plural(faults, "fault")
	}
	switch greeting := v.e.Greeting; {
	case v.e.Connect.State == audit.NotTried:
		return "not tried"
	case v.e.Connect.State == audit.Absent:
		return "refused"
	case v.e.Connect.State == audit.Unknown && slices.ContainsFunc(v.fails, func(f audit.Finding) bool { return f.Rule == "smtp.unreachable" }):
		return "does not answer"
	case v.e.Connect.State == audit.Unknown:
		return "unknown"
	case v.received() != "":
		return v.received() + with
	case v.refusedUs():
		return "turned us away"
	case greeting.State == audit.Seen && greeting.Value.Code/100 == 4:
		return "turned us away for now"
	case v.complete():
		return "works" + with
	case v.lost():
		return "partly unknown" + with
	}
	return "answers" + with
}

// complete reports whether the dialogue came to its end, or to where a server
// that works may end it: without STARTTLS there is nothing more to ask.
func (v view) complete() bool {
	e := v.e
	switch {
	case e.Greeting.State != audit.Seen || e.Greeting.Value.Code != codeReady:
		return false
	case e.Mode == audit.ModeTLS:
		return e.HelloTLS.State == audit.Seen
	case e.Hello.State != audit.Seen:
		return false
	}
	return e.HelloTLS.State == audit.Seen || e.StartTLS.State == audit.Absent || e.Mode == audit.ModePlain
}

// lost reports whether some step is not known.
func (v view) lost() bool {
	for _, why := range v.unknowns() {
		if why.Code != "" {
			return true
		}
	}
	return false
}

// unknowns are the reasons of the steps that are not known; a zero one for
// each that is.
func (v view) unknowns() []audit.Reason {
	e := v.e
	return []audit.Reason{darkWhy(e.Connect), darkWhy(e.Greeting), darkWhy(e.Hello), darkWhy(e.StartTLS), darkWhy(e.TLS), darkWhy(e.HelloTLS)}
}

// refusedUs reports whether the server turned us away in a way that may be
// about our address.
func (v view) refusedUs() bool {
	return slices.ContainsFunc(v.unknowns(), func(why audit.Reason) bool { return why.Code == audit.RefusedUs })
}

// took is how long a step lasted, the first time it was taken.
func (v view) took(step func(audit.Session) time.Duration) string {
	for _, s := range v.sessions {
		if d := step(s); d > 0 {
			return lasted(d)
		}
	}
	return ""
}

// lasted is a duration for people.
func lasted(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// twice says how far apart two connections were that showed the same.
func (v view) twice() string {
	if len(v.sessions) < 2 {
		return "twice"
	}
	first, second := v.sessions[0], v.sessions[1]
	apart := second.Started.Sub(first.Started.Add(first.Connect))
	if apart < time.Second {
		return "twice"
	}
	return fmt.Sprintf("twice, %.0f s apart", apart.Seconds())
}

// means is the mode of the connections, and how it was chosen. Only a mode
// that the port does not have by itself shows that it was asked for.
func means(run *audit.Run) string {
	if run.Kind != audit.KindSMTP || len(run.Snapshot.Facts.SMTP) == 0 {
		return ""
	}
	e := run.Snapshot.Facts.SMTP[0]
	mode, usual := e.Mode, audit.ModeSTARTTLS
	if mode == "" {
		mode = audit.ModeSTARTTLS
	}
	if e.Port == portSubmissions {
		usual = audit.ModeTLS
	}
	if mode == usual {
		return fmt.Sprintf("mode %s (usual for port %d)", mode, e.Port)
	}
	return fmt.Sprintf("mode %s (asked for; usual for port %d is %s)", mode, e.Port, usual)
}

// The ports that have a way of their own (RFC 8314 section 7.3, RFC 6409
// section 3.1).
const (
	portSubmissions = 465 // TLS from the first byte
	portSubmission  = 587 // STARTTLS
)

// codeReady greets a client that is welcome (RFC 5321 section 4.2.3).
const codeReady = 220
