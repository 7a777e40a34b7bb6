package dnscheck

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"blitiri.com.ar/go/spf"
	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// The evaluator against another implementation: random policies over a small
// random zone. Where the two differ, either one of the faults of the other that
// oracleFault knows is behind it, or it is ours.

// dice are decisions, made by the bytes of a fuzzer. When they run out, it is
// always the first choice.
type dice struct {
	bytes []byte
}

func (d *dice) roll(n int) int {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b) % n
}

func pick[T any](d *dice, from ...T) T { return from[d.roll(len(from))] }

// oracleZone is the zone as both see it. The names d0.test to d7.test have what
// was rolled; what other names have follows from their octets, so that a macro
// which is expanded in another way leads to other records.
type oracleZone struct {
	client netip.Addr
	txt    map[string][]string
	mx     map[string][]audit.MXRecord
	ptr    []string
	fails  map[string]bool // names of which every question fails
}

const oracleDomains = 8

func rollZone(d *dice, client netip.Addr) *oracleZone {
	z := &oracleZone{client: client, txt: map[string][]string{}, mx: map[string][]audit.MXRecord{}, fails: map[string]bool{}}
	for i := range oracleDomains {
		name := fmt.Sprintf("d%d.test", i)
		switch d.roll(16) {
		case 15:
			z.fails[name] = true
		case 14:
			z.txt[name] = []string{"v=spf1 -all", "v=spf1 +all"}
		case 13:
			z.txt[name] = []string{"v=spf10 +all", "spf2.0/pra -all"}
		case 12:
		default:
			z.txt[name] = []string{rollRecord(d), "something else"}
		}
		for range pick(d, 0, 1, 1, 2, 3, 10, 11) {
			z.mx[name] = append(z.mx[name], audit.MXRecord{Preference: uint16(d.roll(3)), Host: audit.DNSName(rollHost(d))})
		}
	}
	for range pick(d, 0, 0, 1, 2, 9, 12) {
		z.ptr = append(z.ptr, rollHost(d))
	}
	if d.roll(12) == 11 {
		z.fails["PTR"] = true
	}
	return z
}

func rollHost(d *dice) string {
	if d.roll(4) == 0 {
		return fmt.Sprintf("d%d.test", d.roll(oracleDomains))
	}
	return fmt.Sprintf("h%d.d%d.test", d.roll(40), d.roll(oracleDomains))
}

func rollRecord(d *dice) string {
	words := []string{pick(d, "v=spf1", "v=spf1", "V=SPF1", "v=spf1 ")}
	for range 1 + d.roll(6) {
		words = append(words, rollTerm(d))
	}
	switch d.roll(4) {
	case 0:
		words = append(words, pick(d, "-all", "~all", "?all", "all", "+ALL"))
	case 1:
		words = append(words, "redirect="+rollDomain(d, "d"))
	}
	if d.roll(4) == 0 {
		i := 1 + d.roll(len(words))
		words = slices.Insert(words, i, pick(d, "exp=d1.test", "moo=%{d2}", "v=x", "redirect=d2.test", "a=b:c/d"))
	}
	return strings.Join(words, " ")
}

