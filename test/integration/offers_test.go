//go:build integration && linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The servers of this file by name.
const (
	eximName      = "exim.lab.test"
	opensmtpdName = "opensmtpd.lab.test"
	dovecotName   = "dovecot.lab.test"
	submitName    = "submit.lab.test"
)

// offer is what is true of one port of a server, as its configuration and its
// makers have it.
type offer struct {
	name     string
	port     int
	banner   string   // of the greeting, behind the name
	family   string   // as reports have it; empty: nothing was heard of it
	clear    []string // keywords of EHLO before TLS; nil: TLS is there from the first octet
	inside   []string // keywords inside TLS; nil: it does not come up
	version  string   // of TLS
	cert     issued
	trust    string // why the chain leads to no root; empty: it leads to one
	fails    []string
	passes   []string
	tlsFails string // the reason for a TLS that does not come up: state and code
}

// words are keywords with their parameters, sorted.
func words(lines ...string) []string {
	slices.Sort(lines)
	return lines
}

func offers(certs *certificates, exim, opensmtpd, dovecot, submit issued) []offer {
	without := func(list []string, prefixes ...string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(w string) bool {
			return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(w, p) })
		})
	}
	with := func(list []string, more ...string) []string { return words(append(slices.Clone(list), more...)...) }

	onExim := words("8BITMIME", "CHUNKING", "HELP", "PIPECONNECT", "PIPELINING", "SIZE 52428800", "SMTPUTF8", "STARTTLS")
	insideExim := with(without(onExim, "STARTTLS"), "AUTH PLAIN LOGIN CRAM-MD5")
	onSMTPD := words("8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "HELP", "SIZE 36700160", "STARTTLS")
	onDovecot := words("8BITMIME", "AUTH CRAM-MD5 SCRAM-SHA-256", "BURL imap", "CHUNKING", "ENHANCEDSTATUSCODES", "PIPELINING", "SIZE", "STARTTLS")
	insideDovecot := with(without(onDovecot, "STARTTLS", "AUTH"), "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256")
	onPostfix := words("8BITMIME", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "ETRN", "PIPELINING", "SIZE 10240000", "SMTPUTF8", "STARTTLS", "VRFY")
	insidePostfix := without(onPostfix, "STARTTLS")
	insideSubmit := with(insidePostfix, "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256")

	const banners, brokenTLS = "ESMTP Exim 4.96 <date>", "absent broken"
	const tls12, tls13 = "TLS 1.2", "TLS 1.3"
	well := []string{"tls.cert-chain-incomplete", "tls.cert-untrusted", "tls.cert-name", "tls.cert-expired"}
	up := append(slices.Clone(well), "tls.starttls-missing", "tls.starttls-broken", "auth.cleartext-offered")
	all := []offer{
		{name: mx2Name, port: 25, banner: "ESMTP Postfix", clear: onPostfix, inside: insidePostfix, version: tls13, cert: certs.mx2, passes: append(up, "auth.on-mx-port")},
		{name: submitName, port: 587, banner: "ESMTP Postfix", clear: onPostfix, inside: insideSubmit, version: tls12, cert: submit, passes: up},
		{name: submitName, port: 465, banner: "ESMTP Postfix", inside: insideSubmit, version: tls13, cert: submit, passes: well},
		{name: eximName, port: 25, banner: banners, clear: onExim, inside: insideExim, version: tls13, cert: exim, passes: up, fails: []string{"smtp.version-disclosed"}},
		{name: eximName, port: 587, banner: banners, clear: onExim, inside: insideExim, version: tls13, cert: exim, passes: up},
		{name: eximName, port: 465, banner: banners, inside: insideExim, version: tls13, cert: exim, passes: well},
		{name: eximName, port: 2525, banner: banners, clear: onExim, tlsFails: "unknown temporary", passes: []string{"tls.starttls-missing"}},
		{name: opensmtpdName, port: 25, banner: "ESMTP OpenSMTPD", clear: onSMTPD, tlsFails: brokenTLS, passes: []string{"tls.starttls-missing"}, fails: []string{"tls.starttls-broken"}},
		{name: opensmtpdName, port: 587, banner: "ESMTP OpenSMTPD", clear: onSMTPD, tlsFails: brokenTLS, fails: []string{"tls.starttls-broken"}},
		{name: opensmtpdName, port: 465, tlsFails: brokenTLS, fails: []string{"tls.starttls-broken"}},
		{name: dovecotName, port: 587, banner: "Dovecot (Debian) ready.", clear: onDovecot, inside: insideDovecot, version: tls13, cert: dovecot, trust: "incomplete",
			passes: []string{"tls.cert-name", "tls.cert-expired", "tls.starttls-broken", "auth.cleartext-offered"}, fails: []string{"tls.cert-chain-incomplete"}},
		{name: dovecotName, port: 465, banner: "Dovecot (Debian) ready.", inside: insideDovecot, version: tls13, cert: dovecot, trust: "incomplete",
			passes: []string{"tls.cert-name", "tls.cert-expired"}, fails: []string{"tls.cert-chain-incomplete"}},
	}
	for i, o := range all {
		for program, family := range map[string]string{"Postfix": "Postfix", "Exim": "Exim 4.96", "OpenSMTPD": "OpenSMTPD", "Dovecot": "Dovecot submission"} {
			if strings.Contains(o.banner, program) {
				all[i].family = family + " (sure: banner, EHLO"
			}
		}
	}
	return all
}

