package audit

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// rfcMacros are the values of the examples in RFC 7208 section 7.4.
func rfcMacros(ip string) SPFMacros {
	return SPFMacros{
		Local: "strong-bad", Origin: "email.example.com", Domain: "email.example.com", IP: netip.MustParseAddr(ip),
		Valid: "mx.example.org", Helo: "mail.example.net", Receiver: "mx.example.org", At: time.Unix(1700000000, 0),
	}
}

func TestSPFTarget(t *testing.T) {
	four, six := rfcMacros("192.0.2.3"), rfcMacros("2001:db8::cb01")
	long := four
	long.Origin = strings.Repeat("a.", 100) + "example"
	odd := four
	odd.Local, odd.Valid, odd.Receiver, odd.Helo = `-a--"b c"+x~é-`, "", "", ""
	cases := []struct {
		text   string
		macros SPFMacros
		want   string
	}{
		// RFC 7208 section 7.4.
		{"%{s}", four, "strong-bad@email.example.com"},
		{"%{o}", four, "email.example.com"},
		{"%{d}", four, "email.example.com"},
		{"%{d4}", four, "email.example.com"},
		{"%{d3}", four, "email.example.com"},
		{"%{d2}", four, "example.com"},
		{"%{d1}", four, "com"},
		{"%{dr}", four, "com.example.email"},
		{"%{d2r}", four, "example.email"},
		{"%{l}", four, "strong-bad"},
		{"%{l-}", four, "strong.bad"},
		{"%{lr}", four, "strong-bad"},
		{"%{lr-}", four, "bad.strong"},
		{"%{l1r-}", four, "strong"},
		{"%{ir}.%{v}._spf.%{d2}", four, "3.2.0.192.in-addr._spf.example.com"},
		{"%{lr-}.lp._spf.%{d2}", four, "bad.strong.lp._spf.example.com"},
		{"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", four, "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", four, "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{"%{d2}.trusted-domains.example.net", four, "example.com.trusted-domains.example.net"},
		{"%{ir}.%{v}._spf.%{d2}", six, "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"},
		// Pitfall 31: capitals, and all other letters and delimiters.
		{"%{D}.%{H}.%{p}.%{P1}", four, "email.example.com.mail.example.net.mx.example.org.org"},
		{"%%%_%-.x", four, "% %20.x"},
		{"%{L}", odd, "-a--%22b%20c%22%2Bx~%C3%A9-"},
		{"%{l-+}", odd, `.a.."b c".x~é`}, // empty parts stay (section 7.3)
		{"x.%{l3r-}", odd, `x..a`},
		{"%{p}.%{h}x", odd, "unknown.unknownx"},
		{"%{d127}.%{d99999999999999999999}", four, "email.example.com.email.example.com"},
		{"%{d002}", four, "example.com"},
		{"%{l=}", four, "strong-bad"},
		{"a.example.", four, "a.example"}, // the trailing dot is no part of the name
		// What is too long loses labels from the left (section 7.3).
		{"x.%{o}.%{o}", long, strings.Repeat("a.", 19) + "example." + long.Origin},
		{strings.Repeat("y", 254) + ".example", four, "example"},
		{strings.Repeat("y", 254), four, ""},
	}
	for _, c := range cases {
		text, fault := parseSPFText(c.text, false)
		if fault != nil {
			t.Errorf("%s: %s", c.text, fault.text)
			continue
		}
		if got := text.Target(c.macros); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}

func TestSPFWords(t *testing.T) {
	m := rfcMacros("2001:db8::cb01")
	for in, want := range map[Raw]string{
		"%{c} of %{s} at %{t}.":           "2001:db8::cb01 of strong-bad@email.example.com at 1700000000.",
		"See http://%{d}/why.html?s=%{S}": "See http://email.example.com/why.html?s=strong-bad%40email.example.com",
		"%{r} 100%%":                      "mx.example.org 100%",
		"":                                "",
	} {
		text, ok := ParseSPFExplanation(in)
		if got := text.Words(m, 200); !ok || got != want {
			t.Errorf("%s: %q, %t", in, got, ok)
		}
	}
	text, _ := ParseSPFExplanation(Raw(strings.Repeat("%{s}", 1000)))
	if got := text.Words(m, 200); len(got) != 200 {
		t.Errorf("%d octets", len(got))
	}
	for _, in := range []Raw{"The %{x}-files.", "100%", "a\tb", "caf\xc3\xa9"} {
		if _, ok := ParseSPFExplanation(in); ok {
			t.Errorf("%q is no explanation", in)
		}
	}
}

// TestSPFTargetIsBounded: a record can ask for far more than a name holds.
func TestSPFTargetIsBounded(t *testing.T) {
	m := rfcMacros("192.0.2.3")
	m.Local = strings.Repeat("a.", 1000)
	text, fault := parseSPFText(strings.Repeat("%{s}", 16000)+".example", false)
	if fault != nil {
		t.Fatal(fault.text)
	}
	allocated := testing.AllocsPerRun(10, func() { text.Target(m) })
	if allocated > 50 {
		t.Errorf("%.0f allocations for a name", allocated)
	}
	if got := text.Target(m); len(got) > maxName || !strings.HasSuffix(got, "a.a.@email.example.com.example") {
		t.Errorf("%d octets: %q", len(got), got)
	}
}

func TestWireName(t *testing.T) {
	label := strings.Repeat("x", 63)
	for in, want := range map[string]DNSName{
		"Example.ORG":                   "example.org",
		"example.org.":                  "example.org",
		"macro%percent  space.x.y":      `macro%percent\ \ space.x.y`,
		`a\b"c;(@)'.x`:                  `a\\b\"c\;\(\@\)\'.x`,
		"\x00\xff.x":                    `\000\255.x`,
		"foo:bar/baz.example.com":       "foo:bar/baz.example.com",
		label + ".x":                    DNSName(label + ".x"),
		strings.Repeat("x.", 126) + "x": DNSName(strings.Repeat("x.", 126) + "x"),
	} {
		if got, ok := WireName(in); !ok || got != want {
			t.Errorf("%q: %q, %t", in, got, ok)
		}
	}
	for _, in := range []string{"", ".", "a..b", ".a", "a..", "x" + label + ".y", strings.Repeat("x.", 127) + "x"} {
		if got, ok := WireName(in); ok {
			t.Errorf("%q is no name, got %q", in, got)
		}
	}
}

// FuzzSPFMacros: expansion ends within bounds, and what is called a name can be
// one.
func FuzzSPFMacros(f *testing.F) {
	f.Add("%{ir}.%{v}._spf.%{d2}", "strong-bad", "email.example.com", false)
	f.Add("%{S2r.-+,/_=}%%%_%-", "a..b--c", "", true)
	f.Add(" %{t}%{c}%{r}", "\xff", "..", true)
	f.Fuzz(func(t *testing.T, s, local, domain string, six bool) {
		m := rfcMacros("192.0.2.3")
		if six {
			m = rfcMacros("2001:db8::1")
		}
		m.Local, m.Origin, m.Domain = local, domain, domain
		text, ok := ParseSPFExplanation(Raw(s))
		if !ok {
			return
		}
		if got := text.Words(m, 100); len(got) > 100 {
			t.Errorf("%q: %d octets", s, len(got))
		}
		target := text.Target(m)
		if len(target) > maxName {
			t.Errorf("%q: %d octets", s, len(target))
		}
		name, ok := WireName(target)
		if ok && (name.String() != string(name) || name == "." || strings.Contains(target, "..")) {
			t.Errorf("%q: the name %q", target, name)
		}
		if !strings.Contains(s, "%") && text.Words(m, len(s)) != s {
			t.Errorf("%q: literal text came out as %q", s, text.Words(m, len(s)))
		}
	})
}
