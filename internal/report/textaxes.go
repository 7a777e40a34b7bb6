package report

import (
	"fmt"

	"mailaudit/internal/audit"
)

// Columns of the lines of the axes: behind the name, and behind the points.
const (
	colGrade  = 13
	colFaults = 24
	minFaults = 19
)

// ofWhat stands behind the first share that was seen, where there is room.
const ofWhat = " of what counts"

// axes writes a line for each axis. What a line has to say of the dark stands
// at its end, or below it.
func (p *page) axes(m Model) {
	if len(m.Axes) > 0 {
		p.line("")
	}
	wide := minFaults
	for _, a := range m.Axes {
		wide = max(wide, columns(a.faults())+2)
	}
	for i, a := range m.Axes {
		grade := pad(clip(Screen(a.mark()), 3), 4)
		points := "    "
		if a.Grade.Given() {
			points = fmt.Sprintf("%3d ", a.Points)
		}
		line := "  " + pad(a.title(), colGrade-2) + p.paint(gradeColor(a.Grade), grade) + points + pad("", colFaults-colGrade-8) + pad(a.faults(), wide)
		used := colFaults + wide
		if a.Applies {
			share := fmt.Sprintf("seen %3d %%", a.Coverage)
			if i == 0 && used+len(share+ofWhat) <= Width {
				share += ofWhat
			}
			line, used = line+share, used+len(share)
		}
		note := Screen(a.note())
		if note != "" && used+2+columns(note) <= Width {
			line, note = line+"  "+note, ""
		}
		p.line(line)
		if note != "" {
			p.hang(pad("", colFaults), note)
		}
	}
}

// gradeColor is a colour for a grade. The letter says the same without it.
func gradeColor(g audit.Grade) string {
	switch g {
	case audit.GradeA, audit.GradeB:
		return green
	case audit.GradeC:
		return yellow
	case audit.GradeD, audit.GradeF:
		return red
	}
	return ""
}
