package audit

import (
	"net/netip"
	"strings"
)

// onlyOneReached is true for servers that only one of the two runs could have
// connected to, because the other kept to one address family (-4, -6).
func onlyOneReached(key Key, a, b Scope) bool {
	server, ok := endpointAddr(key.Subject)
	return ok && a.Reaches(server.Addr()) != b.Reaches(server.Addr())
}

// endpointAddr takes the address and the port out of the subject of an
// endpoint, "host[address]:port".
func endpointAddr(subject string) (netip.AddrPort, bool) {
	open := strings.LastIndexByte(subject, '[')
	if open < 0 {
		return netip.AddrPort{}, false
	}
	addr, port, ok := strings.Cut(subject[open+1:], "]:")
	if !ok {
		return netip.AddrPort{}, false
	}
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	out, err := netip.ParseAddrPort(addr + ":" + port)
	return out, err == nil
}
