package resolve

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// answer is a right response to a request, as edit changes its header.
func answer(w http.ResponseWriter, r *http.Request, edit func(h http.Header)) {
	packet, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	q := &received{msg: new(dns.Msg)}
	err = q.msg.Unpack(packet)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/dns-message")
	if edit != nil {
		edit(w.Header())
	}
	w.Write(pack(message(q, 0, "ra", mx10)))
}

// eachHTTP runs a test with a server of this handler, over HTTP/2 and over
// HTTP/1.1.
func eachHTTP(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, e *secureEnd)) {
	for _, protocol := range []string{"h2", "http/1.1"} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &secureEnd{url: doh53, scheme: "https", f: newFakeNet(map[string]behaviour{}), ca: newIssuer(t)}
				e.f.streams[e.addr()] = web(t, e.ca.config(t, nil), handler, protocol)
				test(t, e)
			})
		})
	}
}

func TestHTTPFailures(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/dns-message")
			w.Header().Set("Location", "https://192.0.2.53/elsewhere")
			w.WriteHeader(code)
		}
	}
	typed := func(value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			answer(w, r, func(h http.Header) { h["Content-Type"] = []string{value} })
		}
	}
	bytes := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/dns-message")
			io.WriteString(w, strings.Repeat("\x00", n))
		}
	}
	const (
		pauses = 1300 * time.Millisecond
		noType = "answered over HTTP with something that is no DNS message"
		stray  = "gave an answer that does not parse or contradicts itself"
	)
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		code    audit.Code // "": resolver-down
		outcome string
		did     string
		took    time.Duration // 0: pauses
	}{
		{name: "503", handler: status(503), outcome: "http-503", did: "answered with HTTP status 503 (Service Unavailable)"},
		{name: "429", handler: status(429), outcome: "http-429", did: "answered with HTTP status 429 (Too Many Requests)"},
		{name: "404", handler: status(404), outcome: "http-404", did: "answered with HTTP status 404 (Not Found)"},
		{name: "a status without a name", handler: status(599), outcome: "http-599", did: "answered with HTTP status 599"},
		{name: "204 without a body", handler: status(204), outcome: "http-204", did: "answered with HTTP status 204 (No Content)"},
		{name: "302", handler: status(302), outcome: "http-302", did: "answered with HTTP status 302 (Found), which is not followed"},
		{name: "308", handler: status(308), outcome: "http-308", did: "answered with HTTP status 308 (Permanent Redirect), which is not followed"},
		{name: "a right answer with a wrong status", handler: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			answer(w, r, nil)
		}, outcome: "http-500", did: "answered with HTTP status 500 (Internal Server Error)"},
		{name: "a web page", handler: typed("text/html; charset=utf-8"), outcome: "http-type", did: noType},
		{name: "the JSON of another protocol", handler: typed("application/dns-json"), outcome: "http-type", did: noType},
		{name: "no type", handler: typed(""), outcome: "http-type", did: noType},
		{name: "a type that does not parse", handler: typed("application/dns-message; ="), outcome: "http-type", did: noType},
		{name: "one octet too many", handler: bytes(65536), outcome: "oversized", did: "answered over HTTP with more than a DNS message can hold"},
		{name: "an endless body", handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/dns-message")
			for r.Context().Err() == nil {
				_, err := w.Write(make([]byte, 4096))
				if err != nil {
					return
				}
			}
		}, outcome: "oversized", did: "answered over HTTP with more than a DNS message can hold"},
		{name: "no octet", handler: bytes(0), code: audit.Malformed, outcome: "malformed", did: stray},
		{name: "all that a message can hold, of zeros", handler: bytes(65535), code: audit.Malformed, outcome: "malformed", did: stray},
		{name: "a header that does not end", handler: func(w http.ResponseWriter, r *http.Request) {
			answer(w, r, func(h http.Header) { h.Set("X", strings.Repeat("x", 100_000)) })
		}, outcome: "http-protocol", did: "failed in HTTP"},
		{name: "half a body", handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/dns-message")
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			r.Context().Value(connKey{}).(net.Conn).Close()
		}, outcome: "closed", did: "broke the connection off"},
		{name: "a body that does not come", handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/dns-message")
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, code: audit.Timeout, outcome: "timeout", did: "did not answer", took: 9 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var requests atomic.Int32
			counted := func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if r.URL.Path != "/dns-query" || r.Method != "POST" {
					t.Errorf("%s %s: a redirect was followed", r.Method, r.URL.Path)
				}
				tt.handler(w, r)
			}
			eachHTTP(t, counted, func(t *testing.T, e *secureEnd) {
				if tt.code == "" {
					tt.code = audit.ResolverDown
				}
				if tt.took == 0 {
					tt.took = pauses
				}
				e.f.servers[a53] = says(0, "ra", mx10)
				requests.Store(0)
				start := time.Now()
				a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
				lacks(t, a, tt.code, e.url+" "+tt.did, e.tries(tt.outcome, 3))
				if time.Since(start) != tt.took {
					t.Errorf("took %v, want %v", time.Since(start), tt.took)
				}
				// A header or a body that breaks off on a connection in use may be asked for once more.
				if got := requests.Load(); got < 3 || got > 5 || e.f.sockets() != 0 {
					t.Errorf("%d requests, %d sockets of plain DNS", got, e.f.sockets())
				}
			})
		})
	}
}

