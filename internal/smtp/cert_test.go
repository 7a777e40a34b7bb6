package smtp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

// issuer is a certificate authority of a test.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// epoch is the moment at which synctest bubbles begin.
func epoch() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name},
		NotBefore: epoch().Add(-24 * time.Hour), NotAfter: epoch().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// authority makes a root, or an intermediate below up.
func authority(t testing.TB, name string, up *issuer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	c := template(name)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	if change != nil {
		change(c)
	}
	own := &issuer{key: newKey(t)}
	if up == nil {
		up = &issuer{cert: c, key: own.key}
	}
	own.cert = parse(t, sign(t, c, up, own.key.Public()))
	return own
}

func sign(t testing.TB, c *x509.Certificate, up *issuer, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, up.cert, public, up.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// leaf makes a server certificate for mx.example.org below up.
func leaf(t testing.TB, up *issuer, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	c := template("mx.example.org")
	c.DNSNames = []string{"mx.example.org"}
	if change != nil {
		change(c)
	}
	key := newKey(t)
	if up == nil {
		up = &issuer{cert: c, key: key}
	}
	return tls.Certificate{Certificate: [][]byte{sign(t, c, up, key.Public())}, PrivateKey: key}
}

func pool(cs ...*issuer) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range cs {
		p.AddCert(c.cert)
	}
	return p
}

func serve(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

// TestTrustAndName pins the two verdict-like observations about a chain, each
// apart from the other and from the dates.
func TestTrustAndName(t *testing.T) {
	root := authority(t, "Root", nil, nil)
	other := authority(t, "Other root", nil, nil)
	inter := authority(t, "Intermediate", root, nil)
	oldInter := authority(t, "Old intermediate", root, func(c *x509.Certificate) { c.NotAfter = epoch().Add(-time.Hour) })
	narrow := authority(t, "Narrow", root, func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.com"}
	})
	sha1 := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	weak := authority(t, "Weak", root, sha1)
	namesake := authority(t, "Intermediate", root, nil)
	chain := func(up *issuer, with ...*issuer) tls.Certificate {
		c := leaf(t, up, nil)
		for _, w := range with {
			c.Certificate = append(c.Certificate, w.cert.Raw)
		}
		return c
	}
	past := func(c *x509.Certificate) { c.NotAfter = epoch().Add(-time.Hour) }
	future := func(c *x509.Certificate) { c.NotBefore = epoch().Add(time.Hour) }
	tests := []struct {
		name        string
		cert        tls.Certificate
		trust       string
		nameMatches string
	}{
		{"good", chain(root), "S", "S"},
		{"good with intermediate", chain(inter, inter), "S", "S"},
		{"good with root sent", chain(inter, inter, root), "S", "S"},
		{"signed with SHA-1", leaf(t, root, sha1), "!untrusted", "S"},
		{"intermediate signed with SHA-1", chain(weak, weak), "!untrusted", "S"},
		{"issuer of the name, with another key", chain(inter, namesake), "!untrusted", "S"},
		{"sixty certificates, the intermediate last", chain(inter, append(slices.Repeat([]*issuer{other}, 59), inter)...), "S", "S"},
		{"out of order", chain(inter, root, inter), "S", "S"},
		{"expired is still trusted", leaf(t, root, past), "S", "S"},
		{"not yet valid is still trusted", leaf(t, root, future), "S", "S"},
		{"intermediate missing", chain(inter), "!incomplete", "S"},
		{"private root not sent", chain(other), "!incomplete", "S"},
		{"private root sent", chain(other, other), "!unknown-root", "S"},
		{"self-signed", leaf(t, nil, nil), "!self-signed", "S"},
		{"expired intermediate", chain(oldInter, oldInter), "!untrusted", "S"},
		{"name constraint", chain(narrow, narrow), "!untrusted", "S"},
		{"for clients only", leaf(t, root, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), "!untrusted", "S"},
		{"wrong name", leaf(t, root, func(c *x509.Certificate) { c.DNSNames = []string{"www.example.org"} }), "S", "!other-name"},
		{"common name only", leaf(t, root, func(c *x509.Certificate) { c.DNSNames = nil }), "S", "!other-name"},
		{"wildcard", leaf(t, root, func(c *x509.Certificate) { c.DNSNames = []string{"*.example.org"} }), "S", "S"},
		{"wildcard too deep", leaf(t, root, func(c *x509.Certificate) { c.DNSNames = []string{"*.org"} }), "S", "!other-name"},
		{"upper case", leaf(t, root, func(c *x509.Certificate) { c.DNSNames = []string{"MX.Example.ORG"} }), "S", "S"},
	}
	p := New(Config{HELO: testHELO, Roots: pool(root)})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sent []*x509.Certificate
			for _, der := range tt.cert.Certificate {
				sent = append(sent, parse(t, der))
			}
			got := p.facts(tls.ConnectionState{PeerCertificates: sent}, "mx.example.org", epoch())
			if brief(got.Trust) != tt.trust || brief(got.NameMatch) != tt.nameMatches {
				t.Errorf("trust %s (%s), name %s (%s); want %s, %s", brief(got.Trust), got.Trust.Why.Text,
					brief(got.NameMatch), got.NameMatch.Why.Text, tt.trust, tt.nameMatches)
			}
		})
	}
	p.roots = nil
	got := p.facts(tls.ConnectionState{PeerCertificates: []*x509.Certificate{root.cert}}, "mx.example.org", epoch())
	if brief(got.Trust) != "local-error" {
		t.Errorf("without roots trust is %s, want local-error", brief(got.Trust))
	}
}

