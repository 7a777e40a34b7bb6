package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// FactsFormat is the version of the JSON form of Facts. It is stored with
// every run and raised when a field changes its meaning.
const FactsFormat = 1

// Facts are the observations of one run in canonical form (see Canonical).
type Facts struct {
	MX       MX          `json:"mx,omitzero"`
	Hosts    []Host      `json:"hosts,omitempty"` // by name
	SPF      SPF         `json:"spf,omitzero"`
	DKIM     []DKIM      `json:"dkim,omitempty"` // by selector
	DMARC    DMARC       `json:"dmarc,omitzero"`
	RDNS     []Reverse   `json:"rdns,omitempty"`     // by address
	Lists    []BlockList `json:"lists,omitempty"`    // by zone
	Listings []Listing   `json:"listings,omitempty"` // by subject, zone
	SMTP     []Endpoint  `json:"smtp,omitempty"`     // by host, address, port
	// Submission are the records that name submission servers.
	Submission Submission `json:"submission,omitzero"`
	Egress     []Egress   `json:"egress,omitempty"` // by family, port
	// Names are where the names lead that servers give for themselves, by name.
	Names []ServerName `json:"names,omitempty"`
}

// Snapshot is everything that rules may look at.
type Snapshot struct {
	Domain  Domain    `json:"domain"`
	At      time.Time `json:"at"` // when the run started, UTC
	Scope   Scope     `json:"scope"`
	Vantage Vantage   `json:"vantage"`
	Past    Past      `json:"past,omitzero"`
	Facts   Facts     `json:"facts"`
}

// MX is what the domain publishes about the way its mail goes
// (RFC 5321 section 5.1).
type MX struct {
	// Exists: Absent is NXDOMAIN (RFC 8020).
	Exists Obs[Nothing] `json:"exists,omitzero"`
	// Alias is the chain of CNAME targets from the domain itself, which is
	// legal for an owner name. Absent: the domain is no alias.
	Alias Obs[[]DNSName] `json:"alias,omitzero"`
	// Records is the MX RRset, by preference and host. Absent: there is none,
	// and mail goes to the address of the domain (the implicit MX).
	Records Obs[[]MXRecord] `json:"records,omitzero"`
}

// MXRecord is one MX record (RFC 1035 section 3.3.9).
type MXRecord struct {
	Preference uint16  `json:"preference"` // lower is tried first
	Host       DNSName `json:"host"`
}

// IsNull reports whether this is the record of RFC 7505: "." as the host.
func (m MXRecord) IsNull() bool { return m.Host == "." }

// Role says why a host or an address is being looked at.
type Role string

// The roles.
const (
	RoleMX       Role = "mx"       // named by an MX record
	RoleImplicit Role = "implicit" // the domain itself, for want of MX records
	RoleSender   Role = "sender"   // named by --sending-ip
	RoleNamed    Role = "named"    // named on the command line
	// RoleSubmission: named by an SRV record or by --submission, and by nothing
	// else. A host that takes mail as well keeps the role that it has there.
	RoleSubmission Role = "submission"
)

// Host is a name that mail for the domain may be handed to.
type Host struct {
	Name DNSName `json:"name"`
	Role Role    `json:"role"`
	// Alias is the chain of CNAME targets. Absent: the name is no alias.
	Alias Obs[[]DNSName]    `json:"alias,omitzero"`
	A     Obs[[]netip.Addr] `json:"a,omitzero"`    // sorted
	AAAA  Obs[[]netip.Addr] `json:"aaaa,omitzero"` // sorted
	// ALeftOut and AAAALeftOut count the addresses that are not in A and AAAA,
	// because there are more of them than a run follows (see MaxFollowed).
	ALeftOut    int `json:"a_left_out,omitempty"`
	AAAALeftOut int `json:"aaaa_left_out,omitempty"`
}

// MaxFollowed bounds the addresses of one family of one name that are kept and
// looked at: the lowest, so that they are the same every night. Whoever answers
// with thousands does not make us ask a thousand strangers. The largest mail
// providers publish fewer than ten for a host.
const MaxFollowed = 32