// TestNotHTTP has TLS right and something else inside.
func TestNotHTTP(t *testing.T) {
	for text, outcome := range map[string]string{"220 mail.example.net ESMTP\r\n": "http-protocol", "HTTP/1.1 2x0 OK\r\n\r\n": "http-protocol", "": "closed"} {
		synctest.Test(t, func(t *testing.T) {
			e := &secureEnd{url: doh53, scheme: "https", f: newFakeNet(nil), ca: newIssuer(t)}
			cfg := e.ca.config(t, nil)
			e.f.streams[e.addr()] = func(conn net.Conn) {
				defer conn.Close()
				secure := tls.Server(conn, cfg)
				secure.Read(make([]byte, 4096))
				io.WriteString(secure, text)
			}
			a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
			if a.State != audit.Unknown || a.Why.Code != audit.ResolverDown || tries(a.Tries) != e.tries(outcome, 3) {
				t.Errorf("%q: %q %+v, tries %s", text, a.State, a.Why, tries(a.Tries))
			}
		})
	}
}

// TestRequestOnTheWire pins everything that a server gets to see.
func TestRequestOnTheWire(t *testing.T) {
	type seen struct{ method, uri, host, proto, sni, header string }
	for _, tt := range []struct{ url, uri, host, sni string }{
		{"https://192.0.2.53", "/dns-query", "192.0.2.53", ""},
		{"https://192.0.2.53#dns.example.net", "/dns-query", "dns.example.net", "dns.example.net"},
		{"https://192.0.2.53/a/b?c=d#dns.example.net", "/a/b?c=d", "dns.example.net", "dns.example.net"},
		{"https://192.0.2.53:8443/#dns.example.net", "/", "dns.example.net:8443", "dns.example.net"},
		{"https://[fe80::53%eth0]:8443", "/dns-query", "[fe80::53]:8443", ""},
	} {
		for _, protocol := range []string{"h2", "http/1.1"} {
			t.Run(tt.url+" "+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := servers(tt.url)[0]
					e := &secureEnd{url: tt.url, scheme: "https", f: newFakeNet(nil), ca: newIssuer(t)}
					var got []seen
					handler := func(w http.ResponseWriter, r *http.Request) {
						var header []string
						for _, k := range []string{"Accept", "Accept-Encoding", "Content-Length", "Content-Type", "Cookie", "Idempotency-Key", "User-Agent"} {
							if v, ok := r.Header[k]; ok {
								header = append(header, k+": "+strings.Join(v, "|"))
							}
						}
						if len(header) != len(r.Header) {
							t.Errorf("header %v", r.Header)
						}
						got = append(got, seen{r.Method, r.RequestURI, r.Host, r.Proto, r.TLS.ServerName, strings.Join(header, ", ")})
						answer(w, r, func(h http.Header) { h.Set("Set-Cookie", "a=b") })
					}
					cfg := e.ca.config(t, func(c *x509.Certificate) {
						c.IPAddresses = append(c.IPAddresses, net.ParseIP("fe80::53"))
					})
					e.f.streams[s.Addr.String()] = web(t, cfg, http.HandlerFunc(handler), protocol)
					c := e.client(t, nil)
					for _, name := range []audit.DNSName{"example.org", "example.org."} { // the second is remembered
						a := c.Ask(t.Context(), name, dns.TypeMX)
						if a.State != audit.Seen {
							t.Errorf("%s: %+v, tries %+v", name, a.Why, a.Tries)
						}
					}
					proto := map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"}[protocol]
					want := seen{"POST", tt.uri, tt.host, proto, tt.sni, "Accept: application/dns-message, Content-Length: 128, Content-Type: application/dns-message"}
					if len(got) != 1 || got[0] != want {
						t.Errorf("requests %+v,\nwant %+v", got, want)
					}
				})
			})
		}
	}
}

