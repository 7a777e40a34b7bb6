package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/auditor"
	"mailaudit/internal/collect"
)

// The ports that a mode is meant for: plain for 25 (RFC 5321 4.5.4.2), starttls
// for 587 (RFC 6409 3.1), tls for 465 (RFC 8314 7.3). They stand in where no
// port is given; auto goes to 25.
const (
	portSMTP        = 25
	portSubmission  = 587
	portSubmissions = 465
)

func (p *program) smtpCommand() *cli.Command {
	return &cli.Command{
		Name: "smtp", Usage: "test one SMTP server: connection, greeting, TLS, what it offers", ArgsUsage: "HOST[:PORT] | --mx DOMAIN",
		Description: `mailaudit smtp mx1.example.org
mailaudit smtp mail.example.org:587
mailaudit smtp mail.example.org:465
mailaudit smtp mail.example.org --mode plain -f json
mailaudit smtp mail.example.org:2525 --mode starttls
mailaudit smtp --mx example.org
mailaudit smtp mx1.example.org -4 --proxy socks5h://127.0.0.1:1080
mailaudit smtp [2001:db8::25]:25`,
		Flags:  smtpFlags(),
		Action: p.smtp,
	}
}

func smtpFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "mode", Value: "auto", Usage: "`MODE` of the connection: auto (tls on port 465, else starttls), plain, starttls, tls. Without a port: 25, 25, 587, 465"},
		&cli.BoolFlag{Name: "mx", Usage: "test all mail hosts (MX) of a domain on port 25", DisableDefaultText: true},
	}
	// The rest is as for audit, less what is about a domain.
	for _, f := range auditFlags() {
		switch f.Names()[0] {
		case "selector", "sending-ip", "sending-helo", "submission", "file", "parallel", "only", "skip", "passive", "dry-run":
			continue
		}
		flags = append(flags, f)
	}
	return flags
}

func (p *program) smtp(c *cli.Context) error {
	if c.NArg() != 1 {
		return &audit.InputError{Problem: "smtp takes one server", Hint: "for example: mailaudit smtp mail.example.org:587"}
	}
	read := readServer
	if c.Bool("mx") {
		read = readMX
	}
	named, domain, err := read(c.Args().First(), c.String("mode"))
	if err != nil {
		return err
	}
	o, err := p.sharedOptions(c)
	if err != nil {
		return err
	}
	if o.scope.TryMail && (named.Mode != audit.ModeSTARTTLS || named.Port == portSMTP) {
		return &flagError{[]string{flagTryMail}, &audit.InputError{
			Problem: "--try-mail is for submission servers that begin in clear text", Hint: "for example: mailaudit smtp mail.example.org:587 --try-mail"}}
	}
	if named.Addr.IsValid() && !o.scope.Reaches(named.Addr) {
		return wrongFamily(named.Addr)
	}
	o.scope.Areas = []audit.Area{audit.AreaHELO, audit.AreaSMTP, audit.AreaTLS, audit.AreaAUTH}
	return p.carryOut(c, o, []auditor.Request{{
		Plan: collect.Plan{Domain: domain, Scope: o.scope, HELO: o.helo, Named: named},
		Kind: audit.KindSMTP, Target: serverTarget(named),
		Vantage: o.vantage, Proxy: o.transport.proxy, Tag: o.tag, Note: o.note, Timeout: o.timeout,
	}})
}

// targetMX stands where a target has its port, for all mail hosts of a domain.
const targetMX = ":mx"

// serverTarget is what was tested as it is stored and shown: HOST:PORT, or
// DOMAIN:mx.
func serverTarget(n *collect.Named) string {
	if n.MX {
		return n.Host.String() + targetMX
	}
	return net.JoinHostPort(n.Host.String(), strconv.Itoa(int(n.Port)))
}

// readServer reads HOST[:PORT]; IPv6 bare or in brackets.
func readServer(word, mode string) (*collect.Named, audit.Domain, error) {
	err := oneOf("mode", mode, "auto", "plain", "starttls", "tls")
	if err != nil {
		return nil, audit.Domain{}, err
	}
	host, port, err := splitServer(word)
	if err != nil {
		return nil, audit.Domain{}, err
	}
	n := &collect.Named{Port: port, Mode: audit.Mode(mode)}
	switch {
	case mode == "auto" && port == portSubmissions:
		n.Mode = audit.ModeTLS
	case mode == "auto":
		n.Mode = audit.ModeSTARTTLS
	}
	if n.Port == 0 {
		n.Port = map[string]uint16{"starttls": portSubmission, "tls": portSubmissions}[mode]
	}
	if n.Port == 0 {
		n.Port = portSMTP
	}
	addr, err := netip.ParseAddr(host)
	if err == nil {
		n.Addr, n.Host = addr.Unmap().WithZone(""), audit.DNSName(addr.Unmap().WithZone("").String())
		return n, audit.Domain{}, nil
	}
	domain, note, err := audit.ParseDomain(host)
	if err == nil && note != "" {
		err = &audit.InputError{Problem: fmt.Sprintf("%s is a mail address, not a server", audit.Raw(word).Clip(200)), Hint: "mailaudit audit " + domain.String() + " finds the servers of a domain"}
	}
	if err != nil {
		return nil, audit.Domain{}, err
	}
	n.Host = domain.Name()
	return n, domain, nil
}

// readMX reads the domain of --mx. Other mail servers come to port 25 alone, and
// begin in clear.
func readMX(word, mode string) (*collect.Named, audit.Domain, error) {
	err := oneOf("mode", mode, "auto", "plain", "starttls", "tls")
	if err != nil {
		return nil, audit.Domain{}, err
	}
	domain, _, err := audit.ParseDomain(word)
	if err != nil {
		return nil, domain, err
	}
	n := &collect.Named{MX: true, Host: domain.Name(), Port: portSMTP, Mode: audit.ModeSTARTTLS}
	switch mode {
	case "plain":
		n.Mode = audit.ModePlain
	case "tls":
		return nil, domain, &flagError{[]string{"mode", "mx"}, &audit.InputError{
			Problem: "--mode tls and --mx do not go together: port 25 begins in clear text",
			Hint:    "leave --mode out, or name one server: mailaudit smtp mail.example.org:465",
		}}
	}
	return n, domain, nil
}

// splitServer takes the port off; 0 when there is none.
func splitServer(word string) (string, uint16, error) {
	word = strings.TrimSpace(word)
	inner, bracketed := strings.CutPrefix(word, "[")
	host, rest, closed := strings.Cut(inner, "]")
	if !bracketed || !closed {
		_, err := netip.ParseAddr(word)
		if err == nil { // a bare IPv6 address is all colons
			return word, 0, nil
		}
		host, rest = word, ""
		if i := strings.LastIndexByte(word, ':'); i >= 0 && !strings.Contains(word, "://") {
			host, rest = word[:i], word[i:]
		}
	}
	if rest == "" {
		return host, 0, nil
	}
	port, err := strconv.ParseUint(strings.TrimPrefix(rest, ":"), 10, 16)
	if err != nil || port == 0 || !strings.HasPrefix(rest, ":") {
		return "", 0, &audit.InputError{
			Problem: fmt.Sprintf("%s has no port that can be", audit.Raw(word).Clip(200)),
			Hint:    fmt.Sprintf("ports of mail servers are %d, %d and %d, for example: mailaudit smtp mail.example.org:%d", portSMTP, portSubmission, portSubmissions, portSubmission),
		}
	}
	return host, uint16(port), nil
}