// Reverse is the reverse DNS of one address.
type Reverse struct {
	Addr netip.Addr `json:"addr"`
	Role Role       `json:"role"` // the strongest: sender before mx
	// Alias is the chain of CNAME targets of the reverse name, as RFC 2317
	// delegates small blocks. Absent: it is no alias.
	Alias Obs[[]DNSName] `json:"alias,omitzero"`
	// PTR is the set of names, sorted. Absent: there is none.
	PTR Obs[[]DNSName] `json:"ptr,omitzero"`
	// Forward are the addresses of each PTR name, in the family of Addr, by
	// name; at most MaxForward names are asked.
	Forward []Forward `json:"forward,omitempty"`
}

// MaxForward bounds the PTR names that are followed. RFC 7208 section 4.6.4
// sets the same limit for its ptr mechanism.
const MaxForward = 10

// Forward is where one PTR name leads.
type Forward struct {
	Name DNSName `json:"name"`
	// Addrs is sorted, and at most MaxFollowed. The address that the name was
	// found at is among them if it is one of all.
	Addrs   Obs[[]netip.Addr] `json:"addrs,omitzero"`
	LeftOut int               `json:"left_out,omitempty"` // how many more there are
}

// Endpoint is one SMTP server address as it answered from here. Its fields
// follow the dialogue of ModeSTARTTLS (in ModeTLS the handshake comes before
// the greeting, and HelloTLS is the only EHLO); what comes after a step that failed is NotTried
// (not-applicable) when the failure is the server's, and Unknown when it is
// not known.
type Endpoint struct {
	Host DNSName    `json:"host"`
	Addr netip.Addr `json:"addr"`
	Port uint16     `json:"port"`
	// Mode is how TLS was to come in. Empty: ModeSTARTTLS.
	Mode Mode `json:"mode,omitempty"`
	// Connect: Absent is "connection refused", twice.
	Connect Obs[Nothing] `json:"connect,omitzero"`
	// Greeting is the first reply, whatever its code.
	Greeting Obs[Greeting] `json:"greeting,omitzero"`
	// Hello is the reply to EHLO. Absent: the server does not know the command
	// and said so on two connections.
	Hello Obs[Hello] `json:"hello,omitzero"`
	// Helo is the reply to HELO, asked only where EHLO was refused.
	Helo Obs[Hello] `json:"helo,omitzero"`
	// Mail is the reply to MAIL before STARTTLS, asked with --try-mail alone.
	// Seen: a message may be begun in clear text. Absent: not so (530).
	Mail Obs[Nothing] `json:"mail,omitzero"`
	// StartTLS: Seen is "in the EHLO reply"; Absent is "not offered", twice.
	StartTLS Obs[Nothing] `json:"starttls,omitzero"`
	// TLS is the finished handshake. Absent: declined or broken, twice.
	TLS Obs[TLS] `json:"tls,omitzero"`
	// HelloTLS is the reply to EHLO inside TLS.
	HelloTLS Obs[Hello] `json:"hello_tls,omitzero"`
	// Replies is how the replies were formed that came, the greeting at least.
	Replies Obs[Replies] `json:"replies,omitzero"`
	// Refusal is the reply with which a command was refused. Not tried: none
	// was, or this run did not note it.
	Refusal Obs[Refusal] `json:"refusal,omitzero"`
	// Pace is how quickly commands were replied to.
	Pace Obs[Pace] `json:"pace,omitzero"`
	// StartTLSSteady: Seen is "every connection was granted STARTTLS", of two at
	// least. Absent: one was, and another was offered none, or was declined it.
	StartTLSSteady Obs[Nothing] `json:"starttls_steady,omitzero"`
	// LargeHello: Seen is "a ClientHello with post-quantum key shares, which is
	// larger than a packet, was answered". Absent: two such failed, and a smaller
	// one between them did not.
	LargeHello Obs[Nothing] `json:"large_hello,omitzero"`
	// OldTLS is the handshake of a connection of its own that offers no more
	// than TLS 1.1. Absent: TLS 1.1 and 1.0 are refused, by the alert for it or
	// twice in another way.
	OldTLS Obs[OldTLS] `json:"old_tls,omitzero"`
}

// Mode is the way a connection is protected.
type Mode string

// The modes.
const (
	ModeSTARTTLS Mode = "starttls" // clear text first, then STARTTLS where it is offered (RFC 3207)
	ModePlain    Mode = "plain"    // clear text; STARTTLS is noted and not used
	ModeTLS      Mode = "tls"      // TLS from the first byte (RFC 8314 section 3.3)
)

