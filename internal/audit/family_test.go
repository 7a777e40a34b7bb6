package audit

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// heard is an endpoint that greets and answers EHLO in these words, "|" between
// lines, as internal/smtp writes them down.
func heard(greeting, hello string) Endpoint {
	const helo = "probe.example.net"
	stable := NewStabilizer(netip.MustParseAddr("198.51.100.7"))
	code := 220
	if rest, ok := strings.CutPrefix(greeting, "554 "); ok {
		code, greeting = 554, rest
	}
	g := Greeting{Code: code}
	for line := range strings.SplitSeq(greeting, "|") {
		g.Lines = append(g.Lines, stable.Text(Raw(line)))
	}
	name, _, _ := strings.Cut(greeting, " ")
	g.Name = stable.Text(Raw(name))
	e := Endpoint{Greeting: See(g, "")}
	if hello == "" {
		return e
	}
	lines := strings.Split(hello, "|")
	first, text, _ := strings.Cut(lines[0], " ")
	h := Hello{Name: stable.Text(Raw(first)), Text: stable.Text(Raw(strings.ReplaceAll(text, helo, "<our name>")))}
	for _, line := range lines[1:] {
		k, params, _ := strings.Cut(line, " ")
		h.Keywords = append(h.Keywords, Keyword{strings.ToUpper(k), Raw(params)})
		h.Order = append(h.Order, strings.ToUpper(k))
	}
	e.Hello = See(h, "")
	return e
}

