package rules

// dnsblRules judge what block lists say of addresses and of the domain (RFC 5782).
func dnsblRules() []Rule {
	return nil
}
