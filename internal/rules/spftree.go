package rules

import (
	"slices"

	"mailaudit/internal/audit"
)

// spfTreeRules judge the whole policy of a domain: its SPF record with all that
// it leads to (RFC 7208). That is the tree of audit.SPFPolicy, which is put
// together from what was observed; see spftreewalk.go.
func spfTreeRules() []Rule {
	return slices.Concat(spfLinkRules(), spfLimitRules(), spfOpenRules(), spfTermRules())
}

// spfMoot is what makes every rule about the tree moot: there is no record, or
// none that receivers use.
func spfMoot(more ...audit.RuleID) []audit.RuleID {
	return append([]audit.RuleID{"spf.missing", "spf.several", "spf.syntax"}, more...)
}

// spfLinkRules are about the records that the policy leads to. A name that
// anyone can register is said to be so by spf.include-takeover, which counts for
// protection, and to be broken by spf.include-broken as well: that counts for
// delivery, which is hurt today, whoever registers the name or not.
func spfLinkRules() []Rule {
	return []Rule{{
		ID: "spf.include-takeover", Axis: audit.Protection, Since: "0.3.0", Severity: audit.Critical,
		Title: "No name that the SPF policy leads to lies under a domain that anyone can register",
		Refs:  []Ref{{"RFC 7208", "5.2"}, {"RFC 7208", "6.1"}, {"RFC 8020", "2"}},
		Why: "Whoever registers the domain can publish an SPF record there that passes his own servers. His mail as your domain then passes SPF, " +
			"and through SPF also DMARC. Such domains are looked for: those of closed services, and names with a letter wrong.",
		Fix:   "Correct the name, or take the term out of the record: nobody passes by it today. If it stands in the record of a provider, tell him.",
		After: spfMoot(),
		Judge: judgeSPFTakeover,
	}, {
		ID: "spf.include-broken", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.High,
		Title: "Every include of the SPF policy names a domain with one SPF record that can be read",
		Refs:  []Ref{{"RFC 7208", "5.2"}, {"RFC 7208", "4.5"}, {"RFC 7208", "4.6"}},
		Why: "An include of a domain that has no SPF record, or several, or one with a mistake, is an error (permerror) for every sender that no term " +
			"in front of it matches. SPF of that mail does not pass, and DMARC hangs on DKIM alone.",
		Fix: "Compare the name with what the provider tells its customers to publish. If the fault is in the record of a provider, only the provider can mend it. " +
			"The finding names the record in which the include stands.",
		After: spfMoot(),
		Judge: judgeSPFIncludes,
	}, {
		ID: "spf.redirect-broken", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.High,
		Title: "Every redirect of the SPF policy names a domain with one SPF record that can be read",
		Refs:  []Ref{{"RFC 7208", "6.1"}, {"RFC 7208", "4.5"}, {"RFC 7208", "4.6"}},
		Why: "A redirect hands the whole question on. Where it leads to no SPF record, to several, or to one with a mistake, the result is an error (permerror) " +
			"for every sender that the record itself does not match.",
		Fix:   "Correct the name behind redirect=, or publish the record there. If the fault is in the record of a provider, only the provider can mend it.",
		After: spfMoot(),
		Judge: judgeSPFRedirects,
	}, {
		ID: "spf.include-varies", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "The SPF policy leads everyone to the same records",
		Refs:  []Ref{{"RFC 7208", "7"}, {"RFC 7208", "5.2"}},
		Why: "With a macro for the client or the sender in its name, an include leads each message to another record. That is legal, and some providers ask for it; " +
			"but nobody can see in advance what such a policy says, so that faults in it show in lost mail first, and several findings about SPF stay unknown.",
		Fix:   "Nothing, if a provider asked for it. Try the addresses that send with \"mailaudit spf DOMAIN --ip ADDRESS\".",
		After: spfMoot(),
		Judge: judgeSPFVaries,
	}}
}

