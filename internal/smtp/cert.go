package smtp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// Limits on a distinguished name in the facts. X.509 bounds each attribute
// (RFC 5280 appendix A: 64 to 128 characters), not their number.
const (
	maxDN         = 512 // octets
	maxAttributes = 64  // real names have ten
)

// loadRoots is the pool to trust. A system without any root certificate gives
// an empty pool and no error; nil says so for both.
func loadRoots(given *x509.CertPool) *x509.CertPool {
	if given != nil {
		return given
	}
	pool, err := x509.SystemCertPool()
	if err != nil || pool.Equal(x509.NewCertPool()) {
		return nil
	}
	return pool
}

// facts is what a finished handshake showed.
func (p *Prober) facts(state tls.ConnectionState, host audit.DNSName, now time.Time) audit.TLS {
	sent := state.PeerCertificates
	out := audit.TLS{
		Version:  tls.VersionName(state.Version),
		Cipher:   tls.CipherSuiteName(state.CipherSuite),
		ChainLen: len(sent),
	}
	if state.CurveID != 0 {
		out.Group = state.CurveID.String()
	}
	for _, c := range sent[:min(len(sent), audit.MaxChain)] {
		out.Chain = append(out.Chain, certificate(c))
	}
	out.Stapled = sentAlong(len(state.OCSPResponse) > 0, "no OCSP response was sent along")
	if len(sent) == 0 { // crypto/tls does not let this happen
		none := audit.Reason{Code: audit.Malformed, Text: "the server sent no certificate"}
		out.Trust, out.NameMatch = audit.Dark[audit.Nothing](none, ""), audit.Dark[audit.Nothing](none, "")
		return out
	}
	out.SCTs = sentAlong(len(state.SignedCertificateTimestamps) > 0 || hasSCTs(sent[0]), "no timestamps of certificate logs were sent along")
	out.Trust = p.trust(sent, now)
	out.NameMatch = nameMatch(sent[0], host)
	return out
}

// sentAlong is the observation of an extra that servers may send.
func sentAlong(yes bool, none string) audit.Obs[audit.Nothing] {
	if yes {
		return audit.See(audit.Nothing{}, "")
	}
	return audit.None[audit.Nothing](audit.NotOffered, none, "")
}

// masterSecret is whether the keys are bound to the whole handshake (RFC 7627).
// crypto/tls exports keying material of TLS 1.2 and older only where they are.
func masterSecret(state tls.ConnectionState) audit.Obs[audit.Nothing] {
	if state.Version >= tls.VersionTLS13 {
		return audit.NA[audit.Nothing]("TLS 1.3 has it built in")
	}
	_, err := state.ExportKeyingMaterial("EXPERIMENTAL mailaudit", nil, 1)
	return sentAlong(err == nil, "the server does not know the extended master secret")
}

// hasSCTs reports whether a certificate carries timestamps of public logs: the
// extension 1.3.6.1.4.1.11129.2.4.2 (RFC 6962 section 3.3).
func hasSCTs(c *x509.Certificate) bool {
	oid := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
	return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oid) })
}

// trust asks whether the chain as sent leads to a root. The moment of the
// question is moved into the validity of the server's certificate: whether
// that one is in date is a question of its own.
func (p *Prober) trust(chain []*x509.Certificate, now time.Time) audit.Obs[audit.Nothing] {
	if p.roots == nil {
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.LocalError,
			Text: "this system has no root certificates to compare with"}, "")
	}
	leaf := chain[0]
	if now.Before(leaf.NotBefore) {
		now = leaf.NotBefore
	}
	if now.After(leaf.NotAfter) {
		now = leaf.NotAfter
	}
	opts := x509.VerifyOptions{Roots: p.roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(opts)
	if err == nil {
		return audit.See(audit.Nothing{}, "")
	}
	var system x509.SystemRootsError
	if errors.As(err, &system) {
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.LocalError,
			Text: "the root certificates of this system cannot be read"}, "")
	}
	if strings.Contains(err.Error(), "limit reached") {
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.Oversized,
			Text: "the chain takes more signatures to check than this program is ready to"}, "")
	}
	why := untrusted(err, chain)
	return audit.None[audit.Nothing](why.Code, why.Text, "")
}

