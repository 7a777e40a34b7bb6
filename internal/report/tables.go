package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file turns the facts of a run into tables for looking up. They judge
// nothing: a fault is told by its finding.

// dateForm is how dates of certificates are written.
const dateForm = "2006-01-02 15:04 MST"

func tables(run *audit.Run, policy *Policy) []Table {
	f := run.Snapshot.Facts
	domain := run.Snapshot.Domain.String()
	if domain == "" {
		domain = run.Target
	}
	var out []Table
	if f.MX.Exists.State != audit.NotTried || f.MX.Records.State != audit.NotTried {
		out = append(out, mxTable(domain, f.MX))
	}
	if len(f.Hosts) > 0 {
		out = append(out, hostTable(f.Hosts))
	}
	if srv, asked := submissionTable(run); asked {
		out = append(out, srv)
	}
	out = append(out, nameTables(f)...)
	out = append(out, senderTables(domain, f, policy)...)
	if len(f.RDNS) > 0 {
		out = append(out, reverseTable(f.RDNS))
	}
	out = append(out, listTables(f)...)
	if len(f.Egress) > 0 {
		out = append(out, egressTable(f.Egress))
	}
	out = append(out, serviceTables(services(run))...)
	for _, e := range f.SMTP {
		switch {
		case run.Kind != audit.KindSMTP:
			out = append(out, endpointTable(e))
		case e.TLS.State == audit.Seen: // the steps have the rest
			out = append(out, Table{Title: e.Subject(), Head: []string{"Certificate", "What was seen"}, Rows: certificateRows(e.TLS.Value), Server: true})
		}
	}
	return out
}

func ours(lines ...string) Cell   { return Cell{CellWords, lines} }
func theirs(lines ...string) Cell { return Cell{CellCode, lines} }

// cell is the value of an observation, or why there is none. none is what its
// absence is called; empty: the reason says it.
func cell[T any](o audit.Obs[T], none string, value func(T) Cell) Cell {
	switch o.State {
	case audit.Seen:
		return value(o.Value)
	case audit.Absent:
		if none == "" {
			none = o.Why.Text
		}
		return Cell{CellNone, []string{none}}
	case audit.Unknown:
		return Cell{CellDark, []string{"not known: " + o.Why.Text}}
	}
	how := "not asked"
	if o.Why.Code == audit.NotApplicable {
		how = "does not apply"
	}
	return Cell{CellNone, []string{strings.Join(notEmpty(how, o.Why.Text), ": ")}}
}

func mxTable(target string, mx audit.MX) Table {
	t := Table{Title: "MX records", Head: []string{"Preference", "Host"}}
	if mx.Exists.State == audit.Absent {
		t.Note = Cell{CellNone, []string{target + " does not exist"}}
		return t
	}
	if mx.Records.State == audit.Seen {
		if mx.Alias.State == audit.Seen {
			t.Note = ours(target + " is an alias of " + chain(mx.Alias.Value))
		}
		for _, r := range mx.Records.Value {
			host := theirs(r.Host.String())
			if r.IsNull() {
				host = Cell{CellNone, []string{"none: the domain takes no mail (null MX)"}}
			}
			t.Rows = append(t.Rows, []Cell{ours(fmt.Sprint(r.Preference)), host})
		}
		return t
	}
	t.Note = cell(mx.Records, "none: mail goes to the address of the domain itself", func([]audit.MXRecord) Cell { return Cell{} })
	return t
}

// chain writes the targets of aliases, one after the other.
func chain(names []audit.DNSName) string {
	var out []string
	for _, n := range names {
		out = append(out, n.String())
	}
	return strings.Join(out, ", then of ")
}

func hostTable(hosts []audit.Host) Table {
	t := Table{Title: "Mail hosts", Head: []string{"Host", "IPv4", "IPv6"}}
	for _, h := range hosts {
		name := theirs(h.Name.String())
		if h.Role == audit.RoleSubmission {
			name.Lines = append(name.Lines, "(submission)")
		}
		if h.Alias.State == audit.Seen {
			name.Lines = append(name.Lines, "CNAME "+chain(h.Alias.Value))
		}
		t.Rows = append(t.Rows, []Cell{name, andMore(cell(h.A, "none", addressCell), h.ALeftOut), andMore(cell(h.AAAA, "none", addressCell), h.AAAALeftOut)})
	}
	return t
}

func addressCell(addrs []netip.Addr) Cell {
	c := theirs()
	for _, a := range addrs {
		c.Lines = append(c.Lines, a.String())
	}
	return c
}

// andMore ends a list with how much of it was left out.
func andMore(c Cell, leftOut int) Cell {
	if leftOut > 0 {
		c.Lines = append(c.Lines, fmt.Sprintf("and %d more", leftOut))
	}
	return c
}

func reverseTable(list []audit.Reverse) Table {
	t := Table{Title: "Reverse DNS", Head: []string{"Address", "PTR", "Where that leads"}}
	for _, r := range list {
		addr := theirs(r.Addr.String())
		if r.Role == audit.RoleSender {
			addr = ours(r.Addr.String() + " (named as sending)")
		}
		ptr := cell(r.PTR, "none", namesCell)
		rows := forwardRows(r)
		if len(rows) == 0 {
			rows = [][]Cell{{ptr, {Kind: CellNone}}}
		}
		for _, row := range rows {
			t.Rows = append(t.Rows, append([]Cell{addr}, row...))
		}
	}
	return t
}

