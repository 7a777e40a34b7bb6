package audit

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseDomain(t *testing.T) {
	long := strings.Repeat("a", 64)
	cases := []struct{ in, want, problem, note string }{
		{"example.org", "example.org", "", ""},
		{"  example.org\n", "example.org", "", ""},
		{"example.org.", "example.org", "", ""},
		{"EXAMPLE.Org", "example.org", "", ""},
		{"bücher.example", "xn--bcher-kva.example", "", ""},
		{"BÜCHER.example", "xn--bcher-kva.example", "", ""},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", "", ""},
		{"faß.de", "xn--fa-hia.de", "", ""},
		{"例え.テスト", "xn--r8jz45g.xn--zckzah", "", ""},
		{"exa\u200bmple.org", "example.org", "", ""}, // pasted zero-width characters (pitfall 14)
		{"user@example.org", "example.org", "", "auditing its domain"},
		{"a@b@example.org", "example.org", "", "auditing its domain"},
		{"example。org", "example.org", "", ""}, // the ideographic full stop
		{"com", "com", "", ""},
		{"", "", "empty", ""},
		{"   ", "", "empty", ""},
		{".", "", "empty label", ""},
		{"user@", "", "no domain after the @", ""},
		{"http://example.org/", "", "URL", ""},
		{"https://user:pw@example.org:8443/x?y#z", "", "URL", ""},
		{"a..example.org", "", "empty label", ""},
		{".example.org", "", "empty label", ""},
		{"example.org..", "", "empty label", ""},
		{long + ".example.org", "", "64 octets", ""},
		{strings.Repeat("üä語", 20) + ".example.org", "", "octets as xn--", ""},
		{strings.Repeat("abcdefgh.", 32) + "org", "", "253 at most", ""},
		{"192.0.2.1", "", "IP address", ""},
		{"[192.0.2.1]", "", "IP address", ""},
		{"2001:db8::1", "", "IP address", ""},
		{"_dmarc.example.org", "", "underscore", ""},
		{"exa mple.org", "", "not a domain name", ""},
		{"-example.org", "", "not a domain name", ""},
		{"example.org;rm -rf", "", "not a domain name", ""},
		{"exa\x1b[31mmple.org", "", "not a domain name", ""},
		{"xn--a.example", "", "not a domain name", ""},
	}
	for _, c := range cases {
		d, note, err := ParseDomain(c.in)
		if c.problem != "" {
			var input *InputError
			if !errors.As(err, &input) {
				t.Errorf("%q: got %v, want an InputError", c.in, err)
				continue
			}
			if !strings.Contains(input.Problem, c.problem) {
				t.Errorf("%q: the problem is %q, want %q in it", c.in, input.Problem, c.problem)
			}
			if strings.ContainsAny(input.Problem+input.Hint, "\x1b\n") {
				t.Errorf("%q: the message is not printable: %q", c.in, input.Problem)
			}
			continue
		}
		if err != nil || d.String() != c.want || !strings.Contains(note, c.note) || (c.note == "") != (note == "") {
			t.Errorf("%q: got %q, %q, %v; want %q", c.in, d, note, err, c.want)
		}
	}
}

func TestURLHint(t *testing.T) {
	_, _, err := ParseDomain("https://user:pw@example.org:8443/x")
	var input *InputError
	if !errors.As(err, &input) || input.Hint != "did you mean: mailaudit audit example.org" {
		t.Errorf("got %v %+v", err, input)
	}
	if strings.Contains(input.Hint, "pw") {
		t.Error("the hint repeats a password")
	}
}

func TestDomainForms(t *testing.T) {
	d, _, err := ParseDomain("bücher.example")
	if err != nil {
		t.Fatal(err)
	}
	if d.Unicode() != "bücher.example" || d.Name().FQDN() != "xn--bcher-kva.example." {
		t.Errorf("got %q, %q", d.Unicode(), d.Name().FQDN())
	}
	plain, _, err := ParseDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	if plain.Unicode() != "" {
		t.Errorf("the U-label of a plain domain is %q", plain.Unicode())
	}
	data, err := json.Marshal(d)
	if err != nil || string(data) != `"xn--bcher-kva.example"` {
		t.Fatalf("%s, %v", data, err)
	}
	var back Domain
	err = json.Unmarshal(data, &back)
	if err != nil || back != d {
		t.Errorf("got %v, %v", back, err)
	}
	if json.Unmarshal([]byte(`"BÜCHER.example"`), &back) == nil {
		t.Error("a domain that is not in its stored form was read")
	}
}

