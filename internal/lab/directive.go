package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Kind is what a zone directive makes a resolver do, without the "!".
type Kind string

// Directives that settle the answer. Of several that match a question the
// first in the file wins.
const (
	Silent   Kind = "timeout"  // no answer at all
	ServFail Kind = "servfail" // RCODE 2
	Refused  Kind = "refused"  // RCODE 5
	FormErr  Kind = "formerr"  // RCODE 1
	NotImp   Kind = "notimp"   // RCODE 4
	BadVers  Kind = "badvers"  // RCODE 16 (RFC 6891 6.1.3), to questions with EDNS; FORMERR without
	NXDomain Kind = "nxdomain" // RCODE 3 with a SOA
	NoData   Kind = "nodata"   // NOERROR, no answer, a SOA
	Lame     Kind = "lame"     // NOERROR, no answer, NS records instead of a SOA: a referral, which says nothing
	Garbage  Kind = "garbage"  // bytes that are no DNS message
)

// Directives that colour the answer.
const (
	Truncate Kind = "truncate" // over UDP: TC and no records (RFC 2181 section 9)
	Delay    Kind = "delay"    // "!delay 3s": the answer comes that much later
	EDE      Kind = "ede"      // "!ede 9": an extended DNS error (RFC 8914), to questions with EDNS
	AD       Kind = "ad"       // authentic data, to questions with AD or DO (RFC 6840 5.8)
	NoSOA    Kind = "nosoa"    // negative answers without their SOA
	Forge    Kind = "forge"    // over UDP: two forged answers come first, one with a wrong id, one for another name
	Rotate   Kind = "rotate"   // the RRset begins with another record each time
	TTLFall  Kind = "ttlfall"  // the TTL is one second less each time, as from a cache
)

// Directive is one "!word" of a zone line. The suffixes of the word narrow
// it down: "!servfail+udp@192.0.2.54#1" concerns questions over UDP to the
// resolver 192.0.2.54, and only the first of them.
type Directive struct {
	Line     int
	Name     string // the owner in lower case; "*" is every name
	Type     uint16 // 0 is every type
	Kind     Kind
	Net      string     // "udp", "tcp", "edns" (questions with EDNS), or ""
	Resolver netip.Addr // invalid: all of them
	Times    int        // how many questions it concerns; 0: all
	Wait     time.Duration
	Info     uint16 // of EDE

	used int
}

// settles reports whether the directive decides the answer alone.
func (k Kind) settles() bool {
	switch k {
	case Silent, ServFail, Refused, FormErr, NotImp, BadVers, NXDomain, NoData, Lame, Garbage:
		return true
	}
	return false
}

// colours reports whether the directive changes an answer that others make.
func (k Kind) colours() bool {
	switch k {
	case Truncate, Delay, EDE, AD, NoSOA, Forge, Rotate, TTLFall:
		return true
	}
	return false
}

// parseDirectives reads the words of a zone line from the first "!" on.
func parseDirectives(words []string) ([]*Directive, error) {
	var all []*Directive
	for i := 0; i < len(words); i++ {
		word, bang := strings.CutPrefix(words[i], "!")
		if !bang {
			return nil, fmt.Errorf("%q follows a directive: data needs a line of its own", words[i])
		}
		d, err := parseDirective(word)
		if err != nil {
			return nil, err
		}
		if d.Kind == Delay || d.Kind == EDE {
			i++
			if i == len(words) {
				return nil, fmt.Errorf("!%s needs a value", d.Kind)
			}
			err = d.setValue(words[i])
			if err != nil {
				return nil, err
			}
		}
		all = append(all, d)
	}
	return all, nil
}

func parseDirective(word string) (*Directive, error) {
	end := strings.IndexAny(word, "+@#")
	if end < 0 {
		end = len(word)
	}
	d := &Directive{Kind: Kind(word[:end])}
	if !d.Kind.settles() && !d.Kind.colours() {
		return nil, fmt.Errorf("unknown directive !%s", word[:end])
	}
	for rest := word[end:]; rest != ""; {
		mark := rest[0]
		rest = rest[1:]
		end = strings.IndexAny(rest, "+@#")
		if end < 0 {
			end = len(rest)
		}
		err := d.narrow(mark, rest[:end])
		if err != nil {
			return nil, fmt.Errorf("!%s: %w", word, err)
		}
		rest = rest[end:]
	}
	return d, nil
}

// narrow takes in one suffix.
func (d *Directive) narrow(mark byte, text string) error {
	var err error
	switch mark {
	case '+':
		if text != "udp" && text != "tcp" && text != "edns" {
			return fmt.Errorf("+%s is none of +udp, +tcp, +edns", text)
		}
		if d.Net != "" {
			return errors.New("one of +udp, +tcp, +edns is enough")
		}
		d.Net = text
	case '@':
		d.Resolver, err = netip.ParseAddr(text)
	case '#':
		d.Times, err = strconv.Atoi(text)
		if err == nil && d.Times < 1 {
			err = errors.New("a count is at least 1")
		}
	}
	return err
}

func (d *Directive) setValue(text string) error {
	if d.Kind == Delay {
		var err error
		d.Wait, err = parseWait(text)
		return err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("!ede: %w", err)
	}
	d.Info = uint16(n)
	return nil
}

// parseWait reads a duration that is not negative.
func parseWait(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, err
	}
	if d < 0 {
		return 0, fmt.Errorf("%s is negative", text)
	}
	return d, nil
}

// query is what a directive is matched against.
type query struct {
	name     string // lower case, with the trailing dot
	qtype    uint16
	net      string
	resolver netip.Addr
	edns     bool
}

// matches reports whether the directive concerns a question. Its name has been
// compared already.
func (d *Directive) matches(q query) bool {
	switch {
	case d.Type != 0 && d.Type != q.qtype:
		return false
	case d.Net == "edns" && !q.edns, (d.Net == "udp" || d.Net == "tcp") && d.Net != q.net:
		return false
	case d.Resolver.IsValid() && d.Resolver != q.resolver:
		return false
	}
	return d.Times == 0 || d.used < d.Times
}

// effect is the sum of the directives that met a question.
type effect struct {
	settled                    Kind // "": the zone's records decide
	truncate, ad, noSOA, forge bool
	rotate, ttlFall            bool
	wait                       time.Duration
	errors                     []uint16
}

// add takes in the directives that match q, in the order given. A directive
// that is not needed, because an earlier one has settled the answer, is not
// counted as used: "!servfail#1" and "!timeout#1" on one name are one SERVFAIL
// and then one timeout.
func (e *effect) add(all []*Directive, q query) {
	for _, d := range all {
		if !d.matches(q) || d.Kind.settles() && e.settled != "" {
			continue
		}
		d.used++
		switch d.Kind {
		case Truncate:
			e.truncate = true
		case AD:
			e.ad = true
		case NoSOA:
			e.noSOA = true
		case Forge:
			e.forge = true
		case Rotate:
			e.rotate = true
		case TTLFall:
			e.ttlFall = true
		case Delay:
			e.wait += d.Wait
		case EDE:
			e.errors = append(e.errors, d.Info)
		default:
			e.settled = d.Kind
		}
	}
}
