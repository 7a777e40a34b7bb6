package resolve

import (
	"strings"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// absence is the sentence for a negative answer.
func absence(code audit.Code, k key, chain []audit.DNSName) string {
	subject := k.name.String()
	if len(chain) > 0 {
		subject += " is an alias of " + chain[len(chain)-1].String() + ", which"
	}
	if code == audit.NXDomain {
		return subject + " does not exist"
	}
	return subject + " has no " + dns.Type(k.qtype).String() + " record"
}

// loops is the reason for aliases that lead nowhere.
func loops(name audit.DNSName) audit.Reason {
	return audit.Reason{Code: audit.CNAMELoop, Text: "the aliases of " + name.String() + " go round in a circle or are more than ten"}
}

// weight orders the reasons of Unknown by how much they tell: a server that
// answered anything tells more than one that did not, and trouble with the
// domain more than trouble with us.
func weight(code audit.Code) int {
	order := []audit.Code{
		audit.LocalError, audit.LocalPolicy, audit.NoRoute, audit.Unreachable, audit.ConnRefused, audit.Closed, audit.Reset,
		audit.TLSProtocol, audit.Untrusted, httpFailed, audit.Timeout, audit.Truncated, audit.DNSError, audit.FormErr, audit.DNSRefused, audit.Malformed, audit.ServFail, audit.Filtered,
	}
	for i, c := range order {
		if c == code {
			return i + 1
		}
	}
	return 0
}

// down reports whether the code means that a resolver could not be asked at
// all, as opposed to not having answered.
func down(code audit.Code) bool {
	switch code {
	case audit.NoRoute, audit.Unreachable, audit.ConnRefused, audit.Closed, audit.Reset, audit.LocalPolicy, audit.LocalError,
		audit.TLSProtocol, audit.Untrusted, httpFailed:
		return true
	}
	return false
}

// did is what a server did, as the rest of a sentence that begins with its
// address.
func did(r reply) string {
	if r.did != "" {
		return r.did
	}
	switch r.code {
	case audit.Timeout:
		return "did not answer"
	case audit.Truncated:
		return "cut its answer short and did not give it over TCP"
	case audit.Malformed:
		return "gave an answer that does not parse or contradicts itself"
	case audit.ConnRefused:
		return "refused the connection"
	case audit.Unreachable:
		return "is unreachable"
	case audit.NoRoute:
		return "cannot be reached from here"
	case audit.Closed, audit.Reset:
		return "broke the connection off"
	case audit.LocalPolicy:
		return "may not be contacted (a local firewall, for example)"
	case audit.LocalError:
		return "could not be asked because our own system failed"
	}
	switch r.rcode {
	case rcodeName(dns.RcodeSuccess), rcodeName(dns.RcodeNameError):
		return "neither recurses nor is authoritative (" + r.rcode + " without an answer)"
	}
	return "answered " + r.rcode
}

// verdict sums up servers of which none settled the question. heard has the
// most telling reply of each server, in configured order, the zero reply for
// one that was not asked.
func verdict(servers []*upstream, heard []reply) (audit.Reason, string) {
	var worst reply
	var said []string
	for i, r := range heard {
		if r.state == "" {
			continue
		}
		said = append(said, servers[i].label+" "+did(r))
		if weight(r.code) > weight(worst.code) {
			worst = r
		}
	}
	code := worst.code
	if down(code) && code != audit.LocalPolicy && code != audit.LocalError {
		code = audit.ResolverDown
	}
	return audit.Reason{Code: code, Text: strings.Join(said, ", ")}, worst.rcode
}
