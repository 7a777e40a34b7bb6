package audit

import (
	"slices"
	"strings"
)

// DKIM is one selector that the user named (RFC 6376 section 3.1).
type DKIM struct {
	Selector string  `json:"selector"`
	Name     DNSName `json:"name"` // selector._domainkey.domain
	// Alias is the chain of CNAME targets. Absent: the name is no alias.
	Alias Obs[[]DNSName] `json:"alias,omitzero"`
	// Records are all TXT records at the name. Absent: there is none.
	Records Obs[[]Raw] `json:"records,omitzero"`
	// Key is the public key, where there is exactly one record. Absent: it
	// holds none that can be used; Why says why.
	Key Obs[PublicKey] `json:"key,omitzero"`
}

// PublicKey is the key of a DKIM record.
type PublicKey struct {
	Type string `json:"type"` // "rsa", "ed25519": the k= tag (RFC 8301, RFC 8463)
	Bits int    `json:"bits"` // of an RSA modulus; 256 for Ed25519
}

// DMARC is the tree walk of RFC 9989 section 4.10: _dmarc records from the
// domain up to the top-level domain, longest name first.
type DMARC struct {
	Walk []DMARCStep `json:"walk,omitempty"`
}

// DMARCStep is one name of the walk.
type DMARCStep struct {
	Domain DNSName `json:"domain"` // without the _dmarc label
	// Records are the TXT records that begin with the DMARC version tag.
	// Absent: there is none.
	Records Obs[[]Raw] `json:"records,omitzero"`
}

// maxWalk is the number of labels from which the walk jumps, and the number
// of questions that it takes at most (RFC 9989 section 4.10).
const maxWalk = 8

// WalkNames lists the names of the tree walk of a domain: itself, then one
// label less each time; from eight labels on it goes on with the last seven.
func WalkNames(domain DNSName) []DNSName {
	labels := strings.Split(string(domain), ".")
	names := []DNSName{domain}
	if len(labels) >= maxWalk {
		labels = labels[len(labels)-maxWalk:]
	}
	for i := 1; i < len(labels); i++ {
		names = append(names, DNSName(strings.Join(labels[i:], ".")))
	}
	return names
}

// Tag is one tag of a tag list.
type Tag struct{ Name, Value string }

// ParseTags reads the tag=value lists of DKIM (RFC 6376 section 3.2) and
// DMARC (RFC 9989 section 4.7): separated by semicolons, white space around
// names and values does not count, a last empty part is allowed. ok is false
// when some part is no tag; the good ones are returned all the same.
func ParseTags(record Raw) (tags []Tag, ok bool) {
	ok = true
	parts := strings.Split(string(record), ";")
	for i, part := range parts {
		part = strings.Trim(part, " \t\r\n")
		if part == "" {
			ok = ok && i == len(parts)-1
			continue
		}
		name, value, found := strings.Cut(part, "=")
		name = strings.TrimRight(name, " \t\r\n")
		if !found || !isTagName(name) {
			ok = false
			continue
		}
		tags = append(tags, Tag{name, strings.TrimLeft(value, " \t\r\n")})
	}
	return tags, ok
}

func isTagName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// IsDMARC reports whether a TXT record is a DMARC record: its first tag is
// v, with the value DMARC1 to the letter (RFC 9989 section 4.7).
func IsDMARC(txt Raw) bool {
	first, _, _ := strings.Cut(string(txt), ";")
	name, value, ok := strings.Cut(first, "=")
	return ok && strings.EqualFold(strings.Trim(name, " \t"), "v") && strings.Trim(value, " \t") == "DMARC1"
}

// DMARCPolicy is a policy word.
type DMARCPolicy string

// The policies, weakest first.
const (
	PolicyNone       DMARCPolicy = "none"
	PolicyQuarantine DMARCPolicy = "quarantine"
	PolicyReject     DMARCPolicy = "reject"
)

// Rank orders policies: 0 for none, 2 for reject, -1 for no policy.
func (p DMARCPolicy) Rank() int {
	return slices.Index([]DMARCPolicy{PolicyNone, PolicyQuarantine, PolicyReject}, p)
}

// DMARCRecord is the meaning of one record (RFC 9989 section 4.7).
type DMARCRecord struct {
	P, SP, NP DMARCPolicy // as they apply; SP falls back on P, NP on SP
	Written   DMARCPolicy // the p tag, or "" when it is missing or no policy
	RUA       []string    // mailto addresses of aggregate reports, without the scheme
	Testing   bool        // t=y
	PSD       string      // "y", "n" or "u"
	// Usable: the record counts at all. Without a valid p (or with a bad sp or
	// np) it does only when rua names an address, and then as p=none.
	Usable bool
}

// ParseDMARC reads a record for which IsDMARC holds. Unknown tags are
// ignored, as they must be.
func ParseDMARC(txt Raw) DMARCRecord {
	tags, _ := ParseTags(txt)
	r := DMARCRecord{PSD: "u", Usable: true}
	bad := false
	policy := func(value string) DMARCPolicy {
		p := DMARCPolicy(strings.ToLower(value))
		if p.Rank() < 0 {
			bad = true
			return ""
		}
		return p
	}
	var p, sp, np DMARCPolicy
	for _, t := range tags[1:] {
		switch strings.ToLower(t.Name) {
		case "p":
			p = policy(t.Value)
		case "sp":
			sp = policy(t.Value)
		case "np":
			np = policy(t.Value)
		case "rua":
			r.RUA = mailtos(t.Value)
		case "t":
			r.Testing = strings.EqualFold(t.Value, "y")
		case "psd":
			if v := strings.ToLower(t.Value); v == "y" || v == "n" {
				r.PSD = v
			}
		}
	}
	r.Written = p
	if p == "" || bad {
		r.Usable = len(r.RUA) > 0
		p, sp, np = PolicyNone, "", ""
	}
	r.P, r.SP = p, orPolicy(sp, p)
	r.NP = orPolicy(np, r.SP)
	return r
}

func orPolicy(a, b DMARCPolicy) DMARCPolicy {
	if a == "" {
		return b
	}
	return a
}

// mailtos are the addresses of a list of URIs; the obsolete "!10m" size behind
// one is cut off, other schemes are ignored (RFC 9989 section 4.7).
func mailtos(list string) []string {
	var out []string
	for uri := range strings.SplitSeq(list, ",") {
		uri = strings.TrimSpace(uri)
		scheme, address, ok := strings.Cut(uri, ":")
		address, _, _ = strings.Cut(address, "!")
		local, domain, at := strings.Cut(address, "@")
		if ok && at && strings.EqualFold(scheme, "mailto") && local != "" && NewDNSName(domain).IsHostname() {
			out = append(out, address)
		}
	}
	return out
}
