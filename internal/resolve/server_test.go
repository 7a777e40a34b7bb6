package resolve

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"mailaudit/internal/audit"
)

func TestParseServer(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.53":            "192.0.2.53",
		"192.0.2.53:53":         "192.0.2.53",
		"192.0.2.53:5353":       "192.0.2.53:5353",
		"::1":                   "::1",
		"[::1]":                 "::1",
		"[::1]:53":              "::1",
		"[2001:db8::53]:5353":   "[2001:db8::53]:5353",
		"fe80::1%eth0":          "fe80::1%eth0",
		"[fe80::1%eth0]:54":     "[fe80::1%eth0]:54",
		"::ffff:192.0.2.53":     "192.0.2.53",
		"[::ffff:192.0.2.53]:9": "192.0.2.53:9",
	} {
		s, err := ParseServer(in)
		if err != nil || s.String() != want {
			t.Errorf("ParseServer(%q) = %s, %v, want %s", in, s, err, want)
		}
		again, err := ParseServer(s.String())
		if err != nil || again != s {
			t.Errorf("ParseServer(%q) = %v, %v, not what it was", s.String(), again, err)
		}
	}
	for in, want := range map[string]string{
		"":                       "the resolver  is not an IP address",
		"dns.example":            "the resolver dns.example is not an IP address",
		"dns.example:53":         "the resolver dns.example:53 is not an IP address",
		"192.0.2.53:0":           "the resolver 192.0.2.53:0 has port 0",
		"192.0.2.53:65536":       "the resolver 192.0.2.53:65536 is not an IP address",
		"192.0.2.53:":            "the resolver 192.0.2.53: is not an IP address",
		"[192.0.2.53]":           "the resolver [192.0.2.53] is not an IP address",
		"[::1":                   "the resolver [::1 is not an IP address",
		"::1]":                   "the resolver ::1] is not an IP address",
		"192.0.2.53, 192.0.2.54": "the resolver 192.0.2.53, 192.0.2.54 is not an IP address",
		"udp://192.0.2.53":       "a resolver can be asked over tls:// and https://, not over udp://",
		"http://u:pw@192.0.2.53": "a resolver can be asked over tls:// and https://, not over http://",
		"://192.0.2.53":          "a resolver can be asked over tls:// and https://, not over ://",
		"\x1b[31m":               `the resolver \x1B[31m is not an IP address`,
	} {
		_, err := ParseServer(in)
		var input *audit.InputError
		if !errors.As(err, &input) || input.Problem != want || input.Hint == "" {
			t.Errorf("ParseServer(%q): %#v, want %q and a hint", in, err, want)
		}
	}
}

