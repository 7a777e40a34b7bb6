package resolve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"mailaudit/internal/audit"
	"mailaudit/internal/dial"
)

// httpFailed is the code of everything that goes wrong in HTTP itself. It
// stays in this package: outcomes say more, and verdicts say resolver-down.
const httpFailed audit.Code = "http"

// Outcomes of tries, besides RCODEs and reason codes.
const (
	outcomeName   = "certificate-name" // the certificate is for others
	outcomeDate   = "certificate-date" // it is out of date
	outcomeRoot   = "certificate-root" // it leads to no root that is trusted here
	outcomeOther  = "certificate"      // something else is wrong with it
	outcomeStatus = "http-%d"          // a status other than 200
	outcomeType   = "http-type"        // a body that is no DNS message
	outcomeHTTP   = "http-protocol"    // HTTP itself went wrong
)

// maxDetail is what is kept of an error text, which quotes certificates and
// headers of others; in octets.
const maxDetail = 200

// trouble is a failure of the way to a server for which a reason code alone
// says too little. It settles nothing about any name.
type trouble struct {
	code    audit.Code
	outcome string
	did     string // what the server did, see did
	detail  string // may be ""
}

// Error is the outcome and the detail.
func (t *trouble) Error() string { return t.outcome + ": " + t.detail }

// unheard is the reply of a server from which no answer came.
func unheard(ctx, limited context.Context, err error) reply {
	var t *trouble
	switch {
	case ctx.Err() != nil:
		return silence(audit.Interrupted)
	case errors.Is(err, errStray):
		return silence(audit.Malformed)
	case errors.As(err, &t):
		r := silence(t.code)
		r.outcome, r.did, r.text = t.outcome, t.did, audit.Raw(t.detail).Clip(maxDetail)
		return r
	case limited.Err() != nil:
		return silence(audit.Timeout)
	}
	code := dial.Reason(err).Code
	if !down(code) && code != audit.Timeout {
		code = audit.LocalError
	}
	return silence(code)
}

// handshakeFailure says why a handshake failed: the certificate, the network
// beneath, or TLS itself.
func (c *Client) handshakeFailure(s Server, err error) error {
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return c.certificateFailure(s, bad.Err)
	}
	if dial.Reason(err).Code != audit.LocalError {
		return err
	}
	return &trouble{audit.TLSProtocol, string(audit.TLSProtocol), "failed in the TLS handshake", err.Error()}
}

// streamFailure is the same for a connection that is in use: crypto/tls has no
// error values for alerts and for records that do not decrypt.
func streamFailure(err error) error {
	if errors.Is(err, errStray) || dial.Reason(err).Code != audit.LocalError {
		return err
	}
	return &trouble{audit.TLSProtocol, string(audit.TLSProtocol), "broke TLS off", err.Error()}
}

// certificateFailure says what is wrong with a certificate. A machine without
// any root certificates is our own trouble.
func (c *Client) certificateFailure(s Server, err error) error {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var system x509.SystemRootsError
	t := &trouble{audit.Untrusted, outcomeOther, "showed a certificate that cannot be trusted", err.Error()}
	switch {
	case errors.As(err, &name):
		t.outcome, t.did = outcomeName, "showed a certificate that is not valid for "+s.identity()
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		t.outcome, t.did = outcomeDate, "showed a certificate that is out of date"
	case errors.As(err, &system), errors.As(err, &authority) && c.cfg.Roots == nil && rootless():
		t.code, t.outcome = audit.LocalError, string(audit.LocalError)
		t.did = "was not asked, because this system has no root certificates to check its own with"
	case errors.As(err, &authority):
		t.outcome, t.did = outcomeRoot, "showed a certificate that leads to no trusted root"
	}
	return t
}

// rootless reports whether this system has no root certificates, as in a
// container that holds a single program.
func rootless() bool {
	pool, err := x509.SystemCertPool()
	return err != nil || pool.Equal(x509.NewCertPool())
}

// statusFailure is an HTTP status that brings no answer (RFC 8484 4.2.1).
func statusFailure(status int) error {
	t := &trouble{httpFailed, fmt.Sprintf(outcomeStatus, status), fmt.Sprintf("answered with HTTP status %d", status), ""}
	text := http.StatusText(status)
	if text != "" {
		t.did += " (" + text + ")"
	}
	if status/100 == 3 {
		t.did += ", which is not followed"
	}
	return t
}

// httpFailure is an error of a request whose connection had been made. A ping
// that is not answered is a timeout; net/http has no error value for it, so the
// words decide, and a test notices when they change.
func httpFailure(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the path, which is not for reports
	}
	switch {
	case dial.Reason(err).Code != audit.LocalError:
		return err
	case strings.Contains(err.Error(), "http2: client connection lost"):
		return os.ErrDeadlineExceeded
	}
	return &trouble{httpFailed, outcomeHTTP, "failed in HTTP", err.Error()}
}
