package resolve

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

const (
	soa     = "ns example.org. 3600 IN SOA ns.example.org. root.example.org. 1 2 3 4 60"
	mx10    = "example.org. 300 IN MX 10 mx.example.org."
	a53     = "192.0.2.53"
	a54     = "192.0.2.54"
	servOK  = "192.0.2.53 udp NOERROR"
	noReply = "192.0.2.53 udp timeout"
)

// outcome is a case: servers, and what must come of asking them for the MX
// records of example.org.
type outcome struct {
	name    string
	one     behaviour // 192.0.2.53
	two     behaviour // 192.0.2.54, nil: not configured
	tcp     behaviour // 192.0.2.53 over TCP, nil: like one
	qtype   uint16    // 0: MX
	state   audit.State
	code    audit.Code
	text    string
	rcode   string
	records string // "; " between them
	chain   string
	ttl     uint32
	zone    audit.DNSName // of an absence, in the cases that are about it
	tries   string
	took    time.Duration
}

func check(t *testing.T, tt outcome) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet(map[string]behaviour{a53: tt.one, a54: tt.two})
		addrs := []string{a53}
		if tt.two != nil {
			addrs = append(addrs, a54)
		}
		if tt.tcp != nil {
			f.servers[a53+" tcp"] = tt.tcp
		}
		if tt.qtype == 0 {
			tt.qtype = dns.TypeMX
		}
		c := client(t, f, nil, addrs...)
		start := time.Now()
		a := c.Ask(t.Context(), "example.org", tt.qtype)
		if got := time.Since(start); got != tt.took {
			t.Errorf("took %v, want %v", got, tt.took)
		}
		if a.State != tt.state || a.Why.Code != tt.code || a.Why.Text != tt.text {
			t.Errorf("answer %q %q %q,\nwant   %q %q %q", a.State, a.Why.Code, a.Why.Text, tt.state, tt.code, tt.text)
		}
		if a.RCode != tt.rcode {
			t.Errorf("RCode %q, want %q", a.RCode, tt.rcode)
		}
		var records, chain []string
		for _, rr := range a.Records {
			records = append(records, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
		for _, n := range a.Chain {
			chain = append(chain, n.String())
		}
		if got := strings.Join(records, "; "); got != tt.records {
			t.Errorf("records %q, want %q", got, tt.records)
		}
		if got := strings.Join(chain, " "); got != tt.chain {
			t.Errorf("chain %q, want %q", got, tt.chain)
		}
		if a.TTL != tt.ttl {
			t.Errorf("TTL %d, want %d", a.TTL, tt.ttl)
		}
		if tt.zone != "" && a.Zone != tt.zone || a.State != audit.Absent && a.Zone != "" {
			t.Errorf("zone %q, want %q", a.Zone, tt.zone)
		}
		if got := tries(a.Tries); got != tt.tries {
			t.Errorf("tries %q,\nwant  %q", got, tt.tries)
		}
	})
}

