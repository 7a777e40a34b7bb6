package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
	"mailaudit/internal/store"
)

func (p *program) dbCommand() *cli.Command {
	return &cli.Command{
		Name: "db", Usage: "care for the history: where it is, check, backup, prune, migrate",
		Description: `mailaudit db path
mailaudit db check
mailaudit db backup history-copy.db
mailaudit db prune --older-than 90d --dry-run`,
		Subcommands: []*cli.Command{{
			Name: "path", Usage: "print the path of the history file", Flags: []cli.Flag{dbFlag()},
			Description: "mailaudit db path",
			Action:      p.showPath,
		}, {
			Name: "check", Usage: "read the whole history and say whether it is sound", Flags: []cli.Flag{dbFlag()},
			Description: `mailaudit db check
mailaudit db check --db copy.db`,
			Action: p.dbCheck,
		}, {
			Name: "backup", Usage: "copy the history to a new file, while others write to it", ArgsUsage: "FILE", Flags: []cli.Flag{dbFlag()},
			Description: `mailaudit db backup history-2026-11-23.db
mailaudit db backup before-pruning.db --db history.db`,
			UsageText: `The copy is a history by itself, of mode 0600, complete or not there. A file
that exists is never overwritten. mailaudit db check --db FILE proves the copy.`,
			Action: p.backup,
		}, p.pruneCommand(), {
			Name: "migrate", Usage: "bring a history of an older mailaudit up to date", Flags: []cli.Flag{dbFlag()},
			Description: "mailaudit db migrate",
			UsageText: `The history as it was is kept beside it (history.db.v1.bak). Commands that write
do the same by themselves; those that read leave the file as it is.`,
			Action: p.migrate,
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

func (p *program) backup(c *cli.Context) error {
	path := c.Args().First()
	if c.NArg() != 1 || path == "" {
		return &audit.InputError{Problem: "backup takes one file", Hint: "for example: mailaudit db backup history-copy.db"}
	}
	if path == "-" {
		return &audit.InputError{Problem: "a backup cannot be written to standard output", Hint: "for example: mailaudit db backup history-copy.db"}
	}
	db, err := p.openToRead(c)
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.Backup(c.Context, path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return &outputError{path, err}
	}
	_, err = fmt.Fprintf(p.out, "%s is a copy of %s (%d bytes)\n", report.Screen(path), report.Screen(db.Path()), info.Size())
	return p.wrote(err)
}

func (p *program) migrate(c *cli.Context) error {
	err := atMost(c, 0)
	if err != nil {
		return err
	}
	path, err := p.dbPath(c)
	if err != nil {
		return err
	}
	from, to, err := store.Migrate(c.Context, path)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s is up to date (version %d)", path, to)
	if from != to {
		text = fmt.Sprintf("%s was brought from version %d to %d; as it was before, it is kept in %s", path, from, to, store.CopyName(path, from))
	}
	_, err = fmt.Fprintln(p.out, report.Screen(text))
	return p.wrote(err)
}
