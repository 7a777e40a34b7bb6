package collect

import "mailaudit/internal/audit"

// MaxFollowed is how many addresses of mail hosts are asked about in one run:
// their reverse DNS, and every block list. Ten hosts with as many addresses as
// the largest have fit in, and a domain that publishes thousands costs DNS no
// more than that.
const MaxFollowed = 320

// limits are those of one family of one host: how many of its addresses are
// probed, and how many are looked at in DNS and named in the facts. They depend
// on the number of hosts alone, so that they are the same every night.
type limits struct{ probe, follow int }

// limitsFor shares the limits of a run among both families of its hosts.
func limitsFor(hosts int) limits {
	families := 2 * max(1, min(hosts, MaxHosts))
	return limits{
		probe:  min(MaxPerFamily, max(1, MaxAddresses/families)),
		follow: min(audit.MaxFollowed, MaxFollowed/families),
	}
}