// untrusted says why a chain leads to no root. What crypto/x509 has found out
// about a candidate for an issuer it tells in words alone; tests with chains of
// each kind notice when those change.
func untrusted(err error, chain []*x509.Certificate) audit.Reason {
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return audit.Reason{Code: audit.Untrusted, Text: "a certificate above the server's is out of date"}
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return audit.Reason{Code: audit.Untrusted, Text: "the certificate is not meant for servers (extended key usage)"}
	case !errors.As(err, &authority):
		return audit.Reason{Code: audit.Untrusted, Text: "the chain breaks a rule for certificates (RFC 5280), for example a constraint of an issuer"}
	case strings.Contains(err.Error(), "insecure algorithm"):
		return audit.Reason{Code: audit.Untrusted, Text: "a certificate of the chain is signed with SHA-1 or MD5, which proves nothing any more"}
	case selfIssued(chain[0]):
		return audit.Reason{Code: audit.SelfSigned, Text: "the certificate is signed by itself"}
	case strings.Contains(err.Error(), "possibly because of"):
		return audit.Reason{Code: audit.Untrusted, Text: "a certificate has the name of an issuer in the chain, and another key than the one that signed"}
	case selfIssued(top(chain)):
		return audit.Reason{Code: audit.UnknownRoot, Text: "the chain ends in a root that this system does not trust"}
	}
	return audit.Reason{Code: audit.Incomplete, Text: "the chain stops before a root: the issuer of its last certificate was not sent and is no root of this system"}
}

// top follows the issuers among what was sent, at most once through.
func top(chain []*x509.Certificate) *x509.Certificate {
	c := chain[0]
	for range chain {
		i := slices.IndexFunc(chain, func(up *x509.Certificate) bool { return bytes.Equal(up.RawSubject, c.RawIssuer) })
		if i < 0 {
			break
		}
		c = chain[i]
	}
	return c
}

// distinguished is a name as text (RFC 4514). Writing a name of n attributes
// takes package pkix n copies of it, and a certificate has room for thousands:
// those beyond the limit are left out before.
func distinguished(n pkix.Name) audit.Raw {
	if len(n.Names) > maxAttributes {
		var first pkix.RDNSequence
		for _, a := range n.Names[:maxAttributes] {
			first = append(first, pkix.RelativeDistinguishedNameSET{a})
		}
		n = pkix.Name{}
		n.FillFromRDNSequence(&first)
	}
	return audit.Raw(n.String()).Clip(maxDN)
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// nameMatch asks whether the certificate is for the host, by subjectAltName
// alone (RFC 9525 section 6; VerifyHostname does not look at the common name).
func nameMatch(leaf *x509.Certificate, host audit.DNSName) audit.Obs[audit.Nothing] {
	name := strings.Trim(string(host), "[]")
	err := leaf.VerifyHostname(strings.TrimPrefix(name, "ipv6:"))
	switch {
	case err == nil:
		return audit.See(audit.Nothing{}, "")
	case len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 && leaf.Subject.CommonName != "":
		return audit.None[audit.Nothing](audit.OtherName, "the certificate has no host name in subjectAltName, and its common name is not looked at any more", "")
	case len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0:
		return audit.None[audit.Nothing](audit.OtherName, "the certificate has no host name in subjectAltName", "")
	}
	return audit.None[audit.Nothing](audit.OtherName, "the certificate names other hosts than this one", "")
}

// keyID is the name of a key in hex.
func keyID(id []byte) string {
	return hex.EncodeToString(id[:min(len(id), audit.MaxKeyID/2)])
}

// certificate copies what matters of a certificate (RFC 5280).
func certificate(c *x509.Certificate) audit.Certificate {
	sum, spki := sha256.Sum256(c.Raw), sha256.Sum256(c.RawSubjectPublicKeyInfo)
	out := audit.Certificate{
		Subject:   distinguished(c.Subject),
		Issuer:    distinguished(c.Issuer),
		NameCount: len(c.DNSNames) + len(c.IPAddresses),
		NotBefore: c.NotBefore.UTC(),
		NotAfter:  c.NotAfter.UTC(),
		KeyType:   "unknown",
		Signature: "unknown",
		SHA256:    hex.EncodeToString(sum[:]),
		SPKI:      hex.EncodeToString(spki[:]),
		SelfIssue: selfIssued(c),

		KeyID: keyID(c.SubjectKeyId), IssuerKeyID: keyID(c.AuthorityKeyId),
	}
	for _, n := range c.DNSNames {
		out.Names = append(out.Names, audit.Raw(n).Clip(maxDN))
	}
	for _, ip := range c.IPAddresses {
		out.Names = append(out.Names, audit.Raw(ip.String()))
	}
	slices.Sort(out.Names)
	out.Services = serviceNames(c)
	out.Names = slices.Clip(out.Names[:min(len(out.Names), audit.MaxNames)])
	if c.PublicKeyAlgorithm != x509.UnknownPublicKeyAlgorithm {
		out.KeyType = c.PublicKeyAlgorithm.String()
	}
	if c.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		out.Signature = c.SignatureAlgorithm.String()
	}
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		out.KeyBits = key.N.BitLen()
	case *ecdsa.PublicKey:
		out.KeyBits = key.Curve.Params().BitSize
	}
	if c.PublicKeyAlgorithm == x509.Ed25519 {
		out.KeyBits = 256
	}
	return out
}
