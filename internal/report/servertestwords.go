package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file has the sentences that runs of kind smtp have alone.

// testSentence says how the server received us.
func testSentence(run *audit.Run) string {
	f := run.Snapshot.Facts
	t := tallyOf(f.SMTP)
	switch {
	case t.tried > 0 && t.up == t.tried:
		return fmt.Sprintf("%s answers, on %s.", run.Target, plural(t.tried, "address"))
	case t.tried == 1:
		return fmt.Sprintf("%s %s.", run.Target, strings.TrimPrefix(t.rest(), "1 "))
	case t.tried > 0 && t.up == 0:
		return fmt.Sprintf("%s welcomed us on none of its %s: %s.", run.Target, plural(t.tried, "address"), t.rest())
	case t.tried > 0:
		return fmt.Sprintf("%s answers on %d of %s; %s.", run.Target, t.up, plural(t.tried, "address"), t.rest())
	}
	for _, h := range f.Hosts {
		for _, o := range []audit.Obs[[]netip.Addr]{h.A, h.AAAA} {
			if o.State == audit.Unknown {
				return fmt.Sprintf("The addresses of %s are not known: %s.", h.Name, strings.TrimSuffix(o.Why.Text, "."))
			}
		}
		if h.A.State == audit.Absent && h.AAAA.State == audit.Absent {
			return fmt.Sprintf("%s has no address in DNS: there was nothing to connect to.", h.Name)
		}
	}
	return fmt.Sprintf("%s was not connected to.", run.Target)
}

// untested reports whether a server that was to be tested welcomed us at no
// address, and there is no fault in that.
func untested(run *audit.Run, m Model) bool {
	return run.Kind == audit.KindSMTP && len(m.Fails) == 0 && tallyOf(run.Snapshot.Facts.SMTP).up == 0
}

// loginsProven is that logins are offered, where they are.
func loginsProven(run *audit.Run) []string {
	var names []string
	for _, e := range run.Snapshot.Facts.SMTP {
		for _, o := range []audit.Obs[audit.Hello]{e.Hello, e.HelloTLS} {
			if o.State != audit.Seen {
				continue
			}
			for _, m := range mechanisms(o.Value) {
				if !slices.Contains(names, m) {
					names = append(names, m)
				}
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{"that these logins are offered: " + several(names)}
}

// passwords says what there is to know of logins: a test of a server needs
// none, and one that had one would prove less than people think.
func passwords(run *audit.Run) string {
	if run.Kind != audit.KindSMTP {
		return ""
	}
	return "never needed for this test; none was asked for or sent. A login that works would prove that one account may hand in mail, here and now; " +
		"not that its mail is accepted, relayed or delivered. Who tries one by hand uses a test mailbox, and TLS with a certificate that is valid"
}

// nextServers are further tests that go well with one of a server.
func nextServers(run *audit.Run) []Next {
	if domain, all := mxTarget(run); all {
		return []Next{{"what the domain publishes: MX, SPF, DKIM, DMARC, block lists", "mailaudit audit " + audit.ShellQuote(domain)}}
	}
	host, port, ok := cutPort(run.Target)
	if !ok {
		return nil
	}
	var out []Next
	test := func(port int, why string) {
		out = append(out, Next{why, fmt.Sprintf("mailaudit smtp %s", audit.ShellQuote(fmt.Sprintf("%s:%d", host, port)))})
	}
	switch port {
	case fmt.Sprint(portSubmission):
		test(portSubmissions, "the same with TLS from the first byte")
	case fmt.Sprint(portSubmissions):
		test(portSubmission, "the same with STARTTLS")
	}
	return append(out, Next{"what a domain publishes: MX, SPF, DKIM, DMARC, block lists", "mailaudit audit DOMAIN"})
}

// mxTarget is the domain of a run whose target is all of its mail hosts:
// DOMAIN:mx.
func mxTarget(run *audit.Run) (domain string, all bool) {
	if run.Kind != audit.KindSMTP {
		return "", false
	}
	return strings.CutSuffix(run.Target, ":mx")
}

// repetition is the command that makes a run like this one.
func repetition(run *audit.Run) string {
	domain, all := mxTarget(run)
	switch {
	case all:
		return "mailaudit smtp --mx " + audit.ShellQuote(domain)
	case run.Kind == audit.KindSMTP:
		return "mailaudit smtp " + audit.ShellQuote(run.Target)
	}
	return "mailaudit audit " + audit.ShellQuote(run.Target)
}

// cutPort takes a target apart: HOST:PORT, with IPv6 in brackets.
func cutPort(target string) (host, port string, ok bool) {
	i := strings.LastIndexByte(target, ':')
	if i < 0 {
		return "", "", false
	}
	return target[:i], target[i+1:], true
}
