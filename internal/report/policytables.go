package report

import (
	"fmt"
	"net/netip"

	"mailaudit/internal/audit"
)

// maxPolicyRows is how many terms documents list: a policy of the size of the
// largest known has fewer when networks in a row share one.
const maxPolicyRows = 200

// policyTables are the inventory of the SPF policy, and what is beside it.
func policyTables(f audit.SPF, p *Policy) []Table {
	var out []Table
	if p != nil {
		out = append(out, policyTable(p))
	}
	if p != nil && len(p.Senders) > 0 {
		t := Table{Title: "SPF of those who send", Head: []string{"Address", "As", "Result", "Why"}}
		for _, s := range p.Senders {
			result := ours(s.Result)
			if s.Result == "" {
				result = Cell{CellDark, []string{"not known"}}
			}
			t.Rows = append(t.Rows, []Cell{theirs(s.Addr), theirs(s.As), result, ours(s.Why)})
		}
		out = append(out, t)
	}
	rows := besideSPF(f)
	if len(rows) > 0 {
		out = append(out, Table{Title: "Beside the SPF policy", Head: []string{"What", "What was seen"}, Rows: rows})
	}
	return out
}

func policyTable(p *Policy) Table {
	some := func(count string) string {
		if count == "-" {
			return "none"
		}
		return count
	}
	t := Table{
		Title: "What SPF leads to", Head: []string{"Record of", "Term", "Behind it", "Lookups", "IPv4 addresses", "IPv6 addresses"},
		Note: ours(fmt.Sprintf("%s lookups, %s in vain, when nothing matches before the end. Addresses of all terms: IPv4 %s, IPv6 %s. (\"?\": not known.)", capital(p.Lookups), p.Voids, some(p.IP4), some(p.IP6))),
	}
	for i, row := range p.Terms {
		if i == maxPolicyRows {
			t.Note.Lines = append(t.Note.Lines, fmt.Sprintf("%d more terms are in the JSON.", len(p.Terms)-i))
			break
		}
		t.Rows = append(t.Rows, []Cell{theirs(row.In), theirs(row.Term), ours(append(notEmpty(row.About), row.Notes...)...), ours(row.Lookups), ours(row.IP4), ours(row.IP6)})
	}
	return t
}

// besideSPF is what there is around the policy, and worth a line.
func besideSPF(f audit.SPF) [][]Cell {
	var rows [][]Cell
	row := func(what string, c Cell) { rows = append(rows, []Cell{ours(what), c}) }
	if f.Answer.State == audit.Seen || f.Answer.State == audit.Unknown {
		row("Size of the answer", cell(f.Answer, "", func(a audit.SPFAnswer) Cell {
			return ours(plural(a.Octets, "octet") + ", with " + plural(a.Others, "other TXT record"))
		}))
	}
	for _, more := range []struct {
		what string
		o    audit.Obs[[]audit.Raw]
	}{{"Meant as SPF", f.Misses}, {"Of type SPF", f.Type99}, {"Sender ID", f.SenderID}, {"Explanation", f.Explained}} {
		if more.o.State == audit.Seen || more.o.State == audit.Unknown {
			row(more.what, cell(more.o, "", rawCell))
		}
	}
	for _, s := range f.Strings.Value {
		var parts []audit.Raw
		for _, part := range s.Strings {
			parts = append(parts, `"`+part+`"`)
		}
		row("Strings of a record", rawCell(parts))
	}
	for _, h := range f.Hellos {
		row("Record of "+h.Name.String(), cell(h.Records, "none", rawCell))
	}
	for _, x := range f.Former {
		row("Included before: "+x.Name.String(), cell(x.Networks, "", func(list []netip.Prefix) Cell {
			return ours(plural(len(list)+x.LeftOut, "network") + " today")
		}))
	}
	return rows
}

// belowRows are the records that the policy leads to, for the table of records.
func belowRows(below []audit.SPFBelow) [][]Cell {
	var rows [][]Cell
	for _, b := range below {
		name := theirs(b.Name.String())
		if b.Alias.State == audit.Seen {
			name.Lines = append(name.Lines, "CNAME "+chain(b.Alias.Value))
		}
		record := cell(b.Records, "none", rawCell)
		switch {
		case b.Records.State == audit.Seen && len(b.Records.Value) == 0:
			record = Cell{CellNone, []string{"none: its TXT records are others"}}
		case b.Registered.State == audit.Absent:
			record.Lines = append(record.Lines, b.Registrable.String()+" does not exist")
		}
		rows = append(rows, []Cell{name, record})
	}
	return rows
}