func rollTerm(d *dice) string {
	q := pick(d, "", "", "+", "-", "~", "?")
	switch d.roll(20) {
	case 0, 1:
		return q + "ip4:" + pick(d, "192.0.2.1", "192.0.2.0/25", "192.0.2.0/24", "198.51.100.0/24", "0.0.0.0/0")
	case 2, 3:
		return q + "ip6:" + pick(d, "2001:db8::1", "2001:db8::/32", "2001:db8:1::/48", "::/0")
	case 4, 5, 6:
		return q + pick(d, "a", "A") + rollTarget(d, "h") + rollLengths(d)
	case 7, 8:
		return q + "mx" + rollTarget(d, "h") + rollLengths(d)
	case 9, 10, 11, 12, 13:
		return q + pick(d, "include:", "Include:") + rollDomain(d, "d")
	case 14, 15:
		return q + "exists:" + rollDomain(d, "e")
	case 16:
		return q + "ptr" + pick(d, "", "", ":d1.test", ":%_.test", ":h1.d2.test", ":%{d2}")
	case 17:
		return q + pick(d, "a", "mx", "ptr", "exists:e.%{p}.test")
	case 18: // faults, and what is near one
		if d.roll(3) > 0 {
			return q + "include:" + rollDomain(d, "d")
		}
		return pick(d, append(faultyTerms(), "ip6:::ffff:192.0.2.1", "a:x..test", "a:d0.test.", "MOO=", "ip4=192.0.2.1")...)
	}
	return q + pick(d, "a:h.%{l}.test", "mx:d%{d1}.test", "include:%{o}", "a:"+strings.Repeat("%{o}.", 40)+"test", "a:"+strings.Repeat("x", 64)+".test")
}

// faultyTerms are terms that the grammar does not allow (RFC 7208 section 12).
func faultyTerms() []string {
	return []string{
		"foo", "a:", "include:", "ip4:192.0.2", "ip4:192.0.2.0/33", "ip4:2001:db8::1", "a/33", "a//129", "mx/024", "ptr/24", "exists:%{x}.test", "include:%{c}.test",
		"a:test", "a:x.123", "a:x_y.te_st", "all:x", "-all.", "a:d1.test/", "a:%{d", "moo=%", "--a", "-moo=x", "exp=",
	}
}

func rollTarget(d *dice, class string) string {
	if d.roll(3) == 0 {
		return ""
	}
	return ":" + rollDomain(d, class)
}

func rollLengths(d *dice) string {
	return pick(d, "", "", "", "/24", "//64", "/25//32", "/0", "//0", "/32//128")
}

// rollDomain is a domain-spec. Names that begin with e are asked for A records
// alone: see oracleView.
func rollDomain(d *dice, class string) string {
	if class == "d" && d.roll(8) > 0 {
		return fmt.Sprintf("d%d.test", d.roll(oracleDomains))
	}
	letter := pick(d, "s", "l", "o", "d", "i", "v", "h", "S", "L", "D", "H")
	macro := "%{" + letter + pick(d, "", "", "1", "2", "3", "20") + pick(d, "", "r", "R") + pick(d, "", "", ".", "-", "+-", "_=,") + "}"
	return class + pick(d, "", "%%", "%_x", "%-", ".") + macro + pick(d, ".test", ".%{d1r}", "-x.d1.test", "")
}

// hash decides what a name has.
func (z *oracleZone) hash(name, kind string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(name) + " " + kind))
	return h.Sum32() >> 8
}

// addrs are the addresses of a name in one family; ok is false when the
// question fails.
func (z *oracleZone) addrs(name string, six bool) (out []netip.Addr, ok bool) {
	if z.fails[name] || strings.HasPrefix(name, "h") && z.hash(name, "")%24 == 0 {
		return nil, false
	}
	near, far := "192.0.2.77", "198.51.100.7"
	if six {
		near, far = "2001:db8::77", "2001:db8:ffff::7"
	}
	switch z.hash(name, fmt.Sprint(six)) % 6 {
	case 0:
		out = append(out, netip.MustParseAddr(near))
	case 1:
		out = append(out, netip.MustParseAddr(far), netip.MustParseAddr(near))
	case 2:
		out = append(out, netip.MustParseAddr(far))
	case 3:
		if z.client.Is6() == six {
			out = append(out, z.client)
		}
	}
	return out, true
}

func (z *oracleZone) texts(name string) ([]string, bool) {
	if z.fails[name] {
		return nil, false
	}
	if txt, ok := z.txt[name]; ok || strings.HasSuffix(name, ".test") && len(name) == len("d0.test") {
		return txt, true
	}
	return [][]string{nil, nil, {"v=spf1 ip4:192.0.2.0/25 -all"}, {"v=spf1 ~all"}, {"v=spf1 +all"}}[z.hash(name, "TXT")%5], true
}

