package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mailaudit/internal/lab"
)

// FuzzParseWorld: no text makes the parser panic, every error names the file,
// and a world that parses can make its changes.
func FuzzParseWorld(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := lab.ParseWorld("world", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "world:") {
				t.Errorf("the error names no line: %v", err)
			}
			return
		}
		if w.About == "" || w.At.IsZero() || w.Zone == nil {
			t.Errorf("an incomplete world: %+v", w)
		}
		for _, r := range w.Runs {
			for _, c := range r.Before {
				err := w.Change(c)
				if err != nil {
					t.Errorf("a change that was tried before fails: %v", err)
				}
			}
		}
	})
}

// FuzzZone: whatever the zone, every question has an answer that belongs to
// it (or silence that a line asks for), a negative answer is negative, and
// REFUSED without a line that says so is noted.
func FuzzZone(f *testing.F) {
	data, err := os.ReadFile("testdata/zone.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		owner, _, _ := strings.Cut(line, " ")
		if strings.HasSuffix(owner, ".") {
			f.Add(line, owner, uint16(1))
		}
	}
	f.Add(string(data), "loop1.example.org.", uint16(dns.TypeANY))
	f.Fuzz(func(t *testing.T, zone, name string, qtype uint16) {
		w, err := lab.ParseWorld("world", []byte("# Fuzz.\nat 2026-11-23T12:00:00Z\n-- zone --\n"+zone))
		if err != nil {
			return
		}
		q := new(dns.Msg).SetQuestion(name, qtype)
		packed, err := q.Pack()
		if err != nil || q.Unpack(packed) != nil {
			return
		}
		for _, d := range w.Zone.Directives {
			if d.Kind == lab.Silent || d.Kind == lab.Garbage || d.Kind == lab.Delay || d.Kind == lab.Forge {
				return
			}
		}
		n := w.Network()
		c := dial(t, n, "udp", "192.0.2.53:53")
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		answer, err := transfer(c, "udp", packed)
		if err != nil {
			t.Fatal(err)
		}
		var m dns.Msg
		err = m.Unpack(answer)
		if err != nil {
			t.Fatalf("the answer does not parse: %v", err)
		}
		if m.Id != q.Id || len(m.Question) != 1 || m.Question[0] != q.Question[0] {
			t.Errorf("the answer to %v is for %v", q.Question, m.Question)
		}
		if len(answer) > 512 {
			t.Errorf("%d bytes over UDP", len(answer))
		}
		if missing := n.Unanswered(); len(missing) > 0 && (m.Rcode != dns.RcodeRefused || len(m.Answer) > 0) {
			t.Errorf("unanswered %q and yet %v", missing, &m)
		}
		if p := n.Problems(); len(p) > 0 {
			t.Errorf("problems: %q", p)
		}
	})
}
