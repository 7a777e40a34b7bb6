package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
)

func mustPrune(t testing.TB, db *DB, want Prune) Pruned {
	t.Helper()
	got, err := db.Prune(context.Background(), want)
	if err != nil {
		t.Fatalf("prune: %v", err)
	}
	return got
}

func runIDs(t testing.TB, db *DB) []int64 {
	t.Helper()
	infos, err := db.Runs(context.Background(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, i := range infos {
		ids = append(ids, i.ID)
	}
	slices.Reverse(ids)
	return ids
}

// Which runs go. A day is a run: "a" of example.org, "b" of example.net, "n" a
// narrower one, "t" from elsewhere, "x" aborted, "i" interrupted, "r" running,
// all of example.org.
func TestPruneChooses(t *testing.T) {
	day := func(n int) time.Time { return night{day: n - 1}.start() } // the day of run n
	cases := []struct {
		why, runs string
		want      Prune
		left      []int64
	}{
		{"the last ones stay", "aaaaa", Prune{KeepLast: 2}, []int64{4, 5}},
		{"more than there are", "aaaaa", Prune{KeepLast: 9}, []int64{1, 2, 3, 4, 5}},
		{"what is young stays", "aaaaa", Prune{Before: day(4)}, []int64{4, 5}},
		{"the newest stays, however old", "aaaaa", Prune{Before: day(99)}, []int64{5}},
		{"two reasons to stay, the last ones", "aaaaa", Prune{KeepLast: 3, Before: day(99)}, []int64{3, 4, 5}},
		{"two reasons to stay, youth", "aaaaa", Prune{KeepLast: 1, Before: day(3)}, []int64{3, 4, 5}},
		{"every target by itself", "aabab", Prune{KeepLast: 1}, []int64{4, 5}},
		{"one target alone", "aabab", Prune{Target: "example.net", KeepLast: 1}, []int64{1, 2, 4, 5}},
		{"no such target", "aabab", Prune{Target: "example.com", KeepLast: 1}, []int64{1, 2, 3, 4, 5}},
		{"every scope and vantage by itself", "ntaaa", Prune{KeepLast: 1}, []int64{1, 2, 5}},
		{"aborted and interrupted ones count for nothing", "axaixi", Prune{KeepLast: 2}, []int64{1, 2, 3, 4, 5, 6}},
		{"they go with their time", "xiaxia", Prune{KeepLast: 1}, []int64{6}},
		{"those after the last complete one stay", "axi", Prune{KeepLast: 1}, []int64{1, 2, 3}},
		{"unless their day has come", "axi", Prune{Before: day(99)}, []int64{1}},
		{"a run that runs stays, and what is younger", "aaraaa", Prune{KeepLast: 1}, []int64{3, 4, 5, 6}},
		{"elsewhere nobody minds it", "raaabb", Prune{KeepLast: 1}, []int64{1, 2, 3, 4, 6}},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			db := mustOpen(t, tempFile(t))
			for i, kind := range c.runs {
				n := night{day: i, few: true}
				switch kind {
				case 'b':
					n.target = "example.net"
				case 'n':
					n.areas = []audit.Area{audit.AreaMX}
				case 't':
					n.vantage = "there"
				case 'x':
					n.state = audit.Aborted
				}
				run := n.run(t)
				mustBegin(t, db, run)
				switch kind {
				case 'r':
					mustExec(t, db, "UPDATE runs SET started = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE state = 'running' AND pid <> 2147483646")
				case 'i':
					mustExec(t, db, fmt.Sprint("UPDATE runs SET pid = 2147483646 WHERE id = ", run.ID))
				default:
					mustFinish(t, db, run)
				}
			}
			before := len(runIDs(t, db))
			c.want.DryRun = true
			would := mustPrune(t, db, c.want)
			if left := runIDs(t, db); len(left) != before {
				t.Errorf("a dry run leaves %v", left)
			}
			c.want.DryRun = false
			got := mustPrune(t, db, c.want)
			if left := runIDs(t, db); !slices.Equal(left, c.left) || got.Runs != before-len(left) {
				t.Errorf("left are %v, want %v; %d were removed", left, c.left, got.Runs)
			}
			if d := gocmp.Diff(would.From, got.From); d != "" || would.Runs != got.Runs || would.Spans != got.Spans || would.Blobs != got.Blobs {
				t.Errorf("the dry run said %+v, removed were %+v", would, got)
			}
			checkFrom(t, got, c.left, before)
			if again := mustPrune(t, db, c.want); again.Runs != 0 || again.Spans != 0 || again.Blobs != 0 {
				t.Errorf("the second time removes %+v", again)
			}
			mustClean(t, db)
		})
	}
}

