package rules

import (
	"fmt"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// This file has the rules about certificates, and judges what the handshake has
// chosen, and the time of certificates. Their company is in tlschain.go.

// tlsCertRules judge the certificate that a server shows.
func tlsCertRules() []Rule {
	return []Rule{{
		ID: "tls.cert-expired", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Medium, Range: []audit.Severity{audit.High}, AtPort25: audit.Medium,
		Title: "The certificate is in date",
		Refs:  []Ref{{"RFC 5280", "4.1.2.5"}, {"RFC 8461", "4.2"}, {"RFC 8314", "3.3"}},
		Why:   "Most senders do not check certificates on port 25, so mail still arrives; those that do (MTA-STS, or configured to) refuse. On every other port it is mail programs that connect: they warn their users or do not send. And it shows that renewal has stopped working.",
		Fix:   "Renew the certificate, and find out why that did not happen by itself: the server mostly needs a reload after the renewal.",
		After: encrypted(),
		Judge: judgeDates,
	}, {
		ID: "tls.cert-expires-soon", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Low, Range: []audit.Severity{audit.Medium, audit.High}, AtPort25: audit.Low,
		Title: "The certificate has time left: a third of its lifetime, or 14 days",
		Refs:  []Ref{{"RFC 5280", "4.1.2.5"}, {"CA/Browser Forum ballot SC-081v3", "https://cabforum.org/2025/04/11/ballot-sc081v3-introduce-schedule-of-reducing-validity-and-data-reuse-periods/"}},
		Why:   "Whatever renews certificates does so earlier than this, so something is stuck, or somebody has to remember it. On every port but 25 mail programs stop working on that day, so it counts for more when less than a week is left, and for most in the last three days. Lifetimes are getting shorter year by year; from March 2029 on it is 47 days.",
		Fix:   "See to the renewal now: look into the log of the program that renews, or reload the mail server if the new certificate is there and not in use.",
		After: append([]audit.RuleID{"tls.cert-expired"}, encrypted()...),
		Judge: judgeExpiresSoon,
	}, {
		ID: "tls.cert-name", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.High}, AtPort25: audit.Info,
		Title: "The certificate names the host",
		Refs:  []Ref{{"RFC 9525", "6"}, {"RFC 7817", "3"}, {"RFC 8461", "4.2"}},
		Why:   "On port 25 nobody but MTA-STS and DANE-TA senders compares names, so this costs no mail today; it stands in the way of publishing an MTA-STS policy. On every other port mail programs compare the name with the one that their users entered, and warn or refuse.",
		Fix:   "Have the host name added to the certificate's subjectAltName, or have people use a name that stands in it.",
		After: encrypted(),
		Judge: judgeCertName,
	}, {
		ID: "tls.cert-chain-incomplete", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Low, Range: []audit.Severity{audit.High}, AtPort25: audit.Low,
		Title: "The server sends its intermediate certificates",
		Refs:  []Ref{{"RFC 8446", "4.4.2"}, {"RFC 8461", "4.2"}, {"RFC 8314", "3.3"}},
		Why:   "Between the certificate and the root that everybody knows stand others that the server has to send along. Without them a sender cannot check it. On port 25 few do; those that follow an MTA-STS policy do not deliver. On every other port some mail programs happen to have them stored, and all others warn or refuse.",
		Fix:   "Configure the file with the whole chain (often called fullchain.pem) in place of the one with the server's certificate alone.",
		After: encrypted(),
		Judge: judgeChain,
	}, {
		ID: "tls.cert-weak-signature", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Low, Range: []audit.Severity{audit.Medium},
		Title: "No certificate of the chain is signed with SHA-1 or MD5",
		Refs:  []Ref{{"RFC 9325", "4.5"}},
		Why: "Collisions of both can be made, so such a signature proves nothing, and current TLS libraries do not believe it: to them the certificate is one that nobody vouches for. " +
			"(The signature of a root counts for nothing, and is not looked at.) On port 25 few senders check; on every other port mail programs warn or refuse.",
		Fix:   "Have the certificate issued again by an authority of today, and send the intermediate certificates that belong to it.",
		After: encrypted(),
		Judge: judgeSignatures,
	}, {
		ID: "tls.cert-untrusted", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Low, Range: []audit.Severity{audit.High}, AtPort25: audit.Low,
		Title: "The certificate chain leads to a public root",
		Refs:  []Ref{{"RFC 5280", "6"}, {"RFC 8461", "4.2"}, {"RFC 7435", "3"}, {"RFC 8314", "3.3"}},
		Why:   "Encryption on port 25 is opportunistic: senders encrypt to any certificate rather than send in clear text. A public chain is needed before an MTA-STS policy can be published. On every other port mail programs check the chain, and warn or refuse, unless they were given the root of a private authority.",
		Fix:   "Use a certificate of a public authority, and configure the server to send the intermediate certificates with it.",
		After: append([]audit.RuleID{"tls.cert-chain-incomplete", "tls.cert-weak-signature"}, encrypted()...),
		Judge: judgeTrust,
	}, {
		ID: "tls.cert-weak-key", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Low, Range: []audit.Severity{audit.Medium, audit.High},
		Title: "The certificate's key is strong: RSA with 2048 bits, or elliptic curve with 256",
		Refs:  []Ref{{"RFC 9325", "4.5"}},
		Why:   "Short keys can be broken with means that attackers have, and some TLS libraries refuse them: the handshake then fails and mail is sent in clear text or not at all. RSA below 1024 bits protects nothing.",
		Fix:   "Make a new key and have the certificate issued again.",
		After: encrypted(),
		Judge: judgeKey,
	}, {
		ID: "tls.cert-chain-order", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Info, Range: []audit.Severity{audit.Low},
		Title: "Each certificate that is sent certifies the one before it",
		Refs:  []Ref{{"RFC 8446", "4.4.2"}, {"RFC 5246", "7.4.2"}},
		Why:   "TLS 1.2 demands this order. Most programs of today sort a chain themselves; older ones, and small ones in devices, take it as it comes and do not find the root. Certificates that do not belong to the chain make every handshake longer, for nothing.",
		Fix:   "Put the file together anew: the server's certificate first, then the one that has issued it, and so on, and nothing else.",
		After: encrypted(),
		Judge: judgeOrder,
	}, {
		ID: "tls.cert-root-sent", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Info,
		Title: "The root certificate is not sent along",
		Refs:  []Ref{{"RFC 8446", "4.4.2"}, {"RFC 7672", "3.1.2"}},
		Why:   "Whoever trusts a root has it already, and whoever does not gains nothing from being shown it: it makes every handshake longer. There is one use for it: a TLSA record of usage 2 (DANE-TA) that names the root works only with the root sent. Then leave it as it is.",
		Fix:   "Take the last certificate out of the file with the chain, unless a TLSA record of usage 2 names it.",
		After: encrypted(),
		Judge: judgeRootSent,
	}, {
		ID: "tls.cert-lifetime", Axis: audit.Privacy, Since: "0.1.0", Severity: audit.Info,
		Title: "A public certificate is valid for no longer than public ones may be",
		Refs:  []Ref{{"CA/Browser Forum ballot SC-081v3", "https://cabforum.org/2025/04/11/ballot-sc081v3-introduce-schedule-of-reducing-validity-and-data-reuse-periods/"}},
		Why: "Since 15 March 2026 public authorities issue for 200 days at most, from 15 March 2027 on for 100, from 15 March 2029 on for 47 (before: 398). Programs that enforce it refuse what is valid for longer. " +
			"Certificates of private authorities may be; public ones are told by the timestamps of certificate logs that come with them.",
		Fix:   "Have the certificate issued again, and have a machine renew it.",
		After: append([]audit.RuleID{"tls.cert-untrusted"}, encrypted()...),
		Judge: judgeLifetime,
	}}
}

