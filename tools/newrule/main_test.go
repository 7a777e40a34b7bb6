package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScaffoldOfEveryArea(t *testing.T) {
	for _, area := range []string{"mx", "rdns", "smtp", "tls"} {
		root := t.TempDir()
		dir := filepath.Join(root, "internal", "rules")
		err := os.MkdirAll(dir, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(filepath.Join("..", "..", "internal", "rules", area+".go"))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, area+".go")
		err = os.WriteFile(path, source, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		id := area + ".made-up-fault"
		err = run([]string{id}, root)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parser.ParseFile(token.NewFileSet(), path, changed, 0)
		if err != nil {
			t.Errorf("%s: the scaffold does not parse: %v", area, err)
		}
		if strings.Count(string(changed), `"`+id+`"`) != 1 {
			t.Errorf("%s: the literal is not there once", area)
		}
		_, err = os.Stat(filepath.Join(dir, "testdata", area, "made-up-fault.txt"))
		if err != nil {
			t.Error(err)
		}
		if run([]string{id}, root) == nil {
			t.Errorf("%s: the same rule was written twice", area)
		}
	}
}

func TestBadIDs(t *testing.T) {
	for _, args := range [][]string{nil, {"mx"}, {"mx.Upper"}, {"mx.a b"}, {"../x.y"}, {"nowhere.fault"}, {"mx.a", "mx.b"}} {
		if run(args, t.TempDir()) == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