func TestNameMatchLiteral(t *testing.T) {
	root := authority(t, "Root", nil, nil)
	c := leaf(t, root, func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = nil, []net.IP{net.ParseIP("192.0.2.25"), net.ParseIP("2001:db8::25")}
	})
	cert := parse(t, c.Certificate[0])
	for host, want := range map[audit.DNSName]string{
		"192.0.2.25": "S", "[192.0.2.25]": "S", "[ipv6:2001:db8::25]": "S", "192.0.2.26": "!other-name",
	} {
		if got := brief(nameMatch(cert, host)); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
		if sni := serverName(host); sni != "" {
			t.Errorf("%s: server name %q, want none", host, sni)
		}
	}
	for host, want := range map[audit.DNSName]string{
		"mx.example.org": "mx.example.org", "m_x.example.org": "m_x.example.org", `a\000b.example.org`: "", ".": "",
	} {
		if got := serverName(host); got != want {
			t.Errorf("serverName(%s) = %q, want %q", host, got, want)
		}
	}
}

// TestCertificateFacts pins the copy of a certificate and its limits.
func TestCertificateFacts(t *testing.T) {
	root := authority(t, "Root", nil, nil)
	tc := leaf(t, root, func(c *x509.Certificate) {
		c.Subject.CommonName = "<script>\x1b[2J" + strings.Repeat("x", 2000)
		for i := range 40 {
			c.DNSNames = append(c.DNSNames, string(rune('z'-i%26))+".example.org")
		}
		c.IPAddresses = []net.IP{net.ParseIP("192.0.2.1")}
	})
	got := certificate(parse(t, tc.Certificate[0]))
	if got.NameCount != 42 || len(got.Names) != audit.MaxNames || !slices.IsSorted(got.Names) || got.Names[0] != "192.0.2.1" {
		t.Errorf("names: %d, %d kept, %q", got.NameCount, len(got.Names), got.Names)
	}
	if len(got.Subject) != maxDN || strings.ContainsRune(got.Subject.String(), 0x1b) {
		t.Errorf("subject has %d octets: %s", len(got.Subject), got.Subject)
	}
	if got.KeyType != "ECDSA" || got.KeyBits != 256 || got.Signature != "ECDSA-SHA256" || got.SelfIssue {
		t.Errorf("%s %d %s self-issued=%t", got.KeyType, got.KeyBits, got.Signature, got.SelfIssue)
	}
	if len(got.SHA256) != 64 || len(got.SPKI) != 64 || got.SHA256 == got.SPKI {
		t.Errorf("hashes %q, %q", got.SHA256, got.SPKI)
	}
	if got.NotAfter.Location() != time.UTC || !got.NotAfter.Equal(epoch().Add(90*24*time.Hour)) {
		t.Errorf("not after %s", got.NotAfter)
	}
	if !certificate(root.cert).SelfIssue {
		t.Error("the root is not self-issued")
	}
}

// TestManyAttributes: a name of thousands of attributes costs as much as its
// first ones.
func TestManyAttributes(t *testing.T) {
	name := func(n int) pkix.Name {
		out := pkix.Name{CommonName: "mx.example.org"}
		for range n {
			out.ExtraNames = append(out.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "x"})
		}
		return out
	}
	read := func(n int) audit.Certificate {
		tc := leaf(t, authority(t, "Root", nil, nil), func(c *x509.Certificate) { c.Subject = name(n) })
		sent := parse(t, tc.Certificate[0])
		var got audit.Certificate
		allocated := testing.AllocsPerRun(1, func() { got = certificate(sent) })
		if allocated > 2000 {
			t.Errorf("%d attributes: %.0f allocations", n, allocated)
		}
		return got
	}
	if got, want := read(2).Subject, audit.Raw("CN=mx.example.org,1.2.3=#130178,1.2.3=#130178"); got != want {
		t.Errorf("two attributes: %q, want %q", got, want)
	}
	few, many := read(maxAttributes-1).Subject, read(9000).Subject
	if len(many) != maxDN || few != many {
		t.Errorf("%q, and of thousands\n%q", few, many)
	}
}

func TestLongChain(t *testing.T) {
	root := authority(t, "Root", nil, nil)
	sent := []*x509.Certificate{parse(t, leaf(t, root, nil).Certificate[0])}
	for range 60 {
		sent = append(sent, authority(t, "Stuffing", nil, nil).cert)
	}
	p := New(Config{HELO: testHELO, Roots: pool(root)})
	got := p.facts(tls.ConnectionState{PeerCertificates: sent}, "mx.example.org", epoch())
	if got.ChainLen != 61 || len(got.Chain) != audit.MaxChain || brief(got.Trust) != "S" {
		t.Errorf("chain of %d, %d kept, trust %s", got.ChainLen, len(got.Chain), brief(got.Trust))
	}
}

// fakeSigner has a public key and signs nonsense: enough for a client that
// refuses the certificate before it looks at the signature.
type fakeSigner struct{ public crypto.PublicKey }

func (f fakeSigner) Public() crypto.PublicKey { return f.public }
func (f fakeSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 128), nil
}
