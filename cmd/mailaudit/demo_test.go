package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// demoFiles are what a demo leaves.
func demoFiles() []string { return []string{demoHistory, demoHTML, demoJSON, demoMarkdown} }

// mustClear removes a directory of the test, if it is there.
func mustClear(t *testing.T, dir string) {
	t.Helper()
	err := os.RemoveAll(dir)
	if err != nil {
		t.Fatal(err)
	}
}

// demoReport reads the report of a demo for programs.
func demoReport(t *testing.T, path string) (findings []audit.Finding, changes audit.Delta) {
	t.Helper()
	var doc struct {
		Runs []struct {
			Findings []audit.Finding
			Changes  audit.Delta
		}
	}
	err := json.Unmarshal(mustRead(t, path), &doc)
	if err != nil || len(doc.Runs) != 1 {
		t.Fatalf("%s: %d runs, %v", path, len(doc.Runs), err)
	}
	return doc.Runs[0].Findings, doc.Runs[0].Changes
}

// Ensure the demo leaves two runs, a day apart and the last one now, with
// changes of every class between them, and all reports; that it asks nothing
// of the network of this machine, and that it does not keep anybody waiting.
func TestDemo(t *testing.T) {
	t.Chdir(t.TempDir())
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		start := time.Now()
		got := attempt{args: []string{"demo"}}.in(w)
		if got.code != exitOK || got.err != "" {
			t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
		}
		if pauses := time.Since(start); pauses > 2*time.Second {
			t.Errorf("it waits for %v", pauses)
		}
		checkSilence(t, got.net)
		checkFiles(t, demoDir, demoFiles()...)
		const first = "This is an invented domain in a simulated network: nothing was contacted.\n\nbakery.example "
		if !strings.HasPrefix(got.out, first) || !strings.Contains(got.out, "\nSINCE run 1 (22 Nov 2026 12:00, same vantage, same rules)\n") {
			t.Errorf("stdout:\n%s", got.out)
		}
		runs := storedRuns(t, filepath.Join(demoDir, demoHistory))
		if len(runs) != 2 {
			t.Fatalf("%d runs", len(runs))
		}
		for i, begin := range []time.Time{start, start.AddDate(0, 0, -1)} {
			r := runs[i]
			if r.State != audit.Complete || r.Snapshot.Vantage.Name != "demo" || r.Started.Sub(begin).Abs() > 2*time.Second {
				t.Errorf("run %d of %v is %s, from %s", r.ID, r.Started, r.State, r.Snapshot.Vantage.Name)
			}
		}
		findings, changes := demoReport(t, filepath.Join(demoDir, demoJSON))
		if len(findings) != len(runs[0].Findings) {
			t.Errorf("%d findings in the report, %d in the history", len(findings), len(runs[0].Findings))
		}
		classes := map[audit.Class]int{}
		for _, c := range changes.Changes {
			classes[c.Class]++
		}
		want := []audit.Class{audit.Appeared, audit.Broken, audit.Fixed, audit.Gone, audit.LostSight, audit.RegainedSight, audit.StillFailing}
		if have := slices.Sorted(maps.Keys(classes)); !slices.Equal(have, want) || len(changes.Facts) == 0 {
			t.Errorf("classes %v, want %v; %d changed facts", classes, want, len(changes.Facts))
		}
		for name, parts := range map[string][]string{
			demoHTML:     {"<!doctype html>\n", "<h1 id=\"title\">bakery.example</h1>", ">What changed since run 1</h2>", "</html>\n"},
			demoMarkdown: {"# Mail audit of `bakery.example`\n", "\n## What changed since run 1\n", "**lost sight**"},
		} {
			text := string(mustRead(t, filepath.Join(demoDir, name)))
			for _, p := range parts {
				if !strings.Contains(text, p) {
					t.Errorf("%s lacks %q", name, p)
				}
			}
		}
	})
}

// Ensure the world of the demo answers all that a run of all areas asks, and
// that no answer is left to chance: two demos say the same.
func TestDemoWorld(t *testing.T) {
	var texts []string
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			w, err := demoWorld(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			t.Chdir(dir)
			d := demo{dir: ".", color: "never", err: io.Discard}
			text, err := d.play(context.Background(), w)
			if err != nil {
				t.Fatal(err)
			}
			// Questions that turn out to be needless are given up, if they are not
			// answered yet.
			texts = append(texts, regexp.MustCompile(`asked \d+ DNS`).ReplaceAllString(string(text), "asked some DNS"))
			for _, p := range append(w.Problems(), w.Unanswered()...) {
				t.Errorf("problem of the world: %s", p)
			}
		})
	}
	if texts[0] != texts[1] {
		t.Errorf("it says\n%s\nand\n%s", texts[0], texts[1])
	}
}

// printed are the command lines that a demo proposes, as a shell reads them.
func printed(t *testing.T, out string) [][]string {
	t.Helper()
	var lines [][]string
	_, proposals, _ := strings.Cut(out, "\nnext  ")
	for line := range strings.Lines("      " + proposals) {
		command, found := strings.CutPrefix(strings.TrimSpace(line), "mailaudit ")
		if !found {
			continue
		}
		command, _, _ = strings.Cut(command, "   ") // what it is good for
		words, err := exec.Command("sh", "-c", `printf '%s\n' `+command).Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(words), "\n"), "\n"))
	}
	return lines
}

