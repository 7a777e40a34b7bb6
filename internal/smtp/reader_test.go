package smtp

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"mailaudit/internal/audit"
)

func TestReply(t *testing.T) {
	long := strings.Repeat("x", maxLine-4)
	for _, tt := range []struct {
		name, in string
		err      error
		code     int
		lines    []string // printable
		flags    string   // mixed, bare, cut
		left     int      // octets not claimed
	}{
		{"one line", "220 hi\r\n", nil, 220, []string{"220 hi"}, "", 0},
		{"many lines", "250-a\r\n250-b\r\n250 c\r\n", nil, 250, []string{"250-a", "250-b", "250 c"}, "", 0},
		{"code alone", "220\r\n", nil, 220, []string{"220"}, "", 0},
		{"code and space", "220 \r\n", nil, 220, []string{"220 "}, "", 0},
		{"empty line between", "220-\r\n220 b\r\n", nil, 220, []string{"220-", "220 b"}, "", 0},
		{"bare LF", "220-a\n220 b\r\n", nil, 220, []string{"220-a", "220 b"}, "bare", 0},
		{"codes differ", "220-a\r\n421 b\r\n", nil, 421, []string{"220-a", "421 b"}, "mixed", 0},
		{"codes differ in the middle", "220-a\r\n550-b\r\n220 c\r\n", nil, 220, []string{"220-a", "550-b", "220 c"}, "mixed", 0},
		{"two replies", "220 a\r\n250 b\r\n", nil, 220, []string{"220 a"}, "", 7},
		{"NUL, escape, CR within, high bytes", "220 a\x00\x1b]52;c\x07\rb\xff\\\r\n", nil, 220, []string{`220 a\x00\x1B]52;c\x07\x0Db\xFF\\`}, "", 0},
		{"longest line", "220 " + long + "\r\n", nil, 220, []string{"220 " + long}, "", 0},
		{"longest line, bare", "220 " + long + "\n", nil, 220, []string{"220 " + long}, "bare", 0},
		{"longer line", "220 " + long + "y\r\n", nil, 220, []string{"220 " + long}, "cut", 0},
		{"much longer line", "220-" + long + strings.Repeat("y", 9000) + "\r\n220 b\r\n", nil, 220, []string{"220-" + long, "220 b"}, "cut", 0},
		{"end", "", io.EOF, 0, nil, "", 0},
		{"end within line", "220 a", io.EOF, 0, []string{"220 a"}, "", 0},
		{"end between lines", "220-a\r\n", io.EOF, 220, []string{"220-a"}, "", 0},
		{"two digits", "22\r\n", errNotReply, 0, []string{"22"}, "", 0},
		{"letters", "hello\r\n", errNotReply, 0, []string{"hello"}, "", 0},
		{"no separator", "2200 a\r\n", errNotReply, 0, []string{"2200 a"}, "", 0},
		{"CR as separator", "220\rx\r\n", errNotReply, 0, []string{`220\x0Dx`}, "", 0},
		{"nothing", "\r\n", errNotReply, 0, []string{""}, "", 0},
		{"garbage later", "250-a\r\nb\r\n", errNotReply, 250, []string{"250-a", "b"}, "", 0},
		{"as many lines as go", strings.Repeat("220-a\r\n", maxLines-1) + "220 b\r\n", nil, 220, append(many("220-a", maxLines-1), "220 b"), "", 0},
		{"a line too many", strings.Repeat("220-a\r\n", maxLines) + "220 b\r\n", errOversized, 220, many("220-a", maxLines), "", 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for how, src := range map[string]io.Reader{
				"at once": strings.NewReader(tt.in), "by octets": iotest.OneByteReader(strings.NewReader(tt.in)),
				"with the error": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				r := &reader{src: src}
				rp, err := r.reply()
				if !errors.Is(err, tt.err) || rp.code != tt.code {
					t.Errorf("%s: code %d, error %v; want %d, %v", how, rp.code, err, tt.code, tt.err)
				}
				var lines, flags []string
				for _, l := range rp.lines {
					lines = append(lines, l.String())
				}
				for word, on := range map[string]bool{"mixed": rp.mixed, "bare": rp.bare, "cut": rp.cut} {
					if on {
						flags = append(flags, word)
					}
				}
				// By octets, garbage is given up before its line is complete.
				same := strings.Join(lines, "\n") == strings.Join(tt.lines, "\n")
				if !same && (how != "by octets" || tt.err != errNotReply) {
					t.Errorf("%s: lines %q, want %q", how, lines, tt.lines)
				}
				if strings.Join(flags, " ") != tt.flags {
					t.Errorf("%s: flags %q, want %q", how, flags, tt.flags)
				}
				if r.pending() != tt.left && how != "by octets" {
					t.Errorf("%s: %d octets left, want %d", how, r.pending(), tt.left)
				}
			}
		})
	}
}

