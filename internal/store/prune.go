package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mailaudit/internal/audit"
)

// Prune says which runs to remove. A run goes only when nothing keeps it:
// KeepLast and Before are two reasons to stay, and one of them must be given.
type Prune struct {
	Target string // "": of every target
	// KeepLast keeps a run until so many complete ones of the same target,
	// kind, vantage and scope are newer. The newest of them stays in any case.
	KeepLast int
	Before   time.Time // keeps what has started at this time or later
	DryRun   bool      // remove nothing, but say what would go
}

// Pruned is what was removed.
type Pruned struct {
	Runs  int
	From  []PrunedFrom // the same runs, by what they were about
	Spans int          // findings, each with its series of runs
	Blobs int          // parts of facts and the like that no run refers to any more
	Bytes int64        // of the file, free now for later runs; when Returned, by how much it became smaller
	// Returned: so much of the file was free that it was written anew and gave
	// the space back to the system. A full disk or a busy file prevents that,
	// and the next Prune tries again. A dry run does not tell.
	Returned bool
}

// PrunedFrom is the runs of one target, kind and vantage that were removed, at
// least one.
type PrunedFrom struct {
	Target, Kind, Vantage string
	Runs                  []int64 // in ascending order
}

// Prune removes whole runs, in one transaction. It leaves alone the newest
// complete run of each target, kind, vantage and scope, runs that still run,
// and what is newer than those: a run that ends late is a link in the middle.
//
// An error after the removal, in the attempt to make the file smaller, comes
// with what was removed.
//
// What is left reads back as before, and every verdict about it says what it
// said, since when it said so: "since" does not grow younger. Where it rests on
// a run that is gone, that run's number and start stay behind, see the state
// pruned in schema.sql; so audit.Verdict.Run may name a run that cannot be read
// any more. The same holds for Past, and for the views history and verdicts,
// which lose rows and change none.
func (db *DB) Prune(ctx context.Context, want Prune) (Pruned, error) {
	if want.KeepLast < 0 || want.KeepLast == 0 && want.Before.IsZero() {
		return Pruned{}, &audit.InputError{
			Problem: "nothing says which runs to keep",
			Hint:    "name how many of the last runs, or from which day on",
		}
	}
	if db.reader {
		return Pruned{}, readOnly(db.path, nil)
	}
	var out Pruned
	committed := false
	err := db.exclusive(ctx, func() error {
		// Not one of the pool: SQLite reads all runs to prove that nothing
		// refers to a blob before it lets it go. What is left is proved at the
		// end, once and for all.
		pool, err := connect(ctx, writeDSN(db.path, db.opts, "_foreign_keys=0"), db.opts.busy)
		if err != nil {
			return err
		}
		pool.SetMaxOpenConns(1)
		err = transact(ctx, pool, func(tx *sql.Tx) error {
			p := pruner{db: db, tx: tx}
			err := p.prune(ctx, want)
			out = p.out
			if err == nil && want.DryRun {
				err = errDryRun
			}
			return err
		})
		committed = err == nil
		if committed {
			db.announce("pruned")
			err = out.compact(ctx, pool)
		}
		return errors.Join(err, pool.Close())
	})
	switch {
	case errors.Is(err, errDryRun):
		return out, nil
	case !committed && isFull(err):
		return Pruned{}, &Error{Problem: "no space left for " + db.path + ": removing takes some while it is done; nothing was removed", Hint: "make room elsewhere on the disk", Err: err}
	case !committed:
		return Pruned{}, err
	}
	return out, err
}

// errDryRun takes back what was removed.
var errDryRun = errors.New("dry run")

// pruner works in one transaction.
type pruner struct {
	db  *DB
	tx  *sql.Tx
	out Pruned
}

func (p *pruner) prune(ctx context.Context, want Prune) error {
	before, err := p.freePages(ctx)
	if err != nil {
		return err
	}
	groups, err := p.choose(ctx, want)
	if err != nil {
		return err
	}
	for _, g := range groups {
		err = p.group(ctx, g)
		if err != nil {
			return err
		}
	}
	if len(groups) == 0 {
		return nil
	}
	p.db.announce("pruning")
	err = p.sweep(ctx)
	if err != nil {
		return err
	}
	err = p.proveReferences(ctx)
	if err != nil {
		return err
	}
	after, err := p.freePages(ctx)
	if err != nil {
		return err
	}
	var size int64
	err = p.tx.QueryRowContext(ctx, "PRAGMA page_size").Scan(&size)
	p.out.Bytes = max(0, after-before) * size
	return err
}

func (p *pruner) freePages(ctx context.Context) (int64, error) {
	var n int64
	err := p.tx.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&n)
	return n, err
}

// group is what shares verdicts; the runs of it that go, and those that still
// run.
type group struct {
	target, kind, vantage string
	doomed, live          []int64
}

