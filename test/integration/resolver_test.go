//go:build integration && linux

package integration

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestUselessResolver gives the program resolvers that are of no use. It must
// say which one that was, exit with 3, and judge nothing: not one verdict about
// a domain of which nothing was heard.
func TestUselessResolver(t *testing.T) {
	serveUDP(t, silentAddr, func([]byte) []byte { return nil })
	serveUDP(t, oddAddr, func([]byte) []byte { return []byte("\xff\xfe no DNS message at all") })
	serveUDP(t, refuseAddr, refuse)
	for _, c := range []struct{ name, addr string }{
		{"closed", closedAddr},
		{"silent", silentAddr},
		{"odd", oddAddr},
		{"refusing", refuseAddr},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"audit", labDomain, "--resolver", c.addr, "--allow-private", "--no-save", "--only", "mx,rdns,smtp,tls"}
			r := mailaudit(t, "", args...)
			if r.code != exitUnknown || !strings.Contains(r.stdout+r.stderr, c.addr) {
				t.Errorf("want exit %d and a mention of %s, got %s", exitUnknown, c.addr, r)
			}
			r = mailaudit(t, "", append(args, "--format", "json")...)
			var doc document
			err := json.Unmarshal([]byte(r.stdout), &doc)
			if err != nil || len(doc.Runs) != 1 || r.code != exitUnknown {
				t.Fatalf("want one run as JSON and exit %d: %v, got %s", exitUnknown, err, r)
			}
			unknown := 0
			for _, f := range doc.Runs[0].Findings {
				switch f.Status {
				case "unknown":
					unknown++
				case "pass", "fail":
					t.Errorf("%s %s: %s: %s", f.Rule, f.Subject, f.Status, f.Detail)
				}
			}
			if unknown == 0 {
				t.Errorf("nothing is unknown: %s", r)
			}
		})
	}
}

// serveUDP answers each packet to port 53 of addr with what answer makes of
// it, nil for nothing.
func serveUDP(t *testing.T, addr string, answer func([]byte) []byte) {
	t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(addr, "53"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, dns.MaxMsgSize)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			reply := answer(buf[:n])
			if reply != nil {
				_, _ = conn.WriteTo(reply, from) // the program may be gone
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

// refuse answers a question with RCODE 5.
func refuse(question []byte) []byte {
	var q, r dns.Msg
	err := q.Unpack(question)
	if err != nil {
		return nil
	}
	r.SetRcode(&q, dns.RcodeRefused)
	reply, err := r.Pack()
	if err != nil {
		return nil
	}
	return reply
}
