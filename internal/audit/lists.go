package audit

import "net/netip"

// BlockList is one DNS block list as it was found in this run
// (RFC 5782).
type BlockList struct {
	Zone DNSName `json:"zone"`
	Name string  `json:"name"` // as its operator calls it
	// Tier says how much a listing costs: see the constants.
	Tier ListTier `json:"tier"`
	Page string   `json:"page"` // where listings are explained and lifted
	// Health is the list's own test (RFC 5782 section 5): Seen when its test
	// point is listed and its counter-point is not. Absent: the test failed, so
	// the list lists nothing or everything. Unknown: it does not answer us, or
	// says that it will not. Only a healthy list can list anybody.
	Health Obs[Nothing] `json:"health,omitzero"`
}

// ListTier is the weight of a list at receivers today.
type ListTier string

// The tiers.
const (
	TierBlocking ListTier = "blocking" // large receivers refuse by it
	TierSome     ListTier = "some"     // small and middle-sized receivers do, or score by it
)

// Listing is what one list says about one address or domain.
type Listing struct {
	Subject string  `json:"subject"` // the address or domain asked about
	Role    Role    `json:"role"`
	Zone    DNSName `json:"zone"`
	// Codes: Seen are the codes that list it, in two answers some seconds
	// apart. Absent: it is not listed. Unknown: the list did not answer, answers
	// with an error code, or did not pass its own test.
	Codes Obs[[]ListCode] `json:"codes,omitzero"`
}

// ListCode is one A record of an answer.
type ListCode struct {
	Addr    netip.Addr `json:"addr"`
	Meaning string     `json:"meaning"` // from the list's documentation; never empty
	// Policy: the code says that the owner of the address range does not send
	// mail from there, which is no abuse (Spamhaus PBL).
	Policy bool `json:"policy,omitempty"`
}
