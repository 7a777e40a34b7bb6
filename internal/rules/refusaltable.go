package rules

import "mailaudit/internal/audit"

// RefusalPatterns are all ways in which a cause is told, in the order in which
// they are tried. Of the sources, the pages of the providers (see
// RefusalProviders) come first, and collections of bounces second.
//
// Texts are in stable form: "<our address>" stands for the address that we
// came from, "<our name>" for the name that we gave or that its PTR record has.
func RefusalPatterns() []RefusalPattern {
	var all []RefusalPattern
	all = append(all, microsoftRefusals()...)
	all = append(all, providerRefusals()...)
	all = append(all, regionalRefusals()...)
	all = append(all, listRefusals()...)
	all = append(all, codeRefusals()...)
	return append(all, wordRefusals()...)
}

// microsoftRefusals are those of Outlook.com and of Microsoft 365, which share
// host names and most codes.
func microsoftRefusals() []RefusalPattern {
	const who = "microsoft"
	return []RefusalPattern{
		{"microsoft.s3150", who, "", "", `\(s31[45]0\)|their network is on our block list`, audit.Reputation, ""},
		{"microsoft.rp", who, "4", "rp-00", `\brp-00[1-3]\b`, audit.RateLimited, ""},
		{"microsoft.dynamic", who, "5", "dy-00", `\bdy-00[12]\b`, audit.OurNetwork, ""},
		{"microsoft.sc", who, "5", "-00", `\b(?:sc-00[1-4]|ou-00[12])\b`, audit.Reputation, ""},
		{"microsoft.bulk", who, "5", "5.7.515", "", audit.Unauthenticated, ""},
		{"microsoft.banned", who, "5", "5.7.", `\b5\.7\.(?:60[6-9]|6[1-4]\d|511)\b|banned sending ip|as\(?16012609\)?`, audit.Reputation, ""},
		{"microsoft.own-list", who, "5", "", `as\(?16012607\)?|customer block list`, audit.Reputation, "the recipient's own list"},
		{"microsoft.list", who, "5", "", `as\(?16012611\)?|blocked using spamhaus`, audit.Reputation, listZEN},
		{"microsoft.connections", who, "4", "concurrent connections", "", audit.RateLimited, ""},
		{"microsoft.busy", who, "4", "4.7.500", "", audit.RateLimited, ""},
		{"microsoft.rate", who, "4", "4.7.", `\b4\.7\.(?:5\d\d|6\d\d|8[5-9]\d)\b|\bas77\d`, audit.RateLimited, ""},
		{"microsoft.no-user", who, "5", "5.4.1", `\b5\.4\.1\b.*(?:recipient|access denied)`, audit.NoSuchUser, ""},
		{"microsoft.rdns", who, "", ".7.25", `\b[45]\.7\.25\b`, audit.OurReverse, ""},
		{"microsoft.helo", who, "5", "", `\b5\.7\.506\b|bad helo`, audit.OurHELO, ""},
		{"microsoft.unauthenticated", who, "", ".7.", `\b[45]\.7\.(?:23|26|509)\b`, audit.Unauthenticated, ""},
		{"microsoft.login", who, "5", "5.7.30", `\b5\.7\.30\b`, audit.PolicyRefusal, ""}, // basic authentication is switched off
		{"microsoft.policy", who, "5", "5.7.", `\b5\.7\.(?:507|510)\b`, audit.PolicyRefusal, ""},
	}
}

