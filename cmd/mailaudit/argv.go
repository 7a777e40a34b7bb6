package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
)

// cli/v2 stops reading flags at the first argument, answers an unknown
// command with exit code 3 and knows environment variables only of the real
// process. normalize does all three before cli sees the arguments: it finds
// the command, moves its flags before its arguments (honouring "--"), adds
// what MAILAUDIT_<FLAG> variables say where the flag is not given, and refuses
// words that nobody knows with the word that was probably meant.
func normalize(app *cli.App, args []string, env func(string) string) ([]string, error) {
	out := []string{args[0]}
	commands, known := app.Commands, app.Flags
	path := ""
	rest := args[1:]
	for len(rest) > 0 {
		word := rest[0]
		if strings.HasPrefix(word, "-") && word != "-" {
			break
		}
		if len(commands) == 0 {
			break
		}
		if word == "help" || word == "h" {
			return append(append(out, "help"), rest[1:]...), nil
		}
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) })
		if i < 0 {
			return nil, unknownCommand(path, word, commands)
		}
		out, rest, path = append(out, word), rest[1:], path+word+" "
		known, commands = commands[i].Flags, commands[i].Subcommands
	}
	flags, operands, err := split(rest, known, path)
	if err != nil {
		return nil, err
	}
	if len(commands) > 0 && len(operands) > 0 {
		return nil, unknownCommand(path, operands[0], commands)
	}
	out = append(out, fromEnvironment(known, flags, env)...)
	out = append(out, flags...)
	if len(operands) > 0 {
		out = append(append(out, "--"), operands...)
	}
	return out, nil
}

// split tells flags (with their values) from operands.
func split(words []string, known []cli.Flag, path string) (flags, operands []string, err error) {
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch {
		case word == "--":
			return flags, append(operands, words...), nil
		case word == "-" || !strings.HasPrefix(word, "-"):
			operands = append(operands, word)
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		f := findFlag(known, name)
		if f == nil && name != "help" && name != "h" {
			return nil, nil, unknownFlag(path, name, known)
		}
		flags = append(flags, word)
		if f == nil || hasValue || !takesValue(f) {
			continue
		}
		if len(words) == 0 {
			return nil, nil, &audit.InputError{Problem: fmt.Sprintf("--%s needs a value", f.Names()[0]), Hint: "see: mailaudit " + path + "--help"}
		}
		flags, words = append(flags, words[0]), words[1:]
	}
	return flags, operands, nil
}

func findFlag(known []cli.Flag, name string) cli.Flag {
	for _, f := range known {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return !ok || d.TakesValue()
}

// fromEnvironment gives the flags that the environment sets and the command
// line does not: MAILAUDIT_FAIL_ON for --fail-on. Several values of a
// repeatable flag are separated by commas or blanks.
func fromEnvironment(known []cli.Flag, given []string, env func(string) string) []string {
	var out []string
	for _, f := range known {
		name := f.Names()[0]
		value := env(envName(name))
		if value == "" || isGiven(f, given) {
			continue
		}
		values := []string{value}
		if d, ok := f.(cli.DocGenerationSliceFlag); ok && d.IsSliceFlag() {
			values = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		}
		for _, v := range values {
			out = append(out, "--"+name+"="+v)
		}
	}
	return out
}

func envName(flag string) string {
	return "MAILAUDIT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func isGiven(f cli.Flag, given []string) bool {
	for _, g := range given {
		name, _, _ := strings.Cut(strings.TrimLeft(g, "-"), "=")
		if strings.HasPrefix(g, "-") && slices.Contains(f.Names(), name) {
			return true
		}
	}
	return false
}

func unknownCommand(path, word string, commands []*cli.Command) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	e := &audit.InputError{Problem: fmt.Sprintf("there is no command %q", "mailaudit "+path+word)}
	switch near := nearest(word, names); {
	case near != "":
		e.Hint = "did you mean: mailaudit " + path + near
	case path == "" && strings.Contains(word, "."):
		e.Hint = "did you mean: mailaudit audit " + audit.ShellQuote(word)
	default:
		e.Hint = "commands: " + strings.Join(names, ", ")
	}
	return e
}

func unknownFlag(path, name string, known []cli.Flag) error {
	var names []string
	for _, f := range known {
		names = append(names, f.Names()[0])
	}
	e := &audit.InputError{Problem: fmt.Sprintf("there is no flag --%s", name), Hint: "see: mailaudit " + path + "--help"}
	near := nearest(name, names)
	if near != "" {
		e.Hint = "did you mean: --" + near
	}
	return e
}

// nearest is the word that was probably meant, or "": at most a third of its
// letters may differ, or two where it begins rightly.
func nearest(word string, words []string) string {
	best, distance := "", 0
	for _, w := range words {
		allowed := max(1, len(word)/3)
		if word != "" && w != "" && word[0] == w[0] {
			allowed = max(2, allowed)
		}
		if best == "" {
			distance = allowed + 1
		}
		if d := levenshtein(strings.ToLower(word), w); d < distance {
			best, distance = w, d
		}
	}
	return best
}

// levenshtein is the number of letters to insert, delete or replace.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// flagProblem shortens what the flag package says.
func flagProblem(err error) string {
	bad := regexp.MustCompile(`^invalid value "(.*)" for flag -([a-z-]+): (?:parse error|.*)$`)
	m := bad.FindStringSubmatch(err.Error())
	if m == nil {
		bool := regexp.MustCompile(`^invalid boolean value "(.*)" for -([a-z-]+):.*$`)
		m = bool.FindStringSubmatch(err.Error())
	}
	if m == nil {
		return err.Error()
	}
	return fmt.Sprintf("--%s does not take %q", m[2], audit.Raw(m[1]).String())
}

// commandPath is the command of a context, with a blank behind.
func commandPath(c *cli.Context) string {
	if c == nil || c.Command == nil || c.Command.Name == "" || c.Command.Name == "mailaudit" {
		return ""
	}
	return strings.TrimPrefix(c.Command.HelpName, "mailaudit ") + " "
}
