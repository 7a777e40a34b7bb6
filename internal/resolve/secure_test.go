package resolve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

const (
	dot53 = "tls://192.0.2.53#dns.example.net"
	doh53 = "https://192.0.2.53/dns-query#dns.example.net"
)

// eachSecure runs a test for both encrypted transports, each in a bubble.
// start makes a server of the transport with this behaviour.
func eachSecure(t *testing.T, test func(t *testing.T, e *secureEnd)) {
	for _, url := range []string{dot53, doh53} {
		scheme, _, _ := strings.Cut(url, ":")
		t.Run(scheme, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, &secureEnd{url: url, scheme: scheme, f: newFakeNet(map[string]behaviour{}), ca: newIssuer(t)})
			})
		})
	}
}

// secureEnd is a server of one encrypted transport, and a client of it.
type secureEnd struct {
	url, scheme string
	f           *fakeNet
	ca          *issuer
}

func (e *secureEnd) addr() string {
	if e.scheme == "tls" {
		return "192.0.2.53:853"
	}
	return "192.0.2.53:443"
}

// serve starts the server with this configuration, nil for the usual one.
func (e *secureEnd) serve(t *testing.T, cfg *tls.Config, b behaviour) {
	if cfg == nil {
		cfg = e.ca.config(t, nil)
	}
	if e.scheme == "tls" {
		e.f.streams[e.addr()] = dot(e.f, cfg, b)
		return
	}
	e.f.streams[e.addr()] = web(t, cfg, doh(e.f, b))
}

func (e *secureEnd) client(t *testing.T, edit func(*Config), more ...string) *Client {
	return client(t, e.f, func(cfg *Config) {
		cfg.Roots = e.ca.pool()
		if edit != nil {
			edit(cfg)
		}
	}, append([]string{e.url}, more...)...)
}

// tries are n tries with this outcome.
func (e *secureEnd) tries(outcome string, n int) string {
	return times(e.url+" "+e.scheme+" "+outcome, n)
}

// lacks checks an answer that came to nothing.
func lacks(t *testing.T, a *Answer, code audit.Code, text, want string) {
	t.Helper()
	if a.State != audit.Unknown || a.Why.Code != code || a.Why.Text != text {
		t.Errorf("answer %q %q %q,\nwant unknown %q %q", a.State, a.Why.Code, a.Why.Text, code, text)
	}
	if got := tries(a.Tries); got != want {
		t.Errorf("tries %q,\nwant  %q", got, want)
	}
}

