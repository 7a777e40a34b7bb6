package audit

// This file is the table of families, services first: a service runs some
// software, and its own name says more. It holds what their own documents,
// sources and public transcripts show. What was not certain was left out: a
// wrong family is worse than none.

// kinds are all families. An order is given for those whose own habit it is,
// and not their operators'.
func kinds() []kind {
	return append(append(append(services(), appliances()...), common()...), further()...)
}

func banner(text string) sign  { return sign{inBanner, text, certain, false} }
func version(text string) sign { return sign{inBanner, text, certain, true} }
func domain(name string) sign  { return sign{inName, name, probable, false} }

// services are the large mail and sending services.
func services() []kind {
	return []kind{
		{name: "Exchange Online (Microsoft 365)", signs: []sign{
			domain("mail.protection.outlook.com"), domain("outlook.office365.com"), domain("mail.eo.outlook.com"), domain("prod.outlook.com"),
			{inBanner, "microsoft esmtp mail service", supports, false}},
			orders: [][]string{words("SIZE PIPELINING DSN ENHANCEDSTATUSCODES STARTTLS AUTH 8BITMIME BINARYMIME CHUNKING SMTPUTF8")},
			must:   words("SIZE PIPELINING DSN ENHANCEDSTATUSCODES 8BITMIME BINARYMIME CHUNKING"), shared: true},
		{name: "Google (Gmail, Workspace)", signs: []sign{
			banner("- gsmtp"), banner("- gcdp"), domain("mx.google.com"), domain("smtp.gmail.com"), domain("smtp-relay.gmail.com"),
			{inHello, "at your service", supports, false}},
			orders: [][]string{words("SIZE 8BITMIME STARTTLS AUTH ENHANCEDSTATUSCODES PIPELINING CHUNKING SMTPUTF8")},
			must:   words("SIZE 8BITMIME ENHANCEDSTATUSCODES PIPELINING CHUNKING SMTPUTF8")},
		{name: "Yahoo (Yahoo, AOL)", signs: []sign{domain("yahoo.com"), domain("yahoodns.net"), domain("mail.aol.com"), {inBanner, "esmtp ready", supports, false}}},
		{name: "Apple iCloud Mail", signs: []sign{domain("mail.icloud.com"), domain("icloud.com"), domain("me.com")}},
		{name: "Amazon SES", signs: []sign{banner("esmtp simpleemailservice"), domain("amazonaws.com"), {inKeywords, "ok", supports, false}}},
		{name: "Cloudflare Email Routing", signs: []sign{banner("cloudflare email esmtp"), domain("mx.cloudflare.net")}},
		{name: "SendGrid (Twilio)", signs: []sign{banner("sg esmtp service ready at"), domain("sendgrid.net")}},
		{name: "Mailgun", signs: []sign{banner("mailgun influx ready"), domain("mailgun.org")}},
		{name: "Postmark", signs: []sign{domain("postmarkapp.com"), domain("mtasv.net")}},
		{name: "SparkPost", signs: []sign{domain("sparkpostmail.com")}},
		{name: "Fastmail", signs: []sign{domain("messagingengine.com")}},
		{name: "Nemesis (GMX, web.de, IONOS)", signs: []sign{banner("nemesis esmtp service ready"), domain("kundenserver.de"), domain("gmx.net"), domain("gmx.com"), domain("web.de")}},
		{name: "Zoho Mail", signs: []sign{domain("zoho.com"), domain("zoho.eu"), domain("zoho.in"), domain("zohomail.com"), domain("zohomail.eu"), {inBanner, "smtp server ready", supports, false}}},
		{name: "Yandex Mail", signs: []sign{banner("want to use yandex.mail for your domain"), domain("yandex.net"), domain("yandex.ru")}},
		{name: "Mail.ru (VK)", signs: []sign{banner("looking for mail for your domain"), domain("mail.ru")}},
		{name: "Tencent QQ Mail", signs: []sign{banner("qq mail server"), domain("qq.com")}},
		{name: "Alibaba Mail", signs: []sign{banner("alimail server"), domain("aliyun.com")}},
		{name: "Rackspace Email", signs: []sign{domain("emailsrvr.com"), domain("rsapps.net")}},
		{name: "OVHcloud", signs: []sign{domain("mail.ovh.net"), domain("mail.ovh.ca")}},
	}
}

// appliances are the filters that stand in front of other servers, as services
// and as machines.
func appliances() []kind {
	return []kind{
		{name: "Proofpoint", signs: []sign{domain("pphosted.com"), domain("ppe-hosted.com"), {inHello, "pleased to meet you", supports, false}},
			orders: [][]string{words("ENHANCEDSTATUSCODES PIPELINING 8BITMIME SIZE AUTH STARTTLS")}, must: words("ENHANCEDSTATUSCODES PIPELINING 8BITMIME SIZE"), shared: true},
		{name: "Mimecast", signs: []sign{domain("mimecast.com"), domain("mimecast-offshore.com"), domain("mimecast.co.za")}},
		{name: "Barracuda", signs: []sign{domain("ess.barracudanetworks.com"), {inBanner, "barracuda", probable, false}, {inBanner, "esmtp (<id>)", supports, false}, {inHello, "pleased to meet you", supports, false}}},
		{name: "Cisco Secure Email (IronPort)", signs: []sign{domain("iphmx.com"), {inBanner, "ironport", probable, false}},
			orders: [][]string{words("8BITMIME SIZE AUTH STARTTLS")}, must: words("8BITMIME SIZE"), bare: true},
		{name: "Fortinet FortiMail", signs: []sign{domain("fortimailcloud.com"), {inBanner, "fortimail", probable, false}, {inBanner, "esmtp smtpd;", guessed, false}, {inHello, "pleased to meet you", supports, false}}},
		{name: "Sophos Email", signs: []sign{domain("hydra.sophos.com"), domain("reflexion.net")}},
		{name: "Trend Micro Email Security", signs: []sign{domain("tmes.trendmicro.com"), domain("tmes.trendmicro.eu"), domain("hes.trendmicro.com"), domain("hes.trendmicro.eu"), {inBanner, "trend micro", probable, false}}},
		{name: "Symantec Email Security.cloud (Broadcom)", signs: []sign{domain("messagelabs.com")}},
		{name: "Symantec Messaging Gateway", signs: []sign{banner("symantec messaging gateway")}},
		{name: "Hornetsecurity", signs: []sign{domain("hornetsecurity.com"), domain("antispameurope.com")}},
		{name: "SpamExperts (N-able Mail Assure)", signs: []sign{domain("antispamcloud.com"), domain("spamexperts.com")}},
		{name: "SonicWall Email Security", signs: []sign{{inBanner, "sonicwall", probable, true}}},
		{name: "OpenBSD spamd", signs: []sign{banner("esmtp spamd ip-based spam blocker")}},
		{name: "rblsmtpd", signs: []sign{{inName, "rblsmtpd.local", certain, false}}},
	}
}
