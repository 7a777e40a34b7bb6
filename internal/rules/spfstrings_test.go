package rules

import (
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// TestUnglue: what a lost blank is, and what is one term in two strings. A bar
// is a joint.
func TestUnglue(t *testing.T) {
	full := "v=spf1 " + strings.Repeat("ip4:198.51.100.100 ", 12) // 235 octets
	for _, tc := range []struct{ record, want string }{
		{"v=spf1 a mx|-all", "v=spf1 a mx -all"},
		{"v=spf1 a mx |-all", ""},
		{"v=spf1 a mx| -all", ""},
		{"v=spf1| a mx -all", ""},
		{"v=sp|f1 a mx -all", ""},
		{"v=spf1 a|mx|-all", "v=spf1 a mx -all"},
		{"v=spf1 a|mx||~all", "v=spf1 a mx ~all"},
		{"v=spf1 inc|lude:a.example.net -all", ""},
		{"v=spf1 include:a.exa|mple.net -all", ""},
		{"v=spf1 include:a.example.net|include:b.exam|ple.net -all", "v=spf1 include:a.example.net include:b.example.net -all"},
		{"v=spf1 include:a.example.net|~all", "v=spf1 include:a.example.net ~all"},
		{"v=spf1 include:a.example.net|-all", "v=spf1 include:a.example.net -all"}, // a top-level domain could end so
		{"v=spf1 include:a.example.net|all", "v=spf1 include:a.example.net all"},
		{"v=spf1 mx|redirect=b.example.net", "v=spf1 mx redirect=b.example.net"}, // an unknown modifier, as it is
		{"v=spf1 a:a.example.net|a/24 -all", "v=spf1 a:a.example.net a/24 -all"},
		{"v=spf1 ip4:192.0.2.1|/24 -all", ""},
		{"v=spf1 ip4:192.0.2.1|1 -all", ""},
		{"v=spf1 ip4:192.0.2.1|ip4:192.0.2.2|ip4:192.0.2.3 -all", "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 ip4:192.0.2.3 -all"},
		{"v=spf1 ip6:2001:db8::|a:1 -all", ""},
		{"v=spf1 exists:%{i}.a.example.net|mx -all", "v=spf1 exists:%{i}.a.example.net mx -all"},
		{"v=spf1 MX|INCLUDE:a.example.net -ALL", "v=spf1 MX INCLUDE:a.example.net -ALL"},
		{"v=spf1 mx|--all", ""},
		{"v=spf1 foo|-all", ""}, // would not be a record either
		{full + "a:b.net|mx -all", ""},
		{full + "mx|-all", full + "mx -all"},
		{"v=spf1 |a:b.nets|mx -all", "v=spf1 a:b.nets mx -all"},
		{"v=spf1 |a:b.net|mx -all", ""}, // all strings have seven octets
		{"v=spf1 " + strings.Repeat("a|", 20) + "-all", ""},
	} {
		var parts []audit.Raw
		for p := range strings.SplitSeq(tc.record, "|") {
			parts = append(parts, audit.Raw(p))
		}
		mended, glued := spfUnglue(parts)
		want := tc.want
		if want == "" {
			want = string(joinStrings(parts))
		}
		if mended != want || (len(glued) > 0) != (tc.want != "") {
			t.Errorf("%s: %q, %v", tc.record, mended, glued)
		}
	}
}

func TestSPFMeant(t *testing.T) {
	for _, tc := range []struct{ txt, wrong, meant string }{
		{" v=spf1 mx -all", "a blank in front", "v=spf1 mx -all"},
		{`"v=spf1 mx -all"`, "a quotation mark in front", "v=spf1 mx -all"},
		{`\"v=spf1 mx -all\"`, "a quotation mark in front", "v=spf1 mx -all"},
		{` "v=spf1 mx -all" `, "a quotation mark in front", "v=spf1 mx -all"},
		{`'V=SPF1 mx -all'`, "a quotation mark in front", "v=spf1 mx -all"},
		{"\u201cv=spf1 mx -all\u201d", "a quotation mark in front", "v=spf1 mx -all"},
		{`"v=spf1" "mx -all"`, "a quotation mark in front", "v=spf1 mx -all"},
		{"\ufeffv=spf1 mx -all", "cannot be seen", "v=spf1 mx -all"},
		{"\u200b v=spf1 mx -all", "cannot be seen", "v=spf1 mx -all"},
		{"\xffv=spf1 mx -all", "cannot be seen", "v=spf1 mx -all"},
		{"example.org. IN TXT v=spf1 mx -all", "other text in front", ""},
		{"v=spf10 mx -all", "more behind", ""},
		{"v=spf1.0 mx -all", "more behind", ""},
		{"v=spf1\tmx -all", "another kind of space", "v=spf1 mx -all"},
		{"v=spf1\u00a0mx -all", "another kind of space", "v=spf1 mx -all"},
		{"v=spf1;mx;-all", `has ";" behind`, "v=spf1 mx -all"},
		{"v=spf1, mx, -all", `has "," behind`, "v=spf1 mx -all"},
		{`v=spf1" mx -all"`, "a quotation mark behind", "v=spf1 mx -all"},
		{"v=spf1include:a.example.net -all", "no blank behind", "v=spf1 include:a.example.net -all"},
		{"v=spf1-all", "no blank behind", "v=spf1 -all"},
		{"v=spf1+all", "no blank behind", ""}, // nobody is told to let everyone pass
		{"v=spf1mx", "no blank behind", ""},   // nor to say nothing
		{"v=spf1mx ?all", "no blank behind", ""},
		{"v=spf1foo -all", "no blank behind", ""},
		{" v=spf1 mx -all v=spf1 a -all", "a blank in front", ""},
		{" v=spf1 redirect=_spf.example.net", "a blank in front", "v=spf1 redirect=_spf.example.net"},
		{"spf1 mx -all", `begins with "spf1"`, "v=spf1 mx -all"},
		{"v = spf1 mx -all", "misspells", "v=spf1 mx -all"},
		{"v= spf1 mx -all", "misspells", "v=spf1 mx -all"},
		{"v:spf1 mx -all", "misspells", "v=spf1 mx -all"},
		{`"v=\"spf1\" mx -all"`, "misspells", "v=spf1 mx -all"},
		{"vspf1 mx -all", "misspells", "v=spf1 mx -all"},
		{"v=spf-1;mx;-all", "misspells", "v=spf1 mx -all"},
		{"v=spf 1 mx -all", "misspells", "v=spf1 mx -all"},
		{"v=sfp1 mx -all", "misspells", ""},
		{"v\xff=spf1 -all", "misspells", ""},
		{"spf=1 ip4:192.0.2.1 -all", "misspells", ""},
		{"include:_spf.example.net ~all", "without", ""}, // of two strings one was published as a record, perhaps
		{"v=spf2 mx -all", "a version of SPF that does not exist", ""},
		{"v=spf mx -all", "a version of SPF that does not exist", ""},
		{"spf v1", "misspells", ""},
		{"our record: -all", `does not begin with "v=spf1"`, ""},
		{"", `does not begin with "v=spf1"`, ""},
		{"v=spf1", "not read as one", ""},
	} {
		wrong, meant := spfMeant(audit.Raw(tc.txt))
		if !strings.Contains(wrong, tc.wrong) || meant != tc.meant {
			t.Errorf("%q: %s; %q", tc.txt, wrong, meant)
		}
	}
}

func unprintable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0
}

