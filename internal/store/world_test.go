package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

// night is one run of a domain with three mail hosts, each with an IPv4 and
// an IPv6 address. What changes by itself depends on day alone: clocks, dates
// and ids in banners, the order of records, TTLs, which resolver answered.
// What the domain changes depends on drift alone.
type night struct {
	target  string // default example.org
	vantage string // default here
	areas   []audit.Area
	day     int
	drift   int // 0 is the first form of the world
	state   audit.RunState
	few     bool // one mail host instead of three
}

func (n night) start() time.Time {
	return time.Date(2026, 1, 1, 2, 0, 0, 123e6, time.UTC).AddDate(0, 0, n.day)
}

// pick is a number that looks random and is the same every time.
func pick(limit int, parts ...any) int {
	h := fnv.New32a()
	fmt.Fprint(h, parts...)
	return int(h.Sum32()>>4) % limit
}

func (n night) run(t testing.TB) *audit.Run {
	t.Helper()
	if n.target == "" {
		n.target = "example.org"
	}
	if n.vantage == "" {
		n.vantage = "here"
	}
	if n.areas == nil {
		n.areas = audit.Areas()
	}
	if n.state == "" {
		n.state = audit.Complete
	}
	domain, _, err := audit.ParseDomain(n.target)
	if err != nil {
		t.Fatal(err)
	}
	run := &audit.Run{
		UID:      fmt.Sprintf("019a%04x-%04x-7%03x-8000-%012x", n.drift, n.day, len(n.areas), pick(1<<28, n.target, n.vantage)),
		Kind:     audit.KindAudit,
		State:    n.state,
		Target:   n.target,
		Started:  n.start(),
		Finished: n.start().Add(time.Duration(9000+pick(4000, n.day)) * time.Millisecond),
		Tool:     audit.Tool{Version: "0.1.0", Catalogue: "0.1.0"},
		Snapshot: audit.Snapshot{
			Domain:  domain,
			At:      n.start(),
			Scope:   audit.Scope{Areas: n.areas},
			Vantage: audit.Vantage{Name: n.vantage, HELO: "probe." + n.vantage + ".example.net"},
			Facts:   n.facts(),
		},
		Sidecar: n.sidecar(),
	}
	run.Snapshot.Facts.Canonical()
	run.Findings = n.findings(run.Snapshot.Facts)
	run.Score = scoreOf(run.Findings)
	return run
}

func (n night) hosts() []audit.DNSName {
	var hosts []audit.DNSName
	for i := range 3 {
		hosts = append(hosts, audit.DNSName(fmt.Sprintf("mx%d.%s", i+1, n.target)))
	}
	if n.drift%7 == 3 {
		hosts[2] = audit.DNSName("mx-new." + n.target)
	}
	if n.few {
		return hosts[:1]
	}
	return hosts
}

func (n night) addr(host audit.DNSName, six bool) netip.Addr {
	if six {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x:%x", slices.Index(n.hosts(), host), 1+pick(65000, host)))
	}
	return netip.AddrFrom4([4]byte{192, 0, byte(2 + slices.Index(n.hosts(), host)), byte(1 + pick(250, host))})
}

func (n night) facts() audit.Facts {
	var f audit.Facts
	f.MX.Exists = audit.See(audit.Nothing{}, "dig MX "+n.target)
	f.MX.Alias = audit.None[[]audit.DNSName](audit.NoData, "The domain is no alias.", "dig CNAME "+n.target)
	var records []audit.MXRecord
	for i, host := range n.hosts() {
		records = append(records, audit.MXRecord{Preference: uint16(10 * (i + 1)), Host: host})
		four, six := n.addr(host, false), n.addr(host, true)
		f.Hosts = append(f.Hosts, audit.Host{
			Name: host, Role: audit.RoleMX,
			Alias: audit.None[[]audit.DNSName](audit.NoData, "The name is no alias.", ""),
			A:     audit.See([]netip.Addr{four}, audit.Dig("A", host)),
			AAAA:  audit.See([]netip.Addr{six}, audit.Dig("AAAA", host)),
		})
		for _, addr := range []netip.Addr{four, six} {
			f.RDNS = append(f.RDNS, audit.Reverse{
				Addr: addr, Role: audit.RoleMX,
				PTR:     audit.See([]audit.DNSName{host}, "dig -x "+addr.String()),
				Forward: []audit.Forward{{Name: host, Addrs: audit.See([]netip.Addr{addr}, audit.Dig("A", host))}},
			})
			f.SMTP = append(f.SMTP, n.endpoint(host, addr))
		}
	}
	turn := n.day % len(records) // servers rotate
	f.MX.Records = audit.See(append(slices.Clone(records[turn:]), records[:turn]...), "dig MX "+n.target)
	return f
}

func (n night) banner(host audit.DNSName) audit.Raw {
	return audit.Raw(fmt.Sprintf("%s ESMTP Postfix 4X%09dA1B2C3 %s \xff", host, pick(1e9, n.day, host), n.start().Format(time.RFC1123Z)))
}

