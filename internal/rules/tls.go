package rules

import (
	"fmt"
	"strings"

	"mailaudit/internal/audit"
)

// The weakest keys that are not weak (RFC 9325 section 4.5), in bits.
const (
	minRSABits = 2048
	badRSABits = 1024 // below: broken in public long ago (RSA-768 in 2009)
	minECBits  = 256  // RFC 9325 asks for 224; nothing between that and 256 is in use
)

// tlsRules judge the transport as it is used. On port 25 that is
// opportunistic (RFC 7435): a certificate that nobody checks there is worth a
// note, not an alarm; what makes senders fall back to clear text is. On all
// other ports (see submission) programs come that were told to and that check
// (RFC 8314 section 3): there the same certificate stops the mail.
func tlsRules() []Rule {
	return []Rule{{
		ID: "tls.starttls-missing", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Medium, Range: []audit.Severity{audit.High}, AtPort25: audit.Medium,
		Title: "STARTTLS is offered",
		Refs:  []Ref{{"RFC 3207", "4"}, {"RFC 8461", "5"}, {"RFC 8314", "3.3"}},
		Why: "Without STARTTLS every mail to this server travels in clear text and can be read on the way. Gmail shows its users an open padlock. " +
			"On every port but 25 people's passwords travel so as well, or their programs do not go on. (That is so for 587 and for ports such as 2525: " +
			"other mail servers come to 25 alone, so whoever comes to another port was told to.)",
		Fix:   "Give the server a certificate and switch TLS on (Postfix: smtpd_tls_cert_file, smtpd_tls_key_file, and smtpd_tls_security_level = may for port 25, encrypt for the submission service).",
		After: reachable(),
		Judge: judgeSTARTTLS,
	}, {
		ID: "tls.starttls-broken", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "TLS that is offered comes up: after STARTTLS, or from the first byte",
		Refs:  []Ref{{"RFC 3207", "4"}, {"RFC 3207", "4.1"}, {"RFC 8314", "3.3"}},
		Why:   "Senders that are offered STARTTLS use it. When it then fails, some fall back to clear text; others, Exchange and many appliances among them, defer the mail until it bounces. Mail programs, which come to all other ports than 25, do not go on at all.",
		Fix:   "Look into the log of the mail server for the failed handshake: a missing or unreadable key, a certificate that does not belong to the key, or a protocol version that is too old or too new.",
		After: append([]audit.RuleID{"tls.starttls-missing"}, reachable()...),
		Judge: judgeHandshake,
	}, {
		ID: "tls.no-modern-version", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.High,
		Title: "TLS 1.2 or newer is available",
		Refs:  []Ref{{"RFC 8996", "5"}, {"RFC 9325", "3.1.1"}},
		Why:   "TLS 1.0 and 1.1 are deprecated, and a growing number of senders and mail programs no longer speak them: those send in clear text or not at all.",
		Fix:   "Upgrade the TLS library of the mail server, or take away the setting that forbids TLS 1.2 and 1.3.",
		After: encrypted(),
		Judge: judgeVersion,
	}, {
		ID: "tls.weak-cipher-chosen", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Medium, Range: []audit.Severity{audit.High}, AtPort25: audit.Medium,
		Title: "A modern sender gets authenticated encryption with forward secrecy",
		Refs:  []Ref{{"RFC 9325", "4.1"}, {"RFC 9325", "4.2"}},
		Why:   "We offer the server everything, the best first. If it still chooses an old suite, mail that is recorded today can be read later by whoever gets hold of the server's key, or the encryption has weaknesses that are known. On every port but 25 that includes passwords.",
		Fix:   "Take away the setting that names ciphers in the mail server, or let it prefer ECDHE with AES-GCM or ChaCha20-Poly1305.",
		After: append([]audit.RuleID{"tls.no-modern-version"}, encrypted()...),
		Judge: judgeCipher,
	}, {
		ID: "tls.starttls-again", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Low,
		Title: "STARTTLS is not offered again inside TLS",
		Refs:  []Ref{{"RFC 3207", "4.2"}},
		Why:   "Inside TLS the extension must disappear from the list. Where it does not, a proxy or a home-made server is mixing up its states.",
		Fix:   "Upgrade the mail server, or the proxy that ends TLS in front of it.",
		After: encrypted(),
		Judge: judgeAgain,
	}}
}

// reachable are the rules without which there is nothing to encrypt.
func reachable() []audit.RuleID {
	return append(welcomed(), "smtp.ehlo-refused")
}

// encrypted are the rules without which there is nothing encrypted.
func encrypted() []audit.RuleID {
	return append([]audit.RuleID{"tls.starttls-missing", "tls.starttls-broken"}, reachable()...)
}

