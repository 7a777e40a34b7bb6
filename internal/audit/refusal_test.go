package audit

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	for _, c := range []struct {
		took []time.Duration
		want Pace
	}{
		{nil, Pace{}},
		{[]time.Duration{time.Second}, Pace{1, Prompt, Prompt}},
		{[]time.Duration{6 * time.Second}, Pace{1, Paused, Paused}},
		{[]time.Duration{time.Second, 6 * time.Second, 0}, Pace{3, Prompt, Paused}},
		{[]time.Duration{time.Minute, 6 * time.Second, 3 * time.Minute}, Pace{3, Paused, VerySlow}},
		{[]time.Duration{3 * time.Minute, 3 * time.Minute}, Pace{2, VerySlow, VerySlow}},
	} {
		var got Pace
		for _, d := range c.took {
			got.Count(d)
		}
		if got != c.want {
			t.Errorf("%v: %+v, want %+v", c.took, got, c.want)
		}
	}
}

// TestStableRefusal: what a server says on two nights is one text.
func TestStableRefusal(t *testing.T) {
	const helo = "probe.example.net"
	s := NewStabilizer(netip.MustParseAddr("203.0.113.9"))
	for text, want := range map[string]string{
		"4.7.1 Greylisted for 287 seconds":     "4.7.1 Greylisted for <time>",
		"try again in 5 minutes, or 1.5 hours": "try again in <time>, or <time>",
		"try again in 299s":                    "try again in 299s", // no unit that is sure to be one
		"OFR004_104 [104]":                     "OFR004_104 [104]",
		"(S3150). [AM7EUR06FT038.eop-eur06.prod.protection.outlook.com 2026-11-23T12:00:00.000Z 08DE2A7C1B2D3E4F]": "(S3150). [<id>]",
		"busy [aBcDe1FgHi2JkLm3NoPqRs.uk123]":                    "busy [<id>]",
		"Client host [203.0.113.9] blocked":                      "Client host [<our address>] blocked",
		"too many connections from vps.example.net[203.0.113.9]": "too many connections from <our name>[<our address>]",
		"rejected: vps.example.net ([203.0.113.9])":              "rejected: <our name> ([<our address>])",
		"blocked using zen.spamhaus.org (203.0.113.9)":           "blocked using zen.spamhaus.org (<our address>)",
		"<probe.example.net>: Helo command rejected":             "<<our name>>: Helo command rejected",
		"see https://www.spamhaus.org/query/ip/203.0.113.9":      "see https://www.spamhaus.org/query/ip/<our address>",
		"203.0.113.90 is another":                                "203.0.113.90 is another",
	} {
		got := s.Refusal(Raw(text), helo)
		if string(got) != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if again := s.Refusal(got, helo); again != got {
			t.Errorf("%q is not stable: %q", got, again)
		}
	}
}

func TestOurAddresses(t *testing.T) {
	server := netip.MustParseAddr("192.0.2.25")
	for text, want := range map[string][]string{
		"Client host [8.8.4.4] blocked":             {"8.8.4.4"},
		"connections from 8.8.4.4: too many":        {"8.8.4.4"},
		"IP=8.8.4.4 - bad":                          {"8.8.4.4"},
		"ip: 8.8.4.4.":                              {"8.8.4.4"},
		"https://www.spamhaus.org/query/ip/8.8.4.4": {"8.8.4.4"},
		"host [IPv6:2600::1] and [2600::2]":         {"2600::1", "2600::2"},
		"answer 127.0.0.2 from [127.0.0.2]":         nil,
		"I am [192.0.2.25]":                         nil,
		"you come from 10.0.0.5":                    nil,
		"Exim 4.97.1.2":                             nil,
		"from 999.1.1.1 for 12:30:45 [::::] ip=:":   nil,
		"": nil,
	} {
		var got []string
		for _, a := range NewStabilizer().OurAddresses(Raw(text), server) {
			got = append(got, a.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
