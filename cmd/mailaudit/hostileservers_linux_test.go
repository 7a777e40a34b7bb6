package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// hostileServers are those of issue 4, and what else came to mind. Where one
// would go on until a limit of minutes, --timeout is the limit.
func hostileServers(t *testing.T) []hostile {
	t.Helper()
	const greeting, offer, ready, bye = "220 mx.example.org ESMTP\r\n", "250-mx.example.org\r\n250 STARTTLS\r\n", "220 go ahead\r\n", "221 bye\r\n"
	const hello = "250-mx.example.org\r\n250 SIZE 1000\r\n"
	const outOfTime, brokenTLS = "the time of this audit ran out", "the server breaks the TLS protocol in the handshake"
	soon := []string{"--timeout", "3s"}
	cert := hostileCert(t, nil)
	upgraded := func(then func(net.Conn)) func(net.Conn) { return talk(then, greeting, offer, ready) }
	inside := func(cert tls.Certificate, replies ...string) func(net.Conn) {
		return upgraded(encrypted(cert, onceHeard(talk(hears, replies...))))
	}
	return []hostile{
		{name: "a healthy one, for comparison", play: inside(cert, hello, bye), says: "with QUIT"},
		{name: "an octet a second", play: drip, args: soon, says: outOfTime},
		{name: "a banner without end", play: flood("220-welcome\r\n"), says: "the greeting is longer than what is read of a stranger"},
		{name: "a line of 1 GB", play: talk(flood(strings.Repeat("a", 1<<20)), "220 "), says: "the greeting is longer than what is read of a stranger"},
		{name: "a million capabilities", play: talk(onceHeard(flood(strings.Repeat("250-X-CAPABILITY-NUMBER\r\n", 1000))), greeting), says: "the reply to EHLO is longer than what is read of a stranger"},
		{name: "a million capabilities inside TLS", play: upgraded(encrypted(cert, onceHeard(flood(strings.Repeat("250-X-CAPABILITY\r\n", 1000))))),
			says: "the reply to EHLO inside TLS is longer than what is read of a stranger"},
		{name: "without end at QUIT", play: talk(onceHeard(flood("221-bye\r\n")), greeting, "421 later\r\n"), says: "421 later"},
		{name: "NULs and escape sequences", play: talk(encrypted(hostileCert(t, evilNames), onceHeard(talk(hears, fat("250"), fat("221")))), fat("220"), fat("250"), fat("220")),
			says: "with QUIT"},
		{name: "answers out of step", play: outOfStep, says: "the server sent replies that belong to no command"},
		{name: "stalls in the handshake", play: upgraded(hears), args: soon, says: outOfTime},
		{name: "stalls in the handshake of mode tls", play: hears, args: append(soon, "--mode", "tls"), says: outOfTime},
		{name: "a ServerHello of 16 MB", play: upgraded(vast(0x02)), says: brokenTLS},
		{name: "a Certificate of 16 MB", play: upgraded(vast(0x0b)), says: brokenTLS},
		{name: "alerts without end", play: upgraded(helloHeard(flood("\x15\x03\x03\x00\x02\x01\x5a"))), says: brokenTLS},
		{name: "a chain of 61 certificates", play: inside(stuffed(cert, 60), hello, bye), says: "61 certificates sent"},
		{name: "a certificate of thousands of names", play: inside(hostileCert(t, manyNames), hello, bye), says: "with QUIT"},
	}
}

// talk says the lines in turn, hearing a line before each but the first, and
// goes on with then.
func talk(then func(net.Conn), lines ...string) func(net.Conn) {
	return func(c net.Conn) {
		for i, line := range lines {
			if i > 0 && !hearsLine(c) || !says(c, line) {
				return
			}
		}
		then(c)
	}
}

// onceHeard hears a line and goes on with then.
func onceHeard(then func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		if hearsLine(c) {
			then(c)
		}
	}
}

