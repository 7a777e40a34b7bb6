package smtp

import (
	"errors"
	"io"
	"os"
	"time"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// codeBye answers QUIT (RFC 5321 section 4.2.3).
const codeBye = 221

// misfit is the reason for a reply that is neither a success nor a 5xx.
func (s *session) misfit(rp reply, command string) audit.Reason {
	if rp.class() == 4 {
		return audit.Reason{Code: audit.TempFail, Text: command + " was refused for the time being (4xx)"}
	}
	s.fit = false
	return audit.Reason{Code: audit.OutOfStep, Text: "the reply to " + command + " has a code that does not belong to the command"}
}

// inStep reports whether all that has come was read as part of a reply. It
// sees what the last read brought along; what is still on its way shows as a
// wrong code of the next reply.
func (s *session) inStep() (audit.Reason, bool) {
	n := s.in.pending()
	if n == 0 {
		return audit.Reason{}, true
	}
	s.log.add(server, audit.Raw(s.in.buf[s.in.off:s.in.end]).Clip(maxLine))
	s.log.add(remark, "this was sent behind the reply, unasked")
	s.fit = false
	s.in.off = s.in.end
	return audit.Reason{Code: audit.OutOfStep, Text: "the server sent replies that belong to no command"}, false
}

// ask sends one command and reads its reply, within one deadline.
func (s *session) ask(command, noun string) (reply, audit.Reason, bool) {
	if why, ok := s.inStep(); !ok {
		return reply{}, why, false
	}
	s.deadline(s.p.cfg.Limits.Reply)
	s.log.add(client, audit.Raw(command))
	asked := time.Now()
	_, err := io.WriteString(s.conn, command+"\r\n")
	if err == nil {
		rp, why, ok := s.read(noun)
		if ok {
			s.look.pace.Count(time.Since(asked))
		}
		return rp, why, ok
	}
	// Who hangs up on us may have said why before.
	rp, why, ok := s.read(noun)
	if ok && rp.class() >= 4 || why.Code == audit.TLSProtocol {
		return rp, why, ok
	}
	s.fit = false
	return reply{}, s.broken(err, noun), false
}

// read reads one reply into the transcript.
func (s *session) read(noun string) (reply, audit.Reason, bool) {
	rp, err := s.in.reply()
	for _, line := range rp.lines {
		s.log.add(server, line)
	}
	if rp.mixed {
		if rp.class() != 4 { // a server may break off with a 421 at any time (RFC 5321 section 3.8)
			s.look.mixed = append(s.look.mixed, noun)
		}
		s.log.add(remark, "the lines of this reply differ in their code; that of the last line counts")
	}
	if rp.bare {
		s.log.add(remark, "a line of this reply ends in LF without CR")
	}
	if rp.cut {
		s.log.add(remark, "a line of this reply is longer than what is kept of it")
	}
	s.fit = err == nil
	if err != nil {
		why := s.broken(err, noun)
		s.log.add(remark, audit.Raw(why.Text))
		return rp, why, false
	}
	return rp, audit.Reason{}, true
}

// broken is the reason for a conversation that broke off at a reply.
func (s *session) broken(err error, noun string) audit.Reason {
	why := s.reason(err)
	switch {
	case errors.Is(err, errNotReply):
		return audit.Reason{Code: audit.Malformed, Text: noun + " is not an SMTP reply"}
	case errors.Is(err, errOversized):
		return audit.Reason{Code: audit.Oversized, Text: noun + " is longer than what is read of a stranger"}
	case why.Code == audit.LocalError && s.secure != nil && !errors.Is(err, s.secure.err):
		// The network did not say it, so it is an alert or garbage.
		return audit.Reason{Code: audit.TLSProtocol, Text: "TLS broke down before " + noun + " was complete"}
	case why.Code == audit.Timeout:
		why.Text = noun + " did not come in time"
	case why.Code == audit.Closed:
		why.Text = "the server closed the connection before " + noun + " was complete"
	case why.Code == audit.Reset:
		why.Text = "the connection was reset before " + noun + " was complete"
	}
	return why
}

// reason explains an error of the connection. When ctx has ended that is the
// reason, whatever the connection says.
func (s *session) reason(err error) audit.Reason {
	switch {
	case s.ctx.Err() != nil:
		return dial.GaveUp(s.ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return audit.Reason{Code: audit.Timeout, Text: "no answer in time"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return audit.Reason{Code: audit.Closed, Text: "the server closed the connection"}
	}
	why := dial.Reason(err)
	if why.Code == "" {
		why = audit.Reason{Code: audit.LocalError, Text: "the connection failed in a way that is not known"}
	}
	return why
}

// parted says QUIT and hears the reply out, and reports whether the
// conversation was in step until then. inStep cannot see a reply that is still
// on its way: taken for the reply to the command before, it leaves that one to
// be taken for the reply to QUIT, and one more comes. A single reply of
// another code than 221 is a server's manner, and none decides nothing.
func (s *session) parted() bool {
	s.deadline(goodbyeLimit)
	s.log.add(client, "QUIT")
	_, err := io.WriteString(s.conn, "QUIT\r\n")
	if err != nil {
		s.fit = false
		return true
	}
	rp, _, heard := s.read("the reply to QUIT")
	s.fit = false // the last word is said
	if !heard || rp.code == codeBye {
		return true
	}
	rp, err = s.in.reply()
	for _, line := range rp.lines {
		s.log.add(server, line)
	}
	return err != nil
}

// leave ends the connection, if there is one: with QUIT when the conversation is
// in step, at once when it is not. The reply to QUIT decides nothing, so it is
// waited for in the background (RFC 5321 section 4.1.1.10 has clients wait for
// it). Until then the turn is ours.
func (s *session) leave() {
	if s.raw == nil {
		s.over()
		return
	}
	alive := s.stop()
	if !alive || !s.fit || s.in.pending() > 0 {
		s.raw.Close()
		s.over()
		return
	}
	conn, raw, in := s.conn, s.raw, s.in
	late := time.AfterFunc(goodbyeLimit, func() { raw.Close() })
	_ = conn.SetDeadline(time.Time{}) // late is the deadline now
	s.log.add(client, "QUIT")
	_, err := io.WriteString(conn, "QUIT\r\n")
	if err != nil {
		late.Stop()
		raw.Close()
		s.over()
		return
	}
	s.p.goodbyes.Go(func() {
		_, _ = in.reply()
		conn.Close()
		late.Stop()
		s.over()
	})
}
