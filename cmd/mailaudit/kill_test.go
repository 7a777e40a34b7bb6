//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// The kill test: whole runs of the program are killed as a power cut would, at
// moments spread evenly over their duration, and then, because storing takes
// only a small part of that, at moments within it.
const (
	killsAnywhere = 50
	killsInside   = 12 // between the first write of storing and the end of the commit
	killsMost     = 200
	killsPerFile  = 6
)

// killWorld is a world whose nth drift differs from the others in one fact. A
// round trip takes long enough for a kill to fall in between.
func killWorld(drift int) string {
	return fmt.Sprintf(`# The mail host announces another size every other run.
at 2026-11-23T12:00:00Z  rtt 2ms
-- zone --
example.org.             MX 10 mx.example.org.
mx.example.org.          A 192.0.2.25
25.2.0.192.in-addr.arpa. PTR mx.example.org.
-- smtp 192.0.2.25:25 --
S: 220 mx.example.org ESMTP
C: EHLO *
S: 250-mx.example.org
S: 250-SIZE %d
S: 250 STARTTLS
C: STARTTLS
S: 220 go ahead
!starttls cert=good
C: EHLO *
S: 250-mx.example.org
S: 250 SIZE %d
`, 1000+drift/2, 1000+drift/2)
}

// victim is a run that was started in order to be killed.
type victim struct {
	cmd     *exec.Cmd
	started time.Time
	stages  chan heard // what it says, with the times at which that was heard
	printed chan heard // the first octet of its report
}

type heard struct {
	what string
	at   time.Time
}

func startVictim(t *testing.T, db, world string) *victim {
	t.Helper()
	v := &victim{stages: make(chan heard, 100), printed: make(chan heard, 1)}
	v.cmd = child(t, "world", []string{childWorld + "=" + world, "MAILAUDIT_DB=" + db, "MAILAUDIT_ALLOW_NET=" + documentation, "MAILAUDIT_RESOLVER=192.0.2.53"},
		"audit", "example.org", "--fail-on", "never")
	stdout, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	v.cmd.ExtraFiles = []*os.File{w}
	v.started = time.Now()
	err = v.cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close() // the child has its own
	go func() {
		defer close(v.stages)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			v.stages <- heard{scan.Text(), time.Now()}
		}
		_ = r.Close() // all is read
	}()
	go func() {
		defer close(v.printed)
		in := bufio.NewReader(stdout)
		_, err := in.ReadByte()
		if err == nil {
			v.printed <- heard{"printed", time.Now()}
		}
		_, _ = io.Copy(io.Discard, in)
	}()
	return v
}

// killed is what is known of a victim.
type killed struct {
	inTime     bool // it had not ended by itself
	writing    bool // it had begun to store the run
	committing bool // and to commit that
	printed    bool // and had gone on to the report
}

// end waits for the end of the victim, which was killed or not.
func (v *victim) end(t *testing.T, seen []heard) (killed, []heard) {
	t.Helper()
	for m := range v.stages {
		seen = append(seen, m)
	}
	var k killed
	for m := range v.printed {
		seen = append(seen, m)
		k.printed = true
	}
	_ = v.cmd.Wait() // says that it was killed
	status, ok := v.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		t.Fatalf("%T", v.cmd.ProcessState.Sys())
	}
	k.inTime = status.Signaled()
	for _, m := range seen {
		k.writing = k.writing || m.what == "writing finish"
		k.committing = k.committing || k.writing && m.what == "committing"
	}
	return k, seen
}

// inside reports whether the kill fell between the first write of storing and
// the end of the commit, as near as can be told from outside.
func (k killed) inside() bool { return k.inTime && k.writing && !k.printed }

// survivors is a history that victims write to, and what is known of it.
type survivors struct {
	db, world string
	drift     int
	shown     map[int64]string // what "show" said of each complete run
}

func newSurvivors(t *testing.T) *survivors {
	t.Helper()
	dir := t.TempDir()
	s := &survivors{db: filepath.Join(dir, "history.db"), world: filepath.Join(dir, "world"), shown: map[int64]string{}}
	s.turn(t)
	s.next(t)
	return s
}

// turn makes the world of the next run.
func (s *survivors) turn(t *testing.T) *lab.World {
	t.Helper()
	s.drift++
	mustWrite(t, s.world, []byte(killWorld(s.drift)))
	return s.lives(t)
}

func (s *survivors) lives(t *testing.T) *lab.World {
	t.Helper()
	w, err := lab.ParseWorld(s.world, mustRead(t, s.world))
	if err != nil {
		t.Fatal(err)
	}
	w.Rebase(time.Now())
	return w
}

// run calls the program, which must succeed.
func (s *survivors) run(t *testing.T, args ...string) string {
	t.Helper()
	got := attempt{args: args, db: s.db}.in(s.lives(t))
	if got.code != exitOK || got.err != "" {
		t.Fatalf("%v: exit %d\n%s%s", args, got.code, got.out, got.err)
	}
	return got.out
}

