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
		"tls://192.0.2.53":       "the resolver tls://192.0.2.53: DNS over TLS is not supported yet",
		"HTTPS://dns.example/q":  "the resolver HTTPS://dns.example/q: DNS over HTTPS is not supported yet",
		"udp://192.0.2.53":       "the resolver udp://192.0.2.53 is not an IP address",
		"\x1b[31m":               `the resolver \x1B[31m is not an IP address`,
	} {
		_, err := ParseServer(in)
		var input *audit.InputError
		if !errors.As(err, &input) || input.Problem != want || input.Hint == "" {
			t.Errorf("ParseServer(%q): %#v, want %q and a hint", in, err, want)
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
