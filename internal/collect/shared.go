package collect

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
	"mailaudit/internal/recent"
	"mailaudit/internal/smtp"
)

// How much, and for how long, one look at a server serves the runs of a batch.
const (
	maxProbes = 2048             // every other one some ten kilobytes; a provider is always among the last used
	probeAge  = 15 * time.Minute // a batch of hours shall not tell the morning's news in the evening
	failAge   = time.Minute      // where nobody answered: it may have been our own network
	maxKept   = 32 << 10         // octets that a server said; ordinary ones say four thousand
)

// Shared is what the runs of a batch have in common at SMTP servers: a server
// that a thousand domains name as their mail host is looked at once, and however
// many runs go on, there is one connection at a time to one operator. It is safe
// for concurrent use.
type Shared struct {
	mu     sync.Mutex // guards what follows, never held while waiting
	probes *recent.Cache[place, *probe]
	turns  map[operator]*turn

	errands  errands // what is looked at once for all
	mains    map[netip.Addr]*mains
	answered map[way]time.Time // when a look began last that a server answered
}

// place is what is looked at once. Under most circumstances what a server shows
// does not depend on the name that led to it, and host is empty.
type place struct {
	addr  netip.Addr
	port  uint16
	mode  audit.Mode
	host  audit.DNSName
	mail  bool // MAIL is tried
	floor bool // the old versions of TLS, which are a look of their own
}

// probe is one look at a server, under way until done is closed.
type probe struct {
	place    place
	done     chan struct{}
	endpoint audit.Endpoint // set before done is closed, like what follows
	floor    smtp.Floor     // in place of endpoint, where place says so
	sessions []audit.Session
	at       time.Time
	void     bool // the run that made it ended first
}

// turn is the right to connect to an operator.
type turn struct {
	held  chan struct{}
	users int
}

// mains counts the main dialogues that are wanted or under way at an address,
// whatever the port.
type mains struct {
	n    int
	none chan struct{} // closed when there is none any more
}

// NewShared makes one.
func NewShared() *Shared {
	return &Shared{
		probes: recent.New[place, *probe](maxProbes),
		turns:  map[operator]*turn{}, mains: map[netip.Addr]*mains{}, answered: map[way]time.Time{},
		errands: errands{by: recent.New[string, *errand](maxErrands)},
	}
}

// Drain waits for what was begun for the whole batch by runs that had no time
// to see its end: some seconds at most. Call it when no run is going on any more.
func (s *Shared) Drain() { s.errands.running.Wait() }

// probe looks at a target, or tells what was seen there shortly before or is
// being seen right now. It reports whether the look was made for this caller.
// A look lives on the ctx of the one who began it, who learns the part that was
// seen when that ends; the others then look themselves.
func (s *Shared) probe(ctx context.Context, prober Prober, t smtp.Target) (audit.Endpoint, []audit.Session, bool) {
	defer s.want(t.Addr)()
	t.Turn = s.turn(t)
	at := place{addr: t.Addr, port: t.Port, mode: t.Mode, mail: t.TryMail}
	for {
		p, ours := s.join(at)
		if ours {
			s.look(ctx, p, func() { p.endpoint, p.sessions = prober.Probe(ctx, t) })
			return p.endpoint, p.sessions, true
		}
		if !wait(ctx, p.done) {
			return smtp.Unobserved(t, dial.GaveUp(ctx)), nil, false
		}
		if p.void {
			continue
		}
		e, same := smtp.As(p.endpoint, t)
		if same {
			return e, renamed(p.sessions, e.Subject()), false
		}
		if at.host != "" { // it is of this very target, so this does not happen
			return smtp.Unobserved(t, audit.Reason{Code: audit.Bug, Text: "a look at one server was taken for a look at another"}), nil, false
		}
		at.host = t.Host
	}
}

// floor tries the old versions of TLS at a target, or tells what came of that
// shortly before or is coming of it right now. It is one look for all names of
// an address (see smtp.Floor). n is the number of its first connection, and
// after how long it waits before that, without a turn.
func (s *Shared) floor(ctx context.Context, prober Prober, t smtp.Target, n int, after time.Duration) (smtp.Floor, []audit.Session, bool) {
	t.Turn = s.turn(t)
	for {
		p, ours := s.join(place{addr: t.Addr, port: t.Port, mode: t.Mode, floor: true})
		if ours {
			// No turn is held meanwhile: the operator's other servers come first.
			pause(ctx, after)
			s.settle(ctx, t.Addr)
			s.look(ctx, p, func() { p.floor, p.sessions = prober.Floor(ctx, t, n) })
			return p.floor, p.sessions, true
		}
		if !wait(ctx, p.done) {
			return smtp.NoFloor(t, dial.GaveUp(ctx)), nil, false
		}
		if !p.void {
			return p.floor, renamed(p.sessions, audit.EndpointSubject(t.Host, t.Addr, t.Port)), false
		}
	}
}