// show is a run as JSON, without the traffic, which is kept only for runs
// that changed something and for the newest.
func (s *survivors) show(t *testing.T, id int64) string {
	t.Helper()
	var doc struct{ Runs []map[string]json.RawMessage }
	err := json.Unmarshal([]byte(s.run(t, "show", fmt.Sprint(id), "-f", "json")), &doc)
	if err != nil || len(doc.Runs) != 1 {
		t.Fatalf("%v, %d runs", err, len(doc.Runs))
	}
	delete(doc.Runs[0], "traffic")
	var out bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(doc.Runs[0])) {
		fmt.Fprintf(&out, "%s %s\n", key, doc.Runs[0][key])
	}
	return out.String()
}

// list gives all runs, newest first.
func (s *survivors) list(t *testing.T) []jsonInfo {
	t.Helper()
	var doc jsonList
	err := json.Unmarshal([]byte(s.run(t, "runs", "-f", "json", "-n", "0")), &doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc.Runs
}

// next proves that the next start works, and remembers its run.
func (s *survivors) next(t *testing.T) {
	t.Helper()
	s.run(t, "audit", "example.org", "--fail-on", "never")
	newest := s.list(t)[0]
	if newest.State != audit.Complete {
		t.Errorf("the next run is %s", newest.State)
	}
	s.shown[newest.ID] = s.show(t, newest.ID)
}

// verify looks at what is left, and reports whether the killed run is there,
// all of it.
func (s *survivors) verify(t *testing.T, k killed, before int) bool {
	t.Helper()
	if out := s.run(t, "db", "check"); !strings.Contains(out, "is sound") {
		t.Errorf("db check: %s", out)
	}
	runs := s.list(t)
	whole := false
	switch newest := runs[0]; len(runs) - before {
	case 0: // not even begun
		if k.writing || k.printed {
			t.Errorf("a run vanished: %+v", k)
		}
	case 1:
		whole = newest.State == audit.Complete
		if !whole && (newest.State != "interrupted" || k.printed) {
			t.Errorf("run %d is %s: %+v", newest.ID, newest.State, k)
		}
		if whole && !k.committing {
			t.Errorf("run %d is there before its commit: %+v", newest.ID, k)
		}
		if whole {
			s.shown[newest.ID] = s.show(t, newest.ID)
		}
	default:
		t.Errorf("%d runs more", len(runs)-before)
	}
	s.next(t)
	for id, want := range s.shown {
		if got := s.show(t, id); got != want {
			t.Errorf("run %d was\n%s\nand is\n%s", id, want, got)
		}
	}
	if whole { // made in the same world, it must have come to the same
		a, b := s.verdicts(t, runs[0].ID), s.verdicts(t, s.list(t)[0].ID)
		if len(a) == 0 || !slices.Equal(a, b) {
			t.Errorf("run %d found\n%s\nand the next one\n%s", runs[0].ID, a, b)
		}
	}
	return whole
}

// verdicts is what a run found, without what the day and the key of the
// certificate change.
func (s *survivors) verdicts(t *testing.T, id int64) []string {
	t.Helper()
	var doc struct {
		Runs []struct{ Findings []audit.Finding }
	}
	err := json.Unmarshal([]byte(s.run(t, "show", fmt.Sprint(id), "-f", "json")), &doc)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range doc.Runs[0].Findings {
		out = append(out, fmt.Sprintln(f.Rule, f.Subject, f.Status))
	}
	return out
}

// Ensure a kill at any moment costs at most the run that was under way: the
// next start works, the history is sound, and every run that was complete is
// there, octet for octet.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("sixty kills take some seconds")
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newSurvivors(t)
	whole, storing := s.calibrate(t)
	count := map[string]int{}
	kills, inside := 0, 0
	for tries := 0; kills < killsAnywhere || inside < killsInside; tries++ {
		if tries == killsMost {
			t.Fatalf("%d kills, %d of them while storing, in %d tries", kills, inside, tries)
		}
		if tries%killsPerFile == killsPerFile-1 {
			s = newSurvivors(t)
		}
		s.turn(t)
		before := len(s.list(t))
		v := startVictim(t, s.db, s.world)
		var seen []heard
		if kills < killsAnywhere {
			time.Sleep(time.Duration(rng.Int64N(int64(whole))))
		} else {
			seen = v.await("writing finish")
			time.Sleep(time.Duration(rng.Int64N(int64(storing))))
		}
		err := v.cmd.Process.Kill()
		if err != nil {
			t.Fatal(err)
		}
		k, _ := v.end(t, seen)
		if !k.inTime {
			count["too late: the run had ended"]++
			continue
		}
		kills++
		stored := s.verify(t, k, before)
		if t.Failed() {
			t.Fatalf("after kill %d, seed %d", kills, seed)
		}
		switch {
		case k.printed:
			count["while the report was printed, stored"]++
		case k.inside() && stored:
			count["while storing, and the run is there whole"]++
		case k.inside():
			count["while storing, and the run is not there"]++
		default:
			count["before storing"]++
		}
		if k.inside() {
			inside++
		}
	}
	t.Logf("%d kills, the first %d at random moments within %v, the rest within %v from the first write of storing (seed %d):", kills, killsAnywhere, whole, storing, seed)
	for _, what := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%4d %s", count[what], what)
	}
	if count["before storing"] < killsAnywhere/4 {
		t.Error("hardly any kill came before storing: the moments are not spread over the run")
	}
}

