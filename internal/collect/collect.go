// Package collect turns a plan into facts: what is asked, in which order, how
// much at once, and when to stop.
//
// The order is a graph, not a list: whatever does not depend on an answer
// runs at once. For the mail of a domain the longest chain of it is
//
//	MX -> address -> connect -> greeting -> EHLO -> STARTTLS -> TLS -> EHLO
//
// that is, eight round trips; everything else (the other family, reverse DNS,
// submission servers by their SRV records, SPF with its includes, our own name for
// EHLO) runs beside it.
// Politeness makes exceptions: the servers of one operator are tried one after
// another, and a negative answer is looked at a second time after a pause.
//
// The package judges nothing and fails at nothing: whatever could not be seen
// is an observation that says so. When the time of the audit is over, or the
// user stops it, all that is still open becomes unknown for that reason.
//
// Where there is TLS, a second connection to the address tries its old versions,
// behind the chain and the pause that two connections have between them.
package collect

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dnsbl"
	"mailaudit/internal/dnscheck"
	"mailaudit/internal/smtp"
)

// Limits of one audit. A domain with more is audited in part, and what was
// left out is named in the facts (not-asked).
const (
	MaxHosts     = 20 // MX hosts (probing strangers: some publish hundreds)
	MaxAddresses = 40 // addresses probed in one run
	MaxPerFamily = 4  // addresses of one family of one host that are probed
	PortSMTP     = 25 // RFC 5321 section 4.5.4.2
)

// Prober observes SMTP endpoints; *smtp.Prober does.
type Prober interface {
	Probe(ctx context.Context, t smtp.Target) (audit.Endpoint, []audit.Session)
	Floor(ctx context.Context, t smtp.Target, n int) (smtp.Floor, []audit.Session)
}

// ListChecker observes block lists; *dnsbl.Checker does.
type ListChecker interface {
	Health(ctx context.Context, l dnsbl.List) audit.BlockList
	Address(ctx context.Context, addr netip.Addr, role audit.Role) []audit.Listing
	Domain(ctx context.Context, d audit.Domain) []audit.Listing
}

// Plan is what to look at.
type Plan struct {
	Domain audit.Domain
	Scope  audit.Scope
	// SRV: DNS is asked for the domain's submission servers.
	SRV bool
	// HELO is the name to give in EHLO; empty: find one (see Identity).
	HELO string
	// FormerSPF are the names that the SPF policy of the domain included before, as
	// the history knows.
	FormerSPF []audit.DNSName
	// Named is what to connect to, and nothing else is looked at; nil: all that
	// belongs to the domain is.
	Named *Named
}

// Named is a server that the user named, or all mail hosts of the domain.
type Named struct {
	MX   bool          // the mail hosts of the domain of the plan
	Host audit.DNSName // a host name, or the address in words; with MX, the domain
	Addr netip.Addr    // valid: the host is an address and is not looked up
	Port uint16
	Mode audit.Mode
}

// Config is what a Collector works with.
type Config struct {
	DNS dnscheck.Asker
	// Prober makes the prober, or finds the one that the batch has, once our
	// own name is known. It is called once at most.
	Prober func(helo string) Prober
	// Shared is what the batch has in common at SMTP servers; nil: this is a run
	// by itself.
	Shared *Shared
	// Controls are asked when a server does not answer, and in similar doubt; nil:
	// nobody is, and what is in doubt stays unknown.
	Controls []Control
	// Proxied: a proxy connects in our place. It may say that a connection is made
	// before it knows, so there a greeting alone shows the way out, and which
	// addresses this machine has shows nothing.
	Proxied bool
	// FloorAfter is how long after the main dialogue the old versions of TLS are
	// tried; 0: smtp.FloorAfter, negative: at once.
	FloorAfter time.Duration
	// Lists asks block lists; BlockLists are those that it knows.
	Lists      ListChecker
	BlockLists []dnsbl.List
	// Local is the address that packets to the internet leave with, invalid
	// when there is no way out in that family.
	Local func(ctx context.Context, ip6 bool) netip.Addr
	// HostName is the name of this machine, as a last resort for EHLO.
	HostName string
	// Events, when set, is told of each observation as it is made. It is
	// called from many goroutines, one at a time.
	Events func(Event)
}

// Event is one observation, or the beginning of a step, for progress output.
type Event struct {
	Subject string // printable
	What    string // "MX", "A", "SMTP" ...
	State   audit.State
	Begin   bool // the step begins; State is not known yet
}

// Result is what a collection brought.
type Result struct {
	Facts    audit.Facts
	Sessions []audit.Session
	HELO     string // the name given in EHLO; empty when nothing was connected to
	// Connections were made for this run, to Addresses. At Shared servers it
	// was enough that another run of the batch looked.
	Connections, Addresses, Shared int
}

