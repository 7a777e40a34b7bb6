package dnscheck

import (
	"context"
	"fmt"
	"testing"

	"mailaudit/internal/audit"
)

func TestSubmission(t *testing.T) {
	for _, c := range []struct {
		answer []string
		state  audit.State
		value  string
	}{
		{[]string{"5 1 587 B.example.", "0 1 587 mail.Example.org.", "0 7 587 a.example."}, audit.Seen, "[{0 7 587 a.example} {0 1 587 mail.example.org} {5 1 587 b.example}]"},
		{[]string{"0 0 0 ."}, audit.Seen, "[{0 0 0 .}]"},
		{nil, audit.Absent, "[]"},
		{[]string{"!nxdomain"}, audit.Absent, "[]"},
		{[]string{"!servfail"}, audit.Unknown, "[]"},
	} {
		s := Submission(context.Background(), zone{"_submission._tcp.example.org SRV": c.answer}, domain(t, "example.org"))
		if s.STARTTLS.State != c.state || fmt.Sprint(s.STARTTLS.Value) != c.value || s.TLS.State != audit.Absent {
			t.Errorf("%v: %+v", c.answer, s)
		}
		if s.STARTTLS.Via != "dig -t SRV -q _submission._tcp.example.org" || s.TLS.Via != "dig -t SRV -q _submissions._tcp.example.org" {
			t.Errorf("%v: via %q and %q", c.answer, s.STARTTLS.Via, s.TLS.Via)
		}
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("%d 1 465 m%d.example.", 1000-i, i))
	}
	s := Submission(context.Background(), zone{"_submissions._tcp.example.org SRV": many}, domain(t, "example.org"))
	if len(s.TLS.Value) != audit.MaxSRV || s.TLS.Value[0].Priority != 1 {
		t.Errorf("%d records, the first %+v", len(s.TLS.Value), s.TLS.Value[0])
	}
}