// renewalTime is when a certificate that is renewed by a machine should long
// have been: ACME clients renew at a third of the lifetime, or 30 days.
const renewalTime = 14 * 24 * time.Hour

// What is left of a certificate when mail programs will soon stop working. A
// certificate of a few days has the last half of that third, not three days.
const (
	lastWeek = 7 * 24 * time.Hour
	lastDays = 3 * 24 * time.Hour
)

// expirySeverity is how urgent a renewal is with so much time left. On port 25
// hardly anybody checks, so that it never becomes urgent there.
func expirySeverity(e audit.Endpoint, left, third time.Duration) audit.Severity {
	switch {
	case !submission(e):
		return audit.Low
	case left < min(lastDays, third/2):
		return audit.High
	case left < lastWeek:
		return audit.Medium
	}
	return audit.Low
}

// aeadMarks are what the IANA names of suites have that encrypt and
// authenticate in one (RFC 5116), which RFC 9325 section 4.2 recommends.
func aeadMarks() []string { return []string{"_GCM_", "_CCM", "_CHACHA20_POLY1305"} }

func judgeCipher(s *audit.Snapshot, r *Report) {
	encryptedEndpoints(s, r, func(e audit.Endpoint, t audit.TLS) {
		evidence := Seen(e.TLS.Via, t.Version, t.Cipher)
		weak := cipherWeakness(t)
		switch {
		case t.Version == "TLS 1.3": // it has nothing else (RFC 8446 1.2)
			r.Pass(e.Subject(), t.Cipher, evidence)
		case !strings.HasPrefix(t.Cipher, "TLS_"):
			r.Unknown(e.Subject(), audit.Reason{Code: audit.NotLearned, Text: "the cipher suite has no name that is known here"}, evidence)
		case weak == "":
			r.Pass(e.Subject(), t.Cipher, evidence)
		default:
			r.Fail(e.Subject(), Fault{
				Severity: byPort(e, audit.Medium, audit.High),
				Detail:   fmt.Sprintf("offered everything, the server chooses %s: %s", t.Cipher, weak),
				Evidence: []string{evidence},
				Fix: audit.Fix{Summary: "let the server prefer ECDHE with AES-GCM or ChaCha20", Steps: []string{
					"take away settings that name single ciphers, or fix their order; the defaults of OpenSSL 1.1.1 and newer are good",
					"Postfix: smtpd_tls_mandatory_ciphers and smtpd_tls_ciphers = medium, and no tls_medium_cipherlist of your own",
				}},
			})
		}
	})
}

