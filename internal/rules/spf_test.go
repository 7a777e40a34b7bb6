package rules

import (
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// FuzzSPFRules: whatever a record holds, what is said of it is printable.
func FuzzSPFRules(f *testing.F) {
	for _, s := range []string{"mx -all", "ip4:0.0.0.0/1 ip4:128.0.0.0/1", "%{ :/ = - +", "a:%{d}//", "\u00a0\u2003x", "ip6:::ffff:0.0.0.0/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		record := audit.ParseSPF(audit.Raw("v=spf1 " + s))
		texts := []string{spfPassesAll(record)}
		for _, fault := range record.Faults {
			texts = append(texts, fault.String())
		}
		for _, text := range texts {
			if strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
				t.Errorf("%q is not printable", text)
			}
		}
	})
}
