package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWalkNames(t *testing.T) {
	cases := []struct {
		domain DNSName
		want   string
	}{
		{"org", "org"},
		{"example.org", "example.org org"},
		{"a.example.org", "a.example.org example.org org"},
		{"1.2.3.4.5.6.7", "1.2.3.4.5.6.7 2.3.4.5.6.7 3.4.5.6.7 4.5.6.7 5.6.7 6.7 7"},
		{"1.2.3.4.5.6.7.8", "1.2.3.4.5.6.7.8 2.3.4.5.6.7.8 3.4.5.6.7.8 4.5.6.7.8 5.6.7.8 6.7.8 7.8 8"},
		{"a.b.c.d.e.f.g.h.i.j.k.l", "a.b.c.d.e.f.g.h.i.j.k.l f.g.h.i.j.k.l g.h.i.j.k.l h.i.j.k.l i.j.k.l j.k.l k.l l"},
	}
	for _, c := range cases {
		var got []string
		for _, n := range WalkNames(c.domain) {
			got = append(got, string(n))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v", c.domain, got)
		}
		if len(got) > 8 {
			t.Errorf("%s: %d questions", c.domain, len(got))
		}
	}
}

func TestParseTags(t *testing.T) {
	cases := []struct {
		in   Raw
		want []Tag
		ok   bool
	}{
		{"v=DKIM1; k=rsa; p=AB CD", []Tag{{"v", "DKIM1"}, {"k", "rsa"}, {"p", "AB CD"}}, true},
		{" v = DMARC1 ;p= none ; ", []Tag{{"v", "DMARC1"}, {"p", "none"}}, true},
		{"p=", []Tag{{"p", ""}}, true},
		{"", nil, true},
		{"a=1;;b=2", []Tag{{"a", "1"}, {"b", "2"}}, false},
		{"nonsense; p=x", []Tag{{"p", "x"}}, false},
		{"1a=x", nil, false},
		{"p=a=b", []Tag{{"p", "a=b"}}, true},
	}
	for _, c := range cases {
		got, ok := ParseTags(c.in)
		if ok != c.ok || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, %t", c.in, got, ok)
		}
	}
}

func TestIsDMARC(t *testing.T) {
	for _, s := range []Raw{"v=DMARC1; p=none", "V=DMARC1;p=none", " v = DMARC1 ; p=none", "v=DMARC1"} {
		if !IsDMARC(s) {
			t.Errorf("%q is a DMARC record", s)
		}
	}
	for _, s := range []Raw{"", "v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC10; p=none", "v=DMARC1 p=none", "xv=DMARC1"} { // pitfall 57
		if IsDMARC(s) {
			t.Errorf("%q is no DMARC record", s)
		}
	}
}

func TestParseDMARC(t *testing.T) {
	cases := []struct {
		in   Raw
		want DMARCRecord
	}{
		{"v=DMARC1; p=reject", DMARCRecord{P: "reject", SP: "reject", NP: "reject", Written: "reject", PSD: "u", Usable: true}}, // pitfall 55
		{"v=DMARC1; p=reject; sp=none; np=quarantine", DMARCRecord{P: "reject", SP: "none", NP: "quarantine", Written: "reject", PSD: "u", Usable: true}},
		{"v=DMARC1; P=Reject; SP=NONE", DMARCRecord{P: "reject", SP: "none", NP: "none", Written: "reject", PSD: "u", Usable: true}},
		{"v=DMARC1; p=none; rua=mailto:a@example.org!10m, https://x/, mailto:b@example.net; t=y; psd=n; pct=NaN; zz=1",
			DMARCRecord{P: "none", SP: "none", NP: "none", Written: "none", RUA: []string{"a@example.org", "b@example.net"}, Testing: true, PSD: "n", Usable: true}},
		{"v=DMARC1", DMARCRecord{P: "none", SP: "none", NP: "none", PSD: "u"}},
		{"v=DMARC1; rua=mailto:a@example.org", DMARCRecord{P: "none", SP: "none", NP: "none", RUA: []string{"a@example.org"}, PSD: "u", Usable: true}},
		{"v=DMARC1; p=nonsense", DMARCRecord{P: "none", SP: "none", NP: "none", PSD: "u"}},
		{"v=DMARC1; p=reject; sp=x; rua=mailto:a@example.org", DMARCRecord{P: "none", SP: "none", NP: "none", Written: "reject", RUA: []string{"a@example.org"}, PSD: "u", Usable: true}},
		{"v=DMARC1; p=none; rua=notmailto:a@example.org", DMARCRecord{P: "none", SP: "none", NP: "none", Written: "none", PSD: "u", Usable: true}}, // pitfall 54
		{"v=DMARC1; p=none; rua=mailto:, a@example.org, mailto:@x, mailto:a", DMARCRecord{P: "none", SP: "none", NP: "none", Written: "none", PSD: "u", Usable: true}},
	}
	for _, c := range cases {
		if d := cmp.Diff(c.want, ParseDMARC(c.in)); d != "" {
			t.Errorf("%q: %s", c.in, d)
		}
	}
}

func FuzzMailAuth(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=none; rua=mailto:a@b", "v=DKIM1; p=", "v=DMARC1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		txt := Raw(s)
		if IsDMARC(txt) {
			r := ParseDMARC(txt)
			if r.P.Rank() < 0 || r.SP.Rank() < 0 || r.NP.Rank() < 0 {
				t.Errorf("%q: %+v", s, r)
			}
		}
		ParseTags(txt)
	})
}