// greetings are dialogues as servers of each family have them, out of their
// documents, their sources and public transcripts, and what must be made of
// them.
func greetings() []struct{ greeting, hello, want string } {
	type c = struct{ greeting, hello, want string }
	const postfix = "mx.example.org|PIPELINING|SIZE 10240000|VRFY|ETRN|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|DSN|SMTPUTF8|CHUNKING"
	return []c{
		{"mx.example.org ESMTP Postfix (Debian/GNU)", postfix, "Postfix (sure: banner, EHLO order)"},
		{"mx.example.org ESMTP Postfix (3.7.11)", "mx.example.org|PIPELINING|SIZE|ETRN|AUTH PLAIN|AUTH=PLAIN", "Postfix 3.7.11 (sure: banner)"},
		{"mx.example.org ESMTP", postfix, "Postfix (guess: EHLO order); hides itself in the greeting"},
		{"mx.example.org ESMTP NO UCE, since 1996", postfix, "Postfix (guess: EHLO order)"},
		{"****************", postfix, "Postfix (guess: EHLO order); hides itself in the greeting"},
		{"mx.example.org ESMTP", "mx.example.org|PIPELINING|SIZE 1|ETRN|XFORWARD NAME ADDR|ENHANCEDSTATUSCODES|8BITMIME|DSN", "Postfix (likely: EHLO keywords, EHLO order); hides itself in the greeting"},
		{"mail.example.org ESMTP Postcow", "", "Postfix (sure: banner)"},
		{"box.example.org ESMTP Hi, I'm a Mail-in-a-Box (Ubuntu/Postfix; see https://mailinabox.email/)", postfix, "Postfix (sure: banner, EHLO order)"},
		{"mx.example.org ESMTP Exim 4.96 Mon, 23 Nov 2026 12:00:00 +0000",
			"mx.example.org Hello probe.example.net [198.51.100.7]|SIZE 52428800|8BITMIME|PIPELINING|PIPECONNECT|CHUNKING|STARTTLS|PRDR|HELP",
			"Exim 4.96 (sure: banner, EHLO keywords, EHLO order, EHLO text)"},
		{"mx.example.org ESMTP Exim 4.96.2 #2 Mon, 23 Nov 2026 12:00:00 +0000 |We do not authorize the use of this system to transport unsolicited, |and/or bulk e-mail.", "",
			"Exim 4.96.2 (sure: banner)"},
		{"mx.example.org ESMTP ready", "mx.example.org Hello probe.example.net [198.51.100.7]|SIZE 1|LIMITS MAILMAX=1000 RCPTMAX=50000|8BITMIME|PIPELINING|HELP",
			"Exim (likely: EHLO order, EHLO text); hides itself in the greeting"},
		{"mx.example.org ESMTP OpenSMTPD", "mx.example.org Hello probe.example.net [198.51.100.7], pleased to meet you|8BITMIME|ENHANCEDSTATUSCODES|SIZE 36700160|DSN|STARTTLS|HELP",
			"OpenSMTPD (sure: banner, EHLO order, EHLO text)"},
		{"mx.example.org ESMTP Sendmail 8.17.1/8.17.1; Mon, 23 Nov 2026 12:00:00 GMT",
			"mx.example.org Hello probe.example.net [198.51.100.7], pleased to meet you|ENHANCEDSTATUSCODES|PIPELINING|8BITMIME|SIZE|DSN|ETRN|AUTH GSSAPI|STARTTLS|DELIVERBY|HELP",
			"Sendmail 8.17.1 (sure: banner, EHLO order, EHLO text)"},
		{"ex01.corp.example Microsoft ESMTP MAIL Service ready at Mon, 23 Nov 2026 12:00:00 +0100",
			"ex01.corp.example Hello [198.51.100.7]|SIZE 37748736|PIPELINING|DSN|ENHANCEDSTATUSCODES|STARTTLS|X-ANONYMOUSTLS|AUTH NTLM|X-EXPS GSSAPI NTLM|8BITMIME|BINARYMIME|CHUNKING|XRDST",
			"Microsoft Exchange (sure: banner, EHLO keywords, EHLO order, EHLO text)"},
		{"mail.example.org SMTP", "mail.example.org Hello [198.51.100.7]|SIZE 37748736|PIPELINING|DSN|ENHANCEDSTATUSCODES|STARTTLS|X-ANONYMOUSTLS|AUTH NTLM|X-EXPS GSSAPI NTLM|8BITMIME|BINARYMIME|CHUNKING|XRDST",
			"Microsoft Exchange (sure: EHLO keywords, EHLO order, EHLO text); hides itself in the greeting"},
		{"AMS0EPF0000019A.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready at Sun, 9 Mar 2025 19:25:28 +0000 [08DD59CA63652EED]",
			"AMS0EPF0000019A.mail.protection.outlook.com Hello [198.51.100.7]|SIZE 49283072|PIPELINING|DSN|ENHANCEDSTATUSCODES|STARTTLS|8BITMIME|BINARYMIME|CHUNKING|SMTPUTF8",
			"Exchange Online (Microsoft 365) (sure: its name, banner, EHLO order)"},
		{"srv.example.org Microsoft ESMTP MAIL Service, Version: 10.0.17763.1697 ready at  Mon, 23 Nov 2026 12:00:00 +0100",
			"srv.example.org Hello [198.51.100.7]|TURN|SIZE 2097152|ETRN|PIPELINING|DSN|ENHANCEDSTATUSCODES|8bitmime|BINARYMIME|CHUNKING|VRFY|OK",
			"Microsoft IIS (or Exchange 2003) 10.0.17763.1697 (sure: banner, EHLO order, EHLO keywords)"},
		{"mx.google.com ESMTP 5b1f17b1804b1-477a9dfe0b2si12345678.90 - gsmtp", "mx.google.com at your service, [198.51.100.7]|SIZE 157286400|8BITMIME|STARTTLS|ENHANCEDSTATUSCODES|PIPELINING|CHUNKING|SMTPUTF8",
			"Google (Gmail, Workspace) (sure: banner, its name, EHLO order, EHLO text)"},
		{"mtaproxy301.free.mail.ne1.yahoo.com ESMTP ready", "mtaproxy301.free.mail.ne1.yahoo.com|PIPELINING|SIZE 41943040|8BITMIME|STARTTLS", "Yahoo (Yahoo, AOL) (sure: its name, banner)"},
		{"p00-icloudmta-smtpin.mail.icloud.com ESMTP", "", "Apple iCloud Mail (likely: its name)"},
		{"mail.example.org Dovecot ready.", "mail.example.org|8BITMIME|AUTH PLAIN LOGIN|BURL imap|CHUNKING|ENHANCEDSTATUSCODES|SIZE 31457280|STARTTLS|PIPELINING", "Dovecot submission (sure: banner, EHLO order)"},
		{"mx.example.org ESMTP Haraka/3.0.5 ready", "mx.example.org Hello probe.example.net [198.51.100.7], Haraka is at your service.|PIPELINING|8BITMIME|SMTPUTF8|SIZE 0|STARTTLS", "Haraka 3.0.5 (sure: banner, EHLO text, EHLO order)"},
		{"mail.example.org Stalwart ESMTP at your service",
			"mail.example.org you had me at EHLO|STARTTLS|SMTPUTF8|SIZE 104857600|REQUIRETLS|PIPELINING|NO-SOLICITING|ENHANCEDSTATUSCODES|CHUNKING|BINARYMIME|AUTH XOAUTH2 OAUTHBEARER|8BITMIME",
			"Stalwart (sure: banner, EHLO text, EHLO order)"},
		{"localhost ESMTP Service Ready", "Hello probe.example.net|PIPELINING|8BITMIME|ENHANCEDSTATUSCODES|CHUNKING|AUTH PLAIN|SIZE 1048576|LIMITS RCPTMAX=50",
			"maddy, or another server on go-smtp (likely: EHLO order, banner, EHLO text)"},
		{"mail.example.org ESMTP mox v0.0.15", "", "mox 0.0.15 (sure: banner)"},
		{"mx.example.org ESMTP chasquid", "mx.example.org - Your hour of destiny has come.|8BITMIME|PIPELINING|SMTPUTF8|SIZE 52428800|STARTTLS|HELP", "chasquid (sure: banner, EHLO text, EHLO order)"},
		{"mail.example.org ESMTP", "mail.example.org|PIPELINING|8BITMIME", "qmail, or one of its descendants (guess: EHLO order); hides itself in the greeting"},
		{"mail.example.org ESMTP", "mail.example.org|STARTTLS|PIPELINING|8BITMIME|SIZE 0|AUTH LOGIN PLAIN CRAM-MD5", "qmail, or one of its descendants (guess: EHLO order); hides itself in the greeting"},
		{"mail.example.org - Welcome to Qmail Toaster Ver. 1.3 SMTP Server ESMTP", "", "qmail, or one of its descendants (likely: banner)"},
		{"mail.example.org ESMTP", "mail.example.org Ok.|STARTTLS|XVERP=Courier|XEXDATA|XSECURITY=NONE,STARTTLS|PIPELINING|8BITMIME|SIZE|DSN", "Courier (sure: EHLO keywords, EHLO text); hides itself in the greeting"},
		{"mail.example.org ESMTP MDaemon 21.5.2; Mon, 23 Nov 2026 12:00:00 +0100", "mail.example.org Hello probe.example.net [198.51.100.7], pleased to meet you|ETRN|AUTH LOGIN|8BITMIME|SIZE", "MDaemon 21.5.2 (sure: banner, EHLO text)"},
		{"MYSERVER ESMTP", "MYSERVER|SIZE 20480000|AUTH LOGIN PLAIN|HELP", "hMailServer (guess: EHLO order); hides itself in the greeting"},
		{"mail.example.org ESMTP MailEnable Service, Version: 10.30--10.30 ready at 11/23/26 12:00:00", "example.org [198.51.100.7], this server offers 4 extensions|AUTH LOGIN|SIZE 10240000|HELP|AUTH=LOGIN",
			"MailEnable 10.30 (sure: banner, EHLO text)"},
		{"mail.example.org Kerio Connect 9.4.2 ESMTP ready", "", "Kerio Connect (GFI) 9.4.2 (sure: banner)"},
		{"mail.example.org ESMTP IceWarp 11.4.6.0 x64; Tue, 22 May 2018 15:53:07 +0200", "", "IceWarp 11.4.6.0 (sure: banner)"},
		{"mail.example.org ESMTP Merak 8.9.1; Mon, 23 Nov 2026 12:00:00 +0100", "", "IceWarp 8.9.1 (sure: banner)"},
		{"mail.example.org Axigen ESMTP ready", "mail.example.org Axigen ESMTP hello|PIPELINING|AUTH PLAIN|8BITMIME", "Axigen (sure: banner, EHLO text)"},
		{"mail.example.org ESMTP", "mail.example.org Hello [198.51.100.7]|SIZE 31457280|AUTH LOGIN CRAM-MD5|STARTTLS|8BITMIME|OK", "SmarterMail (likely: EHLO order, EHLO keywords); hides itself in the greeting"},
		{"mail.example.org ESMTP CommuniGate Pro 6.3.3", "", "CommuniGate Pro 6.3.3 (sure: banner)"},
		{"mail.example.org ESMTP Service (HCL Domino Release 11.0.1) ready at Wed, 16 Sep 2020 00:36:55 -0400", "", "HCL Domino (Lotus, IBM) 11.0.1 (sure: banner)"},
		{"mail.example.org ESMTP Service (Lotus Domino Release 8.5.1) ready at Wed, 16 Sep 2020 16:16:29 +1000", "", "HCL Domino (Lotus, IBM) 8.5.1 (sure: banner)"},
		{"gw.example.org GroupWise Internet Agent 18.4.1 Ready (C)1993-2022 Micro Focus", "", "Novell GroupWise 18.4.1 (sure: banner)"},
		{"mail.port25.com (PowerMTA(TM) v4.0) ESMTP service ready", "mail.port25.com says hello|STARTTLS|ENHANCEDSTATUSCODES|PIPELINING|CHUNKING|8BITMIME|XACK|XMRG|SIZE 54525952|VERP|DSN", "PowerMTA 4.0 (sure: banner, EHLO keywords, EHLO text)"},
		{"mta.example.org ESMTP ecelerity 4.4.1.20033 r(msys-ecelerity:tags/4.4.1.0^0) Mon, 23 Nov 2026 12:00:00 +0000", "", "Momentum (ecelerity) 4.4.1.20033 (sure: banner)"},
		{"mta.example.org KumoMTA", "mta.example.org Aloha probe.example.net|PIPELINING|ENHANCEDSTATUSCODES|STARTTLS", "KumoMTA (sure: banner, EHLO text)"},
		{"zcs.example.org ESMTP Zimbra 8.8.15", "", "Zimbra 8.8.15 (likely: banner)"},
		{"mail.example.org -- Server ESMTP (Oracle Communications Messaging Server 8.0.2.2.20180531 64bit)", "mail.example.org|8BITMIME|PIPELINING|XADR|XSTA|XCIR|XGEN|SIZE 0", "Oracle Communications Messaging Server 8.0.2.2.20180531 (sure: banner, EHLO keywords)"},
		{"mail.example.org SMTP Server (JAMES SMTP Server 3.8.0) ready", "", "Apache James 3.8.0 (sure: banner)"},
		{"<1795435200.140@mail.example.org> [XMail 1.27 ESMTP Server] service ready; Mon, 23 Nov 2026 12:00:00 -0000", "", "XMail 1.27 (sure: banner)"},
		{"mail.example.org SurgeSMTP (Version 7.7c2-3) http://surgemail.com", "", "SurgeMail (sure: banner)"},
		{"mail.example.org (IMail 12.4.2.27 21349-1) NT-ESMTP Server X1", "", "IMail (Ipswitch) 12.4.2.27 (sure: banner)"},
		{"mail.example.org ESMTP qpsmtpd 0.94 ready; send us your mail, but not your spam.", "", "qpsmtpd 0.94 (sure: banner)"},
		{"host Python SMTP 1.4.4", "", "aiosmtpd (Python) 1.4.4 (sure: banner)"},
		{"f3a8189f0ff4 Mailpit ESMTP Service ready", "", "Mailpit (sure: banner)"},
		{"163.com Anti-spam GT for Coremail System (163com[20141201])", "", "Coremail (sure: banner)"},
		{"newxmmxsza5.qq.com MX QQ Mail Server.", "", "Tencent QQ Mail (sure: banner, its name)"},
		{"email-smtp.amazonaws.com ESMTP SimpleEmailService-d-GI38EMLB2 hkD7YwduxMJw9KrXpof7", "email-smtp.amazonaws.com|8BITMIME|SIZE 10485760|AUTH PLAIN LOGIN|Ok", "Amazon SES (sure: its name, EHLO keywords)"},
		{"email-smtp.amazonaws.com ESMTP SimpleEmailService-793939519", "", "Amazon SES (sure: banner, its name)"},
		{"mx.cloudflare.net Cloudflare Email ESMTP Service ready", "mx.cloudflare.net greets probe.example.net|8BITMIME", "Cloudflare Email Routing (sure: banner, its name)"},
		{"SG ESMTP service ready at ismtpd0013p1las1.sendgrid.net", "smtp.sendgrid.net|8BITMIME|PIPELINING|SIZE 31457280|STARTTLS|AUTH PLAIN LOGIN", "SendGrid (Twilio) (sure: banner, its name)"},
		{"Mailgun Influx ready", "391ef55d98cd|AUTH PLAIN LOGIN|SIZE 52428800|8BITMIME|SMTPUTF8|PIPELINING|STARTTLS", "Mailgun (sure: banner)"},
		{"mail.messagingengine.com ESMTP ready", "mail.messagingengine.com|PIPELINING|SIZE 71000000|ENHANCEDSTATUSCODES|8BITMIME|STARTTLS", "Fastmail (likely: its name)"},
		{"gmx.net (mxgmx015) Nemesis ESMTP Service ready", "gmx.net Hello probe.example.net [198.51.100.7]|8BITMIME|SIZE 69920427|STARTTLS", "Nemesis (GMX, web.de, IONOS) (sure: banner, its name)"},
		{"mx.zohomail.com SMTP Server ready March 6, 2024 6:59:13 AM PST", "mx.zohomail.com Hello probe.example.net (198.51.100.7)|STARTTLS|SIZE 53477376", "Zoho Mail (sure: its name, banner)"},
		{"mxfront3h.mail.yandex.net (Want to use Yandex.Mail for your domain? Visit http://pdd.yandex.ru)", "", "Yandex Mail (sure: banner, its name)"},
		{"mxs.mail.ru ESMTP ready (Looking for Mail for your domain? Visit https://biz.mail.ru)", "", "Mail.ru (VK) (sure: banner, its name)"},
		{"smtp12.gate.iad3a.rsapps.net ESMTP - VA Code Section 18.2-152.3:1 forbids use of this system", "", "Rackspace Email (likely: its name)"},
		{"mx0b-00000d03.pphosted.com ESMTP mfa-m0214089", "mx0b-00000d03.pphosted.com Hello probe.example.net [198.51.100.7], pleased to meet you|ENHANCEDSTATUSCODES|PIPELINING|8BITMIME|SIZE 52428800|STARTTLS", "Proofpoint (sure: its name, EHLO text, EHLO order)"},
		{"554 mx.kent.edu.pph5a.pphosted.com ESMTP Blocked - see https://support.proofpoint.com/dnsbl-lookup.cgi?ip=198.51.100.7", "", "Proofpoint (likely: its name)"},
		{"eu-smtp-1.mimecast.com ESMTP; Sat, 27 Jul 2024 09:26:38 +0100", "", "Mimecast (likely: its name)"},
		{"d282306a.ess.barracudanetworks.com ESMTP (1795435200-102112-11928-4055-1)", "", "Barracuda (likely: its name)"},
		{"esa1.hc1234-12.iphmx.com ESMTP", "esa1.hc1234-12.iphmx.com|8BITMIME|SIZE 33554432|STARTTLS", "Cisco Secure Email (IronPort) (sure: its name, EHLO order)"},
		{"mail.example.org ESMTP", "mail.example.org|8BITMIME|SIZE 104857600|STARTTLS", "Cisco Secure Email (IronPort) (guess: EHLO order); hides itself in the greeting"},
		{"mail.example.org ESMTP Smtpd; Mon, 23 Nov 2026 12:00:00 +0100", "mail.example.org Hello probe.example.net [198.51.100.7], pleased to meet you|ENHANCEDSTATUSCODES|8BITMIME|SIZE 10485760|STARTTLS", "Fortinet FortiMail (likely: banner, EHLO text)"},
		{"mx-01-eu-west-1.prod.hydra.sophos.com ESMTP", "", "Sophos Email (likely: its name)"},
		{"server-12.tower-345.messagelabs.com ESMTP", "server-12.tower-345.messagelabs.com|STARTTLS|PIPELINING|8BITMIME", "Symantec Email Security.cloud (Broadcom) (likely: its name)"},
		{"mx.example.org ESMTP Symantec Messaging Gateway", "", "Symantec Messaging Gateway (sure: banner)"},
		{"mx-gate21-hz2.hornetsecurity.com ESMTP Hornetsecurity", "", "Hornetsecurity (likely: its name)"},
		{"mail.example.org ESMTP spamd IP-based SPAM blocker; Mon Nov 23 12:00:00 2026", "", "OpenBSD spamd (sure: banner)"},
		{"rblsmtpd.local", "", "rblsmtpd (sure: its name)"},

		// What nothing recognises, and what hides.
		{"mail.example.org ESMTP", "mail.example.org|SIZE 1000|STARTTLS", "not known: hides itself, the greeting names no software"},
		{"mail.example.org", "", "not known: hides itself, the greeting names no software"},
		{"mail.example.org ESMTP service ready; Mon, 23 Nov 2026 12:00:00 +0100", "", "not known: hides itself, the greeting names no software"},
		{"*****************************0**2**** *********", "", "not known: the greeting is masked (220 ****)"},
		{"mail.example.org ESMTP Frobnicator 3000", "mail.example.org|FROB", "not known: nothing here recognises it"},
		{"554 mail.example.org no", "", "not known: nothing here recognises it"},

		// What is no family: names of hosts, and longer words.
		{"postfix.example.org ESMTP", "", "not known: hides itself, the greeting names no software"},
		{"zimbra.example.org ESMTP", "", "not known: hides itself, the greeting names no software"},
		{"mx.example.org ESMTP Eximious 3", "", "not known: nothing here recognises it"},
		{"mx.notgmx.net ESMTP", "", "not known: hides itself, the greeting names no software"},

		// A banner that the habits contradict.
		{"mx.example.org ESMTP Postfix", "mx.example.org Hello [198.51.100.7]|SIZE 37748736|PIPELINING|DSN|ENHANCEDSTATUSCODES|STARTTLS|8BITMIME|BINARYMIME|CHUNKING|XRDST",
			"Postfix (likely: banner), but EHLO is answered in the order of Microsoft Exchange"},
	}
}

