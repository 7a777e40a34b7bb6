//go:build unix

package store

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user who owns nothing here: root may write anywhere, so what a
// user may not do is tested by a child that is not root.
const nobody = 65534

// A file and a directory that may only be read: OpenRead works, Open says why
// it does not.
func TestReadOnly(t *testing.T) {
	dir, err := os.MkdirTemp("", "store-readonly-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "history.db")
	storeNights(t, path, night{}, night{day: 1, drift: 1})
	writeFile(t, path+"2", []byte("closed"))
	binary := filepath.Join(dir, "child")
	copyFile(t, binary, self(t))
	for name, mode := range map[string]os.FileMode{path: 0o444, path + "2": 0, binary: 0o755, dir: 0o555} {
		err = os.Chmod(name, mode)
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = os.Chmod(dir, 0o755) }() // so that it can be removed
	if os.Geteuid() == 0 && !hasUser(nobody) {
		t.Skip("this user namespace has no user without rights (unshare -r)")
	}
	cmd := child(t, binary, "readonly", path)
	cmd.Dir = dir
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := strings.Join([]string{
		"runs 2, problems []",
		"Open: PATH or its directory cannot be written",
		"Open elsewhere: no permission for DIR/sub",
		"OpenRead of a closed file: no permission for PATH2",
		"",
	}, "\n")
	got := strings.NewReplacer(path+"2", "PATH2", path, "PATH", dir, "DIR").Replace(string(out))
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if names := list(t, dir); len(names) != 3 {
		t.Errorf("there are %v", names)
	}
}

func copyFile(t testing.TB, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err != nil {
		t.Fatal(err)
	}
	err = out.Close()
	if err != nil {
		t.Fatal(err)
	}
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
