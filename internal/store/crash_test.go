package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

// The crash test: a child stores one run after another and says how far it is;
// the parent kills it at a random moment and looks at what is left.
const (
	crashKills  = 50 // at least
	crashInside = 10 // of them at least so many between the first write of Finish and the end of its commit
	crashMost   = 150
	crashWindow = 8 // kills fall within the time of so many runs, however fast the machine is
	crashRounds = 5 // kills of one file
)

// serialRun is the run that a child stores as its nth: about one in three
// changes something, some are aborted.
func serialRun(t testing.TB, n int) *audit.Run {
	v := night{day: n, drift: n / 3}
	if n%11 == 10 {
		v.state = audit.Aborted
	}
	return v.run(t)
}

// childWrites stores runs until it is killed. With STORE_TEST_REOPEN it opens
// the file anew for each.
func childWrites(path string) error {
	ctx := context.Background()
	first, err := strconv.Atoi("0" + os.Getenv("STORE_TEST_FIRST"))
	if err != nil {
		return err
	}
	first = max(first, 1)
	db, err := Open(ctx, path)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for n := first; ; n++ {
		run := serialRun(quiet{}, n)
		db.hook = func(stage string) { fmt.Println(stage) }
		err = db.Begin(ctx, run)
		if err != nil {
			return err
		}
		fmt.Println("begun", n, run.ID)
		err = db.Finish(ctx, run)
		if err != nil {
			return err
		}
		if os.Getenv("STORE_TEST_REOPEN") == "" {
			continue
		}
		err = db.Close()
		if err != nil {
			return err
		}
		db, err = Open(ctx, path)
		if err != nil {
			return err
		}
	}
}

// process is a child whose lines are collected as they come.
type testChild struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string
}

func startChild(t testing.TB, mode, path string, env ...string) *testChild {
	t.Helper()
	cmd := child(t, self(t), mode, path)
	cmd.Env = append(cmd.Env, env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	c := &testChild{cmd: cmd, stdin: stdin, lines: make(chan string, 100000)} // more than any child says: reading never waits
	go func() {
		defer close(c.lines)
		for scan := bufio.NewScanner(stdout); scan.Scan(); {
			c.lines <- scan.Text()
		}
	}()
	return c
}

// waitFor reads until the child says word.
func (c *testChild) waitFor(t testing.TB, word string) {
	t.Helper()
	for line := range c.lines {
		if line == word {
			return
		}
		if strings.HasPrefix(line, "error:") {
			t.Fatal(line)
		}
	}
	t.Fatalf("the child ended without saying %q", word)
}

// kill ends the child as a power cut would, and returns what it had still said.
func (c *testChild) kill(t testing.TB) []string {
	t.Helper()
	err := c.cmd.Process.Kill()
	if err != nil {
		t.Fatal(err)
	}
	var rest []string
	for line := range c.lines {
		rest = append(rest, line)
	}
	_ = c.cmd.Wait() // says that it was killed
	return rest
}

// end lets the child finish by itself.
func (c *testChild) end(t testing.TB) {
	t.Helper()
	err := c.stdin.Close()
	if err != nil {
		t.Fatal(err)
	}
	for range c.lines {
	}
	err = c.cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
}

// crash is what a killed child had said.
type crash struct {
	begun     map[int]int64 // serial to id
	committed map[int]bool
	inside    int // the serial in whose Finish it was killed, 0 for none
	next      int // the serial to go on with
}

func (c *crash) read(t *testing.T, lines []string) {
	t.Helper()
	c.inside = 0
	for _, line := range lines {
		var n int
		var id int64
		switch line {
		case "writing":
			c.inside = c.next - 1
			continue
		case "committed":
			c.committed[c.next-1] = true
			c.inside = 0
			continue
		}
		_, err := fmt.Sscanf(line, "begun %d %d", &n, &id)
		if err != nil {
			t.Fatalf("the child says %q", line)
		}
		c.begun[n], c.next = id, n+1
	}
}

// verify looks at what is left, and reports whether the run in whose Finish
// the child was killed is there, all of it.
func (c *crash) verify(t *testing.T, path string) bool {
	t.Helper()
	ctx := context.Background()
	db, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, db)
	mustClean(t, db)
	insideStored := false
	for n, id := range c.begun {
		got, err := db.Run(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if got.State == Interrupted {
			if c.committed[n] {
				t.Errorf("run %d was reported as committed and is not there", id)
			}
			continue
		}
		insideStored = insideStored || n == c.inside
		want := serialRun(t, n)
		want.ID = id
		if d := diffRuns(want, got, false); d != "" {
			t.Errorf("run %d:\n%s", id, d)
		}
	}
	infos, err := db.Runs(ctx, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if more := len(infos) - len(c.begun); more != 0 {
		// A Begin that committed and could not say so any more; its serial is
		// taken.
		c.next += more
		c.begun[c.next-1] = infos[0].ID
		if more != 1 || infos[0].State != Interrupted {
			t.Errorf("%d runs more than were begun, the newest is %s", more, infos[0].State)
		}
	}
	return insideStored
}

// runTime is how long the child takes for a run.
func runTime(t *testing.T) time.Duration {
	t.Helper()
	writer := startChild(t, "write", tempFile(t))
	defer writer.kill(t)
	writer.waitFor(t, "ready")
	start := time.Now()
	const runs = 5 // few, because the first is the slowest, as it is after each kill
	for range runs {
		writer.waitFor(t, "committed")
	}
	return time.Since(start) / runs
}

func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("fifty kills take some seconds")
	}
	if runtime.GOOS == "windows" {
		t.Skip("a killed process is not the same thing on Windows")
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	kills, inside, stored, committed := 0, 0, 0, 0
	window := crashWindow * runTime(t)
	var path string
	var c *crash
	for kills < crashKills || inside < crashInside {
		if kills == crashMost {
			t.Fatalf("only %d of %d kills fell into Finish", inside, kills)
		}
		if kills%crashRounds == 0 {
			path = tempFile(t)
			c = &crash{begun: map[int]int64{}, committed: map[int]bool{}, next: 1}
		}
		writer := startChild(t, "write", path, fmt.Sprint("STORE_TEST_FIRST=", c.next))
		writer.waitFor(t, "ready")
		time.Sleep(time.Duration(rng.Int64N(int64(window))))
		before := len(c.committed)
		c.read(t, writer.kill(t))
		kills++
		committed += len(c.committed) - before
		whole := c.verify(t, path)
		if c.inside > 0 {
			inside++
			if whole {
				stored++
			}
		}
		if t.Failed() {
			t.Fatalf("after kill %d, seed %d", kills, seed)
		}
	}
	t.Logf("%d kills at random moments within %v; %d between the first write of Finish and the word that it had committed: "+
		"%d of these runs were there whole and %d not at all; %d runs were reported as committed, all are there (seed %d)",
		kills, window, inside, stored, inside-stored, committed, seed)
	if committed < kills/2 {
		t.Errorf("only %d commits in %d rounds: the child is too slow for this to mean anything", committed, kills)
	}
}
