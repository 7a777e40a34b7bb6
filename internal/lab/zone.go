package lab

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// defaultTTL is the TTL of records that give none, in seconds.
const defaultTTL = 300

// Zone is all that the resolvers of a world know: records, and directives
// that say how answering goes wrong. Change it with its methods only.
type Zone struct {
	Records    []dns.RR     // in the order of the file
	Directives []*Directive // likewise

	file   string
	served map[string]int // answers given, by name and type: for rotate and ttlfall
	index  *index         // nil after a change
}

// Verb is what an Edit does.
type Verb string

// The verbs. In a change section "-NAME [TYPE]" deletes, "=NAME TYPE ..."
// sets and a plain line adds.
const (
	Put    Verb = "add"
	Set    Verb = "set"    // what the name has of this type goes first
	Delete Verb = "delete" // Type 0: all that the name has
)

// Edit is one zone line. Put and Set carry a record or directives.
type Edit struct {
	Line       int
	Verb       Verb
	Name       string // in lower case, with the trailing dot; "*" is every name
	Type       uint16 // 0 is every type (directives and Delete only)
	Record     dns.RR
	Directives []*Directive
}

// ParseZone reads a zone; line is the number of its first line in file. Names
// are fully qualified, each record is on one line, and TXT data that holds a
// semicolon is quoted, because a zone file would silently lose what follows.
func ParseZone(file string, line int, text string) (*Zone, error) {
	edits, err := parseEdits(file, line, text, false)
	if err != nil {
		return nil, err
	}
	z := &Zone{file: file}
	err = z.apply(edits, false)
	if err != nil {
		return nil, err
	}
	return z, nil
}

// parseEdits reads zone lines; with change set the prefixes "-" and "=" are
// allowed.
func parseEdits(file string, line int, text string, change bool) ([]Edit, error) {
	var all []Edit
	for _, l := range lines(text, line) {
		if l.text == "" || l.text[0] == '#' || l.text[0] == ';' {
			continue
		}
		e, err := parseEdit(l.text, change)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, l.number, err)
		}
		e.Line = l.number
		for _, d := range e.Directives {
			d.Line = l.number
		}
		all = append(all, e)
	}
	return all, nil
}

func parseEdit(text string, change bool) (Edit, error) {
	e := Edit{Verb: Put}
	if text[0] == '-' || text[0] == '=' {
		if !change {
			return e, fmt.Errorf("a line that begins with %q belongs into a change section", text[:1])
		}
		e.Verb = Set
		if text[0] == '-' {
			e.Verb = Delete
		}
		text = strings.TrimSpace(text[1:])
	}
	bare, cut := uncomment(text)
	words := strings.Fields(bare)
	if len(words) == 0 {
		return e, errors.New("the name is missing")
	}
	err := e.setName(words[0])
	if err != nil {
		return e, err
	}
	if at := slices.IndexFunc(words, func(w string) bool { return w[0] == '!' }); at > 0 && e.Verb != Delete {
		return e, e.setDirectives(words[1:at], words[at:])
	}
	if e.Verb == Delete {
		return e, e.setType(words[1:])
	}
	if e.Name == "*" {
		return e, errors.New("the name * takes directives only")
	}
	e.Record, err = parseRecord(bare, cut)
	if err != nil {
		return e, err
	}
	e.Type = e.Record.Header().Rrtype
	return e, nil
}

func (e *Edit) setName(word string) error {
	e.Name = strings.ToLower(word)
	if e.Name == "*" {
		return nil
	}
	if !dns.IsFqdn(word) {
		return fmt.Errorf("the name %s does not end in a dot", word)
	}
	if _, ok := dns.IsDomainName(word); !ok {
		return fmt.Errorf("%s is not a domain name", word)
	}
	return nil
}

// setType reads the optional type after a name.
func (e *Edit) setType(words []string) error {
	if len(words) == 0 {
		return nil
	}
	if len(words) > 1 {
		return fmt.Errorf("%q is too much after a name and a type", words[1])
	}
	e.Type = typeOf(words[0])
	if e.Type == 0 {
		return fmt.Errorf("%s is not a record type", words[0])
	}
	return nil
}

func (e *Edit) setDirectives(before, words []string) error {
	err := e.setType(before)
	if err != nil {
		return err
	}
	e.Directives, err = parseDirectives(words)
	if err != nil {
		return err
	}
	for _, d := range e.Directives {
		d.Name, d.Type = e.Name, e.Type
	}
	return nil
}

// typeOf is the number of a record type, also in the form TYPE65 (RFC 3597
// section 5), or 0.
func typeOf(word string) uint16 {
	word = strings.ToUpper(word)
	if t, ok := dns.StringToType[word]; ok {
		return t
	}
	digits, ok := strings.CutPrefix(word, "TYPE")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil {
		return 0
	}
	return uint16(n)
}

// uncomment cuts a comment off a zone line and reports whether there was one:
// from the first semicolon that is neither quoted nor escaped (RFC 1035 5.1).
func uncomment(text string) (string, bool) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ';':
			if !quoted {
				return strings.TrimRight(text[:i], " \t"), true
			}
		}
	}
	return text, false
}

