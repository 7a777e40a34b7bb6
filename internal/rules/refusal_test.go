package rules

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// sample is a refusal as a server sends it, and what it is to be read as.
type sample struct {
	line    int // of its first line
	reply   Reply
	class   audit.Code
	pattern string
}

// samples reads testdata/refusals.txt. The texts go through the Stabilizer, as
// they do on their way into the facts.
func samples(t testing.TB) []sample {
	t.Helper()
	data, err := os.ReadFile("testdata/refusals.txt")
	if err != nil {
		t.Fatal(err)
	}
	stable := audit.NewStabilizer(netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8:ffff::200"))
	words := func(text string) audit.Raw { return stable.Refusal(audit.Raw(text), "probe.example.net") }
	var out []sample
	for i, line := range strings.Split(string(data), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "host" {
			out = append(out, sample{line: i + 1, reply: Reply{Host: audit.DNSName(rest)}})
			continue
		}
		if len(out) == 0 {
			t.Fatalf("line %d stands before the first host", i+1)
		}
		s := &out[len(out)-1]
		switch {
		case word == "banner":
			s.reply.Banner = append(s.reply.Banner, words(rest))
		case word == "is":
			class, pattern, _ := strings.Cut(rest, " ")
			s.class, s.pattern = audit.Code(class), pattern
		default:
			code, err := strconv.Atoi(line[:3])
			if err != nil {
				t.Fatalf("line %d: %q", i+1, line)
			}
			s.reply.Code = code
			s.reply.Lines = append(s.reply.Lines, words(line[min(4, len(line)):]))
		}
	}
	return out
}

func TestClassify(t *testing.T) {
	c := NewClassifier()
	all := samples(t)
	if len(all) < 60 {
		t.Errorf("only %d samples", len(all))
	}
	for _, s := range all {
		got := c.Classify(s.reply)
		if got.Class != s.class || got.Pattern != s.pattern {
			t.Errorf("line %d: read as %s by %s (%s), want %s by %s:\n%s", s.line, got.Class, got.Pattern, got.Provider, s.class, s.pattern, lower(s.reply))
		}
		if strings.Contains(got.Text, "203.0.113.9") || strings.Contains(got.Text, "vps.example.net") || strings.Contains(got.Text, "probe.example.net") {
			t.Errorf("line %d: %q names us", s.line, got.Text)
		}
		if again := NewClassifier().Classify(s.reply); again != got {
			t.Errorf("line %d: a new classifier says %+v, want %+v", s.line, again, got)
		}
	}
}

// TestEveryPatternHasASample holds every line of the table to be of use.
func TestEveryPatternHasASample(t *testing.T) {
	all := samples(t)
	seen := map[string]bool{}
	for _, p := range RefusalPatterns() {
		switch {
		case seen[p.ID]:
			t.Errorf("%s is there twice", p.ID)
		case p.Match == "" && p.Hint == "":
			t.Errorf("%s matches everything", p.ID)
		case p.Hint != strings.ToLower(p.Hint) || p.Match != lowered(p.Match):
			t.Errorf("%s has capital letters, which no text has that it is compared with", p.ID)
		case !slices.Contains(RefusalClasses(), p.Class):
			t.Errorf("%s has class %s, which is not explained", p.ID, p.Class)
		case p.From == "" && p.Class != audit.Busy && strings.HasPrefix(p.Codes, "4"):
			if p.ID != "words.rate-exchange" {
				t.Errorf("%s does not look at 5xx", p.ID)
			}
		case p.Class == audit.Busy && !strings.HasPrefix(p.Codes, "4"):
			t.Errorf("%s takes a lasting refusal for want of room", p.ID)
		}
		seen[p.ID] = true
		known := slices.ContainsFunc(RefusalProviders(), func(w RefusalProvider) bool {
			return p.From == "" || w.ID == p.From || strings.HasPrefix(w.ID, p.From+"-")
		})
		if !known {
			t.Errorf("%s is of nobody: %s", p.ID, p.From)
		}
		if !slices.ContainsFunc(all, func(s sample) bool { return s.pattern == p.ID }) {
			t.Errorf("%s has no sample", p.ID)
		}
	}
	for _, w := range RefusalProviders() {
		if w.ID == "" || w.Name == "" || len(w.Hosts) == 0 || !strings.HasPrefix(w.Page, "https://") {
			t.Errorf("provider %+v is not complete", w)
		}
		for _, word := range append(slices.Clone(w.Hosts), w.Marks...) {
			if word != strings.ToLower(word) || len(word) < 4 {
				t.Errorf("%s cannot be recognised by %q", w.Name, word)
			}
		}
	}
}

// lowered is a regular expression in lower case, its escapes left alone.
func lowered(re string) string {
	return regexp.MustCompile(`\\[A-Z]|[A-Z]`).ReplaceAllStringFunc(re, func(s string) string {
		if s[0] == '\\' {
			return s
		}
		return strings.ToLower(s)
	})
}

// TestEveryClassIsNamed: each has a name and a sentence of its own.
func TestEveryClassIsNamed(t *testing.T) {
	names, sentences := map[string]audit.Code{}, map[string]audit.Code{}
	for _, class := range RefusalClasses() {
		r := Refusal{Class: class, Text: "554 no"}
		if other, twice := names[RefusalName(class)]; twice {
			t.Errorf("%s and %s have one name", class, other)
		}
		if other, twice := sentences[r.Reason().Text]; twice {
			t.Errorf("%s and %s have one sentence", class, other)
		}
		names[RefusalName(class)], sentences[r.Reason().Text] = class, class
		if r.Reason().Code != class || !strings.HasSuffix(r.Reason().Text, ": 554 no") {
			t.Errorf("%s has reason %+v", class, r.Reason())
		}
		if r.Ours() && r.Theirs() {
			t.Errorf("%s is both ours and theirs", class)
		}
	}
	got := Refusal{Class: audit.Reputation, List: "Spamhaus", Provider: "Google"}.Named()
	if got != "reputation (Spamhaus; Google)" {
		t.Errorf("named %q", got)
	}
	if got := (Refusal{Class: audit.Reputation, List: "Barracuda", Provider: "Barracuda"}).Named(); got != "reputation (Barracuda)" {
		t.Errorf("named %q", got)
	}
}

// TestReadRefusal: which reply it is that turned us away.
func TestReadRefusal(t *testing.T) {
	greeting := func(code int) audit.Obs[audit.Greeting] {
		return audit.See(audit.Greeting{Code: code, Lines: []audit.Raw{"mx too busy"}}, "nc")
	}
	said := audit.See(audit.Refusal{Command: "EHLO", Code: 421, Lines: []audit.Raw{"4.7.0 too many connections from <our address>"}}, "nc")
	unsaid := audit.See(audit.Refusal{Code: 554, Lines: []audit.Raw{"5.7.1 blocked using dnsbl.example.com"}}, "nc")
	for name, c := range map[string]struct {
		e    audit.Endpoint
		want string
	}{
		"welcome":                   {audit.Endpoint{Greeting: greeting(220)}, ""},
		"nothing is known":          {audit.Endpoint{}, ""},
		"421":                       {audit.Endpoint{Greeting: greeting(421)}, "greeting busy"},
		"521 has a rule of its own": {audit.Endpoint{Greeting: greeting(521)}, ""},
		"at EHLO":                   {audit.Endpoint{Greeting: greeting(220), Refusal: said}, "EHLO rate-limited"},
		"the greeting comes first":  {audit.Endpoint{Greeting: greeting(421), Refusal: said}, "greeting busy"},
		"in place of TLS":           {audit.Endpoint{Refusal: unsaid}, "greeting reputation"},
		"no refusal":                {audit.Endpoint{Refusal: audit.See(audit.Refusal{Code: 250}, "nc")}, ""},
	} {
		got, ok := ReadRefusal(c.e)
		if text := strings.TrimSpace(got.Step + " " + string(got.Class)); text != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %t; want %q", name, text, ok, c.want)
		}
	}
}