func TestSecureAnswers(t *testing.T) {
	const circle = "the aliases of example.org go round in a circle or are more than ten"
	type row struct {
		name  string
		b     behaviour
		state audit.State
		code  audit.Code
		text  string // $ is the server
		rcode string
		tries []string // outcomes
		took  time.Duration
	}
	pauses := 1300 * time.Millisecond
	thrice := func(s string) []string { return []string{s, s, s} }
	for _, tt := range []row{
		{name: "records", b: says(0, "ra", mx10), state: audit.Seen, rcode: "NOERROR", tries: []string{"NOERROR"}},
		{name: "NODATA", b: says(0, "ra", soa), state: audit.Absent, code: audit.NoData, text: "example.org has no MX record", rcode: "NOERROR", tries: []string{"NOERROR"}},
		{name: "NXDOMAIN", b: says(3, "ra", soa), state: audit.Absent, code: audit.NXDomain, text: "example.org does not exist", rcode: "NXDOMAIN", tries: []string{"NXDOMAIN"}},
		{name: "SERVFAIL", b: says(2, "ra"), state: audit.Unknown, code: audit.ServFail, text: "$ answered SERVFAIL", rcode: "SERVFAIL", tries: thrice("SERVFAIL"), took: pauses},
		{name: "a passing SERVFAIL", b: inTurn(says(2, "ra"), says(0, "ra", mx10)), state: audit.Seen, rcode: "NOERROR", tries: []string{"SERVFAIL", "NOERROR"}, took: 300 * time.Millisecond},
		{name: "without EDNS on FORMERR", b: inTurn(says(1, ""), says(0, "ra", mx10)), state: audit.Seen, rcode: "NOERROR", tries: []string{"FORMERR", "NOERROR"}},
		{name: "a header alone that says REFUSED", b: raw(func(q []byte) []byte { return []byte{q[0], q[1], 0x80, 5, 0, 0, 0, 0, 0, 0, 0, 0} }),
			state: audit.Unknown, code: audit.DNSRefused, text: "$ answered REFUSED", rcode: "REFUSED", tries: thrice("REFUSED"), took: pauses},
		{name: "referral", b: says(0, "", "ns org. 60 IN NS ns.org."), state: audit.Unknown, code: audit.DNSError,
			text: "$ neither recurses nor is authoritative (NOERROR without an answer)", rcode: "NOERROR", tries: thrice("NOERROR"), took: pauses},
		{name: "records of another name", b: says(0, "ra", "example.com. 300 IN MX 10 mx."), state: audit.Unknown, code: audit.Malformed,
			text: "$ gave an answer that does not parse or contradicts itself", rcode: "NOERROR", tries: thrice("malformed"), took: pauses},
		{name: "a circle", b: says(0, "ra", "example.org. 60 IN CNAME example.org."), state: audit.Unknown, code: audit.CNAMELoop, text: circle, rcode: "NOERROR", tries: []string{"cname-loop"}},
		{name: "truncated, and no other transport is tried", b: says(0, "ra tc", mx10), state: audit.Unknown, code: audit.Truncated,
			text: "$ cut its answer short, on a connection where it would have had room", tries: thrice("truncated")},
		{name: "silence", b: silent, state: audit.Unknown, code: audit.Timeout, text: "$ did not answer", tries: thrice("timeout"), took: 9 * time.Second},
		{name: "broken off", b: hangUp, state: audit.Unknown, code: audit.ResolverDown, text: "$ broke the connection off", tries: thrice("closed"), took: pauses},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, e *secureEnd) {
				e.serve(t, nil, tt.b)
				start := time.Now()
				a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
				if time.Since(start) != tt.took {
					t.Errorf("took %v, want %v", time.Since(start), tt.took)
				}
				text := strings.ReplaceAll(tt.text, "$", e.url)
				if a.State != tt.state || a.Why.Code != tt.code || a.Why.Text != text || a.RCode != tt.rcode {
					t.Errorf("answer %q %q %q %q,\nwant   %q %q %q %q", a.State, a.Why.Code, a.Why.Text, a.RCode, tt.state, tt.code, text, tt.rcode)
				}
				var want []string
				for _, outcome := range tt.tries {
					want = append(want, e.tries(outcome, 1))
				}
				if got := tries(a.Tries); got != strings.Join(want, ", ") {
					t.Errorf("tries %q, want %q", got, want)
				}
				if (a.State == audit.Seen) != (len(a.Records) == 1) {
					t.Errorf("records %v", a.Records)
				}
				if e.f.sockets() != 0 || len(e.f.order()) != 0 {
					t.Errorf("%d sockets of plain DNS, queries %q", e.f.sockets(), e.f.order())
				}
			})
		})
	}
}

