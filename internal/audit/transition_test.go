package audit

import (
	"fmt"
	"strings"
	"testing"
)

// Every transition among none, n/a, unknown, pass and fail has a name. Rows
// are "before known now = class"; "-" is none. The table is complete: the test
// counts.
const transitions = `
-       -    pass    = appeared
-       -    fail    = appeared
-       -    unknown = appeared
-       -    n/a     =
-       -    -       =
-       pass pass    = appeared
-       pass fail    = broken
-       pass unknown = lost sight
-       pass n/a     =
-       pass -       =
-       fail pass    = fixed
-       fail fail    = appeared
-       fail unknown = lost sight
-       fail n/a     =
-       fail -       =
n/a     -    pass    = appeared
n/a     -    fail    = appeared
n/a     -    unknown =
n/a     -    n/a     =
n/a     -    -       =
n/a     pass pass    =
n/a     pass fail    = broken
n/a     pass unknown = lost sight
n/a     pass n/a     =
n/a     pass -       = gone
n/a     fail pass    = fixed
n/a     fail fail    = still failing
n/a     fail unknown = lost sight
n/a     fail n/a     =
n/a     fail -       = gone
unknown -    pass    = regained sight
unknown -    fail    = regained sight
unknown -    unknown =
unknown -    n/a     =
unknown -    -       =
unknown pass pass    = regained sight
unknown pass fail    = broken
unknown pass unknown =
unknown pass n/a     =
unknown pass -       = gone
unknown fail pass    = fixed
unknown fail fail    = still failing
unknown fail unknown =
unknown fail n/a     = gone
unknown fail -       = gone
pass    pass pass    =
pass    pass fail    = broken
pass    pass unknown = lost sight
pass    pass n/a     =
pass    pass -       = gone
fail    fail pass    = fixed
fail    fail fail    = still failing
fail    fail unknown = lost sight
fail    fail n/a     = gone
fail    fail -       = gone
`

func status(word string) Status {
	if word == "-" {
		return ""
	}
	return Status(word)
}

func TestTransitions(t *testing.T) {
	rows := map[Transition]Class{}
	for line := range strings.SplitSeq(strings.TrimSpace(transitions), "\n") {
		left, class, _ := strings.Cut(line, "=")
		f := strings.Fields(left)
		tr := Transition{Before: status(f[0]), Known: status(f[1]), Now: status(f[2])}
		rows[tr] = Class(strings.TrimSpace(class))
	}
	// A verdict before is the last known one; otherwise any verdict may be.
	want := 0
	for _, before := range []Status{"", NAStatus, UnknownStatus, Pass, Fail} {
		for _, known := range []Status{"", Pass, Fail} {
			if before.Known() && before != known {
				continue
			}
			for _, now := range []Status{"", NAStatus, UnknownStatus, Pass, Fail} {
				want++
				tr := Transition{Before: before, Known: known, Now: now}
				class, listed := rows[tr]
				if !listed {
					t.Errorf("the table has no row for %+v", tr)
					continue
				}
				if got := Classify(tr); got != class {
					t.Errorf("%q known %q now %q: got %q, want %q", before, known, now, got, class)
				}
			}
		}
	}
	if len(rows) != want {
		t.Errorf("the table has %d rows, there are %d transitions", len(rows), want)
	}
}

func TestTransitionsOfRulesThatComeAndGo(t *testing.T) {
	cases := []struct {
		t    Transition
		want Class
	}{
		{Transition{Now: Fail, Fresh: true}, NewCheck},
		{Transition{Now: Pass, Fresh: true}, NewCheck},
		{Transition{Now: UnknownStatus, Fresh: true}, NewCheck},
		{Transition{Now: NAStatus, Fresh: true}, Same},
		{Transition{Before: Fail, Known: Fail, Now: Fail, Fresh: true}, StillFailing}, // re-judged meanwhile
		{Transition{Before: Pass, Known: Pass, Retired: true}, Retired},
		{Transition{Before: Fail, Known: Fail, Retired: true, Blind: true}, Retired},
		{Transition{Before: Pass, Known: Pass, Blind: true}, LostSight},
		{Transition{Before: Fail, Known: Fail, Blind: true}, LostSight},
		{Transition{Before: UnknownStatus, Blind: true}, Same},
	}
	for _, c := range cases {
		if got := Classify(c.t); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.t, got, c.want)
		}
	}
}

// Diff honesty: a comparison never says "fixed" or "broken" of something that
// is unknown now, and never "lost sight" of something that is known.
func TestTransitionHonesty(t *testing.T) {
	for _, before := range []Status{"", NAStatus, UnknownStatus, Pass, Fail} {
		for _, known := range []Status{"", Pass, Fail} {
			for _, fresh := range []bool{false, true} {
				for _, now := range []Status{"", NAStatus, UnknownStatus, Pass, Fail} {
					tr := Transition{Before: before, Known: known, Now: now, Fresh: fresh}
					name := fmt.Sprintf("%+v", tr)
					switch c := Classify(tr); {
					case (c == Broken || c == Fixed) && !(now.Known() && known.Known()):
						t.Errorf("%s: %s without two verdicts", name, c)
					case c == LostSight && now != UnknownStatus:
						t.Errorf("%s: lost sight of something known", name)
					case c == RegainedSight && !now.Known():
						t.Errorf("%s: regained sight of nothing", name)
					}
				}
			}
		}
	}
}
