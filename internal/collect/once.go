package collect

import (
	"context"
	"sync"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
	"mailaudit/internal/smtp"
)

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
	done    chan struct{}
	glances []glance // set before done is closed
}

// errands are those of one batch. It is safe for concurrent use.
type errands struct {
	mu      sync.Mutex // guards what follows, never held while waiting
	by      map[string]*errand
	running sync.WaitGroup
}

// run makes an errand, or tells what came of it when it was made before. It
// reports whether this caller began it. ok is false when ctx ended first.
//
// An errand outlives the deadline of the run that began it: the next one would
// begin it anew, and so on, as often as there are domains. It ends when the
// user stops the program.
func (e *errands) run(ctx context.Context, name string, look func(ctx context.Context) []glance) (glances []glance, ours, ok bool) {
	e.mu.Lock()
	one := e.by[name]
	if one == nil {
		ours = true
		one = &errand{done: make(chan struct{})}
		e.by[name] = one
		e.running.Go(func() {
			defer close(one.done)
			apart, cancel := detached(ctx)
			defer cancel()
			one.glances = look(apart)
		})
	}
	e.mu.Unlock()
	if !wait(ctx, one.done) {
		return nil, ours, false
	}
	return one.glances, ours, true
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