// candidate is a run that nothing keeps, or one that is stored as running.
type candidate struct {
	id    int64
	group group
	goes  bool // nothing keeps it
	live  bool // and it still runs
}

// choose lists what goes, by group.
func (p *pruner) choose(ctx context.Context, want Prune) ([]group, error) {
	found, err := p.candidates(ctx, want)
	if err != nil {
		return nil, err
	}
	var groups []group
	for _, c := range found {
		if len(groups) == 0 || !groups[len(groups)-1].same(c.group) {
			groups = append(groups, c.group)
		}
		g := &groups[len(groups)-1]
		switch {
		case c.live:
			g.live = append(g.live, c.id)
		case c.goes && len(g.live) == 0:
			g.doomed = append(g.doomed, c.id)
		}
	}
	some := groups[:0]
	for _, g := range groups {
		if len(g.doomed) > 0 {
			some = append(some, g)
		}
	}
	return some, nil
}

func (g group) same(o group) bool {
	return g.target == o.target && g.kind == o.kind && g.vantage == o.vantage
}

// candidates is ordered by group and run.
func (p *pruner) candidates(ctx context.Context, want Prune) ([]candidate, error) {
	before := ""
	if !want.Before.IsZero() {
		before = formatTime(want.Before)
	}
	rows, err := p.tx.QueryContext(ctx, `WITH ranked AS (
			SELECT r.id, r.state, r.started, r.pid, r.host, s.target, s.kind, s.vantage,
				coalesce(sum(r.state = 'complete') OVER (PARTITION BY s.target, s.kind, s.vantage, s.scope
					ORDER BY r.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS newer
			FROM runs r JOIN streams s ON s.id = r.stream WHERE r.state <> 'pruned' AND (?1 = '' OR s.target = ?1)
		), judged AS (
			SELECT *, newer >= max(?2, state = 'complete') AND (?3 = '' OR started < ?3) AS goes FROM ranked)
		SELECT id, state, started, pid, host, target, kind, vantage, goes FROM judged WHERE goes OR state = 'running'
		ORDER BY target, kind, vantage, id`, want.Target, want.KeepLast, before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []candidate
	for rows.Next() {
		var c candidate
		var state audit.RunState
		var text string
		var pid sql.NullInt64
		var host sql.NullString
		err = rows.Scan(&c.id, &state, &text, &pid, &host, &c.group.target, &c.group.kind, &c.group.vantage, &c.goes)
		if err != nil {
			return nil, err
		}
		started, err := p.db.startTime(c.id, text)
		if err != nil {
			return nil, err
		}
		c.live = p.db.stateOf(state, started, process{int(pid.Int64), host.String}) == audit.Running
		out = append(out, c)
	}
	return out, rows.Err()
}

// group removes the runs of one group.
func (p *pruner) group(ctx context.Context, g group) error {
	l, err := p.look(ctx, g)
	if err != nil {
		return err
	}
	hosts, err := p.pastFacts(ctx, g, l)
	if err != nil {
		return err
	}
	l.plan()
	var spans [][3]int64
	for _, s := range l.spans {
		if !s.keep {
			spans = append(spans, [3]int64{s.stream, s.question, s.first})
		}
	}
	var gone, bare []int64 // without a trace, and as a number and a time
	for _, run := range l.runs {
		switch {
		case !run.doomed && run.state != pruned:
		case l.refs[run.id]:
			bare = append(bare, run.id)
		default:
			gone = append(gone, run.id)
		}
	}
	p.out.Runs += len(g.doomed)
	p.out.From = append(p.out.From, PrunedFrom{g.target, g.kind, g.vantage, g.doomed})
	p.out.Spans += len(spans)
	for _, d := range []struct {
		statement string
		what      any
	}{
		{"DELETE FROM spans WHERE (stream, question, first_run) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))", spans},
		{"DELETE FROM sidecars WHERE run IN (SELECT value FROM json_each(?))", g.doomed},
		{"DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))", gone},
		{`UPDATE runs SET state = 'pruned', changed = 0, tag = '', note = '', finished = NULL, domain = NULL, at = NULL,
			facts = NULL, past = NULL, layout = NULL, score = NULL, pid = NULL, host = NULL WHERE id IN (SELECT value FROM json_each(?))`, bare},
	} {
		list, err := json.Marshal(d.what) // of nothing: null, which is no id
		if err != nil {
			return fmt.Errorf("encode a list of numbers: %w", err)
		}
		_, err = p.tx.ExecContext(ctx, d.statement, string(list))
		if err != nil {
			return err
		}
	}
	for run, facts := range hosts {
		_, err = p.tx.ExecContext(ctx, "UPDATE runs SET facts = ? WHERE id = ?", facts, run)
		if err != nil {
			return err
		}
	}
	return p.closeGaps(ctx, l)
}
