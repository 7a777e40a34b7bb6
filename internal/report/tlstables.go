package report

import (
	"fmt"

	"mailaudit/internal/audit"
)

// This file has the rows of tables that are about the depth of TLS. Runs of
// earlier versions did not look at that, and have none of them.

// asked reports whether a run could have made an observation: those of earlier
// versions have no reason either.
func asked[T any](o audit.Obs[T]) bool { return o.State != audit.NotTried || o.Why.Code != "" }

// depthRows is what took another connection, or a handshake of another size.
func depthRows(e audit.Endpoint) [][]Cell {
	var rows [][]Cell
	if asked(e.OldTLS) {
		rows = append(rows, []Cell{ours("TLS 1.1 and 1.0"), cell(e.OldTLS, "", func(o audit.OldTLS) Cell {
			return theirs(fmt.Sprintf("%s accepted, %s", audit.Raw(o.Version), audit.Raw(o.Cipher)))
		})})
	}
	if asked(e.LargeHello) && e.LargeHello.State != audit.Seen {
		rows = append(rows, []Cell{ours("Post-quantum ClientHello"), cell(e.LargeHello, "", func(audit.Nothing) Cell { return Cell{} })})
	}
	return rows
}

// chainCell is the chain as it was sent, less the certificate itself.
func chainCell(s audit.TLS) Cell {
	c := theirs()
	for _, one := range s.Chain[1:] {
		c.Lines = append(c.Lines, one.Subject.String())
	}
	if more := s.ChainLen - len(s.Chain); more > 0 {
		c.Lines = append(c.Lines, fmt.Sprintf("and %d more", more))
	}
	if len(c.Lines) == 0 {
		return Cell{CellNone, []string{"nothing"}}
	}
	return c
}

// extraRows is what the handshake showed beside the certificate.
func extraRows(s audit.TLS) [][]Cell {
	var rows [][]Cell
	row := func(what string, o audit.Obs[audit.Nothing], yes string) {
		if asked(o) {
			rows = append(rows, []Cell{ours(what), cell(o, "no", func(audit.Nothing) Cell { return ours(yes) })})
		}
	}
	row("In certificate logs", s.SCTs, "yes (SCT)")
	row("OCSP response", s.Stapled, "sent along")
	row("Resumption", s.Tickets, "session tickets")
	row("Extended master secret", s.MasterSecret, "yes")
	return rows
}
