package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestIsSPF(t *testing.T) {
	for _, s := range []Raw{"v=spf1", "v=spf1 -all", "V=SPF1 ~all", "v=spf1  mx"} {
		if !IsSPF(s) {
			t.Errorf("%q is an SPF record", s)
		}
	}
	// Pitfalls 27 and 28: no prefix match, no leading blank, no quotes, and
	// strings that join into something else.
	for _, s := range []Raw{"", "v=spf10 -all", " v=spf1 -all", "v=spf1-all", "v=spf2.0/pra", "spf1", "v=spf1\t-all", `"v=spf1 -all"`, "v=spf1mx"} {
		if IsSPF(s) {
			t.Errorf("%q is no SPF record", s)
		}
	}
}

func TestIsSenderID(t *testing.T) {
	for _, s := range []Raw{"spf2.0/pra -all", "spf2.0/mfrom,pra", "SPF2.0/PRA ~all"} {
		if !IsSenderID(s) || IsSPF(s) {
			t.Errorf("%q is a record of Sender ID, and none of SPF", s)
		}
	}
	for _, s := range []Raw{"v=spf1 -all", "spf2.0", "spf2./pra", "spf2.x/pra", "spf20/pra", "spf2.0/ -all", " spf2.0/pra", ""} {
		if IsSenderID(s) {
			t.Errorf("%q is no record of Sender ID", s)
		}
	}
}