func TestConclusiveAnswers(t *testing.T) {
	const (
		cname  = "example.org. 60 IN CNAME www.example.net."
		noSuch = "192.0.2.53 udp NXDOMAIN"
	)
	for _, tt := range []outcome{
		{name: "records", one: says(0, "ra", mx10, "example.org. 200 IN MX 20 b."),
			state: audit.Seen, rcode: "NOERROR", records: "10 mx.example.org.; 20 b.", ttl: 200, tries: servOK},
		{name: "records from an authoritative server", one: says(0, "aa", mx10),
			state: audit.Seen, rcode: "NOERROR", records: "10 mx.example.org.", ttl: 300, tries: servOK},
		{name: "letter case of names does not count", one: says(0, "ra", "EXAMPLE.org. 5 IN MX 10 mx."),
			state: audit.Seen, rcode: "NOERROR", records: "10 mx.", ttl: 5, tries: servOK},
		{name: "NODATA", one: says(0, "ra", soa),
			state: audit.Absent, code: audit.NoData, text: "example.org has no MX record", rcode: "NOERROR", ttl: 60, tries: servOK},
		{name: "NODATA without SOA record from a resolver", one: says(0, "ra"),
			state: audit.Absent, code: audit.NoData, text: "example.org has no MX record", rcode: "NOERROR", tries: servOK},
		{name: "NODATA with the SOA record of another zone", one: says(0, "ra", "ns example.com. 3 IN SOA a. b. 1 2 3 4 5"),
			state: audit.Absent, code: audit.NoData, text: "example.org has no MX record", rcode: "NOERROR", tries: servOK},
		{name: "NXDOMAIN", one: says(3, "ra", soa),
			state: audit.Absent, code: audit.NXDomain, text: "example.org does not exist", rcode: "NXDOMAIN", ttl: 60, zone: "example.org", tries: noSuch},
		{name: "NXDOMAIN without SOA record", one: says(3, "ra"),
			state: audit.Absent, code: audit.NXDomain, text: "example.org does not exist", rcode: "NXDOMAIN", tries: noSuch},
		{name: "aliases in any order", one: says(0, "ra", "b. 300 IN MX 10 mx.", "a. 50 IN CNAME b.", "example.org. 60 IN CNAME a."),
			state: audit.Seen, rcode: "NOERROR", records: "10 mx.", chain: "a b", ttl: 50, tries: servOK},
		{name: "the same alias twice", one: says(0, "ra", cname, cname, "www.example.net. 9 IN MX 10 mx."),
			state: audit.Seen, rcode: "NOERROR", records: "10 mx.", chain: "www.example.net", ttl: 9, tries: servOK},
		{name: "an alias made by a DNAME record", one: says(0, "ra", "org. 7 IN DNAME net.", "example.org. 60 IN CNAME example.net.", "example.net. 300 IN MX 10 mx."),
			state: audit.Seen, rcode: "NOERROR", records: "10 mx.", chain: "example.net", ttl: 60, tries: servOK},
		{name: "alias of a name without such records", one: says(0, "ra", cname, "ns example.net. 30 IN SOA a. b. 1 2 3 4 5"),
			state: audit.Absent, code: audit.NoData, text: "example.org is an alias of www.example.net, which has no MX record", rcode: "NOERROR", chain: "www.example.net", ttl: 5, zone: "example.net", tries: servOK},
		{name: "alias of a name that does not exist", one: says(3, "ra", cname),
			state: audit.Absent, code: audit.NXDomain, text: "example.org is an alias of www.example.net, which does not exist", rcode: "NXDOMAIN", chain: "www.example.net", ttl: 60, tries: noSuch},
		{name: "asked for the alias itself", qtype: dns.TypeCNAME, one: says(0, "ra", cname),
			state: audit.Seen, rcode: "NOERROR", records: "www.example.net.", ttl: 60, tries: servOK},
		{name: "ten links", one: says(0, "ra", append(links(10), "l10. 300 IN MX 10 mx.")...),
			state: audit.Seen, rcode: "NOERROR", records: "10 mx.", chain: "l1 l2 l3 l4 l5 l6 l7 l8 l9 l10", ttl: 60, tries: servOK},
		{name: "signatures on the side", one: says(0, "ra", mx10, "example.org. 300 IN RRSIG MX 8 2 300 20300101000000 20200101000000 1 example.org. AAAA"),
			state: audit.Seen, rcode: "NOERROR", records: "10 mx.example.org.", ttl: 300, tries: servOK},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, tt) })
	}
}

// links is a chain of n aliases from example.org over l1, l2 ...
func links(n int) []string {
	out := []string{"example.org. 60 IN CNAME l1."}
	for i := 1; i < n; i++ {
		out = append(out, fmt.Sprintf("l%d. 60 IN CNAME l%d.", i, i+1))
	}
	return out
}

func times(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+", ", n), ", ") }

