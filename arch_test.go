package mailaudit_test

// The architecture as a test. Each wall is a small function over parsed
// source; TestWalls holds it against the tree, and TestWallsCanFail against
// samples that it must report, because a wall that cannot fail protects
// nothing. Source is parsed, not compiled: files of every operating system are
// read, and a package that does not build for the moment is still checked.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "mailaudit"

// The limits of the house style: the best trees of this field keep 90 of 100
// files under 400 lines, and no function over 100.
const (
	maxFuncLines = 70
	maxFileLines = 400
	maxFanOut    = 3 // packages of ours that one package imports
)

// importTable says which packages of ours each package may import. A package
// without a row may not exist. "*" is all of them.
func importTable() map[string][]string {
	return map[string][]string{
		".":                 {},
		"internal/audit":    {},
		"internal/rules":    {"internal/audit"},
		"internal/dial":     {"internal/audit"},
		"internal/recent":   {},
		"internal/resolve":  {"internal/audit", "internal/dial", "internal/recent"},
		"internal/fetch":    {"internal/audit", "internal/dial"},
		"internal/dnscheck": {"internal/audit", "internal/resolve", "internal/fetch"},
		"internal/dnsbl":    {"internal/audit", "internal/dial", "internal/resolve"},
		"internal/smtp":     {"internal/audit", "internal/dial"},
		"internal/collect": {"internal/audit", "internal/dial", "internal/resolve", "internal/fetch",
			"internal/dnscheck", "internal/dnsbl", "internal/smtp", "internal/recent"},
		"internal/store":   {"internal/audit", "."},
		"internal/auditor": {"internal/audit", "internal/collect", "internal/rules", "internal/store"},
		"internal/report":  {"internal/audit", "internal/rules"},
		"internal/lab":     {"internal/audit"},
		"cmd/mailaudit":    {"*"},
		"tools/newrule":    {"internal/rules"},
		"tools/gendocs":    {"internal/rules", "internal/audit", "internal/report"},
		"tools/bench":      {"internal/lab"},
		"test/integration": {},
	}
}

// Exceptions, each with its reason. They are empty: keep them so.
func stateExceptions() map[string]string { return map[string]string{} } // "dir.name": reason
func longFiles() map[string]string       { return map[string]string{} } // path of a file of tables only: reason
func anyExceptions() map[string]string   { return map[string]string{} } // "dir.Func": reason

// source is one parsed Go file.
type source struct {
	path  string // slash-separated, from the root
	text  []byte
	fset  *token.FileSet
	file  *ast.File
	lines int
}

func parse(name string, text []byte) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	return source{name, text, fset, file, bytes.Count(text, []byte("\n"))}, nil
}

func (s source) dir() string  { return path.Dir(s.path) }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }
func (s source) isMain() bool { return s.file.Name.Name == "main" }
func (s source) line(p token.Pos) int {
	return s.fset.Position(p).Line
}

// at is one problem, in the form in which editors jump to it.
func (s source) at(p token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", s.path, s.line(p), fmt.Sprintf(format, args...))
}

// imported is one import: its path, and the name it has in this file.
type imported struct {
	path, name string
	pos        token.Pos
}

func (s source) imports() []imported {
	var out []imported
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser refuses such a file
		}
		name := path.Base(p)
		if name == "v2" { // the last element that is a name: github.com/urfave/cli/v2
			name = path.Base(path.Dir(p))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		out = append(out, imported{p, name, spec.Pos()})
	}
	return out
}

// ours is the directory of a package of this module, and whether it is one.
func ours(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// mentions lists every "package.Name" of the package importPath in the file.
func (s source) mentions(importPath string) []mention {
	var out []mention
	for _, imp := range s.imports() {
		if imp.path != importPath {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && x.Name == imp.name {
				out = append(out, mention{sel.Sel.Name, sel.Pos()})
			}
			return true
		})
	}
	return out
}

type mention struct {
	name string
	pos  token.Pos
}

// wall is one rule about the tree.
type wall struct {
	name  string
	check func([]source) []string
}

