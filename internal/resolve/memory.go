package resolve

import (
	"container/list"
	"time"

	"mailaudit/internal/audit"
)

// How long an answer serves runs that did not ask for it. A second look that
// is made on purpose goes through another Client.
const (
	// maxMemory bounds the answers that are kept, at a few kilobytes each. What
	// many domains have in common, their provider, is always among the last
	// used.
	maxMemory = 4096
	// minAge serves the runs of one batch that are made at the same time,
	// whatever the TTL; maxAge keeps a batch of hours from telling the morning's
	// news in the evening.
	minAge = time.Minute
	maxAge = 10 * time.Minute
	// darkAge is for what settles nothing. RFC 9520 section 3.2 wants failures
	// remembered, for a second to five minutes, so that a server that is in
	// trouble is left alone.
	darkAge = 30 * time.Second
)

// memory holds the flights that were boarded last.
type memory struct {
	flights map[key]*list.Element
	order   *list.List // of *flight, the last used in front
}

func newMemory() memory { return memory{map[key]*list.Element{}, list.New()} }

// get finds a flight that is under way, or not too old.
func (m memory) get(k key, now time.Time) *flight {
	e := m.flights[k]
	if e == nil {
		return nil
	}
	f := e.Value.(*flight)
	if f.stale(now) {
		m.drop(f)
		return nil
	}
	m.order.MoveToFront(e)
	return f
}

// put keeps a flight and forgets the one that was used the longest ago.
func (m memory) put(f *flight) {
	m.flights[f.question.key] = m.order.PushFront(f)
	if m.order.Len() > maxMemory {
		m.drop(m.order.Back().Value.(*flight))
	}
}

// drop forgets a flight, unless another one has taken its place.
func (m memory) drop(f *flight) {
	e := m.flights[f.question.key]
	if e != nil && e.Value.(*flight) == f {
		m.order.Remove(e)
		delete(m.flights, f.question.key)
	}
}

// stale reports whether an answer is too old for whoever asks now.
func (f *flight) stale(now time.Time) bool {
	select {
	case <-f.done:
	default:
		return false
	}
	a := &f.step.answer
	age := darkAge
	if a.State != audit.Unknown || f.step.next != "" {
		age = min(max(time.Duration(a.TTL)*time.Second, minAge), maxAge)
	}
	return now.Sub(f.at) > age
}
