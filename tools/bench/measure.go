//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// rootsFile is where the world leaves its CA, in the working directory.
const rootsFile = "roots.pem"

// chain is the longest chain of answers that wait for each other in an audit
// of the single domain, and spacing the pause that is in it: the least that may
// pass between two connections to one address. cmd/mailaudit/rounds_test.go counts
// both in fake time: MX, address, then connect, greeting, EHLO, STARTTLS, TLS, EHLO
// with each of its two mail hosts, which have one operator, and the reply to QUIT
// between them; the reply to the other QUIT, the pause, and for old versions of TLS connect, greeting, EHLO, STARTTLS, ClientHello.
const (
	chain   = 2 + 6 + 1 + 6 + 6
	spacing = time.Second // dial.DefaultSpacing
)

// allowed is what is not public in the world: all of it.
const allowed = "--allow-net=10.0.0.0/8"

// measureAll prints the table.
func measureAll(binary string, many int) error {
	err := errors.Join(command("ip", "link", "set", "lo", "up"), command("ip", "route", "add", "local", "10.0.0.0/8", "dev", "lo"))
	if err != nil {
		return fmt.Errorf("make a network: %w", err)
	}
	stop, err := startWorld(many)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("every answer takes %s; %s\n\n", rtt, machine())
	fmt.Println("| what | wall | of the chain | DNS questions | connections | processor | peak memory | history |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, c := range []struct {
		name, db string
		domains  int
	}{
		{"one audit, first run", "one.db", 0},
		{"the same, nothing changed", "one.db", 0},
		{"the same, without history", "", 0},
		{"100 domains, first run", "hundred.db", min(100, many)},
		{"the same, nothing changed", "hundred.db", min(100, many)},
		{fmt.Sprintf("%d domains, first run", many), "many.db", many},
		{"the same, nothing changed", "many.db", many},
	} {
		r, err := measure(binary, c.db, c.domains)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Println(r.row(c.name, c.domains))
	}
	return nil
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// startWorld starts the process that serves the world, and waits until it does.
func startWorld(domains int) (func(), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-step", stepWorld, "-domains", fmt.Sprint(domains))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		return nil, fmt.Errorf("the world did not start: %q %w", line, errors.Join(err, cmd.Wait()))
	}
	return func() {
		_ = stdin.Close() // which ends it
		_ = cmd.Wait()
	}, nil
}

// result is what calls of the program took: the median of several for one
// domain.
type result struct {
	last                   time.Time // when the last run was shown
	wall, processor        time.Duration
	memory                 int64 // octets
	questions, connections int
	grown                  int64 // octets of the history
}

// repeats of a call for one domain.
const repeats = 9

func measure(binary, db string, domains int) (result, error) {
	if domains > 0 {
		if !exists(db) {
			return call(binary, db, domains)
		}
		// The first run changed everything, so what it saw by the way is kept
		// beside that of the second. From then on a night is like the others.
		_, err := call(binary, db, domains)
		if err != nil {
			return result{}, err
		}
		return call(binary, db, domains)
	}
	var all []result
	for i := range repeats {
		file := db
		if file != "" && !exists(file) {
			file = fmt.Sprintf("first-%d.db", i) // each is a first one
		}
		r, err := call(binary, file, 0)
		if err != nil {
			return result{}, err
		}
		all = append(all, r)
	}
	if db != "" && !exists(db) {
		err := os.Rename("first-0.db", db)
		if err != nil {
			return result{}, err
		}
	}
	slices.SortFunc(all, func(a, b result) int { return int(a.wall - b.wall) })
	return all[len(all)/2], nil
}

// call runs the program once.
func call(binary, db string, domains int) (result, error) {
	args := []string{"audit", "--resolver", resolver, allowed, "--helo", "probe.example.net", "--fail-on", "never", "-f", "jsonl"}
	stdin := ""
	if domains > 0 {
		args = append(args, "--file", "-")
		for i := range domains {
			stdin += domain(i) + "\n"
		}
	} else {
		args = append(args, single)
	}
	if db == "" {
		args = append(args, "--no-save")
	} else {
		args = append(args, "--db", db)
	}
	before := size(db)
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{"SSL_CERT_FILE=" + rootsFile, "HOME=/nonexistent", "MAILAUDIT_CONTROL=none"}
	cmd.Stdin = strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	err = cmd.Start()
	if err != nil {
		return result{}, err
	}
	r, n, err := read(stdout)
	r.wall = r.last.Sub(start) // the result is there; goodbyes may still be waited for
	err = errors.Join(err, cmd.Wait())
	if err != nil {
		return result{}, fmt.Errorf("%w\n%s", err, errs.String())
	}
	if n != max(domains, 1) {
		return result{}, fmt.Errorf("%d runs for %d domains", n, max(domains, 1))
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return result{}, errors.New("the system does not tell what the program used")
	}
	r.processor = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.memory = usage.Maxrss * 1024
	r.grown = size(db) - before
	return r, nil
}

// read reads the runs, and sees that they are what is to be measured.
func read(stdout io.Reader) (result, int, error) {
	var r result
	n := 0
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return r, n, nil
		}
		if err != nil {
			return r, n, err
		}
		r.last = time.Now()
		var run struct {
			Target   string
			Findings []struct{ Rule, Subject, Status, Detail string }
			Traffic  struct{ Questions, Connections int }
		}
		err = json.Unmarshal(line, &run)
		if err != nil {
			return r, n, err
		}
		for _, f := range run.Findings {
			if f.Status == "unknown" && f.Rule != "dkim.none" {
				return r, n, fmt.Errorf("the world is not healthy: %s: %s at %s: %s", run.Target, f.Rule, f.Subject, f.Detail)
			}
		}
		n++
		r.questions += run.Traffic.Questions
		r.connections += run.Traffic.Connections
	}
}

func (r result) row(name string, domains int) string {
	ofChain, processor := "", r.processor.Round(100*time.Microsecond).String()
	if domains == 0 {
		longest := chain*rtt + spacing
		ofChain = fmt.Sprintf("%.2f x %d ms", float64(r.wall)/float64(longest), longest.Milliseconds())
	} else {
		ofChain = fmt.Sprintf("%.0f a second", float64(domains)/r.wall.Seconds())
		processor += fmt.Sprintf(" (%.1f ms each)", float64(r.processor.Microseconds())/1000/float64(domains))
	}
	grown := "-"
	if r.grown != 0 {
		grown = fmt.Sprintf("%d octets", r.grown)
	}
	return fmt.Sprintf("| %s | %s | %s | %d | %d | %s | %.0f MB | %s |", name, r.wall.Round(time.Millisecond), ofChain,
		r.questions, r.connections, processor, float64(r.memory)/1e6, grown)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// size is of a history with its log; 0 for none.
func size(db string) int64 {
	var total int64
	for _, file := range []string{db, db + "-wal"} {
		st, err := os.Stat(file)
		if err == nil && db != "" {
			total += st.Size()
		}
	}
	return total
}

// machine says where this was measured.
func machine() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "an unknown processor"
	}
	n, model := 0, ""
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			n++
			model = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%d processors, %s", n, model)
}
