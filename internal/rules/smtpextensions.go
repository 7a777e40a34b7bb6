package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// extensionRules judge how the replies to EHLO hang together, each by itself
// and one with the other.
func extensionRules() []Rule {
	answered := reachable()
	return []Rule{{
		ID: "smtp.reply-inconsistent", Axis: audit.Delivery, Since: "0.2.0", Severity: audit.Low,
		Title: "All lines of a reply carry the same code",
		Refs:  []Ref{{"RFC 5321", "4.2.1"}},
		Why: "A reply of several lines has one code, and repeats it on each line. Where they differ, some senders go by the first line and some by the last: " +
			"one reads a welcome where another reads a refusal. It mostly comes from a script or filter that writes into the dialogue.",
		Fix:   "Find out what writes the odd line (a filter, a banner text with a code in it), and give all lines the code of the reply.",
		After: welcomed(),
		Judge: judgeReplies,
	}, {
		ID: "smtp.extension-incomplete", Axis: audit.Delivery, Since: "0.2.0", Severity: audit.Low,
		Title: "An extension that needs another one comes with it",
		Refs:  []Ref{{"RFC 3030", "3"}, {"RFC 6531", "3.1"}},
		Why: "BINARYMIME works by CHUNKING alone, and SMTPUTF8 demands 8BITMIME. A sender that takes the one offer and misses the other bounces such mail, " +
			"or does not send it. Filters that take keywords out of the list are the usual cause.",
		Fix:   "Offer both or neither; look for a filter or a setting that takes one of them out of the list.",
		After: answered,
		Judge: judgeIncomplete,
	}, {
		ID: "smtp.extension-malformed", Axis: audit.Delivery, Since: "0.2.0", Severity: audit.Low,
		Title: "The parameters of extensions can be read",
		Refs:  []Ref{{"RFC 1870", "3"}, {"RFC 4954", "3"}, {"RFC 2852", "3"}, {"RFC 4865", "3"}, {"RFC 9422", "3"}},
		Why: "A size that is no number, or a login without a mechanism, is no offer that a program can take: " +
			"senders ignore it, or take it for zero and send nothing larger than that.",
		Fix:   "Correct the value in the server's configuration: a size is a number of octets, without a unit.",
		After: answered,
		Judge: judgeMalformed,
	}, {
		ID: "smtp.extension-twice", Axis: audit.Delivery, Since: "0.2.0", Severity: audit.Info,
		Title: "Every extension is listed once",
		Refs:  []Ref{{"RFC 5321", "4.1.1.1"}},
		Why: "Of two lines with one keyword programs believe the first or the last. Where they say the same, nothing is lost; where they differ, " +
			"as with two sizes, senders disagree about what is accepted. It shows that two programs write into one list.",
		Fix:   "Look for what adds the second line: a proxy in front of the server, or an option that repeats a built-in extension.",
		After: answered,
		Judge: judgeTwice,
	}, {
		ID: "smtp.requiretls-in-clear", Axis: audit.Privacy, Since: "0.2.0", Severity: audit.Low,
		Title: "REQUIRETLS is offered inside TLS only",
		Refs:  []Ref{{"RFC 8689", "2"}},
		Why: "REQUIRETLS is a promise about messages that came inside TLS. Offered in clear text it can be written in by anybody on the way, " +
			"and a sender that believes it hands a message in unprotected that must never be.",
		Fix:   "Upgrade the server, or the proxy that ends TLS in front of it.",
		After: answered,
		Judge: judgeRequireTLS,
	}, {
		ID: "smtp.old-commands", Axis: audit.Protection, Since: "0.2.0", Severity: audit.Info,
		Title: "Commands of another age are not offered to strangers",
		Refs:  []Ref{{"RFC 5321", "F.1"}, {"RFC 5321", "F.6"}, {"RFC 5321", "7.3"}},
		Why: "TURN hands the mail of a domain to whoever asks. EXPN tells who is behind a list, VERB and ONEX how the server works inside. SEND, SOML and SAML " +
			"write to terminals that nobody has. ATRN is sound and needs a login; on the port of an MX it is a leftover.",
		Fix:   "Switch them off (Sendmail: PrivacyOptions=goaway; IIS: the TURN and ATRN boxes; Exim: acl_smtp_expn).",
		After: answered,
		Judge: judgeOldCommands,
	}, endpointsDiffer()}
}

// eachHello calls judge for every reply to EHLO that was seen at an endpoint,
// in clear text and inside TLS, and fails the endpoint with the faults that
// come back, or passes it when all replies are known and none has one.
func eachHello(r *Report, e audit.Endpoint, pass string, fault Fault, judge func(h audit.Hello) []string) {
	g := Gather(hellos(e)...)
	var found, evidence []string
	for i, h := range g.Values {
		evidence = append(evidence, Seen(g.Vias[i], keywordNames(h)...))
		for _, f := range judge(h) {
			if !slices.Contains(found, f) {
				found = append(found, f)
			}
		}
	}
	switch {
	case len(found) > 0:
		fault.Detail = strings.Join(found, "; ")
		fault.Evidence = evidence
		r.Fail(e.Subject(), fault)
	case !g.Complete(r, e.Subject()):
	case len(g.Values) == 0:
		r.NA(e.Subject(), "EHLO is not answered")
	default:
		r.Pass(e.Subject(), pass, evidence...)
	}
}