// TestRefusalExplains: everything that a refusal keeps from us has its cause,
// so that a report tells it once.
func TestRefusalExplains(t *testing.T) {
	world := apply(t, good(t), []string{
		`smtp.0.hello = unknown refused-us`, `smtp.0.helo = unknown refused-us`,
		`smtp.0.starttls = unknown not-learned`, `smtp.0.tls = unknown not-learned`, `smtp.0.hello_tls = unknown not-learned`,
		`smtp.0.pace = unknown not-learned`,
		`smtp.0.refusal = seen {"command": "EHLO", "code": 550, "lines": ["5.7.1 <our name>: Helo command rejected: Host not found"]}`,
	})
	subject, causes := world.Facts.SMTP[0].Subject(), map[audit.Code]int{}
	for _, f := range Evaluate(world) {
		if f.Subject == subject && f.Status == audit.UnknownStatus {
			causes[f.Cause]++
		}
	}
	if causes[audit.OurHELO] == 0 || causes[audit.RefusedUs]+causes[audit.TempFail] > 0 {
		t.Errorf("causes %v", causes)
	}
}

// TestHeloKeepsItsReason: HELO that was refused after an EHLO that is not known
// has a reason of its own.
func TestHeloKeepsItsReason(t *testing.T) {
	r := &Report{}
	e := audit.Endpoint{
		Greeting: audit.See(audit.Greeting{Code: 220}, ""),
		Hello:    audit.None[audit.Hello](audit.Declined, "no", ""),
		Helo:     audit.Dark[audit.Hello](audit.Reason{Code: audit.RefusedUs, Text: "HELO"}, ""),
		Refusal:  audit.See(audit.Refusal{Command: "EHLO", Code: 502, Lines: []audit.Raw{"blocked using x"}}, ""),
	}
	if got := r.explained(e); got.Helo.Why.Text != "HELO" {
		t.Errorf("HELO has reason %+v", got.Helo.Why)
	}
}

