package audit

import (
	"net/netip"
	"regexp"
	"strings"
)

// refusalPatterns find what changes by itself in the words of a refusal, or
// belongs to our side.
type refusalPatterns struct {
	wait, tail, owner, named *regexp.Regexp
}

func newRefusalPatterns() refusalPatterns {
	return refusalPatterns{
		// "try again in 287 seconds": greylisting counts down.
		wait: regexp.MustCompile(`(?i)\b\d+(?:\.\d+)?\s*(?:seconds?|secs?|minutes?|mins?|hours?|hrs?)\b`),
		// "[AM0EUR02FT038.eop-EUR02.prod.protection.outlook.com <date> <id>]": the
		// front end that answered, at the end.
		tail: regexp.MustCompile(`\[[^\[\]]*<(?:id|date|time)>[^\[\]]*\]\s*$`),
		// "host.example.net[192.0.2.1]" and "host.example.net ([192.0.2.1])" are
		// how servers write a client: by its reverse DNS. The name of a block list
		// stands before other brackets.
		owner: regexp.MustCompile(`[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+\.?(\[<our address>| \(\[<our address>)`),
		// An address in a place where the client's stands.
		named: regexp.MustCompile(`(?i)(?:[\[(=/]|\b(?:from|host|ip|address|client|for):?\s+)(?:IPv6:)?(\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}:[0-9a-f:.]+)`),
	}
}

// Refusal is the stable form of one line of a refusal. Besides what Text takes
// out, it has no countdowns, no name of the front end that answered, and
// neither the name that we gave in EHLO nor the one that our reverse DNS gives
// us: what remains is what the server would say tomorrow, and to others.
func (s *Stabilizer) Refusal(r Raw, helo string) Raw {
	t := string(s.Text(r))
	t = s.refused.wait.ReplaceAllString(t, "<time>")
	t = s.refused.tail.ReplaceAllString(t, "[<id>]")
	t = s.refused.owner.ReplaceAllString(t, "<our name>$1")
	if helo != "" {
		t = strings.ReplaceAll(t, helo, "<our name>")
	}
	return Raw(t)
}

// OurAddresses are the addresses in the words of a refusal that must be ours,
// although no socket of ours has them: behind NAT a server sees another address
// than we do. Whoever turns a client away at once knows of no address but the
// client's and its own. Special-purpose ones, such as the answers of block
// lists, are nobody's.
func (s *Stabilizer) OurAddresses(r Raw, server netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, m := range s.refused.named.FindAllStringSubmatch(string(r), -1) {
		a, err := netip.ParseAddr(strings.TrimRight(m[1], ".:"))
		if err != nil || a.Unmap() == server.Unmap() || Special(a) != "" {
			continue
		}
		out = append(out, a)
	}
	return out
}
