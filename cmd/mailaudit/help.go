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

// helpHead and helpFoot surround the list of commands.
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

const helpFoot = `
mailaudit COMMAND --help tells more.

Exit codes:
  0  audited; no fail at or above --fail-on (default high)
  1  there is such a fail
  2  the command line is wrong, or a domain is
  3  nothing could be audited, or something is unknown with --on-unknown fail
  4  the history or an output is unusable, or mailaudit has a bug
  130, 143  stopped by SIGINT, by SIGTERM

Environment:
  MAILAUDIT_<FLAG>  stands in for a flag: MAILAUDIT_RESOLVER for --resolver.
                    Values of repeatable flags are separated by commas.
  NO_COLOR          no colour unless --color always
  XDG_DATA_HOME     where the history is, unless --db says
  SSL_CERT_FILE     the trusted roots
`

// helpOf is the help that a command line asks for.
func helpOf(app *cli.App, l line) string {
	if l.command == nil {
		return helpHead + commandList(app.Commands) + helpFoot
	}
	return helpText(l.path, l.command)
}

func commandList(commands []*cli.Command) string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-10s %s\n", c.Name, c.Usage)
	}
	return b.String()
}

// helpText is the help of one command: what it does, examples, flags in two
// columns of together 80, and where the rest is told. path has a blank behind.
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
	if len(c.Subcommands) > 0 {
		b.WriteString("\nCommands:\n" + commandList(c.Subcommands))
	}
	if len(c.Flags) > 0 {
		b.WriteString("\nFlags:\n")
		for _, f := range c.Flags {
			b.WriteString(flagText(f))
		}
	}
	b.WriteString("\nExit codes and environment: mailaudit --help\n")
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
		if n, isNumber := f.(*cli.IntFlag); isNumber {
			usage += fmt.Sprintf(" (default %d)", n.Value)
		}
		if t, isTime := f.(*cli.DurationFlag); isTime {
			usage += " (default " + t.Value.String() + ")"
		}
	}
	return report.Columns(left, flagColumn, usage)
}

func contains(areas []audit.Area, a audit.Area) bool { return slices.Contains(areas, a) }