// providerRefusals are those of other large providers and filters.
func providerRefusals() []RefusalPattern {
	return []RefusalPattern{
		{"google.rate", "google", "", "", `unusual rate|\b[45]\.7\.28\b`, audit.RateLimited, ""},
		{"google.reputation", "google", "", "low reputation", "", audit.Reputation, ""},
		{"google.unauthenticated", "google", "", ".7.", `\b[45]\.7\.(?:24|26|27|30|31|32|40)\b`, audit.Unauthenticated, ""},
		{"google.rdns", "google", "", ".7.2", `\b[45]\.7\.2[35]\b`, audit.OurReverse, ""},
		{"google.tls", "google", "", "", `\b[45]\.7\.29\b|tls required`, audit.NeedsTLS, ""},
		{"google.allow-list", "google", "4", "", `not in (?:white|allow)list`, audit.NeedsAllowList, ""},
		{"google.network", "google", "5", "not authorized to send email directly", "", audit.OurNetwork, ""},
		{"google.helo", "google", "5", "helo", `\b5\.5\.4\b`, audit.OurHELO, ""},
		{"google.dos", "google", "421", "try again later, closing connection", "", audit.RateLimited, ""},
		{"google.content", "google", "5", "unsolicited", "", audit.ContentRefused, ""},

		{"yahoo.deferred", "yahoo", "", "", `\[tss?(?:03|09|11)\]|permanently deferred`, audit.Reputation, ""}, // TS03 is a block, although 421
		{"yahoo.volume", "yahoo", "", "[ts", `\[tss?\d\d\]`, audit.RateLimited, ""},
		{"yahoo.list", "yahoo", "5", "[bl2", `\[bl2[13]\]`, audit.Reputation, listZEN},
		{"yahoo.dmarc", "yahoo", "5", "5.7.9", "", audit.Unauthenticated, ""},
		{"yahoo.policy", "yahoo", "5", "[ph01]", "", audit.PolicyRefusal, ""},

		{"apple.policy", "apple", "5", "[", `\[(?:hme?|cs|ph)\d\d?\]`, audit.PolicyRefusal, ""},
		{"apple.volume", "apple", "4", "excessive volume", "", audit.RateLimited, ""},
		{"apple.connections", "apple", "5", "not accepting connections", "", audit.Reputation, ""},

		{"proofpoint.list", "proofpoint", "5", "", `(?:ipcheck|support)\.proofpoint\.com|blocked - see`, audit.Reputation, listProofpoint},
		{"proofpoint.rate", "proofpoint", "421", "4.7.1", "", audit.RateLimited, ""},
		{"proofpoint.policy", "proofpoint", "5", "local policy violation", "", audit.PolicyRefusal, ""},

		{"mimecast.greylist", "mimecast", "451", "temporarily unavailable", `internal resources?\b`, audit.Greylisted, ""},
		{"mimecast.load", "mimecast", "451", "at this time", `unable to process (?:a )?connection`, audit.Busy, ""},
		{"mimecast.connections", "mimecast", "451", "", `ip temporarily blacklisted|account service is temporarily unavailable`, audit.RateLimited, ""},
		{"mimecast.reputation", "mimecast", "5", "ip reputation", "", audit.Reputation, ""},
		{"mimecast.country", "mimecast", "5", "host network not allowed", "", audit.OurNetwork, ""},
		{"mimecast.policy", "mimecast", "", "", `sender address blocked|administrative prohibition|rejected by header.based`, audit.PolicyRefusal, ""},

		{"barracuda.blocked", "barracuda", "5", "blocked", `permanent failure for one or more recipients`, audit.Reputation, listBarracuda},
		{"cisco.reputation", "cisco", "", "reputation", "", audit.Reputation, listTalos},
	}
}

