//go:build integration && linux

package integration

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// The programs that servers.sh unpacks, as paths from the root of its tree.
const (
	eximProgram    = "/usr/sbin/exim4"
	smtpdProgram   = "/usr/sbin/smtpd"
	dovecotProgram = "/usr/sbin/dovecot"
)

// saslPort is where Dovecot answers for the logins of Postfix.
const saslPort = 12345

// serversTree is the directory into which servers.sh unpacks.
func serversTree() string {
	return cmp.Or(os.Getenv("MAILAUDIT_SERVERS"), "/var/cache/mailaudit-servers")
}

// serverUsers are whom the unpacked servers want to run as. Packages make them
// when they are installed.
func serverUsers() []string {
	return []string{"Debian-exim", "opensmtpd", "opensmtpq", "dovecot", "dovenull"}
}

// firstUID is that of the first of them; the others follow. They are above
// those that Debian gives to people (1000 to 59999).
const firstUID = 64500

// mountServers makes the unpacked servers part of the mount namespace: behind
// the machine's own /usr, which wins where both have a file. /var/lib,
// /var/spool and /run begin empty, so that nothing of theirs reaches the
// machine's.
func mountServers() error {
	err := syscall.Mount("overlay", "/usr", "overlay", 0, "lowerdir=/usr:"+filepath.Join(serversTree(), "usr"))
	if err != nil {
		return fmt.Errorf("overlay /usr: %w", err)
	}
	for _, dir := range []string{"/var/lib", "/var/spool", "/run"} {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755")
		if err != nil {
			return fmt.Errorf("empty %s: %w", dir, err)
		}
	}
	for _, name := range []string{"passwd", "group"} {
		err = addUsers(name)
		if err != nil {
			return err
		}
	}
	return nil
}

// addUsers puts a copy of /etc/passwd or /etc/group with the servers' users in
// the place of the machine's.
func addUsers(file string) error {
	theirs := filepath.Join("/etc", file)
	text, err := os.ReadFile(theirs)
	if err != nil {
		return err
	}
	for i, name := range serverUsers() {
		if bytes.Contains(text, []byte("\n"+name+":")) {
			continue
		}
		entry := fmt.Sprintf("%s:x:%d:", name, firstUID+i)
		if file == "passwd" {
			entry += fmt.Sprintf("%d::/nonexistent:/usr/sbin/nologin", firstUID+i)
		}
		text = append(text, entry+"\n"...)
	}
	ours := filepath.Join(os.Getenv(insideEnv), file)
	err = os.WriteFile(ours, text, 0o644)
	if err != nil {
		return err
	}
	return syscall.Mount(ours, theirs, "", syscall.MS_BIND, "")
}

// ids are the user and the group of a server's user.
func ids(t *testing.T, name string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err = strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return uid, gid
}

// give hands a file or directory to a user.
func give(t *testing.T, name, user string) {
	t.Helper()
	uid, gid := ids(t, user)
	err := os.Chown(name, uid, gid)
	if err != nil {
		t.Fatal(err)
	}
}

// makeDir makes a directory for a user.
func makeDir(t *testing.T, name, user string) string {
	t.Helper()
	err := os.MkdirAll(name, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	give(t, name, user)
	return name
}

// exim is Exim 4 as a mail server with logins.
type exim struct {
	*daemon
	mainLog string
}

// startExim listens on 25, 587 and 465, with logins inside TLS alone. On 2525
// it offers STARTTLS and cannot read its key.
func startExim(t *testing.T, cert issued) *exim {
	t.Helper()
	dir := makeDir(t, tempDir(t), "Debian-exim")
	makeDir(t, filepath.Join(dir, "log"), "Debian-exim")
	give(t, cert.file, "Debian-exim")
	conf := filepath.Join(dir, "exim.conf")
	writeFile(t, 0o644, conf, fmt.Sprintf(`primary_hostname = exim.lab.test
local_interfaces = %[1]s
daemon_smtp_ports = 25 : 587 : 465 : 2525
tls_on_connect_ports = 465
spool_directory = %[2]s
log_file_path = %[2]s/log/%%slog
pid_file_path = %[2]s/pid
log_selector = +smtp_no_mail
tls_advertise_hosts = *
tls_certificate = %[3]s
tls_privatekey = ${if ={$received_port}{2525}{/nonexistent}{%[3]s}}
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
host_lookup =
rfc1413_hosts =
keep_environment =
acl_smtp_rcpt = nobody

begin acl
nobody:
  deny

begin routers
begin transports

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = false
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = false
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = nobody logs in
`, eximAddr, dir, cert.file))
	e := &exim{mainLog: filepath.Join(dir, "log", "mainlog")}
	e.daemon = startDaemon(t, filepath.Join(dir, "exim.out"), eximProgram, "-bdf", "-C", conf)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of Exim ends:\n%s", tail(e.mainLog))
		}
	})
	e.listens(t, eximAddr+":25", eximAddr+":587", eximAddr+":465", eximAddr+":2525")
	return e
}

