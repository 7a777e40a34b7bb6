//go:build integration && linux

package integration

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A tap stands between mailaudit and a server, passes on what they say, and
// writes it down, inside TLS as well: there it is the server to the one and the
// client to the other. It holds the last octet of every reply back for a moment,
// in which whoever may not speak before the reply is whole says nothing.
type tap struct {
	t       *testing.T
	server  string // ADDRESS:PORT
	fromOn  bool   // TLS from the first octet
	cert    tls.Certificate
	mu      sync.Mutex // guards opened and talks
	opened  int
	talks   []*talk
	serving sync.WaitGroup
}

// talk is what was said on one connection.
type talk struct {
	said  []string // the client's lines, "TLS" for a handshake
	heard int      // replies of the server
	early string   // what the client said before a reply was whole
}

// holdBack is how long the last octet of a reply is kept.
const holdBack = 100 * time.Millisecond

// startTap listens on address:port and passes on to server.
func startTap(t *testing.T, at, server string, fromOn bool, cert issued) *tap {
	t.Helper()
	text, err := os.ReadFile(cert.file)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{t: t, server: server, fromOn: fromOn, cert: pair}
	p.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			p.mu.Lock()
			p.opened++
			p.mu.Unlock()
			p.serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.serving.Wait()
	})
	return p
}

// ended is what was said on all connections, once they are over: the tap hears
// of the end after those who made it.
func (p *tap) ended(t *testing.T) []*talk {
	t.Helper()
	var talks []*talk
	eventually(t, "the tap hears of the end", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		talks = p.talks
		if len(talks) == 0 || len(talks) < p.opened {
			return fmt.Errorf("%d of %d connections are over", len(talks), p.opened)
		}
		return nil
	})
	return talks
}

func (p *tap) serve(client net.Conn) {
	defer client.Close()
	k := &talk{}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.talks = append(p.talks, k)
	}()
	server, err := net.DialTimeout("tcp", p.server, askTimeout)
	if err != nil {
		p.t.Errorf("the tap cannot reach %s: %v", p.server, err)
		return
	}
	defer server.Close()
	deadline := time.Now().Add(programTimeout)
	err = errors.Join(client.SetDeadline(deadline), server.SetDeadline(deadline))
	if err != nil {
		p.t.Error(err)
		return
	}
	err = k.follow(client, server, p.fromOn, p.cert)
	if err != nil && !strings.Contains(err.Error(), "client offered only unsupported versions") { // old TLS
		p.t.Errorf("the tap before %s: %v, after %q", p.server, err, k.said)
	}
}

// follow passes on until the client closes.
func (k *talk) follow(client, server net.Conn, secure bool, cert tls.Certificate) error {
	for {
		if secure {
			k.said = append(k.said, "TLS")
			client, server = tls.Server(client, &tls.Config{Certificates: []tls.Certificate{cert}}), tls.Client(server, &tls.Config{InsecureSkipVerify: true})
		}
		commands, replies := bufio.NewReader(client), bufio.NewReader(server)
		for greeting := len(k.said) == 0 || len(k.said) == 1 && secure; ; greeting = false {
			if !greeting {
				line, err := commands.ReadString('\n')
				if err != nil && line == "" {
					return nil // the client has closed
				}
				k.said = append(k.said, strings.TrimSuffix(line, "\r\n"))
				_, err = fmt.Fprint(server, line)
				if err != nil {
					return fmt.Errorf("pass on %q: %w", line, err)
				}
			}
			reply, err := k.pass(replies, client, commands)
			if err != nil {
				return err
			}
			if k.said != nil && k.said[len(k.said)-1] == "STARTTLS" && strings.HasPrefix(reply, "220") {
				break
			}
		}
		secure = true
	}
}

// pass passes a whole reply on, its last octet after a moment of listening.
func (k *talk) pass(replies *bufio.Reader, client net.Conn, commands *bufio.Reader) (string, error) {
	var reply strings.Builder
	for last := false; !last; {
		line, err := replies.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("the server's reply breaks off at %q: %w", line, err)
		}
		last = len(line) < 4 || line[3] != '-'
		reply.WriteString(line)
	}
	text := reply.String()
	_, err := fmt.Fprint(client, text[:len(text)-1])
	if err != nil {
		return "", err
	}
	err = client.SetReadDeadline(time.Now().Add(holdBack))
	if err != nil {
		return "", err
	}
	ahead, err := commands.Peek(1)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		k.early += fmt.Sprintf("%q before the end of %q (%v) ", ahead, text, err)
	}
	k.heard++
	_, err = fmt.Fprint(client, text[len(text)-1:])
	return text, errors.Join(err, client.SetReadDeadline(time.Now().Add(programTimeout)))
}

