package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// submissionRules judge where the domain's own people hand in mail: what is
// published of it (RFC 6186, RFC 8314), and whether it is safe there.
func submissionRules() []Rule {
	return []Rule{{
		ID: "auth.srv-target-unresolvable", Axis: audit.Delivery, Since: "0.2.0", Severity: audit.Medium,
		Title: "Every submission server that an SRV record names has an address",
		Refs:  []Ref{{"RFC 2782", ""}, {"RFC 6186", "3.1"}},
		Why: "Mail programs that find their server by SRV records are sent to a name that leads nowhere. " +
			"Some go on to the next record; others tell their user that the account does not work.",
		Fix:   "Publish the addresses of the server, or name another one; a service that is not offered has one record with the target \".\".",
		Judge: judgeSRVResolvable,
	}, {
		ID: "auth.srv-target-alias", Axis: audit.Delivery, Since: "0.2.0", Severity: audit.Low,
		Title: "No SRV target of submission is an alias",
		Refs:  []Ref{{"RFC 2782", ""}, {"RFC 6186", "3.1"}},
		Why: "The target of an SRV record must not be an alias. Most mail programs follow it all the same; " +
			"those that do not find no server, and the certificate may carry the other name.",
		Fix:   "Name the host itself in the SRV record, or replace the CNAME by A and AAAA records.",
		After: []audit.RuleID{"auth.srv-target-unresolvable"},
		Judge: judgeSRVAlias,
	}, {
		ID: "auth.srv-port", Axis: audit.Delivery, Since: "0.2.0", Severity: audit.Low,
		Title: "The SRV records of submission name its ports: 587 with STARTTLS, 465 with TLS",
		Refs:  []Ref{{"RFC 6186", "3.1"}, {"RFC 8314", "7.3"}, {"RFC 6409", "3.1"}},
		Why: "_submission means STARTTLS, and _submissions TLS from the first byte. With the port of the other one mail programs wait for a " +
			"greeting that never comes. Other ports are allowed, but networks that let mail programs out often open these two alone. " +
			"(mailaudit connects to no other port that a record names.)",
		Fix:   "Name port 587 in _submission._tcp and port 465 in _submissions._tcp.",
		Judge: judgeSRVPort,
	}, {
		ID: "auth.submission-without-tls", Axis: audit.Privacy, Since: "0.2.0", Severity: audit.High,
		Title: "A submission server takes mail under TLS: on port 465, or on 587 with STARTTLS",
		Refs:  []Ref{{"RFC 8314", "3.3"}, {"RFC 8314", "3"}},
		Why: "Whoever hands in mail here sends name, password and mail in clear text, where anybody on the way reads them, " +
			"or does not get in at all, because current mail programs refuse.",
		Fix:   "Get a certificate for the host and switch TLS on: port 465 with TLS from the first byte, and STARTTLS on 587 as long as it is needed.",
		Judge: judgeSubmissionTLS,
	}, {
		ID: "auth.submission-prefer-465", Axis: audit.Privacy, Since: "0.2.0", Severity: audit.Info,
		Title: "Mail can be handed in with TLS from the first byte (port 465)",
		Refs:  []Ref{{"RFC 8314", "3.3"}, {"RFC 8314", "5.1"}},
		Why: "STARTTLS on 587 begins in clear text: whoever sits on the way can take the offer away, and mail programs that are set to " +
			"\"TLS if available\" go on without. Port 465 has nothing to take away, which is why RFC 8314 prefers it. Both may be offered side by side.",
		Fix:   "Offer port 465 as well, and publish _submissions._tcp for it where _submission._tcp is published.",
		Judge: judgePrefer465,
	}, {
		ID: "auth.mail-before-tls", Axis: audit.Privacy, Since: "0.2.0", Severity: audit.Medium,
		Title: "Port 587 takes no mail before STARTTLS (tested with --try-mail alone)",
		Refs:  []Ref{{"RFC 8314", "3.3"}, {"RFC 3207", "4"}, {"RFC 6409", "4.3"}},
		Why: "A server that begins a message without TLS does not insist on it, so that a mail program that is set up carelessly goes on in clear text " +
			"and nobody notices.",
		Fix:   "Require TLS on the submission port (Postfix: -o smtpd_tls_security_level=encrypt for submission in master.cf).",
		After: append([]audit.RuleID{"tls.starttls-missing"}, reachable()...),
		Judge: judgeMailBeforeTLS,
	}}
}

// srvServices calls judge for both services of submission with their records,
// where the domain publishes any; else it says what there is to say under the
// name of the service.
func srvServices(s *audit.Snapshot, r *Report, judge func(service audit.Service, records []audit.SRVRecord)) {
	if named, one := namedServer(s); one {
		r.NA(named.Name.String(), "one server was named, and no domain")
		return
	}
	for _, service := range s.Facts.Submission.Services(s.Domain) {
		subject := service.Name.String()
		records, present, ok := Need(r, subject, service.Records)
		offered := slices.DeleteFunc(slices.Clone(records), audit.SRVRecord.IsNone)
		switch {
		case !ok:
		case !present:
			r.NA(subject, "the domain names no such server in DNS")
		case len(offered) == 0:
			r.NA(subject, "the domain says that it does not offer this service")
		default:
			judge(service, offered)
		}
	}
}

