package dnscheck

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// zone is a fake Asker: "name TYPE" to what comes back: records in zone file
// form (TXT as raw text, NUL between strings), or "!nxdomain", "!servfail".
type zone map[string][]string

func (z zone) Ask(_ context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	a := &resolve.Answer{Name: name, Type: qtype, State: audit.Absent, Why: audit.Reason{Code: audit.NoData}}
	for _, l := range z[fmt.Sprintf("%s %s", name, dns.TypeToString[qtype])] {
		head := dns.RR_Header{Name: name.FQDN(), Rrtype: qtype, Class: dns.ClassINET, Ttl: 300}
		switch {
		case l == "!nxdomain":
			a.Why.Code = audit.NXDomain
			return a
		case strings.HasPrefix(l, "!nxdomain of "):
			a.Why.Code, a.Zone = audit.NXDomain, audit.DNSName(strings.TrimPrefix(l, "!nxdomain of "))
			return a
		case l == "!servfail":
			a.State, a.Why = audit.Unknown, audit.Reason{Code: audit.ServFail, Text: "SERVFAIL"}
			return a
		case strings.HasPrefix(l, "->"):
			a.Chain = append(a.Chain, audit.DNSName(l[2:]))
			continue
		}
		a.State, a.Why = audit.Seen, audit.Reason{}
		if qtype == dns.TypeTXT {
			a.Records = append(a.Records, &dns.TXT{Hdr: head, Txt: strings.Split(l, "\x00")})
			continue
		}
		rr, err := dns.NewRR(fmt.Sprintf("%s 300 IN %s %s", name.FQDN(), dns.TypeToString[qtype], l))
		if err != nil {
			panic(err)
		}
		a.Records = append(a.Records, rr)
	}
	return a
}

