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

// Run returns the run with this id, whole; with its sidecar when that was
// kept. A run that has not finished comes without facts, findings and score,
// its state Running or Interrupted. When there is no such run, the error is an
// *audit.InputError that names the newest.
func (db *DB) Run(ctx context.Context, id int64) (*audit.Run, error) {
	var run *audit.Run
	err := db.read(ctx, func(tx *sql.Tx) error {
		var err error
		run, err = db.loadRun(ctx, tx, id)
		if err != nil || run.State == audit.Running || run.State == Interrupted {
			return err
		}
		return db.loadSidecar(ctx, tx, run)
	})
	if err != nil {
		return nil, err
	}
	return run, nil
}

// Latest returns the last complete run of a target, of any kind, scope and
// vantage, whole. When there is none, the error is an *audit.InputError.
func (db *DB) Latest(ctx context.Context, target string) (*audit.Run, error) {
	var run *audit.Run
	err := db.read(ctx, func(tx *sql.Tx) error {
		var id sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT max((SELECT max(id) FROM runs WHERE stream = s.id AND state = 'complete'))
			FROM streams s WHERE target = ?`, target).Scan(&id)
		if err != nil {
			return err
		}
		if !id.Valid {
			return &audit.InputError{
				Problem: "there is no complete run of " + audit.Raw(target).Clip(200).String() + " in the history",
				Hint:    "mailaudit runs lists what there is",
			}
		}
		run, err = db.loadRun(ctx, tx, id.Int64)
		if err != nil {
			return err
		}
		return db.loadSidecar(ctx, tx, run)
	})
	if err != nil {
		return nil, err
	}
	return run, nil
}

// runRow is a run as its row and those it refers to have it.
type runRow struct {
	run                             audit.Run
	stream                          int64
	started, scope                  string
	finished, domain, at, score     sql.NullString
	facts, past, layout, pid, cover sql.NullInt64
	host                            sql.NullString
}

func (db *DB) loadRun(ctx context.Context, tx *sql.Tx, id int64) (*audit.Run, error) {
	r := runRow{run: audit.Run{ID: id}}
	note, err := db.noteColumn(ctx, tx)
	if err != nil {
		return nil, err
	}
	err = tx.QueryRowContext(ctx, `SELECT r.uid, s.kind, r.state, s.target, r.tag, `+note+`, r.started, r.finished, r.domain, r.at,
			t.version, t.catalogue, v.name, v.helo, o.json, r.stream, r.facts, r.past, r.layout, r.pid, r.host, c.coverage, c.axes
		FROM runs r JOIN streams s ON s.id = r.stream JOIN scopes o ON o.id = s.scope
		JOIN tools t ON t.id = r.tool JOIN vantages v ON v.id = r.vantage LEFT JOIN scores c ON c.id = r.score
		WHERE r.id = ? AND r.state <> 'pruned'`, id).Scan(&r.run.UID, &r.run.Kind, &r.run.State, &r.run.Target, &r.run.Tag, &r.run.Note, &r.started, &r.finished, &r.domain, &r.at,
		&r.run.Tool.Version, &r.run.Tool.Catalogue, &r.run.Snapshot.Vantage.Name, &r.run.Snapshot.Vantage.HELO,
		&r.scope, &r.stream, &r.facts, &r.past, &r.layout, &r.pid, &r.host, &r.cover, &r.score)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, noRun(ctx, tx, id)
	}
	if err != nil {
		return nil, err
	}
	err = r.decode()
	if err != nil {
		return nil, damaged(db.path, "run %d: %v", id, err)
	}
	run := &r.run
	run.State = db.stateOf(run.State, run.Started, process{int(r.pid.Int64), r.host.String})
	if !r.facts.Valid {
		return run, nil
	}
	run.Snapshot.Facts, err = db.loadFacts(ctx, tx, r.facts.Int64)
	if err == nil {
		err = db.loadJSON(ctx, tx, r.past.Int64, &run.Snapshot.Past)
	}
	if err == nil {
		run.Findings, err = db.loadFindings(ctx, tx, id, r.stream, r.layout.Int64)
	}
	if err != nil {
		return nil, err
	}
	return run, nil
}

// noRun is the error for an id that no run has.
func noRun(ctx context.Context, tx *sql.Tx, id int64) error {
	var newest sql.NullInt64
	err := tx.QueryRowContext(ctx, "SELECT max(id) FROM runs WHERE state <> 'pruned'").Scan(&newest)
	if err != nil {
		return err
	}
	if !newest.Valid {
		return &audit.InputError{Problem: fmt.Sprintf("there is no run %d: the history is empty", id), Hint: "mailaudit audit DOMAIN begins it"}
	}
	return &audit.InputError{Problem: fmt.Sprintf("there is no run %d; the newest is %d", id, newest.Int64), Hint: "mailaudit runs lists them"}
}

// decode turns stored text into the fields of the run.
func (r *runRow) decode() error {
	run := &r.run
	var err error
	run.Started, err = parseTime(r.started)
	if err != nil {
		return err
	}
	run.Finished, err = timeOr(r.finished, time.Time{})
	if err != nil {
		return err
	}
	run.Snapshot.At, err = timeOr(r.at, run.Started)
	if err != nil {
		return err
	}
	if !r.domain.Valid {
		r.domain.String = run.Target
	}
	run.Snapshot.Domain, err = decodeDomain(r.domain.String)
	if err != nil {
		return err
	}
	err = json.Unmarshal([]byte(r.scope), &run.Snapshot.Scope)
	if err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	if !r.score.Valid {
		return nil
	}
	run.Score, err = decodeScore(r.score.String, int(r.cover.Int64))
	if err != nil {
		return fmt.Errorf("score: %w", err)
	}
	return nil
}

// timeOr parses a time that may be NULL, which means otherwise.
func timeOr(text sql.NullString, otherwise time.Time) (time.Time, error) {
	if !text.Valid {
		return otherwise, nil
	}
	return parseTime(text.String)
}

func decodeDomain(text string) (audit.Domain, error) {
	var d audit.Domain
	quoted, err := json.Marshal(text)
	if err != nil {
		return d, err
	}
	err = d.UnmarshalJSON(quoted)
	return d, err
}

// loadBlob returns content and proves that it is what was stored.
func (db *DB) loadBlob(ctx context.Context, tx *sql.Tx, id int64) ([]byte, error) {
	b, err := scanBlob(tx.QueryRowContext(ctx, "SELECT sha256, size, zstd, data FROM blobs WHERE id = ?", id))
	if err != nil {
		return nil, err
	}
	content, err := db.open(b)
	if err != nil {
		return nil, damaged(db.path, "blob %d: %v", id, err)
	}
	return content, nil
}

func (db *DB) loadJSON(ctx context.Context, tx *sql.Tx, blob int64, into any) error {
	content, err := db.loadBlob(ctx, tx, blob)
	if err != nil {
		return err
	}
	err = json.Unmarshal(content, into)
	if err != nil {
		return damaged(db.path, "blob %d: %v", blob, err)
	}
	return nil
}

func (db *DB) loadFacts(ctx context.Context, tx *sql.Tx, id int64) (audit.Facts, error) {
	parts, format, err := db.loadParts(ctx, tx, id)
	if err != nil {
		return audit.Facts{}, err
	}
	if format > audit.FactsFormat {
		return audit.Facts{}, &Error{
			Problem: fmt.Sprintf("%s holds facts of a newer mailaudit (format %d; this program reads %d)", db.path, format, audit.FactsFormat),
			Hint:    "upgrade mailaudit",
		}
	}
	facts, err := audit.FactsFromParts(parts)
	if err != nil {
		return audit.Facts{}, damaged(db.path, "%v", err)
	}
	return facts, nil
}

// loadParts returns a set of facts in its stored form.
func (db *DB) loadParts(ctx context.Context, tx *sql.Tx, id int64) ([]audit.Part, int, error) {
	rows, err := tx.QueryContext(ctx, `SELECT f.format, p.name, b.sha256, b.size, b.zstd, b.data
		FROM facts f JOIN fact_parts p ON p.facts = f.id JOIN blobs b ON b.id = p.blob WHERE f.id = ?`, id)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	var parts []audit.Part
	format := 0
	for rows.Next() {
		var p audit.Part
		var b blob
		err = rows.Scan(&format, &p.Name, &b.sum, &b.size, &b.packed, &b.data)
		if err != nil {
			return nil, 0, err
		}
		p.JSON, err = db.open(b)
		if err != nil {
			return nil, 0, damaged(db.path, "facts %d, %s: %v", id, audit.Raw(p.Name), err)
		}
		parts = append(parts, p)
	}
	return parts, format, rows.Err()
}

// loadFindings returns the findings of a run in the order of its layout.
func (db *DB) loadFindings(ctx context.Context, tx *sql.Tx, run, stream, layout int64) ([]audit.Finding, error) {
	var order []int64
	err := db.loadJSON(ctx, tx, layout, &order)
	if err != nil {
		return nil, err
	}
	found, err := db.spansAt(ctx, tx, run, stream)
	if err != nil {
		return nil, err
	}
	if len(found) != len(order) {
		return nil, damaged(db.path, "run %d has %d findings instead of %d", run, len(found), len(order))
	}
	if order == nil {
		return nil, nil
	}
	findings := make([]audit.Finding, 0, len(order))
	for _, question := range order {
		f, ok := found[question]
		if !ok {
			return nil, damaged(db.path, "run %d lacks its finding about question %d", run, question)
		}
		findings = append(findings, f)
	}
	return findings, nil
}

// spansAt returns what held at a run of a stream, by question.
func (db *DB) spansAt(ctx context.Context, tx *sql.Tx, run, stream int64) (map[int64]audit.Finding, error) {
	rows, err := tx.QueryContext(ctx, `SELECT s.question, q.rule, q.subject, s.status, s.severity, b.detail, b.cause, b.evidence, b.fix
		FROM spans s JOIN questions q ON q.id = s.question JOIN bodies b ON b.id = s.body
		WHERE s.stream = ?1 AND s.first_run <= ?2 AND (s.last_run IS NULL OR s.last_run >= ?2)`, stream, run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[int64]audit.Finding{}
	for rows.Next() {
		var question int64
		var f audit.Finding
		var b body
		err = rows.Scan(&question, &f.Rule, &f.Subject, &f.Status, &f.Severity, &b.detail, &b.cause, &b.evidence, &b.fix)
		if err != nil {
			return nil, err
		}
		err = b.decodeInto(&f)
		if err != nil {
			return nil, damaged(db.path, "run %d: %v", run, err)
		}
		_, twice := found[question]
		if twice {
			return nil, damaged(db.path, "run %d has two findings of %s about %s", run, audit.Raw(f.Rule), audit.Raw(f.Subject))
		}
		found[question] = f
	}
	return found, rows.Err()
}

// loadSidecar fills in the sidecar; when it was not kept there is nothing to
// fill in.
func (db *DB) loadSidecar(ctx context.Context, tx *sql.Tx, run *audit.Run) error {
	b := blob{packed: true}
	err := tx.QueryRowContext(ctx, "SELECT size, data FROM sidecars WHERE run = ?", run.ID).Scan(&b.size, &b.data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return db.decodeSidecar(b, run)
}

func (db *DB) decodeSidecar(b blob, run *audit.Run) error {
	content, err := db.unpack(b.data, b.packed, b.size)
	if err == nil {
		err = json.Unmarshal(content, &run.Sidecar)
	}
	if err != nil {
		return damaged(db.path, "sidecar of run %d: %v", run.ID, err)
	}
	return nil
}
