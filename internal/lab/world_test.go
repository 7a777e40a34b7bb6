package lab_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mailaudit/internal/audit"
	"mailaudit/internal/lab"
)

func TestParseErrors(t *testing.T) {
	const head = "# Why.\nat 2026-11-23T12:00:00Z areas mx tls\n"
	const run = "-- run --\nmailaudit version\nexit 0\n"
	for _, tc := range []struct{ text, want string }{
		{"", "w:1: the first lines say why"},
		{"at 2026-11-23T12:00:00Z\n", "w:1: the first lines say why"},
		{"#\n", "w:1: the first lines say why"},
		{"# Why.\nrtt 1s\n", `w:1: the header has no "at TIME"`},
		{"# Why.\nat noon\n", "w:2: at: parsing time"},
		{"# Why.\nat\n", "w:2: at has 0 values"},
		{"# Why.\n\nrtt 1s 2s\n", "w:3: rtt has 2 values"},
		{"# Why.\nrtt -1s\n", "w:2: rtt: -1s is negative"},
		{"# Why.\nareas mx post\n", `w:2: areas: "post" is no area`},
		{"# Why.\nresolvers ns.example.org\n", "w:2: resolvers: ParseAddr"},
		{"# Why.\nwind 3\n", `w:2: "wind" is no setting`},
		{head + "-- sea --\n", `w:3: "sea" is no section`},
		{head + "-- zone 'x --\n", "w:3: a ' is not closed"},
		{head + "-- zone x --\n", `w:3: "x" is too much after zone`},
		{head + "-- zone --\n-- zone --\n", "w:4: there is a zone section already"},
		{head + "-- zone --\n\nexample.org MX 0 .\n", "w:5: the name example.org does not end in a dot"},
		{head + "-- zone --\nexample.org. MX 0 mx\n", "w:4: not a record: "},
		{head + "-- zone --\nexample.org. XY 0 .\n", "w:4: not a record: "},
		{head + "-- zone --\nexample.org.\n", "w:4: not a record"},
		{head + "-- zone --\n$ORIGIN example.org.\n", "w:4: the name $ORIGIN does not end in a dot"},
		{head + "-- zone --\n$a. A 192.0.2.1\n", "w:4: the lab's zones have no $ control entries"},
		{head + "-- zone --\nexample.org. CH TXT x\n", "w:4: the class is not IN"},
		{head + "-- zone --\nexample.org. TXT v=DMARC1; p=none\n", "w:4: TXT data with a semicolon must be in quotes"},
		{head + "-- zone --\nexample.org. SPF v=spf1; -all\n", "w:4: TXT data with a semicolon must be in quotes"},
		{head + "-- zone --\nexample.org. TXT \"v=DMARC1\" p=none; x\n", "w:4: TXT data with a semicolon must be in quotes"},
		{head + "-- zone --\nexample.org. A 192.0.2.1\nexample.org. 5 A 192.0.2.1\n", "w:5: example.org. A is there already"},
		{head + "-- zone --\nexample.org. !explode\n", "w:4: unknown directive !explode"},
		{head + "-- zone --\nexample.org. A 192.0.2.1 !delay 3s\n", `w:4: "192.0.2.1" is too much after a name and a type`},
		{head + "-- zone --\nexample.org. A !servfail 192.0.2.1\n", `w:4: "192.0.2.1" follows a directive`},
		{head + "-- zone --\nexample.org. QQ !servfail\n", "w:4: QQ is not a record type"},
		{head + "-- zone --\nexample.org. !delay\n", "w:4: !delay needs a value"},
		{head + "-- zone --\nexample.org. !delay soon\n", "w:4: time: invalid duration"},
		{head + "-- zone --\nexample.org. !ede x\n", "w:4: !ede: "},
		{head + "-- zone --\nexample.org. !servfail+sctp\n", "w:4: !servfail+sctp: +sctp is none of"},
		{head + "-- zone --\nexample.org. !servfail+tcp+edns\n", "w:4: !servfail+tcp+edns: one of +udp, +tcp, +edns is enough"},
		{head + "-- zone --\nexample.org. MX\n", "w:4: not a record: there is no data"},
		{head + "-- zone --\nexample.org. !servfail@ns\n", "w:4: !servfail@ns: ParseAddr"},
		{head + "-- zone --\nexample.org. !servfail#0\n", "w:4: !servfail#0: a count is at least 1"},
		{head + "-- zone --\n* A 192.0.2.1\n", "w:4: the name * takes directives only"},
		{head + "-- zone --\n-example.org. A\n", "w:4: a line that begins with \"-\" belongs into a change section"},
		{head + "-- smtp --\n", "w:3: smtp needs ADDR:PORT"},
		{head + "-- smtp 192.0.2.1 --\n", "w:3: not an ip:port"},
		{head + "-- smtp 192.0.2.1:25 2 --\n", `w:3: "2" is not the number of a connection`},
		{head + "-- smtp 192.0.2.1:25 #2 --\n", "w:3: 192.0.2.1:25 has no script for its first connection yet"},
		{head + "-- smtp 192.0.2.1:25 --\n-- smtp 192.0.2.1:25 --\n", "w:4: 192.0.2.1:25 has a script for connection #1 already"},
		{head + "-- smtp 192.0.2.1:25 --\n220 hi\n", `w:4: "220 hi" is none of S: C: !directive`},
		{head + "-- smtp 192.0.2.1:25 --\nC:\n", "w:4: a C: line needs the command"},
		{head + "-- smtp 192.0.2.1:25 --\n!jump\n", "w:4: unknown directive !jump"},
		{head + "-- smtp 192.0.2.1:25 --\n!delay\n", "w:4: time: invalid duration"},
		{head + "-- smtp 192.0.2.1:25 --\n!close now\n", "w:4: !close takes nothing after it"},
		{head + "-- smtp 192.0.2.1:25 --\n!raw x\n", "w:4: !raw needs a Go string"},
		{head + "-- smtp 192.0.2.1:25 --\nS: 220 hi\n!refuse\n", "w:5: a script that begins with !refuse has nothing else"},
		{head + "-- smtp 192.0.2.1:25 --\n!starttls\n", "w:4: !starttls needs cert=NAME"},
		{head + "-- smtp 192.0.2.1:25 --\n!starttls cert=good tls=2\n", `w:4: "2" is none of the TLS versions`},
		{head + "-- smtp 192.0.2.1:25 --\n!starttls cert=good tls=1.1 min=1.2\n", "w:4: !starttls: min is above tls"},
		{head + "-- smtp 192.0.2.1:25 --\n!starttls cert=good large=ignore\n", "w:4: !starttls: large is none of reset close stall"},
		{head + "-- smtp 192.0.2.1:25 --\nS: 220 hi\n!starttls cert=mine\n", `w:5: there is no certificate "mine"`},
		{head + "-- proxy --\n", "w:3: proxy needs ADDR:PORT"},
		{head + "-- proxy localhost:1080 --\n", "w:3: "},
		{head + "-- proxy 127.0.0.1:1080 reply=0 --\n", `w:3: "0" is no code of a refusal`},
		{head + "-- proxy 127.0.0.1:1080 fast --\n", `w:3: "fast" is none of reply= login mute`},
		{head + "-- proxy 127.0.0.1:1080 --\nS: hello\n", "w:3: a proxy section has no lines"},
		{head + "-- server 192.0.2.1:25 --\n", "w:3: server needs ADDR:PORT NAME"},
		{head + "-- server 192.0.2.1:25 mx colour=red --\n", `w:3: "colour=red" is none of`},
		{head + "-- server 192.0.2.1:25 mx --\nS: 220\n", "w:3: a server section has no lines"},
		{head + "-- server 192.0.2.1:25 mx cert=mine --\n", `w:3: there is no certificate "mine"`},
		{head + "-- cert --\n", "w:3: cert takes one name"},
		{head + "-- cert mine --\n", "w:3: certificate mine has no names"},
		{head + "-- cert mine --\nnames a\ndays soon\n", `w:5: days: "soon" is not a number of days`},
		{head + "-- cert mine --\nkey dsa\n", `w:4: "dsa" is none of rsa1024`},
		{head + "-- cert mine --\ncolour red\n", `w:4: "colour" is nothing that a certificate has`},
		{head + "-- cert mine --\nself-signed yes\n", "w:4: self-signed takes nothing"},
		{head + "-- cert mine --\nnames a\n-- cert mine --\nnames b\n", "w:5: there is a certificate mine already"},
		{head + "-- run --\nexit 0\n", "w:3: the run has no line \"mailaudit"},
		{head + "-- run --\nmailaudit version\n", "w:3: the run has no line \"exit N\""},
		{head + "-- run --\nmailaudit 'version\n", "w:4: a ' is not closed"},
		{head + "-- run --\nmailaudit a\nmailaudit b\n", "w:5: a run has one command line"},
		{head + "-- run --\nmailaudit a\nexit 256\n", `w:5: "256" is no exit code`},
		{head + "-- run --\nmailaudit a\nstdout has x\n", "w:5: stdout is followed by contains TEXT or lacks TEXT"},
		{head + "-- run --\nmailaudit a\nsleep 3\n", `w:5: "sleep" begins no line of a run`},
		{head + "-- findings --\n", "w:3: findings belong right after a run"},
		{head + run + "-- findings --\nmx.x example.org\n", `w:7: "mx.x example.org" is not: rule subject status`},
		{head + run + "-- findings --\nmx.x example.org broken\n", `w:7: "broken" is no status`},
		{head + run + "-- findings --\nrdns.x example.org fail\n", "w:7: rdns.x is in none of the areas"},
		{head + run + "-- zone --\n", "w:6: a zone after a run"},
		{head + run + "-- smtp 192.0.2.1:25 --\n", "w:6: a server after a run"},
		{head + "-- change --\n", "w:3: a change before the first run"},
		{head + run + "-- change --\nexample.org. MX 0 .\n", "w:6: a change with no run after it"},
		{head + run + "-- change --\n-example.org. MX\n" + run, "w:7: there is nothing to remove at example.org. MX"},
		{head + run + "-- change --\n\nexample.org. MX\n" + run, "w:8: not a record"},
		{head + run + "-- change dns --\n" + run, `w:6: change is followed by smtp, server or nothing, not by "dns"`},
		{head + run + "-- change smtp 192.0.2.1:25 --\n!starttls cert=x\n" + run, `w:7: there is no certificate "x"`},
		{head + run + "-- change smtp 192.0.2.1:25 #2 --\n" + run, "w:6: 192.0.2.1:25 has no script for its first connection yet"},
	} {
		_, err := lab.ParseWorld("w", []byte(tc.text))
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%q:\n got %v\nwant %s", tc.text, err, tc.want)
		}
	}
}

