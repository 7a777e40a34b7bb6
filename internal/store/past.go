package store

import (
	"context"
	"database/sql"
	"slices"

	"mailaudit/internal/audit"
)

// Past extracts what rules may know of the history of a target from one
// vantage. A quiet night does not change it: the runs that it is made from are
// read by what they saw, not by how many they are.
func (db *DB) Past(ctx context.Context, target string, kind audit.Kind, vantage string) (audit.Past, error) {
	var past audit.Past
	err := db.read(ctx, func(tx *sql.Tx) error {
		past = audit.Past{}
		var first sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT min((SELECT min(id) FROM runs WHERE stream = s.id AND state IN ('complete', 'pruned')))
			FROM streams s WHERE target = ? AND kind = ? AND vantage = ?`, target, string(kind), vantage).Scan(&first)
		if err != nil || !first.Valid {
			return err
		}
		past.First, err = db.startOf(ctx, tx, first.Int64)
		if err != nil {
			return err
		}
		past.MXHosts, _, err = db.pastHosts(ctx, tx, target, kind, vantage)
		if err != nil {
			return err
		}
		past.SPFIncludes, err = db.pastIncludes(ctx, tx, target, kind, vantage)
		return err
	})
	if err != nil {
		return audit.Past{}, err
	}
	return past, nil
}

// pastHosts lists the hosts of the MX records that complete runs saw, sorted.
// When there are too many, those of the newest record sets are kept. It also
// returns the parts of facts that it owes them to.
func (db *DB) pastHosts(ctx context.Context, tx *sql.Tx, target string, kind audit.Kind, vantage string) ([]audit.DNSName, []mxSeen, error) {
	parts, err := mxParts(ctx, tx, target, kind, vantage)
	if err != nil {
		return nil, nil, err
	}
	var hosts []audit.DNSName
	var owed []mxSeen
	for _, part := range parts {
		content, err := db.loadBlob(ctx, tx, part.blob)
		if err != nil {
			return nil, nil, err
		}
		facts, err := audit.FactsFromParts([]audit.Part{{Name: mxPart, JSON: content}})
		if err != nil {
			return nil, nil, damaged(db.path, "%v", err)
		}
		before := len(hosts)
		if facts.MX.Records.State != audit.Seen {
			continue
		}
		for _, mx := range facts.MX.Records.Value {
			if !mx.IsNull() && !slices.Contains(hosts, mx.Host) && len(hosts) < audit.PastHosts {
				hosts = append(hosts, mx.Host)
			}
		}
		if len(hosts) > before {
			owed = append(owed, part)
		}
		if len(hosts) == audit.PastHosts {
			break
		}
	}
	slices.Sort(hosts)
	return hosts, owed, nil
}

// mxPart is the name that audit.Facts.Parts gives to what a domain publishes
// about its mail hosts.
const mxPart = "mx"

// mxSeen is an MX part, and the last run that has it.
type mxSeen struct{ blob, run int64 }

// mxParts lists the distinct MX parts of complete runs, last seen first. Of a
// pruned run that part may be left.
func mxParts(ctx context.Context, tx *sql.Tx, target string, kind audit.Kind, vantage string) ([]mxSeen, error) {
	rows, err := tx.QueryContext(ctx, `SELECT p.blob, max(r.id)
		FROM streams s JOIN runs r ON r.stream = s.id JOIN fact_parts p ON p.facts = r.facts
		WHERE s.target = ? AND s.kind = ? AND s.vantage = ? AND r.state IN ('complete', 'pruned') AND p.name = ?
		GROUP BY p.blob ORDER BY max(r.id) DESC`, target, string(kind), vantage, mxPart)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var parts []mxSeen
	for rows.Next() {
		var p mxSeen
		err = rows.Scan(&p.blob, &p.run)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, rows.Err()
}
