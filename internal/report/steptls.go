package report

import (
	"fmt"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// This file has the steps of a server test that are about TLS.

// upgradeStep is STARTTLS: whether it is offered, and whether TLS comes up.
func (v view) upgradeStep() Step {
	s := stepFor(stepSTARTTLS, v.e.StartTLS, "not offered, "+v.twice(), func(audit.Nothing) Cell { return ours("offered") })
	switch {
	case v.e.StartTLS.State != audit.Seen:
		return s
	case v.e.Mode == audit.ModePlain:
		s.Seen = []Cell{ours("offered, and not used in this mode")}
		return s
	}
	tls := v.handshakeStep()
	tls.Name = stepSTARTTLS
	tls.Took = v.took(func(s audit.Session) time.Duration {
		if s.TLS == 0 {
			return 0 // it did not come to a handshake
		}
		return s.StartTLS + s.TLS
	})
	if tls.Status != StepOK {
		tls.Seen = append([]Cell{ours("offered")}, tls.Seen...)
	}
	if v.e.StartTLSSteady.State == audit.Absent {
		tls.Seen = append(tls.Seen, ours(v.e.StartTLSSteady.Why.Text))
	}
	return tls
}

func (v view) handshakeStep() Step {
	s := stepFor(stepTLS, v.e.TLS, "", func(t audit.TLS) Cell {
		return theirs(strings.Join(notEmpty(t.Version, t.Group, t.Cipher), ", "))
	})
	if s.Status == StepAbsent {
		s.Seen = append(s.Seen, ours(v.twice()))
	}
	if s.Status == StepOK {
		switch large := v.e.LargeHello; large.State {
		case audit.Absent:
			s.Seen = append(s.Seen, ours(large.Why.Text))
		case audit.Unknown:
			s.Seen = append(s.Seen, Cell{CellDark, []string{large.Why.Text}})
		}
	}
	s.Took = v.took(func(s audit.Session) time.Duration { return s.TLS })
	return s
}

// certificateStep is the server's certificate: its dates, its name, its chain.
func (v view) certificateStep() Step {
	s := stepFor(stepCert, v.e.TLS, "", func(t audit.TLS) Cell {
		if len(t.Chain) == 0 {
			return Cell{CellNone, []string{"none was sent"}}
		}
		return validity(t.Chain[0], v.run.Started)
	})
	t := v.e.TLS.Value
	if s.Status != StepOK || len(t.Chain) == 0 {
		return s.without(v.e.TLS.State == audit.Absent, "TLS does not come up")
	}
	c := t.Chain[0]
	name := "names " + v.e.Host.String() + ": "
	s.Seen = append(s.Seen,
		theirs(fmt.Sprintf("%s, issued by %s", c.Subject, c.Issuer)),
		nameOrNot(name, t.NameMatch),
		nameOrNot("leads to a trusted root: ", t.Trust),
		ours(fmt.Sprintf("%s, %d bits; %s sent", c.KeyType, c.KeyBits, plural(t.ChainLen, "certificate"))),
	)
	return s
}

// without makes a step that has no meaning of one whose observation is absent.
func (s Step) without(absent bool, why string) Step {
	if absent {
		s.Status, s.Seen = StepNotTried, []Cell{{CellNone, []string{why}}}
	}
	return s
}

// nameOrNot is a question to which the answer is yes, or no and why.
func nameOrNot(question string, o audit.Obs[audit.Nothing]) Cell {
	switch o.State {
	case audit.Seen:
		return ours(question + "yes")
	case audit.Absent:
		return ours(question + strings.Join(notEmpty("no", o.Why.Text), ", "))
	}
	return Cell{CellDark, []string{question + "not known, " + o.Why.Text}}
}

// validity says until when a certificate is valid, as seen from the moment of
// the run.
func validity(c audit.Certificate, at time.Time) Cell {
	until := c.NotAfter.UTC().Format(dateForm)
	switch {
	case at.After(c.NotAfter):
		return ours(fmt.Sprintf("expired on %s (%s before)", until, days(at.Sub(c.NotAfter))))
	case at.Before(c.NotBefore):
		return ours(fmt.Sprintf("not valid before %s (%s after)", c.NotBefore.UTC().Format(dateForm), days(c.NotBefore.Sub(at))))
	}
	return ours(fmt.Sprintf("valid until %s (%s more)", until, days(c.NotAfter.Sub(at))))
}

// days is a time in whole days.
func days(d time.Duration) string {
	if d < 24*time.Hour {
		return "less than a day"
	}
	return plural(int(d/(24*time.Hour)), "day")
}

// versionStep is the version that was chosen, and what came of older ones. What
// was not tried is named as well: SSL 3.0 Go does not speak, and 1.2 is not
// asked for where 1.3 is chosen.
func (v view) versionStep() Step {
	s := stepFor(stepVersions, v.e.TLS, "", func(t audit.TLS) Cell {
		return ours(t.Version + " chosen; " + v.oldVersions(t.Version))
	})
	return s.without(v.e.TLS.State == audit.Absent, "TLS does not come up")
}

func (v view) oldVersions(chosen string) string {
	var untried []string
	if chosen == "TLS 1.3" {
		untried = []string{"1.2"}
	}
	said := ""
	switch old := v.e.OldTLS; old.State {
	case audit.Absent:
		said = "1.1 and 1.0 refused; "
	case audit.Unknown:
		said = "1.1 and 1.0 not known, " + old.Why.Text + "; "
	case audit.NotTried:
		untried = append(untried, "1.1", "1.0")
	case audit.Seen:
		if old.Value.Version != chosen {
			said = strings.TrimPrefix(audit.Raw(old.Value.Version).String(), "TLS ") + " accepted; "
		}
		if old.Value.Version == "TLS 1.1" {
			untried = append(untried, "1.0")
		}
	}
	return said + enumerated(append(untried, "SSL 3")) + " not tried"
}