// TestTap shows the tap what it must notice.
func TestTap(t *testing.T) {
	l, err := net.Listen("tcp", tapAddr+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return // the test is over
		}
		defer conn.Close()
		_, _ = fmt.Fprint(conn, "220-a\r\n220 b\r\n250 c\r\n") // the client's end says what came of it
		_, _ = bufio.NewReader(conn).ReadString('\n')
	}()
	at := tapAddr + ":2600"
	p := startTap(t, at, l.Addr().String(), false, makeCertificates(t, time.Hour).mx1)
	conn, err := net.DialTimeout("tcp", at, askTimeout)
	if err != nil {
		t.Fatal(err)
	}
	d := newDialogue(conn)
	reply, err := d.say("EHLO early")
	if err != nil || !slices.Equal(reply, []string{"220-a", "220 b"}) {
		t.Errorf("reply %q, %v", reply, err)
	}
	reply, err = d.say("")
	if err != nil || !slices.Equal(reply, []string{"250 c"}) {
		t.Errorf("reply %q, %v", reply, err)
	}
	_ = conn.Close() // without QUIT
	talks := p.ended(t)
	if len(talks) != 1 || !slices.Equal(talks[0].said, []string{"EHLO early"}) || !strings.Contains(talks[0].early, "before the end of") {
		t.Errorf("the tap heard %+v", talks)
	}
}

// TestDialogues listens in on runs of the program, default ones of audit and
// smtp among them: nothing is ever said but EHLO, STARTTLS and QUIT, nothing
// before what the server says is complete, and QUIT is the last word.
func TestDialogues(t *testing.T) {
	startBIND(t)
	certs := makeCertificates(t, time.Hour)
	startPostfix(t, certs)
	e := startExim(t, certs.issue(t, eximName, rsaKey(t), time.Hour))
	startOpenSMTPD(t, certs.issue(t, opensmtpdName, ecdsaKey(t), time.Hour))
	startDovecot(t, certs.issue(t, dovecotName, ecdsaKey(t), time.Hour))
	startSubmission(t, certs.issue(t, submitName, ecdsaKey(t), time.Hour))
	cert := certs.issue(t, "tap.lab.test", ecdsaKey(t), time.Hour)

	upgraded := []string{"EHLO " + clientName, "STARTTLS", "TLS", "EHLO " + clientName, "QUIT"}
	secure := []string{"TLS", "EHLO " + clientName, "QUIT"}
	plain := []string{"EHLO " + clientName, "QUIT"}
	for i, c := range []struct {
		server string
		args   []string // smtp and the tap, where empty
		want   []string
	}{
		{mx1Addr + ":25", []string{"audit", "tapped.lab.test", "--only", "mx,rdns,smtp,tls"}, upgraded},
		{mx1Addr + ":25", nil, upgraded},
		{submitAddr + ":587", nil, upgraded},
		{submitAddr + ":465", []string{"--mode", "tls"}, secure},
		{eximAddr + ":25", nil, upgraded},
		{eximAddr + ":587", nil, upgraded},
		{eximAddr + ":465", []string{"--mode", "tls"}, secure},
		{dovecotAddr + ":587", nil, upgraded},
		{dovecotAddr + ":465", []string{"--mode", "tls"}, secure},
		{opensmtpdAddr + ":25", []string{"--mode", "plain"}, plain},
		{opensmtpdAddr + ":587", []string{"--mode", "plain"}, plain},
	} {
		port := 25
		if i > 0 {
			port = 2600 + i
		}
		at := fmt.Sprintf("%s:%d", tapAddr, port)
		args := c.args
		if i > 0 {
			args = append([]string{"smtp", at}, c.args...)
		}
		name := strings.Join(args, " ") + " to " + c.server
		t.Run(name, func(t *testing.T) {
			p := startTap(t, at, c.server, slices.Contains(args, "tls"), cert)
			r, said := oneRun(t, certs.root, append(args, "--no-save")...)
			if len(r.Facts.SMTP) != 1 || r.Facts.SMTP[0].Hello.State != "seen" && r.Facts.SMTP[0].HelloTLS.State != "seen" {
				t.Errorf("no server was seen: %s", said)
			}
			talks := p.ended(t)
			tls := slices.Contains(c.want, "TLS")
			if len(talks) != 1 && !(tls && len(talks) == 2) {
				t.Errorf("%d connections", len(talks))
			}
			for i, k := range talks {
				// The one behind the main dialogue tries old versions of TLS; the
				// tap refuses them in the handshake, which ends it.
				old := tls && i > 0 && k.said[len(k.said)-1] == "TLS" && slices.Equal(k.said, c.want[:len(k.said)])
				if !old && !slices.Equal(k.said, c.want) || k.early != "" {
					t.Errorf("said %q, want %q; early: %s", k.said, c.want, k.early)
				}
			}
		})
	}
	e.checkLog(t)
}
