package smtp

import "mailaudit/internal/audit"

// codeLoginFirst refuses a command that must not come before STARTTLS or a
// login (RFC 3207 section 4, RFC 4954 section 6).
const codeLoginFirst = 530

// codeClosing says that the server closes the connection (RFC 5321 section
// 3.8). Whoever says so has had enough of us for now.
const codeClosing = 421

// tryMail begins a message in clear text, with the empty sender that bounces
// have, and takes it back where the server took it (RFC 5321 sections 4.1.1.2
// and 4.1.1.5). No recipient follows, so no mail comes of it. It is asked once:
// a second connection is for what the first could not see. Only 530 says "not
// like this"; other refusals may be about our address.
func (s *session) tryMail() bool {
	if s.rec.N > 1 {
		return true
	}
	rp, why, ok := s.ask("MAIL FROM:<>", "the reply to MAIL")
	switch {
	case !ok:
		s.look.mail = audit.Dark[audit.Nothing](why, "")
	case rp.class() == 2:
		s.look.mail = audit.See(audit.Nothing{}, "")
		_, why, ok = s.ask("RSET", "the reply to RSET")
	case rp.code == codeLoginFirst:
		s.look.mail = audit.None[audit.Nothing](audit.Declined, "MAIL is refused with 530: something has to come first", "")
	case rp.class() == 5:
		s.look.mail = audit.Dark[audit.Nothing](audit.Reason{Code: audit.RefusedUs,
			Text: "MAIL was refused (5xx), which may be about our name or address"}, "")
	default:
		why = s.misfit(rp, "MAIL")
		s.look.mail = audit.Dark[audit.Nothing](why, "")
		if rp.code == codeClosing || rp.class() != 4 {
			return s.fail(dark, why.Code, why.Text)
		}
	}
	if !ok {
		s.fail(dark, why.Code, why.Text)
		s.look.again = true // without MAIL there may be more to see
		return false
	}
	return true
}
