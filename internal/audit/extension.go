package audit

import "strings"

// Extension is what is known of the keyword of an EHLO line (RFC 5321 section
// 2.2.2).
type Extension struct {
	Name   string // upper case
	Means  string // what the server offers by it
	Ref    string // who defines it: an RFC, or the software it was seen at
	Params string // the parameters that may follow; empty: none
	Origin Origin
}

// Origin says how much a keyword is anybody's business but its inventor's.
type Origin string

// The origins of keywords.
const (
	Registered   Origin = "registered"   // in IANA's registry, and in use
	Obsolete     Origin = "obsolete"     // registered, and given up by its own document or a later one
	Unregistered Origin = "unregistered" // in use all the same
	Unheard      Origin = "unknown"      // known to nobody here
)

// ExtensionOf finds what is known of a keyword. Of one that nobody here knows
// only the name and the origin Unheard come back. Some keywords carry their
// parameter behind an equals sign ("XVERP=Courier").
func ExtensionOf(keyword string) Extension {
	name, _, _ := strings.Cut(strings.ToUpper(keyword), "=")
	for _, e := range Extensions() {
		if e.Name == name {
			return e
		}
	}
	means := "not registered, and not known here"
	if strings.HasPrefix(name, "X") {
		// RFC 5321 section 2.2.2 reserves them for what two servers agree on.
		means = "an experiment of this server's own, not known here"
	}
	return Extension{Name: name, Means: means, Origin: Unheard}
}

// Extensions is IANA's registry "SMTP Service Extensions" as of November 2026
// (https://www.iana.org/assignments/mail-parameters/), and behind it the
// keywords that are seen without being in it.
func Extensions() []Extension { return append(registered(), unregistered()...) }

func registered() []Extension {
	return []Extension{
		{"8BITMIME", "messages with 8-bit text", "RFC 6152", "", Registered},
		{"ATRN", "mail waiting for a domain is handed to whoever logs in for it", "RFC 2645", "domains", Registered},
		{"AUTH", "logins", "RFC 4954", "mechanisms", Registered},
		{"BINARYMIME", "messages with binary parts", "RFC 3030", "", Registered},
		{"BURL", "parts of a message are fetched from a mailbox by URL", "RFC 4468", "URL schemes", Registered},
		{"CHECKPOINT", "a broken transfer can go on where it stopped", "RFC 1845", "", Registered},
		{"CHUNKING", "messages in chunks of a known size (BDAT)", "RFC 3030", "", Registered},
		{"CONNEG", "the abilities of a recipient are told (for fax)", "RFC 4141", "", Registered},
		{"CONPERM", "a message may be converted on the way (for fax)", "RFC 4141", "", Registered},
		{"DELIVERBY", "a deadline for delivery", "RFC 2852", "shortest time in seconds", Registered},
		{"DSN", "delivery reports on demand", "RFC 3461", "", Registered},
		{"ENHANCEDSTATUSCODES", "replies with three-part codes that tell the reason", "RFC 2034", "", Registered},
		{"ETRN", "whoever asks can start the delivery of waiting mail to its own server", "RFC 1985", "", Registered},
		{"EXPN", "the members of a mailing list are told to whoever asks", "RFC 5321", "", Registered},
		{"FUTURERELEASE", "messages are held back until a given time", "RFC 4865", "longest time in seconds, latest date", Registered},
		{"HELP", "an explanation of commands", "RFC 5321", "commands", Registered},
		{"LIMITS", "how much fits into one session", "RFC 9422", "name=value", Registered},
		{"MT-PRIORITY", "messages with priorities", "RFC 6710", "a profile", Registered},
		{"MTRK", "messages can be tracked", "RFC 3885", "", Registered},
		{"NO-SOLICITING", "mail of kinds that are not wanted is refused", "RFC 3865", "kinds", Registered},
		{"ONEX", "one message, then the end", "Sendmail", "", Obsolete},
		{"PIPELINING", "commands without waiting for each reply", "RFC 2920", "", Registered},
		{"REQUIRETLS", "messages that may travel inside TLS only", "RFC 8689", "", Registered},
		{"RRVS", "mail for an address that has changed hands is refused", "RFC 7293", "", Registered},
		{"SAML", "a message on the terminal, and by mail", "RFC 821", "", Obsolete},
		{"SEND", "a message on the terminal", "RFC 821", "", Obsolete},
		{"SIZE", "the largest message", "RFC 1870", "octets", Registered},
		{"SMTPUTF8", "addresses in every script", "RFC 6531", "", Registered},
		{"SOML", "a message on the terminal, or by mail", "RFC 821", "", Obsolete},
		{"STARTTLS", "encryption", "RFC 3207", "", Registered},
		{"SUBMITTER", "the responsible sender is named (Sender ID)", "RFC 4405", "", Obsolete},
		{"TURN", "client and server change places, whoever the client is", "RFC 821", "", Obsolete},
		{"UTF8SMTP", "addresses in every script, in the experiment before SMTPUTF8", "RFC 5336", "", Obsolete},
		{"VERB", "the server tells what it does", "Sendmail", "", Obsolete},
	}
}

