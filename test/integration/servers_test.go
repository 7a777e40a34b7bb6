//go:build integration && linux

package integration

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The lab's names.
const (
	labDomain = "lab.test"
	mx1Name   = "mx1.lab.test"
	mx2Name   = "mx2.lab.test"
)

// askTimeout bounds one question or one step of a dialogue on loopback.
const askTimeout = 5 * time.Second

func parseAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// ask puts one question to BIND and returns the answer records as text, with
// blanks for tabs and without the TTL.
func ask(name string, qtype uint16) ([]string, int, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	client := dns.Client{Timeout: askTimeout}
	r, _, err := client.Exchange(m, net.JoinHostPort(dnsAddr, "53"))
	if err != nil {
		return nil, 0, err
	}
	var out []string
	for _, rr := range r.Answer {
		rr.Header().Ttl = 0
		out = append(out, strings.TrimPrefix(strings.Join(strings.Fields(rr.String()), " "), rr.Header().Name+" 0 IN "))
	}
	slices.Sort(out)
	return out, r.Rcode, nil
}

// soaSerial is the serial number of a zone as BIND serves it.
func soaSerial(zone string) (int, error) {
	answer, _, err := ask(zone, dns.TypeSOA)
	if err != nil {
		return 0, err
	}
	serial := 0
	for _, rr := range answer {
		_, err = fmt.Sscanf(rr, "SOA ns.lab.test. hostmaster.lab.test. %d", &serial)
		if err != nil {
			return 0, err
		}
	}
	return serial, nil
}

// TestBIND shows that the lab's DNS says what the story builds on, so that a
// failure of the story is one of mailaudit.
func TestBIND(t *testing.T) {
	b := startBIND(t)
	check := func(name string, qtype uint16, rcode int, want ...string) {
		t.Helper()
		got, code, err := ask(name, qtype)
		if err != nil {
			t.Errorf("%s %s: %v", dns.TypeToString[qtype], name, err)
			return
		}
		if code != rcode || !slices.Equal(got, want) {
			t.Errorf("%s %s: %s %q, want %s %q", dns.TypeToString[qtype], name,
				dns.RcodeToString[code], got, dns.RcodeToString[rcode], want)
		}
	}
	check(labDomain, dns.TypeMX, dns.RcodeSuccess, "MX 10 mx1.lab.test.", "MX 20 mx2.lab.test.")
	check(mx1Name, dns.TypeA, dns.RcodeSuccess, "A 127.0.0.25")
	check(mx2Name, dns.TypeA, dns.RcodeSuccess, "A 127.0.0.26")
	check(mx2Name, dns.TypeAAAA, dns.RcodeSuccess)
	check("25.0.0.127.in-addr.arpa", dns.TypePTR, dns.RcodeSuccess, "PTR mx1.lab.test.")
	check("26.0.0.127.in-addr.arpa", dns.TypePTR, dns.RcodeSuccess, "PTR mx2.lab.test.")
	check("27.0.0.127.in-addr.arpa", dns.TypePTR, dns.RcodeNameError)
	check("example.org", dns.TypeMX, dns.RcodeNameError)
	if hasIPv6() {
		check(mx1Name, dns.TypeAAAA, dns.RcodeSuccess, "AAAA fd00::25")
		reverse, err := dns.ReverseAddr(mx1Addr6)
		if err != nil {
			t.Fatal(err)
		}
		check(reverse, dns.TypePTR, dns.RcodeSuccess, "PTR mx1.lab.test.")
	}

	b.dropSecondMX(t)
	check(labDomain, dns.TypeMX, dns.RcodeSuccess, "MX 10 mx1.lab.test.")
}

// dialogue is an SMTP session by hand.
type dialogue struct {
	conn net.Conn
	in   *bufio.Reader
}

func newDialogue(conn net.Conn) *dialogue { return &dialogue{conn, bufio.NewReader(conn)} }

