package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/auditor"
	"mailaudit/internal/collect"
	"mailaudit/internal/report"
	"mailaudit/internal/store"
)

func (p *program) auditCommand() *cli.Command {
	return &cli.Command{
		Name: "audit", Usage: "audit a mail domain, store the run, say what changed", ArgsUsage: "DOMAIN...",
		Description: `mailaudit audit example.org
mailaudit audit example.org --sending-ip 192.0.2.25
mailaudit audit example.org --sending-helo out.example.org
mailaudit audit example.org --submission mail.example.org
mailaudit audit example.org --passive -f json
mailaudit audit example.org --resolver 9.9.9.9 --fail-on medium
mailaudit audit example.org example.net --parallel 2
mailaudit audit --file domains.txt -q --fail-on-new
mailaudit audit example.org --dry-run`,
		Flags:  auditFlags(),
		Action: p.audit,
	}
}

func auditFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "resolver", Usage: "DNS server `ADDR` to ask (repeatable; default: the system's). Encrypted: tls://ADDR#NAME or https://ADDR/PATH#NAME, where NAME is what its certificate must be valid for"},
		&cli.StringSliceFlag{Name: "selector", Usage: "DKIM selector `S` that the domain signs with (repeatable; they cannot be listed)"},
		&cli.StringSliceFlag{Name: "sending-ip", Usage: "`IP` address that sends mail for the domain (repeatable)"},
		&cli.StringSliceFlag{Name: "sending-helo", Usage: "`NAME` that these addresses give in EHLO, whose SPF is checked for the null sender (repeatable)"},
		&cli.StringSliceFlag{Name: "submission", Usage: "`HOST` that takes mail from the domain's own people, tested on ports 465 and 587 (repeatable; default: what SRV records name)"},
		&cli.BoolFlag{Name: flagTryMail, Usage: "try on port 587 whether a message can be begun before STARTTLS (MAIL FROM:<>, then RSET), at servers named by --submission or to smtp. No environment variable", DisableDefaultText: true},
		&cli.StringFlag{Name: "helo", Usage: "`NAME` to give in EHLO (default: our own forward-confirmed name)"},
		&cli.StringSliceFlag{Name: "source", Usage: "local `IP` address to connect from (one per family)"},
		&cli.BoolFlag{Name: "ipv4", Aliases: []string{"4"}, Usage: "connect over IPv4 alone", DisableDefaultText: true},
		&cli.BoolFlag{Name: "ipv6", Aliases: []string{"6"}, Usage: "connect over IPv6 alone", DisableDefaultText: true},
		&cli.StringFlag{Name: "proxy", Usage: "connect to servers through a SOCKS5 `PROXY`: socks5h://ADDR:PORT. DNS is asked directly"},
		controlFlag(),
		&cli.StringFlag{Name: "file", Usage: "audit the domains in `FILE` (-: standard input), a line each: DOMAIN [selector=S]... [ip=IP]... # comment"},
		&cli.IntFlag{Name: "parallel", Value: auditor.Parallel, Usage: "audit `N` domains at once, at most"},
		&cli.StringSliceFlag{Name: "only", Usage: "audit only these `AREAS`: mx, spf, dkim, dmarc, rdns, helo, dnsbl, smtp, tls, auth"},
		&cli.StringSliceFlag{Name: "skip", Usage: "leave these `AREAS` out"},
		&cli.BoolFlag{Name: "passive", Usage: "ask DNS only, connect to no server", DisableDefaultText: true},
		&cli.BoolFlag{Name: "dry-run", Usage: "ask DNS for MX and addresses only, print what would be contacted", DisableDefaultText: true},
		&cli.StringSliceFlag{Name: "allow-net", Usage: "go to special-purpose addresses in `CIDR` as well (repeatable)"},
		&cli.BoolFlag{Name: "allow-private", Usage: "go to all of them (labs, intranets)", DisableDefaultText: true},
		&cli.DurationFlag{Name: "timeout", Value: auditor.DefaultTimeout, Usage: "`TIME` for the observations of one domain"},
		&cli.StringFlag{Name: "fail-on", Value: "high", Usage: "exit 1 from this `SEVERITY` on: critical, high, medium, low, or never"},
		&cli.BoolFlag{Name: "fail-on-new", Usage: "exit 1 only for faults that are new since the last run; in a first run, all are", DisableDefaultText: true},
		&cli.StringFlag{Name: "on-unknown", Value: "ignore", Usage: "`WHAT` to do when something is unknown: ignore, or fail (exit 3)"},
		runFormatFlag(), outputFlag(), clientFlag(), dbFlag(),
		&cli.BoolFlag{Name: "no-save", Usage: "neither read nor write the history", DisableDefaultText: true},
		&cli.StringFlag{Name: "tag", Usage: "a `WORD` to find the run by"},
		&cli.StringFlag{Name: "note", Usage: "a remark on the run, `TEXT` for people (mailaudit note changes it)"},
		&cli.StringFlag{Name: "vantage", Usage: "`NAME` of the place that is looked from (default: the host name)"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing when nothing changed, and of several domains a line for each change; one such run at a time in one history", DisableDefaultText: true},
		verboseFlag(), colorFlag(),
	}
}

