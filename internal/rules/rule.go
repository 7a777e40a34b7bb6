// Package rules is the catalogue: every rule that mailaudit judges by is a
// value in a list, and [Evaluate] applies the list to a snapshot.
//
// A rule is a proposition that a healthy domain fulfils ("Every MX target has
// an address"), with the clause that demands it, the reason it matters, what
// to do when it fails, and a pure function that judges it. Rules never look:
// they read the snapshot, know no clock but Snapshot.At, and have one door to
// the value of an observation, [Need] with its relatives, which cannot forget
// that an observation may be unknown. So the promise of the program, "a verdict
// is true or it is unknown", is a property of this package that the law tests
// prove once for all rules.
//
// To add a rule: write the literal in the file of its area and its cases in
// testdata/<area>/<name>.txt ("make rule ID=area.name" writes both skeletons);
// nothing else. docs/rules.md is generated from the same text by "make docs".
package rules

import (
	"slices"

	"mailaudit/internal/audit"
)

// Version is the version of the catalogue, stored with every run. It is
// raised to the program's next version when rules come or go, so that a
// comparison can tell a new check from a regression.
const Version = "0.3.0"

// Ref is the source of a rule: an RFC with its section, or a receiver's
// published requirement.
type Ref struct {
	Title   string // "RFC 5321"
	Section string // "5.1"; for a published page, its URL
}

// Rule is one proposition about a domain, a host, an address or an endpoint.
type Rule struct {
	ID    audit.RuleID
	Axis  audit.Axis
	Since string // catalogue version that brought it
	// Severity is the base; Judge may choose another one of Range.
	Severity audit.Severity
	Range    []audit.Severity // besides Severity
	// AtPort25 is the worst that a fail on port 25 can be, where that is less
	// than on the ports where mail is handed in. Empty: there is no difference.
	AtPort25 audit.Severity
	Title    string // the proposition that passes
	Refs     []Ref  // no citation, no rule
	Why      string // what goes wrong for real mail when it fails
	Fix      string // what to do, in general words
	// After lists rules that make this one moot where they fail: one dead host
	// is one failure, not twelve. They stand earlier in the catalogue.
	After []audit.RuleID
	Judge func(s *audit.Snapshot, r *Report)
}

// Worst is the worst that a fail of the rule can be.
func (r *Rule) Worst() audit.Severity {
	return slices.MaxFunc(append([]audit.Severity{r.Severity}, r.Range...), func(a, b audit.Severity) int { return a.Rank() - b.Rank() })
}

// Area is the area of the rule.
func (r *Rule) Area() audit.Area { return r.ID.Area() }

// Catalogue returns all rules, in the order in which they are evaluated and
// listed.
func Catalogue() []Rule {
	var all []Rule
	for _, area := range audit.Areas() {
		all = append(all, of(area)...)
	}
	return append(all, of(audit.AreaVantage)...)
}

// of are the rules of an area.
func of(area audit.Area) []Rule {
	switch area {
	case audit.AreaMX:
		return mxRules()
	case audit.AreaSPF:
		return slices.Concat(spfRules(), spfTreeRules(), helloSPFRules())
	case audit.AreaDKIM:
		return dkimRules()
	case audit.AreaDMARC:
		return dmarcRules()
	case audit.AreaRDNS:
		return rdnsRules()
	case audit.AreaHELO:
		return heloRules()
	case audit.AreaDNSBL:
		return dnsblRules()
	case audit.AreaSMTP:
		return append(smtpRules(), extensionRules()...)
	case audit.AreaTLS:
		return slices.Concat(tlsRules(), tlsDepthRules(), tlsCertRules())
	case audit.AreaAUTH:
		return append(authRules(), submissionRules()...)
	case audit.AreaVantage:
		return vantageRules()
	}
	return nil
}

// Info is what comparisons need to know of the catalogue.
func Info() audit.Catalogue {
	c := audit.Catalogue{Version: Version, Since: map[audit.RuleID]string{}}
	for _, r := range Catalogue() {
		c.Since[r.ID] = r.Since
	}
	return c
}

// Lookup finds a rule by its id.
func Lookup(id audit.RuleID) (Rule, bool) {
	for _, r := range of(id.Area()) { // reports ask for every finding
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// URL is where a reference can be read.
func (r Ref) URL() string {
	var n, section string
	if _, rest, ok := cut(r.Title, "RFC "); ok {
		n, section = rest, r.Section
	}
	switch {
	case n == "":
		return r.Section
	case section == "":
		return "https://www.rfc-editor.org/rfc/rfc" + n
	case 'A' <= section[0] && section[0] <= 'Z':
		return "https://www.rfc-editor.org/rfc/rfc" + n + "#appendix-" + section
	}
	return "https://www.rfc-editor.org/rfc/rfc" + n + "#section-" + section
}

// String is the short form: "RFC 5321 5.1".
func (r Ref) String() string {
	if _, _, ok := cut(r.Title, "RFC "); ok && r.Section != "" {
		return r.Title + " " + r.Section
	}
	return r.Title
}
