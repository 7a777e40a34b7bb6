package resolve

import (
	"slices"
	"strconv"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// Answer is what came of one question, aliases included. Answers are shared:
// read them only.
type Answer struct {
	Name  audit.DNSName
	Type  uint16
	State audit.State // Seen, Absent or Unknown
	// Why is NXDomain or NoData when Absent, and what each server did when
	// Unknown; empty when Seen.
	Why audit.Reason
	// Records are the records of the asked type at the end of the aliases, in
	// the order in which they came; at least one when Seen, none otherwise.
	Records []dns.RR
	// Chain are the targets of the aliases in order; the last one is the owner
	// of Records, or what Why is about.
	Chain []audit.DNSName
	// Zone is whose SOA record came with it when Absent (RFC 2308 section 3): the
	// zone that has no such name or record. Empty when none came.
	Zone audit.DNSName
	// AD is set when the resolver says that it validated everything that the
	// answer rests on (RFC 4035 3.2.3). Whether to believe it is another
	// question.
	AD bool
	// TTL is the smallest one that the answer rests on, in seconds: of the
	// records and aliases, or of the negative answer (RFC 2308 5). 0 when
	// Unknown.
	TTL uint32
	// EDE are the extended error codes (RFC 8914) of the answer, or of all
	// tries when Unknown; sorted.
	EDE []uint16
	// RCode is the mnemonic, "NOERROR", "NXDOMAIN" and so on; "" when nothing
	// answered.
	RCode string
	Tries []audit.Try
}

// Via is the command that asks the same question.
func (a *Answer) Via() string { return audit.Dig(dns.Type(a.Type).String(), a.Name) }

// unasked is the answer to a question that was not sent, or not waited for.
func unasked(name audit.DNSName, qtype uint16, why audit.Reason) *Answer {
	return &Answer{Name: name, Type: qtype, State: audit.Unknown, Why: why}
}

// clone is a copy that can be joined with others.
func (a *Answer) clone() *Answer {
	out := *a
	out.Chain = slices.Clone(a.Chain)
	out.EDE = slices.Clone(a.EDE)
	out.Tries = slices.Clone(a.Tries)
	return &out
}

// join adds the answer about the name at the end of a's aliases.
func (a *Answer) join(end *Answer) {
	a.State, a.Why, a.RCode, a.Records, a.Zone = end.State, end.Why, end.RCode, end.Records, end.Zone
	a.Chain = append(a.Chain, end.Chain...)
	a.AD = a.AD && end.AD
	a.TTL = min(a.TTL, end.TTL)
	a.EDE = union(a.EDE, end.EDE)
	a.Tries = append(a.Tries, end.Tries...)
	switch a.State {
	case audit.Absent:
		a.Why.Text = absence(a.Why.Code, a.key(), a.Chain)
	case audit.Unknown:
		if len(end.Tries) > 0 && a.Why.Code != audit.CNAMELoop {
			a.Why.Text = "asked about the alias target " + end.Name.String() + ", " + a.Why.Text
		}
	}
}

func (a *Answer) key() key { return key{a.Name, a.Type} }

// astray reports whether the aliases have come back to a name that they had
// passed, or are too many to be followed any further.
func (a *Answer) astray() bool {
	passed := map[audit.DNSName]bool{a.Name: true}
	for _, n := range a.Chain {
		if passed[n] {
			return true
		}
		passed[n] = true
	}
	return len(a.Chain) > MaxLinks
}

// Observe turns an answer into an observation. value sees a copy of the
// records, at least one of them, all of the asked type; it may reorder them,
// not change them.
func Observe[T any](a *Answer, value func([]dns.RR) T) audit.Obs[T] {
	switch a.State {
	case audit.Seen:
		return audit.See(value(slices.Clone(a.Records)), a.Via())
	case audit.Absent:
		return audit.None[T](a.Why.Code, a.Why.Text, a.Via())
	}
	return audit.Dark[T](a.Why, a.Via())
}

// Alias is the observation of whether the name of a is an alias, and of what:
// the targets in order. A chain whose end is unknown is not told in part.
func Alias(a *Answer) audit.Obs[[]audit.DNSName] {
	switch {
	case a.State != audit.Seen && a.State != audit.Absent:
		return audit.Dark[[]audit.DNSName](a.Why, a.Via())
	case len(a.Chain) > 0:
		return audit.See(slices.Clone(a.Chain), a.Via())
	}
	return audit.None[[]audit.DNSName](audit.NoData, "no alias", a.Via())
}

// TXT is the text of a TXT record: its strings joined with nothing between
// (RFC 7208 3.3, RFC 6376 3.6.2.2), in the bytes of the wire. The parser of
// the wire format escapes them as in a zone file, which is undone here.
func TXT(rr *dns.TXT) audit.Raw {
	var out []byte
	for _, s := range rr.Txt {
		out = unescape(out, s)
	}
	return audit.Raw(out)
}

// unescape appends s with the escapes of RFC 1035 5.1 undone: \DDD is an
// octet, \X is X.
func unescape(out []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		if len(s) >= i+4 {
			octet, err := strconv.ParseUint(s[i+1:i+4], 10, 8)
			if err == nil {
				out = append(out, byte(octet))
				i += 3
				continue
			}
		}
		out = append(out, s[i+1])
		i++
	}
	return out
}

// Name is audit.NewDNSName: a name of a record, in the form in which names
// are compared and stored.
func Name(s string) audit.DNSName { return audit.NewDNSName(s) }

// union is the sorted union of two sorted lists.
func union(a, b []uint16) []uint16 {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Clip(slices.Compact(out))
}
