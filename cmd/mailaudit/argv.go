package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/store"
)

// cli/v2 stops reading flags at the first argument, answers an unknown
// command with exit code 3, drops errors of writing help, and knows
// environment variables only of the real process. So it gets to see command
// lines that are in order: normalize finds the command, moves its flags before
// its arguments (honouring "--") and gives them their long names, adds what
// MAILAUDIT_<FLAG> variables say where the flag is not given, refuses words
// that nobody knows with the word that was probably meant, and recognizes
// calls for help.

// line is a command line that was understood.
type line struct {
	argv    []string     // for cli: commands, flags, "--", arguments
	help    bool         // wants the help of the command
	topic   string       // of which help is wanted; "" for a command
	path    string       // of the command, with a blank behind; "" is mailaudit itself
	command *cli.Command // nil: mailaudit itself
	fromEnv []string     // the flags that the environment gave
}

func normalize(app *cli.App, args []string, env func(string) string) (line, error) {
	l := line{argv: args[:1:1]}
	commands, known := app.Commands, app.Flags
	rest := args[1:]
	for ; len(rest) > 0 && len(commands) > 0; rest = rest[1:] {
		word := rest[0]
		if word == "help" || isHelp(word) {
			l.help = true
			continue
		}
		if strings.HasPrefix(word, "-") {
			break
		}
		if l.help && l.command == nil && slices.Contains(topicNames(), word) {
			l.topic = word
			return l, tooMuchHelp(rest[1:])
		}
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) })
		if i < 0 {
			return line{}, l.unknownCommand(word, commands)
		}
		l.command = commands[i]
		l.argv, l.path = append(l.argv, word), l.path+word+" "
		known, commands = l.command.Flags, l.command.Subcommands
	}
	w, err := split(rest, known, l.path)
	if err != nil {
		return line{}, misplaced(err, l.path, commands, rest)
	}
	l.help = l.help || w.help || slices.Equal(w.operands, []string{"help"})
	switch {
	case len(commands) > 0 && len(w.operands) > 0:
		return line{}, misplaced(l.unknownCommand(w.operands[0], commands), l.path, commands, rest)
	case len(commands) > 0 && len(w.flags) == 0: // a command is missing: say which there are
		l.help = true
	}
	if l.command != nil {
		var more []string
		more, l.fromEnv = fromEnvironment(known, w.given, env)
		l.argv = append(l.argv, more...)
	}
	l.argv = append(l.argv, w.flags...)
	if len(w.operands) > 0 {
		l.argv = append(append(l.argv, "--"), w.operands...)
	}
	return l, nil
}

func isHelp(word string) bool {
	return word == "--help" || word == "-help" || word == "-h"
}

// blame makes an error about the value of a flag name the environment
// variable that the value came from.
func (l line) blame(err error) error {
	var bad *flagError
	if !errors.As(err, &bad) {
		return err
	}
	out := *bad.InputError
	for _, flag := range bad.flags {
		if !slices.Contains(l.fromEnv, flag) {
			continue
		}
		name := envName(flag)
		if !strings.Contains(out.Problem, "--"+flag) {
			out.Problem += " (from " + name + ")"
		}
		out.Problem = strings.ReplaceAll(out.Problem, "--"+flag, name)
		out.Hint = strings.ReplaceAll(out.Hint, "--"+flag+" ", name+"=")
	}
	return &out
}

// advise adds to an error of the history, where the command can do without
// one, how.
func (l line) advise(err error) error {
	var broken *store.Error
	const hint = "(--no-save audits without a history)"
	if !errors.As(err, &broken) || l.command == nil || findFlag(l.command.Flags, "no-save") == nil || strings.Contains(broken.Hint, "--no-save") {
		return err
	}
	out := *broken
	out.Hint = strings.TrimSpace(out.Hint + " " + hint)
	return &out
}

// words are the words behind a command.
type words struct {
	flags    []string // with their values: --name=value
	given    []string // the names of the flags, the long ones
	operands []string
	help     bool
}

