package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// plainWorld is a healthy domain with one mail host.
const plainWorld = `# A healthy domain with one mail host.
at 2026-11-23T12:00:00Z
-- zone --
example.org.             MX 10 mx.example.org.
mx.example.org.          A 192.0.2.25
25.2.0.192.in-addr.arpa. PTR mx.example.org.
-- server 192.0.2.25:25 mx.example.org --
`

// attempt is one run of the whole program in a world.
type attempt struct {
	args  []string
	stdin string            // standard input
	db    string            // MAILAUDIT_DB, unless env has one
	env   map[string]string // beside what opens the world
	out   io.Writer         // nil: a buffer
	ctx   context.Context   // nil: one that never ends
}

// outcome is what it left.
type outcome struct {
	code     int
	out, err string
	net      *lab.Network
	at       time.Time // when the program ended; the servers may have gone on
}

// in runs the program once in a world.
func (a attempt) in(w *lab.World) outcome {
	n := w.Network()
	if a.ctx == nil {
		a.ctx = context.Background()
	}
	var out, errs bytes.Buffer
	if a.out == nil {
		a.out = &out
	}
	resolvers := ""
	for _, r := range w.Resolvers {
		resolvers += r.String() + ","
	}
	env := map[string]string{"MAILAUDIT_ALLOW_NET": documentation, "MAILAUDIT_RESOLVER": resolvers, "MAILAUDIT_DB": a.db, "MAILAUDIT_ONLY": areasOf(w), "MAILAUDIT_CONTROL": noControl}
	for k, v := range a.env {
		env[k] = v
	}
	p := &program{
		env: func(name string) string { return env[name] },
		in:  strings.NewReader(a.stdin), out: a.out, err: &errs, hostName: "probe.example.net", network: n, trust: w.Roots(),
	}
	code := p.run(a.ctx, append([]string{"mailaudit"}, a.args...))
	at := time.Now()
	n.Wait()
	return outcome{code: code, out: out.String(), err: errs.String(), net: n, at: at}
}

