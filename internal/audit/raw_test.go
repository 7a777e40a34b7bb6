package audit

import (
	"encoding/json"
	"net/netip"
	"testing"
)

func TestRaw(t *testing.T) {
	cases := []struct {
		raw  Raw
		text string
	}{
		{"220 mx ESMTP", "220 mx ESMTP"},
		{"a\\b", `a\\b`},
		{"\x1b[31m\x00\r\n", `\x1B[31m\x00\x0D\x0A`},
		{"\xff\xfe", `\xFF\xFE`},
		{"ü", `\xC3\xBC`},
		{"", ""},
	}
	for _, c := range cases {
		if c.raw.String() != c.text {
			t.Errorf("%q: got %s, want %s", string(c.raw), c.raw, c.text)
		}
		back, err := ParseRaw(c.text)
		if err != nil || back != c.raw {
			t.Errorf("%s: got %q, %v", c.text, string(back), err)
		}
	}
	for _, bad := range []string{`\`, `\x`, `\x1`, `\xZZ`, `\q`, "\x1b", "ü"} {
		if got, err := ParseRaw(bad); err == nil {
			t.Errorf("%q was read as %q", bad, string(got))
		}
	}
}

func FuzzRaw(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\xff\\x41")
	f.Fuzz(func(t *testing.T, s string) {
		data, err := json.Marshal(Raw(s))
		if err != nil {
			t.Fatal(err)
		}
		var back Raw
		err = json.Unmarshal(data, &back)
		if err != nil || string(back) != s {
			t.Errorf("%q came back as %q, %v", s, string(back), err)
		}
		for _, c := range []byte(Raw(s).String()) {
			if c < 0x20 || c > 0x7e {
				t.Errorf("%q is not printable: 0x%02x", s, c)
			}
		}
	})
}

func TestStabilizer(t *testing.T) {
	s := NewStabilizer(netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::9"))
	cases := []struct{ in, want string }{
		{"mx.example.org ESMTP Postfix (Debian/GNU)", "mx.example.org ESMTP Postfix (Debian/GNU)"},
		{"mx.example.org ESMTP Exim 4.96 Mon, 23 Nov 2026 12:00:00 +0000", "mx.example.org ESMTP Exim 4.96 <date>"},
		{"mx.example.org ESMTP Sendmail 8.17.1/8.17.1; Mon, 23 Nov 2026 12:00:00 GMT", "mx.example.org ESMTP Sendmail 8.17.1/8.17.1; <date>"},
		{"mx.example.org ESMTP Mon, 23 Nov 2026 12:00:00 +0100 (CET)", "mx.example.org ESMTP <date>"},
		{"A.outlook.com Microsoft ESMTP MAIL Service ready at Mon, 23 Nov 2026 12:00:00 +0000 [08DE1A2B3C4D5E6F]", "A.outlook.com Microsoft ESMTP MAIL Service ready at <date> [<id>]"},
		{"mx.google.com ESMTP a640c23a62f3a-a9e2b1c3d4esi1234567.89 - gsmtp", "mx.google.com ESMTP <id> - gsmtp"},
		{"at your service, [203.0.113.9]", "at your service, [<our address>]"},
		{"Hello probe [IPv6:2001:db8::9], pleased", "Hello probe [IPv6:<our address>], pleased"},
		{"not ours: 203.0.113.99 and 1203.0.113.9", "not ours: 203.0.113.99 and 1203.0.113.9"},
		{"mail ready 2026-11-23T12:00:00Z", "mail ready <date>"},
		{"ready at 12:00:01", "ready at <time>"},
		{"Mon Nov 23 12:00:00 2026", "<date>"},
		{"mx01-ab12cd34ef.example.net ESMTP", "mx01-ab12cd34ef.example.net ESMTP"},
		{"SIZE 52428800", "SIZE 52428800"},
		{"", ""},
	}
	for _, c := range cases {
		if got := s.Text(Raw(c.in)); string(got) != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func FuzzStabilizer(f *testing.F) {
	s := NewStabilizer(netip.MustParseAddr("203.0.113.9"))
	f.Add("220 mx Mon, 23 Nov 2026 12:00:00 +0000")
	f.Fuzz(func(t *testing.T, text string) {
		once := s.Text(Raw(text))
		if len(text) < 1000 && len(once) > 20*len(text)+20 {
			t.Errorf("%q grew to %d bytes", text, len(once))
		}
	})
}
