package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/auditor"
	"mailaudit/internal/report"
)

func (p *program) rejudgeCommand() *cli.Command {
	return &cli.Command{
		Name: "rejudge", Usage: "judge a stored run by today's rules, without the network", ArgsUsage: "RUN|DOMAIN",
		Description: `mailaudit rejudge 42
mailaudit rejudge example.org -f json`,
		Flags:  []cli.Flag{runFormatFlag(), outputFlag(), clientFlag(), dbFlag(), verboseFlag(), colorFlag()},
		Action: p.rejudge,
	}
}

// rejudge stores nothing: the run keeps the judgement that it was given when
// it was made.
func (p *program) rejudge(c *cli.Context) error {
	o, err := p.readOutput(c)
	if err != nil {
		return err
	}
	if c.NArg() != 1 {
		return &audit.InputError{Problem: "rejudge takes one run or one domain", Hint: "mailaudit runs lists what there is"}
	}
	db, err := p.openToRead(c)
	if err != nil {
		return err
	}
	defer db.Close()
	run, err := findRun(c.Context, db, c.Args().First())
	if err != nil {
		return err
	}
	if run.State != audit.Complete {
		return &audit.InputError{Problem: fmt.Sprintf("run %d is %s; only complete runs are judged again", run.ID, run.State), Hint: "mailaudit runs lists them"}
	}
	res := auditor.Rejudge(run, version)
	return p.print(o, report.Entry{Run: res.Run, Delta: res.Delta, History: res.History})
}
