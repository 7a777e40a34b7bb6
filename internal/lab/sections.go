package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// section is one file of the archive.
type section struct {
	name string
	line int    // of the marker
	text string // the lines after it
}

// numbered is a line without the blanks around it.
type numbered struct {
	number int
	text   string
}

// lines splits text whose first line has the number first.
func lines(text string, first int) []numbered {
	var all []numbered
	for l := range strings.Lines(text) {
		all = append(all, numbered{first, strings.TrimSpace(l)})
		first++
	}
	return all
}

// split takes a txtar archive apart. The format is that of
// golang.org/x/tools/txtar, which keeps no line numbers: a file begins with a
// line "-- NAME --".
func split(data string) (string, []section) {
	var head strings.Builder
	var all []section
	number := 0
	for l := range strings.Lines(data) {
		number++
		bare := strings.TrimRight(l, "\r\n")
		inner, ok := strings.CutPrefix(bare, "-- ")
		name, ends := strings.CutSuffix(inner, " --")
		if ok && ends && strings.TrimSpace(name) != "" {
			all = append(all, section{name: strings.TrimSpace(name), line: number})
			continue
		}
		if len(all) == 0 {
			head.WriteString(l)
			continue
		}
		all[len(all)-1].text += l
	}
	return head.String(), all
}

// parseHeader reads what stands before the first section: why the world
// exists, in lines that begin with #, then settings.
func (w *World) parseHeader(text string) error {
	var about []string
	for _, l := range lines(text, 1) {
		if rest, ok := strings.CutPrefix(l.text, "#"); ok {
			about = append(about, strings.TrimSpace(rest))
			continue
		}
		if l.text == "" {
			continue
		}
		if len(about) == 0 {
			return fmt.Errorf("%s:%d: the first lines say why the world exists, each after a #", w.Name, l.number)
		}
		err := w.settings(strings.Fields(l.text))
		if err != nil {
			return fmt.Errorf("%s:%d: %w", w.Name, l.number, err)
		}
	}
	w.About = strings.TrimSpace(strings.Join(about, "\n"))
	if w.About == "" {
		return fmt.Errorf("%s:1: the first lines say why the world exists, each after a #", w.Name)
	}
	if w.At.IsZero() {
		return fmt.Errorf("%s:1: the header has no \"at TIME\"", w.Name)
	}
	return nil
}

func isSetting(word string) bool {
	return slices.Contains([]string{"at", "areas", "rtt", "resolvers", "local"}, word)
}

// settings reads one line of the header: several settings may share it.
func (w *World) settings(words []string) error {
	for len(words) > 0 {
		key := words[0]
		if !isSetting(key) {
			return fmt.Errorf("%q is no setting: at, areas, rtt, resolvers, local", key)
		}
		end := slices.IndexFunc(words[1:], isSetting) + 1
		if end == 0 {
			end = len(words)
		}
		values := words[1:end]
		words = words[end:]
		if len(values) == 0 || len(values) > 1 && (key == "at" || key == "rtt") {
			return fmt.Errorf("%s has %d values", key, len(values))
		}
		err := w.setting(key, values)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func (w *World) setting(key string, values []string) error {
	var err error
	switch key {
	case "at":
		w.At, err = time.Parse(time.RFC3339, values[0])
		return err
	case "rtt":
		w.RTT, err = parseWait(values[0])
		return err
	case "areas":
		for _, v := range values {
			if !slices.Contains(append(audit.Areas(), audit.AreaVantage), audit.Area(v)) {
				return fmt.Errorf("%q is no area", v)
			}
			w.Areas = append(w.Areas, audit.Area(v))
		}
		return nil
	}
	var addrs []netip.Addr
	for _, v := range values {
		if key == "local" && v == "no-ipv6" {
			w.Local6 = netip.Addr{}
			continue
		}
		a, err := netip.ParseAddr(v)
		if err != nil {
			return err
		}
		addrs = append(addrs, a.Unmap())
	}
	if key == "resolvers" {
		w.Resolvers = addrs
		return nil
	}
	for _, a := range addrs {
		if a.Is4() {
			w.Local4 = a
			continue
		}
		w.Local6 = a
	}
	return nil
}

// parseAddrPort reads ADDR:PORT of a section.
func parseAddrPort(word string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(word)
	if err != nil {
		return a, err
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

// parseServerScript reads an smtp or server section: its words after the
// keyword, and its lines.
func parseServerScript(file string, s section, kind string, words []string) (netip.AddrPort, Script, error) {
	one := Script{N: 1, Line: s.line}
	fail := func(err error) (netip.AddrPort, Script, error) {
		return netip.AddrPort{}, one, fmt.Errorf("%s:%d: %w", file, s.line, err)
	}
	if len(words) == 0 {
		return fail(fmt.Errorf("%s needs ADDR:PORT", kind))
	}
	addr, err := parseAddrPort(words[0])
	if err != nil {
		return fail(err)
	}
	if kind == "server" {
		one.Healthy, err = parseHealthy(words[1:], s.text)
		if err != nil {
			return fail(err)
		}
		return addr, one, nil
	}
	if len(words) > 2 {
		return fail(fmt.Errorf("%q is too much after the address", words[2]))
	}
	if len(words) == 2 {
		number, ok := strings.CutPrefix(words[1], "#")
		one.N, err = strconv.Atoi(number)
		if !ok || err != nil || one.N < 1 {
			return fail(fmt.Errorf("%q is not the number of a connection, such as #2", words[1]))
		}
	}
	one.Steps, err = parseScript(file, s.line+1, s.text)
	return addr, one, err
}

// parseHealthy reads the words of a server section after its address.
func parseHealthy(words []string, body string) (*Healthy, error) {
	if strings.TrimSpace(body) != "" {
		return nil, errors.New("a server section has no lines: write an smtp section")
	}
	if len(words) == 0 || strings.Contains(words[0], "=") {
		return nil, errors.New("server needs ADDR:PORT NAME")
	}
	h := &Healthy{Name: words[0], Banner: words[0] + " ESMTP Postfix", Cert: "good"}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case key == "cert" && value != "":
			h.Cert = value
		case key == "banner":
			h.Banner = value
		case word == "starttls=no":
			h.Cert = ""
		default:
			return nil, fmt.Errorf("%q is none of cert= banner= starttls=no", word)
		}
	}
	return h, nil
}

// splitWords splits a line as a shell does, without expansions: quotes of both
// kinds keep blanks.
func splitWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, begun := byte(0), false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, begun = c, true
		case isBlank(c):
			if begun {
				words = append(words, word.String())
				word.Reset()
			}
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a %c is not closed", quote)
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