// spfLimitRules are about what evaluation takes.
func spfLimitRules() []Rule {
	return []Rule{{
		ID: "spf.loop", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.High,
		Title: "No record of the SPF policy leads back to itself",
		Refs:  []Ref{{"RFC 7208", "4.6.4"}, {"RFC 7208", "5.2"}, {"RFC 7208", "6.1"}},
		Why: "A record that includes one it is included by sends receivers round in a circle until the ten lookups are used up. The result is an error " +
			"(permerror) for every sender that no term in front of it matches.",
		Fix:   "Take out the term that leads back: it authorises nobody who is not authorised already. Often another name was meant.",
		After: spfMoot(),
		Judge: judgeSPFLoop,
	}, {
		ID: "spf.too-many-lookups", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.High, Range: []audit.Severity{audit.Medium},
		Title: "SPF is evaluated within ten DNS lookups",
		Refs:  []Ref{{"RFC 7208", "4.6.4"}},
		Why: "Receivers stop at the eleventh term that asks the DNS, those of included records counted, and answer an error (permerror): mail from servers " +
			"that only later terms name does not pass SPF. Counted is the sender that no term matches before the end. It is medium where all addresses known " +
			"to send pass before the limit.",
		Fix: "Find out of each provider that takes many lookups whether mail still comes from there (DMARC aggregate reports name the addresses), and take out what is " +
			"not used. Have a service send as a sub-domain, which has ten lookups for itself. Write ip4 and ip6 for hosts of your own in place of a and mx. " +
			"Do not copy the networks of a provider into the record: they change, and nobody tells you.",
		After: spfMoot(),
		Judge: judgeSPFLookups,
	}, {
		ID: "spf.lookups-near-limit", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "SPF keeps a distance to the limit of ten DNS lookups",
		Refs:  []Ref{{"RFC 7208", "4.6.4"}},
		Why: "With nine or ten lookups the record works, and breaks on the day on which a provider adds a lookup to its own, without a change of yours. " +
			"There is no room for another service either.",
		Fix:   "The same as for too many lookups, without haste: see whether all of the includes are still used.",
		After: spfMoot(),
		Judge: judgeSPFNear,
	}, {
		ID: "spf.too-many-voids", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Medium,
		Title: "At most two DNS lookups of SPF find nothing",
		Refs:  []Ref{{"RFC 7208", "4.6.4"}, {"RFC 7208", "11.1"}},
		Why: "Many receivers stop at the third lookup that brings no name or no record and answer an error (permerror). " +
			"An a whose host has no address of the client's family is one as well; the hosts of an mx are not counted.",
		Fix:   "Correct the names that the finding lists. Terms whose hosts or services are gone can be taken out: they authorise nobody.",
		After: spfMoot(),
		Judge: judgeSPFVoids,
	}, {
		ID: "spf.mx-too-many", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.High,
		Title: "No mx of the SPF policy finds more than ten mail servers",
		Refs:  []Ref{{"RFC 7208", "4.6.4"}, {"RFC 7208", "5.4"}},
		Why: "An mx term whose name has more than ten MX records is an error (permerror) for every sender that no term in front of it matches: " +
			"receivers look up the addresses of ten hosts and no more.",
		Fix:   "mx is for servers that take mail and send it. Name those that send by ip4, ip6, a or include.",
		After: spfMoot(),
		Judge: judgeSPFHosts,
	}, {
		ID: "spf.target-empty", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Low,
		Title: "Every a, mx and exists of the SPF record finds something",
		Refs:  []Ref{{"RFC 7208", "5.3"}, {"RFC 7208", "5.4"}, {"RFC 7208", "5.7"}},
		Why: "A term whose name has no address matches nobody. Either a server that was meant to be named is not, and its mail fails, " +
			"or the term is left over and costs each receiver a lookup in vain, of which there may be two.",
		Fix:   "Correct the name or publish the address. If there is no such host any more, take the term out.",
		After: spfMoot(),
		Judge: judgeSPFEmpty,
	}}
}

