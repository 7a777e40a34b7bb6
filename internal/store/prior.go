package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"mailaudit/internal/audit"
)

// Prior returns what a new run of the target is compared with: the last
// complete run of the same kind from the same vantage; for want of one the
// last from any other vantage. Runs that looked at all of the given areas come
// first: after a narrower run (--only mx) the next full one is compared with
// the last full one, or a fault that came in between would never be told. Base
// is nil when there is no run at all.
func (db *DB) Prior(ctx context.Context, target string, kind audit.Kind, vantage string, areas []audit.Area) (audit.Prior, error) {
	return db.priorBefore(ctx, target, kind, vantage, areas, math.MaxInt64)
}

// PriorBefore is what a stored run was compared with when it was made: Prior
// as it stood then.
func (db *DB) PriorBefore(ctx context.Context, run *audit.Run) (audit.Prior, error) {
	s := run.Snapshot
	return db.priorBefore(ctx, run.Target, run.Kind, s.Vantage.Name, s.Scope.Areas, run.ID)
}

func (db *DB) priorBefore(ctx context.Context, target string, kind audit.Kind, vantage string, areas []audit.Area, before int64) (audit.Prior, error) {
	var prior audit.Prior
	err := db.read(ctx, func(tx *sql.Tx) error {
		prior = audit.Prior{}
		bases, err := loadBases(ctx, tx, target, kind, before)
		if err != nil || len(bases) == 0 {
			return err
		}
		best := slices.MaxFunc(bases, func(a, b base) int {
			return cmp.Or(cmp.Compare(a.worth(vantage, areas), b.worth(vantage, areas)), cmp.Compare(a.run, b.run))
		})
		prior, err = db.priorOf(ctx, tx, best.run)
		if err != nil {
			return err
		}
		prior.OtherVantage = best.vantage != vantage
		last := lastBase(bases, best.vantage)
		if last > best.run {
			prior.Last, err = db.loadRun(ctx, tx, last)
		}
		return err
	})
	if err != nil {
		return audit.Prior{}, err
	}
	return prior, nil
}

// base is the last complete run of a stream.
type base struct {
	vantage string
	scope   audit.Scope
	run     int64
}

// worth orders bases: the same vantage before all else, then what looked at
// all of the areas.
func (b base) worth(vantage string, areas []audit.Area) int {
	w := 0
	if b.vantage == vantage {
		w += 2
	}
	if !slices.ContainsFunc(areas, func(a audit.Area) bool { return !b.scope.Has(a) }) {
		w++
	}
	return w
}

// lastBase is the last complete run from a vantage, whatever it looked at.
func lastBase(bases []base, vantage string) int64 {
	last := int64(0)
	for _, b := range bases {
		if b.vantage == vantage {
			last = max(last, b.run)
		}
	}
	return last
}

// loadBases lists the last complete run before a run id of every stream.
func loadBases(ctx context.Context, tx *sql.Tx, target string, kind audit.Kind, before int64) ([]base, error) {
	rows, err := tx.QueryContext(ctx, `SELECT s.vantage, c.json,
			(SELECT max(id) FROM runs WHERE stream = s.id AND state = 'complete' AND id < ?) AS last
		FROM streams s JOIN scopes c ON c.id = s.scope WHERE s.target = ? AND s.kind = ? AND last IS NOT NULL`,
		before, target, string(kind))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []base
	for rows.Next() {
		var b base
		var scope string
		err = rows.Scan(&b.vantage, &scope, &b.run)
		if err == nil {
			err = json.Unmarshal([]byte(scope), &b.scope)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, rows.Err()
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
	spans, err := db.loadKnown(ctx, tx, base)
	if err != nil {
		return audit.Prior{}, err
	}
	prior := audit.Prior{Base: base, Verdicts: make(map[audit.Key]audit.Verdict, len(spans))}
	for key, known := range spans {
		prior.Verdicts[key], err = db.verdict(ctx, tx, known)
		if err != nil {
			return audit.Prior{}, err
		}
	}
	return prior, nil
}

// loadKnown lists the known verdicts up to and including base from its
// vantage, over all scopes, by question. Spans of aborted runs are left out:
// their streams have no complete run.
func (db *DB) loadKnown(ctx context.Context, tx *sql.Tx, base *audit.Run) (map[audit.Key][]known, error) {
	rows, err := tx.QueryContext(ctx, `WITH at AS (
			SELECT id, (SELECT max(id) FROM runs WHERE stream = s.id AND state IN ('complete', 'pruned') AND id <= ?1) AS last
			FROM streams s WHERE target = ?2 AND kind = ?3 AND vantage = ?4)
		SELECT q.rule, q.subject, s.stream, s.first_run, min(coalesce(s.last_run, at.last), at.last), s.status, s.severity, r.started
		FROM at JOIN spans s ON s.stream = at.id JOIN questions q ON q.id = s.question JOIN runs r ON r.id = s.first_run
		WHERE s.first_run <= at.last AND s.status IN ('pass', 'fail')`,
		base.ID, base.Target, string(base.Kind), base.Snapshot.Vantage.Name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	spans := map[audit.Key][]known{}
	for rows.Next() {
		var key audit.Key
		var k known
		err = rows.Scan(&key.Rule, &key.Subject, &k.stream, &k.first, &k.last, &k.status, &k.severity, &k.started)
		if err != nil {
			return nil, err
		}
		spans[key] = append(spans[key], k)
	}
	return spans, rows.Err()
}

// verdict is the last known one of a question, and since when. Mostly the
// spans have the answer; only where streams overlap is there more to ask.
func (db *DB) verdict(ctx context.Context, tx *sql.Tx, spans []known) (audit.Verdict, error) {
	var err error
	s := judge(spans, func(stream, run int64) int64 {
		var id int64
		failed := tx.QueryRowContext(ctx, "SELECT min(id) FROM runs WHERE stream = ? AND id > ? AND state IN ('complete', 'pruned')", stream, run).Scan(&id)
		err = errors.Join(err, failed)
		return id
	})
	if err != nil {
		return audit.Verdict{}, err
	}
	v := audit.Verdict{Status: s.status, Severity: s.severity, Run: s.last, Turned: s.turned()}
	for _, k := range spans {
		if k.first == s.first {
			v.Since, err = db.startTime(s.first, k.started)
			return v, err
		}
	}
	v.Since, err = db.startOf(ctx, tx, s.first)
	return v, err
}

func (db *DB) startOf(ctx context.Context, tx *sql.Tx, run int64) (time.Time, error) {
	var started string
	err := tx.QueryRowContext(ctx, "SELECT started FROM runs WHERE id = ?", run).Scan(&started)
	if err != nil {
		return time.Time{}, err
	}
	return db.startTime(run, started)
}

func (db *DB) startTime(run int64, started string) (time.Time, error) {
	t, err := parseTime(started)
	if err != nil {
		return time.Time{}, damaged(db.path, "run %d: %v", run, err)
	}
	return t, nil
}
