package smtp

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

var _ Dialer = (*dial.Dialer)(nil)

// TestLoopback drives the real dialer over the system's TCP: what the
// in-memory tests claim about sockets is held against sockets.
func TestLoopback(t *testing.T) {
	cert := leaf(t, nil, nil)
	full := func(c net.Conn) {
		defer c.Close()
		talk := func(c net.Conn, want, answer string) bool {
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || line != want+"\r\n" {
				t.Errorf("client said %q, %v; want %q", line, err, want)
				return false
			}
			_, err = c.Write([]byte(answer))
			return err == nil
		}
		c.Write([]byte("220 mx\r\n"))
		if !talk(c, ehlo, "250-mx\r\n250 STARTTLS\r\n") || !talk(c, "STARTTLS", "220 go\r\n") {
			return
		}
		inside := tls.Server(c, serve(cert))
		if talk(inside, ehlo, "250 mx\r\n") {
			talk(inside, "QUIT", "221 bye\r\n")
		}
	}
	talk := func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		c.Write([]byte("220 mx\r\n"))
		for _, answer := range []string{"250-mx\r\n250 STARTTLS\r\n", "221 bye\r\n"} {
			line, err := in.ReadString('\n')
			if err != nil || line != ehlo+"\r\n" && line != "QUIT\r\n" {
				t.Errorf("client said %q, %v", line, err)
				return
			}
			c.Write([]byte(answer))
		}
	}
	for _, tt := range []struct {
		name  string
		serve func(net.Conn) // nil: nobody listens
		want  string
		mode  audit.Mode
	}{
		{"complete", full, "S S S n S S S", ""},
		{"nobody listens", nil, "!conn-refused n n n n n n", ""},
		{"complete in clear", talk, "S S S n S - -", audit.ModePlain},
		{"complete inside TLS", func(c net.Conn) { talk(tls.Server(c, serve(cert))) }, "S S n n n S S", audit.ModeTLS},
		{"in clear where TLS was expected", func(c net.Conn) {
			c.Write([]byte("220 mx\r\n"))
			io.Copy(io.Discard, c)
			c.Close()
		}, "S not-learned n n n clear-text not-learned", audit.ModeTLS},
		{"TLS where a greeting was expected", func(c net.Conn) {
			c.Write([]byte("\x15\x03\x03\x00\x02\x02\x50"))
			c.Close()
		}, "S tls-only not-learned", audit.ModePlain},
		{"close where TLS was expected", func(c net.Conn) { c.Close() }, "S not-learned n n n closed not-learned", audit.ModeTLS},
		{"reset in the greeting", func(c net.Conn) {
			c.Write([]byte("220-mx\r\n"))
			time.Sleep(20 * time.Millisecond) // else the RST overtakes the connect
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}, "S reset not-learned", ""},
		{"close in the greeting", func(c net.Conn) { c.Write([]byte("220-mx\r\n")); c.Close() }, "S closed not-learned", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			at := l.Addr().(*net.TCPAddr).AddrPort()
			done := make(chan struct{})
			if tt.serve == nil {
				l.Close()
			}
			go func() {
				defer close(done)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					tt.serve(c)
				}
			}()
			p := New(Config{HELO: testHELO, Limits: Limits{ConfirmAfter: time.Millisecond}, Dialer: dial.New(dial.Config{
				Guard: func(netip.Addr) string { return "" }, Spacing: time.Millisecond,
			})})
			e, _ := p.Probe(t.Context(), Target{Host: "mx.example.org", Addr: at.Addr(), Port: at.Port(), Mode: tt.mode})
			if got := summary(e); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %s, want %s ...", got, tt.want)
			}
			p.Drain(t.Context())
			l.Close()
			<-done
		})
	}
}
