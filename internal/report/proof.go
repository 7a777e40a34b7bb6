package report

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file says what a result is worth: what was done for it, what it proves
// and what it does not.

// traffic says what a run did to others.
func traffic(run *audit.Run) string {
	t := run.Sidecar.Traffic
	switch {
	case t == audit.Traffic{}:
		return ""
	case t.Connections == 0 && t.Shared == 0:
		return fmt.Sprintf("This run asked %s and connected to no mail server.", plural(t.Questions, "DNS question"))
	}
	shared := ""
	if t.Shared > 0 {
		shared = fmt.Sprintf(" %s looked at for another domain of the same call, once for both.", verb(t.Shared, "more server was", "more servers were"))
	}
	began := ""
	if run.Snapshot.Scope.TryMail {
		began = " It tried to begin a message on port 587 and took it back (--try-mail)."
	}
	return fmt.Sprintf("This run asked %s and opened %s to %s.%s%s%s It sent no mail, named no recipient and tried no password.",
		plural(t.Questions, "DNS question"), plural(t.Connections, "connection"), plural(t.Addresses, "address"), shared, seenAs(run), began)
}

// seenAs says from where servers say that a run came. One of them may err, or
// sit behind a proxy of its own.
func seenAs(run *audit.Run) string {
	out := ""
	for _, s := range run.Sidecar.SeenAs {
		if s.Servers == 1 {
			out += fmt.Sprintf(" 1 server says that it came from %s.", s.Addr)
		} else {
			out += fmt.Sprintf(" It was seen to come from %s, as %d servers say.", s.Addr, s.Servers)
		}
	}
	return out
}

