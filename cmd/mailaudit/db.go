package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/report"
)

func (p *program) dbCommand() *cli.Command {
	return &cli.Command{
		Name: "db", Usage: "where the history is, and whether it is whole",
		Description: `mailaudit db path
mailaudit db check
mailaudit db check --db copy.db`,
		Subcommands: []*cli.Command{{
			Name: "path", Usage: "print the path of the history file", Flags: []cli.Flag{dbFlag()},
			Description: "mailaudit db path",
			Action:      p.showPath,
		}, {
			Name: "check", Usage: "read the whole history and say whether it is sound", Flags: []cli.Flag{dbFlag()},
			Description: "mailaudit db check",
			Action:      p.dbCheck,
		}},
	}
}

func (p *program) showPath(c *cli.Context) error {
	err := atMost(c, 0)
	if err != nil {
		return err
	}
	path, err := p.dbPath(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.out, report.Screen(path))
	return p.wrote(err)
}

// dbCheck exits 4 when the history is damaged: nothing that rests on it can
// be believed.
func (p *program) dbCheck(c *cli.Context) error {
	err := atMost(c, 0)
	if err != nil {
		return err
	}
	db, err := p.openToRead(c)
	if err != nil {
		return err
	}
	defer db.Close()
	problems, err := db.Check(c.Context)
	if err != nil {
		return err
	}
	for _, line := range problems {
		_, err := fmt.Fprintln(p.out, report.Screen(line))
		if err != nil {
			return p.wrote(err)
		}
	}
	if len(problems) > 0 {
		return exit(exitBroken)
	}
	size, err := db.Size()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s is sound (%d bytes)\n", report.Screen(db.Path()), size)
	return p.wrote(err)
}
