package store

import (
	"context"
	"fmt"
	"os"
	"testing"

	"mailaudit/internal/audit"
)

// Limits of what an unchanged run may add to the file, in octets: the promise
// of docs/history.md, and what we aim at.
const (
	promisedGrowth = 2048
	aimedGrowth    = 512
)

// storeNights stores each night in a process of its own, as cron does: open,
// store, close, which empties the write-ahead log into the file.
func storeNights(t testing.TB, path string, nights ...night) {
	t.Helper()
	ctx := context.Background()
	for _, n := range nights {
		db, err := Open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		run := n.run(t)
		run.Snapshot.Past, err = db.Past(ctx, run.Target, run.Kind, run.Snapshot.Vantage.Name)
		if err != nil {
			t.Fatal(err)
		}
		mustStore(t, db, run)
		mustClose(t, db)
	}
}

func fileSize(t testing.TB, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(path + "-wal")
	if !os.IsNotExist(err) {
		t.Fatalf("the write-ahead log is still there (%v)", err)
	}
	return st.Size()
}

// Nights in which nothing changed but what changes by itself: dated banners,
// rotating records, falling TTLs, two resolvers, and one night from elsewhere.
func TestGrowth(t *testing.T) {
	path := tempFile(t)
	storeNights(t, path, night{day: 0}, night{day: 1}, night{day: 2})
	before := fileSize(t, path)
	const nights = 60
	for day := range nights {
		storeNights(t, path, night{day: 3 + day})
	}
	grown := fileSize(t, path) - before
	t.Logf("first run and two more: %d octets; then %d unchanged runs of %d findings added %d, %d each",
		before, nights, len(night{}.run(t).Findings), grown, grown/nights)
	if grown/nights > aimedGrowth {
		t.Errorf("an unchanged run adds %d octets, want at most %d (promised: %d)", grown/nights, aimedGrowth, promisedGrowth)
	}
	db := mustOpen(t, path)
	var changed, spans, facts int
	err := db.sql.QueryRow("SELECT (SELECT sum(changed) FROM runs), (SELECT count(*) FROM spans), (SELECT count(*) FROM facts)").Scan(&changed, &spans, &facts)
	if err != nil {
		t.Fatal(err)
	}
	if findings := len(night{}.run(t).Findings); changed != 1 || facts != 1 || spans != findings {
		t.Errorf("%d runs changed something, %d sets of facts, %d spans; want 1, 1, %d", changed, facts, spans, findings)
	}
	mustClean(t, db)
}

// A thousand domains, a first night and a quiet one: what batches cost.
func TestGrowthOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand domains take some seconds")
	}
	const domains = 100 // linear, see BenchmarkThousandDomains for the full number
	path := tempFile(t)
	var sizes []int64
	for day := range 3 {
		db, err := Open(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range domains {
			mustStore(t, db, night{target: fmt.Sprintf("d%d.example.org", i), day: day}.run(t))
		}
		mustClose(t, db)
		sizes = append(sizes, fileSize(t, path))
	}
	t.Logf("%d domains: first run %d octets each, second %d, third %d", domains, sizes[0]/domains, (sizes[1]-sizes[0])/domains, (sizes[2]-sizes[1])/domains)
	// The second run of a stream keeps a second sidecar: the first run, which
	// changed something, keeps its own.
	if each := (sizes[2] - sizes[1]) / domains; each > promisedGrowth {
		t.Errorf("the third run adds %d octets, want at most %d", each, promisedGrowth)
	}
}

// A change costs what it changes, and the nights after it are as cheap as
// before.
func TestGrowthAfterChanges(t *testing.T) {
	path := tempFile(t)
	storeNights(t, path, night{})
	day, changes, quiet := 1, int64(0), int64(0)
	grow := func(nights ...night) int64 {
		before := fileSize(t, path)
		storeNights(t, path, nights...)
		return fileSize(t, path) - before
	}
	const rounds, nights = 12, 5
	for drift := range rounds {
		// The night after a change still adds: the changed run keeps its sidecar.
		changes += grow(night{day: day, drift: drift + 1}, night{day: day + 1, drift: drift + 1})
		for range nights {
			quiet += grow(night{day: day + 2, drift: drift + 1})
			day++
		}
		day += 2
	}
	t.Logf("%d changes (one finding in ten each time) added %d octets each, %d quiet nights in between %d each", rounds, changes/rounds, rounds*nights, quiet/(rounds*nights))
	if quiet/(rounds*nights) > aimedGrowth {
		t.Errorf("a quiet night adds %d octets, want at most %d", quiet/(rounds*nights), aimedGrowth)
	}
}

func BenchmarkFinishUnchanged(b *testing.B) {
	db := mustOpen(b, tempFile(b))
	mustStore(b, db, night{}.run(b))
	runs := make([]*audit.Run, b.N)
	for i := range runs {
		runs[i] = night{day: i + 1}.run(b)
		mustBegin(b, db, runs[i])
	}
	b.ResetTimer()
	for i := range b.N {
		mustFinish(b, db, runs[i])
	}
}

// One night of a thousand domains, each of which has a history.
func BenchmarkThousandDomains(b *testing.B) {
	const domains = 1000
	path := tempFile(b)
	db := mustOpen(b, path)
	runs := make([]*audit.Run, domains)
	prepare := func(day int) {
		for i := range runs {
			runs[i] = night{target: fmt.Sprintf("d%d.example.org", i), day: day}.run(b)
		}
	}
	prepare(0)
	for _, run := range runs {
		mustStore(b, db, run)
	}
	day := 0
	for b.Loop() {
		b.StopTimer()
		day++
		prepare(day)
		b.StartTimer()
		for _, run := range runs {
			audited(b, db, run)
		}
	}
	size, err := db.Size()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size)/domains, "octets/domain")
	b.ReportMetric(float64(b.N)*domains/b.Elapsed().Seconds(), "domains/s")
}

// audited asks and stores what an audit does.
func audited(t testing.TB, db *DB, run *audit.Run) {
	t.Helper()
	ctx := context.Background()
	v := run.Snapshot.Vantage.Name
	prior, err := db.Prior(ctx, run.Target, run.Kind, v, run.Snapshot.Scope.Areas)
	if err != nil {
		t.Fatal(err)
	}
	if prior.Base == nil || len(prior.Verdicts) == 0 {
		t.Fatalf("%s has no past", run.Target)
	}
	run.Snapshot.Past, err = db.Past(ctx, run.Target, run.Kind, v)
	if err != nil {
		t.Fatal(err)
	}
	mustStore(t, db, run)
}

// What a new run is compared with, after a year of nights in which something
// changed every month.
func BenchmarkPrior(b *testing.B) {
	ctx := context.Background()
	db := mustOpen(b, tempFile(b))
	for day := range 365 {
		mustStore(b, db, night{day: day, drift: day / 30}.run(b))
	}
	for b.Loop() {
		_, err := db.Prior(ctx, "example.org", audit.KindAudit, "here", audit.Areas())
		if err != nil {
			b.Fatal(err)
		}
	}
}
