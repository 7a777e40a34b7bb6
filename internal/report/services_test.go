package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"mailaudit/internal/audit"
)

// serverRun is a run in which servers list these extensions, one word or
// "NAME params" each.
func serverRun(t *testing.T, lists ...[]string) *audit.Run {
	run := &audit.Run{}
	for i, list := range lists {
		e := end(t, "mx.example.org", "192.0.2."+string(rune('1'+i)), 25, audit.Seen, "")
		e.Greeting = audit.See(audit.Greeting{Code: 220, Name: "mx.example.org", Lines: []audit.Raw{"mx.example.org ESMTP"}}, "")
		h := audit.Hello{}
		for _, l := range list {
			name, params, _ := strings.Cut(l, " ")
			h.Keywords = append(h.Keywords, audit.Keyword{Name: name, Params: audit.Raw(params)})
			h.Order = append(h.Order, name)
		}
		e.Hello = audit.See(h, "")
		run.Snapshot.Facts.SMTP = append(run.Snapshot.Facts.SMTP, e)
	}
	return run
}

// TestServices: who offers what, and what nobody knows stays in the list.
func TestServices(t *testing.T) {
	got := services(serverRun(t, []string{"SIZE 1000", "XFROB \x1b[2J", "DSN"}, []string{"SIZE 2000", "DSN"}))
	var lines []string
	for _, s := range got {
		lines = append(lines, strings.Join([]string{s.Name, s.Means, s.Ref, strings.Join(s.Where, " "), strings.Join(s.NotAt, " ")}, " | "))
	}
	const one, two = "mx.example.org[192.0.2.1]:25", "mx.example.org[192.0.2.2]:25"
	want := []string{
		"DSN | delivery reports on demand | RFC 3461 | " + one + " " + two + " | ",
		"SIZE 1000 | messages of at most 1000 octets | RFC 1870 | " + one + " | " + two,
		"SIZE 2000 | messages of at most 2000 octets (2 KiB) | RFC 1870 | " + two + " | " + one,
		`XFROB \x1B[2J | an experiment of this server's own, not known here | unknown | ` + one + " | " + two,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q\nwant %q", lines, want)
	}
	// What was not seen is listed as missing nowhere.
	run := serverRun(t, []string{"DSN"}, []string{"SIZE"})
	run.Snapshot.Facts.SMTP[1].Hello = audit.Dark[audit.Hello](audit.Reason{Code: audit.Timeout}, "")
	if got := services(run); len(got) != 1 || len(got[0].NotAt) != 0 {
		t.Errorf("an endpoint in the dark: %+v", got)
	}
	if services(&audit.Run{}) != nil || serviceTables(nil) != nil {
		t.Error("nothing makes something")
	}
}

func TestServiceTable(t *testing.T) {
	one := serviceTables(services(serverRun(t, []string{"DSN", "TURN", "XCLIENT NAME"})))
	checkTable(t, "one server", one[0], "code: DSN | delivery reports on demand | RFC 3461",
		"code: TURN | client and server change places, whoever the client is | RFC 821 (obsolete)", "code: XCLIENT NAME | proxies tell whose connection it is: NAME | Postfix (unregistered)")
	two := serviceTables(services(serverRun(t, []string{"DSN"}, []string{"DSN", "HELP"})))
	checkTable(t, "two servers", two[0], "code: DSN | delivery reports on demand | RFC 3461 | all", "code: HELP | an explanation of commands | RFC 5321 | code: mx.example.org[192.0.2.2]:25")
	if len(one[0].Head) != 3 || len(two[0].Head) != 4 {
		t.Errorf("heads %v and %v", one[0].Head, two[0].Head)
	}
	var b bytes.Buffer
	p := &page{w: &b}
	p.services(services(serverRun(t, []string{"DSN"}, []string{"DSN", "HELP"})))
	for _, want := range []string{"SERVICES that the servers offer", "   DSN  ", "[RFC 3461]", "offered by mx.example.org[192.0.2.2]:25", "not by mx.example.org[192.0.2.1]:25"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

// TestFamilyStep: what kind of server it is stands behind EHLO, and where we
// were turned away nothing is said of it but what is certain.
func TestFamilyStep(t *testing.T) {
	steps := func(greeting audit.Greeting) []Step {
		run := serverRun(t, []string{"PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN"})
		run.Kind = audit.KindSMTP
		run.Snapshot.Facts.SMTP[0].Greeting = audit.See(greeting, "")
		return tests(run)[0].Steps
	}
	for _, c := range []struct {
		greeting audit.Greeting
		want     string
	}{
		{audit.Greeting{Code: 220, Name: "mx", Lines: []audit.Raw{"mx ESMTP Postfix"}}, "ok Postfix (sure: banner, EHLO order)"},
		{audit.Greeting{Code: 220, Name: "mx", Lines: []audit.Raw{"mx ESMTP"}}, "ok Postfix (guess: EHLO order); hides itself in the greeting"},
		{audit.Greeting{Code: 554, Name: "no", Lines: []audit.Raw{"no"}}, "ok Postfix (guess: EHLO order)"},
	} {
		list := steps(c.greeting)
		at := slices.IndexFunc(list, func(s Step) bool { return s.Name == stepFamily })
		if at < 1 || list[at-1].Name != stepEHLO {
			t.Errorf("%v: family is step %d", c.greeting.Lines, at)
			continue
		}
		if got := string(list[at].Status) + " " + strings.Join(list[at].Seen[0].Lines, ""); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	run := serverRun(t, nil)
	run.Kind = audit.KindSMTP
	run.Snapshot.Facts.SMTP[0].Greeting = audit.See(audit.Greeting{Code: 554, Lines: []audit.Raw{"5.7.1 go away"}}, "")
	for _, s := range tests(run)[0].Steps {
		if s.Name == stepFamily {
			t.Errorf("a refusal tells a family: %+v", s)
		}
	}
}
