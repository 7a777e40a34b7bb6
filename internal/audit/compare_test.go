package audit

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// facts are those of a domain with the given MX hosts, each with one address.
func facts(hosts ...DNSName) Facts {
	var f Facts
	f.MX.Exists = See(Nothing{}, "dig MX example.org")
	var records []MXRecord
	for i, h := range hosts {
		records = append(records, MXRecord{Preference: uint16(10 * (i + 1)), Host: h})
		a := netip.AddrFrom4([4]byte{8, 8, 8, byte(i + 1)})
		f.Hosts = append(f.Hosts, Host{
			Name: h, Role: RoleMX,
			A:    See([]netip.Addr{a}, Dig("A", h)),
			AAAA: None[[]netip.Addr](NoData, "", Dig("AAAA", h)),
		})
		f.SMTP = append(f.SMTP, Endpoint{Host: h, Addr: a, Port: 25, Connect: See(Nothing{}, "")})
	}
	f.MX.Records = See(records, "dig MX example.org")
	f.Canonical()
	return f
}

func run(id int64, f Facts, findings ...Finding) *Run {
	return &Run{
		ID: id, State: Complete, Target: "example.org", Started: time.Unix(id, 0).UTC(),
		Tool:     Tool{Version: "0.1.0", Catalogue: "0.1.0"},
		Snapshot: Snapshot{Scope: Scope{Areas: Areas()}, Vantage: Vantage{Name: "here"}, Facts: f},
		Findings: findings,
	}
}

func finding(rule RuleID, subject string, s Status) Finding {
	return Finding{Rule: rule, Subject: subject, Status: s, Severity: Medium}
}

// prior is a history of the one base run.
func prior(base *Run) Prior {
	p := Prior{Base: base, Verdicts: map[Key]Verdict{}}
	for _, f := range base.Findings {
		if f.Status.Known() {
			p.Verdicts[f.Key()] = Verdict{Status: f.Status, Severity: f.Severity, Run: base.ID, Since: base.Started}
		}
	}
	return p
}

func catalogue(ids ...RuleID) Catalogue {
	c := Catalogue{Version: "0.1.0", Since: map[RuleID]string{}}
	for _, id := range ids {
		c.Since[id] = "0.1.0"
	}
	return c
}

func classes(d *Delta) []string {
	var out []string
	for _, c := range d.Changes {
		out = append(out, string(c.Class)+" "+string(c.Rule)+" "+c.Subject)
	}
	return out
}

func TestCompareWithNothing(t *testing.T) {
	d := Compare(Prior{}, run(1, facts("mx1.example.org")), catalogue())
	if d.Base != nil || len(d.Changes)+len(d.Facts) != 0 {
		t.Errorf("got %+v", d)
	}
}

func TestCompareNothingInTheDark(t *testing.T) {
	const rule, subject = "tls.cert-expired", "mx1.example.org[8.8.8.1]:25"
	f := facts("mx1.example.org")
	base := run(2, f, finding(rule, subject, UnknownStatus))
	p := prior(base)
	p.Verdicts[Key{rule, subject}] = Verdict{Status: Pass, Severity: Medium, Run: 1}
	d := Compare(p, run(3, f, finding(rule, subject, Fail)), catalogue(rule))
	want := []Change{{Class: Broken, Rule: rule, Subject: subject, Before: UnknownStatus, Known: Pass, KnownRun: 1, Now: Fail, Severity: Medium, SeenOnce: true}}
	if diff := cmp.Diff(want, d.Changes); diff != "" {
		t.Error(diff)
	}
}

