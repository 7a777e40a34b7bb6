//go:build integration && linux

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// The types below are the JSON contract "mailaudit/1" as a user of it reads
// it, written down once more on purpose: sharing those of internal/audit, this
// test would follow every rename that breaks its users.

type document struct {
	Schema string `json:"schema"`
	Runs   []run  `json:"runs"`
}

type run struct {
	ID       int64     `json:"id"`
	UID      string    `json:"uid"`
	Kind     string    `json:"kind"`
	Target   string    `json:"target"`
	Domain   string    `json:"domain"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Vantage  struct {
		Name string `json:"name"`
	} `json:"vantage"`
	Facts    facts     `json:"facts"`
	Findings []finding `json:"findings"`
	Changes  changes   `json:"changes"`
}

type facts struct {
	Format int `json:"format"`
	MX     struct {
		Exists  obs[nothing]    `json:"exists"`
		Records obs[[]mxRecord] `json:"records"`
	} `json:"mx"`
	Hosts []host     `json:"hosts"`
	RDNS  []reverse  `json:"rdns"`
	SMTP  []endpoint `json:"smtp"`
}

type obs[T any] struct {
	State string `json:"state"`
	Value T      `json:"value"`
	Why   struct {
		Code string `json:"code"`
		Text string `json:"text"`
	} `json:"why"`
}

type nothing struct{}

type mxRecord struct {
	Preference int    `json:"preference"`
	Host       string `json:"host"`
}

type host struct {
	Name string        `json:"name"`
	A    obs[[]string] `json:"a"`
	AAAA obs[[]string] `json:"aaaa"`
}

type reverse struct {
	Addr    string        `json:"addr"`
	PTR     obs[[]string] `json:"ptr"`
	Forward []struct {
		Name  string        `json:"name"`
		Addrs obs[[]string] `json:"addrs"`
	} `json:"forward"`
}

type endpoint struct {
	Host     string        `json:"host"`
	Addr     string        `json:"addr"`
	Port     int           `json:"port"`
	Mode     string        `json:"mode"`
	Connect  obs[nothing]  `json:"connect"`
	Greeting obs[greeting] `json:"greeting"`
	Hello    obs[hello]    `json:"hello"`
	StartTLS obs[nothing]  `json:"starttls"`
	TLS      obs[tlsFacts] `json:"tls"`
	HelloTLS obs[hello]    `json:"hello_tls"`
	Steady   obs[nothing]  `json:"starttls_steady"`
	Large    obs[nothing]  `json:"large_hello"`
	OldTLS   obs[oldTLS]   `json:"old_tls"`
}

type oldTLS struct {
	Version string `json:"version"`
	Cipher  string `json:"cipher"`
}

type greeting struct {
	Code  int      `json:"code"`
	Name  string   `json:"name"`
	Lines []string `json:"lines"`
	Delay string   `json:"delay"`
}

type hello struct {
	Name     string `json:"name"`
	Keywords []struct {
		Name   string `json:"name"`
		Params string `json:"params"`
	} `json:"keywords"`
}

type tlsFacts struct {
	Version string `json:"version"`
	Chain   []struct {
		Issuer    string    `json:"issuer"`
		Names     []string  `json:"names"`
		NotBefore time.Time `json:"not_before"`
		NotAfter  time.Time `json:"not_after"`
		KeyType   string    `json:"key_type"`
		KeyBits   int       `json:"key_bits"`
		SHA256    string    `json:"sha256"`
	} `json:"chain"`
	ChainLen  int          `json:"chain_len"`
	Trust     obs[nothing] `json:"trust"`
	NameMatch obs[nothing] `json:"name_match"`
}

type finding struct {
	Rule     string `json:"rule"`
	Area     string `json:"area"`
	Subject  string `json:"subject"`
	Status   string `json:"status"`
	Severity string `json:"severity"`
	Detail   string `json:"detail"`
	Cause    string `json:"cause"`
}

type changes struct {
	Base *struct {
		ID  int64  `json:"id"`
		UID string `json:"uid"`
	} `json:"base"`
	Changes []change     `json:"changes"`
	Facts   []factChange `json:"facts"`
}

type change struct {
	Class   string `json:"class"`
	Rule    string `json:"rule"`
	Subject string `json:"subject"`
}

type factChange struct {
	Area    string   `json:"area"`
	Subject string   `json:"subject"`
	What    string   `json:"what"`
	Before  []string `json:"before"`
	After   []string `json:"after"`
}

// The exit codes that are asserted here.
const (
	exitOK      = 0
	exitFail    = 1 // a fail of severity high or worse
	exitUnknown = 3 // nothing of the domain could be audited
)

// programTimeout is far more than any run here takes.
const programTimeout = 90 * time.Second

// result is what one run of the program left.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\n-- stdout --\n%s\n-- stderr --\n%s", r.code, r.stdout, r.stderr)
}

// mailaudit runs the program with a home of its own and without the
// configuration of whoever runs the test. root is the file with the trusted
// roots, "" for none.
func mailaudit(t *testing.T, root string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, programPath(os.Getenv(insideEnv)), args...)
	home := t.TempDir()
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "SSL_CERT_FILE=" + root, "SSL_CERT_DIR=" + home, "MAILAUDIT_CONTROL=none"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("mailaudit %q: %v %v\n%s\n%s", args, err, ctx.Err(), stdout.String(), stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// audit runs "mailaudit audit lab.test" as JSON against the lab.
func audit(t *testing.T, root, db string) (run, result) {
	t.Helper()
	return auditOf(t, root, labDomain, "--db", db)
}

// auditOf runs an audit of a domain of the lab as JSON.
func auditOf(t *testing.T, root, domain string, args ...string) (run, result) {
	t.Helper()
	return oneRun(t, root, append([]string{"audit", domain, "--only", "mx,rdns,smtp,tls"}, args...)...)
}

// oneRun runs the program as JSON against the lab and reads its one run.
func oneRun(t *testing.T, root string, args ...string) (run, result) {
	t.Helper()
	r := mailaudit(t, root, append(args, "--resolver", dnsAddr, "--allow-private", "--format", "json")...)
	var doc document
	err := json.Unmarshal([]byte(r.stdout), &doc)
	if err != nil {
		t.Fatalf("the output is no JSON: %v\n%s", err, r)
	}
	if doc.Schema != "mailaudit/1" || len(doc.Runs) != 1 {
		t.Fatalf("schema %q with %d runs, want mailaudit/1 with one\n%s", doc.Schema, len(doc.Runs), r)
	}
	return doc.Runs[0], r
}
