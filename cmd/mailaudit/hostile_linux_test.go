package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// What one hostile server may cost. The program by itself, storing included,
// has some 30 MiB.
const (
	promisedMemory = 64 << 10  // kB, all of the process: issue 4
	readableReport = 192 << 10 // octets of a report
	readableRecord = 1 << 20   // of one that holds all facts, or the dialogues
	enoughTime     = 2 * time.Minute
)

// hostile is a server that wants to hurt. It plays every connection with play.
type hostile struct {
	name string
	play func(c net.Conn)
	args []string // beside the server
	says string   // what the report makes of it, blanks aside
}

// TestHostileServers runs the whole program against servers over real sockets,
// each of which sends as much, as long or as badly as it can. What each costs
// is held against what is promised; time is counted in fake time, in
// internal/smtp. And whatever was sent, the report can be read.
func TestHostileServers(t *testing.T) {
	measured := !raceDetector(t) // it has memory of its own
	for _, h := range hostileServers(t) {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			run := func(args ...string) ended {
				got, peak := measure(t, append(args, "--db", filepath.Join(dir, "history.db"))...)
				if measured && peak > promisedMemory {
					t.Errorf("mailaudit %s took %d MiB", args[0], peak>>10)
				}
				return got
			}
			formats := map[string]int{"text": readableReport, "md": readableReport, "html": readableReport, "json": readableRecord}
			args := append([]string{"smtp", serveHostile(t, h.play), "--allow-private", "--resolver", "127.0.0.1:9"}, h.args...)
			for format := range formats {
				args = append(args, "-o", format+"="+filepath.Join(dir, format))
			}
			got := run(args...)
			if got.code != exitOK && got.code != exitFindings && got.code != exitUnknown {
				t.Fatalf("exit %d\n%.2000s", got.code, got.err)
			}
			for format, most := range formats {
				text, err := os.ReadFile(filepath.Join(dir, format))
				if err != nil {
					t.Fatal(err)
				}
				checkReadable(t, format, text, most)
				if format == "text" && !strings.Contains(strings.Join(strings.Fields(string(text)), " "), h.says) {
					t.Errorf("the report does not say %q:\n%.3000s", h.says, text)
				}
			}
			checkReadable(t, "text", []byte(run("show", "1", "-v").out), readableRecord)
		})
	}
}

// measure runs the program and returns what it left, and the most memory that
// it had, in kB.
func measure(t *testing.T, args ...string) (ended, int) {
	t.Helper()
	cmd := child(t, "measured", nil, args...)
	watchdog := time.AfterFunc(enoughTime, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	got := runChild(t, cmd)
	peak := 0
	_, err := fmt.Sscanf(got.report, "%d kB", &peak)
	if err != nil {
		t.Fatalf("the child says %q of its memory (%v), and\n%.2000s", got.report, err, got.err)
	}
	t.Logf("%s: exit %d, %d MiB", args[0], got.code, peak>>10)
	return got, peak
}

// checkReadable: short enough to be read, and nothing in it that a terminal, a
// browser or a parser would obey. internal/report has the properties in full.
func checkReadable(t *testing.T, format string, text []byte, most int) {
	t.Helper()
	t.Logf("%s: %d octets", format, len(text))
	if len(text) == 0 || len(text) > most {
		t.Errorf("the report as %s has %d octets", format, len(text))
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		for _, c := range string(line) {
			if c < 0x20 || c >= 0x7f && c < 0xa0 || c == '\ufffd' || c >= '\u200b' && c <= '\u200f' || c >= '\u2028' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069' {
				t.Errorf("the report as %s has the octet %q in line %d: %.300q", format, c, i+1, line)
				return
			}
		}
		if format == "text" && len([]rune(string(line))) > 80 {
			t.Errorf("line %d of the text is wider than 80: %.300q", i+1, line)
			return
		}
	}
	if format == "json" && !json.Valid(text) {
		t.Error("the JSON is none")
	}
	if format == "html" && (bytes.Contains(text, []byte("<script")) || bytes.Contains(text, []byte("<img"))) {
		t.Error("HTML of the server's is in the report")
	}
}

// serveHostile listens on loopback until the end of the test.
func serveHostile(t *testing.T, play func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(enoughTime)) // fails only on a closed connection
				play(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// raceDetector reports whether this test is built with it.
func raceDetector(t *testing.T) bool {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build information")
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