// TestSemicolons is what is not an error.
func TestSemicolons(t *testing.T) {
	w := parse(t, `-- zone --
a.example.org. TXT "v=DMARC1; p=none" "x;y" ; a remark; with more
b.example.org. TXT plain\;semicolon
c.example.org. TXT unquoted-without
; a line of its own
# another
d.example.org. A 192.0.2.1;close by
`)
	var got []string
	for _, rr := range w.Zone.Records {
		if txt, ok := rr.(*dns.TXT); ok {
			got = append(got, strings.Join(txt.Txt, "|"))
		}
	}
	want := []string{`v=DMARC1; p=none|x;y`, `plain\;semicolon`, `unquoted-without`}
	if !slices.Equal(got, want) || len(w.Zone.Records) != 4 {
		t.Errorf("got %q, want %q", got, want)
	}
}

const applyZone = `-- zone --
example.org. MX 10 old.example.org.
example.org. MX 20 mx.example.org.
example.org. TXT "v=spf1 -all"
mx.example.org. A 192.0.2.25
www.example.org. CNAME example.org.
25.2.0.192.in-addr.arpa. !nxdomain
gone.example.org. A !nodata
gone.example.org. MX !servfail
`

func TestApply(t *testing.T) {
	const add, replace, remove = audit.Add, audit.Replace, audit.Remove
	rec := func(action audit.Action, name, typ, value string) audit.FixRecord {
		return audit.FixRecord{Action: action, Name: name, Type: typ, Value: value}
	}
	for _, tc := range []struct {
		name    string
		records []audit.FixRecord
		ask     question
		want    string // the answer, or the error
	}{
		{"add", []audit.FixRecord{rec(add, "25.2.0.192.in-addr.arpa.", "PTR", "mx.example.org.")},
			question{name: "25.2.0.192.in-addr.arpa.", typ: "PTR"}, "NOERROR; 25.2.0.192.in-addr.arpa. 300 PTR mx.example.org."},
		{"add takes a denial away", []audit.FixRecord{rec(add, "gone.example.org.", "A", "192.0.2.9")},
			question{name: "gone.example.org.", typ: "A"}, "NOERROR; gone.example.org. 300 A 192.0.2.9"},
		{"add leaves other faults", []audit.FixRecord{rec(add, "gone.example.org.", "MX", "0 .")},
			question{name: "gone.example.org.", typ: "MX"}, "SERVFAIL"},
		{"replace", []audit.FixRecord{rec(replace, "example.org.", "MX", "5 a.example.org."), rec(replace, "Example.ORG.", "MX", "6 b.example.org.")},
			question{name: "example.org.", typ: "MX"}, "NOERROR; example.org. 300 MX 5 a.example.org.; example.org. 300 MX 6 b.example.org."},
		{"replace leaves other types", []audit.FixRecord{rec(replace, "example.org.", "MX", "0 .")},
			question{name: "example.org.", typ: "TXT"}, `NOERROR; example.org. 300 TXT "v=spf1 -all"`},
		{"remove all of a type", []audit.FixRecord{rec(remove, "example.org.", "MX", "")},
			question{name: "example.org.", typ: "MX"}, "NOERROR; SOA=example.org."},
		{"remove one", []audit.FixRecord{rec(remove, "example.org.", "MX", "10 OLD.example.org.")},
			question{name: "example.org.", typ: "MX"}, "NOERROR; example.org. 300 MX 20 mx.example.org."},
		{"remove comes first", []audit.FixRecord{rec(add, "example.org.", "MX", "0 ."), rec(remove, "example.org.", "MX", "")},
			question{name: "example.org.", typ: "MX"}, "NOERROR; example.org. 300 MX 0 ."},
		{"remove makes room", []audit.FixRecord{rec(add, "www.example.org.", "A", "192.0.2.1"), rec(remove, "www.example.org.", "CNAME", "")},
			question{name: "www.example.org.", typ: "A"}, "NOERROR; www.example.org. 300 A 192.0.2.1"},
		{"beside an alias", []audit.FixRecord{rec(add, "www.example.org.", "A", "192.0.2.1")}, question{}, "applying a fix: www.example.org. would have a CNAME and something beside it"},
		{"there already", []audit.FixRecord{rec(add, "mx.example.org.", "A", "192.0.2.25")}, question{}, "applying a fix: mx.example.org. A is there already"},
		{"nothing to remove", []audit.FixRecord{rec(remove, "mx.example.org.", "A", "192.0.2.26")}, question{}, "applying a fix: there is nothing to remove at mx.example.org. A"},
		{"all or none", []audit.FixRecord{rec(remove, "example.org.", "MX", ""), rec(add, "mx.example.org.", "A", "192.0.2.25")}, question{}, "applying a fix: mx.example.org. A is there"},
		{"unquoted", []audit.FixRecord{rec(add, "_dmarc.example.org.", "TXT", "v=DMARC1; p=none")}, question{}, "fix record add _dmarc.example.org. TXT v=DMARC1; p=none: TXT data with a semicolon"},
		{"relative", []audit.FixRecord{rec(add, "a", "A", "192.0.2.1")}, question{}, "fix record add a A 192.0.2.1: the name a does not end in a dot"},
		{"no value", []audit.FixRecord{rec(add, "a.example.org.", "A", "")}, question{}, "fix record add a.example.org. A : not a record"},
		{"a directive", []audit.FixRecord{rec(add, "a.example.org.", "A", "!servfail")}, question{}, "fix record add a.example.org. A !servfail: not a record of that type"},
		{"no action", []audit.FixRecord{rec("", "a.example.org.", "A", "192.0.2.1")}, question{}, "fix record  a.example.org. A 192.0.2.1: the action is none of"},
		{"no type", []audit.FixRecord{rec(remove, "a.example.org.", "", "")}, question{}, "fix record remove a.example.org.  : the type is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := parse(t, applyZone)
			before := fmt.Sprint(w.Zone.Records, len(w.Zone.Directives))
			bubble(t, w, func(t *testing.T, n *lab.Network) {
				ask(t, n, question{name: "example.org.", typ: "NS"}) // so that an index exists before
				err := w.Apply(tc.records)
				if tc.ask.name == "" {
					if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
						t.Errorf("got %v\nwant %s", err, tc.want)
					}
					if after := fmt.Sprint(w.Zone.Records, len(w.Zone.Directives)); after != before {
						t.Errorf("a failed fix changed the zone:\n%s\n%s", before, after)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := sum(ask(t, n, tc.ask)); got != tc.want {
					t.Errorf("got %s\nwant %s", got, tc.want)
				}
				clean(t, n)
			})
		})
	}
}

