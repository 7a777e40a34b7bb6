package audit

import (
	"slices"
	"strings"
	"testing"
)

// Ensure every line of the table is read, is well-formed, and says of a name
// one thing only.
func TestVendors(t *testing.T) {
	lines := 0
	for line := range strings.Lines(vendorTable) {
		if !strings.HasPrefix(line, "#") {
			lines++
		}
	}
	all := Vendors()
	if len(all) != lines || lines < 80 {
		t.Errorf("%d vendors on %d lines", len(all), lines)
	}
	if marks := strings.Count(vendorTable, "\tshared\n"); marks < 40 || marks != len(slices.DeleteFunc(Vendors(), func(v Vendor) bool { return !v.Shared })) {
		t.Errorf("%d vendors with a shared pool", marks)
	}
	owner := map[DNSName]string{}
	for i, v := range all {
		if v.Name == "" || strings.TrimSpace(v.Name) != v.Name || len(v.Includes) == 0 {
			t.Errorf("%+v", v)
		}
		if i > 0 && strings.ToLower(all[i-1].Name) >= strings.ToLower(v.Name) {
			t.Errorf("%s stands behind %s", v.Name, all[i-1].Name)
		}
		for _, name := range v.Includes {
			if owner[name] != "" {
				t.Errorf("%s is of %s and of %s", name, owner[name], v.Name)
			}
			owner[name] = v.Name
			wire, ok := WireName(string(name))
			if !ok || wire != name || !strings.Contains(string(name), ".") {
				t.Errorf("%s: %s is no name", v.Name, name)
			}
		}
		for _, s := range v.Selectors {
			if !DNSName(strings.ReplaceAll(s, "_", "-")).IsHostname() || strings.ToLower(s) != s {
				t.Errorf("%s: %s is no selector in lower case", v.Name, s)
			}
		}
	}
}

func TestVendorOf(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"spf.protection.outlook.com", "Microsoft 365"},
		{"_spf.google.com", "Google Workspace"},
		{"_netblocks3.google.com", "Google Workspace"},
		{"google.com", ""},
		{"sendgrid.net", "Twilio SendGrid"},
		{"u123.wl.sendgrid.net", "Twilio SendGrid (one account)"},
		{"spf-00a9a302.pphosted.com", "Proofpoint"},
		{"notpphosted.com", ""},
		{"eu._netblocks.mimecast.com", "Mimecast"},
		{"example.org", ""},
		{"", ""},
	} {
		v, ok := VendorOf(DNSName(c.name))
		if v.Name != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %t", c.name, v.Name, ok)
		}
	}
}

func TestVendorOfSelector(t *testing.T) {
	var names []string
	for _, v := range VendorOfSelector("Selector1") {
		names = append(names, v.Name)
	}
	if !slices.Equal(names, []string{"Microsoft 365"}) {
		t.Errorf("%v", names)
	}
	if got := VendorOfSelector("x-of-nobody"); got != nil {
		t.Errorf("%v", got)
	}
}
