package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
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
	var fresh []answer
	questions := make(map[audit.Key]int64, len(answers))
	for _, a := range answers {
		was, old := open[a.key]
		delete(open, a.key)
		questions[a.key] = was.question
		if old && was.holds(a) {
			continue
		}
		fresh = append(fresh, a)
		if old {
			err = w.end(ctx, was)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, was := range open {
		err = w.end(ctx, was)
		if err != nil {
			return nil, err
		}
	}
	err = w.begin(ctx, fresh, questions)
	if err != nil {
		return nil, err
	}
	var layout []int64
	if answers != nil {
		layout = make([]int64, 0, len(answers))
	}
	for _, a := range answers {
		layout = append(layout, questions[a.key])
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

// begin opens spans with this run, makes the rows that they refer to where there
// are none, and notes their questions. Most are there already: other domains have
// the same servers, and passes say the same of everybody. They are found, and the
// spans opened, by the list, as JSON: SQLite needs longer to be called than to
// look at a row.
func (w *spanWriter) begin(ctx context.Context, fresh []answer, questions map[audit.Key]int64) error {
	if len(fresh) == 0 {
		return nil
	}
	w.changed = true
	refs, err := w.known(ctx, fresh)
	if err != nil {
		return err
	}
	spans := make([][4]any, 0, len(fresh))
	made := map[[sha256.Size]byte]int64{} // two findings of a run may say the same
	for i, a := range fresh {
		ref := refs[i]
		if !ref.question.Valid {
			ref.question.Int64, err = insert(ctx, w.tx, "questions", []string{"rule", "subject"}, string(a.key.Rule), a.key.Subject)
		}
		if err == nil && !ref.body.Valid {
			ref.body.Int64, err = w.body(ctx, a, made)
		}
		if err != nil {
			return err
		}
		questions[a.key] = ref.question.Int64
		spans = append(spans, [4]any{ref.question.Int64, string(a.status), string(a.severity), ref.body.Int64})
	}
	list, err := json.Marshal(spans)
	if err != nil {
		return fmt.Errorf("encode findings: %w", err)
	}
	last := sql.NullInt64{Int64: w.run, Valid: w.solo}
	_, err = w.tx.exec(ctx, `INSERT INTO spans (stream, question, first_run, last_run, status, severity, body)
		SELECT ?2, value->>0, ?3, ?4, value->>1, value->>2, value->>3 FROM json_each(?1)`, string(list), w.stream, w.run, last)
	return err
}

// body makes the row of what a finding says, unless this run has made it.
func (w *spanWriter) body(ctx context.Context, a answer, made map[[sha256.Size]byte]int64) (int64, error) {
	id, ok := made[a.sum]
	if ok {
		return id, nil
	}
	id, err := insert(ctx, w.tx, "bodies", []string{"sha256", "detail", "cause", "evidence", "fix"},
		a.sum[:], a.body.detail, a.body.cause, a.body.evidence, a.body.fix)
	made[a.sum] = id
	return id, err
}

// spanRefs are the rows that a span refers to, where they are there already.
type spanRefs struct{ question, body sql.NullInt64 }

// known finds what there is of questions and bodies, in the order of the answers.
// Subjects go as octets, for JSON has no others than UTF-8.
func (w *spanWriter) known(ctx context.Context, fresh []answer) ([]spanRefs, error) {
	keys := make([][3]string, 0, len(fresh))
	for _, a := range fresh {
		keys = append(keys, [3]string{string(a.key.Rule), hex.EncodeToString([]byte(a.key.Subject)), hex.EncodeToString(a.sum[:])})
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("encode findings: %w", err)
	}
	rows, err := w.tx.tx.QueryContext(ctx, `SELECT
		(SELECT id FROM questions WHERE rule = value->>0 AND subject = CAST(unhex(value->>1) AS TEXT)),
		(SELECT id FROM bodies WHERE sha256 = unhex(value->>2)) FROM json_each(?) ORDER BY key`, string(list))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]spanRefs, 0, len(fresh))
	for rows.Next() {
		var r spanRefs
		err = rows.Scan(&r.question, &r.body)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	err = rows.Err()
	if err == nil && len(out) != len(fresh) {
		return nil, fmt.Errorf("%d findings, and %d of them were looked for", len(fresh), len(out))
	}
	return out, err
}

// end closes a span with the run before this one, the last in which it held.
func (w *spanWriter) end(ctx context.Context, was openSpan) error {
	w.changed = true
	_, err := w.tx.exec(ctx, "UPDATE spans SET last_run = ? WHERE stream = ? AND question = ? AND first_run = ?",
		w.prev, w.stream, was.question, was.first)
	return err
}
