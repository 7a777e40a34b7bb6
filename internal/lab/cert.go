package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// askedName in a list of names stands for the host that the client asked for
// by SNI (RFC 6066 section 3), else for the server's own name or address.
const askedName = "$SNI"

const day = 24 * time.Hour

// Cert says how a certificate is made. Times are relative to the world's At.
type Cert struct {
	Name       string
	Line       int
	Names      []string // subjectAltName: host names and addresses; $SNI is the host asked for
	CN         string   // common name of the subject; "": the first name
	Days       int      // from notBefore to notAfter
	Issued     int      // notBefore, in days from At
	Key        string   // rsa1024, rsa2048, p256 or ed25519
	SelfSigned bool     // no CA at all
	Untrusted  bool     // by a CA that is not in Roots
	// Intermediate puts a CA between the root and the certificate; Incomplete
	// is the same and does not send it.
	Intermediate, Incomplete bool
	RootSent                 bool // the root is sent along
	Shuffled                 bool // all above the server's own are sent in reverse
	SHA1                     bool // signed so
	SCT                      bool // with the timestamp of a log, which is none
}

// builtinCerts are the certificates that every world has; a cert section of
// the same name replaces one.
func builtinCerts() []Cert {
	base := Cert{Names: []string{askedName}, Days: 90, Issued: -10, Key: "p256"}
	good, expired, self, untrusted, wrong := base, base, base, base, base
	good.Name = "good"
	expired.Name, expired.Issued = "expired", -93 // since three days
	self.Name, self.SelfSigned = "selfsigned", true
	untrusted.Name, untrusted.Untrusted = "untrusted", true
	wrong.Name, wrong.Names = "wrongname", []string{"wrongname.invalid"}
	return []Cert{good, expired, self, untrusted, wrong}
}

// parseCert reads a cert section.
func parseCert(file string, line int, name, text string) (Cert, error) {
	c := Cert{Name: name, Line: line, Days: 90, Issued: -10, Key: "p256"}
	for _, l := range lines(text, line+1) {
		words := strings.Fields(cutRemark(l.text))
		if len(words) == 0 || words[0][0] == '#' || words[0][0] == ';' {
			continue
		}
		err := c.set(words[0], words[1:])
		if err != nil {
			return c, fmt.Errorf("%s:%d: %w", file, l.number, err)
		}
	}
	if len(c.Names) == 0 && c.CN == "" {
		return c, fmt.Errorf("%s:%d: certificate %s has no names", file, line, name)
	}
	return c, nil
}

// set takes in one line of a cert section.
func (c *Cert) set(key string, values []string) error {
	flag, number := (*bool)(nil), (*int)(nil)
	switch key {
	case "names":
		if len(values) == 0 {
			return errors.New("names: none given")
		}
		c.Names = append(c.Names, values...)
		return nil
	case "days":
		number = &c.Days
	case "issued":
		number = &c.Issued
	case "self-signed":
		flag = &c.SelfSigned
	case "untrusted":
		flag = &c.Untrusted
	case "intermediate":
		flag = &c.Intermediate
	case "incomplete":
		flag = &c.Incomplete
	case "root-sent":
		flag = &c.RootSent
	case "shuffled":
		flag = &c.Shuffled
	case "sha1":
		flag = &c.SHA1
	case "sct":
		flag = &c.SCT
	case "cn", "key":
	default:
		return fmt.Errorf("%q is nothing that a certificate has", key)
	}
	if flag != nil {
		*flag = true
		if len(values) > 0 {
			return fmt.Errorf("%s takes nothing after it", key)
		}
		return nil
	}
	if len(values) != 1 {
		return fmt.Errorf("%s takes one value", key)
	}
	switch {
	case number != nil:
		n, err := strconv.Atoi(values[0])
		if err != nil || n < -36500 || n > 36500 {
			return fmt.Errorf("%s: %q is not a number of days", key, values[0])
		}
		*number = n
	case key == "cn":
		c.CN = values[0]
	default:
		c.Key = values[0]
		return checkKeyKind(c.Key)
	}
	return nil
}

func checkKeyKind(kind string) error {
	switch kind {
	case "rsa1024", "rsa2048", "p256", "ed25519":
		return nil
	}
	return fmt.Errorf("%q is none of rsa1024 rsa2048 p256 ed25519", kind)
}

// KeyCache keeps private keys by use, because making RSA keys takes longer
// than most worlds. It is safe for concurrent use; worlds may share one.
type KeyCache struct {
	mu   sync.Mutex
	keys map[string]crypto.Signer
}

// NewKeyCache makes an empty KeyCache.
func NewKeyCache() *KeyCache { return &KeyCache{keys: map[string]crypto.Signer{}} }

// key returns the key of a kind for a use, always the same one.
func (k *KeyCache) key(kind, use string) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := kind + " " + use
	if have := k.keys[id]; have != nil {
		return have, nil
	}
	fresh, err := newKey(kind)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	k.keys[id] = fresh
	return fresh, nil
}

// newKey makes a key. RSA of 1024 bits is what Go's TLS still accepts at the
// least; rules call it weak.
func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "rsa1024":
		return rsa.GenerateKey(rand.Reader, 1024)
	case "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// authority is a certificate that may sign others.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// authority returns one of the world's CAs: "root" (the trusted one),