// TestCertificates: each kind of bad certificate is told apart, no question is
// ever sent behind one, and there is no way around it.
func TestCertificates(t *testing.T) {
	names := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = names, nil }
	}
	for _, tt := range []struct {
		name     string
		nameless bool
		edit     func(*x509.Certificate)
		other    bool // another authority than the trusted one
		outcome  string
		did      string
	}{
		{name: "valid for the name"},
		{name: "valid for the name by wildcard", edit: names("*.example.net")},
		{name: "valid for the address", nameless: true},
		{name: "for another name", edit: names("dns.example.com"), outcome: "certificate-name", did: "showed a certificate that is not valid for dns.example.net"},
		{name: "for the address, not the name", edit: func(c *x509.Certificate) { c.DNSNames = nil }, outcome: "certificate-name", did: "showed a certificate that is not valid for dns.example.net"},
		{name: "for the name, not the address", nameless: true, edit: names("dns.example.net"), outcome: "certificate-name", did: "showed a certificate that is not valid for 192.0.2.53"},
		{name: "for another address", nameless: true, edit: func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 54)} },
			outcome: "certificate-name", did: "showed a certificate that is not valid for 192.0.2.53"},
		{name: "the address as a DNS name", nameless: true, edit: names("192.0.2.53"), outcome: "certificate-name", did: "showed a certificate that is not valid for 192.0.2.53"},
		{name: "the name as common name", edit: func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses, c.Subject.CommonName = nil, nil, "dns.example.net"
		},
			outcome: "certificate-name", did: "showed a certificate that is not valid for dns.example.net"},
		{name: "expired", edit: func(c *x509.Certificate) { c.NotAfter = date(1999) }, outcome: "certificate-date", did: "showed a certificate that is out of date"},
		{name: "not valid yet", edit: func(c *x509.Certificate) { c.NotBefore = date(2080) }, outcome: "certificate-date", did: "showed a certificate that is out of date"},
		{name: "of another authority", other: true, outcome: "certificate-root", did: "showed a certificate that leads to no trusted root"},
		{name: "for clients", edit: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
			outcome: "certificate", did: "showed a certificate that cannot be trusted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, e *secureEnd) {
				if tt.nameless {
					e.url, _, _ = strings.Cut(e.url, "#")
				}
				from := e.ca
				if tt.other {
					from = newIssuer(t)
				}
				e.serve(t, from.config(t, tt.edit), says(0, "ra", mx10))
				e.f.servers[a53] = says(0, "ra", mx10) // plain DNS would answer at once
				a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
				if tt.outcome == "" {
					if a.State != audit.Seen || tries(a.Tries) != e.tries("NOERROR", 1) {
						t.Errorf("answer %q %+v, tries %q", a.State, a.Why, tries(a.Tries))
					}
					return
				}
				lacks(t, a, audit.ResolverDown, e.url+" "+tt.did, e.tries(tt.outcome, 3))
				if e.f.count() != 0 || e.f.sockets() != 0 {
					t.Errorf("%d questions went out, %d sockets of plain DNS", e.f.count(), e.f.sockets())
				}
				if text := string(a.Tries[0].Text); !strings.Contains(text, "x509: ") || len(text) > maxDetail {
					t.Errorf("detail %q", text)
				}
			})
		})
	}
}

func TestHandshakes(t *testing.T) {
	talk := func(text string) stream {
		return func(conn net.Conn) {
			defer conn.Close()
			go conn.Write([]byte(text))
			conn.Read(make([]byte, 4096))
			time.Sleep(time.Second)
		}
	}
	for _, tt := range []struct {
		name    string
		start   func(t *testing.T, e *secureEnd)
		code    audit.Code
		outcome string
		did     string
		took    time.Duration
	}{
		{"nothing listens", func(t *testing.T, e *secureEnd) { e.f.refuse["tcp"] = syscall.ECONNREFUSED },
			audit.ResolverDown, "conn-refused", "refused the connection", 1300 * time.Millisecond},
		{"no route", func(t *testing.T, e *secureEnd) { e.f.refuse["tcp"] = syscall.ENETUNREACH },
			audit.ResolverDown, "no-route", "cannot be reached from here", 1300 * time.Millisecond},
		{"our firewall", func(t *testing.T, e *secureEnd) { e.f.refuse["tcp"] = syscall.EPERM },
			audit.LocalPolicy, "local-policy", "may not be contacted (a local firewall, for example)", 1300 * time.Millisecond},
		{"a network that swallows everything", func(t *testing.T, e *secureEnd) { e.f.refuse["tcp"] = errSwallowed },
			audit.Timeout, "timeout", "did not answer", 9 * time.Second},
		{"no sockets left", func(t *testing.T, e *secureEnd) { e.f.refuse["tcp"] = syscall.EMFILE },
			audit.LocalError, "local-error", "could not be asked because our own system failed", 1300 * time.Millisecond},
		{"not a word", func(t *testing.T, e *secureEnd) {
			e.f.streams[e.addr()] = func(conn net.Conn) {
				defer conn.Close()
				buf := make([]byte, 4096)
				for {
					_, err := conn.Read(buf)
					if err != nil {
						return
					}
				}
			}
		}, audit.Timeout, "timeout", "did not answer", 9 * time.Second},
		{"closed in the handshake", func(t *testing.T, e *secureEnd) {
			e.f.streams[e.addr()] = func(conn net.Conn) {
				conn.Read(make([]byte, 4096))
				conn.Close()
			}
		},
			audit.ResolverDown, "closed", "broke the connection off", 1300 * time.Millisecond},
		{"not TLS", func(t *testing.T, e *secureEnd) { e.f.streams[e.addr()] = talk("220 mail.example.net ESMTP\r\n") },
			audit.ResolverDown, "tls-protocol", "failed in the TLS handshake", 1300 * time.Millisecond},
		{"an old version", func(t *testing.T, e *secureEnd) {
			cfg := e.ca.config(t, nil)
			cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			e.serve(t, cfg, says(0, "ra", mx10))
		}, audit.ResolverDown, "tls-protocol", "failed in the TLS handshake", 1300 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, e *secureEnd) {
				tt.start(t, e)
				start := time.Now()
				a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
				lacks(t, a, tt.code, e.url+" "+tt.did, e.tries(tt.outcome, 3))
				if time.Since(start) != tt.took || e.f.streamed() != 3 || e.f.sockets() != 0 {
					t.Errorf("took %v, %d connections and %d sockets of plain DNS", time.Since(start), e.f.streamed(), e.f.sockets())
				}
			})
		})
	}
}