func TestFamilyOf(t *testing.T) {
	families := map[string]bool{}
	for _, c := range greetings() {
		f := SoftwareOf(heard(c.greeting, c.hello))
		if got := f.String(); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.greeting, got, c.want)
		}
		families[f.Name] = true
	}
	// Every family of the table has a dialogue that it is recognised by, but
	// for those whose names say it all.
	byName := []string{"Postmark", "SparkPost", "Alibaba Mail", "OVHcloud", "Trend Micro Email Security", "SpamExperts (N-able Mail Assure)", "SonicWall Email Security",
		"GreenArrow", "Halon", "MailHog", "smtp4dev", "GreenMail"}
	for _, k := range kinds() {
		if !families[k.name] && !slices.Contains(byName, k.name) {
			t.Errorf("no dialogue shows %s", k.name)
		}
	}
	if len(kinds()) < 30 {
		t.Errorf("only %d families", len(kinds()))
	}
}

// TestFamilyTable holds the table to what its readers rely on.
func TestFamilyTable(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds() {
		if seen[k.name] {
			t.Errorf("%s stands there twice", k.name)
		}
		seen[k.name] = true
		for _, s := range k.signs {
			if s.text == "" || s.text != strings.ToLower(s.text) || s.worth < supports || s.worth > certain {
				t.Errorf("%s has a sign that cannot be found: %+v", k.name, s)
			}
		}
		for _, order := range k.orders {
			for _, m := range k.must {
				if !slices.Contains(order, m) {
					t.Errorf("%s must list %s, and one of its orders has no such place", k.name, m)
				}
			}
			for _, other := range kinds() {
				if other.name != k.name && !other.shared && !k.shared && other.inOrder(order) {
					t.Errorf("the order of %s is one of %s as well", k.name, other.name)
				}
			}
		}
		if len(k.orders) > 0 != (len(k.must) > 0) {
			t.Errorf("%s has an order and nothing that it must list, or the reverse", k.name)
		}
	}
}