func walls() []wall {
	return []wall{
		{"imports follow the table", each(notTests(wallTable))},
		{"few imports of ours", wallFanOut},
		{"foreign modules stay in their place", each(notTests(wallForeign))},
		{"no dot imports, no cgo, no testing", each(wallImportForms)},
		{"only commands exit", each(notTests(wallExit))},
		{"one door out", each(notTests(wallDial))},
		{"no hidden lookups", each(wallLookup)},
		{"judges have no clock", each(notTests(wallClock))},
		{"no init", each(wallInit)},
		{"no package-level state", each(notTests(wallState))},
		{"short functions", each(notTests(wallFuncLength))},
		{"short files", each(notTests(wallFileLength))},
		{"one door to values", each(notTests(wallValue))},
		{"no any between stages", each(notTests(wallAny))},
		{"package comments", wallPackageComment},
	}
}

// each makes a wall of a check of one file.
func each(check func(source) []string) func([]source) []string {
	return func(tree []source) []string {
		var out []string
		for _, s := range tree {
			out = append(out, check(s)...)
		}
		return out
	}
}

func notTests(check func(source) []string) func(source) []string {
	return func(s source) []string {
		if s.isTest() {
			return nil
		}
		return check(s)
	}
}

func wallTable(s source) []string {
	allowed, ok := importTable()[s.dir()]
	if !ok {
		return []string{s.at(s.file.Package, "package %s has no row in the import table of arch_test.go", s.dir())}
	}
	var out []string
	for _, imp := range s.imports() {
		dir, is := ours(imp.path)
		if is && !slices.Contains(allowed, "*") && !slices.Contains(allowed, dir) {
			out = append(out, s.at(imp.pos, "%s may not import %s: see the import table", s.dir(), imp.path))
		}
	}
	return out
}

func wallFanOut(tree []source) []string {
	imports := map[string][]string{}
	for _, s := range tree {
		for _, imp := range s.imports() {
			dir, is := ours(imp.path)
			if is && !s.isTest() && !slices.Contains(imports[s.dir()], dir) {
				imports[s.dir()] = append(imports[s.dir()], dir)
			}
		}
	}
	exempt := []string{"cmd/mailaudit", "internal/collect", "internal/auditor"} // they tie the rest together
	var out []string
	for dir, list := range imports {
		if len(list) > maxFanOut && !slices.Contains(exempt, dir) {
			slices.Sort(list)
			out = append(out, fmt.Sprintf("%s imports %d packages of ours (%s); %d are the limit", dir, len(list), strings.Join(list, ", "), maxFanOut))
		}
	}
	return out
}

func wallForeign(s source) []string {
	homes := map[string][]string{
		"github.com/urfave/cli/v2": {"cmd/mailaudit"},
		"github.com/miekg/dns":     {"internal/resolve", "internal/dnscheck", "internal/dnsbl", "internal/lab"},
		// Of tests alone: another SPF, to compare ours with, and the language of
		// the conformance suites that come with it.
		"blitiri.com.ar/go/spf": nil,
		"go.yaml.in/yaml/v3":    nil,
	}
	var out []string
	for _, imp := range s.imports() {
		for foreign, dirs := range homes {
			inside := imp.path == foreign || strings.HasPrefix(imp.path, foreign+"/")
			if inside && dirs == nil {
				out = append(out, s.at(imp.pos, "%s is for tests alone", imp.path))
				continue
			}
			if inside && !slices.Contains(dirs, s.dir()) {
				out = append(out, s.at(imp.pos, "%s belongs to %s alone", imp.path, strings.Join(dirs, ", ")))
			}
		}
	}
	return out
}

// wallImportForms keeps away what would blind the other walls (dot imports),
// what would end the cross-builds (cgo), and test code in the program.
func wallImportForms(s source) []string {
	var out []string
	for _, imp := range s.imports() {
		switch {
		case imp.name == ".":
			out = append(out, s.at(imp.pos, "dot import of %s: other walls cannot see through it", imp.path))
		case imp.path == "C":
			out = append(out, s.at(imp.pos, "cgo: every platform builds with CGO_ENABLED=0"))
		case !s.isTest() && (imp.path == "testing" || strings.HasPrefix(imp.path, "testing/")):
			out = append(out, s.at(imp.pos, "%s outside of tests", imp.path))
		}
	}
	return out
}

