package lab

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Op is what one line of an SMTP script does.
type Op string

// The script lines "S: text" and "C: pattern".
const (
	Say    Op = "S" // send text and CRLF
	Expect Op = "C" // wait for one command
)

// Script directives, without the "!".
const (
	Pause    Op = "delay"    // "!delay 20s"
	Close    Op = "close"    // FIN, also inside TLS: without close_notify
	Reset    Op = "reset"    // RST
	StartTLS Op = "starttls" // "!starttls cert=NAME [tls=1.3] [min=1.2] [large=reset]": a TLS handshake as a server
	Junk     Op = "garbage"  // bytes that are neither SMTP nor TLS
	Stall    Op = "stall"    // nothing more, until the client has gone
	Drip     Op = "drip"     // "!drip 1s TEXT": TEXT and CRLF, a byte each second
	Repeat   Op = "repeat"   // "!repeat 1000 TEXT": the line as often as that
	Bytes    Op = "raw"      // `!raw "text with \x00 escapes"`: a Go string, nothing added
)

// Connect directives. One of them is the whole script.
const (
	Refuse      Op = "refuse"      // ECONNREFUSED after one rtt
	Timeout     Op = "timeout"     // connect never answers; ETIMEDOUT after 127 s
	Unreachable Op = "unreachable" // EHOSTUNREACH after one rtt
	NoRoute     Op = "noroute"     // ENETUNREACH at once
	Forbidden   Op = "forbidden"   // EPERM at once: our own firewall
)

func (op Op) isConnect() bool {
	return op == Refuse || op == Timeout || op == Unreachable || op == NoRoute || op == Forbidden
}

// Server is what listens, or does not, at one address and port.
type Server struct {
	Addr    netip.AddrPort
	Scripts []Script // by N; the first has N 1
}

// Script is one side of a conversation.
type Script struct {
	N       int // the first connection that it serves
	Line    int // of its section
	Steps   []Step
	Healthy *Healthy // instead of Steps, for a server section
}

// Step is one line of a script.
type Step struct {
	Line  int
	Op    Op
	Text  string        // of Say, Expect, Drip, Repeat, Bytes
	Wait  time.Duration // of Pause and Drip
	Count int           // of Repeat
	Cert  string        // of StartTLS
	Min   uint16        // of StartTLS: the least version it speaks
	Max   uint16        // of StartTLS: the greatest; 0 is no limit
	Large Op            // of StartTLS: what a ClientHello meets that is larger than a packet: Reset, Close, Stall; "": nothing
}

// script is the one that serves connection n.
func (s *Server) script(n int) Script {
	best := s.Scripts[0]
	for _, one := range s.Scripts {
		if one.N <= n {
			best = one
		}
	}
	return best
}

// add puts a script in its place. Numbers must not repeat and begin with 1.
func (s *Server) add(one Script) error {
	last := 0
	if n := len(s.Scripts); n > 0 {
		last = s.Scripts[n-1].N
	}
	switch {
	case last == 0 && one.N != 1:
		return fmt.Errorf("%s has no script for its first connection yet", s.Addr)
	case one.N <= last:
		return fmt.Errorf("%s has a script for connection #%d already", s.Addr, one.N)
	}
	s.Scripts = append(s.Scripts, one)
	return nil
}

// parseScript reads the lines of an smtp section.
func parseScript(file string, line int, text string) ([]Step, error) {
	var steps []Step
	for _, l := range lines(text, line) {
		bare := cutRemark(l.text)
		if bare == "" || bare[0] == '#' || bare[0] == ';' {
			continue
		}
		step, err := parseStep(bare)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, l.number, err)
		}
		step.Line = l.number
		steps = append(steps, step)
		if len(steps) > 1 && (step.Op.isConnect() || steps[0].Op.isConnect()) {
			return nil, fmt.Errorf("%s:%d: a script that begins with !%s has nothing else", file, l.number, connectOp(steps))
		}
	}
	return steps, nil
}

func connectOp(steps []Step) Op {
	for _, s := range steps {
		if s.Op.isConnect() {
			return s.Op
		}
	}
	return ""
}

