package resolve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

const (
	mediaType = "application/dns-message" // RFC 8484 6
	maxHeader = 16 << 10                  // octets of a response header; a real one has some 500
)

// https is the HTTP side of an upstream: one client, and the connections that
// it has open, to be closed in the end.
type https struct {
	client    *http.Client
	transport *http.Transport

	mu     sync.Mutex // guards what follows
	closed bool
	open   map[*httpConn]bool
}

// newHTTPS makes the client: over HTTP/2 where the server offers it, else over
// a few connections of HTTP/1.1; without proxies, redirects, cookies and
// compression, as each of them would let others take part.
func newHTTPS(c *Client, u *upstream) *https {
	h := &https{open: map[*httpConn]bool{}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	h.transport = &http.Transport{
		DialTLSContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return h.dial(ctx, c, u) },
		Protocols:              protocols,
		DisableCompression:     true,
		MaxConnsPerHost:        maxSockets,
		MaxIdleConnsPerHost:    maxSockets,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeader,
		// A connection that a firewall forgot is found out by a ping (RFC 9113
		// 6.7), in time to ask again; without it all questions would go the
		// same way. A server that is busy with a question answers pings at once.
		HTTP2: &http.HTTP2Config{SendPingTimeout: c.cfg.Timeout / 3, PingTimeout: c.cfg.Timeout / 3, WriteByteTimeout: c.cfg.Timeout},
	}
	h.client = &http.Client{
		Transport:     h.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return h
}

// connectError is a connection that could not be made, as opposed to one on
// which something failed.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// dial connects for the transport, which does not say for how long: as long as
// one question waits.
func (h *https) dial(ctx context.Context, c *Client, u *upstream) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	raw, err := c.cfg.Dialer.Resolver(limited, "tcp", u.server.Addr)
	if err == nil {
		raw, err = h.keep(raw)
	}
	if err == nil {
		raw, err = c.secure(limited, u.server, raw, "h2", "http/1.1")
	}
	if err != nil && limited.Err() != nil {
		err = os.ErrDeadlineExceeded
	}
	if err != nil {
		return nil, &connectError{err}
	}
	return raw, nil
}

// overHTTPS asks over HTTPS and returns the body of the response, and for how
// many seconds caches have held it. A connection that had served before may
// have been closed, or forgotten by a firewall: then the question goes over
// another one, once. net/http does that by itself in some of the cases. The id
// is 0 in all messages (RFC 8484 4.1), as a request has only one response.
func (c *Client) overHTTPS(ctx context.Context, u *upstream, q *question, edns bool) ([]byte, uint32, error) {
	resp, reused, err := c.post(ctx, u, q.message(0, edns, true))
	if err != nil && reused && ctx.Err() == nil {
		resp, _, err = c.post(ctx, u, q.message(0, edns, true))
	}
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close() // nothing is lost that was not read
	packet, err := body(resp)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, 0, ctx.Err()
	case err != nil:
		return nil, 0, err
	case len(packet) < headerLen || packet[0] != 0 || packet[1] != 0 || !q.matches(packet):
		return nil, 0, errStray
	}
	// RFC 8484 5.1. What is no number is 0, what is too large the largest.
	age, _ := strconv.ParseUint(resp.Header.Get("Age"), 10, 32)
	return packet, uint32(age), nil
}

// post sends one query (RFC 8484 4.1) and reports whether it went over a
// connection that had been used before.
func (c *Client) post(ctx context.Context, u *upstream, message []byte) (*http.Response, bool, error) {
	// The turn is over once there is a connection. Over HTTP/2 the next
	// question then shares it.
	err := u.enter(ctx)
	if err != nil {
		return nil, false, err
	}
	leave := sync.OnceFunc(u.leave)
	defer leave()
	var reused atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		reused.Store(got.Reused)
		leave()
	}})
	req, err := http.NewRequestWithContext(traced, http.MethodPost, u.server.url(), bytes.NewReader(message))
	if err != nil {
		return nil, false, err // ParseServer lets no such URL through
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("Accept", mediaType)
	req.Header.Set("User-Agent", "")    // which leaves it out: RFC 8484 8.2
	req.Header["Idempotency-Key"] = nil // not sent; tells net/http that a question may be repeated
	resp, err := u.https.client.Do(req)
	var failed *connectError
	switch {
	case err == nil:
		return resp, reused.Load(), nil
	case ctx.Err() != nil:
		return nil, false, ctx.Err()
	case errors.As(err, &failed):
		u.fail(failed.err)
		return nil, false, failed.err
	}
	return nil, reused.Load(), httpFailure(err)
}

// body reads the message in a response.
func body(resp *http.Response) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, statusFailure(resp.StatusCode)
	}
	header := resp.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(header)
	if err != nil || kind != mediaType {
		return nil, &trouble{httpFailed, outcomeType, "answered over HTTP with something that is no DNS message", "Content-Type: " + header}
	}
	packet, err := io.ReadAll(io.LimitReader(resp.Body, dns.MaxMsgSize+1))
	if err != nil {
		return nil, httpFailure(err)
	}
	if len(packet) > dns.MaxMsgSize {
		return nil, &trouble{httpFailed, string(audit.Oversized), "answered over HTTP with more than a DNS message can hold", ""}
	}
	return packet, nil
}

// httpConn is a connection that h knows of while it is open.
type httpConn struct {
	net.Conn
	h *https
}

// Close closes the connection.
func (c *httpConn) Close() error {
	err := c.Conn.Close()
	c.h.mu.Lock() // only now: what close does not find is closed
	defer c.h.mu.Unlock()
	delete(c.h.open, c)
	return err
}

// keep notes a connection, or closes it when everything is over.
func (h *https) keep(raw net.Conn) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		raw.Close()
		return nil, net.ErrClosed
	}
	conn := &httpConn{raw, h}
	h.open[conn] = true
	return conn, nil
}

// close closes all connections, which ends the goroutines of the transport.
func (h *https) close() {
	h.transport.CloseIdleConnections()
	h.mu.Lock()
	h.closed = true
	var left []*httpConn
	for conn := range h.open {
		left = append(left, conn)
	}
	h.mu.Unlock()
	for _, conn := range left {
		conn.Close()
	}
}
