//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mailaudit/internal/lab"
)

// What these say is in docs/performance.md. Nothing here is asserted: how fast
// a machine is decides no test.

// BenchmarkHelp is the time from the start of the program to the first octet
// of its help: what a person waits for at least. ns/op is until its end.
func BenchmarkHelp(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "mailaudit")
	out, err := exec.Command("go", "build", "-trimpath", "-o", binary, ".").CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	var first time.Duration
	one := make([]byte, 1)
	for b.Loop() {
		cmd := exec.Command(binary, "--help")
		cmd.Env = []string{}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		err = cmd.Start()
		if err != nil {
			b.Fatal(err)
		}
		_, err = stdout.Read(one)
		first += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		_ = stdout.Close() // the rest fits into the pipe
		_ = cmd.Wait()     // it may have been told that nobody reads
	}
	b.ReportMetric(float64(first.Microseconds())/1000/float64(b.N), "ms/first-octet")
}

// benchWorld is a domain with two mail hosts on three addresses.
const benchWorld = `# A healthy domain with two mail hosts on three addresses.
at 2026-11-23T12:00:00Z
-- zone --
example.org.        MX 10 mx1.example.org.
example.org.        MX 20 mx2.example.org.
mx1.example.org.    A 192.0.2.25
mx1.example.org.    AAAA 2001:db8::25
mx2.example.org.    A 192.0.2.26
25.2.0.192.in-addr.arpa. PTR mx1.example.org.
26.2.0.192.in-addr.arpa. PTR mx2.example.org.
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx1.example.org.
-- server 192.0.2.25:25 mx1.example.org --
-- server [2001:db8::25]:25 mx1.example.org --
-- server 192.0.2.26:25 mx2.example.org --
`

// benchRuns runs the whole program again and again in a world without delays,
// in real time. The servers of the world are part of what is measured.
func benchRuns(b *testing.B, a attempt) {
	b.Helper()
	w, err := lab.ParseWorld("bench", []byte(benchWorld))
	if err != nil {
		b.Fatal(err)
	}
	w.Rebase(time.Now())
	first := a.in(w) // makes keys and certificates, and the history
	if first.code != exitOK {
		b.Fatalf("exit %d\n%s%s", first.code, first.out, first.err)
	}
	before := cpu(b)
	for b.Loop() {
		got := a.in(w)
		if got.code != exitOK {
			b.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// cpu is the processor time that this process has taken.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAudit is one audit of a domain, from arguments to report, without
// history.
func BenchmarkAudit(b *testing.B) {
	benchRuns(b, attempt{args: []string{"audit", "example.org", "--no-save"}})
}

// BenchmarkUnchangedRun is the same with a history in which nothing changes:
// what a nightly run costs.
func BenchmarkUnchangedRun(b *testing.B) {
	db := filepath.Join(b.TempDir(), "history.db")
	benchRuns(b, attempt{args: []string{"audit", "example.org", "-q"}, db: db})
	st, err := os.Stat(db)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(st.Size())/1024, "KiB/history")
}