// checkError proves what holds for every error: one line that says what is
// wrong, at most one that says what to do, all of it printable.
func checkError(t *testing.T, stderr string) {
	t.Helper()
	if !strings.HasSuffix(stderr, "\n") {
		t.Errorf("stderr does not end with a line: %q", stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	for i, l := range lines {
		lead := []string{"mailaudit: ", "  "}[min(i, 1)]
		text, ok := strings.CutPrefix(l, lead)
		if i > 1 || !ok || strings.TrimSpace(text) != text || text == "" {
			t.Errorf("line %d of stderr: %q", i+1, l)
		}
		if strings.IndexFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Errorf("not printable: %q", l)
		}
		if len(l) > 400 {
			t.Errorf("a line of %d octets: %.100q", len(l), l)
		}
	}
}

// checkSilence proves that nothing was sent to anybody.
func checkSilence(t *testing.T, n *lab.Network) {
	t.Helper()
	if q, c := n.Questions(), n.Connections(); len(q)+len(c) > 0 {
		t.Errorf("%d questions and %d connections: %v %v", len(q), len(c), q, c)
	}
}

// misuse is a command line that is wrong.
type misuse struct {
	args []string
	env  map[string]string
	want string // of standard error, both lines, as a regular expression
}

// misuses lists wrong command lines: at least one bad value of every flag.
func misuses() []misuse {
	audit := func(words ...string) []string { return append([]string{"audit", "example.org"}, words...) }
	spf := func(words ...string) []string {
		return append([]string{"spf", "example.org", "--ip", "192.0.2.1"}, words...)
	}
	long := strings.Repeat("a", 64)
	return []misuse{
		// Domains.
		{args: []string{"audit"}, want: `no domain was named\n.*mailaudit audit example\.org`},
		{args: []string{"audit", ""}, want: `the domain is empty\n.*mailaudit audit example\.org`},
		{args: []string{"audit", "  "}, want: `the domain is empty`},
		{args: []string{"audit", "http://example.org/"}, want: `is a URL, not a domain\n.*mailaudit audit example\.org$`},
		{args: []string{"audit", "https://user@www.example.org:8443/x?y#z"}, want: `is a URL.*\n.*mailaudit audit www\.example\.org$`},
		{args: []string{"audit", "192.0.2.25"}, want: `192\.0\.2\.25 is an IP address`},
		{args: []string{"audit", "2001:db8::25"}, want: `is an IP address`},
		{args: []string{"audit", "[192.0.2.25]"}, want: `\n`},
		{args: []string{"audit", "user@"}, want: `no domain after the @`},
		{args: []string{"audit", "user@[192.0.2.25]"}, want: `.`},
		{args: []string{"audit", long + ".example.org"}, want: `has 64 octets; 63 are allowed`},
		{args: []string{"audit", strings.Repeat("abcdefgh.", 30) + "org"}, want: `253`},
		{args: []string{"audit", strings.Repeat("x", 100_000)}, want: `63 are allowed`},
		{args: []string{"audit", "exa..mple.org"}, want: `empty label`},
		{args: []string{"audit", ".example.org"}, want: `empty label`},
		{args: []string{"audit", "_dmarc.example.org"}, want: `underscore`},
		{args: []string{"audit", "exa mple.org"}, want: `is not a domain name`},
		{args: []string{"audit", "example.org\x1b[31m"}, want: `.`},
		{args: []string{"audit", "example.org\nmx"}, want: `.`},
		{args: []string{"audit", "\xff\xfe.org"}, want: `not valid UTF-8`},
		{args: []string{"audit", "xn--a.org"}, want: `is not a domain name`},
		{args: []string{"audit", "-"}, want: `- is not a domain name`},
		{args: []string{"audit", "--", "-x.org"}, want: `-x\.org is not a domain name`},
		{args: []string{"audit", "good.example", "http://bad.example/"}, want: `is a URL`},
		{args: []string{"audit", "user@good.example", "http://bad.example/"}, want: `^mailaudit: http.* is a URL`},
		{args: []string{"audit", "--file", "/nonexistent/list"}, want: `--file cannot read /nonexistent/list: no such file or directory\n.*a domain on each line`},
		{args: []string{"audit", "--file", "/"}, want: `--file cannot read /: is a directory`},
		{args: []string{"audit", "--file", "-"}, want: `--file standard input names no domain`},
		{args: []string{"audit", "--file="}, want: `.`},
		{args: []string{"audit", "example.org", "--parallel", "0"}, want: `--parallel does not take.*\n.*from 1 to 256`},
		{args: []string{"audit", "example.org", "--parallel", "-3"}, want: `--parallel`},
		{args: []string{"audit", "example.org", "--parallel", "257"}, want: `from 1 to 256`},
		{args: []string{"audit", "example.org", "--parallel", "many"}, want: `.`},

		// Commands.
		{args: []string{"aduit", "example.org"}, want: `no command "mailaudit aduit"\n.*did you mean: mailaudit audit$`},
		{args: []string{"example.org"}, want: `no command.*\n.*did you mean: mailaudit audit example\.org$`},
		{args: []string{"frobnicate"}, want: `no command.*\n.*commands: audit, smtp, spf, runs, show, diff, report, rejudge, note, explain, rules, db, demo, completion, version$`},
		{args: []string{strings.Repeat("y", 5000)}, want: `no command`},
		{args: []string{"\x1b[2J"}, want: `no command`},
		{args: []string{"db", "chekc"}, want: `no command "mailaudit db chekc"\n.*did you mean: mailaudit db check$`},
		{args: []string{"help", "nonsense"}, want: `no command and no topic "nonsense"\n.*commands: audit, .*; topics: exit-codes, environment, formats$`},
		{args: []string{"help", "aduit"}, want: `no command and no topic "aduit"\n.*did you mean: mailaudit help audit$`},
		{args: []string{"help", "enviroment"}, want: `no command and no topic "enviroment"\n.*did you mean: mailaudit help environment$`},
		{args: []string{"--help", "exitcodes"}, want: `no command and no topic "exitcodes"\n.*did you mean: mailaudit help exit-codes$`},
		{args: []string{"exit-codes"}, want: `no command "mailaudit exit-codes"\n.*did you mean: mailaudit help exit-codes$`},
		{args: []string{"help", "formats", "json"}, want: `help takes one command or topic: json is too much\n.*mailaudit --help$`},
		{args: []string{"help", "db", "pruen"}, want: `no command "mailaudit db pruen"\n.*did you mean: mailaudit help db prune$`},
		{args: []string{"db", "help", "nonsense"}, want: `no command "mailaudit db nonsense"`},
		{args: []string{"--db", "x.db", "audit", "example.org"}, want: `--db stands before the command\n.*mailaudit audit --db$`},
		{args: []string{"db", "--db", "x.db", "check"}, want: `--db stands before the command\n.*mailaudit db check --db$`},
		{args: []string{"--version", "audit"}, want: `--version stands before the command`},
		{args: []string{"--version=maybe"}, want: `--version does not take "maybe"`},

		// Arguments.
		{args: []string{"version", "now"}, want: `takes no arguments: now is too much\n.*mailaudit version --help$`},
		{args: []string{"db", "path", "x"}, want: `mailaudit db path takes no arguments`},
		{args: []string{"db", "check", "x"}, want: `mailaudit db check takes no arguments`},
		{args: []string{"runs", "a.example", "b.example"}, want: `at most one argument: b\.example is too much`},
		{args: []string{"runs", "http://example.org/"}, want: `is a URL`},
		{args: []string{"show"}, want: `show takes one run or one domain`},
		{args: []string{"show", "1", "2"}, want: `show takes one run or one domain`},
		{args: []string{"diff", "1", "2", "3"}, want: `at most 2 arguments: 3 is too much`},
		{args: []string{"explain"}, want: `explain takes one rule\n.*mailaudit rules`},
		{args: []string{"explain", "a", "b"}, want: `explain takes one rule`},
		{args: []string{"explain", "mx.implict"}, want: `no rule "mx\.implict"\n.*did you mean: mailaudit explain mx\.implicit$`},
		{args: []string{"explain", "nothing"}, want: `no rule.*\n.*mailaudit rules lists them`},
		{args: []string{"explain", "a\nb\x00"}, want: `no rule`},
		{args: []string{"rules", "tsl"}, want: `no area "tsl"\n.*did you mean: mailaudit rules tls$`},
		{args: []string{"rules", "tls", "nonsense"}, want: `no area "nonsense"\n.*mx, spf, dkim, dmarc, rdns, helo, dnsbl, smtp, tls, auth, vantage$`},

		// Flags that nobody knows.
		{args: audit("--pasive"), want: `no flag --pasive\n.*did you mean: --passive$`},
		{args: audit("--frobnicate"), want: `no flag --frobnicate\n.*mailaudit audit --help$`},
		{args: audit("-x"), want: `no flag -x\n`},
		{args: audit("-fjson"), want: `no flag -fjson\n`},
		{args: audit("--\x1b[31m=1"), want: `no flag --`},
		{args: audit("--" + strings.Repeat("z", 9999)), want: `no flag --z`},
		{args: audit("--version"), want: `no flag --version`},
		{args: []string{"-q"}, want: `no flag -q\n.*mailaudit --help$`},
		{args: []string{"explain", "--format", "json", "mx.implicit"}, want: `no flag --format`},
		{args: audit("--timeout"), want: `--timeout needs a value`},
		{args: audit("-o"), want: `--output needs a value`},
		{args: audit("---db=x"), want: `bad flag syntax|no flag`},

		// Values that flags do not take.
		{args: audit("--resolver", "dns.example"), want: `dns\.example is not an IP address`},
		{args: audit("--resolver", "9.9.9.9:0"), want: `port 0`},
		{args: audit("--resolver", "9.9.9.9:70000"), want: `is not an IP address`},
		{args: audit("--resolver", "gopher://9.9.9.9"), want: `gopher://`},
		{args: audit("--resolver="), want: `is not an IP address`},
		{args: audit("--sending-ip", "mx.example.org"), want: `--sending-ip does not take "mx\.example\.org"\n`},
		{args: audit("--sending-ip", "192.0.2.0/24"), want: `--sending-ip does not take`},
		{args: audit("--sending-ip", "fe80::1%eth0"), want: `--sending-ip does not take`},
		{args: audit("--sending-helo", "192.0.2.25"), want: `--sending-helo does not take "192\.0\.2\.25"\n`},
		{args: audit("--sending-helo", "[192.0.2.25]"), want: `--sending-helo does not take`},
		{args: audit("--sending-helo", "a_b.example.org"), want: `--sending-helo does not take`},
		{args: audit("--sending-helo="), want: `--sending-helo does not take ""`},
		{args: audit(), env: map[string]string{"MAILAUDIT_SENDING_HELO": "a b"}, want: `MAILAUDIT_SENDING_HELO does not take "a b"`},
		{args: []string{"smtp", "mail.example.org", "--sending-helo", "out.example.org"}, want: `no flag --sending-helo`},
		{args: audit("--submission", "mail.example.org:587"), want: `--submission does not take "mail\.example\.org:587"\n`},
		{args: audit("--submission", "192.0.2.25"), want: `--submission does not take "192\.0\.2\.25"\n`},
		{args: audit("--submission", "user@example.org"), want: `--submission does not take`},
		{args: audit(), env: map[string]string{"MAILAUDIT_SUBMISSION": "a b"}, want: `MAILAUDIT_SUBMISSION does not take "a b"`},
		{args: audit("--try-mail"), want: `--try-mail tries the servers that --submission names`},
		{args: audit("--try-mail=x", "--submission", "mail.example.org"), want: `--try-mail does not take "x"`},
		{args: []string{"smtp", "mail.example.org", "--try-mail"}, want: `--try-mail is for submission servers`},
		{args: []string{"smtp", "mail.example.org:465", "--try-mail"}, want: `--try-mail is for submission servers`},
		{args: []string{"smtp", "--mx", "example.org", "--try-mail"}, want: `--try-mail is for submission servers`},
		{args: audit("--helo", "two words"), want: `--helo does not take "two words"\n`},
		{args: audit("--helo", "x\r\nRCPT TO:<a@b>"), want: `--helo does not take`},
		{args: audit("--helo", "[192.0.2.300]"), want: `--helo does not take`},
		{args: audit("--helo", "[10.0.0.1]"), want: `--helo does not take "\[10\.0\.0\.1\]"`},
		{args: audit("--helo", "[IPv6:fd00::1]"), want: `--helo does not take`},
		{args: audit("--source", "localhost"), want: `--source does not take "localhost"\n`},
		{args: audit("--source", "192.0.2.1", "--source", "192.0.2.2"), want: `--source names two addresses of one family`},
		{args: audit("--source", "192.0.2.1", "--proxy", "socks5h://127.0.0.1:1080"), want: `--source and --proxy do not go together`},
		{args: audit("-4", "-6"), want: `--ipv4 and --ipv6 together leave nothing to connect to\n`},
		{args: audit("--ipv4=x"), want: `--ipv4 does not take "x"\n`},
		{args: audit("--ipv6=x"), want: `--ipv6 does not take "x"\n`},
		{args: audit("-6"), env: map[string]string{"MAILAUDIT_IPV4": "true"}, want: `MAILAUDIT_IPV4 and --ipv6 together`},
		{args: []string{"smtp", "192.0.2.25", "-6"}, want: `192\.0\.2\.25 is an IPv4 address, and --ipv6`},
		{args: []string{"smtp", "2001:db8::25", "-4"}, want: `2001:db8::25 is an IPv6 address, and --ipv4`},
		{args: audit("--proxy", "127.0.0.1:1080"), want: `--proxy does not take "127\.0\.0\.1:1080"\n.*for example --proxy socks5h://127\.0\.0\.1:1080$`},
		{args: audit("--proxy", "http://127.0.0.1:1080"), want: `--proxy does not take`},
		{args: audit("--proxy", "socks5h://"), want: `--proxy does not take`},
		{args: audit("--proxy", "socks5h://proxy.example.org:1080"), want: `--proxy does not take.*\n.*an address, not a name$`},
		{args: audit("--proxy", "socks5h://127.0.0.1:0"), want: `--proxy does not take`},
		{args: audit("--proxy", "socks5h://[::1]:99999"), want: `--proxy does not take`},
		{args: audit("--proxy", "socks5h://user:secret@127.0.0.1:1080"), want: `^mailaudit: --proxy does not take "\.\.\."\n  a proxy that wants a login is not supported`},
		{args: audit("--proxy", "socks5h://127.0.0.1:1080:user:secret"), want: `^mailaudit: --proxy does not take "\.\.\."\n`},
		{args: audit("--proxy", "socks5h://user:secret%40127.0.0.1"), want: `^mailaudit: --proxy does not take "\.\.\."\n`},
		{args: audit("--proxy", "user:secret"), want: `^mailaudit: --proxy does not take "\.\.\."\n`},
		{args: audit(), env: map[string]string{"MAILAUDIT_PROXY": "x"}, want: `MAILAUDIT_PROXY does not take "x"`},
		{args: audit("--control", "mail.example.net:0"), want: `--control does not take "mail\.example\.net:0"\n.*or none$`},
		{args: audit("--control", "two words"), want: `--control does not take "two words"\n`},
		{args: audit("--control", "user@example.net"), want: `--control does not take "user@example\.net"\n`},
		{args: audit("--control", "none", "--control", "mail.example.net"), want: `--control does not take "none"\n`},
		{args: audit("--control="), want: `--control does not take ""\n`},
		{args: audit(), env: map[string]string{"MAILAUDIT_CONTROL": "a b"}, want: `MAILAUDIT_CONTROL does not take "a b"\n`},
		{args: []string{"smtp", "mail.example.org", "--control", "[::1"}, want: `--control does not take "\[::1"\n`},
		{args: audit("--only", "mxx"), want: `--only does not take "mxx"\n.*did you mean: --only mx$`},
		{args: audit("--only", "mx,,tls"), want: `--only does not take ""`},
		{args: audit("--skip", "everything"), want: `--skip does not take "everything"\n.*one of: mx, spf, dkim, dmarc, rdns, helo, dnsbl, smtp, tls, auth$`},
		{args: audit("--skip", "mx,rdns,smtp,tls"), want: `leave nothing to audit\n`},
		{args: audit("--only", "smtp,tls", "--passive"), want: `leave nothing to audit\n`},
		{args: audit("--only", "mx", "--skip", "mx"), want: `leave nothing to audit\n`},
		{args: audit("--passive=maybe"), want: `--passive does not take "maybe"\n`},
		{args: audit("--dry-run=2"), want: `--dry-run does not take "2"\n`},
		{args: audit("--dry-run", "-f", "json"), want: `--dry-run writes text`},
		{args: audit("--dry-run", "-o", "x.txt"), want: `--dry-run writes text`},
		{args: audit("--allow-net", "10.0.0.0/33"), want: `--allow-net does not take "10\.0\.0\.0/33"\n`},
		{args: audit("--allow-private=x"), want: `--allow-private does not take "x"\n`},
		{args: audit("--timeout", "soon"), want: `--timeout does not take "soon"\n`},
		{args: audit("--timeout", "30"), want: `--timeout does not take "30"\n`},
		{args: audit("--timeout", "-5s"), want: `--timeout does not take "-5s"\n.*--timeout 2m$`},
		{args: audit("--timeout", "0"), want: `--timeout does not take "0s"\n`},
		{args: audit("--fail-on", "hihg"), want: `--fail-on does not take "hihg"\n.*did you mean: --fail-on high$`},
		{args: audit("--fail-on", "info"), want: `--fail-on does not take "info"\n`}, // info never gates
		{args: audit("--fail-on-new=x"), want: `--fail-on-new does not take "x"\n`},
		{args: audit("--fail-on-new", "--no-save"), want: `--no-save`},
		{args: audit("--on-unknown", "panic"), want: `--on-unknown does not take "panic"\n.*one of: ignore, fail$`},
		{args: audit("--format", "nonsense"), want: `--format does not take "nonsense"\n.*one of: text, json, jsonl, md, html$`},
		{args: audit("--format", "jsn"), want: `--format does not take "jsn"\n.*did you mean: --format json$`},
		{args: audit("-f", ""), want: `--format does not take ""\n`},
		{args: audit("--output", ""), want: `--output names no file`},
		{args: audit("--output", "json="), want: `--output names no file`},
		{args: audit("--output", "pdf=x.pdf"), want: `--output does not take "pdf"\n.*one of: text, json, jsonl, md, html; a file with = in its name is written as -o text=pdf=x\.pdf$`},
		{args: audit("-o", "a=b.json"), want: `--output does not take "a"\n.* -o json=a=b\.json$`},
		{args: audit("-f", "md", "-o", "a=b c"), want: `--output does not take "a"\n.* -o md='a=b c'$`},
		{args: audit("-o", "jsno=x"), want: `--output does not take "jsno"\n.*did you mean: -o json=x$`},
		{args: audit("-o", "=x"), want: `--output does not take ""\n`},
		{args: audit("--note", "\xff"), want: `--note: a note is text in UTF-8 without zero bytes\n`},
		{args: audit("--note", "a\x00b"), want: `--note: a note is text`},
		{args: audit("--note", strings.Repeat("n", 1001)), want: `--note: a note has at most 1000 bytes; this one has 1001\n`},
		{args: audit(), env: map[string]string{"MAILAUDIT_NOTE": strings.Repeat("n", 1001)}, want: `MAILAUDIT_NOTE: a note has at most`},
		{args: []string{"smtp", "mail.example.org", "--note", "\xff"}, want: `--note: a note is text`},
		{args: []string{"note"}, want: `note takes one run or one domain, and a text\n.*mailaudit note 42 "before the move"$`},
		{args: []string{"note", "http://example.org/", "x"}, want: `is a URL`},
		{args: []string{"note", "1", "\xff"}, want: `a note is text in UTF-8`},
		{args: []string{"note", "1", strings.Repeat("n", 999), "n"}, want: `a note has at most 1000 bytes; this one has 1001`},
		{args: []string{"note", "1", "--text", "x"}, want: `no flag --text`},
		{args: []string{"db", "backup"}, want: `backup takes one file\n.*mailaudit db backup history-copy\.db$`},
		{args: []string{"db", "backup", ""}, want: `backup takes one file`},
		{args: []string{"db", "backup", "a", "b"}, want: `backup takes one file`},
		{args: []string{"db", "backup", "-"}, want: `a backup cannot be written to standard output`},
		{args: []string{"db", "migrate", "x"}, want: `mailaudit db migrate takes no arguments`},
		{args: []string{"db", "prune"}, want: `nothing says which runs to keep\n.*mailaudit db prune --older-than 90d --keep-last 30 --dry-run$`},
		{args: []string{"db", "prune", "--dry-run"}, want: `nothing says which runs to keep`},
		{args: []string{"db", "prune", "--target", "example.org"}, want: `nothing says which runs to keep`},
		{args: []string{"db", "prune", "90d"}, want: `mailaudit db prune takes no arguments: 90d is too much`},
		{args: []string{"db", "prune", "--keep-last", "0"}, want: `--keep-last does not take "0"\n.*one run is always kept`},
		{args: []string{"db", "prune", "--keep-last", "-1"}, want: `--keep-last does not take "-1"`},
		{args: []string{"db", "prune", "--keep-last", "all"}, want: `--keep-last does not take "all"`},
		{args: []string{"db", "prune", "--before", "2000-13-01"}, want: `--before does not take "2000-13-01"\n.*--before 2026-01-31$`},
		{args: []string{"db", "prune", "--before", ""}, want: `--before does not take ""`},
		{args: []string{"db", "prune", "--before", "yesterday"}, want: `--before does not take "yesterday"`},
		{args: []string{"db", "prune", "--before", "2126-01-01"}, want: `--before does not take "2126-01-01"\n.*is to come.*--keep-last 1$`},
		{args: []string{"db", "prune", "--older-than", "90"}, want: `--older-than does not take "90"\n.*--older-than 90d`},
		{args: []string{"db", "prune", "--older-than", ""}, want: `--older-than does not take ""`},
		{args: []string{"db", "prune", "--older-than", "d"}, want: `--older-than does not take "d"`},
		{args: []string{"db", "prune", "--older-than", "-1d"}, want: `--older-than does not take "-1d"`},
		{args: []string{"db", "prune", "--older-than", "0w"}, want: `--older-than does not take "0w"`},
		{args: []string{"db", "prune", "--older-than", "36501d"}, want: `--older-than does not take "36501d"`},
		{args: []string{"db", "prune", "--older-than", "4294967295w"}, want: `--older-than does not take "4294967295w"`},
		{args: []string{"db", "prune", "--older-than", "99999999999w"}, want: `--older-than does not take "99999999999w"`},
		{args: []string{"db", "prune", "--older-than", "1.5d"}, want: `--older-than does not take "1.5d"`},
		{args: []string{"db", "prune", "--older-than", "90d", "--before", "2000-01-01"}, want: `--before and --older-than both name a time\n`},
		{args: []string{"db", "prune", "--keep-last", "1", "--target", "http://example.org"}, want: `--target: http://example\.org is a URL`},
		{args: []string{"db", "prune", "--keep-last", "1", "--target", ""}, want: `--target: the domain is empty`},
		{args: []string{"db", "prune"}, env: map[string]string{"MAILAUDIT_OLDER_THAN": "soon"}, want: `MAILAUDIT_OLDER_THAN does not take "soon"\n.*MAILAUDIT_OLDER_THAN=90d`},
		{args: []string{"db", "prune", "--older-than", "9d"}, env: map[string]string{"MAILAUDIT_BEFORE": "2000-01-01"}, want: `MAILAUDIT_BEFORE and --older-than both name a time`},
		{args: []string{"completion"}, want: `completion takes one shell: bash, zsh, fish\n.*mailaudit completion bash$`},
		{args: []string{"completion", "bash", "zsh"}, want: `completion takes one shell`},
		{args: []string{"completion", "fisch"}, want: `no completion for "fisch"\n.*did you mean: mailaudit completion fish$`},
		{args: []string{"completion", "powershell"}, want: `no completion for "powershell"\n.*there is one for: bash, zsh, fish$`},
		{args: audit("--no-save=x"), want: `--no-save does not take "x"\n`},
		{args: audit("--tag", "a\nb"), want: `--tag does not take`},
		{args: audit("--tag", "\x1b[31m"), want: `--tag does not take`},
		{args: audit("--vantage", strings.Repeat("v", 65)), want: `--vantage does not take`},
		{args: audit("--quiet=x"), want: `--quiet does not take "x"\n`},
		{args: audit("--verbose=x"), want: `--verbose does not take "x"\n`},
		{args: audit("--color", "sometimes"), want: `--color does not take "sometimes"\n`},
		{args: audit("--color", "alwys"), want: `did you mean: --color always$`},
		{args: []string{"runs", "--limit", "many"}, want: `--limit does not take "many"\n`},
		{args: []string{"runs", "-n", "-1"}, want: `--limit does not take "-1"\n`},
		{args: []string{"runs", "-n", "99999999999999999999"}, want: `--limit does not take`},
		{args: []string{"runs", "-f", "yaml"}, want: `--format does not take "yaml"`},
		{args: []string{"show", "1", "-f", "yaml"}, want: `--format does not take "yaml"`},
		{args: []string{"diff", "-f", "yaml"}, want: `--format does not take "yaml"`},
		{args: []string{"diff", "--color", "red"}, want: `--color does not take "red"`},
		{args: []string{"rules", "-f", "yaml"}, want: `--format does not take "yaml"`},
		{args: []string{"explain", "mx.implicit", "--color", "red"}, want: `--color does not take "red"`},

		// The same from the environment names the variable.
		{args: audit(), env: map[string]string{"MAILAUDIT_FAIL_ON": "hihg"}, want: `MAILAUDIT_FAIL_ON does not take "hihg"\n.*did you mean: MAILAUDIT_FAIL_ON=high$`},
		{args: audit(), env: map[string]string{"MAILAUDIT_PASSIVE": "yes"}, want: `MAILAUDIT_PASSIVE does not take "yes"\n`},
		{args: audit(), env: map[string]string{"MAILAUDIT_TIMEOUT": "soon"}, want: `MAILAUDIT_TIMEOUT does not take "soon"\n`},
		{args: audit(), env: map[string]string{"MAILAUDIT_TIMEOUT": "-1s"}, want: `MAILAUDIT_TIMEOUT does not take "-1s"\n.*MAILAUDIT_TIMEOUT=2m$`},
		{args: audit(), env: map[string]string{"MAILAUDIT_RESOLVER": "192.0.2.53,nonsense"}, want: `nonsense is not an IP address \(from MAILAUDIT_RESOLVER\)\n`},
		{args: []string{"report", "1", "2"}, want: `takes at most one argument: 2 is too much`},
		{args: []string{"report", "-f", "pdf"}, want: `--format does not take "pdf"`},
		{args: audit("--client", "a\x1bb"), want: `--client does not take`},
		{args: []string{"rejudge"}, want: `rejudge takes one run or one domain`},
		{args: []string{"rejudge", "1", "-f", "yaml"}, want: `--format does not take "yaml"`},
		{args: []string{"smtp"}, want: `smtp takes one server\n.*mailaudit smtp mail.example.org:587$`},
		{args: []string{"smtp", "a.example", "b.example"}, want: `smtp takes one server`},
		{args: []string{"smtp", "mail.example.org:smtp"}, want: `mail.example.org:smtp has no port that can be\n.*25, 587 and 465`},
		{args: []string{"smtp", "mail.example.org:0"}, want: `has no port that can be`},
		{args: []string{"smtp", "mail.example.org:70000"}, want: `has no port that can be`},
		{args: []string{"smtp", "[2001:db8::1]25"}, want: `has no port that can be`},
		{args: []string{"smtp", "user@example.org"}, want: `user@example.org is a mail address, not a server\n.*mailaudit audit example.org`},
		{args: []string{"smtp", "https://example.org"}, want: `is a URL, not a domain`},
		{args: []string{"smtp", "mail.example.org", "--mode", "ssl"}, want: `--mode does not take "ssl"`},
		{args: []string{"smtp", "--mx", "example.org:25"}, want: `example\.org:25 is not a domain|\n`},
		{args: []string{"smtp", "--mx", "192.0.2.25"}, want: `192\.0\.2\.25 is an IP address`},
		{args: []string{"smtp", "--mx", "example.org", "--mode", "tls"}, want: `--mode tls and --mx do not go together`},
		{args: []string{"smtp", "--mx", "example.org", "--mode", "x"}, want: `--mode does not take "x"`},
		{args: []string{"smtp", "--mx=x", "example.org"}, want: `--mx does not take "x"`},
		{args: []string{"smtp", "--mx"}, want: `smtp takes one server`},
		{args: []string{"smtp", "mail.example.org", "--mode", "startls"}, want: `did you mean: --mode starttls$`},
		{args: spf("--expect", "passed"), want: `--expect does not take "passed"\n.*did you mean: --expect pass$`},
		{args: spf("--expect", "yes"), want: `--expect does not take "yes"\n.*one of: pass, fail, softfail, neutral, none, temperror, permerror$`},
		{args: spf("--expect="), want: `--expect does not take ""`},
		{args: spf("--ip", "192.0.2.0/24"), want: `--ip does not take "192\.0\.2\.0/24"\n`},
		{args: spf("--ip", "mx.example.org"), want: `--ip does not take "mx\.example\.org"\n`},
		{args: spf("--ip="), want: `--ip does not take ""\n`},
		{args: spf("--ip", "fe80::1%eth0"), want: `--ip does not take`},
		{args: spf("--mail-from", "user@example.net"), want: `--mail-from names another domain than example\.org: example\.net\n.*leave DOMAIN out$`},
		{args: spf("--mail-from", "user@"), want: `--mail-from does not take "user@"\n.*--mail-from user@example\.org$`},
		{args: spf("--mail-from", "two words@example.org"), want: `--mail-from does not take "two words@example\.org"\n`},
		{args: spf("--mail-from", "a\r\nRCPT TO:<b@example.org>"), want: `--mail-from does not take`},
		{args: spf("--mail-from", strings.Repeat("u", 255)), want: `--mail-from does not take`},
		{args: spf("--mail-from", "", "--helo", "mx.example.net"), want: `--helo names another domain than example\.org: mx\.example\.net\n`},
		{args: spf("--helo", "\x1b[31m"), want: `--helo does not take`},
		{args: spf("example.net"), want: `at most one argument: example\.net is too much`},
		{args: spf("-f", "html"), want: `--format does not take "html"\n.*one of: text, json$`},
		{args: spf("--color", "red"), want: `--color does not take "red"`},
		{args: spf("--resolver", "dns.example"), want: `dns\.example is not an IP address`},
		{args: spf("--source", "localhost"), want: `--source does not take "localhost"\n`},
		{args: []string{"spf"}, want: `nothing names the domain whose policy is wanted\n.*mailaudit spf example\.org$`},
		{args: []string{"spf", "example.org", "--expect", "pass"}, want: `--expect is about addresses, and there is none\n.*--ip 192\.0\.2\.25 --expect pass$`},
		{args: []string{"spf", "example.org"}, env: map[string]string{"MAILAUDIT_EXPECT": "pass"}, want: `MAILAUDIT_EXPECT is about addresses`},
		{args: []string{"spf", "--helo", "[192.0.2.1]"}, want: `is an IP address, not a domain`},
		{args: []string{"spf", "--ip", "192.0.2.1"}, want: `nothing names the domain whose policy is wanted\n.*mailaudit spf example\.org`},
		{args: []string{"spf", "--ip", "192.0.2.1", "--mail-from", ""}, want: `nothing names the domain`},
		{args: []string{"spf", "--ip", "192.0.2.1", ""}, want: `the domain is empty`},
		{args: []string{"spf", "--ip", "192.0.2.1", "user@example.org"}, want: `user@example\.org is a mail address, not a domain\n.*--mail-from user@example\.org$`},
		{args: []string{"spf", "--ip", "192.0.2.1", "https://example.org"}, want: `is a URL, not a domain`},
		{args: []string{"spf", "--ip", "192.0.2.1", "192.0.2.25"}, want: `is an IP address, not a domain`},
		{args: []string{"spf", "--ip", "192.0.2.1", "_spf.bücher.example"}, want: `has an underscore`},
		{args: spf(), env: map[string]string{"MAILAUDIT_EXPECT": "yes"}, want: `MAILAUDIT_EXPECT does not take "yes"`},
		{args: []string{"spf", "example.org"}, env: map[string]string{"MAILAUDIT_IP": "x"}, want: `MAILAUDIT_IP does not take "x"`},
		{args: audit("--selector", "a b"), want: `--selector does not take "a b"\n`},
		{args: audit("--selector", "."), want: `--selector does not take "."\n`},
		{args: audit(), env: map[string]string{"MAILAUDIT_SENDING_IP": "x"}, want: `MAILAUDIT_SENDING_IP does not take "x"`},
		{args: audit(), env: map[string]string{"MAILAUDIT_ALLOW_NET": "x"}, want: `MAILAUDIT_ALLOW_NET does not take "x"`},
		{args: audit(), env: map[string]string{"MAILAUDIT_SOURCE": "x"}, want: `MAILAUDIT_SOURCE does not take "x"`},
		{args: audit(), env: map[string]string{"MAILAUDIT_HELO": "a b"}, want: `MAILAUDIT_HELO does not take "a b"`},
		{args: audit(), env: map[string]string{"MAILAUDIT_TAG": "a\tb"}, want: `MAILAUDIT_TAG does not take`},
		{args: audit(), env: map[string]string{"MAILAUDIT_ONLY": "mx,tsl"}, want: `MAILAUDIT_ONLY does not take "tsl"\n.*MAILAUDIT_ONLY=tls$`},
		{args: audit("--only", "mx"), env: map[string]string{"MAILAUDIT_SKIP": "mx"}, want: `--only, MAILAUDIT_SKIP and --passive together`},
		{args: audit(), env: map[string]string{"MAILAUDIT_FORMAT": "pdf"}, want: `MAILAUDIT_FORMAT does not take "pdf"`},
		{args: audit("--dry-run"), env: map[string]string{"MAILAUDIT_FORMAT": "json"}, want: `MAILAUDIT_FORMAT`},
		{args: audit(), env: map[string]string{"MAILAUDIT_OUTPUT": "pdf=x"}, want: `MAILAUDIT_OUTPUT does not take "pdf"`},
		{args: audit(), env: map[string]string{"MAILAUDIT_COLOR": "red"}, want: `MAILAUDIT_COLOR does not take "red"`},
		{args: audit(), env: map[string]string{"MAILAUDIT_ON_UNKNOWN": "x"}, want: `MAILAUDIT_ON_UNKNOWN does not take "x"`},
		{args: audit("--no-save"), env: map[string]string{"MAILAUDIT_FAIL_ON_NEW": "1"}, want: `MAILAUDIT_FAIL_ON_NEW`},
		{args: []string{"runs"}, env: map[string]string{"MAILAUDIT_LIMIT": "-1"}, want: `MAILAUDIT_LIMIT does not take "-1"`},
		// There is no home, and nothing says where the history is.
		{args: audit(), env: map[string]string{"MAILAUDIT_DB": ""}, want: `no home directory.*\n.*--db FILE`},
		{args: []string{"runs"}, env: map[string]string{"MAILAUDIT_DB": ""}, want: `no home directory`},
		{args: []string{"db", "path"}, env: map[string]string{"MAILAUDIT_DB": "", "XDG_DATA_HOME": "relative"}, want: `no home directory`},
	}
}

// Ensure a wrong command line is exit code 2, one line and a hint, and that
// nothing else happens: no question, no connection, no file.
func TestMisuse(t *testing.T) {
	for _, c := range misuses() {
		name := strings.Join(c.args, " ")
		t.Run(name[:min(len(name), 60)], func(t *testing.T) {
			inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
				dir := t.TempDir()
				got := attempt{args: c.args, env: c.env, db: filepath.Join(dir, "sub", "history.db")}.in(w)
				if got.code != exitUsage || got.out != "" {
					t.Errorf("exit %d, stdout %q", got.code, got.out)
				}
				checkError(t, got.err)
				checkSilence(t, got.net)
				if !regexp.MustCompile(c.want).MatchString(strings.TrimSuffix(got.err, "\n")) {
					t.Errorf("stderr does not match %s:\n%s", c.want, got.err)
				}
				left, err := os.ReadDir(dir)
				if err != nil || len(left) > 0 {
					t.Errorf("left behind: %v %v", left, err)
				}
				checkAdvice(t, got.err)
			})
		})
	}
}

