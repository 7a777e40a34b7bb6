package lab

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"mailaudit/internal/audit"
)

// maxCommand is the longest command line that a server reads. RFC 5321
// section 4.5.3.1.4 asks for 512 octets; extensions raise it.
const maxCommand = 4096

// errEnd ends a session that the server has closed.
var errEnd = errors.New("the server closed the connection")

// session is one connection as the server sees it.
type session struct {
	n      *Network
	log    *Connection
	raw    *conn    // the TCP connection
	conn   net.Conn // raw, or TLS over it
	r      *bufio.Reader
	name   string // of the server, for certificates when no name was asked for
	silent bool   // the client has not been listened to yet
}

// serve plays a script on a connection. It begins when the client's ACK
// arrives, half an rtt after connect returned there.
func (n *Network) serve(c *conn, script Script, log *Connection) {
	s := &session{n: n, log: log, raw: c, conn: c, r: bufio.NewReaderSize(c, maxCommand), silent: true}
	defer c.Close()
	n.idleFor(c, n.w.RTT/2)
	if script.Healthy != nil {
		s.name = script.Healthy.Name
		s.healthy(*script.Healthy)
		return
	}
	for _, step := range script.Steps {
		err := s.play(step)
		if errors.Is(err, errMismatch) {
			break
		}
		if err != nil {
			return
		}
	}
	s.polite()
}

// errMismatch is a command that the script did not expect: it is recorded
// and the script is over.
var errMismatch = errors.New("unexpected command")

// play does one step. Errors mean that the conversation is over.
func (s *session) play(step Step) error {
	switch step.Op {
	case Say:
		return s.say(step.Text)
	case Expect:
		return s.expect(step)
	case Pause:
		s.n.idleFor(s.raw, step.Wait)
	case Close:
		return errEnd // serve closes
	case Reset:
		s.raw.reset()
		return errEnd
	case StartTLS:
		return s.startTLS(step)
	case Junk:
		return s.send("\x00\xff\xfe\x80garbage\x00\x01\x02\xf0\x28\x8c\x28\r\n")
	case Stall:
		s.raw.in.idle(-1)
		return errEnd
	case Drip:
		return s.drip(step)
	case Repeat:
		return s.repeat(step)
	case Bytes:
		return s.send(step.Text)
	}
	return nil
}

// say sends a line, with $DATE and $ID filled in.
func (s *session) say(text string) error {
	if strings.Contains(text, "$DATE") {
		text = strings.ReplaceAll(text, "$DATE", time.Now().UTC().Format(time.RFC1123Z))
	}
	for strings.Contains(text, "$ID") {
		text = strings.Replace(text, "$ID", s.n.w.token(), 1)
	}
	return s.send(text + "\r\n")
}

// send writes bytes. A client that has spoken before the last of the greeting
// broke RFC 5321 section 4.3.1, and servers turn such clients away; not so on a
// connection that begins with TLS, where the client speaks first, or would if the
// server knew of it.
func (s *session) send(text string) error {
	if s.silent && s.conn == net.Conn(s.raw) && s.raw.in.spoken() {
		s.problem(0, "the client spoke before the greeting was complete")
		s.silent = false // once is enough
	}
	_, err := s.conn.Write([]byte(text))
	return err
}

// repeat sends a line many times, until the client has gone.
func (s *session) repeat(step Step) error {
	for range step.Count {
		err := s.say(step.Text)
		if err != nil {
			return err
		}
		if s.raw.in.over() {
			return errEnd
		}
	}
	return nil
}

// drip sends a line a byte at a time.
func (s *session) drip(step Step) error {
	for _, c := range []byte(step.Text + "\r\n") {
		err := s.send(string([]byte{c}))
		if err != nil {
			return err
		}
		s.n.idleFor(s.raw, step.Wait)
	}
	return nil
}

