//go:build integration && linux

package integration

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The first certificate of mx1 lives so long. When the first run is not
// through by then, as on a machine with much else to do, the story is told
// again with twice the time.
const (
	certLife    = 30 * time.Second
	maxCertLife = 2 * time.Minute
)

// TestStory audits a domain, lets it lose its second MX record and the
// certificate of the first MX host expire, and audits it again.
func TestStory(t *testing.T) {
	for life := certLife; life <= maxCertLife; life *= 2 {
		told := false
		ok := t.Run(life.String(), func(t *testing.T) { told = tellStory(t, life) })
		if told || !ok {
			return
		}
	}
	t.Fatalf("no first run was through within %s", maxCertLife)
}

// tellStory returns false when the certificate expired too early to tell
// anything.
func tellStory(t *testing.T, life time.Duration) bool {
	name := startBIND(t)
	certs := makeCertificates(t, life)
	startPostfix(t, certs)
	db := filepath.Join(t.TempDir(), "history.db")

	first, said := audit(t, certs.root, db)
	if time.Now().After(certs.mx1.notAfter) {
		t.Logf("the certificate expired during the first run; once more with a longer life")
		return false
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the first run: %s", said)
		}
	})
	checkFirst(t, first, certs)
	checkExit(t, first, said)

	name.dropSecondMX(t)
	for !time.Now().After(certs.mx1.notAfter) {
		time.Sleep(100 * time.Millisecond)
	}

	second, said := audit(t, certs.root, db)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the second run: %s", said)
		}
	})
	checkExit(t, second, said)
	checkChanges(t, first, second)
	return true
}

// aside reports whether a rule is beside this story: a certificate that lives
// half a minute is always about to expire, that one host is left is a fact worth
// a note, and so is that Debian's Postfix speaks TLS 1.1 to whoever wants it.
func aside(rule string) bool {
	return slices.Contains([]string{"tls.cert-expires-soon", "mx.single-point", "mx.no-ipv6", "mx.duplicate", "tls.old-version-accepted"}, rule)
}

// checkExit: 1 for a fail of severity high or worse, and else 0.
func checkExit(t *testing.T, r run, said result) {
	t.Helper()
	want := exitOK
	for _, f := range r.Findings {
		if f.Status == "fail" && (f.Severity == "high" || f.Severity == "critical") {
			want = exitFail
		}
	}
	if said.code != want {
		t.Errorf("run %d: exit %d, want %d", r.ID, said.code, want)
	}
}

// checkFirst: everything is seen, and it is what the lab has.
func checkFirst(t *testing.T, r run, certs *certificates) {
	t.Helper()
	if r.Target != labDomain || r.Kind != "audit" || r.ID == 0 || r.UID == "" || r.Vantage.Name != clientName {
		t.Errorf("target %q, kind %q, id %d, uid %q, vantage %q", r.Target, r.Kind, r.ID, r.UID, r.Vantage.Name)
	}
	if r.Changes.Base != nil || len(r.Changes.Changes)+len(r.Changes.Facts) > 0 {
		t.Errorf("the first run has nothing to be compared with, and says %+v", r.Changes)
	}
	if len(r.Findings) == 0 {
		t.Error("no findings")
	}
	for _, f := range r.Findings {
		if f.Status != "pass" && f.Status != "n/a" && !aside(f.Rule) {
			t.Errorf("%s %s: %s %s %s: the lab has no fault and keeps nothing secret", f.Rule, f.Subject, f.Status, f.Cause, f.Detail)
		}
	}
	checkPublished(t, r.Facts)
	want := map[string]issued{}
	for _, addr := range mx1Addrs() {
		want[mx1Name+" "+addr.String()] = certs.mx1
	}
	want[mx2Name+" "+mx2Addr] = certs.mx2
	if len(r.Facts.SMTP) != len(want) {
		t.Errorf("%d SMTP endpoints, want %d", len(r.Facts.SMTP), len(want))
	}
	for _, e := range r.Facts.SMTP {
		cert, ok := want[e.Host+" "+e.Addr]
		if !ok {
			t.Errorf("unexpected SMTP endpoint %s[%s]", e.Host, e.Addr)
			continue
		}
		checkEndpoint(t, e)
		checkCertificate(t, e, cert)
	}
}