// cutRemark cuts off a remark: two blanks or more, then a semicolon. Banners
// may hold a semicolon after one blank; one that needs more takes !raw.
func cutRemark(text string) string {
	for i := 2; i < len(text); i++ {
		if text[i] == ';' && isBlank(text[i-1]) && isBlank(text[i-2]) {
			return strings.TrimRight(text[:i], " \t")
		}
	}
	return text
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func parseStep(text string) (Step, error) {
	if rest, ok := strings.CutPrefix(text, "S:"); ok {
		return Step{Op: Say, Text: strings.TrimPrefix(rest, " ")}, nil
	}
	if rest, ok := strings.CutPrefix(text, "C:"); ok {
		s := Step{Op: Expect, Text: strings.TrimPrefix(rest, " ")}
		if s.Text == "" {
			return s, errors.New("a C: line needs the command that is expected")
		}
		return s, nil
	}
	word, bang := strings.CutPrefix(text, "!")
	if !bang {
		return Step{}, fmt.Errorf("%q is none of S: C: !directive", text)
	}
	name, args, _ := strings.Cut(word, " ")
	return parseScriptDirective(Op(name), strings.TrimSpace(args))
}

func parseScriptDirective(op Op, args string) (Step, error) {
	s := Step{Op: op, Text: args}
	var err error
	switch op {
	case Close, Reset, Junk, Stall, Refuse, Timeout, Unreachable, NoRoute, Forbidden:
		if args != "" {
			err = fmt.Errorf("!%s takes nothing after it", op)
		}
	case Pause:
		s.Text = ""
		s.Wait, err = parseWait(args)
	case Drip:
		first, rest, _ := strings.Cut(args, " ")
		s.Text = rest
		s.Wait, err = parseWait(first)
	case Repeat:
		first, rest, _ := strings.Cut(args, " ")
		s.Text = rest
		s.Count, err = strconv.Atoi(first)
		if err == nil && s.Count < 0 {
			err = fmt.Errorf("!repeat needs a count, not %s", first)
		}
	case Bytes:
		s.Text, err = strconv.Unquote(args)
		if err != nil {
			err = fmt.Errorf("!raw needs a Go string in double quotes: %w", err)
		}
	case StartTLS:
		s.Text = ""
		err = s.parseTLS(args)
	default:
		err = fmt.Errorf("unknown directive !%s", op)
	}
	return s, err
}

// parseTLS reads the settings of !starttls. Unless they say otherwise, a server
// refuses what RFC 8996 deprecates.
func (s *Step) parseTLS(args string) error {
	for _, word := range strings.Fields(args) {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "cert":
			s.Cert = value
		case "tls":
			s.Max, err = tlsVersion(value)
		case "min":
			s.Min, err = tlsVersion(value)
		case "large":
			s.Large = Op(value)
			if s.Large != Reset && s.Large != Close && s.Large != Stall {
				err = fmt.Errorf("!starttls: large is none of %s %s %s", Reset, Close, Stall)
			}
		default:
			err = fmt.Errorf("!starttls has no setting %q", word)
		}
		if err != nil {
			return err
		}
	}
	if s.Cert == "" {
		return errors.New("!starttls needs cert=NAME")
	}
	switch {
	case s.Min == 0 && s.Max != 0:
		s.Min = min(s.Max, tls.VersionTLS12)
	case s.Min == 0:
		s.Min = tls.VersionTLS12
	}
	if s.Max != 0 && s.Min > s.Max {
		return errors.New("!starttls: min is above tls")
	}
	return nil
}

func tlsVersion(text string) (uint16, error) {
	switch text {
	case "1.0":
		return tls.VersionTLS10, nil
	case "1.1":
		return tls.VersionTLS11, nil
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("%q is none of the TLS versions 1.0 1.1 1.2 1.3", text)
}

// matches reports whether a command fits a pattern: letter case does not
// count (RFC 5321 section 2.4), * stands for any text.
func matches(pattern, command string) bool {
	parts := strings.Split(strings.ToUpper(pattern), "*")
	rest, ok := strings.CutPrefix(strings.ToUpper(command), parts[0])
	if !ok {
		return false
	}
	if len(parts) == 1 {
		return rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}
