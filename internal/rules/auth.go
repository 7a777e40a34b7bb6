package rules

import (
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// authRules judge the logins that servers offer to strangers (RFC 4954).
func authRules() []Rule {
	return []Rule{{
		ID: "auth.cleartext-offered", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.High,
		Title: "PLAIN and LOGIN are offered only under TLS",
		Refs:  []Ref{{"RFC 4954", "4"}, {"RFC 4954", "9"}, {"RFC 8314", "3"}},
		Why: "PLAIN and LOGIN send the password as it is. Offered before TLS, a mail program that is set up carelessly sends it over the " +
			"network in clear text, where anybody on the way reads it, and sends mail through the account afterwards.",
		Fix:   "Offer logins under TLS only (Postfix: smtpd_tls_auth_only = yes; Exim: auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}).",
		After: reachable(),
		Judge: judgeCleartext,
	}, {
		ID: "auth.on-mx-port", Axis: audit.Protection, Since: "0.1.0", Severity: audit.Low,
		Title: "Port 25 offers no login to strangers",
		Refs:  []Ref{{"RFC 6409", "3"}, {"RFC 6409", "4.3"}},
		Why: "Other mail servers do not log in on port 25, and the domain's own people belong on the submission ports 465 and 587. " +
			"A login offered here is a door for guessing passwords, at a port that cannot be closed.",
		Fix:   "Switch logins off on port 25 and leave them on at 465 and 587 (Postfix: smtpd_sasl_auth_enable = no in main.cf, yes for the submission services in master.cf).",
		After: reachable(),
		Judge: judgeAuthOnMX,
	}, {
		ID: "auth.internal-offered", Axis: audit.Protection, Since: "0.2.0", Severity: audit.Low,
		Title: "Port 25 offers no login of an internal network to the internet",
		Refs: []Ref{{"RFC 6409", "4.3"}, {"[MS-SMTPNTLM]", "https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-smtpntlm/50c668f6-5ffc-4616-96df-b5a3f4b3311d"},
			{"nmap smtp-ntlm-info", "https://nmap.org/nsedoc/scripts/smtp-ntlm-info.html"}},
		Why: "NTLM, GSSAPI and their relatives log in to an Active Directory or Kerberos realm. A server that starts NTLM with a stranger tells him the names of the domain, the forest and the machine " +
			"before anybody has logged in, and is a door for guessing the passwords of the whole organisation. (This audit does not start it.)",
		Fix:   "Take integrated Windows authentication off the connector that faces the internet (Exchange: Set-ReceiveConnector, AuthMechanism without Integrated and ExchangeServer).",
		After: reachable(),
		Judge: judgeInternalAuth,
	}}
}

// judgeInternalAuth looks at AUTH and at its twin of Exchange.
func judgeInternalAuth(s *audit.Snapshot, r *Report) {
	internal := []string{"NTLM", "GSSAPI", "GSS-SPNEGO", "NEGOTIATE", "KERBEROS_V4", "EXCHANGEAUTH"}
	endpoints(s, r, func(e audit.Endpoint) {
		if e.Port != portMX {
			r.NA(e.Subject(), "logins belong on this port")
			return
		}
		fault := Fault{Fix: audit.Fix{Summary: "offer such logins inside your own network alone", Steps: []string{
			"Exchange: a receive connector for the internet without Integrated Windows authentication and Exchange Server authentication",
			"if this audit ran from inside your own network: run it from outside as well",
		}}}
		eachHello(r, e, "no login of an internal network is offered", fault, func(h audit.Hello) []string {
			var out []string
			for _, k := range h.Keywords {
				if k.Name != "AUTH" && k.Name != "X-EXPS" {
					continue
				}
				for _, m := range strings.Fields(strings.ToUpper(string(k.Params))) {
					if slices.Contains(internal, m) {
						out = append(out, k.Name+" offers "+m)
					}
				}
			}
			return out
		})
	})
}

func judgeCleartext(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		if e.Mode == audit.ModeTLS {
			r.NA(e.Subject(), "everything is under TLS there")
			return
		}
		h, answered, ok := Need(r, e.Subject(), e.Hello)
		switch {
		case !ok:
			return
		case !answered:
			r.NA(e.Subject(), "there is no login without EHLO")
			return
		}
		evidence := Seen(e.Hello.Via, keywordNames(h)...)
		var open []string
		for _, m := range mechanisms(h) {
			if m == "PLAIN" || m == "LOGIN" {
				open = append(open, m)
			}
		}
		if len(open) == 0 {
			r.Pass(e.Subject(), "no login in clear text is offered before TLS", evidence)
			return
		}
		r.Fail(e.Subject(), Fault{
			Detail:   "a login with the password in clear text is offered before TLS",
			Evidence: []string{Seen(e.Hello.Via, "AUTH "+strings.Join(open, " "))},
			Fix: audit.Fix{Summary: "offer logins under TLS only", Steps: []string{
				"Postfix: smtpd_tls_auth_only = yes",
				"Exim: auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}",
				"Sendmail: the option p of AuthOptions",
			}},
		})
	})
}

// mechanisms are the login mechanisms of an EHLO reply, in capitals. Some
// servers list AUTH on several lines, for the sake of old clients.
func mechanisms(h audit.Hello) []string {
	var out []string
	for _, k := range h.Keywords {
		if k.Name == "AUTH" {
			out = append(out, strings.Fields(strings.ToUpper(k.Params.String()))...)
		}
	}
	return out
}

func judgeAuthOnMX(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		if e.Port != portMX {
			r.NA(e.Subject(), "logins belong on this port")
			return
		}
		neverOffered(r, e, Fault{
			Detail: "port 25 offers a login to strangers",
			Fix: audit.Fix{Summary: "offer logins on ports 465 and 587 alone", Steps: []string{
				"make sure that nobody of the domain's own people sends through port 25",
				"Postfix: smtpd_sasl_auth_enable = no in main.cf, and -o smtpd_sasl_auth_enable=yes for submission and submissions in master.cf",
			}},
		}, "AUTH")
	})
}
