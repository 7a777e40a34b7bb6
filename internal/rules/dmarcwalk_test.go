package rules

import (
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// TestDMARCWalk: which record applies, for domains that lie deeper than that
// of the good world. A walk is written as its steps, longest name first: "-"
// is no record, "?" is not known, "&" are two records, all else is the rest of
// a record.
func TestDMARCWalk(t *testing.T) {
	cases := []struct {
		name   string
		domain string
		walk   string // separated by |
		at     string // where the record that applies stands; "-" none, "?" unknown
		asked  audit.DMARCPolicy
	}{
		{"its own", "a.example.org", "p=reject|p=none|-", "a.example.org", "reject"},
		{"its own, whatever is above", "a.example.org", "p=reject|?|?", "a.example.org", "reject"},
		{"none", "a.example.org", "-|-|-", "-", ""},
		{"organisation", "a.example.org", "-|p=reject|-", "example.org", "reject"},
		{"organisation, sp", "a.example.org", "-|p=reject; sp=quarantine|-", "example.org", "quarantine"},
		{"organisation, np is not for names that exist", "a.example.org", "-|p=reject; np=none|-", "example.org", "reject"},
		{"organisation, sp that is tested", "a.example.org", "-|p=none; sp=reject; t=y|-", "example.org", "quarantine"},
		{"the record nearest to the root", "a.b.example.org", "-|p=none|p=reject|-", "example.org", "reject"},
		{"a record below the root's is skipped only for policy", "a.b.example.org", "-|p=none|-|-", "b.example.org", "none"},
		{"psd=n ends the walk", "a.b.example.org", "-|p=none; psd=n|p=reject|-", "b.example.org", "none"},
		{"psd=n, and the rest is not known", "a.b.example.org", "-|p=none; psd=n|?|?", "b.example.org", "none"},
		{"psd=y, organisation below it", "a.example.co.uk", "-|p=quarantine|p=reject; psd=y|-", "example.co.uk", "quarantine"},
		{"psd=y, organisation without a record", "a.example.co.uk", "-|-|p=reject; psd=y|?", "co.uk", "reject"},
		{"psd=y, sp for organisations", "example.co.uk", "-|p=reject; psd=y; sp=none|-", "co.uk", "none"},
		{"psd=y, a record between does not count", "a.b.example.co.uk", "-|p=none|-|p=reject; psd=y|-", "co.uk", "reject"},
		{"psd=y at the top", "a.example.bank", "-|-|p=reject; psd=y", "bank", "reject"},
		{"the suffix itself", "co.uk", "p=reject; psd=y; sp=none|-", "co.uk", "reject"},
		{"two are none, above", "a.example.org", "-|&|-", "-", ""},
		{"two are none, the next counts", "a.b.example.org", "-|&|p=reject|-", "example.org", "reject"},
		{"two of its own are none", "a.example.org", "&|p=reject|-", "example.org", "reject"},
		{"its own is not known", "a.example.org", "?|p=reject|-", "?", ""},
		{"a step below is not known", "a.b.example.org", "-|?|p=reject|-", "?", ""},
		{"a step above is not known", "a.example.org", "-|p=reject|?", "?", ""},
		{"nothing, and the last is not known", "a.example.org", "-|-|?", "?", ""},
		{"ten labels: the walk jumps", "a.b.c.d.e.f.g.h.example.org", "-|-|-|-|-|-|p=reject|-", "example.org", "reject"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := walkWorld(t, c.domain, c.walk)
			r := &Report{rule: &Rule{ID: "dmarc.test", Severity: audit.High}}
			p, present, ok := dmarcApplies(s, r)
			at := p.at.String()
			switch {
			case !ok:
				at = "?"
				if len(r.findings) != 1 || r.findings[0].Status != audit.UnknownStatus {
					t.Errorf("said %+v", r.findings)
				}
			case len(r.findings) > 0:
				t.Errorf("said %+v although it is known", r.findings)
			case !present:
				at = "-"
			case p.asked(s) != c.asked:
				t.Errorf("asks for %q, want %q", p.asked(s), c.asked)
			}
			if at != c.at {
				t.Errorf("the record of %s applies, want %s", at, c.at)
			}
		})
	}
}