// checkAdvice proves that a command that a hint proposes exists.
func checkAdvice(t *testing.T, stderr string) {
	t.Helper()
	for _, lead := range []string{"did you mean: mailaudit ", "for example: mailaudit ", "see: mailaudit "} {
		_, advice, ok := strings.Cut(stderr, lead)
		if !ok {
			continue
		}
		words := append([]string{"mailaudit"}, strings.Fields(advice)...)
		_, err := normalize((&program{}).app(), words, func(string) string { return "" })
		if err != nil {
			t.Errorf("the hint does not work: %v\n%s", err, stderr)
		}
	}
}

// Ensure the table of misuses has a bad value of every flag of every command
// that can have one.
func TestMisuseIsComplete(t *testing.T) {
	free := []string{"db"} // any value is a path; bad ones are in badhistory_test.go
	tried := map[string]bool{}
	for _, c := range misuses() {
		l, _ := normalize((&program{}).app(), append([]string{"mailaudit"}, c.args...), func(string) string { return "" })
		for _, word := range append(slices.Clone(l.argv), c.args...) {
			name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
			if strings.HasPrefix(word, "-") {
				tried[name] = true
			}
		}
	}
	var check func(commands []*cli.Command)
	check = func(commands []*cli.Command) {
		for _, c := range commands {
			for _, f := range c.Flags {
				if !slices.ContainsFunc(f.Names(), func(n string) bool { return tried[n] }) && !slices.Contains(free, f.Names()[0]) {
					t.Errorf("no bad value of %s --%s", c.Name, f.Names()[0])
				}
			}
			check(c.Subcommands)
		}
	}
	check((&program{}).app().Commands)
}

