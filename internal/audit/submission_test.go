package audit

import (
	"fmt"
	"net/netip"
	"testing"
)

func srv(priority, weight, port uint16, target DNSName) SRVRecord {
	return SRVRecord{Priority: priority, Weight: weight, Port: port, Target: target}
}

// Ensure servers come in the order in which clients try them, each once, with
// the ports that may be connected to and no others.
func TestSubmissionServers(t *testing.T) {
	d, _, err := ParseDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	s := Submission{
		STARTTLS: See([]SRVRecord{srv(10, 0, 587, "c.example"), srv(0, 1, 587, "b.example"), srv(0, 5, 2525, "a.example"), srv(0, 0, 0, ".")}, ""),
		TLS:      See([]SRVRecord{srv(5, 0, 465, "a.example"), srv(6, 0, 465, "a.example"), srv(20, 0, 22, "d.example")}, ""),
	}
	got := fmt.Sprint(s.Servers(d))
	if want := "[{a.example [465]} {b.example [587]} {c.example [587]} {d.example []}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	f := Facts{Submission: s}
	f.Canonical()
	if got := fmt.Sprint(f.Submission.STARTTLS.Value); got != "[{0 5 2525 a.example} {0 1 587 b.example} {0 0 0 .} {10 0 587 c.example}]" {
		t.Errorf("canonical: %s", got)
	}
	for i, want := range []DNSName{"_submission._tcp.example.org", "_submissions._tcp.example.org"} {
		if got := s.Services(d)[i].Name; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Ensure a subject that is missing has not vanished where the records that
// would name it were not seen.
func TestUnseenSubmission(t *testing.T) {
	dark := Dark[[]SRVRecord](Reason{Code: ServFail, Text: "SERVFAIL"}, "")
	none := None[[]SRVRecord](NXDomain, "", "")
	f := Facts{MX: MX{Records: See([]MXRecord{{10, "mx.example.org"}}, "")}, Submission: Submission{STARTTLS: none, TLS: none}}
	for _, subject := range []string{"mail.example.org[192.0.2.26]:587", "mail.example.org", "mx.example.org[192.0.2.25]:25"} {
		if !f.Enumerated(subject) {
			t.Errorf("%s: not enumerated, though all is known", subject)
		}
	}
	f.Submission.TLS = dark
	for subject, want := range map[string]bool{"mail.example.org[192.0.2.26]:587": false, "mail.example.org[2001:db8::26]:465": false, "mail.example.org": false, "mx.example.org[192.0.2.25]:25": true} {
		if f.Enumerated(subject) != want {
			t.Errorf("%s: enumerated %t", subject, !want)
		}
	}
}

// Ensure what a run came to know of by a flag, by a newer program or by another
// address family is no change of the domain, and what DNS says is one.
func TestOnlyOneLooked(t *testing.T) {
	d, _, err := ParseDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	asked := Submission{STARTTLS: None[[]SRVRecord](NXDomain, "", ""), TLS: None[[]SRVRecord](NXDomain, "", "")}
	published := Submission{STARTTLS: See([]SRVRecord{srv(0, 1, 587, "mail.example.org")}, ""), TLS: asked.TLS}
	named := []DNSName{"mail.example.org"}
	const at587 = "mail.example.org[192.0.2.26]:587"
	for _, c := range []struct {
		name     string
		rule     RuleID
		subject  string
		old, now Snapshot
		want     bool
	}{
		{"an older program", "tls.cert-name", at587, Snapshot{}, Snapshot{Facts: Facts{Submission: published}}, true},
		{"an older program, port 25", "tls.cert-name", "mail.example.org[192.0.2.26]:25", Snapshot{}, Snapshot{Facts: Facts{Submission: published}}, false},
		{"an older program, a record", "auth.srv-port", "_submission._tcp.example.org", Snapshot{}, Snapshot{Facts: Facts{Submission: published}}, true},
		{"an older program, another host", "mx.target-alias", "mail.example.org", Snapshot{}, Snapshot{Facts: Facts{Submission: published}}, false},
		{"newly published", "tls.cert-name", at587, Snapshot{Facts: Facts{Submission: asked}}, Snapshot{Facts: Facts{Submission: published}}, false},
		{"no longer published", "auth.submission-without-tls", "mail.example.org", Snapshot{Facts: Facts{Submission: published}}, Snapshot{Facts: Facts{Submission: asked}}, false},
		{"newly named", "tls.cert-name", at587, Snapshot{Facts: Facts{Submission: asked}}, Snapshot{Scope: Scope{Submission: named}, Facts: Facts{Submission: asked}}, true},
		{"named by both", "tls.cert-name", at587, Snapshot{Scope: Scope{Submission: named}}, Snapshot{Scope: Scope{Submission: named}, Facts: Facts{Submission: asked}}, false},
		{"newly named, and published before", "tls.cert-name", at587, Snapshot{Facts: Facts{Submission: published}}, Snapshot{Scope: Scope{Submission: named}, Facts: Facts{Submission: published}}, false},
		{"one server, tested twice", "tls.cert-name", at587, Snapshot{}, Snapshot{}, false},
		{"MAIL tried in one run", "auth.mail-before-tls", at587, Snapshot{Scope: Scope{TryMail: true, Submission: named}}, Snapshot{Scope: Scope{Submission: named}}, true},
		{"MAIL tried in both", "auth.mail-before-tls", at587, Snapshot{Scope: Scope{TryMail: true, Submission: named}}, Snapshot{Scope: Scope{TryMail: true, Submission: named}}, false},
	} {
		c.old.Domain, c.now.Domain = d, d
		for _, back := range []bool{false, true} {
			old, now := c.old, c.now
			if back {
				old, now = now, old
			}
			if got := onlyOneLooked(Key{c.rule, c.subject}, old, now); got != c.want {
				t.Errorf("%s (back %t): %t", c.name, back, got)
			}
		}
	}
}

func TestOnlyOneReached(t *testing.T) {
	both, four, six := Scope{}, Scope{Family: IPv4}, Scope{Family: IPv6}
	for _, c := range []struct {
		subject string
		a, b    Scope
		want    bool
	}{
		{"mx.example.org[192.0.2.25]:25", both, four, false},
		{"mx.example.org[2001:db8::25]:25", both, four, true},
		{"mx.example.org[2001:db8::25]:25", four, four, false},
		{"mx.example.org[192.0.2.25]:25", four, six, true},
		{"example.org", four, six, false},
		{"x]:25[", four, six, false},
	} {
		if got := onlyOneReached(Key{"smtp.unreachable", c.subject}, c.a, c.b); got != c.want {
			t.Errorf("%s: %t", c.subject, got)
		}
	}
	if both.Reaches(netip.Addr{}) != true || !six.Reaches(netip.MustParseAddr("2001:db8::1")) || !four.Reaches(netip.MustParseAddr("::ffff:192.0.2.1")) {
		t.Error("Reaches")
	}
}