// TestAlertAfterTheHandshake: in TLS 1.3 a client learns only when reading that
// the server wanted a certificate of its own.
func TestAlertAfterTheHandshake(t *testing.T) {
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		cfg := e.ca.config(t, nil)
		cfg.ClientAuth = tls.RequireAnyClientCert
		e.serve(t, cfg, says(0, "ra", mx10))
		a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
		if a.State != audit.Unknown || a.Why.Code != audit.ResolverDown {
			t.Errorf("answer %q %+v", a.State, a.Why)
		}
		for _, try := range a.Tries {
			if try.Outcome != "tls-protocol" && try.Outcome != "http-protocol" {
				t.Errorf("try %+v", try)
			}
			if e.scheme == "tls" && !strings.Contains(string(try.Text), "certificate required") || try.Text == "" || strings.Contains(string(try.Text), "/dns-query") {
				t.Errorf("detail %q", try.Text)
			}
		}
	})
}

func TestBurstMeetsOneFailure(t *testing.T) {
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		e.serve(t, newIssuer(t).config(t, nil), silent)
		inner := e.f.streams[e.addr()]
		e.f.streams[e.addr()] = func(conn net.Conn) {
			time.Sleep(500 * time.Millisecond) // 64 of these, one after the other, would be 32 s
			inner(conn)
		}
		c := e.client(t, nil)
		var wg sync.WaitGroup
		for n := range 64 {
			wg.Go(func() {
				a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", n)), dns.TypeA)
				lacks(t, a, audit.ResolverDown, e.url+" showed a certificate that leads to no trusted root", e.tries("certificate-root", 3))
			})
		}
		wg.Wait()
		if e.f.streamed() != 3 {
			t.Errorf("%d connections, want one for each try", e.f.streamed())
		}
	})
}

func TestMixedServersTakeTurns(t *testing.T) {
	ok := says(0, "ra", mx10)
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		e.serve(t, newIssuer(t).config(t, nil), ok)
		e.f.servers[a53], e.f.servers[a54] = ok, says(2, "ra")
		c := e.client(t, nil, a54)
		a := c.Ask(t.Context(), "example.org", dns.TypeMX)
		bad, plain := e.tries("certificate-root", 1), "192.0.2.54 udp SERVFAIL"
		lacks(t, a, audit.ServFail, e.url+" showed a certificate that leads to no trusted root, 192.0.2.54 answered SERVFAIL", bad+", "+plain+", "+bad)
	})
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		e.serve(t, nil, says(2, "ra"))
		e.f.servers[a54] = ok
		a := e.client(t, nil, a54).Ask(t.Context(), "example.org", dns.TypeMX)
		if got := tries(a.Tries); a.State != audit.Seen || got != e.tries("SERVFAIL", 1)+", 192.0.2.54 udp NOERROR" {
			t.Errorf("answer %q, tries %q", a.State, got)
		}
	})
}