// Ensure what people type for a domain is understood.
func TestDomainsAsTyped(t *testing.T) {
	const idn = `# A domain with a name that is not ASCII.
at 2026-11-23T12:00:00Z
-- zone --
xn--bcher-kva.example.   MX 10 mx.xn--bcher-kva.example.
mx.xn--bcher-kva.example. A 192.0.2.25
25.2.0.192.in-addr.arpa. PTR mx.xn--bcher-kva.example.
-- server 192.0.2.25:25 mx.xn--bcher-kva.example --
`
	for _, c := range []struct {
		typed, world, target, out, err string
	}{
		{typed: "example.org", world: plainWorld, target: "example.org"},
		{typed: "example.org.", world: plainWorld, target: "example.org"},
		{typed: "EXAMPLE.Org", world: plainWorld, target: "example.org"},
		{typed: " example.org ", world: plainWorld, target: "example.org"},
		{typed: "user@example.org", world: plainWorld, target: "example.org", err: "mailaudit: user@example.org is a mail address: auditing its domain, example.org\n"},
		{typed: "Some.User+tag@EXAMPLE.ORG", world: plainWorld, target: "example.org", err: "mailaudit: Some.User+tag@EXAMPLE.ORG is a mail address: auditing its domain, EXAMPLE.ORG\n"},
		{typed: "bücher.example", world: idn, target: "xn--bcher-kva.example", out: "bücher.example"},
		{typed: "BÜCHER.example.", world: idn, target: "xn--bcher-kva.example", out: "bücher.example"},
		{typed: "xn--bcher-kva.example", world: idn, target: "xn--bcher-kva.example", out: "bücher.example"},
		{typed: "bücher。example", world: idn, target: "xn--bcher-kva.example", out: "bücher.example"},
	} {
		t.Run(c.typed, func(t *testing.T) {
			inWorld(t, c.world, func(t *testing.T, w *lab.World) {
				db := filepath.Join(t.TempDir(), "history.db")
				got := attempt{args: []string{"audit", c.typed}, db: db}.in(w)
				if got.code != exitOK || got.err != c.err || !strings.HasPrefix(got.out, c.target+" ") || !strings.Contains(got.out, c.out) {
					t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
				}
				if run := newest(t, db); run.Target != c.target {
					t.Errorf("stored as %s", run.Target)
				}
			})
		})
	}
}

