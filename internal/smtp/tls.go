package smtp

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// serverName is the host name for SNI, or "" where there is none to send:
// address literals are no host names (RFC 6066 section 3), and neither is a
// name with octets that no certificate could hold.
func serverName(host audit.DNSName) string {
	name := strings.Trim(string(host), "[]")
	_, err := netip.ParseAddr(strings.TrimPrefix(name, "ipv6:"))
	if err == nil || !audit.DNSName(strings.ReplaceAll(name, "_", "x")).IsHostname() {
		return ""
	}
	return name
}

// tlsConfig takes whatever a server can do that Go can do: the question is
// what it chooses, not what we would like. Versions and suites are explicit so
// that no GODEBUG setting decides. Nothing is sent that needs protecting, so
// the chain is looked at afterwards and stops nothing.
func (s *session) tlsConfig() *tls.Config {
	c := &tls.Config{
		ServerName:         serverName(s.t.Host),
		MinVersion:         tls.VersionTLS10,
		InsecureSkipVerify: true,
		Renegotiation:      tls.RenegotiateNever,
		ClientSessionCache: &s.tickets,
	}
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		c.CipherSuites = append(c.CipherSuites, suite.ID)
	}
	switch s.offer {
	case offerClassic:
		c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
	case offerOld:
		c.MaxVersion = tls.VersionTLS11
	}
	return c
}

// onePacket is what of TCP fits into a packet of Ethernet, in octets (RFC 6691:
// 1,500 less both headers). Post-quantum key shares make a ClientHello larger;
// old middleboxes, and servers that read once, do not survive the second one.
const onePacket = 1460

// tickets counts the session tickets that a server sends. It keeps none: no
// session is ever resumed.
type tickets struct{ n int }

// Get has no session.
func (*tickets) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

// Put counts.
func (t *tickets) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		t.n++
	}
}

// resumable notes whether a ticket came. TLS 1.3 sends it behind the handshake,
// so it is looked for when the last reply inside TLS was read.
func (s *session) resumable() {
	o := &s.look.tls.Tickets
	switch {
	case s.tickets.n > 0:
		*o = audit.See(audit.Nothing{}, "")
	case s.look.complete():
		*o = audit.None[audit.Nothing](audit.NotOffered, "no session ticket came", "")
	default:
		*o = audit.Dark[audit.Nothing](audit.Reason{Code: audit.NotLearned, Text: "the conversation ended before a session ticket could come"}, "")
	}
}

// handshake turns the connection into TLS, be it behind the reply to STARTTLS
// (RFC 3207 section 4.1) or at once (RFC 8314 section 3.3).
func (s *session) handshake() bool {
	took := lap(&s.rec.TLS)
	s.fit = false // no word in clear any more
	s.deadline(s.p.cfg.Limits.Handshake)
	s.secure = &watched{Conn: s.raw}
	conn := tls.Client(s.secure, s.tlsConfig())
	err := conn.Handshake()
	took()
	if err != nil {
		how, why := s.handshakeFailed(err)
		s.log.add(remark, audit.Raw("TLS: "+err.Error()).Clip(maxGreetingText))
		if s.offer == offerOld {
			return s.oldRefused(err, how, why)
		}
		s.fail(how, why.Code, why.Text)
		// A large ClientHello is dropped by some and refused by others, with
		// whatever alert comes to their mind.
		worth := []audit.Code{audit.TLSStall, audit.Closed, audit.ClearText, audit.OutOfStep}
		s.look.again = how == negative || slices.Contains(worth, why.Code) || isAlert(err)
		s.look.shrink = s.look.again && why.Code != audit.OutOfStep && why.Code != audit.ClearText
		return false
	}
	s.conn, s.in, s.fit = conn, &reader{src: conn}, true
	state := conn.ConnectionState()
	s.look.tls = s.p.facts(state, s.t.Host, time.Now())
	s.look.tls.MasterSecret = masterSecret(state)
	s.log.add(remark, audit.Raw(fmt.Sprintf("%s, %s, %s, %d certificates", s.look.tls.Version,
		s.look.tls.Cipher, s.look.tls.Group, s.look.tls.ChainLen)))
	switch {
	case s.offer == offerClassic:
		s.log.add(remark, "the first handshake offered post-quantum groups as well and failed; this one did not")
	case s.offer == offerAll && s.secure.hello <= onePacket:
		s.look.large = audit.Dark[audit.Nothing](audit.Reason{Code: audit.LocalError,
			Text: "this program was kept from offering post-quantum key shares (GODEBUG)"}, "")
	}
	return true
}

// handshakeFailed tells what the server broke (a negative) from what we
// could not see or cannot do.
func (s *session) handshakeFailed(err error) (manner, audit.Reason) {
	ours, limited := ownLimit(err)
	transport := s.secure.err
	switch why := s.reason(err); {
	case s.ctx.Err() != nil:
		return dark, why
	case why.Code == audit.Timeout:
		return dark, audit.Reason{Code: audit.TLSStall, Text: "the TLS handshake did not finish in time"}
	case s.t.Mode == audit.ModeTLS && !isRecord(s.overheard(why)):
		return s.notTLS(why)
	case why.Code == audit.Closed:
		return broke("the server closes the connection during the TLS handshake")
	case transport != nil && errors.Is(err, transport):
		why = dial.Reason(transport)
		if why.Code == audit.Reset || why.Code == audit.Closed {
			return broke("the connection is reset during the TLS handshake")
		}
		return dark, why
	case isAlert(err):
		var op *net.OpError
		errors.As(err, &op)
		if nothingInCommon(op.Err.Error()) {
			return dark, audit.Reason{Code: audit.TLSProtocol, Text: "the server has no TLS version or cipher in common with this program, which does not speak all that there are"}
		}
		return broke("the server ends the TLS handshake with the alert \"" +
			strings.TrimPrefix(op.Err.Error(), "tls: ") + "\"")
	case limited:
		return dark, ours
	}
	var header tls.RecordHeaderError
	if s.t.Mode != audit.ModeTLS && errors.As(err, &header) {
		return broke("what the server sends after the reply to STARTTLS is not TLS")
	}
	return broke("the server breaks the TLS protocol in the handshake")
}

