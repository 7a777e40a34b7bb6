package collect

import (
	"context"
	"slices"
	"sync"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
	"mailaudit/internal/recent"
	"mailaudit/internal/smtp"
)

// maxErrands bounds the errands of a batch that are kept, of some kilobytes each.
// The control hosts are always among those that were used last.
const maxErrands = 512

// onceLimit bounds what is looked at once for a whole batch: a connection (10
// s), its greeting and EHLO. It is our own: whoever takes longer tells nothing.
const onceLimit = 25 * time.Second

// glance is one connection that was made for its own sake.
type glance struct {
	endpoint audit.Endpoint
	session  audit.Session
}

// errand is glances that are made once for all runs of a batch, under way until
// done is closed.
type errand struct {
	began   time.Time
	done    chan struct{}
	glances []glance // set before done is closed
}

// errands are those of one batch. It is safe for concurrent use.
type errands struct {
	mu      sync.Mutex // guards what follows, never held while waiting
	by      *recent.Cache[string, *errand]
	running sync.WaitGroup
}

// run makes an errand, or tells what came of it when it was made before and is
// still good for the caller. It reports whether this caller began it. ok is false
// when ctx ended first.
//
// An errand outlives the deadline of the run that began it: the next one would
// begin it anew, and so on, as often as there are domains. It ends when the
// user stops the program.
func (e *errands) run(ctx context.Context, name string, good func(*errand) bool, look func(ctx context.Context) []glance) (glances []glance, ours, ok bool) {
	var stale *errand
	for {
		one, ours := e.join(ctx, name, stale, look)
		switch {
		case !wait(ctx, one.done):
			return nil, ours, false
		case ours || good(one):
			return one.glances, ours, true
		}
		stale = one
	}
}

// join finds an errand, or begins it where there is none but a stale one.
func (e *errands) join(ctx context.Context, name string, stale *errand, look func(ctx context.Context) []glance) (one *errand, ours bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	one, known := e.by.Get(name)
	if known && one != stale {
		return one, false
	}
	one = &errand{began: time.Now(), done: make(chan struct{})}
	e.by.Put(name, one)
	e.running.Go(func() {
		defer close(one.done)
		apart, cancel := detached(ctx)
		defer cancel()
		one.glances = look(apart)
	})
	return one, true
}

// recently reports whether an errand is young enough to tell the news.
func (one *errand) recently() bool { return time.Since(one.began) <= probeAge }

// greeted reports whether somebody greeted.
func (one *errand) greeted() bool {
	return slices.ContainsFunc(one.glances, func(g glance) bool { return g.endpoint.Greeting.State == audit.Seen })
}

// detached is a ctx with a limit of its own, which ends early only when ctx is
// interrupted, not when its deadline is over.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	apart, cancel := context.WithTimeout(context.WithoutCancel(ctx), onceLimit)
	stop := context.AfterFunc(ctx, func() {
		if dial.GaveUp(ctx).Code != audit.Deadline {
			cancel()
		}
	})
	return apart, func() { stop(); cancel() }
}

// glances makes one connection to each target: all at once, but one after
// another to those of one operator, like all other connections.
func (s *Shared) glances(ctx context.Context, prober Prober, targets []smtp.Target) []glance {
	out := make([]glance, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		t.Once, t.Turn = true, s.turn(t)
		wg.Go(func() {
			e, sessions := prober.Probe(ctx, t)
			out[i].endpoint = e
			if len(sessions) > 0 {
				out[i].session = sessions[0]
			}
		})
	}
	wg.Wait()
	return out
}
