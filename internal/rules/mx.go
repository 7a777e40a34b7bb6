package rules

import (
	"fmt"

	"mailaudit/internal/audit"
)

// mxRules judge what the domain publishes about the way its mail goes.
func mxRules() []Rule {
	return []Rule{{
		ID: "mx.domain-nxdomain", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Critical,
		Title: "The domain exists in DNS",
		Refs:  []Ref{{"RFC 5321", "5.1"}, {"RFC 8020", "2"}},
		Why: "NXDOMAIN says that neither the name nor anything below it exists. Senders bounce mail to it at once, " +
			"and receivers refuse mail from it.",
		Fix: "Check the spelling, that the registration has not lapsed, and that the registry delegates the domain " +
			"to name servers that serve its zone.",
		Judge: judgeExists,
	}, {
		ID: "mx.no-route", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "The domain says where its mail goes: MX, null MX, or an address",
		Refs:  []Ref{{"RFC 5321", "5.1"}},
		Why: "Without an MX record senders fall back to the address of the domain itself (the implicit MX). " +
			"Without that as well mail to the domain bounces, and receivers that check whether a sender can be answered refuse mail from it.",
		Fix: "Publish an MX record for the host that takes the mail, or, for a domain that takes none, the null MX of RFC 7505: " +
			"\"MX 0 .\".",
		After: []audit.RuleID{"mx.domain-nxdomain"},
		Judge: judgeRoute,
	}, {
		ID: "mx.implicit", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Low,
		Title: "Mail routing does not lean on the implicit MX",
		Refs:  []Ref{{"RFC 5321", "5.1"}},
		Why: "Without MX records mail goes to the address of the domain, which is mostly that of its web site. " +
			"It breaks on the day the site moves, and a sender's queue tries the web server meanwhile.",
		Fix:   "Say explicitly where mail goes: an MX record, or the null MX of RFC 7505 for a domain that takes no mail.",
		After: []audit.RuleID{"mx.domain-nxdomain", "mx.no-route"},
		Judge: judgeImplicit,
	}, {
		ID: "mx.null-mx-mixed", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Title: "A null MX stands alone",
		Refs:  []Ref{{"RFC 7505", "3"}},
		Why: "\"MX 0 .\" says that the domain takes no mail; another MX record beside it says that it does. " +
			"Senders differ in which of the two they believe, so part of the mail bounces.",
		Fix:   "Remove the null MX when the domain takes mail, or all other MX records when it does not.",
		After: []audit.RuleID{"mx.domain-nxdomain"},
		Judge: judgeNullMX,
	}, {
		ID: "mx.null-mx-preference", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Low,
		Title: "A null MX has preference 0",
		Refs:  []Ref{{"RFC 7505", "3"}},
		Why:   "The standard gives the null MX the preference 0. Programs that look for exactly \"0 .\" do not recognise another one and try to look the root up as a host.",
		Fix:   "Publish the record as \"MX 0 .\".",
		After: []audit.RuleID{"mx.domain-nxdomain", "mx.null-mx-mixed"},
		Judge: judgeNullPreference,
	}, {
		ID: "mx.target-not-public", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High, Range: []audit.Severity{audit.Critical},
		Title: "Every MX target is a public host: no address literal, localhost, private or reserved address",
		Refs:  []Ref{{"RFC 5321", "5.1"}, {"RFC 6890", "2.2.2"}, {"RFC 6890", "2.2.3"}},
		Why: "An MX record holds the name of a host. An IP address in its place is looked up as a name and not found; " +
			"a private or loopback address leads every sender into its own network.",
		Fix:   "Name a host whose A and AAAA records hold public addresses.",
		Judge: judgePublic,
	}, {
		ID: "mx.target-unresolvable", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.High,
		Range: []audit.Severity{audit.Critical, audit.Low},
		Title: "Every MX target has an address",
		Refs:  []Ref{{"RFC 5321", "5.1"}, {"RFC 1912", "2.5"}},
		Why: "A target without address takes no mail. Senders go on to the next MX; when none has an address, mail bounces, " +
			"with some senders at once.",
		Fix:   "Publish A or AAAA records at the target, or take the MX record away.",
		After: []audit.RuleID{"mx.no-route", "mx.target-not-public"},
		Judge: judgeResolvable,
	}, {
		ID: "mx.target-alias", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Low,
		Title: "MX targets are names of hosts, not aliases",
		Refs:  []Ref{{"RFC 2181", "10.3"}, {"RFC 5321", "5.1"}},
		Why: "The standard forbids a CNAME at the target of an MX record. Nearly all senders follow it all the same; " +
			"some do not, and DANE and loop detection go by the other name. (That the mail domain itself is an alias is legal.)",
		Fix:   "Name the host that the alias leads to, or give the target A and AAAA records of its own.",
		After: []audit.RuleID{"mx.target-not-public", "mx.target-unresolvable"},
		Judge: judgeAlias,
	}, {
		ID: "mx.duplicate", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info,
		Title: "No mail host and no address is listed twice",
		Refs:  []Ref{{"RFC 5321", "5.1"}},
		Why: "Senders that reach nobody at the first record try the second, and knock at the same machine again. " +
			"It looks like a spare server and is none.",
		Fix:   "Keep one MX record for each server.",
		After: []audit.RuleID{"mx.domain-nxdomain", "mx.no-route"},
		Judge: judgeDuplicate,
	}, {
		ID: "mx.single-point", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info,
		Title: "Mail does not hang on one machine",
		Refs:  []Ref{{"RFC 5321", "4.5.4.1"}},
		Why: "With one mail host at one address, mail waits while it is down. That is no fault: senders keep trying for four to " +
			"five days, and a second server that filters less well brings more spam than safety. It is worth knowing.",
		Fix:   "Know how fast the machine can be replaced. A single name with several addresses is no single machine.",
		After: []audit.RuleID{"mx.domain-nxdomain", "mx.no-route"},
		Judge: judgeSinglePoint,
	}, {
		ID: "mx.no-ipv6", Axis: audit.Delivery, Since: "0.1.0", Severity: audit.Info,
		Title: "At least one mail host has an IPv6 address",
		Refs:  []Ref{{"RFC 6540", "2"}},
		Why: "Nearly all senders have IPv4, so hardly any mail is lost today. Networks without it are coming, and the mail of " +
			"those needs a gateway until then.",
		Fix:   "Publish an AAAA record at a mail host once the server listens on IPv6.",
		After: []audit.RuleID{"mx.domain-nxdomain", "mx.no-route"},
		Judge: judgeNoIPv6,
	}}
}

