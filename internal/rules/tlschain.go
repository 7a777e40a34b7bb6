package rules

import (
	"fmt"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// This file judges what a server sends with its certificate.

// linked is the chain from the server's certificate on, as far as issuers
// were sent, by their names and the names of their keys.
func linked(chain []audit.Certificate) []audit.Certificate {
	out := chain[:1:1]
	for range chain {
		last := out[len(out)-1]
		if last.SelfIssue {
			break
		}
		next := -1
		for i, c := range chain {
			if certifies(c, last) {
				next = i
				break
			}
		}
		if next < 0 {
			break
		}
		out = append(out, chain[next])
	}
	return out
}

// certifies reports whether up may have issued c: it has the name of the
// issuer, and, where both say so, the key that signed.
func certifies(up, c audit.Certificate) bool {
	if up.KeyID != "" && c.IssuerKeyID != "" && up.KeyID != c.IssuerKeyID {
		return false
	}
	return up.Subject == c.Issuer
}

// issuerOf names the issuer of a certificate, with its key where that is told.
func issuerOf(c audit.Certificate) string {
	if c.IssuerKeyID == "" {
		return fmt.Sprintf("\"%s\"", c.Issuer)
	}
	return fmt.Sprintf("\"%s\" (key %.16s)", c.Issuer, c.IssuerKeyID)
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
			sent := linked(t.Chain)
			missing := issuerOf(sent[len(sent)-1])
			r.Fail(e.Subject(), Fault{
				Severity: byPort(e, audit.Low, audit.High),
				Detail:   "the server does not send the certificates between its own and a public root: that of " + missing + " is missing",
				Evidence: []string{evidence},
				Fix: audit.Fix{Summary: "send the intermediate certificates as well", Steps: []string{
					"configure the file that holds the certificate and its intermediates (often called fullchain.pem), the server's certificate first",
					"if the certificate comes from a private authority: use one of a public authority",
				}},
			})
		}
	})
}

// wholeChain calls judge with all the certificates that were sent. Of more
// than are kept in the facts judge learns those, and says whether it found a
// fault: without one, nobody can tell.
func wholeChain(s *audit.Snapshot, r *Report, judge func(e audit.Endpoint, chain []audit.Certificate) (fault Fault, good string)) {
	certificates(s, r, func(e audit.Endpoint, t audit.TLS, _ audit.Certificate) {
		fault, good := judge(e, t.Chain)
		evidence := Seen(e.TLS.Via, fmt.Sprintf("%d certificates sent", t.ChainLen))
		switch {
		case fault.Detail != "":
			fault.Evidence = []string{evidence}
			r.Fail(e.Subject(), fault)
		case t.ChainLen > len(t.Chain):
			r.Unknown(e.Subject(), audit.Reason{Code: audit.Oversized,
				Text: fmt.Sprintf("the server sends more certificates than the %d that are kept", audit.MaxChain)}, evidence)
		default:
			r.Pass(e.Subject(), good, evidence)
		}
	})
}

// place is where a certificate stands in the chain, for people.
func place(i int, c audit.Certificate) string {
	return fmt.Sprintf("certificate %d (\"%s\")", i+1, c.Subject)
}

func judgeOrder(s *audit.Snapshot, r *Report) {
	wholeChain(s, r, func(e audit.Endpoint, chain []audit.Certificate) (Fault, string) {
		for i := 1; i < len(chain); i++ {
			if !certifies(chain[i], chain[i-1]) {
				return Fault{
					Severity: byPort(e, audit.Info, audit.Low),
					Detail:   place(i, chain[i]) + " is not the issuer of the one that is sent before it",
					Fix: audit.Fix{Summary: "put the certificates in order", Steps: []string{
						"in the file: the server's certificate, then the one that has issued it, and so on; nothing else",
					}},
				}, ""
			}
		}
		return Fault{}, "the chain is in order"
	})
}

func judgeRootSent(s *audit.Snapshot, r *Report) {
	wholeChain(s, r, func(_ audit.Endpoint, chain []audit.Certificate) (Fault, string) {
		for i, c := range chain {
			if i > 0 && c.SelfIssue {
				return Fault{
					Detail: place(i, c) + " is a root, which nobody needs to be sent",
					Fix:    audit.Fix{Summary: "take the root out of the file with the chain, unless a TLSA record of usage 2 names it"},
				}, ""
			}
		}
		return Fault{}, "no root is sent along"
	})
}

func judgeSignatures(s *audit.Snapshot, r *Report) {
	wholeChain(s, r, func(e audit.Endpoint, chain []audit.Certificate) (Fault, string) {
		for i, c := range chain {
			if !c.SelfIssue && weakHash(c.Signature) {
				return Fault{
					Severity: byPort(e, audit.Low, audit.Medium),
					Detail:   fmt.Sprintf("%s is signed with %s", place(i, c), c.Signature),
					Fix: audit.Fix{Summary: "have the certificate issued again", Steps: []string{
						"if it is the server's own: have it issued again, by an authority of today",
						"if it is one above it: configure the intermediate certificates that the authority gives out today",
					}},
				}, ""
			}
		}
		return Fault{}, "signed with " + chain[0].Signature
	})
}

// weakHash reports whether a kind of signature rests on a hash of which
// collisions can be made (RFC 6151, RFC 6194).
func weakHash(signature string) bool {
	for _, hash := range []string{"MD2", "MD5", "SHA1"} {
		if strings.Contains(signature, hash) {
			return true
		}
	}
	return false
}

// longest is how long a public certificate may be valid that was issued at a
// time: ballots SC31 and SC-081v3 of the CA/Browser Forum. 0: there was no
// limit that counts today.
func longest(issued time.Time) time.Duration {
	const day = 24 * time.Hour
	from := func(year int, month time.Month, d int) bool {
		return !issued.Before(time.Date(year, month, d, 0, 0, 0, 0, time.UTC))
	}
	switch {
	case from(2029, time.March, 15):
		return 47 * day
	case from(2027, time.March, 15):
		return 100 * day
	case from(2026, time.March, 15):
		return 200 * day
	case from(2020, time.September, 1):
		return 398 * day
	}
	return 0
}

func judgeLifetime(s *audit.Snapshot, r *Report) {
	certificates(s, r, func(e audit.Endpoint, t audit.TLS, c audit.Certificate) {
		_, trusted, ok := Need(r, e.Subject(), t.Trust)
		if !ok {
			return
		}
		if !trusted {
			r.NA(e.Subject(), "the certificate is not a public one: "+t.Trust.Why.Text)
			return
		}
		_, logged, ok := Need(r, e.Subject(), t.SCTs)
		most, days := longest(c.NotBefore), int(c.NotAfter.Sub(c.NotBefore).Hours()/24)
		evidence := Seen(e.TLS.Via, "notBefore "+c.NotBefore.Format(time.DateOnly), "notAfter "+c.NotAfter.Format(time.DateOnly))
		switch {
		case !ok:
		case !logged:
			r.NA(e.Subject(), "nothing shows that a public authority has issued the certificate: it is in no certificate log")
		case most == 0 || c.NotAfter.Sub(c.NotBefore) <= most:
			r.Pass(e.Subject(), fmt.Sprintf("issued for %d days", days), evidence)
		default:
			r.Fail(e.Subject(), Fault{
				Detail: fmt.Sprintf("the certificate is valid for %d days; of those issued on %s public ones may be for %d",
					days, c.NotBefore.Format(time.DateOnly), int(most.Hours()/24)),
				Evidence: []string{evidence},
				Fix:      audit.Fix{Summary: "have the certificate issued again, for a shorter time"},
			})
		}
	})
}
