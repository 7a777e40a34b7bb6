package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"mailaudit/internal/audit"
)

// Begin inserts the run as running, commits, and sets run.ID. It needs UID,
// Kind, Target, Tag, Started, Tool and the Scope and Vantage of the snapshot;
// Finish may correct all of them but the UID. It does not look at run.State.
// A note, see SetNote, is stored here and left alone by Finish.
func (db *DB) Begin(ctx context.Context, run *audit.Run) error {
	err := CheckNote(run.Note)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "" // then only the age tells whether the run still lives
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		r, err := internRun(ctx, tx, run, 0)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO runs (uid, stream, state, tag, note, started, tool, vantage, pid, host)
			VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			run.UID, r.stream, run.Tag, run.Note, formatTime(run.Started), r.tool, r.vantage, os.Getpid(), host).Scan(&run.ID)
	})
}

// Finish stores everything about a run that Begin has inserted, in one
// transaction: facts, findings, score, sidecar and the state, which must be
// Complete or Aborted. To store a run that was stopped, call it with a context
// that is not the stopped one. Facts must be canonical, times in whole
// milliseconds; a second finding with the same rule and subject is an error.
func (db *DB) Finish(ctx context.Context, run *audit.Run) error {
	if run.State != audit.Complete && run.State != audit.Aborted || run.Finished.IsZero() {
		return fmt.Errorf("finish run %d: state %q, finished %v", run.ID, run.State, run.Finished)
	}
	parts, err := encodeRun(run)
	if err != nil {
		return fmt.Errorf("finish run %d: %w", run.ID, err)
	}
	err = db.write(ctx, func(tx *sql.Tx) error { return db.finish(ctx, tx, run, parts) })
	if err == nil {
		db.announce("committed")
	}
	return err
}

// announce tells the crash test how far a write has come.
func (db *DB) announce(stage string) {
	if db.hook != nil {
		db.hook(stage)
	}
}

// encoded is what a run consists of, ready to be stored.
type encoded struct {
	facts   []audit.Part
	past    []byte
	sidecar []byte
	answers []answer // one for each finding, in order
	counts  counts
}

func encodeRun(run *audit.Run) (encoded, error) {
	var e encoded
	var err error
	e.facts, err = run.Snapshot.Facts.Parts()
	if err != nil {
		return encoded{}, err
	}
	e.past, err = json.Marshal(run.Snapshot.Past)
	if err != nil {
		return encoded{}, fmt.Errorf("encode past: %w", err)
	}
	e.sidecar, err = json.Marshal(run.Sidecar)
	if err != nil {
		return encoded{}, fmt.Errorf("encode sidecar: %w", err)
	}
	e.answers, err = encodeFindings(run.Findings)
	if err != nil {
		return encoded{}, err
	}
	e.counts, err = countRun(run)
	return e, err
}

// runRefs are the rows that a run refers to.
type runRefs struct{ stream, tool, vantage int64 }

// internRun finds or makes the rows that a run refers to from its beginning.
func internRun(ctx context.Context, tx *sql.Tx, run *audit.Run, solo int64) (runRefs, error) {
	scope, err := json.Marshal(run.Snapshot.Scope)
	if err != nil {
		return runRefs{}, fmt.Errorf("encode scope: %w", err)
	}
	var r runRefs
	keep := preparing(tx)
	scopeID, _, err := intern(ctx, keep, "scopes", 1, []string{"json"}, string(scope))
	if err != nil {
		return runRefs{}, err
	}
	v := run.Snapshot.Vantage
	r.stream, _, err = intern(ctx, keep, "streams", 5, []string{"target", "kind", "vantage", "scope", "solo"},
		run.Target, string(run.Kind), v.Name, scopeID, solo)
	if err != nil {
		return runRefs{}, err
	}
	r.tool, _, err = intern(ctx, keep, "tools", 2, []string{"version", "catalogue"}, run.Tool.Version, run.Tool.Catalogue)
	if err != nil {
		return runRefs{}, err
	}
	r.vantage, _, err = intern(ctx, keep, "vantages", 2, []string{"name", "helo"}, v.Name, v.HELO)
	return r, err
}

