package collect

import (
	"cmp"
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

// apart are the controls whose operator runs nothing of what is audited: of
// theirs alone another answer is another one's. A large operator's servers may
// all greet with one name, and all of them may not want us.
func apart(seen []glance, endpoints []audit.Endpoint) []glance {
	return slices.DeleteFunc(slices.Clone(seen), func(g glance) bool {
		return slices.ContainsFunc(endpoints, func(e audit.Endpoint) bool {
			mine := operatorsOf(e)
			return slices.ContainsFunc(operatorsOf(g.endpoint), func(o operator) bool { return slices.Contains(mine, o) })
		})
	})
}

// voice is whose word it is that a control gives: two hosts of one registrable
// domain say one thing. What the user named by addresses is taken as different.
func voice(e audit.Endpoint) string { return cmp.Or(registrable(e.Host), e.Addr.String()) }

// voices is how many different ones there are.
func voices(said []audit.Endpoint) int {
	by := map[string]bool{}
	for _, e := range said {
		by[voice(e)] = true
	}
	return len(by)
}

// controlVia is how to see by hand what control hosts show: the first of them
// by name, whichever it was that showed it.
func controlVia(g audit.Egress) string {
	if len(g.Controls) == 0 {
		return ""
	}
	return "nc " + audit.ShellQuote(string(slices.Min(g.Controls))) + " " + strconv.Itoa(int(g.Port))
}

// gotOut tells whether connections leave our network: any greeting shows it.
// up: another server of the run was reached, which no silence of controls
// refutes.
func gotOut(seen []glance, endpoints []audit.Endpoint, up bool, via string) audit.Obs[audit.Nothing] {
	const none = "no control host has an address of this family that could be found"
	if slices.ContainsFunc(seen, func(g glance) bool { return g.endpoint.Greeting.State == audit.Seen }) {
		return audit.See(audit.Nothing{}, via)
	}
	mute := 0
	var silent []audit.Endpoint
	why := audit.Reason{Code: audit.NotLearned, Text: none}
	for _, g := range apart(seen, endpoints) {
		e := g.endpoint
		switch {
		case e.Connect.State == audit.Seen:
			mute++
		case failed(e):
			silent = append(silent, e)
		default:
			why = e.Connect.Why
		}
	}
	switch {
	case up:
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.Disagree, Text: "no control host answers, but another server does"}, via)
	case mute > 0:
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.NoGreeting, Text: "control hosts accept connections, or something does in their place, and do not greet"}, via)
	case voices(silent) >= agreeing:
		return audit.None[audit.Nothing](audit.EgressBlock, "no control host answers on this port", via)
	case len(silent) > 0:
		return audit.Dark[audit.Nothing](audit.Reason{Code: audit.Once, Text: "only control hosts of one operator could be asked, and none answers"}, via)
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
func alike(strangers []glance, endpoints []audit.Endpoint, via string) audit.Obs[audit.Nothing] {
	said := map[string]string{}
	var controls []audit.Endpoint
	for _, g := range strangers {
		text, who := words(g.endpoint.Greeting), voice(g.endpoint)
		if text == "" {
			continue
		}
		before, heard := said[text]
		if heard && before != who {
			return audit.See(audit.Nothing{}, via)
		}
		said[text], controls = who, append(controls, g.endpoint)
	}
	theirs := 0
	for _, e := range endpoints {
		text := words(e.Greeting)
		if text == "" {
			continue
		}
		_, heard := said[text]
		if heard {
			return audit.See(audit.Nothing{}, via)
		}
		theirs = 1 // all of them may belong together
	}
	if len(controls) == 0 || voices(controls)+theirs < agreeing {
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
func masked(strangers []glance, via string) audit.Obs[audit.Nothing] {
	clear := 0
	for _, g := range strangers {
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
func offersStartTLS(strangers []glance, via string) audit.Obs[audit.Nothing] {
	var missing []audit.Endpoint
	for _, g := range strangers {
		e := g.endpoint
		switch {
		case e.StartTLS.State == audit.Seen:
			return audit.See(audit.Nothing{}, via)
		case e.Hello.State == audit.Seen:
			missing = append(missing, e)
		}
	}
	if voices(missing) >= agreeing {
		return audit.None[audit.Nothing](audit.NotOffered, "no control host offers STARTTLS", via)
	}
	return audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: "too few control hosts answered EHLO"}, via)
}
