package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// outputFormat is a form that results can have.
type outputFormat struct {
	name       string
	extensions []string // names of files that end so ask for it
	lists      bool     // lists (of runs, of rules, of changes) have it, too
	use        string   // what it is for
}

// formatTable is all there is to know about the formats; the first one is for
// those who name none.
func formatTable() []outputFormat {
	return []outputFormat{
		{"text", []string{".txt"}, true, "for people at a terminal, 80 columns wide"},
		{"json", []string{".json"}, true, "for programs: one document with all there is, as docs/json.md describes it"},
		{"jsonl", []string{".jsonl", ".ndjson"}, false, "for programs: a run a line, as in JSON"},
		{"md", []string{".md", ".markdown"}, false, "for tickets, wikis and mail: a document in Markdown"},
		{"html", []string{".html", ".htm"}, false, "for people who were not there: one file for a browser and for paper, without scripts"},
	}
}

// formats are the names of those of lists; a run can be shown in more of them.
func formats() []string {
	var out []string
	for _, f := range formatTable() {
		if f.lists {
			out = append(out, f.name)
		}
	}
	return out
}

// runFormats are the names of all of them.
func runFormats() []string {
	var out []string
	for _, f := range formatTable() {
		out = append(out, f.name)
	}
	return out
}

// formatOf is the format that the name of a file asks for, or otherwise.
func formatOf(path, otherwise string) string {
	for _, f := range formatTable() {
		if slices.Contains(f.extensions, strings.ToLower(filepath.Ext(path))) {
			return f.name
		}
	}
	return otherwise
}
