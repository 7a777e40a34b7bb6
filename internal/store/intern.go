package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// prepared is a transaction that keeps the statements it has been given:
// SQLite takes longer to read one than to carry it out. They end with the
// transaction.
type prepared struct {
	tx         *sql.Tx
	statements map[string]*sql.Stmt
}

func preparing(tx *sql.Tx) prepared { return prepared{tx, map[string]*sql.Stmt{}} }

// statement returns nil where the statement cannot be prepared: carrying it
// out then says why.
func (p prepared) statement(ctx context.Context, query string) *sql.Stmt {
	s := p.statements[query]
	if s != nil {
		return s
	}
	s, err := p.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	p.statements[query] = s
	return s
}

func (p prepared) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	s := p.statement(ctx, query)
	if s == nil {
		return p.tx.QueryRowContext(ctx, query, args...)
	}
	return s.QueryRowContext(ctx, args...)
}

func (p prepared) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s := p.statement(ctx, query)
	if s == nil {
		return p.tx.ExecContext(ctx, query, args...)
	}
	return s.ExecContext(ctx, args...)
}

// intern returns the id of the row that has these values in the first keys
// columns, and inserts it with all columns when there is none; then the second
// result is true. Table and column names are ours, never input.
func intern(ctx context.Context, tx prepared, table string, keys int, columns []string, values ...any) (int64, bool, error) {
	var id int64
	find := "SELECT id FROM " + table + " WHERE " + strings.Join(columns[:keys], " = ? AND ") + " = ?"
	err := tx.queryRow(ctx, find, values[:keys]...).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, false, err
	}
	id, err = insert(ctx, tx, table, columns, values...)
	return id, true, err
}

// insert makes a row that is known not to be there, and returns its id.
func insert(ctx context.Context, tx prepared, table string, columns []string, values ...any) (int64, error) {
	var id int64
	query := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ") RETURNING id"
	err := tx.queryRow(ctx, query, values...).Scan(&id)
	return id, err
}

// internFacts stores each part once, and the set of them once.
func (db *DB) internFacts(ctx context.Context, tx *sql.Tx, format int, parts []audit.Part) (int64, error) {
	sum := factsSum(format, parts)
	id, fresh, err := intern(ctx, preparing(tx), "facts", 1, []string{"sha256", "format"}, sum[:], format)
	if err != nil || !fresh {
		return id, err
	}
	for _, p := range parts {
		blob, err := db.internBlob(ctx, tx, p.JSON)
		if err != nil {
			return 0, err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO fact_parts (facts, name, blob) VALUES (?, ?, ?)", id, p.Name, blob)
		if err != nil {
			return 0, err
		}
	}
	return id, nil
}

// factsSum is the identity of a set of facts: SHA-256 over a line for each
// part, by name, and one for the format unless it is the first.
func factsSum(format int, parts []audit.Part) [sha256.Size]byte {
	lines := make([]string, 0, len(parts)+1)
	for _, p := range parts {
		lines = append(lines, fmt.Sprintf("%s %x\n", p.Name, sha256.Sum256(p.JSON)))
	}
	slices.Sort(lines)
	if format != 1 {
		lines = append(lines, fmt.Sprintf("format %d\n", format))
	}
	return sha256.Sum256([]byte(strings.Join(lines, "")))
}

// counts is what a list of runs shows of each run.
type counts struct {
	coverage, unknown int
	fails             map[audit.Severity]int
	score             string // JSON
}

func countRun(run *audit.Run) (counts, error) {
	c := counts{coverage: run.Score.Coverage, fails: map[audit.Severity]int{}}
	for _, f := range run.Findings {
		if f.OurSide() {
			continue
		}
		switch f.Status {
		case audit.Fail:
			c.fails[f.Severity]++
		case audit.UnknownStatus:
			c.unknown++
		}
	}
	var err error
	c.score, err = encodeScore(run.Score)
	if err != nil {
		return counts{}, fmt.Errorf("encode score: %w", err)
	}
	return c, nil
}

// encodeScore writes a score as JSON: whole, or what there is of one without a
// rubric, its axes. That is how all scores were kept before there were grades.
func encodeScore(s audit.Score) (string, error) {
	if s.Rubric == 0 {
		axes, err := json.Marshal(s.Axes)
		return string(axes), err
	}
	whole, err := json.Marshal(s)
	return string(whole), err
}

// decodeScore reads either form; coverage is that of the row.
func decodeScore(text string, coverage int) (audit.Score, error) {
	var s audit.Score
	err := json.Unmarshal([]byte(text), &s)
	if err != nil {
		return audit.Score{}, err
	}
	if s.Rubric == 0 {
		s = audit.Score{}
		err = json.Unmarshal([]byte(text), &s.Axes)
	}
	s.Coverage = coverage
	return s, err
}

func (c counts) intern(ctx context.Context, tx *sql.Tx) (int64, error) {
	columns := []string{"coverage", "critical", "high", "medium", "low", "info", "unknown", "axes"}
	id, _, err := intern(ctx, preparing(tx), "scores", len(columns), columns,
		c.coverage, c.fails[audit.Critical], c.fails[audit.High], c.fails[audit.Medium], c.fails[audit.Low], c.fails[audit.Info], c.unknown, c.score)
	return id, err
}