// TestOneConnectionForAll also has answers in the reverse order of questions.
func TestOneConnectionForAll(t *testing.T) {
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		e.serve(t, nil, func(r *received) {
			time.Sleep(time.Duration(1000-r.n) * time.Millisecond)
			q := r.msg.Question[0]
			says(0, "ra", q.Name+" 60 IN TXT "+q.Name)(r)
		})
		c := e.client(t, nil)
		ask := func() {
			var wg sync.WaitGroup
			for n := range 200 {
				wg.Go(func() {
					name := audit.DNSName(fmt.Sprintf("n%d", n))
					a := c.Ask(t.Context(), name, dns.TypeTXT)
					if a.State != audit.Seen || string(TXT(a.Records[0].(*dns.TXT))) != name.FQDN() {
						t.Errorf("%s: %+v", name, a)
					}
				})
			}
			wg.Wait()
		}
		ask()
		if e.f.streamed() != 1 || e.f.count() != 200 {
			t.Errorf("%d connections for %d questions, want 1 for 200", e.f.streamed(), e.f.count())
		}
		// Without questions it is closed, and with the next one there is another.
		time.Sleep(idleTime - time.Millisecond)
		synctest.Wait()
		if e.f.opened() != 1 {
			t.Errorf("%d connections open shortly before the idle time is over, want 1", e.f.opened())
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if e.f.opened() != 0 {
			t.Errorf("%d connections open after the idle time, want 0", e.f.opened())
		}
		a := c.Ask(t.Context(), "again", dns.TypeTXT)
		if a.State != audit.Seen || len(a.Tries) != 1 || e.f.streamed() != 2 {
			t.Errorf("afterwards: %q after %d tries, %d connections", a.State, len(a.Tries), e.f.streamed())
		}
	})
}

// TestServerClosesConnections: a connection that has served and is closed is
// replaced, which is no failure of the question that finds it closed.
func TestServerClosesConnections(t *testing.T) {
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		e.serve(t, nil, zone("example.org. 60 IN A 192.0.2.7"))
		inner := e.f.streams[e.addr()]
		e.f.strict = true
		var conns []net.Conn
		e.f.streams[e.addr()] = func(conn net.Conn) { conns = append(conns, conn); inner(conn) }
		c := e.client(t, nil)
		for n := range 5 {
			a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", n)), dns.TypeA)
			if a.Why.Code != audit.NXDomain || len(a.Tries) != 1 {
				t.Errorf("question %d: %+v, tries %s", n, a.Why, tries(a.Tries))
			}
			synctest.Wait()
			conns[len(conns)-1].Close()
			if n%2 == 0 {
				synctest.Wait() // else the next question may find out by itself
			}
		}
		if e.f.streamed() != 5 {
			t.Errorf("%d connections, want 5", e.f.streamed())
		}
	})
}

// TestOneAnswerForEachConnection has a server that closes after every answer
// while others wait: they are asked again, and there are not more connections
// than questions.
func TestOneAnswerForEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &secureEnd{url: dot53, scheme: "tls", f: newFakeNet(nil), ca: newIssuer(t)}
		e.f.strict = true
		e.serve(t, nil, both(zone(), hangUp))
		c := e.client(t, nil)
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() {
				a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", n)), dns.TypeA)
				if a.Why.Code != audit.NXDomain || len(a.Tries) != 1 {
					t.Errorf("n%d: %+v, tries %s", n, a.Why, tries(a.Tries))
				}
			})
		}
		wg.Wait()
		if got := e.f.streamed(); got < 2 || got > 20 {
			t.Errorf("%d connections for 20 questions", got)
		}
	})
}

// TestForgottenConnection: a firewall drops what comes over an old connection.
// The second try goes over a new one.
func TestForgottenConnection(t *testing.T) {
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		e.serve(t, nil, zone())
		inner := e.f.streams[e.addr()]
		var hole *blackHole
		e.f.streams[e.addr()] = func(conn net.Conn) {
			hole = &blackHole{Conn: conn}
			inner(hole)
		}
		c := e.client(t, nil)
		a := c.Ask(t.Context(), "one", dns.TypeA)
		if a.Why.Code != audit.NXDomain {
			t.Fatalf("first question: %+v", a.Why)
		}
		hole.swallow()
		a = c.Ask(t.Context(), "two", dns.TypeA)
		if a.Why.Code != audit.NXDomain {
			t.Errorf("second question: %+v after the tries %s", a.Why, tries(a.Tries))
		}
		if e.f.streamed() != 2 {
			t.Errorf("%d connections, want 2", e.f.streamed())
		}
	})
}