// TestProxyOfTheEnvironment: a proxy would see every question.
func TestProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://192.0.2.99:3128")
	t.Setenv("ALL_PROXY", "http://192.0.2.99:3128")
	synctest.Test(t, func(t *testing.T) {
		e := &secureEnd{url: doh53, scheme: "https", f: newFakeNet(nil), ca: newIssuer(t)}
		e.serve(t, nil, says(0, "ra", mx10))
		a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
		if a.State != audit.Seen {
			t.Errorf("%+v", a.Why)
		}
	})
}

// TestAge: what a cache on the way has kept for a while has less time left.
func TestAge(t *testing.T) {
	for age, want := range map[string]uint32{"": 300, "0": 300, "100": 200, "300": 0, "1000": 0, "99999999999": 0, "-5": 300, "soon": 300} {
		handler := func(w http.ResponseWriter, r *http.Request) {
			answer(w, r, func(h http.Header) { h.Set("Age", age) })
		}
		eachHTTP(t, handler, func(t *testing.T, e *secureEnd) {
			a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
			if a.State != audit.Seen || a.TTL != want {
				t.Errorf("age %q: %q with TTL %d, want %d", age, a.State, a.TTL, want)
			}
		})
	}
}

// TestFewConnectionsOverHTTP1: a connection carries one question at a time
// there, so there may be a few.
func TestFewConnectionsOverHTTP1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &secureEnd{url: doh53, scheme: "https", f: newFakeNet(nil), ca: newIssuer(t)}
		handler := doh(e.f, func(r *received) { time.Sleep(100 * time.Millisecond); zone()(r) })
		e.f.streams[e.addr()] = web(t, e.ca.config(t, nil), handler, "http/1.1")
		c := e.client(t, nil)
		start := time.Now()
		var wg sync.WaitGroup
		for n := range 80 {
			wg.Go(func() {
				a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d", n)), dns.TypeA)
				if a.Why.Code != audit.NXDomain || len(a.Tries) != 1 {
					t.Errorf("n%d: %+v, tries %s", n, a.Why, tries(a.Tries))
				}
			})
		}
		wg.Wait()
		if e.f.streamed() != maxSockets || time.Since(start) != 2*time.Second {
			t.Errorf("%d connections, %v; want 4, and 2 s for 20 rounds", e.f.streamed(), time.Since(start))
		}
	})
}

// TestConnectionAfterTheEnd: one that is made when the client is closed already
// does not stay.
func TestConnectionAfterTheEnd(t *testing.T) {
	h := &https{transport: &http.Transport{}, open: map[*httpConn]bool{}}
	ours, theirs := pipe(true)
	h.close()
	_, err := h.keep(ours)
	_, gone := theirs.Write([]byte("x"))
	if err == nil || gone == nil || len(h.open) != 0 {
		t.Errorf("kept: %v, %v", err, gone)
	}
}

// TestLostPing is a server that falls silent on a new connection: net/http
// finds out by a ping, and its words for it are ours for a timeout.
func TestLostPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &secureEnd{url: doh53, scheme: "https", f: newFakeNet(nil), ca: newIssuer(t)}
		var holes []*blackHole
		e.f.streams[e.addr()] = nil
		inner := web(t, e.ca.config(t, nil), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			holes[len(holes)-1].swallow()
		}), "h2")
		e.f.streams[e.addr()] = func(conn net.Conn) {
			holes = append(holes, &blackHole{Conn: conn})
			inner(holes[len(holes)-1])
		}
		a := e.client(t, nil).Ask(t.Context(), "example.org", dns.TypeMX)
		lacks(t, a, audit.Timeout, e.url+" did not answer", e.tries("timeout", 3))
		if len(holes) != 3 {
			t.Errorf("%d connections, want a new one for each try", len(holes))
		}
	})
	if !errors.Is(httpFailure(errors.New("http2: client connection lost")), os.ErrDeadlineExceeded) {
		t.Error("the words of net/http are not understood")
	}
}

