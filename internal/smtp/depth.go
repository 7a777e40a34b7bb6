package smtp

import (
	"context"

	"mailaudit/internal/audit"
)

// This file has what is observed of TLS beside the handshake of the main
// dialogue: whether every connection is offered it, whether a ClientHello of
// today's size gets through, and, over a connection of its own, whether
// versions are accepted that nobody should need any more.

// offer is what a ClientHello offers.
type offer int

const (
	offerAll     offer = iota // all that Go can do
	offerClassic              // the same without post-quantum key exchange: small enough for one packet
	offerOld                  // TLS 1.1 and 1.0 alone
)

// secured reports whether a handshake was finished.
func (l look) secured() bool {
	at := place(l.line, stepTLS)
	return at >= 0 && at < l.end
}

// told is what one connection was told of STARTTLS, as the one element of a
// list: that it may come, or that it may not. The list is empty where the
// connection did not come that far, or was put off or refused. granted: a
// handshake was begun.
func (l look) told(granted bool) []bool {
	listed := place(l.line, stepStartTLS)
	declined := l.how == negative && l.why.Code == audit.Declined && l.end == place(l.line, stepTLS)
	switch {
	case listed < 0 || l.end < listed:
		return nil
	case l.end == listed && l.how == negative, declined:
		return []bool{false}
	case l.end == listed:
		return nil
	case l.end <= place(l.line, stepTLS) && !granted:
		return nil // 454, or "not you", or no reply: neither
	}
	return []bool{true}
}

// steadiness is whether every connection was offered STARTTLS. What one server
// of a pool lists and another does not is no negative of either: both were
// seen.
func (l look) steadiness(via string) audit.Obs[audit.Nothing] {
	at := place(l.line, stepStartTLS)
	if at < 0 {
		return leftOut[audit.Nothing](stepStartTLS)
	}
	if at >= l.end {
		return after[audit.Nothing](l, via)
	}
	yes, no := 0, 0
	for _, may := range l.offers {
		if may {
			yes++
		} else {
			no++
		}
	}
	switch {
	case yes > 0 && no > 0:
		return audit.None[audit.Nothing](audit.Varies, varies, via)
	case yes >= 2:
		return audit.See(audit.Nothing{}, via)
	case no > 0:
		return audit.NA[audit.Nothing]("the server declines STARTTLS")
	case l.secured():
		return audit.Skipped[audit.Nothing]("one connection was made") // until there is a Floor
	case place(l.line, stepTLS) < 0:
		return audit.Skipped[audit.Nothing]("mode plain: one connection was made")
	}
	return audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: onlyOne}, via)
}

// What two connections say of the offer, or one.
const (
	varies  = "one connection was granted STARTTLS and another was not"
	onlyOne = "one connection alone came as far as STARTTLS"
)

// largeHello is whether a ClientHello with post-quantum key shares was
// answered.
func (l look) largeHello(via string) audit.Obs[audit.Nothing] {
	switch {
	case place(l.line, stepTLS) < 0:
		return leftOut[audit.Nothing](stepTLS)
	case !l.secured():
		return after[audit.Nothing](l, via)
	case l.large.State == audit.NotTried:
		return audit.See(audit.Nothing{}, via)
	}
	out := l.large
	out.Via = via
	return out
}

// oldTLS is what is known of old versions before there is a Floor.
func (l look) oldTLS(via string) audit.Obs[audit.OldTLS] {
	switch {
	case place(l.line, stepTLS) < 0:
		return leftOut[audit.OldTLS](stepTLS)
	case !l.secured():
		return after[audit.OldTLS](l, via)
	}
	return audit.Skipped[audit.OldTLS]("old versions of TLS were not tried")
}

// enlarge finds out whether it was the size of the ClientHello that failed in
// the first look: small has finished a handshake that offers less. A negative
// needs two that agree, so a third connection offers everything again. Silence
// is no negative, however often it comes: what drops large packets may stand at
// our end. So it is not asked for twice.
func (p *Prober) enlarge(ctx context.Context, t Target, first, small look) (look, []audit.Session) {
	if first.why.Code == audit.TLSStall {
		small.large = audit.Dark[audit.Nothing](audit.Reason{Code: audit.TLSStall,
			Text: "a ClientHello with post-quantum key shares got no answer, and a smaller one did: something on the way, at either end, may drop it"}, "")
		return small, nil
	}
	once := audit.Reason{Code: audit.Once, Text: "seen once and not confirmed: a ClientHello with post-quantum key shares fails, and a smaller one does not"}
	small.large = audit.Dark[audit.Nothing](once, "")
	if small.said.Code != 0 || !pause(ctx, p.cfg.Limits.ConfirmAfter) { // whoever turns us away is left alone
		return small, nil
	}
	third, s := p.look(ctx, t, 3, acts(t), offerAll)
	out := small
	switch {
	case third.secured():
		if third.complete() {
			out = third // what a sender of today gets
		}
		out.large = audit.Dark[audit.Nothing](audit.Reason{Code: audit.Disagree,
			Text: "of two handshakes with post-quantum key shares one failed"}, "")
	case third.shrink && third.why.Code != audit.TLSStall:
		out.large = audit.None[audit.Nothing](audit.BrokenOffer,
			"a ClientHello with post-quantum key shares, which is larger than a packet, fails; a smaller one does not", "")
	}
	out.offers = append(small.offers, third.offers...)
	return out, []audit.Session{s}
}
