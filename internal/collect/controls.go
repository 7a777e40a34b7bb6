package collect

import (
	"net/netip"

	"mailaudit/internal/audit"
)

// Control is a mail server that has nothing to do with what is audited. When a
// server does not answer, a control on the same port tells whether it is us.
type Control struct {
	Host audit.DNSName
	Addr netip.Addr // valid: the host is an address and is not looked up
	Port uint16     // a control says something about its own port alone; 0: about any
}

// MaxControls is how many control hosts of one family are connected to about
// one port at a time, once each (see askControls for when again). Two that agree are needed for a "no", and a
// third keeps that possible while one of them is down (pitfall 80: a self-test
// with a single host raised false alarms).
const MaxControls = 3

// DefaultControls are the control hosts, in the order in which they are used:
// those that have no address in a family are passed over there. They are chosen
// by three properties. Their operators are large: one connection more, of the
// kind that they get by the million, is no burden to them. They are unrelated to
// each other, in companies and in networks. And they greet strangers, or turn
// them away in words, which shows as well that connections get out.
//
// The first ones of port 25 have addresses in both families. What is said to a
// control is what is said to every server: EHLO and QUIT.
func DefaultControls() []Control {
	var out []Control
	add := func(port uint16, hosts ...audit.DNSName) {
		for _, h := range hosts {
			out = append(out, Control{Host: h, Port: port})
		}
	}
	// The MX hosts of gmail.com, mailbox.org, fastmail.com, icloud.com, gmx.net.
	add(PortSMTP, "gmail-smtp-in.l.google.com", "mxext1.mailbox.org", "in1-smtp.messagingengine.com",
		"mx01.mail.icloud.com", "mx00.gmx.net")
	// Where their customers hand in mail (RFC 6409, RFC 8314).
	add(audit.PortSubmission, "smtp.gmail.com", "smtp.mailbox.org", "smtp.fastmail.com", "smtp.mail.me.com", "mail.gmx.net")
	add(audit.PortSubmissions, "smtp.gmail.com", "smtp.mailbox.org", "smtp.fastmail.com", "mail.gmx.net")
	return out
}

// modeOf is the mode of a look that is made for its own sake at a port.
func modeOf(port uint16) audit.Mode {
	if port == audit.PortSubmissions {
		return audit.ModeTLS
	}
	return audit.ModePlain
}
