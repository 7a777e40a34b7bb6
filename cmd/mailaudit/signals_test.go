//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// silence is a resolver on loopback that hears questions and never answers.
func silence(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// waiting is the real program, started and in the middle of its first
// question.
type waiting struct {
	cmd      *exec.Cmd
	out, err bytes.Buffer
}

func startWaiting(t *testing.T, resolver *net.UDPConn, args ...string) *waiting {
	t.Helper()
	p := &waiting{}
	p.cmd = child(t, "main", []string{"MAILAUDIT_RESOLVER=" + resolver.LocalAddr().String()}, args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	err := p.cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	err = resolver.SetReadDeadline(time.Now().Add(30 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	_, err = resolver.Read(make([]byte, 1500))
	if err != nil {
		_ = p.cmd.Process.Kill() // there is nothing to wait for
		t.Fatalf("no question came: %v", err)
	}
	return p
}

// stop sends a signal.
func (p *waiting) stop(t *testing.T, s os.Signal) {
	t.Helper()
	err := p.cmd.Process.Signal(s)
	if err != nil {
		t.Fatal(err)
	}
}

// end waits for the program and returns its exit code.
func (p *waiting) end(t *testing.T) int {
	t.Helper()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode() // -1 when the signal itself ended it
}

// Ensure a signal ends an audit soon, with the exit code that shells expect,
// that what was seen is stored as aborted, and that nothing is ever compared
// with it.
func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal os.Signal
		code   int
	}{
		{"SIGINT", os.Interrupt, 130},
		{"SIGTERM", syscall.SIGTERM, 143},
	} {
		t.Run(c.name, func(t *testing.T) {
			resolver := silence(t)
			db := filepath.Join(t.TempDir(), "history.db")
			p := startWaiting(t, resolver, "audit", "example.org", "example.net", "--parallel", "1", "--db", db, "--timeout", "1h")
			p.stop(t, c.signal)
			if code := p.end(t); code != c.code || p.err.String() != "" {
				t.Errorf("exit %d, want %d\nstderr: %s", code, c.code, p.err.String())
			}
			if !strings.HasPrefix(p.out.String(), "1 of 2 domains: 1 stopped, ") {
				t.Errorf("stdout:\n%s", p.out.String())
			}
			run := newest(t, db)
			if run.ID != 1 || run.State != audit.Aborted || run.Target != "example.org" {
				t.Errorf("run %d of %s is %s", run.ID, run.Target, run.State)
			}
			for _, f := range run.Findings {
				if f.Status.Known() || f.Cause != "" && f.Cause != audit.Interrupted && f.Cause != audit.NotLearned && f.Cause != audit.NotAsked {
					t.Errorf("%s is %s (%s)", f.Rule, f.Status, f.Cause)
				}
			}
			inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
				for args, want := range map[string]string{"runs": "aborted", "show 1": "example.org", "db check": "is sound"} {
					got := attempt{args: strings.Fields(args), db: db}.in(w)
					if got.code != exitOK || !strings.Contains(got.out, want) {
						t.Errorf("%s: exit %d\n%s%s", args, got.code, got.out, got.err)
					}
				}
				got := attempt{args: []string{"show", "example.org"}, db: db}.in(w)
				if got.code != exitUsage || !strings.Contains(got.err, "no complete run of example.org") {
					t.Errorf("show example.org: exit %d\n%s%s", got.code, got.out, got.err)
				}
				mustAudit(t, w, db, "example.org")
				if run := newest(t, db); run.ID != 2 || run.State != audit.Complete {
					t.Errorf("the next run is %d, %s", run.ID, run.State)
				}
				got = attempt{args: []string{"diff"}, db: db}.in(w)
				if !strings.Contains(got.err, "run 2 is the first one of example.org") {
					t.Errorf("diff: exit %d\n%s%s", got.code, got.out, got.err)
				}
			})
		})
	}
}

// Ensure a dry run and an audit without history end as well, and leave no
// history behind.
func TestSignalWithoutHistory(t *testing.T) {
	for _, args := range []string{"audit example.org example.net --dry-run", "audit example.org --no-save"} {
		p := startWaiting(t, silence(t), strings.Fields(args)...)
		p.stop(t, os.Interrupt)
		if code := p.end(t); code != 130 || p.err.String() != "" {
			t.Errorf("%s: exit %d\n%s", args, code, p.err.String())
		}
		home := strings.TrimPrefix(p.cmd.Env[1], "HOME=")
		_, err := os.Stat(filepath.Join(home, ".local"))
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: there is a history (%v)", args, err)
		}
	}
}