// TestServers tests every port of every server with "mailaudit smtp", and
// holds what it says against what is true.
func TestServers(t *testing.T) {
	startBIND(t)
	certs := makeCertificates(t, time.Hour)
	forExim, forSMTPD := certs.issue(t, eximName, rsaKey(t), time.Hour), certs.issue(t, opensmtpdName, ecdsaKey(t), time.Hour)
	forDovecot, forSubmit := certs.issue(t, dovecotName, ecdsaKey(t), time.Hour).withoutChain(t), certs.issue(t, submitName, ecdsaKey(t), time.Hour)
	startPostfix(t, certs)
	e := startExim(t, forExim)
	startOpenSMTPD(t, forSMTPD)
	startDovecot(t, forDovecot)
	startSubmission(t, forSubmit)
	t.Run("offers", func(t *testing.T) {
		for _, o := range offers(certs, forExim, forSMTPD, forDovecot, forSubmit) {
			t.Run(fmt.Sprintf("%s:%d", o.name, o.port), func(t *testing.T) {
				t.Parallel() // those of broken TLS wait five seconds
				page := filepath.Join(t.TempDir(), "report.txt")
				r, said := oneRun(t, certs.root, "smtp", fmt.Sprintf("%s:%d", o.name, o.port), "--no-save", "-o", "json=/dev/stdout", "-o", "text="+page)
				if len(r.Facts.SMTP) != 1 {
					t.Fatalf("%d endpoints", len(r.Facts.SMTP))
				}
				checkOffer(t, r.Facts.SMTP[0], o)
				checkFamily(t, page, o)
				checkFindings(t, r, o)
				checkExit(t, r, said)
				if t.Failed() {
					t.Logf("the program: exit %d, %s", said.code, said.stderr)
				}
			})
		}
		for _, name := range []string{submitName, eximName, opensmtpdName, dovecotName} {
			t.Run(name+":587 in mode tls", func(t *testing.T) {
				t.Parallel()
				r, said := oneRun(t, certs.root, "smtp", name+":587", "--mode", "tls", "--no-save")
				if len(r.Facts.SMTP) != 1 || r.Facts.SMTP[0].TLS.State != "unknown" || r.Facts.SMTP[0].TLS.Why.Code != "clear-text" || said.code != exitUnknown {
					t.Errorf("TLS is not called unknown for being met in the wrong mode: %s", said)
				}
			})
		}
	})
	e.checkLog(t)
}