// auditOptions is the command line of audit, read and checked.
type auditOptions struct {
	targets   []target
	notes     []string // how domains were understood
	parallel  int
	scope     audit.Scope
	helo      string
	timeout   time.Duration
	gate      gate
	quiet     bool
	noSave    bool
	dryRun    bool
	vantage   string
	tag       string
	note      string
	transport transport
	controls  []collect.Control
	output    output
}

func (p *program) audit(c *cli.Context) error {
	o, err := p.auditOptions(c)
	if err != nil {
		return err
	}
	p.note(o.notes)
	if o.dryRun {
		return p.dryRun(c.Context, o)
	}
	var requests []auditor.Request
	for _, t := range o.targets {
		requests = append(requests, auditor.Request{
			Plan:    collect.Plan{Domain: t.domain, Scope: t.scope(o.scope), SRV: asksSRV(o.scope), HELO: o.helo},
			Vantage: o.vantage, Proxy: o.transport.proxy, Tag: o.tag, Note: o.note, Timeout: o.timeout,
		})
	}
	return p.carryOut(c, o, requests)
}

// carryOut makes audits, stores and shows each as it is done.
func (p *program) carryOut(c *cli.Context, o auditOptions, requests []auditor.Request) error {
	unlock, err := p.lock(c, o)
	if err != nil {
		return err
	}
	defer unlock()
	db, err := p.openForAudit(c, o.noSave)
	if err != nil {
		return err
	}
	if db != nil {
		defer db.Close() // nothing is pending: every run is committed by then
	}
	began, many := time.Now(), len(requests) > 1
	watch := p.progress(o.output, len(requests))
	out := p.presenter(o.output, many, o.quiet)
	a := &auditor.Auditor{Store: db, Version: version, Now: p.now, Open: func() auditor.Session { return p.open(o, watch) }}
	worst := exitOK
	var tally report.Tally
	var notes []string
	err = a.Batch(c.Context, requests, o.parallel, func(i int, res auditor.Result) error {
		e := report.Entry{Run: res.Run, Delta: res.Delta, History: res.History}
		tally.Add(e)
		worst = worse(worst, o.gate.code(res.Run, res.Delta))
		notes = append(notes, o.gate.note(res.Run, res.Delta)...)
		return watch.beside(func() error { return out.add(i, e) })
	}, func() error {
		return watch.beside(func() error {
			p.note(fewNotes(notes))
			return p.sumUp(out, tally, len(requests), time.Since(began))
		})
	})
	if err != nil {
		return err
	}
	return exitWith(worst)
}

