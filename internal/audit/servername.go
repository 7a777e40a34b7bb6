package audit

import (
	"cmp"
	"slices"
	"strings"
)

// ServerName is a name that some server gives for itself, in its greeting or
// in its first reply to EHLO (RFC 5321 sections 4.2 and 4.1.1.1), and that is
// no host of the run, whose addresses are in Facts.Hosts. Where exactly it
// leads is not kept: that may change by itself, and is nobody's fault.
type ServerName struct {
	Name DNSName      `json:"name"`
	A    Obs[Nothing] `json:"a,omitzero"`    // Seen: it has an IPv4 address
	AAAA Obs[Nothing] `json:"aaaa,omitzero"` // the same for IPv6
}

// Qualified is the host name that a word of a server is, and whether it is one
// that DNS could lead somewhere: it has a dot, and its last label is no number,
// as in addresses, versions and enhanced status codes (RFC 3696 section 2).
func Qualified(word Raw) (DNSName, bool) {
	name := NewDNSName(string(word))
	top := string(name[strings.LastIndexByte(string(name), '.')+1:])
	if !name.IsHostname() || len(top) == len(name) || strings.Trim(top, "0123456789") == "" {
		return "", false
	}
	return name, true
}

// GivenNames are the qualified names that the server gives for itself, each
// once: that of its greeting, and that of its first reply to EHLO.
func (e Endpoint) GivenNames() []DNSName {
	var out []DNSName
	first := e.Hello
	if e.Mode == ModeTLS {
		first = e.HelloTLS
	}
	words := []Raw{e.Greeting.Value.Name, first.Value.Name}
	if e.Greeting.Value.Code/100 != 2 {
		words = words[1:] // a refusal need not begin with a name
	}
	for _, word := range words {
		name, ok := Qualified(word)
		if ok && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// canonicalNames sorts the names and keeps each once.
func (f *Facts) canonicalNames() {
	slices.SortStableFunc(f.Names, func(a, b ServerName) int { return cmp.Compare(a.Name, b.Name) })
	f.Names = slices.CompactFunc(f.Names, func(a, b ServerName) bool { return a.Name == b.Name })
}

// Replies is how the replies of a server were formed.
type Replies struct {
	// Mixed names the replies whose lines do not all have the same code, which
	// RFC 5321 section 4.2.1 demands: "the greeting", "the reply to EHLO".
	Mixed []string `json:"mixed,omitempty"`
}