// blackHole is a server's end whose writes get lost once swallow was called.
type blackHole struct {
	net.Conn
	mu   sync.Mutex
	lost bool
}

func (b *blackHole) swallow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = true
}

func (b *blackHole) Write(p []byte) (int, error) {
	b.mu.Lock()
	lost := b.lost
	b.mu.Unlock()
	if lost {
		return len(p), nil
	}
	return b.Conn.Write(p)
}

// TestStuckConnection: a server that stops reading holds nobody longer than
// the time of a question.
func TestStuckConnection(t *testing.T) {
	// Over HTTP/2 it is up to net/http, whose mutexes stop the clock of a bubble.
	synctest.Test(t, func(t *testing.T) {
		e := &secureEnd{url: dot53, scheme: "tls", f: newFakeNet(nil), ca: newIssuer(t)}
		e.f.tight = true
		e.serve(t, nil, zone())
		inner := e.f.streams[e.addr()]
		stuck := &stoppedReader{never: make(chan struct{})}
		e.f.streams[e.addr()] = func(conn net.Conn) {
			if e.f.streamed() == 1 {
				stuck.Conn = conn
				conn = stuck
			}
			inner(conn)
		}
		c := e.client(t, nil)
		c.Ask(t.Context(), "one", dns.TypeA)
		synctest.Wait()
		stuck.stop()
		start := time.Now()
		a := c.Ask(t.Context(), "two", dns.TypeA)
		if a.Why.Code != audit.NXDomain || time.Since(start) > 2*DefaultTimeout+laterPause {
			t.Errorf("%+v after %v, tries %s", a.Why, time.Since(start), tries(a.Tries))
		}
		close(stuck.never)
	})
}

// stoppedReader is a server's end that reads no more once stop was called.
type stoppedReader struct {
	net.Conn
	never   chan struct{}
	mu      sync.Mutex
	stopped bool
}

// stop also ends the Read that waits.
func (s *stoppedReader) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.Conn.SetReadDeadline(time.Now())
}

func (s *stoppedReader) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		<-s.never
		return 0, net.ErrClosed
	}
	return n, err
}

// TestAnswerBehindAWriteError: a server answers a question and closes while the
// next one is being written. The answer is there to be read.
func TestAnswerBehindAWriteError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, err := newQuestion("example.org", dns.TypeMX)
		if err != nil {
			t.Fatal(err)
		}
		conn := &brokenWriter{in: make(chan []byte, 1)}
		s := &socket{conn: conn, framed: true, waiting: map[uint16]*waiter{}, dead: make(chan struct{})}
		first, second := s.register(q), s.register(q)
		go s.read()
		asked := &received{msg: new(dns.Msg)}
		err = asked.msg.Unpack(q.message(first.id, true, true))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := s.ask(t.Context(), second, q.message(second.id, true, true))
			if !errors.Is(err, io.EOF) || !s.worked() {
				t.Errorf("the second question: %v", err)
			}
		})
		synctest.Wait()
		if s.register(q) != nil {
			t.Error("more questions are put on a stream that takes none")
		}
		conn.in <- frame(pack(message(asked, 0, "ra", mx10)))
		close(conn.in)
		packet, err := s.ask(t.Context(), first, nil)
		if err != nil || len(packet) == 0 {
			t.Errorf("the first question: %v", err)
		}
		wg.Wait()
	})
}

// brokenWriter takes nothing and gives what is in the channel.
type brokenWriter struct {
	net.Conn
	in   chan []byte
	rest []byte
}

func (b *brokenWriter) Write([]byte) (int, error)       { return 0, syscall.EPIPE }
func (b *brokenWriter) Close() error                    { return nil }
func (b *brokenWriter) SetReadDeadline(time.Time) error { return nil }

