package store

import (
	"cmp"
	"slices"

	"mailaudit/internal/audit"
)

// known is a span of pass or fail as it stood at some base run.
type known struct {
	stream, first, last int64 // last is at most the base
	status              audit.Status
	severity            audit.Severity
	started             string // when the first run did
}

// series is the last verdict about a question, and the three runs on which it
// rests. Whatever else is forgotten: while these are known, so is the verdict
// and since when it holds. Pruning is built on that.
type series struct {
	status   audit.Status
	severity audit.Severity
	last     int64 // the last run that said so
	opposite int64 // the last before it that said the opposite; 0 for none
	first    int64 // the first after that which said so
}

// turned reports whether one run alone has said so yet, against what had been
// said before.
func (s series) turned() bool { return s.opposite != 0 && s.first == s.last }

// judge finds the last series among the spans of one question. Streams
// overlap, so a span may have begun before the opposite was seen and gone on
// after it: then after finds the first run of a stream that follows a run.
func judge(spans []known, after func(stream, run int64) int64) series {
	latest := slices.MaxFunc(spans, func(a, b known) int { return cmp.Compare(a.last, b.last) })
	s := series{status: latest.status, severity: latest.severity, last: latest.last, first: latest.last}
	for _, k := range spans {
		if k.status != s.status {
			s.opposite = max(s.opposite, k.last)
		}
	}
	for _, k := range spans {
		if k.status != s.status || k.last <= s.opposite {
			continue
		}
		from := k.first
		if from <= s.opposite {
			from = after(k.stream, s.opposite)
		}
		s.first = min(s.first, from)
	}
	return s
}
