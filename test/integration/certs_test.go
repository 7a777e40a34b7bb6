//go:build integration && linux

package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"testing"
	"time"
)

// certificates are those of one telling of the story: a root that the program
// is told to trust, an intermediate, and one certificate for each MX host.
type certificates struct {
	root     string // file for SSL_CERT_FILE
	mx1, mx2 issued
}

// issued is a server certificate with its key and its chain.
type issued struct {
	file                string // in the form of smtpd_tls_chain_files: key, certificate, intermediate
	notBefore, notAfter time.Time
	sha256              string // of the certificate, hex
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// makeCertificates issues a certificate for mx1 that expires after life, and
// one for mx2 that lasts.
func makeCertificates(t *testing.T, life time.Duration) *certificates {
	t.Helper()
	dir := tempDir(t)
	ca := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	root := sign(t, ca("Lab Root", 1), nil)
	middle := sign(t, ca("Lab Intermediate", 2), root)
	c := &certificates{root: filepath.Join(dir, "root.pem")}
	writeFile(t, 0o644, c.root, pemText("CERTIFICATE", root.cert.Raw))
	c.mx1 = issue(t, middle, filepath.Join(dir, "mx1.pem"), mx1Name, 3, life)
	c.mx2 = issue(t, middle, filepath.Join(dir, "mx2.pem"), mx2Name, 4, 90*24*time.Hour)
	return c
}

// issue makes a server certificate and writes the file that Postfix reads.
func issue(t *testing.T, by *authority, file, host string, serial int64, life time.Duration) issued {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second) // X.509 knows no fractions
	leaf := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, by)
	key, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, 0o600, file, pemText("PRIVATE KEY", key)+pemText("CERTIFICATE", leaf.cert.Raw)+pemText("CERTIFICATE", by.cert.Raw))
	sum := sha256.Sum256(leaf.cert.Raw)
	return issued{file, leaf.cert.NotBefore, leaf.cert.NotAfter, hex.EncodeToString(sum[:])}
}

// sign makes a key for the template and has it signed; by nobody: by itself.
func sign(t *testing.T, template *x509.Certificate, by *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
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
