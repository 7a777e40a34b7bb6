package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
)

// Help starts with examples: they are what most people came for.

// helpHead stands above the list of commands.
const helpHead = `usage: mailaudit COMMAND [FLAGS] [ARGUMENTS]

mailaudit tells whether mail for a domain arrives and travels encrypted, what
changed since last time, and what to publish to fix it.

Examples:
  mailaudit audit example.org
  mailaudit audit example.org --sending-ip 192.0.2.25 --fail-on medium
  mailaudit diff example.org
  mailaudit explain tls.starttls-missing

Commands:
`

// helpFoot is what stands below the list of commands.
func helpFoot() string {
	var b strings.Builder
	b.WriteString("\nmailaudit COMMAND --help tells more, and so does mailaudit help TOPIC:\n")
	for _, t := range topics() {
		fmt.Fprintf(&b, "  %-12s %s\n", t.name, t.what)
	}
	return b.String() + "\n" + exitList()
}

// helpOf is the help that a command line asks for.
func helpOf(app *cli.App, l line) string {
	switch {
	case l.topic != "":
		return topicHelp(app, l.topic)
	case l.command == nil:
		return helpHead + commandList(app.Commands) + helpFoot()
	}
	return helpText(l.path, l.command)
}

func commandList(commands []*cli.Command) string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-11s %s\n", c.Name, c.Usage)
	}
	return b.String()
}

// helpText is the help of one command: what it does, examples, what else is to
// be said (its UsageText), flags in two columns of together 80, and where the
// rest is told. path has a blank behind.
func helpText(path string, c *cli.Command) string {
	var b strings.Builder
	what := "COMMAND"
	if len(c.Subcommands) == 0 {
		what = c.ArgsUsage
	}
	fmt.Fprintf(&b, "usage: %s\n%s\n\nExamples:\n", strings.TrimSpace("mailaudit "+path+what), c.Usage)
	for line := range strings.SplitSeq(c.Description, "\n") {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	if c.UsageText != "" {
		b.WriteString("\n" + c.UsageText + "\n")
	}
	if len(c.Subcommands) > 0 {
		b.WriteString("\nCommands:\n" + commandList(c.Subcommands))
	}
	if len(c.Flags) > 0 {
		b.WriteString("\nFlags:\n")
		for _, f := range c.Flags {
			b.WriteString(flagText(f))
		}
	}
	b.WriteString("\nSee also: mailaudit help " + strings.Join(topicNames(), ", ") + "\n")
	return b.String()
}

// flagColumn is where the text of flags begins.
const flagColumn = 27

// flagText is one flag: its names and what it takes, then what it does.
func flagText(f cli.Flag) string {
	names := f.Names()
	left := "  --" + names[0]
	if len(names) > 1 {
		left = "  -" + names[1] + ", --" + names[0]
	}
	usage := ""
	d, ok := f.(cli.DocGenerationFlag)
	if ok {
		usage = d.GetUsage()
		before, rest, quoted := strings.Cut(usage, "`")
		placeholder, after, _ := strings.Cut(rest, "`")
		if quoted {
			left, usage = left+" "+placeholder, before+placeholder+after
		}
		if s, isString := f.(*cli.StringFlag); isString && s.Value != "" {
			usage += " (default " + s.Value + ")"
		}
		if n, isNumber := f.(*cli.IntFlag); isNumber && n.Value != 0 {
			usage += fmt.Sprintf(" (default %d)", n.Value)
		}
		if t, isTime := f.(*cli.DurationFlag); isTime {
			usage += " (default " + t.Value.String() + ")"
		}
	}
	return report.Columns(left, flagColumn, usage)
}

func contains(areas []audit.Area, a audit.Area) bool { return slices.Contains(areas, a) }
