package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"mailaudit/internal/audit"
)

// A SOCKS5 proxy (RFC 1928) connects in our place: we connect to it, say which
// logins we can (none), and name an address; it answers with how the
// connection to that address went, and from then on passes on what either side
// says.
//
//	C: 05 01 00                       version, one method: no login
//	S: 05 00                          agreed
//	C: 05 01 00 01 c0 00 02 19 00 19  connect to 192.0.2.25:25
//	S: 05 00 00 01 cb 00 71 09 a3 0c  done, from 203.0.113.9:41740
//
// What it says of the target (refused, unreachable) is taken for what happened
// there. Whatever goes wrong with the proxy itself is on our side.

// Octets of RFC 1928 (sections 3 to 6).
const (
	socksVersion = 5
	socksNoLogin = 0
	socksConnect = 1
	socksIPv4    = 1
	socksName    = 3
	socksIPv6    = 4
)

// proxyError is how a connection through the proxy failed.
type proxyError struct {
	why audit.Reason
	// sent: the proxy tried, so that the target may have noticed.
	sent bool
}

// Error is the reason in words.
func (e *proxyError) Error() string { return e.why.Text }

// proxyFault is a failure of the proxy itself: nobody was connected to.
func proxyFault(text string) *proxyError {
	return &proxyError{why: audit.Reason{Code: audit.ProxyFailed, Text: "the proxy " + text}}
}

// throughProxy asks the proxy to connect to an address. Reaching the proxy and
// waiting for what it says of the target may each take the connect timeout.
func (d *Dialer) throughProxy(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	conn, err := d.connect(ctx, "tcp", netip.Addr{}, d.cfg.Proxy)
	if errors.Is(err, errEnded) {
		return nil, fmt.Errorf("%w: %w", errWaiting, err) // the target has heard nothing
	}
	if err != nil {
		return nil, proxyFault("cannot be reached: " + Reason(err).Text)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(d.cfg.Connect)) // it fails only on a closed connection, like the next read
	bound, err := socksAsk(conn, remote)
	if !stop() || err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = ended(ctx)
		}
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return &proxied{conn, bound, remote}, nil
}

// socksAsk has the conversation with the proxy. It reads no octet more than
// the proxy's own: what follows is the target's. The address that the proxy
// connects from is zero where it keeps that to itself.
func socksAsk(conn io.ReadWriter, remote netip.AddrPort) (netip.AddrPort, error) {
	var head [4]byte
	_, err := conn.Write([]byte{socksVersion, 1, socksNoLogin})
	if err == nil {
		_, err = io.ReadFull(conn, head[:2])
	}
	switch {
	case err != nil:
		return netip.AddrPort{}, proxyFault("does not answer: " + Reason(err).Text)
	case head[0] != socksVersion:
		return netip.AddrPort{}, proxyFault("does not speak SOCKS5")
	case head[1] != socksNoLogin:
		return netip.AddrPort{}, proxyFault("wants a login, which mailaudit has not")
	}
	kind, addr := byte(socksIPv4), remote.Addr().Unmap()
	if addr.Is6() {
		kind = socksIPv6
	}
	request := append([]byte{socksVersion, socksConnect, 0, kind}, addr.AsSlice()...)
	_, err = conn.Write(append(request, byte(remote.Port()>>8), byte(remote.Port())))
	if err == nil {
		_, err = io.ReadFull(conn, head[:])
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return netip.AddrPort{}, &proxyError{audit.Reason{Code: audit.Timeout, Text: "the proxy got no answer in time"}, true}
	case err != nil:
		return netip.AddrPort{}, &proxyError{proxyFault("gave up on the connection: " + Reason(err).Text).why, true}
	case head[0] != socksVersion:
		return netip.AddrPort{}, proxyFault("does not speak SOCKS5")
	case head[1] != 0:
		return netip.AddrPort{}, socksRefusal(head[1])
	}
	return socksBound(conn, head[3])
}

// socksBound reads the address that the proxy connects from (RFC 1928 section
// 6).
func socksBound(conn io.Reader, kind byte) (netip.AddrPort, error) {
	size := map[byte]int{socksIPv4: 4, socksIPv6: 16}[kind]
	broken := &proxyError{proxyFault("does not speak SOCKS5").why, true}
	if kind == socksName {
		var n [1]byte
		_, err := io.ReadFull(conn, n[:])
		if err != nil {
			return netip.AddrPort{}, broken
		}
		size = int(n[0])
	} else if size == 0 {
		return netip.AddrPort{}, broken
	}
	rest := make([]byte, size+2)
	_, err := io.ReadFull(conn, rest)
	if err != nil {
		return netip.AddrPort{}, broken
	}
	addr, ok := netip.AddrFromSlice(rest[:size])
	if !ok || kind == socksName || addr.IsUnspecified() {
		return netip.AddrPort{}, nil
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(rest[size])<<8|uint16(rest[size+1])), nil
}

// socksRefusal is what a reply code of the proxy means (RFC 1928 section 6).
// Only three of them say something of the target.
func socksRefusal(code byte) *proxyError {
	said := func(code audit.Code, text string) *proxyError {
		return &proxyError{audit.Reason{Code: code, Text: "the proxy reports that " + text}, true}
	}
	switch code {
	case 1:
		return &proxyError{proxyFault("could not connect, and does not say why").why, true}
	case 2:
		return proxyFault("does not allow this connection")
	case 3:
		return said(audit.NoRoute, "it has no way to this address (no IPv6, for example)")
	case 4:
		return said(audit.Unreachable, "the host is unreachable")
	case 5:
		return said(audit.ConnRefused, "the connection was refused")
	case 6:
		return said(audit.Unreachable, "the way to the host is too long (TTL expired)")
	case 7:
		return proxyFault("does not know the command CONNECT")
	case 8:
		return proxyFault("cannot connect to addresses of this family")
	}
	return proxyFault("answers with a code that SOCKS does not have")
}

// proxied is a connection through the proxy: its ends are those that the
// target sees.
type proxied struct {
	net.Conn
	bound, remote netip.AddrPort
}

// LocalAddr is the address that the proxy says it connects from; one without
// an IP address when it does not say.
func (c *proxied) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.bound) }

// RemoteAddr is the target.
func (c *proxied) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
