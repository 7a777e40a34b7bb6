package dial

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// fromConn is a connection that knows where it comes from.
type fromConn struct {
	net.Conn
	local net.Addr
}

func (c fromConn) LocalAddr() net.Addr { return c.local }
func (c fromConn) Close() error        { return nil }

type routes map[string]net.Addr // by remote address

func (r routes) Dial(_ context.Context, network string, _ netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	local, ok := r[network+" "+remote.Addr().String()]
	if !ok {
		return nil, syscall.ENETUNREACH
	}
	return fromConn{local: local}, nil
}

func TestLocal(t *testing.T) {
	udp := func(s string) net.Addr { return &net.UDPAddr{IP: net.ParseIP(s), Zone: "eth0"} }
	src := netip.MustParseAddr("198.51.100.9")
	none := netip.Addr{}
	for _, tt := range []struct {
		name string
		cfg  Config
		ip6  bool
		want netip.Addr
	}{
		{"the routing table's", Config{Network: routes{"udp 192.0.2.1": udp("198.51.100.7")}}, false, netip.MustParseAddr("198.51.100.7")},
		{"IPv6 without its zone", Config{Network: routes{"udp 2001:db8::1": udp("2001:db8::7")}}, true, netip.MustParseAddr("2001:db8::7")},
		{"configured", Config{Network: routes{"udp 192.0.2.1": udp("198.51.100.7")}, Source4: src}, false, src},
		{"configured in the other family only", Config{Network: routes{}, Source4: src}, true, none},
		{"no way out", Config{Network: routes{"udp 192.0.2.1": udp("198.51.100.7")}}, true, none},
		{"a network that does not tell", Config{Network: routes{"udp 192.0.2.1": nil}}, false, none},
	} {
		if got := New(tt.cfg).Local(t.Context(), tt.ip6); got != tt.want {
			t.Errorf("%s: Local = %v, want %v", tt.name, got, tt.want)
		}
	}
}
