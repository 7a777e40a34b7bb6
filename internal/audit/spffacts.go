package audit

import "net/netip"

// SPF is what the domain publishes about who may send as it (RFC 7208), and all
// that it leads to: see [SPFPolicy], which is put together from it.
type SPF struct {
	// Records are the TXT records of the domain that are SPF records (section
	// 4.5: they begin with the version token, whole). Absent: there is none.
	Records Obs[[]Raw] `json:"records,omitzero"`
	// Strings are the character-strings of each of Records that has several of
	// them, in their order (section 3.3). Absent: all of them are one string.
	Strings Obs[[]SPFStrings] `json:"strings,omitzero"`
	// Misses are TXT records that were meant to be SPF records, by the looks of
	// them, and are none. Absent: there is none.
	Misses Obs[[]Raw] `json:"misses,omitzero"`
	// Answer is how large the answer is that the records come in.
	Answer Obs[SPFAnswer] `json:"answer,omitzero"`
	// Type99 are the records of type SPF, which nobody asks for any more
	// (section 3.1). Absent: there is none.
	Type99 Obs[[]Raw] `json:"type99,omitzero"`
	// SenderID are the TXT records of Sender ID (RFC 4406, historic by RFC 6686).
	SenderID Obs[[]Raw] `json:"sender_id,omitzero"`
	// Alias are the targets, where the domain is an alias: its SPF record is
	// then that of the last of them, and none can stand beside the CNAME (RFC
	// 1034 section 3.6.2). Absent: it is none.
	Alias Obs[[]DNSName] `json:"alias,omitzero"`
	// Below are the records that the policy leads to, by name.
	Below []SPFBelow `json:"below,omitempty"`
	// Found is what the a, mx and exists of the policy find, by term and name.
	Found []SPFTarget `json:"found,omitempty"`
	// Explained is the text behind exp=, where its name is the same whoever
	// sends. Absent: there is none.
	Explained Obs[[]Raw] `json:"explained,omitzero"`
	// Senders is what check_host says of the addresses that the user says send
	// for the domain, as postmaster@ it, by address.
	Senders []SPFSender `json:"senders,omitempty"`
	// Hellos are the names that the user says these addresses give in EHLO, by
	// name.
	Hellos []SPFHello `json:"hellos,omitempty"`
	// Former are the networks of records that earlier runs saw the policy
	// include and that it includes no more, by name; MaxSPFFormer at most. They
	// are looked at where the records of the domain, or below it, hold networks
	// that may have been copied from there.
	Former []SPFFormer `json:"former,omitempty"`
}

// SPFStrings is a TXT record as the strings that it is made of, each of 255
// octets at most. They are joined with nothing between them (RFC 7208 section
// 3.3).
type SPFStrings struct {
	Strings []Raw `json:"strings"`
}

// SPFAnswer is the size of the answer to the question for TXT records.
type SPFAnswer struct {
	// Octets is what the answer takes on the wire, for the resolvers of
	// receivers to get through a UDP packet: the question, the records of the
	// answer with names compressed, and EDNS.
	Octets int `json:"octets"`
	// Others is how many TXT records stand beside the SPF records.
	Others int `json:"others,omitempty"`
}

// SPFBelow is a name that the policy of a domain leads to for a record.
type SPFBelow struct {
	Name DNSName `json:"name"`
	// Records are the SPF records. Seen with none of them: the name has TXT
	// records, and they are others. Absent: it has none, or does not exist.
	Records Obs[[]Raw] `json:"records,omitzero"`
	// Alias are the targets, where the name is an alias. Absent: it is none.
	Alias Obs[[]DNSName] `json:"alias,omitzero"`
	// Registered: the registrable domain of a name that does not exist, or of the
	// last target of an alias that leads to nowhere. Seen: it exists. Absent: it
	// does not, so that anybody may have it (RFC 8020). Unknown (NotLearned) also
	// below a suffix whose owner gives names away, and below a top-level domain that
	// the list of public suffixes does not know. NotTried: the name exists,
	// is not known to be missing, or is one that nobody can register.
	Registered Obs[Nothing] `json:"registered,omitzero"`
	// Registrable is the domain that Registered is about; empty where it was not
	// tried.
	Registrable DNSName `json:"registrable,omitempty"`
}

// SPFTarget is what an a, mx or exists of the policy finds.
type SPFTarget struct {
	Term string  `json:"term"` // the name of the mechanism
	Name DNSName `json:"name"` // that it asks for
	// Hosts are the mail servers of mx, SPFMaxNames at most, in the order in which
	// they are looked at: by preference, then by name. NotTried for the others.
	Hosts        Obs[[]DNSName] `json:"hosts,omitzero"`
	HostsLeftOut int            `json:"hosts_left_out,omitempty"`
	// A and AAAA are the addresses of the name, or of all the hosts together; of
	// exists there is A alone. Absent: there is none of this family, at any host.
	// Unknown where those of one host are not known, and NotTried (not-asked) where
	// they were not asked for. ALeftOut and AAAALeftOut are how many more there are
	// than MaxFollowed.
	A           Obs[[]netip.Addr] `json:"a,omitzero"`
	AAAA        Obs[[]netip.Addr] `json:"aaaa,omitzero"`
	ALeftOut    int               `json:"a_left_out,omitempty"`
	AAAALeftOut int               `json:"aaaa_left_out,omitempty"`
	// SomeA and SomeAAAA are the addresses of the other hosts of mx, where A or AAAA
	// is not known because of one of them. MaxFollowed at most; those left out are
	// counted as above.
	SomeA    []netip.Addr `json:"some_a,omitempty"`
	SomeAAAA []netip.Addr `json:"some_aaaa,omitempty"`
}

// SPFSender is what check_host says of an address (RFC 7208 section 4).
type SPFSender struct {
	Addr netip.Addr `json:"addr"`
	// Verdict: Unknown where the DNS did not answer (temperror).
	Verdict Obs[SPFVerdict] `json:"verdict,omitzero"`
}

// SPFVerdict is a result other than temperror, and what it comes from.
type SPFVerdict struct {
	Result  SPFResult `json:"result"`
	Why     string    `json:"why"`
	In      DNSName   `json:"in,omitempty"`   // the record with the term that matched
	Term    Raw       `json:"term,omitempty"` // that term; empty where none did
	Lookups int       `json:"lookups"`        // that were counted until then
	Voids   int       `json:"void_lookups"`
}

// SPFHello is the SPF of a name that clients give in EHLO (RFC 7208 section
// 2.3), and what it says of each sending address.
type SPFHello struct {
	Name    DNSName     `json:"name"`
	Records Obs[[]Raw]  `json:"records,omitzero"` // Absent: there is none
	Senders []SPFSender `json:"senders,omitempty"`
}

// SPFFormer is a name that the policy included once, and the networks that it
// authorises today with all that it leads to.
type SPFFormer struct {
	Name DNSName `json:"name"`
	// Networks are sorted, none in another one, at most MaxSPFNetworks; LeftOut is
	// how many more there are. Absent: there are none, or there is no record any
	// more. Unknown also where the policy is not known whole, and may include the
	// name as it did. NotTried where the policy leads where the sender leads.
	Networks Obs[[]netip.Prefix] `json:"networks,omitzero"`
	LeftOut  int                 `json:"left_out,omitempty"`
}

// MaxSPFNetworks bounds the networks that are kept of a record that was
// included once. The largest providers have a few hundred.
const MaxSPFNetworks = 500

// MaxSPFFormer bounds the names that are looked at because they were included
// once.
const MaxSPFFormer = 5
