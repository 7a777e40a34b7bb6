package resolve

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// idleTime is how long a connection over TLS or HTTP stays open without a
// question. RFC 7766 6.2.3 wants servers to wait for a few seconds; those that
// wait longer need not be kept waiting.
const idleTime = 10 * time.Second

// socket is a connection on which many questions wait: a connected UDP socket
// or, when framed, a stream with a length before each message.
type socket struct {
	conn   net.Conn
	framed bool
	dead   chan struct{} // closed when the socket failed
	err    error         // why; set before dead is closed

	mu       sync.Mutex // guards what follows, never held while waiting
	failed   bool
	retired  bool // takes no more questions, and closes when the last one is through
	sent     int  // questions
	heard    int  // messages that came
	answered int  // of these, answers to one that waited
	waiting  map[uint16]*waiter
}

// waiter is a question that waits for its answer.
type waiter struct {
	id     uint16
	q      *question
	packet chan []byte // room for one
	before int         // how many the socket had answered when it came
}

// register gives the question an id that no other on this socket has. It
// returns nil when the socket takes no more questions.
func (s *socket) register(q *question) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed || s.retired {
		return nil
	}
	w := &waiter{id: randomID(), q: q, packet: make(chan []byte, 1), before: s.answered}
	for s.waiting[w.id] != nil {
		w.id = randomID()
	}
	if s.framed && len(s.waiting) == 0 {
		s.conn.SetReadDeadline(time.Time{}) // an error shows when reading
	}
	s.waiting[w.id] = w
	s.sent++
	s.retired = !s.framed && s.sent >= maxQuestions
	return w
}

// leave ends the waiting. The last one of a retired socket closes it; the last
// one on a connection starts its idle time.
func (s *socket) leave(w *waiter) {
	s.mu.Lock()
	delete(s.waiting, w.id)
	over := s.retired && len(s.waiting) == 0
	if s.framed && len(s.waiting) == 0 {
		s.conn.SetReadDeadline(time.Now().Add(idleTime))
	}
	s.mu.Unlock()
	if over {
		s.conn.Close()
	}
}

func (s *socket) load() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// spent reports whether the socket takes no more questions.
func (s *socket) spent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed || s.retired
}

// worked reports whether anything was ever answered on this socket.
func (s *socket) worked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered > 0
}

// ask sends a question that is registered and waits for its answer.
func (s *socket) ask(ctx context.Context, w *waiter, message []byte) ([]byte, error) {
	err := s.send(ctx, message)
	if err != nil {
		return nil, err
	}
	select {
	case packet := <-w.packet:
		return packet, nil
	case <-s.dead:
		select {
		case packet := <-w.packet: // it came just before
			return packet, nil
		default:
			return nil, s.err
		}
	case <-ctx.Done():
		s.doubt(w)
		return nil, ctx.Err()
	}
}

// send writes a message. A stream that does not take it in the time of the
// question is stuck, for all who wait on it. One that takes no more may still
// bring answers that were under way: the reader finds out when it is at its
// end, and why.
func (s *socket) send(ctx context.Context, message []byte) error {
	if !s.framed {
		_, err := s.conn.Write(message)
		if err != nil {
			s.fail(err)
		}
		return err
	}
	stop := context.AfterFunc(ctx, func() { s.fail(os.ErrDeadlineExceeded) })
	defer stop()
	_, err := s.conn.Write(frame(message))
	if err != nil {
		s.retire()
	}
	return nil
}

func (s *socket) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
}

// doubt retires a stream on which nothing at all was answered in the whole
// time of a question. Firewalls forget connections without a word to anybody;
// the next try shall not go the same way.
func (s *socket) doubt(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.framed && s.answered == w.before {
		s.retired = true
	}
}

// fail gives the socket up: everyone who waits on it learns err, because the
// system does not say whose packet an ICMP error was about. That costs each of
// them one try.
func (s *socket) fail(err error) {
	s.mu.Lock()
	first := !s.failed
	if first {
		s.failed = true
		s.err = err
		if s.framed {
			s.err = streamFailure(err)
		}
		close(s.dead)
	}
	s.mu.Unlock()
	if first {
		s.conn.Close()
	}
}

// read hands messages to those who wait for them until the socket is closed.
// What answers nobody's question is dropped: a late answer, or a forged one.
// Over a stream nobody else can send, and a server owes one message for each
// question: one that keeps sending more is given up.
func (s *socket) read() {
	buf := make([]byte, dns.MaxMsgSize)
	for {
		packet, err := s.next(buf)
		if err == nil && !s.deliver(packet) {
			err = errStray
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *socket) next(buf []byte) ([]byte, error) {
	if s.framed {
		return readFrame(s.conn, buf)
	}
	n, err := s.conn.Read(buf)
	return buf[:max(n, 0)], err
}

// deliver reports whether to go on reading.
func (s *socket) deliver(packet []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard++
	if s.framed && s.heard > s.sent+maxStray {
		return false
	}
	if len(packet) < headerLen {
		return true
	}
	w := s.waiting[binary.BigEndian.Uint16(packet)]
	if w == nil || !w.q.matches(packet) {
		return true
	}
	select {
	case w.packet <- bytes.Clone(packet):
		s.answered++
	default: // a second answer; the first one counts
	}
	return true
}

// frame is a message with its length in front, as streams carry it (RFC 1035
// 4.2.2), both to be written at once (RFC 7766 8).
func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

// readFrame reads the next message of a stream into buf, which has room for
// any: 65,535 octets.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	_, err := io.ReadFull(r, buf[:2])
	if err != nil {
		return nil, err
	}
	packet := buf[:binary.BigEndian.Uint16(buf)]
	_, err = io.ReadFull(r, packet)
	return packet, err
}

// randomID is an id that cannot be guessed (RFC 5452 9.2).
func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint16(b[:])
}
