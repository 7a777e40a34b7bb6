package audit

import (
	"net/netip"
	"slices"
	"time"
)

// Area is one field of the audit. Rules, facts and the --only and --skip
// flags speak in areas.
type Area string

// The areas, in the order in which reports show them.
const (
	AreaMX    Area = "mx"
	AreaSPF   Area = "spf"
	AreaDKIM  Area = "dkim"
	AreaDMARC Area = "dmarc"
	AreaRDNS  Area = "rdns"
	AreaHELO  Area = "helo"
	AreaDNSBL Area = "dnsbl"
	AreaSMTP  Area = "smtp"
	AreaTLS   Area = "tls"
	AreaAUTH  Area = "auth"
)

// AreaVantage is our own side: the network that mailaudit runs in. Nobody
// chooses it: it is looked at wherever mail servers are, because what is seen of
// them is worth as much as the way to them. It judges no domain, so it is no
// member of [Areas]: its findings never count, gate nothing, and are compared
// with no other run's. They only suspend what cannot be known.
const AreaVantage Area = "vantage"

// Areas lists every area that can be asked for, in report order.
func Areas() []Area {
	return []Area{AreaMX, AreaSPF, AreaDKIM, AreaDMARC, AreaRDNS, AreaHELO, AreaDNSBL, AreaSMTP, AreaTLS, AreaAUTH}
}

// Connects reports whether the area takes connections to mail servers, which
// passive runs do not make.
func (a Area) Connects() bool {
	return a == AreaHELO || a == AreaSMTP || a == AreaTLS || a == AreaAUTH
}

// Scope is what a run was asked to look at. Only the intersection of two
// scopes is compared. It is stored with the run.
type Scope struct {
	Areas []Area `json:"areas"` // in the order of Areas(); never empty in a stored run
	// Passive runs ask DNS and connect to nothing.
	Passive bool `json:"passive,omitempty"`
	// Selectors are the DKIM selectors that the user says are in use, sorted.
	Selectors []string `json:"selectors,omitempty"`
	// Family is the only one that servers were connected to over; empty: both.
	Family Family `json:"family,omitempty"`
	// SendingIPs are the addresses that the user says send mail for the domain.
	SendingIPs []netip.Addr `json:"sending_ips,omitempty"`
	// SendingHELOs are the names that the user says these addresses give in EHLO,
	// sorted.
	SendingHELOs []DNSName `json:"sending_helos,omitempty"`
	// Submission are the hosts that the user says take mail from the domain's
	// people, sorted.
	Submission []DNSName `json:"submission,omitempty"`
	// TryMail: MAIL was tried before STARTTLS at servers that the user named.
	TryMail bool `json:"try_mail,omitempty"`
	// AllowNets are special-purpose ranges that the user opened, for the
	// address guard and for the rules alike.
	AllowNets []netip.Prefix `json:"allow_nets,omitempty"`
	// AllowPrivate opens all of them.
	AllowPrivate bool `json:"allow_private,omitempty"`
}

// Has reports whether the area was looked at.
func (s Scope) Has(a Area) bool {
	if a == AreaVantage {
		return s.Connects()
	}
	return slices.Contains(s.Areas, a)
}

// Connects reports whether the run connects to mail servers.
func (s Scope) Connects() bool {
	return !s.Passive && slices.ContainsFunc(s.Areas, Area.Connects)
}

// Reaches reports whether addresses of this family are connected to.
func (s Scope) Reaches(addr netip.Addr) bool {
	return s.Family == "" || s.Family == FamilyOf(addr)
}

// Special is [Special] with the ranges that the user opened taken out.
func (s Scope) Special(addr netip.Addr) string {
	what := Special(addr)
	if what == "" || s.AllowPrivate {
		return ""
	}
	for _, p := range s.AllowNets {
		if p.Contains(addr) {
			return ""
		}
	}
	return what
}

// Vantage is whose eyes a run saw with. It never holds an address of ours.
type Vantage struct {
	Name string `json:"name"`           // --vantage, default the host name
	HELO string `json:"helo,omitempty"` // the name given in EHLO; empty in passive runs
	// Proxy is the proxy that servers were connected to through: ADDR:PORT as
	// seen from here. Empty: none, or nothing was connected to.
	Proxy string `json:"proxy,omitempty"`
}

// Past is a bounded extract of the history of the domain, copied in before
// the rules run, so that rules over history stay pure and re-judging needs no
// store. It holds only what does not change from one quiet night to the next.
type Past struct {
	// First is when the first complete run of this domain from this vantage
	// started; zero before there is one.
	First time.Time `json:"first,omitzero"`
	// MXHosts are the mail hosts that earlier runs saw, at most PastHosts of
	// them, sorted.
	MXHosts []DNSName `json:"mx_hosts,omitempty"`
	// Busy are the endpoints that had no room for us, and have not been seen
	// with room since, by endpoint; at most PastHosts of them.
	Busy []BusySpell `json:"busy,omitempty"`
	// SPFIncludes are the names that earlier runs saw the SPF policy of the domain
	// include, by itself or further down, at most PastHosts of them, sorted.
	SPFIncludes []DNSName `json:"spf_includes,omitempty"`
}

// BusySpell is a time in which a server had no room for us.
type BusySpell struct {
	Endpoint string    `json:"endpoint"` // its subject
	Since    time.Time `json:"since"`    // start of the first run that saw it so
}

// PastHosts bounds each list of Past.
const PastHosts = 50
