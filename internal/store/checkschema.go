package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
)

// object is a table, index, view or trigger: a row of sqlite_schema.
type object struct {
	kind, name string
	on         string // the table it belongs to
	sql        string // empty for an index that SQLite made by itself
}

// schema compares the tables, indexes, views and triggers of the file with
// those of a fresh one. Integrity checks of SQLite prove that the rows agree
// with the schema; that the schema is ours they do not know. A trigger can
// change what is stored, a table without its CHECK takes what cannot be read,
// and a view answers people who ask in SQL.
//
// Tables and views of somebody's own do no harm and are left in peace, and so
// are indexes on those. An older file has the schema of its version, which
// nothing here remembers: of that one the triggers alone are looked at.
func (c *checker) schema(ctx context.Context) error {
	version, err := userVersion(ctx, c.tx)
	if err != nil {
		return err
	}
	have, err := schemaObjects(ctx, c.tx)
	if err != nil {
		return err
	}
	want, err := freshSchema(ctx, c.db.opts)
	if err != nil {
		return err
	}
	if version != c.db.opts.version {
		want = nil
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		w, h := want[name], have[name]
		switch {
		case h.kind == "":
			c.report("the %s %s is missing", w.kind, w.name)
		case h.kind != w.kind || h.on != w.on || h.sql != w.sql:
			c.report("the %s %s was changed: it is not the one that mailaudit makes", w.kind, w.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		h := have[name]
		_, known := want[name]
		_, ours := want[h.on]
		if !known && (h.kind == "trigger" || h.kind == "index" && ours) {
			c.report("there is a foreign %s %s on %s: it may change or refuse what is to be stored", h.kind, h.name, h.on)
		}
	}
	return nil
}

// freshSchema is the schema of a new file, made in memory.
func freshSchema(ctx context.Context, opts options) (map[string]object, error) {
	pool, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1) // every connection has a memory of its own
	var out map[string]object
	err = transact(ctx, pool, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, opts.schema)
		if err != nil {
			return err
		}
		out, err = schemaObjects(ctx, tx)
		return err
	})
	return out, errors.Join(err, pool.Close())
}

// schemaObjects lists what a file is made of, by name: names are unique among
// all kinds.
func schemaObjects(ctx context.Context, tx *sql.Tx) (map[string]object, error) {
	out := map[string]object{}
	c := checker{tx: tx}
	err := c.each(ctx, func(rows *sql.Rows) error {
		var o object
		err := rows.Scan(&o.kind, &o.name, &o.on, &o.sql)
		o.sql = plainSQL(o.sql)
		out[o.name] = o
		return err
	}, "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema")
	return out, err
}

// plainSQL leaves out what means nothing in SQL: comments of the form that
// schema.sql has, and how the text was broken into lines. A migrated file has
// other comments than a fresh one.
func plainSQL(text string) string {
	var b strings.Builder
	quoted, blank := false, false
	for i := 0; i < len(text); i++ {
		if !quoted && strings.HasPrefix(text[i:], "--") {
			n := strings.IndexByte(text[i:], '\n')
			if n < 0 {
				break
			}
			i += n
		}
		if !quoted && strings.IndexByte(" \t\r\n", text[i]) >= 0 {
			blank = true
			continue
		}
		if blank && b.Len() > 0 {
			b.WriteByte(' ')
		}
		blank = false
		quoted = quoted != (text[i] == '\'')
		b.WriteByte(text[i])
	}
	return b.String()
}
