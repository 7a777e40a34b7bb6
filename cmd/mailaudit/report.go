package main

import (
	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/auditor"
	"mailaudit/internal/report"
	"mailaudit/internal/store"
)

func (p *program) reportCommand() *cli.Command {
	return &cli.Command{
		Name: "report", Usage: "write a report of a stored run for others to read", ArgsUsage: "[RUN|DOMAIN]",
		Description: `mailaudit report example.org -o report.html --client Example-Ltd
mailaudit report 42 -o html=42.html -o md=42.md
mailaudit report -f html`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "md", Usage: "output `FORMAT`: md, html, text, json or jsonl"},
			outputFlag(), clientFlag(), dbFlag(), verboseFlag(), colorFlag(),
		},
		Action: p.report,
	}
}

// report is show for others: a document by default, of the newest run when
// none is named.
func (p *program) report(c *cli.Context) error {
	o, err := p.readOutput(c)
	if err != nil {
		return err
	}
	err = atMost(c, 1)
	if err != nil {
		return err
	}
	db, err := p.openToRead(c)
	if err != nil {
		return err
	}
	defer db.Close()
	run, err := p.runOrNewest(c, db)
	if err != nil {
		return err
	}
	a := &auditor.Auditor{Store: db, Version: version}
	res, err := a.Stored(c.Context, run)
	if err != nil {
		return err
	}
	return p.print(o, report.Entry{Run: res.Run, Delta: res.Delta, History: res.History})
}

// runOrNewest is the run that was named, or the newest complete one.
func (p *program) runOrNewest(c *cli.Context, db *store.DB) (*audit.Run, error) {
	if c.NArg() == 1 {
		return findRun(c.Context, db, c.Args().First())
	}
	infos, err := db.Runs(c.Context, store.Filter{})
	if err != nil {
		return nil, err
	}
	for _, i := range infos {
		if i.State == audit.Complete {
			return db.Run(c.Context, i.ID)
		}
	}
	return nil, &audit.InputError{Problem: "there is no complete run in the history yet", Hint: "mailaudit audit DOMAIN makes one"}
}
