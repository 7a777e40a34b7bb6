package rules

import (
	"net/netip"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

// good is a world in which every rule that can pass passes: two MX hosts, the
// first with both families, the second with a sender beside it.
func good(t *testing.T) *audit.Snapshot {
	t.Helper()
	domain, _, err := audit.ParseDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := &audit.Snapshot{
		Domain: domain, At: at,
		Scope: audit.Scope{
			Areas:      audit.Areas(),
			Selectors:  []string{"s1"},
			SendingIPs: []netip.Addr{netip.MustParseAddr("8.8.4.4")},
		},
		Vantage: audit.Vantage{Name: "test", HELO: "probe.example.net"},
	}
	f := &s.Facts
	f.MX.Exists = audit.See(audit.Nothing{}, "dig MX example.org")
	f.MX.Alias = audit.None[[]audit.DNSName](audit.NoData, "no alias", "dig MX example.org")
	f.MX.Records = audit.See([]audit.MXRecord{{Preference: 10, Host: "mx1.example.org"}, {Preference: 20, Host: "mx2.example.org"}}, "dig MX example.org")
	f.Hosts = []audit.Host{
		goodHost("mx1.example.org", "8.8.8.1", "2600::1"),
		goodHost("mx2.example.org", "8.8.8.2", ""),
	}
	for _, h := range f.Hosts {
		for _, a := range append(h.A.Value, h.AAAA.Value...) {
			f.RDNS = append(f.RDNS, goodReverse(a, h.Name, audit.RoleMX))
			f.SMTP = append(f.SMTP, goodEndpoint(h.Name, a, at))
		}
	}
	f.RDNS = append(f.RDNS, goodReverse(netip.MustParseAddr("8.8.4.4"), "out.example.org", audit.RoleSender))
	goodSenders(f)
	f.Submission.STARTTLS = audit.None[[]audit.SRVRecord](audit.NXDomain, "no such name", "dig SRV _submission._tcp.example.org")
	f.Submission.TLS = audit.None[[]audit.SRVRecord](audit.NXDomain, "no such name", "dig SRV _submissions._tcp.example.org")
	f.Canonical()
	return s
}

// goodSenders fills in what is published and listed about senders.
func goodSenders(f *audit.Facts) {
	f.SPF = goodSPF()
	const key = "s1._domainkey.example.org"
	f.DKIM = []audit.DKIM{{
		Selector: "s1", Name: key,
		Alias:   audit.None[[]audit.DNSName](audit.NoData, "no alias", "dig TXT "+key),
		Records: audit.See([]audit.Raw{"v=DKIM1; k=rsa; p=AAAA"}, "dig TXT "+key),
		Key:     audit.See(audit.PublicKey{Type: "rsa", Bits: 2048}, "dig TXT "+key),
	}}
	f.DMARC.Walk = []audit.DMARCStep{
		{Domain: "example.org", Records: audit.See([]audit.Raw{"v=DMARC1; p=reject; rua=mailto:dmarc@example.org"}, "dig TXT _dmarc.example.org")},
		{Domain: "org", Records: audit.None[[]audit.Raw](audit.NXDomain, "no such name", "dig TXT _dmarc.org")},
	}
	f.Lists = []audit.BlockList{
		goodList("zen.spamhaus.org", audit.TierBlocking), goodList("psbl.surriel.com", audit.TierSome), goodList("dbl.spamhaus.org", audit.TierBlocking),
	}
	f.Listings = []audit.Listing{
		clean("8.8.4.4", audit.RoleSender, "zen.spamhaus.org"), clean("8.8.4.4", audit.RoleSender, "psbl.surriel.com"),
		clean("8.8.8.1", audit.RoleMX, "zen.spamhaus.org"), clean("8.8.8.1", audit.RoleMX, "psbl.surriel.com"),
		clean("example.org", "", "dbl.spamhaus.org"),
	}
}

func goodList(zone audit.DNSName, tier audit.ListTier) audit.BlockList {
	return audit.BlockList{
		Zone: zone, Name: string(zone), Tier: tier, Page: "https://example.net/",
		Health: audit.See(audit.Nothing{}, audit.Dig("A", "2.0.0.127."+zone)),
	}
}

func clean(subject string, role audit.Role, zone audit.DNSName) audit.Listing {
	return audit.Listing{
		Subject: subject, Role: role, Zone: zone,
		Codes: audit.None[[]audit.ListCode](audit.NXDomain, "not listed", audit.Dig("A", audit.DNSName("x."+string(zone)))),
	}
}

func goodHost(name audit.DNSName, v4, v6 string) audit.Host {
	h := audit.Host{Name: name, Role: audit.RoleMX}
	h.Alias = audit.None[[]audit.DNSName](audit.NoData, "no alias", audit.Dig("A", name))
	h.A = audit.See([]netip.Addr{netip.MustParseAddr(v4)}, audit.Dig("A", name))
	h.AAAA = audit.None[[]netip.Addr](audit.NoData, "no AAAA", audit.Dig("AAAA", name))
	if v6 != "" {
		h.AAAA = audit.See([]netip.Addr{netip.MustParseAddr(v6)}, audit.Dig("AAAA", name))
	}
	return h
}

func goodReverse(a netip.Addr, name audit.DNSName, role audit.Role) audit.Reverse {
	return audit.Reverse{
		Addr: a, Role: role,
		Alias:   audit.None[[]audit.DNSName](audit.NoData, "no alias", "dig -x "+a.String()),
		PTR:     audit.See([]audit.DNSName{name}, "dig -x "+a.String()),
		Forward: []audit.Forward{{Name: name, Addrs: audit.See([]netip.Addr{a}, audit.Dig("A", name))}},
	}
}

func goodEndpoint(host audit.DNSName, a netip.Addr, at time.Time) audit.Endpoint {
	via := "openssl s_client -starttls smtp -connect " + netip.AddrPortFrom(a, 25).String()
	hello := audit.Hello{Name: audit.Raw(host), Keywords: []audit.Keyword{
		{Name: "PIPELINING"}, {Name: "SIZE", Params: "10240000"}, {Name: "STARTTLS"},
	}}
	after := audit.Hello{Name: audit.Raw(host), Keywords: hello.Keywords[:2]}
	return audit.Endpoint{
		Host: host, Addr: a, Port: 25,
		Connect:  audit.See(audit.Nothing{}, via),
		Greeting: audit.See(audit.Greeting{Code: 220, Name: audit.Raw(host), Lines: []audit.Raw{audit.Raw(host) + " ESMTP Postfix"}, Delay: audit.Prompt}, via),
		Hello:    audit.See(hello, via),
		Helo:     audit.NA[audit.Hello]("EHLO is answered"),
		StartTLS: audit.See(audit.Nothing{}, via),
		TLS: audit.See(audit.TLS{
			Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519", ChainLen: 2,
			Chain: []audit.Certificate{{
				Subject: audit.Raw("CN=" + host), Issuer: "CN=Test CA", Names: []audit.Raw{audit.Raw(host)}, NameCount: 1,
				NotBefore: at.AddDate(0, 0, -10), NotAfter: at.AddDate(0, 0, 80), KeyType: "ECDSA", KeyBits: 256,
				Signature: "ECDSA-SHA256", SHA256: "ab", SPKI: "cd", KeyID: "11", IssuerKeyID: "22",
			}, {
				Subject: "CN=Test CA", Issuer: "CN=Test Root", NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(2, 0, 0), KeyType: "RSA", KeyBits: 2048,
				Signature: "SHA256-RSA", SHA256: "ef", SPKI: "01", KeyID: "22", IssuerKeyID: "33",
			}},
			Trust:     audit.See(audit.Nothing{}, via),
			NameMatch: audit.See(audit.Nothing{}, via),
			Tickets:   audit.See(audit.Nothing{}, via), MasterSecret: audit.NA[audit.Nothing]("TLS 1.3 has it built in"),
			Stapled: audit.None[audit.Nothing](audit.NotOffered, "none", via), SCTs: audit.See(audit.Nothing{}, via),
		}, via),
		HelloTLS: audit.See(after, via),
		Replies:  audit.See(audit.Replies{}, via),
		Pace:     audit.See(audit.Pace{Replies: 3, Quickest: audit.Prompt, Slowest: audit.Prompt}, via),

		StartTLSSteady: audit.See(audit.Nothing{}, via),
		LargeHello:     audit.See(audit.Nothing{}, via),
		OldTLS:         audit.None[audit.OldTLS](audit.OldRefused, "TLS 1.1 and 1.0 are refused", via),
	}
}
