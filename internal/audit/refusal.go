package audit

import "time"

// Refusal is the reply with which a server turned us away after its greeting,
// whatever the reply means: the rules judge that. (A greeting that does so is a
// Greeting.) Its text is in stable form, see Stabilizer.Refusal.
type Refusal struct {
	// Command is what was refused: "EHLO", "STARTTLS", "EHLO inside TLS".
	// Empty: nothing was said yet, in ModeTLS, where a reply in clear came in
	// place of a handshake.
	Command string `json:"command,omitempty"`
	Code    int    `json:"code"` // 400 to 599
	Lines   []Raw  `json:"lines,omitempty"`
}

// Limits of the text that is kept of a refusal. Real ones have at most five
// lines; what is matched of it is less (rules.Classifier).
const (
	MaxRefusalLines = 16
	MaxRefusalText  = 512 // octets a line (RFC 5321 section 4.5.3.1.5)
)

// Pace is how quickly a server replies to commands, its greeting and the reply
// to QUIT not counted. One slow reply may wait for a lookup of our address;
// where even the quickest is slow, the server slows strangers down on purpose.
type Pace struct {
	Replies  int    `json:"replies"` // at least 1
	Quickest Bucket `json:"quickest"`
	Slowest  Bucket `json:"slowest"`
}

// Count takes in one more reply, which took d from its command to its end.
func (p *Pace) Count(d time.Duration) {
	b := DelayBucket(d)
	if p.Replies == 0 || b.slower(p.Slowest) {
		p.Slowest = b
	}
	if p.Replies == 0 || p.Quickest.slower(b) {
		p.Quickest = b
	}
	p.Replies++
}

// slower reports whether b is a longer time than c.
func (b Bucket) slower(c Bucket) bool { return b.rank() > c.rank() }

func (b Bucket) rank() int {
	switch b {
	case Prompt:
		return 0
	case Paused:
		return 1
	case Slow:
		return 2
	}
	return 3
}
