package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
)

// Limits of a list of domains. A line is a domain and what is known of it; so
// many domains are a night's work at ten a second.
const (
	maxListLine    = 64 << 10 // octets
	maxListDomains = 250_000
)

// target is a domain to audit, with what the user knows of it beside what the
// flags say of all.
type target struct {
	domain    audit.Domain
	selectors []string
	ips       []netip.Addr
}

// targets collects domains, each once.
type targets struct {
	list  []target
	at    map[audit.Domain]int
	notes []string // how domains were understood
}

// readTargets reads the arguments, then the list of --file.
func (p *program) readTargets(c *cli.Context) (targets, error) {
	t := targets{at: map[audit.Domain]int{}}
	for _, arg := range c.Args().Slice() {
		err := t.add(arg, nil)
		if err != nil {
			return t, err
		}
	}
	name := c.String("file")
	if !c.IsSet("file") {
		if len(t.list) == 0 {
			return t, &audit.InputError{Problem: "no domain was named", Hint: "for example: mailaudit audit example.org"}
		}
		return t, nil
	}
	list, err := p.openList(name)
	if err != nil {
		return t, err
	}
	err = t.read(name, list)
	return t, errors.Join(err, list.Close())
}

// openList opens the list of --file; "-" is standard input.
func (p *program) openList(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(p.in), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, unreadableList(name, err)
	}
	return f, nil
}

func unreadableList(name string, err error) error {
	return &flagError{[]string{"file"}, &audit.InputError{
		Problem: fmt.Sprintf("--file cannot read %s: %s", listName(name), audit.Raw(rootCause(err))),
		Hint:    "give a file with a domain on each line, or - for standard input",
	}}
}

func listName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return audit.Raw(name).Clip(200).String()
}

// read reads a list: a line is DOMAIN [selector=S]... [ip=IP]..., what follows
// # is a comment. All of it is read before anything is asked of anybody.
func (t *targets) read(name string, list io.Reader) error {
	lines := bufio.NewScanner(list)
	lines.Buffer(nil, maxListLine)
	n, found := 0, 0
	for lines.Scan() {
		n++
		text := lines.Text()
		if n == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // as editors of Windows begin files
		}
		text, _, _ = strings.Cut(text, "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		found++
		err := t.add(words[0], words[1:])
		if err == nil && len(t.list) > maxListDomains {
			err = &audit.InputError{Problem: fmt.Sprintf("more than %d domains", maxListDomains), Hint: "split the list"}
		}
		var input *audit.InputError
		if errors.As(err, &input) {
			return &audit.InputError{Problem: fmt.Sprintf("%s, line %d: %s", listName(name), n, input.Problem), Hint: input.Hint}
		}
		if err != nil {
			return err
		}
	}
	err := lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return &audit.InputError{Problem: fmt.Sprintf("%s, line %d: longer than %d octets: this is no list of domains", listName(name), n+1, maxListLine), Hint: "give a domain on each line"}
	case err != nil:
		return unreadableList(name, err)
	case found == 0:
		return &flagError{[]string{"file"}, &audit.InputError{Problem: "--file " + listName(name) + " names no domain", Hint: "give a domain on each line"}}
	}
	return nil
}

// add adds a domain, or what is known of one that is there already.
func (t *targets) add(word string, known []string) error {
	d, note, err := audit.ParseDomain(word)
	if err != nil {
		return err
	}
	if note != "" {
		t.notes = append(t.notes, note)
	}
	i, there := t.at[d]
	if !there {
		i = len(t.list)
		t.at[d] = i
		t.list = append(t.list, target{domain: d})
	}
	var names, addrs []string
	for _, w := range known {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "selector":
			names = append(names, value)
		case "ip":
			addrs = append(addrs, value)
		default:
			return &audit.InputError{
				Problem: fmt.Sprintf("%q is not known behind a domain", audit.Raw(w).Clip(100).String()),
				Hint:    "a line is DOMAIN [selector=S]... [ip=IP]..., for example: example.org selector=s1 ip=192.0.2.25",
			}
		}
	}
	s, err := selectors(names)
	if err != nil {
		return err
	}
	a, err := addresses("ip", addrs)
	if err != nil {
		return err
	}
	t.list[i].selectors = append(t.list[i].selectors, s...)
	t.list[i].ips = append(t.list[i].ips, a...)
	return nil
}

// scope is what is looked at for this domain.
func (t target) scope(all audit.Scope) audit.Scope {
	if len(t.selectors) > 0 {
		all.Selectors = slices.Concat(all.Selectors, t.selectors)
		slices.Sort(all.Selectors)
		all.Selectors = slices.Compact(all.Selectors)
	}
	if len(t.ips) > 0 {
		all.SendingIPs = slices.Concat(all.SendingIPs, t.ips)
		slices.SortFunc(all.SendingIPs, netip.Addr.Compare)
		all.SendingIPs = slices.Compact(all.SendingIPs)
	}
	return all
}
