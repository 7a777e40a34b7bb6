package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// portSMTP is where mail servers take mail from one another (RFC 5321 section
// 4.5.4.2), and the one port that providers like to shut.
const portSMTP = 25

// aboutUs is what follows from a cause on our side.
const aboutUs = "Nothing is known about the mail servers themselves."

// ownSide says that the cause is ours, or probably is. Where control hosts were
// asked, they settle it. Without them, silence of one address is an ordinary
// fault of a server, and silence everywhere mostly a port that is shut here.
func ownSide(run *audit.Run) *OwnSide {
	out := shutHere(run)
	if out == nil {
		out = betweenUs(run)
	}
	if out == nil {
		out = silence(run)
	}
	return out
}

// shut are the ways that control hosts have shown to be shut.
func shut(run *audit.Run) []audit.Egress {
	var out []audit.Egress
	for _, g := range run.Snapshot.Facts.Egress {
		if g.Out.State == audit.Absent {
			out = append(out, g)
		}
	}
	return out
}

// shutSentences say for the headline that nothing gets out.
func shutSentences(run *audit.Run) []string {
	var out []string
	for _, g := range shut(run) {
		out = append(out, fmt.Sprintf("Port %d over %s is shut %s.", g.Port, g.Family, here(run)))
	}
	return out
}

// here says where our own side is, within a sentence.
func here(run *audit.Run) string {
	if run.Snapshot.Vantage.Proxy != "" {
		return "where the proxy is"
	}
	return "where mailaudit runs"
}

// shutHere says that a port is shut where mailaudit runs, and what was tried.
func shutHere(run *audit.Run) *OwnSide {
	ways := shut(run)
	if len(ways) == 0 {
		return nil
	}
	var text []string
	port := ways[0].Port
	for _, g := range ways {
		text = append(text, shutText(run, g))
	}
	if port == portSMTP {
		text = append(text, "Home providers and most clouds shut port 25.")
	}
	title := "It is probably you, not them"
	if run.Snapshot.Vantage.Proxy != "" {
		title = "It is probably the network of your proxy, not them"
	}
	return &OwnSide{Title: title, Text: strings.Join(append(text, aboutUs), " "), Steps: waysOut(run, port)}
}

func shutText(run *audit.Run, g audit.Egress) string {
	var hosts, controls []string
	for _, e := range run.Snapshot.Facts.SMTP {
		if e.Port == g.Port && audit.FamilyOf(e.Addr) == g.Family && e.Connect.State != audit.NotTried && !slices.Contains(hosts, e.Host.String()) {
			hosts = append(hosts, e.Host.String())
		}
	}
	for _, c := range g.Controls {
		controls = append(controls, c.String())
	}
	them := "it"
	if len(hosts) > 1 {
		them = "them"
	}
	text := fmt.Sprintf("Over %s %s and %s that have nothing to do with %s (%s) do not answer on port %d",
		g.Family, several(hosts), plural(len(controls), "control host"), them, several(controls), g.Port)
	switch g.Beside.State {
	case audit.Seen:
		return text + fmt.Sprintf(", while port %d of %s does: that port is shut %s.", g.Beside.Value.Port, g.Beside.Value.Host, here(run))
	case audit.Absent:
		return text + fmt.Sprintf(", while %s refuses other ports, so it is there: that port is shut %s.", hosts[0], here(run))
	}
	return text + ", and neither does any other port that was tried: the port is shut " + here(run) + ", or its network lets nothing out at all."
}

// waysOut are the ways to see the servers nevertheless.
func waysOut(run *audit.Run, port uint16) []Next {
	const proxy = " --proxy socks5h://127.0.0.1:1080"
	provider := "your provider or cloud"
	if run.Snapshot.Vantage.Proxy != "" {
		provider = "the provider of the proxy's network"
	}
	command, domain := "mailaudit audit ", audit.ShellQuote(run.Target)
	target := domain
	all, many := mxTarget(run)
	switch {
	case many:
		command, domain, target = "mailaudit smtp --mx ", audit.ShellQuote(all), audit.ShellQuote(all)
	case run.Kind == audit.KindSMTP: // which was asked for a server, and knows no domain
		command, domain = "mailaudit smtp ", "DOMAIN"
	}
	return []Next{
		{Why: fmt.Sprintf("on a server of yours where port %d is open", port), Command: "ssh SERVER " + command + target},
		{Why: "from here, through that server (ssh -N -D 1080 SERVER keeps the way open)", Command: command + target + proxy},
		{Why: fmt.Sprintf("ask %s to open port %d outwards", provider, port)},
		{Why: "without SMTP, from here", Command: "mailaudit audit --passive " + domain},
	}
}

// betweenUs says that something on our side answers in place of the servers.
func betweenUs(run *audit.Run) *OwnSide {
	for _, f := range run.Findings {
		if f.Rule == "vantage.intercepted" && f.Status == audit.Fail {
			return &OwnSide{Title: "It is something on your side, not them", Text: sentence(f.Detail) + " " + aboutUs,
				Steps: waysOut(run, portSMTP)}
		}
	}
	return nil
}

// sentence is a clause as a sentence.
func sentence(clause string) string {
	if clause == "" {
		return ""
	}
	return strings.ToUpper(clause[:1]) + clause[1:] + "."
}

// connects counts how the connections of a run ended that came to nothing.
type connects struct {
	silent, shut, cut, local, proxy int
	addrs                           map[netip.Addr]bool
	here                            string
}

// onlyProxy reports whether the proxy is to blame for all of it.
func (c connects) onlyProxy() bool { return c.proxy > 0 && c.silent+c.cut+c.local == 0 }

