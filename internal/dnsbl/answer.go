package dnsbl

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// maxNamed is how many codes of one answer a reason names: a stranger may send
// thousands.
const maxNamed = 4

// reading is what one answer says, when the list is to be believed.
type reading struct {
	state audit.State      // Seen: listed; Absent: not listed
	codes []audit.ListCode // when listed: at least one, sorted
	why   audit.Reason     // when not listed or not known
	via   string
}

// classify reads one answer. Only documented codes list; one error code, or
// one address that is no code, makes the whole answer worthless.
func classify(l List, a *resolve.Answer) reading {
	r := reading{state: audit.Unknown, via: a.Via()}
	made := substituted(a.EDE)
	switch {
	case a.State != audit.Seen && a.State != audit.Absent:
		r.why = unanswered(l, a.Why)
	case made != "":
		r.why = audit.Reason{Code: audit.ListAnswer, Text: "what came in the name of " + l.Name + " is not its own answer: " + made}
	case a.State == audit.Absent:
		r.state, r.why = audit.Absent, a.Why
	default:
		r.codes, r.why = l.read(addresses(a.Records))
		if len(r.codes) > 0 {
			r.state = audit.Seen
		}
	}
	return r
}

// read sorts the addresses of an answer into codes. Without codes, the reason
// says what the addresses are instead.
func (l List) read(addrs []netip.Addr) ([]audit.ListCode, audit.Reason) {
	var codes []audit.ListCode
	var unknown []string
	refused := ""
	for _, addr := range addrs {
		says, isError := l.refusal(addr)
		code, documented := l.meaning(addr)
		switch {
		case !inCodes(addr): // the address may change by itself, so it is not named
			return nil, audit.Reason{Code: audit.ListAnswer, Text: l.Name + " answers with an address that no list gives, as parked domains and resolvers that rewrite answers do"}
		case isError && refused == "":
			refused = l.Name + " answers with the error code " + addr.String() + ", by which it says that " + says
		case isError:
		case documented:
			codes = append(codes, code)
		default:
			unknown = append(unknown, addr.String())
		}
	}
	switch {
	case refused != "":
		return nil, audit.Reason{Code: audit.ListError, Text: refused}
	case len(codes) > 0: // one record for each reason: an undocumented one takes nothing from the others
		return codes, audit.Reason{}
	case len(unknown) > maxNamed:
		unknown = append(unknown[:maxNamed], "and more")
	}
	return nil, audit.Reason{Code: audit.ListAnswer, Text: l.Name + " answers with a code that it does not document: " + strings.Join(unknown, ", ")}
}

// addresses are the addresses of an answer, sorted, each once. What is no
// address becomes the zero one, which is no code.
func addresses(rrs []dns.RR) []netip.Addr {
	out := make([]netip.Addr, len(rrs), len(rrs)+1)
	for i, rr := range rrs {
		a, ok := rr.(*dns.A)
		if ok {
			out[i], _ = netip.AddrFromSlice(a.A.To4())
		}
	}
	if len(out) == 0 { // an answer with nothing in it is none
		out = append(out, netip.Addr{})
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// unanswered is the reason for a question that was not settled. By which
// answers a list turns away those it does not serve differs from list to list
// and from resolver to resolver.
func unanswered(l List, why audit.Reason) audit.Reason {
	switch why.Code {
	case audit.DNSRefused, audit.ServFail, audit.Timeout:
		why.Text += ", which may be how " + l.Name + " turns away a resolver that it does not serve"
	}
	return why
}

// substituted says how the resolver itself declares that an answer does not
// come from the list, or not from today (RFC 8914 section 4); "" when it does
// not. An answer from before would let a list that is gone pass its test.
func substituted(ede []uint16) string {
	for _, code := range ede {
		switch code {
		case dns.ExtendedErrorCodeForgedAnswer, dns.ExtendedErrorCodeBlocked, dns.ExtendedErrorCodeCensored, dns.ExtendedErrorCodeFiltered:
			return "the resolver declares that it answered in place of the list"
		case dns.ExtendedErrorCodeStaleAnswer, dns.ExtendedErrorCodeStaleNXDOMAINAnswer:
			return "the resolver declares that it gave an old answer, because it could not reach the list"
		}
	}
	return ""
}
