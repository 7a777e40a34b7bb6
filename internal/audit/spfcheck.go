package audit

import "net/netip"

// SPFResult is a result of check_host (RFC 7208 section 2.6).
type SPFResult string

// The seven results.
const (
	SPFNone      SPFResult = "none"      // no record, or no domain that could have one
	SPFNeutral   SPFResult = "neutral"   // the domain says nothing of the client
	SPFPass      SPFResult = "pass"      // the client may send as the domain
	SPFFail      SPFResult = "fail"      // it may not
	SPFSoftFail  SPFResult = "softfail"  // it probably may not
	SPFTempError SPFResult = "temperror" // not known: a lookup failed
	SPFPermError SPFResult = "permerror" // the policy cannot be evaluated
)

// SPFFlaw is what makes a policy a permerror.
type SPFFlaw string

// The flaws.
const (
	SPFSyntax   SPFFlaw = "syntax"    // a record breaks the grammar (RFC 7208 section 4.6)
	SPFSeveral  SPFFlaw = "several"   // a domain has more than one record (4.5)
	SPFLookups  SPFFlaw = "lookups"   // more than ten terms that look something up (4.6.4)
	SPFVoids    SPFFlaw = "voids"     // more than two of them in vain (4.6.4)
	SPFNames    SPFFlaw = "names"     // an mx term finds more than ten mail servers (4.6.4)
	SPFNoRecord SPFFlaw = "no-record" // an include or redirect leads to a domain without a record (5.2, 6.1)
)

// Limits of RFC 7208 section 4.6.4.
const (
	SPFMaxLookups = 10 // terms that look something up, in a whole evaluation
	SPFMaxVoids   = 2  // of them, those that find nothing
	SPFMaxNames   = 10 // mail servers of an mx term; PTR names that are followed
)

// SPFCheck is what came of one check_host (RFC 7208 section 4): the result,
// what decided it, and everything that was evaluated on the way.
type SPFCheck struct {
	Result SPFResult `json:"result"`
	// Explanation is what the domain has to say of a fail (section 6.2), in
	// printable ASCII, 500 octets at most. Empty for all other results, and
	// where the domain says nothing that can be used. It is the text of a
	// stranger.
	Explanation Raw `json:"explanation"`
	// Lookups and VoidLookups are the counters of section 4.6.4 as they stood
	// at the end.
	Lookups     int `json:"lookups"`
	VoidLookups int `json:"void_lookups"`

	IP netip.Addr `json:"ip"`
	// Identity is "mailfrom", or "helo" for the null sender (section 2.4).
	Identity string `json:"identity"`
	Sender   Raw    `json:"sender"` // as the macros have it
	Helo     Raw    `json:"helo,omitempty"`
	Domain   Raw    `json:"domain"` // that was checked

	// Why is a sentence: which term in whose record decided, or what went wrong.
	Why string `json:"why"`
	// Matched are the terms that matched, from the one in the record that
	// decided through its include down to the mechanism that knew the client.
	// Empty when no term did.
	Matched []SPFMatch `json:"matched,omitempty"`
	Flaw    SPFFlaw    `json:"flaw,omitempty"`    // of a permerror
	FlawAt  DNSName    `json:"flaw_at,omitempty"` // the domain in whose record it is
	// Trouble is the lookup failure behind a temperror: its code says whether
	// the domain, our resolver or our own limits are to blame.
	Trouble Reason `json:"trouble,omitzero"`
	// Doubt is a lookup failure that receivers pass over (of PTR records and
	// the names in them, section 5.5): with an answer the result could be
	// another one.
	Doubt Reason `json:"doubt,omitzero"`

	Tree *SPFNode `json:"tree"`
}

// SPFMatch is a term that matched.
type SPFMatch struct {
	Domain DNSName `json:"domain"` // in whose record it stands
	Term   Raw     `json:"term"`
	At     int     `json:"at"` // its place in the record, octets from 1
}