// Ask is how our evaluator sees the zone.
func (z *oracleZone) Ask(_ context.Context, name audit.DNSName, qtype uint16) *resolve.Answer {
	a := &resolve.Answer{Name: name, Type: qtype, State: audit.Absent, Why: audit.Reason{Code: audit.NoData}}
	head := dns.RR_Header{Name: name.FQDN(), Rrtype: qtype, Class: dns.ClassINET}
	plain := resolve.TXT(&dns.TXT{Txt: []string{string(name)}}) // without the escapes
	ok := true
	switch qtype {
	case dns.TypeTXT:
		var txt []string
		txt, ok = z.texts(string(plain))
		for _, s := range txt {
			a.Records = append(a.Records, &dns.TXT{Hdr: head, Txt: []string{s}})
		}
	case dns.TypeA, dns.TypeAAAA:
		var addrs []netip.Addr
		addrs, ok = z.addrs(string(plain), qtype == dns.TypeAAAA)
		for _, addr := range addrs {
			if addr.Is4() {
				a.Records = append(a.Records, &dns.A{Hdr: head, A: addr.AsSlice()})
			} else {
				a.Records = append(a.Records, &dns.AAAA{Hdr: head, AAAA: addr.AsSlice()})
			}
		}
	case dns.TypeMX:
		ok = !z.fails[string(plain)]
		for _, m := range z.mx[string(plain)] {
			a.Records = append(a.Records, &dns.MX{Hdr: head, Preference: m.Preference, Mx: m.Host.FQDN()})
		}
	case dns.TypePTR:
		ok = !z.fails["PTR"]
		for _, s := range z.ptr {
			a.Records = append(a.Records, &dns.PTR{Hdr: head, Ptr: s + "."})
		}
	}
	switch {
	case !ok:
		a.State, a.Why, a.Records = audit.Unknown, audit.Reason{Code: audit.ServFail, Text: "SERVFAIL"}, nil
	case len(a.Records) > 0:
		a.State, a.Why = audit.Seen, audit.Reason{}
	}
	return a
}

// oracleView is how the library sees the zone, with what it lacks made good
// for: it asks for both families where the RFC wants one (section 5), does not
// cut names that are too long (7.3), and takes MX and PTR records as they come.
type oracleView struct{ z *oracleZone }

func (v oracleView) name(s string) (string, error) {
	for s = strings.TrimSuffix(s, "."); len(s) > 253; {
		_, s, _ = strings.Cut(s, ".")
	}
	if _, ok := audit.WireName(s); !ok {
		return "", &net.DNSError{Err: "no name", IsNotFound: true}
	}
	return strings.ToLower(s), nil
}

func found[T any](list []T, ok bool) ([]T, error) {
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "SERVFAIL", IsTemporary: true}
	case len(list) == 0:
		return nil, &net.DNSError{Err: "nothing", IsNotFound: true}
	}
	return list, nil
}

func (v oracleView) LookupTXT(_ context.Context, name string) ([]string, error) {
	name, err := v.name(name)
	if err != nil {
		return nil, err
	}
	return found(v.z.texts(name))
}

func (v oracleView) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	name, err := v.name(name)
	if err != nil {
		return nil, err
	}
	var out []*net.MX
	for _, m := range v.z.mx[name] {
		out = append(out, &net.MX{Host: m.Host.FQDN(), Pref: m.Preference})
	}
	return found(out, !v.z.fails[name])
}

func (v oracleView) LookupIPAddr(_ context.Context, name string) ([]net.IPAddr, error) {
	name, err := v.name(name)
	if err != nil {
		return nil, err
	}
	addrs, ok := v.z.addrs(name, v.z.client.Is6() && !strings.HasPrefix(name, "e"))
	var out []net.IPAddr
	for _, a := range addrs {
		out = append(out, net.IPAddr{IP: a.AsSlice()})
	}
	return found(out, ok)
}

