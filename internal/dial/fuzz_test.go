package dial

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
)

// FuzzSOCKS lets a proxy say anything: the answer is a connection or a reason
// for there being none, and no octet of what follows is taken.
func FuzzSOCKS(f *testing.F) {
	for _, seed := range []string{
		"\x05\x00\x05\x00\x00\x01\xcb\x00\x71\x09\xa3\x0c220 hello\r\n", "\x05\x00\x05\x00\x00\x03\x03a.b\x00\x01220 hello\r\n", "\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00",
		"\x05\xff", "\x00\x5b", "HTTP/1.1 400 Bad Request\r\n", "", "\x05\x00\x05\x00\x00\x04",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		in := bytes.NewReader(said)
		_, err := socksAsk(struct {
			io.Reader
			io.Writer
		}{in, io.Discard}, netip.MustParseAddrPort("192.0.2.25:25"))
		used := len(said) - in.Len()
		var proxy *proxyError
		switch {
		case err == nil && (used < 9 || used > 2+4+1+255+2):
			t.Errorf("connected after %d octets of % x", used, said)
		case err != nil && (!errors.As(err, &proxy) || Reason(err).Code == "" || Reason(err).Text == ""):
			t.Errorf("% x: %v", said, err)
		}
	})
}
