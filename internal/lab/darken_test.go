package lab_test

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// seenSnapshot has a bit of everything that facts are made of.
func seenSnapshot(t *testing.T) *audit.Snapshot {
	t.Helper()
	d, _, err := audit.ParseDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddr("192.0.2.25")
	s := &audit.Snapshot{Domain: d}
	s.Facts.MX.Exists = audit.See(audit.Nothing{}, "dig MX example.org")
	s.Facts.Hosts = []audit.Host{{Name: "mx.example.org", A: audit.See([]netip.Addr{addr}, "dig A mx.example.org")}}
	s.Facts.RDNS = []audit.Reverse{{Addr: addr, Forward: []audit.Forward{{Name: "mx.example.org"}}}}
	s.Facts.SMTP = []audit.Endpoint{{Addr: addr, TLS: audit.See(audit.TLS{
		Version: "TLS 1.3", Trust: audit.None[audit.Nothing](audit.SelfSigned, "the certificate is signed by itself", ""),
	}, "openssl s_client")}}
	s.Facts.SPF = audit.SPF{
		Below: []audit.SPFBelow{{Name: "_spf.example.net"}}, Found: []audit.SPFTarget{{Term: "mx", Name: "example.org"}},
		Senders: []audit.SPFSender{{Addr: addr}}, Hellos: []audit.SPFHello{{Name: "mx.example.org", Senders: []audit.SPFSender{{Addr: addr}}}},
		Former: []audit.SPFFormer{{Name: "spf.example.net"}},
	}
	s.Facts.Names = []audit.ServerName{{Name: "gw.example.org"}}
	return s
}

func TestObservations(t *testing.T) {
	s := seenSnapshot(t)
	var paths []string
	for _, o := range lab.Observations(&s.Facts) {
		paths = append(paths, o.Path)
	}
	want := []string{
		"Facts.MX.Exists", "Facts.MX.Alias", "Facts.MX.Records",
		"Facts.Hosts.0.Alias", "Facts.Hosts.0.A", "Facts.Hosts.0.AAAA",
		"Facts.SPF.Records", "Facts.SPF.Strings", "Facts.SPF.Misses", "Facts.SPF.Answer", "Facts.SPF.Type99", "Facts.SPF.SenderID", "Facts.SPF.Alias",
		"Facts.SPF.Below.0.Records", "Facts.SPF.Below.0.Alias", "Facts.SPF.Below.0.Registered",
		"Facts.SPF.Found.0.Hosts", "Facts.SPF.Found.0.A", "Facts.SPF.Found.0.AAAA", "Facts.SPF.Explained",
		"Facts.SPF.Senders.0.Verdict", "Facts.SPF.Hellos.0.Records", "Facts.SPF.Hellos.0.Senders.0.Verdict", "Facts.SPF.Former.0.Networks",
		"Facts.RDNS.0.Alias", "Facts.RDNS.0.PTR", "Facts.RDNS.0.Forward.0.Addrs",
		"Facts.SMTP.0.Connect", "Facts.SMTP.0.Greeting", "Facts.SMTP.0.Hello", "Facts.SMTP.0.Helo", "Facts.SMTP.0.Mail", "Facts.SMTP.0.StartTLS",
		"Facts.SMTP.0.TLS", "Facts.SMTP.0.TLS.Value.Trust", "Facts.SMTP.0.TLS.Value.NameMatch",
		"Facts.SMTP.0.TLS.Value.Tickets", "Facts.SMTP.0.TLS.Value.MasterSecret", "Facts.SMTP.0.TLS.Value.Stapled", "Facts.SMTP.0.TLS.Value.SCTs",
		"Facts.SMTP.0.HelloTLS",
		"Facts.SMTP.0.Replies", "Facts.SMTP.0.Refusal", "Facts.SMTP.0.Pace", "Facts.SMTP.0.StartTLSSteady", "Facts.SMTP.0.LargeHello", "Facts.SMTP.0.OldTLS",
		"Facts.Submission.STARTTLS", "Facts.Submission.TLS",
		"Facts.Names.0.A", "Facts.Names.0.AAAA",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("observations:\n%s\nwant:\n%s", strings.Join(paths, "\n"), strings.Join(want, "\n"))
	}
}

