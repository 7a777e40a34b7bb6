package smtp

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"mailaudit/internal/audit"
)

// Ensure MAIL is tried once, before STARTTLS, only where that is wanted, and
// that it costs the rest of the observations nothing.
func TestTryMail(t *testing.T) {
	answers := func(reply string, then script) script {
		return func(s *peer) {
			s.greet("220 mx.example.org ESMTP")
			s.answer(ehlo, "250-mx.example.org", "250 STARTTLS")
			s.answer("MAIL FROM:<>", reply)
			then(s)
		}
	}
	for _, c := range []struct {
		name    string
		scripts func(then script, whole script) []any
		plain   bool // without STARTTLS
		mail    string
		want    string
		ends    string
	}{
		{name: "accepted and taken back", scripts: func(then, _ script) []any {
			return []any{answers("250 2.1.0 Ok", func(s *peer) { s.answer("RSET", "250 Ok"); then(s) })}
		}, mail: "S", want: "S S S n S S S", ends: "Q"},
		{name: "refused", scripts: func(then, _ script) []any { return []any{answers("530 5.7.0 STARTTLS first", then)} },
			mail: "!declined", want: "S S S n S S S", ends: "Q"},
		{name: "refused for another reason", scripts: func(then, _ script) []any { return []any{answers("550 5.7.1 no", then)} },
			mail: "refused-us", want: "S S S n S S S", ends: "Q"},
		{name: "not now", scripts: func(then, _ script) []any { return []any{answers("451 4.7.1 later", then)} },
			mail: "temporary", want: "S S S n S S S", ends: "Q"},
		{name: "a code that does not belong to it", scripts: func(then, _ script) []any { return []any{answers("354 go ahead", script(mute))} },
			mail: "out-of-step", want: "S S S n S not-learned not-learned", ends: "-"},
		{name: "the server has had enough: it is not asked again", scripts: func(_, whole script) []any {
			return []any{answers("421 4.7.0 too many errors", script(closes)), whole}
		}, mail: "temporary", want: "S S S n S not-learned not-learned", ends: "-"},
		{name: "the server hangs up, and is whole without MAIL", scripts: func(_, whole script) []any {
			return []any{script(func(s *peer) {
				s.greet("220 mx.example.org ESMTP")
				s.answer(ehlo, "250-mx.example.org", "250 STARTTLS")
				s.want("MAIL FROM:<>")
			}), whole}
		}, mail: "closed", want: "S S S n S S S", ends: "-Q"},
		{name: "the server resets", scripts: func(_, whole script) []any {
			return []any{script(func(s *peer) {
				s.greet("220 mx.example.org ESMTP")
				s.answer(ehlo, "250-mx.example.org", "250 STARTTLS")
				s.want("MAIL FROM:<>")
				s.raw.reset()
			}), whole}
		}, mail: "reset", want: "S S S n S S S", ends: "-Q"},
		{name: "the first connection ends before it, and MAIL is not tried again", scripts: func(_, whole script) []any {
			return []any{script(func(s *peer) {
				s.greet("220 mx.example.org ESMTP")
				s.want(ehlo)
				s.raw.reset()
			}), whole}
		}, mail: "not-learned", want: "S S S n S S S", ends: "-Q"},
		{name: "there is no STARTTLS to come before", scripts: func(_, _ script) []any { return []any{script(plainOnly)} },
			mail: "n", want: "S S S n !not-offered n n", ends: "QQ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := authority(t, "root", nil, nil)
				cert := leaf(t, root, nil)
				then := script(func(s *peer) {
					s.answer("STARTTLS", "220 go ahead")
					s.tls(serve(cert))
					s.answer(ehlo, "250 mx.example.org")
					s.bye()
				})
				w := &world{t: t, scripts: c.scripts(then, complete(cert)), may: []string{"MAIL FROM:<>", "RSET"}}
				p := New(Config{Dialer: w, HELO: testHELO, Roots: pool(root)})
				target := testTarget()
				target.Port, target.TryMail = 587, true
				e, sessions := p.Probe(t.Context(), target)
				ends := w.check(p)
				if brief(e.Mail) != c.mail || summary(e) != c.want || ends != c.ends {
					t.Errorf("MAIL %s, rest %s, ends %s; %d sessions: %s", brief(e.Mail), summary(e), ends, len(sessions), transcriptText(sessions[0]))
				}
			})
		})
	}
}

// Ensure MAIL is no step of anybody who did not ask for it, and is not asked
// in the other modes.
func TestNoMail(t *testing.T) {
	for _, mode := range []audit.Mode{"", audit.ModeSTARTTLS, audit.ModePlain, audit.ModeTLS} {
		for _, wanted := range []bool{false, true} {
			has := place(acts(Target{Mode: mode, TryMail: wanted}), stepMail) >= 0
			if has != (wanted && (mode == "" || mode == audit.ModeSTARTTLS)) {
				t.Errorf("mode %q, wanted %t: %t", mode, wanted, has)
			}
		}
	}
	if e := Unobserved(testTarget(), audit.Reason{Code: audit.Deadline, Text: "over"}); e.Mail.State != audit.NotTried || e.Mail.Why.Code != "" {
		t.Errorf("%+v", e.Mail)
	}
}

