package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/lab"
)

// scripts writes the completion scripts as the program prints them.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	dir := t.TempDir()
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		for _, shell := range []string{"bash", "zsh", "fish"} {
			history := filepath.Join(dir, "sub", "history.db")
			got := attempt{args: []string{"completion", shell}, db: history}.in(w)
			if got.code != exitOK || got.err != "" {
				t.Fatalf("%s: exit %d\n%s", shell, got.code, got.err)
			}
			checkSilence(t, got.net)
			checkFiles(t, filepath.Dir(history))
			out[shell] = filepath.Join(dir, shell)
			mustWrite(t, out[shell], []byte(got.out))
		}
	})
	return out
}

// lookShell finds a shell, or skips.
func lookShell(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s here", name)
	}
	return path
}

// Ensure the shells take the scripts for scripts.
func TestCompletionSyntax(t *testing.T) {
	files := scripts(t)
	for shell, flag := range map[string]string{"bash": "-n", "zsh": "-n", "fish": "--no-execute"} {
		t.Run(shell, func(t *testing.T) {
			out, err := exec.Command(lookShell(t, shell), flag, files[shell]).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// Ensure each command and each flag is in each script.
func TestCompletionIsComplete(t *testing.T) {
	files := scripts(t)
	for shell, file := range files {
		text := string(mustRead(t, file))
		eachCommand((&program{}).app(), func(path string, c *cli.Command) {
			if !strings.Contains(text, c.Name) {
				t.Errorf("%s: no %s", shell, path)
			}
			for _, f := range c.Flags {
				word := "--" + f.Names()[0]
				if shell == "fish" {
					word = " -l " + f.Names()[0]
				}
				if !strings.Contains(text, word) {
					t.Errorf("%s: no %s of %s", shell, word, path)
				}
			}
		})
	}
}

// completion is a command line, of which the last word is being typed, and
// what a shell proposes for this word.
type completion struct {
	typed []string
	want  []string // all of it, in any order; "...": and more
}

func completions() []completion {
	c := func(typed string, want ...string) completion {
		return completion{strings.Split(typed, " "), want} // a blank at the end: an empty word
	}
	return []completion{
		c("", "audit", "smtp", "spf", "runs", "show", "diff", "report", "rejudge", "note", "explain", "rules", "db", "demo", "completion", "version", "help"),
		c("a", "audit"),
		c("re", "report", "rejudge"),
		c("frob"),
		c("--v", "--version"),
		c("help e", "explain", "environment", "exit-codes"),
		c("help db p", "path", "prune"),
		c("db ", "path", "check", "backup", "prune", "migrate", "help"),
		c("db pr", "prune"),
		c("db prune --", "--help", "--keep-last", "--before", "--older-than", "--target", "--dry-run", "--db"),
		c("db prune --keep-last "),
		c("audit --fail", "--fail-on", "--fail-on-new"),
		c("audit --fail-on ", "critical", "high", "medium", "low", "never"),
		c("audit --fail-on h", "high"),
		c("audit --fail-on=c", "--fail-on=critical"),
		c("audit --fail-on=", "--fail-on=critical", "--fail-on=high", "--fail-on=medium", "--fail-on=low", "--fail-on=never"),
		c("audit example.org --format ", "text", "json", "jsonl", "md", "html"),
		c("audit -f j", "json", "jsonl"),
		c("diff -f ", "text", "json"),
		c("smtp [2001:db8::25]:25 --mode s", "starttls"),
		c("smtp mail.example.org:587 --resolver tls://192.0.2.53#dns.example.net --mode=t", "--mode=tls"),
		c("smtp mail.example.org:587 --only "),
		c("spf example.org --expect n", "neutral", "none"),
		c("audit --only s", "spf", "smtp"),
		c("audit --only mx,s", "mx,spf", "mx,smtp"),
		c("audit --only mx,spf,s", "mx,spf,smtp"),
		c("audit --skip=mx,t", "--skip=mx,tls"),
		c("audit -v -f json --color a", "auto", "always"),
		c("audit --tag "),
		c("audit --tag db "),
		c("explain mx.null", "mx.null-mx-mixed", "mx.null-mx-preference"),
		c("rules tls s", "spf", "smtp"),
		c("completion ", "bash", "zsh", "fish"),
		c("show 4"),
		c("show 42 --db old", "old.db"),
		c("show 42 --db=old", "--db=old.db"),
		c("show 42 -o rep", "report.html", "reports/"),
		c("show 42 -o json=old", "json=old.db"),
		c("show 42 -o js", "json=", "jsonl="),
		c("show 42 --output=md=old", "--output=md=old.db"),
		c("db backup ol", "old.db"),
		c("note 42 "),
		c("version "),
	}
}

// completionDir is a directory with some files.
func completionDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"old.db", "report.html"} {
		mustWrite(t, filepath.Join(dir, name), nil)
	}
	err := os.Mkdir(filepath.Join(dir, "reports"), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// check compares what a shell proposes.
func (c completion) check(t *testing.T, got []string) {
	t.Helper()
	for i, word := range got {
		got[i] = strings.TrimSuffix(word, "/") // whether a directory is marked is the shell's affair
	}
	want := slices.Clone(c.want)
	for i, word := range want {
		want[i] = strings.TrimSuffix(word, "/")
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("mailaudit %s: %q, want %q", strings.Join(c.typed, " "), got, want)
	}
}

// readlineBreaks are those characters of COMP_WORDBREAKS, as bash sets it, that
// occur in our words.
const readlineBreaks = "=:"

// readlineWords breaks words as readline does for bash: what breaks them is a
// word, too.
func readlineWords(typed []string) []string {
	out := []string{"mailaudit"}
	for _, word := range typed {
		start := 0
		for i := 1; i <= len(word); i++ {
			if i == len(word) || strings.IndexByte(readlineBreaks, word[i-1]) >= 0 != (strings.IndexByte(readlineBreaks, word[i]) >= 0) {
				out = append(out, word[start:i])
				start = i
			}
		}
		if word == "" {
			out = append(out, "")
		}
	}
	return out
}

func TestReadlineWords(t *testing.T) {
	for _, c := range []struct{ typed, want string }{
		{"audit --format=js", "mailaudit|audit|--format|=|js"}, {"audit --format=", "mailaudit|audit|--format|="}, {"smtp [2001:db8::25]:25 ", "mailaudit|smtp|[2001|:|db8|::|25]|:|25|"},
	} {
		if got := strings.Join(readlineWords(strings.Split(c.typed, " ")), "|"); got != c.want {
			t.Errorf("%s: %s, want %s", c.typed, got, c.want)
		}
	}
}

// Ensure bash proposes what there is, whether it breaks words at = or not, and
// without running any program.
func TestCompletionInBash(t *testing.T) {
	bash := lookShell(t, "bash")
	script, dir := scripts(t)["bash"], completionDir(t)
	for _, breaking := range []bool{true, false} {
		for _, c := range completions() {
			words := append([]string{"mailaudit"}, c.typed...)
			before := ""
			if breaking {
				words = readlineWords(c.typed)
				last := c.typed[len(c.typed)-1]
				before = last[:strings.LastIndexAny(last, readlineBreaks)+1]
			}
			cmd := exec.Command(bash, append([]string{"--norc", "--noprofile", "-c",
				`source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); PATH=/nowhere; _mailaudit; printf '%s\n' "${COMPREPLY[@]}"`, script}, words...)...)
			cmd.Dir = dir
			var errs strings.Builder
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if err != nil || errs.Len() > 0 {
				t.Fatalf("%q: %v\n%s", words, err, errs.String())
			}
			var got []string
			for line := range strings.Lines(string(out)) {
				if line != "\n" {
					got = append(got, before+strings.TrimSuffix(line, "\n"))
				}
			}
			c.check(t, got)
		}
	}
}

// Ensure fish does, where there is one.
func TestCompletionInFish(t *testing.T) {
	fish := lookShell(t, "fish")
	script, dir := scripts(t)["fish"], completionDir(t)
	for _, c := range completions() {
		line := "mailaudit " + strings.Join(c.typed, " ")
		cmd := exec.Command(fish, "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, script, line)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var got []string
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			got = append(got, word)
		}
		c.check(t, got)
	}
}

// Ensure the words that are proposed for a flag are those that its command
// names when it gets another one.
func TestChoices(t *testing.T) {
	t.Chdir(t.TempDir())
	inWorld(t, examplesWorld, func(t *testing.T, w *lab.World) {
		mustAudit(t, w, "history.db", "example.org", "--only", "mx")
		known := 0
		eachCommand((&program{}).app(), func(path string, c *cli.Command) {
			line, _, _ := strings.Cut(c.Description, "\n")
			e, ok := parseExample(path, line)
			if !ok {
				t.Fatalf("%s begins with no example", path)
			}
			for _, f := range c.Flags {
				if !takesValue(f) || f.Names()[0] == "output" || f.Names()[0] == "submission" || f.Names()[0] == "sending-helo" { // any file, any host
					continue
				}
				name := f.Names()[0]
				got := attempt{args: append(slices.Clone(e.words[1:]), "--"+name+"=qqqqqqqq"), db: "history.db"}.in(w)
				_, hint, _ := strings.Cut(got.err, "  one of: ")
				var want []string
				if hint != "" {
					want, known = strings.Split(strings.TrimSpace(hint), ", "), known+1
				}
				if words := choices(c, name); !slices.Equal(words, want) {
					t.Errorf("%s --%s: %q, and its command says %q", path, name, words, want)
				}
			}
		})
		if known < 20 {
			t.Errorf("only %d flags take words", known)
		}
	})
}
