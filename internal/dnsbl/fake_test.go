package dnsbl

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// rtt is the round trip of every fake question.
const rtt = 100 * time.Millisecond

// fake answers DNS questions from a table: name to what comes back, which is
// "nxdomain", "nodata", "servfail", "refused", "timeout", or addresses, and may
// end in "ede N". A name that is not there is looked up by "*", then NXDOMAIN.
type fake struct {
	table map[string]string
	mu    sync.Mutex
	asked []string // the names, in order of arrival
}

func (f *fake) Ask(ctx context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	f.mu.Lock()
	f.asked = append(f.asked, string(name))
	what, ok := f.table[string(name)]
	f.mu.Unlock()
	if !ok {
		what, ok = f.table["*"]
	}
	if !ok {
		what = "nxdomain"
	}
	dark := func(code audit.Code, text string) *resolve.Answer {
		return &resolve.Answer{Name: name, Type: qtype, State: audit.Unknown, Why: audit.Reason{Code: code, Text: text}}
	}
	select {
	case <-time.After(rtt):
	case <-ctx.Done():
		return dark(audit.Interrupted, "the run was interrupted")
	}
	switch what {
	case "servfail":
		return dark(audit.ServFail, "192.0.2.53 answered SERVFAIL")
	case "refused":
		return dark(audit.DNSRefused, "192.0.2.53 answered REFUSED")
	case "timeout":
		return dark(audit.Timeout, "192.0.2.53 did not answer")
	}
	return answer(name, what)
}

func (f *fake) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, have := range f.asked {
		if have == name {
			n++
		}
	}
	return n
}

// answer is one that settles its question.
func answer(name audit.DNSName, what string) *resolve.Answer {
	a := &resolve.Answer{Name: name, Type: dns.TypeA}
	what, ede, _ := strings.Cut(what, " ede ")
	switch ede {
	case "3":
		a.EDE = []uint16{3}
	case "15":
		a.EDE = []uint16{15}
	case "22":
		a.EDE = []uint16{22}
	}
	switch what {
	case "nxdomain":
		a.State, a.Why = audit.Absent, audit.Reason{Code: audit.NXDomain, Text: name.String() + " does not exist"}
	case "nodata":
		a.State, a.Why = audit.Absent, audit.Reason{Code: audit.NoData, Text: name.String() + " has no A record"}
	default:
		a.State = audit.Seen
		for _, addr := range strings.Fields(what) {
			a.Records = append(a.Records, &dns.A{
				Hdr: dns.RR_Header{Name: name.FQDN(), Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60, Rdlength: 4},
				A:   net.ParseIP(addr),
			})
		}
	}
	return a
}

// healthy is a world in which every list of Lists is well and lists nobody
// else, with further entries laid over it: pairs of name and answer.
func healthy(pairs ...string) *fake {
	table := map[string]string{
		"2.0.0.127.zen.spamhaus.org":   "127.0.0.10 127.0.0.2 127.0.0.4",
		"2.0.0.127.bl.spamcop.net":     "127.0.0.2",
		"2.0.0.127.psbl.surriel.com":   "127.0.0.2",
		"2.0.0.127.bl.mailspike.net":   "127.0.0.2",
		"dbltest.com.dbl.spamhaus.org": "127.0.1.2",
	}
	for i := 0; i < len(pairs); i += 2 {
		table[pairs[i]] = pairs[i+1]
	}
	return &fake{table: table}
}

// checker fails the test when it cannot be made.
func checker(t *testing.T, dns, again Asker, lists ...List) *Checker {
	t.Helper()
	c, err := New(Config{DNS: dns, Again: again, Lists: lists})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func domain(t *testing.T, s string) audit.Domain {
	t.Helper()
	d, _, err := audit.ParseDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// codes are the last three octets of the codes of an observation.
func codes(o audit.Obs[[]audit.ListCode]) string {
	var out []string
	for _, c := range o.Value {
		out = append(out, strings.TrimPrefix(c.Addr.String(), "127."))
	}
	return strings.Join(out, " ")
}
