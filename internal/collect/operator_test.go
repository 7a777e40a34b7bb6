package collect

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestOperators(t *testing.T) {
	for _, c := range []struct {
		host, addr string
		want       []operator
	}{
		{"mx1.example.org", "192.0.2.25", []operator{"example.org", "192.0.2.0/24"}},
		{"MX2.Example.ORG.", "192.0.2.200", []operator{"example.org", "192.0.2.0/24"}},
		{"example-org.mail.protection.outlook.com", "192.0.3.25", []operator{"outlook.com", "192.0.3.0/24"}},
		{"mx.example.co.uk", "2001:db8:1:2::25", []operator{"example.co.uk", "2001:db8:1::/48"}},
		{"mx.example.org", "::ffff:192.0.2.25", []operator{"example.org", "192.0.2.0/24"}},
		{"localhost", "127.0.0.1", []operator{"localhost", "127.0.0.0/24"}},
		{"192.0.2.25", "192.0.2.25", []operator{"192.0.2.0/24"}},
		{"[192.0.2.25]", "192.0.2.25", []operator{"192.0.2.0/24"}},
	} {
		got := operators(at(c.host, c.addr))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s at %s: %v", c.host, c.addr, got)
		}
	}
}

// However names and networks are mixed, everybody gets his turn, and nobody
// waits for somebody who waits for him.
func TestTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared()
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				list := operators(at(fmt.Sprintf("mx.example%d.org", i%7), fmt.Sprintf("192.0.%d.%d", i%5, i)))
				leave := shared.enter(t.Context(), list)
				time.Sleep(time.Second)
				leave()
			})
		}
		wg.Wait()
		if len(shared.turns) > 0 {
			t.Errorf("turns are left: %v", shared.turns)
		}
	})
}

// Who gives up gives back the turn that he has, and had not the other one.
func TestTurnsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared()
		mine := operators(at("mx.example.org", "192.0.2.25"))
		leave := shared.enter(t.Context(), mine[1:])
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		shared.enter(impatient, mine)()
		shared.enter(t.Context(), mine[:1])() // the name is free, the network is not
		leave()
		if len(shared.turns) > 0 {
			t.Errorf("turns are left: %v", shared.turns)
		}
	})
}