// wallExit lets main packages alone end the process: deferred calls, the
// store's transactions among them, do not run.
func wallExit(s source) []string {
	if s.isMain() && (strings.HasPrefix(s.dir(), "cmd/") || strings.HasPrefix(s.dir(), "tools/")) {
		return nil
	}
	out := forbid(s, "os", "only cmd ends the process; return an error", func(name string) bool { return name == "Exit" })
	return append(out, forbid(s, "log", "only cmd ends the process; return an error", func(name string) bool {
		return strings.HasPrefix(name, "Fatal")
	})...)
}

// forbid reports mentions of importPath whose name is bad.
func forbid(s source, importPath, why string, bad func(name string) bool) []string {
	var out []string
	for _, m := range s.mentions(importPath) {
		if bad(m.name) {
			out = append(out, s.at(m.pos, "%s.%s: %s", path.Base(importPath), m.name, why))
		}
	}
	return out
}

// wallDial: a connection that does not go through internal/dial has no address
// guard, no budget and no manners. Methods of http.Client and dns.Client hide
// a dialer of their own.
func wallDial(s source) []string {
	if s.dir() == "internal/dial" || s.dir() == "tools/bench" { // which serves, in a namespace of its own
		return nil
	}
	const why = "only internal/dial opens connections"
	dials := func(name string) bool { return strings.HasPrefix(name, "Dial") || strings.HasPrefix(name, "Listen") }
	out := forbid(s, "net", why, dials)
	out = append(out, forbid(s, "crypto/tls", why, dials)...)
	out = append(out, forbid(s, "net/http", why, func(name string) bool {
		return slices.Contains([]string{"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport"}, name)
	})...)
	return append(out, forbid(s, "github.com/miekg/dns", why, func(name string) bool {
		return dials(name) || strings.HasPrefix(name, "Exchange") || name == "Client"
	})...)
}

// wallLookup: the resolver of package net hides NXDOMAIN, TTLs and SERVFAIL,
// and asks servers that the user did not name.
func wallLookup(s source) []string {
	return forbid(s, "net", "only internal/resolve asks DNS", func(name string) bool {
		addr := strings.HasPrefix(name, "Resolve") && strings.HasSuffix(name, "Addr")
		return strings.HasPrefix(name, "Lookup") || name == "Resolver" || name == "DefaultResolver" || addr && !s.isTest()
	})
}

func wallClock(s source) []string {
	if !slices.Contains([]string{"internal/audit", "internal/rules", "internal/report"}, s.dir()) {
		return nil
	}
	return forbid(s, "time", "judging and reporting take the time as a value", func(name string) bool {
		return name == "Now" || name == "Since" || name == "Until"
	})
}

func wallInit(s source) []string {
	var out []string
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Recv == nil && f.Name.Name == "init" {
			out = append(out, s.at(f.Pos(), "init runs unseen; call a function"))
		}
	}
	return out
}

// wallState allows package-level variables that nobody has a reason to write:
// sentinel errors, embedded files and interface assertions.
func wallState(s source) []string {
	var out []string
	for _, d := range s.file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		for _, sp := range decl.Specs {
			spec := sp.(*ast.ValueSpec)
			if embeds(spec.Doc) || !decl.Lparen.IsValid() && embeds(decl.Doc) {
				continue
			}
			for i, name := range spec.Names {
				_, excepted := stateExceptions()[s.dir()+"."+name.Name]
				if excepted || name.Name == "_" || len(spec.Values) == len(spec.Names) && s.isSentinel(spec.Values[i]) {
					continue
				}
				out = append(out, s.at(name.Pos(), "package-level var %s: pass it, or make it a const or a function", name.Name))
			}
		}
	}
	return out
}

