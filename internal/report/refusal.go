package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

// This file says what to make of a server that turned us away: whose side the
// cause is on, and what helps. What the cause is, the rules read out of the
// reply.

// refusalOf is the refusal of the endpoint that a finding is about.
func refusalOf(run *audit.Run, subject string) (rules.Refusal, bool) {
	for _, e := range run.Snapshot.Facts.SMTP {
		if e.Subject() == subject {
			return rules.ReadRefusal(e)
		}
	}
	return rules.Refusal{}, false
}

// refusalAdvice is what helps against a refusal, and where to read on.
func refusalAdvice(said rules.Refusal) string {
	words := adviceRefused(said.Class)
	if words == "" {
		words = advice(said.Class, false, true)
	}
	if said.Page != "" {
		words += " (" + said.Page + ")"
	}
	return words
}

// adviceRefused is what helps against a cause that a refusal tells; empty: it
// tells none.
func adviceRefused(class audit.Code) string {
	switch class {
	case audit.Busy:
		return "try again later: a server that is full once need not be full often"
	case audit.RateLimited:
		return "wait some hours before the next run, then run less often, or from an address that connects there less"
	case audit.Greylisted:
		return "run it again in ten minutes from the same address: greylisting lets in who comes back"
	case audit.Reputation:
		return "look your address up on the list that the reply names, end what put it there and have it taken off, or run from another address"
	case audit.OurNetwork:
		return "run it on a server whose network may send mail: home and dynamic addresses are on such lists by design"
	case audit.NeedsAllowList:
		return "ask the operator, by the address that the reply names, to let your address in, or run from one that is let in"
	case audit.OurReverse:
		return "have your provider give your address a PTR record with a name that leads back to it, or run from an address that has one"
	case audit.OurHELO:
		return "give a name that DNS knows and that leads to your address: --helo NAME"
	case audit.PolicyRefusal:
		return "try from an address that may send mail, or ask the operator what the policy is"
	case audit.NeedsTLS:
		return "try TLS from the first byte: mailaudit smtp HOST:465"
	case audit.ListMisread:
		return "tell the operator: the block list is asked through a resolver that it does not answer"
	case audit.Unauthenticated:
		return "look at what the sender's domain publishes: mailaudit audit DOMAIN"
	case audit.ContentRefused:
		return "change what is sent, or ask the operator"
	case audit.NoSuchUser:
		return "check the address of the recipient"
	}
	return ""
}

// kept reports whether a refusal keeps something from us. (Behind 521 that has
// no meaning, unless it was meant for us.)
func (v view) kept() bool {
	return v.e.Greeting.Value.Code == 521 || slices.ContainsFunc(v.unknowns(), func(why audit.Reason) bool {
		return why.Code == audit.RefusedUs || why.Code == audit.TempFail
	})
}

// refusal is what turned us away at this address, where it did.
func (v view) refusal() (rules.Refusal, bool) {
	said, ok := rules.ReadRefusal(v.e)
	return said, ok && v.kept()
}

// forEverybody is the verdict on a server whose greeting is a fault.
const forEverybody = "turns everybody away"

// received is how a server received us that turned us away, in a few words;
// empty where that is not the whole story, or no cause was told.
func (v view) received() string {
	said, ok := v.refusal()
	switch {
	case !ok:
		return ""
	case slices.ContainsFunc(v.fails, func(f audit.Finding) bool { return f.Rule == "smtp.greeting-refused" }):
		return forEverybody
	case said.Class == audit.Busy:
		return "busy"
	case said.Class == audit.RateLimited:
		return "limited us"
	case said.Class == audit.Greylisted:
		return "greylisted us"
	case said.Ours():
		return "refused for us"
	case said.Step == rules.StepGreeting && said.Class == audit.PolicyRefusal:
		return "turned us away by policy"
	}
	return ""
}

// told writes the refusal into the step that it came at: what was said, and
// what that is read as.
func (v view) told(list []Step) []Step {
	said, ok := v.refusal()
	if !ok {
		return list
	}
	name, words := stepGreeting, ""
	switch {
	case said.Step == rules.StepGreeting && v.e.Greeting.State == audit.Seen: // it has the words
	case said.Step == rules.StepGreeting:
		name, words = stepTLS, said.Text
	case said.Step == "EHLO" || v.e.Mode == audit.ModeTLS:
		name, words = stepEHLO, said.Text
	case said.Step == "STARTTLS":
		name, words = stepSTARTTLS, said.Text
	default: // EHLO inside TLS has no step of its own
		name, words = stepSTARTTLS, said.Step+": "+said.Text
	}
	i := slices.IndexFunc(list, func(s Step) bool { return s.Name == name })
	if i < 0 {
		return list
	}
	s := &list[i]
	if words != "" {
		s.Seen = append(slices.DeleteFunc(s.Seen, func(c Cell) bool { return c.Kind == CellDark }), theirs(words))
	}
	s.Seen = append(s.Seen, ours("read as: "+said.Named()))
	if s.Status == StepUnknown {
		s.Status = StepRefused
	}
	return list
}

