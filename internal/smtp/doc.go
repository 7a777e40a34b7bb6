// Package smtp observes one SMTP server from outside, the way a polite
// sending host meets it, and never judges what it sees.
//
// SMTP (RFC 5321) is a conversation in strict turns. The server speaks first:
// a greeting of one or more lines, each beginning with a three-digit code; a
// hyphen after the code promises another line, a space ends the reply. A
// client that speaks before the greeting is complete is taken for a spammer
// by many servers, so nothing is written before. Then the client names itself
// (EHLO, or HELO to servers that know no extensions), and the server lists
// its service extensions, one keyword a line. A server that lists STARTTLS
// (RFC 3207) can be asked to turn the connection into TLS; after the
// handshake both sides forget what was said before, and EHLO is sent again.
// The conversation ends with QUIT:
//
//	S: 220 mx.example.org ESMTP
//	C: EHLO probe.example.net
//	S: 250-mx.example.org
//	S: 250 STARTTLS
//	C: STARTTLS
//	S: 220 go ahead
//	   (TLS handshake)
//	C: EHLO probe.example.net
//	S: 250-mx.example.org
//	S: 250 SIZE 52428800
//	C: QUIT
//	S: 221 bye
//
// That is mode starttls, and the way between mail hosts. A [Target] may ask
// for two others. In mode plain the conversation ends after the first EHLO:
// whether STARTTLS is listed is noted, and it is not used. In mode tls, which
// is how clients submit mail on port 465 (RFC 8314 section 3.3), the TLS
// handshake comes before the first word, and greeting, EHLO and QUIT are said
// inside. The order in which each mode learns the facts:
//
//	           connect  greeting  EHLO  STARTTLS?  TLS  EHLO inside
//	starttls      1        2        3       4       5        6
//	plain         1        2        3       4
//	tls           1        3                        2        4
//
// A server of one kind met in the mode of the other is not broken. One that
// waits for a ClientHello stays silent until the time for a greeting is over,
// unless it loses patience with an alert, which gives it away; one that greets
// in clear is recognised by that. Both are unknown, with the mode to try. And
// in mode tls TLS is called broken only where the server has sent some of it:
// one that just closes may not want us.
//
// What one handshake cannot show takes further connections: [Prober.Probe] makes
// one more with a smaller ClientHello where a large one failed, and
// [Prober.Floor], on its own, tries the versions of TLS that RFC 8996 deprecates.
//
// EHLO, HELO, STARTTLS and QUIT are all that is ever sent: no MAIL, no AUTH,
// no padding, no pipelining. The one exception is asked for by name: see
// [Target].TryMail.
//
// The first digit of a code tells success (2), a wish for more (3), a
// temporary failure (4) and a lasting one (5). A 4xx says nothing about the
// server but that it was busy: it is always [audit.Unknown]. So are silence,
// resets and whatever is our own fault. What says "no" for good (connection
// refused, EHLO refused, STARTTLS not offered or declined, TLS broken) is
// believed only when a second, clean connection some seconds later says the
// same: pools behind one address differ, and front ends offer less to
// strangers. A server that is out of step says the same every time: what is not
// offered is not offered when QUIT has one reply.
//
// Servers are strangers. Every reply is bounded in bytes, in lines and in
// time by a reader of our own: net/textproto, under net/smtp, reads an endless
// banner until memory is gone.
package smtp
