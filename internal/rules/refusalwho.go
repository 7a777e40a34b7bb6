package rules

import "mailaudit/internal/audit"

// RefusalProvider is somebody whose refusals have a language of their own.
type RefusalProvider struct {
	ID, Name string
	Hosts    []string // names, or what they end in, of hosts and in greetings
	Marks    []string // in lower case: parts of replies that nobody else writes
	Page     string   // where refusals are explained, and delisting is asked for
}

// RefusalProviders are those that are recognised. Who is part of another, or
// has its name at the end of more names, stands first.
func RefusalProviders() []RefusalProvider {
	return []RefusalProvider{
		{"microsoft-consumer", "Outlook.com",
			[]string{"olc.protection.outlook.com", "hotmail.com"},
			[]string{"(s3150)", "(s3140)", "rp-001", "rp-002", "rp-003", "postmaster.live.com"},
			"https://sendersupport.olc.protection.outlook.com/pm/"},
		{"microsoft-365", "Microsoft 365",
			[]string{"protection.outlook.com", "mx.microsoft", "outlook.com"},
			[]string{"(as16012609)", "as(16012609)", "(as16012611)", "(as16012607)", "delist@microsoft.com", "sender.office.com"},
			"https://sender.office.com/"},
		{"google", "Google",
			[]string{"google.com", "googlemail.com"},
			[]string{"gsmtp", "gcdp", "support.google.com/mail", "support.google.com/a/"},
			"https://support.google.com/a/answer/3726730"},
		{"yahoo", "Yahoo",
			[]string{"yahoodns.net", "yahoo.com", "aol.com"},
			[]string{"postmaster.yahooinc.com", "senders.yahooinc.com", "mtaproxy", "postmaster.yahoo.com"},
			"https://senders.yahooinc.com/smtp-error-codes/"},
		{"apple", "Apple",
			[]string{"mail.icloud.com", "apple.com", "me.com"},
			[]string{"support.apple.com"},
			"https://support.apple.com/en-us/102322"},
		{"proofpoint", "Proofpoint",
			[]string{"pphosted.com", "ppe-hosted.com", "gpphosted.com"},
			[]string{"proofpoint.com"},
			"https://ipcheck.proofpoint.com/"},
		{"mimecast", "Mimecast",
			[]string{"mimecast.com", "mimecast.co.za", "mimecast-offshore.com"},
			[]string{"mimecast"},
			"https://community.mimecast.com/s/article/Mimecast-SMTP-Error-Codes-842605754"},
		{"barracuda", "Barracuda",
			[]string{"barracudanetworks.com"},
			[]string{"barracuda"},
			"https://www.barracudacentral.org/rbl/removal-request"},
		{"cisco", "Cisco",
			[]string{"iphmx.com"},
			[]string{"senderbase", "talosintelligence", "sending mta's poor reputation"},
			"https://talosintelligence.com/reputation_center/"},
		{"comcast", "Comcast",
			[]string{"comcast.net"},
			[]string{"postmaster.comcast.net", "xfinity.com/support"},
			"https://postmaster.comcast.net/"},
		{"cox", "Cox",
			[]string{"cox.net"},
			[]string{"cox.com", "aup#cx", "aup#ipbl"},
			"https://www.cox.com/residential/support/email-error-codes.html"},
		{"united-internet", "GMX, web.de and 1&1",
			[]string{"gmx.net", "gmx.de", "gmx.com", "web.de", "kundenserver.de", "ionos.com", "ionos.de", "1and1.com", "mail.com"},
			[]string{"nemesis", "postmaster.gmx", "postmaster.web.de", "postmaster.1und1"},
			"https://postmaster.gmx.net/en/error-messages"},
		{"t-online", "T-Online",
			[]string{"t-online.de"},
			[]string{"rx.t-online.de", "postmaster.t-online.de"},
			"https://postmaster.t-online.de/index.en.html"},
		{"orange", "Orange",
			[]string{"orange.fr", "wanadoo.fr", "laposte.net"},
			[]string{"ofr_", "ofr00", "lpn00", "lpn105"},
			"https://postmaster.orange.fr/"},
		{"tencent", "QQ Mail",
			[]string{"qq.com"},
			[]string{"service.mail.qq.com", "mail.qq.com"},
			"https://service.mail.qq.com/"},
		{"netease", "NetEase (163, 126)",
			[]string{"netease.com", "163.com", "126.com", "yeah.net"},
			[]string{"mail.163.com", "dt:spm", "hl:rep"},
			"https://mail.163.com/"},
	}
}

