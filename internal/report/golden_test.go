package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// input is one file of testdata: a run as the store gives it back, with what
// is needed to tell it.
type input struct {
	Run     *audit.Run    `json:"run"`
	Sidecar audit.Sidecar `json:"sidecar"`
	Delta   *audit.Delta  `json:"delta"`
	History []struct {
		Rule    audit.RuleID `json:"rule"`
		Subject string       `json:"subject"`
		Status  audit.Status `json:"status"`
		Since   time.Time    `json:"since"`
	} `json:"history"`
}

func load(t testing.TB, path string) Entry {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var in input
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err = dec.Decode(&in)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	in.Run.Sidecar = in.Sidecar
	e := Entry{Run: in.Run, Delta: in.Delta, History: History{}}
	for _, h := range in.History {
		e.History[audit.Key{Rule: h.Rule, Subject: h.Subject}] = audit.Verdict{Status: h.Status, Since: h.Since}
	}
	return e
}

// inputs are the files of testdata that are no golden files.
func inputs(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, ".out.json") })
	if len(files) < 10 {
		t.Fatalf("only %d inputs", len(files))
	}
	return files
}

// goldenClient is the client of golden documents.
const goldenClient = "Müller & Söhne GmbH"

// renderers by the end of the name of a golden file. The first that fits is
// meant.
func renderers() []struct {
	suffix string
	render func(Entry) (string, error)
} {
	text := func(o TextOptions) func(Entry) (string, error) {
		return func(e Entry) (string, error) {
			var b bytes.Buffer
			err := Text(&b, Build(e.Run, e.Delta, e.History), o)
			return b.String(), err
		}
	}
	return []struct {
		suffix string
		render func(Entry) (string, error)
	}{
		{".verbose.txt", text(TextOptions{Verbose: true})},
		{".color.txt", text(TextOptions{Color: true})},
		{".diff.txt", func(e Entry) (string, error) {
			var b bytes.Buffer
			err := Diff(&b, Build(e.Run, e.Delta, e.History), false)
			return b.String(), err
		}},
		{".txt", text(TextOptions{})},
		{".md", func(e Entry) (string, error) {
			var b bytes.Buffer
			err := Markdown(&b, []Model{Build(e.Run, e.Delta, e.History)}, MarkdownOptions{Client: goldenClient})
			return b.String(), err
		}},
		{".html", func(e Entry) (string, error) {
			var b bytes.Buffer
			err := HTML(&b, []Model{Build(e.Run, e.Delta, e.History)}, HTMLOptions{Client: goldenClient})
			return b.String(), err
		}},
		{".jsonl", func(e Entry) (string, error) {
			var b bytes.Buffer
			err := JSONLines(&b, e)
			return b.String(), err
		}},
		{".out.json", func(e Entry) (string, error) {
			var b bytes.Buffer
			err := JSON(&b, []Entry{e})
			return b.String(), err
		}},
	}
}

// TestGolden renders every input in every form that has a golden file. To add
// one, make an empty file of that name and run the test with -update.
func TestGolden(t *testing.T) {
	used := map[string]bool{}
	for _, file := range inputs(t) {
		base := strings.TrimSuffix(file, ".json")
		e := load(t, file)
		for _, r := range renderers() {
			golden := base + r.suffix
			_, err := os.Stat(golden)
			if os.IsNotExist(err) && r.suffix != ".txt" {
				continue
			}
			used[golden] = true
			t.Run(filepath.Base(golden), func(t *testing.T) {
				got, err := r.render(e)
				if err != nil {
					t.Fatal(err)
				}
				compare(t, golden, got)
			})
		}
	}
	all, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if !used[f] && !slices.Contains(inputs(t), f) {
			t.Errorf("%s belongs to no input", f)
		}
	}
}

// compare holds output against a golden file, or writes that with -update.
func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		err := os.WriteFile(golden, []byte(got), 0o644)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n"))
	if diff != "" {
		t.Errorf("%s is not what is rendered now (-golden +now); make golden rewrites it:\n%s", golden, diff)
	}
}

// sampleRules are a few rules of every make: a golden of the whole catalogue
// would change with every rule.
func sampleRules(t *testing.T) []rules.Rule {
	t.Helper()
	var out []rules.Rule
	for _, id := range []audit.RuleID{"mx.domain-nxdomain", "mx.implicit", "mx.target-not-public", "rdns.ptr-missing", "smtp.greeting-late", "tls.cert-untrusted"} {
		r, ok := rules.Lookup(id)
		if !ok {
			t.Fatalf("no rule %s", id)
		}
		out = append(out, r)
	}
	return out
}

