package resolve

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// udpSize is the UDP payload that we offer to take (RFC 6891 6.2.3). 1232
// octets pass every link unfragmented: the IPv6 minimum MTU of 1280 less the
// IPv6 and UDP headers (https://www.dnsflagday.net/2020/).
const udpSize = 1232

// Over an encrypted connection the length of a question would still tell its
// name, so queries are padded to a multiple of 128 octets (RFC 8467 4.1).
const (
	padBlock  = 128
	padHeader = 4 // code and length of the option (RFC 7830 3)
)

// The header of RFC 1035 4.1.1.
const (
	headerLen = 12
	bitQR     = 0x80 // of octet 2: a response
	bitsOp    = 0x78 // of octet 2: OPCODE, 0 is QUERY
	bitTC     = 0x02 // of octet 2: truncated
	bitsRcode = 0x0f // of octet 3
)

// key is what the memo goes by.
type key struct {
	name  audit.DNSName
	qtype uint16
}

// question is a question ready to send, and ready to recognise its answer.
type question struct {
	key
	owner  []byte       // the name in wire form, letters in lower case
	tail   []byte       // type and class in wire form
	edns   []byte       // the whole message with id 0, with EDNS
	padded []byte       // the same with EDNS and padding
	noEDNS []byte       // the same without any of it
	sent   atomic.Int32 // how often it left
}

// newQuestion packs a question: recursion desired, and AD set, which asks the
// resolver to say whether it validated (RFC 6840 5.7). The error is about a
// name that fits in no message.
func newQuestion(name audit.DNSName, qtype uint16) (*question, error) {
	m := &dns.Msg{Question: []dns.Question{{Name: Name(string(name)).FQDN(), Qtype: qtype, Qclass: dns.ClassINET}}}
	m.RecursionDesired = true
	m.AuthenticatedData = true
	noEDNS, err := m.Pack()
	if err != nil {
		return nil, err
	}
	// Back from the wire, the name is in the one form that names in answers
	// have too; a name of more than 255 octets does not come back.
	canonical, end, err := dns.UnpackDomainName(noEDNS, headerLen)
	if err != nil {
		return nil, err
	}
	m.SetEdns0(udpSize, false)
	edns, err := m.Pack()
	if err != nil {
		return nil, err
	}
	opt := m.IsEdns0()
	opt.Option = append(opt.Option, &dns.EDNS0_PADDING{Padding: make([]byte, padding(len(edns)))})
	padded, err := m.Pack()
	if err != nil {
		return nil, err
	}
	return &question{
		key:    key{audit.NewDNSName(canonical), qtype},
		owner:  fold(noEDNS[headerLen:end]),
		tail:   noEDNS[end:],
		edns:   edns,
		padded: padded,
		noEDNS: noEDNS,
	}, nil
}

// padding is how many octets of padding a message of this size needs.
func padding(size int) int {
	return (padBlock - (size+padHeader)%padBlock) % padBlock
}

// fold is a name in wire form with its ASCII letters in lower case (RFC 4343).
// Label lengths are at most 63, below 'A', and stay as they are.
func fold(name []byte) []byte {
	out := bytes.Clone(name)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// message is the query with this id. Padding is an option of EDNS: without
// EDNS there is none, wherever the query goes.
func (q *question) message(id uint16, edns, encrypted bool) []byte {
	m := q.noEDNS
	switch {
	case edns && encrypted:
		m = q.padded
	case edns:
		m = q.edns
	}
	m = bytes.Clone(m)
	binary.BigEndian.PutUint16(m, id)
	return m
}

// matches reports whether a packet whose id is ours answers our question: it
// is a response to a QUERY and repeats the one question, octet for octet but
// for letter case. Servers that fail early may send no more than a header
// (RFC 1035 4.1.1 on format errors; 9.9.9.9 does it with REFUSED); such a one
// is taken when it says that it failed, as it can then prove nothing.
func (q *question) matches(packet []byte) bool {
	if len(packet) < headerLen || packet[2]&bitQR == 0 || packet[2]&bitsOp != 0 {
		return false
	}
	if bare(packet) {
		rcode := int(packet[3] & bitsRcode)
		return rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError
	}
	owner := packet[headerLen:]
	if binary.BigEndian.Uint16(packet[4:]) != 1 || len(owner) < len(q.owner) {
		return false
	}
	return bytes.Equal(fold(owner[:len(q.owner)]), q.owner) && bytes.HasPrefix(owner[len(q.owner):], q.tail)
}

// bare reports whether a packet repeats no question at all.
func bare(packet []byte) bool {
	return len(packet) == headerLen || binary.BigEndian.Uint16(packet[4:]) == 0
}