func embeds(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// isSentinel reports whether the value is an error made on the spot.
func (s source) isSentinel(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	is := func(m mention) bool { return m.pos == sel.Pos() && (m.name == "New" || m.name == "Errorf") }
	return slices.ContainsFunc(s.mentions("errors"), is) || slices.ContainsFunc(s.mentions("fmt"), is)
}

// wallFuncLength measures functions and function literals. A function that
// does nothing but return a table is no long function, but the functions in
// its table may be.
func wallFuncLength(s source) []string {
	var out []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		name, table := "function literal", false
		switch f := n.(type) {
		case *ast.FuncDecl:
			name, table = "func "+f.Name.Name, isTable(f)
		case *ast.FuncLit:
		default:
			return true
		}
		lines := s.line(n.End()) - s.line(n.Pos()) + 1
		if lines > maxFuncLines && !table {
			out = append(out, s.at(n.Pos(), "%s has %d lines; %d are the limit", name, lines, maxFuncLines))
		}
		return true
	})
	return out
}

func isTable(f *ast.FuncDecl) bool {
	if f.Body == nil || len(f.Body.List) != 1 {
		return false
	}
	ret, ok := f.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return false
	}
	_, ok = ret.Results[0].(*ast.CompositeLit)
	return ok
}

func wallFileLength(s source) []string {
	_, excepted := longFiles()[s.path]
	if excepted || s.lines <= maxFileLines {
		return nil
	}
	return []string{fmt.Sprintf("%s:%d: the file has %d lines; %d are the limit", s.path, maxFileLines, s.lines, maxFileLines)}
}

// wallValue: rules.Need is the only door to the value of an observation. A
// rule that reads .Value itself forgets that it may be unknown.
func wallValue(s source) []string {
	if s.dir() != "internal/rules" || path.Base(s.path) == "need.go" {
		return nil
	}
	var out []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if ok && sel.Sel.Name == "Value" {
			out = append(out, s.at(sel.Sel.Pos(), ".Value outside need.go: use Need"))
		}
		return true
	})
	return out
}

// wallAny looks at exported functions, methods and interfaces. The last
// parameter of a function in the manner of Printf is text, not data.
func wallAny(s source) []string {
	if !strings.HasPrefix(s.dir(), "internal/") {
		return nil
	}
	var out []string
	check := func(name string, f *ast.FuncType) {
		_, excepted := anyExceptions()[s.dir()+"."+name]
		if excepted || !ast.IsExported(name) {
			return
		}
		for _, list := range []*ast.FieldList{f.Params, f.Results} {
			for _, pos := range anys(list, strings.HasSuffix(name, "f")) {
				out = append(out, s.at(pos, "any in the exported signature of %s: name the type", name))
			}
		}
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			check(d.Name.Name, d.Type)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				checkType(spec, check)
			}
		}
	}
	return out
}

// checkType calls check for an exported function type and for the methods of
// an exported interface.
func checkType(spec ast.Spec, check func(string, *ast.FuncType)) {
	t, ok := spec.(*ast.TypeSpec)
	if !ok || !t.Name.IsExported() {
		return
	}
	switch t2 := t.Type.(type) {
	case *ast.FuncType:
		check(t.Name.Name, t2)
	case *ast.InterfaceType:
		for _, m := range t2.Methods.List {
			f, ok := m.Type.(*ast.FuncType)
			if ok && len(m.Names) == 1 {
				check(m.Names[0].Name, f)
			}
		}
	}
}

// anys is where a parameter list says any or interface{}.
func anys(list *ast.FieldList, printf bool) []token.Pos {
	var out []token.Pos
	if list == nil {
		return nil
	}
	for _, field := range list.List {
		_, variadic := field.Type.(*ast.Ellipsis)
		if variadic && printf {
			continue
		}
		ast.Inspect(field.Type, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if n.Name == "any" {
					out = append(out, n.Pos())
				}
			case *ast.InterfaceType:
				if len(n.Methods.List) == 0 {
					out = append(out, n.Pos())
				}
			}
			return true
		})
	}
	return out
}

func wallPackageComment(tree []source) []string {
	has := map[string]bool{}
	for _, s := range tree {
		if s.isTest() || !strings.HasPrefix(s.dir(), "internal/") {
			continue
		}
		doc := s.file.Doc != nil && strings.HasPrefix(s.file.Doc.Text(), "Package "+s.file.Name.Name+" ")
		has[s.dir()] = has[s.dir()] || doc
	}
	var out []string
	for dir, ok := range has {
		if !ok {
			out = append(out, fmt.Sprintf("%s has no package comment that begins with %q", dir, "Package "+path.Base(dir)))
		}
	}
	return out
}

