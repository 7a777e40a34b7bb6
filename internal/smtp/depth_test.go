package smtp

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// sized plays large for a ClientHello that does not fit into a packet, and
// small for any other.
func sized(large, small script) script {
	return func(s *peer) {
		hello := 0
		for hello == 0 {
			time.Sleep(time.Millisecond)
			s.raw.in.update(func() { hello = len(s.raw.in.data) })
		}
		if hello > onePacket {
			large(s)
			return
		}
		small(s)
	}
}

// word is brief, for observations that a Floor completes as well.
func word[T any](o audit.Obs[T]) string {
	if o.State == audit.NotTried && o.Why.Code == audit.NotAsked && o.Why.Text != "" {
		return "-"
	}
	return brief(o)
}

// TestLargeClientHello: a ClientHello of today's size that does not get
// through is met with a smaller one, and once more with a large one. Two that
// fail and one that does not are a negative, unless they only met silence.
func TestLargeClientHello(t *testing.T) {
	cert := leaf(t, nil, nil)
	done := func(s *peer) {
		s.tls(serve(cert))
		s.answer(ehlo, "250 mx.example.org")
		s.bye()
	}
	box := func(large script) script { return inTLS(sized(large, done)) }
	fails := func(how script) script { return inTLS(clientHello(how)) }
	handshakeFailure := func(s *peer) { s.send("\x15\x03\x03\x00\x02\x02\x28"); drain(s) }
	good := inTLS(done)
	for _, tt := range []struct {
		name    string
		scripts []any
		large   string
		group   string
		ends    string
	}{
		{"gets through", []any{good}, "S", "X25519MLKEM768", "Q"},
		{"reset", []any{box(reset)}, "!broken", "X25519", "-Q-"},
		{"closed", []any{box(closes)}, "!broken", "X25519", "-Q-"},
		{"alert", []any{box(rawAlert)}, "!broken", "X25519", "-Q-"},
		{"the alert that there is nothing in common", []any{box(handshakeFailure)}, "!broken", "X25519", "-Q-"},
		{"reset, then closed", []any{fails(reset), good, fails(closes)}, "!broken", "X25519", "-Q-"},
		{"reset once", []any{fails(reset), good}, "disagree", "X25519MLKEM768", "-QQ"},
		{"silence", []any{box(silence)}, "tls-stall", "X25519", "-Q"},
		{"reset, then silence", []any{fails(reset), good, fails(silence)}, "seen-once", "X25519", "-Q-"},
		{"reset, then turned away", []any{fails(reset), good, greets("421 busy")}, "seen-once", "X25519", "-QQ"},
		{"reset, then budget", []any{fails(reset), good, dial.ErrBudget}, "seen-once", "X25519", "-Q"},
		{"never any TLS", []any{fails(reset)}, "n", "", "--"},
		{"TLS is not known", []any{fails(silence)}, "not-learned", "", "--"},
		{"met in full the second time", []any{script(plainOnly), good}, "S", "X25519MLKEM768", "QQ"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: tt.scripts}
				p := New(Config{Dialer: w, HELO: testHELO})
				start := time.Now()
				e, sessions := p.Probe(t.Context(), testTarget())
				if got := brief(e.LargeHello); got != tt.large || e.TLS.Value.Group != tt.group {
					t.Errorf("%s (%s), group %s; want %s, %s", got, e.LargeHello.Why.Text, e.TLS.Value.Group, tt.large, tt.group)
				}
				if ends := w.check(p); ends != tt.ends {
					t.Errorf("ended %q, want %q", ends, tt.ends)
				}
				const remarked = "*: the first handshake offered post-quantum groups"
				if small := len(sessions) > 1 && strings.Contains(transcriptText(sessions[1]), remarked); small != (tt.group == "X25519" || tt.large == "disagree") {
					t.Errorf("a remark on the groups: %t", small)
				}
				if limit := 2*DefaultHandshake + 2*DefaultConfirmAfter + time.Second; time.Since(start) > limit {
					t.Errorf("took %s, want at most %s", time.Since(start), limit)
				}
			})
		})
	}
}

