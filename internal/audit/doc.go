// Package audit is the vocabulary of mailaudit: what was observed, what was
// concluded from it, and what changed between two runs.
//
// Mail delivery is a chain of small questions put to strangers. The domain's
// MX records say which hosts take its mail (RFC 5321 section 5.1); each host
// has addresses; each address answers, or does not, on TCP port 25; what
// answers greets, lists its extensions (EHLO), and may turn the connection
// into TLS (RFC 3207). Every one of these steps can fail for two very
// different reasons: the domain is set up wrongly, or we could not see. The
// whole package is built around keeping these two apart:
//
//   - [Obs] is one observation with a [State]: seen, absent (an authoritative
//     "there is none"), unknown (with a [Reason]), or not tried. The zero value
//     is "not tried", so a forgotten field can never read as a pass.
//   - [Facts] are the observations of one run in canonical form: sorted, and
//     holding nothing that changes by itself (durations, TTLs, dates in
//     banners, queue ids). What does change by itself is in the [Sidecar].
//   - [Snapshot] is Facts plus what the run was allowed and able to see
//     ([Scope], [Vantage]) and an extract of history ([Past]).
//   - [Finding] is the judgement of one rule about one subject. [Run] is all
//     of it together; [Compare] says what changed between two of them.
//
// The package does no I/O and knows no clock; arch_test.go at the root of the
// repository keeps net, crypto/tls, crypto/x509 and database/sql out of it.
package audit
