package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
)

// checkInput: an error about input says so in one line that can be shown.
func checkInput(t *testing.T, err error) {
	t.Helper()
	var input *audit.InputError
	if !errors.As(err, &input) {
		t.Errorf("%T %v is no error about input", err, err)
		return
	}
	if input.Problem == "" || len(input.Problem) > 2000 || strings.ContainsAny(report.Screen(input.Problem+input.Hint), "\n\x1b") {
		t.Errorf("%q, %q", input.Problem, input.Hint)
	}
}

// FuzzServer: HOST[:PORT] gives a server that reads back as itself, or an
// error that says what is wrong with it.
func FuzzServer(f *testing.F) {
	for _, s := range []string{"mail.example.org", "mail.example.org:587", "[2001:db8::25]:465", "2001:db8::25", "192.0.2.25:25", "fe80::1%eth0", "[", "]:", "x:0", "a@b", ":25", "::ffff:192.0.2.1"} {
		f.Add(s, "auto")
	}
	f.Fuzz(func(t *testing.T, word, mode string) {
		n, _, err := readServer(word, mode)
		if err != nil {
			checkInput(t, err)
			return
		}
		if n.Port == 0 || n.Host == "" || n.Mode == "" || n.Addr.IsValid() && n.Addr.Zone() != "" {
			t.Errorf("%q: %+v", word, n)
		}
		again, _, err := readServer(serverTarget(n), string(n.Mode))
		if err != nil || *again != *n {
			t.Errorf("%q became %+v, and that %+v, %v", word, n, again, err)
		}
	})
}

// FuzzList: a list of domains gives each once, or an error that names a line.
func FuzzList(f *testing.F) {
	f.Add("example.org\nexample.net selector=s1 ip=192.0.2.1 # comment\n\n")
	f.Add("\ufeffexample.org\r\nexample.org ip=x\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := targets{at: map[audit.Domain]int{}}
		err := got.read("list", strings.NewReader(text))
		if err != nil {
			checkInput(t, err)
			return
		}
		for d, i := range got.at {
			if got.list[i].domain != d {
				t.Errorf("%s is at %d, where %s is", d, i, got.list[i].domain)
			}
		}
		if len(got.list) == 0 || len(got.list) != len(got.at) || len(got.list) > 1+strings.Count(text, "\n") {
			t.Errorf("%d domains, %d of them different, of %q", len(got.list), len(got.at), text)
		}
	})
}

// FuzzArguments: no command line makes the reader of command lines panic, and
// what it refuses it refuses in words.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{"audit\nexample.org\n-f\njson", "smtp\n--mode=tls\n--\n-x", "help", "db\nx", "audit\n--no-such", "-", "report\n-o", "--version"} {
		f.Add(s, "TIMEOUT=3s")
	}
	f.Fuzz(func(t *testing.T, text, environment string) {
		name, value, _ := strings.Cut(environment, "=")
		p := &program{out: io.Discard, err: io.Discard, env: func(asked string) string {
			if asked == "MAILAUDIT_"+name {
				return value
			}
			return ""
		}}
		l, err := normalize(p.app(), append([]string{"mailaudit"}, strings.Split(text, "\n")...), p.env)
		if err != nil {
			checkInput(t, err)
			return
		}
		if len(l.argv) == 0 || l.argv[0] != "mailaudit" || strings.Contains(fmt.Sprint(l.fromEnv), "\n") {
			t.Errorf("%q: %+v", text, l)
		}
	})
}