func judgeExists(s *audit.Snapshot, r *Report) {
	domain, o := s.Domain.String(), s.Facts.MX.Exists
	_, exists, ok := Need(r, domain, o)
	switch {
	case !ok:
	case exists:
		r.Pass(domain, "the domain exists", Seen(o.Via, "an answer"))
	default:
		r.Fail(domain, Fault{
			Detail:   domain + " does not exist in DNS",
			Evidence: []string{Seen(o.Via, "NXDOMAIN")},
			Fix: audit.Fix{Summary: "register the domain, or repair its delegation", Steps: []string{
				"check the spelling of " + domain,
				"ask the registrar whether the registration has lapsed",
				"check that the registry lists the name servers that serve the zone (dig NS " + domain + ")",
			}},
		})
	}
}

func judgeRoute(s *audit.Snapshot, r *Report) {
	domain, mx := s.Domain.String(), s.Facts.MX
	records, present, ok := Need(r, domain, mx.Records)
	switch {
	case !ok:
		return
	case present && len(records) == 1 && records[0].IsNull():
		r.Pass(domain, "a null MX says that the domain takes no mail", mxEvidence(s)...)
		return
	case present:
		r.Pass(domain, fmt.Sprintf("%d MX records", len(records)), mxEvidence(s)...)
		return
	}
	host, found := implicitHost(s)
	if !found {
		r.NA(domain, "the domain has no name to look up")
		return
	}
	_, present, ok = AnyOf(r, domain, host.A, host.AAAA)
	switch {
	case !ok:
	case present:
		r.Pass(domain, "no MX record, but an address: the implicit MX", mxEvidence(s)...)
	default:
		r.Fail(domain, Fault{
			Detail:   domain + " has neither MX records nor an address",
			Evidence: append(mxEvidence(s), Seen(host.A.Via, string(host.A.Why.Code)), Seen(host.AAAA.Via, string(host.AAAA.Why.Code))),
			Fix: audit.Fix{Summary: "say where mail goes", Steps: []string{
				"if the domain takes mail: publish " + s.Domain.Name().FQDN() + " MX 10 and the name of the host that takes it",
				"if it takes none: publish " + s.Domain.Name().FQDN() + " MX 0 . (RFC 7505)",
			}},
		})
	}
}