// sumUp ends the output of a call: below several runs comes a line about all
// of them. Where the output is no text, a person at a terminal gets to see it.
func (p *program) sumUp(out *presenter, tally report.Tally, of int, took time.Duration) error {
	line := ""
	if of > 1 && (!out.quiet || tally.Loud() > 0) {
		line = tally.Line(of, took)
	}
	err := out.close(line)
	if line != "" && out.o.live && !out.shows("text") {
		p.note([]string{line})
	}
	return err
}

// lock keeps unattended runs of one history apart: one night must not run into
// the next.
func (p *program) lock(c *cli.Context, o auditOptions) (func(), error) {
	if !o.quiet || o.noSave {
		return func() {}, nil
	}
	path, err := p.dbPath(c)
	if err != nil {
		return nil, err
	}
	unlock, err := store.Lock(path)
	if err != nil {
		return nil, err
	}
	return func() { _ = unlock() }, nil // the system takes it back in any case
}

// exitWith is the error that leads to an exit code.
func exitWith(code int) error {
	if code == exitOK {
		return nil
	}
	return exit(code)
}

// openForAudit opens the history before anything is sent to anybody.
func (p *program) openForAudit(c *cli.Context, noSave bool) (*store.DB, error) {
	if noSave {
		return nil, nil
	}
	path, err := p.dbPath(c)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(c.Context, path)
	if err != nil {
		return nil, err
	}
	if !c.Bool("quiet") { // a nightly run has said it once
		p.note(db.Notes())
	}
	return db, nil
}

// note tells on standard error what is worth knowing and no error.
func (p *program) note(lines []string) {
	for _, l := range lines {
		fmt.Fprintln(p.err, "mailaudit: "+report.Screen(l))
	}
}

func (p *program) auditOptions(c *cli.Context) (auditOptions, error) {
	t, err := p.readTargets(c)
	if err != nil {
		return auditOptions{}, err
	}
	o, err := p.sharedOptions(c)
	if err == nil && o.scope.TryMail && len(o.scope.Submission) == 0 {
		err = &flagError{[]string{flagTryMail}, &audit.InputError{
			Problem: "--try-mail tries the servers that --submission names, and none is named", Hint: "for example: --submission mail.example.org --try-mail"}}
	}
	o.targets, o.notes = t.list, t.notes
	if err != nil {
		return o, err
	}
	o.parallel = c.Int("parallel")
	if o.parallel < 1 || o.parallel > maxParallel {
		return o, badValue("parallel", c.String("parallel"), fmt.Sprintf("give a number from 1 to %d", maxParallel))
	}
	return o, nil
}

// maxParallel bounds the audits that are under way at once: beyond that, most
// would wait for their resolver.
const maxParallel = 256

// sharedOptions are those that audit and smtp have in common.
func (p *program) sharedOptions(c *cli.Context) (auditOptions, error) {
	o := auditOptions{
		helo: strings.TrimSuffix(c.String("helo"), "."), timeout: c.Duration("timeout"), quiet: c.Bool("quiet"), noSave: c.Bool("no-save"),
		dryRun: c.Bool("dry-run"), vantage: c.String("vantage"), tag: c.String("tag"), note: c.String("note"),
	}
	if o.timeout <= 0 {
		return o, badValue("timeout", o.timeout.String(), "for example: --timeout 2m")
	}
	err := o.readScope(c)
	if err != nil {
		return o, err
	}
	o.transport, err = readTransport(c)
	if err != nil {
		return o, err
	}
	o.controls, err = readControls(c)
	if err != nil {
		return o, err
	}
	if o.vantage == "" {
		o.vantage = p.ownVantage(o.transport.proxy)
	}
	err = firstError(checkHELO(o.helo), word("tag", o.tag), word("vantage", o.vantage), checkNote(o.note))
	if err != nil {
		return o, err
	}
	o.gate, err = readGate(c)
	if err != nil {
		return o, err
	}
	if o.gate.onlyNew && o.noSave {
		return o, &flagError{[]string{"fail-on-new", "no-save"}, &audit.InputError{Problem: "--fail-on-new compares with the history, which --no-save leaves out", Hint: "leave one of the two out"}}
	}
	o.output, err = p.readOutput(c)
	return o, err
}

