package smtp

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// Limits on what of a greeting and of an EHLO reply goes into the facts. The
// transcript has more.
const (
	maxGreetingLines = 16
	maxGreetingText  = 512 // octets a line; RFC 5321 4.5.3.1.5 for the whole of it
	maxKeywords      = 128 // IANA has registered some forty
	maxKeyword       = 64  // octets; the longest registered has 19
)

// newGreeting is the stable part of a greeting (RFC 5321 section 4.2).
func newGreeting(rp reply, delay time.Duration, stable *audit.Stabilizer) audit.Greeting {
	g := audit.Greeting{Code: rp.code, Delay: audit.DelayBucket(delay)}
	for i := range rp.lines[:min(len(rp.lines), maxGreetingLines)] {
		g.Lines = append(g.Lines, stable.Text(rp.text(i)).Clip(maxGreetingText))
	}
	name, _ := cutWord(rp.text(0))
	g.Name = stable.Text(name).Clip(maxGreetingText)
	return g
}

// newHello is the stable part of a reply to EHLO (RFC 5321 section 4.1.1.1)
// or HELO, whose reply has no second line. Servers like to repeat the name we
// gave: that belongs to the vantage, not to them.
func newHello(rp reply, ours string, stable *audit.Stabilizer) audit.Hello {
	name, rest := cutWord(rp.text(0))
	rest = audit.Raw(strings.ReplaceAll(string(rest), ours, "<our name>"))
	h := audit.Hello{
		Name: stable.Text(name).Clip(maxGreetingText),
		Text: stable.Text(rest).Clip(maxGreetingText),
	}
	for i := 1; i < len(rp.lines) && len(h.Keywords) < maxKeywords; i++ {
		k, ok := parseKeyword(rp.text(i))
		if !ok {
			continue
		}
		k.Params = stable.Text(k.Params).Clip(maxLine) // what is hidden may be shorter than the word for it
		// Servers that list AUTH in both spellings mean it once.
		if k.Name == "AUTH" && slices.Contains(h.Keywords, k) {
			continue
		}
		h.Keywords = append(h.Keywords, k)
		h.Order = append(h.Order, k.Name)
	}
	return h
}

// seenAs is the address that a server says we came from: many end the first
// line of the reply with it ("250-mx.example.org Hello probe.example.net
// [203.0.113.9]"). Behind NAT that is the only way to learn it. The name that we
// gave may be an address, and the server may name its own: neither is it.
func seenAs(rp reply, ours string, server netip.Addr) netip.Addr {
	_, rest := cutWord(rp.text(0))
	text := strings.ReplaceAll(string(rest.Clip(maxGreetingText)), ours, " ")
	for _, word := range strings.Fields(text) {
		word = strings.Trim(word, "[]()<>,;.!\"'")
		word = strings.TrimPrefix(strings.TrimPrefix(word, "IPv6:"), "ip=")
		addr, err := netip.ParseAddr(word)
		if err == nil && addr.Zone() == "" && addr.Unmap() != server.Unmap() && !addr.IsUnspecified() {
			return addr.Unmap()
		}
	}
	return netip.Addr{}
}

// heard passes a name on that the server gives for itself.
func (s *session) heard(word audit.Raw) {
	name, ok := audit.Qualified(word)
	if ok && s.t.Heard != nil {
		s.t.Heard(name)
	}
}

// union is what is in either list, each once.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// parseKeyword reads one line of an EHLO reply:
//
//	ehlo-line    = ehlo-keyword *( SP ehlo-param )
//	ehlo-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
//
// Keywords with underscores and the like are in use and are kept; a word with
// an octet that does not print is none. "AUTH=PLAIN LOGIN", the spelling of
// clients older than RFC 2554, means "AUTH PLAIN LOGIN".
func parseKeyword(text audit.Raw) (audit.Keyword, bool) {
	word, params := cutWord(text)
	if mechs, legacy := cutPrefixFold(word, "AUTH="); legacy {
		word = "AUTH"
		params = audit.Raw(strings.TrimSpace(string(mechs) + " " + string(params)))
	}
	if word == "" || len(word) > maxKeyword {
		return audit.Keyword{}, false
	}
	for i := range len(word) {
		if word[i] <= 0x20 || word[i] > 0x7e {
			return audit.Keyword{}, false
		}
	}
	return audit.Keyword{Name: strings.ToUpper(string(word)), Params: params}, true
}

// cutWord splits text at its first white space.
func cutWord(text audit.Raw) (word, rest audit.Raw) {
	t := strings.Trim(string(text), " \t")
	i := strings.IndexAny(t, " \t")
	if i < 0 {
		return audit.Raw(t), ""
	}
	return audit.Raw(t[:i]), audit.Raw(strings.TrimLeft(t[i:], " \t"))
}

// cutPrefixFold cuts a prefix that may be in any letter case.
func cutPrefixFold(text audit.Raw, prefix string) (audit.Raw, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(string(text[:len(prefix)]), prefix) {
		return text, false
	}
	return text[len(prefix):], true
}