func judgeReplies(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		_, welcome := greeted(r, e) // a welcome that turns into a refusal on its last line is about us
		if !welcome {
			return
		}
		replies, present, ok := Need(r, e.Subject(), e.Replies)
		if !ok {
			return
		}
		if present && len(replies.Mixed) > 0 {
			r.Fail(e.Subject(), Fault{
				Detail:   "the lines of a reply differ in their code: " + strings.Join(replies.Mixed, ", "),
				Evidence: []string{Seen(e.Replies.Via, replies.Mixed...)},
				Fix: audit.Fix{Summary: "give every line of a reply its code", Steps: []string{
					"look at the dialogue (-v shows it) for the line that does not fit",
					"look for the filter, script or banner text that writes it",
				}},
			})
			return
		}
		// What was not read may be mixed as well.
		if !Gather(hellos(e)...).Complete(r, e.Subject()) {
			return
		}
		r.Pass(e.Subject(), "every reply has one code", Seen(e.Replies.Via, "one code a reply"))
	})
}

func judgeIncomplete(s *audit.Snapshot, r *Report) {
	needs := []struct{ name, other string }{{"BINARYMIME", "CHUNKING"}, {"SMTPUTF8", "8BITMIME"}}
	endpoints(s, r, func(e audit.Endpoint) {
		fault := Fault{Fix: audit.Fix{Summary: "offer both or neither", Steps: []string{
			"look for a setting that takes the missing one out (Postfix: smtpd_discard_ehlo_keywords), or for a filter in front of the server that does",
		}}}
		eachHello(r, e, "no extension is without the one that it needs", fault, func(h audit.Hello) []string {
			var out []string
			for _, n := range needs {
				_, has := h.Keyword(n.name)
				_, other := h.Keyword(n.other)
				if has && !other {
					out = append(out, n.name+" is offered without "+n.other)
				}
			}
			return out
		})
	})
}

func judgeMalformed(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		fault := Fault{Fix: audit.Fix{Summary: "write the parameter as its standard has it", Steps: []string{
			"SIZE takes a number of octets without a unit (Postfix: message_size_limit = 52428800)",
			"AUTH lists the mechanisms; a server without any lists no AUTH",
		}}}
		eachHello(r, e, "all parameters can be read", fault, func(h audit.Hello) []string {
			var out []string
			for _, k := range h.Keywords {
				if wrong := k.Malformed(); wrong != "" {
					out = append(out, k.Name+": "+wrong)
				}
			}
			return out
		})
	})
}

// judgeTwice leaves AUTH out: servers repeat it on purpose, in two spellings,
// for the sake of old clients.
func judgeTwice(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		fault := Fault{Fix: audit.Fix{Summary: "list every extension once"}}
		eachHello(r, e, "every extension is listed once", fault, func(h audit.Hello) []string {
			var out []string
			told := map[string]bool{"AUTH": true}
			for i, k := range h.Keywords {
				same := slices.IndexFunc(h.Keywords, func(other audit.Keyword) bool { return other.Name == k.Name })
				if same == i || told[k.Name] {
					continue
				}
				told[k.Name] = true
				how := ""
				if h.Keywords[same].Params != k.Params {
					how = ", with different parameters"
				}
				out = append(out, audit.Raw(k.Name).String()+" is listed more than once"+how)
			}
			return out
		})
	})
}

func judgeRequireTLS(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		if e.Mode == audit.ModeTLS {
			r.NA(e.Subject(), "everything is under TLS there")
			return
		}
		h, answered, ok := Need(r, e.Subject(), e.Hello)
		_, offered := h.Keyword("REQUIRETLS")
		evidence := Seen(e.Hello.Via, keywordNames(h)...)
		switch {
		case !ok:
		case !answered:
			r.NA(e.Subject(), "EHLO is not answered")
		case !offered:
			r.Pass(e.Subject(), "REQUIRETLS is not offered in clear text", evidence)
		default:
			r.Fail(e.Subject(), Fault{
				Detail:   "REQUIRETLS is offered before TLS",
				Evidence: []string{evidence},
				Fix:      audit.Fix{Summary: "offer REQUIRETLS inside TLS only: upgrade the server or the proxy that ends TLS"},
			})
		}
	})
}

func judgeOldCommands(s *audit.Snapshot, r *Report) {
	old := []string{"TURN", "ATRN", "EXPN", "VERB", "ONEX", "SEND", "SOML", "SAML"}
	endpoints(s, r, func(e audit.Endpoint) {
		fault := Fault{Fix: audit.Fix{Summary: "switch off what nobody uses", Steps: []string{
			"Sendmail: O PrivacyOptions=goaway takes EXPN and VERB away",
			"Exim: leave acl_smtp_expn unset; IIS: clear TURN and ATRN",
		}}}
		eachHello(r, e, "no command of another age is offered", fault, func(h audit.Hello) []string {
			var out []string
			for _, k := range h.Keywords {
				if slices.Contains(old, k.Name) {
					out = append(out, fmt.Sprintf("%s is offered (%s)", k.Name, audit.ExtensionOf(k.Name).Means))
				}
			}
			return out
		})
	})
}