// want notes that a main dialogue is wanted at an address; the returned function
// takes it back.
func (s *Shared) want(addr netip.Addr) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mains[addr]
	if m == nil {
		m = &mains{none: make(chan struct{})}
		s.mains[addr] = m
	}
	m.n++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		m.n--
		if m.n == 0 {
			close(m.none)
			delete(s.mains, addr)
		}
	}
}

// settle waits until no main dialogue is wanted at an address any more, or for
// ctx: of the connections that an address is good for, those come first.
func (s *Shared) settle(ctx context.Context, addr netip.Addr) {
	s.mu.Lock()
	m := s.mains[addr]
	s.mu.Unlock()
	if m != nil {
		wait(ctx, m.none)
	}
}

// turn is the Turn of a target: each of its connections waits until the
// operator has time for us, and in a pause between two of them it is another
// one's turn.
func (s *Shared) turn(t smtp.Target) func(context.Context) func() {
	return func(ctx context.Context) func() { return s.enter(ctx, operators(t)) }
}

// look makes a probe, whose connections ask for their turns. With a ctx that has
// ended make connects to nothing and says why.
func (s *Shared) look(ctx context.Context, p *probe, make func()) {
	make()
	// Many runs bring this into canonical form at once, in place: what is so
	// already is not written to.
	whole := audit.Facts{SMTP: []audit.Endpoint{p.endpoint}}
	whole.Canonical()
	p.endpoint = whole.SMTP[0]
	p.at = time.Now()
	p.void = ctx.Err() != nil
	if p.void || p.large() {
		s.drop(p)
	}
	close(p.done)
}

// join finds the probe of a place, or begins it: then it is for the caller to
// look.
func (s *Shared) join(at place) (*probe, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, known := s.probes.Get(at)
	if known && !p.stale() {
		return p, false
	}
	p = &probe{place: at, done: make(chan struct{})}
	s.probes.Put(at, p)
	return p, true
}

// answer notes that a look, which began at a time, met a server that answers.
func (s *Shared) answer(w way, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.After(s.answered[w]) {
		s.answered[w] = at
	}
}

// open reports whether a way is seen to be open at or after a time.
func (s *Shared) open(w way, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ever := s.answered[w]
	return ever && !at.Before(since)
}

func (p *probe) stale() bool {
	select {
	case <-p.done:
		if failed(p.endpoint) {
			return time.Since(p.at) > failAge
		}
		return time.Since(p.at) > probeAge
	default:
		return false
	}
}

// large reports whether a server said so much that it is not worth being kept.
func (p *probe) large() bool {
	n := 0
	for _, s := range p.sessions {
		for _, l := range s.Lines {
			n += len(l.Text)
		}
	}
	for _, l := range p.endpoint.Greeting.Value.Lines {
		n += len(l)
	}
	for _, h := range []audit.Hello{p.endpoint.Hello.Value, p.endpoint.HelloTLS.Value} {
		for _, k := range h.Keywords {
			n += len(k.Name) + len(k.Params)
		}
	}
	for _, c := range p.endpoint.TLS.Value.Chain {
		for _, name := range slices.Concat(c.Names, c.Services) {
			n += len(name)
		}
	}
	return n > maxKept
}

// drop forgets a probe, unless another one has taken its place.
func (s *Shared) drop(p *probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probes.Drop(p.place, p)
}

// enter waits for the turn with all of these operators, or for ctx. The
// returned function gives back what it got and is called once. Names come
// before networks in every list, and there is one of each: so nobody waits for
// somebody who waits for him.
func (s *Shared) enter(ctx context.Context, list []operator) func() {
	var leaves []func()
	for _, o := range list {
		leaves = append(leaves, s.enterOne(ctx, o))
	}
	return func() {
		for _, leave := range slices.Backward(leaves) {
			leave()
		}
	}
}

func (s *Shared) enterOne(ctx context.Context, o operator) func() {
	s.mu.Lock()
	t := s.turns[o]
	if t == nil {
		t = &turn{held: make(chan struct{}, 1)}
		s.turns[o] = t
	}
	t.users++
	s.mu.Unlock()
	got := true
	select {
	case t.held <- struct{}{}:
	case <-ctx.Done():
		got = false
	}
	return func() {
		if got {
			<-t.held
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		t.users--
		if t.users == 0 {
			delete(s.turns, o)
		}
	}
}

// wait waits for done; false when ctx ends first. What is done already counts
// even then.
func wait(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// pause waits for a time, or for ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// renamed are the sessions of a probe under the name of another endpoint.
func renamed(sessions []audit.Session, subject string) []audit.Session {
	out := slices.Clone(sessions)
	for i := range out {
		out[i].Endpoint = subject
	}
	return out
}