// SPFNode is one domain whose record was asked for: the one that is checked,
// or what an include or redirect names.
type SPFNode struct {
	// Domain is empty when the name can be none in the DNS; nothing was asked
	// then.
	Domain DNSName `json:"domain,omitempty"`
	Via    string  `json:"via,omitempty"`
	// State and Answer say what became of the question for TXT records: of
	// Seen ones, none may be an SPF record.
	State  State     `json:"state,omitempty"`
	Answer Reason    `json:"answer,omitzero"`
	TTL    uint32    `json:"ttl,omitempty"`   // seconds that the answer is good for, as the resolver has it; not canonical
	Alias  []DNSName `json:"alias,omitempty"` // the targets, where the name is an alias (CNAME)
	// Records are the SPF records: one, if all is well.
	Records []Raw      `json:"records,omitempty"`
	Faults  []SPFFault `json:"faults,omitempty"`
	// Steps are all mechanisms of the record in order, and last the redirect,
	// when evaluation came to it. It never came to those without an outcome.
	Steps []SPFStep `json:"steps,omitempty"`

	Result      SPFResult `json:"result"`
	Why         string    `json:"why"`
	Lookups     int       `json:"lookups"` // spent on this record and all below it
	VoidLookups int       `json:"void_lookups"`
}

// SPFOutcome is what became of a term.
type SPFOutcome string

// The outcomes.
const (
	SPFNotReached SPFOutcome = ""
	SPFMatched    SPFOutcome = "match"
	SPFNoMatch    SPFOutcome = "no-match"
	SPFBroken     SPFOutcome = "error" // evaluation ended here in a temperror or permerror
)

// SPFStep is one term as it was evaluated.
type SPFStep struct {
	Term    Raw        `json:"term"`
	At      int        `json:"at"` // its place in the record, octets from 1
	Outcome SPFOutcome `json:"outcome,omitempty"`
	// Target is the name that was looked up, macros expanded; empty when it can
	// be none in the DNS, or nothing was looked up.
	Target DNSName `json:"target,omitempty"`
	Via    string  `json:"via,omitempty"`
	State  State   `json:"state,omitempty"` // of the answer to that question
	Answer Reason  `json:"answer,omitzero"`
	// Hosts are the mail servers of mx or the PTR names of ptr, in the order in
	// which they were looked at.
	Hosts []DNSName `json:"hosts,omitempty"`
	// Addresses are the lowest that were found of a, exists and the hosts of mx,
	// MaxFollowed at most; LeftOut is how many others there are.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	LeftOut   int          `json:"left_out,omitempty"`
	Valid     []DNSName    `json:"valid,omitempty"` // of ptr: the names that lead back to the client
	// HostVoids is how many mail servers of mx have no address of the client's
	// family. They are no void lookups of the term, but Mail::SPF, pyspf and
	// others count them.
	HostVoids int      `json:"host_voids,omitempty"`
	Node      *SPFNode `json:"node,omitempty"` // of include and redirect

	Lookups     int `json:"lookups,omitempty"` // spent on this term and all below it
	VoidLookups int `json:"void_lookups,omitempty"`
	// The counters as they stood when the term was done.
	LookupsThen int `json:"lookups_then,omitempty"`
	VoidsThen   int `json:"void_lookups_then,omitempty"`
}

// SPFLeftovers is what is left at a domain of what SPF once was, and what
// stands in its way.
type SPFLeftovers struct {
	// Type99 are the records of type SPF, which nobody asks for any more (RFC
	// 7208 section 3.1).
	Type99 Obs[[]Raw] `json:"type99,omitzero"`
	// SenderID are the TXT records of Sender ID (RFC 4406, historic by RFC 6686).
	SenderID Obs[[]Raw] `json:"sender_id,omitzero"`
	// Alias are the targets, where the domain is an alias: its SPF record is
	// then that of the last of them, and none can stand beside the CNAME (RFC
	// 1034 section 3.6.2).
	Alias Obs[[]DNSName] `json:"alias,omitzero"`
}