// Ensure a kill while the history is being created leaves nothing that stops
// the next start.
func TestKillWhileCreating(t *testing.T) {
	if testing.Short() {
		t.Skip("twenty kills take a second")
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	whole, _ := newSurvivors(t).calibrate(t)
	kinds := map[string]int{}
	for range 20 {
		s := &survivors{db: filepath.Join(t.TempDir(), "sub", "history.db"), world: filepath.Join(t.TempDir(), "world"), shown: map[int64]string{}}
		s.turn(t)
		v := startVictim(t, s.db, s.world)
		time.Sleep(time.Duration(rng.Int64N(int64(whole)))) // the file is made in the first third
		err := v.cmd.Process.Kill()
		if err != nil {
			t.Fatal(err)
		}
		k, _ := v.end(t, nil)
		st, err := os.Stat(s.db)
		switch {
		case err != nil:
			kinds["no file"]++
		case st.Size() == 0:
			kinds["an empty file"]++
		default:
			kinds["a file"]++
		}
		s.next(t)
		runs := s.list(t)
		if len(runs) > 2 || k.printed && (len(runs) != 2 || runs[1].State != audit.Complete) {
			t.Errorf("%+v, and the runs are %v", k, runs)
		}
		if out := s.run(t, "db", "check"); !strings.Contains(out, "is sound") {
			t.Errorf("db check: %s", out)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("what was there after the kill: %v (seed %d)", kinds, seed)
}

// Ensure a history that another program locks while the audit is under way
// costs the history and not the report: it is printed, and the error told.
func TestHistoryLockedMeanwhile(t *testing.T) {
	t.Parallel() // this waits for five seconds
	dir := t.TempDir()
	db, world := filepath.Join(dir, "history.db"), filepath.Join(dir, "world")
	mustWrite(t, world, []byte(strings.Replace(killWorld(1), "rtt 2ms", "rtt 300ms", 1)))
	cmd := child(t, "world", []string{childWorld + "=" + world, "MAILAUDIT_DB=" + db, "MAILAUDIT_ALLOW_NET=" + documentation, "MAILAUDIT_RESOLVER=192.0.2.53"},
		"audit", "example.org", "--fail-on", "never")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close() // the child has its own
	for scan := bufio.NewScanner(r); scan.Scan() && scan.Text() != "committing"; {
	}
	unlock := lockByOther(t, db, "BEGIN IMMEDIATE") // it waits for the child's commit if need be
	err = cmd.Wait()
	unlock()
	if cmd.ProcessState.ExitCode() != exitBroken || !strings.HasPrefix(out.String(), "example.org ") || !strings.Contains(errs.String(), "locked by another program") {
		t.Errorf("%v\n%s%s", err, &out, &errs)
	}
	checkError(t, errs.String())
}

// await waits for a stage and returns what came until then.
func (v *victim) await(stage string) []heard {
	var seen []heard
	for m := range v.stages {
		seen = append(seen, m)
		if m.what == stage {
			break
		}
	}
	return seen
}

// calibrate measures how long a run usually takes, and how long storing one.
func (s *survivors) calibrate(t *testing.T) (whole, storing time.Duration) {
	t.Helper()
	const runs = 5
	var all, inside []time.Duration
	for range runs {
		s.turn(t)
		v := startVictim(t, s.db, s.world)
		k, seen := v.end(t, nil)
		if k.inTime || !k.printed || !k.committing {
			t.Fatalf("a run that nobody killed: %+v, %v", k, seen)
		}
		var from, to time.Time
		for _, m := range seen {
			switch m.what {
			case "writing finish":
				from = m.at
			case "printed":
				to = m.at
			}
		}
		all, inside = append(all, to.Sub(v.started)), append(inside, to.Sub(from))
	}
	for _, run := range s.list(t) {
		s.shown[run.ID] = s.show(t, run.ID)
	}
	slices.Sort(all)
	slices.Sort(inside)
	return all[runs/2] * 11 / 10, inside[runs/2] * 11 / 10 // and a bit of printing
}