// TestWalls holds every wall against the tree.
func TestWalls(t *testing.T) {
	tree := loadTree(t)
	for _, w := range walls() {
		t.Run(w.name, func(t *testing.T) {
			for _, problem := range w.check(tree) {
				t.Error(problem)
			}
		})
	}
}

// loadTree parses every Go file of the module, whatever its build tags.
func loadTree(t *testing.T) []source {
	t.Helper()
	var tree []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := name != "." && (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_"))
		if d.IsDir() && (hidden || d.Name() == "testdata") { // as the go command does
			return filepath.SkipDir
		}
		if d.IsDir() || hidden || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(name), text)
		if err != nil {
			return err
		}
		tree = append(tree, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// listed is what the go command knows of a package of ours.
type listed struct {
	ImportPath string
	Deps       []string // transitive, without those of tests
	Error      *struct{ Err string }
}

// goCommand runs the go command offline and returns its output.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOTOOLCHAIN=local")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// decodeStream reads the concatenated JSON values that go list prints.
func decodeStream[T any](t *testing.T, data []byte) []T {
	t.Helper()
	var out []T
	dec := json.NewDecoder(bytes.NewReader(data))
	for dec.More() {
		var v T
		err := dec.Decode(&v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// wallReach: what judges cannot reach the network, certificates or a database,
// not even through somebody else.
func wallReach(pkgs []listed) []string {
	var out []string
	for _, dir := range []string{"internal/audit", "internal/rules"} {
		i := slices.IndexFunc(pkgs, func(p listed) bool { return p.ImportPath == module+"/"+dir })
		if i < 0 {
			out = append(out, fmt.Sprintf("%s: the go command does not list it", dir))
			continue
		}
		if pkgs[i].Error != nil {
			out = append(out, fmt.Sprintf("%s: %s", dir, pkgs[i].Error.Err))
		}
		for _, far := range []string{"net", "crypto/tls", "crypto/x509", "database/sql"} {
			if slices.Contains(pkgs[i].Deps, far) {
				out = append(out, fmt.Sprintf("%s reaches %s", dir, far))
			}
		}
	}
	return out
}

func TestJudgesReachNothing(t *testing.T) {
	pkgs := decodeStream[listed](t, goCommand(t, "list", "-e", "-json=ImportPath,Deps,Error", "./internal/audit", "./internal/rules"))
	for _, problem := range wallReach(pkgs) {
		t.Error(problem)
	}
}

// modFile is what we need of a go.mod, as go mod edit -json prints it.
type modFile struct {
	Require []struct{ Path, Version string }
	Replace []struct{ Old struct{ Path string } }
}

func (m modFile) version(modulePath string) string {
	for _, r := range m.Require {
		if r.Path == modulePath {
			return r.Version
		}
	}
	return ""
}

// wallReplace: a replace directive works on one machine.
func wallReplace(m modFile) []string {
	var out []string
	for _, r := range m.Replace {
		out = append(out, fmt.Sprintf("go.mod replaces %s", r.Old.Path))
	}
	return out
}

// wallLibc: modernc.org/sqlite is generated C that works with exactly one
// version of modernc.org/libc, the one its own go.mod names.
func wallLibc(chosen string, sqlite modFile) []string {
	want := sqlite.version("modernc.org/libc")
	if chosen == want && want != "" {
		return nil
	}
	return []string{fmt.Sprintf("modernc.org/libc is at %q; modernc.org/sqlite wants exactly %q", chosen, want)}
}

func readMod(t *testing.T, name string) modFile {
	t.Helper()
	var m modFile
	err := json.Unmarshal(goCommand(t, "mod", "edit", "-json", name), &m)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestModule(t *testing.T) {
	mod := readMod(t, "go.mod")
	for _, problem := range wallReplace(mod) {
		t.Error(problem)
	}
	// The file in the module cache, and not go list -m: that one wants to know
	// the date of the version as well, which a build does not download.
	cache := strings.TrimSpace(string(goCommand(t, "env", "GOMODCACHE")))
	sqlite := filepath.Join(cache, "cache", "download", "modernc.org", "sqlite", "@v", mod.version("modernc.org/sqlite")+".mod")
	for _, problem := range wallLibc(mod.version("modernc.org/libc"), readMod(t, sqlite)) {
		t.Error(problem)
	}
}

// wallWorkshop: the repository stands alone; folders that only the machine
// has on which it was written are not in any clone.
func wallWorkshop(name string, text []byte) []string {
	var out []string
	for _, place := range []string{"../" + "shared", "/" + "work/"} { // in two pieces, to pass this very test
		before, _, found := bytes.Cut(text, []byte(place))
		if found {
			out = append(out, fmt.Sprintf("%s:%d: mentions %s", name, bytes.Count(before, []byte("\n"))+1, place))
		}
	}
	return out
}

func TestStandsAlone(t *testing.T) {
	for _, name := range repositoryFiles(t) {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range wallWorkshop(name, text) {
			t.Error(problem)
		}
	}
}

// repositoryFiles lists what is tracked or would be. Where git cannot say, as
// in an unpacked archive, it is every file.
func repositoryFiles(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err == nil && len(out) > 0 {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	var names []string
	err = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// sample is one file that a wall must report, or must let pass.
type sample struct {
	wall string
	path string
	text string // a package clause is put before it when it has none
	want string // part of the problem; "" lets it pass
}

func samples() []sample {
	long := strings.Repeat("\t_ = 0\n", maxFuncLines)
	return []sample{
		{"imports follow the table", "internal/audit/a.go", `import "mailaudit/internal/rules"`, "may not import mailaudit/internal/rules"},
		{"imports follow the table", "internal/dial/a.go", `import "mailaudit"`, "may not import mailaudit"},
		{"imports follow the table", "internal/surprise/a.go", ``, "no row in the import table"},
		{"imports follow the table", "internal/audit/a_test.go", `import "mailaudit/internal/lab"`, ""},
		{"imports follow the table", "internal/store/a.go", `import "mailaudit"`, ""},
		{"imports follow the table", "cmd/mailaudit/a.go", `import "mailaudit/internal/store"`, ""},

		{"few imports of ours", "internal/report/a.go", `import ("mailaudit/a"; "mailaudit/b"; "mailaudit/c"; "mailaudit/d")`, "4 packages of ours (a, b, c, d)"},
		{"few imports of ours", "internal/report/a.go", `import ("mailaudit/a"; "mailaudit/b"; "mailaudit/c"; "fmt")`, ""},
		{"few imports of ours", "internal/collect/a.go", `import ("mailaudit/a"; "mailaudit/b"; "mailaudit/c"; "mailaudit/d")`, ""},

		{"foreign modules stay in their place", "internal/report/a.go", `import "github.com/urfave/cli/v2"`, "belongs to cmd/mailaudit alone"},
		{"foreign modules stay in their place", "internal/smtp/a.go", `import "github.com/miekg/dns/dnsutil"`, "belongs to internal/resolve"},
		{"foreign modules stay in their place", "internal/resolve/a.go", `import "github.com/miekg/dns"`, ""},
		{"foreign modules stay in their place", "internal/dnscheck/a.go", `import "blitiri.com.ar/go/spf"`, "is for tests alone"},
		{"foreign modules stay in their place", "internal/dnscheck/a_test.go", `import "blitiri.com.ar/go/spf"`, ""},

		{"no dot imports, no cgo, no testing", "internal/dial/a.go", `import . "net"`, "dot import of net"},
		{"no dot imports, no cgo, no testing", "internal/dial/a.go", `import "C"`, "cgo"},
		{"no dot imports, no cgo, no testing", "internal/lab/a.go", `import "testing/synctest"`, "testing/synctest outside of tests"},
		{"no dot imports, no cgo, no testing", "internal/lab/a_test.go", `import "testing"`, ""},

		{"only commands exit", "internal/store/a.go", `import "os"; func f() { os.Exit(1) }`, "os.Exit"},
		{"only commands exit", "internal/store/a.go", `import system "os"; func f() { system.Exit(1) }`, "os.Exit"},
		{"only commands exit", "internal/store/a.go", `import "log"; func f() { log.Fatalf("") }`, "log.Fatalf"},
		{"only commands exit", "cmd/mailaudit/main.go", `package main; import "os"; func f() { os.Exit(1) }`, ""},

		{"one door out", "internal/smtp/a.go", `import "net"; var d net.Dialer`, "net.Dialer"},
		{"one door out", "internal/lab/a.go", `import "net"; func f() { net.ListenPacket("udp", "") }`, "net.ListenPacket"},
		{"one door out", "internal/smtp/a.go", `import "crypto/tls"; func f() { tls.DialWithDialer(nil, "", "", nil) }`, "tls.DialWithDialer"},
		{"one door out", "internal/fetch/a.go", `import "net/http"; var c = http.DefaultClient`, "http.DefaultClient"},
		{"one door out", "internal/dnsbl/a.go", `import "github.com/miekg/dns"; var c dns.Client`, "dns.Client"},
		{"one door out", "internal/dial/a.go", `import "net"; func f() { net.Dial("tcp", "") }`, ""},
		{"one door out", "internal/lab/a.go", `import "net"; func f(c net.Conn) { c.Close() }`, ""},
		{"one door out", "internal/lab/a_test.go", `import "net"; func f() { net.Listen("tcp", "") }`, ""},

		{"no hidden lookups", "internal/dial/a.go", `import "net"; func f() { net.LookupHost("") }`, "net.LookupHost"},
		{"no hidden lookups", "cmd/mailaudit/a_test.go", `import "net"; var r net.Resolver`, "net.Resolver"},
		{"no hidden lookups", "internal/dial/a.go", `import "net"; func f() { net.ResolveTCPAddr("", "") }`, "net.ResolveTCPAddr"},

		{"judges have no clock", "internal/rules/a.go", `import "time"; var f = time.Now`, "time.Now"},
		{"judges have no clock", "internal/report/a.go", `import "time"; func f(t time.Time) { time.Since(t) }`, "time.Since"},
		{"judges have no clock", "internal/smtp/a.go", `import "time"; var f = time.Now`, ""},

		{"no init", "internal/rules/a.go", `func init() {}`, "init runs unseen"},
		{"no init", "internal/rules/a.go", `type t int; func (t) init() {}`, ""},

		{"no package-level state", "internal/dial/a.go", `var cache = map[string]int{}`, "var cache"},
		{"no package-level state", "internal/dial/a.go", `var n int`, "var n"},
		{"no package-level state", "internal/dial/a.go", "var (\n\ta = errors.New(\"\")\n)", "var a"}, // errors is not imported
		{"no package-level state", "internal/dial/a.go", "//go:embed x\nvar (\n\ta = 1\n)", "var a"},
		{"no package-level state", "internal/dial/a.go", `import "errors"; var a, b = errors.New(""), f()`, "var b"},
		{"no package-level state", "internal/dial/a.go", `import "errors"; var ErrA = errors.New("")`, ""},
		{"no package-level state", "internal/dial/a.go", `import "fmt"; var ErrA = fmt.Errorf("%w", nil)`, ""},
		{"no package-level state", "internal/dial/a.go", `var _ Network = system{}`, ""},
		{"no package-level state", "schema.go", "//go:embed schema.sql\nvar Schema string", ""},
		{"no package-level state", "schema.go", "var (\n\t// The schema.\n\t//\n\t//go:embed schema.sql\n\tSchema string\n)", ""},

		{"short functions", "internal/dial/a.go", "func f() {\n" + long + "}", "func f has 72 lines"},
		{"short functions", "internal/dial/a.go", "var f = func() {\n" + long + "}", "function literal has 72 lines"},
		{"short functions", "internal/dial/a.go", "func f() []func() {\n\treturn []func(){\nfunc() {\n" + long + "}}}", "function literal has 72 lines"},
		{"short functions", "internal/dial/a.go", "func f() []int {\n\treturn []int{\n" + strings.Repeat("1,\n", 2*maxFuncLines) + "}}", ""},

		{"short files", "internal/dial/a.go", strings.Repeat("\n", maxFileLines), "the file has 401 lines"},
		{"short files", "internal/dial/a_test.go", strings.Repeat("\n", maxFileLines), ""},

		{"one door to values", "internal/rules/mx.go", `func f(s S) { _ = s.MX.Value }`, ".Value outside need.go"},
		{"one door to values", "internal/rules/need.go", `func f(s S) { _ = s.MX.Value }`, ""},
		{"one door to values", "internal/rules/mx.go", `func f() R { return R{Value: 1} }`, ""},

		{"no any between stages", "internal/store/a.go", `func Save(x any) {}`, "signature of Save"},
		{"no any between stages", "internal/store/a.go", `func Load() map[string]interface{} { return nil }`, "signature of Load"},
		{"no any between stages", "internal/store/a.go", `type Sink interface { Put(...any) }`, "signature of Put"},
		{"no any between stages", "internal/store/a.go", `type Handler func(any)`, "signature of Handler"},
		{"no any between stages", "internal/store/a.go", `func See[T any](v T) {}; func save(x any) {}`, ""},
		{"no any between stages", "internal/rules/a.go", `func (r *Report) Failf(format string, args ...any) {}`, ""},
		{"no any between stages", "internal/store/a.go", `func Write(w interface{ Flush() }) {}`, ""},

		{"package comments", "internal/dial/a.go", `// Something else.`, "internal/dial has no package comment"},
		{"package comments", "internal/dial/a.go", "// Package dial is the one door out.\npackage dial", ""},
	}
}

// TestWallsCanFail shows each wall what it is there to keep out.
func TestWallsCanFail(t *testing.T) {
	reports := map[string]bool{}
	for _, c := range samples() {
		i := slices.IndexFunc(walls(), func(w wall) bool { return w.name == c.wall })
		if i < 0 {
			t.Fatalf("sample for a wall that does not exist: %q", c.wall)
		}
		text := c.text
		if !strings.Contains(text, "package ") || strings.HasPrefix(text, "//go:embed") {
			text = "package p\n" + text
		}
		s, err := parse(c.path, []byte(text))
		if err != nil {
			t.Fatalf("sample %q: %v", c.text, err)
		}
		got := strings.Join(walls()[i].check([]source{s}), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s: %.80q\n got %q\nwant %q", c.wall, c.path, c.text, got, c.want)
		}
		reports[c.wall] = reports[c.wall] || c.want != ""
	}
	for _, w := range walls() {
		if !reports[w.name] {
			t.Errorf("no sample shows that the wall %q can fail", w.name)
		}
	}
}

// TestModuleWallsCanFail does the same for the walls that read no source.
func TestModuleWallsCanFail(t *testing.T) {
	var sqlite modFile
	err := json.Unmarshal([]byte(`{"Require":[{"Path":"modernc.org/libc","Version":"v1.2.3"}],"Replace":[{"Old":{"Path":"example.org/x"}}]}`), &sqlite)
	if err != nil {
		t.Fatal(err)
	}
	judges := func(deps ...string) []listed {
		return []listed{{ImportPath: "mailaudit/internal/audit", Deps: deps}, {ImportPath: "mailaudit/internal/rules"}}
	}
	cases := []struct {
		name string
		got  []string
		want string // "" lets it pass
	}{
		{"replace", wallReplace(sqlite), "replaces example.org/x"},
		{"no replace", wallReplace(modFile{}), ""},
		{"other libc", wallLibc("v1.2.4", sqlite), `is at "v1.2.4"`},
		{"no libc", wallLibc("", modFile{}), "wants exactly"},
		{"same libc", wallLibc("v1.2.3", sqlite), ""},
		{"reaches net", wallReach(judges("fmt", "net")), "internal/audit reaches net"},
		{"reaches net/netip only", wallReach(judges("fmt", "net/netip")), ""},
		{"rules vanished", wallReach(judges()[:1]), "internal/rules: the go command does not list it"},
		{"workshop", wallWorkshop("x.md", []byte("one\nsee .."+"/shared/design.md")), "x.md:2: mentions"},
		{"workshop", wallWorkshop("x.md", []byte("cd /"+"work/main")), "x.md:1: mentions"},
		{"no workshop", wallWorkshop("x.md", []byte("network/worker")), ""},
	}
	for _, c := range cases {
		got := strings.Join(c.got, "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
