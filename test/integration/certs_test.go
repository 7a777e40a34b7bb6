//go:build integration && linux

package integration

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificates are those of one test: a root that the program is told to
// trust, an intermediate that signs, and a certificate for each MX host.
type certificates struct {
	dir      string
	root     string // file for SSL_CERT_FILE
	middle   *authority
	serial   int64
	mx1, mx2 issued
}

// issued is a server certificate with its key and its chain.
type issued struct {
	file                string // key, certificate and chain in one, as most servers take it
	notBefore, notAfter time.Time
	sha256              string // of the certificate, hex
	chain               int    // certificates in the file
	keyType             string // as the facts call it
	keyBits             int
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// makeCertificates issues a certificate for mx1 that expires after life, and
// one for mx2 that lasts.
func makeCertificates(t *testing.T, life time.Duration) *certificates {
	t.Helper()
	ca := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	root := sign(t, ecdsaKey(t), ca("Lab Root", 1), nil)
	c := &certificates{dir: tempDir(t), middle: sign(t, ecdsaKey(t), ca("Lab Intermediate", 2), root), serial: 2}
	c.root = filepath.Join(c.dir, "root.pem")
	writeFile(t, 0o644, c.root, pemText("CERTIFICATE", root.cert.Raw))
	c.mx1 = c.issue(t, mx1Name, ecdsaKey(t), life)
	c.mx2 = c.issue(t, mx2Name, ecdsaKey(t), 90*24*time.Hour)
	return c
}

// issue makes a server certificate and writes the file that servers read.
func (c *certificates) issue(t *testing.T, host string, key crypto.Signer, life time.Duration) issued {
	t.Helper()
	c.serial++
	now := time.Now().UTC().Truncate(time.Second) // X.509 knows no fractions
	leaf := sign(t, key, &x509.Certificate{
		SerialNumber: big.NewInt(c.serial), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, c.middle)
	sum := sha256.Sum256(leaf.cert.Raw)
	out := issued{
		file:      filepath.Join(c.dir, host+".pem"),
		notBefore: leaf.cert.NotBefore, notAfter: leaf.cert.NotAfter, sha256: hex.EncodeToString(sum[:]), chain: 2,
		keyType: leaf.cert.PublicKeyAlgorithm.String(), keyBits: 256,
	}
	if rsaKey, ok := key.(*rsa.PrivateKey); ok {
		out.keyBits = rsaKey.N.BitLen()
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, 0o600, out.file, pemText("PRIVATE KEY", der)+pemText("CERTIFICATE", leaf.cert.Raw)+pemText("CERTIFICATE", c.middle.cert.Raw))
	return out
}

// withoutChain takes the intermediate out of the file, as many do who think
// that the certificate is enough.
func (i issued) withoutChain(t *testing.T) issued {
	t.Helper()
	text, err := os.ReadFile(i.file)
	if err != nil {
		t.Fatal(err)
	}
	text = text[:bytes.LastIndex(text, []byte("-----BEGIN"))]
	i.chain--
	writeFile(t, 0o600, i.file, string(text))
	return i
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign has the template signed; by nobody: by itself.
func sign(t *testing.T, key crypto.Signer, template *x509.Certificate, by *authority) *authority {
	t.Helper()
	if by == nil {
		by = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func pemText(kind string, der []byte) string {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // writing to memory
	return b.String()
}
