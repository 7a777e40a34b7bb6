package dial

import (
	"context"
	"net"
	"net/netip"
)

// Local is the address with which packets to the internet leave in one
// family: the configured source address, or the one that the routing table
// chooses. It is invalid when there is no way out in that family. Nothing is
// sent: connecting a UDP socket only looks the route up, and the address it is
// connected to is one of documentation (RFC 5737, RFC 3849), which goes the
// way of the default route. With a proxy it is invalid: servers see the
// proxy's address, which nobody tells us.
func (d *Dialer) Local(ctx context.Context, ip6 bool) netip.Addr {
	if d.cfg.Proxy.IsValid() {
		return netip.Addr{}
	}
	remote, source := netip.MustParseAddrPort("192.0.2.1:9"), d.cfg.Source4
	if ip6 {
		remote, source = netip.MustParseAddrPort("[2001:db8::1]:9"), d.cfg.Source6
	}
	if source.IsValid() {
		return source
	}
	conn, err := d.connect(ctx, "udp", netip.Addr{}, remote)
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close() // nothing was sent that could be lost
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return local.AddrPort().Addr().Unmap().WithZone("")
}
