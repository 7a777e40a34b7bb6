package rules

import (
	"fmt"
	"slices"
	"time"

	"mailaudit/internal/audit"
)

// This file judges how a server receives a stranger: whether it welcomes us,
// has room for us, and talks at an ordinary pace. See refusal.go for what it
// says where it does not.

// welcomed are the rules that fail where nothing behind the greeting can be
// seen.
func welcomed() []audit.RuleID {
	return []audit.RuleID{"smtp.unreachable", "smtp.host-takes-no-mail", "smtp.greeting-refused"}
}

func greetingRefused() Rule {
	return Rule{
		ID: "smtp.greeting-refused", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "The server greets strangers with 220",
		Refs:  []Ref{{"RFC 5321", "3.1"}, {"RFC 5321", "4.3.2"}},
		Why: "A greeting with 5xx sends every sender away, and the mail bounces. Most such greetings are about the address that asks: they name it, " +
			"a block list, a rate or an allow list, and then nothing is held against the server. One that names no cause on our side, in the same words on two connections, is taken for what everybody gets.",
		Fix:   "Look into the log and the settings of the mail server for what makes it refuse connections: a service that is switched off, a disk that is full, a filter that does not run.",
		After: []audit.RuleID{"smtp.unreachable", "smtp.host-takes-no-mail"},
		Judge: judgeWelcome,
	}
}

// BusyID is the rule that audit.Past.Busy is made from.
const BusyID audit.RuleID = "smtp.busy"

// busyAgain is how long after the first time a server that has no room is one
// that is full often. Senders come back after half an hour (RFC 5321 section
// 4.5.4.1), so by then they have met it twice.
const busyAgain = time.Hour

func busy() Rule {
	return Rule{
		ID: BusyID, Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Medium,
		Title: "The server has room for a connection",
		Refs:  []Ref{{"RFC 5321", "3.8"}, {"RFC 5321", "4.2.1"}, {"RFC 5321", "4.5.4.1"}},
		Why: "A server that is full, or shutting down, says so with 421, and senders come again later: mail is late and not lost. " +
			"Seen once that is chance, and told as unknown. Seen again an hour or more after the first time, with no free connection in between, mail is late for many. " +
			"(Limits for us alone are unknown and no fault.)",
		Fix:   "Let the server take more connections at a time (Postfix: default_process_limit, and postscreen in front; Exim: smtp_accept_max, smtp_accept_queue), or find out what holds them open.",
		After: welcomed(),
		Judge: judgeBusy,
	}
}

func tarpit() Rule {
	return Rule{
		ID: "smtp.tarpit", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info,
		Title: "Commands are replied to without delay",
		Refs:  []Ref{{"RFC 5321", "4.5.3.2"}},
		Why: "Some servers wait before every reply, to cost bulk senders time (a tarpit). Real senders are patient, with five minutes for most replies, so mail is only late. " +
			"Where strangers alone are slowed down, other senders see nothing of it. A pause before the greeting alone is for smtp.greeting-late; a limit that the server tells is no fault, and unknown.",
		Fix:   "Keep deliberate delays to a few seconds; if they are not deliberate, look for slow DNS lookups of the connecting address, or a slow filter.",
		After: welcomed(),
		Judge: judgePace,
	}
}

func judgeWelcome(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		said, refused := r.refusal(e)
		if !refused || said.Step != StepGreeting || !said.Theirs() || e.Greeting.State != audit.Seen {
			g, welcome := greeted(r, e)
			if welcome {
				r.Pass(e.Subject(), "the server welcomes strangers", Seen(e.Greeting.Via, greetingText(g)))
			}
			return
		}
		evidence := Seen(e.Greeting.Via, said.Text)
		if !said.twice {
			r.Unknown(e.Subject(), audit.Reason{Code: audit.Once, Text: "seen once and not confirmed: " + said.Reason().Text}, evidence)
			return
		}
		r.Fail(e.Subject(), greetingFault(e, said, evidence))
	})
}

