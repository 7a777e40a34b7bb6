// Command newrule writes the skeleton of a rule: a literal at the end of the
// list of its area, and a case file. "make rule ID=tls.no-example" runs it,
// from the root of the repository. What it writes does not pass the tests
// until a person has filled it in.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"mailaudit/internal/rules"
)

func main() {
	err := run(os.Args[1:], ".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "newrule:", err)
		os.Exit(1)
	}
}

func run(args []string, root string) error {
	if len(args) != 1 || !regexp.MustCompile(`^[a-z0-9-]+\.[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(args[0]) {
		return fmt.Errorf("usage: make rule ID=area.name-of-the-fault")
	}
	id := args[0]
	area, name, _ := strings.Cut(id, ".")
	source := filepath.Join(root, "internal", "rules", area+".go")
	cases := filepath.Join(root, "internal", "rules", "testdata", area, name+".txt")
	old, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("there is no area %q: %w", area, err)
	}
	if strings.Contains(string(old), `"`+id+`"`) {
		return fmt.Errorf("%s is in %s already", id, source)
	}
	changed, err := insert(string(old), id)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	err = os.MkdirAll(filepath.Dir(cases), 0o755)
	if err != nil {
		return err
	}
	err = os.WriteFile(cases, []byte(caseFile(id)), 0o644)
	if err != nil {
		return err
	}
	err = os.WriteFile(source, []byte(changed), 0o644)
	if err != nil {
		return err
	}
	fmt.Printf("now fill in:\n  %s\n  %s\nthen: go test ./internal/rules && make docs\n", source, cases)
	return nil
}

// insert puts the literal behind the last one of the list, which ends with the
// first line "\t}}" of the file, and an empty judge at the end.
func insert(source, id string) (string, error) {
	const end = "\n\t}}\n}\n"
	i := strings.Index(source, end)
	if i < 0 {
		return "", fmt.Errorf("the list of rules has an unusual end")
	}
	judge := "judge" + camel(id)
	literal := fmt.Sprintf(`
	}, {
		ID: %q, Axis: audit.Delivery, Since: %q, Severity: audit.Low,
		Title: "",
		Refs:  []Ref{{"RFC ", ""}},
		Why:   "",
		Fix:   "",
		Judge: %s,`, id, rules.Version, judge)
	body := fmt.Sprintf(`
func %s(s *audit.Snapshot, r *Report) {
	r.Unknown(s.Domain.String(), audit.Reason{Code: audit.Bug, Text: "this rule is not written yet"})
}
`, judge)
	return source[:i] + literal + source[i:] + body, nil
}

func camel(id string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(id, func(r rune) bool { return r == '.' || r == '-' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func caseFile(id string) string {
	return fmt.Sprintf(`# Why %s has these cases.
case the good world
want pass

case the fault
PATH = VALUE
want SUBJECT fail low

case not known
PATH = unknown timeout
want SUBJECT unknown
`, id)
}