// TestSteadyOffer: what connections are told of STARTTLS is compared; that
// they differ is seen by two positive observations, and no negative of the
// server.
func TestSteadyOffer(t *testing.T) {
	good := complete(leaf(t, nil, nil))
	declines := afterEHLO(func(s *peer) { s.answer("STARTTLS", "502 no"); s.bye() })
	later := afterEHLO(func(s *peer) { s.answer("STARTTLS", "454 later"); s.bye() })
	for _, tt := range []struct {
		name    string
		scripts []any
		want    string // after Probe
		floor   string // after Floor
	}{
		{"offered", []any{good}, "-", "S"},
		{"offered at first", []any{good, script(plainOnly)}, "-", "!varies"},
		{"offered, then declined", []any{good, declines}, "-", "!varies"},
		{"offered, then put off", []any{good, later}, "-", "temporary"},
		{"offered, then turned away", []any{good, greets("421 busy")}, "-", "temporary"},
		{"offered, then refused", []any{good, afterEHLO(func(s *peer) { s.answer("STARTTLS", "554 5.7.1 not you"); s.bye() })}, "-", "refused-us"},
		{"offered, then hung up on", []any{good, afterEHLO(func(s *peer) { s.want("STARTTLS") })}, "-", "closed"},
		{"not offered at first", []any{script(plainOnly), good}, "!varies", "!varies"},
		{"declined at first", []any{declines, good}, "!varies", "!varies"},
		{"put off at first", []any{later, good}, "-", "S"},
		{"broken once", []any{inTLS(clientHello(reset)), good}, "S", "S"},
		{"broken once, then not offered", []any{inTLS(clientHello(reset)), good, good, script(plainOnly)}, "S", "!varies"},
		{"never offered", []any{script(plainOnly)}, "n", ""},
		{"always declined", []any{declines}, "n", ""},
		{"broken twice", []any{inTLS(closes)}, "S", ""},
		{"put off twice", []any{later}, "not-learned", ""},
		{"not offered, then turned away", []any{script(plainOnly), greets("421 busy")}, "not-learned", ""},
		{"no connection", []any{refused()}, "n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: tt.scripts}
				p := New(Config{Dialer: w, HELO: testHELO})
				e, sessions := p.Probe(t.Context(), testTarget())
				if got := word(e.StartTLSSteady); got != tt.want {
					t.Errorf("after Probe %s (%s), want %s", got, e.StartTLSSteady.Why.Text, tt.want)
				}
				if tt.floor != "" {
					f, _ := p.Floor(t.Context(), testTarget(), len(sessions)+1)
					e = f.Onto(e)
					if got := word(e.StartTLSSteady); got != tt.floor {
						t.Errorf("after Floor %s (%s), want %s", got, e.StartTLSSteady.Why.Text, tt.floor)
					}
				}
				w.check(p)
			})
		})
	}
}