func (n night) endpoint(host audit.DNSName, addr netip.Addr) audit.Endpoint {
	stable := audit.NewStabilizer()
	words := []audit.Keyword{{Name: "PIPELINING"}, {Name: "SIZE", Params: "52428800"}, {Name: "STARTTLS"}, {Name: "8BITMIME"}, {Name: "SMTPUTF8"}}
	hello := audit.Hello{Name: audit.Raw(host), Text: "at your service", Keywords: words[n.day%2:]}
	if n.day%2 == 1 {
		hello.Keywords = append(slices.Clone(words[1:]), words[0])
	}
	return audit.Endpoint{
		Host: host, Addr: addr, Port: 25,
		Connect:  audit.See(audit.Nothing{}, ""),
		Greeting: audit.See(audit.Greeting{Code: 220, Name: audit.Raw(host), Lines: []audit.Raw{stable.Text(n.banner(host))}, Delay: audit.Prompt}, "nc "+host.String()+" 25"),
		Hello:    audit.See(hello, ""),
		Helo:     audit.NA[audit.Hello]("EHLO was accepted."),
		StartTLS: audit.See(audit.Nothing{}, ""),
		TLS:      audit.See(n.tls(host), ""),
		HelloTLS: audit.See(audit.Hello{Name: audit.Raw(host), Keywords: slices.Clone(words[:2])}, ""),
	}
}

func (n night) tls(host audit.DNSName) audit.TLS {
	serial := n.drift / 5 // a certificate lasts a while
	return audit.TLS{
		Version: "TLS 1.3", Cipher: "TLS_AES_256_GCM_SHA384", Group: "X25519", ChainLen: 2,
		Chain: []audit.Certificate{
			certificate(audit.Raw(host), "R13", serial, host), certificate("R13", "ISRG Root X1", 0, ""),
		},
		Trust: audit.See(audit.Nothing{}, ""), NameMatch: audit.See(audit.Nothing{}, ""),
	}
}

func certificate(subject, issuer audit.Raw, serial int, name audit.DNSName) audit.Certificate {
	sum := ""
	for i := range 8 {
		sum += fmt.Sprintf("%08x", pick(1<<28, subject, serial, i))
	}
	c := audit.Certificate{
		Subject: "CN=" + subject, Issuer: "CN=" + issuer, NotBefore: time.Date(2026, 1, 1+serial, 0, 0, 0, 0, time.UTC),
		NotAfter: time.Date(2026, 4, 1+serial, 0, 0, 0, 0, time.UTC), KeyType: "ECDSA", KeyBits: 256, Signature: "SHA256-RSA", SHA256: sum, SPKI: sum[8:] + sum[:8],
	}
	if name != "" {
		c.Names, c.NameCount = []audit.Raw{audit.Raw(name)}, 1
	}
	return c
}

// rules in catalogue order, which is not the order of the alphabet.
func endpointRules() []audit.RuleID {
	return []audit.RuleID{"smtp.reachable", "smtp.greeting", "smtp.extensions", "tls.offered", "tls.version", "tls.certificate-trust", "tls.certificate-name", "tls.certificate-dates"}
}

func (n night) findings(facts audit.Facts) []audit.Finding {
	var out []audit.Finding
	add := func(rule audit.RuleID, subject string) {
		if slices.Contains(n.areas, rule.Area()) {
			out = append(out, n.finding(rule, subject))
		}
	}
	add("mx.records", n.target)
	add("mx.null", n.target)
	for _, h := range facts.Hosts {
		add("mx.host-resolves", h.Name.String())
	}
	for _, r := range facts.RDNS {
		add("rdns.exists", r.Addr.String())
	}
	for _, rule := range endpointRules() {
		for _, e := range facts.SMTP {
			add(rule, e.Subject())
		}
	}
	return out
}

// finding is the same until drift moves it: about one in ten moves each time.
func (n night) finding(rule audit.RuleID, subject string) audit.Finding {
	form := 0
	for d := 1; d <= n.drift; d++ {
		if pick(10, d, rule, subject) == 0 {
			form = d
		}
	}
	f := audit.Finding{Rule: rule, Subject: subject, Status: audit.Pass, Severity: audit.Severities()[pick(5, rule)]}
	switch pick(6, form, rule, subject) {
	case 0:
		f.Status = audit.Fail
		f.Detail = fmt.Sprintf("%s does not do what %s asks of it: the answer was %d.", subject, rule, form)
		f.Evidence = []string{"dig MX " + n.target, "answer: 550 5.7.1 <no> \\xFF " + subject}
		f.Fix = audit.Fix{Summary: "Publish the record.", Records: []audit.FixRecord{{Action: audit.Add, Name: n.target + ".", Type: "MX", Value: "10 mx1." + n.target + "."}}, Steps: []string{"First this.", "Then that."}}
	case 1:
		f.Status = audit.UnknownStatus
		f.Detail, f.Cause = "The server did not answer in time.", audit.Timeout
		f.Evidence = []string{"connect: timeout"}
	case 2:
		f.Status = audit.NAStatus
		f.Detail = "The question has no meaning here."
	default:
		f.Detail = fmt.Sprintf("%s is as it should be.", subject)
	}
	return f
}

