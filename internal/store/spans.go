package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"

	"mailaudit/internal/audit"
)

// body is what a finding says, in its stored form.
type body struct{ detail, cause, evidence, fix string }

// sum is the identity of a body: SHA-256 over the four texts, each followed
// by a zero octet, which none of them holds.
func (b body) sum() [sha256.Size]byte {
	return sha256.Sum256([]byte(b.detail + "\x00" + b.cause + "\x00" + b.evidence + "\x00" + b.fix + "\x00"))
}

// storedFix is audit.Fix with every field always there, so that an empty list
// and no list come back as they went in.
type storedFix struct {
	Summary string            `json:"summary"`
	Records []audit.FixRecord `json:"records"`
	Steps   []string          `json:"steps"`
}

func encodeBody(f audit.Finding) (body, error) {
	evidence, err := json.Marshal(f.Evidence)
	if err != nil {
		return body{}, fmt.Errorf("encode evidence of %s: %w", f.Rule, err)
	}
	fix, err := json.Marshal(storedFix(f.Fix))
	if err != nil {
		return body{}, fmt.Errorf("encode fix of %s: %w", f.Rule, err)
	}
	return body{f.Detail, string(f.Cause), string(evidence), string(fix)}, nil
}

// decodeInto fills in what a finding says.
func (b body) decodeInto(f *audit.Finding) error {
	f.Detail, f.Cause = b.detail, audit.Code(b.cause)
	err := json.Unmarshal([]byte(b.evidence), &f.Evidence)
	if err != nil {
		return fmt.Errorf("decode evidence of %s: %w", f.Rule, err)
	}
	var fix storedFix
	err = json.Unmarshal([]byte(b.fix), &fix)
	if err != nil {
		return fmt.Errorf("decode fix of %s: %w", f.Rule, err)
	}
	f.Fix = audit.Fix(fix)
	return nil
}

// answer is a finding ready to be stored or compared.
type answer struct {
	key      audit.Key
	status   audit.Status
	severity audit.Severity
	body     body
	sum      [sha256.Size]byte
}

// encodeFindings keeps the order. A nil slice gives a nil slice.
func encodeFindings(findings []audit.Finding) ([]answer, error) {
	if findings == nil {
		return nil, nil
	}
	seen := make(map[audit.Key]bool, len(findings))
	out := make([]answer, 0, len(findings))
	for _, f := range findings {
		if seen[f.Key()] {
			return nil, fmt.Errorf("two findings of rule %s about %s", f.Rule, audit.Raw(f.Subject))
		}
		seen[f.Key()] = true
		b, err := encodeBody(f)
		if err != nil {
			return nil, err
		}
		out = append(out, answer{f.Key(), f.Status, f.Severity, b, b.sum()})
	}
	return out, nil
}

// openSpan is a span that held in the run before.
type openSpan struct {
	question, first int64
	status          audit.Status
	severity        audit.Severity
	sum             [sha256.Size]byte
}

func (s openSpan) holds(a answer) bool {
	return s.status == a.status && s.severity == a.severity && s.sum == a.sum
}

// spanWriter brings the spans of a stream up to a run.
type spanWriter struct {
	tx                prepared
	stream, run, prev int64
	solo              bool
	changed           bool // any span was opened or closed
}

// store opens a span for each answer that is new, closes those that no longer
// hold with the run before, and returns the layout: the questions in the order
// of the findings, as JSON.
func (w *spanWriter) store(ctx context.Context, answers []answer) ([]byte, error) {
	open, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	var layout []int64
	if answers != nil {
		layout = make([]int64, 0, len(answers))
	}
	for _, a := range answers {
		was, old := open[a.key]
		delete(open, a.key)
		switch {
		case !old:
			was.question, err = w.begin(ctx, a)
		case !was.holds(a):
			err = w.end(ctx, was)
			if err == nil {
				_, err = w.begin(ctx, a)
			}
		}
		if err != nil {
			return nil, err
		}
		layout = append(layout, was.question)
	}
	for _, was := range open {
		err = w.end(ctx, was)
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(layout)
}

// open lists the spans that still hold.
func (w *spanWriter) open(ctx context.Context) (map[audit.Key]openSpan, error) {
	rows, err := w.tx.tx.QueryContext(ctx, `SELECT q.rule, q.subject, q.id, s.first_run, s.status, s.severity, b.sha256
		FROM spans s JOIN questions q ON q.id = s.question JOIN bodies b ON b.id = s.body
		WHERE s.stream = ? AND s.last_run IS NULL`, w.stream)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	open := map[audit.Key]openSpan{}
	for rows.Next() {
		var k audit.Key
		var s openSpan
		var sum []byte
		err = rows.Scan(&k.Rule, &k.Subject, &s.question, &s.first, &s.status, &s.severity, &sum)
		if err != nil {
			return nil, err
		}
		copy(s.sum[:], sum)
		open[k] = s
	}
	return open, rows.Err()
}

// begin opens a span with this run and returns its question.
func (w *spanWriter) begin(ctx context.Context, a answer) (int64, error) {
	w.changed = true
	question, _, err := intern(ctx, w.tx, "questions", 2, []string{"rule", "subject"}, string(a.key.Rule), a.key.Subject)
	if err != nil {
		return 0, err
	}
	words, _, err := intern(ctx, w.tx, "bodies", 1, []string{"sha256", "detail", "cause", "evidence", "fix"},
		a.sum[:], a.body.detail, a.body.cause, a.body.evidence, a.body.fix)
	if err != nil {
		return 0, err
	}
	last := sql.NullInt64{Int64: w.run, Valid: w.solo}
	_, err = w.tx.exec(ctx, `INSERT INTO spans (stream, question, first_run, last_run, status, severity, body)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, w.stream, question, w.run, last, string(a.status), string(a.severity), words)
	return question, err
}

// end closes a span with the run before this one, the last in which it held.
func (w *spanWriter) end(ctx context.Context, was openSpan) error {
	w.changed = true
	_, err := w.tx.exec(ctx, "UPDATE spans SET last_run = ? WHERE stream = ? AND question = ? AND first_run = ?",
		w.prev, w.stream, was.question, was.first)
	return err
}
