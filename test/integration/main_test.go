//go:build integration && linux

// Package integration runs the real mailaudit against real servers from
// Debian's packages: BIND, Postfix, Exim, OpenSMTPD and Dovecot, with a DNS
// zone, certificates and reverse DNS of their own. Memory worlds (internal/lab)
// answer as their author thinks that servers do; these answer as servers do.
//
// Everything happens in a network namespace that holds nothing but loopback:
// the servers have their own ports there, whatever else runs on the machine,
// and nothing has a way out. BIND and Postfix are installed. The others cannot
// be, because their packages exclude Postfix: servers.sh unpacks them into a
// tree, which a mount namespace shows behind the machine's own /usr, with users
// of theirs in /etc/passwd and empty /var/lib, /var/spool and /run.
//
//	127.0.0.53         BIND        53            zone lab.test and the reverse zones
//	127.0.0.25, .26    Postfix     25            mx1, mx2; mx1 also fd00::25
//	127.0.0.31         Exim        25 587 465    RSA; 2525 cannot read its key
//	127.0.0.32         OpenSMTPD   25 587 465    its TLS ends in alert 80 with OpenSSL 3
//	127.0.0.33         Dovecot     587 465       sends no intermediate
//	127.0.0.34         Postfix     587 465       submission, logins by Dovecot; 587 has TLS 1.2
//	127.0.0.35         a tap       25 ...        passes on to one of them and writes down what is said
//
// It needs root, the packages that .ci/run installs, and servers.sh to have
// run. Without them the tests are skipped; with CI=true that is a failure.
//
//	make integration
package integration

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// insideEnv tells the test process that it is the one in the namespace, and
// names the directory in which it works.
const insideEnv = "MAILAUDIT_INTEGRATION_DIR"

// The addresses of the lab. BIND listens only on addresses that an interface
// has, so that all of them are given to lo.
const (
	dnsAddr    = "127.0.0.53"
	mx1Addr    = "127.0.0.25"
	mx1Addr6   = "fd00::25"
	mx2Addr    = "127.0.0.26"
	silentAddr = "127.0.0.98" // takes questions and never answers
	closedAddr = "127.0.0.99" // nothing listens there
	oddAddr    = "127.0.0.97" // answers nonsense
	refuseAddr = "127.0.0.96" // answers REFUSED
	clientName = "client.lab.test"

	// The servers of TestServers, see mta_test.go.
	eximAddr      = "127.0.0.31"
	opensmtpdAddr = "127.0.0.32"
	dovecotAddr   = "127.0.0.33"
	submitAddr    = "127.0.0.34" // Postfix for submission
	tapAddr       = "127.0.0.35" // where a tap listens in
)

// The programs that the lab starts, where Debian installs them.
const (
	namedProgram  = "/usr/sbin/named"
	masterProgram = "/usr/lib/postfix/sbin/master"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(insideEnv)
	if dir == "" {
		os.Exit(outside())
	}
	err := enterNamespace()
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration: prepare the namespace:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// outside builds the program and runs this test again inside the namespace.
// It returns the exit code.
func outside() int {
	why := missing()
	if why != "" {
		fmt.Println("integration: cannot run here:", why)
		if os.Getenv("CI") == "true" {
			return 1
		}
		fmt.Println("SKIP")
		return 0
	}
	dir, err := os.MkdirTemp("", "mailaudit-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	err = os.Chmod(dir, 0o755) // Postfix leaves root behind and must still get in
	if err == nil {
		err = buildProgram(dir)
	}
	if err == nil {
		err = inside(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	return 0
}

// missing says what keeps the tests from running, or "".
func missing() string {
	if os.Getuid() != 0 {
		return "not root"
	}
	for _, program := range []string{namedProgram, masterProgram} {
		_, err := os.Stat(program)
		if err != nil {
			return program + " is not installed: apt-get install bind9 postfix"
		}
	}
	for _, program := range []string{eximProgram, smtpdProgram, dovecotProgram} {
		_, err := os.Stat(filepath.Join(serversTree(), program))
		if err != nil {
			return "no " + program + " in " + serversTree() + ": bash test/integration/servers.sh"
		}
	}
	_, err := exec.LookPath("ip")
	if err != nil {
		return "ip is not installed: apt-get install iproute2"
	}
	out, err := namespaced(exec.Command("true")).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("no namespaces: %v %s", err, out)
	}
	return ""
}

// namespaced makes a command run in namespaces of its own: network, so that
// ports are free and nothing leaves; mounts and processes, so that all that it
// starts ends with it; host name, because that is the default of --vantage.
func namespaced(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd
}

// binaryEnv names a mailaudit that is built already, such as that of a release.
const binaryEnv = "MAILAUDIT_BINARY"

// buildProgram builds mailaudit into dir as users build it, unless there is one.
func buildProgram(dir string) error {
	if os.Getenv(binaryEnv) != "" {
		return nil
	}
	cmd := exec.Command("go", "build", "-o", programPath(dir), "mailaudit/cmd/mailaudit")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("build mailaudit: %w\n%s", err, out)
	}
	return nil
}

// programPath is the mailaudit to run, given the directory of the tests.
func programPath(dir string) string {
	return cmp.Or(os.Getenv(binaryEnv), filepath.Join(dir, "mailaudit"))
}

// inside runs this test binary once more, in the namespace.
func inside(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Pdeathsig goes by the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The tests wait more than they work: for pauses of manners, and for silence.
	cmd := namespaced(exec.Command(self, append(os.Args[1:], "-test.parallel=8")...))
	cmd.Env = append(os.Environ(), insideEnv+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// enterNamespace gives the namespace its /proc, host name and addresses.
func enterNamespace() error {
	err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "")
	if err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	err = syscall.Mount("proc", "/proc", "proc", 0, "")
	if err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	err = syscall.Sethostname([]byte(clientName))
	if err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	err = ip("link", "set", "lo", "up")
	for _, addr := range []string{dnsAddr, mx1Addr, mx2Addr, eximAddr, opensmtpdAddr, dovecotAddr, submitAddr} {
		if err == nil {
			err = ip("addr", "add", addr+"/8", "dev", "lo")
		}
	}
	if err == nil {
		err = mountServers()
	}
	if err != nil {
		return err
	}
	if hasIPv6() {
		return ip("addr", "add", mx1Addr6+"/128", "dev", "lo", "nodad")
	}
	return nil
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// hasIPv6 reports whether the kernel has IPv6 and lets it be used.
func hasIPv6() bool {
	disabled, err := os.ReadFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
	return err == nil && string(bytes.TrimSpace(disabled)) == "0"
}

// mx1Addrs are the addresses of the first MX host.
func mx1Addrs() []netip.Addr {
	out := []netip.Addr{netip.MustParseAddr(mx1Addr)}
	if hasIPv6() {
		out = append(out, netip.MustParseAddr(mx1Addr6))
	}
	return out
}