// cipherWeakness says what a suite of TLS 1.2 or older lacks, or "". Without
// a key exchange of its own, the traffic of years can be read by whoever comes
// into possession of the server's key (RFC 9325 section 4.1).
func cipherWeakness(t audit.TLS) string {
	var lacks []string
	if !strings.HasPrefix(t.Cipher, "TLS_ECDHE_") && !strings.HasPrefix(t.Cipher, "TLS_DHE_") {
		lacks = append(lacks, "no forward secrecy")
	}
	aead := false
	for _, mark := range aeadMarks() {
		aead = aead || strings.Contains(t.Cipher, mark)
	}
	if !aead {
		lacks = append(lacks, "no authenticated encryption (AEAD)")
	}
	return strings.Join(lacks, ", ")
}

func judgeExpiresSoon(s *audit.Snapshot, r *Report) {
	const day = "2006-01-02 15:04 MST"
	certificates(s, r, func(e audit.Endpoint, _ audit.TLS, c audit.Certificate) {
		evidence := Seen(e.TLS.Via, "notBefore "+c.NotBefore.Format(day), "notAfter "+c.NotAfter.Format(day))
		third, left := c.NotAfter.Sub(c.NotBefore)/3, c.NotAfter.Sub(s.At)
		if left >= min(third, renewalTime) {
			r.Pass(e.Subject(), "valid until "+c.NotAfter.Format(day), evidence)
			return
		}
		r.Fail(e.Subject(), Fault{
			Severity: expirySeverity(e, left, third),
			Detail:   fmt.Sprintf("the certificate expires on %s and has not been renewed", c.NotAfter.Format(day)),
			Evidence: []string{evidence},
			Fix: audit.Fix{Summary: "see that the certificate is renewed before " + c.NotAfter.Format(time.DateOnly), Steps: []string{
				"if a machine renews it: look in its log why it has not done so",
				"if it is renewed already: reload the mail server, which still shows the old one",
				"else order a new one now",
			}},
		})
	})
}
