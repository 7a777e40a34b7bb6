package store

import (
	"regexp"
	"strings"
	"testing"
)

// Every query that docs/history.md and schema.sql show works and finds
// something.
func TestDocumentedQueries(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	for day := range 40 {
		mustStore(t, db, night{day: day, drift: day / 2}.run(t))
	}
	var queries []string
	for _, m := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(readFile(t, "../../docs/history.md")), -1) {
		queries = append(queries, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^--   SELECT.*\n(?:--   .*\n)*`).FindAllString(string(readFile(t, "../../schema.sql")), -1) {
		queries = append(queries, strings.ReplaceAll(m, "--   ", ""))
	}
	if len(queries) < 7 {
		t.Fatalf("only %d queries found", len(queries))
	}
	for _, q := range queries {
		rows, err := db.sql.Query(q)
		if err != nil {
			t.Errorf("%v\n%s", err, q)
			continue
		}
		n := 0
		for rows.Next() {
			n++
		}
		if rows.Err() != nil || n == 0 {
			t.Errorf("%d rows (%v)\n%s", n, rows.Err(), q)
		}
		err = rows.Close()
		if err != nil {
			t.Error(err)
		}
	}
}
