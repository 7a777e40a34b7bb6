//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"mailaudit/internal/lab"
)

// The world: its resolver, a domain with two mail hosts of its own, providers
// with two hosts each, customers of theirs, and one domain in five that has a
// host of its own.
const (
	resolver  = "10.0.0.53"
	single    = "example.org"
	providers = 5
	ownShare  = 5
)

func domain(i int) string { return fmt.Sprintf("d%d.example", i) }

// worldText describes the world for so many domains.
func worldText(domains int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The world of the benchmark.\nat 2026-11-23T12:00:00Z  rtt %s  resolvers %s  local 10.9.9.9\n-- zone --\n", rtt, resolver)
	var servers strings.Builder
	host := func(name, addr string) {
		a := netip.MustParseAddr(addr).As4()
		fmt.Fprintf(&b, "%s. A %s\n%d.%d.%d.%d.in-addr.arpa. PTR %s.\n", name, addr, a[3], a[2], a[1], a[0], name)
		fmt.Fprintf(&servers, "-- server %s:25 %s --\n", addr, name)
	}
	senders := func(name string, provider int) {
		fmt.Fprintf(&b, "%s. TXT \"v=spf1 mx include:_spf.p%d.example -all\"\n_dmarc.%s. TXT \"v=DMARC1; p=reject; rua=mailto:d@%s\"\n", name, provider, name, name)
	}
	fmt.Fprintf(&b, "9.9.9.10.in-addr.arpa. PTR probe.example.net.\nprobe.example.net. A 10.9.9.9\n")
	for _, zone := range []string{"zen.spamhaus.org", "bl.spamcop.net", "psbl.surriel.com", "bl.mailspike.net"} {
		fmt.Fprintf(&b, "2.0.0.127.%s. A 127.0.0.2\n", zone)
	}
	fmt.Fprintf(&b, "_dmarc.org. !nxdomain\n_dmarc.example. !nxdomain\n")
	fmt.Fprintf(&b, "dbltest.com.dbl.spamhaus.org. A 127.0.1.2\n")
	for p := range providers {
		// As those of the large ones are: a record that names others with networks.
		fmt.Fprintf(&b, "_spf.p%d.example. TXT \"v=spf1 include:_a.p%d.example include:_b.p%d.example ~all\"\n", p, p, p)
		fmt.Fprintf(&b, "_a.p%d.example. TXT \"v=spf1 ip4:10.1.%d.0/24 ip4:10.101.%d.0/24 ~all\"\n", p, p, p)
		fmt.Fprintf(&b, "_b.p%d.example. TXT \"v=spf1 ip6:2001:db8:%d::/48 ~all\"\n", p, p)
		for h := range 2 {
			host(fmt.Sprintf("mx%d.p%d.example", h+1, p), fmt.Sprintf("10.1.%d.%d", p, h+1))
		}
	}
	fmt.Fprintf(&b, "%s. MX 10 mx1.%s.\n%s. MX 20 mx2.%s.\n", single, single, single, single)
	host("mx1."+single, "10.2.0.1")
	host("mx2."+single, "10.2.0.2")
	senders(single, 0)
	for i := range domains {
		d := domain(i)
		senders(d, i%providers)
		if i%ownShare == 0 {
			fmt.Fprintf(&b, "%s. MX 10 mx.%s.\n", d, d)
			host("mx."+d, fmt.Sprintf("10.%d.%d.1", 3+(i>>8), i&0xff)) // a network, and so an operator, of its own
			continue
		}
		for h := range 2 {
			fmt.Fprintf(&b, "%s. MX %d mx%d.p%d.example.\n", d, 10*(h+1), h+1, i%providers)
		}
	}
	return b.String() + servers.String()
}

// serveWorld puts the world behind real sockets until standard input ends.
func serveWorld(domains int) error {
	w, err := lab.ParseWorld("bench", []byte(worldText(domains)))
	if err != nil {
		return err
	}
	w.Rebase(time.Now())
	roots, err := w.RootPEM()
	if err == nil {
		err = os.WriteFile(rootsFile, roots, 0o600)
	}
	if err != nil {
		return err
	}
	n := w.Network()
	mail, err := net.Listen("tcp4", ":25")
	if err != nil {
		return err
	}
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(resolver+":53")))
	if err != nil {
		return err
	}
	go answer(n, udp)
	go welcome(n, mail)
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	return err
}

// answer hands questions to the world, each when it comes.
func answer(n *lab.Network, udp *net.UDPConn) {
	buf := make([]byte, 64<<10)
	for {
		size, from, err := udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		question := append([]byte(nil), buf[:size]...)
		go func() {
			conn, err := n.Dial(context.Background(), "udp", netip.Addr{}, netip.MustParseAddrPort(resolver+":53"))
			if err != nil {
				return
			}
			defer conn.Close()
			reply := make([]byte, 4096)
			_, err = conn.Write(question)
			if err == nil {
				size, err = conn.Read(reply)
			}
			if err == nil {
				_, _ = udp.WriteToUDPAddrPort(reply[:size], from) // a lost packet is one
			}
		}()
	}
}

// welcome hands connections to the server at the address that was connected
// to. All of its round trips are the world's; the one of the TCP handshake, which
// here takes no time, is waited for before the greeting.
func welcome(n *lab.Network, mail net.Listener) {
	for {
		conn, err := mail.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			at, err := netip.ParseAddrPort(conn.LocalAddr().String())
			if err != nil {
				return
			}
			server, err := n.Dial(context.Background(), "tcp", netip.Addr{}, at)
			if err != nil {
				return
			}
			defer server.Close()
			go func() {
				_, err := io.Copy(server, conn)
				if err != nil && !errors.Is(err, net.ErrClosed) {
					return
				}
				server.Close()
			}()
			_, _ = io.Copy(conn, server) // either side may end it
		}()
	}
}