// overheard is what the server sent during the handshake. Who hangs up on us
// may have said why before: a ClientHello that could not be written leaves it
// unread.
func (s *session) overheard(why audit.Reason) []byte {
	if len(s.secure.first) == 0 && why.Code == audit.Reset {
		_, _ = s.secure.Read(make([]byte, readSize))
	}
	return s.secure.first
}

// notTLS explains a handshake that failed before the server sent anything of
// TLS, on a connection on which it had not spoken before. There is nothing
// broken in that: such a server offered nothing. It may want the client to
// speak in clear first, or not want us at all; servers say that in clear on
// ports of either kind.
func (s *session) notTLS(why audit.Reason) (manner, audit.Reason) {
	said := s.secure.first
	switch {
	case len(said) == 0 && (why.Code == audit.Closed || why.Code == audit.Reset):
		// Whoever closes with the ClientHello unread sends FIN and RST, and
		// which of them is met first is luck: one reason for both.
		return dark, audit.Reason{Code: audit.Closed, Text: "the connection was closed or reset before the server had sent anything"}
	case len(said) == 0:
		return dark, why
	}
	line, _, _ := bytes.Cut(said, []byte("\n"))
	s.log.add(server, audit.Raw(bytes.TrimRight(line, "\r")))
	if len(said) >= 4 && plausible(said) {
		s.refused("", replyIn(said))
		switch said[0] {
		case '2':
			return dark, audit.Reason{Code: audit.ClearText, Text: "the server greets in clear text: try mode starttls"}
		case '4':
			return shut, audit.Reason{Code: audit.TempFail, Text: "the server turned this connection away in clear text for the time being (4xx)"}
		case '5':
			return shut, audit.Reason{Code: audit.RefusedUs, Text: "the server refused this connection in clear text (5xx), which may be about our address"}
		}
	}
	return dark, audit.Reason{Code: audit.NotSMTP, Text: "what answers does not speak TLS"}
}

// isRecord reports whether the octets can begin the first record of a TLS
// server: an alert or a handshake message, of version 3.x (RFC 8446 section
// 5.1; x is 0 to 4).
func isRecord(b []byte) bool {
	return len(b) > 0 && (b[0] == 0x15 || b[0] == 0x16) && (len(b) == 1 || b[1] == 3)
}

func broke(text string) (manner, audit.Reason) {
	return negative, audit.Reason{Code: audit.BrokenOffer, Text: text}
}

// nothingInCommon recognises the alerts with which a server declines all that
// we offer (RFC 8446 section 6.2). Go speaks neither DHE nor SSL 3.0 nor
// anonymous suites, so another client may well succeed.
func nothingInCommon(alert string) bool {
	for _, words := range []string{"handshake failure", "protocol version not supported", "insufficient security level"} {
		if strings.Contains(alert, words) {
			return true
		}
	}
	return false
}

// isAlert reports whether the error is an alert that the server sent.
// crypto/tls marks these by the operation; the alert's type is its own.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// ownLimit recognises what crypto/tls refuses where another client may not:
// no fault of the server can be concluded from it. crypto/tls has no error
// values for these, so the words decide; a test with certificates of each kind
// notices when they change.
func ownLimit(err error) (audit.Reason, bool) {
	msg := err.Error()
	for _, limit := range []struct {
		words string
		code  audit.Code
		text  string
	}{
		{"failed to parse certificate", audit.CertParse, "the certificate of the server cannot be parsed here"},
		{"RSA key larger than", audit.CertParse, "a certificate has an RSA key longer than this program takes"},
		{"unsupported type of public key", audit.CertParse, "the certificate has a kind of key that this program does not know"},
		{"keys are insecure", audit.CertParse, "the certificate has an RSA key shorter than this program takes"},
		{"invalid signature algorithm", audit.TLSProtocol, "the server signs with an algorithm that this program does not take, probably SHA-1"},
	} {
		if strings.Contains(msg, limit.words) {
			return audit.Reason{Code: limit.code, Text: limit.text}, true
		}
	}
	return audit.Reason{}, false
}

// watched remembers the first error of a connection, so that a handshake
// that failed for the network's sake can be told from one that failed by
// itself, and the first octets that came, which tell what it failed on.
type watched struct {
	net.Conn
	err   error
	first []byte // at most maxLine octets
	hello int    // octets that were written before the first came
}

// Read reads from the connection.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.first = append(w.first, b[:min(n, maxLine-len(w.first))]...)
	w.note(err)
	return n, err
}

// Write writes to the connection.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	if len(w.first) == 0 {
		w.hello += n
	}
	w.note(err)
	return n, err
}

func (w *watched) note(err error) {
	if w.err == nil && err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
}
