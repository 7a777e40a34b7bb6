package audit

import (
	"net/netip"
	"time"
)

// Sidecar is what a run saw that changes by itself: times, TTLs, answering
// servers, transcripts. The store keeps it for the newest run and for runs
// that changed something; no finding depends on it.
type Sidecar struct {
	Queries  []Query   `json:"queries,omitempty"`
	Sessions []Session `json:"sessions,omitempty"`
	Traffic  Traffic   `json:"traffic"`
	// SeenAs are the addresses that servers say we came from, those that most
	// say in front, at most MaxSeenAs. Behind NAT, and through a proxy, nobody
	// else tells us.
	SeenAs []SeenAs `json:"seen_as,omitempty"`
}

// SeenAs is an address that servers say we came from.
type SeenAs struct {
	Addr    netip.Addr `json:"addr"`
	Servers int        `json:"servers"` // by address
}

// MaxSeenAs bounds the addresses that we are told: one for each family is what
// there is, and servers may say what they like.
const MaxSeenAs = 4

// Traffic counts what a run did to others.
type Traffic struct {
	Questions   int `json:"questions"` // DNS questions, memo hits not counted
	Connections int `json:"connections"`
	Hosts       int `json:"hosts"`
	Addresses   int `json:"addresses"`
	// Shared is how many servers, each at an address and a port, were looked at
	// for another run that was made at the same time, and not once more.
	Shared int `json:"shared,omitempty"`
}

// Query is one DNS question and every try to have it answered.
type Query struct {
	Name  DNSName `json:"name"`
	Type  string  `json:"type"`
	Tries []Try   `json:"tries"`
	TTL   uint32  `json:"ttl,omitempty"` // seconds; the smallest of the answer
}

// Try is one question to one server.
type Try struct {
	Server  string        `json:"server"`
	Net     string        `json:"net"`     // "udp", "tcp", "tls" or "https"
	Outcome string        `json:"outcome"` // RCODE or reason code
	Elapsed time.Duration `json:"elapsed_ns"`
	Text    Raw           `json:"text,omitempty"` // extended DNS errors (RFC 8914) and the like
}

// Session is one TCP connection to one SMTP server.
type Session struct {
	Endpoint string `json:"endpoint"` // the subject
	N        int    `json:"n"`        // 1 for the first connection to this endpoint
	// Purpose is empty for the dialogue that the facts follow, and a second look
	// at it. Else it says what the connection was for.
	Purpose Purpose `json:"purpose,omitempty"`
	// Attempted is false when we ourselves kept the connection from being tried.
	Attempted bool      `json:"attempted,omitempty"`
	Started   time.Time `json:"started"`
	Lines     []Line    `json:"lines"`
	// SeenAs is the address that the server says we came from, in its reply to
	// EHLO; zero when it does not say.
	SeenAs netip.Addr `json:"seen_as,omitzero"`
	// Outcome says how the session ended, in a word or a sentence.
	Outcome string `json:"outcome,omitempty"`
	// Times of the steps that were taken, from the step before.
	Connect  time.Duration `json:"connect_ns,omitempty"`
	Greeting time.Duration `json:"greeting_ns,omitempty"`
	EHLO     time.Duration `json:"ehlo_ns,omitempty"`
	StartTLS time.Duration `json:"starttls_ns,omitempty"`
	TLS      time.Duration `json:"tls_ns,omitempty"`
	EHLOTLS  time.Duration `json:"ehlo_tls_ns,omitempty"`
}

// Purpose is what a connection beside the main dialogue was for.
type Purpose string

// The purposes.
const (
	PurposeOldTLS Purpose = "old-tls" // a handshake that offers no more than TLS 1.1
)

// Line is one line of a transcript.
type Line struct {
	At   time.Duration `json:"at_ns"` // since the start of the session
	From string        `json:"from"`  // "C" client, "S" server, "*" a remark of ours
	Text Raw           `json:"text"`
}