// Subject is the stable name of the endpoint: "host[address]:port".
func (e Endpoint) Subject() string { return EndpointSubject(e.Host, e.Addr, e.Port) }

// EndpointSubject is the subject of findings about one SMTP endpoint.
func EndpointSubject(host DNSName, addr netip.Addr, port uint16) string {
	return fmt.Sprintf("%s[%s]:%d", host, addr, port)
}

// Greeting is the whole first reply of a server (RFC 5321 section 4.2).
type Greeting struct {
	Code  int    `json:"code"`
	Name  Raw    `json:"name,omitempty"` // the first word: the server's name for itself
	Lines []Raw  `json:"lines"`          // the text of each line in stable form, see Stabilizer
	Delay Bucket `json:"delay"`          // from the connection (or its handshake, in ModeTLS) to the end of the greeting
	// Twice: a second connection was greeted with the same 5xx. (Of 521 that is
	// said by the steps behind it.)
	Twice bool `json:"twice,omitempty"`
}

// Bucket is a duration made coarse enough not to change by itself.
type Bucket string

// The buckets of greeting delays. RFC 5321 section 4.5.3.2.1 tells clients to
// wait five minutes; many give up after two or less.
const (
	Prompt   Bucket = "prompt"    // up to 5 s
	Paused   Bucket = "over-5s"   // a deliberate pause, as postscreen makes
	Slow     Bucket = "over-30s"  // some senders give up
	VerySlow Bucket = "over-2min" // many do
)

// DelayBucket is the bucket of a delay.
func DelayBucket(d time.Duration) Bucket {
	switch {
	case d > 2*time.Minute:
		return VerySlow
	case d > 30*time.Second:
		return Slow
	case d > 5*time.Second:
		return Paused
	}
	return Prompt
}

// Hello is a reply to EHLO or HELO (RFC 5321 section 4.1.1.1).
type Hello struct {
	Name     Raw       `json:"name,omitempty"` // the first word of the first line
	Text     Raw       `json:"text,omitempty"` // the rest of it, in stable form
	Keywords []Keyword `json:"keywords,omitempty"`
	// Order is the names of Keywords as the server lists them, which is a habit
	// of its family. Empty in facts that are older than this field.
	Order []string `json:"order,omitempty"`
}

// Keyword is one service extension: an EHLO line, by name.
type Keyword struct {
	Name   string `json:"name"` // upper case; printable ASCII
	Params Raw    `json:"params,omitempty"`
}

// Keyword returns the parameters of an extension and whether it is listed.
func (h Hello) Keyword(name string) (Raw, bool) {
	for _, k := range h.Keywords {
		if k.Name == name {
			return k.Params, true
		}
	}
	return "", false
}

// TLS is a finished handshake.
type TLS struct {
	Version string `json:"version"`         // "TLS 1.3"
	Cipher  string `json:"cipher"`          // IANA name
	Group   string `json:"group,omitempty"` // key exchange; empty when it was RSA
	// Chain is the certificates as sent, the server's first, at most MaxChain.
	Chain    []Certificate `json:"chain"`
	ChainLen int           `json:"chain_len"` // how many were sent
	// Trust: Seen is "leads to a root of the system", at a moment at which the
	// server's certificate is in date, so that trust and dates stay two
	// questions. Absent: it does not.
	Trust Obs[Nothing] `json:"trust,omitzero"`
	// NameMatch: Seen is "the certificate names the host" by RFC 9525
	// (subjectAltName only). Absent: it does not.
	NameMatch Obs[Nothing] `json:"name_match,omitzero"`
	// Tickets: Seen is "a ticket to resume the session came" (RFC 8446 4.6.1,
	// RFC 5077) before the reply to EHLO inside TLS. Absent: none did.
	Tickets Obs[Nothing] `json:"tickets,omitzero"`
	// MasterSecret: Seen is "the extended master secret is in use" (RFC 7627).
	// In TLS 1.3 the question has no meaning.
	MasterSecret Obs[Nothing] `json:"extended_master_secret,omitzero"`
	// Stapled: Seen is "the server sent an OCSP response along" (RFC 6066 8).
	Stapled Obs[Nothing] `json:"ocsp_stapled,omitzero"`
	// SCTs: Seen is "timestamps of public logs came along" (RFC 6962 3.3), in the
	// certificate or beside it: what public authorities issue has them.
	SCTs Obs[Nothing] `json:"scts,omitzero"`
}

