package rules

import (
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// TestMissingIssuer: the certificate that is missing is named: the issuer of
// the last one that can be reached from the server's own, whatever the order,
// and whatever a stranger sends beside.
func TestMissingIssuer(t *testing.T) {
	c := func(subject, issuer, key, by string) audit.Certificate {
		return audit.Certificate{Subject: audit.Raw(subject), Issuer: audit.Raw(issuer), KeyID: key, IssuerKeyID: by}
	}
	own := c("CN=mx", "CN=R1", "1", "2")
	for _, tt := range []struct {
		name  string
		chain []audit.Certificate
		want  string
	}{
		{"nothing is sent", []audit.Certificate{own}, `"CN=R1" (key 2)`},
		{"one of two", []audit.Certificate{own, c("CN=R1", "CN=X1", "2", "3")}, `"CN=X1" (key 3)`},
		{"in disorder", []audit.Certificate{own, c("CN=X1", "CN=Y1", "3", "4"), c("CN=R1", "CN=X1", "2", "3")}, `"CN=Y1" (key 4)`},
		{"the wrong one", []audit.Certificate{own, c("CN=R2", "CN=X1", "9", "3")}, `"CN=R1" (key 2)`},
		{"the name, and another key", []audit.Certificate{own, c("CN=R1", "CN=X1", "9", "3")}, `"CN=R1" (key 2)`},
		{"keys without names", []audit.Certificate{c("CN=mx", "CN=R1", "", ""), c("CN=R1", "CN=X1", "", "")}, `"CN=X1"`},
		{"two that name each other", []audit.Certificate{own, c("CN=R1", "CN=X1", "2", "3"), c("CN=X1", "CN=R1", "3", "2")}, ""},
		{"escapes", []audit.Certificate{c("CN=mx", "CN=\x1b[2J\"", "1", "")}, `"CN=\x1B[2J""`},
	} {
		sent := linked(tt.chain)
		if got := issuerOf(sent[len(sent)-1]); tt.want != "" && got != tt.want {
			t.Errorf("%s: %s is missing, want %s", tt.name, got, tt.want)
		}
	}
	world := apply(t, good(t), []string{"smtp.0.tls.value.trust = absent incomplete"})
	for _, f := range Evaluate(world) {
		if f.Rule == "tls.cert-chain-incomplete" && f.Subject == world.Facts.SMTP[0].Subject() && !strings.HasSuffix(f.Detail, `that of "CN=Test Root" (key 33) is missing`) {
			t.Errorf("%s", f.Detail)
		}
	}
}
