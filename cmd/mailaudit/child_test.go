package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"mailaudit/internal/lab"
)

// Some things need a process of their own: signals, kills, another user, the
// lock of another program. For these the test binary runs itself, as a child
// that childMode tells what to be.
const (
	childMode  = "MAILAUDIT_TEST_CHILD"
	childWorld = "MAILAUDIT_TEST_WORLD" // the file of the world that childProgram lives in
)

func TestMain(m *testing.M) {
	switch mode := os.Getenv(childMode); mode {
	case "":
		os.Exit(m.Run())
	case "main": // the program itself, with the system's network
		main()
	case "world":
		os.Exit(childProgram())
	case "measured":
		os.Exit(childMeasured())
	case "lock":
		os.Exit(childLock(os.Args[1]))
	default:
		fmt.Fprintln(os.Stderr, "no such child:", mode)
		os.Exit(1)
	}
}

// childProgram is the program in a world in memory and in real time. What the
// tests want to know of its inside it says on descriptor 3, a line each: the
// stages of its transactions, at last how many questions were asked and how
// many connections opened.
func childProgram() int {
	say := os.NewFile(3, "report")
	data, err := os.ReadFile(os.Getenv(childWorld))
	if err != nil {
		fmt.Fprintln(say, "error:", err)
		return 1
	}
	w, err := lab.ParseWorld("child", data)
	if err != nil {
		fmt.Fprintln(say, "error:", err)
		return 1
	}
	w.Rebase(time.Now())
	announceWrites(say)
	n := w.Network()
	p := &program{
		env: func(name string) string {
			if name == "MAILAUDIT_ONLY" {
				return areasOf(w)
			}
			return os.Getenv(name)
		},
		out: os.Stdout, err: os.Stderr, hostName: "probe.example.net", network: n, trust: w.Roots(),
	}
	code := p.run(context.Background(), os.Args)
	fmt.Fprintf(say, "questions %d, connections %d\n", len(n.Questions()), len(n.Connections()))
	return code
}

// childMeasured is the program with the system's network and without pauses.
// On descriptor 3 it says at last how much memory it has ever had, in kB
// (Linux). Its parent cannot know: what a process used counts there from before
// it became another program.
func childMeasured() int {
	const blink = 10 * time.Millisecond
	p := &program{
		env: os.Getenv, in: os.Stdin, out: os.Stdout, err: os.Stderr, hostName: "probe.example.net",
		pace: pace{spacing: -1, confirmSMTP: blink},
	}
	code := p.run(context.Background(), os.Args)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, line := range strings.Split(string(status), "\n") {
		if peak, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Fprintln(os.NewFile(3, "report"), peak)
		}
	}
	return code
}

// announceWrites says when a transaction writes for the first time, naming
// what it does, and when its commit begins. SQLite calls these hooks before it
// touches the file.
func announceWrites(say io.Writer) {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
		hooks, ok := conn.(sqlite.HookRegisterer)
		if !ok {
			return fmt.Errorf("no hooks on %T", conn)
		}
		writing := false
		hooks.RegisterPreUpdateHook(func(data sqlite.SQLitePreUpdateData) {
			if writing {
				return
			}
			writing = true
			what := "begin"
			if data.Op == sqlite3.SQLITE_UPDATE && data.TableName == "runs" {
				what = "finish"
			}
			fmt.Fprintln(say, "writing", what)
		})
		hooks.RegisterCommitHook(func() int32 {
			if writing {
				fmt.Fprintln(say, "committing")
			}
			writing = false
			return 0
		})
		return nil
	})
}

// childLock is another program that locks a history until its standard input
// ends.
func childLock(path string) int {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	db.SetMaxOpenConns(1)
	for _, statement := range strings.Split("PRAGMA busy_timeout=5000;"+os.Getenv("MAILAUDIT_TEST_SQL"), ";") {
		_, err = db.Exec(statement)
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = db.Close()
	return 0
}

// child prepares a child. Its environment is the given one alone, but for what
// a process needs.
func child(t testing.TB, mode string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "mailaudit"
	cmd.Env = append([]string{childMode + "=" + mode, "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "MAILAUDIT_CONTROL=" + noControl,
		"GORACE=atexit_sleep_ms=0"}, env...) // the race detector would sleep for a second at the end
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	if runtime.GOOS != "windows" { // which has no such thing
		cmd.ExtraFiles = []*os.File{null} // descriptor 3 is never anything else
	}
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		cmd.Env = append(cmd.Env, "GOCOVERDIR="+dir)
	}
	return cmd
}

// ended is what a child left.
type ended struct {
	code     int
	out, err string
	report   string // from descriptor 3
}

// runChild runs a child to its end.
func runChild(t testing.TB, cmd *exec.Cmd) ended {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close() // the child has its own
	report, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()  // nothing more to read
	_ = cmd.Wait() // its code says it
	return ended{cmd.ProcessState.ExitCode(), out.String(), errs.String(), string(report)}
}