// Collector collects the facts of one domain. It is used once.
type Collector struct {
	cfg        Config
	plan       Plan
	began      time.Time      // when Collect was called
	ready      chan struct{}  // closed when our name is known and the prober is made
	helo       string         // set before ready
	prober     Prober         // the same
	background sync.WaitGroup // what is begun early for egress
	mu         sync.Mutex     // guards what follows, never held while waiting
	result     Result
	taken      map[netip.Addr]bool     // addresses that are being looked at for themselves
	offered    map[string]bool         // endpoints of submission that are being looked at, by subject
	met        map[netip.Addr]bool     // addresses that were connected to for this run
	reached    map[way]bool            // ways on which a server answered
	waiting    map[way]int             // first looks that are not over yet
	doubted    map[way]bool            // ways on which one came to nothing
	theirs     map[netip.AddrPort]bool // servers that were looked at for another run alone
}

// New makes a Collector for one plan.
func New(cfg Config, plan Plan) *Collector {
	if cfg.Shared == nil {
		cfg.Shared = NewShared()
	}
	if cfg.FloorAfter == 0 {
		cfg.FloorAfter = smtp.FloorAfter
	}
	return &Collector{
		cfg: cfg, plan: plan, ready: make(chan struct{}),
		taken: map[netip.Addr]bool{}, offered: map[string]bool{}, met: map[netip.Addr]bool{}, theirs: map[netip.AddrPort]bool{},
		reached: map[way]bool{}, waiting: map[way]int{}, doubted: map[way]bool{},
	}
}

// Collect makes all observations of the plan and returns them in canonical
// form. It returns soon after ctx ends, with what was seen until then.
func (c *Collector) Collect(ctx context.Context) Result {
	c.began = time.Now()
	var wg sync.WaitGroup
	if c.plan.Scope.Connects() {
		wg.Go(func() { c.introduce(ctx) }) // beside the MX and address questions
	}
	switch n := c.plan.Named; {
	case n != nil && n.MX:
		c.noSubmission()
		c.mail(ctx, &wg)
	case n != nil:
		c.named(ctx, &wg)
	default:
		c.domain(ctx, &wg)
	}
	wg.Wait()
	c.egress(ctx)
	return c.finish()
}

// domain follows all that belongs to the domain of the plan.
func (c *Collector) domain(ctx context.Context, wg *sync.WaitGroup) {
	for _, ip := range c.plan.Scope.SendingIPs {
		c.taken[ip] = true
		wg.Go(func() { c.about(ctx, ip, audit.RoleSender) })
	}
	c.senders(ctx, wg)
	c.submission(ctx, wg)
	c.mail(ctx, wg)
}

// finish brings the result into canonical form.
func (c *Collector) finish() Result {
	c.result.Facts.Names = namesBesideHosts(c.result.Facts)
	c.result.Facts.Canonical()
	slices.SortFunc(c.result.Sessions, func(a, b audit.Session) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Endpoint, b.Endpoint))
	})
	c.result.Addresses, c.result.Shared = len(c.met), len(c.theirs)
	return c.result
}

// introduce finds the name that we give in EHLO and makes the prober.
func (c *Collector) introduce(ctx context.Context) {
	c.helo = c.identity(ctx)
	c.prober = c.cfg.Prober(c.helo)
	close(c.ready)
}

// mail follows the mail of the domain. The addresses of the domain itself are
// asked together with its MX records: without MX they are the next step.
func (c *Collector) mail(ctx context.Context, wg *sync.WaitGroup) {
	domain := c.plan.Domain.Name()
	ahead, enough := context.WithCancel(ctx)
	defer enough()
	for _, ip6 := range []bool{false, true} {
		// The resolver remembers the answer; nobody waits for it here, so that
		// an address that is not needed cannot hold the audit up.
		wg.Go(func() { dnscheck.Addresses(ahead, c.cfg.DNS, domain, ip6) })
	}
	mx := dnscheck.MX(ctx, c.cfg.DNS, c.plan.Domain)
	c.tell(domain.String(), "MX", mx.Records.State)
	c.mu.Lock()
	c.result.Facts.MX = mx
	c.mu.Unlock()
	hosts, role := mailHosts(domain, mx)
	most := limitsFor(len(hosts))
	for i, name := range hosts {
		if i >= MaxHosts {
			c.addHost(leftOut(name, role))
			continue
		}
		wg.Go(func() { c.host(ctx, name, role, most) })
	}
}