func TestParseEncryptedServer(t *testing.T) {
	for in, want := range map[string]string{
		"tls://192.0.2.53":                               "tls://192.0.2.53",
		"TLS://192.0.2.53:853":                           "tls://192.0.2.53",
		"tls://192.0.2.53:8853#DNS.Example.net.":         "tls://192.0.2.53:8853#dns.example.net",
		"tls://2001:db8::53#dns.example.net":             "tls://[2001:db8::53]#dns.example.net",
		"tls://[2001:db8::53]:853":                       "tls://[2001:db8::53]",
		"tls://[fe80::53%eth0]:8853#dns":                 "tls://[fe80::53%eth0]:8853#dns",
		"tls://::ffff:192.0.2.53":                        "tls://192.0.2.53",
		"https://192.0.2.53":                             "https://192.0.2.53/dns-query",
		"https://192.0.2.53:443#dns.example.net":         "https://192.0.2.53/dns-query#dns.example.net",
		"https://192.0.2.53/":                            "https://192.0.2.53/",
		"https://192.0.2.53/dns-query{?dns}":             "https://192.0.2.53/dns-query",
		"https://192.0.2.53/a/b%20c?d=e@f#xn--bcher.net": "https://192.0.2.53/a/b%20c?d=e@f#xn--bcher.net",
		"HTTPS://[2001:db8::53]:8443//x/../y":            "https://[2001:db8::53]:8443//x/../y",
		"https://fe80::53%eth0/q":                        "https://[fe80::53%eth0]/q",
	} {
		s, err := ParseServer(in)
		if err != nil || s.String() != want {
			t.Errorf("ParseServer(%q) = %s, %v, want %s", in, s, err, want)
		}
		again, err := ParseServer(s.String())
		if err != nil || again != s {
			t.Errorf("ParseServer(%q) = %v, %v, not what it was", s.String(), again, err)
		}
	}
	const (
		example = "write tls://ADDRESS#NAME or https://ADDRESS/PATH#NAME, for example tls://192.0.2.53#dns.example.net"
		lookup  = " has a name where its address belongs, and looking that up would take another resolver"
		noName  = "without a name the certificate must be valid for the address: leave out the # and what follows"
		copied  = "copy the path from the URL that the operator publishes, such as /dns-query"
	)
	for _, tt := range []struct{ in, problem, hint string }{
		{"tls://", "the resolver tls:// has no IP address after tls://", example},
		{"https:///dns-query", "the resolver https:///dns-query has no IP address after https://", example},
		{"tls://192.0.2.300", "the resolver tls://192.0.2.300 has no IP address after tls://", example},
		{"tls://192.0.2.53/", "the resolver tls://192.0.2.53/ has no IP address after tls://", example},
		{"https://192.0.2.53?dns", "the resolver https://192.0.2.53?dns has no IP address after https://", example},
		{"tls://[::1", "the resolver tls://[::1 has no IP address after tls://", example},
		{"tls://192.0.2.53:0", "the resolver tls://192.0.2.53:0 has port 0", "leave the port out for 853"},
		{"https://192.0.2.53:0/", "the resolver https://192.0.2.53:0/ has port 0", "leave the port out for 443"},
		{"tls://user:secret@192.0.2.53", "a resolver tls:// has an @ where its address belongs", example},
		{"https://user:secret@192.0.2.53/q", "a resolver https:// has an @ where its address belongs", example},
		{"tls://dns.example.net", "the resolver tls://dns.example.net" + lookup,
			"put the address first and the name last: tls://192.0.2.53#dns.example.net, with the address of dns.example.net for 192.0.2.53"},
		{"https://DNS.example.net/dns-query{?dns}", "the resolver https://DNS.example.net/dns-query{?dns}" + lookup,
			"put the address first and the name last: https://192.0.2.53/dns-query#dns.example.net, with the address of dns.example.net for 192.0.2.53"},
		{"https://dns.example.net:8443/q?x", "the resolver https://dns.example.net:8443/q?x" + lookup,
			"put the address first and the name last: https://192.0.2.53:8443/q?x#dns.example.net, with the address of dns.example.net for 192.0.2.53"},
		{"https://dns.example.net/\x1b", "the resolver https://dns.example.net/\\x1B" + lookup,
			"put the address first and the name last: https://192.0.2.53/dns-query#dns.example.net, with the address of dns.example.net for 192.0.2.53"},
		{"https://dns.example.net:x/q", "the resolver https://dns.example.net:x/q has no IP address after https://", example},
		{"https://192.0.2.53/a b", "the resolver https://192.0.2.53/a b has a path that no URL has", copied},
		{"https://192.0.2.53/%zz", "the resolver https://192.0.2.53/%zz has a path that no URL has", copied},
		{"https://192.0.2.53/{name}", "the resolver https://192.0.2.53/{name} has a path that no URL has", copied},
		{"tls://192.0.2.53#", "the resolver tls://192.0.2.53# has something after the # that is not a host name", example},
		{"tls://192.0.2.53#a_b", "the resolver tls://192.0.2.53#a_b has something after the # that is not a host name", example},
		{"tls://192.0.2.53#a#b", "the resolver tls://192.0.2.53#a#b has something after the # that is not a host name", example},
		{"tls://192.0.2.53#192.0.2.53", "the resolver tls://192.0.2.53#192.0.2.53 has an address after the #, where a name belongs", noName},
		{"tls://192.0.2.53#::1", "the resolver tls://192.0.2.53#::1 has an address after the #, where a name belongs", noName},
	} {
		_, err := ParseServer(tt.in)
		var input *audit.InputError
		if !errors.As(err, &input) || input.Problem != tt.problem || input.Hint != tt.hint {
			t.Errorf("ParseServer(%q): %#v,\nwant %q and %q", tt.in, err, tt.problem, tt.hint)
		}
	}
}

