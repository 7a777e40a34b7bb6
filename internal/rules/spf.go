package rules

// spfRules judge who may send as the domain, as published in SPF (RFC 7208).
func spfRules() []Rule {
	return nil
}
