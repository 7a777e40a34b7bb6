package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"mailaudit/internal/audit"
)

// Limits on one reply. RFC 5321 section 4.5.3.1.5 allows 512 octets a line;
// longer ones occur. Real EHLO replies have some twenty lines.
const (
	maxLine  = 2048     // octets kept of a line; the rest is counted and dropped
	maxReply = 64 << 10 // octets of a reply, line ends included
	maxLines = 100      // lines of a reply
	readSize = 4 << 10  // octets asked of the connection at once
)

// What can be wrong with a reply itself.
var (
	errNotReply  = errors.New("not an SMTP reply")
	errOversized = errors.New("reply exceeds what is read of a stranger")
)

// reader reads replies from a stranger. It never holds more than readSize
// unread octets and never asks for more after a reply has broken a limit. Time
// is the business of whoever owns the connection: one deadline per reply.
type reader struct {
	src      io.Reader
	buf      [readSize]byte
	off, end int // what is unread in buf
}

// pending is how many octets have come that no reply has claimed. Before a
// command it must be nothing: what is there cannot answer what was not asked.
func (r *reader) pending() int { return r.end - r.off }

// reply is one reply, whole or as far as it came.
type reply struct {
	lines []audit.Raw // without line ends, each at most maxLine octets
	code  int         // of the last line, which decides (RFC 5321 4.2.1)
	mixed bool        // the lines do not all have the same code
	bare  bool        // a line ended in LF alone, which RFC 5321 2.3.8 forbids
	cut   bool        // a line was longer than maxLine
}

// class is the first digit of the code.
func (rp reply) class() int { return rp.code / 100 }

// text is a line without its code.
func (rp reply) text(i int) audit.Raw { return rp.lines[i][min(4, len(rp.lines[i])):] }

// reply reads one reply. Besides those of the connection the errors are
// errNotReply and errOversized; the reply then has what came until there.
func (r *reader) reply() (reply, error) {
	var rp reply
	for budget := maxReply; ; {
		line, err := r.line(&budget, &rp)
		if err != nil {
			if len(line) > 0 {
				rp.lines = append(rp.lines, audit.Raw(line))
			}
			return rp, err
		}
		rp.lines = append(rp.lines, audit.Raw(line))
		code, last, ok := parseLine(line)
		if !ok {
			return rp, errNotReply
		}
		rp.mixed = rp.mixed || len(rp.lines) > 1 && code != rp.code
		rp.code = code
		if last {
			return rp, nil
		}
		if len(rp.lines) == maxLines {
			return rp, errOversized
		}
	}
}

// line reads one line without its end. It gives up at the first octet that
// shows that this is no reply, so that a server of another protocol need not
// send a line end to be found out.
func (r *reader) line(budget *int, rp *reply) ([]byte, error) {
	var line []byte
	dropped := false
	for {
		chunk := r.buf[r.off:r.end]
		i := bytes.IndexByte(chunk, '\n')
		if i >= 0 {
			chunk = chunk[:i+1]
		}
		r.off += len(chunk)
		*budget -= len(chunk)
		room := min(maxLine+2-len(line), len(chunk)) // two for the line end
		dropped = dropped || room < len(chunk)
		line = append(line, chunk[:room]...)
		switch {
		case !plausible(line):
			return bytes.TrimRight(line[:min(len(line), maxLine)], "\r\n"), errNotReply
		case *budget < 0:
			return line[:min(len(line), maxLine)], errOversized
		case i >= 0:
			return trim(line, dropped, rp), nil
		}
		n, err := r.src.Read(r.buf[:])
		r.off, r.end = 0, n
		if n == 0 && err != nil {
			return line[:min(len(line), maxLine)], err
		}
	}
}

// trim takes the line end off and remarks a bare LF, which is read as a line
// end all the same: there is no other way to read on.
func trim(line []byte, dropped bool, rp *reply) []byte {
	line, whole := bytes.CutSuffix(line, []byte("\n"))
	line, crlf := bytes.CutSuffix(line, []byte("\r"))
	rp.bare = rp.bare || whole && !crlf
	if dropped || len(line) > maxLine {
		rp.cut = true
		line = line[:min(len(line), maxLine)]
	}
	return line
}

// plausible reports whether the octets can begin a reply line.
func plausible(b []byte) bool {
	for i := range min(3, len(b)) {
		if b[i] < '0' || b[i] > '9' {
			return false
		}
	}
	return len(b) < 4 || strings.IndexByte(" -\r\n", b[3]) >= 0
}

// parseLine takes a reply line apart (RFC 5321 section 4.2). A code without
// text is allowed there, with or without the space.
func parseLine(line []byte) (code int, last, ok bool) {
	if len(line) < 3 || !plausible(line) || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, false, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	return code, len(line) == 3 || line[3] == ' ', true
}
