package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestRulesDocIsFresh(t *testing.T) {
	have, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	want, err := rulesDoc()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is stale: run make docs", path)
	}
}
