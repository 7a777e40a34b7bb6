package dnscheck

import (
	"testing"

	"mailaudit/internal/audit"
)

// FuzzPublicKey: a key record of any text is a key with a size, or says why it
// is none.
func FuzzPublicKey(f *testing.F) {
	for _, s := range []string{
		"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "v=DKIM1; p=", "p=AAAA", "k=rsa; p=MEgCQQ==", "v=DKIM1; p=%%", "k=x; p=x", "p=MA0GCSqGSIb3DQEBAQUAA0sAMEgCQQ==",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, record string) {
		got := publicKey(audit.Raw(record), "dig")
		switch got.State {
		case audit.Seen:
			if got.Value.Bits <= 0 || got.Value.Type != "rsa" && got.Value.Type != "ed25519" {
				t.Errorf("%q: %+v", record, got.Value)
			}
		case audit.Absent:
			if got.Why.Code == "" || got.Why.Text == "" || got.Value != (audit.PublicKey{}) {
				t.Errorf("%q: %+v", record, got)
			}
		default:
			t.Errorf("%q: %q", record, got.State)
		}
	})
}