// TestFloor: old versions are accepted, refused by the alert for it, refused
// in other ways twice, or not known.
func TestFloor(t *testing.T) {
	cert := leaf(t, nil, nil)
	serves := func(min, max uint16) *tls.Config {
		c := serve(cert)
		c.MinVersion, c.MaxVersion = min, max
		return c
	}
	over := func(c *tls.Config) script { return inTLS(func(s *peer) { s.tls(c); s.bye() }) }
	answers := func(how script) script { return inTLS(clientHello(how)) }
	alert := func(code string) script {
		return answers(func(s *peer) { s.send("\x15\x03\x01\x00\x02\x02" + code); drain(s) })
	}
	for _, tt := range []struct {
		name    string
		scripts []any
		want    string
		value   string
		ends    string
	}{
		{"1.1", []any{over(serves(tls.VersionTLS10, 0))}, "S", "TLS 1.1 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "Q"},
		{"1.0", []any{over(serves(tls.VersionTLS10, tls.VersionTLS10))}, "S", "TLS 1.0 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "Q"},
		{"refused by a real server", []any{over(serves(tls.VersionTLS12, 0))}, "!version-refused", "", "-"},
		{"refused by alert", []any{alert("\x46")}, "!version-refused", "", "-"},
		{"reset, as some systems say no", []any{answers(reset)}, "!version-refused", "", "--"},
		{"closed", []any{answers(closes)}, "!version-refused", "", "--"},
		{"reset, then closed", []any{answers(reset), answers(closes)}, "!version-refused", "", "--"},
		{"reset, then alert", []any{answers(reset), alert("\x46")}, "!version-refused", "", "--"},
		{"reset once, then accepted", []any{answers(reset), over(serves(tls.VersionTLS10, 0))}, "S", "TLS 1.1 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "-Q"},
		{"reset, then silence", []any{answers(reset), answers(silence)}, "seen-once", "", "--"},
		{"reset, then turned away", []any{answers(reset), greets("421 busy")}, "seen-once", "", "-Q"},
		{"silence", []any{answers(silence)}, "tls-stall", "", "-"},
		{"no cipher in common", []any{alert("\x28")}, "tls-protocol", "", "-"},
		{"turned away", []any{greets("421 busy")}, "temporary", "", "Q"},
		{"refused us", []any{greets("554 go away")}, "refused-us", "", "Q"},
		{"no connection any more", []any{refused()}, "disagree", "", ""},
		{"not offered any more", []any{script(plainOnly)}, "disagree", "", "Q"},
		{"budget", []any{dial.ErrBudget}, "budget", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: tt.scripts}
				p := New(Config{Dialer: w, HELO: testHELO})
				f, sessions := p.Floor(t.Context(), testTarget(), 2)
				if got := brief(f.Old); got != tt.want {
					t.Errorf("%s (%s), want %s", got, f.Old.Why.Text, tt.want)
				}
				if got := strings.TrimSpace(f.Old.Value.Version + " " + f.Old.Value.Cipher); got != tt.value {
					t.Errorf("saw %q, want %q", got, tt.value)
				}
				if ends := w.check(p); ends != tt.ends {
					t.Errorf("ended %q, want %q", ends, tt.ends)
				}
				for i, s := range sessions {
					if s.N != 2+i || s.Purpose != audit.PurposeOldTLS {
						t.Errorf("session %d has number %d, purpose %q", i, s.N, s.Purpose)
					}
				}
			})
		})
	}
}

// TestFloorInTLSMode: where TLS comes first, hanging up without a word is an
// answer like any other, and nothing is said before the greeting.
func TestFloorInTLSMode(t *testing.T) {
	cert := leaf(t, nil, nil)
	old := serve(cert)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for _, tt := range []struct {
		name    string
		scripts []any
		want    string
		ends    string
	}{
		{"accepted", []any{script(func(s *peer) { s.tls(old); s.greet("220 mx"); s.bye() })}, "S", "Q"},
		{"accepted, then silent", []any{script(func(s *peer) { s.tls(old); drain(s) })}, "S", "-"},
		{"refused", []any{clientHello(func(s *peer) { s.send("\x15\x03\x01\x00\x02\x02\x46"); drain(s) })}, "!version-refused", "-"},
		{"closed without a word", []any{clientHello(closes)}, "!version-refused", "--"},
		{"reset without a word", []any{clientHello(reset)}, "!version-refused", "--"},
		{"turned away in clear", []any{greetsAnyway("421 busy\r\n")}, "temporary", "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: tt.scripts}
				p := New(Config{Dialer: w, HELO: testHELO})
				f, _ := p.Floor(t.Context(), testTarget().in(audit.ModeTLS), 2)
				if got := brief(f.Old); got != tt.want || brief(f.Steady) != "n" {
					t.Errorf("%s (%s), steady %s; want %s", got, f.Old.Why.Text, brief(f.Steady), tt.want)
				}
				if ends := w.check(p); ends != tt.ends {
					t.Errorf("ended %q, want %q", ends, tt.ends)
				}
			})
		})
	}
}

