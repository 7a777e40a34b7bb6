package collect

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"mailaudit/internal/audit"
)

// submissionZone has a domain whose SRV records name five hosts, one of them
// its MX, on ports of submission and others.
func submissionZone() zone {
	z := zone{
		"example.org MX":                   {"10 mx.example.org."},
		"_submission._tcp.example.org SRV": {"0 1 587 mx.example.org.", "1 1 587 big.example.org.", "2 1 22 odd.example.org."},
		"_submissions._tcp.example.org SRV": {"0 1 465 mx.example.org.", "3 1 465 fourth.example.org.", "4 1 465 fifth.example.org.",
			"5 1 465 named.example.org.", "6 0 0 ."},
		"mx.example.org A": {"192.0.2.25"}, "odd.example.org A": {"192.0.2.26"}, "fourth.example.org A": {"192.0.2.27"},
		"fifth.example.org A": {"192.0.2.28"}, "named.example.org A": {"192.0.2.29"},
	}
	for i := range 20 {
		z["big.example.org A"] = append(z["big.example.org A"], fmt.Sprintf("198.51.100.%d", i))
	}
	return z
}

// Ensure SRV records and the user together decide what is connected to:
// neither another port, nor more hosts and addresses than the limits, nor
// anything twice.
func TestSubmissionServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res, p := collectFacts(t, context.Background(), submissionZone(), func(_ *Config, plan *Plan) {
			plan.SRV, plan.Scope.Submission = true, []audit.DNSName{"named.example.org", "mx.example.org"}
		})
		want := []string{
			"mx.example.org[192.0.2.25]:25", "mx.example.org[192.0.2.25]:587", "mx.example.org[192.0.2.25]:465",
			"big.example.org[198.51.100.0]:587", "big.example.org[198.51.100.1]:587",
			"fourth.example.org[192.0.2.27]:465", "named.example.org[192.0.2.29]:587", "named.example.org[192.0.2.29]:465",
		}
		slices.Sort(want)
		slices.Sort(p.targets)
		if !slices.Equal(p.targets, want) {
			t.Errorf("connected to %q\nwant         %q", p.targets, want)
		}
		roles := map[audit.DNSName]audit.Role{}
		for _, h := range res.Facts.Hosts {
			if roles[h.Name] != "" {
				t.Errorf("%s is there twice", h.Name)
			}
			roles[h.Name] = h.Role
			if h.Name == "fifth.example.org" && h.A.Why.Code != audit.NotAsked {
				t.Errorf("the fifth host: %+v", h.A)
			}
			if h.Name == "big.example.org" && (len(h.A.Value) != maxSubmissionFollowed || h.ALeftOut != 20-maxSubmissionFollowed) {
				t.Errorf("%d addresses, %d left out", len(h.A.Value), h.ALeftOut)
			}
		}
		if len(roles) != 6 || roles["mx.example.org"] != audit.RoleMX || roles["odd.example.org"] != audit.RoleSubmission {
			t.Errorf("%v", roles)
		}
	})
}

// Ensure MAIL is tried at servers that the user named, and at no others.
func TestTryMailAtNamedServers(t *testing.T) {
	c := New(Config{}, Plan{Scope: audit.Scope{TryMail: true, Submission: []audit.DNSName{"named.example.org"}}})
	for _, x := range []struct {
		host audit.DNSName
		port uint16
		want bool
	}{{"named.example.org", 587, true}, {"named.example.org", 465, false}, {"found.example.org", 587, false}} {
		if got := c.submissionTarget(x.host, at("x", "192.0.2.1").Addr, x.port); got.TryMail != x.want {
			t.Errorf("%s:%d: %t", x.host, x.port, got.TryMail)
		}
	}
}

// Ensure nothing is asked about submission where it is no question.
func TestNoSubmission(t *testing.T) {
	for name, edit := range map[string]func(*Config, *Plan){
		"an audit that does not ask": nil,
		"all mail hosts":             func(_ *Config, p *Plan) { p.SRV, p.Named = true, &Named{MX: true, Port: 25} },
		"one server":                 func(_ *Config, p *Plan) { p.SRV, p.Named = true, &Named{Host: "mx.example.org", Port: 25} },
	} {
		synctest.Test(t, func(t *testing.T) {
			res, p := collectFacts(t, context.Background(), submissionZone(), edit)
			if !slices.Equal(p.targets, []string{"mx.example.org[192.0.2.25]:25"}) || res.Facts.Submission.TLS.State != audit.NotTried {
				t.Errorf("%s: connected to %q, %+v", name, p.targets, res.Facts.Submission.TLS)
			}
		})
	}
}
