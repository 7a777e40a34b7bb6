package store

import (
	"context"
	"database/sql"
	"fmt"

	"mailaudit/internal/audit"
)

// pastFacts looks for runs that go and that Past needs: the last to see some
// mail host. Of their facts the part that says so stays. The result has it by
// run, as a set of facts of its own.
func (p *pruner) pastFacts(ctx context.Context, g group, l *landscape) (map[int64]int64, error) {
	_, seen, err := p.db.pastHosts(ctx, p.tx, g.target, audit.Kind(g.kind), g.vantage)
	if err != nil {
		return nil, err
	}
	stays := make(map[int64]bool, len(l.bases))
	for _, run := range l.bases {
		stays[run] = true
	}
	out := map[int64]int64{}
	for _, part := range seen {
		if stays[part.run] {
			continue
		}
		content, err := p.db.loadBlob(ctx, p.tx, part.blob)
		if err != nil {
			return nil, err
		}
		var format int
		err = p.tx.QueryRowContext(ctx, "SELECT f.format FROM runs r JOIN facts f ON f.id = r.facts WHERE r.id = ?", part.run).Scan(&format)
		if err != nil {
			return nil, err
		}
		out[part.run], err = p.db.internFacts(ctx, p.tx, format, []audit.Part{{Name: mxPart, JSON: content}})
		if err != nil {
			return nil, err
		}
		l.refs[part.run] = true
	}
	return out, nil
}

// closeGaps sets anew which runs have changed something, where the run before
// them is gone.
func (p *pruner) closeGaps(ctx context.Context, l *landscape) error {
	prev, gap := map[int64]int64{}, map[int64]bool{} // by stream
	for _, run := range l.runs {
		switch {
		case run.state != audit.Complete:
		case run.doomed:
			gap[run.stream] = true
		default:
			if gap[run.stream] {
				changed, err := differ(ctx, p.tx, run.stream, prev[run.stream], run.id)
				if err != nil {
					return err
				}
				_, err = p.tx.ExecContext(ctx, "UPDATE runs SET changed = ? WHERE id = ?", changed, run.id)
				if err != nil {
					return err
				}
			}
			prev[run.stream], gap[run.stream] = run.id, false
		}
	}
	return nil
}

// differ reports whether a run has other facts or findings than another one of
// its stream. Run 0, which is none, differs from every other.
func differ(ctx context.Context, tx *sql.Tx, stream, a, b int64) (bool, error) {
	var yes bool
	err := tx.QueryRowContext(ctx, `WITH
			a AS (SELECT question, status, severity, body FROM spans WHERE stream = ?1 AND first_run <= ?2 AND (last_run IS NULL OR last_run >= ?2)),
			b AS (SELECT question, status, severity, body FROM spans WHERE stream = ?1 AND first_run <= ?3 AND (last_run IS NULL OR last_run >= ?3))
		SELECT (SELECT facts FROM runs WHERE id = ?2) IS NOT (SELECT facts FROM runs WHERE id = ?3)
			OR EXISTS (SELECT * FROM a EXCEPT SELECT * FROM b) OR EXISTS (SELECT * FROM b EXCEPT SELECT * FROM a)`, stream, a, b).Scan(&yes)
	return yes, err
}

// sweep removes what nothing refers to any more.
func (p *pruner) sweep(ctx context.Context) error {
	for _, d := range []struct {
		statement string
		count     *int
	}{
		{"DELETE FROM facts WHERE id NOT IN (SELECT facts FROM runs WHERE facts IS NOT NULL)", nil},
		{"DELETE FROM fact_parts WHERE facts NOT IN (SELECT id FROM facts)", nil},
		{`DELETE FROM blobs WHERE id NOT IN (SELECT blob FROM fact_parts UNION SELECT past FROM runs WHERE past IS NOT NULL
			UNION SELECT layout FROM runs WHERE layout IS NOT NULL)`, &p.out.Blobs},
		{"DELETE FROM scores WHERE id NOT IN (SELECT score FROM runs WHERE score IS NOT NULL)", nil},
		{"DELETE FROM bodies WHERE id NOT IN (SELECT body FROM spans)", nil},
		{"DELETE FROM questions WHERE id NOT IN (SELECT question FROM spans)", nil},
		{"DELETE FROM streams WHERE id NOT IN (SELECT stream FROM runs)", nil},
		{"DELETE FROM scopes WHERE id NOT IN (SELECT scope FROM streams)", nil},
		{"DELETE FROM tools WHERE id NOT IN (SELECT tool FROM runs)", nil},
		{"DELETE FROM vantages WHERE id NOT IN (SELECT vantage FROM runs)", nil},
	} {
		res, err := p.tx.ExecContext(ctx, d.statement)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if d.count != nil {
			*d.count += int(n)
		}
	}
	return nil
}

// proveReferences fails when anything refers to what is gone.
func (p *pruner) proveReferences(ctx context.Context) error {
	c := checker{db: p.db, tx: p.tx}
	err := c.references(ctx)
	if err == nil && len(c.problems) > 0 {
		err = fmt.Errorf("nothing was pruned, because something would be missing: %s", c.problems[0])
	}
	return err
}

// compactShare: a file of which at least one part in so many is free is
// written anew.
const compactShare = 10

// compact gives free space back to the system when it is much. The file is
// whole at every moment, and as it was when there is no room for the new one.
func (out *Pruned) compact(ctx context.Context, pool *sql.DB) error {
	const ask = "SELECT page_size, page_count, freelist_count FROM pragma_page_size, pragma_page_count, pragma_freelist_count"
	var size, pages, free, left int64
	err := pool.QueryRowContext(ctx, ask).Scan(&size, &pages, &free)
	if err != nil || free*compactShare < pages {
		return err
	}
	_, err = pool.ExecContext(ctx, "VACUUM")
	if isFull(err) || isBusy(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = pool.QueryRowContext(ctx, ask).Scan(&size, &left, &free)
	if err != nil {
		return err
	}
	out.Bytes, out.Returned = (pages-left)*size, true
	// In WAL mode the file shrinks when the log is written back to it, which a
	// reader may delay until the next writer comes.
	_, err = pool.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}
