package rules

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// A line of a case can also say what the SPF policy leads to:
//
//	spf NAME TXT v=spf1 include:_spf.example.net ~all
//	spf NAME TXT !CODE
//	spf NAME REGISTERED yes
//	spf NAME REGISTERED !CODE
//	spf TERM NAME A 192.0.2.1 192.0.2.2
//	spf TERM NAME AAAA !CODE
//	spf mx NAME MX mx1.example.org mx2.example.org
//
// TXT of the domain itself is its own record, and the first takes the place of
// that of the good world. CODE is nxdomain or nodata, which are absent, a code of
// unknown, or "other": there are TXT records, and none is an SPF record. Of a
// target, what no line names is absent. REGISTERED is about the domain above a name
// that does not exist, and comes behind its TXT.
func applySPF(t *testing.T, s *audit.Snapshot, lines []string) {
	t.Helper()
	fresh := true
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) < 4 {
			t.Fatalf("%q: too short", line)
		}
		if words[2] == "REGISTERED" {
			i := slices.IndexFunc(s.Facts.SPF.Below, func(b audit.SPFBelow) bool { return string(b.Name) == words[1] })
			code, not := strings.CutPrefix(words[3], "!")
			o := &s.Facts.SPF.Below[i].Registered
			*o = audit.See(audit.Nothing{}, audit.Dig("SOA", "registered."+audit.DNSName(words[1])))
			if not {
				*o = spfNot[audit.Nothing](audit.Code(code), o.Via)
			}
			continue
		}
		if words[2] != "TXT" {
			spfTarget(t, s, words[1], audit.DNSName(words[2]), words[3], words[4:])
			continue
		}
		name, text := audit.DNSName(words[1]), strings.Join(words[3:], " ")
		if name == s.Domain.Name() {
			if fresh {
				s.Facts.SPF.Records = audit.Obs[[]audit.Raw]{}
			}
			fresh = false
			addSPF(&s.Facts.SPF.Records, text, name)
			continue
		}
		i := slices.IndexFunc(s.Facts.SPF.Below, func(b audit.SPFBelow) bool { return b.Name == name })
		if i < 0 {
			i = len(s.Facts.SPF.Below)
			s.Facts.SPF.Below = append(s.Facts.SPF.Below, audit.SPFBelow{
				Name: name, Alias: audit.None[[]audit.DNSName](audit.NoData, "no alias", audit.Dig("TXT", name)),
			})
		}
		addSPF(&s.Facts.SPF.Below[i].Records, text, name)
	}
	s.Facts.Canonical()
}

func addSPF(o *audit.Obs[[]audit.Raw], text string, name audit.DNSName) {
	code, dark := strings.CutPrefix(text, "!")
	switch {
	case code == "other" && dark:
		*o = audit.See([]audit.Raw{}, audit.Dig("TXT", name))
	case dark:
		*o = spfNot[[]audit.Raw](audit.Code(code), audit.Dig("TXT", name))
	default:
		*o = audit.See(append(o.Value, audit.Raw(text)), audit.Dig("TXT", name))
	}
}

func spfNot[T any](code audit.Code, via string) audit.Obs[T] {
	if code == audit.NXDomain || code == audit.NoData {
		return audit.None[T](code, "case: "+string(code), via)
	}
	return audit.Dark[T](audit.Reason{Code: code, Text: "case: " + string(code)}, via)
}

