//go:build integration && linux

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How long servers may take; both are ready within two seconds on a slow
// machine.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	pollInterval = 20 * time.Millisecond
)

// tempDir is a directory of one test that servers without root's rights can
// enter, which t.TempDir is not.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(insideEnv), "test-")
	if err != nil {
		t.Fatal(err)
	}
	err = os.Chmod(dir, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, mode fs.FileMode, name, text string) {
	t.Helper()
	err := os.WriteFile(name, []byte(text), mode)
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until done, and fails the test when that takes too long.
func eventually(t *testing.T, what string, done func() error) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	err := done()
	for err != nil && time.Now().Before(deadline) {
		time.Sleep(pollInterval)
		err = done()
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// daemon is a server that runs in the foreground as a child of the test.
type daemon struct {
	name string
	cmd  *exec.Cmd
	log  string        // the file with what it says
	done chan struct{} // closed when it has ended
}

// startDaemon starts a server whose output goes to the file log. It is
// stopped at the end of the test, and its log is shown when the test failed.
func startDaemon(t *testing.T, log string, program string, args ...string) *daemon {
	t.Helper()
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	d := &daemon{name: filepath.Base(program), cmd: exec.Command(program, args...), log: log, done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = file, file
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = d.cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait() // how it ended is in d.cmd.ProcessState
		close(d.done)
	}()
	t.Cleanup(func() {
		d.stop(t)
		if t.Failed() {
			t.Logf("the log of %s ends:\n%s", d.name, tail(log))
		}
	})
	return d
}

// alive is an error once the server has ended.
func (d *daemon) alive() error {
	select {
	case <-d.done:
		return fmt.Errorf("%s has ended: %s\n%s", d.name, d.cmd.ProcessState, tail(d.log))
	default:
		return nil
	}
}

// stop asks the server to end and waits for it. It may be called twice.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-d.done:
	case <-time.After(stopTimeout):
		t.Errorf("%s does not stop; killing it", d.name)
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
		<-d.done
	}
}

// tail is the end of a log.
func tail(name string) string {
	const lines = 40
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// bind is BIND, the name server and resolver of the lab.
type bind struct {
	*daemon
	dir    string
	serial int
}

// startBIND serves the lab's zones on dnsAddr, port 53, and answers NXDOMAIN
// for the rest of the world.
func startBIND(t *testing.T) *bind {
	t.Helper()
	b := &bind{dir: tempDir(t)}
	b.writeZones(t, true)
	var zones strings.Builder
	for name := range b.zones(true) {
		fmt.Fprintf(&zones, "zone %q { type primary; file %q; };\n", name, zoneFile(name))
	}
	conf := filepath.Join(b.dir, "named.conf")
	writeFile(t, 0o644, conf, fmt.Sprintf(`options {
	directory %q;
	pid-file "named.pid";
	session-keyfile "session.key";
	listen-on port 53 { %s; };
	listen-on-v6 { none; };
	recursion yes;
	allow-query { any; };
	allow-recursion { any; };
	dnssec-validation no;
	empty-zones-enable no;
	notify no;
};
controls { };
%s`, b.dir, dnsAddr, zones.String()))
	b.daemon = startDaemon(t, filepath.Join(b.dir, "named.log"), namedProgram, "-g", "-n", "1", "-c", conf)
	eventually(t, "BIND answers", b.serves)
	return b
}

// serves checks that BIND answers with the zone as it was last written.
func (b *bind) serves() error {
	err := b.alive()
	if err != nil {
		return err
	}
	serial, err := soaSerial(labDomain)
	if err != nil {
		return err
	}
	if serial != b.serial {
		return fmt.Errorf("the zone has serial %d, want %d", serial, b.serial)
	}
	return nil
}

// dropSecondMX takes the second MX record out of the zone and waits until BIND
// answers accordingly.
func (b *bind) dropSecondMX(t *testing.T) {
	t.Helper()
	b.writeZones(t, false)
	err := b.cmd.Process.Signal(syscall.SIGHUP) // read the zones again
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "BIND serves the zone without the second MX", b.serves)
}

func (b *bind) writeZones(t *testing.T, secondMX bool) {
	t.Helper()
	b.serial++
	for name, text := range b.zones(secondMX) {
		writeFile(t, 0o644, filepath.Join(b.dir, zoneFile(name)), text)
	}
}

func zoneFile(zone string) string { return "zone-" + strings.TrimSuffix(zone, ".") + ".txt" }

// zones are the zone files of the lab by zone.
func (b *bind) zones(secondMX bool) map[string]string {
	head := fmt.Sprintf(`$TTL 300
@ SOA ns.lab.test. hostmaster.lab.test. %d 3600 600 86400 300
@ NS ns.lab.test.
`, b.serial)
	mail := head + `@ MX 10 mx1
ns     A ` + dnsAddr + `
client A 127.0.0.1
mx1    A ` + mx1Addr + `
mx2    A ` + mx2Addr + `
exim      A ` + eximAddr + `
opensmtpd A ` + opensmtpdAddr + `
dovecot   A ` + dovecotAddr + `
submit    A ` + submitAddr + `
tap       A ` + tapAddr + `
tapped    MX 10 tap
`
	if secondMX {
		mail += "@ MX 20 mx2\n"
	}
	zones := map[string]string{
		".": head + "ns.lab.test. A " + dnsAddr + "\n",
		"127.in-addr.arpa": head + `1.0.0  PTR client.lab.test.
25.0.0 PTR mx1.lab.test.
26.0.0 PTR mx2.lab.test.
53.0.0 PTR ns.lab.test.
`,
	}
	if hasIPv6() {
		mail += "mx1 AAAA " + mx1Addr6 + "\n"
		zones["0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"] = head + "5.2" + strings.Repeat(".0", 14) + " PTR mx1.lab.test.\n"
	}
	zones[labDomain] = mail
	return zones
}

