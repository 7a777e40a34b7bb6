package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// Pauses before another try after an answer that settles nothing: a resolver
// that just said SERVFAIL says it again when it is asked again at once. A
// lost packet needs no pause, it had the whole timeout.
const (
	firstPause = 300 * time.Millisecond
	laterPause = time.Second
)

// maxStray is how many messages that answer something else are read from one
// TCP connection before we give up on it, and how many more than were asked
// for from one that is shared.
const maxStray = 8

// errStray is a connection on which our answer does not come.
var errStray = errors.New("messages that answer no question of ours")

// ask sends one question to the servers in turn until one settles it or the
// tries are used up. It takes at most Tries times three Timeouts (UDP, UDP
// without EDNS, TCP) and the pauses; two of them over an encrypted transport.
func (c *Client) ask(ctx context.Context, q *question) *step {
	s := &step{answer: Answer{Name: q.name, Type: q.qtype, State: audit.Unknown}}
	a := &s.answer
	if len(c.servers) == 0 {
		a.Why = audit.Reason{Code: audit.ResolverDown, Text: "no resolver is configured"}
		return s
	}
	heard := make([]reply, len(c.servers))
	pauses := 0
	for i := range c.cfg.Tries {
		at := i % len(c.servers)
		r := c.try(ctx, c.servers[at], q, &a.Tries)
		if ctx.Err() != nil {
			a.Why = dial.Reason(context.Canceled)
			return s
		}
		if r.state != audit.Unknown || r.next != "" || r.code == audit.CNAMELoop {
			s.settle(r)
			return s
		}
		a.EDE = union(a.EDE, r.ede)
		if weight(r.code) >= weight(heard[at].code) {
			heard[at] = r
		}
		if i+1 < c.cfg.Tries && needsPause(r.code, i+1 >= len(c.servers)) {
			sleep(ctx, pauseBefore(pauses))
			pauses++
		}
	}
	a.Why, a.RCode = verdict(c.servers, heard)
	return s
}

// settle fills in the answer from the reply that decided.
func (s *step) settle(r reply) {
	a := &s.answer
	a.State, a.RCode, a.Records, a.Chain, a.Zone = r.state, r.rcode, r.records, r.chain, r.zone
	a.AD, a.TTL, a.EDE = r.ad, r.ttl, r.ede
	s.next = r.next
	switch {
	case r.state == audit.Absent:
		a.Why = audit.Reason{Code: r.code, Text: absence(r.code, a.key(), r.chain)}
	case r.code == audit.CNAMELoop:
		a.Why = loops(a.Name)
	case r.next != "":
		a.Why = audit.Reason{Code: r.code, Text: "the target of the alias was not asked for yet"}
	}
}

// needsPause reports whether to wait before the next try. When all servers
// have had their turn, again is set.
func needsPause(code audit.Code, again bool) bool {
	switch {
	case code == audit.Timeout, code == audit.Truncated:
		return false
	case down(code):
		return again // another server may well be up
	}
	return true
}

func pauseBefore(pauses int) time.Duration {
	if pauses == 0 {
		return firstPause
	}
	return laterPause
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// try asks one server: by the transport it is configured for, without EDNS
// when it does not know that (RFC 6891 7), over TCP when the answer did not fit
// into a datagram (RFC 7766 5). An encrypted transport has no other one to go
// to, whatever happens to it.
func (c *Client) try(ctx context.Context, u *upstream, q *question, log *[]audit.Try) reply {
	edns, network := true, u.server.network()
	r := c.exchange(ctx, u, q, network, edns, log)
	switch r.rcode {
	case rcodeName(dns.RcodeFormatError), rcodeName(dns.RcodeBadVers), rcodeName(dns.RcodeNotImplemented):
		edns = false
		plain := c.exchange(ctx, u, q, network, edns, log)
		if plain.rcode != "" || weight(plain.code) >= weight(r.code) || plain.code == audit.Truncated {
			r = plain
		}
	}
	if r.code != audit.Truncated || network != "udp" {
		return r
	}
	whole := c.exchange(ctx, u, q, "tcp", edns, log)
	if whole.rcode == "" { // TCP did not work either
		return r
	}
	return whole
}

// exchange sends the question once and waits for its answer.
func (c *Client) exchange(ctx context.Context, u *upstream, q *question, network string, edns bool, log *[]audit.Try) reply {
	q.sent.Add(1)
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var packet []byte
	var err error
	var age uint32
	switch network {
	case "tcp":
		packet, err = c.overTCP(limited, u, q, edns)
	case "https":
		packet, age, err = c.overHTTPS(limited, u, q, edns)
	default:
		packet, err = c.overSocket(limited, u, q, edns)
	}
	var r reply
	if err == nil {
		r, _ = q.read(packet) // it matched already
		r.ttl -= min(r.ttl, age)
		if r.code == audit.Truncated && u.server.encrypted() {
			r.did = "cut its answer short, on a connection where it would have had room"
		}
	} else {
		r = unheard(ctx, limited, err)
	}
	*log = append(*log, audit.Try{Server: u.label, Net: network, Outcome: r.outcome, Elapsed: time.Since(start), Text: r.text})
	return r
}

// overSocket asks on a shared socket and returns the first message that
// answers the question. A server may close a stream at any time, also while
// a question is on its way to it; that is no failure of the question, which
// is to be asked again on a new one (RFC 7766 6.2.4). As every stream that is
// so replaced has answered something, there are never more of them than
// questions.
func (c *Client) overSocket(ctx context.Context, u *upstream, q *question, edns bool) ([]byte, error) {
	for {
		s, w, err := u.lease(ctx, c, q)
		if err != nil {
			return nil, err
		}
		packet, err := s.ask(ctx, w, q.message(w.id, edns, s.framed))
		s.leave(w)
		if err == nil || ctx.Err() != nil || !s.framed || !s.worked() || errors.Is(err, errStray) {
			return packet, err
		}
	}
}

// overTCP asks on a connection of its own. The end of ctx closes the
// connection, which ends the reading.
func (c *Client) overTCP(ctx context.Context, u *upstream, q *question, edns bool) ([]byte, error) {
	conn, err := c.cfg.Dialer.Resolver(ctx, "tcp", u.server.Addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer conn.Close()
	defer stop()
	id := randomID()
	_, err = conn.Write(frame(q.message(id, edns, false)))
	if err != nil {
		return nil, err
	}
	buf := make([]byte, dns.MaxMsgSize)
	for range maxStray {
		packet, err := readFrame(conn, buf)
		if err != nil {
			return nil, err
		}
		if len(packet) >= headerLen && binary.BigEndian.Uint16(packet) == id && q.matches(packet) {
			return packet, nil
		}
	}
	return nil, errStray
}
