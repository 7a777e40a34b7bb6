package rules

import (
	"fmt"

	"mailaudit/internal/audit"
)

// tlsDepthRules judge what one handshake alone does not show: it takes another
// connection to tell.
func tlsDepthRules() []Rule {
	return []Rule{{
		ID: "tls.starttls-varies", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Low, Range: []audit.Severity{audit.Medium},
		Title: "Every connection is offered STARTTLS",
		Refs:  []Ref{{"RFC 3207", "4"}, {"RFC 8461", "5"}, {"RFC 8314", "3.3"}},
		Why: "Where several servers answer at one address, they may be set up differently; some front ends offer less to whom they meet for the first time. Part of the mail then travels in clear text, " +
			"by chance, and senders that insist on TLS defer that part. On every other port than 25 some attempts of mail programs fail, or send passwords in clear text.",
		Fix:   "Compare the configurations of all servers behind the address: certificate, key, and the setting that offers TLS. Do not withhold STARTTLS from clients that are not known yet.",
		After: append([]audit.RuleID{"tls.starttls-missing"}, reachable()...),
		Judge: judgeSteady,
	}, {
		ID: "tls.large-hello-fails", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Low,
		Title: "A ClientHello with post-quantum key shares is answered",
		Refs:  []Ref{{"RFC 8446", "4.1.2"}, {"RFC 8446", "5.1"}, {"tldr.fail", "https://tldr.fail/"}},
		Why: "Current TLS libraries offer post-quantum key exchange, which makes their first message larger than one packet. A server that does not know it ignores it (RFC 8446 4.1.2). This one, or something in front of it, " +
			"breaks the connection instead, because it expects the whole message at once. Such senders then fall back to clear text, or defer the mail, and there are more of them every year.",
		Fix:   "Upgrade what ends TLS, or what looks into it on the way: a load balancer, a firewall with SMTP inspection, an old TLS library.",
		After: encrypted(),
		Judge: judgeLargeHello,
	}, {
		ID: "tls.old-version-accepted", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.Medium},
		Title: "TLS 1.0 and 1.1 are refused",
		Refs:  []Ref{{"RFC 7435", "3"}, {"RFC 8997", "3"}, {"RFC 8996", "4"}},
		Why: "Both are deprecated. On port 25 that is a note and no more, because turning it off makes old senders use clear text, which is worse than old TLS, and nobody who speaks a newer version is harmed. " +
			"On every other port passwords travel in it, and no mail program of the last ten years needs it.",
		Fix:   "On submission ports allow TLS 1.2 and newer only (Postfix: -o smtpd_tls_mandatory_protocols=>=TLSv1.2 for the service in master.cf). On port 25 leave it, unless a rule that you are bound to demands otherwise.",
		After: append([]audit.RuleID{"tls.no-modern-version"}, encrypted()...),
		Judge: judgeOldVersions,
	}}
}

func judgeSteady(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		_, steady, ok := Need(r, e.Subject(), e.StartTLSSteady)
		switch {
		case !ok:
		case steady:
			r.Pass(e.Subject(), "STARTTLS is offered on every connection that was made", Seen(e.StartTLSSteady.Via, "STARTTLS, every time"))
		default:
			r.Fail(e.Subject(), Fault{
				Severity: byPort(e, audit.Low, audit.Medium),
				Detail:   e.StartTLSSteady.Why.Text,
				Evidence: []string{Seen(e.StartTLSSteady.Via, "STARTTLS on some connections alone")},
				Fix: audit.Fix{Summary: "offer STARTTLS on every connection", Steps: []string{
					"compare the configurations of all servers behind " + e.Addr.String(),
					"look for a front end that offers less to clients that it meets for the first time",
				}},
			})
		}
	})
}

func judgeLargeHello(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		_, answered, ok := Need(r, e.Subject(), e.LargeHello)
		switch {
		case !ok:
		case answered:
			r.Pass(e.Subject(), "a ClientHello larger than a packet is answered", Seen(e.LargeHello.Via, "answered"))
		default:
			r.Fail(e.Subject(), Fault{
				Detail:   "fails with a post-quantum ClientHello: " + e.LargeHello.Why.Text,
				Evidence: []string{Seen(e.LargeHello.Via, "failed twice; with classic groups alone it did not")},
				Fix: audit.Fix{Summary: "upgrade what ends TLS, or what looks into it on the way", Steps: []string{
					"look for a load balancer or a firewall with SMTP inspection in front of the server",
					"try it by hand, with OpenSSL 3.5 or newer: " + e.LargeHello.Via,
					"the same with a small ClientHello, which should work: " + e.LargeHello.Via + " -groups X25519",
				}},
			})
		}
	})
}

func judgeOldVersions(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		old, accepted, ok := Need(r, e.Subject(), e.OldTLS)
		switch {
		case !ok:
		case !accepted:
			r.Pass(e.Subject(), e.OldTLS.Why.Text, Seen(e.OldTLS.Via, "refused"))
		case submission(e):
			r.Fail(e.Subject(), Fault{
				Severity: audit.Medium,
				Detail:   fmt.Sprintf("%s is accepted as well, for passwords", old.Version),
				Evidence: []string{Seen(e.OldTLS.Via, old.Version, old.Cipher)},
				Fix: audit.Fix{Summary: "allow TLS 1.2 and newer alone", Steps: []string{
					"Postfix: -o smtpd_tls_mandatory_protocols=>=TLSv1.2 for the service in master.cf",
				}},
			})
		default:
			r.Fail(e.Subject(), Fault{
				Detail:   fmt.Sprintf("%s is accepted as well: turning it off makes old senders use clear text", old.Version),
				Evidence: []string{Seen(e.OldTLS.Via, old.Version, old.Cipher)},
				Fix:      audit.Fix{Summary: "nothing needs to be done, unless a rule that you are bound to forbids it"},
			})
		}
	})
}