// checkFrom proves that a Pruned names each run that is gone, once.
func checkFrom(t *testing.T, got Pruned, left []int64, before int) {
	t.Helper()
	all := slices.Clone(left)
	for _, f := range got.From {
		if len(f.Runs) == 0 || f.Target == "" || f.Kind == "" || f.Vantage == "" || !slices.IsSorted(f.Runs) {
			t.Errorf("%+v", f)
		}
		all = append(all, f.Runs...)
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != before || len(all) != before {
		t.Errorf("left and removed together are %v, of %d", all, before)
	}
}

// A fail that began in a run that is gone keeps its date, in Go and in SQL, and
// so does one that nobody has been able to look at since.
func TestPruneKeepsSince(t *testing.T) {
	cases := []struct {
		why, runs  string
		run, since int64
	}{
		{"it went on", "fail fail fail fail", 4, 1},
		{"it came back", "fail pass fail fail fail fail", 6, 3},
		{"unknown since", "pass fail fail unknown unknown", 3, 2},
		{"in other words", "fail fail@low fail fail@low", 4, 1},
		{"broken by a narrower run", "fail fail pass@tls fail fail", 5, 4},
		{"found by a narrower run", "fail@tls fail@tls - - -", 2, 1},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			db := mustOpen(t, tempFile(t))
			runs := story(t, db, c.runs)
			verdict := func() audit.Verdict {
				t.Helper()
				prior, err := db.Prior(context.Background(), "example.org", audit.KindAudit, "here", audit.Areas())
				if err != nil {
					t.Fatal(err)
				}
				return prior.Verdicts[audit.Key{Rule: "tls.version", Subject: "host"}]
			}
			before := verdict()
			if before.Run != c.run || !before.Since.Equal(runs[c.since-1].Started) {
				t.Fatalf("the story is another one: %+v", before)
			}
			got := mustPrune(t, db, Prune{KeepLast: 1})
			if got.Runs < 2 {
				t.Fatalf("only %d runs were removed", got.Runs)
			}
			if after := verdict(); after != before {
				t.Errorf("before %+v, after %+v", before, after)
			}
			const ask = "SELECT first_seen FROM verdicts WHERE subject = 'host' AND first_run <= %d AND last_run >= %d"
			seen := column(t, db.sql, fmt.Sprintf(ask, c.run, c.run))
			if want := formatTime(before.Since); c.why != "broken by a narrower run" && !slices.Equal(seen, []string{want}) {
				t.Errorf("the view says %q, want %s", seen, want) // it looks at one stream
			}
			mustClean(t, db)
		})
	}
}