// say sends a line, unless it is empty, and returns the lines of the reply.
func (d *dialogue) say(line string) ([]string, error) {
	err := d.conn.SetDeadline(time.Now().Add(askTimeout))
	if err != nil {
		return nil, err
	}
	if line != "" {
		_, err = fmt.Fprintf(d.conn, "%s\r\n", line)
		if err != nil {
			return nil, err
		}
	}
	var reply []string
	for {
		text, err := d.in.ReadString('\n')
		if err != nil {
			return reply, err
		}
		text = strings.TrimRight(text, "\r\n")
		if len(text) < 4 {
			return reply, fmt.Errorf("no reply line: %q", text)
		}
		reply = append(reply, text)
		if text[3] == ' ' {
			return reply, nil
		}
	}
}

// plainKeywords are the extensions of Debian's Postfix 3.7 before TLS; inside
// TLS STARTTLS is gone.
func plainKeywords() []string {
	return []string{"8BITMIME", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "ETRN", "PIPELINING", "SIZE", "SMTPUTF8", "STARTTLS", "VRFY"}
}

func tlsKeywords() []string {
	return slices.DeleteFunc(plainKeywords(), func(k string) bool { return k == "STARTTLS" })
}

// keywordsOf are the extension names of an EHLO reply, sorted.
func keywordsOf(reply []string) []string {
	var out []string
	for _, line := range reply[min(1, len(reply)):] {
		name, _, _ := strings.Cut(line[4:], " ")
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// TestPostfix talks to every MX address by hand.
func TestPostfix(t *testing.T) {
	certs := makeCertificates(t, time.Hour)
	startPostfix(t, certs)
	for _, addr := range mx1Addrs() {
		checkPostfix(t, addr, mx1Name, certs.root, certs.mx1)
	}
	checkPostfix(t, parseAddr(mx2Addr), mx2Name, certs.root, certs.mx2)
}

func checkPostfix(t *testing.T, addr netip.Addr, name, root string, cert issued) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(addr, 25).String(), askTimeout)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	plain := newDialogue(conn)
	greeting, err := plain.say("")
	if err != nil || len(greeting) != 1 || greeting[0] != "220 "+name+" ESMTP Postfix" {
		t.Errorf("%s greets with %q, %v", addr, greeting, err)
	}
	hello, err := plain.say("EHLO " + clientName)
	if err != nil || !slices.Equal(keywordsOf(hello), plainKeywords()) {
		t.Errorf("%s: EHLO: %q, %v", addr, hello, err)
	}
	ready, err := plain.say("STARTTLS")
	if err != nil || !strings.HasPrefix(strings.Join(ready, ""), "220 ") {
		t.Errorf("%s: STARTTLS: %q, %v", addr, ready, err)
		return
	}
	pool := x509.NewCertPool()
	text, err := os.ReadFile(root)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("read the root: %v", err)
	}
	secure := tls.Client(conn, &tls.Config{ServerName: name, RootCAs: pool})
	inside := newDialogue(secure)
	hello, err = inside.say("EHLO " + clientName)
	if err != nil || !slices.Equal(keywordsOf(hello), tlsKeywords()) {
		t.Errorf("%s: EHLO inside TLS: %q, %v", addr, hello, err)
		return
	}
	state := secure.ConnectionState()
	sum := sha256.Sum256(state.PeerCertificates[0].Raw)
	if state.Version != tls.VersionTLS13 || len(state.PeerCertificates) != 2 || hex.EncodeToString(sum[:]) != cert.sha256 {
		t.Errorf("%s: %s with %d certificates, the first %x", addr, tls.VersionName(state.Version), len(state.PeerCertificates), sum)
	}
	bye, err := inside.say("QUIT")
	if err != nil || !strings.HasPrefix(strings.Join(bye, ""), "221 ") {
		t.Errorf("%s: QUIT: %q, %v", addr, bye, err)
	}
}

// TestServersStop shows that nothing is left behind for the next test.
func TestServersStop(t *testing.T) {
	b := startBIND(t)
	p := startPostfix(t, makeCertificates(t, time.Hour))
	b.stop(t)
	p.stop(t)
	for _, at := range []string{dnsAddr + ":53", mx1Addr + ":25", mx2Addr + ":25"} {
		eventually(t, at+" is free", func() error {
			conn, err := net.DialTimeout("tcp", at, time.Second)
			if err != nil {
				return nil
			}
			return errors.Join(conn.Close(), errors.New("something still listens"))
		})
	}
}
