package rules

import (
	"strings"

	"mailaudit/internal/audit"
)

const (
	spfVersion = "v=spf1"
	// spfQuotes are the quotation marks that people paste, and the backslash that
	// panels put in front of them.
	spfQuotes = `"'\` + "\u201c\u201d\u201e\u2018\u2019"
)

func judgeSPFNearMiss(s *audit.Snapshot, r *Report) {
	domain, o := s.Domain.String(), s.Facts.SPF.Misses
	misses, present, ok := Need(r, domain, o)
	if !ok {
		return
	}
	if !present || len(misses) == 0 {
		r.Pass(domain, "no TXT record looks like an SPF record that is none", txtEvidence(o)...)
		return
	}
	_, published, ok := Need(r, domain, s.Facts.SPF.Records)
	if !ok {
		return
	}
	wrong, meant := spfMeant(misses[0])
	text := `"` + misses[0].Clip(spfMissShown).String() + `"`
	f := Fault{
		Detail:   "the TXT record " + text + " is no SPF record: it " + wrong,
		Evidence: txtEvidence(o),
		Fix:      audit.Fix{Summary: "write the record so that receivers know it"},
	}
	if published {
		f.Severity = audit.Info
		f.Detail += "; the domain has another one that counts"
		f.Fix = audit.Fix{Summary: "take the record away that is none", Steps: []string{
			"check that the terms of " + text + " are in the SPF record as well, as far as they are still meant",
			"then take it away: nobody reads it",
		}}
		r.Fail(domain, f)
		return
	}
	if parked(s) {
		f.Severity = audit.Medium
	}
	if len(misses) == 1 && meant != "" {
		f.Fix.Records = spfInstead(s, misses[0], meant)
	}
	if f.Fix.Records == nil {
		f.Fix.Steps = []string{
			"write the record as \"v=spf1\", a blank, and the terms with a blank between each two",
			"publish it in place of " + text,
		}
	}
	r.Fail(domain, f)
}

// spfMissShown is how much of a record a sentence quotes, in octets.
const spfMissShown = 60

// spfMeant says why a TXT record that was meant as SPF is none: the end of a
// sentence that begins with it. meant is the record that it was to be, where
// that is beyond doubt; empty else.
func spfMeant(txt audit.Raw) (wrong, meant string) {
	text := string(txt)
	at := strings.Index(lowerASCII(text), spfVersion)
	if at < 0 {
		return spfNoVersion(text)
	}
	front, rest := text[:at], text[at+len(spfVersion):]
	if front != "" {
		wrong, ok := spfFront(front)
		if !ok {
			return wrong, ""
		}
		if strings.ContainsAny(front, spfQuotes) {
			rest = strings.TrimRight(rest, " "+spfQuotes)
		}
		return wrong, spfSense(rest)
	}
	wrong, ok := spfBehind(rest)
	if !ok {
		return wrong, ""
	}
	return wrong, spfSense(rest)
}

// lowerASCII is text in lower case, octet by octet: places in it are places in
// the text, whatever the text is.
func lowerASCII(text string) string {
	low := []byte(text)
	for i, c := range low {
		if 'A' <= c && c <= 'Z' {
			low[i] |= 0x20
		}
	}
	return string(low)
}

// spfNoVersion is about text without v=spf1.
func spfNoVersion(text string) (wrong, meant string) {
	low := lowerASCII(text)
	version := strings.TrimLeft(low, " "+spfQuotes)
	rest, slip := spfSlip(version)
	switch {
	case strings.HasPrefix(low, "spf1 "):
		return `begins with "spf1" in place of "v=spf1"`, spfSense(text[len("spf1"):])
	case slip:
		return `misspells "v=spf1"`, spfSense(text[len(text)-len(rest):])
	case strings.HasPrefix(version, "v=spf"):
		return "names a version of SPF that does not exist; there is spf1 alone", ""
	case strings.HasPrefix(version, "v") || strings.HasPrefix(version, "spf"):
		return `misspells "v=spf1"`, ""
	case spfSense(text) != "": // part of another record, perhaps: nobody knows how that was to end
		return `holds terms of SPF without "v=spf1" in front`, ""
	}
	return `does not begin with "v=spf1"`, ""
}

// spfSlip reads a version whose letters are right and whose signs are not, as in
// "v = spf1", "v:spf1", "vspf-1". rest is what follows it.
func spfSlip(low string) (rest string, ok bool) {
	for _, part := range []string{"v", "spf", "1"} {
		low = strings.TrimLeft(low, " \t=:_-"+spfQuotes)
		after, is := strings.CutPrefix(low, part)
		if !is {
			return "", false
		}
		low = after
	}
	return low, low == "" || strings.IndexByte(" \t;,"+spfQuotes, low[0]) >= 0
}

// spfFront says what is wrong with the text in front of the version. ok: without
// it, the record would be one.
func spfFront(front string) (wrong string, ok bool) {
	visible := func(c rune) bool { return c > ' ' && c <= '~' }
	switch {
	case strings.Trim(front, " ") == "":
		return `has a blank in front of "v=spf1"`, true
	case strings.Trim(front, " "+spfQuotes) == "":
		return `has a quotation mark in front of "v=spf1", which belongs to zone files and not into the record`, true
	case !strings.ContainsFunc(front, visible):
		return `has characters in front of "v=spf1" that cannot be seen`, true
	}
	return `has other text in front of "v=spf1"`, false
}

// spfBehind says what is wrong with what follows the version. ok: with a blank
// in its place, or in front of it, the record would be one.
func spfBehind(rest string) (wrong string, ok bool) {
	switch {
	case rest == "" || rest[0] == ' ':
		return "is not read as one", false // it is an SPF record, and no miss
	case strings.IndexByte("\t\r\n", rest[0]) >= 0 || strings.HasPrefix(rest, "\u00a0"):
		return `has another kind of space behind "v=spf1" where a blank belongs`, true
	case rest[0] == ';' || rest[0] == ',':
		return `has "` + rest[:1] + `" behind "v=spf1" where a blank belongs`, true
	case rest[0] == '"' || rest[0] == '\'' || rest[0] == '\\':
		return `has a quotation mark behind "v=spf1"`, true
	case '0' <= rest[0] && rest[0] <= '9' || rest[0] == '.':
		return `has more behind "v=spf1" than the version; there is spf1 alone`, false
	}
	return `has no blank behind "v=spf1"`, true
}

// spfSense makes a record of the terms behind the version, or "" where that
// takes guessing: it must be a record without a fault that says what to think of
// everyone, and not that everyone passes.
func spfSense(rest string) string {
	clean := strings.NewReplacer("\t", " ", "\r", " ", "\n", " ", "\u00a0", " ", ";", " ", ",", " ", `"`, " ", "'", " ", `\`, " ").Replace(rest)
	text := strings.Join(append([]string{spfVersion}, strings.Fields(clean)...), " ")
	record := audit.ParseSPF(audit.Raw(text))
	if len(record.Faults) > 0 || strings.Contains(strings.ToLower(clean), spfVersion) || spfPassesAll(record) != "" {
		return ""
	}
	_, redirect := record.Find("redirect")
	end := record.All()
	if end < 0 && !redirect || end >= 0 && record.Terms[end].Qualifier == '?' {
		return ""
	}
	return text
}
