package lab

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mailaudit/internal/audit"
)

// World is one txtar file: everything that exists, and the runs of mailaudit
// that tell its story. Fields may be read at any time; At and Keys may be set
// before the first use of Network, Roots and Certificate. Everything else
// changes by Change and Apply only.
type World struct {
	Name      string // of the file
	About     string // why the world exists
	At        time.Time
	Areas     []audit.Area // findings lists every fail and unknown of these
	RTT       time.Duration
	Resolvers []netip.Addr // on port 53, UDP and TCP
	Local4    netip.Addr   // our own addresses
	Local6    netip.Addr
	Zone      *Zone
	Servers   map[netip.AddrPort]*Server
	Proxies   map[netip.AddrPort]*Proxy
	Certs     map[string]Cert // the builtin ones too
	Runs      []Run
	Keys      *KeyCache

	mu       sync.Mutex // guards Zone, Servers and what follows
	tokens   int
	networks []*Network
	problems []string // not those of a network

	certs       sync.Mutex // guards the two below
	authorities map[string]*authority
	issued      map[string]*tls.Certificate
}

// Run is one run of mailaudit and what is expected of it.
type Run struct {
	Line    int
	Before  []Change // what changes in the world before it
	At      time.Time
	Args    []string // of the command line, after "mailaudit"
	Exit    int
	Expects []Expectation
	// Listed says that a findings section follows: Findings is then every fail
	// and unknown of the world's areas. Without one nothing is said of them.
	Listed   bool
	Findings []Finding
}

// Expectation is a text that an output of the run contains, or lacks.
type Expectation struct {
	Line   int
	Stream string // "stdout" or "stderr"
	Lacks  bool
	Text   string
}

// Finding is a line of a findings section.
type Finding struct {
	Line     int
	Rule     audit.RuleID
	Subject  string
	Status   audit.Status
	Severity audit.Severity // "": not said
}

// Change is one change section: zone lines, or scripts of one server.
type Change struct {
	Line   int
	Edits  []Edit
	Server *Server // all that is known of its address from now on; nil: none changes
}

// ParseWorld reads a world; name is that of the file and is in every error,
// with the number of the line.
func ParseWorld(name string, data []byte) (*World, error) {
	w := &World{
		Name: name, Zone: &Zone{file: name}, Servers: map[netip.AddrPort]*Server{}, Proxies: map[netip.AddrPort]*Proxy{},
		Resolvers: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 53})},
		Local4:    netip.AddrFrom4([4]byte{198, 51, 100, 200}),
		Local6:    netip.MustParseAddr("2001:db8:ffff::200"),
		Certs:     map[string]Cert{}, Keys: NewKeyCache(),
		authorities: map[string]*authority{}, issued: map[string]*tls.Certificate{},
	}
	for _, c := range builtinCerts() {
		w.Certs[c.Name] = c
	}
	head, sections := split(string(data))
	err := w.parseHeader(head)
	if err != nil {
		return nil, err
	}
	p := &parser{w: w}
	for _, s := range sections {
		err = p.section(s)
		if err != nil {
			return nil, err
		}
	}
	err = p.finish()
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Network returns the world for one run to live in.
func (w *World) Network() *Network {
	n := &Network{w: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.networks = append(w.networks, n)
	return n
}

// Rebase moves the world to another time: At and the times of all runs, by
// the same difference. It comes before the first use of a certificate.
func (w *World) Rebase(at time.Time) {
	by := at.Sub(w.At)
	w.At = at
	for i := range w.Runs {
		w.Runs[i].At = w.Runs[i].At.Add(by)
	}
}

// Problems gathers those of the world and of all its networks so far.
func (w *World) Problems() []string {
	w.mu.Lock()
	own := slices.Clone(w.problems)
	w.mu.Unlock()
	return append(own, w.gather((*Network).Problems)...)
}

// Unanswered gathers those of all networks of the world so far.
func (w *World) Unanswered() []string { return w.gather((*Network).Unanswered) }

func (w *World) gather(of func(*Network) []string) []string {
	w.mu.Lock()
	networks := slices.Clone(w.networks)
	w.mu.Unlock()
	var all []string
	for _, n := range networks {
		all = append(all, of(n)...)
	}
	return all
}

// Change makes one change of a run's Before.
func (w *World) Change(c Change) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.Zone.apply(c.Edits, true)
	if err != nil {
		return err
	}
	if c.Server != nil {
		w.Servers[c.Server.Addr] = c.Server
	}
	return nil
}

// Apply publishes the records of a fix, in this order: what is to be removed
// goes, what is to be replaced is cleared, new records come. It refuses what a
// name server would refuse, and a record that is there already or a removal of
// nothing, because a fix that does nothing is a mistake; then nothing at all
// is changed.
func (w *World) Apply(records []audit.FixRecord) error {
	var removes, puts []Edit
	for _, r := range records {
		e, err := editOf(r)
		if err != nil {
			return fmt.Errorf("fix record %s %s %s %s: %w", r.Action, r.Name, r.Type, r.Value, err)
		}
		if e.Verb == Delete {
			removes = append(removes, e)
			continue
		}
		puts = append(puts, e)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.Zone.clone()
	err := next.apply(append(removes, puts...), true)
	if err == nil {
		err = next.checkAliases(puts)
	}
	if err != nil {
		return fmt.Errorf("applying a fix: %w", err)
	}
	w.Zone.Records, w.Zone.Directives, w.Zone.index = next.Records, next.Directives, nil
	return nil
}

// editOf turns a fix record into a zone line, as strictly as a zone file.
func editOf(r audit.FixRecord) (Edit, error) {
	line := r.Name + " " + r.Type + " " + r.Value
	switch r.Action {
	case audit.Add, audit.Replace:
	case audit.Remove:
		if r.Value == "" {
			if typeOf(r.Type) == 0 {
				return Edit{}, errors.New("the type is missing")
			}
			return parseEdit("-"+line, true)
		}
	default:
		return Edit{}, errors.New("the action is none of add, replace, remove")
	}
	e, err := parseEdit(line, false)
	if err != nil {
		return e, err
	}
	if e.Record == nil || e.Type != typeOf(r.Type) {
		return e, errors.New("not a record of that type")
	}
	switch r.Action {
	case audit.Replace:
		e.Verb = Set
	case audit.Remove:
		e.Verb = Delete
	}
	return e, nil
}

// clone copies the world as far as changes reach, so that they can be tried.
func (w *World) clone() *World {
	return &World{Name: w.Name, Zone: w.Zone.clone(), Servers: maps.Clone(w.Servers)}
}
