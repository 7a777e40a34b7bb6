package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
	"mailaudit/internal/report"
	"mailaudit/internal/store"
)

// Exit codes. They are documented by "mailaudit --help" and are a contract.
// When several apply, the first of exitInterrupted, exitTerminated, exitUsage,
// exitBroken, exitFindings, exitUnknown wins.
const (
	exitOK          = 0
	exitFindings    = 1   // a fail at or above --fail-on
	exitUsage       = 2   // bad flag, bad domain
	exitUnknown     = 3   // nothing could be audited, or --on-unknown fail
	exitBroken      = 4   // database or output unusable, or a bug
	exitInterrupted = 130 // SIGINT
	exitTerminated  = 143 // SIGTERM
)

// version is the version of the program.
const version = "0.1.0"

// program is everything that a run of mailaudit needs from outside.
type program struct {
	env      func(string) string
	in       io.Reader
	out, err io.Writer
	hostName string
	network  dial.Network     // nil: the system's; tests and the demo bring their own
	trust    trust            // the roots of that network; nil: the system's
	pace     pace             // zero: the default one
	now      func() time.Time // when runs take place; nil: time.Now
}

// exit is an exit code without a message: the output has said it all.
type exit int

// Error is never shown.
func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// outputError is an output that could not be written.
type outputError struct {
	name string
	err  error
}

// Error names the output and what is wrong with it.
func (e *outputError) Error() string {
	return fmt.Sprintf("cannot write %s: %s", e.name, audit.Raw(rootCause(e.err)))
}

// rootCause is the last error of a chain: "no space left on device" without
// the way it came.
func rootCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// run is the program: it returns the exit code and never exits itself.
func (p *program) run(ctx context.Context, args []string) int {
	app := p.app()
	l, err := normalize(app, args, p.env)
	switch {
	case err != nil:
	case l.help:
		_, err = io.WriteString(p.out, helpOf(app, l))
		err = p.wrote(err)
	default:
		err = l.advise(l.blame(app.RunContext(ctx, l.argv)))
	}
	var stopped interrupted
	if errors.As(context.Cause(ctx), &stopped) {
		if errors.Is(err, context.Canceled) {
			err = stopped // the signal did it, wherever it was noticed
		}
		p.complain(err)
		return stopped.code()
	}
	p.complain(err)
	return code(err)
}

// code is the exit code of an error.
func code(err error) int {
	var e exit
	var input *audit.InputError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return int(e)
	case errors.As(err, &input):
		return exitUsage
	}
	return exitBroken
}

// complain writes an error as one line, and a hint as a second one.
func (p *program) complain(err error) {
	var e exit
	if err == nil || errors.As(err, &e) {
		return
	}
	problem, hint := err.Error(), ""
	var input *audit.InputError
	var broken *store.Error
	switch {
	case errors.As(err, &input):
		problem, hint = input.Problem, input.Hint
	case errors.As(err, &broken):
		problem, hint = broken.Problem, broken.Hint
	}
	fmt.Fprintln(p.err, "mailaudit: "+report.Screen(problem))
	if hint != "" {
		fmt.Fprintln(p.err, "  "+report.Screen(hint))
	}
}

// app is the command tree.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name: "mailaudit", Usage: "audit the mail of a domain, remember it, say what changed",
		Writer: p.out, ErrWriter: p.err, HideVersion: true, HideHelp: true,
		// cli prints errors on stdout and exits by itself unless all of these
		// are taken from it.
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usageError,
		DisableSliceFlagSeparator: true,
		Flags:                     []cli.Flag{&cli.BoolFlag{Name: "version", Usage: "print the version and exit", DisableDefaultText: true}},
		Action:                    p.version, // without a flag normalize has seen a call for help
		Commands: []*cli.Command{
			p.auditCommand(), p.smtpCommand(), p.spfCommand(), p.runsCommand(), p.showCommand(), p.diffCommand(), p.reportCommand(), p.rejudgeCommand(),
			p.noteCommand(), p.explainCommand(), p.rulesCommand(), p.dbCommand(), p.demoCommand(), p.completionCommand(), p.versionCommand(),
		},
	}
	prepare(app.Commands)
	return app
}

// prepare gives every command what all commands have.
func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError, c.HideHelp = usageError, true
		prepare(c.Subcommands)
	}
}
