package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// steps are the steps of the dialogue, in the order of its mode (the package
// comment of smtp has them).
func (v view) steps() []Step {
	if v.e.Connect.State != audit.Seen {
		return append(v.dnsStep(), v.judged([]Step{v.connectStep()})...)
	}
	list := []Step{v.connectStep(), v.greetingStep(), v.helloStep(), v.upgradeStep(), v.certificateStep(), v.versionStep()}
	if v.e.Mode == audit.ModeTLS {
		list = []Step{v.connectStep(), v.handshakeStep(), v.certificateStep(), v.versionStep(), v.greetingStep(), v.helloStep()}
	}
	list = shortened(v.judged(v.told(append(v.withFamily(list), v.authStep(), v.extensionsStep()))))
	if len(v.sessions) > 0 {
		list = append(list, v.closedStep())
	}
	return append(v.dnsStep(), list...)
}

// shortened says once, behind the step that ended the dialogue, what all the
// steps behind it would say: that they are not known, or were not tried.
func shortened(list []Step) []Step {
	var out []Step
	rest := map[StepStatus][]string{}
	ended := false
	for _, s := range list {
		silent := s.Status == StepUnknown || s.Status == StepNotTried
		if ended && silent {
			rest[s.Status] = append(rest[s.Status], s.Name)
			continue
		}
		out = append(out, s)
		ended = ended || silent || s.Status == StepRefused
	}
	for _, status := range []StepStatus{StepUnknown, StepNotTried} {
		if len(rest[status]) > 0 {
			out = append(out, Step{Name: "the rest", Status: status, Seen: []Cell{ours(enumerated(rest[status]))}})
		}
	}
	return out
}

// judged writes into each step which rules fail on it.
func (v view) judged(list []Step) []Step {
	for _, f := range v.fails {
		i := slices.IndexFunc(list, func(s Step) bool { return s.Name == stepOf(f.Rule) })
		if i < 0 { // in mode tls STARTTLS has another name, and some steps are not there
			i = slices.IndexFunc(list, func(s Step) bool { return s.Name == stepTLS && f.Rule.Area() == audit.AreaTLS })
		}
		i = max(i, 0)
		list[i].Faults = append(list[i].Faults, StepFault{f.Rule, f.Severity})
		switch {
		case f.Severity != audit.Info:
			list[i].Status = StepFail
		case list[i].Status == StepOK || list[i].Status == StepAbsent:
			list[i].Status = StepNote
		}
	}
	return list
}

// The names of the steps.
const (
	stepDNS        = "DNS"
	stepConnect    = "connect"
	stepGreeting   = "greeting"
	stepEHLO       = "EHLO"
	stepSTARTTLS   = "STARTTLS"
	stepTLS        = "TLS"
	stepCert       = "cert"
	stepVersions   = "versions"
	stepAUTH       = "AUTH"
	stepExtensions = "extensions"
	stepClosed     = "closed"
)

// stepOf is the step that a rule judges.
func stepOf(id audit.RuleID) string {
	switch id {
	case "smtp.unreachable":
		return stepConnect
	case "smtp.ehlo-refused", "smtp.ehlo-mangled", "smtp.tarpit":
		return stepEHLO
	case "smtp.xclient-offered", "smtp.old-commands", "smtp.extension-incomplete", "smtp.extension-malformed", "smtp.extension-twice", "smtp.requiretls-in-clear":
		return stepExtensions
	case "tls.no-modern-version", "tls.old-version-accepted":
		return stepVersions
	}
	switch id.Area() {
	case audit.AreaTLS:
		if strings.HasPrefix(string(id), "tls.cert-") {
			return stepCert
		}
		return stepSTARTTLS
	case audit.AreaAUTH:
		return stepAUTH
	}
	return stepGreeting
}

// stepFor is a step that shows one observation. none is what its absence is
// called; empty: the reason says it.
func stepFor[T any](name string, o audit.Obs[T], none string, value func(T) Cell) Step {
	s := Step{Name: name, Seen: []Cell{cell(o, none, value)}}
	switch o.State {
	case audit.Seen:
		s.Status = StepOK
	case audit.Absent:
		s.Status = StepAbsent
	case audit.Unknown:
		s.Status, s.Seen = StepUnknown, []Cell{{CellDark, []string{o.Why.Text}}}
	default:
		s.Status = StepNotTried
		if o.Why.Text != "" {
			s.Seen = []Cell{{CellNone, []string{o.Why.Text}}}
		}
	}
	return s
}

func (v view) connectStep() Step {
	s := stepFor(stepConnect, v.e.Connect, "connection refused, "+v.twice(), func(audit.Nothing) Cell { return Cell{} })
	s.Took = v.took(func(s audit.Session) time.Duration { return s.Connect })
	silent, twice := strings.CutSuffix(v.e.Connect.Why.Text, ", twice")
	if s.Status == StepUnknown && twice {
		s.Seen = []Cell{{CellDark, []string{silent + ", " + v.twice()}}}
	} else if s.Status == StepUnknown && len(v.sessions) > 1 {
		s.Seen = append(s.Seen, Cell{CellDark, []string{"tried " + v.twice()}})
	}
	return s
}