// checkPublished looks at what DNS says.
func checkPublished(t *testing.T, f facts) {
	t.Helper()
	records := []mxRecord{{10, mx1Name}, {20, mx2Name}}
	if f.Format != 1 || f.MX.Exists.State != "seen" || f.MX.Records.State != "seen" || !slices.Equal(f.MX.Records.Value, records) {
		t.Errorf("format %d, MX %+v, want format 1, %+v", f.Format, f.MX, records)
	}
	v6 := hasIPv6()
	type addrs struct{ a, aaaa []string }
	want := map[string]addrs{mx1Name: {[]string{mx1Addr}, nil}, mx2Name: {[]string{mx2Addr}, nil}}
	if v6 {
		want[mx1Name] = addrs{[]string{mx1Addr}, []string{mx1Addr6}}
	}
	if len(f.Hosts) != len(want) {
		t.Errorf("hosts %+v, want %+v", f.Hosts, want)
	}
	for _, h := range f.Hosts {
		w := want[h.Name]
		state, code := "absent", "nodata"
		if len(w.aaaa) > 0 {
			state, code = "seen", ""
		}
		if h.A.State != "seen" || !slices.Equal(h.A.Value, w.a) || h.AAAA.State != state || h.AAAA.Why.Code != code || !slices.Equal(h.AAAA.Value, w.aaaa) {
			t.Errorf("host %+v, want %+v", h, w)
		}
	}
	names := map[string]string{mx2Addr: mx2Name}
	for _, addr := range mx1Addrs() {
		names[addr.String()] = mx1Name
	}
	if len(f.RDNS) != len(names) {
		t.Errorf("reverse DNS of %d addresses, want %d", len(f.RDNS), len(names))
	}
	for _, r := range f.RDNS {
		confirmed := len(r.Forward) == 1 && r.Forward[0].Name == names[r.Addr] && slices.Contains(r.Forward[0].Addrs.Value, r.Addr)
		if r.PTR.State != "seen" || !slices.Equal(r.PTR.Value, []string{names[r.Addr]}) || !confirmed {
			t.Errorf("reverse DNS %+v, want %s, confirmed", r, names[r.Addr])
		}
	}
}

// checkEndpoint looks at what Postfix says.
func checkEndpoint(t *testing.T, e endpoint) {
	t.Helper()
	g := e.Greeting.Value
	if e.Connect.State != "seen" || e.Greeting.State != "seen" || g.Code != 220 || g.Name != e.Host ||
		!strings.Contains(strings.Join(g.Lines, "\n"), "Postfix") || g.Delay != "prompt" {
		t.Errorf("%s: connect %+v, greeting %+v", e.Addr, e.Connect, e.Greeting)
	}
	if e.Hello.State != "seen" || e.Hello.Value.Name != e.Host || !slices.Equal(keywordNames(e.Hello.Value), plainKeywords()) {
		t.Errorf("%s: EHLO %+v, want %q", e.Addr, e.Hello, plainKeywords())
	}
	if e.StartTLS.State != "seen" || e.HelloTLS.State != "seen" || !slices.Equal(keywordNames(e.HelloTLS.Value), tlsKeywords()) {
		t.Errorf("%s: STARTTLS %+v, then EHLO %+v, want %q", e.Addr, e.StartTLS, e.HelloTLS, tlsKeywords())
	}
	size, ok := "", false
	for _, k := range e.Hello.Value.Keywords {
		if k.Name == "SIZE" {
			size, ok = k.Params, true
		}
	}
	if !ok || size != "10240000" { // message_size_limit, unless told otherwise
		t.Errorf("%s: SIZE %q, want 10240000", e.Addr, size)
	}
}

func keywordNames(h hello) []string {
	var out []string
	for _, k := range h.Keywords {
		out = append(out, k.Name)
	}
	return out
}

