package auditor

import (
	"fmt"
	"net/netip"
	"testing"

	"mailaudit/internal/audit"
)

// Ensure a server counts once, however many connections and names it has, and
// that the address that most servers say comes first.
func TestSeenAs(t *testing.T) {
	var sessions []audit.Session
	say := func(endpoint, addr string) {
		s := audit.Session{Endpoint: endpoint}
		if addr != "" {
			s.SeenAs = netip.MustParseAddr(addr)
		}
		sessions = append(sessions, s)
	}
	say("a.example[192.0.2.1]:25", "203.0.113.7")
	say("a.example[192.0.2.1]:25", "203.0.113.7")
	say("b.example[192.0.2.1]:25", "203.0.113.7")
	say("a.example[192.0.2.1]:587", "203.0.113.7")
	say("b.example[192.0.2.2]:25", "203.0.113.9")
	say("c.example[2001:db8::3]:25", "203.0.113.9")
	say("d.example[192.0.2.4]:25", "")
	say("odd", "10.0.0.1")
	if got := fmt.Sprint(seenAs(sessions)); got != "[{203.0.113.9 2} {10.0.0.1 1} {203.0.113.7 1}]" {
		t.Errorf("%s", got)
	}
	for i := range 100 {
		say(fmt.Sprintf("x[192.0.3.%d]:25", i), fmt.Sprintf("10.0.1.%d", i))
	}
	if got := seenAs(sessions); len(got) != audit.MaxSeenAs {
		t.Errorf("%d addresses are kept", len(got))
	}
	if got := seenAs(nil); got != nil {
		t.Errorf("%v", got)
	}
}
