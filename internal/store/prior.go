package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"mailaudit/internal/audit"
)

// Prior returns what a new run of the target is compared with: the last
// complete run of the same kind from the same vantage, of any scope; for want
// of one the last from any other vantage. Its Base is nil when there is none.
func (db *DB) Prior(ctx context.Context, target string, kind audit.Kind, vantage string) (audit.Prior, error) {
	return db.priorBefore(ctx, target, kind, vantage, math.MaxInt64)
}

// PriorBefore is what a stored run was compared with when it was made: Prior
// as it stood then.
func (db *DB) PriorBefore(ctx context.Context, run *audit.Run) (audit.Prior, error) {
	return db.priorBefore(ctx, run.Target, run.Kind, run.Snapshot.Vantage.Name, run.ID)
}

func (db *DB) priorBefore(ctx context.Context, target string, kind audit.Kind, vantage string, before int64) (audit.Prior, error) {
	var prior audit.Prior
	err := db.read(ctx, func(tx *sql.Tx) error {
		prior = audit.Prior{}
		var same, other sql.NullInt64
		err := tx.QueryRowContext(ctx, `WITH last AS (
				SELECT vantage, (SELECT max(id) FROM runs WHERE stream = s.id AND state = 'complete' AND id < ?) AS run
				FROM streams s WHERE target = ? AND kind = ?)
			SELECT max(run) FILTER (WHERE vantage = ?), max(run) FROM last`, before, target, string(kind), vantage).Scan(&same, &other)
		if err != nil || !other.Valid {
			return err
		}
		base := same.Int64
		if !same.Valid {
			base = other.Int64
		}
		prior, err = db.priorOf(ctx, tx, base)
		prior.OtherVantage = !same.Valid
		return err
	})
	if err != nil {
		return audit.Prior{}, err
	}
	return prior, nil
}

// PriorOf is Prior with a named base. A base that does not exist or is not
// complete is an *audit.InputError: half a run is never compared.
func (db *DB) PriorOf(ctx context.Context, base int64) (audit.Prior, error) {
	var prior audit.Prior
	err := db.read(ctx, func(tx *sql.Tx) error {
		var err error
		prior, err = db.priorOf(ctx, tx, base)
		return err
	})
	if err != nil {
		return audit.Prior{}, err
	}
	return prior, nil
}

func (db *DB) priorOf(ctx context.Context, tx *sql.Tx, id int64) (audit.Prior, error) {
	base, err := db.loadRun(ctx, tx, id)
	if err != nil {
		return audit.Prior{}, err
	}
	if base.State != audit.Complete {
		return audit.Prior{}, &audit.InputError{
			Problem: fmt.Sprintf("run %d is %s; only complete runs are compared", id, base.State),
			Hint:    "mailaudit runs lists them",
		}
	}
	series, err := loadSeries(ctx, tx, base)
	if err != nil {
		return audit.Prior{}, err
	}
	prior := audit.Prior{Base: base, Verdicts: make(map[audit.Key]audit.Verdict, len(series))}
	for key, spans := range series {
		prior.Verdicts[key], err = db.verdict(ctx, tx, spans)
		if err != nil {
			return audit.Prior{}, err
		}
	}
	return prior, nil
}

// known is a span of pass or fail as it stood at the base run.
type known struct {
	stream, first, last int64 // last is at most the base
	status              audit.Status
	severity            audit.Severity
}

// loadSeries lists the known verdicts up to and including base from its
// vantage, over all scopes, by question. Spans of aborted runs are left out:
// their streams have no complete run.
func loadSeries(ctx context.Context, tx *sql.Tx, base *audit.Run) (map[audit.Key][]known, error) {
	rows, err := tx.QueryContext(ctx, `WITH at AS (
			SELECT id, (SELECT max(id) FROM runs WHERE stream = s.id AND state = 'complete' AND id <= ?1) AS last
			FROM streams s WHERE target = ?2 AND kind = ?3 AND vantage = ?4)
		SELECT q.rule, q.subject, s.stream, s.first_run, min(coalesce(s.last_run, at.last), at.last), s.status, s.severity
		FROM at JOIN spans s ON s.stream = at.id JOIN questions q ON q.id = s.question
		WHERE s.first_run <= at.last AND s.status IN ('pass', 'fail')`,
		base.ID, base.Target, string(base.Kind), base.Snapshot.Vantage.Name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	series := map[audit.Key][]known{}
	for rows.Next() {
		var key audit.Key
		var k known
		err = rows.Scan(&key.Rule, &key.Subject, &k.stream, &k.first, &k.last, &k.status, &k.severity)
		if err != nil {
			return nil, err
		}
		series[key] = append(series[key], k)
	}
	return series, rows.Err()
}

// verdict is the last known one of a question, and since when: the first run
// after the last that said the opposite. Streams overlap, so a span may have
// begun before that run and gone on after it.
func (db *DB) verdict(ctx context.Context, tx *sql.Tx, spans []known) (audit.Verdict, error) {
	latest := slices.MaxFunc(spans, func(a, b known) int { return cmp.Compare(a.last, b.last) })
	opposite := int64(0)
	for _, s := range spans {
		if s.status != latest.status {
			opposite = max(opposite, s.last)
		}
	}
	first := latest.last
	for _, s := range spans {
		if s.status != latest.status || s.last <= opposite {
			continue
		}
		from := s.first
		if from <= opposite {
			err := tx.QueryRowContext(ctx, "SELECT min(id) FROM runs WHERE stream = ? AND id > ? AND state = 'complete'", s.stream, opposite).Scan(&from)
			if err != nil {
				return audit.Verdict{}, err
			}
		}
		first = min(first, from)
	}
	since, err := db.startOf(ctx, tx, first)
	return audit.Verdict{Status: latest.status, Severity: latest.severity, Run: latest.last, Since: since}, err
}

func (db *DB) startOf(ctx context.Context, tx *sql.Tx, run int64) (time.Time, error) {
	var started string
	err := tx.QueryRowContext(ctx, "SELECT started FROM runs WHERE id = ?", run).Scan(&started)
	if err != nil {
		return time.Time{}, err
	}
	t, err := parseTime(started)
	if err != nil {
		return time.Time{}, damaged(db.path, "run %d: %v", run, err)
	}
	return t, nil
}