// about says whose side a refusal is on.
func (v view) about() string {
	said, ok := v.refusal()
	switch {
	case !ok && v.refusedUs(): // of a run that did not keep the words
		return onOurSide("your address", "", rules.Refusal{Class: audit.RefusedUs}) + " " + v.unseenBehind("it")
	case !ok || v.received() == forEverybody:
		return ""
	}
	who, step := "your address", said.Step
	if a := v.ourAddress(); a != "" {
		who += " (" + a + ")"
	}
	if step == rules.StepGreeting {
		step = "the greeting"
	}
	return onOurSide(who, v.run.Snapshot.Vantage.HELO, said) + " " + v.unseenBehind(step)
}

// unseenBehind says what a refusal leaves.
func (v view) unseenBehind(step string) string {
	text := "Whatever comes after " + step + " is unknown"
	if slices.ContainsFunc(v.fails, func(f audit.Finding) bool { return f.Rule == rules.BusyID }) {
		return text + "."
	}
	return text + ", and nothing is held against the server."
}

// onOurSide says whose side a refusal is on, and why.
func onOurSide(who, helo string, said rules.Refusal) string {
	const meant = "Servers that turn such addresses away work as meant."
	listed := "it is on a block list, or has no good name"
	if said.List != "" {
		listed = "it is on a block list (" + said.List + ")"
	}
	switch said.Class {
	case audit.Busy:
		return "The server says of itself that it has no room; that says nothing about you. Once is chance: run it again later."
	case audit.RateLimited:
		return "That is about how often " + who + " came, not about the server: it limits every client, and large providers do so for hours."
	case audit.Greylisted:
		return "The server puts off everybody whom it does not know, for some minutes. Run it again in ten, from the same address."
	case audit.Reputation:
		return "That is " + who + ", not theirs: " + listed + ". " + meant
	case audit.OurNetwork:
		if said.List != "" {
			return "That is " + who + ", not theirs: it is on " + said.List + ", the list of addresses that do not send mail themselves. " + meant
		}
		return "That is " + who + ", not theirs: its network is taken for one that sends no mail itself (homes, dynamic addresses), or is of a country that is not served. " + meant
	case audit.NeedsAllowList:
		return "The server lets in whom it knows, and " + who + " is not on its list. That says nothing about how it treats others."
	case audit.OurReverse:
		return "That is about the PTR record of " + who + ", not about theirs: there is none, or its name does not lead back. " + meant
	case audit.OurHELO:
		name := "the name that was given in EHLO"
		if helo != "" {
			name += " (" + helo + ")"
		}
		return "That is about " + name + ", not about the server: DNS does not know it, or it does not lead to " + who + "."
	case audit.NeedsTLS:
		return "The server talks only to clients that come with TLS. That is a choice, and no fault."
	case audit.TempFail:
		return "A 4xx is for the time being and tells no cause here. Run it again later."
	case audit.ListMisread:
		return "That is about the server: it takes an error of its block list for a listing. It was seen once, which is not enough to say so."
	}
	return "A server that answers so mostly means the address that asks, which is " + who + " (block lists, allow lists), or the name that it gives."
}

// ourAddress is the address that the server named as ours, as it stands in the
// dialogue. Facts have a placeholder for it (audit.Stabilizer).
func (v view) ourAddress() string {
	const placeholder = "<our address>"
	lines := slices.Concat(v.e.Greeting.Value.Lines, v.e.Refusal.Value.Lines)
	for _, l := range lines {
		before, _, named := strings.Cut(string(l), placeholder)
		before = before[strings.LastIndexByte(before, '>')+1:] // behind other placeholders
		if !named || before == "" {
			continue
		}
		for _, s := range v.sessions {
			for _, said := range s.Lines {
				_, rest, found := strings.Cut(string(said.Text), before)
				rest = strings.TrimPrefix(rest, "IPv6:")
				end := strings.IndexFunc(rest+" ", func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF.:", c) })
				a, err := netip.ParseAddr(strings.TrimRight(rest[:max(end, 0)], ".:"))
				if found && said.From == "S" && err == nil {
					return a.String()
				}
			}
		}
	}
	return ""
}

// refusedSide says that the cause is ours, where every mail server that was
// reached turned us away for a cause on our side. The test of one server says
// so at the server.
func refusedSide(run *audit.Run) *OwnSide {
	if run.Kind == audit.KindSMTP {
		return nil
	}
	var classes []string
	var steps []Next
	n := 0
	for _, e := range run.Snapshot.Facts.SMTP {
		if e.Connect.State != audit.Seen {
			continue
		}
		said, ok := rules.ReadRefusal(e)
		if !ok || !said.Ours() || said.Class == audit.RateLimited || said.Step != rules.StepGreeting {
			return nil // a rate limit is over tomorrow
		}
		n++
		if !slices.Contains(classes, said.Named()) {
			classes = append(classes, said.Named())
			steps = append(steps, Next{Why: refusalAdvice(said)})
		}
	}
	if n == 0 {
		return nil
	}
	steps = append(steps, Next{Why: "without SMTP, from here", Command: "mailaudit audit --passive " + audit.ShellQuote(run.Target)})
	return &OwnSide{Title: "It is your address, not them", Steps: steps, Text: fmt.Sprintf(
		"The mail servers were reached on %s, and all turned away the address that mailaudit came from: %s. That is no fault of theirs, and nothing is known about what comes after the greeting.",
		plural(n, "address"), enumerated(classes))}
}