func says(c net.Conn, text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

// hearsLine reads an octet at a time: those behind the line may be TLS.
func hearsLine(c net.Conn) bool {
	b := make([]byte, 1)
	for b[0] != '\n' {
		_, err := io.ReadFull(c, b)
		if err != nil {
			return false
		}
	}
	return true
}

// hears swallows all that comes.
func hears(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// flood says the text as often as a gigabyte has room for it.
func flood(text string) func(net.Conn) {
	chunk := strings.Repeat(text, max(1, (64<<10)/len(text)))
	return func(c net.Conn) {
		for sent := 0; sent < 1<<30 && says(c, chunk); sent += len(chunk) {
		}
	}
}

// drip says an octet of a greeting a second.
func drip(c net.Conn) {
	for i := 0; says(c, string("220-drip\r\n"[i%10])); i++ {
		time.Sleep(time.Second)
	}
}

// outOfStep says everything at once, again and again.
func outOfStep(c net.Conn) {
	for range 50 {
		if !says(c, "220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	hears(c)
}

// encrypted shakes hands and goes on inside.
func encrypted(cert tls.Certificate, then func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
		if secure.Handshake() == nil {
			then(secure)
		}
	}
}

// vast answers a ClientHello with a handshake message of a type whose length
// is as much as the field holds (RFC 8446 section 4), all of which is sent. The
// Certificate of TLS 1.2 is in clear, behind a ServerHello that is well.
func vast(kind byte) func(net.Conn) {
	record := func(payload string) string {
		return "\x16\x03\x03" + string([]byte{byte(len(payload) >> 8), byte(len(payload))}) + payload
	}
	begin := ""
	if kind == 0x0b {
		// Version, random, no session, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.
		hello := "\x03\x03" + strings.Repeat("r", 32) + "\x00\xc0\x2b\x00"
		begin = record("\x02\x00\x00" + string([]byte{byte(len(hello))}) + hello)
	}
	begin += record(string([]byte{kind}) + "\xff\xff\xff" + strings.Repeat("\x00", 1<<14-4))
	return helloHeard(func(c net.Conn) {
		if !says(c, begin) {
			return
		}
		more := record(strings.Repeat("\x00", 1<<14))
		for sent := 0; sent < 1<<24 && says(c, more); sent += 1 << 14 {
		}
		hears(c)
	})
}

// helloHeard hears some of a ClientHello and goes on with then.
func helloHeard(then func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		_, err := c.Read(make([]byte, 16<<10))
		if err == nil {
			then(c)
		}
	}
}

// fat is as long a reply as is read, of text that grows when it is made
// printable, and that terminals, browsers and spreadsheets would obey.
func fat(code string) string {
	const evil = "\x00\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b31m<script>alert(1)</script><img src=x>|`$(id)`](javascript:x)=HYPERLINK()\u202e\xff\xfe"
	var b strings.Builder
	fmt.Fprintf(&b, "%s-mx.example.org %s\r\n", code, evil)
	for i := range 98 {
		fmt.Fprintf(&b, "%s-X%d%s %s\r\n", code, i, strings.Repeat("Y", i%50), strings.Repeat(evil, 6)[:580])
	}
	fmt.Fprintf(&b, "%s STARTTLS %s\r\n", code, evil)
	return b.String()
}

// hostileCert is a certificate that signs itself.
func hostileCert(t *testing.T, edit func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.org"}, DNSNames: []string{"mx.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// evilNames writes into a certificate what must not be obeyed.
func evilNames(c *x509.Certificate) {
	c.Subject.CommonName = "\x1b]52;c;x\x07<script>|" + strings.Repeat("\u202ex", 2000)
	c.DNSNames = []string{"<img>.example.org", "\x1b[2J.example.org"}
}

// manyNames fills a certificate as far as one is read, 256 KiB.
func manyNames(c *x509.Certificate) {
	for range 4000 {
		c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "x"})
	}
	for i := range 3000 {
		c.DNSNames = append(c.DNSNames, fmt.Sprintf("host%d.%s.example.org", i, strings.Repeat("x", 20)))
	}
}

// stuffed is a certificate with others behind it that lead nowhere.
func stuffed(cert tls.Certificate, n int) tls.Certificate {
	for range n {
		cert.Certificate = append(cert.Certificate, cert.Certificate[0])
	}
	return cert
}
