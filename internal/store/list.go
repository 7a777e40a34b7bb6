package store

import (
	"context"
	"database/sql"
	"time"

	"mailaudit/internal/audit"
)

// Filter chooses runs. The zero Filter chooses all of them.
type Filter struct {
	Target string // "": of any target
	Tag    string // "": with any tag or none
	Limit  int    // the newest so many; 0: all
}

// Info is a run in one line.
type Info struct {
	ID       int64
	UID      string
	Kind     audit.Kind
	State    audit.RunState // may be Interrupted
	Target   string
	Vantage  string
	Started  time.Time
	Finished time.Time // zero when it has not finished
	Tag      string
	Note     string // a remark of the user, as it was typed
	// Changed: facts or findings differ from the run before it in its stream,
	// or there is none.
	Changed  bool
	Fails    map[audit.Severity]int // none is no entry
	Unknown  int                    // findings that could not be settled
	Coverage int                    // percent; 0 when it has not finished
	Judged   int                    // passes and fails that count: not those of severity info
	Score    audit.Score            // zero when it has not finished
}

// Runs lists runs, newest first.
func (db *DB) Runs(ctx context.Context, f Filter) ([]Info, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = -1 // SQLite's "no limit"
	}
	var out []Info
	err := db.read(ctx, func(tx *sql.Tx) error {
		out = nil
		note, err := db.noteColumn(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT l.id, l.uid, l.kind, l.state, l.target, l.vantage, l.started, l.finished, l.tag, `+note+`, l.changed,
				coalesce(l.coverage, 0), coalesce(l.critical, 0), coalesce(l.high, 0), coalesce(l.medium, 0), coalesce(l.low, 0),
				coalesce(l.info, 0), coalesce(l.unknown, 0), r.pid, r.host, c.axes
			FROM run_list l JOIN runs r ON r.id = l.id LEFT JOIN scores c ON c.id = r.score
			WHERE (?1 = '' OR l.target = ?1) AND (?2 = '' OR l.tag = ?2) ORDER BY l.id DESC LIMIT ?3`, f.Target, f.Tag, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			info, err := db.scanInfo(rows)
			if err != nil {
				return err
			}
			out = append(out, info)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (db *DB) scanInfo(rows *sql.Rows) (Info, error) {
	var i Info
	var started string
	var finished, host, score sql.NullString
	var pid sql.NullInt64
	severities := audit.Severities()
	fails := make([]int, len(severities))
	err := rows.Scan(&i.ID, &i.UID, &i.Kind, &i.State, &i.Target, &i.Vantage, &started, &finished, &i.Tag, &i.Note, &i.Changed,
		&i.Coverage, &fails[0], &fails[1], &fails[2], &fails[3], &fails[4], &i.Unknown, &pid, &host, &score)
	if err != nil {
		return Info{}, err
	}
	i.Started, err = parseTime(started)
	if err == nil {
		i.Finished, err = timeOr(finished, time.Time{})
	}
	if err == nil && score.Valid {
		i.Score, err = decodeScore(score.String, i.Coverage)
	}
	if err != nil {
		return Info{}, damaged(db.path, "run %d: %v", i.ID, err)
	}
	for _, a := range i.Score.Axes {
		i.Judged += a.Pass + a.Fail
	}
	i.Fails = map[audit.Severity]int{}
	for n, severity := range severities {
		if fails[n] > 0 {
			i.Fails[severity] = fails[n]
		}
	}
	i.State = db.stateOf(i.State, i.Started, process{int(pid.Int64), host.String})
	return i, nil
}
