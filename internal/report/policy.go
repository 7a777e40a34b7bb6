package report

import (
	"fmt"
	"net/netip"
	"strings"

	"mailaudit/internal/audit"
)

// This file makes an inventory of the SPF policy: each term of the record, who
// is behind it, what it costs and whom it lets send. The tree that mailaudit
// spf prints has the same and more, for those who look into one policy.

// Policy is an SPF policy, whoever sends, for lookup.
type Policy struct {
	Lookups string       // "4 of 10", "at least 13 of 10"
	Voids   string       // "1 of 2"
	Terms   []PolicyTerm // in the order of evaluation, those of a record behind the term that leads to it
	IP4     string       // addresses of all terms together, as in PolicyTerm
	IP6     string
	Senders []PolicySender
}

// PolicyTerm is a term of a record, or several networks in a row.
type PolicyTerm struct {
	Depth   int    // 0: of the domain's own record
	In      string // whose record it stands in
	Term    string
	About   string // who is behind it, or what it says of everyone else; may be empty
	Lookups string // with all below it; empty where it is never reached
	IP4     string // addresses that it lets send: a number, "everyone", "others", "?" for those that are not known, or "-"
	IP6     string
	Notes   []string // what is wrong there
	Records []string // what it leads to, in quotes
}

// PolicySender is what SPF says of an address.
type PolicySender struct {
	Addr   string
	As     string // the sender, or the name in EHLO
	Result string // of check_host; empty: not known
	Why    string
}

// spfPolicy is the policy of a run; ok is false where there is no one record that
// can be read, or the run is from before all of it was looked at.
func spfPolicy(run *audit.Run) (p audit.SPFPolicy, ok bool) {
	s := run.Snapshot
	f := s.Facts.SPF
	if s.Domain.IsZero() || f.Alias.State == audit.NotTried || len(f.Records.Value) != 1 {
		return p, false
	}
	p = f.Policy(s.Domain)
	return p, len(p.Tree.Faults) == 0
}

// spfInventory is the inventory of a run; nil where there is no such policy.
func spfInventory(run *audit.Run) *Policy {
	whole, ok := spfPolicy(run)
	if !ok {
		return nil
	}
	least := ""
	if !whole.Exact {
		least = "at least "
	}
	p := &Policy{
		Lookups: fmt.Sprintf("%s%d of %d", least, whole.Lookups, audit.SPFMaxLookups),
		Voids:   fmt.Sprintf("%d of %d", whole.VoidLookups, audit.SPFMaxVoids),
		Terms:   policyTerms(nil, whole.Tree, 0, true),
		Senders: policySenders(run.Snapshot.Domain.String(), run.Snapshot.Facts.SPF),
	}
	p.IP4, p.IP6 = amounts(whole.Authorised, whole.Tree.Doubt().Code != "")
	return p
}

// policyTerms adds the terms of a record, and of those that they lead to. decides:
// what its all says holds for the domain, and not for an include alone.
func policyTerms(out []PolicyTerm, b *audit.SPFBranch, depth int, decides bool) []PolicyTerm {
	for i := 0; i < len(b.Terms); i++ {
		t := b.Terms[i]
		row := PolicyTerm{Depth: depth, In: b.Domain.String(), Term: t.Term.Clip(maxSPFTerm).String(), About: policyAbout(t, decides), Notes: policyNotes(t)}
		if !t.Dead {
			row.Lookups = fmt.Sprint(t.Lookups)
		}
		row.IP4, row.IP6 = amounts(t.Authorised, t.Doubt().Code != "")
		if run := spfNetworks(b.Terms[i:]); run > maxSPFRun {
			row.Term = fmt.Sprintf("%s ... (%d networks)", t.Term.Clip(maxSPFTerm), run)
			row.IP4, row.IP6 = amounts(audit.SPFRangesOf(policyNetworks(b.Terms[i:i+run])), false)
			i += run - 1
		}
		if t.Branch != nil && !t.Branch.Repeat && !t.Branch.Loop {
			for _, r := range t.Branch.Records {
				row.Records = append(row.Records, `"`+r.String()+`"`)
			}
		}
		out = append(out, row)
		if t.Branch != nil {
			redirect := strings.HasPrefix(strings.ToLower(string(t.Term)), "redirect=")
			out = policyTerms(out, t.Branch, depth+1, decides && redirect)
		}
	}
	return out
}

// policyNetworks are those of terms that pass.
func policyNetworks(terms []audit.SPFPolicyTerm) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range terms {
		for _, parsed := range audit.ParseSPF("v=spf1 " + t.Term).Terms {
			if !t.Dead && parsed.Network.IsValid() && t.Authorised.Networks > 0 {
				out = append(out, parsed.Network)
			}
		}
	}
	return out
}