// forwardRows is a PTR name and where it leads, for each that was followed.
func forwardRows(r audit.Reverse) [][]Cell {
	var out [][]Cell
	for _, to := range r.Forward {
		out = append(out, []Cell{theirs(to.Name.String()), andMore(cell(to.Addrs, "no address", addressCell), to.LeftOut)})
	}
	for _, n := range r.PTR.Value {
		followed := slices.ContainsFunc(r.Forward, func(to audit.Forward) bool { return to.Name == n })
		if r.PTR.State == audit.Seen && !followed {
			out = append(out, []Cell{theirs(n.String()), {CellNone, []string{"not asked"}}})
		}
	}
	return out
}

func endpointTable(e audit.Endpoint) Table {
	t := Table{Title: e.Subject(), Head: []string{"Step", "What was seen"}, Server: true}
	row := func(step string, c Cell) { t.Rows = append(t.Rows, []Cell{ours(step), c}) }
	row("Connection", cell(e.Connect, "refused, twice", func(audit.Nothing) Cell { return ours("accepted") }))
	if e.Connect.State != audit.Seen {
		return t
	}
	row("Greeting", cell(e.Greeting, "", greetingCell))
	if e.Greeting.State == audit.Seen {
		row("Family", familyCell(e))
	}
	row("EHLO", cell(e.Hello, "", helloCell))
	if e.Helo.State == audit.Seen || e.Helo.State == audit.Unknown {
		row("HELO", cell(e.Helo, "", helloCell))
	}
	if e.Hello.State == audit.Seen {
		row("Extensions", extensionsCell(e.Hello.Value))
	}
	row("STARTTLS", cell(e.StartTLS, "not offered, twice", func(audit.Nothing) Cell { return ours("offered") }))
	row("TLS", cell(e.TLS, "", func(s audit.TLS) Cell { return theirs(strings.Join(notEmpty(s.Version, s.Cipher, s.Group), ", ")) }))
	if e.StartTLSSteady.State == audit.Absent {
		row("STARTTLS every time", cell(e.StartTLSSteady, "", func(audit.Nothing) Cell { return Cell{} }))
	}
	if e.TLS.State == audit.Seen {
		t.Rows = append(t.Rows, depthRows(e)...)
		row("Extensions inside TLS", cell(e.HelloTLS, "", func(h audit.Hello) Cell { return insideCell(e.Hello, h) }))
		t.Rows = append(t.Rows, certificateRows(e.TLS.Value)...)
	}
	return t
}

func notEmpty(words ...string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

func greetingCell(g audit.Greeting) Cell {
	c := theirs()
	for _, l := range g.Lines {
		c.Lines = append(c.Lines, strings.TrimSpace(fmt.Sprintf("%d %s", g.Code, l)))
	}
	if len(g.Lines) == 0 {
		c.Lines = []string{fmt.Sprint(g.Code)}
	}
	return c
}

func helloCell(h audit.Hello) Cell {
	text := strings.Join(notEmpty(h.Name.String(), h.Text.String()), " ")
	if text == "" {
		return ours("accepted")
	}
	return theirs(text)
}

func extensionsCell(h audit.Hello) Cell {
	if len(h.Keywords) == 0 {
		return Cell{CellNone, []string{"none"}}
	}
	return theirs(strings.Join(keywords(h, ""), ", "))
}

// keywords are the extensions of a reply as they were listed, less one.
func keywords(h audit.Hello, less string) []string {
	var out []string
	for _, k := range h.Keywords {
		if k.Name != less {
			out = append(out, strings.TrimSpace(audit.Raw(k.Name).String()+" "+k.Params.String()))
		}
	}
	return out
}

// insideCell tells the extensions inside TLS, in short where they are the ones
// from before: STARTTLS must be gone (RFC 3207 section 4.2).
func insideCell(clear audit.Obs[audit.Hello], inside audit.Hello) Cell {
	_, again := inside.Keyword("STARTTLS")
	same := slices.Equal(keywords(clear.Value, "STARTTLS"), keywords(inside, ""))
	if clear.State == audit.Seen && !again && same && len(inside.Keywords) > 0 {
		return ours("the same, without STARTTLS")
	}
	return extensionsCell(inside)
}

func certificateRows(s audit.TLS) [][]Cell {
	if len(s.Chain) == 0 {
		return [][]Cell{{ours("Certificate"), {CellNone, []string{"none was sent"}}}}
	}
	c := s.Chain[0]
	names := theirs()
	for _, n := range c.Names {
		names.Lines = append(names.Lines, n.String())
	}
	if more := c.NameCount - len(c.Names); more > 0 {
		names.Lines = append(names.Lines, fmt.Sprintf("and %d more", more))
	}
	if len(names.Lines) == 0 {
		names = Cell{CellNone, []string{"none"}}
	}
	return append([][]Cell{
		{ours("Certificate of"), theirs(c.Subject.String())},
		{ours("Names in it"), names},
		{ours("Issued by"), theirs(c.Issuer.String())},
		{ours("Valid"), ours("from "+c.NotBefore.UTC().Format(dateForm), "until "+c.NotAfter.UTC().Format(dateForm))},
		{ours("Key"), theirs(fmt.Sprintf("%s, %d bits, signed with %s", c.KeyType, c.KeyBits, c.Signature))},
		{ours("SHA-256"), theirs(c.SHA256)},
		{ours("Names the host"), cell(s.NameMatch, "", func(audit.Nothing) Cell { return ours("yes") })},
		{ours("Sent with it"), chainCell(s)},
		{ours("Leads to a trusted root"), cell(s.Trust, "", func(audit.Nothing) Cell { return ours("yes") })},
	}, extraRows(s)...)
}
