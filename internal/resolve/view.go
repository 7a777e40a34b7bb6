package resolve

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// View is a Client as one run uses it: with a budget of its own, so that a
// domain that leads astray costs no other domain its questions, and with a
// record of what the run has relied on. It is safe for concurrent use.
type View struct {
	client *Client

	mu    sync.Mutex // guards what follows, never held while waiting
	known map[key]*flight
	fresh map[key]bool // of known: asked because of this View
}

// View makes one.
func (c *Client) View() *View {
	return &View{client: c, known: map[key]*flight{}, fresh: map[key]bool{}}
}

// Ask asks for the records of a type at a name, follows aliases, and
// remembers the answer: within one View a question has one answer, and it may be
// one that another View of the Client was given shortly before. It never
// returns nil. When ctx ends first, the answer is Unknown with Deadline or
// Interrupted for this caller alone. The Answer may be shared with other
// callers: do not change it.
func (v *View) Ask(ctx context.Context, name audit.DNSName, qtype uint16) *Answer {
	q, err := newQuestion(name, qtype)
	if err != nil {
		return unasked(name, qtype, audit.Reason{Code: audit.Malformed, Text: name.String() + " cannot be a name in the DNS (RFC 1035 2.3.4)"})
	}
	first := v.one(ctx, q)
	if first.next == "" {
		return &first.answer
	}
	joined := first.answer.clone()
	for next := first.next; next != ""; {
		q, err = newQuestion(next, qtype)
		if err != nil { // it came off the wire, so it fits on it
			return unasked(name, qtype, dial.Reason(err))
		}
		s := v.one(ctx, q)
		joined.join(&s.answer)
		if joined.astray() {
			joined.State, joined.Why, joined.Records = audit.Unknown, loops(joined.Name), nil
			break
		}
		next = s.next
	}
	return joined
}

// one has a single question answered: from memory, by a flight that is under
// way already, or by a new one.
func (v *View) one(ctx context.Context, q *question) *step {
	f, why := v.board(ctx, q)
	if f == nil {
		return &step{answer: *unasked(q.name, q.qtype, why)}
	}
	select {
	case <-f.done: // what is known is told even when ctx has ended
		return f.step
	default:
	}
	select {
	case <-f.done:
		return f.step
	case <-ctx.Done():
		return &step{answer: *unasked(q.name, q.qtype, dial.GaveUp(ctx))}
	}
}

// board finds the flight of a question, among those of this View first.
// Without a flight the reason says why there is none.
func (v *View) board(ctx context.Context, q *question) (*flight, audit.Reason) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.known[q.key]
	if f != nil && !f.interrupted() {
		return f, audit.Reason{}
	}
	if f == nil && len(v.known) >= v.client.cfg.MaxQueries {
		return nil, audit.Reason{Code: audit.Budget, Text: "not asked, because this run has used up its DNS questions"}
	}
	f, fresh, why := v.client.board(ctx, q)
	if f == nil {
		return nil, why
	}
	v.known[q.key] = f
	if fresh {
		v.fresh[q.key] = true
	}
	return f, audit.Reason{}
}

// interrupted reports whether the flight ended with its Client, and says
// nothing.
func (f *flight) interrupted() bool {
	select {
	case <-f.done:
		return f.step.answer.Why.Code == audit.Interrupted
	default:
		return false
	}
}

// Queries lists every question that was answered for this View, with each
// try, whoever asked first, sorted by name and type. What is still under way is
// not among them.
func (v *View) Queries() []audit.Query {
	var out []audit.Query
	for _, f := range v.ended() {
		a := &f.step.answer
		out = append(out, audit.Query{Name: a.Name, Type: dns.Type(a.Type).String(), Tries: a.Tries, TTL: a.TTL})
	}
	slices.SortStableFunc(out, func(a, b audit.Query) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), strings.Compare(a.Type, b.Type))
	})
	return out
}

// Sent is how many packets with a question left because of this View until
// now, those of questions that are still under way among them.
func (v *View) Sent() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for k := range v.fresh {
		n += int(v.known[k].question.sent.Load())
	}
	return n
}

// ended are the flights that were sent and have ended.
func (v *View) ended() []*flight {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []*flight
	for _, f := range v.known {
		select {
		case <-f.done:
			if len(f.step.answer.Tries) > 0 {
				out = append(out, f)
			}
		default:
		}
	}
	return out
}