// walkWorld is a world of DMARC records alone.
func walkWorld(t *testing.T, name, walk string) *audit.Snapshot {
	t.Helper()
	domain, _, err := audit.ParseDomain(name)
	if err != nil {
		t.Fatal(err)
	}
	s := &audit.Snapshot{Domain: domain, Scope: audit.Scope{Areas: []audit.Area{audit.AreaDMARC}}}
	s.Facts.MX.Exists = audit.See(audit.Nothing{}, "")
	names, steps := audit.WalkNames(domain.Name()), strings.Split(walk, "|")
	if len(names) != len(steps) {
		t.Fatalf("%d steps for the names %v", len(steps), names)
	}
	for i, text := range steps {
		step := audit.DMARCStep{Domain: names[i]}
		switch text {
		case "-":
			step.Records = audit.None[[]audit.Raw](audit.NXDomain, "none", "")
		case "?":
			step.Records = audit.Dark[[]audit.Raw](audit.Reason{Code: audit.Timeout, Text: "no answer"}, "")
		case "&":
			step.Records = audit.See([]audit.Raw{"v=DMARC1; p=none", "v=DMARC1; p=reject"}, "")
		default:
			step.Records = audit.See([]audit.Raw{audit.Raw("v=DMARC1; " + text)}, "")
		}
		s.Facts.DMARC.Walk = append(s.Facts.DMARC.Walk, step)
	}
	return s
}

// TestDMARCDeep holds the rules to worlds deeper than the good one, and the
// darkening law with them.
func TestDMARCDeep(t *testing.T) {
	cases := []struct {
		name, domain, walk string
		rule               audit.RuleID
		want               audit.Status
	}{
		{"two records where the policy would come from", "a.example.org", "-|&|-", "dmarc.several", audit.Fail},
		{"two records above the end of the walk", "a.example.org", "-|p=none; psd=n|&", "dmarc.several", audit.Pass},
		{"two records above a name that is not known", "a.b.example.org", "-|?|&|-", "dmarc.several", audit.UnknownStatus},
		{"two records: nothing else is said", "a.example.org", "-|&|-", "dmarc.missing", audit.NAStatus},
		{"weak sp, but not the organisation's", "a.example.org", "p=reject; sp=none|p=none|-", "dmarc.subdomains-weaker", audit.NAStatus},
		{"weak sp, the organisation is one below the suffix", "example.co.uk", "p=reject; sp=none|p=none; psd=y|-", "dmarc.subdomains-weaker", audit.Fail},
		{"weak sp, the organisation lies between", "a.example.co.uk", "p=reject; sp=none|-|p=none; psd=y|-", "dmarc.subdomains-weaker", audit.NAStatus},
		{"weak sp, psd=n", "a.example.org", "p=reject; sp=none; psd=n|?|?", "dmarc.subdomains-weaker", audit.Fail},
		{"weak sp, above is not known", "a.example.org", "p=reject; sp=none|?|-", "dmarc.subdomains-weaker", audit.UnknownStatus},
		{"the organisation wins over the suffix", "a.example.co.uk", "-|p=none|p=reject; psd=y|-", "dmarc.p-none", audit.Fail},
		{"a bad record above", "a.example.org", "-|p=rejct|-", "dmarc.invalid", audit.Fail},
		{"reports of the record above", "a.example.org", "-|p=reject; rua=mailto:d@example.org|-", "dmarc.no-rua", audit.Pass},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := walkWorld(t, c.domain, c.walk)
			checkDarkening(t, s, Evaluate)
			said := 0
			for _, f := range Evaluate(s) {
				if f.Rule != c.rule {
					continue
				}
				said++
				if f.Status != c.want || f.Subject != c.domain {
					t.Errorf("%s is %s: %s", f.Subject, f.Status, f.Detail)
				}
			}
			if said != 1 {
				t.Errorf("%s says %d things", c.rule, said)
			}
		})
	}
}