// checkCertificate looks at what the handshake shows.
func checkCertificate(t *testing.T, e endpoint, want issued) {
	t.Helper()
	s := e.TLS.Value
	if e.TLS.State != "seen" || s.Version != "TLS 1.3" || s.ChainLen != 2 || len(s.Chain) != 2 {
		t.Errorf("%s: TLS %+v, want TLS 1.3 with two certificates", e.Addr, e.TLS)
		return
	}
	if e.Steady.State != "seen" || e.Large.State != "seen" || e.OldTLS.State != "seen" || e.OldTLS.Value.Version != "TLS 1.1" {
		t.Errorf("%s: STARTTLS every time %+v, large ClientHello %+v, old versions %+v", e.Addr, e.Steady, e.Large, e.OldTLS)
	}
	if s.Trust.State != "seen" || s.NameMatch.State != "seen" {
		t.Errorf("%s: trust %+v, name %+v", e.Addr, s.Trust, s.NameMatch)
	}
	c := s.Chain[0]
	if !slices.Equal(c.Names, []string{e.Host}) || !c.NotBefore.Equal(want.notBefore) || !c.NotAfter.Equal(want.notAfter) ||
		c.SHA256 != want.sha256 || c.KeyType != "ECDSA" || c.KeyBits != 256 || !strings.Contains(c.Issuer, "Lab Intermediate") {
		t.Errorf("%s: certificate %+v, want %s with %+v", e.Addr, c, e.Host, want)
	}
}

// checkChanges: the second run says exactly what happened. The only finding
// that broke is the certificate's; what is gone is all that was said of the
// second host, and nothing else.
func checkChanges(t *testing.T, first, second run) {
	t.Helper()
	base := second.Changes.Base
	if base == nil || base.ID != first.ID || base.UID != first.UID {
		t.Fatalf("compared with %+v, want run %d %s", base, first.ID, first.UID)
	}
	var want []change
	for _, addr := range mx1Addrs() {
		want = append(want, change{"broken", "tls.cert-expired", fmt.Sprintf("%s[%s]:25", mx1Name, addr)})
	}
	ofSecond := []string{mx2Name, mx2Addr, fmt.Sprintf("%s[%s]:25", mx2Name, mx2Addr)}
	for _, f := range first.Findings {
		if slices.Contains(ofSecond, f.Subject) && f.Status != "n/a" && !aside(f.Rule) {
			want = append(want, change{"gone", f.Rule, f.Subject})
		}
	}
	if len(want) == len(mx1Addrs()) {
		t.Error("the first run found nothing about the second host")
	}
	got := slices.DeleteFunc(slices.Clone(second.Changes.Changes), func(c change) bool { return aside(c.Rule) })
	slices.SortFunc(got, compareChanges)
	slices.SortFunc(want, compareChanges)
	if !slices.Equal(got, want) {
		t.Errorf("changes:\n got %s\nwant %s", lines(got), lines(want))
	}
	wantFact := factChange{"mx", "domain", "MX", []string{"20 " + mx2Name}, []string{}}
	facts := second.Changes.Facts
	if len(facts) != 1 || fmt.Sprintf("%q", facts[0]) != fmt.Sprintf("%q", wantFact) {
		t.Errorf("changed facts:\n got %+v\nwant %+v", facts, wantFact)
	}
	for _, f := range second.Findings {
		expired := f.Rule == "tls.cert-expired" && strings.HasPrefix(f.Subject, mx1Name+"[")
		if !aside(f.Rule) && (expired != (f.Status == "fail") || f.Status == "unknown") {
			t.Errorf("%s %s: %s %s", f.Rule, f.Subject, f.Status, f.Detail)
		}
	}
}

func compareChanges(a, b change) int {
	return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject))
}

// lines prints a list with an item a line.
func lines[T any](items []T) string {
	var b strings.Builder
	for _, it := range items {
		fmt.Fprintf(&b, "\n\t%+v", it)
	}
	return b.String()
}
