package store

import (
	"context"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

// Ensure what the policy included once is known as long as there is a run, and
// that neither quiet nights nor pruning change it.
func TestPastIncludes(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	past := func() audit.Past {
		t.Helper()
		p, err := db.Past(ctx, "example.org", audit.KindAudit, "here")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	day := 0
	store := func(n night, names ...audit.DNSName) {
		t.Helper()
		n.day, n.few = day, true
		day++
		run := n.run(t)
		run.Snapshot.Past = past() // as an audit does
		for _, name := range names {
			run.Snapshot.Facts.SPF.Below = append(run.Snapshot.Facts.SPF.Below, audit.SPFBelow{Name: name, Records: audit.See([]audit.Raw{"v=spf1 -all"}, "")})
		}
		run.Snapshot.Facts.SPF.Below = append(run.Snapshot.Facts.SPF.Below,
			audit.SPFBelow{Name: "gone.example", Records: audit.None[[]audit.Raw](audit.NXDomain, "no such name", "")},
			audit.SPFBelow{Name: "other.example", Records: audit.See[[]audit.Raw](nil, "")},
			audit.SPFBelow{Name: `a\.b.example`, Records: audit.See([]audit.Raw{"v=spf1 -all"}, "")})
		mustStore(t, db, run)
	}
	check := func(what string, want ...audit.DNSName) {
		t.Helper()
		if got := past().SPFIncludes; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("a first run")
	store(night{vantage: "there"}, "there.example")
	store(night{state: audit.Aborted}, "aborted.example")
	store(night{target: "example.net"}, "net.example")
	check("nothing of this domain from here")
	store(night{}, "b.example", "a.example")
	check("one run", "a.example", "b.example")
	store(night{areas: []audit.Area{audit.AreaMX}})
	store(night{}, "c.example")
	check("another policy", "a.example", "b.example", "c.example")
	for range 2 * pastSPFRuns {
		store(night{}, "c.example")
	}
	check("long after", "a.example", "b.example", "c.example")
	before := past()
	mustPrune(t, db, Prune{KeepLast: 1})
	mustClean(t, db)
	if d := gocmp.Diff(before, past()); d != "" {
		t.Errorf("pruned (-before +after):\n%s", d)
	}
	for i := range audit.PastHosts + 5 {
		store(night{}, audit.DNSName(fmt.Sprintf("n%02d.example", i)))
	}
	got := past().SPFIncludes
	if len(got) != audit.PastHosts || !slices.IsSorted(got) {
		t.Errorf("%d names: %v", len(got), got)
	}
	for i := range pastSPFRuns { // those of the last runs are among them
		if name := audit.DNSName(fmt.Sprintf("n%02d.example", audit.PastHosts+4-i)); !slices.Contains(got, name) {
			t.Errorf("%s is missing", name)
		}
	}
	store(night{}, "n54.example")
	if d := gocmp.Diff(got, past().SPFIncludes); d != "" {
		t.Errorf("a quiet night changes the past (-before +after):\n%s", d)
	}
}

// Ensure two runs that overlap lose nothing that either of them saw.
func TestPastIncludesOfOverlappingRuns(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	for day, name := range []audit.DNSName{"first.example", "second.example"} {
		run := night{day: day, few: true}.run(t) // neither knows of the other
		run.Snapshot.Facts.SPF.Below = []audit.SPFBelow{{Name: name, Records: audit.See([]audit.Raw{"v=spf1 -all"}, "")}}
		mustStore(t, db, run)
	}
	p, err := db.Past(context.Background(), "example.org", audit.KindAudit, "here")
	if err != nil || len(p.SPFIncludes) != 2 {
		t.Errorf("%v %v", p, err)
	}
}