// startOpenSMTPD listens on 25, 587 and 465. Debian's 6.8.0p2 was made for an
// older OpenSSL and sends alert 80 in every handshake.
func startOpenSMTPD(t *testing.T, cert issued) *daemon {
	t.Helper()
	dir := tempDir(t)
	for _, d := range []string{"/var/lib/opensmtpd/empty", "/var/spool/smtpd"} {
		err := os.MkdirAll(d, 0o711)
		if err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "smtpd.conf")
	writeFile(t, 0o644, conf, fmt.Sprintf(`pki lab cert %[2]q
pki lab key %[2]q
listen on %[1]s port 25 tls pki lab hostname opensmtpd.lab.test
listen on %[1]s port 587 tls-require pki lab auth hostname opensmtpd.lab.test
listen on %[1]s port 465 smtps pki lab auth hostname opensmtpd.lab.test
action "local" mbox
match for local action "local"
`, opensmtpdAddr, cert.file))
	d := startDaemon(t, filepath.Join(dir, "smtpd.log"), smtpdProgram, "-d", "-f", conf)
	d.listens(t, opensmtpdAddr+":25", opensmtpdAddr+":587", opensmtpdAddr+":465")
	return d
}

// startDovecot listens on 587 and 465 for mail that is submitted, and answers
// for the logins of Postfix.
func startDovecot(t *testing.T, cert issued) *daemon {
	t.Helper()
	dir := tempDir(t)
	conf := filepath.Join(dir, "dovecot.conf")
	uid, gid := ids(t, "dovecot")
	writeFile(t, 0o644, conf, fmt.Sprintf(`protocols = submission
base_dir = %[2]s/run
state_dir = %[2]s/state
log_path = %[2]s/dovecot.log
listen = %[1]s
hostname = dovecot.lab.test
ssl = yes
ssl_cert = <%[3]s
ssl_key = <%[3]s
auth_mechanisms = plain login cram-md5 scram-sha-256
submission_relay_host = %[4]s
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=%[5]d gid=%[6]d home=/nonexistent
}
mail_location = mbox:/nonexistent
service submission-login {
  inet_listener submission {
    port = 587
  }
  inet_listener submissions {
    port = 465
    ssl = yes
  }
}
service auth {
  inet_listener {
    address = %[1]s
    port = %[7]d
  }
}
`, dovecotAddr, dir, cert.file, mx1Addr, uid, gid, saslPort))
	d := startDaemon(t, filepath.Join(dir, "dovecot.out"), dovecotProgram, "-F", "-c", conf)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of Dovecot ends:\n%s", tail(filepath.Join(dir, "dovecot.log")))
		}
	})
	d.listens(t, dovecotAddr+":587", dovecotAddr+":465", fmt.Sprintf("%s:%d", dovecotAddr, saslPort))
	return d
}

// startSubmission is Postfix for submission: 587 with STARTTLS required and TLS
// 1.2 at most, 465 with TLS from the first byte. Dovecot checks the logins.
func startSubmission(t *testing.T, cert issued) *postfix {
	t.Helper()
	service := func(port int, options string) string {
		return fmt.Sprintf("%s:%d inet n - n - - smtpd\n  -o myhostname=submit.lab.test\n%s", submitAddr, port, options)
	}
	return runPostfix(t, service(587, "  -o smtpd_tls_security_level=encrypt\n  -o { smtpd_tls_protocols = >=TLSv1.2, <=TLSv1.2 }\n  -o { smtpd_tls_mandatory_protocols = >=TLSv1.2, <=TLSv1.2 }\n")+
		service(465, "  -o smtpd_tls_wrappermode=yes\n"),
		fmt.Sprintf(`smtpd_tls_chain_files = %s
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:%s:%d
smtpd_relay_restrictions = permit_sasl_authenticated, reject
`, cert.file, dovecotAddr, saslPort), submitAddr+":587", submitAddr+":465")
}
