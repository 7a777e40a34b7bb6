package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
	"mailaudit/internal/dnscheck"
	"mailaudit/internal/report"
	"mailaudit/internal/resolve"
)

func (p *program) spfCommand() *cli.Command {
	return &cli.Command{
		Name: "spf", Usage: "would mail from an address pass SPF, and why? (stores nothing)", ArgsUsage: "[DOMAIN]",
		Description: `mailaudit spf example.org
mailaudit spf example.org --ip 192.0.2.25
mailaudit spf --mail-from user@example.org --helo mx.example --ip 192.0.2.25
mailaudit spf mx.example.org --ip 192.0.2.25 --mail-from ""
mailaudit spf example.org --ip 192.0.2.25 --ip 2001:db8::25 --expect pass
mailaudit spf example.org --ip 192.0.2.25 -f json`,
		UsageText: `With --ip each address is checked as a receiver checks it (RFC 7208). Without,
the whole policy is shown, whoever sends: what each record costs, who is behind
it, what it allows. Exit 0 whatever the result, 1 with --expect when it is
another one, 3 when our own resolver is why it is not known.`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "ip", Usage: "`IP` address of the client that sends (repeatable)"},
			&cli.StringFlag{Name: "mail-from", Usage: "the `SENDER` in MAIL FROM (default: postmaster@DOMAIN). Empty: the null sender of bounces, for which the HELO name is checked"},
			&cli.StringFlag{Name: "helo", Usage: "the `NAME` that the client gives in HELO or EHLO"},
			&cli.StringFlag{Name: "expect", Usage: "exit 1 unless this is the `RESULT` for each address: pass, fail, softfail, neutral, none, temperror or permerror"},
			formatFlag(),
			&cli.StringSliceFlag{Name: "resolver", Usage: "DNS server `ADDR` to ask, as for audit (repeatable; default: the system's)"},
			&cli.StringSliceFlag{Name: "source", Usage: "local `IP` address to ask from (one per family)"},
			colorFlag(),
		},
		Action: p.spf,
	}
}

// spfOptions is the command line of spf, read and checked.
type spfOptions struct {
	query     dnscheck.SPFQuery // without an address
	domain    audit.DNSName     // whose policy it is
	ips       []netip.Addr
	expect    audit.SPFResult // "": nothing is expected
	json      bool
	color     bool
	transport transport
}

func (p *program) spf(c *cli.Context) error {
	o, err := p.spfOptions(c)
	if err != nil {
		return err
	}
	client := resolve.New(resolve.Config{
		Servers: o.transport.resolvers, Roots: p.trust, Tries: p.pace.tries,
		Dialer: dial.New(dial.Config{
			Network: p.network, Source4: o.transport.source4, Source6: o.transport.source6,
			Spacing: p.pace.spacing, Connect: p.pace.connect,
		}),
	})
	defer client.Close()
	if len(o.ips) == 0 {
		return p.spfPolicy(c, o, client)
	}
	return p.spfChecks(c, o, client)
}

// spfChecks checks the addresses.
func (p *program) spfChecks(c *cli.Context, o spfOptions, client *resolve.Client) error {
	var checks []audit.SPFCheck
	worst := exitOK
	for _, ip := range o.ips {
		q := o.query
		q.IP, q.Receiver, q.At = ip, p.hostName, p.time()
		check := dnscheck.CheckHost(c.Context, client.View(), q)
		if c.Context.Err() != nil {
			return c.Context.Err()
		}
		worst = worse(worst, o.code(check, func() bool { return dnscheck.Answers(c.Context, client.View()) }))
		checks = append(checks, check)
	}
	var err error
	if o.json {
		err = report.SPFChecksJSON(p.out, checks)
	} else {
		err = report.SPFChecks(p.out, checks, o.color)
	}
	err = p.wrote(err)
	if err != nil {
		return err
	}
	return exitWith(worst)
}

// spfPolicy surveys the policy, whoever sends.
func (p *program) spfPolicy(c *cli.Context, o spfOptions, client *resolve.Client) error {
	policy := dnscheck.SPFPolicy(c.Context, client.View(), o.domain)
	if c.Context.Err() != nil {
		return c.Context.Err()
	}
	var err error
	if o.json {
		err = report.SPFPolicyJSON(p.out, policy)
	} else {
		err = report.SPFPolicy(p.out, policy, o.color)
	}
	err = p.wrote(err)
	if err != nil {
		return err
	}
	root := policy.Tree
	if root.State == audit.Unknown && oursToBlame(root.Answer.Code, func() bool { return dnscheck.Answers(c.Context, client.View()) }) {
		return exit(exitUnknown)
	}
	return nil
}

// time is when a run takes place.
func (p *program) time() time.Time {
	if p.now == nil {
		return time.Now()
	}
	return p.now()
}

// code is the exit code of one check. Where we are to blame nothing was found
// out, so that nothing is said of what was expected.
func (o spfOptions) code(c audit.SPFCheck, answers func() bool) int {
	switch {
	case c.Result == audit.SPFTempError && oursToBlame(c.Trouble.Code, answers):
		return exitUnknown
	case o.expect != "" && c.Result != o.expect:
		return exitFindings
	}
	return exitOK
}

