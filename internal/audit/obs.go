package audit

// State says what came of trying to observe something.
type State string

// The four states. The zero State is NotTried on purpose: a field that a
// collector forgot to fill in is "not tried", never "fine".
const (
	NotTried State = ""
	Seen     State = "seen"
	Absent   State = "absent"  // an authoritative "there is none", or a refusal observed twice
	Unknown  State = "unknown" // we could not tell; Why says why
)

// settled reports whether the question has its answer.
func (s State) settled() bool { return s == Seen || s == Absent }

// Code is a machine-readable reason. Codes are part of the JSON contract:
// they are added, never renamed.
type Code string

// Reasons for NotTried.
const (
	NotApplicable Code = "not-applicable" // the question has no meaning here
	NotAsked      Code = "not-asked"      // outside the scope or the limits of this run
)

// Reasons for Absent.
const (
	NoData      Code = "nodata"          // the name exists and has no such record (RFC 2308 2.2)
	NXDomain    Code = "nxdomain"        // the name does not exist (RFC 8020)
	ConnRefused Code = "conn-refused"    // RST to our SYN, twice
	NotOffered  Code = "not-offered"     // not in the EHLO reply, twice
	Declined    Code = "declined"        // the server answered 5xx to the command, twice
	BrokenOffer Code = "broken"          // it was offered and then failed, twice
	OldRefused  Code = "version-refused" // TLS 1.1 and 1.0: by the alert for it, or cut off twice
	Varies      Code = "varies"          // some connections are offered it, others are not
	SelfSigned  Code = "self-signed"     // the server's certificate is its own issuer
	UnknownRoot Code = "unknown-root"    // the chain ends in a root that is not trusted here
	Incomplete  Code = "incomplete"      // the chain stops before a root: an issuer was not sent
	Untrusted   Code = "untrusted"       // the chain leads to a root and breaks a rule on the way
	OtherName   Code = "other-name"      // the certificate names other hosts, or none
	Revoked     Code = "revoked"         // a DKIM key that was withdrawn (RFC 6376 3.6.1)
)

