package report

import (
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// repeats lists the commands that repeat the observations of a run, each once.
// They were written by the collectors, beside what they saw, and quoted there
// (audit.ShellQuote). What is not safe to paste all the same is left out: the
// reader of a report is not the one who made it.
func repeats(run *audit.Run) []Repeat {
	f := run.Snapshot.Facts
	var mx, hosts, senders, reverse, lists, clear, secure, old []string
	mx = again(again(mx, f.MX.Exists), f.MX.Records)
	for _, h := range f.Hosts {
		hosts = again(again(hosts, h.A), h.AAAA)
	}
	hosts = again(again(hosts, f.Submission.STARTTLS), f.Submission.TLS)
	for _, n := range f.Names {
		hosts = again(again(hosts, n.A), n.AAAA)
	}
	senders = again(senders, f.SPF.Records)
	for _, b := range f.SPF.Below {
		senders = again(senders, b.Records)
	}
	for _, d := range f.DKIM {
		senders = again(senders, d.Records)
	}
	for _, d := range f.DMARC.Walk {
		senders = again(senders, d.Records)
	}
	for _, l := range f.Lists {
		lists = again(lists, l.Health)
	}
	for _, l := range f.Listings {
		lists = again(lists, l.Codes)
	}
	for _, r := range f.RDNS {
		reverse = again(reverse, r.PTR)
		for _, to := range r.Forward {
			reverse = again(reverse, to.Addrs)
		}
	}
	var whole []string
	for _, e := range f.SMTP {
		if run.Kind == audit.KindSMTP && e.Connect.State != audit.NotTried {
			whole = append(whole, swaks(e, run.Snapshot.Vantage.HELO)...)
		}
		clear = again(again(again(clear, e.Connect), e.Greeting), e.Hello)
		secure = again(again(secure, e.TLS), e.HelloTLS)
		old = again(old, e.OldTLS)
	}
	var out []Repeat
	told := map[string]bool{}
	for _, r := range []Repeat{
		{"where the mail goes", mx},
		{"addresses of its hosts", hosts},
		{"who may send: SPF, DKIM, DMARC", senders},
		{"names of the addresses, and back", reverse},
		{"block lists", lists},
		{"SMTP in clear text (type EHLO and a name, then QUIT)", clear},
		{"SMTP inside TLS, with the certificates", secure},
		{"TLS 1.1, which is to be refused", old},
		{"the whole dialogue, with swaks (which sends no mail so)", whole},
	} {
		r.Commands = slices.DeleteFunc(r.Commands, func(c string) bool {
			again := told[c]
			told[c] = true
			return again
		})
		if len(r.Commands) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// swaks is the dialogue of an endpoint as the program of that name has it
// (https://www.jetmore.org/john/code/swaks/). It ends before MAIL.
func swaks(e audit.Endpoint, helo string) []string {
	words := "swaks --server " + audit.ShellQuote(netip.AddrPortFrom(e.Addr, e.Port).String())
	if helo != "" {
		words += " --ehlo " + audit.ShellQuote(helo)
	}
	if e.Mode != audit.ModePlain {
		if e.Mode == audit.ModeTLS {
			words += " --tls-on-connect"
		} else {
			words += " -tls"
		}
		_, err := netip.ParseAddr(string(e.Host))
		if err != nil {
			words += " --tls-sni " + audit.ShellQuote(e.Host.String())
		}
	}
	words += " --quit-after HELO"
	// A name must not be taken for an option, or for a file with options in it.
	misread := func(name string) bool { return name != "" && strings.Contains("-@", name[:1]) }
	if !pasteable(words) || misread(helo) || misread(string(e.Host)) {
		return nil
	}
	return []string{words}
}

// again adds the command of an observation that was tried to make.
func again[T any](list []string, o audit.Obs[T]) []string {
	if o.State == audit.NotTried || !pasteable(o.Via) {
		return list
	}
	return append(list, o.Via)
}

// pasteable reports whether a POSIX shell takes the command for one of those
// that we write, with plain words and words in single quotes, and whether dig
// takes the name in it for a name.
func pasteable(command string) bool {
	program, rest, _ := strings.Cut(command, " ")
	if !slices.Contains([]string{"dig", "nc", "openssl", "swaks"}, program) || Screen(command) != command {
		return false
	}
	if program == "dig" && !digAsks(rest) {
		return false
	}
	quoted := false
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case strings.HasPrefix(command[i:], `\'`):
			i++
		case c != ' ' && c != '-' && audit.ShellQuote(string(rune(c))) != string(rune(c)):
			return false
		}
	}
	return !quoted
}

// digAsks reports whether dig takes its arguments for a type and a name: behind
// -q it takes anything for a name. A run of an older version may have "TYPE
// NAME", where the name must not look like a server or an option.
func digAsks(arguments string) bool {
	rest, marked := strings.CutPrefix(arguments, "-t ")
	rrtype, name, _ := strings.Cut(rest, " ")
	if marked {
		name, marked = strings.CutPrefix(name, "-q ")
		if !marked {
			return false
		}
	}
	name = strings.Trim(name, "'")
	word := rrtype != "" && strings.IndexFunc(rrtype, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') }) < 0
	return word && name != "" && (marked || !strings.Contains("-+@", name[:1]))
}