// "stranger" (nobody trusts it), or "root intermediate" and "stranger
// intermediate", which those have signed. Roots are valid long before and after
// At, so that only leaves expire. certs is held.
func (w *World) authority(name string) (*authority, error) {
	if have := w.authorities[name]; have != nil {
		return have, nil
	}
	key, err := w.Keys.key("p256", "CA "+name)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial("CA " + name),
		Subject:      pkix.Name{Organization: []string{"mailaudit lab"}, CommonName: "Lab " + name},
		NotBefore:    w.At.AddDate(-5, 0, 0), NotAfter: w.At.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	parent := &authority{t, key}
	if above, ok := strings.CutSuffix(name, " intermediate"); ok {
		parent, err = w.authority(above)
		if err != nil {
			return nil, err
		}
	}
	cert, err := sign(t, parent, key)
	if err != nil {
		return nil, err
	}
	w.authorities[name] = &authority{cert, key}
	return w.authorities[name], nil
}

// sign makes the certificate of key.
func sign(t *x509.Certificate, by *authority, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// serial is the same number for the same use, in every run.
func serial(use string) *big.Int {
	sum := sha256.Sum256([]byte(use))
	return new(big.Int).SetUint64(binary.BigEndian.Uint64(sum[:])>>1 | 1)
}

// Roots is the pool of the CA that the clients of the world trust. Should
// making it fail, the pool is empty and the world has a problem.
func (w *World) Roots() *x509.CertPool {
	w.certs.Lock()
	root, err := w.authority("root")
	w.certs.Unlock()
	pool := x509.NewCertPool()
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.problems = append(w.problems, w.Name+": "+err.Error())
		return pool
	}
	pool.AddCert(root.cert)
	return pool
}

// RootPEM is the certificate of that CA, for programs that read SSL_CERT_FILE.
func (w *World) RootPEM() ([]byte, error) {
	w.certs.Lock()
	defer w.certs.Unlock()
	root, err := w.authority("root")
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw}), nil
}

// Certificate returns a named certificate with its key, for the host that a
// client asked for. The same name and host give the same certificate for as
// long as the world lives; it is made at the first use, relative to At.
func (w *World) Certificate(name, host string) (*tls.Certificate, error) {
	w.certs.Lock()
	defer w.certs.Unlock()
	id := name + " " + host
	if have := w.issued[id]; have != nil {
		return have, nil
	}
	spec, ok := w.Certs[name]
	if !ok {
		return nil, fmt.Errorf("the world has no certificate %q", name)
	}
	fresh, err := w.issue(spec, host, id)
	if err != nil {
		return nil, err
	}
	w.issued[id] = fresh
	return fresh, nil
}

// issue makes a certificate and its chain; certs is held.
func (w *World) issue(spec Cert, host, id string) (*tls.Certificate, error) {
	key, err := w.Keys.key(spec.Key, id)
	if err != nil {
		return nil, err
	}
	t := spec.template(host, w.At)
	t.SerialNumber = serial(id)
	by := &authority{t, key}
	if !spec.SelfSigned {
		by, err = w.authority(spec.issuer())
		if err != nil {
			return nil, err
		}
	}
	leaf, err := sign(t, by, key)
	if err != nil {
		return nil, err
	}
	chain := [][]byte{leaf.Raw}
	if spec.Intermediate && !spec.Incomplete && !spec.SelfSigned {
		chain = append(chain, by.cert.Raw)
	}
	if spec.RootSent {
		root, err := w.authority(strings.TrimSuffix(spec.issuer(), " intermediate"))
		if err != nil {
			return nil, err
		}
		chain = append(chain, root.cert.Raw)
	}
	if spec.Shuffled {
		slices.Reverse(chain[1:])
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

// issuer is the name of the CA that signs.
func (c Cert) issuer() string {
	name := "root"
	if c.Untrusted {
		name = "stranger"
	}
	if c.Intermediate || c.Incomplete {
		name += " intermediate"
	}
	return name
}

// template is the certificate before it is signed.
func (c Cert) template(host string, at time.Time) *x509.Certificate {
	from := at.Add(time.Duration(c.Issued) * day)
	t := &x509.Certificate{
		NotBefore: from, NotAfter: from.Add(time.Duration(c.Days) * day),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		Subject:     pkix.Name{CommonName: c.CN},
	}
	if c.SHA1 { // whoever signs has a key of this kind
		t.SignatureAlgorithm = x509.ECDSAWithSHA1
	}
	if c.SCT {
		t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: []byte{4, 2, 0, 0}}} // RFC 6962 3.3
	}
	if strings.HasPrefix(c.Key, "rsa") {
		t.KeyUsage |= x509.KeyUsageKeyEncipherment // for key exchange by RSA
	}
	for _, name := range c.Names {
		if name == askedName {
			name = host
		}
		if t.Subject.CommonName == "" {
			t.Subject.CommonName = name
		}
		ip := net.ParseIP(name)
		if ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
			continue
		}
		t.DNSNames = append(t.DNSNames, name)
	}
	return t
}
