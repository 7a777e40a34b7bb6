// Package lab is an internet in memory: zones, SMTP dialogues, certificates.
// Tests run mailaudit against it inside testing/synctest bubbles, where a
// greeting after twenty seconds costs no wall time, and `mailaudit demo` runs
// it for people. It never imports testing and it opens no socket.
//
// One txtar file is one world and one story; [ParseWorld] reads it and
// docs/lab.md says how to write it. [World.Network] is the seam: its Dial has
// the shape that internal/dial expects of a network. Problems of the world
// itself (a question that no line of the zone answers, a command that the
// script did not expect, a connection to an address that is not there) are
// collected and must be empty when a test ends: a world that answers what
// nobody wrote down would let a wrong program pass.
//
// # Time
//
// The world has one round-trip time, rtt. A byte written at t can be read by
// the peer at t + rtt/2. A TCP connect takes the client one rtt: SYN out,
// SYN-ACK back. The server learns of it half an rtt after that, when the ACK
// arrives, so that a greeting sent at once is there exactly one rtt after
// connect returned (RFC 9293 section 3.5). A UDP question is answered one rtt
// after it was sent: the resolver has everything in its cache. Round trips can
// thus be counted by dividing fake time by rtt.
//
// # Names
//
// The resolvers of a world answer as recursive resolvers do (RFC 1034 section
// 5.3.3): chains of CNAME records are followed (RFC 1034 section 3.6.2),
// wildcards are expanded (RFC 4592), negative answers carry a SOA record
// (RFC 2308 section 3), a name that exists only because something is below it
// is NODATA and not NXDOMAIN (RFC 8020 section 2).
//
// What the zone knows is what its owner names cover:
//
//   - a name covers its registrable domain and all below it: one line for
//     mx.example.org. makes every other name of example.org. answerable
//     (NODATA, or NXDOMAIN);
//   - the owner of a SOA record covers itself and all below it, and gives its
//     negative answers that SOA; elsewhere a SOA is made up;
//   - a name below in-addr.arpa. or ip6.arpa. covers itself and all below it,
//     so every address needs a line of its own: "25.2.0.192.in-addr.arpa. PTR
//     mx.example.org." or "25.2.0.192.in-addr.arpa. !nxdomain";
//   - the root, a top-level domain and other public suffixes cover only
//     themselves, unless a wildcard stands there: *.invalid. covers invalid.
//     and all below it.
//
// A name that occurs only as the data of a record (an MX host elsewhere)
// covers nothing. A question for a name that is not covered is answered
// REFUSED and recorded as unanswered.
package lab
