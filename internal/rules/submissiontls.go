package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file judges how safe submission servers are.

// submissionHosts calls judge for every host that takes mail from the domain's
// people, by its SRV records or by what the user says.
func submissionHosts(s *audit.Snapshot, r *Report, judge func(h audit.Host)) {
	judged := map[audit.DNSName]bool{}
	srvTargets(s, r, func(_ audit.Service, h audit.Host) {
		judged[h.Name] = true
		judge(h)
	})
	for _, h := range s.Facts.Hosts {
		if slices.Contains(s.Scope.Submission, h.Name) && !judged[h.Name] {
			judge(h)
		}
	}
}

// doors are the endpoints of a host at which mail is handed in, as they count
// for the host.
func doors(s *audit.Snapshot, r *Report, h audit.Host) []audit.Endpoint {
	var out []audit.Endpoint
	for _, e := range endpointsOf(s, h) {
		_, submits := audit.SubmissionMode(e.Port)
		if submits {
			out = append(out, r.heard(s, e))
		}
	}
	return out
}

// tlsSettled reports whether it is known that an endpoint has no TLS: what has to
// come before it is not there, or it does not come up.
func tlsSettled(e audit.Endpoint) bool {
	return e.Connect.State == audit.Absent || e.StartTLS.State == audit.Absent || e.TLS.State == audit.Absent
}

func judgeSubmissionTLS(s *audit.Snapshot, r *Report) {
	submissionHosts(s, r, func(h audit.Host) {
		subject, mine := h.Name.String(), doors(s, r, h)
		var evidence []string
		open := false
		for _, e := range mine {
			for i, t := range Gather(e.TLS).Values {
				r.Pass(subject, fmt.Sprintf("%s on port %d", t.Version, e.Port), Seen(Gather(e.TLS).Vias[i], t.Version))
				return
			}
			switch {
			case e.Connect.State == audit.Absent:
				evidence = append(evidence, Seen(e.Connect.Via, "connection refused, twice"))
			case e.StartTLS.State == audit.Absent:
				evidence, open = append(evidence, Seen(e.StartTLS.Via, "no STARTTLS in two EHLO replies")), true
			case e.TLS.State == audit.Absent:
				evidence, open = append(evidence, Seen(e.TLS.Via, e.TLS.Why.Text+", twice")), true
			}
		}
		for _, e := range mine {
			if !tlsSettled(e) { // TLS is not known, and says why
				Need(r, subject, notSeen(e))
				return
			}
		}
		switch {
		case !Gather(addrsOf(h)...).Complete(r, subject):
		case !open:
			r.NA(subject, "nothing listens on the ports of submission, or they were not connected to")
		default:
			r.Fail(subject, Fault{
				Detail:   "mail can be handed in to " + subject + " in clear text alone",
				Evidence: evidence,
				Fix: audit.Fix{Summary: "switch TLS on", Steps: []string{
					"get a certificate for " + subject,
					"Postfix: enable submissions (465, smtpd_tls_wrappermode=yes) in master.cf, and -o smtpd_tls_security_level=encrypt for submission (587)",
				}},
			})
		}
	})
}

// notSeen is the first observation on the way to TLS that was not made.
func notSeen(e audit.Endpoint) audit.Obs[audit.Nothing] {
	for _, o := range []audit.Obs[audit.Nothing]{e.Connect, e.StartTLS} {
		if o.State == audit.Unknown {
			return o
		}
	}
	return audit.Obs[audit.Nothing]{State: e.TLS.State, Why: e.TLS.Why, Via: e.TLS.Via}
}

func judgePrefer465(s *audit.Snapshot, r *Report) {
	if named, one := namedServer(s); one {
		r.NA(named.Name.String(), "one server was named, and no domain")
		return
	}
	domain := s.Domain.String()
	clear, secure := s.Facts.Submission.STARTTLS, s.Facts.Submission.TLS
	published, _, known := Need(r, domain, clear)
	better, _, also := audit.SRVRecord{}, false, false
	if known && namesServer(published) {
		var records []audit.SRVRecord
		records, _, also = Need(r, domain, secure)
		if namesServer(records) {
			better = records[0]
		}
	}
	switch {
	case !known || namesServer(published) && !also:
	case !namesServer(published):
		r.NA(domain, "the domain publishes no server with STARTTLS")
	case better.Target != "":
		r.Pass(domain, "servers of both kinds are published", Seen(secure.Via, srvLines([]audit.SRVRecord{better})...))
	default:
		name := audit.SubmissionName(s.Domain, audit.PortSubmissions)
		r.Fail(domain, Fault{
			Detail:   "the domain publishes a submission server with STARTTLS, and none with TLS from the first byte",
			Evidence: []string{Seen(clear.Via, srvLines(published)...), Seen(secure.Via, "none")},
			Fix: audit.Fix{Summary: "offer port 465, and publish it", Steps: []string{
				"let the server listen on port 465 with TLS from the first byte (Postfix: submissions in master.cf)",
				"publish it: " + name.FQDN() + " SRV 0 1 465 and the name of the server",
			}},
		})
	}
	for _, h := range s.Facts.Hosts {
		if slices.Contains(s.Scope.Submission, h.Name) && !r.said(h.Name.String()) {
			namedPrefers465(s, r, h)
		}
	}
}

// namesServer reports whether one of the records names a server.
func namesServer(records []audit.SRVRecord) bool {
	return slices.ContainsFunc(records, func(x audit.SRVRecord) bool { return !x.IsNone() })
}