// TestClassifyIsBounded: of a long reply the beginning is read.
func TestClassifyIsBounded(t *testing.T) {
	long := audit.Raw(strings.Repeat("x", maxRefusal))
	got := NewClassifier().Classify(Reply{Code: 554, Lines: []audit.Raw{long, "blocked using zen.spamhaus.org"}})
	if got.Class != audit.RefusedUs || len(got.Text) > maxQuote+10 {
		t.Errorf("read as %s, %d octets quoted", got.Class, len(got.Text))
	}
	text := lower(Reply{Code: 554, Lines: slices.Repeat([]audit.Raw{"\xff\xfeABC"}, maxRefusal)})
	if len(text) > maxRefusal || !strings.HasPrefix(text, "554 \xff\xfeabc \xff") {
		t.Errorf("%d octets, %.20q", len(text), text)
	}
}

func FuzzClassify(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(string(s.reply.Host), fmt.Sprint(s.reply.Banner), s.reply.Code, string(s.reply.Lines[0]))
	}
	f.Add("", "\x00\xff", 599, strings.Repeat("too many <our ", 2000))
	c := NewClassifier()
	f.Fuzz(func(t *testing.T, host, banner string, code int, text string) {
		code = 400 + (code%200+200)%200
		r := Reply{Host: audit.NewDNSName(host), Banner: []audit.Raw{audit.Raw(banner)}, Code: code, Lines: []audit.Raw{audit.Raw(text), audit.Raw(banner)}}
		got := c.Classify(r)
		if !slices.Contains(RefusalClasses(), got.Class) || got.Pattern == "" {
			t.Fatalf("read as %q by %q", got.Class, got.Pattern)
		}
		if got.Class == audit.Busy && code/100 != 4 {
			t.Fatalf("%d is said to be for want of room", code)
		}
		if len(lower(r)) > maxRefusal {
			t.Fatalf("%d octets are read", len(lower(r)))
		}
		for _, octet := range []byte(got.Text + got.Reason().Text + got.Named()) {
			if octet < 0x20 || octet > 0x7e {
				t.Fatalf("%q does not print", got.Text)
			}
		}
		again := NewClassifier().Classify(r)
		if again != got {
			t.Fatalf("read as %+v, and then as %+v", got, again)
		}
	})
}

// BenchmarkEvaluate is what a refusal costs a run: patterns are compiled
// for it, and for nothing else.
func BenchmarkEvaluate(b *testing.B) {
	for name, lines := range map[string][]audit.Raw{
		"welcome": nil,
		"refused": {"5.7.1 Service unavailable; Client host [<our address>] blocked using zen.spamhaus.org"},
		"silent":  {"mx.example.org"},
	} {
		b.Run(name, func(b *testing.B) {
			t := &testing.T{}
			world := good(t)
			if lines != nil {
				world.Facts.SMTP[0].Greeting.Value.Code, world.Facts.SMTP[0].Greeting.Value.Lines = 554, lines
			}
			for b.Loop() {
				Evaluate(world)
			}
		})
	}
}
