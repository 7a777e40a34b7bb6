package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/report"
)

// topic is help that is about no command: mailaudit help NAME.
type topic struct {
	name, what string
	examples   []string
	text       func(app *cli.App) string
}

func topics() []topic {
	return []topic{
		{"exit-codes", "what the exit codes say", []string{
			"mailaudit audit example.org --fail-on medium",
			"mailaudit audit example.org --fail-on-new --on-unknown fail",
		}, func(*cli.App) string { return exitCodesText() }},
		{"environment", "the variables that are honoured", []string{
			"mailaudit audit example.org       # MAILAUDIT_RESOLVER=192.0.2.53 set before",
			"mailaudit runs                    # MAILAUDIT_DB=history.db set before",
		}, environmentText},
		{"formats", "the forms of output, and what each is for", []string{
			"mailaudit show example.org -f json",
			"mailaudit report example.org -o report.html -o report.md",
			"mailaudit show example.org -o json=a=b.json",
		}, formatsText},
	}
}

func topicNames() []string {
	var out []string
	for _, t := range topics() {
		out = append(out, t.name)
	}
	return out
}

// topicHelp is the help of a topic, built like that of a command.
func topicHelp(app *cli.App, name string) string {
	t := topics()[slices.Index(topicNames(), name)]
	var b strings.Builder
	fmt.Fprintf(&b, "mailaudit help %s: %s\n\nExamples:\n", t.name, t.what)
	for _, e := range t.examples {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	b.WriteString("\n" + t.text(app))
	return b.String()
}

// exitRow is what exit codes say.
type exitRow struct {
	codes []int
	when  string
}

func exitTable() []exitRow {
	return []exitRow{
		{[]int{exitOK}, "audited; no fail at or above --fail-on (default high)"},
		{[]int{exitFindings}, "there is such a fail"},
		{[]int{exitUsage}, "the command line is wrong, or a domain is"},
		{[]int{exitUnknown}, "nothing could be audited, or something is unknown with --on-unknown fail"},
		{[]int{exitBroken}, "the history or an output is unusable, or mailaudit has a bug"},
		{[]int{exitInterrupted, exitTerminated}, "stopped by SIGINT, by SIGTERM"},
	}
}

// exitPrecedence lists the codes, those first that win.
func exitPrecedence() []int {
	return []int{exitInterrupted, exitTerminated, exitUsage, exitBroken, exitFindings, exitUnknown, exitOK}
}

func numbers(list []int) string {
	var out []string
	for _, n := range list {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, ", ")
}

// exitList is the table, for the help of mailaudit too.
func exitList() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, r := range exitTable() {
		codes := numbers(r.codes)
		fmt.Fprintf(&b, "  %s  %s\n", codes, r.when)
	}
	return b.String()
}

func exitCodesText() string {
	return exitList() + "\n" + report.Paragraph(fmt.Sprintf("When several apply, the first of these wins: %s. The output format never changes the code. "+
		"Commands that only show what is stored (show, report, diff, rejudge, runs) exit with 0 whatever they show, and so does spf, "+
		"unless --expect wants another result (1) or our own resolver is why the result is not known (3).", numbers(exitPrecedence())))
}

// variable is an environment variable that stands for no flag.
type variable struct{ name, use string }

func variables() []variable {
	return []variable{
		{"NO_COLOR", "when not empty: no colour, unless --color always"},
		{"TERM", "dumb: no colour and no progress line"},
		{"XDG_DATA_HOME", "the history is in mailaudit/history.db below it, unless --db says"},
		{"HOME", "for want of XDG_DATA_HOME, below its .local/share (macOS: Library/Application Support)"},
		{"LOCALAPPDATA", "the same on Windows"},
		{"SSL_CERT_FILE", "a file with the trusted roots, in place of the system's (not on macOS and Windows)"},
		{"SSL_CERT_DIR", "directories with them, separated by colons"},
	}
}

func environmentText(app *cli.App) string {
	var b strings.Builder
	b.WriteString(report.Paragraph("MAILAUDIT_<FLAG> stands in for a flag of every command that has it: in capitals, with _ for -. A flag on the command line wins, and an empty " +
		"variable counts for nothing. Values of repeatable flags are separated by commas; a flag that takes no value is true or false. --help and --version have none, nor has --try-mail: it is asked for each time."))
	b.WriteString("\nFlags:\n")
	for _, f := range flagOwners(app) {
		b.WriteString(report.Columns("  "+envName(f.flag), flagColumn, strings.Join(f.commands, ", ")))
	}
	b.WriteString("\nOthers:\n")
	for _, v := range variables() {
		b.WriteString(report.Columns("  "+v.name, flagColumn, v.use))
	}
	return b.String()
}

// owners are the commands that have a flag.
type owners struct {
	flag     string
	commands []string
}

// flagOwners lists all flags by name, with the commands in the order of help.
func flagOwners(app *cli.App) []owners {
	var out []owners
	eachCommand(app, func(path string, c *cli.Command) {
		for _, f := range c.Flags {
			name := f.Names()[0]
			if name == flagTryMail {
				continue
			}
			i := slices.IndexFunc(out, func(o owners) bool { return o.flag == name })
			if i < 0 {
				out = append(out, owners{flag: name})
				i = len(out) - 1
			}
			out[i].commands = append(out[i].commands, path)
		}
	})
	slices.SortFunc(out, func(a, b owners) int { return strings.Compare(a.flag, b.flag) })
	return out
}

// eachCommand visits all commands; path is their words with blanks between.
func eachCommand(app *cli.App, visit func(path string, c *cli.Command)) {
	var walk func(before string, list []*cli.Command)
	walk = func(before string, list []*cli.Command) {
		for _, c := range list {
			visit(before+c.Name, c)
			walk(before+c.Name+" ", c.Subcommands)
		}
	}
	walk("", app.Commands)
}

func formatsText(app *cli.App) string {
	var b strings.Builder
	b.WriteString("Formats:\n")
	for _, f := range formatTable() {
		b.WriteString(report.Columns("  "+f.name, 9, f.use+" ("+strings.Join(f.extensions, ", ")+")"))
	}
	var all, few []string
	eachCommand(app, func(path string, c *cli.Command) {
		switch words := choices(c, "format"); {
		case slices.Equal(words, runFormats()):
			all = append(all, path)
		case len(words) > 0:
			few = append(few, path)
		}
	})
	b.WriteString("\n" + report.Paragraph(fmt.Sprintf("%s have all of them; %s have %s.", list(all), list(few), list(formats()))))
	b.WriteString("\n" + report.Paragraph("-f FORMAT is for standard output. -o [FORMAT=]FILE writes to a file instead, and may be repeated. The format of a file is the one that is named, "+
		"otherwise the one that its name ends with, otherwise that of -f. For a file with = in its name the format has to be named: -o json=a=b.json."))
	b.WriteString("\n" + report.Paragraph("A file is replaced as a whole or not at all. When one cannot be written, the report goes to standard output, and the exit code is "+
		strconv.Itoa(exitBroken)+"."))
	return b.String()
}

// list is "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