// namedPrefers465 judges a server that the user named, which was tried on both
// ports.
func namedPrefers465(s *audit.Snapshot, r *Report, h audit.Host) {
	subject := h.Name.String()
	var first, clear []audit.Obs[audit.Nothing]
	for _, e := range doors(s, r, h) {
		if e.Port == audit.PortSubmissions {
			first = append(first, e.Connect)
		} else {
			clear = append(clear, e.Connect)
		}
	}
	open := Gather(clear...)
	_, listens, ok := AnyOf(r, subject, first...)
	switch {
	case !ok:
	case listens:
		r.Pass(subject, "something listens on port 465")
	case !open.Complete(r, subject):
	case len(open.Values) == 0:
		r.NA(subject, "nothing listens on port 587 either")
	default:
		r.Fail(subject, Fault{
			Detail:   subject + " takes mail on port 587 and refuses connections on port 465",
			Evidence: []string{Seen(first[0].Via, "connection refused, twice")},
			Fix: audit.Fix{Summary: "offer port 465 as well", Steps: []string{
				"let the server listen on port 465 with TLS from the first byte (Postfix: submissions in master.cf)",
			}},
		})
	}
}

func judgeMailBeforeTLS(s *audit.Snapshot, r *Report) {
	endpoints(s, r, func(e audit.Endpoint) {
		switch {
		case !submission(e):
			r.NA(e.Subject(), "other mail servers hand mail over here, in clear text where they have to")
			return
		case e.Mode == audit.ModeTLS:
			r.NA(e.Subject(), "everything is under TLS there")
			return
		case e.Mail.State == audit.NotTried:
			r.NA(e.Subject(), "not tested: only --try-mail does")
			return
		}
		_, accepted, ok := Need(r, e.Subject(), e.Mail)
		switch {
		case !ok:
		case !accepted:
			r.Pass(e.Subject(), "MAIL before STARTTLS is refused", Seen(e.Mail.Via, e.Mail.Why.Text))
		default:
			r.Fail(e.Subject(), Fault{
				Detail:   "a message can be begun before STARTTLS",
				Evidence: []string{Seen(e.Mail.Via, "MAIL FROM:<> was accepted")},
				Fix: audit.Fix{Summary: "require TLS on the submission port", Steps: []string{
					"Postfix: -o smtpd_tls_security_level=encrypt for submission in master.cf",
					"Exim: require encryption for the port in acl_smtp_mail (encrypted = *)",
				}},
			})
		}
	})
}

// otherDoor says what a refused port of a submission server means that the
// user named without a port, and that nothing in DNS names with this one: it
// is no fault to have only one of the two. False: it means what it always does.
func otherDoor(s *audit.Snapshot, r *Report, refused audit.Endpoint) bool {
	_, submits := audit.SubmissionMode(refused.Port)
	if !submits || oneServer(s) || publishes(s, refused.Host, refused.Port) {
		return false
	}
	var others []audit.Obs[audit.Nothing]
	for _, e := range doors(s, r, audit.Host{Name: refused.Host}) {
		if e.Port != refused.Port {
			others = append(others, e.Connect)
		}
	}
	_, open, ok := AnyOf(r, refused.Subject(), others...)
	if !ok || !open {
		return !ok
	}
	for _, service := range s.Facts.Submission.Services(s.Domain) {
		if service.Records.State == audit.Unknown { // what is not known may name this port
			Need(r, refused.Subject(), service.Records)
			return true
		}
	}
	r.NA(refused.Subject(), "nothing listens there; mail is handed in on the other port of submission")
	return true
}

// certifiesDomain says whether the certificate of a submission server is valid
// for the domain whose SRV records name it: RFC 6186 section 6 has mail programs
// accept that as well as the name of the server. present as in Need.
func certifiesDomain(s *audit.Snapshot, r *Report, e audit.Endpoint, c audit.Certificate) (present, ok bool) {
	service := audit.Service{}
	for _, x := range s.Facts.Submission.Services(s.Domain) {
		if x.Port == e.Port {
			service = x
		}
	}
	if service.Port == 0 || oneServer(s) {
		return false, true
	}
	domain, label := s.Domain.String(), strings.TrimSuffix(service.Name.String(), "._tcp."+s.Domain.String())
	covers := slices.ContainsFunc(c.Names, func(n audit.Raw) bool { return namesHost(n, domain) }) ||
		slices.ContainsFunc(c.Services, func(n audit.Raw) bool { return strings.EqualFold(string(n), label+"."+domain) })
	switch {
	case covers:
	case c.NameCount > len(c.Names) && publishes(s, e.Host, e.Port):
		r.Unknown(e.Subject(), audit.Reason{Code: audit.NotLearned, Text: "the certificate has more names than are kept, and one of them may be that of the domain"})
		return false, false
	default:
		return false, true
	}
	_, _, known := Need(r, e.Subject(), service.Records)
	return publishes(s, e.Host, e.Port), known
}

// namesHost reports whether a DNS name of a certificate stands for a host
// (RFC 9525 section 6.3): letter case does not count, and a star is one label.
func namesHost(name audit.Raw, host string) bool {
	tail, wild := strings.CutPrefix(string(name), "*.")
	if wild {
		_, host, _ = strings.Cut(host, ".")
	}
	return strings.EqualFold(tail, host)
}
