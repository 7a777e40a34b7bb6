package report

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file tells what servers offer, in words, and which of them offers what;
// and what kind of server each seems to be.

// services are all extensions that the servers of a run list, each once.
func services(run *audit.Run) []Service {
	var all []string
	at := map[string][]string{}
	keywords := map[string]audit.Keyword{}
	for _, e := range run.Snapshot.Facts.SMTP {
		subject := e.Subject()
		answered := false
		for _, o := range []audit.Obs[audit.Hello]{e.Hello, e.HelloTLS} {
			if o.State != audit.Seen {
				continue
			}
			answered = true
			for _, k := range o.Value.Keywords {
				line := strings.TrimSpace(audit.Raw(k.Name).String() + " " + k.Params.String())
				keywords[line] = k
				if !slices.Contains(at[line], subject) {
					at[line] = append(at[line], subject)
				}
			}
		}
		if answered {
			all = append(all, subject)
		}
	}
	var out []Service
	for line, where := range at {
		x := audit.ExtensionOf(keywords[line].Name)
		s := Service{Name: line, Means: keywords[line].Means(), Ref: x.Ref, Where: where}
		switch x.Origin {
		case audit.Obsolete, audit.Unregistered:
			s.Ref += " (" + string(x.Origin) + ")"
		case audit.Unheard:
			s.Ref = string(audit.Unheard)
		}
		s.NotAt = slices.DeleteFunc(slices.Clone(all), func(e string) bool { return slices.Contains(where, e) })
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// serviceTables are the services for looking up; none when nothing is listed.
// Where there are several servers they say which of them offers what.
func serviceTables(list []Service) []Table {
	if len(list) == 0 {
		return nil
	}
	t := Table{Title: "Services that the servers offer", Head: []string{"Service", "Meaning", "Defined by"}}
	several := slices.ContainsFunc(list, func(s Service) bool { return len(s.Where)+len(s.NotAt) > 1 })
	if several {
		t.Head = append(t.Head, "Offered by")
	}
	for _, s := range list {
		row := []Cell{theirs(s.Name), ours(s.Means), ours(s.Ref)}
		if several && len(s.NotAt) == 0 {
			row = append(row, ours("all"))
		} else if several {
			row = append(row, theirs(s.Where...))
		}
		t.Rows = append(t.Rows, row)
	}
	return []Table{t}
}

// nameTables are the names that servers give and that are no hosts.
func nameTables(f audit.Facts) []Table {
	if len(f.Names) == 0 {
		return nil
	}
	t := Table{Title: "Names that servers give for themselves", Head: []string{"Name", "IPv4", "IPv6"}}
	has := func(audit.Nothing) Cell { return ours("has an address") }
	for _, n := range f.Names {
		t.Rows = append(t.Rows, []Cell{theirs(n.Name.String()), cell(n.A, "none", has), cell(n.AAAA, "none", has)})
	}
	return []Table{t}
}

const stepFamily = "family"

// withFamily puts the family of the server behind its reply to EHLO. It judges
// nothing. Where no greeting was seen, or one that turned us away and tells
// nothing of the server, there is nothing to say.
func (v view) withFamily(list []Step) []Step {
	known := audit.SoftwareOf(v.e).Name != ""
	if v.e.Greeting.State != audit.Seen || !known && v.e.Greeting.Value.Code != codeReady {
		return list
	}
	s := Step{Name: stepFamily, Status: StepOK, Seen: []Cell{familyCell(v.e)}}
	if !known {
		s.Status = StepAbsent
	}
	at := slices.IndexFunc(list, func(s Step) bool { return s.Name == stepEHLO })
	return slices.Insert(list, at+1, s)
}

func familyCell(e audit.Endpoint) Cell {
	f := audit.SoftwareOf(e)
	if f.Name == "" {
		return Cell{CellNone, []string{f.String()}}
	}
	return theirs(f.String())
}

// services lists what servers offer, for those who do not know the keywords by
// heart.
func (p *page) services(list []Service) {
	if len(list) == 0 {
		return
	}
	const column = 32
	p.title("SERVICES that the servers offer")
	p.line("")
	for _, s := range list {
		p.beside("   "+s.Name, column, fmt.Sprintf("%s [%s]", s.Means, s.Ref))
		if len(s.NotAt) > 0 {
			p.beside("", column, "offered by "+strings.Join(s.Where, ", "))
			p.beside("", column, "not by "+strings.Join(s.NotAt, ", "))
		}
	}
}
