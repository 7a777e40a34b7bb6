package rules

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mailaudit/internal/audit"
)

// This file judges the names that reverse DNS gives.

// How many PTR names are many. RFC 2181 section 10.2 allows any number; ten
// is where receivers stop following them (RFC 7208 section 4.6.4).
const (
	handfulPTR = 5
	maxPTR     = audit.MaxForward
)

func judgeManyNames(s *audit.Snapshot, r *Report) {
	reverses(s, r, "", func(rv audit.Reverse) {
		names, ok := ptrNames(s, r, rv)
		if !ok {
			return
		}
		evidence := Seen(rv.PTR.Via, append(texts(names[:min(len(names), maxPTR)]), more(len(names)-maxPTR)...)...)
		if len(names) <= handfulPTR {
			r.Pass(rv.Addr.String(), fmt.Sprintf("number of PTR names: %d", len(names)), evidence)
			return
		}
		severity := audit.Info
		if len(names) > maxPTR {
			severity = audit.Low
		}
		r.Fail(rv.Addr.String(), Fault{
			Severity: severity,
			Detail:   fmt.Sprintf("%s has %d PTR names", rv.Addr, len(names)),
			Evidence: []string{evidence},
			Fix: audit.Fix{Summary: "keep one PTR name", Steps: []string{
				"keep the name that the server gives in EHLO when it sends, and remove the others; the hosted domains need none",
			}},
		})
	})
}

// more says how many items were left out, if any.
func more(n int) []string {
	if n <= 0 {
		return nil
	}
	return []string{fmt.Sprintf("and %d more", n)}
}

// ptrNames opens the PTR names of a public address; where there are none, or
// nobody knows, it has said so and ok is false.
func ptrNames(s *audit.Snapshot, r *Report, rv audit.Reverse) ([]audit.DNSName, bool) {
	subject := rv.Addr.String()
	if what := s.Scope.Special(rv.Addr); what != "" {
		r.NA(subject, "no address of the public internet: "+what)
		return nil, false
	}
	names, present, ok := Need(r, subject, rv.PTR)
	if ok && !present {
		r.NA(subject, "there is no PTR record")
	}
	return names, ok && present
}

func judgeGeneric(s *audit.Snapshot, r *Report) {
	reverses(s, r, audit.Medium, func(rv audit.Reverse) {
		names, ok := ptrNames(s, r, rv)
		if !ok {
			return
		}
		evidence := Seen(rv.PTR.Via, append(texts(names[:min(len(names), maxPTR)]), more(len(names)-maxPTR)...)...)
		for _, name := range names {
			if !generic(name, rv.Addr) { // one name of a server is enough
				r.Pass(rv.Addr.String(), "named "+name.String(), evidence)
				return
			}
		}
		r.Fail(rv.Addr.String(), Fault{
			Severity: forRole(rv.Role, audit.Medium),
			Detail:   fmt.Sprintf("%s is named like one of a pool of addresses: %s", rv.Addr, names[0]),
			Evidence: []string{evidence},
			Fix: audit.Fix{Summary: "have the address named after the mail server", Steps: []string{
				fmt.Sprintf("ask the owner of the address block to change %s to the name that the server gives in EHLO", audit.ReverseName(rv.Addr).FQDN()),
				fmt.Sprintf("publish %s at that name as well", rv.Addr),
			}},
		})
	})
}

// poolWords are the words by which providers mark addresses that are handed
// out to whoever dials in.
func poolWords() []string {
	return []string{
		"dyn", "dynamic", "dynip", "dhcp", "pool", "ppp", "pppoe", "dsl", "adsl", "vdsl", "xdsl", "cable", "dial", "dialup", "dialin", "dip", "broadband",
	}
}

// mailWords are the words of names that somebody gave to a mail server, even
// where he numbered a farm of them by address.
func mailWords() []string {
	return []string{"mail", "email", "mailout", "mx", "smtp", "esmtp", "mta", "out", "outbound", "relay", "mailer", "bounce", "newsletter"}
}

// generic reports whether a name looks made by a machine for a whole range:
// it spells out the address, or has a word for pools beside a number. Names
// with a word for mail are taken for meant. The registered domain does not
// count, as far as that can be told without a list: its last two labels.
func generic(name audit.DNSName, addr netip.Addr) bool {
	labels := strings.Split(string(name), ".")
	labels = labels[:max(1, len(labels)-2)]
	words := tokens(strings.Join(labels, "."))
	is := func(list []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	spelled := spells(strings.Join(labels, "."), words, addr)
	numbered := slices.ContainsFunc(words, func(w string) bool { return isDigit(w[0]) })
	switch {
	case is(poolWords()):
		first := tokens(labels[0])
		meant := slices.ContainsFunc(first, func(w string) bool { return slices.Contains(mailWords(), w) })
		return spelled || numbered && !meant
	case is(mailWords()):
		return false
	}
	return spelled
}

// spells reports whether a name contains the whole address: its octets in
// either order, padded to three digits each, or in hexadecimal.
func spells(name string, words []string, addr netip.Addr) bool {
	joined := strings.NewReplacer(".", "", "-", "", "_", "").Replace(name)
	octets := addr.AsSlice()
	if strings.Contains(joined, hex.EncodeToString(octets)) {
		return true
	}
	if !addr.Is4() {
		nibbles := []byte(hex.EncodeToString(octets))
		slices.Reverse(nibbles)
		return strings.Contains(joined, string(nibbles)) || strings.Contains(name, strings.ReplaceAll(addr.String(), ":", "-"))
	}
	padded := ""
	for _, o := range octets {
		padded += fmt.Sprintf("%03d", o)
	}
	if strings.Contains(joined, padded) {
		return true
	}
	back := slices.Clone(octets)
	slices.Reverse(back)
	for i := range words {
		if startsWith(words[i:], octets) || startsWith(words[i:], back) {
			return true
		}
	}
	return false
}

// startsWith reports whether words begin with the numbers of octets.
func startsWith(words []string, octets []byte) bool {
	if len(words) < len(octets) {
		return false
	}
	for i, o := range octets {
		n, err := strconv.Atoi(words[i])
		if err != nil || n != int(o) {
			return false
		}
	}
	return true
}

// tokens splits a name into runs of letters and runs of digits.
func tokens(name string) []string {
	var out []string
	start := 0
	flush := func(end int) {
		if end > start {
			out = append(out, name[start:end])
		}
	}
	for i := 0; i < len(name); i++ {
		letter := 'a' <= name[i] && name[i] <= 'z'
		switch {
		case !letter && !isDigit(name[i]):
			flush(i)
			start = i + 1
		case i > start && isDigit(name[i]) != isDigit(name[i-1]):
			flush(i)
			start = i
		}
	}
	flush(len(name))
	return out
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