func judgeSTARTTLS(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		_, offered, ok := Need(r, e.Subject(), e.StartTLS)
		switch {
		case !ok:
		case offered:
			r.Pass(e.Subject(), "STARTTLS is offered", Seen(e.StartTLS.Via, "STARTTLS"))
		default:
			level := "smtpd_tls_security_level = may"
			if submission(e) {
				level = "-o smtpd_tls_security_level=encrypt for the service in master.cf"
			}
			r.Fail(e.Subject(), Fault{
				Severity: byPort(e, audit.Medium, audit.High),
				Detail:   e.Subject() + " offers no STARTTLS",
				Evidence: []string{Seen(e.StartTLS.Via, "no STARTTLS in two EHLO replies")},
				Fix: audit.Fix{Summary: "switch TLS on", Steps: []string{
					"get a certificate for " + e.Host.String(),
					"Postfix: smtpd_tls_cert_file, smtpd_tls_key_file, " + level,
					"if it is on already: look for a firewall that eats STARTTLS (SMTP inspection)",
				}},
			})
		}
	})
}

func judgeHandshake(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		t, done, ok := Need(r, e.Subject(), e.TLS)
		switch {
		case !ok:
		case done:
			r.Pass(e.Subject(), fmt.Sprintf("%s with %s", t.Version, t.Cipher), Seen(e.TLS.Via, t.Version, t.Cipher))
		default:
			r.Fail(e.Subject(), brokenTLS(e))
		}
	})
}

// brokenTLS is the fault of an endpoint whose TLS does not come up. To offer
// none until it is repaired is a way out on port 25 alone: elsewhere passwords
// would travel in clear text.
func brokenTLS(e audit.Endpoint) Fault {
	fault := Fault{
		Detail:   "STARTTLS is offered and fails: " + e.TLS.Why.Text,
		Evidence: []string{Seen(e.TLS.Via, e.TLS.Why.Text+", twice")},
		Fix: audit.Fix{Summary: "repair STARTTLS", Steps: []string{
			"look for the failed handshake in the log of the mail server",
			"try it by hand: " + e.TLS.Via,
		}},
	}
	switch {
	case e.Mode == audit.ModeTLS:
		fault.Detail, fault.Fix.Summary = "TLS does not come up: "+e.TLS.Why.Text, "repair TLS"
	case !submission(e):
		fault.Fix.Summary += ", or stop offering it until then"
		fault.Fix.Steps = append(fault.Fix.Steps, "until it works, not offering STARTTLS loses less mail than offering a broken one")
	}
	return fault
}

// encryptedEndpoints calls judge for every endpoint with a finished
// handshake.
func encryptedEndpoints(s *audit.Snapshot, r *Report, judge func(e audit.Endpoint, t audit.TLS)) {
	endpoints(s, r, func(e audit.Endpoint) {
		t, done, ok := Need(r, e.Subject(), e.TLS)
		switch {
		case !ok:
		case !done:
			r.NA(e.Subject(), "there is no TLS")
		default:
			judge(e, t)
		}
	})
}

func judgeVersion(s *audit.Snapshot, r *Report) {
	encryptedEndpoints(s, r, func(e audit.Endpoint, t audit.TLS) {
		evidence := Seen(e.TLS.Via, t.Version, t.Cipher)
		if t.Version == "TLS 1.3" || t.Version == "TLS 1.2" {
			r.Pass(e.Subject(), t.Version, evidence)
			return
		}
		r.Fail(e.Subject(), Fault{
			Detail:   fmt.Sprintf("the newest version that %s speaks is %s", e.Subject(), t.Version),
			Evidence: []string{evidence},
			Fix: audit.Fix{Summary: "allow TLS 1.2 and 1.3", Steps: []string{
				"upgrade the TLS library of the mail server, or remove the setting that forbids newer versions",
			}},
		})
	})
}

func judgeAgain(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		h, answered, ok := Need(r, e.Subject(), e.HelloTLS)
		_, again := h.Keyword("STARTTLS")
		evidence := Seen(e.HelloTLS.Via, keywordNames(h)...)
		switch {
		case !ok:
		case !answered:
			r.NA(e.Subject(), "EHLO is not answered inside TLS")
		case !again:
			r.Pass(e.Subject(), "STARTTLS disappears inside TLS", evidence)
		default:
			r.Fail(e.Subject(), Fault{
				Detail:   "STARTTLS is offered again inside TLS",
				Evidence: []string{evidence},
				Fix:      audit.Fix{Summary: "upgrade the server or the proxy that ends TLS"},
			})
		}
	})
}

// certificates calls judge with the certificate of every endpoint that has
// shown one.
func certificates(s *audit.Snapshot, r *Report, judge func(e audit.Endpoint, t audit.TLS, c audit.Certificate)) {
	encryptedEndpoints(s, r, func(e audit.Endpoint, t audit.TLS) {
		if len(t.Chain) == 0 {
			r.NA(e.Subject(), "the server shows no certificate")
			return
		}
		judge(e, t, t.Chain[0])
	})
}

