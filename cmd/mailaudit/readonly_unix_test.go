//go:build unix

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailaudit/internal/lab"
)

// nobody is a user who owns nothing here: root may write anywhere, so what a
// user may not do is tried by a child that is not root.
const nobody = 65534

// Ensure a history that may only be read serves all commands that read, stops
// an audit before the first packet, and that a report that cannot be written
// where it should goes to standard output.
func TestReadOnly(t *testing.T) {
	if os.Geteuid() == 0 && !hasUser(nobody) {
		t.Skip("root of a user namespace without other users: nothing is read-only here")
	}
	dir, err := os.MkdirTemp("", "mailaudit-readonly-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w, err := lab.ParseWorld(t.Name(), []byte(plainWorld))
	if err != nil {
		t.Fatal(err)
	}
	w.Rebase(time.Now())
	path, closed, world, binary := filepath.Join(dir, "history.db"), filepath.Join(dir, "closed.db"), filepath.Join(dir, "world"), filepath.Join(dir, "mailaudit")
	mustAudit(t, w, path, "example.org", "--note", "a remark")
	mustAudit(t, w, path, "example.org")
	mustWrite(t, closed, mustRead(t, path))
	mustWrite(t, world, []byte(plainWorld))
	copySelf(t, binary)
	for name, mode := range map[string]os.FileMode{path: 0o444, closed: 0, world: 0o444, binary: 0o755, dir: 0o555} {
		err = os.Chmod(name, mode)
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = os.Chmod(dir, 0o755) }() // so that it can be removed
	report := `^example\.org .*(?s:.*)No fault was found`
	for _, c := range []struct {
		args             string
		code             int
		out, err, report string
	}{
		{"runs --db DIR/history.db", exitOK, `no faults, changed\n +note: a remark\n`, `^$`, "questions 0, connections 0"},
		{"show example.org --db DIR/history.db", exitOK, report, `^$`, "questions 0, connections 0"},
		{"show 1 -f json --db DIR/history.db", exitOK, `^\{`, `^$`, "questions 0, connections 0"},
		{"diff --db DIR/history.db", exitOK, `nothing changed\n$`, `^$`, "questions 0, connections 0"},
		{"db check --db DIR/history.db", exitOK, `is sound`, `^$`, "questions 0, connections 0"},
		{"note 1 --db DIR/history.db", exitOK, `^a remark\n$`, `^$`, "questions 0, connections 0"},
		{"note 1 other --db DIR/history.db", exitBroken, `^$`, `history\.db or its directory cannot be written\n.*--db FILE\n$`, "questions 0, connections 0"},
		{"db backup DIR/copy.db --db DIR/history.db", exitBroken, `^$`, `the backup DIR/copy\.db cannot be written: permission denied\n`, "questions 0, connections 0"},
		{"db prune --keep-last 1 --db DIR/history.db", exitBroken, `^$`, `history\.db or its directory cannot be written\n.*--db FILE\n$`, "questions 0, connections 0"},
		{"db prune --keep-last 1 --dry-run --db DIR/history.db", exitBroken, `^$`, `history\.db or its directory cannot be written\n`, "questions 0, connections 0"},
		{"db migrate --db DIR/history.db", exitBroken, `^$`, `history\.db or its directory cannot be written\n`, "questions 0, connections 0"},
		{"db migrate --db DIR/closed.db", exitBroken, `^$`, `no permission for DIR/closed\.db\n`, "questions 0, connections 0"},
		{"audit example.org --db DIR/history.db", exitBroken, `^$`, `history\.db or its directory cannot be written\n.*--no-save`, "questions 0, connections 0"},
		{"audit example.org --db DIR/new.db", exitBroken, `^$`, `new\.db or its directory cannot be written\n.*--no-save`, "questions 0, connections 0"},
		{"audit example.org --db DIR/sub/new.db", exitBroken, `^$`, `no permission for DIR/sub\n.*--no-save`, "questions 0, connections 0"},
		{"audit example.org --db DIR/closed.db", exitBroken, `^$`, `cannot be written|no permission`, "questions 0, connections 0"},
		{"runs --db DIR/closed.db", exitBroken, `^$`, `no permission for DIR/closed\.db\n`, "questions 0, connections 0"},
		{"audit example.org --no-save", exitOK, report, `^$`, "connections 2"},
		{"audit example.org --no-save -o DIR/report.json", exitBroken, report, `^mailaudit: cannot write DIR/report\.json: permission denied\n$`, "connections 2"},
		{"demo DIR/demo", exitBroken, `^$`, `^mailaudit: cannot write DIR/demo: permission denied\n$`, "questions 0, connections 0"},
		{"show 1 --db DIR/history.db -o DIR/history.db", exitUsage, `^$`, `^mailaudit: DIR/history\.db is the history: a report would destroy it\n`, "questions 0, connections 0"},
	} {
		t.Run(c.args, func(t *testing.T) {
			cmd := asNobody(child(t, "world", []string{childWorld + "=" + world, "MAILAUDIT_ALLOW_NET=" + documentation, "MAILAUDIT_RESOLVER=192.0.2.53"},
				strings.Fields(strings.ReplaceAll(c.args, "DIR", dir))...))
			cmd.Path, cmd.Dir = binary, dir
			got := runChild(t, cmd)
			shown := strings.ReplaceAll(got.err, dir, "DIR")
			if got.code != c.code || !regexp.MustCompile(c.out).MatchString(got.out) || !regexp.MustCompile(c.err).MatchString(shown) {
				t.Errorf("exit %d, want %d\nstdout, want %s\n%s\nstderr, want %s\n%s", got.code, c.code, c.out, got.out, c.err, shown)
			}
			if !strings.HasSuffix(got.report, c.report+"\n") {
				t.Errorf("the child says %q, want %q", got.report, c.report)
			}
			if c.code != exitOK {
				checkError(t, got.err)
			}
		})
	}
	checkFiles(t, dir, "history.db", "closed.db", "world", "mailaudit")
}

// hasUser reports whether a user exists in the user namespace that we are in
// (user_namespaces(7)). Where there is no such thing all users do.
func hasUser(id int) bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		var inside, outside, count int
		_, err = fmt.Sscan(line, &inside, &outside, &count)
		if err == nil && inside <= id && id-inside < count {
			return true
		}
	}
	return false
}

// asNobody takes the rights of root away from a child.
func asNobody(cmd *exec.Cmd) *exec.Cmd {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// copySelf copies the test binary to where others may run it.
func copySelf(t *testing.T, to string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
