package audit

import (
	_ "embed" // the table of vendors
	"slices"
	"strings"
)

// A vendor is who sends mail for others. Domains name it in their SPF records
// (include:spf.vendor.example) and publish its DKIM keys under selectors that
// are often the same for all its customers. The table says who stands behind a
// name: it is there to call things by their names, and proves nothing. That a
// domain includes a vendor does not say that it still uses it, and a selector
// that is typical need not be there.

//go:embed vendors.tsv
var vendorTable string

// Vendor is one of them.
type Vendor struct {
	Name string // as people know it
	// Includes are the domains of its SPF records; names below them are its own
	// as well.
	Includes []DNSName
	// Selectors are those DKIM selectors (RFC 6376 section 3.1) that its
	// customers have as a rule; empty where each has others.
	Selectors []string
	// Shared: customers send from the same addresses, as far as it is known, so
	// that a pass by its record does not tell one from another (RFC 7208 section
	// 11.4). False says nothing.
	Shared bool
}

// Vendors is the table, by name: the vendors behind the most frequent includes
// of 36,658 SPF records of public bodies (2026), as far as it is known who they
// are, and others that mail comes from.
func Vendors() []Vendor {
	var out []Vendor
	for line := range strings.Lines(vendorTable) {
		v, ok := parseVendor(line)
		if ok {
			out = append(out, v)
		}
	}
	return out
}

func parseVendor(line string) (Vendor, bool) {
	line = strings.TrimSuffix(line, "\n")
	fields := strings.Split(line, "\t")
	if strings.HasPrefix(line, "#") || len(fields) != 4 { // none has another number; a test reads them
		return Vendor{}, false
	}
	v := Vendor{Name: fields[0], Selectors: strings.Fields(fields[2]), Shared: fields[3] == "shared"}
	for name := range strings.FieldsSeq(fields[1]) {
		v.Includes = append(v.Includes, DNSName(name))
	}
	return v, true
}

// VendorOf finds the vendor whose SPF records are at a name or above it: the
// one with the longest such name.
func VendorOf(name DNSName) (Vendor, bool) {
	// A policy asks for each of its records: the table is looked through, and one
	// line of it read.
	for own := string(name); strings.Contains(own, "."); _, own, _ = strings.Cut(own, ".") {
		for from := 0; ; {
			i := strings.Index(vendorTable[from:], own)
			if i < 0 {
				break
			}
			at := from + i
			from = at + len(own)
			line := vendorTable[strings.LastIndexByte(vendorTable[:at], '\n')+1:]
			line, _, _ = strings.Cut(line, "\n")
			v, ok := parseVendor(line)
			if ok && slices.Contains(v.Includes, DNSName(own)) {
				return v, true
			}
		}
	}
	return Vendor{}, false
}

// VendorOfSelector finds the vendors that have a DKIM selector as a rule, by
// name. There may be several: "s1" is nobody's own.
func VendorOfSelector(selector string) []Vendor {
	var out []Vendor
	for _, v := range Vendors() {
		if slices.Contains(v.Selectors, strings.ToLower(selector)) {
			out = append(out, v)
		}
	}
	return out
}
