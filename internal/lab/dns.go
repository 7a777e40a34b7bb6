package lab

import (
	"encoding/binary"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// ednsSize is the UDP payload size that the resolvers announce, and the most
// that they send: the value of DNS flag day 2020.
const ednsSize = 1232

// datagram is an answer in wire form and when it leaves, from the question on.
type datagram struct {
	after time.Duration
	data  []byte
}

// resolveUDP puts the answers to one datagram under way. A question takes half
// an rtt to the resolver and its answer the other half.
func (n *Network) resolveUDP(to *stream, resolver netip.Addr, packet []byte) {
	sent := time.Now()
	for _, d := range n.answer(packet, "udp", resolver) {
		at := sent.Add(n.w.RTT + d.after)
		if d.after < 0 { // forged: it overtakes the true one
			at = sent.Add(n.w.RTT / 2)
		}
		to.deliver(chunk{at: at, data: d.data})
	}
}

// resolveTCP serves one TCP connection: messages with a length before them
// (RFC 1035 section 4.2.2), answered as they become ready (RFC 7766 section
// 6.2.1.1).
func (n *Network) resolveTCP(c *conn, resolver netip.Addr) {
	defer c.Close()
	n.idleFor(c, n.w.RTT/2)
	var answering sync.WaitGroup
	defer answering.Wait()
	head := make([]byte, 2)
	for {
		_, err := io.ReadFull(c, head)
		if err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(head))
		_, err = io.ReadFull(c, packet)
		if err != nil {
			return
		}
		for _, d := range n.answer(packet, "tcp", resolver) {
			framed := binary.BigEndian.AppendUint16(nil, uint16(len(d.data)))
			framed = append(framed, d.data...)
			answering.Go(func() {
				n.idleFor(c, d.after)
				_, _ = c.Write(framed) // a client that has gone needs no answer
			})
		}
	}
}

// idleFor waits for d, or until the peer has closed; not at all for d <= 0.
func (n *Network) idleFor(c *conn, d time.Duration) {
	if d > 0 {
		c.in.idle(d)
	}
}

// answer makes the answers to one message, in order of sending; none at all
// is a timeout.
func (n *Network) answer(packet []byte, transport string, resolver netip.Addr) []datagram {
	var m dns.Msg
	err := m.Unpack(packet)
	if err != nil || m.Response {
		n.problem("resolver %s got %d bytes that are no DNS question", resolver, len(packet))
		return nil
	}
	reply := new(dns.Msg).SetReply(&m)
	reply.RecursionAvailable, reply.Compress = true, true
	opt := m.IsEdns0()
	if len(m.Question) != 1 || m.Opcode != dns.OpcodeQuery || m.Question[0].Qclass != dns.ClassINET {
		n.problem("resolver %s got a message that is not one query of class IN", resolver)
		return pack(reply.SetRcode(&m, dns.RcodeNotImplemented), 0)
	}
	q := query{
		name: strings.ToLower(m.Question[0].Name), qtype: m.Question[0].Qtype,
		net: transport, resolver: resolver, edns: opt != nil,
	}
	n.note(q)
	n.w.mu.Lock()
	r := n.w.Zone.resolve(q)
	n.w.mu.Unlock()
	if r.missing != "" {
		n.noteMissing(r.missing, q.qtype)
	}
	switch r.settled {
	case Silent:
		return nil
	case Garbage:
		return []datagram{{r.wait, append(packet[:2:2], 0xff, 0xff, 0xff)}}
	}
	fill(reply, &m, r)
	if transport == "udp" {
		limit := dns.MinMsgSize
		if opt != nil {
			limit = min(int(opt.UDPSize()), ednsSize)
		}
		reply.Truncate(limit)
		if r.truncate {
			reply.Truncated, reply.Answer, reply.Ns = true, nil, nil
		}
	}
	out := pack(reply, r.wait)
	if r.forge && transport == "udp" {
		out = append(forgeries(reply), out...)
	}
	return out
}

// fill makes reply say what r says.
func fill(reply, m *dns.Msg, r result) {
	reply.Rcode, reply.Answer, reply.Ns = r.rcode, r.records, r.authority
	if r.settled == Lame {
		reply.RecursionAvailable = false // an authoritative server's referral
	}
	if r.noSOA && len(r.authority) > 0 && r.authority[0].Header().Rrtype == dns.TypeSOA {
		reply.Ns = nil
	}
	// Owner names are compressed to the question's, with its letter case.
	for _, rr := range reply.Answer {
		if strings.EqualFold(rr.Header().Name, m.Question[0].Name) {
			rr.Header().Name = m.Question[0].Name
		}
	}
	opt := m.IsEdns0()
	reply.AuthenticatedData = r.ad && (m.AuthenticatedData || opt != nil && opt.Do())
	if opt == nil {
		if reply.Rcode == dns.RcodeBadVers {
			reply.Rcode = dns.RcodeFormatError // there is no room for 16 without EDNS
		}
		return
	}
	if r.settled == FormErr {
		return // a server that does not know EDNS sends none
	}
	reply.SetEdns0(ednsSize, opt.Do())
	for _, code := range r.errors {
		o := reply.IsEdns0()
		o.Option = append(o.Option, &dns.EDNS0_EDE{InfoCode: code})
	}
}

// forgeries are what an attacker who does not see the question might send: a
// wrong id with the right question, and the right id with another question
// (RFC 5452 sections 4.3 and 9.1).
func forgeries(reply *dns.Msg) []datagram {
	bogus, err := dns.NewRR(reply.Question[0].Name + " 300 IN A 203.0.113.66")
	if err != nil {
		return nil
	}
	wrongID := reply.Copy()
	wrongID.Id ^= 0x5555
	wrongID.Rcode, wrongID.Answer, wrongID.Ns = dns.RcodeSuccess, []dns.RR{bogus}, nil
	other := reply.Copy()
	other.Question[0].Name = "forged.invalid."
	other.Rcode, other.Answer, other.Ns = dns.RcodeSuccess, nil, nil
	return append(pack(wrongID, -1), pack(other, -1)...)
}

// pack is the wire form. A message that does not pack is a SERVFAIL.
func pack(m *dns.Msg, after time.Duration) []datagram {
	data, err := m.Pack()
	if err != nil {
		m.Rcode, m.Answer, m.Ns, m.Extra = dns.RcodeServerFailure, nil, nil, nil
		data, err = m.Pack()
	}
	if err != nil {
		return nil
	}
	return []datagram{{after, data}}
}

func (n *Network) note(q query) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.questions = append(n.questions, Question{
		Name: audit.NewDNSName(q.name), Type: dns.Type(q.qtype).String(),
		Net: q.net, Resolver: q.resolver, At: time.Now(),
	})
}

func (n *Network) noteMissing(name string, rrtype uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	line := describe(name, rrtype)
	for _, have := range n.unanswered {
		if have == line {
			return
		}
	}
	n.unanswered = append(n.unanswered, line)
}
