package resolve

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// Limits on what is kept of extended errors (RFC 8914), which are text from
// strangers.
const (
	maxEDE     = 8   // options of one answer
	maxEDEText = 200 // octets of one text
)

// reply is what one server said, or that it said nothing.
type reply struct {
	state   audit.State // Seen, Absent or Unknown
	code    audit.Code  // NXDomain or NoData when Absent, the reason when Unknown
	rcode   string      // mnemonic; "" without an answer
	outcome string      // for audit.Try
	did     string      // what the server did, where the code alone does not say it
	records []dns.RR
	chain   []audit.DNSName
	next    audit.DNSName // the end of the chain, when the server left it at that; state is Unknown then
	zone    audit.DNSName // of the SOA record, when state is Absent
	ad      bool
	ttl     uint32
	ede     []uint16
	text    audit.Raw // the extended errors in words, or the error in full
}

// silence is the reply of a server that did not answer.
func silence(code audit.Code) reply {
	return reply{state: audit.Unknown, code: code, outcome: string(code)}
}

// read classifies a packet. It reports false for one that is no answer to
// this question, which is then to be ignored. It trusts nothing: the parser
// beneath takes a message that ends after its header counts for one with empty
// sections, and records without data for zero values.
func (q *question) read(packet []byte) (reply, bool) {
	if !q.matches(packet) {
		return reply{}, false
	}
	if packet[2]&bitTC != 0 {
		// Whatever is in it is not all of it (RFC 2181 9).
		return reply{state: audit.Unknown, code: audit.Truncated, outcome: string(audit.Truncated)}, true
	}
	if bare(packet) {
		return failed(int(packet[3] & bitsRcode)), true
	}
	m := new(dns.Msg)
	err := m.Unpack(packet)
	if err != nil || !complete(packet, m) {
		return silence(audit.Malformed), true
	}
	r := reply{}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		r = q.follow(m)
	default:
		r = failed(m.Rcode)
	}
	r.ede, r.text = extendedErrors(m)
	if r.state != audit.Unknown && inPlace(r.ede) {
		return reply{
			state: audit.Unknown, code: audit.Filtered, rcode: r.rcode, outcome: string(audit.Filtered), ede: r.ede, text: r.text,
			did: "answered in place of the domain (it declares a block or a filter)",
		}, true
	}
	return r, true
}

// inPlace reports whether a resolver declares that the answer is its own and
// not the domain's (RFC 8914 sections 4.5 and 4.16 to 4.18): forged, blocked,
// censored or filtered.
func inPlace(ede []uint16) bool {
	for _, code := range ede {
		switch code {
		case dns.ExtendedErrorCodeForgedAnswer, dns.ExtendedErrorCodeBlocked, dns.ExtendedErrorCodeCensored, dns.ExtendedErrorCodeFiltered:
			return true
		}
	}
	return false
}

// complete reports whether all the records are there that the header counts.
func complete(packet []byte, m *dns.Msg) bool {
	count := func(off int) int { return int(binary.BigEndian.Uint16(packet[off:])) }
	return count(6) == len(m.Answer) && count(8) == len(m.Ns) && count(10) == len(m.Extra)
}

// failed is the reply with an RCODE that says nothing about the name.
func failed(rcode int) reply {
	r := reply{state: audit.Unknown, code: audit.DNSError, rcode: rcodeName(rcode)}
	r.outcome = r.rcode
	switch rcode {
	case dns.RcodeFormatError:
		r.code = audit.FormErr
	case dns.RcodeServerFailure:
		r.code = audit.ServFail
	case dns.RcodeRefused:
		r.code = audit.DNSRefused
	}
	return r
}

func rcodeName(rcode int) string {
	if rcode == dns.RcodeBadVers {
		return "BADVERS" // the parser calls 16 BADSIG, which only TSIG knows
	}
	name, ok := dns.RcodeToString[rcode]
	if !ok {
		return fmt.Sprintf("RCODE%d", rcode)
	}
	return name
}

// follow reads an answer with NOERROR or NXDOMAIN along its aliases.
func (q *question) follow(m *dns.Msg) reply {
	r := reply{rcode: rcodeName(m.Rcode), ad: m.AuthenticatedData}
	r.outcome = r.rcode
	names, ttl, code := q.chain(m.Answer)
	if code == "" {
		r.records, code = q.ends(m.Answer, names)
	}
	if code == "" && m.Rcode == dns.RcodeNameError && len(r.records) > 0 {
		code = audit.Malformed // records of a name that does not exist
	}
	if code != "" {
		return reply{state: audit.Unknown, code: code, rcode: r.rcode, outcome: string(code)}
	}
	r.chain = names[1:]
	end := names[len(names)-1]
	soa := authority(m.Ns, end)
	switch {
	case len(r.records) > 0:
		r.state = audit.Seen
		for _, rr := range r.records {
			ttl = min(ttl, rr.Header().Ttl)
		}
	case m.Rcode == dns.RcodeNameError && conclusive(m, soa):
		r.state, r.code = audit.Absent, audit.NXDomain
	case m.Rcode == dns.RcodeSuccess && len(r.chain) > 0 && soa == nil:
		// An alias and not a word about its target: the server does not
		// follow, or what it found did not go in. Its NODATA comes with the
		// SOA record of the target.
		r.state, r.code, r.next = audit.Unknown, audit.NotLearned, end
	case m.Rcode == dns.RcodeSuccess && conclusive(m, soa) && !refers(m, soa):
		r.state, r.code = audit.Absent, audit.NoData
	default:
		r.state, r.code = audit.Unknown, audit.DNSError
	}
	if soa != nil && r.state == audit.Absent {
		r.zone = Name(soa.Hdr.Name)
		ttl = min(ttl, soa.Hdr.Ttl, soa.Minttl) // RFC 2308 5
	}
	if r.state == audit.Seen || len(r.chain) > 0 || soa != nil {
		r.ttl = ttl
	}
	return r
}