// amounts is how many addresses of each family are let send; dark: and not all is
// known.
func amounts(r audit.SPFRanges, dark bool) (ip4, ip6 string) {
	if r.Everyone {
		return "everyone", "everyone"
	}
	family := func(count string) string {
		var words []string
		if count != "0" {
			words = append(words, strings.Replace(count, "about ", "~", 1))
		}
		switch {
		case dark:
			words = append(words, "?")
		case r.Others:
			words = append(words, "others")
		case len(words) == 0:
			return "-"
		}
		return strings.Join(words, "+")
	}
	return family(spfMany(fmt.Sprint(r.IP4))), family(spfMany(r.IP6))
}

// policyAbout is who is behind a term, or what an all says of everyone else.
func policyAbout(t audit.SPFPolicyTerm, decides bool) string {
	text := strings.ToLower(string(t.Term))
	if strings.TrimLeft(text, "+-~?") == "all" && !t.Dead && decides {
		return "everyone else: " + map[byte]string{'-': "fail", '~': "softfail", '?': "neutral", '+': "pass", 'a': "pass"}[text[0]]
	}
	if t.Branch != nil {
		return t.Branch.Vendor
	}
	return ""
}

// policyNotes are what keeps a term from doing what it is there for.
func policyNotes(t audit.SPFPolicyTerm) []string {
	var out []string
	switch {
	case t.Dead:
		return []string{"never reached"}
	case t.Crosses:
		out = append(out, "the eleventh lookup is here: permerror for who comes so far")
	}
	if t.Varies {
		out = append(out, "a name that depends on who sends")
	}
	if t.Branch != nil {
		if t.Branch.Loop {
			return append(out, "leads back to itself: permerror for who comes here")
		}
		return append(out, spfBranchTrouble(t.Branch)...)
	}
	f := t.Found
	if f == nil {
		if t.Target != "" && !isSPFPointer(t.Term) {
			out = append(out, "not asked for: the policy has more terms than are followed")
		}
		return out
	}
	out = append(out, spfAnswer(f.State, f.Answer)...)
	if f.HostsLeftOut > 0 {
		out = append(out, fmt.Sprintf("leads to %d mail servers: permerror, for %d are the limit", len(f.Hosts)+f.HostsLeftOut, audit.SPFMaxNames))
	}
	if f.Doubt.Code != "" && f.State == audit.Seen {
		out = append(out, "not all is known: "+f.Doubt.Text)
	}
	return out
}

func policySenders(domain string, f audit.SPF) []PolicySender {
	var out []PolicySender
	add := func(as string, list []audit.SPFSender) {
		for _, s := range list {
			line := PolicySender{Addr: s.Addr.String(), As: as, Result: string(s.Verdict.Value.Result), Why: s.Verdict.Value.Why}
			if s.Verdict.State != audit.Seen {
				line.Result, line.Why = "", "not known: "+s.Verdict.Why.Text
			}
			out = append(out, line)
		}
	}
	add("postmaster@"+domain, f.Senders)
	for _, h := range f.Hellos {
		add("EHLO "+h.Name.String(), h.Senders)
	}
	return out
}

// jsonPolicy is the inventory for programs: what the facts come to.
type jsonPolicy struct {
	Lookups     int              `json:"lookups"`
	Exact       bool             `json:"exact"`
	VoidLookups int              `json:"void_lookups"`
	Over        *audit.SPFMatch  `json:"over,omitempty"`
	OverVoids   *audit.SPFMatch  `json:"over_voids,omitempty"`
	NotAsked    int              `json:"not_asked,omitempty"`
	Authorised  audit.SPFRanges  `json:"authorised"`
	Terms       []jsonPolicyTerm `json:"terms"`
}

// jsonPolicyTerm is a term of the domain's own record.
type jsonPolicyTerm struct {
	Term       audit.Raw       `json:"term"`
	At         int             `json:"at"`
	Vendor     string          `json:"vendor,omitempty"`
	Lookups    int             `json:"lookups"`
	Authorised audit.SPFRanges `json:"authorised"`
	Doubt      audit.Reason    `json:"doubt,omitzero"`
}

func policyJSON(run *audit.Run) *jsonPolicy {
	p, ok := spfPolicy(run)
	if !ok {
		return nil
	}
	out := &jsonPolicy{
		Lookups: p.Lookups, Exact: p.Exact, VoidLookups: p.VoidLookups, Over: p.Over, OverVoids: p.OverVoids, NotAsked: p.NotAsked,
		Authorised: p.Authorised, Terms: []jsonPolicyTerm{},
	}
	for _, t := range p.Tree.Terms {
		line := jsonPolicyTerm{Term: t.Term, At: t.At, Lookups: t.Lookups, Authorised: t.Authorised, Doubt: t.Doubt()}
		if t.Branch != nil {
			line.Vendor = t.Branch.Vendor
		}
		out.Terms = append(out.Terms, line)
	}
	return out
}