// What rules know of the past outlives the runs that they know it from.
func TestPruneKeepsPast(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, tempFile(t))
	for day := range 70 {
		run := night{day: day, few: true}.run(t)
		run.Snapshot.Facts.MX.Records = audit.See([]audit.MXRecord{{Preference: 10, Host: audit.DNSName(fmt.Sprintf("h%02d.example", day))}}, "")
		if day == 40 { // no mail, for a while
			run.Snapshot.Facts.MX.Records.Value[0].Host = "."
		}
		if day > 67 { // nobody answers any more
			run.Snapshot.Facts.MX.Records = audit.Dark[[]audit.MXRecord](audit.Reason{Code: audit.Timeout, Text: "No answer."}, "")
		}
		mustStore(t, db, run)
	}
	past := func() audit.Past {
		t.Helper()
		p, err := db.Past(ctx, "example.org", audit.KindAudit, "here")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := past()
	if len(before.MXHosts) != audit.PastHosts || !before.First.Equal(night{}.start()) {
		t.Fatalf("the story is another one: %+v", before)
	}
	for _, keep := range []int{60, 30, 2, 1} {
		mustPrune(t, db, Prune{KeepLast: keep})
		if d := gocmp.Diff(before, past()); d != "" {
			t.Errorf("with %d runs left (-before +after):\n%s", keep, d)
		}
		mustClean(t, db)
	}
	if left := runIDs(t, db); !slices.Equal(left, []int64{70}) {
		t.Errorf("left are %v", left)
	}
	// Of the runs that are gone only those that Past owes a host to have facts.
	if n := column(t, db.sql, "SELECT count(*) FROM runs WHERE state = 'pruned' AND facts IS NOT NULL")[0]; n != fmt.Sprint(audit.PastHosts) {
		t.Errorf("%s pruned runs have facts, want %d", n, audit.PastHosts)
	}
}