// command reads one line of the client. A line that is too long is recorded
// and ends the session.
func (s *session) command() (string, error) {
	s.silent = false
	line, err := s.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		s.problem(0, "the client sent a line of more than %d bytes", maxCommand)
		return "", err
	}
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
	s.n.mu.Lock()
	s.log.Commands = append(s.log.Commands, text)
	s.n.mu.Unlock()
	return text, nil
}

// expect waits for the command of a script line. QUIT is welcome at any time:
// a client may always go.
func (s *session) expect(step Step) error {
	got, err := s.command()
	if err != nil {
		return err
	}
	if matches(step.Text, got) {
		return nil
	}
	if strings.EqualFold(got, "QUIT") {
		return s.bye()
	}
	s.problem(step.Line, "the script expects %q and the client sent \"%s\"", "C: "+step.Text, audit.Raw(got).Clip(200))
	err = s.say("500 5.5.1 the script expects something else")
	if err != nil {
		return err
	}
	return errMismatch
}

// polite is what follows a script: QUIT is answered, nothing else is known.
func (s *session) polite() {
	for {
		got, err := s.command()
		if err != nil {
			return
		}
		if strings.EqualFold(got, "QUIT") {
			_ = s.bye() // it always says that the session is over
			return
		}
		err = s.say("500 5.5.1 Command unrecognized")
		if err != nil {
			return
		}
	}
}

// bye answers QUIT and closes, with close_notify inside TLS.
func (s *session) bye() error {
	err := s.say("221 2.0.0 Bye")
	if err != nil {
		return err
	}
	_ = s.conn.Close() // nobody is left to be told of an error
	return errEnd
}

// startTLS makes the connection TLS, as a server. What the client sent after
// its STARTTLS command and before our reply is command injection (RFC 3207
// section 4: the client must wait), recorded and thrown away.
func (s *session) startTLS(step Step) error {
	if s.r.Buffered() > 0 {
		s.problem(step.Line, "the client sent more after STARTTLS without waiting for the reply")
	}
	config := &tls.Config{
		MinVersion: step.Min, MaxVersion: step.Max,
		SessionTicketsDisabled: true,
		GetConfigForClient:     func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return nil, s.large(step, hello) },
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			host := hello.ServerName
			if host == "" {
				host = s.name
			}
			if host == "" {
				host = s.log.Remote.Addr().String()
			}
			return s.n.w.Certificate(step.Cert, host)
		},
	}
	secure := tls.Server(s.conn, config)
	err := secure.Handshake()
	if err != nil {
		return err // a client may refuse a certificate: that is no problem of the world
	}
	s.conn, s.r = secure, bufio.NewReaderSize(secure, maxCommand)
	return nil
}

// large does to a ClientHello with post-quantum key shares, which is larger
// than a packet, what old middleboxes do.
func (s *session) large(step Step, hello *tls.ClientHelloInfo) error {
	if step.Large == "" || !slices.Contains(hello.SupportedCurves, tls.X25519MLKEM768) {
		return nil
	}
	switch step.Large {
	case Reset:
		s.raw.reset()
	case Stall:
		s.raw.in.idle(-1)
	}
	s.raw.Close() // before crypto/tls sends an alert
	return errEnd
}

// problem records what the client did wrong; line is that of the script, or 0.
func (s *session) problem(line int, format string, args ...any) {
	where := fmt.Sprintf("%s connection #%d: ", s.log.Remote, s.log.N)
	if line > 0 {
		where = fmt.Sprintf("line %d: %s", line, where)
	}
	s.n.problem("%s%s", where, fmt.Sprintf(format, args...))
}

// token is a fresh word that looks like a queue id: letters and digits, a
// different one each time, the same ones in every run of a test.
func (w *World) token() string {
	w.mu.Lock()
	w.tokens++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", w.Name, w.tokens))
	w.mu.Unlock()
	const letters, digits = "BCDFGHJKLMNPQRSTVWXYZbcdfghjklmn", "0123456789"
	var b strings.Builder
	for i := range 7 {
		b.WriteByte(digits[sum[2*i]%10])
		b.WriteByte(letters[sum[2*i+1]%32])
	}
	return b.String()
}
