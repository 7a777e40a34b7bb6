package main

import (
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
	"mailaudit/internal/rules"
)

// Completion is a script for a shell, made of the command tree and its flags
// as they are. The script knows all words by itself: completing asks neither
// this program, nor the history, nor the network.

// completers are the shells and what writes their scripts.
func completers() []struct {
	shell string
	write func([]completed) string
} {
	return []struct {
		shell string
		write func([]completed) string
	}{{"bash", bashCompletion}, {"zsh", zshCompletion}, {"fish", fishCompletion}}
}

func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a script that completes command lines in a shell", ArgsUsage: "bash|zsh|fish",
		Description: `mailaudit completion bash
mailaudit completion zsh
mailaudit completion fish`,
		UsageText: `To have it in every new shell:
  bash  mailaudit completion bash \
          > ~/.local/share/bash-completion/completions/mailaudit
  zsh   mailaudit completion zsh > DIR/_mailaudit
        where DIR is a directory of $fpath, and compinit runs in ~/.zshrc
  fish  mailaudit completion fish > ~/.config/fish/completions/mailaudit.fish
To have it in this one:
  bash, zsh  source <(mailaudit completion bash), or zsh
  fish       mailaudit completion fish | source
The script is that of this version: write it anew after an upgrade.`,
		Action: p.completion,
	}
}

func (p *program) completion(c *cli.Context) error {
	var shells []string
	for _, s := range completers() {
		shells = append(shells, s.shell)
	}
	if c.NArg() != 1 {
		return &audit.InputError{Problem: "completion takes one shell: " + strings.Join(shells, ", "), Hint: "for example: mailaudit completion bash"}
	}
	word := c.Args().First()
	for _, s := range completers() {
		if s.shell == word {
			_, err := io.WriteString(p.out, s.write(completedTree(p.app())))
			return p.wrote(err)
		}
	}
	e := &audit.InputError{Problem: `there is no completion for "` + clip(word) + `"`, Hint: "there is one for: " + strings.Join(shells, ", ")}
	near := nearest(word, shells)
	if near != "" {
		e.Hint = "did you mean: mailaudit completion " + near
	}
	return e
}

// takes is what stands behind a flag, or as argument of a command.
type takes string

const (
	takesNothing takes = ""
	takesAny     takes = "any"    // nothing to propose
	takesWord    takes = "word"   // one of some words
	takesList    takes = "list"   // some of them, with commas between
	takesFile    takes = "file"   // the name of a file
	takesOutput  takes = "output" // the same, with "FORMAT=" in front of it perhaps
)

// completed is a command as completion knows it.
type completed struct {
	path     string // words with blanks between; "" is mailaudit itself
	what     string
	children []completed
	flags    []completedFlag
	takes    takes
	words    []string
}

// completedFlag is a flag as completion knows it.
type completedFlag struct {
	names  []string // with their dashes, the long one first
	what   string
	value  string // what its help calls the value
	takes  takes
	words  []string
	repeat bool
}

// completedTree lists all commands, mailaudit itself first.
func completedTree(app *cli.App) []completed {
	root := completed{flags: []completedFlag{helpFlag()}}
	for _, f := range app.Flags {
		root.flags = append(root.flags, completeFlag(nil, f))
	}
	out := []completed{root}
	at := map[string]int{}
	eachCommand(app, func(path string, c *cli.Command) {
		node := completed{path: path, what: brief(c.Usage), flags: []completedFlag{helpFlag()}}
		node.takes, node.words = argument(c.ArgsUsage)
		for _, f := range c.Flags {
			node.flags = append(node.flags, completeFlag(c, f))
		}
		at[path] = len(out)
		parent := 0
		if i := strings.LastIndexByte(path, ' '); i >= 0 {
			parent = at[path[:i]]
		}
		out[parent].children = append(out[parent].children, node)
		out = append(out, node)
	})
	return out
}

// name is the last word of the path.
func (c completed) name() string { return c.path[strings.LastIndexByte(c.path, ' ')+1:] }

func helpFlag() completedFlag {
	return completedFlag{names: []string{"--help", "-h"}, what: "what the command does, with examples"}
}

func completeFlag(c *cli.Command, f cli.Flag) completedFlag {
	out := completedFlag{}
	for _, n := range f.Names() {
		dashes := "--"
		if len(n) == 1 {
			dashes = "-"
		}
		out.names = append(out.names, dashes+n)
	}
	d, ok := f.(cli.DocGenerationFlag)
	if ok {
		out.what = brief(strings.ReplaceAll(d.GetUsage(), "`", ""))
		_, rest, _ := strings.Cut(d.GetUsage(), "`")
		out.value, _, _ = strings.Cut(rest, "`")
	}
	s, ok := f.(cli.DocGenerationSliceFlag)
	out.repeat = ok && s.IsSliceFlag()
	out.words = choices(c, f.Names()[0])
	switch {
	case !takesValue(f):
	case out.value == "[FORMAT=]FILE":
		out.takes, out.words = takesOutput, runFormats()
	case strings.HasSuffix(out.value, "FILE"):
		out.takes = takesFile
	case out.words == nil:
		out.takes = takesAny
	case out.repeat:
		out.takes = takesList
	default:
		out.takes = takesWord
	}
	return out
}

// argument reads what the help of a command calls its arguments.
func argument(usage string) (takes, []string) {
	switch {
	case usage == "":
		return takesNothing, nil
	case usage == "FILE":
		return takesFile, nil
	case usage == "RULE":
		var ids []string
		for _, r := range rules.Catalogue() {
			ids = append(ids, string(r.ID))
		}
		return takesWord, ids
	case strings.Contains(usage, "AREA"):
		return takesWord, areaNames()
	case strings.Contains(usage, "|") && strings.ToLower(usage) == usage:
		return takesWord, strings.Split(usage, "|")
	}
	return takesAny, nil
}

// choices are the words that a flag of a command takes; nil when it takes
// others than some fixed ones. TestChoices holds them against what the commands
// themselves say of a word that they do not know.
func choices(c *cli.Command, flag string) []string {
	if c == nil || findFlag(c.Flags, flag) == nil {
		return nil
	}
	switch flag {
	case "format":
		if findFlag(c.Flags, "output") != nil { // it shows runs
			return runFormats()
		}
		return formats()
	case "color":
		return []string{"auto", "always", "never"}
	case "fail-on":
		return []string{"critical", "high", "medium", "low", "never"}
	case "on-unknown":
		return []string{"ignore", "fail"}
	case "mode":
		return []string{"auto", "plain", "starttls", "tls"}
	case "expect":
		return spfResults()
	case "only", "skip":
		return areaNames()
	}
	return nil
}

// brief is the beginning of a text, as long as it says what the thing is.
func brief(text string) string {
	end := len(text)
	for _, stop := range []string{" (", "; ", ": ", ". "} {
		i := strings.Index(text, stop)
		if i > 0 {
			end = min(end, i)
		}
	}
	return report.Screen(text[:end])
}

// named lists the last words of commands.
func named(list []completed) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.name())
	}
	return out
}