func spfTarget(t *testing.T, s *audit.Snapshot, term string, name audit.DNSName, qtype string, values []string) {
	t.Helper()
	f := &s.Facts.SPF
	i := slices.IndexFunc(f.Found, func(have audit.SPFTarget) bool { return have.Term == term && have.Name == name })
	if i < 0 {
		i = len(f.Found)
		f.Found = append(f.Found, audit.SPFTarget{
			Term: term, Name: name, A: spfNot[[]netip.Addr](audit.NoData, audit.Dig("A", name)), AAAA: spfNot[[]netip.Addr](audit.NoData, audit.Dig("AAAA", name)),
		})
		if term == "exists" {
			f.Found[i].AAAA = audit.NA[[]netip.Addr]("exists asks for A alone")
		}
	}
	target, via := &f.Found[i], audit.Dig(qtype, name)
	code, dark := strings.CutPrefix(strings.Join(values, " "), "!")
	if qtype == "MX" {
		target.Hosts = spfNot[[]audit.DNSName](audit.Code(code), via)
		if !dark {
			target.Hosts = audit.See([]audit.DNSName{}, via)
			for _, v := range values {
				target.Hosts.Value = append(target.Hosts.Value, audit.DNSName(v))
			}
		}
		return
	}
	into := map[string]*audit.Obs[[]netip.Addr]{"A": &target.A, "AAAA": &target.AAAA}[qtype]
	if into == nil {
		t.Fatalf("%s is no type of record that a case knows", qtype)
	}
	*into = spfNot[[]netip.Addr](audit.Code(code), via)
	if !dark {
		*into = audit.See([]netip.Addr{}, via)
		for _, v := range values {
			into.Value = append(into.Value, netip.MustParseAddr(v))
		}
	}
}

// goodSPF is a policy without a fault, for a domain with its own record.
func goodSPF() audit.SPF {
	const via = "dig -t TXT -q example.org"
	none := audit.None[[]audit.Raw](audit.NoData, "there is none", via)
	sender := netip.MustParseAddr("8.8.4.4")
	return audit.SPF{
		Records: audit.See([]audit.Raw{"v=spf1 ip4:8.8.4.4 mx -all"}, via),
		Strings: audit.None[[]audit.SPFStrings](audit.NoData, "each record is one string", via),
		Misses:  none, SenderID: none,
		Answer: audit.See(audit.SPFAnswer{Octets: 120}, via),
		Type99: audit.None[[]audit.Raw](audit.NoData, "there is none", "dig -t SPF -q example.org"),
		Alias:  audit.None[[]audit.DNSName](audit.NoData, "no alias", via),
		Found: []audit.SPFTarget{{
			Term: "mx", Name: "example.org",
			Hosts: audit.See([]audit.DNSName{"mx1.example.org", "mx2.example.org"}, audit.Dig("MX", "example.org")),
			A:     audit.See([]netip.Addr{netip.MustParseAddr("8.8.8.1"), netip.MustParseAddr("8.8.8.2")}, ""),
			AAAA:  audit.See([]netip.Addr{netip.MustParseAddr("2600::1")}, ""),
		}},
		Explained: audit.NA[[]audit.Raw]("the record has no exp="),
		Senders: []audit.SPFSender{{Addr: sender, Verdict: audit.See(audit.SPFVerdict{
			Result: audit.SPFPass, Why: "ip4:8.8.4.4 matches", In: "example.org", Term: "ip4:8.8.4.4",
		}, "mailaudit spf example.org --ip 8.8.4.4")}},
	}
}

// TestGoodSPF: the policy of the good world is known whole.
func TestGoodSPF(t *testing.T) {
	s := good(t)
	p := s.Facts.SPF.Policy(s.Domain)
	if !p.Exact || p.Lookups != 1 || p.VoidLookups != 0 || p.NotAsked != 0 || p.Authorised.IP4 != 3 || p.Authorised.IP6 != "1" {
		t.Errorf("%+v", p)
	}
	applySPF(t, s, []string{
		"spf example.org TXT v=spf1 include:_spf.example.net a:www.example.org exists:%{i}.example.net ~all",
		"spf _spf.example.net TXT v=spf1 include:gone.example.net ip4:192.0.2.0/24 -all",
		"spf gone.example.net TXT !nxdomain",
		"spf a www.example.org A 192.0.2.1",
	})
	p = s.Facts.SPF.Policy(s.Domain)
	if !p.Exact || p.Lookups != 4 || p.VoidLookups != 2 || p.Authorised.IP4 != 256 || !p.Authorised.Others {
		t.Errorf("%+v", p)
	}
	applySPF(t, s, []string{"spf example.org TXT v=spf1 include:dark.example.net -all", "spf dark.example.net TXT !servfail"})
	p = s.Facts.SPF.Policy(s.Domain)
	if p.Exact || p.Lookups != 1 {
		t.Errorf("%+v", p)
	}
}