// Ensure a second signal ends the program at once, even where it has something
// to wait for: here the history, which another program has locked in the
// meantime. The proof is what is not there: no report, and no word about the
// lock, which would come after five seconds.
func TestTwoSignals(t *testing.T) {
	type pair struct {
		first, second os.Signal
		code          int
	}
	try := func(c pair) {
		db := filepath.Join(t.TempDir(), "history.db")
		p := startWaiting(t, silence(t), "audit", "example.org", "--db", db)
		unlock := lockByOther(t, db, "BEGIN IMMEDIATE")
		p.stop(t, c.first)
		// Signals of one number that arrive together are one signal, so the second
		// one is sent until it has arrived.
		over := make(chan struct{})
		var sending sync.WaitGroup
		sending.Go(func() {
			for ended := false; !ended; {
				select {
				case <-over:
					ended = true
				case <-time.After(50 * time.Millisecond):
					_ = p.cmd.Process.Signal(c.second) // it may just have ended
				}
			}
		})
		defer sending.Wait()
		defer close(over)
		if code := p.end(t); code != c.code || p.err.String() != "" || p.out.String() != "" {
			t.Errorf("%v, %v: exit %d, want %d\n%s%s", c.first, c.second, code, c.code, p.out.String(), p.err.String())
		}
		unlock()
		if run := newest(t, db); run.State == audit.Aborted || run.State == audit.Complete {
			t.Errorf("run %d is %s", run.ID, run.State)
		}
	}
	try(pair{os.Interrupt, os.Interrupt, 130})
	try(pair{syscall.SIGTERM, os.Interrupt, 143}) // the first one is why
	try(pair{os.Interrupt, syscall.SIGTERM, 130})
}

// Ensure a signal that comes when the report is out, while the last goodbye is
// waited for, ends the waiting. A server that does not answer QUIT is waited
// for five seconds otherwise. The last connection is the one for old versions of
// TLS, a second after the other.
func TestSignalAtTheEnd(t *testing.T) {
	const begin = "S: 220 mx.example.org ESMTP\nC: EHLO *\nS: 250-mx.example.org\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go ahead\n!starttls cert=good min=1.0\n"
	deaf := brokenWorld("-- smtp 192.0.2.25:25 --\n" + begin + "C: EHLO *\nS: 250 mx.example.org\n" +
		"-- smtp 192.0.2.25:25 #2 --\n" + begin + "!stall\n")
	for _, c := range []struct {
		after time.Duration // when the signal comes; 0: never
		took  time.Duration
		code  int
	}{
		{0, 6 * time.Second, exitOK},
		{2 * time.Second, 2 * time.Second, exitTerminated},
	} {
		inWorld(t, deaf, func(t *testing.T, w *lab.World) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			if c.after > 0 {
				time.AfterFunc(c.after, func() { cancel(interrupted{syscall.SIGTERM}) })
			}
			db := filepath.Join(t.TempDir(), "history.db")
			start := time.Now()
			got := attempt{ctx: ctx, args: []string{"audit", "example.org"}, db: db}.in(w)
			took := got.at.Sub(start)
			if got.code != c.code || took != c.took || got.err != "" || !strings.Contains(got.out, "No fault was found") {
				t.Errorf("exit %d after %v, want %d after %v\n%s%s", got.code, took, c.code, c.took, got.out, got.err)
			}
			if run := newest(t, db); run.State != audit.Complete {
				t.Errorf("the run is %s", run.State)
			}
		})
	}
}

// Ensure an audit that cannot store what it has seen when it is stopped says
// so and keeps the exit code of the signal.
func TestSignalAndLockedHistory(t *testing.T) {
	t.Parallel() // beside TestLockedHistory: both wait for five seconds
	db := filepath.Join(t.TempDir(), "history.db")
	p := startWaiting(t, silence(t), "audit", "example.org", "--db", db)
	unlock := lockByOther(t, db, "BEGIN IMMEDIATE")
	defer unlock()
	p.stop(t, os.Interrupt)
	if code := p.end(t); code != 130 || !strings.Contains(p.err.String(), "locked by another program") || !strings.HasPrefix(p.out.String(), "example.org ") {
		t.Errorf("exit %d\n%s%s", code, p.out.String(), p.err.String())
	}
	checkError(t, p.err.String())
}
