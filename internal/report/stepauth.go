package report

import (
	"strings"

	"mailaudit/internal/audit"
)

// authStep is what logins are offered, before TLS and inside it.
func (v view) authStep() Step {
	s := Step{Name: stepAUTH, Status: StepOK}
	before, inside := v.e.Hello, v.e.HelloTLS
	if v.e.Mode != audit.ModeTLS {
		s.Seen = append(s.Seen, mechanismCell("before TLS: ", before))
	}
	if inside.State == audit.Seen || inside.State == audit.Unknown {
		s.Seen = append(s.Seen, mechanismCell("inside TLS: ", inside))
	}
	if before.State != audit.Seen && inside.State != audit.Seen {
		one := stepFor(stepAUTH, before, "", helloCell)
		if v.e.Mode == audit.ModeTLS {
			one = stepFor(stepAUTH, inside, "", helloCell)
		}
		return one.without(one.Status == StepAbsent, "there is no login without EHLO")
	}
	s.Seen = append(s.Seen, ours("a login was not tried"))
	switch {
	case v.e.Port == portSMTP || v.e.StartTLS.State != audit.Seen:
	case v.e.Mail.State == audit.NotTried:
		s.Seen = append(s.Seen, ours("MAIL before TLS: not tested (--try-mail does)"))
	default:
		s.Seen = append(s.Seen, cell(v.e.Mail, "MAIL before TLS: refused (530)", func(audit.Nothing) Cell { return ours("MAIL before TLS: accepted") }))
	}
	return s
}

func mechanismCell(lead string, o audit.Obs[audit.Hello]) Cell {
	switch o.State {
	case audit.Seen:
		list := mechanisms(o.Value)
		if len(list) == 0 {
			return ours(lead + "none")
		}
		return ours(lead + strings.Join(list, " "))
	case audit.Absent:
		return Cell{CellNone, []string{lead + "EHLO is refused"}}
	}
	return Cell{CellDark, []string{lead + "not known"}}
}

// mechanisms are the logins that a reply to EHLO offers (RFC 4954 section 3).
func mechanisms(h audit.Hello) []string {
	var out []string
	for _, k := range h.Keywords {
		if k.Name == "AUTH" {
			out = append(out, strings.Fields(k.Params.String())...)
		}
	}
	return out
}
