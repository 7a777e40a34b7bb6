package audit

import "testing"

// Ensure records that were meant to be SPF are told from those that are it and
// from everything else that people put into TXT records.
func TestLooksLikeSPF(t *testing.T) {
	for _, txt := range []Raw{
		" v=spf1 mx -all", "\tv=spf1 -all", `"v=spf1 mx -all"`, "'v=spf1 mx -all'", "\u00a0v=spf1 mx -all", "\ufeffv=spf1 -all", "\u201cv=spf1 mx -all\u201d", `\"v=spf1 -all\"`,
		"v=spf10 mx -all", "v=spf 1 mx -all", "v=spf", "v=spf2 mx -all", "v=spf1.0 mx -all", "V=SPF1: mx -all", "v=spf1; mx; -all", "v=spf1\tmx -all", "v=spf1,mx,-all",
		"v = spf1 mx -all", "v= spf1 -all", "v :spf1 -all", "v:spf1 mx -all", "v==spf1 -all", `v="spf1" mx -all`, "v=spf-1 mx -all", "v=spf_1 -all",
		"spf1 mx -all", "SPF1 include:_spf.example.net ~all", "spf=1 ip4:192.0.2.1 -all", "spf v=1 include:a.example ~all",
		"v=sfp1 include:_spf.example.net ~all", "vspf1 mx -all", "v mx a -all", "include:_spf.example.net ~all", "ip4:192.0.2.1 -all", "mx a ~all", "-all", "~ALL", "+mx -all", "v1 redirect=_spf.example.net",
		"TXT v=spf1 mx -all", "v\xff=spf1 -all", "google-site-verification=abc v=spf1 include:_spf.google.com ~all", `example.org. 3600 IN TXT "v=spf1 ip4:192.0.2.1 -all`,
	} {
		if !LooksLikeSPF(txt) {
			t.Errorf("%q was not meant to be SPF", txt)
		}
	}
	for _, txt := range []Raw{
		"", " ", "v=spf1", "V=SPF1 MX -ALL", "v=spf1 ", "v=spf1 broken terms", // these are SPF records
		"spf2.0/pra ?all", "SPF2.0/mfrom,pra include:a.example -all", // and these of Sender ID
		"spf2.0", "spfoo=1 mx", "spf-site-verification=0123456789", "spf1", "spf", "spf1 is the name of our server", "our spf record is in another zone",
		"v=DMARC1; p=none", "v=DKIM1; k=rsa; p=MIGf", "v=STSv1; id=1", "v=TLSRPTv1; rua=mailto:a@example.org", "v=BIMI1; l=", "v=spfoo", "v", "v=", "vspf",
		"google-site-verification=v=spf", "MS=ms12345678", "a", "mx", "all", "a mx all", "all a", "we use v=spf1 here", "mx and all the rest", "a=b -all", "v=verifydomain MS=1 -all",
		"redirect=_spf.example.net of ours", "\xff\xfe\x00", "-", "~", "=", ":",
	} {
		if LooksLikeSPF(txt) {
			t.Errorf("%q was meant to be SPF", txt)
		}
	}
}

func FuzzLooksLikeSPF(f *testing.F) {
	f.Add("v = spf1 mx -all")
	f.Add("-all")
	f.Fuzz(func(t *testing.T, s string) {
		if LooksLikeSPF(Raw(s)) && (IsSPF(Raw(s)) || IsSenderID(Raw(s))) {
			t.Error("it is what it is meant to be")
		}
	})
}