// implicitHost is the domain itself as a host for its own mail.
func implicitHost(s *audit.Snapshot) (audit.Host, bool) {
	for _, h := range s.Facts.Hosts {
		if h.Role == audit.RoleImplicit {
			return h, true
		}
	}
	return audit.Host{}, false
}

func judgeImplicit(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	_, present, ok := Need(r, domain, s.Facts.MX.Records)
	switch {
	case !ok:
		return
	case present:
		r.Pass(domain, "MX records say where mail goes", mxEvidence(s)...)
		return
	}
	r.Fail(domain, Fault{
		Detail:   domain + " has no MX record; its own address is used",
		Evidence: mxEvidence(s), Fix: implicitFix(s),
	})
}

// implicitFix is a record where there is no doubt what it has to be. Nothing
// can stand beside a CNAME (RFC 1034 3.6.2), so a domain that is an alias takes
// no MX record of its own.
func implicitFix(s *audit.Snapshot) audit.Fix {
	domain := s.Domain.Name().FQDN()
	for _, e := range s.Facts.SMTP {
		if e.Host == s.Domain.Name() && e.Port == portMX && e.Connect.State == audit.Absent {
			return audit.Fix{Summary: "say that the domain takes no mail, or name the host that does", Steps: []string{
				"if the domain takes no mail: publish " + domain + " MX 0 . (RFC 7505)",
				"else publish an MX record with the name of the host that takes it",
			}}
		}
	}
	if s.Facts.MX.Alias.State != audit.Absent {
		return audit.Fix{Summary: "name the mail host", Steps: []string{
			"publish the MX record at the name that " + domain + " is an alias of",
			"or replace the CNAME at " + domain + " by A and AAAA records, and publish " + domain + " MX 10 " + domain + " beside them",
		}}
	}
	return audit.Fix{Summary: "name the mail host", Records: []audit.FixRecord{
		{Action: audit.Add, Name: domain, Type: "MX", Value: "10 " + domain},
	}}
}

func judgeNullMX(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	records, present, ok := Need(r, domain, s.Facts.MX.Records)
	if !ok {
		return
	}
	nulls := 0
	for _, m := range records {
		if m.IsNull() {
			nulls++
		}
	}
	switch {
	case !present || nulls == 0:
		r.NA(domain, "there is no null MX")
	case len(records) == 1:
		r.Pass(domain, "the null MX stands alone", mxEvidence(s)...)
	default:
		r.Fail(domain, Fault{
			Detail:   "a null MX stands beside other MX records",
			Evidence: mxEvidence(s),
			Fix: audit.Fix{Summary: "decide whether the domain takes mail", Steps: []string{
				"if it does: remove the record " + s.Domain.Name().FQDN() + " MX 0 .",
				"if it does not: remove all other MX records of " + s.Domain.Name().FQDN(),
			}},
		})
	}
}

func judgeNullPreference(s *audit.Snapshot, r *Report) {
	domain := s.Domain.String()
	records, _, ok := Need(r, domain, s.Facts.MX.Records)
	switch {
	case !ok:
	case len(records) != 1 || !records[0].IsNull():
		r.NA(domain, "there is no null MX that stands alone")
	case records[0].Preference == 0:
		r.Pass(domain, "the null MX has preference 0", mxEvidence(s)...)
	default:
		name := s.Domain.Name().FQDN()
		r.Fail(domain, Fault{
			Detail:   fmt.Sprintf("the null MX has preference %d", records[0].Preference),
			Evidence: mxEvidence(s),
			Fix: audit.Fix{Summary: "publish it with preference 0", Records: []audit.FixRecord{
				{Action: audit.Replace, Name: name, Type: "MX", Value: "0 ."},
			}},
		})
	}
}

// mxEvidence is what the MX question brought.
func mxEvidence(s *audit.Snapshot) []string {
	o := s.Facts.MX.Records
	if o.State == audit.Absent {
		return []string{Seen(o.Via, string(o.Why.Code))}
	}
	var words []string
	for _, set := range Gather(o).Values {
		for _, m := range set {
			words = append(words, fmt.Sprintf("%d %s", m.Preference, m.Host.FQDN()))
		}
	}
	return []string{Seen(o.Via, words...)}
}
