package rules

import (
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// TestSPFFaults goes through the grammar of RFC 7208 section 12; that a fault
// makes a fail is for the cases in testdata.
func TestSPFFaults(t *testing.T) {
	cases := []struct {
		name   string
		record audit.Raw
		fault  bool
	}{
		{"a and mx with everything", "v=spf1 a mx a/24 mx//64 a:example.net a:example.net/24//64 +mx:example.net/0 -all", false},
		{"macros", "v=spf1 exists:%{i}._spf.%{d2} exists:%{l1r-}.%{o}.example.net include:%{d} exists:%%%_%-.example.net redirect=%{D1R.+,/_=}", false},
		{"networks", "v=spf1 ip4:192.0.2.1 ip4:0.0.0.0/0 ip6:2001:DB8::1/128 ip6:::ffff:192.0.2.1 ?all", false},
		{"capitals, several blanks, a blank at the end", "V=SPF1  MX   INCLUDE:Example.NET  ~ALL ", false},
		{"a modifier that nobody knows", "v=spf1 moo.cow-far_out=man:dog/cat mx exp=why.example.org -all", false},
		{"underscores, hyphens, a final dot", "v=spf1 include:_spf.ex-ample.net. ptr ptr:example.org -all", false},
		{"nothing but the version", "v=spf1", false},
		{"an unknown mechanism", "v=spf1 ipv4:192.0.2.1 -all", true},
		{"a bare address", "v=spf1 192.0.2.1 -all", true},
		{"all glued to the next thing", "v=spf1 mx -all;", true},
		{"the term behind all counts as well", "v=spf1 mx -all foo", true},
		{"all with a value", "v=spf1 mx all:example.org", true},
		{"all with an empty value", "v=spf1 mx -all:", true},
		{"an address with three numbers", "v=spf1 ip4:192.0.2 -all", true},
		{"an address with a leading zero", "v=spf1 ip4:192.0.2.01 -all", true},
		{"a prefix length too long", "v=spf1 ip4:192.0.2.0/33 -all", true},
		{"a prefix length with a leading zero", "v=spf1 ip4:192.0.2.0/08 -all", true},
		{"a prefix length that is missing", "v=spf1 ip4:192.0.2.0/ -all", true},
		{"a prefix length with a sign", "v=spf1 ip4:192.0.2.0/+24 -all", true},
		{"ip4 with an IPv6 address", "v=spf1 ip4:2001:db8::1 -all", true},
		{"ip6 with an IPv4 address", "v=spf1 ip6:192.0.2.1 -all", true},
		{"ip6 with a zone", "v=spf1 ip6:fe80::1%eth0 -all", true},
		{"ip6 too long", "v=spf1 ip6:2001:db8::/129 -all", true},
		{"ip4 without a network", "v=spf1 ip4 -all", true},
		{"ip4 with a slash alone", "v=spf1 ip4/24 -all", true},
		{"an empty include", "v=spf1 include: -all", true},
		{"an include without a colon", "v=spf1 include -all", true},
		{"an include with a prefix length", "v=spf1 include/24 -all", true},
		{"an include of one label", "v=spf1 include:spf -all", true},
		{"an include of an address", "v=spf1 include:192.0.2.1 -all", true},
		{"an empty exists", "v=spf1 exists: -all", true},
		{"an empty redirect", "v=spf1 mx redirect=", true},
		{"an empty exp", "v=spf1 mx -all exp=", true},
		{"two redirects", "v=spf1 redirect=a.example.net redirect=b.example.net", true},
		{"two exps", "v=spf1 exp=a.example.net -all exp=b.example.net", true},
		{"a modifier with a qualifier", "v=spf1 mx -redirect=a.example.net", true},
		{"a modifier whose name begins with a digit", "v=spf1 mx 4u=x -all", true},
		{"a modifier without a name", "v=spf1 mx =x -all", true},
		{"a qualifier alone", "v=spf1 mx - all", true},
		{"two qualifiers", "v=spf1 mx --all", true},
		{"a port", "v=spf1 a:example.org:8080 -all", true},
		{"a colon and nothing", "v=spf1 a: -all", true},
		{"a colon and a prefix length", "v=spf1 a:/24 -all", true},
		{"a prefix length that is no number", "v=spf1 a/abc -all", true},
		{"a with a prefix length too long", "v=spf1 a/33 -all", true},
		{"mx with an IPv6 prefix length too long", "v=spf1 mx//129 -all", true},
		{"ptr with a prefix length", "v=spf1 ptr/24 -all", true},
		{"an empty ptr", "v=spf1 ptr: -all", true},
		{"a macro that does not exist", "v=spf1 exists:%{x}.example.net -all", true},
		{"a macro for explanations only", "v=spf1 exists:%{c}.example.net -all", true},
		{"a macro of no labels", "v=spf1 exists:%{d0}.example.net -all", true},
		{"a macro that does not end", "v=spf1 exists:%{d.example.net -all", true},
		{"a per cent sign", "v=spf1 exists:100%.example.net -all", true},
		{"a per cent sign at the end", "v=spf1 include:example.net% -all", true},
		{"a macro in an unknown modifier", "v=spf1 mx moo=%{x} -all", true},
		{"a tab between terms", "v=spf1 mx \x09-all", true},
		{"a no-break space inside a term", "v=spf1 mx\xC2\xA0a -all", true},
		{"a control character", "v=spf1 include:ex\x1Bample.net -all", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			faults := spfFaults(c.record, spfTerms(c.record))
			if (len(faults) > 0) != c.fault {
				t.Errorf("%s: faults %q", c.record, faults)
			}
			for _, f := range faults {
				if strings.IndexFunc(f, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
					t.Errorf("%q is not printable", f)
				}
			}
		})
	}
}

// TestSPFFaultNamesTheTerm: the owner must find it, and find all at once.
func TestSPFFaultNamesTheTerm(t *testing.T) {
	const record audit.Raw = "v=spf1 ip4:192.0.2 include: redirect=a.example.net -all redirect=b.example.net"
	got := strings.Join(spfFaults(record, spfTerms(record)), "\n")
	want := `"ip4:192.0.2" holds no IPv4 network
"include:" names no domain
"redirect=b.example.net" repeats redirect, which may stand only once`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	long := audit.Raw("v=spf1 " + strings.Repeat("x", 5000))
	if got := spfFaults(long, spfTerms(long)); len(got) != 1 || len(got[0]) > 2*spfTermShown {
		t.Errorf("a long term is quoted as %q", got)
	}
}

func FuzzSPFRules(f *testing.F) {
	for _, s := range []string{"mx -all", "ip4:0.0.0.0/1 ip4:128.0.0.0/1", "%{ :/ = - +", "a:%{d}//", "\u00a0\u2003x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		record := audit.Raw("v=spf1 " + s)
		terms := spfTerms(record)
		texts := append(spfFaults(record, terms), spfPassesAll(terms))
		for _, text := range texts {
			if strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
				t.Errorf("%q is not printable", text)
			}
		}
	})
}
