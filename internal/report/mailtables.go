package report

import (
	"fmt"

	"mailaudit/internal/audit"
)

// The tables about senders: what the domain publishes of them, and what block
// lists say of them.

func senderTables(target string, f audit.Facts, policy *Policy) []Table {
	var out []Table
	if f.SPF.Records.State != audit.NotTried {
		own := []Cell{theirs(target), cell(f.SPF.Records, "none", rawCell)}
		out = append(out, Table{Title: "SPF", Head: []string{"Name", "Record"}, Rows: append([][]Cell{own}, belowRows(f.SPF.Below)...)})
		out = append(out, policyTables(f.SPF, policy)...)
	}
	if len(f.DKIM) > 0 {
		out = append(out, dkimTable(f.DKIM))
	}
	if len(f.DMARC.Walk) > 0 {
		t := Table{Title: "DMARC", Head: []string{"Name", "Record"}}
		for _, s := range f.DMARC.Walk {
			t.Rows = append(t.Rows, []Cell{theirs("_dmarc." + s.Domain.String()), cell(s.Records, "none", rawCell)})
		}
		out = append(out, t)
	}
	return out
}

func rawCell(list []audit.Raw) Cell {
	c := theirs()
	for _, r := range list {
		c.Lines = append(c.Lines, r.String())
	}
	return c
}

func dkimTable(list []audit.DKIM) Table {
	t := Table{Title: "DKIM", Head: []string{"Name", "Record", "Key"}}
	for _, d := range list {
		name := theirs(d.Name.String())
		if d.Alias.State == audit.Seen {
			name.Lines = append(name.Lines, "CNAME "+chain(d.Alias.Value))
		}
		key := cell(d.Key, "", func(k audit.PublicKey) Cell { return theirs(fmt.Sprintf("%s, %d bits", k.Type, k.Bits)) })
		t.Rows = append(t.Rows, []Cell{name, cell(d.Records, "none", rawCell), key})
	}
	return t
}

// listTables tells the health of the lists apart from what they say: one that
// fails its own test says nothing.
func listTables(f audit.Facts) []Table {
	var out []Table
	if len(f.Lists) > 0 {
		t := Table{Title: "Block lists", Head: []string{"List", "Zone", "Its own test"}}
		for _, l := range f.Lists {
			t.Rows = append(t.Rows, []Cell{ours(l.Name), theirs(l.Zone.String()), cell(l.Health, "", func(audit.Nothing) Cell { return ours("passed") })})
		}
		out = append(out, t)
	}
	if len(f.Listings) > 0 {
		t := Table{Title: "What the lists say", Head: []string{"Of", "List", "Answer"}}
		for _, l := range f.Listings {
			t.Rows = append(t.Rows, []Cell{theirs(l.Subject), theirs(l.Zone.String()), cell(l.Codes, "not listed", codesCell)})
		}
		out = append(out, t)
	}
	return out
}

func codesCell(codes []audit.ListCode) Cell {
	c := ours()
	for _, code := range codes {
		c.Lines = append(c.Lines, fmt.Sprintf("%s: %s", code.Addr, code.Meaning))
	}
	return c
}