func unregistered() []Extension {
	return []Extension{
		{"OK", "no extension: the end of the list", "Microsoft IIS, Amazon SES, SmarterMail", "", Unregistered},
		{"PIPECONNECT", "commands before the greeting, to clients that were here before", "Exim", "", Unregistered},
		{"PRDR", "a reply for each recipient", "Exim", "", Unregistered},
		{"VERP", "a return address for each recipient", "PowerMTA", "", Unregistered},
		{"VRFY", "whether a mailbox exists is told; a command of RFC 5321 that needs no keyword", "Postfix", "", Unregistered},
		{"X-ANONYMOUSTLS", "encryption between Exchange servers of one organisation", "Microsoft Exchange", "", Unregistered},
		{"X-EXPS", "logins between Exchange servers of one organisation", "Microsoft Exchange", "mechanisms", Unregistered},
		{"X-LINK2STATE", "link states between Exchange 2000 and 2003 servers", "Microsoft Exchange", "", Unregistered},
		{"XACK", "messages without a reply to each", "PowerMTA", "", Unregistered},
		{"XADR", "addresses are looked up", "Oracle Messaging Server", "", Unregistered},
		{"XCIR", "circuit checks", "Oracle Messaging Server", "", Unregistered},
		{"XCLIENT", "proxies tell whose connection it is", "Postfix", "attributes", Unregistered},
		{"XEXCH50", "message properties between Exchange servers", "Microsoft Exchange", "", Unregistered},
		{"XEXDATA", "a reply for each recipient", "Courier", "", Unregistered},
		{"XFORWARD", "proxies tell whose message it is, for the log", "Postfix", "attributes", Unregistered},
		{"XGEN", "information on the server", "Oracle Messaging Server", "", Unregistered},
		{"XLOOP", "loops of mail are found", "Oracle Messaging Server", "an id", Unregistered},
		{"XMESSAGECONTEXT", "message properties between Exchange servers", "Microsoft Exchange", "", Unregistered},
		{"XMRG", "messages are merged from a template", "PowerMTA", "", Unregistered},
		{"XOORG", "the originating organisation between Exchange servers", "Microsoft Exchange", "", Unregistered},
		{"XRDST", "routing between Exchange servers", "Microsoft Exchange", "", Unregistered},
		{"XSECURITY", "how messages are protected on the way", "Courier", "ways", Unregistered},
		{"XSHADOW", "copies of messages between Exchange servers", "Microsoft Exchange", "", Unregistered},
		{"XSHADOWREQUEST", "copies of messages between Exchange servers", "Microsoft Exchange", "", Unregistered},
		{"XSTA", "statistics", "Oracle Messaging Server", "", Unregistered},
		{"XVERP", "a return address for each recipient", "Postfix, Courier", "", Unregistered},
		{"X_PIPE_CONNECT", "commands before the greeting, to clients that were here before", "Exim", "", Unregistered},
	}
}