func domain(t *testing.T, name string) audit.Domain {
	t.Helper()
	d, _, err := audit.ParseDomain(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMX(t *testing.T) {
	cases := []struct {
		answer          []string
		exists, records audit.State
		value           string
	}{
		{[]string{"10 MX.Example.Org.", "0 ."}, audit.Seen, audit.Seen, "[{10 mx.example.org} {0 .}]"},
		{nil, audit.Seen, audit.Absent, "[]"},
		{[]string{"!nxdomain"}, audit.Absent, audit.Absent, "[]"},
		{[]string{"->gone.example.net", "!nxdomain"}, audit.Seen, audit.Absent, "[]"}, // an alias to nowhere exists itself
		{[]string{"!servfail"}, audit.Unknown, audit.Unknown, "[]"},
	}
	for _, c := range cases {
		mx := MX(context.Background(), zone{"example.org MX": c.answer}, domain(t, "example.org"))
		if mx.Exists.State != c.exists || mx.Records.State != c.records || fmt.Sprint(mx.Records.Value) != c.value {
			t.Errorf("%v: %+v", c.answer, mx)
		}
		if mx.Records.Via != "dig -t MX -q example.org" {
			t.Errorf("%v: via %q", c.answer, mx.Records.Via)
		}
	}
}

func TestAddressesKeepMappedOnes(t *testing.T) {
	z := zone{"h.example AAAA": {"::ffff:10.0.0.1", "2001:db8::1"}, "h.example A": {"192.0.2.1"}}
	six, _ := Addresses(context.Background(), z, "h.example", true)
	four, alias := Addresses(context.Background(), z, "h.example", false)
	if fmt.Sprint(six.Value) != "[::ffff:10.0.0.1 2001:db8::1]" || fmt.Sprint(four.Value) != "[192.0.2.1]" || alias.State != audit.Absent {
		t.Errorf("%v %v %v", six, four, alias)
	}
}

func TestReverse(t *testing.T) {
	z := zone{"25.2.0.192.in-addr.arpa PTR": nil}
	for i := range 15 {
		name := fmt.Sprintf("n%02d.example.org", i)
		z["25.2.0.192.in-addr.arpa PTR"] = append(z["25.2.0.192.in-addr.arpa PTR"], name+".", name+".")
		z[name+" A"] = []string{"192.0.2.25"}
	}
	rv := Reverse(context.Background(), z, netip.MustParseAddr("192.0.2.25"), audit.RoleMX)
	if len(rv.PTR.Value) != 15 || len(rv.Forward) != audit.MaxForward || rv.Forward[9].Name != "n09.example.org" {
		t.Errorf("%d names, %d followed", len(rv.PTR.Value), len(rv.Forward))
	}
	for _, f := range rv.Forward {
		if f.Addrs.State != audit.Seen {
			t.Errorf("%s: %+v", f.Name, f.Addrs)
		}
	}
}

func TestSPF(t *testing.T) {
	cases := []struct {
		txt   []string
		state audit.State
		n     int
	}{
		{[]string{"v=spf1 -all", "google-site-verification=x"}, audit.Seen, 1},
		{[]string{"v=spf1 -all", "v=spf1 mx"}, audit.Seen, 2},
		{[]string{"v=spf10", "other"}, audit.Absent, 0},
		{nil, audit.Absent, 0},
		{[]string{"!nxdomain"}, audit.Absent, 0},
		{[]string{"!servfail"}, audit.Unknown, 0},
	}
	for _, c := range cases {
		got := SPF(context.Background(), zone{"example.org TXT": c.txt}, SPFSubject{Domain: domain(t, "example.org")})
		if got.Records.State != c.state || len(got.Records.Value) != c.n {
			t.Errorf("%v: %+v", c.txt, got)
		}
	}
}

func TestDKIM(t *testing.T) {
	rsaKey := func(bits int, pkcs1 bool) string {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		der := x509.MarshalPKCS1PublicKey(&k.PublicKey)
		if !pkcs1 {
			der, err = x509.MarshalPKIXPublicKey(&k.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
		}
		return base64.StdEncoding.EncodeToString(der)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	big := rsaKey(2048, false)
	cases := []struct {
		name  string
		txt   []string
		state audit.State
		key   audit.PublicKey
		code  audit.Code
	}{
		{"RSA 2048", []string{"v=DKIM1; k=rsa; p=" + big}, audit.Seen, audit.PublicKey{Type: "rsa", Bits: 2048}, ""},
		{"blanks inside p (pitfall 39)", []string{"p=" + big[:50] + " \t" + big[50:]}, audit.Seen, audit.PublicKey{Type: "rsa", Bits: 2048}, ""},
		{"bare RSAPublicKey", []string{"p=" + rsaKey(1024, true)}, audit.Seen, audit.PublicKey{Type: "rsa", Bits: 1024}, ""},
		{"Ed25519", []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(make([]byte, 32))}, audit.Seen, audit.PublicKey{Type: "ed25519", Bits: 256}, ""},
		{"Ed25519, wrong length", []string{"k=ed25519; p=AAAA"}, audit.Absent, audit.PublicKey{}, audit.Malformed},
		{"revoked", []string{"v=DKIM1; p="}, audit.Absent, audit.PublicKey{}, audit.Revoked},
		{"no p", []string{"v=DKIM1; k=rsa"}, audit.Absent, audit.PublicKey{}, audit.Malformed},
		{"cut off", []string{"v=DKIM1; p=" + big[:100]}, audit.Absent, audit.PublicKey{}, audit.Malformed},
		{"an EC key as rsa", []string{"p=" + base64.StdEncoding.EncodeToString(ecDER)}, audit.Absent, audit.PublicKey{}, audit.Malformed},
		{"unknown kind", []string{"k=dsa; p=AAAA"}, audit.Absent, audit.PublicKey{}, audit.Malformed},
		{"no tag list", []string{"hello"}, audit.Absent, audit.PublicKey{}, audit.Malformed},
		{"two records", []string{"p=" + big, "p="}, audit.NotTried, audit.PublicKey{}, audit.NotApplicable},
		{"none", []string{"!nxdomain"}, audit.NotTried, audit.PublicKey{}, audit.NotApplicable},
		{"SERVFAIL", []string{"!servfail"}, audit.Unknown, audit.PublicKey{}, audit.ServFail},
	}
	for _, c := range cases {
		k := DKIM(context.Background(), zone{"s1._domainkey.example.org TXT": c.txt}, domain(t, "example.org"), "S1")
		if k.Key.State != c.state || k.Key.Value != c.key || k.Key.Why.Code != c.code {
			t.Errorf("%s: %+v", c.name, k.Key)
		}
	}
}

func TestDMARC(t *testing.T) {
	z := zone{
		"_dmarc.a.example.org TXT": {"!servfail"},
		"_dmarc.example.org TXT":   {"v=DMARC1; p=none", "v=spf1 -all"},
		"_dmarc.org TXT":           {"unrelated"},
	}
	d := DMARC(context.Background(), z, domain(t, "a.example.org"))
	var got []string
	for _, s := range d.Walk {
		got = append(got, fmt.Sprintf("%s %s %d", s.Domain, s.Records.State, len(s.Records.Value)))
	}
	if want := "a.example.org unknown 0 example.org seen 1 org absent 0"; strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
}

func TestSelfName(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.9")
	for want, z := range map[string]zone{
		"out.example.org": {"9.2.0.192.in-addr.arpa PTR": {"bad_name.example.", "out.example.org."}, "bad_name.example A": {"192.0.2.9"}, "out.example.org A": {"192.0.2.9"}},
		"":                {"9.2.0.192.in-addr.arpa PTR": {"out.example.org."}, "out.example.org A": {"!servfail"}},
	} {
		if got := SelfName(context.Background(), z, addr); string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What is kept of many addresses does not depend on their order.
func TestBound(t *testing.T) {
	var all []netip.Addr
	for i := range 100 {
		all = append(all, netip.AddrFrom4([4]byte{192, 0, 2, byte(i * 37 % 100)}))
	}
	all = append(all, all[3]) // twice
	text := func(o audit.Obs[[]netip.Addr]) string { return fmt.Sprint(o.Value) }
	for _, c := range []struct {
		keep, want string
		most, left int
	}{
		{"", "[192.0.2.0 192.0.2.1 192.0.2.2]", 3, 97},
		{"192.0.2.1", "[192.0.2.0 192.0.2.1 192.0.2.2]", 3, 97},
		{"192.0.2.77", "[192.0.2.0 192.0.2.1 192.0.2.77]", 3, 97},
		{"198.51.100.1", "[192.0.2.0 192.0.2.1 192.0.2.2]", 3, 97},
		{"", text(audit.See(all, "")), 100, 0},
	} {
		var keep netip.Addr
		if c.keep != "" {
			keep = netip.MustParseAddr(c.keep)
		}
		o := audit.See(slices.Clone(all), "dig A x")
		left := Bound(&o, c.most, keep)
		if left != c.left || text(o) != c.want || o.Via != "dig A x" {
			t.Errorf("%d of them and %q: left out %d, kept %s", c.most, c.keep, left, text(o))
		}
	}
	var dark audit.Obs[[]netip.Addr]
	if Bound(&dark, 3, netip.Addr{}) != 0 || dark.State != audit.NotTried {
		t.Errorf("of nothing: %+v", dark)
	}
}

func TestAnswers(t *testing.T) {
	for answer, want := range map[string]bool{"a.root-servers.net.": true, "!nxdomain": true, "!servfail": false} {
		if got := Answers(t.Context(), zone{". NS": {answer}}); got != want {
			t.Errorf("%s: %t", answer, got)
		}
	}
}