func (v oracleView) LookupAddr(_ context.Context, _ string) ([]string, error) {
	names := slices.Clone(v.z.ptr)
	slices.Sort(names)
	names = slices.Compact(names)
	for i := range names {
		names[i] += "."
	}
	return found(names, !v.z.fails["PTR"])
}

// oracleFault is the clause of RFC 7208 that the library breaks where the two
// differ, or "".
func oracleFault(z *oracleZone, ours audit.SPFCheck, theirs spf.Result, local string) string {
	var emptyPtr int
	var early, p, mapped, single, localPart bool
	faulty := true // every fault is one that was put there
	walkSPF(ours.Tree, func(n *audit.SPFNode, s audit.SPFStep) {
		for _, f := range n.Faults {
			again := strings.Contains(f.Text, "only once")
			faulty = faulty && (again || slices.Contains(faultyTerms(), string(f.Term)))
		}
		for _, r := range n.Records {
			p = p || strings.Contains(string(r), "%{p")
			lower := strings.ToLower(string(r))
			localPart = localPart || strings.Contains(lower, "%{l") || strings.Contains(lower, "%{s")
			mapped = mapped || strings.Contains(string(r), "ip6:::ffff:192.0.2.1")
		}
		term := strings.ToLower(strings.TrimLeft(string(s.Term), "+-~?"))
		if strings.HasPrefix(term, "ptr") && s.State == audit.Absent {
			emptyPtr++
		}
		single = single || s.Node != nil && s.Node.Domain == ""
		if strings.HasPrefix(term, "mx") && s.Outcome == audit.SPFMatched {
			for _, h := range s.Hosts {
				_, ok := z.addrs(string(h), z.client.Is6())
				early = early || !ok
			}
		}
	})
	switch {
	case ours.Flaw == audit.SPFSyntax && faulty:
		return "4.6: a fault anywhere in a record is found before a term is evaluated; 12: toplabel, leading zeros, families, c, r and t outside of explanations"
	case single:
		return "4.3: a domain of one label has no record"
	case p:
		return "7.2: %{p} is the validated name; 4.6.4: and counts as a lookup"
	case mapped:
		return "5: an IPv4-mapped address matches ip4 alone"
	case ours.Flaw == audit.SPFVoids && emptyPtr > 1:
		return "4.6.4: the limit is on terms, so that every ptr that finds nothing counts"
	case theirs == spf.TempError && early:
		return "5.4: when an address matches, the mechanism does: those that come after it are of no importance"
	case localPart && (strings.Contains(local, "--") || strings.HasSuffix(local, "-")):
		return "7.3: empty parts count like others"
	}
	return ""
}

// walkSPF sees every step of a tree, and an empty one for a node without any.
func walkSPF(n *audit.SPFNode, see func(*audit.SPFNode, audit.SPFStep)) {
	if n == nil {
		return
	}
	if len(n.Steps) == 0 {
		see(n, audit.SPFStep{})
	}
	for _, s := range n.Steps {
		see(n, s)
		walkSPF(s.Node, see)
	}
}