// split tells flags (with their values) from operands.
func split(rest []string, known []cli.Flag, path string) (words, error) {
	var w words
	for len(rest) > 0 {
		word := rest[0]
		rest = rest[1:]
		switch {
		case word == "--":
			w.operands = append(w.operands, rest...)
			return w, nil
		case word == "-" || !strings.HasPrefix(word, "-"):
			w.operands = append(w.operands, word)
			continue
		case isHelp(word):
			w.help = true
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
		f := findFlag(known, name)
		if f == nil {
			return words{}, unknownFlag(path, word, known)
		}
		name = f.Names()[0] // cli refuses -o beside --output
		if !hasValue && takesValue(f) {
			if len(rest) == 0 {
				return words{}, &audit.InputError{Problem: fmt.Sprintf("--%s needs a value", name), Hint: "see: mailaudit " + path + "--help"}
			}
			value, hasValue, rest = rest[0], true, rest[1:]
		}
		w.given = append(w.given, name)
		if hasValue {
			name += "=" + value
		}
		w.flags = append(w.flags, "--"+name)
	}
	return w, nil
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
// line does not, as words and by name: MAILAUDIT_FAIL_ON for --fail-on. Several
// values of a repeatable flag are separated by commas. What sends more to others
// than usual is asked for each time anew: --try-mail has no variable.
func fromEnvironment(known []cli.Flag, given []string, env func(string) string) (flags, names []string) {
	for _, f := range known {
		name := f.Names()[0]
		value := env(envName(name))
		if value == "" || name == flagTryMail || slices.Contains(given, name) {
			continue
		}
		values := []string{value}
		if d, ok := f.(cli.DocGenerationSliceFlag); ok && d.IsSliceFlag() {
			values = strings.Split(value, ",")
		}
		for _, v := range values {
			v = strings.TrimSpace(v)
			if v != "" {
				flags, names = append(flags, "--"+name+"="+v), append(names, name)
			}
		}
	}
	return flags, names
}

func envName(flag string) string {
	return "MAILAUDIT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// tooMuchHelp refuses what stands behind a topic, unless it asks for help
// again.
func tooMuchHelp(rest []string) error {
	for _, word := range rest {
		if word != "help" && !isHelp(word) {
			return &audit.InputError{Problem: "mailaudit help takes one command or topic: " + clip(word) + " is too much", Hint: "see: mailaudit --help"}
		}
	}
	return nil
}

// unknownCommand refuses a word in the place of a command, or of a topic.
func (l line) unknownCommand(word string, commands []*cli.Command) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	e := &audit.InputError{
		Problem: fmt.Sprintf(`there is no command "mailaudit %s%s"`, l.path, clip(word)),
		Hint:    "commands: " + strings.Join(names, ", "),
	}
	help, command, about := "", nearest(word, names), ""
	if l.help {
		help = "help "
	}
	if l.path == "" {
		about = nearest(word, topicNames())
	}
	if l.path == "" && l.help {
		e.Problem = fmt.Sprintf(`there is no command and no topic "%s"`, clip(word))
		e.Hint += "; topics: " + strings.Join(topicNames(), ", ")
	}
	switch {
	case command != "":
		e.Hint = "did you mean: mailaudit " + help + l.path + command
	case about != "":
		e.Hint = "did you mean: mailaudit help " + about
	case l.path == "" && !l.help && strings.Contains(word, "."):
		e.Hint = "did you mean: mailaudit audit " + audit.ShellQuote(clip(word))
	}
	return e
}

func unknownFlag(path, word string, known []cli.Flag) error {
	word, _, _ = strings.Cut(word, "=")
	var names []string
	for _, f := range known {
		names = append(names, f.Names()[0])
	}
	e := &audit.InputError{Problem: "there is no flag " + clip(word), Hint: "see: mailaudit " + path + "--help"}
	near := nearest(strings.TrimLeft(word, "-"), names)
	if near != "" {
		e.Hint = "did you mean: --" + near
	}
	return e
}

// misplaced is err, or what is more likely the matter where flags stand
// before a command.
func misplaced(err error, path string, commands []*cli.Command, rest []string) error {
	first := slices.IndexFunc(commands, func(c *cli.Command) bool { return slices.Contains(rest, c.Name) })
	if first < 0 || !strings.HasPrefix(rest[0], "-") {
		return err
	}
	c := commands[first]
	e := &audit.InputError{Problem: clip(rest[0]) + " stands before the command", Hint: "see: mailaudit " + path + c.Name + " --help"}
	name, _, _ := strings.Cut(strings.TrimLeft(rest[0], "-"), "=")
	if findFlag(c.Flags, name) != nil {
		e.Hint = "flags come behind it: mailaudit " + path + c.Name + " " + clip(rest[0])
	}
	return e
}

// clip bounds a word of the command line that is repeated in a message.
func clip(word string) string {
	const most = 100
	if len(word) > most {
		return word[:most] + "..."
	}
	return word
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

// usageError turns what cli says of a flag into ours.
func usageError(c *cli.Context, err error, _ bool) error {
	hint := "see: mailaudit " + commandPath(c) + "--help"
	for _, form := range []string{`^invalid value "(?s:(.*))" for flag -([a-z0-9-]+): `, `^invalid boolean value "(?s:(.*))" for -([a-z0-9-]+): `} {
		m := regexp.MustCompile(form).FindStringSubmatch(err.Error())
		if m == nil {
			continue
		}
		return badValue(m[2], m[1], hint)
	}
	return &audit.InputError{Problem: err.Error(), Hint: hint}
}

// commandPath is the command of a context, with a blank behind.
func commandPath(c *cli.Context) string {
	if c == nil || c.Command == nil || c.Command.Name == "" || c.Command.Name == "mailaudit" {
		return ""
	}
	return strings.TrimPrefix(c.Command.HelpName, "mailaudit ") + " "
}
