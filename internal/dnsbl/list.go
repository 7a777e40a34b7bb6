package dnsbl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// maxName is the length of the longest name that can be asked for, in octets
// without the trailing dot (RFC 1035 2.3.4: 255 on the wire).
const maxName = 253

// List describes a block list: what it can be asked, and what its answers
// mean. It is data from the documentation of its operator.
type List struct {
	Zone audit.DNSName
	Name string // as its operator calls it
	Tier audit.ListTier
	Page string // URL where listings are explained and lifted
	// What it lists: addresses of a family, domains.
	IP4, IP6, Domain bool
	// The test entries of RFC 5782 section 5, addresses or domains: all of
	// TestListed must be listed, none of TestClean may be. Neither is empty. An
	// IPv6 entry belongs here only when the operator documents it.
	TestListed, TestClean []string
	// Codes are the documented codes, each inside 127.0.0.0/8.
	Codes []audit.ListCode
	// Errors are documented answers that are about the asker and list nobody,
	// beside 127.0.0.1 and 127.255.255.0/24, which are errors at every list.
	Errors []ErrorCode
}

// ErrorCode is an A record by which a list says why it does not answer.
type ErrorCode struct {
	Addr netip.Addr
	Says string // the rest of a sentence that begins with "it says that"
}

// Query is the name to ask a list about a subject, an address or a domain. It
// is false when there is none: the list does not list such subjects, or the
// name would be too long. An IPv4-mapped IPv6 address is asked as IPv6, in
// which form lists keep test entries; unmap real subjects.
func Query(l List, subject string) (audit.DNSName, bool) {
	addr, err := netip.ParseAddr(subject)
	labels, listed := reversed(addr), l.IP4
	switch {
	case err != nil:
		name := audit.NewDNSName(subject)
		labels, listed = string(name)+".", l.Domain && name.IsHostname()
	case !addr.Is4():
		listed = l.IP6 && addr.Zone() == ""
	}
	name := audit.DNSName(labels + string(l.Zone))
	return name, listed && len(name) <= maxName
}

// reversed is the octets (RFC 5782 2.1) or nibbles (2.4) of an address, the
// last one first, each with a dot behind it.
func reversed(addr netip.Addr) string {
	var b strings.Builder
	for _, octet := range slices.Backward(addr.AsSlice()) {
		if addr.Is4() {
			fmt.Fprintf(&b, "%d.", octet)
		} else {
			fmt.Fprintf(&b, "%x.%x.", octet&0xf, octet>>4)
		}
	}
	return b.String()
}

// check refuses a description that could make a list lie: one without test
// entries would pass its test always.
func (l List) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("block list %s: %s", l.Zone, fmt.Sprintf(format, args...))
	}
	if !l.Zone.IsHostname() || l.Name == "" || l.Tier == "" || l.Page == "" {
		return bad("zone, name, tier or page is missing")
	}
	if len(l.TestListed) == 0 || len(l.TestClean) == 0 {
		return bad("a test entry is missing (RFC 5782 5)")
	}
	for _, subject := range slices.Concat(l.TestListed, l.TestClean) {
		_, ok := Query(l, subject)
		if !ok {
			return bad("its test entry %s is nothing that it lists", subject)
		}
	}
	if len(l.Codes) == 0 {
		return bad("it has no codes")
	}
	for _, c := range l.Codes {
		_, isError := l.refusal(c.Addr)
		if !inCodes(c.Addr) || isError || c.Meaning == "" {
			return bad("%s is no code, an error code, or without a meaning", c.Addr)
		}
	}
	for _, e := range l.Errors {
		if !inCodes(e.Addr) || e.Says == "" {
			return bad("%s is no code, or says nothing", e.Addr)
		}
	}
	return nil
}

// inCodes reports whether an address is inside 127.0.0.0/8, where the answers
// of all lists are (RFC 5782 2.1). The prefix is the one of loopback.
func inCodes(addr netip.Addr) bool { return addr.Is4() && addr.IsLoopback() }

// meaning is the documented code of an address.
func (l List) meaning(addr netip.Addr) (audit.ListCode, bool) {
	for _, c := range l.Codes {
		if c.Addr == addr {
			return c, true
		}
	}
	return audit.ListCode{}, false
}

// refusal is what an error code says, when it is one. Two are errors at every
// list: 127.0.0.1, by which SURBL and URIBL refuse and with which filters answer
// in place of anybody, and 127.255.255.0/24, which Spamhaus has set aside for
// errors and others use like it.
func (l List) refusal(addr netip.Addr) (string, bool) {
	for _, e := range l.Errors {
		if e.Addr == addr {
			return e.Says, true
		}
	}
	octets := addr.AsSlice()
	switch {
	case !inCodes(addr):
		return "", false
	case octets[1] == 255 && octets[2] == 255:
		return "it does not serve this question", true
	case octets[1] == 0 && octets[2] == 0 && octets[3] == 1:
		return "it refuses the question", true
	}
	return "", false
}