func (v view) greetingStep() Step {
	s := stepFor(stepGreeting, v.e.Greeting, "", greetingCell)
	s.Took = v.took(func(s audit.Session) time.Duration { return s.Greeting })
	g := v.e.Greeting.Value
	if s.Status != StepOK {
		return s
	}
	if g.Code != codeReady {
		s.Status = StepRefused
	}
	if slow := map[audit.Bucket]string{audit.Paused: "5 s", audit.Slow: "30 s", audit.VerySlow: "2 minutes"}[g.Delay]; slow != "" {
		s.Seen = append(s.Seen, ours("after more than "+slow))
	}
	return s
}

// helloStep is the first EHLO of the dialogue.
func (v view) helloStep() Step {
	o, took := v.e.Hello, v.took(func(s audit.Session) time.Duration { return s.EHLO })
	if v.e.Mode == audit.ModeTLS {
		o, took = v.e.HelloTLS, v.took(func(s audit.Session) time.Duration { return s.EHLOTLS })
	}
	s := stepFor(stepEHLO, o, "", helloCell)
	s.Took = took
	if v.e.Helo.State == audit.Seen {
		s.Seen = append(s.Seen, ours("HELO is answered"))
	}
	if s.Status == StepUnknown && o.Why.Code == audit.RefusedUs && v.e.Greeting.Value.Code == codeReady {
		s.Status = StepRefused
	}
	return s
}

// extensionsStep is what else EHLO lists, and what of it only before TLS or
// only inside it. STARTTLS and AUTH have steps of their own.
func (v view) extensionsStep() Step {
	before, inside := extensions(v.e.Hello), extensions(v.e.HelloTLS)
	s := Step{Name: stepExtensions, Status: StepOK}
	switch b, i := v.e.Hello.State == audit.Seen, v.e.HelloTLS.State == audit.Seen; {
	case b && i:
		s.Seen = []Cell{listed(common(before, inside, true))}
		onlyBefore, onlyInside := common(before, inside, false), common(inside, before, false)
		switch {
		case len(onlyBefore)+len(onlyInside) > 0:
			s.Seen = append(s.Seen, ours("only before TLS: "+orNone(onlyBefore)), ours("only inside TLS: "+orNone(onlyInside)))
		case len(before) > 0:
			s.Seen = append(s.Seen, ours("the same before TLS and inside it"))
		}
	case b:
		s.Seen = []Cell{listed(before)}
	case i:
		s.Seen = []Cell{listed(inside)}
	default:
		one := stepFor(stepExtensions, v.e.Hello, "", helloCell)
		if v.e.Mode == audit.ModeTLS {
			one = stepFor(stepExtensions, v.e.HelloTLS, "", helloCell)
		}
		return one.without(one.Status == StepAbsent, "EHLO is refused")
	}
	return s
}

// extensions are the services of a reply, as they were listed.
func extensions(o audit.Obs[audit.Hello]) []string {
	var out []string
	for _, k := range o.Value.Keywords {
		if o.State == audit.Seen && k.Name != "AUTH" && k.Name != "STARTTLS" {
			out = append(out, strings.TrimSpace(audit.Raw(k.Name).String()+" "+k.Params.String()))
		}
	}
	return out
}

// common keeps the words of a that b has too, or those that it has not.
func common(a, b []string, has bool) []string {
	return slices.DeleteFunc(slices.Clone(a), func(w string) bool { return slices.Contains(b, w) != has })
}

func listed(words []string) Cell {
	if len(words) == 0 {
		return Cell{CellNone, []string{"none"}}
	}
	return theirs(strings.Join(words, ", "))
}

func orNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// closedStep is how the connections ended.
func (v view) closedStep() Step {
	s := Step{Name: stepClosed, Status: StepOK}
	how := "the conversation was broken off"
	for _, each := range v.sessions {
		for _, l := range each.Lines {
			if l.From == "C" && l.Text == "QUIT" {
				how = "with QUIT"
			}
		}
	}
	all := slices.Concat(v.sessions, v.aside)
	var total time.Duration
	for _, each := range all {
		for _, l := range each.Lines {
			total = max(total, l.At+each.Started.Sub(all[0].Started))
		}
		total = max(total, each.Started.Sub(all[0].Started))
	}
	many := plural(len(all), "connection")
	if len(v.aside) > 0 {
		many += fmt.Sprintf(" (%d for old TLS)", len(v.aside))
	}
	s.Seen = []Cell{ours(strings.Join([]string{how, many, lasted(total)}, ", "))}
	return s
}