func TestNewDNSName(t *testing.T) {
	cases := []struct{ in, want string }{
		{"Mail.Example.ORG.", "mail.example.org"},
		{"mail.example.org", "mail.example.org"},
		{".", "."},
		{"", "."},
		{`a\.b.example.`, `a\.b.example`},
		{`end\.`, `end\.`},     // an escaped dot, and no root after it
		{`end\\.`, `end\\`},    // an escaped backslash, then the root
		{`end\\\.`, `end\\\.`}, // an escaped backslash, then an escaped dot
		{`\195\188.example.`, `\195\188.example`},
		{"_dmarc.Example.", "_dmarc.example"},
	}
	for _, c := range cases {
		if got := NewDNSName(c.in); string(got) != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestIsHostname(t *testing.T) {
	good := []DNSName{"example.org", "mx1.example.org", "xn--bcher-kva.example", "a", "1.example"}
	bad := []DNSName{"", ".", "a_b.example", "-a.example", "a-.example", `a\.b`, "a..b", "UPPER.example", DNSName(strings.Repeat("a", 64))}
	for _, n := range good {
		if !n.IsHostname() {
			t.Errorf("%q is a host name", n)
		}
	}
	for _, n := range bad {
		if n.IsHostname() {
			t.Errorf("%q is no host name", n)
		}
	}
}

func TestShellQuote(t *testing.T) {
	cases := []struct{ in, want string }{
		{"example.org", "example.org"},
		{"$(reboot).example", `'$(reboot).example'`},
		{"it's", `'it'\''s'`},
		{"", "''"},
		{"-rf", "'-rf'"},
		{"[2001:db8::1]:25", "'[2001:db8::1]:25'"},
		{"a;b", "'a;b'"},
	}
	for _, c := range cases {
		if got := ShellQuote(c.in); got != c.want {
			t.Errorf("%q: got %s, want %s", c.in, got, c.want)
		}
	}
}

func TestReverseName(t *testing.T) {
	cases := []struct{ addr, want string }{
		{"192.0.2.25", "25.2.0.192.in-addr.arpa"},
		{"::ffff:192.0.2.25", "25.2.0.192.in-addr.arpa"},
		{"2001:db8::25", "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
	}
	for _, c := range cases {
		if got := ReverseName(netip.MustParseAddr(c.addr)); string(got) != c.want {
			t.Errorf("%s: got %s", c.addr, got)
		}
	}
}

func TestSpecial(t *testing.T) {
	special := []string{
		"0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.2.1", "192.168.0.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:8.8.8.8", "64:ff9b::1", "100::1", "2001:db8::1", "2002::1", "fc00::1", "fe80::1", "fe80::1%eth0", "ff02::1", "4000::1", "3fff::1",
	}
	public := []string{"8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2600::1", "2a00:1450::1", "2001:4860::1"}
	for _, a := range special {
		if Special(netip.MustParseAddr(a)) == "" {
			t.Errorf("%s passes as public", a)
		}
	}
	for _, a := range public {
		if what := Special(netip.MustParseAddr(a)); what != "" {
			t.Errorf("%s is called %s", a, what)
		}
	}
	if Special(netip.Addr{}) == "" {
		t.Error("no address passes as public")
	}
}

func TestScopeOpensRanges(t *testing.T) {
	private := netip.MustParseAddr("10.0.0.1")
	s := Scope{AllowNets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}
	if s.Special(private) != "" {
		t.Error("an opened address is still special")
	}
	if s.Special(netip.MustParseAddr("10.0.1.1")) == "" {
		t.Error("an address outside the opened range passes")
	}
	if (Scope{AllowPrivate: true}).Special(private) != "" {
		t.Error("--allow-private does not open everything")
	}
}

func FuzzParseDomain(f *testing.F) {
	for _, s := range []string{"example.org", "bücher.example", "a@b.c", "http://x/", "xn--", "\u200b", "[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, note, err := ParseDomain(s)
		if err != nil {
			var input *InputError
			if !errors.As(err, &input) || input.Problem == "" {
				t.Errorf("%q: %v is no InputError", s, err)
			}
			return
		}
		if len(d.String()) > 253 || !d.Name().IsHostname() {
			t.Errorf("%q became %q", s, d)
		}
		again, _, err := ParseDomain(d.String())
		if err != nil || again != d {
			t.Errorf("%q became %q, which becomes %q, %v", s, d, again, err)
		}
		if strings.ContainsAny(note, "\n\x1b") {
			t.Errorf("the note of %q is not printable", s)
		}
	})
}