// OldTLS is a finished handshake of a version that RFC 8996 deprecates.
type OldTLS struct {
	Version string `json:"version"` // "TLS 1.1" or "TLS 1.0"
	Cipher  string `json:"cipher"`  // IANA name
}

// Limits of what is kept of a certificate chain; probing strangers, anything
// may be sent.
const (
	MaxChain = 10 // certificates
	MaxNames = 20 // subjectAltName entries of one certificate
	MaxKeyID = 64 // hex digits of the name of a key; RFC 5280 makes them of SHA-1
)

// Certificate is what matters of an X.509 certificate (RFC 5280). It is our
// own struct so that rules need no crypto/x509.
type Certificate struct {
	Subject   Raw       `json:"subject"`
	Issuer    Raw       `json:"issuer"`
	Names     []Raw     `json:"names,omitempty"` // DNS names and addresses of subjectAltName, sorted
	NameCount int       `json:"name_count"`
	Services  []Raw     `json:"services,omitempty"` // SRV names of subjectAltName (RFC 4985): "_submission.example.org"; sorted, at most MaxNames
	NotBefore time.Time `json:"not_before"`         // UTC
	NotAfter  time.Time `json:"not_after"`          // UTC
	KeyType   string    `json:"key_type"`           // "RSA", "ECDSA", "Ed25519"
	KeyBits   int       `json:"key_bits"`
	Signature string    `json:"signature"`             // "SHA256-RSA"
	SHA256    string    `json:"sha256"`                // of the DER, hex
	SPKI      string    `json:"spki"`                  // SHA-256 of the public key info, hex
	SelfIssue bool      `json:"self_issued,omitempty"` // issuer equals subject
	// KeyID and IssuerKeyID are the names of keys (RFC 5280 4.2.1.1, 4.2.1.2) in
	// hex, at most MaxKeyID digits; empty where there are none.
	KeyID       string `json:"key_id,omitempty"`
	IssuerKeyID string `json:"issuer_key_id,omitempty"`
}

// Enumerated reports whether the run could tell if the subject of a finding
// still exists: a host or an address that is missing from the facts of a run
// that could not see the MX records has not vanished.
func (f Facts) Enumerated(subject string) bool {
	records := f.MX.Records
	if records.State == Unknown || records.State == NotTried && records.Why.Code != NotApplicable {
		return false
	}
	if f.unseenSubmission(subject) {
		return false
	}
	text, _, _ := strings.Cut(subject, " @ ") // an address on a block list
	_, notAddr := netip.ParseAddr(text)
	for _, h := range f.Hosts {
		mine := notAddr == nil || strings.HasPrefix(subject, string(h.Name)+"[")
		if mine && (h.A.State == Unknown || h.AAAA.State == Unknown || h.ALeftOut+h.AAAALeftOut > 0) {
			return false
		}
	}
	return true
}

// enumerates is Enumerated for the subject of a rule: those of SPF may be names
// that other records lead to.
func (f Facts) enumerates(key Key) bool {
	unknown := func(b SPFBelow) bool { return !b.Records.State.settled() }
	blind := key.Rule.Area() == AreaSPF && (!f.SPF.Records.State.settled() || slices.ContainsFunc(f.SPF.Below, unknown))
	return !blind && f.Enumerated(key.Subject)
}

// ReverseName is the name of the PTR record of an address (RFC 1035 section
// 3.5, RFC 3596 section 2.5).
func ReverseName(addr netip.Addr) DNSName {
	addr = addr.Unmap()
	var b strings.Builder
	if addr.Is4() {
		for _, octet := range slices.Backward(addr.AsSlice()) {
			fmt.Fprintf(&b, "%d.", octet)
		}
		return DNSName(b.String() + "in-addr.arpa")
	}
	for _, octet := range slices.Backward(addr.AsSlice()) {
		fmt.Fprintf(&b, "%x.%x.", octet&0xf, octet>>4)
	}
	return DNSName(b.String() + "ip6.arpa")
}
