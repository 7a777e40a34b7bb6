package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childLocks takes the lock and holds it until it is killed or told to end.
func childLocks(path string) error {
	unlock, err := lockAt(path, func() time.Time { return time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) })
	if err != nil {
		return err
	}
	fmt.Println("locked")
	_, err = fmt.Scanln() // until the parent closes our input
	_ = err
	return unlock()
}

func mustLock(t testing.TB, path string) func() error {
	t.Helper()
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

// held by another process: the error names it. However that one ends, the lock
// is free at once.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "history.db") // Lock comes before Open
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"ends", "is killed"} {
		holder := startChild(t, "lock", path)
		holder.waitFor(t, "locked")
		for range 2 { // asking does not change the answer
			_, err = Lock(path)
			var e *Error
			want := fmt.Sprintf("another audit (pid %d on %s, since 2026-11-23 02:00 UTC) uses this history", holder.cmd.Process.Pid, host)
			if !errors.As(err, &e) || e.Problem != want || !strings.Contains(e.Hint, "try again when it has finished") {
				t.Errorf("got %v, want %q", err, want)
			}
		}
		if how == "ends" {
			holder.end(t)
		} else {
			holder.kill(t)
			if len(readFile(t, path+".lock")) == 0 {
				t.Error("a killed holder has tidied up: this test tests less than it says")
			}
		}
		unlock := mustLock(t, path)
		err = unlock()
		if err != nil {
			t.Errorf("after the holder %s: %v", how, err)
		}
		err = unlock() // twice is once
		if err != nil {
			t.Errorf("unlocking twice: %v", err)
		}
	}
	if m := modeOf(t, path+".lock"); m != fileMode && runtime.GOOS != "windows" {
		t.Errorf("mode %04o", m)
	}
	if names := list(t, filepath.Dir(path)); len(names) != 1 {
		t.Errorf("there are %v", names)
	}
}

// Within one process, too, and by every name of the file.
func TestLockHere(t *testing.T) {
	path := tempFile(t)
	storeNights(t, path, night{})
	link := filepath.Join(t.TempDir(), "link.db")
	err := os.Symlink(path, link)
	if err != nil {
		t.Skip("no symbolic links here:", err)
	}
	writeFile(t, path+".lock", []byte(strings.Repeat("left by a killed holder\n", 20)))
	unlock := mustLock(t, link)
	for _, name := range []string{path, link} {
		_, err = Lock(name)
		if !errors.Is(err, errHeld) || !strings.Contains(err.Error(), fmt.Sprint("(pid ", os.Getpid(), " on ")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	storeNights(t, path, night{day: 1}) // the file itself is not locked
	err = unlock()
	if err != nil {
		t.Fatal(err)
	}
	if text := readFile(t, path+".lock"); len(text) != 0 {
		t.Errorf("%q is still there", text)
	}
	other := mustLock(t, tempFile(t))
	defer func() { _ = other() }()
	err = mustLock(t, path)()
	if err != nil {
		t.Error(err)
	}
}

// What a lock file says is believed only when it can be true.
func TestLockHolder(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const nobody = "another audit uses this history"
	cases := []struct{ why, text, want string }{
		{"not written yet", "", nobody},
		{"half written", "4711\nvps", nobody},
		{"no pid", "x\nvps\n2026-11-23T02:00:00.000Z\n", nobody},
		{"no time", "4711\nvps\nyesterday\n", nobody},
		{"left by a killed holder", "2147483646\n" + host + "\n2026-11-23T02:00:00.000Z\n", nobody},
		{"elsewhere", "4711\nvps\n2026-11-23T02:00:00.000Z\n", "another audit (pid 4711 on vps, since 2026-11-23 02:00 UTC) uses this history"},
		{"on no host", "4711\n\n2026-11-23T02:00:00.000Z\n", "another audit (pid 4711, since 2026-11-23 02:00 UTC) uses this history"},
		{"hostile", "4711\n\x1b[31m\xff\n2026-11-23T02:00:00.000Z\n", `another audit (pid 4711 on \x1B[31m\xFF, since 2026-11-23 02:00 UTC) uses this history`},
		{"endless", strings.Repeat("4711\n", 1000), nobody},
	}
	for _, c := range cases {
		path := tempFile(t)
		unlock := mustLock(t, path)
		writeFile(t, path+".lock", []byte(c.text))
		_, err := Lock(path)
		var e *Error
		if !errors.As(err, &e) || e.Problem != c.want {
			t.Errorf("%s: %v, want %q", c.why, err, c.want)
		}
		err = unlock()
		if err != nil {
			t.Error(err)
		}
	}
}

func TestLockRefuses(t *testing.T) {
	path := tempFile(t)
	err := os.Mkdir(path+".lock", 0o700)
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	_, err = Lock(path)
	if !errors.As(err, &e) {
		t.Errorf("a directory: %v", err)
	}
	if os.Geteuid() != 0 || runtime.GOOS == "windows" {
		t.Skip("only root can make a link of somebody else's")
	}
	path = tempFile(t)
	victim := path + ".victim"
	writeFile(t, victim, []byte("precious"))
	err = errors.Join(os.Symlink(victim, path+".lock"), os.Lchown(path+".lock", 12345, 12345))
	if errors.Is(err, syscall.EINVAL) {
		t.Skip("this user namespace has no other users (unshare -r)")
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = Lock(path)
	if !errors.As(err, &e) || e.Problem != path+".lock is a symbolic link that belongs to another user" || string(readFile(t, victim)) != "precious" {
		t.Errorf("somebody else's link: %v", err)
	}
}