func (b *brokenWriter) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		var more bool
		b.rest, more = <-b.in
		if !more {
			return 0, io.EOF
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func TestForgedAnswersOverTLS(t *testing.T) {
	late := func(r *received) { time.Sleep(time.Second); says(0, "ra", mx10)(r) }
	for name, forged := range map[string]behaviour{
		"another name":          forge(func(m *dns.Msg) { m.Question[0].Name = "example.com." }),
		"another type":          forge(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }),
		"another class":         forge(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
		"another id":            forge(func(m *dns.Msg) { m.Id ^= 1 }),
		"a query":               forge(func(m *dns.Msg) { m.Response = false }),
		"no question, NXDOMAIN": forge(func(m *dns.Msg) { m.Question, m.Answer, m.Rcode = nil, nil, 3 }),
		"an empty message":      raw(func([]byte) []byte { return nil }),
		"half a header":         raw(func(q []byte) []byte { return q[:7] }),
		"our own query, echoed": raw(func(q []byte) []byte { return q }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &secureEnd{url: dot53, scheme: "tls", f: newFakeNet(nil), ca: newIssuer(t)}
				e.serve(t, nil, both(forged, late))
				start := time.Now()
				a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
				if a.State != audit.Seen || a.Records[0].(*dns.MX).Preference != 10 || time.Since(start) != time.Second || e.f.streamed() != 1 {
					t.Errorf("%q %v after %v over %d connections", a.State, a.Records, time.Since(start), e.f.streamed())
				}
			})
			synctest.Test(t, func(t *testing.T) { // over HTTP there is one response, right or not
				e := &secureEnd{url: doh53, scheme: "https", f: newFakeNet(nil), ca: newIssuer(t)}
				e.serve(t, nil, both(forged, late))
				a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
				lacks(t, a, audit.Malformed, e.url+" gave an answer that does not parse or contradicts itself", e.tries("malformed", 3))
			})
		})
	}
}

// TestFloodOverTLS: a server that sends what nobody asked for is given up, one
// that is merely late is not.
func TestFloodOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &secureEnd{url: dot53, scheme: "tls", f: newFakeNet(nil), ca: newIssuer(t)}
		stray := forge(func(m *dns.Msg) { m.Id ^= 1 })
		e.serve(t, nil, func(r *received) {
			for range 100 {
				stray(r)
			}
		})
		a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
		lacks(t, a, audit.Malformed, e.url+" gave an answer that does not parse or contradicts itself", e.tries("malformed", 3))
	})
	synctest.Test(t, func(t *testing.T) {
		e := &secureEnd{url: dot53, scheme: "tls", f: newFakeNet(nil), ca: newIssuer(t)}
		e.serve(t, nil, func(r *received) {
			switch { // 40 answers come too late, and before those to the next tries
			case r.n <= 40:
				time.Sleep(4 * time.Second)
			case r.n > 41:
				time.Sleep(1500 * time.Millisecond)
			}
			zone()(r)
		})
		c := e.client(t, nil)
		var wg sync.WaitGroup
		for n := range 41 {
			wg.Go(func() {
				time.Sleep(time.Duration(n) * 10 * time.Millisecond)
				a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", n)), dns.TypeA)
				if a.Why.Code != audit.NXDomain || strings.Contains(tries(a.Tries), "malformed") {
					t.Errorf("n%d: %+v, tries %s", n, a.Why, tries(a.Tries))
				}
			})
		}
		wg.Wait()
		if e.f.streamed() != 1 {
			t.Errorf("%d connections, want 1", e.f.streamed())
		}
	})
}

func TestCloseInterruptsSecure(t *testing.T) {
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		e.serve(t, nil, silent)
		c := e.client(t, func(cfg *Config) { cfg.InFlight = 3 })
		stalled := client(t, e.f, nil, "tls://192.0.2.54", "https://192.0.2.54")
		e.f.streams["192.0.2.54:853"] = func(conn net.Conn) { conn.Read(make([]byte, 1)) } // stops in the middle of the handshake
		e.f.streams["192.0.2.54:443"] = e.f.streams["192.0.2.54:853"]
		start := time.Now()
		var wg sync.WaitGroup
		for n := range 5 {
			for _, c := range []*Client{c, stalled} {
				wg.Go(func() {
					a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", n)), dns.TypeA)
					if a.State != audit.Unknown || a.Why != (audit.Reason{Code: audit.Interrupted, Text: "the run was interrupted"}) {
						t.Errorf("n%d: %q %+v", n, a.State, a.Why)
					}
				})
			}
		}
		time.Sleep(100 * time.Millisecond)
		c.Close()
		stalled.Close()
		wg.Wait()
		if time.Since(start) != 100*time.Millisecond {
			t.Errorf("Close took %v", time.Since(start)-100*time.Millisecond)
		}
		synctest.Wait()
		if e.f.opened() != 0 {
			t.Errorf("%d connections open after Close", e.f.opened())
		}
		// The bubble ends only when all goroutines are gone.
	})
}

