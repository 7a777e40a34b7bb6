package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// commandPaths lists all commands, as words; that of mailaudit itself is "".
func commandPaths() []string {
	out := []string{""}
	var walk func(path string, commands []*cli.Command)
	walk = func(path string, commands []*cli.Command) {
		for _, c := range commands {
			out = append(out, path+c.Name)
			walk(path+c.Name+" ", c.Subcommands)
		}
	}
	walk("", (&program{}).app().Commands)
	return out
}

// Ensure every way to ask for the help of every command prints it on standard
// output: usage first, then examples, no line longer than a terminal is wide.
func TestHelp(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		for _, path := range commandPaths() {
			words := strings.Fields(path)
			first := attempt{args: append(slices.Clone(words), "--help")}.in(w)
			for _, args := range [][]string{
				append(slices.Clone(words), "--help"), append(slices.Clone(words), "-h"), append(slices.Clone(words), "help"),
				append([]string{"help"}, words...), append([]string{"--help"}, words...), append(slices.Clone(words), "--help", "x.example"),
			} {
				if args[len(args)-1] == "x.example" && slices.Contains([]string{"", "db"}, path) {
					continue // that would be a command
				}
				got := attempt{args: args}.in(w)
				if got.code != exitOK || got.err != "" || got.out != first.out {
					t.Errorf("%v: exit %d, stderr %q, %d octets instead of %d", args, got.code, got.err, len(got.out), len(first.out))
				}
				checkSilence(t, got.net)
			}
			lines := strings.Split(strings.TrimSuffix(first.out, "\n"), "\n")
			if usage := strings.TrimSpace("usage: mailaudit " + path); !strings.HasPrefix(first.out, usage) {
				t.Errorf("%s: begins with %q", path, lines[0])
			}
			if at := slices.Index(lines, "Examples:"); at < 0 || at > 6 || !strings.HasPrefix(lines[at+1], strings.TrimSpace("  mailaudit "+path)) && !strings.HasPrefix(lines[at+1], "  mailaudit "+path) {
				t.Errorf("%s: no examples near the beginning:\n%s", path, first.out)
			}
			for _, l := range lines {
				unprintable := strings.IndexFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0
				if len([]rune(l)) > 80 || strings.TrimRight(l, " ") != l || unprintable {
					t.Errorf("%s: %d columns: %q", path, len([]rune(l)), l)
				}
			}
		}
	})
}

// Ensure the help of each command tells of each of its flags, and that a word
// in capitals stands for each value.
func TestHelpIsComplete(t *testing.T) {
	for _, path := range commandPaths()[1:] {
		l, err := normalize((&program{}).app(), append([]string{"mailaudit", "help"}, strings.Fields(path)...), func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		text := helpText(l.path, l.command)
		for _, f := range l.command.Flags {
			form := `(?m)^  (-[a-z0-9], )?--` + f.Names()[0]
			if takesValue(f) {
				form += ` [A-Z\[=\]]+`
			}
			if !regexp.MustCompile(form + `( |$)`).MatchString(text) {
				t.Errorf("%s: nothing like %s in\n%s", path, form, text)
			}
		}
	}
}

// example is a command line that somebody is told to type.
type example struct {
	where string
	words []string
}

// parseExample reads a line of help or documentation, which may have a prompt
// and a remark; ok is false for lines that do not call the program.
func parseExample(where, text string) (example, bool) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "$ ")
	text = strings.Replace(text, "go run ./cmd/mailaudit", "mailaudit", 1)
	if text != "mailaudit" && !strings.HasPrefix(text, "mailaudit ") {
		return example{}, false
	}
	for _, end := range []string{" #", " > "} { // a remark, or a file that a shell writes
		if i := strings.Index(text, end); i >= 0 {
			text = text[:i]
		}
	}
	return example{where, shellWords(text)}, true
}