// postfix is Postfix as the mail server on both MX hosts.
type postfix struct {
	*daemon
	mailLog string
}

// startPostfix listens on port 25 of every MX address, with the certificate of
// each host. It takes mail for the lab's domain; nobody sends it any.
func startPostfix(t *testing.T, certs *certificates) *postfix {
	t.Helper()
	services, ports := "", []string{mx2Addr + ":25"}
	for _, addr := range mx1Addrs() {
		services += smtpService(addr.String(), mx1Name, certs.mx1.file)
		ports = append(ports, net.JoinHostPort(addr.String(), "25"))
	}
	return runPostfix(t, services+smtpService(mx2Addr, mx2Name, certs.mx2.file), "smtpd_tls_security_level = may\n", ports...)
}

// runPostfix starts a Postfix with the services and waits until it listens on
// the ports.
func runPostfix(t *testing.T, services, settings string, ports ...string) *postfix {
	t.Helper()
	dir := tempDir(t)
	p := &postfix{mailLog: filepath.Join(dir, "mail.log")}
	makeQueue(t, dir)
	protocols := "ipv4"
	if hasIPv6() {
		protocols = "all"
	}
	writeFile(t, 0o644, filepath.Join(dir, "main.cf"), fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = %[2]s
maillog_file_prefixes = %[1]s
inet_protocols = %[3]s
inet_interfaces = all
mydomain = %[4]s
mydestination = %[4]s
mynetworks = 127.0.0.1/32
alias_maps =
local_recipient_maps =
# The namespace has no resolver of its own, and the greeting must not wait.
smtpd_peername_lookup = no
smtpd_tls_loglevel = 1
%[5]s`, dir, p.mailLog, protocols, labDomain, settings))
	writeFile(t, 0o644, filepath.Join(dir, "master.cf"), services+`
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
local     unix  - n n -     - local
anvil     unix  - - n -     1 anvil
postlog   unix-dgram n - n - 1 postlogd
`)
	p.daemon = startDaemon(t, filepath.Join(dir, "master.log"), masterProgram, "-d", "-c", dir)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the mail log ends:\n%s", tail(p.mailLog))
		}
	})
	p.daemon.listens(t, ports...)
	return p
}

// listens waits until the server listens on the ports, each ADDRESS:PORT.
func (d *daemon) listens(t *testing.T, ports ...string) {
	t.Helper()
	for _, at := range ports {
		eventually(t, d.name+" listens on "+at, func() error {
			err := d.alive()
			if err != nil {
				return err
			}
			conn, err := net.DialTimeout("tcp", at, time.Second)
			if err != nil {
				return err
			}
			return conn.Close()
		})
	}
}

// smtpService is the entry of master.cf for one address.
func smtpService(addr, name, chain string) string {
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return fmt.Sprintf("%s:25 inet n - n - - smtpd\n  -o myhostname=%s\n  -o smtpd_tls_chain_files=%s\n", addr, name, chain)
}

// makeQueue makes the directories that Postfix wants to find, with the owners
// on which it insists.
func makeQueue(t *testing.T, dir string) {
	t.Helper()
	uid, gid := postfixIDs(t)
	for _, d := range []struct {
		name     string
		mode     fs.FileMode
		uid, gid int
	}{
		{"data", 0o700, uid, -1},
		{"spool", 0o755, 0, -1},
		{"spool/pid", 0o755, 0, -1},
		{"spool/active", 0o700, uid, -1},
		{"spool/bounce", 0o700, uid, -1},
		{"spool/corrupt", 0o700, uid, -1},
		{"spool/defer", 0o700, uid, -1},
		{"spool/deferred", 0o700, uid, -1},
		{"spool/flush", 0o700, uid, -1},
		{"spool/hold", 0o700, uid, -1},
		{"spool/incoming", 0o700, uid, -1},
		{"spool/private", 0o700, uid, -1},
		{"spool/saved", 0o700, uid, -1},
		{"spool/trace", 0o700, uid, -1},
		{"spool/maildrop", 0o730, uid, gid},
		{"spool/public", 0o710, uid, gid},
	} {
		name := filepath.Join(dir, d.name)
		err := errors.Join(os.Mkdir(name, d.mode), os.Chown(name, d.uid, d.gid), os.Chmod(name, d.mode))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// postfixIDs are the user and the group under which Postfix runs.
func postfixIDs(t *testing.T) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroup("postdrop")
	if err != nil {
		t.Fatal(err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err = strconv.Atoi(g.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return uid, gid
}