// chain walks from the name of the question along the CNAME records: the names
// passed, from the first to the end, and the smallest TTL. The code says what
// is wrong with them. Their order in the message means nothing.
func (q *question) chain(answer []dns.RR) ([]audit.DNSName, uint32, audit.Code) {
	targets := map[audit.DNSName]audit.DNSName{}
	ttls := map[audit.DNSName]uint32{}
	for _, rr := range answer {
		h := rr.Header()
		if h.Class != dns.ClassINET || h.Rdlength < shortest(h.Rrtype) {
			return nil, 0, audit.Malformed
		}
		cname, ok := rr.(*dns.CNAME)
		if !ok || q.qtype == dns.TypeCNAME {
			continue
		}
		owner, target := Name(h.Name), Name(cname.Target)
		have, ok := targets[owner]
		if ok && have != target { // RFC 2181 10.1: one canonical name
			return nil, 0, audit.Malformed
		}
		targets[owner], ttls[owner] = target, h.Ttl
	}
	names, ttl := []audit.DNSName{q.name}, ^uint32(0)
	for at := q.name; ; {
		target, ok := targets[at]
		if !ok {
			return names, ttl, ""
		}
		if len(names) > MaxLinks || slices.Contains(names, target) {
			return nil, 0, audit.CNAMELoop
		}
		names = append(names, target)
		ttl = min(ttl, ttls[at])
		at = target
	}
}

// shortest is the least that the data of a record can be, in octets: the
// parser beneath takes data that ends between two fields for zero values.
func shortest(rrtype uint16) uint16 {
	switch rrtype {
	case dns.TypeA:
		return 4
	case dns.TypeAAAA:
		return 16
	case dns.TypeMX:
		return 3 // a preference and the root (RFC 1035 3.3.9)
	case dns.TypeSOA:
		return 22 // two roots and five numbers (RFC 1035 3.3.13)
	case dns.TypeSRV:
		return 7 // three numbers and the root (RFC 2782)
	case dns.TypeTLSA:
		return 4 // three octets and some data (RFC 6698 2.1)
	}
	return 1
}

// ends picks the records of the asked type at the end of the chain. An answer
// that holds records of other names contradicts the question; one with such
// records at an alias contradicts itself (RFC 1034 3.6.2); one with nothing
// but other types at the end answers something else.
func (q *question) ends(answer []dns.RR, names []audit.DNSName) ([]dns.RR, audit.Code) {
	end := names[len(names)-1]
	var records []dns.RR
	others := false
	for _, rr := range answer {
		owner, rrtype := Name(rr.Header().Name), rr.Header().Rrtype
		if rrtype == dns.TypeRRSIG {
			continue // proves and adds nothing here
		}
		if rrtype == dns.TypeDNAME && q.qtype != dns.TypeDNAME && above(owner, names) {
			continue // from which the aliases were made (RFC 6672 3.1)
		}
		switch {
		case !slices.Contains(names, owner):
			return nil, audit.Malformed
		case rrtype == q.qtype && owner != end:
			return nil, audit.Malformed
		case rrtype == q.qtype:
			records = append(records, rr)
		case owner == end:
			others = true
		}
	}
	if others && len(records) == 0 {
		return nil, audit.Malformed
	}
	return records, ""
}

// above reports whether owner is an ancestor of one of the names.
func above(owner audit.DNSName, names []audit.DNSName) bool {
	return slices.ContainsFunc(names, func(n audit.DNSName) bool {
		return n != owner && dns.IsSubDomain(owner.FQDN(), n.FQDN())
	})
}

// authority is the SOA record of a zone that the name is in, or nil.
func authority(ns []dns.RR, name audit.DNSName) *dns.SOA {
	for _, rr := range ns {
		soa, ok := rr.(*dns.SOA)
		if ok && soa.Hdr.Rdlength >= shortest(dns.TypeSOA) && soa.Hdr.Class == dns.ClassINET && dns.IsSubDomain(Name(soa.Hdr.Name).FQDN(), name.FQDN()) {
			return soa
		}
	}
	return nil
}

// conclusive reports whether a negative answer can settle anything: it has
// the SOA record that RFC 2308 3 wants, or comes from a server that at least
// claims to recurse or to be authoritative.
func conclusive(m *dns.Msg, soa *dns.SOA) bool {
	return soa != nil || m.RecursionAvailable || m.Authoritative
}

// refers reports whether an empty answer is a referral: name servers and no
// SOA record (RFC 2308 2.2).
func refers(m *dns.Msg, soa *dns.SOA) bool {
	isNS := func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNS }
	return soa == nil && slices.ContainsFunc(m.Ns, isNS)
}

// extendedErrors reads the EDE options: their codes, sorted, and a line of
// words for the record of tries.
func extendedErrors(m *dns.Msg) ([]uint16, audit.Raw) {
	opt := m.IsEdns0()
	if opt == nil {
		return nil, ""
	}
	var codes []uint16
	var text audit.Raw
	for _, o := range opt.Option {
		e, ok := o.(*dns.EDNS0_EDE)
		if !ok || len(codes) == maxEDE {
			continue
		}
		codes = append(codes, e.InfoCode)
		line := fmt.Sprintf("EDE %d", e.InfoCode)
		if name := dns.ExtendedErrorCodeToString[e.InfoCode]; name != "" {
			line += " (" + name + ")"
		}
		if e.ExtraText != "" {
			line += ": " + string(audit.Raw(e.ExtraText).Clip(maxEDEText))
		}
		if text != "" {
			text += "; "
		}
		text += audit.Raw(line)
	}
	return union(codes, nil), text
}