func TestSeenAs(t *testing.T) {
	server := netip.MustParseAddr("192.0.2.25")
	for line, want := range map[string]string{
		"mx Hello probe.example.net [203.0.113.9]":                      "203.0.113.9",
		"mx Hello probe.example.net [203.0.113.9], pleased to meet you": "203.0.113.9",
		"mx.example.org at your service, [203.0.113.9]":                 "203.0.113.9",
		"mx Hello [IPv6:2001:db8::9]":                                   "2001:db8::9",
		"mx Hello probe (203.0.113.9)":                                  "203.0.113.9",
		"mx Hello ::ffff:203.0.113.9":                                   "203.0.113.9",
		"mx [192.0.2.25] greets [203.0.113.9]":                          "203.0.113.9",
		"[203.0.113.9] is what I call myself":                           "",
		"mx.example.org":                                                "",
		"mx Hello [203.0.113.7]":                                        "", // the name that we gave
		"mx Hello [0.0.0.0]":                                            "",
		"mx Hello [fe80::1%eth0]":                                       "",
		"mx version 1.2.3":                                              "",
	} {
		got := seenAs(replyOf(line, "203.0.113.8"), "[203.0.113.7]", server)
		if got.IsValid() != (want != "") || want != "" && got.String() != want {
			t.Errorf("%q: %s", line, got)
		}
	}
}

// Ensure that where we are seen from is kept, and is not in the facts.
func TestSeenAsStaysOutOfFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{ehloAnswers("250-mx.example.org Hello probe.example.net [198.51.100.7]", "250 STARTTLS")}}
		p := New(Config{Dialer: w, HELO: testHELO})
		e, sessions := p.Probe(t.Context(), testTarget().in(audit.ModePlain))
		w.check(p)
		if e.Hello.Value.Text != "Hello <our name> [<our address>]" || sessions[0].SeenAs != netip.MustParseAddr("198.51.100.7") {
			t.Errorf("%q, seen as %s", e.Hello.Value.Text, sessions[0].SeenAs)
		}
	})
}

// Ensure the SRV names of a certificate are found among its other names, and
// that nothing else is taken for one.
func TestServiceNames(t *testing.T) {
	must := func(v any, params string) []byte {
		der, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	wrap := func(class, tag int, content ...byte) []byte {
		return must(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: content}, "")
	}
	other := func(id asn1.ObjectIdentifier, value []byte) []byte {
		return wrap(asn1.ClassContextSpecific, 0, append(must(id, ""), wrap(asn1.ClassContextSpecific, 0, value...)...)...)
	}
	srv, upn := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 7}, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	dns := must(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("mail.example.org")}, "")
	for name, c := range map[string]struct {
		names []byte
		want  []audit.Raw
	}{
		"none":       {dns, nil},
		"two":        {slices.Concat(other(srv, must("_submissions.example.org", "ia5")), dns, other(srv, must("_submission.example.org", "ia5"))), []audit.Raw{"_submission.example.org", "_submissions.example.org"}},
		"of a user":  {other(upn, must("user@example.org", "utf8")), nil},
		"no string":  {other(srv, must(7, "")), nil},
		"not IA5":    {other(srv, must("_submission.example.org", "utf8")), nil},
		"cut short":  {other(srv, []byte{0x16, 0x7f, 'x'}), nil},
		"hostile":    {other(srv, must("\x1b[2J", "ia5")), []audit.Raw{"\x1b[2J"}},
		"no content": {wrap(asn1.ClassContextSpecific, 0), nil},
	} {
		cert := &x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: must(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: c.names}, "")}}}
		if got := serviceNames(cert); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	many := &x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17},
		Value: must(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: slices.Repeat(other(srv, must("_x.example.org", "ia5")), 100)}, "")}}}
	if got := serviceNames(many); len(got) != audit.MaxNames {
		t.Errorf("%d names are kept", len(got))
	}
}

// FuzzServiceNames reads subjectAltName extensions that crypto/x509 need not
// have seen.
func FuzzServiceNames(f *testing.F) {
	f.Add([]byte{0x30, 0x00})
	f.Add([]byte{0x30, 0x06, 0xa0, 0x04, 0x06, 0x02, 0x2a, 0x03})
	f.Add([]byte{0x30, 0x03, 0x82, 0x01, 'x'})
	f.Fuzz(func(t *testing.T, ext []byte) {
		got := serviceNames(&x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: ext}}})
		if len(got) > audit.MaxNames {
			t.Errorf("%d names", len(got))
		}
		for _, n := range got {
			if len(n) > maxDN {
				t.Errorf("a name of %d octets", len(n))
			}
		}
	})
}
