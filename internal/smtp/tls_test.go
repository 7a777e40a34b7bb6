package smtp

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
)

// overTLS is a whole conversation around one server configuration.
func overTLS(config *tls.Config) script {
	return inTLS(func(s *peer) {
		s.tls(config)
		s.answer(ehlo, "250-mx.example.org", "250 SIZE 2000")
		s.bye()
	})
}

// TestBadCertificates: a certificate stops nothing; what is wrong with it is
// two observations, and its dates are in the facts.
func TestBadCertificates(t *testing.T) {
	root := authority(t, "Root", nil, nil)
	stranger := authority(t, "Stranger", nil, nil)
	expired := func(c *x509.Certificate) { c.NotAfter = epoch().Add(-time.Hour) }
	wrong := func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} }
	for _, tt := range []struct {
		name, trust, match string
		cert               tls.Certificate
	}{
		{"expired", "S", "S", leaf(t, root, expired)},
		{"wrong name", "S", "!other-name", leaf(t, root, wrong)},
		{"untrusted", "!incomplete", "S", leaf(t, stranger, nil)},
		{"self-signed", "!self-signed", "S", leaf(t, nil, nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{overTLS(serve(tt.cert))}}
				p := New(Config{Dialer: w, HELO: testHELO, Roots: pool(root)})
				e, sessions := p.Probe(t.Context(), testTarget())
				got := e.TLS.Value
				if summary(e) != "S S S n S S S" || brief(got.Trust) != tt.trust || brief(got.NameMatch) != tt.match {
					t.Errorf("%s, trust %s, name %s; want %s, %s", summary(e), brief(got.Trust), brief(got.NameMatch), tt.trust, tt.match)
				}
				if ends := w.check(p); ends != "Q" || len(sessions) != 1 {
					t.Errorf("ended %q in %d sessions", ends, len(sessions))
				}
				want := parse(t, tt.cert.Certificate[0]).NotAfter
				if len(got.Chain) != 1 || !got.Chain[0].NotAfter.Equal(want) {
					t.Errorf("chain %+v, want not after %s", got.Chain, want)
				}
			})
		})
	}
}

// TestOldServers: versions and suites that Go turns off by default are
// negotiated, because they are explicit.
func TestOldServers(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root := authority(t, "Root", nil, nil)
	cert := tls.Certificate{Certificate: [][]byte{sign(t, template("mx.example.org"), root, key.Public())}, PrivateKey: key}
	for _, tt := range []struct {
		name          string
		max           uint16
		suite         uint16
		version, kind string
		group         string
	}{
		{"TLS 1.0 with RSA key exchange and 3DES", tls.VersionTLS10, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, "TLS 1.0", "TLS_RSA_WITH_3DES_EDE_CBC_SHA", ""},
		{"TLS 1.1", tls.VersionTLS11, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "TLS 1.1", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "X25519"},
		{"TLS 1.2 with RC4", tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA, "TLS 1.2", "TLS_ECDHE_RSA_WITH_RC4_128_SHA", "X25519"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := serve(cert)
				config.MinVersion, config.MaxVersion, config.CipherSuites = tls.VersionTLS10, tt.max, []uint16{tt.suite}
				w := &world{t: t, scripts: []any{overTLS(config)}}
				p := New(Config{Dialer: w, HELO: testHELO})
				e, _ := p.Probe(t.Context(), testTarget())
				got := e.TLS.Value
				if summary(e) != "S S S n S S S" || got.Version != tt.version || got.Cipher != tt.kind || got.Group != tt.group {
					t.Errorf("%s: %s %s %q", summary(e), got.Version, got.Cipher, got.Group)
				}
				w.check(p)
			})
		})
	}
}

// TestOwnLimits: what Go's TLS refuses is unknown, not broken, and needs no
// second look. This is the test that notices when crypto/tls changes its
// words.
func TestOwnLimits(t *testing.T) {
	root := authority(t, "Root", nil, nil)
	odd := func(bits uint) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
	}
	rsaCert := func(bits uint) tls.Certificate {
		key := odd(bits)
		return tls.Certificate{Certificate: [][]byte{sign(t, template("mx.example.org"), root, key)}, PrivateKey: fakeSigner{key}}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := sign(t, template("mx.example.org"), root, public)
	// The same certificate with the OID of Ed448 (RFC 8410) on its key.
	ed448 := bytes.Replace(ed, []byte{0x06, 0x03, 0x2b, 0x65, 0x70}, []byte{0x06, 0x03, 0x2b, 0x65, 0x71}, 1)
	for _, tt := range []struct {
		name string
		cert tls.Certificate
		text string
	}{
		{"no certificate at all", tls.Certificate{Certificate: [][]byte{[]byte("garbage")}, PrivateKey: private}, "cannot be parsed"},
		{"RSA 9000", rsaCert(9000), "longer"},
		{"RSA 1000", rsaCert(1000), "shorter"},
		{"Ed448", tls.Certificate{Certificate: [][]byte{ed448}, PrivateKey: private}, "kind of key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{overTLS(serve(tt.cert))}}
				p := New(Config{Dialer: w, HELO: testHELO})
				e, sessions := p.Probe(t.Context(), testTarget())
				if got := summary(e); got != "S S S n S certificate-form not-learned" || !strings.Contains(e.TLS.Why.Text, tt.text) {
					t.Errorf("got %s, %q; want %q\n%s", got, e.TLS.Why.Text, tt.text, transcriptText(sessions[0]))
				}
				if ends := w.check(p); ends != "-" {
					t.Errorf("ended %q", ends)
				}
			})
		})
	}
	why, ok := ownLimit(errors.New("tls: certificate used with invalid signature algorithm")) // key_agreement.go of Go 1.26
	if !ok || why.Code != audit.TLSProtocol {
		t.Errorf("SHA-1 signature: %+v, %t", why, ok)
	}
	_, ok = ownLimit(errors.New("tls: handshake message of length 16777215 bytes exceeds maximum of 65536 bytes"))
	if ok {
		t.Error("an oversized handshake message is taken for a limit of ours")
	}
}

// TestHugeHandshake: a handshake message of 16 MiB is refused by crypto/tls
// before it is read, and counts as broken.
func TestHugeHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{inTLS(clientHello(func(s *peer) {
			record := append([]byte{0x16, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff}, make([]byte, 0x4000-4)...)
			for range 1025 {
				_, err := s.raw.Write(record)
				if err != nil {
					return
				}
				record = append([]byte{0x16, 3, 3, 0x40, 0}, make([]byte, 0x4000)...)
			}
		}))}}
		p := New(Config{Dialer: w, HELO: testHELO})
		e, _ := p.Probe(t.Context(), testTarget())
		if got := summary(e); got != "S S S n S !broken n" {
			t.Errorf("got %s (%s)", got, e.TLS.Why.Text)
		}
		w.check(p)
		for i, s := range w.opened {
			if n := s.raw.out.written; n > 256<<10 {
				t.Errorf("connection %d: the server could send %d octets", i+1, n)
			}
		}
	})
}
