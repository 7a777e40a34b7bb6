package smtp

import (
	"context"
	"slices"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// Floor is what a connection of its own shows, made behind the main dialogue,
// that offers no more than TLS 1.1: whether old versions are still accepted,
// and, as it comes to the offer of STARTTLS once more, whether that is made
// every time.
//
// It belongs to an address and not to a name: the version is agreed upon
// before a server looks at the name that it was asked for (OpenSSL and its
// relatives choose it first, and the certificate after it), so names that lead
// to one address need one Floor.
type Floor struct {
	Old    audit.Obs[audit.OldTLS]
	Steady audit.Obs[audit.Nothing]
}

// FloorAfter is how long after the main dialogue a Floor may come: earlier it
// would only wait for the address, see dial.Config.
const FloorAfter = dial.DefaultSpacing

// Floor tries the old versions of TLS at a target of which Probe has seen the
// TLS. n is the number of the connection at the endpoint. It makes one
// connection; a second one, after the pause that a negative needs, where the
// first was cut off in the handshake without the alert for its version
// (RFC 8446 section 6.2: protocol_version), which is an answer by itself. Like
// Probe it returns an observation whatever happens.
func (p *Prober) Floor(ctx context.Context, t Target, n int) (Floor, []audit.Session) {
	text := p.objection(t)
	if text != "" {
		return NoFloor(t, audit.Reason{Code: audit.LocalError, Text: text}), nil
	}
	l, s := p.look(ctx, t, n, oldActs(t.Mode), offerOld)
	s.Purpose = audit.PurposeOldTLS
	sessions := []audit.Session{s}
	switch {
	case !l.again || l.why.Code != audit.OldRefused: // whoever does not want us is not asked again
	case pause(ctx, p.cfg.Limits.ConfirmAfter):
		second, s := p.look(ctx, t, n+1, oldActs(t.Mode), offerOld)
		s.Purpose = audit.PurposeOldTLS
		sessions = append(sessions, s)
		l = merge(l, second)
	default:
		l = l.doubt(audit.Once)
	}
	return l.floor(t), sessions
}

// NoFloor is the Floor of a target that was not connected to for it.
func NoFloor(t Target, why audit.Reason) Floor {
	return look{line: oldActs(t.Mode), how: shut, why: why}.floor(t)
}

// oldActs is the dialogue of a Floor. Where TLS comes first, the greeting is
// waited for, so that the goodbye is not said before it.
func oldActs(mode audit.Mode) []act {
	line := acts(Target{Mode: mode})
	if mode == audit.ModeTLS {
		return line[:place(line, stepGreeting)+1]
	}
	return line[:place(line, stepTLS)+1]
}

// oldCommand is the way to repeat a Floor by hand. The level is what lets
// OpenSSL 3 speak such versions at all.
func oldCommand(t Target) string {
	_, secure := commands(t)
	return secure + " -tls1_1 -cipher ALL:@SECLEVEL=0"
}

// floor writes a look of oldActs down.
func (l look) floor(t Target) Floor {
	plain, _ := commands(t)
	return Floor{Old: l.oldest(oldCommand(t)), Steady: l.second(plain)}
}

// oldest is the observation of old versions.
func (l look) oldest(via string) audit.Obs[audit.OldTLS] {
	at := place(l.line, stepTLS)
	switch {
	case l.secured():
		return audit.See(audit.OldTLS{Version: l.tls.Version, Cipher: l.tls.Cipher}, via)
	case l.end == at && l.how == negative && l.why.Code == audit.OldRefused:
		return audit.None[audit.OldTLS](l.why.Code, l.why.Text, via)
	case l.refusal():
		return audit.Dark[audit.OldTLS](audit.Reason{Code: audit.Disagree, Text: "the next connection was not received like the first: " + l.why.Text}, via)
	}
	return audit.Dark[audit.OldTLS](l.why, via)
}

// second is what the connection adds to the steadiness of the offer, which the
// main dialogue was made on.
func (l look) second(via string) audit.Obs[audit.Nothing] {
	switch {
	case place(l.line, stepStartTLS) < 0:
		return leftOut[audit.Nothing](stepStartTLS)
	case slices.Contains(l.offers, false):
		return audit.None[audit.Nothing](audit.Varies, varies, via)
	case slices.Contains(l.offers, true):
		return audit.See(audit.Nothing{}, via)
	case l.refusal():
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: onlyOne}, via)
	}
	return audit.Dark[audit.Nothing](l.why, via)
}

// Onto writes what a Floor showed into the endpoint that it was made for, or
// into one of the same address under another name.
func (f Floor) Onto(e audit.Endpoint) audit.Endpoint {
	t := Target{Host: e.Host, Addr: e.Addr, Port: e.Port, Mode: e.Mode}
	e.OldTLS = f.Old
	e.OldTLS.Via = oldCommand(t)
	steady := e.StartTLSSteady
	pending := steady.State == audit.NotTried && steady.Why.Code == audit.NotAsked
	if pending || steady.State == audit.Seen && f.Steady.State == audit.Absent {
		e.StartTLSSteady = f.Steady
	}
	return e
}

// oldRefused tells what became of a handshake that offers no more than
// TLS 1.1 and failed as handshakeFailed says. The server has shown on another connection that it speaks TLS, so
// to hang up now is its way to say no; that and everything else but the alert
// for it needs a second look.
func (s *session) oldRefused(err error, how manner, why audit.Reason) bool {
	silent := len(s.secure.first) == 0
	_, limited := ownLimit(err)
	switch {
	case limited:
		why.Text = "the server goes on with TLS 1.1 or 1.0, and then: " + why.Text
	case isAlert(err) && strings.Contains(err.Error(), "protocol version not supported"):
		s.fail(negative, audit.OldRefused, "TLS 1.1 and 1.0 are refused")
		s.look.again = false
		return false
	case why.Code == audit.TLSProtocol:
		why.Text = "the server has no cipher of TLS 1.1 or 1.0 in common with this program, which does not speak all that there are"
	case how == negative, how == dark && why.Code == audit.Closed && silent:
		return s.fail(negative, audit.OldRefused, "a handshake with TLS 1.1 and 1.0 is cut off")
	}
	return s.fail(how, why.Code, why.Text)
}
