package resolve

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// issuer issues certificates. Those of a test binary are valid both on the
// wall clock and in bubbles, whose time begins in 2000.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func date(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

func newIssuer(tb testing.TB) *issuer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"},
		NotBefore: date(1990), NotAfter: date(2090), KeyUsage: x509.KeyUsageCertSign,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &issuer{cert, key}
}

func (a *issuer) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// config is that of a server with a certificate for dns.example.net and
// 192.0.2.53, as edit changes it.
func (a *issuer) config(tb testing.TB, edit func(*x509.Certificate)) *tls.Config {
	tb.Helper()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: date(1990), NotAfter: date(2090),
		DNSNames: []string{"dns.example.net"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 53)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(t)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// stream is what listens at a TCP address: it serves one connection and
// returns when that is over.
type stream func(conn net.Conn)

// countedConn is the client's end of a connection in memory.
type countedConn struct {
	net.Conn
	f    *fakeNet
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.f.mu.Lock()
		c.f.open--
		c.f.mu.Unlock()
	})
	return c.Conn.Close()
}

// pipe is like net.Pipe with room for what was not read yet, as the buffers of
// a system have it: both ends may write first.
func pipe(strict bool) (net.Conn, net.Conn) {
	a, b := newHalf(strict), newHalf(strict)
	return &pipeEnd{in: a, out: b}, &pipeEnd{in: b, out: a}
}

// half is one direction of a pipe.
type half struct {
	strict   bool // see fakeNet
	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte
	closed   bool // by either end
	deadline time.Time
	timer    *time.Timer
}

func newHalf(strict bool) *half {
	h := &half{strict: strict}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *half) update(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
	h.changed.Broadcast()
}

// pipeEnd is one end of a pipe.
type pipeEnd struct {
	in, out *half
	mu      sync.Mutex
	closed  bool
}

func (p *pipeEnd) Read(b []byte) (int, error) {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case p.isClosed():
			return 0, net.ErrClosed
		case !h.deadline.IsZero() && !time.Now().Before(h.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(h.data) > 0:
			n := copy(b, h.data)
			h.data = h.data[n:]
			return n, nil
		case h.closed:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	h := p.out
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.isClosed() {
		return 0, net.ErrClosed
	}
	switch {
	case h.closed && h.strict:
		return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
	case h.closed:
		return len(b), nil
	}
	h.data = append(h.data, b...)
	h.changed.Broadcast()
	return len(b), nil
}

func (p *pipeEnd) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *pipeEnd) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, h := range []*half{p.in, p.out} {
		h.update(func() {
			h.closed = true
			if h.timer != nil {
				h.timer.Stop()
			}
		})
	}
	return nil
}

func (p *pipeEnd) SetReadDeadline(at time.Time) error {
	h := p.in
	h.update(func() {
		h.deadline = at
		if h.timer != nil {
			h.timer.Stop()
			h.timer = nil
		}
		if !at.IsZero() {
			h.timer = time.AfterFunc(time.Until(at), func() { h.update(func() {}) })
		}
	})
	return nil
}

func (p *pipeEnd) SetDeadline(at time.Time) error      { return p.SetReadDeadline(at) }
func (p *pipeEnd) SetWriteDeadline(at time.Time) error { return nil } // writes do not wait
func (p *pipeEnd) LocalAddr() net.Addr                 { return &net.TCPAddr{} }
func (p *pipeEnd) RemoteAddr() net.Addr                { return &net.TCPAddr{} }

// dot serves DNS over TLS. Every query is answered by serve in a goroutine of
// its own; breakOff closes the connection.
func dot(f *fakeNet, cfg *tls.Config, serve behaviour) stream {
	return func(conn net.Conn) {
		defer conn.Close()
		secure := tls.Server(conn, cfg)
		buf := make([]byte, dns.MaxMsgSize)
		for {
			packet, err := readFrame(secure, buf)
			if err != nil {
				return
			}
			r := f.receive("tls", packet)
			r.send = func(packet []byte) {
				secure.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...))
			}
			r.breakOff = func(error) { conn.Close() }
			f.senders.Go(func() { serve(r) })
		}
	}
}

// receive counts a query to 192.0.2.53 over an encrypted transport.
func (f *fakeNet) receive(network string, packet []byte) *received {
	r := &received{net: network, wire: bytes.Clone(packet), msg: new(dns.Msg)}
	err := r.msg.Unpack(r.wire)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queries["192.0.2.53"]++
	r.n = f.queries["192.0.2.53"]
	return r
}

// connKey is where a request has its connection.
type connKey struct{}

// doh serves DNS over HTTPS: the first message that serve sends is the body of
// the response, breakOff ends the connection instead.
func doh(f *fakeNet, serve behaviour) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		packet, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r := f.receive("https", packet)
		out := make(chan []byte, 100)
		r.send = func(packet []byte) { out <- packet }
		r.breakOff = func(error) { req.Context().Value(connKey{}).(net.Conn).Close() }
		f.senders.Go(func() { serve(r) })
		select {
		case packet := <-out:
			w.Header().Set("Content-Type", "application/dns-message")
			w.Write(packet)
		case <-req.Context().Done():
		}
	}
}

// web serves a handler over HTTPS, by HTTP/2 and HTTP/1.1 or one of them.
func web(t *testing.T, cfg *tls.Config, handler http.Handler, protocols ...string) stream {
	if len(protocols) == 0 {
		protocols = []string{"h2", "http/1.1"}
	}
	cfg.NextProtos = protocols
	l := &memoryListener{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: handler, TLSConfig: cfg, ErrorLog: log.New(io.Discard, "", 0)}
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c.(*tls.Conn).NetConn())
	}
	server.Protocols = new(http.Protocols)
	for _, p := range protocols {
		server.Protocols.SetHTTP2(server.Protocols.HTTP2() || p == "h2")
		server.Protocols.SetHTTP1(server.Protocols.HTTP1() || p == "http/1.1")
	}
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { server.Close() })
	return func(conn net.Conn) {
		select {
		case l.conns <- conn:
		case <-l.done:
			conn.Close()
		}
	}
}

// memoryListener accepts what is put into conns.
type memoryListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 53), Port: 443} }