// mailHosts names the hosts that mail is handed to, most preferred first.
func mailHosts(domain audit.DNSName, mx audit.MX) ([]audit.DNSName, audit.Role) {
	if mx.Records.State == audit.Absent && mx.Exists.State == audit.Seen {
		return []audit.DNSName{domain}, audit.RoleImplicit
	}
	records := slices.Clone(mx.Records.Value)
	slices.SortStableFunc(records, func(a, b audit.MXRecord) int {
		if a.Preference != b.Preference {
			return int(a.Preference) - int(b.Preference)
		}
		return compareNames(a.Host, b.Host)
	})
	var hosts []audit.DNSName
	for _, r := range records {
		if !r.IsNull() && !slices.Contains(hosts, r.Host) {
			hosts = append(hosts, r.Host)
		}
	}
	return hosts, audit.RoleMX
}

func compareNames(a, b audit.DNSName) int {
	if a < b {
		return -1
	}
	return 1
}

func leftOut(name audit.DNSName, role audit.Role) audit.Host {
	const why = "a run looks at the 20 most preferred mail hosts"
	return audit.Host{
		Name: name, Role: role,
		Alias: audit.Skipped[[]audit.DNSName](why),
		A:     audit.Skipped[[]netip.Addr](why),
		AAAA:  audit.Skipped[[]netip.Addr](why),
	}
}

// host follows one mail host: both families at once, and each address of
// them as soon as it is known.
func (c *Collector) host(ctx context.Context, name audit.DNSName, role audit.Role, most limits) {
	h := audit.Host{Name: name, Role: role}
	var alias [2]audit.Obs[[]audit.DNSName]
	var wg sync.WaitGroup
	family := func(ip6 bool, into *audit.Obs[[]netip.Addr], leftOut *int, i int, what string) {
		*into, alias[i] = dnscheck.Addresses(ctx, c.cfg.DNS, name, ip6)
		*leftOut = dnscheck.Bound(into, most.follow, netip.Addr{})
		c.tell(name.String(), what, into.State)
		addrs := slices.Clone(into.Value)
		slices.SortFunc(addrs, netip.Addr.Compare)
		for j, a := range slices.Compact(addrs) {
			wg.Go(func() { c.address(ctx, name, a, j < most.probe) })
		}
	}
	wg.Go(func() { family(false, &h.A, &h.ALeftOut, 0, "A") })
	wg.Go(func() { family(true, &h.AAAA, &h.AAAALeftOut, 1, "AAAA") })
	wg.Wait()
	h.Alias = dnscheck.Alias(alias[0], alias[1])
	c.addHost(h)
}

// address looks at one address of a host from both sides: its reverse DNS,
// and what answers there.
func (c *Collector) address(ctx context.Context, host audit.DNSName, a netip.Addr, probe bool) {
	var wg sync.WaitGroup
	if c.take(a) {
		wg.Go(func() { c.about(ctx, a, audit.RoleMX) })
	}
	if c.plan.Scope.Connects() {
		wg.Go(func() { c.endpoint(ctx, c.target(host, a), probe) })
	}
	wg.Wait()
}

// about looks at an address for itself: its reverse DNS and its listings.
func (c *Collector) about(ctx context.Context, a netip.Addr, role audit.Role) {
	var wg sync.WaitGroup
	if c.plan.Scope.Has(audit.AreaRDNS) {
		wg.Go(func() { c.reverse(ctx, a, role) })
	}
	if c.wantsLists() {
		wg.Go(func() { c.addListings(c.cfg.Lists.Address(ctx, a, role)) })
	}
	wg.Wait()
}

func (c *Collector) reverse(ctx context.Context, a netip.Addr, role audit.Role) {
	rv := dnscheck.Reverse(ctx, c.cfg.DNS, a, role)
	c.tell(a.String(), "PTR", rv.PTR.State)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Facts.RDNS = append(c.result.Facts.RDNS, rv)
}

// take claims an address for one goroutine.
func (c *Collector) take(a netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken[a] {
		return false
	}
	c.taken[a] = true
	return true
}

// addHost adds a host. One that takes mail for the domain and takes it from
// its people as well is there once, as what it is for others.
func (c *Collector) addHost(h audit.Host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := slices.IndexFunc(c.result.Facts.Hosts, func(have audit.Host) bool { return have.Name == h.Name })
	switch {
	case same >= 0 && h.Role == audit.RoleSubmission && c.result.Facts.Hosts[same].Role != audit.RoleSubmission:
		return
	case same >= 0:
		c.result.Facts.Hosts[same] = h
		return
	}
	c.result.Facts.Hosts = append(c.result.Facts.Hosts, h)
}

func (c *Collector) addEndpoint(e audit.Endpoint, sessions []audit.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Facts.SMTP = append(c.result.Facts.SMTP, e)
	c.result.Sessions = append(c.result.Sessions, sessions...)
}

func (c *Collector) tell(subject, what string, state audit.State) {
	c.emit(Event{Subject: subject, What: what, State: state})
}

func (c *Collector) emit(e Event) {
	if c.cfg.Events == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cfg.Events(e)
}