// Reasons for Unknown.
const (
	Timeout      Code = "timeout"          // no answer in time
	NoAnswer     Code = "no-answer"        // two connections came to nothing: silence, or a router that says "unreachable"
	NoGreeting   Code = "no-greeting"      // connected, and not a word came in time
	ServFail     Code = "servfail"         // RCODE 2
	DNSRefused   Code = "refused"          // RCODE 5: the server does not want to answer us
	FormErr      Code = "formerr"          // RCODE 1, also without EDNS
	DNSError     Code = "dns-error"        // any other RCODE
	Truncated    Code = "truncated"        // TC over UDP and TCP did not work
	Malformed    Code = "malformed"        // an answer that does not parse or contradicts itself
	CNAMELoop    Code = "cname-loop"       // aliases that lead nowhere within ten links
	Unreachable  Code = "unreachable"      // EHOSTUNREACH: some router said no
	NoRoute      Code = "no-route"         // ENETUNREACH, EADDRNOTAVAIL: no way out from here, e.g. no IPv6
	LocalPolicy  Code = "local-policy"     // EPERM, EACCES: our own firewall
	Reset        Code = "reset"            // RST in the middle of the conversation
	Closed       Code = "closed"           // FIN in the middle of the conversation
	NotSMTP      Code = "not-smtp"         // something answered that does not speak SMTP
	TLSOnly      Code = "tls-only"         // clear text met a port that is TLS from the first byte
	ClearText    Code = "clear-text"       // TLS from the first byte met a server that greets in clear
	Oversized    Code = "oversized"        // more than we read from a stranger
	OutOfStep    Code = "out-of-step"      // replies that belong to no command
	TempFail     Code = "temporary"        // a 4xx reply
	RefusedUs    Code = "refused-us"       // a 5xx that may well be about our address, not about them
	Once         Code = "seen-once"        // negative, and not yet confirmed by a second look
	Disagree     Code = "disagree"         // two looks, two answers
	Blocked      Code = "blocked-address"  // the address guard does not let us go there
	Budget       Code = "budget"           // our own limit of connections or questions is used up
	ProxyFailed  Code = "proxy"            // our proxy did not let us through
	EgressBlock  Code = "egress-blocked"   // our own network does not let us out
	Intercepted  Code = "intercepted"      // something between us and the servers answers in their place, or rewrites what they say
	Deadline     Code = "deadline"         // the time of this audit ran out
	Interrupted  Code = "interrupted"      // the user stopped the run
	Bug          Code = "bug"              // a rule or collector failed; always our fault
	Filtered     Code = "filtered"         // the resolver says that it answered in place of the domain
	ResolverDown Code = "resolver-down"    // none of our resolvers answers anything
	LocalError   Code = "local-error"      // our own system failed: no sockets, no memory
	NotLearned   Code = "not-learned"      // what this question depends on is itself unknown
	TLSStall     Code = "tls-stall"        // the handshake did not finish in time
	TLSProtocol  Code = "tls-protocol"     // the handshake ended in an alert or in garbage
	CertParse    Code = "certificate-form" // the certificate cannot be parsed here

	// What a 4xx or 5xx reply says of its cause, where it says so (rules.Classifier).
	Busy            Code = "busy"            // the server has no room at the moment: about them, and temporary
	RateLimited     Code = "rate-limited"    // we connect too often, or too many at a time
	Greylisted      Code = "greylisted"      // strangers are put off for some minutes
	Reputation      Code = "reputation"      // our address is on a block list, or has no good name
	OurNetwork      Code = "our-network"     // the network that we come from is refused: dynamic, or of a country
	NeedsAllowList  Code = "allow-list"      // only addresses on their list are let in
	OurReverse      Code = "our-reverse-dns" // the reverse DNS of our address is missing, or does not lead back
	OurHELO         Code = "our-helo"        // the name that we give in EHLO is not liked
	PolicyRefusal   Code = "policy"          // some rule of theirs, without more words
	NeedsTLS        Code = "tls-required"    // nothing is said to us in clear
	Unauthenticated Code = "unauthenticated" // SPF, DKIM or DMARC of a message does not pass
	ContentRefused  Code = "content"         // a message looks like spam
	NoSuchUser      Code = "no-such-user"    // a recipient is not known there
	ListMisread     Code = "list-misread"    // the server takes an error of its block list for a listing: about them

	ListError     Code = "list-error"     // the block list answers with an error code: it does not serve us
	ListUnhealthy Code = "list-unhealthy" // the block list fails its own test (also why BlockList.Health is Absent)
	ListAnswer    Code = "list-answer"    // an answer that no block list gives, or a code that it does not document
)

// Reason is why an observation has the state that it has. Text is one
// sentence for people, without elapsed times or answering servers that vary
// from run to run, because it is part of the canonical facts.
type Reason struct {
	Code Code   `json:"code,omitempty"`
	Text string `json:"text,omitempty"`
}

// Obs is one observation. Rules read Value only through rules.Need, which
// cannot forget the other states; collectors write it with the constructors
// below.
type Obs[T any] struct {
	State State  `json:"state,omitempty"`
	Value T      `json:"value,omitzero"`
	Why   Reason `json:"why,omitzero"`
	// Via is the question, replayable by hand: "dig -t TXT -q _dmarc.example.org".
	// Empty when there is no one command that asks it.
	Via string `json:"via,omitempty"`
}

// Nothing is the value of an observation whose state says it all.
type Nothing struct{}

// See is an observation of v.
func See[T any](v T, via string) Obs[T] {
	return Obs[T]{State: Seen, Value: v, Via: via}
}

// None is an authoritative "there is none".
func None[T any](code Code, text, via string) Obs[T] {
	return Obs[T]{State: Absent, Why: Reason{code, text}, Via: via}
}

// Dark is an observation that could not be made.
func Dark[T any](why Reason, via string) Obs[T] {
	return Obs[T]{State: Unknown, Why: why, Via: via}
}

// NA is a question that has no meaning here.
func NA[T any](text string) Obs[T] {
	return Obs[T]{Why: Reason{NotApplicable, text}}
}

// Skipped is a question that this run did not ask.
func Skipped[T any](text string) Obs[T] {
	return Obs[T]{Why: Reason{NotAsked, text}}
}

// Known reports whether the observation settles its question, one way or the
// other.
func (o Obs[T]) Known() bool { return o.State == Seen || o.State == Absent }
