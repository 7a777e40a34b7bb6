package audit

import (
	"fmt"
	"strings"
)

// maxDigits is how long the number of a SIZE may be (RFC 1870 section 4).
const maxDigits = 20

// Means is what a server offers by an EHLO line, its parameters included:
// "messages of at most 52428800 octets (50 MiB)".
func (k Keyword) Means() string {
	e := ExtensionOf(k.Name)
	params := strings.Join(strings.Fields(k.Params.String()), " ")
	switch {
	case k.Malformed() != "":
		return e.Means + "; " + k.Malformed()
	case e.Name == "SIZE":
		return sizeMeans(params)
	case params == "":
		return e.Means
	case e.Name == "LIMITS":
		return e.Means + ": " + limitsMean(params)
	case e.Name == "DELIVERBY":
		return e.Means + ", at the earliest after " + firstNumber(params) + " s"
	case e.Name == "FUTURERELEASE":
		return e.Means + ", at most for " + firstNumber(params) + " s"
	case e.Params != "":
		return e.Means + ": " + params
	}
	return e.Means
}

// Malformed says what is wrong with the parameters of an extension that has a
// syntax for them. Empty: nothing, or nothing that is known here.
func (k Keyword) Malformed() string {
	params := strings.Fields(string(k.Params))
	number := len(params) > 0 && isDigits(firstNumber(params[0]))
	switch k.Name {
	case "SIZE": // RFC 1870 section 3: one decimal number, or none
		if len(params) > 1 || len(params) == 1 && !isDigits(params[0]) {
			return "its parameter is no number: " + k.Params.Clip(maxShown).String()
		}
	case "AUTH": // RFC 4954 section 3: a list of mechanisms
		if len(params) == 0 {
			return "it names no mechanism"
		}
	case "DELIVERBY": // RFC 2852 section 3: seconds, or none
		if len(params) > 0 && !number {
			return "its parameter is no number: " + k.Params.Clip(maxShown).String()
		}
	case "FUTURERELEASE": // RFC 4865 section 3: seconds and a date
		if !number {
			return "it tells no time in seconds"
		}
	case "LIMITS": // RFC 9422 section 3: name=value
		for _, p := range params {
			name, value, ok := strings.Cut(p, "=")
			if name == "" || ok && strings.HasSuffix(strings.ToUpper(name), "MAX") && !isDigits(value) {
				return "a limit is no number: " + Raw(p).Clip(maxShown).String()
			}
		}
	}
	return ""
}

// maxShown is how much of a stranger's parameter is quoted.
const maxShown = 60

// firstNumber is a parameter up to its first comma, behind which extensions of
// it may follow.
func firstNumber(params string) string {
	first, _, _ := strings.Cut(params, " ")
	first, _, _ = strings.Cut(first, ",")
	return first
}

func isDigits(s string) bool {
	return s != "" && len(s) <= maxDigits && strings.Trim(s, "0123456789") == ""
}

func sizeMeans(params string) string {
	octets := strings.TrimLeft(params, "0")
	switch {
	case params == "":
		return "a size limit that is not told"
	case octets == "":
		return "messages without a fixed limit of size"
	}
	return fmt.Sprintf("messages of at most %s octets%s", octets, inMiB(octets))
}

// inMiB is a number of octets in units that people use, in brackets. Numbers
// too large for that say so by themselves.
func inMiB(octets string) string {
	n := 0
	for _, c := range octets {
		if n > 1<<50 {
			return ""
		}
		n = n*10 + int(c-'0')
	}
	switch {
	case n < 1<<10:
		return ""
	case n < 1<<20:
		return fmt.Sprintf(" (%s KiB)", tenths(n, 10))
	}
	return fmt.Sprintf(" (%s MiB)", tenths(n, 20))
}

// tenths is n in units of 2 to the bits, to one decimal that counts.
func tenths(n, bits int) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(int(1)<<bits)), ".0")
}

func limitsMean(params string) string {
	var out []string
	for _, p := range strings.Fields(params) {
		name, value, _ := strings.Cut(p, "=")
		switch strings.ToUpper(name) { // RFC 9422 section 4
		case "MAILMAX":
			p = value + " messages a session"
		case "RCPTMAX":
			p = value + " recipients a message"
		case "RCPTDOMAINMAX":
			p = value + " recipient domains a session"
		}
		out = append(out, p)
	}
	return strings.Join(out, ", ")
}