func scoreOf(findings []audit.Finding) audit.Score {
	a := audit.AxisScore{}
	for _, f := range findings {
		switch f.Status {
		case audit.Pass:
			a.Pass++
		case audit.Fail:
			a.Fail++
		case audit.UnknownStatus:
			a.Unknown++
		}
	}
	a.Coverage = 100 * (a.Pass + a.Fail) / max(1, a.Pass+a.Fail+a.Unknown)
	a.Provisional = a.Unknown > 3
	points := max(0, 100-3*a.Fail)
	a.Points, a.Grade = &points, audit.Grades()[a.Fail%len(audit.Grades())]
	return audit.Score{Rubric: 1, Points: &points, Grade: a.Grade, Provisional: a.Provisional, Coverage: a.Coverage, Axes: map[audit.Axis]audit.AxisScore{
		audit.Delivery: a, audit.Protection: {Grade: audit.NoGrade, Coverage: 0, Provisional: true, NotAsked: []audit.Area{audit.AreaSPF}},
		audit.Privacy: {Grade: audit.NoGrade, Coverage: 100},
	}}
}

func (n night) sidecar() audit.Sidecar {
	s := audit.Sidecar{Traffic: audit.Traffic{Questions: 24 + n.day%3, Connections: 6, Hosts: 3, Addresses: 6}}
	for i, host := range n.hosts() {
		for _, kind := range []string{"A", "AAAA", "CNAME", "PTR"} {
			server := []string{"192.0.2.53:53", "[2001:db8::53]:53"}[pick(2, n.day, host, kind)]
			s.Queries = append(s.Queries, audit.Query{Name: host, Type: kind, TTL: uint32(pick(3600, n.day, host, kind)),
				Tries: []audit.Try{{Server: server, Net: "udp", Outcome: "NOERROR", Elapsed: time.Duration(pick(9e7, n.day, i, kind))}}})
		}
		for range 2 {
			at := time.Duration(pick(1e9, n.day, host))
			s.Sessions = append(s.Sessions, audit.Session{Endpoint: host.String() + ":25", N: 1, Started: n.start().Add(at), Outcome: "finished",
				Connect: at, Greeting: at / 2, EHLO: at / 3, StartTLS: at / 4, TLS: at / 5, EHLOTLS: at / 6,
				Lines: []audit.Line{
					{At: at, From: "S", Text: "220 " + n.banner(host)}, {At: at * 2, From: "C", Text: "EHLO probe.example.net"},
					{At: at * 3, From: "S", Text: "250-" + audit.Raw(host)}, {At: at * 4, From: "S", Text: "250 STARTTLS"},
					{At: at * 5, From: "C", Text: "STARTTLS"}, {At: at * 6, From: "S", Text: "220 2.0.0 Ready to start TLS"},
					{At: at * 7, From: "*", Text: "TLS 1.3, TLS_AES_256_GCM_SHA384"}, {At: at * 8, From: "C", Text: "QUIT"},
				}})
		}
	}
	return s
}

// mustOpen opens a history that is closed when the test ends.
func mustOpen(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, db) })
	return db
}

func mustClose(t testing.TB, db *DB) {
	t.Helper()
	err := db.Close()
	if err != nil {
		t.Error(err)
	}
}

func tempFile(t testing.TB) string { return filepath.Join(t.TempDir(), "history.db") }

// mustStore begins and finishes a run.
func mustStore(t testing.TB, db *DB, run *audit.Run) *audit.Run {
	t.Helper()
	mustBegin(t, db, run)
	mustFinish(t, db, run)
	return run
}

func mustBegin(t testing.TB, db *DB, run *audit.Run) {
	t.Helper()
	err := db.Begin(context.Background(), run)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
}

func mustFinish(t testing.TB, db *DB, run *audit.Run) {
	t.Helper()
	err := db.Finish(context.Background(), run)
	if err != nil {
		t.Fatalf("finish: %v", err)
	}
}

// mustClean fails the test for every problem that Check has.
func mustClean(t testing.TB, db *DB) {
	t.Helper()
	problems, err := db.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("check: %s", p)
	}
}

// domains compares the one type that hides its field.
func domains() cmp.Option { return cmp.Comparer(func(a, b audit.Domain) bool { return a == b }) }

// addresses compares netip values, which hide theirs too.
func addresses() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
}

// diffRuns says how two runs differ; "" when they do not. The sidecar may be
// missing where the store does not promise to keep it.
func diffRuns(want, got *audit.Run, sidecar bool) string {
	if got == nil {
		return "no run"
	}
	w, g := *want, *got
	if !sidecar {
		w.Sidecar, g.Sidecar = audit.Sidecar{}, audit.Sidecar{}
	}
	return cmp.Diff(&w, &g, domains(), addresses())
}
