package store

import (
	"context"
	"database/sql"

	"mailaudit/internal/audit"
)

// link is a finished run as a link of its stream.
type link struct {
	id, stream                 int64
	facts, past, layout, score int64 // 0 in a pruned one
	solo, changed, pruned      bool
	started, finished          string
}

// edges says at which runs spans begin and after which they end.
type edges struct{ begin, end map[int64]bool }

func (c *checker) edges(ctx context.Context) (edges, error) {
	e := edges{map[int64]bool{}, map[int64]bool{}}
	err := c.each(ctx, func(rows *sql.Rows) error {
		var first int64
		var last sql.NullInt64
		err := rows.Scan(&first, &last)
		e.begin[first] = true
		if last.Valid {
			e.end[last.Int64] = true
		}
		return err
	}, "SELECT DISTINCT first_run, last_run FROM spans")
	return e, err
}

// runs reads runs back. Where a run differs in nothing from the run before it,
// and no span begins or ends between them, reading the first proves the
// second: so a long quiet history is checked in the time of a short one.
func (c *checker) runs(ctx context.Context) error {
	e, err := c.edges(ctx)
	if err != nil {
		return err
	}
	links, err := c.links(ctx)
	if err != nil {
		return err
	}
	var prev link
	last, edge := int64(0), false // the row before, and whether a span has begun or ended since prev
	for _, run := range links {
		if run.stream != prev.stream {
			prev, last, edge = link{stream: run.stream}, 0, false
		}
		edge, last = edge || e.begin[run.id] || e.end[last], run.id
		if run.pruned {
			err = c.absorb(c.times(run))
			if err != nil {
				return err
			}
			continue
		}
		moved := prev.id == 0 || run.facts != prev.facts
		if edge && !moved { // what came and went with pruned runs is no change
			moved, err = differ(ctx, c.tx, run.stream, prev.id, run.id)
			if err != nil {
				return err
			}
		}
		if run.changed != (moved && !run.solo) {
			c.report("run %d: it is marked as having changed something, or not, and the opposite is true", run.id)
		}
		if moved || edge || run.past != prev.past || run.layout != prev.layout || run.score != prev.score {
			err = c.run(ctx, run.id)
		} else {
			err = c.times(run)
		}
		err = c.absorb(err)
		if err != nil {
			return err
		}
		prev, edge = run, false
	}
	return nil
}

// links lists the finished and the pruned runs, stream by stream.
func (c *checker) links(ctx context.Context) ([]link, error) {
	var links []link
	err := c.each(ctx, func(rows *sql.Rows) error {
		var l link
		err := rows.Scan(&l.id, &l.stream, &l.facts, &l.past, &l.layout, &l.score, &l.solo, &l.changed, &l.pruned, &l.started, &l.finished)
		links = append(links, l)
		return err
	}, `SELECT r.id, r.stream, coalesce(r.facts, 0), coalesce(r.past, 0), coalesce(r.layout, 0), coalesce(r.score, 0),
			s.solo <> 0, r.changed, r.state = 'pruned', r.started, coalesce(r.finished, r.started)
		FROM runs r JOIN streams s ON s.id = r.stream WHERE r.state <> 'running' ORDER BY r.stream, r.id`)
	return links, err
}

func (c *checker) times(run link) error {
	for _, text := range []string{run.started, run.finished} {
		_, err := parseTime(text)
		if err != nil {
			return damaged(c.db.path, "run %d: %v", run.id, err)
		}
	}
	return nil
}

// run reads one run and compares its counts with its findings.
func (c *checker) run(ctx context.Context, id int64) error {
	run, err := c.db.loadRun(ctx, c.tx, id)
	if err != nil {
		return err
	}
	want, err := countRun(run)
	if err != nil {
		return err
	}
	unknown := 0
	fails := make([]int, len(audit.Severities()))
	err = c.tx.QueryRowContext(ctx, "SELECT critical, high, medium, low, info, unknown FROM run_list WHERE id = ?", id).Scan(
		&fails[0], &fails[1], &fails[2], &fails[3], &fails[4], &unknown)
	if err != nil {
		return err
	}
	same := unknown == want.unknown
	for n, severity := range audit.Severities() {
		same = same && fails[n] == want.fails[severity]
	}
	if !same || !fits(run) {
		c.report("run %d: its counts are not those of its findings", id)
	}
	return nil
}

// fits reports whether the score of a run can be that of its findings. Which
// of them count on which axis is known to the rules alone, and to those of its
// time: but on all axes together there are no more than there are findings, and
// no fewer than are of a severity that counts.
func fits(run *audit.Run) bool {
	if len(run.Score.Axes) == 0 {
		return true // it was not scored
	}
	got := map[audit.Status]int{}
	for _, a := range run.Score.Axes {
		got[audit.Pass] += a.Pass
		got[audit.Fail] += a.Fail
		got[audit.UnknownStatus] += a.Unknown
	}
	least, most := map[audit.Status]int{}, map[audit.Status]int{}
	for _, f := range run.Findings {
		most[f.Status]++
		if f.Severity.AtLeast(audit.Low) {
			least[f.Status]++
		}
	}
	for _, s := range []audit.Status{audit.Pass, audit.Fail, audit.UnknownStatus} {
		if got[s] < least[s] || got[s] > most[s] {
			return false
		}
	}
	return 0 <= run.Score.Coverage && run.Score.Coverage <= 100
}
