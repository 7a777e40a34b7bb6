package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// Proxy is a SOCKS5 proxy (RFC 1928) that connects to the servers of the
// world. Every server sees the address of the proxy in place of the client's.
type Proxy struct {
	Addr  netip.AddrPort
	Reply byte // to every request, if not zero: the code of RFC 1928 section 6
	Login bool // wants a login, of whatever kind
	Mute  bool // never answers
}

// parseProxy reads the words of a proxy section: its address, then settings.
func parseProxy(words []string) (*Proxy, error) {
	if len(words) == 0 {
		return nil, errors.New("proxy needs ADDR:PORT")
	}
	addr, err := parseAddrPort(words[0])
	if err != nil {
		return nil, err
	}
	p := &Proxy{Addr: addr}
	for _, word := range words[1:] {
		code, isReply := strings.CutPrefix(word, "reply=")
		switch {
		case isReply:
			n, err := strconv.ParseUint(code, 10, 8)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("%q is no code of a refusal: 1 to 255", code)
			}
			p.Reply = byte(n)
		case word == "login":
			p.Login = true
		case word == "mute":
			p.Mute = true
		default:
			return nil, fmt.Errorf("%q is none of reply= login mute", word)
		}
	}
	return p, nil
}

func (p *parser) proxy(s section, words []string) error {
	err := p.story(s.line, "a proxy")
	if err != nil {
		return err
	}
	if strings.TrimSpace(s.text) != "" {
		return p.errorf(s.line, "a proxy section has no lines")
	}
	proxy, err := parseProxy(words)
	if err != nil {
		return p.errorf(s.line, "%w", err)
	}
	p.w.Proxies[proxy.Addr] = proxy
	return nil
}

// serveProxy is the proxy's side of a connection: the agreement on no login,
// one request, and then whatever the two sides say.
func (n *Network) serveProxy(c *conn, p *Proxy) {
	defer c.Close()
	n.idleFor(c, n.w.RTT/2)
	if p.Mute {
		c.in.idle(-1)
		return
	}
	target, ok := p.request(c)
	if !ok {
		return
	}
	ctx, gone := context.WithCancel(context.Background())
	defer gone()
	from := netip.AddrPortFrom(p.Addr.Addr(), firstPort)
	code, remote := p.Reply, (*conn)(nil)
	if code == 0 {
		var err error
		remote, err = n.dialTCP(ctx, from, target)
		code = socksCode(err)
	}
	_, err := c.Write(append([]byte{5, code, 0, 1, 0, 0, 0, 0}, byte(from.Port()>>8), byte(from.Port()&0xff)))
	if remote == nil || err != nil {
		return
	}
	defer remote.Close()
	n.servers.Go(func() {
		_, _ = io.Copy(c, remote) // its end, of whatever kind, is the end of both
		c.Close()
	})
	_, _ = io.Copy(remote, c)
}

// request reads what the client wants up to its request. It is false where
// there is no going on.
func (p *Proxy) request(c *conn) (netip.AddrPort, bool) {
	var none netip.AddrPort
	head := make([]byte, 4)
	_, err := io.ReadFull(c, head[:2])
	if err != nil || head[0] != 5 {
		return none, false
	}
	_, err = io.ReadFull(c, make([]byte, head[1])) // the logins that it knows
	method := byte(0)
	if p.Login {
		method = 0xff
	}
	if err == nil {
		_, err = c.Write([]byte{5, method})
	}
	if err != nil || p.Login {
		return none, false
	}
	_, err = io.ReadFull(c, head)
	size := map[byte]int{1: 4, 4: 16}[head[3]] // addresses alone: a name would be looked up somewhere else
	if err != nil || head[1] != 1 || size == 0 {
		return none, false
	}
	rest := make([]byte, size+2)
	_, err = io.ReadFull(c, rest)
	addr, _ := netip.AddrFromSlice(rest[:size])
	return netip.AddrPortFrom(addr, uint16(rest[size])<<8|uint16(rest[size+1])), err == nil
}

// socksCode is how a proxy tells what became of a connection.
func socksCode(err error) byte {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.ENETUNREACH):
		return 3
	case errors.Is(err, syscall.EHOSTUNREACH):
		return 4
	case errors.Is(err, syscall.ECONNREFUSED):
		return 5
	case errors.Is(err, syscall.ETIMEDOUT):
		return 6
	}
	return 1
}
