package smtp

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/audit"
)

func replyOf(lines ...string) reply {
	var rp reply
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		rp.lines = append(rp.lines, audit.Raw("250"+sep+l))
	}
	rp.code = 250
	return rp
}

func TestKeyword(t *testing.T) {
	for line, want := range map[string]audit.Keyword{
		"SIZE 1000":                 {Name: "SIZE", Params: "1000"},
		"size":                      {Name: "SIZE"},
		"AUTH PLAIN LOGIN":          {Name: "AUTH", Params: "PLAIN LOGIN"},
		"AUTH=PLAIN LOGIN":          {Name: "AUTH", Params: "PLAIN LOGIN"},
		"auth=plain":                {Name: "AUTH", Params: "plain"},
		"AUTH=":                     {Name: "AUTH"},
		"AUTH= LOGIN":               {Name: "AUTH", Params: "LOGIN"},
		"X_PIPE_CONNECT":            {Name: "X_PIPE_CONNECT"},
		"  8BITMIME  ":              {Name: "8BITMIME"},
		"X-TAB\tvalue":              {Name: "X-TAB", Params: "value"},
		"LIMITS RCPTMAX=\x1b[2J":    {Name: "LIMITS", Params: "RCPTMAX=\x1b[2J"},
		"XXXXXXXA":                  {Name: "XXXXXXXA"},
		"":                          {},
		"   ":                       {},
		"NUL\x00":                   {},
		"\xe2\x80\xaeSTARTTLS":      {},
		strings.Repeat("K", 65):     {},
		"STARTTLS":                  {Name: "STARTTLS"},
		"StartTls required-or-what": {Name: "STARTTLS", Params: "required-or-what"},
	} {
		got, ok := parseKeyword(audit.Raw(line))
		if got != want || ok != (want.Name != "") {
			t.Errorf("%q: %+v, %t; want %+v", line, got, ok, want)
		}
	}
}

func TestHello(t *testing.T) {
	stable := audit.NewStabilizer()
	got := newHello(replyOf("mx at your service, probe.example.net, id a640c23a62f3a-a9e2b1c3d4e5si123", "AUTH=PLAIN", "AUTH PLAIN", "AUTH LOGIN", "DSN", "DSN", "XTIME 23 Nov 2026 12:00:00"), "probe.example.net", stable)
	want := audit.Hello{Name: "mx", Text: "at your service, <our name>, id <id>", Keywords: []audit.Keyword{
		{Name: "AUTH", Params: "PLAIN"}, {Name: "AUTH", Params: "LOGIN"}, {Name: "DSN"}, {Name: "DSN"},
		{Name: "XTIME", Params: "<date>"},
	}, Order: []string{"AUTH", "AUTH", "DSN", "DSN", "XTIME"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := newHello(replyOf(""), "probe.example.net", stable); !reflect.DeepEqual(got, audit.Hello{}) {
		t.Errorf("empty reply: %+v", got)
	}
	var lines []string
	for i := range 500 {
		lines = append(lines, fmt.Sprintf("X%d", i))
	}
	if got := newHello(replyOf(lines...), "probe.example.net", stable); len(got.Keywords) != maxKeywords {
		t.Errorf("%d keywords kept", len(got.Keywords))
	}
}

func TestGreeting(t *testing.T) {
	stable := audit.NewStabilizer()
	var lines []string
	for range 40 {
		lines = append(lines, strings.Repeat("g", 900))
	}
	got := newGreeting(replyOf(lines...), 6*time.Second, stable)
	if len(got.Lines) != maxGreetingLines || len(got.Lines[0]) != maxGreetingText || len(got.Name) != maxGreetingText || got.Delay != audit.Paused {
		t.Errorf("%d lines, %d octets, name of %d, %s", len(got.Lines), len(got.Lines[0]), len(got.Name), got.Delay)
	}
	for text, name := range map[string]audit.Raw{"mx.example.org ESMTP": "mx.example.org", "": "", "***": "***", " mx": "mx"} {
		if got := newGreeting(replyOf(text), 0, stable); got.Name != name || got.Lines[0] != audit.Raw(text) {
			t.Errorf("%q: name %q, line %q", text, got.Name, got.Lines[0])
		}
	}
}

// FuzzHello: keywords are upper case, printable and bounded whatever the
// lines are, and STARTTLS is found only where it is the first word of a line.
func FuzzHello(f *testing.F) {
	for _, seed := range []string{"mx\nSTARTTLS", "mx\nAUTH=PLAIN\nAUTH PLAIN", "\n\x00 a", "mx\nX STARTTLS", "mx STARTTLS\nstarttls x", "mx\nX " + strings.Repeat("::1 ", 500)} {
		f.Add(seed)
	}
	stable := audit.NewStabilizer(netip.MustParseAddr("::1"))
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		h := newHello(replyOf(lines...), "probe.example.net", stable)
		if len(h.Keywords) > maxKeywords || len(h.Name) > maxGreetingText || len(h.Text) > maxGreetingText {
			t.Fatalf("limits: %+v", h)
		}
		for _, k := range h.Keywords {
			if len(k.Params) > maxLine {
				t.Fatalf("parameters of %d octets", len(k.Params))
			}
			if k.Name == "" || len(k.Name) > maxKeyword || k.Name != strings.ToUpper(k.Name) || audit.Raw(k.Name).String() != strings.ReplaceAll(k.Name, `\`, `\\`) || strings.Contains(k.Name, " ") {
				t.Fatalf("keyword %q", k.Name)
			}
		}
		var order []string
		for _, k := range h.Keywords {
			order = append(order, k.Name)
			if means := k.Means(); means == "" || len(means) > 8*maxGreetingText+maxLine*4 || audit.Raw(means).String() != strings.ReplaceAll(means, `\`, `\\`) {
				t.Fatalf("%+v means %q", k, means)
			}
		}
		if !slices.Equal(order, h.Order) {
			t.Fatalf("keywords %v, order %v", order, h.Order)
		}
		if family := audit.SoftwareOf(audit.Endpoint{Hello: audit.See(h, "")}).String(); len(family) > 300 || audit.Raw(family).String() != family {
			t.Fatalf("family %q", family)
		}
		listed := false
		for _, l := range lines[1:] {
			words := strings.FieldsFunc(l, func(r rune) bool { return r == ' ' || r == '\t' })
			listed = listed || len(words) > 0 && strings.EqualFold(words[0], "STARTTLS") && len(words[0]) == len("STARTTLS")
		}
		_, found := h.Keyword("STARTTLS")
		if found != listed && len(lines) <= maxKeywords {
			t.Fatalf("STARTTLS found %t, listed %t in %q", found, listed, lines)
		}
	})
}
