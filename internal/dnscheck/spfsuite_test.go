package dnscheck

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.yaml.in/yaml/v3"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
	"mailaudit/internal/resolve"
)

// The conformance suites of openspf.org come with the module of the SPF
// library that we compare ourselves with. They are read where it is, and not
// copied.

// scenario is one YAML document: zone data, and checks against it.
type scenario struct {
	Description string
	Tests       map[string]suiteCase
	Zone        map[string][]yaml.Node `yaml:"zonedata"`
}

type suiteCase struct {
	Helo        string
	Host        string
	MailFrom    string `yaml:"mailfrom"`
	Result      words
	Explanation string
}

// words is one string, or a list of them.
type words []string

func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = words{n.Value}
		return nil
	}
	return n.Decode((*[]string)(w))
}

// suite reads a file of the module's testdata.
func suite(t *testing.T, name string) []scenario {
	t.Helper()
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "blitiri.com.ar/go/spf")
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOTOOLCHAIN=local")
	dir, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []scenario
	for d := yaml.NewDecoder(f); ; {
		var s scenario
		err := d.Decode(&s)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
}

// suiteZone answers as the zone data says. Records stand in order: TIMEOUT
// strikes the types that do not stand in front of it.
type suiteZone map[audit.DNSName][]suiteRecord

type suiteRecord struct {
	qtype uint16 // 0: the failure of all other types
	rr    dns.RR
}

// newSuiteZone reads zone data. Records of type SPF stand for TXT records too
// where there are none of those, as the suites want it: they were written when
// there were two types.
func newSuiteZone(t *testing.T, data map[string][]yaml.Node) suiteZone {
	t.Helper()
	z := suiteZone{}
	for owner, nodes := range data {
		name, ok := audit.WireName(owner)
		if !ok {
			t.Fatalf("zone data for %q", owner)
		}
		var list, copies []suiteRecord
		ownTXT := false
		for _, n := range nodes {
			if n.Kind == yaml.ScalarNode { // a bare TIMEOUT
				list = append(list, suiteRecord{})
				continue
			}
			kind, value := n.Content[0].Value, n.Content[1]
			switch {
			case kind == "TIMEOUT" || kind == "SERVFAIL":
				list = append(list, suiteRecord{})
				continue
			case kind == "CNAMELOOP":
				kind, value = "CNAME", &yaml.Node{Kind: yaml.ScalarNode, Value: owner}
			case kind == "TXT" && value.Value == "NONE":
				ownTXT = true
				continue
			}
			rrs := suiteRRs(t, name, kind, value)
			list = append(list, rrs...)
			ownTXT = ownTXT || kind == "TXT"
			if kind == "SPF" {
				copies = append(copies, suiteRRs(t, name, "TXT", value)...)
			}
		}
		if !ownTXT {
			list = append(copies, list...)
		}
		z[name] = append(z[name], list...)
	}
	return z
}

func suiteRRs(t *testing.T, owner audit.DNSName, kind string, value *yaml.Node) []suiteRecord {
	t.Helper()
	h := dns.RR_Header{Name: owner.FQDN(), Rrtype: dns.StringToType[kind], Class: dns.ClassINET, Ttl: 300}
	target := func(s string) string {
		name, ok := audit.WireName(s)
		if !ok {
			return "." // the null MX
		}
		return name.FQDN()
	}
	var text words
	err := value.Decode(&text)
	if err != nil {
		t.Fatalf("%s %s: %v", owner, kind, err)
	}
	var rr dns.RR
	switch kind {
	case "TXT":
		rr = &dns.TXT{Hdr: h, Txt: suiteText(text)}
	case "SPF":
		rr = &dns.SPF{Hdr: h, Txt: suiteText(text)}
	case "MX":
		mx := &dns.MX{Hdr: h, Mx: target(text[1])}
		fmt.Sscan(text[0], &mx.Preference)
		rr = mx
	case "CNAME":
		rr = &dns.CNAME{Hdr: h, Target: target(text[0])}
	case "A", "AAAA", "PTR": // one record, or a list of them
		var out []suiteRecord
		for _, s := range text {
			switch kind {
			case "A":
				rr = &dns.A{Hdr: h, A: net.ParseIP(s)}
			case "AAAA":
				rr = &dns.AAAA{Hdr: h, AAAA: net.ParseIP(s)}
			default:
				rr = &dns.PTR{Hdr: h, Ptr: target(s)}
			}
			out = append(out, suiteRecord{h.Rrtype, rr})
		}
		return out
	default:
		t.Fatalf("%s: records of type %q", owner, kind)
	}
	return []suiteRecord{{h.Rrtype, rr}}
}

// suiteText is the strings of a TXT record in zone file form, each 255 octets
// at most. A record without strings, which the DNS cannot carry (RFC 1035
// section 3.3.14), is one with an empty string. YAML has octets as runes.
func suiteText(strs []string) []string {
	var out []string
	for _, s := range strs {
		var octets []byte
		for _, r := range s {
			octets = append(octets, byte(r))
		}
		for chunk := range slices.Chunk(octets, 255) {
			b := &strings.Builder{}
			for _, c := range chunk {
				fmt.Fprintf(b, `\%03d`, c)
			}
			out = append(out, b.String())
		}
	}
	if out == nil {
		return []string{""}
	}
	return out
}

