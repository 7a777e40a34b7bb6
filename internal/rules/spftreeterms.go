package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// The rules of this file are about terms of the domain's own record that add
// nothing to what others say.

// spfSpare is a term that adds nothing, and why.
type spfSpare struct {
	spfPlace
	why string
	// twice: the same term, with the same qualifier, stands in front of it.
	// lent: what says the same is a record of others.
	twice, lent bool
}

func (x spfSpare) String() string { return x.spec.Quoted() + ", which " + x.why }

// mechanisms are those of the domain's own record that evaluation comes to.
func (t *spfTree) mechanisms() []spfPlace {
	return t.find(func(p spfPlace) bool { return p.own && !p.spec.Modifier })
}

// oneQualifier reports whether all mechanisms but a last all have the same
// qualifier: then what stands in front of what makes no difference.
func oneQualifier(list []spfPlace) bool {
	for _, p := range list {
		if !p.spec.IsAll() && p.spec.Qualifier != list[0].spec.Qualifier {
			return false
		}
	}
	return true
}

// meaning is what a mechanism says, written in one way only.
func meaning(spec audit.SPFTerm) string {
	if spec.Network.IsValid() {
		return fmt.Sprintf("%c%s", spec.Qualifier, spec.Network)
	}
	text := strings.TrimLeft(string(spec.Text), "+-~?")
	if !spec.Domain.Uses(letters) { // the case of macros counts: %{S} is escaped
		text = strings.ToLower(text)
	}
	return fmt.Sprintf("%c%s", spec.Qualifier, text)
}

const letters = "abcdefghijklmnopqrstuvwxyz"

// spares are the terms that add nothing. A later one that says the same as an
// earlier one never matches first, whatever stands between them; the others are
// spare only where the order makes no difference.
func (t *spfTree) spares() []spfSpare {
	own := t.mechanisms()
	free := oneQualifier(own)
	first := map[string]spfPlace{}
	var out []spfSpare
	for _, p := range own {
		m := meaning(p.spec)
		same, twice := first[m]
		if !twice {
			first[m] = p
		}
		switch {
		case p.spec.IsAll():
		case twice:
			out = append(out, spfSpare{p, "says the same as " + same.spec.Quoted() + " in front of it", true, false})
		case free && p.passes && p.term.Branch != nil:
			if by, ok := t.alsoBy(p); ok {
				out = append(out, spfSpare{p, "is included by " + recordOf(by) + " as well", false, !t.ours(by.Domain)})
			}
		case free && p.passes && p.spec.Network.IsValid():
			if by, ok := t.holder(p); ok {
				out = append(out, spfSpare{p, "lies in " + by.String(), false, !t.ours(by.in.Domain)})
			}
		}
	}
	return out
}

// alsoBy finds another record that includes the same, so that it is evaluated
// twice.
func (t *spfTree) alsoBy(p spfPlace) (*audit.SPFBranch, bool) {
	for _, q := range t.places {
		if q.passes && !q.own && q.spec.Is("include") && q.term.Target == p.term.Target && !slices.Contains(q.path, p.term.Target) && t.plain(q) {
			return q.in, true
		}
	}
	return nil, false
}

// plain reports whether the records that lead to a term take nothing out again:
// then whoever the term matches passes.
func (t *spfTree) plain(p spfPlace) bool {
	return !slices.ContainsFunc(p.path, func(name audit.DNSName) bool { return t.rough[name] })
}

// holder finds a wider network, in a term that names it, or an equal one in
// another record.
func (t *spfTree) holder(p spfPlace) (spfPlace, bool) {
	for _, q := range t.places {
		n, mine := q.spec.Network, p.spec.Network
		if q.passes && n.IsValid() && (n != mine || !q.own) && n.Bits() <= mine.Bits() && n.Contains(mine.Addr()) && (q.own || t.plain(q)) {
			return q, true
		}
	}
	return spfPlace{}, false
}

func judgeSPFRedundant(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	spares := t.spares()
	if len(spares) == 0 {
		if t.whole(s, r) {
			r.Pass(domain, "no term of the SPF record says what another one says")
		}
		return
	}
	fix := audit.Fix{Summary: "take out what is said twice"}
	for _, x := range spares {
		step := "take out " + x.String()
		if x.lent {
			step += ", if you want to rely on their record: they change it and tell nobody"
		}
		if len(fix.Steps) < 2*spfShown {
			fix.Steps = append(fix.Steps, step)
		}
	}
	if records := t.withoutTwins(s, spares); len(records) > 0 {
		fix.Records, fix.Steps = records, nil
	}
	r.Fail(domain, Fault{
		Detail: "terms of the SPF record say what others say: " + some(spares, 2*spfShown), Evidence: t.evidence(), Fix: fix,
	})
}

