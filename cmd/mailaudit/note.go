package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
	"mailaudit/internal/store"
)

func (p *program) noteCommand() *cli.Command {
	return &cli.Command{
		Name: "note", Usage: "keep a remark of yours with a run, or print it", ArgsUsage: "RUN|DOMAIN [TEXT...]",
		Description: `mailaudit note 42 "before the move to the new provider"
mailaudit note example.org SPF was changed by hand, ticket 4711
mailaudit note 42
mailaudit note 42 ""           # takes the remark away`,
		Flags:  []cli.Flag{dbFlag()},
		Action: p.noteRun,
	}
}

// noteRun prints the note of a run, or replaces it: nothing of the run itself
// changes. Several words are one text, so that quotes can be left out.
func (p *program) noteRun(c *cli.Context) error {
	if c.NArg() == 0 {
		return &audit.InputError{Problem: "note takes one run or one domain, and a text", Hint: `for example: mailaudit note 42 "before the move"`}
	}
	word, words := c.Args().First(), c.Args().Tail()
	if len(words) == 0 {
		return p.printNote(c, word)
	}
	text := strings.Join(words, " ")
	err := store.CheckNote(text)
	if err != nil {
		return err
	}
	_, _, err = readRun(word) // before an old history is brought up to date for it
	if err != nil {
		return err
	}
	db, err := p.openToChange(c)
	if err != nil {
		return err
	}
	defer db.Close()
	run, err := findRun(c.Context, db, word)
	if err != nil {
		return err
	}
	err = db.SetNote(c.Context, run.ID, text)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("run %d of %s: ", run.ID, report.Screen(run.Target))
	switch {
	case text != "":
		what += "note: " + report.Screen(text)
	case run.Note != "":
		what += "the note is gone; it was: " + report.Screen(run.Note)
	default:
		what += "there was no note"
	}
	_, err = fmt.Fprintln(p.out, what)
	return p.wrote(err)
}

// printNote prints the note alone, so that it can be used in a script; a run
// without one prints nothing.
func (p *program) printNote(c *cli.Context, word string) error {
	db, err := p.openToRead(c)
	if err != nil {
		return err
	}
	defer db.Close()
	run, err := findRun(c.Context, db, word)
	if err != nil || run.Note == "" {
		return err
	}
	_, err = fmt.Fprintln(p.out, report.Screen(run.Note))
	return p.wrote(err)
}

// openToChange opens a history that is there for a command that writes.
func (p *program) openToChange(c *cli.Context) (*store.DB, error) {
	path, err := p.dbPath(c)
	if err != nil {
		return nil, err
	}
	db, err := store.OpenExisting(c.Context, path)
	if err != nil {
		return nil, err
	}
	p.note(db.Notes())
	return db, nil
}

// checkNote refuses a --note that no run can have.
func checkNote(text string) error {
	err := store.CheckNote(text)
	var input *audit.InputError
	if errors.As(err, &input) {
		return &flagError{[]string{"note"}, &audit.InputError{Problem: "--note: " + input.Problem, Hint: input.Hint}}
	}
	return err
}
