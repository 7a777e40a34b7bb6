package dnscheck

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/resolve"
)

// ObserveSPFLeftovers observes records of type SPF and of Sender ID, and
// whether the domain is an alias: two questions, one of which is that of SPF.
func ObserveSPFLeftovers(ctx context.Context, a Asker, d audit.Domain) audit.SPFLeftovers {
	answer := a.Ask(ctx, d.Name(), dns.TypeTXT)
	return audit.SPFLeftovers{
		Type99:   resolve.Observe(a.Ask(ctx, d.Name(), dns.TypeSPF), type99),
		SenderID: texts(answer, audit.IsSenderID, "no TXT record is one of Sender ID"),
		Alias:    resolve.Alias(answer),
	}
}

func type99(rrs []dns.RR) []audit.Raw {
	var out []audit.Raw
	for _, rr := range rrs {
		if r, ok := rr.(*dns.SPF); ok {
			out = append(out, resolve.TXT(&dns.TXT{Txt: r.Txt}))
		}
	}
	return out
}

// texts is the TXT records of an answer that are of a kind. Records of other
// kinds alone are an authoritative "there is none".
func texts(answer *resolve.Answer, is func(audit.Raw) bool, none string) audit.Obs[[]audit.Raw] {
	o := resolve.Observe(answer, func(rrs []dns.RR) []audit.Raw {
		var out []audit.Raw
		for _, rr := range rrs {
			txt, ok := rr.(*dns.TXT)
			if !ok {
				continue
			}
			raw := resolve.TXT(txt)
			if is(raw) {
				out = append(out, raw)
			}
		}
		return out
	})
	if o.State == audit.Seen && len(o.Value) == 0 {
		return audit.None[[]audit.Raw](audit.NoData, none, o.Via)
	}
	return o
}

// DKIM observes the key of one selector (RFC 6376 section 3.6.2.1).
func DKIM(ctx context.Context, a Asker, d audit.Domain, selector string) audit.DKIM {
	name := audit.NewDNSName(selector + "._domainkey." + d.String())
	answer := a.Ask(ctx, name, dns.TypeTXT)
	k := audit.DKIM{
		Selector: selector, Name: name, Alias: resolve.Alias(answer),
		Records: texts(answer, func(audit.Raw) bool { return true }, ""),
	}
	switch {
	case k.Records.State == audit.Unknown:
		k.Key = audit.Dark[audit.PublicKey](k.Records.Why, k.Records.Via)
	case k.Records.State == audit.Absent:
		k.Key = audit.NA[audit.PublicKey]("there is no key record")
	case len(k.Records.Value) != 1:
		k.Key = audit.NA[audit.PublicKey]("several records: which one counts is undefined")
	default:
		k.Key = publicKey(k.Records.Value[0], k.Records.Via)
	}
	return k
}

// publicKey reads the p and k tags of a key record (RFC 6376 section 3.6.1).
func publicKey(record audit.Raw, via string) audit.Obs[audit.PublicKey] {
	no := func(code audit.Code, text string) audit.Obs[audit.PublicKey] {
		return audit.None[audit.PublicKey](code, text, via)
	}
	tags, ok := audit.ParseTags(record)
	if !ok {
		return no(audit.Malformed, "the record is no tag list")
	}
	kind, data, found := "rsa", "", false
	for _, t := range tags {
		switch t.Name {
		case "k":
			kind = strings.ToLower(t.Value)
		case "p":
			data, found = t.Value, true
		}
	}
	switch {
	case !found:
		return no(audit.Malformed, "the record has no p tag")
	case data == "":
		return no(audit.Revoked, "the key is revoked: the p tag is empty")
	case kind != "rsa" && kind != "ed25519":
		return no(audit.Malformed, "the k tag names a kind of key that nobody knows")
	}
	// White space inside the value is legal (RFC 6376 section 3.2, pitfall 39).
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(data), ""))
	if err != nil {
		return no(audit.Malformed, "the p tag is no base64")
	}
	key, ok := decodeKey(kind, der)
	if !ok {
		return no(audit.Malformed, "the p tag holds no "+kind+" key")
	}
	return audit.See(key, via)
}

// decodeKey reads a SubjectPublicKeyInfo or, as RFC 6376 section 3.6.1 has it
// and some publish, a bare RSAPublicKey; Ed25519 keys are 32 bare octets
// (RFC 8463 section 4).
func decodeKey(kind string, der []byte) (audit.PublicKey, bool) {
	if kind == "ed25519" {
		return audit.PublicKey{Type: kind, Bits: 256}, len(der) == ed25519.PublicKeySize
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, isRSA := parsed.(*rsa.PublicKey)
	if err != nil {
		key, err = x509.ParsePKCS1PublicKey(der)
		isRSA = err == nil
	}
	if !isRSA {
		return audit.PublicKey{}, false
	}
	return audit.PublicKey{Type: kind, Bits: key.N.BitLen()}, true
}

// DMARC observes the tree walk of a domain: all its names at once, because
// none depends on another's answer (RFC 9989 section 4.10; eight questions at
// most). Where the walk would have stopped is for the rules to say.
func DMARC(ctx context.Context, a Asker, d audit.Domain) audit.DMARC {
	names := audit.WalkNames(d.Name())
	walk := make([]audit.DMARCStep, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			answer := a.Ask(ctx, audit.NewDNSName("_dmarc."+string(name)), dns.TypeTXT)
			walk[i] = audit.DMARCStep{Domain: name, Records: texts(answer, audit.IsDMARC, "no TXT record is a DMARC record")}
		})
	}
	wg.Wait()
	return audit.DMARC{Walk: walk}
}
