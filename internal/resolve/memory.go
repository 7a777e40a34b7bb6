package resolve

import (
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/recent"
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
	*recent.Cache[key, *flight]
}

func newMemory() memory { return memory{recent.New[key, *flight](maxMemory)} }

// current finds a flight that is under way, or not too old.
func (m memory) current(k key, now time.Time) *flight {
	f, known := m.Get(k)
	if known && f.stale(now) {
		m.Drop(k, f)
		return nil
	}
	return f
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