func many(s string, n int) []string {
	var out []string
	for range n {
		out = append(out, s)
	}
	return out
}

// endless repeats a text for ever and counts what is taken.
type endless struct {
	text  string
	taken int64
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.text[int((e.taken+int64(i))%int64(len(e.text)))]
	}
	e.taken += int64(len(b))
	return len(b), nil
}

// TestReplyBounds: whatever comes without end, little of it is read and less
// is kept.
func TestReplyBounds(t *testing.T) {
	for name, text := range map[string]string{
		"endless banner":       "220-welcome\r\n",
		"endless empty banner": "220-\n",
		"endless line":         "220 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"endless long lines":   "220-" + strings.Repeat("b", 8000) + "\r\n",
		"digits":               "2",
	} {
		t.Run(name, func(t *testing.T) {
			src := &endless{text: text}
			rp, err := (&reader{src: src}).reply()
			if name == "digits" {
				if !errors.Is(err, errNotReply) || src.taken > readSize {
					t.Errorf("error %v after %d octets", err, src.taken)
				}
				return
			}
			if !errors.Is(err, errOversized) {
				t.Errorf("error %v", err)
			}
			if src.taken > maxReply+readSize {
				t.Errorf("%d octets were read", src.taken)
			}
			kept := 0
			for _, l := range rp.lines {
				kept += len(l)
				if len(l) > maxLine {
					t.Errorf("a line of %d octets was kept", len(l))
				}
			}
			if kept > maxReply || len(rp.lines) > maxLines {
				t.Errorf("%d octets in %d lines were kept", kept, len(rp.lines))
			}
		})
	}
}

// TestFlood: the same over connections, with a server that sends as long as
// it can. What it got rid of is what was read plus what the connection
// buffers.
func TestFlood(t *testing.T) {
	flood := func(text string, n int) script {
		return func(s *peer) {
			chunk := strings.Repeat(text, max(1, (16<<10)/len(text)))
			for sent := 0; sent < n; sent += len(chunk) {
				s.send(chunk)
			}
			s.say("220 done")
			s.wait()
		}
	}
	capabilities := strings.Repeat("250-X-CAPABILITY-NUMBER\r\n", 1000)
	for name, tt := range map[string]struct {
		play script
		want string
	}{
		"a line of 1 GB":         {script(func(s *peer) { s.send("220 "); flood("a", 1<<30)(s) }), "S oversized not-learned"},
		"a banner without end":   {flood("220-welcome\r\n", 1<<30), "S oversized not-learned"},
		"a million capabilities": {script(func(s *peer) { s.say("220 mx"); s.want(ehlo); flood(capabilities, 25e6)(s) }), "S S oversized not-learned"},
		"without end at QUIT": {script(func(s *peer) {
			s.say("220 mx")
			s.answer(ehlo, "421 later")
			s.want("QUIT")
			flood("221-bye\r\n", 1<<30)(s)
		}), "S S temporary not-learned"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, scripts: []any{tt.play}}
				p := New(Config{Dialer: w, HELO: testHELO})
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				e, sessions := p.Probe(t.Context(), testTarget())
				w.check(p)
				runtime.ReadMemStats(&after)
				if got := summary(e); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got %s, want %s ...", got, tt.want)
				}
				if n := w.opened[0].raw.out.written; n > 4*maxReply {
					t.Errorf("the server could send %d octets", n)
				}
				if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
					t.Errorf("%d octets were allocated, by both sides", n)
				}
				checkTranscript(t, sessions[0])
			})
		})
	}
}