// A run whose predecessor is gone is compared with the one before that: by its
// findings, and by facts that no rule minds.
func TestPruneClosesGaps(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	const young, away = 1000, 0 // runs come by number, and are pruned by date
	for _, n := range []struct {
		day, drift int
		cipher     string
	}{
		{young, 0, "A"},     // 1 stays: the clock was ahead
		{away, 1, "A"},      // 2 changes
		{young + 1, 1, "A"}, // 3 does not, but differs from 1
		{away + 1, 2, "A"},  // 4 changes
		{away + 2, 1, "A"},  // 5 changes back
		{young + 2, 1, "A"}, // 6 is as 3
		{away + 3, 1, "B"},  // 7 has other facts
		{young + 3, 1, "B"}, // 8 is as 7 and differs from 6
		{away + 4, 1, "A"},  // 9 has other facts
		{young + 4, 1, "B"}, // 10 has them back
	} {
		run := night{day: n.day, drift: n.drift, few: true}.run(t)
		for i := range run.Snapshot.Facts.SMTP {
			run.Snapshot.Facts.SMTP[i].TLS.Value.Cipher = n.cipher
		}
		mustStore(t, db, run)
	}
	changed := func() string {
		t.Helper()
		infos, err := db.Runs(context.Background(), Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, i := range slices.Backward(infos) {
			out = append(out, fmt.Sprint(i.ID, map[bool]string{true: "*"}[i.Changed]))
		}
		return strings.Join(out, " ")
	}
	if got := changed(); got != "1* 2* 3 4* 5* 6 7* 8 9* 10*" {
		t.Fatalf("the story is another one: %s", got)
	}
	mustPrune(t, db, Prune{Before: night{day: young}.start()})
	if got := changed(); got != "1* 3* 6 8* 10" {
		t.Errorf("in gaps: %s", got)
	}
	mustClean(t, db)
	mustPrune(t, db, Prune{KeepLast: 1})
	if got := changed(); got != "10*" {
		t.Errorf("the only run: %s", got)
	}
	mustClean(t, db)
}

// A dry run says what a real one does, and does nothing. Afterwards nothing is
// left that no run needs, and the space is the system's again.
func TestPruneSweeps(t *testing.T) {
	path := tempFile(t)
	db := mustOpen(t, path)
	for day := range 120 {
		run := night{day: day, drift: day, target: fmt.Sprintf("d%d.example.org", day%2)}.run(t)
		run.Tool.Version = fmt.Sprint("0.", day)
		run.Snapshot.Vantage.HELO = fmt.Sprint("probe", day)
		if day%10 == 9 {
			run.State = audit.Aborted
		}
		mustStore(t, db, run)
	}
	before := dump(t, db.sql)
	would := mustPrune(t, db, Prune{KeepLast: 3, DryRun: true})
	if dump(t, db.sql) != before {
		t.Error("the dry run has changed something")
	}
	did := mustPrune(t, db, Prune{KeepLast: 3})
	if did.Runs != would.Runs || did.Spans != would.Spans || did.Blobs != would.Blobs || did.Runs != 120-7 || did.Spans < 500 || did.Blobs < 50 {
		t.Errorf("would remove %+v, removed %+v", would, did)
	}
	if would.Bytes < 100<<10 || did.Bytes < would.Bytes || would.Returned || !did.Returned {
		t.Errorf("would free %d octets, freed %d; returned: %v, %v", would.Bytes, did.Bytes, would.Returned, did.Returned)
	}
	t.Logf("%+v", did)
	for _, orphans := range []string{
		"facts WHERE id NOT IN (SELECT facts FROM runs WHERE facts NOT NULL)",
		"fact_parts WHERE facts NOT IN (SELECT facts FROM runs WHERE facts NOT NULL)",
		"blobs WHERE id NOT IN (SELECT blob FROM fact_parts) AND id NOT IN (SELECT past FROM runs WHERE past NOT NULL) AND id NOT IN (SELECT layout FROM runs WHERE layout NOT NULL)",
		"bodies WHERE id NOT IN (SELECT body FROM spans)",
		"questions WHERE id NOT IN (SELECT question FROM spans)",
		"scores WHERE id NOT IN (SELECT score FROM runs WHERE score NOT NULL)",
		"streams WHERE id NOT IN (SELECT stream FROM runs)",
		"scopes WHERE id NOT IN (SELECT scope FROM streams)",
		"tools WHERE id NOT IN (SELECT tool FROM runs)",
		"vantages WHERE id NOT IN (SELECT vantage FROM runs)",
		"sidecars WHERE run NOT IN (SELECT id FROM runs WHERE state <> 'pruned')",
		"runs WHERE state = 'pruned' AND id NOT IN (SELECT first_run FROM spans UNION SELECT last_run FROM spans WHERE last_run NOT NULL) AND facts IS NULL",
	} {
		if n := column(t, db.sql, "SELECT count(*) FROM "+orphans)[0]; n != "0" {
			t.Errorf("%s are left of %s", n, orphans)
		}
	}
	mustStore(t, db, night{day: 200, target: "d0.example.org"}.run(t))
	mustClean(t, db)
	size := fileInfo(t, path).Size()
	mustClose(t, db)
	if now := fileSize(t, path); now > size+promisedGrowth*10 {
		t.Errorf("the file has %d octets, after the prune it had %d", now, size)
	}
	db = mustOpen(t, path)
	mustClean(t, db)
}

func TestPruneRefuses(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	storeNights(t, path, night{}, night{day: 1})
	db := mustOpen(t, path)
	for _, want := range []Prune{{}, {Target: "example.org"}, {KeepLast: -1}, {KeepLast: -1, Before: time.Now()}} {
		_, err := db.Prune(ctx, want)
		var input *audit.InputError
		if !errors.As(err, &input) || input.Problem != "nothing says which runs to keep" {
			t.Errorf("%+v: %v", want, err)
		}
	}
	reader, err := OpenRead(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, reader)
	_, err = reader.Prune(ctx, Prune{KeepLast: 1})
	var e *Error
	if !errors.As(err, &e) || e.Problem != path+" or its directory cannot be written" {
		t.Errorf("through OpenRead: %v", err)
	}
	// What is damaged is not touched: the part about mail hosts cannot be read.
	mustExec(t, db, "UPDATE blobs SET size = size + 1 WHERE id = (SELECT blob FROM fact_parts WHERE name = 'mx')")
	_, err = db.Prune(ctx, Prune{KeepLast: 1})
	if !errors.As(err, &e) || e.Hint != hintDamaged {
		t.Errorf("of a damaged file: %v", err)
	}
	if left := runIDs(t, db); len(left) != 2 {
		t.Errorf("left are %v", left)
	}
}

// References that would lead nowhere undo all of it.
func TestPruneProves(t *testing.T) {
	db := mustOpen(t, tempFile(t))
	for day := range 3 {
		mustStore(t, db, night{day: day}.run(t))
	}
	mustExec(t, db, "CREATE TABLE mine (run INTEGER REFERENCES runs)") // somebody's own table
	mustExec(t, db, "INSERT INTO mine VALUES (2)")
	before := dump(t, db.sql)
	got, err := db.Prune(context.Background(), Prune{KeepLast: 1})
	if err == nil || !strings.Contains(err.Error(), "nothing was pruned, because something would be missing: a row of mine") || got.Runs != 0 || got.From != nil || got.Bytes != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if dump(t, db.sql) != before {
		t.Error("something is gone")
	}
	mustExec(t, db, "UPDATE mine SET run = 3")
	mustPrune(t, db, Prune{KeepLast: 1})
}

// childPrunes removes all but two runs of each target, and says how far it is.
func childPrunes(path string) error {
	ctx := context.Background()
	db, err := Open(ctx, path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(os.Stdout, 0)
	db.hook = func(stage string) { _, _ = fmt.Fprintln(out, stage); _ = out.Flush() }
	fmt.Println("ready")
	_, err = db.Prune(ctx, Prune{KeepLast: 2})
	if err != nil {
		return err
	}
	fmt.Println("done")
	return db.Close()
}

// Killed at any moment, a prune has happened or it has not.
func TestPruneKill(t *testing.T) {
	if testing.Short() {
		t.Skip("twenty kills take some seconds")
	}
	if runtime.GOOS == "windows" {
		t.Skip("a killed process is not the same thing on Windows")
	}
	ctx := context.Background()
	original := tempFile(t)
	db := mustOpen(t, original)
	for day := range 32 {
		mustStore(t, db, night{day: day, drift: day / 2, target: fmt.Sprintf("d%d.example.org", day%4), few: day > 9}.run(t))
	}
	all := runIDs(t, db)
	var whole []*audit.Run
	for _, id := range all {
		run, err := db.Run(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, run)
	}
	mustClose(t, db)
	data := readFile(t, original)
	outcomes := map[string]int{}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	const kills, most = 18, 90
	kill := 0
	for ; kill < kills || len(outcomes) < 2 && kill < most; kill++ {
		path := filepath.Join(t.TempDir(), "history.db")
		writeFile(t, path, data)
		c := startChild(t, "prune", path)
		c.waitFor(t, []string{"ready", "pruning", "pruned"}[kill%3])
		time.Sleep(time.Duration(rng.Int64N(int64(5 * time.Millisecond))))
		said := c.kill(t)
		db := mustOpen(t, path)
		mustClean(t, db)
		left := runIDs(t, db)
		outcome := fmt.Sprint(len(left), " runs left")
		outcomes[outcome]++
		if len(left) != len(all) && len(left) != 8 || slices.Contains(said, "pruned") && len(left) != 8 {
			t.Errorf("%s, and the child had said %q", outcome, said)
		}
		for _, id := range left {
			got, err := db.Run(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if d := diffRuns(whole[id-1], got, true); d != "" {
				t.Errorf("run %d:\n%s", id, d)
			}
		}
		if again := mustPrune(t, db, Prune{KeepLast: 2}); again.Runs != len(left)-8 {
			t.Errorf("pruned again, after %s: %+v", outcome, again)
		}
		mustClean(t, db)
		if t.Failed() {
			t.Fatalf("after kill %d, seed %d", kill, seed)
		}
	}
	t.Logf("%v (seed %d)", outcomes, seed)
	if len(outcomes) != 2 {
		t.Errorf("all kills came to the same: %v", outcomes)
	}
}

// A year of twenty domains, all but a month of which goes.
func BenchmarkPrune(b *testing.B) {
	path := tempFile(b)
	db := mustOpen(b, path)
	mustExec(b, db, "PRAGMA synchronous = OFF")
	const domains, nights = 20, 120
	for day := range nights {
		for i := range domains {
			mustStore(b, db, night{target: fmt.Sprintf("d%d.example.org", i), day: day, drift: day / 20}.run(b))
		}
	}
	for b.Loop() {
		got := mustPrune(b, db, Prune{KeepLast: 30, DryRun: true})
		if got.Runs != domains*(nights-30) {
			b.Fatalf("%+v", got)
		}
	}
	b.ReportMetric(float64(b.N)*domains*(nights-30)/b.Elapsed().Seconds(), "runs/s")
}
