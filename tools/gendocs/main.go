// Command gendocs writes docs/rules.md from the rule catalogue,
// docs/refusals.md from the table of refusals and
// docs/scoring.md from the rubric. It is run by "make docs", from the root of
// the repository; its tests fail when a file is stale.
package main

import (
	"bytes"
	"fmt"
	"os"

	"mailaudit/internal/report"
)

// document is one generated file.
type document struct {
	path string
	text func() ([]byte, error)
}

func documents() []document {
	return []document{{"docs/rules.md", rulesDoc}, {"docs/refusals.md", refusalsDoc}, {"docs/scoring.md", scoringDoc}}
}

func main() {
	for _, d := range documents() {
		text, err := d.text()
		if err == nil {
			err = os.WriteFile(d.path, text, 0o644)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "gendocs: %s: %v\n", d.path, err)
			os.Exit(1)
		}
	}
}

func rulesDoc() ([]byte, error) {
	var b bytes.Buffer
	err := report.RulesDoc(&b)
	return b.Bytes(), err
}

func refusalsDoc() ([]byte, error) {
	var b bytes.Buffer
	err := report.RefusalsDoc(&b)
	return b.Bytes(), err
}
