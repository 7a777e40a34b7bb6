package lab_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/lab"
)

// startTLS brings a connection as far as a finished handshake.
func startTLS(t *testing.T, n *lab.Network, addr string, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	return startTLSWithin(t.Context(), t, n, addr, config)
}

func startTLSWithin(ctx context.Context, t *testing.T, n *lab.Network, addr string, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	c := dial(t, n, "tcp", addr)
	defer c.Close()
	reply(t, c)
	send(t, c, "EHLO probe.example.net")
	reply(t, c)
	send(t, c, "STARTTLS")
	reply(t, c)
	s := tls.Client(c, config)
	err := s.HandshakeContext(ctx)
	return s.ConnectionState(), err
}

func TestCertificates(t *testing.T) {
	w := world(t, "tls")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		roots := w.Roots()
		for _, tc := range []struct {
			addr, want string // what comes of verification
			chain      int
			key        string
			days       int // from now to notAfter
		}{
			{"192.0.2.1:25", "", 1, "ECDSA", 80},
			{"192.0.2.2:25", "x509: certificate has expired or is not yet valid", 1, "ECDSA", -3},
			{"192.0.2.3:25", "x509: certificate signed by unknown authority", 1, "ECDSA", 80},
			{"192.0.2.4:25", "x509: certificate signed by unknown authority", 1, "ECDSA", 80},
			{"192.0.2.5:25", "x509: certificate is valid for wrongname.invalid, not mx.example.org", 1, "ECDSA", 80},
			{"192.0.2.6:25", "", 2, "ECDSA", 80},
			{"192.0.2.7:25", "x509: certificate signed by unknown authority", 1, "RSA 2048", 80},
			{"192.0.2.8:25", "", 1, "RSA 1024", 80},
			{"192.0.2.9:25", "", 1, "Ed25519", 1},
			{"192.0.2.11:25", "x509: certificate relies on legacy Common Name field", 1, "ECDSA", 80},
			{"192.0.2.14:25", "x509: certificate has expired or is not yet valid", 1, "ECDSA", 95},
			{"192.0.2.15:25", "", 3, "ECDSA", 80},
			{"192.0.2.16:25", "x509: certificate signed by unknown authority (possibly because of \"x509: cannot verify signature: insecure algorithm ECDSA-SHA1", 1, "ECDSA", 80},
			{"192.0.2.17:25", "", 1, "ECDSA", 80},
		} {
			state, err := startTLS(t, n, tc.addr, &tls.Config{ServerName: "mx.example.org", InsecureSkipVerify: true})
			if err != nil {
				t.Errorf("%s: %v", tc.addr, err)
				continue
			}
			leaf := state.PeerCertificates[0]
			if last := state.PeerCertificates[len(state.PeerCertificates)-1]; tc.chain == 3 && last.Subject.CommonName != "Lab root intermediate" {
				t.Errorf("%s: the chain ends with %s", tc.addr, last.Subject)
			}
			sct := func(e pkix.Extension) bool { return e.Id.String() == "1.3.6.1.4.1.11129.2.4.2" }
			if got := slices.ContainsFunc(leaf.Extensions, sct); got != (tc.addr == "192.0.2.17:25") {
				t.Errorf("%s: timestamps of a log: %t", tc.addr, got)
			}
			pool := x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				pool.AddCert(c)
			}
			_, err = leaf.Verify(x509.VerifyOptions{DNSName: "mx.example.org", Roots: roots, Intermediates: pool})
			if (err == nil) != (tc.want == "") || err != nil && !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%s: verification: %v, want %q", tc.addr, err, tc.want)
			}
			if len(state.PeerCertificates) != tc.chain {
				t.Errorf("%s: %d certificates", tc.addr, len(state.PeerCertificates))
			}
			if got := keyName(leaf); got != tc.key {
				t.Errorf("%s: key %s, want %s", tc.addr, got, tc.key)
			}
			if got := leaf.NotAfter.Sub(w.At); got != time.Duration(tc.days)*24*time.Hour {
				t.Errorf("%s: ends %v from now", tc.addr, got)
			}
		}
		clean(t, n)
	})
}