// Ensure what the demo tells people to type works as it is printed, whatever
// the directory is called.
func TestDemoCommands(t *testing.T) {
	_, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell to read the commands")
	}
	t.Chdir(t.TempDir())
	for _, dir := range []string{demoDir, "it's mine", "-x", "."} {
		inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
			args := []string{"demo", "--", dir}
			if dir == "." {
				err := os.Mkdir("empty", 0o700)
				if err != nil {
					t.Fatal(err)
				}
				t.Chdir("empty")
			}
			got := attempt{args: args}.in(w)
			if got.code != exitOK || got.err != "" {
				t.Fatalf("%s: exit %d\n%s%s", dir, got.code, got.out, got.err)
			}
			lines := printed(t, got.out)
			if len(lines) != 8 {
				t.Errorf("%s: %d commands: %q", dir, len(lines), lines)
			}
			for _, args := range lines {
				if slices.Equal(args, []string{"audit", "DOMAIN"}) {
					continue
				}
				got := attempt{args: args}.in(w)
				if got.code != exitOK || got.err != "" {
					t.Errorf("%s: %q: exit %d\n%s", dir, args, got.code, got.err)
				}
				checkSilence(t, got.net)
			}
			checkFiles(t, dir, append(demoFiles(), "first.html")...)
		})
	}
}

// Ensure the demo spares what is there already.
func TestDemoRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	mustWrite(t, "file", []byte("x"))
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		got := attempt{args: []string{"demo"}}.in(w)
		if got.code != exitOK {
			t.Fatalf("exit %d\n%s", got.code, got.err)
		}
		before := mustRead(t, filepath.Join(demoDir, demoHTML))
		for _, c := range []struct {
			args []string
			code int
			want string
		}{
			{nil, exitUsage, "mailaudit: mailaudit-demo is there already, and is not empty\n  name another directory: mailaudit demo DIRECTORY\n"},
			{[]string{"file"}, exitUsage, "mailaudit: file is there already, and is no directory\n  name another directory: mailaudit demo DIRECTORY\n"},
			{[]string{"a", "b"}, exitUsage, "mailaudit: mailaudit demo takes at most one argument: b is too much\n  see: mailaudit demo --help\n"},
			{[]string{"new", "--color", "blue"}, exitUsage, "mailaudit: --color does not take \"blue\"\n  one of: auto, always, never\n"},
			{[]string{"no/such"}, exitBroken, "mailaudit: cannot write no/such: "},
			{[]string{"file/new"}, exitBroken, "mailaudit: cannot write file/new: "},
		} {
			got := attempt{args: append([]string{"demo"}, c.args...)}.in(w)
			if got.code != c.code || got.out != "" || !strings.HasPrefix(got.err, c.want) {
				t.Errorf("%q: exit %d, want %d\n%s%s", c.args, got.code, c.code, got.out, got.err)
			}
			checkError(t, got.err)
		}
		if string(mustRead(t, filepath.Join(demoDir, demoHTML))) != string(before) {
			t.Error("the report is another one now")
		}
	})
	checkFiles(t, ".", demoDir, "file")
	checkFiles(t, demoDir, demoFiles()...)
}

// Ensure the demo uses colour when it is asked to, and that an output that
// cannot be written is told and costs no file.
func TestDemoOutput(t *testing.T) {
	t.Chdir(t.TempDir())
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		got := attempt{args: []string{"demo", "colour", "--color", "always"}}.in(w)
		if got.code != exitOK || !regexp.MustCompile(`\n  \x1b\[[\d;]+mbroken `).MatchString(got.out) {
			t.Errorf("exit %d\n%s", got.code, got.out)
		}
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(reader.Close(), writer.Close())
		if err != nil {
			t.Fatal(err)
		}
		got = attempt{args: []string{"demo", "closed"}, out: writer}.in(w)
		if got.code != exitBroken || got.err != "mailaudit: cannot write standard output: file already closed\n" {
			t.Errorf("exit %d\n%s", got.code, got.err)
		}
	})
	checkFiles(t, "closed", demoFiles()...)
}

// Ensure a demo that is stopped ends soon, with the exit code that shells
// expect, and takes away what it has written, in the first run as in the
// second one and between them.
func TestDemoInterrupted(t *testing.T) {
	t.Chdir(t.TempDir())
	err := os.Mkdir("empty", 0o700)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
		for _, dir := range []string{"empty", "new"} {
			inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				stop := interrupted{os.Interrupt}
				if after == 0 {
					cancel(stop)
				}
				timer := time.AfterFunc(after, func() { cancel(stop) })
				defer timer.Stop()
				start := time.Now()
				got := attempt{ctx: ctx, args: []string{"demo", dir}}.in(w)
				if took := got.at.Sub(start); got.code != 130 || got.out != "" || took != after {
					t.Errorf("stopped after %v: exit %d after %v\n%s%s", after, got.code, took, got.out, got.err)
				}
				if got.err != "" {
					checkError(t, got.err)
				}
			})
			checkFiles(t, "empty")
			_, err := os.Stat("new")
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("stopped after %v: the directory is there (%v)", after, err)
			}
		}
	}
	inWorld(t, plainWorld, func(t *testing.T, w *lab.World) {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(interrupted{syscall.SIGTERM})
		if got := (attempt{ctx: ctx, args: []string{"demo"}}).in(w); got.code != 143 {
			t.Errorf("exit %d", got.code)
		}
	})
}
