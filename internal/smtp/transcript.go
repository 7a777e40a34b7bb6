package smtp

import (
	"time"

	"mailaudit/internal/audit"
)

// Limits of one transcript. An ordinary session has thirty lines.
const (
	maxTranscriptLines = 200
	maxTranscriptBytes = 64 << 10
)

// Who speaks in a transcript.
const (
	client = "C"
	server = "S"
	remark = "*"
)

// transcript keeps what was said on one connection, up to its limits.
type transcript struct {
	start time.Time
	lines []audit.Line
	size  int
	full  bool
}

// add writes a line down. The first of the server's that would break a limit
// becomes a remark that the rest of its words is missing. What we say is always
// written down: it is little, and what was done to a server shall be told.
func (t *transcript) add(from string, text audit.Raw) {
	switch {
	case from == client:
	case t.full:
		return
	case len(t.lines) >= maxTranscriptLines-1 || t.size+len(text) > maxTranscriptBytes:
		t.full = true
		from, text = remark, "from here on only what we said is taken down"
	}
	t.size += len(text)
	t.lines = append(t.lines, audit.Line{At: time.Since(t.start), From: from, Text: text})
}