// TestFloorCutOff: when ctx ends, a Floor says so, and a refusal that was seen
// once stays unknown.
func TestFloorCutOff(t *testing.T) {
	for after, want := range map[time.Duration]string{time.Second: "seen-once", 0: "interrupted"} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, scripts: []any{inTLS(clientHello(reset))}}
			p := New(Config{Dialer: w, HELO: testHELO})
			ctx, cancel := context.WithTimeoutCause(t.Context(), after, context.Canceled)
			defer cancel()
			f, _ := p.Floor(ctx, testTarget(), 2)
			if got := brief(f.Old); got != want {
				t.Errorf("after %s: %s, want %s", after, got, want)
			}
			w.check(p)
		})
	}
}

// TestFloorOnto: the result of a Floor fits every name of its address.
func TestFloorOnto(t *testing.T) {
	f := Floor{
		Old:    audit.None[audit.OldTLS](audit.OldRefused, "TLS 1.1 and 1.0 are refused", "something"),
		Steady: audit.None[audit.Nothing](audit.Varies, varies, "something"),
	}
	e := audit.Endpoint{Host: "other.example.org", Addr: testTarget().Addr, Port: 25, StartTLSSteady: audit.NA[audit.Nothing]("not here")}
	got := f.Onto(e)
	if want := "openssl s_client -starttls smtp -connect 192.0.2.25:25 -servername other.example.org -tls1_1 -cipher ALL:@SECLEVEL=0"; got.OldTLS.Via != want || got.OldTLS.State != audit.Absent {
		t.Errorf("%+v, want via %s", got.OldTLS, want)
	}
	if got.StartTLSSteady != e.StartTLSSteady {
		t.Errorf("what did not apply is %+v now", got.StartTLSSteady)
	}
}

// TestSessionFacts: tickets, the extended master secret, stapled responses and
// timestamps are facts of a handshake.
func TestSessionFacts(t *testing.T) {
	stapled := leaf(t, nil, nil)
	stapled.OCSPStaple, stapled.SignedCertificateTimestamps = []byte("response"), [][]byte{[]byte("timestamp")}
	noTickets := serve(leaf(t, nil, nil))
	noTickets.SessionTicketsDisabled = true
	old := serve(leaf(t, nil, nil))
	old.MaxVersion = tls.VersionTLS12
	for _, tt := range []struct {
		name   string
		config *tls.Config
		want   string // tickets, master secret, staple, timestamps
	}{
		{"TLS 1.3", serve(leaf(t, nil, nil)), "S n !not-offered !not-offered"},
		{"TLS 1.2", old, "S S !not-offered !not-offered"},
		{"no tickets", noTickets, "!not-offered n !not-offered !not-offered"},
		{"sent along", serve(stapled), "S n S S"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{overTLS(tt.config)}}
				p := New(Config{Dialer: w, HELO: testHELO})
				e, _ := p.Probe(t.Context(), testTarget())
				s := e.TLS.Value
				got := strings.Join([]string{brief(s.Tickets), brief(s.MasterSecret), brief(s.Stapled), brief(s.SCTs)}, " ")
				if got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				w.check(p)
			})
		})
	}
}