// compareSPF evaluates one roll of the dice by both, and returns the result
// and the clause of a difference.
func compareSPF(t *testing.T, choices []byte) (audit.SPFResult, string) {
	t.Helper()
	d := &dice{choices}
	ip := netip.MustParseAddr(pick(d, "192.0.2.1", "192.0.2.200", "2001:db8::1", "2001:db8:2::9", "::ffff:192.0.2.1"))
	local := pick(d, "user", "strong-bad", "a.b-c+d", "~jack&jill=up", "", "x--y", "z_-")
	helo := pick(d, "d1.test", "mail.d2.test", "HELO", "d0.test")
	z := rollZone(d, ip.Unmap())
	sender := local + "@d0.test"
	if d.roll(8) == 7 {
		sender = ""
	}
	ours := CheckHost(t.Context(), z, SPFQuery{IP: ip, MailFrom: sender, Helo: helo, At: time.Unix(0, 0)})
	checkShape(t, ours)
	if sender == "" && ours.Result == audit.SPFNone && !strings.Contains(helo, ".") {
		return ours.Result, "" // 4.3: one label alone
	}
	theirSender := string(ours.Sender) // with postmaster where it belongs (4.3), which the library leaves to others
	theirs, err := spf.CheckHostWithSender(ip.AsSlice(), helo, theirSender, spf.WithResolver(oracleView{z}))
	if string(theirs) == string(ours.Result) {
		return ours.Result, ""
	}
	clause := oracleFault(z, ours, theirs, local)
	if clause == "" {
		t.Errorf("%s from %q, helo %s: we say %s (%s), the library %s (%v)\n%v\nMX %v\nPTR %v\nfailing %v", ip, theirSender, helo, ours.Result, ours.Why, theirs, err, z.txt, z.mx, z.ptr, z.fails)
	}
	return ours.Result, clause
}

// checkShape holds what is true of every check.
func checkShape(t *testing.T, c audit.SPFCheck) {
	t.Helper()
	if c.Lookups > audit.SPFMaxLookups || c.VoidLookups > audit.SPFMaxVoids+1 && c.Flaw != audit.SPFNoRecord {
		t.Errorf("%d lookups, %d of them void", c.Lookups, c.VoidLookups)
	}
	if c.Tree.Lookups != c.Lookups || c.Tree.VoidLookups != c.VoidLookups || c.Tree.Result != c.Result || c.Why == "" {
		t.Errorf("the tree says %+v, the check %+v", c.Tree, c)
	}
	if (c.Result == audit.SPFPermError) != (c.Flaw != "") || (c.Result == audit.SPFTempError) != (c.Trouble.Code != "") {
		t.Errorf("%s with flaw %q and trouble %q", c.Result, c.Flaw, c.Trouble.Code)
	}
	if (c.Flaw == "") != (c.FlawAt == "") || c.Result == audit.SPFPass && len(c.Matched) == 0 {
		t.Errorf("%+v", c)
	}
	var sum func(n *audit.SPFNode) (int, int)
	sum = func(n *audit.SPFNode) (lookups, voids int) {
		for _, s := range n.Steps {
			if s.Node != nil && (s.Node.Lookups != s.Lookups-1 && !strings.Contains(string(s.Term), "%{p")) {
				t.Errorf("%s: %d lookups, below it %d", s.Term, s.Lookups, s.Node.Lookups)
			}
			lookups, voids = lookups+s.Lookups, voids+s.VoidLookups
			if s.Node != nil {
				sum(s.Node)
			}
		}
		if lookups != n.Lookups || voids != n.VoidLookups {
			t.Errorf("%s: %d lookups and %d void ones by its terms, %d and %d by itself", n.Domain, lookups, voids, n.Lookups, n.VoidLookups)
		}
		return lookups, voids
	}
	sum(c.Tree)
}

// TestSPFAgainstOracle does a part of the fuzzing every time, and says how the
// results are spread: a generator whose policies are all broken proves nothing.
func TestSPFAgainstOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(7208, 2014))
	results, clauses := map[audit.SPFResult]int{}, map[string]int{}
	for range 5000 {
		choices := make([]byte, 1500)
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		result, clause := compareSPF(t, choices)
		results[result]++
		if clause != "" {
			clauses[clause]++
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("results %v; differences %v", results, clauses)
	for _, r := range []audit.SPFResult{audit.SPFPass, audit.SPFFail, audit.SPFSoftFail, audit.SPFNeutral, audit.SPFNone, audit.SPFTempError, audit.SPFPermError} {
		if results[r] < 50 {
			t.Errorf("only %d times %s", results[r], r)
		}
	}
}

// FuzzSPFAgainstOracle finds no difference but those that oracleFault lists.
func FuzzSPFAgainstOracle(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		choices := make([]byte, 800)
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, choices []byte) { compareSPF(t, choices) })
}