// silence says that the cause may be ours where every connection to port 25
// came to nothing, and control hosts do not tell.
func silence(run *audit.Run) *OwnSide {
	f := run.Snapshot.Facts
	c := connects{addrs: map[netip.Addr]bool{}, here: here(run)}
	for _, e := range f.SMTP {
		switch {
		case e.Port != portSMTP || e.Connect.State == audit.NotTried:
			continue
		case e.Connect.Known() || f.EgressOf(e).Out.State == audit.Seen:
			return nil // somebody answered
		}
		switch e.Connect.Why.Code {
		case audit.EgressBlock:
			c.shut++
			c.silent++
		case audit.Timeout, audit.NoAnswer, audit.Unreachable:
			c.silent++
		case audit.NoRoute:
			c.cut++
		case audit.LocalPolicy:
			c.local++
		case audit.ProxyFailed:
			c.proxy++
		case audit.Blocked, audit.Budget, audit.Deadline, audit.Interrupted:
			continue // not connected to
		default:
			return nil
		}
		c.addrs[e.Addr] = true
	}
	if len(c.addrs) == 0 {
		return nil
	}
	out := c.words()
	out.Text = strings.TrimSpace(out.Text + " " + controlWords(f.Egress))
	steps := waysOut(run, portSMTP)
	switch {
	case c.onlyProxy():
		steps = []Next{{Why: "check that the proxy runs, and that it lets you connect to port 25"}, steps[len(steps)-1]}
	case c.silent+c.local == 0:
		steps = []Next{{Why: "run mailaudit on a network that has a way there (with IPv6, if that is what is missing)"}, steps[len(steps)-1]}
	}
	out.Steps = steps
	return out
}

// controlWords say why control hosts do not settle it, and what speaks for the
// server.
func controlWords(ways []audit.Egress) string {
	var out []string
	for _, g := range ways {
		if g.Out.State == audit.Unknown {
			out = append(out, fmt.Sprintf("Control hosts do not tell which, over %s: %s.", g.Family, g.Out.Why.Text))
		}
		if g.Beside.State == audit.Seen {
			out = append(out, fmt.Sprintf("Port %d of %s answers, so the server is there.", g.Beside.Value.Port, g.Beside.Value.Host))
		}
	}
	return strings.Join(out, " ")
}

func (c connects) words() *OwnSide {
	const common = "Home providers and most clouds do that. " + aboutUs
	n := plural(len(c.addrs), "address")
	switch {
	case c.onlyProxy():
		return &OwnSide{Title: "It is your proxy, not them", Text: "The proxy let no connection through. " + aboutUs}
	case c.local > 0 && c.silent == 0:
		return &OwnSide{Title: "It is this machine, not them",
			Text: "This system does not permit connections to port 25 (a local firewall, for example). " + aboutUs}
	case c.silent == 0:
		return &OwnSide{Title: "It is your network, not them",
			Text: fmt.Sprintf("There is no way from here to %s of the mail servers (no IPv6 here, for example). %s", n, aboutUs)}
	case c.shut == c.silent:
		return &OwnSide{Title: "It is your network, not them", Text: "Port 25 is blocked " + c.here + ". " + common}
	case len(c.addrs) == 1:
		return &OwnSide{Title: "It may be your network, not them",
			Text: "The only address does not answer on port 25. Either it is silent to everybody, or port 25 is blocked " + c.here + ". " + common}
	}
	text := fmt.Sprintf("Port 25 is probably blocked %s: none of the %s of the mail servers answers on it", c.here, n)
	if c.cut > 0 {
		text += fmt.Sprintf(", and to %d there is no way from here at all", c.cut)
	}
	return &OwnSide{Title: "It is probably your network, not them", Text: text + ". " + common}
}

// egressTable is what was learnt of our own side.
func egressTable(ways []audit.Egress) Table {
	t := Table{Title: "Our own side", Head: []string{"Way", "Control hosts", "Gets out", "Another port of the host", "Rewritten on the way"}}
	for _, g := range ways {
		controls := theirs()
		for _, c := range g.Controls {
			controls.Lines = append(controls.Lines, c.String())
		}
		if len(g.Controls) == 0 {
			controls = Cell{CellNone, []string{"none was asked"}}
		}
		out := cell(g.Out, "no: none of them answers", func(audit.Nothing) Cell { return ours("yes: one of them answers") })
		if g.Route.State == audit.Absent {
			out = Cell{CellNone, []string{"no: " + g.Route.Why.Text}}
		}
		t.Rows = append(t.Rows, []Cell{
			ours(fmt.Sprintf("port %d over %s", g.Port, g.Family)), controls, out,
			cell(g.Beside, "", func(p audit.Place) Cell { return theirs(fmt.Sprintf("%s[%s]:%d answers", p.Host, p.Addr, p.Port)) }),
			rewritten(g),
		})
	}
	return t
}

// rewritten is what control hosts show about something that rewrites.
func rewritten(g audit.Egress) Cell {
	yes := func(text string) func(audit.Nothing) Cell { return func(audit.Nothing) Cell { return ours(text) } }
	if g.Alike.State == audit.NotTried && g.Masked.State == audit.NotTried && g.StartTLS.State == audit.NotTried {
		return Cell{CellNone, []string{"not asked"}}
	}
	all := ours()
	for _, c := range []Cell{
		cell(g.Alike, "greetings differ", yes("the same greeting at unrelated hosts")),
		cell(g.Masked, "nothing is masked", yes("control hosts are masked")),
		cell(g.StartTLS, "no control host offers STARTTLS", yes("control hosts offer STARTTLS")),
	} {
		all.Lines = append(all.Lines, c.Lines...)
	}
	return all
}
