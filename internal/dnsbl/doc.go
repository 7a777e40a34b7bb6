// Package dnsbl observes what DNS block lists say about an address or a
// domain, and whether each list can be believed today. It never judges.
//
// A block list is a DNS zone (RFC 5782 section 2). To ask whether 192.0.2.25
// is listed in bl.example, reverse its octets, as for a PTR record, append the
// zone, and ask for an A record; an IPv6 address is reversed by its 32 nibbles
// (section 2.4), a domain goes in front of the zone as it is (section 3):
//
//	25.2.0.192.bl.example.         A  127.0.0.2
//	shop.example.org.bl.example.   A  127.0.1.4
//
// NXDOMAIN means "not listed". An A record means "listed", and its address is
// never to be connected to: it is a code inside 127.0.0.0/8 whose meaning the
// operator of the list documents, one record for each reason (section 2.3).
//
// So nearly everything looks like an answer, and most things that go wrong
// look like a wrong one:
//
//   - A list whose domain has expired, or that wants to be rid of its users,
//     answers every question: it lists the world.
//   - A list that was closed, or that does not like the resolver that asks,
//     says NXDOMAIN to everything: it lists nobody.
//   - A resolver that rewrites NXDOMAIN, a filter or a captive portal answers
//     with the address of its own web page.
//   - Lists tell resolvers that they do not serve (public ones, those with too
//     many questions, unregistered ones) so in the same A record, by an error
//     code: 127.255.255.0/24 at most lists, 127.0.0.1 at some.
//   - Others answer those with REFUSED, with SERVFAIL or not at all.
//
// Against the first two, section 5 gives every list two test entries: 127.0.0.2
// must be listed and 127.0.0.1 must not be (::FFFF:7F00:2 and ::FFFF:7F00:1
// among IPv6 addresses, TEST and INVALID among domains). [Checker] asks for
// both in each run, beside its real questions. What a list says counts only
// when the list passed; "listed" counts only when each address in the answer
// is one that lists give, at least one is a documented code, none is an error
// code, and a second question some seconds later finds the same code. All else
// is [audit.Unknown], with the reason. A code that is not documented lists
// nobody.
package dnsbl