// shellWords splits a line at blanks outside of quotes, and takes these away.
func shellWords(line string) []string {
	var out []string
	quote := rune(0)
	open := false
	for _, r := range line {
		switch {
		case quote == 0 && r == ' ':
			open = false
			continue
		case !open:
			out, open = append(out, ""), true
		}
		switch {
		case r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		default:
			out[len(out)-1] += string(r)
		}
	}
	return out
}

// allExamples gathers those of the help of all commands and of the code blocks
// of the documentation.
func allExamples(t *testing.T) []example {
	t.Helper()
	var out []example
	for _, path := range commandPaths() {
		l, err := normalize((&program{}).app(), append([]string{"mailaudit", "help"}, strings.Fields(path)...), func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(helpOf((&program{}).app(), l), "Examples:\n")
		text, _, _ = strings.Cut(text, "\n\n")
		before := len(out)
		if path == "" { // and those of the topics
			for _, topic := range topics() {
				text += "\n" + strings.Join(topic.examples, "\n")
			}
		}
		for line := range strings.Lines(text) {
			e, ok := parseExample("help of "+path, line)
			if !ok {
				t.Errorf("help of %s: %q calls something else", path, line)
				continue
			}
			out = append(out, e)
		}
		if len(out) == before {
			t.Errorf("help of %s has no examples", path)
		}
	}
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		inside := false
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "```") {
				inside = !inside
			}
			e, ok := parseExample(filepath.Base(file), line)
			if inside && ok {
				out = append(out, e)
			}
		}
	}
	return out
}

// examplesWorld has all that examples speak of.
const examplesWorld = `# The world of all examples.
at 2026-11-23T12:00:00Z  resolvers 192.0.2.53 9.9.9.9
-- zone --
example.org.             MX 10 mx.example.org.
mx.example.org.          A 192.0.2.25
example.net.             MX 10 mx.example.org.
25.2.0.192.in-addr.arpa. PTR mx.example.org.
mx1.example.org.         A 192.0.2.25
mail.example.org.        A 192.0.2.25
-- server 192.0.2.25:25 mx.example.org --
-- server 192.0.2.25:587 mail.example.org --
-- smtp 192.0.2.25:465 --
!refuse
-- server 192.0.2.25:2525 mail.example.org --
-- server [2001:db8::25]:25 mx.example.org --
-- proxy 127.0.0.1:1080 --
`

// Ensure every example that people are shown works: it has no flag that does
// not exist and names no domain that is none, and nothing goes wrong.
func TestExamples(t *testing.T) {
	all := allExamples(t)
	if len(all) < 30 {
		t.Errorf("only %d examples", len(all))
	}
	dir := t.TempDir()
	t.Chdir(dir)
	inWorld(t, examplesWorld, func(t *testing.T, w *lab.World) {
		const runs = 42 // "mailaudit show 42"
		for range runs {
			mustAudit(t, w, "history.db", "example.org", "--only", "mx")
		}
		mustWrite(t, "copy.db", mustRead(t, "history.db"))
		mustWrite(t, "domains.txt", []byte("example.org selector=s1 ip=192.0.2.25 # a remark\nexample.net\n"))
		for _, e := range all {
			args := slices.Clone(e.words[1:])
			if args[0] == "demo" { // which goes into new directories only
				mustClear(t, demoDir)
				mustClear(t, args[len(args)-1])
			}
			if args[0] == "smtp" { // so that the last run stays one that has something before it
				args = append(args, "--no-save")
			}
			if args[0] == "db" && args[1] == "backup" { // the same file in several places
				_ = os.Remove(args[2])
			}
			got := attempt{args: args, db: "history.db"}.in(w)
			if got.code == exitUsage || got.code == exitBroken || got.err != "" && !slices.Contains(e.words, "-v") {
				t.Errorf("%s: %v: exit %d\n%s", e.where, e.words, got.code, got.err)
			}
			for _, word := range e.words {
				if strings.HasPrefix(word, "example.") {
					_, _, err := audit.ParseDomain(word)
					if err != nil {
						t.Errorf("%s: %v", e.where, err)
					}
				}
			}
		}
	})
	t.Logf("%d examples", len(all))
}