// TestOffers: what each ClientHello offers, as the server reads it.
func TestOffers(t *testing.T) {
	cert := leaf(t, nil, nil)
	for o, check := range map[offer]func(h *tls.ClientHelloInfo) bool{
		offerAll: func(h *tls.ClientHelloInfo) bool {
			return slices.Contains(h.SupportedCurves, tls.X25519MLKEM768) && slices.Contains(h.SupportedVersions, tls.VersionTLS10)
		},
		offerClassic: func(h *tls.ClientHelloInfo) bool {
			return !slices.Contains(h.SupportedCurves, tls.X25519MLKEM768) && slices.Contains(h.SupportedVersions, tls.VersionTLS13)
		},
		offerOld: func(h *tls.ClientHelloInfo) bool { return slices.Max(h.SupportedVersions) == tls.VersionTLS11 },
	} {
		synctest.Test(t, func(t *testing.T) {
			var seen *tls.ClientHelloInfo
			config := &tls.Config{MinVersion: tls.VersionTLS10, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { seen = h; return &cert, nil }}
			w := &world{t: t, scripts: []any{overTLS(config)}}
			p := New(Config{Dialer: w, HELO: testHELO})
			p.look(t.Context(), testTarget(), 1, acts(testTarget()), o)
			w.check(p)
			if seen == nil || !check(seen) || len(seen.CipherSuites) < 10 {
				t.Errorf("offer %d: %+v", o, seen)
			}
		})
	}
}

// TestHostileChain: of a chain without measure ten certificates are kept, by
// whichever connection it comes.
func TestHostileChain(t *testing.T) {
	cert := leaf(t, nil, nil)
	other := authority(t, "Other", nil, nil)
	for range 60 {
		cert.Certificate = append(cert.Certificate, other.cert.Raw)
	}
	config := serve(cert)
	config.MinVersion = tls.VersionTLS10
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{overTLS(config), inTLS(func(s *peer) { s.tls(config); s.bye() })}}
		p := New(Config{Dialer: w, HELO: testHELO})
		e, _ := p.Probe(t.Context(), testTarget())
		if s := e.TLS.Value; len(s.Chain) != audit.MaxChain || s.ChainLen != 61 {
			t.Errorf("%d certificates kept of %d", len(s.Chain), s.ChainLen)
		}
		f, _ := p.Floor(t.Context(), testTarget(), 2)
		if f.Old.State != audit.Seen {
			t.Errorf("old versions: %+v", f.Old)
		}
		w.check(p)
	})
}

// TestHostileFloor: a server that stalls in the second handshake, or sends a
// message of 16 MiB there, costs what is stated: one handshake's time, and
// little memory.
func TestHostileFloor(t *testing.T) {
	huge := func(s *peer) {
		record := append([]byte{0x16, 3, 1, 0x40, 0, 2, 0xff, 0xff, 0xff}, make([]byte, 0x4000-4)...)
		for range 1025 {
			_, err := s.raw.Write(record)
			if err != nil {
				return
			}
			record = append([]byte{0x16, 3, 1, 0x40, 0}, make([]byte, 0x4000)...)
		}
	}
	begins := func(s *peer) { s.send("\x16\x03\x01\x00\x7a\x02\x00"); drain(s) }
	drips := func(s *peer) {
		for range 100 {
			s.send("\x16")
			time.Sleep(time.Second)
		}
	}
	for _, tt := range []struct {
		name  string
		play  script
		want  string
		most  time.Duration
		times int
	}{
		{"stalls", silence, "tls-stall", DefaultHandshake, 1},
		{"stalls in the middle", begins, "tls-stall", DefaultHandshake, 1},
		{"a byte a second", drips, "!version-refused", 2*DefaultHandshake + DefaultConfirmAfter, 2},
		{"16 MiB", huge, "!version-refused", 2*DefaultHandshake + DefaultConfirmAfter, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{inTLS(clientHello(tt.play))}}
				p := New(Config{Dialer: w, HELO: testHELO})
				start := time.Now()
				f, sessions := p.Floor(t.Context(), testTarget(), 2)
				if got := brief(f.Old); got != tt.want || len(sessions) != tt.times {
					t.Errorf("%s (%s) after %d connections, want %s after %d", got, f.Old.Why.Text, len(sessions), tt.want, tt.times)
				}
				if took := time.Since(start); took > tt.most+time.Second {
					t.Errorf("took %s, want at most %s", took, tt.most)
				}
				for i, s := range w.opened {
					if n := s.raw.out.written; n > 256<<10 {
						t.Errorf("connection %d: the server could send %d octets", i+1, n)
					}
				}
				w.check(p)
			})
		})
	}
}
