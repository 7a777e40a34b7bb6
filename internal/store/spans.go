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
// are none, and notes their questions. Each statement takes the whole list, as JSON: SQLite needs
// longer to be called than to look at a row.
func (w *spanWriter) begin(ctx context.Context, fresh []answer, questions map[audit.Key]int64) error {
	if len(fresh) == 0 {
		return nil
	}
	w.changed = true
	var spans, bodies [][]string
	told := map[[sha256.Size]byte]bool{}
	for _, a := range fresh {
		sum := hex.EncodeToString(a.sum[:])
		spans = append(spans, []string{string(a.key.Rule), a.key.Subject, sum, string(a.status), string(a.severity)})
		if !told[a.sum] {
			bodies = append(bodies, []string{sum, a.body.detail, a.body.cause, a.body.evidence, a.body.fix})
		}
		told[a.sum] = true
	}
	_, err := w.list(ctx, spans, `INSERT INTO questions (rule, subject)
		SELECT value->>0, value->>1 FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING`)
	if err != nil {
		return err
	}
	_, err = w.list(ctx, bodies, `INSERT INTO bodies (sha256, detail, cause, evidence, fix)
		SELECT unhex(value->>0), value->>1, value->>2, value->>3, value->>4 FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING`)
	if err != nil {
		return err
	}
	last := sql.NullInt64{Int64: w.run, Valid: w.solo}
	opened, err := w.list(ctx, spans, `INSERT INTO spans (stream, question, first_run, last_run, status, severity, body)
		SELECT ?2, q.id, ?3, ?4, j.value->>3, j.value->>4, b.id FROM json_each(?1) j
		CROSS JOIN questions q ON q.rule = j.value->>0 AND q.subject = j.value->>1
		CROSS JOIN bodies b ON b.sha256 = unhex(j.value->>2)`, w.stream, w.run, last)
	if err != nil {
		return err
	}
	if opened != int64(len(fresh)) {
		return fmt.Errorf("%d findings, and %d of them can be kept as they are", len(fresh), opened)
	}
	return w.asked(ctx, questions)
}

// list carries out a statement over a list, its first parameter, and returns how
// many rows it changed.
func (w *spanWriter) list(ctx context.Context, list [][]string, query string, more ...any) (int64, error) {
	data, err := json.Marshal(list)
	if err != nil {
		return 0, fmt.Errorf("encode findings: %w", err)
	}
	done, err := w.tx.exec(ctx, query, append([]any{string(data)}, more...)...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// asked notes the questions of spans that this run opened.
func (w *spanWriter) asked(ctx context.Context, questions map[audit.Key]int64) error {
	rows, err := w.tx.tx.QueryContext(ctx, `SELECT q.rule, q.subject, q.id FROM spans s JOIN questions q ON q.id = s.question
		WHERE s.stream = ? AND s.first_run = ?`, w.stream, w.run)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k audit.Key
		var id int64
		err = rows.Scan(&k.Rule, &k.Subject, &id)
		if err != nil {
			return err
		}
		questions[k] = id
	}
	return rows.Err()
}

// end closes a span with the run before this one, the last in which it held.
func (w *spanWriter) end(ctx context.Context, was openSpan) error {
	w.changed = true
	_, err := w.tx.exec(ctx, "UPDATE spans SET last_run = ? WHERE stream = ? AND question = ? AND first_run = ?",
		w.prev, w.stream, was.question, was.first)
	return err
}
