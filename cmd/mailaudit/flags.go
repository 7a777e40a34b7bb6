package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
)

// Flags that several commands share.

func dbFlag() cli.Flag {
	return &cli.StringFlag{Name: "db", Usage: "the history `FILE` (default: see mailaudit db path)"}
}

func formatFlag() cli.Flag {
	return &cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "text", Usage: "output `FORMAT`: text or json"}
}

// runFormatFlag is the format of commands that show runs.
func runFormatFlag() cli.Flag {
	return &cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "text", Usage: "output `FORMAT`: text, json, jsonl, md or html"}
}

func clientFlag() cli.Flag {
	return &cli.StringFlag{Name: "client", Usage: "`NAME` of the client that Markdown and HTML reports are prepared for"}
}

func outputFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "output", Aliases: []string{"o"}, Usage: "write `[FORMAT=]FILE` instead of standard output (repeatable)"}
}

func colorFlag() cli.Flag {
	return &cli.StringFlag{Name: "color", Value: "auto", Usage: "`WHEN` to use colour: auto, always or never; auto honours NO_COLOR"}
}

func verboseFlag() cli.Flag {
	return &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show what passed as well; audit and smtp also tell each observation as it is made", DisableDefaultText: true}
}

// flagError is a value that a flag does not take, or values of several that
// do not go together. It knows the flags, because the value may have come from
// the environment; see line.blame.
type flagError struct {
	flags []string
	*audit.InputError
}

// Unwrap makes it bad input.
func (e *flagError) Unwrap() error { return e.InputError }

// badValue is a value that a flag does not take.
func badValue(flag, value, hint string) error {
	return &flagError{[]string{flag}, &audit.InputError{Problem: fmt.Sprintf(`--%s does not take "%s"`, flag, clip(value)), Hint: hint}}
}

// oneOf checks a flag that takes a word of a list.
func oneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	near := nearest(value, words)
	if near != "" {
		return badValue(flag, value, "did you mean: --"+flag+" "+near)
	}
	return badValue(flag, value, "one of: "+strings.Join(words, ", "))
}

// maxWord is the longest tag or vantage, in octets: a word to find runs by,
// no place for a text.
const maxWord = 64

// word checks a flag that takes a free word: it is shown in lists and reports,
// so it must be short and printable.
func word(flag, value string) error {
	if len(value) > maxWord || report.Screen(value) != value {
		return badValue(flag, value, fmt.Sprintf("give a printable word of at most %d octets", maxWord))
	}
	return nil
}

// addresses reads a repeatable flag of IP addresses.
func addresses(flag string, values []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, v := range values {
		a, err := netip.ParseAddr(strings.Trim(v, "[]"))
		if err != nil || a.Zone() != "" {
			return nil, badValue(flag, v, "give an IP address, for example 192.0.2.25 or 2001:db8::25")
		}
		out = append(out, a.Unmap())
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}

// hosts reads a repeatable flag of host names.
func hosts(flag string, values []string) ([]audit.DNSName, error) {
	var out []audit.DNSName
	for _, v := range values {
		d, note, err := audit.ParseDomain(v)
		if err != nil || note != "" || !d.Name().IsHostname() {
			return nil, badValue(flag, v, "give the name of a host, for example mail.example.org")
		}
		out = append(out, d.Name())
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// selectors reads a repeatable flag of DKIM selectors (RFC 6376 section 3.1:
// labels, separated by dots). What was pasted with its "._domainkey" is
// understood.
func selectors(values []string) ([]string, error) {
	var out []string
	for _, v := range values {
		s, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(v)), "._domainkey")
		if !audit.DNSName(strings.ReplaceAll(s, "_", "-")).IsHostname() {
			return nil, &flagError{[]string{"selector"}, &audit.InputError{
				Problem: fmt.Sprintf("--selector does not take %q", audit.Raw(v).Clip(100).String()),
				Hint:    "give the s= value of a DKIM-Signature header, for example: --selector s1",
			}}
		}
		out = append(out, s)
	}
	slices.Sort(out)
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
				return nil, badValue(flag, v, "give a network, for example 10.0.0.0/8 or fd00::/8")
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
		if wanted && !slices.Contains(left, a) && !(passive && a.Connects()) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, &flagError{[]string{"only", "skip", "passive"}, &audit.InputError{
			Problem: "--only, --skip and --passive together leave nothing to audit",
			Hint:    "areas are: " + strings.Join(areaNames(), ", ") + "; smtp and tls are not passive",
		}}
	}
	return out, nil
}

func areaNames() []string {
	var names []string
	for _, a := range audit.Areas() {
		names = append(names, string(a))
	}
	return names
}

func areaList(flag string, values []string) ([]audit.Area, error) {
	var out []audit.Area
	for _, v := range values {
		for word := range strings.SplitSeq(v, ",") {
			word = strings.TrimSpace(word)
			err := oneOf(flag, word, areaNames()...)
			if err != nil {
				return nil, err
			}
			out = append(out, audit.Area(word))
		}
	}
	return out, nil
}
