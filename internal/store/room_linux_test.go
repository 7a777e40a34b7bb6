package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A full disk, for once a real one: a child in a namespace of its own mounts
// one in memory.
func TestNoRoom(t *testing.T) {
	dir := t.TempDir()
	cmd := child(t, self(t), "noroom", dir)
	cmd.Env = append(cmd.Env, "STORE_TEST_V1="+loadV1(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	out, err := cmd.Output()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || strings.HasPrefix(string(out), "no mount") {
		t.Skipf("this machine lets us have no disk: %v %s", err, out)
	}
	got := strings.ReplaceAll(string(out), dir, "DIR")
	want := `open: there is no room beside DIR/history.db for a copy of it, which is made before it is brought up to date; that takes up to N KB; it was left untouched
files: history.db
untouched: true
backup: no space left for the backup DIR/copy.db: nothing of it was kept
files: filler history.db
prune: true 59 false
with room: 0 true <nil>
open: <nil>
files: history.db history.db.v1.bak
`
	if err != nil || got != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
}

// childWithoutRoom reports what happens on a disk that fills up.
func childWithoutRoom(dir string) error {
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m")
	if err != nil {
		fmt.Println("no mount:", err)
		return nil
	}
	ctx := context.Background()
	path, filler := filepath.Join(dir, "history.db"), filepath.Join(dir, "filler")
	data, err := os.ReadFile(os.Getenv("STORE_TEST_V1"))
	if err != nil {
		return err
	}
	// -wal and -shm need some room, too, before there is any talk of copies.
	spare := int64(len(data)) / 2
	err = errors.Join(os.WriteFile(path, data, 0o600), fill(dir, filler, spare))
	if err != nil {
		return err
	}
	db, err := Open(ctx, path)
	var e *Error
	if !errors.As(err, &e) {
		return fmt.Errorf("open: %v, %w", db, err)
	}
	fmt.Println("open:", strings.Replace(e.Problem, fmt.Sprintf("%d KB", len(data)/1024+1), "N KB", 1))
	err = os.Remove(filler)
	if err != nil {
		return err
	}
	after, err := os.ReadFile(path)
	fmt.Println("files:", files(dir))
	fmt.Println("untouched:", err == nil && string(after) == string(data))

	reader, err := OpenRead(ctx, path)
	if err != nil {
		return err
	}
	err = fill(dir, filler, spare)
	if err != nil {
		return err
	}
	fmt.Println("backup:", reader.Backup(ctx, filepath.Join(dir, "copy.db")))
	fmt.Println("files:", files(dir))
	err = errors.Join(reader.Close(), os.Remove(filler))
	if err != nil {
		return err
	}
	return childWithoutTemp(ctx, dir, path)
}

// childWithoutTemp prunes in more and more room, until there is enough to
// remove what is to be removed, and not enough to write the file anew.
func childWithoutTemp(ctx context.Context, dir, path string) error {
	small := filepath.Join(dir, "small.db")
	db, err := Open(ctx, small)
	if err != nil {
		return err
	}
	for day := range 60 {
		run := night{day: day, drift: day}.run(quiet{})
		err = errors.Join(db.Begin(ctx, run), db.Finish(ctx, run))
		if err != nil {
			return err
		}
	}
	_, err = db.sql.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	if err != nil {
		return err
	}
	filler := filepath.Join(dir, "filler")
	full := 0
	for leave := int64(32 << 10); ; leave += 32 << 10 {
		err = fill(dir, filler, leave)
		if err != nil {
			return err
		}
		got, err := db.Prune(ctx, Prune{KeepLast: 1})
		if err == nil {
			fmt.Println("prune:", full > 0, got.Runs, got.Returned)
			break
		}
		var e *Error
		if !errors.As(err, &e) || e.Problem != "no space left for "+small+": removing takes some while it is done; nothing was removed" {
			return fmt.Errorf("prune: %w", err)
		}
		full++
		infos, err := db.Runs(ctx, Filter{})
		if err != nil || len(infos) != 60 {
			return fmt.Errorf("%d runs are left, %w", len(infos), err)
		}
		err = os.Remove(filler)
		if err != nil {
			return err
		}
		_, err = db.sql.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
		if err != nil {
			return err
		}
	}
	problems, err := db.Check(ctx)
	if err != nil || len(problems) > 0 {
		return fmt.Errorf("check: %q %w", problems, err)
	}
	err = os.Remove(filler)
	if err != nil {
		return err
	}
	got, err := db.Prune(ctx, Prune{KeepLast: 1})
	fmt.Println("with room:", got.Runs, got.Returned, err)
	err = errors.Join(err, db.Close(), os.Remove(small))
	if err != nil {
		return err
	}
	db, err = Open(ctx, path) // there is room again
	fmt.Println("open:", err)
	if err == nil {
		err = db.Close()
	}
	fmt.Println("files:", files(dir))
	return err
}

// fill leaves so many octets of the disk.
func fill(dir, name string, leave int64) error {
	var st syscall.Statfs_t
	err := syscall.Statfs(dir, &st)
	if err != nil {
		return err
	}
	return os.WriteFile(name, make([]byte, int64(st.Bavail)*st.Bsize-leave), 0o600)
}

func files(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