func TestRebase(t *testing.T) {
	w := world(t, "story")
	to := w.At.AddDate(1, 0, 0)
	w.Rebase(to)
	if !w.At.Equal(to) || !w.Runs[0].At.Equal(to) || !w.Runs[1].At.Equal(to.AddDate(0, 0, 1)) {
		t.Errorf("at %v, runs at %v and %v", w.At, w.Runs[0].At, w.Runs[1].At)
	}
	c, err := w.Certificate("good", "mx.example.org")
	if err != nil || !c.Leaf.NotAfter.Equal(to.AddDate(0, 0, 80)) {
		t.Errorf("the certificate ends %v, %v", c.Leaf.NotAfter, err)
	}
}

// TestManual: the world of docs/lab.md parses, and the page names every
// directive.
func TestManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/lab.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```\n")
	example, _, _ := strings.Cut(rest, "```\n")
	w, err := lab.ParseWorld("docs/lab.md", []byte(example))
	if err != nil || len(w.Zone.Records) != 3 || len(w.Runs) != 1 {
		t.Errorf("the example: %+v, %v", w, err)
	}
	var words []string
	for _, k := range []lab.Kind{lab.Silent, lab.ServFail, lab.Refused, lab.FormErr, lab.NotImp, lab.BadVers, lab.NXDomain, lab.NoData, lab.Lame,
		lab.Garbage, lab.Truncate, lab.Delay, lab.EDE, lab.AD, lab.NoSOA, lab.Forge, lab.Rotate, lab.TTLFall} {
		words = append(words, string(k))
	}
	for _, op := range []lab.Op{lab.Pause, lab.Close, lab.Reset, lab.StartTLS, lab.Junk, lab.Stall, lab.Drip, lab.Repeat, lab.Bytes,
		lab.Refuse, lab.Timeout, lab.Unreachable, lab.NoRoute, lab.Forbidden} {
		words = append(words, string(op))
	}
	for _, word := range words {
		if !strings.Contains(string(page), "`!"+word) {
			t.Errorf("docs/lab.md does not name !%s", word)
		}
	}
}
