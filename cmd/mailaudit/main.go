// Command mailaudit tells the owner of a mail domain, with proof, whether
// their mail will arrive, whether it travels encrypted, what changed since
// last time, and what to publish to fix it.
//
// This package is flags in, exit code out, and the wiring between. main owns
// the process (signals, exit); everything else is a function of a context,
// arguments, an environment and streams, so that tests run the whole program
// inside an internet of their own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		cancel(interrupted{s})
		<-signals // a second one means it
		os.Exit(interrupted{s}.code())
	}()
	p := &program{env: os.Getenv, in: os.Stdin, out: os.Stdout, err: os.Stderr}
	p.hostName, _ = os.Hostname() // without a name there are other ways to introduce ourselves
	os.Exit(p.run(ctx, os.Args))
}

// interrupted is why the context of the program ended: a signal.
type interrupted struct{ signal os.Signal }

// Error is the message of the cause.
func (i interrupted) Error() string { return fmt.Sprintf("stopped by %s", i.signal) }

// code is what shells report for a process that a signal ended.
func (i interrupted) code() int {
	if i.signal == syscall.SIGTERM {
		return exitTerminated
	}
	return exitInterrupted
}
