package rules

import "mailaudit/internal/audit"

// codeRefusals are enhanced codes that say one thing (IANA registry "SMTP
// Enhanced Status Codes"). They count only where the one who speaks is not
// known to have codes of their own.
func codeRefusals() []RefusalPattern {
	return []RefusalPattern{
		{"code.rdns", "", "", ".7.25", `\b[45]\.7\.25\b`, audit.OurReverse, ""},                     // RFC 7372 3.3
		{"code.unauthenticated", "", "", ".7.2", `\b[45]\.7\.2[0-46]\b`, audit.Unauthenticated, ""}, // RFC 7372 3.1, 3.2, 3.4
		{"code.flood", "", "", ".7.28", `\b[45]\.7\.28\b`, audit.RateLimited, ""},                   // mail flood detected
		{"code.tls", "", "", ".7.", `\b[45]\.7\.(?:10|30)\b`, audit.NeedsTLS, ""},                   // RFC 5248 2.4; RFC 8689 6
	}
}

// wordRefusals are the words of servers of all kinds, the definite before the
// vague; behind them what is left to go by.
func wordRefusals() []RefusalPattern {
	return []RefusalPattern{
		{"words.greylist", "", "", "list", `\bgr[ae]y-? ?list`, audit.Greylisted, ""},

		{"words.no-allow-list", "", "", "list", `\bnot (?:yet |currently )?(?:(?:on|in) (?:our |the |an? |your )?)?(?:white|allow|welcome)[- ]?list`, audit.NeedsAllowList, ""},
		{"words.rdns", "", "", "", `\breverse[- ](?:dns|hostname|host|lookup|mapping|name|record)|\bptr\b|\brdns\b|\bfcrdns\b|cannot find your (?:reverse )?hostname|unresolvable (?:ip|address|host)`, audit.OurReverse, ""},
		{"words.helo", "", "", "lo", `\b(?:helo|ehlo)\b.{0,60}\b(?:invalid|reject|rejected|bad|forged|fqdn|fully[- ]qualified|not found|does not|must|mismatch|impersonat)`, audit.OurHELO, ""},
		{"words.bad-helo", "", "", "lo", `\b(?:invalid|bad|rejected|forged|bogus|malformed)\b.{0,40}\b(?:helo|ehlo)\b`, audit.OurHELO, ""},
		{"words.dynamic", "", "", "", `\b(?:dynamic|dynamically|residential|dial-?up|dsl|dhcp)\b.{0,40}\b(?:ip|ips|address|addresses|range|ranges|space|pool|pools|hosts?|clients?|networks?)\b|\b(?:ip|address|host|client)\b.{0,30}\b(?:dynamic|residential|dial-?up)\b`, audit.OurNetwork, ""},
		{"words.country", "", "", "", `\bcountry\b|\bgeo-?(?:ip|location|block)|\bgeograph`, audit.OurNetwork, ""},
		{"words.list", "", "", "", `\b(?:rbl|dnsbl)\b|\b(?:black|block|deny)[- ]?list|\bblocked using\b|\blisted (?:at|by|in|on)\b|\breputation\b|\bspam source\b|\bsource of spam\b`, audit.Reputation, ""},
		{"words.allow-list", "", "", "list", `\b(?:white|allow|welcome)[- ]?list`, audit.NeedsAllowList, ""},

		{"words.rate", "", "", "", `\brate[- ]?limit|\bthrottl|connection (?:rate|frequency|limit)|\btoo (?:fast|frequent|often|quickly)|\btoo many (?:errors|bad commands|connection attempts)|concurrency limit|unusual rate`, audit.RateLimited, ""},
		{"words.rate-us", "", "", "", `\btoo many\b.{0,60}(?:\b(?:from|by|for) (?:your|this|the same|\[?<our )|\bper (?:ip|client|host|source))|\bper (?:ip|client|host|source)\b.{0,30}\blimit`, audit.RateLimited, ""},
		{"words.rate-exchange", "", "4", "concurrent connections has exceeded", "", audit.RateLimited, ""},

		{"words.busy", "", "4", "", `\btoo many\b.{0,40}\b(?:connections|sessions|processes|clients)\b|concurrent server connections|\bbusy\b|\boverload|\b(?:system|server|high) load\b|\bload (?:average|too high)|\bresources?\b.{0,30}\b(?:unavailable|exhausted|low|insufficient)\b|\binsufficient (?:system|resources|memory|disk)|\bshutting down\b|\bservice (?:is )?(?:currently |temporarily )?(?:not available|unavailable)\b|\bnot accepting (?:network )?(?:connections|messages)\b|\bmaintenance\b`, audit.Busy, ""},
		{"words.tls", "", "", "", `\b(?:tls|starttls|encryption)\b.{0,20}\b(?:required|needed|mandatory|first)\b|\brequires? (?:tls|encryption|a secure)`, audit.NeedsTLS, ""},
		{"words.no-user", "", "5", "", `\b(?:user|recipient|mailbox)\b.{0,20}\b(?:unknown|not found|does not exist)\b`, audit.NoSuchUser, ""},
		{"words.policy", "", "", "", `\bpolic(?:y|ies)\b|\bdenied\b|\bdeny\b|\bprohibit|\bforbidden\b|\bnot (?:allowed|permitted|authori[sz]ed|welcome|trusted)\b|\bblocked\b|\bbanned\b|\brejected\b|\bgo away\b|\bdisallowed\b|\bspam`, audit.PolicyRefusal, ""},
		// Sendmail and Exim have one sentence for clients that they refuse by a rule
		// of theirs (srvrsmtp.c, check_relay; host_reject_connection).
		{"words.turned-away", "", "5", "not a", `\besmtp not accepting messages\b|\bsmtp service not available\b`, audit.PolicyRefusal, ""},

		{"status.capacity", "", "4", "4.", `\b4\.(?:3\.[12]|4\.5)\b`, audit.Busy, ""},               // RFC 3463 3.4, 3.5: full, not accepting, congested
		{"status.policy", "", "", ".7.", `^[45]\d\d(?: \S+)? [45]\.7\.\d`, audit.PolicyRefusal, ""}, // RFC 3463 3.8: security or policy
		{"names.us", "", "", "<our ", `<our (?:address|name)>`, audit.PolicyRefusal, ""},
	}
}
