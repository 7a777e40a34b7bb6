package smtp

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"mailaudit/internal/audit"
)

// serviceNames are the SRV names in subjectAltName (RFC 4985):
// "_submission.example.org" says that the server may offer that service for
// that domain. crypto/x509 leaves them out; it has parsed the rest of the
// extension without complaint by the time we look.
//
//	GeneralName ::= CHOICE { otherName [0] IMPLICIT SEQUENCE {
//	        type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY }, ... }
func serviceNames(c *x509.Certificate) []audit.Raw {
	subjectAltName := asn1.ObjectIdentifier{2, 5, 29, 17}
	dnsSRV := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 7}
	var out []audit.Raw
	for _, ext := range c.Extensions {
		var list asn1.RawValue
		_, err := asn1.Unmarshal(ext.Value, &list)
		if !ext.Id.Equal(subjectAltName) || err != nil {
			continue
		}
		for rest := list.Bytes; len(rest) > 0 && len(out) < audit.MaxNames; {
			var name, value, text asn1.RawValue
			var kind asn1.ObjectIdentifier
			rest, err = asn1.Unmarshal(rest, &name)
			if err != nil {
				break
			}
			if name.Class != asn1.ClassContextSpecific || name.Tag != 0 {
				continue
			}
			inner, err := asn1.Unmarshal(name.Bytes, &kind)
			if err != nil || !kind.Equal(dnsSRV) {
				continue
			}
			_, err = asn1.Unmarshal(inner, &value)
			if err == nil {
				_, err = asn1.Unmarshal(value.Bytes, &text)
			}
			if err == nil && text.Class == asn1.ClassUniversal && text.Tag == asn1.TagIA5String {
				out = append(out, audit.Raw(text.Bytes).Clip(maxDN))
			}
		}
	}
	slices.Sort(out)
	return out
}
