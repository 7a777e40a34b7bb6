package audit

import (
	"cmp"
	"slices"
	"strings"
)

// Submission is where a domain says, in DNS, that its people hand in mail
// (RFC 6186 section 3.1, RFC 8314 section 5.1). Mail programs that are given no
// more than a mail address may ask for it.
type Submission struct {
	// STARTTLS are the records of _submission._tcp: TLS comes with STARTTLS.
	// TLS are those of _submissions._tcp: TLS comes first. Absent: there are
	// none. At most MaxSRV are kept.
	STARTTLS Obs[[]SRVRecord] `json:"starttls,omitzero"`
	TLS      Obs[[]SRVRecord] `json:"tls,omitzero"`
}

// MaxSRV bounds the SRV records of one name that are kept; of more, those that
// come first. The largest providers publish two.
const MaxSRV = 20

// SRVRecord is one SRV record (RFC 2782).
type SRVRecord struct {
	Priority uint16  `json:"priority"` // lower is tried first
	Weight   uint16  `json:"weight"`   // the share among those of one priority
	Port     uint16  `json:"port"`
	Target   DNSName `json:"target"`
}

// IsNone reports whether this is the record that says that the service is not
// offered: "." as the target (RFC 2782).
func (r SRVRecord) IsNone() bool { return r.Target == "." }

// The ports of submission (RFC 8314 section 7.3, RFC 6409 section 3.1), and no
// others: what SRV records name beside them is not connected to. Whoever may
// publish a record must not make us knock on any door he likes.
const (
	PortSubmission  = 587 // STARTTLS
	PortSubmissions = 465 // TLS from the first byte
)

// SubmissionMode is the mode of a port of submission.
func SubmissionMode(port uint16) (Mode, bool) {
	switch port {
	case PortSubmission:
		return ModeSTARTTLS, true
	case PortSubmissions:
		return ModeTLS, true
	}
	return "", false
}

// Service is one of the two services of submission.
type Service struct {
	Name    DNSName // "_submission._tcp.example.org"
	Port    uint16  // that belongs to it
	Records Obs[[]SRVRecord]
}

// Services are both services of a domain.
func (s Submission) Services(d Domain) []Service {
	return []Service{
		{SubmissionName(d, PortSubmission), PortSubmission, s.STARTTLS},
		{SubmissionName(d, PortSubmissions), PortSubmissions, s.TLS},
	}
}

// SubmissionServer is a host that SRV records name.
type SubmissionServer struct {
	Host  DNSName
	Ports []uint16 // that may be connected to; none where all are others
}

// Servers are the hosts of both services, those that clients try first in
// front.
func (s Submission) Servers(d Domain) []SubmissionServer {
	var records []SRVRecord
	for _, service := range s.Services(d) {
		records = append(records, service.Records.Value...)
	}
	slices.SortStableFunc(records, CompareSRV)
	var out []SubmissionServer
	for _, r := range records {
		if r.IsNone() {
			continue
		}
		i := slices.IndexFunc(out, func(have SubmissionServer) bool { return have.Host == r.Target })
		if i < 0 {
			i = len(out)
			out = append(out, SubmissionServer{Host: r.Target})
		}
		_, usual := SubmissionMode(r.Port)
		if usual && !slices.Contains(out[i].Ports, r.Port) {
			out[i].Ports = append(out[i].Ports, r.Port)
		}
	}
	return out
}

// SubmissionName is the name of the SRV records for a port of submission.
func SubmissionName(d Domain, port uint16) DNSName {
	label := "_submission"
	if port == PortSubmissions {
		label = "_submissions"
	}
	return NewDNSName(label + "._tcp." + d.String())
}

// looked reports whether a run looked for submission servers in DNS.
func (s Submission) looked() bool { return s.STARTTLS.State != NotTried || s.TLS.State != NotTried }

// CompareSRV orders records as clients try them (RFC 2782), as far as that is
// not left to chance.
func CompareSRV(a, b SRVRecord) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight),
		cmp.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port))
}

func sortSRV(o *Obs[[]SRVRecord]) {
	o.Value = slices.Compact(slices.SortedFunc(slices.Values(o.Value), CompareSRV))
	if len(o.Value) == 0 {
		o.Value = nil
	}
}

// onlyOneLooked is true for submission servers of which only one of two runs
// knew: it looked for them in DNS, as programs of an earlier version did not, or
// was told of them (--submission).
func onlyOneLooked(key Key, old, now Snapshot) bool {
	if key.Rule == "auth.mail-before-tls" && old.Scope.TryMail != now.Scope.TryMail {
		return true
	}
	host := key.Subject
	server, isServer := endpointAddr(key.Subject)
	switch _, submits := SubmissionMode(server.Port()); {
	case isServer && submits:
		host = key.Subject[:strings.LastIndexByte(key.Subject, '[')]
	case isServer || key.Rule.Area() != AreaAUTH:
		return false // beside servers, rules of logins speak of nothing but submission
	}
	wasNamed, isNamed := old.named(host), now.named(host)
	switch {
	case wasNamed && isNamed:
		return false
	case wasNamed != isNamed && !old.publishes(host) && !now.publishes(host):
		return true
	}
	return old.Facts.Submission.looked() != now.Facts.Submission.looked()
}

// named reports whether the user named a submission server.
func (s Snapshot) named(host string) bool {
	return slices.ContainsFunc(s.Scope.Submission, func(n DNSName) bool { return n.String() == host })
}

// publishes reports whether SRV records name a submission server.
func (s Snapshot) publishes(host string) bool {
	return slices.ContainsFunc(s.Facts.Submission.Servers(s.Domain), func(x SubmissionServer) bool { return x.Host.String() == host })
}

// unseenSubmission reports whether a subject that is missing from the facts may
// be one that the records of submission name, which could not be seen.
func (f Facts) unseenSubmission(subject string) bool {
	if f.Submission.STARTTLS.State != Unknown && f.Submission.TLS.State != Unknown {
		return false
	}
	server, isServer := endpointAddr(subject)
	_, submits := SubmissionMode(server.Port())
	return submits || !isServer
}