// TestGoldenLists does the same for what is not about one run.
func TestGoldenLists(t *testing.T) {
	day := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	longName := strings.Repeat(strings.Repeat("a", 60)+".", 4) + "example"
	lines := []RunLine{
		{ID: 12, State: audit.Complete, Target: "example.org", Started: day, Fails: map[audit.Severity]int{audit.High: 2, audit.Low: 1, audit.Info: 4}, Unknown: 3, Changed: true, Tag: "after the move"},
		{ID: 11, State: audit.Complete, Target: "example.org", Started: day.Add(-24 * time.Hour), Coverage: 100, Judged: 40, Note: "before the move to the new provider"},
		{ID: 10, State: audit.Aborted, Target: "mail.department.university.example", Started: day.Add(-25 * time.Hour)},
		{ID: 1234567, State: audit.Running, Target: longName, Started: day.Add(-26 * time.Hour), Tag: "\x1b[31mred", Note: "two\nlines " + strings.Repeat("and more words of it ", 40)},
		{ID: 9, State: audit.Complete, Target: "example.org", Started: day.Add(-48 * time.Hour), Coverage: 100, Judged: 40, Unknown: 1},
		{ID: 8, State: audit.Complete, Target: "example.org", Started: day.Add(-72 * time.Hour), Coverage: 60, Judged: 30, Unknown: 14},
		{ID: 7, State: audit.Complete, Target: "example.org", Started: day.Add(-96 * time.Hour), Unknown: 22, Changed: true},
	}
	points, poor := 78, 43
	graded := slices.Clone(lines)
	graded[0].Score = audit.Score{Rubric: 1, Axes: map[audit.Axis]audit.AxisScore{
		audit.Delivery: {Points: &poor, Grade: audit.GradeD, Provisional: true}, audit.Protection: {Points: &poor, Grade: audit.GradeD, Provisional: true},
		audit.Privacy: {Points: &points, Grade: audit.GradeB, Provisional: true},
	}}
	graded[2].Score = audit.Score{Rubric: 1, Axes: map[audit.Axis]audit.AxisScore{
		audit.Delivery: {Points: &points, Grade: audit.GradeB}, audit.Protection: {Grade: audit.NoGrade, Provisional: true}, audit.Privacy: {Grade: audit.NoGrade},
	}}
	facts := load(t, "testdata/faults.json").Run.Snapshot.Facts
	domain, _, err := audit.ParseDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	asked := Asked{Resolvers: []string{"192.0.2.53", "tls://192.0.2.54#dns.example.net"}, Addresses: []string{"Spamhaus ZEN (zen.spamhaus.org)", "SpamCop (bl.spamcop.net)"}, Domains: []string{"Spamhaus DBL (dbl.spamhaus.org)"}}
	everything := audit.Scope{Areas: audit.Areas(), AllowNets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	dark := audit.Facts{MX: audit.MX{Records: audit.Dark[[]audit.MXRecord](audit.Reason{Code: audit.ServFail, Text: "192.0.2.53 answered SERVFAIL"}, "dig -t MX -q example.org")}}
	for _, c := range []struct {
		golden string
		write  func(*bytes.Buffer) error
	}{
		{"explain", func(b *bytes.Buffer) error {
			for _, r := range sampleRules(t) {
				err := Explain(b, r, false)
				if err != nil {
					return err
				}
				fmt.Fprintln(b, strings.Repeat("=", Width))
			}
			return nil
		}},
		{"rules", func(b *bytes.Buffer) error { return RuleList(b, sampleRules(t), false) }},
		{"runs", func(b *bytes.Buffer) error { return Runs(b, lines, false) }},
		{"runs-graded", func(b *bytes.Buffer) error { return Runs(b, graded, false) }},
		{"runs-none", func(b *bytes.Buffer) error { return Runs(b, nil, false) }},
		{"dry-run", func(b *bytes.Buffer) error { return DryRun(b, domain, everything, facts, asked) }},
		{"dry-run-passive", func(b *bytes.Buffer) error {
			return DryRun(b, domain, audit.Scope{Areas: audit.Areas(), Passive: true}, facts, asked)
		}},
		{"dry-run-dark", func(b *bytes.Buffer) error {
			return DryRun(b, domain, audit.Scope{Areas: []audit.Area{audit.AreaMX, audit.AreaSMTP}}, dark, asked)
		}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			var b bytes.Buffer
			err := c.write(&b)
			if err != nil {
				t.Fatal(err)
			}
			checkText(t, b.String(), false)
			compare(t, filepath.Join("testdata", "lists", c.golden+".txt"), b.String())
		})
	}
}

// TestGoldenSeveral does the same for several reports in one document.
func TestGoldenSeveral(t *testing.T) {
	var models []Model
	for _, name := range []string{"drift", "nullmx", "dark"} {
		e := load(t, "testdata/"+name+".json")
		models = append(models, Build(e.Run, e.Delta, e.History))
	}
	compare(t, filepath.Join("testdata", "lists", "several.md"), renderMarkdown(t, MarkdownOptions{Client: goldenClient}, models...))
	compare(t, filepath.Join("testdata", "lists", "several.html"), renderHTML(t, HTMLOptions{Client: goldenClient}, models...))
}

// TestInputsHaveAll keeps the inputs from losing what they are there for.
func TestInputsHaveAll(t *testing.T) {
	classes, causes, states := map[audit.Class]bool{}, map[audit.Code]bool{}, map[audit.RunState]bool{}
	var whats []string
	for _, file := range inputs(t) {
		e := load(t, file)
		states[e.Run.State] = true
		if strings.Contains(file, "hostile") {
			continue
		}
		for _, f := range e.Run.Findings {
			causes[f.Cause] = true
		}
		for _, c := range e.Delta.Changes {
			classes[c.Class] = true
		}
		for _, f := range e.Delta.Facts {
			whats = append(whats, f.What)
		}
	}
	for _, class := range []audit.Class{audit.Broken, audit.Fixed, audit.StillFailing, audit.Appeared, audit.Gone,
		audit.LostSight, audit.RegainedSight, audit.NewCheck, audit.Retired} {
		if !classes[class] {
			t.Errorf("no input has a change of class %q", class)
		}
	}
	for _, cause := range []audit.Code{audit.Timeout, audit.NoRoute, audit.ServFail, audit.TempFail, audit.NotLearned, audit.Interrupted, audit.Blocked} {
		if !causes[cause] {
			t.Errorf("no input is dark because of %q", cause)
		}
	}
	if !states[audit.Complete] || !states[audit.Aborted] {
		t.Errorf("states: %v", states)
	}
	for _, what := range []string{"MX", "A", "PTR", "greeting", "certificate"} {
		if !slices.Contains(whats, what) {
			t.Errorf("no input has a changed %s", what)
		}
	}
}
