package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/auditor"
	"mailaudit/internal/report"
	"mailaudit/internal/store"
)

func (p *program) runsCommand() *cli.Command {
	return &cli.Command{
		Name: "runs", Usage: "list the runs in the history, newest first", ArgsUsage: "[DOMAIN]",
		Description: `mailaudit runs
mailaudit runs example.org --limit 5
mailaudit runs -f json`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 50, Usage: "at most `N` runs; 0 for all"},
			&cli.StringFlag{Name: "tag", Usage: "only runs with this `WORD` as tag"},
			formatFlag(), dbFlag(), colorFlag(),
		},
		Action: p.runs,
	}
}

func (p *program) showCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a stored run, or the last one of a domain", ArgsUsage: "RUN|DOMAIN",
		Description: `mailaudit show 42
mailaudit show example.org
mailaudit show 42 -v
mailaudit show 42 -f json`,
		Flags:  []cli.Flag{runFormatFlag(), outputFlag(), clientFlag(), dbFlag(), verboseFlag(), colorFlag()},
		Action: p.show,
	}
}

func (p *program) diffCommand() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "say what changed between two runs", ArgsUsage: "[A [B]]",
		Description: `mailaudit diff               # the last run and the one before it
mailaudit diff example.org   # the same for one domain
mailaudit diff 41            # run 41 and the last run of its domain
mailaudit diff 41 42`,
		Flags:  []cli.Flag{formatFlag(), dbFlag(), colorFlag()},
		Action: p.diff,
	}
}

// openToRead opens the history for a command that only reads.
func (p *program) openToRead(c *cli.Context) (*store.DB, error) {
	path, err := p.dbPath(c)
	if err != nil {
		return nil, err
	}
	return store.OpenRead(c.Context, path)
}

func (p *program) dbPath(c *cli.Context) (string, error) {
	if c.String("db") != "" {
		return c.String("db"), nil
	}
	return store.DefaultPath(p.env)
}

// jsonList is the JSON form of runs.
type jsonList struct {
	Schema string     `json:"schema"`
	Runs   []jsonInfo `json:"runs"`
}

// jsonInfo is one line of it; docs/json.md has the fields.
type jsonInfo struct {
	ID       int64                  `json:"id"`
	UID      string                 `json:"uid"`
	Kind     audit.Kind             `json:"kind"`
	State    audit.RunState         `json:"state"`
	Target   string                 `json:"target"`
	Vantage  string                 `json:"vantage"`
	Started  string                 `json:"started"`
	Tag      string                 `json:"tag,omitempty"`
	Note     string                 `json:"note,omitempty"`
	Changed  bool                   `json:"changed"`
	Fails    map[audit.Severity]int `json:"fails"`
	Unknown  int                    `json:"unknown"`
	Coverage int                    `json:"coverage"`
	Score    *audit.Score           `json:"score,omitempty"` // absent when it has not finished
}

// domainScore is the score of a run, unless it is about one server: that is no
// grade of a domain.
func domainScore(i store.Info) audit.Score {
	if i.Kind == audit.KindSMTP {
		return audit.Score{}
	}
	return i.Score
}

func (p *program) runs(c *cli.Context) error {
	filter := store.Filter{Limit: c.Int("limit"), Tag: c.String("tag")}
	err := oneOf("format", c.String("format"), formats()...)
	if err != nil {
		return err
	}
	err = atMost(c, 1)
	if err != nil {
		return err
	}
	if filter.Limit < 0 {
		return badValue("limit", c.String("limit"), "0 lists all of them")
	}
	if c.NArg() == 1 {
		filter.Target, err = readTarget(c.Args().First())
		if err != nil {
			return err
		}
	}
	db, err := p.openToRead(c)
	if err != nil {
		return err
	}
	defer db.Close()
	infos, err := db.Runs(c.Context, filter)
	if err != nil {
		return err
	}
	if c.String("format") == "json" {
		return p.wrote(listJSON(p, infos))
	}
	color, err := p.wantsColor(c.String("color"), p.out)
	if err != nil {
		return err
	}
	var lines []report.RunLine
	for _, i := range infos {
		lines = append(lines, report.RunLine{
			ID: i.ID, State: i.State, Target: i.Target, Vantage: i.Vantage, Started: i.Started, Tag: i.Tag, Note: i.Note,
			Changed: i.Changed, Fails: i.Fails, Unknown: i.Unknown, Coverage: i.Coverage, Judged: i.Judged, Score: domainScore(i),
		})
	}
	return p.wrote(report.Runs(p.out, lines, color))
}

