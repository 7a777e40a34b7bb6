// Command gendocs writes docs/rules.md from the rule catalogue. It is run by
// "make docs", from the root of the repository; its test fails when the file
// is stale.
package main

import (
	"bytes"
	"fmt"
	"os"

	"mailaudit/internal/report"
)

const path = "docs/rules.md"

func main() {
	text, err := rulesDoc()
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

func rulesDoc() ([]byte, error) {
	var b bytes.Buffer
	err := report.RulesDoc(&b)
	return b.Bytes(), err
}