// TestRealDoT goes through the system's network to another implementation of
// the server.
func TestRealDoT(t *testing.T) {
	ca := newIssuer(t)
	cfg := ca.config(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &countingListener{Listener: inner}
	ready := make(chan struct{})
	s := &dns.Server{Listener: tls.NewListener(l, cfg), Handler: dns.HandlerFunc(numbered), NotifyStartedFunc: func() { close(ready) }, MaxTCPQueries: -1}
	go s.ActivateAndServe()
	<-ready
	t.Cleanup(func() { s.Shutdown() })
	at := inner.Addr().(*net.TCPAddr).AddrPort()
	for _, name := range []string{"", "#dns.example.net"} {
		l.n.Store(0)
		c := New(Config{Servers: servers("tls://" + at.String() + name), Dialer: opened(), Roots: ca.pool(), Timeout: 10 * time.Second})
		askNumbers(t, c, 300)
		c.Close()
		if l.n.Load() != 1 {
			t.Errorf("%q: %d connections for 300 questions, want 1", name, l.n.Load())
		}
	}
	refused(t, "tls://"+at.String()+"#dns.example.com", ca, " showed a certificate that is not valid for dns.example.com")
}

// TestRealDoH does the same for HTTPS.
func TestRealDoH(t *testing.T) {
	ca := newIssuer(t)
	var protocols sync.Map
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols.Store(r.Proto, true)
		packet, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		m := new(dns.Msg)
		err = m.Unpack(packet)
		if err != nil {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/dns-message")
		w.Write(pack(numberedReply(m)))
	}))
	l := &countingListener{Listener: s.Listener}
	s.Listener = l
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = ca.config(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	s.StartTLS()
	t.Cleanup(s.Close)
	at := netip.MustParseAddrPort(s.Listener.Addr().String())
	for _, name := range []string{"", "/dns-query#dns.example.net"} {
		l.n.Store(0)
		c := New(Config{Servers: servers("https://" + at.String() + name), Dialer: opened(), Roots: ca.pool(), Timeout: 10 * time.Second})
		askNumbers(t, c, 300)
		c.Close()
		if l.n.Load() != 1 {
			t.Errorf("%q: %d connections for 300 questions, want 1", name, l.n.Load())
		}
	}
	_, one := protocols.Load("HTTP/1.1")
	if one {
		t.Error("HTTP/1.1 was spoken with a server of HTTP/2")
	}
	refused(t, "https://"+at.String()+"#dns.example.com", ca, "/dns-query#dns.example.com showed a certificate that is not valid for dns.example.com")
}

// numbered answers for nN.example with 10.0.N/256.N%256, and NXDOMAIN else.
func numbered(w dns.ResponseWriter, r *dns.Msg) { w.WriteMsg(numberedReply(r)) }

func numberedReply(r *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.Question[0].Name, "n"), ".example."))
	if err != nil {
		m.Rcode = dns.RcodeNameError
		return m
	}
	m.Answer = []dns.RR{record(fmt.Sprintf("%s 60 IN A 10.0.%d.%d", r.Question[0].Name, n/256, n%256))}
	return m
}

func askNumbers(t *testing.T, c *Client, count int) {
	t.Helper()
	var wg sync.WaitGroup
	for n := range count {
		wg.Go(func() {
			a := c.Ask(t.Context(), audit.DNSName(fmt.Sprintf("n%d.example", n)), dns.TypeA)
			if a.State != audit.Seen || a.Records[0].(*dns.A).A.String() != fmt.Sprintf("10.0.%d.%d", n/256, n%256) {
				t.Errorf("n%d: %q %+v, tries %+v", n, a.State, a.Why, a.Tries)
			}
		})
	}
	wg.Wait()
	a := c.Ask(t.Context(), "nothing.example", dns.TypeA)
	if a.Why.Code != audit.NXDomain {
		t.Errorf("nothing.example: %+v", a.Why)
	}
}

// refused expects that a server is not asked for the reason in did. The tries
// and pauses are those of the wall clock here.
func refused(t *testing.T, url string, ca *issuer, did string) {
	t.Helper()
	c := New(Config{Servers: servers(url), Dialer: opened(), Roots: ca.pool(), Timeout: 10 * time.Second, Tries: 2})
	defer c.Close()
	a := c.Ask(t.Context(), "n1.example", dns.TypeA)
	if a.State != audit.Unknown || a.Why.Code != audit.ResolverDown || !strings.HasSuffix(a.Why.Text, did) {
		t.Errorf("%s: %q %+v", url, a.State, a.Why)
	}
}

// countingListener counts what it accepts.
type countingListener struct {
	net.Listener
	n atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return conn, err
}