// previous is the run before in a stream; its id is 0 when there is none.
type previous struct {
	id, facts int64
	changed   bool
}

func previousRun(ctx context.Context, tx *sql.Tx, stream int64) (previous, error) {
	var p previous
	err := tx.QueryRowContext(ctx, `SELECT id, facts, changed FROM runs
		WHERE stream = ? AND state = 'complete' ORDER BY id DESC LIMIT 1`, stream).Scan(&p.id, &p.facts, &p.changed)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return p, err
}

func (db *DB) finish(ctx context.Context, tx *sql.Tx, run *audit.Run, e encoded) error {
	// The first write proves that the run is there to be finished.
	res, err := tx.ExecContext(ctx, `UPDATE runs SET pid = NULL, host = NULL WHERE id = ? AND uid = ? AND state = 'running'`, run.ID, run.UID)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("run %d (%s) is not running", run.ID, run.UID)
	}
	db.announce("writing")
	refs, err := internRun(ctx, tx, run, 0)
	if err != nil {
		return err
	}
	prev, err := previousRun(ctx, tx, refs.stream)
	if err != nil {
		return err
	}
	solo := run.State == audit.Aborted || prev.id > run.ID
	if solo {
		prev = previous{}
		refs, err = internRun(ctx, tx, run, run.ID)
		if err != nil {
			return err
		}
	}
	facts, err := db.internFacts(ctx, tx, audit.FactsFormat, e.facts)
	if err != nil {
		return err
	}
	w := &spanWriter{tx: preparing(tx), stream: refs.stream, run: run.ID, prev: prev.id, solo: solo}
	layout, err := w.store(ctx, e.answers)
	if err != nil {
		return err
	}
	changed := !solo && (prev.id == 0 || prev.facts != facts || w.changed)
	err = db.storeSidecar(ctx, tx, run.ID, prev, e.sidecar)
	if err != nil {
		return err
	}
	return db.complete(ctx, tx, run, refs, completion{facts, layout, changed, e})
}

// completion is what the last write of a run adds to its row.
type completion struct {
	facts   int64
	layout  []byte
	changed bool
	encoded encoded
}

// complete fills in the row of the run. Its state comes last of all.
func (db *DB) complete(ctx context.Context, tx *sql.Tx, run *audit.Run, refs runRefs, c completion) error {
	past, err := db.internBlob(ctx, tx, c.encoded.past)
	if err != nil {
		return err
	}
	layout, err := db.internBlob(ctx, tx, c.layout)
	if err != nil {
		return err
	}
	score, err := c.encoded.counts.intern(ctx, tx)
	if err != nil {
		return err
	}
	var domain, at sql.NullString // NULL is the usual case and costs nothing
	if d := run.Snapshot.Domain.String(); d != run.Target {
		domain = sql.NullString{String: d, Valid: true}
	}
	if t := formatTime(run.Snapshot.At); t != formatTime(run.Started) {
		at = sql.NullString{String: t, Valid: true}
	}
	_, err = tx.ExecContext(ctx, `UPDATE runs SET stream = ?, tag = ?, started = ?, finished = ?, domain = ?, at = ?,
		tool = ?, vantage = ?, facts = ?, past = ?, layout = ?, score = ?, changed = ?, state = ? WHERE id = ?`,
		refs.stream, run.Tag, formatTime(run.Started), formatTime(run.Finished), domain, at,
		refs.tool, refs.vantage, c.facts, past, layout, score, c.changed, string(run.State), run.ID)
	return err
}

// storeSidecar keeps the sidecar of this run, the newest of its stream. That
// of the run before goes first, so that its pages are used again, unless that
// run had changed something.
func (db *DB) storeSidecar(ctx context.Context, tx *sql.Tx, run int64, prev previous, data []byte) error {
	if prev.id != 0 && !prev.changed {
		_, err := tx.ExecContext(ctx, "DELETE FROM sidecars WHERE run = ?", prev.id)
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO sidecars (run, size, data) VALUES (?, ?, ?)", run, len(data), db.enc.EncodeAll(data, nil))
	return err
}