func TestUnknown(t *testing.T) {
	const (
		pauses    = 1300 * time.Millisecond // 0.3 s and 1 s
		senseless = "192.0.2.53 gave an answer that does not parse or contradicts itself"
		circle    = "the aliases of example.org go round in a circle or are more than ten"
	)
	malformed := func(name string, b behaviour, rcode string) outcome {
		return outcome{name: name, one: b, state: audit.Unknown, code: audit.Malformed, text: senseless, rcode: rcode, tries: times("192.0.2.53 udp malformed", 3), took: pauses}
	}
	lame := func(name string, b behaviour) outcome {
		return outcome{name: name, one: b, state: audit.Unknown, code: audit.DNSError, text: "192.0.2.53 neither recurses nor is authoritative (NOERROR without an answer)", rcode: "NOERROR", tries: times(servOK, 3), took: pauses}
	}
	down := func(name string, no syscall.Errno, code audit.Code, outcomeCode audit.Code, text string) outcome {
		return outcome{name: name, one: unreachable(no), state: audit.Unknown, code: code, text: text, tries: times("192.0.2.53 udp "+string(outcomeCode), 3), took: pauses}
	}
	for _, tt := range []outcome{
		{name: "timeout", one: silent, state: audit.Unknown, code: audit.Timeout, text: "192.0.2.53 did not answer",
			tries: times(noReply, 3), took: 9 * time.Second},
		{name: "SERVFAIL", one: says(2, "ra"), state: audit.Unknown, code: audit.ServFail, text: "192.0.2.53 answered SERVFAIL", rcode: "SERVFAIL",
			tries: times("192.0.2.53 udp SERVFAIL", 3), took: pauses},
		{name: "REFUSED", one: says(5, ""), state: audit.Unknown, code: audit.DNSRefused, text: "192.0.2.53 answered REFUSED", rcode: "REFUSED",
			tries: times("192.0.2.53 udp REFUSED", 3), took: pauses},
		{name: "FORMERR, also without EDNS", one: says(1, "ra"), state: audit.Unknown, code: audit.FormErr, text: "192.0.2.53 answered FORMERR", rcode: "FORMERR",
			tries: times("192.0.2.53 udp FORMERR", 6), took: pauses},
		{name: "NOTIMP, also without EDNS", one: says(4, "ra"), state: audit.Unknown, code: audit.DNSError, text: "192.0.2.53 answered NOTIMP", rcode: "NOTIMP",
			tries: times("192.0.2.53 udp NOTIMP", 6), took: pauses},
		{name: "an RCODE that nobody knows", one: says(13, "ra"), state: audit.Unknown, code: audit.DNSError, text: "192.0.2.53 answered RCODE13", rcode: "RCODE13",
			tries: times("192.0.2.53 udp RCODE13", 3), took: pauses},
		{name: "a header alone that says REFUSED", one: raw(func(q []byte) []byte { return []byte{q[0], q[1], 0x80, 5, 0, 1, 0, 0, 0, 0, 0, 0} }),
			state: audit.Unknown, code: audit.DNSRefused, text: "192.0.2.53 answered REFUSED", rcode: "REFUSED", tries: times("192.0.2.53 udp REFUSED", 3), took: pauses},
		{name: "a header alone that says NXDOMAIN is no answer", one: raw(func(q []byte) []byte { return []byte{q[0], q[1], 0x80, 3, 0, 0, 0, 0, 0, 0, 0, 0} }),
			state: audit.Unknown, code: audit.Timeout, text: "192.0.2.53 did not answer", tries: times(noReply, 3), took: 9 * time.Second},
		{name: "truncated and no TCP", one: says(0, "ra tc"), tcp: unreachable(syscall.ECONNREFUSED), state: audit.Unknown, code: audit.Truncated,
			text:  "192.0.2.53 cut its answer short and did not give it over TCP",
			tries: times("192.0.2.53 udp truncated, 192.0.2.53 tcp conn-refused", 3)},
		{name: "truncated and silence over TCP", one: says(0, "ra tc", mx10), tcp: silent, state: audit.Unknown, code: audit.Truncated,
			text:  "192.0.2.53 cut its answer short and did not give it over TCP",
			tries: times("192.0.2.53 udp truncated, 192.0.2.53 tcp timeout", 3), took: 9 * time.Second},
		{name: "truncated and hung up on", one: says(3, "ra tc"), tcp: hangUp, state: audit.Unknown, code: audit.Truncated,
			text:  "192.0.2.53 cut its answer short and did not give it over TCP",
			tries: times("192.0.2.53 udp truncated, 192.0.2.53 tcp closed", 3)},
		{name: "truncated over TCP too", one: says(0, "ra tc", mx10), state: audit.Unknown, code: audit.Truncated,
			text:  "192.0.2.53 cut its answer short and did not give it over TCP",
			tries: times("192.0.2.53 udp truncated, 192.0.2.53 tcp truncated", 3)},
		{name: "truncated and SERVFAIL over TCP", one: says(0, "ra tc"), tcp: says(2, "ra"), state: audit.Unknown, code: audit.ServFail,
			text: "192.0.2.53 answered SERVFAIL", rcode: "SERVFAIL",
			tries: times("192.0.2.53 udp truncated, 192.0.2.53 tcp SERVFAIL", 3), took: pauses},

		malformed("records of another name", says(0, "ra", mx10, "example.com. 300 IN MX 10 mx."), "NOERROR"),
		malformed("an address that nobody asked for", says(0, "ra", mx10, "mx.example.org. 300 IN A 192.0.2.1"), "NOERROR"),
		malformed("only records of another type", says(0, "ra", "example.org. 300 IN A 192.0.2.1"), "NOERROR"),
		malformed("records of another class", says(0, "ra", "example.org. 300 CH MX 10 mx."), "NOERROR"),
		malformed("records of a name that does not exist", says(3, "ra", mx10), "NXDOMAIN"),
		malformed("records beside an alias", says(0, "ra", mx10, "example.org. 60 IN CNAME a.", "a. 60 IN MX 10 mx."), "NOERROR"),
		malformed("two aliases of one name", says(0, "ra", "example.org. 60 IN CNAME a.", "example.org. 60 IN CNAME b."), "NOERROR"),
		malformed("an alias of another name", says(0, "ra", "example.com. 60 IN CNAME a."), "NOERROR"),
		malformed("a DNAME record that is above nothing", says(0, "ra", mx10, "com. 7 IN DNAME net."), "NOERROR"),
		malformed("an MX record without data", raw(func(q []byte) []byte {
			m := append([]byte{q[0], q[1], 0x80, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, q[12:29]...)
			return append(m, 0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 9, 0, 0)
		}), "NOERROR"),
		malformed("an MX record with nothing but a preference", raw(func(q []byte) []byte {
			m := append([]byte{q[0], q[1], 0x80, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, q[12:29]...)
			return append(m, 0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 9, 0, 2, 0, 10)
		}), "NOERROR"),
		malformed("fewer records than the header counts", raw(func(q []byte) []byte {
			return append([]byte{q[0], q[1], 0x80, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, q[12:29]...)
		}), ""),
		malformed("no SOA record where one is counted", raw(func(q []byte) []byte {
			return append([]byte{q[0], q[1], 0x80, 0x80, 0, 1, 0, 0, 0, 1, 0, 0}, q[12:29]...)
		}), ""),
		malformed("garbage after the question", raw(func(q []byte) []byte {
			return append([]byte{q[0], q[1], 0x80, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, append(q[12:29:29], 0xff, 0xff, 0xff)...)
		}), ""),

		{name: "aliases in a circle", one: says(0, "ra", "example.org. 60 IN CNAME a.", "a. 60 IN CNAME example.org."), state: audit.Unknown,
			code: audit.CNAMELoop, text: circle, rcode: "NOERROR", tries: "192.0.2.53 udp cname-loop"},
		{name: "an alias of itself", one: says(0, "ra", "example.org. 60 IN CNAME example.org."), state: audit.Unknown,
			code: audit.CNAMELoop, text: circle, rcode: "NOERROR", tries: "192.0.2.53 udp cname-loop"},
		{name: "eleven links", one: says(0, "ra", append(links(11), "l11. 300 IN MX 10 mx.")...), state: audit.Unknown,
			code: audit.CNAMELoop, text: circle, rcode: "NOERROR", tries: "192.0.2.53 udp cname-loop"},

		lame("referral", says(0, "", "ns org. 60 IN NS ns.org.")),
		lame("referral that claims recursion", says(0, "ra", "ns org. 60 IN NS ns.org.")),
		lame("empty answer of a server that claims nothing", says(0, "")),
		lame("an SOA record that ends early", raw(func(q []byte) []byte {
			m := append([]byte{q[0], q[1], 0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0}, q[12:29]...)
			return append(m, 0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 9, 0, 2, 0, 0)
		})),
		{name: "NXDOMAIN of a server that claims nothing", one: says(3, ""), state: audit.Unknown, code: audit.DNSError,
			text: "192.0.2.53 neither recurses nor is authoritative (NXDOMAIN without an answer)", rcode: "NXDOMAIN",
			tries: times("192.0.2.53 udp NXDOMAIN", 3), took: pauses},

		down("connection refused", syscall.ECONNREFUSED, audit.ResolverDown, audit.ConnRefused, "192.0.2.53 refused the connection"),
		down("unreachable", syscall.EHOSTUNREACH, audit.ResolverDown, audit.Unreachable, "192.0.2.53 is unreachable"),
		down("no route", syscall.ENETUNREACH, audit.ResolverDown, audit.NoRoute, "192.0.2.53 cannot be reached from here"),
		down("our firewall", syscall.EPERM, audit.LocalPolicy, audit.LocalPolicy, "192.0.2.53 may not be contacted (a local firewall, for example)"),
		down("an error that nobody knows", syscall.EINVAL, audit.LocalError, audit.LocalError, "192.0.2.53 could not be asked because our own system failed"),
		{name: "refused, then silent", one: inTurn(unreachable(syscall.ECONNREFUSED), silent), state: audit.Unknown, code: audit.Timeout,
			text: "192.0.2.53 did not answer", tries: "192.0.2.53 udp conn-refused, 192.0.2.53 udp timeout, 192.0.2.53 udp timeout", took: 6300 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, tt) })
	}
}

func TestTriesGoOverTheServers(t *testing.T) {
	ok := says(0, "ra", mx10)
	for _, tt := range []outcome{
		{name: "a lost packet decides nothing", one: inTurn(silent, ok), tries: noReply + ", " + servOK, took: 3 * time.Second},
		{name: "two lost packets decide nothing", one: inTurn(silent, silent, ok), tries: noReply + ", " + noReply + ", " + servOK, took: 6 * time.Second},
		{name: "a passing SERVFAIL decides nothing", one: inTurn(says(2, "ra"), ok), tries: "192.0.2.53 udp SERVFAIL, " + servOK, took: 300 * time.Millisecond},
		{name: "two passing SERVFAILs decide nothing", one: inTurn(says(2, "ra"), says(2, "ra"), ok),
			tries: times("192.0.2.53 udp SERVFAIL", 2) + ", " + servOK, took: 1300 * time.Millisecond},
		{name: "the other server at once after a timeout", one: silent, two: ok, tries: noReply + ", 192.0.2.54 udp NOERROR", took: 3 * time.Second},
		{name: "the other server after a pause", one: says(5, ""), two: ok, tries: "192.0.2.53 udp REFUSED, 192.0.2.54 udp NOERROR", took: 300 * time.Millisecond},
		{name: "the other server at once when the first is down", one: unreachable(syscall.ECONNREFUSED), two: ok,
			tries: "192.0.2.53 udp conn-refused, 192.0.2.54 udp NOERROR"},
		{name: "the other server at once when TCP does not work", one: says(0, "ra tc"), tcp: unreachable(syscall.ECONNREFUSED), two: ok,
			tries: "192.0.2.53 udp truncated, 192.0.2.53 tcp conn-refused, 192.0.2.54 udp NOERROR"},
		{name: "TCP when the answer does not fit", one: says(0, "ra tc"), tcp: ok, tries: "192.0.2.53 udp truncated, 192.0.2.53 tcp NOERROR"},
		{name: "without EDNS on FORMERR", one: inTurn(says(1, ""), ok), tries: "192.0.2.53 udp FORMERR, " + servOK},
		{name: "without EDNS on NOTIMP", one: inTurn(says(4, ""), ok), tries: "192.0.2.53 udp NOTIMP, " + servOK},
		{name: "without EDNS on BADVERS", one: inTurn(badVersion, ok), tries: "192.0.2.53 udp BADVERS, " + servOK},
		{name: "FORMERR in a header alone", one: inTurn(raw(func(q []byte) []byte { return []byte{q[0], q[1], 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0} }), ok),
			tries: "192.0.2.53 udp FORMERR, " + servOK},
		{name: "without EDNS, then TCP", one: inTurn(says(1, ""), says(0, "tc"), ok), tries: "192.0.2.53 udp FORMERR, 192.0.2.53 udp truncated, 192.0.2.53 tcp NOERROR"},
	} {
		tt.state, tt.rcode, tt.records, tt.ttl = audit.Seen, "NOERROR", "10 mx.example.org.", 300
		t.Run(tt.name, func(t *testing.T) { check(t, tt) })
	}
	for _, tt := range []outcome{
		{name: "each server is told of, in configured order", one: silent, two: says(2, "ra"), code: audit.ServFail, rcode: "SERVFAIL",
			text:  "192.0.2.53 did not answer, 192.0.2.54 answered SERVFAIL",
			tries: "192.0.2.53 udp timeout, 192.0.2.54 udp SERVFAIL, 192.0.2.53 udp timeout", took: 6300 * time.Millisecond},
		{name: "of one server the more telling reply", one: inTurn(says(2, "ra"), silent), two: silent, code: audit.ServFail, rcode: "SERVFAIL",
			text:  "192.0.2.53 answered SERVFAIL, 192.0.2.54 did not answer",
			tries: "192.0.2.53 udp SERVFAIL, 192.0.2.54 udp timeout, 192.0.2.53 udp timeout", took: 6300 * time.Millisecond},
		{name: "all down", one: unreachable(syscall.ECONNREFUSED), two: unreachable(syscall.ENETUNREACH), code: audit.ResolverDown,
			text:  "192.0.2.53 refused the connection, 192.0.2.54 cannot be reached from here",
			tries: "192.0.2.53 udp conn-refused, 192.0.2.54 udp no-route, 192.0.2.53 udp conn-refused", took: 300 * time.Millisecond},
	} {
		tt.state = audit.Unknown
		t.Run(tt.name, func(t *testing.T) { check(t, tt) })
	}
}

func badVersion(r *received) {
	m := message(r, dns.RcodeBadVers, "")
	m.SetEdns0(1232, false)
	r.send(pack(m))
}

func TestForgedAnswersAreIgnored(t *testing.T) {
	right := says(0, "ra", mx10)
	late := func(r *received) { time.Sleep(time.Second); right(r) }
	for name, forged := range map[string]behaviour{
		"another name":          forge(func(m *dns.Msg) { m.Question[0].Name = "example.com." }),
		"a name that begins so": forge(func(m *dns.Msg) { m.Question[0].Name = "example.org.example." }),
		"another type":          forge(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }),
		"another class":         forge(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
		"another id":            forge(func(m *dns.Msg) { m.Id ^= 1 }),
		"a query":               forge(func(m *dns.Msg) { m.Response = false }),
		"another opcode":        forge(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }),
		"no question":           forge(func(m *dns.Msg) { m.Question = nil }),
		"no question, NXDOMAIN": forge(func(m *dns.Msg) { m.Question, m.Answer, m.Rcode = nil, nil, 3 }),
		"two questions":         forge(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
		"an empty datagram":     raw(func([]byte) []byte { return nil }),
		"half a header":         raw(func(q []byte) []byte { return q[:7] }),
		"half a question":       raw(func(q []byte) []byte { return append([]byte{q[0], q[1], 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:20]...) }),
		"our own query, echoed": raw(func(q []byte) []byte { return q }),
		"a thousand wrong ids": func(r *received) {
			m := forge(func(m *dns.Msg) { m.Id += 7 })
			for range 1000 {
				m(r)
			}
		},
		"a question by pointer": raw(func(q []byte) []byte {
			return append([]byte{q[0], q[1], 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 14, 0}, q[25:29]...)
		}),
		"a name that ends early": forge(func(m *dns.Msg) { m.Question[0].Name = "example." }),
	} {
		for _, network := range []string{"udp", "tcp"} {
			if network == "tcp" && name == "a thousand wrong ids" {
				continue // too many for one connection, see TestStrayMessagesOverTCP
			}
			t.Run(name+" "+network, func(t *testing.T) {
				tt := outcome{one: both(forged, late), state: audit.Seen, rcode: "NOERROR", records: "10 mx.example.org.", ttl: 300, tries: servOK, took: time.Second}
				if network == "tcp" {
					tt.one, tt.tcp, tt.tries = says(0, "tc"), tt.one, "192.0.2.53 udp truncated, 192.0.2.53 tcp NOERROR"
				}
				check(t, tt)
			})
		}
	}
	t.Run("a forged one alone is silence", func(t *testing.T) {
		check(t, outcome{one: forge(func(m *dns.Msg) { m.Question[0].Name = "example.com." }), state: audit.Unknown, code: audit.Timeout,
			text: "192.0.2.53 did not answer", tries: times(noReply, 3), took: 9 * time.Second})
	})
	t.Run("letter case of the question does not count", func(t *testing.T) {
		check(t, outcome{one: func(r *received) {
			m := message(r, 0, "ra", mx10)
			m.Question[0].Name = "eXaMPLE.oRg."
			r.send(pack(m))
		}, state: audit.Seen, rcode: "NOERROR", records: "10 mx.example.org.", ttl: 300, tries: servOK})
	})
	t.Run("the first of two right ones counts", func(t *testing.T) {
		check(t, outcome{one: both(right, says(3, "ra")), state: audit.Seen, rcode: "NOERROR", records: "10 mx.example.org.", ttl: 300, tries: servOK})
	})
}

func TestStrayMessagesOverTCP(t *testing.T) {
	stray := forge(func(m *dns.Msg) { m.Id ^= 1 })
	check(t, outcome{one: says(0, "ra tc"), tcp: func(r *received) {
		for range 100 {
			stray(r)
		}
	}, state: audit.Unknown, code: audit.Truncated, text: "192.0.2.53 cut its answer short and did not give it over TCP",
		tries: times("192.0.2.53 udp truncated, 192.0.2.53 tcp malformed", 3)})
}

// TestQueryOnTheWire pins what goes out: RD and AD set, CD not, EDNS with 1232
// and without DO, and no EDNS at all in the second attempt.
func TestQueryOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, second *dns.Msg
		f := newFakeNet(map[string]behaviour{a53: func(r *received) {
			if r.n == 1 {
				first = r.msg
				says(1, "")(r)
				return
			}
			second = r.msg
			says(0, "ra", soa)(r)
		}})
		client(t, f, nil, a53).Ask(t.Context(), "Example.ORG", dns.TypeTXT)
		for i, m := range []*dns.Msg{first, second} {
			if !m.RecursionDesired || !m.AuthenticatedData || m.CheckingDisabled || m.Response || m.Opcode != 0 {
				t.Errorf("query %d has the header %+v", i, m.MsgHdr)
			}
			q := m.Question[0]
			if len(m.Question) != 1 || !strings.EqualFold(q.Name, "example.org.") || q.Qtype != dns.TypeTXT || q.Qclass != dns.ClassINET {
				t.Errorf("query %d asks %+v", i, m.Question)
			}
		}
		opt := first.IsEdns0()
		if opt == nil || opt.UDPSize() != 1232 || opt.Do() || opt.Version() != 0 || len(opt.Option) != 0 {
			t.Errorf("first query has OPT %v", opt)
		}
		if len(second.Extra) != 0 {
			t.Errorf("second query has additional records %v", second.Extra)
		}
		if first.Id == second.Id {
			t.Error("both queries have the same id")
		}
	})
}
