package rules

// dkimRules judge the DKIM keys of the selectors that the user named (RFC 6376).
func dkimRules() []Rule {
	return nil
}