// greetingFault is a refusal in the greeting that is about the server.
func greetingFault(e audit.Endpoint, said Refusal, evidence string) Fault {
	f := Fault{
		Detail:   fmt.Sprintf("%s turns connections away and names no cause on the sender's side: %s", e.Host, said.Text),
		Evidence: []string{evidence + ", twice"},
		Fix: audit.Fix{Summary: "find out why the server refuses connections", Steps: []string{
			"look into the log of the mail server for the time of this run",
			"look for a mail service that is switched off, a full disk, or a filter or proxy in front that does not reach the server",
			"if the server is not meant to take mail: take " + e.Host.FQDN() + " out of the records that name it, or have it answer 521 (RFC 7504)",
		}},
	}
	if said.Class == audit.ListMisread {
		f.Detail = fmt.Sprintf("%s takes an error of its block list for a listing, so it turns everybody away: %s", e.Host, said.Text)
		f.Fix = audit.Fix{Summary: "have the block list asked in a way that it answers", Steps: []string{
			"ask it through a resolver of your own instead of a public one, or use a key of the list",
			"have the mail server take 127.0.0.x alone for a listing, and never 127.255.255.x (Postfix: reject_rbl_client zen.spamhaus.org=127.0.0.[2..11])",
		}}
	}
	return f
}

// judgeBusy reads the refusal, whichever step it came at. That a server greets
// and answers EHLO is room enough.
func judgeBusy(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		said, refused := r.refusal(e)
		if refused && said.Class == audit.Busy {
			evidence := Seen(viaOf(e, said), said.Text)
			if !busySince(s, e) {
				r.Unknown(e.Subject(), said.Reason(), evidence)
				return
			}
			r.Fail(e.Subject(), Fault{
				Detail:   "the server had no room for us, in this run and in one an hour or more before: " + said.Text,
				Evidence: []string{evidence},
				Fix: audit.Fix{Summary: "give the server more room", Steps: []string{
					"look into its log for what holds the connections open, and for how often this happens",
					"let it take more connections at a time (Postfix: default_process_limit; Exim: smtp_accept_max)",
				}},
			})
			return
		}
		g, welcome := greeted(r, e)
		if !welcome {
			return
		}
		_, _, ok := Need(r, e.Subject(), firstHello(e))
		switch {
		case !ok:
		case e.Refusal.State == audit.Unknown:
			Need(r, e.Subject(), e.Refusal)
		default:
			r.Pass(e.Subject(), "the server had room for us", Seen(e.Greeting.Via, greetingText(g)))
		}
	})
}

// busySince reports whether an earlier run, long enough ago, met the server
// without room, and none since with room.
func busySince(s *audit.Snapshot, e audit.Endpoint) bool {
	return slices.ContainsFunc(s.Past.Busy, func(b audit.BusySpell) bool {
		return b.Endpoint == e.Subject() && s.At.Sub(b.Since) >= busyAgain
	})
}

// viaOf is how to see a refusal again.
func viaOf(e audit.Endpoint, said Refusal) string {
	if said.Step == StepGreeting && e.Greeting.Via != "" {
		return e.Greeting.Via
	}
	return e.Refusal.Via
}

// judgePace tells a server that slows every reply down from one that was slow
// once. One command says too little, unless the greeting was slow as well.
func judgePace(s *audit.Snapshot, r *Report) {
	const few = 2
	endpoints(s, r, func(e audit.Endpoint) {
		g, welcome := greeted(r, e)
		if !welcome {
			return
		}
		p, _, ok := Need(r, e.Subject(), e.Pace)
		if !ok {
			return
		}
		evidence := Seen(e.Pace.Via, fmt.Sprintf("replies to commands: %d, the quickest %s, the slowest %s", p.Replies, p.Quickest, p.Slowest))
		switch {
		case p.Quickest != audit.Prompt && (p.Replies >= few || g.Delay != audit.Prompt):
			r.Fail(e.Subject(), Fault{
				Detail:   "every reply comes after more than 5 seconds: the server slows strangers down (tarpit)",
				Evidence: []string{evidence},
				Fix: audit.Fix{Summary: "keep deliberate delays short", Steps: []string{
					"if the delay is deliberate (tarpit): keep it to a few seconds, and spare senders that are known",
					"if not: look for slow DNS lookups of the connecting address, or a slow filter",
				}},
			})
		case p.Slowest != audit.Prompt:
			r.Pass(e.Subject(), "a reply came after more than 5 seconds, but not every one: something is slow, and not on purpose", evidence)
		default:
			r.Pass(e.Subject(), "replies come within 5 seconds", evidence)
		}
	})
}