// TestCallerGivesUp: the question goes on for the others.
func TestCallerGivesUp(t *testing.T) {
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		e.serve(t, nil, func(r *received) { time.Sleep(2 * time.Second); zone()(r) })
		c := e.client(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a := c.Ask(ctx, "example.org", dns.TypeA)
		if a.Why.Code != audit.Deadline {
			t.Errorf("%+v", a.Why)
		}
		a = c.Ask(t.Context(), "example.org", dns.TypeA)
		if a.Why.Code != audit.NXDomain || e.f.count() != 1 {
			t.Errorf("%+v after %d questions", a.Why, e.f.count())
		}
	})
}

func TestPaddingAddsNoBlock(t *testing.T) {
	for size, want := range map[int]int{0: 124, 40: 84, 123: 1, 124: 0, 125: 127, 252: 0, 300: 80} {
		if got := padding(size); got != want {
			t.Errorf("padding(%d) = %d, want %d", size, got, want)
		}
	}
}

// TestPadding: encrypted queries come in blocks of 128 octets whatever the
// length of the name, padded with zeros; without EDNS, and over plain DNS,
// there is no padding.
func TestPadding(t *testing.T) {
	eachSecure(t, func(t *testing.T, e *secureEnd) {
		sizes := map[int]bool{}
		var mu sync.Mutex
		e.serve(t, nil, func(r *received) {
			mu.Lock()
			defer mu.Unlock()
			opt := r.msg.IsEdns0()
			if opt == nil {
				if strings.Contains(string(r.wire), strings.Repeat("\x00", 30)) {
					t.Errorf("%d octets without EDNS", len(r.wire))
				}
				zone()(r)
				return
			}
			sizes[len(r.wire)] = true
			padding, ok := opt.Option[0].(*dns.EDNS0_PADDING)
			if len(opt.Option) != 1 || !ok || strings.Trim(string(padding.Padding), "\x00") != "" || opt.UDPSize() != 1232 || opt.Do() {
				t.Errorf("OPT %v", opt)
			}
			if r.n == 1 {
				says(1, "")(r)
				return
			}
			zone()(r)
		})
		c := e.client(t, nil)
		for n := range 250 {
			name := strings.Repeat("a.", n/2) + "a"
			if n%2 == 1 {
				name = "a" + name
			}
			a := c.Ask(t.Context(), audit.DNSName(name), dns.TypeA)
			if a.Why.Code != audit.NXDomain {
				t.Fatalf("%d octets: %+v", n, a.Why)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(sizes) != 3 || !sizes[128] || !sizes[256] || !sizes[384] {
			t.Errorf("sizes on the wire %v, want 128, 256 and 384", sizes)
		}
	})
}

func TestRootsOfTheSystem(t *testing.T) {
	if os.Getenv("RESOLVE_ROOTLESS") != "" {
		fmt.Println("rootless:", rootless())
		return
	}
	c, s := &Client{}, servers(dot53)[0]
	const did = "was not asked, because this system has no root certificates to check its own with"
	var got *trouble
	if !errors.As(c.certificateFailure(s, x509.SystemRootsError{}), &got) || got.code != audit.LocalError || got.did != did {
		t.Errorf("no system roots: %+v", got)
	}
	c.cfg.Roots = x509.NewCertPool()
	if !errors.As(c.certificateFailure(s, x509.UnknownAuthorityError{}), &got) || got.code != audit.Untrusted {
		t.Errorf("an empty pool that was given: %+v", got)
	}
	if runtime.GOOS != "linux" {
		t.Skip("only where roots are files can they be taken away")
	}
	nowhere := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRootsOfTheSystem$", "-test.v")
	cmd.Env = append(os.Environ(), "RESOLVE_ROOTLESS=1", "SSL_CERT_FILE="+nowhere+"/none", "SSL_CERT_DIR="+nowhere)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "rootless: true") {
		t.Errorf("%v\n%s", err, out)
	}
}