// ServeDNS answers like a resolver that does not follow aliases. Where the
// suites say that a question times out, it is answered with SERVFAIL: the same
// to SPF (RFC 7208 section 4.4), without the waiting.
func (z suiteZone) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	q := r.Question[0]
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	name := audit.NewDNSName(q.Name)
	for _, rec := range z[name] {
		switch {
		case rec.qtype == 0 && len(m.Answer) == 0:
			m.Rcode = dns.RcodeServerFailure
		case rec.qtype != 0 && (rec.qtype == q.Qtype || rec.qtype == dns.TypeCNAME):
			m.Answer = append(m.Answer, rec.rr)
		}
	}
	if _, exists := z[name]; !exists {
		m.Rcode = dns.RcodeNameError
	}
	if w.LocalAddr().Network() == "udp" {
		m.Truncate(int(r.IsEdns0().UDPSize()))
	}
	w.WriteMsg(m)
}

// loopback serves z on loopback, over UDP and TCP, and returns a client of it.
func (z suiteZone) loopback(t *testing.T) *resolve.Client {
	t.Helper()
	udp, tcp := bothProtocols(t)
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: z}, {Listener: tcp, Handler: z}} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go s.ActivateAndServe()
		<-ready
		t.Cleanup(func() { s.Shutdown() })
	}
	server, err := resolve.ParseServer(udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := resolve.New(resolve.Config{
		Servers: []resolve.Server{server}, Timeout: 20 * time.Second, // a busy machine is no lost packet
		Dialer: dial.New(dial.Config{Guard: func(netip.Addr) string { return "" }}),
	})
	t.Cleanup(c.Close)
	return c
}

func bothProtocols(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 { // the port that UDP got may be taken over TCP
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	t.Fatal("no port is free over UDP and TCP")
	return nil, nil
}

// suiteOther is a result that differs from what a suite wants, and the clause
// of RFC 7208 that says so.
type suiteOther struct {
	result audit.SPFResult
	clause string
}

// runSuite checks every case of a suite through the real client against
// servers on loopback, all at once: after a SERVFAIL the client waits before it
// tries again.
func runSuite(t *testing.T, name string, other map[string]suiteOther) {
	var mu sync.Mutex // guards the counts
	results := map[audit.SPFResult]int{}
	total, explained := 0, 0
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for _, s := range suite(t, name) {
		client := newSuiteZone(t, s.Zone).loopback(t)
		for id, c := range s.Tests {
			wg.Go(func() {
				got := CheckHost(t.Context(), client.View(), SPFQuery{
					IP: netip.MustParseAddr(c.Host), MailFrom: c.MailFrom, Helo: c.Helo, At: time.Unix(1700000000, 0),
				})
				want := c.Result
				o, differs := other[id]
				if differs {
					if slices.Contains(want, string(o.result)) {
						t.Errorf("%s: %q is what the suite wants as well", id, o.result)
					}
					want = words{string(o.result)}
				}
				if !slices.Contains(want, string(got.Result)) {
					t.Errorf("%s: %s: %s, want %v: %s", s.Description, id, got.Result, want, got.Why)
				}
				explains := c.Explanation != "" && got.Result == audit.SPFFail
				text := strings.Replace(c.Explanation, "DEFAULT", "", 1)
				if explains && !strings.EqualFold(string(got.Explanation), text) {
					t.Errorf("%s: %s: explanation %q, want %q", s.Description, id, got.Explanation, text)
				}
				mu.Lock()
				defer mu.Unlock()
				total++
				results[got.Result]++
				seen[id] = true
				if explains {
					explained++
				}
			})
		}
	}
	wg.Wait()
	for id := range other {
		if !seen[id] {
			t.Errorf("%s is no case", id)
		}
	}
	t.Logf("%s: %d cases and %d explanations, %d of them judged by RFC 7208 against the suite; results %v", name, total, explained, len(other), results)
	if total == 0 {
		t.Error("no cases")
	}
}

// TestSPFSuiteRFC7208: all cases, those included that the library skips.
func TestSPFSuiteRFC7208(t *testing.T) { runSuite(t, "rfc7208-tests.yml", nil) }

// TestSPFSuiteRFC4408: nothing in this edition of the older suite contradicts
// RFC 7208.
func TestSPFSuiteRFC4408(t *testing.T) { runSuite(t, "rfc4408-tests.yml", nil) }

func TestSPFSuitePySPF(t *testing.T) {
	runSuite(t, "pyspf-tests.yml", map[string]suiteOther{
		"default-modifier":       {audit.SPFNeutral, "6: modifiers that nobody knows are ignored, and default= is one"},
		"default-modifier-harsh": {audit.SPFNeutral, "6, and 4.7: the default is neutral"},
	})
}