// withoutTwins is the record without the later one of equal terms. It means the
// same for every client: the later never matches where the earlier does not. It
// is only proposed where it cures the finding, where the record is known to
// stand at the name itself, in strings that are known, and where no other rule
// has a record to put in its place.
func (t *spfTree) withoutTwins(s *audit.Snapshot, spares []spfSpare) []audit.FixRecord {
	others := slices.ContainsFunc(spares, func(x spfSpare) bool { return !x.twice })
	f := s.Facts.SPF
	fails := func(x audit.SPFSender) bool {
		v, ok := seen(x.Verdict)
		return ok && v.Result != audit.SPFPass
	}
	if parked(s) || slices.ContainsFunc(f.Senders, fails) {
		return nil // see spf.never-sends, spf.sender-fails
	}
	if others || len(t.doubts) > 0 || f.Strings.State != audit.Absent {
		return nil
	}
	old := t.policy.Tree.Records[0]
	drop := map[int]bool{}
	for _, x := range spares {
		drop[x.spec.At] = true
	}
	words := []string{"v=spf1"}
	for _, spec := range audit.ParseSPF(old).Terms {
		if !drop[spec.At] {
			words = append(words, string(spec.Text))
		}
	}
	return spfInstead(s, old, strings.Join(words, " "))
}

func judgeSPFCovered(s *audit.Snapshot, r *Report) {
	t, ok := spfPolicy(s, r)
	if !ok {
		return
	}
	domain := s.Domain.String()
	own := t.mechanisms()
	hosts := slices.DeleteFunc(slices.Clone(own), func(p spfPlace) bool { return !p.asks() || p.spec.Is("exists") || p.term.Target == "" })
	var nets []netip.Prefix
	for _, p := range own {
		if p.spec.Network.IsValid() {
			nets = append(nets, p.spec.Network)
		}
	}
	var spare []spfPlace
	var dark *audit.Obs[audit.Nothing]
	for _, p := range hosts {
		covered, doubt := t.coveredByOwn(p, nets)
		if covered {
			spare = append(spare, p)
		}
		if dark == nil {
			dark = doubt
		}
	}
	switch {
	case len(hosts) == 0:
		r.NA(domain, "the SPF record has no a or mx whose name is the same whoever sends")
	case len(nets) == 0 || !oneQualifier(own):
		r.Pass(domain, "no a or mx of the SPF record stands for what ip4 and ip6 name already")
	case len(spare) > 0:
		r.Fail(domain, t.coveredFault(s, spare))
	case dark != nil:
		open(r, domain, dark.State, dark.Why, dark.Via)
	default:
		r.Pass(domain, "each a and mx of the SPF record stands for addresses that ip4 and ip6 do not name", append(t.evidence(), t.foundEvidence(hosts[:min(len(hosts), 2*spfShown)])...)...)
	}
}

func (t *spfTree) coveredFault(s *audit.Snapshot, spare []spfPlace) Fault {
	first := spare[:min(len(spare), 2*spfShown)]
	f := Fault{Evidence: append(t.evidence(), t.foundEvidence(first)...)}
	for _, p := range first {
		f.Fix.Steps = append(f.Fix.Steps, "if the hosts of "+p.spec.Quoted()+" keep their addresses, take the term out and save a lookup; if they move now and then, keep it and take out the ip4 and ip6 that name them")
	}
	f.Detail = "the addresses of these, of both families, are named by ip4 and ip6 of the same record: " + some(spare, 2*spfShown)
	f.Fix.Summary = "name the hosts once"
	if t.policy.Lookups > audit.SPFMaxLookups {
		f.Severity = audit.Low
		f.Detail += "; SPF takes too many lookups, and could do without these"
	}
	return f
}

// coveredByOwn reports whether all addresses of a term lie in networks of the
// record, of which one at least is known. One that lies outside settles it, even
// where others are not known; dark is what would settle it otherwise.
func (t *spfTree) coveredByOwn(p spfPlace, nets []netip.Prefix) (is bool, dark *audit.Obs[audit.Nothing]) {
	f, _ := t.target(p)
	mine := networksOf(p)
	for _, n := range mine {
		if !coveredBy(n, nets) {
			return false, nil
		}
	}
	addrs := Gather(f.A, f.AAAA)
	switch {
	case p.spec.Is("mx") && f.Hosts.State != audit.Seen:
		return false, Gather(f.Hosts).dark
	case f.HostsLeftOut > 0: // a permerror: see spf.mx-too-many
		return false, nil
	case addrs.dark != nil:
		return false, addrs.dark
	case f.ALeftOut+f.AAAALeftOut > 0:
		return false, &audit.Obs[audit.Nothing]{State: audit.NotTried, Why: audit.Reason{Code: audit.NotAsked, Text: "a term has more addresses than are noted"}}
	}
	return len(mine) > 0, nil
}
