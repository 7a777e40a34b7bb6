package store

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"sort"

	"mailaudit/internal/audit"
)

// pruned is the state of a run of which a number and a time are left. It never
// leaves this package: such a run cannot be read.
const pruned audit.RunState = "pruned"

// landscape is a group of runs that share verdicts: those of a target, kind
// and vantage, over all streams.
type landscape struct {
	runs  []member // by id
	spans []*span  // by question, stream and first run
	lanes map[int64]*lane
	bases []int64        // runs that stay and may be the base of a comparison: complete, or about to be
	refs  map[int64]bool // runs to which what stays refers
}

// member is a run of a group. Those that were interrupted have left nothing
// behind but their row.
type member struct {
	id, stream int64
	state      audit.RunState // as it is stored
	doomed     bool
}

// span is a row of spans; last is math.MaxInt64 while it holds.
type span struct {
	stream, question, first, last int64
	status                        audit.Status
	keep                          bool
}

func (s *span) covers(run int64) bool { return s.first <= run && run <= s.last }

// lane is a stream: the runs of it that said something, and those that can be
// read afterwards.
type lane struct {
	said  []int64 // complete or pruned
	stays []int64 // complete or aborted
}

// upTo is the last run of an ascending list that is not after id; 0 for none.
func upTo(runs []int64, id int64) int64 {
	n := sort.Search(len(runs), func(i int) bool { return runs[i] > id })
	if n == 0 {
		return 0
	}
	return runs[n-1]
}

// after is the first run of the lane that follows id.
func (l *lane) after(id int64) int64 {
	return l.said[sort.Search(len(l.said), func(i int) bool { return l.said[i] > id })]
}

// look reads a group.
func (p *pruner) look(ctx context.Context, g group) (*landscape, error) {
	l := &landscape{lanes: map[int64]*lane{}, refs: map[int64]bool{}}
	c := checker{db: p.db, tx: p.tx}
	err := c.each(ctx, func(rows *sql.Rows) error {
		var r member
		err := rows.Scan(&r.id, &r.stream, &r.state)
		if err == nil {
			_, r.doomed = slices.BinarySearch(g.doomed, r.id)
			l.add(r, slices.Contains(g.live, r.id))
		}
		return err
	}, `SELECT r.id, r.stream, r.state FROM streams s JOIN runs r ON r.stream = s.id
		WHERE s.target = ? AND s.kind = ? AND s.vantage = ? ORDER BY r.id`, g.target, g.kind, g.vantage)
	if err != nil {
		return nil, err
	}
	err = c.each(ctx, func(rows *sql.Rows) error {
		s := &span{last: math.MaxInt64}
		var last sql.NullInt64
		err := rows.Scan(&s.stream, &s.question, &s.first, &last, &s.status)
		if last.Valid {
			s.last = last.Int64
		}
		l.spans = append(l.spans, s)
		return err
	}, `SELECT s.stream, s.question, s.first_run, s.last_run, s.status FROM streams t JOIN spans s ON s.stream = t.id
		WHERE t.target = ? AND t.kind = ? AND t.vantage = ? ORDER BY s.question, s.stream, s.first_run`, g.target, g.kind, g.vantage)
	return l, err
}

func (l *landscape) add(r member, live bool) {
	l.runs = append(l.runs, r)
	here := l.lane(r.stream)
	if r.state == audit.Complete || r.state == pruned {
		if len(l.refs) == 0 {
			l.refs[r.id] = true // the first of the group: Past tells when that was
		}
		here.said = append(here.said, r.id)
	}
	if r.doomed {
		return
	}
	if r.state == audit.Complete || r.state == audit.Aborted {
		here.stays = append(here.stays, r.id)
	}
	if r.state == audit.Complete || live {
		l.bases = append(l.bases, r.id)
	}
}

func (l *landscape) lane(stream int64) *lane {
	here := l.lanes[stream]
	if here == nil {
		here = &lane{}
		l.lanes[stream] = here
	}
	return here
}

// plan decides about spans. One stays when a run stays of which it is a
// finding, or when a verdict about one rests on it; and it stays whole.
func (l *landscape) plan() {
	streamOf := make(map[int64]int64, len(l.runs))
	for _, r := range l.runs {
		streamOf[r.id] = r.stream
	}
	for rest := l.spans; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(s *span) bool { return s.question != rest[0].question })
		if n < 0 {
			n = len(rest)
		}
		l.planQuestion(rest[:n], streamOf)
		rest = rest[n:]
	}
	for _, s := range l.spans {
		if s.keep {
			l.refs[s.first], l.refs[s.last] = true, true
		}
	}
}

// planQuestion decides about the spans of one question.
func (l *landscape) planQuestion(spans []*span, streamOf map[int64]int64) {
	var said []*span // verdicts
	for _, s := range spans {
		here := l.lane(s.stream)
		s.keep = upTo(here.stays, s.last) >= s.first
		if s.status.Known() && len(here.said) > 0 {
			said = append(said, s)
		}
	}
	var at []known
	for _, base := range l.bases {
		at = at[:0]
		for _, s := range said {
			if s.first <= base {
				last := upTo(l.lanes[s.stream].said, min(s.last, base))
				at = append(at, known{stream: s.stream, first: s.first, last: last, status: s.status})
			}
		}
		if len(at) == 0 {
			continue
		}
		v := judge(at, func(stream, run int64) int64 { return l.lanes[stream].after(run) })
		for _, run := range []int64{v.last, v.opposite, v.first} {
			if run == 0 {
				continue
			}
			l.refs[run] = true
			for _, s := range said {
				s.keep = s.keep || s.stream == streamOf[run] && s.covers(run)
			}
		}
	}
	for rest := said; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(s *span) bool { return s.stream != rest[0].stream })
		if n < 0 {
			n = len(rest)
		}
		wholeSeries(rest[:n])
		rest = rest[n:]
	}
}

// wholeSeries keeps what the view verdicts says about one question of one
// stream: of a series of which anything stays, both ends stay. Between two
// series of which something stays there is always an opposite one, or they
// would read as one.
func wholeSeries(spans []*span) {
	var all [][]*span
	for i, s := range spans {
		if i == 0 || s.status != spans[i-1].status {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], s)
	}
	end := func(one []*span) { one[0].keep, one[len(one)-1].keep = true, true }
	before := -1 // the last series of which something stays
	for i, one := range all {
		if !slices.ContainsFunc(one, func(s *span) bool { return s.keep }) {
			continue
		}
		end(one)
		if before >= 0 && (i-before)%2 == 0 { // of the same status
			end(all[i-1])
		}
		before = i
	}
}