// parseRecord reads one record. commented says that a semicolon followed it.
func parseRecord(text string, commented bool) (dns.RR, error) {
	if text[0] == '$' {
		return nil, errors.New("the lab's zones have no $ control entries")
	}
	p := dns.NewZoneParser(strings.NewReader(text+"\n"), "", "")
	p.SetDefaultTTL(defaultTTL)
	rr, _ := p.Next()
	if p.Err() != nil {
		return nil, fmt.Errorf("not a record: %s", strings.TrimPrefix(p.Err().Error(), "dns: "))
	}
	if rr == nil {
		return nil, errors.New("not a record")
	}
	if more, _ := p.Next(); more != nil || p.Err() != nil {
		return nil, errors.New("not a record: more than one on the line")
	}
	h := rr.Header()
	words := strings.Fields(text)
	if typeOf(words[len(words)-1]) == h.Rrtype && !slices.ContainsFunc(words[1:len(words)-1], func(w string) bool { return typeOf(w) == h.Rrtype }) {
		return nil, errors.New("not a record: there is no data") // the library takes it for a dynamic update
	}
	if h.Class != dns.ClassINET {
		return nil, errors.New("the class is not IN")
	}
	if (h.Rrtype == dns.TypeTXT || h.Rrtype == dns.TypeSPF) && commented && !quotedData(text, rr) {
		return nil, errors.New("TXT data with a semicolon must be in quotes")
	}
	buf := make([]byte, dns.MaxMsgSize)
	_, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("the record does not fit a message: %w", err)
	}
	h.Name = strings.ToLower(h.Name)
	return rr, nil
}

// quotedData reports whether every string of a TXT line, or of one of type SPF,
// which has the same form (RFC 7208 section 3.1), is in quotes.
func quotedData(text string, rr dns.RR) bool {
	quotes := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			quotes++
		}
	}
	parts := 0
	switch r := rr.(type) {
	case *dns.TXT:
		parts = len(r.Txt)
	case *dns.SPF:
		parts = len(r.Txt)
	}
	return parts > 0 && quotes >= 2 && quotes >= 2*parts
}

// apply makes the edits, all or none. The first Set of a name and type clears
// what was there; later ones of the same list add to it. With publish set a
// record takes !nxdomain and !nodata of its name away: it is there now.
func (z *Zone) apply(edits []Edit, publish bool) error {
	next := z.clone()
	cleared := map[string]bool{}
	for _, e := range edits {
		err := next.edit(e, cleared)
		if err != nil && e.Line > 0 {
			return fmt.Errorf("%s:%d: %w", z.file, e.Line, err)
		}
		if err != nil {
			return err
		}
		if publish && e.Verb != Delete && e.Record != nil {
			next.undeny(e.Name, e.Type)
		}
	}
	z.Records, z.Directives, z.index = next.Records, next.Directives, nil
	return nil
}

// edit makes one edit; cleared holds the names and types that were set before.
func (z *Zone) edit(e Edit, cleared map[string]bool) error {
	key := describe(e.Name, e.Type)
	switch {
	case e.Verb == Delete && !z.remove(e):
		return fmt.Errorf("there is nothing to remove at %s", key)
	case e.Verb == Delete:
		return nil
	case e.Verb == Set && !cleared[key]:
		cleared[key] = true
		z.remove(Edit{Name: e.Name, Type: e.Type})
	}
	return z.put(e)
}

func (z *Zone) put(e Edit) error {
	for _, d := range e.Directives {
		fresh := *d
		z.Directives = append(z.Directives, &fresh)
	}
	if e.Record == nil {
		return nil
	}
	for _, rr := range z.Records {
		if rr.Header().Name == e.Name && dns.IsDuplicate(rr, e.Record) {
			return fmt.Errorf("%s is there already", describe(e.Name, e.Type))
		}
	}
	z.Records = append(z.Records, dns.Copy(e.Record))
	return nil
}

// undeny takes away what says that a name has no records of a type.
func (z *Zone) undeny(name string, rrtype uint16) {
	z.Directives = slices.DeleteFunc(z.Directives, func(d *Directive) bool {
		denies := d.Kind == NXDomain || d.Kind == NoData
		return denies && d.Name == name && (d.Type == 0 || d.Type == rrtype)
	})
}

// remove takes away what a name has of a type (0: of all types), or just the
// record of e, and reports whether there was anything.
func (z *Zone) remove(e Edit) bool {
	before := len(z.Records) + len(z.Directives)
	z.Records = slices.DeleteFunc(z.Records, func(rr dns.RR) bool {
		h := rr.Header()
		if e.Record != nil {
			return h.Name == e.Name && dns.IsDuplicate(rr, e.Record)
		}
		return h.Name == e.Name && (e.Type == 0 || e.Type == h.Rrtype)
	})
	if e.Record == nil {
		z.Directives = slices.DeleteFunc(z.Directives, func(d *Directive) bool {
			return d.Name == e.Name && (e.Type == 0 || e.Type == d.Type)
		})
	}
	return len(z.Records)+len(z.Directives) < before
}

// checkAliases refuses what name servers refuse at the names of the edits: a
// CNAME beside anything else (RFC 1034 section 3.6.2).
func (z *Zone) checkAliases(edits []Edit) error {
	for _, e := range edits {
		aliases, others := 0, 0
		for _, rr := range z.Records {
			h := rr.Header()
			switch {
			case h.Name != e.Name:
			case h.Rrtype == dns.TypeCNAME:
				aliases++
			default:
				others++
			}
		}
		if aliases > 1 || aliases == 1 && others > 0 {
			return fmt.Errorf("%s would have a CNAME and something beside it (RFC 1034 3.6.2)", e.Name)
		}
	}
	return nil
}

// clone copies what apply changes. Records and directives are shared: neither
// is written to, but for the counters of directives.
func (z *Zone) clone() *Zone {
	return &Zone{file: z.file, Records: slices.Clone(z.Records), Directives: slices.Clone(z.Directives)}
}

func describe(name string, rrtype uint16) string {
	if rrtype == 0 {
		return name
	}
	return name + " " + dns.Type(rrtype).String()
}