// spfOpenRules are about whom the policy passes besides those who should.
func spfOpenRules() []Rule {
	return []Rule{{
		ID: "spf.include-open", Axis: audit.Protection, Since: "0.3.0", Severity: audit.Critical,
		Title: "No record that the SPF policy leads to passes the whole world",
		Refs:  []Ref{{"RFC 7208", "5.2"}, {"RFC 7208", "11.4"}},
		Why: "An include passes whomever the included record passes. When that is everyone, by +all, by networks that hold every address, by an exists that always finds " +
			"something or a term that looks at the name that the sender gives, anyone's mail as this domain passes SPF, and through SPF also DMARC.",
		Fix:   "Tell whoever runs the record that passes everyone. Until they mend it, name your own servers by ip4 and ip6 in place of the term that leads there.",
		After: spfMoot("spf.plus-all"),
		Judge: judgeSPFOpenBelow,
	}, {
		ID: "spf.exists-sender", Axis: audit.Protection, Since: "0.3.0", Severity: audit.Medium, Range: []audit.Severity{audit.Info},
		Title: "No exists of the SPF policy asks for a name that the sender chooses",
		Refs:  []Ref{{"RFC 7208", "7.3"}, {"RFC 7208", "11.4"}},
		Why: "The local part (%{l}, %{s}) and the EHLO name (%{h}) are words of the sender. Where the address of the client is not in the name beside them, whoever " +
			"guesses a name that exists passes, from anywhere. Where it is (info), as services that manage SPF for others have it, they only keep receivers from remembering " +
			"the result, and tell the name server who writes.",
		Fix:   "Put the address of the client into the name (%{i}), or name the servers by ip4 and ip6. A list of users is no work for SPF.",
		After: spfMoot("spf.plus-all", "spf.include-open"),
		Judge: judgeSPFExists,
	}, {
		ID: "spf.range-huge", Axis: audit.Protection, Since: "0.3.0", Severity: audit.Medium, Range: []audit.Severity{audit.Info},
		Title: "The SPF policy passes no network wider than a sender needs",
		Refs:  []Ref{{"RFC 7208", "5.6"}, {"RFC 7208", "11.4"}},
		Why: "Everyone who has an address in a network that the record names can send as the domain: in one wider than a /16, or a /32 of IPv6, that is customers of a whole " +
			"provider, and whoever breaks into one of their machines. In records of others (info) it is for them to say who has the addresses. " +
			"Providers of whom it is known that all customers share them are for spf.shared-pool.",
		Fix:   "Name the addresses that send, in place of the network around them.",
		After: spfMoot("spf.plus-all", "spf.include-open"),
		Judge: judgeSPFHuge,
	}, {
		ID: "spf.ptr-below", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "No record that the SPF policy leads to uses ptr",
		Refs:  []Ref{{"RFC 7208", "5.5"}},
		Why: "The ptr mechanism costs every receiver many lookups in the sender's reverse zone, fails whenever that zone does, and should not be published, " +
			"says the standard; some receivers skip it. In the record of a provider only the provider can change it.",
		Fix:   "Tell whoever runs the record.",
		After: spfMoot(),
		Judge: judgeSPFPtrBelow,
	}, {
		ID: "spf.shared-pool", Axis: audit.Protection, Since: "0.3.0", Severity: audit.Info,
		Title: "SPF tells the domain from other customers of its providers",
		Refs:  []Ref{{"RFC 7208", "11.4"}},
		Why: "Most large providers send the mail of all customers from the same addresses, and each of these customers passes your SPF. What keeps them from using your " +
			"domain is how well the provider checks it; SPF cannot. That is how it is meant to be, and a reason to sign with DKIM. " +
			"Which providers these are is known from their services, and not measured.",
		Fix:   "Leave SPF as it is, and have each provider sign with DKIM as your domain.",
		After: spfMoot(),
		Judge: judgeSPFShared,
	}}
}

// spfTermRules are about terms of the domain's own record that are said twice.
func spfTermRules() []Rule {
	return []Rule{{
		ID: "spf.redundant-terms", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info,
		Title: "No term of the SPF record says what another one says",
		Refs:  []Ref{{"RFC 7208", "4.6.2"}, {"RFC 7208", "4.6.4"}},
		Why: "A term that stands there twice, an include that another record includes as well, and a network that lies in another one change nothing for any sender. " +
			"They make the record long and hard to read, and includes cost their lookups again.",
		Fix:   "Take out the later one of equal terms. What lies in a record of a provider can go if you want to rely on the provider for it.",
		After: spfMoot("spf.plus-all"),
		Judge: judgeSPFRedundant,
	}, {
		ID: "spf.hosts-covered", Axis: audit.Delivery, Since: "0.3.0", Severity: audit.Info, Range: []audit.Severity{audit.Low},
		Title: "No a or mx of the SPF record stands for hosts that ip4 and ip6 name already",
		Refs:  []Ref{{"RFC 7208", "4.6.4"}, {"RFC 7208", "5.3"}, {"RFC 7208", "5.4"}},
		Why: "A term a or mx costs a lookup of ten. Where all addresses behind it, of both families, are named by ip4 and ip6 of the same record, it changes nothing as long as " +
			"the hosts stay where they are. It is low where SPF takes too many lookups.",
		Fix:   "Take the term out if the hosts keep their addresses; or keep it, and take out the ip4 and ip6 that name them.",
		After: spfMoot("spf.mx-too-many"),
		Judge: judgeSPFCovered,
	}}
}
