package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

func TestReadList(t *testing.T) {
	for _, c := range []struct{ name, list, want string }{
		{"lines", "example.org\nexample.net\n", "example.org [] []; example.net [] []"},
		{"no last line end", "example.org\nexample.net", "example.org [] []; example.net [] []"},
		{"Windows", "\ufeffexample.org\r\nexample.net\r\n", "example.org [] []; example.net [] []"},
		{"comments and blanks", "# ours\n\n  example.org  # the first\n\t\n", "example.org [] []"},
		{"what is known", "example.org selector=s2 ip=192.0.2.25 selector=S1 ip=2001:db8::25", "example.org [s1 s2] [192.0.2.25 2001:db8::25]"},
		{"twice", "example.org ip=192.0.2.25\nEXAMPLE.org. selector=s1\n", "example.org [s1] [192.0.2.25]"},
		{"a mail address", "user@example.org", "example.org [] []"},
	} {
		targets := targets{at: map[audit.Domain]int{}}
		err := targets.read("-", strings.NewReader(c.list))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got []string
		for _, d := range targets.list {
			got = append(got, fmt.Sprintf("%s %v %v", d.domain, d.selectors, d.ips))
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %s, want %s", c.name, strings.Join(got, "; "), c.want)
		}
	}
}

func TestReadListRefuses(t *testing.T) {
	for _, c := range []struct{ name, list, want string }{
		{"no domain", "example.org\nhttp://example.net/\n", "standard input, line 2: http://example.net/ is a URL"},
		{"an unknown word", "example.org s1\n", `standard input, line 1: "s1" is not known behind a domain`},
		{"an unknown key", "\n\nexample.org dkim=s1\n", `standard input, line 3: "dkim=s1" is not known behind a domain`},
		{"no selector", "example.org selector=\n", "line 1: --selector does not take"},
		{"no address", "example.org ip=192.0.2\n", "line 1: --ip does not take"},
		{"a zone", "example.org ip=fe80::1%eth0\n", "line 1: --ip does not take"},
		{"a long line", "example.org\n" + strings.Repeat("x", 1<<20), "line 2: longer than 65536 octets"},
		{"something else", "SQLite format 3\x00\x10\x00", "line 1: "},
		{"an escape", "\x1b[2J\n", "line 1: "},
		{"nothing", "# none\n", "names no domain"},
	} {
		targets := targets{at: map[audit.Domain]int{}}
		err := targets.read("-", strings.NewReader(c.list))
		var input *audit.InputError
		if !errors.As(err, &input) || !strings.Contains(input.Problem, c.want) || strings.ContainsRune(input.Problem, '\x1b') {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// What a line says of a domain comes beside what the flags say of all.
func TestTargetScope(t *testing.T) {
	all := audit.Scope{Selectors: []string{"b", "d"}, SendingIPs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}
	one := target{selectors: []string{"a", "b"}, ips: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	got := one.scope(all)
	if diff := cmp.Diff([]string{"a", "b", "d"}, got.Selectors); diff != "" {
		t.Error(diff)
	}
	if fmt.Sprint(got.SendingIPs) != "[192.0.2.1 192.0.2.2]" {
		t.Error(got.SendingIPs)
	}
	if fmt.Sprint(all.Selectors, all.SendingIPs) != "[b d] [192.0.2.2]" {
		t.Error("the scope of all domains has changed")
	}
}
