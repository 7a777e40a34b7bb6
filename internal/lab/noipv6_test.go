package lab_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"mailaudit/internal/lab"
)

// TestNoIPv6: where we have no IPv6, nothing of it leaves, as with a kernel
// without a route; IPv4 is as ever.
func TestNoIPv6(t *testing.T) {
	w, err := lab.ParseWorld("test.txtar", []byte("# A test.\nat 2026-11-23T12:00:00Z\nlocal 198.51.100.7 no-ipv6\n-- smtp [2001:db8::25]:25 --\nS: 220 mx\n-- smtp 192.0.2.25:25 --\nS: 220 mx\n"))
	if err != nil {
		t.Fatal(err)
	}
	bubble(t, w, func(t *testing.T, n *lab.Network) {
		for _, network := range []string{"tcp", "udp"} {
			_, err := n.Dial(t.Context(), network, netip.Addr{}, netip.MustParseAddrPort("[2001:db8::25]:25"))
			if !errors.Is(err, syscall.ENETUNREACH) {
				t.Errorf("%s: %v", network, err)
			}
		}
		c := dial(t, n, "tcp", "192.0.2.25:25")
		if got := netip.MustParseAddrPort(c.LocalAddr().String()).Addr(); got != netip.MustParseAddr("198.51.100.7") {
			t.Errorf("from %s", got)
		}
		c.Close()
		n.Wait()
	})
}
