//go:build linux

// Bench measures mailaudit as users run it: the built program, over real
// sockets, against a world in which every answer takes 20 ms, on domains of
// which most share a provider. What it prints is in docs/performance.md.
//
//	make bench
//
// It works in a network namespace of its own, where any address is ours: the
// world is at addresses and ports as on the internet, and nothing can leave. The
// world is served by a second process, so that what the program takes is
// measured alone; both share the processors.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// rtt is how long every answer of the world takes.
const rtt = 20 * time.Millisecond

// The steps that the program takes by itself: it enters the namespace, and
// starts the world.
const (
	stepInside = "inside"
	stepWorld  = "world"
)

func main() {
	step := flag.String("step", "", "how the program calls itself")
	binary := flag.String("binary", "", "a mailaudit that is built already")
	many := flag.Int("domains", 1000, "the most domains to audit in one call")
	flag.Parse()
	err := run(*step, *binary, *many)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(step, binary string, many int) error {
	switch step {
	case stepWorld:
		return serveWorld(many)
	case stepInside:
		return measureAll(binary, many)
	}
	dir, err := os.MkdirTemp("", "mailaudit-bench-")
	if err != nil {
		return err
	}
	if binary == "" {
		binary = filepath.Join(dir, "mailaudit")
		cmd := exec.Command("go", "build", "-trimpath", "-o", binary, "mailaudit/cmd/mailaudit")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		err = cmd.Run()
	}
	if err == nil {
		err = inside(dir, binary, many)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// inside runs this program once more, in namespaces of its own; a user who is
// not root is root there.
func inside(dir, binary string, many int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Pdeathsig goes by the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(self, "-step", stepInside, "-binary", binary, "-domains", fmt.Sprint(many))
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return cmd.Run()
}
