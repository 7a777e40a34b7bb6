package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// spfPart is the name that audit.Facts.Parts gives to the SPF of a domain.
const spfPart = "spf"

// pastSPFRuns is how many of the last complete runs are asked which names the
// policy included. One would do, for a run has in its Past what those before it
// saw; others count when runs overlap and one has not seen the end of another.
const pastSPFRuns = 10

// pastIncludes lists the names that complete runs saw the SPF policy of a
// domain lead to, and a record there, sorted. Where there are too many, those of
// the last runs are kept. Vendors change their records often, so that
// reading all facts that ever were would take longer every year: each run hands
// its Past on to the next.
func (db *DB) pastIncludes(ctx context.Context, tx *sql.Tx, target string, kind audit.Kind, vantage string) ([]audit.DNSName, error) {
	parts, err := spfParts(ctx, tx, target, kind, vantage)
	if err != nil {
		return nil, err
	}
	var names []audit.DNSName
	add := func(name audit.DNSName) {
		if !slices.Contains(names, name) && len(names) < audit.PastHosts {
			names = append(names, name)
		}
	}
	for _, p := range parts {
		content, err := db.loadBlob(ctx, tx, p.blob)
		if err != nil {
			return nil, err
		}
		facts, err := audit.FactsFromParts([]audit.Part{{Name: spfPart, JSON: content}})
		if err != nil {
			return nil, damaged(db.path, "%v", err)
		}
		for _, b := range facts.SPF.Below {
			// A name with an escape in it is not what its owner would write.
			if b.Records.State == audit.Seen && len(b.Records.Value) > 0 && !strings.Contains(string(b.Name), `\`) {
				add(b.Name)
			}
		}
	}
	for _, p := range parts {
		var past audit.Past
		err = db.loadJSON(ctx, tx, p.past, &past)
		if err != nil {
			return nil, err
		}
		for _, name := range past.SPFIncludes {
			add(name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// spfSeen is what a run saw of SPF, and its Past.
type spfSeen struct{ blob, past int64 }

// spfParts lists what the last complete runs saw, the newest first, each once.
func spfParts(ctx context.Context, tx *sql.Tx, target string, kind audit.Kind, vantage string) ([]spfSeen, error) {
	rows, err := tx.QueryContext(ctx, `SELECT p.blob, r.past
		FROM streams s JOIN runs r ON r.stream = s.id JOIN fact_parts p ON p.facts = r.facts
		WHERE s.target = ? AND s.kind = ? AND s.vantage = ? AND r.state = 'complete' AND p.name = ?
		ORDER BY r.id DESC LIMIT ?`, target, string(kind), vantage, spfPart, pastSPFRuns)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var parts []spfSeen
	for rows.Next() {
		var p spfSeen
		err = rows.Scan(&p.blob, &p.past)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
	}
	return parts, rows.Err()
}
