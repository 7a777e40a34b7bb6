package report

import (
	"fmt"
	"strings"
)

// A tree of SPF has a line for each term, and beside it the lookups that it
// took with all below it, how many there had been by then, and how many were
// in vain.

// Columns of the tree.
const (
	colSPFSpent = 44
	colSPFMark  = colSPFSpent + len("LOOKUPS  SUM VOID  ")
	maxSPFLead  = 24 // where indentation ends, however deep records are nested
)

// spfRow is one line of the tree.
type spfRow struct {
	term               string
	spent, then, voids int
	mark               string // at most Width-colSPFMark columns
	dark               bool   // no counters: it was never come to
	last               bool   // of its record
	notes              []string
}

func (p *page) spfHead() {
	p.line(p.paint(bold, pad("RECORDS AND TERMS", colSPFSpent)+"LOOKUPS  SUM VOID"))
}

// spfRow writes a line and its notes, and returns what stands before the lines
// below it.
func (p *page) spfRow(lead string, r spfRow) string {
	branch, below := "├ ", lead+"│ "
	if r.last {
		branch, below = "└ ", lead+"  "
	}
	if columns(below) > maxSPFLead {
		below = lead
	}
	counts := fmt.Sprintf("%7d %4d %4d  ", r.spent, r.then, r.voids)
	if r.dark {
		counts = strings.Repeat(" ", len("LOOKUPS  SUM VOID  "))
	}
	first := Screen(lead + branch + r.term)
	if columns(first) >= colSPFSpent {
		for i, piece := range cut(Screen(r.term), Width-columns(lead)-2) {
			if i > 0 {
				branch = "  "
			}
			p.line(lead + branch + piece)
		}
		first = below
	}
	p.line(pad(first, colSPFSpent) + counts + p.paint(markColor(r.mark), r.mark))
	for _, n := range r.notes {
		p.spfNote(below, n)
	}
	return below
}

// spfNote is text below a term, beside the lines of the tree.
func (p *page) spfNote(lead, text string) {
	lines := wrap(text, Width-columns(lead)-2)
	if len(lines) > maxRows {
		lines = append(lines[:maxRows-1:maxRows-1], fmt.Sprintf("... and %d lines more (-f json has all)", len(lines)-maxRows+1))
	}
	for _, l := range lines {
		p.line(lead + "  " + l)
	}
}

func markColor(mark string) string {
	switch {
	case mark == "matches":
		return bold
	case mark == "error", strings.HasPrefix(mark, "<-"):
		return red
	}
	return ""
}