// terms shows what was read, a term a word: place, qualifier, name and what
// came with it.
func terms(r SPFRecord) string {
	var out []string
	for _, t := range r.Terms {
		s := fmt.Sprintf("%d:", t.At)
		if t.Qualifier != 0 {
			s += string(t.Qualifier)
		}
		s += t.Name
		if t.Network.IsValid() {
			s += ":" + t.Network.String()
		}
		if !t.Domain.IsZero() {
			s += ":" + t.Domain.Target(SPFMacros{Domain: "D", Local: "L", Origin: "O"})
		}
		if t.Bits4 != 32 || t.Bits6 != 128 {
			s += fmt.Sprintf("/%d//%d", t.Bits4, t.Bits6)
		}
		if t.Faulty {
			s += "!"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestParseSPF(t *testing.T) {
	cases := []struct {
		record Raw
		want   string
	}{
		{"v=spf1", ""},
		{"V=SPF1  MX   INCLUDE:Example.NET  ~ALL ", "9:+mx 14:+include:Example.NET 35:~all"},
		{"v=spf1 a mx a/24 mx//64 a:example.net a:example.net/24//64 +mx:example.net/0 -all",
			"8:+a 10:+mx 13:+a/24//128 18:+mx/32//64 25:+a:example.net 39:+a:example.net/24//64 60:+mx:example.net/0//128 78:-all"},
		{"v=spf1 ip4:192.0.2.1 ip4:0.0.0.0/0 ip6:2001:DB8::1/64 ip6:::ffff:192.0.2.1 ?all",
			"8:+ip4:192.0.2.1/32 22:+ip4:0.0.0.0/0 36:+ip6:2001:db8::/64 55:+ip6:::ffff:192.0.2.1/128 76:?all"},
		{"v=spf1 exists:%{l}%%%_%-.%{d2} redirect=%{D1R.+,/_=}", "8:+exists:L% %20.D 32:redirect:D"},
		// A macro ends a domain-spec (section 7.1), and so do %%, %_ and %-.
		{"v=spf1 a:x%{d} a:%{d}/24 a:x%% a:%{d/}//0", "8:+a:xD 16:+a:D/24//128 26:+a:x% 32:+a:D/32//0"},
		// What stands in front of the last label is any visible text.
		{"v=spf1 a:foo:bar/baz.example.com include:_spf.ex-ample.net. ptr ptr:example.org exists:a=b.c1 -all",
			"8:+a:foo:bar/baz.example.com 34:+include:_spf.ex-ample.net 61:+ptr 65:+ptr:example.org 81:+exists:a=b.c1 95:-all"},
		{"v=spf1 a:x.1-1 a:x.1a a:.com", "8:+a:x.1-1 16:+a:x.1a 23:+a:.com"},
		// Pitfall 30: redirect is a modifier; pitfall 29: all only as a whole word.
		{"v=spf1 include:send-all.example moo.cow-far_out=man:dog/cat exp=why.%{d} redirect=_spf.example.org",
			"8:+include:send-all.example 33:moo.cow-far_out:man:dog/cat 61:exp:why.D 74:redirect:_spf.example.org"},
		{"v=spf1 all=x mx=y -all", "8:all:x 14:mx:y 19:-all"},
		{"v=spf1 empty= -all", "8:empty 15:-all"},
	}
	for _, c := range cases {
		r := ParseSPF(c.record)
		if got := terms(r); got != c.want || len(r.Faults) > 0 {
			t.Errorf("%s\n got %s %v\nwant %s", c.record, got, r.Faults, c.want)
		}
	}
	if r := ParseSPF("v=spf1 include:all.example all=1 ~all -all"); r.All() != 2 {
		t.Errorf("the first all is term %d", r.All())
	}
}

// TestSPFFaults goes through the ways to leave the grammar of RFC 7208 section
// 12. The place is that of the first octet that does not fit.
func TestSPFFaults(t *testing.T) {
	cases := []struct {
		record Raw
		want   string // of each fault, without the term: "place text"
	}{
		{"v=spf1 foo", "8 is no term of SPF"},
		{"v=spf1 ipv4:192.0.2.1 -all", "8 is no term of SPF; IPv4 addresses are written ip4:192.0.2.1"},
		{"v=spf1 ip:192.0.2.1 -all", "8 is no term of SPF; IPv4 addresses are written ip4:192.0.2.1"},
		{"v=spf1 192.0.2.9/24 -all", "8 is no term of SPF; IPv4 addresses are written ip4:192.0.2.9"},
		{"v=spf1 2001:db8::9 -all", "8 is no term of SPF; IPv6 addresses are written ip6:2001:db8::9"},
		{"v=spf1 +192.0.2.9", "9 is no term of SPF; IPv4 addresses are written ip4:192.0.2.9"},
		{"v=spf1 mx -all;", `12 is no term of SPF; behind "all" stands a blank or nothing`},
		{"v=spf1 mx -all.", `12 is no term of SPF; behind "all" stands a blank or nothing`},
		{"v=spf1 -all-", `9 is no term of SPF; behind "all" stands a blank or nothing`},
		{"v=spf1 mx -all foo", "16 is no term of SPF"}, // behind all as well
		{"v=spf1 ip4:192.0.2.1-all", "12 holds no IPv4 network"},
		{"v=spf1 mx-all", "8 is no term of SPF"},
		{"v=spf1 all:example.org", "11 gives all a value, which it does not take"},
		{"v=spf1 -all:", "12 gives all a value, which it does not take"},
		{"v=spf1 -all/8", "12 gives all a value, which it does not take"},
		{"v=spf1 ip4:192.0.2 -all", "12 holds no IPv4 network"},
		{"v=spf1 ip4:192.0.2.01 -all", "12 holds no IPv4 network"},
		{"v=spf1 ip4:192.0.2.256 -all", "12 holds no IPv4 network"},
		{"v=spf1 ip4:192.0.2.1:25 -all", "12 holds no IPv4 network"},
		{"v=spf1 ip4:2001:db8::1 -all", "12 holds no IPv4 network; IPv6 addresses are written ip6:2001:db8::1"},
		{"v=spf1 ip6:192.0.2.1 -all", "12 holds no IPv6 network; IPv4 addresses are written ip4:192.0.2.1"},
		{"v=spf1 ip6:fe80::1%eth0 -all", "12 holds no IPv6 network"},
		{"v=spf1 ip6::CAFE::BABE", "12 holds no IPv6 network"},
		{"v=spf1 ip4:192.0.2.0/33 -all", "22 has a prefix length that does not exist for IPv4"},
		{"v=spf1 ip4:192.0.2.0/08 -all", "22 has a prefix length that does not exist for IPv4"},
		{"v=spf1 ip4:192.0.2.0/ -all", "22 has a prefix length that does not exist for IPv4"},
		{"v=spf1 ip4:192.0.2.0/+24 -all", "22 has a prefix length that does not exist for IPv4"},
		{"v=spf1 ip4:192.0.2.0//24", "22 has a prefix length that does not exist for IPv4"},
		{"v=spf1 ip6:2001:db8::/129 -all", "23 has a prefix length that does not exist for IPv6"},
		{"v=spf1 ip4 -all", "11 holds no IPv4 network"},
		{"v=spf1 ip4: -all", "12 holds no IPv4 network"},
		{"v=spf1 ip4/24 -all", "11 holds no IPv4 network"},
		{"v=spf1 include: -all", "16 names no domain"},
		{"v=spf1 include -all", "15 names no domain"},
		{"v=spf1 include/24 -all", "15 names no domain"},
		{"v=spf1 include:spf -all", "16 names no fully qualified domain"},
		{"v=spf1 include:spf. -all", "16 names no fully qualified domain"},
		{"v=spf1 include:example.org/24 -all", "24 has a prefix length, which include does not take"},
		{"v=spf1 include:192.0.2.1 -all", "24 names an address where a domain belongs; addresses are written ip4:192.0.2.1"},
		{"v=spf1 a:111.222.33.44", "21 names an address where a domain belongs; addresses are written ip4:111.222.33.44"},
		{"v=spf1 a:abc.123", "14 names no fully qualified domain"},
		{"v=spf1 a:example.-com", "18 names no fully qualified domain"},
		{"v=spf1 a:example.com-", "18 names no fully qualified domain"},
		{"v=spf1 a:example.c_m", "18 names no fully qualified domain"},
		{"v=spf1 a:example.com..", "22 names no fully qualified domain"},
		{"v=spf1 a:%{d}x", "14 names no fully qualified domain"},
		{"v=spf1 exists: -all", "15 names no domain"},
		{"v=spf1 mx redirect=", "20 names no domain"},
		{"v=spf1 mx -all exp=", "20 names no domain"},
		{"v=spf1 exp=-all", "12 names no fully qualified domain"},
		{"v=spf1 redirect=-all ?all", "17 names no fully qualified domain"},
		{"v=spf1 redirect=192.0.2.1", "25 names no fully qualified domain"},
		{"v=spf1 redirect:example.org", `8 is no term of SPF; redirect is written with "="`},
		{"v=spf1 redirect=a.example.net redirect=b.example.net", "31 repeats redirect, which may stand only once"},
		{"v=spf1 exp=a.example.net -all EXP=b.example.net", "31 repeats exp, which may stand only once"},
		{"v=spf1 mx -redirect=a.example.net", "11 has a qualifier, which modifiers do not take"},
		{"v=spf1 mx 4u=x -all", "11 is no term of SPF"},
		{"v=spf1 mx =x -all", "11 is no term of SPF"},
		{"v=spf1 moo.cow/far_out=man:dog/cat", "8 is no term of SPF"},
		{"v=spf1 mx - all", "12 is no term of SPF"},
		{"v=spf1 mx --all", "12 is no term of SPF"},
		{"v=spf1 a:example.org:8080 -all", "18 has a port, which no term takes"},
		{"v=spf1 a: -all", "10 names no domain"},
		{"v=spf1 a:/24 -all", "10 names no domain"},
		{"v=spf1 a/abc -all", "9 has a prefix length that is no number"},
		{"v=spf1 a/ -all", "9 has a prefix length that is no number"},
		{"v=spf1 a/24/64 -all", "13 has a prefix length that does not exist for IPv4"},
		{"v=spf1 a/024", "10 has a prefix length that does not exist for IPv4"},
		{"v=spf1 a/33 -all", "10 has a prefix length that does not exist for IPv4"},
		{"v=spf1 mx//129 -all", "12 has a prefix length that does not exist for IPv6"},
		{"v=spf1 a:example.org/ -all", "18 has a slash and no prefix length"},
		{"v=spf1 a:example.org/x -all", "18 has a prefix length that does not exist"},
		{"v=spf1 ptr/24 -all", "11 gives ptr a prefix length, which it does not take"},
		{"v=spf1 ptr: -all", "12 names no domain"},
		// Pitfall 31: macros.
		{"v=spf1 exists:%{x}.example.net -all", "15 holds a macro that does not exist"},
		{"v=spf1 exists:a.%{}.example.net -all", "17 holds a macro without a letter"},
		{"v=spf1 exists:%{c}.example.net exists:%{R}.a.b exp=%{t}", "15 holds a macro that only explanations may use|39 holds a macro that only explanations may use|52 holds a macro that only explanations may use"},
		{"v=spf1 exists:%{d0}.example.net -all", "15 holds a macro that uses no parts of its value"},
		{"v=spf1 exists:%{d2x}.example.net", "15 holds a macro with something in it that does not belong there"},
		{"v=spf1 exists:%{dr2}.example.net", "15 holds a macro with something in it that does not belong there"},
		{"v=spf1 exists:%{d.example.net -all", "15 holds a macro that does not end"},
		{"v=spf1 exists:%(ir).sbl.example.com ?all", `15 holds a "%" that begins no macro (the sign itself is written "%%")`},
		{"v=spf1 include:example.net% -all", `27 ends in a "%", which begins a macro (the sign itself is written "%%")`},
		{"v=spf1 mx moo=%{x} -all", "15 holds a macro that does not exist"},
		{"v=spf1 mx \x09-all", "11 holds a character that is no printable ASCII"},
		{"v=spf1 mx\xC2\xA0a -all", "10 holds a character that is no printable ASCII"},
		{"v=spf1 moo=\xff -all", "12 holds a character that is no printable ASCII"},
		{"v=spf1 a:foo.example.com\x00", "25 holds a character that is no printable ASCII"},
		{"v=spf1 ip4:192.0.2 include: redirect=a.example.net -all redirect=b.example.net", "12 holds no IPv4 network|28 names no domain|57 repeats redirect, which may stand only once"},
		{"v=spf10 -all", "1 does not begin with the version, v=spf1"},
	}
	for _, c := range cases {
		var got []string
		r := ParseSPF(c.record)
		for _, f := range r.Faults {
			got = append(got, fmt.Sprintf("%d %s", f.At, f.Text))
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.record, strings.Join(got, "|"), c.want)
		}
	}
}

func TestSPFFaultSentence(t *testing.T) {
	for record, want := range map[Raw]string{
		"v=spf1 mx ip4:192.0.2 -all":             `"ip4:192.0.2" holds no IPv4 network (octet 15)`,
		"v=spf1 a:\x1b[31m":                      `"a:\x1B[31m" holds a character that is no printable ASCII (octet 10)`,
		"v=spf1 " + Raw(strings.Repeat("x", 99)): `"` + strings.Repeat("x", 80) + `" is no term of SPF (octet 8)`,
		"x":                                      "the record does not begin with the version, v=spf1 (octet 1)",
	} {
		if got := ParseSPF(record).Faults[0].String(); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// FuzzParseSPF: terms and blanks make up the whole record, faults point into
// it, and what is said is printable.
func FuzzParseSPF(f *testing.F) {
	for _, s := range []string{"mx -all", " a:%{d}/24//64  ", "%{ :/ = - +", "ip4:1.2.3.4/33", "\u00a0\u2003x", "exp=%{ir}.x.y redirect=%{D12R-.+}", "a:/ mx:// ptr:/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := ParseSPF(Raw("v=spf1 " + s))
		var words []string
		faulty := 0
		for _, term := range r.Terms {
			words = append(words, string(term.Text))
			if !strings.HasPrefix(string(r.Text)[term.At-1:], string(term.Text)) {
				t.Errorf("%q: %q is not at %d", s, term.Text, term.At)
			}
			if term.Faulty {
				faulty++
			}
			if strings.ToLower(term.Name) != term.Name || strings.ContainsAny(term.Name, " :=/%") {
				t.Errorf("%q: a term called %q", s, term.Name)
			}
			if !term.Faulty && !term.Modifier && (!IsSPFMechanism(term.Name) || term.Bits4 > 32 || term.Bits6 > 128) {
				t.Errorf("%q: %+v", s, term)
			}
			term.Domain.Target(SPFMacros{})
		}
		isBlank := func(r rune) bool { return r == ' ' }
		if !slices.Equal(words, strings.FieldsFunc(s, isBlank)) {
			t.Errorf("%q: terms %q", s, words)
		}
		if faulty != len(r.Faults) {
			t.Errorf("%q: %d faulty terms, %d faults", s, faulty, len(r.Faults))
		}
		for _, fault := range r.Faults {
			if fault.At < 1 || fault.At > len(r.Text)+1 {
				t.Errorf("%q: a fault at %d", s, fault.At)
			}
			if strings.IndexFunc(fault.String(), func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
				t.Errorf("%q is not printable", fault)
			}
		}
	})
}
