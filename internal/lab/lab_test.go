package lab_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailaudit/internal/lab"
)

const rtt = 100 * time.Millisecond

// world reads testdata/NAME.txtar.
func world(t testing.TB, name string) *lab.World {
	t.Helper()
	file := filepath.Join("testdata", name+".txtar")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := lab.ParseWorld(name+".txtar", data)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// parse reads a world of one zone and more sections.
func parse(t testing.TB, sections string) *lab.World {
	t.Helper()
	w, err := lab.ParseWorld("test.txtar", []byte("# A test.\nat 2026-11-23T12:00:00Z areas mx rdns smtp tls rtt 100ms\n"+sections))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// bubble runs f in a synctest bubble whose clock shows the time of the world.
func bubble(t *testing.T, w *lab.World, f func(t *testing.T, n *lab.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(w.At))
		f(t, w.Network())
	})
}

func dial(t *testing.T, n *lab.Network, network, addr string) net.Conn {
	t.Helper()
	c, err := n.Dial(t.Context(), network, netip.Addr{}, netip.MustParseAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryDial(ctx context.Context, n *lab.Network, network, addr string) error {
	c, err := n.Dial(ctx, network, netip.Addr{}, netip.MustParseAddrPort(addr))
	if err == nil {
		c.Close()
	}
	return err
}

// elapsed fails when the time since start is not exactly want.
func elapsed(t *testing.T, what string, start time.Time, want time.Duration) {
	t.Helper()
	got := time.Since(start)
	if got != want {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

// clean fails when the world has a problem.
func clean(t *testing.T, n *lab.Network) {
	t.Helper()
	n.Wait()
	if p := n.Problems(); len(p) > 0 {
		t.Errorf("problems: %q", p)
	}
	if u := n.Unanswered(); len(u) > 0 {
		t.Errorf("unanswered: %q", u)
	}
}

func TestSampleOfTheDesign(t *testing.T) {
	w := world(t, "sample")
	if w.About != "One MX accepts mail but offers no STARTTLS; its PTR points elsewhere." {
		t.Errorf("About = %q", w.About)
	}
	if got := fmt.Sprint(w.At, w.Areas, w.RTT, w.Resolvers); got != "2026-11-23 12:00:00 +0000 UTC [mx rdns smtp tls] 0s [192.0.2.53]" {
		t.Errorf("header = %s", got)
	}
	if len(w.Zone.Records) != 2 || len(w.Zone.Directives) != 1 || w.Zone.Directives[0].Kind != lab.Silent {
		t.Errorf("zone = %v %v", w.Zone.Records, w.Zone.Directives)
	}
	steps := w.Servers[netip.MustParseAddrPort("192.0.2.25:25")].Scripts[0].Steps
	if len(steps) != 4 || steps[3].Text != "250 SIZE 1000" || steps[3].Line != 11 {
		t.Errorf("steps = %+v", steps)
	}
	r := w.Runs[0]
	if !slices.Equal(r.Args, []string{"audit", "--selector", "s1", "example.org"}) || r.Exit != 1 || !r.Listed {
		t.Errorf("run = %+v", r)
	}
	want := lab.Finding{Line: 16, Rule: "tls.starttls-missing", Subject: "mx.example.org[192.0.2.25]:25", Status: "fail"}
	if len(r.Findings) != 1 || r.Findings[0] != want {
		t.Errorf("findings = %+v", r.Findings)
	}
}

func TestStory(t *testing.T) {
	w := world(t, "story")
	if len(w.Runs) != 3 {
		t.Fatalf("%d runs", len(w.Runs))
	}
	first := w.Runs[0]
	if !slices.Equal(first.Args, []string{"audit", "--tag", "first night", "example.org"}) {
		t.Errorf("args = %q", first.Args)
	}
	if len(first.Expects) != 2 || first.Expects[0].Text != "expired" || first.Expects[1] != (lab.Expectation{Line: 43, Stream: "stderr", Lacks: true, Text: "panic"}) {
		t.Errorf("expects = %+v", first.Expects)
	}
	if f := first.Findings[2]; f.Subject != "192.0.2.26 @ zen.example.org" || f.Status != "unknown" || f.Severity != "" {
		t.Errorf("finding = %+v", f)
	}
	if f := first.Findings[0]; f.Severity != "high" {
		t.Errorf("finding = %+v", f)
	}
	for i, want := range []string{"2026-11-23T12:00:00Z", "2026-11-24T12:00:00Z", "2026-12-01T00:00:00Z"} {
		if got := w.Runs[i].At.Format(time.RFC3339); got != want {
			t.Errorf("run %d at %s, want %s", i, got, want)
		}
	}
	if w.Runs[1].Listed || !w.Runs[2].Listed {
		t.Error("which run has a findings section is wrong")
	}
	bubble(t, w, func(t *testing.T, _ *lab.Network) {
		var got []string
		for _, r := range w.Runs {
			for _, c := range r.Before {
				err := w.Change(c)
				if err != nil {
					t.Fatal(err)
				}
			}
			got = append(got, storyNight(t, w.Network()))
		}
		want := []string{
			"mx1 mx2 | NXDOMAIN | SERVFAIL:no | 220 mx1.example.org ESMTP Postfix",
			"mx1 | NOERROR | SERVFAIL:no | 220 mx1.example.org ESMTP Postfix",
			"mx mx1 | NOERROR | SERVFAIL:yes | 421 too busy",
		}
		if !slices.Equal(got, want) {
			t.Errorf("nights:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// storyNight sums up what there is to see in the story's world.
func storyNight(t *testing.T, n *lab.Network) string {
	t.Helper()
	var hosts []string
	m := ask(t, n, question{name: "example.org.", typ: "MX"})
	for _, rr := range m.Answer {
		f := strings.Fields(rr.String())
		hosts = append(hosts, strings.Split(f[len(f)-1], ".")[0])
	}
	slices.Sort(hosts)
	ptr := ask(t, n, question{name: "26.2.0.192.in-addr.arpa.", typ: "PTR"})
	fails := "no"
	if ask(t, n, question{name: "mx2.example.org.", typ: "A"}).Rcode == 2 {
		fails = "yes"
	}
	c := dial(t, n, "tcp", "192.0.2.25:25")
	greeting := readLine(t, c)
	c.Close()
	clean(t, n)
	return fmt.Sprintf("%s | %s | SERVFAIL:%s | %s", strings.Join(hosts, " "), rcode(ptr), fails, greeting)
}