func checkTranscript(t *testing.T, s audit.Session) {
	t.Helper()
	size := 0
	for _, l := range s.Lines {
		size += len(l.Text)
	}
	if len(s.Lines) > maxTranscriptLines || size > maxTranscriptBytes+100 {
		t.Errorf("transcript of %d lines, %d octets", len(s.Lines), size)
	}
}

func TestTranscriptLimits(t *testing.T) {
	var lines, octets transcript
	for range 1000 {
		lines.add(server, "x")
		octets.add(server, audit.Raw(strings.Repeat("y", maxLine)))
	}
	// What we said is told all the same.
	whole := lines
	whole.add(client, "QUIT")
	whole.add(server, "x")
	if n := len(whole.lines); n != maxTranscriptLines+1 || whole.lines[n-1].Text != "QUIT" {
		t.Errorf("%d lines, the last one is %+v", n, whole.lines[n-1])
	}
	for name, tr := range map[string]transcript{"lines": lines, "octets": octets} {
		checkTranscript(t, audit.Session{Lines: tr.lines})
		last := tr.lines[len(tr.lines)-1]
		if last.From != remark || !strings.Contains(string(last.Text), "only what we said") {
			t.Errorf("%s: the last line is %q %q", name, last.From, last.Text)
		}
	}
	if len(lines.lines) != maxTranscriptLines {
		t.Errorf("%d lines, want %d", len(lines.lines), maxTranscriptLines)
	}
}

// TestRemarks: what is odd about a reply is said in the transcript.
func TestRemarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, scripts: []any{script(func(s *peer) {
			s.send("220-" + strings.Repeat("x", 3000) + "\r\n421 b\n")
			s.bye()
		})}}
		p := New(Config{Dialer: w, HELO: testHELO})
		e, sessions := p.Probe(t.Context(), testTarget())
		w.check(p)
		text := transcriptText(sessions[0])
		for _, want := range []string{"differ in their code", "LF without CR", "longer than what is kept"} {
			if !strings.Contains(text, want) {
				t.Errorf("transcript lacks %q", want)
			}
		}
		if e.Greeting.Value.Code != 421 || brief(e.Hello) != "temporary" || len(e.Greeting.Value.Lines[0]) != maxGreetingText {
			t.Errorf("code %d, hello %s, first line of %d octets", e.Greeting.Value.Code, brief(e.Hello), len(e.Greeting.Value.Lines[0]))
		}
	})
}

// FuzzReply: no input makes the reader panic, hang or break its limits, and
// how the octets are cut into packets changes nothing about a whole reply.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"220 mx ESMTP\r\n", "250-a\r\n250 b\r\n", "220\n", "220-a\n421 b\r\n250 c\r\n", "HTTP/1.1 200 OK\r\n",
		"220 a\x00\x1b\r\r\n", "220-" + strings.Repeat("z", 5000) + "\r\n220 x\r\n", strings.Repeat("220-\r\n", 101), "22",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		src := bytes.NewReader(in)
		r := &reader{src: src}
		rp, err := r.reply()
		if len(rp.lines) > maxLines {
			t.Fatalf("%d lines", len(rp.lines))
		}
		for _, l := range rp.lines {
			if len(l) > maxLine {
				t.Fatalf("line of %d octets", len(l))
			}
		}
		if taken := len(in) - src.Len() - r.pending(); taken > maxReply+readSize {
			t.Fatalf("%d octets taken", taken)
		}
		if err != nil {
			return
		}
		last := string(rp.lines[len(rp.lines)-1])
		if rp.code < 0 || rp.code > 999 || len(last) > 3 && last[3] != ' ' {
			t.Fatalf("reply ends in %q with code %d", last, rp.code)
		}
		single, err := (&reader{src: iotest.OneByteReader(bytes.NewReader(in))}).reply()
		if err != nil || single.code != rp.code || len(single.lines) != len(rp.lines) ||
			single.mixed != rp.mixed || single.bare != rp.bare || single.cut != rp.cut {
			t.Fatalf("at once %+v, by octets %+v, %v", rp, single, err)
		}
		for i := range rp.lines {
			if rp.lines[i] != single.lines[i] {
				t.Fatalf("line %d: %q, by octets %q", i, rp.lines[i], single.lines[i])
			}
		}
	})
}
