package audit

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Family is one of the two versions of the internet protocol. What is true of
// one says nothing of the other: they take different ways.
type Family string

// The families.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// FamilyOf is the family of an address.
func FamilyOf(addr netip.Addr) Family {
	if addr.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// String is the family as people write it: "IPv4".
func (f Family) String() string { return "IP" + strings.TrimPrefix(string(f), "ip") }

// Egress is what was learnt of our own side: whether connections of one family
// to one port leave the network that mailaudit runs in, and arrive unchanged.
// It is asked only where the mail servers gave reason to doubt that, so most
// runs have none. It is about the vantage and not about the domain: no facet of
// it is compared.
//
// Control hosts are mail servers of large operators that have nothing to do
// with the domain. Which of them answered, and how soon, changes by itself and
// is not told: what all of them together show is.
type Egress struct {
	Family Family `json:"family"`
	Port   uint16 `json:"port"`
	// Route: Seen is "packets of this family have a way to the internet".
	// Absent: there is none, by the routing table and by a connection.
	Route Obs[Nothing] `json:"route,omitzero"`
	// Controls are the control hosts that were connected to, by name.
	Controls []DNSName `json:"controls,omitempty"`
	// Out: Seen is "a control host greeted us on this port", be it to turn us
	// away. Absent: two control hosts or more were asked, and none answered.
	Out Obs[Nothing] `json:"out,omitzero"`
	// Beside is another port of a server that does not answer on this one.
	// Seen: one answers, which proves that server and network are there. Absent:
	// each that was tried refused the connection.
	Beside Obs[Place] `json:"beside,omitzero"`
	// Alike: Seen is "hosts that have nothing to do with each other greet with
	// the same words", as something does that answers in their place.
	Alike Obs[Nothing] `json:"alike,omitzero"`
	// Masked: Seen is "the greeting or the EHLO reply of a control host is
	// overwritten", as firewalls do that inspect SMTP.
	Masked Obs[Nothing] `json:"masked,omitzero"`
	// StartTLS: Seen is "a control host offers it". Absent: two or more
	// answered EHLO, and none does.
	StartTLS Obs[Nothing] `json:"starttls,omitzero"`
}

// Place is a port of a host.
type Place struct {
	Host DNSName    `json:"host"`
	Addr netip.Addr `json:"addr"`
	Port uint16     `json:"port"`
}

// Answers reports whether an endpoint shows that connections like the one to it
// get out and arrive. Some proxies say that a connection is made before they
// know: of what was seen through one, a greeting or a handshake alone shows it.
func (e Endpoint) Answers(proxied bool) bool {
	return e.Connect.State == Seen && (!proxied || e.Greeting.State == Seen || e.TLS.State == Seen)
}

// EgressOf is what is known of the way to an endpoint; the zero Egress where
// nothing is.
func (f Facts) EgressOf(e Endpoint) Egress {
	for _, g := range f.Egress {
		if g.Port == e.Port && g.Family == FamilyOf(e.Addr) {
			return g
		}
	}
	return Egress{}
}

// canonicalEgress sorts what is known of our own side.
func (f *Facts) canonicalEgress() {
	slices.SortFunc(f.Egress, func(a, b Egress) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Port, b.Port))
	})
	for i := range f.Egress {
		slices.Sort(f.Egress[i].Controls)
	}
}

// maskedGreeting is the share of a greeting that asterisks must make up, in
// percent, and how many there must be: a firewall that "inspects" SMTP leaves
// at most a few characters of it (Cisco PIX leaves "2" and "0").
const (
	maskedGreeting = 50
	minAsterisks   = 4
)

// Masked reports whether the greeting is overwritten with asterisks.
func (g Greeting) Masked() bool {
	var b strings.Builder
	for _, l := range g.Lines {
		b.WriteString(l.String())
	}
	text := strings.Join(strings.Fields(b.String()), "")
	stars := strings.Count(text, "*")
	return stars >= minAsterisks && stars*100 >= len(text)*maskedGreeting
}

// Masked are the keywords that consist of the letter X and at most one other
// character at the end: "XXXXXXXA" is what a Cisco ASA makes of STARTTLS. The
// shortest registered keyword has four characters.
func (h Hello) Masked() []string {
	var out []string
	for _, k := range h.Keywords {
		if len(k.Name) >= 4 && strings.Trim(k.Name[:len(k.Name)-1], "X") == "" {
			out = append(out, k.Name)
		}
	}
	return out
}
