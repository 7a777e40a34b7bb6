package resolve

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
)

// Ensure dig, where there is one, asks for the name that it is told to ask
// for, whatever the name looks like: strangers choose the names that a report
// tells its reader to ask for.
func TestDig(t *testing.T) {
	_, err := exec.LookPath("dig")
	if err != nil {
		t.Skip("no dig here")
	}
	asked := make(chan dns.Question, 10)
	s := realServer(t, func(w dns.ResponseWriter, r *dns.Msg) {
		asked <- r.Question[0]
		_ = w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeNameError)) // dig says what it makes of silence
	})
	for _, name := range []audit.DNSName{"mx.example.org", "_dmarc.example.org", "@192.0.2.1", "-f", "-f.example", "-4", "+short", "+trace.example", "axfr", "mx", "ch", `it's\;.example`, `\@.example`, "."} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		line := fmt.Sprintf("%s @%s -p %d +tries=1", audit.Dig("TXT", name), s.Addr.Addr(), s.Addr.Port())
		out, err := exec.CommandContext(ctx, "sh", "-c", line).CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		if len(asked) != 1 {
			t.Fatalf("%s: %d questions\n%s", line, len(asked), out)
		}
		got := <-asked
		if got.Qtype != dns.TypeTXT || got.Name != viaWire(t, name) {
			t.Errorf("%s asks for %s %s", line, dns.Type(got.Qtype), got.Name)
		}
	}
}

// viaWire is a name as it reads once it has been on the wire: other octets may
// be escaped in it.
func viaWire(t *testing.T, name audit.DNSName) string {
	t.Helper()
	wire := make([]byte, 300)
	_, err := dns.PackDomainName(name.FQDN(), wire, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
