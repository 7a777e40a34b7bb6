package main

import (
	"net/netip"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/collect"
	"mailaudit/internal/report"
)

// noControl is the value of --control that switches the control check off.
const noControl = "none"

func controlFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "control", Usage: "`HOST` (or HOST:PORT) is somebody else's mail server, asked when a server does not answer: is it us? (repeatable: two or three, of different operators; default: large ones; none: ask nobody)"}
}

// readControls reads --control; without it, the default hosts.
func readControls(c *cli.Context) ([]collect.Control, error) {
	const flag, hint = "control", "give a mail server of somebody else, HOST or HOST:PORT, or none"
	words := c.StringSlice(flag)
	if len(words) == 0 {
		return collect.DefaultControls(), nil
	}
	if len(words) == 1 && words[0] == noControl {
		return nil, nil
	}
	var out []collect.Control
	for _, word := range words {
		host, port, err := splitServer(word)
		if err != nil || word == noControl {
			return nil, badValue(flag, word, hint)
		}
		addr, err := netip.ParseAddr(host)
		if err == nil {
			addr = addr.Unmap().WithZone("")
			out = append(out, collect.Control{Host: audit.DNSName(addr.String()), Addr: addr, Port: port})
			continue
		}
		name := audit.NewDNSName(host)
		if !name.IsHostname() {
			return nil, badValue(flag, word, hint)
		}
		out = append(out, collect.Control{Host: name, Port: port})
	}
	return out, nil
}

// dryControls says which control hosts an audit may connect to.
func (p *program) dryControls(o auditOptions) error {
	if !o.scope.Connects() {
		return nil
	}
	var names []string
	for _, c := range o.controls {
		if c.Port == 0 || c.Port == portSMTP {
			names = append(names, c.Host.String())
		}
	}
	err := report.DryRunControls(p.out, names, collect.MaxControls)
	if err != nil {
		return &outputError{"standard output", err}
	}
	return nil
}