func (o *auditOptions) readScope(c *cli.Context) error {
	o.scope = audit.Scope{Passive: c.Bool("passive"), AllowPrivate: c.Bool("allow-private")}
	var err error
	o.scope.Family, err = readFamily(c)
	if err != nil {
		return err
	}
	o.scope.Areas, err = areas(c.StringSlice("only"), c.StringSlice("skip"), o.scope.Passive)
	if err != nil {
		return err
	}
	o.scope.Selectors, err = selectors(c.StringSlice("selector"))
	if err != nil {
		return err
	}
	o.scope.SendingIPs, err = addresses("sending-ip", c.StringSlice("sending-ip"))
	if err != nil {
		return err
	}
	o.scope.SendingHELOs, err = hosts("sending-helo", c.StringSlice("sending-helo"))
	if err != nil {
		return err
	}
	o.scope.Submission, err = hosts("submission", c.StringSlice("submission"))
	if err != nil {
		return err
	}
	o.scope.TryMail = c.Bool(flagTryMail)
	o.scope.AllowNets, err = prefixes("allow-net", c.StringSlice("allow-net"))
	return err
}

// checkHELO refuses what RFC 5321 section 4.1.1.1 does not allow behind EHLO:
// anything but a host name or an address literal. A literal of a private address
// is legal and says nothing but how our own network is numbered.
func checkHELO(name string) error {
	if name == "" || audit.NewDNSName(name).IsHostname() {
		return nil
	}
	addr, ok := literal(name)
	switch {
	case !ok:
		return badValue("helo", name, "give the qualified name of this host, or its address in brackets: [192.0.2.25], [IPv6:2001:db8::25]")
	case addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified():
		return badValue("helo", name, "no server can see that address: give the public one, the name that it has, or leave --helo out")
	}
	return nil
}

// literal is the address of an address literal (RFC 5321 section 4.1.3).
func literal(name string) (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(name, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !ok || !closed {
		return netip.Addr{}, false
	}
	addrs, err := addresses("helo", []string{strings.TrimPrefix(inner, "IPv6:")})
	if err != nil || collect.Literal(addrs[0]) != name {
		return netip.Addr{}, false
	}
	return addrs[0], true
}

// asksSRV reports whether DNS is asked for submission servers: where they would
// be connected to.
func asksSRV(s audit.Scope) bool { return s.Connects() && s.Has(audit.AreaAUTH) }

// dryRun asks for MX and addresses and prints what an audit would contact.
// A domain whose mail hosts are not known leads to exitUnknown.
func (p *program) dryRun(ctx context.Context, o auditOptions) error {
	if o.output.format != "text" || len(o.output.files) > 0 {
		return &flagError{[]string{"format", "output"}, &audit.InputError{Problem: "--dry-run writes text to standard output alone", Hint: "without --dry-run there are files and JSON"}}
	}
	real, worst := o.scope, exitOK
	s := p.open(o, p.progress(o.output, 1))
	defer s.Close()
	for _, t := range o.targets {
		d, scope := t.domain, t.scope(real)
		wanted := scope
		scope.Areas, scope.Passive, scope.SendingIPs, scope.SendingHELOs = []audit.Area{audit.AreaMX}, true, nil, nil
		limited, cancel := context.WithTimeout(ctx, o.timeout)
		plan := collect.Plan{Domain: d, Scope: scope, SRV: asksSRV(wanted)}
		got := collect.New(s.Work(auditor.Request{Plan: plan}).Config, plan).Collect(limited)
		cancel()
		if ctx.Err() != nil {
			break
		}
		if got.Facts.MX.Records.State == audit.Unknown {
			worst = exitUnknown
		}
		err := report.DryRun(p.out, d, wanted, got.Facts, o.asked())
		if err != nil {
			return &outputError{"standard output", err}
		}
	}
	err := p.dryControls(o)
	if err != nil {
		return err
	}
	return exitWith(worst)
}