func judgeDates(s *audit.Snapshot, r *Report) {
	const day = "2006-01-02 15:04 MST"
	certificates(s, r, func(e audit.Endpoint, _ audit.TLS, c audit.Certificate) {
		evidence := Seen(e.TLS.Via, "notBefore "+c.NotBefore.Format(day), "notAfter "+c.NotAfter.Format(day))
		fault := Fault{
			Severity: byPort(e, audit.Medium, audit.High),
			Evidence: []string{evidence},
			Fix: audit.Fix{Summary: "renew the certificate", Steps: []string{
				"renew the certificate and reload the mail server",
				"find out why the renewal did not run, or why the server was not reloaded after it",
			}},
		}
		switch {
		case s.At.After(c.NotAfter):
			fault.Detail = "the certificate expired on " + c.NotAfter.Format(day)
			r.Fail(e.Subject(), fault)
		case s.At.Before(c.NotBefore):
			fault.Detail = "the certificate is not valid before " + c.NotBefore.Format(day)
			fault.Fix = audit.Fix{Summary: "check the clock of the machine that made the certificate"}
			r.Fail(e.Subject(), fault)
		default:
			r.Pass(e.Subject(), "valid until "+c.NotAfter.Format(day), evidence)
		}
	})
}

func judgeCertName(s *audit.Snapshot, r *Report) {
	certificates(s, r, func(e audit.Endpoint, t audit.TLS, c audit.Certificate) {
		_, match, ok := Need(r, e.Subject(), t.NameMatch)
		names := strings.Join(texts(c.Names), " ")
		evidence := Seen(e.TLS.Via, "names "+names)
		switch {
		case !ok:
		case match:
			r.Pass(e.Subject(), "the certificate names "+e.Host.String()+byWildcard(c, e.Host), evidence)
		case isAddress(string(e.Host)):
			r.NA(e.Subject(), "an address was named: the name under which its users know the server is not known")
		default:
			certified, ok := certifiesDomain(s, r, e, c)
			switch {
			case !ok:
				return
			case certified:
				r.Pass(e.Subject(), fmt.Sprintf("the certificate names %s, whose SRV record leads here", s.Domain), evidence)
				return
			}
			r.Fail(e.Subject(), Fault{
				Severity: byPort(e, audit.Info, audit.High),
				Detail:   fmt.Sprintf("the certificate does not name %s", e.Host) + noNames(c),
				Evidence: []string{evidence},
				Fix:      audit.Fix{Summary: "have " + e.Host.String() + " added to the subjectAltName of the certificate"},
			})
		}
	})
}

// noNames says of a certificate without subjectAltName why its common name
// does not help.
func noNames(c audit.Certificate) string {
	if c.NameCount > 0 {
		return ""
	}
	return ": it has no names in subjectAltName, and a common name counts for nothing any more"
}

// byWildcard says which wildcard names a host, where the host itself is not
// named. The key of such a certificate mostly lies on many servers, which is
// worth knowing and no fault (RFC 9525 section 7.1).
func byWildcard(c audit.Certificate, host audit.DNSName) string {
	_, parent, _ := strings.Cut(host.String(), ".")
	wildcard := ""
	for _, n := range c.Names {
		switch {
		case strings.EqualFold(n.String(), host.String()):
			return ""
		case strings.EqualFold(n.String(), "*."+parent):
			wildcard = ", by the wildcard " + n.String()
		}
	}
	return wildcard
}

func judgeTrust(s *audit.Snapshot, r *Report) {
	certificates(s, r, func(e audit.Endpoint, t audit.TLS, c audit.Certificate) {
		_, trusted, ok := Need(r, e.Subject(), t.Trust)
		evidence := Seen(e.TLS.Via, "issuer "+c.Issuer.String(), fmt.Sprintf("%d certificates sent", t.ChainLen))
		switch {
		case !ok:
		case trusted:
			r.Pass(e.Subject(), "the chain leads to a root of this system", evidence)
		default:
			r.Fail(e.Subject(), Fault{
				Severity: byPort(e, audit.Low, audit.High),
				Detail:   "the certificate is not trusted: " + t.Trust.Why.Text,
				Evidence: []string{evidence},
				Fix: audit.Fix{Summary: "use a public certificate and send the whole chain", Steps: []string{
					"get a certificate for " + e.Host.String() + " from a public authority",
					"configure the file that holds the certificate and its intermediates (often called fullchain.pem)",
				}},
			})
		}
	})
}

func judgeKey(s *audit.Snapshot, r *Report) {
	certificates(s, r, func(e audit.Endpoint, _ audit.TLS, c audit.Certificate) {
		key := fmt.Sprintf("%s with %d bits", c.KeyType, c.KeyBits)
		evidence := Seen(e.TLS.Via, key)
		weak := c.KeyType == "RSA" && c.KeyBits < minRSABits || c.KeyType == "ECDSA" && c.KeyBits < minECBits
		if !weak {
			r.Pass(e.Subject(), key, evidence)
			return
		}
		severity := byPort(e, audit.Low, audit.Medium)
		if c.KeyType == "RSA" && c.KeyBits < badRSABits {
			severity = audit.High
		}
		r.Fail(e.Subject(), Fault{
			Severity: severity,
			Detail:   "the key of the certificate is weak: " + key,
			Evidence: []string{evidence},
			Fix:      audit.Fix{Summary: "make a new key and have the certificate issued again"},
		})
	})
}