func TestCompareSubjectsThatVanish(t *testing.T) {
	const rule, subject = "smtp.unreachable", "mx2.example.org[8.8.8.2]:25"
	base := run(1, facts("mx1.example.org", "mx2.example.org"), finding(rule, subject, Pass))
	cases := []struct {
		name string
		now  func(f *Facts)
		want string
	}{
		{"the MX set is known and the host is not in it", func(*Facts) {}, "gone"},
		{"the MX set is not known", func(f *Facts) { f.MX.Records = Dark[[]MXRecord](Reason{Code: ServFail}, "") }, "lost sight"},
		{"the address of the host is not known", func(f *Facts) {
			f.Hosts = append(f.Hosts, Host{Name: "mx2.example.org", A: Dark[[]netip.Addr](Reason{Code: Timeout}, "")})
		}, "lost sight"},
		{"the address of another host is not known", func(f *Facts) { f.Hosts[0].AAAA = Dark[[]netip.Addr](Reason{Code: Timeout}, "") }, "gone"},
	}
	for _, c := range cases {
		f := facts("mx1.example.org")
		c.now(&f)
		got := classes(Compare(prior(base), run(2, f), catalogue(rule)))
		if !slices.Equal(got, []string{c.want + " " + rule + " " + subject}) {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestCompareIntersectsScopes(t *testing.T) {
	f := facts("mx1.example.org")
	base := run(1, f, finding("smtp.unreachable", "a", Fail), finding("mx.no-route", "example.org", Pass))
	now := run(2, f, finding("mx.no-route", "example.org", Fail))
	now.Snapshot.Scope.Areas = []Area{AreaMX}
	d := Compare(prior(base), now, catalogue("smtp.unreachable", "mx.no-route"))
	if got := classes(d); !slices.Equal(got, []string{"broken mx.no-route example.org"}) {
		t.Errorf("got %v", got)
	}
	if !slices.Equal(d.Areas, []Area{AreaMX}) {
		t.Errorf("compared %v", d.Areas)
	}
}

func TestCompareSendingIPs(t *testing.T) {
	f := facts("mx1.example.org")
	base := run(1, f, finding("rdns.ptr-missing", "8.8.4.4", Fail))
	base.Snapshot.Scope.SendingIPs = []netip.Addr{netip.MustParseAddr("8.8.4.4")}
	d := Compare(prior(base), run(2, f), catalogue("rdns.ptr-missing"))
	if len(d.Changes) != 0 {
		t.Errorf("not naming an address again is no change of the domain: %v", classes(d))
	}
}

// TestCompareSPFNames: a name that the policy led to has not gone where the
// records that would lead to it are not known.
func TestCompareSPFNames(t *testing.T) {
	const rule, name = "spf.include-broken", "gone.example.net"
	known := See([]Raw{"v=spf1 include:a.example.net -all"}, "")
	dark := Dark[[]Raw](Reason{ServFail, "SERVFAIL"}, "")
	for _, c := range []struct {
		own, below Obs[[]Raw]
		want       Class
	}{
		{known, See([]Raw{"v=spf1 -all"}, ""), Gone},
		{known, None[[]Raw](NoData, "", ""), Gone},
		{known, dark, LostSight},
		{dark, known, LostSight},
	} {
		f := facts("mx1.example.org")
		base := run(1, f, finding(rule, name, Fail))
		f.SPF = SPF{Records: c.own, Below: []SPFBelow{{Name: "a.example.net", Records: c.below}}}
		d := Compare(prior(base), run(2, f), catalogue(rule))
		if got := classes(d); !slices.Equal(got, []string{string(c.want) + " " + rule + " " + name}) {
			t.Errorf("%s, %s: %v", c.own.State, c.below.State, got)
		}
	}
}

func TestCompareSendingHELOs(t *testing.T) {
	f := facts("mx1.example.org")
	base := run(1, f, finding("spf.missing", "out.example.org", Fail), finding("mx.no-route", "out.example.org", Fail))
	base.Snapshot.Scope.SendingHELOs = []DNSName{"out.example.org"}
	d := Compare(prior(base), run(2, f), catalogue("spf.missing", "mx.no-route"))
	if got := classes(d); !slices.Equal(got, []string{"gone mx.no-route out.example.org"}) {
		t.Errorf("not naming a name again is no change of its SPF, and hides no other: %v", got)
	}
}

// Ensure a vendor's change is told by the name of its record, and that what an
// older run did not look at has not changed.
func TestChangedSPFRecords(t *testing.T) {
	below := func(name DNSName, o Obs[[]Raw]) Facts {
		var f Facts
		f.SPF.Records, f.SPF.Below = See([]Raw{"v=spf1 -all"}, ""), []SPFBelow{{Name: name, Records: o}}
		return f
	}
	seen := func(text Raw) Obs[[]Raw] { return See([]Raw{text}, "") }
	old := Facts{SPF: SPF{Records: seen("v=spf1 -all")}}
	for _, c := range []struct {
		name     string
		was, now Facts
		want     string
	}{
		{"a term more", below("a.example", seen("v=spf1 -all")), below("a.example", seen("v=spf1 mx -all")), "[{spf a.example SPF record [] [mx] false}]"},
		{"gone", below("a.example", seen("v=spf1 -all")), below("a.example", None[[]Raw](NXDomain, "", "")), "[{spf a.example SPF record [v=spf1 -all] [] false}]"},
		{"other records alone", below("a.example", See([]Raw{}, "")), below("a.example", None[[]Raw](NoData, "", "")), "[]"},
		{"dark", below("a.example", seen("v=spf1 -all")), below("a.example", Dark[[]Raw](Reason{Code: ServFail}, "")), "[]"},
		{"another name", below("a.example", seen("v=spf1 -all")), below("b.example", seen("v=spf1 mx -all")), "[]"},
		{"not looked at before", old, below("a.example", seen("v=spf1 -all")), "[]"},
		{"not looked at now", below("a.example", seen("v=spf1 -all")), old, "[]"},
	} {
		if got := fmt.Sprint(ChangedFacts(c.was, c.now, []Area{AreaSPF})); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := ChangedFacts(below("a.example", seen("v=spf1 -all")), below("a.example", seen("v=spf1 mx -all")), []Area{AreaMX}); len(got) != 0 {
		t.Errorf("of another area: %v", got)
	}
}

func TestCompareNewAndRetiredRules(t *testing.T) {
	f := facts("mx1.example.org")
	base := run(1, f, finding("mx.old", "example.org", Fail))
	now := run(2, f, finding("mx.new", "example.org", Fail))
	now.Tool.Catalogue = "0.2.0"
	cat := Catalogue{Version: "0.2.0", Since: map[RuleID]string{"mx.new": "0.2.0"}}
	d := Compare(prior(base), now, cat)
	if got := classes(d); !slices.Equal(got, []string{"new check mx.new example.org", "retired mx.old example.org"}) {
		t.Errorf("got %v", got)
	}
	if !d.OtherRules {
		t.Error("nobody is told that the rules differ")
	}
}

func TestCompareMovedSeverity(t *testing.T) {
	f := facts("mx1.example.org")
	base := run(1, f, finding("mx.implicit", "example.org", Fail))
	worse := finding("mx.implicit", "example.org", Fail)
	worse.Severity = High
	d := Compare(prior(base), run(2, f, worse), catalogue("mx.implicit"))
	if len(d.Changes) != 1 || d.Changes[0].Class != StillFailing || d.Changes[0].Was != Medium || d.Changes[0].Severity != High {
		t.Errorf("got %+v", d.Changes)
	}
	if d.Quiet() {
		t.Error("a moved severity is news")
	}
}

func TestQuiet(t *testing.T) {
	f := facts("mx1.example.org")
	base := run(1, f, finding("mx.implicit", "example.org", Fail), finding("mx.no-route", "example.org", Pass))
	same := Compare(prior(base), run(2, f, base.Findings...), catalogue("mx.implicit", "mx.no-route"))
	if !same.Quiet() || len(same.Changes) != 1 {
		t.Errorf("an unchanged run is not quiet: %v", classes(same))
	}
	for _, s := range []Status{Fail, UnknownStatus} {
		d := Compare(prior(base), run(2, f, base.Findings[0], finding("mx.no-route", "example.org", s)), catalogue("mx.implicit", "mx.no-route"))
		if d.Quiet() {
			t.Errorf("pass to %s is quiet", s)
		}
	}
	for _, c := range []struct {
		change Change
		quiet  bool
	}{
		{Change{Class: StillFailing, Severity: Low, Confirmed: true}, false},
		{Change{Class: StillFailing, Severity: Info, Confirmed: true}, true}, // nobody is woken for a note
		{Change{Class: StillPassing, Severity: High, Confirmed: true}, true},
		{Change{Class: Broken, Severity: Low, SeenOnce: true}, false},
	} {
		d := &Delta{Changes: []Change{c.change}}
		if d.Quiet() != c.quiet {
			t.Errorf("%+v: quiet is %t", c.change, d.Quiet())
		}
	}
	d := Compare(prior(base), run(2, facts("mx1.example.org", "mx2.example.org"), base.Findings...), catalogue("mx.implicit", "mx.no-route"))
	if d.Quiet() {
		t.Error("a new MX host is quiet")
	}
}

func TestChangedFacts(t *testing.T) {
	old, now := facts("mx1.example.org", "mx2.example.org"), facts("mx1.example.org")
	got := ChangedFacts(old, now, Areas())
	want := []FactChange{{Area: AreaMX, Subject: "domain", What: "MX", Before: []string{"20 mx2.example.org"}, After: []string{}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := ChangedFacts(old, now, []Area{AreaTLS}); len(got) != 0 {
		t.Errorf("outside the areas: %v", got)
	}
	dark := facts("mx1.example.org")
	dark.MX.Records = Dark[[]MXRecord](Reason{Code: Timeout}, "")
	if got := ChangedFacts(old, dark, Areas()); len(got) != 0 {
		t.Errorf("what could not be seen has changed: %v", got)
	}
}

// TestCanonical: whatever the order in which things came in, the stored bytes
// are the same, and nothing is lost on the way back.
func TestCanonical(t *testing.T) {
	f := facts("mx1.example.org", "mx2.example.org", "mx3.example.org")
	f.RDNS = []Reverse{{Addr: netip.MustParseAddr("8.8.8.1"), PTR: See([]DNSName{"a.example", "b.example"}, "")}}
	f.SMTP[0].Hello = See(Hello{Keywords: []Keyword{{Name: "A"}, {Name: "B", Params: "1"}, {Name: "B", Params: "2"}}}, "")
	want := encode(t, f)
	for range 20 {
		g := f
		g.Hosts, g.SMTP = shuffled(f.Hosts), shuffled(f.SMTP)
		g.MX.Records.Value = append(shuffled(f.MX.Records.Value), f.MX.Records.Value[0])
		g.RDNS = []Reverse{{Addr: f.RDNS[0].Addr, PTR: See(append(shuffled(f.RDNS[0].PTR.Value), "a.example"), "")}}
		g.Canonical()
		if got := encode(t, g); got != want {
			t.Fatalf("another order, other bytes:\n%s\n%s", got, want)
		}
	}
	parts, err := f.Parts()
	if err != nil {
		t.Fatal(err)
	}
	back, err := FactsFromParts(parts)
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(t, back); got != want {
		t.Error("facts do not survive their parts")
	}
	_, err = FactsFromParts([]Part{{Name: "nonsense", JSON: []byte("{}")}})
	if err == nil {
		t.Error("an unknown part was swallowed")
	}
}

func shuffled[T any](in []T) []T {
	out := slices.Clone(in)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func encode(t *testing.T, f Facts) string {
	t.Helper()
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestNewerVersion(t *testing.T) {
	cases := []struct {
		a, b string
		want bool
	}{
		{"0.2.0", "0.1.0", true}, {"0.1.0", "0.1.0", false}, {"0.10.0", "0.9.0", true}, {"1.0", "1.0.0", false},
		{"1.0.1", "1", true}, {"", "0.1.0", false}, {"0.1.0", "", true},
	}
	for _, c := range cases {
		if got := newerVersion(c.a, c.b); got != c.want {
			t.Errorf("%q newer than %q: %t", c.a, c.b, got)
		}
	}
}

func TestDelayBuckets(t *testing.T) {
	for d, want := range map[time.Duration]Bucket{
		0: Prompt, 5 * time.Second: Prompt, 6 * time.Second: Paused, 31 * time.Second: Slow, 121 * time.Second: VerySlow,
	} {
		if got := DelayBucket(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}

func TestZeroObsIsNotTried(t *testing.T) {
	var o Obs[int]
	if o.State != NotTried || o.Known() {
		t.Error("a forgotten observation reads as something else")
	}
	data, err := json.Marshal(o)
	if err != nil || strings.Contains(string(data), "value") {
		t.Errorf("%s, %v", data, err)
	}
}

// Of a host with more addresses than are kept, one that is no longer among
// them need not be gone.
func TestCompareMoreThanIsKept(t *testing.T) {
	const rule, subject = "smtp.unreachable", "mx1.example.org[8.8.8.9]:25"
	base := run(1, facts("mx1.example.org"), finding(rule, subject, Fail), finding("rdns.ptr-missing", "8.8.8.9", Fail))
	for leftOut, want := range map[int][]string{
		0: {"gone rdns.ptr-missing 8.8.8.9", "gone " + rule + " " + subject},
		9: {"lost sight rdns.ptr-missing 8.8.8.9", "lost sight " + rule + " " + subject},
	} {
		now := facts("mx1.example.org")
		now.Hosts[0].ALeftOut = leftOut
		now.Hosts[0].A.Value = []netip.Addr{netip.MustParseAddr("8.8.8.7")}
		d := Compare(prior(base), run(2, now), catalogue(rule, "rdns.ptr-missing"))
		if got := classes(d); !slices.Equal(got, want) {
			t.Errorf("%d left out: %v", leftOut, got)
		}
		if told := len(d.Facts) > 0; told != (leftOut == 0) {
			t.Errorf("%d left out: %+v", leftOut, d.Facts)
		}
	}
}

// A delta holds the score of its base, where that was graded.
func TestCompareScore(t *testing.T) {
	points := 78
	base := &Run{Score: Score{Rubric: 1, Points: &points, Grade: GradeB}}
	d := Compare(Prior{Base: base}, &Run{}, Catalogue{})
	if d.Score == nil || d.Score.Grade != GradeB || *d.Score.Points != 78 {
		t.Errorf("score %+v", d.Score)
	}
	base.Score = Score{Coverage: 100}
	if d = Compare(Prior{Base: base}, &Run{}, Catalogue{}); d.Score != nil {
		t.Errorf("a base without grades has %+v", d.Score)
	}
}