// TestFamilyInTheDark: what was not seen speaks for nothing.
func TestFamilyInTheDark(t *testing.T) {
	if got := SoftwareOf(Endpoint{}); got.Name != "" || got.Hidden != Open {
		t.Errorf("nothing was seen, and it is %+v", got)
	}
	// Facts that are older than Hello.Order have keywords and no order.
	e := heard("mx.example.org ESMTP", "mx.example.org|PIPELINING|SIZE 1|ENHANCEDSTATUSCODES|8BITMIME|DSN")
	e.Hello.Value.Order = nil
	if got := SoftwareOf(e); got.Name != "" {
		t.Errorf("without an order it is %s", got)
	}
	// In mode tls the only EHLO is the one inside.
	e = heard("mx.example.org ESMTP", "mx.example.org|PIPELINING|SIZE 1|ENHANCEDSTATUSCODES|8BITMIME|DSN")
	e.Mode, e.HelloTLS, e.Hello = ModeTLS, e.Hello, NA[Hello]("")
	if got := SoftwareOf(e); got.Name != "Postfix" {
		t.Errorf("inside TLS it is %s", got)
	}
}

// FuzzFamily: whatever a server says, its family is told in printable words of
// bounded length.
func FuzzFamily(f *testing.F) {
	for _, c := range greetings() {
		f.Add(c.greeting, c.hello)
	}
	f.Fuzz(func(t *testing.T, greeting, hello string) {
		got := SoftwareOf(heard(greeting, hello))
		text := got.String()
		if len(text) > 300 || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%q", text)
		}
		if (got.Name == "") != (got.Confidence == "") || (got.Name == "") != (len(got.Evidence) == 0) {
			t.Errorf("%+v", got)
		}
	})
}

