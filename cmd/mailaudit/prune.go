package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
	"mailaudit/internal/store"
)

func (p *program) pruneCommand() *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "remove old runs; what is left says the same as before",
		Description: `mailaudit db prune --older-than 90d --dry-run
mailaudit db prune --older-than 90d --keep-last 30
mailaudit db prune --before 2026-01-01 --target example.org`,
		UsageText: `A run goes when nothing keeps it: it is not among the last N of its kind
(--keep-last) and not younger than the date (--before, --older-than). The newest
complete run of each domain, vantage and scope always stays.`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "keep-last", Usage: "keep the last `N` complete runs of each domain, vantage and scope"},
			&cli.StringFlag{Name: "before", Usage: "keep what has begun on `DATE` (UTC) or later: 2026-01-31"},
			&cli.StringFlag{Name: "older-than", Usage: "keep what is younger than `AGE`: 90d, 12w, 36h"},
			&cli.StringFlag{Name: "target", Usage: "remove runs of `DOMAIN` (or HOST:PORT) alone"},
			&cli.BoolFlag{Name: "dry-run", Usage: "remove nothing, print what would go", DisableDefaultText: true},
			dbFlag(),
		},
		Action: p.prune,
	}
}

func (p *program) prune(c *cli.Context) error {
	err := atMost(c, 0)
	if err != nil {
		return err
	}
	want, err := readPrune(c, time.Now())
	if err != nil {
		return err
	}
	err = p.checkPrune(c, want)
	if err != nil {
		return err
	}
	db, err := p.openToChange(c)
	if err != nil {
		return err
	}
	defer db.Close()
	got, err := db.Prune(c.Context, want)
	if err != nil && got.Runs == 0 {
		return err
	}
	// An error behind the removal is that of making the file smaller.
	return firstError(p.wrote(p.tellPruned(db.Path(), want, got)), err)
}

// checkPrune looks into the history before it is opened for writing. It refuses
// a target that is not in it, and a dry run that would not be dry.
func (p *program) checkPrune(c *cli.Context, want store.Prune) error {
	db, err := p.openToRead(c)
	if err != nil {
		return err
	}
	defer db.Close()
	infos, err := db.Runs(c.Context, store.Filter{Target: want.Target, Limit: 1})
	if err != nil {
		return err
	}
	if want.Target != "" && len(infos) == 0 {
		return &audit.InputError{Problem: "there is no run of " + want.Target + " in the history", Hint: "mailaudit runs lists what there is"}
	}
	old, err := db.Outdated(c.Context)
	if err == nil && old && want.DryRun {
		err = &store.Error{
			Problem: db.Path() + " is of an older version, and a dry run does not bring it up to date",
			Hint:    "mailaudit db migrate does, and keeps a copy of it as it is",
		}
	}
	return err
}

// readPrune reads what is to be kept.
func readPrune(c *cli.Context, now time.Time) (store.Prune, error) {
	want := store.Prune{KeepLast: c.Int("keep-last"), DryRun: c.Bool("dry-run")}
	if c.IsSet("keep-last") && want.KeepLast < 1 {
		return want, badValue("keep-last", c.String("keep-last"), "one run is always kept: --keep-last 1")
	}
	before, age := c.String("before"), c.String("older-than")
	var err error
	switch {
	case before != "" && age != "":
		return want, &flagError{[]string{"before", "older-than"}, &audit.InputError{Problem: "--before and --older-than both name a time", Hint: "leave one of the two out"}}
	case c.IsSet("before"):
		want.Before, err = readDate("before", before, now)
	case c.IsSet("older-than"):
		want.Before, err = readAge("older-than", age, now)
	case !c.IsSet("keep-last"):
		return want, &audit.InputError{Problem: "nothing says which runs to keep", Hint: "for example: mailaudit db prune --older-than 90d --keep-last 30 --dry-run"}
	}
	if err != nil {
		return want, err
	}
	if c.IsSet("target") {
		want.Target, err = readTarget(c.String("target"))
	}
	var input *audit.InputError
	if errors.As(err, &input) {
		err = &flagError{[]string{"target"}, &audit.InputError{Problem: "--target: " + input.Problem, Hint: input.Hint}}
	}
	return want, err
}

// readDate reads a day, which begins at midnight UTC, as all times are told in,
// or a time of RFC 3339. One to come would keep nothing for its youth, and is
// more probably a slip.
func readDate(flag, value string, now time.Time) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, value)
	if err != nil {
		t, err = time.Parse(time.RFC3339, value)
	}
	if err != nil {
		return t, badValue(flag, value, "give a day, for example: --"+flag+" 2026-01-31")
	}
	if t.After(now) {
		return t, badValue(flag, value, "that is to come; to keep the newest run alone: --keep-last 1")
	}
	return t, nil
}

// maxAge is the greatest age: a history cannot be older, and much more does
// not fit into a time.Duration.
const maxAge = 100 * 365 * 24 * time.Hour

// readAge reads an age in days, weeks or in the units of time.Duration, and
// returns the time so long ago.
func readAge(flag, value string, now time.Time) (time.Time, error) {
	const day = 24 * time.Hour
	age, err := time.ParseDuration(value)
	for suffix, unit := range map[string]time.Duration{"d": day, "w": 7 * day} {
		number, ok := strings.CutSuffix(value, suffix)
		if !ok {
			continue
		}
		var n uint64
		n, err = strconv.ParseUint(number, 10, 32)
		age = time.Duration(min(n, uint64(maxAge/unit)+1)) * unit // what is too much stays so
	}
	if err != nil || age <= 0 || age > maxAge {
		return now, badValue(flag, value, "give an age, for example: --"+flag+" 90d (or 12w, 36h)")
	}
	return now.Add(-age), nil
}

// tellPruned says what was removed, or would be.
func (p *program) tellPruned(path string, want store.Prune, got store.Pruned) error {
	path = report.Screen(path)
	if got.Runs == 0 {
		_, err := fmt.Fprintf(p.out, "%s: nothing to remove\n", path)
		return err
	}
	for _, f := range got.From {
		_, err := fmt.Fprint(p.out, report.Columns(report.Screen(fmt.Sprintf("%s from %s", f.Target, f.Vantage)), 40, runRanges(f.Runs)))
		if err != nil {
			return err
		}
	}
	runs := "1 run"
	if got.Runs > 1 {
		runs = fmt.Sprintf("%d runs", got.Runs)
	}
	text := fmt.Sprintf("%s: removed %s; %d bytes of the file are free for new ones", path, runs, got.Bytes)
	switch {
	case want.DryRun:
		text = fmt.Sprintf("%s: would remove %s, and free %d bytes; nothing was removed", path, runs, got.Bytes)
	case got.Returned:
		text = fmt.Sprintf("%s: removed %s; the file is %d bytes smaller", path, runs, got.Bytes)
	}
	_, err := fmt.Fprintln(p.out, text)
	return err
}

// runRanges is "runs 1-7, 9" of ascending numbers.
func runRanges(ids []int64) string {
	var parts []string
	for i := 0; i < len(ids); {
		end := i
		for end+1 < len(ids) && ids[end+1] == ids[end]+1 {
			end++
		}
		part := strconv.FormatInt(ids[i], 10)
		if end > i {
			part += "-" + strconv.FormatInt(ids[end], 10)
		}
		parts = append(parts, part)
		i = end + 1
	}
	if len(ids) == 1 {
		return "run " + parts[0]
	}
	return "runs " + strings.Join(parts, ", ")
}
