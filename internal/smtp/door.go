package smtp

import (
	"net/netip"

	"mailaudit/internal/audit"
)

// Several mail hosts may have one address: it is one server. What it says
// before it is told which of them is meant, it says of all of them. A client
// names the host in the ClientHello (RFC 6066 section 3) and not before, so a
// port that refuses, or a server that offers no STARTTLS, is looked at for one
// of the names alone. Each for itself, the names would use up the connections
// that one address is spared for, and which of them is left without a second
// look would be another one every night.

// door is an address and port that several names may lead to.
type door struct {
	turn chan struct{} // holds a token while a probe looks there
	said *look         // what was said to one name and holds for all; owned by the holder of the turn
}

// doorKey is what doors are told apart by.
type doorKey struct {
	at   netip.AddrPort
	mode audit.Mode
}

func (p *Prober) door(t Target) *door {
	key := doorKey{netip.AddrPortFrom(t.Addr.Unmap(), t.Port), t.Mode}
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.doors[key]
	if d == nil {
		d = &door{turn: make(chan struct{}, 1)}
		p.doors[key] = d
	}
	return d
}

// nameless reports whether the look holds for every name of the address: it
// ended where no connection came up, or in a refusal before the name was told.
// What our own limits ended says nothing about the address.
func (l look) nameless() bool {
	if l.end == place(l.line, stepConnect) {
		return l.why.Code != audit.Budget && l.why.Code != audit.LocalError
	}
	told := place(l.line, stepTLS)
	return l.refusal() && (told < 0 || l.end < told)
}
