package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

// promisedGrowth is what an unchanged run may add to the file, in octets:
// design.md, section 6.
const promisedGrowth = 2048

// noisyWorld changes everything that changes by itself: the order of records,
// their TTLs, dates and queue ids in banners and in replies to EHLO. Its
// certificates hold for longer than the test.
const noisyWorld = `# Nothing changes here but what changes by itself.
at 2026-11-23T12:00:00Z  rtt 30ms  resolvers 192.0.2.53 192.0.2.54
-- cert long --
names $SNI
days 390
-- zone --
*                        !rotate !ttlfall
example.org.             3600 MX 10 mx1.example.org.
example.org.             3600 MX 10 mx2.example.org.
example.org.             3600 MX 20 mx3.example.net.
mx1.example.org.         900 A 192.0.2.25
mx1.example.org.         900 A 192.0.2.26
mx1.example.org.         900 AAAA 2001:db8::25
mx2.example.org.         900 A 192.0.2.27
mx3.example.net.         60 A 203.0.113.25
25.2.0.192.in-addr.arpa. PTR mx1.example.org.
25.2.0.192.in-addr.arpa. PTR out.example.org.
out.example.org.         A 192.0.2.25
26.2.0.192.in-addr.arpa. PTR mx1.example.org.
27.2.0.192.in-addr.arpa. PTR mx2.example.org.
25.113.0.203.in-addr.arpa. PTR mx3.example.net.
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx1.example.org.
`

// noisyScript is a server whose every word has a date or an id.
const noisyScript = `S: 220 %s ESMTP $ID; $DATE
C: EHLO *
S: 250-%s at your service, [198.51.100.200], $ID
S: 250-SIZE 1000
S: 250 STARTTLS
C: STARTTLS
S: 220 2.0.0 go ahead $ID
!starttls cert=long
C: EHLO *
S: 250-%s at your service, $DATE
S: 250 SIZE 1000
`

func noisyText() string {
	var b strings.Builder
	b.WriteString(noisyWorld)
	for _, s := range [][2]string{
		{"192.0.2.25", "mx1.example.org"}, {"192.0.2.26", "mx1.example.org"}, {"[2001:db8::25]", "mx1.example.org"},
		{"192.0.2.27", "mx2.example.org"}, {"203.0.113.25", "mx3.example.net"},
	} {
		fmt.Fprintf(&b, "-- smtp %s:25 --\n"+noisyScript, s[0], s[1], s[1], s[1])
	}
	return b.String()
}

// closedSize is the size of a history that nobody has open.
func closedSize(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(path + "-wal")
	if !os.IsNotExist(err) {
		t.Fatalf("the write-ahead log is still there (%v)", err)
	}
	return st.Size()
}

// Ensure a night in which nothing changed adds next to nothing to the history
// and says nothing.
func TestGrowth(t *testing.T) {
	inWorld(t, noisyText(), func(t *testing.T, w *lab.World) {
		db := filepath.Join(t.TempDir(), "history.db")
		night := func(i int, args ...string) outcome {
			// The resolvers take turns in being the first.
			resolvers := []string{"192.0.2.53,192.0.2.54", "192.0.2.54,192.0.2.53"}[i%2]
			got := attempt{args: append([]string{"audit", "example.org"}, args...), db: db, env: map[string]string{"MAILAUDIT_RESOLVER": resolvers}}.in(w)
			if got.code != exitOK || got.err != "" {
				t.Fatalf("night %d: exit %d\n%s%s", i, got.code, got.out, got.err)
			}
			time.Sleep(24*time.Hour + time.Duration(i)*time.Minute)
			return got
		}
		const settle, nights = 3, 40
		sizes := []int64{}
		for i := range settle {
			night(i)
			sizes = append(sizes, closedSize(t, db))
		}
		before := closedSize(t, db)
		for i := range nights {
			got := night(settle+i, "-q")
			if got.out != "" {
				t.Errorf("night %d is not quiet:\n%s", i, got.out)
			}
		}
		after := closedSize(t, db)
		each := (after - before) / nights
		t.Logf("the first three runs left %d octets; %d unchanged runs of %d findings added %d, %d each (promised: at most %d)",
			sizes, nights, len(newest(t, db).Findings), after-before, each, promisedGrowth)
		if each > promisedGrowth {
			t.Errorf("an unchanged run adds %d octets", each)
		}
		// The noise was there: questions came in different orders and words differed.
		for _, s := range newest(t, db).Sidecar.Sessions {
			if len(s.Lines) == 0 || !strings.Contains(s.Lines[0].Text.String(), ";") {
				t.Errorf("a banner without a date: %+v", s.Lines)
			}
		}
		got := attempt{args: []string{"runs", "-f", "json", "-n", "0"}, db: db}.in(w)
		var list jsonList
		err := json.Unmarshal([]byte(got.out), &list)
		if err != nil || len(list.Runs) != settle+nights {
			t.Fatalf("%d runs, %v", len(list.Runs), err)
		}
		for _, r := range list.Runs {
			if r.Changed != (r.ID == 1) || r.State != audit.Complete {
				t.Errorf("run %d: changed %t, %s", r.ID, r.Changed, r.State)
			}
		}
	})
}

// Ensure two runs at once into one history both succeed, also where they find
// no history yet.
func TestTwoRunsAtOnce(t *testing.T) {
	dir := t.TempDir()
	db, world := filepath.Join(dir, "history.db"), filepath.Join(dir, "world")
	mustWrite(t, world, []byte(plainWorld))
	const rounds, processes = 20, 2
	for round := range rounds {
		var cmds [processes]*exec.Cmd
		var out, errs [processes]bytes.Buffer
		for i := range cmds {
			cmds[i] = child(t, "world", []string{childWorld + "=" + world, "MAILAUDIT_DB=" + db, "MAILAUDIT_ALLOW_NET=" + documentation, "MAILAUDIT_RESOLVER=192.0.2.53"},
				"audit", "example.org", "--tag", fmt.Sprintf("r%dp%d", round, i))
			cmds[i].Stdout, cmds[i].Stderr = &out[i], &errs[i]
			err := cmds[i].Start()
			if err != nil {
				t.Fatal(err)
			}
		}
		for i, cmd := range cmds {
			err := cmd.Wait()
			if err != nil || errs[i].Len() > 0 || !strings.HasPrefix(out[i].String(), "example.org ") {
				t.Errorf("round %d, process %d: %v\n%s%s", round, i, err, &out[i], &errs[i])
			}
		}
	}
	w, err := lab.ParseWorld(world, []byte(plainWorld))
	if err != nil {
		t.Fatal(err)
	}
	got := attempt{args: []string{"db", "check"}, db: db}.in(w)
	if got.code != exitOK || !strings.Contains(got.out, "is sound") {
		t.Errorf("db check: exit %d\n%s%s", got.code, got.out, got.err)
	}
	got = attempt{args: []string{"runs", "-f", "json", "-n", "0"}, db: db}.in(w)
	var list jsonList
	err = json.Unmarshal([]byte(got.out), &list)
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]bool{}
	for _, r := range list.Runs {
		tags[r.Tag] = true
		if r.State != audit.Complete {
			t.Errorf("run %d is %s", r.ID, r.State)
		}
	}
	if len(list.Runs) != rounds*processes || len(tags) != rounds*processes {
		t.Errorf("%d runs, tags %v", len(list.Runs), tags)
	}
}
