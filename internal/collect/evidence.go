package collect

import (
	"slices"
	"strconv"
	"strings"

	"mailaudit/internal/audit"
)

// This file sums up what control hosts have shown. It is the sum that goes into
// the facts: which of three control hosts was slow tonight is no news of anybody.

// agreeing is how many control hosts have to show the same before it is held
// to be a "no" (two observations that agree).
const agreeing = 2

// controlVia is how to see by hand what control hosts show: the first of them
// by name, whichever it was that showed it.
func controlVia(g audit.Egress) string {
	if len(g.Controls) == 0 {
		return ""
	}
	return "nc " + audit.ShellQuote(string(slices.Min(g.Controls))) + " " + strconv.Itoa(int(g.Port))
}

// gotOut tells whether connections leave our network. up: another server of
// the run was reached, which no silence of controls refutes.
func gotOut(seen []glance, up bool, via string) audit.Obs[audit.Nothing] {
	const none = "no control host has an address of this family that could be found"
	var greeted, silent, mute int
	why := audit.Reason{Code: audit.NotLearned, Text: none}
	for _, g := range seen {
		e := g.endpoint
		switch {
		case e.Greeting.State == audit.Seen:
			greeted++
		case e.Connect.State == audit.Seen:
			mute++
		case failed(e):
			silent++
		default:
			why = e.Connect.Why
		}
	}
	switch {
	case greeted > 0:
		return audit.See(audit.Nothing{}, via)
	case up:
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.Disagree, Text: "no control host answers, but another server does"}, via)
	case mute > 0:
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.NoGreeting, Text: "control hosts accept connections, or something does in their place, and do not greet"}, via)
	case silent >= agreeing:
		return audit.None[audit.Nothing](audit.EgressBlock, "no control host answers on this port", via)
	case silent > 0:
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.Once, Text: "only one control host could be asked, and it does not answer"}, via)
	}
	return audit.Dark[audit.Nothing](why, via)
}

// suspicious reports whether servers talk as if something on the way rewrote
// what they say: one of them is masked, or none of those that answer EHLO offers
// STARTTLS. On ports that are TLS from the first byte nobody can.
func suspicious(endpoints []audit.Endpoint) bool {
	missing, offered := 0, 0
	for _, e := range endpoints {
		switch {
		case e.Mode == audit.ModeTLS:
			continue
		case e.Greeting.Value.Masked() || len(e.Hello.Value.Masked()) > 0:
			return true
		case e.StartTLS.State == audit.Seen:
			offered++
		case e.StartTLS.State == audit.Absent:
			missing++
		}
	}
	return missing > 0 && offered == 0
}

// alike tells whether hosts that have nothing to do with each other greet with
// the same words. A greeting that names nobody is no evidence: "ESMTP" alone is
// what anybody may say.
func alike(seen []glance, endpoints []audit.Endpoint, via string) audit.Obs[audit.Nothing] {
	var controls, theirs []string
	for _, g := range seen {
		text := words(g.endpoint.Greeting)
		if text != "" && slices.Contains(controls, text) {
			return audit.See(audit.Nothing{}, via)
		}
		if text != "" {
			controls = append(controls, text)
		}
	}
	for _, e := range endpoints {
		text := words(e.Greeting)
		if text != "" && slices.Contains(controls, text) {
			return audit.See(audit.Nothing{}, via)
		}
		if text != "" {
			theirs = append(theirs, text)
		}
	}
	if len(controls) == 0 || len(controls)+len(theirs) < agreeing {
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: "there are no two greetings of hosts that have nothing to do with each other"}, via)
	}
	return audit.None[audit.Nothing](audit.OtherName, "hosts that have nothing to do with each other greet with words of their own", via)
}

// words are a greeting that names somebody, as one text; else "".
func words(o audit.Obs[audit.Greeting]) string {
	if o.State != audit.Seen || !strings.Contains(string(o.Value.Name), ".") {
		return ""
	}
	var out []string
	for _, l := range o.Value.Lines {
		out = append(out, string(l))
	}
	return strings.Join(out, "\n")
}

// masked tells whether something overwrites what control hosts say.
func masked(seen []glance, via string) audit.Obs[audit.Nothing] {
	clear := 0
	for _, g := range seen {
		e := g.endpoint
		if e.Greeting.Value.Masked() || len(e.Hello.Value.Masked()) > 0 {
			return audit.See(audit.Nothing{}, via)
		}
		if e.Hello.State == audit.Seen {
			clear++
		}
	}
	if clear == 0 {
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: "no control host answered EHLO"}, via)
	}
	return audit.None[audit.Nothing](audit.NotOffered, "control hosts are heard in their own words", via)
}

// offersStartTLS tells whether a control host offers STARTTLS from here. All
// of ours do when asked without a middleman.
func offersStartTLS(seen []glance, via string) audit.Obs[audit.Nothing] {
	missing := 0
	for _, g := range seen {
		e := g.endpoint
		switch {
		case e.StartTLS.State == audit.Seen:
			return audit.See(audit.Nothing{}, via)
		case e.Hello.State == audit.Seen:
			missing++
		}
	}
	if missing >= agreeing {
		return audit.None[audit.Nothing](audit.NotOffered, "no control host offers STARTTLS", via)
	}
	return audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: "too few control hosts answered EHLO"}, via)
}