// Ensure a domain that does not exist is a finding and no error.
func TestDomainThatDoesNotExist(t *testing.T) {
	inWorld(t, plainWorld+"-- smtp 192.0.2.26:25 --\n!refuse\n", func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		got := attempt{args: []string{"audit", "nothere.example.org"}, db: db}.in(w)
		if got.code != exitFindings || got.err != "" || len(got.net.Connections()) > 0 {
			t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
		}
		for _, f := range newest(t, db).Findings {
			if (f.Status == audit.Fail) != (f.Rule == "mx.domain-nxdomain") || f.Status == audit.UnknownStatus {
				t.Errorf("%s %s is %s", f.Rule, f.Subject, f.Status)
			}
		}
	})
}

// Ensure that where the resolver does not work nothing is claimed of anybody,
// the exit code says so, and the sentence names the server.
func TestResolverDown(t *testing.T) {
	for _, c := range []struct{ name, zone, resolvers string }{
		{"silent", "* !timeout", "192.0.2.53"},
		{"SERVFAIL", "* !servfail", "192.0.2.53"},
		{"REFUSED", "* !refused", "192.0.2.53"},
		{"no DNS", "* !garbage", "192.0.2.53"},
		{"referrals", "* !lame", "192.0.2.53"},
		{"two, each down in its way", "* !timeout@192.0.2.53 !servfail@192.0.2.54", "192.0.2.53 192.0.2.54"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "# The resolver is down.\nat 2026-11-23T12:00:00Z resolvers " + c.resolvers + "\n-- zone --\nexample.org. MX 10 mx.example.org.\n" + c.zone + "\n"
			inWorld(t, text, func(t *testing.T, w *lab.World) {
				db := filepath.Join(t.TempDir(), "history.db")
				got := attempt{args: []string{"audit", "example.org", "--sending-ip", "192.0.2.99"}, db: db}.in(w)
				if got.code != exitUnknown || got.err != "" || len(got.net.Connections()) > 0 {
					t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
				}
				for server := range strings.FieldsSeq(c.resolvers) {
					if !strings.Contains(got.out, server) {
						t.Errorf("the report does not name %s:\n%s", server, got.out)
					}
				}
				dark := map[audit.Area]int{}
				for _, f := range newest(t, db).Findings {
					if f.Status.Known() {
						t.Errorf("%s %s is %s", f.Rule, f.Subject, f.Status)
					}
					if f.Status == audit.UnknownStatus {
						dark[f.Rule.Area()]++
					}
				}
				if dark[audit.AreaMX] == 0 || dark[audit.AreaRDNS] == 0 {
					t.Errorf("unknown by area: %v", dark)
				}
			})
		})
	}
}

// Ensure nothing is left in a directory but what is named.
func checkFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s has %v, want %v", dir, got, want)
	}
}