// regionalRefusals are those of providers that are large in one country.
func regionalRefusals() []RefusalPattern {
	return []RefusalPattern{
		{"comcast.rate", "comcast", "", "rl", `\brl\d{6}\b`, audit.RateLimited, ""},
		{"comcast.block", "comcast", "", "bl", `\bbl\d{6}\b`, audit.Reputation, ""},
		{"comcast.dynamic", "comcast", "", "es0000", `\bes0000\d\d\b`, audit.OurNetwork, ""},
		{"cox.block", "cox", "", "bl", `\b(?:cxbl|cdrbl|ipbl[01]{4,5})\b`, audit.Reputation, ""},
		{"cox.rate", "cox", "", "", `\bcx(?:thrt|cnct|mxrt)\b|too many sessions`, audit.RateLimited, ""},
		{"cox.rdns", "cox", "", "", `\bcxdns\b|no rdns|dns check failure`, audit.OurReverse, ""},

		{"united-internet.rdns", "united-internet", "", "", `bad dns ptr|\bptr\b`, audit.OurReverse, ""},
		{"united-internet.helo", "united-internet", "", "helo", "", audit.OurHELO, ""},
		{"united-internet.list", "united-internet", "", "list", `(?:black|block) ?-?list`, audit.Reputation, ""},
		{"united-internet.rate", "united-internet", "4", "rate limit", "", audit.RateLimited, ""},
		{"united-internet.policy", "united-internet", "", "", `policy|no smtp service|nemesis`, audit.PolicyRefusal, ""},

		{"t-online.dynamic", "t-online", "5", "", `\(dial\)|dial-?up|transient`, audit.OurNetwork, ""},
		{"t-online.allow-list", "t-online", "5", "", `ip=|\((?:bl|nowl)\)|a problem occurred|reputation`, audit.NeedsAllowList, ""},

		{"orange.no-user", "orange", "5", "416", `\b(?:destinataire|recipient)\b`, audit.NoSuchUser, ""},
		{"orange.spf", "orange", "5", "401", `\b(?:ofr|lpn|ouk)[\d_-]*401\b`, audit.Unauthenticated, ""},
		{"orange.content", "orange", "5", "5", `\b(?:ofr|lpn|ouk)[\d_-]*(?:506|513)\b`, audit.ContentRefused, ""},
		{"orange.block", "orange", "", "", `\b(?:ofr|lpn|ouk)[\d_-]*(?:102|103|416|510|999)\b`, audit.Reputation, ""},
		{"orange.rate", "orange", "", "", `\b(?:ofr004|(?:ofr|lpn|ouk)[\d_-]*(?:104|109))\b|\bofr004`, audit.RateLimited, ""},

		{"tencent.rate", "tencent", "", "frequency limited", "", audit.RateLimited, ""},
		{"tencent.reputation", "tencent", "5", "", `suspected spam ip|connection denied`, audit.Reputation, ""},
		{"tencent.content", "tencent", "5", "", `\bspam\b|content denied`, audit.ContentRefused, ""},
		{"netease.content", "netease", "", "dt:", `\bdt:sp[mb]\b`, audit.ContentRefused, ""},
		{"netease.rate", "netease", "", ":", `\b(?:mi|rp|hl):[a-z]{3}\b`, audit.RateLimited, ""},
	}
}

// listRefusals name a block list, which servers of all kinds use.
func listRefusals() []RefusalPattern {
	return []RefusalPattern{
		// Asked by way of a public resolver, Spamhaus answers with an error. Who
		// takes it for a listing refuses every address in the world.
		{"spamhaus.misread", "", "", "", `spamhaus\.org/returnc/|error: open resolver`, audit.ListMisread, listZEN},
		{"spamhaus.pbl", "", "", "spamhaus", `\bpbl\.spamhaus|spamhaus(?:'s)? pbl|spamhaus\.org/(?:query/)?pbl|\bpolicy block ?list\b`, audit.OurNetwork, listPBL},
		{"spamhaus.xbl", "", "", "spamhaus", `\bxbl\.spamhaus|spamhaus(?:'s)? xbl|spamhaus\.org/(?:query/)?xbl`, audit.Reputation, listXBL},
		{"spamhaus.css", "", "", "spamhaus", `spamhaus(?:'s)? css|spamhaus\.org/(?:query/)?css|\bsblcss\b`, audit.Reputation, listCSS},
		{"spamhaus.sbl", "", "", "spamhaus", `\bsbl\.spamhaus|spamhaus(?:'s)? sbl|spamhaus\.org/(?:query/)?sbl`, audit.Reputation, listSBL},
		{"spamhaus.dbl", "", "", "spamhaus", `\bdbl\.spamhaus|spamhaus(?:'s)? dbl|spamhaus\.org/(?:query/)?dbl`, audit.OurHELO, listDBL},
		{"spamhaus.zen", "", "", "spamhaus", "", audit.Reputation, listZEN},
		{"list.barracuda", "", "", "barracudacentral", "", audit.Reputation, listBarracuda},
		{"list.spamcop", "", "", "spamcop", "", audit.Reputation, listSpamCop},
		{"list.talos", "", "", "", `senderbase|talosintelligence`, audit.Reputation, listTalos},
	}
}
