package smtp

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"testing/synctest"

	"mailaudit/internal/audit"
)

// FuzzConversation: whatever a server says, and when, a probe ends, says
// nothing but its five commands, leaves no connection open, and has a sound
// observation of every step. A form feed in the text is where the server waits
// for a line; "!tls" behind it is a handshake.
func FuzzConversation(f *testing.F) {
	for _, seed := range []string{
		"220 mx\r\n\f250-mx\r\n250 STARTTLS\r\n\f220 go\r\n\f!tls\f250 mx\r\n\f221 bye\r\n", "220 mx\r\n\f250 mx\r\n\f221 bye\r\n", "554 no\r\n\f221 bye\r\n",
		"220 mx\r\n\f502 what\r\n\f250 mx\r\n\f221 bye\r\n", "220-a\r\n421 b\r\n", "521 no\r\n", "\x15\x03\x01\x00\x02\x02\x46", "220 a\n250 b\n\f", "!tls220 mx\r\n\f250 mx\r\n\f221 bye\r\n",
		"220 mx\r\n\f250-mx\r\n250 STARTTLS\r\n\f220 go\r\n\x16\x03\x03\x00\x02\x02\x00", "220 mx\r\n\f250-mx\r\n250 STARTTLS\r\n\f454 later\r\n\f221\r\n",
	} {
		for mode := range byte(3) {
			f.Add(seed, mode)
		}
	}
	cert := leaf(f, nil, nil)
	modes := []audit.Mode{audit.ModeSTARTTLS, audit.ModePlain, audit.ModeTLS}
	f.Fuzz(func(t *testing.T, text string, mode byte) {
		synctest.Test(t, func(t *testing.T) {
			play := script(func(s *peer) {
				for i, part := range strings.Split(text, "\f") {
					rest, secure := strings.CutPrefix(part, "!tls")
					if i > 0 && !secure {
						hearNoTLS(s)
					}
					if secure && s.conn == s.raw {
						s.tls(serve(cert))
					}
					s.send(rest)
				}
			})
			w := &world{t: t, scripts: []any{play}}
			p := New(Config{Dialer: w, HELO: testHELO})
			e, sessions := p.Probe(t.Context(), testTarget().in(modes[int(mode)%len(modes)]))
			w.check(p)
			if strings.Contains(summary(e), "BAD") || e.Connect.State != audit.Seen {
				t.Errorf("%s", summary(e))
			}
			if e.TLS.State == audit.Seen && !strings.Contains(text, "!tls") {
				t.Error("TLS came up out of nothing")
			}
			for _, s := range w.opened {
				if s.raw.in.written > 0 && e.Greeting.State != audit.Seen && e.Mode != audit.ModeTLS {
					t.Error("something was said before a greeting")
				}
			}
			if n := len(sessions); n == 0 || n > 2 {
				t.Errorf("%d sessions", n)
			}
			for _, s := range sessions {
				if s.Outcome == "" {
					t.Error("a session without an outcome")
				}
			}
		})
	})
}

// hearNoTLS hears a line, unless it is a ClientHello that comes: then the
// server waits for the end.
func hearNoTLS(s *peer) {
	b := make([]byte, 1)
	_, err := s.conn.Read(b)
	switch {
	case err != nil:
		panic(hangUp{})
	case s.conn == s.raw && b[0] == 0x16:
		drain(s)
	}
	s.dangling += string(b)
	s.hear()
}

// FuzzCertificate: whatever a certificate holds that can be parsed, what is
// kept of it has its limits, and the questions about it have sound answers.
func FuzzCertificate(f *testing.F) {
	root := authority(f, "Root", nil, nil)
	for _, edit := range []func(*x509.Certificate){nil, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = strings.Repeat("x", 600), nil
	}} {
		f.Add(leaf(f, root, edit).Certificate[0], "mx.example.org")
	}
	f.Add(root.cert.Raw, "[ipv6:2001:db8::25]")
	p := New(Config{HELO: testHELO, Roots: pool(root)})
	f.Fuzz(func(t *testing.T, der []byte, host string) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		got := p.facts(tls.ConnectionState{PeerCertificates: []*x509.Certificate{c, root.cert}}, audit.NewDNSName(host), epoch())
		kept := got.Chain[0]
		if len(kept.Subject) > maxDN || len(kept.Issuer) > maxDN || len(kept.Names) > min(audit.MaxNames, kept.NameCount) {
			t.Errorf("limits: %+v", kept)
		}
		if strings.HasPrefix(brief(got.Trust), "BAD") || strings.HasPrefix(brief(got.NameMatch), "BAD") {
			t.Errorf("trust %s, name %s", brief(got.Trust), brief(got.NameMatch))
		}
		if kept.KeyType == "" || kept.Signature == "" || kept.KeyBits < 0 {
			t.Errorf("key %+v", kept)
		}
	})
}
