package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file compares the servers that mail for one domain may come to: all
// hosts, and both families of addresses.

func endpointsDiffer() Rule {
	return Rule{
		ID: "smtp.endpoints-differ", Axis: audit.Delivery, Since: "0.2.0", Severity: audit.Low, Range: []audit.Severity{audit.Info},
		Title: "Every address that mail may come to offers the same services",
		Refs:  []Ref{{"RFC 5321", "2.2.1"}, {"RFC 5321", "5.1"}},
		Why: "Senders choose an address by preference and chance. Where one takes smaller messages, or no addresses in other scripts, the same message arrives today and bounces tomorrow; " +
			"a fault of that kind is hard to find. What a sender can do without (8BITMIME, DSN, CHUNKING, PIPELINING and the like) costs no mail and is a note. " +
			"Whether STARTTLS is there has a rule of its own.",
		Fix:   "Give all servers the same limits and extensions, the backup server and the IPv6 address included.",
		Judge: judgeParity,
	}
}

// decisive are the services whose absence can keep a message from arriving, or
// a person from handing it in. Without any other a sender goes on.
func decisive() []string { return []string{"SIZE", "SMTPUTF8", "REQUIRETLS", "AUTH"} }

func judgeParity(s *audit.Snapshot, r *Report) {
	var hosts []audit.Host
	mailHosts(s, r, func(h audit.Host) { hosts = append(hosts, h) })
	if len(hosts) == 0 {
		return // mailHosts has said why
	}
	subject := s.Domain.String()
	if oneServer(s) {
		subject = hosts[0].Name.String()
	}
	var compared []audit.Endpoint
	var replies []audit.Obs[audit.Hello]
	known := true
	for _, h := range hosts {
		known = known && Gather(addrsOf(h)...).dark == nil
		for _, e := range endpointsOf(s, h) {
			o, meant := inventory(r.heard(s, e))
			if meant && (oneServer(s) || e.Port == portMX) {
				compared, replies = append(compared, e), append(replies, o)
			}
		}
	}
	lines := offers(compared, replies)
	fault, differ := parityFault(lines)
	g := Gather(replies...)
	switch {
	case differ:
		r.Fail(subject, fault)
	case known && len(replies) < 2:
		r.NA(subject, "there are no two addresses to compare")
	case !known:
		for _, h := range hosts {
			if !Gather(addrsOf(h)...).Complete(r, subject) {
				return
			}
		}
	case !g.Complete(r, subject):
	default:
		r.Pass(subject, fmt.Sprintf("%d addresses offer the same", len(g.Values)), Seen(g.Vias[0], keywordNames(g.Values[0])...))
	}
}

// inventory is the reply to EHLO by which an endpoint is compared: inside TLS
// where there is TLS, because servers offer more there, else in clear text. It
// has no meaning where EHLO is not answered. What ended the dialogue early is
// the reason for not knowing it.
func inventory(e audit.Endpoint) (audit.Obs[audit.Hello], bool) {
	for _, step := range []audit.Obs[audit.Nothing]{e.Connect, existence(e.Greeting), existence(e.Hello), e.StartTLS, existence(e.TLS)} {
		if step.State == audit.Unknown {
			return audit.Dark[audit.Hello](step.Why, step.Via), true
		}
	}
	o := e.HelloTLS
	if e.Mode != audit.ModeTLS && e.TLS.State != audit.Seen {
		o = e.Hello
	}
	return o, o.State == audit.Seen || o.State == audit.Unknown || o.State == audit.NotTried && o.Why.Code != audit.NotApplicable
}

// offer is one service and which of the compared endpoints have it.
type offer struct {
	service string // with its parameter where that decides
	by      []string
	notBy   []string
}

// offers are all services that some of the endpoints offer, by name.
func offers(all []audit.Endpoint, replies []audit.Obs[audit.Hello]) []offer {
	has := map[string][]string{}
	var seen []string
	for i, o := range replies {
		for _, h := range Gather(o).Values {
			subject := all[i].Subject()
			seen = append(seen, subject)
			for _, service := range services(h) {
				has[service] = append(has[service], subject)
			}
		}
	}
	var out []offer
	for service, by := range has {
		notBy := slices.DeleteFunc(slices.Clone(seen), func(s string) bool { return slices.Contains(by, s) })
		out = append(out, offer{service, by, notBy})
	}
	slices.SortFunc(out, func(a, b offer) int { return strings.Compare(a.service, b.service) })
	return out
}

// services are what a reply offers, each once: the names, with the parameters
// where those decide what is taken. STARTTLS has a rule of its own.
func services(h audit.Hello) []string {
	var out []string
	for _, k := range h.Keywords {
		word := audit.Raw(k.Name).String()
		if k.Name == "SIZE" || k.Name == "AUTH" {
			params := strings.Fields(strings.ToUpper(k.Params.String()))
			slices.Sort(params)
			word = strings.Join(append([]string{word}, params...), " ")
		}
		if k.Name != "STARTTLS" && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// parityFault is the fault of services that not all endpoints offer, those
// that decide first.
func parityFault(lines []offer) (Fault, bool) {
	fault := Fault{Severity: audit.Info, Fix: audit.Fix{Summary: "give all servers the same limits and extensions"}}
	isHeavy := func(l offer) bool {
		name, _, _ := strings.Cut(l.service, " ")
		return slices.Contains(decisive(), name)
	}
	detail := "not every address offers the same, and senders can do without what differs: "
	var differ []string
	for _, heavy := range []bool{true, false} {
		for _, l := range lines {
			if len(l.notBy) == 0 || isHeavy(l) != heavy {
				continue
			}
			if heavy {
				fault.Severity, detail = audit.Low, "not every address offers the same: "
			}
			differ = append(differ, l.service)
			fault.Evidence = append(fault.Evidence, l.evidence())
		}
	}
	fault.Detail = detail + strings.Join(differ, ", ")
	return fault, len(differ) > 0
}

// evidence names the smaller side.
func (l offer) evidence() string {
	if len(l.notBy) <= len(l.by) {
		return Seen(l.service, append([]string{"not offered by"}, l.notBy...)...)
	}
	return Seen(l.service, append([]string{"offered only by"}, l.by...)...)
}