func TestDarken(t *testing.T) {
	s := seenSnapshot(t)
	why := audit.Reason{Code: audit.Timeout, Text: "dark"}
	all := lab.Observations(&s.Facts)
	at := slices.IndexFunc(all, func(o lab.Observation) bool { return o.Path == "Facts.SMTP.0.TLS" })
	if all[at].State() != audit.Seen {
		t.Errorf("state %q before", all[at].State())
	}
	all[at].Darken(why)
	want := audit.Dark[audit.TLS](why, "openssl s_client")
	if got := s.Facts.SMTP[0].TLS; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if all[at].State() != audit.Unknown || s.Facts.Hosts[0].A.State != audit.Seen {
		t.Error("the wrong observation was darkened")
	}
}

// TestCheckDarkeningFindsOffenders: each judge breaks the law in one way.
func TestCheckDarkeningFindsOffenders(t *testing.T) {
	verdict := func(status audit.Status, why audit.Reason) []audit.Finding {
		return []audit.Finding{{Rule: "x.y", Subject: "s", Status: status, Detail: why.Text, Cause: why.Code}}
	}
	judges := []struct {
		name  string
		judge func(s *audit.Snapshot) []audit.Finding
		want  string // the beginning of the only violation; "": none
	}{
		{"lawful", func(s *audit.Snapshot) []audit.Finding {
			o := s.Facts.MX.Exists
			if o.Known() {
				return verdict(audit.Pass, audit.Reason{})
			}
			return verdict(audit.UnknownStatus, o.Why)
		}, ""},
		{"takes silence for a no", func(s *audit.Snapshot) []audit.Finding {
			if s.Facts.MX.Exists.State == audit.Seen {
				return verdict(audit.Pass, audit.Reason{})
			}
			return verdict(audit.Fail, audit.Reason{})
		}, "darkened Facts.MX.Exists turned x.y of s from pass into fail"},
		{"takes silence for a yes", func(s *audit.Snapshot) []audit.Finding {
			if s.Facts.SMTP[0].TLS.Value.Trust.State == audit.Absent || s.Facts.SMTP[0].TLS.State != audit.Seen {
				return verdict(audit.Fail, audit.Reason{})
			}
			return verdict(audit.Pass, audit.Reason{})
		}, "darkened Facts.SMTP.0.TLS.Value.Trust turned x.y of s from fail into pass"},
		{"breaks down", func(s *audit.Snapshot) []audit.Finding {
			if s.Facts.Hosts[0].A.State == audit.Unknown {
				return verdict(audit.UnknownStatus, audit.Reason{Code: audit.Bug, Text: "boom"})
			}
			return nil
		}, "darkened Facts.Hosts.0.A broke x.y of s: boom"},
		{"quotes it and passes", func(s *audit.Snapshot) []audit.Finding {
			return verdict(audit.Pass, audit.Reason{Text: s.Facts.MX.Records.Why.Text})
		}, "darkened Facts.MX.Records, which x.y of s quotes and says pass"},
	}
	for _, j := range judges {
		t.Run(j.name, func(t *testing.T) {
			s := seenSnapshot(t)
			got, err := lab.CheckDarkening(s, j.judge)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case j.want == "" && len(got) > 0:
				t.Errorf("violations: %q", got)
			case j.want != "" && (len(got) != 1 || got[0] != j.want):
				t.Errorf("violations: %q, want %q", got, j.want)
			}
			if !reflect.DeepEqual(s, seenSnapshot(t)) {
				t.Error("the snapshot was changed")
			}
		})
	}
}