// namedServer is the one server that was named in place of a domain.
func namedServer(s *audit.Snapshot) (audit.Host, bool) {
	i := slices.IndexFunc(s.Facts.Hosts, func(h audit.Host) bool { return h.Role == audit.RoleNamed })
	if i < 0 {
		return audit.Host{}, false
	}
	return s.Facts.Hosts[i], true
}

// srvTargets calls judge once for every host that SRV records of submission
// name, with the service that does so first.
func srvTargets(s *audit.Snapshot, r *Report, judge func(service audit.Service, h audit.Host)) {
	judged := map[audit.DNSName]bool{}
	srvServices(s, r, func(service audit.Service, records []audit.SRVRecord) {
		for _, record := range records {
			for _, h := range s.Facts.Hosts {
				if h.Name == record.Target && !judged[h.Name] {
					judged[h.Name] = true
					judge(service, h)
				}
			}
		}
	})
}

// publishes reports whether an SRV record names a host with a port.
func publishes(s *audit.Snapshot, host audit.DNSName, port uint16) bool {
	for _, service := range s.Facts.Submission.Services(s.Domain) {
		for _, records := range Gather(service.Records).Values {
			if slices.ContainsFunc(records, func(x audit.SRVRecord) bool { return x.Target == host && x.Port == port }) {
				return true
			}
		}
	}
	return false
}

// srvLines are records as DNS shows them.
func srvLines(records []audit.SRVRecord) []string {
	var out []string
	for _, x := range records {
		out = append(out, fmt.Sprintf("%d %d %d %s", x.Priority, x.Weight, x.Port, x.Target))
	}
	return out
}

func judgeSRVResolvable(s *audit.Snapshot, r *Report) {
	srvTargets(s, r, func(service audit.Service, h audit.Host) {
		subject := h.Name.String()
		_, present, ok := AnyOf(r, subject, h.A, h.AAAA)
		switch {
		case !ok:
		case present:
			r.Pass(subject, "has an address")
		default:
			r.Fail(subject, Fault{
				Detail:   fmt.Sprintf("the submission server %s, which %s names, has no address", subject, service.Name),
				Evidence: []string{Seen(h.A.Via, string(h.A.Why.Code)), Seen(h.AAAA.Via, string(h.AAAA.Why.Code))},
				Fix: audit.Fix{Summary: "publish its address, or name another server", Steps: []string{
					"if the server exists: publish A and AAAA records at " + h.Name.FQDN(),
					"if it does not: take it out of the SRV records of " + service.Name.FQDN(),
				}},
			})
		}
	})
}

func judgeSRVAlias(s *audit.Snapshot, r *Report) {
	srvTargets(s, r, func(service audit.Service, h audit.Host) {
		subject := h.Name.String()
		chain, present, ok := Need(r, subject, h.Alias)
		switch {
		case !ok:
		case !present:
			r.Pass(subject, "the target is no alias")
		default:
			end := chain[len(chain)-1]
			r.Fail(subject, Fault{
				Detail:   fmt.Sprintf("the submission server %s, which %s names, is an alias of %s", subject, service.Name, end),
				Evidence: []string{Seen(h.Alias.Via, texts(chain)...)},
				Fix: audit.Fix{Summary: "name the host itself", Steps: []string{
					fmt.Sprintf("put %s in place of %s into the SRV records, if the certificate of the host covers that name", end.FQDN(), h.Name.FQDN()),
					fmt.Sprintf("or replace the CNAME at %s by A and AAAA records", h.Name.FQDN()),
				}},
			})
		}
	})
}

func judgeSRVPort(s *audit.Snapshot, r *Report) {
	srvServices(s, r, func(service audit.Service, records []audit.SRVRecord) {
		subject, evidence := service.Name.String(), Seen(service.Records.Via, srvLines(records)...)
		var odd []string
		for _, x := range records {
			word := fmt.Sprint(x.Port)
			if x.Port != service.Port && !slices.Contains(odd, word) {
				odd = append(odd, word)
			}
		}
		switch {
		case len(odd) > 0:
			r.Fail(subject, Fault{
				Detail:   fmt.Sprintf("%s names port %s, where %d belongs", subject, strings.Join(odd, " and "), service.Port),
				Evidence: []string{evidence},
				Fix: audit.Fix{Summary: fmt.Sprintf("name port %d", service.Port), Steps: []string{
					fmt.Sprintf("let the server listen on port %d, then name that port in the SRV records of %s", service.Port, service.Name.FQDN()),
				}},
			})
		case len(records) >= audit.MaxSRV:
			r.Unknown(subject, audit.Reason{Code: audit.Budget, Text: "there may be more records than a run looks at"}, evidence)
		default:
			r.Pass(subject, fmt.Sprintf("names port %d", service.Port), evidence)
		}
	})
}
