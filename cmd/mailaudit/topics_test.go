package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/lab"
)

// topicText is the help of a topic.
func topicText(name string) string { return topicHelp((&program{}).app(), name) }

// Ensure every way to ask for a topic prints it, with examples near its
// beginning and no line longer than a terminal is wide, and that the help of
// mailaudit and of all commands leads to it.
func TestTopics(t *testing.T) {
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		main := attempt{}.in(w).out
		for _, topic := range topics() {
			first := attempt{args: []string{"help", topic.name}}.in(w)
			for _, args := range [][]string{{"help", topic.name}, {"--help", topic.name}, {"help", topic.name, "--help"}, {"help", topic.name, "help"}} {
				got := attempt{args: args}.in(w)
				if got.code != exitOK || got.err != "" || got.out != first.out {
					t.Errorf("%v: exit %d\n%s%s", args, got.code, got.out, got.err)
				}
				checkSilence(t, got.net)
			}
			lines := strings.Split(strings.TrimSuffix(first.out, "\n"), "\n")
			if at := slices.Index(lines, "Examples:"); at != 2 || !strings.HasPrefix(lines[3], "  mailaudit ") || !strings.HasPrefix(lines[0], "mailaudit help "+topic.name+": ") {
				t.Errorf("%s begins with\n%s", topic.name, strings.Join(lines[:4], "\n"))
			}
			for _, l := range lines {
				if len([]rune(l)) > 80 || strings.TrimRight(l, " ") != l || strings.IndexFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
					t.Errorf("%s: %q", topic.name, l)
				}
			}
			if strings.Contains(first.out, "\n\n\n") {
				t.Errorf("%s has two blank lines", topic.name)
			}
			if !strings.Contains(main, "\n  "+topic.name+" ") {
				t.Errorf("mailaudit --help does not name %s", topic.name)
			}
			eachCommand((&program{}).app(), func(path string, c *cli.Command) {
				if !strings.Contains(helpText(path+" ", c), topic.name) {
					t.Errorf("the help of %s does not name %s", path, topic.name)
				}
			})
		}
	})
}

// Ensure the exit codes that are listed are those of the program, in the help
// of mailaudit, too, and that those win of which it is said.
func TestExitCodes(t *testing.T) {
	var codes []int
	for _, m := range regexp.MustCompile(`(?m)^\texit[A-Z]\w+ += (\d+)`).FindAllStringSubmatch(string(mustRead(t, "program.go")), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, n)
	}
	var listed []int
	for _, r := range exitTable() {
		listed = append(listed, r.codes...)
		line := "\n  " + numbers(r.codes) + "  " + r.when + "\n"
		if !strings.Contains(topicText("exit-codes"), line) || !strings.Contains(helpFoot(), line) {
			t.Errorf("no %q", line)
		}
	}
	if len(codes) != 7 || !slices.Equal(listed, codes) {
		t.Errorf("the program has %v, the table %v", codes, listed)
	}
	order := exitPrecedence()
	if !strings.Contains(topicText("exit-codes"), " wins: "+numbers(order)+". ") {
		t.Errorf("the topic does not say %v", order)
	}
	slices.Sort(listed)
	if sorted := slices.Sorted(slices.Values(order)); !slices.Equal(sorted, listed) {
		t.Errorf("the order is of %v", sorted)
	}
	for i, a := range order {
		for _, b := range order[i:] {
			if worse(a, b) != a || worse(b, a) != a {
				t.Errorf("of %d and %d, %d wins", a, b, worse(a, b))
			}
		}
	}
}

// Ensure the environment that is told is the one that is read: a variable for
// each flag, and all that the source asks for besides.
func TestTopicOfEnvironment(t *testing.T) {
	text := topicText("environment")
	said := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^  ([A-Z0-9_]+) `).FindAllStringSubmatch(text, -1) {
		said[m[1]] = true
	}
	flags := 0
	eachCommand((&program{}).app(), func(path string, c *cli.Command) {
		for _, f := range c.Flags {
			flags++
			name := envName(f.Names()[0])
			if f.Names()[0] == flagTryMail {
				if said[name] {
					t.Errorf("%s is told", name)
				}
				continue
			}
			if !said[name] || !regexp.MustCompile(`(?m)^  `+name+` [^_]*\b`+path+`(,|\n)`).MatchString(text) {
				t.Errorf("nothing of %s for %s", name, path)
			}
			l, err := normalize((&program{}).app(), append([]string{"mailaudit"}, strings.Fields(path)...), func(v string) string {
				return map[string]string{name: "a value"}[v]
			})
			if err != nil || len(l.fromEnv) != 1 || !slices.Contains(l.argv, "--"+f.Names()[0]+"=a value") {
				t.Errorf("%s for %s: %v (%v)", name, path, l.argv, err)
			}
		}
	})
	if flags < 50 {
		t.Errorf("only %d flags", flags)
	}
	asked := map[string]bool{}
	for _, pattern := range []string{"*.go", "../../internal/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, m := range regexp.MustCompile(`(?i:env)\("([A-Z_]+)"\)`).FindAllStringSubmatch(string(mustRead(t, file)), -1) {
				asked[m[1]] = true
			}
		}
	}
	own := []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} // crypto/x509 asks for these
	for _, v := range variables() {
		if !said[v.name] || asked[v.name] == slices.Contains(own, v.name) {
			t.Errorf("%s: told %t, asked for %t", v.name, said[v.name], asked[v.name])
		}
		delete(asked, v.name)
	}
	if len(asked) > 0 {
		t.Errorf("asked for, and not told: %v", asked)
	}
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		for _, name := range []string{"MAILAUDIT_HELP", "MAILAUDIT_VERSION"} {
			got := attempt{args: []string{"rules", "mx"}, env: map[string]string{name: "true"}}.in(w)
			if got.code != exitOK || !strings.Contains(got.out, "mx.implicit") {
				t.Errorf("%s: exit %d\n%s%s", name, got.code, got.out, got.err)
			}
		}
	})
}

// Ensure the formats that are told are those that there are, each with the
// names of files that lead to it.
func TestFormats(t *testing.T) {
	text := topicText("formats")
	for _, f := range formatTable() {
		if !strings.Contains(text, "\n  "+f.name+" ") || len(f.extensions) == 0 || !slices.Contains(runFormats(), f.name) {
			t.Errorf("nothing of %s", f.name)
		}
		for _, e := range f.extensions {
			if !strings.Contains(text, e) || formatOf("a"+e, "other") != f.name || formatOf("A"+strings.ToUpper(e), "other") != f.name {
				t.Errorf("%s: a file *%s is %s", f.name, e, formatOf("a"+e, "other"))
			}
		}
	}
	if formatOf("report", "other") != "other" || formatOf("a.json.bak", "other") != "other" {
		t.Error("other names have a format")
	}
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		dir := t.TempDir()
		t.Chdir(dir)
		args := []string{"audit", "example.org", "--no-save"}
		for _, f := range formatTable() {
			args = append(args, "-o", "a"+f.extensions[0], "-o", f.name+"=a=b."+f.name)
		}
		attempt{args: args}.in(w)
		for _, f := range formatTable() {
			if one := mustRead(t, "a"+f.extensions[0]); len(one) == 0 || string(one) != string(mustRead(t, "a=b."+f.name)) {
				t.Errorf("%s: by the name of the file it is another format", f.name)
			}
		}
	})
}