func listJSON(p *program, infos []store.Info) error {
	out := jsonList{Schema: report.Schema, Runs: []jsonInfo{}}
	for _, i := range infos {
		line := jsonInfo{
			ID: i.ID, UID: i.UID, Kind: i.Kind, State: i.State, Target: i.Target, Vantage: i.Vantage,
			Started: i.Started.Format("2006-01-02T15:04:05.000Z"), Tag: i.Tag, Note: i.Note, Changed: i.Changed,
			Fails: i.Fails, Unknown: i.Unknown, Coverage: i.Coverage,
		}
		if i.Score.Axes != nil {
			line.Score = &i.Score
		}
		out.Runs = append(out.Runs, line)
	}
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// wrote turns an error of writing to standard output into ours.
func (p *program) wrote(err error) error {
	if err != nil {
		return &outputError{"standard output", err}
	}
	return nil
}

// atMost refuses more arguments than a command takes.
func atMost(c *cli.Context, most int) error {
	if c.NArg() <= most {
		return nil
	}
	takes := "no arguments"
	if most > 0 {
		takes = fmt.Sprintf("at most %d arguments", most)
	}
	if most == 1 {
		takes = "at most one argument"
	}
	return &audit.InputError{
		Problem: fmt.Sprintf("mailaudit %stakes %s: %s is too much", commandPath(c), takes, clip(c.Args().Get(most))),
		Hint:    "see: mailaudit " + commandPath(c) + "--help",
	}
}

// readRun reads RUN or DOMAIN: a number is a run, anything else a domain, or a
// server, whose last complete run is meant.
func readRun(word string) (int64, string, error) {
	id, err := strconv.ParseInt(strings.TrimPrefix(word, "#"), 10, 64)
	if err == nil {
		return id, "", nil
	}
	target, err := readTarget(word)
	return 0, target, err
}

// findRun reads RUN or DOMAIN and finds the run in the history.
func findRun(ctx context.Context, db *store.DB, word string) (*audit.Run, error) {
	id, target, err := readRun(word)
	if err != nil {
		return nil, err
	}
	if target == "" {
		return db.Run(ctx, id)
	}
	run, err := db.Latest(ctx, target)
	var none *audit.InputError
	if errors.As(err, &none) {
		return nil, noComplete(ctx, db, target, none)
	}
	return run, err
}

// noComplete adds to "there is no complete run" what there is instead.
func noComplete(ctx context.Context, db *store.DB, target string, none *audit.InputError) error {
	infos, err := db.Runs(ctx, store.Filter{Target: target, Limit: 1})
	if err != nil {
		return err
	}
	command := "mailaudit audit " + target
	if strings.Contains(target, ":") {
		command = "mailaudit smtp " + audit.ShellQuote(target)
	}
	if len(infos) == 0 {
		return &audit.InputError{Problem: none.Problem, Hint: command + " makes one; mailaudit runs lists what there is"}
	}
	how := "was interrupted" // killed, or the machine went down
	switch infos[0].State {
	case audit.Running:
		how = "is still going on"
	case audit.Aborted:
		how = "was stopped before its end"
	}
	return &audit.InputError{
		Problem: fmt.Sprintf("%s; run %d, the newest, %s", none.Problem, infos[0].ID, how),
		Hint:    fmt.Sprintf("mailaudit show %d shows what there is of it; %s makes another", infos[0].ID, command),
	}
}

// readTarget reads what a run may be about: a domain, a server with its port,
// or the mail hosts of a domain. The error is that of the domain.
func readTarget(word string) (string, error) {
	d, _, err := audit.ParseDomain(word)
	if err == nil {
		return d.String(), nil
	}
	of, isMX := strings.CutSuffix(strings.TrimSpace(word), targetMX)
	if d, _, err := audit.ParseDomain(of); isMX && err == nil {
		return d.String() + targetMX, nil
	}
	n, _, serverErr := readServer(word, "auto")
	if serverErr == nil {
		return serverTarget(n), nil
	}
	return "", err
}

func (p *program) show(c *cli.Context) error {
	o, err := p.readOutput(c)
	if err != nil {
		return err
	}
	if c.NArg() != 1 {
		return &audit.InputError{Problem: "show takes one run or one domain", Hint: "mailaudit runs lists what there is"}
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
	a := &auditor.Auditor{Store: db, Version: version}
	res, err := a.Stored(c.Context, run)
	if err != nil {
		return err
	}
	return p.print(o, report.Entry{Run: res.Run, Delta: res.Delta, History: res.History})
}

func (p *program) diff(c *cli.Context) error {
	err := oneOf("format", c.String("format"), formats()...)
	if err != nil {
		return err
	}
	color, err := p.wantsColor(c.String("color"), p.out)
	if err != nil {
		return err
	}
	err = atMost(c, 2)
	if err != nil {
		return err
	}
	db, err := p.openToRead(c)
	if err != nil {
		return err
	}
	defer db.Close()
	a := &auditor.Auditor{Store: db, Version: version}
	res, err := p.diffRuns(c.Context, a, db, c.Args().Slice())
	if err != nil {
		return err
	}
	entry := report.Entry{Run: res.Run, Delta: res.Delta, History: res.History}
	if c.String("format") == "json" {
		return p.wrote(report.JSON(p.out, []report.Entry{entry}))
	}
	return p.wrote(report.Diff(p.out, report.Build(entry.Run, entry.Delta, entry.History), color))
}

// diffRuns finds the two runs that were meant and compares them.
func (p *program) diffRuns(ctx context.Context, a *auditor.Auditor, db *store.DB, args []string) (auditor.Result, error) {
	if len(args) == 2 {
		older, err := findRun(ctx, db, args[0])
		if err != nil {
			return auditor.Result{}, err
		}
		newer, err := findRun(ctx, db, args[1])
		if err != nil {
			return auditor.Result{}, err
		}
		if older.ID > newer.ID { // what changed is told forwards in time
			older, newer = newer, older
		}
		return a.Compare(ctx, older, newer)
	}
	word := ""
	if len(args) == 1 {
		word = args[0]
	}
	if word == "" {
		infos, err := db.Runs(ctx, store.Filter{})
		if err != nil {
			return auditor.Result{}, err
		}
		for _, i := range infos {
			if i.State == audit.Complete {
				word = i.Target
				break
			}
		}
		if word == "" {
			return auditor.Result{}, &audit.InputError{Problem: "there is no complete run in the history yet", Hint: "mailaudit audit DOMAIN makes one"}
		}
	}
	run, err := findRun(ctx, db, word)
	if err != nil {
		return auditor.Result{}, err
	}
	latest, err := db.Latest(ctx, run.Target)
	if err != nil {
		return auditor.Result{}, err
	}
	if latest.ID != run.ID {
		return a.Compare(ctx, run, latest)
	}
	res, err := a.Stored(ctx, run)
	if err == nil && res.Delta.Base == nil {
		err = &audit.InputError{Problem: fmt.Sprintf("run %d is the first one of %s: there is nothing to compare it with", run.ID, run.Target)}
	}
	return res, err
}