// TestCanonicalCopies: bringing facts into order leaves what they share with
// other runs alone.
func TestCanonicalCopies(t *testing.T) {
	e := heard("mx.example.org ESMTP", "mx.example.org|SIZE|DSN")
	e.HelloTLS = e.Hello
	e.Replies = See(Replies{Mixed: []string{"the reply to EHLO", "the greeting"}}, "")
	e.TLS = See(TLS{Chain: []Certificate{{Names: []Raw{"b", "a"}}}}, "")
	f := Facts{SMTP: []Endpoint{e}, Names: []ServerName{{Name: "b.example"}, {Name: "a.example"}, {Name: "b.example"}}}
	f.Canonical()
	got := f.SMTP[0]
	if got.Hello.Value.Keywords[0].Name != "DSN" || got.Replies.Value.Mixed[0] != "the greeting" || got.TLS.Value.Chain[0].Names[0] != "a" || len(f.Names) != 2 || f.Names[0].Name != "a.example" {
		t.Errorf("not in order: %+v", f)
	}
	if got.Hello.Value.Order[0] != "SIZE" {
		t.Errorf("the order of the server is lost: %v", got.Hello.Value.Order)
	}
	if e.Hello.Value.Keywords[0].Name != "SIZE" || e.Replies.Value.Mixed[0] != "the reply to EHLO" || e.TLS.Value.Chain[0].Names[0] != "b" {
		t.Errorf("what other runs share was changed: %+v", e)
	}
}
