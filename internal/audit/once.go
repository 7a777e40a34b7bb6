package audit

import (
	"slices"
	"strings"
)

// What SMTP shows is the word of one server at one moment. A name with several
// addresses, a load balancer or a rate limit may answer otherwise the next
// time, although nobody has changed anything. DNS is not like that: its answers
// are published data.
//
// A change that was learned over SMTP is told at once, because waiting for a
// second night would hide a fault for a day; but it is marked as seen once. The
// next run that sees the same confirms it and says so, once. A server that
// flaps is seen once every time, and confirmed never.

// witness knows how often things were seen.
type witness struct {
	apart bool // now is another look than base, and a later one
	last  map[Key]Status
	seen  map[facetID][]string // by Last; nil without one
	now   map[facetID][]string
}

func newWitness(prior Prior, now *Run) witness {
	// A run judged again shows nothing that it did not show before.
	w := witness{apart: now.ID > prior.Base.ID, last: map[Key]Status{}}
	if prior.Last == nil {
		return w
	}
	for _, f := range prior.Last.Findings {
		w.last[f.Key()] = f.Status
	}
	w.seen, w.now = facetWords(prior.Last.Snapshot.Facts), facetWords(now.Snapshot.Facts)
	return w
}

// weigh says of a change whether it was seen once, or is confirmed. v is the
// verdict before. A subject that is gone was taken away in DNS.
func (w witness) weigh(c *Change, v Verdict) {
	if !w.apart || !overSMTP(c.Rule) || c.Now == "" || c.Now == w.last[Key{c.Rule, c.Subject}] {
		return
	}
	switch c.Class {
	case Broken, Fixed, Gone:
		c.SeenOnce = true
	case Appeared, RegainedSight:
		c.SeenOnce = c.Now.Known() && c.Now != v.Status
	}
	if c.Now.Known() && c.Now == v.Status && v.Turned {
		c.Confirmed = true
		if c.Class == Same {
			c.Class = StillPassing
		}
	}
}

// overSMTP reports whether a rule judges what servers show.
func overSMTP(id RuleID) bool {
	return id.Area().Connects() && !strings.HasPrefix(string(id), "auth.srv-") // SRV records are published data
}

// weighFacts does the same for what servers say of themselves. A fact is not
// confirmed: the next run has nothing to tell about it.
func (w witness) weighFacts(changes []FactChange) {
	for i := range changes {
		c := &changes[i]
		id := facetID{c.Area, c.Subject, c.What}
		before, known := w.seen[id]
		again := known && slices.Equal(before, w.now[id])
		c.SeenOnce = w.apart && c.Area.Connects() && !again
	}
}
