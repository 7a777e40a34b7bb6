package audit

import (
	"slices"
	"strings"
	"testing"
)

// TestExtensionRegistry holds the table to IANA's registry, copied from the
// list of its keywords as of November 2026.
func TestExtensionRegistry(t *testing.T) {
	iana := strings.Fields(`8BITMIME ATRN AUTH BINARYMIME BURL CHECKPOINT CHUNKING CONNEG CONPERM DELIVERBY DSN ENHANCEDSTATUSCODES ETRN EXPN
		FUTURERELEASE HELP LIMITS MT-PRIORITY MTRK NO-SOLICITING ONEX PIPELINING REQUIRETLS RRVS SAML SEND SIZE SMTPUTF8 SOML STARTTLS SUBMITTER
		TURN UTF8SMTP VERB`)
	var have []string
	for _, e := range registered() {
		have = append(have, e.Name)
		if e.Origin != Registered && e.Origin != Obsolete {
			t.Errorf("%s is registered, and called %s", e.Name, e.Origin)
		}
	}
	if !slices.Equal(have, iana) {
		t.Errorf("registered are\n%v, here are\n%v", iana, have)
	}
	seen := map[string]bool{}
	for _, e := range Extensions() {
		if seen[e.Name] || e.Means == "" || e.Ref == "" || e.Origin == "" || e.Name != strings.ToUpper(e.Name) {
			t.Errorf("%+v is there twice, or incomplete", e)
		}
		seen[e.Name] = true
	}
}

func TestExtensionOf(t *testing.T) {
	for name, want := range map[string]Origin{
		"SIZE": Registered, "size": Registered, "TURN": Obsolete, "XCLIENT": Unregistered, "XVERP=COURIER": Unregistered, "XSECURITY=NONE,STARTTLS": Unregistered,
		"FROB": Unheard, "X-FROB": Unheard, "": Unheard, "=": Unheard,
	} {
		if got := ExtensionOf(name); got.Origin != want || got.Means == "" {
			t.Errorf("%q: %+v, want %s", name, got, want)
		}
	}
	if own, other := ExtensionOf("X-FROB").Means, ExtensionOf("FROB").Means; own == other {
		t.Errorf("an experiment is told like a keyword of nobody: %s", own)
	}
}

func TestKeywordMeans(t *testing.T) {
	for _, c := range []struct{ line, means, malformed string }{
		{"PIPELINING", "commands without waiting for each reply", ""},
		{"PIPELINING yes", "commands without waiting for each reply", ""},
		{"SIZE", "a size limit that is not told", ""},
		{"SIZE 0", "messages without a fixed limit of size", ""},
		{"SIZE 52428800", "messages of at most 52428800 octets (50 MiB)", ""},
		{"SIZE 1000", "messages of at most 1000 octets", ""},
		{"SIZE 00102400", "messages of at most 102400 octets (100 KiB)", ""},
		{"SIZE 99999999999999999999", "messages of at most 99999999999999999999 octets", ""},
		{"SIZE 999999999999999999999", "the largest message; its parameter is no number: 999999999999999999999", "its parameter is no number: 999999999999999999999"},
		{"SIZE 20 MB", "the largest message; its parameter is no number: 20 MB", "its parameter is no number: 20 MB"},
		{"SIZE -1", "the largest message; its parameter is no number: -1", "its parameter is no number: -1"},
		{"AUTH PLAIN LOGIN", "logins: PLAIN LOGIN", ""},
		{"AUTH", "logins; it names no mechanism", "it names no mechanism"},
		{"LIMITS MAILMAX=100 RCPTMAX=50 RCPTDOMAINMAX=1 OTHER=x", "how much fits into one session: 100 messages a session, 50 recipients a message, 1 recipient domains a session, OTHER=x", ""},
		{"LIMITS RCPTMAX=many", "how much fits into one session; a limit is no number: RCPTMAX=many", "a limit is no number: RCPTMAX=many"},
		{"LIMITS =1", "how much fits into one session; a limit is no number: =1", "a limit is no number: =1"},
		{"DELIVERBY", "a deadline for delivery", ""},
		{"DELIVERBY 240", "a deadline for delivery, at the earliest after 240 s", ""},
		{"DELIVERBY 240,trace", "a deadline for delivery, at the earliest after 240 s", ""},
		{"DELIVERBY soon", "a deadline for delivery; its parameter is no number: soon", "its parameter is no number: soon"},
		{"FUTURERELEASE 2592000 <date>", "messages are held back until a given time, at most for 2592000 s", ""},
		{"FUTURERELEASE", "messages are held back until a given time; it tells no time in seconds", "it tells no time in seconds"},
		{"MT-PRIORITY MIXER", "messages with priorities: MIXER", ""},
		{"BURL imap", "parts of a message are fetched from a mailbox by URL: imap", ""},
		{"X-EXPS GSSAPI NTLM", "logins between Exchange servers of one organisation: GSSAPI NTLM", ""},
		{"FROB 1", "not registered, and not known here", ""},
	} {
		name, params, _ := strings.Cut(c.line, " ")
		k := Keyword{name, Raw(params)}
		if k.Means() != c.means || k.Malformed() != c.malformed {
			t.Errorf("%s\n got %s | %s\nwant %s | %s", c.line, k.Means(), k.Malformed(), c.means, c.malformed)
		}
	}
	long := Keyword{"SIZE", Raw(strings.Repeat("\x1b", 10_000))}
	if got := long.Malformed(); len(got) > 400 || strings.Contains(got, "\x1b") {
		t.Errorf("a stranger's parameter is quoted as %q", got)
	}
}

func TestGivenNames(t *testing.T) {
	for _, c := range []struct {
		mode            Mode
		greeting, hello Raw
		want            []DNSName
	}{
		{"", "mx.example.org", "mx.example.org", []DNSName{"mx.example.org"}},
		{"", "MX.Example.org.", "mx.example.org", []DNSName{"mx.example.org"}},
		{"", "mx.example.org", "gw.example.org", []DNSName{"mx.example.org", "gw.example.org"}},
		{"", "mail", "[192.0.2.1]", nil},
		{"", "192.0.2.1", "****", nil},
		{"", "5.7.1", "a.b.1", nil},
		{"", "mx_1.example.org", "\x1b[2J.example.org", nil},
		{ModeTLS, "mx.example.org", "gw.example.org", []DNSName{"mx.example.org", "gw.example.org"}},
	} {
		e := Endpoint{Mode: c.mode, Greeting: See(Greeting{Code: 220, Name: c.greeting}, ""), Hello: See(Hello{Name: c.hello}, "")}
		if c.mode == ModeTLS {
			e.Hello, e.HelloTLS = NA[Hello](""), e.Hello
		}
		if got := e.GivenNames(); !slices.Equal(got, c.want) {
			t.Errorf("%q, %q: %v, want %v", c.greeting, c.hello, got, c.want)
		}
	}
	if got := (Endpoint{}).GivenNames(); got != nil {
		t.Errorf("nothing was seen, and the server is called %v", got)
	}
}
