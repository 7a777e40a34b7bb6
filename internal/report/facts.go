package report

import (
	"fmt"
	"slices"
	"strings"

	"mailaudit/internal/audit"
)

// This file says in words what audit.ChangedFacts found: sets of words, less
// what did not change.

// factLines tells what is published or observed otherwise. What is the same
// for several subjects is told once.
func factLines(run *audit.Run, facts []audit.FactChange) []SinceLine {
	var out []SinceLine
	type told struct {
		line     SinceLine
		subjects []string
	}
	var order []string
	by := map[string]*told{}
	for _, f := range facts {
		if f.Subject == "domain" {
			f.Subject = run.Target
		}
		if f.What == "certificate" && len(f.After) == 0 && noTLS(facts, f.Subject) {
			continue // told already: there is no TLS
		}
		line := factLine(f)
		line.Once = f.SeenOnce
		key := strings.Join(slices.Concat([]string{line.Text, fmt.Sprint(line.Once)}, line.Gone, []string{"+"}, line.Come, []string{"~"}, line.Moved), "\x00")
		if by[key] == nil {
			by[key] = &told{line: line}
			order = append(order, key)
		}
		by[key].subjects = append(by[key].subjects, f.Subject)
	}
	for _, key := range order {
		t := by[key]
		t.line.Text = strings.ReplaceAll(t.line.Text, hole(partWhole), several(t.subjects))
		out = append(out, t.line)
	}
	return out
}

// noTLS reports whether the endpoint had TLS and has none now.
func noTLS(facts []audit.FactChange, subject string) bool {
	return slices.ContainsFunc(facts, func(f audit.FactChange) bool {
		return f.Subject == subject && f.What == "TLS version" && len(f.After) == 0
	})
}

// factLine is one change, with a hole where the subject belongs.
func factLine(f audit.FactChange) SinceLine {
	subject := hole(partWhole)
	what := f.What + " of " + subject
	switch f.What {
	case "existence":
		if len(f.After) == 0 {
			return SinceLine{Text: subject + " no longer exists in DNS"}
		}
		return SinceLine{Text: subject + " exists in DNS now"}
	case "MX":
		return mxLine(what, f)
	case "SPF record":
		vendor, known := audit.VendorOf(audit.DNSName(f.Subject))
		if known {
			what += " (" + vendor.Name + ")"
		}
	case "certificate":
		if len(f.Before) == 1 && len(f.After) == 1 {
			return SinceLine{Text: what + ": " + certificateChange(f.Before[0], f.After[0])}
		}
	case "DKIM key":
		if len(f.Before) == 1 && len(f.After) == 1 {
			was, now := briefKey(f.Before[0]), briefKey(f.After[0])
			if was != now {
				return SinceLine{Text: what, Gone: []string{was}, Come: []string{now}}
			}
		}
	case "TLS version":
		if len(f.After) == 0 {
			return SinceLine{Text: fmt.Sprintf("no TLS any more with %s, where it was %s", subject, strings.Join(f.Before, ", "))}
		}
		if len(f.Before) == 0 {
			return SinceLine{Text: fmt.Sprintf("TLS now with %s: %s", subject, strings.Join(f.After, ", "))}
		}
	case "alias":
		if len(f.After) == 0 {
			return SinceLine{Text: fmt.Sprintf("%s is no alias any more; it was one of %s", subject, strings.Join(f.Before, ", "))}
		}
		if len(f.Before) == 0 {
			return SinceLine{Text: fmt.Sprintf("%s is an alias now, of %s", subject, strings.Join(f.After, ", "))}
		}
	}
	if len(f.Before) == 1 && len(f.After) == 1 && f.What != "greeting" {
		return SinceLine{Text: fmt.Sprintf("%s: %s -> %s", what, f.Before[0], f.After[0])}
	}
	return SinceLine{Text: what, Gone: f.Before, Come: f.After}
}

// briefKey is a DKIM record with its key cut down to what tells keys apart:
// all RSA keys of one size begin alike, and all end alike.
func briefKey(record string) string {
	const head, tail = 12, 20
	const base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
	before, key, found := strings.Cut(record, "p=")
	key, after, more := strings.Cut(key, ";")
	if !found || len(key) <= head+tail+3 || strings.Trim(key, base64) != "" {
		return record
	}
	if more {
		after = ";" + after
	}
	return fmt.Sprintf("%sp=%s...%s%s", before, key[:head], key[len(key)-tail:], after)
}

// mxLine tells a host that stays and moves apart from hosts that come and go.
func mxLine(what string, f audit.FactChange) SinceLine {
	line := SinceLine{Text: what}
	for _, b := range f.Before {
		was, host, _ := strings.Cut(b, " ")
		i := slices.IndexFunc(f.After, func(a string) bool { return strings.HasSuffix(a, " "+host) })
		if i < 0 {
			line.Gone = append(line.Gone, b)
			continue
		}
		now, _, _ := strings.Cut(f.After[i], " ")
		line.Moved = append(line.Moved, fmt.Sprintf("%s: preference %s -> %s", host, was, now))
	}
	for _, a := range f.After {
		_, host, _ := strings.Cut(a, " ")
		if !slices.ContainsFunc(f.Before, func(b string) bool { return strings.HasSuffix(b, " "+host) }) {
			line.Come = append(line.Come, a)
		}
	}
	return line
}

// certificate is a certificate as audit.ChangedFacts writes it: "CN=x, valid
// 2026-08-23 to 2026-11-21, SHA-256 0123456789abcdef".
type certificate struct{ name, from, until string }

func readCertificate(s string) (certificate, bool) {
	i := strings.LastIndex(s, ", valid ")
	j := strings.LastIndex(s, ", SHA-256 ")
	if i < 0 || j < i {
		return certificate{}, false
	}
	from, until, ok := strings.Cut(s[i+len(", valid "):j], " to ")
	return certificate{s[:i], from, until}, ok
}

// certificateChange says what is new about a certificate.
func certificateChange(before, after string) string {
	was, ok := readCertificate(before)
	now, also := readCertificate(after)
	switch {
	case !ok || !also:
		return before + " -> " + after
	case was.name != now.name:
		return fmt.Sprintf("another one, for %s and valid until %s; the one before was for %s", now.name, now.until, was.name)
	case now.until > was.until: // dates in this form sort as text
		return fmt.Sprintf("renewed, valid until %s (before: until %s)", now.until, was.until)
	case now.until == was.until:
		return fmt.Sprintf("issued anew, valid until %s as before", now.until)
	}
	return fmt.Sprintf("replaced by one that ends earlier, valid until %s (before: until %s)", now.until, was.until)
}