func keyName(c *x509.Certificate) string {
	if k, ok := c.PublicKey.(interface{ Size() int }); ok {
		return fmt.Sprintf("RSA %d", k.Size()*8)
	}
	return c.PublicKeyAlgorithm.String()
}

// TestOneCertificate shows that a certificate stays the same within a world,
// differs between hosts, and has the same number in every world.
func TestOneCertificate(t *testing.T) {
	w, other := world(t, "tls"), world(t, "tls")
	keys := lab.NewKeyCache()
	w.Keys, other.Keys = keys, keys
	get := func(w *lab.World, name, host string) *x509.Certificate {
		t.Helper()
		c, err := w.Certificate(name, host)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf
	}
	a := get(w, "good", "a.example.org")
	if !a.Equal(get(w, "good", "a.example.org")) {
		t.Error("the second use made another certificate")
	}
	b := get(w, "good", "b.example.org")
	if a.Equal(b) || a.SerialNumber.Cmp(b.SerialNumber) == 0 || string(a.RawSubjectPublicKeyInfo) == string(b.RawSubjectPublicKeyInfo) {
		t.Error("two hosts share a certificate, a number or a key")
	}
	c := get(other, "good", "a.example.org")
	if c.SerialNumber.Cmp(a.SerialNumber) != 0 || string(a.RawSubjectPublicKeyInfo) != string(c.RawSubjectPublicKeyInfo) {
		t.Error("worlds with one KeyCache differ in number or key")
	}
	_, err := w.Certificate("nonesuch", "a.example.org")
	if err == nil {
		t.Error("a certificate that nobody described")
	}
	d := get(w, "good", "192.0.2.1")
	if len(d.IPAddresses) != 1 || len(d.DNSNames) != 0 {
		t.Errorf("for an address: %v %v", d.IPAddresses, d.DNSNames)
	}
}

// TestNoSNI: without a name in the ClientHello the server's own is taken.
func TestNoSNI(t *testing.T) {
	w := world(t, "tls")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		state, err := startTLS(t, n, "192.0.2.1:25", &tls.Config{InsecureSkipVerify: true})
		if err != nil || state.PeerCertificates[0].DNSNames[0] != "mx.example.org" {
			t.Errorf("%v, %v", state.PeerCertificates, err)
		}
		clean(t, n)
	})
}

// What old middleboxes do to a large ClientHello they do not do to a small one.
func TestLargeClientHello(t *testing.T) {
	w := world(t, "tls")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		for addr, want := range map[string]string{"192.0.2.18:25": "connection reset by peer", "192.0.2.19:25": "EOF", "192.0.2.20:25": "deadline exceeded"} {
			for _, curves := range [][]tls.CurveID{nil, {tls.X25519}} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				_, err := startTLSWithin(ctx, t, n, addr, &tls.Config{ServerName: "mx.example.org", InsecureSkipVerify: true, CurvePreferences: curves})
				cancel()
				if small := curves != nil; small != (err == nil) || !small && !strings.Contains(err.Error(), want) {
					t.Errorf("%s, small %t: %v", addr, small, err)
				}
			}
		}
		clean(t, n)
	})
}

func TestVersions(t *testing.T) {
	w := world(t, "tls")
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}
		state, err := startTLS(t, n, "192.0.2.12:25", old)
		if err != nil || state.Version != tls.VersionTLS11 {
			t.Errorf("tls=1.1: %x, %v", state.Version, err)
		}
		_, err = startTLS(t, n, "192.0.2.12:25", &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		const alert = "remote error: tls: protocol version not supported"
		if err == nil || err.Error() != alert {
			t.Errorf("1.2 asked of tls=1.1: %v", err)
		}
		_, err = startTLS(t, n, "192.0.2.13:25", &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		if err == nil || err.Error() != alert {
			t.Errorf("1.2 asked of min=1.3: %v", err)
		}
		clean(t, n)
	})
}
