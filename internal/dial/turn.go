package dial

import (
	"context"
	"net/netip"
	"time"
)

// address is what we remember of one address for politeness. turn holds one
// token while a connection to the address is open or being opened: a channel
// and not a mutex, because its waiters queue in order of arrival, obey their
// ctx, and count as idle in a testing/synctest bubble.
type address struct {
	turn chan struct{}
	used int       // attempts, guarded by Dialer.mu
	last time.Time // end of the last attempt, owned by the holder of the turn
}

func (d *Dialer) address(addr netip.Addr) *address {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.addrs[addr]
	if a == nil {
		a = &address{turn: make(chan struct{}, 1)}
		d.addrs[addr] = a
	}
	return a
}

// spent reports whether the budget of the address is used up.
func (d *Dialer) spent(a *address) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return a.used >= d.cfg.PerAddr
}

// charge takes one attempt from the budget of the address. Those who waited
// may find that the ones before them used it up.
func (d *Dialer) charge(a *address) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.used >= d.cfg.PerAddr {
		return ErrBudget
	}
	a.used++
	d.connections++
	return nil
}

// enter waits for the turn of the address, then for the spacing, then for one
// of the connections that may be open at once; last, so that nobody holds one
// of those while it only waits. The returned function gives everything back
// and is called once: with true when the address was contacted, which starts
// the spacing anew. The error is ctx's.
func (d *Dialer) enter(ctx context.Context, a *address) (func(contacted bool), error) {
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ended(ctx)
	}
	if d.spent(a) { // before we wait for nothing; charge will say so
		return func(bool) { <-a.turn }, nil
	}
	err := d.space(ctx, a)
	if err != nil {
		<-a.turn
		return nil, err
	}
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		<-a.turn
		return nil, ended(ctx)
	}
	return func(contacted bool) {
		if contacted {
			a.last = time.Now()
		}
		<-d.slots
		<-a.turn
	}, nil
}

// space sleeps until the spacing from the end of the last connection to the
// address is over. There is none before the first.
func (d *Dialer) space(ctx context.Context, a *address) error {
	if a.last.IsZero() {
		return nil
	}
	wait := d.cfg.Spacing - time.Since(a.last)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}
