package rules

import (
	"fmt"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// This file judges what the handshake has chosen, and the time and the
// company of certificates.

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

func judgeChain(s *audit.Snapshot, r *Report) {
	certificates(s, r, func(e audit.Endpoint, t audit.TLS, c audit.Certificate) {
		_, trusted, ok := Need(r, e.Subject(), t.Trust)
		evidence := Seen(e.TLS.Via, fmt.Sprintf("%d certificates sent", t.ChainLen), "issuer "+c.Issuer.String())
		switch {
		case !ok:
		case trusted:
			r.Pass(e.Subject(), "the chain is complete", evidence)
		case t.Trust.Why.Code != audit.Incomplete:
			r.NA(e.Subject(), "no missing certificate is to blame: "+t.Trust.Why.Text)
		default:
			r.Fail(e.Subject(), Fault{
				Severity: byPort(e, audit.Low, audit.High),
				Detail:   "the server does not send the certificates between its own and a public root",
				Evidence: []string{evidence},
				Fix: audit.Fix{Summary: "send the intermediate certificates as well", Steps: []string{
					"configure the file that holds the certificate and its intermediates (often called fullchain.pem), the server's certificate first",
					"if the certificate comes from a private authority: use one of a public authority",
				}},
			})
		}
	})
}