// TestLabel: reports do not tell a path that may name the customer.
func TestLabel(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.53:54":                           "192.0.2.53:54",
		"tls://192.0.2.53#dns.example.net":        "tls://192.0.2.53#dns.example.net",
		"https://192.0.2.53#dns.example.net":      "https://192.0.2.53/dns-query#dns.example.net",
		"https://192.0.2.53/k3y#dns.example.net":  "https://192.0.2.53/...#dns.example.net",
		"https://192.0.2.53/dns-query?key=secret": "https://192.0.2.53/...",
	} {
		s, err := ParseServer(in)
		if err != nil || s.label() != want {
			t.Errorf("the label of %s is %q, %v, want %q", in, s.label(), err, want)
		}
	}
}

func TestParseResolvConf(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"usual", "# by hand\nsearch example.org\nnameserver 192.0.2.53\noptions edns0 trust-ad\n", "192.0.2.53"},
		{"three at most", "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n", "192.0.2.1 192.0.2.2 192.0.2.3"},
		{"zones are kept", "nameserver fe80::1%eth0\n", "fe80::1%eth0"},
		{"spaces, tabs, CR, words after", "nameserver\t 192.0.2.53 \r\nnameserver 2001:db8::53 # second\n", "192.0.2.53 2001:db8::53"},
		{"comments", ";nameserver 192.0.2.1\n#nameserver 192.0.2.2\nnameserver\nnameserver 192.0.2.3", "192.0.2.3"},
		{"not an address", "nameserver localhost\nnameserver 192.0.2.300\nnameserver 192.0.2.53:53\nnameserver 192.0.2.53", "192.0.2.53"},
		{"another word", "nameservers 192.0.2.1\nNAMESERVER 192.0.2.2", ""},
		{"a line cut by the limit", strings.Repeat("#\n", maxResolvConf/2-10) + "nameserver 192.0.2.53\n", ""},
		{"a line just within the limit", strings.Repeat("#\n", maxResolvConf/2-11) + "nameserver 192.0.2.5\n" + "###", "192.0.2.5"},
		{"one endless line", strings.Repeat("x", 2*maxResolvConf), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseResolvConf(strings.NewReader(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, s := range got {
				words = append(words, s.String())
			}
			if s := strings.Join(words, " "); s != tt.want {
				t.Errorf("servers %q, want %q", s, tt.want)
			}
		})
	}
	broken := errors.New("broken")
	_, err := ParseResolvConf(io.MultiReader(strings.NewReader("nameserver 192.0.2.53\n"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("err = %v, want the reader's", err)
	}
	endless := &counting{}
	_, err = ParseResolvConf(endless)
	if err != nil || endless.n > maxResolvConf+1 {
		t.Errorf("read %d octets, %v", endless.n, err)
	}
}

// counting is an endless reader.
type counting struct{ n int }

func (c *counting) Read(b []byte) (int, error) {
	c.n += len(b)
	for i := range b {
		b[i] = '#'
	}
	return len(b), nil
}

func TestSystemServers(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, err := serversFrom(write("good", "nameserver 192.0.2.53\n"))
	if err != nil || !slices.Equal(got, servers("192.0.2.53")) {
		t.Errorf("serversFrom = %v, %v", got, err)
	}
	empty := write("empty", "search example.org\n")
	missing := filepath.Join(dir, "missing")
	for path, want := range map[string]string{
		empty:   "no resolver is configured: " + empty + " has no nameserver line with an address",
		missing: "no resolver is configured: " + missing + " does not exist",
		dir:     "no resolver is configured: " + dir + " cannot be read",
	} {
		_, err := serversFrom(path)
		var input *audit.InputError
		if !errors.As(err, &input) || input.Problem != want || !strings.Contains(input.Hint, "--resolver") {
			t.Errorf("serversFrom(%s): %#v, want %q", path, err, want)
		}
	}
}