// verb is a number and what goes with it.
func verb(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// stand is where and when a run saw what it saw: nothing is proven for
// elsewhere and later.
func stand(m Model) string {
	when := "on " + m.Started.Format("2 Jan 2006 at 15:04 MST")
	from := ""
	if m.Vantage != "" {
		from = "from " + m.Vantage + ", "
	}
	if m.Proxy != "" && !strings.HasSuffix(m.Vantage, " via "+m.Proxy) {
		from += "through the proxy " + m.Proxy + ", "
	}
	return from + when
}

// proves lists what a run has seen. Each clause counts observations that settle
// their question, and nothing else.
func proves(run *audit.Run) []string {
	var out []string
	dns := dnsProven(run.Snapshot.Facts)
	if len(dns) > 0 {
		out = append(out, "what DNS answered about "+enumerated(dns))
	}
	t := tallyOf(mailEndpoints(run))
	if t.up > 0 {
		does := "welcome"
		if t.up == 1 {
			does = "welcomes"
		}
		out = append(out, fmt.Sprintf("that %s %s a mail connection with 220", plural(t.up, "address"), does))
	}
	if t.unwelcome > 0 {
		out = append(out, fmt.Sprintf("that %s turned us away", plural(t.unwelcome, "address")))
	}
	if t.refusing > 0 {
		out = append(out, fmt.Sprintf("that %s refused connections from here, twice", plural(t.refusing, "address")))
	}
	for _, g := range run.Snapshot.Facts.Egress {
		if g.Out.State == audit.Seen {
			out = append(out, fmt.Sprintf("that connections to port %d over %s leave this network: a control host answered", g.Port, g.Family))
		}
	}
	secure := 0
	for _, e := range mailEndpoints(run) {
		if e.TLS.State == audit.Seen {
			secure++
		}
	}
	handedIn := tallyOf(submissionEndpoints(run))
	if handedIn.up > 0 {
		out = append(out, fmt.Sprintf("that %s of submission greeted with 220", plural(handedIn.up, "port")))
	}
	if secure > 0 {
		out = append(out, fmt.Sprintf("that TLS can be spoken with %s", plural(secure, "address")))
	}
	if run.Kind == audit.KindSMTP {
		out = append(out, loginsProven(run)...)
	}
	if len(out) == 0 {
		out = append(out, "nothing: no question was answered")
	}
	return out
}

// dnsProven lists what DNS gave an answer about; "there is none" is one.
func dnsProven(f audit.Facts) []string {
	var out []string
	switch {
	case f.MX.Records.Known():
		out = append(out, "the MX records")
	case f.MX.Exists.Known():
		out = append(out, "the domain")
	}
	hosts, names := 0, 0
	for _, h := range f.Hosts {
		if h.A.Known() || h.AAAA.Known() {
			hosts++
		}
	}
	for _, r := range f.RDNS {
		if r.PTR.Known() {
			names++
		}
	}
	if hosts > 0 {
		out = append(out, "the addresses of "+plural(hosts, "host"))
	}
	if names > 0 {
		out = append(out, "the PTR records of "+plural(names, "address"))
	}
	return append(out, sendersProven(f)...)
}

// sendersProven is dnsProven for what concerns senders.
func sendersProven(f audit.Facts) []string {
	var out []string
	keys, listed, policies := 0, false, f.SPF.Records.Known()
	for _, s := range f.DMARC.Walk {
		policies = policies || s.Records.Known()
	}
	for _, d := range f.DKIM {
		if d.Records.Known() {
			keys++
		}
	}
	for _, l := range f.Listings {
		listed = listed || l.Codes.Known()
	}
	if policies {
		out = append(out, "the policies for senders (SPF, DMARC)")
	}
	if keys > 0 {
		out = append(out, plural(keys, "DKIM name"))
	}
	if listed {
		out = append(out, "the block lists")
	}
	return out
}

// limits lists what a result does not prove.
func limits(run *audit.Run, m Model) []string {
	var out []string
	offered, secured := false, false
	for _, e := range run.Snapshot.Facts.SMTP {
		offered = offered || e.StartTLS.State == audit.Seen
		secured = secured || e.TLS.State == audit.Seen
	}
	switch {
	case run.Snapshot.Scope.Passive:
		out = append(out, "anything about the servers themselves: DNS alone was asked (--passive)")
	case run.Kind == audit.KindSMTP:
		out = append(out, "that a login works, or that a message is accepted, relayed or delivered")
	case len(run.Snapshot.Facts.SMTP) > 0:
		out = append(out, "that a message is accepted or reaches an inbox")
	}
	if m.Proxy != "" {
		out = append(out, "what a connection from here would meet: servers saw the address of the proxy")
	}
	if m.Unseen > 0 {
		out = append(out, fmt.Sprintf("anything, good or bad, about the %s that could not be made", plural(m.Unseen, "check")))
	}
	if m.Since != nil && slices.ContainsFunc(m.Since.Lines, func(l SinceLine) bool { return l.Once }) {
		out = append(out, "that what was seen once stays so: the next run confirms it, or not")
	}
	if run.Snapshot.Scope.Has(audit.AreaDKIM) {
		out = append(out, "that there are no DKIM keys but those named here: selectors cannot be listed")
	}
	if len(run.Snapshot.Facts.Listings) > 0 {
		out = append(out, "what receivers and other lists think of the addresses")
	}
	if offered {
		out = append(out, "that nobody reads along: STARTTLS protects against listeners, not against someone who removes the offer")
	}
	if secured {
		out = append(out, "anything about what of TLS was not tried: SSL 3, EXPORT, NULL and anonymous ciphers, compression, renegotiation")
	}
	return append(out, "that other networks see the same: servers treat sources differently (reputation, rate, allow lists)")
}

// scopeFields says what a run was asked to look at.
func scopeFields(s audit.Scope) []Field {
	var areas, opened []string
	for _, a := range s.Areas {
		areas = append(areas, areaTitle(a))
	}
	how := ""
	if s.Passive {
		how = " (DNS alone)"
	}
	out := []Field{{"Looked at", ours(strings.Join(areas, ", ") + how)}}
	if s.Family != "" {
		out = append(out, Field{"Connected over", ours(map[audit.Family]string{audit.IPv4: "IPv4 alone", audit.IPv6: "IPv6 alone"}[s.Family])})
	}
	sending := addressCell(s.SendingIPs)
	if len(sending.Lines) > 0 {
		out = append(out, Field{"Named as sending", sending})
	}
	if len(s.SendingHELOs) > 0 {
		out = append(out, Field{"Named as their EHLO", namesCell(s.SendingHELOs)})
	}
	for _, p := range s.AllowNets {
		opened = append(opened, p.String())
	}
	switch {
	case s.AllowPrivate:
		out = append(out, Field{"Special-purpose networks", ours("all opened")})
	case len(opened) > 0:
		out = append(out, Field{"Special-purpose networks opened", theirs(opened...)})
	}
	return out
}

func namesCell(names []audit.DNSName) Cell {
	c := theirs()
	for _, n := range names {
		c.Lines = append(c.Lines, n.String())
	}
	return c
}

// result is the report in a few words.
func result(run *audit.Run, m Model) string {
	line := RunLine{Fails: map[audit.Severity]int{}, Unknown: m.Unseen, Coverage: m.Coverage}
	for _, a := range run.Score.Axes {
		line.Judged += a.Pass + a.Fail
	}
	for _, it := range m.Fails {
		line.Fails[it.Severity]++
	}
	switch {
	case m.Passed+len(m.Fails)+len(m.Notes) == 0 && m.Unseen > 0, untested(run, m):
		return "nothing seen"
	case len(run.Findings) == 0:
		return "nothing judged"
	case run.State != audit.Complete:
		return string(run.State) + ": " + counts(line)
	}
	return counts(line)
}