// oursToBlame reports whether a lookup failed because of our resolver, or of
// our side of the way to it. Of SERVFAIL and silence it is not clear whose
// fault they are: ours, if the resolver answers nothing else either.
func oursToBlame(code audit.Code, answers func() bool) bool {
	switch code {
	case audit.ServFail, audit.Timeout, audit.Malformed, audit.DNSError:
		return !answers()
	case audit.CNAMELoop, audit.Oversized, audit.Deadline:
		return false
	}
	return true
}

// spfResults are the words that --expect takes.
func spfResults() []string {
	var out []string
	for _, r := range []audit.SPFResult{audit.SPFPass, audit.SPFFail, audit.SPFSoftFail, audit.SPFNeutral, audit.SPFNone, audit.SPFTempError, audit.SPFPermError} {
		out = append(out, string(r))
	}
	return out
}

func (p *program) spfOptions(c *cli.Context) (spfOptions, error) {
	o := spfOptions{json: c.String("format") == "json", expect: audit.SPFResult(c.String("expect"))}
	err := firstError(atMost(c, 1), oneOf("format", c.String("format"), formats()...))
	if err == nil && c.IsSet("expect") {
		err = oneOf("expect", string(o.expect), spfResults()...)
	}
	if err != nil {
		return o, err
	}
	o.color, err = p.wantsColor(c.String("color"), p.out)
	if err != nil {
		return o, err
	}
	o.ips, err = addresses("ip", c.StringSlice("ip"))
	if err != nil {
		return o, err
	}
	if len(o.ips) == 0 && o.expect != "" {
		return o, &flagError{[]string{"expect"}, &audit.InputError{Problem: "--expect is about addresses, and there is none", Hint: "for example: mailaudit spf example.org --ip 192.0.2.25 --expect pass"}}
	}
	err = o.readIdentity(c)
	if err != nil {
		return o, err
	}
	o.transport, err = readTransport(c)
	return o, err
}

// readIdentity reads DOMAIN, --mail-from and --helo, of which one names what is
// checked: the domain of the sender, and for the null sender the HELO name (RFC
// 7208 section 2.4). They may not name two.
func (o *spfOptions) readIdentity(c *cli.Context) error {
	sender, helo := strings.Trim(c.String("mail-from"), "<>"), strings.TrimSuffix(c.String("helo"), ".")
	null := c.IsSet("mail-from") && sender == ""
	err := firstError(spfWord("mail-from", sender), spfWord("helo", helo))
	if err == nil && strings.HasSuffix(sender, "@") {
		err = badValue("mail-from", sender, "behind the @ stands a domain: --mail-from user@example.org")
	}
	if err != nil {
		return err
	}
	domain := ""
	if c.NArg() > 0 {
		domain, err = spfDomain(c.Args().First())
	}
	if err != nil {
		return err
	}
	named, flag := sender[strings.LastIndexByte(sender, '@')+1:], "mail-from"
	if sender == "" && (null || domain == "") {
		named, flag = helo, "helo"
	}
	switch {
	case domain == "" && named == "":
		return &audit.InputError{Problem: "nothing names the domain whose policy is wanted", Hint: "for example: mailaudit spf example.org"}
	case domain != "" && named != "" && !sameDomain(named, domain):
		return &flagError{[]string{flag}, &audit.InputError{
			Problem: fmt.Sprintf("--%s names another domain than %s: %s", flag, domain, clip(named)),
			Hint:    "SPF checks one: leave DOMAIN out",
		}}
	case null && helo == "":
		helo = domain
	case sender == "" && !null:
		sender = domain // the empty one is left to HELO
	}
	o.query = dnscheck.SPFQuery{MailFrom: sender, Helo: helo}
	if domain == "" && len(o.ips) == 0 { // what is checked may be no domain: then the result is none
		domain, err = spfDomain(named)
	}
	o.domain = audit.NewDNSName(domain)
	return err
}

// sameDomain reports whether what is named, perhaps in U-labels, is the domain.
func sameDomain(named, domain string) bool {
	d, _, err := audit.ParseDomain(named)
	if err == nil {
		named = d.String()
	}
	return strings.EqualFold(strings.TrimSuffix(named, "."), domain)
}

// maxSender is the longest reverse-path without its brackets (RFC 5321 section
// 4.5.3.1.3), in octets.
const maxSender = 254

// spfWord checks a sender or a HELO name: anything that a client can say.
func spfWord(flag, value string) error {
	if len(value) > maxSender || report.Screen(value) != value || strings.Contains(value, " ") {
		return badValue(flag, value, fmt.Sprintf("give printable text without blanks, of at most %d octets", maxSender))
	}
	return nil
}

// spfDomain reads DOMAIN. Names of includes have underscores, which mail
// domains have not.
func spfDomain(word string) (string, error) {
	plain := strings.ReplaceAll(word, "_", "a")
	d, note, err := audit.ParseDomain(plain)
	if err != nil || plain == word || note == "" && !strings.EqualFold(strings.Trim(plain, ". "), d.String()) {
		d, note, err = audit.ParseDomain(word) // underscores and U-labels do not go together
	}
	switch {
	case err != nil:
		return "", err
	case note != "":
		return "", &audit.InputError{Problem: clip(word) + " is a mail address, not a domain", Hint: "give it as the sender: --mail-from " + audit.ShellQuote(clip(word))}
	case plain != word:
		return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(word), ".")), nil
	}
	return d.String(), nil
}
