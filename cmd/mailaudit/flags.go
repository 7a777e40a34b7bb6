package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
)

// Flags that several commands share.

func dbFlag() cli.Flag {
	return &cli.StringFlag{Name: "db", Usage: "the history `FILE` (default: see mailaudit db path)"}
}

func formatFlag() cli.Flag {
	return &cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "text", Usage: "output `FORMAT`: text or json"}
}

func outputFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "output", Aliases: []string{"o"}, Usage: "write `[FORMAT=]FILE` instead of standard output (repeatable)"}
}

func colorFlag() cli.Flag {
	return &cli.StringFlag{Name: "color", Value: "auto", Usage: "`WHEN` to use colour: auto, always or never; auto honours NO_COLOR"}
}

func verboseFlag() cli.Flag {
	return &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show what passed as well, and each observation as it is made", DisableDefaultText: true}
}

// oneOf checks a flag that takes a word of a list.
func oneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	e := &audit.InputError{Problem: fmt.Sprintf("--%s does not take %q", flag, audit.Raw(value).String()), Hint: "one of: " + strings.Join(words, ", ")}
	near := nearest(value, words)
	if near != "" {
		e.Hint = "did you mean: --" + flag + " " + near
	}
	return e
}

// addresses reads a repeatable flag of IP addresses.
func addresses(flag string, values []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, v := range values {
		a, err := netip.ParseAddr(strings.Trim(v, "[]"))
		if err != nil || a.Zone() != "" {
			return nil, &audit.InputError{Problem: fmt.Sprintf("--%s does not take %q", flag, audit.Raw(v).String()), Hint: "give an IP address, for example 192.0.2.25 or 2001:db8::25"}
		}
		out = append(out, a.Unmap())
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}

// prefixes reads a repeatable flag of networks; a lone address is a network
// of one.
func prefixes(flag string, values []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, v := range values {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			a, addrErr := netip.ParseAddr(v)
			if addrErr != nil {
				return nil, &audit.InputError{Problem: fmt.Sprintf("--%s does not take %q", flag, audit.Raw(v).String()), Hint: "give a network, for example 10.0.0.0/8 or fd00::/8"}
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out), nil
}

// areas reads --only and --skip into the areas of a scope.
func areas(only, skip []string, passive bool) ([]audit.Area, error) {
	chosen, err := areaList("only", only)
	if err != nil {
		return nil, err
	}
	left, err := areaList("skip", skip)
	if err != nil {
		return nil, err
	}
	var out []audit.Area
	for _, a := range audit.Areas() {
		wanted := len(chosen) == 0 || slices.Contains(chosen, a)
		connects := a == audit.AreaSMTP || a == audit.AreaTLS
		if wanted && !slices.Contains(left, a) && !(passive && connects) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, &audit.InputError{Problem: "--only, --skip and --passive together leave nothing to audit"}
	}
	return out, nil
}

func areaList(flag string, values []string) ([]audit.Area, error) {
	var names []string
	for _, a := range audit.Areas() {
		names = append(names, string(a))
	}
	var out []audit.Area
	for _, v := range values {
		for word := range strings.SplitSeq(v, ",") {
			word = strings.TrimSpace(word)
			err := oneOf(flag, word, names...)
			if err != nil {
				return nil, err
			}
			out = append(out, audit.Area(word))
		}
	}
	return out, nil
}
