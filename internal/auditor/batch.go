package auditor

import (
	"context"
	"sync"
)

// Parallel is how many audits of a batch are under way at once unless the user
// says otherwise. An audit waits and hardly computes, for more than a second of
// it between two connections to one server: so many make 100 a second of domains
// of which one in five has servers of its own. They keep one resolver busy without
// flooding it, and each server is met by one of them at a time in any case.
const Parallel = 48

// Batch makes the audits of some requests, at most parallel of them at once,
// over one session. Each result goes to show as soon as its audit is over,
// with the index of its request; show runs in the goroutine of the caller, and
// audits wait for it rather than pile up results. When all have been shown, end
// is called; only then are the last replies to QUIT waited for.
//
// The first error, of the store or of show, ends the batch: no further audit
// begins, those under way are finished and shown, and the error is returned.
// A Result that comes with an error of the store is whole, but not stored. When
// ctx ends, audits under way are stored as aborted.
func (a *Auditor) Batch(ctx context.Context, requests []Request, parallel int, show func(int, Result) error, end func() error) error {
	session := a.Open()
	defer session.Close()
	stop := make(chan struct{})
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range requests {
			select {
			case next <- i:
			case <-stop:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	type outcome struct {
		i   int
		res Result
		err error
	}
	over := make(chan outcome)
	var workers sync.WaitGroup
	for range min(max(parallel, 1), len(requests)) {
		workers.Go(func() {
			for i := range next {
				res, err := a.audit(ctx, session, requests[i])
				over <- outcome{i, res, err}
			}
		})
	}
	go func() {
		workers.Wait()
		close(over)
	}()
	var failed error
	for o := range over {
		err := o.err
		if o.res.Run != nil {
			shown := show(o.i, o.res)
			if err == nil {
				err = shown
			}
		}
		if err != nil && failed == nil {
			failed = err
			close(stop)
		}
	}
	err := end()
	if failed == nil {
		failed = err
	}
	session.Drain(ctx) // whoever stops the program has no time for goodbyes
	return failed
}
