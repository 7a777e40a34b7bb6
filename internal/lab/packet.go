package lab

import (
	"net"
	"os"
	"time"
)

// packetConn is a connected UDP socket.
type packetConn struct {
	in            *stream
	send          func([]byte)
	local, remote net.Addr
}

// deliver puts a datagram under way unless the reader has gone.
func (s *stream) deliver(c chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone.IsZero() {
		s.push(c)
	}
}

// Read reads one datagram. ECONNREFUSED is an ICMP "port unreachable".
func (c *packetConn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, wrap("read", c.local, c.remote, err)
}

// Write sends one datagram; it never waits.
func (c *packetConn) Write(p []byte) (int, error) {
	c.in.mu.Lock()
	closed, late := !c.in.gone.IsZero(), passed(c.in.writeBy)
	c.in.mu.Unlock()
	switch {
	case closed:
		return 0, wrap("write", c.local, c.remote, net.ErrClosed)
	case late:
		return 0, wrap("write", c.local, c.remote, os.ErrDeadlineExceeded)
	}
	c.send(p)
	return len(p), nil
}

// ReadFrom is Read. Libraries know a UDP socket by its being a net.PacketConn.
func (c *packetConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := c.Read(p)
	return n, c.remote, err
}

// WriteTo is refused, as on every connected socket.
func (c *packetConn) WriteTo([]byte, net.Addr) (int, error) {
	return 0, wrap("write", c.local, c.remote, net.ErrWriteToConnected)
}

// Close ends the socket. A second Close is net.ErrClosed.
func (c *packetConn) Close() error {
	c.in.mu.Lock()
	again := !c.in.gone.IsZero()
	c.in.mu.Unlock()
	if again {
		return wrap("close", c.local, c.remote, net.ErrClosed)
	}
	c.in.leave(false)
	return nil
}

func (c *packetConn) LocalAddr() net.Addr  { return c.local }
func (c *packetConn) RemoteAddr() net.Addr { return c.remote }

func (c *packetConn) SetDeadline(t time.Time) error {
	err := c.SetReadDeadline(t)
	if err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

func (c *packetConn) SetWriteDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.writeBy, t)
	return nil
}