// listPage is where the keeper of a block list has it looked up.
func listPage(list string) string {
	switch list {
	case listZEN, listPBL, listXBL, listSBL, listCSS, listDBL:
		return "https://check.spamhaus.org/"
	case listBarracuda:
		return "https://www.barracudacentral.org/lookups"
	case listSpamCop:
		return "https://www.spamcop.net/bl.shtml"
	case listTalos:
		return "https://talosintelligence.com/reputation_center/"
	case listProofpoint:
		return "https://ipcheck.proofpoint.com/"
	}
	return ""
}

// The block lists that refusals name.
const (
	listZEN        = "Spamhaus"
	listPBL        = "Spamhaus PBL"
	listXBL        = "Spamhaus XBL"
	listSBL        = "Spamhaus SBL"
	listCSS        = "Spamhaus CSS"
	listDBL        = "Spamhaus DBL"
	listBarracuda  = "Barracuda"
	listSpamCop    = "SpamCop"
	listTalos      = "Cisco Talos"
	listProofpoint = "Proofpoint"
)

// RefusalClasses are the causes that a refusal may tell, in the order in which
// they are explained.
func RefusalClasses() []audit.Code {
	return []audit.Code{
		audit.Busy, audit.RateLimited, audit.Greylisted, audit.Reputation, audit.OurNetwork, audit.NeedsAllowList,
		audit.OurReverse, audit.OurHELO, audit.PolicyRefusal, audit.NeedsTLS, audit.ListMisread,
		audit.Unauthenticated, audit.ContentRefused, audit.NoSuchUser, audit.TempFail, audit.RefusedUs,
	}
}

// RefusalName is the name of a class of refusals; of other codes, the code.
func RefusalName(class audit.Code) string {
	switch class {
	case audit.RateLimited:
		return "rate limit"
	case audit.Greylisted:
		return "greylisting"
	case audit.OurNetwork:
		return "blocked network"
	case audit.NeedsAllowList:
		return "allow list"
	case audit.OurReverse:
		return "reverse DNS"
	case audit.OurHELO:
		return "EHLO name"
	case audit.NeedsTLS:
		return "TLS required"
	case audit.ListMisread:
		return "block list misread"
	case audit.NoSuchUser:
		return "no such user"
	case audit.TempFail:
		return "temporary, no cause told"
	case audit.RefusedUs:
		return "no cause told"
	}
	return string(class)
}

// refusalWords begin the sentence about a refusal; the reply follows.
func refusalWords(class audit.Code) string {
	switch class {
	case audit.Busy:
		return "the server had no room for us at the moment"
	case audit.RateLimited:
		return "the server limits how often we may come"
	case audit.Greylisted:
		return "the server puts strangers off for some minutes (greylisting)"
	case audit.Reputation:
		return "the server refuses the address that we come from, for a block list or its reputation"
	case audit.OurNetwork:
		return "the server refuses the network that we come from"
	case audit.NeedsAllowList:
		return "the server lets in the addresses on its allow list, and ours is not on it"
	case audit.OurReverse:
		return "the server does not take the reverse DNS of our address"
	case audit.OurHELO:
		return "the server does not take the name that we give in EHLO"
	case audit.PolicyRefusal:
		return "the server refuses us by a policy of its own"
	case audit.NeedsTLS:
		return "the server wants TLS first"
	case audit.Unauthenticated:
		return "the server refuses what SPF, DKIM or DMARC does not vouch for"
	case audit.ContentRefused:
		return "the server refuses what looks like spam to it"
	case audit.NoSuchUser:
		return "the server does not know the recipient"
	case audit.ListMisread:
		return "the server takes an error of its block list for a listing, which turns everybody away"
	case audit.TempFail:
		return "the server turned us away for the time being and tells no cause"
	}
	return "the server does not talk to us, which may be about our address"
}