// FuzzUnglue: whatever strings a record is made of, nothing but blanks is added
// to it, what is called damaged makes terms, and what is said is printable.
func FuzzUnglue(f *testing.F) {
	for _, s := range []string{"v=spf1 mx|-all", "v=spf1 a|mx|-all", "|||", "v=spf1 include:a.example|include:b.example", "v=spf1 \xff|\x00 -all"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var parts []audit.Raw
		for p := range strings.SplitSeq(s, "|") {
			parts = append(parts, audit.Raw(p))
		}
		mended, glued := spfUnglue(parts)
		text := string(joinStrings(parts))
		if strings.ReplaceAll(mended, " ", "") != strings.ReplaceAll(text, " ", "") {
			t.Errorf("%q became %q", text, mended)
		}
		if (len(glued) == 0) != (mended == text) {
			t.Errorf("%q became %q, and %d words are damaged", text, mended, len(glued))
		}
		if _, again := spfUnglue([]audit.Raw{audit.Raw(mended)}); len(again) > 0 {
			t.Errorf("one string is glued: %q", again)
		}
		// A second redirect or exp comes to light when it is no longer part of a word.
		if before, after := len(audit.ParseSPF(audit.Raw(text)).Faults), len(audit.ParseSPF(audit.Raw(mended)).Faults); audit.IsSPF(audit.Raw(text)) && after > before+strings.Count(text, "=") {
			t.Errorf("%q has %d faults, %q has %d", text, before, mended, after)
		}
		for _, g := range glued {
			if unprintable(g) {
				t.Errorf("%q is not printable", g)
			}
		}
	})
}

// FuzzSPFMeant: what is said of a TXT record is printable, and a record that is
// proposed is one that says something and lets not everyone pass.
func FuzzSPFMeant(f *testing.F) {
	for _, s := range []string{" v=spf1 mx -all", "\"v=spf1 -all\"", "v=spf10", "v=spf1\u00a0-all", "\u201cv=spf1 +all", "v = spf1", "spf1 mx ~all", "\xff\xfev=spf1 -all", "\xffv=spf1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		wrong, meant := spfMeant(audit.Raw(s))
		if wrong == "" || unprintable(wrong) || unprintable(meant) {
			t.Errorf("%q: %q, %q", s, wrong, meant)
		}
		if meant == "" {
			return
		}
		record := audit.ParseSPF(audit.Raw(meant))
		if !audit.IsSPF(audit.Raw(meant)) || len(record.Faults) > 0 || spfPassesAll(record) != "" {
			t.Errorf("%q: %q is proposed", s, meant)
		}
	})
}