// checkOffer holds the facts against the truth.
func checkOffer(t *testing.T, e endpoint, o offer) {
	t.Helper()
	fromOn := o.clear == nil
	mode := "starttls"
	if fromOn {
		mode = "tls"
	}
	if e.Host != o.name || e.Port != o.port || e.Mode != mode || e.Connect.State != "seen" {
		t.Errorf("%s:%d in mode %s, connect %+v", e.Host, e.Port, e.Mode, e.Connect)
	}
	if g := e.Greeting; o.banner != "" && (g.State != "seen" || g.Value.Code != 220 || g.Value.Name != o.name ||
		!slices.Equal(g.Value.Lines, []string{o.name + " " + o.banner}) || g.Value.Delay != "prompt") {
		t.Errorf("greeting %+v, want %s %s", g, o.name, o.banner)
	}
	checkHello(t, "EHLO", e.Hello, o.name, o.clear)
	if fromOn == (e.StartTLS.State == "seen") {
		t.Errorf("STARTTLS %+v", e.StartTLS)
	}
	checkHello(t, "EHLO inside TLS", e.HelloTLS, o.name, o.inside)
	s := e.TLS.Value
	if o.tlsFails != "" {
		if got := e.TLS.State + " " + e.TLS.Why.Code; got != o.tlsFails {
			t.Errorf("TLS %s (%s), want %s", got, e.TLS.Why.Text, o.tlsFails)
		}
		return
	}
	if e.TLS.State != "seen" || s.Version != o.version || s.ChainLen != o.cert.chain || len(s.Chain) != o.cert.chain {
		t.Errorf("TLS %+v, want %s with %d certificates", e.TLS, o.version, o.cert.chain)
		return
	}
	if s.NameMatch.State != "seen" || s.Trust.Why.Code != o.trust || (s.Trust.State == "seen") != (o.trust == "") {
		t.Errorf("trust %+v, name %+v", s.Trust, s.NameMatch)
	}
	c := s.Chain[0]
	if !slices.Equal(c.Names, []string{o.name}) || !c.NotBefore.Equal(o.cert.notBefore) || !c.NotAfter.Equal(o.cert.notAfter) ||
		c.SHA256 != o.cert.sha256 || c.KeyType != o.cert.keyType || c.KeyBits != o.cert.keyBits || !strings.Contains(c.Issuer, "Lab Intermediate") {
		t.Errorf("certificate %+v, want %+v", c, o.cert)
	}
}

// checkHello looks at a reply to EHLO; want is nil where there is none.
func checkHello(t *testing.T, what string, got obs[hello], name string, want []string) {
	t.Helper()
	if want == nil {
		if got.State == "seen" {
			t.Errorf("%s %+v, want none", what, got)
		}
		return
	}
	var list []string
	for _, k := range got.Value.Keywords {
		list = append(list, strings.TrimSpace(k.Name+" "+k.Params))
	}
	slices.Sort(list)
	if got.State != "seen" || got.Value.Name != name || !slices.Equal(list, want) {
		t.Errorf("%s: %s %+v from %s with\n%q, want\n%q", what, got.State, got.Why, got.Value.Name, list, want)
	}
}

// checkFamily holds the line about the kind of server against the truth.
func checkFamily(t *testing.T, page string, o offer) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`(?m)^ +family +\S+ +(.*)$`).FindStringSubmatch(string(text))
	switch {
	case o.family == "" && said == nil:
	case said == nil || o.family == "" || !strings.HasPrefix(said[1], o.family):
		t.Errorf("the family is %q, want %q:\n%s", said, o.family, text)
	}
}

// checkFindings: the rules that must fail do, and those that must not pass.
func checkFindings(t *testing.T, r run, o offer) {
	t.Helper()
	status := map[string]string{}
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Subject, o.name+"[") {
			status[f.Rule] = f.Status
		}
	}
	for _, rule := range o.fails {
		if status[rule] != "fail" {
			t.Errorf("%s: %q, want fail", rule, status[rule])
		}
	}
	for _, rule := range o.passes {
		if status[rule] != "pass" {
			t.Errorf("%s: %q, want pass", rule, status[rule])
		}
	}
}

// checkLog reads in the log of Exim what it was told: connections without mail
// are logged with all their commands.
func (e *exim) checkLog(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(e.mainLog)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`no MAIL in SMTP connection .* C=(\S+)`).FindAllStringSubmatch(string(text), -1)
	if len(found) == 0 {
		t.Errorf("Exim's log tells of no connection:\n%s", text)
	}
	for _, m := range found {
		// Old versions of TLS are refused in the handshake, which ends the
		// conversation; where they are spoken, QUIT follows at once.
		if !slices.Contains([]string{"EHLO,STARTTLS,EHLO,QUIT", "EHLO,QUIT", "EHLO,STARTTLS,QUIT", "EHLO,STARTTLS", "QUIT"}, m[1]) {
			t.Errorf("Exim was told %s", m[1])
		}
	}
}
