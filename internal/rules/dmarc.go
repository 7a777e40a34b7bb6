package rules

// dmarcRules judge what receivers are asked to do with mail that fails (RFC 9989).
func dmarcRules() []Rule {
	return nil
}
